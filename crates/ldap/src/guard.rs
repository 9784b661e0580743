//! Stands between a server and ldap3: what the server sends is cut into messages and checked before anybody parses it.
//!
//! ldap3 panics on results that are not as it expects them, waits for ever for an inner length that leads out of its message, and
//! follows nested elements until the stack ends. So it is handed one end of a socket pair, and only messages that are what the
//! protocol allows: of a bounded length, with definite lengths that stay within their parent, nested no deeper than an answer needs,
//! with the id and the kind of an answer to something that was asked. Anything else ends the connection, with the reason. Answers to
//! searches and writes never pass ldap3: they go to whoever asked as they arrived (see `answers`), and are decoded there.
//!
//! The guard and ldap3's own loop are one task, so that handing a message on costs no switch of tasks. Memory is bounded: by the
//! longest message, by the answers that ldap3 has not taken yet, and by one part of an answer that nobody has taken yet. Only one
//! connection of the process at a time receives a message longer than [`KEPT`]: many connections to a server that lies would hold as many
//! of the longest.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, mpsc};
use zeroize::Zeroize as _;

use crate::answers::{Order, Requests};
use crate::ber::check_nesting;
use crate::message::{Malformed, Message, announced, length, op};
use crate::wire::Wire;

/// Bytes that are asked for at once.
const READ: usize = 64 << 10;
/// A buffer that grew larger than this is given back when it is empty.
const KEPT: usize = 1 << 20;
/// Whoever holds it may receive a message longer than [`KEPT`].
static LARGE: Semaphore = Semaphore::const_new(1);
/// Nothing more is taken to be sent while so many bytes wait for the server.
const BACKLOG: usize = 1 << 20;
/// The name of the notice of disconnection (RFC 4511, section 4.4.1).
const DISCONNECTION: &[u8] = b"1.3.6.1.4.1.1466.20036";
/// Notices from the server are looked into up to this length.
const NOTICE: usize = 64 << 10;

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was closed or lost, in words.
    Closed(String),
    /// The server sent what the protocol does not allow; what, in words.
    Breach(String),
}

impl From<Malformed> for Ended {
    fn from(malformed: Malformed) -> Self {
        Self::Breach(malformed.to_string())
    }
}

