//! An export as a store.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use untether_model::schema::{Equality, Schema};
use untether_model::{AttrName, Dn, Entry, Side, StableId, Value};

use super::export::{ExportError, ExportFile};
use super::scan::Scan;
use crate::filter::Filter;
use crate::ldif::LdifLimits;
use crate::{DirectoryError, EntryStream, Failure, Features, Outcome, Page, Read, Scope, Search, Usability};

/// Attributes in which servers keep an entry's stable id.
const STABLE_IDS: [&str; 3] = ["entryUUID", "objectGUID", "nsUniqueId"];

/// A store read from LDIF files, for reading only.
///
/// Its searches end with an error where a file says that it is not complete, as a server's truncated search does: with
/// [`Failure::Busy`] and the result code that the file states. What a file states is told beforehand by [`LdifStore::files`].
#[derive(Clone, Debug)]
pub struct LdifStore {
    side: Side,
    files: Arc<[ExportFile]>,
    paths: Arc<[PathBuf]>,
    limits: LdifLimits,
    schema: Arc<Schema>,
}

impl LdifStore {
    /// Reads all files once, to their end, before anything is made of them. Entries that stand in several files are returned
    /// several times.
    ///
    /// # Errors
    /// A file that cannot be read, or the first malformed line. A file that is only incomplete is no error here.
    pub fn open(side: Side, paths: &[PathBuf]) -> Result<Self, ExportError> {
        Self::open_with(side, paths, LdifLimits::default(), Schema::standard())
    }

    /// As [`LdifStore::open`], with other bounds and another schema than the standard one.
    ///
    /// # Errors
    /// As [`LdifStore::open`].
    pub fn open_with(side: Side, paths: &[PathBuf], limits: LdifLimits, schema: Schema) -> Result<Self, ExportError> {
        let files: Vec<ExportFile> = paths.iter().map(|path| ExportFile::inspect(path, limits)).collect::<Result<_, _>>()?;
        Ok(Self { side, files: files.into(), paths: paths.to_vec().into(), limits, schema: Arc::new(schema) })
    }

    /// What each file says of itself, in the order in which they were given.
    pub fn files(&self) -> &[ExportFile] {
        &self.files
    }

