//! A ledger's fold for tests: records one after the other, each as a run would write it.

use jiff::{Span, Timestamp};
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::digest::Digest;
use untether_model::operation::{Stage, Track};
use untether_model::plan::{HandoverScope, OrderKind, RollbackScope, WaveRef};
use untether_model::run::{
    BatchState, CellOutcome, CellState, ClaimedSubject, Illegal, Observation, Observed, Outcome, OutcomeKind, ParkReason, Part,
    Record, RunState, Sealed, Started, SubjectState, WaveClaim, apply, concerned,
};
use untether_model::{BatchId, EntityId, OpId, PlanId, Round, Side, StateId, SubjectId, WaveId};

use Stage::{Attest, Disable, Enroll, Provision, Remove, Scrub, Soak, Switch};

/// The stages of a mover in these tests.
pub const MOVES: [Stage; 4] = [Provision, Enroll, Switch, Disable];
/// The stages of a leaver.
pub const LEAVES: [Stage; 5] = [Disable, Soak, Scrub, Remove, Attest];

pub fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

pub fn at(seq: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Span::new().seconds(i64::try_from(seq).unwrap())
}

pub fn plan_id(plan: &str) -> PlanId {
    PlanId::new(plan)
}

pub fn wave_id(plan: &str) -> WaveId {
    WaveId::new(plan_id(plan), "w")
}

/// The wave's only batch.
pub fn batch_id(plan: &str) -> BatchId {
    BatchId::new(wave_id(plan), "b01")
}

pub fn op(plan: &str, n: u32) -> OpId {
    OpId::new(batch_id(plan), n)
}

pub fn id(subject: &str) -> SubjectId {
    SubjectId::new(subject)
}

pub fn wave_ref() -> WaveRef {
    WaveRef { name: "w".into(), digest: digest("wave"), blobs: Vec::new(), subjects: 1, operations: 1, batches: 1 }
}

pub fn plan_recorded(plan: &str) -> Record {
    Record::PlanRecorded {
        plan: plan_id(plan),
        digest: digest(plan),
        parent: None,
        snapshot: None,
        waves: vec![wave_ref()],
        report: None,
        executable: true,
        forecast: None,
    }
}

pub fn order_recorded(order: &str, order_kind: OrderKind, concerns: Vec<(BatchId, Vec<SubjectId>)>) -> Record {
    let (order, digest) = (plan_id(order), digest(order));
    Record::OrderRecorded { order, digest, order_kind, wave: wave_ref(), approvals_needed: 1, concerns }
}

pub fn rollback(scope: RollbackScope, to: Stage) -> OrderKind {
    OrderKind::Rollback { scope, to, delete_provisioned: false, enable_inactive: false }
}

pub fn reissue() -> OrderKind {
    OrderKind::Reissue { scope: HandoverScope::default(), reset: false }
}

pub fn claim(subject: &str, stages: &[Stage]) -> ClaimedSubject {
    ClaimedSubject { id: id(subject), track: Track::Migrate, entity: EntityId::new("acme"), stages: stages.to_vec() }
}

pub fn wave_started(plan: &str, subjects: Vec<ClaimedSubject>) -> Record {
    let claims = vec![WaveClaim { batch: "b01".into(), canary: true, subjects }];
    Record::WaveStarted { wave: wave_id(plan), digest: digest("wave"), claims, failure_tolerance: 3 }
}

pub fn stage_started(plan: &str, stage: Stage) -> Record {
    Record::StageStarted { batch: batch_id(plan), stage, round: Round::FIRST, operations: 1 }
}

pub fn stage_ended(plan: &str, stage: Stage) -> Record {
    Record::StageEnded { batch: batch_id(plan), stage, round: Round::FIRST }
}

pub fn started(op: &OpId, stage: Stage, subjects: &[&str]) -> Record {
    let started = Started {
        op: op.clone(),
        stage,
        subjects: subjects.iter().copied().map(id).collect(),
        attempt: 1,
        store: Side::Shared,
        stable_id: None,
        change_marker: None,
        before: Sealed(String::new()),
        desired: Sealed(String::new()),
        marks: Default::default(),
    };
    Record::Started { started }
}

pub fn outcome(op: &OpId, stage: Stage, started: Option<u64>, cells: &[(Option<&str>, OutcomeKind)]) -> Outcome {
    let cells = cells.iter().map(|(subject, kind)| CellOutcome { subject: subject.map(id), kind: *kind }).collect();
    Outcome { op: op.clone(), stage, started, cells, code: None, message: "as it went".into(), stable_id: None, image: None }
}

pub fn ended(op: &OpId, stage: Stage, started: Option<u64>, subject: &str, kind: OutcomeKind) -> Record {
    Record::Outcome { outcome: outcome(op, stage, started, &[(Some(subject), kind)]) }
}

pub fn parked(subject: &str, stage: Stage, reason: ParkReason) -> Record {
    let (subject, batch) = (id(subject), batch_id("p"));
    Record::Parked { subject, batch, reason, stage, details: "why".into(), presence: None }
}

pub fn unparked(subject: &str) -> Record {
    Record::Unparked { subject: id(subject), batch: batch_id("p"), by: "alice".into(), reason: "looked".into() }
}

