//! Faults for tests: what a write or a read of the twin meets instead of its answer.

use untether_model::Dn;
use untether_model::change::Change;

use super::Identity;
use crate::Failure;

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    Proceed,
    /// It is not applied, and the caller is told this failure. With [`Failure::Unknown`]: the request was lost.
    Fail(Failure),
    /// It is not applied: the server answers with this result code.
    Refuse(u32),
    /// It is applied (or refused) as ever, but the caller is told only [`Failure::Unknown`].
    LoseReply,
    /// The caller is told [`Failure::Unknown`] now; it is applied, under its condition, by [`super::Twin::land_late_writes`].
    ApplyLater,
}

/// What happens to a read instead of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// The caller is told this failure.
    Fail(Failure),
    /// The server answers with this result code.
    Refuse(u32),
}

/// A write that is about to be carried out.
#[derive(Debug)]
pub struct WriteAttempt<'a> {
    /// Counts the attempts of all handles, from 0.
    pub number: u64,
    /// Who writes.
    pub identity: Identity,
    /// One change, or those of a transaction.
    pub changes: &'a [Change],
}

/// A read that is about to be carried out.
#[derive(Debug)]
pub struct ReadAttempt<'a> {
    /// Counts the attempts of all handles, from 0; each page of a search counts.
    pub number: u64,
    /// Who reads.
    pub identity: Identity,
    /// `read`, `find`, `compare`, `present`, `usability`, `search` or `bind`.
    pub operation: &'static str,
    /// The entry or base.
    pub dn: &'a Dn,
}

/// Decides which attempts fail. Asked before each one; may keep state of its own.
pub trait Faults: Send + Sync {
    /// What happens to this write.
    fn on_write(&self, write: &WriteAttempt<'_>) -> Fault {
        let _ = write;
        Fault::Proceed
    }

    /// What happens to this read; `None` lets it through.
    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<ReadFault> {
        let _ = read;
        None
    }
}

/// Writes fail as the function says.
impl<F: Fn(&WriteAttempt<'_>) -> Fault + Send + Sync> Faults for F {
    fn on_write(&self, write: &WriteAttempt<'_>) -> Fault {
        self(write)
    }
}

/// No faults.
pub(super) struct NoFaults;

impl Faults for NoFaults {}
