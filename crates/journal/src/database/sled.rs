//! The database on disk. The only module that names sled.
//!
//! One tree; the first byte of a key says what it is: `m` the mark, `p` a part or a record, `c` a further chunk of one, `h` what the
//! records of a shard add up to, `x` the place of a frame. Values stay within 4 KiB, since sled keeps larger ones in files that it never syncs. sled's own `flush` does not sync
//! either, so its file is synced here; what a power cut takes nevertheless comes back from the ledger.
//!
//! A damaged sled may open well and lack some of its newest or oldest entries. So the mark carries a sum over all entries that are no
//! records, which is computed again on opening, and each shard one over its records, which is computed when they are read: what does
//! not add up is made again from the ledger.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sled::{Batch as SledBatch, Db, IVec};
use untether_ledger::Location;

use super::{Batch, Database, EachPart, Mark, NOT_GIVEN_BACK, New, RECORDS, Sum};
use crate::error::JournalError;

const MARK: &[u8] = b"m";
const PART: u8 = b'p';
const CHUNK: u8 = b'c';
const PLACE: u8 = b'x';
const SHARD: u8 = b'h';

/// Bytes of a part in one value; with its first byte and sled's own overhead still within 4 KiB.
const CHUNK_BYTES: usize = 4000;

/// sled's page cache. The state is in memory anyway.
const CACHE_BYTES: u64 = 64 << 20;

/// How long a lock is waited for that should end at once.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How a part's first value begins.
const WHOLE: u8 = 0;
const CHUNKED: u8 = 1;

/// A database on disk.
pub(crate) struct SledDatabase {
    db: Db,
    path: PathBuf,
    file: File,
    /// Over all entries but the mark and the records.
    sum: Sum,
    /// Over the records of each shard that was written to.
    shards: BTreeMap<String, Sum>,
}

/// The mark as stored. The sum is text, because JSON has no numbers of its size.
#[derive(Serialize, Deserialize)]
struct StoredMark {
    mark: Mark,
    sum: String,
}

/// A batch for sled, and what becomes of the sum.
struct Changes {
    batch: SledBatch,
    sum: Sum,
    /// Shards whose sums are to be written.
    shards: BTreeSet<String>,
}

impl Changes {
    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.sum.add(&key, &value);
        self.batch.insert(key, value);
    }

    fn unset(&mut self, key: Vec<u8>, value: &[u8]) {
        self.sum.subtract(&key, value);
        self.batch.remove(key);
    }
}

/// What came of opening.
pub(crate) enum Opening {
    /// It is open.
    Open(SledDatabase),
    /// Another process has it.
    InUse,
    /// It cannot be read: it has to be made again.
    Unreadable(String),
}

