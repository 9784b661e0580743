//! Opening: ledger and database are compared, and the database is brought up to the ledger, or made again from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use untether_ledger::log::{Loss, Witness};
use untether_ledger::{
    Clock, ClockPolicy, Frame, Head, Index, LedgerError, Location, Log, OpenLog, Reader, StateDir, StateLock, StorageError, Torn,
};
use untether_model::run::{Part, PartKey};
use untether_model::{BatchId, StateId, SubjectId};

use crate::applier::{Applied, Applier};
use crate::database::{Database, EachPart, Mark, MemoryDatabase, Opening, RECORDS, SledDatabase, Sum};
use crate::entry::Stored;
use crate::error::{JournalError, ReplayError};
use crate::journal::{Journal, WriterParts};
use crate::layout;

/// How to open a journal.
pub struct OpenJournal<'a> {
    /// The state directory.
    pub state: StateDir,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What a clock that is behind the ledger means.
    pub clock_policy: ClockPolicy,
    /// A segment of the ledger is closed once it has this many bytes; usually [`untether_ledger::log::SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Whether this version understands a kind of record.
    pub known_kind: &'a dyn Fn(&str) -> bool,
    /// A person accepted that the ledger's tail is lost.
    pub accept_loss: bool,
    /// Who else knows how far the ledger went, beside its second witness and the database.
    pub witness: Option<Witness>,
    /// Version of the parts' keys and values: a database with another one is made again.
    pub parts_version: u32,
    /// The database was found to have lost something: it is made again.
    pub distrust: bool,
}

/// Why the database is made again from the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rebuilt {
    /// There was none.
    #[error("there was no state database")]
    Missing,
    /// It was empty.
    #[error("the state database was empty")]
    Empty,
    /// It could not be read.
    #[error("the state database could not be read ({0}); it was set aside as sled.broken")]
    Unreadable(String),
    /// It does not belong to this ledger.
    #[error("the state database belongs to another ledger")]
    Foreign,
    /// It was written in another form.
    #[error("the state database was written by another version")]
    OtherVersion,
    /// It was ahead of the ledger, and a person accepted the loss.
    #[error("the state database was ahead of the ledger, whose loss was accepted")]
    Ahead,
}

/// What opening found; for the operator to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// The state's identity.
    pub state: StateId,
    /// The ledger's head.
    pub head: Head,
    /// A torn end of the ledger was cut off.
    pub torn: Option<Torn>,
    /// A loss was accepted; its record is still to be appended.
    pub loss: Option<Loss>,
    /// The ledger's second witness was missing and was written again.
    pub witness_missing: bool,
    /// The database is made again, and why.
    pub rebuilt: Option<Rebuilt>,
    /// Frames of the ledger that are not applied to the parts.
    pub lag: u64,
    /// The machine on which the state was used before, where that was another one.
    pub moved_from: Option<String>,
    /// Directories that were missing and were made again, empty.
    pub made: Vec<PathBuf>,
}

/// The records of single subjects, as they were before what is being replayed.
#[derive(Clone, Copy)]
pub struct Records<'a>(&'a dyn Database);

impl Records<'_> {
    /// Hands over the parts of one subject.
    pub fn each_part_of(&self, id: &SubjectId, each: &mut dyn FnMut(Part)) -> Result<(), JournalError> {
        let key = layout::record_key(id);
        match self.0.part(&key)? {
            Some(bytes) => layout::read(&key, &bytes, each).map(drop).map_err(JournalError::Layout),
            None => Ok(()),
        }
    }
}

