//! Which ends of rollbacks a state allows, and where batches and people stand afterwards.

use untether_model::Round;
use untether_model::operation::Stage::{Disable, Enroll, Provision, Switch};
use untether_model::plan::RollbackScope;
use untether_model::run::OutcomeKind::{Succeeded, Unknown};
use untether_model::run::{CellStatus, OrderStatus, ParkReason, Record, WaveStatus};

use crate::fold::*;

/// A batch through `switch`, with an operation in each stage, and a rollback order to `enroll`.
fn to_roll_back() -> Fold {
    let mut fold = Fold::wave(vec![claim("a", &MOVES), claim("b", &MOVES)]);
    for (n, stage) in (1..).zip([Provision, Enroll, Switch]) {
        fold.add(&stage_started("p", stage));
        for subject in ["a", "b"] {
            fold.carried_out(&op("p", n), stage, subject, Succeeded);
        }
        let whole = op("p", 10 + n);
        let intent = fold.add(&started(&whole, stage, &[]));
        fold.add(&Record::Outcome { outcome: outcome(&whole, stage, Some(intent), &[(None, Succeeded)]) });
        fold.add(&stage_ended("p", stage));
    }
    let both = vec![(batch_id("p"), vec![id("a"), id("b")])];
    fold.add(&order_recorded("o", rollback(RollbackScope::Batch(batch_id("p")), Enroll), both));
    fold
}

#[test]
fn a_batch_that_is_rolled_back_begins_a_new_round_where_it_was() {
    let mut fold = to_roll_back();
    let intent = fold.add(&started(&op("o", 1), Enroll, &["a"]));
    fold.add(&ended(&op("o", 1), Enroll, Some(intent), "a", Succeeded));
    fold.add(&stage_started("p", Disable));
    fold.add(&started(&op("p", 4), Disable, &["a"]));
    assert_eq!(fold.batch().open, 1);
    assert!(fold.refused(&rolled_back("o", Some("p"), &["a", "b"], Enroll, 1)).contains("in round 1 already"));
    let when = fold.add(&rolled_back("o", Some("p"), &["a", "b"], Enroll, 2));
    for (n, undone) in [(1, false), (2, true), (3, true)] {
        let cell = fold.cell(&op("p", n), "a");
        assert_eq!((cell.undone, cell.applied, cell.status), (undone, !undone, CellStatus::Ended(Succeeded)), "operation {n}");
        assert_eq!(fold.state.cell(&op("p", 10 + n), None).unwrap().undone, undone, "operation {}", 10 + n);
    }
    let open = fold.cell(&op("p", 4), "a");
    assert_eq!((open.status, open.undone), (CellStatus::Ended(Unknown), true), "whether it took effect no longer matters");
    assert!(!fold.cell(&op("o", 1), "a").undone, "an undoing is not undone");
    for subject in ["a", "b"] {
        let subject = fold.subject(subject);
        assert_eq!((subject.ended, subject.round, subject.round_since), (Some(Provision), Round(2), when));
        assert!(subject.claimed && subject.parked.is_none());
    }
    let batch = fold.batch();
    assert_eq!((batch.current, batch.current_since, batch.ended, batch.open), (None, None, Some(Provision), 0));
    assert_eq!((batch.round, batch.round_since), (Round(2), when));
    assert!(batch.halted.as_ref().is_some_and(|reason| reason.contains("before enroll")));
    let order = &fold.state.orders()[&plan_id("o")];
    assert_eq!((order.status, order.concerns.is_empty()), (OrderStatus::Done, true));
    assert!(fold.refused(&rolled_back("o", Some("p"), &["a"], Enroll, 3)).contains("done already"));
    // What was undone is done again in the new round.
    fold.add(&Record::Resumed { batch: Some(batch_id("p")), by: "alice".into(), reason: String::new() });
    fold.add(&Record::StageStarted { batch: batch_id("p"), stage: Enroll, round: Round(2), operations: 1 });
    fold.add(&started(&op("p", 2), Enroll, &["a"]));
    let cell = fold.cell(&op("p", 2), "a");
    assert_eq!((cell.undone, cell.applied, cell.round), (false, false, Round(2)));
}

#[test]
fn what_was_undone_is_gone_by_our_own_hand() {
    let (mut fold, lock) = finished("a");
    fold.add(&drift(&lock, Disable, "a", false));
    fold.add(&order_recorded("o", rollback(RollbackScope::Subject(id("a")), Disable), Vec::new()));
    fold.add(&rolled_back("o", None, &["a"], Disable, 2));
    assert_eq!(fold.cell(&lock, "a").drift, None, "nobody has to decide on it any more");
    assert!(fold.refused(&drift(&lock, Disable, "a", false)).contains("no effect"));
}

