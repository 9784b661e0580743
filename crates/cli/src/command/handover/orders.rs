//! `handover issue` and `handover expire`: orders that are shown, approved and carried out like a rollback.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use untether_cutover::{Carried, Engine, Roster as _, RunOptions, Undelivered};
use untether_model::operation::{Stage, UndoClass};
use untether_model::plan::OrderKind;
use untether_model::policy::Span;
use untether_model::run::{
    CellStatus, OrderState, OrderStatus, OutcomeKind, RunState, approvers, being_disabled, unfinished_rollback,
};
use untether_model::{PlanId, Round, SubjectId, WaveId};
use untether_planner::rollback::Operations as _;
use untether_planner::{HandoverInputs, HandoverOrder, Holder, handover};

use super::credentials::{Row, Source, look, recorded, scope};
use super::list::state_name;
use crate::args::{StateName, Whose};
use crate::command::run::stop_on_signals;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::handover::unreachable;
use crate::wiring::planning::load_header;
use crate::wiring::recorded::{NewOrder, RecordedWaves, planned_stores, record_order_files};
use crate::wiring::roster::LiveRoster;
use crate::wiring::waves::load_wave;
use untether_model::neutral::terminal as safe;

/// `handover issue`.
pub async fn issue(config: &Config, (whose, reset): (&Whose, bool), execute: bool, output: &Output) -> Result<Exit, CliError> {
    let opened = Opened::open(config).await?;
    let scope = scope(source(&opened, &opened.state_now()), whose)?;
    if scope == Default::default() {
        return Err(CliError::usage("whose credential is to be issued again?")
            .hint("give --subject, --batch, --wave or --entity; `untether handover list` shows everybody's"));
    }
    order(config, &opened, &OrderKind::Reissue { scope, reset }, execute, output).await
}

/// `handover expire`.
pub async fn expire(
    config: &Config,
    (whose, older_than): (&Whose, Option<&str>),
    execute: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let given = older_than.map(|text| Span::try_from(text.to_owned()).map_err(CliError::usage)).transpose()?;
    let opened = Opened::open(config).await?;
    let scope = scope(source(&opened, &opened.state_now()), whose)?;
    // Whoever names people means them, however young their credential is.
    let older_than = given.or(if scope.subjects.is_empty() { config.handover.valid } else { None });
    if older_than.is_none() && scope == Default::default() {
        return Err(CliError::usage("which credentials are to expire?")
            .hint("give --older-than, --batch, --wave, --entity or --subject, or configure handover.valid"));
    }
    order(config, &opened, &OrderKind::Expire { scope, older_than }, execute, output).await
}

fn source<'a>(opened: &'a Opened, state: &'a RunState) -> Source<'a> {
    Source { dir: &opened.dir, keys: &opened.keys, state }
}

/// Whom an order takes in, and whom it leaves out, with the reason.
#[derive(Default)]
struct Selection {
    holders: Vec<Holder>,
    left_out: Vec<(SubjectId, String, String)>,
}

async fn order(config: &Config, opened: &Opened, kind: &OrderKind, execute: bool, output: &Output) -> Result<Exit, CliError> {
    let begun = opened.look(|state| newest(state, kind, |o| o.status == OrderStatus::Running));
    if let Some(id) = begun {
        output.note(format!("order {id} was begun; with --execute it goes on"));
        return if execute { carry_out(config, opened, &id, output).await } else { Ok(say_next(&id, output)) };
    }
    // An approved order is carried out as it was approved: whoever has set a password of their own meanwhile is left out by it.
    let now = opened.now();
    let approved = opened.look(|state| newest(state, kind, |o| is_approved(state, o, now)));
    if let Some(id) = approved.filter(|_| execute) {
        return carry_out(config, opened, &id, output).await;
    }
    let selection = select(config, opened, kind).await?;
    for (_, who, why) in &selection.left_out {
        output.note(format!("left out: {}: {}", safe(who), safe(why)));
    }
    if selection.holders.is_empty() {
        output.say("Nobody's one-time credential is concerned: nothing was recorded.");
        output.object(command(kind), &json!({ "order": null, "executed": false, "left_out": left_out(&selection) }));
        return Ok(Exit::Done);
    }
    let (id, needed) = match same(opened, kind, &selection.holders)? {
        Some(found) => found,
        None => {
            let order = compute(opened, kind, (&selection.holders, now))?;
            store(opened, kind, &order).await?;
            (order.id.clone(), order.approvals_needed)
        }
    };
    show(opened, (&id, kind, needed), &selection, output)?;
    if execute {
        return carry_out(config, opened, &id, output).await;
    }
    Ok(say_next(&id, output))
}

