//! `untether rehearse`: the whole plan through the same engine and journal, against twins filled from the plan's snapshot.
//!
//! Writes nothing to a store, and to the state only the record that the plan was rehearsed.

mod changes;
mod collected;
mod tell;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use untether_cutover::ports::SecretPolicy;
use untether_cutover::{Engine, Ports, Roster, RunOptions, Standstill, Stop, Stores};
use untether_directory::Write;
use untether_directory::twin::SettableClock;
use untether_ledger::{Key, KeyStore};
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::plan::{PlanHeader, Wave};
use untether_model::run::{GateKind, GateScope, Observation, Observed, Record, RunState, Verdict};
use untether_model::{PlanId, Round, Side, StateId, WaveId};

use self::changes::Changes;
use self::collected::{Collected, Collector};
use crate::args::RehearseArgs;
use crate::command::plan::stored_audit;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::{Looked, Opened, clock};
use crate::wiring::capabilities::probe;
use crate::wiring::planning::{blob, last_plan, load_header, load_wave};
use crate::wiring::rehearsal::asker::{Asked, Asker};
use crate::wiring::rehearsal::lines::{Pace, TwinStore};
use crate::wiring::rehearsal::scratch::{self, Nobody, OneKey, VirtualTime};
use crate::wiring::rehearsal::twins::Twins;
use crate::wiring::roster::LiveRoster;
use crate::wiring::stores::client;

/// Longest that a rehearsal goes on, on its own clock: soak times and waits included.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);

/// Everything that a rehearsal found.
pub struct Rehearsed {
    plan: PlanId,
    header: PlanHeader,
    rate: f64,
    began: Timestamp,
    ended: Timestamp,
    collected: Collected,
    changes: Vec<Changes>,
    asked: Vec<(Side, Asked)>,
    assumptions: Vec<String>,
}

/// `rehearse`.
pub async fn run(config: &Config, args: &RehearseArgs, output: &Output) -> Result<Exit, CliError> {
    let policy = config.plan_policy()?;
    let rate = args.rate.unwrap_or(policy.forecast_writes_per_second);
    if !(rate.is_finite() && rate > 0.0) {
        return Err(CliError::usage(format!("--rate {rate}: the number of writes a second must be above 0")));
    }
    let looked = Looked::look(config)?;
    let plan = last_plan(&looked.state, args.plan.as_deref())?;
    let rehearsed = rehearse(config, &looked, (plan, rate), args, output).await?;
    let exit = tell::tell(&rehearsed, args.wave.as_deref(), output);
    if args.wave.is_none() {
        let (refused, operations) = rehearsed.collected.refused_of();
        let opened = Opened::open(config).await?;
        opened.record(Record::Rehearsed { plan: rehearsed.plan.clone(), refused, operations }).await?;
        opened.finish().await;
    }
    Ok(exit)
}

async fn rehearse(
    config: &Config,
    looked: &Looked,
    (plan, rate): (PlanId, f64),
    args: &RehearseArgs,
    output: &Output,
) -> Result<Rehearsed, CliError> {
    let header = load_header(&looked.dir, &looked.keys, &looked.state, &plan)?;
    let digest = looked.state.orders().get(&plan).map(|order| order.digest);
    let digest = digest.ok_or_else(|| CliError::usage(format!("'{plan}' is no recorded plan")))?;
    let snapshot = header.snapshot.ok_or_else(|| CliError::usage(format!("plan {plan} was made from no snapshot")))?;
    let stored = stored_audit(&looked.dir, &looked.keys, &snapshot)?;
    let began = clock().wall().max(header.now);
    let settable = SettableClock::new(began);
    output.note(format!("filling twins from the audit of {:.0}", stored.header().taken_at));
    let twins = Twins::fill(config, &stored, &settable)?;
    let before = Side::ALL.map(|side| twins.get(side).dump());
    let Twins { shared, independent, placeholders, mut assumptions } = twins;
    let placeholders = Arc::new(placeholders);

    let asker = async |side: Side, entries: &[untether_model::Entry], assumptions: &mut Vec<String>| {
        if !args.against_servers {
            return Ok(None);
        }
        let parents: BTreeSet<_> = entries.iter().filter_map(|e| e.dn.parent().map(|dn| dn.key().clone())).collect();
        let writers = askable(config, side, assumptions).await?;
        Ok::<_, CliError>(writers.map(|writers| Arc::new(Asker::new(side, writers, Arc::clone(&placeholders), parents))))
    };
    let [shared_before, independent_before] = &before;
    let shared_asker = asker(Side::Shared, shared_before, &mut assumptions).await?;
    let independent_asker = asker(Side::Independent, independent_before, &mut assumptions).await?;

    let pace = Pace { clock: settable.clone(), cost: SignedDuration::from_secs_f64(1.0 / rate) };
    let stores = Stores {
        shared: Arc::new(TwinStore::new(&shared, &pace, shared_asker.as_ref())),
        independent: Arc::new(TwinStore::new(&independent, &pace, independent_asker.as_ref())),
    };
    let collector = Arc::new(Collector::new(output));
    let time = VirtualTime(settable.clone());
    let roster = roster(config, &looked.state, began, &mut assumptions).await;
    let engine = engine(config, looked, (stores, roster, &time), &collector, &plan)?;
    let stage = Play { looked, engine: &engine, header: &header, digest, collector: &collector, clock: &settable };
    stage.prepare(&plan).await?;
    for name in chosen(&stage, &plan, args.wave.as_deref())? {
        let wave = load_wave(&looked.dir, &looked.keys, &header, &WaveId::new(plan.clone(), name.as_str()))?;
        let marks = looked.keys.marks();
        stage.play(&wave.map_operations(|op| placeholders.translate(&marks, op))).await?;
    }
    let changes = Side::ALL
        .iter()
        .zip(&before)
        .map(|(side, before)| {
            let twin = if *side == Side::Shared { &shared } else { &independent };
            Changes::between(*side, before, &twin.dump(), &twin.config().schema)
        })
        .collect();
    let asked = [(Side::Shared, shared_asker), (Side::Independent, independent_asker)];
    let asked = asked.into_iter().filter_map(|(side, asker)| Some((side, asker?.told()))).collect();
    let ended = settable.now();
    Ok(Rehearsed { plan, header, rate, began, ended, collected: collector.take(), changes, asked, assumptions })
}

