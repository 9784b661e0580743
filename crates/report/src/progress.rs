//! The report's figures. Knows neither how they are computed nor how they are written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_model::operation::{Stage, Track};
use untether_model::plan::OrderKind;
use untether_model::run::{AccountCounts, GateKind, OrderStatus, ParkReason, WaveStatus};
use untether_model::{BatchId, EntityId, FindingId, PlanId, SubjectId, WaveId};

use crate::findings::FindingFigures;
use crate::history::{BatchEvent, Cite, Outcomes, Rehearsal, Revocation, StateEvent};

/// The whole report, as of one record of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgressReport {
    /// When it was made: what is overdue and what expires is judged as of then.
    pub made_at: Timestamp,
    /// The last record that is counted.
    pub as_of: Cite,
    /// SHA-256 of that record's frame, in hexadecimal: whoever has the ledger can tell that this report is of it.
    pub head: Option<String>,
    /// IANA name of the time zone in which times are written: the one that most entities share.
    pub zone: String,
    /// What is missing from this report, so that nobody takes it for none.
    pub gaps: Vec<Gap>,
    /// The audit that says what was there at first; `None`: there is no audit.
    pub first_audit: Option<AuditCite>,
    /// The audit that the figures of what is left rest on: the last complete one, else the last one; `None`: there is no audit,
    /// which is not the same as nothing being left.
    pub last_audit: Option<AuditCite>,
    /// Every audit, oldest first.
    pub audits: Vec<AuditPoint>,
    /// Sums over all entities.
    pub totals: Totals,
    /// Each entity.
    pub entities: Vec<EntityProgress>,
    /// Findings of all rules: open, waived, solved; `None`: there is no audit.
    pub findings: Option<FindingFigures>,
    /// Findings by rule, entity and store: at most, and left.
    pub rules: Vec<FindingCount>,
    /// Findings of `link.*` by rule, of all entities and of the stores themselves.
    pub links: Vec<RuleCount>,
    /// What the newest audit could not look at: findings of `coverage.*` by rule.
    pub coverage: Vec<RuleCount>,
    /// Waves of the last plan that have not started.
    pub planned: Vec<PlannedWave>,
    /// Each started wave.
    pub waves: Vec<WaveProgress>,
    /// Each batch of each started wave.
    pub batches: Vec<BatchProgress>,
    /// Rollbacks, resolutions and other orders beside plans.
    pub orders: Vec<OrderProgress>,
    /// What people answer for, or put off: gates, findings, tracks. By expiry.
    pub exceptions: Vec<Exception>,
    /// Approvals of orders.
    pub approvals: Vec<ApprovalEntry>,
    /// Rehearsals of plans.
    pub rehearsals: Vec<Rehearsal>,
    /// What happened to the state as a whole.
    pub events: Vec<StateEvent>,
    /// Each measure of each entity, and of the stores themselves: complete only where the records show it.
    pub measures: Vec<Measure>,
}

/// Something that is missing from the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "gap", rename_all = "kebab-case")]
pub enum Gap {
    /// Nothing was ever audited.
    NoAudit,
    /// No audit has read everything: all figures of what is left are lower bounds.
    NoCompleteAudit {
        /// The last one's record.
        record: u64,
    },
    /// The newest audit did not read everything; the figures are those of an earlier one.
    IncompleteAudit {
        /// Its record.
        record: u64,
        /// The record of the one that the figures rest on.
        instead: u64,
    },
    /// Rules could not run: what they look for is not known.
    RulesSkipped {
        /// The audit's record.
        record: u64,
        /// How many.
        findings: u64,
    },
    /// Accounts were not counted by entity.
    NotCounted {
        /// The audit's record.
        record: u64,
    },
    /// Accounts or subjects belong to no entity: nobody's deadline covers them.
    Unassigned {
        /// How many.
        subjects: u64,
        /// The audit's record.
        record: u64,
    },
    /// Correlation left accounts undecided.
    Undecided {
        /// How many.
        accounts: u64,
        /// The audit's record.
        record: u64,
    },
    /// Work was done after the audit that the figures rest on.
    WorkSince {
        /// The audit's record.
        record: u64,
        /// Operations.
        operations: u64,
    },
    /// Operations have no outcome yet: it is not known whether they took effect.
    OpenOperations {
        /// How many.
        operations: u64,
    },
    /// The ledger had lost records, and a person accepted it.
    LostRecords {
        /// The record that says so.
        record: u64,
        /// The last record that is known to have existed.
        lost_from: u64,
    },
    /// No plan says when anything will be through.
    NoForecast,
    /// Nothing was recorded for a long time.
    Old {
        /// Days since the last record.
        days: i64,
    },
}

