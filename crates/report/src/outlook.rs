//! When an entity will be through: from what the plan needs at least, and from the pace of the last weeks.
//!
//! Nobody knows when people at gates hurry, when an approval comes or a conflict is decided on. So a day is said only for what is
//! scheduled and moves; whatever is parked, in no plan, or has not moved for weeks makes the outlook unknown.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use untether_model::EntityId;
use untether_model::operation::Stage;

use crate::compute::{Base, STATUS_RULES, is_complete};
use crate::groups::{Group, GroupKey, Groups};
use crate::history::Cite;
use crate::progress::{Basis, Missing, Outlook, Standing};

/// Days over which the pace is taken.
pub(crate) const PACE_DAYS: u32 = 28;
const DAY_SECONDS: i64 = 86_400;

/// Subjects of an entity that the last plan does not take, and why.
struct Unplanned {
    subjects: u64,
    reasons: BTreeMap<String, u64>,
    record: u64,
}

/// The counts that an outlook starts from.
#[derive(Default)]
struct Counts {
    finished: u64,
    parked: u64,
    under_way: u64,
    planned: u64,
    /// Of those under way or planned, who still have to be disabled.
    to_disable: u64,
    /// Of these, who are in a started wave.
    to_disable_now: u64,
    /// The last record by which anybody ended a stage.
    last: Option<Cite>,
}

/// The outlook of one entity.
pub(crate) fn outlook(base: &Base<'_>, id: &EntityId, (zone, deadline): (&TimeZone, Option<Date>)) -> Outlook {
    let counts = counts(base, id);
    let today = base.inputs.today(zone);
    let mut missing = Vec::new();
    let unplanned = base.unplanned(id);
    let plan = planned_end(base, id, &counts, &mut missing);
    let pace = pace(base, id, &counts, &mut missing);
    let left = counts.under_way + counts.parked + counts.planned + unplanned.as_ref().map_or(0, |u| u.subjects);
    if counts.parked > 0 {
        missing.push(Missing::Parked { subjects: counts.parked });
    }
    if let Some(Unplanned { subjects, reasons, record }) = unplanned.filter(|u| u.subjects > 0) {
        missing.push(Missing::Unplanned { subjects, reasons, record });
    }
    let mut basis = Vec::new();
    let day = |at: Timestamp| zone.to_datetime(at).date();
    let scheduled = counts.under_way + counts.planned > 0;
    let ends: Vec<Timestamp> = [plan.map(|(end, _)| end), pace.map(|p| p.end)].into_iter().flatten().collect();
    if let Some((end, record)) = plan {
        basis.push(Basis::Plan { record, day: day(end) });
    }
    if let Some(pace) = pace {
        let (disabled, days, left) = (pace.disabled, pace.days, counts.to_disable);
        basis.push(Basis::Pace { disabled, days, left, day: day(pace.end) });
    }
    let through = if left == 0 { ended(base, id, &counts) } else { Err(Vec::new()) };
    let standing = match through {
        Ok(()) => Standing::Done,
        Err(why) => {
            missing.extend(why);
            if deadline.is_none() {
                missing.push(Missing::NoDeadline);
            }
            let forecast = ends.iter().max().map(|end| day(*end));
            match deadline {
                Some(deadline) if deadline < today => Standing::Overdue,
                Some(deadline) if forecast.is_some_and(|day| day > deadline) => Standing::Late,
                Some(_) if missing.is_empty() && forecast.is_some() => Standing::OnTime,
                _ => Standing::Unknown,
            }
        }
    };
    let forecast = ends.into_iter().max().map(day).filter(|_| scheduled);
    Outlook {
        standing,
        day: forecast,
        slack_days: forecast.zip(deadline).map(|(day, deadline)| i64::from((deadline - day).get_days())),
        disabled_by: disabled_by(base, &counts, pace.as_ref()).map(day),
        basis,
        missing,
        under_way: counts.under_way,
        planned: counts.planned,
    }
}

fn counts(base: &Base<'_>, id: &EntityId) -> Counts {
    let mut counts = Counts::default();
    for (key, group) in base.groups.of_entity(id) {
        counts.finished += group.finished;
        counts.parked += group.parked_in_all();
        counts.under_way += group.standing.values().sum::<u64>();
        counts.to_disable_now += before(group, Stage::Disable);
        for (stage, tally) in &group.stages {
            let ended = Groups::ended_by(base.inputs.history, key, *stage, tally).map(|(cite, _)| cite).max();
            counts.last = counts.last.max(ended);
        }
    }
    counts.planned = base.unstarted().filter_map(|(_, forecast)| forecast?.entities.get(id)).sum();
    counts.to_disable = counts.to_disable_now + counts.planned;
    counts
}

/// Unparked subjects of a group to whom a stage applies and who have not ended it.
fn before(group: &Group, stage: Stage) -> u64 {
    if !group.stages.contains_key(&stage) {
        return 0;
    }
    group.standing.iter().filter(|(ended, _)| ended.is_none_or(|ended| ended < stage)).map(|(_, n)| n).sum()
}

