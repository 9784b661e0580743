//! The one place where records are made: checks each against the state that includes all records already handed over, hands it
//! to the journal, and tells the outside only after it is durable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use untether_model::event::Event;
use untether_model::run::{Record, RunState, apply};

use crate::error::CutoverError;
use crate::ports::Journal;

/// Takes events.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Linearizes all records of a process, whoever makes them: there is one state.
pub struct Recorder {
    journal: Arc<dyn Journal>,
    listener: Mutex<Option<Listener>>,
    state: Mutex<RunState>,
    moved: watch::Sender<u64>,
}

impl Recorder {
    /// A recorder that goes on from this state.
    pub fn new(journal: Arc<dyn Journal>, state: RunState) -> Self {
        Self { journal, listener: Mutex::new(None), state: Mutex::new(state), moved: watch::Sender::new(0) }
    }

    /// From now on this one is told what happens; it must not block.
    pub fn listen(&self, listener: Listener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        // A panic while the lock is held cannot leave the state half changed: `commit` only inserts whole parts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state. The closure must be short: the lock is held, and never across an await.
    pub fn look<T>(&self, look: impl FnOnce(&RunState) -> T) -> T {
        look(&self.lock())
    }

    /// Records durably; comes back with the record's number.
    pub async fn record(&self, record: Record) -> Result<u64, CutoverError> {
        let (seq, at, receipt) = {
            let mut state = self.lock();
            let (seq, at) = self.journal.next();
            let change = apply(&state, seq, at, &record)?;
            let receipt = self.journal.submit(&record, &change).map_err(CutoverError::Journal)?;
            state.commit(change);
            (seq, at, receipt)
        };
        receipt.await.map_err(CutoverError::Journal)?;
        let moves = moves_batches(&record);
        self.tell(Event::Step { seq, at, record: Box::new(record) });
        if moves {
            self.nudge();
        }
        Ok(seq)
    }

    /// Tells what happens to whoever listens.
    pub fn tell(&self, event: Event) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            listener(event);
        }
    }

    /// Changes whenever a record has become durable by which another batch may go on.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Wakes whoever waits for another batch, for instance because that one came to its end.
    pub fn nudge(&self) {
        self.moved.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Whether other batches may wait for a record of this kind. Those of single operations, by far the most, wake nobody.
fn moves_batches(record: &Record) -> bool {
    !matches!(record, Record::Started { .. } | Record::Outcome { .. } | Record::Observed { .. } | Record::RosterRead { .. })
}
