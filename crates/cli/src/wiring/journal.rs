//! The journal and the ledger as cutover asks for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use untether_cutover::{Journal, LedgerView, Receipt};
use untether_journal::{Entry, Stored};
use untether_ledger::{Frame, NewFrame, StateDir};
use untether_model::event::Event;
use untether_model::run::{Change, Outcome, RateSummary, Record, RunState, Sealed, Started, Summary};
use untether_model::{BatchId, Side};

use crate::error::chain;

/// Takes records for a run, and keeps the summary that `status` reads.
pub struct LiveJournal {
    journal: Arc<untether_journal::Journal>,
    dir: StateDir,
    summary: Mutex<Kept>,
    /// What was told of the next record. Asking the journal again would promise another time.
    told: Mutex<(u64, Timestamp)>,
    /// Who is told of the second witness.
    witness: Mutex<Option<Tell>>,
}

/// Takes events of a run.
pub type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// Records between two writings of the second witness, where no stage ends.
const WITNESS_EVERY: u64 = 10_000;

struct Kept {
    summary: Summary,
    written: Option<Timestamp>,
}

impl LiveJournal {
    /// Goes on from this summary.
    pub fn new(journal: Arc<untether_journal::Journal>, dir: StateDir, summary: Summary) -> Self {
        let told = Mutex::new(journal.next());
        Self { journal, dir, summary: Mutex::new(Kept { summary, written: None }), told, witness: Mutex::new(None) }
    }

    /// The journal below.
    pub fn journal(&self) -> &untether_journal::Journal {
        &self.journal
    }

    /// Tells this from now on when the second witness is written.
    pub fn tell_witness(&self, tell: Tell) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(tell);
    }

    /// Notes for `status` what a batch waits for.
    pub fn waits(&self, batch: &BatchId, reason: String) {
        let mut kept = self.kept();
        kept.summary.waits(batch, reason);
        self.write(&kept.summary);
    }

    /// Notes for `status` how fast a store is being written to; shown with the next writing.
    pub fn goes_at(&self, side: Side, rate: RateSummary) {
        self.kept().summary.rates.insert(side, rate);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that runs under this lock panics halfway through a change.
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the summary file.
    pub fn write_summary(&self) {
        let kept = self.kept();
        self.write(&kept.summary);
    }

    /// The summary only saves `status` a walk: losing it loses nothing.
    fn write(&self, summary: &Summary) {
        let written = serde_json::to_vec(summary)
            .map_err(|e| e.to_string())
            .and_then(|bytes| self.dir.write_summary(&bytes).map_err(|e| chain(&e)));
        if let Err(error) = written {
            tracing::warn!("the summary for `status` was not written: {error}");
        }
    }
}

impl Journal for LiveJournal {
    fn next(&self) -> (u64, Timestamp) {
        let next = self.journal.next();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = next;
        next
    }

    fn submit(&self, record: &Record, change: &Change) -> Result<Receipt, String> {
        let (seq, at) = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = NewFrame::of(record).map_err(|e| chain(&e))?;
        let receipt = self.journal.submit(vec![Entry { frame, parts: Stored::of(change) }]).map_err(|e| chain(&e))?;
        {
            let mut kept = self.kept();
            kept.summary.fold(seq, at, record);
            let due = kept.written.is_none_or(|last| at.duration_since(last).as_secs() >= 1);
            if due {
                kept.written = Some(at);
                self.write(&kept.summary);
            }
        }
        // What the summary tells may run ahead of what is durable by one group commit; `status` folds from the ledger itself.
        let due = matches!(record, Record::StageEnded { .. }) || seq.is_multiple_of(WITNESS_EVERY);
        let witness = due.then(|| {
            let tell = self.witness.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (self.journal.clone(), tell)
        });
        Ok(Box::pin(async move {
            receipt.await.map_err(|e| chain(&e))?;
            if let Some((journal, tell)) = witness {
                let head = journal.write_head().await.map_err(|e| chain(&e))?;
                if let Some(tell) = tell {
                    tell(Event::Witness { seq: head.seq, hash: head.hash.to_string() });
                }
            }
            Ok(())
        }))
    }
}

impl LedgerView for LiveJournal {
    fn started(&self, seq: u64) -> Result<Started, String> {
        /// The body of an intent.
        #[derive(Deserialize)]
        struct Body {
            started: Started,
        }
        self.body::<Body>(seq, "started").map(|body| body.started)
    }

    fn image(&self, outcome: u64) -> Result<Option<Sealed>, String> {
        /// The body of an outcome.
        #[derive(Deserialize)]
        struct Body {
            outcome: Outcome,
        }
        self.body::<Body>(outcome, "outcome").map(|body| body.outcome.image)
    }
}

impl LiveJournal {
    /// The body of a record of this kind.
    fn body<T: DeserializeOwned>(&self, seq: u64, kind: &str) -> Result<T, String> {
        let frame = self.journal.frame(seq).map_err(|e| chain(&e))?;
        let frame = frame.ok_or_else(|| format!("the ledger has no record {seq}"))?;
        if frame.kind != kind {
            return Err(format!("record {seq} is of kind {}, not {kind}", frame.kind));
        }
        frame.read_body().map_err(|e| format!("record {seq} cannot be read: {e}"))
    }
}

/// A fold error while the database is brought up to the ledger.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A record cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// What the database holds of a subject cannot be read.
    #[error(transparent)]
    Journal(#[from] untether_journal::JournalError),
    /// A record is not allowed.
    #[error(transparent)]
    Illegal(#[from] untether_model::run::Illegal),
}

/// What a record changes, to be committed.
pub fn change_of(state: &RunState, frame: &Frame) -> Result<Change, FoldError> {
    let record = Record::for_fold(&frame.kind, frame.body())?;
    Ok(untether_model::run::apply(state, frame.seq(), frame.wall, &record)?)
}
