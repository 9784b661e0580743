//! The way to a twin as cutover sees a store: each write takes its share of a second on the clock.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use untether_cutover::{Refusal, Store};
use untether_directory::twin::{Identity, SettableClock, Twin, TwinHandle};
use untether_directory::{Outcome, Probe as _, Read, Usability, Write, WriteOptions, Written};
use untether_model::change::{Change, Modification};
use untether_model::{Dn, Side};

use super::asker::Asker;
use super::fuse::{Fuse, Moment};

/// One identity that writes to a twin.
struct Line {
    handle: TwinHandle,
    pace: Pace,
    asker: Option<Arc<Asker>>,
}

#[async_trait]
impl Write for Line {
    fn side(&self) -> Side {
        Write::side(&self.handle)
    }

    async fn apply(&self, change: &Change, options: &WriteOptions) -> Outcome<Written> {
        if let Some(asker) = &self.asker {
            asker.ask(change, options).await;
        }
        self.pace.fuse.pass(Moment::BeforeEffect).await;
        self.pace.clock.advance(self.pace.cost);
        let answer = self.handle.apply(change, options).await;
        self.pace.fuse.pass(Moment::AfterEffect).await;
        answer
    }

    async fn transaction(&self, changes: &[(Dn, Vec<Modification>)], options: &WriteOptions) -> Outcome<()> {
        self.pace.fuse.pass(Moment::BeforeEffect).await;
        self.pace.clock.advance(self.pace.cost);
        let answer = self.handle.transaction(changes, options).await;
        self.pace.fuse.pass(Moment::AfterEffect).await;
        answer
    }
}

/// A twin as a store.
pub struct TwinStore {
    reader: TwinHandle,
    writer: Line,
    undoer: Line,
    suffix: Dn,
}

/// How writes to a twin go.
#[derive(Clone)]
pub struct Pace {
    /// The clock that they move.
    pub clock: SettableClock,
    /// What one write takes.
    pub cost: SignedDuration,
    /// What they go through.
    pub fuse: Arc<Fuse>,
}

impl TwinStore {
    /// A store over this twin; `asker` asks the server that it stands for too.
    pub fn new(twin: &Twin, pace: &Pace, asker: Option<&Arc<Asker>>) -> Self {
        let line = |identity| Line { handle: twin.handle(identity), pace: pace.clone(), asker: asker.cloned() };
        Self {
            reader: twin.handle(Identity::Manager),
            writer: line(Identity::Writer),
            undoer: line(Identity::Manager),
            suffix: twin.config().suffix.clone(),
        }
    }
}

#[async_trait]
impl Store for TwinStore {
    fn reader(&self) -> &dyn Read {
        &self.reader
    }

    fn writer(&self) -> &dyn Write {
        &self.writer
    }

    fn undoer(&self) -> Option<&dyn Write> {
        Some(&self.undoer)
    }

    fn suffix(&self) -> &Dn {
        &self.suffix
    }

    async fn refuses(&self, dn: &Dn) -> Outcome<Refusal> {
        match self.reader.usability(dn).await? {
            Usability::Unavailable => return Ok(Refusal::Refused("account usability: not available".to_owned())),
            Usability::Available => return Ok(Refusal::LetIn("account usability: available".to_owned())),
            Usability::Unknown => {}
        }
        let answer = self.reader.bind(dn, b"a wrong password").await?;
        Ok(match (answer.locked, answer.code) {
            (true, _) => Refusal::Refused("bind: the server says that the account is locked".to_owned()),
            (false, 0) => Refusal::LetIn("bind: a wrong password was let in".to_owned()),
            (false, code) => Refusal::Unknown(format!("bind: result {code}, which alone tells nothing")),
        })
    }
}
