//! One pass over the entries of each store: selectors, names that are taken, groups that exist, entries below records.
//!
//! Keeps only compact facts, links among them; the entries themselves are read again when operations are written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use untether_model::auth::PolicyValues;
use untether_model::operation::{Stage, Track};
use untether_model::policy::{Hold, Keep};
use untether_model::snapshot::{EntryRole, SnapshotEntry};
use untether_model::{Dn, EntityId, Side, StableId, SubjectId, Value, keys};

use super::Inputs;
use super::book::Book;
use super::candidate::{Candidate, NewAccount, Out, today};
use super::gather::{Gathered, Gatherer};
use super::index::{AccountRef, Index};
use super::mapping::draft;
use crate::attributes::values;
use crate::report::Reason;
use crate::source::PlanError;

/// Something below the record of a candidate.
#[derive(Clone, Debug)]
pub(super) enum Below {
    Account(AccountRef),
    Other(Dn),
}

/// A group of the independent directory.
#[derive(Clone, Debug)]
pub(super) struct GroupFacts {
    pub stable_id: Option<StableId>,
    pub attr: &'static str,
}

/// What the passes found.
#[derive(Default)]
pub(super) struct Survey {
    pub in_scope: BTreeMap<Side, u64>,
    pub below: BTreeMap<u32, Vec<Below>>,
    /// Groups of the independent directory that the plan is interested in and that exist.
    pub groups: BTreeMap<Dn, GroupFacts>,
    /// What entries of the shared store say of accounts.
    pub gathered: Gathered,
    /// The configured locking policy exists and locks.
    pub locking_policy_locks: bool,
}

/// Both passes.
pub(super) fn survey(
    inputs: &Inputs<'_>,
    book: &mut Book<'_>,
    candidates: &mut [Candidate],
    index: &Index,
) -> Result<Survey, PlanError> {
    let mut survey = Survey::default();
    let mut names: HashMap<String, Vec<u32>> = HashMap::new();
    shared((inputs, book), candidates, index, &mut survey, &mut names)?;
    if let (Some(locking), false) = (&inputs.policy.locking_policy, survey.locking_policy_locks) {
        for candidate in candidates.iter_mut().filter(|c| !c.groups_only) {
            if candidate.accounts.iter().any(|a| a.policy_effective != Some(true)) {
                let words = format!("the locking policy {locking} was not among the entries, or does not lock");
                candidate.drop_for(Reason::PolicyNotLocking, words);
            }
        }
    }
    for candidate in candidates.iter_mut() {
        if let Some(missing) = candidate.accounts.iter().find(|a| !a.seen) {
            let words = format!("{} was not among the entries", missing.dn);
            candidate.drop_for(Reason::EntryMissing, words);
        }
    }
    independent((inputs, book), candidates, &mut survey, &names)?;
    clashes_within(candidates, &names);
    Ok(survey)
}

fn shared(
    (inputs, book): (&Inputs<'_>, &mut Book<'_>),
    candidates: &mut [Candidate],
    index: &Index,
    survey: &mut Survey,
    names: &mut HashMap<String, Vec<u32>>,
) -> Result<(), PlanError> {
    let references = book.references(inputs);
    let gatherer = Gatherer::new(inputs, index, &references);
    for entry in inputs.source.entries(Side::Shared) {
        let entry = entry.map_err(|cause| PlanError::entries(Side::Shared, cause))?;
        if entry.role == EntryRole::Copy {
            continue;
        }
        if entry.role == EntryRole::Account {
            *survey.in_scope.entry(Side::Shared).or_default() += 1;
        }
        let key = entry.dn.key().as_str();
        let own = index.by_key(candidates, key);
        for (at, _) in key.match_indices('\u{1}') {
            // The entry itself ends with the last separator.
            let Some(prefix) = key.get(..=at).filter(|p| p.len() < key.len()) else { continue };
            if let Some(above) = index.by_key(candidates, prefix) {
                let what = own.map_or_else(|| Below::Other(entry.dn.clone()), Below::Account);
                survey.below.entry(above.candidate).or_default().push(what);
            }
        }
        survey.locking_policy_locks |=
            inputs.policy.locking_policy.as_ref() == Some(&entry.dn) && PolicyValues::from_attrs(&entry.attrs).lockout;
        if let Some(own) = own {
            account((inputs, book), candidates, (&entry, own), names)?;
        }
        gatherer.entry(&mut survey.gathered, candidates, (&entry, own));
    }
    Ok(())
}

