//! memberOf and referential integrity: what the server changes by itself when a member goes and comes back.

use untether_directory::{Read as _, Write as _, WriteOptions};
use untether_model::change::Change;
use untether_model::{Dn, Value};
use untether_testkit::lab::Flavour;

use crate::world::*;

async fn members(case: &Case<'_>, group: &Dn) -> String {
    let entry = case.entry(group, &["member"]).await;
    let names: Vec<String> = entry.texts("member").map(|m| dn(m).rdn().unwrap().to_string()).collect();
    names.join(" ")
}

async fn deleted(case: &Case<'_>, dn: &Dn) {
    case.wr.apply(&Change::Delete { dn: dn.clone() }, &WriteOptions::default()).await.unwrap();
}

/// Asynchronous: refint works after the answer. A read of the group by the same server is awaited until it is done.
async fn settled(case: &Case<'_>, group: &Dn, member: &Dn) {
    for _ in 0..500 {
        let held = case.reader.compare(group, &"member".into(), &Value::from(member.as_str())).await.unwrap();
        if held != Some(true) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("refint did not take {member} out of {group}");
}

/// In the shared store (memberof without refint) a deleted member stays in its groups and in `manager`, as a dangling value;
/// when the entry is made again, `memberOf` stays empty although the group holds it, and adding the value again is 20.
#[tokio::test]
async fn the_shared_store_keeps_names_of_deleted_entries() {
    let case = Case::new(Flavour::Shared, "member-shared").await;
    let mut facts = Facts::default();
    let (a, b) = (case.account("a", &[]).await, case.account("b", &[]).await);
    let report = case.account("report", &[("manager", &[a.as_str()])]).await;
    let group = case.group("g", &[&a, &b]).await;
    facts.check("memberOf", case.has(&a, &["memberOf"]).await, "memberOf");
    deleted(&case, &a).await;
    facts.check("dangling", format!("{}", members(&case, &group).await.contains("uid=a")), "true");
    facts.check("manager", case.has(&report, &["manager"]).await, "manager");
    case.account("a", &[]).await;
    facts.check("made again", case.has(&a, &["memberOf"]).await, "");
    facts.check("there already", case.modify(&case.wr, &group, &[add("member", &[a.as_str()])]).await, "20 ConditionFailed");
    // Taking the value out and in again fills memberOf; it lands at the end.
    let again = [delete("member", &[a.as_str()]), add("member", &[a.as_str()])];
    facts.check("out and in", case.modify(&case.wr, &group, &again).await, "0");
    facts.check("out and in", case.has(&a, &["memberOf"]).await, "memberOf");
    facts.check("at the end", members(&case, &group).await, "uid=b uid=a");
    facts.done();
}

/// A membership that is written before its entry never becomes a `memberOf`.
#[tokio::test]
async fn a_membership_before_its_entry_gives_no_member_of() {
    let case = Case::new(Flavour::Independent, "member-early").await;
    let a = case.name("a");
    case.group("g", &[&a]).await;
    case.account("a", &[]).await;
    assert_eq!(case.has(&a, &["memberOf"]).await, "");
}

/// In the independent store refint takes a deleted member out of its groups and out of `manager`; a group's only member stays
/// as a dangling value.
#[tokio::test]
async fn the_independent_store_clears_references() {
    let case = Case::new(Flavour::Independent, "member-independent").await;
    let mut facts = Facts::default();
    let (a, b) = (case.account("a", &[]).await, case.account("b", &[]).await);
    let report = case.account("report", &[("manager", &[a.as_str()])]).await;
    let both = case.group("both", &[&a, &b]).await;
    let only = case.group("only", &[&a]).await;
    let marker = case.marker(&both).await;
    deleted(&case, &a).await;
    settled(&case, &both, &a).await;
    facts.check("taken out", members(&case, &both).await, "uid=b");
    facts.check("only member", members(&case, &only).await, "uid=a");
    facts.check("manager", case.has(&report, &["manager"]).await, "");
    facts.check("the group's marker", format!("moved {}", case.marker(&both).await != marker), "moved false");
    facts.done();
}
