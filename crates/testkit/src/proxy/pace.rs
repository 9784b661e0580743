//! A server that writes at a pace of its own: so many workers, each of which takes the same time for a write, first come first
//! served. Knows no connections and no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many writes a server can do: 389 Directory Server, for instance, does a few hundred a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    per_second: u32,
    workers: u32,
}

impl Pace {
    /// So many writes a second, so many of them at a time: each takes `workers ÷ per_second` seconds. Neither is less than 1.
    pub fn new(per_second: u32, workers: u32) -> Self {
        Self { per_second: per_second.max(1), workers: workers.max(1) }
    }

    /// How long a write takes that need not wait for a worker.
    pub fn service(self) -> Duration {
        Duration::from_secs(u64::from(self.workers)) / self.per_second
    }
}

/// A text that names no pace.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no pace; write 'WRITES_PER_SECOND/AT_A_TIME', such as 300/8")]
pub struct PaceError(String);

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        let positive = |number: &str| number.parse().ok().filter(|number| *number > 0);
        let (per_second, workers) = text.split_once('/').ok_or_else(|| PaceError(text.to_owned()))?;
        let pace = positive(per_second).zip(positive(workers)).map(|(per_second, workers)| Self { per_second, workers });
        pace.ok_or_else(|| PaceError(text.to_owned()))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.workers)
    }
}

/// The workers of a server, if it has a pace.
#[derive(Debug, Default)]
pub(super) struct Workers(Mutex<Option<Busy>>);

#[derive(Debug)]
struct Busy {
    service: Duration,
    /// When each of them is free.
    free: BinaryHeap<Reverse<Instant>>,
}

impl Workers {
    /// Nothing that panics runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Option<Busy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other workers from `now` on; those before end what they have.
    pub(super) fn set(&self, pace: Pace, now: Instant) {
        *self.lock() = Some(Busy { service: pace.service(), free: (0..pace.workers).map(|_| Reverse(now)).collect() });
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.lock().is_some()
    }

    /// When a write that comes `now` will be done; at once if there is no pace.
    pub(super) fn take(&self, now: Instant) -> Instant {
        let mut busy = self.lock();
        let Some(Busy { service, free }) = busy.as_mut() else { return now };
        let begins = free.pop().map_or(now, |Reverse(free)| free.max(now));
        let done = begins + *service;
        free.push(Reverse(done));
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_read_back_as_they_are_written() {
        assert_eq!("300/8".parse::<Pace>().unwrap(), Pace::new(300, 8));
        assert_eq!(Pace::new(300, 8).to_string(), "300/8");
        for text in ["", "300", "0/8", "300/0", "/8", "300/8/2", "many/8"] {
            assert!(text.parse::<Pace>().is_err(), "{text}");
        }
    }

    #[test]
    fn as_many_at_a_time_as_there_are_workers_and_more_wait_for_them() {
        let (workers, start) = (Workers::default(), Instant::now());
        assert_eq!(workers.take(start), start);
        workers.set(Pace::new(100, 4), start);
        let took = |done: Instant| (done - start).as_millis();
        let done: Vec<u128> = (0..10).map(|_| took(workers.take(start))).collect();
        assert_eq!(done, [40, 40, 40, 40, 80, 80, 80, 80, 120, 120]);
        // Two are free again from 80 ms on, and nobody is late who comes when one is.
        assert_eq!(took(workers.take(start + Duration::from_millis(100))), 140);
    }

    #[test]
    fn however_many_wait_no_more_are_done_in_a_second() {
        let (workers, start) = (Workers::default(), Instant::now());
        workers.set(Pace::new(300, 8), start);
        let second = start + Duration::from_secs(1);
        let done = (0..10_000).filter(|_| workers.take(start) <= second).count();
        assert!((292..=300).contains(&done), "{done}");
        // A slower one, with nothing to do yet.
        workers.set(Pace::new(60, 2), second);
        let done = (0..10_000).filter(|_| workers.take(second) <= second + Duration::from_secs(1)).count();
        assert!((58..=60).contains(&done), "{done}");
    }
}
