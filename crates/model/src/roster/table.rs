//! The roster as a table: rows grouped to people, with lookups.
//!
//! With its place in the packed rows and the lookups a row costs about 40 bytes beside its record.

use std::collections::BTreeMap;

use super::index::{Index, login_key, mail_key, number_key, person_id_key, previous_key};
use super::people::People;
use super::rows::Rows;
use super::{PersonIx, RowIx, RowView, groups};
use crate::digest::Digest;
use crate::{EntityId, keys};

/// Whether a text has this comparable form. Most are written in it.
fn is(text: Option<&str>, key: &str, form: fn(&str) -> Option<String>) -> bool {
    text.is_some_and(|text| text == key || form(text).as_deref() == Some(key))
}

/// The roster: people with their rows. Lookups take the comparable forms of [`crate::keys`] and return each person once, in
/// order.
#[derive(Clone, Debug)]
pub struct Roster {
    rows: Rows,
    people: People,
    person_ids: Index,
    numbers: Index,
    previous_numbers: Index,
    mails: Index,
    logins: Index,
    digest: Digest,
    /// Anchors of people whom somebody said to be one, with the person that they are.
    merged: Vec<(String, PersonIx)>,
}

impl Roster {
    /// Groups rows to people; `None` where there is no row.
    pub(super) fn new(mut rows: Rows, digest: Digest) -> Option<Self> {
        if rows.len() == 0 {
            return None;
        }
        rows.shrink();
        let (person_ids, numbers) = (Index::of(&rows, person_id_key), Index::of(&rows, number_key));
        let people = People::of(groups::group(&rows, &person_ids, &numbers).into_iter());
        Some(Self {
            previous_numbers: Index::of(&rows, previous_key),
            mails: Index::of(&rows, mail_key),
            logins: Index::of(&rows, login_key),
            person_ids,
            numbers,
            rows,
            people,
            digest,
            merged: Vec::new(),
        })
    }

    /// The same roster in which people whom somebody said to be one person are one: each group lists anchors. An anchor that nobody has
    /// is left out. Whoever they were is found under each of their anchors ([`Roster::merged`]).
    #[must_use]
    pub fn with_merged(mut self, groups: &[Vec<String>]) -> Self {
        if groups.is_empty() {
            return self;
        }
        let known: BTreeMap<String, PersonIx> = self.people().filter_map(|p| Some((self.anchor(p)?, p))).collect();
        let mut named: Vec<(String, PersonIx)> = Vec::new();
        let mut first_of: BTreeMap<PersonIx, PersonIx> = BTreeMap::new();
        for group in groups {
            let people: Vec<(&String, PersonIx)> = group.iter().filter_map(|a| Some((a, *known.get(a)?))).collect();
            let Some(first) = people.iter().map(|(_, person)| *person).min() else { continue };
            first_of.extend(people.iter().map(|(_, person)| (*person, first)));
            named.extend(people.into_iter().map(|(anchor, _)| (anchor.clone(), first)));
        }
        let first_row = |person: PersonIx| self.people.first_row(first_of.get(&person).copied().unwrap_or(person));
        let rows: Vec<(String, RowIx)> = named.into_iter().map(|(anchor, person)| (anchor, first_row(person))).collect();
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let first_row_of = |row| self.people.of_row(RowIx(row)).map_or(row, |person| first_row(person).0);
        let people = People::of((0..count).map(first_row_of));
        self.merged = rows.into_iter().filter_map(|(anchor, row)| Some((anchor, people.of_row(row)?))).collect();
        self.people = people;
        self
    }

    /// Anchors under which people were known before somebody said that they are one person.
    pub fn merged(&self) -> &[(String, PersonIx)] {
        &self.merged
    }

    /// Digest of headers and rows as they were read: fields, whatever their encoding and quoting.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Number of people.
    pub fn person_count(&self) -> usize {
        self.people.count()
    }

