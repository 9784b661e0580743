//! Carries out orders other than waves: a rollback, phase by phase, followed by a new round; and a forced resolution.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use untether_model::operation::{Operation, Phase, Stage};
use untether_model::plan::{GateWhen, OrderKind, PlannedSubject, RollbackScope, Wave};
use untether_model::run::{CellStand, OutcomeKind, ParkReason, Record, approvers, cell_stand, unfinished_rollback};
use untether_model::{BatchId, OpId, PlanId, Round, SubjectId};

use crate::engine::{Engine, RunOptions, Stop};
use crate::error::CutoverError;
use crate::execute::Task;
use crate::gates::applies;

/// How a rollback ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// It was carried out; these subjects are in conflict and were left alone.
    Done {
        /// Subjects that were rolled back.
        rolled_back: u64,
        /// Subjects in conflict, with what was found.
        conflicts: Vec<(SubjectId, String)>,
    },
    /// The person asked it to stop; running it again goes on.
    Stopped,
    /// People must approve first.
    Unapproved {
        /// Who has.
        have: BTreeSet<String>,
        /// How many are needed.
        needed: u8,
    },
    /// It cannot be carried out.
    Refused(String),
}

/// How a forced resolution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// It was carried out.
    Done {
        /// Subjects whose conflict is settled.
        settled: Vec<SubjectId>,
        /// Subjects for whom it failed too, with what was found.
        failed: Vec<(SubjectId, String)>,
    },
    /// People must approve first.
    Unapproved {
        /// Who has.
        have: BTreeSet<String>,
        /// How many are needed.
        needed: u8,
    },
    /// It cannot be carried out.
    Refused(String),
}

impl Engine {
    /// Carries out the resolution order `wave.id.plan`: its operation again, whatever the entry holds now, and settles the conflict.
    /// `of` is the wave of that operation: force overwrites what an entry holds, not what must be true of people before their stage.
    pub async fn force(&self, wave: &Wave, of: &Wave) -> Result<Forced, CutoverError> {
        let id = &wave.id.plan;
        let now = self.ports.time.now();
        let Some(order) = self.recorder.look(|state| state.orders().get(id).cloned()) else {
            return Ok(Forced::Refused(format!("order {id} is not recorded in this state directory")));
        };
        let (OrderKind::Resolution { op: forced }, [op]) = (order.kind.clone(), wave.operations()) else {
            return Ok(Forced::Refused(format!("order {id} is no forced resolution")));
        };
        let have = self.recorder.look(|state| approvers(state, &order.digest, &wave.id.wave, (Round::FIRST, 0, op.stage), now));
        if have.len() < usize::from(order.approvals_needed) {
            return Ok(Forced::Unapproved { have, needed: order.approvals_needed });
        }
        let task = Task { id: wave.op_id(op), op, subjects: op.subjects.clone() };
        if let Some(held) = self.rolled_back_meanwhile(&task, &forced) {
            return Ok(Forced::Refused(held));
        }
        if let Some(held) = self.held_at_gate(&task, (&forced, of)).await? {
            return Ok(Forced::Refused(held));
        }
        self.executor.run(&task).await?;
        let (mut settled, mut failed) = (Vec::new(), Vec::new());
        for subject in &op.subjects {
            let (done, words) = self.recorder.look(|state| {
                let done = matches!(cell_stand(state, &task.id, Some(subject)), CellStand::Done(_));
                (done, state.cell(&task.id, Some(subject)).map(|c| c.message.clone()).unwrap_or_default())
            });
            if !done {
                failed.push((subject.clone(), words));
                continue;
            }
            let by = have.iter().cloned().collect::<Vec<_>>().join(", ");
            let record = Record::Resolved {
                op: forced.clone(),
                subject: Some(subject.clone()),
                verb: "force".to_owned(),
                order: Some(id.clone()),
                by,
                reason: op.reason.clone(),
            };
            self.recorder.record(record).await?;
            settled.push(subject.clone());
        }
        Ok(Forced::Done { settled, failed })
    }

    /// A rollback that is under way takes back what force would bring about, and may have taken away by now what that relies on.
    fn rolled_back_meanwhile(&self, task: &Task<'_>, forced: &OpId) -> Option<String> {
        self.recorder.look(|state| {
            let mut under_way = task.subjects.iter().filter_map(|id| unfinished_rollback(state, id).map(|order| (id, order)));
            let (subject, order) = under_way.find(|(_, order)| **order != forced.batch.wave.plan)?;
            Some(format!("{subject} is being rolled back by order {order}; nothing was changed. Let that end first"))
        })
    }