/// What the entry of an account says of its candidate.
fn account(
    (inputs, book): (&Inputs<'_>, &mut Book<'_>),
    candidates: &mut [Candidate],
    (entry, own): (&SnapshotEntry, AccountRef),
    names: &mut HashMap<String, Vec<u32>>,
) -> Result<(), PlanError> {
    let Some(candidate) = candidates.get_mut(own.candidate as usize) else { return Ok(()) };
    let main = candidate.main() == usize::from(own.account);
    if let Some(account) = candidate.accounts.get_mut(usize::from(own.account)) {
        account.seen = true;
        account.login = values(entry, "uid").iter().filter_map(Value::as_str).min().map(Into::into);
    }
    book.meet(inputs, entry);
    if candidate.out.is_some() {
        return Ok(());
    }
    points_at_ineffective(inputs, candidate, entry, own.account);
    if main && candidate.out.is_none() {
        select(inputs, candidate, entry)?;
        choose((inputs, book), candidate, entry)?;
        map(inputs, candidate, entry, own.candidate, names);
    }
    Ok(())
}

/// An account that already points at the locking policy and is still not locked by it cannot be helped by pointing it there.
fn points_at_ineffective(inputs: &Inputs<'_>, candidate: &mut Candidate, entry: &SnapshotEntry, account: u16) {
    let Some(locking) = &inputs.policy.locking_policy else { return };
    let ignores = candidate.accounts.get(usize::from(account)).is_some_and(|a| a.policy_effective == Some(false));
    let there =
        values(entry, "pwdpolicysubentry").iter().filter_map(Value::as_str).any(|v| Dn::parse(v).ok().as_ref() == Some(locking));
    if ignores && there && !candidate.groups_only {
        let words = format!("{} is at {locking} already, which does not resolve or does not lock", entry.dn);
        candidate.drop_for(Reason::PolicyNotLocking, words);
    }
}

struct Selector<'a> {
    entities: &'a [EntityId],
    filter: &'a str,
    reason: &'a str,
    until: jiff::civil::Date,
    of: &'static str,
}

impl<'a> From<&'a Keep> for Selector<'a> {
    fn from(k: &'a Keep) -> Self {
        Self { entities: &k.entities, filter: &k.filter, reason: &k.reason, until: k.until, of: "keep" }
    }
}

impl<'a> From<&'a Hold> for Selector<'a> {
    fn from(h: &'a Hold) -> Self {
        Self { entities: &h.entities, filter: &h.filter, reason: &h.reason, until: h.until, of: "hold" }
    }
}

impl Selector<'_> {
    fn takes(&self, inputs: &Inputs<'_>, candidate: &Candidate, entry: &SnapshotEntry) -> Result<bool, PlanError> {
        let entity = candidate.entity.as_ref();
        if self.until < today(inputs, entity) {
            return Ok(false);
        }
        if !self.entities.is_empty() && !entity.is_some_and(|e| self.entities.contains(e)) {
            return Ok(false);
        }
        inputs.filters.matches(self.filter, entry).map_err(|cause| PlanError::Filter {
            filter: self.filter.to_owned(),
            of: self.of.to_owned(),
            cause,
        })
    }
}

/// The policy's holds, then its retention; a person's decision beats both.
fn select(inputs: &Inputs<'_>, candidate: &mut Candidate, entry: &SnapshotEntry) -> Result<(), PlanError> {
    if candidate.decided || candidate.groups_only {
        return Ok(());
    }
    for hold in inputs.policy.hold.iter().map(Selector::from) {
        if hold.takes(inputs, candidate, entry)? {
            candidate.track = Some(Track::Hold);
            candidate.out = Some(Out {
                reason: Reason::PolicyHold,
                words: format!("on hold until {}: {}", hold.until, hold.reason),
                until: Some(hold.until),
            });
            return Ok(());
        }
    }
    for keep in inputs.policy.keep.iter().map(Selector::from) {
        if keep.takes(inputs, candidate, entry)? {
            become_keep(inputs, candidate);
            return Ok(());
        }
    }
    Ok(())
}

fn become_keep(inputs: &Inputs<'_>, candidate: &mut Candidate) {
    candidate.track = Some(Track::Keep);
    let state = inputs.progress.subjects().get(&candidate.id);
    let through = state.is_some_and(|s| {
        s.track == Track::Keep && s.parked.is_none() && s.is_finished() && s.stages.last() == Some(&Stage::Scrub)
    });
    if through {
        candidate.drop_for(Reason::Finished, "its login is gone and its record is kept until the retention ends");
    }
}

/// Gives a candidate its wave, and with it the terms on which it is treated.
fn choose((inputs, book): (&Inputs<'_>, &Book<'_>), candidate: &mut Candidate, entry: &SnapshotEntry) -> Result<(), PlanError> {
    if candidate.out.is_some() {
        return Ok(());
    }
    match book.choose(inputs, candidate, entry)? {
        Ok(wave) => {
            candidate.wave = Some(wave);
            candidate.terms = candidate.entity.as_ref().and_then(|entity| book.terms(wave, entity)).cloned();
        }
        Err(words) => candidate.drop_for(Reason::NoWave, words),
    }
    Ok(())
}

