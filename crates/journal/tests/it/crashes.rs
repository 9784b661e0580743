//! Crash points and full disks, in memory: after an error nothing more is acknowledged, and what was is there.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::process::Command;
use std::sync::Arc;

use untether_journal::{Journal, JournalError, Opened};
use untether_ledger::storage::{Crash, Fault};
use untether_ledger::{Clock, Disk, LedgerError, StateDir, SystemClock, create_state};

use crate::support::{MemoryWorld, fold, how, note, parts, runtime};

async fn work(journal: &Journal, acknowledged: &mut BTreeMap<String, String>) -> Result<(), JournalError> {
    for n in 0..20 {
        let (key, value) = (format!("k{}", n % 7), n.to_string());
        journal.append(vec![note(&key, &value)]).await?;
        acknowledged.insert(key, value);
        if n % 6 == 5 {
            journal.write_head().await?;
        }
    }
    Ok(())
}

#[test]
fn a_crash_at_every_operation_keeps_what_was_acknowledged() {
    runtime().block_on(async {
        let whole = MemoryWorld::new(900);
        let journal = whole.start(900).unwrap();
        let first = whole.storage.operations();
        work(&journal, &mut BTreeMap::new()).await.unwrap();
        let last = whole.storage.operations();
        for crash in [Crash::Process, Crash::Power, Crash::PowerKeeping(100)] {
            for operation in first..last {
                let world = MemoryWorld::new(900);
                let journal = world.start(900).unwrap();
                world.storage.fault_at(operation, Fault::Dies);
                let mut acknowledged = BTreeMap::new();
                work(&journal, &mut acknowledged).await.unwrap_err();
                assert!(world.storage.fault_fired(), "operation {operation} is never reached");
                world.storage.crash(crash);
                drop(journal);
                if operation % 3 == 0 {
                    world.database.clear();
                }
                let journal = world.start(900).unwrap();
                let after = parts(&journal).await;
                for (key, value) in &acknowledged {
                    // The record after the last acknowledged one may have become durable.
                    let there: u32 = after[key].parse().unwrap();
                    assert!(there >= value.parse().unwrap(), "{crash:?} at {operation}: {key}");
                }
                work(&journal, &mut acknowledged).await.unwrap();
                assert_eq!(parts(&journal).await, acknowledged);
            }
        }
    });
}

#[test]
fn after_a_failed_sync_everybody_gets_the_cause_and_nothing_more_is_taken() {
    runtime().block_on(async {
        let world = MemoryWorld::new(1 << 20);
        let journal = world.start(1 << 20).unwrap();
        journal.append(vec![note("k", "1")]).await.unwrap();
        world.storage.fault_at(world.storage.operations() + 1, Fault::Error(ErrorKind::Other));
        for _ in 0..3 {
            let error = journal.append(vec![note("k", "2")]).await.unwrap_err();
            assert_eq!(error.to_string(), "cannot sync '/state/ledger/00000001.log'");
        }
        assert_eq!(parts(&journal).await["k"], "1");
        assert!(journal.close().await.is_err());
    });
}

#[test]
fn a_full_disk_stops_the_run_with_a_hint_and_it_goes_on_with_room() {
    runtime().block_on(async {
        let world = MemoryWorld::new(1 << 20);
        world.storage.limit(Some(3000));
        let journal = world.start(1 << 20).unwrap();
        let mut acknowledged = BTreeMap::new();
        let error = work(&journal, &mut acknowledged).await.unwrap_err();
        assert!(
            matches!(&error, JournalError::Ledger(error) if matches!(&**error, LedgerError::Storage(error) if error.is_full()))
        );
        assert!(error.to_string().contains("free space and run again"), "{error}");
        assert!(!error.is_state());
        drop(journal);
        world.storage.limit(None);
        let journal = world.start(1 << 20).unwrap();
        assert_eq!(parts(&journal).await, acknowledged);
    });
}

#[test]
fn a_database_that_lost_its_latest_writes_is_brought_up_to_the_ledger() {
    runtime().block_on(async {
        let mut world = MemoryWorld::new(1 << 20);
        let journal = world.start(1 << 20).unwrap();
        journal.append(vec![note("a", "1")]).await.unwrap();
        let old = world.database.snapshot();
        journal.append(vec![note("a", "2"), note("b", "1")]).await.unwrap();
        drop(journal);
        world.database = old;
        let opened = world.open(1 << 20).unwrap();
        assert_eq!((opened.report().lag, opened.report().rebuilt.clone()), (2, None));
        assert!(matches!(opened.start_inside(), Err(JournalError::Lagging(2))));
        let journal = world.start(1 << 20).unwrap();
        assert_eq!(parts(&journal).await, BTreeMap::from([("a".to_owned(), "2".to_owned()), ("b".to_owned(), "1".to_owned())]));
    });
}

/// A small file system of its own, until dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    fn grow(&self, size: &str) {
        let grown = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(self.0.path()).status().unwrap();
        assert!(grown.success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: threads of a database that failed may still hold its files.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_file_system_stops_the_run_and_it_goes_on_with_room() {
    let Some(tmpfs) = Tmpfs::mount("6m") else {
        writeln!(std::io::stderr(), "SKIPPED a_full_file_system…: a tmpfs can only be mounted as root").unwrap();
        return;
    };
    let root = tmpfs.0.path().join("state");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    create_state(&root, clock.clone()).unwrap();
    let open = || {
        let mut opened = Opened::open(how(StateDir::open(Disk::real(), &root).unwrap(), clock.clone(), 1 << 20)).unwrap();
        opened.replay(|frame, _| fold(frame)).unwrap();
        opened.start().unwrap()
    };
    runtime().block_on(async {
        let journal = open();
        let mut acknowledged = BTreeMap::new();
        let error = loop {
            let (key, value) = (format!("k{:05}", acknowledged.len()), "v".repeat(700));
            match journal.append(vec![note(&key, &value)]).await {
                Ok(_) => drop(acknowledged.insert(key, value)),
                Err(error) => break error,
            }
        };
        assert!(acknowledged.len() > 500, "{}: {error}", acknowledged.len());
        assert!(!error.is_state(), "{error}");
        assert!(journal.append(vec![note("more", "x")]).await.is_err());
        drop(journal);
        tmpfs.grow("64m");
        let journal = open();
        let there = parts(&journal).await;
        assert!(acknowledged.iter().all(|(key, value)| there.get(key) == Some(value)));
        journal.append(vec![note("more", "x")]).await.unwrap();
        journal.close().await.unwrap();
    });
}
