//! Reading frames in order, also while another process appends. Knows nothing of locks: looking never needs one.

use std::path::{Path, PathBuf};

use crate::error::{Damage, LedgerError};
use crate::frame::{self, Frame, Location, SEGMENT_OPENED, SEGMENT_SEALED, Seam};
use crate::head::Head;
use crate::log::Torn;
use crate::log::segment::{self, Step, Walk};
use crate::storage::Disk;

/// Reads a ledger from some place on, checking the chain as it goes.
///
/// [`Reader::next_frame`] gives `None` at the last complete frame; asked again later, it goes on with what was appended since.
#[derive(Debug)]
pub struct Reader {
    disk: Disk,
    dir: PathBuf,
    walk: Walk,
    segment: u32,
    last: Option<Last>,
    torn: Option<Torn>,
}

#[derive(Clone, Debug)]
struct Last {
    head: Head,
    /// What the frame said, where it is a seal.
    seal: Option<Seam>,
}

/// What there is after the end of a segment.
enum Next {
    /// The next segment; the reader is in it now.
    Moved,
    /// Nothing yet.
    None,
    /// A next segment, though this one has no seal.
    Unsealed,
}

impl Reader {
    /// Reads from the first frame on.
    pub fn open(disk: &Disk, ledger_dir: &Path) -> Result<Self, LedgerError> {
        Self::begin(disk, ledger_dir, Location { seq: 0, segment: 1, offset: 0 })
    }

    /// Reads from this frame on, which is checked to be the one with this sequence number.
    pub fn open_at(disk: &Disk, ledger_dir: &Path, location: Location) -> Result<Self, LedgerError> {
        let mut reader = Self::begin(disk, ledger_dir, location)?;
        match reader.walk.step()? {
            Step::Frame(frame) if frame.seq() == location.seq => {}
            Step::Frame(frame) => {
                let damage = Damage::Sequence { expected: location.seq, found: frame.seq() };
                return Err(reader.damaged(location.offset, damage));
            }
            Step::End | Step::Bad(_) => return Err(reader.damaged(location.offset, Damage::Incomplete)),
            Step::Newer(version) => return Err(newer(version)),
        }
        reader.walk.rewind(location.offset);
        Ok(reader)
    }

    /// Reads the frames after this sequence number (0: all). Where it is past the end, nothing comes until the ledger has grown.
    pub fn open_after(disk: &Disk, ledger_dir: &Path, seq: u64) -> Result<Self, LedgerError> {
        let mut segment = 1;
        for number in segment::numbers(disk, ledger_dir)? {
            let mut walk = Walk::open(disk, ledger_dir, number)?;
            match walk.step()? {
                Step::Frame(frame) if frame.seq() <= seq.max(1) => segment = number,
                Step::Frame(_) | Step::End | Step::Bad(_) | Step::Newer(_) => break,
            }
        }
        let mut reader = Self::begin(disk, ledger_dir, Location { seq: 0, segment, offset: 0 })?;
        while reader.last.as_ref().map_or(0, |last| last.head.seq) < seq {
            if reader.next_frame()?.is_none() {
                break;
            }
        }
        Ok(reader)
    }

    /// Reads from this place on, without knowing what comes before.
    pub(crate) fn begin(disk: &Disk, dir: &Path, at: Location) -> Result<Self, LedgerError> {
        let mut walk = match Walk::open(disk, dir, at.segment) {
            Err(LedgerError::Storage(error)) if error.is_missing() && at.segment == 1 => {
                return Err(LedgerError::Missing(dir.to_path_buf()));
            }
            other => other?,
        };
        walk.rewind(at.offset);
        Ok(Self { disk: disk.clone(), dir: dir.to_path_buf(), walk, segment: at.segment, last: None, torn: None })
    }

    /// The frame at this place, which is checked to be the one with this sequence number.
    pub fn read_at(disk: &Disk, ledger_dir: &Path, location: Location) -> Result<Frame, LedgerError> {
        let damaged = |damage| {
            Err(LedgerError::Damaged { path: segment::path(ledger_dir, location.segment), offset: location.offset, damage })
        };
        let mut walk = Walk::open(disk, ledger_dir, location.segment)?.for_one_frame();
        walk.rewind(location.offset);
        match walk.step()? {
            Step::Frame(frame) if frame.seq() == location.seq => Ok(frame),
            Step::Frame(frame) => damaged(Damage::Sequence { expected: location.seq, found: frame.seq() }),
            Step::End | Step::Bad(_) => damaged(Damage::Incomplete),
            Step::Newer(version) => Err(newer(version)),
        }
    }

