//! Writing frames to segment files, durably. Knows nothing of what is in the frames.

use std::path::{Path, PathBuf};

use super::chain::Piece;
use super::segment;
use crate::error::LedgerError;
use crate::head::{self, Head};
use crate::storage::{Disk, DiskFile, Open};

/// Writes what a [`Chain`](super::Chain) made. After any error nothing more is written: what is durable is not known then, and a
/// sync is never tried again, because a system forgets what it failed to write.
#[derive(Debug)]
pub struct Appender {
    disk: Disk,
    dir: PathBuf,
    file: DiskFile,
    segment: u32,
    poisoned: bool,
}

impl Appender {
    pub(super) fn new(disk: Disk, dir: PathBuf, file: DiskFile, segment: u32) -> Self {
        Self { disk, dir, file, segment, poisoned: false }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn file(&mut self) -> &mut DiskFile {
        &mut self.file
    }

    /// Writes pieces. A segment is made durable before the next one begins; the last one with [`Appender::sync`].
    pub fn write(&mut self, pieces: &[Piece]) -> Result<(), LedgerError> {
        self.attempt(|log| {
            for piece in pieces {
                if piece.segment != log.segment {
                    log.file.sync()?;
                    log.file = log.disk.open(&segment::path(&log.dir, piece.segment), Open::Create)?;
                    log.disk.sync_dir(&log.dir)?;
                    log.segment = piece.segment;
                }
                log.file.append(&piece.bytes)?;
            }
            Ok(())
        })
    }

    /// Makes everything durable that was written.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        self.attempt(|log| Ok(log.file.sync()?))
    }

    /// Replaces the second witness. Its frame must be durable.
    pub fn write_head(&mut self, head: &Head) -> Result<(), LedgerError> {
        self.attempt(|log| head::write(&log.disk, &log.dir, head))
    }

    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> Result<(), LedgerError>) -> Result<(), LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned);
        }
        let done = work(self);
        self.poisoned = done.is_err();
        done
    }
}
