//! Operators' commands: retry, pause, resume, throttle, abort, forget.

use untether_ledger::{Area, KeyError, SealedReader, Shelf};
use untether_model::digest::Digest;
use untether_model::ids::BadId;
use untether_model::run::{CellStatus, Record, RunState, WaveStatus, object_approvers, retriable};
use untether_model::{BatchId, SubjectId, WaveId};

use crate::args::RetryArgs;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};

fn wave_id(text: &str) -> Result<WaveId, CliError> {
    text.parse().map_err(|e: BadId| CliError::usage(e.to_string()))
}

/// Who sits at this terminal, as the system says, for the ledger.
pub fn operator() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// What to do about parked people of whom `retry` takes up none.
fn why_nobody(state: &RunState, wave: &WaveId) -> &'static str {
    match state.waves().get(wave).map(|wave| wave.status) {
        Some(WaveStatus::Ended | WaveStatus::Aborted) => {
            "the wave has ended: whoever it left parked goes with a new plan (`untether audit`, then `untether plan`)"
        }
        _ => {
            "conflicts and drift need `untether resolve` first; what another wave claimed belongs to that wave, and who was finished once to the next plan"
        }
    }
}

/// `retry`: parked subjects are taken up again; `run` goes on with them.
pub async fn retry(config: &Config, args: &RetryArgs, output: &Output) -> Result<Exit, CliError> {
    let wave = wave_id(&args.wave)?;
    if !args.execute {
        let looked = Looked::look(config)?;
        let found = candidates(&looked.state, &wave, &args.subject);
        for (subject, batch, why) in &found {
            output.say(format!("would take up {subject} of {batch}: {why}"));
        }
        if found.is_empty() {
            output.say(format!("would take up nobody of wave {wave}: {}", why_nobody(&looked.state, &wave)));
        }
        output.object("retry", &serde_json::json!({ "wave": wave, "executed": false, "candidates": found }));
        return Ok(Exit::Done);
    }
    let opened = Opened::open(config).await?;
    let found = opened.look(|state| candidates(state, &wave, &args.subject));
    if found.is_empty() {
        return Err(CliError::usage(format!("no subject of wave {wave} is parked and could be taken up again"))
            .hint(opened.look(|state| why_nobody(state, &wave))));
    }
    let count = found.len();
    for (subject, batch, _) in found {
        let record = Record::Unparked { subject, batch, by: operator(), reason: args.reason.clone() };
        opened.record(record).await?;
    }
    output.say(format!(
        "{count} subjects are taken up again; `untether run --plan {} --wave {} --execute` goes on with them",
        wave.plan, wave.wave
    ));
    output.object("retry", &serde_json::json!({ "wave": wave, "unparked": count }));
    Ok(Exit::Done)
}

/// Parked subjects that this wave still claims and of whom nothing waits for a decision.
fn candidates(state: &RunState, wave: &WaveId, only: &[String]) -> Vec<(SubjectId, BatchId, String)> {
    state
        .subjects()
        .iter()
        .filter(|(id, s)| s.batch.wave == *wave && (only.is_empty() || only.iter().any(|o| o == id.as_str())))
        .filter(|(id, _)| retriable(state, id))
        .filter_map(|(id, s)| s.parked.as_ref().map(|parked| (id, s, parked)))
        .map(|(id, s, parked)| (id.clone(), s.batch.clone(), format!("{}: {}", parked.reason.as_str(), parked.details)))
        .collect()
}

/// `pause`.
pub async fn pause(config: &Config, reason: &str, output: &Output) -> Result<Exit, CliError> {
    let opened = Opened::open(config).await?;
    opened.record(Record::Paused { by: operator(), reason: reason.to_owned() }).await?;
    output.say("paused: runs start nothing new until `untether resume`");
    output.object("pause", &serde_json::json!({ "paused": true, "reason": reason }));
    Ok(Exit::Done)
}

/// `resume`.
pub async fn resume(config: &Config, batch: Option<&str>, reason: &str, output: &Output) -> Result<Exit, CliError> {
    let batch: Option<BatchId> = batch.map(|b| b.parse().map_err(|e: BadId| CliError::usage(e.to_string()))).transpose()?;
    let opened = Opened::open(config).await?;
    let fits = opened.look(|state| match &batch {
        Some(id) => state.batches().get(id).is_some_and(|b| b.halted.is_some()),
        None => state.general().paused.is_some(),
    });
    if !fits {
        return Err(match &batch {
            Some(id) => CliError::usage(format!("batch {id} is not halted")),
            None => CliError::usage("nothing is paused").hint("to lift the halt of a batch give --batch"),
        });
    }
    // After a rollback only the approval of the next round lifts the halt.
    if let Some(id) = &batch
        && let Some(reason) = opened.look(|state| needs_round(state, id, opened.now()))
    {
        return Err(CliError::new(Exit::Resumable, reason).hint(format!("`untether approve {}` for the new round", id.wave)));
    }
    opened.record(Record::Resumed { batch: batch.clone(), by: operator(), reason: reason.to_owned() }).await?;
    output.object("resume", &serde_json::json!({ "batch": batch, "reason": reason }));
    output.say(match batch {
        Some(id) => format!("the halt of batch {id} is lifted"),
        None => "the pause is over".to_owned(),
    });
    Ok(Exit::Done)
}

fn needs_round(state: &RunState, id: &BatchId, now: jiff::Timestamp) -> Option<String> {
    let batch = state.batches().get(id)?;
    let rolled_back = batch.halted.as_ref().is_some_and(|h| h.starts_with("rolled back"));
    let stage = batch.next_stage()?;
    let digest = state.orders().get(&id.wave.plan)?.digest;
    let gap =
        untether_model::run::missing_approvals(state, &digest, &id.wave.wave, (batch.round, batch.round_since, stage), (1, now));
    (rolled_back && gap.is_some()).then(|| format!("batch {id} was rolled back: its round {} is not approved yet", batch.round))
}

