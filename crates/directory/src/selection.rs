//! Which attributes of an entry a request asks for.

use untether_model::AttrName;
use untether_model::schema::Schema;

/// Which attributes a request names (RFC 4511, section 4.5.1.8; RFC 3673 for `+`).
pub(crate) struct Selection<'a> {
    attrs: &'a [AttrName],
    user: bool,
    /// All operational attributes are asked for.
    pub(crate) operational: bool,
}

impl<'a> Selection<'a> {
    /// The request for these attributes; without any, for all user attributes.
    pub(crate) fn of(attrs: &'a [AttrName]) -> Self {
        let names = |text: &str| attrs.iter().any(|attr| attr.as_str() == text);
        Self { attrs, user: attrs.is_empty() || names("*"), operational: names("+") }
    }

    /// Whether the attribute is asked for. One that the schema does not know is taken for a user attribute.
    pub(crate) fn has(&self, attr: &AttrName, schema: &Schema) -> bool {
        // The schema need not be asked where everything is wanted, or nothing but what is named.
        if self.user == self.operational {
            return self.user || self.names(attr);
        }
        let operational = schema.get(attr).is_some_and(|kind| kind.operational);
        (if operational { self.operational } else { self.user }) || self.names(attr)
    }

    /// Whether the request names the attribute, or one that it is a subtype of by option.
    pub(crate) fn names(&self, attr: &AttrName) -> bool {
        self.attrs.iter().any(|name| attr.is_covered_by(name))
    }
}
