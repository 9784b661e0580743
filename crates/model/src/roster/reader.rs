//! From fields to rows: header, words, dates.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::error::{DateProblem, RosterError, WordProblem};
use super::table::Rows;
use super::{Roster, Row, Status};
use crate::digest::Hasher;
use crate::policy::{Entity, RosterColumns, RosterPolicy};
use crate::{EntityId, keys};

/// Impossible dates that are kept for the error.
const DATES_KEPT: usize = 20;
/// Lines that are kept for each unknown word.
const LINES_KEPT: usize = 5;

/// A column's place and header.
#[derive(Clone, Debug)]
struct Column {
    at: usize,
    header: String,
}

impl Column {
    fn of<'a>(column: Option<&Self>, fields: &[&'a str]) -> &'a str {
        column.and_then(|c| fields.get(c.at)).map_or("", |field| field.trim())
    }
}

#[derive(Debug)]
struct Columns {
    person_id: Option<Column>,
    number: Option<Column>,
    previous_number: Option<Column>,
    name: Option<Column>,
    name_kana: Option<Column>,
    mail: Option<Column>,
    login: Option<Column>,
    entity: Option<Column>,
    status: Option<Column>,
    employment: Option<Column>,
    start: Option<Column>,
    last_day: Option<Column>,
    contract_end: Option<Column>,
    manager_number: Option<Column>,
    department: Option<Column>,
}

impl Columns {
    fn find(policy: &RosterColumns, header: &[&str]) -> Result<Self, RosterError> {
        let mut missing = Vec::new();
        let mut double = None;
        let mut column = |configured: &Option<String>, default: &str, required: bool| -> Option<Column> {
            let wanted = configured.as_deref().unwrap_or(default);
            if wanted.is_empty() {
                return None;
            }
            let key = keys::fold(wanted);
            let mut places = header.iter().enumerate().filter(|(_, h)| keys::fold(h) == key).map(|(at, _)| at);
            let Some(at) = places.next() else {
                if required || configured.is_some() {
                    missing.push(wanted.to_owned());
                }
                return None;
            };
            if places.next().is_some() {
                double.get_or_insert_with(|| wanted.to_owned());
            }
            Some(Column { at, header: wanted.to_owned() })
        };
        let columns = Self {
            person_id: column(&policy.person_id, "person_id", false),
            number: column(&policy.number, "employee_number", false),
            previous_number: column(&policy.previous_number, "previous_number", false),
            name: column(&policy.name, "name", false),
            name_kana: column(&policy.name_kana, "name_kana", false),
            mail: column(&policy.mail, "mail", false),
            login: column(&policy.login, "login", false),
            entity: column(&policy.entity, "entity", false),
            status: column(&policy.status, "status", true),
            employment: column(&policy.employment, "employment", false),
            start: column(&policy.start, "start_date", false),
            last_day: column(&policy.last_day, "last_day", false),
            contract_end: column(&policy.contract_end, "contract_end", false),
            manager_number: column(&policy.manager_number, "manager_number", false),
            department: column(&policy.department, "department", false),
        };
        let identifying = [&columns.person_id, &columns.number, &columns.mail, &columns.login];
        if missing.is_empty() && identifying.iter().all(|c| c.is_none()) {
            // Without any of these no row could ever be matched to an account.
            missing.push("employee_number".to_owned());
        }
        if columns.status.is_none() && missing.is_empty() {
            missing.push("status".to_owned());
        }
        match double {
            _ if !missing.is_empty() => {
                let header = header.iter().map(|h| (*h).to_owned()).collect();
                Err(RosterError::MissingColumns { missing, header })
            }
            Some(name) => Err(RosterError::DoubleColumn(name)),
            None => Ok(columns),
        }
    }
}

/// The words of a column, by their comparable form.
#[derive(Clone, Debug)]
struct Words<T>(BTreeMap<String, T>);

impl<T: Clone> Words<T> {
    fn new(words: impl IntoIterator<Item = (String, T)>) -> Self {
        Self(words.into_iter().map(|(word, meaning)| (keys::fold(&word), meaning)).collect())
    }

    fn get(&self, word: &str) -> Option<T> {
        self.0.get(word).or_else(|| self.0.get(&keys::fold(word))).cloned()
    }
}

/// Reads rows that somebody else decoded and split into fields, and refuses the whole roster with everything that is wrong with it.
pub struct RosterReader {
    columns: Arc<Columns>,
    fields: usize,
    status: Words<Status>,
    contractor: Words<bool>,
    entities: Words<EntityId>,
    rows: Rows,
    digest: Hasher,
    words: BTreeMap<(String, String), (u64, Vec<u64>)>,
    dates: Vec<DateProblem>,
    more_dates: u64,
}

impl RosterReader {
    /// A reader for a file with this header.
    pub fn new(policy: &RosterPolicy, entities: &BTreeMap<EntityId, Entity>, header: &[&str]) -> Result<Self, RosterError> {
        let columns = Columns::find(&policy.columns, header)?;
        let meaning = |words: &[String], status: Status| words.iter().map(|w| (w.clone(), status)).collect::<Vec<_>>();
        let kind = |words: &[String], contractor: bool| words.iter().map(|w| (w.clone(), contractor)).collect::<Vec<_>>();
        let status = [
            meaning(&policy.status.active, Status::Active),
            meaning(&policy.status.leave, Status::Leave),
            meaning(&policy.status.seconded, Status::Seconded),
            meaning(&policy.status.departed, Status::Departed),
        ];
        let employment = [kind(&policy.employment.regular, false), kind(&policy.employment.contractor, true)];
        let ids = entities.keys().map(|id| (id.as_str().to_owned(), id.clone()));
        let named = policy.entities.iter().map(|(word, id)| (word.clone(), id.clone()));
        let mut reader = Self {
            columns: Arc::new(columns),
            fields: header.len(),
            status: Words::new(status.into_iter().flatten()),
            contractor: Words::new(employment.into_iter().flatten()),
            entities: Words::new(ids.chain(named)),
            rows: Rows::default(),
            digest: Hasher::new(),
            words: BTreeMap::new(),
            dates: Vec::new(),
            more_dates: 0,
        };
        reader.digested(header);
        Ok(reader)
    }

