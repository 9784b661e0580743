//! Who names whom: memberships and references of the shared store that follow their subject or must go before its record does.
//!
//! Made of what [`super::gather`] has seen, once it is known who is planned; a link is kept as a few numbers.

use std::collections::HashMap;

use untether_model::operation::{Stage, Track};
use untether_model::policy::GroupMap;
use untether_model::{AttrName, Dn};

use super::book::Book;
use super::candidate::Candidate;
use super::gather::{Gathered, Holder, Kind, Link, To, follows};
use super::index::AccountRef;
use crate::report::{Note, Remark};

/// One value that must go before a record does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Removal {
    pub holder: u32,
    pub attr: u16,
    pub account: u16,
    /// The value is the login, not the name.
    pub by_login: bool,
}

/// One reference of a migrating subject's entry to another subject.
pub(super) struct Reference {
    pub from: u32,
    pub attr: AttrName,
    pub to: Dn,
    /// The other end, where it is created by this plan.
    pub to_candidate: Option<u32>,
}

/// What the links came to.
pub(super) struct Links {
    pub holders: Vec<Holder>,
    pub attrs: Vec<AttrName>,
    /// By the candidate that each serves.
    removals: Grouped<Removal>,
    /// Group maps of all mappings.
    pub maps: Vec<GroupMap>,
    /// Those that each candidate's memberships follow; `None` where only the mappings of others name its group.
    memberships: Grouped<Option<u16>>,
    pub references: Vec<Reference>,
    pub notes: Vec<Note>,
}

impl Links {
    /// What must go before the records of a candidate do.
    pub(super) fn removals_of(&self, number: u32) -> impl Iterator<Item = &Removal> {
        self.removals.of(number).iter()
    }

    /// The group maps that a candidate's memberships follow.
    pub(super) fn maps_of(&self, number: u32) -> impl Iterator<Item = u16> {
        self.memberships.of(number).iter().filter_map(|map| *map)
    }

    /// Whether a candidate is in a group that any mapping names.
    pub(super) fn has_memberships(&self, number: u32) -> bool {
        !self.memberships.of(number).is_empty()
    }

    /// How many memberships follow a group map.
    pub(super) fn members_by(&self, map: u16) -> usize {
        self.memberships.of_all.iter().filter(|by| **by == Some(map)).count()
    }

    /// Groups that a candidate is in, as numbers.
    pub(super) fn groups_of(&self, number: u32) -> impl Iterator<Item = u32> {
        self.removals_of(number).map(|r| r.holder).chain(self.maps_of(number).map(|m| u32::from(m) | 0x8000_0000))
    }
}

/// Something of each candidate. Where one's begins is told by its number, without a search: batches come in another order than candidates,
/// so that each step of a search would have to come from memory.
struct Grouped<T> {
    of_all: Vec<T>,
    /// Where those of each candidate begin, and where the last one's end.
    begin: Vec<u32>,
}

impl<T> Grouped<T> {
    /// From a list that is sorted by candidate.
    fn from_sorted(sorted: Vec<(u32, T)>, candidates: usize) -> Self {
        let mut begin = Vec::with_capacity(candidates + 1);
        let mut of_all = Vec::with_capacity(sorted.len());
        for (number, one) in sorted {
            let here = u32::try_from(of_all.len()).unwrap_or(u32::MAX);
            begin.resize((number as usize + 1).max(begin.len()), here);
            of_all.push(one);
        }
        begin.resize(candidates + 1, u32::try_from(of_all.len()).unwrap_or(u32::MAX));
        Self { of_all, begin }
    }

    fn of(&self, number: u32) -> &[T] {
        let at = |number: usize| self.begin.get(number).map_or(self.of_all.len(), |at| *at as usize);
        self.of_all.get(at(number as usize)..at(number as usize + 1)).unwrap_or_default()
    }
}

/// Decides what becomes of the links.
pub(super) fn links(book: &Book<'_>, candidates: &[Candidate], gathered: Gathered) -> Links {
    let maps: Vec<GroupMap> = book.groups().into_iter().cloned().collect();
    let mut found = Found::default();
    let pass = Pass::new(candidates, &gathered, &maps);
    for link in &gathered.links {
        pass.link(&mut found, link);
    }
    found.sorted(candidates, gathered.holders, maps)
}

/// What the pass has found so far, each with the candidate that it serves.
#[derive(Default)]
struct Found {
    attrs: Vec<AttrName>,
    removals: Vec<(u32, Removal)>,
    memberships: Vec<(u32, Option<u16>)>,
    references: Vec<Reference>,
    notes: Vec<Note>,
}

