//! Paged searches: one per connection, each page bounded in time, the next page asked for while one is processed.

use std::sync::Arc;

use async_trait::async_trait;
use ldap3::{LdapError, LdapResult, ResultEntry, SearchStream};
use tokio::time::{Instant, timeout_at};
use untether_directory::{Control, DirectoryError, EntryStream, Failure, Outcome, Page, Search};

use crate::client::{Inner, check_filter, is_entry, scope, unreadable};
use crate::connection::Lost;
use crate::outcome::{NO_SUCH_OBJECT, Subject};
use crate::pool::Own;
use crate::{controls, decode};

type Stream = SearchStream<'static, String, Vec<String>>;

/// A running search on a connection of its own, which is kept for the next search when it ends well and closed otherwise.
pub(crate) struct PagedSearch {
    inner: Arc<Inner>,
    search: Search,
    own: Option<Own>,
    stream: Option<Stream>,
    /// Nothing has arrived yet, so the search can be sent again if a connection that lay idle turns out to be gone.
    untouched: bool,
    ended: Option<DirectoryError>,
}

/// How the answer to one page ended.
enum End {
    Complete,
    More(Vec<u8>),
    Failed(DirectoryError),
    Gone(String),
}

impl PagedSearch {
    /// Sends the search.
    pub(crate) async fn start(inner: Arc<Inner>, search: Search) -> Outcome<Self> {
        let subject = inner.subject("search");
        check_filter(subject.about(&search.base), &search.filter)?;
        let own = inner.searches.take(&inner.connector, subject.about(&search.base)).await?;
        let mut running = Self { inner, search, own: Some(own), stream: None, untouched: true, ended: None };
        if let Err(lost) = running.send(&[]).await {
            running.again(lost).await?;
        }
        Ok(running)
    }

    fn subject(&self) -> Subject<'_> {
        self.inner.subject("search").about(&self.search.base)
    }

    /// Sends the request for the page after this cookie. The answer gathers in memory while an earlier page is processed.
    async fn send(&mut self, cookie: &[u8]) -> Result<(), Lost> {
        let mut sent = Vec::new();
        if let Some(size) = self.search.page_size {
            sent.push(controls::paged(size, cookie));
        }
        if self.search.manage_dsa_it {
            sent.push(controls::manage_dsa_it());
        }
        let attrs: Vec<String> = self.search.attrs.iter().map(|a| a.as_str().to_owned()).collect();
        let Some(connection) = self.own.as_ref().and_then(Own::connection) else { return Err(Lost::NotSent) };
        let mut ldap = connection.ldap();
        ldap.with_controls(sent);
        let sending = ldap.streaming_search(self.search.base.as_str(), scope(self.search.scope), &self.search.filter, attrs);
        let bound = self.inner.settings.timeouts.operation;
        self.stream = Some(connection.within(bound, sending).await?);
        Ok(())
    }

    /// Sends the search again on a new connection, if the one that was lost lay idle before and nothing has arrived.
    async fn again(&mut self, lost: Lost) -> Outcome<()> {
        let idle = self.own.as_ref().is_some_and(|own| own.used_before);
        if !idle || !self.untouched || matches!(lost, Lost::TimedOut(_)) {
            return Err(lost.of_read(self.subject()));
        }
        if let Some(own) = &mut self.own {
            own.renew(&self.inner.connector).await?;
        }
        self.send(&[]).await.map_err(|lost| lost.of_read(self.subject()))
    }

    /// Gathers one page; what had arrived before a failure stays in it.
    async fn gather(&mut self, page: &mut Page) -> End {
        let bound = self.inner.settings.timeouts.operation;
        let deadline = Instant::now() + bound;
        loop {
            let Some(stream) = &mut self.stream else { return End::Complete };
            match timeout_at(deadline, stream.next()).await {
                Ok(Ok(Some(item))) => {
                    self.untouched = false;
                    if let Err(error) = self.take(item, page) {
                        return End::Failed(error);
                    }
                }
                Ok(Ok(None)) => {
                    let result = stream.finish().await;
                    self.stream = None;
                    return self.judge(&result);
                }
                Ok(Err(LdapError::EndOfStream)) => return End::Gone("the connection ended within the search".to_owned()),
                Ok(Err(error)) => return End::Gone(error.to_string()),
                Err(_) => {
                    let why = format!("the page did not end within {} s", bound.as_secs_f32());
                    return End::Failed(Lost::TimedOut(why).of_read(self.subject()));
                }
            }
        }
    }

    fn take(&self, item: ResultEntry, page: &mut Page) -> Outcome<()> {
        let unreadable = |malformed| unreadable(self.subject(), malformed);
        if is_entry(&item) {
            page.entries.push(decode::entry(item.0).map_err(unreadable)?);
        } else if item.is_ref() {
            page.references.extend(decode::references(item.0).map_err(unreadable)?);
        }
        Ok(())
    }

    fn judge(&self, result: &LdapResult) -> End {
        let subject = self.subject();
        if result.rc != 0 {
            let error = subject.refusal(result);
            return End::Failed(if result.rc == NO_SUCH_OBJECT {
                error.with_hint("check the base in the configuration; a right that is missing looks the same")
            } else {
                error
            });
        }
        if self.search.page_size.is_none() {
            return End::Complete;
        }
        match controls::answer(&result.ctrls, Control::PAGED_RESULTS).map(decode::paged_cookie) {
            Some(Ok(cookie)) if cookie.is_empty() => End::Complete,
            Some(Ok(cookie)) => End::More(cookie),
            Some(Err(malformed)) => End::Failed(unreadable(subject, malformed)),
            None => {
                End::Failed(subject.error(Failure::Unknown, "the server gave no cookie; whether more entries follow is unknown"))
            }
        }
    }

    async fn fail(&mut self, error: DirectoryError) {
        self.stream = None;
        if let Some(connection) = self.own.as_ref().and_then(Own::connection) {
            connection.close().await;
        }
        self.own = None;
        self.ended = Some(error);
    }
}

#[async_trait]
impl EntryStream for PagedSearch {
    async fn next_page(&mut self) -> Outcome<Option<Page>> {
        let mut page = Page::default();
        while self.ended.is_none() && self.stream.is_some() {
            match self.gather(&mut page).await {
                End::Complete => {
                    if let Some(own) = self.own.take() {
                        own.give_back();
                    }
                }
                End::More(cookie) => {
                    if let Err(lost) = self.send(&cookie).await {
                        let error = lost.of_read(self.subject());
                        self.fail(error).await;
                    }
                }
                End::Failed(error) => self.fail(error).await,
                End::Gone(why) => {
                    self.stream = None;
                    let lost = Lost::Unanswered(match self.own.as_ref().and_then(Own::connection) {
                        Some(connection) => format!("{why}: {}", connection.close().await),
                        None => why,
                    });
                    if let Err(error) = self.again(lost).await {
                        self.fail(error).await;
                    }
                }
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
