//! Order, acknowledgement, numbers told beforehand.

use std::sync::Arc;

use untether_journal::{Entry, JournalError, Put};
use untether_ledger::{ClockPolicy, Disk, LedgerError, NewFrame, Reader, StateDir};

use crate::support::{MemoryWorld, RealWorld, ToldClock, fold, note, parts, runtime};

#[test]
fn what_is_acknowledged_is_in_the_ledger_in_the_order_of_submission() {
    let world = RealWorld::new();
    runtime().block_on(async {
        let (journal, _, _) = world.start();
        let mut receipts = Vec::new();
        for n in 0..2000 {
            let (seq, at) = journal.next();
            let receipt = journal.submit(vec![note(&format!("k{n:04}"), &n.to_string())]).unwrap();
            assert_eq!(receipt.locations()[0].seq, seq);
            receipts.push((n, seq, at, receipt));
        }
        for (n, seq, at, receipt) in receipts {
            let location = receipt.await.unwrap()[0];
            assert_eq!(location.seq, seq);
            let frame = Reader::read_at(&Disk::real(), &world.path("ledger"), location).unwrap();
            assert_eq!(frame.wall, at, "the time that was told is the time that is written");
            assert_eq!(fold(&frame).unwrap(), note(&format!("k{n:04}"), &n.to_string()).parts);
            assert_eq!(journal.frame(seq).unwrap().unwrap().hash, frame.hash);
        }
        assert_eq!(parts(&journal).await.len(), 2000);
        assert_eq!(journal.frame(1).unwrap().unwrap().kind, "state-created");
        assert!(journal.frame(1_000_000).unwrap().is_none());
        journal.close().await.unwrap();
    });
}

#[test]
fn numbers_told_beforehand_hold_across_segments() {
    let world = MemoryWorld::new(600);
    runtime().block_on(async {
        let journal = world.start(600).unwrap();
        let mut before = 1;
        let mut jumps = 0;
        for n in 0..30 {
            let (seq, _) = journal.next();
            jumps += u32::from(seq > before + 1);
            before = seq;
            let location = journal.append(vec![note("k", &n.to_string())]).await.unwrap()[0];
            assert_eq!(location.seq, seq);
        }
        assert!(jumps > 5, "the frames between segments have numbers of their own");
    });
}

#[test]
fn records_of_one_submission_are_one_group() {
    let world = RealWorld::new();
    runtime().block_on(async {
        let (journal, _, _) = world.start();
        let locations = journal.append((0..600).map(|n| note(&format!("{n}"), "x")).collect()).await.unwrap();
        assert_eq!(locations.len(), 600);
        assert!(locations.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
        assert_eq!(parts(&journal).await.len(), 600);
    });
}

#[test]
fn many_callers_at_once_all_get_their_own_place() {
    let world = RealWorld::new();
    runtime().block_on(async {
        let (journal, _, _) = world.start();
        let journal = Arc::new(journal);
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..64 {
            let journal = Arc::clone(&journal);
            tasks.spawn(async move {
                let mut seen = Vec::new();
                for n in 0..20 {
                    let location = journal.append(vec![note(&format!("{task}.{n}"), "x")]).await.unwrap()[0];
                    seen.push((location.seq, format!("{task}.{n}")));
                }
                seen
            });
        }
        let mut all: Vec<(u64, String)> = tasks.join_all().await.into_iter().flatten().collect();
        all.sort();
        all.dedup_by_key(|(seq, _)| *seq);
        assert_eq!(all.len(), 64 * 20);
        for (seq, key) in all {
            assert_eq!(fold(&journal.frame(seq).unwrap().unwrap()).unwrap(), [Put::new(key, "x").into()]);
        }
    });
}

#[test]
fn large_parts_and_removed_parts_come_back_as_they_were_left() {
    let world = RealWorld::new();
    runtime().block_on(async {
        let sizes = [0, 1, 3999, 4000, 4001, 8000, 100_000];
        let (journal, _, _) = world.start();
        for size in sizes {
            journal.append(vec![note(&format!("part/{size}"), &"x".repeat(size))]).await.unwrap();
        }
        // Shrinks, grows, goes.
        journal.append(vec![note("part/100000", "small")]).await.unwrap();
        journal.append(vec![note("part/1", &"y".repeat(9000))]).await.unwrap();
        let gone = Entry {
            frame: NewFrame::from_json("note", r#"{"key":"z","value":""}"#).unwrap(),
            parts: vec![Put::remove("part/8000").into()],
        };
        journal.append(vec![gone]).await.unwrap();
        let expected = parts(&journal).await;
        assert_eq!(expected["part/100000"], "small");
        assert_eq!(expected["part/1"], "y".repeat(9000));
        assert_eq!(expected["part/4001"].len(), 4001);
        assert!(!expected.contains_key("part/8000"));
        journal.close().await.unwrap();

        let (journal, report, replayed) = world.start();
        assert_eq!((report.rebuilt, replayed), (None, 0));
        assert_eq!(parts(&journal).await, expected);
        assert_eq!(journal.parts(b"part/4").await.unwrap().len(), 2);
    });
}

#[test]
fn a_clock_set_back_stops_appends_and_a_rollback_goes_on() {
    let world = MemoryWorld::new(1 << 20);
    let clock = ToldClock::new("boot");
    let state = StateDir::open(Disk::new(world.storage.clone()), "/state").unwrap();
    let mut opened =
        untether_journal::Opened::open_in_memory(crate::support::how(state, clock.clone(), 1 << 20), &world.database).unwrap();
    opened.replay(|frame, _| fold(frame)).unwrap();
    let journal = opened.start_inside().unwrap();
    runtime().block_on(async {
        clock.tell("2026-11-19T00:00:00Z");
        let error = journal.append(vec![note("k", "1")]).await.unwrap_err();
        assert!(error.is_state(), "{error}");
        assert!(matches!(&error, JournalError::Ledger(error) if matches!(**error, LedgerError::ClockBehind { .. })));
        journal.set_clock_policy(ClockPolicy::HoldHead);
        let (_, at) = journal.next();
        assert_eq!(at.to_string(), "2026-11-20T00:00:00Z");
        journal.append(vec![note("k", "1")]).await.unwrap();
    });
}

#[test]
fn the_second_witness_names_what_was_submitted_before() {
    let world = RealWorld::new();
    runtime().block_on(async {
        let (journal, _, _) = world.start();
        let receipt = journal.submit(vec![note("k", "v")]).unwrap();
        let head = journal.write_head().await.unwrap();
        let location = receipt.await.unwrap()[0];
        assert_eq!(head.seq, location.seq);
        let line = std::fs::read_to_string(world.path("ledger/HEAD")).unwrap();
        assert_eq!(line, format!("{{\"seq\":{},\"hash\":\"{}\"}}\n", head.seq, head.hash));
    });
}

#[test]
fn the_second_witness_is_never_far_behind() {
    let world = RealWorld::new();
    runtime().block_on(async {
        let (journal, _, _) = world.start();
        for _ in 0..45 {
            journal.append((0..250).map(|n| note(&format!("{n}"), "x")).collect()).await.unwrap();
        }
        let line = std::fs::read_to_string(world.path("ledger/HEAD")).unwrap();
        let head: untether_ledger::Head = serde_json::from_str(&line).unwrap();
        assert!(head.seq > 10_000, "{head}");
    });
}
