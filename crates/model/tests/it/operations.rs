//! Which records about operations a state allows: intents, outcomes, what is decided on them, and what became of their effects.

use untether_model::StableId;
use untether_model::operation::Stage::{Disable, Enroll, Provision, Scrub, Soak, Switch};
use untether_model::plan::{OrderKind, RollbackScope};
use untether_model::run::OutcomeKind::{
    Already, Conflict, Deferred, NotApplicable, Observed, Refused, Skipped, Succeeded, Unknown,
};
use untether_model::run::{CellStatus, OrderStatus, ParkReason, Record, Sealed};

use crate::fold::*;

#[test]
fn an_operation_begins_only_for_whom_its_batch_has_in_its_stage() {
    let mut fold = in_stage(Provision, &["a", "b"]);
    let first = op("p", 1);
    assert!(fold.refused(&started(&first, Enroll, &["a"])).contains("not in enroll"));
    assert!(fold.refused(&started(&first, Provision, &["a", "nobody"])).contains("in no wave"));
    let whole = |op, stage| started(op, stage, &[]);
    assert!(fold.refused(&whole(&first, Enroll)).contains("needs its batch to be in enroll"));
    fold.add(&whole(&op("p", 9), Provision));
    fold.add(&parked("b", Provision, ParkReason::Failed));
    assert!(fold.refused(&started(&first, Provision, &["a", "b"])).contains("b, which is parked"));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("b", &MOVES)]));
    assert!(fold.refused(&started(&first, Provision, &["b"])).contains("which batch q/w/b01 has now"));
    // An order of its own must be there, be no plan, and not be done.
    assert!(fold.refused(&started(&op("o", 1), Enroll, &["a"])).contains("not a recorded order"));
    fold.add(&plan_recorded("r"));
    assert!(fold.refused(&started(&op("r", 1), Enroll, &["a"])).contains("no started wave and to no open order"));
    fold.add(&order_recorded("o", reissue(), vec![(batch_id("p"), vec![id("a")])]));
    let intent = fold.add(&started(&op("o", 1), Enroll, &["a"]));
    let order = &fold.state.orders()[&plan_id("o")];
    assert_eq!((order.status, order.open), (OrderStatus::Running, 1));
    fold.add(&ended(&op("o", 1), Enroll, Some(intent), "a", Succeeded));
    assert_eq!(fold.state.orders()[&plan_id("o")].open, 0);
    fold.add(&Record::OrderEnded { order: plan_id("o"), left_out: Vec::new() });
    assert!(fold.refused(&started(&op("o", 2), Enroll, &["a"])).contains("no open order"));
    fold.add(&aborted("p"));
    assert!(fold.refused(&started(&first, Provision, &["a"])).contains("does not run"));
}

#[test]
fn whoever_catches_up_is_worked_on_in_their_own_stage() {
    let mut fold = in_stage(Provision, &["a", "late"]);
    fold.add(&parked("late", Provision, ParkReason::Held));
    fold.add(&stage_ended("p", Provision));
    fold.add(&stage_started("p", Enroll));
    fold.add(&unparked("late"));
    assert!(fold.refused(&started(&op("p", 2), Enroll, &["late"])).contains("not in enroll"));
    fold.add(&started(&op("p", 1), Provision, &["late"]));
}

#[test]
fn what_was_put_off_is_done_after_its_stage_and_nothing_else_is() {
    let mut fold = in_stage(Provision, &["a", "b"]);
    let (link, other) = (op("p", 1), op("p", 2));
    let put_off = ended(&link, Provision, None, "a", Deferred);
    fold.add(&put_off);
    fold.add(&put_off);
    let intent = fold.add(&started(&other, Provision, &["b"]));
    let begun = ended(&other, Provision, Some(intent), "b", Deferred);
    assert!(fold.refused(&begun).contains("cannot be deferred any more"));
    fold.add(&ended(&other, Provision, Some(intent), "b", Refused));
    fold.add(&stage_ended("p", Provision));
    assert!(fold.refused(&started(&link, Enroll, &["a"])).contains("not in enroll"), "it was put off in another stage");
    assert!(fold.refused(&started(&other, Provision, &["b"])).contains("not in provision"), "it was not put off");
    assert!(fold.refused(&started(&link, Provision, &["b"])).contains("not in provision"), "it was put off for somebody else");
    fold.add(&started(&link, Provision, &["a"]));
}

