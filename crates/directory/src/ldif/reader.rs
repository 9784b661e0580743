//! The reader: logical lines become entries.

use std::io::BufRead;

use data_encoding::BASE64;
use untether_model::{AttrName, Dn, Entry, Value};

use super::draft::Draft;
use super::error::{LdifError, LdifProblem};
use super::lines::Lines;
use crate::names::AttrNames;

/// Bounds on what is held in memory at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LdifLimits {
    /// Longest logical line, in bytes.
    pub line_bytes: usize,
    /// Largest record as written, in bytes.
    pub entry_bytes: usize,
}

impl Default for LdifLimits {
    /// 64 MiB each: more than a group of a million members.
    fn default() -> Self {
        Self { line_bytes: 64 << 20, entry_bytes: 64 << 20 }
    }
}

/// What a file holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An entry.
    Entry {
        /// The line of its `dn:`, counted from 1.
        line: u64,
        /// The entry, values as bytes.
        entry: Entry,
    },
    /// A continuation reference that the search got instead of entries: something outside was not exported.
    Reference {
        /// Its line, counted from 1.
        line: u64,
        /// The URL.
        url: String,
    },
}

/// What the reader came to: a [`Record`] of which nothing has been made yet.
#[derive(Debug)]
pub(crate) enum Met {
    /// An entry: [`LdifReader::draft`] has it.
    Entry,
    /// A continuation reference.
    Reference {
        /// Its line, counted from 1.
        line: u64,
        /// The URL.
        url: String,
    },
}

/// What the file says of its own completeness. Final once the reader has returned `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailer {
    /// The result code that `ldapsearch` printed (not with `-LLL`): the first that is not 0, else 0. `None`: no result line, so
    /// the file cannot tell whether it is complete.
    pub result_code: Option<u32>,
    /// The server's words to that code.
    pub message: String,
    /// The sum of the `# numEntries:` lines.
    pub num_entries: Option<u64>,
    /// The sum of the `# numReferences:` lines.
    pub num_references: Option<u64>,
    /// The last page that `ldapsearch` reports was not the last one of the search: its cookie asks for more.
    pub more_pages: bool,
    /// The last record was followed by an empty line, as `slapcat` and `ldapsearch` write it. If not, the export may have been
    /// cut off after a whole line (or was edited).
    pub ended_with_blank: bool,
    /// Entries that were read.
    pub entries_read: u64,
}

impl Trailer {
    /// Why the export is not complete, as far as the file itself tells.
    pub fn truncation(&self) -> Option<String> {
        if let Some(code) = self.result_code.filter(|code| *code != 0) {
            return Some(format!("the search ended with result {code} ({})", self.message));
        }
        if self.more_pages {
            return Some("the export ends before the last page of its search".to_owned());
        }
        match self.num_entries {
            Some(stated) if stated != self.entries_read => {
                Some(format!("the export states {stated} entries and holds {}", self.entries_read))
            }
            _ => None,
        }
    }
}

/// Reads LDIF record by record. After an error it returns `None`: a malformed record refuses the rest of the file.
pub struct LdifReader<R> {
    lines: Lines<R>,
    limits: LdifLimits,
    names: AttrNames,
    trailer: Trailer,
    draft: Draft,
    begun: bool,
    finished: bool,
}

impl<R: BufRead> LdifReader<R> {
    /// A reader with the default bounds.
    pub fn new(input: R) -> Self {
        Self::with_limits(input, LdifLimits::default())
    }

    /// A reader with these bounds.
    pub fn with_limits(input: R, limits: LdifLimits) -> Self {
        Self {
            lines: Lines::new(input, limits.line_bytes),
            limits,
            names: AttrNames::default(),
            trailer: Trailer::default(),
            draft: Draft::default(),
            begun: false,
            finished: false,
        }
    }

    /// What the file says of its completeness so far.
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// Reads on to the next record, as [`Iterator::next`] does, and makes nothing of it. Of entries whose name is not `wanted` only the
    /// name is read: what else is in them was checked when the file was opened.
    pub(crate) fn advance(&mut self, wanted: impl Fn(&Dn) -> bool) -> Option<Result<Met, LdifError>> {
        if self.finished {
            return None;
        }
        let read = self.read_record(wanted).transpose();
        if matches!(read, None | Some(Err(_))) {
            self.finished = true;
        }
        read
    }

