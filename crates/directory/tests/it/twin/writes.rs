//! Adding, modifying, deleting: results and what the server maintains.

use untether_directory::twin::Identity::{Manager, Reader, Root, Writer};
use untether_directory::{Failure, Write, WriteOptions};
use untether_model::change::Change;

use super::*;

const PERSON: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("cn", &["A"]), ("sn", &["B"])];

#[test]
fn an_added_entry_gets_what_the_server_makes() {
    let world = World::new();
    world.add(Writer, "uid=a,ou=people", PERSON).unwrap();
    let made = world.get("uid=a,ou=people").unwrap();
    assert_eq!(made.text("uid"), Some("a"), "the naming value is added");
    assert_eq!(made.text("structuralObjectClass"), Some("inetOrgPerson"));
    assert_eq!(made.text("createTimestamp"), Some("20261120093000Z"));
    assert_eq!(made.text("creatorsName"), Some("cn=untether-writer,ou=system,dc=own,dc=example"));
    assert_eq!(made.text("entryUUID").map(str::len), Some(36));
    let marker = made.text("entryCSN").unwrap().to_owned();
    world.modify(Manager, "uid=a,ou=people", vec![replace("sn", &["C"])]).unwrap();
    let changed = world.get("uid=a,ou=people").unwrap();
    assert!(changed.text("entryCSN").unwrap() > marker.as_str(), "grows while the clock stands still");
    assert_eq!(changed.text("modifiersName"), Some("cn=untether-undo,ou=system,dc=own,dc=example"));
}

#[test]
fn adds_are_refused_as_slapd_refuses_them() {
    let world = World::new();
    world.add(Writer, "uid=a,ou=people", PERSON).unwrap();
    let exists = refused(68, world.add(Writer, "UID=A,ou=people", PERSON));
    assert_eq!(exists.failure, Failure::ConditionFailed);
    let orphan = refused(32, world.add(Writer, "uid=b,ou=nowhere", PERSON));
    assert_eq!(orphan.failure, Failure::Refused, "not the entry itself is missing");
    refused(50, world.add(Reader, "uid=b,ou=people", PERSON));
    refused(65, world.add(Writer, "uid=b,ou=people", &[("objectClass", &["inetOrgPerson"]), ("cn", &["A"])]));
    refused(65, world.add(Writer, "uid=b,ou=people", &[("cn", &["A"])]));
    refused(65, world.add(Writer, "cn=g,ou=groups", &[("objectClass", &["groupOfNames"])]));
    let with = |attr: &'static str, values: &'static [&'static str]| {
        let mut pairs = PERSON.to_vec();
        pairs.push((attr, values));
        world.add(Writer, "uid=b,ou=people", &pairs)
    };
    refused(19, with("employeeNumber", &["1", "2"]));
    refused(20, with("mail", &["a@x", "A@x"]));
    refused(21, with("manager", &["nobody"]));
    refused(19, with("entryUUID", &["1f6cdb1c-0000-4000-8000-000000000001"]));
    let outside = Change::Add { dn: Dn::parse("uid=b,dc=elsewhere").unwrap(), attrs: attrs(PERSON) };
    refused(53, world.apply(Writer, &outside, &WriteOptions::default()));
    assert!(world.get("uid=b,ou=people").is_none());
}

#[test]
fn modifications_are_refused_by_value_and_leave_nothing() {
    let world = World::new();
    world.person("a", &[("mail", &["a@x"]), ("jpegPhoto", &["photo"]), ("employeeNumber", &["1"])]);
    let a = "uid=a,ou=people";
    let before = world.twin.dump();
    let one = |m: Modification| world.modify(Writer, a, vec![m]);
    assert_eq!(refused(20, one(add("mail", &["A@X"]))).failure, Failure::ConditionFailed);
    assert_eq!(refused(16, one(delete("mail", &["b@x"]))).failure, Failure::ConditionFailed);
    assert_eq!(refused(16, one(delete("title", &[]))).failure, Failure::Refused);
    refused(18, one(delete("jpegPhoto", &["photo"])));
    refused(18, one(add("jpegPhoto", &["other"])));
    refused(19, one(add("employeeNumber", &["2"])));
    refused(64, one(delete("uid", &[])));
    refused(64, one(replace("uid", &["b"])));
    refused(65, one(delete("sn", &[])));
    refused(65, one(delete("objectClass", &[])));
    refused(19, one(replace("modifyTimestamp", &["20200101000000Z"])));
    refused(50, world.modify(Reader, a, vec![replace("sn", &["z"])]));
    assert_eq!(refused(32, world.modify(Writer, "uid=z,ou=people", vec![replace("sn", &["z"])])).failure, Failure::NoSuchObject);
    // The first of the two is undone with the second.
    refused(16, world.modify(Writer, a, vec![replace("sn", &["z"]), delete("mail", &["b@x"])]));
    assert_eq!(world.twin.dump(), before);
}

