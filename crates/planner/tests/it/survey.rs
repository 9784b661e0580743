//! What the entries themselves say: names that are taken, holds and retention, policies that lock.

use untether_model::operation::{Stage, Track};
use untether_model::policy::{Hold, Keep};
use untether_model::roster::Presence::{Active, Departed};
use untether_model::run::{ParkReason, Record};
use untether_model::snapshot::EntryRole;
use untether_model::{BatchId, Dn, Round, Value};
use untether_planner::ReportLine;

use crate::plan::{decide, record, start};
use crate::world::*;

fn why(world: &World, uid: &str) -> Option<(String, String)> {
    let (_, kept) = world.plan();
    kept.report.into_iter().find_map(|line| match line {
        ReportLine::NotPlanned(n) if n.subject == id(uid) => Some((n.reason.as_str().to_owned(), n.words)),
        _ => None,
    })
}

fn hold(filter: &str, until: &str) -> Hold {
    Hold { entities: vec![], filter: filter.into(), reason: "court".into(), until: until.parse().unwrap() }
}

#[test]
fn who_has_a_name_is_told_and_it_is_the_smallest_of_several_whatever_comes_first() {
    let named = entry(own("A").as_str(), EntryRole::Account, &[]);
    let login = entry("cn=x,ou=services,dc=own", EntryRole::Account, &[("uid", &["A"])]);
    let mailed = entry("cn=y,ou=services,dc=own", EntryRole::Account, &[("mail", &["A@shared.example"])]);
    let cases = [
        (vec![&named], "its name is taken by uid=A,ou=people,dc=own"),
        (vec![&login], "its login a is taken by cn=x,ou=services,dc=own"),
        (vec![&mailed], "its mail address a@shared.example is taken by cn=y,ou=services,dc=own"),
        (vec![&named, &login, &mailed], "its login a is taken by cn=x,ou=services,dc=own"),
        (vec![&mailed, &login, &named], "its login a is taken by cn=x,ou=services,dc=own"),
    ];
    for (entries, words) in cases {
        let mut world = World::new();
        world.person("a", Some(Active));
        world.independent.extend(entries.into_iter().cloned());
        assert_eq!(why(&world, "a"), Some(("name-clash".to_owned(), words.to_owned())));
        // Another reason is not talked over.
        world.second("a", &dn("uid=a,ou=admins,dc=shared"));
        world.shared.pop();
        let words = "uid=a,ou=admins,dc=shared was not among the entries";
        assert_eq!(why(&world, "a"), Some(("entry-missing".to_owned(), words.to_owned())));
    }
    let mut world = World::new();
    for uid in ["c", "d"] {
        world.person(uid, Some(Active));
        world.set(uid, "mail", &["same@x.example"]);
    }
    let words = "its mail address same@x.example is that of subject s-c of this plan";
    assert_eq!(why(&world, "d"), Some(("name-clash".to_owned(), words.to_owned())));
}

#[test]
fn holds_count_until_their_day_is_over_for_main_entries_and_for_nobody_whom_a_person_decided_on() {
    let mut world = World::new();
    world.person("held", Some(Departed));
    for (until, reason) in [("2026-11-19", None), ("2026-11-20", Some("policy-hold")), ("2026-11-21", Some("policy-hold"))] {
        world.policy.hold = vec![hold("(uid=held)", until)];
        assert_eq!(world.reason("held"), reason, "{until}");
    }
    decide(&mut world, 1, "held", Track::Retire, "2027-01-01");
    assert_eq!(world.reason("held"), None);

    let mut world = World::new();
    world.person("a", Some(Departed));
    let second = world.second("a", &dn("uid=a,ou=admins,dc=shared"));
    second.attrs.insert("employeeType".into(), vec![Value::from("guest")]);
    world.policy.hold = vec![hold("(employeeType=guest)", "2027-01-01")];
    assert_eq!(world.reason("a"), None, "a second account speaks for nobody");

    let mut world = World::new();
    world.person("root", Some(Departed)).protected = true;
    world.group("admins", "member", &[shared("root").as_str()]);
    world.protected.insert(untether_model::Side::Shared, vec![shared("root")]);
    world.audit.protected.groups = vec![dn("cn=admins,ou=groups,dc=shared")];
    world.policy.hold = vec![hold("(uid=root)", "2027-01-01")];
    assert_eq!(world.reason("root"), None, "who has left leaves the group that protects");
    let (_, kept) = world.plan();
    assert_eq!(kept.batches("leave")[0].subjects[0].stages, [Stage::Remove], "and nothing else is done");
    // What a filter protects is protected for what it is.
    world.audit.protected.shared_filters = vec!["(uid=glass)".into()];
    assert_eq!(world.reason("root"), Some("protected"));
    world.audit.protected.shared_filters.clear();
    world.shared.pop();
    assert_eq!(world.reason("root"), Some("protected"), "it is in no such group");
}

