//! A directory that answers searches as it is told to, wrongly too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use untether_directory::filter::Filter;
use untether_directory::{DirectoryError, EntryStream, Failure, Features, Outcome, Page, Read, Scope, Search, Usability};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side, StableId, Value};

/// How searches below a base go wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The search ends with this result code after so many entries.
    EndsWith { code: u32, after: usize },
    /// The connection is lost after so many entries.
    Lost { after: usize },
    /// The first entry of a page is the last one of the page before.
    Repeats,
    /// A reference to another server comes with the entries.
    Refers(&'static str),
}

/// A directory in memory.
#[derive(Clone)]
pub struct Server {
    side: Side,
    entries: Vec<Entry>,
    hidden: Vec<Dn>,
    faults: Vec<(Dn, Fault)>,
    largest_page: Arc<AtomicU64>,
}

pub fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

/// An entry of these attributes.
pub fn entry(name: &str, attrs: &[(&str, &str)]) -> Entry {
    let mut entry = Entry::new(dn(name));
    for (attr, value) in attrs {
        entry.attrs.entry(AttrName::new(attr)).or_default().push(Value::from(*value));
    }
    entry
}

impl Server {
    pub fn new(side: Side, entries: Vec<Entry>) -> Self {
        Self { side, entries, hidden: vec![], faults: vec![], largest_page: Arc::default() }
    }

    /// Searches whose base is this one go wrong.
    pub fn failing(mut self, base: &str, fault: Fault) -> Self {
        self.faults.push((dn(base), fault));
        self
    }

    /// The reading identity has no right to see this subtree.
    pub fn hiding(mut self, base: &str) -> Self {
        self.hidden.push(dn(base));
        self
    }

    /// The most entries that were ever asked for at once.
    pub fn largest_page(&self) -> u64 {
        self.largest_page.load(Ordering::Relaxed)
    }

    fn visible(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| !self.hidden.iter().any(|base| e.dn.is_within(base)))
    }

    fn error(&self, failure: Failure, code: Option<u32>, base: &Dn) -> DirectoryError {
        let error = DirectoryError::new(failure, self.side, "search", "as told").about(base);
        code.map_or(error.clone(), |code| error.with_code(code))
    }
}

struct Pages {
    pages: std::vec::IntoIter<Page>,
    end: Option<DirectoryError>,
}

#[async_trait]
impl EntryStream for Pages {
    async fn next_page(&mut self) -> Outcome<Option<Page>> {
        match (self.pages.next(), self.end.take()) {
            (Some(page), end) => {
                self.end = end;
                Ok(Some(page))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}

#[async_trait]
impl Read for Server {
    fn side(&self) -> Side {
        self.side
    }

    async fn features(&self) -> Outcome<Features> {
        Ok(Features { sasl_mechanisms: vec!["EXTERNAL".into()], ..Features::default() })
    }

    async fn schema(&self) -> Outcome<Arc<Schema>> {
        Ok(Arc::new(Schema::standard()))
    }

    async fn search(&self, search: Search) -> Outcome<Box<dyn EntryStream>> {
        let filter = Filter::parse(&search.filter).unwrap();
        let schema = Schema::standard();
        if !self.visible().any(|e| e.dn.is_within(&search.base)) {
            return Err(self.error(Failure::NoSuchObject, Some(32), &search.base));
        }
        let configuration = search.base.is_within(&dn("cn=config"));
        if configuration && (search.page_size.is_some() || search.manage_dsa_it) {
            // What slapd 2.5 answers.
            return Err(self.error(Failure::Refused, Some(12), &search.base));
        }
        let in_scope = |e: &&Entry| match search.scope {
            Scope::Base => e.dn == search.base,
            Scope::One => e.dn.is_within(&search.base) && e.dn.key().depth() == search.base.key().depth() + 1,
            Scope::Subtree => e.dn.is_within(&search.base),
        };
        let names_only = search.attrs.iter().any(|a| a.as_str() == "1.1");
        let found = self.visible().filter(in_scope).filter(|e| filter.matches(e, &schema)).cloned();
        let mut found: Vec<Entry> = found.map(|e| if names_only { Entry::new(e.dn) } else { e }).collect();
        let mut end = None;
        let mut references = Vec::new();
        let mut repeats = false;
        for (_, fault) in self.faults.iter().filter(|(base, _)| *base == search.base) {
            match fault {
                Fault::EndsWith { code, after } => {
                    found.truncate(*after);
                    let failure = if matches!(code, 3 | 4 | 11) { Failure::Busy } else { Failure::Refused };
                    end = Some(self.error(failure, Some(*code), &search.base));
                }
                Fault::Lost { after } => {
                    found.truncate(*after);
                    end = Some(self.error(Failure::Unknown, None, &search.base));
                }
                Fault::Repeats => repeats = true,
                Fault::Refers(url) => references.push((*url).to_owned()),
            }
        }
        let size = search.page_size.map_or(found.len().max(1), |size| usize::try_from(size).unwrap());
        self.largest_page.fetch_max(u64::try_from(size).unwrap(), Ordering::Relaxed);
        let mut pages: Vec<Page> = Vec::new();
        for chunk in found.chunks(size) {
            let mut entries = chunk.to_vec();
            if let Some(last) = pages.last().and_then(|p| p.entries.last()).filter(|_| repeats) {
                entries.insert(0, last.clone());
            }
            pages.push(Page { entries, references: std::mem::take(&mut references) });
        }
        Ok(Box::new(Pages { pages: pages.into_iter(), end }))
    }

    async fn read(&self, dn: &Dn, _: &[AttrName]) -> Outcome<Option<Entry>> {
        Ok(self.visible().find(|e| e.dn == *dn).cloned())
    }

    async fn find(&self, _: &Dn, _: &StableId, _: &[AttrName]) -> Outcome<Option<Entry>> {
        Ok(None)
    }

    async fn compare(&self, _: &Dn, _: &AttrName, _: &Value) -> Outcome<Option<bool>> {
        Ok(None)
    }

    async fn present(&self, _: &Dn, _: &AttrName, _: &[Value]) -> Outcome<Vec<Value>> {
        Ok(vec![])
    }

    async fn usability(&self, _: &Dn) -> Outcome<Usability> {
        Ok(Usability::Unknown)
    }
}
