//! How a roster file is to be read: its columns, words and encoding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::EntityId;

/// The character encoding of a roster file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RosterEncoding {
    /// UTF-8 (with or without a byte order mark) where the file is valid UTF-8, else Shift_JIS.
    #[default]
    Auto,
    /// UTF-8, with or without a byte order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// Shift_JIS as Excel writes it (Windows code page 932).
    #[serde(rename = "shift_jis")]
    ShiftJis,
}

/// Headers of the roster's columns. A column that is not set here is looked for under its default name and may be absent; one that
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
    /// Status word; default header `status`. This column must exist.
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
    /// Character encoding of the file: `auto`, `utf-8` or `shift_jis`.
    pub encoding: RosterEncoding,
    /// Field separator; one ASCII character.
    pub delimiter: char,
    /// Hours after which a roster file is too old to be acted on (`coverage.stale`; a stage that changes an account waits).
    pub max_age_hours: u32,
}

impl Default for RosterPolicy {
    fn default() -> Self {
        Self {
            columns: RosterColumns::default(),
            status: StatusWords::default(),
            employment: EmploymentWords::default(),
            entities: BTreeMap::new(),
            encoding: RosterEncoding::default(),
            delimiter: ',',
            max_age_hours: 24,
        }
    }
}
