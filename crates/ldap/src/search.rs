//! Paged searches: one per connection, each page bounded in time and memory, the next page asked for while one is processed.

use std::sync::Arc;

use async_trait::async_trait;
use ldap3::LdapResult;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use untether_directory::{AttrNames, Control, DirectoryError, EntryStream, Failure, Outcome, Page, Search};

use crate::client::Inner;
use crate::connection::{Connection, Lost};
use crate::message::{Malformed, Messages, op};
use crate::outcome::{NO_SUCH_OBJECT, Subject};
use crate::pool::Own;
use crate::request::{Filter, SearchRequest};
use crate::{controls, decode};

/// A page with larger entries than that, in bytes as they arrived, is handed over in pieces.
const PIECE: usize = 4 << 20;

/// A running search on a connection of its own, which is kept for the next search when it ends well and closed otherwise.
pub(crate) struct PagedSearch {
    inner: Arc<Inner>,
    search: Search,
    filter: Filter,
    own: Option<Own>,
    /// What is arriving of the page; `None` before it was asked for and after its end.
    parts: Option<mpsc::Receiver<Vec<u8>>>,
    names: AttrNames,
    /// Nothing has arrived yet, so the search can be sent again if a connection that lay idle turns out to be gone.
    untouched: bool,
    ended: Option<DirectoryError>,
}

/// Why no more is gathered for now.
enum Pause {
    /// The page has its result.
    Result(LdapResult),
    /// It has many bytes; more will come.
    Large,
    Lost(Lost),
}

impl PagedSearch {
    /// Sends the search.
    pub(crate) async fn start(inner: Arc<Inner>, search: Search) -> Outcome<Self> {
        let subject = inner.subject("search").about(&search.base);
        let filter = Filter::parse(subject, &search.filter)?;
        let own = inner.searches.take(&inner.connector, subject).await?;
        let mut running = Self {
            inner,
            search,
            filter,
            own: Some(own),
            parts: None,
            names: AttrNames::default(),
            untouched: true,
            ended: None,
        };
        if let Err(lost) = running.send(&[]) {
            running.again(lost).await?;
        }
        Ok(running)
    }

