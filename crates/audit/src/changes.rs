//! What changed between two audits: first why they may not be comparable and what is suspicious, then people, accounts, groups and
//! findings one by one.
//!
//! Both snapshots are streamed. Subjects and findings are stored in an order that lets them be merged; accounts are sorted by their
//! stable id on the way, at most `SORT_BYTES` of each audit in memory. Nothing here knows where changes are shown.

mod account;
mod compare;
mod finding;
mod merge;
mod outlook;
mod person;
mod reach;
mod rows;
mod scan;
mod settings;

pub use compare::{ChangeError, ChangeSink, Compared, compare};
pub use outlook::{AuditPoint, Jump, JumpKind, Outlook, outlook};
pub use rows::{AccountChange, Change, Field, FindingChange, GroupChange, Kind, PersonChange, Totals, Why};
pub use settings::{Affects, Difference};

/// Bytes of accounts of one audit that are sorted in memory before a run goes to the scratch place.
const SORT_BYTES: usize = 32 << 20;
