//! What locks an account, what unlocks it, and what a lock does not stop.

use untether_directory::{Read as _, Write as _, WriteOptions};
use untether_ldap::Client;
use untether_model::change::Change;
use untether_testkit::lab::{Flavour, Server};

use crate::world::*;

/// Nobody's password.
const RANDOM: &str = "0c1d6d3a-8f53-not-it";

/// A `userPassword` replace unlocks: for any identity, with relax or without, also when the lock is stated again in the same
/// modify, in either order. `pwdEndTime` stays, and the bind is refused by it alone.
#[tokio::test]
async fn replacing_a_password_removes_the_lock() {
    let case = Case::new(Flavour::Shared, "replace-unlocks").await;
    let mut facts = Facts::default();
    let [forever, past] = lock();
    let password = replace("userPassword", &[HASH_B]);
    let written = [
        ("WR", &case.wr, vec![password.clone()], WriteOptions::default()),
        ("WR, lock after", &case.wr, vec![password.clone(), forever.clone()], WriteOptions::default()),
        ("WR, lock before", &case.wr, vec![forever.clone(), password.clone()], WriteOptions::default()),
        ("MGR", &case.mgr, vec![password.clone(), forever.clone()], WriteOptions::default()),
        ("MGR relaxed", &case.mgr, vec![password.clone(), forever.clone()], relaxed()),
        ("ROOT", &case.root, vec![password.clone(), forever.clone()], WriteOptions::default()),
    ];
    for (number, (who, client, mods, options)) in written.into_iter().enumerate() {
        let dn = case.account(&format!("a{number}"), &[("userPassword", &[HASH_A])]).await;
        facts.check("lock as WR", case.modify(&case.wr, &dn, &[forever.clone(), past.clone()]).await, "0");
        facts.check(who, case.modify_with(client, &dn, &mods, &options).await, "0");
        facts.check(who, case.state(&dn).await, "password B, end past, history A");
        facts.check(who, case.bind(&dn, B).await, "49 locked");
    }
    facts.done();
}

/// Without a transaction: the password with the end in place, then the lock. Between the two changes the end alone refuses.
#[tokio::test]
async fn the_end_refuses_between_a_password_and_its_lock() {
    let case = Case::new(Flavour::Shared, "two-changes").await;
    let mut facts = Facts::default();
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    facts.check("disable", case.modify(&case.wr, &dn, &lock()).await, "0");
    let id = case.id(&dn).await;
    let first = given(&id, &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]);
    facts.check("password", case.modify_with(&case.wr, &dn, &[replace("userPassword", &[HASH_B])], &first).await, "0");
    facts.check("between", case.state(&dn).await, "password B, end past, history A");
    facts.check("between", case.bind(&dn, B).await, "49 locked");
    facts.check("between", case.usability(&dn).await, "UUU");
    let second = given(&id, &[("userPassword", &[HASH_B]), ("pwdAccountLockedTime", &[]), ("pwdEndTime", &[PAST])]);
    facts.check("lock", case.modify_with(&case.wr, &dn, &lock(), &second).await, "0");
    facts.check("after", case.state(&dn).await, "password B, lock forever, end past, history A");
    facts.done();
}

/// An add may carry password, lock, end and reset together: the account is locked from the start.
#[tokio::test]
async fn an_add_may_carry_password_and_lock() {
    let case = Case::new(Flavour::Shared, "add-locked").await;
    let mut facts = Facts::default();
    let dn = case.name("a");
    let attrs: &[(&str, &[&str])] = &[
        ("objectClass", &["inetOrgPerson"]),
        ("uid", &["a"]),
        ("cn", &["a"]),
        ("sn", &["a"]),
        ("userPassword", &[HASH_A]),
        ("pwdAccountLockedTime", &[LOCK]),
        ("pwdEndTime", &[PAST]),
        ("pwdReset", &["TRUE"]),
    ];
    facts.check("add", said(&case.add_as(&case.wr, &dn, attrs, &WriteOptions::default()).await), "0");
    facts.check("added", case.state(&dn).await, "password A, lock forever, end past, reset");
    facts.check("bind", case.bind(&dn, A).await, "49 locked");
    facts.done();
}

/// Replacing the password and stating in the same modify that the lock goes fails with 16 where the account is locked: the
/// server takes the lock away by itself and then cannot find it. Where it is not locked the same modify is 0.
#[tokio::test]
async fn a_password_write_must_not_clear_the_lock_by_itself() {
    let case = Case::new(Flavour::Shared, "double-clear").await;
    let mut facts = Facts::default();
    let both = [replace("userPassword", &[HASH_B]), replace("pwdAccountLockedTime", &[])];
    for (who, client) in [("WR", &case.wr), ("MGR", &case.mgr)] {
        let dn = case.account(&format!("{who}-locked"), &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCK])]).await;
        facts.check(who, case.modify(client, &dn, &both).await, "16 Refused");
        facts.check(who, case.state(&dn).await, "password A, lock forever");
        let dn = case.account(&format!("{who}-open"), &[("userPassword", &[HASH_A])]).await;
        facts.check(who, case.modify(client, &dn, &both).await, "0");
    }
    facts.done();
}

