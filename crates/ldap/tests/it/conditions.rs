//! What a write can be made to depend on, and what moves underneath it.

use untether_directory::{Condition, Failure, Read as _, Write as _, WriteOptions};
use untether_model::change::Change;
use untether_testkit::lab::Flavour;

use crate::world::*;

fn under(condition: Condition) -> WriteOptions {
    WriteOptions { condition: Some(condition), ..WriteOptions::default() }
}

/// A false or stale condition is 122 and changes nothing; a true one lets modify and delete through.
#[tokio::test]
async fn modify_and_delete_carry_conditions() {
    let case = Case::new(Flavour::Shared, "assertion").await;
    let mut facts = Facts::default();
    let odd = "a)(b=*\\ \"c\", \u{5c71}";
    let dn = case.account("a", &[("description", &[odd, "second"]), ("mail", &["a@x.example"])]).await;
    let id = case.id(&dn).await;
    let change = [replace("title", &["t"])];
    let truth = given(&id, &[("description", &[odd, "second"]), ("mail", &["A@X.example"]), ("telephoneNumber", &[])]);
    facts.check("true", case.modify_with(&case.wr, &dn, &change, &truth).await, "0");
    for (what, condition) in [
        ("another id", given(&"7d0a1a52-0000-1041-8000-000000000000".into(), &[])),
        ("another value", given(&id, &[("mail", &["b@x.example"])])),
        ("present, not absent", given(&id, &[("mail", &[])])),
        ("absent, not present", given(&id, &[("telephoneNumber", &["1"])])),
        (
            "another marker",
            under(Condition { change_marker: Some("20200101000000.000000Z#000000#000#000000".into()), ..Condition::default() }),
        ),
    ] {
        facts.check(what, case.modify_with(&case.wr, &dn, &change, &condition).await, "122 ConditionFailed");
        let deleted = case.wr.apply(&Change::Delete { dn: dn.clone() }, &condition).await;
        facts.check(what, said(&deleted), "122 ConditionFailed");
    }
    let marker = case.marker(&dn).await;
    let whole = under(Condition { stable_id: Some(id), attrs: Vec::new(), change_marker: Some(marker) });
    facts.check("delete", said(&case.wr.apply(&Change::Delete { dn: dn.clone() }, &whole).await), "0");
    facts.check("gone", said(&case.wr.apply(&Change::Delete { dn: dn.clone() }, &whole).await), "32 NoSuchObject");
    facts.done();
}

/// An add depends on 68 alone; the client refuses to send a condition with one, which the server would check against the new
/// entry.
#[tokio::test]
async fn an_add_fails_where_the_entry_exists() {
    let case = Case::new(Flavour::Shared, "add").await;
    let dn = case.account("a", &[]).await;
    let person: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("uid", &["a"]), ("cn", &["a"]), ("sn", &["a"])];
    let again = case.add_as(&case.wr, &dn, person, &WriteOptions::default()).await;
    assert_eq!(said(&again), "68 ConditionFailed");
    let conditional =
        case.add_as(&case.wr, &dn, person, &under(Condition { stable_id: Some("x".into()), ..Condition::default() })).await;
    assert_eq!(said(&conditional), "Invalid");
    let orphan = dn.child("uid", "b").child("uid", "c");
    let refused = case.add_as(&case.wr, &orphan, person, &WriteOptions::default()).await.unwrap_err();
    assert_eq!((refused.failure, refused.code), (Failure::Refused, Some(32)));
    assert!(refused.to_string().contains("entry above"), "{refused}");
}

/// `entryCSN` moves with each login and each failed one that is recorded; a change of `memberOf` does not move it.
#[tokio::test]
async fn the_change_marker_moves_with_logins_and_not_with_groups() {
    let case = Case::new(Flavour::Shared, "marker").await;
    let policy = case.recording_policy().await;
    let dn = case.account("a", &[("userPassword", &[HASH_A]), ("pwdPolicySubentry", &[&policy])]).await;
    let first = case.marker(&dn).await;
    assert_eq!(case.bind(&dn, A).await, "0");
    let second = case.marker(&dn).await;
    assert_ne!(first, second, "a login");
    assert_eq!(case.bind(&dn, "wrong").await, "49");
    let third = case.marker(&dn).await;
    assert_ne!(second, third, "a failed login");
    let group = case.group("g", &[&dn]).await;
    assert_eq!(case.has(&dn, &["memberOf"]).await, "memberOf");
    assert_eq!(case.marker(&dn).await, third, "a membership");
    // In the shared store nothing takes the name of a deleted entry out of its groups.
    let marker = case.marker(&group).await;
    case.wr.apply(&Change::Delete { dn: dn.clone() }, &WriteOptions::default()).await.unwrap();
    assert_eq!(case.marker(&group).await, marker);
    assert_eq!(case.reader.compare(&group, &"member".into(), &dn.as_str().into()).await.unwrap(), Some(true));
}

