//! The audit from the outside: what it collects, what it admits not to have seen, and what it finds.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod arranged;
mod collect;
mod disk;
mod hostile;
#[cfg(test)]
mod roster;
mod rules;
mod support;
mod truth;
