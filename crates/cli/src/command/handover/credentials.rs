//! One-time credentials as the ledger and the independent directory tell them together.
//!
//! Only keyed marks are compared: no secret is unsealed for looking. What the directory does not tell is unknown, never unused.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use jiff::Timestamp;
use untether_directory::{Failure, Read, Usability};
use untether_ledger::{KeyStore, Marks, Reader, StateDir};
use untether_model::plan::HandoverScope;
use untether_model::run::{Delivery, DeliveryStatus, Issue, Record, RunState, Started};
use untether_model::time::{PERMANENT_LOCK, generalized, parse_generalized};
use untether_model::{AttrName, BatchId, Dn, EntityId, Entry, OpId, Side, StableId, SubjectId, Value, WaveId};

use crate::args::{StateName, Whose};
use crate::config::Config;
use crate::error::{CliError, chain};
use crate::wiring::handover::login_of;
use crate::wiring::recorded::planned_operations;
use crate::wiring::stores::reader;

/// People whose accounts are read at the same time.
const READ_AT_ONCE: usize = 32;

/// What is looked at of an account.
const LOOKED_AT: [&str; 7] =
    ["entryUUID", "userPassword", "pwdReset", "pwdChangedTime", "pwdLastSuccess", "pwdAccountLockedTime", "pwdEndTime"];

/// The state that is looked at, opened or not.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The directory.
    pub dir: &'a StateDir,
    /// Its keys.
    pub keys: &'a KeyStore,
    /// The fold.
    pub state: &'a RunState,
}

/// A credential as the ledger knows it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Whose.
    pub subject: SubjectId,
    /// Their entity.
    pub entity: EntityId,
    /// The batch that has, or had, them in hand.
    pub batch: BatchId,
    /// The operation that set it.
    pub op: OpId,
    /// The number of its intent.
    pub issued: u64,
    /// When it was issued.
    pub at: Timestamp,
    /// None was issued after it.
    pub current: bool,
    /// The account; not known where its wave was forgotten.
    pub account: Option<Dn>,
    /// How its hand-over stands.
    pub delivery: Option<Delivery>,
    /// When it was made unusable, if it was.
    pub expired: Option<Timestamp>,
    stable_id: Option<StableId>,
    mark: Option<String>,
    must_change: bool,
}

impl Credential {
    /// The login by which people know the account.
    pub fn login(&self) -> String {
        self.account.as_ref().map(login_of).unwrap_or_default()
    }
}

/// The account as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub dn: Dn,
    /// Its stable id.
    pub stable_id: Option<StableId>,
    /// Marks of its password values.
    pub password: Vec<String>,
    /// Its lock.
    pub lock: Option<Value>,
    /// The end of its validity.
    pub end: Option<Value>,
    /// Its owner's name.
    pub name: Option<String>,
    /// Its owner's mail address.
    pub mail: Option<String>,
}

/// A credential with what became of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The credential.
    pub credential: Credential,
    /// What became of it.
    pub state: StateName,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// More, for people; may be empty.
    pub details: String,
    /// It is locked because of failed logins, which another credential makes good.
    pub by_failures: bool,
    /// The account, where it was looked at and is there.
    pub seen: Option<Seen>,
}

impl Row {
    /// Nobody has made it their own yet.
    pub fn waits(&self) -> bool {
        matches!(self.state, StateName::Undelivered | StateName::Unused | StateName::Opened)
    }
}

