//! Locks, passwords and the password policy.

use untether_directory::twin::Identity::{self, Manager, Reader, Root, Writer};
use untether_directory::{Failure, Probe, ProbeResult, Read, Usability, Write, WriteOptions};
use untether_model::change::Change;

use super::*;

const A: &str = "uid=a,ou=people";

fn bind(world: &World, secret: &str) -> ProbeResult {
    block_on(world.handle(Reader).bind(&dn(A), secret.as_bytes())).unwrap()
}

fn usability(world: &World) -> Usability {
    block_on(world.handle(Reader).usability(&dn(A))).unwrap()
}

fn locked() -> World {
    let world = World::new();
    world.person("a", &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCKED]), ("pwdReset", &["TRUE"])]);
    world
}

fn open() -> World {
    let world = World::new();
    world.person("a", &[("userPassword", &[HASH_A])]);
    world
}

#[test]
fn a_lock_refuses_and_says_so() {
    let world = locked();
    let marker = world.text(A, "entryCSN");
    assert_eq!(bind(&world, "secret-a"), ProbeResult { code: 49, message: "invalid credentials".into(), locked: true });
    assert!(bind(&world, "wrong").locked);
    assert_eq!(world.text(A, "entryCSN"), marker, "a bind to a locked entry leaves nothing");
    assert_eq!(usability(&world), Usability::Unavailable);
    world.modify(Writer, A, vec![delete("pwdAccountLockedTime", &[])]).unwrap();
    assert_eq!(bind(&world, "secret-a").code, 0, "pwdReset alone lets a simple bind in");
    assert_eq!(usability(&world), Usability::Available);

    let silent = World::with(|config| config.tells_lockout = false);
    silent.person("a", &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCKED])]);
    assert_eq!((bind(&silent, "secret-a").code, bind(&silent, "secret-a").locked), (49, false));
}

#[test]
fn a_lock_holds_only_under_a_policy_that_locks() {
    let world = locked();
    world.modify(Writer, A, vec![replace("pwdPolicySubentry", &["cn=nolock,ou=policies,dc=own,dc=example"])]).unwrap();
    assert_eq!((bind(&world, "secret-a").code, usability(&world)), (0, Usability::Available));
    world.modify(Writer, A, vec![replace("pwdEndTime", &["20200101000000Z"])]).unwrap();
    assert_eq!((bind(&world, "secret-a").code, usability(&world)), (49, Usability::Unavailable));
    // A policy that does not exist: everything is ignored, and the usability control answers nothing.
    world.modify(Writer, A, vec![replace("pwdPolicySubentry", &["cn=none,ou=policies,dc=own,dc=example"])]).unwrap();
    assert_eq!((bind(&world, "secret-a").code, usability(&world)), (0, Usability::Unknown));
    assert_eq!(bind(&world, "wrong").code, 49);
    assert!(!world.get(A).unwrap().has("pwdFailureTime"));
}

#[test]
fn times_decide_whether_an_account_is_open() {
    let world = open();
    for (attr, value, code) in [
        ("pwdStartTime", "20300101000000Z", 49),
        ("pwdStartTime", "20200101000000Z", 0),
        ("pwdEndTime", "20200101000000Z", 49),
        ("pwdEndTime", "20300101000000Z", 0),
        ("pwdAccountLockedTime", "20300101000000Z", 0),
        ("pwdAccountLockedTime", "20200101000000Z", 49),
    ] {
        world.modify(Writer, A, vec![replace(attr, &[value])]).unwrap();
        assert_eq!(bind(&world, "secret-a").code, code, "{attr} {value}");
        world.modify(Writer, A, vec![replace(attr, &[])]).unwrap();
    }
    world.modify(Root, "cn=default,ou=policies", vec![add("pwdLockoutDuration", &["60"])]).unwrap();
    world.modify(Writer, A, vec![replace("pwdAccountLockedTime", &["20261120093000Z"])]).unwrap();
    assert_eq!(bind(&world, "secret-a").code, 49);
    world.pass(60);
    assert_eq!(bind(&world, "secret-a").code, 0);
    assert!(!world.get(A).unwrap().has("pwdAccountLockedTime"), "the first bind after its time takes the lock away");
    world.modify(Writer, A, vec![replace("pwdAccountLockedTime", &[LOCKED])]).unwrap();
    assert_eq!(bind(&world, "secret-a").code, 49, "the permanent lock never expires");
}

