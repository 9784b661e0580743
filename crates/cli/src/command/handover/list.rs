//! `handover list` and `handover report`.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use untether_model::neutral::{cell, terminal as safe};
use untether_model::run::DeliveryStatus;
use untether_model::{BatchId, EntityId};

use super::credentials::{Row, Source, look, recorded, scope};
use crate::args::{Format, StateName, Whose};
use crate::command::findings::csv_line;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, clock};

/// Columns of the list of those who have not used theirs.
const CSV_COLUMNS: [&str; 12] =
    ["batch", "entity", "subject", "account", "login", "name", "mail", "state", "issued", "days", "way", "details"];

/// The name of a state, as it is given on the command line.
pub fn state_name(state: StateName) -> String {
    state.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

struct Told {
    rows: Vec<Row>,
    silent: Option<String>,
    now: Timestamp,
}

async fn told(config: &Config, whose: &Whose) -> Result<Told, CliError> {
    let looked = Looked::look(config)?;
    let source = Source { dir: &looked.dir, keys: &looked.keys, state: &looked.state };
    let credentials = recorded(source, &scope(source, whose)?)?;
    let now = clock().wall();
    let (rows, silent) = look(config, &looked.keys.marks(), credentials, now).await?;
    Ok(Told { rows, silent, now })
}

/// A directory that does not answer has been told; the command as a whole has failed then.
fn ends(silent: Option<&String>, output: &Output) -> Exit {
    let Some(why) = silent else { return Exit::Done };
    output.note(format!("what became of the credentials is not known: {}", safe(why)));
    Exit::Failed
}

/// `handover list`.
pub async fn list(config: &Config, (whose, states): (&Whose, &[StateName]), output: &Output) -> Result<Exit, CliError> {
    let told = told(config, whose).await?;
    let mut heading: Option<(&BatchId, &EntityId)> = None;
    let mut counts: BTreeMap<StateName, u64> = BTreeMap::new();
    for row in told.rows.iter().filter(|row| states.is_empty() || states.contains(&row.state)) {
        *counts.entry(row.state).or_default() += 1;
        output.row(&json_row(row));
        let place = (&row.credential.batch, &row.credential.entity);
        if heading != Some(place) {
            output.say(format!("{}  {}", place.0, safe(place.1.as_str())));
            heading = Some(place);
        }
        output.say(line(row));
        if !row.details.is_empty() {
            output.say(format!("      {}", safe(&row.details)));
        }
    }
    let each: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {}", state_name(*state))).collect();
    output.say(if each.is_empty() { "no one-time credentials".to_owned() } else { each.join(", ") });
    Ok(ends(told.silent.as_ref(), output))
}

/// One credential in a terminal: state, times, login, name.
fn line(row: &Row) -> String {
    let credential = &row.credential;
    let name = row.seen.as_ref().and_then(|seen| seen.name.clone()).unwrap_or_default();
    let who = match credential.login() {
        login if login.is_empty() => credential.subject.to_string(),
        login => safe(&login),
    };
    let since = row.since.map(|at| format!(" since {at:.0}")).unwrap_or_default();
    format!("  {:<11}  {who}  {}  issued {:.0}{since}", state_name(row.state), safe(&name), credential.at)
}

fn json_row(row: &Row) -> serde_json::Value {
    let credential = &row.credential;
    let delivery = credential
        .delivery
        .as_ref()
        .map(|d| json!({ "status": d.status, "way": d.way, "tried_since": d.since, "at": d.at, "message": d.message }));
    json!({
        "schema": "untether.handover-list/1", "batch": credential.batch, "entity": credential.entity,
        "subject": credential.subject, "account": row.seen.as_ref().map(|seen| &seen.dn).or(credential.account.as_ref()),
        "login": credential.login(), "name": row.seen.as_ref().and_then(|seen| seen.name.as_ref()), "operation": credential.op,
        "issued": credential.at, "state": state_name(row.state), "since": row.since, "details": row.details, "delivery": delivery,
    })
}

/// People of one batch and entity.
#[derive(Default)]
struct Group {
    people: u64,
    by_state: BTreeMap<StateName, u64>,
    oldest: Option<Timestamp>,
}

/// `handover report`.
pub async fn report(config: &Config, (whose, format): (&Whose, Format), output: &Output) -> Result<Exit, CliError> {
    let told = told(config, whose).await?;
    let current = || told.rows.iter().filter(|row| row.state != StateName::Superseded);
    let waiting: Vec<&Row> = current().filter(|row| row.waits()).collect();
    if format == Format::Csv && !output.is_json() {
        output.raw(&csv_line(&CSV_COLUMNS.map(str::to_owned))?);
        for row in &waiting {
            output.raw(&csv_line(&csv_fields(row, told.now))?);
        }
        return Ok(ends(told.silent.as_ref(), output));
    }
    let mut groups: BTreeMap<(&BatchId, &EntityId), Group> = BTreeMap::new();
    for row in current() {
        let group = groups.entry((&row.credential.batch, &row.credential.entity)).or_default();
        group.people += 1;
        *group.by_state.entry(row.state).or_default() += 1;
        if row.waits() {
            group.oldest = Some(group.oldest.map_or(row.credential.at, |oldest| oldest.min(row.credential.at)));
        }
    }
    if output.is_json() || format == Format::Json {
        let body = json_report(&told, &groups, &waiting);
        Output::new(true).object("handover-report", &body);
        return Ok(ends(told.silent.as_ref(), output));
    }
    for ((batch, entity), group) in &groups {
        let each: Vec<String> = group.by_state.iter().map(|(state, n)| format!("{n} {}", state_name(*state))).collect();
        output.say(format!("{batch}  {}: {} people: {}", safe(entity.as_str()), group.people, each.join(", ")));
        if let Some(oldest) = group.oldest {
            output.say(format!("  oldest unused: issued {oldest:.0}, {} days ago", days(oldest, told.now)));
        }
    }
    match waiting.len() {
        0 if told.silent.is_none() => output.say("everybody whose credential counts has used it"),
        0 => {}
        number => output.say(format!("\n{number} have not used theirs yet:")),
    }
    for row in waiting {
        output.say(format!("{}, {} days ago", line(row), days(row.credential.at, told.now)));
    }
    Ok(ends(told.silent.as_ref(), output))
}

fn days(since: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(since).max(SignedDuration::ZERO).as_hours() / 24
}

fn json_report(told: &Told, groups: &BTreeMap<(&BatchId, &EntityId), Group>, waiting: &[&Row]) -> serde_json::Value {
    let groups: Vec<serde_json::Value> = groups
        .iter()
        .map(|((batch, entity), group)| {
            let by_state: BTreeMap<String, u64> = group.by_state.iter().map(|(state, n)| (state_name(*state), *n)).collect();
            json!({ "batch": batch, "entity": entity, "people": group.people, "states": by_state, "oldest_unused": group.oldest })
        })
        .collect();
    let waiting: Vec<serde_json::Value> = waiting
        .iter()
        .map(|row| {
            let mut value = json_row(row);
            if let Some(object) = value.as_object_mut() {
                object.remove("schema");
                object.insert("mail".to_owned(), json!(row.seen.as_ref().and_then(|seen| seen.mail.as_ref())));
                object.insert("days".to_owned(), json!(days(row.credential.at, told.now)));
            }
            value
        })
        .collect();
    json!({ "as_of": told.now, "complete": told.silent.is_none(), "groups": groups, "waiting": waiting })
}

fn csv_fields(row: &Row, now: Timestamp) -> [String; 12] {
    let credential = &row.credential;
    let seen = row.seen.as_ref();
    let delivered = credential.delivery.as_ref().filter(|d| d.status == DeliveryStatus::Delivered);
    [
        credential.batch.to_string(),
        credential.entity.to_string(),
        credential.subject.to_string(),
        seen.map(|s| &s.dn).or(credential.account.as_ref()).map(ToString::to_string).unwrap_or_default(),
        credential.login(),
        seen.and_then(|s| s.name.clone()).unwrap_or_default(),
        seen.and_then(|s| s.mail.clone()).unwrap_or_default(),
        state_name(row.state),
        format!("{:.0}", credential.at),
        days(credential.at, now).to_string(),
        delivered.map(|d| d.way.clone()).unwrap_or_default(),
        row.details.clone(),
    ]
    .map(|field| cell(&field))
}
