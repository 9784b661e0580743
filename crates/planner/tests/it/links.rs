//! Who names whom: what follows its subject, what goes before its record, and what is left alone.

use untether_model::operation::{Action, Direction, Phase, Stage, Track};
use untether_model::plan::WaveRef;
use untether_model::policy::{GroupMap, Keep, WavePolicy};
use untether_model::roster::Presence::{Active, Departed};
use untether_model::snapshot::EntryRole;
use untether_model::{AttrName, Value};
use untether_planner::ReportLine;
use untether_planner::report::Remark;

use crate::world::*;

/// References that a plan writes: (entry, attribute, value), in its order.
fn followed(kept: &Kept, wave: &str) -> Vec<(String, String, String)> {
    let written = kept.operations(wave).into_iter().filter(|o| o.stage == Stage::Provision && o.phase == Phase::REFERENCES);
    let of = written.map(|op| {
        let Action::Ensure { attr, values, .. } = &op.action else { panic!("{op:?}") };
        (op.target.dn().to_string(), attr.to_string(), values[0].to_lossy())
    });
    of.collect()
}

/// References and memberships that a plan takes away: (entry, attribute), in its order.
fn taken(kept: &Kept, wave: &str) -> Vec<(String, String)> {
    let away = kept.operations(wave).into_iter().filter(|o| o.stage == Stage::Remove);
    let of = away.filter_map(|op| match &op.action {
        Action::Ensure { attr, direction: Direction::Absent, .. } => Some((op.target.dn().to_string(), attr.to_string())),
        _ => None,
    });
    of.collect()
}

fn keep(uid: &str) -> Keep {
    let (filter, until) = (format!("(uid={uid})"), "2030-01-01".parse().unwrap());
    Keep { entities: vec![], filter, reason: "law".into(), until }
}

fn at(uid: &str, attr: &str) -> (String, String) {
    (shared(uid).to_string(), attr.to_owned())
}

#[test]
fn each_reference_follows_once_however_it_is_spelled() {
    let mut world = World::new();
    for uid in ["a", "b", "c", "d"] {
        world.person(uid, Some(Active));
    }
    world.policy.mapping.as_mut().unwrap().references = Some(vec!["manager".into(), "secretary".into()]);
    let [c, d] = [shared("c"), shared("d")];
    world.set("a", "manager", &[c.as_str(), &c.as_str().to_uppercase(), d.as_str()]);
    world.set("a", "secretary", &[c.as_str()]);
    world.set("b", "manager", &[c.as_str()]);
    world.policy.waves[1].canary_size = Some(4);
    let (_, kept) = world.plan();
    let to = |from: &str, attr: &str, to: &str| (own(from).to_string(), attr.to_owned(), own(to).to_string());
    let mut found = followed(&kept, "move");
    found.sort();
    assert_eq!(found, [to("a", "manager", "c"), to("a", "manager", "d"), to("a", "secretary", "c"), to("b", "manager", "c")]);
}

#[test]
fn only_the_main_entry_of_somebody_who_migrates_is_followed() {
    let mut world = World::new();
    for uid in ["a", "ken", "clash", "boss", "nobody"] {
        world.person(uid, Some(Active));
    }
    world.also_own("ken");
    world.subjects.iter_mut().find(|s| s.id == id("nobody")).unwrap().undecided.push("x".into());
    world.independent.push(entry(own("clash").as_str(), EntryRole::Account, &[]));
    // Nothing follows for who has an account already, for who is not planned, and from a second account.
    world.set("ken", "manager", &[shared("nobody").as_str()]);
    world.set("clash", "manager", &[shared("nobody").as_str()]);
    let manager = vec![Value::from(shared("nobody").as_str())];
    world.second("a", &dn("uid=a,ou=admins,dc=shared")).attrs.insert(AttrName::new("manager"), manager);
    let (planned, kept) = world.plan();
    assert_eq!(world.reason("clash"), Some("name-clash"));
    assert!(!planned.report.notes.contains_key(&Remark::ReferenceLeftOut), "{:?}", planned.report.notes);
    assert!(followed(&kept, "move").is_empty());
    assert_eq!(planned.report.notes[&Remark::SecondaryRetired], 1);
    // A name that somebody else has keeps the other end from being made.
    world.set("a", "manager", &[shared("clash").as_str()]);
    let (planned, kept) = world.plan();
    assert_eq!(planned.report.notes[&Remark::ReferenceLeftOut], 1);
    assert!(followed(&kept, "move").is_empty());
}

