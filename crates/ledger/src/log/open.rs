//! Opening a ledger that exists: only the last segment is walked; a torn end is cut off, anything else that is wrong is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use untether_model::StateId;

use super::chain::End;
use super::segment::{self, Step, Walk};
use super::{Appender, Chain, ClockPolicy, FORMAT_VERSION, Log};
use crate::clock::Clock;
use crate::error::{Damage, LedgerError};
use crate::frame::{Frame, Location, NO_FRAME, SEGMENT_OPENED, SEGMENT_SEALED, STATE_CREATED, Seam, StateCreated};
use crate::head::{self, Head};
use crate::reader::{self, Reader};
use crate::storage::{Disk, Open};

/// How to open a ledger.
pub struct OpenLog<'a> {
    /// The storage.
    pub disk: Disk,
    /// The ledger's directory.
    pub dir: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What a clock that is behind means.
    pub clock_policy: ClockPolicy,
    /// A segment is closed once it has this many bytes; usually [`super::SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Whether this version understands a kind of record. The ledger's own kinds are not asked about.
    pub known_kind: &'a dyn Fn(&str) -> bool,
    /// A person accepted that the ledger's tail is lost: goes on from what there is.
    pub accept_loss: bool,
    /// Who else knows how far the ledger went.
    pub witnesses: Vec<Witness>,
}

/// Somebody beside `ledger/HEAD` who knows that a record was durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who.
    pub name: &'static str,
    /// Of which state.
    pub state: StateId,
    /// The record.
    pub seq: u64,
}

/// Bytes at the end of the last segment that are no whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Torn {
    /// The segment.
    pub segment: u32,
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
}

/// A loss that a person accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The last sequence number that is known to have existed, where a witness knows of one.
    pub witnessed_seq: Option<u64>,
    /// The last sequence number that is left.
    pub head_seq: u64,
    /// The file to which unreadable bytes were moved.
    pub kept_in: Option<PathBuf>,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOpened {
    /// A torn end was cut off. It was never acknowledged, unless a witness says otherwise.
    pub torn: Option<Torn>,
    /// A loss was accepted; its record is still to be appended.
    pub loss: Option<Loss>,
    /// There is no second witness, though there should be one.
    pub witness_missing: bool,
}

/// What walking over the last segment gave.
struct Tail {
    head: Head,
    location: Location,
    wall: Timestamp,
    /// Where the next frame goes.
    end: u64,
    torn: Option<Torn>,
    /// Damaged from `end` on.
    damage: Option<LedgerError>,
    /// The body of the last frame, where that is a seal.
    seal: Option<Seam>,
    kinds: BTreeSet<String>,
}

