//! What is changed: by the writer in each stage of the configured waves, and by the undoing identity where `manage` is needed.

use std::collections::BTreeSet;

use untether_model::operation::{Stage, Track};
use untether_model::policy::{Admission, Mapping, PlanPolicy, ScopeBase, Terms, WavePolicy};
use untether_model::{AttrName, Dn, Side};

use super::facts::Facts;
use super::grant::{Attrs, Database, Grant, Level, Place};
use super::reading::{MEMBERS, filter_of, references};
use super::role::Role;
use crate::config::Config;

/// The entry as such, to make a change conditional and to read it back.
const CONDITION: [&str; 2] = ["entryUUID", "entryCSN"];

/// What closes and opens an account.
const LOCK: [&str; 3] = ["userPassword", "pwdAccountLockedTime", "pwdEndTime"];

/// What a password write moves, and only `manage` under relax puts back.
const MANAGED: [&str; 4] = ["pwdHistory", "pwdChangedTime", "pwdFailureTime", "pwdGraceUseTime"];

const ROLLBACK: &str = "rollback";

/// The stages that the configured waves have, by side.
struct Waves {
    stages: BTreeSet<Stage>,
    migrates: bool,
}

impl Waves {
    fn of(config: &Config, plan: &PlanPolicy) -> Self {
        let tracks: BTreeSet<Track> = plan.waves.iter().flat_map(|wave| wave.tracks.iter().copied()).collect();
        let stages = Stage::ALL.into_iter().filter(|stage| tracks.iter().any(|track| track.has(*stage))).collect();
        Self { stages, migrates: !config.migrations().is_empty() }
    }

    fn has(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }
}

/// Grants of one role in the main database.
struct Granting {
    role: Role,
    grants: Vec<Grant>,
    /// The grants of another role for the same identity follow, so these must not take anything of theirs away.
    shared: bool,
}

impl Granting {
    fn of(role: Role) -> Self {
        Self { role, grants: Vec::new(), shared: false }
    }

