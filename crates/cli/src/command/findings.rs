//! `untether findings`: the last audit's findings, filtered, and what the rules mean. Streams: a finding at a time.

mod filter;
mod marks;
mod waive;

use std::collections::BTreeMap;

use untether_audit::explain::{catalog, explain as documentation};
use untether_audit::rules::RuleDoc;
use untether_ledger::{Area, JsonLinesReader, SealedReader, Shelf};
use untether_model::finding::{Finding, Severity};
use untether_model::neutral;

use crate::args::{FindingsArgs, FindingsCommand, Format};
use crate::columns::wrap;
use crate::command::plan::last_snapshot;
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::Looked;

use filter::{Filter, severity, unknown_rule};
pub use marks::{Marks, Row};

/// Values of a fact that a table shows; the rest is counted.
const SHOWN_VALUES: usize = 20;

/// Hands each finding of the last audit to `each`.
pub fn each_finding(looked: &Looked, mut each: impl FnMut(Finding) -> Result<(), CliError>) -> Result<(), CliError> {
    let Some((_, digest)) = last_snapshot(&looked.state) else {
        return Err(CliError::usage("there are no findings yet: nothing has been audited").hint("`untether audit`"));
    };
    let reader = SealedReader::open(&looked.dir, &looked.keys, &Shelf::of(Area::Findings), &digest).map_err(|e| {
        let gone = if e.is_gone() { Exit::Resumable } else { Exit::State };
        CliError::new(gone, format!("the last audit's findings cannot be read: {}", chain(&e))).hint("`untether audit` again")
    })?;
    for finding in JsonLinesReader::<Finding, _>::new(reader) {
        each(finding.map_err(|e| CliError::state(chain(&e)))?)?;
    }
    Ok(())
}

/// `findings`, `findings waive`.
pub async fn run(config: &Config, args: &FindingsArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        Some(FindingsCommand::Waive(args)) => waive::run(config, args, output).await,
        None => list(config, args, output),
    }
}

fn list(config: &Config, args: &FindingsArgs, output: &Output) -> Result<Exit, CliError> {
    let filter = Filter::new(&args.filter)?;
    let fail_on = args.fail_on.as_deref().map(severity).transpose()?;
    let format = if output.is_json() { Format::Json } else { args.format };
    let looked = Looked::look(config)?;
    let marks = Marks::new(&looked.state, config, looked.now());
    let mut totals = Totals::default();
    let mut failed = false;
    if format == Format::Csv {
        output.raw(&csv_line(&CSV_COLUMNS.map(str::to_owned))?);
    }
    each_finding(&looked, |finding| {
        if !filter.takes(&finding, &looked.state) {
            return Ok(());
        }
        let row = marks.row(finding);
        if args.expiring && !row.is_expiring() {
            return Ok(());
        }
        totals.count(&row);
        failed |= row.waived_until.is_none() && fail_on.is_some_and(|least| row.finding.severity >= least);
        match format {
            Format::Json => output.line(&row),
            Format::Csv => output.raw(&csv_line(&csv_fields(&row))?),
            Format::Table => output.text(&block(&row)),
        }
        Ok(())
    })?;
    if format == Format::Table {
        output.text(&totals.words());
    }
    Ok(if failed { Exit::Findings } else { Exit::Done })
}

#[derive(Default)]
struct Totals {
    by_severity: BTreeMap<Severity, u64>,
    planned: u64,
    waived: u64,
}

impl Totals {
    fn count(&mut self, row: &Row) {
        if row.waived_until.is_some() {
            self.waived += 1;
        } else if row.planned {
            self.planned += 1;
        } else {
            *self.by_severity.entry(row.finding.severity).or_default() += 1;
        }
    }

    fn words(&self) -> String {
        let open: u64 = self.by_severity.values().sum();
        let each: Vec<String> = self.by_severity.iter().rev().map(|(severity, n)| format!("{n} {severity}")).collect();
        let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
        format!("{open} open{each}; {} in the hands of a wave; {} waived", self.planned, self.waived)
    }
}

/// One finding in a terminal.
fn block(row: &Row) -> String {
    let f = &row.finding;
    let entity = f.entity.as_ref().map_or("-", |e| e.as_str());
    let mut lines = vec![format!("{:<8} {:<26} {:<11} {}", f.severity, f.rule, f.store, neutral::terminal(entity))];
    if let Some(dn) = &f.dn {
        lines.push(format!("  {}", neutral::terminal(dn.as_str())));
    }
    let subject = f.subject.as_ref().map_or_else(String::new, |id| format!("  subject {id}"));
    let mut marks = Vec::new();
    marks.extend(f.protected.then(|| "protected".to_owned()));
    marks.extend(row.planned.then(|| "planned".to_owned()));
    marks.extend([&row.waiver, &row.decided].into_iter().flatten().map(marks::Mark::words));
    let marks = if marks.is_empty() { String::new() } else { format!("  [{}]", marks.join(", ")) };
    lines.push(format!("  finding {}{subject}{marks}", f.id));
    for (fact, values) in &f.evidence.facts {
        let shown: Vec<String> = values.iter().take(SHOWN_VALUES).map(|v| neutral::terminal(v)).collect();
        let more = values.len().saturating_sub(SHOWN_VALUES);
        let more = if more > 0 { format!(" … {more} more, {} in all", values.len()) } else { String::new() };
        lines.extend(wrap(&format!("{}: {}{more}", neutral::terminal(fact), shown.join("; "))));
    }
    lines.extend(wrap(&format!("remedy: {}", neutral::terminal(&f.remedy))));
    lines.join("\n")
}

