//! The report's figures. Knows neither how they are computed nor how they are written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_model::operation::{Stage, Track};
use untether_model::run::{GateKind, WaveStatus};
use untether_model::{BatchId, EntityId, PlanId, WaveId};

use crate::findings::FindingFigures;
use crate::history::{BatchEvent, Cite};

/// The whole report, as of one record of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgressReport {
    /// The last record that is counted.
    pub as_of: Cite,
    /// IANA name of the time zone in which times are written (`UTC` where the entities do not share one).
    pub zone: String,
    /// The audit that says what was there at first; `None`: there is no audit.
    pub first_audit: Option<AuditCite>,
    /// The audit that says what is there; `None`: there is no audit, which is not the same as nothing being left.
    pub last_audit: Option<AuditCite>,
    /// Each entity.
    pub entities: Vec<EntityProgress>,
    /// Findings of all rules: open, waived, solved; `None`: there is no audit.
    pub findings: Option<FindingFigures>,
    /// Findings of `link.*` by rule, of all entities and of the stores themselves.
    pub links: Vec<RuleCount>,
    /// What the last audit could not look at: findings of `coverage.*` by rule.
    pub coverage: Vec<RuleCount>,
    /// Waves of the last plan that have not started.
    pub planned: Vec<PlannedWave>,
    /// Each batch of each started wave.
    pub batches: Vec<BatchProgress>,
    /// Gates for whose passing a person answers. They were not seen to pass.
    pub accepted: Vec<AcceptedGate>,
}

/// An audit that figures rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuditCite {
    /// Sequence number of its record.
    pub record: u64,
    /// Its recorded time.
    pub taken_at: Timestamp,
    /// Nothing that could hold entries was missing. Where this is false, the figures are lower bounds.
    pub complete: bool,
}

/// Findings of one rule: at first and now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule.
    pub rule: String,
    /// The most that an audit has found.
    pub found: u64,
    /// Record of that audit.
    pub found_record: u64,
    /// What the last audit found.
    pub left: u64,
    /// Record of that audit.
    pub left_record: u64,
}

impl RuleCount {
    /// What is gone since.
    pub fn gone(&self) -> u64 {
        self.found.saturating_sub(self.left)
    }
}

/// Subjects that the last audit knows, by what the roster says of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Presences {
    /// Record of the audit.
    pub record: u64,
    /// Count by presence (`active`, `departed`, …).
    pub counts: BTreeMap<String, u64>,
}

/// One entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntityProgress {
    /// Its id.
    pub id: EntityId,
    /// Its name in English.
    pub name: String,
    /// Its name in Japanese.
    pub name_ja: String,
    /// Last day by which it must be separated.
    pub deadline: Option<Date>,
    /// The deadline has passed (in the entity's time zone) and not everything is done.
    pub overdue: bool,
    /// Subjects by presence; `None`: no audit.
    pub subjects: Option<Presences>,
    /// Subjects that waves have or had in hand, by track.
    pub tracks: Vec<TrackProgress>,
    /// What is done, what is going on, what is planned.
    pub milestones: Vec<Milestone>,
    /// What is left in the shared store; `None`: no audit.
    pub residual: Option<Residual>,
    /// Findings of `link.*` on the entity's accounts.
    pub links: Vec<RuleCount>,
    /// Proofs at attest.
    pub proofs: Proofs,
}

/// Subjects of one track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackProgress {
    /// The track.
    pub track: Track,
    /// How many.
    pub subjects: u64,
    /// Every stage that applies has ended.
    pub finished: u64,
    /// Parked now.
    pub parked: u64,
    /// The others, by the last stage that they have ended.
    pub stages: Vec<StageCount>,
}

/// Subjects that have ended this stage last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StageCount {
    /// The stage; `None`: none yet.
    pub ended: Option<Stage>,
    /// How many.
    pub subjects: u64,
}

/// One stage for the subjects of one entity and track in one wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Milestone {
    /// The wave.
    pub wave: WaveId,
    /// The track.
    pub track: Track,
    /// The stage.
    pub stage: Stage,
    /// Subjects to whom the stage applies.
    pub subjects: u64,
    /// Of these, those who have ended it.
    pub done: u64,
    /// Of the others, those who are parked.
    pub parked: u64,
    /// How it stands.
    pub state: MilestoneState,
}

/// How a milestone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum MilestoneState {
    /// All have ended the stage.
    Done {
        /// The day, in the entity's time zone; `None` where the ledger names none.
        on: Option<Date>,
        /// The last record of it; `None` where the ledger names none.
        record: Option<u64>,
    },
    /// Some have.
    Underway {
        /// By when it is to be done.
        by: Option<Date>,
        /// That day has passed.
        overdue: bool,
    },
    /// None has.
    Planned {
        /// By when it is to be done.
        by: Option<Date>,
        /// That day has passed.
        overdue: bool,
    },
    /// Its wave was given up.
    GivenUp,
}

/// What the last audit found of an entity in the shared store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Residual {
    /// Records that should not be there: departed, contract ended, already separated, without owner. Each has one of these rules.
    pub records: RuleCount,
    /// Records of these, or of subjects whose record is kept, that hold credential material.
    pub credentials: RuleCount,
    /// All `residual.*` in the shared store by rule.
    pub rules: Vec<RuleCount>,
}

/// Proofs at attest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proofs {
    /// Nothing is missing.
    pub complete: u64,
    /// Something is missing.
    pub partial: u64,
    /// What is missing, with the number of subjects.
    pub missing: BTreeMap<String, u64>,
}

/// A wave that has not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedWave {
    /// The plan.
    pub plan: PlanId,
    /// Record of the plan; `None` where the ledger names none.
    pub record: Option<u64>,
    /// Its name.
    pub wave: String,
    /// Subjects.
    pub subjects: u64,
    /// Operations.
    pub operations: u64,
    /// Entities that it takes.
    pub entities: Vec<EntityId>,
    /// Tracks that it takes.
    pub tracks: Vec<Track>,
    /// By when it is to be through.
    pub by: Option<Date>,
    /// The plan can be run, not only rehearsed.
    pub executable: bool,
}

/// One batch with what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchProgress {
    /// The batch.
    pub id: BatchId,
    /// How its wave stands.
    pub wave: WaveStatus,
    /// Record by which its wave started.
    pub started: Option<Cite>,
    /// Record by which its wave ended or was given up.
    pub closed: Option<Cite>,
    /// The first of its wave.
    pub canary: bool,
    /// Subjects.
    pub subjects: u64,
    /// Of these, parked now.
    pub parked: u64,
    /// The stage that it is in.
    pub current: Option<Stage>,
    /// The last stage that it has ended.
    pub ended: Option<Stage>,
    /// Its round.
    pub round: u32,
    /// It is halted, for this reason.
    pub halted: Option<String>,
    /// What happened to it, in order.
    pub history: Vec<BatchEvent>,
}

/// A gate for whose passing a person answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedGate {
    /// The record.
    pub record: u64,
    /// When it was recorded.
    pub at: Option<Timestamp>,
    /// The gate.
    pub gate: GateKind,
    /// About whom.
    pub scope: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}
