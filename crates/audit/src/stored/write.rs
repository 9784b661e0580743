//! Writing what is collected, and reading it back for the rules.

use std::io::{Read as _, Write as _};

use untether_ledger::keys::KeySort;
use untether_ledger::state_dir::Area;
use untether_ledger::{
    Escrow, Key, KeyId, KeyStore, Marks, Published, RecordReader, RecordWriter, SealedReader, SealedWriter, Shelf, StateDir,
};
use untether_model::digest::Digest;
use untether_model::snapshot::{CopyRecord, EntryRole, SnapshotEntry};
use untether_model::{Dn, Side};

use super::ahead::Ahead;
use super::behind::Behind;
use crate::collect::{EntrySink, Marker, StoreFailure};
use crate::source::{Copies, Entries, Names, Source};

impl Marker for Marks {
    fn mark(&self, attribute: &str, value: &[u8]) -> String {
        self.value(attribute, value)
    }
}

/// Where one audit's files go, and the key that seals them.
pub struct AuditFiles<'a> {
    pub(super) state: &'a StateDir,
    pub(super) keys: &'a KeyStore,
    pub(super) id: KeyId,
    pub(super) key: Key,
}

impl<'a> AuditFiles<'a> {
    /// Files sealed with a new key.
    pub fn begin(state: &'a StateDir, keys: &'a KeyStore, escrow: Option<&Escrow>) -> Result<Self, StoreFailure> {
        let (id, key) = keys.new_key(KeySort::Snapshot, escrow).map_err(StoreFailure::writing)?;
        Ok(Self { state, keys, id, key })
    }

    /// Makes the marks of credential values.
    pub fn marks(&self) -> Marks {
        self.keys.marks()
    }

    pub(crate) fn create(&self, area: Area) -> Result<SealedWriter, StoreFailure> {
        SealedWriter::create(self.state, &Shelf::of(area), &self.id, &self.key).map_err(StoreFailure::writing)
    }

    /// Opens a file of this audit.
    fn open(&self, file: &Published) -> Result<SealedReader, StoreFailure> {
        SealedReader::open_own(self.state, self.keys, &snapshots(), file).map_err(StoreFailure::reading)
    }

    /// A file that lasts as long as the audit. It begins with the audit's own mark: files are named by their content, and one that
    /// goes must not be another one too.
    pub(super) fn create_temporary(&self) -> Result<SealedWriter, StoreFailure> {
        let mut file = self.create(Area::Snapshots)?;
        file.write_all(self.id.as_str().as_bytes()).map_err(StoreFailure::writing)?;
        Ok(file)
    }

    pub(super) fn open_temporary(&self, file: &Published) -> Result<SealedReader, StoreFailure> {
        let mut file = self.open(file)?;
        file.read_exact(&mut vec![0; self.id.as_str().len()]).map_err(StoreFailure::reading)?;
        Ok(file)
    }

    pub(super) fn remove_temporary(&self, file: &Published) {
        if let Err(error) = snapshots().remove(self.state, &file.digest) {
            tracing::warn!(%error, "a temporary file of the audit could not be removed");
        }
    }

    /// A file for the entries of one store.
    pub fn entries(&self) -> Result<EntryWriter, StoreFailure> {
        Ok(EntryWriter {
            all: RecordWriter::new(Behind::new(self.create(Area::Snapshots)?).map_err(StoreFailure::writing)?),
            few: RecordWriter::new(self.create_temporary()?),
            copies: Vec::new(),
        })
    }

    /// The collected entries of both stores, for the rules.
    pub fn source(&'a self, shared: CollectedFile, independent: CollectedFile) -> CollectedSource<'a> {
        CollectedSource { files: self, shared, independent }
    }
}

pub(super) fn snapshots() -> Shelf {
    Shelf::of(Area::Snapshots)
}

/// Takes the entries of one store. Those that are no accounts are written a second time to a file of their own, which lasts as long
/// as the audit: the rules read them several times.
pub struct EntryWriter {
    all: RecordWriter<SnapshotEntry, Behind>,
    few: RecordWriter<SnapshotEntry, SealedWriter>,
    copies: Vec<CopyRecord>,
}

impl EntrySink for EntryWriter {
    fn entry(&mut self, entry: SnapshotEntry) -> Result<(), StoreFailure> {
        if entry.role != EntryRole::Account {
            self.few.push(&entry).map_err(StoreFailure::writing)?;
        }
        self.all.push(&entry).map_err(StoreFailure::writing)
    }

    fn copy(&mut self, copy: CopyRecord) -> Result<(), StoreFailure> {
        self.copies.push(copy);
        Ok(())
    }
}

impl EntryWriter {
    /// Makes the entries durable.
    pub fn finish(self) -> Result<CollectedFile, StoreFailure> {
        let entries = self.all.records();
        let few = self.few.into_inner().finish_unsynced().map_err(StoreFailure::writing)?;
        let all = self.all.into_inner().finish().map_err(StoreFailure::writing)?;
        Ok(CollectedFile { all, few, entries, copies: self.copies })
    }
}

/// The collected entries of one store.
pub struct CollectedFile {
    all: Published,
    few: Published,
    entries: u64,
    copies: Vec<CopyRecord>,
}

impl CollectedFile {
    /// Digest of the file with all entries.
    pub fn digest(&self) -> Digest {
        self.all.digest
    }

    /// How many entries it holds.
    pub fn entries(&self) -> u64 {
        self.entries
    }
}

/// The collected entries of both stores. What lasts only as long as the audit goes with it.
pub struct CollectedSource<'a> {
    files: &'a AuditFiles<'a>,
    shared: CollectedFile,
    independent: CollectedFile,
}

impl CollectedSource<'_> {
    fn of(&self, side: Side) -> &CollectedFile {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }
}

impl Source for CollectedSource<'_> {
    type Error = StoreFailure;

    fn entries<'a>(&'a self, side: Side, roles: &'a [EntryRole]) -> Result<Entries<'a, StoreFailure>, StoreFailure> {
        let file = self.of(side);
        if roles.contains(&EntryRole::Account) {
            let roles = roles.to_vec();
            let wanted = move |entry: &SnapshotEntry| roles.contains(&entry.role);
            return Ok(Box::new(Ahead::begin(self.files.open(&file.all)?, wanted)?));
        }
        let records = RecordReader::<SnapshotEntry, _>::new(self.files.open_temporary(&file.few)?);
        let wanted = move |entry: &SnapshotEntry| roles.contains(&entry.role);
        Ok(Box::new(records.map(|record| record.map_err(StoreFailure::reading)).filter(move |r| r.as_ref().map_or(true, wanted))))
    }

    fn account_names<'a>(&'a self, side: Side) -> Result<Names<'a, StoreFailure>, StoreFailure> {
        let file = self.files.open(&self.of(side).all)?;
        let heads = Ahead::of_parts(file, |(role, _): &(EntryRole, Dn)| *role == EntryRole::Account)?;
        Ok(Box::new(heads.map(|head| head.map(|(_, dn)| dn))))
    }

    fn copies<'a>(&'a self, side: Side) -> Result<Copies<'a, StoreFailure>, StoreFailure> {
        Ok(Box::new(self.of(side).copies.iter().cloned().map(Ok)))
    }
}

impl Drop for CollectedSource<'_> {
    fn drop(&mut self) {
        for file in [&self.shared, &self.independent] {
            self.files.remove_temporary(&file.few);
        }
    }
}
