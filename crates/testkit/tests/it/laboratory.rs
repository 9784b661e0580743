//! The laboratory as a command: up, status, down, end to end.

use crate::lab::text;
use std::path::Path;
use std::process::{Command, Output};
use untether_testkit::lab::{Description, ProcessMark};

/// Stops the laboratory of a test that failed half-way.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        run(self.0, &["down"]);
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(arguments).arg("--dir").arg(directory).output().unwrap()
}

fn succeed(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

fn processes(directory: &Path) -> Vec<ProcessMark> {
    let description = Description::read(directory).unwrap();
    description.stores().iter().filter_map(|store| store.process).collect()
}

fn kill(mark: ProcessMark) {
    let killed = Command::new("kill").args(["-9", &mark.pid.to_string()]).status().unwrap();
    assert!(killed.success());
    while mark.is_alive() {
        std::thread::yield_now();
    }
}

#[test]
fn up_twice_kill_up_down_keep_the_data() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("lab");
    let _stopped = Stopped(&directory);

    let first = succeed(&directory, &["up", "--people", "40", "--seed", "7"]);
    assert!(first.starts_with("new laboratory: 40 people, seed 7"), "{first}");
    let status = succeed(&directory, &["status"]);
    assert_eq!(status.lines().count(), 2, "{status}");
    for (line, name) in status.lines().zip(["shared", "independent"]) {
        let count = line.split_whitespace().rev().nth(3).unwrap();
        let entries: u32 = count.parse().unwrap();
        assert!(line.starts_with(name) && line.contains("ldaps://127.0.0.1:") && entries > 15, "{line}");
    }
    let roster = directory.join("data/roster.csv");
    let data = std::fs::read(&roster).unwrap();

    let second = succeed(&directory, &["up"]);
    assert!(second.starts_with("laboratory is running already: 40 people, seed 7"), "{second}");

    let before = processes(&directory);
    assert_eq!(before.len(), 2);
    kill(before[0]);
    let status = run(&directory, &["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(text(&status).contains("shared       stopped"), "{}", text(&status));

    let third = succeed(&directory, &["up", "--people", "40"]);
    assert!(third.starts_with("laboratory started again"), "{third}");
    assert_eq!(processes(&directory)[1], before[1], "the other server was left alone");
    assert_eq!(std::fs::read(&roster).unwrap(), data);

    let running = processes(&directory);
    succeed(&directory, &["down"]);
    assert!(running.iter().all(|mark| !mark.is_alive()));
    assert!(roster.exists());
    assert!(succeed(&directory, &["down"]).contains("no server runs"));
}

#[test]
fn other_data_need_a_fresh_laboratory() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("lab");
    let _stopped = Stopped(&directory);
    succeed(&directory, &["up", "--people", "30"]);
    let before = processes(&directory);

    let refused = run(&directory, &["up", "--people", "31"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = text(&refused);
    assert!(message.contains("30 people, seed 1") && message.contains("--fresh"), "{message}");
    assert!(before.iter().all(ProcessMark::is_alive));

    let fresh = succeed(&directory, &["up", "--people", "31", "--fresh"]);
    assert!(fresh.starts_with("new laboratory: 31 people"), "{fresh}");
    assert!(before.iter().all(|mark| !mark.is_alive()));
}

#[test]
fn servers_of_an_interrupted_up_are_found_and_stopped() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("lab");
    let _stopped = Stopped(&directory);
    succeed(&directory, &["up", "--people", "30"]);
    let orphans = processes(&directory);
    std::fs::remove_file(directory.join("lab.json")).unwrap();
    succeed(&directory, &["up", "--people", "30"]);
    assert!(orphans.iter().all(|mark| !mark.is_alive()));

    let orphans = processes(&directory);
    std::fs::write(directory.join("lab.json"), "{").unwrap();
    let down = run(&directory, &["down"]);
    assert!(orphans.iter().all(|mark| !mark.is_alive()));
    assert_eq!(down.status.code(), Some(1));
    assert!(text(&down).contains("lab.json"), "{}", text(&down));
    succeed(&directory, &["up", "--people", "30"]);
}

#[test]
fn purge_leaves_what_others_have_put_there() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("lab");
    let _stopped = Stopped(&directory);
    succeed(&directory, &["up", "--people", "30"]);
    let running = processes(&directory);
    let other = directory.join("notes.txt");
    std::fs::write(&other, "mine\n").unwrap();
    succeed(&directory, &["down", "--purge"]);
    assert!(running.iter().all(|mark| !mark.is_alive()));
    let left: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(left, [other]);
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("precious"), "x").unwrap();
    for arguments in [&["up"][..], &["up", "--fresh"]] {
        let refused = run(place.path(), arguments);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused).contains("holds no laboratory"), "{}", text(&refused));
    }
    let status = run(place.path(), &["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(text(&status).contains("there is no laboratory"), "{}", text(&status));
    assert!(succeed(place.path(), &["down", "--purge"]).contains("no server runs"));
    assert!(place.path().join("precious").exists());
}

#[test]
fn a_long_path_gets_its_socket_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("long".repeat(30));
    let _stopped = Stopped(&directory);
    succeed(&directory, &["up", "--people", "30"]);
    let description = Description::read(&directory).unwrap();
    let output = Command::new("ldapwhoami").args(["-Q", "-Y", "EXTERNAL", "-H", &description.shared.ldapi_url]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    succeed(&directory, &["down", "--purge"]);
    assert!(!description.shared.socket.parent().unwrap().exists());
}

#[test]
fn the_script_works_from_any_directory() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("lab");
    let _stopped = Stopped(&directory);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lab");
    let run_script = |arguments: &[&str]| {
        let output = Command::new(&script)
            .args(arguments)
            .args(["--dir", "lab"])
            .current_dir(place.path())
            // The binary under test is built already; a cargo inside a test would only wait for locks.
            .env("UNTETHER_SKIP_BUILD", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    assert!(run_script(&["up", "--people", "30"]).contains("new laboratory: 30 people"));
    assert!(run_script(&["status"]).contains("entries"));
    let running = processes(&directory);
    assert!(run_script(&["down"]).contains("shared       stopped"));
    assert!(running.iter().all(|mark| !mark.is_alive()));
}
