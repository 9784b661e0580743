//! Which rows are one person. Different person ids are always different people; what could be two people is never united.

use std::collections::BTreeMap;

use super::index::{Index, mail_key, number_key, person_id_key, previous_key};
use super::rows::{RowView, Rows};
use crate::{EntityId, keys};

/// Sets of rows that only ever grow together, each with the person id that one of its rows carries (its first row).
struct Union {
    parent: Vec<u32>,
    person_id: Vec<u32>,
}

/// No person id.
const NONE: u32 = u32::MAX;

impl Union {
    fn find(&mut self, mut row: usize) -> usize {
        while let Some(above) = self.parent.get(row).copied() {
            let above = above as usize;
            if above == row {
                break;
            }
            let grand = self.parent.get(above).copied();
            if let (Some(slot), Some(grand)) = (self.parent.get_mut(row), grand) {
                *slot = grand;
            }
            row = above;
        }
        row
    }

    fn id(&mut self, row: usize) -> Option<u32> {
        let root = self.find(row);
        self.person_id.get(root).copied().filter(|id| *id != NONE)
    }

    fn may_join(&mut self, a: usize, b: usize) -> bool {
        match (self.id(a), self.id(b)) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }

    fn join(&mut self, a: usize, b: usize) {
        if !self.may_join(a, b) {
            return;
        }
        let id = self.id(a).or(self.id(b)).unwrap_or(NONE);
        let (a, b) = (self.find(a), self.find(b));
        let (low, high) = (a.min(b), a.max(b));
        if let (Some(slot), Ok(low)) = (self.parent.get_mut(high), u32::try_from(low)) {
            *slot = low;
        }
        if let Some(slot) = self.person_id.get_mut(low) {
            *slot = id;
        }
    }

    fn distinct(&mut self, rows: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut roots: Vec<usize> = rows.into_iter().map(|r| self.find(r)).collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }
}

/// For each row the first row of its person.
pub(super) fn group(rows: &Rows, person_ids: &Index, numbers: &Index) -> Vec<u32> {
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let mut union = Union { parent: (0..count).collect(), person_id: vec![NONE; rows.len()] };
    by_person_id(rows, person_ids, &mut union);
    by_entity_and_number(rows, numbers, &mut union);
    by_previous_number(rows, numbers, &mut union);
    by_mail_and_name(rows, &mut union);
    (0..rows.len()).map(|row| u32::try_from(union.find(row)).unwrap_or(NONE)).collect()
}

fn by_person_id(rows: &Rows, person_ids: &Index, union: &mut Union) {
    for (row, slot) in rows.iter().zip(&mut union.person_id) {
        if person_id_key(&row).is_some() {
            *slot = row.ix().0;
        }
    }
    for (_, shared) in person_ids.shared(rows, person_id_key) {
        let Some(&first) = shared.first() else { continue };
        for &row in &shared {
            if let (Some(slot), Ok(first)) = (union.person_id.get_mut(row), u32::try_from(first)) {
                *slot = first;
            }
            union.join(row, first);
        }
    }
}

/// Where there is no person id. A row without one joins a person with one only if no other carries the number too.
fn by_entity_and_number(rows: &Rows, numbers: &Index, union: &mut Union) {
    for (_, carriers) in numbers.shared(rows, number_key) {
        let mut by_entity: BTreeMap<Option<&EntityId>, Vec<usize>> = BTreeMap::new();
        for row in carriers {
            by_entity.entry(rows.get(row).and_then(|r| r.entity())).or_default().push(row);
        }
        for bucket in by_entity.values().filter(|b| b.len() > 1) {
            let (with_id, without): (Vec<usize>, Vec<usize>) =
                bucket.iter().partition(|i| rows.get(**i).is_some_and(|r| r.person_id().is_some()));
            let Some(&first) = without.first() else { continue };
            for &row in &without {
                union.join(first, row);
            }
            if let [person] = union.distinct(with_id).as_slice() {
                union.join(first, *person);
            }
        }
    }
}

fn by_previous_number(rows: &Rows, numbers: &Index, union: &mut Union) {
    for (i, row) in rows.iter().enumerate() {
        let Some(previous) = previous_key(&row) else { continue };
        let carries = |h: &usize| rows.get(*h).and_then(|r| number_key(&r)).as_ref() == Some(&previous);
        let holding = numbers.rows(&previous).filter_map(|h| usize::try_from(h).ok()).filter(carries);
        let own = union.find(i);
        let candidates: Vec<usize> = holding.filter(|h| *h != i && union.may_join(*h, i)).collect();
        let people = union.distinct(candidates.iter().copied());
        if people.contains(&own) {
            continue;
        }
        let within_entity = candidates.iter().copied().filter(|h| rows.get(*h).is_some_and(|r| r.entity() == row.entity()));
        let in_entity = union.distinct(within_entity);
        match (people.as_slice(), in_entity.as_slice()) {
            ([person], _) | (_, [person]) => union.join(*person, i),
            _ => {}
        }
    }
}

fn name_key(row: &RowView<'_>) -> Option<String> {
    row.name().and_then(keys::name)
}

/// The same mail and the same name in different entities, of rows without a person id. Two people of one entity who share both make
/// it undecidable.
fn by_mail_and_name(rows: &Rows, union: &mut Union) {
    let mails = Index::of_some(rows, mail_key, |row| row.person_id().is_none());
    let mut buckets: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (mail, sharing) in mails.shared(rows, mail_key) {
        for row in sharing {
            if let Some(name) = rows.get(row).and_then(|r| name_key(&r)) {
                buckets.entry((mail.clone(), name)).or_default().push(row);
            }
        }
    }
    for bucket in buckets.values().filter(|b| b.len() > 1) {
        let mut by_entity: BTreeMap<Option<&EntityId>, Vec<usize>> = BTreeMap::new();
        for &i in bucket {
            by_entity.entry(rows.get(i).and_then(|r| r.entity())).or_default().push(i);
        }
        let people = union.distinct(bucket.iter().copied());
        let mut ids: Vec<u32> = people.iter().filter_map(|p| union.id(*p)).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > 1 || by_entity.len() < 2 || by_entity.values().any(|rows| union.distinct(rows.iter().copied()).len() > 1) {
            continue;
        }
        if let Some((first, others)) = people.split_first() {
            for other in others {
                union.join(*first, *other);
            }
        }
    }
}
