//! A world that moves and servers that go away; and what people decide on subjects.

use std::io::{BufRead as _, BufReader};

use crate::story::modify;
use crate::support::World;

/// Values that somebody else changes on these accounts.
fn edit<'a>(world: &World, accounts: impl IntoIterator<Item = &'a String>) {
    let ldif: String = accounts
        .into_iter()
        .map(|dn| {
            let dn = data_encoding::BASE64.encode(dn.as_bytes());
            format!("dn:: {dn}\nchangetype: modify\nadd: pwdEndTime\npwdEndTime: 20300101000000Z\n\n")
        })
        .collect();
    modify(&world.pair.shared, &ldif);
}

#[test]
fn a_world_that_has_moved_too_far_is_refused_with_the_list() {
    let world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let people = world.planned_people("retire");
    world.approve(&wave, "soak", 1);
    let moved: Vec<String> = people.iter().take(5).map(|p| p.dn.clone()).collect();
    edit(&world, &moved);
    let before = world.dumps();
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("have moved since the plan"), "{}", ran.stdout);
    assert!(moved.iter().all(|dn| ran.stdout.contains(dn.as_str())), "each is named: {}", ran.stdout);
    assert_eq!(before.differences(&world.dumps(), &[]), [""; 0]);
}

/// The store dies in the middle; nothing of that looks like an outcome, and the run goes on when it is back.
#[test]
fn a_store_that_goes_away_stops_the_run_and_nothing_is_lost() {
    let mut world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let people = world.planned_people("retire");
    world.approve(&wave, "soak", 1);
    world.run(&["throttle", "1"]).expect(0);
    let mut run = world.spawn(&["--json", "run", "--wave", "retire", "--execute"]);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"outcome\"")));
    world.pair.shared.kill();
    lines.for_each(drop);
    let ended = run.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("run the same command again when the store answers"), "{said}");
    let down = world.go("retire", &[]).expect(1);
    assert!(down.stderr.contains("shared store"), "{}", down.stderr);

    world.pair.shared.start().unwrap();
    world.run(&["throttle", "off"]).expect(0);
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown") && !ran.stdout.contains("parked"), "{}", ran.said());
    let dumps = world.dumps();
    assert!(people.iter().all(|p| dumps.shared(&p.dn).unwrap().text("pwdAccountLockedTime") == Some("000001010000Z")));
}

#[test]
fn ctrl_c_twice_ends_at_once_and_the_run_is_resumed() {
    let world = World::new(80);
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "soak", 1);
    world.run(&["throttle", "1"]).expect(0);
    // A store that does not answer: the operation in flight would keep a clean stop waiting.
    let mut run = world.spawn(&["--json", "run", "--wave", "retire", "--execute"]);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"outcome\"")));
    world.pair.shared.suspend();
    let pid = rustix::process::Pid::from_child(&run);
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(said.any(|line| line.unwrap().contains("stopping after the operations in flight")));
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(said.any(|line| line.unwrap().contains("stopped at once")));
    assert_eq!(run.wait().unwrap().code(), Some(4));
    world.pair.shared.resume();
    world.run(&["state", "check"]).expect(0);
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown") && !ran.stdout.contains("parked"), "{}", ran.said());
}

/// An orphan is retired, and a leaver's record kept, because people with keys said so.
#[test]
fn people_decide_on_orphans_and_on_records_that_must_stay() {
    let world = World::new(200);
    let wave_of_kept =
        "[[plan.waves]]\nname = \"keep\"\ntracks = [\"keep\"]\nthresholds = { max_changed_percent = 80.0 }\n\n[plan.mapping]";
    world.configure("[plan.mapping]", wave_of_kept);
    let plan = world.planned();
    let leaver = world.planned_people("retire").into_iter().find(|p| !p.dn.contains(['\\', '"', '+'])).unwrap();
    let orphan = {
        let findings = world.findings();
        let orphans = findings.into_iter().filter(|(rule, dn)| rule == "residual.orphan" && dn.contains("ou=own,ou=accounts"));
        orphans.map(|(_, dn)| dn).next().expect("an orphan of the own company")
    };
    assert!(world.planned_people("retire").iter().all(|p| p.dn != orphan));
    let signer = world.signer(0);
    let key = signer.each_ref().map(String::as_str);
    let decide = |who: &str, track: &str| {
        let words = ["subject", "decide", who, "--track", track, "--until", "2099-12-31", "--reason", "looked into"];
        world.run(&[&words[..], &key].concat()).expect(0);
    };
    decide(&orphan, "retire");
    decide(&leaver.dn, "keep");
    let again = world.planned();
    assert_ne!(again, plan);
    assert!(world.planned_people("retire").iter().any(|p| p.dn == orphan), "the orphan is retired now");
    assert!(world.planned_people("retire").iter().all(|p| p.dn != leaver.dn));
    let kept = world.planned_people("keep");
    assert_eq!(kept.iter().map(|p| p.dn.as_str()).collect::<Vec<_>>(), [leaver.dn.as_str()]);

    let wave = format!("{again}/keep");
    world.approve(&wave, "attest", 2);
    world.accept("silence", &["--wave", &wave]);
    world.go("keep", &[]).expect(0);
    let dumps = world.dumps();
    let record = dumps.shared(&leaver.dn).expect("the record stays");
    assert_eq!(record.text("pwdAccountLockedTime"), Some("000001010000Z"));
    for gone in ["userPassword", "pwdHistory", "telephoneNumber", "departmentNumber"] {
        assert!(record.values(gone).is_empty(), "{gone}");
    }
    assert!(record.text("employeeNumber").is_some());
    let shown = world.run(&["subject", "show", &leaver.dn]).expect(0).stdout;
    assert!(shown.contains("keep") && shown.contains("looked into"), "{shown}");
}
