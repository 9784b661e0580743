//! The roster as a table: rows grouped to people, with lookups. All text is in one string, so that a row costs about 200 bytes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use jiff::civil::Date;

use super::{RosterError, Row, Status, groups};
use crate::digest::Digest;
use crate::{EntityId, keys};

/// A row of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowIx(u32);

/// A person of a roster. People are numbered in the order of their first rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonIx(u32);

impl PersonIx {
    /// The number, below [`Roster::person_count`].
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    at: u32,
    /// One more than the length; 0 where the field is empty.
    len: u32,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    PersonId,
    Number,
    Previous,
    Name,
    Kana,
    Mail,
    Login,
    Manager,
    Department,
}

const FIELDS: usize = 9;

#[derive(Clone, Debug)]
struct Stored {
    line: u64,
    text: [Span; FIELDS],
    entity: Option<u16>,
    status: Status,
    contractor: bool,
    start: Option<Date>,
    last_day: Option<Date>,
    contract_end: Option<Date>,
}

/// Rows in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    text: String,
    entities: Vec<EntityId>,
    rows: Vec<Stored>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, row: usize) -> Option<RowView<'_>> {
        let ix = RowIx(u32::try_from(row).ok()?);
        self.rows.get(row).map(|stored| RowView { rows: self, stored, ix })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RowView<'_>> {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    pub(super) fn push(&mut self, row: &Row) -> Result<(), RosterError> {
        let entity = match &row.entity {
            None => None,
            Some(id) => {
                let at = self.entities.iter().position(|e| e == id).unwrap_or_else(|| {
                    self.entities.push(id.clone());
                    self.entities.len() - 1
                });
                Some(u16::try_from(at).map_err(|_| RosterError::TooLarge)?)
            }
        };
        let texts: [&Option<String>; FIELDS] = [
            &row.person_id,
            &row.number,
            &row.previous_number,
            &row.name,
            &row.name_kana,
            &row.mail,
            &row.login,
            &row.manager_number,
            &row.department,
        ];
        let mut text = [Span::default(); FIELDS];
        for (span, field) in text.iter_mut().zip(texts) {
            if let Some(field) = field {
                let at = u32::try_from(self.text.len()).map_err(|_| RosterError::TooLarge)?;
                let len = u32::try_from(field.len() + 1).map_err(|_| RosterError::TooLarge)?;
                self.text.push_str(field);
                *span = Span { at, len };
            }
        }
        self.rows.push(Stored {
            line: row.line,
            text,
            entity,
            status: row.status,
            contractor: row.contractor,
            start: row.start,
            last_day: row.last_day,
            contract_end: row.contract_end,
        });
        // Rows are numbered in 32 bits.
        u32::try_from(self.rows.len()).map(|_| ()).map_err(|_| RosterError::TooLarge)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    rows: &'a Rows,
    stored: &'a Stored,
    ix: RowIx,
}

impl<'a> RowView<'a> {
    fn field(&self, field: Field) -> Option<&'a str> {
        let span = self.stored.text.get(field as usize)?;
        let at = usize::try_from(span.at).ok()?;
        let len = usize::try_from(span.len.checked_sub(1)?).ok()?;
        self.rows.text.get(at..at.checked_add(len)?)
    }

    /// Which row it is.
    pub fn ix(&self) -> RowIx {
        self.ix
    }

    /// Where it stands, counted from 1, the header included.
    pub fn line(&self) -> u64 {
        self.stored.line
    }

    /// The person's own id.
    pub fn person_id(&self) -> Option<&'a str> {
        self.field(Field::PersonId)
    }

    /// Entity.
    pub fn entity(&self) -> Option<&'a EntityId> {
        self.rows.entities.get(usize::from(self.stored.entity?))
    }

    /// Employee number.
    pub fn number(&self) -> Option<&'a str> {
        self.field(Field::Number)
    }

    /// Employee number before a transfer or a rehire.
    pub fn previous_number(&self) -> Option<&'a str> {
        self.field(Field::Previous)
    }

    /// Name.
    pub fn name(&self) -> Option<&'a str> {
        self.field(Field::Name)
    }

    /// Reading of the name.
    pub fn name_kana(&self) -> Option<&'a str> {
        self.field(Field::Kana)
    }

    /// Mail address.
    pub fn mail(&self) -> Option<&'a str> {
        self.field(Field::Mail)
    }

    /// Login.
    pub fn login(&self) -> Option<&'a str> {
        self.field(Field::Login)
    }

    /// Employee number of the manager.
    pub fn manager_number(&self) -> Option<&'a str> {
        self.field(Field::Manager)
    }

    /// Department.
    pub fn department(&self) -> Option<&'a str> {
        self.field(Field::Department)
    }

    /// What the status word means.
    pub fn status(&self) -> Status {
        self.stored.status
    }

    /// Ends with the contract.
    pub fn contractor(&self) -> bool {
        self.stored.contractor
    }

    /// First day.
    pub fn start(&self) -> Option<Date> {
        self.stored.start
    }

    /// Last valid day of the employment.
    pub fn last_day(&self) -> Option<Date> {
        self.stored.last_day
    }

    /// Last valid day of the contract.
    pub fn contract_end(&self) -> Option<Date> {
        self.stored.contract_end
    }

    /// How people find the row, and what names the person in one roster: the person id, else entity and employee number
    /// (`own/10023`), else the line.
    pub fn reference(&self) -> String {
        match (self.person_id(), self.number()) {
            (Some(id), _) => id.to_owned(),
            (None, Some(number)) => format!("{}/{number}", self.entity().map_or("-", EntityId::as_str)),
            (None, None) => format!("line {}", self.line()),
        }
    }
}

