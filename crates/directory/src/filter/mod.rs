//! Search filters (RFC 4515) and whether an entry satisfies them (RFC 4511, section 4.5.1.7).
//!
//! For everything that is a store without being a server: exports, twins, gates over entries already read. Deliberately knows no
//! extensible matches, no ordering rules beyond numbers, times and bytes, and treats an approximate match as equality, as RFC
//! 4511 allows. An attribute that the schema does not describe compares as bytes and is not undefined, because the schema of an
//! export is only a part of the store's own.

mod evaluate;
mod parse;

use std::fmt;

use untether_model::{AttrName, Value};

pub(crate) use evaluate::Attributes;
pub use evaluate::Truth;
pub use parse::FilterError;

/// A search filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of them; `(&)` is always true (RFC 4526).
    And(Vec<Filter>),
    /// One of them; `(|)` is always false (RFC 4526).
    Or(Vec<Filter>),
    /// Not this one.
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(AttrName),
    /// The attribute has this value.
    Equal(AttrName, Value),
    /// A value at or above this one.
    GreaterOrEqual(AttrName, Value),
    /// A value at or below this one.
    LessOrEqual(AttrName, Value),
    /// A value made of these pieces.
    Substrings(AttrName, Substrings),
}

/// The pieces of a substring match, in order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Substrings {
    /// What the value begins with.
    pub initial: Option<Value>,
    /// What it holds in between.
    pub any: Vec<Value>,
    /// What it ends with.
    pub last: Option<Value>,
}

/// A value as it is written within a filter: `*`, `(`, `)`, `\`, NUL and everything that is not ASCII escaped.
pub fn escape(value: &Value) -> String {
    let mut out = String::with_capacity(value.as_bytes().len());
    for byte in value.as_bytes() {
        match byte {
            b'*' | b'(' | b')' | b'\\' | 0 | 0x7f.. => out.push_str(&format!("\\{byte:02x}")),
            _ => out.push(char::from(*byte)),
        }
    }
    out
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, sign: &str, parts: &[Filter]| {
            write!(f, "({sign}")?;
            parts.iter().try_for_each(|part| part.fmt(f))?;
            f.write_str(")")
        };
        match self {
            Self::And(parts) => list(f, "&", parts),
            Self::Or(parts) => list(f, "|", parts),
            Self::Not(part) => write!(f, "(!{part})"),
            Self::Present(attr) => write!(f, "({attr}=*)"),
            Self::Equal(attr, value) => write!(f, "({attr}={})", escape(value)),
            Self::GreaterOrEqual(attr, value) => write!(f, "({attr}>={})", escape(value)),
            Self::LessOrEqual(attr, value) => write!(f, "({attr}<={})", escape(value)),
            Self::Substrings(attr, parts) => {
                write!(f, "({attr}={}*", parts.initial.as_ref().map(escape).unwrap_or_default())?;
                parts.any.iter().try_for_each(|part| write!(f, "{}*", escape(part)))?;
                write!(f, "{})", parts.last.as_ref().map(escape).unwrap_or_default())
            }
        }
    }
}
