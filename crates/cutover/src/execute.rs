//! The operation protocol: observe, decide, journal `Started`, act under a condition, read back, journal the outcome.
//!
//! Whatever is killed, whenever, the end state equals one application of each operation: an intent without outcome is observed
//! before anything else touches the entry.

mod ahead;
mod entry;
mod gather;
mod members;
mod proof;
mod resolve;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use untether_directory::{Control, DirectoryError, Failure, Outcome as Answer, Usability, Write, WriteOptions, Written};
use untether_ledger::Key;
use untether_model::change::Change;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Actor, Operation};
use untether_model::run::{CellOutcome, CellStand, CellStatus, Outcome, OutcomeKind, Record, Sealed, Started, cell_stand};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, OpId, Side, StableId, SubjectId};

use self::ahead::Ahead;
use self::gather::{Gathering, Gatherings};
use crate::error::CutoverError;
use crate::ports::{Ports, Refusal, Store, Time};
use crate::recorder::Recorder;
use crate::throttle::{Kind, Permit, Throttle};

pub(crate) use ahead::AheadOf;
pub(crate) use entry::disables;
pub(crate) use resolve::find;

/// How often an entry is observed and tried again when a condition fails because something else moved, or the server was busy.
const TRIES: u32 = 6;

/// How often an operation was sent so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tries {
    /// How often.
    pub count: u32,
    /// One of them was given up without an answer: it may land yet.
    pub unanswered: bool,
}

/// Locks of entries on which something works or waits to.
#[derive(Default)]
struct EntryLocks {
    of: HashMap<(Side, DnKey), Weak<tokio::sync::Mutex<()>>>,
    /// With so many they are looked through for those that nobody has any more: twice as many as were left last time.
    look_through_at: usize,
}

/// Fewer locks are never looked through.
const FEW_LOCKS: usize = 4_096;

impl EntryLocks {
    fn get(&mut self, side: Side, dn: &Dn) -> Arc<tokio::sync::Mutex<()>> {
        if self.of.len() > self.look_through_at.max(FEW_LOCKS) {
            self.of.retain(|_, lock| lock.strong_count() > 0);
            self.look_through_at = self.of.len() * 2;
        }
        let slot = self.of.entry((side, dn.key().clone())).or_default();
        if let Some(lock) = slot.upgrade() {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        *slot = Arc::downgrade(&lock);
        lock
    }
}

/// Carries out single operations.
pub struct Executor {
    pub(crate) ports: Ports,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) throttles: BTreeMap<Side, Arc<Throttle>>,
    entries: Mutex<EntryLocks>,
    servers: BTreeMap<Side, tokio::sync::OnceCell<Arc<Server>>>,
    /// Of the shared store and of the independent directory.
    questions: (Questions, Questions),
}

/// What is asked of a store for many operations together.
#[derive(Default)]
struct Questions {
    by_id: Gatherings<Vec<AttrName>, StableId, Answer<Option<Entry>>>,
    by_name: Gatherings<Vec<AttrName>, Dn, Answer<Option<Entry>>>,
    matches: Gatherings<String, Dn, Answer<Option<bool>>>,
    usability: Gathering<Dn, Answer<Usability>>,
    refusals: Gathering<Dn, Answer<Refusal>>,
}

/// What a store's server can do, asked once.
pub(crate) struct Server {
    pub schema: Arc<Schema>,
    /// It checks conditions (RFC 4528).
    pub asserts: bool,
    /// It returns entries as they were and as they are (RFC 4527).
    pub reads_entries: bool,
}

/// One operation with the cells that are to be worked on.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// Its id.
    pub id: OpId,
    /// What it is.
    pub op: &'a Operation,
    /// The subjects whose cells are worked on (parked ones left out); empty for an operation that serves none.
    pub subjects: Vec<SubjectId>,
}

/// How one attempt turned out, before it is journalled.
pub(crate) struct Ending {
    pub kind: OutcomeKind,
    pub code: Option<u32>,
    pub message: String,
    pub stable_id: Option<StableId>,
    pub image: Option<Sealed>,
}

impl Ending {
    pub fn new(kind: OutcomeKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), stable_id: None, image: None }
    }

    pub fn refused(error: &DirectoryError) -> Self {
        Self { code: error.code, ..Self::new(OutcomeKind::Refused, error.to_string()) }
    }

    pub fn with_id(mut self, id: Option<StableId>) -> Self {
        self.stable_id = id;
        self
    }
}

