//! The pure resume plan: what a cell, an approval or a batch still needs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::record::{OutcomeKind, ParkReason};
use super::state::{CellStatus, OrderState, OrderStatus, RunState};
use crate::approval::Subject;
use crate::digest::Digest;
use crate::operation::Stage;
use crate::plan::OrderKind;
use crate::{BatchId, OpId, PlanId, Round, SubjectId};

/// What is to be done with a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellStand {
    /// Nothing was tried in this round, or it was deferred: observe, decide, journal, act.
    Fresh,
    /// An intent has no outcome: observe, and end it as `observed`, act again, or call it a conflict.
    Observe {
        /// Sequence number of the intent.
        started: u64,
        /// Attempts so far.
        attempts: u32,
    },
    /// The effect is in place.
    Done(OutcomeKind),
    /// Refused or in conflict: a `retry` or a decision takes it up.
    Failed(OutcomeKind),
}

/// Where a cell stands, whatever happened before.
pub fn cell_stand(state: &RunState, op: &OpId, subject: Option<&SubjectId>) -> CellStand {
    let Some(cell) = state.cell(op, subject) else { return CellStand::Fresh };
    match (cell.status, cell.started) {
        (CellStatus::Open, Some(started)) => CellStand::Observe { started, attempts: cell.attempts },
        (CellStatus::Open, None) => CellStand::Fresh,
        (CellStatus::Ended(_), _) if cell.undone => CellStand::Fresh,
        (CellStatus::Ended(OutcomeKind::Deferred), _) => CellStand::Fresh,
        (CellStatus::Ended(kind), _) if kind.is_done() => CellStand::Done(kind),
        (CellStatus::Ended(kind), _) => CellStand::Failed(kind),
    }
}

/// How an unparked subject stands to the stage that its batch is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// With its batch.
    WithBatch,
    /// Catching up alone, in this stage.
    CatchingUp(Stage),
    /// Parked: nothing is done for it.
    Parked,
    /// Another batch or nobody has it.
    Elsewhere,
}

/// How a subject stands to a batch.
pub fn stand(state: &RunState, batch: &BatchId, subject: &SubjectId) -> Stand {
    match state.subjects().get(subject) {
        Some(s) if s.batch == *batch && s.claimed => match (&s.parked, s.catching_up, s.next_stage()) {
            (Some(_), _, _) => Stand::Parked,
            (None, true, Some(stage)) => Stand::CatchingUp(stage),
            _ => Stand::WithBatch,
        },
        _ => Stand::Elsewhere,
    }
}

/// Whether a parked subject may be taken up again by its wave: it still has it, and nothing of it waits for a decision. A subject
/// that was finished once is taken by a new plan only.
pub fn retriable(state: &RunState, id: &SubjectId) -> bool {
    let Some(subject) = state.subjects().get(id).filter(|s| s.claimed) else { return false };
    let parked = subject.parked.as_ref().is_some_and(|p| !matches!(p.reason, ParkReason::Aborted | ParkReason::Reopened));
    let undecided = state.cells_of(id).any(|(op, cell)| {
        let here = op.batch.wave == subject.batch.wave;
        let conflict = here && !cell.forced && !cell.undone && cell.status == CellStatus::Ended(OutcomeKind::Conflict);
        conflict || cell.drift.is_some() && (here || cell.applied)
    });
    parked && !undecided
}

/// An order that has begun, has not ended, and concerns somebody whom the batch holds: a rollback, whose undoing forward work would
/// undo; or one about one-time credentials that may have a change under way.
pub fn unfinished_order(state: &RunState, batch: &BatchId) -> Option<PlanId> {
    let here = |subject: &SubjectId| state.subjects().get(subject).is_some_and(|s| s.batch == *batch);
    let in_the_way = |id: &PlanId, order: &OrderState| match order.kind {
        OrderKind::Rollback { .. } => true,
        OrderKind::Reissue { .. } | OrderKind::Expire { .. } => has_open_cells(state, id, order),
        _ => false,
    };
    let mut begun = state.orders().iter().filter(|(id, o)| o.status == OrderStatus::Running && in_the_way(id, o));
    begun.find(|(_, o)| o.concerns.iter().any(|(_, subjects)| subjects.iter().any(here))).map(|(id, _)| id.clone())
}

