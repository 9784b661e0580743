//! What people let stand for a while: waived findings and decided tracks, with their ends.
//!
//! A small fold over decisions and audits, which `status`, the list of findings and the report share: a waived finding counts as waived,
//! never as solved; a waiver that has ended, or whose finding has become graver, covers nothing. Knows neither clock nor findings: the
//! day is handed in, and whether a finding is still there is what the last audit recorded.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::decision::{Decision, DecisionId, Waive};
use super::record::Compared;
use super::state::RunState;
use crate::finding::Severity;
use crate::operation::Track;
use crate::{EntityId, FindingId, SubjectId};

/// Days before its end from which an exception is listed.
pub const EXPIRES_SOON_DAYS: i32 = 7;

/// How an exception stands on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionState {
    /// It counts.
    InForce,
    /// Its last day is over.
    Expired,
    /// The finding is graver than the person was shown.
    Outgrown,
}

/// A waived finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The decision.
    pub decision: DecisionId,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The finding as it was, and until when it may stand.
    pub waive: Waive,
    /// How grave the last audit found it; `None`: it is not there any more.
    pub now: Option<Severity>,
    /// Record of the audit that says so; `None`: it is as it was when it was waived.
    pub audit: Option<u64>,
}

impl Waiver {
    /// How it stands on a day in the finding's entity.
    pub fn state(&self, today: Date) -> ExceptionState {
        match self.now {
            Some(now) if now > self.waive.severity => ExceptionState::Outgrown,
            _ if today > self.waive.until => ExceptionState::Expired,
            _ => ExceptionState::InForce,
        }
    }

    /// It covers a finding that is there.
    pub fn covers(&self, today: Date) -> bool {
        self.now.is_some() && self.state(today) == ExceptionState::InForce
    }
}

/// A decided track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackException {
    /// The decision.
    pub decision: DecisionId,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The track.
    pub track: Track,
    /// The subject's entity when it was decided.
    pub entity: Option<EntityId>,
    /// Last day.
    pub until: Date,
}

/// Whether a last day is today or within the next [`EXPIRES_SOON_DAYS`].
pub fn ends_soon(until: Date, today: Date) -> bool {
    let left = days_left(until, today);
    (0..=EXPIRES_SOON_DAYS).contains(&left)
}

/// Days from a day to a last day; negative when that is over.
pub fn days_left(until: Date, today: Date) -> i32 {
    today.until(until).map_or(0, |span| span.get_days())
}

/// Everything that people let stand for a while. Of several decisions on one finding or subject the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exceptions {
    /// Waived findings.
    pub waivers: BTreeMap<FindingId, Waiver>,
    /// Decided tracks.
    pub tracks: BTreeMap<SubjectId, TrackException>,
}

impl Exceptions {
    /// From the fold of the ledger. Tracks are found under the ids that subjects have now.
    pub fn of(state: &RunState) -> Self {
        let mut found = Self::default();
        let mut audits = state.audits().iter().peekable();
        for (id, decided) in state.all_decisions() {
            while let Some((seq, audit)) = audits.next_if(|(seq, _)| **seq < id.record) {
                found.audit(*seq, audit.compared.as_ref());
            }
            found.decision(id, &decided.decision, (&decided.by, &decided.reason));
        }
        audits.for_each(|(seq, audit)| found.audit(*seq, audit.compared.as_ref()));
        found.tracks = found.tracks.into_iter().map(|(id, track)| (state.resolve_alias(&id).clone(), track)).collect();
        found
    }

    /// Takes in a decision: who made it, and why.
    pub fn decision(&mut self, id: DecisionId, decision: &Decision, (by, reason): (&str, &str)) {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        match decision {
            Decision::Waive(waive) => {
                let now = Some(waive.severity);
                let waiver = Waiver { decision: id, by, reason, waive: waive.clone(), now, audit: None };
                self.waivers.insert(waive.finding.clone(), waiver);
            }
            Decision::Track { subject, track, until, entity } => {
                let exception = TrackException { decision: id, by, reason, track: *track, entity: entity.clone(), until: *until };
                self.tracks.insert(subject.clone(), exception);
            }
            Decision::Withdraw { decision } => {
                self.waivers.retain(|_, w| w.decision != *decision);
                self.tracks.retain(|_, t| t.decision != *decision);
            }
            Decision::Match(_) => {}
        }
    }

    /// Takes in what an audit saw of waived findings; one that compared nothing (it judged another day) says nothing.
    pub fn audit(&mut self, seq: u64, compared: Option<&Compared>) {
        let Some(compared) = compared else { return };
        for (id, waiver) in &mut self.waivers {
            waiver.now = compared.waived.iter().find(|(seen, _)| seen == id).map(|(_, severity)| *severity);
            waiver.audit = Some(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::finding::Place;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn waive(until: &str) -> Decision {
        Decision::Waive(Waive {
            finding: FindingId::new("f"),
            rule: "residual.dormant".to_owned(),
            store: Place::Shared,
            entity: None,
            severity: Severity::Medium,
            until: day(until),
        })
    }

    fn seen(severity: Option<Severity>) -> Compared {
        let waived = severity.map(|s| (FindingId::new("f"), s)).into_iter().collect();
        Compared { register: Digest::of(b"r"), solved: Vec::new(), waived }
    }

    #[test]
    fn a_waiver_counts_through_its_last_day_and_not_for_a_graver_finding() {
        let mut all = Exceptions::default();
        all.decision(DecisionId::alone(5), &waive("2026-03-31"), ("sato", "vendor"));
        let waiver = |all: &Exceptions| all.waivers[&FindingId::new("f")].clone();
        assert!(waiver(&all).covers(day("2026-03-31")));
        assert_eq!(waiver(&all).state(day("2026-04-01")), ExceptionState::Expired);
        all.audit(6, Some(&seen(Some(Severity::Low))));
        assert!(waiver(&all).covers(day("2026-03-31")));
        all.audit(7, Some(&seen(Some(Severity::High))));
        assert_eq!(waiver(&all).state(day("2026-03-01")), ExceptionState::Outgrown);
        all.audit(8, Some(&seen(None)));
        assert!(!waiver(&all).covers(day("2026-03-01")), "what is not there is not waived");
        all.audit(9, None);
        assert_eq!(waiver(&all).audit, Some(8));
    }

    #[test]
    fn the_last_word_counts_and_a_withdrawn_one_does_not_bring_the_one_before_back() {
        let mut all = Exceptions::default();
        all.decision(DecisionId::alone(5), &waive("2026-03-31"), ("sato", "a"));
        all.decision(DecisionId { record: 6, item: 2 }, &waive("2026-06-30"), ("ito", "b"));
        assert_eq!(all.waivers[&FindingId::new("f")].waive.until, day("2026-06-30"));
        let withdraw = Decision::Withdraw { decision: DecisionId { record: 6, item: 2 } };
        all.decision(DecisionId::alone(7), &withdraw, ("ito", "c"));
        assert!(all.waivers.is_empty());
    }

    #[test]
    fn the_seven_days_before_the_end_are_soon() {
        assert!(!ends_soon(day("2026-03-31"), day("2026-03-23")));
        assert!(ends_soon(day("2026-03-31"), day("2026-03-24")));
        assert!(ends_soon(day("2026-03-31"), day("2026-03-31")));
        assert!(!ends_soon(day("2026-03-31"), day("2026-04-01")));
        assert_eq!(days_left(day("2026-03-31"), day("2026-04-02")), -2);
    }
}