impl Log {
    /// Opens a ledger for appending. Nothing is changed when it is refused.
    ///
    /// # Errors
    /// Damage, a lost tail, a newer version and a clock that is behind are refused; see [`LedgerError::is_state`].
    pub fn open(how: OpenLog<'_>) -> Result<(Self, LogOpened), LedgerError> {
        let numbers = segment::numbers(&how.disk, &how.dir)?;
        for (expected, number) in (1..).zip(&numbers) {
            if *number != expected {
                let path = segment::path(&how.dir, expected);
                return Err(LedgerError::Damaged { path, offset: 0, damage: Damage::MissingSegment });
            }
        }
        let Some(last) = numbers.last().copied() else { return Err(LedgerError::Missing(how.dir)) };
        let created = read_created(&how.disk, &how.dir)?;
        let witness = match head::read(&how.disk, &how.dir) {
            Err(LedgerError::Damaged { .. }) if how.accept_loss => None,
            other => other?,
        };

        let mut tail = walk(&how, last, witness)?;
        let mut segment = last;
        // The last segment was created and its first frame got lost: the one before ends with its seal.
        let empty_last = tail.is_none();
        if empty_last {
            segment = last.saturating_sub(1);
            tail = walk(&how, segment, witness)?;
        }
        let Some(tail) = tail.filter(|tail| !empty_last || tail.seal.is_some()) else {
            let damage = Damage::Seal("the segment before does not end with one");
            return Err(LedgerError::Damaged { path: segment::path(&how.dir, last), offset: 0, damage });
        };
        let unknown: Vec<&str> =
            tail.kinds.iter().map(String::as_str).filter(|kind| !is_own(kind) && !(how.known_kind)(kind)).collect();
        if !unknown.is_empty() {
            return Err(LedgerError::Newer(format!("records of kind {}", unknown.join(", "))));
        }

        let mut opened = LogOpened { torn: tail.torn, loss: None, witness_missing: witness.is_none() };
        let others = how.witnesses.iter().filter(|witness| witness.state == created.state);
        let others = others.map(|witness| (witness.name, witness.seq));
        let known = witness.map(|witness| ("ledger/HEAD", witness.seq)).into_iter().chain(others);
        let missing = known.filter(|(_, seq)| *seq > tail.head.seq).max_by_key(|(_, seq)| *seq);
        if !how.accept_loss {
            if let Some(damage) = tail.damage {
                return Err(damage);
            }
            if let Some((witness, seq)) = missing {
                return Err(LedgerError::LostTail { witness, seq, head: tail.head.seq });
            }
        } else if tail.damage.is_some() || missing.is_some() {
            opened.loss = Some(Loss { witnessed_seq: missing.map(|(_, seq)| seq), head_seq: tail.head.seq, kept_in: None });
        }

        let file = how.disk.open(&segment::path(&how.dir, segment), Open::Append)?;
        let end = End { head: tail.head, location: tail.location, wall: tail.wall, segment, length: tail.end };
        let chain = Chain::new(how.clock, how.clock_policy, how.segment_bytes, end, tail.kinds);
        let mut log = Self { state: created.state, chain, appender: Appender::new(how.disk, how.dir, file, segment) };
        let wall = log.chain.check_clock()?;
        if let (Some(loss), true) = (&mut opened.loss, tail.damage.is_some()) {
            loss.kept_in = Some(log.keep_aside()?);
        }
        let length = log.chain.end().length;
        let file = log.appender.file();
        if file.length()? > length {
            file.truncate(length)?;
        }
        // A killed process may have left frames that the system has not written out yet: they count from now on.
        log.sync()?;
        log.disk().sync_dir(log.dir())?;
        if let Some(seal) = tail.seal {
            if empty_last {
                // Its name is durable or not; either way it holds nothing.
                log.disk().remove(&segment::path(log.dir(), last))?;
            }
            let mut pieces = Vec::new();
            log.chain.begin_segment(seal, wall, &mut pieces)?;
            log.appender.write(&pieces)?;
            log.sync()?;
        }
        if opened.loss.is_some() || opened.witness_missing {
            log.write_head()?;
        }
        Ok((log, opened))
    }

    /// Copies the unreadable end of the segment to a file of its own, so that nothing that could be evidence is destroyed.
    fn keep_aside(&mut self) -> Result<PathBuf, LedgerError> {
        let End { segment, length, .. } = *self.chain.end();
        let path = self.dir().join(format!("lost-{segment:08}-{length}"));
        let file = self.appender.file();
        let bytes = file.length()?.saturating_sub(length);
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        let read = file.read_at(length, &mut content)?;
        content.truncate(read);
        self.disk().replace(&path, &content)?;
        Ok(path)
    }
}

/// Kinds that the ledger writes itself.
fn is_own(kind: &str) -> bool {
    matches!(kind, STATE_CREATED | SEGMENT_SEALED | SEGMENT_OPENED)
}

