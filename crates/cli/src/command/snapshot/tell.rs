//! How changes are written: a tree for people, CSV for spreadsheets, JSON Lines for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use untether_audit::changes::{Affects, Change, Difference, Field, Jump, Kind, PersonChange, Totals, Why};
use untether_model::finding::Severity;
use untether_model::neutral::{cell, terminal as safe};

use super::diff::Heading;
use crate::columns::wrap;
use crate::command::findings::csv_line;
use crate::error::CliError;
use crate::output::Output;

/// Changes of one sort that the tree shows; the rest is counted.
const SHOWN: usize = 5;

/// Writes changes as they come.
pub(super) trait Tell {
    /// Before the first one.
    fn heading(&mut self, heading: &Heading<'_>, output: &Output) -> Result<(), CliError>;

    /// One change.
    fn change(&mut self, change: Change, output: &Output) -> Result<(), CliError>;

    /// After the last one.
    fn end(&mut self, totals: &Totals, output: &Output) -> Result<(), CliError>;
}

/// One object a line: what is compared, each change, the totals.
pub(super) struct JsonLines;

/// An audit of the heading.
fn audit((record, audit): (u64, &untether_model::run::AuditState)) -> serde_json::Value {
    serde_json::json!({
        "record": record, "taken_at": audit.taken_at, "snapshot": audit.snapshot, "complete": audit.complete,
        "active_people": audit.active_people, "in_scope": audit.in_scope,
    })
}

impl Tell for JsonLines {
    fn heading(&mut self, heading: &Heading<'_>, output: &Output) -> Result<(), CliError> {
        output.object(
            "snapshot-diff",
            &serde_json::json!({
                "before": audit(heading.before), "after": audit(heading.after),
                "comparable": heading.outlook.not_comparable.is_empty(),
                "not_comparable": heading.outlook.not_comparable, "jumps": heading.outlook.jumps,
            }),
        );
        Ok(())
    }

    fn change(&mut self, change: Change, output: &Output) -> Result<(), CliError> {
        output.line(&change);
        Ok(())
    }

    fn end(&mut self, totals: &Totals, output: &Output) -> Result<(), CliError> {
        #[derive(Serialize)]
        struct Row<'a> {
            row: &'static str,
            totals: &'a Totals,
        }
        output.line(&Row { row: "totals", totals });
        Ok(())
    }
}

/// One line a change; what is not comparable and what is suspicious come first, as lines of their own.
#[derive(Default)]
pub(super) struct Csv;

const COLUMNS: [&str; 10] = ["row", "change", "name", "store", "id", "subject", "entity", "severity", "changed", "why"];

impl Csv {
    fn line(output: &Output, fields: [&str; 10]) -> Result<(), CliError> {
        output.raw(&csv_line(&fields.map(cell))?);
        Ok(())
    }
}

impl Tell for Csv {
    fn heading(&mut self, heading: &Heading<'_>, output: &Output) -> Result<(), CliError> {
        output.raw(&csv_line(&COLUMNS.map(str::to_owned))?);
        for difference in &heading.outlook.not_comparable {
            let changed = before_after(difference.before.as_deref(), difference.after.as_deref());
            let why = difference.affects.words();
            Self::line(output, ["not-comparable", "", &difference.what, "", "", "", "", "", &changed, why])?;
        }
        for jump in &heading.outlook.jumps {
            Self::line(output, ["jump", jump.jump.as_str(), &jump.about, "", "", "", "", "", &jump.words, ""])?;
        }
        Ok(())
    }

    fn change(&mut self, change: Change, output: &Output) -> Result<(), CliError> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let entity = |id: &Option<untether_model::EntityId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = |why: Option<Why>| why.map_or("", Why::as_str);
        match &change {
            Change::Person(p) => {
                let mut fields = p.changed.clone();
                fields.extend(p.was.iter().map(|was| Field {
                    what: "subject".to_owned(),
                    before: Some(was.clone()),
                    after: Some(p.subject.clone()),
                }));
                let (name, id) = (text(&p.name), &p.subject);
                Self::line(
                    output,
                    ["person", p.change.as_str(), &name, "", id, id, &entity(&p.entity), "", &in_line(&fields), why(p.why)],
                )
            }
            Change::Account(a) => {
                let (id, subject) = (text(&a.stable_id), text(&a.subject));
                Self::line(
                    output,
                    [
                        "account",
                        a.change.as_str(),
                        &a.dn,
                        a.store.as_str(),
                        &id,
                        &subject,
                        "",
                        "",
                        &in_line(&a.changed),
                        why(a.why),
                    ],
                )
            }
            Change::Group(g) => {
                let moved = g.was.as_ref().map(|was| format!("; dn: {was} → {}", g.dn)).unwrap_or_default();
                let counts = format!("{} members: {} came, {} went{moved}", g.members, g.added, g.removed);
                Self::line(output, ["group", g.change.as_str(), &g.dn, g.store.as_str(), "", "", "", "", &counts, why(g.why)])
            }
            Change::Finding(f) => {
                let (dn, subject) = (text(&f.dn), text(&f.subject));
                let changed = f.severity_before.map(|was| format!("severity: {was} → {}", f.severity)).unwrap_or_default();
                let name = if dn.is_empty() { f.rule.clone() } else { format!("{} {dn}", f.rule) };
                let fields = [
                    "finding",
                    f.change.as_str(),
                    &name,
                    f.store.as_str(),
                    &f.id,
                    &subject,
                    &entity(&f.entity),
                    f.severity.as_str(),
                    &changed,
                    why(f.why),
                ];
                Self::line(output, fields)
            }
        }
    }

    fn end(&mut self, _totals: &Totals, _output: &Output) -> Result<(), CliError> {
        Ok(())
    }
}

