//! Sorted runs of whoever only looks at a state: in an unnamed file of the system's temporary directory, sealed with a key that
//! nobody keeps.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use untether_ledger::{Key, SealError, seal_bytes, unseal_bytes};
use zeroize::Zeroizing;

use crate::spill::{Run, Scratch};

/// Bytes of records that are sealed together.
const BLOCK_BYTES: usize = 256 << 10;

const PURPOSE: &str = "scratch";

/// Why sorted runs could not be kept or read back.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The system refused.
    #[error("a temporary file cannot be written or read back; is the disk of TMPDIR full?")]
    Io(#[from] std::io::Error),
    /// Sealing failed.
    #[error("a temporary file cannot be sealed or opened")]
    Seal(#[from] SealError),
}

/// A block in the file: where it begins, and its sealed length.
type Block = (u64, usize);

/// Sorted runs in a temporary file, which is made when the first one is kept.
#[derive(Default)]
pub struct TemporaryScratch {
    kept: Option<(Key, File)>,
    runs: Vec<Vec<Block>>,
}

impl TemporaryScratch {
    fn put(&mut self, run: usize, blocks: &mut Vec<Block>, block: &mut Vec<u8>) -> Result<(), ScratchError> {
        if self.kept.is_none() {
            self.kept = Some((Key::random()?, tempfile::tempfile()?));
        }
        let Some((key, file)) = &mut self.kept else { return Ok(()) };
        let sealed = seal_bytes(key, PURPOSE, &object(run, blocks.len()), block)?;
        let at = file.seek(SeekFrom::End(0))?;
        file.write_all(&sealed)?;
        blocks.push((at, sealed.len()));
        block.clear();
        Ok(())
    }
}

fn object(run: usize, block: usize) -> String {
    format!("{run}/{block}")
}

impl Scratch for TemporaryScratch {
    type Error = ScratchError;

    fn keep(&mut self, records: &mut dyn Iterator<Item = &[u8]>) -> Result<(), ScratchError> {
        let run = self.runs.len();
        let (mut blocks, mut block) = (Vec::new(), Vec::new());
        for record in records {
            let length = u32::try_from(record.len()).map_err(|_| SealError::TooLarge)?;
            block.extend_from_slice(&length.to_le_bytes());
            block.extend_from_slice(record);
            if block.len() >= BLOCK_BYTES {
                self.put(run, &mut blocks, &mut block)?;
            }
        }
        if !block.is_empty() {
            self.put(run, &mut blocks, &mut block)?;
        }
        self.runs.push(blocks);
        Ok(())
    }

    fn runs<'r>(&'r self) -> Result<Vec<Run<'r, ScratchError>>, ScratchError> {
        let Some((key, file)) = &self.kept else { return Ok(Vec::new()) };
        let open = |(number, blocks): (usize, &'r Vec<Block>)| -> Run<'r, ScratchError> {
            Box::new(Records { key, file, number, blocks, next: 0, block: Zeroizing::default(), used: 0 })
        };
        Ok(self.runs.iter().enumerate().map(open).collect())
    }
}

/// Reads one run, a block at a time.
struct Records<'r> {
    key: &'r Key,
    file: &'r File,
    number: usize,
    blocks: &'r [Block],
    next: usize,
    block: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Records<'_> {
    fn open_block(&mut self) -> Result<bool, ScratchError> {
        let Some((at, length)) = self.blocks.get(self.next).copied() else { return Ok(false) };
        let mut sealed = vec![0; length];
        self.file.read_exact_at(&mut sealed, at)?;
        self.block = unseal_bytes(self.key, PURPOSE, &object(self.number, self.next), &sealed)?;
        self.used = 0;
        self.next += 1;
        Ok(true)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Vec<u8>, ScratchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.used == self.block.len() {
            match self.open_block() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let (length, rest) = self.block.get(self.used..)?.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let record = rest.get(..length)?.to_vec();
        self.used += 4 + length;
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::Sorter;

    #[test]
    fn what_does_not_fit_into_memory_comes_back_in_order() {
        let mut scratch = TemporaryScratch::default();
        let mut sorter = Sorter::new(&mut scratch, 64 << 10);
        let count = 20_000u32;
        for n in 0..count {
            let key = n.wrapping_mul(2_654_435_761).to_be_bytes();
            sorter.push(&key, &n.to_be_bytes().repeat(20)).unwrap();
        }
        let sorted: Vec<Vec<u8>> = sorter.finish().unwrap().map(|record| record.unwrap().key().to_vec()).collect();
        assert_eq!(sorted.len(), count as usize);
        assert!(sorted.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(scratch.runs.len() > 10 && scratch.runs.iter().any(|blocks| !blocks.is_empty()));
    }
}
