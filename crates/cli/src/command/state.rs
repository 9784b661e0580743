//! `untether state`: the ledger's chain, database and files against it; a rebuild; a person's word on a lost tail or a clock.

use std::io::Read as _;

use serde::Serialize;
use untether_journal::{JournalError, OpenJournal, Opened as Journal};
use untether_ledger::files::FileError;
use untether_ledger::log::SEGMENT_BYTES;
use untether_ledger::{Area, Check, ClockPolicy, KeyError, LedgerError, SealedReader, Shelf, StateDir, check as walk};
use untether_model::digest::Digest;
use untether_model::plan::PlanHeader;
use untether_model::run::{Record, RunState};
use untether_model::{Side, WaveId};

use crate::args::StateCommand;
use crate::command::operate::operator;
use crate::command::plan::stored_audit;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::{How, Looked, Opened, clock, directory, holder, keys, summary_witness};
use crate::wiring::planning::load_header;

/// A version that no database has: one that is opened as of it is set aside, to be made again.
const NO_VERSION: u32 = 0;

/// `state check`, `state rebuild`, `state accept-clock`.
pub async fn run(config: &Config, command: &StateCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        StateCommand::Check => check(config, output).await,
        StateCommand::Rebuild { accept_loss, reason } => rebuild(config, (*accept_loss, reason), output).await,
        StateCommand::AcceptClock { reason } => accept_clock(config, reason, output).await,
    }
}

/// What was found.
#[derive(Default, Serialize)]
struct Found {
    ledger: Option<Check>,
    /// How the database compares with the ledger, in words.
    database: String,
    /// Files that the ledger names and that are there and whole.
    files: u64,
    /// What was put right without loss.
    repaired: Vec<String>,
    /// What is not as it was, and need not be.
    notes: Vec<String>,
    /// What is wrong.
    problems: Vec<String>,
}

async fn check(config: &Config, output: &Output) -> Result<Exit, CliError> {
    let dir = directory(config)?;
    let mut walked = walk(dir.disk(), &dir.ledger(), |_| {})?;
    let no_witness = walked.set_missing_witness_aside(&dir.ledger());
    let mut found = Found { problems: walked.problems.clone(), ..Found::default() };
    let torn = walked.torn;
    let sound = walked.is_sound();
    found.ledger = Some(walked);
    let owned = keys(&dir).err().map(|error| with_hint(&error));
    found.database = match (sound, &owned, holder(config)?, read_only(&dir)) {
        (false, ..) => "not compared: the ledger is not sound".to_owned(),
        (true, Some(_), ..) => "not compared: the ledger and its key do not fit".to_owned(),
        (true, None, Some((pid, since)), _) => {
            let pid = pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string());
            let since = since.map_or_else(|| "unknown".to_owned(), |s| s.to_string());
            format!("not compared: in use by process {pid} since {since}")
        }
        (true, None, None, Some(why)) => {
            let words = format!("{why}: nothing was repaired, and no run can go on here");
            found.notes.push(words);
            format!("not compared: {why}; it can always be made again from the ledger")
        }
        (true, None, None, None) => database(config, &mut found, output).await,
    };
    let repaired = |what: &str| found.repaired.iter().any(|line| line.contains(what));
    let (torn, no_witness) = (torn.filter(|_| !repaired("cut off")), no_witness.filter(|_| !repaired("ledger/HEAD")));
    found.problems.extend(no_witness);
    found.notes.extend(torn.map(|torn| {
        format!("the ledger ends with {} bytes that are no whole record: the next command cuts them off", torn.bytes)
    }));
    match owned {
        Some(problem) => found.problems.push(problem),
        None => match Looked::look(config) {
            Ok(looked) => files(&looked, &mut found),
            Err(error) => {
                let words = error.to_string();
                if !found.problems.contains(&words) {
                    found.problems.push(words);
                }
                found.notes.push("files were not looked for: the ledger cannot be folded".to_owned());
            }
        },
    }
    tell(&found, output);
    Ok(if found.problems.is_empty() { Exit::Done } else { Exit::State })
}

