//! The overlays memberof and refint: what a write does to other entries. Neither moves the other entry's `entryCSN`.

use std::collections::BTreeMap;

use untether_model::change::{ModKind, Modification};
use untether_model::dn::DnKey;
use untether_model::{AttrMap, AttrName, Dn, Value};

use super::check;
use super::config::{Identity, TwinConfig};
use super::tree::{Stored, Tree};

/// The attribute that makes members, of entries of the class `groupOfNames`.
pub(super) const MEMBER: &str = "member";
const GROUP_CLASS: &str = "groupOfNames";
const MEMBER_OF: &str = "memberOf";

/// Under which name refint writes.
const REFINT_NAME: &str = "cn=Referential Integrity Overlay";

fn names<'a>(values: impl IntoIterator<Item = &'a Value>) -> impl Iterator<Item = Dn> {
    values.into_iter().filter_map(Value::as_str).filter_map(|text| Dn::parse(text).ok())
}

/// The members in these attributes.
pub(super) fn members(attrs: &AttrMap) -> Vec<Dn> {
    names(attrs.get(&AttrName::new(MEMBER)).into_iter().flatten()).collect()
}

/// The members that these modifications of a group may have added or taken away.
pub(super) fn touched_members(before: &Stored, mods: &[Modification]) -> Vec<Dn> {
    let mut touched: BTreeMap<DnKey, Dn> = BTreeMap::new();
    for m in mods.iter().filter(|m| m.attr == AttrName::new(MEMBER)) {
        if m.kind == ModKind::Replace || m.values.is_empty() {
            touched.extend(names(before.values(MEMBER)).map(|dn| (dn.key().clone(), dn)));
        }
        touched.extend(names(&m.values).map(|dn| (dn.key().clone(), dn)));
    }
    touched.into_values().collect()
}

/// memberof: a replace takes the group from all of its members first, those that stay included.
pub(super) fn members_replaced(tree: &mut Tree, config: &TwinConfig, before: &Stored, mods: &[Modification]) {
    let replaces = mods.iter().any(|m| m.attr == AttrName::new(MEMBER) && m.kind == ModKind::Replace);
    if !replaces || !before.is_class(GROUP_CLASS) {
        return;
    }
    let member_of = AttrName::new(MEMBER_OF);
    let group = before.dn.key().as_str().as_bytes();
    for dn in names(before.values(MEMBER)) {
        tree.edit(&dn, |entry| {
            if entry.take(&config.schema, &member_of, group) {
                entry.set("modifiersName", config.name_of(Identity::Root).as_str());
            }
        });
    }
}

/// memberof: the entry `group` was written; brings `memberOf` of these members in line with it.
///
/// Only members that a write names are looked at. So an entry that is deleted and added again has no `memberOf`, even where the
/// group still holds its name, until it is added to the group again.
pub(super) fn group_written(tree: &mut Tree, config: &TwinConfig, group: &Dn, members: &[Dn]) {
    let schema = &config.schema;
    let (member, member_of) = (AttrName::new(MEMBER), AttrName::new(MEMBER_OF));
    let group_key = group.key().as_str().as_bytes();
    let group_value = Value::from(group.as_str());
    for dn in members {
        let belongs = tree.get(group).filter(|entry| entry.is_class(GROUP_CLASS)).is_some_and(|entry| {
            let values = entry.attrs.get(&member);
            values.is_some_and(|values| values.contains(schema.equality(&member), dn.key().as_str().as_bytes()))
        });
        let Some(says) = tree.get(dn).map(|entry| {
            let values = entry.attrs.get(&member_of);
            values.is_some_and(|values| values.contains(schema.equality(&member_of), group_key))
        }) else {
            continue;
        };
        if says != belongs {
            tree.edit(dn, |entry| {
                if belongs {
                    entry.push(schema, &member_of, group_value.clone());
                } else {
                    entry.take(schema, &member_of, group_key);
                }
                entry.set("modifiersName", config.name_of(Identity::Root).as_str());
            });
        }
    }
}

/// refint: the entry `gone` was deleted; takes its name out of the configured attributes of other entries. An entry that would
/// lose a mandatory attribute (a group its only member) is left as it is, with all of its references.
pub(super) fn reference_gone(tree: &mut Tree, config: &TwinConfig, gone: &Dn) {
    if config.references.is_empty() {
        return;
    }
    let schema = &config.schema;
    for dn in tree.referring_to(gone) {
        let Some(before) = tree.get(&dn) else { continue };
        let mut after = before.clone();
        let mut changed = false;
        for attr in &config.references {
            changed |= after.take(schema, attr, gone.key().as_str().as_bytes());
        }
        if changed && check::classes(schema, &after).is_ok() {
            after.set("modifiersName", REFINT_NAME);
            tree.edit(&dn, |entry| *entry = after);
        }
    }
}