#[test]
fn binds_leave_traces() {
    let world = open();
    let marker = world.text(A, "entryCSN");
    assert_eq!(bind(&world, "secret-a").code, 0);
    assert_eq!(world.text(A, "pwdLastSuccess").as_deref(), Some("20261120093000Z"));
    assert_ne!(world.text(A, "entryCSN"), marker);
    for locked in [false, false, false, true] {
        assert_eq!(bind(&world, "wrong").locked, locked);
    }
    assert_eq!(world.texts(A, "pwdFailureTime").len(), 3);
    assert_eq!(world.text(A, "pwdAccountLockedTime").as_deref(), Some("20261120093000Z"));
    // Deleting the lock forgives the failures; replacing it with nothing does not.
    world.modify(Writer, A, vec![delete("pwdAccountLockedTime", &[])]).unwrap();
    assert!(!world.get(A).unwrap().has("pwdFailureTime"));
    bind(&world, "wrong");
    world.modify(Writer, A, vec![replace("pwdAccountLockedTime", &[LOCKED])]).unwrap();
    world.modify(Writer, A, vec![replace("pwdAccountLockedTime", &[])]).unwrap();
    assert!(world.get(A).unwrap().has("pwdFailureTime"));
    assert_eq!(bind(&world, "secret-a").code, 0);
    assert!(!world.get(A).unwrap().has("pwdFailureTime"));

    // A policy without pwdMaxFailure counts nothing, and the entry does not move.
    world.modify(Writer, A, vec![replace("pwdPolicySubentry", &["cn=nolock,ou=policies,dc=own,dc=example"])]).unwrap();
    let marker = world.text(A, "entryCSN");
    assert_eq!(bind(&world, "wrong").code, 49);
    assert_eq!((world.text(A, "entryCSN"), world.get(A).unwrap().has("pwdFailureTime")), (marker, false));
}

#[test]
fn secrets_open_only_what_they_fit() {
    let world = open();
    for (value, secret, code) in [
        (HASH_A, "secret-a", 0),
        (HASH_A, "secret-b", 49),
        ("{ssha}broken", "broken", 49),
        ("clear", "clear", 0),
        ("{CLEARTEXT}clear", "clear", 0),
        ("{SASL}a@realm", "{SASL}a@realm", 49),
        ("{CRYPT}x", "x", 49),
    ] {
        world.modify(Manager, A, vec![replace("userPassword", &[value]), replace("pwdHistory", &[])]).unwrap_err();
        let change = Change::Modify { dn: dn(A), mods: vec![replace("userPassword", &[value]), replace("pwdHistory", &[])] };
        world.apply(Manager, &change, &relaxed()).unwrap();
        assert_eq!(bind(&world, secret).code, code, "{value}");
    }
    let empty = block_on(world.handle(Reader).bind(&dn(A), b"")).unwrap_err();
    assert_eq!(empty.failure, Failure::Invalid);
    let nobody = block_on(world.handle(Reader).bind(&dn("uid=none,ou=people"), b"x")).unwrap();
    assert_eq!(nobody.code, 49);
}

#[test]
fn a_password_replace_unlocks_whoever_does_it() {
    for who in [Writer, Manager, Root] {
        let world = locked();
        world.modify(who, A, vec![replace("pwdAccountLockedTime", &[LOCKED]), replace("userPassword", &[HASH_B])]).unwrap();
        let entry = world.get(A).unwrap();
        assert!(!entry.has("pwdAccountLockedTime"), "{who:?}: stating the lock again does not help");
        assert_eq!(entry.text("pwdChangedTime"), Some("20261120093000Z"));
        assert_eq!(entry.has("pwdReset"), who != Writer, "{who:?}");
        assert_eq!(
            entry.text("pwdHistory"),
            Some(format!("20261120093000Z#1.3.6.1.4.1.1466.115.121.1.40#{}#{HASH_A}", HASH_A.len()).as_str())
        );
    }
}

