//! The client: one store, one identity, a few connections.
//!
//! The capabilities are implemented in [`crate::read`], [`crate::write`] and [`crate::probe`]; here is what they share. It
//! deliberately knows nothing of plans, records or what an entry means.

use std::future::Future;
use std::sync::Arc;

use ldap3::controls::{Control, RawControl};
use ldap3::{Ldap, LdapError, LdapResult, ResultEntry, SearchOptions};
use tokio::sync::{OnceCell, Semaphore};
use untether_directory::{DirectoryError, Failure, Features, Outcome, Scope};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side};

use crate::connection::{Connector, Lost};
use crate::decode::{self, Malformed};
use crate::outcome::Subject;
use crate::pool::{Exclusive, Shared};
use crate::settings::{Endpoint, Protection, Settings};
use crate::tls;

/// A client of one store with one identity. Cheap to clone; all clones share its connections.
///
/// Connections are opened when they are needed and again when they were lost. A read that loses its connection is sent once
/// more; a write never is, unless it is certain that it never left.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) connector: Connector,
    pub(crate) reads: Shared,
    pub(crate) writes: Shared,
    pub(crate) searches: Arc<Exclusive>,
    pub(crate) transactions: Arc<Exclusive>,
    pub(crate) probes: Semaphore,
    pub(crate) features: OnceCell<Features>,
    pub(crate) schema: OnceCell<Arc<Schema>>,
}

/// A search that is answered at once: one entry, or a few.
pub(crate) struct Query<'a> {
    pub(crate) base: &'a Dn,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attrs: &'a [AttrName],
    pub(crate) controls: Vec<RawControl>,
    /// At most this many entries; 0 for as many as the server gives.
    pub(crate) size_limit: i32,
}

/// Its answer.
pub(crate) struct Answer {
    pub(crate) entries: Vec<(Entry, Vec<Control>)>,
    pub(crate) result: LdapResult,
}

impl Client {
    /// A client with these settings. Reads the files of certificate authorities; sends nothing.
    ///
    /// # Errors
    /// [`Failure::Invalid`] if the settings are unsafe or cannot work.
    pub fn new(settings: Settings) -> Outcome<Self> {
        let endpoint = settings.endpoint()?;
        let config = match endpoint {
            Endpoint::Tcp { protection: Protection::Tls | Protection::StartTls, .. } => {
                Some(tls::client_config(settings.side, &settings.tls)?)
            }
            _ => None,
        };
        let connector =
            Connector { side: settings.side, endpoint, config, bind: settings.bind.clone(), timeouts: settings.timeouts };
        let (connections, in_flight) = (settings.limits.connections, settings.limits.in_flight);
        let wait = settings.timeouts.operation;
        let inner = Inner {
            connector,
            reads: Shared::new(connections, in_flight, wait),
            writes: Shared::new(connections, in_flight, wait),
            searches: Exclusive::new(connections, wait),
            transactions: Exclusive::new(connections, wait),
            probes: Semaphore::new(connections),
            features: OnceCell::new(),
            schema: OnceCell::new(),
            settings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Connects and binds, and so proves address, TLS, name and secret. Other operations do this by themselves.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], [`Failure::Credentials`].
    pub async fn connect(&self) -> Outcome<()> {
        let subject = self.inner.subject("connect");
        let place = self.inner.reads.place(subject).await?;
        place.connection(&self.inner.connector).await.map(|_| ())
    }

    /// Which store this is.
    pub fn side(&self) -> Side {
        self.inner.settings.side
    }

    /// The suffix of the store, as configured.
    pub fn base(&self) -> &Dn {
        &self.inner.settings.base
    }
}

impl Inner {
    pub(crate) fn subject(&self, operation: &'static str) -> Subject<'static> {
        Subject::new(self.settings.side, operation)
    }

    /// Runs an operation that changes nothing on a shared connection. If that ends before the answer, once more on a new one.
    pub(crate) async fn reading<'a, T, F>(&self, subject: Subject<'_>, operation: impl Fn(Ldap) -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T, LdapError>> + Send + 'a,
    {
        let bound = self.settings.timeouts.operation;
        let mut again = true;
        loop {
            let place = self.reads.place(subject).await?;
            let connection = place.connection(&self.connector).await?;
            match connection.within(bound, operation(connection.ldap())).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::NotSent | Lost::Unanswered(_)) if again => again = false,
                Err(lost) => return Err(lost.of_read(subject)),
            }
        }
    }

