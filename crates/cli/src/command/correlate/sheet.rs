//! The undecided matches as a CSV file that people review in a spreadsheet: a row for each account, and one below for each candidate.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use data_encoding::BASE32_NOPAD;
use untether_audit::cards::state_word;
use untether_model::digest::Digest;
use untether_model::matching::{Candidate, Card, Fact, MatchCase, compare};
use untether_model::neutral::cell;

use super::target::Look;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Looked;

/// The columns, in their order. What a person fills in comes first, what the file is checked by last.
pub const COLUMNS: [&str; 22] = [
    "decision",
    "reason",
    "case",
    "row",
    "who",
    "names",
    "alike",
    "led to by",
    "number",
    "previous",
    "mail",
    "login",
    "entity",
    "department",
    "status",
    "start",
    "last day",
    "created",
    "last use",
    "state",
    "has already",
    "seen",
];
/// The last column: the snapshot that the row was written from.
pub const SNAPSHOT: &str = "snapshot";
/// What the row of an account says in the column `row`.
pub const ACCOUNT_ROW: &str = "account";

/// `correlate export`.
pub fn export(config: &Config, path: &Path, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let look = Look::new(config, &looked)?;
    let failed = |e: &dyn std::fmt::Display| CliError::failed(format!("'{}' cannot be written: {e}", path.display()));
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(header()).map_err(|e| failed(&e))?;
    let (mut cases, mut rows) = (0, 0);
    for case in look.cases()? {
        let case = case?;
        cases += 1;
        for row in table(&case) {
            rows += 1;
            writer.write_record(row.fields(&look.snapshot)).map_err(|e| failed(&e))?;
        }
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    // Names and mail addresses are in it, and somebody's work in a file of that name.
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CliError::usage(format!("'{}' exists already: it may hold somebody's review", path.display()))
                .hint("give another name")
        }
        _ => failed(&e),
    })?;
    // Excel takes a file without this mark for Shift_JIS.
    file.write_all("\u{feff}".as_bytes())
        .and_then(|()| file.write_all(&bytes))
        .and_then(|()| file.sync_all())
        .map_err(|e| failed(&e))?;
    let name = path.display();
    output.say(format!("{cases} undecided matches are in '{name}'"));
    output.say("Write `confirm` or `deny` beside candidates, and why; then `untether correlate import` shows what that decides.");
    output.object(
        "correlate.export",
        &serde_json::json!({ "file": path, "cases": cases, "rows": rows, "snapshot": look.snapshot }),
    );
    Ok(Exit::Done)
}

/// The file's first line.
pub fn header() -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().chain([SNAPSHOT])
}

/// A row as it is written, without its snapshot.
pub struct SheetRow {
    /// The candidate's number; `None` for the account itself.
    pub candidate: Option<usize>,
    /// The fields, in the order of [`COLUMNS`].
    pub fields: [String; COLUMNS.len()],
}

impl SheetRow {
    fn fields<'s>(&'s self, snapshot: &'s Digest) -> impl Iterator<Item = String> + 's {
        self.fields.iter().cloned().chain([snapshot_field(snapshot)])
    }

    /// The digest of what the row shows.
    pub fn seen(&self) -> &str {
        self.fields.last().map_or("", String::as_str)
    }
}

/// A snapshot as the file names it: a spreadsheet would take digits with an `e` among them for a number.
pub fn snapshot_field(snapshot: &Digest) -> String {
    format!("sha256:{}", snapshot.to_hex())
}

/// The rows of a case.
pub fn table(case: &MatchCase) -> Vec<SheetRow> {
    let itself = SheetRow { candidate: None, fields: fields(case, None) };
    let candidates =
        case.candidates.iter().zip(1..).map(|(c, n)| SheetRow { candidate: Some(n), fields: fields(case, Some((c, n))) });
    std::iter::once(itself).chain(candidates).collect()
}

