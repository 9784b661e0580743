//! The journal as its callers see it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::oneshot;
use untether_ledger::{Appender, Chain, ClockPolicy, Frame, Head, Index, Location, StateDir, StateLock};

use crate::applier::{Applier, Parts};
use crate::database::Mark;
use crate::entry::Entry;
use crate::error::JournalError;
use crate::outbox::Outbox;
use crate::recovery::{Started, log_skew};
use crate::writer::{Following, Message, Submission, Writer, run};

/// Submissions that may wait to become durable. Callers wait for their receipts, so that this is only met when they do not.
const MAX_WAITING: usize = 65_536;

/// An open journal: the only writer of a state.
///
/// Sequence numbers are handed out in the order of submission. Dropping it leaves everything durable and frees the state;
/// [`Journal::close`] also says whether that went well.
pub struct Journal {
    front: Mutex<Front>,
    failure: Arc<OnceLock<JournalError>>,
    waiting: Arc<AtomicUsize>,
    backend: Option<Backend>,
    state: StateDir,
    // Last, so that the state is free only when the writer has ended.
    _lock: Option<StateLock>,
}

struct Front {
    chain: Chain,
    index: Index,
    skewed: bool,
}

/// What a writer is made from.
pub(crate) struct WriterParts {
    pub(crate) appender: Appender,
    pub(crate) applier: Applier,
    /// Where the ledger, and the database with it, stands.
    pub(crate) mark: Mark,
}

enum Backend {
    Thread(Arc<Outbox>, JoinHandle<()>),
    Inside(Mutex<Writer>),
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("head", &self.front().chain.head()).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn in_thread(parts: WriterParts, started: Started) -> Result<Self, JournalError> {
        let (sender, inbox) = channel();
        let failure: Arc<OnceLock<JournalError>> = Arc::default();
        // The first error is the cause of all others.
        let tell = |failure: &Arc<OnceLock<JournalError>>| {
            let told = Arc::clone(failure);
            move |error| drop(told.set(error))
        };
        let path = started.state.root().to_path_buf();
        let no_thread = |source| JournalError::Database { operation: "start the writer of", path, source: Arc::new(source) };
        let (WriterParts { appender, applier, mark }, told) = (parts, tell(&failure));
        let spawned = Following::start(applier, tell(&failure)).and_then(|following| {
            let writer = Writer::new(appender, following, mark);
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || run(writer, &inbox, told))
        });
        let thread = spawned.map_err(no_thread)?;
        Ok(Self::new(started, failure, Backend::Thread(Arc::new(Outbox::new(sender)), thread)))
    }

    pub(crate) fn inside(parts: WriterParts, started: Started) -> Self {
        let WriterParts { appender, applier, mark } = parts;
        let writer = Writer::new(appender, Following::Inside(Box::new(applier)), mark);
        Self::new(started, Arc::new(OnceLock::new()), Backend::Inside(Mutex::new(writer)))
    }

    fn new(started: Started, failure: Arc<OnceLock<JournalError>>, backend: Backend) -> Self {
        let Started { chain, index, state, lock } = started;
        let front = Mutex::new(Front { chain, index, skewed: false });
        Self { front, failure, waiting: Arc::default(), backend: Some(backend), state, _lock: lock }
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        // Nothing that runs under this lock panics halfway through a change.
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last record that was handed over; it may not be durable yet.
    pub fn head(&self) -> Head {
        self.front().chain.head()
    }

    /// The sequence number and the time that the next record gets. The submission that follows keeps to both, as long as nobody
    /// else submits in between.
    pub fn next(&self) -> (u64, Timestamp) {
        self.front().chain.tell_next()
    }

    /// Decides what a clock that is behind means.
    pub fn set_clock_policy(&self, policy: ClockPolicy) {
        self.front().chain.set_clock_policy(policy);
    }

    /// Hands records over, to become durable together. Never blocks; the receipt tells when they are.
    ///
    /// # Errors
    /// A clock that is behind and a record that is too large are refused, and nothing is handed over. After any other error, here
    /// or from a receipt, nothing more is taken.
    pub fn submit(&self, entries: Vec<Entry>) -> Result<Receipt, JournalError> {
        let mut frames = Vec::with_capacity(entries.len());
        let mut parts = Vec::new();
        for entry in entries {
            frames.push(entry.frame);
            parts.extend(entry.parts);
        }
        let mut front = self.front();
        if let Some(error) = self.failure.get() {
            return Err(error.clone());
        }
        if self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
            return Err(JournalError::Overloaded(MAX_WAITING));
        }
        let mut pieces = Vec::new();
        let appended = front.chain.add(&frames, &mut pieces)?;
        log_skew(&mut front.skewed, appended.skew);
        let places = appended.locations.iter().copied().filter(|place| front.index.note(*place)).collect();
        let submission = Submission {
            records: frames.len(),
            pieces,
            parts,
            places,
            head: front.chain.head(),
            location: front.chain.head_location(),
        };
        // Handed over under the lock, so that it arrives in the order of its sequence numbers.
        let waits = match &self.backend {
            Some(Backend::Thread(outbox, _)) => {
                let (ack, acknowledged) = oneshot::channel();
                outbox.put(submission, ack);
                Waits::Thread { acknowledged, handed: Handed::No(Arc::clone(outbox)) }
            }
            Some(Backend::Inside(writer)) => {
                let done = writer.lock().unwrap_or_else(PoisonError::into_inner).put(vec![submission]);
                if let Err(error) = &done {
                    // The first error is the cause of all others.
                    drop(self.failure.set(error.clone()));
                }
                Waits::Inside(done)
            }
            None => return Err(self.stopped()),
        };
        drop(front);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Receipt {
            waits,
            yielded: false,
            locations: appended.locations,
            failure: Arc::clone(&self.failure),
            waiting: Arc::clone(&self.waiting),
        })
    }

    /// Appends records and comes back when they are durable.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Location>, JournalError> {
        self.submit(entries)?.await
    }

    /// The parts whose keys begin so, with all that was submitted before.
    pub async fn parts(&self, prefix: &[u8]) -> Result<Parts, JournalError> {
        match &self.backend {
            Some(Backend::Thread(outbox, _)) => {
                let (reply, answer) = oneshot::channel();
                outbox.send(Message::Parts(prefix.to_vec(), reply)).map_err(|_| self.stopped())?;
                answer.await.map_err(|_| self.stopped())?
            }
            Some(Backend::Inside(writer)) => {
                let (reply, answer) = oneshot::channel();
                writer.lock().unwrap_or_else(PoisonError::into_inner).parts(prefix.to_vec(), reply);
                answer.await.map_err(|_| self.stopped())?
            }
            None => Err(self.stopped()),
        }
    }

    /// Writes the ledger's second witness, with all that was submitted before, and gives it to be shown.
    pub async fn write_head(&self) -> Result<Head, JournalError> {
        match &self.backend {
            Some(Backend::Thread(outbox, _)) => {
                let (reply, answer) = oneshot::channel();
                outbox.send(Message::Witness(reply)).map_err(|_| self.stopped())?;
                answer.await.map_err(|_| self.stopped())?
            }
            Some(Backend::Inside(writer)) => writer.lock().unwrap_or_else(PoisonError::into_inner).witness(),
            None => Err(self.stopped()),
        }
    }

    /// The record with this sequence number, once it is durable; `None` where there is none.
    pub fn frame(&self, seq: u64) -> Result<Option<Frame>, JournalError> {
        let index = self.front().index.near(seq);
        Ok(index.find(self.state.disk(), &self.state.ledger(), seq)?)
    }

    /// Makes everything durable, and ends the writer.
    pub async fn close(mut self) -> Result<(), JournalError> {
        let done = match &self.backend {
            Some(Backend::Thread(outbox, _)) => {
                let (reply, answer) = oneshot::channel();
                outbox.send(Message::Close(reply)).map_err(|_| self.stopped())?;
                answer.await.map_err(|_| self.stopped())?
            }
            Some(Backend::Inside(writer)) => match self.failure.get() {
                Some(error) => Err(error.clone()),
                None => writer.lock().unwrap_or_else(PoisonError::into_inner).close(),
            },
            None => Err(self.stopped()),
        };
        self.end();
        done
    }

    fn end(&mut self) {
        if let Some(Backend::Thread(outbox, thread)) = self.backend.take() {
            outbox.close();
            // A writer that panicked has told everybody by closing its channels.
            drop(thread.join());
        }
    }

    fn stopped(&self) -> JournalError {
        self.failure.get().cloned().unwrap_or(JournalError::Stopped)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
    }
}

