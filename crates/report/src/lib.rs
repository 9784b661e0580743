//! Progress reports in Japanese and English: what is done, what is left, what is planned by when.
//!
//! Pure: figures are computed from the journal's fold and from its records, and each names the record that it rests on. Knows no
//! clock (a report is as of the last record), no network and no file system.

mod compute;
mod csv_table;
mod entity;
mod findings;
mod history;
mod markdown;
mod progress;
mod words;

pub use compute::{Inputs, compute};
pub use csv_table::{CsvError, entity_csv};
pub use findings::{Ending, EndingWhat, FindingFigures, RuleStand};
pub use history::{BatchEvent, BatchEventKind, Cite, History};
pub use markdown::markdown;
pub use progress::{
    AcceptedGate, AuditCite, BatchProgress, EntityProgress, Milestone, MilestoneState, PlannedWave, Presences, ProgressReport,
    Proofs, Residual, RuleCount, StageCount, TrackProgress,
};
pub use words::Lang;
