//! What dies with a process: the open journal and the state that it has folded.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use untether_cutover::{Engine, Journal, LedgerView, Ports, Receipt, Recorder, Stores};
use untether_journal::{Entry, OpenJournal, Opened, Stored};
use untether_ledger::log::SEGMENT_BYTES;
use untether_ledger::{Clock, ClockPolicy, MemoryStorage, NewFrame, Reader};
use untether_model::Side;
use untether_model::run::{Change, Illegal, Record, RunState, Sealed, Started, apply};
use untether_planner::Intents;

use super::breaker::Breaker;
use super::error::Trouble;
use super::line::TwinStore;
use super::observer::Observer;
use super::ports::{KeptHandover, NamedKeys, Reading, VirtualTime};
use super::world::World;

/// Version of the parts in the database.
pub(crate) const PARTS_VERSION: u32 = 3;

/// Most operations in flight in a store.
const CEILING: u32 = 4;

/// A record of the ledger that cannot be folded.
#[derive(Debug, thiserror::Error)]
enum FoldError {
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

fn fold(state: &mut RunState, seq: u64, at: Timestamp, (kind, body): (&str, &str)) -> Result<Change, FoldError> {
    let record = Record::from_parts(kind, body)?;
    let change = apply(state, seq, at, &record)?;
    state.commit(change.clone());
    Ok(change)
}

/// The journal of a run, with its boundaries.
struct TwinJournal {
    journal: untether_journal::Journal,
    breaker: Breaker,
    observer: Arc<dyn Observer>,
    storage: MemoryStorage,
}

impl TwinJournal {
    fn put(&self, record: &Record, change: &Change) -> Result<untether_journal::Receipt, String> {
        let frame = NewFrame::of(record).map_err(|e| e.to_string())?;
        let (seq, at) = self.journal.next();
        let before = self.storage.operations();
        let receipt = self.journal.submit(vec![Entry { frame, parts: Stored::of(change) }]).map_err(|e| e.to_string())?;
        self.breaker.note_commit(record, before..self.storage.operations());
        // In memory the journal has no thread: it is durable.
        self.observer.recorded(seq, at, record);
        Ok(receipt)
    }

    fn record(&self, seq: u64) -> Result<Record, String> {
        let frame = self.journal.frame(seq).map_err(|e| e.to_string())?;
        let frame = frame.ok_or_else(|| format!("the ledger has no record {seq}"))?;
        Record::from_parts(&frame.kind, frame.body()).map_err(|e| e.to_string())
    }
}

impl Journal for TwinJournal {
    fn next(&self) -> (u64, Timestamp) {
        self.journal.next()
    }

    fn submit(&self, record: &Record, change: &Change) -> Result<Receipt, String> {
        if self.breaker.before_record(record) {
            return Ok(Box::pin(std::future::pending()));
        }
        let receipt = self.put(record, change)?;
        let dies = self.breaker.after_record(record);
        Ok(Box::pin(async move {
            receipt.await.map_err(|e| e.to_string())?;
            if dies() {
                std::future::pending::<()>().await;
            }
            Ok(())
        }))
    }
}

impl LedgerView for TwinJournal {
    fn started(&self, seq: u64) -> Result<Started, String> {
        match self.record(seq)? {
            Record::Started { started } => Ok(started),
            _ => Err(format!("record {seq} is no intent")),
        }
    }

    fn image(&self, outcome: u64) -> Result<Option<Sealed>, String> {
        match self.record(outcome)? {
            Record::Outcome { outcome } => Ok(outcome.image),
            _ => Err(format!("record {outcome} is no outcome")),
        }
    }
}

/// One process with the state open.
pub struct Session {
    journal: Arc<TwinJournal>,
    /// Where everything stands.
    pub state: RunState,
    world: World,
}

impl Intents for Session {
    fn started(&self, seq: u64) -> Result<Started, String> {
        self.journal.started(seq)
    }
}

impl Session {
    /// Opens the state as a new process does: what the database lacks is replayed from the ledger.
    ///
    /// # Errors
    /// Also where the database then holds another state than the ledger alone gives.
    pub fn open(world: &World) -> Result<Self, Trouble> {
        Self::open_after(world, false)
    }

