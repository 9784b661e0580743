//! What an audit sees of people whose accounts were disabled, scrubbed or taken away.

use std::collections::BTreeSet;

use untether_model::digest::Digest;
use untether_model::operation::{Action, Stage};
use untether_model::plan::{OrderKind, RollbackScope};
use untether_model::run::{CellOutcome, Outcome, OutcomeKind, Record, Started};
use untether_model::schema::Schema;
use untether_model::snapshot::{AuthPath, CredentialKind, PathState};
use untether_model::time::PERMANENT_LOCK;
use untether_model::{AttrName, BatchId, Dn, OpId, PlanId, Round, Side, WaveId};
use untether_planner::{Compared, DriftInputs, drift};

use crate::plan::record;
use crate::rollback::{Run, done, leavers, movers};
use crate::world::*;

fn looked(run: &Run) -> Compared {
    drift(&DriftInputs {
        source: &run.world,
        schema: &Schema::standard(),
        progress: &run.world.progress,
        operations: &run.ledger,
        now: NOW.parse().unwrap(),
    })
    .unwrap()
}

/// What is gone: (subject, stage, target, words), and how many effects hold.
fn told(run: &Run) -> (BTreeSet<(String, Stage, String, String)>, usize) {
    let compared = looked(run);
    assert!(compared.unread.is_empty(), "{:?}", compared.unread);
    let gone = compared.look.gone.into_iter().map(|gone| {
        let op = &run.ledger.operations[&gone.op];
        (gone.subject.unwrap().to_string(), op.stage, op.target.dn().to_string(), gone.seen)
    });
    (gone.collect(), compared.look.holds.len())
}

fn gone(uid: &str, stage: Stage, at: &Dn, words: &str) -> BTreeSet<(String, Stage, String, String)> {
    BTreeSet::from([(id(uid).to_string(), stage, at.to_string(), words.to_owned())])
}

/// Both leavers after a stage, as an audit finds them.
fn left(last: Stage) -> Run {
    let mut run = Run::through(leavers(), "leave", last, done);
    for uid in ["a", "b"] {
        run.world.set(uid, "pwdAccountLockedTime", &[PERMANENT_LOCK]);
        run.world.set(uid, "pwdEndTime", &["20261119000000Z"]);
        run.world.entry_of(uid).credentials.retain(|mark| mark.exact != "sasl");
        if last >= Stage::Scrub {
            let entry = run.world.entry_of(uid);
            entry.credentials.clear();
            entry.attrs.retain(|attr, _| !attr.is("mail") && !attr.is("telephonenumber"));
        }
    }
    if last >= Stage::Remove {
        run.world.shared.clear();
        run.world.subjects.clear();
    }
    run
}

fn path(run: &mut Run, uid: &str, state: PathState) {
    let subject = run.world.subjects.iter_mut().find(|s| s.id == id(uid)).unwrap();
    subject.accounts[0].state.paths = vec![AuthPath { path: "sasl".into(), state, why: "it says so".into() }];
}

#[test]
fn what_was_done_holds_or_is_gone_by_what_the_account_has() {
    assert_eq!(told(&left(Stage::Disable)), (BTreeSet::new(), 2));
    assert_eq!(told(&left(Stage::Scrub)), (BTreeSet::new(), 6), "each disabled and scrubbed, and without a history");

    let mut run = left(Stage::Scrub);
    run.world.entry_of("b").attrs.remove(&AttrName::new("pwdAccountLockedTime"));
    run.world.set("a", "mail", &["again@shared.example"]);
    let (found, holds) = told(&run);
    let mut expected = gone("b", Stage::Disable, &shared("b"), "pwdAccountLockedTime is gone");
    expected.extend(gone("a", Stage::Scrub, &shared("a"), "mail is there again"));
    assert_eq!((found, holds), (expected, 4));

    let mut run = left(Stage::Disable);
    let again = mark("userPassword", CredentialKind::Password, Some("SASL"), "other");
    run.world.entry_of("a").credentials.push(again);
    let expected = gone("a", Stage::Disable, &shared("a"), "userPassword holds a value again that lets in past the lock");
    assert_eq!(told(&run), (expected, 1));
}

#[test]
fn an_account_that_lets_somebody_in_is_no_longer_disabled_and_one_that_nobody_can_tell_is() {
    for (state, opens) in [(PathState::Open, true), (PathState::Unknown, false), (PathState::Refused, false)] {
        let mut run = left(Stage::Scrub);
        path(&mut run, "a", state);
        let words = "the store would let it in (sasl: it says so)";
        let expected = if opens { gone("a", Stage::Disable, &shared("a"), words) } else { BTreeSet::new() };
        assert_eq!(told(&run), (expected, if opens { 5 } else { 6 }), "{state:?}: the scrub holds either way");
    }
}

#[test]
fn a_record_that_is_back_is_told_with_what_names_it_and_another_under_its_name_is_not() {
    assert_eq!(told(&left(Stage::Remove)), (BTreeSet::new(), 0), "nothing is left to look at");
    let back = leavers();
    let mut run = left(Stage::Remove);
    (run.world.shared, run.world.subjects) = (back.shared, back.subjects);
    let (found, _) = told(&run);
    let group = dn("cn=staff,ou=groups,dc=shared");
    for uid in ["a", "b"] {
        assert!(found.is_superset(&gone(uid, Stage::Remove, &shared(uid), "the record is there again")), "{found:?}");
        assert!(found.is_superset(&gone(uid, Stage::Remove, &group, "member names it again")), "{found:?}");
    }
    // The account is somebody else's now: under the old name it is not the subject's.
    for subject in &mut run.world.subjects {
        subject.accounts[0].dn = dn("uid=elsewhere,dc=shared");
    }
    let (found, _) = told(&run);
    assert!(found.iter().all(|(_, _, at, _)| *at == group.to_string()), "{found:?}");
    // Who has nothing in the shared store any more is not looked at.
    for subject in &mut run.world.subjects {
        subject.accounts[0].side = Side::Independent;
    }
    assert_eq!(told(&run), (BTreeSet::new(), 0));
}

