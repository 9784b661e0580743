//! The rule of the moment, and what it means for the next bytes of a connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::{After, Fault, Sender};

/// What holds for all connections now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rule {
    /// Counts the faults that were set and lifted; with a new one each connection counts anew.
    pub(super) epoch: u64,
    pub(super) fault: Option<Fault>,
    /// How long bytes are under way, each way.
    pub(super) delay: Duration,
}

/// How often faults have struck.
#[derive(Debug, Default)]
pub(super) struct Struck {
    count: Mutex<u64>,
    more: Condvar,
    pub(super) connections: AtomicU64,
}

/// Nothing that panics runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Struck {
    pub(super) fn count(&self) -> u64 {
        *lock(&self.count)
    }

    /// Waits until faults have struck so often; `false` if they have not within the bound.
    pub(super) fn wait(&self, count: u64, bound: Duration) -> bool {
        let waited = self.more.wait_timeout_while(lock(&self.count), bound, |struck| *struck < count);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= count
    }

    fn once_more(&self) {
        *lock(&self.count) += 1;
        self.more.notify_all();
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is to be done with bytes that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So many of them may pass.
    Pass(usize),
    /// None passes until the rule changes.
    Hold,
    /// One may pass, and then none for so long.
    Slowly(Duration),
    Close(Closing),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    Cut,
    Reset,
    HalfOpen,
}

/// One connection's counts.
#[derive(Debug)]
pub(super) struct Counts<'a> {
    struck: &'a Struck,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    epoch: u64,
    client: u64,
    server: u64,
    struck: bool,
}

impl<'a> Counts<'a> {
    pub(super) fn new(struck: &'a Struck) -> Self {
        Self { struck, inner: Mutex::new(Inner::default()) }
    }

    /// Notes that the rule's fault has struck this connection, once.
    pub(super) fn strike(&self) {
        if !std::mem::replace(&mut lock(&self.inner).struck, true) {
            self.struck.once_more();
        }
    }

    /// Notes that so many bytes have passed.
    pub(super) fn passed(&self, sender: Sender, bytes: usize) {
        let mut inner = lock(&self.inner);
        let count = match sender {
            Sender::Client => &mut inner.client,
            Sender::Server => &mut inner.server,
        };
        *count += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// What the rule says to `waiting` bytes of this sender.
    pub(super) fn judge(&self, rule: Rule, sender: Sender, waiting: usize) -> Verdict {
        {
            let mut inner = lock(&self.inner);
            if inner.epoch != rule.epoch {
                *inner = Inner { epoch: rule.epoch, ..Inner::default() };
            }
        }
        let verdict = match rule.fault {
            None | Some(Fault::Hostile { .. }) => return Verdict::Pass(waiting),
            Some(Fault::Cut(after)) => self.after(after, sender, waiting, Verdict::Close(Closing::Cut)),
            Some(Fault::Reset(after)) => self.after(after, sender, waiting, Verdict::Close(Closing::Reset)),
            Some(Fault::HalfOpen(after)) => self.after(after, sender, waiting, Verdict::Close(Closing::HalfOpen)),
            Some(Fault::Stall(after)) => self.after(after, sender, waiting, Verdict::Hold),
            Some(Fault::Trickle(rate)) => Verdict::Slowly(Duration::from_secs(1) / rate.max(1)),
        };
        let strikes = !matches!(verdict, Verdict::Pass(_));
        if strikes && (waiting > 0 || matches!(verdict, Verdict::Close(_))) {
            self.strike();
        }
        verdict
    }

    fn after(&self, after: After, sender: Sender, waiting: usize, then: Verdict) -> Verdict {
        let inner = lock(&self.inner);
        let passed = match after.sender {
            Sender::Client => inner.client,
            Sender::Server => inner.server,
        };
        match usize::try_from(after.bytes.saturating_sub(passed)).unwrap_or(usize::MAX) {
            0 => then,
            left if sender == after.sender => Verdict::Pass(left.min(waiting)),
            _ => Verdict::Pass(waiting),
        }
    }
}
