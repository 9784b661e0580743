//! Forms and languages in which commands write.

use clap::ValueEnum;

/// Output formats of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for a terminal.
    Table,
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
}

/// Forms of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Markdown.
    Md,
    /// JSON: every figure with its record.
    Json,
    /// Comma-separated values, for spreadsheets.
    Csv,
    /// One self-contained page, to be read in a browser and printed on A4.
    Html,
    /// The text that a company publishes: each measure complete or planned.
    Published,
}

/// Languages of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Japanese.
    Ja,
    /// English.
    En,
}
