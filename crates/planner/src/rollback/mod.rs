//! Rollback orders: what takes back the applied cells of a batch, a wave or a subject, in reverse order over each subject's whole
//! timeline, whichever plan made a cell.
//!
//! Pure: intents and operations come through traits, and nothing here can open what is sealed; the order names before-images by the
//! number of their record.

mod compose;
mod phases;
mod scope;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use untether_model::digest::Digest;
use untether_model::operation::{Operation, Stage};
use untether_model::plan::{PlanHeader, PlannedStore, PlannedSubject, RollbackScope, WaveRef};
use untether_model::policy::CapabilityMap;
use untether_model::run::{RunState, Started};
use untether_model::{BatchId, Dn, OpId, PlanId, Side, SubjectId};

use crate::lint::LintNote;
use crate::source::PlanError;

/// Reads intents of the ledger; their images stay sealed.
pub trait Intents {
    /// The `Started` with this sequence number.
    fn started(&self, seq: u64) -> Result<Started, String>;
}

/// Reads operations and subjects of recorded waves.
pub trait Operations {
    /// The operation with this id.
    fn operation(&self, id: &OpId) -> Result<Operation, String>;

    /// The subject as the batch's wave lists it; `None` where it does not.
    fn subject(&self, batch: &BatchId, id: &SubjectId) -> Result<Option<PlannedSubject>, String>;
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackRequest {
    /// Whose.
    pub scope: RollbackScope,
    /// The state before this stage is restored.
    pub to: Stage,
    /// Entries that untether made are deleted, not only locked.
    pub delete_provisioned: bool,
    /// Accounts of people whom the roster calls departed or ended are enabled anyway.
    pub enable_inactive: bool,
}

/// Everything that a rollback is made from.
#[derive(Clone, Copy)]
pub struct RollbackInputs<'a> {
    /// What is asked for.
    pub request: &'a RollbackRequest,
    /// The fold of the ledger.
    pub progress: &'a RunState,
    /// The operations that were planned.
    pub operations: &'a dyn Operations,
    /// The intents that were journalled.
    pub intents: &'a dyn Intents,
    /// Subjects whom the roster, as it is now, calls departed or ended.
    pub ended: &'a BTreeSet<SubjectId>,
    /// What the stores can do with the writing and undoing binds.
    pub capabilities: &'a CapabilityMap,
    /// The stores, with their protected identities.
    pub stores: &'a BTreeMap<Side, PlannedStore>,
    /// The time; it goes into the order's head only.
    pub now: Timestamp,
}

/// Something that the rollback does not give back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotRestored {
    /// Whose.
    pub subject: SubjectId,
    /// The operation whose effect stays, in part or whole.
    pub op: OpId,
    /// The entry.
    pub dn: Dn,
    /// What is lost, and why.
    pub lost: String,
}

/// A rollback order, ready to be recorded and shown.
#[derive(Debug)]
#[must_use = "an order that is not recorded cannot be approved"]
pub struct RollbackOrder {
    /// Its id.
    pub id: PlanId,
    /// Its digest: SHA-256 of `bytes`.
    pub digest: Digest,
    /// Its head.
    pub header: PlanHeader,
    /// The exact bytes of the head's JSON.
    pub bytes: Vec<u8>,
    /// Its only wave.
    pub wave: WaveRef,
    /// The exact bytes of the wave's file.
    pub lines: Vec<u8>,
    /// The same operations, for showing.
    pub operations: Vec<Operation>,
    /// People that must approve it.
    pub approvals_needed: u8,
    /// The subjects that it concerns, by the batch that holds them now.
    pub concerns: Vec<(BatchId, Vec<SubjectId>)>,
    /// Subjects that were in the batch once and are not touched, with the batch that holds them now.
    pub elsewhere: Vec<(SubjectId, BatchId)>,
    /// Subjects whose account stays disabled because the roster calls them departed or ended.
    pub left_disabled: Vec<SubjectId>,
    /// What is not given back.
    pub not_restored: Vec<NotRestored>,
    /// Notes of the linter, the worst first.
    pub lint: Vec<LintNote>,
}

/// Computes the order; an error where nothing is to be taken back.
pub fn rollback(inputs: &RollbackInputs<'_>) -> Result<RollbackOrder, PlanError> {
    let scope = scope::resolve(inputs)?;
    let timeline = timeline::timeline(inputs, &scope)?;
    if timeline.effects.is_empty() {
        let perhaps: Vec<String> = timeline.not_restored.iter().map(|left| format!("{} on '{}'", left.op, left.dn)).collect();
        return Err(PlanError::NothingToUndo { to: inputs.request.to, perhaps });
    }
    let composed = compose::compose(inputs, &timeline);
    phases::order(inputs, scope, &timeline, composed)
}
