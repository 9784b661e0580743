//! The people at the terminals: they plan, approve, run, accept gates, wait, roll back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use untether_cutover::{CutoverError, Ended, Engine, Forced, Rollback, RunOptions, Standstill, Stop};
use untether_directory::Write as _;
use untether_directory::twin::Identity;
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::change::{Change, Modification};
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::plan::{OrderKind, PlanHeader, PlannedStore, Wave, WaveRef};
use untether_model::policy::{Capabilities, CapabilityMap};
use untether_model::roster::Presence;
use untether_model::run::{GateKind, GateScope, Record, RunState, WaveStatus};
use untether_model::schema::Schema;
use untether_model::{AttrName, BatchId, Dn, OpId, PlanId, Round, Side, StateId, SubjectId, Value, WaveId};
use untether_planner::lint::Rule;
use untether_planner::{
    DriftInputs, Inputs, Level, LintNote, ReportLine, ResolutionInputs, RollbackInputs, RollbackOrder, RollbackRequest, Sink,
    drift, plan, resolution, rollback,
};

use super::error::Trouble;
use super::session::Session;
use super::snapshot::{self, Filters};
use super::world::World;

/// People who may approve.
pub const APPROVERS: [&str; 2] = ["aki", "ben"];

/// How often a run is started again before it counts as stuck.
const MOST_RUNS: usize = 400;

/// How an attempt to bring something to its end came back.
#[derive(Debug)]
pub enum Driven<T> {
    /// It came to its end.
    Ended(T),
    /// It was killed at an armed boundary.
    Killed,
}

/// How a wave that was driven as far as it goes stands.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The last answer of the engine.
    pub ended: Ended,
    /// Runs that it took.
    pub runs: usize,
}

/// An order of one wave that is to be recorded.
pub(super) struct NewOrder<'a> {
    pub id: &'a PlanId,
    pub digest: Digest,
    pub header: &'a PlanHeader,
    pub wave: &'a WaveRef,
    pub lines: &'a [u8],
    pub approvals_needed: u8,
    pub concerns: &'a [(BatchId, Vec<SubjectId>)],
    pub lint: &'a [LintNote],
}

#[derive(Default)]
struct Files {
    lines: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<(String, Digest), Vec<u8>>,
    report: Vec<ReportLine>,
}

impl Sink for Files {
    fn wave_line(&mut self, wave: &str, line: &[u8]) -> Result<(), String> {
        self.lines.entry(wave.to_owned()).or_default().extend_from_slice(line);
        Ok(())
    }

    fn blob(&mut self, wave: &str, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        self.blobs.insert((wave.to_owned(), *digest), bytes.to_vec());
        Ok(())
    }

    fn report(&mut self, line: &ReportLine) -> Result<(), String> {
        self.report.push(line.clone());
        Ok(())
    }
}

fn read_wave(id: &WaveId, lines: &[u8]) -> Result<Wave, Trouble> {
    let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(serde_json::from_slice);
    Wave::from_lines(id, lines).map_err(Trouble::new)
}

/// What both twins can do with our binds.
pub fn capabilities(world: &World) -> CapabilityMap {
    let found = Capabilities {
        assertion: true,
        read_entry: world.estate.reads_entries,
        transactions: false,
        no_op: true,
        usability: true,
        manage: world.estate.manage,
    };
    Side::ALL.into_iter().map(|side| (side, found.clone())).collect()
}

impl Session {
    fn signed(&self, by: &str, subject: Subject, until: Timestamp) -> Signed {
        let state = self.state.general().state.clone().unwrap_or_else(|| StateId::new("none"));
        Signed {
            statement: Statement { state, subject, reason: "as agreed".to_owned(), not_after: until },
            approver: by.to_owned(),
            key: format!("SHA256:{by}"),
            signature: "signed".to_owned(),
        }
    }

