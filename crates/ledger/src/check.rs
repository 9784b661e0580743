//! Walking over the whole ledger: chain, checksums, seals and the second witness.
//!
//! Changes nothing and needs no lock. Where the ledger is damaged it says where and stops, since nothing after that place can be
//! proved.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use untether_model::StateId;

use crate::error::{Damage, LedgerError};
use crate::frame::Frame;
use crate::head::{self, Head};
use crate::log::open::read_created;
use crate::log::{Torn, segment};
use crate::reader::Reader;
use crate::storage::Disk;

/// What a walk over a whole ledger found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The state's identity; `None` where the first record is not readable.
    pub state: Option<StateId>,
    /// Frames whose place in the chain was proved.
    pub frames: u64,
    /// The last of them.
    pub head: Option<Head>,
    /// Each segment.
    pub segments: Vec<CheckedSegment>,
    /// Records by kind.
    pub kinds: BTreeMap<String, u64>,
    /// The second witness; `None` where there is none.
    pub witness: Option<Head>,
    /// Bytes at the end that are no whole frame: a write that was cut off, or one going on.
    pub torn: Option<Torn>,
    /// What is wrong, in words; empty for a sound ledger.
    pub problems: Vec<String>,
}

/// One segment of a checked ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedSegment {
    /// Its number.
    pub segment: u32,
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sequence number of its first frame.
    pub first_seq: u64,
}

impl Check {
    /// Nothing is wrong; a torn end is not wrong by itself.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Walks over the whole ledger and hands each frame to `each` once its place in the chain is proved.
///
/// # Errors
/// Only where the disk cannot be read or there is no ledger; what is wrong with the ledger is in the report.
pub fn check(disk: &Disk, ledger_dir: &Path, mut each: impl FnMut(&Frame)) -> Result<Check, LedgerError> {
    let mut found = Check {
        state: None,
        frames: 0,
        head: None,
        segments: Vec::new(),
        kinds: BTreeMap::new(),
        witness: None,
        torn: None,
        problems: Vec::new(),
    };
    // Read before the walk: a ledger that grows meanwhile only gets ahead of it.
    if let Some(witness) = note(&mut found, head::read(disk, ledger_dir))? {
        found.witness = witness;
        if witness.is_none() {
            found.problems.push(missing_witness(ledger_dir));
        }
    }
    if let Some(created) = note(&mut found, read_created(disk, ledger_dir))? {
        found.state = Some(created.state);
    }
    let mut reader = Reader::open(disk, ledger_dir)?;
    while let Some(Some(frame)) = note(&mut found, reader.next_frame())? {
        found.take(&frame);
        if found.witness.is_some_and(|witness| witness.seq == frame.seq() && witness.hash != frame.hash) {
            let damage = Damage::Rewritten(frame.seq());
            found.problems.push(format!("'{}': {damage}", segment::path(ledger_dir, frame.location.segment).display()));
        }
        each(&frame);
    }
    found.torn = reader.torn().copied();
    let end = found.head.map_or(0, |head| head.seq);
    if let Some(witness) = found.witness.filter(|witness| witness.seq > end) {
        found.problems.push(LedgerError::LostTail { witness: "ledger/HEAD", seq: witness.seq, head: end }.to_string());
    }
    Ok(found)
}

/// What is wrong with a ledger without its second witness.
fn missing_witness(ledger_dir: &Path) -> String {
    format!("'{}' is missing: nothing but the ledger itself says where it ends", head::path(ledger_dir).display())
}

impl Check {
    /// Takes out of the problems that the second witness is missing: opening the ledger writes it again.
    pub fn set_missing_witness_aside(&mut self, ledger_dir: &Path) -> Option<String> {
        let missing = missing_witness(ledger_dir);
        let at = self.problems.iter().position(|problem| *problem == missing)?;
        Some(self.problems.remove(at))
    }

    fn take(&mut self, frame: &Frame) {
        self.frames += 1;
        self.head = Some(Head { seq: frame.seq(), hash: frame.hash });
        *self.kinds.entry(frame.kind.to_string()).or_default() += 1;
        let number = frame.location.segment;
        match self.segments.last_mut() {
            Some(segment) if segment.segment == number => {
                segment.frames += 1;
                segment.bytes += frame.size_bytes;
            }
            _ => {
                self.segments.push(CheckedSegment { segment: number, frames: 1, bytes: frame.size_bytes, first_seq: frame.seq() })
            }
        }
    }
}

/// Turns what is wrong with the state into a line of the report; other errors stay errors.
fn note<T>(found: &mut Check, result: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_state() => {
            let text = error.to_string();
            if !found.problems.contains(&text) {
                found.problems.push(text);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
