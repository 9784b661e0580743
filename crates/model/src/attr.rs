//! Attribute descriptions (RFC 4512, section 2.5): a type and options, compared without case.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An attribute description such as `cn;lang-ja`. Equality, order and hash ignore case; the spelling is kept for display. Cheap to
/// clone.
#[derive(Clone)]
pub struct AttrName {
    /// The spelling, and behind it the same in lower case, which is as long.
    both: Arc<str>,
}

impl AttrName {
    /// A name as somebody spelled it.
    pub fn new(spelled: impl AsRef<str>) -> Self {
        let spelled = spelled.as_ref();
        Self { both: Arc::from([spelled, &spelled.to_ascii_lowercase()].concat()) }
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        self.both.get(..self.both.len() / 2).unwrap_or_default()
    }

    /// The spelling in lower case: what equality compares.
    pub fn folded(&self) -> &str {
        self.both.get(self.both.len() / 2..).unwrap_or_default()
    }

    /// The type without options, in lower case: `cn` of `cn;lang-ja`.
    pub fn base(&self) -> &str {
        self.folded().split(';').next().unwrap_or_default()
    }

    /// Whether this is the attribute `name` or one of its subtypes by option (`cn` covers `cn;lang-ja`).
    pub fn is_covered_by(&self, name: &AttrName) -> bool {
        self == name || (self.base() == name.folded())
    }

    /// Whether the type is `base` (given in lower case), whatever the options.
    pub fn is(&self, base: &str) -> bool {
        self.base().eq_ignore_ascii_case(base)
    }
}

impl PartialEq for AttrName {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for AttrName {}

impl PartialOrd for AttrName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AttrName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(other.folded())
    }
}

impl std::hash::Hash for AttrName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

/// Equality, order and hash are those of [`AttrName::folded`], so a map of attributes can be searched with a name in lower case
/// without making an [`AttrName`] of it.
impl std::borrow::Borrow<str> for AttrName {
    fn borrow(&self) -> &str {
        self.folded()
    }
}

impl From<&str> for AttrName {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for AttrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AttrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AttrName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AttrName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_keep_their_spelling() {
        assert_eq!(AttrName::new("employeeNumber"), AttrName::new("EMPLOYEENUMBER"));
        assert_eq!(AttrName::new("cn;lang-JA").to_string(), "cn;lang-JA");
        assert!(AttrName::new("cn;lang-ja").is_covered_by(&AttrName::new("CN")));
        assert!(!AttrName::new("cn").is_covered_by(&AttrName::new("cn;lang-ja")));
        let map = std::collections::BTreeMap::from([(AttrName::new("employeeNumber"), 1), (AttrName::new("UID"), 2)]);
        assert_eq!((map.get("employeenumber"), map.get("uid"), map.get("UID")), (Some(&1), Some(&2), None));
    }
}