impl SledDatabase {
    /// Opens the database in a directory, or makes one there.
    pub(crate) fn open(path: &Path) -> Result<Opening, JournalError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
        // After power loss sled may panic in `open` ("tried to serialize Uninitialized").
        let open = || catch_unwind(AssertUnwindSafe(|| config.open()));
        let opened = match open() {
            Ok(Err(error)) if is_lock(&error) && becomes_free(&path.join("db")) => open(),
            other => other,
        };
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(error)) if is_lock(&error) => return Ok(Opening::InUse),
            Ok(Err(error)) if is_system(&error) => return Err(failed("open", path, error)),
            Ok(Err(error)) => return Ok(Opening::Unreadable(error.to_string())),
            Err(panic) => return Ok(Opening::Unreadable(words(panic.as_ref()))),
        };
        let file = File::open(path.join("db")).map_err(|error| failed("open", path, error))?;
        let mut database = Self { db, path: path.to_path_buf(), file, sum: Sum::default(), shards: BTreeMap::new() };
        match catch_unwind(AssertUnwindSafe(|| database.look_through())) {
            Ok(Ok(())) => Ok(Opening::Open(database)),
            Ok(Err(reason)) => Ok(Opening::Unreadable(reason)),
            Err(panic) => Ok(Opening::Unreadable(words(panic.as_ref()))),
        }
    }

    /// All entries but the records.
    fn parts(&self) -> impl DoubleEndedIterator<Item = sled::Result<(IVec, IVec)>> {
        let [chunks, records] = [CHUNK, PART].map(|first| {
            let begin = [&[first], RECORDS].concat();
            let mut end = begin.clone();
            // What begins like a record ends before the next higher byte.
            if let Some(last) = end.last_mut() {
                *last += 1;
            }
            (begin, end)
        });
        let before = self.db.range(..chunks.0);
        before.chain(self.db.range(chunks.1..records.0)).chain(self.db.range(records.1..))
    }

    /// Reads everything but the records once, and compares it with what the mark says.
    fn look_through(&mut self) -> Result<(), String> {
        let mut said = Sum::default();
        if let Some(stored) = self.db.get(MARK).map_err(|error| error.to_string())? {
            // One of another form is told later from one that is not there.
            let stored = serde_json::from_slice(&stored).ok();
            said = stored.and_then(|StoredMark { sum, .. }| sum.parse().ok()).map(Sum).unwrap_or_default();
        }
        let sum = self.add_up()?;
        if sum != said || !self.is_searchable()? {
            return Err("its entries do not add up to what it says of them".to_owned());
        }
        self.sum = sum;
        Ok(())
    }

    fn add_up(&self) -> Result<Sum, String> {
        let mut sum = Sum::default();
        for item in self.parts() {
            let (key, value) = item.map_err(|error| error.to_string())?;
            if key != MARK {
                sum.add(&key, &value);
            }
        }
        Ok(sum)
    }

    /// Whether every entry is found by its key as well: the index of a damaged sled may lead past leaves that a scan from the
    /// first one on goes through.
    fn is_searchable(&self) -> Result<bool, String> {
        let mut whole = 0;
        for item in self.parts() {
            let (key, value) = item.map_err(|error| error.to_string())?;
            if self.db.get(&key).map_err(|error| error.to_string())?.as_ref() != Some(&value) {
                return Ok(false);
            }
            let first = self.db.range(key.clone()..).next().transpose().map_err(|error| error.to_string())?;
            if first.is_none_or(|(found, _)| found != key) {
                return Ok(false);
            }
            whole += 1;
        }
        Ok(self.parts().rev().count() == whole)
    }

    /// What the records of a shard add up to now.
    fn shard(&mut self, name: &str) -> Result<Sum, JournalError> {
        if let Some(sum) = self.shards.get(name) {
            return Ok(*sum);
        }
        let stored = self.db.get(shard_key(name)).map_err(|error| failed("read", &self.path, error))?;
        Ok(stored.and_then(|stored| shard_sum(&stored)).unwrap_or_default())
    }

    /// Replaces a record.
    fn put_record(&mut self, key: &[u8], new: New, changes: &mut Changes) -> Result<(), JournalError> {
        let New::Record { value, shard, replaces } = new else { return Ok(()) };
        if let Some((old, before)) = replaces {
            let mut sum = self.shard(&before)?;
            sum.subtract(key, &old);
            self.shards.insert(before.clone(), sum);
            changes.shards.insert(before);
            if old.len() > CHUNK_BYTES {
                self.entries(key)?.into_iter().for_each(|(key, _)| changes.batch.remove(key));
            }
        }
        let mut sum = self.shard(&shard)?;
        sum.add(key, &value);
        self.shards.insert(shard.clone(), sum);
        changes.shards.insert(shard);
        each_entry(key, &value, &mut |key, value| changes.batch.insert(key, value));
        Ok(())
    }

    /// Replaces a part, whatever it was before.
    fn put(&self, key: &[u8], value: Option<Vec<u8>>, changes: &mut Changes) -> Result<(), JournalError> {
        for (key, value) in self.entries(key)? {
            changes.unset(key, &value);
        }
        if let Some(value) = value {
            each_entry(key, &value, &mut |key, value| changes.set(key, value));
        }
        Ok(())
    }

    /// The entries that a part has now.
    fn entries(&self, key: &[u8]) -> Result<Vec<(Vec<u8>, IVec)>, JournalError> {
        let read = |key: &[u8]| self.db.get(key).map_err(|error| failed("read", &self.path, error));
        let first = part_key(key);
        let Some(stored) = read(&first)? else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        for number in 0..chunks(&stored) {
            let key = chunk_key(key, number);
            if let Some(chunk) = read(&key)? {
                entries.push((key, chunk));
            }
        }
        entries.push((first, stored));
        Ok(entries)
    }

    fn value(&self, key: &[u8], stored: &IVec) -> Result<Vec<u8>, JournalError> {
        let malformed =
            || failed("read", &self.path, io::Error::new(io::ErrorKind::InvalidData, "a part's value is not well formed"));
        match stored.split_first() {
            Some((&WHOLE, value)) => Ok(value.to_vec()),
            Some((&CHUNKED, _)) => {
                let mut value = Vec::new();
                for number in 0..chunks(stored) {
                    let chunk = self.db.get(chunk_key(key, number)).map_err(|error| failed("read", &self.path, error))?;
                    value.extend_from_slice(&chunk.ok_or_else(malformed)?);
                }
                Ok(value)
            }
            Some(_) | None => Err(malformed()),
        }
    }
}

