//! The stage of a rehearsal: the engine on a state of its own, taken up again from its journal when the power went out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use untether_cutover::{Engine, LedgerView as _, Ports, Recorder, Rollback, Roster, RunOptions, Standstill, Stop, Stores};
use untether_ledger::{Key, KeyStore};
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::digest::Digest;
use untether_model::operation::{Action, Operation, Stage};
use untether_model::plan::{BadWave, OrderKind, PlanHeader, PlannedSubject, RollbackScope, Wave};
use untether_model::run::{CellStatus, GateKind, GateScope, Observation, Observed, Record, Started, Verdict};
use untether_model::{BatchId, OpId, PlanId, Round, StateId, SubjectId, WaveId};
use untether_planner::rollback::{Intents, Operations, RollbackInputs, RollbackOrder, RollbackRequest, rollback};
use untether_report::ProgressReport;

use super::Piece;
use super::collected::Collector;
use super::performance::RolledBack;
use crate::command::report::report_of;
use crate::config::Config;
use crate::error::{CliError, chain};
use crate::output::Output;
use crate::state::Looked;
use crate::wiring::journal::LiveJournal;
use crate::wiring::rehearsal::fuse::{Fuse, FusedJournal};
use crate::wiring::rehearsal::scratch::{Nobody, OneKey, Scratch, VirtualTime};
use crate::wiring::waves::blob;

/// Longest that a rehearsal goes on, on its own clock: soak times and waits included.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);

/// Everything that outlives a cut.
pub struct Cast<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The state that the plan is in.
    pub looked: &'a Looked,
    /// The plan.
    pub plan: &'a PlanId,
    /// The twins.
    pub stores: Stores,
    /// The roster.
    pub roster: Option<Arc<dyn Roster>>,
    /// Takes events in.
    pub collector: Arc<Collector>,
    /// Where cuts are told.
    pub output: &'a Output,
}

/// Cuts that are told one by one.
const TOLD: u64 = 10;

/// One plan on its stage.
pub struct Play<'a> {
    cast: Cast<'a>,
    time: VirtualTime,
    scratch: Scratch,
    fuse: Arc<Fuse>,
    hook: Arc<Nobody>,
    key: Key,
    engine: Engine,
    journal: Arc<LiveJournal>,
    under_way: u64,
}

impl<'a> Play<'a> {
    /// Opens a new state.
    pub fn open(cast: Cast<'a>, time: VirtualTime, fuse: Arc<Fuse>) -> Result<Self, CliError> {
        let scratch = Scratch::new(&time)?;
        let key = Key::random().map_err(|e| CliError::failed(chain(&e)))?;
        let hook = Arc::new(Nobody::default());
        let (engine, journal) = engine(&cast, &scratch, (&time, &fuse), (&key, &hook))?;
        Ok(Self { cast, time, scratch, fuse, hook, key, engine, journal, under_way: 0 })
    }

    /// After a cut: what was not durable is gone, and a new process takes up what is.
    fn take_up(&mut self) -> Result<(), CliError> {
        self.scratch.cut();
        self.fuse.replace();
        let (time, fuse) = (self.time.clone(), self.fuse.clone());
        let (engine, journal) = engine(&self.cast, &self.scratch, (&time, &fuse), (&self.key, &self.hook))?;
        self.engine = engine;
        self.journal = journal;
        let open =
            self.engine.recorder().look(|state| state.cells().iter().filter(|(_, cell)| cell.status == CellStatus::Open).count());
        self.under_way += u64::try_from(open).unwrap_or(u64::MAX);
        match self.fuse.cuts() {
            cut @ 1..=TOLD => {
                let head = self.journal.journal().next().0.saturating_sub(1);
                self.cast.output.note(format!("power cut {cut}: cells under way: {open}; taken up at record {head}"));
            }
            cut if cut == TOLD + 1 => self.cast.output.note("… and so on"),
            _ => {}
        }
        Ok(())
    }

    /// Cells that were under way when the power went out.
    pub fn under_way(&self) -> u64 {
        self.under_way
    }

    /// What the report would say, from the rehearsal's own ledger.
    pub fn report(&self) -> Result<ProgressReport, CliError> {
        report_of(self.cast.config, &self.scratch.dir()?, Some(self.now()))
    }

    fn now(&self) -> Timestamp {
        self.time.0.now()
    }

    fn far(&self) -> Timestamp {
        self.now().checked_add(HORIZON).unwrap_or(Timestamp::MAX)
    }

    async fn record(&self, record: Record) -> Result<(), CliError> {
        Ok(self.engine.recorder().record(record).await.map(drop)?)
    }

    /// Two people whom nobody knows approve.
    async fn approve(&self, digest: Digest, wave: &str) -> Result<(), CliError> {
        for person in ["rehearsal-1", "rehearsal-2"] {
            let subject = Subject::Order { digest, wave: wave.to_owned(), round: Round::FIRST, through: Stage::Attest };
            let reason = "rehearsal".to_owned();
            let statement = Statement { state: StateId::new("rehearsal"), subject, reason, not_after: self.far() };
            // One key counts as one person, so each has a key of a name of its own.
            let (approver, key) = (person.to_owned(), person.to_owned());
            let signed = Signed { statement, approver, key, signature: String::new() };
            self.record(Record::Approved { signed }).await?;
        }
        Ok(())
    }

