//! A clock that is told the time, and a ledger in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use untether_ledger::log::CreateLog;
use untether_ledger::{Clock, ClockPolicy, Disk, LedgerError, Log, LogOpened, MemoryStorage, NewFrame, OpenLog, Reader};

pub const LEDGER: &str = "/ledger";

pub struct ToldClock(Mutex<Timestamp>);

impl ToldClock {
    pub fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().unwrap())))
    }

    pub fn tell(&self, text: &str) {
        *self.0.lock().unwrap() = text.parse().unwrap();
    }
}

impl Clock for ToldClock {
    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn mono(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn boot(&self) -> &str {
        "boot"
    }
}

/// A ledger directory in memory with small segments.
#[derive(Clone)]
pub struct World {
    pub storage: MemoryStorage,
    pub clock: Arc<ToldClock>,
    pub segment_bytes: u64,
}

impl World {
    pub fn new(segment_bytes: u64) -> Self {
        Self { storage: MemoryStorage::new(), clock: ToldClock::at("2026-11-20T00:00:00Z"), segment_bytes }
    }

    pub fn disk(&self) -> Disk {
        Disk::new(self.storage.clone())
    }

    pub fn create(&self) -> Result<Log, LedgerError> {
        Log::create(CreateLog {
            disk: self.disk(),
            dir: LEDGER.into(),
            clock: self.clock.clone(),
            segment_bytes: self.segment_bytes,
        })
    }

    pub fn open(&self) -> Result<(Log, LogOpened), LedgerError> {
        self.open_with(ClockPolicy::Refuse, false)
    }

    pub fn open_with(&self, clock_policy: ClockPolicy, accept_loss: bool) -> Result<(Log, LogOpened), LedgerError> {
        Log::open(OpenLog {
            disk: self.disk(),
            dir: LEDGER.into(),
            clock: self.clock.clone(),
            clock_policy,
            segment_bytes: self.segment_bytes,
            known_kind: &|kind| kind == "note",
            accept_loss,
            witnesses: Vec::new(),
        })
    }

    pub fn segment(number: u32) -> PathBuf {
        Path::new(LEDGER).join(format!("{number:08}.log"))
    }

    /// The bodies of all notes, in order.
    pub fn notes(&self) -> Vec<String> {
        let mut reader = Reader::open(&self.disk(), Path::new(LEDGER)).unwrap();
        let mut notes = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            if frame.kind == "note" {
                notes.push(frame.read_body().unwrap());
            }
        }
        notes
    }

    pub fn check(&self) -> untether_ledger::Check {
        untether_ledger::check(&self.disk(), Path::new(LEDGER), |_| {}).unwrap()
    }
}

pub fn note(text: &str) -> NewFrame {
    NewFrame::new("note", &text).unwrap()
}

/// Appends and syncs one note.
pub fn put(log: &mut Log, text: &str) {
    log.append(&[note(text)]).unwrap();
    log.sync().unwrap();
}
