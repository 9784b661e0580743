//! Which rows are one person. Different person ids are always different people; what could be two people is never united.

use std::collections::BTreeMap;

use super::table::Rows;
use crate::{EntityId, keys};

/// Sets of rows that only ever grow together, each with the person id that one of its rows carries.
struct Union {
    parent: Vec<usize>,
    person_id: Vec<Option<u32>>,
}

impl Union {
    fn find(&mut self, mut row: usize) -> usize {
        while let Some(&above) = self.parent.get(row) {
            if above == row {
                break;
            }
            let grand = self.parent.get(above).copied().unwrap_or(above);
            if let Some(slot) = self.parent.get_mut(row) {
                *slot = grand;
            }
            row = above;
        }
        row
    }

    fn id(&mut self, row: usize) -> Option<u32> {
        let root = self.find(row);
        self.person_id.get(root).copied().flatten()
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
        let id = self.id(a).or(self.id(b));
        let (a, b) = (self.find(a), self.find(b));
        let (low, high) = (a.min(b), a.max(b));
        if let Some(slot) = self.parent.get_mut(high) {
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
pub(super) fn group(rows: &Rows) -> Vec<usize> {
    let mut union = Union { parent: (0..rows.len()).collect(), person_id: vec![None; rows.len()] };
    by_person_id(rows, &mut union);
    by_entity_and_number(rows, &mut union);
    by_previous_number(rows, &mut union);
    by_mail_and_name(rows, &mut union);
    (0..rows.len()).map(|row| union.find(row)).collect()
}

fn by_person_id(rows: &Rows, union: &mut Union) {
    let mut first: BTreeMap<String, (u32, usize)> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        let Some(id) = row.person_id().and_then(keys::login) else { continue };
        let next = u32::try_from(first.len()).unwrap_or(u32::MAX);
        let (id, earlier) = *first.entry(id).or_insert((next, i));
        if let Some(slot) = union.person_id.get_mut(i) {
            *slot = Some(id);
        }
        union.join(i, earlier);
    }
}

/// Where there is no person id. A row without one joins a person with one only if no other carries the number too.
fn by_entity_and_number(rows: &Rows, union: &mut Union) {
    let mut buckets: BTreeMap<(Option<&EntityId>, String), Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        if let Some(number) = row.number().and_then(keys::number) {
            buckets.entry((row.entity(), number)).or_default().push(i);
        }
    }
    for bucket in buckets.values().filter(|b| b.len() > 1) {
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

fn by_previous_number(rows: &Rows, union: &mut Union) {
    let mut holders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        if let Some(number) = row.number().and_then(keys::number) {
            holders.entry(number).or_default().push(i);
        }
    }
    for (i, row) in rows.iter().enumerate() {
        let Some(previous) = row.previous_number().and_then(keys::number) else { continue };
        let Some(holding) = holders.get(&previous) else { continue };
        let own = union.find(i);
        let candidates: Vec<usize> = holding.iter().copied().filter(|h| *h != i && union.may_join(*h, i)).collect();
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

/// The same mail and the same name in different entities, of rows without a person id. Two people of one entity who share both make
/// it undecidable.
fn by_mail_and_name(rows: &Rows, union: &mut Union) {
    let mut buckets: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| r.person_id().is_none()) {
        let mail = row.mail().and_then(keys::mail);
        let name = row.name().and_then(keys::name);
        if let (Some(mail), Some(name)) = (mail, name) {
            buckets.entry((mail, name)).or_default().push(i);
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
