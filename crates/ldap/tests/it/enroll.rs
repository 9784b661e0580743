//! Disable, enroll, scrub and their undos, as changes by the identities that untether has.
//!
//! The store is the independent one where a credential is issued (`pwdMustChange TRUE`), the shared one where it is taken away.

use untether_directory::WriteOptions;
use untether_model::change::Modification;
use untether_testkit::lab::Flavour;

use crate::world::*;

/// Disable in one modify as WR: the pass-through value severed by value, lock, end.
#[tokio::test]
async fn disable_severs_a_value_and_locks_in_one_change() {
    let case = Case::new(Flavour::Shared, "disable").await;
    let mut facts = Facts::default();
    let [forever, past] = lock();
    let sever = [delete("userPassword", &[SASL]), forever, past];

    let dn = case.account("open", &[("userPassword", &[SASL])]).await;
    let id = case.id(&dn).await;
    let condition = given(&id, &[("userPassword", &[SASL]), ("pwdAccountLockedTime", &[]), ("pwdEndTime", &[])]);
    facts.check(
        "open, stale condition",
        case.modify_with(&case.wr, &dn, &sever, &given(&id, &[("userPassword", &[HASH_A])])).await,
        "122 ConditionFailed",
    );
    facts.check("open", case.modify_with(&case.wr, &dn, &sever, &condition).await, "0");
    facts.check("open", case.state(&dn).await, "lock forever, end past");

    let dn = case.account("locked", &[("userPassword", &[SASL]), ("pwdAccountLockedTime", &[LOCK])]).await;
    facts.check("locked before", case.modify(&case.wr, &dn, &sever).await, "0");
    facts.check("locked before", case.state(&dn).await, "lock forever, end past");

    // Another value beside it stays, locked.
    let dn = crate::world::dn(case.server.suffix()).child("uid", "two-disable");
    facts.check("two values", case.modify(&case.wr, &dn, &sever).await, "0");
    facts.check("two values", case.state(&dn).await, "password A, lock forever, end past");
    facts.check("two values", case.bind(&dn, A).await, "49 locked");
    facts.check("the value is gone", case.modify(&case.wr, &dn, &sever).await, "16 ConditionFailed");
    facts.done();
}

/// Undo of disable as WR: lock and end cleared in one change. Where a value was severed it is added again: the server takes the
/// lock away with that, so the change clears the end only (to clear the lock as well is 16).
#[tokio::test]
async fn undo_of_disable_as_write() {
    let case = Case::new(Flavour::Shared, "undo-disable-write").await;
    let mut facts = Facts::default();
    let [forever, past] = lock();
    let sever = [delete("userPassword", &[SASL]), forever, past];
    let clear = [replace("pwdAccountLockedTime", &[]), replace("pwdEndTime", &[])];
    let again = [add("userPassword", &[SASL]), replace("pwdEndTime", &[])];

    let dn = case.account("locked", &[("userPassword", &[HASH_A])]).await;
    facts.check("disable", case.modify(&case.wr, &dn, &lock()).await, "0");
    facts.check("undo", case.modify(&case.wr, &dn, &clear).await, "0");
    facts.check("undo", case.state(&dn).await, "password A");
    facts.check("undo", case.bind(&dn, A).await, "0");

    let dn = case.account("severed", &[("userPassword", &[SASL])]).await;
    facts.check("sever", case.modify(&case.wr, &dn, &sever).await, "0");
    let both = [&clear[..], &[add("userPassword", &[SASL])]].concat();
    facts.check("value, and lock cleared", case.modify(&case.wr, &dn, &both).await, "16 Refused");
    facts.check("value, and lock cleared", case.state(&dn).await, "lock forever, end past");
    facts.check("value", case.modify(&case.wr, &dn, &again).await, "0");
    facts.check("value", case.state(&dn).await, "password SASL");
    // Nothing but the time of the change is left behind.
    facts.check("what is left", case.has(&dn, &["pwdChangedTime", "pwdHistory", "pwdReset"]).await, "pwdChangedTime");

    // The value alone opens what only the lock held: it must never be written to an account that is to stay locked.
    let dn = case.account("lock-only", &[("userPassword", &[SASL])]).await;
    facts.check("sever", case.modify(&case.wr, &dn, &sever).await, "0");
    facts.check("value alone", case.modify(&case.wr, &dn, &[add("userPassword", &[SASL])]).await, "0");
    facts.check("value alone", case.state(&dn).await, "password SASL, end past");

    // Beside another value (which only an import leaves; over the wire an add of two is 19).
    let dn = crate::world::dn(case.server.suffix()).child("uid", "two-undo");
    facts.check("sever", case.modify(&case.wr, &dn, &sever).await, "0");
    facts.check("beside another", case.modify(&case.wr, &dn, &again).await, "0");
    facts.check("beside another", case.state(&dn).await, "password A, password SASL, history A");
    facts.done();
}

