//! Orders about one-time credentials: issued again, which puts another one in the place of the first; and expired, which closes the
//! account until another one is issued.
//!
//! Both go ahead only where the stored password is still the one that was looked at: whoever sets a password of their own before the
//! order is carried out keeps it. Knows neither secrets nor how they reach people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::digest::Digest;
use untether_model::operation::{
    Action, Actor, Desired, Expects, Operation, Phase, PlannedValue, Stage, Target, Touch, UndoClass,
};
use untether_model::plan::{OrderKind, PlanHeader, PlannedStore, PlannedSubject, WaveRef};
use untether_model::policy::CredentialPolicy;
use untether_model::run::RunState;
use untether_model::time::{PERMANENT_LOCK, to_generalized};
use untether_model::{AttrName, BatchId, Dn, PlanId, Side, StableId, SubjectId, Value};

use crate::lint::LintNote;
use crate::order::{self, BATCH, Draft, Written};
use crate::rollback::Operations;
use crate::source::PlanError;
use crate::undo;

/// Name of the only wave of such an order.
pub const WAVE: &str = "handover";

/// Somebody with a one-time credential of ours, and their account as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The subject.
    pub subject: SubjectId,
    /// The batch that has, or had, it in hand.
    pub batch: BatchId,
    /// Its account in the independent directory.
    pub dn: Dn,
    /// The account's stable id.
    pub stable_id: StableId,
    /// Marks of its stored password values; empty: it has none.
    pub password: Vec<String>,
    /// Its lock, if it has one.
    pub lock: Option<Value>,
    /// The end of its validity, if it has one.
    pub end: Option<Value>,
    /// The stored password is not the one that we set: its owner, or somebody else, has set another.
    pub used: bool,
    /// How another credential is made.
    pub credential: CredentialPolicy,
}

/// What an order is made from.
#[derive(Clone, Copy)]
pub struct HandoverInputs<'a> {
    /// [`OrderKind::Reissue`] or [`OrderKind::Expire`].
    pub kind: &'a OrderKind,
    /// Whom it concerns.
    pub holders: &'a [Holder],
    /// The operations that were planned.
    pub operations: &'a dyn Operations,
    /// The fold of the ledger; it says too what the stores can do with the writing and undoing binds.
    pub progress: &'a RunState,
    /// The stores, with their protected identities.
    pub stores: &'a BTreeMap<Side, PlannedStore>,
    /// The time.
    pub now: Timestamp,
}

/// Such an order, ready to be recorded and shown.
#[derive(Debug)]
#[must_use = "an order that is not recorded cannot be approved"]
pub struct HandoverOrder {
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
    /// People that must approve it: two where somebody's own password is overwritten.
    pub approvals_needed: u8,
    /// The subjects that it concerns, by the batch that has or had them in hand.
    pub concerns: Vec<(BatchId, Vec<SubjectId>)>,
    /// Notes of the linter, the worst first.
    pub lint: Vec<LintNote>,
}

/// Computes the order; an error where it would concern nobody.
pub fn handover(inputs: &HandoverInputs<'_>) -> Result<HandoverOrder, PlanError> {
    let mut holders: Vec<&Holder> = inputs.holders.iter().collect();
    if holders.is_empty() {
        return Err(PlanError::Request("nobody's one-time credential is concerned".to_owned()));
    }
    holders.sort_by(|a, b| a.dn.cmp(&b.dn).then_with(|| a.subject.cmp(&b.subject)));
    let mut operations = Vec::new();
    let mut members = Vec::new();
    let mut concerns: BTreeMap<BatchId, Vec<SubjectId>> = BTreeMap::new();
    for holder in &holders {
        let n = u32::try_from(operations.len()).unwrap_or(u32::MAX - 1) + 1;
        operations.push(operation(inputs, holder, n)?);
        let (batch, id) = (&holder.batch, &holder.subject);
        let read = inputs.operations.subject(batch, id);
        let found = read.map_err(|cause| PlanError::Journal { what: format!("subject {id} of batch {batch}"), cause })?;
        members.extend(found.map(|s| PlannedSubject { stages: vec![Stage::Enroll], ..s }));
        concerns.entry(batch.clone()).or_default().push(id.clone());
    }
    let seen: Vec<_> = holders.iter().map(|h| (&h.subject, &h.password)).collect();
    let taken = serde_json::to_vec(&seen).map_err(|cause| PlanError::Json { what: "the progress", cause })?;
    let Written { id, digest, header, bytes, wave, lines, lint } = order::write(Draft {
        wave: WAVE,
        kind: inputs.kind.clone(),
        parent: None,
        progress: inputs.progress,
        taken: Digest::of(&taken),
        stores: inputs.stores,
        now: inputs.now,
        members,
        operations: &operations,
    })?;
    let overwrites = matches!(inputs.kind, OrderKind::Reissue { .. }) && holders.iter().any(|h| h.used);
    let approvals_needed = if overwrites { 2 } else { 1 };
    let concerns = concerns.into_iter().collect();
    Ok(HandoverOrder { id, digest, header, bytes, wave, lines, operations, approvals_needed, concerns, lint })
}

fn operation(inputs: &HandoverInputs<'_>, holder: &Holder, n: u32) -> Result<Operation, PlanError> {
    let inline = |value: &Value| PlannedValue::Inline(value.clone());
    let as_seen = |value: &Option<Value>| value.as_ref().map_or(Expects::Absent, |v| Expects::Values(vec![inline(v)]));
    let touch = |attr: &str, expects, desired| Touch { attr: AttrName::new(attr), expects, desired };
    let exactly = |text: &str| Desired::Values(vec![PlannedValue::Inline(Value::from(text))]);
    let password = || Expects::Marks(holder.password.clone());
    let (lock, end) = (as_seen(&holder.lock), as_seen(&holder.end));
    let (touches, undo, reason) = match inputs.kind {
        OrderKind::Reissue { .. } => {
            let mut touches = vec![
                touch("pwdAccountLockedTime", lock, Desired::Absent),
                touch("pwdEndTime", end, Desired::Absent),
                touch("userPassword", password(), Desired::OneTimeSecret),
            ];
            if holder.credential.must_change {
                touches.insert(2, touch("pwdReset", Expects::Any, exactly("TRUE")));
            }
            let reason = match holder.used {
                true => "another one-time credential, in the place of the person's own password",
                false => "another one-time credential; the one before no longer works",
            };
            (touches, undo::credential(inputs.progress.general().capabilities.get(&Side::Independent)), reason)
        }
        OrderKind::Expire { .. } => {
            let touches = vec![
                touch("pwdAccountLockedTime", lock, exactly(PERMANENT_LOCK)),
                touch("pwdEndTime", end, exactly(&to_generalized(inputs.now))),
                touch("userPassword", password(), Desired::AsExpected),
            ];
            (touches, UndoClass::Full, "an unused one-time credential lets nobody in any more: locked and ended")
        }
        other => return Err(PlanError::Request(format!("an order of the kind {other:?} is not about one-time credentials"))),
    };
    Ok(Operation {
        batch: BATCH.to_owned(),
        n,
        stage: Stage::Enroll,
        phase: Phase::ENTRIES,
        store: Side::Independent,
        actor: Actor::Writer,
        target: Target::Existing { dn: holder.dn.clone(), stable_id: holder.stable_id.clone() },
        subjects: vec![holder.subject.clone()],
        action: Action::Set { touches },
        secret: matches!(inputs.kind, OrderKind::Reissue { .. }).then(|| holder.credential.shape()),
        undo,
        undoes: Vec::new(),
        protected_group: false,
        reason: reason.to_owned(),
    })
}