impl Found {
    fn attr(&mut self, attr: &AttrName) -> u16 {
        let at = self.attrs.iter().position(|a| a == attr).unwrap_or_else(|| {
            self.attrs.push(attr.clone());
            self.attrs.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn removal(&mut self, holder: u32, attr: &AttrName, (account, by_login): (AccountRef, bool)) {
        let attr = self.attr(attr);
        self.removals.push((account.candidate, Removal { holder, attr, account: account.account, by_login }));
    }

    fn note(&mut self, remark: Remark, candidate: &Candidate, dn: &Dn, words: String) {
        self.notes.push(Note { remark, subject: Some(candidate.id.clone()), dn: Some(dn.clone()), words });
    }

    /// Numbers of holders depend on the order of the entries; nothing that reaches output may.
    fn sorted(self, candidates: &[Candidate], holders: Vec<Holder>, maps: Vec<GroupMap>) -> Links {
        let Self { attrs, mut removals, mut memberships, mut references, notes } = self;
        let mut used = vec![false; holders.len()];
        for (_, removal) in &removals {
            if let Some(used) = used.get_mut(removal.holder as usize) {
                *used = true;
            }
        }
        let mut kept: Vec<(u32, Holder)> =
            (0..).zip(holders).zip(used).filter(|(_, used)| *used).map(|(holder, _)| holder).collect();
        kept.sort_by(|(_, a), (_, b)| a.dn(candidates).cmp(&b.dn(candidates)));
        let new: HashMap<u32, u32> = (0..).zip(&kept).map(|(new, (old, _))| (*old, new)).collect();
        for (_, removal) in &mut removals {
            removal.holder = new.get(&removal.holder).copied().unwrap_or(0);
        }
        let name = |r: &Removal| attrs.get(usize::from(r.attr));
        removals.sort_by(|(of_a, a), (of_b, b)| (of_a, a.holder, name(a), a.account).cmp(&(of_b, b.holder, name(b), b.account)));
        removals.dedup();
        memberships.sort_unstable();
        memberships.dedup();
        references.sort_by(|a, b| (a.from, &a.attr, &a.to).cmp(&(b.from, &b.attr, &b.to)));
        references.dedup_by(|a, b| a.from == b.from && a.attr == b.attr && a.to == b.to);
        Links {
            holders: kept.into_iter().map(|(_, holder)| holder).collect(),
            attrs,
            removals: Grouped::from_sorted(removals, candidates.len()),
            maps,
            memberships: Grouped::from_sorted(memberships, candidates.len()),
            references,
            notes,
        }
    }
}

/// An entry that names somebody: its number, itself, its name.
type At<'a> = (u32, &'a Holder, &'a Dn);

/// Whom a value names, and its text where that is wanted.
type Named<'a> = (Option<AccountRef>, Option<&'a str>);

struct Pass<'a> {
    candidates: &'a [Candidate],
    gathered: &'a Gathered,
    logins: HashMap<&'a str, Vec<AccountRef>>,
    maps: HashMap<&'a str, Vec<(u16, &'a GroupMap)>>,
}

impl<'a> Pass<'a> {
    fn new(candidates: &'a [Candidate], gathered: &'a Gathered, groups: &'a [GroupMap]) -> Self {
        let mut logins: HashMap<&str, Vec<AccountRef>> = HashMap::new();
        for (number, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.is_planned() && !gathered.texts.is_empty()) {
            for (at, account) in candidate.accounts.iter().enumerate() {
                if let (Some(login), Ok(candidate), Ok(account)) = (&account.login, u32::try_from(number), u16::try_from(at)) {
                    logins.entry(login).or_default().push(AccountRef { candidate, account });
                }
            }
        }
        let mut maps: HashMap<&str, Vec<(u16, &GroupMap)>> = HashMap::new();
        for (at, map) in groups.iter().enumerate() {
            maps.entry(map.shared.key().as_str()).or_default().extend(u16::try_from(at).map(|at| (at, map)));
        }
        Self { candidates, gathered, logins, maps }
    }

