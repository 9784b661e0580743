//! From the fold and the history to the report's figures.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use untether_model::operation::Stage;
use untether_model::plan::{OrderKind, WaveForecast};
use untether_model::policy::{Entity, PlanPolicy, WavePolicy};
use untether_model::run::{AuditCounts, AuditState, OrderState, RunState};
use untether_model::{EntityId, PlanId, WaveId};

use crate::groups::Groups;
use crate::history::History;
use crate::progress::{AuditCite, AuditPoint, FindingCount, ProgressReport, RuleCount, Totals};
use crate::{entity, exceptions, findings, gaps, measures, orders, waves};

/// Rules of which an account has at most one: an account that has one is a record that should not be there.
pub(crate) const STATUS_RULES: [&str; 4] =
    ["residual.departed", "residual.contract-ended", "residual.already-separated", "residual.orphan"];

/// What a report is computed from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The fold of the ledger.
    pub state: &'a RunState,
    /// What its records say beside.
    pub history: &'a History,
    /// SHA-256 of the last record's frame, in hexadecimal, where the caller knows it.
    pub head: Option<String>,
    /// The configured entities.
    pub entities: &'a BTreeMap<EntityId, Entity>,
    /// The configured waves: by when they are to be through.
    pub policy: Option<&'a PlanPolicy>,
    /// The present time: what is overdue and what expires is judged by it.
    pub now: Timestamp,
}

impl<'a> Inputs<'a> {
    /// The policy of the wave with this name.
    pub(crate) fn wave(&self, name: &str) -> Option<&'a WavePolicy> {
        self.policy.and_then(|p| p.waves.iter().find(|w| w.name == name))
    }

    /// The present day in this time zone.
    pub(crate) fn today(&self, zone: &TimeZone) -> Date {
        zone.to_datetime(self.now).date()
    }
}

/// The inputs with what several figures need of them.
pub(crate) struct Base<'a> {
    pub inputs: &'a Inputs<'a>,
    pub groups: Groups<'a>,
    /// Audits that say what was there when they were made, oldest first.
    pub audits: Vec<(u64, &'a AuditState)>,
    /// The audit that figures of what is left rest on: the last complete one, else the last one.
    pub basis: Option<(u64, &'a AuditState)>,
    /// The last plan, with its record.
    pub plan: Option<(&'a PlanId, &'a OrderState)>,
    pub zone: TimeZone,
}

impl<'a> Base<'a> {
    fn new(inputs: &'a Inputs<'a>, zone: &str) -> Self {
        let all = inputs.state.audits().iter().map(|(seq, audit)| (*seq, audit));
        let audits: Vec<(u64, &AuditState)> = all.filter(|(seq, _)| !inputs.history.other_day.contains_key(seq)).collect();
        let complete = audits.iter().rev().find(|(_, audit)| is_complete(audit));
        let basis = complete.or(audits.last()).copied();
        let plans = inputs.state.orders().iter().filter(|(_, order)| matches!(order.kind, OrderKind::Plan));
        let plan = plans.max_by_key(|(id, order)| (inputs.history.orders.get(*id), order.recorded_at));
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        Self { inputs, groups: Groups::of(inputs.state, inputs.history), audits, basis, plan, zone }
    }

    /// The record by which an order was made.
    pub fn recorded(&self, order: &PlanId) -> Option<u64> {
        self.inputs.history.orders.get(order).map(|cite| cite.record)
    }

    /// What was foreseen of a wave when it was planned.
    pub fn forecast(&self, wave: &WaveId) -> Option<&'a WaveForecast> {
        let order = self.inputs.state.orders().get(&wave.plan)?;
        order.forecast.as_ref()?.waves.iter().find(|found| found.wave == wave.wave)
    }

    /// Counts by rule of what is wanted: the most that any audit found, and what is left.
    pub fn rules(&self, wanted: impl Fn(&AuditCounts) -> bool) -> Vec<RuleCount> {
        let names: BTreeSet<&str> =
            self.audits.iter().flat_map(|(_, a)| &a.counts).filter(|c| wanted(c)).map(|c| c.rule.as_str()).collect();
        names.into_iter().filter_map(|name| self.sum(name, |c| c.rule == name && wanted(c))).collect()
    }

    /// One count over several rules, under a name of its own; `None` without an audit.
    pub fn sum(&self, name: &str, wanted: impl Fn(&AuditCounts) -> bool) -> Option<RuleCount> {
        let count = |audit: &AuditState| audit.counts.iter().filter(|c| wanted(c)).map(|c| c.findings).sum::<u64>();
        let (left_record, basis) = self.basis?;
        // The first of several that found as much is the one that tells since when.
        let most = self.audits.iter().map(|(record, audit)| (count(audit), *record)).reduce(|a, b| if b.0 > a.0 { b } else { a });
        let (found, found_record) = most?;
        let (left, complete) = (count(basis), is_complete(basis));
        Some(RuleCount { rule: name.to_owned(), found, found_record, left, left_record, complete })
    }
}