/// Rows by the hash of a key, sorted. A hit is compared with the key itself, so that a hash that two keys share does no harm.
#[derive(Clone, Debug, Default)]
struct Index(Vec<(u64, u32)>);

impl Index {
    fn of(rows: &Rows, key: fn(&RowView<'_>) -> Option<String>) -> Self {
        let hashed = |row: RowView<'_>| key(&row).map(|k| (hash(&k), row.ix.0));
        let mut entries: Vec<(u64, u32)> = rows.iter().filter_map(hashed).collect();
        entries.sort_unstable();
        entries.shrink_to_fit();
        Self(entries)
    }

    fn rows(&self, key: &str) -> impl Iterator<Item = u32> {
        let wanted = hash(key);
        let from = self.0.partition_point(|(h, _)| *h < wanted);
        self.0.iter().skip(from).take_while(move |(h, _)| *h == wanted).map(|(_, row)| *row)
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn person_id_key(row: &RowView<'_>) -> Option<String> {
    row.person_id().and_then(keys::login)
}

fn number_key(row: &RowView<'_>) -> Option<String> {
    row.number().and_then(keys::number)
}

fn previous_key(row: &RowView<'_>) -> Option<String> {
    row.previous_number().and_then(keys::number)
}

fn mail_key(row: &RowView<'_>) -> Option<String> {
    row.mail().and_then(keys::mail)
}

fn login_key(row: &RowView<'_>) -> Option<String> {
    row.login().and_then(keys::login)
}

/// The roster: people with their rows. Lookups take the comparable forms of [`crate::keys`] and return each person once, in
/// order.
#[derive(Clone, Debug)]
pub struct Roster {
    rows: Rows,
    /// The person of each row.
    person_of: Vec<PersonIx>,
    /// Rows, person by person, in the order of the file.
    by_person: Vec<u32>,
    /// Where each person's rows begin in `by_person`, and one more for the end.
    begins: Vec<u32>,
    person_ids: Index,
    numbers: Index,
    previous_numbers: Index,
    mails: Index,
    logins: Index,
    digest: Digest,
    /// Anchors of people whom somebody said to be one, with the person that they are.
    merged: Vec<(String, PersonIx)>,
}

/// Rows with the people that they belong to.
struct Grouped {
    person_of: Vec<PersonIx>,
    by_person: Vec<u32>,
    begins: Vec<u32>,
}

impl Grouped {
    /// From the first row of each row's person, which is never after the row itself.
    fn of(first_row_of: &[usize]) -> Self {
        let mut person_of: Vec<PersonIx> = Vec::with_capacity(first_row_of.len());
        let mut people: u32 = 0;
        for (row, first) in first_row_of.iter().enumerate() {
            let person = match person_of.get(*first) {
                Some(person) if *first < row => *person,
                _ => {
                    people += 1;
                    PersonIx(people - 1)
                }
            };
            person_of.push(person);
        }
        let mut by_person: Vec<u32> = (0..first_row_of.len()).filter_map(|r| u32::try_from(r).ok()).collect();
        by_person.sort_by_key(|row| usize::try_from(*row).ok().and_then(|r| person_of.get(r).copied()));
        let mut begins = vec![0u32; usize::try_from(people).unwrap_or(usize::MAX).saturating_add(1)];
        for person in &person_of {
            if let Some(count) = begins.get_mut(person.index() + 1) {
                *count += 1;
            }
        }
        let mut total = 0;
        for begin in &mut begins {
            total += *begin;
            *begin = total;
        }
        Self { person_of, by_person, begins }
    }
}

impl Roster {
    /// Groups rows to people.
    pub(super) fn new(rows: Rows, digest: Digest) -> Result<Self, RosterError> {
        if rows.len() == 0 {
            return Err(RosterError::Empty);
        }
        let Grouped { person_of, by_person, begins } = Grouped::of(&groups::group(&rows));
        Ok(Self {
            person_ids: Index::of(&rows, person_id_key),
            numbers: Index::of(&rows, number_key),
            previous_numbers: Index::of(&rows, previous_key),
            mails: Index::of(&rows, mail_key),
            logins: Index::of(&rows, login_key),
            rows,
            person_of,
            by_person,
            begins,
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
        let first_row = |person: PersonIx| {
            let person = first_of.get(&person).copied().unwrap_or(person);
            let begin = self.begins.get(person.index()).and_then(|b| usize::try_from(*b).ok());
            begin.and_then(|b| self.by_person.get(b)).and_then(|row| usize::try_from(*row).ok()).unwrap_or_default()
        };
        let first_row_of: Vec<usize> = self.person_of.iter().map(|person| first_row(*person)).collect();
        let rows: Vec<(String, usize)> = named.into_iter().map(|(anchor, person)| (anchor, first_row(person))).collect();
        let Grouped { person_of, by_person, begins } = Grouped::of(&first_row_of);
        self.merged = rows.into_iter().filter_map(|(anchor, row)| Some((anchor, *person_of.get(row)?))).collect();
        (self.person_of, self.by_person, self.begins) = (person_of, by_person, begins);
        self
    }

    /// Anchors under which people were known before somebody said that they are one person.
    pub fn merged(&self) -> &[(String, PersonIx)] {
        &self.merged
    }

    /// Digest of the header and the rows as they were read: fields, whatever their encoding and quoting.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Number of people.
    pub fn person_count(&self) -> usize {
        self.begins.len().saturating_sub(1)
    }

    /// All people.
    pub fn people(&self) -> impl Iterator<Item = PersonIx> + use<> {
        let count = u32::try_from(self.person_count()).unwrap_or(u32::MAX);
        (0..count).map(PersonIx)
    }

    /// A row of this roster.
    pub fn row(&self, row: RowIx) -> Option<RowView<'_>> {
        usize::try_from(row.0).ok().and_then(|r| self.rows.get(r))
    }

    /// The rows of a person, in the order of the file.
    pub fn rows_of(&self, person: PersonIx) -> impl Iterator<Item = RowView<'_>> {
        let bound = |at: usize| self.begins.get(at).and_then(|b| usize::try_from(*b).ok()).unwrap_or_default();
        let range = bound(person.index())..bound(person.index() + 1);
        self.by_person.get(range).unwrap_or_default().iter().filter_map(|row| self.row(RowIx(*row)))
    }

    /// The person that a row belongs to.
    pub fn person_of(&self, row: RowIx) -> Option<PersonIx> {
        self.person_of.get(usize::try_from(row.0).ok()?).copied()
    }

    fn find(
        &self,
        index: &Index,
        key: &str,
        of: fn(&RowView<'_>) -> Option<String>,
        and: impl Fn(&RowView<'_>) -> bool,
    ) -> Vec<PersonIx> {
        let mut people: Vec<PersonIx> = index
            .rows(key)
            .filter_map(|row| self.row(RowIx(row)))
            .filter(|row| of(row).as_deref() == Some(key) && and(row))
            .filter_map(|row| self.person_of(row.ix))
            .collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Who has this person id ([`keys::login`]).
    pub fn by_person_id(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.person_ids, key, person_id_key, |_| true)
    }

    /// Who has or had this employee number in this entity, by a row of its own.
    pub fn by_entity_number(&self, entity: &EntityId, key: &str) -> Vec<PersonIx> {
        self.find(&self.numbers, key, number_key, |row| row.entity() == Some(entity))
    }

    /// Who has or had this employee number in any entity, by a row of its own.
    pub fn by_number(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.numbers, key, number_key, |_| true)
    }

    /// Whose row names this employee number as the previous one. The roster does not say in which entity that was.
    pub fn by_previous_number(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.previous_numbers, key, previous_key, |_| true)
    }

    /// Who has this mail address.
    pub fn by_mail(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.mails, key, mail_key, |_| true)
    }

    /// Who has this login.
    pub fn by_login(&self, key: &str) -> Vec<PersonIx> {
        self.find(&self.logins, key, login_key, |_| true)
    }

    /// What a subject's id is made from: the person id, else the number of the person's earliest row within its entity, else mail,
    /// login or name.
    pub fn anchor(&self, person: PersonIx) -> Option<String> {
        let mut rows: Vec<RowView<'_>> = self.rows_of(person).collect();
        rows.sort_by_key(|row| (row.start(), row.line()));
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