/// The binds by which a server may be asked: only those that were just seen to answer a no-op as one.
type Writers = (Arc<dyn Write>, Option<Arc<dyn Write>>);

async fn askable(config: &Config, side: Side, assumptions: &mut Vec<String>) -> Result<Option<Writers>, CliError> {
    let store = config.store(side);
    let found = probe(config, side).await?;
    let (Some(found), Some(bind)) = (found, &store.write) else {
        assumptions.push(format!("the {side} store was not asked: there is no server, or no writing bind is configured"));
        return Ok(None);
    };
    if !found.no_op {
        assumptions.push(format!("the {side} store was not asked: its server does not answer the critical no-op control"));
        return Ok(None);
    }
    let writer: Arc<dyn Write> = Arc::new(client(config, side, bind, &format!("[{side}.write]"))?);
    let undo = store.undo.as_ref().filter(|_| found.manage);
    let undoer = undo.map(|bind| client(config, side, bind, &format!("[{side}.undo]"))).transpose()?;
    Ok(Some((writer, undoer.map(|undoer| Arc::new(undoer) as Arc<dyn Write>))))
}

/// The roster as it is now, if it can be read.
async fn roster(config: &Config, state: &RunState, now: Timestamp, assumptions: &mut Vec<String>) -> Option<Arc<dyn Roster>> {
    let roster = LiveRoster::new(config.clone(), state);
    match roster.refresh(now).await {
        Ok(_) => Some(Arc::new(roster)),
        Err(why) => {
            assumptions.push(format!("nobody was checked against the roster: {why}"));
            None
        }
    }
}

fn engine(
    config: &Config,
    looked: &Looked,
    (stores, roster, time): (Stores, Option<Arc<dyn Roster>>, &VirtualTime),
    collector: &Arc<Collector>,
    plan: &PlanId,
) -> Result<Engine, CliError> {
    let (journal, initial) = scratch::journal(time)?;
    let credential = config.plan.as_ref().map(|p| p.credential.clone()).unwrap_or_default();
    let files: std::collections::BTreeMap<_, _> = looked.state.orders().get(plan).map_or_else(Default::default, |order| {
        order.waves.iter().map(|w| (WaveId::new(plan.clone(), w.name.as_str()), w.digest)).collect()
    });
    let (dir, keys) = (looked.dir.clone(), KeyStore::open(&looked.dir)?);
    let key = Key::random().map_err(|e| CliError::failed(chain(&e)))?;
    let events = Arc::clone(collector);
    let ports = Ports {
        journal: journal.clone(),
        ledger: journal,
        keys: Arc::new(OneKey(key)),
        marks: Arc::new(looked.keys.marks()),
        time: Arc::new(time.clone()),
        stores,
        roster,
        hook: Arc::new(Nobody::default()),
        secrets: SecretPolicy { scheme: credential.scheme, length: credential.length },
        events: Arc::new(move |event| events.take_in(event)),
        blobs: Arc::new(move |wave, digest| {
            let file = files.get(wave).ok_or_else(|| format!("wave {wave} is in no recorded order"))?;
            blob(&dir, &keys, file, digest)
        }),
        initial,
    };
    Ok(Engine::new(ports, config.run.in_flight))
}

