//! Orders that meet what somebody else has changed: rollbacks that go as far as they can, and conflicts that are overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::SignedDuration;
use tokio::sync::watch;
use untether_cutover::{Forced, Rollback, RunOptions, Stop};
use untether_directory::Write as _;
use untether_directory::twin::{Fault, Identity, WriteAttempt};
use untether_model::change::{Change, Modification};
use untether_model::operation::Stage;
use untether_model::plan::RollbackScope;
use untether_model::run::{CellState, CellStatus, GateKind, GateScope, OrderStatus, OutcomeKind, ParkReason, Record};
use untether_model::{Dn, OpId, Round, Side, SubjectId, WaveId};
use untether_planner::{RollbackOrder, RollbackRequest};
use untether_testkit::twins::{Driven, Estate, Session, World};

use crate::twins::{approved, approved_in, block_on};

async fn apply(session: &Session, side: Side, change: Change) {
    session.world().twin(side).handle(Identity::Root).apply(&change, &Default::default()).await.unwrap();
}

/// Somebody else ends the account at another time than we did.
async fn moves_the_end(session: &Session, dn: &Dn) {
    let mods = vec![Modification::replace("pwdEndTime".into(), vec!["20350101000000Z".into()])];
    apply(session, Side::Shared, Change::Modify { dn: dn.clone(), mods }).await;
}

fn who(session: &Session, uid: &str) -> (SubjectId, [Dn; 2]) {
    let estate = &session.world().estate;
    let person = estate.people.iter().find(|person| person.uid == uid).unwrap();
    (person.subject(), [estate.shared_dn(person), estate.own_dn(person)])
}

fn cells(session: &Session, subject: &SubjectId, stage: Stage) -> BTreeMap<OpId, CellState> {
    let of_stage = session.state.cells_of(subject).filter(|(_, cell)| cell.stage == stage);
    of_stage
        .filter(|(op, _)| session.state.batches().contains_key(&op.batch))
        .map(|(op, cell)| (op.clone(), cell.clone()))
        .collect()
}

fn request(scope: RollbackScope, to: Stage) -> RollbackRequest {
    RollbackRequest { scope, to, delete_provisioned: false, enable_inactive: true }
}

/// Carries an order out: how many were rolled back, and who was in conflict.
async fn carry_out(session: &mut Session, order: &RollbackOrder) -> (u64, Vec<SubjectId>) {
    let id = session.order(order).unwrap();
    match session.roll_back(&id).await.unwrap() {
        Driven::Ended(Rollback::Done { rolled_back, conflicts }) => {
            (rolled_back, conflicts.into_iter().map(|(who, _)| who).collect())
        }
        other => panic!("{other:?}"),
    }
}

async fn through(session: &mut Session, wave: &WaveId, stage: Stage) {
    assert!(matches!(session.drive(wave, Some(stage)).await.unwrap(), Driven::Ended(_)));
}

/// A wave that has disabled its people, and the order that undoes that.
async fn disabled_and_to_be_undone(session: &mut Session, wave: &WaveId) -> (RollbackOrder, WaveId) {
    through(session, wave, Stage::Disable).await;
    let order = session.rollback(&request(RollbackScope::Wave(wave.clone()), Stage::Disable)).unwrap();
    let id = session.order(&order).unwrap();
    (order, id)
}

