//! The operation protocol: observe, decide, journal `Started`, act under a condition, read back, journal the outcome.
//!
//! Whatever is killed, whenever, the end state equals one application of each operation: an intent without outcome is observed
//! before anything else touches the entry.

mod entry;
mod members;
mod proof;
mod resolve;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use untether_directory::{DirectoryError, Failure, Outcome as Answer, Write};
use untether_ledger::Key;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Actor, Operation};
use untether_model::run::{CellOutcome, CellStand, CellStatus, Outcome, OutcomeKind, Record, Sealed, Started, cell_stand};
use untether_model::{Dn, OpId, Side, StableId, SubjectId};

use crate::error::CutoverError;
use crate::ports::{Ports, Store};
use crate::recorder::Recorder;
use crate::throttle::Throttle;

/// How often an entry is observed and tried again when a condition fails because something else moved, or the server was busy.
const TRIES: u32 = 6;

/// One lock an entry that is being worked on.
type EntryLocks = BTreeMap<(Side, DnKey), Weak<tokio::sync::Mutex<()>>>;

/// Carries out single operations.
pub struct Executor {
    pub(crate) ports: Ports,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) throttles: BTreeMap<Side, Arc<Throttle>>,
    entries: Mutex<EntryLocks>,
}

/// One operation with the cells that are to be worked on.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: OpId,
    /// What it is.
    pub op: Operation,
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

/// What a failed write means for the protocol.
pub(crate) enum After {
    /// The outcome is settled.
    Settled(Ending),
    /// Observe again, then decide again.
    Again,
}

impl Executor {
    /// An executor over these ports.
    pub fn new(ports: Ports, recorder: Arc<Recorder>, ceiling: u32) -> Self {
        let throttles = Side::ALL.into_iter().map(|side| (side, Arc::new(Throttle::new(ceiling)))).collect();
        Self { ports, recorder, throttles, entries: Mutex::new(BTreeMap::new()) }
    }

    /// The throttle of a store.
    pub fn throttle(&self, side: Side) -> Arc<Throttle> {
        // Both sides are put in when the executor is made.
        self.throttles.get(&side).cloned().unwrap_or_else(|| Arc::new(Throttle::new(1)))
    }

    /// Carries the operation out for these subjects, until each cell has an outcome. An error stops the run.
    pub async fn run(&self, task: &Task) -> Result<(), CutoverError> {
        let throttle = self.throttle(task.op.store);
        let _permit = throttle.permit().await;
        let lock = self.entry_lock(task.op.store, task.op.target.dn());
        let _held = lock.lock().await;
        match &task.op.action {
            Action::Ensure { .. } => self.run_members(task).await,
            Action::Attest { checks } => self.run_attest(task, checks).await,
            Action::Deliver { hook, repeatable } => self.run_delivery(task, hook, *repeatable).await,
            Action::Create { .. } | Action::Set { .. } | Action::Delete | Action::Recreate { .. } => self.run_entry(task).await,
        }
    }

    /// Serializes operations on one entry, whatever subjects they serve.
    fn entry_lock(&self, side: Side, dn: &Dn) -> Arc<tokio::sync::Mutex<()>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() > 4_096 {
            entries.retain(|_, lock| lock.strong_count() > 0);
        }
        let slot = entries.entry((side, dn.key().clone())).or_default();
        if let Some(lock) = slot.upgrade() {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        *slot = Arc::downgrade(&lock);
        lock
    }

    pub(crate) fn store(&self, task: &Task) -> &dyn Store {
        self.ports.stores.get(task.op.store)
    }

    pub(crate) fn writer<'a>(&'a self, task: &Task) -> Result<&'a dyn Write, CutoverError> {
        let store = self.ports.stores.get(task.op.store);
        match task.op.actor {
            Actor::Writer => Ok(store.writer()),
            Actor::Undo => store.undoer().ok_or_else(|| CutoverError::Plan {
                op: task.id.clone(),
                reason: format!("it needs the undoing bind of the {} store, which is not configured", task.op.store),
            }),
        }
    }

    pub(crate) fn key(&self, task: &Task) -> Result<Key, CutoverError> {
        let wave = task.id.wave();
        self.ports.keys.key(wave).map_err(|reason| CutoverError::Key { wave: wave.clone(), reason })
    }

    pub(crate) fn stand(&self, task: &Task, subject: Option<&SubjectId>) -> CellStand {
        self.recorder.look(|state| cell_stand(state, &task.id, subject))
    }

    /// Whether the subject is still worked on: another operation of its batch may have failed meanwhile, and parked it. Nothing may
    /// be awaited between asking and recording.
    pub(crate) fn is_worked_on(&self, task: &Task, subject: Option<&SubjectId>) -> bool {
        self.recorder.look(|state| {
            let Some(id) = subject.filter(|_| state.batches().contains_key(&task.id.batch)) else { return true };
            state.subjects().get(id).is_some_and(|s| s.batch == task.id.batch && s.parked.is_none())
        })
    }

    /// An answer to a question: an unreachable or silent store stops the run, it never looks like an outcome.
    pub(crate) fn answered<T>(&self, task: &Task, answer: Answer<T>) -> Result<T, CutoverError> {
        answer.map_err(|source| CutoverError::Store { op: task.id.clone(), source })
    }

    /// Sends a change and measures it.
    pub(crate) async fn timed<T>(&self, task: &Task, work: impl Future<Output = Answer<T>>) -> Answer<T> {
        let throttle = self.throttle(task.op.store);
        let began = self.ports.time.mono();
        let answer = work.await;
        match &answer {
            Err(e) if matches!(e.failure, Failure::Busy | Failure::Unknown) => throttle.busy(),
            _ => throttle.took(self.ports.time.mono().saturating_sub(began)),
        }
        answer
    }

    /// What a failed write means. `tries` counts the attempts so far.
    pub(crate) async fn after_failure(&self, task: &Task, error: DirectoryError, tries: u32) -> Result<After, CutoverError> {
        match error.failure {
            Failure::Refused | Failure::Invalid => Ok(After::Settled(Ending::refused(&error))),
            Failure::ConditionFailed | Failure::NoSuchObject if tries < TRIES => Ok(After::Again),
            Failure::ConditionFailed | Failure::NoSuchObject => {
                let words = format!("the entry kept changing while it was being written: {error}");
                Ok(After::Settled(Ending { code: error.code, ..Ending::new(OutcomeKind::Conflict, words) }))
            }
            Failure::Busy if tries < TRIES => {
                let pause = Duration::from_millis(100u64 << tries.min(6));
                let until = self.ports.time.now().checked_add(pause).unwrap_or_else(|_| self.ports.time.now());
                self.ports.time.sleep_until(until).await;
                Ok(After::Again)
            }
            // The outcome is not known: it is observed on a new connection before anything else.
            Failure::Unknown if tries < TRIES => Ok(After::Again),
            Failure::Busy | Failure::Unknown | Failure::Unreachable | Failure::Credentials => {
                Err(CutoverError::Store { op: task.id.clone(), source: error })
            }
        }
    }

    /// Puts an operation off that was not begun: the entry at its other end is not there. What is recorded already is not recorded
    /// again.
    pub(crate) async fn defer(&self, task: &Task, why: &str) -> Result<(), CutoverError> {
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
        task: &Task,
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
