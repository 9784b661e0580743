//! One bound connection: opened within bounds, its driving task watched, closed for good before an unknown outcome is reported.
//!
//! ldap3 reconnects never and waits for ever; both are made good here. A server's frame that ldap3 cannot parse ends its driving
//! task (in the worst case by a panic, which stays inside that task): every operation in flight then reads as "outcome unknown".

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ldap3::controls::RawControl;
use ldap3::exop::Exop;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, StdStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use untether_directory::{DirectoryError, Failure, Secret};
use untether_model::{Dn, Side};
use url::Url;

use crate::outcome::Subject;
use crate::settings::{Bind, Endpoint, Protection, Timeouts};
use crate::tls;

/// Everything that a new connection needs.
pub(crate) struct Connector {
    pub(crate) side: Side,
    pub(crate) endpoint: Endpoint,
    pub(crate) config: Option<Arc<rustls::ClientConfig>>,
    pub(crate) bind: Bind,
    pub(crate) timeouts: Timeouts,
}

/// How an operation ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It never left: the connection was already gone.
    NotSent,
    /// The connection ended before the answer; it may have been carried out.
    Unanswered(String),
    /// No answer came in time; it may still be carried out. The connection is closed now.
    TimedOut(String),
}

impl Lost {
    /// Why, in words.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::NotSent => "the server closed the connection; nothing was sent".to_owned(),
            Self::Unanswered(why) | Self::TimedOut(why) => why,
        }
    }

    /// The error of an operation that changes nothing.
    pub(crate) fn of_read(self, subject: Subject<'_>) -> DirectoryError {
        let failure = if self == Self::NotSent { Failure::Unreachable } else { Failure::Unknown };
        subject.error(failure, self.reason())
    }

    /// The error of a write: unless it never left, it may have been applied, or may still be.
    pub(crate) fn of_write(self, subject: Subject<'_>) -> DirectoryError {
        if self == Self::NotSent {
            return self.of_read(subject);
        }
        self.of_read(subject).with_hint("it may have been applied or may still be; observe the entry before anything else")
    }
}

/// A connection and the task that drives it.
pub(crate) struct Connection {
    ldap: Ldap,
    driver: AbortHandle,
    ended: watch::Receiver<Option<String>>,
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
                let result = self.simple_bind(&connection, dn, secret, Vec::new()).await?;
                if result.rc != 0 {
                    return Err(subject.about(dn).bind_refusal(&result));
                }
            }
            Bind::External => {
                let mut ldap = connection.ldap.clone();
                let answer = connection.within(self.timeouts.connect, ldap.sasl_external_bind()).await;
                let result = answer.map_err(|lost| no_bind(subject, lost))?;
                if result.rc != 0 {
                    return Err(subject.bind_refusal(&result));
                }
            }
        }
        Ok(connection)
    }

    /// A simple bind on this connection; the result is for the caller to judge.
    pub(crate) async fn simple_bind(
        &self,
        connection: &Connection,
        dn: &Dn,
        secret: &Secret,
        controls: Vec<RawControl>,
    ) -> Result<LdapResult, DirectoryError> {
        let subject = Subject::new(self.side, "bind").about(dn);
        let password = std::str::from_utf8(secret.expose())
            .map_err(|_| subject.error(Failure::Invalid, "the secret is not UTF-8, which RFC 4513 requires of passwords"))?;
        if dn.is_root() {
            return Err(subject.error(Failure::Invalid, "a password without a name would be an anonymous bind"));
        }
        let mut ldap = connection.ldap.clone();
        ldap.with_controls(controls);
        let answer = connection.within(self.timeouts.connect, ldap.simple_bind(dn.as_str(), password)).await;
        answer.map_err(|lost| no_bind(subject, lost))
    }

    /// Connects without binding.
    pub(crate) async fn open_unbound(&self) -> Result<Connection, DirectoryError> {
        let subject = Subject::new(self.side, "connect");
        let settings = LdapConnSettings::new();
        match &self.endpoint {
            Endpoint::Socket(path) => {
                let place = path.display().to_string();
                let stream = self.reached(subject, &place, UnixStream::connect(path)).await?;
                let stream = stream.into_std().map_err(|error| unreachable(subject, &place, &error.to_string()))?;
                self.start(subject, settings.set_std_stream(StdStream::Unix(stream)), "ldapi://%2F", &place).await
            }
            Endpoint::Tcp { address, server_name, protection } => {
                let stream = self.reached(subject, address, TcpStream::connect(address)).await?;
                // Small requests that wait for an answer: without this each may be held back for 40 ms.
                let stream = stream.set_nodelay(true).and_then(|()| stream.into_std());
                let stream = stream.map_err(|error| unreachable(subject, address, &error.to_string()))?;
                let mut settings = settings.set_std_stream(StdStream::Tcp(stream));
                if let Some(config) = &self.config {
                    settings = settings.set_config(Arc::clone(config));
                }
                let scheme = match protection {
                    Protection::Tls => "ldaps",
                    Protection::StartTls => {
                        settings = settings.set_starttls(true);
                        "ldap"
                    }
                    Protection::None => "ldap",
                };
                self.start(subject, settings, &format!("{scheme}://{server_name}"), server_name).await
            }
        }
    }

    async fn reached<S>(
        &self,
        subject: Subject<'_>,
        place: &str,
        connecting: impl Future<Output = std::io::Result<S>>,
    ) -> Result<S, DirectoryError> {
        match timeout(self.timeouts.connect, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(subject, place, &error.to_string())),
            Err(_) => Err(unreachable(subject, place, &no_answer(self.timeouts.connect))),
        }
    }

    /// TLS where it is asked for, then the driving task.
    async fn start(
        &self,
        subject: Subject<'_>,
        settings: LdapConnSettings,
        url: &str,
        server_name: &str,
    ) -> Result<Connection, DirectoryError> {
        let url = Url::parse(url)
            .map_err(|error| subject.error(Failure::Invalid, format!("'{server_name}' is not the name of a server: {error}")))?;
        let opened = timeout(self.timeouts.connect, LdapConnAsync::from_url_with_settings(settings, &url)).await;
        match opened {
            Ok(Ok((connection, ldap))) => Ok(Connection::drive(connection, ldap)),
            Ok(Err(LdapError::Io { source })) => Err(tls::explain(subject, server_name, &source)),
            Ok(Err(LdapError::LdapResult { result })) => {
                Err(subject.refusal(&result).with_hint("the server refused StartTLS; use ldaps:// or have it configured there"))
            }
            Ok(Err(error)) => Err(unreachable(subject, server_name, &error.to_string())),
            Err(_) => Err(unreachable(subject, server_name, &format!("TLS handshake: {}", no_answer(self.timeouts.connect)))),
        }
    }
}