#[test]
fn a_rollback_leaves_an_entry_that_somebody_else_changed_and_rolls_the_others_back() {
    block_on(async {
        let (mut session, waves) = approved();
        let before = session.world().dumps();
        let leave = &waves["leave"];
        through(&mut session, leave, Stage::Disable).await;
        let (ret1, [dn, _]) = who(&session, "ret1");
        moves_the_end(&session, &dn).await;
        let locked = session.world().entry(Side::Shared, &dn).unwrap();
        let order = session.rollback(&request(RollbackScope::Wave(leave.clone()), Stage::Disable)).unwrap();
        let concerned: usize = order.concerns.iter().map(|(_, subjects)| subjects.len()).sum();
        let (rolled_back, conflicts) = carry_out(&mut session, &order).await;
        assert_eq!((rolled_back, conflicts), (concerned as u64 - 1, vec![ret1.clone()]));
        assert_eq!(session.state.orders()[&order.id].status, OrderStatus::Done);
        for (subject, state) in session.state.subjects().iter().filter(|(_, state)| state.batch.wave == *leave) {
            let reason = state.parked.as_ref().map(|parked| parked.reason);
            let theirs = *subject == ret1;
            assert_eq!(reason, theirs.then_some(ParkReason::Conflict), "{subject}");
            assert!(cells(&session, subject, Stage::Disable).values().all(|cell| cell.undone != theirs), "{subject}");
            assert_eq!(state.round, if theirs { Round::FIRST } else { Round(2) }, "{subject}");
        }
        assert_eq!(session.world().entry(Side::Shared, &dn).unwrap(), locked, "it is left as it was found");
        let (_, [other, _]) = who(&session, "ret4");
        let was = before[0].iter().find(|entry| entry.dn == other).unwrap();
        assert_eq!(session.world().entry(Side::Shared, &other).unwrap().values("userPassword"), was.values("userPassword"));
    });
}

#[test]
fn what_a_rollback_could_not_undo_is_left_and_nothing_else_is() {
    block_on(async {
        let (mut session, waves) = approved();
        let wave = &waves["move"];
        through(&mut session, wave, Stage::Disable).await;
        let (mig1, [shared, own]) = who(&session, "mig1");
        apply(&session, Side::Independent, Change::Delete { dn: own.clone() }).await;
        let order = session.rollback(&request(RollbackScope::Wave(wave.clone()), Stage::Enroll)).unwrap();
        let (_, conflicts) = carry_out(&mut session, &order).await;
        assert_eq!(conflicts, std::slice::from_ref(&mig1));
        assert!(!session.world().entry(Side::Shared, &shared).unwrap().has("pwdAccountLockedTime"), "the old login is back");
        let state = &session.state.subjects().get(&mig1).unwrap();
        assert_eq!(state.parked.as_ref().map(|parked| parked.reason), Some(ParkReason::Conflict));
        assert!(state.round > Round::FIRST, "what was undone is done again in a round of its own");
        let undone =
            |session: &Session, stage| cells(session, &mig1, stage).into_values().map(|c| c.undone).collect::<BTreeSet<_>>();
        assert_eq!(undone(&session, Stage::Disable), BTreeSet::from([true]));
        assert_eq!(undone(&session, Stage::Enroll), BTreeSet::from([false]));
        assert_eq!(session.state.orders()[&order.id].status, OrderStatus::Done);
        let nobodys = session.state.cells().iter().filter(|(key, _)| key.op.batch.wave.plan == order.id && key.subject.is_none());
        let served = nobodys.filter(|(key, _)| session.world().operation(&key.op).is_some_and(|op| !op.subjects.is_empty()));
        assert_eq!(served.count(), 0, "what is left out for somebody is not done for nobody");
    });
}

#[test]
fn whoever_stays_disabled_is_still_there_for_a_later_rollback() {
    block_on(async {
        for alone in [false, true] {
            let (mut session, waves) = approved();
            let before = session.world().dumps();
            let leave = &waves["leave"];
            through(&mut session, leave, Stage::Disable).await;
            let (ret1, [dn, _]) = who(&session, "ret1");
            let scope = if alone { RollbackScope::Subject(ret1.clone()) } else { RollbackScope::Wave(leave.clone()) };
            let kept = RollbackRequest { enable_inactive: false, ..request(scope, Stage::Disable) };
            let order = session.rollback(&kept).unwrap();
            assert!(order.left_disabled.contains(&ret1));
            carry_out(&mut session, &order).await;
            assert_eq!(session.state.orders()[&order.id].status, OrderStatus::Done);
            assert!(session.world().entry(Side::Shared, &dn).unwrap().has("pwdAccountLockedTime"));
            let disabled = cells(&session, &ret1, Stage::Disable);
            assert!(disabled.values().any(|cell| cell.applied && !cell.undone), "alone: {alone}: {disabled:?}");
            // They come back after all.
            let order = session.rollback(&request(RollbackScope::Subject(ret1.clone()), Stage::Disable)).unwrap();
            assert_eq!(carry_out(&mut session, &order).await, (1, Vec::new()));
            let (now, was) = (session.world().entry(Side::Shared, &dn).unwrap(), before[0].iter().find(|e| e.dn == dn).unwrap());
            for attr in ["userPassword", "pwdAccountLockedTime", "pwdEndTime"] {
                assert_eq!(now.values(attr), was.values(attr), "alone: {alone}: {attr}");
            }
            assert!(cells(&session, &ret1, Stage::Disable).values().all(|cell| cell.undone));
        }
    });
}

