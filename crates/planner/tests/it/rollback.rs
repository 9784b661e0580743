//! Rollback orders over a timeline that the records made.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::{
    Action, Actor, Desired, Direction, Expects, Operation, PlannedValue, Stage, Target, Touch, UndoClass,
};
use untether_model::plan::{OrderKind, PlannedStore, PlannedSubject, RollbackScope};
use untether_model::policy::Admission;
use untether_model::roster::Presence::{Active, Departed};
use untether_model::run::{CellOutcome, Mark, Outcome, OutcomeKind, ParkReason, Record, Sealed, Started};
use untether_model::snapshot::CredentialKind;
use untether_model::{AttrName, BatchId, OpId, PlanId, Round, Side, StableId, SubjectId, WaveId};
use untether_planner::{
    Intents, Level, Operations, PlanError, Resolution, ResolutionInputs, RollbackInputs, RollbackOrder, RollbackRequest,
    resolution, rollback,
};

use crate::plan::{record, start};
use crate::world::*;

#[derive(Default)]
pub struct Ledger {
    pub intents: BTreeMap<u64, Started>,
    pub operations: BTreeMap<OpId, Operation>,
    pub subjects: BTreeMap<SubjectId, PlannedSubject>,
    pub seq: u64,
}

impl Intents for Ledger {
    fn started(&self, seq: u64) -> Result<Started, String> {
        self.intents.get(&seq).cloned().ok_or_else(|| "not found".to_owned())
    }
}

impl Operations for Ledger {
    fn operation(&self, id: &OpId) -> Result<Operation, String> {
        self.operations.get(id).cloned().ok_or_else(|| "not found".to_owned())
    }

    fn subject(&self, _: &BatchId, id: &SubjectId) -> Result<Option<PlannedSubject>, String> {
        Ok(self.subjects.get(id).cloned())
    }
}

pub struct Run {
    pub world: World,
    pub ledger: Ledger,
    pub stores: BTreeMap<Side, PlannedStore>,
    pub wave: WaveId,
}

impl Run {
    /// Runs a wave through a stage; each operation of the outcome kinds that `kind` gives.
    pub fn through(mut world: World, wave: &str, last: Stage, kind: impl Fn(&Operation, &SubjectId) -> OutcomeKind) -> Self {
        let (planned, kept) = world.plan();
        let id = start(&mut world, &planned, &kept, wave, 1);
        let mut ledger = Ledger { seq: 10, ..Ledger::default() };
        for batch in kept.batches(wave) {
            let batch_id = BatchId::new(id.clone(), &batch.name);
            let stages: BTreeSet<Stage> = batch.subjects.iter().flat_map(|s| s.stages.clone()).collect();
            ledger.subjects.extend(batch.subjects.iter().map(|s| (s.id.clone(), s.clone())));
            for stage in stages.into_iter().filter(|s| *s <= last) {
                ledger.seq += 1;
                let begin = Record::StageStarted { batch: batch_id.clone(), stage, round: Round::FIRST, operations: 1 };
                record(&mut world, ledger.seq, &begin);
                for op in kept.operations(wave).iter().filter(|o| o.batch == batch.name && o.stage == stage) {
                    ledger.carry_out(&mut world, &batch_id, op, &kind);
                }
                ledger.seq += 1;
                record(&mut world, ledger.seq, &Record::StageEnded { batch: batch_id.clone(), stage, round: Round::FIRST });
            }
        }
        Self { world, ledger, stores: planned.header.stores.clone(), wave: id }
    }

    pub fn back(&self, to: Stage, change: impl FnOnce(&mut RollbackRequest)) -> Result<RollbackOrder, PlanError> {
        self.back_with(to, &BTreeSet::new(), change)
    }

    fn back_with(
        &self,
        to: Stage,
        ended: &BTreeSet<SubjectId>,
        change: impl FnOnce(&mut RollbackRequest),
    ) -> Result<RollbackOrder, PlanError> {
        let scope = RollbackScope::Batch(BatchId::new(self.wave.clone(), "b01"));
        let mut request = RollbackRequest { scope, to, delete_provisioned: false, enable_inactive: false };
        change(&mut request);
        rollback(&RollbackInputs {
            request: &request,
            progress: &self.world.progress,
            operations: &self.ledger,
            intents: &self.ledger,
            ended,
            capabilities: &self.world.capabilities,
            stores: &self.stores,
            now: NOW.parse().unwrap(),
        })
    }