fn before_after(before: Option<&str>, after: Option<&str>) -> String {
    format!("{} → {}", before.unwrap_or("nothing"), after.unwrap_or("nothing"))
}

fn in_line(fields: &[Field]) -> String {
    let each = |field: &Field| format!("{}: {}", field.what, before_after(field.before.as_deref(), field.after.as_deref()));
    fields.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// A tree for a terminal: the first changes of each sort, and how many there are.
pub(super) struct Tree {
    all: bool,
    shown: BTreeMap<(Section, Kind), Vec<Vec<String>>>,
}

/// A part of the tree, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    People,
    Accounts,
    Groups,
    Findings,
}

impl Tree {
    /// `all`: every change is written as it comes, in place of the first of each sort.
    pub(super) fn new(all: bool) -> Self {
        Self { all, shown: BTreeMap::new() }
    }

    fn put(&mut self, place: (Section, Kind), lines: Vec<String>, output: &Output) {
        if self.all {
            output.say(format!("{:<9} {}", place.1.as_str(), lines.join("\n")));
            return;
        }
        let shown = self.shown.entry(place).or_default();
        if shown.len() < SHOWN {
            shown.push(lines);
        }
    }

    /// One sort of changes: its name and number, the first of them, and that there are more.
    fn branch(&self, place: (Section, Kind), title: &str, count: u64, output: &Output) {
        if count == 0 {
            return;
        }
        output.say(format!("├─ {title}: {count}"));
        let Some(shown) = self.shown.get(&place) else { return };
        for lines in shown {
            lines.iter().for_each(|line| output.say(format!("│  {line}")));
        }
        let more = count.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
        if more > 0 {
            output.say(format!("│  … {more} more (--all)"));
        }
    }
}

fn why(why: Option<Why>) -> String {
    why.map(|why| format!("  ({})", why.words())).unwrap_or_default()
}

fn fields(fields: &[Field], lines: &mut Vec<String>) {
    for field in fields {
        let words = format!("{}: {}", field.what, before_after(field.before.as_deref(), field.after.as_deref()));
        lines.push(format!("   {}", safe(&words)));
    }
}

fn person(p: &PersonChange) -> Vec<String> {
    let name = p.name.as_deref().unwrap_or("(no name)");
    let entity = p.entity.as_ref().map_or("-", |id| id.as_str());
    let standing = p.standing.as_deref().unwrap_or("no roster row");
    let mut lines = vec![format!("{}  {}  {standing}  {}{}", safe(name), safe(entity), p.subject, why(p.why))];
    if let Some(was) = &p.was {
        lines.push(format!("   subject: {was} → {}", p.subject));
    }
    fields(&p.changed, &mut lines);
    lines
}

