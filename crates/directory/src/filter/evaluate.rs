//! Whether an entry satisfies a filter: true, false, or undefined.

use std::cmp::Ordering;

use untether_model::schema::{Equality, Schema, normalize};
use untether_model::time::generalized;
use untether_model::{AttrMap, AttrName, Dn, Entry, Value};

use super::{Filter, Substrings};
use crate::classes;

/// Three-valued logic (RFC 4511, section 4.5.1.7): an entry is returned only for `True`, and `Not` of `Undefined` is `Undefined`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It matches.
    True,
    /// It does not.
    False,
    /// The attribute has no such matching rule, or the value is not of its syntax.
    Undefined,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What a filter is evaluated on.
pub(crate) trait Attributes {
    /// Whether `test` holds for any value of this attribute or of a subtype of it by option.
    fn any(&self, attr: &AttrName, test: &mut dyn FnMut(&Value) -> bool) -> bool;

    /// Whether a value normalizes to these bytes.
    fn holds(&self, attr: &AttrName, schema: &Schema, normalized: &[u8]) -> bool {
        let rule = schema.equality(attr);
        self.any(attr, &mut |value| normalize(rule, value) == normalized)
    }
}

impl Attributes for AttrMap {
    fn any(&self, attr: &AttrName, test: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.iter().filter(|(name, _)| name.is_covered_by(attr)).any(|(_, values)| values.iter().any(&mut *test))
    }
}

impl Filter {
    /// Whether the entry, as far as it was read, satisfies the filter: an attribute that was not read counts as absent.
    pub fn evaluate(&self, entry: &Entry, schema: &Schema) -> Truth {
        self.judge(&entry.attrs, schema)
    }

    /// Whether [`Filter::evaluate`] says [`Truth::True`].
    pub fn matches(&self, entry: &Entry, schema: &Schema) -> bool {
        self.matches_attrs(&entry.attrs, schema)
    }

    /// The same of an entry's attributes alone: its name decides nothing here.
    pub fn matches_attrs(&self, attrs: &AttrMap, schema: &Schema) -> bool {
        self.judge(attrs, schema) == Truth::True
    }

    pub(crate) fn judge(&self, entry: &dyn Attributes, schema: &Schema) -> Truth {
        match self {
            Self::And(parts) => combine(parts, entry, schema, Truth::False, Truth::True),
            Self::Or(parts) => combine(parts, entry, schema, Truth::True, Truth::False),
            Self::Not(part) => match part.judge(entry, schema) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Undefined => Truth::Undefined,
            },
            // Each entry has object classes, whether or not they were exported.
            Self::Present(attr) if schema.is_undefined(attr) => Truth::Undefined,
            Self::Present(attr) => Truth::of(attr.is("objectclass") || entry.any(attr, &mut |_| true)),
            Self::Equal(attr, value) => equal(entry, schema, attr, value),
            Self::GreaterOrEqual(attr, value) => ordered(entry, schema, attr, value, Ordering::is_ge),
            Self::LessOrEqual(attr, value) => ordered(entry, schema, attr, value, Ordering::is_le),
            Self::Substrings(attr, parts) => pieces(entry, schema, attr, parts),
        }
    }
}

/// `deciding` as soon as one part says it, else undefined if one part is, else `otherwise`.
fn combine(parts: &[Filter], entry: &dyn Attributes, schema: &Schema, deciding: Truth, otherwise: Truth) -> Truth {
    let mut result = otherwise;
    for part in parts {
        match part.judge(entry, schema) {
            truth if truth == deciding => return deciding,
            Truth::Undefined => result = Truth::Undefined,
            _ => {}
        }
    }
    result
}

