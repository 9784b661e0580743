//! The auditor's own books: what was recorded and written so far, and what must be true of the next record and the next write.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use untether_cutover::image::{BEFORE, DESIRED, Image};
use untether_ledger::Key;
use untether_model::approval::Signed;
use untether_model::digest::Digest;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Expects, Operation, PlannedValue, Stage};
use untether_model::plan::OrderKind;
use untether_model::run::{GateKind, GateScope, Observation, OutcomeKind, ParkReason, Record, Started, Verdict};
use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, BatchId, OpId, PlanId, Round, Side, SubjectId, Value, WaveId};

use super::closed::Closed;
use super::limits::Limits;
use super::restored::Restored;
use crate::twins::World;

/// Records that a failure tells.
const TRAIL: usize = 200;

#[derive(Clone)]
pub(super) struct Batch {
    pub round: Round,
    pub since: u64,
    pub current: Option<Stage>,
    pub ended: Option<Stage>,
    pub begun: Timestamp,
    pub disabled_at: Option<Timestamp>,
    pub subjects: Vec<SubjectId>,
}

#[derive(Clone)]
pub(super) struct Held {
    pub batch: BatchId,
    pub round: Round,
    pub since: u64,
    pub parked: bool,
    /// Parked because of a conflict: what was undone of it, if anything, only the records tell.
    pub conflict: bool,
    pub begun: bool,
    pub ended: Option<Stage>,
    /// Taken up again, and not yet where its batch is.
    pub alone: bool,
}

pub(super) struct Order {
    pub digest: Digest,
    pub kind: OrderKind,
    pub needed: u8,
    /// What the roster said when it was made: these people have left.
    pub ended: BTreeSet<SubjectId>,
}

#[derive(Default)]
pub(super) struct Books {
    pub records: Vec<(u64, Digest)>,
    pub approvals: BTreeMap<u64, (Signed, bool)>,
    pub orders: BTreeMap<PlanId, Order>,
    pub running: BTreeSet<WaveId>,
    pub aborted: BTreeSet<WaveId>,
    pub batches: BTreeMap<BatchId, Batch>,
    pub subjects: BTreeMap<SubjectId, Held>,
    pub open: BTreeMap<(OpId, Option<SubjectId>), Started>,
    pub passed: BTreeMap<(GateKind, GateScope), bool>,
    pub accepted: Vec<(GateKind, GateScope, Timestamp)>,
    /// What others changed: what is wrong there is not ours.
    pub others: BTreeSet<(Side, DnKey)>,
    /// What the rollback that is under way touches.
    pub rolling: BTreeSet<(Side, DnKey)>,
    /// What we have written to.
    pub written: BTreeSet<(Side, DnKey)>,
    /// Conflicts that nobody has decided on.
    pub conflicts: BTreeSet<(OpId, SubjectId)>,
    /// What ended in a conflict, or was refused by the store, and was not carried out since.
    pub failed: BTreeSet<(OpId, SubjectId)>,
    /// What is done, and what was undone by which record.
    pub done: BTreeMap<(OpId, SubjectId), Stage>,
    pub undone: BTreeMap<(OpId, SubjectId), u64>,
    pub closed: Closed,
    pub restored: Restored,
    pub limits: Limits,
    /// The last records, in words.
    pub trail: VecDeque<String>,
    pub kinds: BTreeMap<&'static str, u64>,
    pub violations: Vec<String>,
}

/// A record in a line, without what is sealed.
fn brief(record: &Record) -> String {
    match record {
        Record::Started { started } => {
            format!("started {} {} attempt {} for {:?}", started.op, started.stage, started.attempt, started.subjects)
        }
        Record::Outcome { outcome } => {
            let cells: Vec<String> = outcome.cells.iter().map(|c| format!("{:?} {}", c.subject, c.kind.as_str())).collect();
            format!("outcome {} {} [{}] {}", outcome.op, outcome.stage, cells.join(", "), outcome.message)
        }
        Record::Approved { signed } => format!("approved {:?} until {}", signed.statement.subject, signed.statement.not_after),
        Record::WaveStarted { wave, .. } => format!("wave-started {wave}"),
        Record::PlanRecorded { plan, .. } => format!("plan-recorded {plan}"),
        other => other.to_parts().map_or_else(|e| e.to_string(), |(kind, body)| format!("{kind} {body}")),
    }
}