/// The first record of the first segment.
pub fn read_created(disk: &Disk, dir: &Path) -> Result<StateCreated, LedgerError> {
    let is_only = segment::numbers(disk, dir)?.len() == 1;
    let damaged = |damage| LedgerError::Damaged { path: segment::path(dir, 1), offset: 0, damage };
    let frame = match Walk::open(disk, dir, 1)?.step()? {
        Step::Frame(frame) => frame,
        Step::Newer(version) => return Err(reader::newer(version)),
        // Its creation was interrupted before anything was acknowledged.
        Step::End | Step::Bad(Damage::Incomplete) if is_only && head::read(disk, dir)?.is_none() => {
            return Err(LedgerError::Missing(dir.to_path_buf()));
        }
        Step::End => return Err(damaged(Damage::Beginning)),
        Step::Bad(damage) => return Err(damaged(damage)),
    };
    if frame.kind != STATE_CREATED || frame.seq() != 1 || frame.prev != *NO_FRAME {
        return Err(damaged(Damage::Beginning));
    }
    let created: StateCreated = frame.read_body().map_err(|error| damaged(Damage::Json(error.to_string())))?;
    if created.version > FORMAT_VERSION {
        return Err(LedgerError::Newer(format!("state format {}", created.version)));
    }
    Ok(created)
}

/// Walks over one segment, the last one with frames; `None` where it has none.
fn walk(how: &OpenLog<'_>, number: u32, witness: Option<Head>) -> Result<Option<Tail>, LedgerError> {
    let start = Location { seq: 0, segment: number, offset: 0 };
    let mut reader = Reader::begin(&how.disk, &how.dir, start)?;
    let mut kinds = BTreeSet::from([STATE_CREATED.to_owned()]);
    let mut last: Option<Frame> = None;
    let mut damage = None;
    loop {
        let frame = match reader.next_frame() {
            Ok(Some(frame)) if frame.location.segment == number => frame,
            Ok(_) => break,
            Err(error @ LedgerError::Damaged { .. }) if how.accept_loss && last.is_some() => {
                damage = Some(error);
                break;
            }
            Err(error) => return Err(error),
        };
        if last.is_none() && number > 1 {
            check_seam(how, &frame)?;
            let seam: Seam = frame.read_body().map_err(|error| damaged(how, &frame, Damage::Json(error.to_string())))?;
            kinds.extend(seam.kinds);
        }
        if witness.is_some_and(|witness| witness.seq == frame.seq() && witness.hash != frame.hash) {
            return Err(damaged(how, &frame, Damage::Rewritten(frame.seq())));
        }
        if !kinds.contains(frame.kind.as_str()) && !is_own(&frame.kind) {
            kinds.insert(frame.kind.to_string());
        }
        last = Some(frame);
    }
    let Some(frame) = last else { return Ok(None) };
    let seal = match frame.kind.as_str() {
        SEGMENT_SEALED => Some(frame.read_body().map_err(|error| damaged(how, &frame, Damage::Json(error.to_string())))?),
        _ => None,
    };
    let head = Head { seq: frame.seq(), hash: frame.hash };
    let end = frame.location.offset + frame.size_bytes;
    Ok(Some(Tail { head, location: frame.location, wall: frame.wall, end, torn: reader.torn().copied(), damage, seal, kinds }))
}

/// Checks a segment's first frame against the seal of the segment before, which is not walked.
fn check_seam(how: &OpenLog<'_>, first: &Frame) -> Result<(), LedgerError> {
    let wrong = |why| damaged(how, first, Damage::Seal(why));
    let seam: Seam = first.read_body().map_err(|_| wrong("the next segment does not repeat it"))?;
    let before = first.location.segment.saturating_sub(1);
    let location = Location { seq: first.seq().saturating_sub(1), segment: before, offset: seam.length };
    let seal = Reader::read_at(&how.disk, &how.dir, location)?;
    if seal.kind != SEGMENT_SEALED || seal.hash != first.prev {
        return Err(wrong("the segment before ends with another one"));
    }
    let said: Seam = seal.read_body().map_err(|_| wrong("it is not readable"))?;
    match reader::opens(first, &said) {
        Some(damage) => Err(damaged(how, first, damage)),
        None => Ok(()),
    }
}

fn damaged(how: &OpenLog<'_>, frame: &Frame, damage: Damage) -> LedgerError {
    LedgerError::Damaged { path: segment::path(&how.dir, frame.location.segment), offset: frame.location.offset, damage }
}
