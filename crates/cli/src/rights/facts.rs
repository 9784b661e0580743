//! What of a server the rules for it depend on.

use untether_model::AttrName;
use untether_model::schema::Schema;

/// What of a server decides how rights are written down. Where it is not known, nothing is left out.
#[derive(Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Its schema: a rule that names an attribute which is not in it is refused.
    pub schema: Option<&'a Schema>,
    /// It checks rights on each attribute of an entry that is added (`olcAddContentAcl`).
    pub checks_added: bool,
}

impl Facts<'_> {
    /// Whether a rule may name an attribute.
    pub fn knows(&self, attr: &AttrName) -> bool {
        self.schema.is_none_or(|schema| schema.is_empty() || schema.get(attr).is_some())
    }
}