pub(in crate::simulate) fn digest_of(record: &Record) -> Digest {
    Digest::of(record.to_parts().map(|(kind, body)| format!("{kind}{body}")).unwrap_or_default().as_bytes())
}

impl Books {
    pub fn wrong(&mut self, words: String) {
        self.violations.push(words);
    }

    pub fn note(&mut self, line: String) {
        self.trail.push_back(line);
        if self.trail.len() > TRAIL {
            self.trail.pop_front();
        }
    }

    pub fn count(&mut self, kind: &'static str) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    fn started(&mut self, world: &World, at: Timestamp, started: &Started) {
        let wave = started.op.wave().clone();
        let Some(order) = self.orders.get(&wave.plan) else {
            return self.wrong(format!("{} belongs to no recorded order", started.op));
        };
        let forward = order.kind == OrderKind::Plan;
        let (needed, kind) = (usize::from(order.needed), order.kind.clone());
        if forward {
            let alone = started.subjects.iter().filter_map(|s| self.subjects.get(s)).find(|s| s.parked);
            if alone.is_some() {
                self.wrong(format!("{} works on a parked subject", started.op));
            }
            let Some(batch) = self.batches.get(&started.op.batch).cloned() else { return };
            let needed = if started.stage >= Stage::Scrub { 2 } else { 1 };
            // Whoever catches up, or is in another round than the batch, needs the approval of the own round; the others that of
            // their batch.
            let together = batch.current == Some(started.stage);
            let own = started.subjects.iter().filter_map(|id| Some((id, self.subjects.get(id)?.clone())));
            let (with, apart): (Vec<_>, Vec<_>) = own.partition(|(_, held)| together && held.round == batch.round);
            let mut asked: Vec<(&SubjectId, (Round, u64, Timestamp))> =
                apart.into_iter().map(|(id, held)| (id, (held.round, held.since, at))).collect();
            let then = if started.stage >= Stage::Scrub { at } else { batch.begun };
            asked.extend(with.into_iter().map(|(id, _)| (id, (batch.round, batch.since, then))));
            for (id, (round, since, at)) in asked {
                self.redone((started, id), (round, needed, at));
                let have = self.people(&wave.plan, &wave.wave, (round, started.stage), (since, at));
                if have < needed {
                    self.wrong(format!(
                        "{} of {} starts for {id} in round {round} with {have} approvals of {needed}",
                        started.op, started.stage
                    ));
                }
            }
        } else {
            let have = self.people(&wave.plan, &wave.wave, (Round::FIRST, Stage::Provision), (0, Timestamp::MIN));
            let have = have.max(self.people(&wave.plan, &wave.wave, (Round::FIRST, started.stage), (0, at)));
            if have < needed {
                self.wrong(format!("{} of {kind:?} starts with {have} approvals of {needed}", started.op));
            }
        }
        let subjects: Vec<Option<SubjectId>> = match started.subjects.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        for subject in subjects {
            self.open.insert((started.op.clone(), subject), started.clone());
        }
        self.deserved(world, started);
        if let Some(op) = world.operation(&started.op) {
            self.expected(world, &op, started);
            self.written.insert((op.store, op.target.dn().key().clone()));
            if !matches!(kind, OrderKind::Rollback { .. }) {
                self.restored.started(world, &op, started);
            }
        }
    }

    /// What was undone is done again only under approvals that were given since; over a conflict only when somebody has decided.
    fn redone(&mut self, (started, subject): (&Started, &SubjectId), (round, needed, at): (Round, usize, Timestamp)) {
        let key = (started.op.clone(), subject.clone());
        if self.conflicts.contains(&key) {
            self.wrong(format!("{} of {subject} starts again over a conflict that nobody has decided on", started.op));
        }
        let Some(since) = self.undone.remove(&key) else { return };
        let wave = started.op.wave();
        let have = self.people(&wave.plan, &wave.wave, (round, started.stage), (since, at));
        if have < needed {
            self.wrong(format!(
                "{} of {subject} was undone and starts again without a new round: {have} of {needed}",
                started.op
            ));
        }
    }

