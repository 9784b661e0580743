//! What people decide on something other than an order: tracks, matches, findings that may stand for a while.
//!
//! Knows how a decision is stored and named. What it comes to is said by whoever obeys it: correlation, the planner,
//! [`super::Exceptions`].

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::finding::{Finding, Place, Severity};
use crate::ids::BadId;
use crate::operation::Track;
use crate::{EntityId, FindingId, SubjectId};

/// A decision, by its record: `15`, or `15.3` for the third of several that were signed together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DecisionId {
    /// Sequence number of the record.
    pub record: u64,
    /// Its place among those that were signed together, from 1; 0: it was signed alone.
    pub item: u32,
}

impl DecisionId {
    /// The decision that the record holds alone.
    pub fn alone(record: u64) -> Self {
        Self { record, item: 0 }
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            0 => write!(f, "{}", self.record),
            item => write!(f, "{}.{item}", self.record),
        }
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DecisionId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "a decision (RECORD, or RECORD.N)" };
        let (record, item) = match text.split_once('.') {
            Some((record, item)) => (record, item.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?),
            None => (text, 0),
        };
        Ok(Self { record: record.parse().map_err(|_| bad())?, item })
    }
}

impl TryFrom<String> for DecisionId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<DecisionId> for String {
    fn from(id: DecisionId) -> Self {
        id.to_string()
    }
}

/// A person's decision on something other than an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// What is to become of a subject.
    Track {
        /// The subject.
        subject: SubjectId,
        /// Retire, keep or hold.
        track: Track,
        /// Last day of the decision.
        until: Date,
        /// The subject's entity when it was decided: in its time zone the last day ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entity: Option<EntityId>,
    },
    /// A finding may stand until a day.
    Waive(Waive),
    /// Accounts and people are one subject, or are not.
    Match(Match),
    /// An earlier decision is taken back.
    Withdraw {
        /// Which one.
        decision: DecisionId,
    },
}

impl Decision {
    /// The subjects that it is about, as their ids were then.
    pub fn subjects(&self) -> &[SubjectId] {
        match self {
            Self::Track { subject, .. } => std::slice::from_ref(subject),
            Self::Match(decided) => &decided.subjects,
            Self::Waive(_) | Self::Withdraw { .. } => &[],
        }
    }
}

/// A finding that may stand until a day. Rule, place and severity are as the person was shown them: figures are counted from here, and
/// a finding that has become graver is not covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waive {
    /// The finding.
    pub finding: FindingId,
    /// Its rule.
    pub rule: String,
    /// Where it was seen.
    pub store: Place,
    /// The entity; in its time zone the last day ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityId>,
    /// How grave it was.
    pub severity: Severity,
    /// Last day.
    pub until: Date,
}

impl Waive {
    /// The waiver of a finding as it is now.
    pub fn of(finding: &Finding, until: Date) -> Self {
        Self {
            finding: finding.id.clone(),
            rule: finding.rule.clone(),
            store: finding.store,
            entity: finding.entity.clone(),
            severity: finding.severity,
            until,
        }
    }
}

/// What a person says about accounts and people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchVerb {
    /// The account belongs to this candidate.
    Confirm,
    /// It does not.
    Deny,
    /// The accounts do not belong to the subject that the rules put them into.
    Split,
    /// The subjects are one.
    Merge,
}

impl MatchVerb {
    /// `confirm`, `deny`, `split` or `merge`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Deny => "deny",
            Self::Split => "split",
            Self::Merge => "merge",
        }
    }

    /// It says that both sides are one subject; else that they are not.
    pub fn joins(self) -> bool {
        matches!(self, Self::Confirm | Self::Merge)
    }
}

impl fmt::Display for MatchVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A decision on a match. Anchors are those of accounts (`shared/<stable id>`) and of people in the roster (`roster/own/10023`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// What is said.
    pub verb: MatchVerb,
    /// These …
    pub these: Vec<String>,
    /// … and these: all of them are one subject, or none of the first is one subject with any of the second.
    pub others: Vec<String>,
    /// The subjects that they belonged to when it was decided.
    pub subjects: Vec<SubjectId>,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.verb.joins() { "with" } else { "from" };
        write!(f, "{} {} {word} {}", self.verb, self.these.join(", "), self.others.join(", "))
    }
}

/// One of several decisions that were signed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What.
    pub decision: Decision,
    /// Why, where it has a reason of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Digest of what the person was shown.
    pub shown: Digest,
}

/// What stands as `shown` in the statement over several decisions: SHA-256 of their JSON with sorted keys, without blanks, as the record
/// holds it.
pub fn list_digest(decisions: &[Decided]) -> Digest {
    // `serde_json::Value` keeps object keys sorted.
    Digest::of(serde_json::to_value(decisions).unwrap_or_default().to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_named_by_their_record_and_place() {
        for text in ["15", "15.3"] {
            let id: DecisionId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(serde_json::from_str::<DecisionId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
        for bad in ["", "x", "15.", "15.0", "15.x", ".3"] {
            assert!(bad.parse::<DecisionId>().is_err(), "{bad}");
        }
        assert!("9.2".parse::<DecisionId>().unwrap() < "9.10".parse().unwrap());
    }

    #[test]
    fn the_digest_of_a_list_is_that_of_the_record() {
        let decided = Decided {
            decision: Decision::Withdraw { decision: DecisionId::alone(7) },
            reason: Some("wrong".to_owned()),
            shown: Digest::of(b"x"),
        };
        let stored = serde_json::to_value([&decided]).unwrap();
        let again: Vec<Decided> = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(list_digest(&again), Digest::of(stored.to_string().as_bytes()));
        assert_ne!(list_digest(std::slice::from_ref(&decided)), list_digest(&[Decided { reason: None, ..decided }]));
    }
}
