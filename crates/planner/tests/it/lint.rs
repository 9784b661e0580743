//! What the linter catches in plans that somebody has tampered with.

use untether_model::operation::{Action, Operation, Stage, Target, Track, UndoClass};
use untether_model::plan::WaveLine;
use untether_model::roster::Presence::{Active, Departed};
use untether_model::{Side, StableId};
use untether_planner::lint::Rule;
use untether_planner::{Level, Linter};

use crate::world::*;

fn lint(world: &World, wave: &str, change: impl FnOnce(&mut Vec<WaveLine>)) -> Vec<Rule> {
    let (planned, kept) = world.plan();
    let mut lines = kept.wave(wave);
    change(&mut lines);
    let mut linter = Linter::new(&planned.header);
    for line in &lines {
        linter.line(line);
    }
    linter.finish().into_iter().filter(|n| n.level == Level::Error).map(|n| n.rule).collect()
}

fn world() -> World {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    world.person("c", Some(Departed));
    world.person("h", Some(Active));
    world.protected.insert(Side::Shared, vec![dn("uid=glass,ou=own,dc=shared")]);
    world
}

fn operations(lines: &mut [WaveLine]) -> Vec<&mut Operation> {
    lines.iter_mut().filter_map(|l| if let WaveLine::Operation(o) = l { Some(&mut **o) } else { None }).collect()
}

#[test]
fn a_plan_as_made_has_no_errors() {
    assert_eq!(lint(&world(), "leave", |_| {}), []);
    assert_eq!(lint(&world(), "move", |_| {}), []);
}

#[test]
fn protected_identities_and_other_stores_are_never_targets() {
    let target = |name: &str| Target::Existing { dn: dn(name), stable_id: StableId::new("x") };
    let rules = lint(&world(), "leave", |l| operations(l)[0].target = target("uid=GLASS,ou=own,dc=shared"));
    assert_eq!(rules, [Rule::ProtectedTarget]);
    let rules = lint(&world(), "leave", |l| operations(l)[0].target = target("uid=a,dc=elsewhere"));
    assert_eq!(rules, [Rule::OutsideStore]);
}

#[test]
fn numbers_order_and_creators_are_checked() {
    assert_eq!(lint(&world(), "leave", |l| operations(l)[1].n = 1), [Rule::DuplicateNumber]);
    assert!(lint(&world(), "leave", |l| operations(l)[0].stage = Stage::Attest).contains(&Rule::OutOfOrder));
    let rules = lint(&world(), "move", |l| {
        let gone = l.iter().position(|l| matches!(l, WaveLine::Operation(o) if matches!(o.action, Action::Create { .. })));
        l.remove(gone.unwrap());
    });
    assert!(rules.contains(&Rule::MissingCreator));
}

#[test]
fn cells_need_subjects_of_their_batch_with_a_value_each() {
    assert!(lint(&world(), "leave", |l| operations(l)[0].subjects.clear()).contains(&Rule::NoSubjects));
    assert!(lint(&world(), "leave", |l| operations(l)[0].subjects = vec![id("stranger")]).contains(&Rule::ForeignSubject));
    let rules = lint(&world(), "move", |l| {
        for operation in operations(l) {
            if let Action::Ensure { values, .. } = &mut operation.action {
                values.clear();
            }
        }
    });
    assert!(rules.contains(&Rule::ValuesMismatch));
    let rules = lint(&world(), "leave", |l| {
        let twice = l.iter().find_map(|l| if let WaveLine::Batch(b) = l { b.subjects.first().cloned() } else { None });
        for line in l.iter_mut().rev() {
            if let WaveLine::Batch(batch) = line {
                batch.subjects.extend(twice);
                break;
            }
        }
    });
    assert!(rules.contains(&Rule::SubjectTwice));
}

#[test]
fn gates_tracks_and_undo_classes_must_fit() {
    let without_gates = |l: &mut Vec<WaveLine>| {
        if let Some(WaveLine::Wave(header)) = l.first_mut() {
            header.gates.clear();
        }
    };
    assert_eq!(lint(&world(), "move", without_gates), [Rule::MissingGate, Rule::MissingGate, Rule::MissingGate]);
    let rules = lint(&world(), "leave", |l| {
        for line in l.iter_mut() {
            if let WaveLine::Batch(batch) = line {
                batch.subjects.iter_mut().for_each(|s| s.track = Track::Keep);
            }
        }
    });
    assert!(rules.contains(&Rule::ForeignSubject), "a kept record is never removed");
    let rules = lint(&world(), "leave", |l| {
        for operation in operations(l) {
            operation.undo = UndoClass::Full;
        }
    });
    assert!(rules.contains(&Rule::UndoClass));
}