fn counts<K: std::fmt::Display>(counts: impl IntoIterator<Item = (K, u64)>) -> String {
    let told: Vec<String> = counts.into_iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

fn by_severity(counted: Option<&BTreeMap<Severity, u64>>) -> (u64, String) {
    let all = counted.map_or(0, |of| of.values().sum());
    (all, counts(counted.into_iter().flatten().rev().map(|(severity, n)| (*severity, *n))))
}

fn by_field(counted: &BTreeMap<String, u64>) -> String {
    counts(counted.iter().map(|(what, n)| (what, *n)))
}

impl Tell for Tree {
    fn heading(&mut self, heading: &Heading<'_>, output: &Output) -> Result<(), CliError> {
        let ((was, before), (is, after)) = (heading.before, heading.after);
        output.say(format!("from the audit of {:.0} (record {was})", before.taken_at));
        output.say(format!("  to the audit of {:.0} (record {is})", after.taken_at));
        not_comparable(&heading.outlook.not_comparable, output);
        jumps(&heading.outlook.jumps, output);
        Ok(())
    }

    fn change(&mut self, change: Change, output: &Output) -> Result<(), CliError> {
        match &change {
            Change::Person(p) => self.put((Section::People, p.change), person(p), output),
            Change::Account(a) => {
                let state = a.state.as_deref().unwrap_or("-");
                let mut lines = vec![format!("{}{}", safe(&a.dn), why(a.why))];
                lines.push(format!("   {} {state}  {}", a.store, a.subject.as_deref().unwrap_or("no subject")));
                fields(&a.changed, &mut lines);
                self.put((Section::Accounts, a.change), lines, output);
            }
            Change::Group(g) => {
                let mut lines = vec![format!("{}{}", safe(&g.dn), why(g.why))];
                lines.push(format!("   {} {} members: {} came, {} went", g.store, g.members, g.added, g.removed));
                lines.extend(g.was.iter().map(|was| format!("   dn: {} → {}", safe(was), safe(&g.dn))));
                self.put((Section::Groups, g.change), lines, output);
            }
            Change::Finding(f) => {
                let severity = match f.severity_before {
                    Some(was) => format!("{was} → {}", f.severity),
                    None => f.severity.to_string(),
                };
                let mut lines = vec![format!("{severity}  {}  {}{}", f.rule, f.store, why(f.why))];
                lines.extend(f.dn.iter().map(|dn| format!("   {}", safe(dn))));
                self.put((Section::Findings, f.change), lines, output);
            }
        }
        Ok(())
    }

    fn end(&mut self, totals: &Totals, output: &Output) -> Result<(), CliError> {
        let of = |counted: &BTreeMap<Kind, u64>, kind: Kind| counted.get(&kind).copied().unwrap_or(0);
        let people = &totals.people;
        output.say(format!("people{}", none(people.values().sum())));
        self.branch((Section::People, Kind::Appeared), "appeared", of(people, Kind::Appeared), output);
        self.branch((Section::People, Kind::Vanished), "vanished", of(people, Kind::Vanished), output);
        let title = format!("changed{}", by_field(&totals.people_changed));
        self.branch((Section::People, Kind::Changed), &title, of(people, Kind::Changed), output);
        let other = "have another subject id; nobody came or left by that";
        self.branch((Section::People, Kind::OtherId), other, of(people, Kind::OtherId), output);
        let mut accounts: BTreeMap<Kind, u64> = BTreeMap::new();
        for of_store in totals.accounts.values() {
            of_store.iter().for_each(|(kind, n)| *accounts.entry(*kind).or_default() += n);
        }
        output.say(format!("accounts{}", none(accounts.values().sum())));
        let stores = |kind: Kind| counts(totals.accounts.iter().map(|(side, of_store)| (side, of(of_store, kind))));
        for (kind, title) in [(Kind::Appeared, "appeared"), (Kind::Vanished, "vanished")] {
            self.branch((Section::Accounts, kind), &format!("{title}{}", stores(kind)), of(&accounts, kind), output);
        }
        let title = format!("changed{}", by_field(&totals.accounts_changed));
        self.branch((Section::Accounts, Kind::Changed), &title, of(&accounts, Kind::Changed), output);
        let groups = &totals.groups;
        output.say(format!("groups{}", none(groups.values().sum())));
        self.branch((Section::Groups, Kind::Appeared), "appeared", of(groups, Kind::Appeared), output);
        self.branch((Section::Groups, Kind::Vanished), "vanished", of(groups, Kind::Vanished), output);
        let title = format!("memberships changed ({} came, {} went)", totals.members_added, totals.members_removed);
        self.branch((Section::Groups, Kind::Changed), &title, of(groups, Kind::Changed), output);
        let (still, still_words) = by_severity(totals.findings.get(&Kind::Still));
        output.say(format!("findings: {still} still there as they were{still_words}"));
        for (kind, title) in [(Kind::Appeared, "new"), (Kind::Vanished, "gone"), (Kind::Changed, "of another severity or name")] {
            let (count, words) = by_severity(totals.findings.get(&kind));
            self.branch((Section::Findings, kind), &format!("{title}{words}"), count, output);
        }
        for (why, count) in &totals.explained {
            output.say(format!("{count} of these may be no change at all: {}", why.words()));
        }
        Ok(())
    }
}

fn none(count: u64) -> &'static str {
    if count == 0 { ": no change" } else { "" }
}

fn not_comparable(differences: &[Difference], output: &Output) {
    if differences.is_empty() {
        return;
    }
    output.say("NOT COMPARABLE in every part, because the audits were told different things:");
    let mut of: Option<Affects> = None;
    for difference in differences {
        if of != Some(difference.affects) {
            output.say(format!("  {}:", difference.affects.words()));
            of = Some(difference.affects);
        }
        let words = before_after(difference.before.as_deref(), difference.after.as_deref());
        wrap(&safe(&format!("{}: {words}", difference.what))).iter().for_each(|line| output.say(line));
    }
}

fn jumps(jumps: &[Jump], output: &Output) {
    if jumps.is_empty() {
        return;
    }
    output.say("SUSPICIOUS, look at these first:");
    for jump in jumps {
        wrap(&safe(&format!("⚠ {}", jump.words))).iter().for_each(|line| output.say(line));
    }
}
