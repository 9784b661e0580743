//! What a reader is given of an entry: the attributes that were asked for.

use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, Entry, Value};

use super::tree::{Stored, Tree};
use crate::selection::Selection;

/// The entry with the attributes that were asked for, those that slapd computes for each reader included.
pub(super) fn project(stored: &Stored, attrs: &[AttrName], tree: &Tree, schema: &Schema) -> Entry {
    let selection = Selection::of(attrs);
    let chosen = stored.attrs.iter().filter(|(name, _)| selection.has(name, schema));
    let mut map: AttrMap = chosen.map(|(name, values)| (name.clone(), values.iter().cloned().collect())).collect();
    let wants = |name: &AttrName| selection.operational || selection.names(name);
    let mut compute = |name: &str, value: &dyn Fn() -> Value| {
        let name = AttrName::new(name);
        if wants(&name) {
            map.insert(name, vec![value()]);
        }
    };
    compute("entryDN", &|| stored.dn.as_str().into());
    compute("subschemaSubentry", &|| "cn=Subschema".into());
    compute("hasSubordinates", &|| if tree.has_children(&stored.dn) { "TRUE".into() } else { "FALSE".into() });
    Entry { dn: stored.dn.clone(), attrs: map }
}