    /// One search that is answered at once.
    pub(crate) async fn query(&self, subject: Subject<'_>, query: Query<'_>) -> Outcome<Answer> {
        check_filter(subject, query.filter)?;
        let attrs: Vec<String> = query.attrs.iter().map(|a| a.as_str().to_owned()).collect();
        let (base, filter) = (query.base.as_str().to_owned(), query.filter.to_owned());
        let scope = scope(query.scope);
        let (raw, result) = self
            .reading(subject, |mut ldap| {
                let (attrs, base, filter) = (attrs.clone(), base.clone(), filter.clone());
                let controls = query.controls.clone();
                let options = SearchOptions::new().sizelimit(query.size_limit);
                async move {
                    ldap.with_controls(controls);
                    ldap.with_search_options(options);
                    let mut stream = ldap.streaming_search(&base, scope, &filter, attrs).await?;
                    let mut raw = Vec::new();
                    while let Some(item) = stream.next().await? {
                        raw.push(item);
                    }
                    Ok((raw, stream.finish().await))
                }
            })
            .await?;
        let mut entries = Vec::new();
        for item in raw {
            if is_entry(&item) {
                entries.push((decode::entry(item.0).map_err(|m| unreadable(subject, m))?, item.1));
            }
        }
        Ok(Answer { entries, result })
    }

    /// The entry with this name, with the controls of its answer; `None` if it does not exist.
    pub(crate) async fn entry(
        &self,
        subject: Subject<'_>,
        dn: &Dn,
        attrs: &[AttrName],
        controls: Vec<RawControl>,
    ) -> Outcome<Option<(Entry, Vec<Control>)>> {
        let filter = crate::controls::ANY_ENTRY;
        let query = Query { base: dn, scope: Scope::Base, filter, attrs, controls, size_limit: 0 };
        let answer = self.query(subject, query).await?;
        match answer.result.rc {
            0 => Ok(answer.entries.into_iter().next()),
            crate::outcome::NO_SUCH_OBJECT => Ok(None),
            _ => Err(subject.refusal(&answer.result)),
        }
    }
}

/// Whether an item of a search is an entry (and neither a reference nor an intermediate message).
pub(crate) fn is_entry(item: &ResultEntry) -> bool {
    !item.is_ref() && !item.is_intermediate()
}

/// The server's answer cannot be understood, so what it says is not known.
pub(crate) fn unreadable(subject: Subject<'_>, malformed: Malformed) -> DirectoryError {
    subject.error(Failure::Unknown, malformed.0)
}

pub(crate) fn scope(scope: Scope) -> ldap3::Scope {
    match scope {
        Scope::Base => ldap3::Scope::Base,
        Scope::One => ldap3::Scope::OneLevel,
        Scope::Subtree => ldap3::Scope::Subtree,
    }
}

/// Filters nested deeper than this are refused: parsing one recurses.
const DEEPEST_FILTER: usize = 64;

/// Refuses a filter that ldap3 could not read.
pub(crate) fn check_filter(subject: Subject<'_>, filter: &str) -> Outcome<()> {
    let mut depth = 0_usize;
    let mut deepest = 0_usize;
    for byte in filter.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST_FILTER || ldap3::parse_filter(filter).is_err() {
        return Err(subject
            .error(Failure::Invalid, format!("'{filter}' is not a filter"))
            .with_hint("write it as RFC 4515 says, with \\28, \\29, \\2a and \\5c for ( ) * and \\ in values"));
    }
    Ok(())
}
