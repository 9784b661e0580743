//! `handover print`: a sheet a person, inside files that only the recipients can open.
//!
//! What is printed never touches a disk or a terminal in the clear: it is encrypted in memory.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use untether_cutover::{Engine, Held};
use untether_model::digest::Digest;
use untether_model::run::Record;
use untether_model::{BatchId, SubjectId};

use super::credentials::{Row, Source, look, recorded, scope};
use super::list::state_name;
use super::sheet::{Sheet, document};
use crate::args::{Lang, PrintArgs, StateName};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::handover::{encrypt, file_stem, login_of, unreachable};
use untether_model::neutral::terminal as safe;

/// Longest instructions that are read.
const LONGEST: u64 = 64 << 10;

/// `handover print`.
pub async fn run(config: &Config, args: &PrintArgs, output: &Output) -> Result<Exit, CliError> {
    if is_standard_output(args) {
        if std::io::stdout().is_terminal() {
            return Err(CliError::usage("sheets are not written to a terminal, not even encrypted")
                .hint("give --output FILE, or send standard output into a file"));
        }
        if output.is_json() {
            return Err(CliError::usage("with --json, standard output carries JSON only").hint("give --output FILE"));
        }
    }
    let instructions = instructions(config, args.lang)?;
    let opened = Opened::open(config).await?;
    let state = opened.state_now();
    let source = Source { dir: &opened.dir, keys: &opened.keys, state: &state };
    let credentials = recorded(source, &scope(source, &args.whose)?)?;
    let (rows, _) = look(config, &opened.keys.marks(), credentials, opened.now()).await?;
    let (wanted, others): (Vec<Row>, Vec<Row>) =
        rows.into_iter().filter(|row| row.credential.current).partition(|row| row.waits() || row.state == StateName::Unknown);
    for row in &others {
        output.note(format!(
            "no sheet for {} ({}): {}",
            safe(&row.credential.login()),
            row.credential.subject,
            state_name(row.state)
        ));
    }
    if wanted.is_empty() {
        return Err(CliError::usage("nobody of those holds a one-time credential that could be used")
            .hint("`untether handover list` shows what became of each"));
    }
    if let Some(why) = wanted.iter().find_map(|row| recipients_missing(config, row)) {
        return Err(CliError::usage(why));
    }
    let display = opened.display(output);
    let engine = Engine::new(opened.ports(config, display.sink())?, config.run.in_flight);
    display.finish();
    let subjects: Vec<SubjectId> = wanted.iter().map(|row| row.credential.subject.clone()).collect();
    let held = engine.held(&subjects)?;
    let by_subject: BTreeMap<&SubjectId, &Row> = wanted.iter().map(|row| (&row.credential.subject, row)).collect();
    let desks = desks(config, &held);
    let places = places(&opened, args, desks.keys())?;
    let mut written = Vec::new();
    for ((stem, people), place) in desks.iter().zip(places) {
        let sheets: Vec<Sheet<'_>> = people.iter().filter_map(|held| sheet(config, held, &by_subject)).collect();
        let html = zeroize::Zeroizing::new(document(args.lang, &sheets, &instructions));
        let Some(first) = people.first() else { continue };
        let (_, recipients) = config.handover.desk(&first.person.entity, &first.person.wave);
        let encrypted = encrypt(recipients, html.as_bytes()).map_err(CliError::failed)?;
        let file = write(&opened, &place, &encrypted)?;
        record(&opened, (&file, &encrypted), people).await?;
        output.note(format!("{} sheets for {stem}: {file}", sheets.len()));
        written.push(json!({ "file": file, "people": sheets.len() }));
    }
    output.note(format!("ledger at {}", opened.finish().await));
    if !is_standard_output(args) {
        output.say("each recipient opens and prints them: age -d -i KEY FILE > sheets.html (then delete sheets.html)");
    }
    output.object("handover-print", &json!({ "files": written }));
    Ok(Exit::Done)
}

fn is_standard_output(args: &PrintArgs) -> bool {
    args.output.as_deref().is_some_and(|path| path == Path::new("-") || path == Path::new("/dev/stdout"))
}

fn recipients_missing(config: &Config, row: &Row) -> Option<String> {
    let (entity, wave) = (&row.credential.entity, &row.credential.batch.wave);
    let (_, recipients) = config.handover.desk(entity, wave);
    let why = || format!("sheets for people of '{entity}' could be opened by nobody: configure handover.recipients");
    unreachable(config, entity, wave).or_else(|| recipients.is_empty().then(why))
}

