//! One connection: bytes both ways, late by the delay, and what the rule does to them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::fault::{Fault, Sender};
use super::hostile::Answers;
use super::message::{SEQUENCE, is_write, whole};
use super::pace::Workers;
use super::rule::{Closing, Counts, Rule, Struck, Verdict};

/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// Reads that may be under way at once: with a delay of 50 ms more than a loopback interface carries, so that the delay costs
/// no throughput.
const UNDER_WAY: usize = 512;

/// Carries a connection until it ends.
pub(super) async fn carry(
    (client, server): (TcpStream, TcpStream),
    rule: watch::Receiver<Rule>,
    struck: &Struck,
    workers: &Workers,
) {
    // Small messages are to arrive when they are due.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let counts = Counts::new(struck);
    let (requests, requested) = mpsc::channel(UNDER_WAY);
    let (answers, answered) = mpsc::channel(UNDER_WAY);
    let mut there = Passage { queue: requested, sender: Sender::Client, counts: &counts, rule: rule.clone(), mute: false };
    let mut back = Passage { queue: answered, sender: Sender::Server, counts: &counts, rule: rule.clone(), mute: false };
    let paced = workers.are_there().then_some(workers);
    let closing = tokio::select! {
        biased;
        closing = struck_at_once(rule.clone(), &counts) => closing,
        closing = there.run(&mut to_server) => closing,
        closing = back.run(&mut to_client) => closing,
        () = take(&mut from_client, &requests, &rule, paced) => Closing::Cut,
        () = take(&mut from_server, &answers, &rule, None) => Closing::Cut,
    };
    match closing {
        Closing::Cut => {
            // In order: what the ends still send is taken, or the system would reset them.
            let _ = to_client.shutdown().await;
            let _ = to_server.shutdown().await;
            tokio::join!(drain(&mut from_client), drain(&mut from_server));
        }
        Closing::Reset => {
            let _ = from_client.as_ref().set_zero_linger();
            let _ = from_server.as_ref().set_zero_linger();
            // Dropped, they would end the connection in order first.
            to_client.forget();
            to_server.forget();
        }
        Closing::HalfOpen => {
            drop((from_server, to_server));
            drain(&mut from_client).await;
        }
    }
}

/// What passes, and when it is due. An empty piece is the end.
type Pieces = mpsc::Sender<(Instant, Vec<u8>)>;

/// Reads one end, and queues what came until it is due. After the end this never returns.
async fn take(from: &mut OwnedReadHalf, queue: &Pieces, rule: &watch::Receiver<Rule>, workers: Option<&Workers>) {
    let mut buffer = vec![0; READ];
    let mut held = Vec::new();
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..count).unwrap_or_default();
        let delay = rule.borrow().delay;
        let queued = match workers {
            Some(workers) if count > 0 => {
                held.extend_from_slice(piece);
                queue_requests(&mut held, queue, delay, workers).await
            }
            _ => queue.send((Instant::now() + delay, piece.to_vec())).await.is_ok() && count > 0,
        };
        if !queued {
            return std::future::pending().await;
        }
    }
}

/// Queues the whole requests at the start of what is held, each write once it is done. False at the end, which bytes that are no LDAP
/// are as well.
async fn queue_requests(held: &mut Vec<u8>, queue: &Pieces, delay: Duration, workers: &Workers) -> bool {
    while let Some(first) = held.first() {
        if *first != SEQUENCE {
            // Nobody takes it where the connection has ended already.
            let _ = queue.send((Instant::now(), Vec::new())).await;
            return false;
        }
        let Some(length) = whole(held) else { break };
        let request: Vec<u8> = held.drain(..length).collect();
        let now = Instant::now();
        if !is_write(&request) {
            if queue.send((now + delay, request)).await.is_err() {
                return false;
            }
            continue;
        }
        let (queue, done) = (queue.clone(), workers.take(now));
        tokio::spawn(async move {
            sleep_until(done).await;
            // A connection that has ended meanwhile takes nothing more.
            let _ = queue.send((done + delay, request)).await;
        });
    }
    true
}

/// Reads and drops until the other end closes.
async fn drain(from: &mut OwnedReadHalf) {
    let mut buffer = vec![0; READ];
    while matches!(from.read(&mut buffer).await, Ok(1..)) {}
}

/// Ends when a fault is set that strikes without a further byte.
async fn struck_at_once(mut rule: watch::Receiver<Rule>, counts: &Counts<'_>) -> Closing {
    loop {
        let now = *rule.borrow_and_update();
        for sender in [Sender::Client, Sender::Server] {
            if let Verdict::Close(closing) = counts.judge(now, sender, 0) {
                return closing;
            }
        }
        if rule.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// One way through.
struct Passage<'a> {
    queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    sender: Sender,
    counts: &'a Counts<'a>,
    rule: watch::Receiver<Rule>,
    /// Something hostile has passed; nothing follows it.
    mute: bool,
}

impl Passage<'_> {
    /// Passes bytes on until the connection is to end.
    async fn run(&mut self, to: &mut OwnedWriteHalf) -> Closing {
        let mut answers = Answers::default();
        while let Some((due, piece)) = self.queue.recv().await {
            sleep_until(due).await;
            if piece.is_empty() {
                break;
            }
            let rule = *self.rule.borrow();
            let ended = match (rule.fault, self.sender) {
                _ if self.mute => continue,
                (Some(Fault::Hostile { what, after_answers }), Sender::Server) => {
                    let instead = answers.take(rule.epoch, what, after_answers, &piece);
                    self.mute = instead.struck;
                    if instead.struck {
                        self.counts.strike();
                    }
                    match self.pass(to, &instead.bytes).await {
                        Ok(None) => self.zeros(to, instead.zeros).await,
                        ended => ended,
                    }
                }
                _ => self.pass(to, &piece).await,
            };
            match ended {
                Ok(None) => {}
                Ok(Some(closing)) => return closing,
                Err(_) => break,
            }
        }
        Closing::Cut
    }

    async fn zeros(&mut self, to: &mut OwnedWriteHalf, mut count: usize) -> io::Result<Option<Closing>> {
        let zeros = vec![0; READ];
        while count > 0 {
            let piece = zeros.get(..count.min(READ)).unwrap_or_default();
            let ended = self.pass(to, piece).await?;
            if ended.is_some() {
                return Ok(ended);
            }
            count -= piece.len();
        }
        Ok(None)
    }

    /// Passes these bytes on as the rule of the moment lets them; how the connection is to end, if it is.
    async fn pass(&mut self, to: &mut OwnedWriteHalf, mut rest: &[u8]) -> io::Result<Option<Closing>> {
        loop {
            let rule = *self.rule.borrow_and_update();
            let (count, pause) = match self.counts.judge(rule, self.sender, rest.len()) {
                Verdict::Close(closing) => return Ok(Some(closing)),
                _ if rest.is_empty() => return Ok(None),
                Verdict::Pass(count) => (count, Duration::ZERO),
                Verdict::Slowly(pause) => (1, pause),
                Verdict::Hold => {
                    if self.rule.changed().await.is_err() {
                        return Ok(Some(Closing::Cut));
                    }
                    continue;
                }
            };
            let (now, later) = rest.split_at(count);
            to.write_all(now).await?;
            self.counts.passed(self.sender, count);
            rest = later;
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
    }
}
