//! All subjects of a state: nearly every record is about one of them, so that finding one must not depend on how many there are.

use std::collections::HashMap;

use super::state::SubjectState;
use crate::SubjectId;

/// All subjects that a wave has or had in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Its order never reaches an output.
    by_id: HashMap<SubjectId, SubjectState>,
}

impl Subjects {
    /// One subject.
    pub fn get(&self, id: &SubjectId) -> Option<&SubjectState> {
        self.by_id.get(id)
    }

    /// One subject with its id as it is kept here.
    pub fn get_key_value(&self, id: &SubjectId) -> Option<(&SubjectId, &SubjectState)> {
        self.by_id.get_key_value(id)
    }

    /// It is one of them.
    pub fn contains_key(&self, id: &SubjectId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Puts a subject in the place of what was there.
    pub fn insert(&mut self, id: SubjectId, subject: SubjectState) {
        self.by_id.insert(id, subject);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All of them, by id. Sorts: not for what is done once a record.
    pub fn iter(&self) -> std::vec::IntoIter<(&SubjectId, &SubjectState)> {
        let mut all: Vec<_> = self.by_id.iter().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter()
    }

    /// All ids in order. Sorts, as [`Subjects::iter`] does.
    pub fn keys(&self) -> impl Iterator<Item = &SubjectId> {
        self.iter().map(|(id, _)| id)
    }

    /// All of them, by id. Sorts, as [`Subjects::iter`] does.
    pub fn values(&self) -> impl Iterator<Item = &SubjectState> {
        self.iter().map(|(_, subject)| subject)
    }
}

impl<'a> IntoIterator for &'a Subjects {
    type Item = (&'a SubjectId, &'a SubjectState);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
