//! Drives one batch: stage by stage, until it ends, is stopped, or only waiting is left.

use jiff::Timestamp;
use untether_model::BatchId;
use untether_model::operation::Stage;
use untether_model::plan::{GateWhen, PlannedBatch, PlannedSubject, Wave};
use untether_model::run::{Record, Stand, missing_approvals, stand, unfinished_order};

use super::stage::gap_words;
use super::{Engine, RunOptions, Standstill, Stop};
use crate::error::CutoverError;

/// Whether a stage may begin.
pub(super) enum MayBegin {
    Yes,
    /// Look again after the next record.
    Later,
    No(Standstill),
}

impl Engine {
    /// Drives a batch as far as it goes; comes back with what keeps it from going on.
    pub(super) async fn drive(
        &self,
        wave: &Wave,
        batch: &PlannedBatch,
        options: &RunOptions,
    ) -> Result<Vec<Standstill>, CutoverError> {
        let id = wave.batch_id(&batch.name);
        if let Some(order) = self.recorder.look(|state| unfinished_order(state, &id)) {
            let reason = format!("order {order} concerns it, has begun and must end first");
            return Ok(vec![Standstill::Halted { batch: id, reason }]);
        }
        let mut standstills = self.catch_up(wave, batch, &id, options).await?;
        let mut moved = self.recorder.moved();
        loop {
            moved.mark_unchanged();
            if *options.stop.borrow() != Stop::No {
                return Ok(standstills);
            }
            let (current, next, halted, paused) = self.recorder.look(|state| {
                let found = state.batches().get(&id);
                let paused = state.general().paused.clone();
                let current = found.and_then(|b| Some((b.current?, b.current_since)));
                (current, found.and_then(|b| b.next_stage()), found.and_then(|b| b.halted.clone()), paused)
            });
            if let Some(reason) = halted {
                standstills.push(Standstill::Halted { batch: id, reason });
                return Ok(standstills);
            }
            if let Some((by, reason)) = paused {
                standstills.push(Standstill::Paused { reason: format!("paused by {by}: {reason}") });
                return Ok(standstills);
            }
            let Some(stage) = current.map(|(stage, _)| stage).or(next) else { return Ok(standstills) };
            if options.through.is_some_and(|through| stage > through) {
                return Ok(standstills);
            }
            if let Some((stage, began)) = current {
                // An approval may expire while its stage is under way; one that was taken back stops it.
                let at = began.unwrap_or_else(|| self.ports.time.now());
                if let Some(standstill) = self.lacks_approval(wave, &id, (stage, None), at) {
                    standstills.push(standstill);
                    return Ok(standstills);
                }
            } else {
                match self.may_begin(wave, batch, &id, stage).await? {
                    MayBegin::Yes => {
                        let round = self
                            .recorder
                            .look(|state| state.batches().get(&id).map(|b| b.round))
                            .unwrap_or(untether_model::Round::FIRST);
                        let operations = operations_of(wave, batch, stage);
                        self.recorder.record(Record::StageStarted { batch: id.clone(), stage, round, operations }).await?;
                    }
                    MayBegin::Later => {
                        // The sender lives as long as the engine, so an error cannot happen while this runs.
                        let _ = moved.changed().await;
                        continue;
                    }
                    MayBegin::No(standstill) => {
                        standstills.push(standstill);
                        return Ok(standstills);
                    }
                }
            }
            if let Some(standstill) = self.work_stage(wave, batch, &id, (stage, None), options).await? {
                standstills.push(standstill);
                return Ok(standstills);
            }
            if *options.stop.borrow() != Stop::No {
                return Ok(standstills);
            }
            let round =
                self.recorder.look(|state| state.batches().get(&id).map(|b| b.round)).unwrap_or(untether_model::Round::FIRST);
            self.recorder.record(Record::StageEnded { batch: id.clone(), stage, round }).await?;
            // Whoever is behind follows through what the batch has ended.
            standstills = self.catch_up(wave, batch, &id, options).await?;
        }
    }

    /// The standstill of a batch, or of a subject that catches up alone, whose stage too few people have approved, as of `at`.
    pub(super) fn lacks_approval(
        &self,
        wave: &Wave,
        id: &BatchId,
        (stage, alone): (Stage, Option<&PlannedSubject>),
        at: Timestamp,
    ) -> Option<Standstill> {
        let gap = self.recorder.look(|state| {
            let digest = state.orders().get(&wave.id.plan).map(|o| o.digest)?;
            let (round, since) = match alone {
                Some(subject) => state.subjects().get(&subject.id).map(|s| (s.round, s.round_since))?,
                None => state.batches().get(id).map(|b| (b.round, b.round_since))?,
            };
            missing_approvals(state, &digest, &wave.id.wave, (round, since, stage), (1, at))
        })?;
        Some(Standstill::Approval { batch: id.clone(), stage, reason: gap_words(&gap) })
    }

    /// Approval, the canary, the roster, what was done so far, gates: everything that must hold before a batch begins a stage.
    async fn may_begin(&self, wave: &Wave, batch: &PlannedBatch, id: &BatchId, stage: Stage) -> Result<MayBegin, CutoverError> {
        if let Some(standstill) = self.lacks_approval(wave, id, (stage, None), self.ports.time.now()) {
            return Ok(MayBegin::No(standstill));
        }
        match self.canary_allows(wave, batch, id, stage) {
            MayBegin::Yes => {}
            other => return Ok(other),
        }
        if stage.changes_accounts() {
            self.check_roster(id, stage, &self.unparked(id, batch)).await?;
        }
        self.look_after(wave, &batch.name, stage, &self.unparked(id, batch)).await?;
        if let Some(reason) = self.halted(id) {
            return Ok(MayBegin::No(Standstill::Halted { batch: id.clone(), reason }));
        }
        match self.gates_before(wave, batch, id, stage).await? {
            Some(standstill) => Ok(MayBegin::No(standstill)),
            None => Ok(MayBegin::Yes),
        }
    }

