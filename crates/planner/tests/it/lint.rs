//! What the linter catches in plans that somebody has tampered with.

use untether_model::operation::{Action, Actor, Operation, Stage, Target, Track, UndoClass};
use untether_model::plan::{GateWhen, OrderKind, PlanHeader, PlannedSubject, RollbackScope, WaveHeader, WaveLine};
use untether_model::policy::{MfaExemption, Span, Thresholds};
use untether_model::roster::Presence::{Active, Departed};
use untether_model::run::GateKind;
use untether_model::snapshot::SubjectKind;
use untether_model::{Side, StableId};
use untether_planner::lint::{LintNote, Rule};
use untether_planner::{Level, Linter};

use crate::world::*;

/// The notes on a wave of a plan, or of an order of another kind with the same lines.
fn notes(world: &World, wave: &str, kind: OrderKind, change: impl FnOnce(&mut Vec<WaveLine>)) -> Vec<LintNote> {
    let (planned, kept) = world.plan();
    let mut lines = kept.wave(wave);
    change(&mut lines);
    let mut linter = Linter::new(&PlanHeader { kind, ..planned.header });
    for line in &lines {
        linter.line(line);
    }
    linter.finish()
}

fn lint(world: &World, wave: &str, change: impl FnOnce(&mut Vec<WaveLine>)) -> Vec<Rule> {
    let notes = notes(world, wave, OrderKind::Plan, change);
    notes.into_iter().filter(|n| n.level == Level::Error).map(|n| n.rule).collect()
}

/// What is said of one rule.
fn said(world: &World, wave: &str, rule: Rule, change: impl FnOnce(&mut Vec<WaveLine>)) -> Vec<String> {
    let notes = notes(world, wave, OrderKind::Plan, change);
    notes.into_iter().filter(|n| n.rule == rule).map(|n| n.to_string()).collect()
}

