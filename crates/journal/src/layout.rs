//! How the run's state lies in the database: one record a subject, with its position, its cells, what was observed of it and its
//! proof; one entry for every other part.
//!
//! Subjects are many and change often, so theirs is compact (postcard) and brought up to date once for all changes that are written
//! together. The rest is JSON.

use serde::{Deserialize, Serialize};
use untether_model::run::{CellKey, CellState, GateKind, GateScope, Observed, Part, SubjectState};
use untether_model::{BatchId, OpId, SubjectId};

use crate::database::{New, RECORDS};
use crate::entry::Stored;

/// Everything about one subject.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    position: Option<SubjectState>,
    /// By batch and number: a subject has many cells in few batches.
    cells: Vec<(BatchId, Vec<(u32, CellState)>)>,
    gates: Vec<(GateKind, Observed)>,
    proof: Option<Observed>,
}

impl Record {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes).map_err(|error| format!("a subject's record is not well formed: {error}"))
    }

    fn shard(&self) -> String {
        shard_of(self.position.as_ref().map(|position| &position.batch))
    }

    fn take(&mut self, part: Part) {
        match part {
            Part::Subject(_, position) => self.position = Some(position),
            Part::Cell(CellKey { op, .. }, cell) => self.put_cell(op, cell),
            Part::Gate(gate, _, observed) => match self.gates.iter_mut().find(|(kind, _)| *kind == gate) {
                Some((_, seen)) => *seen = observed,
                None => self.gates.push((gate, observed)),
            },
            Part::Proof(_, observed) => self.proof = Some(observed),
            _ => {}
        }
    }

    fn put_cell(&mut self, op: OpId, cell: CellState) {
        let cells = match self.cells.iter_mut().position(|(batch, _)| *batch == op.batch) {
            Some(at) => self.cells.get_mut(at),
            None => {
                self.cells.push((op.batch, Vec::new()));
                self.cells.last_mut()
            }
        };
        let Some((_, cells)) = cells else { return };
        match cells.binary_search_by_key(&op.n, |(n, _)| *n) {
            Ok(at) => {
                if let Some(slot) = cells.get_mut(at) {
                    slot.1 = cell;
                }
            }
            Err(at) => cells.insert(at, (op.n, cell)),
        }
    }

    fn into_parts(self, id: &SubjectId, each: &mut dyn FnMut(Part)) {
        if let Some(position) = self.position {
            each(Part::Subject(id.clone(), position));
        }
        for (batch, cells) in self.cells {
            for (n, cell) in cells {
                each(Part::Cell(CellKey { subject: Some(id.clone()), op: OpId::new(batch.clone(), n) }, cell));
            }
        }
        for (gate, observed) in self.gates {
            each(Part::Gate(gate, GateScope::Subject(id.clone()), observed));
        }
        if let Some(observed) = self.proof {
            each(Part::Proof(id.clone(), observed));
        }
    }
}

/// The subject in whose record a part lies.
fn subject_of(part: &Part) -> Option<&SubjectId> {
    match part {
        Part::Subject(id, _) | Part::Proof(id, _) => Some(id),
        Part::Cell(key, _) => key.subject.as_ref(),
        Part::Gate(_, GateScope::Subject(id), _) => Some(id),
        _ => None,
    }
}

/// The key of a subject's record.
pub(crate) fn record_key(id: &SubjectId) -> Vec<u8> {
    [RECORDS, id.as_str().as_bytes()].concat()
}

/// The shard of records of subjects that a batch holds, or held last.
pub(crate) fn shard_of(batch: Option<&BatchId>) -> String {
    batch.map(BatchId::to_string).unwrap_or_default()
}

/// Under which key it is stored.
pub(crate) fn key(stored: &Stored) -> Vec<u8> {
    match stored {
        Stored::Put(put) => put.key.clone(),
        Stored::Part(part) => match subject_of(part) {
            Some(id) => record_key(id),
            None => part.key().to_bytes(),
        },
    }
}

/// Whether what is stored under its key already must be known.
pub(crate) fn needs_old(stored: &Stored) -> bool {
    matches!(stored, Stored::Part(part) if subject_of(part).is_some())
}

/// What is stored under one key after these changes, in order; `old` is what is stored under it now, where that must be known.
pub(crate) fn merge(changes: Vec<Stored>, old: Option<Vec<u8>>) -> Result<New, String> {
    let mut record: Option<Record> = None;
    let mut replaces = None;
    let mut value = None;
    for change in changes {
        match change {
            Stored::Put(put) => value = put.value,
            Stored::Part(part) if subject_of(&part).is_some() => {
                let record = match &mut record {
                    Some(record) => record,
                    slot => {
                        let before = old.as_deref().map(Record::read).transpose()?.unwrap_or_default();
                        replaces = old.clone().map(|old| (old, before.shard()));
                        slot.insert(before)
                    }
                };
                record.take(*part);
            }
            Stored::Part(part) => {
                value = Some(serde_json::to_vec(&part).map_err(|error| format!("a part cannot be written: {error}"))?);
            }
        }
    }
    let Some(record) = record else { return Ok(New::Part(value)) };
    let value = postcard::to_stdvec(&record).map_err(|error| format!("a subject's record cannot be written: {error}"))?;
    Ok(New::Record { value, shard: record.shard(), replaces })
}

/// Hands over the parts of the run's state that are stored under a key; gives the shard of what is a record.
///
/// # Errors
/// Bytes that are no such parts, in words.
pub(crate) fn read(key: &[u8], value: &[u8], each: &mut dyn FnMut(Part)) -> Result<Option<String>, String> {
    let Some(id) = key.strip_prefix(RECORDS) else {
        let part = serde_json::from_slice(value).map_err(|error| format!("a part is not well formed: {error}"))?;
        each(part);
        return Ok(None);
    };
    let id = std::str::from_utf8(id).map_err(|_| "the key of a subject's record is no text".to_owned())?;
    let record = Record::read(value)?;
    let shard = record.shard();
    record.into_parts(&SubjectId::new(id), each);
    Ok(Some(shard))
}
