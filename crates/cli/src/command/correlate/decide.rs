//! `correlate confirm`, `deny`, `split`, `merge`, `withdraw`: one decision at a time.

use std::collections::{BTreeMap, BTreeSet};

use untether_audit::correlate::{Decisions, anchor_of, is_person};
use untether_model::digest::Digest;
use untether_model::matching::MatchCase;
use untether_model::neutral::terminal;
use untether_model::run::{Decided, Decision, DecisionId, Match, MatchVerb, Record, RunState};
use untether_model::snapshot::Subject;
use untether_model::{CaseId, FindingId, SubjectId, WaveId};

use super::table::{LEGEND, render};
use super::target::{Look, Target, Whom, one_account};
use crate::args::{CorrelateCommand, WhyArgs};
use crate::command::decide::{Asked, NO_END, Recorded, reason, record, withdraw as take_back};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{Looked, Opened};

/// A decision that was asked for, with what the person is shown.
struct Wanted {
    decided: Match,
    shown: Digest,
    lines: Vec<String>,
}

/// `correlate confirm` and its siblings.
pub async fn run(config: &Config, command: &CorrelateCommand, output: &Output) -> Result<Exit, CliError> {
    let why = match command {
        CorrelateCommand::Confirm { why, .. }
        | CorrelateCommand::Deny { why, .. }
        | CorrelateCommand::Split { why, .. }
        | CorrelateCommand::Merge { why, .. }
        | CorrelateCommand::Withdraw { why, .. }
        | CorrelateCommand::Import { why, .. } => why,
        CorrelateCommand::Export { .. } => return Ok(Exit::Done),
    };
    reason(&why.reason)?;
    // Held before anything is looked at, so that nothing changes between what is shown and what is signed.
    let opened = Opened::open(config).await?;
    let looked = Looked::look(config)?;
    if let CorrelateCommand::Withdraw { decisions, .. } = command {
        return withdraw(config, (&opened, &looked.state), (decisions, why), output).await;
    }
    let look = Look::new(config, &looked)?;
    let wanted = match command {
        CorrelateCommand::Confirm { account, with, .. } => {
            let target = look.target(account)?;
            let whom = look.whom(&target, with)?;
            about(MatchVerb::Confirm, &target, &[whom])?
        }
        CorrelateCommand::Deny { account, with, .. } => {
            let target = look.target(account)?;
            let whom = with.iter().map(|text| look.whom(&target, text)).collect::<Result<Vec<_>, _>>()?;
            about(MatchVerb::Deny, &target, &whom)?
        }
        CorrelateCommand::Split { accounts, .. } => split(&look, accounts)?,
        CorrelateCommand::Merge { subjects, .. } => merge(&look, subjects)?,
        _ => return Ok(Exit::Done),
    };
    fits(&look.decisions, &wanted.decided)?;
    let first = free(&looked.state, &wanted.decided.subjects)?;
    for line in &wanted.lines {
        output.say(line);
    }
    told(&first, output);
    let asked = Asked { kind: "match", object: wanted.decided.to_string(), reason: &why.reason, not_after: NO_END, first };
    let decided = Decided { decision: Decision::Match(wanted.decided.clone()), reason: None, shown: wanted.shown };
    if let Recorded::Done(by, record) = record(config, &opened, asked, (vec![decided], &why.sign), output).await? {
        output.say(format!("{by} decided: {} (decision {record})", wanted.decided));
        output.say("Next: `untether audit`, then `untether plan`. `untether correlate withdraw` takes it back.");
        output.object("correlate.decide", &serde_json::json!({ "decision": wanted.decided, "by": by, "record": record }));
    }
    Ok(Exit::Done)
}

/// Says which parked subjects leave their waves with the decision.
pub fn told(first: &[Record], output: &Output) {
    for record in first {
        if let Record::Released { wave, subjects, .. } = record {
            let ids: Vec<&str> = subjects.iter().map(SubjectId::as_str).collect();
            output.note(format!("parked, and leaves wave {wave} with this decision for a new plan: {}", ids.join(", ")));
        }
    }
}

