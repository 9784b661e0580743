//! Writes under a condition.

use untether_directory::twin::Identity::{Reader, Writer};
use untether_directory::{Condition, Failure, Write, WriteOptions};
use untether_model::StableId;
use untether_model::change::Change;

use super::*;

fn with(condition: Condition) -> WriteOptions {
    WriteOptions { condition: Some(condition), ..WriteOptions::default() }
}

fn having(attr: &str, values: &[&str]) -> Condition {
    Condition { attrs: vec![(attr.into(), values.iter().map(|v| Value::from(*v)).collect())], ..Condition::default() }
}

#[test]
fn a_write_happens_only_where_its_condition_holds() {
    let world = World::new();
    world.person("a", &[("mail", &["a@x", "b@x"]), ("cn;lang-ja", &["山田"]), ("userPassword", &[HASH_A])]);
    let a = world.get("uid=a,ou=people").unwrap();
    let change = Change::Modify { dn: a.dn.clone(), mods: vec![replace("title", &["t"])] };
    let id = StableId::new(a.text("entryUUID").unwrap().to_uppercase());
    let holds = [
        Condition { stable_id: Some(id), ..Condition::default() },
        Condition { change_marker: a.text("entryCSN").map(str::to_owned), ..Condition::default() },
        having("mail", &["B@x", "a@x"]),
        // A filter cannot say "no further values".
        having("mail", &["a@x"]),
        having("employeeNumber", &[]),
        having("userPassword", &[HASH_A]),
        Condition::default(),
    ];
    let fails = [
        Condition { stable_id: Some(StableId::new("1f6cdb1c-0000-4000-8000-000000000001")), ..Condition::default() },
        Condition { change_marker: Some("20200101000000.000000Z#000001#000#000000".to_owned()), ..Condition::default() },
        having("mail", &["c@x"]),
        having("mail", &[]),
        // A subtype by option counts as the attribute.
        having("cn", &[]),
        having("userPassword", &[&HASH_A.to_lowercase()]),
    ];
    for condition in fails {
        let error = refused(122, world.apply(Writer, &change, &with(condition.clone())));
        assert_eq!(error.failure, Failure::ConditionFailed);
        refused(122, world.apply(Writer, &Change::Delete { dn: a.dn.clone() }, &with(condition)));
    }
    assert!(!world.get("uid=a,ou=people").unwrap().has("title"));
    for condition in holds {
        world.apply(Writer, &change, &WriteOptions { no_op: true, ..with(condition) }).unwrap();
    }
}

#[test]
fn absence_comes_before_the_condition_and_the_condition_before_rights() {
    let world = World::new();
    world.person("a", &[]);
    let change = |uid: &str| Change::Modify { dn: dn(&format!("uid={uid},ou=people")), mods: vec![replace("title", &["t"])] };
    refused(32, world.apply(Writer, &change("none"), &with(having("mail", &["c@x"]))));
    refused(122, world.apply(Reader, &change("a"), &with(having("mail", &["c@x"]))));
}

#[test]
fn an_assertion_that_no_server_can_answer_is_not_sent() {
    let world = World::new();
    world.person("a", &[("jpegPhoto", &["photo"])]);
    let change = Change::Modify { dn: dn("uid=a,ou=people"), mods: vec![replace("title", &["t"])] };
    let error = world.apply(Writer, &change, &with(having("jpegPhoto", &["photo"]))).unwrap_err();
    assert_eq!(error.failure, Failure::Invalid);
    refused(122, world.apply(Writer, &change, &with(having("jpegPhoto", &[]))));

    let add =
        Change::Add { dn: dn("uid=b,ou=people"), attrs: attrs(&[("objectClass", &["person"]), ("cn", &["x"]), ("sn", &["y"])]) };
    let error = world.apply(Writer, &add, &with(having("uid", &[]))).unwrap_err();
    assert_eq!(error.failure, Failure::Invalid, "an add relies on 68");

    let without = World::with(|config| config.controls.clear());
    without.person("a", &[]);
    let error = without.apply(Writer, &change, &with(having("mail", &[]))).unwrap_err();
    assert_eq!(error.failure, Failure::Invalid);
}

#[test]
fn a_transaction_asserts_with_its_first_change() {
    let world = World::new();
    world.person("a", &[("userPassword", &[HASH_A])]);
    let changes = [
        (dn("uid=a,ou=people"), vec![replace("userPassword", &[HASH_B])]),
        (dn("uid=a,ou=people"), vec![replace("pwdAccountLockedTime", &[LOCKED])]),
    ];
    let send = |hash: &str| block_on(world.handle(Writer).transaction(&changes, &with(having("userPassword", &[hash]))));
    assert_eq!(send(HASH_B).unwrap_err().failure, Failure::ConditionFailed);
    send(HASH_A).unwrap();
}
