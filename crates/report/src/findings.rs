//! How the findings stand: open, waived, solved; and which exceptions end soon.
//!
//! A waived finding is counted as waived as long as its waiver covers it, and is never solved by that. A finding is solved when a
//! complete audit no longer has it, as the audit itself has recorded.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use untether_model::operation::Track;
use untether_model::policy::today;
use untether_model::run::{DecisionId, ExceptionState, Exceptions, ends_soon};
use untether_model::{FindingId, SubjectId};

use crate::compute::Base;

/// Findings of all rules, as of the last audit and the decisions until the last record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingFigures {
    /// Record of the audit that found them.
    pub record: u64,
    /// Record of the audit that says what is solved; `None`: no audit has compared itself with others yet.
    pub solved_record: Option<u64>,
    /// Found by that audit and not waived.
    pub open: u64,
    /// Found by that audit, and covered by a waiver.
    pub waived: u64,
    /// Found by an earlier audit and gone.
    pub solved: u64,
    /// The same by rule.
    pub rules: Vec<RuleStand>,
    /// Exceptions that end within seven days, or have ended.
    pub ending: Vec<Ending>,
}

/// Findings of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleStand {
    /// The rule.
    pub rule: String,
    /// Open.
    pub open: u64,
    /// Waived.
    pub waived: u64,
    /// Solved.
    pub solved: u64,
}

/// An exception that ends within seven days, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// The decision.
    pub decision: DecisionId,
    /// What it is about.
    pub what: EndingWhat,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Last day.
    pub until: Date,
    /// How it stands.
    pub state: ExceptionState,
}

/// What an exception is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndingWhat {
    /// A waived finding that is still there.
    Finding {
        /// The finding.
        id: FindingId,
        /// Its rule.
        rule: String,
    },
    /// A decided track.
    Track {
        /// The subject.
        id: SubjectId,
        /// The track.
        track: Track,
    },
}

/// The figures; `None` without an audit.
pub(crate) fn figures(base: &Base<'_>) -> Option<FindingFigures> {
    let inputs = base.inputs;
    let (record, audit) = *base.audits.last()?;
    let mut rules: BTreeMap<&str, RuleStand> = BTreeMap::new();
    for count in &audit.counts {
        rules.entry(&count.rule).or_default().open += count.findings;
    }
    let compared = base.audits.iter().rev().find_map(|(seq, audit)| Some((*seq, audit.compared.as_ref()?)));
    for count in compared.iter().flat_map(|(_, compared)| &compared.solved) {
        rules.entry(&count.rule).or_default().solved += count.findings;
    }
    let exceptions = Exceptions::of(inputs.state);
    let now = inputs.now;
    let mut ending = Vec::new();
    for (id, waiver) in exceptions.waivers.iter().filter(|(_, w)| w.now.is_some()) {
        let (day, until) = (today(inputs.entities, waiver.waive.entity.as_ref(), now), waiver.waive.until);
        let state = waiver.state(day);
        if state == ExceptionState::InForce {
            let stand = rules.entry(&waiver.waive.rule).or_default();
            stand.waived += 1;
            stand.open = stand.open.saturating_sub(1);
        }
        if state != ExceptionState::InForce || ends_soon(until, day) {
            let what = EndingWhat::Finding { id: id.clone(), rule: waiver.waive.rule.clone() };
            let (by, reason) = (waiver.by.clone(), waiver.reason.clone());
            ending.push(Ending { decision: waiver.decision, what, by, reason, until, state });
        }
    }
    for (id, track) in &exceptions.tracks {
        let (day, until) = (today(inputs.entities, track.entity.as_ref(), now), track.until);
        let state = if day > until { ExceptionState::Expired } else { ExceptionState::InForce };
        if state != ExceptionState::InForce || ends_soon(until, day) {
            let what = EndingWhat::Track { id: id.clone(), track: track.track };
            let (by, reason) = (track.by.clone(), track.reason.clone());
            ending.push(Ending { decision: track.decision, what, by, reason, until, state });
        }
    }
    ending.sort_by_key(|e| (e.until, e.decision));
    let rules: Vec<RuleStand> = rules.into_iter().map(|(rule, stand)| RuleStand { rule: rule.to_owned(), ..stand }).collect();
    let sum = |of: fn(&RuleStand) -> u64| rules.iter().map(of).sum();
    Some(FindingFigures {
        record,
        solved_record: compared.map(|(seq, _)| seq),
        open: sum(|r| r.open),
        waived: sum(|r| r.waived),
        solved: sum(|r| r.solved),
        rules,
        ending,
    })
}
