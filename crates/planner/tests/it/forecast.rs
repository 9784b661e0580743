//! Figures of the planning report, and what to expect of waves and entities.

use std::collections::BTreeMap;

use untether_model::digest::Digest;
use untether_model::operation::{Stage, UndoClass};
use untether_model::plan::EntityForecast;
use untether_model::policy::Span;
use untether_model::roster::Presence::{Active, Departed};
use untether_model::{EntityId, Side};
use untether_planner::Reason;

use crate::world::*;

fn leavers(count: usize) -> World {
    let mut world = World::new();
    for n in 0..count {
        world.person(&format!("p{n}"), Some(Departed));
    }
    world
}

fn own(world: &World) -> EntityForecast {
    let (planned, _) = world.plan();
    planned.report.entities.iter().find(|e| e.entity == EntityId::new("own")).unwrap().clone()
}

#[test]
fn the_report_counts_what_the_files_hold() {
    let mut world = leavers(3);
    world.person("hana", Some(Active));
    world.person("ken", Some(Active));
    for uid in ["x", "y"] {
        world.person(uid, Some(Active));
        world.subjects.last_mut().unwrap().accounts[0].side = Side::Independent;
    }
    let (planned, kept) = world.plan();
    let report = &planned.report;
    assert_eq!(report.not_planned, BTreeMap::from([(Reason::NoSharedAccount, 2)]));
    let (mut stages, mut classes) = (BTreeMap::<Stage, u64>::new(), BTreeMap::<String, u64>::new());
    for operation in ["leave", "move"].iter().flat_map(|wave| kept.operations(wave)) {
        *stages.entry(operation.stage).or_default() += 1;
        let class = match operation.undo {
            UndoClass::Full => "full",
            UndoClass::Partial(_) => "partial",
            UndoClass::None(_) => "none",
        };
        *classes.entry(class.to_owned()).or_default() += 1;
    }
    assert_eq!((&report.operations, &report.undo), (&stages, &classes));
    assert_eq!(classes["none"], 5, "the proofs");
    let irreversible = |wave: &str, batch: &str| {
        let all = kept.operations(wave).into_iter().filter(|o| o.batch == batch && o.stage.is_irreversible());
        all.count() as u64
    };
    assert!(!report.points_of_no_return.is_empty());
    for point in &report.points_of_no_return {
        assert_eq!(point.operations, irreversible(&point.wave, &point.batch), "{point:?}");
    }
    assert_eq!(report.waves[0].entities, BTreeMap::from([("own".into(), 3)]));
    assert_eq!(own(&world).planned, 5);
    let forecast = report.forecast();
    assert_eq!((&forecast.waves, &forecast.entities), (&report.waves, &report.entities));
    let (everybody, _) = leavers(1).plan();
    assert!(everybody.report.not_planned.is_empty(), "nobody is nothing to tell");
}

#[test]
fn accounts_in_scope_are_counted_in_each_store() {
    let mut world = leavers(3);
    world.also_own("p0");
    world.also_own("p1");
    world.group("staff", "member", &[shared("p0").as_str()]);
    let (_, kept) = world.plan();
    assert_eq!(kept.header("leave").in_scope, BTreeMap::from([(Side::Shared, 3), (Side::Independent, 2)]), "groups are none");
}

#[test]
fn the_plan_keeps_what_was_configured_under_its_digest() {
    let world = leavers(1);
    let (planned, _) = world.plan();
    assert_eq!(planned.policy, serde_json::to_vec(&(&world.policy, &world.audit)).unwrap());
    assert_eq!(planned.header.policy, Some(Digest::of(&planned.policy)));
}

#[test]
fn protected_identities_that_cannot_be_known_keep_a_plan_from_being_run_unless_all_are_listed() {
    for (read, explicit, executable) in [(true, false, true), (false, false, false), (false, true, true), (true, true, true)] {
        let mut world = leavers(1);
        (world.config_read, world.audit.protected.explicit) = (read, explicit);
        assert_eq!(world.plan().0.header.executable, executable, "{read} {explicit}");
    }
}

#[test]
fn a_wave_takes_the_time_of_its_writes_its_canary_and_its_soak() {
    let mut world = leavers(2);
    world.policy.waves[0].canary_wait = Some(Span::from_seconds(3_600));
    world.policy.waves[0].soak = Some(Span::from_seconds(100));
    let times = |world: &World| {
        let (planned, _) = world.plan();
        let wave = &planned.report.waves[0];
        let total = wave.earliest_end.as_second() - planned.header.now.as_second();
        assert_eq!(total as u64, wave.writing_seconds + wave.canary_seconds + wave.soak_seconds);
        (wave.operations, wave.writing_seconds, wave.canary_seconds, wave.soak_seconds)
    };
    world.policy.forecast_writes_per_second = 4.0;
    assert_eq!(times(&world), (10, 3, 0, 100), "rounded up; nobody waits for the only batch");
    world.person("third", Some(Departed));
    assert_eq!(times(&world), (15, 4, 4 * 3_600, 100), "the canary is waited for after each stage but the soak");
    for rate in [0.0, -1.0] {
        world.policy.forecast_writes_per_second = rate;
        assert_eq!(times(&world), (15, 0, 4 * 3_600, 100), "{rate}: not known");
    }
}

#[test]
fn a_deadline_is_kept_until_its_day_is_over_where_the_entity_is() {
    // Fourteen days of soak and a second of writing: 15:30 in Greenwich, after midnight in Tokyo.
    let mut world = leavers(1);
    world.policy.waves[0].soak = Some(Span::from_seconds(14 * 86_400 + 15 * 3_600 + 1_800));
    let late = |world: &mut World, wave: &str, entity: &str| {
        world.policy.waves[0].deadline = Some(wave.parse().unwrap());
        world.audit.entities.get_mut(&EntityId::new("own")).unwrap().deadline = Some(entity.parse().unwrap());
        let (planned, _) = world.plan();
        (planned.report.waves[0].late, planned.report.entities[0].late)
    };
    assert_eq!(late(&mut world, "2026-12-04", "2026-12-05"), (false, false));
    assert_eq!(late(&mut world, "2026-12-03", "2026-12-04"), (true, true));
}

#[test]
fn an_entity_is_late_when_its_day_is_over_and_somebody_still_waits() {
    let mut world = World::new();
    for (waiting, deadline, late) in
        [(true, "2026-11-19", true), (true, "2026-11-20", false), (true, "2026-11-21", false), (false, "2026-11-19", false)]
    {
        world.subjects.clear();
        if waiting {
            world.person("x", None);
            world.person("y", None);
        }
        world.audit.entities.get_mut(&EntityId::new("own")).unwrap().deadline = Some(deadline.parse().unwrap());
        let entity = own(&world);
        assert_eq!(entity.late, late, "{deadline} {waiting}");
        let reasons = if waiting { BTreeMap::from([("orphan".to_owned(), 2)]) } else { BTreeMap::new() };
        assert_eq!((entity.waiting, entity.reasons), (if waiting { 2 } else { 0 }, reasons));
    }
}
