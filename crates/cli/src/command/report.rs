//! `untether report`: progress, computed from the ledger. Never needs the state's lock.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use untether_ledger::StateDir;
use untether_model::run::{RunState, apply};
use untether_report::{CsvError, History, Inputs, ProgressReport, Table, compute, csv, html, markdown, published, tables};

use crate::args::{Lang, ReportArgs, ReportFormat};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{directory, now_after};
use crate::wiring::records::{each_record, unreadable};

/// The table that stands for the report where only one fits.
const MAIN_TABLE: &str = "entities";

/// `report`.
pub fn run(config: &Config, args: &ReportArgs, output: &Output) -> Result<Exit, CliError> {
    let format = if output.is_json() && args.out.is_none() { ReportFormat::Json } else { args.format };
    let report = report_of(config, &directory(config)?, None)?;
    let lang = args.lang.into();
    match &args.out {
        Some(dir) => write(&report, (format, lang), dir, output)?,
        None => tell(&report, (format, lang), output)?,
    }
    Ok(Exit::Done)
}

/// The report of a ledger, made at this time; `None`: now, and not before its last record.
pub fn report_of(config: &Config, dir: &StateDir, now: Option<Timestamp>) -> Result<ProgressReport, CliError> {
    // Nobody waits for what takes longer to give back, piece by piece, than the page takes to write: the process ends.
    let mut state = ManuallyDrop::new(RunState::new());
    let mut history = History::new();
    let mut last = None;
    let head = each_record(dir, |seq, at, record| {
        last = Some(at);
        let change = apply(&state, seq, at, record).map_err(|e| unreadable(seq, &e))?;
        state.commit(change);
        history.take(seq, at, record);
        Ok(())
    })?;
    Ok(compute(&Inputs {
        state: &state,
        history: &history,
        head: head.map(|head| head.hash.to_hex()),
        entities: &config.audit.entities,
        policy: config.plan.as_ref(),
        now: now.unwrap_or_else(|| now_after(last)),
    }))
}

/// Writes one form to standard output.
fn tell(report: &ProgressReport, (format, lang): (ReportFormat, untether_report::Lang), output: &Output) -> Result<(), CliError> {
    match format {
        ReportFormat::Json => Output::new(true).object("report", report),
        ReportFormat::Csv => {
            let all = tables(report, lang);
            let main = all.iter().find(|table| table.name == MAIN_TABLE);
            if let Some(table) = main {
                output.raw(text_of(table, (lang, &report.zone))?.trim_end());
            }
        }
        _ => output.raw(page(report, (format, lang)).trim_end()),
    }
    Ok(())
}

/// A form that is one text.
fn page(report: &ProgressReport, (format, lang): (ReportFormat, untether_report::Lang)) -> String {
    match format {
        ReportFormat::Html => html(report, lang),
        ReportFormat::Published => published(report, lang),
        ReportFormat::Md | ReportFormat::Json | ReportFormat::Csv => markdown(report, lang),
    }
}

fn text_of(table: &Table, how: (untether_report::Lang, &str)) -> Result<String, CliError> {
    csv(table, how).map_err(|e: CsvError| CliError::failed(e))
}

/// Writes files to a directory: the page and, beside a page or instead of it, each table. What is there under other names stays.
fn write(
    report: &ProgressReport,
    (format, lang): (ReportFormat, untether_report::Lang),
    dir: &Path,
    output: &Output,
) -> Result<(), CliError> {
    let mut files: Vec<(String, String)> = Vec::new();
    let name = |stem: &str, extension: &str| format!("{stem}.{}.{extension}", lang.code());
    match format {
        ReportFormat::Html => files.push((name("report", "html"), page(report, (format, lang)))),
        ReportFormat::Md => files.push((name("report", "md"), page(report, (format, lang)))),
        ReportFormat::Published => files.push((name("published", "txt"), page(report, (format, lang)))),
        ReportFormat::Json => files.push(("report.json".to_owned(), Output::schema_line("report", report) + "\n")),
        ReportFormat::Csv => {}
    }
    if matches!(format, ReportFormat::Html | ReportFormat::Csv) {
        for table in tables(report, lang) {
            files.push((name(table.name, "csv"), text_of(&table, (lang, &report.zone))?));
        }
    }
    let failed = |path: &Path, e: std::io::Error| CliError::failed(format!("'{}' cannot be written: {e}", path.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, content) in &files {
        let path = dir.join(name);
        // Whoever looks at the file meanwhile sees the old one or the new one, never half of it.
        let unfinished = dir.join(format!(".{name}.tmp"));
        std::fs::write(&unfinished, content).map_err(|e| failed(&unfinished, e))?;
        std::fs::rename(&unfinished, &path).map_err(|e| failed(&path, e))?;
        output.say(path.display().to_string());
        written.push(path);
    }
    output.object("report.files", &serde_json::json!({ "files": written, "record": report.as_of.record }));
    Ok(())
}

impl From<Lang> for untether_report::Lang {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Ja => Self::Ja,
            Lang::En => Self::En,
        }
    }
}