    /// Somebody's first operation of a stage, forced.
    fn force(&self, uid: &str, stage: Stage) -> Result<Resolution, PlanError> {
        self.force_for(uid, stage, None)
    }

    fn force_for(&self, uid: &str, stage: Stage, subject: Option<&SubjectId>) -> Result<Resolution, PlanError> {
        let (op, _) = self.ledger.operations.iter().find(|(_, o)| o.stage == stage && o.subjects.contains(&id(uid))).unwrap();
        resolution(&ResolutionInputs {
            op,
            subject,
            progress: &self.world.progress,
            operations: &self.ledger,
            stores: &self.stores,
            now: NOW.parse().unwrap(),
        })
    }
}

impl Ledger {
    fn carry_out(
        &mut self,
        world: &mut World,
        batch: &BatchId,
        op: &Operation,
        kind: &impl Fn(&Operation, &SubjectId) -> OutcomeKind,
    ) {
        let id = OpId::new(batch.clone(), op.n);
        self.operations.insert(id.clone(), op.clone());
        let ended = |id: &SubjectId| CellOutcome { subject: Some(id.clone()), kind: kind(op, id) };
        let (applied, other): (Vec<_>, Vec<_>) =
            op.subjects.iter().map(ended).partition(|c| !matches!(c.kind, OutcomeKind::Already));
        let stable_id = match &op.target {
            Target::Existing { stable_id, .. } => Some(stable_id.clone()),
            _ => Some(StableId::new(format!("made-{}", op.target.dn()))),
        };
        let outcome = |started, cells| Outcome {
            op: id.clone(),
            stage: op.stage,
            started,
            cells,
            code: None,
            message: "found otherwise".into(),
            stable_id: matches!(op.action, Action::Create { .. }).then(|| stable_id.clone()).flatten(),
            image: None,
        };
        if !applied.is_empty() {
            self.seq += 1;
            let touched = match &op.action {
                Action::Set { touches } => touches.iter().map(|t| t.attr.clone()).collect(),
                _ => vec![],
            };
            let mark = Mark { before: None, after: Some("after".into()) };
            let mut marks: BTreeMap<AttrName, Mark> = touched.into_iter().map(|a| (a, mark.clone())).collect();
            if marks.contains_key(&AttrName::new("userPassword")) {
                marks.insert("pwdChangedTime".into(), mark);
            }
            let intent = Started {
                op: id.clone(),
                stage: op.stage,
                subjects: applied.iter().filter_map(|c| c.subject.clone()).collect(),
                attempt: 1,
                store: op.store,
                stable_id: if matches!(op.action, Action::Create { .. }) { None } else { stable_id.clone() },
                change_marker: None,
                before: Sealed("x".into()),
                desired: Sealed("x".into()),
                marks,
            };
            record(world, self.seq, &Record::Started { started: intent.clone() });
            self.intents.insert(self.seq, intent);
            let started = self.seq;
            self.seq += 1;
            record(world, self.seq, &Record::Outcome { outcome: outcome(Some(started), applied) });
        }
        if !other.is_empty() {
            self.seq += 1;
            record(world, self.seq, &Record::Outcome { outcome: outcome(None, other) });
        }
    }

    fn seq_of(&self, dn: &untether_model::Dn, stage: Stage, actor: Actor) -> u64 {
        let found = self.intents.iter().find(|(_, s)| {
            let op = &self.operations[&s.op];
            s.stage == stage && op.target.dn() == dn && op.actor == actor && !matches!(op.action, Action::Ensure { .. })
        });
        *found.unwrap().0
    }
}

pub fn done(_: &Operation, _: &SubjectId) -> OutcomeKind {
    OutcomeKind::Succeeded
}

pub fn leavers() -> World {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    let marks = &mut world.entry_of("a").credentials;
    marks.push(mark("userPassword", CredentialKind::Password, Some("SASL"), "sasl"));
    let members = [shared("a").to_string(), shared("b").to_string()];
    world.group("staff", "member", &[members[0].as_str(), members[1].as_str()]);
    world
}

fn at<'a>(order: &'a RollbackOrder, dn: &untether_model::Dn) -> Vec<&'a Operation> {
    order.operations.iter().filter(|o| o.target.dn() == dn).collect()
}