fn say_next(id: &PlanId, output: &Output) -> Exit {
    output
        .say(format!("Nothing was changed. Approve it with `untether approve {id}`, then run the same command with --execute."));
    Exit::Done
}

fn command(kind: &OrderKind) -> &'static str {
    match kind {
        OrderKind::Expire { .. } => "handover-expire",
        _ => "handover-issue",
    }
}

/// The newest order of this kind that is not done and is so.
fn newest(state: &RunState, kind: &OrderKind, is_so: impl Fn(&OrderState) -> bool) -> Option<PlanId> {
    let open = state.orders().iter().filter(|(_, o)| o.kind == *kind && o.status != OrderStatus::Done && is_so(o));
    open.max_by_key(|(_, o)| o.recorded_at).map(|(id, _)| id.clone())
}

fn is_approved(state: &RunState, order: &OrderState, now: Timestamp) -> bool {
    order.waves.iter().any(|wave| {
        let have = approvers(state, &order.digest, &wave.name, (Round::FIRST, 0, Stage::Enroll), now);
        have.len() >= usize::from(order.approvals_needed)
    })
}

/// The recorded order that would be made now, but for the time in its head: whoever approved it need not do so again.
fn same(opened: &Opened, kind: &OrderKind, holders: &[Holder]) -> Result<Option<(PlanId, u8)>, CliError> {
    let state = opened.state_now();
    let Some(id) = newest(&state, kind, |o| o.status == OrderStatus::Recorded) else { return Ok(None) };
    let made = load_header(&opened.dir, &opened.keys, &state, &id)?.now;
    let order = compute(opened, kind, (holders, made))?;
    Ok((order.id == id).then_some((id, order.approvals_needed)))
}

fn compute(opened: &Opened, kind: &OrderKind, (holders, now): (&[Holder], Timestamp)) -> Result<HandoverOrder, CliError> {
    let state = opened.state_now();
    let waves = RecordedWaves::new(opened, &state);
    let stores = planned_stores(opened, &state)?;
    let inputs = HandoverInputs { kind, holders, operations: &waves, progress: &state, stores: &stores, now };
    handover(&inputs).map_err(|e| CliError::usage(chain(&e)))
}

async fn store(opened: &Opened, kind: &OrderKind, order: &HandoverOrder) -> Result<(), CliError> {
    let new = NewOrder {
        id: &order.id,
        kind: kind.clone(),
        header: &order.bytes,
        wave: &order.wave,
        lines: &order.lines,
        approvals_needed: order.approvals_needed,
        concerns: &order.concerns,
    };
    record_order_files(opened, new).await
}

/// Looks at everybody in the scope, and judges whom the order may take in.
async fn select(config: &Config, opened: &Opened, kind: &OrderKind) -> Result<Selection, CliError> {
    let state = opened.state_now();
    let now = opened.now();
    let (scope, reset, older_than) = match kind {
        OrderKind::Reissue { scope, reset } => (scope, *reset, None),
        OrderKind::Expire { scope, older_than } => (scope, false, *older_than),
        _ => return Err(CliError::usage("no order about one-time credentials")),
    };
    let issues = matches!(kind, OrderKind::Reissue { .. });
    let credentials = recorded(source(opened, &state), scope)?;
    let (rows, _) = look(config, &opened.keys.marks(), credentials, now).await?;
    let departed = if issues { departed(config, opened, &state, &rows).await? } else { BTreeMap::new() };
    let bound = older_than.and_then(|span| i64::try_from(span.seconds).ok()).map(jiff::SignedDuration::from_secs);
    let policy = config.plan_policy()?;
    let mut selection = Selection::default();
    for row in rows.into_iter().filter(|row| row.credential.current) {
        let credential = &row.credential;
        if bound.is_some_and(|bound| now.duration_since(credential.at) <= bound) {
            continue;
        }
        let open = state.cells_of(&credential.subject).any(|(_, cell)| cell.status == CellStatus::Open);
        let undone = unfinished_rollback(&state, &credential.subject);
        let why_not = match departed.get(&credential.subject) {
            Some(why) => Some((*why).to_owned()),
            None if open => Some("an operation of theirs has no outcome yet: run again what was interrupted".to_owned()),
            None if undone.is_some() => {
                undone.map(|order| format!("rollback {order} of theirs has begun and not ended: run it again first"))
            }
            None if issues => why_not_issue(config, &row, reset),
            None => why_not_expire(&row).or_else(|| {
                let batch = being_disabled(&state, &credential.subject)?;
                Some(format!("batch {batch} is disabling its people's shared accounts now: let it end first"))
            }),
        };
        let holder = row.seen.as_ref().and_then(|seen| {
            Some(Holder {
                subject: credential.subject.clone(),
                batch: credential.batch.clone(),
                dn: seen.dn.clone(),
                stable_id: seen.stable_id.clone()?,
                password: seen.password.clone(),
                lock: seen.lock.clone(),
                end: seen.end.clone(),
                used: matches!(row.state, StateName::Used | StateName::Replaced),
                credential: policy.credential(&config.audit, &credential.batch.wave.wave, &credential.entity),
            })
        });
        match (why_not, holder) {
            (None, Some(holder)) => selection.holders.push(holder),
            (why, _) => {
                let why = why.unwrap_or_else(|| "the account's stable id is not shown".to_owned());
                selection.left_out.push((credential.subject.clone(), who(&row), why));
            }
        }
    }
    Ok(selection)
}

