//! The planning report: lines in a fixed order, and the forecast against the deadlines.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use untether_model::EntityId;
use untether_model::operation::Stage;
use untether_model::plan::{EntityForecast, WaveForecast, WaveRef};
use untether_model::policy::WavePolicy;

use super::Inputs;
use super::candidate::{Candidate, today};
use super::write::Written;
use crate::report::{Note, PlanningReport, Reason, Remark, ReportLine};
use crate::source::{PlanError, Sink};

/// Streams the report's lines and returns its figures.
pub(super) fn report(
    inputs: &Inputs<'_>,
    (candidates, elsewhere): (&[Candidate], u64),
    written: &mut Written,
    sink: &mut dyn Sink,
) -> Result<PlanningReport, PlanError> {
    let mut report = PlanningReport {
        operations: written.bound.operations.clone(),
        undo: written.bound.undo.clone(),
        points_of_no_return: written.bound.points_of_no_return.clone(),
        ..PlanningReport::default()
    };
    let mut send =
        |line: &ReportLine| sink.report(line).map_err(|cause| PlanError::Sink { what: "the planning report".to_owned(), cause });
    if elsewhere > 0 {
        report.not_planned.insert(Reason::NoSharedAccount, elsewhere);
    }
    for candidate in candidates {
        match &candidate.out {
            Some(out) => {
                *report.not_planned.entry(out.reason).or_default() += 1;
                send(&ReportLine::NotPlanned(candidate.report(out)))?;
            }
            None => *report.planned.entry(candidate.track.unwrap_or(untether_model::operation::Track::Hold)).or_default() += 1,
        }
    }
    let empty = empty_waves(inputs, written);
    written.notes.extend(empty);
    for note in std::mem::take(&mut written.notes) {
        *report.notes.entry(note.remark).or_default() += 1;
        send(&ReportLine::Note(note))?;
    }
    let waves = waves(inputs, written)?;
    for wave in &waves {
        send(&ReportLine::Wave(wave.clone()))?;
    }
    let entities = entities(inputs, candidates, written, &waves);
    for entity in &entities {
        send(&ReportLine::Entity(entity.clone()))?;
    }
    for point in &written.bound.points_of_no_return {
        send(&ReportLine::PointOfNoReturn(point.clone()))?;
    }
    report.waves = waves;
    report.entities = entities;
    Ok(report)
}

fn empty_waves(inputs: &Inputs<'_>, written: &Written) -> Vec<Note> {
    let names: BTreeSet<&str> = written.waves().map(|(_, wave)| wave.name.as_str()).collect();
    let empty = inputs.policy.waves.iter().filter(|w| !names.contains(w.name.as_str()));
    let note = |wave: &WavePolicy| {
        let words = format!("wave {} has no subjects", wave.name);
        Note { remark: Remark::EmptyWave, subject: None, dn: None, words }
    };
    empty.map(note).collect()
}

fn seconds(at: Timestamp, add: u64) -> Result<Timestamp, PlanError> {
    let span = SignedDuration::from_secs(i64::try_from(add).unwrap_or(i64::MAX));
    at.checked_add(span).map_err(|_| PlanError::Policy("its waiting times lead past the end of the calendar".to_owned()))
}

fn is_late(end: Timestamp, deadline: Option<Date>, day: impl Fn(Timestamp) -> Date) -> bool {
    deadline.is_some_and(|deadline| day(end) > deadline)
}

fn waves(inputs: &Inputs<'_>, written: &Written) -> Result<Vec<WaveForecast>, PlanError> {
    let mut ends: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut out = Vec::new();
    for (wave, reference) in written.waves() {
        let Some(policy) = inputs.policy.waves.get(wave.policy) else { continue };
        let start = policy.after.iter().filter_map(|name| ends.get(name.as_str())).max().copied().unwrap_or(inputs.now);
        let writing_seconds = writing(reference, inputs.policy.forecast_writes_per_second);
        let soak_seconds = if wave.stages.contains(&Stage::Soak) { wave.soak.seconds } else { 0 };
        let waits = wave.stages.iter().filter(|s| **s != Stage::Soak).count() as u64;
        let canary_seconds = match reference.batches {
            0 | 1 => 0,
            _ => wave.canary_wait.seconds.saturating_mul(waits),
        };
        let total = writing_seconds.saturating_add(soak_seconds).saturating_add(canary_seconds);
        let earliest_end = seconds(start, total)?;
        ends.insert(&reference.name, earliest_end);
        let utc = |at: Timestamp| untether_model::time::local_day(&jiff::tz::TimeZone::UTC, at);
        out.push(WaveForecast {
            wave: reference.name.clone(),
            subjects: reference.subjects,
            entities: wave.by_entity.clone(),
            operations: reference.operations,
            writing_seconds,
            canary_seconds,
            soak_seconds,
            earliest_end,
            deadline: wave.deadline,
            late: is_late(earliest_end, wave.deadline, utc),
        });
    }
    Ok(out)
}

fn writing(wave: &WaveRef, rate: f64) -> u64 {
    if rate.is_nan() || rate <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a forecast; the value is not negative, and casts from floating point saturate"
    )]
    let seconds = (wave.operations as f64 / rate).ceil() as u64;
    seconds
}

fn entities(inputs: &Inputs<'_>, candidates: &[Candidate], written: &Written, waves: &[WaveForecast]) -> Vec<EntityForecast> {
    let mut planned: BTreeMap<&EntityId, u64> = BTreeMap::new();
    let mut waiting: BTreeMap<&EntityId, BTreeMap<String, u64>> = BTreeMap::new();
    for candidate in candidates {
        let Some(entity) = &candidate.entity else { continue };
        match candidate.out.as_ref().map(|o| o.reason) {
            None => *planned.entry(entity).or_default() += 1,
            Some(Reason::Finished | Reason::Protected | Reason::Tool) => {}
            Some(reason) => *waiting.entry(entity).or_default().entry(reason.as_str().to_owned()).or_default() += 1,
        }
    }
    inputs
        .audit
        .entities
        .iter()
        .map(|(id, entity)| {
            let ends = written.waves.iter().zip(waves).filter(|(w, _)| w.by_entity.contains_key(id)).map(|(_, f)| f.earliest_end);
            let earliest_end = ends.max();
            let zone = entity.zone().unwrap_or(jiff::tz::TimeZone::UTC);
            let day = |at: Timestamp| untether_model::time::local_day(&zone, at);
            let reasons = waiting.get(id).cloned().unwrap_or_default();
            let overdue = entity.deadline.is_some_and(|d| !reasons.is_empty() && today(inputs, Some(id)) > d);
            EntityForecast {
                entity: id.clone(),
                planned: planned.get(id).copied().unwrap_or(0),
                waiting: reasons.values().sum(),
                reasons,
                earliest_end,
                deadline: entity.deadline,
                late: overdue || earliest_end.is_some_and(|end| is_late(end, entity.deadline, day)),
            }
        })
        .collect()
}
