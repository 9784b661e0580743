//! `residual.lock-ineffective`: somebody meant to lock the account, and it lets in all the same.

use untether_model::finding::{Evidence, Severity};
use untether_model::snapshot::PathState;

use super::super::evidence::add_state;
use super::super::{AccountCase, Draft, RuleDoc};

/// The rule.
pub const LOCK_INEFFECTIVE: RuleDoc = RuleDoc {
    id: "residual.lock-ineffective",
    raised: "A permanent lock, a lock without end under its policy, or pwdEndTime in the past, and yet an authentication path is open: the policy ignores locks (pwdLockout FALSE) or does not resolve, or another mechanism lets in. Expired temporary locks and locks in the future are not locks.",
    severity: "Critical: everybody believes that the account is closed.",
    rationale: "OpenLDAP obeys a lock only where the effective password policy resolves and has pwdLockout TRUE; SASL mechanisms that read a clear-text password obey none.",
    remedy: "Point pwdPolicySubentry at a policy that locks, set both the permanent lock and pwdEndTime, and delete clear-text and {SASL} values.",
    answers: &["NIST SP 800-53r5 AC-2(3)", "NIST SP 800-53r5 AC-7", "CIS Controls v8 6.2"],
};

/// What the rule comes to on one account.
pub enum Verdict {
    /// Nothing to say.
    Fine,
    /// The lock does not hold.
    Ineffective(Draft),
    /// It cannot be told whether it holds.
    NotKnown(String),
}

/// Judges one account.
pub fn check(case: &AccountCase<'_>) -> Verdict {
    if !case.state.locked && !case.state.ended {
        return Verdict::Fine;
    }
    match case.state.overall() {
        PathState::Refused => Verdict::Fine,
        PathState::Unknown => {
            let why = case.state.paths.iter().find(|p| p.state == PathState::Unknown).map(|p| p.why.clone());
            Verdict::NotKnown(why.unwrap_or_default())
        }
        PathState::Open => {
            let mut evidence = Evidence::new();
            add_state(&mut evidence, case.state);
            Verdict::Ineffective(Draft::new(&LOCK_INEFFECTIVE, Severity::Critical, evidence))
        }
    }
}