    fn subject(&self) -> Subject<'_> {
        self.inner.subject("search").about(&self.search.base)
    }

    fn connection(&self) -> Option<&Connection> {
        self.own.as_ref().and_then(Own::connection)
    }

    /// Sends the request for the page after this cookie. Its answer waits in the connection while an earlier page is processed.
    fn send(&mut self, cookie: &[u8]) -> Result<(), Lost> {
        let paged = self.search.page_size.map(|size| controls::paged(size, cookie));
        let controls: Vec<_> = paged.into_iter().chain(self.search.manage_dsa_it.then(controls::manage_dsa_it)).collect();
        let request = SearchRequest {
            base: &self.search.base,
            scope: self.search.scope,
            filter: &self.filter,
            attrs: &self.search.attrs,
            size_limit: 0,
            controls: &controls,
        };
        let parts = self.connection().ok_or(Lost::NotSent)?.stream(&request)?;
        self.parts = Some(parts);
        Ok(())
    }

    /// Sends the search again on a new connection, if the one that was lost lay idle before and nothing has arrived.
    async fn again(&mut self, lost: Lost) -> Outcome<()> {
        let idle = self.own.as_ref().is_some_and(|own| own.used_before);
        if !idle || !self.untouched || !lost.allows_another_try() {
            return Err(lost.of_read(self.subject()));
        }
        if let Some(own) = &mut self.own {
            own.renew(&self.inner.connector).await?;
        }
        self.send(&[]).map_err(|lost| lost.of_read(self.subject()))
    }

    /// Gathers one page, or a piece of it; what had arrived before a failure stays in it.
    async fn gather(&mut self, page: &mut Page) -> Pause {
        let bound = self.inner.settings.timeouts.operation;
        let deadline = Instant::now() + bound;
        let mut bytes = 0;
        loop {
            let Some(parts) = &mut self.parts else { return Pause::Lost(Lost::NotSent) };
            match timeout_at(deadline, parts.recv()).await {
                Ok(Some(part)) => {
                    self.untouched = false;
                    bytes += part.len();
                    match take(&part, page, &mut self.names) {
                        Ok(Some(result)) => return Pause::Result(result),
                        Ok(None) if bytes >= PIECE => return Pause::Large,
                        Ok(None) => {}
                        Err(malformed) => return Pause::Lost(self.breach(malformed).await),
                    }
                }
                Ok(None) => {
                    return Pause::Lost(match self.connection() {
                        Some(connection) => connection.close().await,
                        None => Lost::NotSent,
                    });
                }
                Err(_) => {
                    return Pause::Lost(Lost::TimedOut(format!("the page did not end within {} s", bound.as_secs_f32())));
                }
            }
        }
    }

    async fn breach(&self, malformed: Malformed) -> Lost {
        match self.connection() {
            Some(connection) => connection.breach(malformed).await,
            None => Lost::Unanswered(malformed.to_string()),
        }
    }

    /// What the result of a page says: the cookie of the next one, if there is one.
    fn judge(&self, result: &LdapResult) -> Outcome<Option<Vec<u8>>> {
        let subject = self.subject();
        if result.rc != 0 {
            let error = subject.refusal(result);
            return Err(if result.rc == NO_SUCH_OBJECT {
                error.with_hint("check the base in the configuration; a right that is missing looks the same")
            } else {
                error
            });
        }
        if self.search.page_size.is_none() {
            return Ok(None);
        }
        match controls::answer(&result.ctrls, Control::PAGED_RESULTS).map(decode::paged_cookie) {
            Some(Ok(cookie)) => Ok(Some(cookie).filter(|cookie| !cookie.is_empty())),
            Some(Err(malformed)) => Err(subject.error(Failure::Unknown, malformed.to_string())),
            None => Err(subject.error(Failure::Unknown, "the server gave no cookie; whether more entries follow is unknown")),
        }
    }

    /// Goes on after a page: asks for the next one, or gives the connection back after the last.
    fn go_on(&mut self, result: &LdapResult) -> Outcome<()> {
        self.parts = None;
        match self.judge(result)? {
            Some(cookie) => self.send(&cookie).map_err(|lost| lost.of_read(self.subject())),
            None => {
                if let Some(own) = self.own.take() {
                    own.give_back();
                }
                Ok(())
            }
        }
    }

    async fn fail(&mut self, error: DirectoryError) {
        self.parts = None;
        if let Some(connection) = self.connection() {
            connection.close().await;
        }
        self.own = None;
        self.ended = Some(error);
    }
}

/// Takes messages apart into the page; the result if it is among them.
fn take(messages: &[u8], page: &mut Page, names: &mut AttrNames) -> Result<Option<LdapResult>, Malformed> {
    for message in Messages::of(messages) {
        let message = message?;
        match message.op {
            op::ENTRY => page.entries.push(decode::entry(message.content, names)?),
            op::REFERENCE => page.references.extend(decode::references(message.content)?),
            _ => return message.result().map(Some),
        }
    }
    Ok(None)
}

#[async_trait]
impl EntryStream for PagedSearch {
    async fn next_page(&mut self) -> Outcome<Option<Page>> {
        let mut page = Page::default();
        while self.ended.is_none() && self.parts.is_some() {
            let gone_on = match self.gather(&mut page).await {
                Pause::Result(result) => self.go_on(&result),
                Pause::Large => Ok(()),
                Pause::Lost(lost) => self.again(lost).await,
            };
            if let Err(error) = gone_on {
                self.fail(error).await;
            }
            if !page.entries.is_empty() || !page.references.is_empty() {
                return Ok(Some(page));
            }
        }
        match &self.ended {
            Some(error) => Err(error.clone()),
            None => Ok(None),
        }
    }
}
