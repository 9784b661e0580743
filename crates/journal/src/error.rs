//! Why the journal cannot go on. Any of these stops a run.

use std::path::PathBuf;
use std::sync::Arc;

use untether_ledger::LedgerError;

/// Why the journal cannot be opened or cannot go on. Cheap to clone: everybody who waits gets the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The ledger, or the state directory around it.
    #[error(transparent)]
    Ledger(Arc<LedgerError>),
    /// The database. Nothing is lost with it: it is made again from the ledger.
    #[error("cannot {operation} the state database '{}'; what was acknowledged is in the ledger: remove the cause and run again", path.display())]
    Database {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The database's directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A part of the state cannot be put into its stored form, or what is stored is no such part.
    #[error("the state database holds what does not fit: {0}; `untether state rebuild` makes it again from the ledger")]
    Layout(String),
    /// The database lacks records, or has older ones, or does not give back what was written to it.
    #[error(
        "the state database has lost some of what was written to it; run the same command again: it is made again from the ledger"
    )]
    Lost,
    /// Records of the ledger have not been folded yet.
    #[error("{0} records of the ledger have to be replayed before the journal can start")]
    Lagging(u64),
    /// More is handed over than is waited for.
    #[error("more than {0} records wait to become durable; nothing more is taken")]
    Overloaded(usize),
    /// The writer stopped after an earlier error, or the journal was closed.
    #[error("the journal has stopped; run again once the cause that was reported is removed")]
    Stopped,
}

impl JournalError {
    /// The state is in use, damaged, of a newer version, or the clock is behind it; see [`LedgerError::is_state`].
    pub fn is_state(&self) -> bool {
        match self {
            Self::Ledger(error) => error.is_state(),
            Self::Layout(_) | Self::Lost => true,
            Self::Database { .. } | Self::Lagging(_) | Self::Overloaded(_) | Self::Stopped => false,
        }
    }
}

impl From<LedgerError> for JournalError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Arc::new(error))
    }
}

/// Why a replay did not reach the ledger's head.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E: std::error::Error + 'static> {
    /// Reading or storing failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The fold refused a record.
    #[error("record {seq} ({kind}) of the ledger cannot be folded")]
    Fold {
        /// Its sequence number.
        seq: u64,
        /// Its kind.
        kind: String,
        /// Why.
        #[source]
        source: E,
    },
}
