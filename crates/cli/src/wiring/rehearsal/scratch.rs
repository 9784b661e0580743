//! State of a rehearsal: the same journal over storage in memory, a clock that jumps, keys and a hand-over that nobody keeps.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use untether_cutover::{Handover, Hook, Keyring, Place, Time, Way};
use untether_directory::twin::SettableClock;
use untether_journal::{MemoryDatabase, OpenJournal, Opened, Stored};
use untether_ledger::log::{CreateLog, SEGMENT_BYTES};
use untether_ledger::storage::Crash;
use untether_ledger::{Clock, ClockPolicy, Disk, Key, Log, MemoryStorage, StateDir};
use untether_model::digest::Digest;
use untether_model::run::{Record, RunState, Summary};
use untether_model::{BatchId, SubjectId, WaveId};

use crate::error::{CliError, chain};
use crate::state::PARTS_VERSION;
use crate::wiring::journal::{FoldError, LiveJournal, change_of};

/// Where the state directory is, in memory.
const STATE: &str = "/rehearsal";

/// A clock that moves when somebody waits or writes.
#[derive(Clone)]
pub struct VirtualTime(pub SettableClock);

#[async_trait]
impl Time for VirtualTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn mono(&self) -> Duration {
        Duration::try_from(self.0.now().as_duration()).unwrap_or_default()
    }

    async fn sleep_until(&self, until: Timestamp) {
        // Others may run first, and may have moved the clock further on.
        tokio::task::yield_now().await;
        if self.0.now() < until {
            self.0.set(until);
        }
    }
}

impl Clock for VirtualTime {
    fn wall(&self) -> Timestamp {
        self.0.now()
    }

    fn mono(&self) -> Duration {
        Time::mono(self)
    }

    fn boot(&self) -> &str {
        "rehearsal"
    }
}

/// The state of a rehearsal: files in memory that outlive a cut.
pub struct Scratch {
    storage: MemoryStorage,
    time: VirtualTime,
}

impl Scratch {
    /// A new state.
    pub fn new(time: &VirtualTime) -> Result<Self, CliError> {
        let scratch = Self { storage: MemoryStorage::new(), time: time.clone() };
        let dir = StateDir::create(Disk::new(scratch.storage.clone()), STATE).map_err(|e| failed(&e))?;
        let (disk, ledger) = (dir.disk().clone(), dir.ledger());
        let how = CreateLog { disk, dir: ledger, clock: Arc::new(time.clone()), segment_bytes: SEGMENT_BYTES };
        drop(Log::create(how).map_err(|e| failed(&e))?);
        Ok(scratch)
    }

    /// Opens the journal, and folds the ledger: nothing else is remembered.
    pub fn open(&self) -> Result<(Arc<LiveJournal>, RunState), CliError> {
        let dir = self.dir()?;
        let how = OpenJournal {
            state: dir.clone(),
            clock: Arc::new(self.time.clone()),
            clock_policy: ClockPolicy::HoldHead,
            segment_bytes: SEGMENT_BYTES,
            known_kind: &Record::knows,
            accept_loss: false,
            witness: None,
            parts_version: PARTS_VERSION,
            distrust: false,
        };
        let mut opened = Opened::open_in_memory(how, &MemoryDatabase::new()).map_err(|e| failed(&e))?;
        let mut state = RunState::new();
        let replayed = opened.replay(|frame, _| {
            let change = change_of(&state, frame)?;
            let stored = Stored::of(&change);
            state.commit(change);
            Ok::<_, FoldError>(stored)
        });
        replayed.map_err(|e| failed(&e))?;
        let journal = opened.start_inside().map_err(|e| failed(&e))?;
        Ok((Arc::new(LiveJournal::new(Arc::new(journal), dir, Summary::default())), state))
    }

    /// The power goes out: what was not synced is gone.
    pub fn cut(&self) {
        self.storage.crash(Crash::Power);
    }

    /// Its directory.
    pub fn dir(&self) -> Result<StateDir, CliError> {
        StateDir::open(Disk::new(self.storage.clone()), STATE).map_err(|e| failed(&e))
    }
}

fn failed(error: &dyn std::error::Error) -> CliError {
    CliError::failed(format!("the rehearsal's journal: {}", chain(error)))
}

/// One key for everything; it goes with the rehearsal.
pub struct OneKey(pub Key);

impl Keyring for OneKey {
    fn key(&self, _wave: &WaveId) -> Result<Key, String> {
        Ok(self.0.clone())
    }
}

/// Takes one-time credentials and forgets them.
#[derive(Default)]
pub struct Nobody {
    files: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Hook for Nobody {
    fn way(&self) -> Way {
        Way::Files
    }

    fn file_of(&self, place: &Place<'_>) -> Result<String, String> {
        Ok(place.unit.to_string())
    }

    async fn write_file(&self, name: &str, _people: &[Handover]) -> Result<Digest, String> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(Digest::of(name.as_bytes()))
    }

    fn keeps_file(&self, name: &str) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    async fn hand_over(&self, _key: &str, _unit: &BatchId, _person: &Handover) -> Result<(), String> {
        Ok(())
    }

    async fn deliver(&self, _hook: &str, _key: &str, _subject: &SubjectId) -> Result<(), String> {
        Ok(())
    }
}
