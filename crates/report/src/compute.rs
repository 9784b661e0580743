//! From the fold and the history to the report's figures.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use untether_model::EntityId;
use untether_model::plan::OrderKind;
use untether_model::policy::{Entity, PlanPolicy, WavePolicy};
use untether_model::run::{AuditState, RunState};

use crate::history::History;
use crate::progress::{AcceptedGate, AuditCite, BatchProgress, PlannedWave, ProgressReport, RuleCount};
use crate::{entity, findings};

/// What a report is computed from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The fold of the ledger.
    pub state: &'a RunState,
    /// What its records say beside.
    pub history: &'a History,
    /// The configured entities.
    pub entities: &'a BTreeMap<EntityId, Entity>,
    /// The configured waves: by when they are to be through.
    pub policy: Option<&'a PlanPolicy>,
}

impl<'a> Inputs<'a> {
    /// The policy of the wave with this name.
    pub(crate) fn wave(&self, name: &str) -> Option<&'a WavePolicy> {
        self.policy.and_then(|p| p.waves.iter().find(|w| w.name == name))
    }

    /// The last record's day in this time zone.
    pub(crate) fn today(&self, zone: &TimeZone) -> Date {
        zone.to_datetime(self.history.head.at).date()
    }

    /// Audits that say what was there when they were made, oldest first.
    pub(crate) fn audits(&self) -> impl Iterator<Item = (u64, &'a AuditState)> + '_ {
        self.state.audits().iter().filter(|(seq, _)| !self.history.other_day.contains(seq)).map(|(seq, audit)| (*seq, audit))
    }
}

/// The report.
pub fn compute(inputs: &Inputs<'_>) -> ProgressReport {
    let zones: BTreeSet<&str> = inputs.entities.values().map(|e| e.time_zone.as_str()).collect();
    let zone = match zones.first() {
        Some(only) if zones.len() == 1 => (*only).to_owned(),
        _ => "UTC".to_owned(),
    };
    let mut ids: BTreeSet<EntityId> = inputs.entities.keys().cloned().collect();
    ids.extend(inputs.state.subjects().values().map(|s| s.entity.clone()));
    for (_, audit) in inputs.audits() {
        ids.extend(audit.subjects.iter().map(|(entity, _, _)| EntityId::new(entity.as_str())));
        let judged = audit.counts.iter().filter(|c| c.rule.starts_with("residual."));
        ids.extend(judged.map(|c| c.entity.clone().unwrap_or_else(|| EntityId::new(entity::UNASSIGNED))));
    }
    ProgressReport {
        as_of: inputs.history.head,
        zone,
        first_audit: inputs.audits().next().map(cite),
        last_audit: inputs.audits().last().map(cite),
        entities: ids.iter().map(|id| entity::progress(inputs, id)).collect(),
        findings: findings::figures(inputs),
        links: rules(inputs, |c| c.rule.starts_with("link.")),
        coverage: rules(inputs, |c| c.rule.starts_with("coverage.")).into_iter().filter(|c| c.left > 0).collect(),
        planned: planned(inputs),
        batches: batches(inputs),
        accepted: accepted(inputs),
    }
}

fn cite((record, audit): (u64, &AuditState)) -> AuditCite {
    let missing = ["coverage.truncated", "coverage.denied", "coverage.stale"];
    let complete = !audit.counts.iter().any(|c| c.findings > 0 && missing.contains(&c.rule.as_str()));
    AuditCite { record, taken_at: audit.taken_at, complete }
}

/// Counts by rule of what is wanted: the most that any audit found, and what the last one found.
pub(crate) fn rules(inputs: &Inputs<'_>, wanted: impl Fn(&untether_model::run::AuditCounts) -> bool) -> Vec<RuleCount> {
    let mut found: BTreeMap<String, RuleCount> = BTreeMap::new();
    let mut last = 0;
    for (record, audit) in inputs.audits() {
        last = record;
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for count in audit.counts.iter().filter(|c| wanted(c)) {
            *sums.entry(count.rule.as_str()).or_default() += count.findings;
        }
        for rule in found.values_mut() {
            rule.left = 0;
        }
        for (rule, sum) in sums {
            let new = RuleCount { rule: rule.to_owned(), found: 0, found_record: record, left: 0, left_record: record };
            let count = found.entry(rule.to_owned()).or_insert(new);
            count.left = sum;
            if sum > count.found {
                count.found = sum;
                count.found_record = record;
            }
        }
    }
    found.into_values().map(|rule| RuleCount { left_record: last, ..rule }).collect()
}

