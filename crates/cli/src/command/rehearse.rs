//! `untether rehearse`: the whole plan through the same engine and journal, against twins filled from the plan's snapshot.
//!
//! Writes nothing to a store, and to the state only the record that the plan was rehearsed.

mod changes;
mod collected;
mod performance;
mod stage;
mod tell;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use untether_cutover::{Roster, RosterTrouble};
use untether_directory::Write;
use untether_ledger::Reader;
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::plan::PlanHeader;
use untether_model::run::{Record, RunState};
use untether_model::{BatchId, PlanId, Side, WaveId};

use self::performance::{Performance, Performed};
use crate::args::{Lang, RehearseArgs};
use crate::command::approve::stage;
use crate::command::plan::stored_audit;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::{Looked, Opened, clock};
use crate::wiring::capabilities::probe;
use crate::wiring::planning::{last_plan, load_header};
use crate::wiring::rehearsal::asker::Asker;
use crate::wiring::rehearsal::twins::Placeholders;
use crate::wiring::roster::LiveRoster;
use crate::wiring::stores::client;
use crate::wiring::waves::load_wave;

/// What is rehearsed, and how.
pub struct Piece {
    plan: PlanId,
    header: PlanHeader,
    digest: Digest,
    /// Waves in the plan's order.
    waves: Vec<String>,
    /// The wave that was asked for, and the stage through which it goes.
    only: Option<(String, Option<Stage>)>,
    /// Batches that are rolled back at the end, each to the state before the stage.
    roll_back: (Vec<BatchId>, Stage),
    /// Writes a second.
    rate: f64,
    began: Timestamp,
    /// The record of the audit that the plan was made from, where a report is asked for.
    audited: Option<Record>,
}

/// Everything that a rehearsal found.
pub struct Rehearsed {
    piece: Piece,
    performed: Performed,
    /// The same once more with cuts.
    cut: Option<Performed>,
    assumptions: Vec<String>,
    language: Option<Lang>,
}

/// `rehearse`.
pub async fn run(config: &Config, args: &RehearseArgs, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let piece = piece(config, &looked, args)?;
    let snapshot = piece.header.snapshot;
    let snapshot = snapshot.ok_or_else(|| CliError::usage(format!("plan {} was made from no snapshot", piece.plan)))?;
    let stored = stored_audit(&looked.dir, &looked.keys, &snapshot)?;
    let mut assumptions = Vec::new();
    let roster = roster(config, &looked.state, piece.began, &mut assumptions).await;
    let performance = Performance { config, looked: &looked, piece: &piece, stored: &stored, roster, output };
    output.note(format!("filling twins from the audit of {:.0}", stored.header().taken_at));
    let asking = if args.against_servers { Some(&Asking { config }) } else { None };
    let (performed, assumed) = performance.give(None, asking).await?;
    let cut = match args.cut_every {
        None => None,
        Some(every) => {
            output.note(format!("once more, with the power going out after every {every} operations"));
            Some(performance.give(Some(every), None).await?.0)
        }
    };
    assumptions.extend(assumed);
    let rehearsed = Rehearsed { performed, cut, assumptions, language: args.report, piece };
    let exit = tell::tell(&rehearsed, output);
    if rehearsed.piece.only.is_none() {
        let (refused, operations) = rehearsed.performed.collected.refused_of();
        let opened = Opened::open(config).await?;
        opened.record(Record::Rehearsed { plan: rehearsed.piece.plan.clone(), refused, operations }).await?;
        opened.finish().await;
    }
    Ok(exit)
}

/// What is asked for, checked before anything is filled.
fn piece(config: &Config, looked: &Looked, args: &RehearseArgs) -> Result<Piece, CliError> {
    let rate = args.rate.map_or_else(|| config.plan_policy().map(|policy| policy.forecast_writes_per_second), Ok)?;
    if !(rate.is_finite() && rate > 0.0) {
        return Err(CliError::usage(format!("--rate {rate}: the number of writes a second must be above 0")));
    }
    let plan = last_plan(&looked.state, args.plan.as_deref())?;
    let header = load_header(&looked.dir, &looked.keys, &looked.state, &plan)?;
    let digest = looked.state.orders().get(&plan).map(|order| order.digest);
    let digest = digest.ok_or_else(|| CliError::usage(format!("'{plan}' is no recorded plan")))?;
    let through = args.through.as_deref().map(stage).transpose()?;
    let only = args.wave.clone().map(|wave| (wave, through));
    let waves = chosen(looked, &header, &plan, args.wave.as_deref())?;
    let roll_back = args.roll_back.iter().map(|name| batch(looked, (&header, &plan), &waves, name));
    let roll_back = (roll_back.collect::<Result<_, _>>()?, stage(&args.to)?);
    let audited = if args.report.is_some() { audited(looked, &header)? } else { None };
    let began = clock().wall().max(header.now);
    Ok(Piece { plan, header, digest, waves, only, roll_back, rate, began, audited })
}

