//! Sorted runs in sealed files that go when they are no longer needed.

use std::io::{Read, Write};

use untether_ledger::{Published, SealedReader};

use super::AuditFiles;
use crate::collect::StoreFailure;
use crate::spill::{Run, Scratch};

/// Sorted runs of one audit.
pub struct SealedScratch<'a> {
    files: &'a AuditFiles<'a>,
    runs: Vec<Published>,
}

impl<'a> SealedScratch<'a> {
    /// No runs yet.
    pub fn new(files: &'a AuditFiles<'a>) -> Self {
        Self { files, runs: Vec::new() }
    }
}

impl Scratch for SealedScratch<'_> {
    type Error = StoreFailure;

    fn keep(&mut self, records: &mut dyn Iterator<Item = &[u8]>) -> Result<(), StoreFailure> {
        let mut file = self.files.create_temporary()?;
        // The number of the run comes first: two runs of equal content are two files.
        let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(StoreFailure::writing);
        put(&u64::try_from(self.runs.len()).unwrap_or(u64::MAX).to_le_bytes())?;
        for record in records {
            put(&u32::try_from(record.len()).map_err(StoreFailure::writing)?.to_le_bytes())?;
            put(record)?;
        }
        self.runs.push(file.finish_unsynced().map_err(StoreFailure::writing)?);
        Ok(())
    }

    fn runs<'r>(&'r self) -> Result<Vec<Run<'r, StoreFailure>>, StoreFailure> {
        let open = |run| -> Result<Run<'r, StoreFailure>, StoreFailure> {
            let mut file = self.files.open_temporary(run)?;
            file.read_exact(&mut [0; 8]).map_err(StoreFailure::reading)?;
            Ok(Box::new(Records { file: Some(file) }))
        };
        self.runs.iter().map(open).collect()
    }
}

impl Drop for SealedScratch<'_> {
    fn drop(&mut self) {
        for run in &self.runs {
            self.files.remove_temporary(run);
        }
    }
}

struct Records {
    file: Option<SealedReader>,
}

impl Records {
    fn take(file: &mut SealedReader) -> Result<Option<Vec<u8>>, StoreFailure> {
        let mut length = [0u8; 4];
        match file.read(&mut length).map_err(StoreFailure::reading)? {
            0 => return Ok(None),
            read => file.read_exact(length.get_mut(read..).unwrap_or_default()).map_err(StoreFailure::reading)?,
        }
        let mut record = vec![0; usize::try_from(u32::from_le_bytes(length)).map_err(StoreFailure::reading)?];
        file.read_exact(&mut record).map_err(StoreFailure::reading)?;
        Ok(Some(record))
    }
}

impl Iterator for Records {
    type Item = Result<Vec<u8>, StoreFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = Self::take(self.file.as_mut()?);
        if !matches!(taken, Ok(Some(_))) {
            self.file = None;
        }
        taken.transpose()
    }
}
