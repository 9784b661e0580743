//! `untether subject`: one subject with everything that is known of it, and a person's decision on its track.

mod decide;
mod find;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use untether_ledger::Reader;
use untether_model::finding::Finding;
use untether_model::neutral::terminal as safe;
use untether_model::operation::{Stage, UndoClass};
use untether_model::run::{CellState, CellStatus, Decided, Decision, DecisionId, DecisionState, Record, RunState};
use untether_model::{OpId, SubjectId, WaveId};

use crate::args::SubjectCommand;
use crate::command::findings::{Marks, Row, each_finding};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Looked;
use crate::wiring::recorded::planned_operations;

pub use find::{Found, find};

/// `subject show`, `subject decide`.
pub async fn run(config: &Config, command: &SubjectCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        SubjectCommand::Show { id } => show(config, id, output),
        SubjectCommand::Decide { id, withdraw: true, reason, sign, .. } => {
            decide::take_back(config, (id, reason), sign, output).await
        }
        SubjectCommand::Decide { id, track, until, reason, sign, .. } => {
            let track =
                track.as_deref().ok_or_else(|| CliError::usage("which track?").hint("give --track with retire, keep or hold"))?;
            let until = until.ok_or_else(|| CliError::usage("a decision on a track needs an end").hint("give --until DATE"))?;
            decide::decide(config, &decide::Wanted { id, track, until, reason }, sign, output).await
        }
    }
}

/// Something that happened to a subject.
#[derive(Serialize)]
struct Happened {
    record: u64,
    at: Timestamp,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<OpId>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// What became of an operation for the subject, and what undoing it would give back.
#[derive(Serialize)]
struct Cell<'a> {
    op: &'a OpId,
    #[serde(flatten)]
    state: &'a CellState,
    does: Option<String>,
    undo: Undo,
}

/// What can be undone.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Undo {
    /// Nothing was done by us, or it was undone.
    Nothing,
    /// As the plan states.
    Class(UndoClass),
    /// The wave's file or its key is not there any more.
    Unknown(String),
}

impl Undo {
    fn words(&self) -> String {
        match self {
            Self::Nothing => "nothing to undo".to_owned(),
            Self::Class(UndoClass::Full) => "can be undone".to_owned(),
            Self::Class(UndoClass::Partial(lost)) => format!("can be undone in part; {lost}"),
            Self::Class(UndoClass::None(why)) => format!("cannot be undone: {why}"),
            Self::Unknown(why) => format!("not known whether it can be undone: {why}"),
        }
    }
}

fn show(config: &Config, text: &str, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let found = find(config, &looked, text)?;
    let ids = looked.state.identities(&found.id);
    let happened = timeline(&looked, &ids)?;
    let cells = cells(&looked, &ids);
    let findings = findings(config, &looked, &found.id)?;
    let progress = looked.state.progress_of(&found.id).map(|(_, state)| state);
    let decisions = decisions(&looked.state, &ids);
    if output.is_json() {
        output.object("subject.show", &serde_json::json!({
            "id": found.id, "earlier_ids": ids.iter().skip(1).collect::<Vec<_>>(), "subject": found.subject, "progress": progress,
            "finished": progress.map(|p| p.parked.is_none() && p.is_finished()),
            "decisions": decisions.iter().map(|(id, d)| serde_json::json!({ "id": id, "record": id.record, "decision": d })).collect::<Vec<_>>(),
            "timeline": happened, "cells": cells, "findings": findings,
        }));
        return Ok(Exit::Done);
    }
    who(&found, output);
    match progress {
        None => output.say("in no wave yet"),
        Some(p) => {
            let ended = p.ended.map_or_else(|| "no stage ended".to_owned(), |stage| format!("ended {stage}"));
            let next = match p.next_stage() {
                _ if p.parked.is_some() => String::new(),
                Some(stage) => format!(", next {stage}"),
                None => ", finished".to_owned(),
            };
            let hands = if p.claimed { "in hand of" } else { "last in" };
            output.say(format!("track {}; {hands} batch {}: {ended}{next}, round {}", p.track, p.batch, p.round));
            if let Some(parked) = &p.parked {
                output.say(format!(
                    "PARKED since {} at {} ({}): {}",
                    parked.at,
                    parked.stage,
                    parked.reason.as_str(),
                    safe(&parked.details)
                ));
            }
        }
    }
    for (id, d) in &decisions {
        output.say(format!("decided by {}: {} — {} (decision {id})", d.by, said(&d.decision), safe(&d.reason)));
    }
    if !happened.is_empty() {
        output.say("\nTimeline");
    }
    for h in &happened {
        let stage = h.stage.map_or(String::new(), |s| format!(" {s}"));
        let op = h.op.as_ref().map_or(String::new(), |op| format!(" {op}"));
        let message = if h.message.is_empty() { String::new() } else { format!(" — {}", safe(&h.message)) };
        output.say(format!("  {} (record {}){stage}{op}: {}{message}", h.at, h.record, h.what));
    }
    if !cells.is_empty() {
        output.say("\nOperations, and what can be undone");
    }
    for cell in &cells {
        let status = match cell.state.status {
            CellStatus::Open => "open, outcome not known yet",
            CellStatus::Ended(_) if cell.state.undone => "undone",
            CellStatus::Ended(kind) => kind.as_str(),
        };
        let does = cell.does.as_deref().map_or(String::new(), |d| format!(" ({})", safe(d)));
        output.say(format!("  {} {}{does}: {status}; {}", cell.op, cell.state.stage, cell.undo.words()));
        if let Some(drift) = &cell.state.drift {
            output.say(format!("    DRIFT, no longer holds: {}", safe(drift)));
        }
    }
    output.say(if findings.is_empty() { "\nNo findings on it in the last audit" } else { "\nFindings of the last audit" });
    for row in &findings {
        let dn = row.finding.dn.as_ref().map_or(String::new(), |dn| format!(" {}", safe(dn.as_str())));
        output.say(format!("  {:<8} {} {}{dn}", row.finding.severity, row.finding.rule, row.finding.store));
    }
    Ok(Exit::Done)
}

