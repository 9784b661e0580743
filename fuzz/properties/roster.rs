//! Any bytes as a roster, CSV and JSON Lines: what is accepted, written as a plain CSV file, reads back as the same rows of the same
//! people.

use std::collections::BTreeMap;
use std::path::Path;

use untether_audit::roster::{RosterSource, read_roster_bytes};
use untether_model::EntityId;
use untether_model::policy::{Entity, RosterFormat, RosterPolicy};
use untether_model::roster::{Roster, RosterError, RowIx, Status, When, Zones};

const HEADER: [&str; 15] = [
    "person_id",
    "employee_number",
    "previous_number",
    "name",
    "name_kana",
    "mail",
    "login",
    "entity",
    "status",
    "employment",
    "start_date",
    "last_day",
    "contract_end",
    "manager_number",
    "department",
];

/// Reads bytes as a roster in either form.
pub fn check(data: &[u8]) {
    for format in [RosterFormat::Csv, RosterFormat::JsonLines] {
        check_form(data, &RosterPolicy { format, ..RosterPolicy::default() });
    }
}

fn read(policy: &RosterPolicy, entities: &BTreeMap<EntityId, Entity>, data: &[u8]) -> Result<Roster, RosterError> {
    let source = RosterSource { name: "roster", path: Path::new("roster"), policy };
    read_roster_bytes(&source, entities, data).map(|read| read.roster)
}

fn check_form(data: &[u8], policy: &RosterPolicy) {
    let entities = entities();
    let roster = match read(policy, &entities, data) {
        Ok(roster) => roster,
        Err(error) => {
            assert!(error.to_string().starts_with("'roster': "), "a refusal names the file: {error}");
            assert!(!error.remedy().is_empty(), "and what to do: {error}");
            return;
        }
    };
    let written = written(&roster, policy);
    let back = read(&RosterPolicy::default(), &entities, &written)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&written)));
    assert_eq!(rows(&back), rows(&roster));
    let zones = Zones::of(&entities);
    for day in [jiff::civil::date(2026, 3, 31), jiff::civil::date(1999, 12, 31)] {
        for person in roster.people() {
            assert!(roster.judge(person, &zones, When::On(day)).is_some(), "everybody can be judged");
            assert!(roster.anchor(person).is_some());
        }
    }
}

fn entities() -> BTreeMap<EntityId, Entity> {
    let entity = |name: &str, zone: &str| Entity {
        name: name.to_owned(),
        name_ja: None,
        time_zone: zone.to_owned(),
        deadline: None,
        shared_subtrees: Vec::new(),
        independent_subtrees: Vec::new(),
    };
    [("own", "Asia/Tokyo"), ("overseas", "America/Los_Angeles")].map(|(id, zone)| (EntityId::new(id), entity(id, zone))).into()
}

/// What each row says, but for its line, and the number of its person.
fn rows(roster: &Roster) -> Vec<String> {
    let mut rows = Vec::new();
    for person in roster.people() {
        for row in roster.rows_of(person) {
            let text = format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} of person {}",
                row.person_id(),
                row.number(),
                row.previous_number(),
                row.name(),
                row.name_kana(),
                row.mail(),
                row.login(),
                row.entity(),
                row.status(),
                row.contractor(),
                row.start(),
                row.last_day(),
                row.contract_end(),
                row.manager_number(),
                row.department(),
                person.index(),
            );
            rows.push(text);
        }
    }
    rows
}

fn written(roster: &Roster, policy: &RosterPolicy) -> Vec<u8> {
    let word = |words: &[String]| words.first().cloned().unwrap_or_default();
    // In the order of the file, which decides how people are numbered.
    let mut lines: Vec<(RowIx, Vec<String>)> = Vec::new();
    for row in roster.people().flat_map(|person| roster.rows_of(person)) {
        let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
        let date = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string()).unwrap_or_default();
        let status = match row.status() {
            Status::Active => &policy.status.active,
            Status::Leave => &policy.status.leave,
            Status::Seconded => &policy.status.seconded,
            Status::Departed => &policy.status.departed,
        };
        let employment = if row.contractor() { &policy.employment.contractor } else { &policy.employment.regular };
        let fields = vec![
            text(row.person_id()),
            text(row.number()),
            text(row.previous_number()),
            text(row.name()),
            text(row.name_kana()),
            text(row.mail()),
            text(row.login()),
            text(row.entity().map(EntityId::as_str)),
            word(status),
            word(employment),
            date(row.start()),
            date(row.last_day()),
            date(row.contract_end()),
            text(row.manager_number()),
            text(row.department()),
        ];
        lines.push((row.ix(), fields));
    }
    lines.sort();
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(HEADER).unwrap_or_else(|error| panic!("{error}"));
    for (_, fields) in lines {
        out.write_record(fields).unwrap_or_else(|error| panic!("{error}"));
    }
    out.into_inner().unwrap_or_else(|error| panic!("{error}"))
}
