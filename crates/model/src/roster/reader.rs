//! From fields to rows: header, words, dates, file by file.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::columns::Columns;
use super::dates::{ReadDate, read_date};
use super::error::RosterError;
use super::problem::{Problem, ProblemKind, Problems, Weight};
use super::rows::Rows;
use super::{Roster, RosterColumn, Row, Status};
use crate::digest::Hasher;
use crate::policy::{Entity, RosterPolicy};
use crate::{EntityId, keys};

/// Last days of this year and before it stand for something else: nobody of a present roster ended then.
const SENTINEL_YEAR: i16 = 1900;

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

/// How the present file is read.
struct File {
    number: u16,
    name: String,
    policy: RosterPolicy,
    columns: Columns,
    fields: usize,
    status: Words<Status>,
    contractor: Words<bool>,
    entities: Words<EntityId>,
    no_date: Words<()>,
    rows: u64,
}

impl File {
    fn new(of: &RosterFile<'_>, number: u16, columns: Columns, fields: usize) -> Self {
        let policy = of.policy;
        let meaning = |words: &[String], status: Status| words.iter().map(|w| (w.clone(), status)).collect::<Vec<_>>();
        let kind = |words: &[String], contractor: bool| words.iter().map(|w| (w.clone(), contractor)).collect::<Vec<_>>();
        let status = [
            meaning(&policy.status.active, Status::Active),
            meaning(&policy.status.leave, Status::Leave),
            meaning(&policy.status.seconded, Status::Seconded),
            meaning(&policy.status.departed, Status::Departed),
        ];
        let employment = [kind(&policy.employment.regular, false), kind(&policy.employment.contractor, true)];
        let ids = of.entities.keys().map(|id| (id.as_str().to_owned(), id.clone()));
        let named = policy.entities.iter().map(|(word, id)| (word.clone(), id.clone()));
        Self {
            number,
            name: of.name.to_owned(),
            policy: policy.clone(),
            columns,
            fields,
            status: Words::new(status.into_iter().flatten()),
            contractor: Words::new(employment.into_iter().flatten()),
            entities: Words::new(ids.chain(named)),
            no_date: Words::new(policy.no_date.iter().map(|word| (word.clone(), ()))),
            rows: 0,
        }
    }

    /// Constants that are no words of their columns.
    fn unknown_constants(&self) -> Vec<Problem> {
        let constant = |column: RosterColumn, kind: ProblemKind, is_known: &dyn Fn(&str) -> bool| {
            let word = column.constant(&self.policy).filter(|word| !is_known(word.trim()))?;
            Some(Problem::of_file(kind, &self.name, word))
        };
        [
            constant(RosterColumn::Status, ProblemKind::UnknownStatus, &|word| self.status.get(word).is_some()),
            constant(RosterColumn::Employment, ProblemKind::UnknownEmployment, &|word| self.contractor.get(word).is_some()),
            constant(RosterColumn::Entity, ProblemKind::UnknownEntity, &|word| self.entities.get(word).is_some()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn word<'a>(&'a self, column: RosterColumn, fields: &[&'a str]) -> &'a str {
        column.constant(&self.policy).unwrap_or_else(|| self.columns.field(column, fields)).trim()
    }
}

/// A file that is about to be read.
#[derive(Clone, Copy)]
pub struct RosterFile<'a> {
    /// As the configuration names it.
    pub name: &'a str,
    /// How it is read.
    pub policy: &'a RosterPolicy,
    /// The configured entities.
    pub entities: &'a BTreeMap<EntityId, Entity>,
}

/// One record as it was read, for whoever looks for oddities.
pub struct SeenRecord<'a> {
    file: &'a File,
    fields: &'a [&'a str],
    /// Where it stands.
    pub line: u64,
    /// What was understood of it; `None` where a word was not.
    pub row: Option<&'a Row>,
    /// Columns whose date was counted on in an era that had ended.
    pub outlived_eras: &'a [RosterColumn],
}

impl<'a> SeenRecord<'a> {
    /// The file's name.
    pub fn file(&self) -> &'a str {
        &self.file.name
    }

