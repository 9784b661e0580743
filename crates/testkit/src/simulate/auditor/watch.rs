//! The auditor: hears of each record, each write and each look, and keeps its books.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;
use untether_cutover::image::{BEFORE, DESIRED};
use untether_model::change::Change;
use untether_model::digest::Digest;
use untether_model::dn::DnKey;
use untether_model::operation::Action;
use untether_model::plan::OrderKind;
use untether_model::run::{GateKind, Record, Started};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side, SubjectId, Value};

use super::books::{Books, Order, image, values};
use crate::simulate::logins;
use crate::twins::{Observer, Person, World};

/// Keeps books of its own.
pub(in crate::simulate) struct Auditor {
    world: Mutex<Option<World>>,
    books: Mutex<Books>,
    own: Weak<Self>,
}

impl Auditor {
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|own| Self { world: Mutex::new(None), books: Mutex::default(), own: own.clone() })
    }

    /// A world that it looks at and that tells it.
    pub fn watch(&self, world: &mut World) {
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = Some(world.clone());
        if let Some(own) = self.own.upgrade() {
            world.set_observer(own);
        }
    }

    /// It looks no longer: the two hold each other.
    pub fn leave(&self) {
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn world(&self) -> Option<World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else changes this entry.
    pub fn note_other(&self, side: Side, dn: &DnKey) {
        let mut books = self.books();
        let place = (side, dn.clone());
        if books.rolling.contains(&place) {
            books.count("edit of an entry that is being rolled back");
        }
        let under_way = books.open.values().any(|started| started.store == side && self.at(started, dn));
        books.note(format!("somebody else at {dn:?} in the {side} store"));
        let written = books.written.contains(&place);
        books.count(match (under_way, written) {
            (true, _) => "edit between our intent and its outcome",
            (false, false) => "edit before our operations",
            (false, true) => "edit after an operation of ours",
        });
        if side == Side::Shared {
            books.closed.deed(dn);
        }
        books.others.insert(place);
    }

    /// Whether an intent is about this entry.
    fn at(&self, started: &Started, dn: &DnKey) -> bool {
        self.world().and_then(|world| world.operation(&started.op)).is_some_and(|op| op.target.dn().key() == dn)
    }

    /// A rollback of these entries is under way; none when it has ended.
    pub fn rolling(&self, entries: BTreeSet<(Side, DnKey)>) {
        self.books().rolling = entries;
    }

    /// Whether an entry is being rolled back.
    pub fn is_rolling(&self, side: Side, dn: &DnKey) -> bool {
        self.books().rolling.contains(&(side, dn.clone()))
    }

    /// Whether an account of the shared store is closed by the records.
    pub fn is_closed(&self, dn: &Dn) -> bool {
        self.books().closed.holds(dn)
    }

    /// An audit has looked; nothing of these subjects is under way.
    pub fn audited(&self, under_way: impl Fn(&SubjectId) -> bool) {
        let Some(world) = self.world() else { return };
        let mut books = self.books();
        let wrong = books.closed.audited(&world, under_way);
        books.violations.extend(wrong);
    }

    /// Accounts that we closed, that have a way in, and that nobody else has touched.
    pub fn opened_by_us(&self) -> Vec<String> {
        let Some(world) = self.world() else { return Vec::new() };
        let books = self.books();
        let open = books.closed.open(&world).filter(|(_, dn)| !books.others.contains(&(Side::Shared, dn.key().clone())));
        open.map(|(id, dn)| format!("{dn} of {id} was disabled and has a way in")).collect()
    }

    /// What was wrong, once.
    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.books().violations)
    }

    /// The last records, for whoever has to understand a failure.
    pub fn trail(&self) -> Vec<String> {
        self.books().trail.iter().cloned().collect()
    }

    /// Outcomes and effects that were seen, by kind.
    pub fn kinds(&self) -> BTreeMap<&'static str, u64> {
        self.books().kinds.clone()
    }

    /// Whether the ledger holds every record that was acknowledged, in order and unchanged.
    pub fn compare(&self, ledger: &[(u64, Digest)]) {
        let mut books = self.books();
        if ledger.get(ledger.len().saturating_sub(books.records.len())..) != Some(books.records.as_slice()) {
            books.violations.push("the ledger lost an acknowledged record".to_owned());
        }
    }
}

