//! What is sent to a directory: one LDAP write each.

use serde::{Deserialize, Serialize};

use crate::{AttrMap, AttrName, Dn, Value};

/// How a modification treats its values (RFC 4511, section 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModKind {
    /// Add the values; result 20 if one is there already.
    Add,
    /// Delete the listed values, or all of them if none is listed; result 16 if one is not there.
    Delete,
    /// Replace all values; deletes the attribute if none is listed, without an error when it is absent.
    Replace,
}

/// One modification of one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modification {
    /// The attribute.
    pub attr: AttrName,
    /// What happens to it.
    pub kind: ModKind,
    /// The values it happens with.
    pub values: Vec<Value>,
}

impl Modification {
    /// `add: attr`.
    pub fn add(attr: AttrName, values: Vec<Value>) -> Self {
        Self { attr, kind: ModKind::Add, values }
    }

    /// `delete: attr`, all values if none is given.
    pub fn delete(attr: AttrName, values: Vec<Value>) -> Self {
        Self { attr, kind: ModKind::Delete, values }
    }

    /// `replace: attr`.
    pub fn replace(attr: AttrName, values: Vec<Value>) -> Self {
        Self { attr, kind: ModKind::Replace, values }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A new entry.
    Add {
        /// Its name.
        dn: Dn,
        /// Its attributes, `objectClass` included.
        attrs: AttrMap,
    },
    /// Modifications of one entry, applied in order, all or none.
    Modify {
        /// The entry.
        dn: Dn,
        /// The modifications, in order.
        mods: Vec<Modification>,
    },
    /// The entry goes.
    Delete {
        /// The entry.
        dn: Dn,
    },
}

impl Change {
    /// The entry that the change is about.
    pub fn dn(&self) -> &Dn {
        match self {
            Self::Add { dn, .. } | Self::Modify { dn, .. } | Self::Delete { dn } => dn,
        }
    }
}