#[test]
fn changes_of_one_entry_merge_and_each_attribute_takes_its_earliest_image() {
    let run = Run::through(leavers(), "leave", Stage::Scrub, done);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    assert!(order.lint.iter().all(|n| n.level < Level::Error), "{:?}", order.lint);
    let undo = at(&order, &shared("a"));
    assert_eq!(undo.len(), 1);
    let Action::Set { touches } = &undo[0].action else { panic!() };
    let disable = run.ledger.seq_of(&shared("a"), Stage::Disable, Actor::Writer);
    let scrub = run.ledger.seq_of(&shared("a"), Stage::Scrub, Actor::Writer);
    let image = |attr: &str| match touches.iter().find(|t| t.attr.is(attr)).map(|t| (&t.desired, &t.expects)) {
        Some((Desired::BeforeImage { started }, expects)) => (*started, expects.clone()),
        other => panic!("{attr}: {other:?}"),
    };
    assert_eq!(image("userpassword"), (disable, Expects::Any), "severed first, then erased: the image before the severing");
    assert_eq!(image("pwdaccountlockedtime"), (disable, Expects::Any));
    assert!(matches!(image("pwdendtime"), (seq, Expects::Values(_)) if seq == disable));
    assert_eq!(image("mail"), (scrub, Expects::Absent));
    assert_eq!(image("pwdchangedtime"), (disable, Expects::Any), "its image was journalled with the password's");
    assert_eq!(undo[0].actor, Actor::Undo);
    assert_eq!(undo[0].undoes.len(), 3);
    assert_eq!(order.approvals_needed, 1);
    assert_eq!(order.concerns, [(BatchId::new(run.wave.clone(), "b01"), vec![id("a"), id("b")])]);
}

#[test]
fn a_deleted_record_is_created_again_before_what_names_it() {
    let run = Run::through(leavers(), "leave", Stage::Attest, done);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    assert!(order.lint.iter().all(|n| n.level < Level::Error), "{:?}", order.lint);
    let undo = at(&order, &shared("a"));
    assert_eq!(undo.len(), 1);
    let Action::Recreate { deleted, overlay } = &undo[0].action else { panic!("{:?}", undo[0].action) };
    assert_eq!(*deleted, run.ledger.seq_of(&shared("a"), Stage::Remove, Actor::Writer));
    let disable = run.ledger.seq_of(&shared("a"), Stage::Disable, Actor::Writer);
    assert!(overlay.contains(&("userPassword".into(), disable)));
    let group: Vec<_> = order.operations.iter().filter(|o| matches!(o.action, Action::Ensure { .. })).collect();
    let directions: Vec<_> = group
        .iter()
        .map(|o| match &o.action {
            Action::Ensure { direction, values, .. } => (*direction, values.len()),
            _ => panic!(),
        })
        .collect();
    assert_eq!(directions, [(Direction::Present, 2), (Direction::Absent, 1)], "members first, then the placeholder goes");
    assert!(order.operations.iter().all(|o| matches!(o.action, Action::Recreate { .. }) == (o.phase < group[0].phase)));
}

#[test]
fn without_the_right_manage_the_loss_is_listed_and_nothing_impossible_is_tried() {
    let mut world = leavers();
    world.capabilities.get_mut(&Side::Shared).unwrap().manage = false;
    let run = Run::through(world, "leave", Stage::Remove, done);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    assert!(order.operations.iter().all(|o| o.actor == Actor::Writer));
    assert!(order.not_restored.iter().any(|n| n.subject == id("a") && n.lost.contains("stable id")), "{:?}", order.not_restored);
    for operation in &order.operations {
        if let Action::Recreate { overlay, .. } = &operation.action {
            assert!(overlay.iter().all(|(attr, _)| !attr.is("pwdhistory") && !attr.is("pwdchangedtime")));
        }
    }
}

#[test]
fn only_cells_that_are_ours_are_taken_back() {
    let theirs = |op: &Operation, who: &SubjectId| match op.stage == Stage::Remove && *who == id("b") {
        true => OutcomeKind::Already,
        false => OutcomeKind::Succeeded,
    };
    let run = Run::through(leavers(), "leave", Stage::Remove, theirs);
    let order = run.back(Stage::Remove, |_| {}).unwrap();
    assert!(at(&order, &shared("b")).is_empty());
    let group =
        order.operations.iter().find(|o| matches!(o.action, Action::Ensure { direction: Direction::Present, .. })).unwrap();
    assert_eq!(ensured(group).into_iter().collect::<Vec<_>>(), [shared("a").to_string()]);
    assert!(order.operations.iter().flat_map(|o| &o.undoes).all(|(_, who)| *who == id("a")));
}

