//! One-time credentials on their way to people, and orders about them: issued again, expired.
//!
//! Each person's delivery is recorded on its own, so that a crash or a hook that fails for one of them neither stops nor repeats
//! the others. What a file holds is always made from the journal. Knows no encryption and no programs: those are [`Hook`]'s.
//!
//! [`Hook`]: crate::ports::Hook

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use untether_model::operation::Stage;
use untether_model::plan::{OrderKind, PlannedSubject, Wave};
use untether_model::run::{
    CellOutcome, CellStand, Delivery, DeliveryStatus, OrderStatus, Outcome, OutcomeKind, Record, RunState, approvers,
    being_disabled, cell_stand, unfinished_rollback,
};
use untether_model::{BatchId, EntityId, OpId, Round, SubjectId, WaveId};

use crate::engine::{Deliveries, Engine, RunOptions, Stop, Undelivered};
use crate::error::CutoverError;
use crate::execute::Task;
use crate::ports::{Handover, Place, Way};

/// People to whom the hook delivers at the same time.
const HOOKS_AT_ONCE: usize = 4;

/// After how long a run that waits tries again what a hook refused.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// How an order about one-time credentials ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It was carried out.
    Done {
        /// Subjects whose credential was issued again, or expired.
        done: Vec<SubjectId>,
        /// Subjects for whom nothing was done.
        left_out: Vec<LeftOut>,
        /// Of the former, those who did not get it yet.
        undelivered: Vec<Undelivered>,
    },
    /// The person asked it to stop; running it again goes on.
    Stopped,
    /// People must approve first.
    Unapproved {
        /// Who has.
        have: BTreeSet<String>,
        /// How many are needed.
        needed: u8,
    },
    /// It cannot be carried out.
    Refused(String),
}

/// Somebody for whom an order did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The subject.
    pub subject: SubjectId,
    /// `skipped`: the roster says that they left; `refused` or `conflict`: see the words.
    pub kind: OutcomeKind,
    /// Why.
    pub words: String,
}

/// A credential that can be handed over.
pub struct Held {
    /// Whose, with the secret.
    pub person: Handover,
    /// The batch whose operations set it; that of an order where it was issued again.
    pub unit: BatchId,
    /// When it was set: the number of its intent.
    pub issued: u64,
}

/// One credential that counts and that nobody has used up or closed as far as the journal knows.
#[derive(Clone)]
struct Pending {
    subject: SubjectId,
    unit: BatchId,
    issued: u64,
    wave: WaveId,
    entity: EntityId,
    delivery: Option<Delivery>,
}

impl Pending {
    fn place(&self) -> Place<'_> {
        Place { unit: &self.unit, wave: &self.wave, entity: &self.entity }
    }

    /// Of a subject that holds a credential which was not made unusable since.
    fn of(state: &RunState, id: &SubjectId) -> Option<Self> {
        let issue = state.issue(id)?;
        if state.expired(id).is_some() {
            return None;
        }
        let subject = state.subjects().get(id)?;
        Some(Self {
            subject: id.clone(),
            unit: issue.op.batch.clone(),
            issued: issue.started,
            wave: subject.batch.wave.clone(),
            entity: subject.entity.clone(),
            delivery: subject.delivery.clone().filter(|d| d.issued == issue.started),
        })
    }

    fn is(&self, status: DeliveryStatus) -> bool {
        self.delivery.as_ref().is_some_and(|d| d.status == status)
    }

    fn is_delivered(&self) -> bool {
        self.is(DeliveryStatus::Delivered)
    }
}

impl Engine {
    /// Hands over what these subjects hold and did not get yet. Tells who is still without.
    pub(crate) async fn hand_over(&self, subjects: &[SubjectId]) -> Result<Vec<Undelivered>, CutoverError> {
        Ok(self.deliver(subjects, &BTreeSet::new()).await?.undelivered)
    }

    /// The same, told with the number of those who got theirs; to those in `again` also where nobody knows whether it has arrived.
    pub async fn deliver(&self, subjects: &[SubjectId], again: &BTreeSet<SubjectId>) -> Result<Deliveries, CutoverError> {
        let pending: Vec<Pending> = self.recorder.look(|state| subjects.iter().filter_map(|id| Pending::of(state, id)).collect());
        match self.ports.hook.way() {
            Way::Files => self.write_files(pending).await,
            Way::Hook { name, repeatable } => self.call_hook(pending, (&name, repeatable), again).await,
        }
    }

