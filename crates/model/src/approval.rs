//! Statements that people sign, and how many of them an order needs.
//!
//! A statement is one line of JSON with sorted keys, signed with an SSH key in the namespace `untether`, so that anybody can
//! check it with `ssh-keygen -Y verify`. Knows nothing of keys or of signing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::operation::Stage;
use crate::{Round, StateId};

/// The namespace of `ssh-keygen -Y sign`.
pub const NAMESPACE: &str = "untether";

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// An order: a wave of a plan, a rollback, a resolution, a credential issued again.
    Order {
        /// Digest of the order; for a wave the plan's digest.
        digest: Digest,
        /// The wave within it.
        wave: String,
        /// Covers only batches and subjects in this round.
        round: Round,
        /// Covers the stages up to this one.
        through: Stage,
    },
    /// A gate, a conflict, a finding, a match, a track, `forget`: the object and the digest of what the person was shown.
    Object {
        /// `gate`, `conflict`, `finding`, `match`, `track`, `forget`, `protected-group`.
        kind: String,
        /// Which one.
        object: String,
        /// Digest of what the person was shown.
        shown: Digest,
    },
}

/// What a person signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The state directory that it is for.
    pub state: StateId,
    /// What it is about.
    pub subject: Subject,
    /// Why.
    pub reason: String,
    /// Until when it counts.
    pub not_after: Timestamp,
}

impl Statement {
    /// The exact line that is signed: JSON with sorted keys and a line feed.
    pub fn line(&self) -> String {
        // `serde_json::Value` keeps object keys sorted.
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value}\n")
    }
}

/// A statement with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What was signed.
    pub statement: Statement,
    /// The configured person whose key it is.
    pub approver: String,
    /// Fingerprint of the key (`SHA256:…`).
    pub key: String,
    /// The signature in the armoured form of `ssh-keygen -Y sign`.
    pub signature: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_line_is_one_line_with_sorted_keys() {
        let statement = Statement {
            state: StateId::new("u"),
            subject: Subject::Object { kind: "gate".into(), object: "x".into(), shown: Digest::of(b"") },
            reason: "because\nof this".into(),
            not_after: Timestamp::UNIX_EPOCH,
        };
        let line = statement.line();
        assert_eq!(line.matches('\n').count(), 1);
        let positions: Vec<_> =
            ["\"not_after\"", "\"reason\"", "\"state\"", "\"subject\""].iter().map(|key| line.find(key).unwrap()).collect();
        assert!(positions.is_sorted());
        assert_eq!(serde_json::from_str::<Statement>(&line).unwrap(), statement);
    }
}
