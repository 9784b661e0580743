//! What the fold says is still to be done, by whom, and who has approved of it.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::approval::{Signed, Subject};
use untether_model::operation::Stage::{self, Disable, Enroll, Provision, Scrub, Switch};
use untether_model::plan::{OrderKind, RollbackScope};
use untether_model::run::OutcomeKind::{
    Already, Conflict, Deferred, NotApplicable, Observed, Refused, Skipped, Succeeded, Unknown,
};
use untether_model::run::{
    CellStand, Decision, DecisionId, GateKind, GateScope, Match, MatchVerb, Observation, ParkReason, PartKey, Record, RunState,
    Stand, Verdict, approvers, being_disabled, cell_stand, concerned, missing_approvals, object_approvers, retriable, stand,
    unfinished_order, unfinished_rollback,
};
use untether_model::{Round, Side, SubjectId};

use crate::fold::*;

fn moving(subjects: &[&str]) -> Fold {
    let mut fold = Fold::wave(subjects.iter().map(|subject| claim(subject, &MOVES)).collect());
    fold.add(&stage_started("p", Provision));
    fold
}

fn people(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_cell_is_begun_observed_left_alone_or_waits_for_a_person() {
    let mut fold = moving(&["a"]);
    let stands = |fold: &Fold, n| cell_stand(&fold.state, &op("p", n), Some(&id("a")));
    assert_eq!(stands(&fold, 1), CellStand::Fresh);
    let intent = fold.add(&started(&op("p", 1), Provision, &["a"]));
    assert_eq!(stands(&fold, 1), CellStand::Observe { started: intent, attempts: 1 });
    fold.add(&ended(&op("p", 1), Provision, Some(intent), "a", Unknown));
    assert_eq!(stands(&fold, 1), CellStand::Observe { started: intent, attempts: 1 });
    // Nobody knows, and nothing was begun that could be looked at.
    fold.add(&ended(&op("p", 2), Provision, None, "a", Unknown));
    assert_eq!(stands(&fold, 2), CellStand::Fresh);
    let kinds = [Already, Succeeded, Observed, Skipped, NotApplicable, Refused, Conflict, Deferred];
    for (n, kind) in (10..).zip(kinds) {
        fold.add(&ended(&op("p", n), Provision, None, "a", kind));
        let expected = match kind {
            Refused | Conflict => CellStand::Failed(kind),
            Deferred => CellStand::Fresh,
            done => CellStand::Done(done),
        };
        assert_eq!(stands(&fold, n), expected);
    }
    fold.add(&order_recorded("o", rollback(RollbackScope::Subject(id("a")), Provision), Vec::new()));
    fold.add(&rolled_back("o", None, &["a"], Provision, 2));
    assert_eq!([10, 15, 16].map(|n| stands(&fold, n)), [CellStand::Fresh, CellStand::Fresh, CellStand::Fresh]);
}

#[test]
fn somebody_is_with_the_batch_behind_it_parked_or_elsewhere() {
    let mut fold = moving(&["a", "late", "parked", "gone", "free"]);
    let stands = |fold: &Fold, subject| stand(&fold.state, &batch_id("p"), &id(subject));
    for subject in ["late", "parked", "gone"] {
        fold.add(&parked(subject, Provision, ParkReason::Held));
    }
    fold.add(&unparked("late"));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("gone", &MOVES)]));
    assert_eq!(stands(&fold, "a"), Stand::WithBatch);
    assert_eq!(stands(&fold, "late"), Stand::CatchingUp(Provision));
    assert_eq!(stands(&fold, "parked"), Stand::Parked);
    assert_eq!(stands(&fold, "gone"), Stand::Elsewhere);
    assert_eq!(stands(&fold, "nobody"), Stand::Elsewhere);
    fold.add(&Record::Released { wave: wave_id("p"), subjects: vec![id("free"), id("nobody")], reason: "stays".into() });
    assert_eq!(stands(&fold, "free"), Stand::Elsewhere);
    assert!(!fold.subject("free").claimed && fold.state.subjects().get(&id("nobody")).is_none());
}

