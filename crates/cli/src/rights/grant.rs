//! What a right is: for whom, where, on what, how much, and what stops without it.

use std::fmt;

use untether_model::{AttrName, Dn};

use super::role::Role;

/// Which database of the server a right belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    /// The one that holds the store.
    Main,
    /// One that holds copies, by its suffix.
    Copies(Dn),
    /// `cn=config`.
    Config,
    /// `cn=Monitor`.
    Monitor,
}

/// How far a place extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The entry.
    Exact,
    /// The entry and everything below it.
    Subtree,
    /// Everything that there is in the database.
    Everything,
}

/// Which entries a right is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The entry.
    pub dn: Dn,
    /// How far.
    pub extent: Extent,
    /// Only entries that match this (RFC 4515).
    pub filter: Option<String>,
}

impl Place {
    /// One entry.
    pub fn exact(dn: &Dn) -> Self {
        Self { dn: dn.clone(), extent: Extent::Exact, filter: None }
    }

    /// An entry and everything below it.
    pub fn below(dn: &Dn) -> Self {
        Self { dn: dn.clone(), extent: Extent::Subtree, filter: None }
    }

    /// The same, of entries that match a filter.
    pub fn matching(self, filter: Option<&str>) -> Self {
        Self { filter: filter.map(str::to_owned), ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.extent {
            Extent::Exact => write!(f, "{}", self.dn)?,
            Extent::Subtree => write!(f, "below {}", self.dn)?,
            Extent::Everything => write!(f, "everything in {}", self.dn)?,
        }
        match &self.filter {
            Some(filter) => write!(f, " {filter}"),
            None => Ok(()),
        }
    }
}

/// Which attributes a right is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attrs {
    /// All, the entry itself included.
    All,
    /// These; `entry` and `children` stand for the entry's existence and that of those below it (slapd.access(5)).
    These(Vec<AttrName>),
}

impl Attrs {
    /// These names, each once.
    pub fn of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        let mut these: Vec<AttrName> = Vec::new();
        for name in names {
            let name = AttrName::new(name.as_ref());
            if !these.contains(&name) {
                these.push(name);
            }
        }
        Self::These(these)
    }

    /// Whether an attribute is among them.
    pub fn has(&self, attr: &AttrName) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|name| attr.is_covered_by(name)),
        }
    }
}

/// Whether a name stands for the entry, not for an attribute.
pub fn is_pseudo(name: &AttrName) -> bool {
    name.is("entry") || name.is("children")
}

/// How much. The order is from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing, whatever the rules that follow say.
    None,
    /// Everybody may try the password.
    Login,
    /// Seen, and searched by.
    Read,
    /// Changed.
    Write,
    /// Changed although the server keeps it (relax).
    Manage,
}

impl Level {
    /// The word of slapd.access(5).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "auth",
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
        }
    }
}

/// One right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub role: Role,
    /// In which database.
    pub database: Database,
    /// On which entries.
    pub place: Place,
    /// On which attributes.
    pub attrs: Attrs,
    /// How much.
    pub level: Level,
    /// What stops without it: commands and stages.
    pub stops: Vec<&'static str>,
}