fn map(
    inputs: &Inputs<'_>,
    candidate: &mut Candidate,
    entry: &SnapshotEntry,
    number: u32,
    names: &mut HashMap<String, Vec<u32>>,
) {
    if candidate.track != Some(Track::Migrate) || candidate.out.is_some() || candidate.independent.is_some() {
        return;
    }
    let (Some(mapping), Some(entity)) = (candidate.mapping(), &candidate.entity) else {
        candidate.drop_for(Reason::MappingIncomplete, "no mapping is configured");
        return;
    };
    match draft(mapping, entry, entity, entry.stable_id.as_ref(), inputs.classes) {
        Ok(made) => {
            let dn = made.dn(mapping);
            names.entry(format!("name {}", dn.key().as_str())).or_default().push(number);
            for name in made.names() {
                names.entry(name).or_default().push(number);
            }
            candidate.new = Some(NewAccount { login: made.login().map(Into::into), dn });
        }
        Err(words) => candidate.drop_for(Reason::MappingIncomplete, words),
    }
}

fn independent(
    (inputs, book): (&Inputs<'_>, &Book<'_>),
    candidates: &mut [Candidate],
    survey: &mut Survey,
    names: &HashMap<String, Vec<u32>>,
) -> Result<(), PlanError> {
    let mut wanted: HashSet<&str> = HashSet::new();
    wanted.extend(book.groups().into_iter().map(|group| group.independent.key().as_str()));
    wanted.extend(book.admitting().map(|dn| dn.key().as_str()));
    for entry in inputs.source.entries(Side::Independent) {
        let entry = entry.map_err(|cause| PlanError::entries(Side::Independent, cause))?;
        if entry.role == EntryRole::Copy {
            continue;
        }
        if entry.role == EntryRole::Account {
            *survey.in_scope.entry(Side::Independent).or_default() += 1;
        }
        if wanted.contains(entry.dn.key().as_str()) {
            let facts = GroupFacts { stable_id: entry.stable_id.clone(), attr: group_attr(&entry) };
            survey.groups.insert(entry.dn.clone(), facts);
        }
        if names.is_empty() {
            continue;
        }
        let mut taken = vec![format!("name {}", entry.dn.key().as_str())];
        let texts = |attr: &str| values(&entry, attr).iter().filter_map(Value::as_str).collect::<Vec<_>>();
        taken.extend(texts("uid").into_iter().filter_map(keys::login).map(|v| format!("login {v}")));
        taken.extend(texts("mail").into_iter().filter_map(keys::mail).map(|v| format!("mail address {v}")));
        for name in taken {
            for number in names.get(&name).into_iter().flatten() {
                if let Some(candidate) = candidates.get_mut(*number as usize) {
                    // The smallest name counts where there are several, whatever order the entries come in.
                    let words = format!("its {} is taken by {}", readable(&name), entry.dn);
                    match &mut candidate.out {
                        Some(out) if out.reason == Reason::NameClash && words < out.words => out.words = words,
                        _ => candidate.drop_for(Reason::NameClash, words),
                    }
                }
            }
        }
    }
    Ok(())
}

fn readable(name: &str) -> &str {
    if name.starts_with("name ") { "name" } else { name }
}

/// Two subjects that would get the same name, login or address: the first by id goes, the others wait.
fn clashes_within(candidates: &mut [Candidate], names: &HashMap<String, Vec<u32>>) {
    let mut shared: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for (name, numbers) in names.iter().filter(|(_, numbers)| numbers.len() > 1) {
        for number in numbers {
            shared.entry(*number).or_default().insert(name);
        }
    }
    let mut owners: HashMap<&str, SubjectId> = HashMap::new();
    for (number, names) in shared {
        let Some(candidate) = candidates.get_mut(number as usize).filter(|c| c.out.is_none()) else { continue };
        match names.iter().find_map(|name| owners.get(name).map(|id| (*name, id))) {
            Some((name, id)) => {
                let words = format!("its {} is that of subject {id} of this plan", readable(name));
                candidate.drop_for(Reason::NameClash, words);
            }
            None => owners.extend(names.into_iter().map(|name| (name, candidate.id.clone()))),
        }
    }
}

/// Which attribute of a group lists its members.
fn group_attr(entry: &SnapshotEntry) -> &'static str {
    let is = |class: &str| values(entry, "objectclass").iter().filter_map(Value::as_str).any(|c| c.eq_ignore_ascii_case(class));
    if is("groupOfUniqueNames") {
        "uniqueMember"
    } else if is("posixGroup") && !is("groupOfNames") {
        "memberUid"
    } else {
        "member"
    }
}
