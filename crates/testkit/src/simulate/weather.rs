//! What servers, network and other people do to a run, drawn from the seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use untether_directory::Failure;
use untether_directory::twin::{Fault, Faults, Identity, ReadAttempt, ReadFault, WriteAttempt};
use untether_model::Side;

use super::auditor::Auditor;
use super::others;
use crate::twins::World;

// Result codes of RFC 4511, appendix A.
const SIZE_LIMIT: u32 = 4;
const REFERRAL: u32 = 10;
const ADMIN_LIMIT: u32 = 11;
const UNAVAILABLE: u32 = 52;
const OBJECT_CLASS_VIOLATION: u32 = 65;

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
        let (lands, acts, slow, mut pauses, mut rng) = {
            let mut sky = self.sky();
            let rng = ChaCha8Rng::seed_from_u64(sky.rng.random());
            let slow = sky.rng.random_bool(0.002);
            (sky.rng.random_bool(0.3), sky.rng.random_bool(0.02), slow, sky.rng.random_range(0..4), rng)
        };
        if slow && !self.calm.load(Ordering::Relaxed) {
            world.clock.advance(SignedDuration::from_secs(rng.random_range(1..90)));
            pauses += 20;
            self.count("fault: slow answer".to_owned());
        }
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
        let (fault, name) = match self.sky().rng.random_range(0..400) {
            0..6 => (Fault::LoseReply, "reply lost after the effect"),
            6..12 => (Fault::ApplyLater, "effect after the time-out"),
            12..16 => (Fault::Fail(Failure::Unknown), "request lost"),
            16..19 => (Fault::Fail(Failure::Busy), "busy"),
            19 => (Fault::Refuse(UNAVAILABLE), "unavailable"),
            20..22 => (Fault::Fail(Failure::Unreachable), "connection cut"),
            22 => (Fault::Fail(Failure::Refused), "refused"),
            23 => (Fault::Refuse(REFERRAL), "referral"),
            24 => (Fault::Refuse(OBJECT_CLASS_VIOLATION), "refused by the schema"),
            25 => (Fault::Refuse(ADMIN_LIMIT), "limit"),
            _ => return Fault::Proceed,
        };
        self.count(format!("fault: write: {name}"));
        fault
    }

    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<ReadFault> {
        if read.identity == Identity::Root || self.calm.load(Ordering::Relaxed) {
            return None;
        }
        let (fault, name) = match self.sky().rng.random_range(0..2_000) {
            0..3 => (ReadFault::Fail(Failure::Unknown), "answer lost"),
            3..5 => (ReadFault::Fail(Failure::Busy), "busy"),
            5 => (ReadFault::Refuse(UNAVAILABLE), "unavailable"),
            6 => (ReadFault::Refuse(SIZE_LIMIT), "size limit"),
            7 => (ReadFault::Fail(Failure::Unreachable), "unreachable"),
            8 => (ReadFault::Refuse(REFERRAL), "referral"),
            _ => return None,
        };
        self.count(format!("fault: read: {name}"));
        Some(fault)
    }
}