#[test]
fn a_lock_survives_a_password_write_in_three_ways() {
    // In a transaction that ends with the lock.
    let world = locked();
    let changes = [
        (dn(A), vec![replace("userPassword", &[HASH_B])]),
        (dn(A), vec![replace("pwdAccountLockedTime", &[LOCKED]), replace("pwdReset", &["TRUE"])]),
    ];
    block_on(world.handle(Writer).transaction(&changes, &WriteOptions::default())).unwrap();
    assert!(bind(&world, "secret-b").locked);

    // Deleted and added in the modify itself: then the overlay deletes nothing more.
    let world = locked();
    let lock =
        vec![replace("userPassword", &[HASH_B]), delete("pwdAccountLockedTime", &[]), add("pwdAccountLockedTime", &[LOCKED])];
    world.modify(Writer, A, lock).unwrap();
    assert!(bind(&world, "secret-b").locked);

    // Not locked before: the overlay has nothing to delete.
    let world = open();
    world.modify(Writer, A, vec![replace("userPassword", &[HASH_B]), replace("pwdAccountLockedTime", &[LOCKED])]).unwrap();
    assert!(bind(&world, "secret-b").locked);

    // Taken away by a replace, the overlay's own delete finds nothing.
    let world = locked();
    refused(16, world.modify(Writer, A, vec![replace("userPassword", &[HASH_B]), replace("pwdAccountLockedTime", &[])]));
}

#[test]
fn deleting_a_password_differs_by_right() {
    let world = locked();
    bind(&world, "wrong");
    world.modify(Writer, A, vec![delete("userPassword", &[])]).unwrap();
    let entry = world.get(A).unwrap();
    assert!(entry.has("pwdAccountLockedTime") && !entry.has("pwdHistory") && entry.has("pwdReset"));
    assert_eq!(usability(&world), Usability::Unknown, "nothing is said of an entry without a password");

    for who in [Manager, Root] {
        let world = locked();
        world.modify(who, A, vec![replace("pwdReset", &[])]).unwrap();
        world.modify(who, A, vec![delete("userPassword", &[])]).unwrap();
        let entry = world.get(A).unwrap();
        assert!(!entry.has("pwdAccountLockedTime") && entry.has("pwdHistory") && !entry.has("pwdChangedTime"));
        assert_eq!(entry.text("pwdReset"), Some("TRUE"));
    }
}

#[test]
fn a_password_write_removes_the_last_success_and_an_added_one_stays_locked() {
    let world = open();
    assert_eq!(bind(&world, "secret-a").code, 0);
    world.modify(Writer, A, vec![replace("userPassword", &[HASH_B])]).unwrap();
    assert!(!world.get(A).unwrap().has("pwdLastSuccess"));
    assert!(locked().get(A).unwrap().has("pwdAccountLockedTime"));
}

#[test]
fn what_the_modify_says_of_pwd_reset_stays() {
    let says = |who: Identity, reset: Modification| {
        let world = locked();
        let result = world.modify(who, A, vec![replace("userPassword", &[HASH_B]), reset]);
        result.map(|_| world.text(A, "pwdReset")).map_err(|error| error.code)
    };
    assert_eq!(says(Writer, replace("pwdReset", &["TRUE"])), Ok(Some("TRUE".into())));
    assert_eq!(says(Manager, replace("pwdReset", &["FALSE"])), Ok(Some("FALSE".into())));
    assert_eq!(says(Writer, replace("pwdReset", &[])), Ok(None));
    assert_eq!(says(Manager, replace("pwdReset", &[])), Ok(None));
    // A delete is not seen as a statement: the overlay deletes again, or sets.
    assert_eq!(says(Writer, delete("pwdReset", &[])), Err(Some(16)));
    assert_eq!(says(Manager, delete("pwdReset", &[])), Ok(Some("TRUE".into())));
}