impl Database for SledDatabase {
    fn mark(&self) -> Result<Option<Mark>, JournalError> {
        let stored = self.db.get(MARK).map_err(|error| failed("read", &self.path, error))?;
        // A mark that does not read is one of another version: the database is made again.
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()).map(|StoredMark { mark, .. }| mark))
    }

    fn part(&self, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        let stored = self.db.get(part_key(key)).map_err(|error| failed("read", &self.path, error))?;
        stored.map(|stored| self.value(key, &stored)).transpose()
    }

    fn write(&mut self, batch: Batch, mark: &Mark) -> Result<(), JournalError> {
        let mut changes = Changes { batch: SledBatch::default(), sum: self.sum, shards: BTreeSet::new() };
        for (key, new) in batch.puts {
            match new {
                New::Part(value) => self.put(&key, value, &mut changes)?,
                record @ New::Record { .. } => self.put_record(&key, record, &mut changes)?,
            }
        }
        for name in std::mem::take(&mut changes.shards) {
            let (key, sum) = (shard_key(&name), self.shard(&name)?);
            if let Some(old) = self.db.get(&key).map_err(|error| failed("read", &self.path, error))? {
                changes.unset(key.clone(), &old);
            }
            changes.set(key, sum.0.to_le_bytes().to_vec());
        }
        for place in batch.places {
            let mut key = vec![PLACE];
            key.extend_from_slice(&place.seq.to_be_bytes());
            let mut value = place.segment.to_be_bytes().to_vec();
            value.extend_from_slice(&place.offset.to_be_bytes());
            changes.set(key, value);
        }
        let stored = StoredMark { mark: mark.clone(), sum: changes.sum.0.to_string() };
        let stored = serde_json::to_vec(&stored).map_err(|error| failed("write", &self.path, error))?;
        changes.batch.insert(MARK, stored);
        self.db.apply_batch(changes.batch).map_err(|error| failed("write", &self.path, error))?;
        self.sum = changes.sum;
        Ok(())
    }

    fn each_part(&self, prefix: &[u8], each: EachPart<'_>) -> Result<(), JournalError> {
        for item in self.db.scan_prefix(part_key(prefix)) {
            let (key, stored) = item.map_err(|error| failed("read", &self.path, error))?;
            let key = key.get(1..).unwrap_or_default();
            each(key, self.value(key, &stored)?);
        }
        Ok(())
    }

    fn shards(&self) -> Result<Option<BTreeMap<String, Sum>>, JournalError> {
        let mut shards = BTreeMap::new();
        for item in self.db.scan_prefix([SHARD]) {
            let (key, value) = item.map_err(|error| failed("read", &self.path, error))?;
            if let (Ok(name), Some(sum)) = (std::str::from_utf8(key.get(1..).unwrap_or_default()), shard_sum(&value)) {
                shards.insert(name.to_owned(), sum);
            }
        }
        Ok(Some(shards))
    }

    fn places(&self) -> Result<Vec<Location>, JournalError> {
        let mut places = Vec::new();
        for item in self.db.scan_prefix([PLACE]) {
            let (key, value) = item.map_err(|error| failed("read", &self.path, error))?;
            let seq = key.get(1..).and_then(|seq| seq.try_into().ok()).map(u64::from_be_bytes);
            let place = value.split_first_chunk::<4>().and_then(|(segment, offset)| Some((*segment, offset.try_into().ok()?)));
            if let (Some(seq), Some((segment, offset))) = (seq, place) {
                places.push(Location { seq, segment: u32::from_be_bytes(segment), offset: u64::from_be_bytes(offset) });
            }
        }
        Ok(places)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.db.flush().map_err(|error| failed("write", &self.path, error))?;
        self.file.sync_data().map_err(|error| failed("sync", &self.path, error))
    }

    fn verify(&self) -> Result<(), JournalError> {
        if self.add_up().is_ok_and(|sum| sum == self.sum) && self.is_searchable().unwrap_or(false) {
            return Ok(());
        }
        Err(failed("verify", &self.path, io::Error::new(io::ErrorKind::InvalidData, NOT_GIVEN_BACK)))
    }
}

