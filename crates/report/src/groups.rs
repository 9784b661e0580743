//! Subjects counted by batch, entity and track, in one pass over all of them: every other figure is a sum over these groups.

use std::collections::BTreeMap;

use untether_model::operation::{Stage, Track};
use untether_model::run::{Observation, ParkReason, RunState};
use untether_model::{BatchId, EntityId};

use crate::history::{Cite, History};

/// One stage of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StageTally {
    /// Subjects to whom it applies.
    pub applies: u64,
    /// Of these, those who have ended it.
    pub ended: u64,
    /// Of the others, those who are parked.
    pub parked: u64,
    /// Records by which single subjects caught up with it.
    pub caught_up: Vec<Cite>,
}

/// Subjects of one batch, entity and track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// How many.
    pub subjects: u64,
    /// Nobody is parked and no stage is left.
    pub finished: u64,
    /// Parked, by reason.
    pub parked: BTreeMap<ParkReason, u64>,
    /// The others, by the last stage that they have ended.
    pub standing: BTreeMap<Option<Stage>, u64>,
    /// Each stage.
    pub stages: BTreeMap<Stage, StageTally>,
    /// Proofs of which nothing is missing.
    pub proved: u64,
    /// What is missing of the others.
    pub unproved: BTreeMap<String, u64>,
    /// Proofs of which something is missing.
    pub partial: u64,
}

impl Group {
    /// Parked, for whatever reason.
    pub fn parked_in_all(&self) -> u64 {
        self.parked.values().sum()
    }
}

/// What tells a group from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey<'a> {
    pub batch: &'a BatchId,
    pub entity: &'a EntityId,
    pub track: Track,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups<'a>(BTreeMap<GroupKey<'a>, Group>);

impl<'a> Groups<'a> {
    /// Counts all subjects.
    pub fn of(state: &'a RunState, history: &History) -> Self {
        let mut groups: BTreeMap<GroupKey<'a>, Group> = BTreeMap::new();
        for (id, subject) in state.subjects() {
            let key = GroupKey { batch: &subject.batch, entity: &subject.entity, track: subject.track };
            let group = groups.entry(key).or_default();
            group.subjects += 1;
            match &subject.parked {
                Some(parked) => *group.parked.entry(parked.reason).or_default() += 1,
                None if subject.is_finished() => group.finished += 1,
                None => *group.standing.entry(subject.ended).or_default() += 1,
            }
            let alone = history.caught_up.get(id);
            for stage in &subject.stages {
                let tally = group.stages.entry(*stage).or_default();
                tally.applies += 1;
                if subject.ended.is_some_and(|ended| ended >= *stage) {
                    tally.ended += 1;
                    tally.caught_up.extend(alone.and_then(|stages| stages.get(stage)));
                } else {
                    tally.parked += u64::from(subject.parked.is_some());
                }
            }
            match state.proofs().get(id).map(|observed| &observed.what) {
                Some(Observation::Proof { missing, .. }) if missing.is_empty() => group.proved += 1,
                Some(Observation::Proof { missing, .. }) => {
                    group.partial += 1;
                    for what in missing {
                        match group.unproved.get_mut(what) {
                            Some(count) => *count += 1,
                            None => drop(group.unproved.insert(what.clone(), 1)),
                        }
                    }
                }
                _ => {}
            }
        }
        Self(groups)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (GroupKey<'a>, &Group)> + '_ {
        self.0.iter().map(|(key, group)| (*key, group))
    }

    /// Those of an entity.
    pub fn of_entity<'s>(&'s self, entity: &'s EntityId) -> impl Iterator<Item = (GroupKey<'a>, &'s Group)> + 's {
        self.iter().filter(move |(key, _)| key.entity == entity)
    }

    /// The records by which subjects of a group ended a stage: their batch's, and of those who caught up alone their own.
    pub fn ended_by<'s>(
        history: &History,
        key: GroupKey<'_>,
        stage: Stage,
        tally: &'s StageTally,
    ) -> impl Iterator<Item = (Cite, u64)> + 's {
        let alone = u64::try_from(tally.caught_up.len()).unwrap_or(u64::MAX);
        let together = history.stage_ended(key.batch, stage).filter(|_| tally.ended > alone);
        let together = together.map(|cite| (cite, tally.ended.saturating_sub(alone)));
        together.into_iter().chain(tally.caught_up.iter().map(|cite| (*cite, 1)))
    }
}
