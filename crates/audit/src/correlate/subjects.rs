//! From matched accounts to subjects: what depends on all accounts together, and each subject's main account.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use untether_model::Side;
use untether_model::snapshot::MatchKey;

use super::index::{Index, LooseKeys, undecided_flag};
use super::matching::{Outcome, Undecided, weigh};
use super::{Decisions, Flags, KeyTable, Row, RowIx};

/// A subject's number within one run: people of the roster first, then those whom the roster does not know.
pub type SubjectIx = u32;

/// What a subject's id is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// A person of the roster.
    Person(u32),
    /// The account itself.
    Account(RowIx),
}

/// Settles, in this order: what people decided about accounts, links, keys that only the other store explains, and decisions once more
/// with what the others have brought; then numbers the subjects that the roster does not know.
pub(super) fn settle(index: &mut Index, decisions: &Decisions) {
    let mut joins = BTreeMap::new();
    let mut torn = BTreeSet::new();
    settle_decisions(index, decisions, (&mut joins, &mut torn));
    settle_links(index, &mut joins);
    settle_loose(index, decisions, &mut joins);
    settle_decisions(index, decisions, (&mut joins, &mut torn));
    let mut alone = keep_apart(index, decisions, &joins);
    alone.extend(torn.iter().flat_map(|group| members(index, decisions, *group)));
    let mut next = index.people;
    let mut numbers: BTreeMap<RowIx, u32> = BTreeMap::new();
    for place in 0..u32::try_from(index.rows.len()).unwrap_or(u32::MAX) {
        if index.row(place).is_none_or(|row| row.subject != Row::UNMATCHED) {
            continue;
        }
        let root = if alone.contains(&place) { place } else { root_of(&joins, place) };
        // A root that belongs to a person takes its followers along, but nobody to whom that was denied.
        let settled = index.row(root).map_or(Row::UNMATCHED, |row| row.subject);
        let (root, settled) = if is_denied(index, place, settled) { (place, Row::UNMATCHED) } else { (root, settled) };
        let number = match settled {
            Row::UNMATCHED => *numbers.entry(root).or_insert_with(|| {
                next += 1;
                next - 1
            }),
            person => person,
        };
        if let Some(row) = index.row_mut(place) {
            row.subject = number;
        }
    }
    index.roots = {
        let mut roots: Vec<(u32, RowIx)> = numbers.into_iter().map(|(root, number)| (number, root)).collect();
        roots.sort_unstable();
        roots.into_iter().map(|(_, root)| root).collect()
    };
    index.loose = Vec::new();
    index.linked = Vec::new();
    let mut doubts = std::mem::take(&mut index.doubts);
    doubts.retain(|place, _| index.row(*place).is_some_and(Row::is_undecided));
    index.doubts = doubts;
}

/// Whether somebody said that an account does not belong to a person.
fn is_denied(index: &Index, place: RowIx, person: u32) -> bool {
    index.not_theirs.get(&place).is_some_and(|people| people.contains(&person))
}

fn root_of(joins: &BTreeMap<RowIx, RowIx>, place: RowIx) -> RowIx {
    let mut root = place;
    // Joins lead from later to earlier accounts, so this ends.
    while let Some(next) = joins.get(&root).filter(|next| **next < root) {
        root = *next;
    }
    root
}

/// Joins two accounts that no person is known for.
fn join(joins: &mut BTreeMap<RowIx, RowIx>, a: RowIx, b: RowIx) {
    let (a, b) = (root_of(joins, a), root_of(joins, b));
    if a != b {
        joins.insert(a.max(b), a.min(b));
    }
}

/// Leaves an account undecided; whom it was thought to belong to is one of its candidates.
fn leave_undecided(index: &mut Index, place: RowIx, why: Undecided) {
    let Some(row) = index.row_mut(place).filter(|row| !row.flags.has(Flags::DECIDED_BY_PERSON)) else { return };
    let before = (row.subject, row.matched_by);
    row.flags.set(undecided_flag(why), true);
    row.subject = Row::UNMATCHED;
    row.matched_by = None;
    let doubt = index.doubts.entry(place).or_default();
    if let (person, Some(key)) = before
        && person < index.people
    {
        doubt.person(person, key);
    }
}