/// Decisions in force on the subject's track and accounts.
fn decisions<'a>(state: &'a RunState, ids: &[&SubjectId]) -> Vec<(DecisionId, &'a DecisionState)> {
    state.decisions().filter(|(_, d)| d.decision.subjects().iter().any(|s| ids.contains(&s))).collect()
}

/// A decision in words.
pub fn said(decision: &Decision) -> String {
    match decision {
        Decision::Track { track, until, .. } => format!("{track} until {until}"),
        Decision::Match(decided) => decided.to_string(),
        Decision::Waive(waive) => format!("waived {} until {}", waive.finding, waive.until),
        Decision::Withdraw { decision } => format!("decision {decision} taken back"),
    }
}

fn who(found: &Found, output: &Output) {
    let Some(s) = &found.subject else {
        output.say(format!("subject {}: the last audit does not know it (any more)", found.id));
        return;
    };
    let kind = word(&s.kind);
    let name = s.name.as_deref().map_or(String::new(), |n| format!(" {}", safe(n)));
    let entity = s.entity.as_ref().map_or("no entity", |e| e.as_str());
    output.say(format!("subject {}:{name} ({kind}, {entity})", found.id));
    let roster = match (&s.standing, &s.roster_ref) {
        (Some(standing), reference) => {
            let day = standing.last_day.map_or(String::new(), |d| format!(", last day {d}"));
            let disagrees = if standing.disagrees { " (word and date disagree; the date counts)" } else { "" };
            format!(
                "{}{day}{disagrees}{}",
                word(&standing.presence),
                reference.as_ref().map_or(String::new(), |r| format!(", {}", safe(r)))
            )
        }
        (None, _) => "no row".to_owned(),
    };
    output.say(format!("roster: {roster}"));
    if s.protected {
        output.say("PROTECTED: never touched");
    }
    if !s.undecided.is_empty() {
        output.say(format!("not planned, undecided: {}", s.undecided.join(", ")));
    }
    for a in &s.accounts {
        let sort = if a.primary {
            "primary"
        } else if a.secondary {
            "secondary"
        } else {
            "further"
        };
        let by = a.matched_by.as_ref().map_or_else(|| "its anchor".to_owned(), |key| format!("matched by {}", word(key)));
        let locked = if a.state.locked { ", locked" } else { "" };
        output.say(format!("  {}: {} — {}{locked} ({sort}, {by})", a.side, safe(a.dn.as_str()), word(&a.state.overall())));
        for path in &a.state.paths {
            output.say(format!("      {}: {} — {}", path.path, word(&path.state), safe(&path.why)));
        }
    }
}

/// The name under which a word of the model is stored.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn findings(config: &Config, looked: &Looked, id: &SubjectId) -> Result<Vec<Row>, CliError> {
    if looked.state.audits().is_empty() {
        return Ok(Vec::new());
    }
    let marks = Marks::new(&looked.state, config, looked.now());
    let mut found: Vec<Finding> = Vec::new();
    each_finding(looked, |finding| {
        if finding.subject.as_ref().is_some_and(|s| looked.state.resolve_alias(s) == id) {
            found.push(finding);
        }
        Ok(())
    })?;
    found.sort_by(|a, b| (b.severity, &a.rule).cmp(&(a.severity, &b.rule)));
    Ok(found.into_iter().map(|finding| marks.row(finding)).collect())
}