    /// Writes the files of whoever is not in one yet, and those that were lost. A file holds everybody who belongs in it.
    async fn write_files(&self, pending: Vec<Pending>) -> Result<Deliveries, CutoverError> {
        let now = self.ports.time.now();
        let hook = &self.ports.hook;
        let mut deliveries = Deliveries::default();
        let mut wanted: BTreeMap<String, BatchId> = BTreeMap::new();
        for person in pending {
            match hook.file_of(&person.place()) {
                Ok(name) if person.is_delivered() && hook.keeps_file(&name) => {}
                Ok(name) => drop(wanted.insert(name, person.unit.clone())),
                Err(words) => deliveries.undelivered.push(undelivered(&person, words, now)),
            }
        }
        for (name, unit) in wanted {
            let holders: Vec<Pending> = self.recorder.look(|state| {
                let all = state.subjects().keys().filter_map(|id| Pending::of(state, id)).filter(|p| p.unit == unit);
                all.filter(|p| hook.file_of(&p.place()).is_ok_and(|file| file == name)).collect()
            });
            let mut people = Vec::new();
            for holder in &holders {
                people.extend(self.unsealed(holder)?);
            }
            match hook.write_file(&name, &people).await {
                Ok(digest) => {
                    deliveries.delivered += people.len() as u64;
                    let subjects = people.iter().map(|p| p.subject.clone()).collect();
                    let record = Record::HandoverWritten { batch: unit, file: name, digest, subjects };
                    self.recorder.record(record).await?;
                }
                Err(words) => {
                    let left = holders.iter().filter(|holder| !holder.is_delivered());
                    deliveries.undelivered.extend(left.map(|holder| undelivered(holder, words.clone(), now)));
                }
            }
        }
        Ok(deliveries)
    }

