//! `correlate import`: what a reviewed file decides, what is wrong with it, and its record: all of it or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use untether_audit::correlate::Decisions;
use untether_audit::encoding::decode;
use untether_model::keys::fold;
use untether_model::matching::MatchCase;
use untether_model::neutral::terminal;
use untether_model::run::{Decided, Decision, DecisionId, Match, MatchVerb};

use super::decide::{free, told};
use super::sheet::{ACCOUNT_ROW, COLUMNS, SNAPSHOT, SheetRow, header, is_same, is_volatile, snapshot_field, table};
use super::target::Look;
use crate::args::WhyArgs;
use crate::command::decide::{Asked, NO_END, Recorded, record};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};

/// A review of more than this is something else.
const LIMIT_BYTES: u64 = 256 << 20;
/// Problems that are told one by one.
const TOLD: usize = 50;

/// `correlate import`.
pub async fn run(config: &Config, (path, older): (&Path, bool), why: &WhyArgs, output: &Output) -> Result<Exit, CliError> {
    // Held before anything is looked at, so that nothing changes between what is shown and what is signed.
    let opened = Opened::open(config).await?;
    let looked = Looked::look(config)?;
    let look = Look::new(config, &looked)?;
    let sheet = Sheet::read(path)?;
    let read = Review { look: &look, older, reason: why.reason.trim(), shift_jis: sheet.shift_jis }.read(&sheet)?;
    if !read.problems.is_empty() {
        let mut problems = read.problems;
        problems.sort();
        let count = problems.len();
        let mut listed: Vec<String> = problems.into_iter().take(TOLD).map(|p| p.words).collect();
        if count > TOLD {
            listed.push(format!("and {} more", count - TOLD));
        }
        let what = if count == 1 { "1 problem" } else { "several problems" };
        return Err(CliError::usage(format!(
            "'{}' is refused, nothing was recorded ({what}): {}",
            path.display(),
            listed.join("; ")
        ))
        .hint("correct these lines, or export again: `untether correlate export`"));
    }
    for line in &read.wanted {
        output.say(format!("line {}: {}", line.line, line.words));
    }
    for (line, id) in &read.repeated {
        output.say(format!("line {line}: decision {id} says that already"));
    }
    let counts = |verb: MatchVerb| read.wanted.iter().filter(|w| w.decided.verb == verb).count();
    let (confirmed, denied) = (counts(MatchVerb::Confirm), counts(MatchVerb::Deny));
    output.say(format!(
        "{} decisions: {confirmed} confirm, {denied} deny; {} said already; {} of the {} cases in the file stay undecided",
        read.wanted.len(),
        read.repeated.len(),
        read.untouched,
        read.cases
    ));
    let body = |recorded: Option<(&str, u64)>| {
        serde_json::json!({
            "file": path, "cases": read.cases, "untouched": read.untouched,
            "decisions": read.wanted.iter().map(|w| serde_json::json!({ "line": w.line, "decision": w.decided, "reason": w.reason })).collect::<Vec<_>>(),
            "repeated": read.repeated.iter().map(|(line, id)| serde_json::json!({ "line": line, "decision": id })).collect::<Vec<_>>(),
            "by": recorded.map(|(by, _)| by), "record": recorded.map(|(_, record)| record),
        })
    };
    let sign = &why.sign;
    if read.wanted.is_empty() || (sign.key.is_none() && sign.signature.is_none() && sign.statement.is_none()) {
        if !read.wanted.is_empty() {
            output.say("Nothing was recorded. To decide this: the same command with --as NAME --key FILE");
        }
        output.object("correlate.import", &body(None));
        return Ok(Exit::Done);
    }
    let subjects: Vec<_> = read.wanted.iter().flat_map(|w| w.decided.subjects.iter().cloned()).collect();
    let first = free(&looked.state, &subjects)?;
    told(&first, output);
    let decisions: Vec<Decided> = read
        .wanted
        .iter()
        .map(|w| Decided { decision: Decision::Match(w.decided.clone()), reason: Some(w.reason.clone()), shown: w.shown })
        .collect();
    let reviewed = if why.reason.trim().is_empty() { "reviewed line by line" } else { why.reason.trim() };
    let asked = Asked {
        kind: "match",
        object: format!("{} decisions of a reviewed file", decisions.len()),
        reason: reviewed,
        not_after: NO_END,
        first,
    };
    if let Recorded::Done(by, record) = record(config, &opened, asked, (decisions, sign), output).await? {
        output.say(format!("{by} decided all of it (record {record}). Next: `untether audit`, then `untether plan`."));
        output.object("correlate.import", &body(Some((&by, record))));
    }
    Ok(Exit::Done)
}

/// A file as it was read.
struct Sheet {
    /// The place of each known column.
    places: BTreeMap<&'static str, usize>,
    rows: Vec<(u64, csv::StringRecord)>,
    shift_jis: bool,
}

