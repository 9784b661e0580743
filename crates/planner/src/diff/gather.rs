//! Takes the lines of one plan, and keeps of them what two plans are compared by.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use untether_model::SubjectId;
use untether_model::operation::{Action, Desired, Operation, PlannedValue, Stage};
use untether_model::plan::{EntityForecast, WaveForecast, WaveLine};

use super::OperationChange;
use super::subjects::{Place, Subject};
use crate::report::ReportLine;

/// What is kept of one plan.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub(super) subjects: BTreeMap<SubjectId, Subject>,
    pub(super) waves: Vec<WaveForecast>,
    pub(super) entities: Vec<EntityForecast>,
    /// What will be done, by stage: the first bytes of digests, sorted when they are compared.
    intents: BTreeMap<Stage, Vec<u64>>,
}

impl Gathered {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One line of a wave's file.
    pub fn line(&mut self, wave: &str, line: WaveLine) {
        match line {
            WaveLine::Wave(_) => {}
            WaveLine::Batch(batch) => {
                for subject in batch.subjects {
                    let place = Place::Planned {
                        wave: wave.to_owned(),
                        batch: batch.name.clone(),
                        track: subject.track,
                        stages: subject.stages,
                    };
                    let dn = subject.shared_dn.or(subject.independent_dn);
                    self.subjects.insert(subject.id, Subject { entity: Some(subject.entity), dn, place });
                }
            }
            WaveLine::Operation(operation) => {
                let intents = self.intents.entry(operation.stage).or_default();
                each_intent(&operation, |intent| intents.push(intent));
            }
        }
    }

    /// One line of the planning report.
    pub fn report(&mut self, line: ReportLine) {
        match line {
            ReportLine::NotPlanned(not) => {
                let place =
                    Place::NotPlanned { reason: not.reason, words: not.words, waits_for: not.waits_for, until: not.until };
                self.subjects.insert(not.subject, Subject { entity: not.entity, dn: not.dn, place });
            }
            ReportLine::Wave(wave) => self.waves.push(wave),
            ReportLine::Entity(entity) => self.entities.push(entity),
            ReportLine::Note(_) | ReportLine::PointOfNoReturn(_) => {}
        }
    }

    /// What will be done that would not have been.
    pub(super) fn operations(&self, later: &Self) -> BTreeMap<Stage, OperationChange> {
        let mut changes: BTreeMap<Stage, OperationChange> = BTreeMap::new();
        for stage in Stage::ALL {
            let sorted = |plan: &Self| {
                let mut intents = plan.intents.get(&stage).cloned().unwrap_or_default();
                intents.sort_unstable();
                intents
            };
            let (before, after) = (sorted(self), sorted(later));
            let missing = |here: &[u64], there: &[u64]| here.iter().filter(|i| there.binary_search(i).is_err()).count() as u64;
            let (added, removed) = (missing(&after, &before), missing(&before, &after));
            let kept = (before.len() as u64).saturating_sub(removed);
            if added + removed + kept > 0 {
                changes.insert(stage, OperationChange { added, removed, kept });
            }
        }
        changes
    }
}

/// What an operation intends, apart from its place in the plan and from what it expects to find: equal in two plans that do the same.
#[derive(Serialize)]
struct Intent<'a> {
    stage: Stage,
    store: untether_model::Side,
    entry: &'a str,
    what: What<'a>,
}

#[derive(Serialize)]
enum What<'a> {
    Create(&'a [(untether_model::AttrName, Vec<PlannedValue>)]),
    Set(Vec<(&'a str, &'a Desired)>),
    Value(&'a str, untether_model::operation::Direction, &'a untether_model::Value),
    Whole(&'a Action, &'a [SubjectId]),
}

/// Hands over one digest for each thing that the operation does: one a value where it ensures values.
fn each_intent(operation: &Operation, mut each: impl FnMut(u64)) {
    let mut of = |what: What<'_>| {
        let (stage, store, entry) = (operation.stage, operation.store, operation.target.dn().key().as_str());
        if let Ok(bytes) = serde_json::to_vec(&Intent { stage, store, entry, what }) {
            let digest = Sha256::digest(&bytes);
            each(digest.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first)));
        }
    };
    match &operation.action {
        Action::Create { attrs } => of(What::Create(attrs)),
        Action::Set { touches } => of(What::Set(touches.iter().map(|touch| (touch.attr.folded(), &touch.desired)).collect())),
        Action::Ensure { attr, direction, values, .. } => {
            values.iter().for_each(|value| of(What::Value(attr.folded(), *direction, value)));
        }
        other @ (Action::Delete | Action::Recreate { .. } | Action::Deliver { .. } | Action::Attest { .. }) => {
            of(What::Whole(other, &operation.subjects));
        }
    }
}
