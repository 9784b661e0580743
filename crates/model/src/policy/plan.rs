//! What the planner is told: waves, mapping, retention, gates, thresholds.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::operation::Track;
use crate::snapshot::SubjectKind;
use crate::{AttrMap, AttrName, Dn, EntityId, Side};

/// A length of time, written `30s`, `15m`, `12h`, `14d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    /// The length in seconds.
    pub seconds: u64,
}

impl Span {
    /// A span of this many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { seconds }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a length of time; write 30s, 15m, 12h or 14d");
        let unit = text.chars().last().ok_or_else(bad)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(bad()),
        };
        let number: u64 = text.strip_suffix(unit).and_then(|n| n.trim().parse().ok()).ok_or_else(bad)?;
        number.checked_mul(factor).map(|seconds| Self { seconds }).ok_or_else(bad)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        let s = span.seconds;
        match s {
            0 => "0s".to_owned(),
            _ if s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
            _ if s.is_multiple_of(3_600) => format!("{}h", s / 3_600),
            _ if s.is_multiple_of(60) => format!("{}m", s / 60),
            _ => format!("{s}s"),
        }
    }
}

/// Limits that are checked before the first write of a wave. A count that is absent does not limit; the percentages are of the
/// accounts in scope of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Entries changed in a store by one wave.
    pub max_changed: Option<u64>,
    /// The same in percent of the accounts in scope.
    pub max_changed_percent: f64,
    /// Accounts disabled by one wave.
    pub max_disabled: Option<u64>,
    /// The same in percent.
    pub max_disabled_percent: f64,
    /// Entries removed by one wave.
    pub max_removed: Option<u64>,
    /// The same in percent.
    pub max_removed_percent: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_changed: None,
            max_changed_percent: 50.0,
            max_disabled: None,
            max_disabled_percent: 25.0,
            max_removed: None,
            max_removed_percent: 25.0,
        }
    }
}

/// How one wave is chosen and run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WavePolicy {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Entities whose subjects it takes; empty: all.
    #[serde(default)]
    pub entities: Vec<EntityId>,
    /// Tracks that it takes.
    pub tracks: Vec<Track>,
    /// Kinds of subjects that it takes; empty: persons.
    #[serde(default)]
    pub kinds: Vec<SubjectKind>,
    /// At most so many subjects; the rest waits for a later plan.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Subjects in a batch.
    #[serde(default = "default_batch_size")]
    pub batch_size: u32,
    /// Subjects in the first batch, the canary.
    #[serde(default = "default_canary_size")]
    pub canary_size: u32,
    /// How long the others wait after the canary has ended a stage.
    #[serde(default)]
    pub canary_wait: Span,
    /// Share of the canary's subjects, in percent, that must be unparked for the others to go on.
    #[serde(default = "default_canary_share")]
    pub canary_share_percent: f64,
    /// How long silence must be proved before anything is scrubbed.
    #[serde(default = "default_soak")]
    pub soak: Span,
    /// Refusals and conflicts that a batch tolerates; one more halts it.
    #[serde(default)]
    pub failure_tolerance: u32,
    /// How long a subject may wait at a gate before it is parked.
    #[serde(default = "default_hold_bound")]
    pub hold_bound: Span,
    /// Limits for this wave.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Last day by which this wave must be through; the entities' deadline where absent.
    #[serde(default)]
    pub deadline: Option<Date>,
    /// Waves of the same plan that must end before this one starts.
    #[serde(default)]
    pub after: Vec<String>,
}

fn default_batch_size() -> u32 {
    100
}

fn default_canary_size() -> u32 {
    10
}

fn default_canary_share() -> f64 {
    90.0
}

fn default_soak() -> Span {
    Span::from_seconds(14 * 86_400)
}

fn default_hold_bound() -> Span {
    Span::from_seconds(7 * 86_400)
}

/// One group of the shared store and the group of the independent directory that takes its members over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMap {
    /// Group in the shared store.
    pub shared: Dn,
    /// Group in the independent directory.
    pub independent: Dn,
    /// Create it with its first members where it does not exist.
    #[serde(default)]
    pub create: bool,
}

/// How an account of the shared store becomes one of the independent directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Where people's entries are made.
    pub base: Dn,
    /// Naming attribute.
    #[serde(default = "default_rdn")]
    pub rdn: AttrName,
    /// Object classes of the new entry.
    pub object_classes: Vec<String>,
    /// Attributes copied as they are, with their options (`cn` covers `cn;lang-ja`).
    pub copy: Vec<AttrName>,
    /// Attributes made from a template such as `{uid}@own.example`; names in braces are attributes of the shared entry or
    /// `entity`. A subject that lacks one is not planned.
    #[serde(default)]
    pub templates: BTreeMap<AttrName, String>,
    /// Attributes with fixed values.
    #[serde(default)]
    pub constants: AttrMap,
    /// Attribute of the new entry that keeps the stable id of the shared one.
    #[serde(default)]
    pub link_attribute: Option<AttrName>,
    /// Attributes that refer to another person (`manager`, `secretary`): translated when the other one is in the independent
    /// directory or planned.
    #[serde(default)]
    pub references: Vec<AttrName>,
    /// Groups whose memberships follow.
    #[serde(default)]
    pub groups: Vec<GroupMap>,
}

