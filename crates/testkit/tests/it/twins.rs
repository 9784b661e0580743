//! The real planner, engine and journal on twins: a whole plan through every stage, and back from each stage to each earlier one.

use std::collections::BTreeMap;

use untether_cutover::{Rollback, Standstill};
use untether_directory::dump::{Difference, Ignored, compare};
use untether_model::operation::{Stage, Track};
use untether_model::plan::RollbackScope;
use untether_model::run::{Record, WaveStatus};
use untether_model::schema::Schema;
use untether_model::{Entry, Round, Side, WaveId};
use untether_planner::RollbackRequest;
use untether_testkit::twins::expect::{self, Progress};
use untether_testkit::twins::{Driven, Estate, Session, WAVES, World, touched};

/// Runs to its end without a clock and without threads.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A small world with a recorded plan, approved by two people through the last stage.
pub fn approved() -> (Session, BTreeMap<&'static str, WaveId>) {
    approved_in(&World::new(Estate::small().unwrap()).unwrap())
}

/// The same in a given world.
pub fn approved_in(world: &World) -> (Session, BTreeMap<&'static str, WaveId>) {
    let mut session = Session::open(world).unwrap();
    let plan = session.plan().unwrap();
    let waves: BTreeMap<&str, WaveId> = WAVES.iter().map(|(name, _)| (*name, WaveId::new(plan.clone(), *name))).collect();
    for wave in waves.values() {
        session.approve(wave, (Round::FIRST, Stage::Attest), 2).unwrap();
    }
    (session, waves)
}

fn stages(wave: &str) -> Vec<Stage> {
    let tracks = WAVES.iter().find(|(name, _)| *name == wave).unwrap().1;
    Stage::ALL.into_iter().filter(|s| tracks.iter().any(|t| t.has(*s))).collect()
}

/// Everybody of a wave as far as a stage.
fn progress(estate: &Estate, wave: &str, stage: Stage) -> Progress {
    estate.people.iter().filter(|p| p.wave() == Some(wave)).map(|p| (p.uid.clone(), stage)).collect()
}

fn assert_foretold(session: &Session, progress: &Progress, when: &str) {
    let found = expect::differences(&session.world().estate, progress, &session.world().dumps());
    assert!(found.is_empty(), "{when}:\n{}", lines(&found));
}

pub fn lines(found: &[Difference]) -> String {
    found.iter().map(|d| format!("  {d}\n")).collect()
}

async fn through(session: &mut Session, wave: &WaveId, stage: Option<Stage>) {
    match session.drive(wave, stage).await.unwrap() {
        Driven::Ended(ends) => {
            assert!(ends.ended.complete && ends.ended.parked.is_empty(), "{wave} through {stage:?}: {:?}", ends.ended);
        }
        Driven::Killed => panic!("nothing was armed"),
    }
}

fn whole_plan_in(estate: Estate) {
    block_on(async {
        let (mut session, waves) = approved_in(&World::new(estate).unwrap());
        let estate = session.world().estate.clone();
        assert_foretold(&session, &Progress::new(), "before anything");
        let mut done = Progress::new();
        for (name, _) in WAVES {
            for stage in stages(name) {
                through(&mut session, &waves[name], Some(stage)).await;
                done.extend(progress(&estate, name, stage));
                assert_foretold(&session, &done, &format!("wave {name} after {stage}"));
            }
            through(&mut session, &waves[name], None).await;
            assert!(session.is_through(&waves[name]), "{name}");
        }
        assert_eq!(session.folded().unwrap(), session.state);
        for person in &estate.people {
            if person.track == Some(Track::Migrate) {
                assert!(!session.world().handed.secrets(&person.subject()).is_empty(), "{} got no secret", person.uid);
            }
        }
    });
}

#[test]
fn a_whole_plan_runs_through_every_stage_and_leaves_what_each_stage_promises() {
    whole_plan_in(Estate::small().unwrap());
}

#[test]
fn a_store_that_returns_nothing_with_a_write_is_read_again() {
    whole_plan_in(Estate { reads_entries: false, ..Estate::small().unwrap() });
}