#[test]
fn what_was_put_off_waits_for_its_own_stage_and_for_its_own_round() {
    let mut fold = in_stage(Enroll, &["a"]);
    fold.add(&ended(&op("p", 1), Enroll, None, "a", Deferred));
    fold.add(&order_recorded("o", rollback(RollbackScope::Batch(batch_id("p")), Enroll), vec![(batch_id("p"), vec![id("a")])]));
    fold.add(&rolled_back("o", Some("p"), &["a"], Enroll, 2));
    assert!(fold.refused(&started(&op("p", 1), Enroll, &["a"])).contains("not in enroll"));
}

#[test]
fn an_intent_is_counted_once_however_often_it_is_tried() {
    let mut fold = in_stage(Provision, &["a"]);
    let create = op("p", 1);
    fold.add(&started(&create, Provision, &["a"]));
    let again = fold.add(&started(&create, Provision, &["a"]));
    assert_eq!((fold.batch().open, fold.batch().irreversible), (1, false));
    assert_eq!(fold.cell(&create, "a").started, Some(again));
    let other = op("p", 2);
    let intent = fold.add(&started(&other, Provision, &["a"]));
    assert_eq!(fold.batch().open, 2);
    // Nobody knows how it ended: it stays open.
    fold.add(&ended(&other, Provision, Some(intent), "a", Unknown));
    assert_eq!((fold.batch().open, fold.cell(&other, "a").status), (2, CellStatus::Open));
    fold.add(&ended(&other, Provision, Some(intent), "a", Observed));
    assert_eq!(fold.batch().open, 1);
    // Nothing was begun for this one.
    fold.add(&ended(&op("p", 3), Provision, None, "a", Already));
    assert_eq!((fold.batch().open, fold.batch().failures), (1, 0));
}

#[test]
fn refusals_and_conflicts_are_counted_until_a_person_resumes() {
    let mut fold = in_stage(Provision, &["a"]);
    for (n, kind) in (1..).zip([Refused, Conflict, Already, Skipped, NotApplicable, Deferred]) {
        fold.add(&ended(&op("p", n), Provision, None, "a", kind));
    }
    assert_eq!(fold.batch().failures, 2);
    fold.add(&ended(&op("p", 9), Provision, None, "a", Refused));
    assert_eq!(fold.batch().failures, 3);
    fold.add(&Record::Halted { batch: batch_id("p"), reason: "too many".into() });
    let resumed = Record::Resumed { batch: Some(batch_id("p")), by: "alice".into(), reason: String::new() };
    fold.add(&resumed);
    assert_eq!((fold.batch().failures, &fold.batch().halted), (0, &None));
    assert!(fold.refused(&resumed).contains("not halted"));
}

#[test]
fn what_cannot_be_undone_is_remembered_from_its_intent_on() {
    let mut fold = Fold::wave(vec![claim("a", &LEAVES)]);
    fold.add(&stage_started("p", Disable));
    fold.carried_out(&op("p", 1), Disable, "a", Succeeded);
    assert!(!fold.batch().irreversible);
    fold.add(&stage_ended("p", Disable));
    fold.through(Soak);
    fold.add(&stage_started("p", Scrub));
    fold.add(&started(&op("p", 2), Scrub, &["a"]));
    assert!(fold.batch().irreversible);
    let intent = fold.add(&started(&op("p", 2), Scrub, &["a"]));
    fold.add(&ended(&op("p", 2), Scrub, Some(intent), "a", Succeeded));
    assert!(fold.batch().irreversible);
}

