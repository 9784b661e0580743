//! A wave of the track `migrate` on real servers: every stage, and back.

use untether_model::Dn;

use crate::story::{Dumps, clock};
use crate::support::World;

/// Plans and runs the wave as far as the gate `mfa` of its canary.
fn enrolled(world: &World) -> (String, Vec<crate::story::Handed>) {
    let plan = world.planned();
    let wave = format!("{plan}/migrate");
    world.approve(&wave, "soak", 1);
    world.go("migrate", &["--through", "provision"]).expect(0);
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("gate mfa: no acceptable factor is enrolled yet"), "{}", ran.said());
    let handed = world.handed_over(&format!("{wave}/b01"));
    (wave, handed)
}

#[test]
fn people_move_and_come_back() {
    the_story(&World::new(120));
}

/// The same with the program killed in each stage and in the rollback, with operations in flight.
#[test]
fn the_same_with_a_kill_in_each_stage() {
    let mut world = World::new(120);
    world.kills = Some(std::cell::RefCell::default());
    the_story(&world);
    let killed = world.kills.take().unwrap().into_inner();
    let everywhere = ["attest", "disable", "enroll", "provision", "remove", "rollback", "scrub", "switch"];
    assert_eq!(killed.into_iter().collect::<Vec<_>>(), everywhere);
}

fn the_story(world: &World) {
    let before = world.dumps();
    let (wave, canary) = enrolled(world);

    // Enrolled, not admitted: a new account that must change its password.
    let now = world.dumps();
    for person in &canary {
        let entry = now.independent(&person.account).unwrap();
        assert_eq!(entry.text("pwdReset"), Some("TRUE"), "{}", person.account);
        assert!(entry.values("pwdAccountLockedTime").is_empty());
        assert!(entry.values("memberOf").iter().all(|g| g.as_str() != Some(ADMITTED)));
    }
    let file = std::fs::metadata(world.state().join("handover").join(format!("{}_b01.age", wave.replace('/', "_")))).unwrap();
    world.go("migrate", &[]).expect(4);
    let again = std::fs::metadata(world.state().join("handover").join(format!("{}_b01.age", wave.replace('/', "_")))).unwrap();
    assert_eq!(file.modified().unwrap(), again.modified().unwrap(), "what was handed over is not handed over again");

    // The canary's people collect their credential and enroll a factor; then everybody else's turn comes.
    let (_, rest) = canary.split_first().unwrap();
    for person in rest {
        world.collects(person);
    }
    world.enrolls_factor(canary.iter().map(|p| p.account.as_str()));
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("9 × gate own-account: no login to the own account was ever seen"), "{}", ran.said());
    let switched = clock();
    let others = world.handed_over(&format!("{wave}/b02"));
    world.enrolls_factor(others.iter().map(|p| p.account.as_str()));
    world.go("migrate", &[]).expect(4);
    let now = world.dumps();
    for person in canary.iter().chain(&others) {
        let groups = now.independent(&person.account).unwrap().values("memberOf").to_vec();
        assert!(groups.iter().any(|g| g.as_str() == Some(ADMITTED)), "{}", person.account);
    }

    // Whoever has shown that the own account works loses the old one; an unused one-time credential shows it too.
    for person in rest {
        world.logs_in(person, switched);
    }
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("gate silence is unknown"), "{}", ran.said());
    let disabled = world.dumps();
    for person in canary.iter().chain(&others) {
        let source = disabled.independent(&person.account).unwrap().text("labSourceId").unwrap().to_owned();
        let old = disabled.shared_by_id(&source).unwrap();
        assert_eq!(old.text("pwdAccountLockedTime"), Some("000001010000Z"), "{}", old.dn);
        assert!(old.text("pwdEndTime").is_some(), "{}", old.dn);
        assert!(old.values("userPassword").iter().all(|v| !v.as_bytes().starts_with(b"{SASL}")), "{}", old.dn);
    }

    // Back to before the switch: the old login is as it was, the new account is no longer admitted, what people enrolled stays.
    let order = world.rolled_back(&["--wave", &wave], 1);
    let after = world.dumps();
    let rewritten = severed(&before, &disabled);
    let differences: Vec<String> =
        before.differences(&after, &rewritten).into_iter().filter(|d| !d.ends_with("was not there before")).collect();
    assert_eq!(differences, [""; 0], "rollback {order}");
    for person in &canary {
        let entry = after.independent(&person.account).unwrap();
        assert_eq!(entry.text("labFactor"), Some("webauthn"));
        assert!(entry.values("memberOf").iter().all(|g| g.as_str() != Some(ADMITTED)), "{}", person.account);
    }
    for person in rest {
        world.logs_in(person, jiff::Timestamp::UNIX_EPOCH);
    }

    // The undone stages are refused until they are approved for the new round.
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("rolled back to before switch"), "{}", ran.said());
    world.approve(&wave, "soak", 1);
    for batch in ["b01", "b02"] {
        world.run(&["resume", "--batch", &format!("{wave}/{batch}"), "--reason", "again"]).expect(0);
    }
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("own-account"), "{}", ran.said());
    let switched = clock();
    for person in rest {
        world.logs_in(person, switched);
    }
    world.go("migrate", &[]).expect(4);

    // Past the point of no return: two people, and the record goes.
    world.accept("silence", &["--wave", &wave]);
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("scrub of round 2 needs the approval of 2 different people"), "{}", ran.said());
    world.approve(&wave, "attest", 2);
    world.go("migrate", &[]).expect(0);
    let gone = world.dumps();
    for person in canary.iter().chain(&others) {
        let source = gone.independent(&person.account).unwrap().text("labSourceId").unwrap().to_owned();
        assert!(gone.shared_by_id(&source).is_none(), "{}", person.account);
    }

    // Even then: everything comes back, with the stable ids, from the sealed images.
    world.rolled_back(&["--wave", &wave, "--to", "provision", "--delete-provisioned"], 2);
    let after = world.dumps();
    let rewritten = before.lost(&gone);
    assert_eq!(before.differences(&after, &rewritten), [""; 0]);
}

const ADMITTED: &str = "cn=admitted,ou=groups,dc=own,dc=example";

/// Shared accounts that lost a password value.
fn severed(before: &Dumps, after: &Dumps) -> Vec<Dn> {
    before.changed(after, "userPassword")
}