    fn add(&mut self, place: &Place, attrs: Attrs, level: Level, stops: &[&'static str]) {
        let (role, database, place, stops) = (self.role, Database::Main, place.clone(), stops.to_vec());
        self.grants.push(Grant { role, database, place, attrs, level, stops });
    }

    /// An entry that is only looked at, and what makes a change of it conditional.
    fn see(&mut self, place: &Place, entry: &[&str], stops: &[&'static str]) {
        // Whoever also writes has more of the entry by a rule that follows.
        let entry = if self.shared { &[] } else { entry };
        self.add(place, Attrs::of(entry.iter().chain(&CONDITION)), Level::Read, stops);
    }

    /// Protected identities that stand where this role would write: nothing of theirs is. Members of a protected group that have left
    /// are taken out of it by an operation that is approved on its own.
    fn protect(&mut self, config: &Config, side: Side, (places, groups): (&[Place], bool)) {
        let suffix = &config.audit.store(side).suffix;
        let protected = &config.audit.protected;
        let reached = |dn: &Dn| places.iter().any(|place| dn.is_within(&place.dn) || place.dn.is_within(dn));
        // Where the reader has the same identity, it must go on seeing them.
        let level = if self.role.is_also(Role::Read, config, side) { Level::Read } else { Level::None };
        if groups {
            for group in protected.groups.iter().filter(|dn| dn.is_within(suffix)) {
                self.add(&Place::exact(group), Attrs::of(MEMBERS), Level::Write, &["remove"]);
            }
        }
        for dn in protected.dns.iter().filter(|dn| dn.is_within(suffix) && reached(dn)) {
            self.add(&Place::exact(dn), Attrs::All, level, &[]);
        }
        for dn in protected.subtrees.iter().filter(|dn| dn.is_within(suffix) && reached(dn)) {
            self.add(&Place::below(dn), Attrs::All, level, &[]);
        }
        for filter in protected.filters(side) {
            let bases: BTreeSet<&Dn> = places.iter().map(|place| &place.dn).collect();
            for base in bases {
                self.add(&Place::below(base).matching(Some(filter)), Attrs::All, level, &[]);
            }
        }
    }
}

fn place_of(scope: &ScopeBase) -> Place {
    Place::below(&scope.base).matching(filter_of(scope))
}

/// The writer's.
pub(super) fn writer(config: &Config, side: Side, facts: Facts<'_>) -> Vec<Grant> {
    let Some(plan) = &config.plan else { return Vec::new() };
    let waves = Waves::of(config, plan);
    match side {
        Side::Shared => shared_writer(config, plan, &waves),
        Side::Independent => independent_writer(config, facts),
    }
}

fn lock_attrs(plan: &PlanPolicy) -> Vec<&'static str> {
    let mut attrs = LOCK.to_vec();
    attrs.extend(plan.locking_policy.as_ref().map(|_| "pwdPolicySubentry"));
    attrs
}

/// What no scrub of any wave takes from anybody. References and memberships may have to go all the same, and classes with what they stand for.
fn retained(config: &Config, plan: &PlanPolicy) -> Vec<AttrName> {
    let written = references(config, Side::Shared);
    let written =
        |attr: &AttrName| attr.is("objectclass") || written.contains(attr) || MEMBERS.iter().any(|m| attr == &AttrName::new(m));
    let scrubs = |wave: &WavePolicy| wave.tracks.iter().any(|track| track.has(Stage::Scrub));
    let terms: Vec<Terms> = plan.all_terms(&config.audit).filter(|(wave, ..)| scrubs(wave)).map(|(_, _, terms)| terms).collect();
    let everywhere = |attr: &AttrName| terms.iter().all(|terms| terms.retains(attr));
    let first = terms.first().map(|terms| terms.retention.clone()).unwrap_or_default();
    first.into_iter().filter(|attr| !written(attr) && everywhere(attr)).collect()
}

fn shared_writer(config: &Config, plan: &PlanPolicy, waves: &Waves) -> Vec<Grant> {
    let mut granting = Granting::of(Role::Write);
    if !waves.has(Stage::Disable) {
        return granting.grants;
    }
    let audit = &config.audit.shared;
    let removes = waves.has(Stage::Remove);
    let places: Vec<Place> = audit.accounts.iter().map(place_of).collect();
    granting.protect(config, Side::Shared, (&places, removes));
    let named = references(config, Side::Shared);
    let named = || MEMBERS.into_iter().chain(named.iter().map(AttrName::as_str));
    for (scope, place) in audit.accounts.iter().zip(&places) {
        let everything = Place::below(&scope.base);
        match removes {
            // The record goes, and whatever stands below it first.
            true => {
                granting.add(&everything, Attrs::of(["children"]), Level::Write, &["remove"]);
                granting.add(place, Attrs::of(["entry"]), Level::Write, &["remove"]);
            }
            false => granting.add(place, Attrs::of(["entry", "children"]), Level::Read, &["disable"]),
        }
        granting.add(place, Attrs::of(CONDITION), Level::Read, &["disable"]);
        granting.add(place, Attrs::of(lock_attrs(plan)), Level::Write, &["disable"]);
        if removes {
            granting.add(place, Attrs::of(named()), Level::Write, &["remove"]);
        }
        if waves.has(Stage::Scrub) {
            let kept = retained(config, plan);
            if !kept.is_empty() {
                granting.add(place, Attrs::of(kept.iter().map(AttrName::as_str)), Level::Read, &["remove"]);
            }
            granting.add(place, Attrs::All, Level::Write, &["scrub"]);
        }
    }
    if removes {
        let whole = [ScopeBase::all(audit.suffix.clone())];
        let holders = if audit.others.is_empty() { whole.as_slice() } else { audit.others.as_slice() };
        for scope in holders {
            let place = place_of(scope);
            granting.add(&place, Attrs::of(["entry"].into_iter().chain(CONDITION)), Level::Read, &["remove"]);
            granting.add(&place, Attrs::of(named()), Level::Write, &["remove"]);
        }
    }
    granting.grants
}

/// What of an account in the independent directory is set when a credential is issued.
fn credential_attrs(migrations: &[(Mapping, Terms)]) -> Vec<&'static str> {
    let mut attrs = LOCK.to_vec();
    attrs.extend(migrations.iter().any(|(_, terms)| terms.credential.must_change).then_some("pwdReset"));
    attrs
}

