//! The server side of a twin: what each write does to the entries, overlays included.
//!
//! Knows rights only as the four identities have them; deliberately knows no referrals to other servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use untether_model::change::{Change, ModKind, Modification};
use untether_model::schema::{Equality, Schema};
use untether_model::time::to_generalized;
use untether_model::{AttrMap, AttrName, Dn, Entry, Value};

use super::check;
use super::config::{Identity, TwinConfig};
use super::modify;
use super::overlay;
use super::policy::{PasswordWrite, Policy};
use super::refusal::{Refusal, code};
use super::tree::{Stored, Tree};
use super::view::project;
use crate::filter::{Filter, Truth};
use crate::{Condition, Control, WriteOptions, Written};

/// Attributes that nobody can set, with relaxed rules either (OpenLDAP: "no-user-modification attribute not manageable").
const UNMANAGEABLE: [&str; 4] = ["pwdlastsuccess", "memberof", "entrycsn", "structuralobjectclass"];

/// Who acts, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) identity: Identity,
    pub(super) now: Timestamp,
}

/// Entries and what is counted to make their identifiers.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) config: Arc<TwinConfig>,
    pub(super) tree: Tree,
    ids: u64,
    changes: u32,
    latest: Timestamp,
}

impl Store {
    pub(super) fn new(config: Arc<TwinConfig>) -> Self {
        let member = config.member_of.then(|| AttrName::new(overlay::MEMBER));
        let tree = Tree::tracking(config.references.iter().cloned().chain(member));
        Self { config, tree, ids: 0, changes: 0, latest: Timestamp::MIN }
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.config.schema
    }

    /// Takes entries as they are, as `slapadd` does: operational attributes are kept, missing ones made, `memberOf` not computed.
    pub(super) fn load(&mut self, entries: impl IntoIterator<Item = Entry>, now: Timestamp) {
        let config = Arc::clone(&self.config);
        for entry in entries {
            let mut stored = Stored::new(&config.schema, entry.dn, entry.attrs);
            self.complete(&mut stored, &Actor { identity: Identity::Root, now });
            self.tree.put(&config.schema, stored);
        }
        self.tree.commit();
    }

    /// Carries out one change, or nothing of it.
    pub(super) fn write(&mut self, actor: Actor, change: &Change, options: &WriteOptions) -> Result<Written, Refusal> {
        let result = self.attempt(actor, change, options);
        if result.is_ok() && !options.no_op {
            self.tree.commit()
        } else {
            self.tree.roll_back()
        }
        // A no-op answers nothing but that it would have succeeded.
        if options.no_op { result.map(|_| Written::default()) } else { result }
    }

    /// Carries out all changes, or none. The condition is that of the first one.
    pub(super) fn transaction(
        &mut self,
        actor: Actor,
        changes: &[Change],
        options: &WriteOptions,
    ) -> Result<(), (usize, Refusal)> {
        for (i, change) in changes.iter().enumerate() {
            let condition = options.condition.clone().filter(|_| i == 0);
            let options = WriteOptions { condition, relax: options.relax, ..WriteOptions::default() };
            if let Err(refusal) = self.attempt(actor, change, &options) {
                self.tree.roll_back();
                return Err((i, refusal));
            }
        }
        self.tree.commit();
        Ok(())
    }

    fn attempt(&mut self, actor: Actor, change: &Change, options: &WriteOptions) -> Result<Written, Refusal> {
        let config = Arc::clone(&self.config);
        let read = |stored: Option<&Stored>, attrs: &[AttrName], oid: &str, tree: &Tree| {
            let wanted = !attrs.is_empty() && config.has_control(oid);
            stored.filter(|_| wanted).map(|stored| project(stored, attrs, tree, &config.schema))
        };
        let before = read(self.tree.get(change.dn()), &options.pre_read, Control::PRE_READ, &self.tree);
        match change {
            Change::Add { dn, attrs } => self.add(actor, dn, attrs, options.relax)?,
            Change::Modify { dn, mods } => self.modify(actor, dn, mods, options)?,
            Change::Delete { dn } => self.delete(actor, dn, options)?,
        }
        let after = read(self.tree.get(change.dn()), &options.post_read, Control::POST_READ, &self.tree);
        Ok(Written { before, after })
    }