/// One connection's traffic.
pub(crate) struct Guard {
    wire: Box<dyn Wire>,
    limit: usize,
    /// From the server.
    received: Received,
    large: Turn,
    /// To the server.
    requests: Queue,
    /// ldap3's other end; `None` once nothing more will come for it.
    pipe: Option<UnixStream>,
    /// From ldap3, up to a whole message.
    written: Received,
    /// To ldap3.
    answers: Queue,
    /// What ldap3 has asked and is not answered yet: the id, and the operation that answers it.
    asked: Vec<(i32, u8)>,
    own: Requests,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Guard {
    /// Guards this wire; ldap3 has the other end of `pipe`. No message longer than `limit` is taken.
    pub(crate) fn new(wire: Box<dyn Wire>, pipe: UnixStream, orders: mpsc::UnboundedReceiver<Order>, limit: usize) -> Self {
        Self {
            wire,
            limit,
            received: Received::default(),
            large: Turn::NotNeeded,
            requests: Queue::default(),
            pipe: Some(pipe),
            written: Received::default(),
            answers: Queue::default(),
            asked: Vec::new(),
            own: Requests::new(limit),
            orders,
        }
    }

    /// Carries messages both ways, and drives ldap3, until the connection ends.
    pub(crate) async fn drive<E>(mut self, ldap3: impl Future<Output = Result<(), E>>) -> Ended {
        let mut ldap3 = pin!(ldap3);
        let mut ldap3_ended = false;
        let ended = poll_fn(|cx| {
            ldap3_ended = ldap3.as_mut().poll(cx).is_ready();
            if ldap3_ended {
                return Poll::Ready(Ended::Closed("the connection was closed".to_owned()));
            }
            self.poll(cx)
        })
        .await;
        // What arrived before the end is still handed on; ldap3 ends when there is nothing more.
        poll_fn(|cx| {
            let failed = matches!(self.poll_answers(cx), Poll::Ready(Err(_)));
            if failed || self.answers.is_empty() {
                self.pipe = None;
            }
            ldap3_ended = ldap3_ended || ldap3.as_mut().poll(cx).is_ready();
            if ldap3_ended { self.own.poll_done(cx) } else { Poll::Pending }
        })
        .await;
        ended
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let mut moved = false;
            for step in [Self::poll_orders, Self::poll_written, Self::poll_requests, Self::poll_received, Self::poll_answers] {
                match step(self, cx) {
                    Poll::Ready(Ok(())) => moved = true,
                    Poll::Ready(Err(ended)) => return Poll::Ready(ended),
                    Poll::Pending => {}
                }
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Takes requests that are to be sent, as many as there are: they go in one piece.
    fn poll_orders(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut moved = false;
        while self.requests.len() < BACKLOG {
            // At the end whoever could order has gone, and with them the connection.
            let Poll::Ready(Some(order)) = self.orders.poll_recv(cx) else { break };
            self.requests.push(&order.request);
            self.own.begin(order);
            moved = true;
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Takes what ldap3 writes, message by message.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let Some(pipe) = self.pipe.as_mut().filter(|_| self.requests.len() < BACKLOG) else { return Poll::Pending };
        let count = match self.written.poll_fill(cx, pipe) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(&error))),
            Poll::Pending => return Poll::Pending,
        };
        if count == 0 {
            return Poll::Ready(Err(Ended::Closed("the connection was closed".to_owned())));
        }
        while let Some(whole) = length(self.written.filled(), usize::MAX)? {
            let (bytes, _) = self.written.filled().split_at(whole);
            let message = Message::read(bytes)?;
            if let Some(answer) = answered_by(message.op) {
                self.asked.push((message.id, answer));
            }
            self.requests.push(bytes);
            self.written.wipe(whole);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what waits.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        self.requests.poll_write(cx, &mut self.wire).map_err(|error| lost(&error))
    }

    /// Reads as long as there is something, and hands it on.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut moved = self.own.poll_parts(cx).is_ready();
        let ended = loop {
            if self.own.are_full() || self.answers.len() > self.limit {
                break None;
            }
            if self.large.poll(cx, self.received.filled().len() > KEPT).is_pending() {
                break None;
            }
            match self.received.poll_fill(cx, &mut self.wire) {
                Poll::Ready(Ok(0)) => break Some(Ended::Closed(self.cut_off())),
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Ready(Err(error)) => break Some(lost(&error)),
                Poll::Pending => break None,
            }
            if let Err(ended) = self.sort() {
                break Some(ended);
            }
        };
        let _ = self.own.poll_parts(cx);
        match ended {
            Some(ended) => Poll::Ready(Err(ended)),
            None if moved => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn cut_off(&self) -> String {
        match self.received.filled() {
            [] => "the server closed the connection".to_owned(),
            begun => format!("the server closed the connection within a message, of which {} bytes had arrived", begun.len()),
        }
    }

    /// Hands each message that has arrived to whom it is for.
    fn sort(&mut self) -> Result<(), Ended> {
        while let Some(whole) = length(self.received.filled(), self.limit)? {
            let (bytes, _) = self.received.filled().split_at(whole);
            let message = Message::read(bytes)?;
            if message.id == 0 {
                notice(&message, bytes)?;
                self.received.drop_first(whole);
            } else if let Some(request) = self.own.find(message.id) {
                if request.takes(message.op, whole)? {
                    self.received.move_first(whole, request.bytes());
                } else {
                    self.received.drop_first(whole);
                }
            } else {
                check(&mut self.asked, &message, bytes)?;
                self.answers.push(bytes);
                self.received.drop_first(whole);
            }
        }
        Ok(())
    }

    /// Hands ldap3 what is for it.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        match &mut self.pipe {
            Some(pipe) => self.answers.poll_write(cx, pipe).map_err(|error| lost(&error)),
            None => Poll::Pending,
        }
    }
}

/// A connection's turn to receive a message longer than [`KEPT`].
enum Turn {
    NotNeeded,
    Awaited(Pin<Box<dyn Future<Output = Result<SemaphorePermit<'static>, AcquireError>> + Send>>),
    Has(#[expect(dead_code, reason = "held until the message is there")] SemaphorePermit<'static>),
}

impl Turn {
    /// Comes back when the connection may read on; gives the turn back when it is needed no more.
    fn poll(&mut self, cx: &mut Context<'_>, is_needed: bool) -> Poll<()> {
        if !is_needed {
            *self = Self::NotNeeded;
            return Poll::Ready(());
        }
        if matches!(self, Self::NotNeeded) {
            *self = Self::Awaited(Box::pin(LARGE.acquire()));
        }
        if let Self::Awaited(turn) = self {
            match turn.as_mut().poll(cx) {
                Poll::Ready(Ok(permit)) => *self = Self::Has(permit),
                // The semaphore is never closed.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

fn lost(error: &io::Error) -> Ended {
    // So TLS tells an end without its own good-bye, which is the usual one. Messages have lengths: nothing can be cut off unseen.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Ended::Closed("the server closed the connection".to_owned());
    }
    Ended::Closed(format!("connection lost: {error}"))
}

/// The operation that answers a request; `None` where nothing does.
fn answered_by(request: u8) -> Option<u8> {
    match request {
        op::UNBIND | op::ABANDON => None,
        op::DELETE => Some(op::DELETED),
        other => Some(other.wrapping_add(1)),
    }
}

/// Checks a message that ldap3 is to get: it answers something that ldap3 asked, and it is a result in every detail.
fn check(asked: &mut Vec<(i32, u8)>, message: &Message<'_>, bytes: &[u8]) -> Result<(), Malformed> {
    let id = message.id;
    let Some(at) = asked.iter().position(|(asked, _)| *asked == id) else {
        return Err(Malformed(format!("the server answered a request that was not sent (message id {id})").into()));
    };
    let (_, answer) = asked.swap_remove(at);
    if message.op != answer {
        return Err(Malformed(format!("the server answered with the wrong kind of message (0x{:02x})", message.op).into()));
    }
    check_nesting(bytes).map_err(|what| Malformed(format!("the server sent a message with {what}").into()))?;
    message.result().map(|_| ())
}

/// A message that answers nothing: it ends the connection if it is the notice of disconnection, and is passed over otherwise.
fn notice(message: &Message<'_>, bytes: &[u8]) -> Result<(), Ended> {
    if message.op != op::EXTENDED_DONE {
        return Err(Malformed::because("the server sent an answer with the message id 0").into());
    }
    let looked_into = bytes.get(..NOTICE).unwrap_or(bytes);
    if !looked_into.windows(DISCONNECTION.len()).any(|name| name == DISCONNECTION) {
        return Ok(());
    }
    let why = match message.result() {
        Ok(result) if !result.text.is_empty() => format!("the server ended the connection: {}", result.text),
        Ok(result) => format!("the server ended the connection (result code {})", result.rc),
        Err(_) => "the server ended the connection".to_owned(),
    };
    Err(Ended::Closed(why))
}

/// Bytes that have arrived and are not taken yet.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Received {
    fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Room for [`READ`] bytes at least.
    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.end < READ && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() - self.end < READ {
            let size = (self.end + READ).max(self.bytes.len() + self.bytes.len() / 2);
            // A long message is given its place once, for only one is received at a time; it is filled, and takes memory, as it arrives,
            // and no more than it needs.
            let long = announced(self.filled()).filter(|whole| self.filled().len() > KEPT && *whole > self.filled().len());
            let most = long.map_or(size, |whole| self.start + whole + READ);
            self.bytes.reserve_exact(most - self.bytes.len());
            self.bytes.resize(size.min(most), 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Reads once: how many bytes came; 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, from: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.room());
        let read = Pin::new(from).poll_read(cx, &mut room);
        let count = room.filled().len();
        self.end += count;
        read.map_ok(|()| count)
    }

    fn drop_first(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT {
                self.bytes = Vec::new();
            }
        }
    }

    /// The same for what may hold a secret.
    fn wipe(&mut self, count: usize) {
        if let Some(first) = self.bytes.get_mut(self.start..self.start + count) {
            first.zeroize();
        }
        self.drop_first(count);
    }

    /// Moves the first bytes to the end of `to`. Many of them change their owner without being copied.
    fn move_first(&mut self, count: usize, to: &mut Vec<u8>) {
        if count < KEPT || !to.is_empty() {
            to.extend_from_slice(self.filled().get(..count).unwrap_or_default());
            self.drop_first(count);
            return;
        }
        let rest = self.bytes.get(self.start + count..self.end).unwrap_or_default().to_vec();
        let mut whole = std::mem::take(&mut self.bytes);
        whole.truncate(self.start + count);
        whole.drain(..self.start);
        *to = whole;
        (self.start, self.end) = (0, rest.len());
        self.bytes = rest;
    }
}

/// Bytes that are to be written.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    sent: usize,
    /// Something was written that the writer may still hold back.
    unflushed: bool,
}

impl Queue {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes and flushes as much as can be; ready if anything went.
    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        let mut moved = false;
        while !self.is_empty() {
            let waiting = self.bytes.get(self.sent..).unwrap_or_default();
            match Pin::new(&mut *to).poll_write(cx, waiting) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    // It may have been a secret.
                    if let Some(gone) = self.bytes.get_mut(self.sent..self.sent + count) {
                        gone.zeroize();
                    }
                    self.sent += count;
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if self.is_empty() && self.sent > 0 {
            self.bytes.clear();
            self.sent = 0;
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
        }
        if self.unflushed {
            match Pin::new(to).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::{SEQUENCE, element};

    /// Receives these bytes, so many at a time, and tells which sizes the place for them had on the way.
    fn received(bytes: &[u8], at_once: usize) -> Vec<usize> {
        let mut received = Received::default();
        let mut sizes = Vec::new();
        for part in bytes.chunks(at_once) {
            let room = received.room();
            room.get_mut(..part.len()).unwrap().copy_from_slice(part);
            received.end += part.len();
            sizes.push(received.bytes.capacity());
        }
        assert!(received.filled() == bytes);
        sizes
    }

    #[test]
    fn a_long_message_is_given_its_place_once_and_no_more_than_it_needs() {
        for length in [KEPT, 5 << 20, 7_123_457, 11 << 20] {
            let message = element(SEQUENCE, &vec![7; length]);
            let sizes = received(&message, READ / 2);
            let largest = sizes.last().copied().unwrap();
            assert!(largest <= message.len() + 2 * READ, "{length}: {largest}");
            let grown = sizes.iter().filter(|size| **size > 2 * KEPT).collect::<std::collections::BTreeSet<_>>().len();
            assert!(grown <= 1, "{length}: {sizes:?}");
        }
    }
}