/// The scope that these words mean; people by id, login or account are found among those who hold a credential.
pub fn scope(source: Source<'_>, whose: &Whose) -> Result<HandoverScope, CliError> {
    let bad = |e: untether_model::ids::BadId| CliError::usage(e.to_string());
    let wave: Option<WaveId> = whose.wave.as_deref().map(|w| w.parse().map_err(bad)).transpose()?;
    let batch: Option<BatchId> = whose.batch.as_deref().map(|b| b.parse().map_err(bad)).transpose()?;
    let state = source.state;
    if let Some(wave) = wave.as_ref().filter(|wave| !state.waves().contains_key(*wave)) {
        return Err(CliError::usage(format!("wave {wave} has not started")).hint("`untether status` names waves"));
    }
    if let Some(batch) = batch.as_ref().filter(|batch| !state.batches().contains_key(*batch)) {
        return Err(CliError::usage(format!("batch {batch} is in no started wave")).hint("`untether status` names batches"));
    }
    let entity = whose.entity.as_deref().map(EntityId::new);
    let mut scope = HandoverScope { wave, batch, entity, subjects: Vec::new() };
    if !whose.subject.is_empty() {
        let holders = recorded(source, &HandoverScope::default())?;
        for wanted in &whose.subject {
            let mut found: BTreeSet<&SubjectId> = BTreeSet::new();
            for holder in &holders {
                let account = holder.account.as_ref().is_some_and(|dn| Dn::parse(wanted).is_ok_and(|w| w == *dn));
                let alias = *state.resolve_alias(&SubjectId::new(wanted.as_str())) == holder.subject;
                if alias || account || holder.login().eq_ignore_ascii_case(wanted) {
                    found.insert(&holder.subject);
                }
            }
            match found.len() {
                0 => {
                    return Err(CliError::usage(format!("nobody called '{wanted}' holds a one-time credential"))
                        .hint("`untether handover list` names those who do"));
                }
                1 => scope.subjects.extend(found.into_iter().cloned()),
                _ => {
                    let ids: Vec<&str> = found.iter().map(|id| id.as_str()).collect();
                    return Err(CliError::usage(format!("'{wanted}' is the login of several people"))
                        .hint(format!("give the subject id: {}", ids.join(", "))));
                }
            }
        }
        scope.subjects.sort();
        scope.subjects.dedup();
    }
    Ok(scope)
}

/// The credentials that the ledger knows of, by batch, account and time. Those that were taken back by a rollback are none any more.
pub fn recorded(source: Source<'_>, scope: &HandoverScope) -> Result<Vec<Credential>, CliError> {
    let state = source.state;
    let holders: Vec<(&SubjectId, Vec<Issue<'_>>, Option<Issue<'_>>)> = state
        .subjects()
        .iter()
        .filter(|(id, subject)| scope.takes(id, &subject.batch, &subject.entity))
        .map(|(id, _)| (id, state.issues(id), state.expired(id)))
        .filter(|(_, issues, _)| !issues.is_empty())
        .collect();
    let ops: BTreeSet<&OpId> = holders.iter().flat_map(|(_, issues, _)| issues.iter().map(|issue| issue.op)).collect();
    let numbers = holders.iter().flat_map(|(_, issues, expired)| issues.iter().chain(expired).map(|issue| issue.started));
    let intents = intents(source.dir, &numbers.collect())?;
    let accounts = accounts(source, &ops)?;
    let mut found = Vec::new();
    for (id, issues, expired) in holders {
        let Some(subject) = state.subjects().get(id) else { continue };
        let last = issues.last().map(|issue| issue.started);
        for issue in issues {
            let Some((at, started)) = intents.get(&issue.started) else { continue };
            let mark = |attr: &str| started.marks.get(&AttrName::new(attr)).and_then(|mark| mark.after.clone());
            let current = Some(issue.started) == last;
            found.push(Credential {
                subject: id.clone(),
                entity: subject.entity.clone(),
                batch: subject.batch.clone(),
                op: issue.op.clone(),
                issued: issue.started,
                at: *at,
                current,
                account: accounts.get(issue.op).cloned(),
                delivery: subject.delivery.clone().filter(|d| d.issued == issue.started),
                expired: expired.filter(|_| current).and_then(|expiry| intents.get(&expiry.started)).map(|(at, _)| *at),
                stable_id: started.stable_id.clone(),
                mark: mark("userPassword"),
                must_change: mark("pwdReset").is_some(),
            });
        }
    }
    found.sort_by(|a, b| (&a.batch, &a.entity, &a.account, a.issued).cmp(&(&b.batch, &b.entity, &b.account, b.issued)));
    Ok(found)
}

