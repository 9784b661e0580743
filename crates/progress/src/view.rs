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
    /// Writes a second, over the last few seconds.
    pub per_second: f64,
    /// Operations in flight.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Why the limit is what it is.
    pub why: String,
}

impl Speed {
    /// One line for a store, within 80 columns also after a time.
    pub fn line(&self, side: Side) -> String {
        let Self { per_second, in_flight, limit, why } = self;
        format!("{side}: {per_second:.0}/s, {in_flight} in flight, limit {limit} ({why})")
    }
}

/// A speed that was told longer ago is shown no more: nothing is written there now.
const TOLD: SignedDuration = SignedDuration::from_secs(10);

/// What a display knows.
#[derive(Clone, Debug, Default)]
pub struct View {
    summary: Summary,
    waiting: BTreeMap<BatchId, String>,
    speeds: BTreeMap<Side, (Timestamp, Speed)>,
    now: Option<Timestamp>,
    only: Option<WaveId>,
}

impl View {
    /// Goes on from a summary.
    pub fn new(summary: Summary) -> Self {
        Self { summary, ..Self::default() }
    }

    /// Takes an event in, seen at `now`.
    pub fn event(&mut self, event: &Event, now: Timestamp) {
        self.now = Some(now);
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
            Event::Rate { store, per_second, in_flight, limit, reason, .. } => {
                let speed = Speed { per_second: *per_second, in_flight: *in_flight, limit: *limit, why: reason.clone() };
                self.speeds.insert(*store, (now, speed));
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

    /// How fast each store is written to that is.
    pub fn speeds(&self) -> impl Iterator<Item = (Side, &Speed)> {
        let told = |at: Timestamp| self.now.is_none_or(|now| now.duration_since(at) <= TOLD);
        self.speeds.iter().filter(move |(_, (at, _))| told(*at)).map(|(side, (_, speed))| (*side, speed))
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
    fn a_store_that_is_written_to_has_a_line_with_its_pace_and_the_reason() {
        let mut view = View::default();
        let rate = |store, limit| Event::Rate {
            store,
            per_second: 1234.4,
            in_flight: 24,
            limit,
            ended: 10_000,
            reason: "latency rose".into(),
        };
        view.event(&rate(Side::Shared, 8), Timestamp::UNIX_EPOCH);
        view.event(&rate(Side::Independent, 64), Timestamp::from_second(11).unwrap());
        let lines: Vec<String> = view.speeds().map(|(side, speed)| speed.line(side)).collect();
        assert_eq!(lines, ["independent: 1234/s, 24 in flight, limit 64 (latency rose)"], "the other store is at rest");
        assert!(lines.iter().all(|line| line.len() + "2026-11-24T03:00:07Z ".len() <= 80));
    }
}