#[test]
fn a_reference_to_an_account_that_is_there_does_not_wait_for_its_owner() {
    let mut world = World::new();
    world.person("a", Some(Active));
    world.person("old", Some(Active));
    world.also_own("old");
    world.set("a", "manager", &[shared("old").as_str()]);
    world.policy.waves = vec![wave("move", &[Track::Migrate]), wave("finish", &[Track::Finish])];
    let (_, kept) = world.plan();
    assert_eq!(followed(&kept, "move"), [(own("a").to_string(), "manager".to_owned(), own("old").to_string())]);
    assert!(followed(&kept, "finish").is_empty());
}

#[test]
fn what_names_a_record_that_stays_or_itself_is_left_alone() {
    let mut world = World::new();
    world.person("k", Some(Departed));
    world.person("self", Some(Departed));
    world.person("torn", Some(Departed)).undecided.push("x".into());
    world.person("stays", Some(Active)).undecided.push("x".into());
    world.policy.keep = vec![keep("k")];
    world.set("stays", "manager", &[shared("k").as_str(), shared("torn").as_str()]);
    world.set("self", "manager", &[shared("self").as_str()]);
    // A retained reference to oneself is no reason to write.
    world.policy.retention.as_mut().unwrap().push(AttrName::new("manager"));
    let rule = format!("{{0}}to * by dn.exact=\"{}\" write by dn.exact=\"{}\" write", shared("k"), shared("torn"));
    let mut config = entry("olcDatabase={1}mdb,cn=config", EntryRole::Config, &[]);
    config.attrs.insert("olcAccess".into(), vec![Value::from(rule)]);
    world.shared.push(config);
    let (planned, kept) = world.plan();
    assert_eq!((world.reason("k"), world.reason("self")), (None, None));
    assert!(taken(&kept, "leave").is_empty(), "{:?}", taken(&kept, "leave"));
    assert!(!planned.report.notes.contains_key(&Remark::AclReference));
}

#[test]
fn a_placeholder_is_stated_where_a_group_needs_one_and_has_none() {
    for (attr, holds, stated) in
        [("member", false, true), ("member", true, false), ("uniqueMember", false, true), ("uniqueMember", true, false)]
    {
        let mut world = World::new();
        world.person("a", Some(Departed));
        let member = shared("a");
        let members = [member.as_str(), "cn=placeholder,ou=system,dc=shared"];
        world.group("g", attr, &members[..if holds { 2 } else { 1 }]);
        let (planned, kept) = world.plan();
        let op = kept.of("leave", "a", Stage::Remove).into_iter().find(|o| o.phase == Phase::MEMBERSHIPS).unwrap();
        let Action::Ensure { placeholder, .. } = &op.action else { panic!("an ensure") };
        assert_eq!(placeholder.is_some(), stated, "{attr} {holds}");
        assert!(!op.protected_group && !planned.report.notes.contains_key(&Remark::ProtectedGroup));
    }
}

#[test]
fn memberships_of_one_group_are_listed_attribute_by_attribute() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    world.group("g", "uniqueMember", &[shared("a").as_str()]);
    let members = vec![Value::from(shared("b").as_str())];
    world.shared.last_mut().unwrap().attrs.insert(AttrName::new("member"), members);
    let (_, kept) = world.plan();
    let attrs: Vec<_> = taken(&kept, "leave").into_iter().map(|(_, attr)| attr).collect();
    assert_eq!(attrs, ["member", "uniqueMember"]);
}