fn settle_links(index: &mut Index, joins: &mut BTreeMap<RowIx, RowIx>) {
    let mut linked = std::mem::take(&mut index.linked);
    linked.sort_unstable_by_key(|(independent, shared)| (*shared, *independent));
    for claim in linked.chunk_by(|a, b| a.1 == b.1) {
        match claim {
            [(independent, shared)] => settle_link(index, joins, *independent, *shared),
            several => {
                for (place, shared) in several {
                    leave_undecided(index, *place, Undecided::Ambiguous);
                    let doubt = index.doubts.entry(*place).or_default();
                    doubt.account(*shared, MatchKey::Link);
                    several.iter().filter(|(rival, _)| rival != place).for_each(|(rival, _)| doubt.rival(*rival));
                }
            }
        }
    }
}

fn settle_link(index: &mut Index, joins: &mut BTreeMap<RowIx, RowIx>, independent: RowIx, shared: RowIx) {
    let (Some(here), Some(there)) = (index.row(independent).copied(), index.row(shared).copied()) else { return };
    let matched = |row: &Row| row.subject != Row::UNMATCHED;
    if there.is_undecided() {
        if !matched(&here) && !here.is_undecided() {
            leave_undecided(index, independent, Undecided::Ambiguous);
            index.doubts.entry(independent).or_default().account(shared, MatchKey::Link);
        }
    } else if !matched(&there) {
        if here.is_undecided() {
            leave_undecided(index, shared, Undecided::Ambiguous);
            index.doubts.entry(shared).or_default().account(independent, MatchKey::Link);
        } else if matched(&here) {
            if is_denied(index, shared, here.subject) {
                return;
            }
            if let Some(row) = index.row_mut(shared) {
                row.subject = here.subject;
                row.matched_by = Some(MatchKey::Link);
            }
        } else {
            join(joins, independent, shared);
            if let Some(row) = index.row_mut(independent) {
                row.matched_by = Some(MatchKey::Link);
            }
        }
    }
}

/// A subject as a candidate of the other store: a person, or the account that stands for somebody unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Somebody {
    Person(u32),
    Account(RowIx),
}

/// Accounts whose keys the roster does not know, by the accounts of the other store: the independent ones first, then what is left
/// of the shared ones.
fn settle_loose(index: &mut Index, decisions: &Decisions, joins: &mut BTreeMap<RowIx, RowIx>) {
    let loose = std::mem::take(&mut index.loose);
    let names = index.anchor_of.clone();
    let denied = |a: RowIx, b: RowIx| match (names.get(&a), names.get(&b)) {
        (Some(a), Some(b)) => decisions.is_denied(a, b),
        _ => false,
    };
    for side in [Side::Independent, Side::Shared] {
        for (place, keys) in &loose {
            let is_open = index.row(*place).is_some_and(|row| row.subject == Row::UNMATCHED && !row.is_undecided());
            // A link may have said already who it is.
            if index.side_of(*place) != side || !is_open || joins.contains_key(place) {
                continue;
            }
            let mut leads = leads_into_other_store(index, joins, side, keys, |other| !denied(*place, other));
            if index.not_theirs.contains_key(place) {
                let allowed = |s: &Somebody| !matches!(s, Somebody::Person(person) if is_denied(index, *place, *person));
                leads.iter_mut().for_each(|(_, found)| found.retain(allowed));
                leads.retain(|(_, found)| !found.is_empty());
            }
            match weigh(&leads) {
                Outcome::Decided(Somebody::Person(person), key) => {
                    if let Some(row) = index.row_mut(*place) {
                        row.subject = person;
                        row.matched_by = Some(key);
                    }
                }
                Outcome::Decided(Somebody::Account(other), key) => {
                    // From the shared side this pair was seen already.
                    if side == Side::Independent {
                        join(joins, *place, other);
                        if let Some(row) = index.row_mut(*place) {
                            row.matched_by = Some(key);
                        }
                    }
                }
                Outcome::Undecided(why) => {
                    let somebody = leads.iter().flat_map(|(_, found)| found).any(|s| matches!(s, Somebody::Person(_)));
                    if side == Side::Independent || somebody {
                        leave_undecided(index, *place, why);
                        let doubt = index.doubts.entry(*place).or_default();
                        for (key, found) in &leads {
                            found.iter().for_each(|candidate| match candidate {
                                Somebody::Person(person) => doubt.person(*person, *key),
                                Somebody::Account(row) => doubt.account(*row, *key),
                            });
                        }
                    }
                }
                Outcome::Nobody => {}
            }
        }
    }
}