#[test]
fn an_intent_without_outcome_counts_as_applied() {
    let run = Run::through(leavers(), "leave", Stage::Disable, done);
    let mut world = run.world.clone();
    let batch = BatchId::new(run.wave.clone(), "b01");
    record(
        &mut world,
        900,
        &Record::StageStarted { batch: batch.clone(), stage: Stage::Soak, round: Round::FIRST, operations: 0 },
    );
    record(&mut world, 901, &Record::StageEnded { batch: batch.clone(), stage: Stage::Soak, round: Round::FIRST });
    record(
        &mut world,
        902,
        &Record::StageStarted { batch: batch.clone(), stage: Stage::Scrub, round: Round::FIRST, operations: 1 },
    );
    let (_, kept) = leavers().plan();
    let scrub = kept.of("leave", "a", Stage::Scrub)[0].clone();
    let op = OpId::new(batch, scrub.n);
    let mut intent = run.ledger.intents.values().next().unwrap().clone();
    (intent.op, intent.stage, intent.subjects) = (op.clone(), Stage::Scrub, vec![id("a")]);
    record(&mut world, 903, &Record::Started { started: intent.clone() });
    let mut run = Run { world, ..run };
    run.ledger.operations.insert(op, scrub);
    run.ledger.intents.insert(903, intent);
    let order = run.back(Stage::Scrub, |_| {}).unwrap();
    assert_eq!(order.operations.len(), 1);
}

#[test]
fn people_whom_the_roster_calls_ended_stay_disabled_unless_two_approve() {
    let run = Run::through(leavers(), "leave", Stage::Scrub, done);
    let ended = BTreeSet::from([id("a")]);
    let order = run.back_with(Stage::Disable, &ended, |_| {}).unwrap();
    assert_eq!(order.left_disabled, [id("a")]);
    let undo = at(&order, &shared("a"));
    let touched = set_touches(undo[0]);
    assert!(touched.contains(&"mail".to_owned()));
    assert!(!touched.iter().any(|t| t.starts_with("pwd") || t == "userPassword"), "{touched:?}");
    assert!(set_touches(at(&order, &shared("b"))[0]).contains(&"pwdAccountLockedTime".to_owned()));

    let order = run.back_with(Stage::Disable, &ended, |r| r.enable_inactive = true).unwrap();
    assert!(order.left_disabled.is_empty());
    assert_eq!(order.approvals_needed, 2);
}

pub fn movers() -> World {
    let mut world = World::new();
    world.person("h", Some(Active));
    world.group("staff", "member", &[shared("h").as_str()]);
    world
}

#[test]
fn back_to_switch_gives_the_old_login_back_and_keeps_the_enrolment() {
    let run = Run::through(movers(), "move", Stage::Disable, done);
    let order = run.back(Stage::Switch, |_| {}).unwrap();
    let targets: Vec<_> = order.operations.iter().map(|o| o.target.dn().clone()).collect();
    assert_eq!(targets, [shared("h"), dn("cn=admitted,ou=groups,dc=own")], "old login first, then the admission goes");
    assert!(matches!(&order.operations[1].action, Action::Ensure { direction: Direction::Absent, delete_when_empty: false, .. }));
}

#[test]
fn back_to_provision_locks_or_deletes_what_was_made() {
    let run = Run::through(movers(), "move", Stage::Disable, done);
    let order = run.back(Stage::Provision, |_| {}).unwrap();
    let entry = at(&order, &own("h"));
    assert_eq!(entry.len(), 1);
    let Action::Set { touches } = &entry[0].action else { panic!() };
    assert!(touches.iter().any(|t| t.attr.is("pwdaccountlockedtime") && matches!(t.desired, Desired::Values(_))));
    assert!(touches.iter().any(|t| t.attr.is("userpassword") && matches!(t.desired, Desired::BeforeImage { .. })));
    let staff = at(&order, &dn("cn=staff,ou=groups,dc=own"));
    assert!(matches!(&staff[0].action, Action::Ensure { direction: Direction::Absent, delete_when_empty: true, .. }));
    assert_eq!(order.approvals_needed, 1);

    let order = run.back(Stage::Provision, |r| r.delete_provisioned = true).unwrap();
    let entry = at(&order, &own("h"));
    assert_eq!(entry.last().unwrap().action, Action::Delete);
    assert!(
        matches!(&entry.last().unwrap().target, Target::Existing { stable_id, .. } if stable_id.as_str().starts_with("made-"))
    );
    assert_eq!(order.approvals_needed, 2);
    assert!(order.not_restored.iter().any(|n| n.lost.contains("factors")));
}

