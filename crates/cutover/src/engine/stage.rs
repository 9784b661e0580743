//! Works through one stage of a batch: phases, parking, the failure policy, gates, the hand-over.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use untether_model::operation::{Operation, Phase, Stage, Track};
use untether_model::plan::{GateWhen, PlannedBatch, PlannedSubject, Wave};
use untether_model::roster::Presence;
use untether_model::run::{
    ApprovalGap, CellStand, GateKind, GateQuestion, GateScope, GateState, Observation, OutcomeKind, ParkReason, Record, Stand,
    SubjectState, cell_stand, judge_gate, missing_approvals, object_approvers, stand,
};
use untether_model::{BatchId, SubjectId};

use super::{Engine, RunOptions, Standstill, Stop, Undelivered};
use crate::error::CutoverError;
use crate::execute::{AheadOf, Task};
use crate::gates::{Asked, applies};

/// Kind of the statement with which a change of a protected group's members is approved.
pub const PROTECTED_GROUP: &str = "protected-group";

/// What is missing, in words.
pub(super) fn gap_words(gap: &ApprovalGap) -> String {
    let people = if gap.needed == 1 { "one person".to_owned() } else { format!("{} different people", gap.needed) };
    let have = if gap.have.is_empty() {
        "nobody has".to_owned()
    } else {
        format!("so far: {}", gap.have.iter().cloned().collect::<Vec<_>>().join(", "))
    };
    format!("{} of round {} needs the approval of {people}; {have}", gap.stage, gap.round)
}

impl Engine {
    /// Works through a stage for the whole batch, or for one subject that catches up. `Some`: it has not ended yet.
    pub(super) async fn work_stage(
        &self,
        wave: &Wave,
        batch: &PlannedBatch,
        id: &BatchId,
        (stage, alone): (Stage, Option<&PlannedSubject>),
        options: &RunOptions,
    ) -> Result<Option<Standstill>, CutoverError> {
        let mut phases: BTreeMap<Phase, Vec<&Operation>> = BTreeMap::new();
        for op in wave.operations_of(&batch.name, stage) {
            phases.entry(op.phase).or_default().push(op);
        }
        for (phase, ops) in &phases {
            if alone.is_none() {
                self.await_ends(wave, batch, ops).await;
            }
            if let Some(standstill) = self.work_phase(wave, id, ops, alone, options).await? {
                return Ok(Some(standstill));
            }
            if *options.stop.borrow() != Stop::No {
                return Ok(None);
            }
            if alone.is_none() {
                self.pass_phase(id, stage, *phase);
            }
        }
        let undelivered = match stage {
            Stage::Enroll => self.hand_over_stage(wave, batch, id, alone).await?,
            _ => None,
        };
        let gates = self.gates_after(wave, batch, id, (stage, alone)).await?;
        Ok(match (undelivered, gates) {
            (Some(waits), Some(Standstill::Waiting { batch, stage, reason, until })) => {
                Some(Standstill::Waiting { batch, stage, reason: format!("{waits}; {reason}"), until })
            }
            (Some(reason), None) => Some(Standstill::Waiting { batch: id.clone(), stage, reason, until: None }),
            (_, gates) => gates,
        })
    }

    /// Hands over what was issued and did not arrive yet; parks whoever waits longer than the bound. `Some`: for how many it failed.
    async fn hand_over_stage(
        &self,
        wave: &Wave,
        batch: &PlannedBatch,
        id: &BatchId,
        alone: Option<&PlannedSubject>,
    ) -> Result<Option<String>, CutoverError> {
        let subjects: Vec<SubjectId> = match alone {
            Some(subject) => vec![subject.id.clone()],
            None => self.unparked(id, batch).into_iter().map(|s| s.id.clone()).collect(),
        };
        let now = self.ports.time.now();
        let bound = i64::try_from(wave.header.hold_bound.seconds).unwrap_or(i64::MAX);
        let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
        for Undelivered { subject, words, since } in self.hand_over(&subjects).await? {
            if now.duration_since(since).as_secs() > bound {
                let details = format!("its one-time credential could not be handed over since {since:.0}: {words}");
                self.park(id, &subject, Stage::Enroll, (ParkReason::Held, details)).await?;
            } else {
                *waiting.entry(words).or_insert(0) += 1;
            }
        }
        let reasons: Vec<String> = waiting.iter().map(|(why, n)| format!("{n} × hand-over: {why}")).collect();
        Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
    }

