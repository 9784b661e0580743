//! Reading one base to its end, and knowing whether that was the end.

use untether_directory::{DirectoryError, Read, Scope, Search};
use untether_model::{AttrName, Dn, Entry, Side};

use super::gap::{Failed, classify};
use super::names::{Names, Sighting};
use super::{CollectError, CollectEvent, CollectProgress, GapKind, Part, StoreFailure};

/// What is to be read of a base.
pub(super) struct Request<'a> {
    pub(super) part: Part,
    pub(super) base: &'a Dn,
    pub(super) filter: &'a str,
    pub(super) attrs: &'a [&'a str],
    /// Entries a page. `None` for `cn=config`: it is small, and slapd refuses both paging and ManageDsaIT there (result code 12).
    pub(super) page_size: Option<u32>,
}

/// How reading a base ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) entries: u64,
    /// References to other servers that came instead of entries.
    pub(super) references: Vec<String>,
    pub(super) gaps: Vec<(GapKind, String)>,
}

impl Ended {
    pub(super) fn complete(&self) -> bool {
        self.gaps.iter().all(|(kind, _)| !kind.concerns_entries())
    }

    pub(super) fn shortfall(&self) -> Option<String> {
        let said: Vec<&str> = self.gaps.iter().filter(|(kind, _)| kind.concerns_entries()).map(|(_, why)| why.as_str()).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Reads a store through one capability and tells a display about it.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) read: &'a dyn Read,
    pub(super) progress: &'a dyn CollectProgress,
}

impl Reader<'_> {
    fn side(&self) -> Side {
        self.read.side()
    }

    /// Streams the base; each page is handed on before the next is asked for. An entry that comes twice is handed on once and makes
    /// the read incomplete: a server that repeats entries may also skip some. Names go to `names`.
    pub(super) async fn stream(
        &self,
        request: Request<'_>,
        names: &mut Names,
        mut take: impl FnMut(Entry, Sighting<'_>) -> Result<(), StoreFailure> + Send,
    ) -> Result<Ended, CollectError> {
        let (side, part, base) = (self.side(), request.part, request.base);
        self.progress.event(CollectEvent::Started { side, part, base });
        let mut ended = Ended::default();
        names.begin_reading();
        let mut twice: u64 = 0;
        let search = Search {
            base: base.clone(),
            scope: Scope::Subtree,
            filter: request.filter.to_owned(),
            attrs: request.attrs.iter().map(AttrName::new).collect(),
            page_size: request.page_size.map(|size| size.max(1)),
            manage_dsa_it: request.page_size.is_some(),
        };
        match self.read.search(search).await {
            Err(error) => note(&mut ended, error)?,
            Ok(mut pages) => loop {
                match pages.next_page().await {
                    Ok(None) => break,
                    Ok(Some(page)) => {
                        ended.references.extend(page.references);
                        for entry in page.entries {
                            let sighting = names.sight(entry.dn.key());
                            if sighting.is_again() {
                                twice += 1;
                                continue;
                            }
                            ended.entries += 1;
                            take(entry, sighting)?;
                        }
                        self.progress.event(CollectEvent::Read { side, part, base, entries: ended.entries });
                    }
                    Err(error) => {
                        note(&mut ended, error)?;
                        break;
                    }
                }
            },
        }
        if twice > 0 {
            let plural = if twice == 1 { "entry" } else { "entries" };
            ended.gaps.push((
                GapKind::Truncated,
                format!("{twice} {plural} came twice: the paging of this server cannot be relied on"),
            ));
        }
        self.progress.event(CollectEvent::Ended { side, part, base, entries: ended.entries, complete: ended.complete() });
        Ok(ended)
    }
}

fn note(ended: &mut Ended, error: DirectoryError) -> Result<(), CollectError> {
    match classify(error) {
        Failed::Gap(kind, why) => {
            ended.gaps.push((kind, why));
            Ok(())
        }
        Failed::Fatal(error) => Err(error.into()),
    }
}
