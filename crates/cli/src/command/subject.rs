//! `untether subject`: one subject with everything that is known of it, and a person's decision on its track.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_ledger::Reader;
use untether_model::approval::{Statement, Subject as About};
use untether_model::digest::Digest;
use untether_model::finding::Finding;
use untether_model::neutral::terminal as safe;
use untether_model::operation::{Stage, Track, UndoClass};
use untether_model::run::{CellState, CellStatus, Decision, Record, RunState};
use untether_model::snapshot::{EntryRole, Subject};
use untether_model::{Dn, OpId, Side, SubjectId, WaveId, keys};
use untether_planner::Source;

use crate::args::{SignArgs, SubjectCommand};
use crate::command::approve::until as until_time;
use crate::command::findings::{Marks, Row, each_finding};
use crate::command::plan::{last_snapshot, stored_audit};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};
use crate::wiring::planning::SnapshotFiles;
use crate::wiring::recorded::planned_operations;
use crate::wiring::ssh::{Signing, sign};

/// `subject show`, `subject decide`.
pub async fn run(config: &Config, command: &SubjectCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        SubjectCommand::Show { id } => show(config, id, output),
        SubjectCommand::Decide { id, track, until, reason, sign } => {
            decide(config, &Wanted { id, track, until: *until, reason }, sign, output).await
        }
    }
}

/// What is asked of `decide`.
struct Wanted<'a> {
    id: &'a str,
    track: &'a str,
    until: Date,
    reason: &'a str,
}

async fn decide(config: &Config, wanted: &Wanted<'_>, sign_args: &SignArgs, output: &Output) -> Result<Exit, CliError> {
    let track = [Track::Retire, Track::Keep, Track::Hold]
        .into_iter()
        .find(|t| t.as_str() == wanted.track)
        .ok_or_else(|| CliError::usage(format!("'{}' cannot be decided", wanted.track)).hint("tracks are: retire, keep, hold"))?;
    if wanted.reason.trim().is_empty() {
        return Err(CliError::usage("a decision needs a reason").hint("give --reason TEXT"));
    }
    // Held before anything is looked at, so that nothing changes between what was shown and what is signed.
    let opened = Opened::open(config).await?;
    let looked = Looked::look(config)?;
    let found = find(config, &looked, wanted.id)?;
    let id = found.id.clone();
    if found.subject.as_ref().is_some_and(|s| s.protected) {
        return Err(CliError::usage(format!("subject {id} is a protected identity: untether never touches it")));
    }
    let shown = Digest::of(serde_json::to_string(&found.subject).map_err(CliError::failed)?.as_bytes());
    let statement = Statement {
        state: opened.state_id()?,
        subject: About::Object { kind: "track".to_owned(), object: format!("{track} of {id} until {}", wanted.until), shown },
        reason: wanted.reason.to_owned(),
        not_after: until_time(Some(&wanted.until.to_string()), opened.now())?,
    };
    if looked.state.subjects().get(&id).is_some_and(|s| s.claimed) {
        output.note(format!("subject {id} is in the hands of a wave, which goes on; the decision counts for later plans"));
    }
    match sign(config, statement, sign_args)? {
        Signing::Written(next) => output.say(next),
        Signing::Signed(signed) => {
            let by = signed.approver.clone();
            let decision = Decision::Track { subject: id.clone(), track, until: wanted.until };
            let record = opened.record(Record::Decision { decision, signed: *signed }).await?;
            output.say(format!("{by} decided: {track} for subject {id} until {} (record {record})", wanted.until));
            output.say("Next: `untether audit`, then `untether plan`.");
            output.object(
                "subject.decide",
                &serde_json::json!({
                    "subject": id, "track": track, "until": wanted.until, "by": by, "record": record,
                }),
            );
        }
    }
    Ok(Exit::Done)
}

/// A subject that was asked for; the last audit may not know it any more, and no wave may have had it in hand.
struct Found {
    id: SubjectId,
    subject: Option<Subject>,
}

/// Finds a subject by id, DN, roster reference, employee number or login.
fn find(config: &Config, looked: &Looked, text: &str) -> Result<Found, CliError> {
    let state = &looked.state;
    let id = state.resolve_alias(&SubjectId::new(text)).clone();
    let mut found: BTreeMap<SubjectId, Subject> = BTreeMap::new();
    if let Some((snapshot, _)) = last_snapshot(state) {
        let stored = stored_audit(&looked.dir, &looked.keys, &snapshot)?;
        let files = SnapshotFiles(&stored);
        let dn = Dn::parse(text).ok();
        let number = keys::number(text);
        collect(state, &files, &mut found, |subject| {
            *state.resolve_alias(&subject.id) == id
                || subject.anchor == text
                || subject.accounts.iter().any(|a| dn.as_ref().is_some_and(|dn| a.dn.key() == dn.key()))
                || subject.roster_ref.as_deref().is_some_and(|r| r == text || (number.is_some() && keys::number(r) == number))
        })?;
        if found.is_empty() {
            let named = named(config, &files, text)?;
            collect(state, &files, &mut found, |subject| {
                subject.accounts.iter().any(|a| named.contains(&(a.side, a.dn.key().as_str().to_owned())))
            })?;
        }
    }
    if found.len() > 1 {
        let ids: Vec<String> = found
            .values()
            .map(|s| match (&s.name, &s.entity) {
                (Some(name), Some(entity)) => format!("{} ({}, {entity})", s.id, safe(name)),
                (Some(name), None) => format!("{} ({})", s.id, safe(name)),
                (None, _) => s.id.to_string(),
            })
            .collect();
        return Err(
            CliError::usage(format!("'{text}' is several subjects")).hint(format!("give one of the ids: {}", ids.join(", ")))
        );
    }
    match found.into_iter().next() {
        Some((id, subject)) => Ok(Found { id, subject: Some(subject) }),
        None if state.subjects().contains_key(&id) => Ok(Found { id, subject: None }),
        None => Err(CliError::usage(format!("no subject is known by '{text}'")).hint(
            "give a subject's id, the DN of an account, a login or an employee number; `untether audit` reads the stores anew",
        )),
    }
}