#[test]
fn whoever_waits_for_a_decision_is_not_taken_up_again() {
    let may = |fold: &Fold, subject| retriable(&fold.state, &id(subject));
    let mut fold = moving(&["a", "b"]);
    assert!(!may(&fold, "a") && !may(&fold, "nobody"));
    fold.add(&ended(&op("p", 1), Provision, None, "a", Refused));
    fold.add(&parked("a", Provision, ParkReason::Failed));
    assert!(may(&fold, "a"), "a refusal may be gone next time");
    fold.add(&ended(&op("p", 2), Provision, None, "b", Conflict));
    fold.add(&parked("b", Provision, ParkReason::Conflict));
    assert!(!may(&fold, "b"));
    // What two people want overwritten is decided.
    fold.add(&order_recorded("f", OrderKind::Resolution { op: op("p", 2) }, vec![(batch_id("p"), vec![id("b")])]));
    fold.add(&resolved(&op("p", 2), "b", "force", Some("f")));
    assert!(may(&fold, "b"));
    fold.add(&aborted("p"));
    assert!(!may(&fold, "b"), "nobody has it any more");

    // A conflict that was undone since asks nothing any more.
    let mut fold = moving(&["b"]);
    fold.add(&ended(&op("p", 2), Provision, None, "b", Conflict));
    fold.add(&order_recorded("o", rollback(RollbackScope::Subject(id("b")), Provision), Vec::new()));
    fold.add(&rolled_back("o", None, &["b"], Provision, 2));
    assert!(may(&fold, "b"));

    // Nor does one in a wave that had somebody before.
    let mut fold = moving(&["b"]);
    fold.add(&ended(&op("p", 2), Provision, None, "b", Conflict));
    fold.add(&parked("b", Provision, ParkReason::Conflict));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("b", &MOVES)]));
    fold.add(&parked("b", Provision, ParkReason::Held));
    assert!(may(&fold, "b"));
}

#[test]
fn an_effect_that_is_gone_waits_for_a_decision_wherever_it_was_ours() {
    let may = |fold: &Fold| retriable(&fold.state, &id("a"));
    let mut fold = moving(&["a"]);
    fold.carried_out(&op("p", 1), Provision, "a", Succeeded);
    fold.add(&ended(&op("p", 2), Provision, None, "a", Already));
    fold.add(&stage_ended("p", Provision));
    fold.add(&parked("a", Enroll, ParkReason::Held));
    assert!(may(&fold));
    let mut here = Fold { state: fold.state.clone(), seq: fold.seq };
    here.add(&drift(&op("p", 2), Provision, "a", false));
    assert!(!may(&here));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("a", &MOVES)]));
    fold.add(&parked("a", Provision, ParkReason::Held));
    fold.add(&drift(&op("p", 2), Provision, "a", false));
    assert!(may(&fold), "what an earlier wave had only found done is the business of nobody");
    fold.add(&drift(&op("p", 1), Provision, "a", false));
    assert!(!may(&fold));
}

#[test]
fn an_order_that_has_begun_is_in_the_way_of_whom_it_concerns() {
    let mut fold = moving(&["a"]);
    let concerns = vec![(batch_id("p"), vec![id("a")])];
    let in_the_way = |fold: &Fold| unfinished_order(&fold.state, &batch_id("p"));
    fold.add(&order_recorded("back", rollback(RollbackScope::Subject(id("a")), Provision), concerns.clone()));
    assert_eq!(in_the_way(&fold), None, "nothing of it has begun");
    assert_eq!(unfinished_rollback(&fold.state, &id("a")), None);
    let intent = fold.add(&started(&op("back", 1), Provision, &["a"]));
    fold.add(&ended(&op("back", 1), Provision, Some(intent), "a", Succeeded));
    assert_eq!(in_the_way(&fold), Some(plan_id("back")));
    assert_eq!(unfinished_rollback(&fold.state, &id("a")), Some(&plan_id("back")));
    assert_eq!(unfinished_rollback(&fold.state, &id("b")), None);
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("b", &MOVES)]));
    assert_eq!(unfinished_order(&fold.state, &batch_id("q")), None);
    fold.add(&rolled_back("back", None, &["a"], Provision, 2));
    assert_eq!((in_the_way(&fold), unfinished_rollback(&fold.state, &id("a"))), (None, None));

    // Orders about credentials only while one of their own changes is under way; forced resolutions never are.
    let expire = OrderKind::Expire { scope: Default::default(), older_than: None };
    for (n, kind, waits) in [(1, reissue(), true), (2, expire, true), (3, OrderKind::Resolution { op: op("p", 1) }, false)] {
        let order = format!("o{n}");
        fold.add(&order_recorded(&order, kind, concerns.clone()));
        let intent = fold.add(&started(&op(&order, 1), Enroll, &["a"]));
        assert_eq!(in_the_way(&fold).is_some(), waits, "{order}");
        assert_eq!(unfinished_rollback(&fold.state, &id("a")), None);
        fold.add(&ended(&op(&order, 1), Enroll, Some(intent), "a", Succeeded));
        assert_eq!(in_the_way(&fold), None, "{order}");
    }
}