fn who(row: &Row) -> String {
    match row.credential.login() {
        login if login.is_empty() => row.credential.subject.to_string(),
        login => format!("{login} ({})", row.credential.subject),
    }
}

fn why_not_issue(config: &Config, row: &Row, reset: bool) -> Option<String> {
    let credential = &row.credential;
    if let Some(why) = unreachable(config, &credential.entity, &credential.batch.wave) {
        return Some(why);
    }
    let own = |what: &str| format!("{what}; --reset makes it a password reset, which two people approve");
    match row.state {
        StateName::Undelivered | StateName::Unused | StateName::Opened | StateName::Expired => None,
        StateName::Used | StateName::Replaced if reset => None,
        StateName::Used => Some(own("has set a password of their own")),
        StateName::Replaced => Some(own("somebody else has set another password")),
        StateName::Locked if row.by_failures => None,
        StateName::Locked => Some(format!("{}, not by us: whoever did it lifts it", row.details)),
        StateName::Superseded | StateName::Gone | StateName::Unknown => Some(row.details.clone()),
    }
}

fn why_not_expire(row: &Row) -> Option<String> {
    match row.state {
        StateName::Undelivered | StateName::Unused | StateName::Opened => None,
        StateName::Locked if row.by_failures => None,
        StateName::Used => Some("has set a password of their own".to_owned()),
        StateName::Expired => Some("has expired already".to_owned()),
        state if row.details.is_empty() => Some(state_name(state)),
        _ => Some(row.details.clone()),
    }
}

/// People whom the roster, read now, calls departed, or no longer knows: they get nothing.
async fn departed(
    config: &Config,
    opened: &Opened,
    state: &RunState,
    rows: &[Row],
) -> Result<BTreeMap<SubjectId, &'static str>, CliError> {
    let waves = RecordedWaves::new(opened, state);
    let roster = LiveRoster::new(config.clone(), state);
    let now = opened.now();
    roster.refresh(now).await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let credential = &row.credential;
        let planned = waves.subject(&credential.batch, &credential.subject).map_err(CliError::state)?;
        let Some(reference) = planned.and_then(|p| p.roster_ref) else { continue };
        let why = match roster.person(&reference, now).presence {
            Some(presence) if presence.has_ended() => "the roster says that the person has left",
            None => "the roster has no row for the person any more",
            Some(_) => continue,
        };
        found.insert(credential.subject.clone(), why);
    }
    Ok(found)
}

fn left_out(selection: &Selection) -> Vec<serde_json::Value> {
    let each = selection.left_out.iter();
    each.map(|(subject, _, why)| json!({ "subject": subject, "reason": why })).collect()
}