impl Sheet {
    fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display();
        let refused = |why: String| CliError::usage(format!("'{name}' is refused, nothing was recorded: {why}"));
        let length = std::fs::metadata(path).map_err(|e| refused(e.to_string()))?.len();
        if length > LIMIT_BYTES {
            return Err(refused(format!("it has {} MiB; is this the reviewed file?", length >> 20)));
        }
        let bytes = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
        let decoded = decode(&bytes).map_err(|error| refused(error.to_string()).hint("save it as CSV UTF-8"))?;
        // In some countries a spreadsheet separates by semicolons, and one may paste tabs.
        let first = decoded.text.lines().next().unwrap_or_default();
        let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|d| first.bytes().filter(|b| b == d).count()).unwrap_or(b',');
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(decoded.text.as_bytes());
        let mut records = reader.records();
        let header_line = records.next().transpose().map_err(|e| refused(e.to_string()))?.unwrap_or_default();
        let mut places = BTreeMap::new();
        for column in header() {
            let mut found = header_line.iter().enumerate().filter(|(_, h)| fold(h) == column).map(|(place, _)| place);
            let place = found.next().ok_or_else(|| refused(format!("it has no column '{column}'")))?;
            if found.next().is_some() {
                return Err(refused(format!("it has the column '{column}' twice")));
            }
            places.insert(column, place);
        }
        let mut rows = Vec::new();
        for record in records {
            let record = record.map_err(|e| refused(e.to_string()))?;
            if record.iter().any(|field| !field.trim().is_empty()) {
                rows.push((record.position().map_or(0, csv::Position::line), record));
            }
        }
        Ok(Self { places, rows, shift_jis: decoded.shift_jis })
    }

    fn field<'r>(&self, row: &'r csv::StringRecord, column: &str) -> &'r str {
        self.places.get(column).and_then(|place| row.get(*place)).unwrap_or("").trim()
    }
}

/// What is wrong with a line.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    line: u64,
    words: String,
}

/// A row that was read: the number of its candidate, and what is decided on it, if anything.
type ReadRow = (Option<usize>, Option<WantedLine>);

/// A decision that a line makes.
struct WantedLine {
    line: u64,
    words: String,
    reason: String,
    decided: Match,
    shown: untether_model::digest::Digest,
}

#[derive(Default)]
struct Read {
    wanted: Vec<WantedLine>,
    repeated: Vec<(u64, DecisionId)>,
    problems: Vec<Problem>,
    /// Cases that lines of the file are about.
    cases: usize,
    /// Of these, cases on which no line decides.
    untouched: usize,
}

/// Reads a file against the last audit.
struct Review<'a> {
    look: &'a Look<'a>,
    older: bool,
    /// Of rows without one of their own.
    reason: &'a str,
    shift_jis: bool,
}

