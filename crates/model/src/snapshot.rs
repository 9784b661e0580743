//! What an audit has seen: the stores' entries without their secrets, and the subjects that they were correlated to.
//!
//! These types are stored (compressed and sealed) and streamed; nothing here holds a whole store.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::policy::CopyKind;
use crate::roster::Standing;
use crate::{AttrMap, AttrName, Dn, EntityId, Side, StableId, SubjectId};

/// The identity of a store: another server behind the same URL is another store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// The suffix.
    pub suffix: Dn,
    /// Stable id of the suffix's entry; `None` where an export does not hold it.
    pub stable_id: Option<StableId>,
}

/// Where a store was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreSource {
    /// A server, by its URL.
    Ldap(String),
    /// An export: the files' names.
    Ldif(Vec<String>),
}

/// One base that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseRead {
    /// The base.
    pub base: Dn,
    /// How many entries were read.
    pub entries: u64,
    /// Nothing is missing: result code, cookies, canary and counts agree.
    pub complete: bool,
    /// Why it is not complete, in words.
    pub shortfall: Option<String>,
}

/// What was read of one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRead {
    /// Its identity.
    pub identity: StoreIdentity,
    /// Where it was read from.
    pub source: StoreSource,
    /// The bases.
    pub bases: Vec<BaseRead>,
    /// Entries in the snapshot file.
    pub entries: u64,
    /// Digest of the entries' file (over plain text).
    pub file: Digest,
    /// `cn=config` was read.
    pub config_read: bool,
    /// Digest of the file with the server's own schema; `None` for an export, and where the server does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Digest>,
}

/// A roster file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterFileRead {
    /// As the configuration names it.
    pub name: String,
    /// Its records.
    pub records: u64,
    /// When it was last written, as its file system says.
    pub written_at: Option<Timestamp>,
}

/// The head of a snapshot. Its digest (over its canonical JSON) names the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// Format version.
    pub version: u32,
    /// The audit's recorded time: `now` of the rules and of plans made from it.
    pub taken_at: Timestamp,
    /// The day as of which the roster was judged, if it was not `taken_at`. Such a snapshot makes no executable plan.
    pub as_of: Option<Date>,
    /// The shared store.
    pub shared: StoreRead,
    /// The independent directory.
    pub independent: StoreRead,
    /// Digest of the roster's rows, as read.
    pub roster: Digest,
    /// Rows in the roster.
    pub roster_rows: u64,
    /// The roster's files; empty in snapshots of versions that did not record them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roster_files: Vec<RosterFileRead>,
    /// What was configured (`audit`, and each file of `roster`): two audits are compared only where they looked at the same. `None`
    /// in snapshots of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    /// Version of the program, whose rules judged; empty in snapshots of versions that did not record it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// Digest of the subjects' file.
    pub subjects: Digest,
    /// Number of subjects.
    pub subject_count: u64,
    /// Digest of the file of undecided matches; `None` in snapshots of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<Digest>,
    /// Nothing that could hold entries is missing (no `coverage.truncated`, `.denied`, `.stale`), judged as of now, read from
    /// servers: an executable plan can be made from it.
    pub executable: bool,
    /// Why not, where it is not.
    pub not_executable: Vec<String>,
}

/// What kind of credential material an attribute value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// `userPassword` and its like.
    Password,
    /// A value of `pwdHistory`.
    History,
    /// A Kerberos key (`krbPrincipalKey`, `krb5Key`).
    KerberosKey,
    /// An NT or LM hash.
    NtHash,
    /// An SSH public key.
    SshKey,
    /// An X.509 certificate.
    Certificate,
    /// A PKCS#12 container.
    Pkcs12,
    /// A remote password cached here.
    CachedRemote,
}

/// A credential value, of which only this is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CredentialMark {
    /// The attribute that holds it.
    pub attr: AttrName,
    /// What it is.
    pub kind: CredentialKind,
    /// Storage scheme in upper case without braces (`SSHA`, `SASL`); `None` for clear text and for what has no scheme.
    pub scheme: Option<String>,
    /// The value is clear text (no scheme, or `{CLEARTEXT}`).
    pub clear: bool,
    /// The scheme salts: equal values were copied, they cannot coincide.
    pub salted: bool,
    /// For pass-through schemes: the realm behind the last `@` (not a secret).
    pub realm: Option<String>,
    /// For pass-through schemes: whether any identity at all stands in the value.
    pub pass_through: bool,
    /// HMAC under the state key of the normalized value: equal where the credential is equal, in either store.
    pub normalized: String,
    /// HMAC under the state key of the exact bytes: what an operation expects to find.
    pub exact: String,
}

/// What an entry of a snapshot is to us. Entries of areas that hold copies are not accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryRole {
    /// An account in our scope.
    Account,
    /// An entry that names others (group, alias, policy, organizational unit…).
    Other,
    /// An entry of `cn=config`.
    Config,
    /// A record of an access log or changelog, or an entry of a backup area.
    Copy,
}