    fn canary_allows(&self, wave: &Wave, batch: &PlannedBatch, id: &BatchId, stage: Stage) -> MayBegin {
        // Each batch starts its soak right after its own disable.
        if batch.canary || stage == Stage::Soak {
            return MayBegin::Yes;
        }
        let Some(canary) = wave.batches.iter().find(|b| b.canary) else { return MayBegin::Yes };
        let canary_id = wave.batch_id(&canary.name);
        let waiting = |reason: String, until| MayBegin::No(Standstill::Waiting { batch: id.clone(), stage, reason, until });
        let (passed, since, share) = self.recorder.look(|state| {
            let found = state.batches().get(&canary_id);
            let passed = found.is_some_and(|b| {
                b.ended.is_some_and(|ended| ended >= stage) || (b.current.is_none() && b.next_stage().is_none_or(|n| n > stage))
            });
            let unparked = canary.subjects.iter().filter(|s| stand(state, &canary_id, &s.id) != Stand::Parked).count();
            (passed, found.and_then(|b| b.ended_at), unparked * 100 / canary.subjects.len().max(1))
        });
        if !passed {
            if self.is_idle(&canary_id) {
                return waiting(format!("the canary batch {canary_id} has not ended {stage}"), None);
            }
            return MayBegin::Later;
        }
        // A share in percent is at most 100, so the conversion is exact.
        #[expect(clippy::cast_precision_loss, reason = "at most 100")]
        let share = share as f64;
        if share < wave.header.canary_share_percent {
            let needed = wave.header.canary_share_percent;
            return waiting(
                format!(
                    "only {share} % of the canary batch's subjects are unparked, {needed} % are needed: `untether retry`, or `untether abort` and a new plan"
                ),
                None,
            );
        }
        let wait = i64::try_from(wave.header.canary_wait.seconds).unwrap_or(i64::MAX);
        let until = since.and_then(|since| since.checked_add(jiff::SignedDuration::from_secs(wait)).ok());
        match until {
            Some(until) if until > self.ports.time.now() => {
                waiting(format!("the canary batch ended {stage}; the others follow at {until:.0}"), Some(until))
            }
            _ => MayBegin::Yes,
        }
    }

    /// Subjects that stand where their batch stands.
    pub(super) fn unparked<'a>(&self, id: &BatchId, batch: &'a PlannedBatch) -> Vec<&'a PlannedSubject> {
        self.recorder.look(|state| batch.subjects.iter().filter(|s| stand(state, id, &s.id) == Stand::WithBatch).collect())
    }

    /// Subjects that were taken up again work through what their batch has ended, alone and through the same gates.
    async fn catch_up(
        &self,
        wave: &Wave,
        batch: &PlannedBatch,
        id: &BatchId,
        options: &RunOptions,
    ) -> Result<Vec<Standstill>, CutoverError> {
        let mut standstills = Vec::new();
        for subject in &batch.subjects {
            loop {
                if *options.stop.borrow() != Stop::No {
                    return Ok(standstills);
                }
                let (at, batch_ended) =
                    self.recorder.look(|state| (stand(state, id, &subject.id), state.batches().get(id).and_then(|b| b.ended)));
                let Stand::CatchingUp(stage) = at else { break };
                if options.through.is_some_and(|through| stage > through) {
                    break;
                }
                let ended = batch_ended.is_some_and(|ended| stage <= ended);
                if !ended {
                    // Its batch has not ended this stage yet: the subject follows when it has.
                    break;
                }
                if let Some(standstill) = self.lacks_approval(wave, id, (stage, Some(subject)), self.ports.time.now()) {
                    standstills.push(standstill);
                    break;
                }
                if stage.changes_accounts() {
                    self.check_roster(id, stage, &[subject]).await?;
                }
                if self.recorder.look(|state| stand(state, id, &subject.id)) == at {
                    self.look_after(wave, &batch.name, stage, &[subject]).await?;
                }
                if let Some(standstill) = self.subject_gates(wave, id, (stage, GateWhen::Before), &[subject]).await? {
                    standstills.push(standstill);
                    break;
                }
                if self.recorder.look(|state| stand(state, id, &subject.id)) != at {
                    break;
                }
                if let Some(standstill) = self.work_stage(wave, batch, id, (stage, Some(subject)), options).await? {
                    standstills.push(standstill);
                    break;
                }
                if self.recorder.look(|state| stand(state, id, &subject.id)) != at {
                    break;
                }
                // The batch has asked the gates of its stage when it began, and not of whoever joins it now.
                let joins = self.recorder.look(|state| state.batches().get(id).and_then(|b| b.current));
                if let Some(next) = joins.filter(|next| *next > stage)
                    && let Some(standstill) = self.subject_gates(wave, id, (next, GateWhen::Before), &[subject]).await?
                {
                    standstills.push(standstill);
                    break;
                }
                self.recorder.record(Record::CaughtUp { subject: subject.id.clone(), batch: id.clone(), stage }).await?;
            }
        }
        Ok(standstills)
    }
}

fn operations_of(wave: &Wave, batch: &PlannedBatch, stage: Stage) -> u64 {
    let cells: usize = wave.operations_of(&batch.name, stage).map(|op| op.subjects.len().max(1)).sum();
    u64::try_from(cells).unwrap_or(u64::MAX)
}
