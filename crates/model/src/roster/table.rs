//! The roster as a table: rows grouped to people, with lookups.
//!
//! A row is one packed record: its fixed fields and its texts, one after the other, in one long buffer. With its place there, the
//! lookups and the grouping it costs about 60 bytes beside its texts.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::index::{Index, login_key, mail_key, number_key, person_id_key, previous_key};
use super::{RosterError, Row, Status, groups};
use crate::digest::Digest;
use crate::{EntityId, keys};

/// A row of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowIx(pub(super) u32);

/// A person of a roster. People are numbered in the order of their first rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonIx(u32);

impl PersonIx {
    /// The number, below [`Roster::person_count`].
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Texts of a row, in the order in which they are packed.
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
}

const FIELDS: usize = 8;

/// Bits of a packed record's first byte: the status in the lowest two.
mod flag {
    pub(super) const STATUS: u8 = 0b11;
    pub(super) const CONTRACTOR: u8 = 1 << 2;
    pub(super) const ENTITY: u8 = 1 << 3;
    pub(super) const DEPARTMENT: u8 = 1 << 4;
    pub(super) const START: u8 = 1 << 5;
    pub(super) const LAST_DAY: u8 = 1 << 6;
    pub(super) const CONTRACT_END: u8 = 1 << 7;
}

/// A number in as many bytes as it needs: seven bits each, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// What is left of a packed record.
struct Packed<'a>(&'a [u8]);