#[test]
fn a_missing_group_is_told_where_it_is_not_to_be_made_and_somebody_would_be_in_it() {
    for (create, exists, member, told) in
        [(false, false, true, true), (false, false, false, false), (false, true, true, false), (true, false, true, false)]
    {
        let mut world = World::new();
        world.person("a", Some(Active));
        world.group("staff", "member", &[shared(if member { "a" } else { "nobody" }).as_str()]);
        let independent = dn("cn=staff,ou=groups,dc=own");
        if exists {
            world.independent.push(entry(independent.as_str(), EntryRole::Other, &[("objectClass", &["groupOfNames"])]));
        }
        let groups = vec![GroupMap { shared: dn("cn=staff,ou=groups,dc=shared"), independent, create }];
        world.policy.mapping.as_mut().unwrap().groups = Some(groups);
        let (planned, _) = world.plan();
        assert_eq!(planned.report.notes.contains_key(&Remark::GroupMissing), told, "{create} {exists} {member}");
    }
}

/// Waves of leavers by their `employeeType`, each after the one before where `chained`.
fn waves(chained: bool) -> Vec<WavePolicy> {
    let names = ["first", "second", "third"];
    let of = |(n, name): (usize, &&str)| {
        let mut made = wave(name, &[Track::Retire]);
        made.filter = Some(format!("(employeeType={name})"));
        made.after = if chained && n > 0 { vec![names[n - 1].to_owned()] } else { vec![] };
        made
    };
    names.iter().enumerate().map(of).collect()
}

#[test]
fn a_reference_that_an_earlier_scrub_takes_needs_no_operation_of_its_own() {
    let names = ["first", "second", "third"];
    for (holder, record) in [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)] {
        for chained in [true, false] {
            let mut world = World::new();
            for (uid, of) in [("holder", holder), ("record", record)] {
                world.person(uid, Some(Departed));
                world.set(uid, "employeeType", &[names[of]]);
            }
            world.set("holder", "manager", &[shared("record").as_str()]);
            world.policy.waves = waves(chained);
            let (_, kept) = world.plan();
            let expected = if chained && holder < record { vec![] } else { vec![at("holder", "manager")] };
            assert_eq!(taken(&kept, names[record]), expected, "{holder} {record} {chained}");
        }
    }
}

#[test]
fn a_reference_that_no_scrub_takes_is_taken_away() {
    let mut world = World::new();
    world.person("holder", Some(Departed));
    world.person("record", Some(Departed));
    world.set("holder", "manager", &[shared("record").as_str()]);
    assert!(taken(&world.plan().1, "leave").is_empty(), "both are scrubbed together");
    world.policy.retention.as_mut().unwrap().push(AttrName::new("manager"));
    assert_eq!(taken(&world.plan().1, "leave"), [at("holder", "manager")], "it would stay on the scrubbed record");

    let mut world = World::new();
    world.person("holder", Some(Active));
    world.person("record", Some(Active));
    world.set("holder", "manager", &[shared("record").as_str()]);
    world.independent.push(entry(own("holder").as_str(), EntryRole::Account, &[]));
    let (planned, kept) = world.plan();
    assert_eq!(taken(&kept, "move"), [at("holder", "manager")], "its name is taken, so nothing is done with it");
    let told = kept.report.iter().find_map(|line| match line {
        ReportLine::NotPlanned(n) if n.subject == id("holder") => Some(n.words.clone()),
        _ => None,
    });
    assert_eq!(told, Some(format!("its name is taken by {}", own("holder"))));
    let held = kept.batches("move").into_iter().flat_map(|b| b.subjects).map(|s| s.id);
    assert_eq!(held.collect::<Vec<_>>(), [id("record")], "who is not planned is in no batch");
    let WaveRef { subjects, .. } = planned.header.waves[0];
    assert_eq!(subjects, 1);
}
