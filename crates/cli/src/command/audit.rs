//! `untether audit`: reads both stores and the roster, and records what was found.

mod drift;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;

use jiff::Timestamp;
use jiff::civil::Date;
use untether_audit::collect::{CollectEvent, CollectProgress, Export, StoreInput};
use untether_audit::roster::RosterRead;
use untether_audit::run::{AuditInputs, AuditOutcome};
use untether_audit::stored::{AuditFiles, StoredAudit};
use untether_directory::Read;
use untether_directory::offline::LdifStore;
use untether_ledger::{Area, Shelf};
use untether_model::digest::Digest;
use untether_model::finding::Severity;
use untether_model::policy::today;
use untether_model::run::{Exceptions, Record, RunState};
use untether_model::snapshot::StoreSource;
use untether_model::{FindingId, Side, SubjectId};

use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::decisions::in_force;
use crate::wiring::stores::{client, reader};
use crate::wiring::succession::succession;

/// One store as the audit reads it: a server, or files.
struct Source {
    read: Box<dyn Read>,
    config: Option<Box<dyn Read>>,
    source: StoreSource,
    export: Option<Export>,
}

impl Source {
    fn open(config: &Config, side: Side) -> Result<Self, CliError> {
        let store = config.store(side);
        let Some(url) = &store.url else { return Self::offline(config, side) };
        let bind = store.config.as_ref().map(|b| client(config, side, b, &format!("[{side}.config]"))).transpose()?;
        Ok(Self {
            read: Box::new(reader(config, side)?),
            config: bind.map(|c| Box::new(c) as Box<dyn Read>),
            source: StoreSource::Ldap(url.clone()),
            export: None,
        })
    }

    fn offline(config: &Config, side: Side) -> Result<Self, CliError> {
        let store = config.store(side);
        let open = |paths: &[PathBuf]| LdifStore::open(side, paths).map_err(|e| CliError::usage(chain(&e)));
        let read = open(&store.ldif)?;
        let mut export = Export { truncated: read.truncation(), ..Export::default() };
        export.written_at = store.ldif.iter().filter_map(written_at).min();
        let extra = if store.config_ldif.is_empty() { None } else { Some(Box::new(open(&store.config_ldif)?) as Box<dyn Read>) };
        let names = store.ldif.iter().map(|p| p.display().to_string()).collect();
        Ok(Self { read: Box::new(read), config: extra, source: StoreSource::Ldif(names), export: Some(export) })
    }

    fn input(&self) -> StoreInput<'_> {
        StoreInput {
            read: self.read.as_ref(),
            config: self.config.as_deref(),
            copies: None,
            source: &self.source,
            export: self.export.as_ref(),
        }
    }
}

/// The roster and both stores. The roster is read, and exports are looked through once, at the same time.
fn open(config: &Config) -> Result<(RosterRead, [Source; 2]), CliError> {
    std::thread::scope(|scope| {
        let reading = std::thread::Builder::new().name("roster".to_owned());
        let reading =
            reading.spawn_scoped(scope, || crate::wiring::roster::read(config)).map_err(|e| CliError::failed(chain(&e)))?;
        let stores = Side::ALL.map(|side| Source::open(config, side));
        let roster = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let [shared, independent] = stores;
        Ok((roster, [shared?, independent?]))
    })
}

fn written_at(path: &PathBuf) -> Option<Timestamp> {
    let modified = std::fs::metadata(path).and_then(|m| m.modified()).ok()?;
    Timestamp::try_from(modified).ok()
}

