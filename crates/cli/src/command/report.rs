//! `untether report`: progress, computed from the ledger. Never needs the state's lock.

use untether_ledger::{Reader, StateDir};
use untether_model::run::{Record, RunState, apply};
use untether_report::{History, Inputs, ProgressReport, compute, entity_csv, markdown};

use crate::args::{Format, Lang};
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::directory;

/// `report`.
pub fn run(config: &Config, (format, lang): (Format, Lang), output: &Output) -> Result<Exit, CliError> {
    let format = if output.is_json() { Format::Json } else { format };
    if format == Format::Table {
        return Err(CliError::usage("a report cannot be written as table").hint("formats are: md, json, csv"));
    }
    let report = report_of(config, &directory(config)?)?;
    match format {
        Format::Json => Output::new(true).object("report", &report),
        Format::Md | Format::Table => output.raw(markdown(&report, lang.into()).trim_end()),
        Format::Csv => {
            let table = entity_csv(&report, lang.into()).map_err(CliError::failed)?;
            // Excel takes a file without this mark for Shift_JIS.
            let mark = if lang == Lang::Ja { "\u{feff}" } else { "" };
            output.raw(&format!("{mark}{}", table.trim_end()));
        }
    }
    Ok(Exit::Done)
}

/// The report of a ledger.
pub fn report_of(config: &Config, dir: &StateDir) -> Result<ProgressReport, CliError> {
    let mut reader = Reader::open(dir.disk(), &dir.ledger())?;
    let (mut state, mut history) = (RunState::new(), History::new());
    while let Some(frame) = reader.next_frame()? {
        if frame.is_seam() {
            continue;
        }
        let damaged = |e: &dyn std::error::Error| {
            CliError::state(format!("record {}: {}", frame.seq(), chain(e))).hint("`untether state check`")
        };
        let record = Record::from_parts(&frame.kind, frame.body()).map_err(|e| damaged(&e))?;
        let change = apply(&state, frame.seq(), frame.wall, &record).map_err(|e| damaged(&e))?;
        state.commit(change);
        history.take(frame.seq(), frame.wall, &record);
    }
    let inputs = Inputs { state: &state, history: &history, entities: &config.audit.entities, policy: config.plan.as_ref() };
    Ok(compute(&inputs))
}

impl From<Lang> for untether_report::Lang {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Ja => Self::Ja,
            Lang::En => Self::En,
        }
    }
}
