//! Findings: observed facts that stand in the way of separation.
//!
//! Knows how a finding is written and identified; the rules that raise them are in crate `audit`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Dn, EntityId, FindingId, Side, SubjectId};

/// How much a finding matters. The order is from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Untidy.
    Low,
    /// To be cleared before the end.
    Medium,
    /// A way in, or a secret, that should not be there.
    High,
    /// A way in for somebody who must have none, now.
    Critical,
}

impl Severity {
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads [`Severity::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical].into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a finding was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The shared store.
    Shared,
    /// The independent directory.
    Independent,
    /// The roster.
    Roster,
    /// A relying system.
    System,
}

impl Place {
    /// `shared`, `independent`, `roster` or `system`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Independent => "independent",
            Self::Roster => "roster",
            Self::System => "system",
        }
    }
}

impl From<Side> for Place {
    fn from(side: Side) -> Self {
        match side {
            Side::Shared => Self::Shared,
            Side::Independent => Self::Independent,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One fact of a finding's evidence: never a secret value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The facts, by name; each with one or several values.
    pub facts: BTreeMap<String, Vec<String>>,
}

impl Evidence {
    /// No facts.
    pub fn new() -> Self {
        Self { facts: BTreeMap::new() }
    }

    /// With one more value of this fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.add(name, value);
        self
    }

    /// Adds one more value of this fact.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.facts.entry(name.to_owned()).or_default().push(value.into());
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new()
    }
}

/// One finding. There is one per (rule, entry); a store-wide rule has one per configuration entry or base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable between audits.
    pub id: FindingId,
    /// The rule, for instance `residual.departed`.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// Where it was seen.
    pub store: Place,
    /// The entry where the remedy is applied.
    pub dn: Option<Dn>,
    /// The stable id of that entry, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_id: Option<crate::StableId>,
    /// The subject that it is about.
    pub subject: Option<SubjectId>,
    /// The subject's entity.
    pub entity: Option<EntityId>,
    /// The entry is a protected identity.
    pub protected: bool,
    /// What was seen.
    pub evidence: Evidence,
    /// What to do about it.
    pub remedy: String,
}