    /// Audits both directories and makes a plan from what is there, recorded.
    pub fn plan(&mut self) -> Result<PlanId, Trouble> {
        self.audit()?;
        let world = self.world().clone();
        let estate = world.estate.clone();
        let snapshot = snapshot::take(&world)?;
        let capabilities = capabilities(&world);
        for (side, found) in &capabilities {
            if self.state.general().capabilities.get(side) != Some(found) {
                let what = untether_model::run::Observation::Capabilities { side: *side, capabilities: found.clone() };
                let (source, coverage, now) = ("twins".to_owned(), "everything".to_owned(), world.clock.now());
                let observed = untether_model::run::Observed { what, source, coverage, from: now, to: now, expires: None };
                self.record(&Record::Observed { observed })?;
            }
        }
        let protected = BTreeMap::from([(Side::Shared, estate.protected())]);
        let parent = self.last_plan();
        let (schemas, classes) = (BTreeMap::new(), BTreeMap::new());
        let mut files = Files::default();
        let bytes = serde_json::to_vec(&snapshot.header).map_err(Trouble::new)?;
        let planned = plan(
            &Inputs {
                kind: &OrderKind::Plan,
                snapshot: &snapshot.header,
                snapshot_digest: Digest::of(&bytes),
                findings_digest: None,
                source: &snapshot,
                filters: &Filters(Schema::standard()),
                policy: &estate.policy,
                audit: &estate.audit,
                capabilities: &capabilities,
                progress: &self.state,
                protected: &protected,
                schemas: &schemas,
                classes: &classes,
                parent: parent.as_ref(),
                now: world.clock.now(),
                seed: estate.seed,
            },
            &mut files,
        )?;
        let errors = || planned.lint.iter().filter(|n| n.level == Level::Error);
        // A wave above its threshold is the policy's doing; any other error is the planner's.
        if let Some(note) = errors().find(|n| n.rule != Rule::Threshold) {
            return Err(Trouble::new(format!("the plan has an error: {note}")));
        }
        if self.state.orders().contains_key(&planned.id) {
            return Ok(planned.id);
        }
        {
            let mut library = world.shelf.lock();
            for reference in &planned.header.waves {
                let id = WaveId::new(planned.id.clone(), reference.name.as_str());
                let lines = files.lines.get(&reference.name).map_or(&[][..], Vec::as_slice);
                let wave = read_wave(&id, lines)?;
                world.breaker.learn(&planned.header, &wave);
                library.waves.insert(id, wave);
            }
            for ((wave, digest), bytes) in files.blobs {
                library.blobs.insert((WaveId::new(planned.id.clone(), wave), digest), bytes);
            }
            library.headers.insert(planned.id.clone(), planned.header.clone());
        }
        self.record(&Record::PlanRecorded {
            plan: planned.id.clone(),
            digest: planned.digest,
            parent,
            snapshot: planned.header.snapshot,
            waves: planned.header.waves.clone(),
            report: None,
            executable: planned.header.executable && errors().next().is_none(),
            forecast: Some(planned.report.forecast()),
        })?;
        Ok(planned.id)
    }

    /// The plan that was recorded last.
    pub fn last_plan(&self) -> Option<PlanId> {
        let plans = self.state.orders().iter().filter(|(_, o)| o.kind == OrderKind::Plan);
        plans.max_by_key(|(_, o)| o.recorded_at).map(|(id, _)| id.clone())
    }

    /// So many people approve a wave of an order, through a stage, in a round.
    pub fn approve(&mut self, wave: &WaveId, stages: (Round, Stage), people: usize) -> Result<(), Trouble> {
        self.approve_for(wave, stages, people, SignedDuration::from_hours(24 * 365))
    }

    /// The same for so long.
    pub fn approve_for(
        &mut self,
        wave: &WaveId,
        (round, through): (Round, Stage),
        people: usize,
        long: SignedDuration,
    ) -> Result<(), Trouble> {
        let digest = self.state.orders().get(&wave.plan).map(|o| o.digest);
        let digest = digest.ok_or_else(|| Trouble::new(format!("{wave} is in no recorded order")))?;
        let until = self.later(long);
        for by in APPROVERS.iter().take(people) {
            let subject = Subject::Order { digest, wave: wave.wave.to_string(), round, through };
            self.record(&Record::Approved { signed: self.signed(by, subject, until) })?;
        }
        Ok(())
    }

    /// A person answers for passing a gate.
    pub fn accept(&mut self, gate: GateKind, scope: GateScope) -> Result<(), Trouble> {
        let until = self.later(SignedDuration::from_hours(24 * 30));
        let shown = Digest::of(b"shown");
        let subject = Subject::Object { kind: "gate".to_owned(), object: format!("{gate} {scope}"), shown };
        let signed = self.signed(APPROVERS[0], subject, until);
        self.record(&Record::GateAccepted { gate, scope, signed }).map(drop)
    }

    fn later(&self, by: SignedDuration) -> Timestamp {
        self.world().clock.now().checked_add(by).unwrap_or(Timestamp::MAX)
    }

    /// One run of a wave: what `untether run` does.
    pub async fn run_once(&mut self, wave: &WaveId, through: Option<Stage>) -> Result<Driven<Ended>, Trouble> {
        let (header, planned) =
            self.world().wave(wave).ok_or_else(|| Trouble::new(format!("wave {wave} is in no recorded order")))?;
        let engine = self.engine();
        let (_sender, stop) = watch::channel(Stop::No);
        let options = RunOptions { through, wait: SignedDuration::ZERO, stop };
        let ended = self.until_killed(engine.run(&header, &planned, &options)).await;
        self.after(&engine, ended)
    }

