//! The planning report: who is not in the plan, why, and what that waits for; what to expect of the waves.
//!
//! Lines are streamed to the sink in a fixed order; [`PlanningReport`] keeps only counts, forecasts and points of no return.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use untether_model::operation::{Stage, Track};
use untether_model::plan::{EntityForecast, PlanForecast, WaveForecast};
use untether_model::snapshot::SubjectKind;
use untether_model::{Dn, EntityId, SubjectId};

/// Why a subject is not in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It has no account in the shared store.
    NoSharedAccount,
    /// A protected identity.
    Protected,
    /// The tool's own account: it goes last.
    Tool,
    /// Correlation left it undecided.
    Undecided,
    /// It belongs to no configured entity.
    Unassigned,
    /// Nobody in the roster and no owner stands for it.
    Orphan,
    /// A service or shared account without an owner who is there.
    Unowned,
    /// Its employment has not begun.
    NotYetStarted,
    /// A person decided that it waits.
    DecidedHold,
    /// The policy says that it waits.
    PolicyHold,
    /// A person's decision and the roster disagree.
    DecisionAgainstRoster,
    /// An unfinished wave has it in hand.
    Claimed,
    /// An operation on it has no known outcome.
    OpenOperation,
    /// It is through.
    Finished,
    /// No wave of the policy takes it.
    NoWave,
    /// Its wave is full.
    WaveLimit,
    /// Its password policy does not lock and no locking policy is configured.
    PolicyNotLocking,
    /// An account of it has no stable id.
    NoStableId,
    /// An account of it was not among the entries.
    EntryMissing,
    /// The mapping needs something that its entry lacks.
    MappingIncomplete,
    /// Its name, login or mail address is taken in the independent directory, or by another subject of the plan.
    NameClash,
    /// Entries below its record are not planned to go.
    Children,
}

impl Reason {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSharedAccount => "no-shared-account",
            Self::Protected => "protected",
            Self::Tool => "tool",
            Self::Undecided => "undecided",
            Self::Unassigned => "unassigned",
            Self::Orphan => "orphan",
            Self::Unowned => "unowned",
            Self::NotYetStarted => "not-yet-started",
            Self::DecidedHold => "decided-hold",
            Self::PolicyHold => "policy-hold",
            Self::DecisionAgainstRoster => "decision-against-roster",
            Self::Claimed => "claimed",
            Self::OpenOperation => "open-operation",
            Self::Finished => "finished",
            Self::NoWave => "no-wave",
            Self::WaveLimit => "wave-limit",
            Self::PolicyNotLocking => "policy-not-locking",
            Self::NoStableId => "no-stable-id",
            Self::EntryMissing => "entry-missing",
            Self::MappingIncomplete => "mapping-incomplete",
            Self::NameClash => "name-clash",
            Self::Children => "children",
        }
    }

    /// What such a subject waits for, in words.
    pub fn waits_for(self) -> &'static str {
        match self {
            Self::NoSharedAccount | Self::Finished => "nothing",
            Self::Protected => "the list of protected identities to change",
            Self::Tool => "the plan that retires the tool's own accounts",
            Self::Undecided => "a decision on the match (`untether correlate`)",
            Self::Unassigned => "an entity, by roster, subtree or attribute",
            Self::Orphan => "a decision (`untether subject decide`)",
            Self::Unowned => "an owner, or a decision (`untether subject decide`)",
            Self::NotYetStarted => "the first working day",
            Self::DecidedHold | Self::PolicyHold => "the end of the hold",
            Self::DecisionAgainstRoster => "the decision or the roster to be corrected",
            Self::Claimed => "the wave that has it",
            Self::OpenOperation => "its wave to be run again, so that the outcome is observed",
            Self::NoWave => "a wave in the policy that takes it",
            Self::WaveLimit => "a later plan",
            Self::PolicyNotLocking => "a `locking_policy` in the configuration that locks",
            Self::NoStableId => "an audit that reads stable ids",
            Self::EntryMissing => "another audit",
            Self::MappingIncomplete => "the shared entry or the mapping to be completed",
            Self::NameClash => "the other entry to be renamed, or the two to be matched",
            Self::Children => "the entries below it to be planned or moved",
        }
    }
}

