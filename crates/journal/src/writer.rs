//! The one writer: takes what was handed over in groups, makes a group durable in the ledger, applies it to the database, and only
//! then acknowledges it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use untether_ledger::{Appender, Head, Location, Piece};

use crate::database::{Batch, Database, Mark};
use crate::entry::Put;
use crate::error::JournalError;

/// Upper bound of a group.
pub(crate) const GROUP_RECORDS: usize = 256;

/// Upper bound of the time that a group is gathered.
const GROUP_TIME: Duration = Duration::from_millis(2);

/// The second witness is written at least every so many records.
const RECORDS_A_WITNESS: u64 = 10_000;

/// The database is made durable after so long without work…
const IDLE: Duration = Duration::from_millis(500);

/// …or after so many records.
const RECORDS_A_SYNC: u64 = 50_000;

/// Tells how what was submitted ended.
pub(crate) type Ack = oneshot::Sender<Result<(), JournalError>>;

/// What was handed over at once.
pub(crate) struct Submission {
    pub(crate) records: usize,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) puts: Vec<Put>,
    pub(crate) places: Vec<Location>,
    /// The last frame, and where it is.
    pub(crate) head: Head,
    pub(crate) location: Location,
}

/// What the writer's thread is asked for.
pub(crate) enum Message {
    Submission(Submission, Ack),
    /// The parts whose keys begin so.
    Parts(Vec<u8>, oneshot::Sender<Result<Parts, JournalError>>),
    /// The second witness, now.
    Witness(oneshot::Sender<Result<Head, JournalError>>),
    Close(Ack),
}

/// Parts with their keys.
pub(crate) type Parts = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) struct Writer {
    appender: Appender,
    database: Box<dyn Database>,
    mark: Mark,
    unwitnessed: u64,
    unsynced: u64,
}

impl Writer {
    pub(crate) fn new(appender: Appender, database: Box<dyn Database>, mark: Mark) -> Self {
        Self { appender, database, mark, unwitnessed: 0, unsynced: 0 }
    }

    /// Makes a group durable and applies it.
    pub(crate) fn put(&mut self, group: Vec<Submission>) -> Result<(), JournalError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut batch = Batch::default();
        let mut records = 0;
        for submission in group {
            for piece in submission.pieces {
                match pieces.last_mut() {
                    Some(last) if last.segment == piece.segment => last.bytes.extend_from_slice(&piece.bytes),
                    _ => pieces.push(piece),
                }
            }
            batch.puts.extend(submission.puts);
            batch.places.extend(submission.places);
            self.mark.location = submission.location;
            self.mark.hash = submission.head.hash;
            records += submission.records as u64;
        }
        self.appender.write(&pieces)?;
        self.appender.sync()?;
        self.database.write(batch, &self.mark)?;
        self.unwitnessed += records;
        self.unsynced += records;
        if self.unwitnessed >= RECORDS_A_WITNESS {
            self.witness()?;
        }
        if self.unsynced >= RECORDS_A_SYNC {
            self.sync_database()?;
        }
        Ok(())
    }

    /// Writes the second witness of all that is durable.
    pub(crate) fn witness(&mut self) -> Result<Head, JournalError> {
        let head = Head { seq: self.mark.location.seq, hash: self.mark.hash };
        self.appender.write_head(&head)?;
        self.unwitnessed = 0;
        Ok(head)
    }

    pub(crate) fn parts(&self, prefix: &[u8]) -> Result<Parts, JournalError> {
        let mut parts = Parts::new();
        self.database.each_part(prefix, &mut |key, value| parts.push((key.to_vec(), value)))?;
        Ok(parts)
    }

    /// Leaves everything durable.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        self.witness()?;
        self.sync_database()
    }

    fn sync_database(&mut self) -> Result<(), JournalError> {
        self.database.sync()?;
        self.unsynced = 0;
        Ok(())
    }
}

/// The thread's work. Ends when it is closed, when nobody can hand over anything any more, and at the first error; whoever still
/// waits then finds its channel closed.
pub(crate) fn run(mut writer: Writer, inbox: &Receiver<Message>, failed: impl Fn(JournalError)) {
    let mut next = None;
    let mut submissions_before = 1;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => match inbox.recv_timeout(IDLE) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    if writer.unsynced > 0
                        && let Err(error) = writer.sync_database()
                    {
                        return failed(error);
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    if let Err(error) = writer.close() {
                        failed(error);
                    }
                    return;
                }
            },
        };
        match message {
            Message::Submission(first, ack) => {
                let (group, acks, other) = gather(first, ack, inbox, submissions_before);
                submissions_before = acks.len();
                next = other;
                let done = writer.put(group);
                if let Err(error) = &done {
                    failed(error.clone());
                }
                let stop = done.is_err();
                // Somebody who no longer waits needs no answer.
                acks.into_iter().for_each(|ack| drop(ack.send(done.clone())));
                if stop {
                    return;
                }
            }
            Message::Parts(prefix, reply) => drop(reply.send(writer.parts(&prefix))),
            Message::Witness(reply) => {
                let done = writer.witness();
                let error = done.as_ref().err().cloned();
                drop(reply.send(done));
                if let Some(error) = error {
                    return failed(error);
                }
            }
            Message::Close(reply) => {
                drop(reply.send(writer.close()));
                return;
            }
        }
    }
}

/// Gathers a group: what waits already, and for a short time what can be expected, since as many handed something over last time.
/// A single caller is never made to wait.
fn gather(
    first: Submission,
    ack: Ack,
    inbox: &Receiver<Message>,
    expected: usize,
) -> (Vec<Submission>, Vec<Ack>, Option<Message>) {
    let until = Instant::now() + GROUP_TIME;
    let mut records = first.records;
    let mut group = vec![first];
    let mut acks = vec![ack];
    while records < GROUP_RECORDS {
        let message = match inbox.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                let left = until.saturating_duration_since(Instant::now());
                if group.len() >= expected || left.is_zero() {
                    break;
                }
                match inbox.recv_timeout(left) {
                    Ok(message) => message,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        match message {
            Message::Submission(submission, ack) => {
                records += submission.records;
                group.push(submission);
                acks.push(ack);
            }
            other => return (group, acks, Some(other)),
        }
    }
    (group, acks, None)
}