    /// What the engine answers; `None`: the process was killed first.
    pub(super) async fn until_killed<T>(
        &self,
        work: impl Future<Output = Result<T, CutoverError>>,
    ) -> Option<Result<T, CutoverError>> {
        let breaker = self.world().breaker.clone();
        tokio::select! {
            biased;
            () = breaker.down() => None,
            ended = work => Some(ended),
        }
    }

    /// The process goes on from where the engine came to, unless it is dead.
    pub(super) fn after<T>(&mut self, engine: &Engine, ended: Option<Result<T, CutoverError>>) -> Result<Driven<T>, Trouble> {
        let Some(ended) = ended else { return Ok(Driven::Killed) };
        self.state = engine.recorder().look(Clone::clone);
        if self.world().breaker.is_down() {
            return Ok(Driven::Killed);
        }
        Ok(Driven::Ended(ended?))
    }

    /// Runs a wave again and again, while people enrol, gates are accepted and time passes, until it is through, or nothing helps.
    pub async fn drive(&mut self, wave: &WaveId, through: Option<Stage>) -> Result<Driven<Ends>, Trouble> {
        let mut runs = 0;
        loop {
            let ended = match self.run_once(wave, through).await? {
                Driven::Ended(ended) => ended,
                Driven::Killed => return Ok(Driven::Killed),
            };
            runs += 1;
            if ended.complete && ended.standstills.is_empty() || runs >= MOST_RUNS || !self.help(&ended).await? {
                return Ok(Driven::Ended(Ends { ended, runs }));
            }
        }
    }

    /// Does what a standstill asks for. `false`: nothing that anybody may do without deciding.
    async fn help(&mut self, ended: &Ended) -> Result<bool, Trouble> {
        let mut helped = false;
        let mut next: Option<Timestamp> = None;
        for standstill in &ended.standstills {
            let Standstill::Waiting { batch, reason, until, .. } = standstill else { continue };
            if reason.contains("hand-over") {
                let everybody: Vec<SubjectId> = self.state.subjects().keys().cloned().collect();
                helped |= matches!(self.deliver_again(&everybody).await?, Driven::Ended(d) if d.delivered > 0);
            }
            if let Some(until) = until {
                next = Some(next.map_or(*until, |n| n.min(*until)));
            } else if reason.contains("gate silence") {
                self.accept(GateKind::Silence, GateScope::Batch(batch.clone()))?;
                helped = true;
            } else if reason.contains("gate mfa") {
                helped |= self.people_enrol().await?;
            } else if reason.contains("gate own-account") {
                self.accept(GateKind::OwnAccount, GateScope::Batch(batch.clone()))?;
                helped = true;
            } else if reason.contains("canary batch") {
                // The canary waits for something itself.
                continue;
            }
        }
        if !helped && let Some(until) = next {
            self.world().clock.set(until.max(self.world().clock.now()));
            helped = true;
        }
        Ok(helped)
    }

    /// Everybody who has got a one-time credential and no factor yet enrols one.
    pub async fn people_enrol(&self) -> Result<bool, Trouble> {
        let world = self.world();
        let mut enrolled = false;
        for person in &world.estate.people {
            let dn = world.estate.own_dn(person);
            let Some(entry) = world.entry(Side::Independent, &dn) else { continue };
            if entry.has("labFactor") || !entry.has("userPassword") || entry.has("pwdAccountLockedTime") {
                continue;
            }
            let mods = vec![Modification::replace(AttrName::new("labFactor"), vec![Value::from("totp")])];
            let change = Change::Modify { dn, mods };
            let root = world.independent.handle(Identity::Root);
            root.apply(&change, &Default::default()).await.map_err(Trouble::new)?;
            enrolled = true;
        }
        Ok(enrolled)
    }

    /// Compares what both directories hold with what was done, and records what no longer holds: what `untether audit` does.
    pub fn audit(&mut self) -> Result<(), Trouble> {
        let world = self.world().clone();
        let compared = drift(&DriftInputs {
            source: &snapshot::take(&world)?,
            schema: &Schema::standard(),
            progress: &self.state,
            operations: &world.shelf,
            now: world.clock.now(),
        })?;
        if let Some((wave, why)) = compared.unread.first_key_value() {
            return Err(Trouble::new(format!("wave {wave} cannot be read: {why}")));
        }
        compared.look.records(&self.state).iter().try_for_each(|record| self.record(record).map(drop))
    }

