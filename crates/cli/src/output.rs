//! Standard output and standard error. With `--json` standard output carries JSON only.

use std::io::Write as _;

use serde::Serialize;

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
            self.raw(text.as_ref());
        }
    }

    /// A line on standard output, whatever was asked for. A closed pipe is the reader's decision, not an error.
    pub fn raw(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
    }

    /// A note for people on standard error.
    pub fn note(&self, text: impl AsRef<str>) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{}", text.as_ref());
    }

    /// Replaces the line that the cursor is on, on standard error.
    pub fn same_line(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let short: String = text.chars().take(79).collect();
        let _ = write!(err, "\r{short:<79}");
        let _ = err.flush();
    }

    /// One object with its schema; only where JSON was asked for.
    pub fn object<T: Serialize>(&self, command: &str, body: &T) {
        if self.json {
            self.raw(&schema_line(command, body));
        }
    }

    /// One row of a list, as a line of JSON; only where JSON was asked for.
    pub fn row<T: Serialize>(&self, body: &T) {
        if self.json {
            self.raw(&serde_json::to_string(body).unwrap_or_default());
        }
    }

    /// An error, with what to do next.
    pub fn error(&self, error: &CliError) {
        self.note(format!("error: {error}"));
        if let Some(hint) = &error.hint {
            self.note(format!("  hint: {hint}"));
        }
        if self.json {
            let body = serde_json::json!({ "error": error.message, "hint": error.hint, "exit": error.exit as u8 });
            self.raw(&schema_line("error", &body));
        }
    }
}

fn schema_line<T: Serialize>(command: &str, body: &T) -> String {
    let mut value = serde_json::to_value(body).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), format!("untether.{command}/1").into());
    }
    value.to_string()
}
