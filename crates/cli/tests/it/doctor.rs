//! `untether doctor`: what it finds in a healthy pair, and what it says of each thing that can be wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use untether_testkit::lab::{Authority, CertificateKind, Role};

use crate::support::{Ran, World, of};

/// The rows of a store that did not pass.
fn failures(ran: &Ran, store: &str) -> Vec<Value> {
    ran.rows().into_iter().filter(|row| row["result"] == "FAIL" && row["store"] == store).collect()
}

#[track_caller]
fn fails_with(world: &World, store: &str, check: &str, words: &str) {
    let ran = world.run(&["--json", "doctor"]).expect(1);
    let failed = failures(&ran, store);
    let row = failed.iter().find(|row| row["check"] == check).unwrap_or_else(|| panic!("no FAIL of {check}: {failed:?}"));
    let said = format!("{} {}", row["details"], row["fix"]);
    assert!(said.contains(words), "{words:?} is not in {said}");
    assert!(!row["fix"].as_str().unwrap_or_default().is_empty(), "no fix: {row}");
    let other = if store == "shared" { "independent" } else { "shared" };
    assert!(failures(&ran, other).is_empty(), "one store hides the other: {:?}", failures(&ran, other));
    assert!(
        ran.rows().iter().any(|row| row["store"] == other && row["check"] == "canary" && row["result"] == "ok"),
        "the other store was not checked to its end"
    );
}

#[test]
fn a_healthy_pair_passes_every_check() {
    let world = World::new(30);
    let ran = world.run(&["--json", "doctor"]).expect(0);
    for row in ran.rows() {
        assert_eq!(row["schema"], "untether.doctor/1", "{row}");
        // RFC 5805 transactions are not used, and the row says so: everything else must pass.
        let wanted = if row["check"] == "control transactions" { "skipped" } else { "ok" };
        assert_eq!(row["result"], wanted, "{row}");
    }
    let checks: Vec<String> =
        ran.rows().iter().map(|row| format!("{} {}", row["store"], row["check"]).replace('"', "")).collect();
    for check in [
        "shared connection",
        "shared write right",
        "shared undo right",
        "shared clock",
        "shared locking policy",
        "independent last bind",
        "system state",
    ] {
        assert!(checks.iter().any(|c| c == check), "{check} is not in {checks:?}");
    }
    let text = world.run(&["doctor"]).expect(0);
    assert!(
        text.stdout.lines().all(|line| line.contains(" ok ") || line.contains("control transactions"))
            || text.stdout.contains("every check passed"),
        "{}",
        text.stdout
    );

    let acl = world.run(&["--json", "doctor", "--acl"]).expect(0).stdout;
    for dn in ["cn=untether-reader,ou=system,dc=shared,dc=example", "cn=untether-undo,ou=system,dc=own,dc=example"] {
        assert!(acl.contains(dn), "{acl}");
    }

    one_wrong_thing_at_a_time(&world);
}

/// Each on the same pair: a laboratory costs more than a look at it.
fn one_wrong_thing_at_a_time(world: &World) {
    let original = std::fs::read_to_string(&world.config).unwrap();
    let again = || std::fs::write(&world.config, &original).unwrap();
    let secret = |text: &str| {
        let path = world.directory().join("other-secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let reader = world.pair.shared.description().identities[&Role::Reader].password_file.display().to_string();
    let wrong = secret("not the password");
    world.configure(&reader, &wrong.display().to_string());
    fails_with(world, "shared", "read bind", "invalid credentials");
    again();

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.configure(&world.pair.independent.description().ldaps_url.clone(), &format!("ldaps://{closed}"));
    fails_with(world, "independent", "connection", "refused");
    again();

    let other_ca = world.directory().join("other-ca.pem");
    Authority::create("Another CA", &other_ca).unwrap();
    replace_once(&world.config, &world.pair.ca_file().display().to_string(), &other_ca.display().to_string());
    fails_with(world, "shared", "connection", "ca_files");
    again();

    world.configure("base = \"ou=people,dc=own,dc=example\", filter", "base = \"ou=nowhere,dc=own,dc=example\", filter");
    fails_with(world, "independent", "base ou=nowhere,dc=own,dc=example", "does not exist");
    again();

    refuses_bad_configuration(world, &original, &secret(""));
}

fn replace_once(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn refuses_bad_configuration(world: &World, original: &str, empty: &Path) {
    let refused = |words: &[&str]| {
        let ran = world.run(&["doctor"]).expect(2);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
        }
    };
    let again = || std::fs::write(&world.config, original).unwrap();
    world.configure("dormant_days", "dormant_dys");
    refused(&["dormant_dys", "did you mean `dormant_days`?", "line "]);
    again();

    let reader = &world.pair.shared.description().identities[&Role::Reader].password_file;
    let open = |mode| std::fs::set_permissions(reader, std::fs::Permissions::from_mode(mode)).unwrap();
    open(0o644);
    refused(&["can be read by others", "chmod 600"]);
    open(0o600);

    world.configure(&reader.display().to_string(), &empty.display().to_string());
    refused(&["empty"]);
    again();

    std::fs::remove_file(&world.config).unwrap();
    refused(&["cannot be read", "untether init"]);
    again();
    std::fs::write(&world.config, &original[..original.len() / 2]).unwrap();
    world.run(&["doctor"]).expect(2);
}

#[test]
fn an_expired_certificate_is_told_as_such() {
    let world = World::without_rights(&of(5), |pair| pair.shared(|server| server.certificate(CertificateKind::Expired)));
    world.ask_for_rights(&[world.pair.independent.description()]);
    world.run(&["init"]).expect(0);
    fails_with(&world, "shared", "connection", "expired");
}

#[test]
fn a_certificate_for_another_name_is_told_as_such() {
    let world = World::without_rights(&of(5), |pair| pair.independent(|server| server.certificate(CertificateKind::WrongName)));
    world.ask_for_rights(&[world.pair.shared.description()]);
    world.run(&["init"]).expect(0);
    fails_with(&world, "independent", "connection", "name");
}

#[test]
fn a_right_that_is_missing_is_told_apart_from_an_attribute_that_is_absent() {
    let world = World::new(5);
    let server = &world.pair.shared;
    for (role, attributes) in [(Role::Reader, "userPassword"), (Role::Writer, "pwdAccountLockedTime,userPassword")] {
        server.rule_first(&format!("to attrs={attributes} by dn.exact=\"{}\" none by * break", server.dn(role))).unwrap();
    }
    server.only_limit("users", 10).unwrap();
    fails_with(&world, "shared", "read right", "userPassword");
    fails_with(&world, "shared", "write right", "userPassword");
    fails_with(&world, "shared", "search limit", "olcLimits");
}

#[test]
fn policies_and_records_of_logins_that_do_not_fit_are_told() {
    let world = World::bent(5, |pair| pair.independent(|server| server.without_last_bind()));
    fails_with(&world, "independent", "last bind", "olcLastBind");
    world.configure("locking_policy = \"cn=locking,", "locking_policy = \"cn=nolock,");
    let ran = world.run(&["--json", "doctor"]).expect(1);
    let failed = failures(&ran, "shared");
    assert!(failed.iter().any(|row| row["check"] == "locking policy"), "{failed:?}");
}

#[test]
fn a_state_directory_that_others_can_read_is_told() {
    let world = World::new(5);
    std::fs::set_permissions(world.state(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = world.run(&["--json", "doctor"]).expect(1);
    assert!(
        failures(&ran, "system").iter().any(|row| row["check"] == "state" && row["fix"].to_string().contains("chmod")),
        "{ran:?}"
    );
}
