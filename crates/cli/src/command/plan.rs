//! `untether plan`: makes a plan, shows it, lints it, has it approved, compares it with another.

mod diff;
mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use jiff::SignedDuration;
use untether_audit::stored::StoredAudit;
use untether_cutover::PROTECTED_GROUP;
use untether_ledger::{Area, KeyStore, Shelf, StateDir};
use untether_model::digest::Digest;
use untether_model::operation::{Stage, UndoClass};
use untether_model::plan::{OrderKind, PlanHeader, WaveHeader, WaveLine};
use untether_model::run::{Decision, Observation, Observed, Record, RunState, object_approvers};
use untether_model::{BatchId, Dn, OpId, PlanId, Side, WaveId};
use untether_planner::{Inputs, Level, Linter, PlanError, ReportLine, Source, plan_by};

use self::policy::{Policy, selection};
use crate::args::{PlanArgs, PlanCommand};
use crate::columns::wrap_within;
use crate::command::approve::{Request, approve, stage};
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::{Looked, Opened};
use crate::wiring::capabilities::probe;
use crate::wiring::planning::{Beside, Filters, PlanFiles, SnapshotFiles, last_plan, load_header, read_file, write_file};
use crate::wiring::waves::wave_lines;

/// `plan` and its subcommands.
pub async fn run(config: &Config, args: &PlanArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        None => make(config, args.seed, output).await,
        Some(PlanCommand::Show { plan, not_planned, wave }) => {
            show(config, plan.as_deref(), (*not_planned, wave.as_deref()), output)
        }
        Some(PlanCommand::Diff(args)) => diff::run(config, args, output),
        Some(PlanCommand::Lint { plan }) => lint(config, plan.as_deref(), output),
        Some(PlanCommand::Approve { plan, wave, through, until, reason, sign }) => {
            let opened = Opened::open(config).await?;
            let id = opened.look(|state| last_plan(state, plan.as_deref()))?;
            let names: Vec<String> = opened.look(|state| {
                let waves = state.orders().get(&id).map(|o| o.waves.clone()).unwrap_or_default();
                waves.into_iter().map(|w| w.name).filter(|name| wave.is_empty() || wave.contains(name)).collect()
            });
            if names.is_empty() {
                return Err(CliError::usage(format!("plan {id} has no such wave")));
            }
            if names.len() > 1 && (sign.statement.is_some() || sign.signature.is_some()) {
                let words = format!("give --wave with one of: {}", names.join(", "));
                return Err(CliError::usage("a statement is about one wave").hint(words));
            }
            output.note(format!("plan {id} {}", rehearsal(opened.look(|s| s.orders().get(&id).and_then(|o| o.rehearsed)))));
            for (id, group) in opened.look(|state| protected_groups(&opened, state, &id, &names))? {
                output.note(format!("on its own: operation {id} takes a departed member out of the protected group '{group}': `untether approve {id}`"));
            }
            for name in names {
                let request = Request {
                    order: id.clone(),
                    wave: Some(name),
                    through: stage(through)?,
                    round: None,
                    until: until.as_deref(),
                    reason,
                };
                approve(config, &opened, &request, sign, output).await?;
            }
            Ok(Exit::Done)
        }
    }
}

/// Operations of these waves that still need an approval of their own, with their groups.
fn protected_groups(opened: &Opened, state: &RunState, plan: &PlanId, waves: &[String]) -> Result<Vec<(OpId, Dn)>, CliError> {
    let recorded = state.orders().get(plan).map(|o| o.waves.as_slice()).unwrap_or_default();
    let mut found = Vec::new();
    let digest = state.orders().get(plan).map(|o| o.digest);
    let approved = |op: &OpId| {
        digest.is_some_and(|d| !object_approvers(state, PROTECTED_GROUP, &op.to_string(), &d, opened.now()).is_empty())
    };
    for wave in recorded.iter().filter(|w| waves.contains(&w.name)) {
        for line in wave_lines(&opened.dir, &opened.keys, &wave.digest)? {
            if let WaveLine::Operation(op) = line?
                && op.protected_group
            {
                let batch = BatchId::new(WaveId::new(plan.clone(), wave.name.as_str()), op.batch.as_str());
                let id = OpId::new(batch, op.n);
                if !approved(&id) {
                    found.push((id, op.target.dn().clone()));
                }
            }
        }
    }
    Ok(found)
}

