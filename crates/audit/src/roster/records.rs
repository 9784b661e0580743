//! The configured files one after the other: opened, decoded, split into records, and handed to the reader of rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};

use jiff::Timestamp;
use untether_model::EntityId;
use untether_model::policy::{Entity, RosterFormat, RosterPolicy};
use untether_model::roster::{Problem, ProblemKind, Roster, RosterError, RosterFile, RosterReader, Seen};
use untether_model::snapshot::RosterFileRead;

use super::file::{Opened, RosterSource, age_problem};
use super::json_lines::{Failed, Keys, Lines};
use super::quotes::{BadQuotes, Quotes};
use crate::encoding::{Decoding, NoText, choose};

/// What was read of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// As people know it.
    pub name: String,
    /// Its encoding, as people know it.
    pub encoding: &'static str,
    /// When it was last written, as its file system says.
    pub written_at: Option<Timestamp>,
    /// How it was read.
    pub policy: RosterPolicy,
    /// Its records.
    pub records: u64,
}

impl FileRead {
    /// Why its age does not let anybody rely on it; `None`: it does, or nothing is known of its age.
    pub fn age_problem(&self, now: Timestamp) -> Option<Problem> {
        age_problem(&self.name, self.written_at, self.policy.max_age_hours, now)
    }

    /// As a snapshot records it.
    pub(crate) fn to_header(&self) -> RosterFileRead {
        RosterFileRead { name: self.name.clone(), records: self.records, written_at: self.written_at }
    }
}

/// A roster with its files.
#[derive(Clone, Debug)]
pub struct RosterRead {
    /// The people.
    pub roster: Roster,
    /// Its files, as they were configured.
    pub files: Vec<FileRead>,
}

/// Reads all files as one roster.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn read_roster(sources: &[RosterSource<'_>], entities: &BTreeMap<EntityId, Entity>) -> Result<RosterRead, RosterError> {
    let mut reader = RosterReader::new();
    let files = read_files(sources, entities, &mut reader)?;
    Ok(RosterRead { roster: reader.finish()?, files })
}

/// Reads bytes as a roster of one file, as [`read_roster`] does what is under its path: for whoever holds them.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read_roster_bytes(
    source: &RosterSource<'_>,
    entities: &BTreeMap<EntityId, Entity>,
    bytes: &[u8],
) -> Result<RosterRead, RosterError> {
    let mut reader = RosterReader::new();
    reader.announce(source.name)?;
    let mut files = Vec::new();
    match Reading::new(source, io::Cursor::new(bytes), None) {
        Ok(mut reading) => {
            match reading.records((source, entities), &mut reader)? {
                Ok(()) => reader.end(),
                Err(problem) => reader.refuse(problem),
            }
            files.push(reading.read);
        }
        Err(problem) => reader.refuse(problem),
    }
    Ok(RosterRead { roster: reader.finish()?, files })
}