/// The subject's operations with what undoing them gives back, as the waves' files state it.
fn cells<'a>(looked: &'a Looked, ids: &[&SubjectId]) -> Vec<Cell<'a>> {
    let all: Vec<(&OpId, &CellState)> = ids.iter().flat_map(|id| looked.state.cells_of(id)).collect();
    let waves: BTreeSet<&WaveId> = all.iter().map(|(op, _)| op.wave()).collect();
    let mut stated: BTreeMap<OpId, (String, UndoClass)> = BTreeMap::new();
    let mut unknown: BTreeMap<&WaveId, String> = BTreeMap::new();
    for wave in waves {
        let wanted: BTreeSet<&OpId> = all.iter().map(|(op, _)| *op).filter(|op| op.wave() == wave).collect();
        match operations(looked, wave, &wanted) {
            Ok(found) => stated.extend(found),
            Err(error) => drop(unknown.insert(wave, error.message)),
        }
    }
    let mut cells: Vec<Cell<'a>> = all
        .into_iter()
        .map(|(op, state)| {
            let said = stated.get(op);
            let undo = match (state.applied && !state.undone, said) {
                (false, _) => Undo::Nothing,
                (true, Some((_, class))) => Undo::Class(class.clone()),
                (true, None) => {
                    let why = unknown.get(op.wave()).cloned();
                    Undo::Unknown(why.unwrap_or_else(|| "its wave's file does not name the operation".to_owned()))
                }
            };
            Cell { op, state, does: said.map(|(reason, _)| reason.clone()), undo }
        })
        .collect();
    // In the order in which they were begun; those that nothing was sent for stand first.
    cells.sort_by(|a, b| (a.state.started, a.state.stage, a.op).cmp(&(b.state.started, b.state.stage, b.op)));
    cells
}

/// An operation with what it does in words and what undoing it gives back.
type Undoable = (OpId, (String, UndoClass));

fn operations(looked: &Looked, wave: &WaveId, wanted: &BTreeSet<&OpId>) -> Result<Vec<Undoable>, CliError> {
    let mut found = Vec::new();
    let files = (&looked.dir, &looked.keys);
    planned_operations(files, &looked.state, (wave, wanted), |id, op| found.push((id, (op.reason, op.undo))))?;
    Ok(found)
}

/// What the ledger's records say of the subject, in order.
fn timeline(looked: &Looked, ids: &[&SubjectId]) -> Result<Vec<Happened>, CliError> {
    let mut reader = Reader::open(looked.dir.disk(), &looked.dir.ledger())?;
    let mut found = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        // Most records are about others: only those that name the subject are parsed.
        let named = |frame: &str| ids.iter().any(|id| frame.contains(id.as_str()));
        if frame.is_seam() || !(named(frame.body()) || frame.body().contains("\"withdraw\"")) {
            continue;
        }
        let record = Record::from_parts(&frame.kind, frame.body())
            .map_err(|e| CliError::state(format!("record {}: {e}", frame.seq())).hint("`untether state check`"))?;
        let mut told: Vec<Told> = decided(&looked.state, &record, ids);
        for found in ids.iter().filter_map(|id| told_of(&record, id)) {
            // A record may name the subject under two of its ids.
            if !told.contains(&found) {
                told.push(found);
            }
        }
        let (seq, at) = (frame.seq(), frame.wall);
        found.extend(told.into_iter().map(|(what, stage, op, message)| Happened { record: seq, at, what, stage, op, message }));
    }
    Ok(found)
}

/// What happened in words, the stage, the operation, the message.
type Told = (String, Option<Stage>, Option<OpId>, String);

/// Decisions of a record about this subject, in words.
fn decided(state: &RunState, record: &Record, ids: &[&SubjectId]) -> Vec<Told> {
    let one;
    let (decisions, signed) = match record {
        Record::Decision { decision, signed } => {
            one = [Decided { decision: decision.clone(), reason: None, shown: untether_model::digest::Digest::of(b"") }];
            (one.as_slice(), signed)
        }
        Record::Decisions { decisions, signed } => (decisions.as_slice(), signed),
        _ => return Vec::new(),
    };
    let is_about = |decision: &Decision| {
        let about = match decision {
            Decision::Withdraw { decision } => state.all_decisions().find(|(id, _)| id == decision).map(|(_, d)| &d.decision),
            decision => Some(decision),
        };
        about.is_some_and(|d| d.subjects().iter().any(|s| ids.contains(&s)))
    };
    let about = decisions.iter().filter(|d| is_about(&d.decision));
    about
        .map(|d| {
            let reason = d.reason.as_ref().unwrap_or(&signed.statement.reason).clone();
            (format!("{} decided: {}", signed.approver, said(&d.decision)), None, None, reason)
        })
        .collect()
}

