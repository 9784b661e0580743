//! What an audit says of accounts that we had closed: compared, recorded, told. What is drift the planner says.

use serde::Serialize;
use untether_model::digest::Digest;
use untether_model::operation::Stage;
use untether_model::run::Record;
use untether_model::schema::Schema;
use untether_model::snapshot::{SnapshotHeader, StoreSource};
use untether_model::{OpId, Side, SubjectId};
use untether_planner::{DriftInputs, drift};

use crate::command::plan::stored_audit;
use crate::error::{CliError, chain};
use crate::output::Output;
use crate::state::Opened;
use crate::wiring::planning::SnapshotFiles;
use crate::wiring::recorded::RecordedWaves;

/// Drifted operations that are listed; the rest is counted.
const SHOWN: usize = 20;

/// An effect of ours that the audit found gone, and what became of its subject.
#[derive(Serialize)]
pub struct Drifted {
    op: OpId,
    subject: Option<SubjectId>,
    stage: Stage,
    seen: String,
    /// It was finished, and a new plan takes it.
    reopened: bool,
}

/// Compares what the audit has seen with what was done to people's accounts, and records what no longer holds.
pub async fn look_after(
    opened: &Opened,
    header: &SnapshotHeader,
    snapshot: &Digest,
    output: &Output,
) -> Result<Vec<Drifted>, CliError> {
    let state = opened.state_now();
    if state.waves().is_empty() {
        return Ok(Vec::new());
    }
    if !matches!(header.shared.source, StoreSource::Ldap(_)) {
        output.note("what was done to accounts was not compared with this audit: an export need not hold locks");
        return Ok(Vec::new());
    }
    let stored = stored_audit(&opened.dir, &opened.keys, snapshot)?;
    let schema = stored.schema(Side::Shared).map_err(|e| CliError::state(chain(&e)))?.unwrap_or_else(Schema::standard);
    let compared = drift(&DriftInputs {
        source: &SnapshotFiles(&stored),
        schema: &schema,
        progress: &state,
        operations: &RecordedWaves::new(opened, &state),
        now: header.taken_at,
    })
    .map_err(|e| CliError::failed(chain(&e)))?;
    for (wave, why) in &compared.unread {
        output.note(format!("of wave {wave} only open accounts were looked for: {why}"));
    }
    let mut drifted: Vec<Drifted> = Vec::new();
    for record in compared.look.records(&state) {
        match &record {
            Record::Drift { op, subject, stage, seen, over: false } => {
                let (op, subject, seen) = (op.clone(), subject.clone(), seen.clone());
                drifted.push(Drifted { op, subject, stage: *stage, seen, reopened: false });
            }
            Record::Reopened { subject, .. } => {
                let of_it = drifted.iter_mut().filter(|drifted| drifted.subject.as_ref() == Some(subject));
                of_it.for_each(|drifted| drifted.reopened = true);
            }
            _ => {}
        }
        opened.record(record).await?;
    }
    Ok(drifted)
}

/// Says which operations no longer hold.
pub fn tell(drifted: &[Drifted], output: &Output) {
    if drifted.is_empty() {
        return;
    }
    output.say(format!("DRIFT: {} of our operations no longer hold; somebody else changed the accounts:", drifted.len()));
    for Drifted { op, subject, seen, reopened, .. } in drifted.iter().take(SHOWN) {
        let whose = subject.as_ref().map(|id| format!(" for subject {id}")).unwrap_or_default();
        let then = if *reopened { " (it was finished: the next plan takes it)" } else { "" };
        output.say(format!("  {op}{whose}: {seen}{then}"));
    }
    if drifted.len() > SHOWN {
        output.say(format!("  and {} more: `untether status --json`", drifted.len() - SHOWN));
    }
    output
        .say("Find out who opened them: `untether subject show ID`, then `untether resolve OP`; docs/operations.md, \"Drift\".");
}
