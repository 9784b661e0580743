//! What two plans are compared by, and what is told of it.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::digest::Digest;
use untether_model::operation::{Stage, Track};
use untether_model::plan::{PlanHeader, PlannedBatch, PlannedSubject, WaveLine};
use untether_model::policy::Keep;
use untether_model::roster::Presence::{Active, Departed};
use untether_model::roster::Standing;
use untether_model::snapshot::SubjectKind;
use untether_model::{EntityId, Side};
use untether_planner::diff::{Ground, Move, OperationChange};
use untether_planner::report::NotPlanned;
use untether_planner::{Gathered, PlanDiff, Reason, ReportLine, diff};

use crate::world::*;

fn gathered(kept: &Kept) -> Gathered {
    let mut gathered = Gathered::new();
    for wave in kept.lines.keys() {
        kept.wave(wave).into_iter().for_each(|line| gathered.line(wave, line));
    }
    kept.report.iter().cloned().for_each(|line| gathered.report(line));
    gathered
}

fn compared(before: &World, after: &World) -> PlanDiff {
    let ((was, before), (is, after)) = (before.plan(), after.plan());
    diff((&was.header, gathered(&before)), (&is.header, gathered(&after)))
}

fn two_leavers() -> World {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    world
}

#[test]
fn a_plan_differs_from_itself_in_nothing_and_from_none_in_everything() {
    let (world, nobody) = (two_leavers(), World::new());
    let same = compared(&world, &world);
    assert!(same.grounds.is_empty() && same.waves.is_empty() && same.entities.is_empty() && same.subjects.is_empty());
    assert!(same.not_executable.is_empty() && !same.now_executable);
    let figures = |diff: PlanDiff| diff.operations.into_iter().map(|(stage, c)| (stage, c.added, c.removed, c.kept)).collect();
    let of = |added: u64, removed: u64, kept: u64| {
        let (each, scrubs) = ([Stage::Disable, Stage::Remove, Stage::Attest], (2 * added, 2 * removed, 2 * kept));
        let mut all: Vec<_> = each.map(|stage| (stage, added, removed, kept)).into();
        all.insert(1, (Stage::Scrub, scrubs.0, scrubs.1, scrubs.2));
        all
    };
    let all: Vec<(Stage, u64, u64, u64)> = figures(same);
    assert_eq!(all, of(0, 0, 2), "a soak has no operations");
    let all: Vec<_> = figures(compared(&nobody, &world));
    assert_eq!(all, of(2, 0, 0));
    let all: Vec<_> = figures(compared(&world, &nobody));
    assert_eq!(all, of(0, 2, 0));
}

#[test]
fn each_ground_is_told_by_its_digest_alone() {
    let (planned, _) = two_leavers().plan();
    let other = Digest::of(b"another");
    let same = || planned.header.clone();
    let changed = [
        (Ground::Audit, PlanHeader { snapshot: Some(other), ..same() }),
        (Ground::Policy, PlanHeader { policy: Some(other), ..same() }),
        (Ground::Progress, PlanHeader { progress: other, ..same() }),
        (Ground::Decisions, PlanHeader { decisions: other, ..same() }),
        (Ground::Stores, PlanHeader { stores: BTreeMap::new(), ..same() }),
        (Ground::Seed, PlanHeader { seed: same().seed + 1, ..same() }),
    ];
    for (ground, header) in changed {
        let found = diff((&planned.header, Gathered::new()), (&header, Gathered::new()));
        assert_eq!(found.grounds, BTreeSet::from([ground]));
    }
}

#[test]
fn whether_a_plan_can_be_run_is_told_when_it_changes() {
    let world = two_leavers();
    let mut unprobed = world.clone();
    unprobed.capabilities.remove(&Side::Shared);
    let told = |before: &World, after: &World| {
        let found = compared(before, after);
        (found.not_executable.len(), found.now_executable)
    };
    assert_eq!(told(&world, &unprobed), (1, false));
    assert_eq!(told(&unprobed, &world), (0, true));
    assert_eq!(told(&unprobed, &unprobed), (0, false));
}

