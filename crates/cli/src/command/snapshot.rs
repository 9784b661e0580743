//! `untether snapshot`: the audits of a state, and what changed between two of them.

mod diff;
mod tell;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_audit::stored::StoredAudit;
use untether_ledger::files::FileError;
use untether_ledger::{Area, Shelf};
use untether_model::digest::Digest;
use untether_model::run::{AuditState, RunState};

use crate::args::SnapshotCommand;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::Looked;

/// Shortest part of a digest that names an audit.
const SHORTEST_PREFIX: usize = 4;

/// `snapshot` and its subcommands.
pub fn run(config: &Config, args: &SnapshotCommand, output: &Output) -> Result<Exit, CliError> {
    match args {
        SnapshotCommand::List => list(config, output),
        SnapshotCommand::Diff(args) => diff::run(config, args, output),
    }
}

/// An audit as it is listed.
#[derive(Serialize)]
struct Row<'a> {
    record: u64,
    snapshot: &'a Digest,
    taken_at: Timestamp,
    complete: bool,
    executable: bool,
    active_people: u64,
    in_scope: &'a std::collections::BTreeMap<untether_model::Side, u64>,
    findings: u64,
    severe: u64,
    files: &'static str,
    why: Option<String>,
}

fn list(config: &Config, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let audits = looked.state.audits();
    if audits.is_empty() {
        output.say("nothing has been audited yet: `untether audit`");
        return Ok(Exit::Done);
    }
    output.say("record  taken at              whole  people  shared  own      findings  severe  files");
    for (record, audit) in audits {
        let (files, why) = match missing(&looked, audit) {
            None => ("there", None),
            Some((word, why)) => (word, Some(why)),
        };
        let findings = audit.counts.iter().map(|of| of.findings).sum();
        let severe = audit.counts.iter().map(|of| of.severe).sum();
        let accounts = |side| audit.in_scope.get(&side).copied().unwrap_or(0);
        let (shared, own) = (accounts(untether_model::Side::Shared), accounts(untether_model::Side::Independent));
        output.say(format!(
            "{record:>6}  {:<20.0}  {:<5}  {:>6}  {shared:>6}  {own:>6}  {findings:>8}  {severe:>6}  {files}",
            audit.taken_at,
            if audit.complete { "yes" } else { "NO" },
            audit.active_people,
        ));
        output.row(&Row {
            record: *record,
            snapshot: &audit.snapshot,
            taken_at: audit.taken_at,
            complete: audit.complete,
            executable: audit.executable,
            active_people: audit.active_people,
            in_scope: &audit.in_scope,
            findings,
            severe,
            files,
            why,
        });
    }
    Ok(Exit::Done)
}

/// What of an audit's files is not there, in a word and in words.
fn missing(looked: &Looked, audit: &AuditState) -> Option<(&'static str, String)> {
    let stored = match StoredAudit::open(&looked.dir, &looked.keys, &audit.snapshot) {
        Ok(stored) => stored,
        Err(error) => return Some(("gone", chain(&error))),
    };
    let header = stored.header();
    let snapshots = Shelf::of(Area::Snapshots);
    let files = [
        (&snapshots, header.shared.file),
        (&snapshots, header.independent.file),
        (&snapshots, header.subjects),
        (&Shelf::of(Area::Findings), audit.findings),
    ];
    files.into_iter().find_map(|(shelf, digest)| match shelf.has(&looked.dir, &digest) {
        Ok(true) => None,
        Ok(false) => Some(("gone", FileError::Missing(shelf.path(&looked.dir, &digest)).to_string())),
        Err(error) => Some(("unknown", chain(&error))),
    })
}

/// The audit that is named: `last`, `previous`, the number of its record, a day (its last audit, in UTC), or the beginning of its
/// snapshot's digest.
fn named<'s>(state: &'s RunState, name: &str) -> Result<(u64, &'s AuditState), CliError> {
    let audits = state.audits();
    let of = |found: Option<(&u64, &'s AuditState)>| found.map(|(record, audit)| (*record, audit));
    let none = |why: String| CliError::usage(why).hint("`untether snapshot list` names them");
    let found = match name {
        "last" => of(audits.iter().next_back()),
        "previous" => of(audits.iter().rev().nth(1)),
        _ => {
            let record = name.parse::<u64>().ok().and_then(|record| audits.get_key_value(&record));
            if let Some(found) = of(record) {
                return Ok(found);
            }
            if let Ok(day) = name.parse::<Date>() {
                let on_day = |audit: &AuditState| jiff::tz::TimeZone::UTC.to_datetime(audit.taken_at).date() == day;
                let found = of(audits.iter().rfind(|(_, audit)| on_day(audit)));
                return found.ok_or_else(|| none(format!("there is no audit of {day} (UTC)")));
            }
            let begins = |audit: &AuditState| name.len() >= SHORTEST_PREFIX && audit.snapshot.to_hex().starts_with(name);
            let mut all = audits.iter().filter(|(_, audit)| begins(audit));
            let first = of(all.next());
            if all.next().is_some() {
                return Err(none(format!("several audits begin with '{name}'")));
            }
            first
        }
    };
    found.ok_or_else(|| match (name, audits.len()) {
        (_, 0) => none("nothing has been audited yet".to_owned()),
        ("previous", 1) => none("there is only one audit: nothing to compare it with".to_owned()),
        _ => {
            none(format!("'{name}' is no audit: give `last`, `previous`, a record's number, a day or the beginning of a digest"))
        }
    })
}