/// Attributes by which relying systems are told whom to admit.
fn admitting_attrs(migrations: &[(Mapping, Terms)]) -> BTreeSet<&str> {
    let named = migrations.iter().filter_map(|(_, terms)| match &terms.admission {
        Some(Admission::Attribute { name, .. }) => Some(name.as_str()),
        _ => None,
    });
    named.collect()
}

/// Where people who migrate have, or get, their account.
fn own_places(config: &Config, migrations: &[(Mapping, Terms)]) -> Vec<Place> {
    let bases: BTreeSet<&Dn> = migrations.iter().map(|(mapping, _)| &mapping.base).collect();
    let mut places: Vec<Place> = bases.into_iter().map(Place::below).collect();
    for scope in &config.audit.independent.accounts {
        if !places.iter().any(|place| scope.base.is_within(&place.dn)) {
            places.push(place_of(scope));
        }
    }
    places
}

fn independent_writer(config: &Config, facts: Facts<'_>) -> Vec<Grant> {
    let mut granting = Granting::of(Role::Write);
    let migrations = config.migrations();
    if migrations.is_empty() {
        return granting.grants;
    }
    let places = own_places(config, &migrations);
    granting.protect(config, Side::Independent, (&places, false));
    let made_below = |dn: &Dn| migrations.iter().any(|(mapping, _)| mapping.base == *dn);
    for place in places.iter().filter(|place| made_below(&place.dn)) {
        granting.add(&Place::exact(&place.dn), Attrs::of(["children"]), Level::Write, &["provision", ROLLBACK]);
    }
    let references: BTreeSet<&str> =
        migrations.iter().flat_map(|(mapping, _)| mapping.references.iter().map(AttrName::as_str)).collect();
    let admitting = admitting_attrs(&migrations);
    for place in &places {
        match made_below(&place.dn) {
            true => granting.add(place, Attrs::of(["entry"]), Level::Write, &["provision", ROLLBACK]),
            false => granting.add(place, Attrs::of(["entry"]), Level::Read, &["enroll"]),
        }
        granting.add(place, Attrs::of(CONDITION), Level::Read, &["enroll"]);
        granting.add(place, Attrs::of(credential_attrs(&migrations)), Level::Write, &["enroll", "handover", ROLLBACK]);
        if !references.is_empty() {
            granting.add(place, Attrs::of(references.iter().copied()), Level::Write, &["provision"]);
        }
        if !admitting.is_empty() {
            granting.add(place, Attrs::of(admitting.iter().copied()), Level::Write, &["switch"]);
        }
    }
    if facts.checks_added {
        for place in places.iter().filter(|place| made_below(&place.dn)) {
            let of_place = migrations.iter().map(|(mapping, _)| mapping).filter(|mapping| mapping.base == place.dn);
            let names: BTreeSet<&str> = of_place.flat_map(made_attrs).chain(["objectClass"]).collect();
            granting.add(place, Attrs::of(names), Level::Write, &["provision"]);
        }
    }
    // What is made is read back with the write, and an image of it is kept before it is deleted.
    for place in places.iter().filter(|place| made_below(&place.dn)) {
        granting.add(place, Attrs::All, Level::Read, &["provision", ROLLBACK]);
    }
    let groups: BTreeSet<(&Dn, std::cmp::Reverse<bool>)> = migrations
        .iter()
        .flat_map(|(mapping, _)| mapping.groups.iter().map(|group| (&group.independent, std::cmp::Reverse(group.create))))
        .collect();
    for (dn, std::cmp::Reverse(create)) in groups {
        group_grants(&mut granting, dn, create, "provision");
    }
    for (_, terms) in &migrations {
        if let Some(Admission::Group { dn }) = &terms.admission {
            // It is made with its first members where it does not exist.
            group_grants(&mut granting, dn, true, "switch");
        }
    }
    granting.grants
}