pub fn caught_up(subject: &str, stage: Stage) -> Record {
    Record::CaughtUp { subject: id(subject), batch: batch_id("p"), stage }
}

pub fn aborted(plan: &str) -> Record {
    Record::Aborted { wave: wave_id(plan), by: "alice".into(), reason: "wrong people".into() }
}

pub fn drift(op: &OpId, stage: Stage, subject: &str, over: bool) -> Record {
    Record::Drift { op: op.clone(), subject: Some(id(subject)), stage, seen: "open again".into(), over }
}

pub fn resolved(op: &OpId, subject: &str, verb: &str, order: Option<&str>) -> Record {
    Record::Resolved {
        op: op.clone(),
        subject: Some(id(subject)),
        verb: verb.into(),
        order: order.map(plan_id),
        by: "alice".into(),
        reason: "looked".into(),
    }
}

pub fn rolled_back(order: &str, batch: Option<&str>, subjects: &[&str], to: Stage, round: u32) -> Record {
    let subjects = subjects.iter().copied().map(id).collect();
    Record::RolledBack { order: plan_id(order), batch: batch.map(batch_id), subjects, to, round: Round(round), kept: Vec::new() }
}

pub fn signed(subject: Subject, approver: &str, key: &str, not_after: u64) -> Signed {
    let statement = Statement { state: StateId::new("s"), subject, reason: "reviewed".into(), not_after: at(not_after) };
    Signed { statement, approver: approver.into(), key: key.into(), signature: String::new() }
}

pub fn observed(what: Observation) -> Record {
    let observed = Observed { what, source: "probe".into(), coverage: "all".into(), from: at(1), to: at(2), expires: None };
    Record::Observed { observed }
}

/// What the records so far amount to.
pub struct Fold {
    pub state: RunState,
    pub seq: u64,
}

impl Fold {
    pub fn new() -> Self {
        Self { state: RunState::new(), seq: 0 }
    }

    /// A started wave of plan `p` with one batch.
    pub fn wave(subjects: Vec<ClaimedSubject>) -> Self {
        let mut fold = Self::new();
        fold.add(&plan_recorded("p"));
        fold.add(&wave_started("p", subjects));
        fold
    }

    fn try_add(&self, record: &Record) -> Result<untether_model::run::Change, Illegal> {
        let whole = apply(&self.state, self.seq + 1, at(self.seq + 1), record);
        // Whoever has only those at hand whom the record concerns comes to the same.
        let concerned = concerned(&self.state, record);
        let mut some = RunState::new();
        for part in self.state.parts() {
            let of = match &part {
                Part::Subject(subject, _) | Part::Proof(subject, _) => Some(subject),
                Part::Cell(key, _) => key.subject.as_ref(),
                _ => None,
            };
            if of.is_none_or(|of| concerned.contains(of)) {
                some.put(part);
            }
        }
        assert_eq!(apply(&some, self.seq + 1, at(self.seq + 1), record), whole, "concerned: {concerned:?}");
        whole
    }

    /// Writes a record: its number.
    pub fn add(&mut self, record: &Record) -> u64 {
        let change = self.try_add(record).unwrap_or_else(|illegal| panic!("{illegal}"));
        self.state.commit(change);
        self.seq += 1;
        self.seq
    }

    /// Why the record is not allowed.
    pub fn refused(&self, record: &Record) -> String {
        let Err(illegal) = self.try_add(record) else { panic!("it is allowed: {record:?}") };
        assert_eq!(illegal.seq, self.seq + 1);
        assert!(illegal.to_string().contains(illegal.kind), "{illegal}");
        illegal.reason
    }

    /// Begins an operation and ends it so.
    pub fn carried_out(&mut self, op: &OpId, stage: Stage, subject: &str, kind: OutcomeKind) -> u64 {
        let intent = self.add(&started(op, stage, &[subject]));
        self.add(&ended(op, stage, Some(intent), subject, kind));
        intent
    }

    /// Takes the batch through a stage in which there is nothing to do.
    pub fn through(&mut self, stage: Stage) {
        self.add(&stage_started("p", stage));
        self.add(&stage_ended("p", stage));
    }

    pub fn subject(&self, subject: &str) -> &SubjectState {
        self.state.subjects().get(&id(subject)).unwrap()
    }

    pub fn batch(&self) -> &BatchState {
        &self.state.batches()[&batch_id("p")]
    }

    pub fn cell(&self, op: &OpId, subject: &str) -> &CellState {
        self.state.cell(op, Some(&id(subject))).unwrap()
    }
}

/// A wave whose people have come to this stage, which has begun.
pub fn in_stage(stage: Stage, subjects: &[&str]) -> Fold {
    let mut fold = Fold::wave(subjects.iter().map(|subject| claim(subject, &MOVES)).collect());
    for before in MOVES.into_iter().filter(|before| *before < stage) {
        fold.through(before);
    }
    fold.add(&stage_started("p", stage));
    fold
}

/// Somebody whom a stage has disabled, and the operation that did.
pub fn finished(subject: &str) -> (Fold, OpId) {
    let mut fold = in_stage(Disable, &[subject]);
    let lock = op("p", 4);
    fold.carried_out(&lock, Disable, subject, OutcomeKind::Succeeded);
    fold.add(&stage_ended("p", Disable));
    (fold, lock)
}
