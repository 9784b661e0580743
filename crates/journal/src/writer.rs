//! The one writer: takes what was handed over in groups, makes a group durable in the ledger, acknowledges it, and passes on what it
//! changes to the database, which follows at its own pace.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use untether_ledger::{Appender, Head, Location, Piece};

use crate::applier::{self, Applied, Applier, Parts, Request};
use crate::database::Mark;
use crate::entry::Stored;
use crate::error::JournalError;

/// Upper bound of a group, but for what is handed over at once.
pub(crate) const GROUP_RECORDS: usize = 256;

/// Upper bound of the time that a group is gathered. It is never gathered for longer than it took to make the last one durable: on a
/// disk that syncs at once, a second sync costs less than waiting for company.
const GROUP_TIME: Duration = Duration::from_millis(2);

/// The second witness is written at least every so many records.
const RECORDS_A_WITNESS: u64 = 10_000;

/// Groups that may wait for the database.
const WAITING_GROUPS: usize = 4_096;

/// Tells how what was submitted ended.
pub(crate) type Ack = oneshot::Sender<Result<(), JournalError>>;

/// What was handed over at once.
pub(crate) struct Submission {
    pub(crate) records: usize,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) parts: Vec<Stored>,
    pub(crate) places: Vec<Location>,
    /// The last frame, and where it is.
    pub(crate) head: Head,
    pub(crate) location: Location,
}

/// What the writer's thread is asked for.
pub(crate) enum Message {
    /// Handed over at once, at least one.
    Submissions(Vec<(Submission, Ack)>),
    /// The parts whose keys begin so.
    Parts(Vec<u8>, oneshot::Sender<Result<Parts, JournalError>>),
    /// The second witness, now.
    Witness(oneshot::Sender<Result<Head, JournalError>>),
    Close(Ack),
}

pub(crate) struct Writer {
    appender: Appender,
    database: Following,
    mark: Mark,
    unwitnessed: u64,
}

/// The database behind the ledger.
pub(crate) enum Following {
    /// Written with each group, for simulations.
    Inside(Box<Applier>),
    /// In a thread of its own.
    Thread(SyncSender<Request>, JoinHandle<()>),
}

impl Following {
    /// Starts the database's thread; `failed` is told of the error that ends it.
    pub(crate) fn start(applier: Applier, failed: impl Fn(JournalError) + Send + 'static) -> std::io::Result<Self> {
        let (sender, inbox) = sync_channel(WAITING_GROUPS);
        let spawned =
            std::thread::Builder::new().name("journal-state".to_owned()).spawn(move || applier::run(applier, &inbox, failed));
        Ok(Self::Thread(sender, spawned?))
    }

    fn apply(&mut self, applied: Applied) -> Result<(), JournalError> {
        match self {
            Self::Inside(applier) => {
                applier.gather(applied);
                applier.write()
            }
            // Whoever ended has told why.
            Self::Thread(sender, _) => sender.send(Request::Apply(applied)).map_err(|_| JournalError::Stopped),
        }
    }

    fn close(&mut self) -> Result<(), JournalError> {
        match self {
            Self::Inside(applier) => applier.close(),
            Self::Thread(sender, _) => {
                let (reply, answer) = oneshot::channel();
                sender.send(Request::Close(reply)).map_err(|_| JournalError::Stopped)?;
                answer.blocking_recv().map_err(|_| JournalError::Stopped)?
            }
        }
    }
}

impl Writer {
    pub(crate) fn new(appender: Appender, database: Following, mark: Mark) -> Self {
        Self { appender, database, mark, unwitnessed: 0 }
    }

