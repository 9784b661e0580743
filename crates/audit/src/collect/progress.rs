//! What a display is told while stores are read. Losing any of it harms nothing.

use untether_model::{Dn, Side};

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Our accounts.
    Accounts,
    /// Entries that name others.
    References,
    /// The names of everything below the suffix.
    Names,
    /// `cn=config`.
    Configuration,
    /// An area of copies.
    Copies,
}

impl Part {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::References => "groups and references",
            Self::Names => "names",
            Self::Configuration => "configuration",
            Self::Copies => "copies",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectEvent<'a> {
    /// Reading of a base began.
    Started {
        /// The store.
        side: Side,
        /// What is being read.
        part: Part,
        /// The base.
        base: &'a Dn,
    },
    /// A page was read.
    Read {
        /// The store.
        side: Side,
        /// What is being read.
        part: Part,
        /// The base.
        base: &'a Dn,
        /// Entries of this base so far.
        entries: u64,
    },
    /// Reading of a base ended.
    Ended {
        /// The store.
        side: Side,
        /// What was read.
        part: Part,
        /// The base.
        base: &'a Dn,
        /// Entries of this base.
        entries: u64,
        /// Nothing is missing.
        complete: bool,
    },
}

/// Is told how collecting goes on. It must not block.
pub trait CollectProgress: Send + Sync {
    /// Something happened.
    fn event(&self, event: CollectEvent<'_>);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl CollectProgress for Silent {
    fn event(&self, _: CollectEvent<'_>) {}
}
