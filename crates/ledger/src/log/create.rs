//! Creating a ledger: its first segment and first record.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use untether_model::StateId;

use super::chain::{End, to_milliseconds};
use super::segment::{self, Step, Walk};
use super::{Appender, Chain, ClockPolicy, FORMAT_VERSION, Log};
use crate::clock::Clock;
use crate::error::LedgerError;
use crate::frame::{Location, NO_FRAME, NewFrame, STATE_CREATED, StateCreated};
use crate::head::{self, Head};
use crate::storage::{Disk, Open};

/// How to create a ledger.
pub struct CreateLog {
    /// The storage.
    pub disk: Disk,
    /// The ledger's directory; made where it does not exist.
    pub dir: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// A segment is closed once it has this many bytes; usually [`super::SEGMENT_BYTES`].
    pub segment_bytes: u64,
}

impl Log {
    /// Creates a ledger with its first record, durably. One whose creation was interrupted before that record is begun again.
    pub fn create(how: CreateLog) -> Result<Self, LedgerError> {
        Self::create_marked(how, |_| None)
    }

    /// The same with a mark in its first record, by which the ledger's key is known again.
    pub fn create_marked(how: CreateLog, mark: impl FnOnce(&StateId) -> Option<String>) -> Result<Self, LedgerError> {
        let CreateLog { disk, dir, clock, segment_bytes } = how;
        disk.ensure_dir(&dir)?;
        let first = segment::path(&dir, 1);
        let numbers = segment::numbers(&disk, &dir)?;
        match numbers.as_slice() {
            [] => {}
            [1] if matches!(Walk::open(&disk, &dir, 1)?.step()?, Step::End | Step::Bad(_)) => disk.remove(&first)?,
            _ => return Err(LedgerError::Exists(dir)),
        }
        if head::read(&disk, &dir)?.is_some() {
            // A witness without a ledger: somebody removed the segments.
            return Err(LedgerError::Exists(dir));
        }
        let state = new_state_id()?;
        let file = disk.open(&first, Open::Create)?;
        let wall = to_milliseconds(clock.wall());
        let end = End {
            head: Head { seq: 0, hash: *NO_FRAME },
            location: Location { seq: 0, segment: 1, offset: 0 },
            wall,
            segment: 1,
            length: 0,
        };
        let chain = Chain::new(clock, ClockPolicy::Refuse, segment_bytes, end, BTreeSet::from([STATE_CREATED.to_owned()]));
        let mark = mark(&state);
        let mut log = Self { state: state.clone(), chain, appender: Appender::new(disk, dir, file, 1) };
        log.append(&[NewFrame::new(STATE_CREATED, &StateCreated { state, version: FORMAT_VERSION, mark })?])?;
        log.sync()?;
        log.disk().sync_dir(log.dir())?;
        log.write_head()?;
        Ok(log)
    }
}

/// A random UUID (RFC 9562, version 4).
fn new_state_id() -> Result<StateId, LedgerError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(LedgerError::Random)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let [a, b, c, d, e] =
        [&bytes[0..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..16]].map(|part| HEXLOWER.encode(part));
    Ok(StateId::new(format!("{a}-{b}-{c}-{d}-{e}")))
}
