//! The invariants: checked with each record and each write, from what was recorded and from what the stores hold, and with none of
//! the engine's own judgements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::{SignedDuration, Timestamp};
use untether_cutover::image::{BEFORE, DESIRED, Image};
use untether_ledger::Key;
use untether_model::approval::{Signed, Subject};
use untether_model::change::Change;
use untether_model::digest::Digest;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Expects, Operation, PlannedValue, Stage, Track};
use untether_model::plan::OrderKind;
use untether_model::run::{GateKind, GateScope, Observation, Outcome, OutcomeKind, Record, Started, Verdict};
use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, BatchId, Entry, OpId, PlanId, Round, Side, SubjectId, Value, WaveId};

use super::logins;
use crate::twins::{Observer, SOAK_SECONDS, World};

#[derive(Clone)]
struct Batch {
    round: Round,
    since: u64,
    current: Option<Stage>,
    ended: Option<Stage>,
    begun: Timestamp,
    disabled_at: Option<Timestamp>,
    subjects: Vec<SubjectId>,
}

#[derive(Clone)]
struct Held {
    batch: BatchId,
    round: Round,
    since: u64,
    parked: bool,
    begun: bool,
    ended: Option<Stage>,
    /// Taken up again, and not yet where its batch is.
    alone: bool,
}

struct Order {
    digest: Digest,
    kind: OrderKind,
    needed: u8,
}

#[derive(Default)]
struct Books {
    records: Vec<(u64, Digest)>,
    approvals: BTreeMap<u64, (Signed, bool)>,
    orders: BTreeMap<PlanId, Order>,
    running: BTreeSet<WaveId>,
    aborted: BTreeSet<WaveId>,
    batches: BTreeMap<BatchId, Batch>,
    subjects: BTreeMap<SubjectId, Held>,
    open: BTreeMap<(OpId, Option<SubjectId>), Started>,
    passed: BTreeMap<(GateKind, GateScope), bool>,
    accepted: Vec<(GateKind, GateScope, Timestamp)>,
    /// What others changed: what is wrong there is not ours.
    others: BTreeSet<(Side, DnKey)>,
    kinds: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
}

/// Keeps books of its own.
pub(super) struct Auditor {
    world: Mutex<Option<World>>,
    books: Mutex<Books>,
    own: Weak<Self>,
}

impl Auditor {
    pub(super) fn new() -> Arc<Self> {
        Arc::new_cyclic(|own| Self { world: Mutex::new(None), books: Mutex::default(), own: own.clone() })
    }

    /// A world that it looks at and that tells it.
    pub(super) fn watch(&self, world: &mut World) {
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = Some(world.clone());
        if let Some(own) = self.own.upgrade() {
            world.set_observer(own);
        }
    }

    /// It looks no longer: the two hold each other.
    pub(super) fn leave(&self) {
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn world(&self) -> Option<World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else changed this entry.
    pub(super) fn note_other(&self, side: Side, dn: &DnKey) {
        self.books().others.insert((side, dn.clone()));
    }

    /// What others changed.
    pub(super) fn others(&self) -> BTreeSet<(Side, DnKey)> {
        self.books().others.clone()
    }

    /// What was wrong, once.
    pub(super) fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.books().violations)
    }

    /// Outcomes and effects that were seen, by kind.
    pub(super) fn kinds(&self) -> BTreeMap<&'static str, u64> {
        self.books().kinds.clone()
    }

    /// Whether the ledger holds every record that was acknowledged, in order and unchanged.
    pub(super) fn compare(&self, ledger: &[(u64, Digest)]) {
        let mut books = self.books();
        if ledger.get(ledger.len().saturating_sub(books.records.len())..) != Some(books.records.as_slice()) {
            books.violations.push("the ledger lost an acknowledged record".to_owned());
        }
    }
}

pub(super) fn digest_of(record: &Record) -> Digest {
    Digest::of(record.to_parts().map(|(kind, body)| format!("{kind}{body}")).unwrap_or_default().as_bytes())
}

impl Books {
    fn wrong(&mut self, words: String) {
        self.violations.push(words);
    }

