//! A database in memory, for simulations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use untether_ledger::Location;

use super::{Batch, Database, EachPart, Mark, Sum};
use crate::error::JournalError;

/// A database in memory. Clones share it, so that it outlives the journal as files outlive a process.
#[derive(Clone, Debug, Default)]
pub struct MemoryDatabase(Arc<Mutex<Inner>>);

#[derive(Clone, Debug, Default)]
struct Inner {
    changes: u64,
    dies_at: Option<u64>,
    parts: BTreeMap<Vec<u8>, Vec<u8>>,
    places: Vec<Location>,
    mark: Option<Mark>,
}

impl MemoryDatabase {
    /// An empty database.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, as a database that was deleted.
    pub fn clear(&self) {
        let mut inner = self.inner();
        let (changes, dies_at) = (inner.changes, inner.dies_at);
        *inner = Inner { changes, dies_at, ..Inner::default() };
    }

    /// Changing operations (writes, syncs) so far.
    pub fn changes(&self) -> u64 {
        self.inner().changes
    }

    /// Lets the changing operation with this number (0 is the first ever) and all after it fail; `None` lets them go well again.
    pub fn die_at(&self, change: Option<u64>) {
        self.inner().dies_at = change;
    }

    /// A copy as it is now, to go back to: a database that lost its latest writes.
    pub fn snapshot(&self) -> Self {
        Self(Arc::new(Mutex::new(self.inner().clone())))
    }

    /// Counts a changing operation; an error where it is to fail.
    fn change(&self, operation: &'static str) -> Result<(), JournalError> {
        let mut inner = self.inner();
        inner.changes += 1;
        if inner.dies_at.is_some_and(|at| inner.changes > at) {
            let source = Arc::new(std::io::Error::other("a fault was injected"));
            return Err(JournalError::Database { operation, path: "memory".into(), source });
        }
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for MemoryDatabase {
    fn mark(&self) -> Result<Option<Mark>, JournalError> {
        Ok(self.inner().mark.clone())
    }

    fn part(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.inner().parts.get(key).cloned())
    }

    fn write(&mut self, batch: Batch, mark: &Mark) -> Result<(), JournalError> {
        self.change("write")?;
        let mut inner = self.inner();
        for (key, new) in batch.puts {
            match new.value() {
                Some(value) => inner.parts.insert(key, value.to_vec()),
                None => inner.parts.remove(&key),
            };
        }
        inner.places.extend(batch.places);
        inner.mark = Some(mark.clone());
        Ok(())
    }

    fn each_part(&self, prefix: &[u8], each: EachPart<'_>) -> Result<(), JournalError> {
        for (key, value) in self.inner().parts.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            each(key, value.clone());
        }
        Ok(())
    }

    fn shards(&self) -> Result<Option<BTreeMap<String, Sum>>, JournalError> {
        Ok(None)
    }

    fn places(&self) -> Result<Vec<Location>, JournalError> {
        Ok(self.inner().places.clone())
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.change("sync")
    }

    fn verify(&self) -> Result<(), JournalError> {
        Ok(())
    }
}