impl<'a> Packed<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0u64, 0u32);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            shift += 7;
            if byte & 0x80 == 0 || shift > 63 {
                return number;
            }
        }
    }

    fn date(&mut self) -> Option<Date> {
        let (year, month, day) = (self.number(), self.byte(), self.byte());
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    }

    fn text(&mut self) -> &'a str {
        let length = usize::try_from(self.number()).unwrap_or(usize::MAX);
        let Some((text, rest)) = self.0.split_at_checked(length) else { return "" };
        self.0 = rest;
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// Rows in the order of their files.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    packed: Vec<u8>,
    /// Where each row begins in `packed`.
    at: Vec<u32>,
    files: Vec<String>,
    entities: Vec<EntityId>,
    /// Departments, of which there are few.
    departments: BTreeMap<String, u32>,
    department_names: Vec<String>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    pub(super) fn files(&self) -> &[String] {
        &self.files
    }

    /// One more file.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), RosterError> {
        // Files are numbered in 16 bits.
        u16::try_from(self.files.len()).map_err(|_| RosterError::TooLarge)?;
        self.files.push(name.to_owned());
        Ok(())
    }

    pub(super) fn get(&self, row: usize) -> Option<RowView<'_>> {
        let ix = RowIx(u32::try_from(row).ok()?);
        let from = usize::try_from(*self.at.get(row)?).ok()?;
        let mut packed = Packed(self.packed.get(from..)?);
        let (flags, file, line) = (packed.byte(), packed.number(), packed.number());
        let optional = |bit: u8| flags & bit != 0;
        let entity = optional(flag::ENTITY).then(|| packed.number());
        let department = optional(flag::DEPARTMENT).then(|| packed.number());
        let mut date = |bit: u8| optional(bit).then(|| packed.date()).flatten();
        let (start, last_day, contract_end) = (date(flag::START), date(flag::LAST_DAY), date(flag::CONTRACT_END));
        let number = |of: Option<u64>| of.and_then(|n| usize::try_from(n).ok());
        Some(RowView {
            rows: self,
            texts: packed.0,
            ix,
            flags,
            file: u16::try_from(file).unwrap_or(u16::MAX),
            line,
            entity: number(entity),
            department: number(department),
            dates: [start, last_day, contract_end],
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RowView<'_>> {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    pub(super) fn push(&mut self, row: &Row) -> Result<(), RosterError> {
        let at = u32::try_from(self.packed.len()).map_err(|_| RosterError::TooLarge)?;
        // Rows are numbered in 32 bits too.
        u32::try_from(self.at.len() + 1).map_err(|_| RosterError::TooLarge)?;
        let entity = row.entity.as_ref().map(|id| {
            self.entities.iter().position(|e| e == id).unwrap_or_else(|| {
                self.entities.push(id.clone());
                self.entities.len() - 1
            })
        });
        let department = row.department.as_ref().map(|name| self.department(name));
        let mut flags = match row.status {
            Status::Active => 0,
            Status::Leave => 1,
            Status::Seconded => 2,
            Status::Departed => 3,
        };
        let bits = [
            (row.contractor, flag::CONTRACTOR),
            (entity.is_some(), flag::ENTITY),
            (department.is_some(), flag::DEPARTMENT),
            (row.start.is_some(), flag::START),
            (row.last_day.is_some(), flag::LAST_DAY),
            (row.contract_end.is_some(), flag::CONTRACT_END),
        ];
        flags |= bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
        let out = &mut self.packed;
        out.push(flags);
        put_number(out, u64::from(row.file));
        put_number(out, row.line);
        for number in [entity.and_then(|e| u64::try_from(e).ok()), department.map(u64::from)].into_iter().flatten() {
            put_number(out, number);
        }
        for date in [row.start, row.last_day, row.contract_end].into_iter().flatten() {
            put_number(out, u64::try_from(date.year()).unwrap_or_default());
            out.extend([date.month().unsigned_abs(), date.day().unsigned_abs()]);
        }
        let texts: [&Option<String>; FIELDS] = [
            &row.person_id,
            &row.number,
            &row.previous_number,
            &row.name,
            &row.name_kana,
            &row.mail,
            &row.login,
            &row.manager_number,
        ];
        for text in texts {
            let text = text.as_deref().unwrap_or_default();
            put_number(out, u64::try_from(text.len()).unwrap_or(u64::MAX));
            out.extend_from_slice(text.as_bytes());
        }
        self.at.push(at);
        Ok(())
    }

    fn department(&mut self, name: &str) -> u32 {
        if let Some(number) = self.departments.get(name) {
            return *number;
        }
        let number = u32::try_from(self.department_names.len()).unwrap_or(u32::MAX);
        self.departments.insert(name.to_owned(), number);
        self.department_names.push(name.to_owned());
        number
    }

    fn shrink(&mut self) {
        self.packed.shrink_to_fit();
        self.at.shrink_to_fit();
        self.departments = BTreeMap::new();
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    rows: &'a Rows,
    texts: &'a [u8],
    ix: RowIx,
    flags: u8,
    file: u16,
    line: u64,
    entity: Option<usize>,
    department: Option<usize>,
    dates: [Option<Date>; 3],
}

impl<'a> RowView<'a> {
    fn text(&self, field: Field) -> Option<&'a str> {
        let mut packed = Packed(self.texts);
        for _ in 0..field as usize {
            packed.text();
        }
        Some(packed.text()).filter(|text| !text.is_empty())
    }

    /// Which row it is.
    pub fn ix(&self) -> RowIx {
        self.ix
    }

    /// Its file, as the configuration names it.
    pub fn file(&self) -> &'a str {
        self.rows.files.get(usize::from(self.file)).map_or("", String::as_str)
    }

    /// Where it stands in its file, counted from 1, the header included.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The person's own id.
    pub fn person_id(&self) -> Option<&'a str> {
        self.text(Field::PersonId)
    }

    /// Entity.
    pub fn entity(&self) -> Option<&'a EntityId> {
        self.rows.entities.get(self.entity?)
    }

    /// Employee number.
    pub fn number(&self) -> Option<&'a str> {
        self.text(Field::Number)
    }

    /// Employee number before a transfer or a rehire.
    pub fn previous_number(&self) -> Option<&'a str> {
        self.text(Field::Previous)
    }

    /// Name.
    pub fn name(&self) -> Option<&'a str> {
        self.text(Field::Name)
    }

    /// Reading of the name.
    pub fn name_kana(&self) -> Option<&'a str> {
        self.text(Field::Kana)
    }

    /// Mail address.
    pub fn mail(&self) -> Option<&'a str> {
        self.text(Field::Mail)
    }

    /// Login.
    pub fn login(&self) -> Option<&'a str> {
        self.text(Field::Login)
    }

    /// Employee number of the manager.
    pub fn manager_number(&self) -> Option<&'a str> {
        self.text(Field::Manager)
    }

    /// Department.
    pub fn department(&self) -> Option<&'a str> {
        self.rows.department_names.get(self.department?).map(String::as_str)
    }

    /// What the status word means.
    pub fn status(&self) -> Status {
        match self.flags & flag::STATUS {
            0 => Status::Active,
            1 => Status::Leave,
            2 => Status::Seconded,
            _ => Status::Departed,
        }
    }

    /// Ends with the contract.
    pub fn contractor(&self) -> bool {
        self.flags & flag::CONTRACTOR != 0
    }

    /// First day.
    pub fn start(&self) -> Option<Date> {
        self.dates[0]
    }

    /// Last valid day of the employment.
    pub fn last_day(&self) -> Option<Date> {
        self.dates[1]
    }

    /// Last valid day of the contract.
    pub fn contract_end(&self) -> Option<Date> {
        self.dates[2]
    }

    /// How people find the row, and what names the person in one roster and in the next: the person id, else entity and employee
    /// number (`own/10023`), else the mail address, else the login (`login taro`), else file and line.
    pub fn reference(&self) -> String {
        if let Some(id) = self.person_id() {
            return id.to_owned();
        }
        if let Some(number) = self.number() {
            return format!("{}/{number}", self.entity().map_or("-", EntityId::as_str));
        }
        match (self.mail(), self.login()) {
            (Some(mail), _) => mail.to_owned(),
            (None, Some(login)) => format!("login {login}"),
            (None, None) => format!("{} line {}", self.file(), self.line()),
        }
    }
}

