//! `untether status`: where everything stands, whether a run lives or is dead. Never needs the state's lock.

use std::time::Duration;

use jiff::Timestamp;
use untether_model::neutral::terminal;
use untether_model::policy::today;
use untether_model::run::{ExceptionState, RateSummary, Summary, days_left, ends_soon};
use untether_progress::Speed;

use crate::columns::{WIDTH, wrapped};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::state::{holder, now_after, summary};

/// Drifted operations of a batch that are listed; the rest is counted.
const SHOWN_DRIFT: usize = 3;

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
    let exceptions = Exceptions::of(config, summary);
    output.object(
        "status",
        &serde_json::json!({
            "holder": holder.as_ref().map(|(pid, since)| serde_json::json!({ "pid": pid, "since": since })),
            "summary": summary, "waived": exceptions.severe + exceptions.other, "expiring": exceptions.lines,
        }),
    );
    if output.is_json() {
        return Ok(());
    }
    let at = summary.at.map(|at| format!(", last record {at:.0}")).unwrap_or_default();
    let runs = holder.is_some();
    let tell = |text: &str| wrapped(text, WIDTH, 6).into_iter().for_each(|line| output.say(line));
    tell(&match holder {
        Some((pid, since)) => format!(
            "a command holds the state: process {} since {} (record {}{at})",
            pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()),
            since.map_or_else(|| "unknown".to_owned(), |s| format!("{s:.0}")),
            summary.seq
        ),
        None => format!("nothing runs (record {}{at})", summary.seq),
    });
    for (side, rate) in summary.rates.iter().filter(|(_, rate)| runs && is_recent(rate, summary.at)) {
        let RateSummary { per_second, in_flight, limit, why, .. } = rate.clone();
        tell(&Speed { per_second, in_flight, limit, why }.line(*side));
    }
    if let Some((by, reason)) = &summary.paused {
        tell(&format!("PAUSED by {by}: {reason}"));
    }
    if let Some(limit) = summary.throttle {
        tell(&format!("throttled to {limit} operations in flight"));
    }
    match &summary.last_audit {
        Some((at, severe, other)) => {
            let (severe, other) = (severe.saturating_sub(exceptions.severe), other.saturating_sub(exceptions.other));
            let waived = exceptions.severe + exceptions.other;
            let waived = if waived > 0 { format!("; {waived} waived") } else { String::new() };
            let solved = if summary.solved > 0 { format!("; {} solved so far", summary.solved) } else { String::new() };
            tell(&format!("last audit {at:.0}: {severe} critical or high findings, {other} others{waived}{solved}"));
        }
        None => tell("no audit yet: `untether audit`"),
    }
    for line in &exceptions.lines {
        tell(line);
    }
    for (wave, w) in &summary.waves {
        tell(&format!("wave {wave}: {}", w.status));
        for (name, b) in &w.batches {
            let canary = if b.canary { " (canary)" } else { "" };
            let stage = match (b.current, b.ended) {
                (Some(stage), _) if b.operations == 0 => format!("in {stage}"),
                (Some(stage), _) => format!("in {stage} {}/{}", b.done.min(b.operations), b.operations),
                (None, Some(stage)) => format!("ended {stage}"),
                (None, None) => "not started".to_owned(),
            };
            let mut line = format!("  {name}{canary}: {} subjects, {stage}, round {}", b.subjects, b.round);
            let drifted = u64::try_from(b.drifted.len()).unwrap_or(u64::MAX);
            let counts =
                [(b.parked, "parked"), (b.failed, "failed"), (b.conflicts, "in conflict"), (drifted, "no longer hold (DRIFT)")];
            for (count, what) in counts {
                if count > 0 {
                    line.push_str(&format!(", {count} {what}"));
                }
            }
            if let Some(reason) = &b.halted {
                line.push_str(&format!(", HALTED: {reason}"));
            }
            tell(&line);
            for cell in b.drifted.iter().take(SHOWN_DRIFT) {
                let whose = cell.subject.as_ref().map(|id| format!(" for subject {id}")).unwrap_or_default();
                tell(&format!("     DRIFT: operation {} ({}){whose}", cell.op, cell.stage));
            }
            if let Some(reason) = b.waiting.as_ref().filter(|_| b.halted.is_none()) {
                tell(&format!("     waits at {reason}"));
            }
        }
    }
    Ok(())
}

/// What people let stand for a while, as it counts now.
struct Exceptions {
    /// Critical and high findings that are waived.
    severe: u64,
    /// Others that are waived.
    other: u64,
    /// What ends within seven days, and waived findings that are open again.
    lines: Vec<String>,
}

impl Exceptions {
    fn of(config: &Config, summary: &Summary) -> Self {
        let now = now_after(summary.at);
        let mut found = Self { severe: 0, other: 0, lines: Vec::new() };
        for (id, waiver) in &summary.exceptions.waivers {
            let Some(severity) = waiver.now else { continue };
            let day = today(&config.audit.entities, waiver.waive.entity.as_ref(), now);
            let (rule, by, until) = (&waiver.waive.rule, terminal(&waiver.by), waiver.waive.until);
            let mut tell = |words: String| found.lines.push(format!("  {rule} {id}: waived by {by} {words}"));
            match waiver.state(day) {
                ExceptionState::InForce => {
                    if ends_soon(until, day) {
                        tell(format!("until {until}, {} days left", days_left(until, day)));
                    }
                    let count =
                        if severity >= untether_model::finding::Severity::High { &mut found.severe } else { &mut found.other };
                    *count += 1;
                }
                ExceptionState::Expired => tell(format!("until {until}, which is over: it is open again")),
                ExceptionState::Outgrown => tell(format!("as {}, is {severity} now: it is open again", waiver.waive.severity)),
            }
        }
        for (id, track) in &summary.exceptions.tracks {
            let day = today(&config.audit.entities, track.entity.as_ref(), now);
            let (by, until) = (terminal(&track.by), track.until);
            if ends_soon(until, day) {
                let left = days_left(until, day);
                found.lines.push(format!("  subject {id}: {} decided by {by} until {until}, {left} days left", track.track));
            } else if day > until {
                found.lines.push(format!("  subject {id}: {} decided by {by} until {until}, which is over", track.track));
            }
        }
        const SHOWN: usize = 20;
        if found.lines.len() > SHOWN {
            let more = found.lines.len() - SHOWN;
            found.lines.truncate(SHOWN);
            found.lines.push(format!("  … and {more} more: `untether findings --expiring`"));
        }
        if !found.lines.is_empty() {
            found.lines.insert(0, "exceptions that end within seven days, or have ended:".to_owned());
        }
        found
    }
}

/// Whether a rate is one of now: of a store that is at rest nothing is said.
fn is_recent(rate: &RateSummary, last: Option<Timestamp>) -> bool {
    match (rate.at, last) {
        (Some(at), Some(last)) => last.duration_since(at).as_secs() <= 10,
        _ => false,
    }
}
