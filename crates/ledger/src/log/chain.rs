//! The next frames of a ledger, as bytes: sequence numbers, hashes, times, and where a segment ends.
//!
//! Pure but for the clock that it is handed: what it gives out still has to be written, in the same order, by an
//! [`Appender`](super::Appender). So a sequence number is known before its record is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Appended, ClockPolicy, TOLERATED_SKEW};
use crate::clock::Clock;
use crate::error::LedgerError;
use crate::frame::{self, Location, NewFrame, SEGMENT_OPENED, SEGMENT_SEALED, Seam, Stamp};
use crate::head::Head;

/// Bytes to be appended to one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The segment; one higher than that of the piece before where it begins a segment.
    pub segment: u32,
    /// Whole frames.
    pub bytes: Vec<u8>,
}

/// Where a ledger ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) head: Head,
    pub(super) location: Location,
    pub(super) wall: Timestamp,
    pub(super) segment: u32,
    pub(super) length: u64,
}

/// Makes the frames of a ledger.
pub struct Chain {
    clock: Arc<dyn Clock>,
    policy: ClockPolicy,
    segment_bytes: u64,
    end: End,
    kinds: BTreeSet<String>,
    told: Option<Told>,
}

/// What [`Chain::tell_next`] told, for the append that follows it.
#[derive(Clone, Copy, Debug)]
struct Told {
    seq: u64,
    wall: Timestamp,
    skew: Option<SignedDuration>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("end", &self.end).field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Chain {
    pub(super) fn new(clock: Arc<dyn Clock>, policy: ClockPolicy, segment_bytes: u64, end: End, kinds: BTreeSet<String>) -> Self {
        Self { clock, policy, segment_bytes, end, kinds, told: None }
    }

    pub(super) fn end(&self) -> &End {
        &self.end
    }

    /// The last frame that was made.
    pub fn head(&self) -> Head {
        self.end.head
    }

    /// Where the last frame is.
    pub fn head_location(&self) -> Location {
        self.end.location
    }

    /// The last frame's wall time.
    pub fn head_wall(&self) -> Timestamp {
        self.end.wall
    }

    /// Decides what a clock that is behind means.
    pub fn set_clock_policy(&mut self, policy: ClockPolicy) {
        self.policy = policy;
        self.told = None;
    }

    /// Sequence number and time that the next record gets. The next [`Chain::add`] keeps to it. Where the clock is too far behind,
    /// the last record's time is told, and the append is refused.
    pub fn tell_next(&mut self) -> (u64, Timestamp) {
        let told = match self.judge_clock() {
            Ok(told) => told,
            Err(_) => return (self.end.head.seq + 1, self.end.wall),
        };
        self.told = Some(told);
        (told.seq, told.wall)
    }

    /// Makes the frames of some records and appends the pieces to be written.
    ///
    /// # Errors
    /// Where it fails nothing has changed.
    pub fn add(&mut self, records: &[NewFrame], pieces: &mut Vec<Piece>) -> Result<Appended, LedgerError> {
        let Told { wall, skew, .. } = match self.told.take().filter(|told| told.seq == self.end.head.seq + 1) {
            Some(told) => told,
            None => self.judge_clock()?,
        };
        let before = (self.end.clone(), pieces.len(), pieces.last().map(|piece| piece.bytes.len()));
        match self.add_all(records, wall, pieces) {
            Ok(locations) => {
                if self.policy == ClockPolicy::Accept {
                    self.policy = ClockPolicy::Refuse;
                }
                Ok(Appended { locations, skew })
            }
            Err(error) => {
                let (end, count, last) = before;
                self.end = end;
                pieces.truncate(count);
                if let (Some(piece), Some(length)) = (pieces.last_mut(), last) {
                    piece.bytes.truncate(length);
                }
                Err(error)
            }
        }
    }

    fn add_all(&mut self, records: &[NewFrame], wall: Timestamp, pieces: &mut Vec<Piece>) -> Result<Vec<Location>, LedgerError> {
        let mut locations = Vec::with_capacity(records.len());
        for record in records {
            locations.push(self.add_one(record, wall, pieces)?);
            if !self.kinds.contains(record.kind()) {
                self.kinds.insert(record.kind().to_owned());
            }
            if self.end.length >= self.segment_bytes {
                let seal = self.seal(wall, pieces)?;
                self.begin_segment(seal, wall, pieces)?;
            }
        }
        Ok(locations)
    }

    fn seal(&mut self, wall: Timestamp, pieces: &mut Vec<Piece>) -> Result<Seam, LedgerError> {
        let seal = Seam { length: self.end.length, last: self.end.head.hash, kinds: Vec::new() };
        self.add_one(&NewFrame::new(SEGMENT_SEALED, &seal)?, wall, pieces)?;
        Ok(seal)
    }

    /// The first frame of the segment after a sealed one.
    pub(super) fn begin_segment(&mut self, seal: Seam, wall: Timestamp, pieces: &mut Vec<Piece>) -> Result<(), LedgerError> {
        let seam = Seam { kinds: self.kinds.iter().cloned().collect(), ..seal };
        self.end.segment = self.end.segment.saturating_add(1);
        self.end.length = 0;
        self.add_one(&NewFrame::new(SEGMENT_OPENED, &seam)?, wall, pieces)?;
        Ok(())
    }

    fn add_one(&mut self, record: &NewFrame, wall: Timestamp, pieces: &mut Vec<Piece>) -> Result<Location, LedgerError> {
        let End { head, segment, length, .. } = self.end;
        let mut piece = match pieces.pop() {
            Some(piece) if piece.segment == segment => piece,
            other => {
                pieces.extend(other);
                Piece { segment, bytes: Vec::new() }
            }
        };
        let begin = piece.bytes.len();
        let mono_us = u64::try_from(self.clock.mono().as_micros()).unwrap_or(u64::MAX);
        let seq = head.seq + 1;
        let stamp = Stamp { seq, prev: head.hash, wall, mono_us, boot: self.clock.boot() };
        let encoded = frame::encode(&stamp, record, &mut piece.bytes);
        let length_after = length + (piece.bytes.len() - begin) as u64;
        pieces.push(piece);
        let location = Location { seq, segment, offset: length };
        self.end = End { head: Head { seq, hash: encoded? }, location, wall, segment, length: length_after };
        Ok(location)
    }

    /// The time to write, and how far the clock is behind where the last record's time is used.
    fn judge_clock(&self) -> Result<Told, LedgerError> {
        let seq = self.end.head.seq + 1;
        let wall = to_milliseconds(self.clock.wall());
        let behind = self.end.wall.duration_since(wall);
        if behind <= SignedDuration::ZERO || self.policy == ClockPolicy::Accept {
            return Ok(Told { seq, wall, skew: None });
        }
        if behind > TOLERATED_SKEW && self.policy == ClockPolicy::Refuse {
            return Err(LedgerError::ClockBehind { wall, head: self.end.wall, behind_seconds: behind.as_secs() });
        }
        Ok(Told { seq, wall: self.end.wall, skew: Some(behind) })
    }

    /// Whether the clock allows an append now.
    pub(super) fn check_clock(&self) -> Result<Timestamp, LedgerError> {
        Ok(self.judge_clock()?.wall)
    }
}

/// Frames carry milliseconds.
pub(super) fn to_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
