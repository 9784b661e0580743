//! What a newer version wrote is read and not appended to; the clock never goes back unnoticed.

use std::path::Path;

use untether_ledger::{ClockPolicy, LedgerError, NewFrame, Reader};

use crate::support::{LEDGER, World, note, put};

#[test]
fn a_kind_of_record_that_is_not_known_is_read_but_not_appended_to() {
    let world = World::new(1000);
    let mut log = world.create().unwrap();
    log.append(&[NewFrame::new("teleported", &1).unwrap()]).unwrap();
    log.sync().unwrap();
    for at_end in [true, false] {
        let error = world.open().unwrap_err();
        assert!(matches!(&error, LedgerError::Newer(what) if what.contains("teleported")), "{error}");
        assert!(error.is_state());
        assert!(world.check().is_sound());
        assert_eq!(world.check().kinds["teleported"], 1);
        if at_end {
            // In a later segment it is still known that an earlier one has such a record.
            for n in 0..10 {
                put(&mut log, &format!("note {n}"));
            }
            assert!(world.check().segments.len() > 2);
        }
    }
}

#[test]
fn a_newer_frame_version_is_told_from_damage() {
    let world = World::new(1 << 20);
    put(&mut world.create().unwrap(), "x");
    let json = br#"{"v":2,"sequence":3}"#;
    let mut bytes = world.storage.content(&World::segment(1)).unwrap();
    bytes.extend(u32::try_from(json.len()).unwrap().to_le_bytes());
    bytes.extend(crc32c::crc32c(json).to_le_bytes());
    bytes.extend(json);
    world.storage.put(&World::segment(1), bytes.clone());
    assert!(matches!(world.open(), Err(LedgerError::Newer(_))));
    assert_eq!(world.storage.content(&World::segment(1)).unwrap(), bytes);
    let mut reader = Reader::open(&world.disk(), Path::new(LEDGER)).unwrap();
    assert_eq!(reader.next_frame().unwrap().unwrap().seq(), 1);
    assert_eq!(reader.next_frame().unwrap().unwrap().seq(), 2);
    assert!(matches!(reader.next_frame(), Err(LedgerError::Newer(_))));
}

#[test]
fn a_clock_that_is_a_little_behind_keeps_the_heads_time() {
    let world = World::new(1 << 20);
    let mut log = world.create().unwrap();
    world.clock.tell("2026-11-19T23:59:00Z");
    let appended = log.append(&[note("x")]).unwrap();
    assert_eq!(appended.skew.unwrap().as_secs(), 60);
    assert_eq!(log.head_wall().to_string(), "2026-11-20T00:00:00Z");
}

#[test]
fn a_clock_that_is_far_behind_is_refused_until_a_person_accepts_it() {
    let world = World::new(1 << 20);
    let mut log = world.create().unwrap();
    let before = world.storage.content(&World::segment(1));
    world.clock.tell("2026-11-19T23:58:59.5Z");
    let error = log.append(&[note("x")]).unwrap_err();
    assert!(matches!(error, LedgerError::ClockBehind { behind_seconds: 60, .. }), "{error}");
    assert!(error.is_state() && error.to_string().contains("accept-clock"));
    drop(log);
    assert!(matches!(world.open(), Err(LedgerError::ClockBehind { .. })));
    assert_eq!(world.storage.content(&World::segment(1)), before);

    // A rollback never waits for the clock.
    let (mut log, _) = world.open_with(ClockPolicy::HoldHead, false).unwrap();
    assert_eq!(log.append(&[note("rolled back")]).unwrap().skew.unwrap().as_secs(), 60);
    log.sync().unwrap();
    drop(log);

    let (mut log, _) = world.open_with(ClockPolicy::Accept, false).unwrap();
    put(&mut log, "accepted");
    assert_eq!(log.head_wall().to_string(), "2026-11-19T23:58:59.5Z");
    put(&mut log, "goes on");
    drop(log);
    assert!(world.open().is_ok());
}

#[test]
fn the_first_record_carries_the_states_uuid_and_version() {
    let world = World::new(1 << 20);
    let log = world.create().unwrap();
    let frame = Reader::open(&world.disk(), Path::new(LEDGER)).unwrap().next_frame().unwrap().unwrap();
    assert_eq!(frame.kind, "state-created");
    assert_eq!(frame.body(), format!(r#"{{"state":"{}","version":1}}"#, log.state()));
    assert_eq!(log.state().as_str().len(), 36);
    assert_eq!(world.open().unwrap().0.state(), log.state());
}
