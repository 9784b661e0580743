//! What outlives a process: directories, ledger and database, plans, roster, hand-over, the clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use jiff::Timestamp;
use untether_directory::Control;
use untether_directory::Read as _;
use untether_directory::twin::{Identity, SettableClock, Twin, TwinConfig};
use untether_journal::MemoryDatabase;
use untether_ledger::log::{CreateLog, SEGMENT_BYTES};
use untether_ledger::{Clock, Disk, Key, Log, Marks, MemoryStorage, StateDir};
use untether_model::digest::Digest;
use untether_model::operation::Operation;
use untether_model::plan::{PlanHeader, PlannedSubject, Wave};
use untether_model::{AttrName, BatchId, Dn, Entry, OpId, PlanId, Side, SubjectId, WaveId};
use untether_planner::Operations;

use super::breaker::Breaker;
use super::error::Trouble;
use super::estate::Estate;
use super::line::Pauses;
use super::observer::{Nobody, Observer};
use super::ports::{Handed, Rows, VirtualTime};

/// When everything begins.
pub const BEGIN: &str = "2026-11-20T00:00:00Z";

/// Where the state directory is, in memory.
const STATE: &str = "/state";

/// The files of plans and other orders.
#[derive(Default)]
pub struct Library {
    /// Heads.
    pub headers: BTreeMap<PlanId, PlanHeader>,
    /// Waves.
    pub waves: BTreeMap<WaveId, Wave>,
    /// Blobs of waves.
    pub blobs: BTreeMap<(WaveId, Digest), Vec<u8>>,
}

/// The files, shared.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Library>>);

impl Shelf {
    pub(super) fn lock(&self) -> MutexGuard<'_, Library> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations for Shelf {
    fn operation(&self, id: &OpId) -> Result<Operation, String> {
        let library = self.lock();
        let wave = library.waves.get(id.wave());
        let found = wave.and_then(|w| w.operation(&id.batch.batch, id.n));
        found.cloned().ok_or_else(|| format!("operation {id} is in no wave"))
    }

    fn subject(&self, batch: &BatchId, id: &SubjectId) -> Result<Option<PlannedSubject>, String> {
        let library = self.lock();
        let batch = library.waves.get(&batch.wave).and_then(|w| w.batch(&batch.batch));
        Ok(batch.and_then(|b| b.subjects.iter().find(|s| s.id == *id).cloned()))
    }
}

/// Everything that outlives a process.
#[derive(Clone)]
pub struct World {
    /// People and policies.
    pub estate: Arc<Estate>,
    /// The shared store.
    pub shared: Twin,
    /// The independent directory.
    pub independent: Twin,
    /// The time.
    pub clock: SettableClock,
    /// The roster.
    pub roster: Rows,
    /// What was handed to people.
    pub handed: Handed,
    /// Kills runs.
    pub breaker: Breaker,
    /// The disk below the ledger.
    pub storage: MemoryStorage,
    /// The database beside it.
    pub database: MemoryDatabase,
    /// The state directory is a real one, with a real database and the journal's own thread, and the two above are not used.
    pub(super) on_files: bool,
    pub(super) marks: Arc<Marks>,
    pub(super) shelf: Shelf,
    pub(super) dir: StateDir,
    pub(super) pauses: Pauses,
    pub(super) repeats: Arc<AtomicBool>,
    pub(super) observer: Arc<dyn Observer>,
}

impl World {
    /// A world as it is before anything is done, with an empty state directory.
    pub fn new(estate: Estate) -> Result<Self, Trouble> {
        let storage = MemoryStorage::new();
        Self::with(estate, Disk::new(storage.clone()), storage, None)
    }

    /// The same with real files below this directory.
    pub fn on_files(estate: Estate, root: &Path) -> Result<Self, Trouble> {
        Self::with(estate, Disk::real(), MemoryStorage::new(), Some(root))
    }

    fn with(estate: Estate, disk: Disk, storage: MemoryStorage, root: Option<&Path>) -> Result<Self, Trouble> {
        let begin: Timestamp = BEGIN.parse().map_err(Trouble::new)?;
        let clock = SettableClock::new(begin);
        let twin = |side: Side| {
            let mut config = TwinConfig::openldap(side, estate.suffix(side).clone());
            let reads = [Control::PRE_READ, Control::POST_READ];
            config.controls.retain(|control| estate.reads_entries || !reads.contains(&control.as_str()));
            let twin = Twin::new(config, clock.as_clock());
            twin.load(estate.entries(side));
            twin
        };
        let (shared, independent) = (twin(Side::Shared), twin(Side::Independent));
        let dir = StateDir::create(disk, root.unwrap_or(Path::new(STATE))).map_err(Trouble::new)?;
        let time: Arc<dyn Clock> = Arc::new(VirtualTime(clock.clone()));
        let how = CreateLog { disk: dir.disk().clone(), dir: dir.ledger(), clock: time, segment_bytes: SEGMENT_BYTES };
        drop(Log::create(how).map_err(Trouble::new)?);
        let rows = estate.people.iter().filter_map(|p| Some((p.uid.clone(), p.presence?)));
        Ok(Self {
            roster: Rows::new(rows),
            estate: Arc::new(estate),
            shared,
            independent,
            clock,
            handed: Handed::default(),
            breaker: Breaker::default(),
            storage,
            database: MemoryDatabase::new(),
            on_files: root.is_some(),
            marks: Arc::new(Marks::new(&Key::from_bytes([7; 32]))),
            shelf: Shelf::default(),
            dir,
            pauses: Arc::new(|| 0),
            repeats: Arc::default(),
            observer: Arc::new(Nobody),
        })
    }

    /// The file of the ledger.
    pub fn ledger(&self) -> PathBuf {
        self.dir.ledger().join("00000001.log")
    }

    /// From now on operations pause so many times as this says, so that others run in between.
    pub fn set_pauses(&mut self, pauses: impl Fn() -> u32 + Send + Sync + 'static) {
        self.pauses = Arc::new(pauses);
    }

    /// From now on this one looks on.
    pub fn set_observer(&mut self, observer: Arc<dyn Observer>) {
        self.observer = observer;
    }

    /// One entry as it is now, with all that is stored.
    pub fn entry(&self, side: Side, dn: &Dn) -> Option<Entry> {
        let everything = [AttrName::new("*"), AttrName::new("+")];
        self.twin(side).handle(Identity::Root).read(dn, &everything).now_or_never().and_then(Result::ok).flatten()
    }

    /// Keyed marks of values, as the ledger holds them.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// An operation of a recorded order, with its id's wave.
    pub fn operation(&self, id: &OpId) -> Option<Operation> {
        self.shelf.operation(id).ok()
    }

    /// What a batch's wave says of a subject.
    pub fn planned(&self, batch: &BatchId, subject: &SubjectId) -> Option<PlannedSubject> {
        self.shelf.subject(batch, subject).ok().flatten()
    }

    /// From now on each write is sent a second time after it was answered, as a network may do it.
    pub fn repeat_writes(&self, repeats: bool) {
        self.repeats.store(repeats, Ordering::Relaxed);
    }

    /// One of the twins.
    pub fn twin(&self, side: Side) -> &Twin {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// Both directories, in full.
    pub fn dumps(&self) -> [Vec<Entry>; 2] {
        Side::ALL.map(|side| self.twin(side).dump())
    }

    /// A wave, as it was planned.
    pub fn wave(&self, id: &WaveId) -> Option<(PlanHeader, Wave)> {
        let library = self.shelf.lock();
        Some((library.headers.get(&id.plan)?.clone(), library.waves.get(id)?.clone()))
    }
}
