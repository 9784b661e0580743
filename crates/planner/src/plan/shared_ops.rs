//! Operations on entries that many subjects have in common: groups, admission, references.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::{Action, Actor, Direction, Operation, Phase, Stage, Target, Track, UndoClass};
use untether_model::policy::{Admission, GroupMap};
use untether_model::{AttrMap, AttrName, Side, SubjectId, Value};

use super::candidate::Candidate;
use super::gather::Holder;
use super::links::{Links, Reference, Removal};
use super::stages::{Draft, Frame, Operations, dn_value, independent_target};
use super::survey::Survey;

/// What these operations are made from.
pub(super) struct Common<'a> {
    pub candidates: &'a [Candidate],
    pub links: &'a Links,
    pub survey: &'a Survey,
    /// References by the candidate that they serve.
    pub references: &'a BTreeMap<u32, Vec<usize>>,
    /// For each wave of the policy the waves that end before it starts.
    pub before: &'a BTreeMap<u32, BTreeSet<u32>>,
}

/// Where two subjects stand to each other in the order of waves and batches.
fn place(candidate: &Candidate) -> (Option<u32>, u32) {
    (candidate.wave, candidate.batch)
}

/// A reference serves the later of its two subjects.
pub(super) fn references_by_server(candidates: &[Candidate], references: &[Reference]) -> BTreeMap<u32, Vec<usize>> {
    let mut out: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, reference) in references.iter().enumerate() {
        let of = |number: u32| candidates.get(number as usize).map(place);
        let later = match reference.to_candidate {
            Some(to) if of(to) > of(reference.from) => to,
            _ => reference.from,
        };
        out.entry(later).or_default().push(at);
    }
    out
}

/// All of them for one batch.
pub(super) fn operations(frame: &Frame<'_>, common: &Common<'_>, batch: &[u32]) -> Operations {
    let mut out = Vec::new();
    memberships(frame, common, batch, &mut out);
    references(frame, common, batch, &mut out);
    admission(frame, common, batch, &mut out);
    removals(frame, common, batch, &mut out);
    out
}

/// The value by which a group of the independent directory names a subject.
fn member_value(candidate: &Candidate, attr: &str) -> Option<Value> {
    if attr != "memberUid" {
        return candidate.independent_dn().map(dn_value);
    }
    let new = candidate.new.as_ref().and_then(|n| n.login.as_deref());
    let account = candidate.accounts.get(candidate.main()).and_then(|a| a.login.as_deref());
    new.or(account).map(Value::from)
}

struct Ensured {
    attr: AttrName,
    direction: Direction,
    create: Option<AttrMap>,
    placeholder: Option<Value>,
    delete_when_empty: bool,
}

impl Ensured {
    fn action(self, values: Vec<Value>) -> Action {
        Action::Ensure {
            attr: self.attr,
            direction: self.direction,
            values,
            create: self.create,
            placeholder: self.placeholder,
            delete_when_empty: self.delete_when_empty,
        }
    }
}

fn group_target(common: &Common<'_>, dn: &untether_model::Dn) -> (Target, &'static str, bool) {
    match common.survey.groups.get(dn) {
        Some(facts) => match &facts.stable_id {
            Some(id) => (Target::Existing { dn: dn.clone(), stable_id: id.clone() }, facts.attr, true),
            None => (Target::New { dn: dn.clone() }, facts.attr, true),
        },
        None => (Target::New { dn: dn.clone() }, "member", false),
    }
}

/// The group as it is created with its first members.
fn group_template(map: &GroupMap) -> AttrMap {
    let mut attrs = AttrMap::new();
    attrs.insert(AttrName::new("objectClass"), vec![Value::from("groupOfNames")]);
    for ava in map.independent.rdn().into_iter().flat_map(|rdn| rdn.0) {
        attrs.insert(ava.attr, vec![ava.value]);
    }
    attrs
}