/// An operation's turn to have something under way in its store.
pub(crate) struct Turn<'a> {
    throttle: &'a Throttle,
    permit: Option<Permit<'a>>,
    time: &'a dyn Time,
    began: Duration,
    kind: Option<Kind>,
}

impl Turn<'_> {
    /// What was to be written is answered: the next one may begin.
    pub(crate) fn end(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if let Some(kind) = self.kind {
            self.throttle.took(kind, self.time.mono().saturating_sub(self.began));
        }
        drop(permit);
    }
}

/// What a failed write means for the protocol.
pub(crate) enum After {
    /// The outcome is settled.
    Settled(Ending),
    /// Observe again, then decide again.
    Again,
}

/// Values from which on an operation does the work of many.
const MANY_VALUES: usize = 16;

/// As what an operation counts in the pace of its store; `None`: its time tells nothing about others.
fn kind_of(op: &Operation) -> Option<Kind> {
    match &op.action {
        Action::Create { .. } | Action::Recreate { .. } => Some(Kind::Create),
        Action::Set { .. } => Some(Kind::Set),
        Action::Ensure { values, .. } if values.len() < MANY_VALUES => Some(Kind::Value),
        Action::Delete => Some(Kind::Delete),
        Action::Ensure { .. } | Action::Deliver { .. } | Action::Attest { .. } => None,
    }
}

impl Executor {
    /// An executor over these ports.
    pub fn new(ports: Ports, ceiling: u32) -> Self {
        let recorder = ports.recorder.clone();
        let throttles = Side::ALL.into_iter().map(|side| (side, Arc::new(Throttle::new(ceiling)))).collect();
        let servers = Side::ALL.into_iter().map(|side| (side, tokio::sync::OnceCell::new())).collect();
        let questions = Default::default();
        Self { ports, recorder, throttles, entries: Mutex::default(), servers, questions }
    }

    /// The throttle of a store.
    pub fn throttle(&self, side: Side) -> Arc<Throttle> {
        // Both sides are put in when the executor is made.
        self.throttles.get(&side).cloned().unwrap_or_else(|| Arc::new(Throttle::new(1)))
    }

    /// Carries the operation out for these subjects, until each cell has an outcome. An error stops the run.
    pub async fn run(&self, task: &Task<'_>) -> Result<(), CutoverError> {
        self.run_looked(task, std::future::ready(None)).await
    }

    /// The same, with what is seen of its entry before it has its turn.
    pub(crate) async fn run_looked(
        &self,
        task: &Task<'_>,
        ahead: impl Future<Output = Option<Ahead>>,
    ) -> Result<(), CutoverError> {
        let lock = self.entry_lock(task.op.store, task.op.target.dn());
        let _held = lock.lock().await;
        let ahead = ahead.await;
        let throttle = self.throttle(task.op.store);
        let mut turn = Turn {
            throttle: &throttle,
            permit: Some(throttle.permit().await),
            time: self.ports.time.as_ref(),
            began: self.ports.time.mono(),
            kind: kind_of(task.op),
        };
        let done = match &task.op.action {
            Action::Ensure { .. } => self.run_members(task, ahead).await,
            Action::Attest { checks } => self.run_attest(task, checks).await,
            Action::Deliver { hook, repeatable } => self.run_delivery(task, hook, *repeatable).await,
            Action::Create { .. } | Action::Set { .. } | Action::Delete | Action::Recreate { .. } => {
                self.run_entry(task, ahead, &mut turn).await
            }
        };
        turn.end();
        done
    }

    fn questions(&self, side: Side) -> &Questions {
        match side {
            Side::Shared => &self.questions.0,
            Side::Independent => &self.questions.1,
        }
    }

    /// The entry with this stable id, asked for together with others; `None`: it was not found so.
    pub(crate) async fn find_together(&self, side: Side, id: &StableId, attrs: &[AttrName]) -> Answer<Option<Entry>> {
        let store = self.ports.stores.get(side);
        let ask = |ids: Vec<StableId>| async move {
            let found = store.reader().find_all(store.suffix(), &ids, attrs).await;
            gather::shared(found, ids.len())
        };
        let asked = gather::among(&self.questions(side).by_id, attrs).ask(id.clone(), ask).await;
        asked.unwrap_or(Ok(None))
    }