/// Confirm or deny.
fn about(verb: MatchVerb, target: &Target, whom: &[Whom]) -> Result<Wanted, CliError> {
    let others: Vec<String> = match verb {
        MatchVerb::Confirm => whom.iter().map(|w| w.candidate.card.anchor.clone()).collect(),
        // Among the accounts that somebody has is the one that is said not to be theirs.
        _ => whom.iter().flat_map(Whom::anchors).filter(|anchor| *anchor != target.card.anchor).collect(),
    };
    if others.is_empty() || others.contains(&target.card.anchor) {
        return Err(CliError::usage("an account is always itself: that needs no decision, and cannot be denied")
            .hint("to take an account out of its subject: `untether correlate split`"));
    }
    let mut subjects = vec![target.subject.clone()];
    subjects.extend(whom.iter().filter_map(|w| w.subject.clone()));
    subjects.dedup();
    let case = target.case.clone().unwrap_or_else(|| shown_beside(target, whom));
    let mut lines = render(&case);
    lines.push(LEGEND.to_owned());
    let decided = Match { verb, these: vec![target.card.anchor.clone()], others, subjects };
    Ok(Wanted { decided, shown: case.shown(), lines })
}

/// An account that is not undecided, beside those whom somebody names.
fn shown_beside(target: &Target, whom: &[Whom]) -> MatchCase {
    MatchCase {
        id: CaseId::from_anchor(&target.card.anchor),
        rule: "not undecided".to_owned(),
        finding: FindingId::new(""),
        entity: None,
        account: target.card.clone(),
        candidates: whom.iter().map(|w| w.candidate.clone()).collect(),
        rivals: Vec::new(),
        more: 0,
    }
}

fn split(look: &Look<'_>, accounts: &[String]) -> Result<Wanted, CliError> {
    let mut subject: Option<Subject> = None;
    let mut these = Vec::new();
    for text in accounts {
        let found = look.subject(text)?;
        these.push(anchor_of(one_account(&found, text)?));
        if subject.as_ref().is_some_and(|s| s.id != found.id) {
            return Err(CliError::usage(format!(
                "'{text}' belongs to another subject than '{}'",
                accounts.first().map_or("", String::as_str)
            ))
            .hint("split the accounts of one subject at a time"));
        }
        subject = Some(found);
    }
    let subject = subject.ok_or_else(|| CliError::usage("which accounts?"))?;
    these.sort();
    these.dedup();
    let mut others: Vec<String> = subject.accounts.iter().map(anchor_of).filter(|a| !these.contains(a)).collect();
    if is_person(&subject.anchor) {
        others.insert(0, subject.anchor.clone());
    }
    if others.is_empty() {
        return Err(CliError::usage(format!(
            "subject {} has no other account and is nobody of the roster: there is nothing to split",
            subject.id
        )));
    }
    let mut lines = vec![format!("subject {} ({})", subject.id, subject.roster_ref.as_deref().unwrap_or("not in the roster"))];
    lines.extend(subject.accounts.iter().map(|a| {
        let stays = if these.contains(&anchor_of(a)) { "split off" } else { "stays" };
        format!("  {stays}: {} {}", a.side, terminal(a.dn.as_str()))
    }));
    let shown = digest(&subject)?;
    let subjects = vec![subject.id.clone()];
    Ok(Wanted { decided: Match { verb: MatchVerb::Split, these, others, subjects }, shown, lines })
}

fn merge(look: &Look<'_>, texts: &[String]) -> Result<Wanted, CliError> {
    let mut anchors = Vec::new();
    let mut subjects = Vec::new();
    let mut shown = Vec::new();
    let mut lines = Vec::new();
    for text in texts {
        let subject = look.subject(text)?;
        if subject.protected {
            return Err(CliError::usage(format!("subject {} is a protected identity: it is merged with nobody", subject.id)));
        }
        if subjects.contains(&subject.id) {
            return Err(CliError::usage(format!("'{text}' is subject {}, which was named before", subject.id)));
        }
        let name = subject.name.as_deref().map_or_else(String::new, |n| format!(" {}", terminal(n)));
        lines.push(format!("subject {}:{name} ({})", subject.id, subject.roster_ref.as_deref().unwrap_or("not in the roster")));
        lines.extend(subject.accounts.iter().map(|a| format!("  {} {}", a.side, terminal(a.dn.as_str()))));
        anchors.push(subject.anchor.clone());
        subjects.push(subject.id.clone());
        shown.push(subject);
    }
    let others = anchors.split_off(1);
    Ok(Wanted { decided: Match { verb: MatchVerb::Merge, these: anchors, others, subjects }, shown: digest(&shown)?, lines })
}

