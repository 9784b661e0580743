//! `untether plan diff`: who moved where between two plans, what became possible or blocked and by what, and why.

use std::collections::BTreeMap;

use serde::Serialize;
use untether_ledger::{Area, SealedReader, Shelf};
use untether_model::PlanId;
use untether_model::neutral::{cell, terminal as safe};
use untether_model::plan::{OrderKind, PlanHeader};
use untether_model::policy::{SettingChange, setting_changes};
use untether_model::run::{Decision, DecisionId, DecisionState, OrderState, RunState};
use untether_planner::diff::{EntityChange, EntityFigures, Ground, Move, Place, SubjectMove, WaveChange, WaveFigures};
use untether_planner::{Gathered, PlanDiff, diff};

use super::report_lines;
use crate::args::{Format, PlanDiffArgs};
use crate::columns::wrap;
use crate::command::findings::csv_line;
use crate::command::subject::said;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Looked;
use crate::wiring::planning::{load_header, read_file};
use crate::wiring::waves::wave_lines;

/// Subjects of one sort that the tree shows; the rest is counted.
const SHOWN: usize = 5;

/// A plan that is compared.
struct Point<'a> {
    id: &'a PlanId,
    order: &'a OrderState,
    header: PlanHeader,
    policy: Option<serde_json::Value>,
}

/// What is told beside the differences of the plans themselves.
struct Told<'a> {
    before: Point<'a>,
    after: Point<'a>,
    diff: PlanDiff,
    /// `None`: the policy of one of them was not kept.
    policy: Option<Vec<SettingChange>>,
    decisions: Vec<(DecisionId, &'a DecisionState)>,
    /// Records of the audits that they were made from.
    audits: (Option<u64>, Option<u64>),
}

/// `plan diff`.
pub fn run(config: &Config, args: &PlanDiffArgs, output: &Output) -> Result<Exit, CliError> {
    let format = if output.is_json() { Format::Json } else { args.format };
    let looked = Looked::look(config)?;
    let after = named(&looked.state, args.after.as_deref().unwrap_or("last"))?;
    let before = named(&looked.state, args.before.as_deref().unwrap_or("previous"))?;
    if before.0 == after.0 {
        return Err(CliError::usage(format!("plan {} is compared with itself", before.0)).hint(all(&looked.state)));
    }
    if before.1.recorded_at > after.1.recorded_at {
        output.note("the first of the two is the later one: what is new is what was before");
    }
    let (before, gathered_before) = gathered(&looked, before)?;
    let (after, gathered_after) = gathered(&looked, after)?;
    let policy = match (&before.policy, &after.policy) {
        _ if before.header.policy == after.header.policy => Some(Vec::new()),
        (Some(was), Some(is)) => Some(setting_changes(was, is)),
        _ => None,
    };
    let (one, other) = (before.order.recorded_at, after.order.recorded_at);
    let between = one.min(other)..=one.max(other);
    let decisions = looked.state.all_decisions().filter(|(_, decision)| between.contains(&decision.at)).collect();
    let audit = |header: &PlanHeader| {
        looked.state.audits().iter().find(|(_, audit)| Some(audit.snapshot) == header.snapshot).map(|(record, _)| *record)
    };
    let audits = (audit(&before.header), audit(&after.header));
    let compared = diff((&before.header, gathered_before), (&after.header, gathered_after));
    let told = Told { before, after, diff: compared, policy, decisions, audits };
    match format {
        Format::Json => json(&told, output)?,
        Format::Csv => csv(&told, output)?,
        Format::Table => tree(&told, args.all, output),
    }
    Ok(Exit::Done)
}

/// All plans, the oldest first.
fn plans(state: &RunState) -> Vec<(&PlanId, &OrderState)> {
    let mut plans: Vec<_> = state.orders().iter().filter(|(_, order)| matches!(order.kind, OrderKind::Plan)).collect();
    plans.sort_by_key(|(id, order)| (order.recorded_at, *id));
    plans
}

fn all(state: &RunState) -> String {
    let ids: Vec<String> = plans(state).iter().map(|(id, _)| id.to_string()).collect();
    if ids.is_empty() { "`untether plan` makes one".to_owned() } else { format!("there are: {}", ids.join(", ")) }
}

