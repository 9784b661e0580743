//! `findings waive`: findings that may stand until a day, because a person answers for it.

use untether_model::digest::Digest;
use untether_model::finding::Finding;
use untether_model::run::{Decided, Decision, DecisionId, ExceptionState, Exceptions, Waive};
use untether_model::{FindingId, neutral};

use super::filter::Filter;
use super::marks::Marks;
use super::{Row, each_finding};
use crate::args::WaiveArgs;
use crate::command::approve::until as until_time;
use crate::command::decide::{Asked, Recorded, reason, record, withdraw};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};

/// `findings waive`.
pub async fn run(config: &Config, args: &WaiveArgs, output: &Output) -> Result<Exit, CliError> {
    let why = reason(&args.reason)?;
    if args.ids.is_empty() && args.filter.is_empty() {
        return Err(CliError::usage("which findings? Neither an id nor a filter was given")
            .hint("give ids (`untether findings` shows them), or --rule, --severity, --entity, --store, --subject"));
    }
    // Held before anything is looked at, so that nothing changes between what is shown and what is signed.
    let opened = Opened::open(config).await?;
    let looked = Looked::look(config)?;
    if args.withdraw {
        return take_back(config, (&opened, &looked), (args, why), output).await;
    }
    let Some(until) = args.until else {
        return Err(CliError::usage("a waiver needs an end: nothing is waived for good").hint("give --until DATE"));
    };
    let marks = Marks::new(&looked.state, config, opened.now());
    let rows = chosen(&looked, &marks, args)?;
    if let Some(row) = rows.iter().find(|row| marks.today(row.finding.entity.as_ref()) > until) {
        return Err(
            CliError::usage(format!("{until} is over already where finding {} is", row.finding.id)).hint("give a later day")
        );
    }
    for row in &rows {
        output.say(line(row));
    }
    let decisions = rows
        .iter()
        .map(|row| {
            let shown = Digest::of(serde_json::to_string(&row.finding).map_err(CliError::failed)?.as_bytes());
            Ok(Decided { decision: Decision::Waive(Waive::of(&row.finding, until)), reason: None, shown })
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    let object = match rows.as_slice() {
        [only] => format!("{} until {until}", only.finding.id),
        several => format!("{} findings until {until}", several.len()),
    };
    let asked = Asked {
        kind: "finding",
        object,
        reason: why,
        not_after: until_time(Some(&until.to_string()), opened.now())?,
        first: Vec::new(),
    };
    if let Recorded::Done(by, record) = record(config, &opened, asked, (decisions, &args.sign), output).await? {
        let ids: Vec<&FindingId> = rows.iter().map(|row| &row.finding.id).collect();
        output.say(format!("{by} waived {} until {until} (record {record})", counted(ids.len())));
        let body = serde_json::json!({ "waived": ids, "until": until, "by": by, "record": record });
        output.object("findings.waive", &body);
    }
    Ok(Exit::Done)
}

fn counted(n: usize) -> String {
    if n == 1 { "1 finding".to_owned() } else { format!("{n} findings") }
}

/// One finding of the list that is signed.
fn line(row: &Row) -> String {
    let f = &row.finding;
    let dn = f.dn.as_ref().map_or_else(String::new, |dn| format!(" {}", neutral::terminal(dn.as_str())));
    let before = row.waiver.as_ref().map_or_else(String::new, |mark| format!("  [{}]", mark.words()));
    format!("{} {:<8} {} {}{dn}{before}", f.id, f.severity, f.rule, f.store)
}

/// The findings that are meant, in the order of the list; an id that the last audit does not have is refused.
fn chosen(looked: &Looked, marks: &Marks<'_>, args: &WaiveArgs) -> Result<Vec<Row>, CliError> {
    let filter = Filter::new(&args.filter)?;
    let is_meant = |finding: &Finding| {
        (args.ids.is_empty() || args.ids.iter().any(|id| *id == finding.id.as_str())) && filter.takes(finding, &looked.state)
    };
    let mut found = Vec::new();
    each_finding(looked, |finding| {
        if is_meant(&finding) {
            found.push(marks.row(finding));
        }
        Ok(())
    })?;
    let missing = args.ids.iter().find(|id| !found.iter().any(|row| row.finding.id.as_str() == **id));
    if let Some(id) = missing {
        return Err(CliError::usage(format!("the last audit has no finding '{id}' among those that are meant"))
            .hint("`untether findings` shows the ids"));
    }
    if found.is_empty() {
        return Err(
            CliError::usage("the last audit has no such finding").hint("the same filters with `untether findings` list them")
        );
    }
    Ok(found)
}

/// Takes waivers back: of findings that were named, whether they are still there or not, or of all that the filters take.
async fn take_back(
    config: &Config,
    (opened, looked): (&Opened, &Looked),
    (args, why): (&WaiveArgs, &str),
    output: &Output,
) -> Result<Exit, CliError> {
    let exceptions = Exceptions::of(&looked.state);
    let marks = Marks::new(&looked.state, config, opened.now());
    let mut ids: Vec<(FindingId, DecisionId)> = Vec::new();
    if args.ids.is_empty() {
        let filter = Filter::new(&args.filter)?;
        each_finding(looked, |finding| {
            if let Some(waiver) = exceptions.waivers.get(&finding.id).filter(|_| filter.takes(&finding, &looked.state)) {
                ids.push((finding.id, waiver.decision));
            }
            Ok(())
        })?;
    }
    for id in &args.ids {
        let id = FindingId::new(id.as_str());
        let waiver = exceptions.waivers.get(&id);
        let waiver = waiver.ok_or_else(|| CliError::usage(format!("finding {id} is not waived")))?;
        ids.push((id, waiver.decision));
    }
    if ids.is_empty() {
        return Err(CliError::usage("none of these findings is waived").hint("`untether findings` marks those that are"));
    }
    for (id, decision) in &ids {
        let Some(waiver) = exceptions.waivers.get(id) else { continue };
        let over = if waiver.state(marks.today(waiver.waive.entity.as_ref())) == ExceptionState::InForce {
            ""
        } else {
            ", no longer in force"
        };
        let said = neutral::terminal(&waiver.reason);
        output.say(format!(
            "{id} {}: waived by {} until {}{over} — {said} (decision {decision})",
            waiver.waive.rule, waiver.by, waiver.waive.until
        ));
    }
    let decisions: Vec<DecisionId> = ids.iter().map(|(_, decision)| *decision).collect();
    if let Recorded::Done(by, record) = withdraw(config, opened, (&decisions, why, Vec::new()), &args.sign, output).await? {
        let ids: Vec<&FindingId> = ids.iter().map(|(id, _)| id).collect();
        output.say(format!("{by} took the waiver of {} back (record {record}): open again", counted(ids.len())));
        output.object("findings.waive", &serde_json::json!({ "withdrawn": ids, "by": by, "record": record }));
    }
    Ok(Exit::Done)
}
