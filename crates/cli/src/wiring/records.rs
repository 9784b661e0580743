//! The ledger's records in order, for whoever looks: one thread reads and checks frames, one decodes them, the caller's folds.

use jiff::Timestamp;
use untether_ledger::{Frame, Head, Reader, StateDir};
use untether_model::run::Record;

use crate::error::{CliError, chain};
use crate::wiring::lane::{LaneIn, LaneOut, lane};

/// A record with its sequence number and time. What no fold looks at is left out of it ([`Record::for_fold`]).
type Folded = (u64, Timestamp, Record);

/// Hands over each record of the ledger, and gives the last frame.
///
/// # Errors
/// The ledger cannot be read, a record is none, or `each` fails; nothing is read further then.
pub fn each_record(
    dir: &StateDir,
    each: impl FnMut(u64, Timestamp, &Record) -> Result<(), CliError>,
) -> Result<Option<Head>, CliError> {
    records_of(Reader::open(dir.disk(), &dir.ledger())?, each)
}

/// The same for what a reader has still to read.
pub fn records_of(
    reader: Reader,
    mut each: impl FnMut(u64, Timestamp, &Record) -> Result<(), CliError>,
) -> Result<Option<Head>, CliError> {
    std::thread::scope(|scope| {
        let (frames_in, frames_out) = lane();
        let (records_in, records_out) = lane();
        let reading = scope.spawn(move || read(reader, frames_in));
        let decoding = scope.spawn(move || decode(&frames_out, records_in));
        while let Some(chunk) = records_out.next() {
            chunk.iter().try_for_each(|(seq, at, record)| each(*seq, *at, record))?;
            records_out.give_back(chunk);
        }
        drop(records_out);
        joined(decoding.join())?;
        joined(reading.join())
    })
}

fn joined<T>(ended: std::thread::Result<Result<T, CliError>>) -> Result<T, CliError> {
    ended.unwrap_or_else(|_| Err(CliError::failed("a thread that reads the ledger ended early")))
}

/// Reads to the end, or until nobody takes anything any more.
fn read(mut reader: Reader, mut frames: LaneIn<Frame>) -> Result<Option<Head>, CliError> {
    while let Some(frame) = reader.next_frame()? {
        let bytes = frame.size_bytes;
        if !frame.is_seam() && !frames.push(frame, bytes) {
            return Ok(None);
        }
    }
    frames.finish();
    Ok(reader.head())
}

/// Decodes what was read, until nobody takes anything any more.
fn decode(frames: &LaneOut<Frame>, mut records: LaneIn<Folded>) -> Result<(), CliError> {
    while let Some(chunk) = frames.next() {
        for frame in &chunk {
            let record = Record::for_fold(&frame.kind, frame.body()).map_err(|e| unreadable(frame.seq(), &e))?;
            if !records.push((frame.seq(), frame.wall, record), frame.size_bytes) {
                return Ok(());
            }
        }
        frames.give_back(chunk);
    }
    records.finish();
    Ok(())
}

/// A record that the state does not allow, or that is none.
pub fn unreadable(seq: u64, cause: &dyn std::error::Error) -> CliError {
    CliError::state(format!("record {seq}: {}", chain(cause))).hint("`untether state check`")
}
