//! What a disabling and a scrub take from an entry, and what they leave.

use untether_model::AttrName;
use untether_model::operation::{Action, Actor, Desired, Expects, Stage};
use untether_model::roster::Presence::Departed;
use untether_model::schema::Schema;
use untether_model::snapshot::CredentialKind;
use untether_model::{Side, Value};
use untether_planner::report::Remark;

use crate::world::*;

fn leaver() -> World {
    let mut world = World::new();
    world.person("taro", Some(Departed));
    world
}

fn scrubbed(world: &World) -> Vec<String> {
    let (_, kept) = world.plan();
    set_touches(&kept.of("leave", "taro", Stage::Scrub)[0])
}

#[test]
fn what_the_server_keeps_is_left_to_it_by_its_schema_or_the_standard() {
    let described = [
        "( 1.1.1 NAME 'labLastSeen' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 USAGE directoryOperation )",
        "( 1.1.2 NAME 'labBadge' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
        "( 1.1.3 NAME 'pwdChangedTime' SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 )",
    ];
    let own = Schema::from_descriptions(described);
    let cases = [(None, true), (Some(Schema::default()), true), (Some(Schema::standard()), true), (Some(own), false)];
    for (number, (schema, takes)) in cases.into_iter().enumerate() {
        let mut world = leaver();
        world.set("taro", "labLastSeen", &["today"]);
        world.set("taro", "labBadge", &["1"]);
        world.schemas = schema.map(|schema| (Side::Shared, schema)).into_iter().collect();
        let touched = scrubbed(&world);
        let has = |attr: &str| touched.iter().any(|touched| touched == attr);
        assert!(has("labBadge") && !has("pwdChangedTime") && !has("entryUUID"), "case {number}: {touched:?}");
        assert_eq!(has("labLastSeen"), takes, "case {number}");
    }
}

#[test]
fn what_the_entrys_own_classes_require_stays() {
    let mut world = leaver();
    world.set("taro", "uidNumber", &["1001"]);
    world.set("taro", "labBadge", &["1"]);
    assert!(scrubbed(&world).contains(&"uidNumber".to_owned()), "only a posixAccount must have it");
    assert!(scrubbed(&world).contains(&"labBadge".to_owned()));
    world.set("taro", "objectClass", &["inetOrgPerson", "posixAccount", "labPerson"]);
    world.classes.insert("labperson".into(), vec![AttrName::new("labBadge")]);
    let touched = scrubbed(&world);
    assert!(!touched.contains(&"uidNumber".to_owned()) && !touched.contains(&"labBadge".to_owned()), "{touched:?}");
    assert!(touched.contains(&"mail".to_owned()), "no class of it asks for that");
}

#[test]
fn passwords_that_are_checked_elsewhere_are_severed_however_that_is_told() {
    for (scheme, passed, clear, severed) in [
        (Some("KERBEROS"), false, false, true),
        (Some("LABPASS"), true, false, true),
        (None, false, true, true),
        (Some("SSHA"), false, false, false),
    ] {
        let mut world = leaver();
        let mut held = mark("userPassword", CredentialKind::Password, scheme, "other");
        (held.pass_through, held.clear) = (passed, clear);
        world.entry_of("taro").credentials.push(held);
        let (_, kept) = world.plan();
        let disable = &kept.of("leave", "taro", Stage::Disable)[0];
        assert_eq!(set_touches(disable).contains(&"userPassword".to_owned()), severed, "{scheme:?}");
        let Action::Set { touches } = &kept.of("leave", "taro", Stage::Scrub)[0].action else { panic!("a set") };
        let password = touches.iter().find(|t| t.attr.is("userpassword")).unwrap();
        assert_eq!((&password.expects, &password.desired), (&Expects::Any, &Desired::Absent), "its owner may have changed it");
    }
}

#[test]
fn a_password_history_is_emptied_where_there_is_one_or_a_scrub_makes_one() {
    let cases: [(&[CredentialKind], bool); 4] = [
        (&[CredentialKind::Password], true),
        (&[CredentialKind::History], true),
        (&[CredentialKind::SshKey], false),
        (&[], false),
    ];
    for (kinds, emptied) in cases {
        let mut world = leaver();
        let attr = |kind| match kind {
            CredentialKind::Password => "userPassword",
            CredentialKind::History => "pwdHistory",
            _ => "sshPublicKey",
        };
        world.entry_of("taro").credentials = kinds.iter().map(|kind| mark(attr(*kind), *kind, Some("SSHA"), "held")).collect();
        let (planned, kept) = world.plan();
        let by_undo = |op: &untether_model::operation::Operation| op.actor == Actor::Undo;
        assert_eq!(kept.of("leave", "taro", Stage::Scrub).iter().any(by_undo), emptied, "{kinds:?}");
        assert!(!planned.report.notes.contains_key(&Remark::HistoryStays));
        world.capabilities.get_mut(&Side::Shared).unwrap().manage = false;
        let (planned, kept) = world.plan();
        assert!(!kept.of("leave", "taro", Stage::Scrub).iter().any(by_undo));
        assert_eq!(planned.report.notes.contains_key(&Remark::HistoryStays), emptied, "{kinds:?}: people are told that it stays");
    }
}

#[test]
fn what_is_read_of_an_entry_is_expected_as_a_set() {
    let mut world = leaver();
    world.set("taro", "telephoneNumber", &["2", "1"]);
    let (_, kept) = world.plan();
    let Action::Set { touches } = &kept.of("leave", "taro", Stage::Scrub)[0].action else { panic!("a set") };
    let expects = &touches.iter().find(|t| t.attr.is("telephonenumber")).unwrap().expects;
    let inline = |text: &str| untether_model::operation::PlannedValue::Inline(Value::from(text));
    assert_eq!(*expects, Expects::Values(vec![inline("1"), inline("2")]));
}