impl Observer for Auditor {
    fn recorded(&self, seq: u64, at: Timestamp, record: &Record) {
        if let Some(world) = self.world() {
            self.books().take(&world, (seq, at), record);
        }
    }

    fn looked(&self, side: Side, dn: &Dn, attrs: &[AttrName]) {
        if side == Side::Shared && attrs.iter().any(|attr| attr.is("pwdaccountlockedtime")) {
            self.books().closed.look(dn.key());
        }
    }

    fn sending(&self, side: Side, change: &Change) {
        let Some(world) = self.world() else { return };
        let mut books = self.books();
        let intents = books.intents(&world, side, change.dn().key());
        if intents.is_empty() {
            books.wrong(format!("{} in the {side} store is written without a durable intent", change.dn()));
        }
        let protected = world.estate.protected();
        if side == Side::Shared && protected.contains(change.dn()) {
            books.wrong(format!("the protected {} is written", change.dn()));
        }
        // What somebody's own record says of a protected identity goes and comes back with the record.
        let is_own = |person: &Person| {
            let estate = &world.estate;
            let dn = if side == Side::Shared { estate.shared_dn(person) } else { estate.own_dn(person) };
            dn.key() == change.dn().key() && intents.iter().any(|(_, started)| started.subjects.contains(&person.subject()))
        };
        if let Change::Modify { mods, .. } = change
            && !world.estate.people.iter().any(is_own)
        {
            let touched =
                |value: &Value| value.as_str().and_then(|text| Dn::parse(text).ok()).filter(|dn| protected.contains(dn));
            for (attr, dn) in mods.iter().flat_map(|m| m.values.iter().filter_map(touched).map(|dn| (&m.attr, dn))) {
                books.wrong(format!("{attr} of {} changes, which names the protected {dn}", change.dn()));
            }
        }
        books.count("writes sent");
    }

    fn written(&self, side: Side, change: &Change, before: Option<&Entry>, after: Option<&Entry>) {
        let Some(world) = self.world() else { return };
        if before == after {
            return;
        }
        let mut books = self.books();
        books.count("writes applied");
        let key = change.dn().key();
        let intents = books.intents(&world, side, key);
        for (op, started) in &intents {
            let wave = started.op.wave();
            let undoing = |order: &Order| matches!(order.kind, OrderKind::Rollback { .. });
            if books.orders.get(&wave.plan).is_some_and(undoing) {
                continue;
            }
            let wrong = books.limits.written(wave, op, (side, change, before.is_some()));
            books.violations.extend(wrong);
        }
        if let (Change::Modify { mods, .. }, Some(was)) = (change, before) {
            let schema = Schema::standard();
            for m in mods {
                let held = was.attrs.values_of(&m.attr);
                let known = intents.iter().any(|(op, started)| {
                    if matches!(op.action, Action::Ensure { .. }) {
                        return true;
                    }
                    [BEFORE, DESIRED].into_iter().filter_map(|purpose| image(started, purpose)).any(|image| {
                        // What our own write of a password takes away may be missing.
                        schema.same_values(&m.attr, values(&image.attrs, &m.attr), held)
                            || m.attr.is("pwdaccountlockedtime") && held.is_empty()
                    })
                });
                if !known {
                    books.wrong(format!("{} of {} was overwritten although it is not what was journalled", m.attr, change.dn()));
                }
            }
        }
        let Some(person) = logins::lost(&world, side, (before, after), change) else { return };
        // Who approved that a credential expires answers for whoever has no other login.
        let expires = intents.iter().any(|(_, started)| books.is_expiry(&started.op));
        let (estate, subject) = (&world.estate, person.subject());
        let touched = [(Side::Shared, estate.shared_dn(person)), (Side::Independent, estate.own_dn(person))]
            .into_iter()
            .any(|(side, dn)| books.others.contains(&(side, dn.key().clone())));
        let accepted = books.accepted.iter().any(|(gate, _, _)| *gate == GateKind::OwnAccount);
        if !touched && !accepted && !expires {
            books.wrong(format!("{subject} has no working login left after {} of the {side} store was written", change.dn()));
        }
    }
}