/// What a rollback of every batch of a wave to before a stage gives back, compared with both directories as they were.
async fn back(session: &mut Session, wave: &WaveId, to: Stage, before: &[Vec<Entry>; 2], delete: bool) -> Vec<Difference> {
    let estate = session.world().estate.clone();
    let request =
        RollbackRequest { scope: RollbackScope::Wave(wave.clone()), to, delete_provisioned: delete, enable_inactive: true };
    let order = session.rollback(&request).unwrap();
    let id = session.order(&order).unwrap();
    match session.roll_back(&id).await.unwrap() {
        Driven::Ended(Rollback::Done { conflicts, .. }) => assert!(conflicts.is_empty(), "{conflicts:?}"),
        other => panic!("{other:?}"),
    }
    let mut found = Vec::new();
    for (at, side) in Side::ALL.into_iter().enumerate() {
        let changed = touched(&order, side);
        // Members of groups that were written: the overlay names itself their modifier.
        let members: Vec<_> = before[at].iter().filter(|e| e.has("memberOf")).map(|e| e.dn.clone()).collect();
        // What people enrolled for themselves is theirs.
        let ignored =
            Ignored::openldap(estate.suffix(side), &changed, &changed).on(&members, ["modifiersName"]).everywhere(["labFactor"]);
        found.extend(compare(&before[at], &session.world().twin(side).dump(), &Schema::standard(), &ignored));
    }
    found
}

/// What was rolled back is done again in the next round, once that is approved, and not before.
async fn again(session: &mut Session, wave: &WaveId, stages: &[Stage]) {
    let before = session.world().dumps();
    let Driven::Ended(ends) = session.drive(wave, None).await.unwrap() else { panic!("nothing was armed") };
    assert!(!ends.ended.complete && ends.ended.halted, "{ends:?}");
    let batches = session.state.waves()[wave].batches.clone();
    for batch in &batches {
        session.record(&Record::Resumed { batch: Some(batch.clone()), by: "on-call".into(), reason: "again".into() }).unwrap();
    }
    let Driven::Ended(ends) = session.drive(wave, None).await.unwrap() else { panic!("nothing was armed") };
    assert!(ends.ended.standstills.iter().any(|s| matches!(s, Standstill::Approval { .. })), "{ends:?}");
    assert_eq!(before, session.world().dumps(), "something was done in a round that nobody approved");
    session.approve(wave, (Round::FIRST.next(), Stage::Attest), 2).unwrap();
    through(session, wave, None).await;
    let estate = session.world().estate.clone();
    assert_foretold(session, &progress(&estate, &wave.wave, *stages.last().unwrap()), "in the second round");
    assert!(session.is_through(wave));
    assert_eq!(session.folded().unwrap(), session.state);
}

#[test]
fn a_rollback_from_each_stage_to_each_earlier_one_leaves_both_stores_as_before() {
    block_on(async {
        let mut bad = Vec::new();
        let mut pairs = 0;
        for (name, _) in WAVES {
            let all = stages(name);
            for (s, from) in all.iter().enumerate() {
                for to in &all[..=s] {
                    let (mut session, waves) = approved();
                    let wave = &waves[name];
                    if let Some(earlier) = all.iter().rev().find(|stage| **stage < *to) {
                        through(&mut session, wave, Some(*earlier)).await;
                    }
                    let before = session.world().dumps();
                    through(&mut session, wave, Some(*from)).await;
                    if session
                        .rollback(&RollbackRequest {
                            scope: RollbackScope::Wave(wave.clone()),
                            to: *to,
                            delete_provisioned: true,
                            enable_inactive: true,
                        })
                        .is_err()
                    {
                        assert!(matches!(to, Stage::Soak | Stage::Attest), "{name}: {from} -> {to}");
                        continue;
                    }
                    pairs += 1;
                    let found = back(&mut session, wave, *to, &before, true).await;
                    if !found.is_empty() {
                        bad.push(format!("{name}: {from} back to before {to}:\n{}", lines(&found)));
                    }
                    assert!(session.state.waves()[wave].status == WaveStatus::Running, "{name}: {from} -> {to}");
                    again(&mut session, wave, &stages(name)).await;
                    let rounds = session.state.batches().values().filter(|b| b.round == Round::FIRST.next()).count();
                    assert_eq!(rounds, session.state.waves()[wave].batches.len(), "{name}: {from} -> {to}");
                }
            }
        }
        assert!(bad.is_empty(), "{} of {pairs}\n{}", bad.len(), bad.join("\n"));
        assert_eq!(pairs, 13 + 34);
    });
}