#[test]
fn an_account_is_being_disabled_while_its_batch_is_at_it() {
    let mut fold = Fold::wave(["a", "parked", "late", "free"].map(|subject| claim(subject, &[Switch, Disable])).to_vec());
    fold.through(Switch);
    let being = |fold: &Fold, subject: &str| being_disabled(&fold.state, &id(subject)).cloned();
    assert_eq!(being(&fold, "a"), None);
    fold.add(&stage_started("p", Disable));
    assert_eq!(being(&fold, "a"), Some(batch_id("p")));
    fold.add(&parked("parked", Disable, ParkReason::Failed));
    fold.add(&parked("late", Disable, ParkReason::Failed));
    fold.add(&unparked("late"));
    fold.add(&Record::Released { wave: wave_id("p"), subjects: vec![id("free")], reason: "stays".into() });
    for subject in ["parked", "late", "free", "nobody"] {
        assert_eq!(being(&fold, subject), None, "{subject}");
    }
    fold.add(&stage_ended("p", Disable));
    assert_eq!(being(&fold, "a"), None);
}

fn order_signed(approver: &str, key: &str, round: u32, through: Stage, not_after: u64) -> Signed {
    let subject = Subject::Order { digest: digest("p"), wave: "w".into(), round: Round(round), through };
    signed(subject, approver, key, not_after)
}

#[test]
fn an_approval_covers_its_order_wave_and_round_up_to_its_stage_and_time() {
    let mut fold = Fold::new();
    let first = fold.add(&Record::Approved { signed: order_signed("alice", "k1", 1, Disable, 100) });
    let second = fold.add(&Record::Approved { signed: order_signed("bob", "k2", 1, Scrub, 50) });
    fold.add(&Record::Approved { signed: order_signed("carol", "k3", 2, Scrub, 100) });
    let shown = Subject::Object { kind: "forget".into(), object: "w".into(), shown: digest("p") };
    fold.add(&Record::Approved { signed: signed(shown, "dora", "k4", 100) });
    let of = |fold: &Fold, order: &str, wave: &str, round, since, stage, now| {
        approvers(&fold.state, &digest(order), wave, (Round(round), since, stage), at(now))
    };
    assert_eq!(of(&fold, "p", "w", 1, 0, Switch, 10), people(&["alice", "bob"]));
    assert_eq!(of(&fold, "p", "w", 1, 0, Disable, 10), people(&["alice", "bob"]));
    assert_eq!(of(&fold, "p", "w", 1, 0, Scrub, 10), people(&["bob"]));
    assert_eq!(of(&fold, "p", "w", 1, 0, Switch, 50), people(&["alice", "bob"]), "up to the last moment");
    assert_eq!(of(&fold, "p", "w", 1, 0, Switch, 51), people(&["alice"]));
    assert_eq!(of(&fold, "p", "w", 2, 0, Switch, 10), people(&["carol"]));
    assert_eq!(of(&fold, "p", "w", 1, second, Switch, 10), people(&["bob"]), "given since that record");
    assert_eq!((of(&fold, "q", "w", 1, 0, Switch, 10), of(&fold, "p", "v", 1, 0, Switch, 10)), (people(&[]), people(&[])));
    // One key is one person, under whatever names.
    fold.add(&Record::Approved { signed: order_signed("robert", "k2", 1, Scrub, 100) });
    assert_eq!(of(&fold, "p", "w", 1, 0, Scrub, 10).len(), 1);
    fold.add(&Record::Revoked { approval: first, by: "alice".into(), reason: String::new() });
    assert_eq!(of(&fold, "p", "w", 1, 0, Switch, 10).len(), 1);

    let of_object = |kind, object, shown| object_approvers(&fold.state, kind, object, &digest(shown), at(10));
    assert_eq!(of_object("forget", "w", "p"), people(&["dora"]));
    for (kind, object, shown) in [("waive", "w", "p"), ("forget", "v", "p"), ("forget", "w", "q")] {
        assert_eq!(of_object(kind, object, shown), people(&[]));
    }
}