fn show(
    opened: &Opened,
    (id, kind, needed): (&PlanId, &OrderKind, u8),
    selection: &Selection,
    output: &Output,
) -> Result<(), CliError> {
    let state = opened.state_now();
    let header = load_header(&opened.dir, &opened.keys, &state, id)?;
    let name = header.waves.first().map(|w| w.name.clone()).unwrap_or_default();
    let wave = load_wave(&opened.dir, &opened.keys, &header, &WaveId::new(id.clone(), name))?;
    let does = match kind {
        OrderKind::Expire { .. } => "expires unused",
        _ => "is issued again",
    };
    output.say(format!(
        "order {id}: the one-time credential of {} people {does}; {needed} approval(s) needed",
        wave.operations().len()
    ));
    for op in wave.operations() {
        let undo = match &op.undo {
            UndoClass::Full => String::new(),
            UndoClass::Partial(lost) => format!(" [undo partial: {lost}]"),
            UndoClass::None(why) => format!(" [undo none: {why}]"),
        };
        output.say(format!("  {} {}: {}{undo}", op.n, safe(op.target.dn().as_str()), op.reason));
    }
    let last = last_logins(&state, selection);
    if matches!(kind, OrderKind::Expire { .. }) && !last.is_empty() {
        output.say(format!(
            "  ⚠ {} of them cannot log in to the shared store any more either: {}",
            last.len(),
            last.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
        ));
    }
    output.object(
        command(kind),
        &json!({
            "order": id, "executed": false, "operations": wave.operations().len(), "approvals_needed": needed,
            "subjects": selection.holders.iter().map(|h| &h.subject).collect::<Vec<_>>(), "left_out": left_out(selection),
            "without_another_login": last,
        }),
    );
    Ok(())
}

/// Those whose account in the shared store was disabled by us already.
fn last_logins<'a>(state: &RunState, selection: &'a Selection) -> Vec<&'a SubjectId> {
    let disabled = |id: &SubjectId| state.cells_of(id).any(|(_, c)| c.stage == Stage::Disable && c.applied && !c.undone);
    selection.holders.iter().map(|h| &h.subject).filter(|id| disabled(id)).collect()
}

async fn carry_out(config: &Config, opened: &Opened, id: &PlanId, output: &Output) -> Result<Exit, CliError> {
    let state = opened.state_now();
    let header = load_header(&opened.dir, &opened.keys, &state, id)?;
    let name = header.waves.first().map(|w| w.name.clone()).unwrap_or_default();
    let wave = load_wave(&opened.dir, &opened.keys, &header, &WaveId::new(id.clone(), name))?;
    let display = opened.display(output);
    let engine = Engine::new(opened.ports(config, display.sink())?, config.run.in_flight);
    let options = RunOptions { through: None, wait: jiff::SignedDuration::ZERO, stop: stop_on_signals(output) };
    let ended = engine.carry_out(&wave, &options).await;
    display.finish();
    output.note(format!("ledger at {}", opened.finish().await));
    tell((id, &header.kind), ended?, output)
}

/// Whose credential did not arrive, and what to do about it.
pub fn tell_undelivered(undelivered: &[Undelivered], output: &Output) {
    for Undelivered { subject, words, .. } in undelivered {
        output.say(format!("  not handed over: {subject}: {}", safe(words)));
    }
    if !undelivered.is_empty() {
        output.say("  `untether handover deliver --execute` tries those again, and so does `untether run`");
    }
}

fn tell((id, kind): (&PlanId, &OrderKind), ended: Carried, output: &Output) -> Result<Exit, CliError> {
    match ended {
        Carried::Done { done, left_out, undelivered } => {
            let does = match kind {
                OrderKind::Expire { .. } => "have expired",
                _ => "were issued again",
            };
            output.say(format!("order {id}: {} one-time credentials {does}", done.len()));
            for left in &left_out {
                output.say(format!("  left alone ({}): {}: {}", left.kind.as_str(), left.subject, safe(&left.words)));
            }
            let failed = left_out.iter().any(|left| left.kind != OutcomeKind::Skipped);
            let left_out: Vec<serde_json::Value> = left_out
                .iter()
                .map(|left| json!({ "subject": left.subject, "outcome": left.kind, "reason": left.words }))
                .collect();
            tell_undelivered(&undelivered, output);
            let undelivered: Vec<serde_json::Value> =
                undelivered.iter().map(|u| json!({ "subject": u.subject, "reason": u.words })).collect();
            output.object(
                command(kind),
                &json!({ "order": id, "executed": true, "done": done, "left_out": left_out, "undelivered": undelivered }),
            );
            Ok(match (failed, undelivered.is_empty()) {
                (true, _) => Exit::Decision,
                (false, false) => Exit::Resumable,
                (false, true) => Exit::Done,
            })
        }
        Carried::Stopped => {
            output.say(format!("order {id}: stopped; the same command goes on"));
            Ok(Exit::Resumable)
        }
        Carried::Unapproved { have, needed } => {
            let have: Vec<String> = have.into_iter().collect();
            let words = format!("order {id} needs the approval of {needed} people; so far: [{}]", have.join(", "));
            Err(CliError::new(Exit::Resumable, words).hint(format!("untether approve {id}")))
        }
        Carried::Refused(reason) => Err(CliError::new(Exit::Resumable, reason)),
    }
}
