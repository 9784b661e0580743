//! Subjects: where each stood in the earlier plan and where in the later one.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use untether_model::operation::{Stage, Track};
use untether_model::{Dn, EntityId, SubjectId};

use crate::report::Reason;

/// Where a subject stands in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "place", rename_all = "kebab-case")]
pub enum Place {
    /// It is planned.
    Planned {
        /// The wave.
        wave: String,
        /// The batch.
        batch: String,
        /// The track.
        track: Track,
        /// Stages in which there is something to do.
        stages: Vec<Stage>,
    },
    /// It is not planned.
    NotPlanned {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        words: String,
        /// What it waits for.
        waits_for: String,
        /// Until when, where a day ends the wait.
        until: Option<Date>,
    },
}

/// A subject as one plan has it.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) entity: Option<EntityId>,
    pub(super) dn: Option<Dn>,
    pub(super) place: Place,
}

/// What became of a subject. The order is that in which people want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Move {
    /// It was planned and is blocked now.
    NewlyBlocked,
    /// It was planned and has no account in the shared store any more, by what the audit saw.
    Gone,
    /// It was not planned, or not known, and is planned now.
    NewlyPlanned,
    /// It is in another wave.
    OtherWave,
    /// It is on another track, or has other stages.
    OtherTrack,
    /// It is in another batch of its wave.
    OtherBatch,
    /// A wave has it in hand now.
    InHand,
    /// It is through.
    Finished,
    /// It waits for something else than before.
    OtherReason,
    /// It is new, and waits.
    NewAndWaits,
    /// It waited, and is not known any more.
    NoLongerKnown,
}

impl Move {
    /// The name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyBlocked => "newly-blocked",
            Self::Gone => "gone",
            Self::NewlyPlanned => "newly-planned",
            Self::OtherWave => "other-wave",
            Self::OtherTrack => "other-track",
            Self::OtherBatch => "other-batch",
            Self::InHand => "in-hand",
            Self::Finished => "finished",
            Self::OtherReason => "other-reason",
            Self::NewAndWaits => "new-and-waits",
            Self::NoLongerKnown => "no-longer-known",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NewlyBlocked => "newly blocked",
            Self::Gone => "no account in the shared store any more",
            Self::NewlyPlanned => "newly planned",
            Self::OtherWave => "in another wave",
            Self::OtherTrack => "on another track, or with other stages",
            Self::OtherBatch => "in another batch of their wave",
            Self::InHand => "in the hands of a wave now",
            Self::Finished => "through",
            Self::OtherReason => "wait for something else",
            Self::NewAndWaits => "new, and wait",
            Self::NoLongerKnown => "waited, and are not known any more",
        }
    }
}

/// A subject that stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubjectMove {
    /// The subject.
    pub subject: SubjectId,
    /// What became of it.
    pub change: Move,
    /// Its entity, now or last.
    pub entity: Option<EntityId>,
    /// Its main account, now or last.
    pub dn: Option<Dn>,
    /// Where it stood; `None`: the earlier plan did not know it.
    pub before: Option<Place>,
    /// Where it stands; `None`: the later plan does not know it.
    pub after: Option<Place>,
}

/// Everybody who stands elsewhere, in the order of what became of them.
pub(super) fn moves(before: BTreeMap<SubjectId, Subject>, mut after: BTreeMap<SubjectId, Subject>) -> Vec<SubjectMove> {
    let mut moves = Vec::new();
    for (id, was) in before {
        let is = after.remove(&id);
        let change = change(Some(&was.place), is.as_ref().map(|is| &is.place));
        moves.extend(change.map(|change| moved((id, change), Some(was), is)));
    }
    for (id, is) in after {
        moves.extend(change(None, Some(&is.place)).map(|change| moved((id, change), None, Some(is))));
    }
    moves.sort_by(|a, b| (a.change, &a.subject).cmp(&(b.change, &b.subject)));
    moves
}