    /// The unparked cells of a phase, concurrently; the phase ends when each has an outcome.
    async fn work_phase(
        &self,
        wave: &Wave,
        id: &BatchId,
        ops: &[&Operation],
        alone: Option<&PlannedSubject>,
        options: &RunOptions,
    ) -> Result<Option<Standstill>, CutoverError> {
        let (broken, lapsed) = (AtomicBool::new(false), OnceLock::new());
        let (broken, lapsed) = (&broken, &lapsed);
        let ahead = &AheadOf::new(&self.executor, ops, |op| self.task(wave, id, op, alone));
        let tasks = ops.iter().enumerate().map(|(at, op)| async move {
            let stopped = *options.stop.borrow() != Stop::No || broken.load(Ordering::Relaxed) || lapsed.get().is_some();
            if stopped || self.halted(id).is_some() {
                return Ok(());
            }
            let Some(task) = self.task(wave, id, op, alone) else { return Ok(()) };
            let Some(task) = self.with_own_rounds(wave, id, task, alone).await? else { return Ok(()) };
            // A reversible stage that has begun may end; nothing irreversible is begun under an approval that has expired.
            if op.stage.is_irreversible()
                && let Some(standstill) = self.lacks_approval(wave, id, (op.stage, alone), self.ports.time.now())
            {
                // Whoever was first has said the same.
                let _ = lapsed.set(standstill);
                return Ok(());
            }
            if self.held_for_approval(wave, id, &task).await? {
                return Ok(());
            }
            if op.is_reference()
                && let Some(why) = self.deferred_for(wave, op)
            {
                return self.executor.defer(&task, &why).await;
            }
            let worked = self.executor.run_looked(&task, ahead.seen(at)).await;
            self.tell_rate(task.op.store);
            worked?;
            self.settle(id, &task).await
        });
        let mut running = futures::stream::iter(tasks).buffer_unordered(self.width());
        let mut failed: Option<CutoverError> = None;
        while let Some(ended) = running.next().await {
            if let Err(error) = ended {
                // What is in flight ends before the run does; nothing new is started.
                broken.store(true, Ordering::Relaxed);
                failed = failed.or(Some(error));
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let halted = self.halted(id).map(|reason| Standstill::Halted { batch: id.clone(), reason });
        Ok(halted.or_else(|| lapsed.get().cloned()))
    }

    /// Leaves out, and parks, whoever stands with the batch and is in another round than it: those approvals are not theirs. `None`:
    /// nobody is left.
    async fn with_own_rounds<'a>(
        &self,
        wave: &Wave,
        id: &BatchId,
        mut task: Task<'a>,
        alone: Option<&PlannedSubject>,
    ) -> Result<Option<Task<'a>>, CutoverError> {
        if alone.is_some() || task.subjects.is_empty() {
            return Ok(Some(task));
        }
        let (stage, now) = (task.op.stage, self.ports.time.now());
        let gaps: Vec<(SubjectId, ApprovalGap)> = self.recorder.look(|state| {
            let (Some(batch), Some(order)) = (state.batches().get(id), state.orders().get(&wave.id.plan)) else {
                return Vec::new();
            };
            let others = task.subjects.iter().filter_map(|id| state.subjects().get(id).map(|s| (id, s)));
            let others = others.filter(|(_, subject)| subject.round != batch.round);
            let gap = |(id, subject): (&SubjectId, &SubjectState)| {
                let round = (subject.round, subject.round_since, stage);
                Some((id.clone(), missing_approvals(state, &order.digest, &wave.id.wave, round, (1, now))?))
            };
            others.filter_map(gap).collect()
        });
        for (subject, gap) in gaps {
            let details = format!("{}: `untether approve {}`, then `untether retry`", gap_words(&gap), wave.id);
            self.park(id, &subject, stage, (ParkReason::Held, details)).await?;
            task.subjects.retain(|other| *other != subject);
        }
        Ok(Some(task).filter(|task| !task.subjects.is_empty()))
    }

    /// Taking a departed member out of a protected group has an approval of its own; without it the subjects are parked.
    async fn held_for_approval(&self, wave: &Wave, id: &BatchId, task: &Task<'_>) -> Result<bool, CutoverError> {
        if !task.op.protected_group {
            return Ok(false);
        }
        let now = self.ports.time.now();
        let approved = self.recorder.look(|state| {
            let order = state.orders().get(&wave.id.plan);
            order.is_some_and(|o| !object_approvers(state, PROTECTED_GROUP, &task.id.to_string(), &o.digest, now).is_empty())
        });
        if approved {
            return Ok(false);
        }
        let group = task.op.target.dn();
        for subject in &task.subjects {
            let details = format!(
                "operation {} takes the member out of the protected group '{group}' and needs an approval of its own: \
                 `untether approve {}`, then `untether retry`, or a new plan once the wave has ended",
                task.id, task.id
            );
            self.park(id, subject, task.op.stage, (ParkReason::Held, details)).await?;
        }
        Ok(true)
    }

    pub(super) fn halted(&self, id: &BatchId) -> Option<String> {
        self.recorder.look(|state| state.batches().get(id).and_then(|b| b.halted.clone()))
    }

