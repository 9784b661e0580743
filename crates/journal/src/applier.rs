//! Applies what is durable to the database: gathered, so that a part that changes often is written once, and behind the ledger, so
//! that nobody who waits for the ledger ever waits for the database.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use untether_ledger::Location;

use crate::database::{Batch, Database, Mark, New, Sum};
use crate::entry::Stored;
use crate::error::JournalError;
use crate::layout;

/// Records after which what was gathered is written…
const RECORDS_A_WRITE: u64 = 8_192;

/// …or after this time.
const GATHERED: Duration = Duration::from_secs(1);

/// The database is made durable after so long without work…
const IDLE: Duration = Duration::from_millis(500);

/// …or after so many records.
const RECORDS_A_SYNC: u64 = 50_000;

/// Parts with their keys.
pub(crate) type Parts = Vec<(Vec<u8>, Vec<u8>)>;

/// What some durable records change.
pub(crate) struct Applied {
    pub(crate) records: u64,
    pub(crate) parts: Vec<Stored>,
    pub(crate) places: Vec<Location>,
    /// Where the database stands afterwards.
    pub(crate) mark: Mark,
}

/// What the applier's thread is asked for.
pub(crate) enum Request {
    Apply(Applied),
    /// The parts whose keys begin so.
    Parts(Vec<u8>, oneshot::Sender<Result<Parts, JournalError>>),
    Close(oneshot::Sender<Result<(), JournalError>>),
}

/// The database, and what is not written to it yet.
pub(crate) struct Applier {
    database: Box<dyn Database>,
    gathered: BTreeMap<Vec<u8>, Vec<Stored>>,
    places: Vec<Location>,
    mark: Option<Mark>,
    unwritten: u64,
    unsynced: u64,
    /// Records that were written since they are kept in mind to be read back.
    written: Option<BTreeMap<Vec<u8>, Sum>>,
}

impl Applier {
    pub(crate) fn new(database: Box<dyn Database>) -> Self {
        Self { database, gathered: BTreeMap::new(), places: Vec::new(), mark: None, unwritten: 0, unsynced: 0, written: None }
    }

    /// What was written so far.
    pub(crate) fn database(&self) -> &dyn Database {
        self.database.as_ref()
    }

    /// From now on keeps in mind which records are written.
    pub(crate) fn keep_in_mind(&mut self) {
        self.written = Some(BTreeMap::new());
    }

    /// Whether the database gives back its parts, and the records that were written since they are kept in mind.
    pub(crate) fn verify(&mut self) -> Result<(), JournalError> {
        self.database.verify()?;
        for (key, expected) in self.written.take().into_iter().flatten() {
            let mut sum = Sum::default();
            if let Some(value) = self.database.part(&key)? {
                sum.add(&key, &value);
            }
            if sum != expected {
                return Err(JournalError::Lost);
            }
        }
        Ok(())
    }

    /// Takes changes in, to be written later.
    pub(crate) fn gather(&mut self, applied: Applied) {
        for part in applied.parts {
            let key = layout::key(&part);
            let changes = self.gathered.entry(key).or_default();
            if !layout::needs_old(&part) {
                changes.clear();
            }
            changes.push(part);
        }
        self.places.extend(applied.places);
        self.mark = Some(applied.mark);
        self.unwritten += applied.records;
    }

    /// Writes what was gathered.
    pub(crate) fn write(&mut self) -> Result<(), JournalError> {
        let Some(mark) = self.mark.take() else { return Ok(()) };
        let mut batch = Batch { places: std::mem::take(&mut self.places), ..Batch::default() };
        for (key, changes) in std::mem::take(&mut self.gathered) {
            let old = if changes.iter().any(layout::needs_old) { self.database.part(&key)? } else { None };
            let new = layout::merge(changes, old).map_err(JournalError::Layout)?;
            if let (Some(written), New::Record { value, .. }) = (&mut self.written, &new) {
                let mut sum = Sum::default();
                sum.add(&key, value);
                written.insert(key.clone(), sum);
            }
            batch.puts.insert(key, new);
        }
        self.database.write(batch, &mark)?;
        self.unsynced += std::mem::take(&mut self.unwritten);
        if self.unsynced >= RECORDS_A_SYNC { self.sync() } else { Ok(()) }
    }

    /// Writes what was gathered, once it is enough.
    pub(crate) fn write_if_due(&mut self) -> Result<bool, JournalError> {
        let due = self.unwritten >= RECORDS_A_WRITE;
        if due {
            self.write()?;
        }
        Ok(due)
    }

    pub(crate) fn parts(&mut self, prefix: &[u8]) -> Result<Parts, JournalError> {
        self.write()?;
        let mut parts = Parts::new();
        self.database.each_part(prefix, &mut |key, value| parts.push((key.to_vec(), value)))?;
        Ok(parts)
    }

    /// Leaves everything durable.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        self.write()?;
        self.sync()
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.database.sync()?;
        self.unsynced = 0;
        Ok(())
    }
}

/// The thread's work. Ends when it is closed, when nobody can hand over anything any more, and at the first error.
pub(crate) fn run(mut applier: Applier, inbox: &Receiver<Request>, failed: impl Fn(JournalError)) {
    let mut since: Option<Instant> = None;
    loop {
        let wait = since.map_or(IDLE, |since| GATHERED.saturating_sub(since.elapsed()));
        let done = match inbox.recv_timeout(wait) {
            Ok(Request::Apply(applied)) => {
                applier.gather(applied);
                since.get_or_insert_with(Instant::now);
                applier.write_if_due().map(|written| {
                    if written {
                        since = None;
                    }
                })
            }
            Err(RecvTimeoutError::Timeout) if since.take().is_some() => applier.write(),
            Err(RecvTimeoutError::Timeout) if applier.unsynced > 0 => applier.sync(),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(Request::Parts(prefix, reply)) => {
                since = None;
                drop(reply.send(applier.parts(&prefix)));
                Ok(())
            }
            Ok(Request::Close(reply)) => {
                drop(reply.send(applier.close()));
                return;
            }
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = applier.close() {
                    failed(error);
                }
                return;
            }
        };
        if let Err(error) = done {
            return failed(error);
        }
    }
}
