//! Which records a state allows, and what each makes of it.

use untether_model::approval::Subject;
use untether_model::operation::Stage::{Attest, Disable, Enroll, Provision, Remove, Scrub, Soak, Switch};
use untether_model::plan::{OrderKind, RollbackScope};
use untether_model::run::OutcomeKind::Succeeded;
use untether_model::run::{Decided, Decision, DecisionId, Match, MatchVerb, OrderStatus, ParkReason, Record, WaveStatus};
use untether_model::{Round, StateId};

use crate::fold::*;

#[test]
fn a_state_is_created_once_and_an_order_is_recorded_once() {
    let mut fold = Fold::new();
    let created = Record::StateCreated { state: StateId::new("s"), version: 1 };
    fold.add(&created);
    assert!(fold.refused(&created).contains("exists already"));
    fold.add(&plan_recorded("p"));
    assert!(fold.refused(&plan_recorded("p")).contains("recorded already"));
    let order = order_recorded("o", reissue(), Vec::new());
    fold.add(&order);
    assert!(fold.refused(&order).contains("recorded already"));
    assert_eq!(fold.state.general().state, Some(StateId::new("s")));
}

#[test]
fn a_wave_starts_once_from_an_executable_plan_that_has_it_with_this_digest() {
    let mut fold = Fold::new();
    let start = |plan: &str| wave_started(plan, vec![claim("a", &MOVES), claim("b", &LEAVES), claim("c", &MOVES)]);
    assert!(fold.refused(&start("p")).contains("not a recorded order"));
    let waves = vec![wave_ref()];
    fold.add(&Record::PlanRecorded {
        plan: plan_id("look"),
        digest: digest("look"),
        parent: None,
        snapshot: None,
        waves,
        report: None,
        executable: false,
        forecast: None,
    });
    assert!(fold.refused(&start("look")).contains("cannot be run"));
    fold.add(&plan_recorded("p"));
    let Record::WaveStarted { wave, claims, failure_tolerance, .. } = start("p") else { panic!("a start") };
    let other = Record::WaveStarted { wave, digest: digest("other"), claims, failure_tolerance };
    assert!(fold.refused(&other).contains("with this digest"));
    let Record::WaveStarted { digest, claims, .. } = start("p") else { panic!("a start") };
    let other = Record::WaveStarted { wave: untether_model::WaveId::new(plan_id("p"), "v"), digest, claims, failure_tolerance };
    assert!(fold.refused(&other).contains("not a wave of its plan"));
    fold.add(&start("p"));
    assert!(fold.refused(&start("p")).contains("started already"));
    // Its batch goes through every stage that applies to any of its people, once and in order.
    assert_eq!(fold.batch().stages, [Provision, Enroll, Switch, Disable, Soak, Scrub, Remove, Attest]);
    assert_eq!((fold.batch().failure_tolerance, fold.batch().round, fold.batch().open), (3, Round::FIRST, 0));
    assert_eq!(fold.subject("b").stages, LEAVES);
    assert!(fold.subject("a").claimed && fold.subject("a").superseded.is_empty());
}

#[test]
fn nobody_is_in_the_hands_of_two_waves() {
    // Nothing has begun, so another wave may take them.
    let mut fold = Fold::wave(vec![claim("a", &MOVES), claim("b", &MOVES)]);
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("a", &MOVES)]));
    assert_eq!((&fold.subject("a").batch, &fold.subject("a").superseded[..]), (&batch_id("q"), &[batch_id("p")][..]));
    // Its stage has begun.
    fold.add(&stage_started("p", Provision));
    fold.add(&plan_recorded("r"));
    let take = wave_started("r", vec![claim("b", &MOVES)]);
    assert!(fold.refused(&take).contains("in the hands of batch"));
    // Somebody parked passes on, unless something of theirs is under way.
    let intent = fold.add(&started(&op("p", 1), Provision, &["b"]));
    fold.add(&parked("b", Provision, ParkReason::Failed));
    assert!(fold.refused(&take).contains("outcome is not known"));
    fold.add(&ended(&op("p", 1), Provision, Some(intent), "b", Succeeded));
    fold.add(&take);
    assert_eq!(fold.subject("b").superseded, [batch_id("p")]);
    assert_eq!((&fold.subject("b").parked, fold.subject("b").ended), (&None, None));
    // What a wave has let go of is taken from nobody, but it is remembered who had it before.
    fold.add(&aborted("r"));
    fold.add(&plan_recorded("s"));
    fold.add(&wave_started("s", vec![claim("b", &MOVES)]));
    assert_eq!(fold.subject("b").superseded, [batch_id("p")]);
}

