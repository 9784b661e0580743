//! What the fold of the ledger does not keep: which record ended which stage, and what happened to each batch.
//!
//! Knows nothing of how far a subject is: that is the fold's to say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use untether_model::operation::Stage;
use untether_model::run::Record;
use untether_model::{BatchId, PlanId, SubjectId, WaveId};

/// A record of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cite {
    /// Its sequence number.
    pub record: u64,
    /// When it was written.
    pub at: Timestamp,
}

/// What happened to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum BatchEventKind {
    /// It began a stage.
    Began {
        /// The stage.
        stage: Stage,
    },
    /// It ended a stage.
    Ended {
        /// The stage.
        stage: Stage,
    },
    /// It was halted.
    Halted {
        /// Why.
        reason: String,
    },
    /// Its halt was lifted.
    Resumed {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// It was rolled back.
    RolledBack {
        /// The state before this stage was restored.
        to: Stage,
        /// How many subjects.
        subjects: u64,
        /// The round in which they are now.
        round: u32,
    },
}

/// Something that happened to a batch, with its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchEvent {
    /// The record.
    #[serde(flatten)]
    pub cite: Cite,
    /// What.
    #[serde(flatten)]
    pub what: BatchEventKind,
}

/// What the records say beside the fold.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(crate) head: Cite,
    pub(crate) orders: BTreeMap<PlanId, Cite>,
    pub(crate) waves_started: BTreeMap<WaveId, Cite>,
    pub(crate) waves_closed: BTreeMap<WaveId, Cite>,
    pub(crate) batches: BTreeMap<BatchId, Vec<BatchEvent>>,
    pub(crate) stage_ended: BTreeMap<(BatchId, Stage), Cite>,
    pub(crate) caught_up: BTreeMap<(SubjectId, Stage), Cite>,
    pub(crate) written: BTreeMap<u64, Timestamp>,
    /// Audits that judged another day than their own: they say nothing about what is there now.
    pub(crate) other_day: BTreeSet<u64>,
}

impl History {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next record.
    pub fn take(&mut self, seq: u64, at: Timestamp, record: &Record) {
        let cite = Cite { record: seq, at };
        self.head = cite;
        match record {
            Record::AuditRecorded { as_of: Some(_), .. } => drop(self.other_day.insert(seq)),
            Record::PlanRecorded { plan, .. } => drop(self.orders.insert(plan.clone(), cite)),
            Record::OrderRecorded { order, .. } => drop(self.orders.insert(order.clone(), cite)),
            Record::GateAccepted { .. } => drop(self.written.insert(seq, at)),
            Record::WaveStarted { wave, .. } => drop(self.waves_started.insert(wave.clone(), cite)),
            Record::WaveEnded { wave } | Record::Aborted { wave, .. } => drop(self.waves_closed.insert(wave.clone(), cite)),
            Record::StageStarted { batch, stage, .. } => self.event(batch, cite, BatchEventKind::Began { stage: *stage }),
            Record::StageEnded { batch, stage, .. } => {
                self.stage_ended.insert((batch.clone(), *stage), cite);
                self.event(batch, cite, BatchEventKind::Ended { stage: *stage });
            }
            Record::CaughtUp { subject, stage, .. } => drop(self.caught_up.insert((subject.clone(), *stage), cite)),
            Record::Halted { batch, reason } => self.event(batch, cite, BatchEventKind::Halted { reason: reason.clone() }),
            Record::Resumed { batch: Some(batch), by, reason } => {
                self.event(batch, cite, BatchEventKind::Resumed { by: by.clone(), reason: reason.clone() });
            }
            Record::RolledBack { batch, subjects, to, round, .. } => {
                // Whoever was rolled back ends these stages anew, in the next round.
                self.caught_up.retain(|(subject, stage), _| *stage < *to || !subjects.contains(subject));
                if let Some(batch) = batch {
                    let subjects = u64::try_from(subjects.len()).unwrap_or(u64::MAX);
                    self.event(batch, cite, BatchEventKind::RolledBack { to: *to, subjects, round: round.0 });
                }
            }
            _ => {}
        }
    }

    /// The record by which a subject ended a stage: its own, where it caught up alone, else its batch's.
    pub(crate) fn ended(&self, subject: &SubjectId, batch: &BatchId, stage: Stage) -> Option<Cite> {
        let alone = self.caught_up.get(&(subject.clone(), stage));
        alone.or_else(|| self.stage_ended.get(&(batch.clone(), stage))).copied()
    }

    fn event(&mut self, batch: &BatchId, cite: Cite, what: BatchEventKind) {
        self.batches.entry(batch.clone()).or_default().push(BatchEvent { cite, what });
    }
}
