//! What is ours and still stands: the applied cells of the concerned subjects with their operations.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::{Action, Operation, UndoClass};
use untether_model::plan::OrderKind;
use untether_model::run::{CellState, CellStatus, Started};
use untether_model::{OpId, StableId, SubjectId};

use super::scope::Scope;
use super::{NotRestored, RollbackInputs};
use crate::source::PlanError;
use crate::undo;

/// One operation with its cells that are taken back.
pub(super) struct Effect {
    pub id: OpId,
    pub operation: Operation,
    /// The subjects, each with the last intent of its cell.
    pub cells: BTreeMap<SubjectId, u64>,
    /// The intents, by sequence number.
    pub intents: BTreeMap<u64, Started>,
    /// Stable id of the entry that it created.
    pub created: Option<StableId>,
}

impl Effect {
    /// The latest intent: effects are ordered by it.
    pub(super) fn latest(&self) -> u64 {
        self.cells.values().copied().max().unwrap_or(0)
    }

    /// The entry's stable id, as the operation knew or found it.
    pub(super) fn stable_id(&self) -> Option<StableId> {
        let known = match &self.operation.target {
            untether_model::operation::Target::Existing { stable_id, .. } => Some(stable_id.clone()),
            _ => None,
        };
        known.or_else(|| self.created.clone()).or_else(|| self.intents.values().rev().find_map(|s| s.stable_id.clone()))
    }
}

/// All effects, the oldest first.
pub(super) struct Timeline {
    pub effects: Vec<Effect>,
    pub not_restored: BTreeSet<NotRestored>,
}

/// An undo of ours is never undone; everything else that wrote is.
fn is_undo(inputs: &RollbackInputs<'_>, op: &OpId) -> bool {
    let order = inputs.progress.orders().get(&op.batch.wave.plan);
    order.is_some_and(|o| matches!(o.kind, OrderKind::Rollback { .. }))
}

/// An intent without outcome may have been applied.
fn stands(cell: &CellState) -> bool {
    !cell.undone && (cell.applied || cell.status == CellStatus::Open)
}

pub(super) fn timeline(inputs: &RollbackInputs<'_>, scope: &Scope) -> Result<Timeline, PlanError> {
    let mut cells: BTreeMap<&OpId, BTreeMap<SubjectId, &CellState>> = BTreeMap::new();
    for (_, subject) in scope.subjects() {
        for (op, cell) in inputs.progress.cells_of(subject) {
            if cell.stage >= inputs.request.to && stands(cell) && !is_undo(inputs, op) {
                cells.entry(op).or_default().insert(subject.clone(), cell);
            }
        }
    }
    let mut timeline = Timeline { effects: Vec::new(), not_restored: unattributed(inputs, scope)? };
    for (op, cells) in cells {
        let mut effect = Effect {
            id: op.clone(),
            operation: operation(inputs, op)?,
            cells: BTreeMap::new(),
            intents: BTreeMap::new(),
            created: cells.values().find_map(|cell| cell.created.clone()),
        };
        for (subject, cell) in cells {
            not_restored(inputs, &effect, &subject, &mut timeline.not_restored);
            let Some(seq) = cell.started else { continue };
            if let Entry::Vacant(place) = effect.intents.entry(seq) {
                let read = inputs.intents.started(seq);
                place.insert(read.map_err(|cause| PlanError::Journal { what: format!("intent {seq}"), cause })?);
            }
            effect.cells.insert(subject, seq);
        }
        if !effect.cells.is_empty() {
            timeline.effects.push(effect);
        }
    }
    timeline.effects.sort_by(|a, b| a.latest().cmp(&b.latest()).then_with(|| a.id.cmp(&b.id)));
    Ok(timeline)
}

/// What may be ours although the ledger has lost its intent: without a before-image it is listed and left as it is.
fn unattributed(inputs: &RollbackInputs<'_>, scope: &Scope) -> Result<BTreeSet<NotRestored>, PlanError> {
    let mut found = BTreeSet::new();
    for (_, subject) in scope.subjects() {
        let cells = inputs.progress.cells_of(subject);
        for (op, _) in cells.filter(|(_, cell)| cell.stage >= inputs.request.to && cell.unattributed && !cell.undone) {
            let dn = operation(inputs, op)?.target.dn().clone();
            let lost =
                "whether it is ours is not known: the ledger has lost its end, and with it what was there before".to_owned();
            found.insert(NotRestored { subject: subject.clone(), op: op.clone(), dn, lost });
        }
    }
    Ok(found)
}

fn operation(inputs: &RollbackInputs<'_>, op: &OpId) -> Result<Operation, PlanError> {
    inputs.operations.operation(op).map_err(|cause| PlanError::Journal { what: format!("operation {op}"), cause })
}

/// What was said before approval, and what today's capabilities no longer give.
fn not_restored(inputs: &RollbackInputs<'_>, effect: &Effect, subject: &SubjectId, out: &mut BTreeSet<NotRestored>) {
    let operation = &effect.operation;
    if matches!(operation.action, Action::Attest { .. }) {
        return;
    }
    let capabilities = inputs.capabilities.get(&operation.store);
    let today = match &operation.action {
        Action::Delete => undo::deletion(capabilities),
        Action::Set { touches } if touches.iter().any(|t| t.attr.is("userpassword") || t.attr.is("pwdhistory")) => {
            undo::credential(capabilities)
        }
        Action::Deliver { .. } => UndoClass::None("what was handed over cannot be taken back".to_owned()),
        _ => UndoClass::Full,
    };
    let lost = match (&operation.undo, today) {
        (UndoClass::None(words) | UndoClass::Partial(words), _) => words.clone(),
        (UndoClass::Full, UndoClass::None(words) | UndoClass::Partial(words)) => words,
        (UndoClass::Full, UndoClass::Full) => return,
    };
    out.insert(NotRestored { subject: subject.clone(), op: effect.id.clone(), dn: operation.target.dn().clone(), lost });
}