#[test]
fn an_account_that_somebody_else_had_closed_is_looked_at_again_in_the_next_round() {
    block_on(async {
        let closed = {
            let (mut session, waves) = approved();
            through(&mut session, &waves["leave"], Stage::Disable).await;
            let (_, [dn, _]) = who(&session, "ret1");
            session.world().entry(Side::Shared, &dn).unwrap()
        };
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (ret1, [dn, _]) = who(&session, "ret1");
        let same = |attr: &str| Modification::replace(attr.into(), closed.values(attr).to_vec());
        let theirs = Change::Modify { dn: dn.clone(), mods: vec![same("pwdAccountLockedTime"), same("pwdEndTime")] };
        let relaxed = untether_directory::WriteOptions { relax: true, ..Default::default() };
        session.world().shared.handle(Identity::Root).apply(&theirs, &relaxed).await.unwrap();
        through(&mut session, leave, Stage::Disable).await;
        assert!(cells(&session, &ret1, Stage::Disable).values().all(|cell| !cell.applied), "nothing of it is ours");
        let kept = RollbackRequest { enable_inactive: false, ..request(RollbackScope::Wave(leave.clone()), Stage::Disable) };
        let order = session.rollback(&kept).unwrap();
        let (_, conflicts) = carry_out(&mut session, &order).await;
        assert!(conflicts.is_empty(), "{conflicts:?}");
        assert!(session.world().entry(Side::Shared, &dn).unwrap().has("pwdAccountLockedTime"), "it is not ours to open");
        let disabled = cells(&session, &ret1, Stage::Disable);
        assert!(disabled.values().all(|cell| cell.undone), "{disabled:?}");
    });
}

#[test]
fn a_deletion_whose_answer_was_lost_is_taken_back_as_well() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (_, [dn, _]) = who(&session, "ret1");
        through(&mut session, leave, Stage::Scrub).await;
        let before = session.world().entry(Side::Shared, &dn).unwrap();
        let (lost, struck) = (dn.clone(), AtomicBool::new(false));
        session.world().shared.set_faults(move |attempt: &WriteAttempt<'_>| {
            let this = attempt.changes.iter().any(|change| matches!(change, Change::Delete { dn } if *dn == lost));
            if this && !struck.swap(true, Ordering::Relaxed) { Fault::LoseReply } else { Fault::Proceed }
        });
        through(&mut session, leave, Stage::Remove).await;
        assert!(session.world().entry(Side::Shared, &dn).is_none());
        session.world().shared.clear_faults();
        let order = session.rollback(&request(RollbackScope::Wave(leave.clone()), Stage::Remove)).unwrap();
        let (_, conflicts) = carry_out(&mut session, &order).await;
        assert!(conflicts.is_empty(), "{conflicts:?}");
        let again = session.world().entry(Side::Shared, &dn).unwrap();
        for attr in
            ["objectClass", "uid", "cn", "sn", "userPassword", "pwdHistory", "pwdAccountLockedTime", "pwdEndTime", "entryUUID"]
        {
            assert_eq!(again.values(attr), before.values(attr), "{attr}");
        }
    });
}

