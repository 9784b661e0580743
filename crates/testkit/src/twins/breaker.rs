//! Kills a run at a chosen boundary of the operation protocol.
//!
//! Killing means: from that moment on nothing that the run asks for happens or answers; whoever waits on [`Breaker::down`] then
//! drops the run, and with it all memory that it had.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Actor, Desired, Operation, Stage};
use untether_model::plan::{OrderKind, PlanHeader, Wave};
use untether_model::run::Record;
use untether_model::{OpId, Side};

/// Where in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// A record is about to be handed to the journal: it is lost.
    BeforeRecord,
    /// A record is durable, and nobody was told.
    AfterRecord,
    /// A write is about to be sent: it is lost.
    BeforeWrite,
    /// A write was carried out, and its answer is lost.
    AfterWrite,
    /// The store is about to be asked something.
    BeforeRead,
    /// Something is about to be handed to people.
    BeforeHandover,
    /// It was handed over, and nobody was told.
    AfterHandover,
    /// The disk dies while a record is made durable, and the machine with it.
    InCommit,
    /// The database is being made again from the ledger.
    InRebuild,
}

impl Boundary {
    /// Its name in a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::BeforeRecord => "before a record",
            Self::AfterRecord => "after a record",
            Self::BeforeWrite => "before an effect",
            Self::AfterWrite => "after an effect whose reply is lost",
            Self::BeforeRead => "before a look",
            Self::BeforeHandover => "before a hand-over",
            Self::AfterHandover => "after a hand-over",
            Self::InCommit => "in a commit",
            Self::InRebuild => "in a rebuild",
        }
    }
}

/// A class of boundaries: what the crash matrix counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Where in the protocol.
    pub boundary: Boundary,
    /// It belongs to a rollback.
    pub undoing: bool,
    /// The stage, where it belongs to an operation or a stage.
    pub stage: Option<Stage>,
    /// The kind of record or of operation.
    pub what: String,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.undoing { "rollback to" } else { "forward" };
        let stage = self.stage.map_or("-", Stage::as_str);
        write!(f, "{:?} of {} ({direction} {stage})", self.boundary, self.what)
    }
}

#[derive(Clone, Debug)]
struct Known {
    undoing: bool,
    stage: Stage,
    what: &'static str,
    place: (Side, DnKey),
}

#[derive(Default)]
struct Inner {
    operations: BTreeMap<OpId, Known>,
    /// The operation that is at work on an entry, also when the process that began it is dead.
    working: BTreeMap<(Side, DnKey), Known>,
    visits: u64,
    armed: Option<u64>,
    down: bool,
    seen: Vec<Point>,
    committed: Vec<(Point, Range<u64>)>,
    fired: Option<Point>,
}

/// The breaker of one machine; clones share it.
#[derive(Clone, Default)]
pub struct Breaker {
    inner: Arc<Mutex<Inner>>,
    broken: Arc<Notify>,
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns the operations of an order, so that what is written can be told apart.
    pub fn learn(&self, header: &PlanHeader, wave: &Wave) {
        let undoing = matches!(header.kind, OrderKind::Rollback { .. });
        let mut inner = self.lock();
        for op in wave.operations() {
            let what = kind_of(op);
            let place = (op.store, op.target.dn().key().clone());
            inner.operations.insert(wave.op_id(op), Known { undoing, stage: op.stage, what, place });
        }
    }

    /// Kills at the `n`th boundary from now on, counted from 0; `None`: at none. Begins to note boundaries anew.
    pub fn arm(&self, n: Option<u64>) {
        let mut inner = self.lock();
        inner.visits = 0;
        inner.armed = n;
        inner.down = false;
        inner.seen.clear();
        inner.committed.clear();
        inner.fired = None;
    }

    /// The boundaries that were met since it was armed.
    pub fn seen(&self) -> Vec<Point> {
        self.lock().seen.clone()
    }

    /// The records that were made durable since it was armed, each with the operations of the disk that it took.
    pub fn committed(&self) -> Vec<(Point, Range<u64>)> {
        self.lock().committed.clone()
    }

    /// Where it killed, if it did.
    pub fn fired(&self) -> Option<Point> {
        self.lock().fired.clone()
    }

    /// Nothing happens or answers any more.
    pub fn is_down(&self) -> bool {
        self.lock().down
    }

