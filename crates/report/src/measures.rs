//! What is done for separation, measure by measure, as it may be told to the public.
//!
//! A measure is complete only where everybody has ended its stage *and* a later complete audit found none left. Everything else is
//! planned, whatever was done for it.

use jiff::tz::TimeZone;
use untether_model::EntityId;
use untether_model::operation::{Stage, Track};
use untether_model::policy::Entity;
use untether_model::run::{AuditCounts, AuditState, EntityCounts};

use crate::compute::{Base, is_complete};
use crate::entity::is_of;
use crate::groups::Groups;
use crate::history::Cite;
use crate::progress::{EntityProgress, Measure, MeasureKind, MeasureState, Standing};

/// The measures that are made of a stage, with what an audit must not find any more.
const STAGED: [(MeasureKind, Stage); 4] = [
    (MeasureKind::Move, Stage::Switch),
    (MeasureKind::Disable, Stage::Disable),
    (MeasureKind::Erase, Stage::Scrub),
    (MeasureKind::Remove, Stage::Remove),
];

/// All measures, by kind and entity; the links between the stores themselves last.
pub(crate) fn measures(base: &Base<'_>, entities: &[EntityProgress]) -> Vec<Measure> {
    let mut found = Vec::new();
    for (kind, stage) in STAGED {
        found.extend(entities.iter().filter_map(|entity| staged(base, entity, (kind, stage))));
    }
    for entity in entities {
        found.extend(links(base, Some(entity)));
    }
    found.extend(links(base, None));
    found
}

fn left(kind: MeasureKind, counts: &EntityCounts) -> u64 {
    match kind {
        MeasureKind::Move => counts.unmoved,
        MeasureKind::Disable => counts.shared.open,
        MeasureKind::Erase => counts.shared.credentials,
        MeasureKind::Remove | MeasureKind::Links => counts.shared.accounts,
    }
}

fn staged(base: &Base<'_>, entity: &EntityProgress, (kind, stage): (MeasureKind, Stage)) -> Option<Measure> {
    let zone = base.inputs.entities.get(&entity.id).and_then(Entity::zone).unwrap_or(TimeZone::UTC);
    let (mut subjects, mut done, mut last) = (0, 0, None::<Cite>);
    for (key, group) in base.groups.of_entity(&entity.id) {
        let Some(tally) = group.stages.get(&stage) else { continue };
        subjects += tally.applies;
        done += tally.ended;
        let ended = Groups::ended_by(base.inputs.history, key, stage, tally).map(|(cite, _)| cite).max();
        last = last.max(ended);
    }
    let planned = planned(base, &entity.id, stage);
    let counted = |audit: &AuditState| {
        let all = audit.entities.as_ref()?;
        Some(all.iter().find(|c| is_of(c.entity.as_ref(), &entity.id)).map_or(0, |c| left(kind, c)))
    };
    let most = base.audits.iter().filter_map(|(_, audit)| counted(audit)).max();
    if subjects + planned == 0 && most.is_none_or(|most| most == 0) {
        return None;
    }
    // Only those move who are moved; whoever is in no plan is seen by the audit.
    let unplanned = base.unplanned_of(&entity.id).filter(|_| kind != MeasureKind::Move);
    let worked = done == subjects && planned == 0 && unplanned.unwrap_or(0) == 0;
    let basis = base.basis.and_then(|(record, audit)| Some((record, audit, counted(audit)?)));
    let proved =
        basis.filter(|(record, audit, left)| *left == 0 && is_complete(audit) && last.is_none_or(|last| *record > last.record));
    let state = match proved.filter(|_| worked) {
        Some((audit, found, _)) => {
            let by = last.unwrap_or(Cite { record: audit, at: found.taken_at });
            MeasureState::Complete { on: zone.to_datetime(by.at).date(), record: by.record, audit }
        }
        None => {
            let (forecast, at_least) = forecast(kind, entity);
            MeasureState::Planned {
                deadline: entity.deadline,
                forecast,
                at_least,
                overdue: entity.outlook.standing == Standing::Overdue,
                worked: worked && subjects > 0,
            }
        }
    };
    Some(Measure {
        kind,
        entity: Some(entity.id.clone()),
        state,
        subjects: subjects + planned,
        done,
        unplanned: base.unplanned_of(&entity.id),
        left: basis.map(|(_, _, left)| left),
        audit: basis.map(|(record, _, _)| record),
    })
}