/// The organization's own words; empty where none are configured.
fn instructions(config: &Config, lang: Lang) -> Result<String, CliError> {
    let files = &config.handover.sheet.instructions;
    let Some(path) = (match lang {
        Lang::Ja => &files.ja,
        Lang::En => &files.en,
    }) else {
        return Ok(String::new());
    };
    let refused = |why: String| CliError::usage(format!("the instructions '{}' cannot be used: {why}", path.display()));
    let length = std::fs::metadata(path).map_err(|e| refused(e.to_string()))?.len();
    if length > LONGEST {
        return Err(refused(format!("{length} bytes do not fit on a sheet")));
    }
    let bytes = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()).hint("save it as UTF-8"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The people of each desk, by the stem of its file's name.
fn desks<'a>(config: &Config, held: &'a [Held]) -> BTreeMap<String, Vec<&'a Held>> {
    let mut desks: BTreeMap<String, Vec<&'a Held>> = BTreeMap::new();
    for one in held {
        let (desk, _) = config.handover.desk(&one.person.entity, &one.person.wave);
        desks.entry(file_stem(&one.unit, desk)).or_default().push(one);
    }
    desks
}

/// Where the file of each desk goes.
enum Place {
    /// Below the state directory.
    Kept(String),
    /// A new file.
    File(PathBuf),
    StandardOutput,
}

fn places<'a>(
    opened: &Opened,
    args: &PrintArgs,
    stems: impl ExactSizeIterator<Item = &'a String>,
) -> Result<Vec<Place>, CliError> {
    let lang = match args.lang {
        Lang::Ja => "ja",
        Lang::En => "en",
    };
    let name = |stem: &String| format!("{stem}.sheets.{lang}.html.age");
    let Some(path) = &args.output else { return Ok(stems.map(|stem| Place::Kept(name(stem))).collect()) };
    if path.is_dir() {
        return Ok(stems.map(|stem| Place::File(path.join(name(stem)))).collect());
    }
    if stems.len() > 1 {
        let words = format!("these sheets are for {} desks, each with a file of its own", stems.len());
        return Err(CliError::usage(words).hint("give a directory, or choose one of them by --batch or --entity"));
    }
    if path.starts_with(opened.dir.root()) {
        return Err(CliError::usage(format!("'{}' is inside the state directory", path.display()))
            .hint("leave --output away: then the file goes to its place below handover/"));
    }
    Ok(vec![if is_standard_output(args) { Place::StandardOutput } else { Place::File(path.clone()) }])
}

fn sheet<'a>(config: &'a Config, held: &'a Held, rows: &BTreeMap<&SubjectId, &'a Row>) -> Option<Sheet<'a>> {
    let row = rows.get(&held.person.subject)?;
    let seen = row.seen.as_ref();
    let valid = config.handover.valid.and_then(|span| i64::try_from(span.seconds).ok());
    let until = valid.and_then(|seconds| row.credential.at.checked_add(jiff::SignedDuration::from_secs(seconds)).ok());
    let zone = config.audit.entities.get(&held.person.entity).and_then(|entity| entity.zone());
    Some(Sheet {
        name: seen.and_then(|s| s.name.clone()),
        login: login_of(&held.person.dn),
        account: seen.map_or(&held.person.dn, |s| &s.dn),
        login_url: config.handover.sheet.login_url.as_deref(),
        secret: &held.person.secret,
        until: until.map(|at| at.to_zoned_datetime(zone.unwrap_or(jiff::tz::TimeZone::UTC))),
    })
}

/// Writes what is encrypted already; nothing is overwritten but what we have written ourselves below the state directory.
fn write(opened: &Opened, place: &Place, encrypted: &[u8]) -> Result<String, CliError> {
    match place {
        Place::Kept(name) => {
            let path = opened.dir.write_handover(name, encrypted)?;
            Ok(path.display().to_string())
        }
        Place::StandardOutput => {
            let mut out = std::io::stdout().lock();
            out.write_all(encrypted).and_then(|()| out.flush()).map_err(|e| CliError::failed(format!("standard output: {e}")))?;
            Ok("standard output".to_owned())
        }
        Place::File(path) => {
            let failed = |e: std::io::Error| CliError::failed(format!("'{}' cannot be written: {e}", path.display()));
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
            file.write_all(encrypted).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(path.display().to_string())
        }
    }
}

/// Whose credential is in which file is on record, by the batch that set it.
async fn record(opened: &Opened, (file, encrypted): (&str, &[u8]), people: &[&Held]) -> Result<(), CliError> {
    let mut units: BTreeMap<&BatchId, Vec<SubjectId>> = BTreeMap::new();
    for held in people {
        units.entry(&held.unit).or_default().push(held.person.subject.clone());
    }
    for (unit, subjects) in units {
        let (batch, file, digest) = (unit.clone(), file.to_owned(), Digest::of(encrypted));
        opened.record(Record::HandoverWritten { batch, file, digest, subjects }).await?;
    }
    Ok(())
}