/// Whether nothing that could hold entries was missing.
pub(crate) fn is_complete(audit: &AuditState) -> bool {
    let missing = ["coverage.truncated", "coverage.denied", "coverage.stale"];
    audit.complete && !audit.counts.iter().any(|c| c.findings > 0 && missing.contains(&c.rule.as_str()))
}

fn cite((record, audit): (u64, &AuditState)) -> AuditCite {
    AuditCite { record, taken_at: audit.taken_at, complete: is_complete(audit) }
}

/// The report.
pub fn compute(inputs: &Inputs<'_>) -> ProgressReport {
    let zone = common_zone(inputs.entities);
    let base = Base::new(inputs, &zone);
    let mut ids: BTreeSet<EntityId> = inputs.entities.keys().cloned().collect();
    ids.extend(base.groups.iter().map(|(key, _)| key.entity.clone()));
    for (_, audit) in &base.audits {
        ids.extend(audit.subjects.iter().map(|(entity, _, _)| EntityId::new(entity.as_str())));
        let judged = audit.counts.iter().filter(|c| c.rule.starts_with("residual."));
        ids.extend(judged.map(|c| c.entity.clone().unwrap_or_else(|| EntityId::new(entity::UNASSIGNED))));
    }
    let mut entities: Vec<_> = ids.iter().map(|id| entity::progress(&base, id)).filter(is_told).collect();
    // Those come first whose deadline does.
    entities.sort_by_key(|e| (e.deadline.is_none(), e.deadline));
    let newest = base.audits.last().copied();
    let coverage = newest.map(|(record, audit)| coverage(record, audit)).unwrap_or_default();
    ProgressReport {
        made_at: inputs.now,
        as_of: inputs.history.head,
        head: inputs.head.clone(),
        gaps: gaps::gaps(&base),
        first_audit: base.audits.first().copied().map(cite),
        last_audit: base.basis.map(cite),
        audits: inputs.state.audits().iter().map(|(seq, audit)| point(inputs, *seq, audit)).collect(),
        totals: totals(&base, &entities),
        measures: measures::measures(&base, &entities),
        entities,
        findings: findings::figures(&base),
        rules: counts(&base),
        links: base.rules(|c| c.rule.starts_with("link.")),
        coverage,
        planned: waves::planned(&base),
        waves: waves::waves(&base),
        batches: waves::batches(&base),
        orders: orders::orders(&base),
        exceptions: exceptions::exceptions(&base),
        approvals: orders::approvals(&base),
        rehearsals: inputs.history.rehearsals.clone(),
        events: inputs.history.events.clone(),
        zone,
    }
}

/// The time zone that most entities share.
fn common_zone(entities: &BTreeMap<EntityId, Entity>) -> String {
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for entity in entities.values() {
        *zones.entry(&entity.time_zone).or_default() += 1;
    }
    let most = zones.into_iter().max_by_key(|(name, n)| (*n, std::cmp::Reverse(*name)));
    most.map_or_else(|| "UTC".to_owned(), |(name, _)| name.to_owned())
}

