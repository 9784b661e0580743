//! Identifiers. Each kind has a type of its own, so that a wave is never mistaken for a batch.
//!
//! Their text is held in place where it is short and shared where it is long: a state of a million cells compares and copies ids
//! more than anything else.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::digest::Digest;

/// Which of the two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The shared store: the directory being left.
    Shared,
    /// The independent directory: the one being moved to.
    Independent,
}

impl Side {
    /// Both sides, the shared store first.
    pub const ALL: [Self; 2] = [Self::Shared, Self::Independent];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Shared => Self::Independent,
            Self::Independent => Self::Shared,
        }
    }

    /// `shared` or `independent`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Independent => "independent",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// The id with this text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(SmolStr::from(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(SmolStr::new(text))
            }
        }
    };
}

text_id! {
    /// The immutable identifier that a server gives an entry (`entryUUID`, `objectGUID`, `nsUniqueId`), as text.
    StableId
}
text_id! {
    /// A configured entity: own company, a subsidiary, a contractor firm.
    EntityId
}
text_id! {
    /// One person or one service, with all of its accounts. Never reused.
    SubjectId
}
text_id! {
    /// One finding; equal in every audit that sees the same fact.
    FindingId
}
text_id! {
    /// One undecided account; equal in every audit that cannot decide on it.
    CaseId
}
text_id! {
    /// The first ten characters of a plan's digest.
    PlanId
}
text_id! {
    /// The identity of a state directory (a UUID).
    StateId
}

impl SubjectId {
    /// The id of a subject that was first seen with this anchor, for instance `roster/own/10023` or `shared/<stable id>`.
    pub fn from_anchor(anchor: &str) -> Self {
        Self(SmolStr::new(format!("s-{}", short_hash(&["subject", anchor], 10))))
    }
}

impl CaseId {
    /// The id of the case about the account with this anchor.
    pub fn from_anchor(anchor: &str) -> Self {
        Self(SmolStr::new(format!("m-{}", short_hash(&["match", anchor], 10))))
    }
}

impl FindingId {
    /// The id over (rule, store, stable id of the entry or its normalized DN, discriminator). No values, times or severity.
    pub fn derive(rule: &str, store: &str, entry: &str, discriminator: &str) -> Self {
        Self(SmolStr::new(short_hash(&[rule, store, entry, discriminator], 16)))
    }
}

impl PlanId {
    /// The id of the plan with this digest.
    pub fn of(digest: &Digest) -> Self {
        Self(digest.to_hex().chars().take(10).collect())
    }
}

/// The first `bytes` bytes of SHA-256 over the parts (each followed by a zero byte), in lower-case base32.
fn short_hash(parts: &[&str], bytes: usize) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    let taken: Vec<u8> = digest.iter().copied().take(bytes).collect();
    BASE32_NOPAD.encode(&taken).to_ascii_lowercase()
}

/// A text that is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the id of {expected}")]
pub struct BadId {
    /// What was given.
    pub text: String,
    /// What was expected, with its form.
    pub expected: &'static str,
}

/// A wave of a plan: `<plan>/<wave name>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaveId {
    /// The plan.
    pub plan: PlanId,
    /// The wave's name within the plan.
    pub wave: SmolStr,
}

/// A batch of a wave: `<plan>/<wave name>/<batch name>`. The unit of rollback.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// The wave.
    pub wave: WaveId,
    /// The batch's name within the wave.
    pub batch: SmolStr,
}

/// An operation of a batch: `<plan>/<wave name>/<batch name>/<n>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    /// The batch.
    pub batch: BatchId,
    /// The operation's number within the batch, in the total order of the plan.
    pub n: u32,
}

impl BatchId {
    /// The batch `name` of `wave`.
    pub fn new(wave: WaveId, name: impl AsRef<str>) -> Self {
        Self { wave, batch: SmolStr::new(name) }
    }
}

impl WaveId {
    /// The wave `name` of `plan`.
    pub fn new(plan: PlanId, name: impl AsRef<str>) -> Self {
        Self { plan, wave: SmolStr::new(name) }
    }
}

impl OpId {
    /// Operation `n` of `batch`.
    pub fn new(batch: BatchId, n: u32) -> Self {
        Self { batch, n }
    }

    /// The wave that the operation belongs to.
    pub fn wave(&self) -> &WaveId {
        &self.batch.wave
    }
}

macro_rules! path_id {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id as text")
                    }

                    // Where the text can be lent it is not copied first.
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

path_id!(WaveId);
path_id!(BatchId);
path_id!(OpId);

impl fmt::Display for WaveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.plan, self.wave)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.wave, self.batch)
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.batch, self.n)
    }
}

impl FromStr for WaveId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "a wave (PLAN/WAVE)" };
        let (plan, wave) = text.split_once('/').ok_or_else(bad)?;
        if plan.is_empty() || wave.is_empty() || wave.contains('/') {
            return Err(bad());
        }
        Ok(Self::new(PlanId::new(plan), wave))
    }
}

impl FromStr for BatchId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "a batch (PLAN/WAVE/BATCH)" };
        let (wave, batch) = text.rsplit_once('/').ok_or_else(bad)?;
        let wave = wave.parse().map_err(|_| bad())?;
        if batch.is_empty() {
            return Err(bad());
        }
        Ok(Self::new(wave, batch))
    }
}

impl FromStr for OpId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.to_owned(), expected: "an operation (PLAN/WAVE/BATCH/N)" };
        let (batch, n) = text.rsplit_once('/').ok_or_else(bad)?;
        Ok(Self::new(batch.parse().map_err(|_| bad())?, n.parse().map_err(|_| bad())?))
    }
}

/// 1 when a batch starts, one more after each rollback of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(pub u32);

impl Round {
    /// The round in which everything starts.
    pub const FIRST: Self = Self(1);

    /// The round after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_read_back() {
        let text = "0123456789/retire-own/b01/17";
        let id: OpId = text.parse().unwrap();
        assert_eq!(id.n, 17);
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert!("0123456789/retire-own/b01".parse::<OpId>().is_err());
        assert!("a//b/1".parse::<OpId>().is_err());
    }

    #[test]
    fn finding_ids_depend_on_each_part_and_on_where_the_parts_end() {
        let base = FindingId::derive("residual.departed", "shared", "uuid", "");
        assert_ne!(base, FindingId::derive("residual.departed", "independent", "uuid", ""));
        assert_ne!(FindingId::derive("ab", "c", "", ""), FindingId::derive("a", "bc", "", ""));
        assert_eq!(base.as_str().len(), 26);
    }
}
