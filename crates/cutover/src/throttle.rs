//! How many operations may be in flight in a store. `window` decides how many; here they wait for their turn, first come first
//! served. An operator's `throttle` is an upper bound. Knows nothing of what the operations are.

mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::window::Window;
pub use self::window::{Kind, Why};

#[derive(Debug)]
struct Inner {
    window: Window,
    in_flight: u32,
    /// Permits that are held or can be had at once; follows the limit.
    granted: u32,
    ended: u64,
    operator: Option<u32>,
}

impl Inner {
    fn allowed(&self) -> u32 {
        self.window.limit().min(self.operator.unwrap_or(u32::MAX).max(1))
    }
}

/// The throttle of one store.
#[derive(Debug)]
pub struct Throttle {
    inner: Mutex<Inner>,
    /// Wakes one waiting operation for each permit, the one that has waited longest.
    turns: Semaphore,
}

/// What the progress line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Operations in flight.
    pub in_flight: u32,
    /// How many may be.
    pub limit: u32,
    /// Writes that were answered.
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
        let window = Window::new(ceiling);
        let granted = window.limit();
        let inner = Inner { window, in_flight: 0, granted, ended: 0, operator: None };
        Self { inner: Mutex::new(inner), turns: Semaphore::new(granted as usize) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets as many permits be had as the limit allows now. What is held beyond it is taken back when it is given back.
    fn follow(&self, inner: &mut Inner) {
        let allowed = inner.allowed();
        if inner.granted < allowed {
            self.turns.add_permits((allowed - inner.granted) as usize);
            inner.granted = allowed;
        } else if inner.granted > allowed {
            let taken = self.turns.forget_permits((inner.granted - allowed) as usize);
            inner.granted -= u32::try_from(taken).unwrap_or(0);
        }
    }

    /// Sets or lifts the operator's bound.
    pub fn set_operator(&self, bound: Option<u32>) {
        let mut inner = self.lock();
        inner.operator = bound;
        self.follow(&mut inner);
    }

    /// Waits until one more may be in flight.
    pub async fn permit(&self) -> Permit<'_> {
        // The semaphore lives as long as this and is never closed.
        if let Ok(turn) = self.turns.acquire().await {
            turn.forget();
        }
        let mut inner = self.lock();
        inner.in_flight += 1;
        let in_flight = inner.in_flight;
        inner.window.used(in_flight);
        Permit(self)
    }

    /// An operation of this kind took this time, from its permit to its outcome.
    pub fn took(&self, kind: Kind, time: Duration) {
        let mut inner = self.lock();
        inner.window.took(kind, time);
        self.follow(&mut inner);
    }

    /// A write was answered.
    pub fn answered(&self) {
        self.lock().ended += 1;
    }

    /// The server said busy or did not answer in time.
    pub fn busy(&self) {
        let mut inner = self.lock();
        inner.window.busy();
        self.follow(&mut inner);
    }

    /// What the progress line shows.
    pub fn gauge(&self) -> Gauge {
        let inner = self.lock();
        let limit = inner.allowed();
        let why = if inner.operator.is_some_and(|o| o <= limit) { Why::Throttled } else { inner.window.why() };
        Gauge { in_flight: inner.in_flight, limit, ended: inner.ended, why }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        if inner.granted > inner.allowed() {
            inner.granted -= 1;
        } else {
            self.0.turns.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn permits_are_given_back() {
        let throttle = Throttle::new(1);
        let first = throttle.permit().await;
        assert_eq!(throttle.gauge().in_flight, 1);
        drop(first);
        let _second = throttle.permit().await;
        assert_eq!(throttle.gauge().in_flight, 1);
    }

    #[tokio::test]
    async fn a_lowered_limit_counts_at_once_and_a_raised_one_lets_more_in() {
        let throttle = Throttle::new(8);
        let mut held = Vec::new();
        for _ in 0..throttle.gauge().limit {
            held.push(throttle.permit().await);
        }
        throttle.set_operator(Some(2));
        assert_eq!((throttle.gauge().limit, throttle.gauge().why), (2, Why::Throttled));
        let in_flight = u32::try_from(held.len()).unwrap();
        // Nobody gets in until fewer are in flight than are allowed now.
        for left in (1..in_flight).rev() {
            drop(held.pop());
            assert_eq!(throttle.turns.available_permits(), usize::from(left < 2), "{left}");
        }
        throttle.set_operator(None);
        assert_eq!(throttle.turns.available_permits(), throttle.gauge().limit as usize - 1);
    }

    #[tokio::test]
    async fn who_waited_longest_goes_first() {
        let throttle = std::sync::Arc::new(Throttle::new(1));
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        let held = throttle.permit().await;
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let (throttle, order) = (throttle.clone(), order.clone());
                async move {
                    let _permit = throttle.permit().await;
                    order.lock().unwrap().push(n);
                    tokio::task::yield_now().await;
                }
            })
            .collect();
        let all = futures::future::join_all(tasks);
        let (_, ()) = tokio::join!(all, async move { drop(held) });
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