/// Subjects of no entity are told of where there are any.
fn is_told(entity: &crate::progress::EntityProgress) -> bool {
    entity.id.as_str() != entity::UNASSIGNED
        || !entity.tracks.is_empty()
        || !entity.links.is_empty()
        || entity.subjects.as_ref().is_some_and(|s| s.counts.values().any(|n| *n > 0))
        || entity.accounts.is_some_and(|a| a.most > 0)
        || entity.residual.as_ref().is_some_and(|r| r.records.found > 0)
}

/// What an audit could not look at. Here the audit is the newest one, whether it is complete or not.
fn coverage(record: u64, audit: &AuditState) -> Vec<RuleCount> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for count in audit.counts.iter().filter(|c| c.findings > 0 && c.rule.starts_with("coverage.")) {
        *sums.entry(count.rule.as_str()).or_default() += count.findings;
    }
    let complete = is_complete(audit);
    let row = |(rule, n): (&str, u64)| RuleCount {
        rule: rule.to_owned(),
        found: n,
        found_record: record,
        left: n,
        left_record: record,
        complete,
    };
    sums.into_iter().map(row).collect()
}

fn point(inputs: &Inputs<'_>, record: u64, audit: &AuditState) -> AuditPoint {
    let count = |wanted: &dyn Fn(&AuditCounts) -> bool| audit.counts.iter().filter(|c| wanted(c)).map(|c| c.findings).sum();
    let accounts = audit.entities.as_ref().map(|all| {
        all.iter().fold(untether_model::run::AccountCounts::default(), |mut sum, entity| {
            sum.accounts += entity.shared.accounts;
            sum.open += entity.shared.open;
            sum.credentials += entity.shared.credentials;
            sum.protected += entity.shared.protected;
            sum
        })
    });
    AuditPoint {
        audit: cite((record, audit)),
        judged: inputs.history.other_day.get(&record).copied(),
        records: count(&|c| c.store == "shared" && STATUS_RULES.contains(&c.rule.as_str())),
        credentials: count(&|c| c.store == "shared" && c.rule == "residual.credential"),
        links: count(&|c| c.rule.starts_with("link.")),
        accounts,
    }
}

fn counts(base: &Base<'_>) -> Vec<FindingCount> {
    let mut keys: BTreeSet<(&str, Option<&EntityId>, &str)> = BTreeSet::new();
    for count in
        base.audits.iter().flat_map(|(_, audit)| &audit.counts).filter(|c| c.findings > 0 && !c.rule.starts_with("coverage."))
    {
        keys.insert((&count.rule, count.entity.as_ref(), &count.store));
    }
    let row = |(rule, entity, store): (&str, Option<&EntityId>, &str)| {
        let is_it = |c: &AuditCounts| c.rule == rule && c.entity.as_ref() == entity && c.store == store;
        let severe = base.basis.map_or(0, |(_, audit)| audit.counts.iter().filter(|c| is_it(c)).map(|c| c.severe).sum());
        let count = base.sum(rule, is_it)?;
        Some(FindingCount { entity: entity.cloned(), store: store.to_owned(), count, severe })
    };
    keys.into_iter().filter_map(row).collect()
}

fn totals(base: &Base<'_>, entities: &[crate::progress::EntityProgress]) -> Totals {
    let mut totals = Totals::default();
    for (_, group) in base.groups.iter() {
        totals.subjects += group.subjects;
        totals.finished += group.finished;
        totals.parked += group.parked_in_all();
        totals.under_way += group.standing.values().sum::<u64>();
        totals.disabled += group.stages.get(&Stage::Disable).map_or(0, |tally| tally.ended);
    }
    totals.planned = entities.iter().map(|e| e.outlook.planned).sum();
    totals.unplanned = base.unplanned_in_all();
    totals
}

/// A number of things in memory.
pub(crate) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
