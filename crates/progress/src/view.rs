//! What a display shows, computed from events: one line a wave, one a running batch, the speed of each store, and what is waited
//! for. Pure, so that it is tested without a terminal.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use untether_model::event::Event;
use untether_model::operation::Stage;
use untether_model::run::{BatchSummary, Summary};
use untether_model::{BatchId, Side, WaveId};

/// Batches that get a line of their own.
pub const SHOWN_BATCHES: usize = 8;

/// One running batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine {
    /// The batch.
    pub batch: BatchId,
    /// The stage that it is in, or ended last.
    pub stage: Option<Stage>,
    /// Cells of the stage that ended.
    pub done: u64,
    /// Cells of the stage.
    pub total: u64,
    /// In words: parked, failed, halted, waiting.
    pub remarks: String,
}

/// One wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveLine {
    /// The wave.
    pub wave: WaveId,
    /// Stages that its batches have ended.
    pub done: u64,
    /// Stages of all its batches, as far as they are known.
    pub total: u64,
    /// In words.
    pub remarks: String,
}

/// How fast a store is written to.
#[derive(Clone, Debug, PartialEq)]
pub struct Speed {
    /// Operations a second, over the last ten seconds or less.
    pub per_second: f64,
    /// Operations in flight.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Why the limit is what it is.
    pub why: String,
}

/// What was told of a store's rate within the last seconds.
#[derive(Clone, Debug, Default)]
struct Rate {
    /// When, and how many operations had ended by then.
    seen: Vec<(Timestamp, u64)>,
    in_flight: u32,
    limit: u32,
    why: String,
}

/// What a display knows.
#[derive(Clone, Debug, Default)]
pub struct View {
    summary: Summary,
    waiting: BTreeMap<BatchId, String>,
    rates: BTreeMap<Side, Rate>,
    only: Option<WaveId>,
}

impl View {
    /// Goes on from a summary.
    pub fn new(summary: Summary) -> Self {
        Self { summary, ..Self::default() }
    }

    /// Takes an event in, seen at `now`.
    pub fn event(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::Step { seq, at, record } => {
                self.summary.fold(*seq, *at, record);
                match record.as_ref() {
                    untether_model::run::Record::StageStarted { batch, .. } => {
                        self.waiting.remove(batch);
                        self.only = Some(batch.wave.clone());
                    }
                    untether_model::run::Record::WaveStarted { wave, .. } => self.only = Some(wave.clone()),
                    _ => {}
                }
            }
            Event::Rate { store, in_flight, limit, ended, reason } => {
                let rate = self.rates.entry(*store).or_default();
                rate.seen.push((now, *ended));
                rate.seen.retain(|(at, _)| now.duration_since(*at) <= SignedDuration::from_secs(10));
                (rate.in_flight, rate.limit, rate.why) = (*in_flight, *limit, reason.clone());
            }
            Event::Witness { .. } => {}
            Event::Waiting { batch, reason, .. } => drop(self.waiting.insert(batch.clone(), reason.clone())),
            Event::Collected { .. } => {}
        }
    }

    /// The counts.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The wave that moved last, or all waves that run.
    pub fn waves(&self) -> Vec<WaveLine> {
        let shown =
            self.summary.waves.iter().filter(|(id, w)| self.only.as_ref().map_or(w.status == "running", |only| only == *id));
        shown
            .map(|(id, wave)| {
                let stages = u64::try_from(Stage::ALL.len()).unwrap_or(8);
                let all = u64::try_from(wave.batches.len()).unwrap_or(u64::MAX);
                let done = wave.batches.values().map(ended_stages).sum();
                let parked: u64 = wave.batches.values().map(|b| b.parked).sum();
                let subjects: u64 = wave.batches.values().map(|b| b.subjects).sum();
                let mut remarks = format!("{subjects} subjects in {all} batches");
                if parked > 0 {
                    remarks.push_str(&format!(", {parked} parked"));
                }
                WaveLine { wave: id.clone(), done, total: all * stages, remarks }
            })
            .collect()
    }

    /// The batches that are in a stage, at most eight, and how many more there are.
    pub fn batches(&self) -> (Vec<BatchLine>, usize) {
        let mut lines = Vec::new();
        let mut more = 0;
        for (wave, w) in &self.summary.waves {
            for (name, batch) in w.batches.iter().filter(|(_, b)| b.current.is_some()) {
                if lines.len() == SHOWN_BATCHES {
                    more += 1;
                    continue;
                }
                let id = BatchId::new(wave.clone(), name.as_str());
                let remarks = self.remarks(&id, batch);
                lines.push(BatchLine {
                    batch: id,
                    stage: batch.current,
                    done: batch.done.min(batch.operations),
                    total: batch.operations,
                    remarks,
                });
            }
        }
        (lines, more)
    }

    fn remarks(&self, id: &BatchId, batch: &BatchSummary) -> String {
        let mut remarks = Vec::new();
        for (count, what) in [(batch.parked, "parked"), (batch.failed, "failed")] {
            if count > 0 {
                remarks.push(format!("{count} {what}"));
            }
        }
        if let Some(reason) = &batch.halted {
            remarks.push(format!("HALTED: {reason}"));
        }
        if let Some(reason) = self.waiting.get(id) {
            remarks.push(format!("waits: {reason}"));
        }
        remarks.join(", ")
    }

    /// How fast each store is written to.
    pub fn speeds(&self) -> Vec<(Side, Speed)> {
        self.rates
            .iter()
            .map(|(side, rate)| {
                let per_second = match (rate.seen.first(), rate.seen.last()) {
                    (Some((from, first)), Some((to, last))) => {
                        let seconds = to.duration_since(*from).as_secs_f64();
                        let count = last.saturating_sub(*first);
                        // Counts within ten seconds are far below 2^52.
                        #[expect(clippy::cast_precision_loss, reason = "counts within ten seconds are small")]
                        let count = count as f64;
                        if seconds > 0.0 { count / seconds } else { 0.0 }
                    }
                    _ => 0.0,
                };
                (*side, Speed { per_second, in_flight: rate.in_flight, limit: rate.limit, why: rate.why.clone() })
            })
            .collect()
    }
}