#[test]
fn an_outcome_ends_the_intent_that_it_names() {
    let mut fold = in_stage(Provision, &["a"]);
    let create = op("p", 1);
    assert!(fold.refused(&ended(&create, Provision, Some(1), "a", Succeeded)).contains("no open intent 1"));
    let intent = fold.add(&started(&create, Provision, &["a"]));
    assert!(fold.refused(&ended(&create, Provision, Some(intent - 1), "a", Succeeded)).contains("no open intent"));
    assert!(fold.refused(&ended(&create, Provision, None, "a", Already)).contains("must be ended by its number"));
    fold.add(&ended(&create, Provision, Some(intent), "a", Succeeded));
    assert!(fold.refused(&ended(&create, Provision, Some(intent), "a", Succeeded)).contains("no open intent"));
    assert!(fold.refused(&started(&create, Provision, &["a"])).contains("done for this subject"));
    assert!(fold.refused(&ended(&op("p", 2), Enroll, None, "a", Already)).contains("not in enroll"));
}

#[test]
fn an_effect_stays_ours_whatever_comes_after_it() {
    let mut fold = in_stage(Provision, &["a", "b"]);
    let create = op("p", 1);
    let mut made = outcome(&create, Provision, None, &[(Some("a"), Conflict)]);
    fold.add(&Record::Outcome { outcome: made.clone() });
    assert!(!fold.cell(&create, "a").applied);
    let intent = fold.add(&started(&create, Provision, &["a"]));
    assert!(!fold.cell(&create, "a").applied, "it has only begun");
    (made.started, made.stable_id, made.image) = (Some(intent), Some(StableId::new("u")), Some(Sealed("image".into())));
    made.cells[0].kind = Unknown;
    let image = fold.add(&Record::Outcome { outcome: made });
    let cell = fold.cell(&create, "a");
    assert_eq!((&cell.created, cell.image, cell.attempts), (&Some(StableId::new("u")), Some(image), 1));
    fold.add(&ended(&create, Provision, Some(intent), "a", Succeeded));
    let cell = fold.cell(&create, "a");
    assert!(cell.applied);
    assert_eq!((&cell.created, cell.image, cell.started), (&Some(StableId::new("u")), Some(image), Some(intent)));
    // Found otherwise later, it is still ours to take back.
    fold.add(&ended(&create, Provision, None, "a", Conflict));
    assert!(fold.cell(&create, "a").applied);
    fold.add(&started(&create, Provision, &["a"]));
    let cell = fold.cell(&create, "a");
    assert!(cell.applied);
    assert_eq!(cell.created, Some(StableId::new("u")));
    // What somebody else had done before us is not.
    fold.add(&ended(&op("p", 2), Provision, None, "b", Already));
    assert!(!fold.cell(&op("p", 2), "b").applied);
    assert_eq!(fold.cell(&op("p", 2), "b").attempts, 0);
}

#[test]
fn after_a_lost_end_what_is_found_done_may_be_ours_if_it_was_planned_before() {
    let mut fold = in_stage(Provision, &["a"]);
    let found = |fold: &mut Fold, n, kind| {
        fold.add(&ended(&op("p", n), Provision, None, "a", kind));
        fold.cell(&op("p", n), "a").unattributed
    };
    assert!(!found(&mut fold, 1, Already), "nothing was lost");
    let repaired = fold.add(&Record::Repaired { lost_from: 3, by: "alice".into(), reason: "power".into() });
    assert_eq!(fold.state.general().repaired, Some(at(repaired)));
    assert!(found(&mut fold, 2, Already));
    assert!(!found(&mut fold, 3, Conflict));
    let mut later = Fold::new();
    later.add(&Record::Repaired { lost_from: 3, by: "alice".into(), reason: "power".into() });
    later.add(&plan_recorded("p"));
    later.add(&wave_started("p", vec![claim("a", &MOVES)]));
    later.add(&stage_started("p", Provision));
    assert!(!found(&mut later, 1, Already), "it was planned after the loss");
}

