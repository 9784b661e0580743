//! An in-memory directory behind the same capabilities as a real one: for rehearsals and tests.
//!
//! It behaves as OpenLDAP 2.5 does where that matters to a migration: conditions, result codes, operational attributes, password
//! policy, `memberOf`, referential integrity, transactions, the relax and no-op controls. What it does was observed on a real
//! slapd first. It is deterministic: the clock and the seed of its identifiers are handed in, and nothing happens in between.
//!
//! Object classes and syntaxes are those of the store's own subschema; without one, what a class does not allow is accepted (a
//! server refuses it with 65).
//!
//! Deliberately absent: access control beyond four [`Identity`]s, hashing of clear-text passwords, password ageing, renames,
//! replication, the network.

mod check;
mod clock;
mod config;
mod fault;
mod handle;
mod modify;
mod overlay;
mod password;
mod policy;
mod refusal;
mod store;
mod stream;
mod syntax;
mod tree;
mod values;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use untether_model::Entry;
use untether_model::change::Change;

pub use clock::{Clock, SettableClock};
pub use config::{Identity, TwinConfig};
pub use fault::{Fault, Faults, ReadAttempt, ReadFault, WriteAttempt};
pub use handle::TwinHandle;

use crate::{Outcome, WriteOptions, Written};
use fault::NoFaults;
use store::Store;

/// An in-memory directory. Clones share the same entries.
#[derive(Clone)]
pub struct Twin {
    config: Arc<TwinConfig>,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

struct State {
    store: Store,
    faults: Arc<dyn Faults>,
    reads: u64,
    writes: u64,
    late: Vec<LateWrite>,
}

/// A write whose caller has given up on it.
struct LateWrite {
    identity: Identity,
    changes: Vec<Change>,
    options: WriteOptions,
    transaction: bool,
}

impl Twin {
    /// An empty directory.
    pub fn new(config: TwinConfig, clock: Clock) -> Self {
        let config = Arc::new(config);
        let store = Store::new(Arc::clone(&config));
        let state = State { store, faults: Arc::new(NoFaults), reads: 0, writes: 0, late: Vec::new() };
        Self { config, clock, state: Arc::new(Mutex::new(state)) }
    }

    /// What it is like.
    pub fn config(&self) -> &TwinConfig {
        &self.config
    }

    /// Takes entries as `slapadd` does: nothing is checked, operational attributes are kept as given and made where they are
    /// missing, and `memberOf` is not computed. An entry of the same name is put in the place of the earlier one.
    pub fn load(&self, entries: impl IntoIterator<Item = Entry>) {
        let now = (self.clock)();
        self.lock().store.load(entries, now);
    }

    /// All entries with all stored attributes, each after its ancestors.
    pub fn dump(&self) -> Vec<Entry> {
        self.lock().store.tree.all().map(tree::Stored::to_entry).collect()
    }

    /// A connection as this identity.
    pub fn handle(&self, identity: Identity) -> TwinHandle {
        TwinHandle { twin: self.clone(), identity }
    }

    /// From now on attempts fail as this decides; earlier ones are not undone.
    pub fn set_faults(&self, faults: impl Faults + 'static) {
        self.lock().faults = Arc::new(faults);
    }

    /// From now on nothing fails that a server would not refuse.
    pub fn clear_faults(&self) {
        self.lock().faults = Arc::new(NoFaults);
    }

    /// Write attempts so far, those that failed included.
    pub fn write_attempts(&self) -> u64 {
        self.lock().writes
    }

    /// Lets the writes of [`Fault::ApplyLater`] arrive, in their order and each under its own condition. Returns what the server
    /// answered to each of them, which nobody was there to hear.
    pub fn land_late_writes(&self) -> Vec<Outcome<Written>> {
        let late = std::mem::take(&mut self.lock().late);
        late.into_iter().map(|write| self.carry_out(&write)).collect()
    }

    fn carry_out(&self, write: &LateWrite) -> Outcome<Written> {
        let actor = store::Actor { identity: write.identity, now: self.now() };
        let mut state = self.lock();
        match write.changes.as_slice() {
            [change] if !write.transaction => {
                state.store.write(actor, change, &write.options).map_err(|refusal| refusal.write_error(self.config.side, change))
            }
            changes => match state.store.transaction(actor, changes, &write.options) {
                Ok(()) => Ok(Written::default()),
                Err((i, refusal)) => match changes.get(i) {
                    Some(change) => Err(refusal.write_error(self.config.side, change)),
                    None => Err(refusal.error(self.config.side, "transaction", &self.config.suffix)),
                },
            },
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A panic elsewhere leaves the entries as they are between two writes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