    fn add(&mut self, actor: Actor, dn: &Dn, attrs: &AttrMap, relax: bool) -> Result<(), Refusal> {
        let config = Arc::clone(&self.config);
        let schema = &config.schema;
        check::name(schema, dn)?;
        for (attr, values) in attrs {
            self.settable(attr, relax)?;
            check::values(schema, attr, values, true)?;
        }
        if !dn.is_within(&config.suffix) {
            return Err(Refusal::new(code::UNWILLING, "no global superior knowledge"));
        }
        let mut stored = Stored::new(schema, dn.clone(), attrs.clone());
        for ava in dn.rdn().map(|rdn| rdn.0).unwrap_or_default() {
            stored.push(schema, &ava.attr, ava.value);
        }
        Policy::of(&stored, &self.tree, &config).on_add(&mut stored, actor.identity, actor.now)?;
        check::classes(schema, &stored)?;
        if self.tree.get(dn).is_some() {
            return Err(Refusal::new(code::ENTRY_EXISTS, "the entry exists"));
        }
        let parent = dn.parent().filter(|_| *dn != config.suffix);
        if parent.is_some_and(|parent| self.tree.get(&parent).is_none()) {
            return Err(Refusal::new(code::NO_SUCH_OBJECT, "the entry above it does not exist"));
        }
        if actor.identity == Identity::Reader || (relax && !actor.identity.manages()) {
            return Err(Refusal::new(code::NO_RIGHTS, "no write access to entry"));
        }
        self.complete(&mut stored, &actor);
        self.tree.put(schema, stored);
        if config.member_of {
            overlay::group_written(&mut self.tree, &config, dn, &overlay::members(attrs));
        }
        Ok(())
    }

    fn modify(&mut self, actor: Actor, dn: &Dn, mods: &[Modification], options: &WriteOptions) -> Result<(), Refusal> {
        let config = Arc::clone(&self.config);
        let schema = &config.schema;
        check::name(schema, dn)?;
        for m in mods {
            self.settable(&m.attr, options.relax)?;
            check::values(schema, &m.attr, &m.values, m.kind != ModKind::Delete)?;
        }
        let Some(before) = self.tree.get(dn).cloned() else { return Err(Refusal::missing()) };
        let policy = Policy::of(&before, &self.tree, &config);
        let password = PasswordWrite { policy: &policy, by: actor.identity, now: actor.now, before: &before, mods };
        password.check()?;
        assert_condition(&before, schema, options.condition.as_ref())?;
        let relaxes = mods.iter().any(|m| schema.get(&m.attr).is_some_and(|kind| kind.read_only));
        if actor.identity == Identity::Reader || (relaxes && !actor.identity.manages()) {
            return Err(Refusal::new(code::NO_RIGHTS, "insufficient access rights"));
        }
        let csn = self.next_csn(actor.now);
        let result = self.tree.edit(dn, |entry| {
            for m in &password.meant() {
                modify::apply(schema, entry, m)?;
            }
            password.finish(entry)?;
            let touched: BTreeSet<&AttrName> = mods.iter().map(|m| &m.attr).collect();
            let stamps = [
                ("modifiersName", config.name_of(actor.identity).as_str().to_owned()),
                ("modifyTimestamp", to_generalized(actor.now)),
            ];
            for (name, value) in stamps.into_iter().filter(|(name, _)| !touched.contains(&AttrName::new(name))) {
                entry.set(name, value);
            }
            entry.set("entryCSN", csn);
            for m in mods {
                check::single(schema, entry, &m.attr)?;
            }
            check::classes(schema, entry)
        });
        result.unwrap_or(Err(Refusal::missing()))?;
        for m in mods.iter().filter(|m| m.kind != ModKind::Delete) {
            for value in &m.values {
                self.tree.note_reference(schema, dn, &m.attr, value);
            }
        }
        if config.member_of {
            overlay::members_replaced(&mut self.tree, &config, &before, mods);
            overlay::group_written(&mut self.tree, &config, dn, &overlay::touched_members(&before, mods));
        }
        Ok(())
    }

    fn delete(&mut self, actor: Actor, dn: &Dn, options: &WriteOptions) -> Result<(), Refusal> {
        let config = Arc::clone(&self.config);
        check::name(&config.schema, dn)?;
        let Some(before) = self.tree.get(dn).cloned() else { return Err(Refusal::missing()) };
        if actor.identity == Identity::Reader {
            return Err(Refusal::new(code::NO_RIGHTS, "no write access to parent"));
        }
        assert_condition(&before, &config.schema, options.condition.as_ref())?;
        if self.tree.has_children(dn) {
            return Err(Refusal::new(code::HAS_CHILDREN, "subordinate objects must be deleted first"));
        }
        self.tree.remove(dn);
        if config.member_of {
            let members = before.values(overlay::MEMBER).filter_map(Value::as_str).filter_map(|name| Dn::parse(name).ok());
            overlay::group_written(&mut self.tree, &config, dn, &members.collect::<Vec<_>>());
        }
        overlay::reference_gone(&mut self.tree, &config, dn);
        Ok(())
    }

