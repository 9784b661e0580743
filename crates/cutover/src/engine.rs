//! Runs a wave: batches through their stages, the canary first, with barriers, gates, parking and the failure policy.
//!
//! Everything that can be done is done; what then is left waiting is told as [`Standstill`]s. The engine keeps no memory of its
//! own: where a batch stands is read from the recorder's state, so that running again resumes.

mod batch;
mod look;
mod preflight;
mod references;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::watch;
use untether_model::event::Event;
use untether_model::operation::{Phase, Stage};
use untether_model::plan::{PlanHeader, Wave};
use untether_model::run::{Record, WaveStatus, unfinished_order};
use untether_model::{BatchId, Side, SubjectId};

pub use self::stage::PROTECTED_GROUP;
use crate::error::CutoverError;
use crate::execute::Executor;
use crate::pace::Pace;
use crate::ports::{Ports, Roster};
use crate::recorder::Recorder;

/// What the person in front of the terminal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Start nothing new; what is in flight ends.
    Clean,
}

/// How far and how long a run goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The last stage; all stages where absent.
    pub through: Option<Stage>,
    /// How long it waits for gates and times before it comes back.
    pub wait: jiff::SignedDuration,
    /// Asks it to stop.
    pub stop: watch::Receiver<Stop>,
}

/// Why something does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standstill {
    /// Only time, or a gate, is waited for.
    Waiting {
        /// The batch.
        batch: BatchId,
        /// The stage that it waits before or in.
        stage: Stage,
        /// For what.
        reason: String,
        /// Until when, where that is known.
        until: Option<Timestamp>,
    },
    /// People must approve first.
    Approval {
        /// The batch.
        batch: BatchId,
        /// The stage.
        stage: Stage,
        /// What is missing, in words.
        reason: String,
    },
    /// The batch is halted.
    Halted {
        /// The batch.
        batch: BatchId,
        /// Why.
        reason: String,
    },
    /// The whole engine is paused.
    Paused {
        /// Why.
        reason: String,
    },
    /// The plan must not be run as things are: nothing was changed.
    Refused {
        /// Why, with the list of what is wrong.
        reason: String,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Nothing is left to do in the wave (or up to the asked stage).
    pub complete: bool,
    /// The person asked it to stop.
    pub stopped: bool,
    /// What does not go on, and why.
    pub standstills: Vec<Standstill>,
    /// Subjects that are parked, by reason.
    pub parked: BTreeMap<&'static str, u64>,
    /// Of these, in conflict: a person must decide.
    pub conflicts: u64,
    /// Failures are above what a batch tolerates somewhere.
    pub halted: bool,
}

/// Somebody whose credential did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The subject.
    pub subject: SubjectId,
    /// Why, in words.
    pub words: String,
    /// Since when it is tried.
    pub since: Timestamp,
}

/// What deliveries came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// People who got theirs now.
    pub delivered: u64,
    /// People who did not.
    pub undelivered: Vec<Undelivered>,
}

/// Runs waves and other orders.
pub struct Engine {
    pub(crate) executor: Executor,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) ports: Ports,
    pub(crate) ceiling: u32,
    /// When it was made.
    pub(crate) begun: Timestamp,
    /// Batches whose driver came back in this pass: whoever waits for them must not wait for ever.
    pub(crate) idle: Mutex<BTreeSet<BatchId>>,
    /// Phases that batches have ended in this pass.
    past: Mutex<BTreeSet<(BatchId, Stage, Phase)>>,
    paces: BTreeMap<Side, Pace>,
}

/// Most operations in flight in a store, unless configured lower.
pub const DEFAULT_CEILING: u32 = 64;

impl Engine {
    /// An engine over these ports, with at most `ceiling` operations in flight in each store.
    pub fn new(ports: Ports, ceiling: u32) -> Self {
        let recorder = ports.recorder.clone();
        let executor = Executor::new(ports.clone(), ceiling);
        let throttle = recorder.look(|state| state.general().throttle);
        for side in Side::ALL {
            executor.throttle(side).set_operator(throttle);
        }
        let paces = Side::ALL.into_iter().map(|side| (side, Pace::default())).collect();
        let (idle, past) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
        let begun = ports.time.now();
        Self { executor, recorder, ports, ceiling, begun, idle, past, paces }
    }

    /// The recorder, for looking at the state and for records of people's decisions.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Runs a wave as far as it goes.
    pub async fn run(&self, header: &PlanHeader, wave: &Wave, options: &RunOptions) -> Result<Ended, CutoverError> {
        if let Some(refused) = self.preflight(header, wave).await? {
            return Ok(self.ended(wave, options, vec![refused]));
        }
        let give_up = self.ports.time.now().checked_add(options.wait).unwrap_or_else(|_| self.ports.time.now());
        self.look_after_soaking(wave).await?;
        loop {
            let standstills = self.pass(wave, options).await?;
            self.end_wave(wave).await?;
            let ended = self.ended(wave, options, standstills);
            let next = next_look(&ended, self.ports.time.now(), give_up);
            match next {
                Some(until) if !ended.stopped && !ended.complete => {
                    for standstill in &ended.standstills {
                        self.announce(standstill);
                    }
                    let mut stop = options.stop.clone();
                    tokio::select! {
                        biased;
                        _ = stop.wait_for(|s| *s != Stop::No) => {}
                        () = self.ports.time.sleep_until(until) => {}
                    }
                }
                _ => return Ok(ended),
            }
        }
    }

