//! The documentation of the rules, from the rules themselves: what `findings --explain RULE` shows.

use crate::rules::residual::status;
use crate::rules::{RuleDoc, access, correlation, coverage, link, residual};

/// All rules that exist, by id.
pub fn catalog() -> Vec<&'static RuleDoc> {
    let mut rules = vec![
        &access::MFA_MISSING,
        &access::PRIVILEGED,
        &access::SERVICE_ACCOUNT,
        &correlation::AMBIGUOUS,
        &correlation::CONFLICTING,
        &correlation::ENTITY,
        &coverage::DENIED,
        &coverage::SKIPPED,
        &coverage::STALE,
        &coverage::TRUNCATED,
        &link::mapping::MAPPING,
        &link::pass_through::PASS_THROUGH,
        &link::proxy::PROXY,
        &link::referral::REFERRAL,
        &link::replication::REPLICATION,
        &link::shared_secret::SHARED_SECRET,
        &residual::attribute::ATTRIBUTE,
        &residual::copy::COPY,
        &residual::credential::CREDENTIAL,
        &residual::dormant::DORMANT,
        &residual::duplicate::DUPLICATE,
        &residual::lock::LOCK_INEFFECTIVE,
        &residual::membership::MEMBERSHIP,
        &residual::reference::REFERENCE,
        &status::ALREADY_SEPARATED,
        &status::CONTRACT_ENDED,
        &status::DEPARTED,
        &status::ORPHAN,
    ];
    rules.sort_by_key(|rule| rule.id);
    rules
}

/// The documentation of one rule.
pub fn explain(id: &str) -> Option<&'static RuleDoc> {
    catalog().into_iter().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_explained_once_and_completely() {
        let rules = catalog();
        assert_eq!(rules.len(), 28);
        assert!(rules.windows(2).all(|pair| pair[0].id < pair[1].id));
        for rule in rules {
            for text in [rule.raised, rule.severity, rule.rationale, rule.remedy] {
                assert!(text.ends_with('.') && text.len() > 5, "{}: {text}", rule.id);
            }
            assert!(!rule.answers.is_empty(), "{}", rule.id);
        }
        assert!(explain("link.trust").is_none());
        assert_eq!(explain("residual.orphan").unwrap().id, "residual.orphan");
    }
}
