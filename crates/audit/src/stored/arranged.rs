//! The entries of one store in an order that the reader chooses, whatever their number.
//!
//! Does not know what the order is for.

use std::ops::ControlFlow;

use serde::Deserialize;
use untether_ledger::RawRecords;
use untether_model::snapshot::{EntryRole, SnapshotEntry};
use untether_model::{Dn, Side};

use super::{StoredAudit, TemporaryScratch};
use crate::collect::StoreFailure;
use crate::spill::Sorter;

/// What is sorted in memory; the rest goes to a temporary file.
const SORTED_IN_MEMORY: usize = 16 << 20;

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
        for record in sorter.finish().map_err(StoreFailure::reading)? {
            let (number, record) = record.map_err(StoreFailure::reading)?;
            let number = number.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            if each(number, postcard::from_bytes(&record).map_err(StoreFailure::reading)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}
