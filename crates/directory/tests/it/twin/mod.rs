//! The twin behaves as the server that it stands for.
//!
//! Every result code and effect asserted here was observed on slapd 2.5.13.

mod conditions;
mod faults;
mod overlays;
mod passwords;
mod random;
mod reads;
mod writes;

use futures::executor::block_on;
use jiff::Timestamp;
use untether_directory::twin::{Identity, SettableClock, Twin, TwinConfig, TwinHandle};
use untether_directory::{DirectoryError, Read, Write, WriteOptions, Written};
use untether_model::change::{Change, ModKind, Modification};
use untether_model::{AttrMap, AttrName, Dn, Entry, Side, Value};

pub const SUFFIX: &str = "dc=own,dc=example";
pub const LOCKED: &str = "000001010000Z";
/// `secret-a` and `secret-b`.
pub const HASH_A: &str = "{SSHA}VgbvF3XmBGYw6QyFRUEprdHiTmNzYWx0LWE=";
pub const HASH_B: &str = "{SSHA}MYjV76vj4CKs8ESXLInzptbNskVzYWx0LWI=";

/// A twin with a clock, and what tests do with it all the time.
pub struct World {
    pub twin: Twin,
    pub clock: SettableClock,
}

pub fn dn(relative: &str) -> Dn {
    Dn::parse(&if relative.is_empty() { SUFFIX.to_owned() } else { format!("{relative},{SUFFIX}") }).unwrap()
}

pub fn attrs(pairs: &[(&str, &[&str])]) -> AttrMap {
    pairs.iter().map(|(name, values)| (AttrName::new(name), values.iter().map(|v| Value::from(*v)).collect())).collect()
}

pub fn entry(relative: &str, pairs: &[(&str, &[&str])]) -> Entry {
    Entry { dn: dn(relative), attrs: attrs(pairs) }
}

pub fn modification(kind: ModKind, attr: &str, values: &[&str]) -> Modification {
    Modification { attr: attr.into(), kind, values: values.iter().map(|v| Value::from(*v)).collect() }
}

pub fn add(attr: &str, values: &[&str]) -> Modification {
    modification(ModKind::Add, attr, values)
}

pub fn delete(attr: &str, values: &[&str]) -> Modification {
    modification(ModKind::Delete, attr, values)
}

pub fn replace(attr: &str, values: &[&str]) -> Modification {
    modification(ModKind::Replace, attr, values)
}

pub fn relaxed() -> WriteOptions {
    WriteOptions { relax: true, ..WriteOptions::default() }
}

impl World {
    /// A suffix with people, groups, a policy that locks and one that does not.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut TwinConfig)) -> Self {
        let clock = SettableClock::new("2026-11-20T09:30:00Z".parse::<Timestamp>().unwrap());
        let mut config = TwinConfig::openldap(Side::Independent, dn(""));
        change(&mut config);
        let twin = Twin::new(config, clock.as_clock());
        let policy = |name: &str, more: &[(&str, &[&str])]| {
            let mut policy =
                entry(&format!("cn={name},ou=policies"), &[("objectClass", &["device", "pwdPolicy"]), ("cn", &[name])]);
            policy.attrs.extend(attrs(&[("pwdAttribute", &["userPassword"])]));
            policy.attrs.extend(attrs(more));
            policy
        };
        twin.load([
            entry("", &[("objectClass", &["domain"]), ("dc", &["own"])]),
            entry("ou=people", &[("objectClass", &["organizationalUnit"]), ("ou", &["people"])]),
            entry("ou=groups", &[("objectClass", &["organizationalUnit"]), ("ou", &["groups"])]),
            entry("ou=policies", &[("objectClass", &["organizationalUnit"]), ("ou", &["policies"])]),
            policy(
                "default",
                &[("pwdLockout", &["TRUE"]), ("pwdMustChange", &["TRUE"]), ("pwdInHistory", &["5"]), ("pwdMaxFailure", &["3"])],
            ),
            policy("nolock", &[("pwdLockout", &["FALSE"])]),
        ]);
        Self { twin, clock }
    }

    pub fn handle(&self, identity: Identity) -> TwinHandle {
        self.twin.handle(identity)
    }

    pub fn apply(&self, who: Identity, change: &Change, options: &WriteOptions) -> Result<Written, DirectoryError> {
        block_on(self.handle(who).apply(change, options))
    }

    pub fn modify(&self, who: Identity, relative: &str, mods: Vec<Modification>) -> Result<Written, DirectoryError> {
        self.apply(who, &Change::Modify { dn: dn(relative), mods }, &WriteOptions::default())
    }

    pub fn delete(&self, who: Identity, relative: &str) -> Result<Written, DirectoryError> {
        self.apply(who, &Change::Delete { dn: dn(relative) }, &WriteOptions::default())
    }

    pub fn add(&self, who: Identity, relative: &str, pairs: &[(&str, &[&str])]) -> Result<Written, DirectoryError> {
        self.apply(who, &Change::Add { dn: dn(relative), attrs: attrs(pairs) }, &WriteOptions::default())
    }

    /// A person with further attributes.
    pub fn person(&self, uid: &str, more: &[(&str, &[&str])]) {
        let mut pairs: Vec<(&str, &[&str])> = vec![("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["y"])];
        pairs.extend(more);
        self.add(Identity::Root, &format!("uid={uid},ou=people"), &pairs).unwrap();
    }

    /// All attributes of an entry.
    pub fn get(&self, relative: &str) -> Option<Entry> {
        block_on(self.handle(Identity::Reader).read(&dn(relative), &["*".into(), "+".into()])).unwrap()
    }

    pub fn texts(&self, relative: &str, attr: &str) -> Vec<String> {
        self.get(relative).unwrap().texts(attr).map(str::to_owned).collect()
    }

    pub fn text(&self, relative: &str, attr: &str) -> Option<String> {
        self.texts(relative, attr).into_iter().next()
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.advance(jiff::SignedDuration::from_secs(seconds));
    }
}

#[track_caller]
pub fn refused(code: u32, result: Result<Written, DirectoryError>) -> DirectoryError {
    let error = result.unwrap_err();
    assert_eq!(error.code, Some(code), "{error}");
    error
}
