//! What operators do, in any order, and how a simulation ends: calm weather, every decision taken, every wave at its end.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use rand::RngExt as _;
use untether_cutover::{CutoverError, Ended, Rollback, Standstill};
use untether_model::operation::Stage;
use untether_model::plan::{OrderKind, RollbackScope};
use untether_model::roster::Presence;
use untether_model::run::{
    CellStatus, GateKind, GateScope, OrderStatus, Record, WaveStatus, missing_approvals, retriable, unfinished_order,
};
use untether_model::{BatchId, OpId, PlanId, Round, SubjectId, WaveId};
use untether_planner::{PlanError, RollbackRequest};

use super::auditor::digest_of;
use super::{Simulation, others};
use crate::twins::{Driven, Session, Trouble};

/// Rounds of help until everything must have come to its end.
const MOST_ROUNDS: usize = 60;

impl Simulation {
    /// The whole life of an organization's departure.
    pub(super) async fn live(&mut self) -> Result<(), Trouble> {
        self.plan()?;
        let steps = self.rng.random_range(15..45);
        for _ in 0..steps {
            self.step().await?;
            self.look()?;
            self.desk_step().await?;
            self.look()?;
        }
        self.end().await?;
        if self.violent && self.rng.random_bool(0.5) {
            self.afterwards().await?;
        }
        Ok(())
    }

    /// When all waves have ended others take back what was done; the next audit sees it, and the next plan deals with it.
    async fn afterwards(&mut self) -> Result<(), Trouble> {
        self.say("what comes afterwards");
        for _ in 0..self.rng.random_range(10..60) {
            if let Some(deed) = others::act(&self.world, &self.auditor, &mut self.rng, true) {
                self.report.count(format!("others: {deed}"));
                self.history.push(format!("others: {deed}"));
            }
        }
        self.audit()?;
        self.plan()?;
        let newest = self.session.last_plan();
        for wave in self.waves().into_iter().filter(|wave| Some(&wave.plan) == newest.as_ref()) {
            self.session.approve(&wave, (Round::FIRST, Stage::Attest), 2)?;
            let ended = self.session.run_once(&wave, None).await;
            self.after(ended).await?;
        }
        self.end().await
    }

    pub(super) fn say(&mut self, what: impl Into<String>) {
        let what = what.into();
        let kind: String = what.split(" of ").next().unwrap_or_default().to_owned();
        self.report.count(format!("command: {kind}"));
        self.history.push(format!("{} {what}", self.world.clock.now()));
    }

    /// The invariants that can be told at any time.
    fn look(&mut self) -> Result<(), Trouble> {
        match self.auditor.violations() {
            none if none.is_empty() => Ok(()),
            some => Err(Trouble::new(some.join("; "))),
        }
    }

    async fn step(&mut self) -> Result<(), Trouble> {
        if self.session.state.general().paused.is_some() && self.rng.random_bool(0.3) {
            return self.pause();
        }
        match self.rng.random_range(0..100) {
            0..6 => self.approve()?,
            6..42 => self.run_wave().await?,
            42..45 => self.plan()?,
            45 => self.audit()?,
            46..53 => self.roll_back().await?,
            53..58 => self.retry()?,
            58..63 => self.decide().await?,
            63..67 => self.accept()?,
            67..72 => {
                let deed = others::act(&self.world, &self.auditor, &mut self.rng, self.violent);
                if let Some(deed) = deed {
                    self.report.count(format!("others: {deed}"));
                    self.history.push(format!("others: {deed}"));
                }
            }
            72..76 => self.roster(),
            76..80 => self.pause()?,
            80..82 => self.abort()?,
            82..84 => self.revoke()?,
            84..87 => self.restart("clean")?,
            87..90 => {
                self.session.people_enrol().await?;
                self.say("people enrol");
            }
            90..92 => {
                let limit = self.rng.random_bool(0.5).then(|| self.rng.random_range(1..4));
                self.session.record(&Record::Throttled { limit, by: "op".into() })?;
                self.say("throttle");
            }
            92..94 => self.lift()?,
            _ => {
                let seconds =
                    if self.rng.random_bool(0.2) { self.rng.random_range(-50..0) } else { self.rng.random_range(0..90_000) };
                self.world.clock.advance(SignedDuration::from_secs(seconds));
                self.say(if seconds < 0 { "the clock jumps back" } else { "time passes" });
            }
        }
        Ok(())
    }

