//! Who names whom: memberships and references of the shared store that follow their subject or must go before its record does.
//!
//! One pass over the shared entries; a link is kept as a few numbers.

use std::collections::{BTreeMap, HashMap, HashSet};

use untether_model::operation::{Stage, Track};
use untether_model::policy::GroupMap;
use untether_model::snapshot::{EntryRole, SnapshotEntry};
use untether_model::{AttrName, Dn, Side, StableId, Value};

use super::Inputs;
use super::book::Book;
use super::candidate::Candidate;
use super::survey::{AccountRef, Index};
use crate::attributes::GROUP_ATTRS;
use crate::report::{Note, Remark};
use crate::source::PlanError;

/// An entry of the shared store that names records which are to go.
pub(super) struct Holder {
    pub dn: Dn,
    pub stable_id: Option<StableId>,
    /// The candidate whose account it is.
    pub candidate: Option<u32>,
    /// It makes its members protected identities, or is one.
    pub protected: bool,
    /// The configured placeholder is among its members already, so that no last value can go.
    pub has_placeholder: bool,
}

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

/// What the pass found.
#[derive(Default)]
pub(super) struct Links {
    pub holders: Vec<Holder>,
    pub attrs: Vec<AttrName>,
    pub removals: BTreeMap<u32, Vec<Removal>>,
    /// Group maps of all mappings.
    pub maps: Vec<GroupMap>,
    /// Those that a candidate's memberships follow, by candidate.
    pub memberships: BTreeMap<u32, Vec<u16>>,
    /// Attributes by which entries refer to accounts.
    pub reference_attrs: Vec<AttrName>,
    pub references: Vec<Reference>,
    pub notes: Vec<Note>,
}

impl Links {
    /// Groups that a candidate is in, as numbers.
    pub(super) fn groups_of(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        let removals = self.removals.get(&number).into_iter().flatten().map(|r| r.holder);
        let maps = self.memberships.get(&number).into_iter().flatten().map(|m| u32::from(*m) | 0x8000_0000);
        removals.chain(maps)
    }

    fn attr(&mut self, attr: &AttrName) -> u16 {
        let at = self.attrs.iter().position(|a| a == attr).unwrap_or_else(|| {
            self.attrs.push(attr.clone());
            self.attrs.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn note(&mut self, remark: Remark, candidate: &Candidate, dn: &Dn, words: String) {
        self.notes.push(Note { remark, subject: Some(candidate.id.clone()), dn: Some(dn.clone()), words });
    }
}

/// The pass.
pub(super) fn links(inputs: &Inputs<'_>, book: &Book<'_>, candidates: &[Candidate], index: &Index) -> Result<Links, PlanError> {
    let maps: Vec<GroupMap> = book.groups().into_iter().cloned().collect();
    let mut links = Links { reference_attrs: book.references(inputs), ..Links::default() };
    let pass = Pass::new(inputs, candidates, index, &maps);
    for entry in inputs.source.entries(Side::Shared) {
        let entry = entry.map_err(|cause| PlanError::entries(Side::Shared, cause))?;
        if entry.role != EntryRole::Copy {
            pass.entry(&mut links, &entry);
        }
    }
    // Numbers of holders depend on the order of the stream; nothing that reaches output may.
    let mut order: Vec<usize> = (0..links.holders.len()).collect();
    order.sort_by(|a, b| links.holders.get(*a).map(|h| &h.dn).cmp(&links.holders.get(*b).map(|h| &h.dn)));
    let mut renumbered = vec![0_u32; order.len()];
    for (new, old) in order.iter().enumerate() {
        if let (Some(slot), Ok(new)) = (renumbered.get_mut(*old), u32::try_from(new)) {
            *slot = new;
        }
    }
    let attr_names = links.attrs.clone();
    let name = |r: &Removal| attr_names.get(usize::from(r.attr)).cloned();
    for removals in links.removals.values_mut() {
        for removal in removals.iter_mut() {
            removal.holder = renumbered.get(removal.holder as usize).copied().unwrap_or(0);
        }
        removals.sort_by_key(|r| (r.holder, name(r), r.account));
        removals.dedup();
    }
    links.holders.sort_by(|a, b| a.dn.cmp(&b.dn));
    for maps in links.memberships.values_mut() {
        maps.sort_unstable();
        maps.dedup();
    }
    links.references.sort_by(|a, b| (a.from, &a.attr, &a.to).cmp(&(b.from, &b.attr, &b.to)));
    links.maps = maps;
    links.references.dedup_by(|a, b| a.from == b.from && a.attr == b.attr && a.to == b.to);
    Ok(links)
}

struct Pass<'a> {
    inputs: &'a Inputs<'a>,
    candidates: &'a [Candidate],
    index: &'a Index,
    logins: HashMap<&'a str, Vec<AccountRef>>,
    protected: HashSet<&'a str>,
    maps: HashMap<&'a str, Vec<(u16, &'a GroupMap)>>,
}

impl<'a> Pass<'a> {
    fn new(inputs: &'a Inputs<'a>, candidates: &'a [Candidate], index: &'a Index, groups: &'a [GroupMap]) -> Self {
        let mut logins: HashMap<&str, Vec<AccountRef>> = HashMap::new();
        for (number, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.is_planned()) {
            for (at, account) in candidate.accounts.iter().enumerate() {
                if let (Some(login), Ok(candidate), Ok(account)) = (&account.login, u32::try_from(number), u16::try_from(at)) {
                    logins.entry(login).or_default().push(AccountRef { candidate, account });
                }
            }
        }
        let protected = inputs.protected.get(&Side::Shared).into_iter().flatten().map(|dn| dn.key().as_str());
        let mut maps: HashMap<&str, Vec<(u16, &GroupMap)>> = HashMap::new();
        for (at, map) in groups.iter().enumerate() {
            maps.entry(map.shared.key().as_str()).or_default().extend(u16::try_from(at).map(|at| (at, map)));
        }
        Self { inputs, candidates, index, logins, protected: protected.collect(), maps }
    }

