//! The values of one attribute.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Value;

/// The values of an attribute, in the order in which the server gave them. Read as a slice.
///
/// Most attributes have one value, and stores have millions of entries with dozens of attributes each: a single value lies here itself,
/// and only several are a list of their own. Serialized as a list.
#[derive(Clone, Default)]
pub struct Values(Held);

#[derive(Clone, Default)]
enum Held {
    #[default]
    None,
    One(Value),
    Many(Vec<Value>),
}

impl Values {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// No values yet, with room for so many.
    pub fn with_capacity(values: usize) -> Self {
        match values {
            0 | 1 => Self::new(),
            several => Self(Held::Many(Vec::with_capacity(several))),
        }
    }

    /// The values as a slice.
    pub fn as_slice(&self) -> &[Value] {
        match &self.0 {
            Held::None => &[],
            Held::One(value) => std::slice::from_ref(value),
            Held::Many(values) => values,
        }
    }

    /// Adds a value at the end.
    pub fn push(&mut self, value: Value) {
        self.0 = match std::mem::take(&mut self.0) {
            Held::None => Held::One(value),
            Held::One(first) => Held::Many(vec![first, value]),
            Held::Many(mut values) => {
                values.push(value);
                Held::Many(values)
            }
        };
    }

    /// Keeps the values for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Value) -> bool) {
        match &mut self.0 {
            Held::None => {}
            Held::One(value) if keep(value) => {}
            Held::One(_) => self.clear(),
            Held::Many(values) => values.retain(keep),
        }
    }

    /// Takes all values out.
    pub fn clear(&mut self) {
        self.0 = Held::None;
    }
}

impl Deref for Values {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        self.as_slice()
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [Value] {
        match &mut self.0 {
            Held::None => &mut [],
            Held::One(value) => std::slice::from_mut(value),
            Held::Many(values) => values,
        }
    }
}

impl From<Value> for Values {
    fn from(value: Value) -> Self {
        Self(Held::One(value))
    }
}

impl From<Vec<Value>> for Values {
    fn from(mut values: Vec<Value>) -> Self {
        match values.len() {
            0 => Self::new(),
            1 => values.pop().map_or_else(Self::new, Self::from),
            _ => Self(Held::Many(values)),
        }
    }
}

impl<const N: usize> From<[Value; N]> for Values {
    fn from(values: [Value; N]) -> Self {
        values.into_iter().collect()
    }
}

impl From<&[Value]> for Values {
    fn from(values: &[Value]) -> Self {
        values.iter().cloned().collect()
    }
}

impl From<Values> for Vec<Value> {
    fn from(values: Values) -> Self {
        match values.0 {
            Held::None => Self::new(),
            Held::One(value) => vec![value],
            Held::Many(values) => values,
        }
    }
}

impl FromIterator<Value> for Values {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut all = Self::new();
        all.extend(values);
        all
    }
}

impl Extend<Value> for Values {
    fn extend<I: IntoIterator<Item = Value>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl IntoIterator for Values {
    type Item = Value;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Value>, std::vec::IntoIter<Value>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self.0 {
            Held::None => (None, Vec::new()),
            Held::One(value) => (Some(value), Vec::new()),
            Held::Many(values) => (None, values),
        };
        one.into_iter().chain(many)
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Values {
    type Item = &'a mut Value;
    type IntoIter = std::slice::IterMut<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Values {}

impl PartialEq<Vec<Value>> for Values {
    fn eq(&self, other: &Vec<Value>) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const N: usize> PartialEq<[Value; N]> for Values {
    fn eq(&self, other: &[Value; N]) -> bool {
        self.as_slice() == other
    }
}

impl PartialOrd for Values {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Values {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl std::hash::Hash for Values {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Values, A::Error> {
                // A length that lies must not reserve memory.
                let mut values = Values::with_capacity(access.size_hint().unwrap_or(0).min(1024));
                while let Some(value) = access.next_element()? {
                    values.push(value);
                }
                Ok(values)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: usize) -> Value {
        Value::from(number.to_string())
    }

    /// Whatever is done to it, it holds what a list holds, and is written as one.
    #[test]
    fn it_does_what_a_list_does() {
        for length in 0..5 {
            let list: Vec<Value> = (0..length).map(value).collect();
            let mut values: Values = list.iter().cloned().collect();
            assert_eq!(values, list);
            assert_eq!(values, Values::from(list.clone()));
            assert_eq!(Vec::from(values.clone()), list);
            assert!(values.clone().into_iter().eq(list.clone()) && values.iter().eq(&list));
            assert_eq!(serde_json::to_string(&values).unwrap(), serde_json::to_string(&list).unwrap());
            assert_eq!(serde_json::from_str::<Values>(&serde_json::to_string(&list).unwrap()).unwrap(), list);
            for left_out in 0..length {
                let kept = |v: &Value| *v != value(left_out);
                let (mut some, mut of_list) = (values.clone(), list.clone());
                some.retain(kept);
                of_list.retain(kept);
                assert_eq!((some.len(), some.first()), (of_list.len(), of_list.first()));
                assert_eq!(some, of_list);
                assert_eq!(some.cmp(&values), of_list.cmp(&list));
                some.push(value(9));
                of_list.push(value(9));
                assert_eq!(some, of_list);
            }
            values.sort_by(|a, b| b.cmp(a));
            assert!(values.iter().eq(list.iter().rev()));
            values.clear();
            assert!(values.is_empty());
        }
        assert_eq!(size_of::<Values>(), 32);
    }
}
