//! `coverage.*`: what was not looked at, and why. No data is never an answer.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::FindingId;
use untether_model::finding::{Evidence, Finding, Place, Severity};

use super::RuleDoc;
use crate::collect::{Gap, GapKind};

/// Reading ended before the end.
pub const TRUNCATED: RuleDoc = RuleDoc {
    id: "coverage.truncated",
    raised: "Reading a store, a base or the roster ended before its end: a size or time limit, a truncated export, a missing canary entry, or fewer entries than were stated.",
    severity: "High: entries may be missing, so no executable plan is made from such a snapshot.",
    rationale: "An account that was not read looks like an account that is not there. A limit hit in the middle of a search is the usual cause, and paging does not get around it.",
    remedy: "Raise the limits of the reading identity (on OpenLDAP olcLimits with size and time unlimited), or export again and completely; then audit again.",
    answers: &["NIST SP 800-53r5 AC-2", "CIS Controls v8 5.1"],
};

/// Entries are hidden.
pub const DENIED: RuleDoc = RuleDoc {
    id: "coverage.denied",
    raised: "A base does not exist or may not be read, or the server counts more entries than are visible.",
    severity: "High: entries may be missing, so no executable plan is made from such a snapshot.",
    rationale: "A missing right looks like absence. An empty answer is not \"none\".",
    remedy: "Grant the reading identity the rights that `doctor --acl` prints, or correct the base in the configuration; then audit again.",
    answers: &["NIST SP 800-53r5 AC-2", "CIS Controls v8 5.1"],
};

/// What was read is old.
pub const STALE: RuleDoc = RuleDoc {
    id: "coverage.stale",
    raised: "The roster or an export is older than the configuration allows.",
    severity: "High: people may have come and gone since, so no executable plan is made from such a snapshot.",
    rationale: "Nothing is enabled or disabled on the word of an old roster.",
    remedy: "Get a new export of the roster or the store; then audit again.",
    answers: &["NIST SP 800-53r5 AC-2", "NIST SP 800-53r5 PS-4"],
};

/// A rule could not run.
pub const SKIPPED: RuleDoc = RuleDoc {
    id: "coverage.skipped",
    raised: "A rule could not run on a store, wholly or in part: once for each rule and store, with the reasons.",
    severity: "Low: plans can be made, but gates and proofs that rely on the rule do not pass.",
    rationale: "A rule that did not run has found nothing, which is not the same as nothing to find.",
    remedy: "Give the audit what it lacks, as the reasons say: a right, a list in the configuration, or an export that holds it. What cannot be given is looked at by a person.",
    answers: &["NIST SP 800-53r5 CA-7", "NIST SP 800-53r5 AU-10"],
};

/// Rules that could not run, with the reasons.
#[derive(Clone, Debug, Default)]
pub struct Skips {
    reasons: BTreeMap<(Place, String), BTreeSet<String>>,
}

impl Skips {
    /// The rule could not run on this store.
    pub fn add(&mut self, place: impl Into<Place>, rule: &str, reason: impl Into<String>) {
        self.reasons.entry((place.into(), rule.to_owned())).or_default().insert(reason.into());
    }

    /// One finding for each rule and store.
    pub fn findings(self) -> impl Iterator<Item = Finding> {
        self.reasons.into_iter().map(|((place, rule), reasons)| {
            let mut evidence = Evidence::new().with("rule", rule.clone());
            reasons.into_iter().for_each(|reason| evidence.add("reason", reason));
            Finding {
                id: FindingId::derive(SKIPPED.id, place.as_str(), "", &rule),
                rule: SKIPPED.id.to_owned(),
                severity: Severity::Low,
                store: place,
                dn: None,
                stable_id: None,
                subject: None,
                entity: None,
                protected: false,
                evidence,
                remedy: SKIPPED.remedy.to_owned(),
            }
        })
    }
}

/// Findings about gaps that concern entries: one for each kind, place and base. Gaps that concern rules go to the skips.
pub fn findings(gaps: &[Gap], skips: &mut Skips) -> Vec<Finding> {
    let mut found: BTreeMap<(&'static str, Place, Option<&untether_model::Dn>), Evidence> = BTreeMap::new();
    for gap in gaps {
        if gap.kind == GapKind::Skipped {
            gap.rules.iter().for_each(|rule| skips.add(gap.place, rule, gap.reason.clone()));
            continue;
        }
        let evidence = found.entry((gap.kind.rule(), gap.place, gap.dn.as_ref())).or_default();
        evidence.add("reason", gap.reason.clone());
    }
    found
        .into_iter()
        .map(|((rule, place, dn), evidence)| {
            let doc = [&TRUNCATED, &DENIED, &STALE].into_iter().find(|doc| doc.id == rule).unwrap_or(&TRUNCATED);
            Finding {
                id: FindingId::derive(rule, place.as_str(), dn.map_or("", |dn| dn.key().as_str()), ""),
                rule: rule.to_owned(),
                severity: Severity::High,
                store: place,
                dn: dn.cloned(),
                stable_id: None,
                subject: None,
                entity: None,
                protected: false,
                evidence,
                remedy: doc.remedy.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_finding_per_rule_and_store_whatever_the_reasons() {
        let gap = |kind, rules: &[&str], reason: &str| Gap {
            kind,
            place: Place::Shared,
            dn: None,
            rules: rules.iter().map(|r| (*r).to_owned()).collect(),
            reason: reason.to_owned(),
        };
        let mut skips = Skips::default();
        skips.add(Place::Shared, "link.proxy", "a sock database");
        let gaps = [
            gap(GapKind::Skipped, &["link.proxy", "link.referral"], "cn=config was not read"),
            gap(GapKind::Truncated, &[], "size limit"),
            gap(GapKind::Truncated, &[], "canary"),
        ];
        let entries = findings(&gaps, &mut skips);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].severity, Severity::High);
        assert_eq!(entries[0].evidence.facts["reason"].len(), 2);
        let skipped: Vec<Finding> = skips.findings().collect();
        assert_eq!(skipped.len(), 2);
        assert_eq!(skipped[0].evidence.facts["rule"], ["link.proxy"]);
        assert_eq!(skipped[0].evidence.facts["reason"].len(), 2);
        assert_ne!(skipped[0].id, skipped[1].id);
        assert_eq!(skipped[0].severity, Severity::Low);
    }
}
