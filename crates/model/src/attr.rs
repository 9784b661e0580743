//! Attribute descriptions (RFC 4512, section 2.5): a type and options, compared without case.

use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use known::{Name, known};

mod known;

/// An attribute description such as `cn;lang-ja`. Equality, order and hash ignore case; the spelling is kept for display. Cheap to
/// make and to clone.
#[derive(Clone)]
pub struct AttrName(Held);

/// A name is one of those that are kept for all, or, where there are too many of them already, one of its own.
#[derive(Clone)]
enum Held {
    Known(&'static Name),
    Own(Arc<Name>),
}

impl AttrName {
    /// A name as somebody spelled it.
    pub fn new(spelled: impl AsRef<str>) -> Self {
        let spelled = spelled.as_ref();
        Self(known(spelled).map_or_else(|| Held::Own(Arc::new(Name::new(spelled))), Held::Known))
    }

    fn name(&self) -> &Name {
        match &self.0 {
            Held::Known(name) => name,
            Held::Own(name) => name,
        }
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        self.name().spelled()
    }

    /// The spelling in lower case: what equality compares.
    pub fn folded(&self) -> &str {
        self.name().folded()
    }

    /// The type without options, in lower case: `cn` of `cn;lang-ja`.
    pub fn base(&self) -> &str {
        self.name().base()
    }

    /// Whether this is the attribute `name` or one of its subtypes by option (`cn` covers `cn;lang-ja`).
    pub fn is_covered_by(&self, name: &AttrName) -> bool {
        self.name().is_covered_by(name.name())
    }

    /// Whether the type is `base` (given in lower case), whatever the options.
    pub fn is(&self, base: &str) -> bool {
        self.base().eq_ignore_ascii_case(base)
    }
}

impl PartialEq for AttrName {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.name(), other.name()) || self.name().is_same(other.name())
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
        struct Text;

        impl Visitor<'_> for Text {
            type Value = AttrName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AttrName, E> {
                Ok(AttrName::new(text))
            }
        }

        deserializer.deserialize_str(Text)
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

    /// Whether a name is kept for all is not to be told from it.
    #[test]
    fn names_of_their_own_are_as_those_that_are_kept() {
        use std::hash::{BuildHasher as _, RandomState};

        let own = |text: &str| AttrName(Held::Own(Arc::new(Name::new(text))));
        let hashes = RandomState::new();
        for text in ["employeeNumber", "cn;lang-JA", "", "２b", "A"] {
            let (kept, own) = (AttrName::new(text), own(text));
            assert_eq!((kept.as_str(), kept.folded(), kept.base()), (own.as_str(), own.folded(), own.base()));
            assert_eq!((kept.cmp(&own), hashes.hash_one(&kept)), (std::cmp::Ordering::Equal, hashes.hash_one(&own)));
            assert_eq!(kept, own);
            let written = serde_json::to_string(&own).unwrap();
            assert_eq!(written, serde_json::to_string(&kept).unwrap());
            assert_eq!(serde_json::from_str::<AttrName>(&written).unwrap().as_str(), text);
        }
        assert!(own("a") < AttrName::new("B") && AttrName::new("a") < own("B"));
        assert_eq!(size_of::<AttrName>(), 2 * size_of::<usize>());
    }
}
