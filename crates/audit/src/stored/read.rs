//! Reading the files of an audit that ended.

use serde::de::DeserializeOwned;
use untether_ledger::state_dir::Area;
use untether_ledger::{JsonLinesReader, KeyStore, RecordReader, SealedReader, Shelf, StateDir};
use untether_model::Side;
use untether_model::digest::Digest;
use untether_model::finding::Finding;
use untether_model::matching::MatchCase;
use untether_model::schema::Schema;
use untether_model::snapshot::{SnapshotEntry, SnapshotHeader, StoreRead, Subject};

use super::ahead::Ahead;
use super::write::snapshots;
use crate::collect::StoreFailure;

/// A header has a few kilobytes; this bounds what a damaged state can cost.
const HEADER_LIMIT_BYTES: usize = 16 << 20;

/// A schema has a few hundred kilobytes.
const SCHEMA_LIMIT_BYTES: usize = 64 << 20;

/// An audit in the state directory.
pub struct StoredAudit<'a> {
    state: &'a StateDir,
    keys: &'a KeyStore,
    header: SnapshotHeader,
}

impl<'a> StoredAudit<'a> {
    /// Opens the snapshot with this digest.
    ///
    /// # Errors
    /// Its files or its key are gone (audit again), or damaged.
    pub fn open(state: &'a StateDir, keys: &'a KeyStore, snapshot: &Digest) -> Result<Self, StoreFailure> {
        let file = SealedReader::open(state, keys, &snapshots(), snapshot).map_err(StoreFailure::reading)?;
        let bytes = file.read_all(HEADER_LIMIT_BYTES).map_err(StoreFailure::reading)?;
        Ok(Self { state, keys, header: serde_json::from_slice(&bytes).map_err(StoreFailure::reading)? })
    }

    /// Its header.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    fn file(&self, digest: &Digest) -> Result<SealedReader, StoreFailure> {
        SealedReader::open(self.state, self.keys, &snapshots(), digest).map_err(StoreFailure::reading)
    }

    fn store(&self, side: Side) -> &StoreRead {
        match side {
            Side::Shared => &self.header.shared,
            Side::Independent => &self.header.independent,
        }
    }

    pub(super) fn entries_file(&self, side: Side) -> Result<SealedReader, StoreFailure> {
        self.file(&self.store(side).file)
    }

    /// The entries of one store, decoded a little ahead of whoever takes them.
    pub fn entries(&self, side: Side) -> Result<impl Iterator<Item = Result<SnapshotEntry, StoreFailure>> + use<>, StoreFailure> {
        Ahead::begin(self.entries_file(side)?, |_| true)
    }

    /// The server's own schema; `None` where the snapshot has none (an export, a server that does not show it).
    pub fn schema(&self, side: Side) -> Result<Option<Schema>, StoreFailure> {
        let Some(digest) = &self.store(side).schema else { return Ok(None) };
        let bytes = self.file(digest)?.read_all(SCHEMA_LIMIT_BYTES).map_err(StoreFailure::reading)?;
        serde_json::from_slice(&bytes).map(Some).map_err(StoreFailure::reading)
    }

    /// The subjects, sorted by id, decoded a little ahead of whoever takes them.
    pub fn subjects(&self) -> Result<impl Iterator<Item = Result<Subject, StoreFailure>> + use<>, StoreFailure> {
        Ahead::begin(self.file(&self.header.subjects)?, |_| true)
    }

    /// The undecided matches, in the order of the accounts; none in a snapshot of an earlier version.
    pub fn cases(&self) -> Result<impl Iterator<Item = Result<MatchCase, StoreFailure>> + use<>, StoreFailure> {
        let file = self.header.cases.map(|digest| self.file(&digest)).transpose()?;
        let cases = file.into_iter().flat_map(RecordReader::new);
        Ok(cases.map(|record| record.map_err(StoreFailure::reading)))
    }

    /// The findings with this digest, sorted by rule, store and name, with those of their fields that `T` has.
    pub fn findings_as<T: DeserializeOwned>(
        &self,
        findings: &Digest,
    ) -> Result<impl Iterator<Item = Result<T, StoreFailure>> + use<T>, StoreFailure> {
        let shelf = Shelf::of(Area::Findings);
        let file = SealedReader::open(self.state, self.keys, &shelf, findings).map_err(StoreFailure::reading)?;
        Ok(JsonLinesReader::new(file).map(|record| record.map_err(StoreFailure::reading)))
    }

    /// The findings with this digest, sorted by rule, store and name.
    pub fn findings(
        state: &StateDir,
        keys: &KeyStore,
        findings: &Digest,
    ) -> Result<impl Iterator<Item = Result<Finding, StoreFailure>> + use<>, StoreFailure> {
        let file = SealedReader::open(state, keys, &Shelf::of(Area::Findings), findings).map_err(StoreFailure::reading)?;
        Ok(JsonLinesReader::new(file).map(|record| record.map_err(StoreFailure::reading)))
    }
}