/// `audit`.
pub async fn run(config: &Config, as_of: Option<Date>, output: &Output) -> Result<Exit, CliError> {
    let opened = Opened::open(config).await?;
    let (mut roster, [shared, independent]) = open(config)?;
    let (decisions, odd) = opened.look(|state| in_force(state, &config.audit.entities, opened.now()));
    for (id, why) in odd {
        output.note(format!("decision {id} has no effect: {why}"));
    }
    roster.roster = roster.roster.with_merged(&decisions.merged_people());
    let before = opened.look(crate::wiring::roster::last_sizes);
    let register = opened.look(|state| register(&opened, state));
    let exceptions = opened.look(Exceptions::of);
    let waived: BTreeSet<FindingId> = exceptions.waivers.keys().cloned().collect();
    let files = AuditFiles::begin(&opened.dir, &opened.keys, None).map_err(|e| CliError::failed(chain(&e)))?;
    let progress = Progress::new(output);
    let inputs = AuditInputs {
        policy: &config.audit,
        roster: &roster.roster,
        roster_files: &roster.files,
        shared: shared.input(),
        independent: independent.input(),
        decisions: &decisions,
        now: opened.now(),
        as_of,
        before: before.as_ref(),
        register: register.as_ref(),
        waived: &waived,
        progress: &progress,
    };
    let outcome = untether_audit::run::run(inputs, &files).await.map_err(|e| CliError::failed(chain(&e)))?;
    progress.end();
    // Before the audit itself: what is recorded of an audit that is not, is found again by the next one.
    for (from, to) in aliases(&opened, &outcome)? {
        opened.record(Record::SubjectAliased { from, to }).await?;
    }
    let record = Record::AuditRecorded {
        snapshot: outcome.snapshot,
        findings: outcome.findings,
        taken_at: outcome.header.taken_at,
        as_of,
        executable: outcome.header.executable,
        in_scope: outcome.in_scope.clone(),
        active_people: outcome.active.total,
        active_by_entity: outcome.active.by_entity.clone(),
        complete: outcome.is_complete(),
        subjects: outcome.subjects.clone(),
        counts: outcome.counts.clone(),
        compared: outcome.compared.clone(),
        entities: Some(outcome.entities.clone()),
    };
    let seq = opened.record(record).await?;
    let drifted = drift::look_after(&opened, &outcome.header, &outcome.snapshot, output).await?;
    let accounts: Vec<String> = outcome.in_scope.iter().map(|(side, n)| format!("{side}: {n} accounts")).collect();
    output.say(format!(
        "audit of {:.0} (record {seq}): {}; {} subjects",
        outcome.header.taken_at,
        accounts.join(", "),
        outcome.header.subject_count
    ));
    let covered = covered(config, (&outcome, exceptions, seq), opened.now());
    let waived = covered.values().sum::<u64>();
    let count = |severity: Severity| {
        let all = outcome.severities.get(&severity).copied().unwrap_or(0);
        all.saturating_sub(covered.get(&severity).copied().unwrap_or(0))
    };
    let open = outcome.finding_count.saturating_sub(waived);
    let solved = outcome.compared.as_ref().map_or(0, |c| c.solved.iter().map(|s| s.findings).sum::<u64>());
    let what = if waived > 0 { "open findings" } else { "findings" };
    output.say(format!(
        "{open} {what}: {} critical, {} high, {} medium, {} low{}{}",
        count(Severity::Critical),
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low),
        if waived > 0 { format!("; {waived} waived") } else { String::new() },
        if solved > 0 { format!("; {solved} solved so far") } else { String::new() },
    ));
    for gap in outcome.gaps.iter().filter(|gap| gap.kind.concerns_entries()) {
        output.say(format!("  INCOMPLETE: {}: {}", gap.kind.rule(), gap.reason));
    }
    for reason in &outcome.header.not_executable {
        output.say(format!("  no executable plan: {reason}"));
    }
    drift::tell(&drifted, output);
    output.say("Next: `untether findings`, then `untether plan`.");
    output.object("audit", &serde_json::json!({
        "record": seq, "taken_at": outcome.header.taken_at, "as_of": as_of, "executable": outcome.header.executable,
        "not_executable": outcome.header.not_executable, "in_scope": outcome.in_scope, "subjects": outcome.header.subject_count,
        "findings": outcome.finding_count, "open": open, "waived": waived, "solved": solved, "snapshot": outcome.snapshot, "findings_digest": outcome.findings,
        "drift": drifted,
    }));
    // Somebody opened what we had closed: that needs a person.
    Ok(if drifted.is_empty() { Exit::Done } else { Exit::Decision })
}

/// Subjects whose id is another one than in the last complete audit. An audit that may have missed somebody says nothing of that.
fn aliases(opened: &Opened, outcome: &AuditOutcome) -> Result<Vec<(SubjectId, SubjectId)>, CliError> {
    let before = opened.look(|state| state.audits().values().rfind(|audit| audit.complete).map(|audit| audit.snapshot));
    let Some(before) = before.filter(|_| outcome.is_complete()) else { return Ok(Vec::new()) };
    let stored = |snapshot| StoredAudit::open(&opened.dir, &opened.keys, snapshot);
    // A snapshot whose key or files are gone tells nothing any more.
    let Ok(before) = stored(&before) else { return Ok(Vec::new()) };
    let after = stored(&outcome.snapshot).map_err(|e| CliError::failed(chain(&e)))?;
    let state = opened.state_now();
    succession(&state, || before.subjects(), || after.subjects()).map_err(|e| CliError::failed(chain(&e)))
}

/// The register of the last audit that wrote one; `None` where it is not there any more: then what is solved is counted anew.
fn register(opened: &Opened, state: &RunState) -> Option<Digest> {
    let found = state.audits().values().rev().find_map(|audit| audit.compared.as_ref())?.register;
    match Shelf::of(Area::Findings).has(&opened.dir, &found) {
        Ok(true) => Some(found),
        _ => None,
    }
}

/// Findings of an audit that waivers cover now, by severity.
fn covered(
    config: &Config,
    (outcome, mut exceptions, seq): (&AuditOutcome, Exceptions, u64),
    now: Timestamp,
) -> BTreeMap<Severity, u64> {
    let mut found = BTreeMap::new();
    if outcome.compared.is_none() {
        return found;
    }
    exceptions.audit(seq, outcome.compared.as_ref());
    for waiver in exceptions.waivers.values() {
        let day = today(&config.audit.entities, waiver.waive.entity.as_ref(), now);
        if let Some(severity) = waiver.now.filter(|_| waiver.covers(day)) {
            *found.entry(severity).or_default() += 1;
        }
    }
    found
}

/// Tells how reading goes on: a line a base, and on a terminal the count while it runs.
struct Progress {
    output: Output,
    terminal: bool,
    open: Mutex<bool>,
}

impl Progress {
    fn new(output: &Output) -> Self {
        let terminal = std::io::stderr().is_terminal() && !output.is_json();
        Self { output: Output::new(output.is_json()), terminal, open: Mutex::new(false) }
    }

    fn end(&self) {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if std::mem::take(&mut *open) {
            self.output.note("");
        }
    }
}

impl CollectProgress for Progress {
    fn event(&self, event: CollectEvent<'_>) {
        match event {
            CollectEvent::Started { .. } => {}
            CollectEvent::Read { side, part, base, entries } if self.terminal => {
                *self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
                self.output.same_line(&format!("reading {} of the {side} store below {base}: {entries}", part.as_str()));
            }
            CollectEvent::Read { .. } => {}
            CollectEvent::Ended { side, part, base, entries, complete } => {
                self.end();
                let mark = if complete { "" } else { "  INCOMPLETE" };
                self.output.note(format!("read {} of the {side} store below {base}: {entries} entries{mark}", part.as_str()));
            }
        }
    }
}
