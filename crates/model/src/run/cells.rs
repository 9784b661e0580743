//! All cells of a state: found by subject first, because nearly every look at one is about a subject that is being worked on.

use std::collections::HashMap;

use super::state::{CellKey, CellState};
use crate::{OpId, SubjectId};

/// All cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// A subject has a few dozen at most, in the order of their operations. The order of subjects never reaches an output.
    by_subject: HashMap<Option<SubjectId>, Vec<(OpId, CellState)>>,
    len: usize,
}

impl Cells {
    /// One cell.
    pub fn get(&self, key: &CellKey) -> Option<&CellState> {
        self.find(&key.op, &key.subject)
    }

    /// The cell of an operation and a subject.
    pub fn find(&self, op: &OpId, subject: &Option<SubjectId>) -> Option<&CellState> {
        let cells = self.by_subject.get(subject)?;
        let at = cells.binary_search_by(|(of, _)| of.cmp(op)).ok()?;
        cells.get(at).map(|(_, cell)| cell)
    }

    /// Puts a cell in the place of what was there.
    pub fn insert(&mut self, key: CellKey, cell: CellState) {
        let cells = self.by_subject.entry(key.subject).or_default();
        match cells.binary_search_by(|(of, _)| of.cmp(&key.op)) {
            Ok(at) => {
                if let Some((_, there)) = cells.get_mut(at) {
                    *there = cell;
                }
            }
            Err(at) => {
                cells.insert(at, (key.op, cell));
                self.len += 1;
            }
        }
    }

    /// The cells of a subject, or those that serve none, in the order of their operations.
    pub fn of<'a>(&'a self, subject: &Option<SubjectId>) -> impl Iterator<Item = (&'a OpId, &'a CellState)> + use<'a> {
        self.by_subject.get(subject).into_iter().flatten().map(|(op, cell)| (op, cell))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, by subject and operation. Sorts: not for what is done once a record.
    pub fn iter(&self) -> impl Iterator<Item = (CellKey, &CellState)> + '_ {
        let mut subjects: Vec<_> = self.by_subject.iter().collect();
        subjects.sort_by_key(|(subject, _)| *subject);
        subjects.into_iter().flat_map(|(subject, cells)| {
            cells.iter().map(move |(op, cell)| (CellKey { subject: subject.clone(), op: op.clone() }, cell))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Stage;
    use crate::run::CellStatus;
    use crate::{BatchId, PlanId, Round, WaveId};

    fn op(n: u32) -> OpId {
        OpId::new(BatchId::new(WaveId::new(PlanId::new("0123456789"), "w"), "b01"), n)
    }

    fn cell(attempts: u32) -> CellState {
        CellState {
            status: CellStatus::Open,
            stage: Stage::Disable,
            round: Round::FIRST,
            started: None,
            attempts,
            applied: false,
            image: None,
            created: None,
            undone: false,
            drift: None,
            unattributed: false,
            forced: false,
            message: String::new(),
        }
    }

    #[test]
    fn cells_are_found_replaced_and_told_in_the_order_of_subjects_and_operations() {
        let mut cells = Cells::default();
        let subject = |name: &str| Some(SubjectId::new(name));
        for (who, n) in [(subject("s-2"), 3), (None, 9), (subject("s-1"), 7), (subject("s-1"), 2), (subject("s-2"), 1)] {
            cells.insert(CellKey { subject: who, op: op(n) }, cell(1));
        }
        cells.insert(CellKey { subject: subject("s-1"), op: op(7) }, cell(2));
        assert_eq!(cells.len(), 5);
        assert_eq!(cells.find(&op(7), &subject("s-1")).unwrap().attempts, 2);
        assert!(cells.find(&op(7), &subject("s-2")).is_none() && cells.find(&op(1), &None).is_none());
        assert_eq!(cells.of(&subject("s-1")).map(|(op, _)| op.n).collect::<Vec<_>>(), [2, 7]);
        let order: Vec<(Option<SubjectId>, u32)> = cells.iter().map(|(key, _)| (key.subject, key.op.n)).collect();
        assert_eq!(order, [(None, 9), (subject("s-1"), 2), (subject("s-1"), 7), (subject("s-2"), 1), (subject("s-2"), 3)]);
    }
}
