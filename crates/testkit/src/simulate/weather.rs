//! What servers, network and other people do to a run, drawn from the seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use untether_directory::Failure;
use untether_directory::twin::{Fault, Faults, Identity, ReadAttempt, WriteAttempt};
use untether_model::Side;

use super::auditor::Auditor;
use super::others;
use crate::twins::World;

struct Sky {
    rng: ChaCha8Rng,
    counts: BTreeMap<String, u64>,
}

/// The weather of one simulation.
#[derive(Clone)]
pub(super) struct Weather {
    sky: Arc<Mutex<Sky>>,
    calm: Arc<AtomicBool>,
    violent: bool,
}

impl Weather {
    pub(super) fn new(seed: u64, violent: bool) -> Self {
        let sky = Sky { rng: ChaCha8Rng::seed_from_u64(seed), counts: BTreeMap::new() };
        Self { sky: Arc::new(Mutex::new(sky)), calm: Arc::default(), violent }
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more faults, and nobody else does anything.
    pub(super) fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.sky().counts.clone()
    }

    fn count(&self, what: String) {
        *self.sky().counts.entry(what).or_default() += 1;
    }

    /// From now on a world has this weather.
    pub(super) fn over(&self, world: &mut World, auditor: &Arc<Auditor>) {
        for side in Side::ALL {
            world.twin(side).set_faults(self.clone());
        }
        let (weather, auditor, inside) = (self.clone(), auditor.clone(), world.clone());
        world.set_pauses(move || weather.meanwhile(&inside, &auditor));
    }

    /// Between two operations of the engine. Tells how often others run before it goes on.
    fn meanwhile(&self, world: &World, auditor: &Auditor) -> u32 {
        let (lands, acts, pauses, mut rng) = {
            let mut sky = self.sky();
            let rng = ChaCha8Rng::seed_from_u64(sky.rng.random());
            (sky.rng.random_bool(0.3), sky.rng.random_bool(0.01), sky.rng.random_range(0..4), rng)
        };
        if lands {
            for side in Side::ALL {
                let landed = world.twin(side).land_late_writes();
                landed.iter().for_each(|l| self.count(format!("late write {}", if l.is_ok() { "applied" } else { "refused" })));
            }
        }
        if acts
            && !self.calm.load(Ordering::Relaxed)
            && let Some(deed) = others::act(world, auditor, &mut rng, self.violent)
        {
            self.count(format!("others: {deed}"));
        }
        pauses
    }
}

impl Faults for Weather {
    fn on_write(&self, write: &WriteAttempt<'_>) -> Fault {
        if write.identity == Identity::Root || self.calm.load(Ordering::Relaxed) {
            return Fault::Proceed;
        }
        let (fault, name) = match self.sky().rng.random_range(0..200) {
            0..3 => (Fault::LoseReply, "reply lost after the effect"),
            3..6 => (Fault::ApplyLater, "effect after the time-out"),
            6..8 => (Fault::Fail(Failure::Unknown), "request lost"),
            8..10 => (Fault::Fail(Failure::Busy), "busy"),
            10 => (Fault::Fail(Failure::Unreachable), "connection cut"),
            11 => (Fault::Fail(Failure::Refused), "refused"),
            _ => return Fault::Proceed,
        };
        self.count(format!("fault: write: {name}"));
        fault
    }

    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<Failure> {
        if read.identity == Identity::Root || self.calm.load(Ordering::Relaxed) {
            return None;
        }
        let (failure, name) = match self.sky().rng.random_range(0..1_000) {
            0..2 => (Failure::Unknown, "answer lost"),
            2..4 => (Failure::Busy, "limit or busy"),
            4 => (Failure::Unreachable, "unreachable"),
            _ => return None,
        };
        self.count(format!("fault: read: {name}"));
        Some(failure)
    }
}
