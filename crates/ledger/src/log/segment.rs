//! One segment file: its name, and walking over its frames without judging how they follow each other.

use std::path::{Path, PathBuf};

use crate::error::{Damage, LedgerError};
use crate::frame::{self, Frame, HEADER_BYTES, MAX_FRAME_BYTES, Unread};
use crate::storage::{Disk, DiskFile, Open};

/// Bytes that are read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes that are read at once where one frame is looked at: most have fewer.
const FRAME_WINDOW_BYTES: usize = 4 << 10;

/// How every frame's JSON begins.
const FRAME_BEGIN: &[u8] = br#"{"v":"#;

/// The file of segment `number`.
pub(crate) fn path(ledger_dir: &Path, number: u32) -> PathBuf {
    ledger_dir.join(format!("{number:08}.log"))
}

/// The numbers of all segment files, ascending.
pub(crate) fn numbers(disk: &Disk, ledger_dir: &Path) -> Result<Vec<u32>, LedgerError> {
    let names = disk.list(ledger_dir)?;
    let number = |name: &String| name.strip_suffix(".log").filter(|stem| stem.len() == 8).and_then(|stem| stem.parse().ok());
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What comes next in a segment.
pub(crate) enum Step {
    /// A frame.
    Frame(Frame),
    /// The file ends here, cleanly.
    End,
    /// No frame.
    Bad(Damage),
    /// A frame of a newer major version.
    Newer(u32),
}

impl Damage {
    /// A write that was cut off can look like this.
    pub(crate) fn is_tear(&self) -> bool {
        matches!(self, Self::Incomplete | Self::Length(_) | Self::Checksum)
    }
}

/// A place in a segment file.
#[derive(Debug)]
pub(crate) struct Walk {
    file: DiskFile,
    number: u32,
    offset: u64,
    /// What was read ahead, from `offset` on.
    buffer: Vec<u8>,
    used: usize,
    window: usize,
}

impl Walk {
    /// At the beginning of a segment.
    pub(crate) fn open(disk: &Disk, ledger_dir: &Path, number: u32) -> Result<Self, LedgerError> {
        let file = disk.open(&path(ledger_dir, number), Open::Read)?;
        Ok(Self { file, number, offset: 0, buffer: Vec::new(), used: 0, window: WINDOW_BYTES })
    }

    /// Reads no further than a frame is long, more or less.
    pub(crate) fn for_one_frame(self) -> Self {
        Self { window: FRAME_WINDOW_BYTES, ..self }
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The file's present length.
    pub(crate) fn length(&self) -> Result<u64, LedgerError> {
        Ok(self.file.length()?)
    }

    /// Goes to another place.
    pub(crate) fn rewind(&mut self, offset: u64) {
        self.offset = offset;
        self.buffer.clear();
        self.used = 0;
    }

    /// Takes the next frame. Where there is none, the place stays the same.
    pub(crate) fn step(&mut self) -> Result<Step, LedgerError> {
        let there = self.fill(HEADER_BYTES)?;
        let Some((length, _)) = frame::header(self.ahead()) else {
            let nothing = there == 0;
            // What another process appends meanwhile is read next time.
            self.rewind(self.offset);
            return Ok(if nothing { Step::End } else { Step::Bad(Damage::Incomplete) });
        };
        let size = match usize::try_from(length) {
            Ok(bytes) if (1..=MAX_FRAME_BYTES).contains(&bytes) => bytes + HEADER_BYTES,
            Ok(_) | Err(_) => return Ok(Step::Bad(Damage::Length(length))),
        };
        self.fill(size)?;
        let Some(bytes) = self.ahead().get(..size) else {
            self.rewind(self.offset);
            return Ok(Step::Bad(Damage::Incomplete));
        };
        match frame::decode(bytes, self.number, self.offset) {
            Ok(frame) => {
                self.used += size;
                self.offset += size as u64;
                Ok(Step::Frame(frame))
            }
            Err(Unread::Damaged(damage)) => {
                self.rewind(self.offset);
                Ok(Step::Bad(damage))
            }
            Err(Unread::Newer(version)) => Ok(Step::Newer(version)),
        }
    }

    /// Whether a whole frame lies somewhere behind this place: then this is no torn end but damage.
    pub(crate) fn frame_follows(&self) -> Result<bool, LedgerError> {
        let mut window = vec![0; WINDOW_BYTES];
        let mut at = self.offset;
        loop {
            let read = self.file.read_at(at, &mut window)?;
            let bytes = window.get(..read).unwrap_or_default();
            for (index, candidate) in bytes.windows(HEADER_BYTES + FRAME_BEGIN.len()).enumerate() {
                let place = at + index as u64;
                if candidate.ends_with(FRAME_BEGIN) && place > self.offset && self.is_frame(place, candidate)? {
                    return Ok(true);
                }
            }
            if read < WINDOW_BYTES {
                return Ok(false);
            }
            at += (WINDOW_BYTES - HEADER_BYTES - FRAME_BEGIN.len()) as u64;
        }
    }

    fn is_frame(&self, place: u64, header: &[u8]) -> Result<bool, LedgerError> {
        let Some((length, crc)) = frame::header(header) else { return Ok(false) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Ok(false);
        }
        let mut json = vec![0; length];
        let read = self.file.read_at(place + HEADER_BYTES as u64, &mut json)?;
        Ok(read == length && crc32c::crc32c(&json) == crc)
    }

    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads until `wanted` bytes are ahead or the file ends; gives how many are ahead.
    fn fill(&mut self, wanted: usize) -> Result<usize, LedgerError> {
        let ahead = self.ahead().len();
        if ahead >= wanted {
            return Ok(ahead);
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let more = (wanted - ahead).max(self.window);
        self.buffer.resize(ahead + more, 0);
        let rest = self.buffer.get_mut(ahead..).unwrap_or_default();
        let read = self.file.read_at(self.offset + ahead as u64, rest)?;
        self.buffer.truncate(ahead + read);
        Ok(self.buffer.len())
    }
}
