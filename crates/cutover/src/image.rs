//! What is sealed with an intent: the entry as it was and as it is meant to be.

use serde::{Deserialize, Serialize};
use untether_ledger::{Key, SealError, seal, unseal};
use untether_model::run::Sealed;
use untether_model::{AttrMap, Dn, OpId};

/// Part of an entry at a point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where the entry was.
    pub dn: Dn,
    /// The attributes; one with an empty list was absent.
    pub attrs: AttrMap,
    /// A one-time secret that was made for this intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Image {
    /// Seals it for this operation.
    pub fn seal(&self, key: &Key, purpose: &str, op: &OpId) -> Result<Sealed, SealError> {
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(self).map_err(|_| SealError::Form { purpose: purpose.to_owned() })?);
        seal(key, purpose, &op.to_string(), &plain).map(Sealed)
    }

    /// Opens what was sealed for this operation.
    pub fn unseal(key: &Key, purpose: &str, op: &OpId, sealed: &Sealed) -> Result<Self, SealError> {
        let plain = unseal(key, purpose, &op.to_string(), &sealed.0)?;
        serde_json::from_slice(&plain).map_err(|_| SealError::Form { purpose: purpose.to_owned() })
    }
}

/// Purpose of a before-image.
pub const BEFORE: &str = "before";
/// Purpose of a desired state.
pub const DESIRED: &str = "desired";
/// Purpose of the image of a deleted entry.
pub const DELETED: &str = "deleted";