/// One count over several rules, under a name of its own; `None` without an audit.
pub(crate) fn sum(
    inputs: &Inputs<'_>,
    name: &str,
    wanted: impl Fn(&untether_model::run::AuditCounts) -> bool,
) -> Option<RuleCount> {
    let mut total: Option<RuleCount> = None;
    for (record, audit) in inputs.audits() {
        let sum = audit.counts.iter().filter(|c| wanted(c)).map(|c| c.findings).sum();
        let total = total.get_or_insert(RuleCount {
            rule: name.to_owned(),
            found: 0,
            found_record: record,
            left: 0,
            left_record: record,
        });
        (total.left, total.left_record) = (sum, record);
        if sum > total.found {
            (total.found, total.found_record) = (sum, record);
        }
    }
    total
}

fn planned(inputs: &Inputs<'_>) -> Vec<PlannedWave> {
    let plans = inputs.state.orders().iter().filter(|(_, order)| matches!(order.kind, OrderKind::Plan));
    let recorded = |id| inputs.history.orders.get(id).map(|cite| cite.record);
    let Some((plan, order)) = plans.max_by_key(|(id, order)| (recorded(*id), order.recorded_at)) else {
        return Vec::new();
    };
    let waves = order
        .waves
        .iter()
        .filter(|wave| !inputs.state.waves().contains_key(&untether_model::WaveId::new(plan.clone(), wave.name.as_str())));
    waves
        .map(|wave| {
            let policy = inputs.wave(&wave.name);
            let entities: Vec<EntityId> = match policy {
                Some(policy) if policy.entities.is_empty() => inputs.entities.keys().cloned().collect(),
                Some(policy) => policy.entities.clone(),
                None => Vec::new(),
            };
            let of_entities = entities.iter().filter_map(|id| inputs.entities.get(id)).filter_map(|e| e.deadline).min();
            PlannedWave {
                plan: plan.clone(),
                record: recorded(plan),
                wave: wave.name.clone(),
                subjects: wave.subjects,
                operations: wave.operations,
                by: policy.and_then(|p| p.deadline).or(of_entities),
                tracks: policy.map(|p| p.tracks.clone()).unwrap_or_default(),
                entities,
                executable: order.executable,
            }
        })
        .collect()
}

fn batches(inputs: &Inputs<'_>) -> Vec<BatchProgress> {
    let state = inputs.state;
    let mut found = Vec::new();
    for (id, wave) in state.waves() {
        for batch in &wave.batches {
            let Some(b) = state.batches().get(batch) else { continue };
            let parked = b.subjects.iter().filter_map(|s| state.subjects().get(s));
            let parked = parked.filter(|s| s.batch == *batch && s.parked.is_some()).count();
            found.push(BatchProgress {
                id: batch.clone(),
                wave: wave.status,
                started: inputs.history.waves_started.get(id).copied(),
                closed: inputs.history.waves_closed.get(id).copied(),
                canary: b.canary,
                subjects: count(b.subjects.len()),
                parked: count(parked),
                current: b.current,
                ended: b.ended,
                round: b.round.0,
                halted: b.halted.clone(),
                history: inputs.history.batches.get(batch).cloned().unwrap_or_default(),
            });
        }
    }
    found
}

fn accepted(inputs: &Inputs<'_>) -> Vec<AcceptedGate> {
    let all = inputs.state.accepted().iter();
    all.map(|(record, a)| AcceptedGate {
        record: *record,
        at: inputs.history.written.get(record).copied(),
        gate: a.gate,
        scope: a.scope.to_string(),
        by: a.signed.approver.clone(),
        reason: a.signed.statement.reason.clone(),
        until: a.signed.statement.not_after,
    })
    .collect()
}

/// A number of things in memory.
pub(crate) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
