//! `untether rollback`: computes, shows and records a rollback order; carries it out when it is approved.

use std::collections::BTreeSet;

use untether_cutover::{Engine, Roster, RunOptions};
use untether_model::ids::BadId;
use untether_model::operation::UndoClass;
use untether_model::plan::{OrderKind, RollbackScope};
use untether_model::run::{OrderState, OrderStatus, RunState};
use untether_model::{BatchId, PlanId, SubjectId, WaveId};
use untether_planner::PlanError;
use untether_planner::rollback::{Operations, RollbackInputs, RollbackOrder, RollbackRequest, rollback};

use crate::args::RollbackArgs;
use crate::command::approve::stage;
use crate::command::run::stop_on_signals;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::{How, Opened};
use crate::wiring::planning::load_header;
use crate::wiring::recorded::{NewOrder, RecordedIntents, RecordedWaves, planned_stores, record_order_files};
use crate::wiring::roster::LiveRoster;
use crate::wiring::waves::load_wave;

/// `rollback`.
pub async fn run(config: &Config, args: &RollbackArgs, output: &Output) -> Result<Exit, CliError> {
    let scope = scope(args)?;
    // A rollback never waits for the clock.
    let how = How { clock: untether_ledger::ClockPolicy::HoldHead, ..How::default() };
    let opened = Opened::open_with(config, how, output)?;
    let request = RollbackRequest {
        scope,
        to: stage(&args.to)?,
        delete_provisioned: args.delete_provisioned,
        enable_inactive: args.enable_inactive,
    };
    let begun = opened.look(|state| recorded(state, &request, |order| order.status == OrderStatus::Running));
    let id = match begun {
        Some(id) => {
            output.note(format!("rollback {id} was begun; with --execute it goes on"));
            id
        }
        None => {
            let Some(order) = compute(config, &opened, &request).await? else {
                output.say(format!("Nothing is to be taken back to before {}: no effect of ours stands there.", request.to));
                output.object("rollback", &serde_json::json!({ "order": null, "rolled_back": 0, "conflicts": [] }));
                return Ok(Exit::Done);
            };
            // The same rollback of the same state is the same order: whoever approved it need not do so again.
            let same =
                |o: &OrderState| o.status == OrderStatus::Recorded && o.waves.iter().any(|w| w.digest == order.wave.digest);
            let id = match opened.look(|state| recorded(state, &request, same)) {
                Some(id) => id,
                None => {
                    store(&opened, &order, &request).await?;
                    order.id.clone()
                }
            };
            if !args.execute {
                show(&order, &id, &request, output);
            }
            id
        }
    };
    if !args.execute {
        output.say(format!(
            "Nothing was changed. Approve it with `untether approve {id}`, then run the same command with --execute."
        ));
        return Ok(Exit::Done);
    }
    let header = opened.look(|state| load_header(&opened.dir, &opened.keys, state, &id))?;
    let name = header.waves.first().map(|w| w.name.clone()).unwrap_or_default();
    let wave = load_wave(&opened.dir, &opened.keys, &header, &WaveId::new(id.clone(), name))?;
    let display = opened.display(output);
    let ports = opened.ports(config, display.sink())?;
    let engine = Engine::new(ports, config.run.in_flight);
    let options = RunOptions { through: None, wait: jiff::SignedDuration::ZERO, stop: stop_on_signals(output) };
    let ended = engine.roll_back(&wave, &options).await;
    display.finish();
    let head = opened.finish().await;
    output.note(format!("ledger at {head}"));
    tell(&id, ended?, output)
}

fn tell(id: &PlanId, ended: untether_cutover::Rollback, output: &Output) -> Result<Exit, CliError> {
    use untether_cutover::Rollback;
    match ended {
        Rollback::Done { rolled_back, conflicts } => {
            output.say(format!("rollback {id}: {rolled_back} subjects are as before; a new round needs a new approval"));
            for (subject, words) in &conflicts {
                output.say(format!("  in conflict, left alone: {subject}: {words}"));
            }
            output.object("rollback", &serde_json::json!({ "order": id, "rolled_back": rolled_back, "conflicts": conflicts }));
            Ok(if conflicts.is_empty() { Exit::Done } else { Exit::Decision })
        }
        Rollback::Stopped => {
            output.say(format!("rollback {id}: stopped; the same command goes on"));
            Ok(Exit::Resumable)
        }
        Rollback::Unapproved { have, needed } => {
            let have: Vec<String> = have.into_iter().collect();
            Err(CliError::new(
                Exit::Resumable,
                format!("rollback {id} needs the approval of {needed} people; so far: [{}]", have.join(", ")),
            )
            .hint(format!("untether approve {id}")))
        }
        Rollback::Refused(reason) => Err(CliError::new(Exit::Resumable, reason)),
    }
}

