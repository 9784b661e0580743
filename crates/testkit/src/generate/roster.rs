//! The roster as personnel exports it: CSV (RFC 4180), UTF-8, a header in English.

use super::Error;
use super::entry::department;
use super::output::Output;
use super::person::{Person, Row};
use super::situation::place;
use super::world::{BLOCK, Entity};
use jiff::civil::Date;

/// Names of the columns.
const HEADER: &str = "person_id,employee_number,previous_number,name,name_kana,mail,login,entity,status,employment,\
start_date,last_day,contract_end,manager_number,department\n";

/// Writes the header.
pub(super) fn write_header(out: &mut Output) -> Result<(), Error> {
    out.text(HEADER)
}

/// Writes the rows of a person.
pub(super) fn write(out: &mut Output, person: &Person) -> Result<(), Error> {
    for row in &person.rows {
        out.entries += 1;
        out.text(&line(person, row))?;
    }
    Ok(())
}

fn line(person: &Person, row: &Row) -> String {
    let day = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    // The number of somebody at a known place of the block; personnel cares little for entities.
    let block = person.index / BLOCK * BLOCK;
    let manager = block + place::PRESENT + person.index % place::PRESENT_COUNT;
    let fields = [
        person.person_id().unwrap_or_default(),
        row.number.clone(),
        row.previous.clone(),
        person.name.written.clone(),
        person.name.kana.clone(),
        row.mail.clone(),
        row.login.clone(),
        row.entity.id().to_owned(),
        row.status.to_owned(),
        row.employment.to_owned(),
        day(row.start),
        day(row.last_day),
        day(row.contract_end),
        if person.index == manager { String::new() } else { Entity::Own.number(manager) },
        department(person.index),
    ];
    let mut line = fields.map(|field| quoted(&field)).join(",");
    line.push('\n');
    line
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}