    fn digested(&mut self, fields: &[&str]) {
        // Each field with its length, so that no two different rows are digested alike.
        for field in fields {
            self.digest.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.digest.update(field.as_bytes());
        }
        self.digest.update(&u64::MAX.to_be_bytes());
    }

    /// Takes one record. A record all of whose fields are empty is no row.
    pub fn record(&mut self, line: u64, fields: &[&str]) -> Result<(), RosterError> {
        if fields.iter().all(|f| f.trim().is_empty()) {
            return Ok(());
        }
        if fields.len() != self.fields {
            return Err(RosterError::Ragged { line, fields: fields.len(), expected: self.fields });
        }
        self.digested(fields);
        let row = self.row(line, fields);
        // Once something is refused nothing is kept; reading goes on to tell everything at once.
        match row {
            Some(row) if self.words.is_empty() && self.dates.is_empty() => self.rows.push(&row),
            _ => Ok(()),
        }
    }

    fn row(&mut self, line: u64, fields: &[&str]) -> Option<Row> {
        let columns = Arc::clone(&self.columns);
        let text = |column: &Option<Column>| {
            let field = Column::of(column.as_ref(), fields);
            (!field.is_empty()).then(|| field.to_owned())
        };
        let status_word = Column::of(columns.status.as_ref(), fields);
        let status = self.status.get(status_word);
        if status.is_none() {
            self.unknown(columns.status.as_ref(), status_word, line);
        }
        let employment_word = Column::of(columns.employment.as_ref(), fields);
        let contractor = if employment_word.is_empty() { Some(false) } else { self.contractor.get(employment_word) };
        if contractor.is_none() {
            self.unknown(columns.employment.as_ref(), employment_word, line);
        }
        let entity_word = Column::of(columns.entity.as_ref(), fields);
        let entity = self.entities.get(entity_word);
        if entity.is_none() && !entity_word.is_empty() {
            self.unknown(columns.entity.as_ref(), entity_word, line);
        }
        let start = self.date(columns.start.as_ref(), fields, line);
        let last_day = self.date(columns.last_day.as_ref(), fields, line);
        let contract_end = self.date(columns.contract_end.as_ref(), fields, line);
        Some(Row {
            line,
            person_id: text(&columns.person_id),
            entity,
            number: text(&columns.number),
            previous_number: text(&columns.previous_number),
            name: text(&columns.name),
            name_kana: text(&columns.name_kana),
            mail: text(&columns.mail),
            login: text(&columns.login),
            manager_number: text(&columns.manager_number),
            department: text(&columns.department),
            status: status?,
            contractor: contractor?,
            start,
            last_day,
            contract_end,
        })
    }

    fn unknown(&mut self, column: Option<&Column>, word: &str, line: u64) {
        let header = column.map_or_else(String::new, |c| c.header.clone());
        let (count, lines) = self.words.entry((header, word.to_owned())).or_default();
        *count += 1;
        if lines.len() < LINES_KEPT {
            lines.push(line);
        }
    }

    fn date(&mut self, column: Option<&Column>, fields: &[&str], line: u64) -> Option<Date> {
        let field = Column::of(column, fields);
        if field.is_empty() {
            return None;
        }
        let date = read_date(field);
        if date.is_none() {
            if self.dates.len() < DATES_KEPT {
                let column = column.map_or_else(String::new, |c| c.header.clone());
                self.dates.push(DateProblem { line, column, value: field.to_owned() });
            } else {
                self.more_dates += 1;
            }
        }
        date
    }

    /// The roster, if nothing in it was refused.
    pub fn finish(self) -> Result<Roster, RosterError> {
        if !self.words.is_empty() || !self.dates.is_empty() {
            let words = self
                .words
                .into_iter()
                .map(|((column, word), (count, lines))| WordProblem { column, word, count, lines })
                .collect();
            return Err(RosterError::Refused { words, dates: self.dates, more_dates: self.more_dates });
        }
        Roster::new(self.rows, self.digest.finish())
    }
}

/// A date as people's systems write it: `2026-03-31`, `2026/3/31`, `20260331`, `2026年3月31日`. `None` if there is no such day.
fn read_date(field: &str) -> Option<Date> {
    let folded = keys::fold(field);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = if folded.len() == 8 && all_digits(&folded) {
        vec![folded.get(0..4)?, folded.get(4..6)?, folded.get(6..8)?]
    } else if let Some(japanese) = folded.strip_suffix('日') {
        let (year, rest) = japanese.split_once('年')?;
        let (month, day) = rest.split_once('月')?;
        vec![year, month, day]
    } else {
        let separator = if folded.contains('/') { '/' } else { '-' };
        folded.split(separator).collect()
    };
    let [year, month, day] = parts.as_slice() else { return None };
    let valid = year.len() == 4 && all_digits(year) && all_digits(month) && all_digits(day) && month.len() <= 2 && day.len() <= 2;
    if !valid {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}
