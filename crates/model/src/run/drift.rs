//! From what a look at the stores saw to the records that say so: drift, the halt of a batch, who is parked, who is finished no more.
//!
//! The same for the look before a stage and for an audit. Every order of these records resumes after a crash: a subject is parked
//! last, and until it is, the next look finds it again.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{ParkReason, Record};
use super::state::{CellState, RunState, SubjectState};
use crate::operation::Stage;
use crate::{BatchId, OpId, SubjectId};

/// An effect that a look found gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone {
    /// Whose; `None` for an operation that serves nobody.
    pub subject: Option<SubjectId>,
    /// The operation.
    pub op: OpId,
    /// What of it is gone, in words.
    pub seen: String,
}

/// What a look at the stores found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Effects that are gone.
    pub gone: Vec<Gone>,
    /// Effects that hold.
    pub holds: Vec<(OpId, Option<SubjectId>)>,
}

impl Look {
    /// The records that say what is not known yet, in the order in which they are to be made.
    #[must_use = "what was seen counts only when it is recorded"]
    pub fn records(mut self, state: &RunState) -> Vec<Record> {
        let mut records = Vec::new();
        for (op, subject) in &self.holds {
            let drifted = |cell: &&CellState| cell.applied && cell.drift.is_some();
            if let Some(cell) = state.cell(op, subject.as_ref()).filter(drifted) {
                let (op, subject, stage, seen) = (op.clone(), subject.clone(), cell.stage, "it holds again".to_owned());
                records.push(Record::Drift { op, subject, stage, seen, over: true });
            }
        }
        self.gone.sort();
        let mut by_subject: BTreeMap<Option<&SubjectId>, Vec<(&Gone, &CellState)>> = BTreeMap::new();
        for gone in self.gone.iter().filter(|gone| is_looked_after(state, &gone.op, gone.subject.as_ref())) {
            if let Some(cell) = state.cell(&gone.op, gone.subject.as_ref()) {
                by_subject.entry(gone.subject.as_ref()).or_default().push((gone, cell));
            }
        }
        let mut halted = BTreeSet::new();
        for (subject, found) in by_subject {
            for (gone, cell) in found.iter().filter(|(_, cell)| cell.drift.is_none()) {
                let (op, subject, seen) = (gone.op.clone(), gone.subject.clone(), gone.seen.clone());
                records.push(Record::Drift { op, subject, stage: cell.stage, seen, over: false });
            }
            match subject.map(|id| (id, state.subjects().get(id))) {
                Some((id, Some(subject))) => records.extend(of_subject(state, (id, subject), &found, &mut halted)),
                Some((_, None)) => {}
                None => records.extend(found.iter().filter_map(|(gone, _)| halt(state, &gone.op.batch, gone, &mut halted))),
            }
        }
        records
    }
}

/// Whether it matters that a cell's effect holds: it is in place, and it is ours, or counted on by the wave that has the subject
/// now. Of a subject that was finished and reopened, what is gone is looked after by its new wave.
pub fn is_looked_after(state: &RunState, op: &OpId, subject: Option<&SubjectId>) -> bool {
    let present = match subject {
        Some(id) => state.subjects().get(id).is_some_and(|s| s.batch.wave == op.batch.wave),
        None => true,
    };
    state.cell(op, subject).is_some_and(|cell| cell.is_in_place() && (cell.applied || present))
}

/// What becomes of the subject and its batch.
fn of_subject(
    state: &RunState,
    (id, subject): (&SubjectId, &SubjectState),
    found: &[(&Gone, &CellState)],
    halted: &mut BTreeSet<BatchId>,
) -> Vec<Record> {
    let Some((gone, earliest)) = found.iter().min_by_key(|(_, cell)| cell.stage).map(|(gone, cell)| (*gone, cell.stage)) else {
        return Vec::new();
    };
    let last = match &subject.parked {
        None if subject.is_finished() => Record::Reopened { subject: id.clone(), stage: earliest },
        Some(parked) if parked.reason == ParkReason::Reopened && earliest < parked.stage => {
            return vec![Record::Reopened { subject: id.clone(), stage: earliest }];
        }
        None if subject.claimed => Record::Parked {
            subject: id.clone(),
            batch: subject.batch.clone(),
            reason: ParkReason::Conflict,
            stage: subject.next_stage().unwrap_or(Stage::Attest),
            details: format!("operation {} no longer holds: {}", gone.op, gone.seen),
            presence: None,
        },
        _ => return Vec::new(),
    };
    halt(state, &subject.batch, gone, halted).into_iter().chain([last]).collect()
}

/// The halt of a batch that has stages left, once.
fn halt(state: &RunState, batch: &BatchId, gone: &Gone, halted: &mut BTreeSet<BatchId>) -> Option<Record> {
    let goes_on = state.batches().get(batch).is_some_and(|b| !b.is_finished() && b.halted.is_none());
    let running = state.waves().get(&batch.wave).is_some_and(|w| w.status == super::WaveStatus::Running);
    (goes_on && running && halted.insert(batch.clone())).then(|| Record::Halted {
        batch: batch.clone(),
        reason: format!("drift: operation {} no longer holds: {}", gone.op, gone.seen),
    })
}