    /// The entry that was met last.
    pub(crate) fn draft(&self) -> &Draft {
        &self.draft
    }

    fn read_record(&mut self, wanted: impl Fn(&Dn) -> bool) -> Result<Option<Met>, LdifError> {
        let mut open = false;
        let mut passed_over = false;
        loop {
            let Some(line) = self.lines.advance()? else {
                self.finished = true;
                self.trailer.ended_with_blank &= !open;
                return Ok(open.then(|| self.close()));
            };
            let text = self.lines.current();
            if text.is_empty() {
                if open {
                    self.trailer.ended_with_blank = true;
                    return Ok(Some(self.close()));
                }
                continue;
            }
            if text.first() == Some(&b'#') {
                if let Some(url) = self.trailer.take_comment(text) {
                    // References stand between records.
                    if !open {
                        return Ok(Some(Met::Reference { line, url }));
                    }
                }
                continue;
            }
            if self.lines.is_cut_off() {
                return Err(LdifProblem::CutOff.at(line));
            }
            if passed_over {
                continue;
            }
            let written = split(text).map_err(|problem| problem.at(line))?;
            let first = !std::mem::replace(&mut self.begun, true);
            match open {
                true => {
                    self.draft.written_bytes += text.len();
                    if self.draft.written_bytes > self.limits.entry_bytes {
                        let limit = self.limits.entry_bytes;
                        return Err(LdifProblem::EntryTooLarge { dn: self.draft.dn.to_string(), limit }.at(line));
                    }
                    let bad = || LdifProblem::BadAttribute(String::from_utf8_lossy(written.name).into_owned()).at(line);
                    let name = self.names.get(written.name).ok_or_else(bad)?;
                    refuse_change(&name).map_err(|problem| problem.at(line))?;
                    written.decode_into(self.draft.room()).map_err(|problem| problem.at(line))?;
                    self.draft.end_value(name);
                }
                false if written.name.eq_ignore_ascii_case(b"dn") => {
                    let dn = written.decode().and_then(dn_of).map_err(|problem| problem.at(line))?;
                    passed_over = !wanted(&dn);
                    self.draft.begin(line, dn, text.len());
                    open = true;
                }
                false if written.name.eq_ignore_ascii_case(b"version") => {
                    if !first || written.rest != b"1" || written.form != Form::Plain {
                        return Err(LdifProblem::BadVersion.at(line));
                    }
                }
                false => {
                    if let Some(url) = self.trailer.take_line(&written).map_err(|problem| problem.at(line))? {
                        return Ok(Some(Met::Reference { line, url }));
                    }
                }
            }
        }
    }

    fn close(&mut self) -> Met {
        self.trailer.entries_read += 1;
        Met::Entry
    }
}

impl<R: BufRead> Iterator for LdifReader<R> {
    type Item = Result<Record, LdifError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.advance(|_| true)?.map(|met| match met {
            Met::Entry => Record::Entry { line: self.draft.line, entry: self.draft.to_entry(|_| true) },
            Met::Reference { line, url } => Record::Reference { line, url },
        }))
    }
}

