//! The ledger's records in order, for whoever looks: one thread reads and checks frames, one decodes them, the caller's folds.

use jiff::Timestamp;
use untether_ledger::{Frame, Head, Reader, StateDir};
use untether_model::run::Record;

use crate::error::{CliError, chain};
use crate::wiring::lane::{LaneIn, pipeline};

/// Hands over each record of the ledger (what no fold looks at is left out of it: [`Record::for_fold`]), and gives the last frame.
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
    pipeline(
        |frames| read(reader, frames),
        |frame: &Frame| {
            let record = Record::for_fold(&frame.kind, frame.body()).map_err(|e| unreadable(frame.seq(), &e))?;
            Ok(((frame.seq(), frame.wall, record), frame.size_bytes))
        },
        |records| records.iter().try_for_each(|(seq, at, record)| each(*seq, *at, record)),
    )
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

/// A record that the state does not allow, or that is none.
pub fn unreadable(seq: u64, cause: &dyn std::error::Error) -> CliError {
    CliError::state(format!("record {seq}: {}", chain(cause))).hint("`untether state check`")
}
