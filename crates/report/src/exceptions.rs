//! What people answer for or put off, by the day on which it ends.

use jiff::civil::Date;
use untether_model::EntityId;
use untether_model::operation::Track;
use untether_model::policy::today;
use untether_model::run::{ExceptionState, Exceptions, GateScope};

use crate::compute::Base;
use crate::progress::{Exception, ExceptionKind, Remaining};

/// How long something still counts that counts until this day.
fn remaining(until: Date, today: Date) -> Remaining {
    match (until - today).get_days() {
        ..0 => Remaining::Expired,
        0..=7 => Remaining::Week,
        8..=30 => Remaining::Month,
        _ => Remaining::Long,
    }
}

/// All of them, those first that end first.
pub(crate) fn exceptions(base: &Base<'_>) -> Vec<Exception> {
    let (state, history) = (base.inputs.state, base.inputs.history);
    let here = base.inputs.today(&base.zone);
    let entity_of = |id| state.subjects().get(state.resolve_alias(id)).map(|s| s.entity.clone());
    let mut found = Vec::new();
    for (record, accepted) in state.accepted() {
        let until = base.zone.to_datetime(accepted.signed.statement.not_after).date();
        let entity: Option<EntityId> = match &accepted.scope {
            GateScope::Subject(id) => entity_of(id),
            GateScope::Wave(_) | GateScope::Batch(_) => None,
        };
        found.push(Exception {
            record: Some(*record),
            at: history.written.get(record).copied(),
            what: ExceptionKind::Gate { gate: accepted.gate, scope: accepted.scope.to_string() },
            entity,
            by: Some(accepted.signed.approver.clone()),
            reason: accepted.signed.statement.reason.clone(),
            until,
            remaining: remaining(until, here),
        });
    }
    let decided = Exceptions::of(state);
    let day = |entity: &Option<EntityId>| today(base.inputs.entities, entity.as_ref(), base.inputs.now);
    for (id, track) in decided.tracks {
        let record = track.decision.record;
        let remaining = remaining(track.until, day(&track.entity));
        found.push(Exception {
            record: Some(record),
            at: history.written.get(&record).copied(),
            what: ExceptionKind::Track { subject: id, track: track.track },
            entity: track.entity,
            by: Some(track.by),
            reason: track.reason,
            until: track.until,
            remaining,
        });
    }
    // A waived finding that is no longer there is no exception any more.
    for (id, waiver) in decided.waivers.into_iter().filter(|(_, waiver)| waiver.now.is_some()) {
        let (record, today) = (waiver.decision.record, day(&waiver.waive.entity));
        let outgrown = waiver.state(today) == ExceptionState::Outgrown;
        let remaining = if outgrown { Remaining::Outgrown } else { remaining(waiver.waive.until, today) };
        found.push(Exception {
            record: Some(record),
            at: history.written.get(&record).copied(),
            what: ExceptionKind::Waiver { finding: id },
            entity: waiver.waive.entity,
            by: Some(waiver.by),
            reason: waiver.reason,
            until: waiver.waive.until,
            remaining,
        });
    }
    found.extend(configured(base, here));
    found.sort_by_key(|exception| (exception.until, exception.record));
    found
}

/// What the configuration keeps or holds.
fn configured(base: &Base<'_>, today: Date) -> Vec<Exception> {
    let exception = |track, entities: &[EntityId], reason: &str, until| Exception {
        record: None,
        at: None,
        what: ExceptionKind::Policy { track, entities: entities.to_vec() },
        entity: None,
        by: None,
        reason: reason.to_owned(),
        until,
        remaining: remaining(until, today),
    };
    let Some(policy) = base.inputs.policy else { return Vec::new() };
    let kept = policy.keep.iter().map(|k| exception(Track::Keep, &k.entities, &k.reason, k.until));
    kept.chain(policy.hold.iter().map(|h| exception(Track::Hold, &h.entities, &h.reason, h.until))).collect()
}
