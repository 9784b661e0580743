//! The attributes of an entry, by name.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Index;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{AttrName, Value, Values};

/// Attributes with their values, in the order of their names. Values are a set by definition (RFC 4512); the order is the server's and
/// carries no meaning.
///
/// An entry has a few dozen attributes at most, and stores have millions of entries: so this is one sorted list and not a tree.
/// Serialized as a map.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrMap {
    attrs: Vec<(AttrName, Values)>,
}

/// A place in an [`AttrMap`], filled or not.
#[derive(Debug)]
pub struct Slot<'a> {
    map: &'a mut AttrMap,
    name: AttrName,
    at: Result<usize, usize>,
}

impl AttrMap {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// From parts as they came, in any order: parts with one name are one attribute, spelled as the first, with the values of all of them,
    /// each once.
    pub fn from_parts(mut parts: Vec<(AttrName, Values)>) -> Self {
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        if parts.windows(2).all(|pair| matches!(pair, [(one, _), (other, _)] if one != other)) {
            return Self { attrs: parts };
        }
        let mut attrs: Vec<(AttrName, Values)> = Vec::new();
        for (name, values) in parts {
            match attrs.last_mut() {
                Some((held, all)) if *held == name => all.extend(values),
                _ => attrs.push((name, values)),
            }
        }
        for (_, values) in &mut attrs {
            let mut seen = HashSet::with_capacity(values.len());
            let first: Vec<bool> = values.iter().map(|value| seen.insert(value)).collect();
            let mut first = first.into_iter();
            values.retain(|_| first.next().unwrap_or(true));
        }
        Self { attrs }
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.attrs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.attrs.is_empty()
    }

    fn find<Q: Ord + ?Sized>(&self, name: &Q) -> Result<usize, usize>
    where
        AttrName: Borrow<Q>,
    {
        // Most lists are made from what is sorted already.
        match self.attrs.last() {
            Some((last, _)) if last.borrow() < name => Err(self.attrs.len()),
            _ => self.attrs.binary_search_by(|(held, _)| held.borrow().cmp(name)),
        }
    }

    /// The values of the attribute with this name (or with this lower case text).
    pub fn get<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&Values>
    where
        AttrName: Borrow<Q>,
    {
        self.find(name).ok().and_then(|at| self.attrs.get(at)).map(|(_, values)| values)
    }

    /// The values of the attribute with this name (or with this lower case text); empty where it is absent.
    pub fn values_of<Q: Ord + ?Sized>(&self, name: &Q) -> &[Value]
    where
        AttrName: Borrow<Q>,
    {
        self.get(name).map_or(&[], Values::as_slice)
    }

    /// The values of the attribute with this name, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<&mut Values>
    where
        AttrName: Borrow<Q>,
    {
        self.find(name).ok().and_then(|at| self.attrs.get_mut(at)).map(|(_, values)| values)
    }

    /// Whether there is an attribute with this name.
    pub fn contains_key<Q: Ord + ?Sized>(&self, name: &Q) -> bool
    where
        AttrName: Borrow<Q>,
    {
        self.find(name).is_ok()
    }

    /// Sets the values of an attribute, whose spelling stays if it is there; gives those that it had.
    pub fn insert(&mut self, name: AttrName, values: impl Into<Values>) -> Option<Values> {
        let values = values.into();
        match self.find(&name) {
            Ok(at) => self.attrs.get_mut(at).map(|(_, held)| std::mem::replace(held, values)),
            Err(at) => {
                self.attrs.insert(at, (name, values));
                None
            }
        }
    }

    /// Takes an attribute out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<Values>
    where
        AttrName: Borrow<Q>,
    {
        self.find(name).ok().map(|at| self.attrs.remove(at).1)
    }

    /// The place of an attribute.
    pub fn entry(&mut self, name: AttrName) -> Slot<'_> {
        let at = self.find(&name);
        Slot { map: self, name, at }
    }

    /// Keeps the attributes for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&AttrName, &mut Values) -> bool) {
        self.attrs.retain_mut(|(name, values)| keep(name, values));
    }

    /// The attributes, in the order of their names.
    pub fn iter(&self) -> Iter<'_> {
        self.into_iter()
    }

    /// The same, with values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_> {
        self.into_iter()
    }

    /// The names, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &AttrName> + DoubleEndedIterator {
        self.attrs.iter().map(|(name, _)| name)
    }

    /// The values of each attribute, in the order of their names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Values> + DoubleEndedIterator {
        self.attrs.iter().map(|(_, values)| values)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Values> + DoubleEndedIterator {
        self.attrs.iter_mut().map(|(_, values)| values)
    }
}

impl<'a> Slot<'a> {
    /// The values held here; `values` are put in if the attribute is not there.
    pub fn or_insert(self, values: impl Into<Values>) -> &'a mut Values {
        self.or_insert_with(|| values.into())
    }

    /// The values held here; none are put in if the attribute is not there.
    pub fn or_default(self) -> &'a mut Values {
        self.or_insert_with(Values::new)
    }

    /// The values held here; what `make` gives is put in if the attribute is not there.
    pub fn or_insert_with(self, make: impl FnOnce() -> Values) -> &'a mut Values {
        let at = match self.at {
            Ok(at) => at,
            Err(at) => {
                self.map.attrs.insert(at, (self.name, make()));
                at
            }
        };
        // The place was found or made above.
        &mut self.map.attrs[at].1
    }
}

/// Attributes of an [`AttrMap`] with their values.
pub type Iter<'a> = std::iter::Map<std::slice::Iter<'a, (AttrName, Values)>, fn(&(AttrName, Values)) -> (&AttrName, &Values)>;
/// The same, with values to be changed.
pub type IterMut<'a> =
    std::iter::Map<std::slice::IterMut<'a, (AttrName, Values)>, fn(&mut (AttrName, Values)) -> (&AttrName, &mut Values)>;

