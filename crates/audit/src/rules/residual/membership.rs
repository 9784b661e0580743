//! `residual.membership`: groups that name leavers, or nobody.

use untether_model::finding::{Evidence, Severity};
use untether_model::keys;

use super::super::context::Named;
use super::super::{Draft, NameCase, RuleDoc};
use crate::correlate::{Membership, members};

/// The rule.
pub const MEMBERSHIP: RuleDoc = RuleDoc {
    id: "residual.membership",
    raised: "A group-like entry (member, uniqueMember, memberUid, roleOccupant) that names an account with a status finding, or an entry that does not exist inside a base that was read completely. A memberUid that is nobody's login is not reported: it may be a local user.",
    severity: "Medium; high in a privileged group.",
    rationale: "Rights outlive the person, and a dangling name gives them to whoever gets that name next.",
    remedy: "Take the values out of the group (the plan does it before it removes the record).",
    answers: &["NIST SP 800-53r5 AC-2", "NIST SP 800-53r5 PS-4", "NIST SP 800-53r5 AC-6"],
};

/// Judges one entry.
pub fn check(case: &NameCase<'_>) -> Option<Draft> {
    let context = case.context;
    let mut evidence = Evidence::new();
    for (attr, member) in members(case.entry) {
        match member {
            Membership::Entry(dn) => match context.named(case.side, &dn) {
                Named::Account(_, Some(rule)) => evidence.add(rule.id(), format!("{attr}: {dn}")),
                Named::Nothing => evidence.add("does-not-exist", format!("{attr}: {dn}")),
                Named::Account(_, None) | Named::Elsewhere => {}
            },
            Membership::Login(login) => {
                let Some(key) = keys::login(&login) else { continue };
                let status = context.index.by_login(case.side, &key).find_map(|row| context.index.row(row)?.status);
                if let Some(rule) = status {
                    evidence.add(rule.id(), format!("{attr}: {login}"));
                }
            }
        }
    }
    if evidence.facts.is_empty() {
        return None;
    }
    let configured = context.policy().privileged_groups.contains(&case.entry.dn);
    let privileged = configured || context.privileged.get(case.side).is_reached(&case.entry.dn);
    let severity = if privileged { Severity::High } else { Severity::Medium };
    Some(Draft::new(&MEMBERSHIP, severity, evidence))
}
