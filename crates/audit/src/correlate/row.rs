//! What is kept of each account while the rules run.

use untether_model::snapshot::MatchKey;

/// An account's place in the index: those of the shared store first, then those of the independent directory, in the order of the
/// snapshot.
pub type RowIx = u32;

/// Marks of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

flags! {
    /// Some path lets it in, or it is not known that none does.
    OPEN = 0;
    /// A lock or an end of validity is on, whatever the paths say.
    LOCKED = 1;
    /// It holds credential material.
    CREDENTIAL = 2;
    /// It holds user attributes that are not on the retention list.
    BEYOND_RETENTION = 3;
    /// A protected identity.
    PROTECTED = 4;
    /// The canary entry.
    CANARY = 5;
    /// A service account.
    SERVICE = 6;
    /// A shared mailbox.
    MAILBOX = 7;
    /// A test account.
    TEST = 8;
    /// A declared secondary account.
    SECONDARY = 9;
    /// The policy keeps its record.
    KEEP = 10;
    /// The strongest key that matches has several candidates.
    AMBIGUOUS = 11;
    /// Two keys lead to different subjects.
    CONFLICTING = 12;
    /// An effective member of a privileged group.
    PRIVILEGED = 13;
    /// The subject's main account in its store.
    PRIMARY = 14;
    /// It names owners.
    HAS_OWNER = 15;
    /// One of its owners exists and has not departed.
    OWNED = 16;
    /// An acceptable factor is enrolled.
    FACTOR = 17;
    /// One of several accounts of an active person in its store, and not the primary one.
    DUPLICATE = 18;
    /// In the independent directory; else in the shared store.
    INDEPENDENT = 19;
    /// A person says what it is (a decision on its match).
    DECIDED_BY_PERSON = 20;
}

impl Flags {
    /// Whether all of these are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of these is set.
    pub fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets or clears.
    pub fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        } else {
            self.0 &= !other.0;
        }
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One account.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Marks.
    pub flags: Flags,
    /// The subject, once correlation is done.
    pub subject: u32,
    /// Latest sign of use in seconds since 1970; 0: none.
    pub last_use: u32,
    /// Creation in seconds since 1970; 0: not told.
    pub created: u32,
    /// Number of the entity that subtree or attribute say; [`Row::NOWHERE`] where neither does.
    pub entity: u16,
    /// The key that decided.
    pub matched_by: Option<MatchKey>,
    /// The status rule that its account falls under.
    pub status: Option<super::StatusRule>,
}

impl Row {
    /// No entity.
    pub const NOWHERE: u16 = u16::MAX;
    /// No subject yet.
    pub const UNMATCHED: u32 = u32::MAX;

    /// Whether correlation left it undecided.
    pub fn is_undecided(&self) -> bool {
        self.flags.has_any(Flags::AMBIGUOUS | Flags::CONFLICTING)
    }
}
