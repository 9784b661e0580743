//! Layout of a state directory. Knows names and permissions, not contents.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{LedgerError, StorageError};
use crate::log::segment;
use crate::storage::Disk;

/// Directories of immutable, sealed, content-addressed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Snapshots of audits.
    Snapshots,
    /// Findings of audits.
    Findings,
    /// Headers and waves of plans and other orders.
    Plans,
    /// Values over 1 KiB, by wave.
    Blobs,
}

impl Area {
    /// All areas.
    pub const ALL: [Self; 4] = [Self::Snapshots, Self::Findings, Self::Plans, Self::Blobs];

    /// The directory's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Findings => "findings",
            Self::Plans => "plans",
            Self::Blobs => "blobs",
        }
    }
}

/// A state directory: 0700, its files 0600.
#[derive(Clone, Debug)]
pub struct StateDir {
    disk: Disk,
    root: PathBuf,
}

impl StateDir {
    /// Makes the directory and those in it, where they do not exist; overwrites nothing.
    pub fn create(disk: Disk, root: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let state = Self { disk, root: root.into() };
        state.disk.ensure_dir(&state.root)?;
        state.refuse_exposed(&state.root, 0o700)?;
        let fixed = [state.ledger(), state.keys(), state.handover()];
        for dir in fixed.into_iter().chain(Area::ALL.map(|area| state.area(area))) {
            state.disk.ensure_dir(&dir)?;
        }
        Ok(state)
    }

    /// Opens a directory that exists; refuses one that others than its owner can enter.
    pub fn open(disk: Disk, root: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let state = Self { disk, root: root.into() };
        if !state.has_ledger()? {
            state.refuse_remains()?;
            return Err(LedgerError::Missing(state.root));
        }
        state.refuse_exposed(&state.root, 0o700)?;
        Ok(state)
    }

    fn has_ledger(&self) -> Result<bool, LedgerError> {
        let ledger = self.ledger();
        Ok(self.disk.exists(&ledger)? && !segment::numbers(&self.disk, &ledger)?.is_empty())
    }

    /// Refuses a directory without a ledger that holds what only a state has that was in use.
    pub(crate) fn refuse_remains(&self) -> Result<(), LedgerError> {
        if self.has_ledger()? {
            return Ok(());
        }
        let files = |dir: &Path| -> Result<Vec<String>, LedgerError> {
            if !self.disk.exists(dir)? {
                return Ok(Vec::new());
            }
            Ok(self.disk.list(dir)?)
        };
        let mut found = Vec::new();
        for (path, name) in [(self.ledger().join("HEAD"), "ledger/HEAD"), (self.summary(), "summary")] {
            found.extend(self.disk.exists(&path)?.then(|| name.to_owned()));
        }
        let places = [(self.database(), "sled"), (self.handover(), "handover")];
        for (dir, name) in places.into_iter().chain(Area::ALL.map(|area| (self.area(area), area.as_str()))) {
            found.extend((!files(&dir)?.is_empty()).then(|| name.to_owned()));
        }
        let wrapped = files(&self.keys())?.iter().filter(|name| name.ends_with(".age")).count();
        found.extend((wrapped > 0).then(|| format!("{wrapped} keys")));
        if found.is_empty() { Ok(()) } else { Err(LedgerError::Headless { dir: self.root.clone(), found }) }
    }

    /// Makes the directories again that are missing; tells which.
    pub fn complete(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let mut made = Vec::new();
        for dir in [self.keys(), self.handover()].into_iter().chain(Area::ALL.map(|area| self.area(area))) {
            if !self.disk.exists(&dir)? {
                self.disk.ensure_dir(&dir)?;
                made.push(dir);
            }
        }
        Ok(made)
    }

    /// The storage that it lies on.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The ledger's directory.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// The directory of the journal's database.
    pub fn database(&self) -> PathBuf {
        self.root.join("sled")
    }

    /// The keys' directory.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The directory of hand-over files.
    pub fn handover(&self) -> PathBuf {
        self.root.join("handover")
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join("state.lock")
    }

    /// The directory of sealed files of one sort.
    pub fn area(&self, area: Area) -> PathBuf {
        self.root.join(area.as_str())
    }

    /// The summary's file.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary")
    }

    /// Replaces the summary: whoever reads sees the old one or the new one. It can be made again from the ledger, so that a crash
    /// may lose it.
    pub fn write_summary(&self, content: &[u8]) -> Result<(), LedgerError> {
        Ok(self.disk.show(&self.summary(), content)?)
    }

    /// The summary; `None` where there is none yet.
    pub fn read_summary(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.disk.read(&self.summary())?)
    }

    /// Writes a file below `handover/` (made for its recipients, not with the state's keys), replacing an older one.
    pub fn write_handover(&self, name: &str, content: &[u8]) -> Result<PathBuf, LedgerError> {
        let path = self.handover().join(name);
        if name.is_empty() || name.starts_with('.') || path.file_name().is_none_or(|last| last != name) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name");
            return Err(StorageError { operation: "write", path, source }.into());
        }
        self.disk.replace(&path, content)?;
        Ok(path)
    }

    /// Whether a file below `handover/` is there.
    pub fn has_handover(&self, name: &str) -> bool {
        self.handover().join(name).is_file()
    }

    /// Refuses a path whose permission bits go beyond `wanted`.
    pub(crate) fn refuse_exposed(&self, path: &Path, wanted: u32) -> Result<(), LedgerError> {
        match self.disk.mode(path)? {
            Some(mode) if mode & 0o077 != 0 => Err(LedgerError::Exposed { path: path.to_path_buf(), mode, wanted }),
            Some(_) | None => Ok(()),
        }
    }
}
