//! A state directory is its owner's alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use untether_ledger::{Disk, KeyError, KeyStore, LedgerError, StateDir, SystemClock, create_state};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn everything_is_made_for_its_owner_alone_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    let made = create_state(&root, Arc::new(SystemClock::new())).unwrap();
    assert_eq!(made.state.as_str().len(), 36);
    for name in [".", "ledger", "keys", "snapshots", "findings", "plans", "blobs", "handover"] {
        assert_eq!(mode(&root.join(name)), 0o700, "{name}");
    }
    for name in ["keys/state.key", "ledger/00000001.log", "ledger/HEAD", "state.lock"] {
        assert_eq!(mode(&root.join(name)), 0o600, "{name}");
    }
    let key = fs::read(root.join("keys/state.key")).unwrap();
    let again = create_state(&root, Arc::new(SystemClock::new()));
    assert!(matches!(again, Err(KeyError::State(LedgerError::Exists(path))) if path == root));
    assert_eq!(fs::read(root.join("keys/state.key")).unwrap(), key);
}

#[test]
fn an_interrupted_creation_goes_on_and_keeps_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    let state = StateDir::create(Disk::real(), &root).unwrap();
    let recipient = KeyStore::create(&state).unwrap().recipient();
    let made = create_state(&root, Arc::new(SystemClock::new())).unwrap();
    assert!(made.kept_key);
    assert_eq!(made.recipient, recipient);
}

#[test]
fn a_state_that_others_can_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    create_state(&root, Arc::new(SystemClock::new())).unwrap();
    let state = StateDir::open(Disk::real(), &root).unwrap();

    let key = root.join("keys/state.key");
    for exposed in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, Permissions::from_mode(exposed)).unwrap();
        let error = KeyStore::open(&state).unwrap_err();
        assert!(matches!(&error, KeyError::State(LedgerError::Exposed { wanted: 0o600, .. })), "{error}");
        assert!(error.to_string().contains("chmod 0600"));
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    KeyStore::open(&state).unwrap();

    fs::set_permissions(&root, Permissions::from_mode(0o750)).unwrap();
    assert!(matches!(StateDir::open(Disk::real(), &root), Err(LedgerError::Exposed { wanted: 0o700, .. })));
}

#[test]
fn what_is_no_state_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(StateDir::open(Disk::real(), dir.path()), Err(LedgerError::Missing(_))));
    assert!(matches!(StateDir::open(Disk::real(), dir.path().join("nowhere")), Err(LedgerError::Missing(_))));
}

#[test]
fn a_handover_file_stays_in_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::create(Disk::real(), dir.path().join("state")).unwrap();
    let path = state.write_handover("b01.age", b"age").unwrap();
    assert_eq!(mode(&path), 0o600);
    for bad in ["../keys/state.key", "", ".", "..", "a/b", "/etc/x"] {
        assert!(state.write_handover(bad, b"x").is_err(), "{bad}");
    }
}