    /// A column's field, as it stands there.
    pub fn field(&self, column: RosterColumn) -> &'a str {
        self.file.columns.field(column, self.fields)
    }

    /// A column's header.
    pub fn header(&self, column: RosterColumn) -> &'a str {
        self.file.columns.header(column)
    }
}

/// Is shown each record of a roster before it is known whether the roster is refused.
pub trait Watch {
    /// One record.
    fn record(&mut self, seen: &SeenRecord<'_>, problems: &mut Problems);
}

/// Reads rows that somebody else decoded and split into fields, and refuses the whole roster with everything that is wrong with it.
#[derive(Default)]
pub struct RosterReader<'w> {
    rows: Rows,
    file: Option<File>,
    digest: Hasher,
    problems: Problems,
    watch: Option<&'w mut dyn Watch>,
}

impl<'w> RosterReader<'w> {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with somebody who is shown each record. What can be understood is kept although something else is refused.
    pub fn watched(watch: &'w mut dyn Watch) -> Self {
        Self { watch: Some(watch), ..Self::default() }
    }

    /// Begins the next file. `false`: its header is refused, and its records cannot be read.
    ///
    /// # Errors
    /// More files than can be numbered.
    pub fn begin(&mut self, file: &RosterFile<'_>, header: &[&str]) -> Result<bool, RosterError> {
        self.announce(file.name)?;
        let number = u16::try_from(self.rows.files().len().saturating_sub(1)).map_err(|_| RosterError::TooLarge)?;
        let begun = Columns::find(file.policy, file.name, header).and_then(|columns| {
            let begun = File::new(file, number, columns, header.len());
            let unknown = begun.unknown_constants();
            if unknown.is_empty() { Ok(begun) } else { Err(unknown) }
        });
        match begun {
            Ok(begun) => {
                self.digested(header);
                self.file = Some(begun);
                Ok(true)
            }
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.problems.push(problem));
                Ok(false)
            }
        }
    }

    /// The next file takes its place in their order, whether or not it can be read.
    ///
    /// # Errors
    /// More files than can be numbered.
    pub fn announce(&mut self, name: &str) -> Result<(), RosterError> {
        if self.rows.files().last().is_none_or(|last| last != name) { self.rows.begin(name) } else { Ok(()) }
    }

    /// The present file ends here.
    pub fn end(&mut self) {
        if let Some(file) = self.file.take().filter(|file| file.rows == 0) {
            self.problems.push(Problem { about: None, ..Problem::of_file(ProblemKind::Empty, &file.name, "") });
        }
    }

    /// The present file cannot be read to its end.
    pub fn refuse(&mut self, problem: Problem) {
        self.file = None;
        self.problems.push(problem);
    }

    /// Something odd that whoever decodes the files has seen.
    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn digested(&mut self, fields: &[&str]) {
        // Each field with its length, so that no two different rows are digested alike.
        for field in fields {
            self.digest.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.digest.update(field.as_bytes());
        }
        self.digest.update(&u64::MAX.to_be_bytes());
    }

    /// Takes one record of the present file. A record all of whose fields are empty is no row.
    ///
    /// # Errors
    /// More text or rows than can be held. What is wrong with the record is told by [`RosterReader::finish`].
    pub fn record(&mut self, line: u64, fields: &[&str]) -> Result<(), RosterError> {
        if fields.iter().all(|f| f.trim().is_empty()) {
            return Ok(());
        }
        self.digested(fields);
        let Some(file) = &mut self.file else { return Ok(()) };
        file.rows += 1;
        if fields.len() != file.fields {
            let (about, found) = (format!("the header has {} fields", file.fields), fields.len().to_string());
            self.problems.add((ProblemKind::Ragged, &file.name), None, Some(&about), (line, Some(&found)));
            return Ok(());
        }
        let (row, outlived) = understand(file, &mut self.problems, line, fields);
        if let Some(watch) = &mut self.watch {
            let seen = SeenRecord { file, fields, line, row: row.as_ref(), outlived_eras: &outlived };
            watch.record(&seen, &mut self.problems);
        }
        // Once something is refused only whoever looks for oddities keeps the rest.
        match row {
            Some(row) if self.watch.is_some() || !self.problems.refuse() => self.rows.push(&row),
            _ => Ok(()),
        }
    }

    /// The roster, if nothing in it was refused.
    ///
    /// # Errors
    /// Everything that was.
    pub fn finish(self) -> Result<Roster, RosterError> {
        let (roster, problems) = self.finish_watched();
        match roster {
            Some(roster) if problems.iter().all(|p| p.kind.weight() != Weight::Refused) => Ok(roster),
            _ => Err(RosterError::Refused(problems)),
        }
    }

    /// What could be read, and everything that is wrong or odd. No roster: there is no row at all.
    pub fn finish_watched(mut self) -> (Option<Roster>, Vec<Problem>) {
        self.end();
        if self.rows.files().is_empty() {
            self.problems.push(Problem::of_file(ProblemKind::Empty, "", ""));
        }
        let problems = self.problems.into_list(self.rows.files());
        (Roster::new(self.rows, self.digest.finish()), problems)
    }
}

