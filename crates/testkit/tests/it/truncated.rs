//! The ledger cut off at each of its frames and within them, with and without the database: it goes on from what there is and
//! takes nothing of the world for granted, or refuses where somebody knows of more.

use untether_journal::JournalError;
use untether_ledger::LedgerError;
use untether_model::run::{CellStatus, OutcomeKind, ParkReason};
use untether_testkit::twins::{Driven, Session, Trouble, World};

use crate::act::{LEAVE, Stand, settled};
use crate::twins::block_on;

/// Where each frame of the ledger ends.
fn frames(ledger: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(header) = ledger.get(at..at + 4) {
        at += 8 + u32::from_le_bytes(header.try_into().unwrap()) as usize;
        ends.push(at);
    }
    assert_eq!(ends.last(), Some(&ledger.len()));
    ends
}

/// A wave that has come to its end.
async fn finished() -> Stand {
    let mut stand = Stand::new(LEAVE).await;
    assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())));
    stand
}

/// The wave again, as far as it goes with what the records say; whoever is missing approves again.
async fn goes_on(mut session: Session, stand: &Stand) -> Session {
    let known = session.state.orders().contains_key(&stand.wave.plan);
    if !known {
        return session;
    }
    session.approve(&stand.wave, (untether_model::Round::FIRST, untether_model::operation::Stage::Attest), 2).unwrap();
    let Driven::Ended(ends) = session.drive(&stand.wave, None).await.unwrap() else { panic!("nothing was armed") };
    assert!(ends.ended.complete || ends.ended.halted || !ends.ended.standstills.is_empty(), "{ends:?}");
    session
}

fn ledger(world: &World) -> Vec<u8> {
    world.storage.content(&world.ledger()).unwrap()
}

fn cut(world: &World, bytes: &[u8]) {
    world.storage.put(&world.ledger(), bytes.to_vec());
}

#[test]
fn a_ledger_cut_off_anywhere_goes_on_from_there_and_changes_nothing_that_is_done() {
    block_on(async {
        let (wanted, count) = {
            let stand = finished().await;
            (settled(&stand.session).dumps, frames(&ledger(&stand.world())).len())
        };
        assert!(count > 100, "{count}");
        let mut perhaps_ours = 0;
        for number in 0..count {
            let stand = finished().await;
            let world = stand.world();
            let whole = ledger(&world);
            let ends = frames(&whole);
            // At the frame's end, after the header of the next one, in its middle, and before its last byte.
            let end = ends.get(number).copied().unwrap_or(whole.len());
            let next = ends.get(number + 1).copied().unwrap_or(end);
            let within = [end, (end + 5).min(next), (end + next) / 2, next.saturating_sub(1).max(end)];
            cut(&world, whole.get(..within[number % 4]).unwrap());
            world.database.clear();
            let session = goes_on(Session::open(&world).unwrap(), &stand).await;
            assert_eq!(session.folded().unwrap(), session.state, "cut off after frame {}", number + 1);
            assert!(settled(&session).dumps == wanted, "cut off after frame {}: the world was changed", number + 1);
            // What is neither as planned nor as wanted (a record that is gone) waits for a person.
            for subject in session.state.subjects().values() {
                let reason = subject.parked.as_ref().map(|parked| parked.reason);
                assert!(matches!(reason, None | Some(ParkReason::Conflict)), "{reason:?} after frame {}", number + 1);
            }
            perhaps_ours += session.state.cells().iter().filter(|(_, cell)| cell.unattributed).count();
        }
        assert_eq!(perhaps_ours, 0, "nobody knows of a loss");
    });
}

#[test]
fn where_somebody_knows_of_more_it_is_refused_until_a_person_accepts_the_loss() {
    block_on(async {
        let count = frames(&ledger(&finished().await.world())).len();
        let mut unattributed = 0;
        for number in (0..count - 1).step_by(3) {
            let stand = finished().await;
            let world = stand.world();
            let whole = ledger(&world);
            cut(&world, whole.get(..frames(&whole)[number]).unwrap());
            let refused = Session::open(&world).map(drop);
            let lost = |error: &JournalError| matches!(error, JournalError::Ledger(error) if matches!(**error, LedgerError::LostTail { .. }));
            assert!(matches!(&refused, Err(Trouble::Journal(error)) if lost(error)), "after frame {}: {refused:?}", number + 1);
            let session = Session::open_after(&world, true).unwrap();
            assert!(session.state.general().repaired.is_some());
            let session = goes_on(session, &stand).await;
            for (_, cell) in session.state.cells().iter() {
                let found = cell.status == CellStatus::Ended(OutcomeKind::Already) && cell.started.is_none();
                assert!(!cell.unattributed || found, "{cell:?}");
                unattributed += usize::from(cell.unattributed);
            }
        }
        assert!(unattributed > 50, "what may be ours is marked: {unattributed}");
    });
}