    fn plan(&mut self) -> Result<(), Trouble> {
        let plan = match self.session.plan() {
            Ok(plan) => plan,
            // People and policies are random: the planner may refuse, but not the journal.
            Err(Trouble::Plan(PlanError::Policy(why))) => {
                self.say(format!("plan refused: {why}"));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        self.say(format!("plan of {plan}"));
        Ok(())
    }

    /// An audit of both stores; nothing that we closed and that somebody opened may escape it.
    fn audit(&mut self) -> Result<(), Trouble> {
        self.session.audit()?;
        let state = &self.session.state;
        let rolling = !self.begun_rollbacks().is_empty();
        // Whose batch has to wait for another order is looked at when that has ended.
        let waits = |id: &SubjectId| state.subjects().get(id).is_some_and(|s| unfinished_order(state, &s.batch).is_some());
        let open = |id: &SubjectId| state.cells_of(id).any(|(_, cell)| cell.status == CellStatus::Open);
        self.auditor.audited(|id| rolling || waits(id) || open(id));
        self.say("audit");
        self.look()
    }

    fn waves(&self) -> Vec<WaveId> {
        let plans = self.session.state.orders().iter().filter(|(_, o)| o.kind == OrderKind::Plan);
        plans.flat_map(|(id, o)| o.waves.iter().map(|w| WaveId::new(id.clone(), w.name.as_str()))).collect()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from.get(self.rng.random_range(0..from.len())).cloned()).flatten()
    }

    /// A wave of the newest plan mostly, of any plan sometimes.
    fn any_wave(&mut self) -> Option<WaveId> {
        let waves = self.waves();
        let running: Vec<WaveId> = waves
            .iter()
            .filter(|w| self.session.state.waves().get(*w).is_some_and(|s| s.status == WaveStatus::Running))
            .cloned()
            .collect();
        let newest = self.session.last_plan();
        let new: Vec<WaveId> = waves.iter().filter(|w| Some(&w.plan) == newest.as_ref()).cloned().collect();
        match self.rng.random_range(0..10) {
            0..6 if !running.is_empty() => self.pick(&running),
            0..9 => self.pick(&new),
            _ => self.pick(&waves),
        }
    }

    fn rounds_of(&self, wave: &WaveId) -> Vec<Round> {
        let state = &self.session.state;
        let batches = state.batches().iter().filter(|(id, _)| id.wave == *wave).map(|(_, b)| b.round);
        let subjects = state.subjects().values().filter(|s| s.batch.wave == *wave).map(|s| s.round);
        let mut rounds: Vec<Round> = batches.chain(subjects).collect();
        rounds.push(Round::FIRST);
        rounds.sort();
        rounds.dedup();
        rounds
    }

    fn approve(&mut self) -> Result<(), Trouble> {
        let Some(wave) = self.any_wave() else { return Ok(()) };
        let rounds = self.rounds_of(&wave);
        let Some(round) = self.pick(&rounds) else { return Ok(()) };
        let Some(through) = self.pick(&Stage::ALL) else { return Ok(()) };
        let people = self.rng.random_range(1..3);
        let long = self.for_how_long();
        self.session.approve_for(&wave, (round, through), people, long)?;
        self.say(format!("approve of {wave} round {round} through {through} by {people}"));
        Ok(())
    }

    /// Some approvals expire on the way.
    fn for_how_long(&mut self) -> SignedDuration {
        let hours = if self.rng.random_bool(0.3) { self.rng.random_range(1..72) } else { 24 * 365 };
        SignedDuration::from_hours(hours)
    }

    fn revoke(&mut self) -> Result<(), Trouble> {
        let all: Vec<u64> = self.session.state.approvals().iter().filter(|(_, a)| !a.revoked).map(|(seq, _)| *seq).collect();
        let Some(approval) = self.pick(&all) else { return Ok(()) };
        self.session.record(&Record::Revoked { approval, by: "aki".into(), reason: "a doubt".into() })?;
        self.say(format!("revoke of {approval}"));
        Ok(())
    }

    /// One run, sometimes killed somewhere.
    async fn run_wave(&mut self) -> Result<(), Trouble> {
        let Some(wave) = self.any_wave() else { return Ok(()) };
        if self.session.state.waves().get(&wave).is_none() || self.rng.random_bool(0.3) {
            for round in self.rounds_of(&wave) {
                let long = self.for_how_long();
                self.session.approve_for(&wave, (round, Stage::Attest), 2, long)?;
            }
        }
        let through = if self.rng.random_bool(0.4) { self.pick(&Stage::ALL) } else { None };
        let kill = self.rng.random_bool(0.3).then(|| self.rng.random_range(0..150));
        self.world.breaker.arm(kill);
        self.say(format!("run of {wave} through {through:?}, to be killed at {kill:?}"));
        let ended = self.session.run_once(&wave, through).await;
        self.disarm();
        self.after(ended).await
    }

    async fn after(&mut self, ended: Result<Driven<Ended>, Trouble>) -> Result<(), Trouble> {
        match ended {
            Ok(Driven::Killed) => self.restart("after a kill"),
            Ok(Driven::Ended(ended)) => {
                self.history.push(format!("  -> {ended:?}"));
                let expired = |s: &Standstill| matches!(s, Standstill::Approval { .. });
                if ended.standstills.iter().any(expired) {
                    self.report.count("runs that lacked an approval");
                }
                for standstill in &ended.standstills {
                    if let Standstill::Waiting { reason, .. } = standstill
                        && reason.contains("gate mfa")
                    {
                        self.session.people_enrol().await?;
                    }
                }
                Ok(())
            }
            Err(Trouble::Cutover(CutoverError::Store { .. } | CutoverError::Unanswered { .. } | CutoverError::Look(_))) => {
                self.report.count("command: run stopped by a store");
                self.restart("after a store went away")
            }
            Err(other) => Err(other),
        }
    }

    /// Nothing is killed any more; notes where something was.
    pub(super) fn disarm(&mut self) {
        if let Some(point) = self.world.breaker.fired() {
            self.report.count("kills");
            self.report.count(format!("killed {}", point.boundary.words()));
            self.report.points.insert(point);
        }
        self.world.breaker.arm(None);
    }

    /// Another process takes over; sometimes without the database.
    pub(super) fn restart(&mut self, why: &str) -> Result<(), Trouble> {
        if self.rng.random_bool(0.2) {
            self.world.database.clear();
            self.report.count("database lost");
        }
        self.session = Session::open(&self.world)?;
        let mut ledger = Vec::new();
        self.session.each(|seq, _, record| {
            ledger.push((seq, digest_of(&record)));
            Ok(())
        })?;
        self.auditor.compare(&ledger);
        self.say(format!("restart {why}"));
        self.look()
    }

    async fn roll_back(&mut self) -> Result<(), Trouble> {
        let begun: Vec<PlanId> = self
            .session
            .state
            .orders()
            .iter()
            .filter(|(_, o)| matches!(o.kind, OrderKind::Rollback { .. }) && o.status == OrderStatus::Running)
            .map(|(id, _)| id.clone())
            .collect();
        let order = match self.pick(&begun) {
            Some(id) => id,
            None => {
                let batches: Vec<BatchId> = self.session.state.batches().keys().cloned().collect();
                let Some(batch) = self.pick(&batches) else { return Ok(()) };
                let subjects: Vec<SubjectId> = self.session.state.subjects().keys().cloned().collect();
                let scope = match self.rng.random_range(0..4) {
                    0 => RollbackScope::Wave(batch.wave.clone()),
                    1 => match self.pick(&subjects) {
                        Some(subject) => RollbackScope::Subject(subject),
                        None => return Ok(()),
                    },
                    _ => RollbackScope::Batch(batch),
                };
                let to = self.pick(&Stage::ALL).unwrap_or(Stage::Switch);
                let delete_provisioned = self.rng.random_bool(0.3);
                let enable_inactive = self.rng.random_bool(0.3);
                let request = RollbackRequest { scope, to, delete_provisioned, enable_inactive };
                match self.session.rollback(&request) {
                    Ok(order) => self.session.order(&order)?.plan,
                    Err(Trouble::Plan(PlanError::Request(_) | PlanError::NothingToUndo { .. })) => return Ok(()),
                    Err(other) => return Err(other),
                }
            }
        };
        let kill = self.rng.random_bool(0.3).then(|| self.rng.random_range(0..60));
        self.carry_back(&order, kill).await
    }

    async fn carry_back(&mut self, order: &PlanId, kill: Option<u64>) -> Result<(), Trouble> {
        let kind = self.session.state.orders().get(order).map(|o| o.kind.clone());
        self.say(format!("rollback of {order} {kind:?}, to be killed at {kill:?}"));
        let wave = WaveId::new(order.clone(), "rollback");
        let operations = self.world.wave(&wave).map(|(_, wave)| wave.operations().to_vec()).unwrap_or_default();
        self.auditor.rolling(operations.iter().map(|op| (op.store, op.target.dn().key().clone())).collect());
        self.world.breaker.arm(kill);
        let ended = self.session.roll_back(&wave).await;
        self.disarm();
        self.auditor.rolling(BTreeSet::new());
        match ended {
            Ok(Driven::Killed) => self.restart("after a kill in a rollback"),
            Ok(Driven::Ended(ended)) => {
                self.history.push(format!("  -> {ended:?}"));
                if matches!(ended, Rollback::Done { .. }) {
                    self.report.count("rollbacks carried out");
                }
                Ok(())
            }
            Err(Trouble::Cutover(CutoverError::Store { .. } | CutoverError::Unanswered { .. } | CutoverError::Look(_))) => {
                self.restart("after a store went away in a rollback")
            }
            Err(other) => Err(other),
        }
    }

    /// Parked subjects that may be taken up again, as `untether retry` judges it.
    fn retriable(&self) -> Vec<(SubjectId, BatchId)> {
        let state = &self.session.state;
        let running = |batch: &BatchId| state.waves().get(&batch.wave).is_some_and(|w| w.status == WaveStatus::Running);
        let parked = state.subjects().iter().filter(|(id, s)| running(&s.batch) && retriable(state, id));
        parked.map(|(id, s)| (id.clone(), s.batch.clone())).collect()
    }

    fn retry(&mut self) -> Result<(), Trouble> {
        let found = self.retriable();
        let Some((subject, batch)) = self.pick(&found) else { return Ok(()) };
        self.session.record(&Record::Unparked { subject: subject.clone(), batch, by: "op".into(), reason: "again".into() })?;
        self.say(format!("retry of {subject}"));
        Ok(())
    }

    fn conflicts(&self) -> Vec<(OpId, Option<SubjectId>)> {
        let state = &self.session.state;
        let plans = |op: &OpId| state.orders().get(&op.batch.wave.plan).is_some_and(|o| o.kind == OrderKind::Plan);
        state
            .cells()
            .iter()
            .filter(|(key, c)| c.awaits_decision() && !c.undone && !c.forced && plans(&key.op))
            .map(|(key, _)| (key.op.clone(), key.subject.clone()))
            .collect()
    }

    async fn decide(&mut self) -> Result<(), Trouble> {
        let found = self.conflicts();
        let Some((op, subject)) = self.pick(&found) else { return Ok(()) };
        if self.rng.random_bool(0.3) {
            return self.force(&op, subject.as_ref()).await;
        }
        let verb = if self.rng.random_bool(0.5) { "keep-theirs" } else { "skip" };
        self.session.record(&Record::Resolved {
            op: op.clone(),
            subject,
            verb: verb.to_owned(),
            order: None,
            by: "op".into(),
            reason: "decided".into(),
        })?;
        self.say(format!("{verb} of {op}"));
        Ok(())
    }

    async fn force(&mut self, op: &OpId, subject: Option<&SubjectId>) -> Result<(), Trouble> {
        let kill = self.rng.random_bool(0.2).then(|| self.rng.random_range(0..12));
        self.world.breaker.arm(kill);
        let ended = self.session.force(op, subject).await;
        self.disarm();
        match ended {
            // Some operations have no meaning when they are forced.
            Err(Trouble::Plan(PlanError::Request(_))) => Ok(()),
            Ok(Driven::Killed) => self.restart("after a kill in a forced resolution"),
            Ok(Driven::Ended(ended)) => {
                self.say(format!("force of {op}"));
                self.history.push(format!("  -> {ended:?}"));
                Ok(())
            }
            Err(Trouble::Cutover(CutoverError::Store { .. } | CutoverError::Unanswered { .. } | CutoverError::Look(_))) => {
                self.restart("after a store went away in a forced resolution")
            }
            Err(other) => Err(other),
        }
    }

    fn accept(&mut self) -> Result<(), Trouble> {
        let batches: Vec<BatchId> = self.session.state.batches().keys().cloned().collect();
        let Some(batch) = self.pick(&batches) else { return Ok(()) };
        let gate = if self.rng.random_bool(0.8) { GateKind::Silence } else { GateKind::Mfa };
        self.session.accept(gate, GateScope::Batch(batch.clone()))?;
        self.say(format!("accept {gate} of {batch}"));
        Ok(())
    }

    fn roster(&mut self) {
        let people = self.world.estate.people.clone();
        let Some(person) = self.pick(&people) else { return };
        let presence = match self.rng.random_range(0..6) {
            0..2 => Some(Presence::Departed),
            2..4 => Some(Presence::Active),
            4 => person.presence,
            _ => None,
        };
        self.world.roster.set(&person.uid, presence);
        self.say(format!("the roster changes of {} to {presence:?}", person.uid));
    }

    fn pause(&mut self) -> Result<(), Trouble> {
        let paused = self.session.state.general().paused.is_some();
        let (by, reason) = ("op".to_owned(), "a look".to_owned());
        let record = if paused { Record::Resumed { batch: None, by, reason } } else { Record::Paused { by, reason } };
        self.session.record(&record)?;
        self.say(if paused { "resume" } else { "pause" });
        Ok(())
    }

    /// Lifts the halt of a batch, as `untether resume --batch` allows it.
    fn lift(&mut self) -> Result<(), Trouble> {
        let halted: Vec<BatchId> =
            self.session.state.batches().iter().filter(|(_, b)| b.halted.is_some()).map(|(id, _)| id.clone()).collect();
        let Some(batch) = self.pick(&halted) else { return Ok(()) };
        if self.needs_round(&batch) {
            return Ok(());
        }
        self.session.record(&Record::Resumed { batch: Some(batch.clone()), by: "op".into(), reason: "seen".into() })?;
        self.say(format!("resume of {batch}"));
        Ok(())
    }

    fn needs_round(&self, id: &BatchId) -> bool {
        let state = &self.session.state;
        let Some(batch) = state.batches().get(id) else { return true };
        let Some(digest) = state.orders().get(&id.wave.plan).map(|o| o.digest) else { return true };
        let Some(stage) = batch.next_stage() else { return false };
        let now = self.world.clock.now();
        missing_approvals(state, &digest, &id.wave.wave, (batch.round, batch.round_since, stage), (1, now)).is_some()
    }

    fn abort(&mut self) -> Result<(), Trouble> {
        let running: Vec<WaveId> = self
            .session
            .state
            .waves()
            .iter()
            .filter(|(_, w)| w.status == WaveStatus::Running)
            .map(|(id, _)| id.clone())
            .collect();
        let Some(wave) = self.pick(&running) else { return Ok(()) };
        self.give_up(&wave)
    }

    fn give_up(&mut self, wave: &WaveId) -> Result<(), Trouble> {
        self.session.record(&Record::Aborted { wave: wave.clone(), by: "op".into(), reason: "enough".into() })?;
        self.say(format!("abort of {wave}"));
        Ok(())
    }

    /// Calm weather, every decision taken: every wave that runs must come to its end.
    async fn end(&mut self) -> Result<(), Trouble> {
        self.weather.calm();
        for side in untether_model::Side::ALL {
            drop(self.world.twin(side).land_late_writes());
        }
        self.history.push("-- calm --".to_owned());
        if self.session.state.general().paused.is_some() {
            self.pause()?;
        }
        for _ in 0..MOST_ROUNDS {
            self.desk_end().await?;
            for order in self.begun_rollbacks() {
                // Its approval may have been taken back, or have expired, while it was under way.
                self.session.approve(&WaveId::new(order.clone(), "rollback"), (Round::FIRST, Stage::Attest), 2)?;
                self.carry_back(&order, None).await?;
            }
            let running: Vec<WaveId> = self
                .session
                .state
                .waves()
                .iter()
                .filter(|(_, w)| w.status == WaveStatus::Running)
                .map(|(id, _)| id.clone())
                .collect();
            if running.is_empty() {
                break;
            }
            // Whoever cannot pass a gate is parked in the end.
            self.world.clock.advance(SignedDuration::from_hours(24));
            self.settle_everything()?;
            for wave in running {
                let ended = match self.session.drive(&wave, None).await {
                    Ok(Driven::Ended(ends)) if held_by_its_canary(&ends.ended) => {
                        self.report.count("waves given up with their canary");
                        self.give_up(&wave)?;
                        continue;
                    }
                    Ok(Driven::Ended(ends)) => Ok(Driven::Ended(ends.ended)),
                    Ok(Driven::Killed) => Ok(Driven::Killed),
                    Err(error) => Err(error),
                };
                self.after(ended).await?;
                self.look()?;
            }
        }
        let stuck: Vec<&WaveId> =
            self.session.state.waves().iter().filter(|(_, w)| w.status == WaveStatus::Running).map(|(id, _)| id).collect();
        if !stuck.is_empty() {
            return Err(Trouble::new(format!("stuck: {stuck:?}")));
        }
        self.restart("at the end")?;
        self.closed()
    }

    fn begun_rollbacks(&self) -> Vec<PlanId> {
        let orders = self.session.state.orders().iter();
        orders
            .filter(|(_, o)| matches!(o.kind, OrderKind::Rollback { .. }) && o.status == OrderStatus::Running)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// People decide everything that waits for them.
    fn settle_everything(&mut self) -> Result<(), Trouble> {
        for (op, subject) in self.conflicts() {
            let verb = "skip".to_owned();
            let (by, reason) = ("op".to_owned(), "decided".to_owned());
            self.session.record(&Record::Resolved { op, subject, verb, order: None, by, reason })?;
        }
        let running: Vec<WaveId> = self.session.state.waves().keys().cloned().collect();
        for wave in running {
            for round in self.rounds_of(&wave) {
                self.session.approve(&wave, (round, Stage::Attest), 2)?;
            }
        }
        let halted: Vec<BatchId> =
            self.session.state.batches().iter().filter(|(_, b)| b.halted.is_some()).map(|(id, _)| id.clone()).collect();
        for batch in halted {
            self.session.record(&Record::Resumed { batch: Some(batch), by: "op".into(), reason: "seen".into() })?;
        }
        for (subject, batch) in self.retriable() {
            self.session.record(&Record::Unparked { subject, batch, by: "op".into(), reason: "again".into() })?;
        }
        Ok(())
    }

    /// Nobody whom we disabled has a way in, unless somebody else opened it, and then the next look says so.
    fn closed(&mut self) -> Result<(), Trouble> {
        self.handed_over()?;
        self.audit()?;
        match self.auditor.opened_by_us() {
            none if none.is_empty() => Ok(()),
            some => Err(Trouble::new(some.join("; "))),
        }
    }
}

/// Too few of the canary's people are left for the others to follow: nothing but giving the wave up ends that.
fn held_by_its_canary(ended: &Ended) -> bool {
    let held = |standstill: &Standstill| matches!(standstill, Standstill::Waiting { reason, .. } if reason.contains("of the canary batch's subjects are unparked"));
    !ended.standstills.is_empty() && ended.standstills.iter().all(held)
}
