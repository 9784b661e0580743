//! Orders that the ledger knows: what earlier ones planned and intended, and how a new one is recorded.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use untether_cutover::LedgerView;
use untether_ledger::{Area, KeyStore, StateDir};
use untether_model::operation::Operation;
use untether_model::plan::{OrderKind, PlannedStore, PlannedSubject, Wave, WaveLine, WaveRef};
use untether_model::run::{Record, RunState, Started};
use untether_model::{BatchId, OpId, PlanId, Side, SubjectId, WaveId};
use untether_planner::Sink;
use untether_planner::rollback::{Intents, Operations};

use crate::error::CliError;
use crate::state::Opened;
use crate::wiring::planning::{PlanFiles, load_header, write_file};
use crate::wiring::waves::{load_wave, wave_lines};

/// The stores of all plans, with their protected identities.
pub fn planned_stores(opened: &Opened, state: &RunState) -> Result<BTreeMap<Side, PlannedStore>, CliError> {
    let mut stores = BTreeMap::new();
    for id in state.orders().iter().filter(|(_, o)| matches!(o.kind, OrderKind::Plan)).map(|(id, _)| id) {
        stores.extend(load_header(&opened.dir, &opened.keys, state, id)?.stores);
    }
    Ok(stores)
}

/// An order of one wave that is to be recorded.
pub struct NewOrder<'a> {
    /// Its id.
    pub id: &'a PlanId,
    /// What it is for.
    pub kind: OrderKind,
    /// The exact bytes of its head.
    pub header: &'a [u8],
    /// Its wave.
    pub wave: &'a WaveRef,
    /// The exact bytes of the wave's file.
    pub lines: &'a [u8],
    /// People that must approve it.
    pub approvals_needed: u8,
    /// What it concerns.
    pub concerns: &'a [(BatchId, Vec<SubjectId>)],
}

/// Seals the order's files and records it.
pub async fn record_order_files(opened: &Opened, order: NewOrder<'_>) -> Result<(), CliError> {
    let mut files = PlanFiles::new(&opened.dir, &opened.keys)?;
    for line in order.lines.split_inclusive(|b| *b == b'\n') {
        files.wave_line(&order.wave.name, line).map_err(CliError::failed)?;
    }
    files.finish()?;
    let digest = write_file(&opened.dir, &opened.keys, Area::Plans, order.header)?;
    let record = Record::OrderRecorded {
        order: order.id.clone(),
        digest,
        order_kind: order.kind,
        wave: order.wave.clone(),
        approvals_needed: order.approvals_needed,
        concerns: order.concerns.to_vec(),
    };
    opened.record(record).await.map(drop)
}

/// Reads operations of recorded waves, each wave once.
pub struct RecordedWaves<'a> {
    opened: &'a Opened,
    state: &'a RunState,
    loaded: RefCell<BTreeMap<WaveId, Wave>>,
}

impl<'a> RecordedWaves<'a> {
    /// Over this state.
    pub fn new(opened: &'a Opened, state: &'a RunState) -> Self {
        Self { opened, state, loaded: RefCell::new(BTreeMap::new()) }
    }

    fn with<T>(&self, id: &WaveId, look: impl FnOnce(&Wave) -> Option<T>) -> Result<Option<T>, String> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some(at) = self.state.waves().get(id).and_then(|wave| wave.forgotten) {
            return Err(format!("the key of wave {id} was forgotten on {at:.0}: nothing of it can be undone any more"));
        }
        if !loaded.contains_key(id) {
            let header = load_header(&self.opened.dir, &self.opened.keys, self.state, &id.plan).map_err(|e| e.message)?;
            let wave = load_wave(&self.opened.dir, &self.opened.keys, &header, id).map_err(|e| e.message)?;
            loaded.insert(id.clone(), wave);
        }
        Ok(loaded.get(id).and_then(look))
    }
}

impl Operations for RecordedWaves<'_> {
    fn operation(&self, id: &OpId) -> Result<Operation, String> {
        let found = self.with(id.wave(), |wave| wave.operation(&id.batch.batch, id.n).cloned())?;
        found.ok_or_else(|| format!("operation {id} is not in its wave's file"))
    }

    fn subject(&self, batch: &BatchId, id: &SubjectId) -> Result<Option<PlannedSubject>, String> {
        self.with(&batch.wave, |wave| wave.batch(&batch.batch).and_then(|b| b.subjects.iter().find(|s| s.id == *id).cloned()))
    }
}

/// Looks at these operations of a wave, as its file states them; an error where the wave was forgotten.
pub fn planned_operations(
    files: (&StateDir, &KeyStore),
    state: &RunState,
    (wave, wanted): (&WaveId, &BTreeSet<&OpId>),
    mut each: impl FnMut(OpId, Operation),
) -> Result<(), CliError> {
    if let Some(at) = state.waves().get(wave).and_then(|w| w.forgotten) {
        return Err(CliError::failed(format!("the key of wave {wave} was destroyed at {at}")));
    }
    let order = state.orders().get(&wave.plan);
    let digest = order.and_then(|o| o.waves.iter().find(|w| w.name == wave.wave)).map(|w| w.digest);
    let digest = digest.ok_or_else(|| CliError::failed(format!("wave {wave} is in no recorded order")))?;
    let (dir, keys) = files;
    for line in wave_lines(dir, keys, &digest)? {
        if let WaveLine::Operation(op) = line? {
            let id = OpId::new(BatchId::new(wave.clone(), op.batch.as_str()), op.n);
            if wanted.contains(&id) {
                each(id, *op);
            }
        }
    }
    Ok(())
}

/// Reads intents from the ledger.
pub struct RecordedIntents<'a>(pub &'a Opened);

impl Intents for RecordedIntents<'_> {
    fn started(&self, seq: u64) -> Result<Started, String> {
        self.0.ledger().started(seq)
    }
}