/// A journal whose ledger and database are open. To be brought up to the ledger's head with [`Opened::replay`] and then started.
pub struct Opened {
    state: StateDir,
    log: Log,
    applier: Applier,
    mark: Option<Mark>,
    index: Index,
    parts_version: u32,
    report: OpenReport,
    // Last, so that the state is free only when everything else is closed.
    lock: Option<StateLock>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Opened {
    /// Takes the state's lock and opens ledger and database.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] where another process has the state; damage, a lost tail, a newer version and a clock that is
    /// behind, where nothing is changed.
    pub fn open(how: OpenJournal<'_>) -> Result<Self, JournalError> {
        let lock = StateLock::acquire(&how.state, how.clock.wall())?;
        let moved_from = lock.moved_from().map(str::to_owned);
        let path = how.state.database();
        let existed = path.join("db").exists();
        let (mut database, unreadable) = match SledDatabase::open(&path)? {
            Opening::Open(_) if how.distrust => (None, Some(Rebuilt::Unreadable(JournalError::Lost.to_string()))),
            Opening::Open(database) => (Some(database), None),
            Opening::InUse => return Err(in_use()),
            Opening::Unreadable(reason) => (None, Some(Rebuilt::Unreadable(reason))),
        };
        let mark = match &database {
            Some(database) => database.mark()?,
            None => None,
        };
        let absent = if existed { Rebuilt::Empty } else { Rebuilt::Missing };
        let (log, mut report) = open_log(&how, mark.as_ref(), unreadable.unwrap_or(absent))?;
        let usable = database.take_if(|_| matches!(report.rebuilt, None | Some(Rebuilt::Empty | Rebuilt::Missing)));
        let database = match usable {
            Some(database) => database,
            None => {
                // Closed before it is moved.
                drop(database);
                set_aside(&path)?;
                open_new(&path)?
            }
        };
        let index = restore_index(&database)?;
        let mark = mark.filter(|_| report.rebuilt.is_none());
        report.lag = lag(&log, mark.as_ref());
        report.moved_from = moved_from;
        report.made = how.state.complete()?;
        Ok(Self {
            state: how.state,
            log,
            applier: Applier::new(Box::new(database)),
            mark,
            index,
            parts_version: how.parts_version,
            report,
            lock: Some(lock),
        })
    }

    /// Opens a journal over storages in memory: no lock, no files, and, started with [`Opened::start_inside`], no thread.
    pub fn open_in_memory(how: OpenJournal<'_>, database: &MemoryDatabase) -> Result<Self, JournalError> {
        let mark = database.mark()?;
        let (log, mut report) = open_log(&how, mark.as_ref(), Rebuilt::Missing)?;
        if report.rebuilt.is_some() {
            database.clear();
        }
        let index = restore_index(database)?;
        let mark = mark.filter(|_| report.rebuilt.is_none());
        report.lag = lag(&log, mark.as_ref());
        Ok(Self {
            state: how.state,
            log,
            applier: Applier::new(Box::new(database.clone())),
            mark,
            index,
            parts_version: how.parts_version,
            report,
            lock: None,
        })
    }

    /// What opening found.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Hands over the parts whose keys begin so, in the order of their keys, as they are applied so far.
    pub fn each_part(&self, prefix: &[u8], each: EachPart<'_>) -> Result<(), JournalError> {
        self.applier.database().each_part(prefix, each)
    }

    /// Hands over the parts of the run's state, as they are applied so far, but those of single subjects.
    pub fn each_common_part(&self, each: &mut dyn FnMut(Part)) -> Result<(), JournalError> {
        let database = self.applier.database();
        let mut bad = None;
        let mut read = |key: &[u8], bytes: Vec<u8>| {
            if !key.starts_with(RECORDS)
                && let Err(reason) = layout::read(key, &bytes, each)
            {
                bad = Some(reason);
            }
        };
        // A database of parts is scanned by the letters that their keys begin with, so that its records are not read.
        for letter in PartKey::COMMON {
            database.each_part(&[*letter, b'/'], &mut read)?;
        }
        database.each_part(b"g", &mut read)?;
        bad.map_or(Ok(()), |reason| Err(JournalError::Layout(reason)))
    }

    /// Hands over the parts of all subjects.
    ///
    /// # Errors
    /// [`JournalError::Lost`] where they are not what was written; the database is to be made again then.
    pub fn each_subject_part(&self, each: &mut dyn FnMut(Part)) -> Result<(), JournalError> {
        let database = self.applier.database();
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        let mut bad = None;
        database.each_part(RECORDS, &mut |key, bytes| match layout::read(key, &bytes, each) {
            Ok(shard) => sums.entry(shard.unwrap_or_default()).or_default().add(key, &bytes),
            Err(reason) => bad = Some(reason),
        })?;
        if let Some(reason) = bad {
            return Err(JournalError::Layout(reason));
        }
        let Some(mut expected) = database.shards()? else { return Ok(()) };
        expected.retain(|_, sum| *sum != Sum::default());
        if sums == expected { Ok(()) } else { Err(JournalError::Lost) }
    }

    /// Hands over the parts of the subjects that these batches hold, or held last; with each batch the subjects that it began with.
    ///
    /// # Errors
    /// As [`Opened::each_subject_part`].
    pub fn each_part_of_batches<'a>(
        &self,
        batches: impl IntoIterator<Item = (&'a BatchId, &'a [SubjectId])>,
        each: &mut dyn FnMut(Part),
    ) -> Result<(), JournalError> {
        let expected = self.applier.database().shards()?;
        for (batch, listed) in batches {
            let shard = layout::shard_of(Some(batch));
            let mut sum = Sum::default();
            for id in listed {
                let key = layout::record_key(id);
                let Some(bytes) = self.applier.database().part(&key)? else { continue };
                if layout::read(&key, &bytes, each).map_err(JournalError::Layout)?.as_deref() == Some(shard.as_str()) {
                    sum.add(&key, &bytes);
                }
            }
            let wanted = expected.as_ref().map(|expected| expected.get(&shard).copied().unwrap_or_default());
            if wanted.is_some_and(|wanted| wanted != sum) {
                return Err(JournalError::Lost);
            }
        }
        Ok(())
    }

