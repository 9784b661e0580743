//! One pass over the files of an export: the entries that a search asks for, page by page.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use untether_model::schema::Schema;
use untether_model::{Dn, Value};

use super::export::{ExportError, open};
use crate::filter::{Filter, Truth};
use crate::ldif::{Draft, LdifLimits, LdifReader, Met};
use crate::selection::Selection;
use crate::{Page, Scope, Search};

/// Entries of a page where the caller sets no size.
const PAGE: usize = 1000;

/// Bytes of values after which a page is full, whatever the number of its entries.
const PAGE_BYTES: usize = 16 << 20;

/// Asks for no attribute (RFC 4511, section 4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";

/// A pass that has got somewhere.
pub(super) struct Scan {
    pub(super) search: Search,
    filter: Filter,
    schema: Arc<Schema>,
    files: Files,
    /// Names alone are asked for, and the name alone decides.
    only_names: bool,
    /// Something at or below the base was seen.
    pub(super) base_seen: bool,
}

/// The files of a pass, read one after the other.
struct Files {
    limits: LdifLimits,
    waiting: VecDeque<PathBuf>,
    current: Option<(PathBuf, LdifReader<BufReader<File>>)>,
    /// What the files that were read to their end say of their completeness.
    truncated: Vec<(Option<u32>, String)>,
    ended: bool,
}

impl Scan {
    pub(super) fn new(search: Search, filter: Filter, schema: Arc<Schema>, limits: LdifLimits, files: &[PathBuf]) -> Self {
        let everything = matches!(&filter, Filter::Present(attr) if attr.is("objectclass"));
        let nothing_of_it = search.attrs.iter().all(|attr| attr.as_str() == NO_ATTRIBUTES) && !search.attrs.is_empty();
        let only_names = everything && nothing_of_it && search.manage_dsa_it;
        let waiting = files.iter().cloned().collect();
        let files = Files { limits, waiting, current: None, truncated: Vec::new(), ended: false };
        Self { search, filter, schema, files, only_names, base_seen: false }
    }

    /// What the files that were read to their end say of their completeness.
    pub(super) fn truncated(&self) -> &[(Option<u32>, String)] {
        &self.files.truncated
    }

    /// The next entries; `None` after the last.
    pub(super) fn next_page(&mut self) -> Result<Option<Page>, ExportError> {
        let Self { search, filter, schema, files, only_names, base_seen } = self;
        let is_read = |dn: &Dn| !*only_names && dn.is_within(&search.base);
        let room = search.page_size.map_or(PAGE, |size| usize::try_from(size).unwrap_or(PAGE)).max(1);
        let selection = Selection::of(&search.attrs);
        let mut page = Page::default();
        let mut bytes = 0;
        while page.entries.len() < room && bytes < PAGE_BYTES {
            let Some(met) = files.advance(is_read)? else { break };
            match (met, files.draft()) {
                (Met::Reference { url, .. }, _) => page.references.push(url),
                (Met::Entry, Some(draft)) if draft.dn.is_within(&search.base) => {
                    *base_seen = true;
                    if !search.manage_dsa_it && draft.is_class("referral") {
                        let referral = draft.to_entry(|name| name.folded() == "ref");
                        page.references.extend(referral.values("ref").iter().map(Value::to_lossy));
                    } else if is_in_scope(search, draft) && filter.judge(draft, schema) == Truth::True {
                        bytes += draft.value_bytes();
                        page.entries.push(draft.to_entry(|name| selection.has(name, schema)));
                    }
                }
                (Met::Entry, _) => {}
            }
            if search.scope == Scope::Base && !page.entries.is_empty() {
                files.ended = true;
            }
        }
        Ok((!page.entries.is_empty() || !page.references.is_empty()).then_some(page))
    }
}

/// Whether the search asks for this entry, which is at or below its base, by its depth.
fn is_in_scope(search: &Search, draft: &Draft) -> bool {
    let (key, base) = (draft.dn.key(), search.base.key());
    match search.scope {
        Scope::Base => key == base,
        Scope::One => key.depth() == base.depth() + 1,
        Scope::Subtree => true,
    }
}

impl Files {
    /// Reads on to the next record, of which no more than the name is read if that is not `wanted`; `None` after the last one of the
    /// last file.
    fn advance(&mut self, wanted: impl Fn(&Dn) -> bool) -> Result<Option<Met>, ExportError> {
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
            match reader.advance(&wanted) {
                Some(Ok(met)) => return Ok(Some(met)),
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

    /// The entry that was met last.
    fn draft(&self) -> Option<&Draft> {
        self.current.as_ref().map(|(_, reader)| reader.draft())
    }
}
