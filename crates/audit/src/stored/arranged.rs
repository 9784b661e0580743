//! The entries of one store in an order that the reader chooses, whatever their number.
//!
//! Does not know what the order is for.

use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};

use serde::Deserialize;
use untether_ledger::RawRecords;
use untether_model::snapshot::{EntryRole, SnapshotEntry};
use untether_model::{Dn, Side};

use super::{ScratchError, StoredAudit, TemporaryScratch};
use crate::collect::StoreFailure;
use crate::spill::{Record, Sorter};

/// What is sorted in memory; the rest goes to a temporary file.
const SORTED_IN_MEMORY: usize = 16 << 20;

/// Entries that are handed over at once, and how many such chunks may wait.
const CHUNK: usize = 256;
const AHEAD: usize = 2;

/// An entry with its number.
type Arranged = Result<(u32, SnapshotEntry), StoreFailure>;

/// The beginning of a [`SnapshotEntry`] in postcard, where fields follow each other without their names.
#[derive(Deserialize)]
struct Beginning {
    #[expect(dead_code, reason = "it stands before the name")]
    role: EntryRole,
    dn: Dn,
}

impl StoredAudit<'_> {
    /// Hands over the entries of one store for which `place` names a number, in the order of these numbers; the others are not even
    /// decoded. `each` gets the number too, and says whether there should be more.
    ///
    /// # Errors
    /// The file or the temporary one cannot be read or written.
    pub fn each_arranged(
        &self,
        side: Side,
        place: &mut dyn FnMut(&Dn) -> Option<u32>,
        each: &mut dyn FnMut(u32, SnapshotEntry) -> ControlFlow<()>,
    ) -> Result<(), StoreFailure> {
        let mut scratch = TemporaryScratch::default();
        let mut sorter = Sorter::new(&mut scratch, SORTED_IN_MEMORY);
        let mut records = RawRecords::new(self.entries_file(side)?);
        while let Some(record) = records.next_record().map_err(StoreFailure::reading)? {
            let (Beginning { dn, .. }, _) = postcard::take_from_bytes(record).map_err(StoreFailure::reading)?;
            if let Some(number) = place(&dn) {
                sorter.push(&number.to_be_bytes(), record).map_err(StoreFailure::writing)?;
            }
        }
        std::thread::scope(|scope| {
            // What is wanted is decoded a little ahead of whoever takes it.
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || decode(sorter, &sender));
            for arranged in receiver.into_iter().flatten() {
                let (number, entry) = arranged?;
                if each(number, entry).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Decodes to the end, or until nobody takes any more; an error is the last thing that is handed over.
fn decode(sorter: Sorter<'_, TemporaryScratch>, sender: &SyncSender<Vec<Arranged>>) {
    let mut sorted = match sorter.finish() {
        Ok(sorted) => sorted,
        Err(error) => return drop(sender.send(vec![Err(StoreFailure::reading(error))])),
    };
    loop {
        let chunk: Vec<Arranged> = sorted.by_ref().take(CHUNK).map(entry).collect();
        let over = chunk.is_empty() || chunk.iter().any(Result::is_err);
        if sender.send(chunk).is_err() || over {
            return;
        }
    }
}

fn entry(record: Result<Record, ScratchError>) -> Arranged {
    let record = record.map_err(StoreFailure::reading)?;
    let number = record.key().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    Ok((number, postcard::from_bytes(record.payload()).map_err(StoreFailure::reading)?))
}