#[test]
fn the_same_timeline_gives_the_same_order_and_an_empty_one_gives_none() {
    let run = Run::through(movers(), "move", Stage::Disable, done);
    let (one, two) = (run.back(Stage::Switch, |_| {}).unwrap(), run.back(Stage::Switch, |_| {}).unwrap());
    assert_eq!((one.digest, one.lines), (two.digest, two.lines));
    assert!(matches!(run.back(Stage::Remove, |_| {}), Err(PlanError::NothingToUndo { to: Stage::Remove, .. })));
    let subject = |r: &mut RollbackRequest| r.scope = RollbackScope::Subject(id("nobody"));
    assert!(matches!(run.back(Stage::Switch, subject), Err(PlanError::Request(_))));
}

#[test]
fn force_is_the_same_operation_expecting_anything_for_the_cells_in_conflict() {
    let conflict = |op: &Operation, who: &SubjectId| match op.stage == Stage::Disable && *who == id("a") {
        true => OutcomeKind::Conflict,
        false => OutcomeKind::Succeeded,
    };
    let run = Run::through(leavers(), "leave", Stage::Disable, conflict);
    let order = run.force("a", Stage::Disable).unwrap();
    let Action::Set { touches } = &order.operation.action else { panic!() };
    assert!(touches.iter().all(|t| t.expects == Expects::Any));
    assert_eq!(order.approvals_needed, 2);
    assert!(order.lint.iter().all(|n| n.level < Level::Error), "{:?}", order.lint);
    assert!(matches!(run.force("b", Stage::Disable), Err(PlanError::Request(_))));
}

#[test]
fn force_is_for_the_one_who_is_named_and_has_one_stage() {
    let conflict = |op: &Operation, _: &SubjectId| match op.action {
        Action::Ensure { .. } => OutcomeKind::Conflict,
        _ => OutcomeKind::Succeeded,
    };
    let run = Run::through(leavers(), "leave", Stage::Remove, conflict);
    let forced = |subject: Option<&SubjectId>| {
        let order = run.force_for("a", Stage::Remove, subject).unwrap();
        let text = String::from_utf8(order.lines).unwrap();
        assert!(text.contains("\"stages\":[\"remove\"]") && !text.contains("\"disable\""), "{text}");
        (order.operation.subjects.clone(), ensured(&order.operation).len())
    };
    assert_eq!(forced(None), (vec![id("a"), id("b")], 2));
    assert_eq!(forced(Some(&id("b"))), (vec![id("b")], 1));
}

#[test]
fn force_names_an_entry_of_ours_by_its_id_because_the_order_does_not_create_it() {
    let conflict = |op: &Operation, _: &SubjectId| match op.stage {
        Stage::Enroll => OutcomeKind::Conflict,
        _ => OutcomeKind::Succeeded,
    };
    let order = Run::through(movers(), "move", Stage::Enroll, conflict).force("h", Stage::Enroll).unwrap();
    let Target::Existing { stable_id, .. } = &order.operation.target else { panic!("{:?}", order.operation.target) };
    assert!(stable_id.as_str().starts_with("made-"));
    assert!(order.lint.iter().all(|n| n.level < Level::Error), "{:?}", order.lint);
}

/// The operations of the ledger that touch this entry so.
fn set_of<'a>(run: &'a mut Run, dn: &untether_model::Dn, stage: Stage) -> (OpId, &'a mut Vec<Touch>) {
    let found = run.ledger.operations.iter_mut().find_map(|(id, op)| match &mut op.action {
        Action::Set { touches } if op.stage == stage && op.target.dn() == dn => Some((id.clone(), touches)),
        _ => None,
    });
    found.unwrap()
}

fn position(order: &RollbackOrder, dn: &untether_model::Dn) -> usize {
    order.operations.iter().position(|o| o.target.dn() == dn).unwrap()
}