fn later(at: Timestamp, seconds: u64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))).unwrap_or(Timestamp::MAX)
}

/// The earliest end of everything of the entity that is scheduled, with the record of the plan that says so.
fn planned_end(base: &Base<'_>, id: &EntityId, counts: &Counts, missing: &mut Vec<Missing>) -> Option<(Timestamp, u64)> {
    let now = base.inputs.now;
    let mut ends: Vec<(Timestamp, u64)> = Vec::new();
    let mut stalled = 0;
    for (key, group) in base.groups.of_entity(id).filter(|(_, group)| !group.standing.is_empty()) {
        let record = base.recorded(&key.batch.wave.plan).unwrap_or(0);
        stalled += stands_still(base, key, group);
        match batch_end(base, key, group) {
            Some(end) => ends.push((end, record)),
            None => missing.push(Missing::NoForecast { record }),
        }
    }
    for (plan, forecast) in base.unstarted() {
        let record = base.recorded(plan).unwrap_or(0);
        match forecast {
            Some(f) if f.entities.contains_key(id) => {
                let needs = f.writing_seconds.saturating_add(f.canary_seconds).saturating_add(f.soak_seconds);
                ends.push((f.earliest_end.max(later(now, needs)), record));
            }
            Some(_) => {}
            None => missing.push(Missing::NoForecast { record }),
        }
    }
    missing.dedup();
    if stalled > 0 {
        missing.push(Missing::Stalled { subjects: stalled, days: PACE_DAYS });
    }
    if ends.is_empty() && counts.finished + counts.parked == 0 && base.plan.is_none() {
        missing.push(Missing::NoPlan);
    }
    ends.into_iter().max()
}

/// When the soak of a batch is over, where it has begun.
fn soak_over(base: &Base<'_>, key: GroupKey<'_>, soak_seconds: u64) -> Option<Timestamp> {
    let disabled_at = base.inputs.state.batches().get(key.batch).and_then(|batch| batch.disabled_at);
    disabled_at.map(|at| later(at, soak_seconds))
}

/// Subjects of a group that are disabled, whose soak is over, and that ended no stage for weeks: somebody or something is waited for.
fn stands_still(base: &Base<'_>, key: GroupKey<'_>, group: &Group) -> u64 {
    if before(group, Stage::Disable) > 0 {
        return 0;
    }
    let window = window(base);
    let moved = base.inputs.history.batches.get(key.batch).and_then(|b| b.ended.values().max());
    let soak = base.forecast(&key.batch.wave).map_or(0, |f| f.soak_seconds);
    let watched = soak_over(base, key, soak).is_some_and(|over| over > window);
    if moved.is_some_and(|cite| cite.at >= window) || watched { 0 } else { group.standing.values().sum() }
}

/// The beginning of the days over which the pace is taken.
fn window(base: &Base<'_>) -> Timestamp {
    base.inputs.now.checked_sub(SignedDuration::from_hours(24 * i64::from(PACE_DAYS))).unwrap_or(Timestamp::MIN)
}

/// The earliest end of what a group still has to do; `None`: the plan does not say how long it is watched.
fn batch_end(base: &Base<'_>, key: GroupKey<'_>, group: &Group) -> Option<Timestamp> {
    let now = base.inputs.now;
    let wave = &key.batch.wave;
    let policy = || Some(base.inputs.policy?.pace_of(base.inputs.wave(&wave.wave)?, key.entity));
    let (soak, writing) = match (base.forecast(wave), policy()) {
        (Some(f), _) => (f.soak_seconds, f.writing_seconds / f.subjects.max(1) * group.standing.values().sum::<u64>()),
        (None, Some(pace)) => (pace.soak.seconds, 0),
        (None, None) => return None,
    };
    if before(group, Stage::Disable) > 0 {
        return Some(later(now, soak.saturating_add(writing)));
    }
    let over = soak_over(base, key, soak).filter(|_| before(group, Stage::Soak) > 0);
    Some(over.map_or(now, |over| over.max(now)))
}

/// How fast subjects of an entity were disabled lately.
#[derive(Clone, Copy)]
struct Pace {
    disabled: u64,
    days: u32,
    /// When the last one is disabled at this pace.
    disabled_at: Timestamp,
    /// The same with the soak that follows.
    end: Timestamp,
}