/// Attributes of an entry that a mapping makes.
fn made_attrs(mapping: &Mapping) -> impl Iterator<Item = &str> {
    let made = mapping.copy.iter().chain(mapping.templates.keys()).chain(mapping.constants.keys());
    made.chain([&mapping.rdn]).chain(&mapping.link_attribute).map(AttrName::as_str)
}

fn group_grants(granting: &mut Granting, dn: &Dn, made: bool, stage: &'static str) {
    let place = Place::exact(dn);
    if granting.grants.iter().any(|grant| grant.place == place) {
        return;
    }
    match (made, dn.parent()) {
        (true, Some(parent)) => {
            granting.add(&place, Attrs::of(["entry"]), Level::Write, &[stage, ROLLBACK]);
            granting.add(&Place::exact(&parent), Attrs::of(["children"]), Level::Write, &[stage, ROLLBACK]);
        }
        _ => granting.add(&place, Attrs::of(["entry"]), Level::Read, &[stage]),
    }
    granting.add(&place, Attrs::of(CONDITION), Level::Read, &[stage]);
    granting.add(&place, Attrs::of(MEMBERS), Level::Write, &[stage]);
}

/// The undoing identity's.
pub(super) fn undo(config: &Config, side: Side) -> Vec<Grant> {
    let Some(plan) = &config.plan else { return Vec::new() };
    let waves = Waves::of(config, plan);
    let mut granting = Granting { shared: Role::Undo.is_also(Role::Write, config, side), ..Granting::of(Role::Undo) };
    match side {
        Side::Shared if waves.has(Stage::Disable) => shared_undo(config, plan, &waves, &mut granting),
        Side::Independent if waves.migrates => {
            let migrations = config.migrations();
            let places = own_places(config, &migrations);
            let admitting = admitting_attrs(&migrations);
            granting.protect(config, side, (&places, false));
            for place in &places {
                granting.see(place, &["entry"], &[ROLLBACK]);
                granting.add(place, Attrs::of(MANAGED), Level::Manage, &[ROLLBACK]);
                granting.add(place, Attrs::of(LOCK.into_iter().chain(["pwdReset"])), Level::Write, &[ROLLBACK]);
                if !admitting.is_empty() {
                    granting.add(place, Attrs::of(admitting.iter().copied()), Level::Write, &[ROLLBACK]);
                }
            }
        }
        _ => {}
    }
    granting.grants
}

fn shared_undo(config: &Config, plan: &PlanPolicy, waves: &Waves, granting: &mut Granting) {
    let audit = &config.audit.shared;
    let places: Vec<Place> = audit.accounts.iter().map(place_of).collect();
    granting.protect(config, Side::Shared, (&places, granting.shared && waves.has(Stage::Remove)));
    for (scope, place) in audit.accounts.iter().zip(&places) {
        let everything = Place::below(&scope.base);
        match waves.has(Stage::Remove) {
            // An entry keeps its stable id only where it may be made again under relax.
            true => {
                granting.add(&everything, Attrs::of(["children"]), Level::Write, &["rollback of remove"]);
                granting.add(place, Attrs::of(["entry"]), Level::Manage, &["rollback of remove"]);
                granting.see(place, &[], &[ROLLBACK]);
            }
            false => granting.see(place, &["entry", "children"], &[ROLLBACK]),
        }
        granting.add(place, Attrs::of(MANAGED), Level::Manage, &["scrub", ROLLBACK]);
        granting.add(place, Attrs::of(lock_attrs(plan).into_iter().chain(["pwdReset"])), Level::Write, &[ROLLBACK]);
        if waves.has(Stage::Scrub) {
            let kept = retained(config, plan);
            if !kept.is_empty() {
                granting.add(place, Attrs::of(kept.iter().map(AttrName::as_str)), Level::Read, &["rollback of scrub"]);
            }
            granting.add(place, Attrs::All, Level::Write, &["rollback of scrub"]);
        }
    }
}
