//! A rehearsal's report: for people, and as JSON.

use jiff::SignedDuration;
use untether_model::operation::Stage;
use untether_model::run::OutcomeKind;

use super::Rehearsed;
use super::collected::WaveTold;
use crate::error::Exit;
use crate::output::Output;

/// Lines of each kind that people are shown.
const LISTED: usize = 20;

/// Tells it, of one wave only if one was named; the exit code that needs a person most.
pub fn tell(rehearsed: &Rehearsed, only: Option<&str>, output: &Output) -> Exit {
    let waves: Vec<&WaveTold> = rehearsed.collected.waves.iter().filter(|w| only.is_none_or(|name| w.wave == name)).collect();
    let (refused, operations) = rehearsed.collected.refused_of();
    output.say(format!(
        "plan {}: {operations} operations rehearsed on twins from the audit of {:.0}; {refused} would not be carried out",
        rehearsed.plan, rehearsed.header.now
    ));
    if !rehearsed.header.executable {
        output.say(format!("  the plan cannot be run, only rehearsed: {}", rehearsed.header.not_executable.join("; ")));
    }
    for wave in &waves {
        tell_wave(wave, output);
    }
    let (rate, took) = (rehearsed.rate, rehearsed.ended.duration_since(rehearsed.began));
    output.say(format!(
        "at {rate} writes a second: {} in all, one wave after the other, waits and soak times included",
        span(took)
    ));
    for changes in &rehearsed.changes {
        output.say(format!(
            "{} store afterwards: {} entries created, {} changed, {} removed",
            changes.store, changes.created, changes.changed, changes.removed
        ));
    }
    for (side, asked) in &rehearsed.asked {
        output.say(format!(
            "{side} server: asked about {} writes by no-op ({} depend on earlier ones and were not asked), {} would be refused",
            asked.asked,
            asked.not_asked,
            asked.refused.len()
        ));
        for refusal in asked.refused.iter().take(LISTED) {
            output.say(format!("  {} '{}': {}", refusal.operation, refusal.dn, refusal.message));
        }
        more(asked.refused.len(), output);
    }
    output.say("assumed:");
    for wave in &waves {
        for (gate, count) in wave.gates.iter().filter(|(_, count)| count.assumed > 0) {
            let why: Vec<String> = count.why.iter().map(|(why, n)| format!("{n} × {why}")).collect();
            output.say(format!("  wave {}: gate {gate} passes ({} not seen to: {})", wave.wave, count.assumed, why.join("; ")));
        }
    }
    output.say("  approvals are given; nobody else changes anything; rights are those that each bind is meant to have");
    for assumption in &rehearsed.assumptions {
        output.say(format!("  {assumption}"));
    }
    let exit = exit(rehearsed, &waves);
    output.object(
        "rehearse",
        &serde_json::json!({
            "plan": rehearsed.plan,
            "audit": rehearsed.header.now,
            "executable": rehearsed.header.executable,
            "not_executable": rehearsed.header.not_executable,
            "operations": operations,
            "refused": refused,
            "waves": waves,
            "rate": rate,
            "seconds": took.as_secs(),
            "changes": rehearsed.changes,
            "servers": rehearsed.asked.iter().map(|(side, asked)| (side.to_string(), asked)).collect::<std::collections::BTreeMap<_, _>>(),
            "assumptions": rehearsed.assumptions,
            "counts_as_rehearsal": only.is_none(),
        }),
    );
    exit
}

fn tell_wave(wave: &WaveTold, output: &Output) {
    let end = if wave.complete { "comes to its end" } else { "DOES NOT COME TO ITS END" };
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

fn exit(rehearsed: &Rehearsed, waves: &[&WaveTold]) -> Exit {
    let conflict = |w: &&WaveTold| w.refused.iter().any(|r| r.kind == OutcomeKind::Conflict);
    let stops = |w: &&WaveTold| !w.complete || !w.halts.is_empty();
    if waves.iter().any(conflict) {
        Exit::Decision
    } else if waves.iter().any(stops) || rehearsed.asked.iter().any(|(_, asked)| !asked.refused.is_empty()) {
        Exit::Resumable
    } else {
        Exit::Done
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