    fn count(&mut self, kind: &'static str) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// People whose approval, given since `since`, covers this and holds at `at`.
    fn people(&self, plan: &PlanId, wave: &str, (round, stage): (Round, Stage), (since, at): (u64, Timestamp)) -> usize {
        let Some(order) = self.orders.get(plan) else { return 0 };
        let covers = |signed: &Signed| match &signed.statement.subject {
            Subject::Order { digest, wave: w, round: r, through } => {
                *digest == order.digest && w == wave && *r == round && *through >= stage
            }
            Subject::Object { .. } => false,
        };
        let good = self
            .approvals
            .iter()
            .filter(|(seq, (signed, revoked))| **seq > since && !revoked && at <= signed.statement.not_after && covers(signed));
        good.map(|(_, (signed, _))| signed.approver.as_str()).collect::<BTreeSet<_>>().len()
    }

    fn lets_through(&self, gate: GateKind, batch: &BatchId, subject: Option<&SubjectId>, at: Timestamp) -> bool {
        let scopes: Vec<GateScope> = subject
            .map(|s| GateScope::Subject(s.clone()))
            .into_iter()
            .chain([GateScope::Batch(batch.clone()), GateScope::Wave(batch.wave.clone())])
            .collect();
        let accepted = self.accepted.iter().any(|(g, scope, until)| *g == gate && scopes.contains(scope) && at <= *until);
        accepted || scopes.iter().any(|scope| self.passed.get(&(gate, scope.clone())) == Some(&true))
    }

    fn stage_started(&mut self, world: &World, at: Timestamp, (id, stage, round): (&BatchId, Stage, Round)) {
        let Some(batch) = self.batches.get(id).cloned() else {
            return self.wrong(format!("{id} begins {stage} and is in no started wave"));
        };
        if batch.round != round {
            self.wrong(format!("{id} begins {stage} in round {round}, and is in round {}", batch.round));
        }
        let needed = if stage >= Stage::Scrub { 2 } else { 1 };
        let have = self.people(&id.wave.plan, &id.wave.wave, (round, stage), (batch.since, at));
        if have < needed {
            self.wrong(format!("{id} begins {stage} of round {round} with {have} approvals of {needed}"));
        }
        if stage == Stage::Disable {
            for subject in &batch.subjects {
                self.check_own_account(world, at, (id, subject));
            }
        }
        if let Some(batch) = self.batches.get_mut(id) {
            batch.current = Some(stage);
            batch.begun = at;
        }
    }

    fn check_own_account(&mut self, world: &World, at: Timestamp, (id, subject): (&BatchId, &SubjectId)) {
        let here = self.subjects.get(subject).is_some_and(|s| s.batch == *id && !s.parked && !s.alone);
        self.ask_own_account(world, at, (id, subject), here);
    }

    fn ask_own_account(&mut self, world: &World, at: Timestamp, (id, subject): (&BatchId, &SubjectId), here: bool) {
        let asked = world.planned(id, subject).is_some_and(|p| matches!(p.track, Track::Migrate | Track::Finish));
        if here && asked && !self.lets_through(GateKind::OwnAccount, id, Some(subject), at) {
            self.wrong(format!("{subject} of {id} is to be disabled although its own account is not proved to work"));
        }
    }

    fn stage_ended(&mut self, world: &World, at: Timestamp, (id, stage): (&BatchId, Stage)) {
        let Some(batch) = self.batches.get(id).cloned() else { return };
        let standing: Vec<&SubjectId> = batch
            .subjects
            .iter()
            .filter(|s| self.subjects.get(*s).is_some_and(|held| held.batch == *id && !held.parked && !held.alone))
            .collect();
        let mut wrong = Vec::new();
        if stage == Stage::Enroll {
            for subject in &standing {
                let migrates = world.planned(id, subject).is_some_and(|p| p.stages.contains(&Stage::Enroll));
                if migrates && !self.lets_through(GateKind::Mfa, id, Some(subject), at) {
                    wrong.push(format!("{id} ends enroll although gate mfa of {subject} does not pass"));
                }
            }
        }
        if stage == Stage::Soak && !standing.is_empty() {
            let over = batch.disabled_at.and_then(|d| d.checked_add(SignedDuration::from_secs(SOAK_SECONDS as i64)).ok());
            if !self.lets_through(GateKind::Silence, id, None, at) {
                wrong.push(format!("{id} ends its soak although silence is not proved"));
            }
            let accepted = self.accepted.iter().any(|(g, _, _)| *g == GateKind::Silence);
            if over.is_none_or(|over| at < over) && !accepted {
                wrong.push(format!("{id} ends its soak too early"));
            }
        }
        self.violations.extend(wrong);
        if let Some(batch) = self.batches.get_mut(id) {
            batch.current = None;
            batch.ended = Some(stage);
            if stage == Stage::Disable {
                batch.disabled_at = Some(at);
            }
        }
        for subject in batch.subjects {
            if let Some(held) = self.subjects.get_mut(&subject).filter(|h| h.batch == *id) {
                held.begun = true;
                if !held.parked && !held.alone {
                    held.ended = Some(stage);
                }
            }
        }
    }

    fn caught_up(&mut self, world: &World, at: Timestamp, (id, subject, stage): (&BatchId, &SubjectId, Stage)) {
        let planned = world.planned(id, subject);
        let migrates = planned.as_ref().is_some_and(|p| p.stages.contains(&Stage::Enroll));
        let bad = match stage {
            Stage::Enroll => migrates && !self.lets_through(GateKind::Mfa, id, Some(subject), at),
            Stage::Soak => !self.lets_through(GateKind::Silence, id, None, at),
            _ => false,
        };
        if bad {
            self.wrong(format!("{subject} catches up with {stage} although its gate does not pass"));
        }
        let ended = self.batches.get(id).and_then(|b| b.ended);
        if let Some(held) = self.subjects.get_mut(subject) {
            held.ended = Some(stage);
            held.begun = true;
            let next = planned.and_then(|p| p.stages.into_iter().find(|s| *s > stage));
            held.alone = next.is_some_and(|next| ended.is_some_and(|ended| next <= ended));
            if !held.alone {
                held.ended = ended;
            }
        }
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
            // A subject that catches up needs the approval of its own round; together they need that of their batch.
            let (round, since, begun) = match started.subjects.as_slice() {
                [one] if batch.current != Some(started.stage) => match self.subjects.get(one) {
                    Some(held) => (held.round, held.since, at),
                    None => return,
                },
                _ => (batch.round, batch.since, batch.begun),
            };
            let (needed, at) = if started.stage >= Stage::Scrub { (2, at) } else { (1, begun) };
            let have = self.people(&wave.plan, &wave.wave, (round, started.stage), (since, at));
            if have < needed {
                self.wrong(format!(
                    "{} of {} starts in round {round} with {have} approvals of {needed}",
                    started.op, started.stage
                ));
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
        }
    }

    fn is_expiry(&self, op: &OpId) -> bool {
        self.orders.get(&op.wave().plan).is_some_and(|order| matches!(order.kind, OrderKind::Expire { .. }))
    }

    fn is_reissue(&self, op: &OpId) -> bool {
        self.orders.get(&op.wave().plan).is_some_and(|order| matches!(order.kind, OrderKind::Reissue { .. }))
    }

    /// Nobody gets a credential again whom the roster calls departed, or does not know.
    fn deserved(&mut self, world: &World, started: &Started) {
        if !self.is_reissue(&started.op) || started.attempt > 1 {
            return;
        }
        for subject in &started.subjects {
            let Some(person) = world.estate.person(subject) else { continue };
            if world.roster.presences().get(&person.uid).is_none_or(|presence| presence.has_ended()) {
                self.wrong(format!("{subject} gets a credential again and has left"));
            }
        }
    }

    /// What an order about a credential came to: an expired one lets nobody in, another one lets its owner in and must be changed.
    fn came_to(&mut self, world: &World, outcome: &Outcome) {
        let (expires, issues) = (self.is_expiry(&outcome.op), self.is_reissue(&outcome.op));
        let Some(op) = world.operation(&outcome.op).filter(|_| expires || issues) else { return };
        let done = outcome.cells.iter().any(|cell| cell.kind.is_done() && cell.kind != OutcomeKind::Skipped);
        let dn = op.target.dn();
        if !done || self.others.contains(&(op.store, dn.key().clone())) {
            return;
        }
        let entry = world.entry(op.store, dn);
        let open = logins::opens(world, op.store, entry.as_ref());
        let must_change = entry.as_ref().is_some_and(|e| e.text("pwdReset") == Some("TRUE"));
        if expires && open {
            self.wrong(format!("{dn} lets its owner in although its credential has expired"));
        }
        if issues && !(open && must_change) {
            self.wrong(format!("{dn} has another credential: open {open}, to be changed {must_change}"));
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
        if let Some((_, planned)) = world.wave(wave) {
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

    fn take(&mut self, world: &World, (seq, at): (u64, Timestamp), record: &Record) {
        self.records.push((seq, digest_of(record)));
        match record {
            Record::PlanRecorded { plan, digest, .. } => {
                self.orders.insert(plan.clone(), Order { digest: *digest, kind: OrderKind::Plan, needed: 1 });
            }
            Record::OrderRecorded { order, digest, order_kind, approvals_needed, .. } => {
                let new = Order { digest: *digest, kind: order_kind.clone(), needed: *approvals_needed };
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
                }
            }
            Record::Unparked { subject, .. } => {
                self.count("retried");
                if let Some(held) = self.subjects.get_mut(subject) {
                    held.parked = false;
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
            Record::RolledBack { batch, subjects, round, to, .. } => {
                self.count("rollbacks ended");
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
                for id in subjects {
                    if let Some(held) = self.subjects.get_mut(id) {
                        held.round = *round;
                        held.since = seq;
                        held.alone = false;
                        held.parked |= batch.is_none();
                        let stages = world.planned(&held.batch, id).map(|p| p.stages);
                        let before = stages.iter().flatten().copied().filter(|stage| stage < to).max();
                        held.ended = held.ended.and_then(|ended| if ended < *to { Some(ended) } else { before });
                        // Rolled back to before its first stage it is as unstarted.
                        held.begun &= stages.is_none() || before.is_some();
                    }
                }
            }
            Record::CaughtUp { subject, batch, stage } => {
                self.count("caught up");
                self.caught_up(world, at, (batch, subject, *stage));
            }
            Record::Halted { .. } => self.count("halts"),
            Record::Resolved { .. } => self.count("conflicts decided"),
            Record::HandoverWritten { .. } => self.count("hand-overs"),
            Record::HandoverEnded { delivered: true, .. } => self.count("hand-overs by a hook"),
            Record::HandoverEnded { delivered: false, .. } => self.count("hand-overs that a hook refused"),
            Record::OrderEnded { .. } => self.count("hand-over orders ended"),
            _ => {}
        }
    }

    /// The intent that a change of this entry belongs to.
    fn intents(&self, world: &World, side: Side, dn: &DnKey) -> Vec<(Operation, Started)> {
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

fn image(started: &Started, purpose: &str) -> Option<Image> {
    let wave = started.op.wave().to_string();
    let key = Key::from_bytes(*Digest::of(wave.as_bytes()).as_bytes());
    let sealed = if purpose == BEFORE { &started.before } else { &started.desired };
    Image::unseal(&key, purpose, &started.op, sealed).ok()
}

fn values<'a>(attrs: &'a AttrMap, attr: &AttrName) -> &'a [Value] {
    attrs.get(attr).map_or(&[], Vec::as_slice)
}

impl Observer for Auditor {
    fn recorded(&self, seq: u64, at: Timestamp, record: &Record) {
        if let Some(world) = self.world() {
            self.books().take(&world, (seq, at), record);
        }
    }

    fn sending(&self, side: Side, change: &Change) {
        let Some(world) = self.world() else { return };
        let mut books = self.books();
        let intents = books.intents(&world, side, change.dn().key());
        if intents.is_empty() {
            books.wrong(format!("{} in the {side} store is written without a durable intent", change.dn()));
        }
        let protected = side == Side::Shared && world.estate.protected().contains(change.dn());
        if protected {
            books.wrong(format!("the protected {} is written", change.dn()));
        }
        books.count("writes sent");
    }

    fn written(&self, side: Side, change: &Change, before: Option<&Entry>, after: Option<&Entry>) {
        let Some(world) = self.world() else { return };
        if before == after {
            return;
        }
        let mut books = self.books();
        books.count("writes applied");
        let key = change.dn().key();
        let intents = books.intents(&world, side, key);
        if let (Change::Modify { mods, .. }, Some(was)) = (change, before) {
            let schema = Schema::standard();
            for m in mods {
                let held = was.attrs.get(&m.attr).map_or(&[][..], Vec::as_slice);
                let known = intents.iter().any(|(op, started)| {
                    if matches!(op.action, Action::Ensure { .. }) {
                        return true;
                    }
                    [BEFORE, DESIRED].into_iter().filter_map(|purpose| image(started, purpose)).any(|image| {
                        // What our own write of a password takes away may be missing.
                        schema.same_values(&m.attr, values(&image.attrs, &m.attr), held)
                            || m.attr.is("pwdaccountlockedtime") && held.is_empty()
                    })
                });
                if !known {
                    books.wrong(format!("{} of {} was overwritten although it is not what was journalled", m.attr, change.dn()));
                }
            }
        }
        let Some(person) = logins::lost(&world, side, (before, after), change) else { return };
        // Who approved that a credential expires answers for whoever has no other login.
        let expires = intents.iter().any(|(_, started)| books.is_expiry(&started.op));
        let (estate, subject) = (&world.estate, person.subject());
        let touched = [(Side::Shared, estate.shared_dn(person)), (Side::Independent, estate.own_dn(person))]
            .into_iter()
            .any(|(side, dn)| books.others.contains(&(side, dn.key().clone())));
        let accepted = books.accepted.iter().any(|(gate, _, _)| *gate == GateKind::OwnAccount);
        if !touched && !accepted && !expires {
            books.wrong(format!("{subject} has no working login left after {} of the {side} store was written", change.dn()));
        }
    }
}
