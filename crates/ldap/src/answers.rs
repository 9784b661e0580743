//! Answers to what is asked past ldap3, as they arrive: gathered whole, or in parts that wait until they are taken.
//!
//! Bytes here are whole messages, one after the other; what is in them is decoded by whoever takes them.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::message::{Malformed, op};

/// The ids of our own requests; ldap3 counts from 1 and would need a billion operations on one connection to get here.
pub(crate) const FIRST_ID: i32 = 0x4000_0000;
/// While a part of this size waits to be taken, nothing more is read from the server.
const PART: usize = 256 << 10;

/// A request that is to be sent, and who waits for its answer.
pub(crate) struct Order {
    pub(crate) id: i32,
    pub(crate) request: Zeroizing<Vec<u8>>,
    /// The operation that ends its answer.
    pub(crate) ends: u8,
    pub(crate) answer: Taker,
}

/// Who gets an answer. The last message is its result; where that never comes, the sender is dropped.
pub(crate) enum Taker {
    /// All of it at once.
    Whole(oneshot::Sender<Vec<u8>>),
    /// Part by part; the server is not read on until a part was taken.
    Parts(mpsc::Sender<Vec<u8>>),
}

/// The requests of a connection that are not answered yet.
pub(crate) struct Requests {
    limit: usize,
    running: Vec<Running>,
}

/// One of them.
pub(crate) struct Running {
    id: i32,
    ends: u8,
    limit: usize,
    gathered: Vec<u8>,
    done: bool,
    taker: Option<Taker>,
    waiting: Option<Place>,
}

/// A place for a part that is waited for.
type Place = Pin<Box<dyn Future<Output = Result<OwnedPermit<Vec<u8>>, SendError<()>>> + Send>>;

impl Requests {
    /// No answer that is gathered whole may be longer than `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, running: Vec::new() }
    }

    pub(crate) fn begin(&mut self, order: Order) {
        let (id, ends, taker) = (order.id, order.ends, Some(order.answer));
        self.running.push(Running { id, ends, limit: self.limit, gathered: Vec::new(), done: false, taker, waiting: None });
    }

    /// The request that a message with this id answers.
    pub(crate) fn find(&mut self, id: i32) -> Option<&mut Running> {
        self.running.iter_mut().find(|request| request.id == id && !request.done)
    }

    /// Whether a part waits that is large enough.
    pub(crate) fn are_full(&self) -> bool {
        self.running.iter().any(|request| matches!(request.taker, Some(Taker::Parts(_))) && request.gathered.len() >= PART)
    }

    /// Hands over what can be handed over; ready if anything was.
    pub(crate) fn poll_parts(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut moved = false;
        self.running.retain_mut(|request| {
            if request.poll(cx).is_ready() {
                moved = true;
            }
            request.taker.is_some() || !request.done
        });
        if moved { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when every answer that is complete was taken.
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = self.poll_parts(cx);
        if self.running.iter().any(|request| request.done) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Running {
    /// Whether a message of this operation is to be gathered. What nobody waits for any more is passed over.
    pub(crate) fn takes(&mut self, operation: u8, length: usize) -> Result<bool, Malformed> {
        let searches = self.ends == op::SEARCH_DONE;
        match operation {
            ends if ends == self.ends => self.done = true,
            op::ENTRY | op::REFERENCE if searches => {}
            op::INTERMEDIATE if searches => return Ok(false),
            other => {
                let what = if searches { " a search" } else { "" };
                return Err(Malformed(
                    format!("the server answered{what} with the wrong kind of message (0x{other:02x})").into(),
                ));
            }
        }
        if let Some(Taker::Whole(tell)) = &self.taker {
            if tell.is_closed() {
                self.taker = None;
                self.gathered = Vec::new();
            } else if self.gathered.len() + length > self.limit {
                let limit = self.limit;
                return Err(Malformed(format!("the server answered a small search with more than {limit} bytes").into()));
            }
        }
        Ok(self.taker.is_some())
    }

    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.gathered
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.taker.take() {
            Some(Taker::Whole(tell)) if self.done => {
                // Whoever asked may have gone meanwhile.
                let _ = tell.send(std::mem::take(&mut self.gathered));
                Poll::Ready(())
            }
            Some(Taker::Parts(tell)) if !self.gathered.is_empty() => {
                let place = self.waiting.get_or_insert_with(|| Box::pin(tell.clone().reserve_owned()));
                let Poll::Ready(place) = place.as_mut().poll(cx) else {
                    self.taker = Some(Taker::Parts(tell));
                    return Poll::Pending;
                };
                self.waiting = None;
                let part = std::mem::take(&mut self.gathered);
                if let Ok(place) = place {
                    place.send(part);
                    self.taker = Some(Taker::Parts(tell)).filter(|_| !self.done);
                }
                Poll::Ready(())
            }
            other => {
                self.taker = other;
                Poll::Pending
            }
        }
    }
}
