//! Any bytes as frames, and any damage to a ledger: what is read is what was written, up to where it was damaged, and never
//! anything else; what is refused stays as it is.
//!
//! The first byte chooses: bytes as one frame; lines `KIND BODY` as records to write; or edits of a ledger of several segments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use untether_ledger::frame::{self, Stamp};
use untether_ledger::log::CreateLog;
use untether_ledger::{
    Clock, ClockPolicy, Disk, Frame, LedgerError, Log, MemoryStorage, NewFrame, OpenLog, Reader, Storage as _,
};

const LEDGER: &str = "/ledger";
/// Small enough for a few records.
const SEGMENT_BYTES: u64 = 500;

/// Checks a frame, records, or a damaged ledger.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 3 {
        0 => one_frame(rest),
        1 => written_records(rest),
        _ => damaged_ledger(rest),
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn mono(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn boot(&self) -> &str {
        "boot"
    }
}

/// Bytes as they are, and the same under a header that fits them.
fn one_frame(bytes: &[u8]) {
    let mut headed = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    headed.extend(crc32c::crc32c(bytes).to_le_bytes());
    headed.extend(bytes);
    for given in [bytes, headed.as_slice()] {
        let Ok(frame) = frame::decode(given, 1, 0) else { continue };
        assert_eq!(frame.size_bytes, given.len() as u64);
        let record = NewFrame::from_json(frame.kind.to_string(), frame.body()).unwrap_or_else(|error| panic!("{error}"));
        let stamp = Stamp { seq: frame.seq(), prev: frame.prev, wall: frame.wall, mono_us: frame.mono_us, boot: &frame.boot };
        let mut written = Vec::new();
        let hash = frame::encode(&stamp, &record, &mut written).unwrap_or_else(|error| panic!("{error}"));
        let back = frame::decode(&written, 1, 0).unwrap_or_else(|unread| panic!("{unread:?}"));
        assert_eq!(back.hash, hash);
        let said = |frame: &Frame| {
            (frame.location, frame.prev, frame.mono_us, frame.boot.clone(), frame.kind.clone(), frame.body().to_owned())
        };
        assert_eq!(said(&back), said(&frame));
        // Written with milliseconds.
        assert_eq!(back.wall.as_millisecond(), frame.wall.as_millisecond());
    }
}

/// Writes records and reads them back.
fn written_records(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let storage = MemoryStorage::new();
    let mut log = create(&storage);
    let mut wanted = Vec::new();
    for line in text.lines().take(30) {
        let (kind, body) = line.split_once(' ').unwrap_or((line, "null"));
        let Ok(record) = NewFrame::from_json(kind.to_owned(), body) else { continue };
        if !is_own(kind) {
            wanted.push((kind.to_owned(), record.body().to_owned()));
            put(&mut log, record);
        }
    }
    assert_eq!(read(&storage).unwrap_or_else(|error| panic!("{error}")), wanted);
}

/// A ledger of several segments, its files and what it says.
struct Whole {
    files: BTreeMap<PathBuf, Vec<u8>>,
    records: Vec<(String, String)>,
    /// Records that the witness `HEAD` vouches for.
    witnessed: usize,
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let storage = MemoryStorage::new();
        let mut log = create(&storage);
        let mut witnessed = 0;
        for n in 0..9 {
            put(&mut log, note(&format!("note {n}")));
            if n == 6 {
                log.write_head().unwrap_or_else(|error| panic!("{error}"));
                witnessed = n + 1;
            }
        }
        let names = storage.list(Path::new(LEDGER)).unwrap_or_else(|error| panic!("{error}"));
        let paths = names.iter().map(|name| Path::new(LEDGER).join(name));
        let files: BTreeMap<_, _> = paths.filter_map(|path| Some((path.clone(), storage.content(&path)?))).collect();
        assert!(files.len() > 4, "several segments");
        Whole { files, records: read(&storage).unwrap_or_else(|error| panic!("{error}")), witnessed }
    })
}

