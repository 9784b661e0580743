//! Progress reports in Japanese and English: what is done, what is left, what is planned by when.
//!
//! Pure: figures are computed from the journal's fold and from its records, and each names the record that it rests on. From the
//! figures come tables, and from both what is written: Markdown, JSON, CSV, a page, and the text that a company publishes. Knows no
//! clock (what is overdue is judged by a time that is handed in), no network and no file system.

mod compute;
mod csv_table;
mod entity;
mod exceptions;
mod findings;
mod gaps;
mod groups;
mod history;
mod html;
mod markdown;
mod measures;
mod orders;
mod outlook;
mod progress;
mod published;
mod table;
mod tables;
mod waves;
mod words;

pub use compute::{Inputs, compute};
pub use csv_table::{BYTE_ORDER_MARK, CsvError, csv};
pub use findings::{Ending, EndingWhat, FindingFigures, RuleStand};
pub use history::{BatchEvent, BatchEventKind, Cite, History, Outcomes, Rehearsal, Revocation, StateEvent, StateEventKind};
pub use html::html;
pub use markdown::markdown;
pub use progress::{
    Accounts, ApprovalEntry, AuditCite, AuditPoint, Basis, BatchProgress, EntityProgress, Exception, ExceptionKind, FindingCount,
    Gap, Measure, MeasureKind, MeasureState, Milestone, MilestoneState, Missing, OrderProgress, Outlook, PlannedWave, Presences,
    ProgressReport, Proofs, Remaining, Residual, RuleCount, StageCount, Standing, Totals, TrackProgress, WaveProgress,
};
pub use published::published;
pub use table::{Cell, Column, Table, Tone};
pub use tables::tables;
pub use words::Lang;
