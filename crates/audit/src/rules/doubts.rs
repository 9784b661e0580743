//! Undecided matches, put together from accounts that are met one after the other.
//!
//! An account can be in several cases: as the one in question, as a candidate, as one that a candidate has already. So its card is made
//! when its entry is met, sorted to its cases, and each case is put together when all of its cards are there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use untether_model::finding::Place;
use untether_model::matching::{Candidate, Card, Held, MatchCase, Who};
use untether_model::snapshot::MatchKey;
use untether_model::{CaseId, EntityId, FindingId, StableId};

use super::{AccountCase, Context, correlation};
use crate::cards::{account_card, person_card};
use crate::correlate::{Anchor, RowIx};

/// Accounts that a candidate has already, as far as they are listed.
const HELD: usize = 20;

/// What an account is in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The one in question.
    Itself,
    /// A candidate, or one that a candidate has already.
    Beside,
}

/// Which accounts are in which cases.
pub(super) struct Wanted {
    parts: Vec<(RowIx, RowIx, Part)>,
}

/// An account in a case, on its way.
#[derive(Serialize, Deserialize)]
pub(super) struct Seen {
    row: RowIx,
    card: Card,
    held: Held,
    /// Rule and finding, on the account in question.
    undecided: Option<(String, FindingId)>,
    entity: Option<EntityId>,
}

impl Wanted {
    /// From the doubts that correlation has left.
    pub(super) fn of(context: &Context<'_>) -> Self {
        let mut parts = Vec::new();
        for (case, doubt) in context.index.doubts() {
            parts.push((case, case, Part::Itself));
            let mut beside = |row: RowIx| parts.push((row, case, Part::Beside));
            doubt.accounts.iter().map(|(row, _)| *row).chain(doubt.rivals.iter().copied()).for_each(&mut beside);
            for person in candidates(context, case).keys().filter_map(|c| c.person()) {
                context.subjects.accounts(&context.index, person).iter().take(HELD).copied().for_each(&mut beside);
            }
        }
        parts.sort_unstable();
        parts.dedup();
        Self { parts }
    }

    /// The cases that an account is in, with what is to be kept of it there.
    pub(super) fn cards<'w>(&'w self, case: &'w AccountCase<'_>) -> impl Iterator<Item = (RowIx, Seen)> + 'w {
        let from = self.parts.partition_point(|(row, _, _)| *row < case.place);
        let parts = self.parts.iter().skip(from).take_while(|(row, _, _)| *row == case.place);
        parts.map(|(row, of, part)| (*of, seen(case, *row, *part)))
    }
}

fn seen(case: &AccountCase<'_>, row: RowIx, part: Part) -> Seen {
    let (entry, state) = (case.entry, case.state.overall());
    let mut card = account_card(case.context.policy(), case.side, entry, state);
    card.subject.clone_from(&case.subject);
    let last_use = super::evidence::at(case.row.last_use);
    let held = Held { anchor: card.anchor.clone(), side: case.side, dn: entry.dn.clone(), state, last_use };
    let rule = correlation::undecided(case).filter(|_| part == Part::Itself);
    let undecided = rule.map(|rule| {
        let place = Place::from(case.side);
        let name = entry.stable_id.as_ref().map_or_else(|| entry.dn.key().as_str(), StableId::as_str);
        (rule.id.to_owned(), FindingId::derive(rule.id, place.as_str(), name, ""))
    });
    Seen { row, card, held, undecided, entity: case.entity.clone() }
}

/// A candidate before anything is known of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Somebody {
    Person(u32),
    Account(RowIx),
}

impl Somebody {
    fn person(self) -> Option<u32> {
        match self {
            Self::Person(person) => Some(person),
            Self::Account(_) => None,
        }
    }
}

/// The candidates of a case with the keys that lead to them. An account that is a person's stands for the person.
fn candidates(context: &Context<'_>, case: RowIx) -> BTreeMap<Somebody, Vec<MatchKey>> {
    let mut found: BTreeMap<Somebody, Vec<MatchKey>> = BTreeMap::new();
    let Some(doubt) = context.index.doubt(case) else { return found };
    let people = doubt.people.iter().map(|(person, key)| (Somebody::Person(*person), *key));
    let accounts = doubt.accounts.iter().map(|(row, key)| {
        let subject = context.index.row(*row).map(|r| r.subject);
        let person = subject.filter(|s| matches!(context.subjects.anchor(*s), Some(Anchor::Person(_))));
        (person.map_or(Somebody::Account(*row), Somebody::Person), *key)
    });
    for (somebody, key) in people.chain(accounts) {
        let keys = found.entry(somebody).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    found
}

/// Puts a case together from its cards.
pub(super) fn assemble(context: &Context<'_>, cards: &[Seen]) -> Option<MatchCase> {
    let itself = cards.iter().find(|seen| seen.undecided.is_some())?;
    let (rule, finding) = itself.undecided.clone()?;
    let case = itself.row;
    let beside = |row: RowIx| cards.iter().find(|seen| seen.row == row);
    let mut found: Vec<(Candidate, MatchKey)> = Vec::new();
    for (somebody, mut by) in candidates(context, case) {
        by.sort();
        let strongest = by.first().copied().unwrap_or(MatchKey::Decision);
        let candidate = match somebody {
            Somebody::Person(number) => {
                let person = context.people.person(number)?;
                let mut card = person_card(context.inputs.roster, person, context.people.judgement(person).as_ref())?;
                let accounts = context.subjects.accounts(&context.index, number);
                card.subject = (!accounts.is_empty()).then(|| untether_model::SubjectId::from_anchor(&card.anchor));
                let held = accounts.iter().filter_map(|row| beside(*row)).map(|seen| seen.held.clone());
                Candidate { card, by, accounts: held.collect() }
            }
            Somebody::Account(row) => Candidate { card: beside(row)?.card.clone(), by, accounts: Vec::new() },
        };
        found.push((candidate, strongest));
    }
    found.sort_by(|(a, x), (b, y)| (x, &a.card.anchor).cmp(&(y, &b.card.anchor)));
    let doubt = context.index.doubt(case)?;
    let rivals = doubt.rivals.iter().filter_map(|row| beside(*row)).filter_map(|seen| match &seen.card.who {
        Who::Account { side, dn } => Some((*side, dn.clone())),
        Who::Person { .. } => None,
    });
    Some(MatchCase {
        id: CaseId::from_anchor(&itself.card.anchor),
        rule,
        finding,
        entity: itself.entity.clone(),
        account: itself.card.clone(),
        candidates: found.into_iter().map(|(candidate, _)| candidate).collect(),
        rivals: rivals.collect(),
        more: doubt.more,
    })
}
