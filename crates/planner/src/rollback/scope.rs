//! Whose cells a rollback concerns: the subjects that a batch holds now.

use std::collections::BTreeMap;

use untether_model::plan::RollbackScope;
use untether_model::{BatchId, SubjectId};

use super::RollbackInputs;
use crate::source::PlanError;

/// The subjects by their present batch, and those that went elsewhere.
pub(super) struct Scope {
    pub concerns: BTreeMap<BatchId, Vec<SubjectId>>,
    pub elsewhere: Vec<(SubjectId, BatchId)>,
}

impl Scope {
    pub(super) fn subjects(&self) -> impl Iterator<Item = (&BatchId, &SubjectId)> {
        self.concerns.iter().flat_map(|(batch, ids)| ids.iter().map(move |id| (batch, id)))
    }
}

pub(super) fn resolve(inputs: &RollbackInputs<'_>) -> Result<Scope, PlanError> {
    let state = inputs.progress;
    let mut scope = Scope { concerns: BTreeMap::new(), elsewhere: Vec::new() };
    let batches: Vec<BatchId> = match &inputs.request.scope {
        RollbackScope::Batch(batch) => vec![batch.clone()],
        RollbackScope::Wave(wave) => {
            let Some(found) = state.waves().get(wave) else {
                return Err(PlanError::Request(format!("wave {wave} has not started: there is nothing to roll back")));
            };
            found.batches.clone()
        }
        RollbackScope::Subject(id) => {
            // What was done under an earlier id is undone under it; whoever names that id means it.
            let known = state.subjects().get_key_value(id).or_else(|| state.progress_of(id));
            let Some((id, found)) = known else {
                return Err(PlanError::Request(format!("subject {id} is in no wave: there is nothing to roll back")));
            };
            scope.concerns.insert(found.batch.clone(), vec![id.clone()]);
            return Ok(scope);
        }
    };
    for batch in batches {
        let Some(found) = state.batches().get(&batch) else {
            return Err(PlanError::Request(format!("batch {batch} is in no started wave: there is nothing to roll back")));
        };
        let mut here = Vec::new();
        for id in found.subjects.iter() {
            match state.subjects().get(id) {
                Some(subject) if subject.batch == batch => here.push(id.clone()),
                Some(subject) => scope.elsewhere.push((id.clone(), subject.batch.clone())),
                None => {}
            }
        }
        here.sort();
        scope.concerns.insert(batch, here);
    }
    scope.elsewhere.sort();
    Ok(scope)
}