    /// What a bind leaves behind; answers whether the secret opened the entry, and whether the policy let it be tried.
    pub(super) fn bind(&mut self, dn: &Dn, secret: &[u8], now: Timestamp) -> Bound {
        let config = Arc::clone(&self.config);
        let Some(entry) = self.tree.get(dn) else { return Bound::Refused };
        let policy = Policy::of(entry, &self.tree, &config);
        if policy.refuses(entry, now) {
            return Bound::Locked;
        }
        let opened = entry.values("userPassword").any(|value| super::password::opens(value, secret));
        let csn = self.next_csn(now);
        self.tree.edit(dn, |entry| {
            let ended = policy.lock_has_ended(entry, now);
            if ended {
                entry.clear("pwdAccountLockedTime");
            }
            let changed = ended
                | if opened { policy.record_success(entry, now, config.last_bind) } else { policy.record_failure(entry, now) };
            if changed {
                entry.set("modifiersName", config.name_of(Identity::Root).as_str());
                entry.set("modifyTimestamp", to_generalized(now));
                entry.set("entryCSN", csn);
            }
        });
        self.tree.commit();
        if opened { Bound::Opened } else { Bound::Refused }
    }

    /// Refuses attributes that users may not modify, unless the rules are relaxed.
    fn settable(&self, attr: &AttrName, relax: bool) -> Result<(), Refusal> {
        if !self.schema().get(attr).is_some_and(|kind| kind.read_only) {
            return Ok(());
        }
        if !relax {
            return Err(Refusal::new(code::CONSTRAINT, format!("{attr}: no user modification allowed")));
        }
        if UNMANAGEABLE.contains(&attr.base()) {
            return Err(Refusal::new(code::CONSTRAINT, format!("{attr}: no-user-modification attribute not manageable")));
        }
        Ok(())
    }

    /// Adds the operational attributes that the server makes, where they are not given.
    fn complete(&mut self, stored: &mut Stored, actor: &Actor) {
        let name = self.config.name_of(actor.identity).as_str().to_owned();
        let now = to_generalized(actor.now);
        let csn = self.next_csn(actor.now);
        let mut made: BTreeMap<&str, String> = BTreeMap::from([
            ("creatorsName", name.clone()),
            ("createTimestamp", now.clone()),
            ("modifiersName", name),
            ("modifyTimestamp", now),
            ("entryCSN", csn),
        ]);
        if let Some(class) = check::structural(&self.config.schema, stored) {
            made.insert("structuralObjectClass", class);
        }
        if !stored.has("entryUUID") {
            self.ids += 1;
            made.insert("entryUUID", format!("{:08x}-0000-4000-8000-{:012x}", self.config.seed, self.ids));
        }
        for (name, value) in made {
            if !stored.has(name) {
                stored.set(name, value);
            }
        }
    }

    /// The next change number: unique, and growing even where the clock stands still or goes back.
    fn next_csn(&mut self, now: Timestamp) -> String {
        self.latest = self.latest.max(now);
        self.changes = self.changes.wrapping_add(1) & 0x00ff_ffff;
        format!("{}#{:06x}#000#000000", self.latest.strftime("%Y%m%d%H%M%S.%6fZ"), self.changes)
    }
}

/// What became of a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Opened,
    Refused,
    Locked,
}

fn assert_condition(stored: &Stored, schema: &Schema, condition: Option<&Condition>) -> Result<(), Refusal> {
    let Some(condition) = condition else { return Ok(()) };
    match filter_of(condition).judge(stored, schema) {
        Truth::True => Ok(()),
        Truth::False | Truth::Undefined => Err(Refusal::new(code::ASSERTION_FAILED, "the entry is not as the condition says")),
    }
}

/// A condition as the filter that is asserted.
fn filter_of(condition: &Condition) -> Filter {
    let mut parts = Vec::new();
    if let Some(id) = &condition.stable_id {
        parts.push(Filter::Equal("entryUUID".into(), id.as_str().into()));
    }
    if let Some(marker) = &condition.change_marker {
        parts.push(Filter::Equal("entryCSN".into(), marker.as_str().into()));
    }
    for (attr, values) in &condition.attrs {
        if values.is_empty() {
            parts.push(Filter::Not(Box::new(Filter::Present(attr.clone()))));
        }
        parts.extend(values.iter().map(|value| Filter::Equal(attr.clone(), value.clone())));
    }
    Filter::And(parts)
}

/// Whether values of this attribute can be asserted at all.
pub(super) fn is_assertable(schema: &Schema, attr: &AttrName) -> bool {
    schema.get(attr).is_none_or(|kind| kind.equality != Equality::None)
}