/// The plan that is named: `last`, `previous`, or the beginning of its id.
fn named<'s>(state: &'s RunState, name: &str) -> Result<(&'s PlanId, &'s OrderState), CliError> {
    let plans = plans(state);
    let mut candidates: Vec<_> = match name {
        "last" => plans.last().copied().into_iter().collect(),
        "previous" => plans.iter().rev().nth(1).copied().into_iter().collect(),
        _ => plans.iter().copied().filter(|(id, _)| !name.is_empty() && id.as_str().starts_with(name)).collect(),
    };
    match (candidates.pop(), candidates.is_empty(), plans.len()) {
        (Some(found), true, _) => Ok(found),
        (Some(_), false, _) => Err(CliError::usage(format!("several plans begin with '{name}'")).hint(all(state))),
        (None, _, 0) => Err(CliError::usage("there is no plan yet").hint(all(state))),
        (None, _, 1) if name == "previous" => {
            Err(CliError::usage("there is only one plan: nothing to compare it with").hint(all(state)))
        }
        (None, _, _) => {
            Err(CliError::usage(format!("'{name}' is no plan: give `last`, `previous` or the beginning of an id"))
                .hint(all(state)))
        }
    }
}

fn gathered<'a>(looked: &Looked, (id, order): (&'a PlanId, &'a OrderState)) -> Result<(Point<'a>, Gathered), CliError> {
    let header = load_header(&looked.dir, &looked.keys, &looked.state, id)?;
    let mut gathered = Gathered::new();
    for wave in &header.waves {
        for line in wave_lines(&looked.dir, &looked.keys, &wave.digest)? {
            gathered.line(&wave.name, line?);
        }
    }
    report_lines(looked, id)?.into_iter().for_each(|line| gathered.report(line));
    let policy = policy(looked, &header)?;
    Ok((Point { id, order, header, policy }, gathered))
}

/// What was configured, if it was kept: plans of earlier versions have only its digest.
fn policy(looked: &Looked, header: &PlanHeader) -> Result<Option<serde_json::Value>, CliError> {
    let Some(digest) = &header.policy else { return Ok(None) };
    match SealedReader::open(&looked.dir, &looked.keys, &Shelf::of(Area::Plans), digest) {
        Err(error) if error.is_gone() => return Ok(None),
        _ => {}
    }
    let bytes = read_file(&looked.dir, &looked.keys, Area::Plans, digest)?;
    let (plan, audit): (serde_json::Value, serde_json::Value) = serde_json::from_slice(&bytes).map_err(CliError::state)?;
    Ok(Some(serde_json::json!({ "plan": plan, "audit": audit })))
}

fn json(told: &Told<'_>, output: &Output) -> Result<(), CliError> {
    let point = |point: &Point<'_>, audit: Option<u64>| {
        serde_json::json!({
            "plan": point.id, "recorded_at": point.order.recorded_at, "audited_at": point.header.now, "audit_record": audit,
            "snapshot": point.header.snapshot, "executable": point.header.executable,
        })
    };
    let decisions: Vec<_> = told
        .decisions
        .iter()
        .map(|(record, decided)| {
            serde_json::json!({
                "id": record, "by": decided.by, "at": decided.at, "reason": decided.reason, "decision": decided.decision,
            })
        })
        .collect();
    output.object(
        "plan-diff",
        &serde_json::json!({
            "before": point(&told.before, told.audits.0), "after": point(&told.after, told.audits.1), "because": told.diff.grounds,
            "policy": told.policy, "decisions": decisions, "waves": told.diff.waves, "entities": told.diff.entities,
            "operations": told.diff.operations, "not_executable": told.diff.not_executable,
            "now_executable": told.diff.now_executable, "moves": told.diff.moves(),
        }),
    );
    #[derive(Serialize)]
    struct Row<'a> {
        row: &'static str,
        #[serde(flatten)]
        subject: &'a SubjectMove,
    }
    for subject in &told.diff.subjects {
        output.line(&Row { row: "subject", subject });
    }
    Ok(())
}

const COLUMNS: [&str; 7] = ["row", "change", "name", "entity", "account", "before", "after"];