const CSV_COLUMNS: [&str; 13] = [
    "id",
    "rule",
    "severity",
    "store",
    "dn",
    "subject",
    "entity",
    "protected",
    "planned",
    "waived_until",
    "evidence",
    "remedy",
    "marks",
];

fn csv_fields(row: &Row) -> [String; 13] {
    let marks: Vec<String> = [&row.waiver, &row.decided].into_iter().flatten().map(marks::Mark::words).collect();
    let f = &row.finding;
    let facts: Vec<String> = f.evidence.facts.iter().map(|(fact, values)| format!("{fact}: {}", values.join("; "))).collect();
    [
        f.id.to_string(),
        f.rule.clone(),
        f.severity.to_string(),
        f.store.to_string(),
        f.dn.as_ref().map(|dn| dn.as_str().to_owned()).unwrap_or_default(),
        f.subject.as_ref().map(ToString::to_string).unwrap_or_default(),
        f.entity.as_ref().map(ToString::to_string).unwrap_or_default(),
        f.protected.to_string(),
        row.planned.to_string(),
        row.waived_until.map(|day| day.to_string()).unwrap_or_default(),
        facts.join(" | "),
        f.remedy.clone(),
        marks.join(" | "),
    ]
    .map(|field| neutral::cell(&field))
}

/// One line of comma-separated values, without its line feed.
pub fn csv_line(fields: &[String]) -> Result<String, CliError> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    writer.write_record(fields).map_err(CliError::failed)?;
    let bytes = writer.into_inner().map_err(CliError::failed)?;
    let text = String::from_utf8(bytes).map_err(CliError::failed)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// `findings --explain RULE`.
pub fn explain(rule: &str, output: &Output) -> Result<Exit, CliError> {
    if rule == "all" {
        for doc in catalog() {
            output.say(format!("{}\n  {}", doc.id, doc.raised));
            output.row(&explained(doc));
        }
        return Ok(Exit::Done);
    }
    let doc = documentation(rule).ok_or_else(|| unknown_rule(rule))?;
    output.say(format!(
        "{}\n\nRaised when:  {}\nSeverity:     {}\nWhy:          {}\nWhat to do:   {}\nAnswers:      {}",
        doc.id,
        doc.raised,
        doc.severity,
        doc.rationale,
        doc.remedy,
        doc.answers.join("; ")
    ));
    output.object("explain", &explained(doc));
    Ok(Exit::Done)
}

fn explained(doc: &RuleDoc) -> serde_json::Value {
    serde_json::json!({
        "rule": doc.id, "raised": doc.raised, "severity": doc.severity, "rationale": doc.rationale, "remedy": doc.remedy,
        "answers": doc.answers,
    })
}

#[cfg(test)]
mod tests {
    use untether_model::FindingId;
    use untether_model::finding::{Evidence, Place};

    use super::*;
    use crate::columns::WIDTH;

    fn row(values: usize) -> Row {
        let mut evidence = Evidence::new();
        (0..values).for_each(|n| evidence.add("member-of", format!("cn=g{n}")));
        let finding = Finding {
            id: FindingId::new("f"),
            rule: "residual.departed".into(),
            severity: Severity::High,
            store: Place::Shared,
            dn: None,
            stable_id: None,
            subject: None,
            entity: None,
            protected: false,
            evidence: evidence.with("note", "\u{1b}[31m"),
            remedy: "=cmd()".into(),
        };
        Row { finding, planned: false, waived_until: None, waiver: None, decided: None }
    }

    #[test]
    fn a_table_shows_the_first_values_and_their_number_and_stays_in_eighty_columns() {
        let text = block(&row(25));
        assert!(text.contains("cn=g19 … 5 more, 25 in all"), "{text}");
        assert!(!text.contains("cn=g20"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn csv_holds_every_value_and_no_formula() {
        let fields = csv_fields(&row(25));
        assert!(fields[10].contains("cn=g24"));
        assert_eq!(fields[11], "'=cmd()");
        assert_eq!(csv_line(&["a\"b".to_owned(), "c,d".to_owned()]).unwrap(), "\"a\"\"b\",\"c,d\"");
    }
}
