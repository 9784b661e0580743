//! Which subjects have another id now than in the audit before: merged, split, confirmed, or because the roster has learned of somebody.
//!
//! A subject's id comes from what it is known by; when that changes, what the ledger holds under the earlier id must be found under the
//! later one. Pure: two lists of subjects and what the ledger knows, and what is to be recorded comes out.

use std::collections::{BTreeMap, BTreeSet};

use untether_audit::correlate::anchor_of;
use untether_model::run::{Decision, RunState};
use untether_model::snapshot::Subject;
use untether_model::{Side, SubjectId};

/// The aliases to record, in order: an id that is there again is nobody's alias; an id that is gone leads to the subject that has its
/// main account now. Only ids of which the ledger holds something are looked at.
///
/// # Errors
/// A subject could not be read.
pub fn succession<E, B, A>(
    state: &RunState,
    before: impl FnOnce() -> Result<B, E>,
    after: impl Fn() -> Result<A, E>,
) -> Result<Vec<(SubjectId, SubjectId)>, E>
where
    B: Iterator<Item = Result<Subject, E>>,
    A: Iterator<Item = Result<Subject, E>>,
{
    let known = known(state);
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let mut there = BTreeSet::new();
    for subject in after()? {
        let subject = subject?;
        if known.contains(&subject.id) {
            there.insert(subject.id);
        }
    }
    let is_alias = |id: &SubjectId| state.resolve_alias(id) != id;
    let mut found: Vec<(SubjectId, SubjectId)> =
        there.iter().filter(|id| is_alias(id)).map(|id| (id.clone(), id.clone())).collect();
    let gone: BTreeSet<&SubjectId> = known.iter().filter(|id| !there.contains(*id)).collect();
    let mut main: BTreeMap<String, SubjectId> = BTreeMap::new();
    for subject in before()? {
        let subject = subject?;
        if gone.contains(&subject.id)
            && let Some(anchor) = main_account(&subject)
        {
            main.insert(anchor, subject.id);
        }
    }
    if main.is_empty() {
        return Ok(found);
    }
    for subject in after()? {
        let subject = subject?;
        for account in &subject.accounts {
            if let Some(earlier) = main.remove(&anchor_of(account)) {
                found.push((earlier, subject.id.clone()));
            }
        }
    }
    Ok(found)
}

/// Ids of which the ledger holds something, or that stand for such an id.
fn known(state: &RunState) -> BTreeSet<SubjectId> {
    let decided = state.all_decisions().flat_map(|(_, d)| match &d.decision {
        Decision::Waive(_) => &[],
        decision => decision.subjects(),
    });
    let aliases = state.aliases().iter().flat_map(|(from, to)| [from, to]);
    state.subjects().keys().chain(decided).chain(aliases).cloned().collect()
}

