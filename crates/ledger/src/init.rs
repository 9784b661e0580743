//! Making a whole state directory: directories, state key, ledger. Overwrites nothing; one that was interrupted goes on.

use std::path::PathBuf;
use std::sync::Arc;

use untether_model::StateId;

use crate::clock::Clock;
use crate::error::LedgerError;
use crate::keys::{KeyError, KeyStore};
use crate::lock::StateLock;
use crate::log::{CreateLog, Log, SEGMENT_BYTES};
use crate::state_dir::StateDir;
use crate::storage::Disk;

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateMade {
    /// Its identity.
    pub state: StateId,
    /// The state key.
    pub state_key: PathBuf,
    /// The state key's public half.
    pub recipient: String,
    /// There was a state key already; it was kept.
    pub kept_key: bool,
}

/// Makes a state directory on the machine's file system.
///
/// # Errors
/// [`LedgerError::Exists`] where there is a state already, [`LedgerError::Headless`] where there is what is left of one.
pub fn create_state(root: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<StateMade, KeyError> {
    let dir = StateDir::create(Disk::real(), root)?;
    let _lock = StateLock::acquire(&dir, clock.wall())?;
    dir.refuse_remains()?;
    let (keys, kept_key) = match KeyStore::create(&dir) {
        Ok(keys) => (keys, false),
        Err(KeyError::Exists(_)) => (KeyStore::open(&dir)?, true),
        Err(error) => return Err(error),
    };
    let how = CreateLog { disk: dir.disk().clone(), dir: dir.ledger(), clock, segment_bytes: SEGMENT_BYTES };
    let log = match Log::create_marked(how, |state| Some(keys.mark_of(state))) {
        Err(LedgerError::Exists(_)) => return Err(LedgerError::Exists(dir.root().to_path_buf()).into()),
        other => other?,
    };
    Ok(StateMade { state: log.state().clone(), state_key: KeyStore::state_key_path(&dir), recipient: keys.recipient(), kept_key })
}