fn csv(told: &Told<'_>, output: &Output) -> Result<(), CliError> {
    let line = |fields: [&str; 7]| -> Result<(), CliError> {
        output.raw(&csv_line(&fields.map(cell))?);
        Ok(())
    };
    line(COLUMNS)?;
    for change in told.policy.iter().flatten() {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        line(["policy", "changed", &change.setting, "", "", &text(&change.before), &text(&change.after)])?;
    }
    for (_, decided) in &told.decisions {
        line(["decision", "", &decision(&decided.decision), "", "", "", &format!("{}: {}", decided.by, decided.reason)])?;
    }
    for change in &told.diff.waves {
        let words = |figures: &Option<WaveFigures>| figures.as_ref().map(wave_words).unwrap_or_default();
        line(["wave", "changed", &change.wave, "", "", &words(&change.before), &words(&change.after)])?;
    }
    for change in &told.diff.entities {
        let words = |figures: &Option<EntityFigures>| figures.as_ref().map(entity_words).unwrap_or_default();
        let entity = change.entity.as_str();
        line(["entity", "changed", entity, entity, "", &words(&change.before), &words(&change.after)])?;
    }
    for (stage, change) in &told.diff.operations {
        let (before, after) = (change.removed + change.kept, change.added + change.kept);
        let words = format!("+{} -{}", change.added, change.removed);
        line(["operations", &words, stage.as_str(), "", "", &before.to_string(), &after.to_string()])?;
    }
    for subject in &told.diff.subjects {
        let entity = subject.entity.as_ref().map_or("", |id| id.as_str());
        let dn = subject.dn.as_ref().map_or("", |dn| dn.as_str());
        let (before, after) = (place(subject.before.as_ref()), place(subject.after.as_ref()));
        line(["subject", subject.change.as_str(), subject.subject.as_str(), entity, dn, &before, &after])?;
    }
    Ok(())
}

/// Where a subject stands, in words.
fn place(place: Option<&Place>) -> String {
    match place {
        None => "not known".to_owned(),
        Some(Place::Planned { wave, batch, track, .. }) => format!("{wave}/{batch} ({track})"),
        Some(Place::NotPlanned { reason, words, waits_for, until }) => {
            let until = until.map(|day| format!(" until {day}")).unwrap_or_default();
            format!("{}: {words} (waits for: {waits_for}{until})", reason.as_str())
        }
    }
}

fn late(late: bool) -> &'static str {
    if late { "  LATE" } else { "" }
}

fn wave_words(figures: &WaveFigures) -> String {
    let deadline = figures.deadline.map(|day| format!(", deadline {day}")).unwrap_or_default();
    format!(
        "{} subjects, {} operations, earliest end {:.0}{deadline}{}",
        figures.subjects,
        figures.operations,
        figures.earliest_end,
        late(figures.late)
    )
}

fn entity_words(figures: &EntityFigures) -> String {
    let end = figures.earliest_end.map(|end| format!(", earliest end {end:.0}")).unwrap_or_default();
    let deadline = figures.deadline.map(|day| format!(", deadline {day}")).unwrap_or_default();
    format!("{} planned, {} wait{end}{deadline}{}", figures.planned, figures.waiting, late(figures.late))
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Track { subject, .. } => format!("{subject}: {}", said(decision)),
        Decision::Waive(_) | Decision::Match(_) | Decision::Withdraw { .. } => said(decision),
    }
}

fn ground(ground: Ground) -> &'static str {
    match ground {
        Ground::Audit => "another audit",
        Ground::Policy => "another configuration",
        Ground::Progress => "progress since",
        Ground::Decisions => "decisions of people",
        Ground::Stores => "other stores or protected identities",
        Ground::Seed => "another seed",
    }
}