fn moved((subject, change): (SubjectId, Move), was: Option<Subject>, is: Option<Subject>) -> SubjectMove {
    let entity = is.as_ref().or(was.as_ref()).and_then(|s| s.entity.clone());
    let dn = is.as_ref().or(was.as_ref()).and_then(|s| s.dn.clone());
    SubjectMove { subject, change, entity, dn, before: was.map(|s| s.place), after: is.map(|s| s.place) }
}

fn change(before: Option<&Place>, after: Option<&Place>) -> Option<Move> {
    use Place::{NotPlanned, Planned};
    match (before, after) {
        (None, None) => None,
        (Some(NotPlanned { .. }) | None, Some(Planned { .. })) => Some(Move::NewlyPlanned),
        (Some(Planned { .. }), None) => Some(Move::Gone),
        (Some(NotPlanned { .. }), None) => Some(Move::NoLongerKnown),
        (Some(Planned { wave, track, stages, batch }), Some(Planned { wave: w, track: t, stages: s, batch: b })) => {
            if wave != w {
                Some(Move::OtherWave)
            } else if track != t || stages != s {
                Some(Move::OtherTrack)
            } else {
                (batch != b).then_some(Move::OtherBatch)
            }
        }
        (Some(NotPlanned { reason, until, .. }), Some(NotPlanned { reason: r, until: u, .. })) => {
            if (reason, until) == (r, u) {
                None
            } else {
                Some(standing(*r).unwrap_or(Move::OtherReason))
            }
        }
        (Some(Planned { .. }), Some(NotPlanned { reason, .. })) => Some(standing(*reason).unwrap_or(Move::NewlyBlocked)),
        (None, Some(NotPlanned { reason, .. })) => Some(standing(*reason).unwrap_or(Move::NewAndWaits)),
    }
}

/// What is no obstacle: a wave has it, or it is through.
fn standing(reason: Reason) -> Option<Move> {
    match reason {
        Reason::Claimed => Some(Move::InHand),
        Reason::Finished => Some(Move::Finished),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(wave: &str, batch: &str) -> Place {
        Place::Planned { wave: wave.into(), batch: batch.into(), track: Track::Retire, stages: vec![Stage::Disable] }
    }

    fn waits(reason: Reason) -> Place {
        Place::NotPlanned { reason, words: "x".into(), waits_for: "y".into(), until: None }
    }

    #[test]
    fn each_pair_of_places_has_its_name() {
        let (a, b, c) = (planned("w", "b01"), planned("w", "b02"), planned("v", "b01"));
        let cases = [
            (Some(&a), Some(&a), None),
            (Some(&a), Some(&b), Some(Move::OtherBatch)),
            (Some(&a), Some(&c), Some(Move::OtherWave)),
            (Some(&a), None, Some(Move::Gone)),
            (None, Some(&a), Some(Move::NewlyPlanned)),
        ];
        for (before, after, expected) in cases {
            assert_eq!(change(before, after), expected, "{before:?} {after:?}");
        }
        let reasons = [
            (Some(a.clone()), Reason::Claimed, Some(Move::InHand)),
            (Some(a.clone()), Reason::Finished, Some(Move::Finished)),
            (Some(a), Reason::Orphan, Some(Move::NewlyBlocked)),
            (Some(waits(Reason::Orphan)), Reason::Orphan, None),
            (Some(waits(Reason::Orphan)), Reason::Undecided, Some(Move::OtherReason)),
            (Some(waits(Reason::Claimed)), Reason::Finished, Some(Move::Finished)),
            (None, Reason::NotYetStarted, Some(Move::NewAndWaits)),
        ];
        for (before, reason, expected) in reasons {
            assert_eq!(change(before.as_ref(), Some(&waits(reason))), expected, "{before:?} {reason:?}");
        }
        assert_eq!(change(Some(&waits(Reason::Orphan)), Some(&b)), Some(Move::NewlyPlanned));
        assert_eq!(change(Some(&waits(Reason::Orphan)), None), Some(Move::NoLongerKnown));
    }
}
