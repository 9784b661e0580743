//! Counts that `status` shows: a small fold over the records, at the grain of batches.
//!
//! It needs nothing but the records, so that whoever looks can fold the ledger's tail onto the summary that the engine wrote
//! last, whether the engine lives or is dead.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decision::DecisionId;
use super::exceptions::Exceptions;
use super::record::{OutcomeKind, Record, WaveClaim};
use crate::operation::Stage;
use crate::{BatchId, OpId, Round, Side, StateId, SubjectId, WaveId};

/// A cell whose effect no longer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// The operation.
    pub op: OpId,
    /// The subject.
    pub subject: Option<SubjectId>,
    /// The operation's stage.
    pub stage: Stage,
}

/// Counts of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSummary {
    /// The first of its wave.
    pub canary: bool,
    /// Subjects that it began with.
    pub subjects: u64,
    /// Of these, parked now.
    pub parked: u64,
    /// The stage that it is in.
    pub current: Option<Stage>,
    /// The last stage that it has ended.
    pub ended: Option<Stage>,
    /// Since when it is where it is.
    pub since: Option<Timestamp>,
    /// Operations of the current stage.
    pub operations: u64,
    /// Cells of the current stage that have ended.
    pub done: u64,
    /// Refusals and conflicts in all.
    pub failed: u64,
    /// Conflicts that nobody has decided on.
    pub conflicts: u64,
    /// Effects that no longer hold, and that nobody has decided on or put right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifted: Vec<Drifted>,
    /// It is halted, for this reason.
    pub halted: Option<String>,
    /// What it was last seen to wait for; written by the engine, not folded from records.
    pub waiting: Option<String>,
    /// Its round.
    pub round: u32,
}

/// Counts of one wave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveSummary {
    /// `running`, `ended` or `aborted`.
    pub status: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Its batches.
    pub batches: BTreeMap<String, BatchSummary>,
}

/// How fast a store was being written to; written by the engine, not folded from records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateSummary {
    /// When that was.
    pub at: Option<Timestamp>,
    /// Writes that were answered, a second.
    pub per_second: f64,
    /// Operations in flight.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Why the limit is what it is.
    pub why: String,
}

/// What `status` shows, as of one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The state that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateId>,
    /// The last record that is counted.
    pub seq: u64,
    /// When it was written.
    pub at: Option<Timestamp>,
    /// Nothing new is started: who, why.
    pub paused: Option<(String, String)>,
    /// Upper limit of operations in flight.
    pub throttle: Option<u32>,
    /// When the last audit was recorded, and its findings by severity (`severe`, `other`).
    pub last_audit: Option<(Timestamp, u64, u64)>,
    /// What people let stand for a while.
    #[serde(default)]
    pub exceptions: Exceptions,
    /// Findings that are gone, as of the last audit that compared.
    #[serde(default)]
    pub solved: u64,
    /// Plans recorded.
    pub plans: u64,
    /// Started waves.
    pub waves: BTreeMap<WaveId, WaveSummary>,
    /// Rollbacks that ended.
    pub rollbacks: u64,
    /// How fast the stores were being written to last.
    #[serde(default)]
    pub rates: BTreeMap<Side, RateSummary>,
}

impl Summary {
    /// Notes what a batch waits for, until it goes on.
    pub fn waits(&mut self, batch: &BatchId, reason: String) {
        if self.knows(batch) {
            self.batch(batch).waiting = Some(reason);
        }
    }

    /// Passes a record that changes no count.
    pub fn pass(&mut self, seq: u64, at: Timestamp) {
        if seq > self.seq {
            self.seq = seq;
            self.at = Some(at);
        }
    }

