//! One modification of one attribute (RFC 4511, section 4.6), with slapd's result codes.

use std::collections::BTreeSet;

use untether_model::Value;
use untether_model::change::{ModKind, Modification};
use untether_model::schema::{Equality, Schema};

use super::refusal::{Refusal, code};
use super::tree::Stored;
use super::values::Values;

/// Applies a modification. Part of it may have been applied when it is refused.
pub(super) fn apply(schema: &Schema, entry: &mut Stored, m: &Modification) -> Result<(), Refusal> {
    let unmatched = schema.equality(&m.attr) == Equality::None;
    let no_rule =
        |what: &str| Refusal::new(code::INAPPROPRIATE_MATCHING, format!("modify/{what}: {}: no equality matching rule", m.attr));
    let present = entry.attrs.contains_key(&m.attr);
    match m.kind {
        ModKind::Add if unmatched && present => Err(no_rule("add")),
        ModKind::Add if unmatched => {
            entry.attrs.insert(m.attr.clone(), Values::Few(m.values.clone()));
            Ok(())
        }
        ModKind::Add => m.values.iter().enumerate().try_for_each(|(i, value)| add(schema, entry, m, i, value)),
        ModKind::Delete if unmatched && !m.values.is_empty() => Err(no_rule("delete")),
        ModKind::Delete if !present => {
            Err(Refusal::new(code::NO_SUCH_ATTRIBUTE, format!("modify/delete: {}: no such attribute", m.attr)))
        }
        ModKind::Delete if m.values.is_empty() => {
            entry.attrs.remove(&m.attr);
            Ok(())
        }
        ModKind::Delete => {
            // A value that is named twice goes once.
            let keys: BTreeSet<Vec<u8>> = m.values.iter().map(|value| schema.normalize(&m.attr, value)).collect();
            match keys.iter().all(|key| entry.take(schema, &m.attr, key)) {
                true => Ok(()),
                false => Err(Refusal::new(code::NO_SUCH_ATTRIBUTE, format!("modify/delete: {}: no such value", m.attr))),
            }
        }
        ModKind::Replace if m.values.is_empty() => {
            entry.attrs.remove(&m.attr);
            Ok(())
        }
        ModKind::Replace => {
            entry.attrs.insert(m.attr.clone(), Values::new(schema.equality(&m.attr), m.values.clone()));
            Ok(())
        }
    }
}

fn add(schema: &Schema, entry: &mut Stored, m: &Modification, i: usize, value: &Value) -> Result<(), Refusal> {
    if entry.push(schema, &m.attr, value.clone()) {
        return Ok(());
    }
    Err(Refusal::new(code::VALUE_EXISTS, format!("modify/add: {}: value #{i} already exists", m.attr)))
}