fn default_rdn() -> AttrName {
    AttrName::new("uid")
}

/// Storage scheme of credentials that untether makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashScheme {
    /// Argon2id, `{ARGON2}$argon2id$…` (module `argon2` of OpenLDAP).
    #[default]
    Argon2id,
    /// Salted SHA-512 (module `pw-sha2`).
    Ssha512,
    /// Salted SHA-1, built into every OpenLDAP. Enough for a random one-time secret that must be changed.
    Ssha,
}

/// How new credentials are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialPolicy {
    /// How they are stored.
    pub scheme: HashScheme,
    /// Characters of a one-time secret (each carries five bits).
    pub length: u8,
    /// The owner must change it at first use (`pwdReset`).
    pub must_change: bool,
}

impl Default for CredentialPolicy {
    fn default() -> Self {
        Self { scheme: HashScheme::default(), length: 20, must_change: true }
    }
}

/// What relying systems filter on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Admission {
    /// Membership of a group in the independent directory.
    Group {
        /// The group.
        dn: Dn,
    },
    /// A value of an attribute of the account.
    Attribute {
        /// The attribute.
        name: AttrName,
        /// The value that admits.
        value: String,
    },
}

/// A record that must stay, by retention or law: the login goes, the record stays until the expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Entities it applies to; empty: all.
    #[serde(default)]
    pub entities: Vec<EntityId>,
    /// RFC 4515 filter over the shared entry.
    pub filter: String,
    /// Why the record must stay.
    pub reason: String,
    /// Last day of it.
    pub until: Date,
}

/// A subject that is not planned, or must still log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Entities it applies to; empty: all.
    #[serde(default)]
    pub entities: Vec<EntityId>,
    /// RFC 4515 filter over the shared entry.
    pub filter: String,
    /// Why.
    pub reason: String,
    /// Last day of it.
    pub until: Date,
}

/// Everything that the planner is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPolicy {
    /// The waves, in the order in which they are meant to run.
    pub waves: Vec<WavePolicy>,
    /// How accounts are made; required when a wave takes the track `migrate`.
    #[serde(default)]
    pub mapping: Option<Mapping>,
    /// New credentials.
    #[serde(default)]
    pub credential: CredentialPolicy,
    /// What admits to relying systems; absent: `switch` does not apply.
    #[serde(default)]
    pub admission: Option<Admission>,
    /// User attributes that may remain on a scrubbed record; `cn` covers `cn;lang-ja`.
    #[serde(default)]
    pub retention: Vec<AttrName>,
    /// RFC 4515 filter over the independent entry: an acceptable factor is enrolled. Absent: gate `mfa` is unknown.
    #[serde(default)]
    pub mfa_filter: Option<String>,
    /// The password policy entry (shared store) that an account is pointed at where its own does not lock.
    #[serde(default)]
    pub locking_policy: Option<Dn>,
    /// The placeholder that takes the place of the last member of a group in the shared store; absent: the cell is held.
    #[serde(default)]
    pub group_placeholder: Option<Dn>,
    /// Records that must stay.
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// Subjects that wait.
    #[serde(default)]
    pub hold: Vec<Hold>,
    /// A login in the independent directory counts as proof of the own account for so many days (tracks without switch).
    #[serde(default = "default_login_days")]
    pub own_account_login_days: u32,
    /// A plan is refused when more than this share (percent) of the entries that it touches has moved since its snapshot.
    #[serde(default = "default_moved_percent")]
    pub moved_percent: f64,
    /// A plan is refused when its snapshot is older than this.
    #[serde(default = "default_snapshot_age")]
    pub snapshot_max_age: Span,
    /// Writes a second that each target is assumed to take, for the forecast.
    #[serde(default = "default_rate")]
    pub forecast_writes_per_second: f64,
}

fn default_login_days() -> u32 {
    30
}

fn default_moved_percent() -> f64 {
    5.0
}

fn default_snapshot_age() -> Span {
    Span::from_seconds(24 * 3_600)
}

fn default_rate() -> f64 {
    200.0
}

/// What `plan` found a store able to do, with the writing and undoing binds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Assertion control (RFC 4528).
    pub assertion: bool,
    /// Pre-read and post-read controls (RFC 4527).
    pub read_entry: bool,
    /// Transactions (RFC 5805).
    pub transactions: bool,
    /// Critical no-op works.
    pub no_op: bool,
    /// Account usability control.
    pub usability: bool,
    /// The undoing bind has the right `manage` (relax works with it).
    pub manage: bool,
}

/// Capabilities by store; a store that is missing was read from an export: its plan can be rehearsed, not run.
pub type CapabilityMap = BTreeMap<Side, Capabilities>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_and_refuse_what_has_no_unit() {
        for text in ["30s", "15m", "12h", "14d", "0s"] {
            assert_eq!(String::from(Span::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["", "5", "d", "1w", "-1d", "99999999999999999999d"] {
            assert!(Span::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