    /// The records of single subjects.
    pub fn records(&self) -> Records<'_> {
        Records(self.applier.database())
    }

    /// Folds the frames that are not applied yet, in order, and stores the parts that `fold` gives back for each. Gives how many
    /// records that were.
    pub fn replay<E: std::error::Error + 'static>(
        &mut self,
        mut fold: impl FnMut(&Frame, Records<'_>) -> Result<Vec<Stored>, E>,
    ) -> Result<u64, ReplayError<E>> {
        if self.report.lag == 0 {
            return Ok(0);
        }
        let mut reader = self.unapplied().map_err(JournalError::from)?;
        let mut records = 0;
        self.applier.keep_in_mind();
        while let Some(frame) = reader.next_frame().map_err(JournalError::from)? {
            let mut parts = Vec::new();
            if !frame.is_seam() {
                let folded = fold(&frame, Records(self.applier.database()));
                parts = folded.map_err(|source| ReplayError::Fold { seq: frame.seq(), kind: frame.kind.to_string(), source })?;
                records += 1;
            }
            let places = Some(frame.location).filter(|place| self.index.note(*place)).into_iter().collect();
            let mark = self.mark_at(frame.location, Head { seq: frame.seq(), hash: frame.hash });
            self.applier.gather(Applied { records: 1, parts, places, mark: mark.clone() });
            self.mark = Some(mark);
            self.applier.write_if_due()?;
        }
        self.applier.close()?;
        self.applier.verify()?;
        self.report.lag = lag(&self.log, self.mark.as_ref());
        Ok(records)
    }

    /// A reader over the frames that are not applied.
    fn unapplied(&self) -> Result<Reader, LedgerError> {
        match &self.mark {
            None => Reader::open(self.log.disk(), self.log.dir()),
            Some(mark) => {
                let mut reader = Reader::open_at(self.log.disk(), self.log.dir(), mark.location)?;
                reader.next_frame()?;
                Ok(reader)
            }
        }
    }

    fn mark_at(&self, location: Location, head: Head) -> Mark {
        Mark { state: self.report.state.clone(), parts_version: self.parts_version, location, hash: head.hash }
    }

    /// Starts the writer's thread.
    ///
    /// # Errors
    /// [`JournalError::Lagging`] before [`Opened::replay`].
    pub fn start(self) -> Result<Journal, JournalError> {
        let (writer, rest) = self.into_writer()?;
        Journal::in_thread(writer, rest)
    }

    /// Starts without a thread: each record is durable when [`Journal::submit`] comes back, though its receipt still lets others
    /// run first. For simulations, whose clock must not run on while a thread is waited for.
    pub fn start_inside(self) -> Result<Journal, JournalError> {
        let (writer, rest) = self.into_writer()?;
        Ok(Journal::inside(writer, rest))
    }

    fn into_writer(self) -> Result<(WriterParts, Started), JournalError> {
        if self.report.lag > 0 {
            return Err(JournalError::Lagging(self.report.lag));
        }
        let mark = self.mark_at(self.log.head_location(), self.log.head());
        let (chain, appender) = self.log.into_parts();
        let writer = WriterParts { appender, applier: self.applier, mark };
        Ok((writer, Started { chain, index: self.index, state: self.state, lock: self.lock }))
    }
}

