//! The figures of one entity.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use untether_model::operation::{Stage, Track};
use untether_model::policy::Entity;
use untether_model::run::{AuditCounts, Observation, SubjectState, WaveStatus};
use untether_model::{EntityId, SubjectId, WaveId};

use crate::compute::{Inputs, count, rules, sum};
use crate::progress::{EntityProgress, Milestone, MilestoneState, Presences, Proofs, Residual, StageCount, TrackProgress};

/// Rules of which an account has at most one: an account that has one is a record that should not be there.
const STATUS_RULES: [&str; 4] = ["residual.departed", "residual.contract-ended", "residual.already-separated", "residual.orphan"];

/// What an audit calls the entity of subjects that belong to none.
pub(crate) const UNASSIGNED: &str = "unassigned";

type Members<'a> = Vec<(&'a SubjectId, &'a SubjectState)>;

/// The figures of the entity with this id, configured or not.
pub(crate) fn progress(inputs: &Inputs<'_>, id: &EntityId) -> EntityProgress {
    let entity = inputs.entities.get(id);
    let name = entity.map_or_else(|| id.as_str().to_owned(), |e| e.name.clone());
    let zone = entity.and_then(Entity::zone).unwrap_or(TimeZone::UTC);
    let deadline = entity.and_then(|e| e.deadline);
    let members: Members<'_> = inputs.state.subjects().iter().filter(|(_, s)| s.entity == *id).collect();
    let milestones = milestones(inputs, &members, (&zone, deadline));
    let residual = residual(inputs, id);
    let open = milestones.iter().any(|m| matches!(m.state, MilestoneState::Underway { .. } | MilestoneState::Planned { .. }))
        || residual.as_ref().is_some_and(|r| r.records.left > 0);
    EntityProgress {
        id: id.clone(),
        name_ja: entity.and_then(|e| e.name_ja.clone()).unwrap_or_else(|| name.clone()),
        name,
        deadline,
        overdue: open && deadline.is_some_and(|day| day < inputs.today(&zone)),
        subjects: presences(inputs, id),
        tracks: tracks(&members),
        milestones,
        residual,
        links: rules(inputs, |c| c.rule.starts_with("link.") && of(c, id)),
        proofs: proofs(inputs, &members),
    }
}

fn of(count: &AuditCounts, id: &EntityId) -> bool {
    count.entity.as_ref().map_or(id.as_str() == UNASSIGNED, |entity| entity == id)
}

fn presences(inputs: &Inputs<'_>, id: &EntityId) -> Option<Presences> {
    let (record, audit) = inputs.audits().last()?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (_, presence, n) in audit.subjects.iter().filter(|(entity, _, _)| entity == id.as_str()) {
        *counts.entry(presence.clone()).or_default() += n;
    }
    Some(Presences { record, counts })
}

fn tracks(members: &Members<'_>) -> Vec<TrackProgress> {
    let mut found = Vec::new();
    for track in Track::ALL {
        let of_track: Vec<&SubjectState> = members.iter().map(|(_, s)| *s).filter(|s| s.track == track).collect();
        if of_track.is_empty() {
            continue;
        }
        let parked = of_track.iter().filter(|s| s.parked.is_some()).count();
        let finished = of_track.iter().filter(|s| s.parked.is_none() && s.is_finished()).count();
        let mut stages: BTreeMap<Option<Stage>, u64> = BTreeMap::new();
        for subject in of_track.iter().filter(|s| s.parked.is_none() && !s.is_finished()) {
            *stages.entry(subject.ended).or_default() += 1;
        }
        found.push(TrackProgress {
            track,
            subjects: count(of_track.len()),
            finished: count(finished),
            parked: count(parked),
            stages: stages.into_iter().map(|(ended, subjects)| StageCount { ended, subjects }).collect(),
        });
    }
    found
}

fn milestones(inputs: &Inputs<'_>, members: &Members<'_>, (zone, deadline): (&TimeZone, Option<Date>)) -> Vec<Milestone> {
    let mut groups: BTreeMap<(&WaveId, Track), Members<'_>> = BTreeMap::new();
    for (id, subject) in members {
        groups.entry((&subject.batch.wave, subject.track)).or_default().push((id, subject));
    }
    let today = inputs.today(zone);
    let mut found = Vec::new();
    for ((wave, track), group) in groups {
        let by = inputs.wave(&wave.wave).and_then(|w| w.deadline).or(deadline);
        let overdue = by.is_some_and(|day| day < today);
        let aborted = inputs.state.waves().get(wave).is_some_and(|w| w.status == WaveStatus::Aborted);
        for stage in Stage::ALL {
            let to_do: Members<'_> = group.iter().filter(|(_, s)| s.stages.contains(&stage)).copied().collect();
            if to_do.is_empty() {
                continue;
            }
            let has_ended = |s: &SubjectState| s.ended.is_some_and(|ended| ended >= stage);
            let done: Members<'_> = to_do.iter().filter(|(_, s)| has_ended(s)).copied().collect();
            let parked = to_do.iter().filter(|(_, s)| !has_ended(s) && s.parked.is_some()).count();
            let state = if done.len() == to_do.len() {
                let last = done.iter().filter_map(|(id, s)| inputs.history.ended(id, &s.batch, stage)).max();
                let on = last.map(|cite| zone.to_datetime(cite.at).date());
                MilestoneState::Done { on, record: last.map(|cite| cite.record) }
            } else if aborted {
                MilestoneState::GivenUp
            } else if done.is_empty() {
                MilestoneState::Planned { by, overdue }
            } else {
                MilestoneState::Underway { by, overdue }
            };
            found.push(Milestone {
                wave: wave.clone(),
                track,
                stage,
                subjects: count(to_do.len()),
                done: count(done.len()),
                parked: count(parked),
                state,
            });
        }
    }
    found
}

fn residual(inputs: &Inputs<'_>, id: &EntityId) -> Option<Residual> {
    let here = |c: &AuditCounts| c.store == "shared" && of(c, id);
    Some(Residual {
        records: sum(inputs, "records", |c| here(c) && STATUS_RULES.contains(&c.rule.as_str()))?,
        credentials: sum(inputs, "credentials", |c| here(c) && c.rule == "residual.credential")?,
        rules: rules(inputs, |c| here(c) && c.rule.starts_with("residual.")),
    })
}

fn proofs(inputs: &Inputs<'_>, members: &Members<'_>) -> Proofs {
    let mut found = Proofs::default();
    for (id, _) in members {
        let Some(observed) = inputs.state.proofs().get(id) else { continue };
        let Observation::Proof { missing, .. } = &observed.what else { continue };
        if missing.is_empty() {
            found.complete += 1;
        } else {
            found.partial += 1;
        }
        for what in missing {
            *found.missing.entry(what.clone()).or_default() += 1;
        }
    }
    found
}
