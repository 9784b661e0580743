//! Handing things from one thread to the next, many at once and in order.
//!
//! What was handed over goes back when it was looked at, and is dropped where it was made: memory that one thread takes and another one
//! gives back makes the two wait for each other's allocator.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::error::CliError;

/// Items that are handed over at once.
const CHUNK: usize = 512;
/// Bytes after which a chunk is handed over, however few items it has.
const CHUNK_BYTES: u64 = 512 << 10;
/// Chunks that may wait: whoever takes them may be held up for as long as a few take to make.
const AHEAD: usize = 16;

/// The end at which things are made.
pub struct LaneIn<T> {
    chunk: Vec<T>,
    bytes: u64,
    full: SyncSender<Vec<T>>,
    back: Receiver<Vec<T>>,
}

/// The end at which they are looked at.
pub struct LaneOut<T> {
    full: Receiver<Vec<T>>,
    back: Sender<Vec<T>>,
}

/// Both ends.
pub fn lane<T>() -> (LaneIn<T>, LaneOut<T>) {
    let (full_in, full_out) = sync_channel(AHEAD);
    let (back_in, back_out) = channel();
    (
        LaneIn { chunk: Vec::with_capacity(CHUNK), bytes: 0, full: full_in, back: back_out },
        LaneOut { full: full_out, back: back_in },
    )
}

/// Three threads: `read` makes things, `decode` makes of each what is wanted of it (and tells about how many bytes it has), and the
/// caller's looks at that, in order and many at once.
///
/// # Errors
/// The first of the three that fails; nothing is made any more then.
pub fn pipeline<A: Send, B: Send, R: Send>(
    read: impl FnOnce(LaneIn<A>) -> Result<R, CliError> + Send,
    mut decode: impl FnMut(&A) -> Result<(B, u64), CliError> + Send,
    mut look: impl FnMut(&mut Vec<B>) -> Result<(), CliError>,
) -> Result<R, CliError> {
    std::thread::scope(|scope| {
        let (made_in, made_out) = lane();
        let (decoded_in, decoded_out) = lane();
        let reading = scope.spawn(move || read(made_in));
        let decoding = scope.spawn(move || decode_all(&made_out, &mut decode, decoded_in));
        while let Some(mut chunk) = decoded_out.next() {
            look(&mut chunk)?;
            decoded_out.give_back(chunk);
        }
        drop(decoded_out);
        joined(decoding.join())?;
        joined(reading.join())
    })
}

/// Two threads: the caller's makes things, another one takes them, in order and many at once.
///
/// # Errors
/// What `take` says, which is given nothing more then, or `early` where its thread ends without a word; else what `make` says.
pub fn relayed<A: Send, R, E: Send>(
    make: impl FnOnce(&mut LaneIn<A>) -> Result<R, E>,
    mut take: impl FnMut(&[A]) -> Result<(), E> + Send,
    early: impl FnOnce() -> E,
) -> Result<R, E> {
    std::thread::scope(|scope| {
        let (mut made, taken) = lane();
        let taking = scope.spawn(move || {
            while let Some(chunk) = taken.next() {
                take(&chunk)?;
                taken.give_back(chunk);
            }
            Ok(())
        });
        let result = make(&mut made);
        made.finish();
        taking.join().unwrap_or_else(|_| Err(early()))?;
        result
    })
}

fn joined<T>(ended: std::thread::Result<Result<T, CliError>>) -> Result<T, CliError> {
    ended.unwrap_or_else(|_| Err(CliError::failed("a thread that reads the state ended early")))
}

/// Decodes what was made, until nobody takes anything any more.
fn decode_all<A, B>(
    made: &LaneOut<A>,
    decode: &mut impl FnMut(&A) -> Result<(B, u64), CliError>,
    mut decoded: LaneIn<B>,
) -> Result<(), CliError> {
    while let Some(chunk) = made.next() {
        for thing in &chunk {
            let (item, bytes) = decode(thing)?;
            if !decoded.push(item, bytes) {
                return Ok(());
            }
        }
        made.give_back(chunk);
    }
    decoded.finish();
    Ok(())
}