/// Sums over all entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Subjects that waves have or had in hand.
    pub subjects: u64,
    /// No stage is left.
    pub finished: u64,
    /// Parked.
    pub parked: u64,
    /// On the way.
    pub under_way: u64,
    /// In waves of the last plan that have not started.
    pub planned: u64,
    /// In no plan; `None`: no plan says.
    pub unplanned: Option<u64>,
    /// Their login in the shared store has ended.
    pub disabled: u64,
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

/// One audit of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditPoint {
    /// The audit.
    #[serde(flatten)]
    pub audit: AuditCite,
    /// The day that it judged, where that is not its own: it says nothing about what was there then.
    pub judged: Option<Date>,
    /// Records that should not be in the shared store.
    pub records: u64,
    /// Of these, or of subjects whose record is kept: those with credential material.
    pub credentials: u64,
    /// Findings of `link.*`.
    pub links: u64,
    /// All accounts in the shared store; `None`: not counted.
    pub accounts: Option<AccountCounts>,
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
    /// What the audit found that the figures rest on.
    pub left: u64,
    /// Record of that audit.
    pub left_record: u64,
    /// That audit read everything: what it did not find is gone.
    pub complete: bool,
}

impl RuleCount {
    /// What is gone since; `None` where the audit could have overlooked it.
    pub fn gone(&self) -> Option<u64> {
        self.complete.then(|| self.found.saturating_sub(self.left))
    }
}

/// Findings of one rule, entity and store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingCount {
    /// The entity; `None` where none applies.
    pub entity: Option<EntityId>,
    /// `shared`, `independent`, `roster`, `system`.
    pub store: String,
    /// Counts of the rule.
    #[serde(flatten)]
    pub count: RuleCount,
    /// Of what is left, critical or high.
    pub severe: u64,
}

/// Subjects that the audit knows, by what the roster says of them.
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
    /// When it will be through, as far as anybody can tell.
    pub outlook: Outlook,
    /// Subjects by presence; `None`: no audit.
    pub subjects: Option<Presences>,
    /// Subjects that waves have or had in hand, by track.
    pub tracks: Vec<TrackProgress>,
    /// What is done, what is going on, what is planned.
    pub milestones: Vec<Milestone>,
    /// All accounts in both stores; `None`: no audit has counted them.
    pub accounts: Option<Accounts>,
    /// What is left in the shared store; `None`: no audit.
    pub residual: Option<Residual>,
    /// Findings of `link.*` on the entity's accounts.
    pub links: Vec<RuleCount>,
    /// Proofs at attest.
    pub proofs: Proofs,
}

/// How an entity stands against its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Everybody is through, and a later complete audit found nothing left.
    Done,
    /// What is known ends before the deadline, and nothing is unknown.
    OnTime,
    /// It cannot be told.
    Unknown,
    /// The deadline will be missed.
    Late,
    /// The deadline has passed.
    Overdue,
}

/// What a forecast day rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "basis", rename_all = "kebab-case")]
pub enum Basis {
    /// What the plan needs at least: writing, canaries, soak. People at gates are not foreseen.
    Plan {
        /// The plan's record.
        record: u64,
        /// The earliest day.
        day: Date,
    },
    /// How many subjects were disabled a day lately, and the soak that follows.
    Pace {
        /// Subjects that were disabled in the days that were looked at.
        disabled: u64,
        /// Those days.
        days: u32,
        /// Subjects that are still to be disabled.
        left: u64,
        /// The day that this leads to.
        day: Date,
    },
}

