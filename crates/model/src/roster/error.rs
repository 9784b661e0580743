//! Why a roster is refused: everything that is wrong with it at once, by line.

use std::fmt;

/// Lines that are named one by one; beyond that there is a count.
const NAMED: usize = 5;

/// A word that the configuration does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordProblem {
    /// The column's header.
    pub column: String,
    /// The word as it stands there.
    pub word: String,
    /// How many rows have it.
    pub count: u64,
    /// The first lines that have it.
    pub lines: Vec<u64>,
}

/// A date that does not exist or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateProblem {
    /// The line.
    pub line: u64,
    /// The column's header.
    pub column: String,
    /// What stands there.
    pub value: String,
}

/// Why a roster is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// Columns are not there.
    #[error(
        "reading the roster: no column {}; its header is: {}. Name the columns in the configuration (roster.columns)",
        quoted(missing),
        quoted(header)
    )]
    MissingColumns {
        /// Headers that were looked for.
        missing: Vec<String>,
        /// The header as it was read.
        header: Vec<String>,
    },
    /// A header that is read stands there twice.
    #[error("reading the roster: the column '{0}' stands there twice; which of them counts cannot be told")]
    DoubleColumn(String),
    /// A row has another number of fields than the header.
    #[error(
        "reading the roster: line {line} has {fields} fields, the header has {expected}; a field that holds the separator must be quoted"
    )]
    Ragged {
        /// The line.
        line: u64,
        /// Its number of fields.
        fields: usize,
        /// The header's number of fields.
        expected: usize,
    },
    /// Unknown words and impossible dates.
    #[error("{}", refused(words, dates, *more_dates))]
    Refused {
        /// Unknown words, with their counts.
        words: Vec<WordProblem>,
        /// Impossible dates, the first ones.
        dates: Vec<DateProblem>,
        /// How many more impossible dates there are.
        more_dates: u64,
    },
    /// There is no row at all: an outage, not an organization without people.
    #[error("reading the roster: it has a header and no rows; an empty roster is taken for a failed export")]
    Empty,
    /// More text than this version holds.
    #[error("reading the roster: it is larger than 4 GiB; split it or drop columns that are not needed")]
    TooLarge,
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")
}

fn refused(words: &[WordProblem], dates: &[DateProblem], more_dates: u64) -> String {
    let mut out = String::from("reading the roster:");
    for (i, problem) in words.iter().enumerate() {
        out.push_str(if i == 0 { " " } else { "; " });
        out.push_str(&problem.to_string());
    }
    if !words.is_empty() {
        out.push_str(". Map each word in the configuration (roster.status, roster.employment, roster.entities)");
    }
    for (i, problem) in dates.iter().enumerate() {
        out.push_str(match (i, words.is_empty()) {
            (0, true) => " ",
            (0, false) => ". ",
            _ => "; ",
        });
        out.push_str(&problem.to_string());
    }
    if more_dates > 0 {
        out.push_str(&format!("; and {more_dates} more dates"));
    }
    if !dates.is_empty() {
        out.push_str(". Dates are YYYY-MM-DD; correct them in the source of the roster");
    }
    out
}

impl fmt::Display for WordProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.word.is_empty() { "an empty field".to_owned() } else { format!("the unknown word '{}'", self.word) };
        let lines: Vec<String> = self.lines.iter().take(NAMED).map(u64::to_string).collect();
        let plural = if self.count == 1 { "row" } else { "rows" };
        write!(f, "column '{}' has {word} in {} {plural} (line {}", self.column, self.count, lines.join(", "))?;
        let named = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.count > named {
            write!(f, " and {} more", self.count - named)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for DateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: column '{}' has the impossible date '{}'", self.line, self.column, self.value)
    }
}
