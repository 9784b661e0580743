//! Reading ahead: items are read and decoded by a thread of its own, a little ahead of whoever takes them.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Items that are handed over at once.
const CHUNK: usize = 256;
/// Chunks that may wait: the reader is never far ahead.
const AHEAD: usize = 4;

/// The same items in the same order. What goes wrong is an item too, told in words.
pub struct Ahead<T> {
    chunks: Receiver<Vec<Result<T, String>>>,
    chunk: std::vec::IntoIter<Result<T, String>>,
    thread: Option<JoinHandle<()>>,
}

/// Begins to read. The thread ends with the items, or soon after nobody takes them any more.
pub fn ahead<T: Send + 'static>(mut items: impl Iterator<Item = Result<T, String>> + Send + 'static) -> Result<Ahead<T>, String> {
    let (sender, chunks) = sync_channel(AHEAD);
    let read = move || {
        loop {
            let chunk: Vec<_> = items.by_ref().take(CHUNK).collect();
            if chunk.is_empty() || sender.send(chunk).is_err() {
                return;
            }
        }
    };
    let thread = Builder::new().name("reader".to_owned()).spawn(read).map_err(|e| format!("no thread can be started: {e}"))?;
    Ok(Ahead { chunks, chunk: Vec::new().into_iter(), thread: Some(thread) })
}

impl<T> Iterator for Ahead<T> {
    type Item = Result<T, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.chunk.next() {
                return Some(item);
            }
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = chunk.into_iter(),
                // An early end is not taken for the end.
                Err(_) => {
                    let ended = self.thread.take()?.join();
                    return ended.is_err().then(|| Err("the thread that reads ended early".to_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_errors_among_them() {
        let items = (0..1_000_u32).map(|n| if n == 700 { Err("torn".to_owned()) } else { Ok(n) });
        assert_eq!(ahead(items.clone()).unwrap().collect::<Vec<_>>(), items.collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_dies_is_an_error_and_no_end() {
        let items = (0..1_000_u32).map(|n| Ok(if n == 700 { panic!("dies") } else { n }));
        assert_eq!(ahead(items).unwrap().last(), Some(Err("the thread that reads ended early".to_owned())));
    }
}
