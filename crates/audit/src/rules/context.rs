//! What all rules of one run share.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::policy::AuditPolicy;
use untether_model::schema::Schema;
use untether_model::{Dn, EntityId, Side, SubjectId};

use super::Inputs;
use super::secrets::SecretIndex;
use crate::correlate::{Anchor, GroupGraph, Index, KeyReader, People, Row, RowIx, StatusRule, SubjectIx, Subjects};
use crate::links::Servers;

/// Both stores' worth of something.
#[derive(Clone, Debug, Default)]
pub struct Sides<T> {
    /// The shared store's.
    pub shared: T,
    /// The independent directory's.
    pub independent: T,
}

impl<T> Sides<T> {
    /// One store's.
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// One store's, to be changed.
    pub fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Shared => &mut self.shared,
            Side::Independent => &mut self.independent,
        }
    }
}

/// What all rules of one run share.
pub struct Context<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) people: &'a People<'a>,
    pub(super) index: Index,
    pub(super) subjects: Subjects,
    pub(super) servers: Servers,
    pub(super) privileged: Sides<GroupGraph>,
    pub(super) readers: Sides<KeyReader<'a>>,
    pub(super) secrets: SecretIndex,
    /// Entities by their number in a row.
    pub(super) entities: Vec<EntityId>,
}

/// What a name in an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// An account with this status finding, if any.
    Account(RowIx, Option<StatusRule>),
    /// Some other entry, or one that nobody looked for.
    Elsewhere,
    /// There is no such entry.
    Nothing,
}

impl<'a> Context<'a> {
    /// What is configured.
    pub fn policy(&self) -> &'a AuditPolicy {
        self.inputs.policy
    }

    /// The audit's recorded time.
    pub fn now(&self) -> Timestamp {
        self.inputs.now
    }

    /// A store's schema.
    pub fn schema(&self, side: Side) -> &'a Schema {
        self.inputs.store(side).schema
    }

    /// What a name that an entry of `side` mentions leads to.
    pub fn named(&self, side: Side, dn: &Dn) -> Named {
        if let Some(place) = self.index.resolve(side, dn) {
            return Named::Account(place, self.index.row(place).and_then(|row| row.status));
        }
        // Outside our scope nobody is said to be missing: what is there is the other company's business.
        let missing = [side, side.other()]
            .into_iter()
            .any(|s| self.policy().store(s).covers(dn) && (self.inputs.store(s).exists)(dn) == Some(false));
        if missing { Named::Nothing } else { Named::Elsewhere }
    }

    /// The entity of an account's subject: the roster's, else what the account says.
    pub fn entity(&self, row: &Row) -> Option<EntityId> {
        if let Some(person) = self.people.person(row.subject) {
            return self.people.entity(person).cloned();
        }
        self.entities.get(usize::from(row.entity)).cloned()
    }

    /// The id of a subject. `own` is the id that the account at hand would give it if it stands for the subject itself.
    pub fn subject_id(&self, subject: SubjectIx, place: RowIx, own: &str) -> Option<SubjectId> {
        match self.subjects.anchor(subject)? {
            Anchor::Person(person) => {
                let anchor = self.people.anchor(self.people.person(person)?)?;
                Some(SubjectId::from_anchor(&anchor))
            }
            Anchor::Account(root) if root == place => Some(SubjectId::from_anchor(own)),
            Anchor::Account(root) => self.index.own_id(root),
        }
    }

    /// Names of the entities in order, and their numbers.
    pub(super) fn number_entities(policy: &AuditPolicy) -> (Vec<EntityId>, BTreeMap<EntityId, u16>) {
        let entities: Vec<EntityId> = policy.entities.keys().cloned().collect();
        let numbers = entities.iter().cloned().zip(0..Row::NOWHERE).collect();
        (entities, numbers)
    }
}
