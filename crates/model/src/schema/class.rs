//! Object classes (RFC 4512, section 4.1.1): what an entry of a class must and may have.

use serde::{Deserialize, Serialize};

use super::tokens;

/// How a class is used (RFC 4512, section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassKind {
    /// Only a base of others.
    Abstract,
    /// What an entry is; each entry has one chain of these.
    Structural,
    /// What an entry is besides.
    Auxiliary,
}

/// One object class as a subschema describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectClass {
    /// The name in the schema's spelling.
    pub name: String,
    /// How it is used.
    pub kind: ClassKind,
    /// The classes above it.
    pub above: Vec<String>,
    /// Mandatory attributes, those of the classes above left out.
    pub must: Vec<String>,
    /// Allowed attributes, those of the classes above left out.
    pub may: Vec<String>,
}

impl ObjectClass {
    /// Takes an `objectClasses` value apart: the class, and every name and number that it has.
    pub(super) fn parse(text: &str) -> Option<(Self, Vec<String>)> {
        let mut words = tokens(text).into_iter().peekable();
        if words.next()? != "(" {
            return None;
        }
        let oid = words.next()?;
        let mut names = Vec::new();
        let mut class =
            Self { name: String::new(), kind: ClassKind::Structural, above: Vec::new(), must: Vec::new(), may: Vec::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "NAME" => names = list(&mut words)?,
                "SUP" => class.above = list(&mut words)?,
                "MUST" => class.must = list(&mut words)?,
                "MAY" => class.may = list(&mut words)?,
                "DESC" => {
                    words.next();
                }
                "ABSTRACT" => class.kind = ClassKind::Abstract,
                "AUXILIARY" => class.kind = ClassKind::Auxiliary,
                _ => {}
            }
        }
        names.push(oid);
        class.name.clone_from(names.first()?);
        Some((class, names))
    }
}

/// One word, or several in parentheses with `$` between them.
fn list(words: &mut impl Iterator<Item = String>) -> Option<Vec<String>> {
    let first = words.next()?;
    if first != "(" {
        return Some(vec![first]);
    }
    Some(words.take_while(|word| word != ")").filter(|word| word != "$").collect())
}
