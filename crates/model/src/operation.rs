//! Operations: what a plan will do to one entry, leaving nothing to decide at run time.
//!
//! Knows neither how an operation is executed (crate `cutover`) nor how it is chosen (crate `planner`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::{AttrMap, AttrName, Dn, Side, StableId, SubjectId, Value};

/// What is to become of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// Moves: all stages.
    Migrate,
    /// Departed, ended, or an orphan that a person decided on: starts at disable.
    Retire,
    /// Already in the independent directory but still in the shared one: starts at disable.
    Finish,
    /// The record must stay, the login must not: disable, soak, scrub.
    Keep,
    /// Not planned, or must still log in there.
    Hold,
}

impl Track {
    /// All tracks.
    pub const ALL: [Self; 5] = [Self::Migrate, Self::Retire, Self::Finish, Self::Keep, Self::Hold];

    /// `migrate`, `retire`, `finish`, `keep` or `hold`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Retire => "retire",
            Self::Finish => "finish",
            Self::Keep => "keep",
            Self::Hold => "hold",
        }
    }

    /// Whether a stage applies to subjects of this track.
    pub fn has(self, stage: Stage) -> bool {
        match self {
            Self::Migrate => true,
            Self::Retire | Self::Finish => stage >= Stage::Disable,
            Self::Keep => matches!(stage, Stage::Disable | Stage::Soak | Stage::Scrub),
            Self::Hold => false,
        }
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a batch goes through, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Entry in the independent directory, locked; memberships; references.
    Provision,
    /// One-time credential; opened for password change and factor enrolment.
    Enroll,
    /// Admission granted.
    Switch,
    /// The shared account is disabled on every path.
    Disable,
    /// The logs of the shared store are watched.
    Soak,
    /// Attributes and credentials erased from the shared record.
    Scrub,
    /// References to the record removed, then the record.
    Remove,
    /// Proof recorded.
    Attest,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 8] =
        [Self::Provision, Self::Enroll, Self::Switch, Self::Disable, Self::Soak, Self::Scrub, Self::Remove, Self::Attest];

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Enroll => "enroll",
            Self::Switch => "switch",
            Self::Disable => "disable",
            Self::Soak => "soak",
            Self::Scrub => "scrub",
            Self::Remove => "remove",
            Self::Attest => "attest",
        }
    }

    /// Reads [`Stage::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// The stage after this one.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|s| *s > self)
    }

    /// The stage before this one.
    pub fn previous(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|s| *s < self)
    }

    /// Scrub, remove and attest are irreversible, whatever the undo class of their operations.
    pub fn is_irreversible(self) -> bool {
        self >= Self::Scrub
    }

    /// The stage changes an account: the roster is read again at its start.
    pub fn changes_accounts(self) -> bool {
        !matches!(self, Self::Soak | Self::Attest)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Order of execution within a stage: the unparked cells of a phase end before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phase(pub u16);

impl Phase {
    /// Password policy pointers, before locks that depend on them.
    pub const POLICY: Self = Self(10);
    /// Entries: created, changed.
    pub const ENTRIES: Self = Self(20);
    /// What the undoing identity does after the writer (password history).
    pub const HISTORY: Self = Self(25);
    /// Memberships.
    pub const MEMBERSHIPS: Self = Self(30);
    /// Managers and other references.
    pub const REFERENCES: Self = Self(40);
    /// Hooks and mail.
    pub const DELIVERIES: Self = Self(50);
    /// Removals; deeper entries have smaller phases, so that children go first.
    pub const REMOVALS: Self = Self(1_000);
    /// Proof.
    pub const PROOF: Self = Self(2_000);

    /// The removal phase of an entry at this depth of the tree.
    pub fn removal(depth: usize) -> Self {
        let depth = u16::try_from(depth.min(500)).unwrap_or(500);
        Self(Self::REMOVALS.0 - depth)
    }
}

/// Which bind carries an operation out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The writing bind (right `write`).
    Writer,
    /// The undoing bind (right `manage`), with the relax control.
    Undo,
}

/// The entry that an operation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// An entry that was seen, by its stable id; the DN is where it was then.
    Existing {
        /// Where it was.
        dn: Dn,
        /// What it is.
        stable_id: StableId,
    },
    /// An entry that an earlier operation of the same batch creates.
    CreatedBy {
        /// Number of that operation.
        n: u32,
        /// Where it is created.
        dn: Dn,
    },
    /// An entry that this operation creates, or a group that may exist or not.
    New {
        /// Where.
        dn: Dn,
    },
}

impl Target {
    /// Where the entry is expected.
    pub fn dn(&self) -> &Dn {
        match self {
            Self::Existing { dn, .. } | Self::CreatedBy { dn, .. } | Self::New { dn } => dn,
        }
    }
}

/// A value in a plan: in line, or, above 1 KiB, a blob of the wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedValue {
    /// The value.
    Inline(Value),
    /// The blob with this digest.
    Blob(Digest),
}

/// What an attribute must be for an operation to go ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expects {
    /// Anything: users and servers own it.
    Any,
    /// Absent.
    Absent,
    /// Exactly these values.
    Values(Vec<PlannedValue>),
    /// Exactly the values with these HMACs (exact bytes, under the state key).
    Marks(Vec<String>),
}

