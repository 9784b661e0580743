//! Plans, reports, lint and rollback over small worlds that a reader can keep in mind.
#![expect(clippy::unwrap_used, reason = "a helper that fails, fails its test")]

mod decisions;
mod diff;
mod drift;
mod forecast;
mod handover;
mod hostile;
mod links;
mod lint;
mod mapping;
mod plan;
mod policy;
mod rollback;
mod scrub;
mod stages;
mod survey;
mod waves;
mod world;
