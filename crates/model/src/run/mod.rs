//! What happened, as records and their fold; the only match of legal transitions; gates; the pure resume plan.
//!
//! [`Record`] is what the ledger holds. [`RunState`] is the fold: [`apply`] says what a record changes, or why it is illegal, and
//! changes nothing itself; whoever stores a [`Change`] stores exactly what [`RunState::commit`] takes in. Knows no files and no
//! clock.

mod aliases;
mod apply;
mod cells;
mod decision;
mod delivery;
mod drift;
mod exceptions;
mod gate;
mod handover;
mod next;
mod record;
mod state;
mod stored;
mod subjects;
mod summary;

pub use apply::{Illegal, apply, concerned};
pub use cells::Cells;
pub use decision::{Decided, Decision, DecisionId, Match, MatchVerb, Waive, list_digest};
pub use delivery::{Delivery, DeliveryStatus};
pub use drift::{Gone, Look, is_looked_after};
pub use exceptions::{EXPIRES_SOON_DAYS, ExceptionState, Exceptions, TrackException, Waiver, days_left, ends_soon};
pub use gate::{GateKind, GateQuestion, GateScope, GateState, Observation, Observed, Verdict, judge_gate};
pub use handover::Issue;
pub use next::{
    ApprovalGap, CellStand, Stand, approvers, being_disabled, cell_stand, missing_approvals, object_approvers, retriable, stand,
    unfinished_order, unfinished_rollback,
};
pub use record::{
    AccountCounts, AuditCounts, CellOutcome, ClaimedSubject, Compared, EntityCounts, Mark, Outcome, OutcomeKind, ParkReason,
    Record, Sealed, SolvedCounts, Started, WaveClaim,
};
pub use state::{
    Acceptance, Approval, AuditState, BatchState, CellKey, CellState, CellStatus, Change, DecisionState, General, OrderState,
    OrderStatus, Parked, Part, PartKey, RunState, SubjectState, WaveState, WaveStatus,
};
pub use subjects::Subjects;
pub use summary::{BatchSummary, Drifted, RateSummary, Summary, WaveSummary};