    /// Makes a group durable, and gives what it changes in the database.
    fn make_durable(&mut self, group: Vec<Submission>) -> Result<Applied, JournalError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut applied = Applied { records: 0, parts: Vec::new(), places: Vec::new(), mark: self.mark.clone() };
        for submission in group {
            for piece in submission.pieces {
                match pieces.last_mut() {
                    Some(last) if last.segment == piece.segment => last.bytes.extend_from_slice(&piece.bytes),
                    _ => pieces.push(piece),
                }
            }
            applied.parts.extend(submission.parts);
            applied.places.extend(submission.places);
            applied.mark.location = submission.location;
            applied.mark.hash = submission.head.hash;
            applied.records += submission.records as u64;
        }
        self.appender.write(&pieces)?;
        self.appender.sync()?;
        self.mark = applied.mark.clone();
        self.unwitnessed += applied.records;
        Ok(applied)
    }

    /// What is done with a group after it is durable.
    fn follow(&mut self, applied: Applied) -> Result<(), JournalError> {
        self.database.apply(applied)?;
        if self.unwitnessed >= RECORDS_A_WITNESS {
            self.witness()?;
        }
        Ok(())
    }

    /// Makes a group durable and applies it.
    pub(crate) fn put(&mut self, group: Vec<Submission>) -> Result<(), JournalError> {
        let applied = self.make_durable(group)?;
        self.follow(applied)
    }

    /// Writes the second witness of all that is durable.
    pub(crate) fn witness(&mut self) -> Result<Head, JournalError> {
        let head = Head { seq: self.mark.location.seq, hash: self.mark.hash };
        self.appender.write_head(&head)?;
        self.unwitnessed = 0;
        Ok(head)
    }

    /// Sends the parts whose keys begin so.
    pub(crate) fn parts(&mut self, prefix: Vec<u8>, reply: oneshot::Sender<Result<Parts, JournalError>>) {
        match &mut self.database {
            Following::Inside(applier) => drop(reply.send(applier.parts(&prefix))),
            // A thread that has ended drops the question, which answers it.
            Following::Thread(sender, _) => drop(sender.send(Request::Parts(prefix, reply))),
        }
    }

    /// Leaves everything durable.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        self.witness()?;
        self.database.close()
    }

    /// Ends the database's thread and waits for it.
    fn end(self) {
        if let Following::Thread(sender, thread) = self.database {
            drop(sender);
            // A thread that panicked has told everybody by closing its channel.
            drop(thread.join());
        }
    }
}

/// The thread's work. Ends when it is closed, when nobody can hand over anything any more, and at the first error; whoever still
/// waits then finds its channel closed.
pub(crate) fn run(mut writer: Writer, inbox: &Receiver<Message>, failed: impl Fn(JournalError)) {
    let done = serve(&mut writer, inbox);
    writer.end();
    if let Err(error) = done {
        failed(error);
    }
}

fn serve(writer: &mut Writer, inbox: &Receiver<Message>) -> Result<(), JournalError> {
    let mut next = None;
    let mut last = Last { submissions: 1, took: Duration::ZERO };
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => match inbox.recv() {
                Ok(message) => message,
                Err(_) => return writer.close(),
            },
        };
        match message {
            Message::Submissions(first) => {
                let (group, acks, other) = gather(first, inbox, &last);
                next = other;
                let began = Instant::now();
                let durable = writer.make_durable(group);
                last = Last { submissions: acks.len(), took: began.elapsed() };
                let told = durable.as_ref().map(|_| ()).map_err(Clone::clone);
                // Somebody who no longer waits needs no answer.
                acks.into_iter().for_each(|ack| drop(ack.send(told.clone())));
                writer.follow(durable?)?;
            }
            Message::Parts(prefix, reply) => writer.parts(prefix, reply),
            Message::Witness(reply) => {
                let done = writer.witness();
                let error = done.as_ref().err().cloned();
                drop(reply.send(done));
                if let Some(error) = error {
                    return Err(error);
                }
            }
            Message::Close(reply) => {
                drop(reply.send(writer.close()));
                return Ok(());
            }
        }
    }
}

/// The group before.
struct Last {
    submissions: usize,
    /// How long it took to make it durable.
    took: Duration,
}

/// Gathers a group: what waits already, and for a short time what can be expected, since as many handed something over last time.
/// A single caller is never made to wait.
fn gather(first: Vec<(Submission, Ack)>, inbox: &Receiver<Message>, last: &Last) -> (Vec<Submission>, Vec<Ack>, Option<Message>) {
    let until = Instant::now() + GROUP_TIME.min(last.took);
    let mut records: usize = first.iter().map(|(submission, _)| submission.records).sum();
    let (mut group, mut acks): (Vec<Submission>, Vec<Ack>) = first.into_iter().unzip();
    while records < GROUP_RECORDS {
        let message = match inbox.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                let left = until.saturating_duration_since(Instant::now());
                if group.len() >= last.submissions || left.is_zero() {
                    break;
                }
                match inbox.recv_timeout(left) {
                    Ok(message) => message,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        match message {
            Message::Submissions(more) => {
                records += more.iter().map(|(submission, _)| submission.records).sum::<usize>();
                let (submissions, their_acks): (Vec<_>, Vec<_>) = more.into_iter().unzip();
                group.extend(submissions);
                acks.extend(their_acks);
            }
            other => return (group, acks, Some(other)),
        }
    }
    (group, acks, None)
}
