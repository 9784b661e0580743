//! Why a run on twins could not be carried on.

use untether_cutover::CutoverError;
use untether_journal::JournalError;
use untether_model::dn::BadDn;
use untether_model::run::Illegal;
use untether_planner::PlanError;

/// A run on twins could not be carried on.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The planner made no order.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine stopped.
    #[error(transparent)]
    Cutover(#[from] CutoverError),
    /// The journal cannot be opened or does not take a record.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record does not fit the state.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A name is none.
    #[error(transparent)]
    Name(#[from] BadDn),
    /// Something else that a run must not meet.
    #[error("{0}")]
    Other(String),
}

impl Trouble {
    /// Something that a run must not meet, in words.
    pub fn new(words: impl std::fmt::Display) -> Self {
        Self::Other(words.to_string())
    }
}