    /// Comes back when the run was killed.
    pub async fn down(&self) {
        loop {
            let broken = self.broken.notified();
            if self.is_down() {
                return;
            }
            broken.await;
        }
    }

    /// The run is dead already, or dies here.
    fn visit(&self, point: Point) -> bool {
        let mut inner = self.lock();
        if inner.down {
            return true;
        }
        let dies = inner.armed == Some(inner.visits);
        inner.visits += 1;
        inner.seen.push(point.clone());
        if dies {
            inner.down = true;
            inner.fired = Some(point);
            drop(inner);
            self.broken.notify_waiters();
        }
        dies
    }

    /// A record was made durable by these operations of the disk.
    pub(super) fn note_commit(&self, record: &Record, operations: Range<u64>) {
        let point = self.point(Boundary::InCommit, record);
        self.lock().committed.push((point, operations));
    }

    /// Before a record.
    pub(super) fn before_record(&self, record: &Record) -> bool {
        self.visit(self.point(Boundary::BeforeRecord, record))
    }

    /// After a record, as a boundary to be visited when it is durable.
    pub(super) fn after_record(&self, record: &Record) -> impl FnOnce() -> bool + use<> {
        let (breaker, point) = (self.clone(), self.point(Boundary::AfterRecord, record));
        move || breaker.visit(point)
    }

    fn point(&self, boundary: Boundary, record: &Record) -> Point {
        {
            let mut inner = self.lock();
            let op = match record {
                Record::Started { started } => Some(started.op.clone()),
                Record::Outcome { outcome } => Some(outcome.op.clone()),
                _ => None,
            };
            let known = op.and_then(|op| inner.operations.get(&op).cloned());
            if let (Record::Started { .. }, Some(known)) = (record, &known) {
                inner.working.insert(known.place.clone(), known.clone());
            }
            let kind = kind_of_record(record);
            match known {
                Some(known) => {
                    Point { boundary, undoing: known.undoing, stage: Some(known.stage), what: format!("{kind} {}", known.what) }
                }
                None => {
                    Point { boundary, undoing: matches!(record, Record::RolledBack { .. }), stage: stage_of(record), what: kind }
                }
            }
        }
    }

    /// At a write.
    pub(super) fn at_write(&self, boundary: Boundary, side: Side, dn: &DnKey) -> bool {
        let known = self.lock().working.get(&(side, dn.clone())).cloned();
        let point = match known {
            Some(known) => {
                Point { boundary, undoing: known.undoing, stage: Some(known.stage), what: format!("effect {}", known.what) }
            }
            None => Point { boundary, undoing: false, stage: None, what: "effect of no known operation".to_owned() },
        };
        self.visit(point)
    }

    /// At anything else.
    pub(super) fn at(&self, boundary: Boundary, what: &str) -> bool {
        self.visit(Point { boundary, undoing: false, stage: None, what: what.to_owned() })
    }
}

fn kind_of(op: &Operation) -> &'static str {
    let touches = |name: &str| matches!(&op.action, Action::Set { touches } if touches.iter().any(|t| t.attr.is(name)));
    let secret = matches!(&op.action, Action::Set { touches } if touches.iter().any(|t| t.desired == Desired::OneTimeSecret));
    match &op.action {
        Action::Create { .. } => "create",
        Action::Set { .. } if secret => "set credential",
        Action::Set { .. } if touches("pwdaccountlockedtime") => "set lock",
        Action::Set { .. } if touches("pwdpolicysubentry") => "set policy",
        Action::Set { .. } if op.actor == Actor::Undo => "set as manager",
        Action::Set { .. } => "set",
        Action::Ensure { attr, .. } if attr.is("member") => "membership",
        Action::Ensure { .. } => "reference",
        Action::Delete => "delete",
        Action::Recreate { .. } => "recreate",
        Action::Deliver { .. } => "deliver",
        Action::Attest { .. } => "attest",
    }
}

fn kind_of_record(record: &Record) -> String {
    record.to_parts().map_or_else(|_| "record".to_owned(), |(kind, _)| kind)
}

fn stage_of(record: &Record) -> Option<Stage> {
    match record {
        Record::StageStarted { stage, .. } | Record::StageEnded { stage, .. } | Record::Parked { stage, .. } => Some(*stage),
        Record::RolledBack { to, .. } => Some(*to),
        _ => None,
    }
}
