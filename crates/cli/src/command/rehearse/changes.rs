//! What a rehearsal changed in a store: entries made, removed, and changed by attribute.
//!
//! Leaves out what each write moves by itself; values of credentials are never shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use untether_model::dn::DnKey;
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side, Value};

/// What each write moves by itself (OpenLDAP).
const MOVED: [&str; 5] = ["entrycsn", "modifytimestamp", "modifiersname", "pwdchangedtime", "contextcsn"];

/// Attributes whose values are not shown.
const CREDENTIALS: [&str; 3] = ["userpassword", "pwdhistory", "sambantpassword"];

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is new.
    Created,
    /// Attributes of it are others.
    Changed,
    /// It is gone.
    Removed,
}

/// Values of one attribute that came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Values {
    /// Those that came.
    pub come: Vec<String>,
    /// Those that went.
    pub gone: Vec<String>,
}

/// One entry that is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryChange {
    /// The entry.
    pub dn: Dn,
    /// What became of it.
    pub what: What,
    /// Its attributes that are others; of a removed entry none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<AttrName, Values>,
}

/// What is another in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The store.
    pub store: Side,
    /// Entries made.
    pub created: u64,
    /// Entries changed.
    pub changed: u64,
    /// Entries removed.
    pub removed: u64,
    /// Each of them, by name.
    pub entries: Vec<EntryChange>,
}

impl Changes {
    /// Compares two dumps.
    pub fn between(store: Side, before: &[Entry], after: &[Entry], schema: &Schema) -> Self {
        let was: BTreeMap<&DnKey, &Entry> = before.iter().map(|e| (e.dn.key(), e)).collect();
        let is: BTreeMap<&DnKey, &Entry> = after.iter().map(|e| (e.dn.key(), e)).collect();
        let mut out = Self { store, created: 0, changed: 0, removed: 0, entries: Vec::new() };
        let names: BTreeSet<&DnKey> = was.keys().chain(is.keys()).copied().collect();
        for name in names {
            let (what, entry, attrs) = match (was.get(name), is.get(name)) {
                (None, Some(now)) => (What::Created, *now, differences(None, now, schema)),
                (Some(then), None) => (What::Removed, *then, BTreeMap::new()),
                (Some(then), Some(now)) => (What::Changed, *now, differences(Some(then), now, schema)),
                (None, None) => continue,
            };
            match what {
                What::Changed if attrs.is_empty() => continue,
                What::Changed => out.changed += 1,
                What::Created => out.created += 1,
                What::Removed => out.removed += 1,
            }
            out.entries.push(EntryChange { dn: entry.dn.clone(), what, attrs });
        }
        out
    }
}

fn differences(then: Option<&Entry>, now: &Entry, schema: &Schema) -> BTreeMap<AttrName, Values> {
    let names: BTreeSet<&AttrName> = then.iter().flat_map(|e| e.attrs.keys()).chain(now.attrs.keys()).collect();
    let mut out = BTreeMap::new();
    for attr in names.into_iter().filter(|attr| !MOVED.contains(&attr.base())) {
        let before = then.map(|entry| entry.attrs.values_of(attr)).unwrap_or_default();
        let after = now.attrs.values_of(attr);
        let keys = |values: &[Value]| -> BTreeSet<Vec<u8>> { values.iter().map(|v| schema.normalize(attr, v)).collect() };
        let (had, has) = (keys(before), keys(after));
        let shown = |values: &[Value], other: &BTreeSet<Vec<u8>>| -> Vec<String> {
            let stay = values.iter().filter(|v| !other.contains(&schema.normalize(attr, v)));
            stay.map(|v| show(attr, v)).collect()
        };
        let values = Values { come: shown(after, &had), gone: shown(before, &has) };
        if values != Values::default() {
            out.insert(attr.clone(), values);
        }
    }
    out
}

fn show(attr: &AttrName, value: &Value) -> String {
    match value.as_str() {
        _ if CREDENTIALS.contains(&attr.base()) => "(credential)".to_owned(),
        Some(text) if !text.contains("rehearsal-") => text.to_owned(),
        Some(_) => "(credential)".to_owned(),
        None => format!("({} bytes)", value.as_bytes().len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dn: &str, attrs: &[(&str, &[&str])]) -> Entry {
        let mut entry = Entry::new(Dn::parse(dn).unwrap());
        for (name, values) in attrs {
            entry.attrs.insert(AttrName::new(name), values.iter().map(|v| Value::from(*v)).collect::<untether_model::Values>());
        }
        entry
    }

    #[test]
    fn only_what_differs_is_shown_and_no_credential() {
        let before = [
            entry("cn=g,dc=x", &[("member", &["uid=a,dc=x", "uid=b,dc=x"]), ("entryCSN", &["1"])]),
            entry("uid=a,dc=x", &[("mail", &["a@x"]), ("userPassword", &["{SSHA}secret"])]),
            entry("uid=b,dc=x", &[("mail", &["b@x"])]),
        ];
        let after = [
            entry("cn=g,dc=x", &[("member", &["UID=a, dc=x"]), ("entryCSN", &["2"])]),
            entry("uid=a,dc=x", &[("mail", &["A@x"]), ("userPassword", &["{SSHA}other"])]),
            entry("uid=c,dc=x", &[("mail", &["c@x"])]),
        ];
        let found = Changes::between(Side::Shared, &before, &after, &Schema::standard());
        assert_eq!((found.created, found.changed, found.removed), (1, 2, 1));
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["entries"][0]["attrs"]["member"], serde_json::json!({"come": [], "gone": ["uid=b,dc=x"]}));
        assert_eq!(
            json["entries"][1]["attrs"],
            serde_json::json!({"userPassword": {"come": ["(credential)"], "gone": ["(credential)"]}})
        );
        assert!(!json.to_string().contains("SSHA"));
    }
}
