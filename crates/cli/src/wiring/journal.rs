//! The journal and the ledger as cutover asks for them.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use untether_cutover::{Journal, LedgerView, Receipt};
use untether_journal::{Entry, Put};
use untether_ledger::StateDir;
use untether_model::BatchId;
use untether_model::event::Event;
use untether_model::run::{Change, Part, Record, RunState, Sealed, Started, Summary};

use crate::error::chain;

/// The stored form of what a record changes.
pub fn puts(change: &Change) -> Result<Vec<Put>, serde_json::Error> {
    change.parts.iter().map(|part| Ok(Put::new(part.key().to_bytes(), serde_json::to_vec(part)?))).collect()
}

/// Reads a stored part back.
pub fn part(bytes: &[u8]) -> Result<Part, serde_json::Error> {
    serde_json::from_slice(bytes)
}

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
        *self.witness.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(tell);
    }

    /// Notes for `status` what a batch waits for.
    pub fn waits(&self, batch: &BatchId, reason: String) {
        let mut kept = self.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.summary.waits(batch, reason);
        self.write(&kept.summary);
    }

    /// Replaces the summary file.
    pub fn write_summary(&self) {
        let kept = self.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
        *self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = next;
        next
    }

    fn submit(&self, record: &Record, change: &Change) -> Result<Receipt, String> {
        let (seq, at) = *self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (kind, body_json) = record.to_parts().map_err(|e| format!("a record cannot be written: {e}"))?;
        let puts = puts(change).map_err(|e| format!("a part cannot be written: {e}"))?;
        let receipt = self.journal.submit(vec![Entry { kind: kind.into(), body_json, puts }]).map_err(|e| chain(&e))?;
        {
            let mut kept = self.summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
            let tell = self.witness.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
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
        match self.record(seq)? {
            Record::Started { started } => Ok(started),
            _ => Err(format!("record {seq} is no intent")),
        }
    }

    fn image(&self, outcome: u64) -> Result<Option<Sealed>, String> {
        match self.record(outcome)? {
            Record::Outcome { outcome } => Ok(outcome.image),
            _ => Err(format!("record {outcome} is no outcome")),
        }
    }
}

impl LiveJournal {
    fn record(&self, seq: u64) -> Result<Record, String> {
        let frame = self.journal.frame(seq).map_err(|e| chain(&e))?;
        let frame = frame.ok_or_else(|| format!("the ledger has no record {seq}"))?;
        Record::from_parts(&frame.kind, frame.body()).map_err(|e| format!("record {seq} cannot be read: {e}"))
    }
}

/// A fold error while the database is brought up to the ledger.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A record cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A record is not allowed.
    #[error(transparent)]
    Illegal(#[from] untether_model::run::Illegal),
}

/// Folds one record into the state, and gives what it changes.
pub fn fold(state: &mut RunState, seq: u64, at: Timestamp, kind: &str, body: &str) -> Result<Vec<Put>, FoldError> {
    let record = Record::for_fold(kind, body)?;
    let change = untether_model::run::apply(state, seq, at, &record)?;
    let puts = puts(&change)?;
    state.commit(change);
    Ok(puts)
}