#[test]
fn what_cannot_be_undone_needs_two_people() {
    let mut fold = Fold::new();
    let missing = |fold: &Fold, stage, needed| {
        let gap = missing_approvals(&fold.state, &digest("p"), "w", (Round::FIRST, 0, stage), (needed, at(10)));
        gap.map(|gap| (gap.have, gap.needed, gap.stage, gap.round))
    };
    assert_eq!(missing(&fold, Switch, 0), Some((people(&[]), 1, Switch, Round::FIRST)));
    fold.add(&Record::Approved { signed: order_signed("alice", "k1", 1, Scrub, 100) });
    assert_eq!(missing(&fold, Disable, 0), None);
    assert_eq!(missing(&fold, Disable, 2), Some((people(&["alice"]), 2, Disable, Round::FIRST)));
    assert_eq!(missing(&fold, Scrub, 1), Some((people(&["alice"]), 2, Scrub, Round::FIRST)));
    fold.add(&Record::Approved { signed: order_signed("bob", "k2", 1, Scrub, 100) });
    assert_eq!(missing(&fold, Scrub, 2), None);
}

#[test]
fn what_has_begun_nothing_with_somebody_leaves_them_to_another_wave() {
    let unstarted = |fold: &Fold, subject: &str| fold.state.is_unstarted(&id(subject));
    let mut fold = Fold::wave(vec![claim("a", &MOVES)]);
    assert!(unstarted(&fold, "a") && unstarted(&fold, "nobody"));
    fold.add(&stage_started("p", Provision));
    assert!(!unstarted(&fold, "a"));
    fold.carried_out(&op("p", 1), Provision, "a", Succeeded);
    fold.add(&stage_ended("p", Provision));
    assert!(!unstarted(&fold, "a"));
    // All of it undone, it is as if nothing had begun.
    fold.add(&order_recorded("o", rollback(RollbackScope::Batch(batch_id("p")), Provision), Vec::new()));
    let mut in_part = Fold { state: fold.state.clone(), seq: fold.seq };
    fold.add(&rolled_back("o", Some("p"), &["a"], Provision, 2));
    assert!(unstarted(&fold, "a"));
    let Record::RolledBack { order, batch, subjects, to, round, .. } = rolled_back("o", Some("p"), &["a"], Provision, 2) else {
        panic!("a rollback")
    };
    in_part.add(&Record::RolledBack { order, batch, subjects, to, round, kept: vec![(op("p", 1), id("a"))] });
    assert!(!unstarted(&in_part, "a"), "something is still in place");
    // Somebody behind a batch that is as good as new has not begun either, and whose batch has has.
    let mut ahead = Fold::wave(vec![claim("a", &[Switch]), claim("b", &MOVES)]);
    ahead.through(Provision);
    ahead.add(&parked("a", Switch, ParkReason::Held));
    assert!(!unstarted(&ahead, "a"));
}

