//! What is undecided, and what was decided.

use std::collections::{BTreeMap, BTreeSet};

use untether_audit::correlate::is_person;
use untether_model::matching::{MatchCase, compare};
use untether_model::neutral::terminal;
use untether_model::run::{Decision, DecisionId, DecisionState, Match};
use untether_model::{Dn, Side};

use super::table::{LEGEND, render};
use super::target::Look;
use crate::args::CorrelateArgs;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::Looked;

/// `correlate`.
pub fn undecided(config: &Config, args: &CorrelateArgs, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let look = Look::new(config, &looked)?;
    let since = since(&look);
    let only = match &args.case {
        Some(text) => Some(look.case(text)?.map(|case| case.id).ok_or_else(|| {
            CliError::usage(format!("the last audit has no undecided match '{text}'"))
                .hint("`untether correlate` lists them; `--decided` shows what was decided")
        })?),
        None => None,
    };
    let (mut shown, mut decided) = (0, 0);
    for case in look.cases()? {
        let case = case?;
        let entity = case.entity.as_ref().map_or("unassigned", |e| e.as_str());
        let is_wanted =
            only.as_ref().is_none_or(|id| *id == case.id) && (args.entity.is_empty() || args.entity.iter().any(|e| e == entity));
        if !is_wanted {
            continue;
        }
        let about = since.get(&case.account.anchor).map(Vec::as_slice).unwrap_or_default();
        (shown, decided) = (shown + 1, decided + usize::from(!about.is_empty()));
        output.row(&json(&case, about));
        for line in render(&case) {
            output.say(line);
        }
        for (id, d) in about {
            let words = decided_words(&d.decision);
            output.say(format!("  decided since: {words} by {} (decision {id}); it counts with the next audit", terminal(&d.by)));
        }
        output.say("");
    }
    if shown == 0 {
        output.say("no undecided match in the last audit");
    } else {
        output.say(LEGEND);
        let since = if decided > 0 { format!(", {decided} of them decided since: `untether audit`") } else { String::new() };
        output.say(format!("{shown} undecided{since}"));
        output.say("Names that are alike are a hint, never a proof. Decide by");
        output.say("  untether correlate confirm CASE --with N --reason TEXT   (or deny)");
        output.say("  untether correlate export FILE                           (many at once)");
    }
    Ok(Exit::Done)
}

fn decided_words(decision: &Decision) -> String {
    match decision {
        Decision::Match(decided) => decided.verb.to_string(),
        _ => String::new(),
    }
}

/// Decisions in force that are newer than the audit, by the anchors that they are about.
fn since<'a>(look: &Look<'a>) -> BTreeMap<String, Vec<(DecisionId, &'a DecisionState)>> {
    let mut found: BTreeMap<String, Vec<(DecisionId, &DecisionState)>> = BTreeMap::new();
    for (id, d) in look.looked.state.decisions().filter(|(id, _)| id.record > look.audit) {
        if let Decision::Match(decided) = &d.decision {
            for anchor in &decided.these {
                found.entry(anchor.clone()).or_default().push((id, d));
            }
        }
    }
    found
}

fn json(case: &MatchCase, decided: &[(DecisionId, &DecisionState)]) -> serde_json::Value {
    let candidates: Vec<serde_json::Value> = case
        .candidates
        .iter()
        .zip(1..)
        .map(|(candidate, n)| {
            let compared = compare(&case.account, &candidate.card);
            serde_json::json!({
                "n": n, "card": candidate.card, "by": candidate.by, "accounts": candidate.accounts, "compared": compared,
            })
        })
        .collect();
    serde_json::json!({
        "case": case.id, "rule": case.rule, "finding": case.finding, "entity": case.entity, "account": case.account,
        "candidates": candidates, "rivals": case.rivals, "more": case.more, "shown": case.shown(),
        "decided": decided.iter().map(|(id, d)| serde_json::json!({ "id": id, "decision": d })).collect::<Vec<_>>(),
    })
}

/// `correlate --decided`.
pub fn decided(config: &Config, output: &Output) -> Result<Exit, CliError> {
    let looked = Looked::look(config)?;
    let look = Look::new(config, &looked)?;
    let in_force: Vec<(DecisionId, &DecisionState, &Match)> = looked
        .state
        .decisions()
        .filter_map(|(id, d)| match &d.decision {
            Decision::Match(decided) => Some((id, d, decided)),
            _ => None,
        })
        .collect();
    let mentioned: BTreeSet<&str> =
        in_force.iter().flat_map(|(_, _, m)| m.these.iter().chain(&m.others)).map(String::as_str).collect();
    let names = look.names(|anchor| mentioned.contains(anchor))?;
    for (id, d, decided) in &in_force {
        let effect = if id.record > look.audit { "counts with the next audit" } else { effect(decided, &names) };
        output.row(&serde_json::json!({
            "id": id, "decision": d, "these": named(&decided.these, &names), "others": named(&decided.others, &names),
            "effect": effect,
        }));
        output.say(format!("decision {id}: {} by {} on {:.0} — {}", decided.verb, terminal(&d.by), d.at, terminal(&d.reason)));
        for (word, anchors) in [("", &decided.these), (if decided.verb.joins() { "with " } else { "from " }, &decided.others)] {
            for name in named(anchors, &names) {
                output.say(format!("    {word}{}", terminal(&name)));
            }
        }
        if !effect.is_empty() {
            output.say(format!("    ({effect})"));
        }
    }
    if in_force.is_empty() {
        output.say("nobody has decided on a match");
    } else {
        output.say("`untether correlate withdraw DECISION --reason TEXT` takes one back.");
    }
    Ok(Exit::Done)
}

/// What a decision that the last audit has obeyed comes to there.
fn effect(decided: &Match, names: &BTreeMap<String, (Side, Dn)>) -> &'static str {
    let gone = |anchors: &[String]| anchors.iter().all(|a| !is_person(a) && !names.contains_key(a));
    if gone(&decided.these) || gone(&decided.others) {
        "without effect: the last audit does not see whom it is about"
    } else {
        ""
    }
}

fn named(anchors: &[String], names: &BTreeMap<String, (Side, Dn)>) -> Vec<String> {
    let name = |anchor: &String| match names.get(anchor) {
        Some((side, dn)) => format!("{side}: {dn}"),
        None => anchor.clone(),
    };
    anchors.iter().map(name).collect()
}
