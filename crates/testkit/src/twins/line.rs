//! The way to a twin: as cutover sees a store, with the boundaries of a [`Breaker`] and pauses in which others run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use untether_cutover::{Refusal, Store};
use untether_directory::twin::{Identity, TwinHandle};
use untether_directory::{EntryStream, Features, Outcome, Probe, Read, Search, Usability, Write, WriteOptions, Written};
use untether_model::change::{Change, Modification};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side, StableId, Value};

use super::breaker::Boundary;
use super::world::World;

/// How many times others run before an answer arrives; asked once an operation.
pub(super) type Pauses = Arc<dyn Fn() -> u32 + Send + Sync>;

/// One identity's line to a twin.
#[derive(Clone)]
pub(super) struct Line {
    handle: TwinHandle,
    world: World,
}

impl Line {
    fn new(world: &World, side: Side, identity: Identity) -> Self {
        Self { handle: world.twin(side).handle(identity), world: world.clone() }
    }

    async fn pause(&self) {
        for _ in 0..(self.world.pauses)() {
            tokio::task::yield_now().await;
        }
    }

    /// Before a question. A dead run gets no answer.
    async fn ask(&self, what: &str) {
        self.pause().await;
        if self.world.breaker.at(Boundary::BeforeRead, what) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Read for Line {
    fn side(&self) -> Side {
        Read::side(&self.handle)
    }

    async fn features(&self) -> Outcome<Features> {
        self.handle.features().await
    }

    async fn schema(&self) -> Outcome<Arc<Schema>> {
        self.handle.schema().await
    }

    async fn search(&self, search: Search) -> Outcome<Box<dyn EntryStream>> {
        self.ask("search").await;
        self.handle.search(search).await
    }

    async fn read(&self, dn: &Dn, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        self.ask("read").await;
        let found = self.handle.read(dn, attrs).await?;
        self.world.observer.looked(Read::side(&self.handle), dn, attrs);
        Ok(found)
    }

    async fn find(&self, base: &Dn, id: &StableId, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        self.ask("find").await;
        let found = self.handle.find(base, id, attrs).await?;
        if let Some(entry) = &found {
            self.world.observer.looked(Read::side(&self.handle), &entry.dn, attrs);
        }
        Ok(found)
    }

    async fn compare(&self, dn: &Dn, attr: &AttrName, value: &Value) -> Outcome<Option<bool>> {
        self.ask("compare").await;
        self.handle.compare(dn, attr, value).await
    }

    async fn present(&self, dn: &Dn, attr: &AttrName, values: &[Value]) -> Outcome<Vec<Value>> {
        self.ask("present").await;
        self.handle.present(dn, attr, values).await
    }

    async fn usability(&self, dn: &Dn) -> Outcome<Usability> {
        self.ask("usability").await;
        self.handle.usability(dn).await
    }
}

#[async_trait]
impl Write for Line {
    fn side(&self) -> Side {
        Read::side(&self.handle)
    }

    async fn apply(&self, change: &Change, options: &WriteOptions) -> Outcome<Written> {
        self.pause().await;
        let key = change.dn().key();
        if self.world.breaker.at_write(Boundary::BeforeWrite, Read::side(&self.handle), key) {
            std::future::pending::<()>().await;
        }
        let side = Read::side(&self.handle);
        self.world.observer.sending(side, change);
        let before = self.world.entry(side, change.dn());
        let written = self.handle.apply(change, options).await;
        let after = self.world.entry(side, change.dn());
        self.world.observer.written(side, change, before.as_ref(), after.as_ref());
        if self.world.repeats.load(Ordering::Relaxed) {
            // What the server says to the second one is heard by nobody.
            drop(self.handle.apply(change, options).await);
        }
        if self.world.breaker.at_write(Boundary::AfterWrite, Read::side(&self.handle), key) {
            std::future::pending::<()>().await;
        }
        self.pause().await;
        written
    }

    async fn transaction(&self, changes: &[(Dn, Vec<Modification>)], options: &WriteOptions) -> Outcome<()> {
        self.pause().await;
        if self.world.breaker.is_down() {
            std::future::pending::<()>().await;
        }
        self.handle.transaction(changes, options).await
    }
}

/// A twin as cutover sees a store.
pub(super) struct TwinStore {
    suffix: Dn,
    reader: Line,
    writer: Line,
    undoer: Option<Line>,
}

impl TwinStore {
    pub(super) fn new(world: &World, side: Side) -> Self {
        let line = |identity| Line::new(world, side, identity);
        Self {
            suffix: world.estate.suffix(side).clone(),
            reader: line(Identity::Reader),
            writer: line(Identity::Writer),
            undoer: world.estate.manage.then(|| line(Identity::Manager)),
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
        self.undoer.as_ref().map(|line| line as &dyn Write)
    }

    fn suffix(&self) -> &Dn {
        &self.suffix
    }

    async fn refuses(&self, dn: &Dn) -> Outcome<Refusal> {
        match self.writer.usability(dn).await? {
            Usability::Unavailable => return Ok(Refusal::Refused("account usability".to_owned())),
            Usability::Available => return Ok(Refusal::LetIn("account usability".to_owned())),
            Usability::Unknown => {}
        }
        let answer = self.writer.handle.bind(dn, b"a wrong password that nobody has").await?;
        Ok(match (answer.locked, answer.code) {
            (true, _) => Refusal::Refused("the server says locked".to_owned()),
            (false, 0) => Refusal::LetIn("a wrong password was let in".to_owned()),
            (false, code) => Refusal::Unknown(format!("result {code}")),
        })
    }
}
