//! Reading records back in a thread of its own: opening, unpacking and decoding go on while others look at what came before.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::de::DeserializeOwned;
use untether_ledger::{RecordReader, SealedReader};

use crate::collect::StoreFailure;

/// Records that are handed over at once.
const BATCH: usize = 256;

/// Bytes after which a batch is handed over, however few records it has.
const BATCH_BYTES: usize = 256 << 10;

/// Batches that may wait: the reader is never far ahead.
const AHEAD: usize = 2;

type Read<T> = Result<T, StoreFailure>;

/// Records in the order of their file. The thread ends with the file, with the first error, or when this goes.
pub(super) struct Ahead<T> {
    /// `None` once everything was handed over.
    batches: Option<Receiver<Vec<Read<T>>>>,
    batch: std::vec::IntoIter<Read<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: DeserializeOwned + Send + 'static> Ahead<T> {
    /// Begins to read the records that are wanted.
    pub(super) fn begin(file: SealedReader, wanted: impl Fn(&T) -> bool + Send + 'static) -> Result<Self, StoreFailure> {
        Self::of(move |sender| hand_over(RecordReader::new(file), &wanted, sender))
    }

    /// Begins to read what is at the beginning of each record, of those that are wanted: the rest is not decoded.
    pub(super) fn of_parts(file: SealedReader, wanted: impl Fn(&T) -> bool + Send + 'static) -> Result<Self, StoreFailure> {
        Self::of(move |sender| hand_over(RecordReader::of_parts(file), &wanted, sender))
    }
}

impl<T: Send + 'static> Ahead<T> {
    fn of(read: impl FnOnce(&SyncSender<Vec<Read<T>>>) + Send + 'static) -> Result<Self, StoreFailure> {
        let (sender, batches) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new().name("snapshot-reader".to_owned()).spawn(move || read(&sender));
        let thread = Some(thread.map_err(StoreFailure::reading)?);
        Ok(Self { batches: Some(batches), batch: Vec::new().into_iter(), thread })
    }
}

impl<T> Ahead<T> {
    /// Waits for the thread; `false` where it ended by a panic.
    fn join(&mut self) -> bool {
        self.batches = None;
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

/// Reads to the end, to the first error, or until nobody listens any more.
fn hand_over<T: DeserializeOwned>(
    mut records: RecordReader<T, SealedReader>,
    wanted: &impl Fn(&T) -> bool,
    sender: &SyncSender<Vec<Read<T>>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = 0;
    while let Some(read) = records.next() {
        bytes += records.record_bytes();
        match read {
            Ok(record) if !wanted(&record) => continue,
            read => batch.push(read.map_err(StoreFailure::reading)),
        }
        if batch.len() == BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err() {
                return;
            }
        }
    }
    // Whoever listens no more has no use for the rest.
    let _ = sender.send(batch);
}

impl<T> Iterator for Ahead<T> {
    type Item = Read<T>;

    fn next(&mut self) -> Option<Read<T>> {
        loop {
            if let Some(read) = self.batch.next() {
                return Some(read);
            }
            match self.batches.as_ref()?.recv() {
                Ok(batch) => self.batch = batch.into_iter(),
                // The end, if the thread came to it.
                Err(_) => return (!self.join()).then(|| Err(StoreFailure::reading("the thread that reads it ended early"))),
            }
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        // What the thread has to say interests nobody any more.
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ends_early_is_an_error_and_not_an_end() {
        let mut ahead = Ahead::<()>::of(|sender| {
            sender.send(vec![Err(StoreFailure::reading("first"))]).unwrap();
            std::panic::resume_unwind(Box::new("the reader is broken"));
        })
        .unwrap();
        assert_eq!(ahead.next().unwrap().unwrap_err().source.to_string(), "first");
        let early = ahead.next().unwrap().unwrap_err();
        assert!(early.source.to_string().contains("ended early"), "{early:?}");
        assert!(ahead.next().is_none(), "and is told once");
    }

    #[test]
    fn whoever_stops_early_leaves_no_thread_behind() {
        let (ended, has_ended) = std::sync::mpsc::channel();
        let ahead = Ahead::<()>::of(move |sender| {
            while sender.send(Vec::new()).is_ok() {}
            ended.send(()).unwrap();
        })
        .unwrap();
        drop(ahead);
        assert!(has_ended.try_recv().is_ok());
    }
}