impl<T> LaneIn<T> {
    /// Hands over an item of about so many bytes; `false`: nobody takes anything any more.
    #[must_use]
    pub fn push(&mut self, item: T, bytes: u64) -> bool {
        self.chunk.push(item);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.chunk.len() < CHUNK && self.bytes < CHUNK_BYTES {
            return true;
        }
        let mut next = self.back.try_recv().unwrap_or_default();
        next.clear();
        self.bytes = 0;
        self.full.send(std::mem::replace(&mut self.chunk, next)).is_ok()
    }

    /// Hands over what is left, and waits until nothing is being looked at any more: what was made is dropped here.
    pub fn finish(self) {
        // Where nobody takes it any more, nobody misses it.
        let _ = self.full.send(self.chunk);
        drop(self.full);
        self.back.into_iter().for_each(drop);
    }
}

impl<T> LaneOut<T> {
    /// The next chunk; `None`: there will be none.
    pub fn next(&self) -> Option<Vec<T>> {
        self.full.recv().ok()
    }

    /// Gives a chunk back that was looked at.
    pub fn give_back(&self, chunk: Vec<T>) {
        // Whoever made it may have ended.
        let _ = self.back.send(chunk);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    /// Says in which thread it was dropped.
    struct Made(u32, Sender<ThreadId>);

    impl Drop for Made {
        fn drop(&mut self) {
            let _ = self.1.send(thread::current().id());
        }
    }

    #[test]
    fn everything_comes_in_order_and_is_dropped_where_it_was_made() {
        let (mut things, looked_at) = lane();
        let (dropped, where_dropped) = channel();
        let maker = thread::spawn(move || {
            for n in 0..10_000 {
                // Now and then one is long.
                assert!(things.push(Made(n, dropped.clone()), if n % 700 == 0 { CHUNK_BYTES } else { 1 }));
            }
            things.finish();
            thread::current().id()
        });
        let mut seen = Vec::new();
        while let Some(chunk) = looked_at.next() {
            seen.extend(chunk.iter().map(|made| made.0));
            looked_at.give_back(chunk);
        }
        drop(looked_at);
        let maker = maker.join().unwrap();
        assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
        let threads: Vec<ThreadId> = where_dropped.into_iter().collect();
        assert!(threads.len() == 10_000 && threads.iter().all(|thread| *thread == maker));
    }

    #[test]
    fn what_is_wrong_with_taking_is_the_error_and_else_what_is_wrong_with_making() {
        let numbers =
            |made: &mut LaneIn<usize>| (0..10 * CHUNK).try_for_each(|n| made.push(n, 1).then_some(()).ok_or("nobody takes it"));
        let mut sum = 0;
        let add = |chunk: &[usize]| {
            sum += chunk.iter().sum::<usize>();
            Ok(())
        };
        assert_eq!(relayed(numbers, add, || "ended early"), Ok(()));
        assert_eq!(sum, (0..10 * CHUNK).sum::<usize>());
        for at in [0, CHUNK, 10 * CHUNK - 1] {
            let take = |chunk: &[usize]| if chunk.contains(&at) { Err("the disk is full") } else { Ok(()) };
            assert_eq!(relayed(numbers, take, || "ended early"), Err("the disk is full"), "at {at}");
        }
        assert_eq!(
            relayed(|_: &mut LaneIn<usize>| Err::<(), _>("nothing to make"), |_| Ok(()), || "ended early"),
            Err("nothing to make")
        );
        let broken = |_: &[usize]| -> Result<(), &str> { std::panic::resume_unwind(Box::new("the taker is broken")) };
        assert_eq!(relayed(numbers, broken, || "ended early"), Err("ended early"));
    }

    #[test]
    fn whoever_makes_is_told_when_nobody_takes_anything_any_more() {
        let (mut things, looked_at) = lane();
        drop(looked_at);
        assert!((0..=CHUNK).any(|n| !things.push(n, 1)));
        things.finish();
    }
}