#[test]
fn waves_entities_and_subjects_are_told_where_they_differ_and_only_there() {
    let mut before = World::new();
    for uid in ["same", "blocked", "gone", "rejoins", "kept"] {
        before.person(uid, Some(Departed));
    }
    for uid in ["waits", "leaver", "lost"] {
        before.person(uid, None);
    }
    let mut entity = before.audit.entities[&EntityId::new("own")].clone();
    entity.name = "Subsidiary".into();
    before.audit.entities.insert("sub".into(), entity);
    let mut after = before.clone();
    let subject = |world: &mut World, uid: &str| world.subjects.iter().position(|s| s.id == id(uid)).unwrap();
    for uid in ["gone", "lost"] {
        let at = subject(&mut after, uid);
        after.subjects.remove(at);
    }
    for (uid, presence) in [("rejoins", Active), ("leaver", Departed)] {
        let at = subject(&mut after, uid);
        after.subjects[at].standing = Some(Standing { presence, last_day: None, disagrees: false });
    }
    for uid in ["blocked", "waits"] {
        let at = subject(&mut after, uid);
        after.subjects[at].undecided.push("x".into());
    }
    after.person("fresh", Some(Departed));
    after.person("stranger", None);
    after.person("unknown", None);
    let (entities, filter, until) = (vec![], "(uid=kept)".into(), "2030-01-01".parse().unwrap());
    after.policy.keep = vec![Keep { entities, filter, reason: "law".into(), until }];

    let found = compared(&before, &after);
    let moves: Vec<_> =
        found.subjects.iter().map(|s| (s.change, s.subject.clone())).filter(|(m, _)| *m != Move::OtherBatch).collect();
    let expected = [
        (Move::NewlyBlocked, "blocked"),
        (Move::Gone, "gone"),
        (Move::NewlyPlanned, "fresh"),
        (Move::NewlyPlanned, "leaver"),
        (Move::OtherWave, "rejoins"),
        (Move::OtherTrack, "kept"),
        (Move::OtherReason, "waits"),
        (Move::NewAndWaits, "stranger"),
        (Move::NewAndWaits, "unknown"),
        (Move::NoLongerKnown, "lost"),
    ];
    assert_eq!(moves, expected.map(|(change, uid)| (change, id(uid))));
    assert_eq!(found.moves()[&Move::NewlyPlanned], 2);
    assert_eq!(found.moves().values().sum::<u64>(), found.subjects.len() as u64);
    let waves: Vec<_> =
        found.waves.iter().map(|w| (w.wave.as_str(), [&w.before, &w.after].map(|f| f.as_ref().map(|f| f.subjects)))).collect();
    assert_eq!(waves, [("leave", [Some(5), Some(4)]), ("move", [None, Some(1)])]);
    let entities: Vec<_> =
        found.entities.iter().map(|e| (e.entity.as_str(), e.before.as_ref().map(|f| (f.planned, f.waiting)))).collect();
    assert_eq!(entities, [("own", Some((5, 3)))], "the other entity has nobody in either");
    assert_eq!(found.entities[0].after.as_ref().map(|f| (f.planned, f.waiting)), Some((5, 4)));
    assert!(found.grounds.contains(&Ground::Policy));
    let scrub = found.operations[&Stage::Scrub];
    assert!(scrub.added > 0 && scrub.removed > 0 && scrub.kept > 0, "{scrub:?}");
}

