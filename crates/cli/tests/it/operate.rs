//! Operators at work: leavers who are retired, failures, conflicts, people who come back, pauses, an abort, the end of a wave's key.

use crate::personnel::Roster;
use crate::story::{Planned, allow_writes, deny_writes, is_let_in, modify};
use crate::support::World;

/// Who is in a batch of the wave, with simple names.
fn of<'a>(people: &'a [Planned], batch: &'a str) -> impl Iterator<Item = &'a Planned> {
    people.iter().filter(move |p| p.batch == batch && !p.dn.contains(['\\', '"', '+']))
}

/// The clear password that the generator gave an account, where it has one.
fn password(world: &World, dn: &str) -> Option<String> {
    let text = std::fs::read_to_string(world.data().join("passwords.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut fitting = rows.filter(|row| row["store"] == "shared" && row["dn"] == dn);
    fitting.next().map(|row| row["password"].as_str().unwrap().to_owned())
}

#[test]
fn leavers_are_retired_and_stay_out_through_a_rollback() {
    let world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let people = world.planned_people("retire");
    let known: Vec<(&str, String)> = people.iter().filter_map(|p| Some((p.dn.as_str(), password(&world, &p.dn)?))).collect();
    let (dn, secret) = known.iter().find(|(dn, secret)| is_let_in(&world, dn, secret)).expect("somebody with an open account");
    let before = world.dumps();

    // Nothing is written without --execute, without an approval, after a revocation, in a pause.
    let shown = world.run(&["run", "--wave", "retire"]).expect(0);
    assert!(shown.stdout.contains("nothing is written without --execute"), "{}", shown.stdout);
    let refused = world.go("retire", &[]).expect(4);
    assert!(refused.stdout.contains("needs the approval of one person; nobody has"), "{}", refused.stdout);
    world.approve(&wave, "soak", 1);
    let signer = world.signer(0);
    world.run(&["approve", &wave, "--revoke", "--reason", "too early", "--as", &signer[1]]).expect(0);
    world.go("retire", &[]).expect(4);
    world.approve(&wave, "soak", 1);
    world.run(&["pause", "--reason", "maintenance"]).expect(0);
    let paused = world.go("retire", &[]).expect(4);
    assert!(paused.stdout.contains("maintenance"), "{}", paused.stdout);
    assert_eq!(before.differences(&world.dumps(), &[]), [""; 0]);
    world.run(&["resume", "--reason", "over"]).expect(0);

    world.run(&["throttle", "2"]).expect(0);
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown"), "{}", ran.stdout);
    world.run(&["throttle", "off"]).expect(0);
    for (dn, secret) in &known {
        assert!(!is_let_in(&world, dn, secret), "{dn}");
    }
    let status = world.run(&["status"]).expect(0).prose();
    assert!(status.contains("waits at soak: gate silence is unknown"), "{status}");

    // A rollback does not open the account of somebody who has left; two people may.
    let shown = world.run(&["rollback", "--wave", &wave, "--to", "disable"]).expect(0);
    assert!(shown.stdout.contains("stays disabled (the roster says that the person has left)"), "{}", shown.stdout);
    world.rolled_back(&["--wave", &wave, "--to", "disable", "--enable-inactive"], 2);
    assert!(is_let_in(&world, dn, secret));
    let after = world.dumps();
    let severed = before.changed(&after, "pwdLastSuccess");
    let (hashed, others): (Vec<String>, Vec<String>) =
        before.differences(&after, &severed).into_iter().partition(|d| d.contains(" userPassword:"));
    assert_eq!(others, [""; 0]);
    // This server hashes the clear text that it is given: the same passwords, no longer readable, as the plan said.
    assert!(
        hashed.iter().all(|d| known.iter().any(|(dn, secret)| d.contains(dn) && is_let_in(&world, dn, secret))),
        "{hashed:?}"
    );
    assert!(shown.stdout.contains("a clear-text password comes back as the server stores it"), "{}", shown.stdout);
}

#[test]
fn failures_conflicts_and_people_who_come_back_are_parked_and_taken_up_again() {
    let world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let people = world.planned_people("retire");
    let [poisoned, edited, returned] = of(&people, "b02").take(3).collect::<Vec<_>>().try_into().unwrap();
    world.approve(&wave, "soak", 1);

    deny_writes(&world.pair.shared, &poisoned.dn);
    modify(&world.pair.shared, &format!("dn: {}\nchangetype: modify\nadd: pwdEndTime\npwdEndTime: 20300101000000Z\n", edited.dn));
    let login = returned.dn.trim_start_matches("uid=").split(',').next().unwrap();
    let mut roster = Roster::of(&world);
    let before = std::fs::read(roster.path()).unwrap();
    roster.set(roster.with_login(login), &[("status", "active"), ("last_day", ""), ("contract_end", "")]);
    roster.write();

    let ran = world.go("retire", &[]).expect(5);
    for words in ["parked (conflict): 1", "parked (failed): 1", "parked (roster): 1"] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.said());
    }
    let shown = world.run(&["subject", "show", &poisoned.subject]).expect(0).stdout;
    assert!(shown.contains("nsufficient access"), "the server's words: {shown}");
    let now = world.dumps();
    let locked = |dn: &str| now.shared(dn).unwrap().text("pwdAccountLockedTime").is_some();
    for person in people.iter().filter(|p| ![&poisoned.dn, &edited.dn, &returned.dn].contains(&&p.dn)) {
        assert!(locked(&person.dn), "{} waits for somebody else's failure", person.dn);
    }
    assert_eq!(now.shared(&edited.dn).unwrap().text("pwdEndTime"), Some("20300101000000Z"));

    // With the right back, and the person gone again, `retry` takes up those two; the conflict waits for a decision.
    allow_writes(&world.pair.shared);
    std::fs::write(roster.path(), before).unwrap();
    let ran = world.run(&["retry", "--wave", &wave, "--execute"]).expect(0);
    assert!(ran.stdout.contains("2 subjects are taken up again"), "{}", ran.stdout);
    world.go("retire", &[]).expect(5);
    let now = world.dumps();
    for person in [poisoned, returned] {
        assert!(now.shared(&person.dn).unwrap().text("pwdAccountLockedTime").is_some(), "{}", person.dn);
    }

    // Two people decide that our state counts.
    let op = format!("{wave}/{}/{}", edited.batch, edited.n);
    let shown = world.run(&["--json", "resolve", &op, "--force", "--reason", "it must end now"]).expect(0);
    let order = shown.rows()[0]["order"].as_str().unwrap().to_owned();
    let execute = ["resolve", &op, "--force", "--execute"];
    world.approve(&order, "disable", 1);
    let refused = world.run(&execute).expect(4);
    assert!(refused.stderr.contains("needs the approval of 2 people"), "{}", refused.stderr);
    world.approve(&order, "disable", 2);
    world.run(&execute).expect(0);
    assert_ne!(world.dumps().shared(&edited.dn).unwrap().text("pwdEndTime"), Some("20300101000000Z"));
    world.run(&["retry", "--wave", &wave, "--execute"]).expect(0);
    let ran = world.go("retire", &[]).expect(4);
    assert!(!ran.stdout.contains("parked"), "{}", ran.stdout);

    // What was overwritten by force comes back with a rollback as well.
    world.rolled_back(&["--subject", &edited.subject, "--to", "disable", "--enable-inactive"], 2);
    assert_eq!(world.dumps().shared(&edited.dn).unwrap().text("pwdEndTime"), Some("20300101000000Z"));
}