fn equal(entry: &dyn Attributes, schema: &Schema, attr: &AttrName, wanted: &Value) -> Truth {
    if attr.is("objectclass") {
        // A class matches the entries of the classes below it (objectIdentifierMatch as slapd has it for this attribute).
        let Some(wanted) = wanted.as_str() else { return Truth::Undefined };
        let within = |class: &str| {
            if schema.knows_classes() { schema.is_class_within(class, wanted) } else { classes::is_within(class, wanted) }
        };
        return Truth::of(entry.any(attr, &mut |value| value.as_str().is_some_and(within)));
    }
    let rule = schema.equality(attr);
    let understood = match rule {
        Equality::None => false,
        Equality::DistinguishedName => wanted.as_str().is_some_and(|text| Dn::parse(text).is_ok()),
        Equality::Time => generalized(wanted).is_some(),
        _ => true,
    };
    if !understood || schema.is_undefined(attr) {
        return Truth::Undefined;
    }
    Truth::of(entry.holds(attr, schema, &normalize(rule, wanted)))
}

fn ordered(entry: &dyn Attributes, schema: &Schema, attr: &AttrName, bound: &Value, wanted: fn(Ordering) -> bool) -> Truth {
    let rule = schema.equality(attr);
    if schema.is_undefined(attr) || schema.get(attr).is_some_and(|kind| kind.ordered == Some(false)) {
        return Truth::Undefined;
    }
    if matches!(rule, Equality::None | Equality::DistinguishedName) || (rule == Equality::Time && generalized(bound).is_none()) {
        return Truth::Undefined;
    }
    Truth::of(entry.any(attr, &mut |value| compare(rule, value, bound).is_some_and(wanted)))
}

fn compare(rule: Equality, value: &Value, bound: &Value) -> Option<Ordering> {
    let number = |v: &Value| v.as_str().and_then(|text| text.trim().parse::<i128>().ok());
    match rule {
        Equality::Time => Some(generalized(value)?.cmp(&generalized(bound)?)),
        // Integers are held as tokens.
        Equality::Token | Equality::Numeric => match (number(value), number(bound)) {
            (Some(value), Some(bound)) => Some(value.cmp(&bound)),
            _ => Some(normalize(rule, value).cmp(&normalize(rule, bound))),
        },
        _ => Some(normalize(rule, value).cmp(&normalize(rule, bound))),
    }
}

fn pieces(entry: &dyn Attributes, schema: &Schema, attr: &AttrName, parts: &Substrings) -> Truth {
    let rule = schema.equality(attr);
    if schema.is_undefined(attr) || matches!(rule, Equality::None | Equality::DistinguishedName | Equality::Time) {
        return Truth::Undefined;
    }
    let initial = parts.initial.as_ref().map(|part| piece(rule, part, true, false));
    let any: Vec<Vec<u8>> = parts.any.iter().map(|part| piece(rule, part, false, false)).collect();
    let last = parts.last.as_ref().map(|part| piece(rule, part, false, true));
    Truth::of(entry.any(attr, &mut |value| {
        let value = normalize(rule, value);
        let Some(mut rest) = value.strip_prefix(initial.as_deref().unwrap_or_default()) else { return false };
        for part in &any {
            let Some(at) = find(rest, part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last.as_deref().unwrap_or_default())
    }))
}

/// A piece in its comparable form. Blanks at an end that lies inside the value count (RFC 4518, section 2.6.1), so they are kept
/// there by guarding them with a digit while the piece is normalized.
fn piece(rule: Equality, part: &Value, begins: bool, ends: bool) -> Vec<u8> {
    // A digit composes with no combining mark, and no rule drops it.
    const GUARD: u8 = b'0';
    let mut guarded = Vec::with_capacity(part.as_bytes().len() + 2);
    if !begins {
        guarded.push(GUARD);
    }
    guarded.extend_from_slice(part.as_bytes());
    if !ends {
        guarded.push(GUARD);
    }
    let mut normalized = normalize(rule, &Value::new(guarded));
    if !begins {
        normalized.remove(0);
    }
    if !ends {
        normalized.pop();
    }
    normalized
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}
