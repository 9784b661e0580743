//! From the pieces of a plan to the exact bytes of its files: JSON, digests, the linter's notes, and what is counted of the operations.
//!
//! Looks at nothing but the pieces, so it may run beside whoever plans.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::digest::{Digest, Hasher};
use untether_model::operation::{Action, Operation, Stage, UndoClass};
use untether_model::plan::{PlanHeader, WaveLine, WaveRef};

use crate::lint::{LintNote, Linter};
use crate::piece::{Part, Piece};
use crate::report::{Note, PointOfNoReturn, Remark};
use crate::source::{PlanError, Sink};

/// Writes what comes to the sink.
pub(super) struct Binder<'a> {
    sink: &'a mut dyn Sink,
    linter: Linter,
    waves: Vec<Open>,
    /// The line that is being written.
    line: Vec<u8>,
    bound: Bound,
}

struct Open {
    reference: WaveRef,
    hasher: Hasher,
}

/// What was written.
#[derive(Default)]
pub(super) struct Bound {
    pub waves: Vec<WaveRef>,
    pub operations: BTreeMap<Stage, u64>,
    pub undo: BTreeMap<String, u64>,
    pub points_of_no_return: Vec<PointOfNoReturn>,
    pub notes: BTreeSet<Note>,
    pub lint: Vec<LintNote>,
}

impl<'a> Binder<'a> {
    /// For a plan with this head and these waves, of which nothing is written yet.
    pub(super) fn new(header: &PlanHeader, waves: impl Iterator<Item = WaveRef>, sink: &'a mut dyn Sink) -> Self {
        let waves = waves.map(|reference| Open { reference, hasher: Hasher::new() }).collect();
        Self { sink, linter: Linter::new(header), waves, line: Vec::new(), bound: Bound::default() }
    }

    /// Writes a piece.
    pub(super) fn put(&mut self, piece: &Piece) -> Result<(), PlanError> {
        match &piece.0 {
            Part::Line(wave, line) => self.line(*wave, line),
            Part::Blob(wave, digest, bytes) => self.blob(*wave, *digest, bytes),
            Part::End(wave) => {
                self.end(*wave);
                Ok(())
            }
        }
    }

    /// What was written, once nothing more comes.
    pub(super) fn finish(self) -> Bound {
        let Self { linter, waves, mut bound, .. } = self;
        bound.lint = linter.finish();
        bound.waves = waves.into_iter().map(|wave| wave.reference).collect();
        bound
    }

    fn line(&mut self, wave: usize, line: &WaveLine) -> Result<(), PlanError> {
        let Some(open) = self.waves.get_mut(wave) else { return Ok(()) };
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).map_err(|cause| PlanError::Json { what: "a line of a wave", cause })?;
        self.line.push(b'\n');
        self.linter.line(line);
        open.hasher.update(&self.line);
        let name = &open.reference.name;
        self.sink.wave_line(name, &self.line).map_err(|cause| PlanError::Sink { what: format!("wave {name}"), cause })?;
        if let WaveLine::Operation(operation) = line {
            open.reference.operations += 1;
            self.bound.count(name, operation);
        }
        Ok(())
    }

    fn blob(&mut self, wave: usize, digest: Digest, bytes: &[u8]) -> Result<(), PlanError> {
        let Some(open) = self.waves.get_mut(wave) else { return Ok(()) };
        let name = &open.reference.name;
        let failed = |cause| PlanError::Sink { what: format!("a blob of wave {name}"), cause };
        self.sink.blob(name, &digest, bytes).map_err(failed)?;
        open.reference.blobs.push(digest);
        Ok(())
    }

    fn end(&mut self, wave: usize) {
        if let Some(open) = self.waves.get_mut(wave) {
            open.reference.digest = std::mem::take(&mut open.hasher).finish();
            open.reference.blobs.sort_unstable();
        }
        self.linter.end_wave();
    }
}

impl Bound {
    fn count(&mut self, wave: &str, operation: &Operation) {
        *self.operations.entry(operation.stage).or_default() += 1;
        let class = match &operation.undo {
            UndoClass::Full => "full",
            UndoClass::Partial(_) => "partial",
            UndoClass::None(_) => "none",
        };
        match self.undo.get_mut(class) {
            Some(count) => *count += 1,
            None => drop(self.undo.insert(class.to_owned(), 1)),
        }
        if is_irreversible(operation) {
            match self.points_of_no_return.last_mut() {
                Some(point) if point.batch == operation.batch && point.wave == wave => point.operations += 1,
                _ => self.points_of_no_return.push(PointOfNoReturn {
                    wave: wave.to_owned(),
                    batch: operation.batch.clone(),
                    stage: operation.stage,
                    first: operation.n,
                    operations: 1,
                }),
            }
        }
        if operation.protected_group {
            for subject in &operation.subjects {
                let dn = operation.target.dn().clone();
                let words = format!("a departed member is taken out of the protected group {dn}");
                let note = Note { remark: Remark::ProtectedGroup, subject: Some(subject.clone()), dn: Some(dn), words };
                self.notes.insert(note);
            }
        }
    }
}

/// Whether an operation lies behind the point of no return.
fn is_irreversible(operation: &Operation) -> bool {
    let destroys = !matches!(operation.action, Action::Deliver { .. } | Action::Attest { .. });
    operation.stage.is_irreversible() || (destroys && matches!(operation.undo, UndoClass::None(_)))
}