fn leads_into_other_store(
    index: &Index,
    joins: &BTreeMap<RowIx, RowIx>,
    side: Side,
    keys: &LooseKeys,
    allowed: impl Fn(RowIx) -> bool,
) -> Vec<(MatchKey, Vec<Somebody>)> {
    let other = match side {
        Side::Shared => &index.independent,
        Side::Independent => &index.shared,
    };
    let found = |table: &KeyTable, hash: u64| -> Vec<Somebody> {
        let candidates = table.get(hash).filter(|row| allowed(*row)).filter_map(|place| {
            let row = index.row(place).filter(|row| !row.is_undecided())?;
            Some(match row.subject {
                Row::UNMATCHED => Somebody::Account(root_of(joins, place)),
                person => Somebody::Person(person),
            })
        });
        let mut candidates: Vec<Somebody> = candidates.collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    };
    let mut leads = Vec::new();
    let mut lead = |key, candidates: Vec<Somebody>| {
        if !candidates.is_empty() {
            leads.push((key, candidates));
        }
    };
    if let Some(hash) = keys.number {
        lead(MatchKey::Number, found(&other.numbers, hash));
    }
    keys.mails.iter().for_each(|hash| lead(MatchKey::Mail, found(&other.mails, *hash)));
    keys.logins.iter().for_each(|hash| lead(MatchKey::Login, found(&other.logins, *hash)));
    leads
}

/// Brings together what somebody said is one subject. Where the rules put the accounts of such a group to several people and none of them
/// was named, nobody guesses: all of them are in conflict (`torn`).
fn settle_decisions(
    index: &mut Index,
    decisions: &Decisions,
    (joins, torn): (&mut BTreeMap<RowIx, RowIx>, &mut BTreeSet<usize>),
) {
    for number in 0..decisions.groups().len() {
        let rows = members(index, decisions, number);
        let subject = |index: &Index, place: RowIx| index.row(place).map(|row| row.subject).filter(|s| *s != Row::UNMATCHED);
        let named = index.named.get(number).copied().flatten();
        if torn.contains(&number) || (rows.len() < 2 && named.is_none()) {
            continue;
        }
        let mut people: Vec<u32> = match named {
            Some(person) => vec![person],
            None => rows.iter().filter_map(|place| subject(index, *place)).collect(),
        };
        people.sort_unstable();
        people.dedup();
        match people.as_slice() {
            [] => {
                for pair in rows.windows(2) {
                    if let [a, b] = pair {
                        join(joins, *a, *b);
                    }
                }
                // Whose account one of them is stays open where several people may have it.
                let open = |place: &&RowIx| index.doubts.get(*place).is_none_or(|doubt| doubt.people.is_empty());
                let settled: Vec<RowIx> = rows.iter().filter(open).copied().collect();
                settled.into_iter().for_each(|place| decide(index, place, Row::UNMATCHED));
            }
            [person] => rows.iter().for_each(|place| decide(index, *place, *person)),
            several => {
                torn.insert(number);
                for place in &rows {
                    in_conflict(index, *place);
                    let doubt = index.doubts.entry(*place).or_default();
                    several.iter().for_each(|person| doubt.person(*person, MatchKey::Decision));
                }
            }
        }
    }
}

/// The accounts of a group that are there.
fn members(index: &Index, decisions: &Decisions, group: usize) -> Vec<RowIx> {
    let anchors = decisions.groups().get(group).into_iter().flatten();
    anchors.filter_map(|anchor| index.anchors.get(anchor).copied()).collect()
}

/// A person's decision and the rules cannot both be true of it.
fn in_conflict(index: &mut Index, place: RowIx) {
    if let Some(row) = index.row_mut(place) {
        row.flags.set(Flags::DECIDED_BY_PERSON | Flags::AMBIGUOUS, false);
        row.flags.set(Flags::CONFLICTING, true);
        row.subject = Row::UNMATCHED;
        row.matched_by = None;
    }
}

/// Accounts that are one subject by the rules although somebody said that they are not: both are in conflict, each by itself.
fn keep_apart(index: &mut Index, decisions: &Decisions, joins: &BTreeMap<RowIx, RowIx>) -> BTreeSet<RowIx> {
    let mut alone = BTreeSet::new();
    for (a, b) in decisions.denied_pairs() {
        let (Some(a), Some(b)) = (index.anchors.get(a).copied(), index.anchors.get(b).copied()) else { continue };
        let (Some(here), Some(there)) = (index.row(a).copied(), index.row(b).copied()) else { continue };
        let together = here.subject == there.subject
            && (here.subject != Row::UNMATCHED
                || (!here.is_undecided() && !there.is_undecided() && root_of(joins, a) == root_of(joins, b)));
        if together {
            for place in [a, b] {
                in_conflict(index, place);
                if here.subject < index.people {
                    index.doubts.entry(place).or_default().person(here.subject, MatchKey::Decision);
                }
                alone.insert(place);
            }
        }
    }
    alone
}

