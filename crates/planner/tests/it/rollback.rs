//! Rollback orders over a timeline that the records made.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::{Action, Actor, Desired, Direction, Expects, Operation, Stage, Target};
use untether_model::plan::{PlannedStore, PlannedSubject, RollbackScope};
use untether_model::roster::Presence::{Active, Departed};
use untether_model::run::{CellOutcome, Mark, Outcome, OutcomeKind, Record, Sealed, Started};
use untether_model::snapshot::CredentialKind;
use untether_model::{AttrName, BatchId, OpId, Round, Side, StableId, SubjectId, WaveId};
use untether_planner::{
    Intents, Level, Operations, PlanError, Resolution, ResolutionInputs, RollbackInputs, RollbackOrder, RollbackRequest,
    resolution, rollback,
};

use crate::plan::{record, start};
use crate::world::*;

#[derive(Default)]
struct Ledger {
    intents: BTreeMap<u64, Started>,
    operations: BTreeMap<OpId, Operation>,
    subjects: BTreeMap<SubjectId, PlannedSubject>,
    seq: u64,
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

struct Run {
    world: World,
    ledger: Ledger,
    stores: BTreeMap<Side, PlannedStore>,
    wave: WaveId,
}

impl Run {
    /// Runs a wave through a stage; each operation of the outcome kinds that `kind` gives.
    fn through(mut world: World, wave: &str, last: Stage, kind: impl Fn(&Operation, &SubjectId) -> OutcomeKind) -> Self {
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

    fn back(&self, to: Stage, change: impl FnOnce(&mut RollbackRequest)) -> Result<RollbackOrder, PlanError> {
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
        let (op, _) = self.ledger.operations.iter().find(|(_, o)| o.stage == stage && o.subjects.contains(&id(uid))).unwrap();
        resolution(&ResolutionInputs {
            op,
            subject: None,
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

fn done(_: &Operation, _: &SubjectId) -> OutcomeKind {
    OutcomeKind::Succeeded
}

fn leavers() -> World {
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

fn movers() -> World {
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