#[test]
fn somebody_is_in_hand_under_every_id() {
    let mut fold = Fold::wave(vec![claim("old", &MOVES)]);
    fold.add(&Record::SubjectAliased { from: id("old"), to: id("new") });
    fold.add(&plan_recorded("q"));
    let take = wave_started("q", vec![claim("new", &MOVES)]);
    fold.add(&take);
    assert!(!fold.subject("old").claimed, "the earlier id is let go");
    assert!(fold.subject("new").claimed);
    assert_eq!(fold.subject("new").superseded, [batch_id("p")]);

    let mut fold = in_stage(Provision, &["old"]);
    fold.add(&Record::SubjectAliased { from: id("old"), to: id("new") });
    fold.add(&plan_recorded("q"));
    assert!(fold.refused(&take).contains("in the hands of batch"));
}

#[test]
fn a_stage_begins_in_its_turn_in_a_running_wave_that_is_not_halted() {
    let mut fold = Fold::wave(vec![claim("a", &MOVES)]);
    assert!(fold.refused(&stage_started("q", Provision)).contains("in no started wave"));
    assert!(fold.refused(&stage_started("p", Enroll)).contains("cannot begin enroll"));
    let second = Record::StageStarted { batch: batch_id("p"), stage: Provision, round: Round(2), operations: 1 };
    assert!(fold.refused(&second).contains("in round 1"));
    fold.add(&Record::Halted { batch: batch_id("p"), reason: "too many failures".into() });
    assert!(fold.refused(&stage_started("p", Provision)).contains("too many failures"));
    fold.add(&Record::Resumed { batch: Some(batch_id("p")), by: "alice".into(), reason: String::new() });
    let since = fold.add(&stage_started("p", Provision));
    assert_eq!((fold.batch().current, fold.batch().current_since), (Some(Provision), Some(at(since))));
    assert!(fold.refused(&stage_started("p", Provision)).contains("cannot begin"));
    assert!(fold.refused(&stage_started("p", Enroll)).contains("cannot begin"));
    let mut given_up = Fold::wave(vec![claim("a", &MOVES)]);
    given_up.add(&aborted("p"));
    assert!(given_up.refused(&stage_started("p", Provision)).contains("does not run"));
}

#[test]
fn a_stage_ends_when_nothing_of_it_is_under_way() {
    let mut fold = in_stage(Provision, &["a", "gone", "parked"]);
    assert!(fold.refused(&stage_ended("p", Enroll)).contains("is not in enroll"));
    let second = Record::StageEnded { batch: batch_id("p"), stage: Provision, round: Round(2) };
    assert!(fold.refused(&second).contains("of round 2"));
    let intent = fold.add(&started(&op("p", 1), Provision, &["a"]));
    assert!(fold.refused(&stage_ended("p", Provision)).contains("has no outcome"));
    fold.add(&ended(&op("p", 1), Provision, Some(intent), "a", Succeeded));
    // Whoever is parked or went to another wave is not waited for, and has not ended the stage.
    let lost = fold.add(&started(&op("p", 2), Provision, &["parked"]));
    fold.add(&parked("parked", Provision, ParkReason::Failed));
    fold.add(&parked("gone", Provision, ParkReason::Held));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("gone", &MOVES)]));
    let ended_at = fold.add(&stage_ended("p", Provision));
    assert_eq!((fold.batch().current, fold.batch().current_since), (None, None));
    assert_eq!((fold.batch().ended, fold.batch().ended_at), (Some(Provision), Some(at(ended_at))));
    assert_eq!(fold.batch().disabled_at, None);
    assert_eq!(["a", "gone", "parked"].map(|subject| fold.subject(subject).ended), [Some(Provision), None, None]);
    fold.add(&ended(&op("p", 2), Provision, Some(lost), "parked", Succeeded));
    fold.through(Enroll);
    fold.through(Switch);
    fold.add(&stage_started("p", Disable));
    let disabled = fold.add(&stage_ended("p", Disable));
    assert_eq!(fold.batch().disabled_at, Some(at(disabled)), "the soak counts from here");
}