    /// One pass over all batches, concurrently. An error lets the other batches end what is in flight first.
    async fn pass(&self, wave: &Wave, options: &RunOptions) -> Result<Vec<Standstill>, CutoverError> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.past.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut drivers: FuturesUnordered<_> = wave
            .batches
            .iter()
            .map(|batch| async move {
                let id = wave.batch_id(&batch.name);
                let ended = self.drive(wave, batch, options).await;
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                self.recorder.nudge();
                ended
            })
            .collect();
        let mut standstills = Vec::new();
        let mut failed = None;
        while let Some(ended) = drivers.next().await {
            match ended {
                Ok(found) => standstills.extend(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                self.take_up_deferred(wave, options).await?;
                Ok(standstills)
            }
        }
    }

    /// A soak is long: whoever comes back to one looks at its people before it goes on.
    async fn look_after_soaking(&self, wave: &Wave) -> Result<(), CutoverError> {
        for batch in &wave.batches {
            let id = wave.batch_id(&batch.name);
            let soaks = self.recorder.look(|state| {
                let soaks = state.batches().get(&id).is_some_and(|b| b.current == Some(Stage::Soak));
                soaks && unfinished_order(state, &id).is_none()
            });
            if soaks {
                self.look_after(wave, &batch.name, Stage::Soak, &self.unparked(&id, batch)).await?;
            }
        }
        Ok(())
    }

    async fn end_wave(&self, wave: &Wave) -> Result<(), CutoverError> {
        let over = self.recorder.look(|state| {
            let running = state.waves().get(&wave.id).is_some_and(|w| w.status == WaveStatus::Running);
            let done = wave.batches.iter().all(|batch| {
                let id = wave.batch_id(&batch.name);
                let ended = state.batches().get(&id).is_some_and(|b| b.is_finished());
                ended
                    && batch.subjects.iter().all(|s| {
                        state.subjects().get(&s.id).is_none_or(|s| s.batch != id || s.parked.is_some() || s.is_finished())
                    })
            });
            running && done
        });
        if over {
            self.recorder.record(Record::WaveEnded { wave: wave.id.clone() }).await?;
        }
        Ok(())
    }

    fn ended(&self, wave: &Wave, options: &RunOptions, standstills: Vec<Standstill>) -> Ended {
        let stopped = *options.stop.borrow() != Stop::No;
        self.recorder.look(|state| {
            let mut parked = BTreeMap::new();
            let mut conflicts = 0;
            let mut left = false;
            let mut halted = false;
            for batch in &wave.batches {
                let id = wave.batch_id(&batch.name);
                match state.batches().get(&id) {
                    Some(found) => {
                        let reached =
                            options.through.is_some_and(|t| found.current.is_none() && found.next_stage().is_none_or(|n| n > t));
                        left |= !(found.is_finished() || reached);
                        halted |= found.halted.is_some();
                    }
                    None => left = true,
                }
                for subject in &batch.subjects {
                    let Some(found) = state.subjects().get(&subject.id).filter(|s| s.batch == id) else { continue };
                    // Whoever catches up alone is behind its batch.
                    let next = found.next_stage().filter(|next| options.through.is_none_or(|through| *next <= through));
                    left |= found.claimed && found.parked.is_none() && next.is_some();
                    if let Some(why) = &found.parked {
                        *parked.entry(why.reason.as_str()).or_insert(0) += 1;
                        conflicts += u64::from(why.reason == untether_model::run::ParkReason::Conflict);
                    }
                }
            }
            Ended { complete: !left, stopped, standstills, parked, conflicts, halted }
        })
    }

    /// The roster, read again and recorded where what was read is too old; `None` for orders that need none.
    pub(crate) async fn roster_as_of(&self, now: Timestamp) -> Result<Option<&dyn Roster>, CutoverError> {
        let Some(roster) = self.ports.roster.as_deref() else { return Ok(None) };
        let read = roster.refresh(now).await?;
        if read.fresh {
            let record = Record::RosterRead { digest: read.digest, rows: read.rows, modified: read.modified };
            self.recorder.record(record).await?;
        }
        Ok(Some(roster))
    }

    fn announce(&self, standstill: &Standstill) {
        if let Standstill::Waiting { batch, stage, reason, .. } = standstill {
            self.recorder.tell(Event::Waiting { batch: batch.clone(), stage: *stage, reason: reason.clone() });
        }
    }

    /// Tells how fast a store is being written to, a few times a second.
    pub(crate) fn tell_rate(&self, side: Side) {
        let gauge = self.executor.throttle(side).gauge();
        let Some(per_second) = self.paces.get(&side).and_then(|pace| pace.tell(self.ports.time.mono(), gauge.ended)) else {
            return;
        };
        self.recorder.tell(Event::Rate {
            store: side,
            per_second,
            in_flight: gauge.in_flight,
            limit: gauge.limit,
            ended: gauge.ended,
            reason: gauge.why.as_str().to_owned(),
        });
    }

    /// Operations of a batch that are under way or wait for their turn.
    pub(crate) fn width(&self) -> usize {
        usize::try_from(self.ceiling).unwrap_or(64).max(1) * 2
    }

    pub(crate) fn is_idle(&self, batch: &BatchId) -> bool {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).contains(batch)
    }
}

/// When it is worth looking again: at the next known time, else after half a minute; never after `give_up`, and never where
/// something else than time and gates is in the way.
fn next_look(ended: &Ended, now: Timestamp, give_up: Timestamp) -> Option<Timestamp> {
    if now >= give_up || ended.standstills.is_empty() {
        return None;
    }
    let mut next: Option<Timestamp> = None;
    for standstill in &ended.standstills {
        let Standstill::Waiting { until, .. } = standstill else { continue };
        let half_a_minute = now.checked_add(jiff::SignedDuration::from_secs(30)).unwrap_or(give_up);
        let at = until.map_or(half_a_minute, |until| until.min(half_a_minute));
        next = Some(next.map_or(at, |n: Timestamp| n.min(at)));
    }
    next.map(|at| at.min(give_up))
}
