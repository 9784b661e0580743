//! The audit: collectors stream both stores and the roster, pure rules turn what was seen into findings.
//!
//! Only reads; it is handed reading capabilities and could not write. Knows no clock, no progress of a migration, and nothing of
//! where its results are stored: they go to sinks.

mod activity;
pub mod cards;
pub mod changes;
pub mod collect;
pub mod correlate;
pub mod encoding;
pub mod explain;
pub mod links;
pub mod roster;
pub mod rules;
pub mod run;
pub mod shrinkage;
pub mod source;
pub mod spill;
pub mod state;
pub mod stored;