    /// A first attempt of a forward operation, or of one about a credential, goes ahead only from what the order expects, or from what
    /// is desired already.
    fn expected(&mut self, world: &World, op: &Operation, started: &Started) {
        let Action::Set { touches } = &op.action else { return };
        let kind = self.orders.get(&started.op.wave().plan).map(|order| &order.kind);
        let checked = matches!(kind, Some(OrderKind::Plan | OrderKind::Reissue { .. } | OrderKind::Expire { .. }));
        if !checked || started.attempt > 1 {
            return;
        }
        let Some(before) = image(started, BEFORE) else { return };
        let schema = Schema::standard();
        for touch in touches {
            let held = before.attrs.get(&touch.attr).cloned().unwrap_or_default();
            let inline = |values: &[PlannedValue]| -> Option<Vec<Value>> {
                values.iter().map(|v| if let PlannedValue::Inline(v) = v { Some(v.clone()) } else { None }).collect()
            };
            let fits = match &touch.expects {
                Expects::Any => true,
                Expects::Marks(wanted) => {
                    let (name, marks) = (touch.attr.as_str(), world.marks());
                    let each: BTreeSet<String> = held.iter().map(|v| marks.value(name, v.as_bytes())).collect();
                    let whole = marks.set(name, held.iter().map(Value::as_bytes));
                    each == wanted.iter().cloned().collect() || *wanted == [whole]
                }
                Expects::Absent => held.is_empty(),
                Expects::Values(values) => inline(values).is_none_or(|v| schema.same_values(&touch.attr, &held, &v)),
            };
            let desired = image(started, DESIRED).and_then(|i| i.attrs.get(&touch.attr).cloned()).unwrap_or_default();
            if !fits && !schema.same_values(&touch.attr, &held, &desired) {
                self.wrong(format!("{} starts although {} is not what the plan expects", started.op, touch.attr));
            }
        }
    }

    fn wave_started(&mut self, world: &World, wave: &WaveId, claims: &[untether_model::run::WaveClaim], at: Timestamp) {
        for claim in claims {
            let id = BatchId::new(wave.clone(), claim.batch.as_str());
            for subject in &claim.subjects {
                if let Some(held) = self.subjects.get(&subject.id) {
                    let busy = self.running.contains(&held.batch.wave) && !held.parked;
                    let begun = held.begun || self.batches.get(&held.batch).is_some_and(|b| b.current.is_some());
                    if busy && begun {
                        let words = format!("{} is claimed by {id} while {} works on it", subject.id, held.batch);
                        self.violations.push(words);
                    }
                }
                let held = Held {
                    batch: id.clone(),
                    round: Round::FIRST,
                    since: 0,
                    parked: false,
                    conflict: false,
                    begun: false,
                    ended: None,
                    alone: false,
                };
                self.subjects.insert(subject.id.clone(), held);
            }
            let subjects = claim.subjects.iter().map(|s| s.id.clone()).collect();
            let batch =
                Batch { round: Round::FIRST, since: 0, current: None, ended: None, begun: at, disabled_at: None, subjects };
            self.batches.insert(id, batch);
        }
        self.running.insert(wave.clone());
        self.closed.taken(wave, claims);
        if let Some((_, planned)) = world.wave(wave) {
            self.limits.wave(wave, &planned.header.thresholds);
            let disabled: BTreeSet<&DnKey> = planned
                .operations()
                .iter()
                .filter(|op| op.stage == Stage::Disable && matches!(op.action, Action::Set { .. }))
                .map(|op| op.target.dn().key())
                .collect();
            if planned.header.thresholds.max_disabled.is_some_and(|max| disabled.len() as u64 > max) {
                self.wrong(format!("{wave} started above its threshold"));
            }
        }
    }