    /// The entry with this name, asked for together with others; `None`: it was not found so.
    pub(crate) async fn read_together(&self, side: Side, dn: &Dn, attrs: &[AttrName]) -> Answer<Option<Entry>> {
        let reader = self.ports.stores.get(side).reader();
        let ask = |names: Vec<Dn>| async move { gather::shared(reader.read_all(&names, attrs).await, names.len()) };
        let asked = gather::among(&self.questions(side).by_name, attrs).ask(dn.clone(), ask).await;
        asked.unwrap_or(Ok(None))
    }

    /// Whether an entry matches a filter, asked together with others; `None`: it does not exist.
    pub(crate) async fn matches_together(&self, side: Side, dn: &Dn, filter: &str) -> Answer<Option<bool>> {
        let reader = self.ports.stores.get(side).reader();
        let ask = |names: Vec<Dn>| async move { gather::shared(reader.match_all(&names, filter).await, names.len()) };
        let asked = gather::among(&self.questions(side).matches, filter).ask(dn.clone(), ask).await;
        asked.unwrap_or(Ok(None))
    }

    /// Whether an account could be used, asked together with others.
    pub(crate) async fn usability_together(&self, side: Side, dn: &Dn) -> Answer<Usability> {
        let reader = self.ports.stores.get(side).reader();
        let ask = |names: Vec<Dn>| async move { gather::shared(reader.usability_all(&names).await, names.len()) };
        self.questions(side).usability.ask(dn.clone(), ask).await.unwrap_or(Ok(Usability::Unknown))
    }

    /// Whether the store refuses an account whose lock was read back, asked together with others.
    pub(crate) async fn refuses_together(&self, side: Side, dn: &Dn) -> Answer<Refusal> {
        let store = self.ports.stores.get(side);
        let ask = |names: Vec<Dn>| async move { gather::shared(store.refuses_all(&names).await, names.len()) };
        let asked = self.questions(side).refusals.ask(dn.clone(), ask).await;
        asked.unwrap_or_else(|| Ok(Refusal::Unknown("it was not asked".to_owned())))
    }

