//! What stops a run. Whatever concerns one cell only is an outcome in the journal, never one of these.

use untether_directory::DirectoryError;
use untether_ledger::SealError;
use untether_model::run::Illegal;
use untether_model::{OpId, WaveId};

use crate::ports::RosterTrouble;

/// A run cannot go on. Everything that was acknowledged is in the ledger; `run` again resumes.
#[derive(Debug, thiserror::Error)]
pub enum CutoverError {
    /// The journal did not take a record: nothing more is sent.
    #[error("the journal did not take a record: {0}; the run stopped and nothing more was sent")]
    Journal(String),
    /// A record does not fit the state.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A store does not answer any more.
    #[error("the run stopped at operation {op}: {source}. Nothing is lost: run the same command again when the store answers")]
    Store {
        /// The operation that met it.
        op: OpId,
        /// What the store or the network said.
        source: DirectoryError,
    },
    /// A try was given up without an answer, and the next one was refused: whether it is done shows when the entry is looked at again.
    #[error(
        "the run stopped at operation {op}: a try that was not answered may still take effect, and the next one was refused: {source}. \
         Nothing is lost: run the same command again, it looks first"
    )]
    Unanswered {
        /// The operation that met it.
        op: OpId,
        /// What the store said to the next try.
        source: DirectoryError,
    },
    /// A store did not answer a question that belongs to no operation.
    #[error("the run stopped: {0}. Nothing is lost: run the same command again when the store answers")]
    Look(#[from] DirectoryError),
    /// Something sealed cannot be opened.
    #[error("what was sealed for operation {op} cannot be opened: {source}; run `untether state check`")]
    Sealed {
        /// The operation.
        op: OpId,
        /// Why.
        source: SealError,
    },
    /// The key of a wave is missing.
    #[error("the key of wave {wave} is not in the state directory: {reason}")]
    Key {
        /// The wave.
        wave: WaveId,
        /// Why.
        reason: String,
    },
    /// The roster could not be read, or is not to be relied on.
    #[error("the roster cannot be relied on: {0}; nothing was enabled or disabled on the word of an older one")]
    Roster(String),
    /// The roster is too old.
    #[error(
        "the roster is too old: {0}; nothing was enabled or disabled on its word. Get a new export of it, then run the same command again"
    )]
    StaleRoster(String),
    /// A file of the state directory could not be read or written.
    #[error("{0}")]
    File(String),
    /// The plan holds something that this version cannot carry out.
    #[error("operation {op} cannot be carried out: {reason}; make a new plan")]
    Plan {
        /// The operation.
        op: OpId,
        /// What.
        reason: String,
    },
}

impl From<RosterTrouble> for CutoverError {
    fn from(trouble: RosterTrouble) -> Self {
        match trouble {
            RosterTrouble::Refused(why) => Self::Roster(why),
            RosterTrouble::Stale(why) => Self::StaleRoster(why),
        }
    }
}
