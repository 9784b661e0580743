//! A rehearsal's report: for people, and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use untether_model::AttrName;
use untether_model::operation::Stage;
use untether_model::run::OutcomeKind;
use untether_report::markdown;

use super::Rehearsed;
use super::changes::What;
use super::collected::WaveTold;
use super::performance::{Performed, RolledBack};
use crate::args::Lang;
use crate::error::Exit;
use crate::output::Output;

/// Lines of each kind that people are shown.
const LISTED: usize = 20;

/// Tells it, of one wave only if one was named; the exit code that needs a person most.
pub fn tell(rehearsed: &Rehearsed, output: &Output) -> Exit {
    let Rehearsed { piece, performed, cut, .. } = rehearsed;
    let only = piece.only.as_ref().map(|(name, _)| name.as_str());
    let waves: Vec<&WaveTold> = performed.collected.waves.iter().filter(|w| only.is_none_or(|name| w.wave == name)).collect();
    let (refused, operations) = performed.collected.refused_of();
    output.say(format!(
        "plan {}: {operations} operations rehearsed on twins from the audit of {:.0}; {refused} would not be carried out",
        piece.plan, piece.header.now
    ));
    if !piece.header.executable {
        output.say(format!("  the plan cannot be run, only rehearsed: {}", piece.header.not_executable.join("; ")));
    }
    for wave in &waves {
        let through = piece.only.as_ref().and_then(|(_, through)| *through);
        tell_wave(wave, through, output);
    }
    for rolled_back in &performed.rolled_back {
        tell_rollback(performed, rolled_back, piece.roll_back.1, output);
    }
    let (rate, took) = (piece.rate, performed.ended.duration_since(piece.began));
    output.say(format!(
        "at {rate} writes a second: {} in all, one wave after the other, waits and soak times included",
        span(took)
    ));
    for changes in &performed.changes {
        output.say(format!(
            "{} store afterwards: {} entries created, {} changed, {} removed",
            changes.store, changes.created, changes.changed, changes.removed
        ));
    }
    let differences = cut.as_ref().map(|cut| tell_cut(performed, cut, output)).unwrap_or_default();
    tell_servers(performed, output);
    tell_assumptions(rehearsed, &waves, output);
    tell_report(rehearsed, output);
    let exit = exit(performed, &waves, &differences);
    output.object(
        "rehearse",
        &serde_json::json!({
            "plan": piece.plan,
            "audit": piece.header.now,
            "executable": piece.header.executable,
            "not_executable": piece.header.not_executable,
            "operations": operations,
            "refused": refused,
            "waves": waves,
            "rate": rate,
            "seconds": took.as_secs(),
            "changes": performed.changes,
            "rolled_back": performed.rolled_back.iter().map(|r| rollback_json(performed, r)).collect::<Vec<_>>(),
            "cuts": cut.as_ref().map(|cut| serde_json::json!({
                "cuts": cut.cuts.0, "under_way": cut.cuts.1, "same_end": differences.is_empty(), "differences": differences,
            })),
            "servers": performed.asked.iter().map(|(side, asked)| (side.to_string(), asked)).collect::<BTreeMap<_, _>>(),
            "assumptions": rehearsed.assumptions,
            "report": performed.report,
            "counts_as_rehearsal": only.is_none(),
        }),
    );
    exit
}