#[test]
fn a_replace_with_nothing_and_later_values_behave_as_in_a_set() {
    let world = World::new();
    world.person("a", &[("mail", &["a@x", "b@x"])]);
    let a = "uid=a,ou=people";
    world.modify(Writer, a, vec![replace("title", &[])]).unwrap();
    world.modify(Writer, a, vec![delete("mail", &["A@X"]), add("mail", &["a@x"]), add("mail;lang-ja", &["c@x"])]).unwrap();
    assert_eq!(world.texts(a, "mail"), ["b@x", "a@x"], "a value that is added again lands at the end");
    assert_eq!(world.texts(a, "mail;lang-ja"), ["c@x"]);
    world.modify(Writer, a, vec![delete("mail", &["a@x", "b@x"])]).unwrap();
    assert!(!world.get(a).unwrap().has("mail"));
}

#[test]
fn only_leaves_are_deleted() {
    let world = World::new();
    world.person("a", &[]);
    refused(66, world.delete(Writer, "ou=people"));
    refused(50, world.delete(Reader, "uid=a,ou=people"));
    world.delete(Writer, "uid=a,ou=people").unwrap();
    refused(32, world.delete(Writer, "uid=a,ou=people"));
    world.delete(Writer, "ou=people").unwrap();
}

#[test]
fn relaxed_rules_restore_an_entry_for_those_who_manage() {
    let world = World::new();
    world.person("a", &[("userPassword", &[HASH_A])]);
    let a = dn("uid=a,ou=people");
    world.pass(60);
    let options = WriteOptions { pre_read: vec!["*".into(), "+".into()], ..WriteOptions::default() };
    let image = world.apply(Writer, &Change::Delete { dn: a.clone() }, &options).unwrap().before.unwrap();
    assert_eq!(image.text("hasSubordinates"), Some("FALSE"), "what is computed for readers comes with it");

    let mut kept = image.attrs.clone();
    for computed in ["entryDN", "subschemaSubentry", "hasSubordinates"] {
        kept.remove(&AttrName::new(computed));
    }
    let again = |attrs: &AttrMap| Change::Add { dn: a.clone(), attrs: attrs.clone() };
    refused(19, world.apply(Root, &again(&kept), &WriteOptions::default()));
    refused(19, world.apply(Root, &again(&kept), &relaxed()));
    for unmanageable in ["entryCSN", "structuralObjectClass"] {
        kept.remove(&AttrName::new(unmanageable));
    }
    refused(50, world.apply(Writer, &again(&kept), &relaxed()));
    world.apply(Manager, &again(&kept), &relaxed()).unwrap();
    let restored = world.get("uid=a,ou=people").unwrap();
    for same in ["entryUUID", "createTimestamp", "creatorsName", "modifyTimestamp", "modifiersName", "userPassword"] {
        assert_eq!(restored.values(same), image.values(same), "{same}");
    }
    assert_eq!(restored.text("structuralObjectClass"), Some("inetOrgPerson"));
    assert_ne!(restored.text("entryCSN"), image.text("entryCSN"));
}

