//! Entries of an audit come in the order that their reader asks for, each with its number, and no others.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use untether_audit::stored::StoredAudit;
use untether_ledger::{Disk, KeyStore, MemoryStorage, StateDir};
use untether_model::Side;
use untether_model::snapshot::SnapshotEntry;

use crate::support::laboratory::{audit_into, policy};

#[tokio::test]
async fn entries_come_in_the_order_of_their_numbers_and_unwanted_ones_do_not_come() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures/hand");
    let state = StateDir::create(Disk::new(MemoryStorage::new()), "/state").unwrap();
    let keys = KeyStore::create(&state).unwrap();
    let audited = audit_into((&state, &keys), &directory, &policy(false), None).await.unwrap();
    let stored = StoredAudit::open(&state, &keys, &audited.outcome.snapshot).unwrap();
    let all: Vec<SnapshotEntry> = stored.entries(Side::Shared).unwrap().map(Result::unwrap).collect();
    assert!(all.len() > 10, "{} entries", all.len());
    // Backwards, two of each number, and the last ones of the file are not wanted.
    let wanted = all.len() - 4;
    let number = |at: usize| u32::try_from((wanted - at) / 2).unwrap();
    let places: BTreeMap<_, _> = all.iter().take(wanted).enumerate().map(|(at, entry)| (entry.dn.clone(), number(at))).collect();
    let take = |most: usize| {
        let mut taken: Vec<(u32, SnapshotEntry)> = Vec::new();
        let mut each = |number, entry| {
            taken.push((number, entry));
            if taken.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        stored.each_arranged(Side::Shared, &mut |dn| places.get(dn).copied(), &mut each).unwrap();
        taken
    };
    let taken = take(usize::MAX);
    assert!(taken.is_sorted_by_key(|(number, _)| *number));
    assert_eq!(taken.len(), wanted);
    for (number, entry) in &taken {
        assert_eq!(places.get(&entry.dn), Some(number));
        assert!(all.contains(entry), "{} is another", entry.dn);
    }
    assert_eq!(take(3), taken[..3]);
}
