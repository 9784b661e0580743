//! Notes: records that set a part of the state to a value.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use untether_journal::{Entry, Journal, JournalError, MemoryDatabase, OpenJournal, OpenReport, Opened, Put, Stored};
use untether_ledger::log::CreateLog;
use untether_ledger::{Clock, ClockPolicy, Disk, Frame, Log, MemoryStorage, NewFrame, StateDir, SystemClock, create_state};

/// A clock whose wall time and boot are told.
pub struct ToldClock {
    wall: Mutex<Timestamp>,
    boot: String,
}

impl ToldClock {
    pub fn new(boot: &str) -> Arc<Self> {
        Arc::new(Self { wall: Mutex::new("2026-11-20T00:00:00Z".parse().unwrap()), boot: boot.to_owned() })
    }

    pub fn tell(&self, text: &str) {
        *self.wall.lock().unwrap() = text.parse().unwrap();
    }
}

impl Clock for ToldClock {
    fn wall(&self) -> Timestamp {
        *self.wall.lock().unwrap()
    }

    fn mono(&self) -> Duration {
        Duration::ZERO
    }

    fn boot(&self) -> &str {
        &self.boot
    }
}

/// A record that sets a part.
pub fn note(key: &str, value: &str) -> Entry {
    let body = BTreeMap::from([("key", key), ("value", value)]);
    Entry { frame: NewFrame::new("note", &body).unwrap(), parts: vec![Put::new(key, value).into()] }
}

/// What a frame changes.
pub fn fold(frame: &Frame) -> Result<Vec<Stored>, Infallible> {
    if frame.kind != "note" {
        return Ok(Vec::new());
    }
    let body: BTreeMap<String, String> = frame.read_body().unwrap();
    Ok(vec![Put::new(body["key"].as_str(), body["value"].as_str()).into()])
}

pub fn how(state: StateDir, clock: Arc<dyn Clock>, segment_bytes: u64) -> OpenJournal<'static> {
    OpenJournal {
        state,
        clock,
        clock_policy: ClockPolicy::Refuse,
        segment_bytes,
        known_kind: &|kind| kind == "note",
        accept_loss: false,
        witness: None,
        parts_version: 1,
        distrust: false,
    }
}

/// A state directory on disk.
pub struct RealWorld {
    _dir: tempfile::TempDir,
    pub root: PathBuf,
    pub clock: Arc<dyn Clock>,
}

impl RealWorld {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        let clock = Arc::new(SystemClock::new());
        create_state(&root, clock.clone()).unwrap();
        Self { _dir: dir, root, clock }
    }

    pub fn how(&self) -> OpenJournal<'static> {
        how(StateDir::open(Disk::real(), &self.root).unwrap(), self.clock.clone(), 1 << 20)
    }

    pub fn open(&self) -> Result<Opened, JournalError> {
        Opened::open(self.how())
    }

    /// Opens, replays, starts. A damaged database that loses what is written to it in the replay says so, and the next opening
    /// makes it again, which must succeed.
    pub fn start(&self) -> (Journal, OpenReport, u64) {
        let mut opened = self.open().unwrap();
        let replayed = match opened.replay(|frame, _| fold(frame)) {
            Ok(replayed) => replayed,
            Err(error) => {
                assert!(error.to_string().contains("does not give back what was written"), "{error}");
                drop(opened);
                opened = self.open().unwrap();
                assert!(opened.report().rebuilt.is_some());
                opened.replay(|frame, _| fold(frame)).unwrap()
            }
        };
        let report = opened.report().clone();
        (opened.start().unwrap(), report, replayed)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// A state directory in memory.
#[derive(Clone)]
pub struct MemoryWorld {
    pub storage: MemoryStorage,
    pub database: MemoryDatabase,
}

impl MemoryWorld {
    pub fn new(segment_bytes: u64) -> Self {
        let storage = MemoryStorage::new();
        let state = StateDir::create(Disk::new(storage.clone()), "/state").unwrap();
        let clock = ToldClock::new("boot");
        Log::create(CreateLog { disk: state.disk().clone(), dir: state.ledger(), clock, segment_bytes }).unwrap();
        Self { storage, database: MemoryDatabase::new() }
    }

    pub fn open(&self, segment_bytes: u64) -> Result<Opened, JournalError> {
        let state = StateDir::open(Disk::new(self.storage.clone()), Path::new("/state"))?;
        Opened::open_in_memory(how(state, ToldClock::new("boot"), segment_bytes), &self.database)
    }

    pub fn start(&self, segment_bytes: u64) -> Result<Journal, JournalError> {
        let mut opened = self.open(segment_bytes)?;
        opened.replay(|frame, _| fold(frame)).map_err(|error| panic!("{error}")).unwrap();
        opened.start_inside()
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// All parts as text.
pub async fn parts(journal: &Journal) -> BTreeMap<String, String> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    journal.parts(b"").await.unwrap().into_iter().map(|(key, value)| (text(key), text(value))).collect()
}
