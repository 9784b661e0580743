//! Facts about a server that `doctor` shows and the audit counts against: who we are, its clock, its number of entries, its
//! limits. Each may be hidden from this identity; then the answer is `None`, which means "not known".

use std::sync::Arc;

use jiff::Timestamp;
use untether_directory::{DirectoryError, EntryStream as _, Failure, Outcome, Scope, Search};
use untether_model::{AttrName, Dn, time};

use crate::client::{Client, Query};
use crate::controls;
use crate::outcome::{INSUFFICIENT_ACCESS, NO_SUCH_OBJECT};
use crate::search::PagedSearch;

/// The extended operation "Who am I?" (RFC 4532).
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// How far a search of the whole store gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchLimit {
    /// To the end.
    None {
        /// As many entries as this identity may see.
        entries: u64,
    },
    /// The server stopped.
    After {
        /// After as many entries.
        entries: u64,
        /// With this result code: 3 time limit, 4 size limit, 11 administrative limit.
        code: u32,
    },
}

impl Client {
    /// Who the server takes us for (`dn:…`); empty for nobody.
    ///
    /// # Errors
    /// As for any read; [`Failure::Refused`] where the server does not know the operation.
    pub async fn who_am_i(&self) -> Outcome<String> {
        let subject = self.inner.subject("ask who we are");
        let bound = self.inner.settings.timeouts.operation;
        let (result, name) =
            self.inner.reading(subject, |connection| async move { connection.extended(bound, WHO_AM_I, None).await }).await?;
        if result.rc != 0 {
            return Err(subject.refusal(&result));
        }
        String::from_utf8(name).map_err(|_| subject.error(Failure::Unknown, "the server's answer is no text"))
    }

    /// The server's clock (`monitorTimestamp` of `cn=Current,cn=Time,cn=Monitor`); `None` if this identity cannot read it.
    ///
    /// # Errors
    /// As for any read.
    pub async fn server_time(&self) -> Outcome<Option<Timestamp>> {
        let Ok(place) = Dn::parse("cn=Current,cn=Time,cn=Monitor") else { return Ok(None) };
        let subject = self.inner.subject("read the server's clock").about(&place);
        let attrs = [AttrName::new("monitorTimestamp")];
        let found = match self.inner.entry(subject, &place, &attrs, Vec::new()).await {
            Err(error) if hidden(error.code) => None,
            other => other?,
        };
        Ok(found.and_then(|(entry, _)| entry.text("monitorTimestamp").and_then(time::parse_generalized)))
    }

    /// How many entries the server itself counts in the database of our suffix (`olmMDBEntries` in `cn=Monitor`, its own suffix
    /// entry included); `None` if this identity cannot read it or the database is of another kind.
    ///
    /// # Errors
    /// As for any read.
    pub async fn entry_count(&self) -> Outcome<Option<u64>> {
        let Ok(place) = Dn::parse("cn=Databases,cn=Monitor") else { return Ok(None) };
        let subject = self.inner.subject("read the number of entries").about(&place);
        let attrs = ["namingContexts", "olmMDBEntries"].map(AttrName::new);
        let query = Query {
            base: &place,
            scope: Scope::One,
            filter: controls::ANY_ENTRY,
            attrs: &attrs,
            controls: Vec::new(),
            size_limit: 0,
        };
        let answer = match self.inner.query(subject, query).await {
            Err(error) if hidden(error.code) => return Ok(None),
            other => other?,
        };
        if answer.result.rc != 0 {
            return if hidden(Some(answer.result.rc)) { Ok(None) } else { Err(subject.refusal(&answer.result)) };
        }
        let base = self.base();
        let ours = answer
            .entries
            .iter()
            .map(|(entry, _)| entry)
            .find(|entry| entry.texts("namingContexts").any(|name| Dn::parse(name).is_ok_and(|name| name == *base)));
        Ok(ours.and_then(|entry| entry.text("olmMDBEntries")?.parse().ok()))
    }

    /// Searches the whole store, in pages and without attributes, and tells how far the server lets this identity get. OpenLDAP
    /// cuts a limit down silently to what it allows, so nothing short of reading tells; 100,000 entries take a second or two.
    ///
    /// # Errors
    /// As for any search that ends otherwise than complete or at a limit.
    pub async fn search_limit(&self) -> Outcome<SearchLimit> {
        let search = Search {
            base: self.base().clone(),
            scope: Scope::Subtree,
            filter: controls::ANY_ENTRY.to_owned(),
            attrs: vec![AttrName::new("1.1")],
            page_size: Some(1_000),
            manage_dsa_it: true,
        };
        let mut stream = PagedSearch::start(Arc::clone(&self.inner), search).await?;
        let mut entries: u64 = 0;
        loop {
            match stream.next_page().await {
                Ok(Some(page)) => entries = entries.saturating_add(page.entries.len().try_into().unwrap_or(u64::MAX)),
                Ok(None) => return Ok(SearchLimit::None { entries }),
                Err(DirectoryError { code: Some(code @ (3 | 4 | 11)), .. }) => return Ok(SearchLimit::After { entries, code }),
                Err(error) => return Err(error),
            }
        }
    }
}

fn hidden(code: Option<u32>) -> bool {
    matches!(code, Some(NO_SUCH_OBJECT | INSUFFICIENT_ACCESS))
}
