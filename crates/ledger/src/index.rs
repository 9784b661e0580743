//! Finding a frame by its sequence number: the places of some frames, from which the reader walks on.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::LedgerError;
use crate::frame::{Frame, Location};
use crate::reader::Reader;
use crate::storage::Disk;

/// One frame in this many is remembered.
const EVERY: u64 = 64;

/// The places of some frames.
#[derive(Clone, Debug, Default)]
pub struct Index(BTreeMap<u64, Location>);

impl Index {
    /// An index that knows no place.
    pub fn new() -> Self {
        Self::default()
    }

    /// Walks over a whole ledger, for who has no index of it.
    pub fn build(disk: &Disk, ledger_dir: &Path) -> Result<Self, LedgerError> {
        let mut index = Self::new();
        let mut reader = Reader::open(disk, ledger_dir)?;
        while let Some(frame) = reader.next_frame()? {
            index.note(frame.location);
        }
        Ok(index)
    }

    /// Tells the place of a frame, in ascending order; `true` where it is one to be remembered (and to be stored by who stores an
    /// index).
    pub fn note(&mut self, location: Location) -> bool {
        let last = self.0.last_key_value().map(|(seq, _)| *seq);
        let wanted = last.is_none_or(|last| location.seq >= last.saturating_add(EVERY));
        if wanted {
            self.0.insert(location.seq, location);
        }
        wanted
    }

    /// Takes a place in that was remembered before.
    pub fn restore(&mut self, location: Location) {
        self.0.insert(location.seq, location);
    }

    /// As much of this index as is needed to find one frame.
    pub fn near(&self, seq: u64) -> Self {
        Self(self.0.range(..=seq).next_back().map(|(seq, place)| (*seq, *place)).into_iter().collect())
    }

    /// The frame with this sequence number; `None` where the ledger has none.
    pub fn find(&self, disk: &Disk, ledger_dir: &Path, seq: u64) -> Result<Option<Frame>, LedgerError> {
        let mut reader = match self.0.range(..=seq).next_back() {
            Some((_, place)) => Reader::open_at(disk, ledger_dir, *place)?,
            None => Reader::open(disk, ledger_dir)?,
        };
        while let Some(frame) = reader.next_frame()? {
            if frame.seq() >= seq {
                return Ok(Some(frame).filter(|frame| frame.seq() == seq));
            }
        }
        Ok(None)
    }
}