    /// Calls the hook for whoever did not get theirs, some at a time. An error lets those under way end first.
    async fn call_hook(
        &self,
        pending: Vec<Pending>,
        way: (&str, bool),
        again: &BTreeSet<SubjectId>,
    ) -> Result<Deliveries, CutoverError> {
        let calls = pending.into_iter().filter(|p| !p.is_delivered()).map(|person| self.call_one(person, way, again));
        let mut running = futures::stream::iter(calls).buffer_unordered(HOOKS_AT_ONCE);
        let mut deliveries = Deliveries::default();
        let mut failed = None;
        while let Some(ended) = running.next().await {
            match ended {
                Ok(None) => deliveries.delivered += 1,
                Ok(Some(undelivered)) => deliveries.undelivered.push(undelivered),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        deliveries.undelivered.sort_by(|a, b| a.subject.cmp(&b.subject));
        failed.map_or(Ok(deliveries), Err)
    }

    async fn call_one(
        &self,
        person: Pending,
        (name, repeatable): (&str, bool),
        again: &BTreeSet<SubjectId>,
    ) -> Result<Option<Undelivered>, CutoverError> {
        let now = self.ports.time.now();
        // While a run waits it looks every half minute; who was refused just now is not asked again that often.
        let failed = person.delivery.as_ref().filter(|d| d.status == DeliveryStatus::Failed && d.at >= self.begun);
        if let Some(delivery) = failed.filter(|d| now.duration_since(d.at) < ASKED_AGAIN) {
            return Ok(Some(undelivered(&person, delivery.message.clone(), now)));
        }
        if person.is(DeliveryStatus::Begun) && !repeatable && !again.contains(&person.subject) {
            let words = format!(
                "it was interrupted while '{name}' had it, and nobody can see whether it arrived; ask the person, then `untether \
                 handover deliver --subject ID` with --arrived or --again"
            );
            return Ok(Some(undelivered(&person, words, now)));
        }
        let Some(secret) = self.unsealed(&person)? else {
            return Ok(Some(undelivered(&person, "the journal holds no secret for it".to_owned(), now)));
        };
        let (subject, issued) = (person.subject.clone(), person.issued);
        let begun = Record::HandoverStarted { subject: subject.clone(), issued, hook: name.to_owned() };
        self.recorder.record(begun).await?;
        let key = format!("{}/{subject}/{issued}", person.unit);
        let answer = self.ports.hook.hand_over(&key, &person.unit, &secret).await;
        let (delivered, message) = match &answer {
            Ok(()) => (true, String::new()),
            Err(words) => (false, words.clone()),
        };
        self.recorder.record(Record::HandoverEnded { subject, issued, delivered, message, by: None }).await?;
        Ok(answer.err().map(|words| undelivered(&person, words, now)))
    }

    /// What these subjects hold, with the secrets, for whoever encrypts them.
    pub fn held(&self, subjects: &[SubjectId]) -> Result<Vec<Held>, CutoverError> {
        let pending: Vec<Pending> = self.recorder.look(|state| subjects.iter().filter_map(|id| Pending::of(state, id)).collect());
        let mut held = Vec::new();
        for one in pending {
            let person = self.unsealed(&one)?;
            held.extend(person.map(|person| Held { person, unit: one.unit, issued: one.issued }));
        }
        Ok(held)
    }

    /// The person with the secret, from the journal; `None` where the intent holds none.
    fn unsealed(&self, person: &Pending) -> Result<Option<Handover>, CutoverError> {
        let image = self.executor.issued(&person.subject)?;
        Ok(image.and_then(|image| {
            Some(Handover {
                subject: person.subject.clone(),
                wave: person.wave.clone(),
                entity: person.entity.clone(),
                dn: image.dn,
                secret: zeroize::Zeroizing::new(image.secret?),
            })
        }))
    }

    /// Carries out the order `wave.id.plan`, which issues one-time credentials again or makes them unusable.
    pub async fn carry_out(&self, wave: &Wave, options: &RunOptions) -> Result<Carried, CutoverError> {
        let id = &wave.id.plan;
        let Some(order) = self.recorder.look(|state| state.orders().get(id).cloned()) else {
            return Ok(Carried::Refused(format!("order {id} is not recorded in this state directory")));
        };
        let issues = match order.kind {
            OrderKind::Reissue { .. } => true,
            OrderKind::Expire { .. } => false,
            _ => return Ok(Carried::Refused(format!("order {id} is not about one-time credentials"))),
        };
        if order.status == OrderStatus::Done {
            return Ok(Carried::Refused(format!("order {id} was carried out already")));
        }
        let now = self.ports.time.now();
        let have =
            self.recorder.look(|state| approvers(state, &order.digest, &wave.id.wave, (Round::FIRST, 0, Stage::Enroll), now));
        if have.len() < usize::from(order.approvals_needed) {
            return Ok(Carried::Unapproved { have, needed: order.approvals_needed });
        }
        self.leave_out_whoever_is_rolled_back(wave).await?;
        match issues {
            true => self.leave_out_the_departed(wave).await?,
            false => self.leave_out_whoever_is_being_disabled(wave).await?,
        }
        if self.work_through(wave, options).await? {
            return Ok(Carried::Stopped);
        }
        let (mut done, mut left_out) = (Vec::new(), Vec::new());
        for op in wave.operations() {
            let op_id = wave.op_id(op);
            for subject in &op.subjects {
                let (stand, words) = self.recorder.look(|state| {
                    let words = state.cell(&op_id, Some(subject)).map(|c| c.message.clone()).unwrap_or_default();
                    (cell_stand(state, &op_id, Some(subject)), words)
                });
                let subject = subject.clone();
                match stand {
                    CellStand::Done(OutcomeKind::Skipped) => {
                        left_out.push(LeftOut { subject, kind: OutcomeKind::Skipped, words });
                    }
                    CellStand::Done(_) => done.push(subject),
                    CellStand::Failed(kind) => left_out.push(LeftOut { subject, kind, words }),
                    CellStand::Fresh | CellStand::Observe { .. } => {
                        left_out.push(LeftOut { subject, kind: OutcomeKind::Unknown, words });
                    }
                }
            }
        }
        let undelivered = if issues { self.hand_over(&done).await? } else { Vec::new() };
        let told = left_out.iter().map(|left| (left.subject.clone(), left.words.clone())).collect();
        let record = Record::OrderEnded { order: id.clone(), left_out: told };
        self.recorder.record(record).await?;
        Ok(Carried::Done { done, left_out, undelivered })
    }

    /// Nobody gets a credential whom the roster, as it is now, calls departed, or no longer knows.
    async fn leave_out_the_departed(&self, wave: &Wave) -> Result<(), CutoverError> {
        let now = self.ports.time.now();
        let Some(roster) = self.roster_as_of(now).await? else { return Ok(()) };
        let people: BTreeMap<&SubjectId, &PlannedSubject> =
            wave.batches.iter().flat_map(|batch| batch.subjects.iter()).map(|s| (&s.id, s)).collect();
        for op in wave.operations() {
            let op_id = wave.op_id(op);
            for subject in &op.subjects {
                let Some(reference) = people.get(subject).and_then(|s| s.roster_ref.as_ref()) else { continue };
                let words = match roster.person(reference, now).presence {
                    Some(presence) if presence.has_ended() => "the roster says that the person has left",
                    None => "the roster has no row for the person any more",
                    Some(_) => continue,
                };
                self.leave_out(&op_id, subject, words).await?;
            }
        }
        Ok(())
    }

    /// A rollback that stopped halfway has taken back what an order about credentials would change: it has to end first.
    async fn leave_out_whoever_is_rolled_back(&self, wave: &Wave) -> Result<(), CutoverError> {
        for op in wave.operations() {
            for subject in &op.subjects {
                let order = self.recorder.look(|state| unfinished_rollback(state, subject).cloned());
                if let Some(order) = order {
                    let words = format!("rollback {order} of theirs has begun and not ended: run it again first");
                    self.leave_out(&wave.op_id(op), subject, &words).await?;
                }
            }
        }
        Ok(())
    }

    /// A batch asks gate `own-account` when it begins to disable its people, and not again until it is through: whoever it has passed
    /// for must not lose the credential that it saw.
    async fn leave_out_whoever_is_being_disabled(&self, wave: &Wave) -> Result<(), CutoverError> {
        for op in wave.operations() {
            for subject in &op.subjects {
                let batch = self.recorder.look(|state| being_disabled(state, subject).cloned());
                if let Some(batch) = batch {
                    let words = format!("batch {batch} is disabling its people's shared accounts now: let it end first");
                    self.leave_out(&wave.op_id(op), subject, &words).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends a cell that nothing was sent for. What is under way is looked at first, by whoever works through the order.
    async fn leave_out(&self, op: &OpId, subject: &SubjectId, words: &str) -> Result<(), CutoverError> {
        let stand = self.recorder.look(|state| cell_stand(state, op, Some(subject)));
        if !matches!(stand, CellStand::Fresh | CellStand::Failed(_)) {
            return Ok(());
        }
        let outcome = Outcome {
            op: op.clone(),
            stage: Stage::Enroll,
            started: None,
            cells: vec![CellOutcome { subject: Some(subject.clone()), kind: OutcomeKind::Skipped }],
            code: None,
            message: words.to_owned(),
            stable_id: None,
            image: None,
        };
        self.recorder.record(Record::Outcome { outcome }).await.map(drop)
    }

    /// The order's operations, concurrently; those that failed before are not tried again: the world has moved on, and so must the
    /// order. `true`: it was asked to stop.
    async fn work_through(&self, wave: &Wave, options: &RunOptions) -> Result<bool, CutoverError> {
        let tasks = wave.operations().iter().map(|op| async move {
            let id = wave.op_id(op);
            let open = |stand: CellStand| matches!(stand, CellStand::Fresh | CellStand::Observe { .. });
            let left = self.recorder.look(|state| op.subjects.iter().any(|s| open(cell_stand(state, &id, Some(s)))));
            if !left || *options.stop.borrow() != Stop::No {
                return Ok(());
            }
            let worked = self.executor.run(&Task { id, op, subjects: op.subjects.clone() }).await;
            self.tell_rate(op.store);
            worked
        });
        let mut running = futures::stream::iter(tasks).buffer_unordered(self.width());
        let mut failed = None;
        while let Some(ended) = running.next().await {
            if let Err(error) = ended {
                failed = failed.or(Some(error));
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(*options.stop.borrow() != Stop::No),
        }
    }
}

fn undelivered(person: &Pending, words: String, now: Timestamp) -> Undelivered {
    Undelivered { subject: person.subject.clone(), words, since: person.delivery.as_ref().map_or(now, |d| d.since) }
}
