//! `residual.reference`: other attributes and access rules that name leavers, or nobody.

use std::collections::BTreeSet;

use untether_model::finding::{Evidence, Severity};
use untether_model::{Dn, Side};

use super::super::context::Named;
use super::super::{ConfigCase, Context, Draft, NameCase, RuleDoc};
use crate::links::{AccessDns, dns_in_access};
use crate::source::texts;

/// The rule.
pub const REFERENCE: RuleDoc = RuleDoc {
    id: "residual.reference",
    raised: "manager, secretary, owner, seeAlso, an alias, or a DN in the text of an access rule that names an account with a status finding, or an entry that does not exist inside a base that was read completely.",
    severity: "Low; high in an access rule.",
    rationale: "Approvals and notifications go to people who have left; an access rule gives rights to a name that somebody else may get.",
    remedy: "Point the reference at somebody who is there, or delete it; take the DN out of the access rule.",
    answers: &["NIST SP 800-53r5 AC-2", "NIST SP 800-53r5 AC-6"],
};

/// Attributes that name somebody, as they are written and in lower case.
const REFERENCES: [(&str, &str); 5] = [
    ("manager", "manager"),
    ("secretary", "secretary"),
    ("owner", "owner"),
    ("seeAlso", "seealso"),
    ("aliasedObjectName", "aliasedobjectname"),
];

/// Judges one entry of a store.
pub fn check(case: &NameCase<'_>) -> Option<Draft> {
    let mut evidence = Evidence::new();
    for (attr, folded) in REFERENCES {
        for dn in texts(case.entry, folded).filter_map(|text| Dn::parse(text).ok()) {
            add(&mut evidence, case.context, case.side, attr, &dn);
        }
    }
    (!evidence.facts.is_empty()).then(|| Draft::new(&REFERENCE, Severity::Low, evidence))
}

/// Judges the access rules of one configuration entry.
pub fn check_access(case: &ConfigCase<'_>) -> Option<Draft> {
    let mut evidence = Evidence::new();
    let protected = &case.context.policy().protected;
    for AccessDns { targets, subjects } in texts(case.entry, "olcaccess").map(dns_in_access) {
        // What identities of our own get rights to may be made yet: such a rule gives nobody else anything.
        let ours = !subjects.is_empty() && subjects.iter().all(|dn| protected.names(dn));
        let is_to_come = |dn: &Dn| ours && matches!(case.context.named(case.side, dn), Named::Nothing);
        let named = targets.into_iter().filter(|dn| !is_to_come(dn)).chain(subjects).collect::<BTreeSet<_>>();
        for dn in named {
            add(&mut evidence, case.context, case.side, "olcAccess", &dn);
        }
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
