//! What the schema says to an entry: values, mandatory attributes, naming.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::schema::{ClassKind, Equality, ObjectClass, Schema};
use untether_model::time::generalized;
use untether_model::{AttrName, Dn, Value};

use super::refusal::{Refusal, code};
use super::syntax;
use super::tree::Stored;
use crate::classes::{self, Kind};

/// Values as they are sent, before the entry is looked at. Equal ones among values that go are not refused here.
pub(super) fn values(schema: &Schema, attr: &AttrName, values: &[Value], come: bool) -> Result<(), Refusal> {
    let rule = schema.equality(attr);
    let kind = schema.get(attr);
    if schema.is_undefined(attr) {
        return Err(Refusal::new(code::UNDEFINED_TYPE, format!("{attr}: attribute type undefined")));
    }
    if values.len() > 1 && kind.is_some_and(|kind| kind.single) {
        return Err(Refusal::new(code::CONSTRAINT, format!("{attr}: multiple values provided")));
    }
    let syntax = kind.and_then(|kind| kind.syntax.as_deref());
    let mut seen = BTreeSet::new();
    for (i, value) in values.iter().enumerate() {
        let valid = match (syntax, rule) {
            (Some(syntax), _) => syntax::is_valid(syntax, value) && (!attr.is("objectclass") || is_class(schema, value)),
            (None, Equality::DistinguishedName) => value.as_str().is_some_and(|text| Dn::parse(text).is_ok()),
            (None, Equality::Time) => generalized(value).is_some(),
            _ => true,
        };
        if !valid {
            return Err(Refusal::new(code::INVALID_SYNTAX, format!("{attr}: value #{i} invalid per syntax")));
        }
        if come && rule != Equality::None && values.len() > 1 && !seen.insert(schema.normalize(attr, value)) {
            return Err(Refusal::new(code::VALUE_EXISTS, format!("{attr}: value #{i} provided more than once")));
        }
    }
    Ok(())
}

/// The types in a name are ones that the store has, as far as its schema tells, each once in an RDN (RFC 4512, section 2.3.1), and with
/// a value that is not empty; else result 34.
pub(super) fn name(schema: &Schema, dn: &Dn) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::new(code::INVALID_NAME, format!("invalid DN: {why}")));
    for rdn in dn.rdns() {
        let mut seen = BTreeSet::new();
        for ava in &rdn.0 {
            if schema.is_undefined(&ava.attr) {
                return invalid(format!("attribute type '{}' undefined", ava.attr));
            }
            if !seen.insert(schema.canonical(ava.attr.as_str()).into_owned()) || ava.value.as_bytes().is_empty() {
                return invalid(format!("'{rdn}' names '{}' twice or without a value", ava.attr));
            }
        }
    }
    Ok(())
}

/// Whether a value of `objectClass` names a class, as far as classes are known.
fn is_class(schema: &Schema, value: &Value) -> bool {
    !schema.knows_classes() || value.as_str().is_some_and(|name| schema.class(name).is_some())
}

/// At most one value where the schema says so.
pub(super) fn single(schema: &Schema, entry: &Stored, attr: &AttrName) -> Result<(), Refusal> {
    let several = entry.attrs.get(attr).is_some_and(|values| values.len() > 1);
    if several && schema.get(attr).is_some_and(|kind| kind.single) {
        return Err(Refusal::new(code::CONSTRAINT, format!("attribute '{attr}' cannot have multiple values")));
    }
    Ok(())
}

/// Object classes are there and fit together, the entry has the values of its name and what its classes make mandatory, and nothing
/// that they do not allow: in this order, which decides the result code.
///
/// By the store's own object classes where its schema has them; else by those of the standard schemas, without what they allow.
pub(super) fn classes(schema: &Schema, entry: &Stored) -> Result<(), Refusal> {
    if !entry.has("objectClass") {
        return Err(Refusal::new(code::OBJECT_CLASS, "no objectClass attribute"));
    }
    if schema.knows_classes() {
        return described(schema, entry);
    }
    naming(schema, entry)?;
    for named in entry.classes() {
        let mut at = classes::find(named);
        while let Some(class) = at {
            if let Some(missing) = class.must.iter().find(|must| !has(entry, must)) {
                return Err(requires(named, missing));
            }
            at = class.above.and_then(classes::find);
        }
    }
    Ok(())
}