/// Edits a whole ledger, five bytes an edit, and opens it.
fn damaged_ledger(edits: &[u8]) {
    let whole = whole();
    let mut files = whole.files.clone();
    for edit in edits.chunks_exact(5).take(8) {
        if let [what, file, high, low, value] = edit {
            apply(&mut files, (*what, *file), usize::from(u16::from_be_bytes([*high, *low])), *value);
        }
    }
    let witness_is_whole = files.get(&head()) == whole.files.get(&head());

    for accept_loss in [false, true] {
        let storage = MemoryStorage::new();
        storage.create_dir(Path::new(LEDGER)).unwrap_or_else(|error| panic!("{error}"));
        files.iter().for_each(|(path, bytes)| storage.put(path, bytes.clone()));
        // Whoever looks reads a beginning of what was written, and changes nothing.
        let before = read_some(&storage);
        assert!(whole.records.starts_with(&before), "{before:?}");
        let found = untether_ledger::check(&Disk::new(storage.clone()), Path::new(LEDGER), |_| {});
        let sound = found.is_ok_and(|found| found.is_sound() && found.torn.is_none());
        assert!(files.iter().all(|(path, bytes)| storage.content(path).as_ref() == Some(bytes)), "looking changed something");
        if sound {
            assert!(before.len() >= whole.witnessed, "a sound ledger lacks what its witness vouches for");
        }
        match open(&storage, accept_loss) {
            Err(error) => {
                assert!(!sound, "{error}");
                assert!(!error.to_string().is_empty());
                let same = files.iter().all(|(path, bytes)| storage.content(path).as_ref() == Some(bytes));
                assert!(same || accept_loss, "what is refused stays as it is: {error}");
            }
            Ok(mut log) => {
                put(&mut log, note("after"));
                drop(log);
                let mut after = read_some(&storage);
                // Only the last segment is looked at on opening; what is broken before it is met by whoever reads on.
                if after.last().is_some_and(|(_, body)| body.contains("after")) {
                    after.pop();
                    let lost = whole.witnessed.saturating_sub(after.len());
                    assert!(accept_loss || lost == 0 || !witness_is_whole, "{lost} witnessed records are gone");
                    assert!(open(&storage, false).is_ok(), "it opens again");
                }
                assert!(whole.records.starts_with(&after), "{after:?}");
            }
        }
    }
}

fn apply(files: &mut BTreeMap<PathBuf, Vec<u8>>, (what, file): (u8, u8), at: usize, value: u8) {
    let names: Vec<PathBuf> = files.keys().cloned().collect();
    let (Some(name), Some(other)) =
        (names.get(usize::from(file) % names.len().max(1)).cloned(), names.get(usize::from(value) % names.len().max(1)).cloned())
    else {
        return;
    };
    let Some(mut bytes) = files.get(&name).cloned() else { return };
    let at = at.min(bytes.len());
    match what % 9 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value),
        1 => bytes.truncate(at),
        2 => bytes.extend(std::iter::repeat_n(value, at)),
        3 => drop(bytes.drain(at..(at + usize::from(value)).min(bytes.len()))),
        4 => {
            let again: Vec<u8> = bytes.iter().skip(at).take(usize::from(value)).copied().collect();
            bytes.splice(at..at, again);
        }
        5 => {
            files.remove(&name);
            return;
        }
        6 => {
            let Some(theirs) = files.insert(other, bytes) else { return };
            bytes = theirs;
        }
        7 => bytes.splice(at..at, [value]).for_each(drop),
        _ => bytes = std::iter::repeat_n(value, at % 64).collect(),
    }
    files.insert(name, bytes);
}

fn head() -> PathBuf {
    Path::new(LEDGER).join("HEAD")
}

fn is_own(kind: &str) -> bool {
    [frame::STATE_CREATED, frame::SEGMENT_OPENED, frame::SEGMENT_SEALED].contains(&kind)
}

fn note(text: &str) -> NewFrame {
    NewFrame::new("note", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn put(log: &mut Log, record: NewFrame) {
    log.append(&[record]).and_then(|_| log.sync()).unwrap_or_else(|error| panic!("{error}"));
}

fn create(storage: &MemoryStorage) -> Log {
    let disk = Disk::new(storage.clone());
    let how = CreateLog { disk, dir: LEDGER.into(), clock: Arc::new(StoppedClock), segment_bytes: SEGMENT_BYTES };
    Log::create(how).unwrap_or_else(|error| panic!("{error}"))
}

fn open(storage: &MemoryStorage, accept_loss: bool) -> Result<Log, LedgerError> {
    let how = OpenLog {
        disk: Disk::new(storage.clone()),
        dir: LEDGER.into(),
        clock: Arc::new(StoppedClock),
        clock_policy: ClockPolicy::Refuse,
        segment_bytes: SEGMENT_BYTES,
        known_kind: &|kind| kind == "note",
        accept_loss,
        witnesses: Vec::new(),
    };
    Ok(Log::open(how)?.0)
}

/// Kinds and bodies of all records but the ledger's own.
fn read(storage: &MemoryStorage) -> Result<Vec<(String, String)>, LedgerError> {
    let mut records = Vec::new();
    read_into(storage, &mut records)?;
    Ok(records)
}

/// The same up to where reading fails.
fn read_some(storage: &MemoryStorage) -> Vec<(String, String)> {
    let mut records = Vec::new();
    // Why it fails is the report of a check.
    let _ = read_into(storage, &mut records);
    records
}

fn read_into(storage: &MemoryStorage, records: &mut Vec<(String, String)>) -> Result<(), LedgerError> {
    let mut reader = Reader::open(&Disk::new(storage.clone()), Path::new(LEDGER))?;
    while let Some(frame) = reader.next_frame()? {
        if !is_own(&frame.kind) {
            records.push((frame.kind.to_string(), frame.body().to_owned()));
        }
    }
    Ok(())
}
