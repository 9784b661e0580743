//! What a check found, and how it is told.

use std::fmt;

use serde::Serialize;
use untether_directory::{DirectoryError, Failure};

use crate::columns::{self, WIDTH};

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It passed.
    #[serde(rename = "ok")]
    Ok,
    /// It did not pass.
    #[serde(rename = "FAIL")]
    Fail,
    /// It could not be answered, which is no pass.
    #[serde(rename = "unknown")]
    Unknown,
    /// It does not apply to this configuration.
    #[serde(rename = "skipped")]
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Fail => "FAIL",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        })
    }
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    schema: &'static str,
    /// What was checked.
    pub check: String,
    /// `shared`, `independent` or `system`.
    pub store: String,
    /// What became of it.
    pub result: Verdict,
    /// What was found.
    pub details: String,
    /// What to do; empty where nothing is to be done.
    pub fix: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("{:<11} {:<7} ", self.store, self.result);
        let indent = " ".repeat(head.len());
        let mut lines = columns::words(&format!("{}: {}", self.check, self.details), WIDTH, (&head, &indent));
        if !self.fix.is_empty() {
            lines.extend(columns::words(&format!("fix: {}", self.fix), WIDTH, (&indent, &format!("{indent}  "))));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// The checks of one store, or of this machine.
#[derive(Debug)]
pub struct Checks {
    store: String,
    rows: Vec<Row>,
}

impl Checks {
    /// None yet.
    pub fn of(store: &str) -> Self {
        Self { store: store.to_owned(), rows: Vec::new() }
    }

    /// In the order in which they were made.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    fn push(&mut self, result: Verdict, check: &str, details: impl Into<String>, fix: impl Into<String>) {
        self.rows.push(Row {
            schema: "untether.doctor/1",
            check: check.to_owned(),
            store: self.store.clone(),
            result,
            details: details.into(),
            fix: fix.into(),
        });
    }

    /// A check that passed.
    pub fn ok(&mut self, check: &str, details: impl Into<String>) {
        self.push(Verdict::Ok, check, details, "");
    }

    /// A check that did not pass.
    pub fn fail(&mut self, check: &str, details: impl Into<String>, fix: impl Into<String>) {
        self.push(Verdict::Fail, check, details, fix);
    }

    /// A check that could not be answered.
    pub fn unknown(&mut self, check: &str, details: impl Into<String>, fix: impl Into<String>) {
        self.push(Verdict::Unknown, check, details, fix);
    }

    /// A check that does not apply.
    pub fn skipped(&mut self, check: &str, details: impl Into<String>) {
        self.push(Verdict::Skipped, check, details, "");
    }

    /// A check that ended in an error: no answer is unknown, everything else did not pass.
    pub fn error(&mut self, check: &str, mut error: DirectoryError) {
        let fix = error.hint.take().map_or_else(
            || "see the server's log; `untether doctor --acl` prints the rights that are needed".to_owned(),
            String::from,
        );
        let verdict = if error.failure == Failure::Unknown { Verdict::Unknown } else { Verdict::Fail };
        self.push(verdict, check, error.to_string(), fix);
    }
}
