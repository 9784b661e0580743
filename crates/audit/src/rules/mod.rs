//! The rules: pure functions over what was collected, each with its documentation.
//!
//! They know no clock and no progress of a migration. A rule that looks at one account gets an [`AccountCase`], one that looks at a
//! person or service with all of its accounts a [`SubjectCase`], one that looks at names in any entry a [`NameCase`], one that looks
//! at a server's configuration a [`ConfigCase`]; [`assess`] brings them all together.

pub mod access;
mod assess;
mod cases;
mod context;
pub mod correlation;
pub mod coverage;
mod doubts;
mod evidence;
mod identities;
mod inputs;
pub mod link;
mod pieces;
pub mod residual;
mod rule;
mod secrets;
mod survey;

pub use assess::{AssessError, Assessment, assess};
pub use cases::{AccountCase, ConfigCase, NameCase, SubjectCase};
pub use context::Context;
pub use coverage::Skips;
pub use inputs::{Inputs, Sink, StoreInputs};
pub use rule::{Draft, RuleDoc};