#[test]
fn somebody_is_found_under_every_id() {
    let mut fold = Fold::new();
    for (from, to) in [("a", "b"), ("b", "c"), ("x", "c")] {
        fold.add(&Record::SubjectAliased { from: id(from), to: id(to) });
    }
    let (a, b, c, x, y) = (id("a"), id("b"), id("c"), id("x"), id("y"));
    assert_eq!(fold.state.identities(&a), [&c, &a, &b, &x]);
    assert_eq!(fold.state.identities(&y), [&y]);
    assert_eq!(fold.state.earlier_ids(), BTreeMap::from([(&c, vec![&a, &b, &x])]));
    assert_eq!(fold.state.aliases().len(), 3);
    assert_eq!(fold.state.progress_of(&a), None);
    fold.add(&plan_recorded("p"));
    fold.add(&wave_started("p", vec![claim("b", &MOVES)]));
    assert_eq!(fold.state.progress_of(&a).map(|(id, _)| id), Some(&b));
    // The present id comes before earlier ones, and whom a wave has before all.
    fold.add(&parked("b", Provision, ParkReason::Held));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("c", &MOVES)]));
    assert_eq!(fold.state.progress_of(&a).map(|(id, _)| id), Some(&c));
    fold.add(&aborted("q"));
    assert_eq!(fold.state.progress_of(&a).map(|(id, _)| id), Some(&c));
    fold.add(&plan_recorded("r"));
    fold.add(&wave_started("r", vec![claim("x", &MOVES)]));
    assert_eq!(fold.state.progress_of(&a).map(|(id, _)| id), Some(&x));
}

#[test]
fn decisions_since_a_record_are_known_under_every_id() {
    let mut fold = Fold::new();
    fold.add(&Record::SubjectAliased { from: id("old"), to: id("a") });
    let shown = Subject::Object { kind: "match".into(), object: "a".into(), shown: digest("shown") };
    let signed = signed(shown, "alice", "k", 100);
    let about = |subject: &str| {
        let (these, others) = (vec!["a".into()], vec!["b".into()]);
        Decision::Match(Match { verb: MatchVerb::Deny, these, others, subjects: vec![id(subject)] })
    };
    let mut decide = |decision| fold.add(&Record::Decision { decision, signed: signed.clone() });
    let first = decide(about("a"));
    let second = decide(about("b"));
    let back = decide(Decision::Withdraw { decision: DecisionId::alone(first) });
    let since = |record, wanted| -> Vec<(SubjectId, u64)> {
        let found = fold.state.decided_after(record, wanted);
        found.into_iter().map(|(subject, decision)| (subject.clone(), decision.record)).collect()
    };
    let all = |_: &Decision| true;
    assert_eq!(since(0, all), [(id("a"), back), (id("b"), second), (id("old"), back)]);
    assert_eq!(since(first, all), [(id("a"), back), (id("b"), second), (id("old"), back)]);
    assert_eq!(since(second, all), [(id("a"), back), (id("old"), back)]);
    assert_eq!(since(back, all), []);
    assert_eq!(since(0, |_| false), []);
    let standing: Vec<_> = fold.state.decisions().map(|(id, _)| id.record).collect();
    assert_eq!(standing, [second]);
    assert_eq!(fold.state.all_decisions().count(), 3);
    assert!(fold.state.decision(DecisionId::alone(second)).is_some());
}

/// A state with a part of each kind.
fn of_each_kind() -> Fold {
    let mut fold = moving(&["a", "b"]);
    fold.add(&started(&op("p", 1), Provision, &["a"]));
    fold.add(&started(&op("p", 2), Provision, &[]));
    fold.add(&Record::Approved { signed: order_signed("alice", "k", 1, Disable, 100) });
    fold.add(&Record::Paused { by: "alice".into(), reason: "lunch".into() });
    fold.add(&Record::SubjectAliased { from: id("old"), to: id("a") });
    let shown = Subject::Object { kind: "gate".into(), object: "a".into(), shown: digest("shown") };
    let signed = signed(shown, "alice", "k", 100);
    let (gate, scope) = (GateKind::Silence, GateScope::Subject(id("a")));
    fold.add(&Record::GateAccepted { gate, scope: scope.clone(), signed: signed.clone() });
    let track = Decision::Match(Match { verb: MatchVerb::Deny, these: Vec::new(), others: Vec::new(), subjects: vec![id("a")] });
    let decided = fold.add(&Record::Decision { decision: track, signed: signed.clone() });
    fold.add(&Record::Decision { decision: Decision::Withdraw { decision: DecisionId::alone(decided) }, signed });
    for what in [
        Observation::Gate { gate, scope: scope.clone(), verdict: Verdict::Pass, why: "one login".into() },
        Observation::Proof { subject: id("a"), proved: vec!["gone".into()], missing: Vec::new() },
        Observation::Capabilities { side: Side::Shared, capabilities: Default::default() },
    ] {
        fold.add(&observed(what));
    }
    fold.add(&Record::AuditRecorded {
        snapshot: digest("snapshot"),
        findings: digest("findings"),
        taken_at: at(1),
        as_of: None,
        executable: true,
        in_scope: BTreeMap::new(),
        active_people: 2,
        active_by_entity: BTreeMap::new(),
        complete: true,
        subjects: Vec::new(),
        counts: Vec::new(),
        compared: None,
        entities: None,
    });
    fold
}