fn undoing() -> OrderKind {
    let scope = RollbackScope::Subject(id("a"));
    OrderKind::Rollback { scope, to: Stage::Disable, delete_provisioned: false, enable_inactive: false }
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

fn header(lines: &mut [WaveLine]) -> &mut WaveHeader {
    lines.iter_mut().find_map(|l| if let WaveLine::Wave(header) = l { Some(&mut **header) } else { None }).unwrap()
}

fn members(lines: &mut [WaveLine]) -> Vec<&mut PlannedSubject> {
    lines.iter_mut().flat_map(|l| if let WaveLine::Batch(b) = l { &mut b.subjects[..] } else { &mut [] }).collect()
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

#[test]
fn a_note_says_how_bad_it_is_where_and_what() {
    let far = Target::Existing { dn: dn("uid=a,dc=elsewhere"), stable_id: StableId::new("x") };
    let notes = said(&world(), "leave", Rule::OutsideStore, |l| operations(l)[0].target = far);
    assert_eq!(notes, ["error: leave/b01/1: uid=a,dc=elsewhere is outside the shared store"]);
    let (mut planned, _) = world().plan();
    for (reasons, told, last) in
        [(20, 20, None), (21, 21, Some("and 1 more of this kind")), (23, 21, Some("and 3 more of this kind"))]
    {
        planned.header.not_executable = (0..reasons).map(|n| format!("reason {n}")).collect();
        let notes = Linter::new(&planned.header).finish();
        assert_eq!(notes.len(), told, "{reasons}");
        assert_eq!(notes.iter().find(|n| n.words.contains("more")).map(|n| n.words.as_str()), last);
    }
}

#[test]
fn services_before_people_are_told_once_and_only_of_what_goes_forward() {
    use SubjectKind::{Person, Service};
    for (kinds, told) in [
        ([Service, Person, Person], 1),
        ([Person, Service, Person], 1),
        ([Person, Person, Service], 0),
        ([Person, Person, Person], 0),
    ] {
        let change = |l: &mut Vec<WaveLine>| members(l).into_iter().zip(kinds).for_each(|(s, kind)| s.kind = kind);
        let count = |kind| notes(&world(), "leave", kind, change).iter().filter(|n| n.rule == Rule::ServicesFirst).count();
        assert_eq!((count(OrderKind::Plan), count(undoing())), (told, 0), "{kinds:?}");
    }
}

#[test]
fn a_protected_group_is_touched_only_by_what_says_so_and_only_in_its_memberships() {
    let mut world = world();
    let group = dn("cn=admitted,ou=groups,dc=own");
    world.protected.insert(Side::Independent, vec![group.clone()]);
    let ensures = |l: &mut Vec<WaveLine>, flagged| {
        for operation in operations(l) {
            operation.protected_group = flagged && matches!(operation.action, Action::Ensure { .. });
        }
    };
    assert_eq!(lint(&world, "move", |l| ensures(l, false)), [Rule::ProtectedTarget]);
    assert_eq!(lint(&world, "move", |l| ensures(l, true)), []);
    let rules = lint(&world, "move", |l| {
        ensures(l, true);
        let enroll = operations(l).into_iter().find(|o| o.stage == Stage::Enroll).unwrap();
        (enroll.target, enroll.protected_group) = (Target::New { dn: group }, true);
    });
    assert_eq!(rules, [Rule::ProtectedTarget]);
}

#[test]
fn an_operation_serves_those_who_have_its_stage_and_alone_where_it_is_no_membership() {
    let rules = lint(&world(), "leave", |l| {
        let all = members(l).into_iter().take(2).map(|s| s.id.clone()).collect();
        operations(l)[0].subjects = all;
    });
    assert_eq!(rules, [Rule::ValuesMismatch]);
    let without = |l: &mut Vec<WaveLine>| members(l).into_iter().for_each(|s| s.stages.retain(|stage| *stage != Stage::Scrub));
    assert!(lint(&world(), "leave", without).contains(&Rule::ForeignSubject));
    let of_undoing = notes(&world(), "leave", undoing(), without);
    assert!(of_undoing.iter().all(|n| n.rule != Rule::ForeignSubject), "an undoing names the stage that is undone");
    let unserved =
        |uid| move |l: &mut Vec<WaveLine>| l.retain(|l| !matches!(l, WaveLine::Operation(o) if o.subjects == [id(uid)]));
    assert!(said(&world(), "leave", Rule::NoSubjects, |_| {}).is_empty());
    let words = "warning: leave: 1 subjects have no operation, for instance s-b";
    assert_eq!(said(&world(), "leave", Rule::NoSubjects, unserved("b")), [words]);
}

#[test]
fn memberships_are_not_changed_by_the_undoing_bind() {
    let acted = |actor| {
        said(&world(), "move", Rule::UndoClass, move |l| {
            operations(l).into_iter().filter(|o| matches!(o.action, Action::Ensure { .. })).for_each(|o| o.actor = actor);
        })
    };
    assert!(acted(Actor::Writer).is_empty());
    assert_eq!(acted(Actor::Undo).len(), 1);
}

#[test]
fn a_gate_counts_only_at_its_stage_and_on_its_side_of_it() {
    let changes: [fn(&mut untether_model::plan::PlannedGate); 3] = [
        |g| g.gate = if g.gate == GateKind::Mfa { GateKind::Silence } else { GateKind::Mfa },
        |g| g.stage = Stage::Attest,
        |g| g.when = if g.when == GateWhen::After { GateWhen::Before } else { GateWhen::After },
    ];
    for gate in 0..3 {
        for change in changes {
            let rules = lint(&world(), "move", |l| change(&mut header(l).gates[gate]));
            assert_eq!(rules, [Rule::MissingGate], "gate {gate}");
        }
    }
    let soak = |seconds, soaks: bool| {
        said(&world(), "leave", Rule::NoSoak, move |l| {
            header(l).soak = Span::from_seconds(seconds);
            members(l).into_iter().for_each(|s| s.stages.retain(|stage| soaks || *stage != Stage::Soak));
        })
        .len()
    };
    assert_eq!([soak(1, true), soak(0, true), soak(0, false)], [0, 1, 0]);
}

#[test]
fn a_missing_mfa_filter_is_told_where_somebody_is_asked_for_a_factor() {
    for (filter, exempt, told) in [(true, false, 0), (false, false, 1), (false, true, 0), (true, true, 0)] {
        let mut world = world();
        world.policy.mfa_filter = filter.then(|| "(labFactor=totp)".into());
        let kinds = vec![SubjectKind::Person];
        world.policy.mfa_exempt = exempt.then(|| vec![MfaExemption { kinds, reason: "all have passkeys".into() }]);
        assert_eq!(said(&world, "move", Rule::NoMfaFilter, |_| {}).len(), told, "{filter} {exempt}");
    }
}

#[test]
fn thresholds_are_met_by_what_is_not_above_them() {
    let mut world = world();
    let all: Vec<String> = ["a", "b", "c"].iter().map(|uid| shared(uid).to_string()).collect();
    world.group("staff", "member", &all.iter().map(String::as_str).collect::<Vec<_>>());
    let open =
        Thresholds { max_changed_percent: 1e6, max_disabled_percent: 1e6, max_removed_percent: 1e6, ..Thresholds::default() };
    // Three of four accounts in scope leave; their group is changed too.
    let cases = [
        (Thresholds { max_removed: Some(3), max_disabled: Some(3), max_changed: Some(4), ..open.clone() }, vec![]),
        (
            Thresholds { max_removed_percent: 75.0, max_disabled_percent: 75.0, max_changed_percent: 100.0, ..open.clone() },
            vec![],
        ),
        (Thresholds { max_removed: Some(2), ..open.clone() }, vec!["removed"]),
        (Thresholds { max_removed_percent: 74.0, ..open.clone() }, vec!["removed"]),
        (Thresholds { max_disabled: Some(2), ..open.clone() }, vec!["disabled"]),
        (Thresholds { max_disabled_percent: 74.0, ..open.clone() }, vec!["disabled"]),
        (Thresholds { max_changed: Some(3), ..open.clone() }, vec!["changed"]),
        (Thresholds { max_changed_percent: 99.0, ..open.clone() }, vec!["changed"]),
    ];
    for (number, (thresholds, expected)) in cases.into_iter().enumerate() {
        let notes = said(&world, "leave", Rule::Threshold, |l| {
            header(l).thresholds = thresholds;
            header(l).in_scope = [(Side::Shared, 4)].into();
        });
        assert_eq!(notes.len(), expected.len(), "case {number}: {notes:?}");
        for (note, what) in notes.iter().zip(expected) {
            let words = format!("entries of the shared store (4 accounts in scope) would be {what}; the thresholds allow ");
            assert!(note.contains(&words), "case {number}: {note}");
        }
    }
}
