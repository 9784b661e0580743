//! What a reader is given of an entry: the attributes that were asked for.

use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, Entry, Value};

use super::tree::{Stored, Tree};

/// Which attributes a request names (RFC 4511, section 4.5.1.8; RFC 3673 for `+`).
pub(crate) struct Selection<'a> {
    attrs: &'a [AttrName],
    user: bool,
    operational: bool,
}

impl<'a> Selection<'a> {
    pub(crate) fn of(attrs: &'a [AttrName]) -> Self {
        let names = |text: &str| attrs.iter().any(|attr| attr.as_str() == text);
        Self { attrs, user: attrs.is_empty() || names("*"), operational: names("+") }
    }

    /// Whether the attribute is asked for. One that the schema does not know is taken for a user attribute.
    pub(crate) fn has(&self, attr: &AttrName, schema: &Schema) -> bool {
        let operational = schema.get(attr).is_some_and(|kind| kind.operational);
        (if operational { self.operational } else { self.user }) || self.names(attr)
    }

    fn names(&self, attr: &AttrName) -> bool {
        self.attrs.iter().any(|name| attr.is_covered_by(name))
    }
}

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
