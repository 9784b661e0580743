//! New credentials, and how that is put together from what several levels of the policy say.

use serde::{Deserialize, Serialize};

use crate::operation::{HashScheme, SecretShape};

/// How new credentials are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialPolicy {
    /// How they are stored.
    pub scheme: HashScheme,
    /// Characters of a one-time secret (each carries five bits).
    pub length: u8,
    /// The owner must change it at first use (`pwdReset`).
    pub must_change: bool,
}

impl Default for CredentialPolicy {
    fn default() -> Self {
        Self { scheme: HashScheme::default(), length: 20, must_change: true }
    }
}

impl CredentialPolicy {
    /// How the secret itself is made.
    pub fn shape(&self) -> SecretShape {
        SecretShape { scheme: self.scheme, length: self.length }
    }
}

/// What one level says of new credentials, key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialPart {
    /// [`CredentialPolicy::scheme`].
    pub scheme: Option<HashScheme>,
    /// [`CredentialPolicy::length`].
    pub length: Option<u8>,
    /// [`CredentialPolicy::must_change`].
    pub must_change: Option<bool>,
}

impl CredentialPart {
    /// What is said here, and below where this level is silent.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            scheme: self.scheme.or(below.scheme),
            length: self.length.or(below.length),
            must_change: self.must_change.or(below.must_change),
        }
    }

    /// The whole; the usual where no level says.
    pub fn complete(self) -> CredentialPolicy {
        let usual = CredentialPolicy::default();
        CredentialPolicy {
            scheme: self.scheme.unwrap_or(usual.scheme),
            length: self.length.unwrap_or(usual.length),
            must_change: self.must_change.unwrap_or(usual.must_change),
        }
    }
}
