//! Plain lines where no terminal is.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use untether_model::event::Event;
use untether_model::run::{OutcomeKind, Record};

use crate::view::View;

/// Between two lines about the speed at least.
const SPEED: SignedDuration = SignedDuration::from_secs(10);

/// One line for whatever an operator would want to find in a log later, and now and then how fast it goes.
pub struct Lines<W> {
    view: View,
    out: W,
    speed: Option<Timestamp>,
}

impl<W: Write> Lines<W> {
    /// Writes here.
    pub fn new(view: View, out: W) -> Self {
        Self { view, out, speed: None }
    }

    /// Takes an event in; a display error never stops a run, so it is dropped.
    pub fn event(&mut self, event: &Event, now: Timestamp) {
        self.view.event(event, now);
        // Whole seconds: lines are read by people; the ledger has the exact times.
        if let Some(line) = self.line(event) {
            let _ = writeln!(self.out, "{now:.0} {line}");
        }
        let first = *self.speed.get_or_insert(now);
        if matches!(event, Event::Rate { .. }) && now.duration_since(first) >= SPEED {
            self.speed = Some(now);
            for (side, speed) in self.view.speeds() {
                let _ = writeln!(self.out, "{now:.0} {}", speed.line(side));
            }
        }
    }

    fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Step { record, .. } => match record.as_ref() {
                Record::WaveStarted { wave, claims, .. } => {
                    let subjects: usize = claims.iter().map(|c| c.subjects.len()).sum();
                    Some(format!("wave {wave} started: {subjects} subjects in {} batches", claims.len()))
                }
                Record::StageStarted { batch, stage, round, operations } => {
                    Some(format!("batch {batch} begins {stage}, round {round}: {operations} operations"))
                }
                Record::StageEnded { batch, stage, .. } => Some(format!("batch {batch} ended {stage}")),
                Record::Outcome { outcome } if outcome.cells.iter().any(|c| c.kind == OutcomeKind::Deferred) => {
                    Some(format!("deferred {}: {}", outcome.op, outcome.message))
                }
                Record::Parked { subject, batch, reason, stage, details, .. } => {
                    Some(format!("parked {subject} of {batch} at {stage} ({}): {details}", reason.as_str()))
                }
                Record::Halted { batch, reason } => Some(format!("HALTED {batch}: {reason}")),
                Record::HandoverWritten { batch, file, subjects, .. } => {
                    Some(format!("hand-over of {batch} for {} people: {file}", subjects.len()))
                }
                Record::HandoverEnded { subject, delivered: false, message, .. } => {
                    Some(format!("not handed over to {subject}: {message}"))
                }
                Record::RolledBack { subjects, kept, .. } if !kept.is_empty() => {
                    let whom: Vec<&str> = subjects.iter().map(|s| s.as_str()).collect();
                    Some(format!("rolled back in part: {}; not undone: {}", whom.join(", "), kept.len()))
                }
                Record::RolledBack { subjects, to, round, .. } => {
                    Some(format!("rolled back {} subjects to before {to}; round {round}", subjects.len()))
                }
                Record::WaveEnded { wave } => Some(format!("wave {wave} ended")),
                _ => None,
            },
            Event::Waiting { batch, stage, reason } => Some(format!("batch {batch}, {stage}: waits: {reason}")),
            Event::Witness { seq, hash } => Some(format!("ledger at record {seq} ({hash})")),
            Event::Rate { .. } | Event::Collected { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use untether_model::{PlanId, WaveId};

    use super::*;

    #[test]
    fn what_happened_is_told_in_plain_lines_with_the_time() {
        let mut out = Vec::new();
        let record = Record::WaveEnded { wave: WaveId::new(PlanId::new("p"), "w") };
        let at = Timestamp::UNIX_EPOCH;
        Lines::new(View::default(), &mut out).event(&Event::Step { seq: 1, at, record: Box::new(record) }, at);
        assert_eq!(String::from_utf8(out).unwrap(), "1970-01-01T00:00:00Z wave p/w ended\n");
    }
}
