//! The keys that an account carries, in their comparable forms.

use untether_model::keys;
use untether_model::policy::{AuditPolicy, StoreAttributes};
use untether_model::snapshot::SnapshotEntry;
use untether_model::{AttrName, EntityId, Side, Value};

/// What an account can be matched by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountKeys {
    /// Comparable link value: in the shared store what others point at, in the independent directory what it points at.
    pub link: Option<String>,
    /// Comparable employee number.
    pub number: Option<String>,
    /// Entity by attribute.
    pub attribute_entity: Option<EntityId>,
    /// Entity by subtree.
    pub subtree_entity: Option<EntityId>,
    /// Comparable mail addresses.
    pub mails: Vec<String>,
    /// Comparable logins.
    pub logins: Vec<String>,
}

impl AccountKeys {
    /// The entities that the account itself says, the attribute's first.
    pub fn entities(&self) -> Vec<&EntityId> {
        let mut found: Vec<&EntityId> = self.attribute_entity.iter().chain(&self.subtree_entity).collect();
        found.dedup();
        found
    }
}

/// Reads the keys of one store's accounts.
pub struct KeyReader<'a> {
    policy: &'a AuditPolicy,
    attributes: &'a StoreAttributes,
    side: Side,
}

impl<'a> KeyReader<'a> {
    /// A reader for one store.
    pub fn new(policy: &'a AuditPolicy, side: Side) -> Self {
        Self { policy, attributes: &policy.store(side).attributes, side }
    }

    /// The values of an attribute and its subtypes by option.
    fn texts<'e>(entry: &'e SnapshotEntry, name: &AttrName) -> impl Iterator<Item = &'e str> {
        entry.attrs.get(name).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The account's logins as they stand there.
    pub fn logins<'e>(&self, entry: &'e SnapshotEntry) -> impl Iterator<Item = &'e str> {
        Self::texts(entry, &self.attributes.login)
    }

    /// The account's name for people.
    pub fn name(&self, entry: &SnapshotEntry) -> Option<String> {
        Self::texts(entry, &self.attributes.name).next().map(str::to_owned)
    }

    /// The values of the attributes that name owners.
    pub fn owners<'e>(&'e self, entry: &'e SnapshotEntry) -> impl Iterator<Item = &'e str> {
        self.attributes.owner.iter().flat_map(|name| Self::texts(entry, name))
    }

    /// The entities that the account itself says: by attribute, by subtree.
    pub fn said_entities(&self, entry: &SnapshotEntry) -> (Option<&'a EntityId>, Option<&'a EntityId>) {
        let value = self.attributes.entity.as_ref().and_then(|name| Self::texts(entry, name).next());
        let by_attribute = value.and_then(|v| self.policy.entity_of_value(self.side, v));
        (by_attribute, self.policy.entity_of_subtree(self.side, &entry.dn))
    }

    /// The keys.
    pub fn keys(&self, entry: &SnapshotEntry) -> AccountKeys {
        let attributes = self.attributes;
        let link = match (&attributes.link, self.side) {
            (Some(name), _) => Self::texts(entry, name).next().and_then(keys::link),
            (None, Side::Shared) => entry.stable_id.as_ref().and_then(|id| keys::link(id.as_str())),
            (None, Side::Independent) => None,
        };
        let (attribute_entity, subtree_entity) = self.said_entities(entry);
        let mut mails: Vec<String> =
            attributes.mail.iter().flat_map(|name| Self::texts(entry, name)).filter_map(keys::mail).collect();
        mails.sort();
        mails.dedup();
        let mut logins: Vec<String> = self.logins(entry).filter_map(keys::login).collect();
        logins.sort();
        logins.dedup();
        AccountKeys {
            link,
            number: attributes.number.as_ref().and_then(|name| Self::texts(entry, name).find_map(keys::number)),
            attribute_entity: attribute_entity.cloned(),
            subtree_entity: subtree_entity.cloned(),
            mails,
            logins,
        }
    }
}