/// The account that a subject's history is mostly about: the one in the shared store, which is to be left.
fn main_account(subject: &Subject) -> Option<String> {
    let account = Side::ALL.into_iter().find_map(|side| subject.primary_in(side)).or_else(|| subject.accounts.first())?;
    Some(anchor_of(account))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use untether_model::approval::{Signed, Statement, Subject as About};
    use untether_model::digest::Digest;
    use untether_model::run::{Match, MatchVerb, Record, apply};
    use untether_model::snapshot::{Account, AccountState, SubjectKind};
    use untether_model::{StableId, StateId};

    use super::*;

    fn subject(id: &str, accounts: &[&str]) -> Subject {
        let account = |uuid: &&str| Account {
            side: Side::Shared,
            dn: format!("uid={uuid}").parse().unwrap(),
            stable_id: Some(StableId::new(*uuid)),
            primary: accounts.first() == Some(uuid),
            secondary: false,
            matched_by: None,
            state: AccountState { paths: Vec::new(), locked: false, ended: false, policy_effective: None },
            last_use: None,
            factor: None,
        };
        Subject {
            id: SubjectId::new(id),
            anchor: String::new(),
            kind: SubjectKind::Person,
            entity: None,
            standing: None,
            roster_ref: None,
            name: None,
            accounts: accounts.iter().map(account).collect(),
            undecided: Vec::new(),
            protected: false,
            owned: None,
            owners: Vec::new(),
            status_rule: None,
        }
    }

    fn put(state: &mut RunState, record: &Record) {
        let seq = state.decisions().count() as u64 + state.aliases().len() as u64 + 1;
        let change = apply(state, seq, jiff::Timestamp::UNIX_EPOCH, record).unwrap();
        state.commit(change);
    }

    /// A state in which somebody decided on these subjects.
    fn decided(ids: &[&str]) -> RunState {
        let statement = Statement {
            state: StateId::new("s"),
            subject: About::Object { kind: "match".into(), object: "x".into(), shown: Digest::of(b"") },
            reason: "x".into(),
            not_after: jiff::Timestamp::UNIX_EPOCH,
        };
        let signed = Signed { statement, approver: "sato".into(), key: String::new(), signature: String::new() };
        let decision = Decision::Match(Match {
            verb: MatchVerb::Merge,
            these: vec!["a".into()],
            others: vec!["b".into()],
            subjects: ids.iter().map(|id| SubjectId::new(*id)).collect(),
        });
        let mut state = RunState::new();
        put(&mut state, &Record::Decision { decision, signed });
        state
    }

    fn list(subjects: &[Subject]) -> impl Iterator<Item = Result<Subject, Infallible>> {
        subjects.iter().cloned().map(Ok)
    }

    fn between(state: &mut RunState, before: &[Subject], after: &[Subject]) -> Vec<(String, String)> {
        let found = succession(state, || Ok(list(before)), || Ok(list(after))).unwrap();
        for (from, to) in &found {
            put(state, &Record::SubjectAliased { from: from.clone(), to: to.clone() });
        }
        found.into_iter().map(|(from, to)| (from.to_string(), to.to_string())).collect()
    }

    #[test]
    fn a_merge_and_its_taking_back_leave_each_id_where_its_history_is() {
        let apart = [subject("s-a", &["a"]), subject("s-b", &["b"])];
        let together = [subject("s-a", &["a", "b"])];
        let mut state = decided(&["s-a", "s-b"]);
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(between(&mut state, &apart, &together), [pair("s-b", "s-a")]);
        assert_eq!(state.resolve_alias(&SubjectId::new("s-b")).as_str(), "s-a");
        assert_eq!(between(&mut state, &together, &together), []);
        assert_eq!(between(&mut state, &together, &apart), [pair("s-b", "s-b")]);
        assert_eq!(state.resolve_alias(&SubjectId::new("s-b")).as_str(), "s-b");
        assert_eq!(between(&mut state, &apart, &together), [pair("s-b", "s-a")]);
    }

    #[test]
    fn an_id_is_followed_through_several_changes() {
        let mut state = decided(&["s-a"]);
        let person = [subject("s-p", &["a"])];
        assert_eq!(between(&mut state, &[subject("s-a", &["a"])], &person).len(), 1);
        // The roster renumbers the person.
        assert_eq!(between(&mut state, &person, &[subject("s-q", &["a"])]).len(), 1);
        assert_eq!(state.resolve_alias(&SubjectId::new("s-a")).as_str(), "s-q");
        let all: Vec<&str> = ["s-a", "s-p", "s-q"].to_vec();
        let q = SubjectId::new("s-q");
        let mut ids: Vec<&str> = state.identities(&q).into_iter().map(SubjectId::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, all);
    }

    #[test]
    fn who_is_gone_with_all_accounts_and_who_is_of_no_interest_gets_no_alias() {
        let mut state = decided(&["s-a"]);
        assert_eq!(between(&mut state, &[subject("s-a", &["a"])], &[subject("s-b", &["b"])]), []);
        let mut empty = RunState::new();
        assert_eq!(between(&mut empty, &[subject("s-a", &["a"])], &[subject("s-p", &["a"])]), []);
    }
}