/// A rollback that has begun, has not ended, and concerns the subject: what it has taken back must not be given again behind its back.
pub fn unfinished_rollback<'a>(state: &'a RunState, subject: &SubjectId) -> Option<&'a PlanId> {
    let undoes = |order: &OrderState| matches!(order.kind, OrderKind::Rollback { .. }) && order.status == OrderStatus::Running;
    let mut begun = state.orders().iter().filter(|(_, order)| undoes(order));
    begun.find(|(_, order)| order.concerns.iter().any(|(_, subjects)| subjects.contains(subject))).map(|(id, _)| id)
}

/// The batch that is disabling the subject's account in the shared store now, if one is: its gates were asked when it began.
pub fn being_disabled<'a>(state: &'a RunState, subject: &SubjectId) -> Option<&'a BatchId> {
    let found = state.subjects().get(subject).filter(|s| s.claimed && s.parked.is_none() && !s.catching_up)?;
    let batch = state.batches().get(&found.batch)?;
    (batch.current == Some(Stage::Disable)).then_some(&found.batch)
}

/// Whether an operation of an order about people's accounts has no outcome yet.
pub(super) fn has_open_cells(state: &RunState, id: &PlanId, order: &OrderState) -> bool {
    let mut subjects = order.concerns.iter().flat_map(|(_, subjects)| subjects);
    subjects.any(|subject| state.cells_of(subject).any(|(op, cell)| op.batch.wave.plan == *id && cell.status == CellStatus::Open))
}

/// An approval that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalGap {
    /// People that have approved, now.
    pub have: BTreeSet<String>,
    /// How many different people are needed.
    pub needed: u8,
    /// The stage that is to begin.
    pub stage: Stage,
    /// The round.
    pub round: Round,
}

/// The people whose approval covers this stage of this order now; `since`: what was approved before that record does not count.
pub fn approvers(
    state: &RunState,
    digest: &Digest,
    wave: &str,
    (round, since, stage): (Round, u64, Stage),
    now: Timestamp,
) -> BTreeSet<String> {
    let covers = |subject: &Subject| match subject {
        Subject::Order { digest: d, wave: w, round: r, through } => d == digest && w == wave && *r == round && *through >= stage,
        Subject::Object { .. } => false,
    };
    people(state, (since, now), covers)
}

/// Who has signed for an object (`forget`, `protected-group`), of those who were shown this, now.
pub fn object_approvers(state: &RunState, kind: &str, object: &str, shown: &Digest, now: Timestamp) -> BTreeSet<String> {
    people(state, (0, now), |subject| match subject {
        Subject::Order { .. } => false,
        Subject::Object { kind: k, object: o, shown: s } => k == kind && o == object && s == shown,
    })
}

/// The people behind the approvals that fit and are in force. One key is one person, under whatever names it is configured.
fn people(state: &RunState, (since, now): (u64, Timestamp), covers: impl Fn(&Subject) -> bool) -> BTreeSet<String> {
    let in_force = state
        .approvals()
        .range(since..)
        .map(|(_, approval)| approval)
        .filter(|a| !a.revoked && now <= a.signed.statement.not_after && covers(&a.signed.statement.subject));
    let by_key: BTreeMap<&str, &str> = in_force.map(|a| (a.signed.key.as_str(), a.signed.approver.as_str())).collect();
    by_key.into_values().map(str::to_owned).collect()
}

/// What is missing for a stage to begin: one person for a reversible stage, two different ones for an irreversible one.
pub fn missing_approvals(
    state: &RunState,
    digest: &Digest,
    wave: &str,
    (round, since, stage): (Round, u64, Stage),
    (needed_at_least, now): (u8, Timestamp),
) -> Option<ApprovalGap> {
    let have = approvers(state, digest, wave, (round, since, stage), now);
    let needed = if stage.is_irreversible() { 2 } else { 1 }.max(needed_at_least);
    (have.len() < usize::from(needed)).then_some(ApprovalGap { have, needed, stage, round })
}
