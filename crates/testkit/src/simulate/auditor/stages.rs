//! What must be true when a stage begins and ends: approvals, gates, the own account, the soak, and a look at what is closed.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use untether_model::approval::{Signed, Subject};
use untether_model::operation::{Stage, Track};
use untether_model::run::{GateKind, GateScope};
use untether_model::{BatchId, PlanId, Round, SubjectId};

use super::books::Books;
use crate::twins::{SOAK_SECONDS, World};

impl Books {
    /// People whose approval, given since `since`, covers this and holds at `at`.
    pub fn people(&self, plan: &PlanId, wave: &str, (round, stage): (Round, Stage), (since, at): (u64, Timestamp)) -> usize {
        let Some(order) = self.orders.get(plan) else { return 0 };
        let covers = |signed: &Signed| match &signed.statement.subject {
            Subject::Order { digest, wave: w, round: r, through } => {
                *digest == order.digest && w == wave && *r == round && *through >= stage
            }
            Subject::Object { .. } => false,
        };
        let good = self
            .approvals
            .iter()
            .filter(|(seq, (signed, revoked))| **seq > since && !revoked && at <= signed.statement.not_after && covers(signed));
        good.map(|(_, (signed, _))| signed.approver.as_str()).collect::<BTreeSet<_>>().len()
    }

    fn lets_through(&self, gate: GateKind, batch: &BatchId, subject: Option<&SubjectId>, at: Timestamp) -> bool {
        let scopes: Vec<GateScope> = subject
            .map(|s| GateScope::Subject(s.clone()))
            .into_iter()
            .chain([GateScope::Batch(batch.clone()), GateScope::Wave(batch.wave.clone())])
            .collect();
        let accepted = self.accepted.iter().any(|(g, scope, until)| *g == gate && scopes.contains(scope) && at <= *until);
        accepted || scopes.iter().any(|scope| self.passed.get(&(gate, scope.clone())) == Some(&true))
    }

    pub fn stage_started(&mut self, world: &World, at: Timestamp, (id, stage, round): (&BatchId, Stage, Round)) {
        let Some(batch) = self.batches.get(id).cloned() else {
            return self.wrong(format!("{id} begins {stage} and is in no started wave"));
        };
        if batch.round != round {
            self.wrong(format!("{id} begins {stage} in round {round}, and is in round {}", batch.round));
        }
        let needed = if stage >= Stage::Scrub { 2 } else { 1 };
        let have = self.people(&id.wave.plan, &id.wave.wave, (round, stage), (batch.since, at));
        if have < needed {
            self.wrong(format!("{id} begins {stage} of round {round} with {have} approvals of {needed}"));
        }
        if stage == Stage::Disable {
            for subject in &batch.subjects {
                self.check_own_account(world, at, (id, subject));
            }
        }
        let standing: BTreeSet<SubjectId> = batch
            .subjects
            .iter()
            .filter(|s| self.subjects.get(*s).is_some_and(|held| held.batch == *id && !held.parked && !held.alone))
            .cloned()
            .collect();
        let wrong = self.closed.stage_started(world, id, &standing);
        self.violations.extend(wrong);
        if let Some(batch) = self.batches.get_mut(id) {
            batch.current = Some(stage);
            batch.begun = at;
        }
    }

    fn check_own_account(&mut self, world: &World, at: Timestamp, (id, subject): (&BatchId, &SubjectId)) {
        let here = self.subjects.get(subject).is_some_and(|s| s.batch == *id && !s.parked && !s.alone);
        self.ask_own_account(world, at, (id, subject), here);
    }

    fn ask_own_account(&mut self, world: &World, at: Timestamp, (id, subject): (&BatchId, &SubjectId), here: bool) {
        let asked = world.planned(id, subject).is_some_and(|p| matches!(p.track, Track::Migrate | Track::Finish));
        if here && asked && !self.lets_through(GateKind::OwnAccount, id, Some(subject), at) {
            self.wrong(format!("{subject} of {id} is to be disabled although its own account is not proved to work"));
        }
    }

    pub fn stage_ended(&mut self, world: &World, at: Timestamp, (id, stage): (&BatchId, Stage)) {
        let Some(batch) = self.batches.get(id).cloned() else { return };
        let standing: Vec<&SubjectId> = batch
            .subjects
            .iter()
            .filter(|s| self.subjects.get(*s).is_some_and(|held| held.batch == *id && !held.parked && !held.alone))
            .collect();
        let mut wrong = Vec::new();
        if stage == Stage::Enroll {
            for subject in &standing {
                let migrates = world.planned(id, subject).is_some_and(|p| p.stages.contains(&Stage::Enroll));
                if migrates && !self.lets_through(GateKind::Mfa, id, Some(subject), at) {
                    wrong.push(format!("{id} ends enroll although gate mfa of {subject} does not pass"));
                }
            }
        }
        if stage == Stage::Soak && !standing.is_empty() {
            let over = batch.disabled_at.and_then(|d| d.checked_add(SignedDuration::from_secs(SOAK_SECONDS as i64)).ok());
            if !self.lets_through(GateKind::Silence, id, None, at) {
                wrong.push(format!("{id} ends its soak although silence is not proved"));
            }
            let accepted = self.accepted.iter().any(|(g, _, _)| *g == GateKind::Silence);
            if over.is_none_or(|over| at < over) && !accepted {
                wrong.push(format!("{id} ends its soak too early"));
            }
        }
        self.violations.extend(wrong);
        if let Some(batch) = self.batches.get_mut(id) {
            batch.current = None;
            batch.ended = Some(stage);
            if stage == Stage::Disable {
                batch.disabled_at = Some(at);
            }
        }
        for subject in batch.subjects {
            if let Some(held) = self.subjects.get_mut(&subject).filter(|h| h.batch == *id) {
                held.begun = true;
                if !held.parked && !held.alone {
                    held.ended = Some(stage);
                }
            }
        }
    }

    pub fn caught_up(&mut self, world: &World, at: Timestamp, (id, subject, stage): (&BatchId, &SubjectId, Stage)) {
        let planned = world.planned(id, subject);
        let migrates = planned.as_ref().is_some_and(|p| p.stages.contains(&Stage::Enroll));
        let bad = match stage {
            Stage::Enroll => migrates && !self.lets_through(GateKind::Mfa, id, Some(subject), at),
            Stage::Soak => !self.lets_through(GateKind::Silence, id, None, at),
            _ => false,
        };
        if bad {
            self.wrong(format!("{subject} catches up with {stage} although its gate does not pass"));
        }
        let ended = self.batches.get(id).and_then(|b| b.ended);
        if let Some(held) = self.subjects.get_mut(subject) {
            held.ended = Some(stage);
            held.begun = true;
            let next = planned.and_then(|p| p.stages.into_iter().find(|s| *s > stage));
            held.alone = next.is_some_and(|next| ended.is_some_and(|ended| next <= ended));
            if !held.alone {
                held.ended = ended;
            }
        }
    }
}