/// The entries that hold a value.
fn each_entry(key: &[u8], value: &[u8], each: &mut dyn FnMut(Vec<u8>, Vec<u8>)) {
    if value.len() <= CHUNK_BYTES {
        let mut whole = Vec::with_capacity(value.len() + 1);
        whole.push(WHOLE);
        whole.extend_from_slice(value);
        return each(part_key(key), whole);
    }
    let mut count: u32 = 0;
    for chunk in value.chunks(CHUNK_BYTES) {
        each(chunk_key(key, count), chunk.to_vec());
        count += 1;
    }
    let mut first = vec![CHUNKED];
    first.extend_from_slice(&count.to_be_bytes());
    each(part_key(key), first);
}

fn shard_key(name: &str) -> Vec<u8> {
    [&[SHARD], name.as_bytes()].concat()
}

fn shard_sum(stored: &[u8]) -> Option<Sum> {
    stored.try_into().ok().map(u128::from_le_bytes).map(Sum)
}

/// How many further chunks a part's first value announces.
fn chunks(stored: &[u8]) -> u32 {
    match stored.split_first() {
        Some((&CHUNKED, count)) => count.try_into().map_or(0, u32::from_be_bytes),
        Some(_) | None => 0,
    }
}

fn part_key(key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(PART);
    full.extend_from_slice(key);
    full
}

fn chunk_key(key: &[u8], number: u32) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 5);
    full.push(CHUNK);
    full.extend_from_slice(key);
    full.extend_from_slice(&number.to_be_bytes());
    full
}

fn failed(operation: &'static str, path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Database { operation, path: path.to_path_buf(), source: Arc::new(source) }
}

/// Waits for a lock to end that a database of this process still holds: sled lets go of it in the background after it was closed.
fn becomes_free(file: &Path) -> bool {
    let Ok(file) = File::open(file) else { return false };
    let (free, waiting) = channel();
    // It ends with the lock, whoever has it.
    let waiter = std::thread::Builder::new().name("journal-lock".to_owned()).spawn(move || {
        if file.lock().is_ok() {
            drop(file);
            // Whoever asked may have lost patience.
            let _ = free.send(());
        }
    });
    waiter.is_ok() && waiting.recv_timeout(LOCK_PATIENCE).is_ok()
}

/// sled reports a lock that another process holds as an error of no particular kind.
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.kind() == io::ErrorKind::WouldBlock || io.to_string().contains("could not acquire lock"))
}

/// Not the database is at fault, but the disk or the permissions: making it again would not help.
fn is_system(error: &sled::Error) -> bool {
    let kinds = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::FileTooLarge,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem,
    ];
    matches!(error, sled::Error::Io(io) if kinds.contains(&io.kind()))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it cannot be opened".to_owned())
}
