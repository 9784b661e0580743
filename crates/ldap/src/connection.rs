//! One bound connection: opened within bounds, its driving task watched, closed for good before an unknown outcome is reported.
//!
//! ldap3 reconnects never and waits for ever; both are made good here. When the driving task ends, every operation in flight reads
//! as "outcome unknown".

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ldap3::controls::RawControl;
use ldap3::exop::Exop;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, StdStream};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use untether_directory::{DirectoryError, Failure, Secret};
use untether_model::change::Change;
use untether_model::{Dn, Side};
use url::Url;
use zeroize::Zeroizing;

use crate::answers::{FIRST_ID, Order, Taker};
use crate::ber::check_nesting;
use crate::guard::{Ended, Guard};
use crate::message::{Malformed, Message, op};
use crate::outcome::Subject;
use crate::request::{self, SearchRequest};
use crate::settings::{Bind, Endpoint, Timeouts};
use crate::wire::Wire;

/// Everything that a new connection needs.
pub(crate) struct Connector {
    pub(crate) side: Side,
    pub(crate) endpoint: Endpoint,
    pub(crate) config: Option<Arc<rustls::ClientConfig>>,
    pub(crate) bind: Bind,
    pub(crate) timeouts: Timeouts,
    /// The longest message that is taken from the server, in bytes.
    pub(crate) message_bytes: usize,
}

/// How an operation ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It never left: the connection was already gone.
    NotSent,
    /// The connection ended before the answer; it may have been carried out.
    Unanswered(String),
    /// The server sent what the protocol does not allow, before the answer or as the answer; it may have been carried out. The
    /// connection is closed now.
    Breach {
        /// What it sent.
        why: String,
        /// Where it was reached.
        place: Arc<str>,
    },
    /// No answer came in time; it may still be carried out. The connection is closed now.
    TimedOut(String),
}

impl Lost {
    /// Whether the same may be asked once more: nothing of it arrived, or the connection merely ended.
    pub(crate) fn allows_another_try(&self) -> bool {
        matches!(self, Self::NotSent | Self::Unanswered(_))
    }

    /// The error of an operation that changes nothing.
    pub(crate) fn of_read(self, subject: Subject<'_>) -> DirectoryError {
        self.told(subject, Failure::Unknown, None)
    }

    /// The error of a write: unless it never left, it may have been applied, or may still be.
    pub(crate) fn of_write(self, subject: Subject<'_>) -> DirectoryError {
        let unsure = "it may have been applied or may still be; observe the entry before anything else";
        let hint = Some(unsure).filter(|_| self != Self::NotSent);
        self.told(subject, Failure::Unknown, hint)
    }

    /// The error of a bind: nothing else was sent on that connection.
    pub(crate) fn of_bind(self, subject: Subject<'_>) -> DirectoryError {
        self.told(subject, Failure::Unreachable, Some("check that the server runs and takes further connections"))
    }

    fn told(self, subject: Subject<'_>, failure: Failure, hint: Option<&str>) -> DirectoryError {
        let mut hints: Vec<String> = hint.into_iter().map(str::to_owned).collect();
        let error = match self {
            Self::NotSent => subject.error(Failure::Unreachable, "the server closed the connection; nothing was sent"),
            Self::Unanswered(why) | Self::TimedOut(why) => subject.error(failure, why),
            Self::Breach { why, place } => {
                let look = "look at what stands before the server, and at its log";
                hints.push(format!("what answers at {place} does not keep to LDAP: {look}"));
                subject.error(failure, why)
            }
        };
        if hints.is_empty() { error } else { error.with_hint(hints.join("; ")) }
    }
}

/// A connection and the task that drives it.
pub(crate) struct Connection {
    ldap: Ldap,
    orders: mpsc::UnboundedSender<Order>,
    next_id: AtomicI32,
    place: Arc<str>,
    driver: AbortHandle,
    ended: watch::Receiver<Option<Ended>>,
    last_used: Mutex<Instant>,
    /// It is to be closed, or is closed: nothing more is sent on it.
    given_up: AtomicBool,
}

/// A connection that lay idle for longer is replaced: a firewall may have forgotten it, and what is sent into it would be lost.
const IDLE: Duration = Duration::from_secs(30);

impl Connector {
    /// Connects and binds.
    pub(crate) async fn open(&self) -> Result<Connection, DirectoryError> {
        let connection = self.open_unbound().await?;
        let subject = Subject::new(self.side, "bind");
        match &self.bind {
            Bind::Simple { dn, secret } => {
                let answer = self.simple_bind(&connection, (subject, dn), secret, Vec::new()).await?;
                let result = answer.map_err(|lost| lost.of_bind(subject.about(dn)))?;
                if result.rc != 0 {
                    return Err(subject.about(dn).bind_refusal(&result));
                }
            }
            Bind::External => {
                let mut ldap = connection.ldap.clone();
                let answer = connection.within(self.timeouts.connect, ldap.sasl_external_bind()).await;
                let result = answer.map_err(|lost| lost.of_bind(subject))?;
                if result.rc != 0 {
                    return Err(subject.bind_refusal(&result));
                }
            }
        }
        Ok(connection)
    }

