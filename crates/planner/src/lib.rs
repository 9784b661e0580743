//! Pure planner: from a snapshot, a policy and the progress so far to a plan that leaves nothing to decide at run time.
//!
//! Knows no clock, no network and no file system: the time is a parameter, entries come from a [`Source`], files go to a [`Sink`],
//! and filters are evaluated by whoever calls. It deliberately does not know how an operation is carried out.

mod attributes;
pub mod diff;
pub mod drift;
pub mod handover;
pub mod lint;
mod order;
mod piece;
pub mod plan;
pub mod report;
pub mod resolution;
pub mod rollback;
mod source;
mod undo;

pub use diff::{Gathered, PlanDiff, diff};
pub use drift::{Compared, DriftInputs, drift};
pub use handover::{HandoverInputs, HandoverOrder, Holder, handover};
pub use lint::{Level, LintNote, Linter};
pub use piece::{AtOnce, Hand, Piece, Relay};
pub use plan::{Inputs, Planned, plan, plan_by};
pub use report::{NotPlanned, PlanningReport, Reason, ReportLine};
pub use resolution::{Resolution, ResolutionInputs, resolution};
pub use rollback::{Intents, NotRestored, Operations, RollbackInputs, RollbackOrder, RollbackRequest, rollback};
pub use source::{Each, Matches, Place, PlanError, Sink, Source, Stream};