/// Why it cannot be told when an entity will be through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "missing", rename_all = "kebab-case")]
pub enum Missing {
    /// Nothing is planned and nobody is in hand, but an audit knows of accounts, or nothing was audited.
    NoPlan,
    /// The last plan was recorded without a forecast.
    NoForecast {
        /// Its record.
        record: u64,
    },
    /// Subjects are parked: nobody has said when they go on.
    Parked {
        /// How many.
        subjects: u64,
    },
    /// Subjects are in no plan.
    Unplanned {
        /// How many.
        subjects: u64,
        /// Why, by the planner's codes.
        reasons: BTreeMap<String, u64>,
        /// The plan's record.
        record: u64,
    },
    /// Subjects wait to be disabled and nobody was for weeks.
    NoPace {
        /// How many wait.
        subjects: u64,
        /// The days that were looked at.
        days: u32,
    },
    /// Subjects are disabled and watched, and ended no stage for weeks.
    Stalled {
        /// How many.
        subjects: u64,
        /// The days that were looked at.
        days: u32,
    },
    /// All are through, and no complete audit has looked since.
    NotAudited,
    /// All are through, and the audit still found accounts.
    StillThere {
        /// How many.
        accounts: u64,
        /// The audit's record.
        record: u64,
    },
    /// No deadline is set.
    NoDeadline,
}

/// When an entity will be through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlook {
    /// How it stands.
    pub standing: Standing,
    /// The day by which what is scheduled is through; `None`: not known, or nothing is scheduled.
    pub day: Option<Date>,
    /// Days from the forecast to the deadline; negative where it is late.
    pub slack_days: Option<i64>,
    /// The day by which everybody who is scheduled is disabled; `None`: not known.
    pub disabled_by: Option<Date>,
    /// What the day rests on; the latest of them counts.
    pub basis: Vec<Basis>,
    /// Why more cannot be told.
    pub missing: Vec<Missing>,
    /// Subjects in hand that are not through, without the parked ones.
    pub under_way: u64,
    /// Subjects in waves of the last plan that have not started.
    pub planned: u64,
}

/// All accounts of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// Record of the audit.
    pub record: u64,
    /// In the shared store.
    pub shared: AccountCounts,
    /// In the independent directory.
    pub independent: AccountCounts,
    /// People whose only way in is the shared store.
    pub unmoved: u64,
    /// The most accounts that an audit has counted in the shared store.
    pub most: u64,
    /// Record of that audit.
    pub most_record: u64,
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
    /// The same by reason.
    pub parked_because: BTreeMap<ParkReason, u64>,
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

/// What the audit found of an entity in the shared store.
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

/// A started wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveProgress {
    /// The wave.
    pub id: WaveId,
    /// How it stands.
    pub status: WaveStatus,
    /// Record by which it started.
    pub started: Option<Cite>,
    /// Record by which it ended or was given up.
    pub closed: Option<Cite>,
    /// Batches.
    pub batches: u64,
    /// Of these, with no stage left.
    pub batches_ended: u64,
    /// Subjects that it has in hand now.
    pub subjects: u64,
    /// Of these, with no stage left.
    pub finished: u64,
    /// Of these, parked.
    pub parked: u64,
    /// Batches that were rolled back, so often.
    pub rollbacks: u64,
    /// Batches that are halted now.
    pub halted: u64,
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
    /// Subjects that ever left it, by reason.
    pub left: BTreeMap<ParkReason, u64>,
    /// The stage that it is in.
    pub current: Option<Stage>,
    /// The last stage that it has ended.
    pub ended: Option<Stage>,
    /// No stage is left.
    pub finished: bool,
    /// Its round.
    pub round: u32,
    /// It is halted, for this reason.
    pub halted: Option<String>,
    /// Intents without an outcome.
    pub open: u32,
    /// How its operations have ended.
    pub outcomes: Outcomes,
    /// What happened to it, in order.
    pub history: Vec<BatchEvent>,
}

impl BatchProgress {
    /// Something happened beside the stages of its plan, or it is not through.
    pub fn is_notable(&self) -> bool {
        let went_on =
            |e: &BatchEvent| matches!(e.what, crate::BatchEventKind::Began { .. } | crate::BatchEventKind::Ended { .. });
        !self.left.is_empty() || self.halted.is_some() || self.round > 1 || self.open > 0 || !self.history.iter().all(went_on)
    }
}