#[test]
fn the_history_is_kept_by_second_and_length() {
    let world = open();
    world.modify(Manager, A, vec![replace("userPassword", &[HASH_B])]).unwrap();
    world.modify(Manager, A, vec![replace("userPassword", &[HASH_A])]).unwrap();
    // The old hash is in the history with this very second.
    refused(20, world.modify(Manager, A, vec![replace("userPassword", &[HASH_B])]));
    for n in 0..7 {
        world.pass(1);
        world.modify(Writer, A, vec![replace("userPassword", &[&format!("clear-{n}")])]).unwrap();
    }
    let history = world.texts(A, "pwdHistory");
    assert_eq!(history.len(), 5);
    assert!(history[0].ends_with("#clear-1") && history[4].ends_with("#clear-5"), "{history:?}");
    world.pass(1);
    refused(19, world.modify(Writer, A, vec![replace("userPassword", &["clear-3"])]));
    refused(19, world.modify(Writer, A, vec![replace("userPassword", &["clear-6"])]));
    world.modify(Manager, A, vec![replace("userPassword", &["clear-3"])]).unwrap();
    // Emptied with relaxed rules, as a scrub must.
    refused(19, world.modify(Manager, A, vec![replace("pwdHistory", &[])]));
    let empty = Change::Modify { dn: dn(A), mods: vec![replace("pwdHistory", &[])] };
    world.apply(Manager, &empty, &relaxed()).unwrap();
    // Under a policy without history a password write forgets it.
    world.pass(1);
    world.modify(Writer, A, vec![replace("userPassword", &[HASH_A])]).unwrap();
    world.modify(Writer, A, vec![replace("pwdPolicySubentry", &["cn=nolock,ou=policies,dc=own,dc=example"])]).unwrap();
    world.modify(Writer, A, vec![replace("userPassword", &[HASH_B])]).unwrap();
    assert!(!world.get(A).unwrap().has("pwdHistory"));
}

#[test]
fn the_policy_refuses_some_passwords() {
    let world = open();
    let old_new = || vec![delete("userPassword", &[HASH_A]), add("userPassword", &[HASH_B])];
    refused(53, world.modify(Writer, A, old_new()));
    world.modify(Manager, A, old_new()).unwrap();
    for who in [Writer, Manager, Root] {
        refused(19, world.modify(who, A, vec![replace("userPassword", &["one", "two"])]));
    }
    world.modify(Root, "cn=default,ou=policies", vec![add("pwdCheckQuality", &["2"])]).unwrap();
    world.pass(1);
    refused(19, world.modify(Writer, A, vec![replace("userPassword", &[HASH_A])]));
    world.modify(Manager, A, vec![replace("userPassword", &[HASH_A])]).unwrap();
    let pairs: &[(&str, &[&str])] =
        &[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["y"]), ("userPassword", &[HASH_A])];
    refused(19, world.add(Writer, "uid=b,ou=people", pairs));
    world.add(Manager, "uid=b,ou=people", pairs).unwrap();
}

#[test]
fn one_relaxed_modify_restores_a_password_with_its_times() {
    let world = open();
    let before = world.get(A).unwrap();
    world.pass(30);
    world.modify(Manager, A, vec![delete("userPassword", &[])]).unwrap();
    world.pass(30);
    let mods = vec![
        replace("userPassword", &[HASH_A]),
        replace("pwdHistory", &[]),
        replace("pwdChangedTime", &[]),
        replace("pwdReset", &[]),
        replace("modifyTimestamp", &[before.text("modifyTimestamp").unwrap()]),
        replace("modifiersName", &[before.text("modifiersName").unwrap()]),
    ];
    world.apply(Manager, &Change::Modify { dn: dn(A), mods }, &relaxed()).unwrap();
    let mut after = world.get(A).unwrap();
    after.attrs.insert("entryCSN".into(), before.values("entryCSN").to_vec());
    assert_eq!(after, before);
}
