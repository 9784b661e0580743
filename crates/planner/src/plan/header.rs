//! The head of a plan: what it rests on, and whether it can be run.

use std::collections::BTreeMap;

use serde::Serialize;
use untether_model::digest::Digest;
use untether_model::plan::{PLAN_VERSION, PlanHeader, PlannedStore};
use untether_model::snapshot::{StoreRead, StoreSource};
use untether_model::{PlanId, Side};

use super::write::Written;
use super::{Inputs, Planned};
use crate::report::PlanningReport;
use crate::source::PlanError;

fn digest(what: &'static str, value: &impl Serialize) -> Result<Digest, PlanError> {
    serde_json::to_vec(value).map(|bytes| Digest::of(&bytes)).map_err(|cause| PlanError::Json { what, cause })
}

/// What was configured, as it is digested and kept beside the plan: `plan` and `audit`.
fn policy(inputs: &Inputs<'_>) -> Result<Vec<u8>, PlanError> {
    serde_json::to_vec(&(inputs.policy, inputs.audit)).map_err(|cause| PlanError::Json { what: "the policy", cause })
}

/// The head before its waves are known.
pub(super) fn draft(inputs: &Inputs<'_>) -> Result<PlanHeader, PlanError> {
    let store = |side: Side, read: &StoreRead| {
        let mut protected = inputs.protected.get(&side).cloned().unwrap_or_default();
        protected.sort();
        protected.dedup();
        (side, PlannedStore { identity: read.identity.clone(), protected })
    };
    let stores =
        BTreeMap::from([store(Side::Shared, &inputs.snapshot.shared), store(Side::Independent, &inputs.snapshot.independent)]);
    let not_executable = obstacles(inputs);
    // Only what the planner looks at: who stands where, and what the stores can do.
    let subjects: Vec<_> = inputs.progress.subjects().iter().collect();
    let progress = digest("the progress", &(subjects, inputs.progress.aliases(), inputs.capabilities))?;
    let decisions: Vec<_> = inputs.progress.decisions().collect();
    let decisions = digest("the decisions", &decisions)?;
    Ok(PlanHeader {
        version: PLAN_VERSION,
        kind: inputs.kind.clone(),
        now: inputs.now,
        seed: inputs.seed,
        parent: inputs.parent.cloned(),
        snapshot: Some(inputs.snapshot_digest),
        findings: inputs.findings_digest,
        policy: Some(Digest::of(&policy(inputs)?)),
        progress,
        decisions,
        stores,
        waves: Vec::new(),
        executable: not_executable.is_empty(),
        not_executable,
    })
}

/// Why the plan can be rehearsed but not run; the snapshot names its own reasons (an export, another day, something missing).
fn obstacles(inputs: &Inputs<'_>) -> Vec<String> {
    let mut why = inputs.snapshot.not_executable.clone();
    if !inputs.snapshot.executable && why.is_empty() {
        why.push("the snapshot is incomplete".to_owned());
    }
    for (side, read) in [(Side::Shared, &inputs.snapshot.shared), (Side::Independent, &inputs.snapshot.independent)] {
        let is_server = !matches!(read.source, StoreSource::Ldif(_));
        if is_server && !inputs.capabilities.contains_key(&side) {
            why.push(format!("what the {side} store can do with our binds was not probed"));
        }
        if !read.config_read && !inputs.audit.protected.explicit {
            why.push(format!(
                "cn=config of the {side} store was not read, so its protected identities are not known; list them and set `explicit`"
            ));
        }
    }
    why.sort();
    why.dedup();
    why
}

/// The plan with its waves.
pub(super) fn finish(
    inputs: &Inputs<'_>,
    mut header: PlanHeader,
    written: Written,
    report: PlanningReport,
) -> Result<Planned, PlanError> {
    header.waves = written.waves().map(|(_, reference)| reference.clone()).collect();
    let bytes = serde_json::to_vec(&header).map_err(|cause| PlanError::Json { what: "the plan's head", cause })?;
    let digest = Digest::of(&bytes);
    let policy = policy(inputs)?;
    Ok(Planned { id: PlanId::of(&digest), digest, header, bytes, policy, report, lint: written.bound.lint })
}
