//! Which stages somebody goes through, by what was done before and what is configured.

use untether_model::operation::{Action, Expects, Stage, Track};
use untether_model::plan::GateWhen;
use untether_model::policy::Admission;
use untether_model::roster::Presence::{self, Active, Departed};
use untether_model::roster::Standing;
use untether_model::run::{GateKind, ParkReason, Record};
use untether_model::{BatchId, Round};
use untether_planner::Level;

use crate::plan::{decide, record, stages_of, start};
use crate::world::*;

/// Plans and runs the wave that has somebody up to a stage, and parks them before the next one.
fn parked_after(world: &mut World, wave: &str, uid: &str, last: Option<Stage>) {
    let (planned, kept) = world.plan();
    let batch = BatchId::new(start(world, &planned, &kept, wave, 1), "b01");
    let stages = stages_of(&kept, wave, uid);
    let mut seq = 10;
    for stage in stages.iter().copied().filter(|stage| last.is_some_and(|last| *stage <= last)) {
        record(world, seq, &Record::StageStarted { batch: batch.clone(), stage, round: Round::FIRST, operations: 1 });
        record(world, seq + 1, &Record::StageEnded { batch: batch.clone(), stage, round: Round::FIRST });
        seq += 2;
    }
    let next = stages.iter().copied().find(|stage| last.is_none_or(|last| *stage > last)).unwrap();
    record(world, seq, &Record::StageStarted { batch: batch.clone(), stage: next, round: Round::FIRST, operations: 1 });
    let (reason, details) = (ParkReason::Held, String::new());
    record(world, seq + 1, &Record::Parked { subject: id(uid), batch, reason, stage: next, details, presence: None });
}

fn stand(world: &mut World, uid: &str, presence: Presence) {
    let subject = world.subjects.iter_mut().find(|s| s.id == id(uid)).unwrap();
    subject.standing = Some(Standing { presence, last_day: None, disagrees: false });
}

#[test]
fn a_migration_goes_on_where_it_stopped_until_its_old_login_is_all_that_is_left() {
    let rest = [Stage::Disable, Stage::Soak, Stage::Scrub, Stage::Remove, Stage::Attest];
    for (last, expected) in [
        (None, vec![Stage::Enroll, Stage::Switch]),
        (Some(Stage::Provision), vec![Stage::Enroll, Stage::Switch]),
        (Some(Stage::Enroll), vec![Stage::Switch]),
        (Some(Stage::Switch), vec![]),
    ] {
        let mut world = World::new();
        world.person("hana", Some(Active));
        parked_after(&mut world, "move", "hana", last);
        world.also_own("hana");
        let (planned, kept) = world.plan();
        assert_eq!(stages_of(&kept, "move", "hana"), [&expected[..], &rest].concat(), "{last:?}");
        let enrolls = !kept.of("move", "hana", Stage::Enroll).is_empty();
        assert_eq!(enrolls, expected.contains(&Stage::Enroll), "{last:?}");
        assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
    }
}

#[test]
fn what_an_earlier_plan_did_on_another_track_is_no_migration() {
    let mut world = World::new();
    world.person("ken", Some(Active));
    world.also_own("ken");
    parked_after(&mut world, "move", "ken", None);
    assert_eq!(stages_of(&world.plan().1, "move", "ken")[0], Stage::Disable, "the account is none that we made");

    // Somebody who left, was disabled, and is back: their account elsewhere gets a credential of its own.
    let mut world = World::new();
    world.person("back", Some(Departed));
    parked_after(&mut world, "leave", "back", Some(Stage::Soak));
    stand(&mut world, "back", Active);
    world.also_own("back");
    decide(&mut world, 90, "back", Track::Migrate, "2027-01-01");
    assert_eq!(stages_of(&world.plan().1, "move", "back")[..2], [Stage::Enroll, Stage::Switch]);
}

#[test]
fn memberships_follow_to_an_account_that_an_earlier_plan_made() {
    let mut world = World::new();
    world.person("hana", Some(Active));
    world.group("staff", "member", &[shared("hana").as_str()]);
    parked_after(&mut world, "move", "hana", Some(Stage::Provision));
    world.also_own("hana");
    let (planned, kept) = world.plan();
    assert_eq!(stages_of(&kept, "move", "hana")[..2], [Stage::Provision, Stage::Enroll]);
    let joins = kept.of("move", "hana", Stage::Provision);
    assert_eq!(joins.iter().map(|o| o.target.dn().clone()).collect::<Vec<_>>(), [dn("cn=staff,ou=groups,dc=own")]);
    assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
}

#[test]
fn whoever_is_admitted_by_nothing_has_no_stage_for_it_and_an_account_that_is_there_may_be_admitted_already() {
    let mut world = World::new();
    world.person("hana", Some(Active));
    world.policy.admission = None;
    assert!(!stages_of(&world.plan().1, "move", "hana").contains(&Stage::Switch));
    world.policy.admission = Some(Admission::Attribute { name: "labAdmitted".into(), value: "yes".into() });
    parked_after(&mut world, "move", "hana", Some(Stage::Provision));
    for (made, expects) in [(true, Expects::Absent), (false, Expects::Any)] {
        if !made {
            world.also_own("hana");
        }
        let (_, kept) = world.plan();
        let Action::Set { touches } = &kept.of("move", "hana", Stage::Switch)[0].action else { panic!("a set") };
        assert_eq!(touches[0].expects, expects);
    }
}

#[test]
fn who_stays_with_a_kept_record_proves_an_account_of_their_own_where_they_are_active() {
    for (presence, asked) in [(Active, true), (Departed, false)] {
        let mut world = World::new();
        world.person("a", Some(presence));
        decide(&mut world, 1, "a", Track::Keep, "2027-01-01");
        let (_, kept) = world.plan();
        let gates: Vec<_> = kept.header("leave").gates.iter().map(|g| (g.gate, g.stage, g.when)).collect();
        let own = (GateKind::OwnAccount, Stage::Disable, GateWhen::Before);
        let silence = (GateKind::Silence, Stage::Soak, GateWhen::After);
        assert_eq!(gates, if asked { vec![own, silence] } else { vec![silence] }, "{presence:?}");
    }
}

#[test]
fn second_accounts_are_told_of_where_nothing_takes_their_place() {
    use untether_planner::report::Remark;
    for (presence, wave, told) in [(Active, "move", true), (Departed, "leave", false)] {
        let mut world = World::new();
        world.person("a", Some(presence));
        world.second("a", &dn("uid=a,ou=admins,dc=shared"));
        let (planned, kept) = world.plan();
        assert_eq!(planned.report.notes.contains_key(&Remark::SecondaryRetired), told);
        assert_eq!(kept.of(wave, "a", Stage::Remove).len(), 2, "both records go");
    }
}