    pub fn take(&mut self, world: &World, (seq, at): (u64, Timestamp), record: &Record) {
        self.records.push((seq, digest_of(record)));
        self.note(format!("{seq} {at} {}", brief(record)));
        self.closed.record(world, record);
        match record {
            Record::PlanRecorded { plan, digest, .. } => {
                let order = Order { digest: *digest, kind: OrderKind::Plan, needed: 1, ended: BTreeSet::new() };
                self.orders.insert(plan.clone(), order);
            }
            Record::OrderRecorded { order, digest, order_kind, approvals_needed, .. } => {
                let presences = world.roster.presences();
                let people = world.estate.people.iter().filter(|p| presences.get(&p.uid).is_some_and(|p| p.has_ended()));
                let ended = people.map(|person| person.subject()).collect();
                let new = Order { digest: *digest, kind: order_kind.clone(), needed: *approvals_needed, ended };
                self.orders.insert(order.clone(), new);
            }
            Record::Approved { signed } => drop(self.approvals.insert(seq, (signed.clone(), false))),
            Record::Revoked { approval, .. } => {
                if let Some(found) = self.approvals.get_mut(approval) {
                    found.1 = true;
                }
            }
            Record::WaveStarted { wave, claims, .. } => self.wave_started(world, wave, claims, at),
            Record::StageStarted { batch, stage, round, .. } => self.stage_started(world, at, (batch, *stage, *round)),
            Record::StageEnded { batch, stage, .. } => self.stage_ended(world, at, (batch, *stage)),
            Record::Observed { observed } => {
                if let Observation::Gate { gate, scope, verdict, .. } = &observed.what {
                    self.passed.insert((*gate, scope.clone()), matches!(verdict, Verdict::Pass | Verdict::Exempt));
                }
            }
            Record::GateAccepted { gate, scope, signed } => {
                self.accepted.push((*gate, scope.clone(), signed.statement.not_after));
            }
            Record::Started { started } => self.started(world, at, started),
            Record::Outcome { outcome } => {
                for cell in &outcome.cells {
                    self.open.remove(&(outcome.op.clone(), cell.subject.clone()));
                    self.count(cell.kind.as_str());
                    let Some(subject) = &cell.subject else { continue };
                    let key = (outcome.op.clone(), subject.clone());
                    match cell.kind {
                        OutcomeKind::Conflict | OutcomeKind::Refused => self.failed.insert(key.clone()),
                        _ => self.failed.remove(&key),
                    };
                    if cell.kind == OutcomeKind::Conflict {
                        self.conflicts.insert(key);
                    } else if cell.kind.is_done() {
                        self.done.insert(key, outcome.stage);
                    }
                }
                self.came_to(world, outcome);
            }
            Record::Parked { subject, reason, .. } => {
                self.count(match reason.as_str() {
                    "roster" => "parked by the roster",
                    "held" => "parked at a gate",
                    "conflict" => "parked in conflict",
                    _ => "parked",
                });
                if let Some(held) = self.subjects.get_mut(subject) {
                    held.parked = true;
                    held.conflict = *reason == ParkReason::Conflict;
                }
            }
            Record::Unparked { subject, .. } => {
                self.count("retried");
                if let Some(held) = self.subjects.get_mut(subject) {
                    held.parked = false;
                    held.conflict = false;
                    held.alone = self.batches.get(&held.batch).is_some_and(|b| b.current.is_some() || b.ended != held.ended);
                }
            }
            Record::Aborted { wave, .. } => {
                self.count("waves aborted");
                self.aborted.insert(wave.clone());
                self.running.remove(wave);
            }
            Record::WaveEnded { wave } => {
                self.count("waves ended");
                self.running.remove(wave);
            }
            Record::RolledBack { order, batch, subjects, round, to, kept } => {
                self.count("rollbacks ended");
                self.taken_back(world, seq, (order, subjects, *to, kept));
                if let Some(found) = batch.as_ref().and_then(|id| self.batches.get_mut(id)) {
                    if *round <= found.round {
                        self.violations.push(format!("a rollback ends in round {round}, which is over"));
                    }
                    found.round = *round;
                    found.since = seq;
                    found.current = None;
                    found.ended = found
                        .ended
                        .filter(|ended| ended < to)
                        .or(Some(*to).and_then(Stage::previous).filter(|_| found.ended.is_some()));
                    found.begun = at;
                }
                if let Some(id) = batch.as_ref().filter(|id| !self.aborted.contains(&id.wave)) {
                    self.running.insert(id.wave.clone());
                }
                let batch_ended = batch.as_ref().and_then(|id| self.batches.get(id)).and_then(|found| found.ended);
                for id in subjects {
                    if let Some(held) = self.subjects.get_mut(id) {
                        held.round = *round;
                        held.since = seq;
                        held.parked |= batch.is_none();
                        let stages = world.planned(&held.batch, id).map(|p| p.stages);
                        let before = stages.iter().flatten().copied().filter(|stage| stage < to).max();
                        held.ended = held.ended.and_then(|ended| if ended < *to { Some(ended) } else { before });
                        // Rolled back to before its first stage it is as unstarted.
                        held.begun &= stages.is_none() || before.is_some();
                        let behind = |stage: &Stage| Some(*stage) > held.ended && Some(*stage) <= batch_ended;
                        held.alone = !held.parked && stages.iter().flatten().any(behind);
                    }
                }
            }
            Record::CaughtUp { subject, batch, stage } => {
                self.count("caught up");
                self.caught_up(world, at, (batch, subject, *stage));
            }
            Record::Halted { .. } => self.count("halts"),
            Record::Resolved { op, subject, verb, .. } => {
                self.count(if verb == "force" { "conflicts forced" } else { "conflicts decided" });
                if let Some(subject) = subject {
                    self.conflicts.remove(&(op.clone(), subject.clone()));
                }
            }
            Record::Drift { over, .. } => self.count(if *over { "drift over" } else { "drift" }),
            Record::Reopened { subject, .. } => {
                self.count("reopened");
                if let Some(held) = self.subjects.get_mut(subject) {
                    held.parked = true;
                }
            }
            Record::HandoverWritten { .. } => self.count("hand-overs"),
            Record::HandoverEnded { delivered: true, .. } => self.count("hand-overs by a hook"),
            Record::HandoverEnded { delivered: false, .. } => self.count("hand-overs that a hook refused"),
            Record::OrderEnded { .. } => self.count("hand-over orders ended"),
            _ => {}
        }
    }