#[test]
fn the_undoing_says_what_becomes_of_the_new_account_and_is_bound_as_it_needs() {
    let mut world = movers();
    world.policy.admission = Some(Admission::Attribute { name: "labAdmitted".into(), value: "yes".into() });
    let run = Run::through(world, "move", Stage::Disable, done);
    let of = |to| {
        let order = run.back(to, |_| {}).unwrap();
        assert_eq!(
            order.operations.iter().map(|o| o.n).collect::<Vec<_>>(),
            (1..).take(order.operations.len()).collect::<Vec<_>>()
        );
        assert!(position(&order, &shared("h")) < position(&order, &own("h")), "the old login is back before the new one goes");
        let [undo] = at(&order, &own("h"))[..] else { panic!("{:?}", order.operations) };
        (undo.reason.clone(), undo.actor, undo.undo == UndoClass::Full, order.operations.clone())
    };
    let (reason, actor, full, _) = of(Stage::Switch);
    assert_eq!((reason.as_str(), actor, full), ("the new account is no longer admitted", Actor::Writer, true));
    let (reason, actor, full, _) = of(Stage::Enroll);
    assert_eq!((reason.as_str(), actor, full), ("the new account is closed again", Actor::Undo, true));
    let (reason, _, _, operations) = of(Stage::Provision);
    assert_eq!(reason, "the entry stays, locked");
    assert_eq!(operations.last().unwrap().target.dn(), &own("h"), "it is locked when nothing names it any more");
}

#[test]
fn parents_come_back_before_their_children_and_go_after_them() {
    let mut world = World::new();
    world.person_at("a", Some(Departed), &dn("uid=a,ou=far,ou=own,dc=shared"));
    world.person("b", Some(Departed));
    let run = Run::through(world, "leave", Stage::Remove, done);
    let order = run.back(Stage::Remove, |_| {}).unwrap();
    assert!(position(&order, &shared("b")) < position(&order, &dn("uid=a,ou=far,ou=own,dc=shared")));
    let text = String::from_utf8(order.lines).unwrap();
    assert!(text.contains("\"stages\":[\"remove\"]"), "the order has one stage: {text}");

    let mut world = movers();
    world.person("i", Some(Active));
    let mut run = Run::through(world, "move", Stage::Provision, done);
    // One of the two was made below the other.
    let below = dn("uid=i,uid=h,ou=people,dc=own");
    let at_i = run.ledger.operations.values_mut().filter(|o| *o.target.dn() == own("i"));
    at_i.for_each(|o| o.target = Target::New { dn: below.clone() });
    let order = run.back(Stage::Provision, |r| r.delete_provisioned = true).unwrap();
    assert!(position(&order, &below) < position(&order, &own("h")));
    assert_eq!(order.operations.last().unwrap().target.dn(), &own("h"), "what was made goes last");
}

#[test]
fn values_that_only_the_journal_knows_are_expected_by_mark_and_what_nobody_can_set_is_left_out() {
    let mut run = Run::through(leavers(), "leave", Stage::Scrub, done);
    let (op, touches) = set_of(&mut run, &shared("a"), Stage::Scrub);
    let photo = PlannedValue::Blob(untether_model::digest::Digest::of(b"photo"));
    touches.push(Touch { attr: "jpegPhoto".into(), expects: Expects::Absent, desired: Desired::Values(vec![photo]) });
    touches.push(Touch { attr: "authTimestamp".into(), expects: Expects::Any, desired: Desired::Absent });
    let intent = run.ledger.intents.values_mut().find(|intent| intent.op == op).unwrap();
    intent.marks.insert("jpegPhoto".into(), Mark { before: None, after: Some("photo".into()) });
    let order = run.back(Stage::Scrub, |_| {}).unwrap();
    let Action::Set { touches } = &at(&order, &shared("a"))[0].action else { panic!("a set") };
    let photo = touches.iter().find(|t| t.attr.is("jpegphoto")).unwrap();
    assert_eq!(photo.expects, Expects::Marks(vec!["photo".into()]));
    assert!(touches.iter().all(|t| !t.attr.is("authtimestamp")), "{touches:?}");
}

#[test]
fn whoever_another_batch_has_now_is_named_and_left_alone() {
    let mut run = Run::through(leavers(), "leave", Stage::Disable, done);
    let batch = BatchId::new(run.wave.clone(), "b01");
    let (reason, stage, details) = (ParkReason::Held, Stage::Soak, String::new());
    let park = Record::Parked { subject: id("b"), batch: batch.clone(), reason, stage, details, presence: None };
    record(&mut run.world, 800, &park);
    let (planned, kept) = run.world.plan();
    let second = start(&mut run.world, &planned, &kept, "leave", 801);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    assert_eq!(order.elsewhere, [(id("b"), BatchId::new(second, "b01"))]);
    assert_eq!(order.concerns, [(batch, vec![id("a")])]);
    assert!(order.operations.iter().all(|o| o.subjects == [id("a")]));
}