/// A photo has no equality rule: deleting it by value is 18, and the client refuses a condition that could never be true; the
/// change marker can be asserted.
#[tokio::test]
async fn attributes_without_equality_depend_on_the_marker() {
    let case = Case::new(Flavour::Shared, "photo").await;
    let mut facts = Facts::default();
    let photo = "\u{fffd}photo";
    let dn = case.account("a", &[("jpegPhoto", &[photo])]).await;
    let id = case.id(&dn).await;
    facts.check("by value", case.modify(&case.wr, &dn, &[delete("jpegPhoto", &[photo])]).await, "18 Refused");
    let away = [delete("jpegPhoto", &[])];
    facts.check("by condition", case.modify_with(&case.wr, &dn, &away, &given(&id, &[("jpegPhoto", &[photo])])).await, "Invalid");
    let marked = |marker: String| under(Condition { change_marker: Some(marker), ..Condition::default() });
    let stale = marked(case.marker(&dn).await);
    facts.check("another write", case.modify(&case.wr, &dn, &[replace("title", &["t"])]).await, "0");
    facts.check("stale marker", case.modify_with(&case.wr, &dn, &away, &stale).await, "122 ConditionFailed");
    let fresh = marked(case.marker(&dn).await);
    facts.check("marker", case.modify_with(&case.wr, &dn, &away, &fresh).await, "0");
    facts.check(
        "absence can be asserted",
        case.modify_with(&case.wr, &dn, &[replace("title", &["u"])], &given(&id, &[("jpegPhoto", &[])])).await,
        "0",
    );
    facts.done();
}

/// Listed values: one that is there already is 20, one that is not there is 16, and the whole modify is refused.
#[tokio::test]
async fn listed_values_are_their_own_condition() {
    let case = Case::new(Flavour::Shared, "listed").await;
    let mut facts = Facts::default();
    let (a, b) = (case.account("a", &[]).await, case.account("b", &[]).await);
    let group = case.group("g", &[&a]).await;
    let both = [add("member", &[a.as_str(), b.as_str()])];
    facts.check("one is there", case.modify(&case.wr, &group, &both).await, "20 ConditionFailed");
    let present = case.reader.present(&group, &"member".into(), &values(&[a.as_str(), b.as_str()])).await.unwrap();
    facts.check("nothing was added", format!("{}", present == values(&[a.as_str()])), "true");
    facts.check(
        "one is not there",
        case.modify(&case.wr, &group, &[delete("member", &[b.as_str()])]).await,
        "16 ConditionFailed",
    );
    facts.done();
}

/// The critical no-op control tells what would happen (schema 65, rights 50) and changes nothing.
#[tokio::test]
async fn a_no_op_checks_and_changes_nothing() {
    let case = Case::new(Flavour::Shared, "no-op").await;
    let mut facts = Facts::default();
    let dn = case.account("a", &[]).await;
    let b = case.name("b");
    let group = case.group("g", &[&dn]).await;
    let marker = (case.marker(&dn).await, case.marker(&group).await);
    let person: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("uid", &["b"]), ("cn", &["b"]), ("sn", &["b"])];
    facts.check("add", said(&case.add_as(&case.wr, &b, person, &no_op()).await), "0");
    facts.check("add without a class", said(&case.add_as(&case.wr, &b, &[("cn", &["b"])], &no_op()).await), "65 Refused");
    facts.check("modify", case.modify_with(&case.wr, &dn, &[replace("title", &["t"])], &no_op()).await, "0");
    facts.check("schema", case.modify_with(&case.wr, &dn, &[delete("sn", &[])], &no_op()).await, "65 Refused");
    facts.check("rights", case.modify_with(&case.reader, &dn, &[replace("title", &["t"])], &no_op()).await, "50 Refused");
    facts.check("delete", said(&case.wr.apply(&Change::Delete { dn: dn.clone() }, &no_op()).await), "0");
    facts.check("members", case.modify_with(&case.wr, &group, &[add("member", &[b.as_str()])], &no_op()).await, "0");
    facts.check("nothing moved", format!("{}", marker == (case.marker(&dn).await, case.marker(&group).await)), "true");
    facts.check("nothing came", format!("{:?}", case.reader.read(&b, &[]).await.unwrap().is_some()), "false");
    facts.done();
}

/// Pre-read and post-read return the entry around the write; a delete returns the operational attributes too, as far as the
/// identity may read them.
#[tokio::test]
async fn entries_are_read_around_writes() {
    let case = Case::new(Flavour::Shared, "read-entry").await;
    let dn = case.account("a", &[("userPassword", &[HASH_A]), ("title", &["t"]), ("jpegPhoto", &["\u{0}x"])]).await;
    let before = case.entry(&dn, &["*", "+"]).await;
    let options =
        WriteOptions { pre_read: names(&["title"]), post_read: names(&["title", "entryUUID"]), ..WriteOptions::default() };
    let modify = Change::Modify { dn: dn.clone(), mods: vec![replace("title", &["u"])] };
    let written = case.wr.apply(&modify, &options).await.unwrap();
    assert_eq!(written.before.unwrap().text("title"), Some("t"));
    let after = written.after.unwrap();
    assert_eq!(after.text("title"), Some("u"));
    assert_eq!(after.values("entryUUID"), before.values("entryUUID"));

    let options = WriteOptions { pre_read: names(&["*", "+"]), ..WriteOptions::default() };
    let deleted = case.wr.apply(&Change::Delete { dn: dn.clone() }, &options).await.unwrap().before.unwrap();
    assert_eq!(deleted.dn, dn);
    for attr in ["userPassword", "entryUUID", "createTimestamp", "creatorsName", "jpegPhoto", "structuralObjectClass"] {
        assert_eq!(deleted.values(attr), before.values(attr), "{attr}");
        assert!(deleted.has(attr), "{attr}");
    }
}
