//! What people decided on whose accounts they are, and ids that subjects had before.

use std::collections::BTreeMap;

use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::roster::Presence::Departed;
use untether_model::run::{Decision, DecisionId, Match, MatchVerb, ParkReason, Record, apply};
use untether_model::{BatchId, Round};

use crate::plan::{record, sign, start};
use crate::world::*;

fn at(world: &mut World, seq: u64, time: &str, record: &Record) {
    let change = apply(&world.progress, seq, time.parse().unwrap(), record).unwrap();
    world.progress.commit(change);
}

fn audit(world: &mut World, seq: u64) {
    let record = Record::AuditRecorded {
        snapshot: Digest::of(b"snapshot"),
        findings: Digest::of(b"findings"),
        taken_at: NOW.parse().unwrap(),
        as_of: None,
        executable: true,
        in_scope: BTreeMap::new(),
        active_people: 1,
        active_by_entity: BTreeMap::new(),
        complete: true,
        subjects: Vec::new(),
        counts: Vec::new(),
        compared: None,
        entities: None,
    };
    at(world, seq, NOW, &record);
}

fn matched(verb: MatchVerb, subjects: &[&str]) -> Record {
    let subjects = subjects.iter().map(|uid| id(uid)).collect();
    let decision = Decision::Match(Match { verb, these: vec!["a".into()], others: vec!["b".into()], subjects });
    Record::Decision { decision, signed: sign("match") }
}

fn withdrawn(decision: u64) -> Record {
    Record::Decision { decision: Decision::Withdraw { decision: DecisionId::alone(decision) }, signed: sign("withdraw") }
}

#[test]
fn nobody_is_planned_on_a_match_that_was_decided_on_after_the_audit() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    record(&mut world, 1, &matched(MatchVerb::Split, &["a"]));
    audit(&mut world, 2);
    assert_eq!(world.reason("a"), None, "the audit knows of it");
    record(&mut world, 3, &matched(MatchVerb::Deny, &["b"]));
    assert_eq!((world.reason("a"), world.reason("b")), (None, Some("undecided")));
    record(&mut world, 4, &withdrawn(1));
    assert_eq!(world.reason("a"), Some("undecided"), "what was taken back is not what the audit saw");
    audit(&mut world, 5);
    assert_eq!((world.reason("a"), world.reason("b")), (None, None));
}

#[test]
fn what_was_done_under_an_earlier_id_counts_for_the_later_one() {
    let mut world = World::new();
    world.person("old", Some(Departed));
    let (planned, kept) = world.plan();
    let wave = start(&mut world, &planned, &kept, "leave", 1);
    let batch = BatchId::new(wave.clone(), "b01");
    let begun = Record::StageStarted { batch: batch.clone(), stage: Stage::Disable, round: Round::FIRST, operations: 1 };
    record(&mut world, 3, &begun);
    // The roster learns of the person, whose id is another one now.
    let mut later = World::new();
    later.progress = world.progress;
    later.person("new", Some(Departed));
    assert_eq!(later.reason("new"), None);
    record(&mut later, 4, &Record::SubjectAliased { from: id("old"), to: id("new") });
    assert_eq!(later.reason("new"), Some("claimed"), "the wave has it in hand under its earlier id");
    let parked = Record::Parked {
        subject: id("old"),
        batch,
        reason: ParkReason::Failed,
        stage: Stage::Disable,
        details: "x".into(),
        presence: None,
    };
    record(&mut later, 5, &parked);
    assert_eq!(later.reason("new"), None);
    // A new wave takes it over from the old one, under the new id.
    let (planned, kept) = later.plan();
    start(&mut later, &planned, &kept, "leave", 6);
    let subjects = later.progress.subjects();
    assert!(subjects.get(&id("new")).unwrap().claimed && !subjects.get(&id("old")).unwrap().claimed);
    assert_eq!(subjects.get(&id("new")).unwrap().superseded.len(), 1);
}

#[test]
fn an_account_that_was_joined_to_somebody_who_was_through_is_planned() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    let (planned, kept) = world.plan();
    let wave = start(&mut world, &planned, &kept, "leave", 1);
    let batch = BatchId::new(wave.clone(), "b01");
    for (n, stage) in [Stage::Disable, Stage::Soak, Stage::Scrub, Stage::Remove, Stage::Attest].into_iter().enumerate() {
        let seq = 10 + 2 * n as u64;
        record(&mut world, seq, &Record::StageStarted { batch: batch.clone(), stage, round: Round::FIRST, operations: 1 });
        record(&mut world, seq + 1, &Record::StageEnded { batch: batch.clone(), stage, round: Round::FIRST });
    }
    record(&mut world, 40, &Record::WaveEnded { wave });
    assert_eq!(world.reason("a"), Some("finished"));
    let mut at_once = world.clone();
    record(&mut at_once, 41, &matched(MatchVerb::Confirm, &["a"]));
    assert_eq!(at_once.reason("a"), Some("finished"), "what was joined by then went along");
    at(&mut world, 41, "2026-11-21T00:00:00Z", &matched(MatchVerb::Deny, &["a"]));
    assert_eq!(world.reason("a"), Some("finished"));
    at(&mut world, 42, "2026-11-21T00:00:00Z", &matched(MatchVerb::Confirm, &["a"]));
    let (_, kept) = world.plan();
    assert!(
        !kept.of("leave", "a", Stage::Disable).is_empty(),
        "from the beginning, for the account that has been through nothing"
    );
}
