//! Every write of a wave and of its rollback: its reply lost, its request lost, busy, late, and sent twice.

#![expect(clippy::print_stdout, reason = "the figures, with --nocapture")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use untether_directory::Failure;
use untether_directory::twin::{Fault, Identity, WriteAttempt};
use untether_model::Side;
use untether_testkit::twins::{Boundary, Driven};

use crate::act::{Act, EXPIRE, ISSUE, LEAVE, LEAVE_BACK, MOVE, MOVE_BACK, Stand, settled, uninterrupted, unlike};
use crate::twins::block_on;

const ACTS: [Act; 6] = [LEAVE, MOVE, LEAVE_BACK, MOVE_BACK, ISSUE, EXPIRE];

/// Every write of the act meets this fault once; then it comes to its end and is compared.
fn each_write(fault: Fault, lands: bool) {
    block_on(async {
        for act in ACTS {
            let (wanted, points, _) = uninterrupted(act).await;
            let writes = points.iter().filter(|p| p.boundary == Boundary::BeforeWrite).count() as u64;
            let mut bad = Vec::new();
            for write in 0..writes {
                let mut stand = Stand::new(act).await;
                let mut world = stand.world();
                let attempts = Arc::new(AtomicU64::new(0));
                for side in Side::ALL {
                    let attempts = attempts.clone();
                    world.twin(side).set_faults(move |attempt: &WriteAttempt<'_>| {
                        // What people do to their own accounts is not the engine's.
                        let this = attempt.identity != Identity::Root && attempts.fetch_add(1, Ordering::Relaxed) == write;
                        if this { fault } else { Fault::Proceed }
                    });
                }
                if lands {
                    // It lands while the engine looks what became of it: after so many questions as the write's number says.
                    let (twins, countdown) = ([world.shared.clone(), world.independent.clone()], AtomicU64::new(0));
                    let attempts = attempts.clone();
                    world.set_pauses(move || {
                        if attempts.load(Ordering::Relaxed) > write && countdown.fetch_add(1, Ordering::Relaxed) == write % 4 {
                            twins.iter().for_each(|twin| drop(twin.land_late_writes()));
                        }
                        0
                    });
                    stand.reopen(&world).unwrap();
                }
                let ended = stand.go().await;
                assert!(attempts.load(Ordering::Relaxed) > write, "write {write} was never tried");
                Side::ALL.iter().for_each(|side| drop(world.twin(*side).land_late_writes()));
                match ended {
                    Ok(Driven::Ended(())) => {
                        let words = unlike(&settled(&stand.session), &wanted);
                        if !words.is_empty() {
                            bad.push(format!("write {write}:\n{words}"));
                        }
                    }
                    other => bad.push(format!("write {write}: {other:?}\n")),
                }
            }
            println!("{act}: {writes} writes met {fault:?}");
            assert!(writes >= act.least_writes(), "{act}: {writes}");
            assert!(
                bad.is_empty(),
                "{act:?} {} of {writes}:\n{}",
                bad.len(),
                bad.iter().take(8).map(String::as_str).collect::<String>()
            );
        }
    });
}

#[test]
fn every_reply_is_lost_once() {
    each_write(Fault::LoseReply, false);
}

#[test]
fn every_request_is_lost_once() {
    each_write(Fault::Fail(Failure::Unknown), false);
}

#[test]
fn every_store_is_busy_once_at_every_write() {
    each_write(Fault::Fail(Failure::Busy), false);
}

#[test]
fn every_write_lands_late_once() {
    each_write(Fault::ApplyLater, true);
}

/// Each action and each undo is carried out, and carried out again under the same condition.
#[test]
fn every_action_and_every_undo_is_executed_twice() {
    block_on(async {
        for act in ACTS {
            let (wanted, ..) = uninterrupted(act).await;
            let mut stand = Stand::new(act).await;
            let world = stand.world();
            world.repeat_writes(true);
            stand.reopen(&world).unwrap();
            let before = world.shared.write_attempts() + world.independent.write_attempts();
            assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())), "{act:?}");
            let attempts = world.shared.write_attempts() + world.independent.write_attempts() - before;
            assert!(attempts >= 2 * act.least_writes(), "{act:?}: {attempts}");
            let words = unlike(&settled(&stand.session), &wanted);
            assert!(words.is_empty(), "{act:?}:\n{words}");
        }
    });
}
