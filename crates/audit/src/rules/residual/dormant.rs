//! `residual.dormant`: an open account that its person does not use.

use jiff::{SignedDuration, Timestamp};
use untether_model::finding::{Evidence, Severity};
use untether_model::roster::Presence;

use super::super::evidence::{add_last_use, at};
use super::super::{AccountCase, Draft, RuleDoc};
use crate::correlate::Flags;

/// The rule.
pub const DORMANT: RuleDoc = RuleDoc {
    id: "residual.dormant",
    raised: "An open account, in either store, of an active person who is not on leave, without a status finding, whose last use (the latest login time or password change) is older than the configured number of days (180), or that was never used and created longer ago than that. Not raised on protected identities, declared service accounts and the canary entry.",
    severity: "Low: it may be needed; somebody should ask.",
    rationale: "What nobody uses nobody misses: neither its owner nor the one who notices the break-in.",
    remedy: "Ask the person; disable what is not needed. In the shared store, plan the subject early: nobody will notice the switch.",
    answers: &["NIST SP 800-53r5 AC-2(3)", "CIS Controls v8 5.3"],
};

/// Judges one account.
pub fn check(case: &AccountCase<'_>) -> Option<Draft> {
    let excused = case.row.flags.has_any(Flags::PROTECTED | Flags::CANARY | Flags::SERVICE);
    if case.presence() != Some(Presence::Active) || case.row.status.is_some() || excused || !case.is(Flags::OPEN) {
        return None;
    }
    let now = case.context.now();
    let days = case.context.policy().dormant_days;
    let is_old = |then: Timestamp| now.duration_since(then) > SignedDuration::from_hours(24 * i64::from(days));
    let (last_use, created) = (at(case.row.last_use), at(case.row.created));
    if !last_use.or(created).is_some_and(is_old) {
        return None;
    }
    let mut evidence = Evidence::new().with("limit-days", days.to_string());
    add_last_use(&mut evidence, case.row.last_use);
    if let Some(created) = created {
        evidence.add("created", created.to_string());
    }
    Some(Draft::new(&DORMANT, Severity::Low, evidence))
}