impl<'a> IntoIterator for &'a AttrMap {
    type Item = (&'a AttrName, &'a Values);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.attrs.iter().map(|(name, values)| (name, values))
    }
}

impl<'a> IntoIterator for &'a mut AttrMap {
    type Item = (&'a AttrName, &'a mut Values);
    type IntoIter = IterMut<'a>;

    fn into_iter(self) -> IterMut<'a> {
        self.attrs.iter_mut().map(|(name, values)| (&*name, values))
    }
}

impl IntoIterator for AttrMap {
    type Item = (AttrName, Values);
    type IntoIter = std::vec::IntoIter<(AttrName, Values)>;

    fn into_iter(self) -> Self::IntoIter {
        self.attrs.into_iter()
    }
}

impl Extend<(AttrName, Values)> for AttrMap {
    fn extend<I: IntoIterator<Item = (AttrName, Values)>>(&mut self, attrs: I) {
        for (name, values) in attrs {
            self.insert(name, values);
        }
    }
}

impl FromIterator<(AttrName, Values)> for AttrMap {
    /// Of attributes with one name the last counts.
    fn from_iter<I: IntoIterator<Item = (AttrName, Values)>>(attrs: I) -> Self {
        let mut attrs: Vec<_> = attrs.into_iter().collect();
        attrs.sort_by(|(one, _), (other, _)| one.cmp(other));
        attrs.dedup_by(|later, held| {
            let same = later.0 == held.0;
            if same {
                std::mem::swap(&mut later.1, &mut held.1);
            }
            same
        });
        Self { attrs }
    }
}

impl<V: Into<Values>, const N: usize> From<[(AttrName, V); N]> for AttrMap {
    fn from(attrs: [(AttrName, V); N]) -> Self {
        attrs.into_iter().map(|(name, values)| (name, values.into())).collect()
    }
}

impl<Q: Ord + ?Sized> Index<&Q> for AttrMap
where
    AttrName: Borrow<Q>,
{
    type Output = Values;

    /// # Panics
    /// If there is no such attribute.
    fn index(&self, name: &Q) -> &Values {
        match self.find(name) {
            Ok(at) => &self.attrs[at].1,
            Err(_) => panic!("there is no such attribute"),
        }
    }
}

impl fmt::Debug for AttrMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for AttrMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for AttrMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attributes;

        impl<'de> Visitor<'de> for Attributes {
            type Value = AttrMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<AttrMap, A::Error> {
                // A length that lies must not reserve memory.
                let mut attrs = Vec::with_capacity(access.size_hint().unwrap_or(0).min(64));
                while let Some(attribute) = access.next_entry()? {
                    attrs.push(attribute);
                }
                // What was written from such a map is in order.
                if attrs.is_sorted_by(|(one, _): &(AttrName, _), (other, _)| one < other) {
                    return Ok(AttrMap { attrs });
                }
                Ok(attrs.into_iter().collect())
            }
        }

        deserializer.deserialize_map(Attributes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn values(text: &str) -> Values {
        Values::from(Value::from(text))
    }

    /// Whatever is done to it, it holds what a tree holds, and is written as one.
    #[test]
    fn it_does_what_a_tree_does() {
        let names = ["cn", "UID", "mail", "CN", "entryUUID", "a", "uid", "zz", "Mail"];
        let mut map = AttrMap::new();
        let mut tree: BTreeMap<AttrName, Values> = BTreeMap::new();
        for step in 0..200_usize {
            let name = AttrName::new(names[step * 7 % names.len()]);
            let text = step.to_string();
            match step % 5 {
                0 => assert_eq!(map.insert(name.clone(), values(&text)), tree.insert(name, values(&text))),
                1 => {
                    map.entry(name.clone()).or_default().push(Value::from(text.as_str()));
                    tree.entry(name).or_default().push(Value::from(text.as_str()));
                }
                2 => assert_eq!(map.remove(&name), tree.remove(&name)),
                3 => assert_eq!((map.get(&name), map.contains_key(name.folded())), (tree.get(&name), tree.contains_key(&name))),
                _ => {
                    map.retain(|name, _| name.folded() != "zz");
                    tree.retain(|name, _| name.folded() != "zz");
                }
            }
            assert!(map.iter().eq(tree.iter()) && map.keys().eq(tree.keys()), "step {step}");
            assert_eq!(serde_json::to_string(&map).unwrap(), serde_json::to_string(&tree).unwrap());
        }
        let written = serde_json::to_string(&map).unwrap();
        assert_eq!(serde_json::from_str::<AttrMap>(&written).unwrap(), map);
        assert_eq!(tree.into_iter().collect::<AttrMap>(), map);
    }

    #[test]
    fn parts_of_one_attribute_come_together_and_later_ones_replace() {
        let part =
            |name: &str, all: &[&str]| (AttrName::new(name), all.iter().map(|text| Value::from(*text)).collect::<Values>());
        let parts = vec![part("sn", &["x"]), part("CN", &["b", "a"]), part("cn", &[]), part("cn", &["a", "c"])];
        let map = AttrMap::from_parts(parts.clone());
        assert_eq!(map["cn"], ["b", "a", "c"].map(Value::from));
        assert_eq!(map.keys().map(AttrName::as_str).collect::<Vec<_>>(), ["CN", "sn"]);
        let map: AttrMap = parts.into_iter().collect();
        assert_eq!(map["cn"], ["a", "c"].map(Value::from));
        assert_eq!(map.len(), 2);
    }
}
