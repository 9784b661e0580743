//! A database that is deleted, emptied, damaged, foreign or ahead.

use std::fs;

use untether_journal::{JournalError, OpenJournal, Opened, Rebuilt, ReplayError};
use untether_ledger::LedgerError;

use crate::support::{RealWorld, fold, note, parts, runtime};

/// A state with some notes in it, closed well.
fn filled() -> RealWorld {
    let world = RealWorld::new();
    runtime().block_on(async {
        let (journal, report, _) = world.start();
        assert_eq!(report.rebuilt, Some(Rebuilt::Missing));
        for n in 0..300 {
            journal.append(vec![note(&format!("k{n:03}"), &"v".repeat(n * 20))]).await.unwrap();
        }
        journal.close().await.unwrap();
    });
    world
}

fn expect_all(world: &RealWorld) -> (Option<Rebuilt>, u64) {
    let (journal, report, replayed) = world.start();
    runtime().block_on(async {
        let parts = parts(&journal).await;
        assert_eq!(parts.len(), 300);
        for n in 0..300 {
            assert_eq!(parts[&format!("k{n:03}")], "v".repeat(n * 20));
        }
        journal.close().await.unwrap();
    });
    (report.rebuilt, replayed)
}

#[test]
fn a_state_that_was_closed_well_opens_without_replay() {
    let world = filled();
    assert_eq!(expect_all(&world), (None, 0));
}

#[test]
fn a_deleted_database_is_made_again() {
    let world = filled();
    fs::remove_dir_all(world.path("sled")).unwrap();
    assert_eq!(expect_all(&world), (Some(Rebuilt::Missing), 301));
    assert_eq!(expect_all(&world), (None, 0));
}

#[test]
fn an_emptied_database_is_made_again() {
    let world = filled();
    fs::write(world.path("sled/db"), b"").unwrap();
    let (rebuilt, replayed) = expect_all(&world);
    assert!(matches!(rebuilt, Some(Rebuilt::Empty | Rebuilt::Unreadable(_))), "{rebuilt:?}");
    assert_eq!(replayed, 301);
}

#[test]
fn a_damaged_database_is_brought_up_or_made_again() {
    let mut made_again = 0;
    for place in 0..12 {
        let world = filled();
        let path = world.path("sled/db");
        let mut bytes = fs::read(&path).unwrap();
        let from = bytes.len() * place / 12;
        bytes.iter_mut().skip(from).take(3000).for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, bytes).unwrap();
        made_again += u32::from(expect_all(&world).0.is_some());
    }
    for length in [100, 5000, 200_000, 400_000] {
        let world = filled();
        fs::OpenOptions::new().write(true).open(world.path("sled/db")).unwrap().set_len(length).unwrap();
        made_again += u32::from(expect_all(&world).0.is_some());
    }
    assert!(made_again > 0);
}

/// The database itself, once nobody holds it: a process that another test is just starting has a copy of every file that was open then,
/// until it begins its own program.
fn database(world: &RealWorld) -> sled::Db {
    let file = fs::File::open(world.path("sled").join("db")).unwrap();
    file.lock().unwrap();
    file.unlock().unwrap();
    sled::open(world.path("sled")).unwrap()
}