fn digest(shown: &impl serde::Serialize) -> Result<Digest, CliError> {
    // `serde_json::Value` keeps object keys sorted.
    let value = serde_json::to_value(shown).map_err(CliError::failed)?;
    Ok(Digest::of(value.to_string().as_bytes()))
}

/// Refuses what was said already, and what contradicts earlier decisions.
pub fn fits(decisions: &Decisions, decided: &Match) -> Result<(), CliError> {
    if let Some(earlier) = decisions.said_before(decided) {
        return Err(
            CliError::usage(format!("decision {earlier} says that already")).hint("`untether correlate --decided` shows it")
        );
    }
    let mut trial = decisions.clone();
    trial.decide(DecisionId::alone(u64::MAX), decided).map_err(|contradiction| {
        let hint = match contradiction.earlier.first() {
            Some(id) => format!("`untether correlate withdraw {id} --reason TEXT` takes the earlier one back"),
            None => "`untether correlate merge` says that people of the roster are one".to_owned(),
        };
        CliError::usage(format!("that contradicts what was decided: {}", contradiction.why)).hint(hint)
    })
}

/// Refuses a decision on subjects that an unfinished wave works on. Those that it has parked leave it, so that nothing goes on with
/// accounts that somebody has decided on otherwise: the records of that.
pub fn free(state: &RunState, subjects: &[SubjectId]) -> Result<Vec<Record>, CliError> {
    let mut parked: BTreeMap<WaveId, BTreeSet<SubjectId>> = BTreeMap::new();
    for subject in subjects {
        for id in state.identities(subject) {
            let Some(found) = state.subjects().get(id).filter(|s| s.claimed) else { continue };
            if found.parked.is_none() {
                let batch = &found.batch;
                return Err(CliError::usage(format!(
                    "subject {id} is in the hands of batch {batch}: what is done there goes by the accounts that its plan knows"
                ))
                .hint("decide when the wave has ended, or take the subject out first: `untether rollback --subject`, `untether abort`"));
            }
            parked.entry(found.batch.wave.clone()).or_default().insert(id.clone());
        }
    }
    let reason = || "a person decided on whose accounts these are".to_owned();
    let release = |(wave, subjects): (WaveId, BTreeSet<SubjectId>)| Record::Released {
        wave,
        subjects: subjects.into_iter().collect(),
        reason: reason(),
    };
    Ok(parked.into_iter().map(release).collect())
}

async fn withdraw(
    config: &Config,
    (opened, state): (&Opened, &RunState),
    (texts, why): (&[String], &WhyArgs),
    output: &Output,
) -> Result<Exit, CliError> {
    let mut ids = Vec::new();
    let mut subjects = Vec::new();
    for text in texts {
        let id: DecisionId = text.parse().map_err(|e: untether_model::ids::BadId| CliError::usage(e.to_string()))?;
        let matched = state.decision(id).and_then(|d| match &d.decision {
            Decision::Match(decided) => Some((decided, d)),
            _ => None,
        });
        let Some((decided, d)) = matched else {
            return Err(CliError::usage(format!("{id} is no decision on a match that is in force"))
                .hint("`untether correlate --decided` lists them"));
        };
        output.say(format!("decision {id}: {} by {} — {}", decided, d.by, terminal(&d.reason)));
        subjects.extend(decided.subjects.iter().cloned());
        ids.push(id);
    }
    // Who was joined by it is in hand under the id that they have now.
    let first = free(state, &subjects)?;
    told(&first, output);
    if let Recorded::Done(by, record) = take_back(config, opened, (&ids, &why.reason, first), &why.sign, output).await? {
        output.say(format!(
            "{by} took back {} (record {record})",
            ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ));
        output.say("Next: `untether audit` says again what the rules say.");
        output.object("correlate.withdraw", &serde_json::json!({ "withdrawn": ids, "by": by, "record": record }));
    }
    Ok(Exit::Done)
}
