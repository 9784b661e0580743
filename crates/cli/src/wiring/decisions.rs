//! What people decided, as correlation takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_audit::correlate::Decisions;
use untether_model::EntityId;
use untether_model::policy::{Entity, today};
use untether_model::run::{Decision, DecisionId, RunState};

/// Decisions in force, and those that cannot stand beside earlier ones. There are none of the latter unless the ledger was written by
/// another program: whoever decides is refused first.
pub fn in_force(
    state: &RunState,
    entities: &BTreeMap<EntityId, Entity>,
    now: Timestamp,
) -> (Decisions, Vec<(DecisionId, String)>) {
    let mut decisions = Decisions::default();
    let mut odd = Vec::new();
    for (id, decided) in state.decisions() {
        match &decided.decision {
            Decision::Match(matched) => {
                if let Err(contradiction) = decisions.decide(id, matched) {
                    odd.push((id, contradiction.why));
                }
            }
            Decision::Track { subject, track, until, entity } if today(entities, entity.as_ref(), now) <= *until => {
                decisions.track(state.resolve_alias(subject).clone(), *track);
            }
            Decision::Track { .. } | Decision::Waive(_) | Decision::Withdraw { .. } => {}
        }
    }
    (decisions, odd)
}
