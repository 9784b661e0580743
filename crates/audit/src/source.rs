//! The collected snapshot as the rules see it: streams of entries that may be read several times.
//!
//! Knows neither files nor seals nor servers; a store is never held in memory by who reads through this.

use untether_model::snapshot::{CopyRecord, EntryRole, SnapshotEntry};
use untether_model::{Dn, Side, Value};

/// The text values of an attribute, by its name in lower case; values that are not UTF-8 are left out.
pub(crate) fn texts<'e>(entry: &'e SnapshotEntry, folded: &str) -> impl Iterator<Item = &'e str> + use<'e> {
    debug_assert!(!folded.bytes().any(|b| b.is_ascii_uppercase()), "{folded} must be in lower case");
    values(entry, folded).iter().filter_map(Value::as_str)
}

/// The values of an attribute, by its name in lower case. An entry has a handful of attributes, so looking through them costs less
/// than making an [`untether_model::AttrName`] to search with.
pub(crate) fn values<'e>(entry: &'e SnapshotEntry, folded: &str) -> &'e [Value] {
    entry.attrs.iter().find(|(name, _)| name.folded() == folded).map_or(&[], |(_, values)| values.as_slice())
}

/// Entries of one store, one after the other.
pub type Entries<'a, E> = Box<dyn Iterator<Item = Result<SnapshotEntry, E>> + 'a>;

/// Names of one store's entries, one after the other.
pub type Names<'a, E> = Box<dyn Iterator<Item = Result<Dn, E>> + 'a>;

/// What the areas of copies of one store hold, entry by entry.
pub type Copies<'a, E> = Box<dyn Iterator<Item = Result<CopyRecord, E>> + 'a>;

/// A collected snapshot.
pub trait Source {
    /// Why an entry could not be read back.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The entries of one store that have one of these roles, in the same order at each call.
    fn entries<'a>(&'a self, side: Side, roles: &'a [EntryRole]) -> Result<Entries<'a, Self::Error>, Self::Error>;

    /// The names of one store's accounts, in the order of [`Source::entries`].
    fn account_names<'a>(&'a self, side: Side) -> Result<Names<'a, Self::Error>, Self::Error>;

    /// What the areas of copies of one store hold.
    fn copies<'a>(&'a self, side: Side) -> Result<Copies<'a, Self::Error>, Self::Error>;
}

/// A snapshot in memory: for tests and for what is small anyway.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    shared: Vec<SnapshotEntry>,
    independent: Vec<SnapshotEntry>,
    copies: Vec<(Side, CopyRecord)>,
}

impl MemorySource {
    /// A snapshot with these entries of the two stores.
    pub fn new(shared: Vec<SnapshotEntry>, independent: Vec<SnapshotEntry>) -> Self {
        Self { shared, independent, copies: Vec::new() }
    }

    /// With what areas of copies hold.
    #[must_use]
    pub fn with_copies(mut self, copies: Vec<(Side, CopyRecord)>) -> Self {
        self.copies = copies;
        self
    }
}

impl Source for MemorySource {
    type Error = std::convert::Infallible;

    fn entries<'a>(&'a self, side: Side, roles: &'a [EntryRole]) -> Result<Entries<'a, Self::Error>, Self::Error> {
        let entries = match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        };
        Ok(Box::new(entries.iter().filter(|entry| roles.contains(&entry.role)).cloned().map(Ok)))
    }

    fn account_names<'a>(&'a self, side: Side) -> Result<Names<'a, Self::Error>, Self::Error> {
        Ok(Box::new(self.entries(side, &[EntryRole::Account])?.map(|entry| entry.map(|entry| entry.dn))))
    }

    fn copies<'a>(&'a self, side: Side) -> Result<Copies<'a, Self::Error>, Self::Error> {
        Ok(Box::new(self.copies.iter().filter(move |(of, _)| *of == side).map(|(_, copy)| Ok(copy.clone()))))
    }
}