    async fn observe(&self, what: Observation) -> Result<(), CliError> {
        let observed = Observed {
            what,
            source: "rehearsal".to_owned(),
            coverage: "nothing was observed".to_owned(),
            from: self.now(),
            // Newer than anything that is observed on the way, so that it decides.
            to: self.far(),
            expires: None,
        };
        self.record(Record::Observed { observed }).await
    }

    /// Records the plan in the scratch state, approved, with every gate seen to pass.
    pub async fn prepare(&self, piece: &Piece) -> Result<(), CliError> {
        if let Some(audited) = &piece.audited {
            self.record(audited.clone()).await?;
        }
        for (side, capabilities) in &self.cast.looked.state.general().capabilities {
            self.observe(Observation::Capabilities { side: *side, capabilities: capabilities.clone() }).await?;
        }
        let waves = piece.header.waves.clone();
        let recorded = Record::PlanRecorded {
            plan: piece.plan.clone(),
            digest: piece.digest,
            parent: None,
            snapshot: piece.header.snapshot,
            waves: waves.clone(),
            report: None,
            executable: true,
            forecast: None,
        };
        self.record(recorded).await?;
        for wave in &waves {
            self.approve(piece.digest, &wave.name).await?;
            for gate in GateKind::ALL {
                let scope = GateScope::Wave(WaveId::new(piece.plan.clone(), wave.name.as_str()));
                let why = "assumed by the rehearsal".to_owned();
                self.observe(Observation::Gate { gate, scope, verdict: Verdict::Pass, why }).await?;
            }
        }
        Ok(())
    }

    /// Runs a wave to its end, or through a stage, waiting on the clock of the rehearsal; a halt is noted and lifted, so that all is
    /// seen.
    pub async fn play(&mut self, header: &PlanHeader, wave: &Wave, through: Option<Stage>) -> Result<(), CliError> {
        let now = self.now();
        self.cast.collector.begin(wave, now);
        // What keeps it from running is told; it is rehearsed all the same.
        let header = PlanHeader { executable: true, not_executable: Vec::new(), ..header.clone() };
        let horizon = self.far();
        let mut standstills;
        let mut waited = None;
        let complete = loop {
            let (_stop, stop) = watch::channel(Stop::No);
            let options = RunOptions { through, wait: SignedDuration::ZERO, stop };
            let ended = tokio::select! {
                biased;
                () = self.fuse.blows() => None,
                ended = self.engine.run(&header, wave, &options) => Some(ended?),
            };
            let Some(ended) = ended else {
                self.take_up()?;
                continue;
            };
            standstills = ended.standstills;
            if ended.complete {
                break true;
            }
            let lifted = self.lift(&standstills).await?;
            let until = standstills.iter().filter_map(|standstill| match standstill {
                Standstill::Waiting { until, .. } => *until,
                _ => None,
            });
            // A time may be over already: other batches went on in the same pass.
            let now = self.now();
            match until.min() {
                _ if lifted => {}
                Some(until) if until < horizon && (until > now || waited != Some(until)) => {
                    self.time.0.set(until.max(now));
                    waited = Some(until);
                }
                _ => break false,
            }
        };
        let standstills = if complete { Vec::new() } else { standstills };
        let now = self.now();
        self.cast.collector.end(wave, now, complete, standstills.iter().map(crate::command::run::words).collect());
        Ok(())
    }

    /// Lifts halts, which are noted; `false`: there was none.
    async fn lift(&self, standstills: &[Standstill]) -> Result<bool, CliError> {
        let mut lifted = false;
        for standstill in standstills {
            if let Standstill::Halted { batch, reason } = standstill {
                self.cast.collector.halted(batch, reason);
                let by = "rehearsal".to_owned();
                let reason = "to see the rest".to_owned();
                self.record(Record::Resumed { batch: Some(batch.clone()), by, reason }).await?;
                lifted = true;
            }
        }
        Ok(lifted)
    }