/// Whether a plan has been rehearsed, in words.
fn rehearsal(found: Option<(u64, u64)>) -> String {
    match found {
        None => "has not been rehearsed (`untether rehearse`)".to_owned(),
        Some((0, operations)) => format!("was rehearsed: none of its {operations} operations would be refused"),
        Some((refused, operations)) => {
            format!("was rehearsed: {refused} of its {operations} operations would be refused or meet a conflict")
        }
    }
}

/// The last audit's snapshot.
pub fn last_snapshot(state: &RunState) -> Option<(Digest, Digest)> {
    state.audits().values().next_back().map(|audit| (audit.snapshot, audit.findings))
}

/// The files of an audit.
pub fn stored_audit<'a>(dir: &'a StateDir, keys: &'a KeyStore, snapshot: &Digest) -> Result<StoredAudit<'a>, CliError> {
    StoredAudit::open(dir, keys, snapshot).map_err(|e| {
        CliError::new(Exit::Resumable, format!("the snapshot is not there any more: {}", chain(&e)))
            .hint("`untether audit` again")
    })
}

async fn make(config: &Config, seed: u64, output: &Output) -> Result<Exit, CliError> {
    let policy = config.checked_policy()?;
    let opened = Opened::open(config).await?;
    let Some((snapshot_digest, findings)) = opened.look(last_snapshot) else {
        return Err(CliError::usage("there is no audit to plan from").hint("`untether audit`"));
    };
    let stored = stored_audit(&opened.dir, &opened.keys, &snapshot_digest)?;
    let snapshot = stored.header();
    let age = opened.now().duration_since(snapshot.taken_at);
    let max = i64::try_from(policy.snapshot_max_age.seconds).unwrap_or(i64::MAX);
    if age > SignedDuration::from_secs(max) {
        return Err(CliError::new(
            Exit::Resumable,
            format!("the last audit, of {}, is older than plan.snapshot_max_age", snapshot.taken_at),
        )
        .hint("`untether audit` again"));
    }
    let rematched = opened.look(|state| {
        let audit = state.audits().keys().next_back().copied().unwrap_or_default();
        state.decided_after(audit, |d| matches!(d, Decision::Match(_))).len()
    });
    if rematched > 0 {
        output.note(format!(
            "people have decided on the matches of {rematched} subjects since the audit: they are not planned before the next one"
        ));
    }
    let capabilities = ask(config, &opened).await?;
    let files = SnapshotFiles(&stored);
    let protected = protected(config, &files)?;
    let progress = opened.state_now();
    let parent = last_plan(&progress, None).ok();
    let (schemas, classes) = (BTreeMap::new(), BTreeMap::new());
    let filters = Filters::new();
    let inputs = Inputs {
        kind: &OrderKind::Plan,
        snapshot,
        snapshot_digest,
        findings_digest: Some(findings),
        source: &files,
        filters: &filters,
        policy: &policy,
        audit: &config.audit,
        capabilities: &capabilities,
        progress: &progress,
        protected: &protected,
        schemas: &schemas,
        classes: &classes,
        parent: parent.as_ref(),
        now: snapshot.taken_at,
        seed,
    };
    let mut sink = PlanFiles::new(&opened.dir, &opened.keys)?;
    let planned = plan_by(Beside, &inputs, &mut sink).map_err(|e| match e {
        PlanError::Sink { .. } => CliError::failed(chain(&e)),
        _ => CliError::usage(chain(&e)),
    })?;
    let (written, report) = sink.finish()?;
    for wave in &planned.header.waves {
        if written.get(&wave.name) != Some(&wave.digest) {
            return Err(CliError::failed(format!("wave {} was not written as it was planned", wave.name)));
        }
    }
    let known = opened.look(|state| state.orders().contains_key(&planned.id));
    if !known {
        let digest = write_file(&opened.dir, &opened.keys, Area::Plans, &planned.bytes)?;
        keep_policy(&opened, &planned.header, &planned.policy)?;
        let record = Record::PlanRecorded {
            plan: planned.id.clone(),
            digest,
            parent,
            snapshot: Some(snapshot_digest),
            waves: planned.header.waves.clone(),
            report: Some(report),
            executable: planned.header.executable && !planned.lint.iter().any(|n| n.level == Level::Error),
            forecast: Some(planned.report.forecast()),
        };
        opened.record(record).await?;
    }
    let errors = planned.lint.iter().filter(|n| n.level == Level::Error).count();
    output.say(format!(
        "plan {} (digest {}): {} subjects planned",
        planned.id,
        planned.digest,
        planned.report.planned_subjects()
    ));
    for reason in &planned.header.not_executable {
        output.say(format!("  cannot be run, only rehearsed: {reason}"));
    }
    for (reason, count) in &planned.report.not_planned {
        output.say(format!("  not planned, {}: {count} (waits for: {})", reason.as_str(), reason.waits_for()));
    }
    for note in planned.lint.iter().filter(|n| n.level > Level::Info).take(20) {
        output.say(format!("  {note}"));
    }
    match planned.report.planned_subjects() {
        0 => output.say("Nothing is to be approved: `untether plan show --not-planned` says why nobody is planned."),
        _ => output.say(format!("Next: `untether plan show --plan {}`, then `untether plan approve`.", planned.id)),
    }
    output.object(
        "plan",
        &serde_json::json!({
            "plan": planned.id, "digest": planned.digest, "executable": planned.header.executable && errors == 0,
            "waves": planned.header.waves, "report": planned.report, "lint": planned.lint,
        }),
    );
    Ok(if errors > 0 { Exit::Resumable } else { Exit::Done })
}

