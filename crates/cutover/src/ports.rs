//! What cutover asks of others, as traits: the journal, the clock, the stores, the roster, hooks, keys.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use untether_directory::{Outcome, Read, Write};
use untether_ledger::Key;
use untether_model::digest::Digest;
use untether_model::roster::Presence;
use untether_model::run::{Change, Record, Sealed, Started};
use untether_model::{BatchId, Dn, EntityId, Side, SubjectId, WaveId};

use crate::recorder::Recorder;

/// Resolves when the record is durable; an error is fatal to the run.
pub type Receipt = BoxFuture<'static, Result<(), String>>;

/// Takes records. Sequence numbers are handed out in the order of submission.
pub trait Journal: Send + Sync {
    /// The number and the time that the next record will have.
    fn next(&self) -> (u64, Timestamp);

    /// Hands the record over; it has the number that [`Journal::next`] told. Called by one recorder at a time.
    fn submit(&self, record: &Record, change: &Change) -> Result<Receipt, String>;
}

/// Looks into the ledger.
pub trait LedgerView: Send + Sync {
    /// The intent with this sequence number.
    fn started(&self, seq: u64) -> Result<Started, String>;

    /// The image of a deleted entry that this outcome holds.
    fn image(&self, outcome: u64) -> Result<Option<Sealed>, String>;
}

/// The keys that seal what the ledger keeps.
pub trait Keyring: Send + Sync {
    /// The key of a wave or of another order's wave.
    fn key(&self, wave: &WaveId) -> Result<Key, String>;
}

/// The clock of a run; a rehearsal hands in a virtual one.
#[async_trait]
pub trait Time: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// A time that only goes on, for measuring how long the stores take; wall time where there is nothing better.
    fn mono(&self) -> std::time::Duration {
        std::time::Duration::try_from(self.now().as_duration()).unwrap_or_default()
    }

    /// Comes back at `until`, not before.
    async fn sleep_until(&self, until: Timestamp);
}

/// Whether a store lets an account in, asked without a person's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The store said that it refuses the account, in this way.
    Refused(String),
    /// The store would let it in.
    LetIn(String),
    /// It could not be told.
    Unknown(String),
}

/// One store as cutover sees it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads with the reading bind.
    fn reader(&self) -> &dyn Read;

    /// Writes with the writing bind.
    fn writer(&self) -> &dyn Write;

    /// Writes with the undoing bind, where one is configured.
    fn undoer(&self) -> Option<&dyn Write>;

    /// Below which entries are looked for by their stable id.
    fn suffix(&self) -> &Dn;

    /// Whether the store refuses an account whose lock was read back (account usability, probe account, or a bind with a random
    /// wrong password where the server says "locked").
    async fn refuses(&self, dn: &Dn) -> Outcome<Refusal>;

    /// [`Store::refuses`] for several accounts, in their order.
    async fn refuses_all(&self, names: &[Dn]) -> Outcome<Vec<Refusal>> {
        let mut said = Vec::with_capacity(names.len());
        for dn in names {
            said.push(self.refuses(dn).await?);
        }
        Ok(said)
    }
}

/// Both stores.
#[derive(Clone)]
pub struct Stores {
    /// The shared store.
    pub shared: Arc<dyn Store>,
    /// The independent directory.
    pub independent: Arc<dyn Store>,
}

impl Stores {
    /// One of them.
    pub fn get(&self, side: Side) -> &dyn Store {
        match side {
            Side::Shared => self.shared.as_ref(),
            Side::Independent => self.independent.as_ref(),
        }
    }
}

/// What the roster says of a person now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonNow {
    /// The judgement; `None`: the roster has no row for them any more.
    pub presence: Option<Presence>,
}

/// Why the roster cannot be relied on, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterTrouble {
    /// It cannot be read, is refused, or has shrunk too far.
    #[error("{0}")]
    Refused(String),
    /// A file of it is older than allowed: a new export lets the run go on.
    #[error("{0}")]
    Stale(String),
}

/// The roster, read again.
#[async_trait]
pub trait Roster: Send + Sync {
    /// Reads the roster unless what was read is younger than its maximum age, and makes sure that none of its files is older than
    /// allowed; tells digest, rows, and when the oldest file was written.
    async fn refresh(&self, now: Timestamp) -> Result<RosterNow, RosterTrouble>;

    /// What it says of the person that a plan names by `reference`, for the entity's time zone.
    fn person(&self, reference: &str, now: Timestamp) -> PersonNow;
}

/// What a refresh read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterNow {
    /// Digest of its rows.
    pub digest: Digest,
    /// Rows.
    pub rows: u64,
    /// When its oldest file was last written.
    pub modified: Option<Timestamp>,
    /// It was read now (not remembered).
    pub fresh: bool,
}

/// One person's one-time secret on its way to them.
pub struct Handover {
    /// The subject.
    pub subject: SubjectId,
    /// The wave that has, or had, it in hand.
    pub wave: WaveId,
    /// Its entity.
    pub entity: EntityId,
    /// The account.
    pub dn: Dn,
    /// The secret.
    pub secret: zeroize::Zeroizing<String>,
}

/// Where one person's credential belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The batch whose operations set it; that of an order where it was issued again.
    pub unit: &'a BatchId,
    /// The wave that has, or had, the person in hand.
    pub wave: &'a WaveId,
    /// The person's entity.
    pub entity: &'a EntityId,
}

/// How credentials get to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// In encrypted files.
    Files,
    /// Through a program that is told each person's secret.
    Hook {
        /// The program, for people.
        name: String,
        /// What may have arrived is sent again with the same key; else a person decides.
        repeatable: bool,
    },
}

/// Writes hand-over files and calls hooks.
#[async_trait]
pub trait Hook: Send + Sync {
    /// How credentials get to people.
    fn way(&self) -> Way;

    /// The name of the file that a person's credential belongs in; an error where nobody could open it.
    fn file_of(&self, place: &Place<'_>) -> Result<String, String>;

    /// Writes the file, encrypted for the recipients of the people in it, all of whom belong in it; tells its digest. Writing it
    /// again replaces it.
    async fn write_file(&self, name: &str, people: &[Handover]) -> Result<Digest, String>;

    /// Whether a file that was written is still where it can be read.
    fn keeps_file(&self, name: &str) -> bool;

    /// Gives one person's secret to the hook; `key` is the same when the same secret is given again. An error says what the hook said.
    async fn hand_over(&self, key: &str, unit: &BatchId, person: &Handover) -> Result<(), String>;

    /// Hands something to the configured hook; `key` is the same when it is sent again.
    async fn deliver(&self, hook: &str, key: &str, subject: &SubjectId) -> Result<(), String>;
}

/// Reads a blob of a wave.
pub type Blobs = Arc<dyn Fn(&WaveId, &Digest) -> Result<Vec<u8>, String> + Send + Sync>;

/// Everything that cutover is handed.
#[derive(Clone)]
pub struct Ports {
    /// Takes records and keeps the state.
    pub recorder: Arc<Recorder>,
    /// Looks into the ledger.
    pub ledger: Arc<dyn LedgerView>,
    /// Keys.
    pub keys: Arc<dyn Keyring>,
    /// HMACs under the state key.
    pub marks: Arc<untether_ledger::Marks>,
    /// The clock.
    pub time: Arc<dyn Time>,
    /// The stores.
    pub stores: Stores,
    /// The roster; `None` for orders that need none.
    pub roster: Option<Arc<dyn Roster>>,
    /// Hand-over and hooks.
    pub hook: Arc<dyn Hook>,
    /// Blobs of a wave by digest.
    pub blobs: Blobs,
}
