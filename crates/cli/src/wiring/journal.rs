//! The journal and the ledger as cutover asks for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use untether_cutover::{Journal, LedgerView, Receipt};
use untether_journal::{Entry, Stored};
use untether_ledger::{Frame, Location, NewFrame, StateDir};
use untether_model::event::Event;
use untether_model::run::{Change, Outcome, RateSummary, Record, RunState, Sealed, Started, Summary};
use untether_model::{BatchId, Side};

use crate::error::chain;

/// Takes records for a run, and keeps the summary that `status` reads.
pub struct LiveJournal {
    journal: Arc<untether_journal::Journal>,
    dir: StateDir,
    summary: Arc<Mutex<Kept>>,
    /// What was told of the next record. Asking the journal again would promise another time.
    told: Mutex<(u64, Timestamp)>,
    /// Who is told of the second witness.
    witness: Mutex<Option<Tell>>,
}

/// Takes events of a run.
pub type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// Records between two writings of the second witness, where no stage ends.
const WITNESS_EVERY: u64 = 10_000;

/// The summary as its file holds it.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    place: Option<Location>,
}

/// Where the last record that a summary counts is in the ledger, as the summary's file says. A hint, to be checked by whoever follows
/// it; older versions wrote none.
#[derive(Default, Deserialize)]
pub struct SummaryPlace {
    #[serde(default)]
    place: Option<Location>,
}

impl SummaryPlace {
    /// The place that the bytes of a summary's file say.
    pub fn of(bytes: &[u8]) -> Option<Location> {
        serde_json::from_slice::<Self>(bytes).unwrap_or_default().place
    }
}

/// A record that was handed over and may not be durable yet; one that a summary does not count has no body here.
struct Waiting {
    at: Timestamp,
    place: Location,
    record: Option<Record>,
}

struct Kept {
    summary: Summary,
    /// Where its last record is.
    place: Option<Location>,
    /// In order.
    waiting: VecDeque<Waiting>,
    written: Option<Timestamp>,
}

impl Kept {
    fn hand_over(&mut self, place: Location, at: Timestamp, record: &Record) {
        let counts = !matches!(record, Record::Started { .. });
        self.waiting.push_back(Waiting { at, place, record: counts.then(|| record.clone()) });
    }

    /// Takes in what is durable: this record, and with it all before it. Whether the summary's file is due.
    fn is_durable(&mut self, seq: u64, at: Timestamp) -> bool {
        while let Some(Waiting { at, place, record }) = self.waiting.pop_front_if(|waiting| waiting.place.seq <= seq) {
            match record {
                Some(record) => self.summary.fold(place.seq, at, &record),
                None => self.summary.pass(place.seq, at),
            }
            self.place = Some(place);
        }
        let due = self.written.is_none_or(|last| at.duration_since(last).as_secs() >= 1);
        if due {
            self.written = Some(at);
        }
        due
    }
}

impl LiveJournal {
    /// Goes on from this summary.
    pub fn new(journal: Arc<untether_journal::Journal>, dir: StateDir, summary: Summary) -> Self {
        let told = Mutex::new(journal.next());
        let kept = Kept { summary, place: None, waiting: VecDeque::new(), written: None };
        Self { journal, dir, summary: Arc::new(Mutex::new(kept)), told, witness: Mutex::new(None) }
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
        let mut kept = lock(&self.summary);
        kept.summary.waits(batch, reason);
        write(&self.dir, &kept);
    }

    /// Notes for `status` how fast a store is being written to; shown with the next writing.
    pub fn goes_at(&self, side: Side, rate: RateSummary) {
        lock(&self.summary).summary.rates.insert(side, rate);
    }

    /// Replaces the summary file.
    pub fn write_summary(&self) {
        write(&self.dir, &lock(&self.summary));
    }
}

fn lock(summary: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // Nothing that runs under this lock panics halfway through a change.
    summary.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The summary only saves `status` a walk: losing it loses nothing.
fn write(dir: &StateDir, kept: &Kept) {
    let summary = Written { summary: &kept.summary, place: kept.place.filter(|place| place.seq == kept.summary.seq) };
    let written = serde_json::to_vec(&summary)
        .map_err(|e| e.to_string())
        .and_then(|bytes| dir.write_summary(&bytes).map_err(|e| chain(&e)));
    if let Err(error) = written {
        tracing::warn!("the summary for `status` was not written: {error}");
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
        if let Some(place) = receipt.locations().first() {
            lock(&self.summary).hand_over(*place, at, record);
        }
        let (summary, dir) = (self.summary.clone(), self.dir.clone());
        let due = matches!(record, Record::StageEnded { .. }) || seq.is_multiple_of(WITNESS_EVERY);
        let witness = due.then(|| {
            let tell = self.witness.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (self.journal.clone(), tell)
        });
        Ok(Box::pin(async move {
            receipt.await.map_err(|e| chain(&e))?;
            {
                let mut kept = lock(&summary);
                if kept.is_durable(seq, at) {
                    write(&dir, &kept);
                }
            }
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
