//! Results with which a twin refuses, and what they mean to the caller.

use untether_model::Dn;
use untether_model::Side;
use untether_model::change::{Change, ModKind};

use crate::{DirectoryError, Failure};

/// LDAP result codes (RFC 4511, appendix A) that a twin gives.
pub(super) mod code {
    pub(crate) const TIME_LIMIT: u32 = 3;
    pub(crate) const SIZE_LIMIT: u32 = 4;
    pub(crate) const ADMIN_LIMIT: u32 = 11;
    pub(crate) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(crate) const UNDEFINED_TYPE: u32 = 17;
    pub(crate) const INAPPROPRIATE_MATCHING: u32 = 18;
    pub(crate) const CONSTRAINT: u32 = 19;
    pub(crate) const VALUE_EXISTS: u32 = 20;
    pub(crate) const INVALID_SYNTAX: u32 = 21;
    pub(crate) const NO_SUCH_OBJECT: u32 = 32;
    pub(crate) const INVALID_NAME: u32 = 34;
    pub(crate) const INVALID_CREDENTIALS: u32 = 49;
    pub(crate) const NO_RIGHTS: u32 = 50;
    pub(crate) const BUSY: u32 = 51;
    pub(crate) const UNAVAILABLE: u32 = 52;
    pub(crate) const UNWILLING: u32 = 53;
    pub(crate) const NAMING: u32 = 64;
    pub(crate) const OBJECT_CLASS: u32 = 65;
    pub(crate) const HAS_CHILDREN: u32 = 66;
    pub(crate) const ENTRY_EXISTS: u32 = 68;
    pub(crate) const CLASS_CHANGE: u32 = 69;
    pub(crate) const ASSERTION_FAILED: u32 = 122;
}

/// A refused operation: the result code and slapd's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn missing() -> Self {
        Self::new(code::NO_SUCH_OBJECT, "no such entry")
    }

    pub(super) fn error(self, side: Side, operation: &'static str, dn: &Dn) -> DirectoryError {
        let failure = match self.code {
            code::TIME_LIMIT | code::SIZE_LIMIT | code::ADMIN_LIMIT | code::BUSY | code::UNAVAILABLE => Failure::Busy,
            code::NO_SUCH_OBJECT => Failure::NoSuchObject,
            code::ASSERTION_FAILED => Failure::ConditionFailed,
            _ => Failure::Refused,
        };
        DirectoryError::new(failure, side, operation, self.message).about(dn).with_code(self.code)
    }

    /// As [`Refusal::error`], for codes that mean something else to certain writes.
    pub(super) fn write_error(self, side: Side, change: &Change) -> DirectoryError {
        let lists = |kind: ModKind| match change {
            Change::Modify { mods, .. } => mods.iter().any(|m| m.kind == kind && !m.values.is_empty()),
            _ => false,
        };
        let adds = matches!(change, Change::Add { .. });
        let failure = match self.code {
            code::ENTRY_EXISTS if adds => Some(Failure::ConditionFailed),
            // The entry above is missing, not the one that the add is about.
            code::NO_SUCH_OBJECT if adds => Some(Failure::Refused),
            code::VALUE_EXISTS if lists(ModKind::Add) => Some(Failure::ConditionFailed),
            code::NO_SUCH_ATTRIBUTE if lists(ModKind::Delete) => Some(Failure::ConditionFailed),
            _ => None,
        };
        let mut error = self.error(side, operation(change), change.dn());
        if let Some(failure) = failure {
            error.failure = failure;
        }
        error
    }
}

/// The name of a change in errors.
pub(super) fn operation(change: &Change) -> &'static str {
    match change {
        Change::Add { .. } => "add",
        Change::Modify { .. } => "modify",
        Change::Delete { .. } => "delete",
    }
}