/// Undo of disable as MGR with relax: value, history and times exactly as before.
#[tokio::test]
async fn undo_of_disable_as_manage_restores_history_and_times() {
    let case = Case::new(Flavour::Shared, "undo-disable-manage").await;
    let mut facts = Facts::default();
    let [forever, past] = lock();
    let credentials = ["userPassword", "pwdHistory", "pwdChangedTime"];
    for (uid, value) in [("sasl", SASL), ("hash", HASH_A)] {
        let dn = case.account(uid, &[("userPassword", &[HASH_B])]).await;
        facts.check("history", case.modify(&case.mgr, &dn, &[replace("userPassword", &[value])]).await, "0");
        let before = case.entry(&dn, &credentials).await;
        let state = case.state(&dn).await;
        let sever = [delete("userPassword", &[value]), forever.clone(), past.clone()];
        facts.check("sever", case.modify(&case.wr, &dn, &sever).await, "0");
        let restore = |attr: &str| Modification::replace(attr.into(), before.values(attr).to_vec());
        // The password takes the lock away; naming it as well would be 16.
        let mut undo = vec![replace("pwdEndTime", &[])];
        undo.extend(credentials.iter().map(|attr| restore(attr)));
        facts.check(uid, case.modify_with(&case.mgr, &dn, &undo, &relaxed()).await, "0");
        facts.check(uid, case.state(&dn).await, &state);
        let same = case.entry(&dn, &credentials).await.attrs == before.attrs;
        facts.check(uid, format!("same {same}"), "same true");
    }
    facts.done();
}

