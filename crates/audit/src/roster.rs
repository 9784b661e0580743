//! Decoding a roster file: character encoding and CSV. What its rows mean is [`untether_model::roster`].

use std::collections::BTreeMap;
use std::io::Read;

use untether_model::EntityId;
use untether_model::policy::{Entity, RosterPolicy};
use untether_model::roster::{Roster, RosterError, RosterReader};

use crate::encoding::decode;

/// Why a roster file is refused.
#[derive(Debug, thiserror::Error)]
pub enum RosterFileError {
    /// It cannot be read.
    #[error("reading the roster failed: {0}")]
    Io(#[from] std::io::Error),
    /// It is larger than what is taken.
    #[error("reading the roster: it is larger than {} MiB; is this the roster?", .0 >> 20)]
    TooLarge(u64),
    /// Its bytes are not text of the configured encoding.
    #[error("reading the roster: line {line} is not {encoding}; set roster.encoding to what the file is written in")]
    Encoding {
        /// The first line that is not.
        line: u64,
        /// The encoding that was tried.
        encoding: &'static str,
    },
    /// A quoted field does not end, or the like.
    #[error("reading the roster: it is no CSV file{}: {source}", at(*line))]
    Csv {
        /// The line, where it is known.
        line: Option<u64>,
        /// Why.
        #[source]
        source: csv::Error,
    },
    /// The separator is not one ASCII character.
    #[error("reading the roster: roster.delimiter must be one ASCII character")]
    Delimiter,
    /// What is in it is refused.
    #[error(transparent)]
    Rows(#[from] RosterError),
}

fn at(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line})"))
}

/// A roster of a million rows has about 200 MB; beyond this it is something else.
const LIMIT_BYTES: u64 = 1 << 30;

/// Reads a roster file.
pub fn read_roster(
    policy: &RosterPolicy,
    entities: &BTreeMap<EntityId, Entity>,
    file: impl Read,
) -> Result<Roster, RosterFileError> {
    let mut bytes = Vec::new();
    file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LIMIT_BYTES {
        return Err(RosterFileError::TooLarge(LIMIT_BYTES));
    }
    let text =
        decode(policy.encoding, &bytes).map_err(|bad| RosterFileError::Encoding { line: bad.line, encoding: bad.tried })?.text;
    rows(policy, entities, &text)
}

fn rows(policy: &RosterPolicy, entities: &BTreeMap<EntityId, Entity>, text: &str) -> Result<Roster, RosterFileError> {
    let delimiter = u8::try_from(policy.delimiter).ok().filter(u8::is_ascii).ok_or(RosterFileError::Delimiter)?;
    let mut records =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let refused = |source: csv::Error| RosterFileError::Csv { line: source.position().map(csv::Position::line), source };
    let mut record = csv::StringRecord::new();
    if !records.read_record(&mut record).map_err(refused)? {
        return Err(RosterError::Empty.into());
    }
    let header: Vec<&str> = record.iter().collect();
    let mut reader = RosterReader::new(policy, entities, &header)?;
    let mut record = csv::StringRecord::new();
    while records.read_record(&mut record).map_err(refused)? {
        let line = record.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = record.iter().collect();
        reader.record(line, &fields)?;
    }
    Ok(reader.finish()?)
}

#[cfg(test)]
mod tests {
    use encoding_rs::SHIFT_JIS;
    use untether_model::policy::RosterEncoding;

    use super::*;

    const TEXT: &str = "employee_number,name,status,last_day\r\n10,\"髙橋, 太郎\",active,\r\n11,山田 ～①,departed,2026-03-31\r\n";

    fn read(policy: &RosterPolicy, bytes: &[u8]) -> Result<Roster, RosterFileError> {
        read_roster(policy, &BTreeMap::new(), bytes)
    }

    fn names(roster: &Roster) -> Vec<String> {
        roster.people().flat_map(|p| roster.rows_of(p)).map(|row| row.name().unwrap().to_owned()).collect()
    }

    #[test]
    fn utf8_with_and_without_mark_and_shift_jis_as_excel_writes_it_read_alike() {
        let policy = RosterPolicy::default();
        let plain = read(&policy, TEXT.as_bytes()).unwrap();
        let marked = read(&policy, &[b"\xef\xbb\xbf", TEXT.as_bytes()].concat()).unwrap();
        let (shift_jis, _, lossy) = SHIFT_JIS.encode(TEXT);
        assert!(!lossy, "the sample is in code page 932");
        let japanese = read(&policy, &shift_jis).unwrap();
        assert_eq!(names(&plain), ["髙橋, 太郎", "山田 ～①"]);
        assert_eq!(names(&plain), names(&marked));
        assert_eq!(names(&plain), names(&japanese));
        assert_eq!((plain.digest(), plain.digest()), (marked.digest(), japanese.digest()));
    }

    #[test]
    fn bytes_that_are_not_of_the_configured_encoding_are_refused_with_their_line() {
        let policy = RosterPolicy { encoding: RosterEncoding::Utf8, ..RosterPolicy::default() };
        let (shift_jis, _, _) = SHIFT_JIS.encode(TEXT);
        let error = read(&policy, &shift_jis).unwrap_err();
        assert_eq!(
            error.to_string(),
            "reading the roster: line 2 is not UTF-8; set roster.encoding to what the file is written in"
        );
        let neither = b"employee_number,status\n10,active\n11,\xff\xff\n";
        assert!(matches!(read(&RosterPolicy::default(), neither), Err(RosterFileError::Encoding { line: 3, .. })));
    }

    #[test]
    fn lines_of_refused_rows_count_line_breaks_within_fields() {
        let text = "employee_number,name,status\n10,\"two\nlines\",active\n11,B,gone\n";
        let error = read(&RosterPolicy::default(), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("'gone' in 1 row (line 4)"), "{error}");
    }

    #[test]
    fn an_empty_file_and_a_ragged_row_are_refused() {
        assert!(matches!(read(&RosterPolicy::default(), b""), Err(RosterFileError::Rows(RosterError::Empty))));
        let ragged = "employee_number,name,status\n10,A,active,x\n";
        let error = read(&RosterPolicy::default(), ragged.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("line 2 has 4 fields"), "{error}");
    }

    #[test]
    fn another_separator_is_taken() {
        let policy = RosterPolicy { delimiter: '\t', ..RosterPolicy::default() };
        assert_eq!(read(&policy, b"employee_number\tstatus\n10\tactive\n").unwrap().row_count(), 1);
        let bad = RosterPolicy { delimiter: '、', ..RosterPolicy::default() };
        assert!(matches!(read(&bad, b""), Err(RosterFileError::Delimiter)));
    }
}