fn ended_stages(batch: &BatchSummary) -> u64 {
    let ended = batch.ended.map_or(0, |ended| Stage::ALL.iter().filter(|s| **s <= ended).count());
    u64::try_from(ended).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use untether_model::run::{Record, WaveClaim};
    use untether_model::{PlanId, Round};

    use super::*;

    fn step(seq: u64, record: Record) -> Event {
        Event::Step { seq, at: Timestamp::UNIX_EPOCH, record: Box::new(record) }
    }

    #[test]
    fn running_batches_are_shown_up_to_a_bound_with_what_they_wait_for() {
        let wave = WaveId::new(PlanId::new("p"), "w");
        let claims = (0..10).map(|n| WaveClaim { batch: format!("b{n:02}"), canary: n == 0, subjects: Vec::new() }).collect();
        let mut view = View::default();
        let digest = untether_model::digest::Digest::of(b"");
        view.event(
            &step(1, Record::WaveStarted { wave: wave.clone(), digest, claims, failure_tolerance: 0 }),
            Timestamp::UNIX_EPOCH,
        );
        for n in 0..10u64 {
            let batch = BatchId::new(wave.clone(), format!("b{n:02}"));
            let started = Record::StageStarted { batch, stage: Stage::Disable, round: Round::FIRST, operations: 5 };
            view.event(&step(2 + n, started), Timestamp::UNIX_EPOCH);
        }
        let batch = BatchId::new(wave, "b00");
        view.event(&Event::Waiting { batch, stage: Stage::Disable, reason: "gate mfa".into() }, Timestamp::UNIX_EPOCH);
        let (lines, more) = view.batches();
        assert_eq!((lines.len(), more), (SHOWN_BATCHES, 2));
        assert_eq!(lines.first().unwrap().remarks, "waits: gate mfa");
        assert_eq!(lines.first().unwrap().total, 5);
    }

    #[test]
    fn the_rate_is_counted_over_the_last_seconds() {
        let mut view = View::default();
        for second in 0..30i64 {
            let now = Timestamp::from_second(second).unwrap();
            let ended = u64::try_from(second).unwrap() * 100;
            let rate = Event::Rate { store: Side::Shared, in_flight: 3, limit: 8, ended, reason: "probing".into() };
            view.event(&rate, now);
        }
        let speeds = view.speeds();
        let (_, speed) = speeds.first().unwrap();
        assert!((speed.per_second - 100.0).abs() < 1.0, "{speed:?}");
    }
}
