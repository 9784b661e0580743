//! Appending to the ledger: chained frames in segment files, durable after [`Log::sync`].
//!
//! The log does not know who calls it, does not lock (see [`crate::lock`]) and never writes over what it wrote.

mod create;
pub(crate) mod open;
pub(crate) mod segment;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use untether_model::StateId;

use crate::clock::Clock;
use crate::error::LedgerError;
use crate::frame::{self, Location, NewFrame, SEGMENT_OPENED, SEGMENT_SEALED, Seam, Stamp};
use crate::head::{self, Head};
use crate::storage::{Disk, DiskFile, Open};

pub use create::CreateLog;
pub use open::{LogOpened, Loss, OpenLog, Torn};

/// Version of the state directory's format.
pub const FORMAT_VERSION: u32 = 1;

/// A segment is closed before it grows past this.
pub const SEGMENT_BYTES: u64 = 256 << 20;

/// How far the clock may be behind the last record; then that record's time is used.
pub const TOLERATED_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What happens when the clock is behind the last record by more than [`TOLERATED_SKEW`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockPolicy {
    /// Nothing is appended.
    #[default]
    Refuse,
    /// The last record's time is used, however far behind the clock is: a rollback never waits for the clock.
    HoldHead,
    /// The clock's time is used for the next append, and the policy then becomes `Refuse`: a person accepted the clock.
    Accept,
}

/// What was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where each record is, in the order given.
    pub locations: Vec<Location>,
    /// The clock was behind the last record by this much, and that record's time was used.
    pub skew: Option<SignedDuration>,
}

/// An open ledger.
pub struct Log {
    disk: Disk,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    policy: ClockPolicy,
    segment_bytes: u64,
    state: StateId,
    file: DiskFile,
    segment: u32,
    length: u64,
    head: Head,
    head_location: Location,
    head_wall: Timestamp,
    kinds: BTreeSet<String>,
    buffer: Vec<u8>,
    poisoned: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).field("head", &self.head).field("poisoned", &self.poisoned).finish()
    }
}

/// A size that the JSON around a body does not exceed in practice; only decides when a segment is closed.
const ENVELOPE_BYTES: u64 = 320;

impl Log {
    /// The state's identity.
    pub fn state(&self) -> &StateId {
        &self.state
    }

    /// The last frame.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Where the last frame is.
    pub fn head_location(&self) -> Location {
        self.head_location
    }

    /// The last frame's wall time.
    pub fn head_wall(&self) -> Timestamp {
        self.head_wall
    }

    /// The ledger's directory.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// The storage that it lies on.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Decides what a clock that is behind means.
    pub fn set_clock_policy(&mut self, policy: ClockPolicy) {
        self.policy = policy;
    }

    /// Appends records. They are durable only after [`Log::sync`].
    ///
    /// # Errors
    /// After [`LedgerError::ClockBehind`], [`LedgerError::TooLarge`] and [`LedgerError::Encode`] nothing was appended and the log
    /// can go on; after any other error it is poisoned.
    pub fn append(&mut self, records: &[NewFrame]) -> Result<Appended, LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned);
        }
        let (wall, skew) = self.judge_clock()?;
        let estimate: u64 = records.iter().map(|record| record.body().len() as u64 + ENVELOPE_BYTES).sum();
        if self.length > 0 && self.length.saturating_add(estimate) > self.segment_bytes {
            self.roll(wall)?;
        }
        let locations = self.put(wall, records)?;
        for record in records {
            if !self.kinds.contains(record.kind()) {
                self.kinds.insert(record.kind().to_owned());
            }
        }
        if self.policy == ClockPolicy::Accept {
            self.policy = ClockPolicy::Refuse;
        }
        Ok(Appended { locations, skew })
    }

    /// Makes everything durable that was appended. After an error what is durable is not known: the log is poisoned, and a sync is
    /// never tried again, because a system forgets what it failed to write.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned);
        }
        let synced = self.file.sync();
        self.poisoned |= synced.is_err();
        Ok(synced?)
    }

    /// Replaces the second witness by the present head, after a sync.
    pub fn write_head(&mut self) -> Result<Head, LedgerError> {
        self.sync()?;
        head::write(&self.disk, &self.dir, &self.head)?;
        Ok(self.head)
    }

    /// The time to write, and how far the clock is behind where the last record's time is used.
    fn judge_clock(&self) -> Result<(Timestamp, Option<SignedDuration>), LedgerError> {
        let wall = to_milliseconds(self.clock.wall());
        let behind = self.head_wall.duration_since(wall);
        if behind <= SignedDuration::ZERO || self.policy == ClockPolicy::Accept {
            return Ok((wall, None));
        }
        if behind > TOLERATED_SKEW && self.policy == ClockPolicy::Refuse {
            return Err(LedgerError::ClockBehind { wall, head: self.head_wall, behind_seconds: behind.as_secs() });
        }
        Ok((self.head_wall, Some(behind)))
    }

    /// Encodes and writes; the head moves only when all is written.
    fn put(&mut self, wall: Timestamp, records: &[NewFrame]) -> Result<Vec<Location>, LedgerError> {
        self.buffer.clear();
        let mono_us = u64::try_from(self.clock.mono().as_micros()).unwrap_or(u64::MAX);
        let mut head = self.head;
        let mut locations = Vec::with_capacity(records.len());
        for record in records {
            let seq = head.seq + 1;
            locations.push(Location { seq, segment: self.segment, offset: self.length + self.buffer.len() as u64 });
            let stamp = Stamp { seq, prev: head.hash, wall, mono_us, boot: self.clock.boot() };
            head = Head { seq, hash: frame::encode(&stamp, record, &mut self.buffer)? };
        }
        if let Err(error) = self.file.append(&self.buffer) {
            self.poisoned = true;
            return Err(error.into());
        }
        self.length += self.buffer.len() as u64;
        self.head = head;
        self.head_location = locations.last().copied().unwrap_or(self.head_location);
        self.head_wall = wall;
        Ok(locations)
    }

    /// Closes the segment with a seal and begins the next one with its repetition.
    fn roll(&mut self, wall: Timestamp) -> Result<(), LedgerError> {
        let seal = Seam { length: self.length, last: self.head.hash, kinds: Vec::new() };
        self.put(wall, &[NewFrame::new(SEGMENT_SEALED, &seal)?])?;
        self.sync()?;
        self.begin_segment(wall, seal)
    }

    /// Begins the segment after a sealed one. Whatever fails here poisons the log.
    fn begin_segment(&mut self, wall: Timestamp, seal: Seam) -> Result<(), LedgerError> {
        let poisoned = std::mem::replace(&mut self.poisoned, true);
        let number = self.segment.saturating_add(1);
        self.file = self.disk.open(&segment::path(&self.dir, number), Open::Create)?;
        self.disk.sync_dir(&self.dir)?;
        self.segment = number;
        self.length = 0;
        self.repeat_seal(wall, seal)?;
        self.poisoned = poisoned;
        Ok(())
    }

    fn repeat_seal(&mut self, wall: Timestamp, seal: Seam) -> Result<(), LedgerError> {
        let seam = Seam { kinds: self.kinds.iter().cloned().collect(), ..seal };
        self.put(wall, &[NewFrame::new(SEGMENT_OPENED, &seam)?])?;
        Ok(())
    }
}

/// Frames carry milliseconds.
fn to_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