#[test]
fn what_was_not_applied_what_was_undone_and_undoings_are_not_taken_back() {
    let conflict = |op: &Operation, who: &SubjectId| match op.stage == Stage::Disable && *who == id("b") {
        true => OutcomeKind::Conflict,
        false => OutcomeKind::Succeeded,
    };
    let mut run = Run::through(leavers(), "leave", Stage::Disable, conflict);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    assert!(order.operations.iter().all(|o| o.subjects == [id("a")]), "{:?}", order.operations);

    let batch = BatchId::new(run.wave.clone(), "b01");
    let kind = OrderKind::Rollback {
        scope: RollbackScope::Batch(batch.clone()),
        to: Stage::Disable,
        delete_provisioned: false,
        enable_inactive: false,
    };
    let (undoing, concerns) = (order.id.clone(), order.concerns.clone());
    record(
        &mut run.world,
        800,
        &Record::OrderRecorded {
            order: undoing.clone(),
            digest: order.digest,
            order_kind: kind,
            wave: order.wave.clone(),
            approvals_needed: 1,
            concerns,
        },
    );
    let op = OpId::new(BatchId::new(WaveId::new(undoing.clone(), "rollback"), "b01"), 1);
    let mut intent = run.ledger.intents.values().next().unwrap().clone();
    (intent.op, intent.stage, intent.subjects) = (op.clone(), Stage::Disable, vec![id("a")]);
    record(&mut run.world, 801, &Record::Started { started: intent });
    let cells = vec![CellOutcome { subject: Some(id("a")), kind: OutcomeKind::Succeeded }];
    let (stage, message) = (Stage::Disable, String::new());
    let outcome = Outcome { op, stage, started: Some(801), cells, code: None, message, stable_id: None, image: None };
    record(&mut run.world, 802, &Record::Outcome { outcome });
    // Half of it is done: what is taken back is still the same, the undoing itself is not undone.
    assert_eq!(run.back(Stage::Disable, |_| {}).unwrap().operations, order.operations);
    let (subjects, to, round) = (vec![id("a"), id("b")], Stage::Disable, Round(2));
    let whole = Record::RolledBack { order: undoing, batch: Some(batch), subjects, to, round, kept: Vec::new() };
    record(&mut run.world, 803, &whole);
    assert!(matches!(run.back(Stage::Disable, |_| {}), Err(PlanError::NothingToUndo { .. })));
}

#[test]
fn what_may_be_ours_since_the_ledger_lost_its_end_is_listed_and_left_as_it_is() {
    let mut run = Run::through(leavers(), "leave", Stage::Disable, done);
    record(&mut run.world, 800, &Record::Repaired { lost_from: 700, by: "alice".into(), reason: "power".into() });
    let batch = BatchId::new(run.wave.clone(), "b01");
    let round = Round::FIRST;
    for (seq, stage) in [(801, Stage::Soak), (803, Stage::Scrub)] {
        record(&mut run.world, seq, &Record::StageStarted { batch: batch.clone(), stage, round, operations: 1 });
        if stage == Stage::Soak {
            record(&mut run.world, seq + 1, &Record::StageEnded { batch: batch.clone(), stage, round });
        }
    }
    run.ledger.seq = 810;
    let (_, kept) = leavers().plan();
    let found = |_: &Operation, who: &SubjectId| if *who == id("b") { OutcomeKind::Already } else { OutcomeKind::Succeeded };
    for op in kept.operations("leave").iter().filter(|o| o.stage == Stage::Scrub) {
        run.ledger.carry_out(&mut run.world, &batch, op, &found);
    }
    let order = run.back(Stage::Scrub, |_| {}).unwrap();
    let unknown: Vec<_> = order.not_restored.iter().filter(|left| left.lost.contains("not known")).collect();
    assert!(!unknown.is_empty() && unknown.iter().all(|left| left.subject == id("b")), "{:?}", order.not_restored);
    assert!(at(&order, &shared("b")).is_empty());
    let perhaps = |run: &Run, to| match run.back(to, |_| {}) {
        Err(PlanError::NothingToUndo { perhaps, .. }) => perhaps,
        other => panic!("{other:?}"),
    };
    assert!(perhaps(&run, Stage::Remove).is_empty(), "nothing of that stage was found");
    let words = run.back(Stage::Remove, |_| {}).unwrap_err().to_string();
    assert!(words.ends_with("no effect of that stage or a later one is ours and still stands"), "{words}");
    let only_b = |r: &mut RollbackRequest| r.scope = RollbackScope::Subject(id("b"));
    let error = run.back(Stage::Scrub, only_b).unwrap_err();
    assert!(error.to_string().contains("; the ledger has lost its end, and these may be ours: "), "{error}");
    let PlanError::NothingToUndo { perhaps: left, .. } = error else { panic!("nothing") };
    assert!(left.iter().any(|left| left.contains("uid=b")), "{left:?}");
}

