//! `residual.credential`: secrets that the shared store keeps of people who need none there.

use std::collections::BTreeMap;

use untether_model::Side;
use untether_model::finding::{Evidence, Severity};

use super::super::evidence::{add_state, describe};
use super::super::{AccountCase, Draft, RuleDoc};
use crate::correlate::Flags;

/// The rule.
pub const CREDENTIAL: RuleDoc = RuleDoc {
    id: "residual.credential",
    raised: "Credential material in the shared store on an account with a status finding, or of a subject whose record the policy keeps: any password value (pass-through too), history, Kerberos or NT key, SSH key, PKCS#12, certificate, cached remote password.",
    severity: "High if the account lets somebody in (open or unknown), else medium.",
    rationale: "A hash that stays is a hash that can be stolen and cracked, and people use one password in several places.",
    remedy: "Scrub: delete the credential attributes and empty the password history; then the copies in access logs.",
    answers: &["NIST SP 800-53r5 IA-5", "NIST SP 800-53r5 PS-4", "Regulator: safety management of what was entrusted"],
};

/// Whether an account is one whose leftovers count: in the shared store, with a status finding or kept by policy.
pub(super) fn is_leftover(case: &AccountCase<'_>) -> bool {
    case.side == Side::Shared && (case.row.status.is_some() || case.is(Flags::KEEP))
}

/// Judges one account.
pub fn check(case: &AccountCase<'_>) -> Option<Draft> {
    if !is_leftover(case) || case.entry.credentials.is_empty() {
        return None;
    }
    let mut held: BTreeMap<String, u32> = BTreeMap::new();
    for mark in &case.entry.credentials {
        *held.entry(describe(mark)).or_default() += 1;
    }
    let mut evidence = Evidence::new();
    for (what, count) in held {
        evidence.add("holds", if count == 1 { what } else { format!("{what} × {count}") });
    }
    add_state(&mut evidence, case.state);
    let severity = if case.is(Flags::OPEN) { Severity::High } else { Severity::Medium };
    Some(Draft::new(&CREDENTIAL, severity, evidence))
}