fn fields(case: &MatchCase, candidate: Option<(&Candidate, usize)>) -> [String; COLUMNS.len()] {
    let card = candidate.map_or(&case.account, |(c, _)| &c.card);
    let alike = candidate.and_then(|(c, _)| compare(&case.account, &c.card).names);
    let alike = alike.map_or_else(String::new, |l| format!("{} %: {}", l.percent, l.because.join("; ")));
    let by = candidate.map(|(c, _)| c.by.iter().map(|key| key.words()).collect::<Vec<_>>().join(", ")).unwrap_or_default();
    let held = candidate.map(|(c, _)| {
        c.accounts.iter().map(|h| format!("{} {} ({})", h.side, h.dn, state_word(h.state))).collect::<Vec<_>>().join("; ")
    });
    let row = candidate.map_or_else(|| ACCOUNT_ROW.to_owned(), |(_, n)| format!("candidate {n}"));
    let names = card.names.iter().map(|n| n.value.as_str()).collect::<Vec<_>>().join("; ");
    let fact = |fact: Fact| card.values(fact).join("; ");
    [
        String::new(),
        String::new(),
        case.id.to_string(),
        row,
        card.title(),
        names,
        alike,
        by,
        fact(Fact::Number),
        fact(Fact::PreviousNumber),
        fact(Fact::Mail),
        fact(Fact::Login),
        fact(Fact::Entity),
        fact(Fact::Department),
        fact(Fact::Status),
        fact(Fact::Start),
        fact(Fact::LastDay),
        fact(Fact::Created),
        fact(Fact::LastUse),
        fact(Fact::State),
        held.unwrap_or_default(),
        seen(case, card),
    ]
    .map(|field| cell(&field))
}

/// Digest of the case and of whom the row is about: what was decided on, to be found again when the file comes back.
fn seen(case: &MatchCase, card: &Card) -> String {
    let digest = Digest::of(format!("{}\u{0}{}", case.shown().to_hex(), card.anchor).as_bytes());
    let hex = digest.to_hex();
    let short = BASE32_NOPAD.encode(hex.get(..20).unwrap_or(&hex).as_bytes());
    format!("seen-{}", short.get(..24).unwrap_or(&short).to_ascii_lowercase())
}

/// Columns whose values move by themselves between two audits of one state of affairs.
pub fn is_volatile(column: &str) -> bool {
    matches!(column, "last use" | "state" | "has already")
}

/// Whether a spreadsheet may have made `found` out of `written`: it drops leading zeros, writes long numbers with an exponent, turns
/// dates round, and in Shift_JIS has a question mark for what it cannot write.
pub fn is_same(written: &str, found: &str, shift_jis: bool) -> bool {
    let (written, found) = (written.trim(), found.trim());
    written == found
        || (shift_jis && as_shift_jis(written) == found)
        || is_same_number(written, found)
        || is_same_date(written, found)
}

fn as_shift_jis(text: &str) -> String {
    text.chars().map(|c| if untether_audit::encoding::is_in_shift_jis(c) { c } else { '?' }).collect()
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.trim_start_matches('0'))
}

fn is_same_number(written: &str, found: &str) -> bool {
    let Some(written) = digits(written) else { return false };
    if digits(found) == Some(written) {
        return true;
    }
    // 1.23457E+11 has lost digits: it is taken where it is what a spreadsheet shows of this number.
    let Some((mantissa, exponent)) = found.split_once("E+") else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shown = format!("{whole}{fraction}");
    let Ok(exponent) = exponent.parse::<usize>() else { return false };
    if digits(&shown).is_none() || whole.len() != 1 || written.len() != exponent + 1 || shown.len() > written.len() {
        return false;
    }
    let (kept, next) = written.split_at(shown.len());
    let rounded = kept.parse::<u64>().ok().map(|n| n + u64::from(next.bytes().next().is_some_and(|b| b >= b'5')));
    rounded == shown.parse::<u64>().ok()
}

fn is_same_date(written: &str, found: &str) -> bool {
    let parts = |text: &str, separators: &[char]| -> Option<Vec<u32>> {
        let parts: Option<Vec<u32>> = text.split(separators).map(|part| part.parse().ok()).collect();
        parts.filter(|p| p.len() == 3)
    };
    let (Some(mut written), Some(mut found)) = (parts(written, &['-']), parts(found, &['-', '/', '.'])) else { return false };
    // The year is told by its size; day and month stand in the order of the country.
    written.sort_unstable();
    found.sort_unstable();
    written == found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_does_to_a_field_is_no_edit() {
        for (written, found) in [
            ("00123", "123"),
            ("00123", " 00123 "),
            ("2026-03-31", "2026/3/31"),
            ("2026-03-31", "31.03.2026"),
            ("2026-03-31", "3/31/2026"),
            ("1234567890123", "1.23457E+12"),
        ] {
            assert!(is_same(written, found, false), "{written} / {found}");
        }
        for (written, found) in [
            ("00123", "124"),
            ("00123", ""),
            ("2026-03-31", "2026/3/30"),
            ("1234567890123", "1.23458E+12"),
            ("1234567890123", "1.23457E+11"),
            ("a@x", "b@x"),
            ("", "x"),
        ] {
            assert!(!is_same(written, found, false), "{written} / {found}");
        }
        assert!(is_same("𠮷田 é", "?田 ?", true));
        assert!(!is_same("𠮷田", "?田", false));
        assert!(!is_same("吉田", "?田", true), "what Shift_JIS can write is written");
    }
}
