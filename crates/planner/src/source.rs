//! Where the planner reads from and writes to: fallible streams in, exact bytes out.
//!
//! Knows neither the snapshot's file format nor the state directory.

use thiserror::Error;
use untether_model::digest::Digest;
use untether_model::snapshot::{SnapshotEntry, Subject};
use untether_model::{Dn, Side, SubjectId};

use crate::report::ReportLine;

/// A stream that may fail at any item; the text says what could not be read and why.
pub type Stream<'a, T> = Box<dyn Iterator<Item = Result<T, String>> + 'a>;

/// What an audit has seen. Each call starts the stream again; the order of the items does not matter.
pub trait Source {
    /// All subjects.
    fn subjects(&self) -> Stream<'_, Subject>;

    /// All entries of one store, whatever their role.
    fn entries(&self, side: Side) -> Stream<'_, SnapshotEntry>;

    /// Hands over those entries of one store for which `place` names a number, in the order of these numbers, each with its number.
    ///
    /// They are put in order in memory here; a source of many entries has a better way.
    fn each_arranged(&self, side: Side, place: Place<'_>, each: Each<'_>) -> Result<(), PlanError> {
        let mut all: Vec<(u32, SnapshotEntry)> = Vec::new();
        for entry in self.entries(side) {
            let entry = entry.map_err(|cause| PlanError::entries(side, cause))?;
            all.extend(place(&entry.dn).map(|number| (number, entry)));
        }
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().try_for_each(|(number, entry)| each(number, entry))
    }
}

/// Names the place of an entry in an order of the reader's own, by the entry's name; `None` for one that is not wanted.
pub type Place<'a> = &'a mut dyn FnMut(&Dn) -> Option<u32>;

/// Takes an entry, with its place.
pub type Each<'a> = &'a mut dyn FnMut(u32, SnapshotEntry) -> Result<(), PlanError>;

/// Evaluates RFC 4515 filters.
pub trait Matches {
    /// Whether the entry matches; the error says what is wrong with the filter.
    fn matches(&self, filter: &str, entry: &SnapshotEntry) -> Result<bool, String>;
}

/// Takes what a plan is made of, maybe in another thread than the one that plans. Blobs of a wave may arrive before its first line.
pub trait Sink: Send {
    /// One line of a wave file, line feed included. Lines of one wave arrive in order and without lines of another in between.
    fn wave_line(&mut self, wave: &str, line: &[u8]) -> Result<(), String>;

    /// A value above 1 KiB, once a wave.
    fn blob(&mut self, wave: &str, digest: &Digest, bytes: &[u8]) -> Result<(), String>;

    /// One line of the planning report.
    fn report(&mut self, line: &ReportLine) -> Result<(), String>;
}

fn unknown(perhaps: &[String]) -> String {
    match perhaps {
        [] => String::new(),
        some => format!("; the ledger has lost its end, and these may be ours: {}", some.join(", ")),
    }
}

/// Why no plan was made.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The snapshot could not be read.
    #[error("reading {what} of the snapshot failed: {cause}; run the audit again")]
    Source {
        /// `subjects` or the store whose entries were read.
        what: String,
        /// Why.
        cause: String,
    },
    /// What was planned could not be stored.
    #[error("storing {what} of the plan failed: {cause}")]
    Sink {
        /// The file.
        what: String,
        /// Why.
        cause: String,
    },
    /// A filter of the policy cannot be evaluated.
    #[error("the filter '{filter}' of the policy ({of}) cannot be evaluated: {cause}; correct it in the configuration")]
    Filter {
        /// The filter.
        filter: String,
        /// Where it is configured.
        of: String,
        /// Why.
        cause: String,
    },
    /// The policy contradicts itself or lacks something.
    #[error("the policy cannot be planned: {0}; correct it in the configuration")]
    Policy(String),
    /// The snapshot names a subject twice.
    #[error("the snapshot holds subject {0} twice; run the audit again")]
    Duplicate(SubjectId),
    /// A rollback finds the state that it is asked for.
    #[error(
        "nothing is to be taken back to before {to}: no effect of that stage or a later one is ours and still stands{}",
        unknown(perhaps)
    )]
    NothingToUndo {
        /// The stage.
        to: untether_model::operation::Stage,
        /// Operations that may be ours, whose intents the ledger has lost.
        perhaps: Vec<String>,
    },
    /// Something that is always serializable was not.
    #[error("writing {what} as JSON failed: {cause}")]
    Json {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The journal or a wave file lacks what an undo needs.
    #[error("{what} cannot be read: {cause}; run `untether state check`")]
    Journal {
        /// Which record or operation.
        what: String,
        /// Why.
        cause: String,
    },
    /// What was asked for makes no order.
    #[error("{0}")]
    Request(String),
}

impl PlanError {
    /// The entries of a store could not be read.
    pub fn entries(side: Side, cause: String) -> Self {
        Self::Source { what: format!("the entries of the {side} store"), cause }
    }
}
