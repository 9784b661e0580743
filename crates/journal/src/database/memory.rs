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
        *self.inner() = Inner::default();
    }

    /// A copy as it is now, to go back to: a database that lost its latest writes.
    pub fn snapshot(&self) -> Self {
        Self(Arc::new(Mutex::new(self.inner().clone())))
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
        Ok(())
    }

    fn verify(&self) -> Result<(), JournalError> {
        Ok(())
    }
}
