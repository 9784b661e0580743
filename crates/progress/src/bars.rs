//! Bars for a terminal (indicatif).

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use untether_model::event::Event;
use untether_model::run::Record;
use untether_model::{BatchId, Side};

use crate::view::View;

/// A person sees no more than so many changes a second; operations are more than that.
const REDRAWN: SignedDuration = SignedDuration::from_millis(100);

/// Bars on a terminal: one line a wave, one a running batch, one for the speed of each store.
pub struct Bars {
    view: View,
    multi: MultiProgress,
    waves: BTreeMap<String, ProgressBar>,
    batches: BTreeMap<BatchId, ProgressBar>,
    speeds: BTreeMap<Side, ProgressBar>,
    more: ProgressBar,
    drawn: Option<Timestamp>,
}

impl Bars {
    /// Draws on this target.
    pub fn new(view: View, target: ProgressDrawTarget) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let more = multi.add(ProgressBar::new_spinner());
        more.set_style(style("{spinner} {msg}"));
        Self { view, multi, waves: BTreeMap::new(), batches: BTreeMap::new(), speeds: BTreeMap::new(), more, drawn: None }
    }

    /// Bars on standard error, where the bars of a command belong.
    pub fn stderr(view: View) -> Self {
        Self::new(view, ProgressDrawTarget::stderr_with_hz(8))
    }

    /// Takes an event in and redraws.
    pub fn event(&mut self, event: &Event, now: Timestamp) {
        self.view.event(event, now);
        if is_frequent(event) && self.drawn.is_some_and(|at| now.duration_since(at).abs() < REDRAWN) {
            return;
        }
        self.drawn = Some(now);
        for line in self.view.waves() {
            let bar = self.waves.entry(line.wave.to_string()).or_insert_with(|| {
                let bar = self.multi.insert(0, ProgressBar::new(line.total));
                bar.set_style(style("{prefix:<28!} [{bar:16}] {percent:>3}% {elapsed} eta {eta} {wide_msg}"));
                bar
            });
            bar.set_prefix(format!("wave {}", line.wave));
            bar.set_length(line.total);
            bar.set_position(line.done);
            bar.set_message(line.remarks);
        }
        let (lines, more) = self.view.batches();
        let running: Vec<BatchId> = lines.iter().map(|l| l.batch.clone()).collect();
        self.batches.retain(|id, bar| {
            let keep = running.contains(id);
            if !keep {
                bar.finish_and_clear();
                self.multi.remove(bar);
            }
            keep
        });
        for line in lines {
            let bar = self.batches.entry(line.batch.clone()).or_insert_with(|| {
                let bar = self.multi.insert_before(&self.more, ProgressBar::new(line.total));
                bar.set_style(style("  {prefix:<24!} [{bar:16}] {pos}/{len} eta {eta} {wide_msg}"));
                bar
            });
            let stage = line.stage.map(|s| s.to_string()).unwrap_or_default();
            let prefix = format!("{} {stage}", line.batch.batch);
            if bar.prefix() != prefix {
                bar.reset_eta();
            }
            bar.set_prefix(prefix);
            bar.set_length(line.total);
            bar.set_position(line.done);
            bar.set_message(line.remarks);
        }
        let speeds: BTreeMap<Side, String> = self.view.speeds().map(|(side, speed)| (side, speed.line(side))).collect();
        self.speeds.retain(|side, bar| {
            let keep = speeds.contains_key(side);
            if !keep {
                bar.finish_and_clear();
                self.multi.remove(bar);
            }
            keep
        });
        for (side, line) in speeds {
            let bar = self.speeds.entry(side).or_insert_with(|| {
                let bar = self.multi.insert_before(&self.more, ProgressBar::new_spinner());
                bar.set_style(style("  {wide_msg}"));
                bar
            });
            bar.set_message(line);
        }
        self.more.set_message(if more > 0 { format!("and {more} more batches") } else { String::new() });
        self.more.tick();
    }

    /// Takes the bars away.
    pub fn finish(&mut self) {
        for bar in self.waves.values().chain(self.batches.values()).chain(self.speeds.values()).chain([&self.more]) {
            bar.finish_and_clear();
        }
    }
}

/// Whether events of this kind come by the thousand, so that the next one draws what this one changed.
fn is_frequent(event: &Event) -> bool {
    match event {
        Event::Step { record, .. } => {
            matches!(**record, Record::Started { .. } | Record::Outcome { .. } | Record::Observed { .. })
        }
        Event::Rate { .. } | Event::Collected { .. } => true,
        Event::Witness { .. } | Event::Waiting { .. } => false,
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a test draws each of them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;
    use untether_model::operation::Stage;
    use untether_model::run::WaveClaim;
    use untether_model::{PlanId, Round, WaveId};

    use super::*;

    #[test]
    fn a_running_batch_is_drawn_within_eighty_columns() {
        let terminal = InMemoryTerm::new(10, 80);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut bars = Bars::new(View::default(), target);
        let wave = WaveId::new(PlanId::new("0123456789"), "retire-own");
        let claims = vec![WaveClaim { batch: "b01".into(), canary: true, subjects: Vec::new() }];
        let digest = untether_model::digest::Digest::of(b"");
        let records = [
            Record::WaveStarted { wave: wave.clone(), digest, claims, failure_tolerance: 0 },
            Record::StageStarted { batch: BatchId::new(wave, "b01"), stage: Stage::Disable, round: Round::FIRST, operations: 40 },
        ];
        for (seq, record) in (1..).zip(records) {
            let at = Timestamp::UNIX_EPOCH;
            bars.event(&Event::Step { seq, at, record: Box::new(record) }, at);
        }
        let reason = "latency rose".to_owned();
        let rate = Event::Rate { store: Side::Independent, per_second: 412.0, in_flight: 24, limit: 32, ended: 1, reason };
        bars.event(&rate, Timestamp::from_second(1).unwrap());
        let drawn = terminal.contents();
        assert!(drawn.contains("independent: 412/s, 24 in flight, limit 32 (latency rose)"), "{drawn}");
        assert!(drawn.contains("b01 disable") && drawn.contains("0/40"), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
        bars.finish();
    }
}
