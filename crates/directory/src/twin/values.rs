//! The values of one attribute: a set by the attribute's equality rule, in the order in which they came.

use std::collections::BTreeMap;
use std::sync::Arc;

use untether_model::Value;
use untether_model::schema::{Equality, normalize};

/// Up to here a scan is cheaper, in time and memory, than an index.
const FEW: usize = 48;

/// The values of one attribute. Groups of tens of thousands of members are indexed; cloning is cheap until something is changed.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Few(Vec<Value>),
    Many(Arc<Many>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Many {
    position: BTreeMap<Vec<u8>, u64>,
    in_order: BTreeMap<u64, Value>,
    next: u64,
}

impl Many {
    fn insert(&mut self, key: Vec<u8>, value: Value) {
        self.position.insert(key, self.next);
        self.in_order.insert(self.next, value);
        self.next += 1;
    }
}

impl Values {
    pub(super) fn new(rule: Equality, values: Vec<Value>) -> Self {
        if values.len() <= FEW || rule == Equality::None {
            return Self::Few(values);
        }
        let mut many = Many::default();
        for value in values {
            many.insert(normalize(rule, &value), value);
        }
        Self::Many(Arc::new(many))
    }

    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match self {
            Self::Few(values) => Box::new(values.iter()),
            Self::Many(many) => Box::new(many.in_order.values()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(values) => values.len(),
            Self::Many(many) => many.in_order.len(),
        }
    }

    pub(super) fn contains(&self, rule: Equality, key: &[u8]) -> bool {
        match self {
            Self::Few(values) => values.iter().any(|value| normalize(rule, value) == key),
            Self::Many(many) => many.position.contains_key(key),
        }
    }

    /// Appends a value that is not there yet.
    pub(super) fn push(&mut self, rule: Equality, value: Value) {
        match self {
            Self::Few(values) => {
                values.push(value);
                if values.len() > FEW {
                    *self = Self::new(rule, std::mem::take(values));
                }
            }
            Self::Many(many) => Arc::make_mut(many).insert(normalize(rule, &value), value),
        }
    }

    /// Takes a value out; false if it is not there.
    pub(super) fn remove(&mut self, rule: Equality, key: &[u8]) -> bool {
        match self {
            Self::Few(values) => {
                let before = values.len();
                values.retain(|value| normalize(rule, value) != key);
                values.len() < before
            }
            Self::Many(many) => {
                let many = Arc::make_mut(many);
                many.position.remove(key).and_then(|at| many.in_order.remove(&at)).is_some()
            }
        }
    }
}
