//! `untether state`: what is checked, and how a damaged state directory is brought back.

use std::fs;
use std::path::PathBuf;

use crate::support::World;

fn segment(world: &World) -> PathBuf {
    let entries = fs::read_dir(world.state().join("ledger")).unwrap().map(|e| e.unwrap().path());
    let mut segments: Vec<PathBuf> = entries.filter(|p| p.file_name().is_some_and(|n| n != "HEAD")).collect();
    segments.sort();
    segments.pop().expect("a segment")
}

#[test]
fn what_is_damaged_is_named_and_a_database_is_made_again() {
    let world = World::new(30);
    world.run(&["audit"]).expect(0);
    let sound = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
    assert_eq!(sound["database"], "agrees with the ledger");
    assert!(sound["files"].as_u64() >= Some(5), "{sound}");
    assert_eq!(sound["problems"], serde_json::json!([]));

    // The database is lost: it is made again, and nothing else changes.
    fs::remove_dir_all(world.state().join("sled")).unwrap();
    world.run(&["state", "rebuild"]).expect(0);
    let again = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
    assert_eq!(again["database"], "agrees with the ledger");
    assert_eq!(again["ledger"]["frames"], sound["ledger"]["frames"]);

    // A file of the newest audit is cut.
    let findings = fs::read_dir(world.state().join("findings")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&findings).unwrap();
    fs::write(&findings, &whole[..whole.len() - 1]).unwrap();
    let cut = world.run(&["state", "check"]).expect(6).stdout;
    assert!(cut.contains("PROBLEM") && cut.contains("findings of the audit"), "{cut}");
    fs::write(&findings, &whole).unwrap();
    world.run(&["state", "check"]).expect(0);

    // A byte in the middle of the ledger.
    let path = segment(&world);
    let ledger = fs::read(&path).unwrap();
    let mut bent = ledger.clone();
    bent[ledger.len() / 2] ^= 1;
    fs::write(&path, &bent).unwrap();
    let damaged = world.run(&["state", "check"]).expect(6).stdout;
    assert!(damaged.contains("PROBLEM") && damaged.contains("not compared: the ledger is not sound"), "{damaged}");
    world.run(&["state", "rebuild"]).expect(6);
    fs::write(&path, &ledger).unwrap();
    world.run(&["state", "check"]).expect(0);
}

#[test]
fn a_lost_tail_is_accepted_by_a_person_only() {
    let world = World::new(30);
    world.run(&["audit"]).expect(0);
    let path = segment(&world);
    let ledger = fs::read(&path).unwrap();
    fs::write(&path, &ledger[..ledger.len() - 20]).unwrap();
    world.run(&["state", "check"]).expect(6);
    world.run(&["pause", "--reason", "x"]).expect(6);
    let refused = world.run(&["state", "rebuild"]).expect(6);
    assert!(refused.stderr.contains("--accept-loss"), "{}", refused.stderr);
    world.run(&["state", "rebuild", "--accept-loss"]).expect(2);

    let accepted =
        world.run(&["--json", "state", "rebuild", "--accept-loss", "--reason", "no backup"]).expect(0).rows().remove(0);
    assert!(accepted["lost_from"].is_u64() && accepted["record"].is_u64(), "{accepted}");
    let check = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
    assert_eq!(check["ledger"]["kinds"]["repaired"], 1);
    world.run(&["findings"]).expect(2);
    world.run(&["audit"]).expect(0);
}

#[test]
fn a_clock_is_accepted_with_a_reason() {
    let world = World::new(20);
    world.run(&["state", "accept-clock", "--reason", ""]).expect(2);
    let accepted = world.run(&["--json", "state", "accept-clock", "--reason", "it was wrong before"]).expect(0).rows().remove(0);
    assert_eq!(accepted["schema"], "untether.state.accept-clock/1");
    let check = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
    assert_eq!(check["ledger"]["kinds"]["clock-accepted"], 1);
}

/// `scripts/ledger-check`, which knows the ledger from its documentation alone.
fn independent_reader(world: &World) -> (Option<i32>, serde_json::Value) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/ledger-check");
    let output = std::process::Command::new("python3").arg(script).arg(world.state()).output().expect("python3");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn a_reader_written_from_the_documentation_alone_agrees() {
    let world = World::new(80);
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "soak", 1);
    world.go("retire", &[]).expect(4);
    let ours = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
    let (code, theirs) = independent_reader(&world);
    assert_eq!((code, &theirs["problems"]), (Some(0), &serde_json::json!([])));
    for what in ["frames", "kinds"] {
        assert_eq!(theirs[what], ours["ledger"][what], "{what}");
    }
    assert_eq!(theirs["head"]["hash"], ours["ledger"]["head"]["hash"]);

    let path = segment(&world);
    let ledger = fs::read(&path).unwrap();
    let mut bent = ledger.clone();
    bent[ledger.len() / 2] ^= 1;
    let cut = ledger[..ledger.len() - 3].to_vec();
    for (content, words) in [(bent, "damaged"), (cut, "tail is lost")] {
        fs::write(&path, content).unwrap();
        let (code, found) = independent_reader(&world);
        assert!(code == Some(1) && found["problems"].to_string().contains(words), "{words}: {found}");
        world.run(&["state", "check"]).expect(6);
    }
    fs::write(&path, ledger).unwrap();
}