    /// Serializes operations on one entry, whatever subjects they serve.
    fn entry_lock(&self, side: Side, dn: &Dn) -> Arc<tokio::sync::Mutex<()>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(side, dn)
    }

    /// What the task's server can do.
    pub(crate) async fn server(&self, task: &Task<'_>) -> Result<Arc<Server>, CutoverError> {
        let ask = || async {
            let reader = self.store(task).reader();
            let (schema, features) = (reader.schema().await, reader.features().await);
            let (schema, features) = (self.answered(task, schema)?, self.answered(task, features)?);
            let (asserts, reads_entries) = (features.has_control(Control::ASSERTION), features.has_control(Control::POST_READ));
            Ok(Arc::new(Server { schema, asserts, reads_entries }))
        };
        match self.servers.get(&task.op.store) {
            Some(server) => server.get_or_try_init(ask).await.cloned(),
            None => ask().await,
        }
    }

    pub(crate) fn store(&self, task: &Task<'_>) -> &dyn Store {
        self.ports.stores.get(task.op.store)
    }

    pub(crate) fn writer<'a>(&'a self, task: &Task<'_>) -> Result<&'a dyn Write, CutoverError> {
        let store = self.ports.stores.get(task.op.store);
        match task.op.actor {
            Actor::Writer => Ok(store.writer()),
            Actor::Undo => store.undoer().ok_or_else(|| CutoverError::Plan {
                op: task.id.clone(),
                reason: format!("it needs the undoing bind of the {} store, which is not configured", task.op.store),
            }),
        }
    }

    pub(crate) fn key(&self, task: &Task<'_>) -> Result<Key, CutoverError> {
        let wave = task.id.wave();
        self.ports.keys.key(wave).map_err(|reason| CutoverError::Key { wave: wave.clone(), reason })
    }

    pub(crate) fn stand(&self, task: &Task<'_>, subject: Option<&SubjectId>) -> CellStand {
        self.recorder.look(|state| cell_stand(state, &task.id, subject))
    }

    /// Whether the subject is still worked on: another operation of its batch may have failed meanwhile, and parked it. Nothing may
    /// be awaited between asking and recording.
    pub(crate) fn is_worked_on(&self, task: &Task<'_>, subject: Option<&SubjectId>) -> bool {
        self.recorder.look(|state| {
            let Some(id) = subject.filter(|_| state.batches().contains_key(&task.id.batch)) else { return true };
            state.subjects().get(id).is_some_and(|s| s.batch == task.id.batch && s.parked.is_none())
        })
    }

    /// An answer to a question: an unreachable or silent store stops the run, it never looks like an outcome.
    pub(crate) fn answered<T>(&self, task: &Task<'_>, answer: Answer<T>) -> Result<T, CutoverError> {
        answer.map_err(|source| CutoverError::Store { op: task.id.clone(), source })
    }

    /// Sends a change, and tells the throttle what became of it.
    pub(crate) async fn send_change(
        &self,
        task: &Task<'_>,
        writer: &dyn Write,
        change: &Change,
        options: &WriteOptions,
    ) -> Answer<Written> {
        let throttle = self.throttle(task.op.store);
        let answer = writer.apply(change, options).await;
        match &answer {
            Err(e) if matches!(e.failure, Failure::Busy | Failure::Unknown) => throttle.busy(),
            _ => throttle.answered(),
        }
        answer
    }

    /// What a failed write means, after so many tries.
    pub(crate) async fn after_failure(
        &self,
        task: &Task<'_>,
        error: DirectoryError,
        tries: &mut Tries,
    ) -> Result<After, CutoverError> {
        match error.failure {
            // The refusal says nothing of the try that may land yet: the operation stays open, and is observed when the run goes on.
            Failure::Refused | Failure::Invalid if tries.unanswered => {
                Err(CutoverError::Unanswered { op: task.id.clone(), source: error })
            }
            Failure::Refused | Failure::Invalid => Ok(After::Settled(Ending::refused(&error))),
            Failure::ConditionFailed | Failure::NoSuchObject if tries.count < TRIES => Ok(After::Again),
            Failure::ConditionFailed | Failure::NoSuchObject => {
                let words = format!("the entry kept changing while it was being written: {error}");
                Ok(After::Settled(Ending { code: error.code, ..Ending::new(OutcomeKind::Conflict, words) }))
            }
            Failure::Busy if tries.count < TRIES => {
                let pause = Duration::from_millis(100u64 << tries.count.min(6));
                let until = self.ports.time.now().checked_add(pause).unwrap_or_else(|_| self.ports.time.now());
                self.ports.time.sleep_until(until).await;
                Ok(After::Again)
            }
            // The outcome is not known: it is observed on a new connection before anything else.
            Failure::Unknown if tries.count < TRIES => {
                tries.unanswered = true;
                Ok(After::Again)
            }
            Failure::Busy | Failure::Unknown | Failure::Unreachable | Failure::Credentials => {
                Err(CutoverError::Store { op: task.id.clone(), source: error })
            }
        }
    }

    /// Puts an operation off that was not begun: the entry at its other end is not there. What is recorded already is not recorded
    /// again.
    pub(crate) async fn defer(&self, task: &Task<'_>, why: &str) -> Result<(), CutoverError> {
        let subjects: Vec<SubjectId> = self.recorder.look(|state| {
            let said = |subject: &&SubjectId| {
                let cell = state.cell(&task.id, Some(subject));
                cell.is_some_and(|c| c.status == CellStatus::Ended(OutcomeKind::Deferred) && !c.undone)
            };
            task.subjects.iter().filter(|subject| !said(subject)).cloned().collect()
        });
        if subjects.is_empty() {
            return Ok(());
        }
        self.record_outcome(task, None, &subjects, Ending::new(OutcomeKind::Deferred, why)).await
    }

    pub(crate) async fn record_started(&self, started: Started) -> Result<u64, CutoverError> {
        self.recorder.record(Record::Started { started }).await
    }

    /// Records one outcome for all of these subjects.
    pub(crate) async fn record_outcome(
        &self,
        task: &Task<'_>,
        started: Option<u64>,
        subjects: &[SubjectId],
        result: Ending,
    ) -> Result<(), CutoverError> {
        let cells = if subjects.is_empty() {
            vec![CellOutcome { subject: None, kind: result.kind }]
        } else {
            subjects.iter().map(|s| CellOutcome { subject: Some(s.clone()), kind: result.kind }).collect()
        };
        let outcome = Outcome {
            op: task.id.clone(),
            stage: task.op.stage,
            started,
            cells,
            code: result.code,
            message: result.message,
            stable_id: result.stable_id,
            image: result.image,
        };
        self.recorder.record(Record::Outcome { outcome }).await.map(drop)
    }
}