    /// A simple bind on this connection; what comes of it is for the caller to judge. An error says that it was not sent.
    pub(crate) async fn simple_bind(
        &self,
        connection: &Connection,
        (subject, dn): (Subject<'_>, &Dn),
        secret: &Secret,
        controls: Vec<RawControl>,
    ) -> Result<Result<LdapResult, Lost>, DirectoryError> {
        let subject = subject.about(dn);
        let password = std::str::from_utf8(secret.expose())
            .map_err(|_| subject.error(Failure::Invalid, "the secret is not UTF-8, which RFC 4513 requires of passwords"))?;
        if dn.is_root() {
            return Err(subject.error(Failure::Invalid, "a password without a name would be an anonymous bind"));
        }
        let mut ldap = connection.ldap.clone();
        ldap.with_controls(controls);
        Ok(connection.within(self.timeouts.connect, ldap.simple_bind(dn.as_str(), password)).await)
    }

    /// Connects without binding.
    pub(crate) async fn open_unbound(&self) -> Result<Connection, DirectoryError> {
        let place = match &self.endpoint {
            Endpoint::Tcp { address, .. } => address.as_str().into(),
            Endpoint::Socket(path) => path.display().to_string().into(),
        };
        let wire = self.wire().await?;
        let guarded = Connection::over(wire, self.message_bytes, Arc::clone(&place)).await;
        guarded.map_err(|error| unreachable(Subject::new(self.side, "connect"), &place, &error.to_string()))
    }
}

impl Connection {
    /// ldap3 at one end of a pair of sockets, the guard at the other. No message longer than `message_bytes` is taken.
    pub(crate) async fn over(wire: Box<dyn Wire>, message_bytes: usize, place: Arc<str>) -> Result<Self, LdapError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let pipe = UnixStream::from_std(ours)?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
        let (ldap3, ldap) = LdapConnAsync::from_url_with_settings(settings, &Url::parse("ldapi://%2F")?).await?;
        let (orders, ordered) = mpsc::unbounded_channel();
        let guard = Guard::new(wire, pipe, ordered, message_bytes);
        Ok(Self::drive(guard, ldap3, ldap, orders, place))
    }

    fn drive(guard: Guard, ldap3: LdapConnAsync, ldap: Ldap, orders: mpsc::UnboundedSender<Order>, place: Arc<str>) -> Self {
        let driving = tokio::spawn(guard.drive(ldap3.drive()));
        let driver = driving.abort_handle();
        let (tell, ended) = watch::channel(None);
        // Watches the driving task, so that its end (or panic) is known and its reason can be told.
        tokio::spawn(async move {
            let ended = match driving.await {
                Ok(ended) => ended,
                Err(error) if error.is_panic() => Ended::Breach("the server sent what cannot be read".to_owned()),
                Err(_) => Ended::Closed("the connection was closed".to_owned()),
            };
            tell.send_replace(Some(ended));
        });
        Self {
            ldap,
            orders,
            next_id: AtomicI32::new(FIRST_ID),
            place,
            driver,
            ended,
            last_used: Mutex::new(Instant::now()),
            given_up: AtomicBool::new(false),
        }
    }

    /// A handle for one operation.
    pub(crate) fn ldap(&self) -> Ldap {
        self.ldap.clone()
    }