/// The intents with these numbers, with the time of their records.
fn intents(dir: &StateDir, wanted: &BTreeSet<u64>) -> Result<BTreeMap<u64, (Timestamp, Started)>, CliError> {
    let mut found = BTreeMap::new();
    let Some(first) = wanted.first() else { return Ok(found) };
    let mut reader = match first.checked_sub(1).filter(|before| *before > 0) {
        Some(before) => Reader::open_after(dir.disk(), &dir.ledger(), before)?,
        None => Reader::open(dir.disk(), &dir.ledger())?,
    };
    while let Some(frame) = reader.next_frame()? {
        if !wanted.contains(&frame.seq()) {
            continue;
        }
        let record = Record::from_parts(&frame.kind, frame.body())
            .map_err(|e| CliError::state(format!("record {}: {e}", frame.seq())).hint("`untether state check`"))?;
        if let Record::Started { started } = record {
            found.insert(frame.seq(), (frame.wall, started));
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    Ok(found)
}

/// The accounts that these operations are about. A wave that was forgotten tells nothing any more.
fn accounts(source: Source<'_>, ops: &BTreeSet<&OpId>) -> Result<BTreeMap<OpId, Dn>, CliError> {
    let mut found = BTreeMap::new();
    let waves: BTreeSet<&WaveId> = ops.iter().map(|op| op.wave()).collect();
    for wave in waves {
        let forgotten = source.state.waves().get(wave).is_some_and(|w| w.forgotten.is_some());
        if !forgotten {
            let files = (source.dir, source.keys);
            planned_operations(files, source.state, (wave, ops), |id, op| drop(found.insert(id, op.target.dn().clone())))?;
        }
    }
    Ok(found)
}

/// Looks at the accounts, many at a time, as the reading identity. The second value says why the directory told nothing, if it did
/// not: then nobody else is asked.
pub async fn look(
    config: &Config,
    marks: &Marks,
    credentials: Vec<Credential>,
    now: Timestamp,
) -> Result<(Vec<Row>, Option<String>), CliError> {
    let client = reader(config, Side::Independent)?;
    let attributes = &config.audit.independent.attributes;
    let mut asked: Vec<AttrName> = LOOKED_AT.map(AttrName::new).to_vec();
    asked.push(attributes.name.clone());
    asked.extend(attributes.mail.iter().cloned());
    let looking = Looking { client: &client, config, marks, asked, now, silent: std::sync::Mutex::new(None) };
    let looking = &looking;
    let rows: Vec<Row> = futures::stream::iter(credentials)
        .map(|credential| async move { looking.at(credential).await })
        .buffered(READ_AT_ONCE)
        .collect()
        .await;
    let silent = looking.silent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Ok((rows, silent))
}

struct Looking<'a> {
    client: &'a untether_ldap::Client,
    config: &'a Config,
    marks: &'a Marks,
    asked: Vec<AttrName>,
    now: Timestamp,
    /// Why the directory does not answer.
    silent: std::sync::Mutex<Option<String>>,
}

impl Looking<'_> {
    fn why_silent(&self) -> Option<String> {
        self.silent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn at(&self, credential: Credential) -> Row {
        let row = |credential, state, details: String| {
            let (since, by_failures, seen) = (None, false, None);
            Row { credential, state, since, details, by_failures, seen }
        };
        if !credential.current {
            return row(credential, StateName::Superseded, String::new());
        }
        let found = match self.why_silent() {
            Some(why) => Err(why),
            None => self.entry(&credential).await,
        };
        let entry = match found {
            Ok(Some(entry)) => entry,
            Ok(None) => return row(credential, StateName::Gone, "the account does not exist".to_owned()),
            Err(why) => return row(credential, StateName::Unknown, why),
        };
        let usable = match entry.has("pwdAccountLockedTime") || entry.has("pwdEndTime") {
            true => self.client.usability(&entry.dn).await.ok(),
            false => None,
        };
        let Judged { state, since, details, by_failures } = judge(&credential, &entry, (self.marks, usable, self.now));
        let seen = Some(self.seen(&entry));
        Row { credential, state, since, details, by_failures, seen }
    }

    /// The account by its name, and by its stable id where it was renamed.
    async fn entry(&self, credential: &Credential) -> Result<Option<Entry>, String> {
        let same = |entry: &Entry| match &credential.stable_id {
            Some(wanted) => entry.text("entryUUID").is_none_or(|id| id.eq_ignore_ascii_case(wanted.as_str())),
            None => true,
        };
        let by_name = match &credential.account {
            Some(dn) => self.client.read(dn, &self.asked).await.map_err(|e| self.failed(&e))?.filter(same),
            None => None,
        };
        match (&by_name, &credential.stable_id) {
            (None, Some(id)) => {
                let base = &self.config.audit.independent.suffix;
                self.client.find(base, id, &self.asked).await.map_err(|e| self.failed(&e))
            }
            _ => Ok(by_name),
        }
    }

    fn failed(&self, error: &untether_directory::DirectoryError) -> String {
        let words = chain(error);
        if matches!(error.failure, Failure::Unreachable | Failure::Unknown | Failure::Credentials) {
            self.silent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert_with(|| words.clone());
        }
        words
    }

    fn seen(&self, entry: &Entry) -> Seen {
        let attributes = &self.config.audit.independent.attributes;
        let first = |attr: &AttrName| entry.texts(attr.as_str()).next().map(str::to_owned);
        Seen {
            dn: entry.dn.clone(),
            stable_id: entry.text("entryUUID").map(StableId::new),
            password: entry.values("userPassword").iter().map(|v| self.marks.value("userPassword", v.as_bytes())).collect(),
            lock: entry.values("pwdAccountLockedTime").first().cloned(),
            end: entry.values("pwdEndTime").first().cloned(),
            name: first(&attributes.name),
            mail: attributes.mail.iter().find_map(first),
        }
    }
}

/// What became of a credential.
struct Judged {
    state: StateName,
    since: Option<Timestamp>,
    details: String,
    by_failures: bool,
}

impl Judged {
    fn new(state: StateName, since: Option<Timestamp>, details: impl Into<String>) -> Self {
        Self { state, since, details: details.into(), by_failures: false }
    }
}

/// What became of a credential, by what its account holds.
fn judge(credential: &Credential, entry: &Entry, (marks, usable, now): (&Marks, Option<Usability>, Timestamp)) -> Judged {
    let time = |attr: &str| entry.values(attr).iter().filter_map(generalized).max();
    let passwords = entry.values("userPassword");
    let (Some(mark), false) = (&credential.mark, passwords.is_empty()) else {
        let why = "the directory does not show the stored password to the reading identity, or there is none";
        return Judged::new(StateName::Unknown, None, why);
    };
    let is_ours = *mark == marks.set("userPassword", passwords.iter().map(Value::as_bytes));
    let must_change = entry.text("pwdReset").is_some_and(|text| text.eq_ignore_ascii_case("TRUE"));
    if !is_ours {
        let changed = time("pwdChangedTime");
        return match must_change {
            true => {
                Judged::new(StateName::Replaced, changed, "somebody else has set another password, to be changed at first use")
            }
            false => Judged::new(StateName::Used, changed, ""),
        };
    }
    // A write of the password takes the last login away, so any login that is told came after ours.
    let login = time("pwdLastSuccess");
    if login.is_some() && !credential.must_change {
        return Judged::new(StateName::Used, login, "logs in with it; it need not be changed");
    }
    if let Some(closed) = closed(entry, usable, now) {
        return match credential.expired {
            Some(at) => Judged::new(StateName::Expired, Some(at), ""),
            None => closed,
        };
    }
    let reopened = if credential.expired.is_some() { "it had expired, and somebody has opened the account again" } else { "" };
    if login.is_some() {
        return Judged::new(StateName::Opened, login, reopened);
    }
    match &credential.delivery {
        None => Judged::new(StateName::Undelivered, None, "no hand-over was tried yet"),
        Some(delivery) => match delivery.status {
            DeliveryStatus::Delivered => Judged::new(StateName::Unused, None, reopened),
            DeliveryStatus::Failed => Judged::new(StateName::Undelivered, Some(delivery.at), delivery.message.as_str()),
            DeliveryStatus::Begun => {
                Judged::new(StateName::Undelivered, Some(delivery.at), "interrupted: nobody knows whether it has arrived")
            }
        },
    }
}

/// Since when and why nobody gets in; `None`: somebody does. A lock that has run out is none.
fn closed(entry: &Entry, usable: Option<Usability>, now: Timestamp) -> Option<Judged> {
    if usable == Some(Usability::Available) {
        return None;
    }
    if let Some(end) = entry.text("pwdEndTime").and_then(parse_generalized).filter(|end| *end < now) {
        return Some(Judged::new(StateName::Locked, Some(end), "its validity has ended"));
    }
    Some(match entry.text("pwdAccountLockedTime")? {
        PERMANENT_LOCK => Judged::new(StateName::Locked, None, "locked by an administrator"),
        since => {
            let locked = Judged::new(StateName::Locked, parse_generalized(since), "locked after failed logins");
            Judged { by_failures: true, ..locked }
        }
    })
}

#[cfg(test)]
mod tests {
    use untether_ledger::Key;

    use super::*;

    const OURS: &str = "{SSHA}ours";

    fn marks() -> Marks {
        Marks::new(&Key::from_bytes([7; 32]))
    }

    fn credential(status: Option<DeliveryStatus>) -> Credential {
        let at = Timestamp::UNIX_EPOCH;
        let batch: BatchId = "p/w/b01".parse().unwrap();
        let delivery = status.map(|status| Delivery {
            issued: 7,
            status,
            since: at,
            at,
            way: "hook".to_owned(),
            message: "the mailbox is full".to_owned(),
        });
        Credential {
            subject: SubjectId::new("s"),
            entity: EntityId::new("own"),
            op: OpId::new(batch.clone(), 1),
            batch,
            issued: 7,
            at,
            current: true,
            account: None,
            delivery,
            expired: None,
            stable_id: None,
            mark: Some(marks().set("userPassword", [OURS.as_bytes()])),
            must_change: true,
        }
    }

    fn entry(attrs: &[(&str, &str)]) -> Entry {
        let mut entry = Entry::new(Dn::parse("uid=a,dc=x").unwrap());
        for (name, value) in attrs {
            entry.attrs.insert(AttrName::new(name), vec![Value::from(*value)]);
        }
        entry
    }

    fn state(credential: &Credential, attrs: &[(&str, &str)], usable: Option<Usability>) -> StateName {
        judge(credential, &entry(attrs), (&marks(), usable, "2026-11-24T00:00:00Z".parse().unwrap())).state
    }

    #[test]
    fn what_the_directory_does_not_show_is_unknown_and_never_unused() {
        let delivered = credential(Some(DeliveryStatus::Delivered));
        assert_eq!(state(&delivered, &[("pwdReset", "TRUE")], None), StateName::Unknown);
        let forgotten = Credential { mark: None, ..delivered };
        assert_eq!(state(&forgotten, &[("userPassword", OURS)], None), StateName::Unknown);
    }

    #[test]
    fn use_is_seen_from_the_stored_value_and_the_logins() {
        let delivered = credential(Some(DeliveryStatus::Delivered));
        let reset = ("pwdReset", "TRUE");
        let (ours, other) = (("userPassword", OURS), ("userPassword", "{SSHA}other"));
        let login = ("pwdLastSuccess", "20261123000000Z");
        assert_eq!(state(&delivered, &[ours, reset], None), StateName::Unused);
        assert_eq!(state(&delivered, &[ours, reset, login], None), StateName::Opened);
        assert_eq!(state(&delivered, &[other], None), StateName::Used);
        assert_eq!(state(&delivered, &[other, reset], None), StateName::Replaced);
        let lasting = Credential { must_change: false, ..delivered };
        assert_eq!(state(&lasting, &[ours, login], None), StateName::Used);
    }

    #[test]
    fn a_closed_account_is_locked_unless_we_have_closed_it() {
        let delivered = credential(Some(DeliveryStatus::Delivered));
        let held = [("userPassword", OURS), ("pwdReset", "TRUE"), ("pwdAccountLockedTime", PERMANENT_LOCK)];
        assert_eq!(state(&delivered, &held, Some(Usability::Unavailable)), StateName::Locked);
        assert_eq!(state(&delivered, &held, Some(Usability::Unknown)), StateName::Locked);
        let expired = Credential { expired: Some(Timestamp::UNIX_EPOCH), ..delivered.clone() };
        assert_eq!(state(&expired, &held, Some(Usability::Unavailable)), StateName::Expired);
        let ran_out = [("userPassword", OURS), ("pwdReset", "TRUE"), ("pwdAccountLockedTime", "20261120000000Z")];
        assert_eq!(state(&delivered, &ran_out, Some(Usability::Available)), StateName::Unused);
        // Somebody has opened what we had closed.
        assert_eq!(state(&expired, &[("userPassword", OURS), ("pwdReset", "TRUE")], None), StateName::Unused);
    }

    #[test]
    fn what_did_not_arrive_is_told_with_what_the_hook_said() {
        let held = [("userPassword", OURS), ("pwdReset", "TRUE")];
        for status in [None, Some(DeliveryStatus::Begun), Some(DeliveryStatus::Failed)] {
            assert_eq!(state(&credential(status), &held, None), StateName::Undelivered);
        }
        let failed = credential(Some(DeliveryStatus::Failed));
        assert_eq!(judge(&failed, &entry(&held), (&marks(), None, Timestamp::UNIX_EPOCH)).details, "the mailbox is full");
    }
}