#[test]
fn a_state_is_the_sum_of_its_parts_each_under_its_own_key() {
    let fold = of_each_kind();
    let parts = fold.state.parts();
    let keys: BTreeSet<PartKey> = parts.iter().map(|part| part.key()).collect();
    let stored: BTreeSet<Vec<u8>> = keys.iter().map(PartKey::to_bytes).collect();
    assert_eq!((keys.len(), stored.len()), (parts.len(), parts.len()));
    let kinds: BTreeSet<u8> = stored.iter().map(|key| key[0]).collect();
    let of_subjects = *b"scp";
    assert_eq!(kinds, PartKey::COMMON.iter().chain(b"g").chain(&of_subjects).copied().collect());
    let mut again = RunState::new();
    parts.into_iter().rev().for_each(|part| again.put(part));
    assert_eq!(again, fold.state);
}

#[test]
fn a_new_observation_takes_the_place_of_the_one_before_it() {
    let fold = of_each_kind();
    let of = |what| concerned(&fold.state, &observed(what));
    let gate = |scope| Observation::Gate { gate: GateKind::Mfa, scope, verdict: Verdict::Pass, why: String::new() };
    assert_eq!(of(gate(GateScope::Subject(id("b")))), [id("b")]);
    assert_eq!(of(Observation::Proof { subject: id("a"), proved: Vec::new(), missing: Vec::new() }), [id("a")]);
    assert_eq!(of(gate(GateScope::Batch(batch_id("p")))), []);
}

#[test]
fn a_batch_is_finished_after_its_last_stage() {
    let mut fold = Fold::wave(vec![claim("a", &[Provision, Enroll])]);
    assert!(!fold.batch().is_finished());
    fold.through(Provision);
    assert!(!fold.batch().is_finished());
    fold.add(&stage_started("p", Enroll));
    assert!(!fold.batch().is_finished(), "it is in its last stage");
    fold.add(&stage_ended("p", Enroll));
    assert!(fold.batch().is_finished());
}

#[test]
fn what_was_observed_and_accepted_is_found_by_gate_and_scope() {
    let fold = of_each_kind();
    let (here, there) = (GateScope::Subject(id("a")), GateScope::Subject(id("b")));
    let seen = fold.state.gate_observation(GateKind::Silence, &here).unwrap();
    assert!(matches!(&seen.what, Observation::Gate { verdict: Verdict::Pass, .. }));
    assert_eq!(fold.state.gates().len(), 1);
    assert!(fold.state.gate_observation(GateKind::Mfa, &here).is_none());
    assert!(fold.state.gate_observation(GateKind::Silence, &there).is_none());
    let by = |gate, scope| fold.state.acceptances(gate, scope).map(|signed| signed.approver.as_str()).collect::<Vec<_>>();
    assert_eq!(by(GateKind::Silence, &here), ["alice"]);
    assert_eq!((by(GateKind::Mfa, &here).len(), by(GateKind::Silence, &there).len()), (0, 0));
    assert_eq!(fold.state.accepted().len(), 1);
    assert_eq!(fold.state.proofs().keys().collect::<Vec<_>>(), [&id("a")]);
    assert_eq!(fold.state.general().capabilities.keys().collect::<Vec<_>>(), [&Side::Shared]);
    assert_eq!(fold.state.audits().values().map(|audit| audit.active_people).collect::<Vec<_>>(), [2]);
    assert_eq!(fold.state.cells_of(&id("a")).map(|(op, _)| op.n).collect::<Vec<_>>(), [1]);
    assert_eq!(fold.state.cells_of(&id("b")).count(), 0);
}
