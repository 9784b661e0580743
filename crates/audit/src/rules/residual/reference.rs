//! `residual.reference`: other attributes and access rules that name leavers, or nobody.

use untether_model::finding::{Evidence, Severity};
use untether_model::{AttrName, Dn, Value};

use super::super::context::Named;
use super::super::{ConfigCase, Context, Draft, NameCase, RuleDoc};
use crate::links::dns_in_access;
use untether_model::Side;

/// The rule.
pub const REFERENCE: RuleDoc = RuleDoc {
    id: "residual.reference",
    raised: "manager, secretary, owner, seeAlso, an alias, or a DN in the text of an access rule that names an account with a status finding, or an entry that does not exist inside a base that was read completely.",
    severity: "Low; high in an access rule.",
    rationale: "Approvals and notifications go to people who have left; an access rule gives rights to a name that somebody else may get.",
    remedy: "Point the reference at somebody who is there, or delete it; take the DN out of the access rule.",
    answers: &["NIST SP 800-53r5 AC-2", "NIST SP 800-53r5 AC-6"],
};

const REFERENCES: [&str; 5] = ["manager", "secretary", "owner", "seeAlso", "aliasedObjectName"];

/// Judges one entry of a store.
pub fn check(case: &NameCase<'_>) -> Option<Draft> {
    let mut evidence = Evidence::new();
    for attr in REFERENCES {
        let values = case.entry.attrs.get(&AttrName::new(attr)).into_iter().flatten().filter_map(Value::as_str);
        for dn in values.filter_map(|text| Dn::parse(text).ok()) {
            add(&mut evidence, case.context, case.side, attr, &dn);
        }
    }
    (!evidence.facts.is_empty()).then(|| Draft::new(&REFERENCE, Severity::Low, evidence))
}

/// Judges the access rules of one configuration entry.
pub fn check_access(case: &ConfigCase<'_>) -> Option<Draft> {
    let mut evidence = Evidence::new();
    let rules = case.entry.attrs.get(&AttrName::new("olcAccess")).into_iter().flatten().filter_map(Value::as_str);
    for dn in rules.flat_map(dns_in_access) {
        add(&mut evidence, case.context, case.side, "olcAccess", &dn);
    }
    for values in evidence.facts.values_mut() {
        values.dedup();
    }
    (!evidence.facts.is_empty()).then(|| Draft::new(&REFERENCE, Severity::High, evidence))
}

fn add(evidence: &mut Evidence, context: &Context<'_>, side: Side, attr: &str, dn: &Dn) {
    match context.named(side, dn) {
        Named::Account(_, Some(rule)) => evidence.add(rule.id(), format!("{attr}: {dn}")),
        Named::Nothing => evidence.add("does-not-exist", format!("{attr}: {dn}")),
        Named::Account(_, None) | Named::Elsewhere => {}
    }
}
