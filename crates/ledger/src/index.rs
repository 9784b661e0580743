//! Finding a frame by its sequence number: the places of some frames, from which the reader walks on, and of all that were noted
//! last.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use crate::error::LedgerError;
use crate::frame::{Frame, Location};
use crate::reader::Reader;
use crate::storage::Disk;

/// One frame in this many is remembered.
const EVERY: u64 = 64;

/// So many of the last frames are remembered each: those of a run, which comes back to its own intents.
const RECENT: usize = 1 << 20;

/// The places of some frames.
#[derive(Clone, Debug, Default)]
pub struct Index {
    some: BTreeMap<u64, Location>,
    /// Without gaps.
    recent: VecDeque<Location>,
}

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
        if self.recent.back().is_some_and(|last| last.seq.saturating_add(1) != location.seq) {
            self.recent.clear();
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(location);
        let last = self.some.last_key_value().map(|(seq, _)| *seq);
        let wanted = last.is_none_or(|last| location.seq >= last.saturating_add(EVERY));
        if wanted {
            self.some.insert(location.seq, location);
        }
        wanted
    }

    /// Takes a place in that was remembered before.
    pub fn restore(&mut self, location: Location) {
        self.some.insert(location.seq, location);
    }

    /// As much of this index as is needed to find one frame.
    pub fn near(&self, seq: u64) -> Self {
        let exact = self.recent.front().and_then(|first| {
            let at = usize::try_from(seq.checked_sub(first.seq)?).ok()?;
            self.recent.get(at).copied()
        });
        let place = exact.or_else(|| self.some.range(..=seq).next_back().map(|(_, place)| *place));
        Self { some: place.map(|place| (place.seq, place)).into_iter().collect(), recent: VecDeque::new() }
    }

    /// The frame with this sequence number; `None` where the ledger has none.
    pub fn find(&self, disk: &Disk, ledger_dir: &Path, seq: u64) -> Result<Option<Frame>, LedgerError> {
        let mut reader = match self.some.range(..=seq).next_back() {
            Some((_, place)) if place.seq == seq => return Reader::read_at(disk, ledger_dir, *place).map(Some),
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