fn memberships(frame: &Frame<'_>, common: &Common<'_>, batch: &[u32], out: &mut Operations) {
    let mut by_map: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
    for number in batch {
        for map in common.links.maps_of(*number) {
            by_map.entry(map).or_default().push(*number);
        }
    }
    // Several groups of the shared store may lead to one of ours: each subject comes once.
    let mut by_group: BTreeMap<&untether_model::Dn, (&GroupMap, bool, BTreeMap<&SubjectId, Value>)> = BTreeMap::new();
    for (at, numbers) in by_map {
        let Some(map) = common.links.maps.get(usize::from(at)) else { continue };
        let (_, attr, exists) = group_target(common, &map.independent);
        if !exists && !map.create {
            continue;
        }
        let (_, _, members) = by_group.entry(&map.independent).or_insert_with(|| (map, exists, BTreeMap::new()));
        for candidate in numbers.iter().filter_map(|n| common.candidates.get(*n as usize)) {
            if let Some(value) = member_value(candidate, attr) {
                members.insert(&candidate.id, value);
            }
        }
    }
    for (dn, (map, exists, members)) in by_group {
        let (target, attr, _) = group_target(common, dn);
        let ensured = Ensured {
            attr: AttrName::new(attr),
            direction: Direction::Present,
            create: (!exists).then(|| group_template(map)),
            placeholder: None,
            delete_when_empty: !exists,
        };
        let (subjects, values) = members.into_iter().map(|(id, value)| (id.clone(), value)).unzip();
        out.push(frame.operation(
            Draft {
                stage: Stage::Provision,
                phase: Phase::MEMBERSHIPS,
                store: Side::Independent,
                actor: Actor::Writer,
                target,
                action: ensured.action(values),
                undo: UndoClass::Full,
                reason: format!("memberships follow from {}", map.shared),
            },
            subjects,
        ));
    }
}

fn references(frame: &Frame<'_>, common: &Common<'_>, batch: &[u32], out: &mut Operations) {
    let inside: BTreeSet<u32> = batch.iter().copied().collect();
    for number in batch {
        let Some(served) = common.candidates.get(*number as usize) else { continue };
        let served_by = common.references.get(number).into_iter().flatten();
        for reference in served_by.filter_map(|at| common.links.references.get(*at)) {
            let Some(from) = common.candidates.get(reference.from as usize) else { continue };
            let target = match independent_target(from) {
                // An operation of another batch creates it, so it cannot be named by number.
                Some(Target::CreatedBy { dn, .. }) if !inside.contains(&reference.from) => Target::New { dn },
                Some(target) => target,
                None => continue,
            };
            let ensured = Ensured {
                attr: reference.attr.clone(),
                direction: Direction::Present,
                create: None,
                placeholder: None,
                delete_when_empty: false,
            };
            out.push(frame.operation(
                Draft {
                    stage: Stage::Provision,
                    phase: Phase::REFERENCES,
                    store: Side::Independent,
                    actor: Actor::Writer,
                    target,
                    action: ensured.action(vec![dn_value(&reference.to)]),
                    undo: UndoClass::Full,
                    reason: format!("{} follows, translated", reference.attr),
                },
                vec![served.id.clone()],
            ));
        }
    }
}

fn admission(frame: &Frame<'_>, common: &Common<'_>, batch: &[u32], out: &mut Operations) {
    let mut by_group: BTreeMap<&untether_model::Dn, BTreeMap<&SubjectId, Value>> = BTreeMap::new();
    for candidate in batch.iter().filter_map(|n| common.candidates.get(*n as usize)) {
        if candidate.track == Some(Track::Migrate)
            && let Some(Admission::Group { dn }) = candidate.admission()
            && let Some(value) = member_value(candidate, group_target(common, dn).1)
        {
            by_group.entry(dn).or_default().insert(&candidate.id, value);
        }
    }
    for (dn, members) in by_group {
        out.push(admit(frame, common, dn, members));
    }
}

