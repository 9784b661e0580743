//! Removing an entry and making it again: which attributes survive, for whom.

use untether_directory::{Write as _, WriteOptions};
use untether_model::change::Change;
use untether_model::{AttrMap, AttrName, Entry};
use untether_testkit::lab::Flavour;

use crate::world::*;

/// What nobody can set.
const NEVER: [&str; 4] = ["pwdLastSuccess", "memberOf", "entryCSN", "structuralObjectClass"];
/// What the root DSE calls operational but a client may write.
const COMPUTED: [&str; 3] = ["entryDN", "subschemaSubentry", "hasSubordinates"];

/// An account with all that a server records beside it.
async fn lived_in(case: &Case<'_>) -> Entry {
    let policy = case.recording_policy().await;
    let dn = case
        .account(
            "a",
            &[
                ("userPassword", &[HASH_B]),
                ("pwdPolicySubentry", &[&policy]),
                ("mail", &["a@x.example"]),
                ("cn;lang-ja", &["\u{5c71}"]),
            ],
        )
        .await;
    assert_eq!(case.modify(&case.mgr, &dn, &[replace("userPassword", &[HASH_A])]).await, "0");
    assert_eq!(case.bind(&dn, A).await, "0");
    assert_eq!(case.bind(&dn, "wrong").await, "49");
    assert_eq!(case.modify(&case.wr, &dn, &lock()).await, "0");
    case.group("g", &[&dn, &case.name("other")]).await;
    case.entry(&dn, &["*", "+"]).await
}

fn without(entry: &Entry, left_out: &[&str]) -> AttrMap {
    let left_out: Vec<AttrName> = names(left_out);
    entry.attrs.iter().filter(|(attr, _)| !left_out.contains(attr)).map(|(attr, list)| (attr.clone(), list.clone())).collect()
}

/// With relax and `manage` (or as ROOT) a removed entry comes back with its stable id, creation and change records, password,
/// history and lock. `pwdLastSuccess`, `memberOf`, `entryCSN` and `structuralObjectClass` are refused to everybody (19).
#[tokio::test]
async fn manage_with_relax_brings_an_entry_back_as_it_was() {
    let case = Case::new(Flavour::Shared, "recreate-manage").await;
    let mut facts = Facts::default();
    let before = lived_in(&case).await;
    let dn = before.dn.clone();
    for attr in ["pwdLastSuccess", "memberOf", "pwdHistory", "pwdFailureTime", "pwdChangedTime", "pwdAccountLockedTime"] {
        assert!(before.has(attr), "{attr}");
    }
    case.wr.apply(&Change::Delete { dn: dn.clone() }, &WriteOptions::default()).await.unwrap();
    let computed: Vec<&str> = COMPUTED.to_vec();
    for attr in NEVER {
        let others: Vec<&str> = NEVER.into_iter().filter(|a| *a != attr).chain(computed.clone()).collect();
        let attempt = Change::Add { dn: dn.clone(), attrs: without(&before, &others) };
        facts.check(attr, said(&case.mgr.apply(&attempt, &relaxed()).await), "19 Refused");
    }
    let all = Change::Add { dn: dn.clone(), attrs: without(&before, &[&NEVER[..], &computed].concat()) };
    facts.check("WR", said(&case.wr.apply(&all, &WriteOptions::default()).await), "19 Refused");
    facts.check("WR relaxed", said(&case.wr.apply(&all, &relaxed()).await), "50 Refused");
    facts.check("MGR", said(&case.mgr.apply(&all, &WriteOptions::default()).await), "19 Refused");
    facts.check("ROOT", said(&case.root.apply(&all, &WriteOptions::default()).await), "19 Refused");
    facts.check("MGR relaxed", said(&case.mgr.apply(&all, &relaxed()).await), "0");
    let after = case.entry(&dn, &["*", "+"]).await;
    let differ: Vec<&str> = before
        .attrs
        .keys()
        .chain(after.attrs.keys())
        .filter(|attr| before.values(attr.as_str()) != after.values(attr.as_str()))
        .map(|attr| attr.as_str())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    facts.check("what differs", differ.join(" "), "entryCSN memberOf pwdLastSuccess");
    facts.check("still locked", case.bind(&dn, A).await, "49 locked");
    facts.done();
}

/// Without relax what the server records is lost: WR can set the password, lock, end, reset and policy again, nothing else.
#[tokio::test]
async fn write_alone_brings_back_what_users_may_write() {
    let case = Case::new(Flavour::Shared, "recreate-write").await;
    let mut facts = Facts::default();
    let before = lived_in(&case).await;
    let dn = before.dn.clone();
    case.wr.apply(&Change::Delete { dn: dn.clone() }, &WriteOptions::default()).await.unwrap();
    let recorded = [
        "entryUUID",
        "createTimestamp",
        "creatorsName",
        "modifyTimestamp",
        "modifiersName",
        "pwdChangedTime",
        "pwdHistory",
        "pwdFailureTime",
    ];
    let plain = Change::Add { dn: dn.clone(), attrs: without(&before, &[&NEVER[..], &COMPUTED, &recorded].concat()) };
    for attr in recorded {
        let others: Vec<&str> = recorded.into_iter().filter(|a| *a != attr).collect();
        let attempt = Change::Add { dn: dn.clone(), attrs: without(&before, &[&NEVER[..], &COMPUTED, &others].concat()) };
        facts.check(attr, said(&case.wr.apply(&attempt, &WriteOptions::default()).await), "19 Refused");
    }
    facts.check("plain", said(&case.wr.apply(&plain, &WriteOptions::default()).await), "0");
    facts.check("plain", case.state(&dn).await, "password A, lock forever, end past");
    let after = case.entry(&dn, &["entryUUID", "cn;lang-ja"]).await;
    facts.check("another id", format!("{}", after.values("entryUUID") != before.values("entryUUID")), "true");
    facts.check("options", format!("{}", after.values("cn;lang-ja") == before.values("cn;lang-ja")), "true");
    facts.done();
}

/// Relax on a modify by MGR sets change records, and even the stable id: the right `manage` has to be guarded.
#[tokio::test]
async fn manage_with_relax_can_change_even_the_stable_id() {
    let case = Case::new(Flavour::Shared, "relax-modify").await;
    let mut facts = Facts::default();
    let dn = case.account("a", &[]).await;
    let id = "7d0a1a52-1111-1041-8000-000000000000";
    let mods = [replace("entryUUID", &[id]), replace("modifiersName", &["cn=somebody"]), replace("modifyTimestamp", &[PAST])];
    facts.check("MGR", case.modify(&case.mgr, &dn, &mods).await, "19 Refused");
    facts.check("WR relaxed", case.modify_with(&case.wr, &dn, &mods, &relaxed()).await, "50 Refused");
    facts.check("MGR relaxed", case.modify_with(&case.mgr, &dn, &mods, &relaxed()).await, "0");
    let entry = case.entry(&dn, &["entryUUID", "modifiersName", "modifyTimestamp"]).await;
    facts.check("id", entry.text("entryUUID").unwrap(), id);
    facts.check("modifier", entry.text("modifiersName").unwrap(), "cn=somebody");
    facts.check("time", entry.text("modifyTimestamp").unwrap(), PAST);
    facts.done();
}