fn scope(args: &RollbackArgs) -> Result<RollbackScope, CliError> {
    let bad = |e: BadId| CliError::usage(e.to_string());
    match (&args.batch, &args.wave, &args.subject) {
        (Some(batch), None, None) => Ok(RollbackScope::Batch(batch.parse().map_err(bad)?)),
        (None, Some(wave), None) => Ok(RollbackScope::Wave(wave.parse().map_err(bad)?)),
        (None, None, Some(subject)) => Ok(RollbackScope::Subject(SubjectId::new(subject.as_str()))),
        _ => Err(CliError::usage("what is to be rolled back? Give --batch, --wave or --subject")),
    }
}

fn kind_of(request: &RollbackRequest) -> OrderKind {
    OrderKind::Rollback {
        scope: request.scope.clone(),
        to: request.to,
        delete_provisioned: request.delete_provisioned,
        enable_inactive: request.enable_inactive,
    }
}

/// The newest recorded order for this request that is so.
fn recorded(state: &RunState, request: &RollbackRequest, is_so: impl Fn(&OrderState) -> bool) -> Option<PlanId> {
    let wanted = kind_of(request);
    let open = state.orders().iter().filter(|(_, o)| o.kind == wanted && is_so(o));
    open.max_by_key(|(_, o)| o.recorded_at).map(|(id, _)| id.clone())
}

async fn compute(config: &Config, opened: &Opened, request: &RollbackRequest) -> Result<Option<RollbackOrder>, CliError> {
    let state = opened.state_now();
    let waves = RecordedWaves::new(opened, &state);
    let intents = RecordedIntents(opened);
    let ended = ended_people(config, &state, &waves, opened).await?;
    let stores = planned_stores(opened, &state)?;
    let inputs = RollbackInputs {
        request,
        progress: &state,
        operations: &waves,
        intents: &intents,
        ended: &ended,
        capabilities: &state.general().capabilities,
        stores: &stores,
        now: opened.now(),
    };
    match rollback(&inputs) {
        Ok(order) => Ok(Some(order)),
        Err(PlanError::NothingToUndo { perhaps, .. }) if perhaps.is_empty() => Ok(None),
        Err(e) => Err(CliError::usage(chain(&e))),
    }
}

fn show(order: &RollbackOrder, id: &PlanId, request: &RollbackRequest, output: &Output) {
    let subjects: usize = order.concerns.iter().map(|(_, s)| s.len()).sum();
    output.say(format!(
        "rollback {id}: {subjects} subjects to the state before {}, {} operations, {} approval(s) needed",
        request.to,
        order.operations.len(),
        order.approvals_needed
    ));
    for op in &order.operations {
        let undo = match &op.undo {
            UndoClass::Full => String::new(),
            UndoClass::Partial(lost) => format!(" [partial: {lost}]"),
            UndoClass::None(why) => format!(" [none: {why}]"),
        };
        output.say(format!("  {} {} {} ({} subjects): {}{undo}", op.n, op.store, op.target.dn(), op.subjects.len(), op.reason));
    }
    for (subject, batch) in &order.elsewhere {
        output.say(format!("  not touched: {subject}, which {batch} holds now"));
    }
    for subject in &order.left_disabled {
        output.say(format!("  stays disabled (the roster says that the person has left): {subject}"));
    }
    for lost in &order.not_restored {
        output.say(format!("  not restored: {} '{}': {}", lost.subject, lost.dn, lost.lost));
    }
    for note in &order.lint {
        output.say(format!("  {note}"));
    }
    output.object(
        "rollback",
        &serde_json::json!({
            "order": id, "executed": false, "operations": order.operations.len(), "approvals_needed": order.approvals_needed,
            "concerns": order.concerns, "left_disabled": order.left_disabled, "not_restored": order.not_restored,
        }),
    );
}

async fn store(opened: &Opened, order: &RollbackOrder, request: &RollbackRequest) -> Result<(), CliError> {
    let order = NewOrder {
        id: &order.id,
        kind: kind_of(request),
        header: &order.bytes,
        wave: &order.wave,
        lines: &order.lines,
        approvals_needed: order.approvals_needed,
        concerns: &order.concerns,
    };
    record_order_files(opened, order).await
}

/// People whom the roster, read now, calls departed or ended: their accounts stay disabled.
async fn ended_people(
    config: &Config,
    state: &RunState,
    waves: &RecordedWaves<'_>,
    opened: &Opened,
) -> Result<BTreeSet<SubjectId>, CliError> {
    let roster = LiveRoster::new(config.clone(), state);
    let now = opened.now();
    roster.refresh(now).await?;
    let mut ended = BTreeSet::new();
    // Of a forgotten wave nothing can be undone any more.
    let kept = |batch: &BatchId| state.waves().get(&batch.wave).is_none_or(|wave| wave.forgotten.is_none());
    for (id, subject) in state.subjects().iter().filter(|(_, subject)| kept(&subject.batch)) {
        let planned = waves.subject(&subject.batch, id).map_err(CliError::state)?;
        let reference = planned.and_then(|p| p.roster_ref);
        let presence = reference.and_then(|r| roster.person(&r, now).presence);
        if presence.is_some_and(|p| p.has_ended()) {
            ended.insert(id.clone());
        }
    }
    Ok(ended)
}
