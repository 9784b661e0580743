//! The desk at which one-time credentials are handed out, in a simulation: issued again, expired, delivered again, approved today and
//! carried out next week, and a hook that does not always deliver.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use untether_cutover::{Carried, CutoverError};
use untether_model::operation::Stage;
use untether_model::plan::{HandoverScope, OrderKind};
use untether_model::run::DeliveryStatus;
use untether_model::{AttrName, Round, Side, SubjectId, Value, WaveId};
use untether_planner::{Intents as _, PlanError};

use super::{Simulation, logins};
use crate::twins::{Driven, Trouble, World};

/// The desk with a chance of its own: a simulation without it goes on as it would have.
pub(super) struct Desk {
    rng: ChaCha8Rng,
    /// Orders that were approved and wait to be carried out.
    waiting: Vec<WaveId>,
}

impl Desk {
    /// Opens it; sometimes a hook delivers.
    pub(super) fn open(world: &World, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x6465_736b);
        if rng.random_bool(0.4) {
            world.handed.use_hook(rng.random_bool(0.5));
        }
        Self { rng, waiting: Vec::new() }
    }
}

impl Simulation {
    /// Sometimes somebody comes to the desk.
    pub(super) async fn desk_step(&mut self) -> Result<(), Trouble> {
        let Some(mut desk) = self.desk.take() else { return Ok(()) };
        let worked = if desk.rng.random_bool(0.2) { self.attend(&mut desk).await } else { Ok(()) };
        self.desk = Some(desk);
        worked
    }

    async fn attend(&mut self, desk: &mut Desk) -> Result<(), Trouble> {
        match desk.rng.random_range(0..10) {
            0..4 => {
                let (scope, reset) = (self.scope(desk), desk.rng.random_bool(0.3));
                self.make(desk, OrderKind::Reissue { scope, reset }).await
            }
            4..7 => {
                let scope = self.scope(desk);
                self.make(desk, OrderKind::Expire { scope, older_than: None }).await
            }
            7 => match desk.waiting.pop() {
                Some(order) => self.carry(desk, &order).await,
                None => Ok(()),
            },
            8 => {
                let people = &self.world.estate.people;
                let refused: Vec<SubjectId> = people.iter().filter(|_| desk.rng.random_bool(0.3)).map(|p| p.subject()).collect();
                self.world.handed.refuse(refused);
                self.say("the hook refuses some people");
                Ok(())
            }
            _ => {
                self.say("handover deliver");
                self.deliver_to_everybody().await.map(drop)
            }
        }
    }

    fn scope(&self, desk: &mut Desk) -> HandoverScope {
        let state = &self.session.state;
        let pick = |rng: &mut ChaCha8Rng, of: usize| (of > 0).then(|| rng.random_range(0..of));
        match desk.rng.random_range(0..3) {
            0 => HandoverScope::default(),
            1 => {
                let batch = pick(&mut desk.rng, state.batches().len()).and_then(|n| state.batches().keys().nth(n).cloned());
                HandoverScope { batch, ..HandoverScope::default() }
            }
            _ => {
                let one = pick(&mut desk.rng, state.subjects().len()).and_then(|n| state.subjects().keys().nth(n).cloned());
                HandoverScope { subjects: one.into_iter().collect(), ..HandoverScope::default() }
            }
        }
    }

    async fn make(&mut self, desk: &mut Desk, kind: OrderKind) -> Result<(), Trouble> {
        let order = match self.session.handover(&kind) {
            Ok(order) => order,
            Err(Trouble::Plan(PlanError::Request(_))) => return Ok(()),
            Err(other) => return Err(other),
        };
        let id = self.session.order_handover(&order)?;
        self.say(format!("handover order of {id}: {kind:?}"));
        if desk.rng.random_bool(0.25) {
            desk.waiting.push(id);
            return Ok(());
        }
        self.carry(desk, &id).await
    }

    async fn carry(&mut self, desk: &mut Desk, order: &WaveId) -> Result<(), Trouble> {
        let kill = desk.rng.random_bool(0.3).then(|| desk.rng.random_range(0..25));
        self.carry_handover(order, kill).await
    }

    async fn carry_handover(&mut self, order: &WaveId, kill: Option<u64>) -> Result<(), Trouble> {
        self.say(format!("handover of {order}, to be killed at {kill:?}"));
        self.world.breaker.arm(kill);
        let ended = self.session.carry_out(order).await;
        self.disarm();
        match ended {
            Ok(Driven::Killed) => self.restart("after a kill at the desk"),
            Ok(Driven::Ended(ended)) => {
                self.history.push(format!("  -> {ended:?}"));
                if let Carried::Done { left_out, .. } = &ended {
                    self.report.count("hand-over orders carried out");
                    if !left_out.is_empty() {
                        self.report.count("hand-over orders that left somebody out");
                    }
                }
                Ok(())
            }
            Err(Trouble::Cutover(CutoverError::Store { .. } | CutoverError::Unanswered { .. } | CutoverError::Look(_))) => {
                self.restart("after a store went away at the desk")
            }
            Err(other) => Err(other),
        }
    }

    /// Hands over what did not arrive; a person has said that it may be sent again. Tells how many got theirs.
    async fn deliver_to_everybody(&mut self) -> Result<u64, Trouble> {
        let everybody: Vec<SubjectId> = self.session.state.subjects().keys().cloned().collect();
        match self.session.deliver_again(&everybody).await? {
            Driven::Ended(deliveries) => Ok(deliveries.delivered),
            Driven::Killed => Err(Trouble::new("killed although nothing was armed")),
        }
    }

    /// Calm at the desk: the hook delivers, and what was begun comes to its end.
    pub(super) async fn desk_end(&mut self) -> Result<(), Trouble> {
        self.world.handed.refuse([]);
        for order in self.session.begun_handovers() {
            let wave = WaveId::new(order, untether_planner::handover::WAVE);
            // Its approval may have been taken back, or have expired, while it was under way.
            self.session.approve(&wave, (Round::FIRST, Stage::Attest), 2)?;
            self.carry_handover(&wave, None).await?;
        }
        self.deliver_to_everybody().await.map(drop)
    }

    /// Whoever counts as having got a credential that still stands got exactly that one.
    pub(super) fn handed_over(&self) -> Result<(), Trouble> {
        if let Some((key, _)) = self.world.handed.given().into_iter().find(|(_, given)| given.secrets.len() > 1) {
            return Err(Trouble::new(format!("the hook got several secrets under {key}")));
        }
        for person in &self.world.estate.people {
            let id = person.subject();
            // What has expired is left out when its file is written again.
            let issued = self.session.state.issued(&id).filter(|_| self.session.state.expired(&id).is_none());
            let delivery = self.session.state.subjects().get(&id).and_then(|s| s.delivery.clone());
            let delivered = delivery.is_some_and(|d| d.status == DeliveryStatus::Delivered && Some(d.issued) == issued);
            let Some(started) = issued.filter(|_| delivered).map(|seq| self.session.started(seq)) else { continue };
            let mark = started.map_err(Trouble::Other)?.marks.get(&AttrName::new("userPassword")).and_then(|m| m.after.clone());
            let Some(entry) = self.world.entry(Side::Independent, &self.world.estate.own_dn(person)) else {
                continue;
            };
            let stands =
                mark == Some(self.world.marks().set("userPassword", entry.values("userPassword").iter().map(Value::as_bytes)));
            if stands && !self.world.handed.secrets(&id).iter().any(|secret| logins::fits(&entry, secret)) {
                return Err(Trouble::new(format!("{id} counts as having got a credential and has not got the one that stands")));
            }
        }
        Ok(())
    }
}
