//! The figures of one entity.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use untether_model::operation::{Stage, Track};
use untether_model::policy::Entity;
use untether_model::run::{AuditCounts, WaveStatus};
use untether_model::{EntityId, WaveId};

use crate::compute::{Base, STATUS_RULES};
use crate::groups::{Group, GroupKey, Groups};
use crate::history::Cite;
use crate::outlook::outlook;
use crate::progress::{
    Accounts, EntityProgress, Milestone, MilestoneState, Presences, Proofs, Residual, StageCount, Standing, TrackProgress,
};

/// What an audit calls the entity of subjects that belong to none.
pub(crate) const UNASSIGNED: &str = "unassigned";

type Members<'a, 's> = Vec<(GroupKey<'a>, &'s Group)>;

/// Whether a count's entity is the one with this id.
pub(crate) fn is_of(entity: Option<&EntityId>, id: &EntityId) -> bool {
    entity.map_or(id.as_str() == UNASSIGNED, |entity| entity == id)
}

/// The figures of the entity with this id, configured or not.
pub(crate) fn progress(base: &Base<'_>, id: &EntityId) -> EntityProgress {
    let entity = base.inputs.entities.get(id);
    let name = entity.map_or_else(|| id.as_str().to_owned(), |e| e.name.clone());
    let zone = entity.and_then(Entity::zone).unwrap_or(TimeZone::UTC);
    let deadline = entity.and_then(|e| e.deadline);
    let members: Members<'_, '_> = base.groups.of_entity(id).collect();
    let outlook = outlook(base, id, (&zone, deadline));
    EntityProgress {
        id: id.clone(),
        name_ja: entity.and_then(|e| e.name_ja.clone()).unwrap_or_else(|| name.clone()),
        name,
        deadline,
        overdue: outlook.standing == Standing::Overdue,
        outlook,
        subjects: presences(base, id),
        tracks: tracks(&members),
        milestones: milestones(base, &members, (&zone, deadline)),
        accounts: accounts(base, id),
        residual: residual(base, id),
        links: base.rules(|c| c.rule.starts_with("link.") && is_of(c.entity.as_ref(), id)),
        proofs: proofs(&members),
    }
}

fn presences(base: &Base<'_>, id: &EntityId) -> Option<Presences> {
    let (record, audit) = base.basis?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (_, presence, n) in audit.subjects.iter().filter(|(entity, _, _)| entity == id.as_str()) {
        *counts.entry(presence.clone()).or_default() += n;
    }
    Some(Presences { record, counts })
}

fn accounts(base: &Base<'_>, id: &EntityId) -> Option<Accounts> {
    let of = |audit: &untether_model::run::AuditState| {
        let all = audit.entities.as_ref()?;
        Some(all.iter().find(|c| is_of(c.entity.as_ref(), id)).cloned().unwrap_or_default())
    };
    let (record, audit) = base.basis?;
    let counts = of(audit)?;
    let all = base.audits.iter().filter_map(|(record, audit)| Some((of(audit)?.shared.accounts, *record)));
    let (most, most_record) = all.reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    Some(Accounts { record, shared: counts.shared, independent: counts.independent, unmoved: counts.unmoved, most, most_record })
}

fn tracks(members: &Members<'_, '_>) -> Vec<TrackProgress> {
    let mut found = Vec::new();
    for track in Track::ALL {
        let groups: Vec<&Group> = members.iter().filter(|(key, _)| key.track == track).map(|(_, group)| *group).collect();
        if groups.is_empty() {
            continue;
        }
        let mut progress =
            TrackProgress { track, subjects: 0, finished: 0, parked: 0, parked_because: BTreeMap::new(), stages: Vec::new() };
        let mut stages: BTreeMap<Option<Stage>, u64> = BTreeMap::new();
        for group in groups {
            progress.subjects += group.subjects;
            progress.finished += group.finished;
            progress.parked += group.parked_in_all();
            for (reason, n) in &group.parked {
                *progress.parked_because.entry(*reason).or_default() += n;
            }
            for (ended, n) in &group.standing {
                *stages.entry(*ended).or_default() += n;
            }
        }
        progress.stages = stages.into_iter().map(|(ended, subjects)| StageCount { ended, subjects }).collect();
        found.push(progress);
    }
    found
}

/// One stage of one track in one wave.
#[derive(Default)]
struct Sum {
    applies: u64,
    ended: u64,
    parked: u64,
    last: Option<Cite>,
}

fn milestones(base: &Base<'_>, members: &Members<'_, '_>, (zone, deadline): (&TimeZone, Option<Date>)) -> Vec<Milestone> {
    let mut sums: BTreeMap<(&WaveId, Track, Stage), Sum> = BTreeMap::new();
    for (key, group) in members {
        for (stage, tally) in &group.stages {
            let sum = sums.entry((&key.batch.wave, key.track, *stage)).or_default();
            sum.applies += tally.applies;
            sum.ended += tally.ended;
            sum.parked += tally.parked;
            let ended = Groups::ended_by(base.inputs.history, *key, *stage, tally).map(|(cite, _)| cite).max();
            sum.last = sum.last.max(ended);
        }
    }
    let today = base.inputs.today(zone);
    let milestone = |((wave, track, stage), sum): ((&WaveId, Track, Stage), Sum)| {
        let planned = base.forecast(wave).and_then(|f| f.deadline);
        let by = planned.or_else(|| base.inputs.wave(&wave.wave).and_then(|w| w.deadline)).or(deadline);
        let overdue = by.is_some_and(|day| day < today);
        let aborted = base.inputs.state.waves().get(wave).is_some_and(|w| w.status == WaveStatus::Aborted);
        let state = if sum.ended == sum.applies {
            let on = sum.last.map(|cite| zone.to_datetime(cite.at).date());
            MilestoneState::Done { on, record: sum.last.map(|cite| cite.record) }
        } else if aborted {
            MilestoneState::GivenUp
        } else if sum.ended == 0 {
            MilestoneState::Planned { by, overdue }
        } else {
            MilestoneState::Underway { by, overdue }
        };
        Milestone { wave: wave.clone(), track, stage, subjects: sum.applies, done: sum.ended, parked: sum.parked, state }
    };
    sums.into_iter().map(milestone).collect()
}

fn residual(base: &Base<'_>, id: &EntityId) -> Option<Residual> {
    let here = |c: &AuditCounts| c.store == "shared" && is_of(c.entity.as_ref(), id);
    Some(Residual {
        records: base.sum("records", |c| here(c) && STATUS_RULES.contains(&c.rule.as_str()))?,
        credentials: base.sum("credentials", |c| here(c) && c.rule == "residual.credential")?,
        rules: base.rules(|c| here(c) && c.rule.starts_with("residual.")),
    })
}

fn proofs(members: &Members<'_, '_>) -> Proofs {
    let mut found = Proofs::default();
    for (_, group) in members {
        found.complete += group.proved;
        found.partial += group.partial;
        for (what, n) in &group.unproved {
            *found.missing.entry(what.clone()).or_default() += n;
        }
    }
    found
}
