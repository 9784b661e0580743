//! `ledger/HEAD`: a second witness of the ledger's end, beside the ledger itself.
//!
//! One line of JSON, `{"seq":…,"hash":"…"}`, replaced as a whole. It only ever names a frame that is durable.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use untether_model::digest::Digest;

use crate::error::{Damage, LedgerError};
use crate::storage::Disk;

/// A sequence number and the hash of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The sequence number.
    pub seq: u64,
    /// SHA-256 of the whole frame.
    pub hash: Digest,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.seq, self.hash)
    }
}

/// Where the witness of this ledger directory is.
pub fn path(ledger_dir: &Path) -> PathBuf {
    ledger_dir.join("HEAD")
}

/// Reads the witness; `None` where there is none.
pub fn read(disk: &Disk, ledger_dir: &Path) -> Result<Option<Head>, LedgerError> {
    let path = path(ledger_dir);
    let Some(content) = disk.read(&path)? else { return Ok(None) };
    match serde_json::from_slice(&content) {
        Ok(head) => Ok(Some(head)),
        Err(error) => Err(LedgerError::Damaged { path, offset: 0, damage: Damage::Witness(error.to_string()) }),
    }
}

/// Replaces the witness, durably.
pub fn write(disk: &Disk, ledger_dir: &Path, head: &Head) -> Result<(), LedgerError> {
    let path = path(ledger_dir);
    let mut line = serde_json::to_vec(head).map_err(|source| LedgerError::Encode { kind: "HEAD".to_owned(), source })?;
    line.push(b'\n');
    disk.replace(&path, &line)?;
    Ok(())
}