#[test]
fn whoever_is_taken_up_again_catches_up_stage_by_stage_and_never_overtakes() {
    let mut fold = in_stage(Provision, &["a", "late", "other"]);
    assert!(fold.refused(&unparked("late")).contains("not parked"));
    fold.add(&parked("late", Provision, ParkReason::Held));
    assert!(fold.refused(&parked("late", Provision, ParkReason::Failed)).contains("parked already"));
    fold.add(&stage_ended("p", Provision));
    fold.through(Enroll);
    fold.add(&unparked("late"));
    assert!(fold.subject("late").catching_up);
    assert!(fold.refused(&caught_up("a", Switch)).contains("not catching up"));
    assert!(fold.refused(&caught_up("late", Enroll)).contains("not catching up with enroll"));
    // The batch ends a stage meanwhile: whoever is behind does not end it with it, nor holds it up.
    fold.add(&started(&op("p", 1), Provision, &["late"]));
    fold.through(Switch);
    assert_eq!((fold.subject("late").ended, fold.subject("a").ended), (None, Some(Switch)));
    fold.add(&caught_up("late", Provision));
    assert!(fold.subject("late").catching_up);
    fold.add(&caught_up("late", Enroll));
    assert!(fold.subject("late").catching_up);
    fold.add(&caught_up("late", Switch));
    assert_eq!((fold.subject("late").catching_up, fold.subject("late").ended), (false, Some(Switch)));
    // Parked while the batch was in no stage and nothing was missed: there is nothing to catch up with.
    fold.add(&parked("other", Disable, ParkReason::Roster));
    fold.add(&unparked("other"));
    assert!(!fold.subject("other").catching_up);
    // Parked and taken up again within a stage, whose beginning nobody waits for.
    fold.add(&stage_started("p", Disable));
    fold.add(&parked("other", Disable, ParkReason::Failed));
    fold.add(&unparked("other"));
    assert!(fold.subject("other").catching_up);
    assert!(fold.refused(&caught_up("other", Disable)).contains("overtake"));
    fold.add(&parked("other", Disable, ParkReason::Failed));
    assert!(!fold.subject("other").catching_up, "whoever is parked does nothing");
}

#[test]
fn whoever_skips_stages_of_the_batch_is_with_it_after_the_last_of_their_own() {
    let mut fold = Fold::wave(vec![claim("a", &MOVES), claim("late", &[Enroll])]);
    fold.through(Provision);
    fold.add(&parked("late", Enroll, ParkReason::Held));
    fold.through(Enroll);
    fold.through(Switch);
    fold.add(&unparked("late"));
    fold.add(&caught_up("late", Enroll));
    assert_eq!((fold.subject("late").catching_up, fold.subject("late").ended), (false, Some(Switch)));
}

#[test]
fn who_was_finished_or_is_in_nobodys_hands_is_not_taken_up_again() {
    let (mut fold, lock) = finished("a");
    fold.add(&drift(&lock, Disable, "a", false));
    fold.add(&Record::Reopened { subject: id("a"), stage: Disable });
    assert!(fold.refused(&unparked("a")).contains("only a new plan"));
    let mut fold = in_stage(Provision, &["a"]);
    fold.add(&aborted("p"));
    assert!(fold.refused(&unparked("a")).contains("in no wave's hands"));
}

#[test]
fn whoever_is_finished_is_opened_again_where_an_effect_is_gone() {
    let mut fold = in_stage(Switch, &["a"]);
    let (admit, lock) = (op("p", 3), op("p", 4));
    fold.carried_out(&admit, Switch, "a", Succeeded);
    fold.add(&stage_ended("p", Switch));
    fold.add(&stage_started("p", Disable));
    let reopened = |stage| Record::Reopened { subject: id("a"), stage };
    assert!(fold.refused(&reopened(Disable)).contains("not finished"));
    fold.carried_out(&lock, Disable, "a", Succeeded);
    fold.add(&stage_ended("p", Disable));
    fold.add(&drift(&lock, Disable, "a", false));
    fold.add(&reopened(Disable));
    assert_eq!((fold.cell(&lock, "a").applied, fold.cell(&admit, "a").applied), (false, true), "only what is gone is not ours");
    let subject = fold.subject("a");
    assert_eq!(subject.ended, Some(Switch));
    assert_eq!(subject.parked.as_ref().map(|p| (p.reason, p.stage)), Some((ParkReason::Reopened, Disable)));
    // Again only where more of it is gone.
    assert!(fold.refused(&reopened(Disable)).contains("not finished"));
    fold.add(&drift(&admit, Switch, "a", false));
    fold.add(&reopened(Switch));
    assert_eq!(fold.subject("a").ended, Some(Enroll));
    let mut held = in_stage(Provision, &["a"]);
    held.add(&parked("a", Enroll, ParkReason::Held));
    assert!(held.refused(&reopened(Provision)).contains("not finished"));
}

