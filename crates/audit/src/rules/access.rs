//! `access.*`: rights and factors that need somebody to answer for them.

use untether_model::Side;
use untether_model::finding::{Evidence, Severity};

use super::context::Named;
use super::evidence::add_state;
use super::{AccountCase, Draft, RuleDoc};
use crate::correlate::{Flags, OwnerState};
use untether_model::Dn;

/// Effective members of privileged groups.
pub const PRIVILEGED: RuleDoc = RuleDoc {
    id: "access.privileged",
    raised: "An account that is an effective member (nested groups followed, cycles are fine) of a configured privileged group.",
    severity: "Critical with a status finding (departed, contract ended, already separated, orphan), else medium.",
    rationale: "Whoever holds this account holds the store. Nested groups hide it.",
    remedy: "Confirm that the person needs it, or take the account out of the groups that the evidence names.",
    answers: &["NIST SP 800-53r5 AC-6(7)", "CIS Controls v8 5.4", "CIS Controls v8 6.8"],
};

/// Service accounts that nobody answers for.
pub const SERVICE_ACCOUNT: RuleDoc = RuleDoc {
    id: "access.service-account",
    raised: "A service account (recognized by configured patterns, subtrees and classes), in either store, that has no owner, or only owners who have departed or do not exist. Not raised on the canary entry.",
    severity: "High if any authentication path is open or unknown, else medium.",
    rationale: "Nobody can say what breaks when it is switched off, so it is never switched off.",
    remedy: "Find who runs the system that binds with it and name an owner; plan it after the systems that use it.",
    answers: &["NIST SP 800-53r5 AC-2", "CIS Controls v8 5.5"],
};

/// People without an acceptable factor.
pub const MFA_MISSING: RuleDoc = RuleDoc {
    id: "access.mfa-missing",
    raised: "An enabled account of a person in the independent directory without an acceptable factor, as the configured filter tells. Not raised on protected identities, declared service accounts and the canary entry.",
    severity: "High if privileged, else medium.",
    rationale: "The new directory must not be as easy to enter as the old one.",
    remedy: "Enrol a factor (stage enroll, gate mfa), or record an exemption.",
    answers: &["NIST SP 800-53r5 IA-2(1)", "NIST SP 800-53r5 IA-2(2)", "CIS Controls v8 6.3", "CISA SCuBA MS.AAD.3"],
};

/// Whether the account is privileged.
pub fn check_privileged(case: &AccountCase<'_>) -> Option<Draft> {
    if !case.is(Flags::PRIVILEGED) {
        return None;
    }
    let graph = case.context.privileged.get(case.side);
    let mut evidence = Evidence::new();
    graph.groups_of(case.place).for_each(|group| evidence.add("group", group));
    if let Some(rule) = case.row.status {
        evidence.add("status", rule.id());
    }
    add_state(&mut evidence, case.state);
    let severity = if case.row.status.is_some() { Severity::Critical } else { Severity::Medium };
    Some(Draft::new(&PRIVILEGED, severity, evidence))
}

/// Whether the service account has somebody who answers for it.
pub fn check_service(case: &AccountCase<'_>) -> Option<Draft> {
    if !case.is(Flags::SERVICE) || case.row.flags.has_any(Flags::OWNED | Flags::CANARY) {
        return None;
    }
    let context = case.context;
    let mut evidence = Evidence::new();
    for text in context.readers.get(case.side).owners(case.entry) {
        let state = match Dn::parse(text).map(|dn| context.named(case.side, &dn)) {
            Ok(Named::Account(owner, _)) if owner == case.place => "is the account itself",
            Ok(Named::Account(owner, _)) => match context.index.owner_account_state(context.people, owner) {
                OwnerState::Gone => "has departed",
                OwnerState::Present | OwnerState::NotSeen => "exists",
            },
            Ok(Named::Nothing) => "does not exist",
            Ok(Named::Elsewhere) => "was not read",
            Err(_) => "is not a name",
        };
        evidence.add("owner", format!("{text} {state}"));
    }
    if evidence.facts.is_empty() {
        evidence.add("owner", "none");
    }
    add_state(&mut evidence, case.state);
    let severity = if case.is(Flags::OPEN) { Severity::High } else { Severity::Medium };
    Some(Draft::new(&SERVICE_ACCOUNT, severity, evidence))
}

/// Whether the person's account lacks a factor; `None` too where no filter is configured, which is the caller's to report.
pub fn check_factor(case: &AccountCase<'_>) -> Option<Draft> {
    case.context.policy().mfa_filter.as_ref()?;
    let nobodys = Flags::SERVICE | Flags::MAILBOX | Flags::TEST | Flags::PROTECTED | Flags::CANARY;
    let applies = case.side == Side::Independent && case.is(Flags::OPEN) && !case.row.flags.has_any(nobodys);
    if !applies || case.is(Flags::FACTOR) {
        return None;
    }
    let privileged = case.is(Flags::PRIVILEGED);
    let mut evidence = Evidence::new().with("privileged", privileged.to_string());
    add_state(&mut evidence, case.state);
    let severity = if privileged { Severity::High } else { Severity::Medium };
    Some(Draft::new(&MFA_MISSING, severity, evidence))
}