/// The waves that are rehearsed, in the plan's order: all, or one with those that must end before it.
fn chosen(looked: &Looked, header: &PlanHeader, plan: &PlanId, only: Option<&str>) -> Result<Vec<String>, CliError> {
    let names: Vec<String> = header.waves.iter().map(|w| w.name.clone()).collect();
    let Some(only) = only else { return Ok(names) };
    if !names.iter().any(|name| name == only) {
        return Err(CliError::usage(format!("plan {plan} has no wave '{only}'")).hint(format!("it has: {}", names.join(", "))));
    }
    let mut wanted: BTreeSet<String> = BTreeSet::from([only.to_owned()]);
    let mut open = vec![only.to_owned()];
    while let Some(name) = open.pop() {
        let wave = load_wave(&looked.dir, &looked.keys, header, &WaveId::new(plan.clone(), name.as_str()))?;
        open.extend(wave.header.after.into_iter().filter(|name| wanted.insert(name.clone())));
    }
    Ok(names.into_iter().filter(|name| wanted.contains(name)).collect())
}

/// A batch of a wave that is rehearsed, from `WAVE/BATCH` or `PLAN/WAVE/BATCH`.
fn batch(looked: &Looked, (header, plan): (&PlanHeader, &PlanId), waves: &[String], name: &str) -> Result<BatchId, CliError> {
    let unknown =
        |hint: String| CliError::usage(format!("--roll-back {name}: there is no such batch in the rehearsal")).hint(hint);
    let short = name.strip_prefix(&format!("{plan}/")).unwrap_or(name);
    let form = || "a batch is WAVE/BATCH, for instance migrate/b02".to_owned();
    let (wave, batch) = short.split_once('/').ok_or_else(|| unknown(form()))?;
    if !waves.iter().any(|known| known == wave) {
        return Err(unknown(format!("its waves are: {}", waves.join(", "))));
    }
    let id = WaveId::new(plan.clone(), wave);
    let loaded = load_wave(&looked.dir, &looked.keys, header, &id)?;
    if loaded.batch(batch).is_none() {
        let names: Vec<&str> = loaded.batches.iter().map(|batch| batch.name.as_str()).collect();
        return Err(unknown(format!("wave {wave} has: {}", names.join(", "))));
    }
    Ok(BatchId::new(id, batch))
}

/// The record of the audit that a plan was made from.
fn audited(looked: &Looked, header: &PlanHeader) -> Result<Option<Record>, CliError> {
    let mut reader = Reader::open(looked.dir.disk(), &looked.dir.ledger())?;
    while let Some(frame) = reader.next_frame()? {
        if frame.is_seam() {
            continue;
        }
        let record = Record::from_parts(&frame.kind, frame.body()).map_err(|e| CliError::state(chain(&e)))?;
        if matches!(&record, Record::AuditRecorded { snapshot, .. } if Some(*snapshot) == header.snapshot) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The binds by which a server may be asked: only those that were just seen to answer a no-op as one.
type Writers = (Arc<dyn Write>, Option<Arc<dyn Write>>);

/// Who asks the servers what they would refuse.
pub struct Asking<'a> {
    config: &'a Config,
}

impl Asking<'_> {
    /// Asks the server of one store; `None` where it cannot be asked, which is told.
    async fn of(
        &self,
        side: Side,
        (entries, placeholders): (&[untether_model::Entry], &Arc<Placeholders>),
        assumptions: &mut Vec<String>,
    ) -> Result<Option<Arc<Asker>>, CliError> {
        let writers = askable(self.config, side, assumptions).await?;
        Ok(writers.map(|writers| Arc::new(Asker::new(side, writers, Arc::clone(placeholders), entries))))
    }
}

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
    if let Err(RosterTrouble::Stale(why)) = LiveRoster::new(config.clone(), state).refresh(now).await {
        assumptions.push(format!("the roster was taken as it is, but a run would stop: {why}"));
    }
    let roster = LiveRoster::ageless(config.clone(), state);
    match roster.refresh(now).await {
        Ok(_) => Some(Arc::new(roster)),
        Err(why) => {
            assumptions.push(format!("nobody was checked against the roster: {why}"));
            None
        }
    }
}