    /// What a rollback has undone is as it was, and may be done again in a new round only.
    fn taken_back(
        &mut self,
        world: &World,
        seq: u64,
        (order, subjects, to, kept): (&PlanId, &[SubjectId], Stage, &[(OpId, SubjectId)]),
    ) {
        for subject in subjects {
            let stays = |op: &OpId| kept.iter().any(|(kept, of)| kept == op && of == subject);
            let undone: Vec<(OpId, SubjectId)> = self
                .done
                .iter()
                .filter(|((op, of), stage)| of == subject && **stage >= to && !stays(op))
                .map(|(key, _)| key.clone())
                .collect();
            for key in undone {
                self.done.remove(&key);
                self.undone.insert(key, seq);
            }
            self.conflicts.retain(|(op, of)| of != subject || stays(op));
            let conflict = self.subjects.get(subject).is_some_and(|held| held.conflict)
                || self.failed.iter().any(|(op, of)| op.wave().plan == *order && of == subject);
            let left = self.orders.get(order).is_some_and(|order| {
                let anyway = matches!(order.kind, OrderKind::Rollback { enable_inactive: true, .. });
                !anyway && order.ended.contains(subject)
            });
            let others = &self.others;
            let excused = |side, dn: &DnKey| others.contains(&(side, dn.clone()));
            let found = self.restored.taken_back(world, subject, (to, left, conflict), stays, excused);
            self.kinds.entry("rollbacks compared").and_modify(|n| *n += found.compared).or_insert(found.compared);
            self.violations.extend(found.wrong);
        }
    }

    /// The intent that a change of this entry belongs to.
    pub fn intents(&self, world: &World, side: Side, dn: &DnKey) -> Vec<(Operation, Started)> {
        let mut found: Vec<(Operation, Started)> = Vec::new();
        for ((op, _), started) in &self.open {
            if started.store != side || found.iter().any(|(_, s)| s.op == *op && s.attempt == started.attempt) {
                continue;
            }
            if let Some(operation) = world.operation(op).filter(|o| o.target.dn().key() == dn) {
                found.push((operation, started.clone()));
            }
        }
        found
    }
}

pub(super) fn image(started: &Started, purpose: &str) -> Option<Image> {
    let wave = started.op.wave().to_string();
    let key = Key::from_bytes(*Digest::of(wave.as_bytes()).as_bytes());
    let sealed = if purpose == BEFORE { &started.before } else { &started.desired };
    Image::unseal(&key, purpose, &started.op, sealed).ok()
}

pub(super) fn values<'a>(attrs: &'a AttrMap, attr: &AttrName) -> &'a [Value] {
    attrs.values_of(attr)
}
