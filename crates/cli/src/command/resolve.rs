//! `untether resolve`: a person's decision on a conflict.

use untether_cutover::{Engine, Forced};
use untether_model::ids::BadId;
use untether_model::operation::UndoClass;
use untether_model::plan::OrderKind;
use untether_model::run::{OrderStatus, Record, RunState};
use untether_model::{BatchId, OpId, PlanId, SubjectId, WaveId};
use untether_planner::resolution::{ResolutionInputs, resolution};

use crate::args::ResolveArgs;
use crate::command::operate::operator;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::planning::load_header;
use crate::wiring::recorded::{NewOrder, RecordedWaves, planned_stores, record_order_files};
use crate::wiring::waves::load_wave;

/// `resolve`.
pub async fn run(config: &Config, args: &ResolveArgs, output: &Output) -> Result<Exit, CliError> {
    let op: OpId = args.op.parse().map_err(|e: BadId| CliError::usage(e.to_string()))?;
    let opened = Opened::open(config).await?;
    let subject = args.subject.as_deref().map(SubjectId::new);
    let found = opened.look(|state| in_conflict(state, &op, subject.as_ref()));
    if found.is_empty() {
        return Err(CliError::usage(format!("operation {op} is not in conflict"))
            .hint("`untether status` counts conflicts, `untether subject show` tells them"));
    }
    for (subject, message) in &found {
        let whose = subject.as_ref().map(|s| format!(" for {s}")).unwrap_or_default();
        output.note(format!("{op}{whose}: {message}"));
    }
    let verb = match (args.keep_theirs, args.skip, args.force) {
        (true, _, _) => "keep-theirs",
        (_, true, _) => "skip",
        (_, _, true) => return force(config, &opened, (&op, subject.as_ref()), args.execute, output).await,
        _ => return Err(CliError::usage("which decision? Give --keep-theirs, --skip or --force")),
    };
    let count = found.len();
    for (subject, _) in found {
        let record = Record::Resolved {
            op: op.clone(),
            subject,
            verb: verb.to_owned(),
            order: None,
            by: operator(),
            reason: args.reason.clone(),
        };
        opened.record(record).await?;
    }
    output.say(format!("{verb}: recorded for {count} cells of {op}; `untether retry` takes the subjects up again"));
    output.object("resolve", &serde_json::json!({ "op": op, "decision": verb, "cells": count }));
    Ok(Exit::Done)
}

/// The operation's cells that wait for a decision, with what was found.
fn in_conflict(state: &RunState, op: &OpId, only: Option<&SubjectId>) -> Vec<(Option<SubjectId>, String)> {
    state
        .cells()
        .iter()
        .filter(|(key, cell)| key.op == *op && cell.awaits_decision() && only.is_none_or(|s| key.subject.as_ref() == Some(s)))
        .map(|(key, cell)| (key.subject.clone(), cell.drift.clone().unwrap_or_else(|| cell.message.clone())))
        .collect()
}

/// The operation once more, whatever the entry holds now: an order that two people approve.
async fn force(
    config: &Config,
    opened: &Opened,
    (op, subject): (&OpId, Option<&SubjectId>),
    execute: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let recorded = opened.look(|state| {
        let wanted = OrderKind::Resolution { op: op.clone() };
        let open = state.orders().iter().filter(|(_, o)| o.kind == wanted && o.status != OrderStatus::Done);
        open.max_by_key(|(_, o)| o.recorded_at).map(|(id, _)| id.clone())
    });
    let id = match recorded {
        Some(id) => id,
        None => record(opened, (op, subject), output).await?,
    };
    if !execute {
        output.say(format!(
            "Nothing was changed. Two people approve it with `untether approve {id}`, then run the same command with --execute."
        ));
        return Ok(Exit::Done);
    }
    let header = opened.look(|state| load_header(&opened.dir, &opened.keys, state, &id))?;
    let name = header.waves.first().map(|w| w.name.clone()).unwrap_or_default();
    let wave = load_wave(&opened.dir, &opened.keys, &header, &WaveId::new(id.clone(), name))?;
    let of = &op.batch.wave;
    let header = opened.look(|state| load_header(&opened.dir, &opened.keys, state, &of.plan))?;
    let of = load_wave(&opened.dir, &opened.keys, &header, of)?;
    let display = opened.display(output);
    let engine = Engine::new(opened.ports(config, display.sink())?, config.run.in_flight);
    let ended = engine.force(&wave, &of).await;
    display.finish();
    output.note(format!("ledger at {}", opened.finish().await));
    match ended? {
        Forced::Done { settled, failed } => {
            output.say(format!("{op} was carried out for {} subjects; `untether retry` takes them up again", settled.len()));
            for (subject, words) in &failed {
                output.say(format!("  failed again: {subject}: {words}"));
            }
            output.object(
                "resolve",
                &serde_json::json!({
                    "op": op, "decision": "force", "order": id, "settled": settled, "failed": failed,
                }),
            );
            Ok(if failed.is_empty() { Exit::Done } else { Exit::Decision })
        }
        Forced::Unapproved { have, needed } => {
            let have: Vec<String> = have.into_iter().collect();
            let words = format!("overwriting a conflict needs the approval of {needed} people; so far: [{}]", have.join(", "));
            Err(CliError::new(Exit::Resumable, words).hint(format!("untether approve {id} --through {}", stage_of(&wave))))
        }
        Forced::Refused(reason) => Err(CliError::new(Exit::Resumable, reason)),
    }
}

fn stage_of(wave: &untether_model::plan::Wave) -> &'static str {
    wave.operations().first().map_or("disable", |op| op.stage.as_str())
}

async fn record(opened: &Opened, (op, subject): (&OpId, Option<&SubjectId>), output: &Output) -> Result<PlanId, CliError> {
    let state = opened.state_now();
    let waves = RecordedWaves::new(opened, &state);
    let stores = planned_stores(opened, &state)?;
    let inputs = ResolutionInputs { op, subject, progress: &state, operations: &waves, stores: &stores, now: opened.now() };
    let order = resolution(&inputs).map_err(|e| CliError::usage(chain(&e)))?;
    let lost = match &order.operation.undo {
        UndoClass::Full => String::new(),
        UndoClass::Partial(lost) => format!(" [undo partial: {lost}]"),
        UndoClass::None(why) => format!(" [undo none: {why}]"),
    };
    let target = order.operation.target.dn();
    output.say(format!(
        "order {}: {op} on '{target}' ({} store) for {} subjects, whatever it holds now{lost}",
        order.id,
        order.operation.store,
        order.operation.subjects.len()
    ));
    for note in &order.lint {
        output.say(format!("  {note}"));
    }
    output.object(
        "resolve",
        &serde_json::json!({
            "op": op, "decision": "force", "order": order.id, "executed": false, "approvals_needed": order.approvals_needed,
        }),
    );
    let concerns: [(BatchId, Vec<SubjectId>); 1] = [(op.batch.clone(), order.operation.subjects.clone())];
    let new = NewOrder {
        id: &order.id,
        kind: OrderKind::Resolution { op: op.clone() },
        header: &order.bytes,
        wave: &order.wave,
        lines: &order.lines,
        approvals_needed: order.approvals_needed,
        concerns: &concerns,
    };
    record_order_files(opened, new).await?;
    Ok(order.id)
}
