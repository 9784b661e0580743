//! Standard output and standard error. With `--json` standard output carries JSON only.
//!
//! Whatever is said passes [`untether_model::neutral`] here, so that no text from a server reaches a terminal as it is, even where a
//! command forgot.

use std::io::Write as _;

use serde::Serialize;
use untether_model::neutral;

use crate::error::CliError;

/// Where a command writes.
pub struct Output {
    json: bool,
}

impl Output {
    /// Writes text, or JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A result for people; nothing where JSON was asked for.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.json {
            self.text(text.as_ref());
        }
    }

    /// Lines for people on standard output, whatever was asked for.
    pub fn text(&self, text: &str) {
        self.raw(&neutral::lines(text));
    }

    /// A line on standard output as it is: a file's content. A closed pipe is the reader's decision, not an error.
    pub fn raw(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
    }

    /// A note for people on standard error.
    pub fn note(&self, text: impl AsRef<str>) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{}", neutral::lines(text.as_ref()));
    }

    /// Replaces the line that the cursor is on, on standard error.
    pub fn same_line(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let short: String = neutral::terminal(text).chars().take(79).collect();
        let _ = write!(err, "\r{short:<79}");
        let _ = err.flush();
    }

    /// One object with its schema; only where JSON was asked for.
    pub fn object<T: Serialize>(&self, command: &str, body: &T) {
        if self.json {
            self.raw(&Self::schema_line(command, body));
        }
    }

    /// One row of a list, as a line of JSON; only where JSON was asked for.
    pub fn row<T: Serialize>(&self, body: &T) {
        if self.json {
            self.line(body);
        }
    }

    /// A line of JSON, whatever was asked for.
    pub fn line<T: Serialize>(&self, body: &T) {
        self.raw(&neutral::json(&serde_json::to_string(body).unwrap_or_default()));
    }

    /// An error, with what to do next.
    pub fn error(&self, error: &CliError) {
        self.note(format!("error: {error}"));
        if let Some(hint) = &error.hint {
            self.note(format!("  hint: {hint}"));
        }
        if self.json {
            let body = serde_json::json!({ "error": error.message, "hint": error.hint, "exit": error.exit as u8 });
            self.raw(&Self::schema_line("error", &body));
        }
    }

    /// An object with its schema, as one line.
    pub fn schema_line<T: Serialize>(command: &str, body: &T) -> String {
        let mut value = serde_json::to_value(body).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert("schema".to_owned(), format!("untether.{command}/1").into());
        }
        neutral::json(&value.to_string())
    }
}
