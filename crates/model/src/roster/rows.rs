//! The rows of a roster, each one packed record: its fixed fields and its texts, one after the other, in one long text.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{RosterError, Row, Status};
use crate::EntityId;

/// A row of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowIx(pub(super) u32);

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

/// Bits of the number with which a packed record begins: the status in the lowest two.
mod flag {
    pub(super) const STATUS: u8 = 0b11;
    pub(super) const CONTRACTOR: u8 = 1 << 2;
    pub(super) const ENTITY: u8 = 1 << 3;
    pub(super) const DEPARTMENT: u8 = 1 << 4;
    pub(super) const START: u8 = 1 << 5;
    pub(super) const LAST_DAY: u8 = 1 << 6;
    pub(super) const CONTRACT_END: u8 = 1 << 7;
}

/// A number in as many characters of ASCII as it needs: six bits each, the lowest first.
fn put_number(out: &mut String, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x3f).unwrap_or_default();
        number >>= 6;
        if number == 0 {
            return out.push(char::from(low));
        }
        out.push(char::from(low | MORE));
    }
}

/// More of a number follows.
const MORE: u8 = 0x40;

/// What is left of a packed record.
struct Packed<'a>(&'a str);

impl<'a> Packed<'a> {
    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0u64, 0u32);
        for (at, byte) in self.0.bytes().enumerate() {
            number |= u64::from(byte & (MORE - 1)).checked_shl(shift).unwrap_or_default();
            shift += 6;
            if byte & MORE == 0 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return number;
            }
        }
        0
    }

    fn date(&mut self) -> Option<Date> {
        let (year, month, day) = (self.number(), self.number(), self.number());
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    }

    fn text(&mut self) -> &'a str {
        let length = usize::try_from(self.number()).unwrap_or(usize::MAX);
        let Some((text, rest)) = self.0.split_at_checked(length) else { return "" };
        self.0 = rest;
        text
    }
}

/// Rows in the order of their files.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    packed: String,
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

    /// Bytes that it takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.packed.capacity() + self.at.capacity() * size_of::<u32>()
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
        let (flags, file, line) = (packed.number(), packed.number(), packed.number());
        let flags = u8::try_from(flags).unwrap_or_default();
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
        put_number(out, u64::from(flags));
        put_number(out, u64::from(row.file));
        put_number(out, row.line);
        for number in [entity.and_then(|e| u64::try_from(e).ok()), department.map(u64::from)].into_iter().flatten() {
            put_number(out, number);
        }
        for date in [row.start, row.last_day, row.contract_end].into_iter().flatten() {
            put_number(out, u64::try_from(date.year()).unwrap_or_default());
            [date.month(), date.day()].iter().for_each(|part| put_number(out, u64::from(part.unsigned_abs())));
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
            out.push_str(text);
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

    pub(super) fn shrink(&mut self) {
        self.packed.shrink_to_fit();
        self.at.shrink_to_fit();
        self.departments = BTreeMap::new();
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    rows: &'a Rows,
    texts: &'a str,
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
