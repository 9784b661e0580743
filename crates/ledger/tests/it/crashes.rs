//! Nothing that was acknowledged is lost, wherever the process or the machine dies and wherever the disk is full.

use untether_ledger::storage::{Crash, Fault};
use untether_ledger::{LedgerError, NewFrame};

use crate::support::{World, note};

/// Creates a ledger and appends groups, over several segments; `acknowledged` gets each note once it is durable.
fn work(world: &World, acknowledged: &mut Vec<String>) -> Result<(), LedgerError> {
    let mut log = world.create()?;
    for group in 0..12 {
        let texts: Vec<String> = (0..3).map(|n| format!("{group}.{n}")).collect();
        let notes: Vec<NewFrame> = texts.iter().map(|text| note(text)).collect();
        log.append(&notes)?;
        log.sync()?;
        acknowledged.extend(texts);
        if group % 4 == 1 {
            log.write_head()?;
        }
    }
    Ok(())
}

fn reopen_and_go_on(world: &World, acknowledged: &[String], what: &str) {
    let mut log = match world.open() {
        Ok((log, _)) => log,
        Err(LedgerError::Missing(_)) => {
            assert!(acknowledged.is_empty(), "{what}");
            world.create().unwrap_or_else(|error| panic!("{what}: {error}"))
        }
        // The ledger's own directory did not survive.
        Err(LedgerError::Storage(error)) if error.is_missing() && acknowledged.is_empty() => world.create().unwrap(),
        Err(error) => panic!("{what}: {error}"),
    };
    let notes = world.notes();
    assert_eq!(&notes[..acknowledged.len()], acknowledged, "{what}");
    log.append(&[note("after")]).unwrap();
    log.sync().unwrap();
    assert_eq!(world.notes().last().map(String::as_str), Some("after"), "{what}");
    assert_eq!(world.notes().len(), notes.len() + 1, "{what}");
    let check = world.check();
    assert!(check.is_sound() && check.torn.is_none(), "{what}: {check:?}");
}

#[test]
fn death_at_every_operation_loses_nothing_acknowledged() {
    let world = World::new(1500);
    work(&world, &mut Vec::new()).unwrap();
    let operations = world.storage.operations();
    assert!(world.check().segments.len() > 4, "the work goes over several segments");
    let crashes = [Crash::Process, Crash::Power, Crash::PowerKeeping(1), Crash::PowerKeeping(300), Crash::PowerKeeping(1 << 20)];
    for crash in crashes {
        for operation in 0..operations {
            let world = World::new(1500);
            world.storage.fault_at(operation, Fault::Dies);
            let mut acknowledged = Vec::new();
            assert!(work(&world, &mut acknowledged).is_err());
            assert!(world.storage.fault_fired(), "operation {operation} is never reached");
            world.storage.crash(crash);
            reopen_and_go_on(&world, &acknowledged, &format!("{crash:?} at operation {operation}"));
        }
    }
}

#[test]
fn death_while_opening_after_a_death_loses_nothing_either() {
    let mut torn_once = false;
    for first in 0.. {
        let world = World::new(1500);
        world.storage.fault_at(first, Fault::Dies);
        let mut acknowledged = Vec::new();
        if work(&world, &mut acknowledged).is_ok() {
            break;
        }
        world.storage.crash(Crash::PowerKeeping(150));
        torn_once |= !acknowledged.is_empty() && world.check().torn.is_some();
        for further in 0..8 {
            // Each further opening gets one operation further than the one before it.
            world.storage.fault_at(world.storage.operations() + further, Fault::Dies);
            if world.open().is_ok() {
                break;
            }
            world.storage.crash(Crash::PowerKeeping(150));
        }
        world.storage.crash(Crash::Power);
        reopen_and_go_on(&world, &acknowledged, &format!("twice, first at {first}"));
    }
    assert!(torn_once, "a torn end was met");
}

#[test]
fn a_failed_write_or_sync_stops_the_log_and_is_never_tried_again() {
    let world = World::new(1 << 20);
    let mut log = world.create().unwrap();
    log.append(&[note("lost")]).unwrap();
    world.storage.fault_at(world.storage.operations(), Fault::Error(std::io::ErrorKind::Other));
    assert!(matches!(log.sync(), Err(LedgerError::Storage(_))));
    assert!(matches!(log.sync(), Err(LedgerError::Poisoned)));
    assert!(matches!(log.append(&[note("more")]), Err(LedgerError::Poisoned)));
    assert!(matches!(log.write_head(), Err(LedgerError::Poisoned)));
}

#[test]
fn a_full_disk_is_named_and_loses_nothing_acknowledged() {
    let whole = World::new(1500);
    work(&whole, &mut Vec::new()).unwrap();
    let total: usize = whole.check().segments.iter().map(|segment| usize::try_from(segment.bytes).unwrap()).sum();
    for capacity in (0..total).step_by(23) {
        let world = World::new(1500);
        world.storage.limit(Some(capacity));
        let mut acknowledged = Vec::new();
        let error = work(&world, &mut acknowledged).unwrap_err();
        assert!(matches!(&error, LedgerError::Storage(error) if error.is_full()), "{error}");
        assert!(error.to_string().contains("'/ledger/") && error.to_string().contains("the disk is full"), "{error}");
        world.storage.limit(None);
        reopen_and_go_on(&world, &acknowledged, &format!("capacity {capacity}"));
    }
}

#[test]
fn a_full_file_system_is_named_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "SKIPPED a_full_file_system…: a tmpfs can only be mounted as root").unwrap();
        return;
    }
    struct Mounted<'a>(&'a std::path::Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0).status();
        }
    }
    let _mounted = Mounted(dir.path());
    let ledger = dir.path().join("ledger");
    let clock = std::sync::Arc::new(untether_ledger::SystemClock::new());
    let disk = untether_ledger::Disk::real();
    let how =
        untether_ledger::log::CreateLog { disk: disk.clone(), dir: ledger.clone(), clock: clock.clone(), segment_bytes: 50_000 };
    let mut log = untether_ledger::Log::create(how).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        let text = format!("{acknowledged:06}{}", "x".repeat(900));
        match log.append(&[note(&text)]).and_then(|_| log.sync()) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LedgerError::Storage(error) if error.is_full()), "{error}");
    drop(log);
    std::fs::remove_file(ledger.join("HEAD")).unwrap();
    let mut reader = untether_ledger::Reader::open(&disk, &ledger).unwrap();
    let mut found = 0;
    while let Some(frame) = reader.next_frame().unwrap() {
        if frame.kind == "note" {
            assert!(frame.read_body::<String>().unwrap().starts_with(&format!("{found:06}")));
            found += 1;
        }
    }
    assert!(found >= acknowledged && acknowledged > 100, "{found} of {acknowledged}");
}