/// One record in words, where it is about this subject.
fn told_of(record: &Record, id: &SubjectId) -> Option<Told> {
    let plain = |what: String, stage, message: &str| Some((what, stage, None, message.to_owned()));
    match record {
        Record::WaveStarted { wave, claims, .. } => {
            let claim = claims.iter().find_map(|c| c.subjects.iter().find(|s| s.id == *id).map(|s| (c, s)));
            let (claim, subject) = claim?;
            plain(format!("claimed by wave {wave}, batch {}, track {}", claim.batch, subject.track), None, "")
        }
        Record::Released { wave, subjects, reason } if subjects.contains(id) => {
            plain(format!("released by wave {wave}"), None, reason)
        }
        Record::Outcome { outcome } => {
            let cell = outcome.cells.iter().find(|c| c.subject.as_ref() == Some(id))?;
            let code = outcome.code.map_or(String::new(), |code| format!(" (result {code})"));
            Some((
                format!("{}{code}", cell.kind.as_str()),
                Some(outcome.stage),
                Some(outcome.op.clone()),
                outcome.message.clone(),
            ))
        }
        Record::CaughtUp { subject, stage, .. } if subject == id => {
            plain("caught up with its batch".to_owned(), Some(*stage), "")
        }
        Record::Parked { subject, reason, stage, details, .. } if subject == id => {
            plain(format!("parked ({})", reason.as_str()), Some(*stage), details)
        }
        Record::Unparked { subject, by, reason, .. } if subject == id => plain(format!("taken up again by {by}"), None, reason),
        Record::Resolved { op, subject: Some(subject), verb, by, reason, order: _ } if subject == id => {
            Some((format!("{verb}, decided by {by}"), None, Some(op.clone()), reason.clone()))
        }
        Record::Drift { op, subject: Some(subject), stage, seen, over } if subject == id => {
            let what = if *over { "put right by somebody else" } else { "DRIFT, no longer holds" };
            Some((what.to_owned(), Some(*stage), Some(op.clone()), seen.clone()))
        }
        Record::Reopened { subject, stage } if subject == id => {
            plain("unfinished again: a new plan takes it".to_owned(), Some(*stage), "")
        }
        Record::RolledBack { order, subjects, to, round, kept, .. } if !kept.is_empty() && subjects.contains(id) => {
            let left: Vec<String> = kept.iter().map(|(op, _)| op.to_string()).collect();
            let words = format!("rolled back in part by order {order}, now in round {round}; not undone: {}", left.join(", "));
            plain(words, Some(*to), "")
        }
        Record::RolledBack { order, subjects, to, round, .. } if subjects.contains(id) => {
            plain(format!("rolled back to before {to} by order {order}, now in round {round}"), Some(*to), "")
        }
        Record::HandoverWritten { file, subjects, .. } if subjects.contains(id) => {
            plain(format!("one-time credential in hand-over file {file}"), Some(Stage::Enroll), "")
        }
        Record::HandoverStarted { subject, hook, .. } if subject == id => {
            plain(format!("one-time credential given to hook {hook}"), Some(Stage::Enroll), "")
        }
        Record::HandoverEnded { subject, delivered, message, by, .. } if subject == id => {
            let what = match (delivered, by) {
                (true, Some(by)) => format!("one-time credential arrived, says {by}"),
                (true, None) => "one-time credential delivered by the hook".to_owned(),
                (false, _) => "one-time credential not delivered".to_owned(),
            };
            plain(what, Some(Stage::Enroll), message)
        }
        Record::OrderEnded { order, left_out } => {
            let why = left_out.iter().find(|(left, _)| left == id).map(|(_, why)| why.as_str())?;
            plain(format!("left out of order {order}"), Some(Stage::Enroll), why)
        }
        Record::SubjectAliased { from, to } if from == id && to == id => plain(format!("{id} has its own id again"), None, ""),
        Record::SubjectAliased { from, to } if from == id || to == id => plain(format!("{from} is {to}"), None, ""),
        _ => None,
    }
}
