//! Seeded simulation: a random organization, a random plan, operators' commands in any order, faults, kills, and other people who
//! change the stores meanwhile; the invariants are checked after each event.
//!
//! One thread, a virtual clock, and every choice from the seed: a seed that fails fails again in the same way.

mod auditor;
mod commands;
mod desk;
mod kinds;
mod logins;
mod others;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::twins::{Estate, Point, Session, Shape, Trouble, World};
use auditor::Auditor;
use desk::Desk;
use weather::Weather;

/// What a seed saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Counts of commands, faults, deeds of others, outcomes and ends, by kind.
    pub counts: BTreeMap<String, u64>,
    /// Boundaries of the protocol at which something was killed.
    pub points: BTreeSet<Point>,
}

impl Report {
    /// Takes another seed's counts in.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
        self.points.extend(other.points.iter().cloned());
    }

    /// What so many seeds should have met and did not; nothing where they are too few to tell.
    #[must_use]
    pub fn missing(&self, seeds: u64) -> Vec<&'static str> {
        if seeds < kinds::ENOUGH {
            return Vec::new();
        }
        kinds::KINDS.into_iter().filter(|kind| !self.counts.contains_key(*kind)).collect()
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }
}

/// A seed that broke an invariant.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub what: Vec<String>,
    /// The commands until then.
    pub history: Vec<String>,
    /// The last records.
    pub trail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} failed:", self.seed)?;
        for what in &self.what {
            writeln!(f, "  {what}")?;
        }
        writeln!(f, "after:")?;
        self.history.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "the last records:")?;
        self.trail.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// One simulation on its way.
struct Simulation {
    session: Session,
    world: World,
    auditor: Arc<Auditor>,
    weather: Weather,
    rng: ChaCha8Rng,
    report: Report,
    history: Vec<String>,
    /// Others delete entries and reset passwords too.
    violent: bool,
    /// Where one-time credentials are handed out; `None`: by runs alone.
    desk: Option<Desk>,
}

/// Runs one seed.
///
/// # Errors
/// The invariants that it broke.
pub fn run(seed: u64) -> Result<Report, Box<Failure>> {
    run_with(seed, true)
}

/// Runs one seed in which nobody issues credentials again or lets them expire.
///
/// # Errors
/// The invariants that it broke.
pub fn run_without_desk(seed: u64) -> Result<Report, Box<Failure>> {
    run_with(seed, false)
}

fn run_with(seed: u64, desk: bool) -> Result<Report, Box<Failure>> {
    let failure = |what: String, history: Vec<String>| Box::new(Failure { seed, what: vec![what], history, trail: vec![] });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|e| failure(e.to_string(), vec![]))?;
    let mut simulation = Simulation::new(seed, desk).map_err(|e| failure(e.to_string(), vec![]))?;
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(simulation.live())));
    let ended = ended.unwrap_or_else(|_| Err(Trouble::new("it panicked")));
    let mut what = simulation.auditor.violations();
    let trail = simulation.auditor.trail();
    simulation.auditor.leave();
    if let Err(error) = ended {
        what.push(error.to_string());
    }
    if what.is_empty() {
        return Ok(simulation.finish());
    }
    Err(Box::new(Failure { seed, what, history: simulation.history, trail }))
}

impl Simulation {
    fn new(seed: u64, desk: bool) -> Result<Self, Trouble> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = Shape {
            people: rng.random_range(5..20),
            groups: rng.random_range(1..4),
            canary: rng.random_range(1..4),
            batch: rng.random_range(1..6),
            manage: rng.random_bool(0.8),
        };
        let violent = rng.random_bool(0.4);
        let mut estate = Estate::random(shape, rng.random())?;
        for wave in &mut estate.policy.waves {
            wave.failure_tolerance = Some(rng.random_range(0..6));
            let thresholds = wave.thresholds.get_or_insert_default();
            thresholds.max_disabled = rng.random_bool(0.1).then(|| rng.random_range(1..6));
            thresholds.max_changed = rng.random_bool(0.05).then(|| rng.random_range(5..30));
            thresholds.max_removed = rng.random_bool(0.05).then(|| rng.random_range(1..6));
        }
        let mut world = World::new(estate)?;
        let auditor = Auditor::new();
        let weather = Weather::new(rng.random(), violent);
        weather.over(&mut world, &auditor);
        auditor.watch(&mut world);
        let session = Session::open(&world)?;
        let desk = desk.then(|| Desk::open(&world, seed));
        Ok(Self { session, world, auditor, weather, rng, report: Report::default(), history: Vec::new(), violent, desk })
    }

    fn finish(mut self) -> Report {
        for (kind, count) in self.auditor.kinds() {
            *self.report.counts.entry(format!("event: {kind}")).or_default() += count;
        }
        for (kind, count) in self.weather.counts() {
            *self.report.counts.entry(kind).or_default() += count;
        }
        self.report
    }
}

/// Runs seeds from `first` on two threads; calls back after each one. Stops at the first that fails, in the order of the seeds.
pub fn run_many(first: u64, count: u64, threads: usize, each: &(dyn Fn(u64) + Sync)) -> Result<Report, Box<Failure>> {
    let next = std::sync::atomic::AtomicU64::new(first);
    let failed: Mutex<Option<Box<Failure>>> = Mutex::new(None);
    let total: Mutex<Report> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let slot = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let stop = slot.as_ref().is_some_and(|f| f.seed < seed);
                    if seed >= first.saturating_add(count) || stop {
                        return;
                    }
                    drop(slot);
                    match run(seed) {
                        Ok(report) => total.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&report),
                        Err(failure) => {
                            let mut slot = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                            if slot.as_ref().is_none_or(|f| failure.seed < f.seed) {
                                *slot = Some(failure);
                            }
                        }
                    }
                    each(seed);
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
    }
}
