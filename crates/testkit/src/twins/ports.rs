//! What a run asks for beside stores and journal: the clock, the roster, hand-over, keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use untether_cutover::{Handover, Hook, Keyring, PersonNow, Place, Roster, RosterNow, RosterTrouble, Time, Way};
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
    async fn refresh(&self, _now: Timestamp) -> Result<RosterNow, RosterTrouble> {
        let digest = self.rows.digest();
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(digest);
        let rows = self.rows.lock().len() as u64;
        Ok(RosterNow { digest, rows, modified: None, fresh: before != Some(digest) })
    }

    fn person(&self, reference: &str, _now: Timestamp) -> PersonNow {
        PersonNow { presence: self.rows.lock().get(reference).copied() }
    }
}

/// How the hook takes what it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HookLife {
    /// There is one; else files are written.
    is_there: bool,
    /// What may have arrived is given to it again.
    repeatable: bool,
    /// To these it does not deliver.
    refuses: BTreeSet<SubjectId>,
    /// What it was given, in order: the key, whose it is, the secret.
    given: Vec<(String, SubjectId, String)>,
}

#[derive(Default)]
struct HandedOver {
    files: BTreeMap<String, BTreeMap<SubjectId, String>>,
    hook: HookLife,
}

/// What was handed to people: by file, and by the hook.
#[derive(Clone, Default)]
pub struct Handed(Arc<Mutex<HandedOver>>);

impl Handed {
    fn lock(&self) -> MutexGuard<'_, HandedOver> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All secrets that a person got and still has.
    pub fn secrets(&self, subject: &SubjectId) -> Vec<String> {
        let held = self.lock();
        let files = held.files.values().filter_map(|file| file.get(subject).cloned());
        files.chain(held.hook.given.iter().filter(|(_, id, _)| id == subject).map(|(_, _, secret)| secret.clone())).collect()
    }

    /// The file of a batch or of an order is lost.
    pub fn lose(&self, unit: &BatchId) {
        self.lock().files.remove(&unit.to_string());
    }

    /// From now on a hook delivers, in the place of files.
    pub fn use_hook(&self, repeatable: bool) {
        let mut held = self.lock();
        held.hook = HookLife { is_there: true, repeatable, ..held.hook.clone() };
    }

    /// From now on the hook delivers to these people not.
    pub fn refuse(&self, whom: impl IntoIterator<Item = SubjectId>) {
        self.lock().hook.refuses = whom.into_iter().collect();
    }

    /// What the hook got under each key.
    pub fn given(&self) -> BTreeMap<String, Given> {
        let mut all: BTreeMap<String, Given> = BTreeMap::new();
        for (key, id, secret) in &self.lock().hook.given {
            let given =
                all.entry(key.clone()).or_insert_with(|| Given { subject: id.clone(), times: 0, secrets: BTreeSet::new() });
            given.times += 1;
            given.secrets.insert(secret.clone());
        }
        all
    }
}

/// What a hook got under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Whose it was.
    pub subject: SubjectId,
    /// How often.
    pub times: u64,
    /// What; never more than one.
    pub secrets: BTreeSet<String>,
}

/// Keeps what is handed over.
pub(super) struct KeptHandover {
    pub handed: Handed,
    pub breaker: Breaker,
}

impl KeptHandover {
    async fn at(&self, boundary: Boundary) {
        if self.breaker.at(boundary, "hand-over") {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Hook for KeptHandover {
    fn way(&self) -> Way {
        let hook = &self.handed.lock().hook;
        match hook.is_there {
            true => Way::Hook { name: "hook".to_owned(), repeatable: hook.repeatable },
            false => Way::Files,
        }
    }

    fn file_of(&self, place: &Place<'_>) -> Result<String, String> {
        Ok(place.unit.to_string())
    }

    async fn write_file(&self, name: &str, people: &[Handover]) -> Result<Digest, String> {
        self.at(Boundary::BeforeHandover).await;
        let file = people.iter().map(|p| (p.subject.clone(), p.secret.as_str().to_owned())).collect();
        self.handed.lock().files.insert(name.to_owned(), file);
        self.at(Boundary::AfterHandover).await;
        Ok(Digest::of(name.as_bytes()))
    }

    fn keeps_file(&self, name: &str) -> bool {
        self.handed.lock().files.contains_key(name)
    }

    async fn hand_over(&self, key: &str, _unit: &BatchId, person: &Handover) -> Result<(), String> {
        self.at(Boundary::BeforeHandover).await;
        {
            let hook = &mut self.handed.lock().hook;
            if hook.refuses.contains(&person.subject) {
                return Err("nobody answers the door".to_owned());
            }
            hook.given.push((key.to_owned(), person.subject.clone(), person.secret.as_str().to_owned()));
        }
        self.at(Boundary::AfterHandover).await;
        Ok(())
    }

    async fn deliver(&self, _hook: &str, _key: &str, _subject: &SubjectId) -> Result<(), String> {
        Err("the twins have no such hook".to_owned())
    }
}

/// A key for each wave, made from its name.
pub(super) struct NamedKeys;

impl Keyring for NamedKeys {
    fn key(&self, wave: &WaveId) -> Result<Key, String> {
        Ok(Key::from_bytes(*Digest::of(wave.to_string().as_bytes()).as_bytes()))
    }
}