    fn link(&self, found: &mut Found, link: &Link) {
        let Some(holder) = self.gathered.holders.get(link.holder as usize) else { return };
        let Some(attr) = self.gathered.attrs.get(usize::from(link.attr)) else { return };
        let Some(dn) = holder.dn(self.candidates) else { return };
        let (account, text) = match link.to {
            To::Account { account, candidate } => (Some(AccountRef { candidate, account }), None),
            To::Text(at) => {
                let text = self.gathered.texts.get(at as usize);
                (text.and_then(|text| text.account), text.map(|text| &*text.text))
            }
        };
        match link.kind {
            Kind::Member => self.member(found, (link.holder, holder, dn), attr, (account, text)),
            Kind::Reference => self.reference(found, (link.holder, holder, dn), attr, (account, text)),
            Kind::Alias | Kind::AccessRule => {
                let Some((candidate, _)) = account.and_then(|found| self.removed(found)) else { return };
                let (remark, words) = match link.kind {
                    Kind::Alias => (Remark::AliasReference, format!("the alias {dn} points at its record; take it away by hand")),
                    _ => (
                        Remark::AclReference,
                        format!("an access rule of {dn} names its record; take the name out before the record goes"),
                    ),
                };
                found.note(remark, candidate, dn, words);
            }
        }
    }

    /// The candidate, if its record is to go.
    fn removed(&self, found: AccountRef) -> Option<(&'a Candidate, AccountRef)> {
        let candidate = self.candidates.get(found.candidate as usize)?;
        (candidate.is_planned() && candidate.has_stage(Stage::Remove)).then_some((candidate, found))
    }

    fn member(&self, found: &mut Found, (number, holder, dn): At<'_>, attr: &AttrName, (account, login): Named<'_>) {
        let by_login = login.is_some();
        let logins = login.and_then(|login| self.logins.get(login)).into_iter().flatten().copied();
        for account in account.into_iter().chain(logins) {
            let Some(candidate) = self.candidates.get(account.candidate as usize) else { continue };
            if !candidate.is_planned() {
                continue;
            }
            if candidate.track == Some(Track::Migrate)
                && usize::from(account.account) == candidate.main()
                && let (Some(maps), Some(mapping)) = (self.maps.get(dn.key().as_str()), candidate.mapping())
            {
                let follow: Vec<u16> = maps.iter().filter(|(_, map)| mapping.groups.contains(map)).map(|(at, _)| *at).collect();
                match follow.as_slice() {
                    [] => found.memberships.push((account.candidate, None)),
                    some => found.memberships.extend(some.iter().map(|at| (account.candidate, Some(*at)))),
                }
            }
            if candidate.has_stage(Stage::Remove) && (!candidate.groups_only || holder.protected_group) {
                found.removal(number, attr, (account, by_login));
            }
        }
    }

    fn reference(&self, found: &mut Found, (number, holder, dn): At<'_>, attr: &AttrName, (account, text): Named<'_>) {
        if let Some(own) = holder.account.filter(|own| follows(self.candidates, Some(*own), attr)) {
            let end = text.or_else(|| Some(account?.of(self.candidates)?.dn.as_str())).unwrap_or_default();
            self.follow(found, (own, dn), attr, (account, end));
        }
        let Some((candidate, account)) = account.and_then(|found| self.removed(found)) else { return };
        if candidate.groups_only || holder.account.is_some_and(|own| own.candidate == account.candidate) {
            return;
        }
        if holder.protected {
            let words = format!("{attr} of the protected entry {dn} names its record and is left alone");
            found.note(Remark::ProtectedReference, candidate, dn, words);
            return;
        }
        found.removal(number, attr, (account, false));
    }

    /// A reference of a migrating subject's main entry, translated.
    fn follow(&self, found: &mut Found, (own, dn): (AccountRef, &Dn), attr: &AttrName, (other, end): (Option<AccountRef>, &str)) {
        let Some(candidate) = self.candidates.get(own.candidate as usize) else { return };
        let target = other.and_then(|o| self.candidates.get(o.candidate as usize).map(|c| (o.candidate, c)));
        let planned = target.filter(|(_, c)| c.is_planned() && c.independent.is_none());
        let to = target.and_then(|(_, c)| match &c.independent {
            Some((dn, _)) => Some(dn),
            None if c.is_planned() => c.new.as_ref().map(|n| &n.dn),
            None => None,
        });
        match to {
            Some(dn) => found.references.push(Reference {
                from: own.candidate,
                attr: attr.clone(),
                to: dn.clone(),
                to_candidate: planned.map(|(number, _)| number),
            }),
            None => {
                let words = format!("{attr} {end} has no place in the independent directory and is not planned to get one");
                found.note(Remark::ReferenceLeftOut, candidate, dn, words);
            }
        }
    }
}