impl Trailer {
    /// Takes what `ldapsearch` says in comments: counts, and the URL of a reference.
    fn take_comment(&mut self, comment: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(comment).ok()?;
        if let Some(count) = text.strip_prefix("# numEntries: ").and_then(|n| n.trim().parse::<u64>().ok()) {
            self.num_entries = Some(self.num_entries.unwrap_or(0).saturating_add(count));
        } else if let Some(count) = text.strip_prefix("# numReferences: ").and_then(|n| n.trim().parse::<u64>().ok()) {
            self.num_references = Some(self.num_references.unwrap_or(0).saturating_add(count));
        } else if let Some(page) = text.strip_prefix("# pagedresults:") {
            self.take_page(page);
        }
        // With -L ldapsearch writes the name and the value of a reference without anything between them.
        let url = text.strip_prefix("# ref")?;
        url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("ldap")).then(|| url.to_owned())
    }

    /// Takes what `ldapsearch` says of the cookie after a page (RFC 2696: empty after the last one).
    fn take_page(&mut self, page: &str) {
        if let Some((_, cookie)) = page.split_once("cookie=") {
            self.more_pages = !cookie.trim().is_empty();
        }
    }

    /// Takes a line of the block that `ldapsearch` writes after a search; returns the URL of a reference.
    fn take_line(&mut self, written: &Written<'_>) -> Result<Option<String>, LdifProblem> {
        let name = String::from_utf8_lossy(written.name).to_ascii_lowercase();
        match name.as_str() {
            "search" | "text" | "matcheddn" | "control" => Ok(None),
            "pagedresults" => {
                self.take_page(&written.decode()?.to_lossy());
                Ok(None)
            }
            "ref" => Ok(Some(written.decode()?.to_lossy())),
            "result" => {
                let value = written.decode()?.to_lossy();
                let (code, message) = value.split_once(' ').unwrap_or((&value, ""));
                let code: u32 = code.parse().map_err(|_| LdifProblem::BadResult)?;
                // A paged search has one such line a page.
                if self.result_code.is_none_or(|earlier| earlier == 0) {
                    self.result_code = Some(code);
                    self.message = message.trim().to_owned();
                }
                Ok(None)
            }
            "changetype" => Err(LdifProblem::ChangeRecord(name)),
            _ => Err(LdifProblem::NoDn(name)),
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Base64,
    Url,
}

/// A line taken apart.
struct Written<'a> {
    name: &'a [u8],
    form: Form,
    rest: &'a [u8],
}

impl Written<'_> {
    fn decode(&self) -> Result<Value, LdifProblem> {
        let mut bytes = Vec::new();
        self.decode_into(&mut bytes)?;
        Ok(Value::new(bytes))
    }

    /// Puts the value behind what is there.
    fn decode_into(&self, out: &mut Vec<u8>) -> Result<(), LdifProblem> {
        match self.form {
            Form::Plain => out.extend_from_slice(self.rest),
            Form::Base64 => {
                let bad = || LdifProblem::BadBase64(String::from_utf8_lossy(self.name).into_owned());
                let encoded = self.rest.trim_ascii_end();
                let before = out.len();
                let most = BASE64.decode_len(encoded.len()).map_err(|_| bad())?;
                out.resize(before + most, 0);
                let decoded = BASE64.decode_mut(encoded, out.get_mut(before..).unwrap_or_default()).map_err(|_| bad())?;
                out.truncate(before + decoded);
            }
            Form::Url => return Err(LdifProblem::Url(String::from_utf8_lossy(self.name).into_owned())),
        }
        Ok(())
    }
}

fn split(line: &[u8]) -> Result<Written<'_>, LdifProblem> {
    // Names are short: a plain loop beats a search made for long texts.
    let colon = line.iter().position(|b| *b == b':').ok_or(LdifProblem::NoColon)?;
    let (name, rest) = line.split_at(colon);
    let rest = rest.get(1..).unwrap_or_default();
    let (form, rest) = match rest.first() {
        Some(b':') => (Form::Base64, rest.get(1..).unwrap_or_default()),
        Some(b'<') => (Form::Url, rest.get(1..).unwrap_or_default()),
        _ => (Form::Plain, rest),
    };
    let filled = rest.iter().position(|b| *b != b' ').unwrap_or(rest.len());
    Ok(Written { name, form, rest: rest.get(filled..).unwrap_or_default() })
}

fn dn_of(value: Value) -> Result<Dn, LdifProblem> {
    let text = value.as_str().ok_or(LdifProblem::DnNotText)?;
    Dn::parse(text).map_err(LdifProblem::BadDn)
}

/// Refuses what only change records hold, and a record that runs into the next one.
fn refuse_change(name: &AttrName) -> Result<(), LdifProblem> {
    match name.folded() {
        "dn" => Err(LdifProblem::SecondDn),
        "changetype" | "control" => Err(LdifProblem::ChangeRecord(name.folded().to_owned())),
        _ => Ok(()),
    }
}
