//! The one place where records are made: checks each against the state that includes all records already handed over, hands it
//! to the journal, and tells the outside only after it is durable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use untether_model::event::Event;
use untether_model::run::{Record, RunState, apply};

use crate::error::CutoverError;
use crate::ports::Journal;

/// Linearizes all records of a run.
pub struct Recorder {
    journal: Arc<dyn Journal>,
    events: Arc<dyn Fn(Event) + Send + Sync>,
    state: Mutex<RunState>,
    moved: watch::Sender<u64>,
}

impl Recorder {
    /// A recorder that goes on from this state.
    pub fn new(journal: Arc<dyn Journal>, events: Arc<dyn Fn(Event) + Send + Sync>, state: RunState) -> Self {
        Self { journal, events, state: Mutex::new(state), moved: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        // A panic while the lock is held cannot leave the state half changed: `commit` only inserts whole parts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state. The closure must be short: the lock is held, and never across an await.
    pub fn look<T>(&self, look: impl FnOnce(&RunState) -> T) -> T {
        look(&self.lock())
    }

    /// Records durably; comes back with the record's number.
    pub async fn record(&self, record: Record) -> Result<u64, CutoverError> {
        let (seq, at, receipt) = {
            let mut state = self.lock();
            let (seq, at) = self.journal.next();
            let change = apply(&state, seq, at, &record)?;
            let receipt = self.journal.submit(&record, &change).map_err(CutoverError::Journal)?;
            state.commit(change);
            (seq, at, receipt)
        };
        receipt.await.map_err(CutoverError::Journal)?;
        (self.events)(Event::Step { seq, at, record: Box::new(record) });
        self.moved.send_modify(|n| *n = n.wrapping_add(1));
        Ok(seq)
    }

    /// Tells progress that may be dropped.
    pub fn tell(&self, event: Event) {
        (self.events)(event);
    }

    /// Changes whenever a record has become durable.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Wakes whoever waits for a record, for instance because the run is to stop.
    pub fn nudge(&self) {
        self.moved.send_modify(|n| *n = n.wrapping_add(1));
    }
}
