//! `handover deliver`: hands over what did not arrive, outside of a run; or takes a person's word that it did.

use std::collections::BTreeSet;

use serde_json::json;
use untether_cutover::Engine;
use untether_model::SubjectId;
use untether_model::run::{DeliveryStatus, Record};

use super::credentials::{Credential, Source, recorded, scope};
use super::orders::tell_undelivered;
use crate::args::DeliverArgs;
use crate::command::operate::operator;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Opened;
use untether_model::neutral::terminal as safe;

/// `handover deliver`.
pub async fn run(config: &Config, args: &DeliverArgs, output: &Output) -> Result<Exit, CliError> {
    let opened = Opened::open(config).await?;
    let state = opened.state_now();
    let source = Source { dir: &opened.dir, keys: &opened.keys, state: &state };
    let credentials = recorded(source, &scope(source, &args.whose)?)?;
    let waiting: Vec<Credential> = credentials
        .into_iter()
        .filter(|c| c.current && c.expired.is_none())
        .filter(|c| c.delivery.as_ref().is_none_or(|d| d.status != DeliveryStatus::Delivered))
        .collect();
    if args.arrived {
        return arrived(&opened, args, &waiting, output).await;
    }
    if !args.execute {
        for credential in &waiting {
            let told = credential.delivery.as_ref().map(|d| match d.status {
                DeliveryStatus::Begun => ": interrupted, nobody knows whether it has arrived (--again, or --arrived)".to_owned(),
                _ => format!(": {}", safe(&d.message)),
            });
            output.say(format!(
                "would hand over to {} ({}){}",
                safe(&credential.login()),
                credential.subject,
                told.unwrap_or_default()
            ));
        }
        if waiting.is_empty() {
            output.say("everybody whose credential counts has got it");
        }
        let subjects: Vec<&SubjectId> = waiting.iter().map(|c| &c.subject).collect();
        output.object("handover-deliver", &json!({ "executed": false, "waiting": subjects }));
        return Ok(Exit::Done);
    }
    let subjects: Vec<SubjectId> = waiting.iter().map(|c| c.subject.clone()).collect();
    let again: BTreeSet<SubjectId> = if args.again { subjects.iter().cloned().collect() } else { BTreeSet::new() };
    let display = opened.display(output);
    let engine = Engine::new(opened.ports(config, display.sink())?, config.run.in_flight);
    let ended = engine.deliver(&subjects, &again).await;
    display.finish();
    output.note(format!("ledger at {}", opened.finish().await));
    let deliveries = ended?;
    output.say(format!("{} one-time credentials were handed over", deliveries.delivered));
    tell_undelivered(&deliveries.undelivered, output);
    let undelivered: Vec<serde_json::Value> =
        deliveries.undelivered.iter().map(|u| json!({ "subject": u.subject, "reason": u.words })).collect();
    output
        .object("handover-deliver", &json!({ "executed": true, "delivered": deliveries.delivered, "undelivered": undelivered }));
    Ok(if deliveries.undelivered.is_empty() { Exit::Done } else { Exit::Resumable })
}

/// A person says that it has arrived, where nobody can see it.
async fn arrived(opened: &Opened, args: &DeliverArgs, waiting: &[Credential], output: &Output) -> Result<Exit, CliError> {
    let reason = args.reason.clone().filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| CliError::usage("how does one know that it has arrived?").hint("give --reason TEXT"))?;
    let tried: Vec<&Credential> = waiting.iter().filter(|c| c.delivery.is_some()).collect();
    if tried.is_empty() {
        return Err(CliError::usage("no hand-over to them was tried whose end is not known")
            .hint("`untether handover list --status undelivered` shows those that are"));
    }
    let by = operator();
    for credential in &tried {
        let record = Record::HandoverEnded {
            subject: credential.subject.clone(),
            issued: credential.issued,
            delivered: true,
            message: reason.clone(),
            by: Some(by.clone()),
        };
        opened.record(record).await?;
        output.say(format!("the credential of {} has arrived, says {by}", credential.subject));
    }
    let subjects: Vec<&SubjectId> = tried.iter().map(|c| &c.subject).collect();
    output.object("handover-deliver", &json!({ "arrived": subjects, "by": by }));
    Ok(Exit::Done)
}
