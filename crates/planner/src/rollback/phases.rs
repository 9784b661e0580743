//! The order of undoing, and the order's head and wave.
//!
//! Records come back before what names them, people have their old login back before they lose the new one, and entries that
//! untether made go last, children first.

use std::collections::BTreeMap;

use untether_model::digest::Digest;
use untether_model::operation::{Operation, Phase, Target};
use untether_model::plan::{OrderKind, PLAN_VERSION, PlanHeader, PlannedBatch, PlannedSubject, WaveHeader, WaveLine, WaveRef};
use untether_model::policy::{Span, Thresholds};
use untether_model::snapshot::SubjectKind;
use untether_model::{Dn, PlanId, Side};

use super::compose::{Composed, Undoing, What};
use super::scope::Scope;
use super::timeline::Timeline;
use super::{RollbackInputs, RollbackOrder};
use crate::lint::Linter;
use crate::source::PlanError;

/// Name of a rollback's only wave.
pub const WAVE: &str = "rollback";

/// Name of its only batch.
pub const BATCH: &str = "b01";

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

fn wave_header() -> WaveHeader {
    WaveHeader {
        name: WAVE.to_owned(),
        canary_wait: Span::default(),
        canary_share_percent: 0.0,
        moved_percent: 100.0,
        soak: Span::default(),
        failure_tolerance: u32::MAX,
        hold_bound: Span::default(),
        thresholds: Thresholds::default(),
        in_scope: BTreeMap::new(),
        gates: Vec::new(),
        mfa_filter: None,
        own_account_login_days: 0,
        after: Vec::new(),
        deadline: None,
    }
}

pub(super) fn order(
    inputs: &RollbackInputs<'_>,
    scope: Scope,
    timeline: &Timeline,
    composed: Composed,
) -> Result<RollbackOrder, PlanError> {
    let Composed { undoings, left_disabled, lost, enables_inactive, deletes } = composed;
    let operations = operations(inputs, undoings);
    let json = |what: &'static str| move |cause| PlanError::Json { what, cause };
    let taken_back: Vec<_> = timeline.effects.iter().map(|e| (&e.id, &e.cells)).collect();
    let progress = serde_json::to_vec(&taken_back).map_err(json("the progress"))?;
    let request = inputs.request;
    let mut header = PlanHeader {
        version: PLAN_VERSION,
        kind: OrderKind::Rollback {
            scope: request.scope.clone(),
            to: request.to,
            delete_provisioned: request.delete_provisioned,
            enable_inactive: request.enable_inactive,
        },
        now: inputs.now,
        seed: 0,
        parent: None,
        snapshot: None,
        findings: None,
        policy: None,
        progress: Digest::of(&progress),
        decisions: Digest::of(b""),
        stores: inputs.stores.clone(),
        waves: Vec::new(),
        executable: true,
        not_executable: Vec::new(),
    };
    let members = subjects(inputs, &scope)?;
    let mut linter = Linter::new(&header);
    let mut lines = Vec::new();
    let count = members.len() as u64;
    let batch = PlannedBatch { name: BATCH.to_owned(), canary: true, subjects: members };
    let head = [WaveLine::Wave(wave_header()), WaveLine::Batch(batch)];
    let body = operations.iter().map(|o| WaveLine::Operation(Box::new(o.clone())));
    for line in head.into_iter().chain(body) {
        linter.line(&line);
        serde_json::to_writer(&mut lines, &line).map_err(json("a line of the rollback"))?;
        lines.push(b'\n');
    }
    let wave = WaveRef {
        name: WAVE.to_owned(),
        digest: Digest::of(&lines),
        blobs: Vec::new(),
        subjects: count,
        operations: operations.len() as u64,
        batches: 1,
    };
    header.waves = vec![wave.clone()];
    let bytes = serde_json::to_vec(&header).map_err(json("the rollback's head"))?;
    let digest = Digest::of(&bytes);
    let mut not_restored = timeline.not_restored.clone();
    not_restored.extend(lost);
    Ok(RollbackOrder {
        id: PlanId::of(&digest),
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
        lint: linter.finish(),
    })
}