impl Review<'_> {
    fn read(&self, sheet: &Sheet) -> Result<Read, CliError> {
        let mut read = Read::default();
        // The rows of each case, in the order of the file.
        let mut by_case: BTreeMap<&str, Vec<(u64, &csv::StringRecord)>> = BTreeMap::new();
        for (line, row) in &sheet.rows {
            by_case.entry(sheet.field(row, "case")).or_default().push((*line, row));
        }
        read.cases = by_case.len();
        let mut trial = self.look.decisions.clone();
        for case in self.look.cases()? {
            let case = case?;
            if let Some(rows) = by_case.remove(case.id.as_str()) {
                self.case(sheet, &case, &rows, (&mut trial, &mut read));
            }
        }
        for (id, rows) in by_case {
            for (line, row) in rows {
                if sheet.field(row, "decision").is_empty() && sheet.field(row, "reason").is_empty() {
                    continue;
                }
                let words = if id.is_empty() {
                    format!("line {line}: the column 'case' is empty; a line that was not exported decides nothing")
                } else {
                    format!("line {line}: the last audit has no undecided match '{}' (any more)", terminal(id))
                };
                read.problems.push(Problem { line, words });
            }
        }
        read.wanted.sort_by_key(|w| w.line);
        Ok(read)
    }

    fn case(
        &self,
        sheet: &Sheet,
        case: &MatchCase,
        rows: &[(u64, &csv::StringRecord)],
        (trial, read): (&mut Decisions, &mut Read),
    ) {
        let written = table(case);
        let mut seen: BTreeMap<Option<usize>, u64> = BTreeMap::new();
        let mut confirmed: Option<u64> = None;
        let before = read.wanted.len() + read.repeated.len();
        for (line, row) in rows {
            match self.row(sheet, case, (*line, row), &written) {
                Ok(None) => {}
                Ok(Some((candidate, wanted))) => {
                    let mut refuse = |words: String| read.problems.push(Problem { line: *line, words });
                    if let Some(earlier) = seen.insert(candidate, *line) {
                        refuse(format!("line {line}: repeats line {earlier}"));
                        continue;
                    }
                    let Some(wanted) = wanted else { continue };
                    if wanted.decided.verb == MatchVerb::Confirm
                        && let Some(earlier) = confirmed.replace(*line)
                    {
                        refuse(format!(
                            "line {line}: confirms a second candidate; line {earlier} confirms another one of case {}",
                            case.id
                        ));
                        continue;
                    }
                    if let Some(id) = self.look.decisions.said_before(&wanted.decided) {
                        read.repeated.push((*line, id));
                        continue;
                    }
                    // Decisions of the file itself are numbered by their lines behind all records.
                    let id = DecisionId { record: u64::MAX, item: u32::try_from(*line).unwrap_or(u32::MAX) };
                    match trial.decide(id, &wanted.decided) {
                        Ok(()) => read.wanted.push(wanted),
                        Err(contradiction) => refuse(contradicts(*line, &contradiction)),
                    }
                }
                Err(words) => read.problems.push(Problem { line: *line, words }),
            }
        }
        if before == read.wanted.len() + read.repeated.len() {
            read.untouched += 1;
        }
    }

    /// One row: the candidate and what is decided on it; nothing for a row that decides nothing and cannot be compared any more.
    fn row(
        &self,
        sheet: &Sheet,
        case: &MatchCase,
        (line, row): (u64, &csv::StringRecord),
        written: &[SheetRow],
    ) -> Result<Option<ReadRow>, String> {
        let field = |column: &str| sheet.field(row, column);
        let decision = fold(field("decision"));
        let own = field("reason");
        let is_touched = !decision.is_empty() || !own.is_empty();
        let named = fold(field("row"));
        let same = written.iter().find(|w| fold(w.fields.get(3).map_or("", String::as_str)) == named);
        let Some(same) = same else {
            return match is_touched {
                true => Err(format!(
                    "line {line}: the column 'row' says '{}', which case {} does not have",
                    terminal(&named),
                    case.id
                )),
                false => Ok(None),
            };
        };
        let newest = snapshot_field(&self.look.snapshot);
        let is_newest = field(SNAPSHOT) == newest;
        if same.seen() != field("seen") {
            return match (is_touched, is_newest) {
                (false, _) => Ok(None),
                (true, true) => Err(format!("line {line}: the column 'seen' was edited; it is what the line is checked by")),
                (true, false) => Err(format!(
                    "line {line}: the facts of case {} have changed since the export; look at it again (`untether correlate --case {}`)",
                    case.id, case.id
                )),
            };
        }
        if is_touched && !is_newest && !self.older {
            return Err(format!(
                "line {line}: the file was written from an older audit; the facts of case {} are still the same (--older takes such lines)",
                case.id
            ));
        }
        for (column, was) in COLUMNS.iter().zip(&same.fields).skip(2) {
            let is = field(column);
            if !is_same(was, is, self.shift_jis) && (is_newest || !is_volatile(column)) {
                return Err(format!(
                    "line {line}, column '{column}': '{}' was edited to '{}'; decide in the column 'decision'",
                    terminal(was),
                    terminal(is)
                ));
            }
        }
        let verb = match decision.as_str() {
            "" if own.is_empty() => return Ok(Some((same.candidate, None))),
            "" => return Err(format!("line {line}: has a reason and no decision")),
            "confirm" => MatchVerb::Confirm,
            "deny" => MatchVerb::Deny,
            other => return Err(format!("line {line}, column 'decision': '{}' is neither confirm nor deny", terminal(other))),
        };
        let Some(candidate) = same.candidate.and_then(|n| case.candidates.get(n.checked_sub(1)?)) else {
            return Err(format!("line {line}: an {ACCOUNT_ROW}'s own line takes no decision; decide beside its candidates"));
        };
        let reason = if own.is_empty() { self.reason } else { own };
        if reason.is_empty() {
            return Err(format!("line {line}: has no reason; write one, or give --reason for all lines without"));
        }
        let account = &case.account;
        let mut others = vec![candidate.card.anchor.clone()];
        if verb == MatchVerb::Deny {
            others.extend(candidate.accounts.iter().map(|held| held.anchor.clone()));
        }
        let subjects = account.subject.iter().chain(&candidate.card.subject).cloned().collect();
        let words =
            format!("{verb} {} with {} — {}", terminal(&account.title()), terminal(&candidate.card.title()), terminal(reason));
        let decided = Match { verb, these: vec![account.anchor.clone()], others, subjects };
        Ok(Some((same.candidate, Some(WantedLine { line, words, reason: reason.to_owned(), decided, shown: case.shown() }))))
    }
}

fn contradicts(line: u64, contradiction: &untether_audit::correlate::Contradiction) -> String {
    match contradiction.earlier.first() {
        Some(id) if id.record == u64::MAX => format!("line {line}: contradicts line {}", id.item),
        Some(id) => format!("line {line}: contradicts decision {id} ({})", contradiction.why),
        None => format!("line {line}: {}", contradiction.why),
    }
}
