//! The ledger's records in order, for whoever looks: read, checked and decoded by a thread of its own, folded by the caller's.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use jiff::Timestamp;
use untether_ledger::{Head, Reader, StateDir};
use untether_model::run::Record;

use crate::error::{CliError, chain};

/// Records that are handed over at once.
const CHUNK: usize = 512;
/// Chunks that may wait: the reader is never far ahead.
const AHEAD: usize = 4;

/// A record with its sequence number and time. What no fold looks at is left out of it ([`Record::for_fold`]).
type Folded = (u64, Timestamp, Record);

/// Hands over each record of the ledger, and gives the last frame.
///
/// # Errors
/// The ledger cannot be read, a record is none, or `each` fails; nothing is read further then.
pub fn each_record(
    dir: &StateDir,
    each: impl FnMut(u64, Timestamp, Record) -> Result<(), CliError>,
) -> Result<Option<Head>, CliError> {
    records_of(Reader::open(dir.disk(), &dir.ledger())?, each)
}

/// The same for what a reader has still to read.
pub fn records_of(
    reader: Reader,
    mut each: impl FnMut(u64, Timestamp, Record) -> Result<(), CliError>,
) -> Result<Option<Head>, CliError> {
    std::thread::scope(|scope| {
        let (sender, receiver): (_, Receiver<Vec<Folded>>) = sync_channel(AHEAD);
        let ahead = scope.spawn(move || read_ahead(reader, &sender));
        for (seq, at, record) in receiver.into_iter().flatten() {
            each(seq, at, record)?;
        }
        ahead.join().unwrap_or_else(|_| Err(CliError::failed("the thread that reads the ledger ended early")))
    })
}

/// Reads to the end, or until nobody listens any more.
fn read_ahead(mut reader: Reader, sender: &SyncSender<Vec<Folded>>) -> Result<Option<Head>, CliError> {
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(frame) = reader.next_frame()? {
        if frame.is_seam() {
            continue;
        }
        let record = Record::for_fold(&frame.kind, frame.body()).map_err(|e| unreadable(frame.seq(), &e))?;
        chunk.push((frame.seq(), frame.wall, record));
        if chunk.len() == CHUNK && sender.send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))).is_err() {
            return Ok(None);
        }
    }
    // Nobody listens any more only after an error of its own.
    let _ = sender.send(chunk);
    Ok(reader.head())
}

/// A record that the state does not allow, or that is none.
pub fn unreadable(seq: u64, cause: &dyn std::error::Error) -> CliError {
    CliError::state(format!("record {seq}: {}", chain(cause))).hint("`untether state check`")
}
