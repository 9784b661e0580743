//! Directory entries as they are read.

use serde::{Deserialize, Serialize};

use crate::{AttrMap, AttrName, Dn, Value};

/// One entry: its name and the attributes that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Distinguished name as the server spells it.
    pub dn: Dn,
    /// The attributes that were asked for and returned.
    pub attrs: AttrMap,
}

impl Entry {
    /// An entry without attributes.
    pub fn new(dn: Dn) -> Self {
        Self { dn, attrs: AttrMap::new() }
    }

    /// The values of exactly this attribute description; empty where it is absent.
    pub fn values(&self, name: &str) -> &[Value] {
        self.attrs.values_of(&AttrName::new(name))
    }

    /// The first value as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values(name).first().and_then(Value::as_str)
    }

    /// All values as text; values that are not UTF-8 are left out.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name).iter().filter_map(Value::as_str)
    }

    /// Whether the attribute has any value.
    pub fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    /// Whether the entry is of this object class, compared without case.
    pub fn is_class(&self, class: &str) -> bool {
        self.texts("objectClass").any(|c| c.eq_ignore_ascii_case(class))
    }
}
