//! `correlation.*`: whose account it is, where that is not clear.

use untether_model::CaseId;
use untether_model::finding::{Evidence, Severity};

use super::{AccountCase, Draft, RuleDoc};
use crate::correlate::{Flags, account_anchor};

/// Several candidates.
pub const AMBIGUOUS: RuleDoc = RuleDoc {
    id: "correlation.ambiguous",
    raised: "The strongest key that matches (immutable link, entity and employee number, number alone, mail, login) has more than one candidate: several people for one key, or several independent accounts for one link value. Raised on each account that is left undecided by it.",
    severity: "Medium: the account is planned by nobody until a person decides.",
    rationale: "A wrong guess disables somebody who works here, or hands an account to the wrong person.",
    remedy: "Look at the candidates (`correlate`) and decide (`correlate confirm` or `correlate deny`), or correct the key at its source.",
    answers: &["NIST SP 800-53r5 IA-4", "NIST SP 800-53r5 AC-2"],
};

/// Keys contradict each other.
pub const CONFLICTING: RuleDoc = RuleDoc {
    id: "correlation.conflicting",
    raised: "Two keys of one account lead to different subjects: the number of one person and the mail of another, a link against a number, a mail or login that now belongs to a newcomer. Raised on that account.",
    severity: "Medium: the account is planned by nobody until a person decides.",
    rationale: "Numbers, addresses and logins are given to somebody else after a while. Whichever key one believes may be the wrong one.",
    remedy: "Look at both subjects (`correlate`) and decide (`correlate confirm` or `correlate deny`), or correct the key at its source.",
    answers: &["NIST SP 800-53r5 IA-4", "NIST SP 800-53r5 AC-2"],
};

/// The entity differs.
pub const ENTITY: RuleDoc = RuleDoc {
    id: "correlation.entity",
    raised: "The account's subtree or attribute says another entity than the roster. The roster wins.",
    severity: "Low: deadlines and time zones follow the roster.",
    rationale: "After a transfer the account stays where it was, and whoever selects by subtree selects the wrong people.",
    remedy: "Move the account or correct its attribute; correct the roster if it is the one that is wrong.",
    answers: &["NIST SP 800-53r5 PS-5"],
};

/// The rule under which correlation left the account undecided.
pub(super) fn undecided(case: &AccountCase<'_>) -> Option<&'static RuleDoc> {
    match (case.is(Flags::AMBIGUOUS), case.is(Flags::CONFLICTING)) {
        (true, _) => Some(&AMBIGUOUS),
        (false, true) => Some(&CONFLICTING),
        (false, false) => None,
    }
}

/// Whether correlation left the account undecided.
pub fn check_undecided(case: &AccountCase<'_>) -> Option<Draft> {
    let rule = undecided(case)?;
    let keys = case.context.readers.get(case.side).keys(case.entry);
    let mut evidence = Evidence::new();
    if let Some(link) = &keys.link {
        evidence.add("link", link.clone());
    }
    evidence.add("case", CaseId::from_anchor(&account_anchor(case.side, case.entry)).as_str());
    let people = &case.context.people;
    for (number, key) in case.context.index.doubt(case.place).into_iter().flat_map(|doubt| &doubt.people) {
        let judgement = people.person(*number).and_then(|person| people.judgement(person));
        let row = judgement.and_then(|j| people.row(&j));
        let reference = row.map_or_else(|| "a person of the roster".to_owned(), |row| row.reference());
        evidence.add(&format!("candidate by {}", key.words()), reference);
    }
    Some(Draft::new(rule, Severity::Medium, evidence))
}

/// Whether subtree or attribute say another entity than the roster.
pub fn check_entity(case: &AccountCase<'_>) -> Option<Draft> {
    if case.row.is_undecided() {
        return None;
    }
    let person = case.context.people.person(case.row.subject)?;
    let listed = case.context.people.entity(person)?;
    let (by_attribute, by_subtree) = case.context.readers.get(case.side).said_entities(case.entry);
    let mut evidence = Evidence::new();
    for (source, said) in [("attribute", by_attribute), ("subtree", by_subtree)] {
        if let Some(said) = said.filter(|said| *said != listed) {
            evidence.add(source, said.as_str());
        }
    }
    if evidence.facts.is_empty() {
        return None;
    }
    evidence.add("roster", listed.as_str());
    Some(Draft::new(&ENTITY, Severity::Low, evidence))
}
