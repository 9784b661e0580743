//! The people at the desk where one-time credentials are handed out: issued again, expired, delivered again.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use tokio::sync::watch;
use untether_cutover::{Carried, Deliveries, RunOptions, Stop};
use untether_model::plan::OrderKind;
use untether_model::run::{CellStatus, OrderStatus};
use untether_model::{AttrName, PlanId, Side, StableId, SubjectId, Value, WaveId};
use untether_planner::{HandoverInputs, HandoverOrder, Holder, Intents as _, handover};

use super::error::Trouble;
use super::operator::{Driven, NewOrder};
use super::session::Session;

impl Session {
    /// Computes an order about one-time credentials of whoever may be taken in, as `untether handover` chooses them; it is not
    /// recorded.
    pub fn handover(&self, kind: &OrderKind) -> Result<HandoverOrder, Trouble> {
        let world = self.world();
        let (scope, issues, reset) = match kind {
            OrderKind::Reissue { scope, reset } => (scope, true, *reset),
            OrderKind::Expire { scope, .. } => (scope, false, false),
            other => return Err(Trouble::new(format!("{other:?} is not about one-time credentials"))),
        };
        let presences = world.roster.presences();
        let mut holders = Vec::new();
        for person in &world.estate.people {
            let id = person.subject();
            let Some(subject) = self.state.subjects().get(&id).filter(|s| scope.takes(&id, &s.batch, &s.entity)) else {
                continue;
            };
            let open = self.state.cells_of(&id).any(|(_, cell)| cell.status == CellStatus::Open);
            let gone = issues && presences.get(&person.uid).is_none_or(|presence| presence.has_ended());
            let (Some(issued), false) = (self.state.issued(&id), open || gone) else { continue };
            if !issues && self.state.expired(&id).is_some() {
                continue;
            }
            let Some(entry) = world.entry(Side::Independent, &world.estate.own_dn(person)) else { continue };
            let passwords = entry.values("userPassword");
            let set = world.marks.set("userPassword", passwords.iter().map(Value::as_bytes));
            let marks = self.started(issued).map_err(Trouble::Other)?.marks;
            let ours = marks.get(&AttrName::new("userPassword")).and_then(|mark| mark.after.clone());
            let used = ours != Some(set);
            if used && !reset {
                continue;
            }
            holders.push(Holder {
                subject: id,
                batch: subject.batch.clone(),
                dn: entry.dn.clone(),
                stable_id: entry.text("entryUUID").map(StableId::new).ok_or_else(|| Trouble::new("an entry without id"))?,
                password: passwords.iter().map(|v| world.marks.value("userPassword", v.as_bytes())).collect(),
                lock: entry.values("pwdAccountLockedTime").first().cloned(),
                end: entry.values("pwdEndTime").first().cloned(),
                used,
                credential: world.estate.policy.credential(&world.estate.audit, &subject.batch.wave.wave, &subject.entity),
            });
        }
        Ok(handover(&HandoverInputs {
            kind,
            holders: &holders,
            operations: &world.shelf,
            progress: &self.state,
            stores: &self.stores(),
            now: world.clock.now(),
        })?)
    }

    /// Records it and has it approved.
    pub fn order_handover(&mut self, order: &HandoverOrder) -> Result<WaveId, Trouble> {
        self.file(NewOrder {
            id: &order.id,
            digest: order.digest,
            header: &order.header,
            wave: &order.wave,
            lines: &order.lines,
            approvals_needed: order.approvals_needed,
            concerns: &order.concerns,
            lint: &order.lint,
        })
    }

    /// Orders about one-time credentials that have begun and not ended.
    pub fn begun_handovers(&self) -> Vec<PlanId> {
        let orders = self.state.orders().iter();
        orders
            .filter(|(_, o)| matches!(o.kind, OrderKind::Reissue { .. } | OrderKind::Expire { .. }))
            .filter(|(_, o)| o.status == OrderStatus::Running)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Carries it out: what `untether handover issue` and `expire` do with `--execute`.
    pub async fn carry_out(&mut self, order: &WaveId) -> Result<Driven<Carried>, Trouble> {
        let (_, wave) = self.world().wave(order).ok_or_else(|| Trouble::new(format!("{order} is in no recorded order")))?;
        let engine = self.engine();
        let (_sender, stop) = watch::channel(Stop::No);
        let options = RunOptions { through: None, wait: SignedDuration::ZERO, stop };
        let ended = self.until_killed(engine.carry_out(&wave, &options)).await;
        self.after(&engine, ended)
    }

    /// Hands over again what these people did not get: what `untether handover deliver --again` does.
    pub async fn deliver_again(&mut self, subjects: &[SubjectId]) -> Result<Driven<Deliveries>, Trouble> {
        let engine = self.engine();
        let again: BTreeSet<SubjectId> = subjects.iter().cloned().collect();
        let ended = self.until_killed(engine.deliver(subjects, &again)).await;
        self.after(&engine, ended)
    }
}
