//! Any single write of an audit may fail: the audit says so, nothing half is taken for whole, and the same audit can be made again.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use untether_ledger::storage::Fault;
use untether_ledger::{Disk, KeyStore, MemoryStorage, StateDir};

use crate::support::laboratory::{audit_into, policy};

/// A disk that is full, one that turned read-only, one that is broken; and the words by which each is told.
const FAULTS: [(ErrorKind, &str); 3] = [
    (ErrorKind::StorageFull, "the disk is full"),
    (ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
    (ErrorKind::Other, "cannot "),
];

fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}

#[tokio::test]
async fn any_write_of_an_audit_may_fail_and_the_same_audit_can_be_made_again() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures/hand");
    let policy = policy(false);
    let begin = || {
        let storage = MemoryStorage::new();
        let state = StateDir::create(Disk::new(storage.clone()), "/state").unwrap();
        let keys = KeyStore::create(&state).unwrap();
        (storage, state, keys)
    };
    let (storage, state, keys) = begin();
    let first = storage.operations();
    let whole = audit_into((&state, &keys), &directory, &policy, None).await.unwrap();
    let writes = storage.operations() - first;
    assert!(writes > 30, "{writes} writes");
    for (kind, words) in FAULTS {
        let mut left_over = 0;
        for write in 0..writes {
            let (storage, state, keys) = begin();
            storage.fault_at(storage.operations() + write, Fault::Error(kind));
            let failed = audit_into((&state, &keys), &directory, &policy, None).await;
            assert!(storage.fault_fired(), "{kind:?}: write {write} is never reached");
            match failed {
                Err(error) => assert!(chain(&error).contains(words), "{kind:?} at write {write}: {}", chain(&error)),
                // A scratch file that could not be removed is in nobody's way.
                Ok(whole_all_the_same) => {
                    left_over += 1;
                    assert_eq!(whole_all_the_same.findings, whole.findings, "{kind:?} at write {write}");
                }
            }
            let again = audit_into((&state, &keys), &directory, &policy, None).await.unwrap();
            assert_eq!(again.findings, whole.findings, "{kind:?} at write {write}");
        }
        assert!(left_over * 8 < writes, "{left_over} of {writes} writes failed and were not noticed");
    }
}