/// An error in one line.
fn with_hint(error: &CliError) -> String {
    error.hint.as_ref().map_or_else(|| error.to_string(), |hint| format!("{error}; {hint}"))
}

/// Why nothing can be written to the state directory, if nothing can.
fn read_only(dir: &StateDir) -> Option<&'static str> {
    use rustix::fs::{Access, access};
    match access(dir.root(), Access::WRITE_OK) {
        Err(rustix::io::Errno::ROFS) => Some("the state directory is on a read-only file system"),
        Err(rustix::io::Errno::ACCESS) => Some("this user may not write to the state directory"),
        _ => None,
    }
}

/// How the state that the database holds compares with the fold of the ledger.
async fn database(config: &Config, found: &mut Found, output: &Output) -> String {
    let opened = match Opened::open_with(config, How::default(), output) {
        Ok(opened) => opened,
        Err(error) => {
            found.problems.push(with_hint(&error));
            return "it cannot be opened".to_owned();
        }
    };
    found.repaired.clone_from(&opened.repaired);
    // Nobody appends between: this process has the state.
    let words = match Looked::look(config) {
        Ok(looked) if looked.state == opened.state_now() => "agrees with the ledger",
        Ok(_) => {
            found.problems.push("the state database says something else than the ledger: `untether state rebuild`".to_owned());
            "says something else than the ledger"
        }
        // The same error is told where the files are looked for.
        Err(_) => "not compared: the ledger cannot be folded",
    };
    drop(opened.finish().await);
    words.to_owned()
}

/// Looks for each file that the ledger names and reads it to its end, where its digest is known.
fn files(looked: &Looked, found: &mut Found) {
    let state = &looked.state;
    let newest = state.audits().keys().next_back();
    for (seq, audit) in state.audits() {
        let is_newest = newest == Some(seq);
        let name = format!("of the audit of {:.0} (record {seq})", audit.taken_at);
        let mut wanted = vec![(Area::Findings, audit.findings, "findings")];
        wanted.extend(audit.compared.as_ref().map(|c| (Area::Findings, c.register, "register of findings")));
        if file(looked, (Area::Snapshots, audit.snapshot), &format!("snapshot {name}"), is_newest, found) {
            match stored_audit(&looked.dir, &looked.keys, &audit.snapshot).map(|stored| stored.header().clone()) {
                Ok(header) => {
                    wanted.extend([
                        (Area::Snapshots, header.subjects, "subjects"),
                        (Area::Snapshots, header.shared.file, Side::Shared.as_str()),
                        (Area::Snapshots, header.independent.file, Side::Independent.as_str()),
                    ]);
                    let schemas = Side::ALL.into_iter().zip([header.shared.schema, header.independent.schema]);
                    wanted.extend(schemas.filter_map(|(side, schema)| Some((Area::Snapshots, schema?, schema_name(side)))));
                    wanted.extend(header.cases.map(|cases| (Area::Snapshots, cases, "undecided matches")));
                }
                Err(error) => found.problems.push(error.to_string()),
            }
        }
        for (area, digest, what) in wanted {
            file(looked, (area, digest), &format!("{what} {name}"), is_newest, found);
        }
    }
    for (id, order) in state.orders() {
        if file(looked, (Area::Plans, order.digest), &format!("head of order {id}"), true, found)
            && let Ok(PlanHeader { policy: Some(policy), .. }) = load_header(&looked.dir, &looked.keys, state, id)
        {
            file(looked, (Area::Plans, policy), &format!("policy of order {id}"), true, found);
        }
        if let Some(report) = order.report {
            file(looked, (Area::Plans, report), &format!("planning report of order {id}"), true, found);
        }
        for wave in &order.waves {
            let wave_id = WaveId::new(id.clone(), wave.name.as_str());
            if forgotten(state, &wave_id) {
                destroyed(looked, (&wave_id, &wave.digest), found);
            } else if wave.subjects + wave.operations > 0
                && file(looked, (Area::Plans, wave.digest), &format!("file of wave {wave_id}"), true, found)
            {
                blobs(looked, (&wave_id, &wave.digest), &wave.blobs, found);
            }
        }
    }
}