#[test]
fn a_wave_that_is_given_up_parks_whom_it_had_not_finished_and_lets_all_go() {
    let subjects = vec![claim("a", &MOVES), claim("done", &[Provision]), claim("held", &MOVES), claim("gone", &MOVES)];
    let mut fold = Fold::wave(subjects);
    fold.add(&stage_started("p", Provision));
    fold.add(&parked("held", Provision, ParkReason::Held));
    fold.add(&parked("gone", Provision, ParkReason::Held));
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("gone", &MOVES)]));
    fold.add(&stage_ended("p", Provision));
    let when = fold.add(&aborted("p"));
    let why = |subject: &str| fold.subject(subject).parked.as_ref().map(|parked| (parked.reason, parked.stage));
    assert_eq!(why("a"), Some((ParkReason::Aborted, Enroll)));
    assert_eq!(fold.subject("a").parked.as_ref().unwrap().at, at(when));
    assert_eq!(why("done"), None);
    assert_eq!(why("held"), Some((ParkReason::Held, Provision)));
    assert_eq!(why("gone"), None);
    assert_eq!(["a", "done", "held", "gone"].map(|subject| fold.subject(subject).claimed), [false, false, false, true]);
    assert_eq!(fold.state.waves()[&wave_id("p")].status, WaveStatus::Aborted);
}

#[test]
fn a_wave_ends_when_nobody_has_a_stage_left() {
    let mut fold = Fold::wave(vec![claim("a", &[Provision]), claim("b", &MOVES), claim("gone", &MOVES)]);
    fold.add(&plan_recorded("q"));
    fold.add(&wave_started("q", vec![claim("gone", &MOVES)]));
    fold.through(Provision);
    let end = Record::WaveEnded { wave: wave_id("p") };
    assert!(fold.refused(&end).contains("subject b with a stage left"));
    let forget = Record::Forgotten { wave: wave_id("p"), key: "k".into(), approved_by: Vec::new() };
    assert!(fold.refused(&forget).contains("still running"));
    fold.add(&parked("b", Enroll, ParkReason::Held));
    fold.add(&end);
    assert_eq!(["a", "b", "gone"].map(|subject| fold.subject(subject).claimed), [false, false, true]);
    assert_eq!(fold.state.waves()[&wave_id("p")].status, WaveStatus::Ended);
    assert!(fold.refused(&end).contains("does not run"));
    let forgotten = fold.add(&forget);
    assert_eq!(fold.state.waves()[&wave_id("p")].forgotten, Some(at(forgotten)));
}

#[test]
fn an_order_about_credentials_ends_once_and_with_nothing_under_way() {
    let mut fold = in_stage(Enroll, &["a"]);
    let end = |order: &str| Record::OrderEnded { order: plan_id(order), left_out: Vec::new() };
    fold.add(&order_recorded("back", rollback(RollbackScope::Subject(id("a")), Enroll), Vec::new()));
    assert!(fold.refused(&end("back")).contains("no order about one-time credentials"));
    let concerns = vec![(batch_id("p"), vec![id("a")])];
    fold.add(&order_recorded("o", OrderKind::Expire { scope: Default::default(), older_than: None }, concerns));
    fold.add(&started(&op("p", 1), Enroll, &["a"]));
    let intent = fold.add(&started(&op("o", 1), Enroll, &["a"]));
    assert!(fold.refused(&end("o")).contains("outcome is not known"));
    fold.add(&ended(&op("o", 1), Enroll, Some(intent), "a", Succeeded));
    fold.add(&end("o"));
    assert_eq!(fold.state.orders()[&plan_id("o")].status, OrderStatus::Done);
    assert!(fold.refused(&end("o")).contains("done already"));
}

#[test]
fn a_credential_is_handed_over_once() {
    let mut fold = in_stage(Enroll, &["a"]);
    let begin = |issued| Record::HandoverStarted { subject: id("a"), issued, hook: "mail".into() };
    let end = |issued, delivered| {
        let message = "said".into();
        Record::HandoverEnded { subject: id("a"), issued, delivered, message, by: None }
    };
    assert!(fold.refused(&begin(1)).contains("no one-time credential"));
    let issued = fold.carried_out(&op("p", 1), Enroll, "a", Succeeded);
    assert!(fold.refused(&end(issued, true)).contains("no hand-over"));
    fold.add(&begin(issued));
    fold.add(&end(issued, true));
    assert!(fold.refused(&begin(issued)).contains("already"));
    let subjects = vec![id("a")];
    fold.add(&Record::HandoverWritten { batch: batch_id("p"), file: "f".into(), digest: digest("f"), subjects });
    assert_eq!(fold.subject("a").delivery.as_ref().unwrap().way, "f");
}

