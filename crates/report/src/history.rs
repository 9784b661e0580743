//! What the fold of the ledger does not keep: which record ended which stage, and what happened to each batch and to the state.
//!
//! Knows nothing of how far a subject is: that is the fold's to say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_model::operation::Stage;
use untether_model::run::{OutcomeKind, ParkReason, Record};
use untether_model::{BatchId, OpId, PlanId, SubjectId, WaveId};

/// A record of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cite {
    /// Its sequence number.
    pub record: u64,
    /// When it was written.
    pub at: Timestamp,
}

/// What happened to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum BatchEventKind {
    /// It began a stage.
    Began {
        /// The stage.
        stage: Stage,
    },
    /// It ended a stage.
    Ended {
        /// The stage.
        stage: Stage,
    },
    /// It was halted.
    Halted {
        /// Why.
        reason: String,
    },
    /// Its halt was lifted.
    Resumed {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// What one of its operations had brought about was gone, or was there again.
    Drifted {
        /// The operation.
        op: OpId,
        /// Its stage.
        stage: Stage,
        /// What was seen.
        seen: String,
        /// Somebody else put it right.
        over: bool,
    },
    /// A person decided on a conflict.
    Resolved {
        /// The operation.
        op: OpId,
        /// `keep-theirs`, `skip` or `force`.
        verb: String,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// It was rolled back.
    RolledBack {
        /// The state before this stage was restored.
        to: Stage,
        /// How many subjects.
        subjects: u64,
        /// The round in which they are now.
        round: u32,
    },
}

/// Something that happened to a batch, with its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchEvent {
    /// The record.
    #[serde(flatten)]
    pub cite: Cite,
    /// What.
    #[serde(flatten)]
    pub what: BatchEventKind,
}

/// What happened to the state as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum StateEventKind {
    /// The ledger had lost its tail, and a person accepted it: what those records said is not known.
    Repaired {
        /// The last sequence number that is known to have existed.
        lost_from: u64,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person accepted a clock that had gone back: times before this record may be wrong.
    ClockAccepted {
        /// Why.
        reason: String,
    },
    /// A wave's key was destroyed: what was sealed with it can be proved no more.
    Forgotten {
        /// The wave.
        wave: WaveId,
        /// Who approved.
        approved_by: Vec<String>,
    },
}

/// Something that happened to the state, with its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateEvent {
    /// The record.
    #[serde(flatten)]
    pub cite: Cite,
    /// What.
    #[serde(flatten)]
    pub what: StateEventKind,
}

/// How operations of a batch have ended, by subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Done by us, or found done.
    pub done: u64,
    /// The server would not.
    pub refused: u64,
    /// Somebody else was at work.
    pub conflicts: u64,
}

impl Outcomes {
    fn add(&mut self, more: Self) {
        self.done += more.done;
        self.refused += more.refused;
        self.conflicts += more.conflicts;
    }
}

/// What the records say of one batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchHistory {
    pub events: Vec<BatchEvent>,
    pub ended: BTreeMap<Stage, Cite>,
    pub outcomes: Outcomes,
    /// Subjects that left it, by reason; who left twice counts twice.
    pub left: BTreeMap<ParkReason, u64>,
    pub disabling: Option<Cite>,
}

/// A rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// The record.
    #[serde(flatten)]
    pub cite: Cite,
    /// The plan.
    pub plan: PlanId,
    /// Operations that it saw refused.
    pub refused: u64,
    /// Operations in all.
    pub operations: u64,
}

/// An approval that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// The record.
    #[serde(flatten)]
    pub cite: Cite,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What the records say beside the fold.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(crate) head: Cite,
    pub(crate) orders: BTreeMap<PlanId, Cite>,
    pub(crate) orders_ended: BTreeMap<PlanId, Cite>,
    pub(crate) rehearsals: Vec<Rehearsal>,
    pub(crate) revocations: BTreeMap<u64, Revocation>,
    pub(crate) waves_started: BTreeMap<WaveId, Cite>,
    pub(crate) waves_closed: BTreeMap<WaveId, Cite>,
    pub(crate) batches: BTreeMap<BatchId, BatchHistory>,
    pub(crate) caught_up: BTreeMap<SubjectId, BTreeMap<Stage, Cite>>,
    /// When statements of people were recorded.
    pub(crate) written: BTreeMap<u64, Timestamp>,
    /// Audits that judged another day than their own: they say nothing about what is there now.
    pub(crate) other_day: BTreeMap<u64, Date>,
    pub(crate) events: Vec<StateEvent>,
    /// Outcomes of the batch that is being worked on, until another one's come: a run of thousands is looked up once.
    working: Option<(BatchId, Outcomes)>,
    /// Cells that we brought about so far, and how many they were at each audit.
    applied: u64,
    applied_at: BTreeMap<u64, u64>,
}

