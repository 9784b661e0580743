//! How many operations may be in flight in a store: additive increase, multiplicative decrease.
//!
//! The limit grows by one per window in which latency stays near the best that was seen, and is halved when the server is busy
//! or latency has doubled. An operator's `throttle` is an upper bound. Knows nothing of what the operations are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Why the limit is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Still growing.
    Probing,
    /// Latency went up.
    Latency,
    /// The server said busy, or timed out.
    Busy,
    /// An operator's bound.
    Throttled,
    /// The configured bound.
    Ceiling,
}

impl Why {
    /// In words, for the progress line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Latency => "latency",
            Self::Busy => "busy",
            Self::Throttled => "throttled",
            Self::Ceiling => "limit",
        }
    }
}

#[derive(Debug)]
struct Inner {
    limit: f64,
    in_flight: u32,
    ended: u64,
    best: Option<Duration>,
    recent: Option<Duration>,
    /// Operations that must end before the limit is cut again: one cut per window.
    calm: u32,
    operator: Option<u32>,
    why: Why,
}

/// The throttle of one store.
#[derive(Debug)]
pub struct Throttle {
    inner: Mutex<Inner>,
    freed: Notify,
    ceiling: u32,
}

/// What the progress line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Operations in flight.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Operations that ended.
    pub ended: u64,
    /// Why the limit is what it is.
    pub why: Why,
}

/// The right to have one operation in flight; gives it back when dropped.
#[derive(Debug)]
pub struct Permit<'a>(&'a Throttle);

impl Throttle {
    /// Starts at a few operations and may grow to `ceiling`.
    pub fn new(ceiling: u32) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            inner: Mutex::new(Inner {
                limit: f64::from(ceiling.min(8)),
                in_flight: 0,
                ended: 0,
                best: None,
                recent: None,
                calm: 0,
                operator: None,
                why: Why::Probing,
            }),
            freed: Notify::new(),
            ceiling,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allowed(&self, inner: &Inner) -> u32 {
        // The limit is between 1 and the ceiling, so the conversion is exact enough.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by 1 and the ceiling")]
        let own = inner.limit as u32;
        own.clamp(1, self.ceiling).min(inner.operator.unwrap_or(u32::MAX).max(1))
    }

    /// Sets or lifts the operator's bound.
    pub fn set_operator(&self, bound: Option<u32>) {
        self.lock().operator = bound;
        self.freed.notify_waiters();
    }

    /// Waits until one more may be in flight.
    pub async fn permit(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut inner = self.lock();
                if inner.in_flight < self.allowed(&inner) {
                    inner.in_flight += 1;
                    return Permit(self);
                }
            }
            freed.await;
        }
    }

    /// A server round trip took this long.
    pub fn took(&self, latency: Duration) {
        let mut inner = self.lock();
        inner.ended += 1;
        let best = inner.best.map_or(latency, |best| best.min(latency));
        inner.best = Some(best);
        let recent = inner.recent.map_or(latency, |recent| (recent * 7 + latency) / 8);
        inner.recent = Some(recent);
        inner.calm = inner.calm.saturating_sub(1);
        // Queueing inside the server is expected to stretch latency with the work in flight; only what exceeds that counts.
        let tolerated = best.mul_f64(2.0 + inner.limit).max(Duration::from_millis(20));
        if recent > tolerated && inner.calm == 0 {
            self.cut(&mut inner, Why::Latency, 0.7);
        } else if inner.limit < f64::from(self.ceiling) {
            inner.limit = (inner.limit + 1.0 / inner.limit).min(f64::from(self.ceiling));
            if inner.calm == 0 {
                inner.why = Why::Probing;
            }
        } else if inner.calm == 0 {
            inner.why = Why::Ceiling;
        }
    }

    /// The server said busy or did not answer in time.
    pub fn busy(&self) {
        let mut inner = self.lock();
        if inner.calm == 0 {
            self.cut(&mut inner, Why::Busy, 0.5);
        }
    }

    fn cut(&self, inner: &mut Inner, why: Why, factor: f64) {
        inner.limit = (inner.limit * factor).max(1.0);
        inner.why = why;
        inner.calm = self.allowed(inner).max(4);
    }

    /// What the progress line shows.
    pub fn gauge(&self) -> Gauge {
        let inner = self.lock();
        let limit = self.allowed(&inner);
        let why = if inner.operator.is_some_and(|o| o <= limit) { Why::Throttled } else { inner.why };
        Gauge { in_flight: inner.in_flight, limit, ended: inner.ended, why }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        drop(inner);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_halves_the_limit_once_per_window_and_calm_grows_it_again() {
        let throttle = Throttle::new(64);
        for _ in 0..200 {
            throttle.took(Duration::from_millis(2));
        }
        let before = throttle.gauge().limit;
        assert!(before > 8);
        throttle.busy();
        throttle.busy();
        let after = throttle.gauge();
        assert!(after.limit <= before / 2 + 1 && after.limit >= before / 2 - 1, "{before} {after:?}");
        assert_eq!(after.why, Why::Busy);
        for _ in 0..500 {
            throttle.took(Duration::from_millis(2));
        }
        assert!(throttle.gauge().limit > after.limit);
    }

    #[test]
    fn rising_latency_cuts_and_an_operator_bound_holds() {
        let throttle = Throttle::new(16);
        throttle.took(Duration::from_millis(1));
        for _ in 0..100 {
            throttle.took(Duration::from_millis(400));
        }
        assert!(throttle.gauge().limit < 8, "{:?}", throttle.gauge());
        throttle.set_operator(Some(2));
        assert!(throttle.gauge().limit <= 2);
        assert_eq!(throttle.gauge().why, Why::Throttled);
    }

    #[tokio::test]
    async fn permits_are_given_back() {
        let throttle = Throttle::new(1);
        let first = throttle.permit().await;
        assert_eq!(throttle.gauge().in_flight, 1);
        drop(first);
        let _second = throttle.permit().await;
        assert_eq!(throttle.gauge().in_flight, 1);
    }
}
