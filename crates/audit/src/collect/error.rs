//! Why collecting stopped. What is only incomplete is no error but a gap.

use untether_directory::DirectoryError;

use super::StoreFailure;

/// Why a store could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store cannot be read at all.
    #[error("reading the store failed: {0}")]
    Directory(#[from] Box<DirectoryError>),
    /// What was read could not be kept.
    #[error(transparent)]
    Sink(#[from] StoreFailure),
}

impl From<DirectoryError> for CollectError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(Box::new(error))
    }
}
