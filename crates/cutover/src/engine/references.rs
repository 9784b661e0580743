//! References: an entry names another one, and either may be for another batch to create.
//!
//! A batch begins its references when the entries at their other ends were created or will not be for now. A reference whose other end
//! is missing is deferred: two subjects' failures never stop a third. At the end of each pass, deferred ones whose other end has come
//! meanwhile are taken up, whatever stage their own subject is in. Knows nothing of how a reference is written.

use std::sync::PoisonError;

use futures::StreamExt;
use untether_model::operation::{Action, Operation, Phase, Stage};
use untether_model::plan::{PlannedBatch, Wave};
use untether_model::run::{CellStand, CellStatus, OutcomeKind, RunState, Stand, cell_stand, stand};
use untether_model::{BatchId, Dn, SubjectId};

use super::{Engine, RunOptions, Stop};
use crate::error::CutoverError;
use crate::execute::Task;

/// Where an entry stands that another batch, or somebody else's operation, creates.
enum End {
    /// It was created.
    There,
    /// Its batch is at it.
    Coming,
    /// It was not, and nobody is at it.
    Missing,
}

/// The entries that a reference is about.
fn ends(op: &Operation) -> Vec<Dn> {
    let named = match &op.action {
        Action::Ensure { values, .. } => values.iter().filter_map(|value| Dn::parse(value.as_str()?).ok()).collect(),
        _ => Vec::new(),
    };
    std::iter::once(op.target.dn().clone()).chain(named).collect()
}

impl Engine {
    /// The operations of this wave that create what a reference is about, but for the ones that serve the same subject.
    fn makers<'a>(wave: &'a Wave, op: &Operation) -> Vec<&'a Operation> {
        let makers = ends(op).into_iter().filter_map(|dn| wave.maker_of(op.store, &dn));
        makers.filter(|maker| maker.subjects.iter().any(|subject| !op.subjects.contains(subject))).collect()
    }

    fn end(&self, wave: &Wave, maker: &Operation) -> End {
        let batch = wave.batch_id(&maker.batch);
        let id = wave.op_id(maker);
        let (created, with_batch) = self.recorder.look(|state| {
            let created = maker.subjects.iter().all(|s| matches!(cell_stand(state, &id, Some(s)), CellStand::Done(_)));
            (created, maker.subjects.iter().all(|s| stand(state, &batch, s) == Stand::WithBatch))
        });
        match created {
            true => End::There,
            false if with_batch && !self.is_idle(&batch) && !self.is_past(&batch, Stage::Provision, Phase::ENTRIES) => {
                End::Coming
            }
            false => End::Missing,
        }
    }

    /// Waits until the other ends of a batch's references were created, or will not be for now. A batch that goes ahead of the
    /// others waits for none of them; the plan gives it no reference to them.
    pub(super) async fn await_ends(&self, wave: &Wave, batch: &PlannedBatch, ops: &[&Operation]) {
        let references = ops.iter().filter(|op| op.is_reference());
        let mut waited_for: Vec<&Operation> = references.flat_map(|op| Self::makers(wave, op)).collect();
        waited_for.retain(|maker| maker.batch != batch.name);
        if batch.canary {
            return;
        }
        let mut moved = self.recorder.moved();
        loop {
            moved.mark_unchanged();
            waited_for.retain(|maker| matches!(self.end(wave, maker), End::Coming));
            if waited_for.is_empty() {
                return;
            }
            // The sender lives as long as the engine, so an error cannot happen while this runs.
            let _ = moved.changed().await;
        }
    }

    /// Why a reference has to be deferred, if it has.
    pub(super) fn deferred_for(&self, wave: &Wave, op: &Operation) -> Option<String> {
        let missing = Self::makers(wave, op).into_iter().find(|maker| !matches!(self.end(wave, maker), End::There))?;
        Some(format!("'{}' is not there yet: operation {} has not created it", missing.target.dn(), wave.op_id(missing)))
    }

    /// Notes that a batch has ended a phase in this pass, and wakes who waits for that.
    pub(super) fn pass_phase(&self, id: &BatchId, stage: Stage, phase: Phase) {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).insert((id.clone(), stage, phase));
        self.recorder.nudge();
    }

    fn is_past(&self, id: &BatchId, stage: Stage, phase: Phase) -> bool {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).contains(&(id.clone(), stage, phase))
    }

    /// Takes up deferred references whose other end has come.
    pub(super) async fn take_up_deferred(&self, wave: &Wave, options: &RunOptions) -> Result<(), CutoverError> {
        let deferred = |op: &&Operation| op.is_reference() && self.recorder.look(|state| !waiting(state, wave, op).is_empty());
        let ops: Vec<&Operation> = wave.operations().iter().filter(deferred).collect();
        let tasks = ops.into_iter().map(|op| async move {
            let batch = wave.batch_id(&op.batch);
            let subjects = self.recorder.look(|state| waiting(state, wave, op));
            let stopped = *options.stop.borrow() != Stop::No || self.recorder.look(|state| state.general().paused.is_some());
            if stopped || subjects.is_empty() || self.halted(&batch).is_some() || self.deferred_for(wave, op).is_some() {
                return Ok(());
            }
            if self.lacks_approval(wave, &batch, (op.stage, None), self.ports.time.now()).is_some() {
                return Ok(());
            }
            let task = Task { id: wave.op_id(op), op, subjects };
            self.executor.run(&task).await?;
            self.tell_rate(op.store);
            self.halt_if_over(&batch).await
        });
        let mut running = futures::stream::iter(tasks).buffer_unordered(self.width());
        let mut failed: Option<CutoverError> = None;
        while let Some(ended) = running.next().await {
            failed = failed.or(ended.err());
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The subjects of an operation whose cells are deferred and who are where they may be worked on.
fn waiting(state: &RunState, wave: &Wave, op: &Operation) -> Vec<SubjectId> {
    let (batch, id) = (wave.batch_id(&op.batch), wave.op_id(op));
    let deferred = |subject: &&SubjectId| {
        let cell = state.cell(&id, Some(subject));
        cell.is_some_and(|c| c.status == CellStatus::Ended(OutcomeKind::Deferred) && !c.undone)
            && matches!(stand(state, &batch, subject), Stand::WithBatch | Stand::CatchingUp(_))
            && state.subjects().get(subject).is_some_and(|s| s.ended.is_some_and(|ended| ended >= op.stage))
    };
    op.subjects.iter().filter(deferred).cloned().collect()
}