impl Connection {
    fn drive(connection: LdapConnAsync, ldap: Ldap) -> Self {
        let driving = tokio::spawn(connection.drive());
        let driver = driving.abort_handle();
        let (tell, ended) = watch::channel(None);
        // Watches the driving task, so that its end (or panic) is known and its reason can be told.
        tokio::spawn(async move {
            let reason = match driving.await {
                Ok(Ok(())) => "the server closed the connection".to_owned(),
                Ok(Err(error)) => format!("connection lost: {error}"),
                Err(error) if error.is_panic() => "the server sent what cannot be read".to_owned(),
                Err(_) => "the connection was closed".to_owned(),
            };
            tell.send_replace(Some(reason));
        });
        Self { ldap, driver, ended, last_used: Mutex::new(Instant::now()), given_up: AtomicBool::new(false) }
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
    pub(crate) async fn close(&self) -> String {
        self.abort();
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "the connection was closed".to_owned())
    }

    /// Ends the driving task without waiting.
    pub(crate) fn abort(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        self.driver.abort();
    }

    /// Runs an operation of this connection within the bound. Without an answer the connection is closed before this returns.
    pub(crate) async fn within<T>(
        &self,
        bound: Duration,
        operation: impl Future<Output = Result<T, LdapError>>,
    ) -> Result<T, Lost> {
        match timeout(bound, operation).await {
            Ok(Ok(answer)) => {
                *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                Ok(answer)
            }
            Ok(Err(LdapError::OpSend { .. })) => {
                self.close().await;
                Err(Lost::NotSent)
            }
            Ok(Err(LdapError::ResultRecv { .. } | LdapError::EndOfStream)) => Err(Lost::Unanswered(self.close().await)),
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

fn no_answer(bound: Duration) -> String {
    format!("no answer within {} s", bound.as_secs_f32())
}

fn unreachable(subject: Subject<'_>, place: &str, why: &str) -> DirectoryError {
    subject
        .error(Failure::Unreachable, format!("{place}: {why}"))
        .with_hint("check the URL, the network and that the server runs")
}

/// A bind that got no answer: nothing else was sent on that connection.
fn no_bind(subject: Subject<'_>, lost: Lost) -> DirectoryError {
    subject.error(Failure::Unreachable, lost.reason()).with_hint("check that the server runs and takes further connections")
}