#[test]
fn what_failed_is_decided_on_once_and_by_a_known_verb() {
    let mut fold = in_stage(Provision, &["a", "b"]);
    let set = op("p", 1);
    assert!(fold.refused(&resolved(&set, "a", "skip", None)).contains("not in conflict"));
    for (n, kind) in [(1, Conflict), (2, Refused), (3, Conflict)] {
        fold.add(&ended(&op("p", n), Provision, None, "a", kind));
    }
    assert!(fold.refused(&resolved(&set, "a", "ignore", None)).contains("cannot be decided by 'ignore'"));
    assert!(fold.refused(&resolved(&set, "a", "force", None)).contains("cannot be decided"));
    fold.add(&plan_recorded("q"));
    assert!(fold.refused(&resolved(&set, "a", "skip", Some("q"))).contains("cannot be decided"));
    fold.add(&resolved(&set, "a", "skip", None));
    fold.add(&resolved(&op("p", 2), "a", "keep-theirs", None));
    for n in [1, 2] {
        assert_eq!(fold.cell(&op("p", n), "a").status, CellStatus::Ended(Skipped));
        assert!(!fold.cell(&op("p", n), "a").forced);
    }
    assert!(fold.refused(&resolved(&set, "a", "skip", None)).contains("not in conflict"));
}

#[test]
fn force_needs_its_order_and_ends_it_with_the_last_of_its_people() {
    let mut fold = in_stage(Provision, &["a", "b", "c"]);
    let (set, other) = (op("p", 1), op("p", 2));
    for subject in ["a", "b", "c"] {
        fold.add(&ended(&set, Provision, None, subject, Conflict));
        fold.add(&ended(&other, Provision, None, subject, Conflict));
    }
    assert!(fold.refused(&resolved(&set, "a", "force", Some("f"))).contains("not a recorded order"));
    let both = vec![(batch_id("p"), vec![id("a"), id("b")])];
    fold.add(&order_recorded("f", OrderKind::Resolution { op: set.clone() }, both));
    assert!(fold.refused(&resolved(&other, "a", "force", Some("f"))).contains("not what order f forces"));
    assert!(fold.refused(&resolved(&set, "c", "force", Some("f"))).contains("not what order f forces"));
    fold.add(&resolved(&set, "a", "force", Some("f")));
    assert!(fold.cell(&set, "a").forced);
    let order = &fold.state.orders()[&plan_id("f")];
    assert_eq!((order.status, &order.concerns[..]), (OrderStatus::Running, &[(batch_id("p"), vec![id("b")])][..]));
    fold.add(&resolved(&set, "b", "force", Some("f")));
    let order = &fold.state.orders()[&plan_id("f")];
    assert_eq!((order.status, order.concerns.is_empty()), (OrderStatus::Done, true));
    assert!(fold.refused(&resolved(&set, "b", "force", Some("f"))).contains("not what order f forces"));
}

#[test]
fn what_is_gone_is_recorded_once_and_is_back_once() {
    let (mut fold, lock) = finished("a");
    assert!(fold.refused(&drift(&lock, Switch, "a", false)).contains("no effect of switch in place"));
    assert!(fold.refused(&drift(&op("p", 9), Disable, "a", false)).contains("no effect"));
    assert!(fold.refused(&drift(&lock, Disable, "a", true)).contains("not known to have gone"));
    let mut other = in_stage(Disable, &["a"]);
    other.add(&ended(&lock, Disable, None, "a", Conflict));
    assert!(other.refused(&drift(&lock, Disable, "a", false)).contains("no effect"), "it was never there");
    fold.add(&drift(&lock, Disable, "a", false));
    assert_eq!(fold.cell(&lock, "a").drift.as_deref(), Some("open again"));
    assert!(fold.refused(&drift(&lock, Disable, "a", false)).contains("known to hold no longer"));
    fold.add(&drift(&lock, Disable, "a", true));
    assert_eq!(fold.cell(&lock, "a").drift, None);
    // Forced, it is in place again: nothing is left to overwrite.
    fold.add(&drift(&lock, Disable, "a", false));
    fold.add(&order_recorded("f", OrderKind::Resolution { op: lock.clone() }, vec![(batch_id("p"), vec![id("a")])]));
    fold.add(&resolved(&lock, "a", "force", Some("f")));
    assert_eq!((fold.cell(&lock, "a").drift.is_some(), fold.cell(&lock, "a").forced), (false, false));
}
