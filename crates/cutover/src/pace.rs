//! How fast a store is being written to, told a few times a second: by each operation it would cost more than it tells.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two tellings at least.
const EVERY: Duration = Duration::from_millis(250);

/// What a rate is counted over at most.
const OVER: Duration = Duration::from_secs(5);

/// When a rate was told, and how many writes had been answered by then.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<VecDeque<(Duration, u64)>>);

impl Pace {
    /// Writes a second, if it is time to tell; `now` is a time that only goes on, `ended` the writes that were answered so far.
    pub(crate) fn tell(&self, now: Duration, ended: u64) -> Option<f64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.back().is_some_and(|(last, _)| now.saturating_sub(*last) < EVERY) {
            return None;
        }
        told.push_back((now, ended));
        // The oldest one that is kept is the last before the time that is counted over.
        while told.get(1).is_some_and(|(second, _)| now.saturating_sub(*second) >= OVER) {
            told.pop_front();
        }
        let (since, before) = told.front().copied().unwrap_or((now, ended));
        let seconds = now.saturating_sub(since).as_secs_f64();
        // Counts within seconds are far below 2^52.
        #[expect(clippy::cast_precision_loss, reason = "counts within seconds are small")]
        let count = ended.saturating_sub(before) as f64;
        Some(if seconds > 0.0 { count / seconds } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_seldom_and_counted_over_the_last_seconds() {
        let pace = Pace::default();
        let mut told = Vec::new();
        for ms in 0..20_000_u64 {
            // 100 a second, from the tenth second on 400.
            let ended = if ms < 10_000 { ms / 10 } else { 1_000 + (ms - 10_000) * 4 / 10 };
            told.extend(pace.tell(Duration::from_millis(ms), ended).map(|rate| (ms, rate)));
        }
        assert_eq!(told.len(), 80);
        assert!(told.iter().filter(|(ms, _)| (1_000..10_000).contains(ms)).all(|(_, rate)| (rate - 100.0).abs() < 5.0));
        assert!(told.iter().filter(|(ms, _)| *ms >= 15_500).all(|(_, rate)| (rate - 400.0).abs() < 5.0), "{told:?}");
    }
}