/// Subjects of an entity in waves that have not started, where the stage can apply to them.
fn planned(base: &Base<'_>, id: &EntityId, stage: Stage) -> u64 {
    let Some((_, order)) = base.plan else { return 0 };
    let Some(forecast) = order.forecast.as_ref() else { return 0 };
    let applies = |wave: &str| {
        let tracks: &[Track] = base.inputs.wave(wave).map_or(&[], |policy| &policy.tracks);
        tracks.is_empty() || tracks.iter().any(|track| track.has(stage))
    };
    let unstarted = crate::waves::planned(base);
    let waves = forecast.waves.iter().filter(|f| applies(&f.wave) && unstarted.iter().any(|wave| wave.wave == f.wave));
    waves.filter_map(|f| f.entities.get(id)).sum()
}

/// The day that may be told, and whether it may be later: a day for which something is not known is told only where it is too late
/// already.
fn forecast(kind: MeasureKind, entity: &EntityProgress) -> (Option<jiff::civil::Date>, bool) {
    let outlook = &entity.outlook;
    let day = match kind {
        MeasureKind::Move | MeasureKind::Disable => outlook.disabled_by,
        MeasureKind::Erase | MeasureKind::Remove | MeasureKind::Links => outlook.day,
    };
    let is_open = !outlook.missing.is_empty();
    let is_late = day.zip(entity.deadline).is_some_and(|(day, deadline)| day > deadline);
    (day.filter(|_| !is_open || is_late), is_open)
}

/// Links of an entity's accounts, or of the stores themselves; none where no audit has found any.
fn links(base: &Base<'_>, entity: Option<&EntityProgress>) -> Option<Measure> {
    let wanted = |c: &AuditCounts| {
        let here = match entity {
            Some(entity) => c.entity.as_ref() == Some(&entity.id),
            None => c.entity.is_none(),
        };
        here && c.rule.starts_with("link.")
    };
    let sum = base.sum("links", wanted).filter(|sum| sum.found > 0)?;
    let found = |audit: &AuditState| audit.counts.iter().filter(|c| wanted(c)).map(|c| c.findings).sum::<u64>();
    let state = if sum.complete && sum.left == 0 {
        // The first complete audit after the last one that found any.
        let since = base.audits.iter().rev().take_while(|(_, audit)| found(audit) == 0).filter(|(_, audit)| is_complete(audit));
        let (record, audit) = since.last().copied()?;
        let zone = entity.and_then(|e| base.inputs.entities.get(&e.id)).and_then(Entity::zone);
        let on = zone.unwrap_or_else(|| base.zone.clone()).to_datetime(audit.taken_at).date();
        MeasureState::Complete { on, record, audit: sum.left_record }
    } else {
        let (forecast, at_least) = entity.map_or((None, true), |e| forecast(MeasureKind::Links, e));
        MeasureState::Planned {
            deadline: entity.and_then(|e| e.deadline),
            forecast,
            at_least,
            overdue: entity.is_some_and(|e| e.outlook.standing == Standing::Overdue),
            worked: false,
        }
    };
    Some(Measure {
        kind: MeasureKind::Links,
        entity: entity.map(|e| e.id.clone()),
        state,
        subjects: sum.found,
        done: sum.gone().unwrap_or(0),
        unplanned: None,
        left: Some(sum.left),
        audit: Some(sum.left_record),
    })
}
