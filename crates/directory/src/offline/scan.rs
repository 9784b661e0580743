//! One pass over the files of an export: the entries that a search asks for, page by page.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use untether_model::schema::Schema;
use untether_model::{Entry, Value};

use super::export::{ExportError, open};
use crate::filter::Filter;
use crate::ldif::{LdifLimits, LdifReader, Record};
use crate::selection::Selection;
use crate::{Page, Scope, Search};

/// Entries of a page where the caller sets no size.
const PAGE: usize = 1000;

/// Bytes of values after which a page is full, whatever the number of its entries.
const PAGE_BYTES: usize = 16 << 20;

/// A pass that has got somewhere.
pub(super) struct Scan {
    pub(super) search: Search,
    filter: Filter,
    schema: Arc<Schema>,
    limits: LdifLimits,
    waiting: VecDeque<PathBuf>,
    current: Option<(PathBuf, LdifReader<BufReader<File>>)>,
    /// Something at or below the base was seen.
    pub(super) base_seen: bool,
    /// What the files that were read to their end say of their completeness.
    pub(super) truncated: Vec<(Option<u32>, String)>,
    ended: bool,
}

impl Scan {
    pub(super) fn new(search: Search, filter: Filter, schema: Arc<Schema>, limits: LdifLimits, files: &[PathBuf]) -> Self {
        Self {
            search,
            filter,
            schema,
            limits,
            waiting: files.iter().cloned().collect(),
            current: None,
            base_seen: false,
            truncated: Vec::new(),
            ended: false,
        }
    }

    /// The next entries; `None` after the last.
    pub(super) fn next_page(&mut self) -> Result<Option<Page>, ExportError> {
        let room = self.search.page_size.map_or(PAGE, |size| usize::try_from(size).unwrap_or(PAGE)).max(1);
        let mut page = Page::default();
        let mut bytes = 0;
        while page.entries.len() < room && bytes < PAGE_BYTES {
            let Some(record) = self.next_record()? else { break };
            match record {
                Record::Reference { url, .. } => page.references.push(url),
                Record::Entry { entry, .. } => {
                    if !self.search.manage_dsa_it && entry.is_class("referral") && entry.dn.is_within(&self.search.base) {
                        self.base_seen = true;
                        page.references.extend(entry.values("ref").iter().map(Value::to_lossy));
                    } else if self.is_wanted(&entry) {
                        let entry = self.select(entry);
                        bytes += entry.attrs.values().flatten().map(|value| value.as_bytes().len()).sum::<usize>();
                        page.entries.push(entry);
                    }
                }
            }
            if self.search.scope == Scope::Base && !page.entries.is_empty() {
                self.ended = true;
            }
        }
        Ok((!page.entries.is_empty() || !page.references.is_empty()).then_some(page))
    }

    fn next_record(&mut self) -> Result<Option<Record>, ExportError> {
        while !self.ended {
            let (path, reader) = match &mut self.current {
                Some(current) => (&current.0, &mut current.1),
                None => {
                    let Some(path) = self.waiting.pop_front() else {
                        self.ended = true;
                        break;
                    };
                    let reader = open(&path, self.limits)?;
                    let current = self.current.insert((path, reader));
                    (&current.0, &mut current.1)
                }
            };
            match reader.next() {
                Some(Ok(record)) => return Ok(Some(record)),
                Some(Err(source)) => return Err(ExportError::Malformed { path: path.clone(), source }),
                None => {
                    let trailer = reader.trailer();
                    if let Some(reason) = trailer.truncation() {
                        self.truncated.push((trailer.result_code, format!("'{}': {reason}", path.display())));
                    }
                    self.current = None;
                }
            }
        }
        Ok(None)
    }

    fn is_wanted(&mut self, entry: &Entry) -> bool {
        let (key, base) = (entry.dn.key(), self.search.base.key());
        if !key.is_within(base) {
            return false;
        }
        self.base_seen = true;
        let in_scope = match self.search.scope {
            Scope::Base => key == base,
            Scope::One => key.depth() == base.depth() + 1,
            Scope::Subtree => true,
        };
        in_scope && self.filter.matches(entry, &self.schema)
    }

    fn select(&self, mut entry: Entry) -> Entry {
        let selection = Selection::of(&self.search.attrs);
        entry.attrs.retain(|name, _| selection.has(name, &self.schema));
        entry
    }
}