#[test]
fn pauses_limits_readings_and_capabilities_are_remembered() {
    let mut fold = Fold::new();
    let resume = Record::Resumed { batch: None, by: "alice".into(), reason: String::new() };
    assert!(fold.refused(&resume).contains("not paused"));
    fold.add(&Record::Paused { by: "alice".into(), reason: "lunch".into() });
    assert_eq!(fold.state.general().paused, Some(("alice".into(), "lunch".into())));
    fold.add(&resume);
    assert_eq!(fold.state.general().paused, None);
    fold.add(&Record::Throttled { limit: Some(7), by: "alice".into() });
    let read = fold.add(&Record::RosterRead { digest: digest("rows"), rows: 3, modified: None });
    let general = fold.state.general();
    assert_eq!((general.throttle, general.roster), (Some(7), Some((at(read), digest("rows")))));
    assert!(fold.refused(&Record::Halted { batch: batch_id("p"), reason: String::new() }).contains("in no started wave"));
    let rehearsed = |plan: &str| Record::Rehearsed { plan: plan_id(plan), refused: 2, operations: 9 };
    assert!(fold.refused(&rehearsed("p")).contains("not a recorded order"));
    fold.add(&plan_recorded("p"));
    fold.add(&rehearsed("p"));
    assert_eq!(fold.state.orders()[&plan_id("p")].rehearsed, Some((2, 9)));
}

#[test]
fn an_approval_is_taken_back_by_its_number() {
    let mut fold = Fold::new();
    let subject = Subject::Order { digest: digest("p"), wave: "w".into(), round: Round::FIRST, through: Disable };
    let approval = fold.add(&Record::Approved { signed: signed(subject, "alice", "k", 100) });
    let take_back = |approval| Record::Revoked { approval, by: "alice".into(), reason: String::new() };
    assert!(fold.refused(&take_back(approval + 1)).contains("not an approval"));
    fold.add(&take_back(approval));
    assert!(fold.state.approvals()[&approval].revoked);
}

#[test]
fn a_decision_is_taken_back_once_and_a_list_is_never_empty() {
    let mut fold = Fold::new();
    let shown = Subject::Object { kind: "match".into(), object: "a".into(), shown: digest("shown") };
    let signed = signed(shown, "alice", "k", 100);
    let same = Decision::Match(a_match());
    let withdraw = |decision| Record::Decision { decision: Decision::Withdraw { decision }, signed: signed.clone() };
    let decided = fold.add(&Record::Decision { decision: same.clone(), signed: signed.clone() });
    assert!(fold.refused(&withdraw(DecisionId::alone(decided + 1))).contains("is no decision"));
    let empty = Record::Decisions { decisions: Vec::new(), signed: signed.clone() };
    assert!(fold.refused(&empty).contains("is empty"));
    let withdrawal = fold.add(&withdraw(DecisionId::alone(decided)));
    assert_eq!(fold.state.decisions().count(), 0);
    assert!(fold.state.decision(DecisionId::alone(decided)).is_none());
    assert!(fold.refused(&withdraw(DecisionId::alone(decided))).contains("taken back already"));
    assert!(fold.refused(&withdraw(DecisionId::alone(withdrawal))).contains("is no decision"));
    let decisions = vec![
        Decided { decision: same.clone(), reason: Some("the same mail".into()), shown: digest("a") },
        Decided { decision: same, reason: None, shown: digest("b") },
    ];
    let record = fold.add(&Record::Decisions { decisions, signed });
    let reasons: Vec<_> = fold.state.decisions().map(|(id, decided)| (id, decided.reason.as_str())).collect();
    assert_eq!(reasons, [(DecisionId { record, item: 1 }, "the same mail"), (DecisionId { record, item: 2 }, "reviewed")]);
}

fn a_match() -> Match {
    Match { verb: MatchVerb::Merge, these: vec!["a".into()], others: vec!["b".into()], subjects: vec![id("a"), id("b")] }
}

#[test]
fn an_id_never_stands_for_itself_by_a_detour() {
    let mut fold = Fold::new();
    let alias = |from: &str, to: &str| Record::SubjectAliased { from: id(from), to: id(to) };
    assert!(fold.refused(&alias("a", "a")).contains("alias of itself"));
    fold.add(&alias("a", "b"));
    fold.add(&alias("b", "c"));
    assert!(fold.refused(&alias("c", "a")).contains("alias of itself"));
    assert_eq!(fold.state.resolve_alias(&id("a")), &id("c"));
    // An id that is back stands for itself again.
    fold.add(&alias("b", "b"));
    assert_eq!(fold.state.resolve_alias(&id("a")), &id("b"));
    assert!(fold.refused(&alias("b", "b")).contains("alias of itself"));
}