fn pace(base: &Base<'_>, id: &EntityId, counts: &Counts, missing: &mut Vec<Missing>) -> Option<Pace> {
    if counts.to_disable == 0 {
        return None;
    }
    let (history, now) = (base.inputs.history, base.inputs.now);
    let window = window(base);
    let (mut disabled, mut begun, mut soak) = (0, None, 0);
    for (key, group) in base.groups.of_entity(id) {
        let started = history.batches.get(key.batch).and_then(|b| b.disabling).map(|cite| cite.at);
        begun = begun.into_iter().chain(started).min();
        let Some(tally) = group.stages.get(&Stage::Disable) else { continue };
        let recent = Groups::ended_by(history, key, Stage::Disable, tally).filter(|(cite, _)| cite.at >= window);
        disabled += recent.map(|(_, n)| n).sum::<u64>();
        if before(group, Stage::Disable) > 0 {
            soak = soak.max(base.forecast(&key.batch.wave).map_or(0, |f| f.soak_seconds));
        }
    }
    let planned = base.unstarted().filter_map(|(_, forecast)| forecast).filter(|f| f.entities.contains_key(id));
    soak = planned.map(|f| f.soak_seconds).chain([soak]).max().unwrap_or(0);
    let seconds = begun.map_or(0, |begun| now.duration_since(begun.max(window)).as_secs()).max(DAY_SECONDS);
    let days = u32::try_from(seconds.div_euclid(DAY_SECONDS) + i64::from(seconds % DAY_SECONDS > 0)).unwrap_or(PACE_DAYS);
    if disabled == 0 {
        if counts.to_disable_now > 0 {
            missing.push(Missing::NoPace { subjects: counts.to_disable_now, days: PACE_DAYS });
        }
        return None;
    }
    let needed = u64::try_from(seconds).unwrap_or(0).saturating_mul(counts.to_disable) / disabled;
    let disabled_at = later(now, needed);
    Some(Pace { disabled, days: days.min(PACE_DAYS), disabled_at, end: later(disabled_at, soak) })
}

/// When everybody of the entity who is scheduled is disabled, as far as that can be told.
fn disabled_by(base: &Base<'_>, counts: &Counts, pace: Option<&Pace>) -> Option<Timestamp> {
    match (counts.to_disable, pace) {
        (0, _) => Some(base.inputs.now),
        (_, Some(pace)) => Some(pace.disabled_at),
        (_, None) => None,
    }
}

/// Whether a later complete audit found nothing of the entity in the shared store; else what stands in the way.
fn ended(base: &Base<'_>, id: &EntityId, counts: &Counts) -> Result<(), Vec<Missing>> {
    let later = |record: u64| counts.last.is_none_or(|last| record > last.record);
    let Some((record, audit)) = base.basis.filter(|(record, audit)| is_complete(audit) && later(*record)) else {
        return Err(vec![Missing::NotAudited]);
    };
    let Some(found) = audit.entities.as_ref() else { return Err(vec![Missing::NotAudited]) };
    let here = |c: &&untether_model::run::EntityCounts| crate::entity::is_of(c.entity.as_ref(), id);
    let residual = |c: &&untether_model::run::AuditCounts| {
        c.store == "shared" && STATUS_RULES.contains(&c.rule.as_str()) && crate::entity::is_of(c.entity.as_ref(), id)
    };
    let residual = audit.counts.iter().filter(residual).map(|c| c.findings).sum::<u64>();
    match found.iter().find(here).map_or(0, |c| c.shared.accounts).max(residual) {
        0 => Ok(()),
        accounts if counts.finished == 0 => Err(vec![Missing::NoPlan, Missing::StillThere { accounts, record }]),
        accounts => Err(vec![Missing::StillThere { accounts, record }]),
    }
}

impl<'a> Base<'a> {
    /// Waves of the last plan that have not started, with what was foreseen of each.
    fn unstarted(
        &self,
    ) -> impl Iterator<Item = (&'a untether_model::PlanId, Option<&'a untether_model::plan::WaveForecast>)> + '_ {
        self.plan.into_iter().flat_map(move |(id, order)| {
            let started = |name: &str| {
                let wave = untether_model::WaveId::new(id.clone(), name);
                self.inputs.state.waves().contains_key(&wave)
            };
            let waves = order.waves.iter().filter(move |wave| !started(&wave.name));
            waves
                .map(move |wave| (id, order.forecast.as_ref().and_then(|f| f.waves.iter().find(|found| found.wave == wave.name))))
        })
    }

    fn unplanned(&self, id: &EntityId) -> Option<Unplanned> {
        let (plan, order) = self.plan?;
        let found = order.forecast.as_ref()?.entities.iter().find(|f| f.entity == *id)?;
        let mut reasons = found.reasons.clone();
        // Those are in some wave, and counted there.
        reasons.remove("claimed");
        Some(Unplanned { subjects: reasons.values().sum(), reasons, record: self.recorded(plan).unwrap_or(0) })
    }

    /// Subjects of an entity that the last plan does not take; `None`: no plan says.
    pub fn unplanned_of(&self, id: &EntityId) -> Option<u64> {
        self.unplanned(id).map(|u| u.subjects)
    }

    /// The same of all entities.
    pub fn unplanned_in_all(&self) -> Option<u64> {
        let (_, order) = self.plan?;
        let forecast = order.forecast.as_ref()?;
        Some(forecast.entities.iter().filter_map(|f| self.unplanned_of(&f.entity)).sum())
    }
}
