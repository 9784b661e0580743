//! The state that is written: a journal, the fold of what it holds, and a clock that goes when it is told to.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use jiff::Timestamp;
use untether_journal::{Entry, Journal, OpenJournal, Opened, Receipt, Stored};
use untether_ledger::log::SEGMENT_BYTES;
use untether_ledger::{Clock, ClockPolicy, Disk, KeyStore, Marks, NewFrame, Reader, StateDir, create_state};
use untether_model::StateId;
use untether_model::run::{Record, RunState, Summary, apply};

use crate::twins::{PARTS_VERSION, Trouble};

/// Records that wait to become durable.
const IN_FLIGHT: usize = 8_192;

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
struct Hourglass(AtomicI64);

impl Clock for Hourglass {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn mono(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0))
    }

    fn boot(&self) -> &str {
        "populate"
    }
}

/// A state that is being written.
pub(super) struct Book {
    pub dir: StateDir,
    pub keys: KeyStore,
    pub marks: Marks,
    journal: Journal,
    state: RunState,
    summary: Summary,
    clock: Arc<Hourglass>,
    waiting: VecDeque<Receipt>,
}

impl Book {
    /// An empty state at this moment.
    pub fn create(root: &Path, at: Timestamp) -> Result<Self, Trouble> {
        let clock = Arc::new(Hourglass(AtomicI64::new(at.as_millisecond())));
        create_state(root, clock.clone()).map_err(Trouble::new)?;
        let dir = StateDir::open(Disk::real(), root).map_err(Trouble::new)?;
        let keys = KeyStore::open(&dir).map_err(Trouble::new)?;
        let mut opened = Opened::open(OpenJournal {
            state: dir.clone(),
            clock: clock.clone(),
            clock_policy: ClockPolicy::Refuse,
            segment_bytes: SEGMENT_BYTES,
            known_kind: &Record::knows,
            accept_loss: false,
            witness: None,
            parts_version: PARTS_VERSION,
            distrust: false,
        })?;
        let (mut state, mut summary) = (RunState::new(), Summary::default());
        opened
            .replay(|frame, _| -> Result<_, Trouble> {
                let record = Record::from_parts(&frame.kind, frame.body()).map_err(Trouble::new)?;
                let change = apply(&state, frame.seq(), frame.wall, &record)?;
                summary.fold(frame.seq(), frame.wall, &record);
                let stored = Stored::of(&change);
                state.commit(change);
                Ok(stored)
            })
            .map_err(Trouble::new)?;
        let (journal, marks) = (opened.start()?, keys.marks());
        Ok(Self { dir, keys, marks, journal, state, summary, clock, waiting: VecDeque::new() })
    }

    pub fn state(&self) -> &RunState {
        &self.state
    }

    pub fn id(&self) -> StateId {
        self.state.general().state.clone().unwrap_or_else(|| StateId::new("none"))
    }

    pub fn head(&self) -> u64 {
        self.journal.head().seq
    }

    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Lets time pass.
    pub fn pass(&self, milliseconds: i64) {
        self.clock.0.fetch_add(milliseconds.max(0), Ordering::Relaxed);
    }

    /// Lets time pass until then, unless it is later already.
    pub fn pass_until(&self, at: Timestamp) {
        self.pass(at.as_millisecond().saturating_sub(self.now().as_millisecond()));
    }

    /// Takes a record in.
    pub fn record(&mut self, record: &Record) -> Result<u64, Trouble> {
        let (seq, at) = self.journal.next();
        let change = apply(&self.state, seq, at, record)?;
        let frame = NewFrame::of(record).map_err(Trouble::new)?;
        self.waiting.push_back(self.journal.submit(vec![Entry { frame, parts: Stored::of(&change) }])?);
        self.state.commit(change);
        self.summary.fold(seq, at, record);
        while self.waiting.len() > IN_FLIGHT {
            self.oldest()?;
        }
        Ok(seq)
    }

    fn oldest(&mut self) -> Result<(), Trouble> {
        if let Some(receipt) = self.waiting.pop_front() {
            block_on(receipt)?;
        }
        Ok(())
    }

    /// Makes everything durable, and checks that the ledger can be read to its end.
    pub fn close(mut self) -> Result<(), Trouble> {
        while !self.waiting.is_empty() {
            self.oldest()?;
        }
        let head = block_on(self.journal.write_head())?;
        let summary = serde_json::to_vec(&self.summary).map_err(Trouble::new)?;
        self.dir.write_summary(&summary).map_err(Trouble::new)?;
        block_on(self.journal.close())?;
        let reader = Reader::open_after(self.dir.disk(), &self.dir.ledger(), head.seq).map_err(Trouble::new)?;
        match reader.head() {
            Some(found) if found == head => Ok(()),
            _ => Err(Trouble::new("the ledger does not end where the journal says")),
        }
    }
}
