//! Reading while somebody else appends.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use untether_ledger::log::CreateLog;
use untether_ledger::storage::{Open, StorageFile};
use untether_ledger::{Disk, Log, MemoryStorage, Reader, Storage, SystemClock};

use crate::support::{LEDGER, World, note, put};

#[test]
fn a_reader_goes_on_where_it_stopped_across_segments() {
    let world = World::new(1000);
    let mut log = world.create().unwrap();
    let mut reader = Reader::open(&world.disk(), Path::new(LEDGER)).unwrap();
    let mut seen = Vec::new();
    for n in 0..20 {
        put(&mut log, &format!("{n}"));
        while let Some(frame) = reader.next_frame().unwrap() {
            if frame.kind == "note" {
                seen.push(frame.read_body::<String>().unwrap());
            }
        }
        assert_eq!(reader.head(), Some(log.head()));
    }
    assert_eq!(seen, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn frames_since_a_number_and_at_a_place() {
    let world = World::new(1000);
    let mut log = world.create().unwrap();
    let mut places = Vec::new();
    for n in 0..200 {
        places.extend(log.append(&[note(&format!("{n}"))]).unwrap().locations);
        log.sync().unwrap();
    }
    for (n, place) in places.iter().enumerate() {
        let frame = Reader::read_at(&world.disk(), Path::new(LEDGER), *place).unwrap();
        assert_eq!((frame.seq(), frame.read_body::<String>().unwrap()), (place.seq, n.to_string()));
    }
    for seq in 0..=log.head().seq {
        let mut reader = Reader::open_after(&world.disk(), Path::new(LEDGER), seq).unwrap();
        let next = reader.next_frame().unwrap().map(|frame| frame.seq());
        assert_eq!(next, (seq < log.head().seq).then_some(seq + 1));
    }
    let index = untether_ledger::Index::build(&world.disk(), Path::new(LEDGER)).unwrap();
    for index in [index, untether_ledger::Index::new()] {
        for seq in 1..=log.head().seq {
            assert_eq!(index.find(&world.disk(), Path::new(LEDGER), seq).unwrap().unwrap().seq(), seq);
        }
        assert!(index.find(&world.disk(), Path::new(LEDGER), log.head().seq + 1).unwrap().is_none());
    }
    let mut wrong = places[3];
    wrong.seq += 1;
    assert!(Reader::read_at(&world.disk(), Path::new(LEDGER), wrong).is_err());
    wrong.offset += 1;
    assert!(Reader::read_at(&world.disk(), Path::new(LEDGER), wrong).is_err());
}

/// Storage that looks for each segment too early, once: its writer begins it, and the one after it, right afterwards.
#[derive(Debug)]
struct TooEarly {
    below: MemoryStorage,
    looked: Mutex<BTreeSet<PathBuf>>,
}

impl Storage for TooEarly {
    fn exists(&self, path: &Path) -> io::Result<bool> {
        let again = !self.looked.lock().unwrap().insert(path.to_owned());
        Ok(again && self.below.exists(path)?)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn StorageFile>> {
        self.below.open(path, how)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.below.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.below.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.below.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.below.sync_dir(dir)
    }

    fn sync_everything(&self, dir: &Path) -> io::Result<()> {
        self.below.sync_everything(dir)
    }

    fn mode(&self, path: &Path) -> io::Result<Option<u32>> {
        self.below.mode(path)
    }
}

#[test]
fn segments_that_a_writer_begins_between_two_looks_are_not_missing() {
    let world = World::new(1000);
    let mut log = world.create().unwrap();
    (0..40).for_each(|n| put(&mut log, &format!("{n}")));
    let disk = Disk::new(TooEarly { below: world.storage.clone(), looked: Mutex::default() });
    let mut reader = Reader::open(&disk, Path::new(LEDGER)).unwrap();
    while reader.head() != Some(log.head()) {
        reader.next_frame().unwrap();
    }
}

#[test]
fn a_reader_beside_a_writer_never_sees_a_broken_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    let how = CreateLog { disk: Disk::real(), dir: ledger.clone(), clock: Arc::new(SystemClock::new()), segment_bytes: 200_000 };
    let mut log = Log::create(how).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = Reader::open(&Disk::real(), &ledger).unwrap();
            loop {
                let last_look = done.load(Ordering::Acquire);
                while reader.next_frame().unwrap().is_some() {}
                if last_look {
                    return reader.head();
                }
            }
        });
        for n in 0..300 {
            // Frames larger than a page, so that a look can fall into the middle of a write.
            log.append(&[note(&"x".repeat(n * 50)), note("y")]).unwrap();
        }
        done.store(true, Ordering::Release);
        assert_eq!(reading.join().unwrap(), Some(log.head()));
    });
    log.sync().unwrap();
    assert!(untether_ledger::check(&Disk::real(), &ledger, |_| {}).unwrap().segments.len() > 5);
}

/// The start of a wave names everybody in it.
#[test]
fn a_frame_of_many_megabytes_is_read_back_and_passes_the_check() {
    let world = World::new(1 << 20);
    let mut log = world.create().unwrap();
    let everybody = "somebody ".repeat(2_500_000);
    for text in ["before", &everybody, "behind"] {
        put(&mut log, text);
    }
    drop(log);
    assert!(world.notes().iter().eq(["before", &everybody, "behind"]));
    let (log, opened) = world.open().unwrap();
    assert!(opened.torn.is_none());
    let check = world.check();
    assert!(check.is_sound() && check.head == Some(log.head()), "{check:?}");
}