#[test]
fn an_account_is_pointed_at_the_locking_policy_where_that_helps() {
    let locking = "cn=locking,dc=shared";
    let cases = [
        (Some(true), "FALSE", false, None),
        (Some(false), "TRUE", false, None),
        (Some(false), "TRUE", true, Some("uid=a,ou=own,dc=shared is at cn=locking,dc=shared already")),
        (None, "TRUE", true, None),
        (Some(true), "TRUE", true, None),
        (
            Some(false),
            "FALSE",
            false,
            Some("the locking policy cn=locking,dc=shared was not among the entries, or does not lock"),
        ),
    ];
    for (effective, locks, pointed, words) in cases {
        let mut world = World::new();
        world.person("a", Some(Departed)).accounts[0].state.policy_effective = effective;
        world.policy.locking_policy = Some(dn(locking));
        let attrs: &[(&str, &[&str])] = &[("objectClass", &["pwdPolicy"]), ("pwdLockout", &[locks])];
        world.shared.push(entry(locking, EntryRole::Other, attrs));
        world.shared.push(entry("cn=another,dc=shared", EntryRole::Other, &[("pwdLockout", &["TRUE"])]));
        world.set("a", "pwdPolicySubentry", &[if pointed { "CN=locking,dc=shared" } else { "cn=another,dc=shared" }]);
        let found = why(&world, "a");
        assert_eq!(found.is_some(), words.is_some(), "{effective:?} {locks} {pointed}: {found:?}");
        if let (Some((reason, found)), Some(words)) = (found, words) {
            assert!(reason == "policy-not-locking" && found.starts_with(words), "{found}");
        }
    }
}

#[test]
fn a_kept_record_is_through_with_its_scrub_and_not_before() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    let (filter, until) = ("(uid=a)".into(), "2030-01-01".parse().unwrap());
    world.policy.keep = vec![Keep { entities: vec![], filter, reason: "law".into(), until }];
    let (planned, kept) = world.plan();
    let batch = BatchId::new(start(&mut world, &planned, &kept, "leave", 1), "b01");
    assert_eq!(world.reason("a"), None, "nothing has begun");
    let mut parked = world.clone();
    let begin = |world: &mut World, seq, stage| {
        let begun = Record::StageStarted { batch: batch.clone(), stage, round: Round::FIRST, operations: 1 };
        record(world, seq, &begun);
    };
    begin(&mut parked, 3, Stage::Disable);
    let (reason, stage, details) = (ParkReason::Failed, Stage::Disable, String::new());
    let park = Record::Parked { subject: id("a"), batch: batch.clone(), reason, stage, details, presence: None };
    record(&mut parked, 4, &park);
    assert_eq!(parked.reason("a"), None, "it goes on with a new plan");
    for (n, stage) in [Stage::Disable, Stage::Soak, Stage::Scrub].into_iter().enumerate() {
        let seq = 10 + 2 * n as u64;
        begin(&mut world, seq, stage);
        record(&mut world, seq + 1, &Record::StageEnded { batch: batch.clone(), stage, round: Round::FIRST });
    }
    record(&mut world, 40, &Record::WaveEnded { wave: batch.wave.clone() });
    assert_eq!(world.reason("a"), Some("finished"));
    decide(&mut world, 41, "a", Track::Keep, "2027-01-01");
    assert_eq!(world.reason("a"), Some("finished"), "whoever says that it is kept");
    world.policy.keep.clear();
    decide(&mut world, 42, "a", Track::Retire, "2027-01-01");
    assert_eq!(world.reason("a"), None, "when the retention ends the record goes");
}

#[test]
fn leavers_get_no_account_and_take_no_name() {
    let mut world = World::new();
    world.person("gone", Some(Departed));
    world.person("hana", Some(Active));
    for uid in ["gone", "hana"] {
        world.set(uid, "mail", &["same@x.example"]);
    }
    let (_, kept) = world.plan();
    assert_eq!(world.reason("hana"), None);
    let has = |wave: &str| kept.batches(wave)[0].subjects[0].independent_dn.clone();
    assert_eq!((has("leave"), has("move")), (None::<Dn>, Some(own("hana"))));
}
