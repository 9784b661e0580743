//! Sealing a file in a thread of its own: packing, hashing, sealing and writing go on while the next entries are read.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use untether_ledger::{Published, SealedWriter};

/// Bytes that are handed over at once.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that may wait.
const WAITING: usize = 4;

/// What is written to it is in the file once it is finished; dropped before, it leaves nothing behind.
pub(super) struct Behind {
    piece: Vec<u8>,
    /// `None` once nothing more comes.
    pieces: Option<SyncSender<Vec<u8>>>,
    /// `None` once it was waited for.
    thread: Option<JoinHandle<io::Result<SealedWriter>>>,
}

impl Behind {
    pub(super) fn new(file: SealedWriter) -> io::Result<Self> {
        let (pieces, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("snapshot-writer".to_owned()).spawn(move || put(file, &waiting))?;
        Ok(Self { piece: Vec::with_capacity(PIECE_BYTES), pieces: Some(pieces), thread: Some(thread) })
    }

    /// Waits until everything was written, makes the file durable and publishes it.
    pub(super) fn finish(mut self) -> io::Result<Published> {
        self.send()?;
        Ok(self.join()?.finish()?)
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        match self.pieces.as_ref().map(|pieces| pieces.send(piece)) {
            Some(Ok(())) => Ok(()),
            // The thread ends before its time only by an error, which it has.
            Some(Err(_)) | None => Err(self.join().err().unwrap_or_else(ended_early)),
        }
    }

    fn join(&mut self) -> io::Result<SealedWriter> {
        self.pieces = None;
        let thread = self.thread.take().ok_or_else(ended_early)?;
        thread.join().unwrap_or_else(|_| Err(ended_early()))
    }
}

fn put(mut file: SealedWriter, waiting: &Receiver<Vec<u8>>) -> io::Result<SealedWriter> {
    for piece in waiting {
        file.write_all(&piece)?;
    }
    Ok(file)
}

fn ended_early() -> io::Error {
    io::Error::other("the thread that writes it ended early")
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.send()?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // The file goes with the thread; whoever drops it has an error to report already.
        let _ = self.join();
    }
}

#[cfg(test)]
mod tests {
    use untether_ledger::keys::KeySort;
    use untether_ledger::storage::Fault;
    use untether_ledger::{Area, Disk, Key, KeyId, KeyStore, MemoryStorage, Shelf, StateDir};
    use untether_model::digest::Digest;

    use super::*;

    struct Place {
        storage: MemoryStorage,
        state: StateDir,
        key: (KeyId, Key),
    }

    impl Place {
        fn new() -> Self {
            let storage = MemoryStorage::new();
            let state = StateDir::create(Disk::new(storage.clone()), "/state").unwrap();
            let key = KeyStore::create(&state).unwrap().new_key(KeySort::Snapshot, None).unwrap();
            Self { storage, state, key }
        }

        fn begin(&self) -> Behind {
            Behind::new(SealedWriter::create(&self.state, &Shelf::of(Area::Snapshots), &self.key.0, &self.key.1).unwrap())
                .unwrap()
        }

        /// Names of all files, unfinished ones too.
        fn files(&self) -> Vec<String> {
            self.state.disk().list(&self.state.area(Area::Snapshots)).unwrap()
        }
    }

    /// More than all pieces that may wait, in parts that do not end where pieces end.
    fn content() -> Vec<u8> {
        (0..3_000_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    fn write(behind: &mut Behind) -> io::Result<()> {
        content().chunks(1000).try_for_each(|part| behind.write_all(part))
    }

    #[test]
    fn everything_that_was_written_is_in_the_file() {
        let place = Place::new();
        let mut behind = place.begin();
        write(&mut behind).unwrap();
        let published = behind.finish().unwrap();
        assert_eq!((published.digest, published.plain_bytes), (Digest::of(&content()), 3_000_000));
    }

    #[test]
    fn a_disk_that_fails_is_the_error_and_nothing_is_left() {
        for later in 0..3 {
            let place = Place::new();
            let mut behind = place.begin();
            place.storage.fault_at(place.storage.operations() + later, Fault::Error(io::ErrorKind::StorageFull));
            let failed = write(&mut behind).and_then(|()| behind.finish()).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::StorageFull, "{failed}");
            assert_eq!(place.files(), [""; 0], "write {later}");
        }
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let place = Place::new();
        let mut behind = place.begin();
        write(&mut behind).unwrap();
        drop(behind);
        assert_eq!(place.files(), [""; 0]);
    }
}
