//! What changed between two plans: who moved where, who became possible or blocked and by what, deadlines, operations.
//!
//! Pure: lines of both plans are handed over one by one, and one small record a subject is kept. What a plan was made from is compared
//! by digests; where the policies were recorded, by their settings.

mod gather;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_model::EntityId;
use untether_model::operation::Stage;
use untether_model::plan::{EntityForecast, PlanHeader, WaveForecast};

pub use gather::Gathered;
pub use subjects::{Move, Place, SubjectMove};

/// Operations of a stage: what will be done that would not have been, and the other way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperationChange {
    /// In the later plan only.
    pub added: u64,
    /// In the earlier plan only.
    pub removed: u64,
    /// In both.
    pub kept: u64,
}

/// What is expected of a wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveFigures {
    /// Subjects in it.
    pub subjects: u64,
    /// Operations in it.
    pub operations: u64,
    /// Its earliest end.
    pub earliest_end: Timestamp,
    /// Its deadline.
    pub deadline: Option<Date>,
    /// The earliest end lies behind the deadline.
    pub late: bool,
}

/// A wave that is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveChange {
    /// Its name.
    pub wave: String,
    /// In the earlier plan.
    pub before: Option<WaveFigures>,
    /// In the later one.
    pub after: Option<WaveFigures>,
}

/// What is expected for an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntityFigures {
    /// Subjects that are planned.
    pub planned: u64,
    /// Subjects that wait.
    pub waiting: u64,
    /// Earliest end of its last wave.
    pub earliest_end: Option<Timestamp>,
    /// Its deadline.
    pub deadline: Option<Date>,
    /// It cannot be kept.
    pub late: bool,
}

/// An entity whose prospects are others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntityChange {
    /// The entity.
    pub entity: EntityId,
    /// In the earlier plan.
    pub before: Option<EntityFigures>,
    /// In the later one.
    pub after: Option<EntityFigures>,
}

/// What a plan was made from that is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// The audit.
    Audit,
    /// The configuration of plan or audit.
    Policy,
    /// What has happened since: who stands where, and what the stores can do.
    Progress,
    /// Decisions of people.
    Decisions,
    /// Which stores they are, or the protected identities.
    Stores,
    /// The seed of what is chosen at random.
    Seed,
}

/// Everything that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// What the plans were made from that is another.
    pub grounds: BTreeSet<Ground>,
    /// Why the later plan cannot be run though the earlier one could; the other way round in `now_executable`.
    pub not_executable: Vec<String>,
    /// The later plan can be run, and the earlier one could not.
    pub now_executable: bool,
    /// Waves that are others.
    pub waves: Vec<WaveChange>,
    /// Entities whose prospects are others.
    pub entities: Vec<EntityChange>,
    /// Operations by stage.
    pub operations: BTreeMap<Stage, OperationChange>,
    /// Subjects, those who became blocked first.
    pub subjects: Vec<SubjectMove>,
}

impl PlanDiff {
    /// Subjects by what became of them.
    pub fn moves(&self) -> BTreeMap<Move, u64> {
        let mut counted = BTreeMap::new();
        for subject in &self.subjects {
            *counted.entry(subject.change).or_default() += 1;
        }
        counted
    }
}

/// Compares two plans: their heads, and what was gathered of their lines.
pub fn diff(before: (&PlanHeader, Gathered), after: (&PlanHeader, Gathered)) -> PlanDiff {
    let ((was, before), (is, after)) = (before, after);
    let operations = before.operations(&after);
    PlanDiff {
        grounds: grounds(was, is),
        not_executable: if was.executable { is.not_executable.clone() } else { Vec::new() },
        now_executable: is.executable && !was.executable,
        waves: waves(&before.waves, &after.waves),
        entities: entities(&before.entities, &after.entities),
        operations,
        subjects: subjects::moves(before.subjects, after.subjects),
    }
}

fn grounds(was: &PlanHeader, is: &PlanHeader) -> BTreeSet<Ground> {
    let differs = [
        (was.snapshot != is.snapshot, Ground::Audit),
        (was.policy != is.policy, Ground::Policy),
        (was.progress != is.progress, Ground::Progress),
        (was.decisions != is.decisions, Ground::Decisions),
        (was.stores != is.stores, Ground::Stores),
        (was.seed != is.seed, Ground::Seed),
    ];
    differs.into_iter().filter(|(differs, _)| *differs).map(|(_, ground)| ground).collect()
}

/// Joins two lists by name: what differs, or stands in one of them only.
fn joined<K: Ord + Clone, T, F: PartialEq>(
    before: &[T],
    after: &[T],
    key: impl Fn(&T) -> K,
    figures: impl Fn(&T) -> F,
) -> Vec<(K, Option<F>, Option<F>)> {
    let of = |list: &[T]| list.iter().map(|item| (key(item), figures(item))).collect::<BTreeMap<K, F>>();
    let (mut was, mut is) = (of(before), of(after));
    let keys: BTreeSet<K> = was.keys().chain(is.keys()).cloned().collect();
    let pairs = keys.into_iter().map(|key| {
        let (was, is) = (was.remove(&key), is.remove(&key));
        (key, was, is)
    });
    pairs.filter(|(_, was, is)| was != is).collect()
}

fn waves(before: &[WaveForecast], after: &[WaveForecast]) -> Vec<WaveChange> {
    let figures = |wave: &WaveForecast| WaveFigures {
        subjects: wave.subjects,
        operations: wave.operations,
        earliest_end: wave.earliest_end,
        deadline: wave.deadline,
        late: wave.late,
    };
    let joined = joined(before, after, |wave| wave.wave.clone(), figures);
    joined.into_iter().map(|(wave, before, after)| WaveChange { wave, before, after }).collect()
}

fn entities(before: &[EntityForecast], after: &[EntityForecast]) -> Vec<EntityChange> {
    let figures = |entity: &EntityForecast| EntityFigures {
        planned: entity.planned,
        waiting: entity.waiting,
        earliest_end: entity.earliest_end,
        deadline: entity.deadline,
        late: entity.late,
    };
    let joined = joined(before, after, |entity| entity.entity.clone(), figures);
    joined.into_iter().map(|(entity, before, after)| EntityChange { entity, before, after }).collect()
}
