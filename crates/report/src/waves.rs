//! Waves and batches: what is planned, what was started, and what happened to it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use untether_model::run::WaveStatus;
use untether_model::{EntityId, WaveId};

use crate::compute::{Base, count};
use crate::history::BatchEventKind;
use crate::progress::{BatchProgress, PlannedWave, WaveProgress};

/// Waves of the last plan that have not started.
pub(crate) fn planned(base: &Base<'_>) -> Vec<PlannedWave> {
    let Some((plan, order)) = base.plan else { return Vec::new() };
    let started = |name: &str| base.inputs.state.waves().contains_key(&WaveId::new(plan.clone(), name));
    let waves = order.waves.iter().filter(|wave| !started(&wave.name));
    waves
        .map(|wave| {
            let policy = base.inputs.wave(&wave.name);
            let forecast = order.forecast.as_ref().and_then(|f| f.waves.iter().find(|found| found.wave == wave.name));
            let entities: Vec<EntityId> = match (forecast, policy) {
                (Some(forecast), _) => forecast.entities.keys().cloned().collect(),
                (None, Some(policy)) if policy.entities.is_empty() => base.inputs.entities.keys().cloned().collect(),
                (None, Some(policy)) => policy.entities.clone(),
                (None, None) => Vec::new(),
            };
            let of_entities = entities.iter().filter_map(|id| base.inputs.entities.get(id)).filter_map(|e| e.deadline).min();
            let own: Option<Date> = forecast.and_then(|f| f.deadline).or_else(|| policy.and_then(|p| p.deadline));
            PlannedWave {
                plan: plan.clone(),
                record: base.recorded(plan),
                wave: wave.name.clone(),
                subjects: wave.subjects,
                operations: wave.operations,
                by: own.or(of_entities),
                tracks: policy.map(|p| p.tracks.clone()).unwrap_or_default(),
                entities,
                executable: order.executable,
            }
        })
        .collect()
}

/// Each started wave.
pub(crate) fn waves(base: &Base<'_>) -> Vec<WaveProgress> {
    let state = base.inputs.state;
    let mut found: BTreeMap<&WaveId, WaveProgress> =
        state.waves().iter().map(|(id, wave)| (id, begun(base, id, wave.status))).collect();
    for (key, group) in base.groups.iter() {
        let Some(wave) = found.get_mut(&key.batch.wave) else { continue };
        wave.subjects += group.subjects;
        wave.finished += group.finished;
        wave.parked += group.parked_in_all();
    }
    for (id, batch) in state.batches() {
        let Some(wave) = found.get_mut(&id.wave) else { continue };
        wave.batches += 1;
        wave.batches_ended += u64::from(batch.is_finished());
        wave.halted += u64::from(batch.halted.is_some());
        wave.rollbacks += u64::from(batch.round.0.saturating_sub(1));
    }
    let mut waves: Vec<WaveProgress> = found.into_values().collect();
    waves.sort_by_key(|wave| wave.started);
    waves
}

fn begun(base: &Base<'_>, id: &WaveId, status: WaveStatus) -> WaveProgress {
    let history = base.inputs.history;
    WaveProgress {
        id: id.clone(),
        status,
        started: history.waves_started.get(id).copied(),
        closed: closed(base, id, status),
        batches: 0,
        batches_ended: 0,
        subjects: 0,
        finished: 0,
        parked: 0,
        rollbacks: 0,
        halted: 0,
    }
}

/// A rollback opens a wave again that had ended.
fn closed(base: &Base<'_>, id: &WaveId, status: WaveStatus) -> Option<crate::history::Cite> {
    base.inputs.history.waves_closed.get(id).copied().filter(|_| status != WaveStatus::Running)
}

/// Each batch of each started wave.
pub(crate) fn batches(base: &Base<'_>) -> Vec<BatchProgress> {
    let state = base.inputs.state;
    let mut parked: BTreeMap<&untether_model::BatchId, u64> = BTreeMap::new();
    for (key, group) in base.groups.iter() {
        *parked.entry(key.batch).or_default() += group.parked_in_all();
    }
    let mut found = Vec::new();
    for (id, wave) in state.waves() {
        for batch in &wave.batches {
            let Some(b) = state.batches().get(batch) else { continue };
            let history = base.inputs.history.batches.get(batch).cloned().unwrap_or_default();
            found.push(BatchProgress {
                id: batch.clone(),
                wave: wave.status,
                started: base.inputs.history.waves_started.get(id).copied(),
                closed: closed(base, id, wave.status),
                canary: b.canary,
                subjects: count(b.subjects.len()),
                parked: parked.get(batch).copied().unwrap_or(0),
                left: history.left,
                current: b.current,
                ended: b.ended,
                finished: b.is_finished(),
                round: b.round.0,
                halted: b.halted.clone(),
                open: b.open,
                outcomes: base.inputs.history.outcomes(batch),
                history: history.events,
            });
        }
    }
    found
}

/// Whether an event is one of the plan's own stages.
pub(crate) fn is_stage(what: &BatchEventKind) -> bool {
    matches!(what, BatchEventKind::Began { .. } | BatchEventKind::Ended { .. })
}
