//! Which rows are which person. Nearly everybody has one row, so only the others are noted: eight bytes for each row more.

use super::RowIx;

/// A person of a roster. People are numbered in the order of their first rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonIx(u32);

impl PersonIx {
    /// The number, below [`Roster::person_count`](super::Roster::person_count).
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Rows put together to people.
#[derive(Clone, Debug)]
pub(super) struct People {
    rows: u32,
    /// Rows that are not the first of their person, with that first row, in the order of rows.
    more: Vec<(u32, u32)>,
    /// The same the other way round, in the order of first rows.
    of_first: Vec<(u32, u32)>,
}

impl People {
    /// From the first row of each row's person, which is never after the row itself.
    pub(super) fn of(first_row_of: impl ExactSizeIterator<Item = u32>) -> Self {
        let rows = u32::try_from(first_row_of.len()).unwrap_or(u32::MAX);
        let mut more: Vec<(u32, u32)> = Vec::new();
        for (row, first) in (0..rows).zip(first_row_of).filter(|(row, first)| first < row) {
            let first = first_of(&more, first);
            more.push((row, first));
        }
        more.shrink_to_fit();
        let mut of_first: Vec<(u32, u32)> = more.iter().map(|(row, first)| (*first, *row)).collect();
        of_first.sort_unstable();
        Self { rows, more, of_first }
    }

    /// How many people.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.rows).unwrap_or(usize::MAX) - self.more.len()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = PersonIx> + use<> {
        (0..u32::try_from(self.count()).unwrap_or(u32::MAX)).map(PersonIx)
    }

    /// The person of a row.
    pub(super) fn of_row(&self, row: RowIx) -> Option<PersonIx> {
        let first = first_of(&self.more, row.0);
        let before = self.more.partition_point(|(more, _)| *more < first);
        (row.0 < self.rows).then(|| PersonIx(first - u32::try_from(before).unwrap_or_default()))
    }

    /// The first row of a person.
    pub(super) fn first_row(&self, person: PersonIx) -> RowIx {
        // Before the k-th row that is nobody's first lie its number less k people.
        let (mut from, mut to) = (0, self.more.len());
        while from < to {
            let middle = from.midpoint(to);
            let people = self.more.get(middle).map_or(u32::MAX, |(row, _)| row - u32::try_from(middle).unwrap_or_default());
            if people <= person.0 { from = middle + 1 } else { to = middle }
        }
        RowIx(person.0.saturating_add(u32::try_from(from).unwrap_or(u32::MAX)))
    }

    /// The rows of a person, in their order.
    pub(super) fn rows_of(&self, person: PersonIx) -> impl Iterator<Item = RowIx> {
        let first = self.first_row(person);
        let from = self.of_first.partition_point(|(other, _)| *other < first.0);
        let more = self.of_first.iter().skip(from).take_while(move |(other, _)| *other == first.0);
        std::iter::once(first).chain(more.map(|(_, row)| RowIx(*row)))
    }

    /// Bytes that it takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.more.capacity() + self.of_first.capacity()) * size_of::<(u32, u32)>()
    }
}

/// The first row of the person of a row.
fn first_of(more: &[(u32, u32)], row: u32) -> u32 {
    let known = more.binary_search_by_key(&row, |(more, _)| *more);
    known.ok().and_then(|at| more.get(at)).map_or(row, |(_, first)| *first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Whoever has several rows: people are numbered in the order of their first rows, and each row is somebody's.
    #[test]
    fn every_row_is_its_persons() {
        let mut state = 7u32;
        for share in [0, 1, 3, 7, 10] {
            let mut first_row_of: Vec<u32> = Vec::new();
            for row in 0..500u32 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Sometimes a row that is itself not the first one of its person.
                first_row_of.push(if (state >> 8) % 10 < share && row > 0 { (state >> 12) % row } else { row });
            }
            let mut expected: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for row in 0..500u32 {
                let mut first = row;
                while first_row_of[first as usize] < first {
                    first = first_row_of[first as usize];
                }
                expected.entry(first).or_default().push(row);
            }
            let people = People::of(first_row_of.into_iter());
            assert_eq!(people.count(), expected.len());
            for (person, rows) in (0..).map(PersonIx).zip(expected.values()) {
                assert_eq!(people.rows_of(person).map(|row| row.0).collect::<Vec<_>>(), *rows, "{share} {person:?}");
                assert!(rows.iter().all(|row| people.of_row(RowIx(*row)) == Some(person)), "{share} {person:?}");
            }
            assert_eq!(people.of_row(RowIx(500)), None);
        }
    }
}