/// Records an order about the first of the leavers, and its only operation as done once `begin` says so.
fn order(run: &mut Run, id: &PlanId, kind: OrderKind, begin: impl FnOnce(&Run)) {
    let first = run.ledger.intents.values().find(|s| s.stage == Stage::Disable).unwrap().clone();
    let concerns = vec![(first.op.batch.clone(), first.subjects.clone())];
    let wave = run.back(Stage::Disable, |_| {}).unwrap().wave;
    let op = OpId::new(BatchId::new(WaveId::new(id.clone(), &wave.name), "b01"), 1);
    let (order, digest) = (id.clone(), Digest::of(b"order"));
    let recorded = Record::OrderRecorded { order, digest, order_kind: kind, wave, approvals_needed: 1, concerns };
    record(&mut run.world, 800, &recorded);
    begin(run);
    let cells = first.subjects.iter().map(|id| CellOutcome { subject: Some(id.clone()), kind: OutcomeKind::Succeeded }).collect();
    record(&mut run.world, 801, &Record::Started { started: Started { op: op.clone(), ..first } });
    let (stage, message) = (Stage::Disable, String::new());
    let outcome = Outcome { op, stage, started: Some(801), cells, code: None, message, stable_id: None, image: None };
    record(&mut run.world, 802, &Record::Outcome { outcome });
}

#[test]
fn whoever_is_being_worked_on_is_left_to_the_next_look() {
    let held = |run: &Run| looked(run).look.holds.into_iter().filter_map(|(_, subject)| subject).collect::<BTreeSet<_>>();
    let both = BTreeSet::from([id("a"), id("b")]);
    let mut run = left(Stage::Disable);
    let batch = BatchId::new(run.wave.clone(), "b01");
    let scope = RollbackScope::Batch(batch.clone());
    let kind = OrderKind::Rollback { scope, to: Stage::Disable, delete_provisioned: false, enable_inactive: false };
    order(&mut run, &PlanId::new("0"), kind, |run| assert_eq!(held(run), both, "the rollback has not begun"));
    assert_eq!(held(&run), BTreeSet::new(), "the batch waits for the rollback, which has nothing in flight");

    let mut run = left(Stage::Disable);
    let round = Round::FIRST;
    record(&mut run.world, 800, &Record::StageStarted { batch: batch.clone(), stage: Stage::Soak, round, operations: 0 });
    record(&mut run.world, 801, &Record::StageEnded { batch: batch.clone(), stage: Stage::Soak, round });
    record(&mut run.world, 802, &Record::StageStarted { batch: batch.clone(), stage: Stage::Scrub, round, operations: 1 });
    let first = run.ledger.intents.values().find(|s| s.subjects == [id("a")]).unwrap().clone();
    let started = Started { op: OpId::new(batch, 90), stage: Stage::Scrub, ..first };
    record(&mut run.world, 803, &Record::Started { started });
    assert_eq!(held(&run), BTreeSet::from([id("b")]), "a scrub has no outcome yet");
}

#[test]
fn only_what_plans_did_in_the_shared_store_is_looked_at() {
    // What is read of an operation that is not looked at would be said to be unreadable.
    let mut run = Run::through(movers(), "move", Stage::Disable, done);
    run.ledger.operations.retain(|_, op| op.stage == Stage::Disable);
    run.world.set("h", "pwdAccountLockedTime", &[PERMANENT_LOCK]);
    run.world.set("h", "pwdEndTime", &["20261119000000Z"]);
    assert_eq!(told(&run), (BTreeSet::new(), 1));

    // An order of its own is looked at by whoever made it.
    let mut run = left(Stage::Disable);
    let op = run.ledger.operations.keys().next().unwrap().clone();
    order(&mut run, &PlanId::new("0"), OrderKind::Resolution { op }, |_| {});
    assert_eq!(told(&run), (BTreeSet::new(), 2));

    // What sends something leaves nothing to look at.
    let mut run = left(Stage::Disable);
    let op = run.ledger.operations.values_mut().find(|op| op.subjects == [id("a")]).unwrap();
    op.action = Action::Deliver { hook: "mail".into(), repeatable: false };
    assert_eq!(told(&run), (BTreeSet::new(), 1));
}

#[test]
fn where_operations_cannot_be_read_any_more_open_accounts_are_still_told() {
    let mut run = left(Stage::Scrub);
    run.ledger.operations.clear();
    path(&mut run, "b", PathState::Open);
    let compared = looked(&run);
    assert_eq!(compared.unread.keys().collect::<Vec<_>>(), [&run.wave]);
    let gone: Vec<_> = compared.look.gone.iter().map(|gone| (gone.subject.clone(), gone.op.wave().clone())).collect();
    assert_eq!(gone, [(Some(id("b")), run.wave.clone())], "once, for the disabling");
}
