//! Findings: new, gone, still there; by their stable ids.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use untether_model::finding::{Place, Severity};
use untether_model::{Dn, EntityId, Side};

use super::reach::Reach;
use super::rows::{FindingChange, Kind, Why};

/// A finding without its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) severity: Severity,
    pub(super) store: Place,
    pub(super) dn: Option<Dn>,
    pub(super) subject: Option<String>,
    pub(super) entity: Option<EntityId>,
}

impl Head {
    /// The order in which findings are stored.
    pub(super) fn place(&self) -> (&str, &str, &str, &str) {
        let name = self.dn.as_ref().map_or("", |dn| dn.key().as_str());
        (&self.rule, self.store.as_str(), name, &self.id)
    }

    pub(super) fn row(&self, change: Kind, why: Option<Why>) -> FindingChange {
        FindingChange {
            change,
            id: self.id.clone(),
            rule: self.rule.clone(),
            severity: self.severity,
            severity_before: None,
            store: self.store,
            dn: self.dn.as_ref().map(|dn| dn.as_str().to_owned()),
            subject: self.subject.clone(),
            entity: self.entity.clone(),
            why,
        }
    }

    /// Why an audit may lack this finding although nothing changed.
    pub(super) fn lacks(&self, skipped: &BTreeSet<(String, String)>, lacking: &Reach, other: &Reach) -> Option<Why> {
        if skipped.contains(&(self.store.as_str().to_owned(), self.rule.clone())) {
            return Some(Why::RuleSkipped);
        }
        let side = match self.store {
            Place::Shared => Side::Shared,
            Place::Independent => Side::Independent,
            Place::Roster | Place::System => return None,
        };
        lacking.lacks(side, self.dn.as_ref()?, other)
    }
}

/// A finding that is in both audits.
pub(super) fn both(before: &Head, after: &Head) -> FindingChange {
    let severity_before = (before.severity != after.severity).then_some(before.severity);
    let moved = before.dn.as_ref().map(Dn::key) != after.dn.as_ref().map(Dn::key);
    let change = if severity_before.is_some() || moved { Kind::Changed } else { Kind::Still };
    FindingChange { severity_before, ..after.row(change, None) }
}
