//! `untether status`: where everything stands, whether a run lives or is dead. Never needs the state's lock.

use std::time::Duration;

use untether_model::run::Summary;

use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{holder, summary};

/// `status [--watch]`.
pub async fn run(config: &Config, watch: bool, output: &Output) -> Result<Exit, CliError> {
    let mut shown = None;
    loop {
        let now = summary(config)?;
        if shown.as_ref() != Some(&now) {
            show(config, &now, output)?;
            shown = Some(now);
        }
        if !watch {
            return Ok(Exit::Done);
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
            () = wait_a_second() => {}
        }
    }
}

/// The display's period: the engine replaces the summary each second.
async fn wait_a_second() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn show(config: &Config, summary: &Summary, output: &Output) -> Result<(), CliError> {
    let holder = holder(config)?;
    output.object(
        "status",
        &serde_json::json!({
            "holder": holder.as_ref().map(|(pid, since)| serde_json::json!({ "pid": pid, "since": since })),
            "summary": summary,
        }),
    );
    if output.is_json() {
        return Ok(());
    }
    let at = summary.at.map(|at| format!(", last record {at:.0}")).unwrap_or_default();
    output.say(match holder {
        Some((pid, since)) => format!(
            "a command holds the state: process {} since {} (record {}{at})",
            pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()),
            since.map_or_else(|| "unknown".to_owned(), |s| format!("{s:.0}")),
            summary.seq
        ),
        None => format!("nothing runs (record {}{at})", summary.seq),
    });
    if let Some((by, reason)) = &summary.paused {
        output.say(format!("PAUSED by {by}: {reason}"));
    }
    if let Some(limit) = summary.throttle {
        output.say(format!("throttled to {limit} operations in flight"));
    }
    match &summary.last_audit {
        Some((at, severe, other)) => {
            output.say(format!("last audit {at:.0}: {severe} critical or high findings, {other} others"))
        }
        None => output.say("no audit yet: `untether audit`"),
    }
    for (wave, w) in &summary.waves {
        output.say(format!("wave {wave}: {}", w.status));
        for (name, b) in &w.batches {
            let canary = if b.canary { " (canary)" } else { "" };
            let stage = match (b.current, b.ended) {
                (Some(stage), _) if b.operations == 0 => format!("in {stage}"),
                (Some(stage), _) => format!("in {stage} {}/{}", b.done.min(b.operations), b.operations),
                (None, Some(stage)) => format!("ended {stage}"),
                (None, None) => "not started".to_owned(),
            };
            let mut line = format!("  {name}{canary}: {} subjects, {stage}, round {}", b.subjects, b.round);
            for (count, what) in [(b.parked, "parked"), (b.failed, "failed"), (b.conflicts, "in conflict")] {
                if count > 0 {
                    line.push_str(&format!(", {count} {what}"));
                }
            }
            if let Some(reason) = &b.halted {
                line.push_str(&format!(", HALTED: {reason}"));
            }
            output.say(line);
            if let Some(reason) = b.waiting.as_ref().filter(|_| b.halted.is_none()) {
                output.say(format!("     waits at {reason}"));
            }
        }
    }
    Ok(())
}