/// Deleting the password: WR keeps the lock and leaves nothing in the history; MGR clears the lock, moves the hash into the
/// history and, where the policy has `pwdMustChange`, sets pwdReset. `pwdEndTime` stays either way.
#[tokio::test]
async fn deleting_the_password_keeps_the_lock_for_write_and_not_for_manage() {
    let mut facts = Facts::default();
    for (flavour, by_manage) in [
        (Flavour::Shared, "end past, history A"),
        // The policy there has pwdMustChange.
        (Flavour::Independent, "end past, reset, history A"),
    ] {
        let case = Case::new(flavour, "delete-password").await;
        for (who, client, after) in
            [("WR", &case.wr, "lock forever, end past"), ("MGR", &case.mgr, by_manage), ("ROOT", &case.root, by_manage)]
        {
            let dn = case.account(who, &[("userPassword", &[HASH_A])]).await;
            facts.check(who, case.modify(&case.wr, &dn, &lock()).await, "0");
            facts.check(who, case.modify(client, &dn, &[delete("userPassword", &[])]).await, "0");
            facts.check(who, case.state(&dn).await, after);
        }
    }
    facts.done();
}

/// The lock is set and cleared by WR without relax, under an assertion too; clearing it lets the account bind again. With relax
/// WR modifies (0) but may not add (50).
#[tokio::test]
async fn write_sets_and_clears_the_lock_without_relax() {
    let case = Case::new(Flavour::Shared, "write-locks").await;
    let mut facts = Facts::default();
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    let id = case.id(&dn).await;
    let open = given(&id, &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[]), ("pwdEndTime", &[])]);
    facts.check("before", case.bind(&dn, A).await, "0");
    facts.check("lock", case.modify_with(&case.wr, &dn, &lock(), &open).await, "0");
    facts.check(
        "lock again under the same condition",
        case.modify_with(&case.wr, &dn, &lock(), &open).await,
        "122 ConditionFailed",
    );
    facts.check("locked", case.bind(&dn, A).await, "49 locked");
    let clear = [replace("pwdAccountLockedTime", &[]), replace("pwdEndTime", &[])];
    let locked = given(&id, &[("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]);
    facts.check("clear", case.modify_with(&case.wr, &dn, &clear, &locked).await, "0");
    facts.check("cleared", case.bind(&dn, A).await, "0");
    facts.check("relaxed modify", case.modify_with(&case.wr, &dn, &lock(), &relaxed()).await, "0");
    let added = case.name("b");
    let person: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("uid", &["b"]), ("cn", &["b"]), ("sn", &["b"])];
    facts.check("relaxed add", said(&case.add_as(&case.wr, &added, person, &relaxed()).await), "50 Refused");
    facts.done();
}

/// A bind to a locked account: the password-policy control says "locked" (with `olcPPolicyUseLockout TRUE`), with the right
/// password, with a random wrong one, and where there is no password at all; no failure is recorded and the entry does not
/// change. It says the same of an account that has ended or not begun.
#[tokio::test]
async fn a_bind_to_a_locked_account_says_so_and_leaves_no_trace() {
    let case = Case::new(Flavour::Shared, "locked-bind").await;
    let mut facts = Facts::default();
    let policy = case.recording_policy().await;
    let dn = case.account("a", &[("userPassword", &[HASH_A]), ("pwdPolicySubentry", &[&policy])]).await;
    facts.check("wrong password, open", case.bind(&dn, RANDOM).await, "49");
    facts.check("a failure is recorded", case.has(&dn, &["pwdFailureTime"]).await, "pwdFailureTime");
    facts.check("lock", case.modify(&case.wr, &dn, &[replace("pwdAccountLockedTime", &[LOCK])]).await, "0");
    let before = case.entry(&dn, &["*", "+"]).await;
    facts.check("right password, locked", case.bind(&dn, A).await, "49 locked");
    facts.check("random password, locked", case.bind(&dn, RANDOM).await, "49 locked");
    facts.check("the entry did not change", format!("{}", case.entry(&dn, &["*", "+"]).await == before), "true");
    for (uid, attrs) in [
        ("ended", [("userPassword", HASH_A), ("pwdEndTime", PAST)]),
        ("not-begun", [("userPassword", HASH_A), ("pwdStartTime", FUTURE)]),
        ("pass-through", [("userPassword", SASL), ("pwdAccountLockedTime", LOCK)]),
        ("no-password", [("pwdEndTime", PAST), ("pwdAccountLockedTime", LOCK)]),
    ] {
        let attrs = attrs.map(|(attr, value)| (attr, [value]));
        let attrs: Vec<(&str, &[&str])> = attrs.iter().map(|(attr, list)| (*attr, &list[..])).collect();
        let dn = case.account(uid, &attrs).await;
        facts.check(uid, case.bind(&dn, RANDOM).await, "49 locked");
    }
    facts.done();
}

/// With `olcPPolicyUseLockout FALSE` (slapd's default) a bind to a locked account tells nothing: a bare 49.
#[tokio::test]
async fn a_server_may_hide_the_lock() {
    let server = Server::builder(Flavour::Shared).hide_lockout().start().unwrap();
    let case = Case::on(&server, "hidden").await;
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    assert_eq!(case.bind(&dn, A).await, "0");
    assert_eq!(case.modify(&case.wr, &dn, &lock()).await, "0");
    assert_eq!(case.bind(&dn, A).await, "49");
    // The usability control does not depend on it.
    assert_eq!(case.usability(&dn).await, "UUU");
}

/// A lock is not "disabled": a policy with `pwdLockout FALSE` ignores it (but honours `pwdEndTime`); where the account's policy
/// does not exist both are ignored.
#[tokio::test]
async fn a_lock_holds_only_under_a_policy_that_locks() {
    let case = Case::new(Flavour::Shared, "ineffective").await;
    let mut facts = Facts::default();
    let nolock = case.policy("nolock");
    let dangling = case.policy("gone");
    let account = async |uid: &str, policy: &str, attr: &str, value: &str| {
        case.account(uid, &[("userPassword", &[HASH_A]), ("pwdPolicySubentry", &[policy]), (attr, &[value])]).await
    };
    let dn = account("nolock-locked", &nolock, "pwdAccountLockedTime", LOCK).await;
    facts.check("pwdLockout FALSE, lock", case.bind(&dn, A).await, "0");
    let dn = account("nolock-ended", &nolock, "pwdEndTime", PAST).await;
    facts.check("pwdLockout FALSE, end", case.bind(&dn, A).await, "49 locked");
    let dn = account("dangling-locked", &dangling, "pwdAccountLockedTime", LOCK).await;
    facts.check("no such policy, lock", case.bind(&dn, A).await, "0");
    let dn = account("dangling-ended", &dangling, "pwdEndTime", PAST).await;
    facts.check("no such policy, end", case.bind(&dn, A).await, "0");
    // Pointing such an account at a locking policy makes both count.
    let locking = case.policy("locking");
    facts.check("repoint", case.modify(&case.wr, &dn, &[replace("pwdPolicySubentry", &[&locking])]).await, "0");
    facts.check("repointed", case.bind(&dn, A).await, "49 locked");
    facts.done();
}

/// A lock time in the future has no effect; one in the past never ends where the policy names no duration; a start in the
/// future refuses.
#[tokio::test]
async fn times_of_locks() {
    let case = Case::new(Flavour::Shared, "lock-times").await;
    let mut facts = Facts::default();
    for (uid, attr, value, answer) in [
        ("future-lock", "pwdAccountLockedTime", FUTURE, "0"),
        ("past-lock", "pwdAccountLockedTime", PAST, "49 locked"),
        ("future-end", "pwdEndTime", FUTURE, "0"),
        ("past-end", "pwdEndTime", PAST, "49 locked"),
        ("future-start", "pwdStartTime", FUTURE, "49 locked"),
        ("past-start", "pwdStartTime", PAST, "0"),
    ] {
        let dn = case.account(uid, &[("userPassword", &[HASH_A]), (attr, &[value])]).await;
        facts.check(uid, case.bind(&dn, A).await, answer);
    }
    facts.done();
}

/// A connection that is open when its account is locked goes on reading.
#[tokio::test]
async fn an_open_connection_outlives_the_lock() {
    let case = Case::new(Flavour::Shared, "open-connection").await;
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    let own = Client::new(settings_as(case.server, &dn, A)).unwrap();
    assert!(own.read(&dn, &names(&["cn"])).await.unwrap().is_some());
    case.wr.apply(&Change::Modify { dn: dn.clone(), mods: lock().to_vec() }, &WriteOptions::default()).await.unwrap();
    assert_eq!(case.bind(&dn, A).await, "49 locked");
    assert!(own.read(&dn, &names(&["cn"])).await.unwrap().is_some());
}
