//! `untether run`: carries out a wave; shows what it would do without `--execute`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::watch;
use untether_cutover::{Ended, Engine, RunOptions, Standstill, Stop};
use untether_model::WaveId;
use untether_model::operation::Stage;
use untether_model::policy::Span;

use crate::args::RunArgs;
use crate::command::approve::stage;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};
use crate::wiring::opening::Run;
use crate::wiring::planning::{load_header, wave_of_plan};
use crate::wiring::waves::load_wave;

/// `run`.
pub async fn run(config: &Config, args: &RunArgs, output: &Output) -> Result<Exit, CliError> {
    let through = args.through.as_deref().map(stage).transpose()?;
    let wait = Span::try_from(args.wait.clone()).map_err(CliError::usage)?;
    if !args.execute {
        return preview(config, args, through, output);
    }
    let which = Run { plan: args.plan.as_deref(), wave: &args.wave, through };
    let (opened, header, wave) = Opened::open_for_run(config, which, &Output::new(false))?;
    let id = wave.id.clone();
    let display = opened.display(output);
    let ports = opened.ports(config, display.sink())?;
    let engine = Engine::new(ports, config.run.in_flight);
    let stop = stop_on_signals(output);
    let seconds = i64::try_from(wait.seconds).unwrap_or(i64::MAX);
    let options = RunOptions { through, wait: jiff::SignedDuration::from_secs(seconds), stop };
    let ended = engine.run(&header, &wave, &options).await;
    display.finish();
    for standstill in ended.iter().flat_map(|e| &e.standstills) {
        match standstill {
            Standstill::Waiting { batch, stage, reason, .. } | Standstill::Approval { batch, stage, reason } => {
                opened.ledger().waits(batch, format!("{stage}: {reason}"));
            }
            _ => {}
        }
    }
    let head = opened.finish().await;
    let ended = ended?;
    tell(&ended, &id, output);
    output.note(format!("ledger at {head}"));
    Ok(exit_of(&ended))
}

/// Ctrl-C once stops cleanly after the operations in flight; twice ends at once (everything acknowledged is durable).
pub fn stop_on_signals(output: &Output) -> watch::Receiver<Stop> {
    let (sender, receiver) = watch::channel(Stop::No);
    let json = output.is_json();
    tokio::spawn(async move {
        let output = Output::new(json);
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(stream) => stream,
            Err(e) => {
                tracing::warn!("SIGTERM cannot be caught: {e}");
                return;
            }
        };
        for again in [false, true] {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            if again {
                output.note("stopped at once; operations in flight are looked at when the run is resumed");
                std::process::exit(Exit::Resumable as i32);
            }
            output.note("stopping after the operations in flight; once more stops at once");
            // Nobody listening means that the run has ended already.
            let _ = sender.send(Stop::Clean);
        }
    });
    receiver
}

/// The exit code that needs a person most.
fn exit_of(ended: &Ended) -> Exit {
    if ended.conflicts > 0 {
        Exit::Decision
    } else if ended.stopped || ended.halted || !ended.standstills.is_empty() || !ended.complete {
        Exit::Resumable
    } else {
        Exit::Done
    }
}

fn tell(ended: &Ended, wave: &WaveId, output: &Output) {
    let standstills: Vec<String> = ended.standstills.iter().map(words).collect();
    output.object(
        "run",
        &serde_json::json!({
            "wave": wave, "complete": ended.complete, "stopped": ended.stopped, "halted": ended.halted,
            "parked": ended.parked, "conflicts": ended.conflicts, "standstills": standstills,
        }),
    );
    if ended.complete {
        output.say(format!("wave {wave}: everything that was asked for is done"));
    } else if ended.stopped {
        output.say(format!("wave {wave}: stopped; the same command goes on where it stopped"));
    } else {
        output.say(format!("wave {wave}: it does not go on by itself now"));
    }
    for line in grouped(&ended.standstills) {
        output.say(format!("  - {line}"));
    }
    for (reason, count) in &ended.parked {
        output.say(format!("  parked ({reason}): {count}"));
    }
    if ended.conflicts > 0 {
        output.say("  conflicts need a decision: `untether subject show ID`, then `untether resolve`");
    }
}

/// The words of each standstill; batches that wait for the same share a line.
fn grouped(standstills: &[Standstill]) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for standstill in standstills {
        let (line, batch) = match standstill {
            Standstill::Waiting { batch, stage, reason, until } => (waits(*stage, reason, *until), Some(batch)),
            other => (words(other), None),
        };
        let batch = batch.map(|batch| batch.batch.as_str());
        match lines.iter_mut().find(|(l, batches)| *l == line && batches.is_empty() == batch.is_none()) {
            Some((_, batches)) => batches.extend(batch),
            None => lines.push((line, batch.into_iter().collect())),
        }
    }
    let tell = |(line, batches): (String, Vec<&str>)| match batches[..] {
        [] => line,
        [one] => format!("batch {one}, {line}"),
        _ => format!("batches {}, {line}", batches.join(" ")),
    };
    lines.into_iter().map(tell).collect()
}

fn waits(stage: Stage, reason: &str, until: Option<Timestamp>) -> String {
    let until = until.map(|at| format!(" (until {at:.0})")).unwrap_or_default();
    format!("{stage}: waits: {reason}{until}")
}

/// Why something does not go on, in words.
pub fn words(standstill: &Standstill) -> String {
    match standstill {
        Standstill::Waiting { batch, stage, reason, until } => {
            format!("batch {batch}, {}", waits(*stage, reason, *until))
        }
        Standstill::Approval { batch, reason, .. } => format!("batch {batch}: {reason}; next: `untether approve {}`", batch.wave),
        Standstill::Halted { batch, reason } => {
            format!("batch {batch} is halted: {reason}; next: `untether resume --batch {batch} --reason TEXT`")
        }
        Standstill::Paused { reason } => format!("{reason}; next: `untether resume --reason TEXT`"),
        Standstill::Refused { reason } => format!("refused, nothing was changed: {reason}"),
    }
}

/// What the run would do.
fn preview(config: &Config, args: &RunArgs, through: Option<Stage>, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let id = wave_of_plan(&looked.state, args.plan.as_deref(), &args.wave)?;
    let header = load_header(&looked.dir, &looked.keys, &looked.state, &id.plan)?;
    let wave = load_wave(&looked.dir, &looked.keys, &header, &id)?;
    let mut counts: BTreeMap<Stage, (u64, u64)> = BTreeMap::new();
    for op in wave.operations().iter().filter(|op| through.is_none_or(|t| op.stage <= t)) {
        let count = counts.entry(op.stage).or_default();
        count.0 += 1;
        count.1 += u64::try_from(op.subjects.len().max(1)).unwrap_or(u64::MAX);
    }
    output.say(format!("wave {id}: {} batches; nothing is written without --execute. It would do:", wave.batches.len()));
    for (stage, (operations, cells)) in &counts {
        let mark = if stage.is_irreversible() { " (irreversible: two approvals)" } else { "" };
        output.say(format!("  {stage:<10} {operations:>7} operations, {cells:>7} cells{mark}"));
    }
    let rows: BTreeMap<&str, _> =
        counts.iter().map(|(s, c)| (s.as_str(), serde_json::json!({"operations": c.0, "cells": c.1}))).collect();
    output.object("run", &serde_json::json!({ "wave": id, "executed": false, "stages": rows }));
    Ok(Exit::Done)
}
