//! Orders about one-time credentials: who may get one, and what it comes to.

use untether_model::OpId;
use untether_model::plan::OrderKind;
use untether_model::run::{Outcome, OutcomeKind, Started};

use super::books::Books;
use crate::simulate::logins;
use crate::twins::World;

impl Books {
    pub fn is_expiry(&self, op: &OpId) -> bool {
        self.orders.get(&op.wave().plan).is_some_and(|order| matches!(order.kind, OrderKind::Expire { .. }))
    }

    fn is_reissue(&self, op: &OpId) -> bool {
        self.orders.get(&op.wave().plan).is_some_and(|order| matches!(order.kind, OrderKind::Reissue { .. }))
    }

    /// Nobody gets a credential again whom the roster calls departed, or does not know.
    pub fn deserved(&mut self, world: &World, started: &Started) {
        if !self.is_reissue(&started.op) || started.attempt > 1 {
            return;
        }
        for subject in &started.subjects {
            let Some(person) = world.estate.person(subject) else { continue };
            if world.roster.presences().get(&person.uid).is_none_or(|presence| presence.has_ended()) {
                self.wrong(format!("{subject} gets a credential again and has left"));
            }
        }
    }

    /// What an order about a credential came to: an expired one lets nobody in, another one lets its owner in and must be changed.
    pub fn came_to(&mut self, world: &World, outcome: &Outcome) {
        let (expires, issues) = (self.is_expiry(&outcome.op), self.is_reissue(&outcome.op));
        let Some(op) = world.operation(&outcome.op).filter(|_| expires || issues) else { return };
        let done = outcome.cells.iter().any(|cell| cell.kind.is_done() && cell.kind != OutcomeKind::Skipped);
        let dn = op.target.dn();
        if !done || self.others.contains(&(op.store, dn.key().clone())) {
            return;
        }
        let entry = world.entry(op.store, dn);
        let open = logins::opens(world, op.store, entry.as_ref());
        let must_change = entry.as_ref().is_some_and(|e| e.text("pwdReset") == Some("TRUE"));
        if expires && open {
            self.wrong(format!("{dn} lets its owner in although its credential has expired"));
        }
        if issues && !(open && must_change) {
            self.wrong(format!("{dn} has another credential: open {open}, to be changed {must_change}"));
        }
    }
}
