//! Adapters: what cutover and audit ask through traits, implemented over the crates that do the work.

pub mod asking;
pub mod capabilities;
pub mod decisions;
pub mod display;
pub mod handover;
pub mod journal;
pub mod keys;
pub mod lane;
pub mod opening;
pub mod planning;
pub mod recorded;
pub mod records;
pub mod rehearsal;
pub mod roster;
pub mod ssh;
pub mod stores;
pub mod succession;
pub mod waves;
