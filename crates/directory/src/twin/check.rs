//! What the schema says to an entry: values, mandatory attributes, naming.

use std::collections::BTreeSet;

use untether_model::schema::{Equality, Schema};
use untether_model::time::generalized;
use untether_model::{AttrName, Dn, Value};

use super::refusal::{Refusal, code};
use super::tree::Stored;
use crate::classes::{self, Kind};

/// Values as they are sent, before the entry is looked at.
pub(super) fn values(schema: &Schema, attr: &AttrName, values: &[Value]) -> Result<(), Refusal> {
    let rule = schema.equality(attr);
    if values.len() > 1 && schema.get(attr).is_some_and(|kind| kind.single) {
        return Err(Refusal::new(code::CONSTRAINT, format!("{attr}: multiple values provided")));
    }
    let mut seen = BTreeSet::new();
    for (i, value) in values.iter().enumerate() {
        let valid = match rule {
            Equality::DistinguishedName => value.as_str().is_some_and(|text| Dn::parse(text).is_ok()),
            Equality::Time => generalized(value).is_some(),
            _ => true,
        };
        if !valid {
            return Err(Refusal::new(code::INVALID_SYNTAX, format!("{attr}: value #{i} invalid per syntax")));
        }
        if rule != Equality::None && values.len() > 1 && !seen.insert(schema.normalize(attr, value)) {
            return Err(Refusal::new(code::VALUE_EXISTS, format!("{attr}: value #{i} provided more than once")));
        }
    }
    Ok(())
}

/// At most one value where the schema says so.
pub(super) fn single(schema: &Schema, entry: &Stored, attr: &AttrName) -> Result<(), Refusal> {
    let several = entry.attrs.get(attr).is_some_and(|values| values.len() > 1);
    if several && schema.get(attr).is_some_and(|kind| kind.single) {
        return Err(Refusal::new(code::CONSTRAINT, format!("attribute '{attr}' cannot have multiple values")));
    }
    Ok(())
}

/// Object classes are there, and what they make mandatory.
pub(super) fn classes(entry: &Stored) -> Result<(), Refusal> {
    if !entry.has("objectClass") {
        return Err(Refusal::new(code::OBJECT_CLASS, "no objectClass attribute"));
    }
    for named in entry.classes() {
        let mut at = classes::find(named);
        while let Some(class) = at {
            if let Some(missing) = class.must.iter().find(|must| !has(entry, must)) {
                return Err(Refusal::new(code::OBJECT_CLASS, format!("object class '{named}' requires attribute '{missing}'")));
            }
            at = class.above.and_then(classes::find);
        }
    }
    Ok(())
}

/// Whether the attribute or a subtype of it by option is there: `cn;lang-ja` is a `cn`.
fn has(entry: &Stored, attr: &str) -> bool {
    entry.attrs.keys().any(|name| name.is(attr))
}

/// The values of the entry's own name are there.
pub(super) fn naming(schema: &Schema, entry: &Stored) -> Result<(), Refusal> {
    for ava in entry.dn.rdn().map(|rdn| rdn.0).unwrap_or_default() {
        let rule = schema.equality(&ava.attr);
        let Some(values) = entry.attrs.get(&ava.attr) else {
            return Err(Refusal::new(code::NAMING, format!("naming attribute '{}' is not present in entry", ava.attr)));
        };
        if rule != Equality::None && !values.contains(rule, &schema.normalize(&ava.attr, &ava.value)) {
            return Err(Refusal::new(code::NAMING, format!("value of naming attribute '{}' is not present in entry", ava.attr)));
        }
    }
    Ok(())
}

/// The structural class: the known one farthest below `top`, else the first class that is not known.
pub(super) fn structural(entry: &Stored) -> Option<String> {
    let depth = |name: &str| {
        let mut depth = 0;
        let mut at = classes::find(name);
        while let Some(class) = at {
            depth += 1;
            at = class.above.and_then(classes::find);
        }
        depth
    };
    let known = entry.classes().filter_map(classes::find).filter(|class| class.kind == Kind::Structural);
    let deepest = known.max_by_key(|class| depth(class.name)).map(|class| class.name);
    deepest.or_else(|| entry.classes().find(|name| classes::find(name).is_none())).map(str::to_owned)
}
