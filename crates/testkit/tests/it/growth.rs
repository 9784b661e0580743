//! What a run costs must not grow faster than the number of subjects. Counted, not timed, so that the answer is the same on any
//! machine: operations sent to the servers, records, bytes of the ledger, allocations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allocation_counter::measure;
use untether_model::operation::Stage;
use untether_model::{Round, WaveId};
use untether_testkit::twins::{Driven, Estate, Session, Shape, World};

use crate::twins::block_on;

/// What a plan and the run of its wave cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    subjects: u64,
    operations: u64,
    records: u64,
    ledger_bytes: u64,
    allocations_planning: u64,
    allocations_running: u64,
    allocations_opening: u64,
}

/// Plans for so many people, and moves those of the larger wave to new accounts. The batches are a tenth of all, so that what is done
/// for a whole batch with each operation shows.
fn cost(people: usize) -> Cost {
    let shape = Shape { people, groups: 4, canary: 5, batch: u32::try_from(people / 10).unwrap(), manage: true };
    let mut world = World::new(Estate::random(shape, 11).unwrap()).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    // Asked before each question and each write, and once more after a write.
    world.set_pauses(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        0
    });
    let mut session = Session::open(&world).unwrap();
    let mut wave = None;
    let planning = measure(|| wave = Some(WaveId::new(session.plan().unwrap(), "move")));
    let wave = wave.unwrap();
    session.approve(&wave, (Round::FIRST, Stage::Switch), 1).unwrap();
    asked.store(0, Ordering::Relaxed);
    let running = measure(|| {
        let driven = block_on(session.drive(&wave, Some(Stage::Switch))).unwrap();
        let Driven::Ended(ends) = driven else { panic!("nothing was armed") };
        assert!(ends.ended.complete && ends.ended.conflicts == 0, "{:?}", ends.ended);
    });
    let operations = asked.load(Ordering::Relaxed);
    let subjects = session.state.subjects().len() as u64;
    let (mut records, mut ledger_bytes) = (0, 0);
    session
        .each(|_, _, record| {
            records += 1;
            ledger_bytes += serde_json::to_vec(&record).unwrap().len() as u64;
            Ok(())
        })
        .unwrap();
    drop(session);
    let opening = measure(|| drop(Session::open(&world).unwrap()));
    Cost {
        subjects,
        operations,
        records,
        ledger_bytes,
        allocations_planning: planning.count_total,
        allocations_running: running.count_total,
        allocations_opening: opening.count_total,
    }
}

/// Ten times the people may cost this many times as much: a tenth is left for trees that are deeper and lists that have grown once more.
const AT_MOST: f64 = 11.0;

/// What is counted: its name, and its number.
type Counted = (&'static str, fn(&Cost) -> u64);

#[test]
fn ten_times_the_people_cost_ten_times_as_much() {
    let (few, many) = (cost(1_000), cost(10_000));
    let times = |of: fn(&Cost) -> u64| of(&many) as f64 / of(&few) as f64;
    assert!(times(|c| c.subjects) > 9.0, "{few:?} {many:?}");
    // The random people are not exactly ten times as many of each kind.
    let subjects = times(|c| c.subjects) / 10.0;
    let counted: [Counted; 6] = [
        ("operations", |c| c.operations),
        ("records", |c| c.records),
        ("bytes of the ledger", |c| c.ledger_bytes),
        ("allocations of a plan", |c| c.allocations_planning),
        ("allocations of a run", |c| c.allocations_running),
        ("allocations of opening the state", |c| c.allocations_opening),
    ];
    let over: Vec<String> = counted
        .into_iter()
        .map(|(what, of)| (what, times(of) / subjects))
        .filter(|(_, times)| *times > AT_MOST)
        .map(|(what, times)| format!("{what}: {times:.1} times as many"))
        .collect();
    assert!(over.is_empty(), "{over:?}\n1,000 people: {few:?}\n10,000 people: {many:?}");
}