fn requires(class: &str, missing: &str) -> Refusal {
    Refusal::new(code::OBJECT_CLASS, format!("object class '{class}' requires attribute '{missing}'"))
}

/// Checks against the classes that the store's schema describes.
fn described(schema: &Schema, entry: &Stored) -> Result<(), Refusal> {
    let mut all: BTreeMap<&str, &ObjectClass> = BTreeMap::new();
    let mut open: Vec<&str> = entry.classes().collect();
    while let Some(name) = open.pop() {
        let Some(class) = schema.class(name) else {
            return Err(Refusal::new(code::OBJECT_CLASS, format!("unrecognized objectClass '{name}'")));
        };
        if all.insert(&class.name, class).is_none() {
            open.extend(class.above.iter().map(String::as_str));
        }
    }
    chain(schema, entry)?;
    same_structure(schema, entry)?;
    naming(schema, entry)?;
    let held: BTreeSet<String> = entry.attrs.keys().map(|attr| schema.canonical(attr.as_str()).into_owned()).collect();
    for class in all.values() {
        if let Some(missing) = class.must.iter().find(|must| !held.contains(schema.canonical(must).as_ref())) {
            return Err(requires(&class.name, missing));
        }
    }
    if all.contains_key("extensibleObject") {
        return Ok(());
    }
    let allowed: BTreeSet<String> = all
        .values()
        .flat_map(|class| class.must.iter().chain(&class.may))
        .map(|attr| schema.canonical(attr).into_owned())
        .collect();
    let operational = |attr: &AttrName| schema.get(attr).is_some_and(|kind| kind.operational);
    let stray = entry.attrs.keys().find(|attr| !operational(attr) && !allowed.contains(schema.canonical(attr.as_str()).as_ref()));
    match stray {
        Some(attr) => Err(Refusal::new(code::OBJECT_CLASS, format!("attribute '{attr}' not allowed"))),
        None => Ok(()),
    }
}

/// The structural classes are one chain, and no abstract class stands alone.
fn chain(schema: &Schema, entry: &Stored) -> Result<(), Refusal> {
    let Some(structural) = structural(schema, entry) else {
        return Err(Refusal::new(code::OBJECT_CLASS, "no structural object class provided"));
    };
    for name in entry.classes() {
        let Some(class) = schema.class(name) else { continue };
        let stray = match class.kind {
            ClassKind::Auxiliary => false,
            ClassKind::Structural => !schema.is_class_within(&structural, &class.name),
            ClassKind::Abstract => !entry.classes().any(|other| {
                let below = schema.class(other).filter(|other| other.kind != ClassKind::Abstract);
                below.is_some_and(|other| schema.is_class_within(&other.name, &class.name))
            }),
        };
        if stray {
            return Err(Refusal::new(code::OBJECT_CLASS, format!("invalid structural object class chain ({structural}/{name})")));
        }
    }
    Ok(())
}

/// What an entry is does not change (result 69).
fn same_structure(schema: &Schema, entry: &Stored) -> Result<(), Refusal> {
    match (entry.text("structuralObjectClass"), structural(schema, entry)) {
        (Some(was), Some(now)) if !was.eq_ignore_ascii_case(&now) => Err(Refusal::new(
            code::CLASS_CHANGE,
            format!("structural object class modification from '{was}' to '{now}' not allowed"),
        )),
        _ => Ok(()),
    }
}

/// Whether the attribute or a subtype of it by option is there: `cn;lang-ja` is a `cn`.
fn has(entry: &Stored, attr: &str) -> bool {
    entry.attrs.keys().any(|name| name.is(attr))
}

/// The values of the entry's own name are there.
fn naming(schema: &Schema, entry: &Stored) -> Result<(), Refusal> {
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

/// The structural class: the one that all others of the entry stand above; without the store's object classes the known one
/// farthest below `top`, else the first class that is not known.
pub(super) fn structural(schema: &Schema, entry: &Stored) -> Option<String> {
    if schema.knows_classes() {
        let own: Vec<&ObjectClass> = entry.classes().filter_map(|name| schema.class(name)).collect();
        let structural = own.into_iter().filter(|class| class.kind == ClassKind::Structural);
        return structural
            .fold(None, |deepest: Option<&ObjectClass>, class| match deepest {
                Some(found) if !schema.is_class_within(&class.name, &found.name) => Some(found),
                _ => Some(class),
            })
            .map(|class| class.name.clone());
    }
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
