//! What a rule is called, why it exists, and what it hands back.

use untether_model::finding::{Evidence, Severity};

/// A rule's documentation: what `findings --explain RULE` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleDoc {
    /// Its id, for instance `residual.departed`.
    pub id: &'static str,
    /// When it is raised.
    pub raised: &'static str,
    /// Which severity it has, and why.
    pub severity: &'static str,
    /// Why it matters.
    pub rationale: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// The standards and regulators' items that it answers.
    pub answers: &'static [&'static str],
}

/// What a rule found on an entry; where that was is the case's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The rule.
    pub rule: &'static RuleDoc,
    /// How much it matters here.
    pub severity: Severity,
    /// What was seen.
    pub evidence: Evidence,
}

impl Draft {
    /// A finding of this rule.
    pub fn new(rule: &'static RuleDoc, severity: Severity, evidence: Evidence) -> Self {
        Self { rule, severity, evidence }
    }
}