/// The roster: people with their rows. Lookups take the comparable forms of [`crate::keys`] and return each person once, in
/// order.
#[derive(Clone, Debug)]
pub struct Roster {
    rows: Rows,
    /// The person of each row.
    person_of: Vec<PersonIx>,
    /// Rows, person by person, in their order.
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
    fn of(first_row_of: Vec<u32>) -> Self {
        let count = first_row_of.len();
        let mut person_of: Vec<PersonIx> = Vec::with_capacity(count);
        let mut people: u32 = 0;
        for (row, first) in first_row_of.into_iter().enumerate() {
            let first = usize::try_from(first).unwrap_or(usize::MAX);
            let person = match person_of.get(first) {
                Some(person) if first < row => *person,
                _ => {
                    people += 1;
                    PersonIx(people - 1)
                }
            };
            person_of.push(person);
        }
        let mut by_person: Vec<u32> = (0..count).filter_map(|r| u32::try_from(r).ok()).collect();
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
    /// Groups rows to people; `None` where there is no row.
    pub(super) fn new(mut rows: Rows, digest: Digest) -> Option<Self> {
        if rows.len() == 0 {
            return None;
        }
        rows.shrink();
        let (person_ids, numbers) = (Index::of(&rows, person_id_key), Index::of(&rows, number_key));
        let Grouped { person_of, by_person, begins } = Grouped::of(groups::group(&rows, &person_ids, &numbers));
        Some(Self {
            previous_numbers: Index::of(&rows, previous_key),
            mails: Index::of(&rows, mail_key),
            logins: Index::of(&rows, login_key),
            person_ids,
            numbers,
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
            begin.and_then(|b| self.by_person.get(b)).copied().unwrap_or_default()
        };
        let first_row_of: Vec<u32> = self.person_of.iter().map(|person| first_row(*person)).collect();
        let rows: Vec<(String, u32)> = named.into_iter().map(|(anchor, person)| (anchor, first_row(person))).collect();
        let Grouped { person_of, by_person, begins } = Grouped::of(first_row_of);
        let person = |row: u32| person_of.get(usize::try_from(row).ok()?).copied();
        self.merged = rows.into_iter().filter_map(|(anchor, row)| Some((anchor, person(row)?))).collect();
        (self.person_of, self.by_person, self.begins) = (person_of, by_person, begins);
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
        self.begins.len().saturating_sub(1)
    }

    /// Bytes that the table takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let indices = [&self.person_ids, &self.numbers, &self.previous_numbers, &self.mails, &self.logins];
        let words = self.rows.at.capacity() + self.person_of.capacity() + self.by_person.capacity() + self.begins.capacity();
        self.rows.packed.capacity() + words * size_of::<u32>() + indices.iter().map(|index| index.memory_bytes()).sum::<usize>()
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

    /// The rows of a person, in the order of their files.
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