    /// Whether operations can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.given_up.load(Ordering::SeqCst) && self.ended.borrow().is_none() && !self.driver.is_finished()
    }

    /// Whether it was used a short while ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < IDLE
    }

    /// Ends the driving task, and with it the socket, and waits until that is done.
    pub(crate) async fn close(&self) -> Lost {
        self.abort();
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()) {
            Some(Ended::Breach(why)) => Lost::Breach { why, place: Arc::clone(&self.place) },
            Some(Ended::Closed(why)) => Lost::Unanswered(why),
            None => Lost::Unanswered("the connection was closed".to_owned()),
        }
    }

    /// Closes the connection because of what arrived on it.
    pub(crate) async fn breach(&self, malformed: Malformed) -> Lost {
        self.close().await;
        Lost::Breach { why: malformed.to_string(), place: Arc::clone(&self.place) }
    }

    /// Ends the driving task without waiting.
    pub(crate) fn abort(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        self.driver.abort();
    }

    /// Runs an operation of ldap3 within the bound. Without an answer the connection is closed before this returns.
    pub(crate) async fn within<T>(
        &self,
        bound: Duration,
        operation: impl Future<Output = Result<T, LdapError>>,
    ) -> Result<T, Lost> {
        match timeout(bound, operation).await {
            Ok(Ok(answer)) => {
                self.touch();
                Ok(answer)
            }
            Ok(Err(LdapError::OpSend { .. })) => {
                self.close().await;
                Err(Lost::NotSent)
            }
            Ok(Err(LdapError::ResultRecv { .. } | LdapError::EndOfStream)) => Err(self.close().await),
            Ok(Err(error)) => {
                self.close().await;
                Err(Lost::Unanswered(error.to_string()))
            }
            Err(_) => {
                self.close().await;
                Err(Lost::TimedOut(no_answer(bound)))
            }
        }
    }

    /// Notes that it was used a moment ago.
    pub(crate) fn touch(&self) {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Sends a search of few entries; gives the messages that answer it. Without an answer within the bound the connection is closed
    /// before this returns.
    pub(crate) async fn search(&self, bound: Duration, search: &SearchRequest<'_>) -> Result<Vec<u8>, Lost> {
        let id = self.next_id();
        self.whole(bound, (id, search.encode(id).into()), op::SEARCH_DONE).await
    }

    /// Sends a write; gives its result and the id of the message that carried it. Without an answer within the bound the connection is
    /// closed before this returns.
    pub(crate) async fn write(
        &self,
        bound: Duration,
        change: &Change,
        controls: &[RawControl],
    ) -> Result<(LdapResult, i32), Lost> {
        let ends = match change {
            Change::Add { .. } => op::ADDED,
            Change::Modify { .. } => op::MODIFIED,
            Change::Delete { .. } => op::DELETED,
        };
        let id = self.next_id();
        let answer = self.whole(bound, (id, request::write(id, change, controls)), ends).await?;
        let nested = check_nesting(&answer).map_err(|what| Malformed(format!("the server sent a message with {what}").into()));
        match nested.and_then(|()| Message::read(&answer)).and_then(|message| message.result()) {
            Ok(result) => Ok((result, id)),
            Err(malformed) => Err(self.breach(malformed).await),
        }
    }

    /// Sends a request and waits for its whole answer, which ends with that operation.
    async fn whole(&self, bound: Duration, (id, request): (i32, Zeroizing<Vec<u8>>), ends: u8) -> Result<Vec<u8>, Lost> {
        let (tell, told) = oneshot::channel();
        if self.orders.send(Order { id, request, ends, answer: Taker::Whole(tell) }).is_err() {
            self.close().await;
            return Err(Lost::NotSent);
        }
        match timeout(bound, told).await {
            Ok(Ok(answer)) => {
                self.touch();
                Ok(answer)
            }
            Ok(Err(_)) => Err(self.close().await),
            Err(_) => {
                self.close().await;
                Err(Lost::TimedOut(no_answer(bound)))
            }
        }
    }

    /// Sends a search of any size; the messages that answer it come in parts, each of whole messages. Nothing more is read from the
    /// server while a part waits. The channel ends after the search's result, or with the connection.
    pub(crate) fn stream(&self, search: &SearchRequest<'_>) -> Result<mpsc::Receiver<Vec<u8>>, Lost> {
        let (tell, parts) = mpsc::channel(1);
        let id = self.next_id();
        let request = search.encode(id).into();
        let order = Order { id, request, ends: op::SEARCH_DONE, answer: Taker::Parts(tell) };
        // An error: the connection is gone.
        if self.orders.send(order).is_ok() { Ok(parts) } else { Err(Lost::NotSent) }
    }

    /// Beyond the largest id the count goes on among the negative ones; ours have this bit set.
    fn next_id(&self) -> i32 {
        self.next_id.fetch_add(1, Ordering::Relaxed) & i32::MAX | FIRST_ID
    }

    /// An extended operation within the bound: its result and the value of its answer.
    pub(crate) async fn extended(
        &self,
        bound: Duration,
        oid: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(LdapResult, Vec<u8>), Lost> {
        let mut ldap = self.ldap();
        let answer = self.within(bound, ldap.extended(Exop { name: Some(oid.to_owned()), val: value })).await?;
        Ok((answer.1, answer.0.val.unwrap_or_default()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Closes the connection if a write is given up while its answer is awaited, so that it is not left to land at any time.
pub(crate) struct GivenUp<'a> {
    connection: Option<&'a Connection>,
}

impl<'a> GivenUp<'a> {
    pub(crate) fn watch(connection: &'a Connection) -> Self {
        Self { connection: Some(connection) }
    }

    pub(crate) fn answered(mut self) {
        self.connection = None;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection {
            connection.abort();
        }
    }
}

pub(crate) fn no_answer(bound: Duration) -> String {
    format!("no answer within {} s", bound.as_secs_f32())
}

pub(crate) fn unreachable(subject: Subject<'_>, place: &str, why: &str) -> DirectoryError {
    subject
        .error(Failure::Unreachable, format!("{place}: {why}"))
        .with_hint("check the URL, the network and that the server runs")
}