/// Storage scheme of credentials that untether makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashScheme {
    /// Argon2id, `{ARGON2}$argon2id$…` (module `argon2` of OpenLDAP).
    #[default]
    Argon2id,
    /// Salted SHA-512 (module `pw-sha2`).
    Ssha512,
    /// Salted SHA-1, built into every OpenLDAP. Enough for a random one-time secret that must be changed.
    Ssha,
}

/// How a one-time secret is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretShape {
    /// How it is stored.
    pub scheme: HashScheme,
    /// Its characters (each carries five bits).
    pub length: u8,
}

/// What an attribute is to be afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desired {
    /// Absent.
    Absent,
    /// Exactly these values.
    Values(Vec<PlannedValue>),
    /// What it is, without the values with these HMACs.
    WithoutMarks(Vec<String>),
    /// A new one-time secret, made and hashed on our side as [`Operation::secret`] says.
    OneTimeSecret,
    /// What it must be before: a condition of the whole change; the attribute itself is left alone.
    AsExpected,
    /// What the before-image in this ledger record holds for the attribute (undo).
    BeforeImage {
        /// Sequence number of the `Started` record.
        started: u64,
    },
}

/// One attribute that an operation touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// The attribute.
    pub attr: AttrName,
    /// What it must be before.
    pub expects: Expects,
    /// What it is to be afterwards.
    pub desired: Desired,
}

/// Whether listed values come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The values are to be there.
    Present,
    /// The values are to be gone.
    Absent,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Creates the entry with these attributes (result 68 is the condition).
    Create {
        /// Attributes, `objectClass` and the lock included.
        attrs: Vec<(AttrName, Vec<PlannedValue>)>,
    },
    /// Brings the touched attributes into their desired state with one modify.
    Set {
        /// The attributes.
        touches: Vec<Touch>,
    },
    /// Ensures listed values of a multi-valued attribute; one value a subject, in the order of the operation's subjects.
    Ensure {
        /// The attribute (`member`, `manager`, `memberUid`).
        attr: AttrName,
        /// Come or go.
        direction: Direction,
        /// The values.
        values: Vec<Value>,
        /// Where the entry does not exist and values are to come: create it with these attributes and the values.
        create: Option<AttrMap>,
        /// Where the last value would go from an attribute that must have one: this value takes its place; absent: the cell is held.
        placeholder: Option<Value>,
        /// The undo that takes the last value out of a group that untether made deletes the group.
        delete_when_empty: bool,
    },
    /// Deletes the entry; everything it holds is sealed in the journal first.
    Delete,
    /// Creates a deleted entry again (undo), from before-images.
    Recreate {
        /// The `Started` record of the deletion, whose image is the base.
        deleted: u64,
        /// Attributes that take an earlier image: (attribute, sequence number of its `Started`).
        overlay: Vec<(AttrName, u64)>,
    },
    /// Hands something to a hook that cannot be observed afterwards.
    Deliver {
        /// The configured hook.
        hook: String,
        /// It may be sent again with the same key after a crash; else a crash makes it a conflict that a person decides.
        repeatable: bool,
    },
    /// Records what proves that the subject is gone.
    Attest {
        /// What is to be checked.
        checks: Vec<Check>,
    },
}

/// One thing that attest checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The entry is absent, by name and by stable id.
    Absent,
    /// No credential of the subject is left in logs and changelogs.
    CopiesPurged,
    /// A bind that worked before the disabling is refused now, while a control account is let in.
    NegativeAuthentication,
    /// The proof is included in the signed evidence log.
    Evidence,
}

/// What undoing an operation gives back; stated before approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoClass {
    /// Everything.
    Full,
    /// All but this.
    Partial(String),
    /// Nothing, for this reason.
    None(String),
}

/// One operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The batch's name within the wave.
    pub batch: String,
    /// Its number within the batch: a total order for reading.
    pub n: u32,
    /// The stage.
    pub stage: Stage,
    /// When within the stage.
    pub phase: Phase,
    /// The store.
    pub store: Side,
    /// Which bind carries it out.
    pub actor: Actor,
    /// The entry.
    pub target: Target,
    /// Subjects that it serves: one, many (with a value each), or none.
    pub subjects: Vec<SubjectId>,
    /// What it does.
    pub action: Action,
    /// How the one-time secret that it sets is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretShape>,
    /// What undoing it gives back.
    pub undo: UndoClass,
    /// Operations of other orders that this one undoes, as (operation, subject).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoes: Vec<(crate::OpId, SubjectId)>,
    /// Taking a departed member out of a protected group: approved on its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected_group: bool,
    /// Why, for people.
    pub reason: String,
}

impl Operation {
    /// Whether it carries a reference over (a manager…): an entry names another one, and either may be somebody else's to create.
    pub fn is_reference(&self) -> bool {
        let carried = self.stage == Stage::Provision && self.phase == Phase::REFERENCES && self.store == Side::Independent;
        carried && matches!(&self.action, Action::Ensure { direction: Direction::Present, create: None, .. })
    }
}
