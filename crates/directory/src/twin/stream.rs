//! A paged search of a twin: each page is read from the entries as they are then.

use async_trait::async_trait;
use untether_model::Value;
use untether_model::dn::DnKey;

use super::TwinHandle;
use super::refusal::{Refusal, code};
use super::view::project;
use crate::filter::{Filter, Truth};
use crate::{EntryStream, Outcome, Page, Scope, Search};

/// Entries of a page where the caller sets no size.
const PAGE: usize = 1000;

pub(super) struct TwinStream {
    pub(super) handle: TwinHandle,
    pub(super) search: Search,
    pub(super) filter: Filter,
    pub(super) cursor: Option<DnKey>,
    pub(super) sent: usize,
    pub(super) ended: bool,
}

#[async_trait]
impl EntryStream for TwinStream {
    async fn next_page(&mut self) -> Outcome<Option<Page>> {
        if self.ended {
            return Ok(None);
        }
        self.handle.reading("search", &self.search.base)?;
        let page = self.collect().map_err(|refusal| {
            self.ended = true;
            refusal.error(self.handle.twin.config.side, "search", &self.search.base)
        })?;
        if self.ended && page.entries.is_empty() && page.references.is_empty() {
            return Ok(None);
        }
        Ok(Some(page))
    }
}

impl TwinStream {
    fn collect(&mut self) -> Result<Page, Refusal> {
        let state = self.handle.twin.lock();
        let (tree, config) = (&state.store.tree, &self.handle.twin.config);
        let base = self.search.base.key();
        if self.cursor.is_none() && !self.search.base.is_root() && tree.get(&self.search.base).is_none() {
            return Err(Refusal::missing());
        }
        let room = self.search.page_size.map_or(PAGE, |size| usize::try_from(size).unwrap_or(PAGE)).max(1);
        let mut page = Page::default();
        for (key, stored) in tree.within(base, self.cursor.as_ref()) {
            let in_scope = match self.search.scope {
                Scope::Base => key == base,
                Scope::One => key.depth() == base.depth() + 1,
                Scope::Subtree => true,
            };
            if self.search.scope == Scope::Base && !in_scope {
                break;
            }
            if in_scope && !self.search.manage_dsa_it && stored.is_class("referral") {
                page.references.extend(stored.values("ref").map(Value::to_lossy));
            } else if in_scope && self.filter.judge(stored, &config.schema) == Truth::True {
                if config.size_limit.is_some_and(|limit| self.sent >= limit) {
                    if page.entries.is_empty() {
                        return Err(Refusal::new(code::SIZE_LIMIT, "size limit exceeded"));
                    }
                    // What fits is delivered first, as a server does.
                    return Ok(page);
                }
                if page.entries.len() == room {
                    return Ok(page);
                }
                page.entries.push(project(stored, &self.search.attrs, tree, &config.schema));
                self.sent += 1;
            }
            self.cursor = Some(key.clone());
        }
        self.ended = true;
        Ok(page)
    }
}
