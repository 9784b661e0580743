//! Whether a directory is as it was before: two full dumps compared as sets.
//!
//! Names are normalized, the order of attributes and values is ignored, and values compare by the schema. What a write changes by
//! itself on every server (change markers, times) is ignored only on the entries that the caller names, so that an entry that
//! nobody should have touched shows up. Values of credentials are never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use untether_model::dn::DnKey;
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Value};

/// Attributes that are not compared, by entry.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    everywhere: BTreeSet<AttrName>,
    by_entry: BTreeMap<DnKey, BTreeSet<AttrName>>,
}

/// What each write changes on OpenLDAP, also where it restores a value.
const CHANGED_BY_WRITING: [&str; 3] = ["entryCSN", "modifyTimestamp", "modifiersName"];

/// What OpenLDAP removes or sets at a password write or a new entry and lets nobody set.
const LOST_WITH_PASSWORDS: [&str; 1] = ["pwdLastSuccess"];

/// What moves on the suffix with every write below it.
const CHANGED_ON_SUFFIX: [&str; 1] = ["contextCSN"];

/// Attributes whose values are never shown.
const CREDENTIALS: [&str; 8] = [
    "userpassword",
    "pwdhistory",
    "sambantpassword",
    "sambalmpassword",
    "krbprincipalkey",
    "usersmimecertificate",
    "userpkcs12",
    "olcrootpw",
];

impl Ignored {
    /// Nothing is ignored.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// "As before" on OpenLDAP: of `touched` entries what each write changes; of entries whose password was written or which were
    /// created again (`rewritten`) also what nobody can set; of the suffix its `contextCSN`.
    pub fn openldap<'a>(
        suffix: &Dn,
        touched: impl IntoIterator<Item = &'a Dn>,
        rewritten: impl IntoIterator<Item = &'a Dn>,
    ) -> Self {
        let mut ignored = Self::nothing().on([suffix], CHANGED_ON_SUFFIX).on(touched, CHANGED_BY_WRITING);
        for dn in rewritten {
            ignored = ignored.on([dn], CHANGED_BY_WRITING).on([dn], LOST_WITH_PASSWORDS);
        }
        ignored
    }

    /// Ignores these attributes on all entries.
    #[must_use]
    pub fn everywhere<'n>(mut self, attrs: impl IntoIterator<Item = &'n str>) -> Self {
        self.everywhere.extend(attrs.into_iter().map(AttrName::new));
        self
    }

    /// Ignores these attributes on these entries.
    #[must_use]
    pub fn on<'a, 'n>(mut self, entries: impl IntoIterator<Item = &'a Dn>, attrs: impl IntoIterator<Item = &'n str>) -> Self {
        let attrs: BTreeSet<AttrName> = attrs.into_iter().map(AttrName::new).collect();
        for dn in entries {
            self.by_entry.entry(dn.key().clone()).or_default().extend(attrs.iter().cloned());
        }
        self
    }

    fn has(&self, dn: &Dn, attr: &AttrName) -> bool {
        self.everywhere.contains(attr) || self.by_entry.get(dn.key()).is_some_and(|attrs| attrs.contains(attr))
    }
}

/// One difference between two dumps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The entry was there before and is not there now.
    Missing {
        /// The entry.
        dn: Dn,
    },
    /// The entry is there now and was not there before.
    Added {
        /// The entry.
        dn: Dn,
    },
    /// The dump holds the entry more than once, so it is no dump of one state.
    Twice {
        /// The entry.
        dn: Dn,
    },
    /// An attribute of the entry has other values.
    Attribute {
        /// The entry.
        dn: Dn,
        /// The attribute.
        attr: AttrName,
        /// Values that are no longer there.
        lost: Vec<Value>,
        /// Values that were not there.
        gained: Vec<Value>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { dn } => write!(f, "'{dn}' is missing"),
            Self::Added { dn } => write!(f, "'{dn}' was not there before"),
            Self::Twice { dn } => write!(f, "'{dn}' is in the dump more than once"),
            Self::Attribute { dn, attr, lost, gained } => {
                write!(f, "'{dn}' {attr}:")?;
                lost.iter().try_for_each(|value| write!(f, " -{}", shown(attr, value)))?;
                gained.iter().try_for_each(|value| write!(f, " +{}", shown(attr, value)))
            }
        }
    }
}

/// A value for people: short text as it is, anything else as its length.
fn shown(attr: &AttrName, value: &Value) -> String {
    const SHORT: usize = 200;
    match value.as_str() {
        Some(text) if !CREDENTIALS.contains(&attr.base()) && text.len() <= SHORT => format!("'{}'", text.escape_debug()),
        _ => format!("({} bytes)", value.as_bytes().len()),
    }
}

/// What is different between two dumps, sorted by entry and attribute; empty if everything is as before.
pub fn compare(before: &[Entry], after: &[Entry], schema: &Schema, ignored: &Ignored) -> Vec<Difference> {
    let mut differences = Vec::new();
    let was = index(before, &mut differences);
    let is = index(after, &mut differences);
    let keys: BTreeSet<&DnKey> = was.keys().chain(is.keys()).copied().collect();
    for key in keys {
        match (was.get(key), is.get(key)) {
            (Some(was), Some(is)) => compare_entry(was, is, schema, ignored, &mut differences),
            (Some(was), None) => differences.push(Difference::Missing { dn: was.dn.clone() }),
            (None, Some(is)) => differences.push(Difference::Added { dn: is.dn.clone() }),
            (None, None) => {}
        }
    }
    differences
}

fn index<'e>(entries: &'e [Entry], differences: &mut Vec<Difference>) -> BTreeMap<&'e DnKey, &'e Entry> {
    let mut by_name = BTreeMap::new();
    for entry in entries {
        if by_name.insert(entry.dn.key(), entry).is_some() {
            differences.push(Difference::Twice { dn: entry.dn.clone() });
        }
    }
    by_name
}

fn compare_entry(was: &Entry, is: &Entry, schema: &Schema, ignored: &Ignored, differences: &mut Vec<Difference>) {
    let attrs: BTreeSet<&AttrName> = was.attrs.keys().chain(is.attrs.keys()).collect();
    for attr in attrs.into_iter().filter(|attr| !ignored.has(&was.dn, attr)) {
        let values = |entry: &Entry| -> BTreeMap<Vec<u8>, Value> {
            let values = entry.attrs.get(attr).into_iter().flatten();
            values.map(|value| (schema.normalize(attr, value), value.clone())).collect()
        };
        let (before, after) = (values(was), values(is));
        let only = |these: &BTreeMap<Vec<u8>, Value>, others: &BTreeMap<Vec<u8>, Value>| -> Vec<Value> {
            these.iter().filter(|(key, _)| !others.contains_key(*key)).map(|(_, value)| value.clone()).collect()
        };
        let (lost, gained) = (only(&before, &after), only(&after, &before));
        if !lost.is_empty() || !gained.is_empty() {
            differences.push(Difference::Attribute { dn: was.dn.clone(), attr: attr.clone(), lost, gained });
        }
    }
}