fn schema_name(side: Side) -> &'static str {
    match side {
        Side::Shared => "schema of the shared store",
        Side::Independent => "schema of the independent store",
    }
}

fn forgotten(state: &RunState, wave: &WaveId) -> bool {
    state.waves().get(wave).is_some_and(|w| w.forgotten.is_some())
}

/// The key of a forgotten wave must be gone.
fn destroyed(looked: &Looked, (id, wave): (&WaveId, &Digest), found: &mut Found) {
    let key = SealedReader::key_of(&looked.dir, &Shelf::of(Area::Plans), wave);
    if key.is_ok_and(|key| !matches!(looked.keys.key(&key), Err(KeyError::Gone(_)))) {
        found.problems.push(format!(
            "the key of wave {id} is still there although it was forgotten: `untether forget --wave {id} --execute` destroys it"
        ));
    } else {
        found.notes.push(format!("the key of wave {id} was destroyed by `forget`: its file cannot be read any more"));
    }
}

fn blobs(looked: &Looked, (id, wave): (&WaveId, &Digest), blobs: &[Digest], found: &mut Found) {
    if blobs.is_empty() {
        return;
    }
    match SealedReader::key_of(&looked.dir, &Shelf::of(Area::Plans), wave) {
        Ok(key) => {
            for blob in blobs {
                let name = format!("blob of wave {id}");
                read(looked, (&Shelf::within(Area::Blobs, &key), blob), &name, true, found);
            }
        }
        Err(error) => found.problems.push(format!("blobs of wave {id}: {}", chain(&error))),
    }
}

/// Whether the file is there and whole. One that is gone is a problem only where it is still needed.
fn file(looked: &Looked, (area, digest): (Area, Digest), name: &str, needed: bool, found: &mut Found) -> bool {
    read(looked, (&Shelf::of(area), &digest), name, needed, found)
}

fn read(looked: &Looked, (shelf, digest): (&Shelf, &Digest), name: &str, needed: bool, found: &mut Found) -> bool {
    let gone = match SealedReader::open(&looked.dir, &looked.keys, shelf, digest) {
        Ok(reader) => match to_end(reader) {
            Ok(()) => {
                found.files += 1;
                return true;
            }
            Err(error) => {
                found.problems.push(format!("{name}: {error}"));
                return false;
            }
        },
        Err(error @ FileError::Missing(_)) => chain(&error),
        Err(error) if error.is_gone() => {
            "its key is not in keys/, and no `forget` of it is recorded: restore keys/ from the backup of this state".to_owned()
        }
        Err(error) => {
            found.problems.push(format!("{name}: {}", chain(&error)));
            return false;
        }
    };
    if needed { &mut found.problems } else { &mut found.notes }.push(format!("{name}: {gone}"));
    false
}

/// Reads a sealed file to its end: only there its digest is known to be right.
fn to_end(mut reader: SealedReader) -> Result<(), std::io::Error> {
    let mut chunk = vec![0u8; 1 << 16];
    while reader.read(&mut chunk)? > 0 {}
    Ok(())
}

fn tell(found: &Found, output: &Output) {
    output.object("state.check", found);
    if let Some(ledger) = &found.ledger {
        let head = ledger.head.map_or_else(|| "no records".to_owned(), |head| format!("head {head}"));
        output.say(format!("ledger: {} records, segments: {}, {head}", ledger.frames, ledger.segments.len()));
        let witness = ledger.witness.map_or_else(|| "missing".to_owned(), |w| format!("record {}", w.seq));
        output.say(format!("second witness (ledger/HEAD): {witness}"));
    }
    output.say(format!("database: {}", found.database));
    output.say(format!("files: {} are there and whole", found.files));
    for line in &found.repaired {
        output.say(format!("repaired: {line}"));
    }
    for note in &found.notes {
        output.say(format!("note: {note}"));
    }
    for problem in &found.problems {
        output.say(format!("PROBLEM: {problem}"));
    }
    if found.problems.is_empty() {
        output.say("the state is sound");
    } else {
        output.say("A database or a lost end of the ledger: `untether state rebuild`. A file of an audit: `untether audit` again. Anything else: restore the state directory from its backup.");
    }
}