#[test]
fn relaxed_modifies_keep_the_times_that_they_set() {
    let world = World::new();
    world.person("a", &[]);
    let change = Change::Modify {
        dn: dn("uid=a,ou=people"),
        mods: vec![replace("modifyTimestamp", &["20200101000000Z"]), replace("modifiersName", &["cn=somebody"])],
    };
    refused(50, world.apply(Writer, &change, &relaxed()));
    world.apply(Manager, &change, &relaxed()).unwrap();
    assert_eq!(world.text("uid=a,ou=people", "modifyTimestamp").as_deref(), Some("20200101000000Z"));
    for never in ["entryCSN", "memberOf", "pwdLastSuccess", "structuralObjectClass"] {
        let value = if never == "memberOf" { "cn=g,dc=x" } else { "20200101000000Z" };
        let change = Change::Modify { dn: dn("uid=a,ou=people"), mods: vec![replace(never, &[value])] };
        refused(19, world.apply(Root, &change, &relaxed()));
    }
    // Relaxing forbids the writer nothing that it may do without.
    let lock = Change::Modify { dn: dn("uid=a,ou=people"), mods: vec![replace("pwdAccountLockedTime", &[LOCKED])] };
    world.apply(Writer, &lock, &relaxed()).unwrap();
}

#[test]
fn a_no_op_checks_and_changes_nothing() {
    let world = World::new();
    world.person("a", &[]);
    world.add(Writer, "cn=g,ou=groups", &[("objectClass", &["groupOfNames"]), ("member", &["uid=z,dc=x"])]).unwrap();
    let before = world.twin.dump();
    let no_op = WriteOptions { no_op: true, post_read: vec!["*".into()], ..WriteOptions::default() };
    let member = dn("uid=a,ou=people").to_string();
    let group = |mods| Change::Modify { dn: dn("cn=g,ou=groups"), mods };
    let written = world.apply(Writer, &group(vec![add("member", &[&member])]), &no_op).unwrap();
    assert!(written.before.is_none() && written.after.is_none());
    refused(65, world.apply(Writer, &group(vec![replace("member", &[])]), &no_op));
    refused(50, world.apply(Reader, &Change::Delete { dn: dn("uid=a,ou=people") }, &no_op));
    world.apply(Writer, &Change::Delete { dn: dn("uid=a,ou=people") }, &no_op).unwrap();
    assert_eq!(world.twin.dump(), before);
}

#[test]
fn a_transaction_is_all_or_none() {
    let world = World::new();
    world.person("a", &[]);
    let before = world.twin.dump();
    let both = |second: &str| {
        let changes =
            [(dn("uid=a,ou=people"), vec![replace("sn", &["new"])]), (dn(second), vec![replace("description", &["new"])])];
        block_on(world.handle(Writer).transaction(&changes, &WriteOptions::default()))
    };
    assert_eq!(both("uid=none,ou=people").unwrap_err().code, Some(32));
    assert_eq!(world.twin.dump(), before);
    both("ou=people").unwrap();
    assert_eq!(world.text("ou=people", "description").as_deref(), Some("new"));

    let without = World::with(|config| config.transactions = false);
    without.person("a", &[]);
    let changes = [(dn("uid=a,ou=people"), vec![replace("sn", &["new"])])];
    let error = block_on(without.handle(Writer).transaction(&changes, &WriteOptions::default())).unwrap_err();
    assert_eq!(error.failure, Failure::Invalid);
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let world = World::new();
    world.person("a", &[]);
    let invalid =
        |change: Change| assert_eq!(world.apply(Root, &change, &WriteOptions::default()).unwrap_err().failure, Failure::Invalid);
    invalid(Change::Delete { dn: Dn::root() });
    invalid(Change::Modify { dn: dn("uid=a,ou=people"), mods: vec![] });
    invalid(Change::Modify { dn: dn("uid=a,ou=people"), mods: vec![add("mail", &[])] });
    invalid(Change::Add { dn: dn("uid=b,ou=people"), attrs: attrs(&[("mail", &[])]) });
    assert_eq!(world.twin.write_attempts(), 1, "only the person itself");
}

#[test]
fn two_twins_with_the_same_input_are_equal() {
    let run = || {
        let world = World::new();
        world.person("a", &[]);
        world.pass(1);
        world.modify(Writer, "uid=a,ou=people", vec![replace("sn", &["z"])]).unwrap();
        world.twin.dump()
    };
    assert_eq!(run(), run());
}