/// Keeps what was configured beside the plan, so that another plan can be compared with it. Plans of one configuration share it.
fn keep_policy(opened: &Opened, header: &PlanHeader, policy: &[u8]) -> Result<(), CliError> {
    let Some(digest) = &header.policy else { return Ok(()) };
    if !Shelf::of(Area::Plans).has(&opened.dir, digest).map_err(|e| CliError::failed(chain(&e)))? {
        write_file(&opened.dir, &opened.keys, Area::Plans, policy)?;
    }
    Ok(())
}

/// Asks each store what it can do, and records it.
async fn ask(config: &Config, opened: &Opened) -> Result<untether_model::policy::CapabilityMap, CliError> {
    let mut map = BTreeMap::new();
    for side in Side::ALL {
        let Some(capabilities) = probe(config, side).await? else { continue };
        let now = opened.now();
        let known = opened.look(|state| state.general().capabilities.get(&side) == Some(&capabilities));
        if !known {
            let observed = Observed {
                what: Observation::Capabilities { side, capabilities: capabilities.clone() },
                source: "root DSE and critical no-op".to_owned(),
                coverage: "the writing and undoing binds".to_owned(),
                from: now,
                to: now,
                expires: None,
            };
            opened.record(Record::Observed { observed }).await?;
        }
        map.insert(side, capabilities);
    }
    Ok(map)
}

/// Protected identities: the configured ones, our own binds, and what the audit recognized.
fn protected(config: &Config, files: &SnapshotFiles<'_>) -> Result<BTreeMap<Side, Vec<Dn>>, CliError> {
    let mut found: BTreeMap<Side, BTreeSet<Dn>> = BTreeMap::new();
    for side in Side::ALL {
        let set = found.entry(side).or_default();
        let store = config.store(side);
        let binds = [&store.read, &store.write, &store.undo, &store.config, &store.control];
        set.extend(binds.into_iter().flatten().filter_map(|b| b.dn.clone()));
        let suffix = &config.audit.store(side).suffix;
        set.extend(config.audit.protected.dns.iter().filter(|dn| dn.is_within(suffix)).cloned());
    }
    for subject in files.subjects() {
        let subject = subject.map_err(|e| CliError::state(format!("the snapshot cannot be read: {e}")))?;
        if subject.protected {
            for account in &subject.accounts {
                found.entry(account.side).or_default().insert(account.dn.clone());
            }
        }
    }
    Ok(found.into_iter().map(|(side, set)| (side, set.into_iter().collect())).collect())
}

