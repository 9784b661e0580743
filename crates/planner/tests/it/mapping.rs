//! How an account of the shared store becomes one of the independent directory.

use untether_model::AttrName;
use untether_model::operation::{Action, Stage};
use untether_model::roster::Presence::Active;
use untether_model::snapshot::EntryRole;
use untether_planner::ReportLine;

use crate::world::*;

fn mover() -> World {
    let mut world = World::new();
    world.person("hana", Some(Active));
    world
}

fn made(world: &World) -> String {
    let (_, kept) = world.plan();
    kept.of("move", "hana", Stage::Provision)[0].target.dn().to_string()
}

fn why(world: &World) -> Option<String> {
    let (_, kept) = world.plan();
    kept.report.into_iter().find_map(|line| if let ReportLine::NotPlanned(n) = line { Some(n.words) } else { None })
}

#[test]
fn the_new_name_is_the_value_that_names_the_shared_entry_where_it_has_several() {
    for (values, name) in
        [(&["hana"][..], "hana"), (&["other"], "other"), (&["aa", "hana", "zz"], "hana"), (&["bb", "aa"], "aa"), (&[], "hana")]
    {
        let mut world = mover();
        world.set("hana", "uid", values);
        assert_eq!(made(&world), own(name).to_string(), "{values:?}");
    }
}

#[test]
fn what_the_classes_of_the_new_entry_require_must_be_given() {
    let mut world = mover();
    let classes = |world: &mut World, all: &[&str]| {
        world.policy.mapping.as_mut().unwrap().object_classes = Some(all.iter().map(|c| (*c).to_owned()).collect());
    };
    classes(&mut world, &["inetOrgPerson", "labAccount", "posixAccount"]);
    assert!(why(&world).unwrap().starts_with("the object classes of the mapping require "));
    classes(&mut world, &["inetOrgPerson", "labAccount"]);
    assert_eq!(why(&world), None);
    world.classes.insert("labaccount".into(), vec![AttrName::new("labBadge")]);
    assert!(why(&world).unwrap().starts_with("the object classes of the mapping require labBadge"), "the store told so");
}

#[test]
fn a_group_is_joined_by_the_attribute_and_the_value_of_its_class() {
    let cases: [(&[&str], &str); 4] = [
        (&["groupOfNames"], "member"),
        (&["groupOfUniqueNames"], "uniqueMember"),
        (&["posixGroup"], "memberUid"),
        (&["posixGroup", "groupOfNames"], "member"),
    ];
    for (classes, expected) in cases {
        let mut world = mover();
        world.policy.mapping.as_mut().unwrap().templates.insert("uid".into(), "{uid}-own".into());
        world.independent = vec![entry("cn=admitted,ou=groups,dc=own", EntryRole::Other, &[("objectClass", classes)])];
        let (_, kept) = world.plan();
        let switch = &kept.of("move", "hana", Stage::Switch)[0];
        let Action::Ensure { attr, create, delete_when_empty, .. } = &switch.action else { panic!("an ensure") };
        assert_eq!(attr.as_str(), expected, "{classes:?}");
        assert!(create.is_none() && !delete_when_empty, "it is there");
        let value = if expected == "memberUid" { "hana-own".to_owned() } else { own("hana-own").to_string() };
        assert_eq!(ensured(switch).into_iter().collect::<Vec<_>>(), [value], "{classes:?}");
    }
    let mut world = mover();
    world.independent.clear();
    let (_, kept) = world.plan();
    let Action::Ensure { create, delete_when_empty, .. } = &kept.of("move", "hana", Stage::Switch)[0].action else { panic!() };
    assert!(create.as_ref().is_some_and(|attrs| attrs.contains_key(&AttrName::new("cn"))) && *delete_when_empty);
}
