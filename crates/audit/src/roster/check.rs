//! What is wrong or odd in the roster files, before anything uses them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use untether_model::policy::{AuditPolicy, RosterPolicy};
use untether_model::roster::{
    LINES_KEPT, Problem, ProblemKind, Problems, Roster, RosterColumn, RosterError, RosterReader, RowView, Seen, When, Zones,
};
use untether_model::{EntityId, keys};

use super::file::RosterSource;
use super::inspect::Inspector;
use super::records::{FileRead, read_files};
use crate::shrinkage::{self, ActivePeople, Sizes};

/// What the roster is compared with.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    /// What is configured.
    pub policy: &'a AuditPolicy,
    /// Now.
    pub now: Timestamp,
    /// The last complete audit; `None` where there was none.
    pub before: Option<&'a Sizes>,
    /// The mail domains of the accounts of the last audit, in comparable form; `None` where they are not known.
    pub domains: Option<&'a BTreeSet<String>>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What could be read; `None`: no row at all.
    pub roster: Option<Roster>,
    /// The files that could be opened.
    pub files: Vec<FileRead>,
    /// Everything that is wrong or odd, file by file, the worst first.
    pub problems: Vec<Problem>,
}

/// Reads all files, whatever is wrong with them, and tells everything.
///
/// # Errors
/// More text or rows than can be held.
pub fn check_roster(sources: &[RosterSource<'_>], compared: &Compared<'_>) -> Result<Checked, RosterError> {
    let mut inspector = Inspector;
    let mut reader = RosterReader::watched(&mut inspector);
    let files = read_files(sources, &compared.policy.entities, &mut reader)?;
    let (roster, found) = reader.finish_watched();
    let mut problems = Problems::default();
    found.into_iter().for_each(|problem| problems.push(problem));
    for file in &files {
        file.age_problem(compared.now).into_iter().for_each(|problem| problems.push(problem));
    }
    if let Some(roster) = &roster {
        let people = People { roster, sources, compared };
        people.numbers(&mut problems);
        people.files(&mut problems);
        people.standings(&mut problems);
        people.domains(&mut problems);
        people.shrinkage(&mut problems);
    }
    let names: Vec<String> = sources.iter().map(|source| source.name.to_owned()).collect();
    Ok(Checked { roster, files, problems: problems.into_list(&names) })
}

/// The people of a roster, looked at together.
struct People<'a> {
    roster: &'a Roster,
    sources: &'a [RosterSource<'a>],
    compared: &'a Compared<'a>,
}

impl People<'_> {
    fn header(&self, row: &RowView<'_>, column: RosterColumn) -> Option<&str> {
        let policy: &RosterPolicy = self.sources.iter().find(|source| source.name == row.file())?.policy;
        column.header(policy)
    }

    /// Rows of one number or id whose names differ.
    fn numbers(&self, problems: &mut Problems) {
        for (number, rows) in self.roster.shared_numbers() {
            let mut by_entity: BTreeMap<Option<&EntityId>, Vec<RowView<'_>>> = BTreeMap::new();
            for row in rows {
                by_entity.entry(row.entity()).or_default().push(row);
            }
            for (entity, rows) in by_entity {
                let about = format!("the number {number} of {}", entity.map_or("no entity", EntityId::as_str));
                self.named_differently((ProblemKind::DuplicateNumber, RosterColumn::Number), &about, &rows, problems);
            }
        }
        for (id, rows) in self.roster.shared_person_ids() {
            self.named_differently(
                (ProblemKind::SharedPersonId, RosterColumn::PersonId),
                &format!("the id {id}"),
                &rows,
                problems,
            );
        }
    }

    fn named_differently(
        &self,
        (kind, column): (ProblemKind, RosterColumn),
        about: &str,
        rows: &[RowView<'_>],
        problems: &mut Problems,
    ) {
        let names: BTreeSet<String> = rows.iter().filter_map(|row| row.name().and_then(keys::name)).collect();
        let Some(first) = rows.first().filter(|_| names.len() > 1) else { return };
        for row in rows {
            let elsewhere = if row.file() == first.file() { String::new() } else { format!("{}: ", row.file()) };
            let value = format!("{elsewhere}{}", row.name().unwrap_or_default());
            problems.add((kind, first.file()), self.header(first, column), Some(about), (row.line(), Some(&value)));
        }
    }

    /// People whose rows are in several files.
    fn files(&self, problems: &mut Problems) {
        let (mut count, mut seen) = (0, Vec::new());
        for person in self.roster.people() {
            let rows: Vec<RowView<'_>> = self.roster.rows_of(person).collect();
            let files: BTreeSet<&str> = rows.iter().map(RowView::file).collect();
            let Some(first) = rows.first().filter(|_| files.len() > 1) else { continue };
            count += 1;
            if seen.len() < LINES_KEPT {
                let named = first.name().map(|name| format!(" {name}")).unwrap_or_default();
                let value = format!("{}{named}: {}", first.reference(), files.into_iter().collect::<Vec<_>>().join(", "));
                seen.push(Seen { line: first.line(), value: Some(value) });
            }
        }
        if count > 0 {
            problems.push(Problem { count, seen, ..Problem::of_file(ProblemKind::SeveralFiles, "", "") });
        }
    }

    /// People whose word and date disagree.
    fn standings(&self, problems: &mut Problems) {
        let zones = Zones::of(&self.compared.policy.entities);
        for person in self.roster.people() {
            let Some(judged) = self.roster.judge(person, &zones, When::At(self.compared.now)) else { continue };
            let Some(row) = self.roster.row(judged.row).filter(|_| judged.standing.disagrees) else { continue };
            let day = judged.standing.last_day.map_or_else(|| "came back".to_owned(), |day| day.to_string());
            let column = self.header(&row, RosterColumn::Status);
            problems.add((ProblemKind::WordAgainstDate, row.file()), column, None, (row.line(), Some(&day)));
        }
    }

    /// Addresses in domains that no account has.
    fn domains(&self, problems: &mut Problems) {
        let Some(known) = self.compared.domains else { return };
        for row in self.roster.people().flat_map(|person| self.roster.rows_of(person)) {
            let Some(mail) = row.mail().and_then(keys::mail) else { continue };
            let domain = mail.rsplit_once('@').map_or("", |(_, domain)| domain);
            if !known.contains(domain) {
                let column = self.header(&row, RosterColumn::Mail);
                problems.add((ProblemKind::UnseenDomain, row.file()), column, Some(domain), (row.line(), None));
            }
        }
    }

    /// Fewer people than in the last complete audit.
    fn shrinkage(&self, problems: &mut Problems) {
        let Some(before) = self.compared.before else { return };
        let now = ActivePeople::of(self.roster, &Zones::of(&self.compared.policy.entities), When::At(self.compared.now));
        let most = self.compared.policy.max_shrink_percent;
        for shrunk in shrinkage::people(&before.active, before.taken_at, &now, most) {
            let kind = if shrunk.is_outage { ProblemKind::Shrunk } else { ProblemKind::EntityShrunk };
            problems.push(Problem::of_file(kind, "", shrunk.words));
        }
    }
}
