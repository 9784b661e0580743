//! How an account of the shared store becomes one of the independent directory.
//!
//! Pure text and values: whether a name is free is decided in [`super::survey`].

use untether_model::policy::{Mapping, Piece, template_pieces};
use untether_model::snapshot::SnapshotEntry;
use untether_model::time::PERMANENT_LOCK;
use untether_model::{AttrMap, AttrName, Dn, EntityId, StableId, Value, keys};

use crate::attributes::required_of;

/// The entry that is to be created, locked and without a password.
pub(super) struct Draft {
    pub attrs: AttrMap,
    /// The value that names it.
    naming: Value,
}

impl Draft {
    /// Its name.
    pub(super) fn dn(&self, mapping: &Mapping) -> Dn {
        mapping.base.child(mapping.rdn.as_str(), self.naming.clone())
    }

    /// What no two entries may share: login and mail addresses, in comparable form.
    pub(super) fn names(&self) -> Vec<String> {
        let of = |attr: &'static str| self.attrs.values_of(attr).iter().filter_map(Value::as_str);
        let mut names: Vec<String> = of("uid").filter_map(keys::login).map(|v| format!("login {v}")).collect();
        names.extend(of("mail").filter_map(keys::mail).map(|v| format!("mail address {v}")));
        names
    }

    pub(super) fn login(&self) -> Option<&str> {
        self.attrs.values_of("uid").first()?.as_str()
    }
}

/// Makes the entry; the error says what is missing.
pub(super) fn draft(
    mapping: &Mapping,
    entry: &SnapshotEntry,
    entity: &EntityId,
    stable_id: Option<&StableId>,
    told: &std::collections::BTreeMap<String, Vec<AttrName>>,
) -> Result<Draft, String> {
    let mut attrs = AttrMap::new();
    for (attr, values) in &entry.attrs {
        let copied = mapping.copy.iter().any(|name| attr.is_covered_by(name));
        // A copied reference would name an entry of the store that is being left; references are translated on their own.
        let reference = mapping.references.iter().any(|name| attr.is_covered_by(name));
        if copied && !reference && !attr.is("objectclass") {
            attrs.insert(attr.clone(), values.clone());
        }
    }
    for (attr, template) in &mapping.templates {
        attrs.insert(attr.clone(), vec![Value::from(fill(template, entry, entity)?)]);
    }
    for (attr, values) in &mapping.constants {
        attrs.insert(attr.clone(), values.clone());
    }
    if let Some(attr) = &mapping.link_attribute {
        let id = stable_id.ok_or_else(|| format!("{attr} needs the stable id of the shared account"))?;
        attrs.insert(attr.clone(), vec![Value::from(id.as_str())]);
    }
    let classes: Vec<Value> = mapping.object_classes.iter().map(|c| Value::from(c.as_str())).collect();
    attrs.insert(AttrName::new("objectClass"), classes);
    attrs.insert(AttrName::new("pwdAccountLockedTime"), vec![Value::from(PERMANENT_LOCK)]);
    let naming = naming_value(mapping, entry, &attrs)?;
    attrs.entry(mapping.rdn.clone()).or_insert_with(|| naming.clone().into());
    for attr in required_of(&mapping.object_classes, told) {
        if !attrs.contains_key(&attr) {
            return Err(format!("the object classes of the mapping require {attr}, which the shared entry does not give"));
        }
    }
    Ok(Draft { attrs, naming })
}

/// The value of the naming attribute: the one that names the shared entry where it has several.
fn naming_value(mapping: &Mapping, entry: &SnapshotEntry, attrs: &AttrMap) -> Result<Value, String> {
    let values = attrs.values_of(&mapping.rdn);
    let named = entry.dn.rdn().and_then(|rdn| rdn.value(mapping.rdn.base()).cloned());
    match (values, named) {
        ([only], _) => Ok(only.clone()),
        ([], Some(named)) => Ok(named),
        ([], None) => Err(format!("it has no {}, which is to name the new entry", mapping.rdn)),
        (_, Some(named)) if values.contains(&named) => Ok(named),
        (several, _) => several.iter().min().cloned().ok_or_else(|| format!("it has no {}", mapping.rdn)),
    }
}

/// Fills a template; `{entity}` is the entity, other names in braces are attributes of the shared entry.
fn fill(template: &str, entry: &SnapshotEntry, entity: &EntityId) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    for piece in template_pieces(template)? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Name("entity") => out.push_str(entity.as_str()),
            Piece::Name(name) => {
                let value = entry.attrs.values_of(&AttrName::new(name)).iter().min().and_then(Value::as_str);
                out.push_str(value.ok_or_else(|| format!("it has no {name}, which the template '{template}' needs"))?);
            }
        }
    }
    Ok(out)
}
