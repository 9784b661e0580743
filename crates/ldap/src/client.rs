//! The client: one store, one identity, a few connections.
//!
//! The capabilities are implemented in [`crate::read`], [`crate::write`] and [`crate::probe`]; here is what they share. It
//! deliberately knows nothing of plans, records or what an entry means.

use std::future::Future;
use std::sync::Arc;

use ldap3::LdapResult;
use ldap3::controls::{Control, RawControl};
use tokio::sync::OnceCell;
use untether_directory::{AttrNames, DirectoryError, Failure, Features, Outcome, Scope};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side};

use crate::connection::{Connection, Connector, Lost};
use crate::decode;
use crate::many::Indexed;
use crate::message::{Malformed, Messages, op};
use crate::outcome::Subject;
use crate::pool::{Exclusive, OpenedAs, Shared};
use crate::request::{Filter, SearchRequest};
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
    pub(crate) probes: Arc<Exclusive>,
    pub(crate) features: OnceCell<Features>,
    pub(crate) schema: OnceCell<Arc<Schema>>,
    pub(crate) indexed: Indexed,
}

/// A search that is answered at once: one entry, or a few.
pub(crate) struct Query<'a> {
    pub(crate) base: &'a Dn,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attrs: &'a [AttrName],
    pub(crate) controls: Vec<RawControl>,
    /// At most this many entries; 0 for as many as the server gives.
    pub(crate) size_limit: u32,
}

/// Its answer; each entry with the controls that came with it.
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
        let connector = Connector {
            side: settings.side,
            endpoint,
            config,
            bind: settings.bind.clone(),
            timeouts: settings.timeouts,
            message_bytes: settings.limits.message_bytes,
        };
        let (connections, in_flight) = (settings.limits.connections, settings.limits.in_flight);
        let wait = settings.timeouts.operation;
        let inner = Inner {
            connector,
            reads: Shared::new(connections, in_flight, wait),
            writes: Shared::new(connections, in_flight, wait),
            searches: Exclusive::new(OpenedAs::Own, connections, wait),
            transactions: Exclusive::new(OpenedAs::Own, connections, wait),
            probes: Exclusive::new(OpenedAs::Nobody, connections, wait),
            features: OnceCell::new(),
            schema: OnceCell::new(),
            indexed: Indexed::default(),
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
    pub(crate) async fn reading<T, F>(&self, subject: Subject<'_>, operation: impl Fn(Arc<Connection>) -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T, Lost>> + Send,
    {
        let mut again = true;
        loop {
            let place = self.reads.place(subject).await?;
            let connection = place.connection(&self.connector).await?;
            match operation(connection).await {
                Ok(answer) => return Ok(answer),
                Err(lost) if again && lost.allows_another_try() => again = false,
                Err(lost) => return Err(lost.of_read(subject)),
            }
        }
    }

    /// One search that is answered at once.
    pub(crate) async fn query(&self, subject: Subject<'_>, query: Query<'_>) -> Outcome<Answer> {
        let filter = &Filter::parse(subject, query.filter)?;
        let Query { base, scope, attrs, size_limit, .. } = query;
        let controls = &query.controls[..];
        let bound = self.settings.timeouts.operation;
        self.reading(subject, |connection| async move {
            let request = SearchRequest { base, scope, filter, attrs, size_limit, controls };
            let messages = connection.search(bound, &request).await?;
            match answer(&messages) {
                Ok(answer) => Ok(answer),
                Err(malformed) => Err(connection.breach(malformed).await),
            }
        })
        .await
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

/// Takes the messages that answer a search apart.
fn answer(messages: &[u8]) -> Result<Answer, Malformed> {
    let mut names = AttrNames::default();
    let mut entries = Vec::new();
    for message in Messages::of(messages) {
        let message = message?;
        match message.op {
            op::ENTRY => entries.push((decode::entry(message.content, &mut names)?, message.controls()?)),
            op::SEARCH_DONE => return Ok(Answer { entries, result: message.result()? }),
            _ => {}
        }
    }
    Err(Malformed::because("the server ended a search without a result"))
}

/// The server's answer cannot be understood, so what it says is not known.
pub(crate) fn unreadable(subject: Subject<'_>, malformed: &Malformed) -> DirectoryError {
    subject.error(Failure::Unknown, malformed.to_string())
}