/// A record's row, and the columns whose date was counted on in an era that had ended.
fn understand(file: &File, problems: &mut Problems, line: u64, fields: &[&str]) -> (Option<Row>, Vec<RosterColumn>) {
    use RosterColumn as C;
    let text = |column: C| {
        let field = file.columns.field(column, fields).trim();
        (!field.is_empty()).then(|| field.to_owned())
    };
    let mut unknown = |kind: ProblemKind, column: C, word: &str| {
        problems.add((kind, &file.name), Some(file.columns.header(column)), Some(word), (line, None));
    };
    let status_word = file.word(C::Status, fields);
    let status = file.status.get(status_word);
    if status.is_none() {
        unknown(ProblemKind::UnknownStatus, C::Status, status_word);
    }
    let employment_word = file.word(C::Employment, fields);
    let contractor = if employment_word.is_empty() { Some(false) } else { file.contractor.get(employment_word) };
    if contractor.is_none() {
        unknown(ProblemKind::UnknownEmployment, C::Employment, employment_word);
    }
    let entity_word = file.word(C::Entity, fields);
    let entity = file.entities.get(entity_word);
    if entity.is_none() && !entity_word.is_empty() {
        unknown(ProblemKind::UnknownEntity, C::Entity, entity_word);
    }
    let mut outlived = Vec::new();
    let mut date = |column: C| -> Option<Date> {
        let field = file.columns.field(column, fields).trim();
        if field.is_empty() || file.no_date.get(field).is_some() {
            return None;
        }
        let mut refuse = |kind| {
            problems.add((kind, &file.name), Some(file.columns.header(column)), None, (line, Some(field)));
            None
        };
        match read_date(field, file.policy.dates) {
            None => refuse(ProblemKind::ImpossibleDate),
            Some(ReadDate { date, .. }) if column != C::Start && date.year() <= SENTINEL_YEAR => refuse(ProblemKind::SentinelEnd),
            Some(ReadDate { date, outlived_era }) => {
                outlived.extend(outlived_era.then_some(column));
                Some(date)
            }
        }
    };
    let (start, last_day, contract_end) = (date(C::Start), date(C::LastDay), date(C::ContractEnd));
    let (Some(status), Some(contractor)) = (status, contractor) else { return (None, outlived) };
    let row = Row {
        file: file.number,
        line,
        person_id: text(C::PersonId),
        entity,
        number: text(C::Number),
        previous_number: text(C::PreviousNumber),
        name: text(C::Name),
        name_kana: text(C::NameKana),
        mail: text(C::Mail),
        login: text(C::Login),
        manager_number: text(C::ManagerNumber),
        department: text(C::Department),
        status,
        contractor,
        start,
        last_day,
        contract_end,
    };
    (Some(row), outlived)
}