fn tell_rollback(performed: &Performed, rolled_back: &RolledBack, to: Stage, output: &Output) {
    let others = performed.not_as_before(rolled_back);
    let touched: BTreeSet<_> = rolled_back.touched.iter().collect();
    output.say(format!(
        "rolled back: batch {}, {} subjects, to the state before {to}: of {} accounts {} are as before the plan",
        rolled_back.batch,
        rolled_back.subjects,
        touched.len(),
        touched.len() - others.len()
    ));
    for (side, entry) in others.iter().take(LISTED) {
        let what = match entry.what {
            What::Created => "it was made by the plan and stays, locked".to_owned(),
            What::Removed => "it is gone".to_owned(),
            What::Changed => entry.attrs.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        output.say(format!("  not as before the plan: {side} '{}': {what}", entry.dn));
    }
    more(others.len(), output);
    for lost in rolled_back.not_restored.iter().take(LISTED) {
        output.say(format!("  not restored: {} '{}': {}", lost.subject, lost.dn, lost.lost));
    }
    more(rolled_back.not_restored.len(), output);
    for (subject, words) in &rolled_back.conflicts {
        output.say(format!("  in conflict, left alone: {subject}: {words}"));
    }
}

fn rollback_json(performed: &Performed, rolled_back: &RolledBack) -> serde_json::Value {
    let accounts = rolled_back.touched.iter().map(|(side, dn)| serde_json::json!({ "store": side, "dn": dn }));
    let others = performed.not_as_before(rolled_back);
    let others = others.iter().map(|(side, entry)| serde_json::json!({ "store": side, "entry": entry }));
    serde_json::json!({
        "batch": rolled_back.batch,
        "subjects": rolled_back.subjects,
        "conflicts": rolled_back.conflicts,
        "not_restored": rolled_back.not_restored,
        "accounts": accounts.collect::<Vec<_>>(),
        "not_as_before": others.collect::<Vec<_>>(),
    })
}

/// Tells how the performance with cuts ended, and where its end is another.
fn tell_cut(performed: &Performed, cut: &Performed, output: &Output) -> Vec<String> {
    let differences = performed.differences(cut);
    let (cuts, under_way) = cut.cuts;
    output.say(format!(
        "once more with the power going out {cuts} times: taken up from the journal each time, {under_way} cells that were under way \
         were looked at first"
    ));
    if differences.is_empty() {
        output.say("  both stores end as without any cut");
    }
    for difference in differences.iter().take(LISTED) {
        output.say(format!("  ENDS OTHERWISE: {difference}"));
    }
    more(differences.len(), output);
    differences
}

fn tell_servers(performed: &Performed, output: &Output) {
    for (side, asked) in &performed.asked {
        output.say(format!(
            "{side} server: asked about {} writes by no-op ({} depend on earlier ones and were not asked), {} would be refused",
            asked.asked,
            asked.not_asked,
            asked.refused.len()
        ));
        if !asked.new_attributes.is_empty() {
            let names: Vec<&str> = asked.new_attributes.iter().map(AttrName::as_str).collect();
            output.say(format!(
                "  {} of them without attributes that no entry has yet, because slapd can lose entries after a no-op with such: {}",
                asked.partly,
                names.join(", ")
            ));
        }
        for refusal in asked.refused.iter().take(LISTED) {
            output.say(format!("  {} '{}': {}", refusal.operation, refusal.dn, refusal.message));
        }
        more(asked.refused.len(), output);
    }
}

fn tell_assumptions(rehearsed: &Rehearsed, waves: &[&WaveTold], output: &Output) {
    for wave in waves {
        for (gate, count) in wave.gates.iter().filter(|(_, count)| !count.exempt.is_empty()) {
            output.say(format!("left out by the plan: wave {}: gate {gate} ({})", wave.wave, reasons(&count.exempt)));
        }
    }
    output.say("assumed:");
    for wave in waves {
        for (gate, count) in wave.gates.iter().filter(|(_, count)| count.assumed > 0) {
            output.say(format!(
                "  wave {}: gate {gate} passes ({} not seen to: {})",
                wave.wave,
                count.assumed,
                reasons(&count.why)
            ));
        }
    }
    output.say("  approvals are given; nobody else changes anything; rights are those that each bind is meant to have");
    for assumption in &rehearsed.assumptions {
        output.say(format!("  {assumption}"));
    }
}

/// The most frequent reasons, and how many more there are.
fn reasons(why: &BTreeMap<String, u64>) -> String {
    const SHOWN: usize = 3;
    let mut sorted: Vec<(&String, &u64)> = why.iter().collect();
    sorted.sort_by_key(|(words, n)| (std::cmp::Reverse(**n), *words));
    let mut shown: Vec<String> = sorted.iter().take(SHOWN).map(|(words, n)| format!("{n} × {words}")).collect();
    let others: u64 = sorted.iter().skip(SHOWN).map(|(_, n)| **n).sum();
    shown.extend((others > 0).then(|| format!("{others} × other reasons (--json)")));
    shown.join("; ")
}

fn tell_report(rehearsed: &Rehearsed, output: &Output) {
    let (Some(language), Some(report)) = (rehearsed.language, &rehearsed.performed.report) else { return };
    let banner = match language {
        Lang::Ja => {
            "> **予行演習の結果です。** 監査時の写しの上で計画を最後まで進めた場合の報告であり、実際には何も変更していません。日付は予行演習の時計によります。"
        }
        Lang::En => {
            "> **A rehearsal.** This is what the report would say if the plan were carried out on the stores as they were audited. \
             Nothing was changed; the days are those of the rehearsal's own clock."
        }
    };
    output.say(format!("\n{banner}\n\n{}", markdown(report, language.into()).trim_end()));
}

fn tell_wave(wave: &WaveTold, through: Option<Stage>, output: &Output) {
    let end = match (wave.complete, through) {
        (true, None) => "comes to its end".to_owned(),
        (true, Some(stage)) => format!("comes through {stage}"),
        (false, _) => "DOES NOT COME TO ITS END".to_owned(),
    };
    let took = wave.ends.duration_since(wave.begins);
    output.say(format!("wave {}: {end}, after {}", wave.wave, span(took)));
    for (stage, count) in &wave.stages {
        let cells: Vec<String> = count.cells.iter().map(|(kind, n)| format!("{n} {}", kind.as_str())).collect();
        let mark = if stage.is_irreversible() && *stage != Stage::Attest { " ⚠ irreversible" } else { "" };
        output.say(format!("  {:<10} {:>7} operations: {}{mark}", stage.as_str(), count.operations, cells.join(", ")));
    }
    for refusal in wave.refused.iter().take(LISTED) {
        let kind = if refusal.kind == OutcomeKind::Conflict { "conflict" } else { "refused" };
        output.say(format!("  {kind}: {} ({}): {}", refusal.op, refusal.stage, refusal.message));
    }
    more(wave.refused.len(), output);
    let others: Vec<_> = wave.parked.iter().filter(|p| !matches!(p.reason.as_str(), "failed" | "conflict")).collect();
    for parked in others.iter().take(LISTED) {
        output.say(format!("  parked ({}): {} before {}: {}", parked.reason, parked.subject, parked.stage, parked.details));
    }
    more(others.len(), output);
    for (batch, reason) in &wave.halts {
        output.say(format!("  batch {batch} would halt: {reason} (the rehearsal went on)"));
    }
    for standstill in &wave.standstills {
        output.say(format!("  stops: {standstill}"));
    }
}

fn more(found: usize, output: &Output) {
    if found > LISTED {
        output.say(format!("  … and {} more (--json lists all)", found - LISTED));
    }
}

fn exit(performed: &Performed, waves: &[&WaveTold], differences: &[String]) -> Exit {
    let conflict = |w: &&WaveTold| w.refused.iter().any(|r| r.kind == OutcomeKind::Conflict);
    let stops = |w: &&WaveTold| !w.complete || !w.halts.is_empty();
    if waves.iter().any(conflict) || performed.rolled_back.iter().any(|r| !r.conflicts.is_empty()) {
        Exit::Decision
    } else if waves.iter().any(stops) || performed.asked.iter().any(|(_, asked)| !asked.refused.is_empty()) {
        Exit::Resumable
    } else if differences.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

/// Days, hours, minutes or seconds.
fn span(took: SignedDuration) -> String {
    let seconds = took.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}
