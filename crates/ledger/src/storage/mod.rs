//! What the ledger needs from a file system, as a trait, so that crashes and full disks can be tried at every operation.
//!
//! Paths are whole paths. Durability follows POSIX: appended bytes are durable after [`StorageFile::sync`], a name (created,
//! renamed, removed) after [`Storage::sync_dir`] of its directory. Knows nothing of what is in the files.

mod disk;
mod memory;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::Path;

pub use disk::{Disk, DiskFile};
pub use memory::{Crash, Fault, MemoryStorage};
pub use real::RealStorage;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and appending; it must exist.
    Append,
    /// For reading and appending; it must not exist. Mode 0600.
    Create,
    /// For overwriting its bytes in place; it must exist.
    Overwrite,
}

/// A file system as the ledger uses it.
pub trait Storage: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn StorageFile>>;

    /// Creates a directory with mode 0700; its parent must exist. An existing directory is an error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// File names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Renames within one directory, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes everything durable that was written to the file system of this directory (`syncfs`).
    fn sync_everything(&self, dir: &Path) -> io::Result<()>;

    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Permission bits; `None` where the storage has none.
    fn mode(&self, path: &Path) -> io::Result<Option<u32>>;
}

/// An open file.
pub trait StorageFile: Send + Sync + Debug {
    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Appends all bytes. After an error some of them may have been appended.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Overwrites bytes in place.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes bytes and length durable (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;

    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}
