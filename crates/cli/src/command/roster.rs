//! `untether roster check`: what is wrong or odd in the roster files, before anything uses them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use untether_audit::roster::{Checked, Compared, FileRead, RosterSource, check_roster};
use untether_model::neutral::terminal as safe;
use untether_model::policy::AuditPolicy;
use untether_model::roster::{Presence, Problem, Roster, RosterError, Seen, Weight, When, Zones};
use untether_model::{Side, keys};

use crate::columns::wrap;
use crate::command::plan::{last_snapshot, stored_audit};
use crate::config::Config;
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::state::{Looked, clock};
use crate::wiring::roster::{last_sizes, oldest};

/// The people whom the rows of one file describe.
#[derive(Default, Serialize)]
struct People {
    active: u64,
    on_leave: u64,
    not_yet_started: u64,
    departed: u64,
    contract_ended: u64,
    /// Active people whose last day is known already, and the first of these days.
    leaving: u64,
    first_leaves: Option<Date>,
    /// The first day of those who have not started yet.
    first_starts: Option<Date>,
}

/// A file as it is told.
#[derive(Serialize)]
struct FileRow<'a> {
    file: &'a str,
    encoding: &'a str,
    rows: u64,
    written_at: Option<Timestamp>,
    age_hours: Option<i64>,
    max_age_hours: u32,
    people: &'a People,
}

/// A problem as it is told to programs.
#[derive(Serialize)]
struct ProblemRow<'a> {
    severity: Weight,
    kind: &'static str,
    file: &'a str,
    column: Option<&'a str>,
    rows: u64,
    seen: &'a [Seen],
    words: String,
    remedy: &'static str,
}

/// `roster check`. Exit 2 where the roster would be refused, else 0.
pub fn check(config: &Config, output: &Output) -> Result<Exit, CliError> {
    let files = config.roster.files();
    let sources: Vec<RosterSource<'_>> = files.iter().map(|file| file.source()).collect();
    let now = clock().wall();
    let (before, domains, not_compared) = match compared(config) {
        Ok((before, domains)) => (before, domains, None),
        Err(why) => (None, None, Some(why)),
    };
    let compared = Compared { policy: &config.audit, now, before: before.as_ref(), domains: domains.as_ref() };
    let checked = check_roster(&sources, &compared).map_err(|e| CliError::usage(format!("the roster is refused: {e}")))?;
    let people = checked.roster.as_ref().map(|roster| people(roster, &config.audit, now)).unwrap_or_default();
    tell(&checked, &people, now, output);
    if let Some(why) = &not_compared {
        output.say(format!("not compared with an earlier audit: {why}"));
    }
    object(&checked, &people, (now, not_compared.as_deref()), output);
    let refused: Vec<Problem> = checked.problems.into_iter().filter(|p| p.kind.weight() == Weight::Refused).collect();
    if refused.is_empty() {
        return Ok(Exit::Done);
    }
    let error = RosterError::Refused(refused);
    Err(CliError::usage(format!("the roster is refused: {}", safe(&error.to_string()))).hint(error.remedy()))
}

/// What the last audits know: sizes, and the mail domains of all accounts.
fn compared(config: &Config) -> Result<(Option<untether_audit::shrinkage::Sizes>, Option<BTreeSet<String>>), String> {
    let looked = Looked::look(config).map_err(|e| e.message)?;
    let (snapshot, _) = last_snapshot(&looked.state).ok_or("nothing has been audited yet")?;
    let before = last_sizes(&looked.state);
    let mut domains = BTreeSet::new();
    let stored = stored_audit(&looked.dir, &looked.keys, &snapshot).map_err(|e| e.message)?;
    for side in Side::ALL {
        let attributes = &config.audit.store(side).attributes.mail;
        for entry in stored.entries(side).map_err(|e| chain(&e))? {
            let entry = entry.map_err(|e| chain(&e))?;
            let values = attributes.iter().filter_map(|attr| entry.attrs.get(attr)).flatten().filter_map(|value| value.as_str());
            for mail in values.filter_map(keys::mail) {
                let domain = mail.rsplit_once('@').map_or("", |(_, domain)| domain);
                if !domains.contains(domain) {
                    domains.insert(domain.to_owned());
                }
            }
        }
    }
    Ok((before, Some(domains)))
}