#[test]
fn too_many_failures_halt_a_batch_until_a_person_lifts_it() {
    let world = World::new(80);
    world.configure("failure_tolerance = 5", "failure_tolerance = 0");
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let people = world.planned_people("retire");
    let poisoned = of(&people, "b01").next().unwrap();
    world.approve(&wave, "soak", 1);
    deny_writes(&world.pair.shared, &poisoned.dn);
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("b01 is halted: 1 refusals or conflicts"), "{}", ran.stdout);
    assert!(ran.stdout.contains("canary"), "the others wait for the canary: {}", ran.stdout);
    allow_writes(&world.pair.shared);
    world.go("retire", &[]).expect(4);
    let batch = format!("{wave}/b01");
    world.run(&["resume", "--batch", &batch, "--reason", "the right is back"]).expect(0);
    world.run(&["retry", "--wave", &wave, "--execute"]).expect(0);
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown") && !ran.stdout.contains("parked"), "{}", ran.stdout);
}

#[test]
fn one_run_at_a_time_which_others_may_watch_and_ctrl_c_ends() {
    let world = World::new(60);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    world.approve(&wave, "soak", 1);
    let mut run = world.spawn(&["run", "--wave", "retire", "--execute", "--wait", "1h"]);
    World::said_by(&mut run, "soak: waits: gate silence is unknown");
    let process = format!("in use by process {}", run.id());
    for command in [&["pause", "--reason", "x"][..], &["run", "--wave", "retire", "--execute"], &["audit"], &["plan"]] {
        let refused = world.run(command).expect(6);
        assert!(refused.stderr.contains(&process), "{command:?}: {}", refused.stderr);
    }
    let status = world.run(&["status"]).expect(0).prose();
    assert!(status.contains(&format!("process {}", run.id())), "{status}");
    assert!(status.contains("waits at soak"), "{status}");
    for command in [&["findings", "--rule", "residual.departed"][..], &["report", "--format", "md"], &["gate", "list"]] {
        world.run(command).expect(0);
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&run), rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(4));
    world.run(&["state", "check"]).expect(0);

    // Given up, its people are free for a new plan; what was done stays done.
    world.run(&["abort", "--wave", &wave, "--reason", "planned anew", "--execute"]).expect(0);
    let refused = world.go("retire", &["--plan", &plan]).expect(4);
    assert!(refused.stdout.contains("was aborted"), "{}", refused.stdout);
    let again = world.planned();
    assert_ne!(again, plan);
    assert!(!world.planned_people("retire").is_empty());
}

