//! A table of the report: what stands in its cells, not how it is drawn.

use jiff::Timestamp;
use jiff::civil::Date;

/// How good or bad something is. Never told by colour alone: the words say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Neither good nor bad.
    Plain,
    /// To be looked at.
    Warn,
    /// To be acted on.
    Bad,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing belongs here.
    Empty,
    /// It is not known, which is neither nothing nor zero.
    Unknown,
    /// Words of the report.
    Words(String),
    /// Words of the report that judge.
    Mark(Tone, String),
    /// Text of people, directories and servers.
    Foreign(String),
    /// An id or a fingerprint.
    Id(String),
    /// A number of things.
    Count(u64),
    /// A number of days; negative where they are over.
    Days(i64),
    /// A day.
    Day(Date),
    /// A point in time.
    Time(Timestamp),
    /// The number of a record of the ledger.
    Record(u64),
    /// A count with the record that it rests on.
    Cited(u64, u64),
}

impl Cell {
    /// The content, or nothing.
    pub(crate) fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Empty, cell)
    }

    /// The content, or that it is not known.
    pub(crate) fn known<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Unknown, cell)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub name: String,
    /// It holds numbers: set to the right.
    pub numbers: bool,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, which is also that of its file.
    pub name: &'static str,
    /// Its title.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows; each has as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(name: &'static str, title: impl Into<String>) -> Self {
        Self { name, title: title.into(), columns: Vec::new(), rows: Vec::new() }
    }

    /// With columns of text.
    #[must_use]
    pub(crate) fn text(mut self, names: &[&str]) -> Self {
        self.columns.extend(names.iter().map(|name| Column { name: (*name).to_owned(), numbers: false }));
        self
    }

    /// With columns of numbers.
    #[must_use]
    pub(crate) fn numbers(mut self, names: &[&str]) -> Self {
        self.columns.extend(names.iter().map(|name| Column { name: (*name).to_owned(), numbers: true }));
        self
    }

    /// With these rows.
    #[must_use]
    pub(crate) fn rows(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows.extend(rows);
        debug_assert!(self.rows.iter().all(|row| row.len() == self.columns.len()), "table {} is not even", self.name);
        self
    }
}
