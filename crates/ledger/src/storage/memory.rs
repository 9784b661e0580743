//! A storage in memory that loses what was not synced, fails where it is told to, and fills up.
//!
//! For simulations and tests. A truncation and an overwrite count as durable at once; appended bytes and names do not.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Open, Storage, StorageFile};

/// What is left of the bytes and names that were not synced when the machine or the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process was killed: the system still has everything.
    Process,
    /// Power was lost, and with it everything that was not synced.
    Power,
    /// Power was lost; names survived, and of each file this many unsynced bytes.
    PowerKeeping(usize),
}

/// What happens at a chosen changing operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, once; a write may have put half of its bytes.
    Error(io::ErrorKind),
    /// It and everything after it fails, until [`MemoryStorage::crash`]: the process is gone.
    Dies,
}

/// Files in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    next_file: u64,
    operations: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    capacity_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(u64),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable_bytes: usize,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changing operations (create, append, overwrite, sync, truncate, rename, remove, directory sync) so far.
    pub fn operations(&self) -> u64 {
        self.inner().operations
    }

    /// Lets the changing operation with this number (0 is the first ever) fail.
    pub fn fault_at(&self, operation: u64, fault: Fault) {
        self.inner().fault = Some((operation, fault));
    }

    /// Whether a fault that was asked for has happened.
    pub fn fault_fired(&self) -> bool {
        self.inner().fault.is_none()
    }

    /// Bounds the sum of all file lengths; `None` lifts the bound.
    pub fn limit(&self, capacity_bytes: Option<usize>) {
        self.inner().capacity_bytes = capacity_bytes;
    }

    /// The process, or the machine, dies and comes back.
    pub fn crash(&self, crash: Crash) {
        let mut inner = self.inner();
        inner.dead = false;
        inner.fault = None;
        if crash == Crash::Process {
            return;
        }
        let kept = match crash {
            Crash::PowerKeeping(bytes) => bytes,
            Crash::Process | Crash::Power => 0,
        };
        for content in inner.files.values_mut() {
            let left = content.durable_bytes.saturating_add(kept).min(content.bytes.len());
            content.bytes.truncate(left);
            content.durable_bytes = left;
        }
        if kept == 0 {
            inner.names = inner.durable_names.clone();
        }
    }

    /// A file's bytes, for tests that look or tamper; `None` where there is no such file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        match inner.names.get(path) {
            Some(Node::File(id)) => inner.files.get(id).map(|content| content.bytes.clone()),
            Some(Node::Directory) | None => None,
        }
    }

    /// Puts a durable file there, for tests that tamper.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut inner = self.inner();
        let id = inner.add(Content { durable_bytes: bytes.len(), bytes });
        inner.names.insert(path.to_path_buf(), Node::File(id));
        inner.durable_names.insert(path.to_path_buf(), Node::File(id));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, content: Content) -> u64 {
        let id = self.next_file;
        self.next_file += 1;
        self.files.insert(id, content);
        id
    }

    /// Counts a changing operation; `Err` where it is to fail.
    fn change(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the process is dead"));
        }
        let number = self.operations;
        self.operations += 1;
        match self.fault.take_if(|(at, _)| *at == number) {
            Some((_, Fault::Error(kind))) => Err(kind.into()),
            Some((_, Fault::Dies)) => {
                self.dead = true;
                Err(io::Error::other("the process died"))
            }
            None => Ok(()),
        }
    }

    fn content(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn room(&self) -> usize {
        let Some(capacity_bytes) = self.capacity_bytes else { return usize::MAX };
        let named = self.names.values().filter_map(|node| match node {
            Node::File(id) => self.files.get(id),
            Node::Directory => None,
        });
        capacity_bytes.saturating_sub(named.map(|content| content.bytes.len()).sum())
    }
}

impl Storage for MemoryStorage {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn StorageFile>> {
        let mut inner = self.inner();
        let there = inner.names.get(path).copied();
        let id = match (how, there) {
            (Open::Create, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Open::Create, None) => {
                inner.change()?;
                if let Some(dir) = path.parent()
                    && inner.names.get(dir) != Some(&Node::Directory)
                {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let id = inner.add(Content::default());
                inner.names.insert(path.to_path_buf(), Node::File(id));
                id
            }
            (_, Some(Node::File(id))) => id,
            (_, Some(Node::Directory)) => return Err(io::ErrorKind::IsADirectory.into()),
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(MemoryFile { storage: self.clone(), id }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.change()?;
        inner.names.insert(path.to_path_buf(), Node::Directory);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner();
        if inner.names.get(dir) != Some(&Node::Directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = inner.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let node = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_path_buf(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        if !matches!(inner.names.get(path), Some(Node::File(_))) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.change()?;
        inner.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let inside = |path: &PathBuf| path.parent() == Some(dir) || path == dir;
        let now: BTreeMap<_, _> = inner.names.iter().filter(|(path, _)| inside(path)).map(|(p, n)| (p.clone(), *n)).collect();
        inner.durable_names.retain(|path, _| !inside(path));
        inner.durable_names.extend(now);
        Ok(())
    }

    fn sync_everything(&self, _: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        inner.durable_names = inner.names.clone();
        inner.files.values_mut().for_each(|content| content.durable_bytes = content.bytes.len());
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.inner().names.contains_key(path))
    }

    fn mode(&self, _: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct MemoryFile {
    storage: MemoryStorage,
    id: u64,
}

impl StorageFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.storage.inner();
        let content = inner.content(self.id)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.bytes.len());
        let mut there = content.bytes.get(from..).unwrap_or_default();
        io::Read::read(&mut there, buffer)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.storage.inner();
        if let Err(error) = inner.change() {
            let half = bytes.len() / 2;
            if let Ok(content) = inner.content(self.id) {
                content.bytes.extend(bytes.iter().take(half));
            }
            return Err(error);
        }
        let fits = inner.room().min(bytes.len());
        let content = inner.content(self.id)?;
        content.bytes.extend(bytes.iter().take(fits));
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.storage.inner();
        inner.change()?;
        let content = inner.content(self.id)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        content.bytes.iter_mut().skip(from).zip(bytes).for_each(|(to, byte)| *to = *byte);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.storage.inner();
        inner.change()?;
        let content = inner.content(self.id)?;
        content.durable_bytes = content.bytes.len();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.storage.inner().content(self.id)?.bytes.len() as u64)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.storage.inner();
        inner.change()?;
        let content = inner.content(self.id)?;
        content.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        content.durable_bytes = content.durable_bytes.min(content.bytes.len());
        Ok(())
    }
}