    /// Bytes that the table takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let indices = [&self.person_ids, &self.numbers, &self.previous_numbers, &self.mails, &self.logins];
        let indices: usize = indices.iter().map(|index| index.memory_bytes()).sum();
        self.rows.memory_bytes() + self.people.memory_bytes() + indices
    }

    /// All people.
    pub fn people(&self) -> impl Iterator<Item = PersonIx> + use<> {
        self.people.all()
    }

    /// A row of this roster.
    pub fn row(&self, row: RowIx) -> Option<RowView<'_>> {
        usize::try_from(row.0).ok().and_then(|r| self.rows.get(r))
    }

    /// The rows of a person, in the order of their files.
    pub fn rows_of(&self, person: PersonIx) -> impl Iterator<Item = RowView<'_>> {
        self.people.rows_of(person).filter_map(|row| self.row(row))
    }

    /// The person that a row belongs to.
    pub fn person_of(&self, row: RowIx) -> Option<PersonIx> {
        self.people.of_row(row)
    }

    /// People whose rows have the hash of a key in an index, as far as the rows are meant.
    fn find(&self, index: &Index, key: &str, is_meant: impl Fn(&RowView<'_>) -> bool) -> Vec<PersonIx> {
        let rows = index.rows(key).filter_map(|row| self.row(RowIx(row))).filter(is_meant);
        let mut people: Vec<PersonIx> = rows.filter_map(|row| self.person_of(row.ix())).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Who has this person id ([`keys::login`]).
    pub fn by_person_id(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.person_ids, key, |row| is(row.person_id(), key, keys::login))
    }

    /// Who has or had this employee number in this entity, by a row of its own.
    pub fn by_entity_number(&self, entity: &EntityId, key: &str) -> Vec<PersonIx> {
        self.find(&self.numbers, key, |row| row.entity() == Some(entity) && is(row.number(), key, keys::number))
    }

    /// Who has or had this employee number in any entity, by a row of its own.
    pub fn by_number(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.numbers, key, |row| is(row.number(), key, keys::number))
    }

    /// Whose row names this employee number as the previous one. The roster does not say in which entity that was.
    pub fn by_previous_number(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.previous_numbers, key, |row| is(row.previous_number(), key, keys::number))
    }

    /// Who has this mail address.
    pub fn by_mail(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.mails, key, |row| is(row.mail(), key, keys::mail))
    }

    /// Who has this login.
    pub fn by_login(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.logins, key, |row| is(row.login(), key, keys::login))
    }

    /// Whom [`RowView::reference`] of an earlier reading named. Somebody whose row with that number is gone is found by the row that
    /// names it as the previous one, where only one person does.
    pub fn by_reference(&self, reference: &str) -> Option<PersonIx> {
        let (of_id, of_mail) = (keys::login(reference), keys::mail(reference));
        let of_login = reference.strip_prefix("login ").and_then(keys::login);
        let number = reference.rsplit_once('/').and_then(|(_, number)| keys::number(number));
        let mut candidates = Vec::new();
        candidates.extend(of_id.iter().flat_map(|key| self.by_person_id(key)));
        candidates.extend(number.iter().flat_map(|key| self.by_number(key)));
        candidates.extend(of_mail.iter().flat_map(|key| self.by_mail(key)));
        candidates.extend(of_login.iter().flat_map(|key| self.by_login(key)));
        let named = candidates.into_iter().find(|person| self.rows_of(*person).any(|row| row.reference() == reference));
        named.or_else(|| match self.by_previous_number(&number?).as_slice() {
            [person] => Some(*person),
            _ => None,
        })
    }

    /// Rows that share an employee number, number by number, each with its comparable form.
    pub fn shared_numbers(&self) -> impl Iterator<Item = (String, Vec<RowView<'_>>)> {
        self.shared(&self.numbers, number_key)
    }

    /// Rows that share a person id, id by id, each with its comparable form.
    pub fn shared_person_ids(&self) -> impl Iterator<Item = (String, Vec<RowView<'_>>)> {
        self.shared(&self.person_ids, person_id_key)
    }

    fn shared<'a>(
        &'a self,
        index: &'a Index,
        of: fn(&RowView<'_>) -> Option<String>,
    ) -> impl Iterator<Item = (String, Vec<RowView<'a>>)> {
        let views = |rows: Vec<usize>| rows.into_iter().filter_map(|row| self.rows.get(row)).collect();
        index.shared(&self.rows, of).map(move |(key, rows)| (key, views(rows)))
    }

    /// What a subject's id is made from: the person id, else the number of the person's earliest row within its entity, else mail,
    /// login or name.
    pub fn anchor(&self, person: PersonIx) -> Option<String> {
        let mut rows: Vec<RowView<'_>> = self.rows_of(person).collect();
        // Neither the order of rows nor that of files decides. Most people have one row.
        if rows.len() > 1 {
            rows.sort_by_cached_key(|row| (row.start(), row.reference()));
        }
        let first = |of: fn(&RowView<'_>) -> Option<String>| rows.iter().find_map(of);
        let numbered = |row: &RowView<'_>| {
            number_key(row).map(|number| format!("roster/{}/{number}", row.entity().map_or("-", EntityId::as_str)))
        };
        first(|row| person_id_key(row).map(|id| format!("roster/id/{id}")))
            .or_else(|| rows.iter().find_map(numbered))
            .or_else(|| first(|row| mail_key(row).map(|mail| format!("roster/mail/{mail}"))))
            .or_else(|| first(|row| login_key(row).map(|login| format!("roster/login/{login}"))))
            .or_else(|| first(|row| row.name().and_then(keys::name).map(|name| format!("roster/name/{name}"))))
            .or_else(|| rows.first().map(|row| format!("roster/line/{}", row.line())))
    }
}