#[test]
fn a_wave_that_ended_can_be_forgotten_by_two_people() {
    let world = World::new(60);
    let plan = world.planned();
    let wave = format!("{plan}/finish");
    let before = world.dumps();
    let people = world.planned_people("finish");
    assert!(!people.is_empty());
    world.approve(&wave, "attest", 2);
    let waits = world.go("finish", &[]);
    if waits.stdout.contains("own-account") {
        world.accept("own-account", &["--wave", &wave]);
        world.go("finish", &[]).expect(4);
    }
    world.accept("silence", &["--wave", &wave]);
    world.go("finish", &[]).expect(0);
    let after = world.dumps();
    for person in &people {
        assert!(before.shared(&person.dn).is_some() && after.shared(&person.dn).is_none(), "{}", person.dn);
    }
    let forget = ["forget", "--wave", &wave, "--execute"];
    world.run(&forget).expect(4);
    for which in 0..2 {
        let signer = world.signer(which);
        let words = ["approve", &wave, "--forget", "--reason", "retention is over"];
        world.run(&[&words[..], &signer.each_ref().map(String::as_str)].concat()).expect(0);
    }
    world.run(&forget).expect(0);
    let refused = world.run(&["rollback", "--wave", &wave, "--to", "disable"]);
    assert_ne!(refused.code, Some(0), "what is forgotten cannot come back: {}", refused.said());
    assert!(refused.stderr.contains("forgotten"), "{}", refused.stderr);
    world.run(&["state", "check"]).expect(0);
}

#[test]
fn a_retired_wave_leaves_nothing_behind_and_is_reported_as_such() {
    let world = World::new(300);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let people = world.planned_people("retire");
    let before = world.findings();
    world.approve(&wave, "attest", 2);
    world.accept("silence", &["--wave", &wave]);

    // Somebody who has left is still in a protected group: that is approved on its own, and nobody else waits for it.
    let ran = world.go("retire", &[]).expect(0);
    assert!(ran.stdout.contains("parked (held): 1"), "{}", ran.stdout);
    assert!(ran.stderr.contains("takes the member out of the protected group"), "{}", ran.stderr);
    let dumps = world.dumps();
    for person in &people {
        assert!(dumps.shared(&person.dn).is_none(), "{}", person.dn);
    }

    // The next audit finds the others nowhere, and a new plan takes only the one who was parked.
    let again = world.planned();
    let after = world.findings();
    let of = |findings: &[(String, String)], dn: &str| findings.iter().filter(|(_, d)| d == dn).count();
    for person in &people {
        assert!(of(&before, &person.dn) > 0 && of(&after, &person.dn) == 0, "{}", person.dn);
    }
    let shown = world.run(&["--json", "plan", "show", "--wave", "retire"]).expect(0).rows().remove(0);
    let operations: Vec<_> = shown["wave"].as_array().unwrap().iter().filter_map(|l| l.get("operation")).collect();
    let [only] = operations.as_slice() else { panic!("{operations:?}") };
    let value = only["action"]["ensure"]["values"][0].as_str().unwrap();
    let member = |world: &World| {
        let dumps = world.dumps();
        let group = dumps.shared(only["target"]["existing"]["dn"].as_str().unwrap()).unwrap();
        group.values("member").iter().any(|v| v.as_str() == Some(value))
    };
    assert!(member(&world));
    let wave = format!("{again}/retire");
    world.approve(&wave, "attest", 2);
    let signer = world.signer(0);
    let op = format!("{wave}/{}/{}", only["batch"].as_str().unwrap(), only["n"]);
    world.run(&[&["approve", &op, "--reason", "has left"][..], &signer.each_ref().map(String::as_str)].concat()).expect(0);
    world.accept("silence", &["--wave", &wave]);
    let ran = world.go("retire", &[]).expect(0);
    assert!(!member(&world) && !ran.stdout.contains("parked"), "{}", ran.said());

    // The report's figures are the audits' findings, before and after.
    let report = world.run(&["report", "--format", "md", "--lang", "en"]).expect(0).stdout;
    let own = report.split("### Own company").nth(1).unwrap().split("\n### ").next().unwrap();
    let row = own.lines().find(|line| line.starts_with("| residual.departed |")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let number = |text: &str| text.split(' ').next().unwrap().parse::<usize>().unwrap();
    let of_own = |findings: &[(String, String)]| {
        let departed = findings.iter().filter(|(rule, _)| rule == "residual.departed");
        departed.filter(|(_, dn)| dn.contains("ou=own,ou=accounts,dc=shared")).count()
    };
    let (was, is) = (of_own(&before), of_own(&after));
    assert!(was > is);
    assert_eq!((number(cells[3]), number(cells[4]), number(cells[5])), (was, was - is, is), "{row}");
    assert!(own.contains("accounts in the shared store disabled (retire, 36 subjects"), "{own}");
    let japanese = world.run(&["report", "--format", "md", "--lang", "ja"]).expect(0).stdout;
    assert!(japanese.contains("自社") && japanese.contains("完了】"), "{japanese}");
    let json = world.run(&["report", "--format", "json"]).expect(0).rows().remove(0);
    assert_eq!(json["schema"], "untether.report/1");
}
