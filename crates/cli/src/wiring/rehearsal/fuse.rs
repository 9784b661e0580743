//! The fuse of a rehearsal: when it blows, nothing that was under way comes back, as when the power goes out.
//!
//! Blows after every so many operations, in turn at each moment of the protocol: before the intent, before the effect, after the
//! effect, before the outcome. Knows nothing of what then takes the run up again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use untether_cutover::{Journal, Receipt};
use untether_model::run::{Change, Record};

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its intent is about to be written.
    BeforeIntent,
    /// Its intent is durable; nothing was sent yet.
    BeforeEffect,
    /// The store has done it; nobody has heard of it.
    AfterEffect,
    /// Its outcome is about to be written.
    BeforeOutcome,
}

const MOMENTS: [Moment; 4] = [Moment::BeforeIntent, Moment::BeforeEffect, Moment::AfterEffect, Moment::BeforeOutcome];

/// Blows, if it is told to.
#[derive(Default)]
pub struct Fuse {
    inner: Mutex<Inner>,
    blown: Notify,
}

#[derive(Default)]
struct Inner {
    every: Option<u64>,
    /// Operations that ended since it blew last.
    ended: u64,
    cuts: u64,
    out: bool,
}

impl Fuse {
    /// One that blows after every so many operations; `None`: never.
    pub fn every(every: Option<u64>) -> Self {
        Self { inner: Mutex::new(Inner { every, ..Inner::default() }), blown: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it has blown.
    pub fn cuts(&self) -> u64 {
        self.lock().cuts
    }

    /// Comes back when it blows.
    pub async fn blows(&self) {
        self.blown.notified().await;
    }

    /// The power is back.
    pub fn replace(&self) {
        let mut inner = self.lock();
        inner.out = false;
        inner.ended = 0;
    }

    /// Whether the power is out, or goes out now.
    fn is_out(&self, moment: Option<Moment>) -> bool {
        let mut inner = self.lock();
        let due = inner.every.is_some_and(|every| inner.ended >= every);
        let turn = usize::try_from(inner.cuts).ok().and_then(|cuts| MOMENTS.get(cuts % MOMENTS.len()));
        if !inner.out && due && moment.is_some() && moment.as_ref() == turn {
            inner.out = true;
            inner.cuts += 1;
            self.blown.notify_one();
        }
        inner.out
    }

    /// Comes back if there is power.
    pub async fn pass(&self, moment: Moment) {
        if self.is_out(Some(moment)) {
            std::future::pending().await
        }
    }
}

/// A journal behind the fuse.
pub struct FusedJournal {
    journal: Arc<dyn Journal>,
    fuse: Arc<Fuse>,
}

impl FusedJournal {
    /// Puts the fuse in front of a journal.
    pub fn new(journal: Arc<dyn Journal>, fuse: &Arc<Fuse>) -> Self {
        Self { journal, fuse: fuse.clone() }
    }
}

impl Journal for FusedJournal {
    fn next(&self) -> (u64, Timestamp) {
        self.journal.next()
    }

    fn submit(&self, record: &Record, change: &Change) -> Result<Receipt, String> {
        let moment = match record {
            Record::Started { .. } => Some(Moment::BeforeIntent),
            Record::Outcome { .. } => Some(Moment::BeforeOutcome),
            _ => None,
        };
        if self.fuse.is_out(moment) {
            return Ok(Box::pin(std::future::pending()));
        }
        if moment == Some(Moment::BeforeOutcome) {
            self.fuse.lock().ended += 1;
        }
        self.journal.submit(record, change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_blows_in_turn_at_each_moment_and_only_when_due() {
        let fuse = Fuse::every(Some(2));
        for moment in MOMENTS {
            assert!(!MOMENTS.iter().any(|m| fuse.is_out(Some(*m))), "nothing has ended yet");
            fuse.lock().ended = 2;
            assert!(!fuse.is_out(None));
            assert!(!MOMENTS.iter().any(|m| *m != moment && fuse.is_out(Some(*m))));
            assert!(fuse.is_out(Some(moment)) && fuse.is_out(None));
            fuse.replace();
        }
        assert_eq!(fuse.cuts(), 4);
        let never = Fuse::every(None);
        never.lock().ended = 1_000;
        assert!(!MOMENTS.iter().any(|m| never.is_out(Some(*m))));
    }
}
