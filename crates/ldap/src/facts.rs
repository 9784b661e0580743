//! Facts about a server that `doctor` shows and the audit counts against: who we are, its clock, its number of entries, its
//! limits. Each may be hidden from this identity; then the answer is `None`, which means "not known".

use jiff::Timestamp;
use ldap3::SearchOptions;
use untether_directory::{Control, Failure, Outcome, Scope};
use untether_model::{AttrName, Dn, time};

use crate::client::{Client, Query, scope};
use crate::controls;
use crate::outcome::{INSUFFICIENT_ACCESS, NO_SUCH_OBJECT};

/// The extended operation "Who am I?" (RFC 4532).
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// What a server does with a search that asks for more entries than it likes to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchLimit {
    /// This identity may read as many entries as there are.
    Unlimited,
    /// The server stops (result 4) or refuses (11) beyond some number of entries.
    Limited,
}

impl Client {
    /// Who the server takes us for (`dn:…`); empty for nobody.
    ///
    /// # Errors
    /// As for any read; [`Failure::Refused`] where the server does not know the operation.
    pub async fn who_am_i(&self) -> Outcome<String> {
        let subject = self.inner.subject("ask who we are");
        let (result, name) = self
            .inner
            .reading(subject, |mut ldap| async move {
                let exop = ldap3::exop::Exop { name: Some(WHO_AM_I.to_owned()), val: None };
                ldap.extended(exop).await.map(|answer| (answer.1, answer.0.val.unwrap_or_default()))
            })
            .await?;
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

    /// Whether the server limits how many entries this identity reads by a paged search. It asks for an enormous number, which
    /// servers refuse at once where there is a limit below it; no entry beyond the base is read.
    ///
    /// # Errors
    /// As for any read.
    pub async fn search_limit(&self) -> Outcome<SearchLimit> {
        let base = self.base().clone();
        let subject = self.inner.subject("probe the search limit").about(&base);
        let paged = self.inner.features().await?.has_control(Control::PAGED_RESULTS);
        let result = self
            .inner
            .reading(subject, |mut ldap| {
                let base = base.as_str().to_owned();
                async move {
                    if paged {
                        ldap.with_controls(vec![controls::paged(1, &[])]);
                    }
                    ldap.with_search_options(SearchOptions::new().sizelimit(i32::MAX));
                    let attrs = vec!["1.1".to_owned()];
                    let mut stream = ldap.streaming_search(&base, scope(Scope::Base), controls::ANY_ENTRY, attrs).await?;
                    while stream.next().await?.is_some() {}
                    Ok(stream.finish().await)
                }
            })
            .await?;
        match result.rc {
            0 => Ok(SearchLimit::Unlimited),
            4 | 11 => Ok(SearchLimit::Limited),
            _ => Err(subject.refusal(&result)),
        }
    }
}

fn hidden(code: Option<u32>) -> bool {
    matches!(code, Some(NO_SUCH_OBJECT | INSUFFICIENT_ACCESS))
}