/// An order beside plans.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderProgress {
    /// Its id.
    pub id: PlanId,
    /// What it is for.
    pub kind: OrderKind,
    /// How it stands.
    pub status: OrderStatus,
    /// Record by which it was made.
    pub recorded: Option<Cite>,
    /// Record by which it ended.
    pub ended: Option<Cite>,
    /// Who approved it.
    pub approved_by: Vec<String>,
}

/// What an exception is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "exception", rename_all = "kebab-case")]
pub enum ExceptionKind {
    /// A gate for whose passing a person answers. It was not seen to pass.
    Gate {
        /// The gate.
        gate: GateKind,
        /// About whom.
        scope: String,
    },
    /// A finding that is waived. It is not solved.
    Waiver {
        /// The finding.
        finding: FindingId,
    },
    /// A person decided what becomes of a subject.
    Track {
        /// The subject.
        subject: SubjectId,
        /// The track.
        track: Track,
    },
    /// The policy keeps or holds subjects; no record of the ledger says so.
    Policy {
        /// `keep` or `hold`.
        track: Track,
        /// The entities; empty: all.
        entities: Vec<EntityId>,
    },
}

/// How long an exception still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remaining {
    /// It no longer covers anything: the finding is graver than the person was shown.
    Outgrown,
    /// It is over.
    Expired,
    /// At most seven days.
    Week,
    /// At most thirty days.
    Month,
    /// Longer.
    Long,
}

/// Something that a person answers for, until some day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// The record; `None`: it stands in the configuration.
    pub record: Option<u64>,
    /// When it was recorded.
    pub at: Option<Timestamp>,
    /// What.
    #[serde(flatten)]
    pub what: ExceptionKind,
    /// Whose it is, where that is one entity.
    pub entity: Option<EntityId>,
    /// By whom; `None`: by the configuration.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it counts, in the report's time zone.
    pub until: Date,
    /// How long that is.
    pub remaining: Remaining,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalEntry {
    /// The record.
    pub record: u64,
    /// When it was recorded.
    pub at: Option<Timestamp>,
    /// Who.
    pub by: String,
    /// Fingerprint of the key.
    pub key: String,
    /// What was approved: a wave as `PLAN/WAVE`, or an object.
    pub object: String,
    /// The highest stage; `None` where it is no order.
    pub through: Option<Stage>,
    /// The round; `None` where it is no order.
    pub round: Option<u32>,
    /// Why.
    pub reason: String,
    /// Until when it counts.
    pub until: Timestamp,
    /// It was taken back.
    pub revoked: Option<Revocation>,
}

/// What is done for separation, as it is told to the public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasureKind {
    /// People log in to their systems with accounts of their own company.
    Move,
    /// Accounts in the shared store let nobody in.
    Disable,
    /// Credentials are erased from the shared store.
    Erase,
    /// Records are removed from the shared store.
    Remove,
    /// Links of accounts, or between the directories, are cut.
    Links,
}

/// How a measure stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum MeasureState {
    /// All have ended the stage, and a later complete audit found none left.
    Complete {
        /// The day on which the last of them ended it; the audit's where no work of ours brought it about.
        on: Date,
        /// The record of that; the audit's where no work of ours brought it about.
        record: u64,
        /// The record of the audit that found none left.
        audit: u64,
    },
    /// It is to be complete on some day.
    Planned {
        /// By when it was promised.
        deadline: Option<Date>,
        /// By when it is to be expected; `None`: not known.
        forecast: Option<Date>,
        /// It may be later: something that it depends on is not known.
        at_least: bool,
        /// The deadline has passed.
        overdue: bool,
        /// All have ended the stage; only the audit is missing or found some left.
        worked: bool,
    },
}

/// One measure of one entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What.
    pub kind: MeasureKind,
    /// The entity; `None`: the stores themselves.
    pub entity: Option<EntityId>,
    /// How it stands.
    pub state: MeasureState,
    /// Subjects whom it concerns: in hand or planned (links: the most that were found).
    pub subjects: u64,
    /// Of these, those for whom it is done (links: cut).
    pub done: u64,
    /// Subjects in no plan; `None`: no plan says.
    pub unplanned: Option<u64>,
    /// What the audit found left; `None`: not known.
    pub left: Option<u64>,
    /// The audit's record.
    pub audit: Option<u64>,
}