    /// Why a gate of the forced operation's stage does not let somebody through; asked only of whom nothing was begun for.
    async fn held_at_gate(&self, task: &Task<'_>, (forced, of): (&OpId, &Wave)) -> Result<Option<String>, CutoverError> {
        let planned =
            of.batches.iter().filter(|batch| of.batch_id(&batch.name) == forced.batch).flat_map(|batch| &batch.subjects);
        let concerned: Vec<&PlannedSubject> = self.recorder.look(|state| {
            let begun = |id| matches!(cell_stand(state, &task.id, Some(id)), CellStand::Observe { .. } | CellStand::Done(_));
            planned.filter(|subject| task.subjects.contains(&subject.id) && !begun(&subject.id)).collect()
        });
        let now = self.ports.time.now();
        for gate in of.header.gates.iter().filter(|gate| gate.stage == task.op.stage && gate.when == GateWhen::Before) {
            for subject in &concerned {
                if !applies(gate.gate, subject, self.presence(subject, now)) {
                    continue;
                }
                if let Some((subject, words, _)) = self.subject_gate(of, &forced.batch, gate.gate, subject).await? {
                    let gate = gate.gate;
                    return Ok(Some(format!(
                        "gate {gate} does not let {subject} through, with force neither: {words}; nothing was changed. Put that right, or \
                         accept the gate for {subject} (`untether gate accept {gate}`), then run the same command again"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// Carries out the rollback order `wave.id.plan`.
    pub async fn roll_back(&self, wave: &Wave, options: &RunOptions) -> Result<Rollback, CutoverError> {
        let id = &wave.id.plan;
        let now = self.ports.time.now();
        let Some(order) = self.recorder.look(|state| state.orders().get(id).cloned()) else {
            return Ok(Rollback::Refused(format!("order {id} is not recorded in this state directory")));
        };
        let OrderKind::Rollback { scope, to, .. } = order.kind.clone() else {
            return Ok(Rollback::Refused(format!("order {id} is no rollback")));
        };
        let have =
            self.recorder.look(|state| approvers(state, &order.digest, &wave.id.wave, (Round::FIRST, 0, Stage::Provision), now));
        if have.len() < usize::from(order.approvals_needed) {
            return Ok(Rollback::Unapproved { have, needed: order.approvals_needed });
        }
        let mut phases: BTreeMap<Phase, Vec<&Operation>> = BTreeMap::new();
        for op in wave.operations() {
            phases.entry(op.phase).or_default().push(op);
        }
        let mut failed: BTreeMap<SubjectId, String> = BTreeMap::new();
        for ops in phases.values() {
            if self.undo_phase(wave, ops, &mut failed, options).await? {
                return Ok(Rollback::Stopped);
            }
        }
        let mut rolled_back = 0;
        for (batch, subjects) in &order.concerns {
            let mut done: Vec<SubjectId> = subjects.iter().filter(|s| !failed.contains_key(*s)).cloned().collect();
            rolled_back += u64::try_from(done.len()).unwrap_or(u64::MAX);
            for subject in subjects.iter().filter(|s| failed.contains_key(*s)) {
                let parked = self.recorder.look(|state| state.subjects().get(subject).is_none_or(|s| s.parked.is_some()));
                if !parked {
                    let details = failed.get(subject).cloned().unwrap_or_default();
                    self.park(batch, subject, to, (ParkReason::Conflict, details)).await?;
                }
                match self.kept(wave, subject) {
                    None => {}
                    // Nothing is in place as a whole: the stages are to be done again, once a person has looked.
                    Some(kept) if kept.is_empty() => done.push(subject.clone()),
                    Some(kept) => self.end_in_part(id, (batch, to), subject, kept).await?,
                }
            }
            self.end_rollback((id, wave), &scope, (batch, to), done).await?;
        }
        Ok(Rollback::Done { rolled_back, conflicts: failed.into_iter().collect() })
    }

    async fn end_rollback(
        &self,
        (order, wave): (&PlanId, &Wave),
        scope: &RollbackScope,
        (batch, to): (&BatchId, Stage),
        mut subjects: Vec<SubjectId>,
    ) -> Result<(), CutoverError> {
        let mut kept = self.left_disabled(wave, batch, to, &subjects);
        if matches!(scope, RollbackScope::Subject(_)) && !kept.is_empty() {
            for subject in std::mem::take(&mut subjects) {
                let kept = kept.iter().filter(|(_, of)| *of == subject).cloned().collect();
                self.end_in_part(order, (batch, to), &subject, kept).await?;
            }
            kept.clear();
        }
        let round = self.recorder.look(|state| match scope {
            RollbackScope::Subject(id) => state.subjects().get(id).map(|s| s.round),
            RollbackScope::Batch(_) | RollbackScope::Wave(_) => state.batches().get(batch).map(|b| b.round),
        });
        let whole = !matches!(scope, RollbackScope::Subject(_));
        let record = Record::RolledBack {
            kept,
            order: order.clone(),
            batch: whole.then(|| batch.clone()),
            subjects,
            to,
            round: round.unwrap_or(Round::FIRST).next(),
        };
        self.recorder.record(record).await.map(drop)
    }

    /// What the order leaves in place of a stage that it rolls back: accounts of people whom the roster called departed stay disabled.
    /// Should they come back, a later rollback has that left to undo.
    fn left_disabled(&self, wave: &Wave, batch: &BatchId, to: Stage, subjects: &[SubjectId]) -> Vec<(OpId, SubjectId)> {
        let undoes: BTreeSet<&(OpId, SubjectId)> = wave.operations().iter().flat_map(|op| &op.undoes).collect();
        self.recorder.look(|state| {
            let of = |subject: &SubjectId| -> Vec<(OpId, SubjectId)> {
                let in_place = state.cells_of(subject).filter(|(op, cell)| {
                    op.batch == *batch && cell.stage == Stage::Disable && cell.stage >= to && cell.applied && !cell.undone
                });
                in_place.map(|(op, _)| (op.clone(), subject.clone())).filter(|cell| !undoes.contains(cell)).collect()
            };
            subjects.iter().flat_map(of).collect()
        })
    }

    /// What is still in place of a subject whose rollback met a conflict; `None`: nothing of it was undone. An undo that was begun
    /// anew has found the entry changed since its first attempt, so it was carried out in part: what it undoes is no longer whole.
    fn kept(&self, wave: &Wave, subject: &SubjectId) -> Option<Vec<(OpId, SubjectId)>> {
        let (undone, kept): (Vec<&Operation>, Vec<&Operation>) = self.recorder.look(|state| {
            let concerning = wave.operations().iter().filter(|op| op.subjects.contains(subject));
            concerning.partition(|op| {
                let id = wave.op_id(op);
                match cell_stand(state, &id, Some(subject)) {
                    CellStand::Done(kind) => kind != OutcomeKind::Skipped,
                    CellStand::Failed(_) => state.cell(&id, Some(subject)).is_some_and(|cell| cell.attempts > 1),
                    CellStand::Fresh | CellStand::Observe { .. } => false,
                }
            })
        });
        let undoes = kept.into_iter().flat_map(|op| op.undoes.iter());
        let kept: Vec<(OpId, SubjectId)> = undoes.filter(|(_, of)| of == subject).cloned().collect();
        (!undone.is_empty()).then_some(kept)
    }

    /// Records what was undone of a subject before its rollback met a conflict, and what was not: the next round does the former
    /// again, and the next rollback only has the latter left.
    async fn end_in_part(
        &self,
        order: &PlanId,
        (batch, to): (&BatchId, Stage),
        subject: &SubjectId,
        kept: Vec<(OpId, SubjectId)>,
    ) -> Result<(), CutoverError> {
        let round = self.recorder.look(|state| {
            let own = state.subjects().get(subject).map_or(Round::FIRST, |s| s.round.next());
            state.batches().get(batch).map_or(own, |b| b.round.next().max(own))
        });
        let (order, subjects) = (order.clone(), vec![subject.clone()]);
        self.recorder.record(Record::RolledBack { order, batch: None, subjects, to, round, kept }).await.map(drop)
    }

    /// One phase of undoing; subjects in conflict are left alone from then on. `true`: it was asked to stop.
    async fn undo_phase(
        &self,
        wave: &Wave,
        ops: &[&Operation],
        failed: &mut BTreeMap<SubjectId, String>,
        options: &RunOptions,
    ) -> Result<bool, CutoverError> {
        let skip: BTreeSet<SubjectId> = failed.keys().cloned().collect();
        let skip = &skip;
        let tasks = ops.iter().map(|op| async move {
            let id = wave.op_id(op);
            let subjects: Vec<SubjectId> = self.recorder.look(|state| {
                let open = |s: &&SubjectId| !matches!(cell_stand(state, &id, Some(s)), CellStand::Done(_));
                op.subjects.iter().filter(|s| !skip.contains(*s)).filter(open).cloned().collect()
            });
            if subjects.is_empty() && !op.subjects.is_empty() || *options.stop.borrow() != Stop::No {
                return Ok((id, subjects));
            }
            let task = Task { id: id.clone(), op, subjects: subjects.clone() };
            let worked = self.executor.run(&task).await;
            self.tell_rate(op.store);
            worked.map(|()| (id, subjects))
        });
        let mut running = futures::stream::iter(tasks).buffer_unordered(self.width());
        let mut error = None;
        while let Some(ended) = running.next().await {
            match ended {
                Ok((id, subjects)) => {
                    for subject in subjects {
                        let words = self.recorder.look(|state| match cell_stand(state, &id, Some(&subject)) {
                            CellStand::Failed(OutcomeKind::Conflict | OutcomeKind::Refused) => {
                                Some(state.cell(&id, Some(&subject)).map(|c| c.message.clone()).unwrap_or_default())
                            }
                            _ => None,
                        });
                        if let Some(words) = words {
                            failed.insert(subject, format!("undo {id}: {words}"));
                        }
                    }
                }
                Err(e) => error = error.or(Some(e)),
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(*options.stop.borrow() != Stop::No),
        }
    }
}
