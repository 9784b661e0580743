//! Where collected entries go.

use untether_model::snapshot::{CopyRecord, SnapshotEntry};

/// What was collected could not be kept, or could not be read back.
#[derive(Debug, thiserror::Error)]
#[error("{operation} the snapshot failed")]
pub struct StoreFailure {
    /// `writing` or `reading`.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreFailure {
    /// Writing failed.
    pub fn writing(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { operation: "writing", source: source.into() }
    }

    /// Reading back failed.
    pub fn reading(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { operation: "reading", source: source.into() }
    }
}

/// Takes the entries of one store, in the order in which they are read: accounts, then entries that name others, then `cn=config`.
pub trait EntrySink: Send {
    /// An entry.
    fn entry(&mut self, entry: SnapshotEntry) -> Result<(), StoreFailure>;

    /// What an area of copies holds about one entry.
    fn copy(&mut self, copy: CopyRecord) -> Result<(), StoreFailure>;
}
