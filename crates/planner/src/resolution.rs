//! A forced resolution: one operation again, for the subjects in conflict, whatever the world holds now.
//!
//! The person who asks for it has seen the conflict; the order needs two approvals. Knows nothing of how the conflict was found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::digest::Digest;
use untether_model::operation::{Action, Expects, Operation, Target};
use untether_model::plan::{OrderKind, PlanHeader, PlannedStore, PlannedSubject, WaveRef};
use untether_model::run::RunState;
use untether_model::{OpId, PlanId, Side, SubjectId};

use crate::lint::LintNote;
use crate::order::{self, BATCH, Draft, Written};
use crate::rollback::Operations;
use crate::source::PlanError;

/// Name of a resolution's only wave.
pub const WAVE: &str = "resolution";

/// What a resolution is made from.
#[derive(Clone, Copy)]
pub struct ResolutionInputs<'a> {
    /// The operation in conflict.
    pub op: &'a OpId,
    /// The subject whose cell it is; `None`: all cells of the operation that are in conflict.
    pub subject: Option<&'a SubjectId>,
    /// The fold of the ledger.
    pub progress: &'a RunState,
    /// The operations that were planned.
    pub operations: &'a dyn Operations,
    /// The stores, with their protected identities.
    pub stores: &'a BTreeMap<Side, PlannedStore>,
    /// The time; it goes into the order's head only.
    pub now: Timestamp,
}

/// A resolution, ready to be recorded and shown.
#[derive(Debug)]
#[must_use = "an order that is not recorded cannot be approved"]
pub struct Resolution {
    /// Its id.
    pub id: PlanId,
    /// Its digest: SHA-256 of `bytes`.
    pub digest: Digest,
    /// Its head.
    pub header: PlanHeader,
    /// The exact bytes of the head's JSON.
    pub bytes: Vec<u8>,
    /// Its only wave.
    pub wave: WaveRef,
    /// The exact bytes of the wave's file.
    pub lines: Vec<u8>,
    /// The operation as it is forced.
    pub operation: Operation,
    /// People that must approve it.
    pub approvals_needed: u8,
    /// Notes of the linter, the worst first.
    pub lint: Vec<LintNote>,
}

/// Computes the order; an error where nothing is in conflict or force has no meaning.
pub fn resolution(inputs: &ResolutionInputs<'_>) -> Result<Resolution, PlanError> {
    let in_conflict: Vec<SubjectId> = inputs
        .progress
        .cells()
        .iter()
        .filter(|(key, cell)| key.op == *inputs.op && cell.awaits_decision())
        .filter_map(|(key, _)| key.subject.clone())
        .filter(|id| inputs.subject.is_none_or(|wanted| wanted == id))
        .collect();
    if in_conflict.is_empty() {
        return Err(PlanError::Request(format!("operation {} is not in conflict: there is nothing to force", inputs.op)));
    }
    let kind = inputs.progress.orders().get(&inputs.op.batch.wave.plan).map(|order| &order.kind);
    if matches!(kind, Some(OrderKind::Reissue { .. } | OrderKind::Expire { .. })) {
        return Err(PlanError::Request(format!(
            "operation {} belongs to an order about one-time credentials, which is never forced: somebody may use theirs by now; make \
             a new one with `untether handover`",
            inputs.op
        )));
    }
    let read = inputs.operations.operation(inputs.op);
    let operation = read.map_err(|cause| PlanError::Journal { what: format!("operation {}", inputs.op), cause })?;
    let operation = forced(operation, &in_conflict, inputs.op)?;
    let operation = Operation { target: target(inputs, &operation)?, ..operation };
    write(inputs, operation, &in_conflict)
}

fn forced(mut operation: Operation, subjects: &[SubjectId], id: &OpId) -> Result<Operation, PlanError> {
    match &mut operation.action {
        Action::Set { touches } => {
            for touch in touches {
                touch.expects = Expects::Any;
            }
        }
        Action::Ensure { values, .. } => {
            let kept = operation.subjects.iter().zip(values.iter()).filter(|(id, _)| subjects.contains(id));
            *values = kept.map(|(_, value)| value.clone()).collect();
        }
        Action::Delete => {}
        Action::Create { .. } | Action::Recreate { .. } => {
            return Err(PlanError::Request(format!(
                "operation {id} cannot be forced: another entry has its name; rename or match that entry, then `retry`, or `resolve \
                 --skip`"
            )));
        }
        Action::Deliver { .. } | Action::Attest { .. } => {
            return Err(PlanError::Request(format!("operation {id} changes no entry and cannot be forced; use `retry`")));
        }
    }
    operation.subjects.retain(|id| subjects.contains(id));
    operation.reason = format!("forced over a conflict: {}", operation.reason);
    Ok(operation)
}

/// The entry, by the id that it has: the order stands alone, so that no other operation of it could have created the entry.
fn target(inputs: &ResolutionInputs<'_>, operation: &Operation) -> Result<Target, PlanError> {
    let Target::CreatedBy { n, dn } = &operation.target else { return Ok(operation.target.clone()) };
    let creator = OpId::new(inputs.op.batch.clone(), *n);
    let cells = operation.subjects.iter().filter_map(|id| inputs.progress.cell(&creator, Some(id)));
    match cells.filter_map(|cell| cell.created.clone()).next() {
        Some(stable_id) => Ok(Target::Existing { dn: dn.clone(), stable_id }),
        None => Err(PlanError::Request(format!(
            "operation {} cannot be forced: its entry {dn} was not made yet; `resolve` operation {creator} first, then `retry`",
            inputs.op
        ))),
    }
}

fn write(inputs: &ResolutionInputs<'_>, mut operation: Operation, subjects: &[SubjectId]) -> Result<Resolution, PlanError> {
    let mut members: Vec<PlannedSubject> = Vec::new();
    for id in subjects {
        let batch = &inputs.op.batch;
        let read = inputs.operations.subject(batch, id);
        let found = read.map_err(|cause| PlanError::Journal { what: format!("subject {id} of batch {batch}"), cause })?;
        members.extend(found.map(|s| PlannedSubject { stages: vec![operation.stage], ..s }));
    }
    operation.batch = BATCH.to_owned();
    operation.n = 1;
    let cells: Vec<_> = subjects.iter().map(|id| inputs.progress.cell(inputs.op, Some(id))).collect();
    let taken = serde_json::to_vec(&cells).map_err(|cause| PlanError::Json { what: "the progress", cause })?;
    let Written { id, digest, header, bytes, wave, lines, lint } = order::write(Draft {
        wave: WAVE,
        kind: OrderKind::Resolution { op: inputs.op.clone() },
        parent: Some(inputs.op.batch.wave.plan.clone()),
        progress: inputs.progress,
        taken: Digest::of(&taken),
        stores: inputs.stores,
        now: inputs.now,
        members,
        operations: std::slice::from_ref(&operation),
    })?;
    Ok(Resolution { id, digest, header, bytes, wave, lines, operation, approvals_needed: 2, lint })
}