/// The people by the file of the row that describes them.
fn people(roster: &Roster, policy: &AuditPolicy, now: Timestamp) -> BTreeMap<String, People> {
    let zones = Zones::of(&policy.entities);
    let mut files: BTreeMap<String, People> = BTreeMap::new();
    for person in roster.people() {
        let Some(judged) = roster.judge(person, &zones, When::At(now)) else { continue };
        let Some(row) = roster.row(judged.row) else { continue };
        if !files.contains_key(row.file()) {
            files.insert(row.file().to_owned(), People::default());
        }
        let Some(of) = files.get_mut(row.file()) else { continue };
        let count = match judged.standing.presence {
            Presence::Active => &mut of.active,
            Presence::OnLeave => &mut of.on_leave,
            Presence::NotYetStarted => &mut of.not_yet_started,
            Presence::Departed => &mut of.departed,
            Presence::ContractEnded => &mut of.contract_ended,
        };
        *count += 1;
        let today = When::At(now).day(zones.zone(row.entity()));
        let earlier = |first: Option<Date>, day: Date| Some(first.map_or(day, |first| first.min(day)));
        if judged.standing.presence.is_active() {
            let contract = row.contract_end().filter(|_| row.contractor());
            let ends = [row.last_day(), contract].into_iter().flatten().filter(|day| *day >= today);
            if let Some(day) = ends.min().filter(|day| day.year() < 2200) {
                of.leaving += 1;
                of.first_leaves = earlier(of.first_leaves, day);
            }
        } else if let (Presence::NotYetStarted, Some(day)) = (judged.standing.presence, row.start()) {
            of.first_starts = earlier(of.first_starts, day);
        }
    }
    files
}

fn age_hours(file: &FileRead, now: Timestamp) -> Option<i64> {
    file.written_at.map(|at| now.duration_since(at).as_hours())
}

fn tell(checked: &Checked, people: &BTreeMap<String, People>, now: Timestamp, output: &Output) {
    for file in &checked.files {
        let age = match (file.written_at, age_hours(file, now)) {
            (Some(at), Some(hours)) => format!("written {at:.0}, {hours} hours ago"),
            _ => "its age is not known".to_owned(),
        };
        output.say(format!("{}: {} rows, {}", safe(&file.name), file.records, file.encoding));
        output.say(format!("  {age} (at most {})", file.policy.max_age_hours));
        let Some(of) = people.get(&file.name) else { continue };
        let counts = [
            (of.active, "active"),
            (of.on_leave, "on leave"),
            (of.not_yet_started, "not yet started"),
            (of.departed, "departed"),
            (of.contract_ended, "contract ended"),
        ];
        let told: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        output.say(format!("  describes {}", told.join(", ")));
        if let Some(day) = of.first_leaves {
            output.say(format!("  {} of the active have a last day already, the first on {day}", of.leaving));
        }
        if let Some(day) = of.first_starts {
            output.say(format!("  the first of those who have not started will on {day}"));
        }
    }
    for problem in &checked.problems {
        let weight = match problem.kind.weight() {
            Weight::Refused => "REFUSED",
            Weight::Odd => "odd",
        };
        let file = if problem.file.is_empty() { "all files" } else { &problem.file };
        output.say(format!("{weight:<8} {:<28} {}", problem.kind.as_str(), safe(file)));
        for line in wrap(&safe(&problem.to_string())).into_iter().chain(wrap(&format!("→ {}", problem.kind.remedy()))) {
            output.say(line);
        }
    }
    if let Some(roster) = &checked.roster {
        let (rows, people) = (roster.row_count(), roster.person_count());
        output.say(format!("{rows} rows, {people} people; digest {}", roster.digest()));
    }
    let count = |weight: Weight| checked.problems.iter().filter(|p| p.kind.weight() == weight).count();
    output.say(match (count(Weight::Refused), count(Weight::Odd)) {
        (0, 0) => "nothing is odd".to_owned(),
        (0, odd) => format!("{odd} oddities; the roster is taken as it is (exit 0)"),
        (refused, odd) => format!("{refused} reasons to refuse the roster (exit 2), {odd} oddities; nothing will use it"),
    });
}

fn object(checked: &Checked, people: &BTreeMap<String, People>, (now, not_compared): (Timestamp, Option<&str>), output: &Output) {
    let nobody = People::default();
    let files: Vec<FileRow<'_>> = checked
        .files
        .iter()
        .map(|file| FileRow {
            file: &file.name,
            encoding: file.encoding,
            rows: file.records,
            written_at: file.written_at,
            age_hours: age_hours(file, now),
            max_age_hours: file.policy.max_age_hours,
            people: people.get(&file.name).unwrap_or(&nobody),
        })
        .collect();
    let problems: Vec<ProblemRow<'_>> = checked
        .problems
        .iter()
        .map(|problem| ProblemRow {
            severity: problem.kind.weight(),
            kind: problem.kind.as_str(),
            file: &problem.file,
            column: problem.column.as_deref(),
            rows: problem.count,
            seen: &problem.seen,
            words: problem.to_string(),
            remedy: problem.kind.remedy(),
        })
        .collect();
    let roster = checked.roster.as_ref();
    output.object(
        "roster",
        &serde_json::json!({
            "rows": roster.map(Roster::row_count), "people": roster.map(Roster::person_count), "digest": roster.map(Roster::digest),
            "memory_bytes": roster.map(Roster::memory_bytes), "modified": oldest(&checked.files),
            "refused": checked.problems.iter().any(|p| p.kind.weight() == Weight::Refused),
            "not_compared": not_compared, "files": files, "problems": problems,
        }),
    );
}