    /// Takes in the next record.
    pub fn fold(&mut self, seq: u64, at: Timestamp, record: &Record) {
        if seq <= self.seq {
            return;
        }
        self.pass(seq, at);
        match record {
            Record::StateCreated { state, .. } => self.state = Some(state.clone()),
            Record::AuditRecorded { counts, taken_at, compared, .. } => {
                self.exceptions.audit(seq, compared.as_ref());
                if let Some(compared) = compared {
                    self.solved = compared.solved.iter().map(|c| c.findings).sum();
                }
                let severe = counts.iter().map(|c| c.severe).sum();
                let all: u64 = counts.iter().map(|c| c.findings).sum();
                self.last_audit = Some((*taken_at, severe, all.saturating_sub(severe)));
            }
            Record::Decision { decision, signed } => {
                let said = (signed.approver.as_str(), signed.statement.reason.as_str());
                self.exceptions.decision(DecisionId::alone(seq), decision, said);
            }
            Record::Decisions { decisions, signed } => {
                for (item, decided) in (1..).zip(decisions) {
                    let reason = decided.reason.as_deref().unwrap_or(&signed.statement.reason);
                    let id = DecisionId { record: seq, item };
                    self.exceptions.decision(id, &decided.decision, (&signed.approver, reason));
                }
            }
            Record::PlanRecorded { .. } => self.plans += 1,
            Record::WaveStarted { wave, claims, .. } => {
                self.taken(claims);
                let summary = self.waves.entry(wave.clone()).or_default();
                summary.status = "running".to_owned();
                summary.started_at = Some(at);
                for claim in claims {
                    let batch = summary.batches.entry(claim.batch.clone()).or_default();
                    batch.canary = claim.canary;
                    batch.subjects = u64::try_from(claim.subjects.len()).unwrap_or(u64::MAX);
                    batch.round = Round::FIRST.0;
                }
            }
            Record::StageStarted { batch, stage, operations, .. } => {
                let batch = self.batch(batch);
                batch.current = Some(*stage);
                batch.since = Some(at);
                batch.operations = *operations;
                batch.done = 0;
                batch.waiting = None;
            }
            Record::StageEnded { batch, stage, .. } => {
                let batch = self.batch(batch);
                batch.current = None;
                batch.ended = Some(*stage);
                batch.since = Some(at);
                batch.waiting = None;
            }
            Record::Outcome { outcome } => {
                let count = |wanted: fn(OutcomeKind) -> bool| {
                    u64::try_from(outcome.cells.iter().filter(|c| wanted(c.kind)).count()).unwrap_or(u64::MAX)
                };
                let done = count(|kind| kind != OutcomeKind::Unknown);
                let failed = count(|kind| matches!(kind, OutcomeKind::Refused | OutcomeKind::Conflict));
                let conflicts = count(|kind| kind == OutcomeKind::Conflict);
                if self.knows(&outcome.op.batch) {
                    let batch = self.batch(&outcome.op.batch);
                    batch.done += done;
                    batch.failed += failed;
                    batch.conflicts += conflicts;
                }
            }
            Record::Resolved { op, subject, .. } if self.knows(&op.batch) => {
                let batch = self.batch(&op.batch);
                match batch.drifted.iter().position(|cell| cell.op == *op && cell.subject == *subject) {
                    Some(at) => drop(batch.drifted.remove(at)),
                    None => batch.conflicts = batch.conflicts.saturating_sub(1),
                }
            }
            Record::Drift { op, subject, stage, over, .. } if self.knows(&op.batch) => {
                let cell = Drifted { op: op.clone(), subject: subject.clone(), stage: *stage };
                let drifted = &mut self.batch(&op.batch).drifted;
                drifted.retain(|known| *known != cell);
                drifted.extend((!over).then_some(cell));
            }
            Record::Parked { batch, .. } => self.batch(batch).parked += 1,
            Record::Unparked { batch, .. } => {
                let batch = self.batch(batch);
                batch.parked = batch.parked.saturating_sub(1);
            }
            Record::Halted { batch, reason } => self.batch(batch).halted = Some(reason.clone()),
            Record::Resumed { batch: Some(batch), .. } => self.batch(batch).halted = None,
            Record::Resumed { batch: None, .. } => self.paused = None,
            Record::Paused { by, reason } => self.paused = Some((by.clone(), reason.clone())),
            Record::Throttled { limit, .. } => self.throttle = *limit,
            Record::RolledBack { batch, subjects, to, round, kept, .. } => {
                self.rollbacks += 1;
                self.forget_drift(|cell, id| {
                    subjects.contains(id) && cell.stage >= *to && !kept.iter().any(|(op, of)| *op == cell.op && of == id)
                });
                if let Some(id) = batch {
                    let status = &mut self.waves.entry(id.wave.clone()).or_default().status;
                    if status == "ended" {
                        *status = "running".to_owned();
                    }
                    let batch = self.batch(id);
                    batch.current = None;
                    batch.ended = to.previous().filter(|stage| batch.ended.is_some_and(|ended| *stage <= ended));
                    batch.round = round.0;
                    batch.halted = Some(format!("rolled back to before {to}"));
                    batch.since = Some(at);
                    batch.waiting = None;
                }
            }
            Record::WaveEnded { wave } => self.waves.entry(wave.clone()).or_default().status = "ended".to_owned(),
            Record::Aborted { wave, .. } => self.waves.entry(wave.clone()).or_default().status = "aborted".to_owned(),
            _ => {}
        }
    }

    /// A new wave looks at its subjects anew.
    fn taken(&mut self, claims: &[WaveClaim]) {
        let taken: BTreeSet<&SubjectId> = claims.iter().flat_map(|claim| &claim.subjects).map(|subject| &subject.id).collect();
        self.forget_drift(|_, id| taken.contains(id));
    }

    fn forget_drift(&mut self, over: impl Fn(&Drifted, &SubjectId) -> bool) {
        for batch in self.waves.values_mut().flat_map(|wave| wave.batches.values_mut()) {
            batch.drifted.retain(|cell| !cell.subject.as_ref().is_some_and(|id| over(cell, id)));
        }
    }

    fn knows(&self, id: &BatchId) -> bool {
        self.waves.get(&id.wave).is_some_and(|wave| wave.batches.contains_key(id.batch.as_str()))
    }

    fn batch(&mut self, id: &BatchId) -> &mut BatchSummary {
        self.waves.entry(id.wave.clone()).or_default().batches.entry(id.batch.to_string()).or_default()
    }
}