/// Enroll as WR in one modify: a new hash, to be changed, the end cleared (and with it the lock). The bind is 0 and everything
/// after it 50.
#[tokio::test]
async fn enroll_opens_for_a_change_of_password_only() {
    let case = Case::new(Flavour::Independent, "enroll").await;
    let mut facts = Facts::default();
    let enroll = [
        replace("userPassword", &[HASH_A]),
        replace("pwdReset", &["TRUE"]),
        // The server takes the lock away by itself; naming it as well is 16 on a locked account.
        replace("pwdEndTime", &[]),
    ];
    let dn = case.account("a", &[("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]).await;
    let id = case.id(&dn).await;
    let locked =
        given(&id, &[("userPassword", &[]), ("pwdReset", &[]), ("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]);
    facts.check("enroll", case.modify_with(&case.wr, &dn, &enroll, &locked).await, "0");
    facts.check("enrolled", case.state(&dn).await, "password A, reset");
    facts.check("bind", case.bind(&dn, A).await, "0 then 50");
    facts.check("usability", case.usability(&dn).await, "AAA");

    // The person changes the password, bound as themselves: reset goes.
    let own = untether_ldap::Client::new(settings_as(case.server, &dn, A)).unwrap();
    facts.check("own change", case.modify(&own, &dn, &[replace("userPassword", &[B])]).await, "0");
    facts.check("changed", case.bind(&dn, B).await, "0");
    facts.check("changed", case.has(&dn, &["pwdReset", "pwdChangedTime", "pwdHistory"]).await, "pwdChangedTime pwdHistory");

    // An account that was never locked.
    let dn = case.account("b", &[]).await;
    facts.check("open", case.modify(&case.wr, &dn, &enroll).await, "0");
    facts.check("open", case.state(&dn).await, "password A, reset");

    // Without the explicit pwdReset, WR leaves the account as open as any.
    let dn = case.account("c", &[]).await;
    facts.check("without reset", case.modify(&case.wr, &dn, &[replace("userPassword", &[HASH_A])]).await, "0");
    facts.check("without reset", case.state(&dn).await, "password A");
    facts.check("without reset", case.bind(&dn, A).await, "0");
    // `manage` sets it by itself.
    let dn = case.account("d", &[]).await;
    facts.check("manage", case.modify(&case.mgr, &dn, &[replace("userPassword", &[HASH_A])]).await, "0");
    facts.check("manage", case.state(&dn).await, "password A, reset");
    facts.done();
}

/// Undo of enroll as WR: password away, lock and end back, reset away, in one modify. What it leaves (history, change time) MGR
/// puts right with relax.
#[tokio::test]
async fn undo_of_enroll() {
    let case = Case::new(Flavour::Independent, "undo-enroll").await;
    let mut facts = Facts::default();
    let enroll = [
        replace("userPassword", &[HASH_A]),
        replace("pwdReset", &["TRUE"]),
        // The server takes the lock away by itself; naming it as well is 16 on a locked account.
        replace("pwdEndTime", &[]),
    ];
    let [forever, past] = lock();
    let undo = [delete("userPassword", &[]), replace("pwdReset", &[]), forever, past];
    let dn = case.account("a", &[("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]).await;
    let before = case
        .entry(&dn, &["userPassword", "pwdHistory", "pwdChangedTime", "pwdReset", "pwdAccountLockedTime", "pwdEndTime"])
        .await;
    let id = case.id(&dn).await;
    facts.check("enroll", case.modify(&case.wr, &dn, &enroll).await, "0");
    let enrolled = given(&id, &[("userPassword", &[HASH_A]), ("pwdReset", &["TRUE"])]);
    facts.check("undo", case.modify_with(&case.wr, &dn, &undo, &enrolled).await, "0");
    facts.check("undone", case.state(&dn).await, "lock forever, end past");
    facts.check("undone", case.has(&dn, &["pwdChangedTime"]).await, "pwdChangedTime");
    facts.check("bind", case.bind(&dn, A).await, "49 locked");
    let erase = [replace("pwdHistory", &[]), replace("pwdChangedTime", &[])];
    facts.check("WR relaxed", case.modify_with(&case.wr, &dn, &erase, &relaxed()).await, "50 Refused");
    facts.check("MGR", case.modify(&case.mgr, &dn, &erase).await, "19 Refused");
    facts.check("MGR relaxed", case.modify_with(&case.mgr, &dn, &erase, &relaxed()).await, "0");
    facts.check("erased", case.state(&dn).await, "lock forever, end past");
    let after = case
        .entry(&dn, &["userPassword", "pwdHistory", "pwdChangedTime", "pwdReset", "pwdAccountLockedTime", "pwdEndTime"])
        .await;
    facts.check("as before", format!("{}", after.attrs == before.attrs), "true");
    facts.done();
}

/// Scrub: WR deletes the password and other attributes in one modify, the lock stays; MGR empties the history under relax.
#[tokio::test]
async fn scrub_keeps_the_lock_and_empties_the_history() {
    let case = Case::new(Flavour::Shared, "scrub").await;
    let mut facts = Facts::default();
    let dn = case.account("a", &[("userPassword", &[HASH_B]), ("telephoneNumber", &["1"]), ("mail", &["a@x.example"])]).await;
    facts.check("history", case.modify(&case.mgr, &dn, &[replace("userPassword", &[HASH_A])]).await, "0");
    facts.check("disable", case.modify(&case.wr, &dn, &lock()).await, "0");
    let id = case.id(&dn).await;
    let scrub = [delete("userPassword", &[]), delete("telephoneNumber", &[])];
    let condition = given(&id, &[("userPassword", &[HASH_A]), ("telephoneNumber", &["1"])]);
    facts.check("scrub", case.modify_with(&case.wr, &dn, &scrub, &condition).await, "0");
    facts.check("scrubbed", case.state(&dn).await, "lock forever, end past, history B");
    facts.check("scrubbed", case.has(&dn, &["telephoneNumber", "mail"]).await, "mail");
    let history = [replace("pwdHistory", &[])];
    facts.check("WR", case.modify(&case.wr, &dn, &history).await, "19 Refused");
    facts.check("MGR", case.modify(&case.mgr, &dn, &history).await, "19 Refused");
    facts.check("MGR relaxed", case.modify_with(&case.mgr, &dn, &history, &relaxed()).await, "0");
    facts.check("emptied", case.state(&dn).await, "lock forever, end past");
    facts.check("bind", case.bind(&dn, A).await, "49 locked");
    facts.done();
}

/// Undo of scrub as MGR with relax: one change brings hash, history and times back while the end refuses, a second one the lock.
/// (In one modify the password takes the lock away, although it is stated again.)
#[tokio::test]
async fn undo_of_scrub_as_manage() {
    let case = Case::new(Flavour::Shared, "undo-scrub").await;
    let mut facts = Facts::default();
    let all = ["userPassword", "pwdHistory", "pwdChangedTime", "pwdAccountLockedTime", "pwdEndTime", "telephoneNumber"];
    let dn = case.account("a", &[("userPassword", &[HASH_B]), ("telephoneNumber", &["1"])]).await;
    facts.check("history", case.modify(&case.mgr, &dn, &[replace("userPassword", &[HASH_A])]).await, "0");
    facts.check("disable", case.modify(&case.wr, &dn, &lock()).await, "0");
    let before = case.entry(&dn, &all).await;
    let id = case.id(&dn).await;
    let scrub = [delete("userPassword", &[]), delete("telephoneNumber", &[])];
    facts.check("scrub", case.modify(&case.wr, &dn, &scrub).await, "0");
    facts.check("history", case.modify_with(&case.mgr, &dn, &[replace("pwdHistory", &[])], &relaxed()).await, "0");

    let restore = |attr: &str| Modification::replace(attr.into(), before.values(attr).to_vec());
    let credentials: Vec<_> = ["userPassword", "pwdHistory", "pwdChangedTime", "telephoneNumber"].map(restore).to_vec();
    let scrubbed =
        given(&id, &[("userPassword", &[]), ("pwdHistory", &[]), ("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]);
    let options = WriteOptions { relax: true, ..scrubbed };
    facts.check("credentials", case.modify_with(&case.mgr, &dn, &credentials, &options).await, "0");
    facts.check("between", case.state(&dn).await, "password A, end past, history B");
    facts.check("between", case.bind(&dn, A).await, "49 locked");
    facts.check("lock", case.modify(&case.wr, &dn, &lock()).await, "0");
    let same = case.entry(&dn, &all).await.attrs == before.attrs;
    facts.check("as before", format!("{same}"), "true");
    facts.done();
}
