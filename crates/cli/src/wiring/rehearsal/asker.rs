//! Asks a real server what it would say to a write, with the critical no-op control (draft-zeilenga-ldap-noop).
//!
//! Handed out only for servers that have answered a no-op as such before. Asked is what the server can judge as it stands now: the
//! first write to each entry, and removals of entries that nothing stands below. Conditions are reduced to the stable id, and
//! credentials, of which a rehearsal has placeholders only, to "whatever is there".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use untether_directory::{Condition, Write, WriteOptions};
use untether_model::change::{Change, ModKind, Modification};
use untether_model::dn::DnKey;
use untether_model::{Dn, Side};

use super::twins::Placeholders;

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
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Entries that were written to; `true`: created by the rehearsal.
    written: BTreeMap<DnKey, bool>,
    asked: Asked,
}

impl Asker {
    /// Asks with these binds; each of them is known to have no-op.
    pub fn new(
        side: Side,
        (writer, undoer): (Arc<dyn Write>, Option<Arc<dyn Write>>),
        placeholders: Arc<Placeholders>,
        parents: BTreeSet<DnKey>,
    ) -> Self {
        Self { side, writer, undoer, placeholders, parents, seen: Mutex::default() }
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
        let (Some(writer), true) = (writer, may) else {
            self.lock().asked.not_asked += 1;
            return;
        };
        let condition = options.condition.as_ref().and_then(|condition| condition.stable_id.clone());
        let condition = condition.map(|id| Condition { stable_id: Some(id), ..Condition::default() });
        let asked = WriteOptions { condition, relax: options.relax, no_op: true, ..WriteOptions::default() };
        let answer = writer.apply(&self.without_placeholders(change), &asked).await;
        let mut seen = self.lock();
        seen.asked.asked += 1;
        if let Err(error) = answer {
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