#[test]
fn what_a_rollback_did_not_reach_stays_ended() {
    let mut fold = to_roll_back();
    fold.add(&order_recorded("later", rollback(RollbackScope::Batch(batch_id("p")), Disable), Vec::new()));
    fold.add(&rolled_back("later", Some("p"), &["a"], Disable, 2));
    assert_eq!((fold.subject("a").ended, fold.batch().ended), (Some(Switch), Some(Switch)));
    assert_eq!(fold.state.orders()[&plan_id("later")].status, OrderStatus::Done);
}

#[test]
fn a_rollback_of_two_batches_is_done_with_the_second() {
    let mut fold = to_roll_back();
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("c", &MOVES)]));
    let both = vec![(batch_id("p"), vec![id("a")]), (batch_id("q"), vec![id("c")])];
    fold.add(&order_recorded("two", rollback(RollbackScope::Wave(wave_id("p")), Enroll), both));
    fold.add(&rolled_back("two", Some("p"), &["a"], Enroll, 2));
    let order = &fold.state.orders()[&plan_id("two")];
    assert_eq!((order.status, &order.concerns[..]), (OrderStatus::Running, &[(batch_id("q"), vec![id("c")])][..]));
    fold.add(&rolled_back("two", Some("q"), &["c"], Enroll, 2));
    assert_eq!(fold.state.orders()[&plan_id("two")].status, OrderStatus::Done);
}

#[test]
fn a_wave_that_had_ended_is_open_again_and_one_that_was_given_up_is_not() {
    let mut fold = to_roll_back();
    fold.through(Disable);
    fold.add(&Record::WaveEnded { wave: wave_id("p") });
    fold.add(&rolled_back("o", Some("p"), &["a", "b"], Enroll, 2));
    assert_eq!(fold.state.waves()[&wave_id("p")].status, WaveStatus::Running);
    assert!(fold.subject("a").claimed);

    let mut fold = to_roll_back();
    fold.add(&aborted("p"));
    fold.add(&rolled_back("o", Some("p"), &["a", "b"], Enroll, 2));
    assert_eq!(fold.state.waves()[&wave_id("p")].status, WaveStatus::Aborted);
    assert!(!fold.subject("a").claimed);
}

#[test]
fn whoever_went_elsewhere_is_not_claimed_by_a_rollback_of_their_old_batch() {
    let mut fold = to_roll_back();
    fold.add(&parked("a", Disable, ParkReason::Held));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("a", &MOVES)]));
    fold.add(&aborted("q"));
    fold.add(&rolled_back("o", Some("p"), &["a"], Enroll, 2));
    assert!(!fold.subject("a").claimed);
}

#[test]
fn somebody_who_is_rolled_back_alone_is_parked_and_keeps_what_could_not_be_undone() {
    let mut fold = to_roll_back();
    let alone = |order: &str| {
        let concerns = vec![(batch_id("p"), vec![id("a")])];
        order_recorded(order, rollback(RollbackScope::Subject(id("a")), Enroll), concerns)
    };
    fold.add(&alone("in-part"));
    let Record::RolledBack { order, batch, subjects, to, round, .. } = rolled_back("in-part", None, &["a"], Enroll, 2) else {
        panic!("a rollback")
    };
    let kept = vec![(op("p", 2), id("a")), (op("p", 3), id("b"))];
    fold.add(&Record::RolledBack { order, batch, subjects, to, round, kept });
    assert_eq!((fold.cell(&op("p", 2), "a").undone, fold.cell(&op("p", 3), "a").undone), (false, true));
    assert!(!fold.cell(&op("p", 3), "b").undone);
    let parked_as = |fold: &Fold| fold.subject("a").parked.as_ref().map(|parked| (parked.reason, parked.stage));
    assert_eq!(parked_as(&fold), Some((ParkReason::RolledBack, Enroll)));
    assert!(fold.subject("a").claimed);
    assert_ne!(fold.state.orders()[&plan_id("in-part")].status, OrderStatus::Done, "its end comes with its batch");
    assert_eq!((fold.batch().round, &fold.batch().halted, fold.batch().ended), (Round::FIRST, &None, Some(Switch)));
    assert_eq!(fold.subject("b").ended, Some(Switch));
    // Whom a conflict has parked stays parked for that, and an order without anything left is done.
    fold.add(&unparked("a"));
    fold.add(&parked("a", Enroll, ParkReason::Conflict));
    fold.add(&alone("whole"));
    fold.add(&rolled_back("whole", None, &["a"], Enroll, 3));
    assert_eq!(parked_as(&fold), Some((ParkReason::Conflict, Enroll)));
    assert_eq!(fold.state.orders()[&plan_id("whole")].status, OrderStatus::Done);
}