    /// Two people decide that ours counts, and it is carried out: what `untether resolve --force --execute` does.
    pub async fn force(&mut self, op: &OpId, subject: Option<&SubjectId>) -> Result<Driven<Forced>, Trouble> {
        let world = self.world().clone();
        let order = resolution(&ResolutionInputs {
            op,
            subject,
            progress: &self.state,
            operations: &world.shelf,
            stores: &self.stores(),
            now: world.clock.now(),
        })?;
        let id = self.file(NewOrder {
            id: &order.id,
            digest: order.digest,
            header: &order.header,
            wave: &order.wave,
            lines: &order.lines,
            approvals_needed: order.approvals_needed,
            concerns: &[(op.batch.clone(), order.operation.subjects.clone())],
            lint: &order.lint,
        })?;
        let (_, wave) = world.wave(&id).ok_or_else(|| Trouble::new(format!("{id} is in no recorded order")))?;
        let of = &op.batch.wave;
        let (_, of) = world.wave(of).ok_or_else(|| Trouble::new(format!("{of} is in no recorded order")))?;
        let engine = self.engine();
        let ended = self.until_killed(engine.force(&wave, &of)).await;
        self.after(&engine, ended)
    }

    /// Computes a rollback of what is recorded, without recording it.
    pub fn rollback(&self, request: &RollbackRequest) -> Result<RollbackOrder, Trouble> {
        let world = self.world();
        let presences = world.roster.presences();
        let ended: BTreeSet<SubjectId> = world
            .estate
            .people
            .iter()
            .filter(|p| presences.get(&p.uid).is_some_and(|p: &Presence| p.has_ended()))
            .map(|p| p.subject())
            .collect();
        Ok(rollback(&RollbackInputs {
            request,
            progress: &self.state,
            operations: &world.shelf,
            intents: self,
            ended: &ended,
            capabilities: &self.state.general().capabilities,
            stores: &self.stores(),
            now: world.clock.now(),
        })?)
    }

    /// The stores of all plans.
    pub(super) fn stores(&self) -> BTreeMap<Side, PlannedStore> {
        let mut stores = BTreeMap::new();
        for header in self.world().shelf.lock().headers.values().filter(|h| h.kind == OrderKind::Plan) {
            stores.extend(header.stores.clone());
        }
        stores
    }

    /// Records a rollback and has it approved.
    pub fn order(&mut self, order: &RollbackOrder) -> Result<WaveId, Trouble> {
        self.file(NewOrder {
            id: &order.id,
            digest: order.digest,
            header: &order.header,
            wave: &order.wave,
            lines: &order.lines,
            approvals_needed: order.approvals_needed,
            concerns: &order.concerns,
            lint: &order.lint,
        })
    }

    /// Records an order of one wave and has it approved.
    pub(super) fn file(&mut self, order: NewOrder<'_>) -> Result<WaveId, Trouble> {
        if let Some(note) = order.lint.iter().find(|n| n.level == Level::Error) {
            return Err(Trouble::new(format!("order {} has an error: {note}", order.id)));
        }
        let id = WaveId::new(order.id.clone(), order.wave.name.as_str());
        if self.state.orders().contains_key(order.id) {
            return Ok(id);
        }
        let wave = read_wave(&id, order.lines)?;
        let world = self.world().clone();
        world.breaker.learn(order.header, &wave);
        {
            let mut library = world.shelf.lock();
            library.waves.insert(id.clone(), wave);
            library.headers.insert(order.id.clone(), order.header.clone());
        }
        self.record(&Record::OrderRecorded {
            order: order.id.clone(),
            digest: order.digest,
            order_kind: order.header.kind.clone(),
            wave: order.wave.clone(),
            approvals_needed: order.approvals_needed,
            concerns: order.concerns.to_vec(),
        })?;
        self.approve(&id, (Round::FIRST, Stage::Attest), usize::from(order.approvals_needed))?;
        Ok(id)
    }

    /// Carries a recorded rollback out: what `untether rollback --execute` does.
    pub async fn roll_back(&mut self, order: &WaveId) -> Result<Driven<Rollback>, Trouble> {
        let (_, wave) = self.world().wave(order).ok_or_else(|| Trouble::new(format!("{order} is in no recorded order")))?;
        let engine = self.engine();
        let (_sender, stop) = watch::channel(Stop::No);
        let options = RunOptions { through: None, wait: SignedDuration::ZERO, stop };
        let ended = self.until_killed(engine.roll_back(&wave, &options)).await;
        self.after(&engine, ended)
    }

    /// Whether every subject of a wave ended all of its stages.
    pub fn is_through(&self, wave: &WaveId) -> bool {
        is_through(&self.state, wave)
    }
}

fn is_through(state: &RunState, wave: &WaveId) -> bool {
    state.waves().get(wave).is_some_and(|w| w.status == WaveStatus::Ended)
        && state.subjects().values().filter(|s| s.batch.wave == *wave).all(|s| s.is_finished())
}

/// The distinguished names that a rollback changed, for "as before".
pub fn touched(order: &RollbackOrder, side: Side) -> Vec<Dn> {
    order.operations.iter().filter(|op| op.store == side).map(|op| op.target.dn().clone()).collect()
}