/// The waves that are rehearsed, in the plan's order: all, or one with those that must end before it.
fn chosen(play: &Play<'_>, plan: &PlanId, only: Option<&str>) -> Result<Vec<String>, CliError> {
    let names: Vec<String> = play.header.waves.iter().map(|w| w.name.clone()).collect();
    let Some(only) = only else { return Ok(names) };
    if !names.iter().any(|name| name == only) {
        return Err(CliError::usage(format!("plan {plan} has no wave '{only}'")).hint(format!("it has: {}", names.join(", "))));
    }
    let mut wanted: BTreeSet<String> = BTreeSet::from([only.to_owned()]);
    let mut open = vec![only.to_owned()];
    while let Some(name) = open.pop() {
        let wave = load_wave(&play.looked.dir, &play.looked.keys, play.header, &WaveId::new(plan.clone(), name.as_str()))?;
        open.extend(wave.header.after.into_iter().filter(|name| wanted.insert(name.clone())));
    }
    Ok(names.into_iter().filter(|name| wanted.contains(name)).collect())
}

/// One plan on its stage.
struct Play<'a> {
    looked: &'a Looked,
    engine: &'a Engine,
    header: &'a PlanHeader,
    digest: Digest,
    collector: &'a Collector,
    clock: &'a SettableClock,
}

impl Play<'_> {
    fn far(&self) -> Timestamp {
        self.clock.now().checked_add(HORIZON).unwrap_or(Timestamp::MAX)
    }

    async fn record(&self, record: Record) -> Result<(), CliError> {
        Ok(self.engine.recorder().record(record).await.map(drop)?)
    }

    /// Records the plan in the scratch state, approved by two people whom nobody knows, with every gate seen to pass.
    async fn prepare(&self, plan: &PlanId) -> Result<(), CliError> {
        let waves = self.header.waves.clone();
        let recorded = Record::PlanRecorded {
            plan: plan.clone(),
            digest: self.digest,
            parent: None,
            snapshot: self.header.snapshot,
            waves: waves.clone(),
            report: None,
            executable: true,
        };
        self.record(recorded).await?;
        for wave in &waves {
            for person in ["rehearsal-1", "rehearsal-2"] {
                let subject =
                    Subject::Order { digest: self.digest, wave: wave.name.clone(), round: Round::FIRST, through: Stage::Attest };
                let reason = "rehearsal".to_owned();
                let statement = Statement { state: StateId::new("rehearsal"), subject, reason, not_after: self.far() };
                // One key counts as one person, so each has a key of a name of its own.
                let (approver, key) = (person.to_owned(), person.to_owned());
                let signed = Signed { statement, approver, key, signature: String::new() };
                self.record(Record::Approved { signed }).await?;
            }
            for gate in GateKind::ALL {
                let scope = GateScope::Wave(WaveId::new(plan.clone(), wave.name.as_str()));
                let why = "assumed by the rehearsal".to_owned();
                let observed = Observed {
                    what: Observation::Gate { gate, scope, verdict: Verdict::Pass, why },
                    source: "rehearsal".to_owned(),
                    coverage: "nothing was observed".to_owned(),
                    from: self.clock.now(),
                    // Newer than anything that is observed on the way, so that it decides.
                    to: self.far(),
                    expires: None,
                };
                self.record(Record::Observed { observed }).await?;
            }
        }
        Ok(())
    }

    /// Runs a wave to its end, waiting on the clock of the rehearsal; a halt is noted and lifted, so that all is seen.
    async fn play(&self, wave: &Wave) -> Result<(), CliError> {
        self.collector.begin(wave, self.clock.now());
        // What keeps it from running is told; it is rehearsed all the same.
        let header = PlanHeader { executable: true, not_executable: Vec::new(), ..self.header.clone() };
        let (_stop, stop) = watch::channel(Stop::No);
        let options = RunOptions { through: None, wait: SignedDuration::ZERO, stop };
        let horizon = self.far();
        let mut standstills;
        let mut waited = None;
        let complete = loop {
            let ended = self.engine.run(&header, wave, &options).await?;
            standstills = ended.standstills;
            if ended.complete {
                break true;
            }
            let mut lifted = false;
            for standstill in &standstills {
                if let Standstill::Halted { batch, reason } = standstill {
                    self.collector.halted(batch, reason);
                    let by = "rehearsal".to_owned();
                    let reason = "to see the rest".to_owned();
                    self.record(Record::Resumed { batch: Some(batch.clone()), by, reason }).await?;
                    lifted = true;
                }
            }
            let until = standstills.iter().filter_map(|standstill| match standstill {
                Standstill::Waiting { until, .. } => *until,
                _ => None,
            });
            // A time may be over already: other batches went on in the same pass.
            let now = self.clock.now();
            match until.min() {
                _ if lifted => {}
                Some(until) if until < horizon && (until > now || waited != Some(until)) => {
                    self.clock.set(until.max(now));
                    waited = Some(until);
                }
                _ => break false,
            }
        };
        let standstills = if complete { Vec::new() } else { standstills };
        self.collector.end(wave, self.clock.now(), complete, standstills.iter().map(crate::command::run::words).collect());
        Ok(())
    }
}
