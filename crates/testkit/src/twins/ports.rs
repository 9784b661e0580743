//! What a run asks for beside stores and journal: the clock, the roster, hand-over, keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use untether_cutover::{Handover, Hook, Keyring, PersonNow, Roster, RosterNow, Time};
use untether_directory::twin::SettableClock;
use untether_ledger::{Clock, Key};
use untether_model::digest::Digest;
use untether_model::roster::Presence;
use untether_model::{BatchId, SubjectId, WaveId};

use super::breaker::{Boundary, Breaker};

/// The clock of everything; sleeping moves it on.
#[derive(Clone)]
pub(super) struct VirtualTime(pub SettableClock);

#[async_trait]
impl Time for VirtualTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn mono(&self) -> Duration {
        Duration::try_from(self.0.now().as_duration()).unwrap_or_default()
    }

    async fn sleep_until(&self, until: Timestamp) {
        // Others may run first, and may have moved the clock further on.
        tokio::task::yield_now().await;
        if self.0.now() < until {
            self.0.set(until);
        }
    }
}

impl Clock for VirtualTime {
    fn wall(&self) -> Timestamp {
        self.0.now()
    }

    fn mono(&self) -> Duration {
        Time::mono(self)
    }

    fn boot(&self) -> &str {
        "twins"
    }
}

/// The roster; whoever has it can change it.
#[derive(Clone, Default)]
pub struct Rows(Arc<Mutex<BTreeMap<String, Presence>>>);

impl Rows {
    pub(super) fn new(rows: impl IntoIterator<Item = (String, Presence)>) -> Self {
        Self(Arc::new(Mutex::new(rows.into_iter().collect())))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Presence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says of everybody.
    pub fn presences(&self) -> BTreeMap<String, Presence> {
        self.lock().clone()
    }

    /// From now on it says this of a person; `None`: it has no row for them.
    pub fn set(&self, uid: &str, presence: Option<Presence>) {
        match presence {
            Some(presence) => drop(self.lock().insert(uid.to_owned(), presence)),
            None => drop(self.lock().remove(uid)),
        }
    }

    fn digest(&self) -> Digest {
        Digest::of(format!("{:?}", self.lock()).as_bytes())
    }
}

/// The roster of one run; what was read last is remembered as long as nothing changes.
pub(super) struct Reading {
    pub rows: Rows,
    pub last: Mutex<Option<Digest>>,
}

#[async_trait]
impl Roster for Reading {
    async fn refresh(&self, _now: Timestamp) -> Result<RosterNow, String> {
        let digest = self.rows.digest();
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(digest);
        let rows = self.rows.lock().len() as u64;
        Ok(RosterNow { digest, rows, modified: None, fresh: before != Some(digest) })
    }

    fn person(&self, reference: &str, _now: Timestamp) -> PersonNow {
        PersonNow { presence: self.rows.lock().get(reference).copied() }
    }
}

/// What was handed to people: secrets by subject, and by batch what its file holds.
#[derive(Clone, Default)]
pub struct Handed(Arc<Mutex<BTreeMap<BatchId, BTreeMap<SubjectId, String>>>>);

impl Handed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<BatchId, BTreeMap<SubjectId, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secret that a person got, from the file of their batch that was written last.
    pub fn secret(&self, subject: &SubjectId) -> Option<String> {
        self.lock().values().rev().find_map(|file| file.get(subject).cloned())
    }

    /// The file of a batch is lost.
    pub fn lose(&self, batch: &BatchId) {
        self.lock().remove(batch);
    }
}

/// Keeps what is handed over.
pub(super) struct KeptHandover {
    pub handed: Handed,
    pub breaker: Breaker,
}

#[async_trait]
impl Hook for KeptHandover {
    async fn write_handover(&self, batch: &BatchId, people: &[Handover]) -> Result<(String, Digest), String> {
        if self.breaker.at(Boundary::BeforeHandover, "hand-over") {
            std::future::pending::<()>().await;
        }
        let file = people.iter().map(|p| (p.subject.clone(), p.secret.as_str().to_owned())).collect();
        self.handed.lock().insert(batch.clone(), file);
        if self.breaker.at(Boundary::AfterHandover, "hand-over") {
            std::future::pending::<()>().await;
        }
        Ok((format!("{batch}.age"), Digest::of(batch.to_string().as_bytes())))
    }

    fn keeps_handover(&self, batch: &BatchId) -> bool {
        self.handed.lock().contains_key(batch)
    }

    async fn deliver(&self, _hook: &str, _key: &str, _subject: &SubjectId) -> Result<(), String> {
        Err("the twins have no hook".to_owned())
    }
}

/// A key for each wave, made from its name.
pub(super) struct NamedKeys;

impl Keyring for NamedKeys {
    fn key(&self, wave: &WaveId) -> Result<Key, String> {
        Ok(Key::from_bytes(*Digest::of(wave.to_string().as_bytes()).as_bytes()))
    }
}
