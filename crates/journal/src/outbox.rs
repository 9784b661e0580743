//! What was submitted and is not with the writer yet: whoever submits at about the same time is handed over together, so that the
//! writer is woken once for all of them.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::writer::{Ack, Message, Submission};

/// On the way to the writer.
#[derive(Debug)]
pub(crate) struct Outbox(Mutex<Inner>);

struct Inner {
    /// `None` once nothing more can be handed over.
    writer: Option<Sender<Message>>,
    /// In the order of their sequence numbers.
    waiting: Vec<(Submission, Ack)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

/// The writer has ended.
pub(crate) struct Ended;

impl Outbox {
    pub(crate) fn new(writer: Sender<Message>) -> Self {
        Self(Mutex::new(Inner { writer: Some(writer), waiting: Vec::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under this lock panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a submission, to be handed over with others.
    pub(crate) fn put(&self, submission: Submission, ack: Ack) {
        self.lock().waiting.push((submission, ack));
    }

    /// Hands over what waits. Where the writer has ended, whoever waits for an acknowledgement finds that out.
    pub(crate) fn flush(&self) {
        let mut inner = self.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        if let (Some(writer), false) = (&inner.writer, waiting.is_empty()) {
            drop(writer.send(Message::Submissions(waiting)));
        }
    }

    /// Sends a message behind all that was submitted before.
    pub(crate) fn send(&self, message: Message) -> Result<(), Ended> {
        self.flush();
        let inner = self.lock();
        inner.writer.as_ref().is_some_and(|writer| writer.send(message).is_ok()).then_some(()).ok_or(Ended)
    }

    /// Hands over what waits, and nothing more from now on.
    pub(crate) fn close(&self) {
        self.flush();
        self.lock().writer = None;
    }
}
