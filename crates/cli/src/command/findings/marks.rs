//! What people and waves have to do with a finding: beside the audit, and different every day.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_model::finding::{Finding, Severity};
use untether_model::operation::Track;
use untether_model::policy::{Entity, today};
use untether_model::run::{DecisionId, ExceptionState, Exceptions, RunState, days_left, ends_soon};
use untether_model::{EntityId, SubjectId};

use crate::config::Config;

/// A finding with what is known beside the audit.
#[derive(Serialize)]
pub struct Row {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// An unfinished wave has the subject in hand.
    pub planned: bool,
    /// Until when a person waived it, where that counts now.
    pub waived_until: Option<Date>,
    /// A person's waiver, whether it counts or not.
    pub waiver: Option<Mark>,
    /// A person's decision on the subject's track.
    pub decided: Option<Mark>,
}

impl Row {
    /// A waiver or decision ends within seven days, or has ended.
    pub fn is_expiring(&self) -> bool {
        [&self.waiver, &self.decided].into_iter().flatten().any(|mark| mark.ends_soon || mark.state != ExceptionState::InForce)
    }
}

/// What a person said of a finding or its subject.
#[derive(Serialize)]
pub struct Mark {
    /// The decision.
    pub decision: DecisionId,
    /// How it stands.
    pub state: ExceptionState,
    /// The track that was decided on; `None` for a waiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// How grave the finding was when it was waived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Last day.
    pub until: Date,
    /// Days that are left; negative when it has ended.
    pub days_left: i32,
    /// It ends within seven days.
    pub ends_soon: bool,
}

impl Mark {
    /// In brackets behind a finding.
    pub fn words(&self) -> String {
        let what = self.track.map_or_else(|| "waived".to_owned(), |track| format!("decided: {track}"));
        let left = match self.days_left {
            0 => ", the last day".to_owned(),
            1 => ", 1 day left".to_owned(),
            days if self.ends_soon => format!(", {days} days left"),
            _ => String::new(),
        };
        match (self.state, self.severity) {
            (ExceptionState::InForce, _) => format!("{what} until {}{left}", self.until),
            (ExceptionState::Expired, _) => format!("{what} until {}, which is over", self.until),
            (ExceptionState::Outgrown, severity) => {
                format!("{what} as {}, which it no longer is", severity.map_or("less", Severity::as_str))
            }
        }
    }
}

/// What people and waves have to do with findings.
pub struct Marks<'a> {
    state: &'a RunState,
    exceptions: Exceptions,
    in_hand: BTreeSet<&'a SubjectId>,
    entities: &'a BTreeMap<EntityId, Entity>,
    now: Timestamp,
}

impl<'a> Marks<'a> {
    /// From the fold of the ledger.
    pub fn new(state: &'a RunState, config: &'a Config, now: Timestamp) -> Self {
        let in_hand = state.subjects().iter().filter(|(_, s)| s.claimed).map(|(id, _)| state.resolve_alias(id)).collect();
        Self { state, exceptions: Exceptions::of(state), in_hand, entities: &config.audit.entities, now }
    }

    /// The day that counts for an entity.
    pub fn today(&self, entity: Option<&EntityId>) -> Date {
        today(self.entities, entity, self.now)
    }

    /// The finding with its marks.
    pub fn row(&self, finding: Finding) -> Row {
        let subject = finding.subject.as_ref().map(|id| self.state.resolve_alias(id));
        let planned = subject.is_some_and(|id| self.in_hand.contains(id));
        let day = self.today(finding.entity.as_ref());
        let waiver = self.exceptions.waivers.get(&finding.id).map(|waiver| {
            // The finding at hand is what the audit saw last.
            let state = untether_model::run::Waiver { now: Some(finding.severity), ..waiver.clone() }.state(day);
            let until = waiver.waive.until;
            let ends_soon = state == ExceptionState::InForce && ends_soon(until, day);
            Mark {
                decision: waiver.decision,
                state,
                track: None,
                severity: Some(waiver.waive.severity),
                by: waiver.by.clone(),
                reason: waiver.reason.clone(),
                until,
                days_left: days_left(until, day),
                ends_soon,
            }
        });
        let decided = subject.and_then(|id| self.exceptions.tracks.get(id)).map(|track| Mark {
            decision: track.decision,
            state: if day > track.until { ExceptionState::Expired } else { ExceptionState::InForce },
            track: Some(track.track),
            severity: None,
            by: track.by.clone(),
            reason: track.reason.clone(),
            until: track.until,
            days_left: days_left(track.until, day),
            ends_soon: ends_soon(track.until, day),
        });
        let waived_until = waiver.as_ref().filter(|w| w.state == ExceptionState::InForce).map(|w| w.until);
        Row { finding, planned, waived_until, waiver, decided }
    }
}