#[test]
fn an_entry_that_is_missing_or_stale_is_found_on_opening() {
    for tamper in [
        (|db: &sled::Db| drop(db.remove(b"pk150").unwrap())) as fn(&sled::Db),
        |db| drop(db.insert(b"pk150", b"\0older").unwrap()),
        |db| drop(db.insert(b"pk999", b"\0from nowhere").unwrap()),
        |db| drop(db.remove(b"ck250\0\0\0\x01").unwrap()),
    ] {
        let world = filled();
        let db = database(&world);
        let before = db.checksum().unwrap();
        tamper(&db);
        assert_ne!(db.checksum().unwrap(), before, "there was something to tamper with");
        db.flush().unwrap();
        drop(db);
        let (rebuilt, replayed) = expect_all(&world);
        assert!(matches!(rebuilt, Some(Rebuilt::Unreadable(_))), "{rebuilt:?}");
        assert_eq!(replayed, 301);
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_set_aside() {
    let world = filled();
    fs::remove_file(world.path("sled/db")).unwrap();
    fs::create_dir(world.path("sled/db")).unwrap();
    let (rebuilt, _) = expect_all(&world);
    assert!(matches!(rebuilt, Some(Rebuilt::Unreadable(_))), "{rebuilt:?}");
    assert!(world.path("sled.broken/db").exists());
    assert_eq!(expect_all(&world), (None, 0));
}

#[test]
fn the_database_of_another_state_is_not_used() {
    let (world, other) = (filled(), filled());
    fs::remove_dir_all(world.path("sled")).unwrap();
    fs::rename(other.path("sled"), world.path("sled")).unwrap();
    assert_eq!(expect_all(&world), (Some(Rebuilt::Foreign), 301));
}

#[test]
fn parts_in_another_form_are_made_again() {
    let world = filled();
    let mut opened = Opened::open(OpenJournal { parts_version: 2, ..world.how() }).unwrap();
    assert_eq!(opened.report().rebuilt, Some(Rebuilt::OtherVersion));
    let mut there = 0;
    opened.each_part(b"", &mut |_, _| there += 1).unwrap();
    assert_eq!(there, 0, "nothing of the old form is left");
    opened.replay(|frame, _| fold(frame)).unwrap();
    opened.start().unwrap();
}

#[test]
fn a_database_ahead_of_the_ledger_means_a_lost_tail_until_a_person_accepts_it() {
    let world = filled();
    let ledger = world.path("ledger/00000001.log");
    let length = fs::metadata(&ledger).unwrap().len();
    // Ledger and witness come from an older backup, the database does not.
    fs::OpenOptions::new().write(true).open(&ledger).unwrap().set_len(length - 10).unwrap();
    fs::remove_file(world.path("ledger/HEAD")).unwrap();
    let error = world.open().unwrap_err();
    assert!(error.is_state());
    assert!(error.to_string().contains("the state database knows of record 301"), "{error}");
    assert_eq!(fs::metadata(&ledger).unwrap().len(), length - 10, "nothing was cut off");

    let mut opened = Opened::open(OpenJournal { accept_loss: true, ..world.how() }).unwrap();
    let report = opened.report().clone();
    assert_eq!(report.rebuilt, Some(Rebuilt::Ahead));
    let loss = report.loss.unwrap();
    assert_eq!((loss.witnessed_seq, loss.head_seq), (Some(301), 300));
    opened.replay(|frame, _| fold(frame)).unwrap();
    let journal = opened.start().unwrap();
    runtime().block_on(async {
        assert_eq!(parts(&journal).await.len(), 299);
        journal.close().await.unwrap();
    });
    world.open().unwrap();
}

#[test]
fn a_second_opener_is_told_who_has_the_state() {
    let world = filled();
    let first = world.open().unwrap();
    let error = world.open().unwrap_err();
    assert!(
        matches!(&error, JournalError::Ledger(error) if matches!(&**error, LedgerError::InUse { pid: Some(pid), .. } if *pid == std::process::id()))
    );
    drop(first);
    world.open().unwrap();
}

#[test]
fn a_database_that_somebody_else_has_open_is_in_use() {
    let world = filled();
    let db = database(&world);
    let error = world.open().unwrap_err();
    assert!(matches!(&error, JournalError::Ledger(error) if matches!(**error, LedgerError::InUse { .. })), "{error}");
    drop(db);
    assert_eq!(expect_all(&world), (None, 0));
}

#[test]
fn a_record_that_cannot_be_folded_is_named() {
    let world = filled();
    fs::remove_dir_all(world.path("sled")).unwrap();
    let mut opened = world.open().unwrap();
    let replayed = opened.replay(|frame, _| if frame.seq() == 5 { Err(std::fmt::Error) } else { Ok(Vec::new()) });
    let error = replayed.unwrap_err();
    assert!(matches!(error, ReplayError::Fold { seq: 5, .. }));
    assert_eq!(error.to_string(), "record 5 (note) of the ledger cannot be folded");
}

#[test]
fn a_damaged_ledger_is_refused_with_the_database_untouched() {
    let world = filled();
    let ledger = world.path("ledger/00000001.log");
    let mut bytes = fs::read(&ledger).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&ledger, &bytes).unwrap();
    let error = world.open().unwrap_err();
    assert!(error.is_state());
    assert!(error.to_string().contains("00000001.log' is damaged at byte"), "{error}");
    bytes[middle] ^= 1;
    fs::write(&ledger, &bytes).unwrap();
    assert_eq!(expect_all(&world), (None, 0));
}