fn admit(
    frame: &Frame<'_>,
    common: &Common<'_>,
    dn: &untether_model::Dn,
    members: BTreeMap<&SubjectId, Value>,
) -> Box<Operation> {
    let (target, attr, exists) = group_target(common, dn);
    let template = GroupMap { shared: dn.clone(), independent: dn.clone(), create: true };
    let ensured = Ensured {
        attr: AttrName::new(attr),
        direction: Direction::Present,
        create: (!exists).then(|| group_template(&template)),
        placeholder: None,
        delete_when_empty: !exists,
    };
    let (subjects, values) = members.into_iter().map(|(id, value)| (id.clone(), value)).unzip();
    frame.operation(
        Draft {
            stage: Stage::Switch,
            phase: Phase::MEMBERSHIPS,
            store: Side::Independent,
            actor: Actor::Writer,
            target,
            action: ensured.action(values),
            undo: UndoClass::Full,
            reason: "relying systems admit the new accounts".to_owned(),
        },
        subjects,
    )
}

fn removals(frame: &Frame<'_>, common: &Common<'_>, batch: &[u32], out: &mut Operations) {
    // The third part tells several accounts of one subject in one group apart: an operation has one value a subject.
    let mut groups: BTreeMap<(u32, &AttrName, u16), BTreeMap<&SubjectId, Value>> = BTreeMap::new();
    for number in batch {
        let Some(candidate) = common.candidates.get(*number as usize) else { continue };
        let mut copies: BTreeMap<(u32, u16), u16> = BTreeMap::new();
        for removal in common.links.removals_of(*number) {
            let (Some(holder), Some(attr)) =
                (common.links.holders.get(removal.holder as usize), common.links.attrs.get(usize::from(removal.attr)))
            else {
                continue;
            };
            if goes_before(common, candidate, (holder, attr)) {
                continue;
            }
            let Some(value) = removed_value(candidate, removal) else { continue };
            let copy = copies.entry((removal.holder, removal.attr)).or_default();
            groups.entry((removal.holder, attr, *copy)).or_default().insert(&candidate.id, value);
            *copy = copy.saturating_add(1);
        }
    }
    for ((holder, attr, _), values) in groups {
        let Some(holder) = common.links.holders.get(holder as usize) else { continue };
        let Some(dn) = holder.dn(common.candidates).cloned() else { continue };
        let target = match holder.stable_id(common.candidates) {
            Some(id) => Target::Existing { dn, stable_id: id.clone() },
            None => Target::New { dn },
        };
        let group = crate::attributes::GROUP_ATTRS.contains(&attr.base());
        // A placeholder in an operation means that the undo takes it out again, so it is stated only where it was not there.
        let must_have = matches!(attr.base(), "member" | "uniquemember") && !holder.has_placeholder;
        let placeholder = frame.inputs.policy.group_placeholder.as_ref().filter(|_| must_have).map(dn_value);
        let ensured =
            Ensured { attr: attr.clone(), direction: Direction::Absent, create: None, placeholder, delete_when_empty: false };
        let (subjects, values) = values.into_iter().map(|(id, value)| (id.clone(), value)).unzip();
        let mut operation = frame.operation(
            Draft {
                stage: Stage::Remove,
                phase: if group { Phase::MEMBERSHIPS } else { Phase::REFERENCES },
                store: Side::Shared,
                actor: Actor::Writer,
                target,
                action: ensured.action(values),
                undo: UndoClass::Full,
                reason: format!("{attr} names records that are to go"),
            },
            subjects,
        );
        operation.protected_group = group && holder.protected_group;
        out.push(operation);
    }
}

fn removed_value(candidate: &Candidate, removal: &Removal) -> Option<Value> {
    let account = candidate.accounts.get(usize::from(removal.account))?;
    match removal.by_login {
        true => account.login.as_deref().map(Value::from),
        false => Some(dn_value(&account.dn)),
    }
}

/// Whether the naming attribute is gone before this record's turn comes, because the entry that holds it is scrubbed earlier.
fn goes_before(common: &Common<'_>, candidate: &Candidate, (holder, attr): (&Holder, &AttrName)) -> bool {
    let Some(other) = holder.account.and_then(|own| common.candidates.get(own.candidate as usize)) else { return false };
    if !other.is_planned() || other.groups_only || !other.has_stage(Stage::Scrub) || other.retains(attr) {
        return false;
    }
    let (Some(theirs), Some(ours)) = (other.wave, candidate.wave) else { return false };
    match theirs == ours {
        true => other.batch <= candidate.batch,
        false => common.before.get(&ours).is_some_and(|before| before.contains(&theirs)),
    }
}
