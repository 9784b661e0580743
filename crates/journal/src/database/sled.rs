//! The database on disk. The only module that names sled.
//!
//! One tree; the first byte of a key says what it is: `m` the mark, `p` a part, `c` a further chunk of a part, `x` the place of a
//! frame. Values stay within 4 KiB, since sled keeps larger ones in files that it never syncs. sled's own `flush` does not sync
//! either, so its file is synced here; what a power cut takes nevertheless comes back from the ledger.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sled::{Batch as SledBatch, Db, IVec};
use untether_ledger::Location;

use super::{Batch, Database, EachPart, Mark};
use crate::entry::Put;
use crate::error::JournalError;

const MARK: &[u8] = b"m";
const PART: u8 = b'p';
const CHUNK: u8 = b'c';
const PLACE: u8 = b'x';

/// Bytes of a part in one value; with its first byte and sled's own overhead still within 4 KiB.
const CHUNK_BYTES: usize = 4000;

/// sled's page cache. The state is in memory anyway.
const CACHE_BYTES: u64 = 64 << 20;

/// How a part's first value begins.
const WHOLE: u8 = 0;
const CHUNKED: u8 = 1;

/// A database on disk.
pub(crate) struct SledDatabase {
    db: Db,
    path: PathBuf,
    file: File,
    /// Keys of the parts that have further chunks, and how many.
    chunked: BTreeMap<Vec<u8>, u32>,
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
        let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => db,
            Ok(Err(error)) if is_lock(&error) => return Ok(Opening::InUse),
            Ok(Err(error)) if is_system(&error) => return Err(failed("open", path, error)),
            Ok(Err(error)) => return Ok(Opening::Unreadable(error.to_string())),
            Err(panic) => return Ok(Opening::Unreadable(words(panic.as_ref()))),
        };
        let file = File::open(path.join("db")).map_err(|error| failed("open", path, error))?;
        let mut database = Self { db, path: path.to_path_buf(), file, chunked: BTreeMap::new() };
        match catch_unwind(AssertUnwindSafe(|| database.look_through())) {
            Ok(Ok(())) => Ok(Opening::Open(database)),
            Ok(Err(reason)) => Ok(Opening::Unreadable(reason)),
            Err(panic) => Ok(Opening::Unreadable(words(panic.as_ref()))),
        }
    }

    /// Finds the chunked parts, and reads everything once, so that damage shows now.
    fn look_through(&mut self) -> Result<(), String> {
        for item in self.db.iter() {
            let (key, value) = item.map_err(|error| error.to_string())?;
            if let (Some((&PART, part)), Some((&CHUNKED, count))) = (key.split_first(), value.split_first()) {
                let count =
                    count.try_into().map(u32::from_be_bytes).map_err(|_| "a part's value is not well formed".to_owned())?;
                self.chunked.insert(part.to_vec(), count);
            }
        }
        Ok(())
    }

    fn put(&mut self, put: Put, batch: &mut SledBatch) {
        let Put { key, value } = put;
        let chunks_before = self.chunked.remove(&key).unwrap_or(0);
        let mut chunks = 0;
        match value {
            None => batch.remove(part_key(&key)),
            Some(value) if value.len() <= CHUNK_BYTES => {
                let mut whole = Vec::with_capacity(value.len() + 1);
                whole.push(WHOLE);
                whole.extend_from_slice(&value);
                batch.insert(part_key(&key), whole);
            }
            Some(value) => {
                for chunk in value.chunks(CHUNK_BYTES) {
                    batch.insert(chunk_key(&key, chunks), chunk);
                    chunks += 1;
                }
                let mut first = vec![CHUNKED];
                first.extend_from_slice(&chunks.to_be_bytes());
                batch.insert(part_key(&key), first);
                self.chunked.insert(key.clone(), chunks);
            }
        }
        for number in chunks..chunks_before {
            batch.remove(chunk_key(&key, number));
        }
    }

    fn value(&self, key: &[u8], stored: &IVec) -> Result<Vec<u8>, JournalError> {
        let malformed =
            || failed("read", &self.path, io::Error::new(io::ErrorKind::InvalidData, "a part's value is not well formed"));
        match stored.split_first() {
            Some((&WHOLE, value)) => Ok(value.to_vec()),
            Some((&CHUNKED, count)) => {
                let count = count.try_into().map(u32::from_be_bytes).map_err(|_| malformed())?;
                let mut value = Vec::new();
                for number in 0..count {
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
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()))
    }

    fn write(&mut self, batch: Batch, mark: &Mark) -> Result<(), JournalError> {
        let mut changes = SledBatch::default();
        for put in batch.puts {
            self.put(put, &mut changes);
        }
        for place in batch.places {
            let mut key = vec![PLACE];
            key.extend_from_slice(&place.seq.to_be_bytes());
            let mut value = place.segment.to_be_bytes().to_vec();
            value.extend_from_slice(&place.offset.to_be_bytes());
            changes.insert(key, value);
        }
        let mark = serde_json::to_vec(mark).map_err(|error| failed("write", &self.path, error))?;
        changes.insert(MARK, mark);
        self.db.apply_batch(changes).map_err(|error| failed("write", &self.path, error))
    }

    fn each_part(&self, prefix: &[u8], each: EachPart<'_>) -> Result<(), JournalError> {
        for item in self.db.scan_prefix(part_key(prefix)) {
            let (key, stored) = item.map_err(|error| failed("read", &self.path, error))?;
            let key = key.get(1..).unwrap_or_default();
            each(key, self.value(key, &stored)?);
        }
        Ok(())
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

/// sled reports a lock that another process holds as an error of no particular kind.
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.kind() == io::ErrorKind::WouldBlock || io.to_string().contains("could not acquire lock"))
}

/// Not the database is at fault, but the disk or the permissions: making it again would not help.
fn is_system(error: &sled::Error) -> bool {
    let kinds = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem,
    ];
    matches!(error, sled::Error::Io(io) if kinds.contains(&io.kind()))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it cannot be opened".to_owned())
}
