//! How a roster file is to be read: its form, encoding, columns, words and dates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::EntityId;

/// The form of a roster file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RosterFormat {
    /// JSON Lines where the file's name ends in `.jsonl` or `.ndjson`, else CSV.
    #[default]
    Auto,
    /// Comma-separated values (RFC 4180) with a header line; another separator may be set.
    Csv,
    /// One JSON object a line; the columns are its keys.
    JsonLines,
}

/// The character encoding of a roster file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RosterEncoding {
    /// What the byte order mark says; without one UTF-8 where the whole file is valid UTF-8, else Shift_JIS.
    #[default]
    Auto,
    /// UTF-8, with or without a byte order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, as Excel writes "Unicode text"; without a byte order mark the low byte first.
    #[serde(rename = "utf-16")]
    Utf16,
    /// Shift_JIS as Excel writes it (Windows code page 932).
    #[serde(rename = "shift_jis", alias = "cp932")]
    ShiftJis,
    /// Windows code page 1252, as Excel writes CSV in western Europe. Every file is valid in it: it is never guessed.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// In which order dates with a separator are written. A date that begins with a year of four digits, and one of a Japanese era, is
/// read in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// `2027-03-31`.
    #[default]
    Ymd,
    /// `31.03.2027`, `31/03/2027`.
    Dmy,
    /// `03/31/2027`.
    Mdy,
}

/// Words that stand for a column in every row of a file. Such a column is not read from the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RosterConstants {
    /// The entity: its id, or a word of the entity column.
    pub entity: Option<String>,
    /// A word of the status column.
    pub status: Option<String>,
    /// A word of the employment column.
    pub employment: Option<String>,
}

/// Headers of the roster's columns, or keys of its JSON objects. A column that is not set here is looked for under its default name and may be absent; one that
/// is set must be there; one that is set to `""` is not read. Headers compare without case and outer blanks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RosterColumns {
    /// The person's own id, which survives transfers and rehires; default header `person_id`.
    pub person_id: Option<String>,
    /// Employee number; default header `employee_number`.
    pub number: Option<String>,
    /// Employee number before a transfer or a rehire; default header `previous_number`.
    pub previous_number: Option<String>,
    /// Name; default header `name`.
    pub name: Option<String>,
    /// Reading of the name; default header `name_kana`.
    pub name_kana: Option<String>,
    /// Mail address; default header `mail`.
    pub mail: Option<String>,
    /// Login; default header `login`.
    pub login: Option<String>,
    /// Entity; default header `entity`.
    pub entity: Option<String>,
    /// Status word; default header `status`. This column must exist, unless a constant stands for it.
    pub status: Option<String>,
    /// Kind of employment; default header `employment`.
    pub employment: Option<String>,
    /// First day; default header `start_date`.
    pub start: Option<String>,
    /// Last valid day of the employment; default header `last_day`.
    pub last_day: Option<String>,
    /// Last valid day of a contractor's contract; default header `contract_end`.
    pub contract_end: Option<String>,
    /// Employee number of the manager; default header `manager_number`.
    pub manager_number: Option<String>,
    /// Department; default header `department`.
    pub department: Option<String>,
}

/// The words of the status column. An unknown word refuses the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusWords {
    /// Words for people who work here.
    pub active: Vec<String>,
    /// Words for people on leave: active, but nobody expects them to log in.
    pub leave: Vec<String>,
    /// Words for people who are seconded elsewhere: active.
    pub seconded: Vec<String>,
    /// Words for people who have left.
    pub departed: Vec<String>,
}

impl Default for StatusWords {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect();
        Self {
            active: words(&["active"]),
            leave: words(&["leave"]),
            seconded: words(&["seconded"]),
            departed: words(&["departed"]),
        }
    }
}

/// The words of the employment column. An unknown word refuses the roster, an empty field means regular.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmploymentWords {
    /// Words for an entity's own people: the end of a contract decides nothing about them.
    pub regular: Vec<String>,
    /// Words for contractors: they end with their contract.
    pub contractor: Vec<String>,
}

impl Default for EmploymentWords {
    fn default() -> Self {
        Self { regular: vec!["regular".to_owned()], contractor: vec!["contractor".to_owned()] }
    }
}

/// How the roster is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RosterPolicy {
    /// Headers of the columns.
    pub columns: RosterColumns,
    /// Words of the status column.
    pub status: StatusWords,
    /// Words of the employment column.
    pub employment: EmploymentWords,
    /// Words of the entity column that are not themselves ids of configured entities. An unknown word refuses the roster.
    pub entities: BTreeMap<String, EntityId>,
    /// Words that stand for columns which the file does not have.
    pub constants: RosterConstants,
    /// Form of the file: `auto`, `csv` or `json-lines`.
    pub format: RosterFormat,
    /// Character encoding of the file: `auto`, `utf-8`, `utf-16`, `shift_jis` or `windows-1252`.
    pub encoding: RosterEncoding,
    /// Field separator of a CSV file; one ASCII character.
    pub delimiter: char,
    /// Order of dates: `ymd`, `dmy` or `mdy`.
    pub dates: DateOrder,
    /// Words of a date column that say "no date", as an empty field does (`9999-12-31`, `-`).
    pub no_date: Vec<String>,
    /// Hours after which a roster file is too old to be acted on (`coverage.stale`; a stage that changes an account waits).
    pub max_age_hours: u32,
    /// Megabytes (10^6 bytes) that a roster file may have: everybody in it is held in memory, so what is longer is refused unread.
    pub max_megabytes: u32,
}

impl Default for RosterPolicy {
    fn default() -> Self {
        Self {
            columns: RosterColumns::default(),
            status: StatusWords::default(),
            employment: EmploymentWords::default(),
            entities: BTreeMap::new(),
            constants: RosterConstants::default(),
            format: RosterFormat::default(),
            encoding: RosterEncoding::default(),
            delimiter: ',',
            dates: DateOrder::default(),
            no_date: Vec::new(),
            max_age_hours: 24,
            max_megabytes: 500,
        }
    }
}