    fn entry(&self, links: &mut Links, entry: &SnapshotEntry) {
        if entry.role == EntryRole::Config {
            return self.access_rules(links, entry);
        }
        let mut holder = None;
        for (attr, values) in &entry.attrs {
            if GROUP_ATTRS.contains(&attr.base()) {
                self.members(links, &mut holder, entry, attr, values);
            } else if links.reference_attrs.iter().any(|name| attr.is_covered_by(name)) {
                self.reference(links, &mut holder, entry, attr, values);
            } else if attr.is("aliasedobjectname") {
                for candidate in values.iter().filter_map(|v| self.removed(self.index.by_value(v)?)).map(|(c, _)| c) {
                    let words = format!("the alias {} points at its record; take it away by hand", entry.dn);
                    links.note(Remark::AliasReference, candidate, &entry.dn, words);
                }
            }
        }
    }

    /// The candidate, if its record is to go.
    fn removed(&self, found: AccountRef) -> Option<(&'a Candidate, AccountRef)> {
        let candidate = self.candidates.get(found.candidate as usize)?;
        (candidate.is_planned() && candidate.has_stage(Stage::Remove)).then_some((candidate, found))
    }

    fn members(&self, links: &mut Links, holder: &mut Option<u32>, entry: &SnapshotEntry, attr: &AttrName, values: &[Value]) {
        let by_login = attr.is("memberuid");
        let maps = self.maps.get(entry.dn.key().as_str());
        let protected = self.is_protected_group(&entry.dn);
        for value in values {
            let found: Vec<AccountRef> = match by_login {
                true => value.as_str().and_then(|v| self.logins.get(v)).into_iter().flatten().copied().collect(),
                false => self.index.by_value(value).into_iter().collect(),
            };
            for account in found {
                let Some(candidate) = self.candidates.get(account.candidate as usize) else { continue };
                if !candidate.is_planned() {
                    continue;
                }
                if candidate.track == Some(Track::Migrate)
                    && usize::from(account.account) == candidate.main()
                    && let (Some(maps), Some(mapping)) = (maps, candidate.mapping())
                {
                    let follow = maps.iter().filter(|(_, map)| mapping.groups.contains(map)).map(|(at, _)| *at);
                    links.memberships.entry(account.candidate).or_default().extend(follow);
                }
                if candidate.has_stage(Stage::Remove) && (!candidate.groups_only || protected) {
                    self.removal(links, holder, entry, attr, (account, by_login));
                }
            }
        }
    }

    fn is_protected_group(&self, dn: &Dn) -> bool {
        self.protected.contains(dn.key().as_str()) || self.inputs.audit.protected.groups.contains(dn)
    }

