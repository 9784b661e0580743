//! What a plan is made of, on its way from whoever plans it to whoever writes it.
//!
//! Knows nothing of threads: who brings the pieces over may have one for each end.

use untether_model::digest::Digest;
use untether_model::operation::{Action, Operation};
use untether_model::plan::WaveLine;

use crate::source::PlanError;

/// A piece of a plan.
#[derive(Debug)]
pub struct Piece(pub(crate) Part);

/// What a piece is; waves go by their place among the waves of the plan.
#[derive(Debug)]
pub(crate) enum Part {
    /// The next line of a wave.
    Line(usize, WaveLine),
    /// A large value of a wave, once.
    Blob(usize, Digest, Vec<u8>),
    /// Nothing more comes of a wave.
    End(usize),
}

impl Piece {
    /// About how many bytes it takes.
    pub fn bytes(&self) -> u64 {
        let bytes = match &self.0 {
            Part::Line(_, WaveLine::Operation(operation)) => 1024 + 128 * values(operation),
            Part::Line(_, WaveLine::Batch(batch)) => 512 * batch.subjects.len(),
            Part::Line(_, WaveLine::Wave(_)) | Part::End(_) => size_of::<Self>(),
            Part::Blob(_, _, bytes) => bytes.len(),
        };
        bytes as u64
    }
}

/// An operation on a group may have a value for each subject of its batch.
fn values(operation: &Operation) -> usize {
    match &operation.action {
        Action::Ensure { values, .. } => values.len(),
        _ => 0,
    }
}

/// Takes a piece; an error says that no more is to be planned.
pub type Hand<'a> = &'a mut dyn FnMut(Piece) -> Result<(), PlanError>;

/// Brings the pieces of a plan to whoever writes them, in the order in which they were planned.
pub trait Relay {
    /// Runs `plan`, and `write` for every piece that it hands over.
    ///
    /// # Errors
    /// What `write` says: it gets nothing more then, and `plan` is to end. Else what `plan` says.
    fn run<T>(
        self,
        plan: impl FnOnce(Hand<'_>) -> Result<T, PlanError>,
        write: impl FnMut(&Piece) -> Result<(), PlanError> + Send,
    ) -> Result<T, PlanError>;
}

/// Writes each piece as soon as it was planned.
#[derive(Clone, Copy, Debug)]
pub struct AtOnce;

impl Relay for AtOnce {
    fn run<T>(
        self,
        plan: impl FnOnce(Hand<'_>) -> Result<T, PlanError>,
        mut write: impl FnMut(&Piece) -> Result<(), PlanError> + Send,
    ) -> Result<T, PlanError> {
        plan(&mut |piece| write(&piece))
    }
}