/// `throttle`.
pub async fn throttle(config: &Config, limit: &str, output: &Output) -> Result<Exit, CliError> {
    let limit = match limit {
        "off" => None,
        number => Some(
            number
                .parse::<u32>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| CliError::usage(format!("'{number}' is neither a positive number nor off")))?,
        ),
    };
    let opened = Opened::open(config).await?;
    opened.record(Record::Throttled { limit, by: operator() }).await?;
    output.object("throttle", &serde_json::json!({ "limit": limit }));
    output.say(limit.map_or("the limit is lifted".to_owned(), |n| format!("at most {n} operations in flight in each store")));
    Ok(Exit::Done)
}

/// `abort`.
pub async fn abort(config: &Config, (wave, reason): (&str, &str), execute: bool, output: &Output) -> Result<Exit, CliError> {
    let wave = wave_id(wave)?;
    if !execute {
        output.say(format!("would give up wave {wave}: unfinished subjects are parked and released; done operations stay done (use `untether rollback` to undo). Add --execute."));
        output.object("abort", &serde_json::json!({ "wave": wave, "executed": false }));
        return Ok(Exit::Done);
    }
    let opened = Opened::open(config).await?;
    let running = opened.look(|state| state.waves().get(&wave).is_some_and(|w| w.status == WaveStatus::Running));
    if !running {
        return Err(CliError::usage(format!("wave {wave} does not run")));
    }
    opened.record(Record::Aborted { wave: wave.clone(), by: operator(), reason: reason.to_owned() }).await?;
    output.say(format!("wave {wave} was given up; its claims are released"));
    output.object("abort", &serde_json::json!({ "wave": wave, "executed": true }));
    Ok(Exit::Done)
}

/// A `forget` that was interrupted between its record and the destruction of the key goes on.
fn finish_forgetting(
    opened: &Opened,
    (wave, digest): (&WaveId, &Digest),
    execute: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let gone = CliError::usage(format!("the key of wave {wave} is destroyed already"));
    let Ok(key) = SealedReader::key_of(&opened.dir, &Shelf::of(Area::Plans), digest) else { return Err(gone) };
    if matches!(opened.keys.key(&key), Err(KeyError::Gone(_))) {
        return Err(gone);
    }
    if execute {
        opened.keys.destroy(&key)?;
        output.say(format!("the key of wave {wave} is destroyed"));
    } else {
        output.say(format!("wave {wave} was forgotten, and its key is still there: add --execute to destroy it"));
    }
    output.object("forget", &serde_json::json!({ "wave": wave, "executed": execute, "key": key.as_str() }));
    Ok(Exit::Done)
}

/// `forget`: destroys the key of an ended wave.
pub async fn forget(config: &Config, wave: &str, execute: bool, output: &Output) -> Result<Exit, CliError> {
    let wave = wave_id(wave)?;
    let opened = Opened::open(config).await?;
    let found = opened.look(|state| state.waves().get(&wave).cloned());
    let found = found.ok_or_else(|| CliError::usage(format!("wave {wave} has not started")))?;
    if found.forgotten.is_some() {
        return finish_forgetting(&opened, (&wave, &found.digest), execute, output);
    }
    let in_the_way = opened.look(|state| {
        let touched = state.cells().iter().filter(|(key, _)| key.op.batch.wave == wave);
        let mut blocked: Vec<String> = Vec::new();
        for (key, cell) in touched {
            let Some(id) = &key.subject else { continue };
            let subject = state.subjects().get(id);
            let unfinished = subject.is_some_and(|s| s.claimed || s.parked.is_some() || !s.is_finished());
            if unfinished || cell.status == CellStatus::Open {
                blocked.push(id.to_string());
            }
        }
        blocked.sort();
        blocked.dedup();
        blocked
    });
    if found.status == WaveStatus::Running || !in_the_way.is_empty() {
        let listed: Vec<&str> = in_the_way.iter().take(20).map(String::as_str).collect();
        return Err(CliError::new(
            Exit::Resumable,
            format!(
                "the key of wave {wave} is still needed: the wave runs, or {} of its subjects are not finished: {}",
                in_the_way.len(),
                listed.join(", ")
            ),
        ));
    }
    let now = opened.now();
    let approved = opened.look(|state| object_approvers(state, "forget", &wave.to_string(), &found.digest, now));
    if approved.len() < 2 || !execute {
        output.say(format!(
            "would destroy the key of wave {wave}: nothing of it can be undone or read afterwards. Backups and copy-on-write media are outside untether's power. \
             Needs two approvals (`untether approve {wave} --forget`) and --execute; so far {}", approved.len()
        ));
        output.object("forget", &serde_json::json!({ "wave": wave, "executed": false, "approved_by": approved }));
        return Ok(if execute { Exit::Resumable } else { Exit::Done });
    }
    let key = SealedReader::key_of(&opened.dir, &Shelf::of(Area::Plans), &found.digest)
        .map_err(|e| CliError::failed(crate::error::chain(&e)))?;
    // The record first: after a crash the key is destroyed by running this again.
    let record =
        Record::Forgotten { wave: wave.clone(), key: key.as_str().to_owned(), approved_by: approved.into_iter().collect() };
    opened.record(record).await?;
    opened.keys.destroy(&key)?;
    output.say(format!("the key of wave {wave} is destroyed"));
    output.object("forget", &serde_json::json!({ "wave": wave, "executed": true, "key": key.as_str() }));
    Ok(Exit::Done)
}