    fn has_placeholder(&self, entry: &SnapshotEntry) -> bool {
        let Some(placeholder) = &self.inputs.policy.group_placeholder else { return false };
        let members = entry.attrs.iter().filter(|(attr, _)| attr.is("member") || attr.is("uniquemember"));
        members.flat_map(|(_, values)| values).filter_map(Value::as_str).any(|v| Dn::parse(v).ok().as_ref() == Some(placeholder))
    }

    fn removal(
        &self,
        links: &mut Links,
        holder: &mut Option<u32>,
        entry: &SnapshotEntry,
        attr: &AttrName,
        (account, by_login): (AccountRef, bool),
    ) {
        let number = *holder.get_or_insert_with(|| {
            links.holders.push(Holder {
                dn: entry.dn.clone(),
                stable_id: entry.stable_id.clone(),
                candidate: self.index.by_key(entry.dn.key().as_str()).map(|a| a.candidate),
                protected: self.is_protected_group(&entry.dn),
                has_placeholder: self.has_placeholder(entry),
            });
            u32::try_from(links.holders.len() - 1).unwrap_or(u32::MAX)
        });
        let attr = links.attr(attr);
        let removal = Removal { holder: number, attr, account: account.account, by_login };
        links.removals.entry(account.candidate).or_default().push(removal);
    }

    fn reference(&self, links: &mut Links, holder: &mut Option<u32>, entry: &SnapshotEntry, attr: &AttrName, values: &[Value]) {
        let own = self.index.by_key(entry.dn.key().as_str());
        for value in values {
            let other = self.index.by_value(value);
            self.follow(links, entry, attr, (own, other), value);
            let Some((candidate, account)) = other.and_then(|found| self.removed(found)) else { continue };
            if candidate.groups_only || own.is_some_and(|own| own.candidate == account.candidate) {
                continue;
            }
            if self.protected.contains(entry.dn.key().as_str()) {
                let words = format!("{attr} of the protected entry {} names its record and is left alone", entry.dn);
                links.note(Remark::ProtectedReference, candidate, &entry.dn, words);
                continue;
            }
            self.removal(links, holder, entry, attr, (account, false));
        }
    }

    /// A reference of a migrating subject's main entry, translated.
    fn follow(
        &self,
        links: &mut Links,
        entry: &SnapshotEntry,
        attr: &AttrName,
        (own, other): (Option<AccountRef>, Option<AccountRef>),
        value: &Value,
    ) {
        let Some(own) = own else { return };
        let Some(candidate) = self.candidates.get(own.candidate as usize) else { return };
        if !candidate.mapping().is_some_and(|m| m.references.iter().any(|name| attr.is_covered_by(name))) {
            return;
        }
        let migrates = candidate.is_planned() && candidate.track == Some(Track::Migrate);
        if !migrates || usize::from(own.account) != candidate.main() {
            return;
        }
        let target = other.and_then(|o| self.candidates.get(o.candidate as usize).map(|c| (o.candidate, c)));
        let planned = target.filter(|(_, c)| c.is_planned() && c.independent.is_none());
        let to = target.and_then(|(_, c)| match &c.independent {
            Some((dn, _)) => Some(dn),
            None if c.is_planned() => c.new.as_ref().map(|n| &n.dn),
            None => None,
        });
        match to {
            Some(dn) => links.references.push(Reference {
                from: own.candidate,
                attr: attr.clone(),
                to: dn.clone(),
                to_candidate: planned.map(|(number, _)| number),
            }),
            None => {
                let end = value.to_lossy();
                let words = format!("{attr} {end} has no place in the independent directory and is not planned to get one");
                links.note(Remark::ReferenceLeftOut, candidate, &entry.dn, words);
            }
        }
    }

    /// Access rules are text; the names that they quote are looked up.
    fn access_rules(&self, links: &mut Links, entry: &SnapshotEntry) {
        let rules = entry.attrs.iter().filter(|(attr, _)| attr.is("olcaccess")).flat_map(|(_, values)| values);
        for rule in rules.filter_map(Value::as_str) {
            for quoted in rule.split('"').skip(1).step_by(2) {
                let found = self.index.by_value(&Value::from(quoted)).and_then(|f| self.removed(f));
                if let Some((candidate, _)) = found {
                    let words =
                        format!("an access rule of {} names its record; take the name out before the record goes", entry.dn);
                    links.note(Remark::AclReference, candidate, &entry.dn, words);
                }
            }
        }
    }
}
