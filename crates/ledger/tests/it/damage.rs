//! Torn ends are cut off and reported; everything else that is wrong is refused, and nothing is changed by looking.

use std::path::Path;

use untether_ledger::storage::{Fault, Open, Storage as _};
use untether_ledger::{ClockPolicy, Damage, Head, LedgerError, Reader};

use crate::support::{LEDGER, World, put};

fn with_notes(segment_bytes: u64, count: usize) -> World {
    let world = World::new(segment_bytes);
    let mut log = world.create().unwrap();
    for n in 0..count {
        put(&mut log, &format!("note {n}"));
    }
    world
}

fn damage_of(world: &World) -> Damage {
    match world.open() {
        Err(LedgerError::Damaged { damage, .. }) => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ledger_cut_off_at_any_byte_opens_with_its_whole_frames() {
    let world = with_notes(1 << 20, 4);
    let whole = world.storage.content(&World::segment(1)).unwrap();
    let mut ends = Vec::new();
    untether_ledger::check(&world.disk(), Path::new(LEDGER), |frame| ends.push(frame.location.offset + frame.size_bytes))
        .unwrap();
    for length in usize::try_from(ends[0]).unwrap()..whole.len() {
        world.storage.put(&World::segment(1), whole[..length].to_vec());
        let frames = ends.iter().filter(|end| **end <= length as u64).count();
        let torn = !ends.contains(&(length as u64));
        // Looking changes nothing and reads what is whole.
        assert_eq!(world.check().frames, frames as u64);
        assert_eq!(world.check().torn.is_some(), torn);
        assert_eq!(world.storage.content(&World::segment(1)).unwrap().len(), length);
        let (mut log, opened) = world.open().unwrap();
        assert_eq!(log.head().seq, frames as u64, "cut at {length}");
        assert_eq!(opened.torn.map(|torn| torn.offset + torn.bytes), torn.then_some(length as u64));
        put(&mut log, "again");
        drop(log);
        assert!(world.check().is_sound());
        assert_eq!(world.check().frames, frames as u64 + 1);
    }
}

#[test]
fn a_changed_byte_in_the_middle_refuses_to_run_and_changes_nothing() {
    let world = with_notes(1 << 20, 4);
    let whole = world.storage.content(&World::segment(1)).unwrap();
    let mut last = 0;
    untether_ledger::check(&world.disk(), Path::new(LEDGER), |frame| last = usize::try_from(frame.location.offset).unwrap())
        .unwrap();
    for at in 0..last {
        let mut changed = whole.clone();
        changed[at] ^= 0x20;
        world.storage.put(&World::segment(1), changed.clone());
        let error = world.open().unwrap_err();
        assert!(error.is_state(), "byte {at}: {error}");
        assert!(!world.check().is_sound(), "byte {at}");
        assert_eq!(world.storage.content(&World::segment(1)).unwrap(), changed);
    }
}

#[test]
fn zeros_and_garbage_after_the_last_frame_are_a_torn_end() {
    for tail in [vec![0; 5000], vec![0xff; 4096], (0..=255).collect::<Vec<u8>>()] {
        let world = with_notes(1 << 20, 2);
        let mut bytes = world.storage.content(&World::segment(1)).unwrap();
        bytes.extend(&tail);
        world.storage.put(&World::segment(1), bytes);
        let (log, opened) = world.open().unwrap();
        assert_eq!(opened.torn.unwrap().bytes, tail.len() as u64);
        assert_eq!(log.head().seq, 3);
        assert!(world.check().torn.is_none());
    }
}

#[test]
fn frames_of_another_ledger_break_the_chain() {
    let one = with_notes(1 << 20, 3);
    let other = with_notes(1 << 20, 3);
    let mut offsets = Vec::new();
    untether_ledger::check(&one.disk(), Path::new(LEDGER), |frame| offsets.push(usize::try_from(frame.location.offset).unwrap()))
        .unwrap();
    let mut mixed = one.storage.content(&World::segment(1)).unwrap()[..offsets[2]].to_vec();
    mixed.extend(&other.storage.content(&World::segment(1)).unwrap()[offsets[2]..]);
    one.storage.put(&World::segment(1), mixed);
    assert_eq!(damage_of(&one), Damage::Chain);
}

#[test]
fn a_left_out_frame_is_a_gap_in_the_sequence() {
    let world = with_notes(1 << 20, 3);
    let mut offsets = Vec::new();
    untether_ledger::check(&world.disk(), Path::new(LEDGER), |frame| {
        offsets.push(usize::try_from(frame.location.offset).unwrap())
    })
    .unwrap();
    let mut bytes = world.storage.content(&World::segment(1)).unwrap();
    bytes.drain(offsets[1]..offsets[2]);
    world.storage.put(&World::segment(1), bytes);
    assert_eq!(damage_of(&world), Damage::Sequence { expected: 2, found: 3 });
}

#[test]
fn a_witness_ahead_of_the_ledger_means_a_lost_tail_until_a_person_accepts_it() {
    let world = with_notes(1 << 20, 4);
    world.open().unwrap().0.write_head().unwrap();
    let bytes = world.storage.content(&World::segment(1)).unwrap();
    world.storage.put(&World::segment(1), bytes[..bytes.len() - 3].to_vec());
    let error = world.open().unwrap_err();
    assert!(matches!(error, LedgerError::LostTail { seq: 5, head: 4, .. }), "{error}");
    assert!(error.is_state() && error.to_string().contains("--accept-loss"));
    assert_eq!(world.storage.content(&World::segment(1)).unwrap().len(), bytes.len() - 3, "nothing was cut off");
    assert!(!world.check().is_sound());

    let (mut log, opened) = world.open_with(ClockPolicy::Refuse, true).unwrap();
    let loss = opened.loss.unwrap();
    assert_eq!((loss.witnessed_seq, loss.head_seq), (Some(5), 4));
    put(&mut log, "repaired");
    drop(log);
    world.open().unwrap();
    assert!(world.check().is_sound());
}

#[test]
fn an_accepted_loss_keeps_the_unreadable_bytes_aside() {
    let world = with_notes(1 << 20, 4);
    let mut bytes = world.storage.content(&World::segment(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.storage.put(&World::segment(1), bytes.clone());
    let (log, opened) = world.open_with(ClockPolicy::Refuse, true).unwrap();
    let loss = opened.loss.unwrap();
    let kept = world.storage.content(&loss.kept_in.unwrap()).unwrap();
    assert!(bytes.ends_with(&kept) && !kept.is_empty());
    assert_eq!(log.head().seq, loss.head_seq);
    assert!(world.check().is_sound());
}

#[test]
fn a_witness_of_another_history_is_refused() {
    let world = with_notes(1 << 20, 4);
    let head: Head = serde_json::from_slice(&world.storage.content(&Path::new(LEDGER).join("HEAD")).unwrap()).unwrap();
    let forged = Head { seq: 3, hash: head.hash };
    world.storage.put(&Path::new(LEDGER).join("HEAD"), serde_json::to_vec(&forged).unwrap());
    assert_eq!(damage_of(&world), Damage::Rewritten(3));
    assert!(!world.check().is_sound());
    world.storage.put(&Path::new(LEDGER).join("HEAD"), b"{\"seq\":".to_vec());
    assert!(matches!(damage_of(&world), Damage::Witness(_)));
}

#[test]
fn a_missing_witness_is_said_and_written_again() {
    let world = with_notes(1 << 20, 1);
    world.storage.remove(&Path::new(LEDGER).join("HEAD")).unwrap();
    assert!(!world.check().is_sound());
    assert!(world.open().unwrap().1.witness_missing);
    assert!(!world.open().unwrap().1.witness_missing);
    assert!(world.check().is_sound());
}

#[test]
fn segments_that_are_missing_changed_or_swapped_are_found() {
    let world = with_notes(1000, 20);
    let report = world.check();
    assert!(report.is_sound());
    let last = report.segments.last().unwrap().segment;
    assert!(last > 3);
    world.open().unwrap();
    // Only the last segment is walked on opening; a check walks all.
    let second = world.storage.content(&World::segment(2)).unwrap();
    let mut changed = second.clone();
    changed[40] ^= 1;
    world.storage.put(&World::segment(2), changed);
    world.open().unwrap();
    assert!(world.check().problems[0].contains("00000002.log"));
    world.storage.put(&World::segment(2), second);
    assert!(world.check().is_sound());
    // The segment before the last one has lost its seal.
    let before = world.storage.content(&World::segment(last - 1)).unwrap();
    world.storage.put(&World::segment(last - 1), before[..before.len() - 1].to_vec());
    assert!(world.open().unwrap_err().is_state());
    assert!(!world.check().is_sound());
    world.storage.put(&World::segment(last - 1), before);
    world.storage.remove(&World::segment(2)).unwrap();
    assert_eq!(damage_of(&world), Damage::MissingSegment);
    assert!(!world.check().is_sound());
}

/// Found by fuzzing: reading went on with the second segment as if nothing had been before it.
#[test]
fn a_segment_that_was_emptied_is_never_read_over() {
    let world = with_notes(1000, 20);
    let last = world.check().segments.last().unwrap().segment;
    for segment in 1..last {
        let whole = world.storage.content(&World::segment(segment)).unwrap();
        world.storage.put(&World::segment(segment), Vec::new());
        assert!(!world.check().is_sound(), "segment {segment}");
        let mut reader = Reader::open(&world.disk(), Path::new(LEDGER)).unwrap();
        let error = loop {
            match reader.next_frame() {
                Ok(Some(frame)) => assert!(frame.location.segment < segment, "segment {segment} was read over"),
                Ok(None) => panic!("segment {segment}: the end was met"),
                Err(error) => break error,
            }
        };
        assert!(error.is_state(), "segment {segment}: {error}");
        world.storage.put(&World::segment(segment), whole);
    }
}

#[test]
fn a_first_segment_that_is_not_there_is_no_state() {
    let world = World::new(1000);
    world.storage.create_dir(Path::new(LEDGER)).unwrap();
    assert!(matches!(world.open(), Err(LedgerError::Missing(_))));
    // Interrupted creation: nothing was acknowledged.
    world.storage.open(&World::segment(1), Open::Create).unwrap();
    assert!(matches!(world.open(), Err(LedgerError::Missing(_))));
    world.create().unwrap();
    assert!(matches!(world.create(), Err(LedgerError::Exists(_))));
}

#[test]
fn an_error_names_the_file_and_the_operation() {
    let world = with_notes(1 << 20, 1);
    world.storage.fault_at(world.storage.operations(), Fault::Error(std::io::ErrorKind::PermissionDenied));
    let mut log = world.open();
    if let Ok((log, _)) = &mut log {
        log.append(&[crate::support::note("x")]).unwrap_err();
    }
    let error = log.unwrap_err().to_string();
    assert!(error.starts_with("cannot sync '/ledger/00000001.log': run as the user"), "{error}");
}
