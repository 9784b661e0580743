//! What we did and somebody else took back: seen by the look before a stage and by an audit, recorded, and decided by a person.

use crate::story::{Planned, is_let_in, modify};
use crate::support::World;

/// Somebody of a batch, with a simple name.
fn somebody(world: &World, wave: &str, batch: &str) -> Planned {
    let people = world.planned_people(wave);
    people.into_iter().find(|p| p.batch == batch && !p.dn.contains(['\\', '"', '+'])).unwrap()
}

/// A help desk gives an account a new password; the server lifts the lock with it. `opens`: and takes the end of validity away.
fn resets(world: &World, dn: &str, password: &str, opens: bool) {
    let end = if opens { "-\ndelete: pwdEndTime\n" } else { "" };
    modify(&world.pair.shared, &format!("dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: {password}\n{end}"));
}

fn says(world: &World, words: &[&str], told: &str) -> bool {
    world.run(words).expect(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(told)
}

#[test]
fn a_password_reset_between_two_stages_halts_the_batch_until_a_person_decides() {
    let world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let person = somebody(&world, "retire", "b02");
    world.approve(&wave, "soak", 1);
    world.go("retire", &[]).expect(4);
    resets(&world, &person.dn, "given by the help desk", false);
    let entry = world.dumps().shared(&person.dn).unwrap().clone();
    assert!(!entry.has("pwdAccountLockedTime") && entry.has("pwdEndTime"), "the server lifts the lock and leaves the end");

    world.approve(&wave, "attest", 2);
    world.accept("silence", &["--wave", &wave]);
    let ran = world.go("retire", &[]).expect(5);
    let op = format!("{wave}/b02/{}", person.n);
    let halted = format!("drift: operation {op} no longer holds: pwdAccountLockedTime is gone");
    assert!(ran.stdout.contains(&halted) && ran.stdout.contains("parked (conflict): 1"), "{}", ran.said());
    // The canary went on; the batch of the person did not begin to scrub anybody.
    let dumps = world.dumps();
    for other in world.planned_people("retire") {
        assert_eq!(dumps.shared(&other.dn).is_none(), other.batch == "b01", "{}", other.dn);
    }
    assert!(says(&world, &["status"], &format!("DRIFT: operation {op} (disable) for subject {}", person.subject)));
    let shown = world.run(&["subject", "show", &person.subject]).expect(0).stdout;
    assert!(shown.contains("DRIFT, no longer holds: pwdAccountLockedTime is gone") && shown.contains("PARKED"), "{shown}");
    assert!(says(&world, &["report", "--format", "md", "--lang", "en"], "drift: somebody else took back what operation"));
    assert!(says(&world, &["report", "--format", "md", "--lang", "ja"], "効果が失われたことを検知"));
    let refused = world.run(&["retry", "--wave", &wave, "--subject", &person.subject, "--execute"]).expect(2);
    assert!(refused.stderr.contains("untether resolve"), "{}", refused.stderr);
    // Nothing new is recorded when it is looked at again.
    assert_eq!(world.run(&["audit"]).expect(0).stdout.matches("DRIFT").count(), 0);

    // Two people decide that the account is to be closed; then its batch goes on with everybody.
    let shown = world.run(&["--json", "resolve", &op, "--force", "--reason", "nobody may log in"]).expect(0);
    let order = shown.rows()[0]["order"].as_str().unwrap().to_owned();
    world.approve(&order, "disable", 2);
    world.run(&["resolve", &op, "--force", "--execute"]).expect(0);
    assert!(world.dumps().shared(&person.dn).unwrap().has("pwdAccountLockedTime"));
    assert!(!says(&world, &["status"], "DRIFT: operation"));
    world.run(&["retry", "--wave", &wave, "--subject", &person.subject, "--execute"]).expect(0);
    world.run(&["resume", "--batch", &format!("{wave}/b02"), "--reason", "it was a mistake of the help desk"]).expect(0);
    world.go("retire", &[]).expect(0);
    assert!(world.dumps().shared(&person.dn).is_none());
}

#[test]
fn an_audit_sees_an_account_that_somebody_opened_and_that_it_is_closed_again() {
    let world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let person = somebody(&world, "retire", "b01");
    world.approve(&wave, "soak", 1);
    world.go("retire", &[]).expect(4);
    world.run(&["audit"]).expect(0);
    resets(&world, &person.dn, "opened", true);
    assert!(is_let_in(&world, &person.dn, "opened"));

    let audit = world.run(&["audit"]).expect(5).stdout;
    assert!(audit.contains("DRIFT: 1 of our operations no longer hold") && audit.contains(&person.subject), "{audit}");
    assert!(says(&world, &["status"], "HALTED: drift: operation"));
    world.go("retire", &[]).expect(5);

    // Whoever opened it closes it again: the next audit says so, and the person is taken up again.
    let lock =
        "add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n-\nadd: pwdEndTime\npwdEndTime: 20260101000000Z\n";
    modify(&world.pair.shared, &format!("dn: {}\nchangetype: modify\n{lock}", person.dn));
    let rows = world.run(&["--json", "audit"]).expect(0).rows();
    assert_eq!(rows[0]["drift"], serde_json::json!([]));
    assert!(!says(&world, &["status"], "DRIFT: operation"));
    let shown = world.run(&["subject", "show", &person.subject]).expect(0).stdout;
    assert!(shown.contains("put right by somebody else"), "{shown}");
    world.run(&["retry", "--wave", &wave, "--execute"]).expect(0);
    world.run(&["resume", "--batch", &format!("{wave}/b01"), "--reason", "closed again"]).expect(0);
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown") && !ran.stdout.contains("parked"), "{}", ran.said());
}

/// Who was finished is parked at the earliest stage whose effect is gone, and a new plan closes the account with new images: going
/// back leads to what the help desk made of it, not to what was there before the first wave.
#[test]
fn somebody_who_was_finished_is_reopened_and_the_next_plan_takes_them() {
    let world = World::new(80);
    let wave_of_kept =
        "[[plan.waves]]\nname = \"keep\"\ntracks = [\"keep\"]\nthresholds = { max_changed_percent = 80.0 }\n\n[plan.mapping]";
    world.configure("[plan.mapping]", wave_of_kept);
    world.planned();
    let person = somebody(&world, "retire", "b02");
    let signer = world.signer(0);
    let decided =
        ["subject", "decide", &person.dn, "--track", "keep", "--until", "2099-12-31", "--reason", "the record must stay"];
    world.run(&[&decided[..], &signer.each_ref().map(String::as_str)].concat()).expect(0);
    let first = world.planned();
    let wave = format!("{first}/keep");
    world.approve(&wave, "attest", 2);
    world.accept("silence", &["--wave", &wave]);
    world.go("keep", &[]).expect(0);
    assert!(!world.dumps().shared(&person.dn).unwrap().has("userPassword"), "the record is scrubbed");

    resets(&world, &person.dn, "opened", true);
    let audit = world.run(&["audit"]).expect(5).stdout;
    assert!(audit.contains("it was finished: the next plan takes it"), "{audit}");
    let shown = world.run(&["subject", "show", &person.subject]).expect(0).stdout;
    assert!(shown.contains("PARKED") && shown.contains("unfinished again: a new plan takes it"), "{shown}");
    world.run(&["retry", "--wave", &wave, "--execute"]).expect(2);

    let planned = world.run(&["--json", "plan"]).expect(0);
    let again = planned.rows()[0]["plan"].as_str().unwrap().to_owned();
    let wave = format!("{again}/keep");
    assert_eq!(world.planned_people("keep").len(), 1);
    world.approve(&wave, "soak", 1);
    world.go("keep", &[]).expect(4);
    assert!(!is_let_in(&world, &person.dn, "opened"));
    assert!(!says(&world, &["status"], "DRIFT: operation"));
    world.rolled_back(&["--subject", &person.subject, "--to", "disable", "--enable-inactive"], 2);
    assert!(is_let_in(&world, &person.dn, "opened"), "back is where the help desk had left it");
}