fn collect(
    state: &RunState,
    files: &SnapshotFiles<'_>,
    found: &mut BTreeMap<SubjectId, Subject>,
    wanted: impl Fn(&Subject) -> bool,
) -> Result<(), CliError> {
    for subject in files.subjects() {
        let subject = subject.map_err(|e| CliError::state(format!("the snapshot's subjects cannot be read: {e}")))?;
        if wanted(&subject) {
            found.insert(state.resolve_alias(&subject.id).clone(), subject);
        }
    }
    Ok(())
}

/// Accounts whose login or employee number this is.
fn named(config: &Config, files: &SnapshotFiles<'_>, text: &str) -> Result<BTreeSet<(Side, String)>, CliError> {
    let (login, number) = (keys::login(text), keys::number(text));
    let mut found = BTreeSet::new();
    for side in Side::ALL {
        let attributes = &config.audit.store(side).attributes;
        for entry in files.entries(side) {
            let entry = entry.map_err(|e| CliError::state(format!("the snapshot's entries cannot be read: {e}")))?;
            if entry.role != EntryRole::Account {
                continue;
            }
            let has = |attr: &str, matches: &dyn Fn(&str) -> bool| {
                entry.attrs.iter().any(|(name, values)| name.is(attr) && values.iter().filter_map(|v| v.as_str()).any(matches))
            };
            let by_login = has(attributes.login.as_str(), &|v| login.is_some() && keys::login(v) == login);
            let by_number = attributes
                .number
                .as_ref()
                .is_some_and(|attr| has(attr.as_str(), &|v| number.is_some() && keys::number(v) == number));
            if by_login || by_number {
                found.insert((side, entry.dn.key().as_str().to_owned()));
            }
        }
    }
    Ok(found)
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
    let happened = timeline(&looked, &found.id)?;
    let cells = cells(&looked, &found.id);
    let findings = findings(config, &looked, &found.id)?;
    let progress = looked.state.subjects().get(&found.id);
    let decisions: Vec<_> = looked
        .state
        .decisions()
        .filter(
            |(_, d)| matches!(&d.decision, Decision::Track { subject, .. } if *looked.state.resolve_alias(subject) == found.id),
        )
        .collect();
    if output.is_json() {
        output.object("subject.show", &serde_json::json!({
            "id": found.id, "subject": found.subject, "progress": progress,
            "finished": progress.map(|p| p.parked.is_none() && p.is_finished()),
            "decisions": decisions.iter().map(|(record, d)| serde_json::json!({ "record": record, "decision": d })).collect::<Vec<_>>(),
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
    for (record, d) in &decisions {
        if let Decision::Track { track, until, .. } = &d.decision {
            output.say(format!("decided by {}: {track} until {until} — {} (record {record})", d.by, safe(&d.reason)));
        }
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
            output.say(format!("    no longer holds: {}", safe(drift)));
        }
    }
    output.say(if findings.is_empty() { "\nNo findings on it in the last audit" } else { "\nFindings of the last audit" });
    for row in &findings {
        let dn = row.finding.dn.as_ref().map_or(String::new(), |dn| format!(" {}", safe(dn.as_str())));
        output.say(format!("  {:<8} {} {}{dn}", row.finding.severity, row.finding.rule, row.finding.store));
    }
    Ok(Exit::Done)
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
    let marks = Marks::new(&looked.state, config);
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
fn cells<'a>(looked: &'a Looked, id: &SubjectId) -> Vec<Cell<'a>> {
    let all: Vec<(&OpId, &CellState)> = looked.state.cells_of(id).collect();
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
fn timeline(looked: &Looked, id: &SubjectId) -> Result<Vec<Happened>, CliError> {
    let mut reader = Reader::open(looked.dir.disk(), &looked.dir.ledger())?;
    let mut found = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        // Most records are about others: only those that name the subject are parsed.
        if frame.is_seam() || !frame.body().contains(id.as_str()) {
            continue;
        }
        let record = Record::from_parts(&frame.kind, frame.body())
            .map_err(|e| CliError::state(format!("record {}: {e}", frame.seq())).hint("`untether state check`"))?;
        if let Some((what, stage, op, message)) = told(&record, id) {
            found.push(Happened { record: frame.seq(), at: frame.wall, what, stage, op, message });
        }
    }
    Ok(found)
}

/// One record in words, where it is about this subject: what, the stage, the operation, the message.
fn told(record: &Record, id: &SubjectId) -> Option<(String, Option<Stage>, Option<OpId>, String)> {
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
        Record::Drift { op, subject: Some(subject), seen } if subject == id => {
            Some(("no longer holds".to_owned(), None, Some(op.clone()), seen.clone()))
        }
        Record::Reopened { subject, stage } if subject == id => plain("unfinished again".to_owned(), Some(*stage), ""),
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
        Record::Decision { decision: Decision::Track { subject, track, until }, signed } if subject == id => {
            plain(format!("{} decided: {track} until {until}", signed.approver), None, &signed.statement.reason)
        }
        Record::SubjectAliased { from, to } if from == id || to == id => plain(format!("{from} is {to}"), None, ""),
        _ => None,
    }
}
