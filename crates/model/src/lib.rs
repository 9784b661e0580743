//! Nouns of untether and the pure rules over them.
//!
//! Everything here is data with its invariants: names, entries, snapshots, findings, plans, records, and the pure functions that
//! judge them. The crate deliberately knows no clock, no network, no file system and no environment: whoever needs the time or
//! a byte from outside hands it in.

pub mod approval;
pub mod attr;
pub mod attr_map;
pub mod auth;
pub mod change;
pub mod digest;
pub mod dn;
pub mod effect;
pub mod entry;
pub mod event;
pub mod finding;
pub mod hashed;
pub mod ids;
pub mod keys;
pub mod matching;
pub mod neutral;
pub mod operation;
pub mod plan;
pub mod policy;
pub mod roster;
pub mod run;
pub mod schema;
pub mod snapshot;
pub mod time;
pub mod value;
mod values;

pub use attr::AttrName;
pub use attr_map::AttrMap;
pub use dn::Dn;
pub use entry::Entry;
pub use ids::{BatchId, CaseId, EntityId, FindingId, OpId, PlanId, Round, Side, StableId, StateId, SubjectId, WaveId};
pub use value::Value;
pub use values::Values;