    /// The same; `accept_loss`: a person accepts that the ledger has lost its end, which is recorded.
    pub fn open_after(world: &World, accept_loss: bool) -> Result<Self, Trouble> {
        world.breaker.arm(None);
        let clock: Arc<dyn Clock> = Arc::new(VirtualTime(world.clock.clone()));
        let how = OpenJournal {
            state: world.dir.clone(),
            clock,
            clock_policy: ClockPolicy::HoldHead,
            segment_bytes: SEGMENT_BYTES,
            known_kind: &Record::knows,
            accept_loss,
            witness: None,
            parts_version: PARTS_VERSION,
            distrust: false,
        };
        let mut opened = match world.on_files {
            true => Opened::open(how)?,
            false => Opened::open_in_memory(how, &world.database)?,
        };
        let lost = opened.report().loss.clone();
        let mut state = RunState::new();
        if opened.report().rebuilt.is_none() {
            opened.each_common_part(&mut |part| state.put(part))?;
            opened.each_subject_part(&mut |part| state.put(part))?;
        }
        opened
            .replay(|frame, _| {
                let change = fold(&mut state, frame.seq(), frame.wall, (&frame.kind, frame.body()))?;
                Ok::<_, FoldError>(Stored::of(&change))
            })
            .map_err(Trouble::new)?;
        let journal = Arc::new(TwinJournal {
            journal: if world.on_files { opened.start()? } else { opened.start_inside()? },
            breaker: world.breaker.clone(),
            observer: world.observer.clone(),
            storage: world.storage.clone(),
        });
        let mut session = Self { journal, state, world: world.clone() };
        if session.folded()? != session.state {
            return Err(Trouble::new("the database holds another state than the ledger gives"));
        }
        if let Some(loss) = lost {
            let lost_from = loss.witnessed_seq.unwrap_or(loss.head_seq);
            session.record(&Record::Repaired { lost_from, by: "op".into(), reason: "no newer copy".into() })?;
        }
        Ok(session)
    }

    /// The state that the ledger alone gives.
    pub fn folded(&self) -> Result<RunState, Trouble> {
        let mut state = RunState::new();
        self.each(|seq, at, record| {
            let change = apply(&state, seq, at, &record)?;
            state.commit(change);
            Ok(())
        })?;
        Ok(state)
    }

    /// Walks over all records.
    pub fn each(&self, mut each: impl FnMut(u64, Timestamp, Record) -> Result<(), Trouble>) -> Result<(), Trouble> {
        let mut reader = Reader::open(self.world.dir.disk(), &self.world.dir.ledger()).map_err(Trouble::new)?;
        while let Some(frame) = reader.next_frame().map_err(Trouble::new)? {
            if frame.is_seam() {
                continue;
            }
            let record = Record::from_parts(&frame.kind, frame.body()).map_err(Trouble::new)?;
            each(frame.seq(), frame.wall, record)?;
        }
        Ok(())
    }

    /// The world that it runs in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Records what a person did or decided.
    pub fn record(&mut self, record: &Record) -> Result<u64, Trouble> {
        let (seq, at) = self.journal.next();
        let change = apply(&self.state, seq, at, record)?;
        let receipt = self.journal.put(record, &change).map_err(Trouble::Other)?;
        futures::executor::block_on(receipt)?;
        self.state.commit(change);
        Ok(seq)
    }

    /// An engine over the state as it is.
    pub fn engine(&self) -> Engine {
        let world = &self.world;
        let store = |side| Arc::new(TwinStore::new(world, side));
        let shelf = world.shelf.clone();
        let ports = Ports {
            recorder: Arc::new(Recorder::new(self.journal.clone(), self.state.clone())),
            ledger: self.journal.clone(),
            keys: Arc::new(NamedKeys),
            marks: world.marks.clone(),
            time: Arc::new(VirtualTime(world.clock.clone())),
            stores: Stores { shared: store(Side::Shared), independent: store(Side::Independent) },
            roster: Some(Arc::new(Reading { rows: world.roster.clone(), last: Mutex::new(None) })),
            hook: Arc::new(KeptHandover { handed: world.handed.clone(), breaker: world.breaker.clone() }),
            blobs: Arc::new(move |wave, digest| {
                let blobs = &shelf.lock().blobs;
                blobs.get(&(wave.clone(), *digest)).cloned().ok_or_else(|| format!("wave {wave} has no blob {digest}"))
            }),
        };
        Engine::new(ports, CEILING)
    }
}
