//! Accounts and groups: what is kept of each on its way to the comparison, and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use serde::{Deserialize, Serialize};
use untether_model::roster::Presence;
use untether_model::snapshot::{Account, CredentialKind, EntryRole, MatchKey, PathState, SnapshotEntry, Subject};
use untether_model::{Dn, EntityId, Side};

use super::rows::Field;
use crate::source::values;

/// Attributes by which groups name their members.
const MEMBERS: [&str; 4] = ["member", "uniquemember", "memberuid", "roleoccupant"];

/// What is kept of an account or a group. The order of the variants is the order in which they are sorted under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// As its subject has it.
    Account(AccountPart),
    /// As its entry has it.
    Entry(EntryPart),
}

/// An account as its subject has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountPart {
    pub(super) subject: String,
    pub(super) presence: Option<Presence>,
    pub(super) entity: Option<EntityId>,
    paths: Vec<(String, PathState)>,
    locked: bool,
    ended: bool,
    policy_effective: Option<bool>,
    primary: bool,
    secondary: bool,
    factor: Option<bool>,
    matched_by: Option<MatchKey>,
}

impl AccountPart {
    pub(super) fn of(subject: &Subject, account: &Account) -> Self {
        Self {
            subject: subject.id.as_str().to_owned(),
            presence: subject.standing.as_ref().map(|s| s.presence),
            entity: subject.entity.clone(),
            paths: account.state.paths.iter().map(|path| (path.path.clone(), path.state)).collect(),
            locked: account.state.locked,
            ended: account.state.ended,
            policy_effective: account.state.policy_effective,
            primary: account.primary,
            secondary: account.secondary,
            factor: account.factor,
            matched_by: account.matched_by,
        }
    }

    /// The worst over all paths.
    pub(super) fn overall(&self) -> PathState {
        self.paths.iter().map(|(_, state)| *state).max().unwrap_or(PathState::Refused)
    }
}

/// Marks of the credentials in one attribute.
type Marks = (String, CredentialKind, u32, u64);

/// An account or group as its entry has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryPart {
    pub(super) dn: String,
    /// Marks by attribute.
    credentials: Vec<Marks>,
    /// Hashes of the members' names, sorted; `None`: no group.
    members: Option<Vec<u64>>,
}

impl EntryPart {
    /// Of an entry that is the same in both audits: only its name.
    pub(super) fn named(dn: &Dn) -> Self {
        Self { dn: dn.as_str().to_owned(), credentials: Vec::new(), members: None }
    }

    /// Of an account or group; `None` for other entries.
    pub(super) fn of(entry: &SnapshotEntry) -> Option<Self> {
        let members = match entry.role {
            EntryRole::Account => None,
            EntryRole::Other => Some(members(entry)?),
            EntryRole::Config | EntryRole::Copy => return None,
        };
        let mut credentials: BTreeMap<(&str, CredentialKind), Vec<&str>> = BTreeMap::new();
        if entry.role == EntryRole::Account {
            for mark in &entry.credentials {
                credentials.entry((mark.attr.as_str(), mark.kind)).or_default().push(&mark.exact);
            }
        }
        let marks = |((attr, kind), mut exact): ((&str, CredentialKind), Vec<&str>)| {
            exact.sort_unstable();
            (attr.to_owned(), kind, u32::try_from(exact.len()).unwrap_or(u32::MAX), hash(&exact))
        };
        Some(Self { dn: entry.dn.as_str().to_owned(), credentials: credentials.into_iter().map(marks).collect(), members })
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Members of a group, each by the hash of its comparable name; `None` where the entry names none.
fn members(entry: &SnapshotEntry) -> Option<Vec<u64>> {
    let mut members: Vec<u64> = Vec::new();
    for name in MEMBERS {
        for value in values(entry, name) {
            let text = value.to_lossy();
            members.push(match Dn::parse(&text) {
                Ok(dn) if name != "memberuid" => hash(&dn.key().as_str()),
                _ => hash(&text),
            });
        }
    }
    members.sort_unstable();
    members.dedup();
    (!members.is_empty()).then_some(members)
}

/// Everything that is kept under one key of one audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) account: Option<AccountPart>,
    pub(super) entry: Option<EntryPart>,
}

impl Whole {
    pub(super) fn take(&mut self, part: Part) {
        match part {
            Part::Account(account) => self.account = Some(account),
            Part::Entry(entry) => self.entry = Some(entry),
        }
    }

    /// A group, and not an account.
    pub(super) fn is_group(&self) -> bool {
        self.account.is_none() && self.entry.as_ref().is_some_and(|entry| entry.members.is_some())
    }

    pub(super) fn dn(&self) -> &str {
        self.entry.as_ref().map_or("", |entry| &entry.dn)
    }

    pub(super) fn members(&self) -> &[u64] {
        self.entry.as_ref().and_then(|entry| entry.members.as_deref()).unwrap_or_default()
    }
}

/// A path's state, for people.
pub(super) fn state(state: PathState) -> &'static str {
    match state {
        PathState::Open => "open",
        PathState::Refused => "refused",
        PathState::Unknown => "unknown",
    }
}

