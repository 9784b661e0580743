//! Errors as a person sees them, and exit codes.

use std::fmt;

use untether_cutover::{CutoverError, RosterTrouble};
use untether_directory::DirectoryError;
use untether_journal::JournalError;
use untether_ledger::{KeyError, LedgerError};

/// Exit codes; the order is the one in which they win when several apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The operation failed.
    Failed = 1,
    /// Usage, configuration, or a refused input.
    Usage = 2,
    /// Findings at or above `--fail-on`.
    Findings = 3,
    /// Stopped before the end, and resumable.
    Resumable = 4,
    /// A person must decide.
    Decision = 5,
    /// The state is in use, damaged, of a newer version, or the clock is behind it.
    State = 6,
}

/// What ends a command early.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What failed: the operation, the object, the cause.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl CliError {
    /// An error with this code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Usage, configuration, refused input (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The operation failed (exit 1).
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message.to_string())
    }

    /// The state cannot be used (exit 6).
    pub fn state(message: impl fmt::Display) -> Self {
        Self::new(Exit::State, message.to_string())
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// An error with its causes, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

impl From<DirectoryError> for CliError {
    fn from(error: DirectoryError) -> Self {
        Self::failed(error)
    }
}

impl From<CutoverError> for CliError {
    fn from(error: CutoverError) -> Self {
        match &error {
            CutoverError::Journal(_) | CutoverError::File(_) => Self::failed(chain(&error)),
            CutoverError::Illegal(_) | CutoverError::Sealed { .. } | CutoverError::Key { .. } => Self::state(chain(&error)),
            CutoverError::Roster(_) => Self::usage(chain(&error)),
            CutoverError::StaleRoster(_) | CutoverError::Unanswered { .. } => Self::new(Exit::Resumable, chain(&error)),
            CutoverError::Store { .. } | CutoverError::Look(_) => Self::failed(chain(&error)),
            CutoverError::Plan { .. } => Self::new(Exit::Decision, chain(&error)),
        }
    }
}

impl From<RosterTrouble> for CliError {
    fn from(trouble: RosterTrouble) -> Self {
        CutoverError::from(trouble).into()
    }
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> Self {
        let exit = if error.is_state() { Exit::State } else { Exit::Failed };
        Self::new(exit, chain(&error))
    }
}

impl From<KeyError> for CliError {
    fn from(error: KeyError) -> Self {
        Self::state(chain(&error))
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let exit = if error.is_state() { Exit::State } else { Exit::Failed };
        Self::new(exit, chain(&error))
    }
}
