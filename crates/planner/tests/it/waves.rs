//! Who goes with which batch, and whose record has to wait for others.

use std::collections::BTreeSet;

use untether_model::operation::Track;
use untether_model::policy::Keep;
use untether_model::roster::Presence::{Active, Departed};
use untether_model::snapshot::EntryRole;
use untether_model::{Side, SubjectId};

use crate::world::*;

fn leavers(count: usize) -> World {
    let mut world = World::new();
    for n in 0..count {
        world.person(&format!("p{n:02}"), Some(Departed));
    }
    world
}

fn batches(world: &World, wave: &str) -> Vec<BTreeSet<SubjectId>> {
    let (_, kept) = world.plan();
    kept.batches(wave).into_iter().map(|batch| batch.subjects.into_iter().map(|s| s.id).collect()).collect()
}

fn ids<const N: usize>(uids: [&str; N]) -> BTreeSet<SubjectId> {
    uids.map(id).into()
}

#[test]
fn the_lot_falls_by_the_seed_and_the_same_in_every_version() {
    let mut world = leavers(8);
    world.policy.waves[0].batch_size = Some(2);
    let expected = [ids(["p00", "p02"]), ids(["p05", "p06"]), ids(["p01", "p04"]), ids(["p03", "p07"])];
    assert_eq!(batches(&world, "leave"), expected);
    world.policy.waves[0].limit = Some(2);
    assert_eq!(batches(&world, "leave"), [expected[0].clone()], "the same who would be first");
    world.seed = 8;
    assert_ne!(batches(&world, "leave"), [expected[0].clone()]);
}

#[test]
fn the_canary_has_who_has_several_accounts_and_starts_over_when_all_was_shown() {
    let mut world = leavers(20);
    for uid in ["p04", "p09", "p17"] {
        world.second(uid, &dn(&format!("uid={uid},ou=admins,dc=shared")));
    }
    world.policy.waves[0].canary_size = Some(3);
    let canary = &batches(&world, "leave")[0];
    let several = canary.intersection(&ids(["p04", "p09", "p17"])).count();
    assert_eq!((canary.len(), several), (3, 2), "one, then anybody, then one again: {canary:?}");
}

#[test]
fn the_canary_prefers_a_group_that_follows_to_one_that_only_goes() {
    let mut world = World::new();
    for n in 0..10 {
        world.person(&format!("p{n:02}"), Some(Active));
    }
    let named = |of: std::ops::Range<usize>| of.map(|n| shared(&format!("p{n:02}")).to_string()).collect::<Vec<_>>();
    for (cn, members) in [("a-first", named(0..1)), ("others", named(1..9)), ("staff", named(9..10))] {
        world.group(cn, "member", &members.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let follows = |cn: &str| untether_model::policy::GroupMap {
        shared: dn(&format!("cn={cn},ou=groups,dc=shared")),
        independent: dn(&format!("cn={cn},ou=groups,dc=own")),
        create: true,
    };
    world.policy.mapping.as_mut().unwrap().groups = Some(vec![follows("a-first"), follows("staff")]);
    assert_eq!(batches(&world, "move")[0], ids(["p00", "p09"]));
}

#[test]
fn a_record_waits_for_what_stands_below_it() {
    let below = dn("uid=leaf,uid=top,ou=own,dc=shared");
    let keep = |uid: &str| {
        let (filter, until) = (format!("(uid={uid})"), "2030-01-01".parse().unwrap());
        Keep { entities: vec![], filter, reason: "law".into(), until }
    };
    let mut world = World::new();
    world.person("top", Some(Active));
    world.person_at("leaf", Some(Active), &below);
    world.policy.waves[1].canary_size = Some(2);
    assert_eq!(batches(&world, "move"), [ids(["leaf"]), ids(["top"])], "the canary has no record that waits");

    for what in ["undecided", "its name is taken", "another wave", "kept", "protected"] {
        let mut world = world.clone();
        match what {
            "undecided" => world.subjects[1].undecided.push("x".into()),
            "its name is taken" => world.independent.push(entry(own("leaf").as_str(), EntryRole::Account, &[])),
            "another wave" => world.subjects[1].standing.as_mut().unwrap().presence = Departed,
            "kept" => {
                world.policy.keep = vec![keep("leaf")];
                world.policy.waves = vec![wave("move", &[Track::Migrate, Track::Keep])];
            }
            _ => {
                world.subjects[1].standing.as_mut().unwrap().presence = Departed;
                world.subjects[1].protected = true;
                world.protected.insert(Side::Shared, vec![below.clone()]);
                world.audit.protected.groups = vec![dn("cn=admins,ou=groups,dc=shared")];
                world.group("admins", "member", &[below.as_str()]);
                world.policy.waves = vec![wave("move", &[Track::Migrate, Track::Retire])];
            }
        }
        assert_eq!(world.reason("top"), Some("children"), "{what}");
    }

    let mut world = World::new();
    world.person("top", Some(Departed));
    world.second("top", &dn("uid=second,uid=top,ou=own,dc=shared"));
    assert_eq!(world.reason("top"), None, "its own account goes with it");
    assert_eq!(batches(&world, "leave"), [ids(["top"])]);
    world.shared.push(entry("cn=device,uid=top,ou=own,dc=shared", EntryRole::Other, &[]));
    assert_eq!(world.reason("top"), Some("children"));
    world.policy.keep = vec![keep("top")];
    assert_eq!(world.reason("top"), None, "a record that stays waits for nothing");
}
