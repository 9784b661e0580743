//! Keeps what is collected, in memory.

use untether_audit::collect::{EntrySink, Marker, StoreFailure};
use untether_model::snapshot::{CopyRecord, EntryRole, SnapshotEntry};

/// What was collected of one store.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub entries: Vec<SnapshotEntry>,
    pub copies: Vec<CopyRecord>,
}

impl EntrySink for Kept {
    fn entry(&mut self, entry: SnapshotEntry) -> Result<(), StoreFailure> {
        self.entries.push(entry);
        Ok(())
    }

    fn copy(&mut self, copy: CopyRecord) -> Result<(), StoreFailure> {
        self.copies.push(copy);
        Ok(())
    }
}

impl Kept {
    /// The names of the entries with this role, in the order in which they came.
    pub fn names(&self, role: EntryRole) -> Vec<&str> {
        self.entries.iter().filter(|e| e.role == role).map(|e| e.dn.as_str()).collect()
    }
}

/// Marks that are digests without a key: good enough to compare.
pub struct Digests;

impl Marker for Digests {
    fn mark(&self, attribute: &str, value: &[u8]) -> String {
        let mut bytes = attribute.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend_from_slice(value);
        untether_model::digest::Digest::of(&bytes).to_hex()
    }
}