async fn rebuild(config: &Config, (accept_loss, reason): (bool, &str), output: &Output) -> Result<Exit, CliError> {
    if accept_loss && reason.trim().is_empty() {
        return Err(CliError::usage("accepting a loss needs a reason").hint("give --reason TEXT"));
    }
    let dir = directory(config)?;
    // Before anything is set aside.
    let _keys = keys(&dir)?;
    let lost = set_aside(dir, accept_loss)?;
    if lost.is_some() {
        // It knows of what is lost, and would be a witness of it for ever; the ledger gives another one.
        let dir = directory(config)?;
        if dir.disk().exists(&dir.summary()).map_err(LedgerError::from)? {
            dir.disk().remove(&dir.summary()).map_err(LedgerError::from)?;
        }
    }
    let opened = Opened::open_with(config, How { accept_loss, ..How::default() }, output)?;
    let mut repaired = None;
    if let Some(lost_from) = lost {
        let record = Record::Repaired { lost_from, by: operator(), reason: reason.to_owned() };
        repaired = Some(opened.record(record).await?);
    }
    let head = opened.finish().await;
    output.say(format!("the state database was made again from the ledger; head: {head}"));
    match (lost, repaired) {
        (Some(lost), Some(record)) => output.say(format!(
            "records up to {lost} are known to have existed and are lost; that was accepted (record {record}). What they did to the stores is not known: `untether audit` before anything is run"
        )),
        _ if accept_loss => output.say("nothing was lost"),
        _ => {}
    }
    output.object("state.rebuild", &serde_json::json!({ "head": head, "lost_from": lost, "record": repaired }));
    Ok(Exit::Done)
}

/// Takes the lock, has ledger and database compared and the database set aside; gives the last record that is known to be lost,
/// where a loss was found and accepted.
fn set_aside(dir: StateDir, accept_loss: bool) -> Result<Option<u64>, CliError> {
    let witness = summary_witness(&dir)?;
    let opened = Journal::open(OpenJournal {
        state: dir,
        clock: clock(),
        clock_policy: ClockPolicy::Refuse,
        segment_bytes: SEGMENT_BYTES,
        known_kind: &Record::knows,
        accept_loss,
        witness,
        parts_version: NO_VERSION,
        distrust: false,
    })
    .map_err(|error: JournalError| {
        let hint = if accept_loss {
            "restore the state directory from its backup"
        } else {
            "where the end of the ledger is lost and no backup has it: `untether state rebuild --accept-loss --reason TEXT`"
        };
        let refused = CliError::from(error);
        if refused.exit == Exit::State { refused.hint(hint) } else { refused }
    })?;
    let loss = opened.report().loss.as_ref();
    Ok(loss.map(|loss| loss.witnessed_seq.unwrap_or(loss.head_seq.saturating_add(1))))
}

async fn accept_clock(config: &Config, reason: &str, output: &Output) -> Result<Exit, CliError> {
    if reason.trim().is_empty() {
        return Err(CliError::usage("accepting the clock needs a reason").hint("give --reason TEXT"));
    }
    let opened = Opened::open_with(config, How { clock: ClockPolicy::Accept, ..How::default() }, output)?;
    let wall = opened.now();
    let record = opened.record(Record::ClockAccepted { wall, reason: reason.to_owned() }).await?;
    let head = opened.finish().await;
    output.say(format!("the clock's {wall} is accepted; head: {head}"));
    output.object("state.accept-clock", &serde_json::json!({ "wall": wall, "record": record, "head": head }));
    Ok(Exit::Done)
}
