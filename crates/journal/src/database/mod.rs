//! The database as its writer sees it: parts of the state, places of frames, and up to which record they are applied.

mod memory;
mod sled;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use untether_ledger::Location;
use untether_model::StateId;
use untether_model::digest::{Digest, Hasher};

pub use memory::MemoryDatabase;
pub(crate) use sled::{Opening, SledDatabase};

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
    /// What is stored under each key from now on.
    pub puts: BTreeMap<Vec<u8>, New>,
    /// Places of frames.
    pub places: Vec<Location>,
}

/// What is stored under a key from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum New {
    /// A part; `None` removes it.
    Part(Option<Vec<u8>>),
    /// A record. Records are many, and are read and checked shard by shard, not all of them at each opening.
    Record {
        /// Its value.
        value: Vec<u8>,
        /// The shard that it belongs to.
        shard: String,
        /// Value and shard before.
        replaces: Option<(Vec<u8>, String)>,
    },
}

impl New {
    pub(crate) fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Part(value) => value.as_deref(),
            Self::Record { value, .. } => Some(value),
        }
    }
}

/// How the keys of records begin; those of parts do not.
pub(crate) const RECORDS: &[u8] = b"s/";

/// The sum of the digests of some entries, in whatever order they came and went: what is missing, or older than it should be, does
/// not add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum(pub u128);

impl Sum {
    fn of(key: &[u8], value: &[u8]) -> u128 {
        let mut hasher = Hasher::new();
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(value);
        let digest = hasher.finish();
        digest.as_bytes().first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
    }

    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(Self::of(key, value));
    }

    pub(crate) fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(Self::of(key, value));
    }
}

/// What is said of a database that lost what it had taken.
pub(crate) const NOT_GIVEN_BACK: &str =
    "it does not give back what was written to it; run the same command again: it is made again from the ledger";

/// Receives the key and the value of a part.
pub(crate) type EachPart<'a> = &'a mut dyn FnMut(&[u8], Vec<u8>);

pub(crate) trait Database: Send {
    /// Where the database stands; `None` for an empty one.
    fn mark(&self) -> Result<Option<Mark>, JournalError>;

    /// The value of a part or of a record.
    fn part(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError>;

    /// Stores all of it or nothing. Not yet safe from power loss.
    fn write(&mut self, batch: Batch, mark: &Mark) -> Result<(), JournalError>;

    /// The parts whose keys begin so, in the order of their keys.
    fn each_part(&self, prefix: &[u8], each: EachPart<'_>) -> Result<(), JournalError>;

    /// What the records of each shard must add up to; `None` where that is not kept, because nothing can get lost.
    fn shards(&self) -> Result<Option<BTreeMap<String, Sum>>, JournalError>;

    /// The places of frames, ascending.
    fn places(&self) -> Result<Vec<Location>, JournalError>;

    /// Makes everything durable.
    fn sync(&mut self) -> Result<(), JournalError>;

    /// Whether it gives back the parts that were written to it. A damaged sled may open, take what it is given, and lose it.
    fn verify(&self) -> Result<(), JournalError>;
}
