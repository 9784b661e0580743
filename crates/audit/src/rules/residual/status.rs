//! The four status rules: departed, contract ended, already separated, orphan. At most one is raised on an account, first in this
//! order; which one is worked out by [`crate::correlate`], because groups and references ask for it too.

use untether_model::Side;
use untether_model::finding::{Evidence, Severity};
use untether_model::snapshot::{Account, Subject};

use super::super::evidence::{add_last_use, add_state};
use super::super::{Draft, RuleDoc, SubjectCase};
use crate::correlate::{Flags, Row, StatusRule};

/// Somebody who has left.
pub const DEPARTED: RuleDoc = RuleDoc {
    id: "residual.departed",
    raised: "An account, in either store, of somebody who has departed according to the roster, whatever the account's state. The last valid day counts until midnight in the entity's time zone; the date beats the status word.",
    severity: "Shared store: critical if any authentication path is open or unknown, else high. Independent directory: high if open or unknown, else low.",
    rationale: "A leaver's account is a way in that nobody watches, and in the shared store it is in somebody else's hands.",
    remedy: "Plan the subject on the track retire: disable on every path, then scrub and remove the record.",
    answers: &["NIST SP 800-53r5 AC-2(3)", "NIST SP 800-53r5 PS-4", "CIS Controls v8 6.2"],
};

/// A contractor whose contract is over.
pub const CONTRACT_ENDED: RuleDoc = RuleDoc {
    id: "residual.contract-ended",
    raised: "An account, in either store, of a contractor whose contract has ended. The contract's end decides nothing about regular employees; where somebody has also departed, that rule is raised instead.",
    severity: "Shared store: critical if any authentication path is open or unknown, else high. Independent directory: high if open or unknown, else low.",
    rationale: "Contracts end by date and nobody says goodbye: these accounts are the ones that stay.",
    remedy: "Plan the subject on the track retire, or have the roster corrected if the contract was renewed.",
    answers: &["NIST SP 800-53r5 AC-2(3)", "NIST SP 800-53r5 PS-4", "CIS Controls v8 6.2"],
};

/// Somebody who lives in the independent directory already.
pub const ALREADY_SEPARATED: RuleDoc = RuleDoc {
    id: "residual.already-separated",
    raised: "An account in the shared store of an active person who has an enabled account in the independent directory, by whatever key the two were matched.",
    severity: "High if any authentication path is open or unknown; medium if refused; low if it is locked and scrubbed.",
    rationale: "The person does not need it any more; whoever breaks into the shared store still gets it.",
    remedy: "Plan the subject on the track finish: disable, soak, scrub, remove.",
    answers: &["NIST SP 800-53r5 AC-2(3)", "NIST SP 800-53r5 PS-5", "Regulator: which relation ends, and by when"],
};

/// Nobody answers for it.
pub const ORPHAN: RuleDoc = RuleDoc {
    id: "residual.orphan",
    raised: "A person's, mailbox's or test account in scope without a row in the roster and without an owner who exists and has not departed, in either store. Not raised on protected identities, declared service accounts and the canary entry.",
    severity: "High if any authentication path is open or unknown, else medium.",
    rationale: "An account of which personnel knows nothing belongs to somebody who left before the roster began, or to somebody who should not be there.",
    remedy: "Find out whose it is: add the person to the roster, name an owner, confirm a match (`correlate confirm`), or decide on the track retire (`subject decide`).",
    answers: &["NIST SP 800-53r5 AC-2", "NIST SP 800-53r5 AC-2(3)", "CIS Controls v8 5.1"],
};

/// The rule that an account falls under.
fn doc(rule: StatusRule) -> &'static RuleDoc {
    match rule {
        StatusRule::Departed => &DEPARTED,
        StatusRule::ContractEnded => &CONTRACT_ENDED,
        StatusRule::AlreadySeparated => &ALREADY_SEPARATED,
        StatusRule::Orphan => &ORPHAN,
    }
}

/// How much it matters.
pub fn severity(rule: StatusRule, side: Side, flags: Flags) -> Severity {
    let open = flags.has(Flags::OPEN);
    match (rule, side) {
        (StatusRule::Departed | StatusRule::ContractEnded, Side::Shared) if open => Severity::Critical,
        (StatusRule::Departed | StatusRule::ContractEnded, Side::Shared) => Severity::High,
        (StatusRule::Departed | StatusRule::ContractEnded, Side::Independent) if open => Severity::High,
        (StatusRule::Departed | StatusRule::ContractEnded, Side::Independent) => Severity::Low,
        (StatusRule::AlreadySeparated | StatusRule::Orphan, _) if open => Severity::High,
        (StatusRule::AlreadySeparated, _)
            if flags.has(Flags::LOCKED) && !flags.has_any(Flags::CREDENTIAL | Flags::BEYOND_RETENTION) =>
        {
            Severity::Low
        }
        (StatusRule::AlreadySeparated | StatusRule::Orphan, _) => Severity::Medium,
    }
}

/// Judges each account of a subject; the drafts are in the order of the accounts.
pub fn check(case: &SubjectCase<'_>) -> Vec<Option<Draft>> {
    case.pieces
        .iter()
        .map(|(piece, row)| {
            let rule = row.status?;
            let severity = severity(rule, piece.account.side, row.flags);
            Some(Draft::new(doc(rule), severity, evidence(case.subject, &piece.account, row, rule)))
        })
        .collect()
}

fn evidence(subject: &Subject, account: &Account, row: &Row, rule: StatusRule) -> Evidence {
    let mut evidence = Evidence::new();
    if let Some(person) = &subject.roster_ref {
        evidence.add("person", person.clone());
    }
    if let Some(standing) = &subject.standing {
        if let Some(day) = standing.last_day {
            evidence.add("last-day", day.to_string());
        }
        if standing.disagrees {
            evidence.add("roster", "the status word and the date disagree; the date counts");
        }
    }
    if let Some(key) = account.matched_by {
        evidence.add("matched-by", key.words());
    }
    add_state(&mut evidence, &account.state);
    add_last_use(&mut evidence, row.last_use);
    match rule {
        StatusRule::AlreadySeparated => {
            for own in subject.accounts_in(Side::Independent).filter(|own| own.state.counts_as_open()) {
                evidence.add("enabled-account", own.dn.to_string());
            }
        }
        StatusRule::Orphan => {
            let owner = if row.flags.has(Flags::HAS_OWNER) { "named, but does not exist or has departed" } else { "none" };
            evidence.add("owner", owner);
        }
        StatusRule::Departed | StatusRule::ContractEnded => {}
    }
    evidence
}
