//! What a password write does beside the password, for each right.

use untether_directory::{Condition, WriteOptions};
use untether_testkit::lab::{Flavour, Role};

use crate::world::*;

/// `pwdReset TRUE`: the bind is 0 and later operations are 50, but only where the effective policy has `pwdMustChange TRUE`.
#[tokio::test]
async fn a_reset_restricts_only_where_the_policy_says_so() {
    let case = Case::new(Flavour::Shared, "reset").await;
    let mut facts = Facts::default();
    let locking = case.policy("locking");
    let reset: (&str, &[&str]) = ("pwdReset", &["TRUE"]);
    let dn = case.account("must", &[("userPassword", &[HASH_A]), reset, ("pwdPolicySubentry", &[&locking])]).await;
    facts.check("pwdMustChange TRUE", case.bind(&dn, A).await, "0 then 50");
    let dn = case.account("may", &[("userPassword", &[HASH_A]), reset]).await;
    facts.check("no pwdMustChange", case.bind(&dn, A).await, "0");
    facts.done();
}

/// Delete-the-old plus add-the-new of `userPassword` in one modify: WR is refused (53), MGR is not.
#[tokio::test]
async fn replacing_by_value_needs_manage() {
    let case = Case::new(Flavour::Shared, "by-value").await;
    let mut facts = Facts::default();
    let swap = [delete("userPassword", &[HASH_A]), add("userPassword", &[HASH_B])];
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    facts.check("WR", case.modify(&case.wr, &dn, &swap).await, "53 Refused");
    facts.check("WR", case.state(&dn).await, "password A");
    facts.check("MGR", case.modify(&case.mgr, &dn, &swap).await, "0");
    facts.check("MGR", case.state(&dn).await, "password B, history A");
    facts.done();
}

/// A hash works in an assertion; a password write, by WR too, removes `pwdLastSuccess`, sets `pwdChangedTime` and moves the old
/// value into `pwdHistory`.
#[tokio::test]
async fn a_password_write_moves_the_records_beside_it() {
    let case = Case::new(Flavour::Shared, "beside").await;
    let mut facts = Facts::default();
    for (who, client) in [("WR", &case.wr), ("MGR", &case.mgr)] {
        let dn = case.account(who, &[("userPassword", &[HASH_A])]).await;
        facts.check("login", case.bind(&dn, A).await, "0");
        let records = ["pwdLastSuccess", "pwdChangedTime", "pwdHistory"];
        facts.check(who, case.has(&dn, &records).await, "pwdLastSuccess");
        let id = case.id(&dn).await;
        let held = given(&id, &[("userPassword", &[HASH_A])]);
        let new = [replace("userPassword", &[HASH_B])];
        facts.check(who, case.modify_with(client, &dn, &new, &held).await, "0");
        facts.check(who, case.modify_with(client, &dn, &new, &held).await, "122 ConditionFailed");
        facts.check(who, case.has(&dn, &records).await, "pwdChangedTime pwdHistory");
    }
    facts.done();
}

/// The same hash written again by MGR within a second is refused with 20, over `pwdHistory`: not a condition of ours, and no
/// reason to believe that the value was there before.
#[tokio::test]
async fn the_same_hash_within_a_second_is_refused() {
    let case = Case::new(Flavour::Shared, "same-hash").await;
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    let mut said = Vec::new();
    // Of so many writes within some milliseconds, two fall into one second.
    for _ in 0..5 {
        said.push(case.modify(&case.mgr, &dn, &[replace("userPassword", &[HASH_A])]).await);
    }
    assert!(said.contains(&"20 Refused".to_owned()), "{said:?}");
    assert!(said.iter().all(|s| s == "0" || s == "20 Refused"), "{said:?}");
}

