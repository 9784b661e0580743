//! The order of undoing, and the order's head and wave.
//!
//! Records come back before what names them, people have their old login back before they lose the new one, and entries that
//! untether made go last, children first.

use std::collections::BTreeMap;

use untether_model::digest::Digest;
use untether_model::operation::{Operation, Phase, Target};
use untether_model::plan::{OrderKind, PlannedSubject};
use untether_model::snapshot::SubjectKind;
use untether_model::{Dn, Side};

use super::compose::{Composed, Undoing, What};
use super::scope::Scope;
use super::timeline::Timeline;
use super::{RollbackInputs, RollbackOrder};
use crate::order::{self, BATCH, Draft, Written};
use crate::source::PlanError;

/// Name of a rollback's only wave.
pub const WAVE: &str = "rollback";

fn phase(undoing: &Undoing) -> Phase {
    let depth = u16::try_from(undoing.target.dn().key().depth().min(90)).unwrap_or(90);
    Phase(match undoing.what {
        What::Recreate => 100 + depth,
        What::RestoreLinks => 200,
        What::RemovePlaceholder => 210,
        What::RestoreAccount => 300,
        What::RevokeAdmission => 400,
        What::UndoEnroll => 500,
        What::RemoveLinks => 600,
        What::LockCreated => 700,
        What::DeleteCreated => 900 - depth,
    })
}

fn operations(inputs: &RollbackInputs<'_>, undoings: Vec<Undoing>) -> Vec<Operation> {
    let mut operations: Vec<Operation> = undoings
        .into_iter()
        .map(|undoing| Operation {
            batch: BATCH.to_owned(),
            n: 0,
            stage: inputs.request.to,
            phase: phase(&undoing),
            store: undoing.store,
            actor: undoing.actor,
            target: undoing.target,
            subjects: undoing.subjects,
            action: undoing.action,
            secret: None,
            undo: undoing.undo,
            undoes: undoing.undoes,
            protected_group: false,
            reason: undoing.reason,
        })
        .collect();
    operations.sort_by(|a, b| {
        let key = |o: &Operation| (o.phase, o.store);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.target.dn().cmp(b.target.dn()))
            .then_with(|| a.undoes.cmp(&b.undoes))
            .then_with(|| a.subjects.cmp(&b.subjects))
    });
    let mut recreated: BTreeMap<(Side, Dn), u32> = BTreeMap::new();
    for (at, operation) in operations.iter_mut().enumerate() {
        operation.n = u32::try_from(at).unwrap_or(u32::MAX - 1) + 1;
        let place = (operation.store, operation.target.dn().clone());
        if matches!(operation.action, untether_model::operation::Action::Recreate { .. }) {
            recreated.insert(place, operation.n);
        } else if let Some(n) = recreated.get(&place) {
            // Without the right `manage` the entry has a new stable id by then.
            operation.target = Target::CreatedBy { n: *n, dn: place.1 };
        }
    }
    operations
}

fn subjects(inputs: &RollbackInputs<'_>, scope: &Scope) -> Result<Vec<PlannedSubject>, PlanError> {
    let mut out = Vec::new();
    for (batch, id) in scope.subjects() {
        let Some(state) = inputs.progress.subjects().get(id) else { continue };
        let read = inputs.operations.subject(batch, id);
        let found = read.map_err(|cause| PlanError::Journal { what: format!("subject {id} of batch {batch}"), cause })?;
        let planned = found.unwrap_or_else(|| PlannedSubject {
            id: id.clone(),
            track: state.track,
            kind: SubjectKind::Person,
            entity: state.entity.clone(),
            roster_ref: None,
            shared_dn: None,
            shared_id: None,
            independent_dn: None,
            stages: Vec::new(),
        });
        out.push(PlannedSubject { stages: vec![inputs.request.to], ..planned });
    }
    out.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(out)
}

pub(super) fn order(
    inputs: &RollbackInputs<'_>,
    scope: Scope,
    timeline: &Timeline,
    composed: Composed,
) -> Result<RollbackOrder, PlanError> {
    let Composed { undoings, left_disabled, lost, enables_inactive, deletes } = composed;
    let operations = operations(inputs, undoings);
    let taken_back: Vec<_> = timeline.effects.iter().map(|e| (&e.id, &e.cells)).collect();
    let taken = serde_json::to_vec(&taken_back).map_err(|cause| PlanError::Json { what: "the progress", cause })?;
    let request = inputs.request;
    let Written { id, digest, header, bytes, wave, lines, lint } = order::write(Draft {
        wave: WAVE,
        kind: OrderKind::Rollback {
            scope: request.scope.clone(),
            to: request.to,
            delete_provisioned: request.delete_provisioned,
            enable_inactive: request.enable_inactive,
        },
        parent: None,
        progress: inputs.progress,
        taken: Digest::of(&taken),
        stores: inputs.stores,
        now: inputs.now,
        members: subjects(inputs, &scope)?,
        operations: &operations,
    })?;
    let mut not_restored = timeline.not_restored.clone();
    not_restored.extend(lost);
    Ok(RollbackOrder {
        id,
        digest,
        header,
        bytes,
        wave,
        lines,
        operations,
        approvals_needed: if deletes || enables_inactive { 2 } else { 1 },
        concerns: scope.concerns.into_iter().filter(|(_, ids)| !ids.is_empty()).collect(),
        elsewhere: scope.elsewhere,
        left_disabled: left_disabled.into_iter().collect(),
        not_restored: not_restored.into_iter().collect(),
        lint,
    })
}
