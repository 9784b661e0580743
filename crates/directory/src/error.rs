//! What can go wrong between us and a directory, told apart by what it means for the world.

use std::fmt;

use untether_model::{Dn, Side};

/// The meaning of a failed operation: whether the directory was changed, and whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The server answered that it will not do it; nothing was changed. The code is in the error.
    Refused,
    /// The condition of the write was false (122 assertion failed; 16, 20 for listed values; 68 for an add); nothing changed.
    ConditionFailed,
    /// The entry does not exist (32); nothing was changed.
    NoSuchObject,
    /// The server is busy or unavailable (51, 52) or a limit of it was hit (3, 4, 11); nothing was changed.
    Busy,
    /// The bind was refused (49, 8, 48, 53 on bind): wrong password, or this identity may not bind that way.
    Credentials,
    /// No answer is known: connection lost or timed out. A write may or may not have been applied, or may still land.
    Unknown,
    /// Not reachable, TLS chain or name wrong: nothing was sent.
    Unreachable,
    /// What was asked cannot be sent (bad filter, empty password, more than the server's limits): nothing was sent.
    Invalid,
}

/// A failed directory operation: names the operation and the object, the server's code and words, and what to do next.
#[derive(Clone, Debug)]
pub struct DirectoryError {
    /// What it means.
    pub failure: Failure,
    /// The store.
    pub side: Side,
    /// The operation, for instance `modify`.
    pub operation: &'static str,
    /// The entry or base that it was about.
    pub dn: Option<Dn>,
    /// The LDAP result code, where the server answered.
    pub code: Option<u32>,
    /// The server's or the transport's words. Never a secret.
    pub message: String,
    /// What to do next, where it is known. (Boxed, so that an `Outcome` stays small.)
    pub hint: Option<Box<str>>,
}

impl DirectoryError {
    /// An error of this meaning.
    pub fn new(failure: Failure, side: Side, operation: &'static str, message: impl Into<String>) -> Self {
        Self { failure, side, operation, dn: None, code: None, message: message.into(), hint: None }
    }

    /// With the entry that it was about.
    #[must_use]
    pub fn about(mut self, dn: &Dn) -> Self {
        self.dn = Some(dn.clone());
        self
    }

    /// With the server's result code.
    #[must_use]
    pub fn with_code(mut self, code: u32) -> Self {
        self.code = Some(code);
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the {} store", self.operation, self.side)?;
        if let Some(dn) = &self.dn {
            write!(f, " on '{dn}'")?;
        }
        match self.failure {
            Failure::Unknown => write!(f, ": outcome unknown: {}", self.message)?,
            _ => write!(f, ": {}", self.message)?,
        }
        if let Some(code) = self.code {
            write!(f, " (result code {code})")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DirectoryError {}