/// `pwdCheckQuality 2`: a value that is already a hash is refused to WR (19) and accepted from MGR and ROOT.
#[tokio::test]
async fn a_policy_that_insists_on_clear_text_refuses_hashes_to_write() {
    let case = Case::new(Flavour::Shared, "quality").await;
    let mut facts = Facts::default();
    let policy = case.base.child("cn", "strict");
    let attrs: &[(&str, &[&str])] = &[
        ("objectClass", &["device", "pwdPolicy"]),
        ("pwdAttribute", &["userPassword"]),
        ("pwdCheckQuality", &["2"]),
        ("pwdLockout", &["TRUE"]),
    ];
    case.add_as(&case.root, &policy, attrs, &WriteOptions::default()).await.unwrap();
    for (who, client, answer) in [("WR", &case.wr, "19 Refused"), ("MGR", &case.mgr, "0"), ("ROOT", &case.root, "0")] {
        let dn = case.account(who, &[("pwdPolicySubentry", &[policy.as_str()])]).await;
        facts.check(who, case.modify(client, &dn, &[replace("userPassword", &[HASH_A])]).await, answer);
        facts.check("clear text", case.modify(client, &dn, &[replace("userPassword", &[B])]).await, "0");
        facts.check("clear text", case.bind(&dn, B).await, "0");
    }
    facts.done();
}

/// One relax modify by MGR restores hash, history and times exactly, on an entry that was not locked.
#[tokio::test]
async fn relax_restores_a_credential_exactly() {
    let case = Case::new(Flavour::Shared, "restore-credential").await;
    let mut facts = Facts::default();
    let all = ["userPassword", "pwdHistory", "pwdChangedTime", "pwdReset"];
    let dn = case.account("a", &[("userPassword", &[HASH_B])]).await;
    facts.check("history", case.modify(&case.wr, &dn, &[replace("userPassword", &[HASH_A])]).await, "0");
    let before = case.entry(&dn, &all).await;
    facts.check("overwrite", case.modify(&case.wr, &dn, &[replace("userPassword", &["gamma-secret"])]).await, "0");
    // A password of the history is refused, to WR.
    facts.check("reuse", case.modify(&case.wr, &dn, &[replace("userPassword", &[B])]).await, "19 Refused");
    let restore = |attr: &str| untether_model::change::Modification::replace(attr.into(), before.values(attr).to_vec());
    let mods: Vec<_> = all.map(restore).to_vec();
    facts.check("WR", case.modify_with(&case.wr, &dn, &mods, &relaxed()).await, "50 Refused");
    facts.check("MGR without relax", case.modify(&case.mgr, &dn, &mods).await, "19 Refused");
    facts.check("MGR", case.modify_with(&case.mgr, &dn, &mods, &relaxed()).await, "0");
    facts.check("same", format!("{}", case.entry(&dn, &all).await.attrs == before.attrs), "true");
    facts.done();
}

/// The access log keeps what was erased: a scrubbed hash stands in `reqOld`. Its root DN can delete the records.
#[tokio::test]
async fn the_access_log_keeps_scrubbed_hashes() {
    use untether_directory::{Read as _, Scope, Search, Write as _};
    use untether_model::change::Change;

    let case = Case::new(Flavour::Shared, "access-log").await;
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    let id = case.id(&dn).await;
    let condition = Condition { stable_id: Some(id), ..Condition::default() };
    let options = WriteOptions { condition: Some(condition), ..WriteOptions::default() };
    assert_eq!(case.modify_with(&case.wr, &dn, &[delete("userPassword", &[])], &options).await, "0");
    let search = Search {
        base: crate::world::dn("cn=accesslog"),
        scope: Scope::One,
        filter: format!("(&(objectClass=auditModify)(reqDN={dn}))"),
        attrs: names(&["reqOld", "reqMod"]),
        page_size: Some(10),
        manage_dsa_it: false,
    };
    let reader = client(case.server, Role::Reader);
    let mut pages = reader.search(search).await.unwrap();
    let page = pages.next_page().await.unwrap().unwrap();
    let record = &page.entries[0];
    assert!(record.texts("reqOld").any(|old| old == format!("userPassword: {HASH_A}")), "{record:?}");
    case.root.apply(&Change::Delete { dn: record.dn.clone() }, &WriteOptions::default()).await.unwrap();
    assert!(reader.read(&record.dn, &[]).await.unwrap().is_none());
}