#[test]
fn with_mere_write_rights_an_entry_is_made_again_without_what_the_server_keeps() {
    block_on(async {
        let mut estate = Estate::small().unwrap();
        estate.manage = false;
        let (mut session, waves) = approved_in(&World::new(estate).unwrap());
        let leave = &waves["leave"];
        let (_, [dn, _]) = who(&session, "ret1");
        through(&mut session, leave, Stage::Scrub).await;
        let before = session.world().entry(Side::Shared, &dn).unwrap();
        through(&mut session, leave, Stage::Remove).await;
        let order = session.rollback(&request(RollbackScope::Wave(leave.clone()), Stage::Remove)).unwrap();
        let (_, conflicts) = carry_out(&mut session, &order).await;
        assert!(conflicts.is_empty(), "{conflicts:?}");
        let again = session.world().entry(Side::Shared, &dn).unwrap();
        for attr in ["objectClass", "uid", "cn", "sn", "userPassword"] {
            assert_eq!(again.values(attr), before.values(attr), "{attr}");
        }
        assert_ne!(again.values("entryUUID"), before.values("entryUUID"));
    });
}

#[test]
fn a_rollback_that_is_asked_to_stop_begins_nothing_new() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (_, id) = disabled_and_to_be_undone(&mut session, leave).await;
        let before = session.world().dumps();
        let (_, wave) = session.world().wave(&id).unwrap();
        let (_sender, stop) = watch::channel(Stop::Clean);
        let options = RunOptions { through: None, wait: SignedDuration::ZERO, stop };
        assert_eq!(session.engine().roll_back(&wave, &options).await.unwrap(), Rollback::Stopped);
        assert_eq!(session.world().dumps(), before);
        assert!(matches!(session.roll_back(&id).await.unwrap(), Driven::Ended(Rollback::Done { .. })), "it goes on");
    });
}

#[test]
fn an_order_whose_approvals_have_lapsed_changes_nothing() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (order, id) = disabled_and_to_be_undone(&mut session, leave).await;
        let before = session.world().dumps();
        let clock = &session.world().clock;
        clock.set(clock.now().checked_add(SignedDuration::from_hours(24 * 800)).unwrap());
        match session.roll_back(&id).await.unwrap() {
            Driven::Ended(Rollback::Unapproved { have, needed }) => assert_eq!((have.len(), needed), (0, order.approvals_needed)),
            other => panic!("{other:?}"),
        }
        assert_eq!(session.world().dumps(), before);
    });
}

#[test]
fn a_conflict_is_overwritten_when_two_people_say_so() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (ret1, [dn, _]) = who(&session, "ret1");
        let (ret4, [gone, _]) = who(&session, "ret4");
        moves_the_end(&session, &dn).await;
        moves_the_end(&session, &gone).await;
        through(&mut session, leave, Stage::Disable).await;
        let conflict = |session: &Session, subject| {
            let found = cells(session, subject, Stage::Disable);
            found.into_iter().find(|(_, cell)| cell.status == CellStatus::Ended(OutcomeKind::Conflict)).map(|(op, _)| op)
        };
        let op = conflict(&session, &ret1).unwrap();
        match session.force(&op, Some(&ret1)).await.unwrap() {
            Driven::Ended(Forced::Done { settled, failed }) => assert_eq!((settled, failed), (vec![ret1.clone()], vec![])),
            other => panic!("{other:?}"),
        }
        assert!(session.world().entry(Side::Shared, &dn).unwrap().has("pwdAccountLockedTime"));
        assert!(session.state.cell(&op, Some(&ret1)).unwrap().forced);
        // What cannot be done by force stays a conflict, with what was found.
        let op = conflict(&session, &ret4).unwrap();
        apply(&session, Side::Shared, Change::Delete { dn: gone }).await;
        let orders: BTreeSet<_> = session.state.orders().keys().cloned().collect();
        match session.force(&op, Some(&ret4)).await.unwrap() {
            Driven::Ended(Forced::Done { settled, failed }) => {
                assert!(settled.is_empty() && failed.len() == 1 && failed[0].1.contains("gone"), "{failed:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(conflict(&session, &ret4), Some(op));
        // One of the two takes their approval back.
        let order = session.state.orders().keys().find(|id| !orders.contains(*id)).unwrap().clone();
        let approval = *session.state.approvals().keys().next_back().unwrap();
        session.record(&Record::Revoked { approval, by: "alice".into(), reason: String::new() }).unwrap();
        let wave = WaveId::new(order.clone(), session.state.orders()[&order].waves[0].name.as_str());
        let (_, wave) = session.world().wave(&wave).unwrap();
        match session.engine().force(&wave, &session.world().wave(leave).unwrap().1).await.unwrap() {
            Forced::Unapproved { have, needed } => assert_eq!((have.len(), needed), (1, 2)),
            other => panic!("{other:?}"),
        }
    });
}