#[test]
fn what_todays_rights_no_longer_give_back_is_said() {
    let mut run = Run::through(leavers(), "leave", Stage::Remove, done);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    assert!(order.not_restored.is_empty(), "{:?}", order.not_restored);
    run.world.capabilities.get_mut(&Side::Shared).unwrap().manage = false;
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    let mut words = BTreeSet::new();
    for (id, op) in &run.ledger.operations {
        let lost: Vec<&str> = order.not_restored.iter().filter(|n| n.op == *id).map(|n| n.lost.as_str()).collect();
        let expected = match &op.action {
            Action::Delete => "stable id",
            Action::Set { touches } if touches.iter().any(|t| t.attr.is("userpassword") || t.attr.is("pwdhistory")) => {
                "pwdChangedTime"
            }
            _ => {
                assert!(lost.is_empty(), "{op:?}: {lost:?}");
                continue;
            }
        };
        assert!(!lost.is_empty() && lost.iter().all(|lost| lost.contains(expected)), "{op:?}: {lost:?}");
        words.insert(expected);
    }
    assert_eq!(words.len(), 2, "both were met");

    // What was handed over stays so.
    let mut run = Run::through(movers(), "move", Stage::Enroll, done);
    let handed = run.ledger.operations.values_mut().find(|o| o.stage == Stage::Enroll).unwrap();
    handed.action = Action::Deliver { hook: "mail".into(), repeatable: false };
    handed.undo = UndoClass::Full;
    let order = run.back(Stage::Enroll, |_| {}).unwrap();
    assert!(order.not_restored.iter().any(|n| n.lost.contains("handed over")), "{:?}", order.not_restored);
}

#[test]
fn what_was_overwritten_later_still_takes_the_image_from_before_everything() {
    let mut run = Run::through(leavers(), "leave", Stage::Scrub, done);
    let disable = run.ledger.seq_of(&shared("a"), Stage::Disable, Actor::Writer);
    let first = run.ledger.intents[&disable].clone();
    let operation = run.ledger.operations[&first.op].clone();
    let concerns = vec![(first.op.batch.clone(), vec![id("a")])];
    // The id of the order says nothing of when it was carried out.
    let order = PlanId::new("0");
    let forced = OpId::new(BatchId::new(WaveId::new(order.clone(), "resolution"), "b01"), 1);
    let recorded = Record::OrderRecorded {
        order,
        digest: untether_model::digest::Digest::of(b"forced"),
        order_kind: OrderKind::Resolution { op: first.op.clone() },
        wave: run.back(Stage::Disable, |_| {}).unwrap().wave,
        approvals_needed: 2,
        concerns,
    };
    record(&mut run.world, 900, &recorded);
    let intent = Started { op: forced.clone(), ..first };
    record(&mut run.world, 901, &Record::Started { started: intent.clone() });
    let cells = vec![CellOutcome { subject: Some(id("a")), kind: OutcomeKind::Succeeded }];
    let (stage, message) = (Stage::Disable, String::new());
    let op = forced.clone();
    let outcome = Outcome { op, stage, started: Some(901), cells, code: None, message, stable_id: None, image: None };
    record(&mut run.world, 902, &Record::Outcome { outcome });
    run.ledger.operations.insert(forced.clone(), operation);
    run.ledger.intents.insert(901, intent);
    let order = run.back(Stage::Disable, |_| {}).unwrap();
    let undo = at(&order, &shared("a"));
    assert!(undo[0].undoes.contains(&(forced, id("a"))));
    let Action::Set { touches } = &undo[0].action else { panic!("a set") };
    let lock = touches.iter().find(|touch| touch.attr.is("pwdaccountlockedtime")).unwrap();
    assert_eq!(lock.desired, Desired::BeforeImage { started: disable });
}