fn tree(told: &Told<'_>, all: bool, output: &Output) {
    let line = |what: &str, point: &Point<'_>, audit: Option<u64>| {
        let audit = audit.map(|record| format!(", record {record}")).unwrap_or_default();
        output
            .say(format!("{what} plan {} of {:.0} (audit of {:.0}{audit})", point.id, point.order.recorded_at, point.header.now));
    };
    line("from", &told.before, told.audits.0);
    line("  to", &told.after, told.audits.1);
    because(told, output);
    for why in &told.diff.not_executable {
        wrap(&safe(&format!("cannot be run any more, only rehearsed: {why}"))).iter().for_each(|line| output.say(line));
    }
    if told.diff.now_executable {
        output.say("can be run now");
    }
    if !told.diff.waves.is_empty() {
        output.say("waves");
        told.diff.waves.iter().for_each(|change| wave(change, output));
    }
    if !told.diff.entities.is_empty() {
        output.say("entities");
        told.diff.entities.iter().for_each(|change| entity(change, output));
    }
    let changed: Vec<_> = told.diff.operations.iter().filter(|(_, change)| change.added + change.removed > 0).collect();
    if !changed.is_empty() {
        output.say("operations");
        for (stage, change) in changed {
            let (added, removed, kept) = (change.added, change.removed, change.kept);
            output.say(format!("├─ {:<10} {added:>6} more {removed:>6} fewer {kept:>6} as before", stage.as_str()));
        }
    }
    subjects(&told.diff, all, output);
}

/// What the plans were made from that is another.
fn because(told: &Told<'_>, output: &Output) {
    if told.diff.grounds.is_empty() {
        return;
    }
    let grounds: Vec<&str> = told.diff.grounds.iter().map(|g| ground(*g)).collect();
    output.say(format!("because of: {}", grounds.join(", ")));
    if let (true, (Some(was), Some(is))) = (told.diff.grounds.contains(&Ground::Audit), told.audits) {
        output.say(format!("   what the audits saw: `untether snapshot diff {was} {is}`"));
    }
    match &told.policy {
        None => output.say("   the configuration of one of them was not kept; it was another"),
        Some(changes) => {
            for change in changes {
                let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
                let words = format!("{}: {} → {}", change.setting, of(&change.before), of(&change.after));
                wrap(&safe(&words)).iter().for_each(|line| output.say(line));
            }
        }
    }
    for (record, decided) in &told.decisions {
        let words = format!("{} decided (record {record}): {}; {}", decided.by, decision(&decided.decision), decided.reason);
        wrap(&safe(&words)).iter().for_each(|line| output.say(line));
    }
}

fn wave(change: &WaveChange, output: &Output) {
    output.say(format!("├─ {}", safe(&change.wave)));
    let words = |figures: &Option<WaveFigures>| figures.as_ref().map_or_else(|| "not there".to_owned(), wave_words);
    output.say(format!("│    was: {}", words(&change.before)));
    output.say(format!("│    is:  {}", words(&change.after)));
}

fn entity(change: &EntityChange, output: &Output) {
    output.say(format!("├─ {}", safe(change.entity.as_str())));
    let words = |figures: &Option<EntityFigures>| figures.as_ref().map_or_else(|| "not there".to_owned(), entity_words);
    output.say(format!("│    was: {}", words(&change.before)));
    output.say(format!("│    is:  {}", words(&change.after)));
}

fn subjects(diff: &PlanDiff, all: bool, output: &Output) {
    if diff.subjects.is_empty() {
        output.say("subjects: everybody stands where they stood");
        return;
    }
    output.say("subjects");
    let moves: BTreeMap<Move, u64> = diff.moves();
    let shown = if all { usize::MAX } else { SHOWN };
    for (change, count) in moves {
        output.say(format!("├─ {}: {count}", change.words()));
        for subject in diff.subjects.iter().filter(|subject| subject.change == change).take(shown) {
            let entity = subject.entity.as_ref().map_or("-", |id| id.as_str());
            let dn = subject.dn.as_ref().map(|dn| safe(dn.as_str())).unwrap_or_default();
            output.say(format!("│  {}  {}  {dn}", subject.subject, safe(entity)));
            let words = format!("{} → {}", place(subject.before.as_ref()), place(subject.after.as_ref()));
            wrap(&safe(&words)).iter().for_each(|line| output.say(format!("│{}", line.get(1..).unwrap_or(line))));
        }
        let more = count.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
        if more > 0 {
            output.say(format!("│  … {more} more (--all)"));
        }
    }
}
