//! A [`Storage`] whose errors name the operation and the path.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Open, RealStorage, Storage, StorageFile};
use crate::error::StorageError;

/// Shared access to a storage.
#[derive(Clone, Debug)]
pub struct Disk(Arc<dyn Storage>);

impl Disk {
    /// The machine's file system.
    pub fn real() -> Self {
        Self::new(RealStorage)
    }

    /// Some other storage.
    pub fn new(storage: impl Storage + 'static) -> Self {
        Self(Arc::new(storage))
    }

    /// Opens a file.
    pub fn open(&self, path: &Path, how: Open) -> Result<DiskFile, StorageError> {
        let operation = match how {
            Open::Create => "create",
            Open::Read | Open::Append | Open::Overwrite => "open",
        };
        let file = self.0.open(path, how).map_err(|source| failed(operation, path, source))?;
        Ok(DiskFile { file, path: path.to_path_buf() })
    }

    /// Opens a file for reading; `None` where it does not exist.
    pub fn open_if_there(&self, path: &Path) -> Result<Option<DiskFile>, StorageError> {
        match self.open(path, Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a directory with mode 0700 where there is none, and makes its name durable.
    pub fn ensure_dir(&self, path: &Path) -> Result<(), StorageError> {
        match self.0.create_dir(path) {
            Ok(()) => self.sync_dir(path.parent().unwrap_or(path)),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(failed("create directory", path, source)),
        }
    }

    /// File names in a directory, sorted.
    pub fn list(&self, dir: &Path) -> Result<Vec<String>, StorageError> {
        self.0.list(dir).map_err(|source| failed("list", dir, source))
    }

    /// Renames within one directory.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.0.rename(from, to).map_err(|source| failed("rename to", to, source))
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> Result<(), StorageError> {
        self.0.remove(path).map_err(|source| failed("remove", path, source))
    }

    /// Makes the names in a directory durable.
    pub fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        self.0.sync_dir(dir).map_err(|source| failed("sync directory", dir, source))
    }

    /// Makes everything durable that was written to the file system of this directory.
    pub fn sync_everything(&self, dir: &Path) -> Result<(), StorageError> {
        self.0.sync_everything(dir).map_err(|source| failed("sync the file system of", dir, source))
    }

    /// Whether something of this name exists.
    pub fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.0.exists(path).map_err(|source| failed("look for", path, source))
    }

    /// Permission bits; `None` where the storage has none.
    pub fn mode(&self, path: &Path) -> Result<Option<u32>, StorageError> {
        self.0.mode(path).map_err(|source| failed("read the permissions of", path, source))
    }

    /// The whole content; `None` where there is no such file.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(file) = self.open_if_there(path)? else { return Ok(None) };
        let mut content = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
        let read = file.read_at(0, &mut content)?;
        content.truncate(read);
        Ok(Some(content))
    }

    /// Replaces a file as a whole: whoever reads sees the old content or the new one, also after a crash.
    pub fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StorageError> {
        let dir = self.put(path, content, true)?;
        self.sync_dir(&dir)
    }

    /// Replaces a file as a whole for those who read it now. After a loss of power it may be broken or an old one: for what can be
    /// made again from other files.
    pub fn show(&self, path: &Path, content: &[u8]) -> Result<(), StorageError> {
        self.put(path, content, false).map(drop)
    }

    fn put(&self, path: &Path, content: &[u8], sync: bool) -> Result<PathBuf, StorageError> {
        let (dir, temporary) = temporary_beside(path);
        // Left over from a crash: never published, and there is one writer.
        match self.0.remove(&temporary) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &temporary, source)),
            Ok(()) | Err(_) => {}
        }
        let mut file = self.open(&temporary, Open::Create)?;
        file.append(content)?;
        if sync {
            file.sync()?;
        }
        self.rename(&temporary, path)?;
        Ok(dir)
    }
}

fn temporary_beside(path: &Path) -> (PathBuf, PathBuf) {
    let dir = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.new"));
    (dir, temporary)
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> StorageError {
    StorageError { operation, path: path.to_path_buf(), source }
}

/// An open file whose errors name the operation and the path.
#[derive(Debug)]
pub struct DiskFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
}

impl DiskFile {
    /// The path under which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StorageError> {
        self.file.read_at(offset, buffer).map_err(|source| failed("read", &self.path, source))
    }

    /// Appends all bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.append(bytes).map_err(|source| failed("write", &self.path, source))
    }

    /// Overwrites bytes in place.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_at(offset, bytes).map_err(|source| failed("overwrite", &self.path, source))
    }

    /// Makes bytes and length durable.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.file.sync().map_err(|source| failed("sync", &self.path, source))
    }

    /// Length in bytes.
    pub fn length(&self) -> Result<u64, StorageError> {
        self.file.length().map_err(|source| failed("read the length of", &self.path, source))
    }

    /// Cuts the file off.
    pub fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        self.file.truncate(length).map_err(|source| failed("truncate", &self.path, source))
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