/// A subject that is not in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPlanned {
    /// The subject.
    pub subject: SubjectId,
    /// What it is.
    pub kind: SubjectKind,
    /// Its entity.
    pub entity: Option<EntityId>,
    /// Its track, where one could be told.
    pub track: Option<Track>,
    /// Its main account in the shared store.
    pub dn: Option<Dn>,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub words: String,
    /// What it waits for.
    pub waits_for: String,
    /// Until when, where a day ends the wait.
    pub until: Option<Date>,
}

/// What a remark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remark {
    /// A reference is not carried over: its other end is neither in the independent directory nor planned.
    ReferenceLeftOut,
    /// A membership is not carried over: its group does not exist and is not to be created.
    GroupMissing,
    /// An access rule of the shared store names the record; take it out by hand before the record goes.
    AclReference,
    /// An alias points at the record and cannot be emptied.
    AliasReference,
    /// A reference stands on a protected entry, which is not touched.
    ProtectedReference,
    /// An attribute that its object class requires stays although it is not on the retention list.
    RequiredAttribute,
    /// Without the right `manage` the password history stays on the record.
    HistoryStays,
    /// A secondary account is retired with its subject; nothing takes its place.
    SecondaryRetired,
    /// A retired subject also has an account in the independent directory, which this plan does not touch.
    IndependentAccount,
    /// A departed member is taken out of a protected group; approve it on its own.
    ProtectedGroup,
    /// A wave of the policy has no subjects.
    EmptyWave,
    /// A wave's list of people names some who have no account in the shared store.
    ListedUnknown,
}

/// A remark on something that is planned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// What about.
    pub remark: Remark,
    /// The subject.
    pub subject: Option<SubjectId>,
    /// The entry.
    pub dn: Option<Dn>,
    /// In words.
    pub words: String,
}

/// Where a batch can no longer be taken back whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PointOfNoReturn {
    /// The wave.
    pub wave: String,
    /// The batch.
    pub batch: String,
    /// The stage whose approval by two people opens it.
    pub stage: Stage,
    /// Its first operation that counts as irreversible.
    pub first: u32,
    /// Operations that count as irreversible.
    pub operations: u64,
}

/// One line of the planning report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportLine {
    /// A subject that is not planned.
    NotPlanned(NotPlanned),
    /// A remark on what is planned.
    Note(Note),
    /// What to expect of a wave.
    Wave(WaveForecast),
    /// What to expect for an entity.
    Entity(EntityForecast),
    /// A point of no return.
    PointOfNoReturn(PointOfNoReturn),
}

/// The report's figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[must_use = "who is not in a plan, and why, has to be shown"]
pub struct PlanningReport {
    /// Subjects that are planned, by track.
    pub planned: BTreeMap<Track, u64>,
    /// Subjects that are not, by reason.
    pub not_planned: BTreeMap<Reason, u64>,
    /// Remarks, by kind.
    pub notes: BTreeMap<Remark, u64>,
    /// Operations by stage.
    pub operations: BTreeMap<Stage, u64>,
    /// Operations by undo class: `full`, `partial`, `none`.
    pub undo: BTreeMap<String, u64>,
    /// The waves.
    pub waves: Vec<WaveForecast>,
    /// The entities.
    pub entities: Vec<EntityForecast>,
    /// The points of no return, one a batch at most.
    pub points_of_no_return: Vec<PointOfNoReturn>,
}

impl PlanningReport {
    /// Subjects that are planned.
    pub fn planned_subjects(&self) -> u64 {
        self.planned.values().sum()
    }

    /// What is recorded with the plan, for reports.
    pub fn forecast(&self) -> PlanForecast {
        PlanForecast { waves: self.waves.clone(), entities: self.entities.clone() }
    }
}
