//! Opens the bytes to a server: TCP, TLS from the first byte or after StartTLS, or a Unix domain socket.

use std::future::Future;
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use untether_directory::{DirectoryError, Failure};

use crate::ber::element;
use crate::connection::{Connector, no_answer, unreachable};
use crate::message::{Malformed, Message, length, op, request};
use crate::outcome::Subject;
use crate::settings::{Endpoint, Protection};
use crate::tls;

/// The extended operation that begins TLS (RFC 4511, section 4.14).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// An answer to it is never longer.
const LONGEST_ANSWER: usize = 64 << 10;

/// Bytes in both directions.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Connector {
    /// Connects, with TLS where that is asked for.
    pub(crate) async fn wire(&self) -> Result<Box<dyn Wire>, DirectoryError> {
        let subject = Subject::new(self.side, "connect");
        match &self.endpoint {
            Endpoint::Socket(path) => {
                let place = path.display().to_string();
                Ok(Box::new(self.reached(subject, &place, UnixStream::connect(path)).await?))
            }
            Endpoint::Tcp { address, server_name, protection } => {
                let stream = self.reached(subject, address, TcpStream::connect(address)).await?;
                // Small requests that wait for an answer: without this each may be held back for 40 ms.
                stream.set_nodelay(true).map_err(|error| unreachable(subject, address, &error.to_string()))?;
                match (protection, &self.config) {
                    (Protection::None, _) | (_, None) => Ok(Box::new(stream)),
                    (Protection::Tls, Some(config)) => self.tls(subject, config, server_name, stream).await,
                    (Protection::StartTls, Some(config)) => {
                        let stream = self.start_tls(subject, server_name, stream).await?;
                        self.tls(subject, config, server_name, stream).await
                    }
                }
            }
        }
    }

    async fn reached<S>(
        &self,
        subject: Subject<'_>,
        place: &str,
        connecting: impl Future<Output = io::Result<S>>,
    ) -> Result<S, DirectoryError> {
        match timeout(self.timeouts.connect, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(subject, place, &error.to_string())),
            Err(_) => Err(unreachable(subject, place, &no_answer(self.timeouts.connect))),
        }
    }

    async fn tls(
        &self,
        subject: Subject<'_>,
        config: &Arc<rustls::ClientConfig>,
        server_name: &str,
        stream: TcpStream,
    ) -> Result<Box<dyn Wire>, DirectoryError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|error| subject.error(Failure::Invalid, format!("'{server_name}' is not the name of a server: {error}")))?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match timeout(self.timeouts.connect, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(tls::explain(subject, server_name, &error)),
            Err(_) => Err(unreachable(subject, server_name, &format!("TLS handshake: {}", no_answer(self.timeouts.connect)))),
        }
    }

    /// Asks for TLS. Nothing that came in the clear behind the answer is taken over into the protected connection.
    async fn start_tls(&self, subject: Subject<'_>, place: &str, mut stream: TcpStream) -> Result<TcpStream, DirectoryError> {
        let answered = match timeout(self.timeouts.connect, ask_for_tls(&mut stream)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => return Err(unreachable(subject, place, &format!("StartTLS: {error}"))),
            Err(_) => return Err(unreachable(subject, place, &format!("StartTLS: {}", no_answer(self.timeouts.connect)))),
        };
        let result = Message::read(&answered)
            .and_then(|message| match message.op {
                op::EXTENDED_DONE => message.result(),
                _ => Err(Malformed::because("the server answered with the wrong kind of message")),
            })
            .map_err(|malformed| unreachable(subject, place, &format!("StartTLS: {malformed}")))?;
        if result.rc != 0 {
            return Err(subject
                .refusal(&result)
                .with_hint("the server refused StartTLS; use ldaps:// or have it configured there"));
        }
        Ok(stream)
    }
}

/// Sends the request and reads the message that answers it.
async fn ask_for_tls(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let operation = element(op::EXTENDED, &element(0x80, START_TLS));
    stream.write_all(&request(1, &operation, &[])).await?;
    let mut received = Vec::new();
    loop {
        let refused = |malformed: Malformed| io::Error::other(malformed.to_string());
        if let Some(whole) = length(&received, LONGEST_ANSWER).map_err(refused)? {
            if whole < received.len() {
                return Err(io::Error::other("the server sent something unprotected behind its answer"));
            }
            return Ok(received);
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
    }
}