/// What a started journal has beside its writer.
pub(crate) struct Started {
    pub(crate) chain: untether_ledger::Chain,
    pub(crate) index: Index,
    pub(crate) state: StateDir,
    pub(crate) lock: Option<StateLock>,
}

fn lag(log: &Log, mark: Option<&Mark>) -> u64 {
    log.head().seq.saturating_sub(mark.map_or(0, |mark| mark.location.seq))
}

/// Opens the ledger and judges whether the database with this mark belongs to it.
fn open_log(how: &OpenJournal<'_>, mark: Option<&Mark>, absent: Rebuilt) -> Result<(Log, OpenReport), JournalError> {
    let database = mark.map(|mark| Witness { name: "the state database", state: mark.state.clone(), seq: mark.location.seq });
    let (log, opened) = Log::open(OpenLog {
        disk: how.state.disk().clone(),
        dir: how.state.ledger(),
        clock: how.clock.clone(),
        clock_policy: how.clock_policy,
        segment_bytes: how.segment_bytes,
        known_kind: how.known_kind,
        accept_loss: how.accept_loss,
        witnesses: database.into_iter().chain(how.witness.clone()).collect(),
    })?;
    let rebuilt = match mark {
        None => Some(absent),
        Some(mark) if mark.state != *log.state() => Some(Rebuilt::Foreign),
        Some(mark) if mark.parts_version != how.parts_version => Some(Rebuilt::OtherVersion),
        // Without an accepted loss, opening the ledger has refused this.
        Some(mark) if mark.location.seq > log.head().seq => Some(Rebuilt::Ahead),
        Some(mark) => match Reader::read_at(log.disk(), log.dir(), mark.location) {
            Ok(frame) if frame.hash == mark.hash => None,
            Ok(_) | Err(LedgerError::Damaged { .. }) => Some(Rebuilt::Foreign),
            Err(LedgerError::Storage(error)) if error.is_missing() => Some(Rebuilt::Foreign),
            Err(error) => return Err(error.into()),
        },
    };
    let report = OpenReport {
        state: log.state().clone(),
        head: log.head(),
        torn: opened.torn,
        loss: opened.loss,
        witness_missing: opened.witness_missing,
        rebuilt,
        lag: 0,
        moved_from: None,
        made: Vec::new(),
    };
    Ok((log, report))
}

fn restore_index(database: &dyn Database) -> Result<Index, JournalError> {
    let mut index = Index::new();
    database.places()?.into_iter().for_each(|place| index.restore(place));
    Ok(index)
}

/// Moves a database away that is not usable; the one that was moved away before goes.
fn set_aside(path: &Path) -> Result<(), JournalError> {
    let aside = path.with_extension("broken");
    let failed = |operation, path: &Path| {
        let path = path.to_path_buf();
        move |source| JournalError::from(LedgerError::from(StorageError { operation, path, source }))
    };
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(failed("remove", &aside))?;
    }
    if path.exists() {
        fs::rename(path, &aside).map_err(failed("set aside", path))?;
    }
    Ok(())
}

fn open_new(path: &Path) -> Result<SledDatabase, JournalError> {
    match SledDatabase::open(path)? {
        Opening::Open(database) => Ok(database),
        Opening::InUse => Err(in_use()),
        Opening::Unreadable(reason) => Err(JournalError::Database {
            operation: "make",
            path: path.to_path_buf(),
            source: Arc::new(std::io::Error::other(reason)),
        }),
    }
}

/// Somebody has the database without the state's lock.
fn in_use() -> JournalError {
    LedgerError::InUse { pid: None, since: None }.into()
}

/// A skew that is worth a line in the log: told when it begins, not with each record.
pub(crate) fn log_skew(before: &mut bool, skew: Option<SignedDuration>) {
    if let Some(skew) = skew.filter(|_| !*before) {
        tracing::warn!(behind_ms = skew.as_millis(), "the clock is behind the ledger: the time of its last record is used");
    }
    *before = skew.is_some();
}