/// An entry as the snapshot keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    /// What it is to us.
    pub role: EntryRole,
    /// Its name.
    pub dn: Dn,
    /// Its stable id, where the store gives one.
    pub stable_id: Option<StableId>,
    /// Its change marker (`entryCSN`) when it was read.
    pub change_marker: Option<String>,
    /// Attributes without credential material.
    pub attrs: AttrMap,
    /// What is kept of credential material.
    pub credentials: Vec<CredentialMark>,
}

/// What an area of copies (access log, changelog, tombstones, backup) holds about one entry. Never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRecord {
    /// The area.
    pub area: Dn,
    /// What the area is made of.
    pub kind: CopyKind,
    /// The entry that its records are about; in a backup area the copy itself.
    pub about: Dn,
    /// The stable id of that entry, where the records name it.
    pub stable_id: Option<StableId>,
    /// How many records are about it.
    pub records: u64,
    /// Of these, how many hold credential material.
    pub with_credentials: u64,
    /// The attributes whose credential material they hold.
    pub credential_attrs: Vec<AttrName>,
}

/// Whether one authentication path lets an account in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathState {
    /// Nothing on this path lets the account in.
    Refused,
    /// It could not be told; treated as open, and said so.
    Unknown,
    /// The right credential is let in.
    Open,
}

/// One authentication path of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthPath {
    /// `simple-bind`, `sasl`, `pass-through`, `remote`, `certificate`.
    pub path: String,
    /// What it does.
    pub state: PathState,
    /// Why, in words.
    pub why: String,
}

/// The state of an account over all of its paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// Each path that applies.
    pub paths: Vec<AuthPath>,
    /// The lock is on (permanent lock, or no end under its policy), whatever the paths say.
    pub locked: bool,
    /// `pwdEndTime` is in the past, whatever the paths say.
    #[serde(default)]
    pub ended: bool,
    /// The effective password policy resolves and locks: without it, locks and validity times are ignored.
    pub policy_effective: Option<bool>,
}

impl AccountState {
    /// The worst over all paths: open if any is, else unknown if any is, else refused.
    pub fn overall(&self) -> PathState {
        self.paths.iter().map(|p| p.state).max().unwrap_or(PathState::Refused)
    }

    /// Open, or unknown (which counts as open).
    pub fn counts_as_open(&self) -> bool {
        self.overall() != PathState::Refused
    }
}

/// The correlation key that decided on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchKey {
    /// Immutable link attribute.
    Link,
    /// (entity, employee number).
    EntityNumber,
    /// Employee number alone.
    Number,
    /// Mail address.
    Mail,
    /// Login.
    Login,
    /// A person decided.
    Decision,
}

impl MatchKey {
    /// The key in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Link => "link attribute",
            Self::EntityNumber => "entity and employee number",
            Self::Number => "employee number",
            Self::Mail => "mail",
            Self::Login => "login",
            Self::Decision => "a person's decision",
        }
    }
}

/// One account of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The store.
    pub side: Side,
    /// The entry.
    pub dn: Dn,
    /// Its stable id.
    pub stable_id: Option<StableId>,
    /// The subject's main account in this store.
    pub primary: bool,
    /// A declared secondary account (`adm-*`).
    pub secondary: bool,
    /// How it was matched to the subject; `None` where the account itself is the subject's anchor.
    pub matched_by: Option<MatchKey>,
    /// Its state.
    pub state: AccountState,
    /// Latest sign of use.
    pub last_use: Option<Timestamp>,
    /// Whether an acceptable factor is enrolled (independent side; `None`: not told).
    pub factor: Option<bool>,
}

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A person.
    Person,
    /// A service account.
    Service,
    /// A shared mailbox.
    Mailbox,
    /// A test account.
    Test,
    /// The tool's own, canaries and probes.
    Tool,
}

/// One person or service, with all of its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its id.
    pub id: SubjectId,
    /// What the id was made from, for instance `roster/own/10023`.
    pub anchor: String,
    /// What it is.
    pub kind: SubjectKind,
    /// Its entity; `None`: unassigned, never planned.
    pub entity: Option<EntityId>,
    /// What the roster says; `None` where it has no row.
    pub standing: Option<Standing>,
    /// The roster's row number, person id or employee number, for people to find it.
    pub roster_ref: Option<String>,
    /// Display name, for people.
    pub name: Option<String>,
    /// Its accounts in both stores.
    pub accounts: Vec<Account>,
    /// Why correlation left it undecided (rule ids); such a subject is not planned.
    pub undecided: Vec<String>,
    /// A protected identity: never touched.
    pub protected: bool,
    /// For services: an owner exists and has not departed.
    pub owned: Option<bool>,
    /// Ids of the subjects that own it, where they are known.
    pub owners: Vec<SubjectId>,
    /// A status finding (`residual.departed`, `.contract-ended`, `.already-separated`, `.orphan`) is raised on an account of it.
    pub status_rule: Option<String>,
}

impl Subject {
    /// The accounts in one store.
    pub fn accounts_in(&self, side: Side) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(move |a| a.side == side)
    }

    /// The primary account in one store.
    pub fn primary_in(&self, side: Side) -> Option<&Account> {
        self.accounts_in(side).find(|a| a.primary)
    }
}
