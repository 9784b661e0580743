//! Servers, disks and states that are not as they should be: a clear error with its exit code, nothing changed that was not
//! journaled, nothing lost.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use untether_ledger::{Clock, ClockPolicy, Disk, Log, NewFrame, OpenLog, StateDir};
use untether_testkit::lab::{Authority, Role};

use crate::story::clock;
use crate::support::World;

fn frames(world: &World) -> u64 {
    world.run(&["--json", "state", "check"]).expect(0).rows()[0]["ledger"]["frames"].as_u64().unwrap()
}

/// What an audit says that ends with this code and records nothing.
#[track_caller]
fn fails(world: &World, code: i32, words: &[&str]) {
    let written = frames(world);
    let said = world.run(&["audit"]).expect(code).stderr;
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert_eq!(frames(world), written, "an audit that failed was recorded");
}

#[test]
fn a_store_that_cannot_be_read_fails_the_audit_and_nothing_is_recorded() {
    let mut world = World::new(60);
    let original = fs::read_to_string(&world.config).unwrap();
    let again = || fs::write(&world.config, &original).unwrap();
    let secret = |text: &str| {
        let path = world.directory().join("other-secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let reader = world.pair.shared.description().identities[&Role::Reader].password_file.display().to_string();
    world.configure(&reader, &secret("not the password"));
    fails(&world, 1, &["shared", "invalid credentials"]);
    again();
    world.configure(&reader, &secret(""));
    fails(&world, 2, &["[shared.read]", "empty"]);
    again();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.configure(&world.pair.independent.description().ldaps_url.clone(), &format!("ldaps://{closed}"));
    fails(&world, 1, &["independent", "refused"]);
    again();
    let other_ca = world.directory().join("other-ca.pem");
    Authority::create("Another CA", &other_ca).unwrap();
    world.configure(&world.pair.ca_file().display().to_string(), &other_ca.display().to_string());
    fails(&world, 1, &["ca_files"]);
    again();

    // A base that is not there, or hidden, may hold people: it is never taken for empty.
    world.configure("base = \"ou=people,dc=own,dc=example\", filter", "base = \"ou=nowhere,dc=own,dc=example\", filter");
    world.run(&["audit"]).expect(0);
    let denied = world.run(&["--json", "findings", "--rule", "coverage.denied"]).expect(0).rows();
    assert!(denied.iter().any(|row| row["dn"] == "ou=nowhere,dc=own,dc=example"), "{denied:?}");
    // A mapping that makes accounts where nobody would ever see them is refused before the snapshot is looked at.
    assert!(world.run(&["plan"]).expect(2).stderr.contains("where the audit looks for no accounts"));
    world.configure("base = \"ou=people,dc=own,dc=example\"\nrdn", "base = \"ou=nowhere,dc=own,dc=example\"\nrdn");
    assert_eq!(world.run(&["--json", "plan"]).expect(0).rows()[0]["executable"], false);
    again();

    // The server goes away while it is read: the second page never comes.
    world.configure("[audit]\n", "[audit]\npage_size = 1\n");
    let written = frames(&world);
    let mut audit = world.spawn(&["audit"]);
    let mut lines = BufReader::new(audit.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("read accounts of the shared store")));
    world.pair.shared.kill();
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(audit.wait().unwrap().code(), Some(1), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("error") && line.contains("shared")), "{said:?}");
    assert_eq!(frames(&world), written);
    fails(&world, 1, &["shared"]);
    world.pair.shared.start().unwrap();
    world.run(&["audit"]).expect(0);
    assert_eq!(world.run(&["--json", "plan"]).expect(0).rows()[0]["executable"], true);
}

#[test]
fn a_server_that_does_not_answer_is_given_up_in_time() {
    let world = World::new(10);
    world.configure("[shared]\n", "[shared]\nconnect_seconds = 1\noperation_seconds = 1\n");
    world.pair.shared.suspend();
    fails(&world, 1, &["shared"]);
    world.pair.shared.resume();
    world.run(&["audit"]).expect(0);
}

#[test]
fn a_size_limit_within_the_pages_and_hidden_passwords_are_told_and_plan_nothing() {
    let world = World::new(60);
    world.pair.shared.only_limit("users", 10).unwrap();
    let server = &world.pair.independent;
    server.rule_first(&format!("to attrs=userPassword by dn.exact=\"{}\" none by * break", server.dn(Role::Reader))).unwrap();
    world.run(&["audit"]).expect(0);
    let rows = world.run(&["--json", "findings", "--rule", "coverage"]).expect(0).rows();
    let told = |rule: &str, store: &str| rows.iter().any(|row| row["rule"] == rule && row["store"] == store);
    assert!(told("coverage.truncated", "shared"), "{rows:?}");
    assert!(told("coverage.skipped", "independent") || told("coverage.denied", "independent"), "{rows:?}");
    assert_eq!(world.run(&["--json", "plan"]).expect(0).rows()[0]["executable"], false);
}