fn show(
    config: &Config,
    plan: Option<&str>,
    (not_planned, wave): (bool, Option<&str>),
    output: &Output,
) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let id = last_plan(&looked.state, plan)?;
    let header = load_header(&looked.dir, &looked.keys, &looked.state, &id)?;
    let lines = report_lines(&looked, &id)?;
    let heads = heads(&looked, &header)?;
    if output.is_json() {
        let mut shown = serde_json::json!({ "plan": id, "header": header, "waves": heads, "report": lines });
        let rehearsed = looked.state.orders().get(&id).and_then(|order| order.rehearsed);
        shown["rehearsed"] = serde_json::json!(
            rehearsed.map(|(refused, operations)| serde_json::json!({ "refused": refused, "operations": operations }))
        );
        if let Some(name) = wave {
            let found = header.waves.iter().find(|w| w.name == name);
            let found = found.ok_or_else(|| CliError::usage(format!("plan {id} has no wave '{name}'")))?;
            let lines: Vec<WaveLine> = wave_lines(&looked.dir, &looked.keys, &found.digest)?.collect::<Result<_, CliError>>()?;
            shown["wave"] = serde_json::json!(lines);
        }
        output.object("plan", &shown);
        return Ok(Exit::Done);
    }
    if not_planned {
        for line in &lines {
            if let ReportLine::NotPlanned(n) = line {
                let dn = n.dn.as_ref().map(|dn| format!(" {dn}")).unwrap_or_default();
                output.say(format!("{}{dn}: {} — {} (waits for: {})", n.subject, n.reason.as_str(), n.words, n.waits_for));
            }
        }
        return Ok(Exit::Done);
    }
    output.say(format!("plan {id}, from the audit of {:.0}", header.now));
    output.say(rehearsal(looked.state.orders().get(&id).and_then(|order| order.rehearsed)));
    for reason in &header.not_executable {
        output.say(format!("cannot be run, only rehearsed: {reason}"));
    }
    let policy = Policy::of(&heads);
    if wave.is_none() {
        output.say("policy, where a wave shows nothing else");
        policy.usual().iter().flat_map(|line| wrap_within(line, (3, 16))).for_each(|line| output.say(line));
    }
    for found in header.waves.iter().filter(|w| wave.is_none_or(|name| name == w.name)) {
        let forecast = lines.iter().find_map(|line| match line {
            ReportLine::Wave(w) if w.wave == found.name => Some(w),
            _ => None,
        });
        let forecast = forecast.map(|w| {
            let deadline = w.deadline.map(|d| format!(", deadline {d}")).unwrap_or_default();
            format!("earliest end {:.0}{deadline}{}", w.earliest_end, if w.late { "  LATE" } else { "" })
        });
        let selects = heads.iter().find(|head| head.name == found.name).map(|head| selection(&head.selector));
        let heading: Vec<String> =
            selects.into_iter().chain(forecast).chain(policy.of_wave(&found.name, wave.is_some())).collect();
        tree(&looked, found, (&heading, wave.is_some()), output)?;
    }
    if wave.is_some() {
        return Ok(Exit::Done);
    }
    output.say("entities");
    for line in &lines {
        if let ReportLine::Entity(e) = line {
            let deadline = e.deadline.map(|d| format!(", deadline {d}")).unwrap_or_default();
            let late = if e.late { "  LATE" } else { "" };
            output.say(format!("   {:<14} {:>7} planned, {:>7} wait{deadline}{late}", e.entity.as_str(), e.planned, e.waiting));
        }
    }
    let left: BTreeMap<&str, u64> = lines.iter().fold(BTreeMap::new(), |mut counts, line| {
        if let ReportLine::NotPlanned(n) = line {
            *counts.entry(n.reason.as_str()).or_default() += 1;
        }
        counts
    });
    if !left.is_empty() {
        output.say("not planned (`untether plan show --not-planned` lists them)");
    }
    for (reason, count) in left {
        output.say(format!("   {reason:<14} {count:>7}"));
    }
    Ok(Exit::Done)
}

/// Operations of one stage of a batch, by what undoing them gives back.
#[derive(Clone, Copy, Default)]
struct Undoing {
    full: u64,
    partial: u64,
    none: u64,
}

/// One batch of the tree.
struct Branch {
    name: String,
    canary: bool,
    subjects: usize,
    stages: BTreeMap<Stage, Undoing>,
    operations: Vec<String>,
}

/// Batches of a wave that the tree shows where the wave was not asked for.
const SHOWN_BATCHES: usize = 6;

