//! The database as the writer sees it: parts of the state, places of frames, and up to which record they are applied.

mod memory;
mod sled;

use serde::{Deserialize, Serialize};
use untether_ledger::Location;
use untether_model::StateId;
use untether_model::digest::Digest;

pub use memory::MemoryDatabase;
pub(crate) use sled::{Opening, SledDatabase};

use crate::entry::Put;
use crate::error::JournalError;

/// Up to which record the parts are applied, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The state.
    pub state: StateId,
    /// Version of the parts' keys and values.
    pub parts_version: u32,
    /// The last frame that is applied.
    pub location: Location,
    /// Its hash.
    pub hash: Digest,
}

/// What changes at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Parts, in order; the last one of a key counts.
    pub puts: Vec<Put>,
    /// Places of frames.
    pub places: Vec<Location>,
}

/// Receives the key and the value of a part.
pub(crate) type EachPart<'a> = &'a mut dyn FnMut(&[u8], Vec<u8>);

pub(crate) trait Database: Send {
    /// Where the database stands; `None` for an empty one.
    fn mark(&self) -> Result<Option<Mark>, JournalError>;

    /// Stores all of it or nothing. Not yet safe from power loss.
    fn write(&mut self, batch: Batch, mark: &Mark) -> Result<(), JournalError>;

    /// The parts whose keys begin so, in the order of their keys.
    fn each_part(&self, prefix: &[u8], each: EachPart<'_>) -> Result<(), JournalError>;

    /// The places of frames, ascending.
    fn places(&self) -> Result<Vec<Location>, JournalError>;

    /// Makes everything durable.
    fn sync(&mut self) -> Result<(), JournalError>;

    /// Whether it gives back what was written to it. A damaged sled may open, take what it is given, and lose it.
    fn verify(&self) -> Result<(), JournalError>;
}