fn decide(index: &mut Index, place: RowIx, subject: u32) {
    if let Some(row) = index.row_mut(place) {
        row.flags.set(Flags::AMBIGUOUS | Flags::CONFLICTING, false);
        row.flags.set(Flags::DECIDED_BY_PERSON, true);
        row.subject = subject;
        row.matched_by = Some(MatchKey::Decision);
    }
}

/// All subjects with their accounts.
pub struct Subjects {
    people: u32,
    roots: Vec<RowIx>,
    /// Accounts sorted by subject.
    order: Vec<RowIx>,
}

/// The order in which the main account is chosen: open first, then latest use, then oldest. A declared secondary account comes after
/// all others.
type Rank = (bool, bool, Reverse<u32>, u32);

fn rank(row: &Row) -> Rank {
    let created = if row.created == 0 { u32::MAX } else { row.created };
    (row.flags.has(Flags::SECONDARY), !row.flags.has(Flags::OPEN), Reverse(row.last_use), created)
}

impl Subjects {
    /// The subjects of a filled index.
    pub fn of(index: &Index) -> Self {
        let mut order: Vec<RowIx> = index.rows().map(|(place, _)| place).collect();
        order.sort_unstable_by_key(|place| (index.row(*place).map(|row| row.subject), *place));
        Self { people: index.people, roots: index.roots.clone(), order }
    }

    /// What a subject's id is made from.
    pub fn anchor(&self, subject: SubjectIx) -> Option<Anchor> {
        match subject.checked_sub(self.people) {
            None => Some(Anchor::Person(subject)),
            Some(unknown) => self.roots.get(usize::try_from(unknown).ok()?).copied().map(Anchor::Account),
        }
    }

    /// The accounts of a subject.
    pub fn accounts<'s>(&'s self, index: &'s Index, subject: SubjectIx) -> &'s [RowIx] {
        let of = |place: &RowIx| index.row(*place).map_or(u32::MAX, |row| row.subject);
        let from = self.order.partition_point(|place| of(place) < subject);
        let to = self.order.partition_point(|place| of(place) <= subject);
        self.order.get(from..to).unwrap_or_default()
    }

    /// Subjects with their accounts, those without any left out.
    pub fn groups<'s>(&'s self, index: &'s Index) -> impl Iterator<Item = &'s [RowIx]> {
        let of = |place: RowIx| index.row(place).map(|row| row.subject);
        self.order.chunk_by(move |a, b| of(*a) == of(*b))
    }

    /// Accounts of one subject in one store between which only the name decides which is the main one.
    pub fn ties(&self, index: &Index) -> BTreeSet<RowIx> {
        let mut tied = BTreeSet::new();
        for side in Side::ALL {
            for group in self.groups(index) {
                let ranked = ranked(index, group, side);
                let Some((best, _)) = ranked.first() else { continue };
                let first: Vec<RowIx> = ranked.iter().take_while(|(rank, _)| rank == best).map(|(_, place)| *place).collect();
                if first.len() > 1 {
                    tied.extend(first);
                }
            }
        }
        tied
    }

    /// Marks each subject's main account in each store. `names` gives the comparable names of [`Subjects::ties`].
    pub fn mark_primaries(&self, index: &mut Index, names: &BTreeMap<RowIx, String>) {
        for side in Side::ALL {
            let chosen: Vec<RowIx> = self
                .groups(index)
                .filter_map(|group| {
                    let ranked = ranked(index, group, side);
                    let best = ranked.first()?.0;
                    let first = ranked.iter().take_while(|(rank, _)| *rank == best).map(|(_, place)| *place);
                    first.min_by_key(|place| (names.get(place), *place))
                })
                .collect();
            for place in chosen {
                if let Some(row) = index.row_mut(place) {
                    row.flags.set(Flags::PRIMARY, true);
                }
            }
        }
    }
}

fn ranked(index: &Index, group: &[RowIx], side: Side) -> Vec<(Rank, RowIx)> {
    let mut ranked: Vec<(Rank, RowIx)> = group
        .iter()
        .filter(|place| index.side_of(**place) == side)
        .filter_map(|place| index.row(*place).map(|row| (rank(row), *place)))
        .collect();
    ranked.sort_unstable();
    ranked
}