    /// The operation with the cells that are to be worked on now; `None`: there are none.
    fn task<'a>(&self, wave: &Wave, id: &BatchId, op: &'a Operation, alone: Option<&PlannedSubject>) -> Option<Task<'a>> {
        let op_id = wave.op_id(op);
        let subjects: Vec<SubjectId> = self.recorder.look(|state| {
            op.subjects
                .iter()
                .filter(|s| match alone {
                    Some(one) => one.id == **s,
                    None => stand(state, id, s) == Stand::WithBatch,
                })
                .filter(|s| !matches!(cell_stand(state, &op_id, Some(s)), CellStand::Done(_)))
                .cloned()
                .collect()
        });
        if subjects.is_empty() {
            let store_level = op.subjects.is_empty() && alone.is_none();
            let done = self.recorder.look(|state| matches!(cell_stand(state, &op_id, None), CellStand::Done(_)));
            if !store_level || done {
                return None;
            }
        }
        Some(Task { id: op_id, op, subjects })
    }

    /// Parks whose cells failed; halts the batch when it has more failures than it tolerates.
    async fn settle(&self, id: &BatchId, task: &Task<'_>) -> Result<(), CutoverError> {
        for subject in &task.subjects {
            let failed = self.recorder.look(|state| match cell_stand(state, &task.id, Some(subject)) {
                CellStand::Failed(kind) => {
                    let words = state.cell(&task.id, Some(subject)).map(|c| c.message.clone()).unwrap_or_default();
                    (stand(state, id, subject) != Stand::Parked).then_some((kind, words))
                }
                _ => None,
            });
            let Some((kind, words)) = failed else { continue };
            let reason = if kind == OutcomeKind::Conflict { ParkReason::Conflict } else { ParkReason::Failed };
            let details = format!("operation {} on '{}': {words}", task.id, task.op.target.dn());
            self.park(id, subject, task.op.stage, (reason, details)).await?;
        }
        self.halt_if_over(id).await
    }

    /// Halts the batch when it has more failures than it tolerates.
    pub(super) async fn halt_if_over(&self, id: &BatchId) -> Result<(), CutoverError> {
        let over = self.recorder.look(|state| {
            state.batches().get(id).filter(|b| b.halted.is_none() && b.failures > b.failure_tolerance).map(|b| b.failures)
        });
        if let Some(failures) = over {
            let reason = format!("{failures} refusals or conflicts, more than the batch tolerates");
            self.recorder.record(Record::Halted { batch: id.clone(), reason }).await?;
        }
        Ok(())
    }

    pub(crate) async fn park(
        &self,
        batch: &BatchId,
        subject: &SubjectId,
        stage: Stage,
        (reason, details): (ParkReason, String),
    ) -> Result<(), CutoverError> {
        let (subject, batch) = (subject.clone(), batch.clone());
        self.recorder.record(Record::Parked { subject, batch, reason, stage, details, presence: None }).await.map(drop)
    }

    /// Reads the roster again and parks whom it judges otherwise than the plan did.
    pub(super) async fn check_roster(
        &self,
        id: &BatchId,
        stage: Stage,
        subjects: &[&PlannedSubject],
    ) -> Result<(), CutoverError> {
        let now = self.ports.time.now();
        let Some(roster) = self.roster_as_of(now).await? else { return Ok(()) };
        for subject in subjects {
            let Some(reference) = &subject.roster_ref else { continue };
            let presence = roster.person(reference, now).presence;
            let words = match (subject.track, presence) {
                (Track::Migrate, Some(p)) if p.has_ended() => "the roster says now that the person has left",
                (Track::Migrate, None) => "the roster has no row for the person any more",
                (Track::Retire, Some(p)) if p.is_active() => "the roster says now that the person is active",
                _ => continue,
            };
            if self.recorder.look(|state| stand(state, id, &subject.id)) == Stand::Parked {
                continue;
            }
            let record = Record::Parked {
                subject: subject.id.clone(),
                batch: id.clone(),
                reason: ParkReason::Roster,
                stage,
                details: words.to_owned(),
                presence,
            };
            self.recorder.record(record).await?;
        }
        Ok(())
    }

    pub(super) async fn gates_before(
        &self,
        wave: &Wave,
        batch: &PlannedBatch,
        id: &BatchId,
        stage: Stage,
    ) -> Result<Option<Standstill>, CutoverError> {
        let subjects = self.unparked(id, batch);
        self.subject_gates(wave, id, (stage, GateWhen::Before), &subjects).await
    }

    async fn gates_after(
        &self,
        wave: &Wave,
        batch: &PlannedBatch,
        id: &BatchId,
        (stage, alone): (Stage, Option<&PlannedSubject>),
    ) -> Result<Option<Standstill>, CutoverError> {
        let subjects = match alone {
            Some(subject) => vec![subject],
            None => self.unparked(id, batch),
        };
        if let Some(standstill) = self.subject_gates(wave, id, (stage, GateWhen::After), &subjects).await? {
            return Ok(Some(standstill));
        }
        let silence =
            wave.header.gates.iter().any(|g| g.gate == GateKind::Silence && g.stage == stage && g.when == GateWhen::After);
        if !silence || subjects.is_empty() {
            return Ok(None);
        }
        self.executor.observe_gate(&Asked { gate: GateKind::Silence, header: &wave.header, batch: id, subject: None }).await?;
        let now = self.ports.time.now();
        let question = GateQuestion { gate: GateKind::Silence, wave: &wave.id, batch: id, subject: None, now };
        let (judged, disabled_at) =
            self.recorder.look(|state| (judge_gate(state, &question), state.batches().get(id).and_then(|b| b.disabled_at)));
        let soak = i64::try_from(wave.header.soak.seconds).unwrap_or(i64::MAX);
        let over = disabled_at.and_then(|at| at.checked_add(jiff::SignedDuration::from_secs(soak)).ok());
        let (reason, until) = match judged {
            GateState::Accepted { .. } | GateState::Exempt(_) => return Ok(None),
            GateState::Pass => match over {
                Some(until) if until > now => (format!("silence holds; the soak time ends at {until}"), Some(until)),
                _ => return Ok(None),
            },
            GateState::Hold(why) => (format!("gate silence holds: {why}"), None),
            GateState::Unknown(why) => (format!("gate silence is unknown: {why}"), None),
        };
        Ok(Some(Standstill::Waiting { batch: id.clone(), stage, reason, until }))
    }

    /// Asks the gates of each subject; parks whoever waited longer than the bound; tells how many still wait.
    pub(super) async fn subject_gates(
        &self,
        wave: &Wave,
        id: &BatchId,
        (stage, when): (Stage, GateWhen),
        subjects: &[&PlannedSubject],
    ) -> Result<Option<Standstill>, CutoverError> {
        let now = self.ports.time.now();
        let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
        for planned in wave.header.gates.iter().filter(|g| g.stage == stage && g.when == when) {
            let looks = subjects.iter().map(|subject| async move {
                if !applies(planned.gate, subject, self.presence(subject, now)) {
                    return Ok(None);
                }
                self.subject_gate(wave, id, planned.gate, subject).await
            });
            let mut looks = futures::stream::iter(looks).buffer_unordered(32);
            while let Some(found) = looks.next().await {
                let Some((subject, words, since)) = found? else { continue };
                let bound = i64::try_from(wave.header.hold_bound.seconds).unwrap_or(i64::MAX);
                if now.duration_since(since).as_secs() > bound {
                    let details = format!("waited at gate {} since {since}: {words}", planned.gate);
                    self.park(id, &subject, stage, (ParkReason::Held, details)).await?;
                } else {
                    *waiting.entry(format!("gate {}: {words}", planned.gate)).or_insert(0) += 1;
                }
            }
        }
        let reasons: Vec<String> = waiting.iter().map(|(why, n)| format!("{n} × {why}")).collect();
        Ok((!reasons.is_empty()).then(|| Standstill::Waiting {
            batch: id.clone(),
            stage,
            reason: reasons.join("; "),
            until: None,
        }))
    }

    /// What the roster says of a subject now; `None`: it says nothing.
    pub(crate) fn presence(&self, subject: &PlannedSubject, now: jiff::Timestamp) -> Option<Presence> {
        let (roster, reference) = (self.ports.roster.as_ref()?, subject.roster_ref.as_ref()?);
        roster.person(reference, now).presence
    }

    /// `Some`: the gate does not let the subject through; why, and since when it waits.
    pub(crate) async fn subject_gate(
        &self,
        wave: &Wave,
        id: &BatchId,
        gate: GateKind,
        subject: &PlannedSubject,
    ) -> Result<Option<(SubjectId, String, jiff::Timestamp)>, CutoverError> {
        self.executor.observe_gate(&Asked { gate, header: &wave.header, batch: id, subject: Some(subject) }).await?;
        let now = self.ports.time.now();
        let question = GateQuestion { gate, wave: &wave.id, batch: id, subject: Some(&subject.id), now };
        let scope = GateScope::Subject(subject.id.clone());
        let (judged, since) = self.recorder.look(|state| {
            let since =
                state.gate_observation(gate, &scope).filter(|o| matches!(o.what, Observation::Gate { .. })).map(|o| o.from);
            (judge_gate(state, &question), since)
        });
        Ok(match judged {
            GateState::Pass | GateState::Exempt(_) | GateState::Accepted { .. } => None,
            GateState::Hold(words) | GateState::Unknown(words) => Some((subject.id.clone(), words, since.unwrap_or(now))),
        })
    }
}