/// Comes back when what was submitted is durable, with the place of each record.
#[derive(Debug)]
#[must_use = "a record counts only when it is durable"]
pub struct Receipt {
    waits: Waits,
    yielded: bool,
    locations: Vec<Location>,
    failure: Arc<OnceLock<JournalError>>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Waits {
    Thread { acknowledged: oneshot::Receiver<Result<(), JournalError>>, handed: Handed },
    Inside(Result<(), JournalError>),
}

/// Whether what was submitted is with the writer.
#[derive(Debug)]
enum Handed {
    /// It waits for others here, for no longer than until it is asked about for the second time.
    No(Arc<Outbox>),
    Over,
}

impl Handed {
    fn over(&mut self) {
        if let Self::No(outbox) = std::mem::replace(self, Self::Over) {
            outbox.flush();
        }
    }
}

impl Receipt {
    /// Where the records are, or will be.
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }
}

impl Future for Receipt {
    type Output = Result<Vec<Location>, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Whoever is ready to submit does so before this one goes on, and is handed over with it.
        if !std::mem::replace(&mut self.yielded, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let done = match &mut self.waits {
            Waits::Thread { acknowledged, handed } => {
                handed.over();
                match Pin::new(acknowledged).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(done)) => done,
                    Poll::Ready(Err(_)) => Err(self.failure.get().cloned().unwrap_or(JournalError::Stopped)),
                }
            }
            Waits::Inside(done) => done.clone(),
        };
        Poll::Ready(done.map(|()| std::mem::take(&mut self.locations)))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Waits::Thread { handed, .. } = &mut self.waits {
            handed.over();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