    /// The next complete frame; `None` where there is none yet.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, LedgerError> {
        self.torn = None;
        // What looks broken may have been written between two looks of ours, so it is looked at once more.
        let mut second_look = false;
        loop {
            let offset = self.walk.offset();
            let broken = match self.walk.step()? {
                Step::Frame(frame) => {
                    if let Err(error) = self.follow(&frame) {
                        self.walk.rewind(offset);
                        return Err(error);
                    }
                    return Ok(Some(frame));
                }
                Step::Newer(version) => return Err(newer(version)),
                Step::End => match self.next_segment()? {
                    Next::Moved => continue,
                    Next::None => return Ok(None),
                    Next::Unsealed => Damage::Seal("the segment does not end with one"),
                },
                Step::Bad(damage) => {
                    let next = segment::path(&self.dir, self.segment.saturating_add(1));
                    if damage.is_tear() && !self.disk.exists(&next)? && !self.walk.frame_follows()? {
                        let bytes = self.walk.length()?.saturating_sub(offset);
                        self.torn = Some(Torn { segment: self.segment, offset, bytes });
                        return Ok(None);
                    }
                    damage
                }
            };
            if second_look {
                return Err(self.damaged(offset, broken));
            }
            second_look = true;
        }
    }

    /// An incomplete frame that [`Reader::next_frame`] met at the end: another process is writing it, or died doing so.
    pub fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// The last frame that was read.
    pub fn head(&self) -> Option<Head> {
        self.last.as_ref().map(|last| last.head)
    }

    fn next_segment(&mut self) -> Result<Next, LedgerError> {
        let number = self.segment.saturating_add(1);
        let path = segment::path(&self.dir, number);
        let is_last = || Ok::<_, LedgerError>(segment::numbers(&self.disk, &self.dir)?.last().is_none_or(|last| *last <= number));
        if !self.disk.exists(&path)? {
            if is_last()? {
                return Ok(Next::None);
            }
            // A writer may have begun it, and the one after it, between the two looks.
            if !self.disk.exists(&path)? {
                return Err(LedgerError::Damaged { path, offset: 0, damage: Damage::MissingSegment });
            }
        }
        // Where nothing was read of it, it is empty, and a segment with one after it never is.
        if self.last.as_ref().is_none_or(|last| last.seal.is_none()) {
            return Ok(Next::Unsealed);
        }
        let walk = Walk::open(&self.disk, &self.dir, number)?;
        if walk.length()? == 0 {
            if !is_last()? && walk.length()? == 0 {
                return Err(LedgerError::Damaged { path, offset: 0, damage: Damage::Incomplete });
            }
            // It was created and its first frame is not there yet: asked again later, this one's end is met again.
            return Ok(Next::None);
        }
        self.walk = walk;
        self.segment = number;
        Ok(Next::Moved)
    }

    /// Checks that the frame follows from the one before it.
    fn follow(&mut self, frame: &Frame) -> Result<(), LedgerError> {
        let damage = match &self.last {
            None => begins(frame),
            Some(last) if frame.seq() != last.head.seq.saturating_add(1) => {
                Some(Damage::Sequence { expected: last.head.seq.saturating_add(1), found: frame.seq() })
            }
            Some(last) if frame.prev != last.head.hash => Some(Damage::Chain),
            Some(Last { seal: Some(seal), .. }) => opens(frame, seal),
            Some(Last { seal: None, .. }) if frame.kind == SEGMENT_OPENED || frame.location.offset == 0 => {
                Some(Damage::Seal("the segment before has none"))
            }
            Some(_) => None,
        };
        if let Some(damage) = damage {
            return Err(self.damaged(frame.location.offset, damage));
        }
        let mut seal = None;
        if frame.kind == SEGMENT_SEALED {
            let seam: Seam =
                frame.read_body().map_err(|error| self.damaged(frame.location.offset, Damage::Json(error.to_string())))?;
            if seam.length != frame.location.offset || seam.last != frame.prev {
                return Err(self.damaged(frame.location.offset, Damage::Seal("it does not fit the segment")));
            }
            seal = Some(seam);
        }
        self.last = Some(Last { head: Head { seq: frame.seq(), hash: frame.hash }, seal });
        Ok(())
    }

    fn damaged(&self, offset: u64, damage: Damage) -> LedgerError {
        LedgerError::Damaged { path: segment::path(&self.dir, self.segment), offset, damage }
    }
}

/// What is wrong with a frame that is read first.
fn begins(frame: &Frame) -> Option<Damage> {
    if frame.location.offset > 0 {
        return None;
    }
    let created = frame.kind == frame::STATE_CREATED && frame.seq() == 1 && frame.prev == *frame::NO_FRAME;
    match frame.location.segment {
        1 if !created => Some(Damage::Beginning),
        1 => None,
        _ if frame.kind != SEGMENT_OPENED => Some(Damage::Seal("the next segment does not repeat it")),
        _ => None,
    }
}

/// What is wrong with the frame after a seal.
pub(crate) fn opens(frame: &Frame, seal: &Seam) -> Option<Damage> {
    if frame.kind != SEGMENT_OPENED || frame.location.offset != 0 {
        return Some(Damage::Seal("the next segment does not repeat it"));
    }
    match frame.read_body::<Seam>() {
        Ok(seam) if seam.length == seal.length && seam.last == seal.last => None,
        Ok(_) => Some(Damage::Seal("the next segment repeats another one")),
        Err(error) => Some(Damage::Json(error.to_string())),
    }
}

pub(crate) fn newer(version: u32) -> LedgerError {
    LedgerError::Newer(format!("frames of version {version}"))
}