/// What differs between the two states of an account.
pub(super) fn differences(before: &Whole, after: &Whole) -> Vec<Field> {
    let mut fields = Vec::new();
    if let (Some(was), Some(is)) = (&before.entry, &after.entry) {
        let key = |dn: &str| Dn::parse(dn).map(|dn| dn.key().as_str().to_owned()).unwrap_or_else(|_| dn.to_owned());
        if was.dn != is.dn && key(&was.dn) != key(&is.dn) {
            fields.push(Field { what: "dn".to_owned(), before: Some(was.dn.clone()), after: Some(is.dn.clone()) });
        }
        credentials(&was.credentials, &is.credentials, &mut fields);
    }
    if let (Some(was), Some(is)) = (&before.account, &after.account) {
        let flag = |flag: &bool| Some(flag.to_string());
        let told = |told: &Option<bool>| told.map(|t| t.to_string());
        fields.extend(Field::of("subject", &was.subject, &is.subject, |id| Some(id.clone())));
        fields.extend(Field::of("state", &was.overall(), &is.overall(), |s| Some(state(*s).to_owned())));
        let paths = |part: &AccountPart| part.paths.iter().cloned().collect::<BTreeMap<String, PathState>>();
        let (paths_before, paths_after) = (paths(was), paths(is));
        let names: BTreeSet<&String> = paths_before.keys().chain(paths_after.keys()).collect();
        for name in names {
            let of = |paths: &BTreeMap<String, PathState>| paths.get(name).copied();
            let words = |s: &Option<PathState>| s.map(|s| state(s).to_owned());
            fields.extend(Field::of(&format!("path {name}"), &of(&paths_before), &of(&paths_after), words));
        }
        fields.extend(Field::of("locked", &was.locked, &is.locked, flag));
        fields.extend(Field::of("ended", &was.ended, &is.ended, flag));
        fields.extend(Field::of("policy-effective", &was.policy_effective, &is.policy_effective, told));
        fields.extend(Field::of("primary", &was.primary, &is.primary, flag));
        fields.extend(Field::of("secondary", &was.secondary, &is.secondary, flag));
        fields.extend(Field::of("factor", &was.factor, &is.factor, told));
        let key =
            |key: &Option<MatchKey>| key.and_then(|k| serde_json::to_value(k).ok()).and_then(|v| v.as_str().map(str::to_owned));
        fields.extend(Field::of("matched-by", &was.matched_by, &is.matched_by, key));
    }
    fields
}

/// Credentials by attribute: that they are others, and how many there are. Never anything of a value.
fn credentials(before: &[Marks], after: &[Marks], fields: &mut Vec<Field>) {
    let by_attr = |marks: &[Marks]| -> BTreeMap<String, (u32, u64)> {
        marks.iter().map(|(attr, _, count, hash)| (attr.clone(), (*count, *hash))).collect()
    };
    let (was, is) = (by_attr(before), by_attr(after));
    let attrs: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for attr in attrs.into_iter().filter(|attr| was.get(*attr) != is.get(*attr)) {
        let words = |values: Option<&(u32, u64)>, other: &str| match values {
            None => None,
            Some((1, _)) => Some(other.to_owned()),
            Some((count, _)) => Some(format!("{count} values")),
        };
        fields.push(Field {
            what: format!("credential {attr}"),
            before: words(was.get(attr), "a value"),
            after: words(is.get(attr), if was.contains_key(attr) { "another value" } else { "a value" }),
        });
    }
}

/// Members that came and went.
pub(super) fn membership(before: &[u64], after: &[u64]) -> (u64, u64) {
    let missing = |here: &[u64], there: &[u64]| {
        u64::try_from(here.iter().filter(|member| there.binary_search(member).is_err()).count()).unwrap_or(u64::MAX)
    };
    (missing(after, before), missing(before, after))
}

/// The key under which both parts of an account stand: its store, then its stable id, or its name where it has none.
pub(super) fn key(side: Side, stable_id: Option<&str>, dn: &Dn) -> Vec<u8> {
    let store = match side {
        Side::Shared => b's',
        Side::Independent => b't',
    };
    let (form, text) = match stable_id {
        Some(id) => (b'i', id),
        None => (b'n', dn.key().as_str()),
    };
    let mut key = vec![store, form];
    key.extend_from_slice(text.as_bytes());
    key
}

/// The store and the stable id of a key.
pub(super) fn of_key(key: &[u8]) -> (Side, Option<String>) {
    let side = if key.first() == Some(&b's') { Side::Shared } else { Side::Independent };
    let text = || String::from_utf8_lossy(key.get(2..).unwrap_or_default()).into_owned();
    (side, (key.get(1) == Some(&b'i')).then(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted_by_who_came_and_went() {
        assert_eq!(membership(&[1, 3, 5], &[1, 2, 5, 7]), (2, 1));
        assert_eq!(membership(&[], &[]), (0, 0));
    }

    #[test]
    fn keys_tell_stores_and_names_from_ids() {
        let dn = Dn::parse("UID=a,dc=x").unwrap();
        assert_eq!(of_key(&key(Side::Shared, Some("abc"), &dn)), (Side::Shared, Some("abc".to_owned())));
        assert_eq!(of_key(&key(Side::Independent, None, &dn)), (Side::Independent, None));
        assert!(key(Side::Shared, Some("z"), &dn) < key(Side::Independent, Some("a"), &dn), "the shared store comes first");
    }

    #[test]
    fn of_a_credential_only_that_it_is_another_is_told() {
        let marks = |count, hash| vec![("userPassword".to_owned(), CredentialKind::Password, count, hash)];
        let told = |before: &[Marks], after: &[Marks]| {
            let mut fields = Vec::new();
            credentials(before, after, &mut fields);
            fields.into_iter().map(|f| (f.what, f.before, f.after)).collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        let what = || "credential userPassword".to_owned();
        assert_eq!(told(&marks(1, 7), &marks(1, 7)), []);
        assert_eq!(told(&marks(1, 7), &marks(1, 8)), [(what(), some("a value"), some("another value"))]);
        assert_eq!(told(&marks(2, 7), &[]), [(what(), some("2 values"), None)]);
        assert_eq!(told(&[], &marks(1, 7)), [(what(), None, some("a value"))]);
    }
}
