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

/// Settles, in this order: links, keys that only the other store explains, decisions of people about two accounts; then numbers the
/// subjects that the roster does not know.
pub(super) fn settle(index: &mut Index, decisions: &Decisions) {
    let mut joins = BTreeMap::new();
    settle_links(index, &mut joins);
    settle_loose(index, decisions, &mut joins);
    settle_decisions(index, decisions, &mut joins);
    let mut next = index.people;
    let mut numbers: BTreeMap<RowIx, u32> = BTreeMap::new();
    for place in 0..u32::try_from(index.rows.len()).unwrap_or(u32::MAX) {
        if index.row(place).is_none_or(|row| row.subject != Row::UNMATCHED) {
            continue;
        }
        let root = root_of(&joins, place);
        // A root that belongs to a person takes its followers along.
        let settled = index.row(root).map_or(Row::UNMATCHED, |row| row.subject);
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

fn leave_undecided(index: &mut Index, place: RowIx, why: Undecided) {
    if let Some(row) = index.row_mut(place).filter(|row| !row.flags.has(Flags::DECIDED_BY_PERSON)) {
        row.flags.set(undecided_flag(why), true);
        row.subject = Row::UNMATCHED;
        row.matched_by = None;
    }
}

fn settle_links(index: &mut Index, joins: &mut BTreeMap<RowIx, RowIx>) {
    let mut linked = std::mem::take(&mut index.linked);
    linked.sort_unstable_by_key(|(independent, shared)| (*shared, *independent));
    for claim in linked.chunk_by(|a, b| a.1 == b.1) {
        match claim {
            [(independent, shared)] => settle_link(index, joins, *independent, *shared),
            several => several.iter().for_each(|(place, _)| leave_undecided(index, *place, Undecided::Ambiguous)),
        }
    }
}

fn settle_link(index: &mut Index, joins: &mut BTreeMap<RowIx, RowIx>, independent: RowIx, shared: RowIx) {
    let (Some(here), Some(there)) = (index.row(independent).copied(), index.row(shared).copied()) else { return };
    let matched = |row: &Row| row.subject != Row::UNMATCHED;
    if there.is_undecided() {
        if !matched(&here) && !here.is_undecided() {
            leave_undecided(index, independent, Undecided::Ambiguous);
        }
    } else if !matched(&there) {
        if here.is_undecided() {
            leave_undecided(index, shared, Undecided::Ambiguous);
        } else if matched(&here) {
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
    let names: BTreeMap<RowIx, String> = index.anchors.iter().map(|(anchor, row)| (*row, anchor.clone())).collect();
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
            let leads = leads_into_other_store(index, joins, side, keys, |other| !denied(*place, other));
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
                Outcome::Undecided(why) if side == Side::Independent => leave_undecided(index, *place, why),
                Outcome::Undecided(why)
                    if leads.iter().flat_map(|(_, found)| found).any(|s| matches!(s, Somebody::Person(_))) =>
                {
                    leave_undecided(index, *place, why);
                }
                Outcome::Undecided(_) | Outcome::Nobody => {}
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

fn settle_decisions(index: &mut Index, decisions: &Decisions, joins: &mut BTreeMap<RowIx, RowIx>) {
    for (a, b) in decisions.confirmed_pairs() {
        let (Some(a), Some(b)) = (index.anchors.get(a).copied(), index.anchors.get(b).copied()) else { continue };
        let subject = |place| index.row(place).map(|row| row.subject).filter(|s| *s != Row::UNMATCHED);
        match (subject(a), subject(b)) {
            // The shared account's person where both have one: its word was asked first.
            (Some(person), _) => decide(index, b, person),
            (None, Some(person)) => decide(index, a, person),
            (None, None) => {
                join(joins, a, b);
                for place in [a, b] {
                    decide(index, place, Row::UNMATCHED);
                }
            }
        }
    }
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