impl History {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next record.
    pub fn take(&mut self, seq: u64, at: Timestamp, record: &Record) {
        let cite = Cite { record: seq, at };
        self.head = cite;
        match record {
            Record::AuditRecorded { as_of: Some(day), .. } => drop(self.other_day.insert(seq, *day)),
            Record::AuditRecorded { as_of: None, .. } => drop(self.applied_at.insert(seq, self.applied)),
            Record::PlanRecorded { plan, .. } => drop(self.orders.insert(plan.clone(), cite)),
            Record::OrderRecorded { order, .. } => drop(self.orders.insert(order.clone(), cite)),
            Record::Rehearsed { plan, refused, operations } => {
                self.rehearsals.push(Rehearsal { cite, plan: plan.clone(), refused: *refused, operations: *operations });
            }
            Record::GateAccepted { .. } | Record::Approved { .. } | Record::Decision { .. } | Record::Decisions { .. } => {
                self.written.insert(seq, at);
            }
            Record::Revoked { approval, by, reason } => {
                self.revocations.insert(*approval, Revocation { cite, by: by.clone(), reason: reason.clone() });
            }
            Record::WaveStarted { wave, .. } => drop(self.waves_started.insert(wave.clone(), cite)),
            Record::WaveEnded { wave } | Record::Aborted { wave, .. } => drop(self.waves_closed.insert(wave.clone(), cite)),
            Record::StageStarted { batch, stage, .. } => {
                if *stage == Stage::Disable {
                    self.batch(batch).disabling.get_or_insert(cite);
                }
                self.event(batch, cite, BatchEventKind::Began { stage: *stage });
            }
            Record::StageEnded { batch, stage, .. } => {
                self.batch(batch).ended.insert(*stage, cite);
                self.event(batch, cite, BatchEventKind::Ended { stage: *stage });
            }
            Record::CaughtUp { subject, stage, .. } => {
                self.caught_up.entry(subject.clone()).or_default().insert(*stage, cite);
            }
            Record::Outcome { outcome } => self.outcome(&outcome.op, outcome.cells.iter().map(|cell| cell.kind)),
            Record::Parked { batch, reason, .. } => *self.batch(batch).left.entry(*reason).or_default() += 1,
            Record::Halted { batch, reason } => self.event(batch, cite, BatchEventKind::Halted { reason: reason.clone() }),
            Record::Resumed { batch: Some(batch), by, reason } => {
                self.event(batch, cite, BatchEventKind::Resumed { by: by.clone(), reason: reason.clone() });
            }
            Record::Drift { op, stage, seen, over, .. } => {
                let (op, seen) = (op.clone(), seen.clone());
                self.event(&op.batch.clone(), cite, BatchEventKind::Drifted { op, stage: *stage, seen, over: *over });
            }
            Record::Resolved { op, verb, order, by, reason, .. } => {
                if let Some(order) = order {
                    self.orders_ended.insert(order.clone(), cite);
                }
                let (op, verb, by, reason) = (op.clone(), verb.clone(), by.clone(), reason.clone());
                self.event(&op.batch.clone(), cite, BatchEventKind::Resolved { op, verb, by, reason });
            }
            Record::OrderEnded { order, .. } => drop(self.orders_ended.insert(order.clone(), cite)),
            Record::RolledBack { order, batch, subjects, to, round, .. } => {
                self.orders_ended.insert(order.clone(), cite);
                // Whoever was rolled back ends these stages anew, in the next round.
                for subject in subjects {
                    if let Some(stages) = self.caught_up.get_mut(subject) {
                        stages.retain(|stage, _| stage < to);
                    }
                }
                if let Some(batch) = batch {
                    let subjects = u64::try_from(subjects.len()).unwrap_or(u64::MAX);
                    self.batch(batch).ended.retain(|stage, _| stage < to);
                    self.event(batch, cite, BatchEventKind::RolledBack { to: *to, subjects, round: round.0 });
                }
            }
            Record::Repaired { lost_from, by, reason } => {
                let what = StateEventKind::Repaired { lost_from: *lost_from, by: by.clone(), reason: reason.clone() };
                self.events.push(StateEvent { cite, what });
            }
            Record::ClockAccepted { reason, .. } => {
                self.events.push(StateEvent { cite, what: StateEventKind::ClockAccepted { reason: reason.clone() } });
            }
            Record::Forgotten { wave, approved_by, .. } => {
                let what = StateEventKind::Forgotten { wave: wave.clone(), approved_by: approved_by.clone() };
                self.events.push(StateEvent { cite, what });
            }
            _ => {}
        }
    }

    /// The record by which a batch ended a stage.
    pub(crate) fn stage_ended(&self, batch: &BatchId, stage: Stage) -> Option<Cite> {
        self.batches.get(batch).and_then(|b| b.ended.get(&stage)).copied()
    }

    /// How the operations of a batch have ended.
    pub(crate) fn outcomes(&self, id: &BatchId) -> Outcomes {
        let mut sum = self.batches.get(id).map(|batch| batch.outcomes).unwrap_or_default();
        if let Some((working, more)) = &self.working
            && working == id
        {
            sum.add(*more);
        }
        sum
    }

    /// Cells that we brought about after an audit.
    pub(crate) fn applied_since(&self, audit: u64) -> u64 {
        self.applied.saturating_sub(self.applied_at.get(&audit).copied().unwrap_or(0))
    }

    fn outcome(&mut self, op: &OpId, kinds: impl Iterator<Item = OutcomeKind>) {
        let mut counts = Outcomes::default();
        for kind in kinds {
            self.applied += u64::from(kind.is_applied());
            match kind {
                OutcomeKind::Refused => counts.refused += 1,
                OutcomeKind::Conflict => counts.conflicts += 1,
                kind if kind.is_done() => counts.done += 1,
                _ => {}
            }
        }
        match &mut self.working {
            Some((batch, sum)) if *batch == op.batch => sum.add(counts),
            _ => {
                self.settle();
                self.working = Some((op.batch.clone(), counts));
            }
        }
    }

    /// Adds the outcomes that were gathered to their batch. Operations of rollbacks and other orders belong to no batch of a wave.
    fn settle(&mut self) {
        if let Some((id, sum)) = self.working.take()
            && let Some(batch) = self.batches.get_mut(&id)
        {
            batch.outcomes.add(sum);
        }
    }

    fn batch(&mut self, id: &BatchId) -> &mut BatchHistory {
        self.batches.entry(id.clone()).or_default()
    }

    fn event(&mut self, batch: &BatchId, cite: Cite, what: BatchEventKind) {
        self.batch(batch).events.push(BatchEvent { cite, what });
    }
}