    /// Rolls a batch back to the state before a stage.
    pub async fn roll_back(
        &mut self,
        header: &PlanHeader,
        waves: &[Wave],
        (batch, to): (&BatchId, Stage),
    ) -> Result<RolledBack, CliError> {
        let scope = RollbackScope::Batch(batch.clone());
        let request = RollbackRequest { scope: scope.clone(), to, delete_provisioned: false, enable_inactive: false };
        let order = self.order(header, waves, &request)?;
        let id = WaveId::new(order.id.clone(), order.wave.name.as_str());
        let lines = order.lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice);
        let wave = Wave::from_lines(&id, lines).map_err(|e: BadWave<serde_json::Error>| CliError::failed(chain(&e)))?;
        let recorded = Record::OrderRecorded {
            order: order.id.clone(),
            digest: order.digest,
            order_kind: OrderKind::Rollback { scope, to, delete_provisioned: false, enable_inactive: false },
            wave: order.wave.clone(),
            approvals_needed: order.approvals_needed,
            concerns: order.concerns.clone(),
        };
        self.record(recorded).await?;
        self.approve(order.digest, &order.wave.name).await?;
        let ended = loop {
            let (_stop, stop) = watch::channel(Stop::No);
            let options = RunOptions { through: None, wait: SignedDuration::ZERO, stop };
            let ended = tokio::select! {
                biased;
                () = self.fuse.blows() => None,
                ended = self.engine.roll_back(&wave, &options) => Some(ended?),
            };
            match ended {
                Some(ended) => break ended,
                None => self.take_up()?,
            }
        };
        let Rollback::Done { rolled_back, conflicts } = ended else {
            return Err(CliError::failed(format!("the rehearsed rollback of {batch} did not come to its end: {ended:?}")));
        };
        let accounts = order.operations.iter().filter(|op| !matches!(op.action, Action::Ensure { .. }));
        let touched = accounts.map(|op| (op.store, op.target.dn().clone())).collect();
        Ok(RolledBack { batch: batch.clone(), subjects: rolled_back, conflicts, not_restored: order.not_restored, touched })
    }

    fn order(&self, header: &PlanHeader, waves: &[Wave], request: &RollbackRequest) -> Result<RollbackOrder, CliError> {
        let state = self.engine.recorder().look(Clone::clone);
        let presence = |subject: &PlannedSubject| {
            let reference = subject.roster_ref.as_ref()?;
            self.cast.roster.as_ref()?.person(reference, self.now()).presence
        };
        let people = waves.iter().flat_map(|wave| wave.batches.iter().flat_map(|batch| &batch.subjects));
        let ended: BTreeSet<SubjectId> = people
            .filter(|subject| presence(subject).is_some_and(|presence| presence.has_ended()))
            .map(|subject| subject.id.clone())
            .collect();
        let inputs = RollbackInputs {
            request,
            progress: &state,
            operations: &Played(waves),
            intents: &JournalledIntents(&self.journal),
            ended: &ended,
            capabilities: &state.general().capabilities,
            stores: &header.stores,
            now: self.now(),
        };
        rollback(&inputs).map_err(|e| CliError::usage(format!("--roll-back: {}", chain(&e))))
    }
}

fn engine(
    cast: &Cast<'_>,
    scratch: &Scratch,
    (time, fuse): (&VirtualTime, &Arc<Fuse>),
    (key, hook): (&Key, &Arc<Nobody>),
) -> Result<(Engine, Arc<LiveJournal>), CliError> {
    let (journal, initial) = scratch.open()?;
    let files: BTreeMap<WaveId, Digest> = cast.looked.state.orders().get(cast.plan).map_or_else(Default::default, |order| {
        order.waves.iter().map(|w| (WaveId::new(cast.plan.clone(), w.name.as_str()), w.digest)).collect()
    });
    let (dir, keys) = (cast.looked.dir.clone(), KeyStore::open(&cast.looked.dir)?);
    let events = cast.collector.clone();
    let recorder = Arc::new(Recorder::new(Arc::new(FusedJournal::new(journal.clone(), fuse)), initial));
    recorder.listen(Arc::new(move |event| events.take_in(event)));
    let ports = Ports {
        recorder,
        ledger: journal.clone(),
        keys: Arc::new(OneKey(key.clone())),
        marks: Arc::new(cast.looked.keys.marks()),
        time: Arc::new(time.clone()),
        stores: cast.stores.clone(),
        roster: cast.roster.clone(),
        hook: hook.clone(),
        blobs: Arc::new(move |wave, digest| {
            let file = files.get(wave).ok_or_else(|| format!("wave {wave} is in no recorded order"))?;
            blob(&dir, &keys, file, digest)
        }),
    };
    Ok((Engine::new(ports, cast.config.run.in_flight), journal))
}

/// Operations of the waves that were played.
struct Played<'a>(&'a [Wave]);

impl Played<'_> {
    fn wave(&self, id: &WaveId) -> Result<&Wave, String> {
        self.0.iter().find(|wave| wave.id == *id).ok_or_else(|| format!("wave {id} was not rehearsed"))
    }
}

impl Operations for Played<'_> {
    fn operation(&self, id: &OpId) -> Result<Operation, String> {
        let found = self.wave(id.wave())?.operation(&id.batch.batch, id.n).cloned();
        found.ok_or_else(|| format!("operation {id} is not in its wave"))
    }

    fn subject(&self, batch: &BatchId, id: &SubjectId) -> Result<Option<PlannedSubject>, String> {
        let found = self.wave(&batch.wave)?.batch(&batch.batch);
        Ok(found.and_then(|batch| batch.subjects.iter().find(|subject| subject.id == *id).cloned()))
    }
}

/// Intents of the rehearsal's ledger.
struct JournalledIntents<'a>(&'a LiveJournal);

impl Intents for JournalledIntents<'_> {
    fn started(&self, seq: u64) -> Result<Started, String> {
        self.0.started(seq)
    }
}