/// Somebody of the wave that moves people, switched over and in conflict at their disabling, with the operation and both entries.
async fn in_conflict_at_disable() -> (Session, SubjectId, OpId, [Dn; 2]) {
    let (mut session, waves) = approved();
    let (mig1, dns) = who(&session, "mig1");
    through(&mut session, &waves["move"], Stage::Switch).await;
    moves_the_end(&session, &dns[0]).await;
    through(&mut session, &waves["move"], Stage::Disable).await;
    let found = cells(&session, &mig1, Stage::Disable);
    let (op, _) = found.into_iter().find(|(_, cell)| cell.status == CellStatus::Ended(OutcomeKind::Conflict)).unwrap();
    (session, mig1, op, dns)
}

#[test]
fn nobody_loses_the_last_login_by_force_unless_somebody_answers_for_it() {
    block_on(async {
        let (mut session, mig1, op, [shared, own]) = in_conflict_at_disable().await;
        let locked = vec![Modification::replace("pwdAccountLockedTime".into(), vec!["000001010000Z".into()])];
        apply(&session, Side::Independent, Change::Modify { dn: own, mods: locked }).await;
        match session.force(&op, Some(&mig1)).await.unwrap() {
            Driven::Ended(Forced::Refused(words)) => assert!(words.contains("gate own-account does not let"), "{words}"),
            other => panic!("{other:?}"),
        }
        assert!(!session.world().entry(Side::Shared, &shared).unwrap().has("pwdAccountLockedTime"));
        session.accept(GateKind::OwnAccount, GateScope::Subject(mig1.clone())).unwrap();
        match session.force(&op, Some(&mig1)).await.unwrap() {
            Driven::Ended(Forced::Done { settled, .. }) => assert_eq!(settled, [mig1]),
            other => panic!("{other:?}"),
        }
        assert!(session.world().entry(Side::Shared, &shared).unwrap().has("pwdAccountLockedTime"));
    });
}

#[test]
fn nobody_is_worked_on_by_force_while_a_rollback_of_theirs_is_under_way() {
    block_on(async {
        let (mut session, mig1, op, [shared, _]) = in_conflict_at_disable().await;
        let scope = RollbackScope::Subject(mig1.clone());
        let order = session.rollback(&request(scope, Stage::Enroll)).unwrap();
        let id = session.order(&order).unwrap();
        let world = session.world().clone();
        // It dies when its first intent is durable.
        world.breaker.arm(Some(3));
        assert!(matches!(session.roll_back(&id).await.unwrap(), Driven::Killed));
        world.breaker.arm(None);
        let mut session = Session::open(&world).unwrap();
        assert_eq!(session.state.orders()[&order.id].status, OrderStatus::Running);
        match session.force(&op, Some(&mig1)).await.unwrap() {
            Driven::Ended(Forced::Refused(words)) => assert!(words.contains("is being rolled back by order"), "{words}"),
            other => panic!("{other:?}"),
        }
        assert!(!session.world().entry(Side::Shared, &shared).unwrap().has("pwdAccountLockedTime"));
    });
}