/// Hands the records of all files to the reader, which gathers what is wrong with them.
pub(super) fn read_files(
    sources: &[RosterSource<'_>],
    entities: &BTreeMap<EntityId, Entity>,
    reader: &mut RosterReader<'_>,
) -> Result<Vec<FileRead>, RosterError> {
    let mut files = Vec::new();
    for source in sources {
        reader.announce(source.name)?;
        match open(source) {
            Ok((opened, mut reading)) => {
                let ended = reading.records((source, entities), reader)?;
                match ended.and_then(|()| opened.unchanged(source)) {
                    Ok(()) => reader.end(),
                    Err(problem) => reader.refuse(problem),
                }
                files.push(reading.read);
            }
            Err(problem) => reader.refuse(problem),
        }
    }
    Ok(files)
}

fn open(source: &RosterSource<'_>) -> Result<(Opened, Reading<File>), Problem> {
    let opened = Opened::open(source)?;
    let file = opened.file.try_clone().map_err(|error| trouble(source.name, &error))?;
    let reading = Reading::new(source, file, Some(&opened))?;
    Ok((opened, reading))
}

/// One file that is being read.
struct Reading<R> {
    text: Decoding<io::Take<R>>,
    read: FileRead,
}

/// Why the records of a file end early: a problem of the file, or more than can be held at all.
type Ended = Result<Result<(), Problem>, RosterError>;

impl<R: Read + Seek> Reading<R> {
    fn new(source: &RosterSource<'_>, mut below: R, opened: Option<&Opened>) -> Result<Self, Problem> {
        let chosen = choose(&mut below, source.policy.encoding).map_err(|no| no_text(source.name, &no))?;
        // Not beyond the length that it had: somebody who goes on writing must not keep us.
        let below = below.take(opened.map_or(u64::MAX, Opened::length));
        let read = FileRead {
            name: source.name.to_owned(),
            encoding: chosen.name(),
            written_at: opened.and_then(Opened::written_at),
            policy: source.policy.clone(),
            records: 0,
        };
        Ok(Self { text: Decoding::new(below, chosen).map_err(|error| trouble(source.name, &error))?, read })
    }

    fn records(
        &mut self,
        (source, entities): (&RosterSource<'_>, &BTreeMap<EntityId, Entity>),
        reader: &mut RosterReader<'_>,
    ) -> Ended {
        let file = RosterFile { name: source.name, policy: source.policy, entities };
        match is_json(source) {
            true => self.json(&file, reader),
            false => self.csv(&file, reader),
        }
    }

    fn csv(&mut self, file: &RosterFile<'_>, reader: &mut RosterReader<'_>) -> Ended {
        let name = file.name;
        let Some(delimiter) = u8::try_from(file.policy.delimiter).ok().filter(u8::is_ascii) else {
            return Ok(Err(Problem::of_file(
                ProblemKind::Separator,
                name,
                "the configured separator is not one ASCII character",
            )));
        };
        let mut text = Quotes::new(&mut self.text, delimiter);
        let mut records = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(&mut text);
        let mut record = csv::StringRecord::new();
        let refused = |error: csv::Error| match error.into_kind() {
            csv::ErrorKind::Io(error) => trouble(name, &error),
            other => Problem::of_file(ProblemKind::Quote, name, format!("it is no CSV file: {other:?}")),
        };
        match records.read_record(&mut record).map_err(refused) {
            Err(problem) => return Ok(Err(problem)),
            Ok(false) => return Ok(Err(Problem { about: None, ..Problem::of_file(ProblemKind::Empty, name, "") })),
            Ok(true) => {}
        }
        let header: Vec<&str> = record.iter().collect();
        if let Some(problem) = other_separator(name, file.policy, &header) {
            return Ok(Err(problem));
        }
        if !reader.begin(file, &header)? {
            return Ok(Ok(()));
        }
        let mut record = csv::StringRecord::new();
        loop {
            match records.read_record(&mut record).map_err(refused) {
                Err(problem) => return Ok(Err(problem)),
                Ok(false) => break,
                Ok(true) => {}
            }
            self.read.records += 1;
            let line = record.position().map_or(0, csv::Position::line);
            let fields: Vec<&str> = record.iter().collect();
            reader.record(line, &fields)?;
        }
        drop(records);
        if text.ends_within_a_line() {
            reader.note(cut_off(name));
        }
        Ok(Ok(()))
    }

    fn json(&mut self, file: &RosterFile<'_>, reader: &mut RosterReader<'_>) -> Ended {
        let name = file.name;
        let mut keys = Keys::of(file.policy);
        let names = keys.names.clone();
        let header: Vec<&str> = names.iter().map(String::as_str).collect();
        if !reader.begin(file, &header)? {
            return Ok(Ok(()));
        }
        let mut lines = Lines::new(&mut self.text);
        let mut fields = Vec::new();
        loop {
            match lines.next(&mut keys, &mut fields) {
                Ok(None) => break,
                Ok(Some(line)) => {
                    self.read.records += 1;
                    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                    reader.record(line, &fields)?;
                }
                Err(Failed::Below(error)) => return Ok(Err(trouble(name, &error))),
                Err(Failed::Line(broken)) => {
                    return Ok(Err(in_line(ProblemKind::BrokenLine, name, (broken.line, broken.to_string()))));
                }
            }
        }
        if self.read.records > 0 {
            for missing in keys.missing(file.policy) {
                let about = Some("no object has this key".to_owned());
                let column = Some(missing.to_owned());
                reader.note(Problem { column, about, ..Problem::of_file(ProblemKind::MissingColumn, name, "") });
            }
        }
        if lines.ends_within_a_line() {
            reader.note(cut_off(name));
        }
        Ok(Ok(()))
    }
}

fn is_json(source: &RosterSource<'_>) -> bool {
    match source.policy.format {
        RosterFormat::Csv => false,
        RosterFormat::JsonLines => true,
        RosterFormat::Auto => {
            let extension = source.path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
            matches!(extension.as_deref(), Some("jsonl" | "ndjson"))
        }
    }
}

/// Excel in other languages separates by semicolons, its "Unicode text" by tabs.
fn other_separator(name: &str, policy: &RosterPolicy, header: &[&str]) -> Option<Problem> {
    let [only] = header else { return None };
    let found = [('\t', "tabs", "\\t"), (';', "semicolons", ";"), (',', "commas", ","), ('|', "bars", "|")]
        .into_iter()
        .find(|(separator, _, _)| *separator != policy.delimiter && only.contains(*separator))?;
    let words = format!("its header is one column, which holds {}: delimiter = \"{}\"?", found.1, found.2);
    Some(in_line(ProblemKind::Separator, name, (1, words)))
}

fn cut_off(name: &str) -> Problem {
    Problem::of_file(ProblemKind::CutOff, name, "its last line has no line break, as the others have")
}

fn in_line(kind: ProblemKind, name: &str, (line, words): (u64, String)) -> Problem {
    Problem { seen: vec![Seen { line, value: None }], ..Problem::of_file(kind, name, words) }
}

/// Bytes that are not taken as text.
fn no_text(name: &str, no: &NoText) -> Problem {
    let (kind, lines) = match no {
        NoText::Io(_) | NoText::Other(_) => (ProblemKind::Unreadable, Vec::new()),
        NoText::Zeros | NoText::Mark(_) => (ProblemKind::Encoding, Vec::new()),
        NoText::Mixed { utf8, other } => (ProblemKind::MixedEncodings, vec![*utf8, *other]),
        NoText::Line { line, .. } | NoText::Neither { line, .. } => (ProblemKind::Encoding, vec![*line]),
    };
    let seen = lines.into_iter().map(|line| Seen { line, value: None }).collect();
    Problem { seen, ..Problem::of_file(kind, name, no.to_string()) }
}

/// What stopped the reading: text that is none, quotes, or the system.
fn trouble(name: &str, error: &io::Error) -> Problem {
    let inner = error.get_ref();
    if let Some(no) = inner.and_then(|e| e.downcast_ref::<NoText>()) {
        return no_text(name, no);
    }
    if let Some(quotes) = inner.and_then(|e| e.downcast_ref::<BadQuotes>()) {
        return in_line(ProblemKind::Quote, name, (quotes.line(), quotes.to_string()));
    }
    Problem::of_file(ProblemKind::Unreadable, name, format!("it cannot be read: {error}"))
}