/// One wave as a tree: batches, operations by stage with their undo classes, the point of no return.
fn tree(
    looked: &Looked,
    wave: &untether_model::plan::WaveRef,
    (heading, whole): (&[String], bool),
    output: &Output,
) -> Result<(), CliError> {
    output.say(format!(
        "├─ wave {}: {} subjects in {} batches, {} operations",
        wave.name, wave.subjects, wave.batches, wave.operations
    ));
    heading.iter().for_each(|line| output.say(format!("│  {line}")));
    let mut branches: Vec<Branch> = Vec::new();
    for line in wave_lines(&looked.dir, &looked.keys, &wave.digest)? {
        match line? {
            WaveLine::Wave(_) => {}
            WaveLine::Batch(batch) => branches.push(Branch {
                name: batch.name.clone(),
                canary: batch.canary,
                subjects: batch.subjects.len(),
                stages: BTreeMap::new(),
                operations: Vec::new(),
            }),
            WaveLine::Operation(op) => {
                let Some(branch) = branches.iter_mut().find(|b| b.name == op.batch) else { continue };
                let count = branch.stages.entry(op.stage).or_default();
                match op.undo {
                    UndoClass::Full => count.full += 1,
                    UndoClass::Partial(_) => count.partial += 1,
                    UndoClass::None(_) => count.none += 1,
                }
                if whole {
                    branch.operations.push(format!("{:>4} {} {}: {}", op.n, op.stage, op.target.dn(), op.reason));
                }
            }
        }
    }
    let shown = if whole { branches.len() } else { branches.len().min(SHOWN_BATCHES) };
    for branch in branches.iter().take(shown) {
        let canary = if branch.canary { " (canary)" } else { "" };
        output.say(format!("│  ├─ {}{canary}: {} subjects", branch.name, branch.subjects));
        let mut returns = true;
        for (stage, undoing) in &branch.stages {
            let lost: Vec<String> = [(undoing.partial, "partial"), (undoing.none, "none")]
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, class)| format!("{count} {class}"))
                .collect();
            let undo = if lost.is_empty() { "undo: full".to_owned() } else { format!("undo: {}", lost.join(", ")) };
            // The first irreversible stage is where there is no way back without two people.
            let mark = match (stage.is_irreversible(), returns) {
                (true, true) => "  ⚠ point of no return",
                (true, false) => "  ⚠",
                (false, _) => "",
            };
            returns &= !stage.is_irreversible();
            let all = undoing.full + undoing.partial + undoing.none;
            output.say(format!("│  │    {:<10} {all:>6} operations  {undo}{mark}", stage.as_str()));
        }
        for line in &branch.operations {
            output.say(format!("│  │    {line}"));
        }
    }
    if branches.len() > shown {
        let more = branches.len() - shown;
        output.say(format!("│  └─ and {more} more batches (`untether plan show --wave {}`)", wave.name));
    }
    Ok(())
}

/// The heads of all waves: how each one runs.
fn heads(looked: &Looked, header: &PlanHeader) -> Result<Vec<WaveHeader>, CliError> {
    let mut heads = Vec::new();
    for wave in &header.waves {
        match wave_lines(&looked.dir, &looked.keys, &wave.digest)?.next().transpose()? {
            Some(WaveLine::Wave(head)) => heads.push(*head),
            _ => return Err(CliError::state(format!("the file of wave {} does not begin with its head", wave.name))),
        }
    }
    Ok(heads)
}

fn report_lines(looked: &Looked, id: &PlanId) -> Result<Vec<ReportLine>, CliError> {
    let Some(digest) = looked.state.orders().get(id).and_then(|o| o.report) else { return Ok(Vec::new()) };
    let bytes = read_file(&looked.dir, &looked.keys, Area::Plans, &digest)?;
    bytes
        .lines()
        .map(|line| {
            let line = line.map_err(CliError::state)?;
            serde_json::from_str(&line).map_err(|e| CliError::state(format!("the planning report cannot be read: {e}")))
        })
        .collect()
}

fn lint(config: &Config, plan: Option<&str>, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let id = last_plan(&looked.state, plan)?;
    let header = load_header(&looked.dir, &looked.keys, &looked.state, &id)?;
    let mut linter = Linter::new(&header);
    for wave in &header.waves {
        for line in wave_lines(&looked.dir, &looked.keys, &wave.digest)? {
            linter.line(&line?);
        }
        linter.end_wave();
    }
    let notes = linter.finish();
    for note in &notes {
        output.say(note.to_string());
        output.row(note);
    }
    if notes.is_empty() {
        output.say(format!("plan {id}: nothing to remark"));
    }
    Ok(if notes.iter().any(|n| n.level == Level::Error) { Exit::Resumable } else { Exit::Done })
}
