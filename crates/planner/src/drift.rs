//! What an audit has seen of people whom we have in hand or had: whether what was done to their accounts in the shared store still
//! holds.
//!
//! Pure, like a plan. The audit's rules know no progress; this compares what they collected with it. Knows no records: what is to be
//! said of the comparison is [`untether_model::run::Look`]'s to say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::effect::{Seen, lost, must_hold};
use untether_model::operation::{Action, Operation, Stage, Target};
use untether_model::run::{CellStatus, Gone, Look, RunState, is_looked_after, unfinished_order};
use untether_model::schema::Schema;
use untether_model::snapshot::{Account, PathState, SnapshotEntry};
use untether_model::{OpId, Side, SubjectId, WaveId};

use crate::rollback::Operations;
use crate::source::{PlanError, Source};

/// What is compared.
#[derive(Clone, Copy)]
pub struct DriftInputs<'a> {
    /// What the audit has seen.
    pub source: &'a dyn Source,
    /// The shared store's schema.
    pub schema: &'a Schema,
    /// The fold of the ledger.
    pub progress: &'a RunState,
    /// The operations that were planned.
    pub operations: &'a dyn Operations,
    /// When the audit read the stores.
    pub now: Timestamp,
}

/// What the comparison found.
#[derive(Debug, Default)]
#[must_use = "drift that is not recorded halts nothing"]
pub struct Compared {
    /// What holds and what does not.
    pub look: Look,
    /// Waves whose operations cannot be read any more, with the reason: only whether accounts are open was compared.
    pub unread: BTreeMap<WaveId, String>,
}

/// An operation whose effect must hold for a subject.
struct Watched {
    id: OpId,
    subject: SubjectId,
    operation: Operation,
}

/// Compares. Subjects of whom an operation or a rollback is under way are left out: the next look at them comes before that goes on.
pub fn drift(inputs: &DriftInputs<'_>) -> Result<Compared, PlanError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |cause| PlanError::Source { what, cause }
    };
    let mut compared = Compared::default();
    let mut watched: Vec<Watched> = Vec::new();
    let mut accounts: BTreeMap<SubjectId, Vec<Account>> = BTreeMap::new();
    for subject in inputs.source.subjects() {
        let subject = subject.map_err(failed("the subjects"))?;
        let id = inputs.progress.resolve_alias(&subject.id).clone();
        let held: Vec<Account> = subject.accounts.into_iter().filter(|a| a.side == Side::Shared).collect();
        if held.is_empty() || is_under_way(inputs.progress, &id) {
            continue;
        }
        let open = held.iter().find_map(let_in);
        for (op, stage) in in_place(inputs.progress, &id) {
            match inputs.operations.operation(op) {
                Ok(operation) if operation.store == Side::Shared && must_hold(&operation, None) => {
                    watched.push(Watched { id: op.clone(), subject: id.clone(), operation });
                }
                Ok(_) => {}
                Err(cause) => {
                    compared.unread.insert(op.wave().clone(), cause);
                    if let (Stage::Disable, Some(seen)) = (stage, open.clone()) {
                        compared.look.gone.push(Gone { subject: Some(id.clone()), op: op.clone(), seen });
                    }
                }
            }
        }
        accounts.insert(id, held);
    }
    let mut by_id: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, watched) in watched.iter().enumerate() {
        if let Target::Existing { stable_id, .. } = &watched.operation.target {
            by_id.entry(stable_id.as_str().to_ascii_lowercase()).or_default().push(at);
        }
        by_name.entry(watched.operation.target.dn().key().as_str()).or_default().push(at);
    }
    for entry in inputs.source.entries(Side::Shared) {
        let entry = entry.map_err(failed("the shared store"))?;
        let same = entry.stable_id.as_ref().and_then(|id| by_id.get(&id.as_str().to_ascii_lowercase()));
        let named = by_name.get(entry.dn.key().as_str());
        let mut found: Vec<usize> = same.into_iter().chain(named).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        for watched in found.into_iter().filter_map(|at| watched.get(at)) {
            let held = accounts.get(&watched.subject).map_or(&[][..], Vec::as_slice);
            judge(inputs, watched, (&entry, held), &mut compared.look);
        }
    }
    Ok(compared)
}

/// An intent of it has no outcome, or an order that forward work must wait for has begun.
fn is_under_way(progress: &RunState, id: &SubjectId) -> bool {
    let open = progress.cells_of(id).any(|(_, cell)| cell.status == CellStatus::Open);
    let batch = progress.subjects().get(id).map(|subject| &subject.batch);
    open || batch.is_some_and(|batch| unfinished_order(progress, batch).is_some())
}

/// The subject's cells whose effect in the shared store matters, with their stages.
fn in_place<'a>(progress: &'a RunState, id: &'a SubjectId) -> impl Iterator<Item = (&'a OpId, Stage)> {
    let closing = |stage| matches!(stage, Stage::Disable | Stage::Scrub | Stage::Remove);
    let planned = |op: &OpId| progress.waves().contains_key(op.wave());
    progress
        .cells_of(id)
        .filter(move |(op, cell)| closing(cell.stage) && planned(op) && is_looked_after(progress, op, Some(id)))
        .map(|(op, cell)| (op, cell.stage))
}

/// How the account lets somebody in, if it does. What could not be told is not drift.
fn let_in(account: &Account) -> Option<String> {
    let open = account.state.paths.iter().find(|path| path.state == PathState::Open)?;
    Some(format!("the store would let it in ({}: {})", open.path, open.why))
}

fn judge(inputs: &DriftInputs<'_>, watched: &Watched, (entry, held): (&SnapshotEntry, &[Account]), look: &mut Look) {
    let Watched { id, subject, operation } = watched;
    let account = held.iter().find(|account| account.dn.key() == entry.dn.key());
    // Under the name of a record that is gone there may be somebody else by now.
    if account.is_none() && !matches!(operation.action, Action::Ensure { .. }) {
        return;
    }
    let seen = Seen::from(entry);
    let words = lost(operation, Some(subject), Some(&seen), (inputs.schema, inputs.now));
    let disables = operation.stage == Stage::Disable;
    match words.or_else(|| account.filter(|_| disables).and_then(let_in)) {
        Some(seen) => look.gone.push(Gone { subject: Some(subject.clone()), op: id.clone(), seen }),
        None => look.holds.push((id.clone(), Some(subject.clone()))),
    }
}
