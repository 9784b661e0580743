//! Orders of one wave and one batch that people approve beside plans: written and digested the same way, whatever they are for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::digest::Digest;
use untether_model::operation::Operation;
use untether_model::plan::{
    OrderKind, PLAN_VERSION, PlanHeader, PlannedBatch, PlannedStore, PlannedSubject, WaveHeader, WaveLine, WaveRef,
};
use untether_model::policy::{Selector, Span, Thresholds};
use untether_model::run::{OrderState, OrderStatus, RunState};
use untether_model::{PlanId, Side};

use crate::lint::{LintNote, Linter};
use crate::source::PlanError;

/// Name of the only batch of such an order.
pub(crate) const BATCH: &str = "b01";

/// What an order is made of.
pub(crate) struct Draft<'a> {
    /// Name of its only wave.
    pub wave: &'a str,
    /// What it is for.
    pub kind: OrderKind,
    /// The plan that it belongs to, if it belongs to one.
    pub parent: Option<PlanId>,
    /// The fold of the ledger.
    pub progress: &'a RunState,
    /// Digest of what of it was taken into account.
    pub taken: Digest,
    /// The stores, with their protected identities.
    pub stores: &'a BTreeMap<Side, PlannedStore>,
    /// The time.
    pub now: Timestamp,
    /// Whom it concerns.
    pub members: Vec<PlannedSubject>,
    /// Its operations, in order, all of them of [`BATCH`].
    pub operations: &'a [Operation],
}

/// An order as it is recorded and shown.
pub(crate) struct Written {
    pub id: PlanId,
    pub digest: Digest,
    pub header: PlanHeader,
    pub bytes: Vec<u8>,
    pub wave: WaveRef,
    pub lines: Vec<u8>,
    pub lint: Vec<LintNote>,
}

/// Nothing is waited for, and no gate is asked.
fn wave_header(name: &str) -> WaveHeader {
    WaveHeader {
        name: name.to_owned(),
        canary_wait: Span::default(),
        canary_share_percent: 0.0,
        moved_percent: 100.0,
        soak: Span::default(),
        failure_tolerance: u32::MAX,
        hold_bound: Span::default(),
        thresholds: Thresholds::default(),
        in_scope: BTreeMap::new(),
        gates: Vec::new(),
        selector: Selector::default(),
        terms: BTreeMap::new(),
        after: Vec::new(),
        deadline: None,
    }
}

/// Writes and digests it.
pub(crate) fn write(draft: Draft<'_>) -> Result<Written, PlanError> {
    let json = |what: &'static str| move |cause| PlanError::Json { what, cause };
    // What was carried out can be wanted again with everything as it was, within one tick of the clock: that is another order.
    let is_earlier = |order: &OrderState| order.status == OrderStatus::Done && order.kind == draft.kind;
    let orders = draft.progress.orders().iter();
    let earlier: Vec<&PlanId> = orders.filter(|(_, order)| is_earlier(order)).map(|(id, _)| id).collect();
    let progress = serde_json::to_vec(&(draft.taken, earlier)).map_err(json("the progress"))?;
    let mut header = PlanHeader {
        version: PLAN_VERSION,
        kind: draft.kind,
        now: draft.now,
        seed: 0,
        parent: draft.parent,
        snapshot: None,
        findings: None,
        policy: None,
        progress: Digest::of(&progress),
        decisions: Digest::of(b""),
        stores: draft.stores.clone(),
        waves: Vec::new(),
        executable: true,
        not_executable: Vec::new(),
    };
    let subjects = draft.members.len() as u64;
    let batch = PlannedBatch { name: BATCH.to_owned(), canary: true, subjects: draft.members };
    let head = [WaveLine::Wave(Box::new(wave_header(draft.wave))), WaveLine::Batch(batch)];
    let body = draft.operations.iter().map(|operation| WaveLine::Operation(Box::new(operation.clone())));
    let mut linter = Linter::new(&header);
    let mut lines = Vec::new();
    for line in head.into_iter().chain(body) {
        linter.line(&line);
        serde_json::to_writer(&mut lines, &line).map_err(json("a line of the order"))?;
        lines.push(b'\n');
    }
    let wave = WaveRef {
        name: draft.wave.to_owned(),
        digest: Digest::of(&lines),
        blobs: Vec::new(),
        subjects,
        operations: draft.operations.len() as u64,
        batches: 1,
    };
    header.waves = vec![wave.clone()];
    let bytes = serde_json::to_vec(&header).map_err(json("the order's head"))?;
    let digest = Digest::of(&bytes);
    Ok(Written { id: PlanId::of(&digest), digest, header, bytes, wave, lines, lint: linter.finish() })
}
