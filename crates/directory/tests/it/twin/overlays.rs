//! memberOf and referential integrity: what a write does to other entries.

use untether_directory::twin::Identity::{Manager, Writer};

use super::*;

fn group(world: &World, name: &str, members: &[&str]) {
    let names: Vec<String> = members.iter().map(|m| dn(&format!("uid={m},ou=people")).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.add(Writer, &format!("cn={name},ou=groups"), &[("objectClass", &["groupOfNames"]), ("member", &names)]).unwrap();
}

#[test]
fn membership_shows_on_the_member_and_moves_no_change_marker() {
    let world = World::new();
    world.person("a", &[]);
    world.person("b", &[]);
    let marker = world.text("uid=a,ou=people", "entryCSN");
    world.pass(5);
    group(&world, "g", &["a", "ghost"]);
    let a = dn("uid=a,ou=people").to_string();
    let b = dn("uid=b,ou=people").to_string();
    assert_eq!(world.texts("uid=a,ou=people", "memberOf"), ["cn=g,ou=groups,dc=own,dc=example"]);
    assert_eq!(world.text("uid=a,ou=people", "entryCSN"), marker);
    assert_eq!(world.text("uid=a,ou=people", "modifiersName").as_deref(), Some("cn=root,dc=own,dc=example"));
    world.modify(Writer, "cn=g,ou=groups", vec![delete("member", &[&a.to_uppercase()]), add("member", &[&b])]).unwrap();
    assert!(world.texts("uid=a,ou=people", "memberOf").is_empty());
    assert_eq!(world.texts("uid=b,ou=people", "memberOf").len(), 1);
    world.modify(Writer, "cn=g,ou=groups", vec![replace("member", &[&a])]).unwrap();
    assert_eq!(world.texts("uid=a,ou=people", "memberOf").len(), 1);
    assert!(world.texts("uid=b,ou=people", "memberOf").is_empty());
    world.delete(Writer, "cn=g,ou=groups").unwrap();
    assert!(world.texts("uid=a,ou=people", "memberOf").is_empty());
}

#[test]
fn a_deleted_entry_leaves_references_only_where_they_are_mandatory() {
    let world = World::new();
    world.person("boss", &[]);
    let boss = dn("uid=boss,ou=people").to_string();
    world.person("a", &[("manager", &[&boss])]);
    group(&world, "two", &["a", "boss"]);
    group(&world, "only", &["boss"]);
    let markers = [world.text("uid=a,ou=people", "entryCSN"), world.text("cn=two,ou=groups", "entryCSN")];
    world.pass(5);
    world.delete(Writer, "uid=boss,ou=people").unwrap();
    assert!(!world.get("uid=a,ou=people").unwrap().has("manager"));
    assert_eq!(world.texts("cn=two,ou=groups", "member").len(), 1);
    assert_eq!(world.texts("cn=only,ou=groups", "member"), [boss.as_str()], "a group's only member stays");
    assert_eq!([world.text("uid=a,ou=people", "entryCSN"), world.text("cn=two,ou=groups", "entryCSN")], markers);
    assert_eq!(world.text("uid=a,ou=people", "modifiersName").as_deref(), Some("cn=Referential Integrity Overlay"));

    // Added again, the entry is in no group's eyes until its name is added again.
    world.person("boss", &[]);
    assert!(world.texts("uid=boss,ou=people", "memberOf").is_empty());
    refused(20, world.modify(Writer, "cn=only,ou=groups", vec![add("member", &[&boss])]));
    world.modify(Writer, "cn=two,ou=groups", vec![add("member", &[&boss])]).unwrap();
    assert_eq!(world.texts("uid=boss,ou=people", "memberOf"), ["cn=two,ou=groups,dc=own,dc=example"]);
    world.modify(Writer, "cn=only,ou=groups", vec![delete("member", &[&boss]), add("member", &[&boss])]).unwrap();
    assert_eq!(world.texts("uid=boss,ou=people", "memberOf").len(), 2);
}

#[test]
fn without_referential_integrity_references_stay() {
    let world = World::with(|config| config.references.clear());
    world.person("boss", &[]);
    let boss = dn("uid=boss,ou=people").to_string();
    world.person("a", &[("manager", &[&boss])]);
    group(&world, "g", &["a", "boss"]);
    world.delete(Writer, "uid=boss,ou=people").unwrap();
    assert_eq!(world.text("uid=a,ou=people", "manager"), Some(boss));
    assert_eq!(world.texts("cn=g,ou=groups", "member").len(), 2);
}

#[test]
fn a_group_of_fifty_thousand_is_changed_by_value() {
    let world = World::new();
    world.person("a", &[]);
    let members: Vec<Value> = (0..50_000).map(|n| Value::from(format!("uid=m{n},ou=people,{SUFFIX}"))).collect();
    let mut big = entry("cn=big,ou=groups", &[("objectClass", &["groupOfNames"]), ("cn", &["big"])]);
    big.attrs.insert("member".into(), members.clone());
    world.twin.load([big]);
    let a = dn("uid=a,ou=people").to_string();
    world.modify(Writer, "cn=big,ou=groups", vec![add("member", &[&a])]).unwrap();
    for chunk in members[..5_000].chunks(1_000) {
        let mods = vec![Modification { attr: "member".into(), kind: ModKind::Delete, values: chunk.to_vec() }];
        world.modify(Manager, "cn=big,ou=groups", mods).unwrap();
    }
    refused(16, world.modify(Writer, "cn=big,ou=groups", vec![delete("member", &[members[0].as_str().unwrap()])]));
    let left = world.texts("cn=big,ou=groups", "member");
    assert_eq!((left.len(), left.last()), (45_001, Some(&a)));
}
