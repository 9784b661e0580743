//! Asks a real server what it would say to a write, with the critical no-op control (draft-zeilenga-ldap-noop).
//!
//! Handed out only for servers that have answered a no-op as such before. Asked is what the server can judge as it stands now: the
//! first write to each entry, and removals of entries that nothing stands below. Conditions are reduced to the stable id, and
//! credentials, of which a rehearsal has placeholders only, to "whatever is there".
//!
//! Attributes that no entry of the store has yet are left out. back-mdb numbers an attribute when an entry first uses it; after a
//! no-op the number is forgotten in the database and remembered by the server, and entries that are written later cannot be read any
//! more (`a_no_op_with_an_attribute_that_no_entry_has_can_destroy_entries` in `crates/ldap/tests/it/transactions.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use untether_directory::{Condition, Write, WriteOptions};
use untether_model::change::{Change, ModKind, Modification};
use untether_model::dn::DnKey;
use untether_model::{AttrName, Dn, Entry, Side};

use super::twins::Placeholders;

/// Result code (RFC 4511, appendix A).
const OBJECT_CLASS_VIOLATION: u32 = 65;

/// A write that a server would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The store.
    pub store: Side,
    /// `add`, `modify` or `delete`.
    pub operation: &'static str,
    /// The entry.
    pub dn: Dn,
    /// Its result code, where it answered.
    pub code: Option<u32>,
    /// Its words.
    pub message: String,
}

/// What was asked of one server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Asked {
    /// Writes that it was asked about.
    pub asked: u64,
    /// Writes that depend on earlier ones of the plan, so that it could not judge them yet.
    pub not_asked: u64,
    /// Writes that it was asked about without some attributes, because no entry has these yet.
    pub partly: u64,
    /// Attributes that it could not be asked about.
    pub new_attributes: BTreeSet<AttrName>,
    /// What it would refuse.
    pub refused: Vec<Refused>,
}

/// Asks one server.
pub struct Asker {
    side: Side,
    writer: Arc<dyn Write>,
    undoer: Option<Arc<dyn Write>>,
    placeholders: Arc<Placeholders>,
    /// Entries that others stood below in the snapshot.
    parents: BTreeSet<DnKey>,
    /// Attributes that entries had in the snapshot.
    used: BTreeSet<AttrName>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Entries that were written to; `true`: created by the rehearsal.
    written: BTreeMap<DnKey, bool>,
    asked: Asked,
}

impl Asker {
    /// Asks with these binds, each of which is known to have no-op, about a store with these entries.
    pub fn new(
        side: Side,
        (writer, undoer): (Arc<dyn Write>, Option<Arc<dyn Write>>),
        placeholders: Arc<Placeholders>,
        entries: &[Entry],
    ) -> Self {
        let parents = entries.iter().filter_map(|e| e.dn.parent().map(|dn| dn.key().clone())).collect();
        let used = entries.iter().flat_map(|entry| entry.attrs.keys().cloned()).collect();
        Self { side, writer, undoer, placeholders, parents, used, seen: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked and answered so far.
    pub fn told(&self) -> Asked {
        self.lock().asked.clone()
    }

    /// Asks about a write that goes to the twin next.
    pub(super) async fn ask(&self, change: &Change, options: &WriteOptions) {
        let writer = if options.relax { self.undoer.as_ref() } else { Some(&self.writer) };
        let may = self.may_judge(change);
        let askable = self.askable(change);
        let (Some(writer), true, Some((change, whole))) = (writer, may, askable) else {
            self.lock().asked.not_asked += 1;
            return;
        };
        let condition = options.condition.as_ref().and_then(|condition| condition.stable_id.clone());
        let condition = condition.map(|id| Condition { stable_id: Some(id), ..Condition::default() });
        let asked = WriteOptions { condition, relax: options.relax, no_op: true, ..WriteOptions::default() };
        let answer = writer.apply(&self.without_placeholders(&change), &asked).await;
        let mut seen = self.lock();
        seen.asked.asked += 1;
        seen.asked.partly += u64::from(!whole);
        if let Err(error) = answer {
            // What was left out may be what the class demands (slapd's words).
            if !whole && error.code == Some(OBJECT_CLASS_VIOLATION) && error.message.contains("requires attribute") {
                return;
            }
            let operation = match change {
                Change::Add { .. } => "add",
                Change::Modify { .. } => "modify",
                Change::Delete { .. } => "delete",
            };
            let (dn, code, message) = (change.dn().clone(), error.code, error.message);
            seen.asked.refused.push(Refused { store: self.side, operation, dn, code, message });
        }
    }

    /// Whether the server, which has none of the earlier writes, can judge this one.
    fn may_judge(&self, change: &Change) -> bool {
        let mut seen = self.lock();
        let key = change.dn().key().clone();
        match change {
            Change::Add { dn, .. } => {
                let below_new = dn.parent().is_some_and(|parent| seen.written.get(parent.key()) == Some(&true));
                seen.written.insert(key, true).is_none() && !below_new
            }
            Change::Modify { .. } => {
                let first = !seen.written.contains_key(&key);
                seen.written.entry(key).or_insert(false);
                first
            }
            Change::Delete { .. } => !self.parents.contains(&key) && seen.written.get(&key) != Some(&true),
        }
    }

    /// The change without attributes that no entry has, and whether that is all of it; `None` where nothing is left.
    fn askable(&self, change: &Change) -> Option<(Change, bool)> {
        let mut new = BTreeSet::new();
        let mut is_used = |attr: &AttrName| {
            let used = self.used.contains(attr);
            if !used {
                new.insert(attr.clone());
            }
            used
        };
        let left = match change {
            Change::Add { dn, attrs } => {
                let attrs = attrs.iter().filter(|(attr, _)| is_used(attr));
                Change::Add { dn: dn.clone(), attrs: attrs.map(|(attr, values)| (attr.clone(), values.clone())).collect() }
            }
            Change::Modify { dn, mods } => {
                let writes = |m: &&Modification| m.kind != ModKind::Delete && !m.values.is_empty();
                let mods: Vec<Modification> = mods.iter().filter(|m| !writes(m) || is_used(&m.attr)).cloned().collect();
                if mods.is_empty() {
                    return None;
                }
                Change::Modify { dn: dn.clone(), mods }
            }
            Change::Delete { .. } => change.clone(),
        };
        let whole = new.is_empty();
        self.lock().asked.new_attributes.extend(new);
        Some((left, whole))
    }

    /// A value that is only a placeholder cannot be named to a server: the whole attribute is.
    fn without_placeholders(&self, change: &Change) -> Change {
        let Change::Modify { dn, mods } = change else { return change.clone() };
        let mods = mods.iter().map(|m| {
            let stands_in = m.kind != ModKind::Add && m.values.iter().any(|value| self.placeholders.has(value));
            if stands_in { Modification { values: Vec::new(), ..m.clone() } } else { m.clone() }
        });
        Change::Modify { dn: dn.clone(), mods: mods.collect() }
    }
}