/// A clock that somebody sets.
struct Told(Timestamp);

impl Clock for Told {
    fn wall(&self) -> Timestamp {
        self.0
    }

    fn mono(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn boot(&self) -> &str {
        "another boot"
    }
}

/// Appends a record as a process would whose clock says `now`.
pub fn append_at(world: &World, now: Timestamp) {
    let dir = StateDir::open(Disk::real(), world.state()).unwrap();
    let (mut log, _) = Log::open(OpenLog {
        disk: dir.disk().clone(),
        dir: dir.ledger(),
        clock: Arc::new(Told(now)),
        clock_policy: ClockPolicy::Refuse,
        segment_bytes: 1 << 20,
        known_kind: &|_| true,
        accept_loss: false,
        witnesses: Vec::new(),
    })
    .unwrap();
    let paused = serde_json::json!({ "by": "somebody", "reason": "a test" });
    log.append(&[NewFrame::new("paused", &paused).unwrap()]).unwrap();
    log.sync().unwrap();
    log.write_head().unwrap();
}

#[test]
fn a_clock_that_was_set_back_stops_everything_that_writes_until_a_person_accepts_it() {
    let world = World::new(20);
    world.run(&["audit"]).expect(0);
    append_at(&world, clock() + jiff::SignedDuration::from_hours(5));
    for command in [&["audit"][..], &["pause", "--reason", "x"]] {
        let said = world.run(command).expect(6).stderr;
        assert!(said.contains("clock") && said.contains("untether state accept-clock"), "{said}");
    }
    // Who only reads is not stopped.
    world.run(&["findings"]).expect(0);
    world.run(&["status"]).expect(0);
    world.run(&["state", "accept-clock", "--reason", "the virtual machine had woken up in the future"]).expect(0);
    world.run(&["audit"]).expect(0);
}

#[test]
fn a_state_of_a_newer_version_is_left_alone() {
    let world = World::new(20);
    let segment = world.state().join("ledger/00000001.log");
    let record = br#"{"v":2,"sequence":3}"#;
    let mut file = fs::OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(&u32::try_from(record.len()).unwrap().to_le_bytes()).unwrap();
    file.write_all(&crc32c::crc32c(record).to_le_bytes()).unwrap();
    file.write_all(record).unwrap();
    let before = fs::read(&segment).unwrap();
    for command in [&["audit"][..], &["state", "check"], &["state", "rebuild"], &["pause", "--reason", "x"], &["status"]] {
        let said = world.run(command).expect(6).said();
        assert!(said.contains("newer version"), "{said}");
    }
    assert_eq!(fs::read(&segment).unwrap(), before);
}

#[test]
fn a_plan_whose_file_was_changed_cut_or_lost_is_not_carried_out() {
    let world = World::new(80);
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "disable", 1);
    let before = world.dumps();
    let files: Vec<_> = fs::read_dir(world.state().join("plans")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(files.len() >= 2, "a header and its waves: {files:?}");
    let contents: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let bend = |how: &dyn Fn(&Path, &[u8])| {
        files.iter().zip(&contents).for_each(|(file, content)| how(file, content));
        let said = world.run(&["run", "--wave", "retire", "--execute"]);
        assert!(matches!(said.code, Some(4 | 6)) && said.stderr.contains("plan"), "{said:?}");
        files.iter().zip(&contents).for_each(|(file, content)| fs::write(file, content).unwrap());
    };
    bend(&|file, content| {
        let mut changed = content.to_vec();
        changed[content.len() / 2] ^= 1;
        fs::write(file, changed).unwrap();
    });
    bend(&|file, content| fs::write(file, &content[..content.len() - 1]).unwrap());
    bend(&|file, _| fs::write(file, b"").unwrap());
    bend(&|file, _| fs::remove_file(file).unwrap());
    assert_eq!(before.differences(&world.dumps(), &[]), [""; 0]);
    let ran = world.run(&["run", "--wave", "retire", "--execute", "--through", "disable"]);
    assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    assert_ne!(before.differences(&world.dumps(), &[]), [""; 0], "with its files the plan is carried out");
}
