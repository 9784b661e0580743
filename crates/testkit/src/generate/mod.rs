//! Deterministic generator of the laboratory's data: two stores, a roster, and the ground truth.

mod account;
mod cast;
mod entry;
mod fixed;
mod groups;
mod ldif;
mod links;
mod manifest;
mod names;
mod options;
mod output;
mod person;
mod roster;
mod run;
mod secret;
mod services;
mod situation;
#[cfg(test)]
mod tests;
mod truth;
mod world;

pub use options::{Error, Options, Summary};
pub use run::generate;