    /// Why the export is not complete, as far as its files tell.
    pub fn truncation(&self) -> Option<String> {
        let reasons: Vec<String> = self.files.iter().filter_map(ExportFile::truncation).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn error(&self, failure: Failure, operation: &'static str, dn: &Dn, message: impl Into<String>) -> DirectoryError {
        DirectoryError::new(failure, self.side, operation, message).about(dn)
    }

    fn stream(&self, search: Search, filter: Filter) -> LdifStream {
        let scan = Scan::new(search, filter, Arc::clone(&self.schema), self.limits, &self.paths);
        LdifStream { store: self.clone(), base: scan.search.base.clone(), ahead: Some(read_on(scan)) }
    }

    /// Up to two entries that match; an error where the files end before one is found and are not complete.
    async fn some(&self, search: Search, filter: Filter) -> Outcome<(Option<Entry>, Option<Entry>)> {
        let mut stream = self.stream(Search { page_size: Some(2), ..search }, filter);
        let mut found = Vec::new();
        while found.len() < 2 {
            match stream.next_page().await {
                Ok(Some(page)) => found.extend(page.entries),
                Ok(None) => break,
                Err(error) if error.failure == Failure::NoSuchObject => break,
                Err(error) if error.failure == Failure::Busy && !found.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        let mut found = found.into_iter();
        Ok((found.next(), found.next()))
    }
}

fn everything() -> Filter {
    Filter::And(Vec::new())
}

fn search(base: &Dn, scope: Scope, attrs: &[AttrName]) -> Search {
    Search { base: base.clone(), scope, filter: String::new(), attrs: attrs.to_vec(), page_size: None, manage_dsa_it: true }
}

/// A page that is being read, and the pass that goes on behind it.
type Ahead = JoinHandle<(Scan, Result<Option<Page>, ExportError>)>;

/// A running pass. Files are read on a thread that may block, one page ahead of whoever takes them.
struct LdifStream {
    store: LdifStore,
    base: Dn,
    /// `None` after the last page, and after an error.
    ahead: Option<Ahead>,
}

fn read_on(mut scan: Scan) -> Ahead {
    tokio::task::spawn_blocking(move || {
        let page = scan.next_page();
        (scan, page)
    })
}

#[async_trait]
impl EntryStream for LdifStream {
    async fn next_page(&mut self) -> Outcome<Option<Page>> {
        const OPERATION: &str = "search";
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        let base = &self.base;
        let read = ahead.await;
        self.ahead = None;
        let (scan, page) = read.map_err(|error| {
            self.store.error(Failure::Unreachable, OPERATION, base, format!("reading the export was broken off: {error}"))
        })?;
        match page {
            Ok(Some(page)) => {
                self.ahead = Some(read_on(scan));
                Ok(Some(page))
            }
            Ok(None) => match scan.truncated().first() {
                Some((code, reason)) => {
                    let error = self.store.error(Failure::Busy, OPERATION, base, format!("the export is not complete: {reason}"));
                    let error = error.with_hint("export again with a bind whose limits allow all entries");
                    Err(match code {
                        Some(code) => error.with_code(*code),
                        None => error,
                    })
                }
                None if !scan.base_seen && !base.is_root() => {
                    Err(self.store.error(Failure::NoSuchObject, OPERATION, base, "the export holds nothing of it").with_code(32))
                }
                None => Ok(None),
            },
            Err(error) => {
                let failure = match error {
                    ExportError::Io { .. } => Failure::Unreachable,
                    ExportError::Malformed { .. } => Failure::Invalid,
                };
                Err(self.store.error(failure, OPERATION, base, error.to_string()))
            }
        }
    }
}

#[async_trait]
impl Read for LdifStore {
    fn side(&self) -> Side {
        self.side
    }

    /// Nothing: a file does not tell what the server offers.
    async fn features(&self) -> Outcome<Features> {
        Ok(Features::default())
    }

    async fn schema(&self) -> Outcome<Arc<Schema>> {
        Ok(Arc::clone(&self.schema))
    }

    async fn search(&self, search: Search) -> Outcome<Box<dyn EntryStream>> {
        let filter = Filter::parse(&search.filter)
            .map_err(|error| self.error(Failure::Invalid, "search", &search.base, error.to_string()))?;
        Ok(Box::new(self.stream(search, filter)))
    }

    async fn read(&self, dn: &Dn, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        Ok(self.some(search(dn, Scope::Base, attrs), everything()).await?.0)
    }

    async fn find(&self, base: &Dn, id: &StableId, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        let has = |attr: &str| Filter::Equal(attr.into(), id.as_str().into());
        let filter = Filter::Or(STABLE_IDS.map(has).to_vec());
        match self.some(search(base, Scope::Subtree, attrs), filter).await? {
            (Some(_), Some(_)) => {
                Err(self.error(Failure::Refused, "find", base, format!("several entries have the stable id {id}")))
            }
            (found, _) => Ok(found),
        }
    }

    async fn compare(&self, dn: &Dn, attr: &AttrName, value: &Value) -> Outcome<Option<bool>> {
        if self.schema.equality(attr) == Equality::None {
            return Err(self.error(Failure::Refused, "compare", dn, format!("{attr} has no equality rule")).with_code(18));
        }
        let found = self.read(dn, std::slice::from_ref(attr)).await?;
        let values = found.as_ref().and_then(|entry| entry.attrs.get(attr));
        Ok(values.map(|values| self.schema.contains(attr, values, value)))
    }

    async fn present(&self, dn: &Dn, attr: &AttrName, values: &[Value]) -> Outcome<Vec<Value>> {
        let found = self.read(dn, std::slice::from_ref(attr)).await?;
        let entry = found.ok_or_else(|| {
            self.error(Failure::NoSuchObject, "read values", dn, "the export holds no such entry").with_code(32)
        })?;
        let held = entry.attrs.values_of(attr);
        let held: std::collections::BTreeSet<Vec<u8>> = held.iter().map(|v| self.schema.normalize(attr, v)).collect();
        Ok(values.iter().filter(|value| held.contains(&self.schema.normalize(attr, value))).cloned().collect())
    }

    /// Unknown: nobody can be asked.
    async fn usability(&self, dn: &Dn) -> Outcome<Usability> {
        let _ = dn;
        Ok(Usability::Unknown)
    }
}
