//! The client against a real slapd: what it does, and what the server really does to locks, passwords, conditions and entries
//! that are made again. Each case pins a fact that the engine is built on.
//!
//! Observed on OpenLDAP 2.5.13. Not tried here: SASL mechanisms on locked entries, the PasswordModify operation, replication.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod bad_input;
mod client;
mod conditions;
mod conformance;
mod enroll;
mod faults;
mod liar;
mod locks;
mod passwords;
mod recreate;
mod references;
mod sizes;
mod transactions;
mod usability;
mod world;
