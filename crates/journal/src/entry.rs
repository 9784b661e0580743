//! What is handed to the journal.

use untether_ledger::NewFrame;
use untether_model::run::{Change, Part};

/// A part of the state as it is from now on, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The part's key.
    pub key: Vec<u8>,
    /// Its value; `None` removes the part.
    pub value: Option<Vec<u8>>,
}

impl Put {
    /// The part has this value.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }

    /// There is no such part any more.
    pub fn remove(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: None }
    }
}

/// What is stored of a change. A part of the run's state becomes bytes only when the database is written, which is later and in
/// another thread (see `layout`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Bytes under a key.
    Put(Put),
    /// A part of the run's state.
    Part(Box<Part>),
}

impl From<Put> for Stored {
    fn from(put: Put) -> Self {
        Self::Put(put)
    }
}

impl From<Part> for Stored {
    fn from(part: Part) -> Self {
        Self::Part(Box::new(part))
    }
}

impl Stored {
    /// What a change of the run's state stores.
    pub fn of(change: &Change) -> Vec<Self> {
        change.parts.iter().cloned().map(Self::from).collect()
    }
}

/// A record, and what it changes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub frame: NewFrame,
    /// The parts of the state that it changes.
    pub parts: Vec<Stored>,
}