#[derive(Clone, Copy)]
enum Stands {
    Planned(&'static str, &'static str, Track, &'static [Stage]),
    Waits(Reason, Option<&'static str>),
}

fn standing(place: Option<Stands>) -> Gathered {
    let mut gathered = Gathered::new();
    match place {
        Some(Stands::Planned(wave, name, track, stages)) => {
            let subject = PlannedSubject {
                id: id("a"),
                track,
                kind: SubjectKind::Person,
                entity: "own".into(),
                roster_ref: None,
                shared_dn: Some(shared("a")),
                shared_id: None,
                independent_dn: None,
                stages: stages.to_vec(),
            };
            let batch = PlannedBatch { name: name.to_owned(), canary: true, subjects: vec![subject] };
            gathered.line(wave, WaveLine::Batch(batch));
        }
        Some(Stands::Waits(reason, until)) => gathered.report(ReportLine::NotPlanned(NotPlanned {
            subject: id("a"),
            kind: SubjectKind::Person,
            entity: None,
            track: None,
            dn: None,
            reason,
            words: "x".into(),
            waits_for: "y".into(),
            until: until.map(|day| day.parse().unwrap()),
        })),
        None => {}
    }
    gathered
}

#[test]
fn what_became_of_a_subject_follows_from_both_places() {
    use Stands::{Planned, Waits};
    const ALL: &[Stage] = &[Stage::Disable, Stage::Scrub];
    let (header, _) = two_leavers().plan();
    let here = Some(Planned("w", "b01", Track::Retire, ALL));
    let waits = |reason| Some(Waits(reason, None));
    let cases = [
        (here, here, None),
        (here, Some(Planned("w", "b02", Track::Retire, ALL)), Some(Move::OtherBatch)),
        (here, Some(Planned("v", "b01", Track::Retire, ALL)), Some(Move::OtherWave)),
        (here, Some(Planned("w", "b01", Track::Finish, ALL)), Some(Move::OtherTrack)),
        (here, Some(Planned("w", "b01", Track::Retire, &[Stage::Disable])), Some(Move::OtherTrack)),
        (here, waits(Reason::Claimed), Some(Move::InHand)),
        (here, waits(Reason::Finished), Some(Move::Finished)),
        (here, waits(Reason::Orphan), Some(Move::NewlyBlocked)),
        (waits(Reason::Orphan), waits(Reason::Orphan), None),
        (waits(Reason::Orphan), Some(Waits(Reason::Orphan, Some("2027-01-01"))), Some(Move::OtherReason)),
        (waits(Reason::Claimed), waits(Reason::Finished), Some(Move::Finished)),
        (None, waits(Reason::Claimed), Some(Move::InHand)),
        (None, waits(Reason::Orphan), Some(Move::NewAndWaits)),
        (waits(Reason::Orphan), None, Some(Move::NoLongerKnown)),
        (None, None, None),
    ];
    for (number, (before, after, expected)) in cases.into_iter().enumerate() {
        let found = diff((&header.header, standing(before)), (&header.header, standing(after)));
        assert_eq!(found.subjects.first().map(|s| s.change), expected, "case {number}");
    }
    let gone = diff((&header.header, standing(here)), (&header.header, standing(None)));
    assert_eq!((&gone.subjects[0].entity, &gone.subjects[0].dn), (&Some("own".into()), &Some(shared("a"))), "as it was last");
    assert_eq!(gone.operations, BTreeMap::<Stage, OperationChange>::new());
}

#[test]
fn programs_and_people_have_a_name_for_each_move() {
    let moves = [
        Move::NewlyBlocked,
        Move::Gone,
        Move::NewlyPlanned,
        Move::OtherWave,
        Move::OtherTrack,
        Move::OtherBatch,
        Move::InHand,
        Move::Finished,
        Move::OtherReason,
        Move::NewAndWaits,
        Move::NoLongerKnown,
    ];
    for change in moves {
        assert_eq!(serde_json::to_value(change).unwrap(), change.as_str());
    }
    let words: BTreeSet<&str> = moves.iter().map(|change| change.words()).collect();
    assert!(words.len() == moves.len() && words.iter().all(|words| !words.is_empty()));
}
