//! The entries of a twin, with what makes several changes of them one: undo until it is committed.
//!
//! Knows names, values and indices; deliberately knows no rights, no policy and no schema beyond equality rules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use untether_model::dn::DnKey;
use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, Dn, Entry, Value};

use super::values::Values;
use crate::filter::Attributes;

/// One entry as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) dn: Dn,
    pub(super) attrs: BTreeMap<AttrName, Values>,
}

impl Stored {
    pub(super) fn new(schema: &Schema, dn: Dn, attrs: AttrMap) -> Self {
        let attrs = attrs.into_iter().filter(|(_, values)| !values.is_empty());
        Self {
            dn,
            attrs: attrs.map(|(name, values)| (name.clone(), Values::new(schema.equality(&name), values.into()))).collect(),
        }
    }

    pub(super) fn to_entry(&self) -> Entry {
        let attrs = self.attrs.iter().map(|(name, values)| (name.clone(), values.iter().cloned().collect()));
        Entry { dn: self.dn.clone(), attrs: attrs.collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Values> {
        self.attrs.get(&AttrName::new(name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.iter().next()?.as_str()
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.get(name).into_iter().flat_map(Values::iter)
    }

    pub(super) fn classes(&self) -> impl Iterator<Item = &str> {
        self.values("objectClass").filter_map(Value::as_str)
    }

    pub(super) fn is_class(&self, class: &str) -> bool {
        self.classes().any(|c| c.eq_ignore_ascii_case(class))
    }

    /// Sets an attribute to one value.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.attrs.insert(AttrName::new(name), Values::Few(vec![value.into()]));
    }

    pub(super) fn clear(&mut self, name: &str) {
        self.attrs.remove(&AttrName::new(name));
    }

    /// Appends a value; false if it was there.
    pub(super) fn push(&mut self, schema: &Schema, attr: &AttrName, value: Value) -> bool {
        let rule = schema.equality(attr);
        let values = self.attrs.entry(attr.clone()).or_insert_with(|| Values::Few(Vec::new()));
        if values.contains(rule, &schema.normalize(attr, &value)) {
            return false;
        }
        values.push(rule, value);
        true
    }

    /// Takes a value out, and the attribute with its last one; false if it was not there.
    pub(super) fn take(&mut self, schema: &Schema, attr: &AttrName, key: &[u8]) -> bool {
        let Some(values) = self.attrs.get_mut(attr) else { return false };
        let taken = values.remove(schema.equality(attr), key);
        if values.len() == 0 {
            self.attrs.remove(attr);
        }
        taken
    }
}

impl Attributes for Stored {
    fn any(&self, attr: &AttrName, test: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.attrs.iter().filter(|(name, _)| name.is_covered_by(attr)).any(|(_, values)| values.iter().any(&mut *test))
    }

    fn holds(&self, attr: &AttrName, schema: &Schema, normalized: &[u8]) -> bool {
        let rule = schema.equality(attr);
        self.attrs.iter().filter(|(name, _)| name.is_covered_by(attr)).any(|(_, values)| values.contains(rule, normalized))
    }
}

/// The entries, sorted so that each follows its ancestors.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: BTreeMap<DnKey, Arc<Stored>>,
    /// Entries by stable id. May name entries that have it no longer; readers check.
    by_id: BTreeMap<String, BTreeSet<DnKey>>,
    /// Entries by the names that they refer to. May name entries that refer no longer; readers check.
    referring: BTreeMap<DnKey, BTreeSet<DnKey>>,
    /// Attributes that `referring` covers.
    tracked: BTreeSet<AttrName>,
    /// What each changed entry was before, oldest first, since the last commit.
    undo: Vec<(DnKey, Option<Arc<Stored>>)>,
}

impl Tree {
    /// An empty tree that indexes the names in these attributes.
    pub(super) fn tracking(tracked: impl IntoIterator<Item = AttrName>) -> Self {
        Self { tracked: tracked.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn get(&self, dn: &Dn) -> Option<&Stored> {
        self.entries.get(dn.key()).map(Arc::as_ref)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Stored> {
        self.entries.values().map(Arc::as_ref)
    }

    /// `base` and everything below it, from after `cursor` on.
    pub(super) fn within(&self, base: &DnKey, cursor: Option<&DnKey>) -> impl Iterator<Item = (&DnKey, &Stored)> + use<'_> {
        let from = cursor.map_or(Bound::Included(base), Bound::Excluded);
        let base = base.clone();
        self.entries
            .range::<DnKey, _>((from, Bound::Unbounded))
            .take_while(move |(key, _)| key.is_within(&base))
            .map(|(key, stored)| (key, stored.as_ref()))
    }

    pub(super) fn has_children(&self, dn: &Dn) -> bool {
        self.within(dn.key(), Some(dn.key())).next().is_some()
    }

    /// The entries below `base` that have this stable id.
    pub(super) fn with_id<'t>(&'t self, base: &'t Dn, id: &str) -> impl Iterator<Item = &'t Stored> {
        let id = id.to_ascii_lowercase();
        let keys = self.by_id.get(&id).into_iter().flatten().filter(|key| key.is_within(base.key()));
        keys.filter_map(|key| self.entries.get(key))
            .filter(move |stored| stored.text("entryUUID").is_some_and(|own| own.eq_ignore_ascii_case(&id)))
            .map(Arc::as_ref)
    }

    /// Entries that may refer to this name in a tracked attribute.
    pub(super) fn referring_to(&self, dn: &Dn) -> Vec<Dn> {
        let keys = self.referring.get(dn.key()).into_iter().flatten();
        keys.filter_map(|key| self.entries.get(key)).map(|stored| stored.dn.clone()).collect()
    }

    /// Puts a new entry in, or another in its place.
    pub(super) fn put(&mut self, schema: &Schema, stored: Stored) {
        let key = stored.dn.key().clone();
        for (attr, values) in stored.attrs.iter().filter(|(attr, _)| self.tracked.contains(*attr)) {
            for value in values.iter() {
                note(&mut self.referring, schema, attr, value, &key);
            }
        }
        self.note_id(&stored);
        let before = self.entries.insert(key.clone(), Arc::new(stored));
        self.undo.push((key, before));
    }

    /// Changes an entry that is there.
    pub(super) fn edit<T>(&mut self, dn: &Dn, change: impl FnOnce(&mut Stored) -> T) -> Option<T> {
        let entry = self.entries.get_mut(dn.key())?;
        self.undo.push((dn.key().clone(), Some(Arc::clone(entry))));
        let result = change(Arc::make_mut(entry));
        let stored = Arc::clone(entry);
        self.note_id(&stored);
        Some(result)
    }

    /// Records that an entry now refers to a name, after a value was added by [`Tree::edit`].
    pub(super) fn note_reference(&mut self, schema: &Schema, from: &Dn, attr: &AttrName, value: &Value) {
        if self.tracked.contains(attr) {
            note(&mut self.referring, schema, attr, value, from.key());
        }
    }

    pub(super) fn remove(&mut self, dn: &Dn) {
        if let Some(before) = self.entries.remove(dn.key()) {
            self.undo.push((dn.key().clone(), Some(before)));
        }
    }

    /// What was changed since the last commit stays.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// What was changed since the last commit never was.
    pub(super) fn roll_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(stored) => self.entries.insert(key, stored),
                None => self.entries.remove(&key),
            };
        }
    }

    fn note_id(&mut self, stored: &Stored) {
        let Some(id) = stored.text("entryUUID") else { return };
        let keys = self.by_id.entry(id.to_ascii_lowercase()).or_default();
        if !keys.contains(stored.dn.key()) {
            keys.insert(stored.dn.key().clone());
        }
    }
}

fn note(index: &mut BTreeMap<DnKey, BTreeSet<DnKey>>, schema: &Schema, attr: &AttrName, value: &Value, from: &DnKey) {
    // The comparable form of a name is its key.
    if let Ok(target) = String::from_utf8(schema.normalize(attr, value)) {
        index.entry(DnKey::from_stored(target)).or_default().insert(from.clone());
    }
}
