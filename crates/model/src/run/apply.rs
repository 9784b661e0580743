//! The only match of legal transitions.

use jiff::Timestamp;

use super::decision::{Decision, DecisionId};
use super::handover;
use super::record::{CellOutcome, Outcome, OutcomeKind, ParkReason, Record, Started, WaveClaim};
use super::state::{
    Acceptance, Approval, AuditState, BatchState, CellKey, CellState, CellStatus, Change, DecisionState, OrderState, OrderStatus,
    Parked, Part, RunState, SubjectState, WaveState, WaveStatus, gate_of,
};
use super::{GateScope, Observation, Observed};
use crate::approval::Signed;
use crate::operation::Stage;
use crate::plan::OrderKind;
use crate::{BatchId, OpId, Round, SubjectId, WaveId};

/// A record that the state does not allow: a defect of untether or a damaged state, never a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} ({kind}) is not allowed: {object} {reason}; nothing was recorded. Run `untether state check`")]
pub struct Illegal {
    /// Sequence number that it would have had.
    pub seq: u64,
    /// Its kind.
    pub kind: &'static str,
    /// What it is about.
    pub object: String,
    /// What does not fit.
    pub reason: String,
}

/// What `record` changes, as record number `seq` written at `at`; or why it is not allowed. Changes nothing itself.
pub fn apply(state: &RunState, seq: u64, at: Timestamp, record: &Record) -> Result<Change, Illegal> {
    Step { state, seq, at }.parts(record).map(|parts| Change { parts })
}

/// The subjects whose position, cells and observations [`apply`] looks at for a record: whoever keeps only some of them at hand fetches
/// these before.
pub fn concerned(state: &RunState, record: &Record) -> Vec<SubjectId> {
    let of_batch = |id: &BatchId| state.batches.get(id).map(|batch| batch.subjects.to_vec()).unwrap_or_default();
    let of_wave = |id: &WaveId| {
        let batches = state.waves.get(id).into_iter().flat_map(|wave| &wave.batches);
        batches.flat_map(of_batch).collect()
    };
    match record {
        Record::WaveStarted { claims, .. } => {
            let claimed = claims.iter().flat_map(|claim| &claim.subjects);
            claimed.flat_map(|subject| state.identities(&subject.id).into_iter().chain([&subject.id])).cloned().collect()
        }
        Record::Released { subjects, .. } | Record::HandoverWritten { subjects, .. } => subjects.clone(),
        Record::StageEnded { batch, .. } => of_batch(batch),
        Record::CaughtUp { subject, .. }
        | Record::Parked { subject, .. }
        | Record::Unparked { subject, .. }
        | Record::Reopened { subject, .. }
        | Record::HandoverStarted { subject, .. }
        | Record::HandoverEnded { subject, .. } => vec![subject.clone()],
        Record::OrderEnded { order, .. } => {
            let concerns = state.orders.get(order).into_iter().flat_map(|order| &order.concerns);
            concerns.flat_map(|(_, subjects)| subjects).cloned().collect()
        }
        // What was observed before lies in the same record of the database, and must not come after this.
        Record::Observed { observed } => match (gate_of(observed), &observed.what) {
            (Some((_, GateScope::Subject(subject))), _) | (_, Observation::Proof { subject, .. }) => vec![subject.clone()],
            _ => Vec::new(),
        },
        Record::Started { started } => started.subjects.clone(),
        Record::Outcome { outcome } => outcome.cells.iter().filter_map(|cell| cell.subject.clone()).collect(),
        Record::Resolved { subject, .. } | Record::Drift { subject, .. } => subject.iter().cloned().collect(),
        Record::Aborted { wave, .. } | Record::WaveEnded { wave } => of_wave(wave),
        Record::RolledBack { subjects, batch, .. } => subjects.iter().cloned().chain(batch.iter().flat_map(of_batch)).collect(),
        Record::StateCreated { .. }
        | Record::AuditRecorded { .. }
        | Record::PlanRecorded { .. }
        | Record::OrderRecorded { .. }
        | Record::Rehearsed { .. }
        | Record::Approved { .. }
        | Record::Revoked { .. }
        | Record::RosterRead { .. }
        | Record::StageStarted { .. }
        | Record::GateAccepted { .. }
        | Record::Halted { .. }
        | Record::Paused { .. }
        | Record::Resumed { .. }
        | Record::Throttled { .. }
        | Record::Decision { .. }
        | Record::Decisions { .. }
        | Record::SubjectAliased { .. }
        | Record::Forgotten { .. }
        | Record::Repaired { .. }
        | Record::ClockAccepted { .. }
        | Record::SegmentSealed { .. }
        | Record::SegmentOpened { .. } => Vec::new(),
    }
}

struct Step<'a> {
    state: &'a RunState,
    seq: u64,
    at: Timestamp,
}

type Parts = Result<Vec<Part>, Illegal>;

/// What an intent or an outcome adds to the counts of its batch.
struct Count {
    open: i64,
    irreversible: bool,
    failures: u32,
}

impl Step<'_> {
    fn illegal(&self, kind: &'static str, object: impl std::fmt::Display, reason: impl Into<String>) -> Illegal {
        Illegal { seq: self.seq, kind, object: object.to_string(), reason: reason.into() }
    }

    fn parts(&self, record: &Record) -> Parts {
        match record {
            Record::StateCreated { state, .. } => {
                if self.state.general.state.is_some() {
                    return Err(self.illegal("state-created", state, "exists already"));
                }
                Ok(vec![Part::General(super::state::General { state: Some(state.clone()), ..self.state.general.clone() })])
            }
            Record::AuditRecorded {
                snapshot,
                findings,
                taken_at,
                executable,
                in_scope,
                active_people,
                active_by_entity,
                complete,
                subjects,
                counts,
                compared,
                entities,
                ..
            } => {
                let audit = AuditState {
                    snapshot: *snapshot,
                    findings: *findings,
                    taken_at: *taken_at,
                    executable: *executable,
                    in_scope: in_scope.clone(),
                    active_people: *active_people,
                    active_by_entity: active_by_entity.clone(),
                    complete: *complete,
                    subjects: subjects.clone(),
                    counts: counts.clone(),
                    compared: compared.clone(),
                    entities: entities.clone(),
                };
                Ok(vec![Part::Audit(self.seq, audit)])
            }
            Record::PlanRecorded { plan, digest, waves, report, executable, forecast, .. } => {
                let order = OrderState {
                    digest: *digest,
                    kind: OrderKind::Plan,
                    waves: waves.clone(),
                    executable: *executable,
                    status: OrderStatus::Recorded,
                    approvals_needed: 1,
                    concerns: Vec::new(),
                    open: 0,
                    recorded_at: self.at,
                    record: self.seq,
                    report: *report,
                    rehearsed: None,
                    forecast: forecast.clone(),
                };
                self.new_order("plan-recorded", plan, order)
            }
            Record::OrderRecorded { order, digest, order_kind, wave, approvals_needed, concerns } => {
                let state = OrderState {
                    digest: *digest,
                    kind: order_kind.clone(),
                    waves: vec![wave.clone()],
                    executable: true,
                    status: OrderStatus::Recorded,
                    approvals_needed: *approvals_needed,
                    concerns: concerns.clone(),
                    open: 0,
                    recorded_at: self.at,
                    record: self.seq,
                    report: None,
                    rehearsed: None,
                    forecast: None,
                };
                self.new_order("order-recorded", order, state)
            }
            Record::Rehearsed { plan, refused, operations } => {
                let mut order = self.order("rehearsed", plan)?.clone();
                order.rehearsed = Some((*refused, *operations));
                Ok(vec![Part::Order(plan.clone(), order)])
            }
            Record::Approved { signed } => {
                Ok(vec![Part::Approval(self.seq, Approval { signed: signed.clone(), revoked: false })])
            }
            Record::Revoked { approval, .. } => {
                let found = self.state.approvals.get(approval);
                let mut found = found.cloned().ok_or_else(|| self.illegal("revoked", approval, "is not an approval"))?;
                found.revoked = true;
                Ok(vec![Part::Approval(*approval, found)])
            }
            Record::WaveStarted { wave, digest, claims, failure_tolerance } => {
                self.wave_started(wave, *digest, claims, *failure_tolerance)
            }
            Record::Released { subjects, .. } => Ok(subjects
                .iter()
                .filter_map(|id| self.state.subjects.get(id).map(|s| (id, s)))
                .map(|(id, s)| Part::Subject(id.clone(), SubjectState { claimed: false, ..s.clone() }))
                .collect()),
            Record::RosterRead { digest, .. } => {
                let mut general = self.state.general.clone();
                general.roster = Some((self.at, *digest));
                Ok(vec![Part::General(general)])
            }
            Record::StageStarted { batch, stage, round, .. } => self.stage_started(batch, *stage, *round),
            Record::StageEnded { batch, stage, round } => self.stage_ended(batch, *stage, *round),
            Record::CaughtUp { subject, stage, .. } => self.caught_up(subject, *stage),
            Record::Observed { observed } => Ok(self.observed(observed)),
            Record::GateAccepted { gate, scope, signed } => {
                let acceptance = Acceptance { gate: *gate, scope: scope.clone(), signed: signed.clone() };
                Ok(vec![Part::Acceptance(self.seq, acceptance)])
            }
            Record::Started { started } => self.started(started),
            Record::Outcome { outcome } => self.outcome(outcome),
            Record::Parked { subject, reason, stage, details, .. } => {
                let mut found = self.subject("parked", subject)?.clone();
                if found.parked.is_some() {
                    return Err(self.illegal("parked", subject, "is parked already"));
                }
                found.parked = Some(Parked { reason: *reason, stage: *stage, details: details.clone(), at: self.at });
                found.catching_up = false;
                Ok(vec![Part::Subject(subject.clone(), found)])
            }
            Record::Unparked { subject, .. } => {
                let mut found = self.subject("unparked", subject)?.clone();
                match found.parked.take() {
                    None => return Err(self.illegal("unparked", subject, "is not parked")),
                    Some(parked) if parked.reason == ParkReason::Reopened => {
                        return Err(self.illegal("unparked", subject, "was finished before: only a new plan takes it"));
                    }
                    Some(_) => {}
                }
                if !found.claimed {
                    return Err(self.illegal("unparked", subject, "is in no wave's hands"));
                }
                let batch = self.batch("unparked", &found.batch)?;
                found.catching_up = batch.current.is_some() || found.ended != batch.ended;
                Ok(vec![Part::Subject(subject.clone(), found)])
            }
            Record::Resolved { op, subject, verb, order, .. } => self.resolved(op, subject.as_ref(), (verb, order.as_ref())),
            Record::Drift { op, subject, stage, seen, over } => self.drift((op, subject.as_ref()), *stage, (seen, *over)),
            Record::Reopened { subject, stage } => self.reopened(subject, *stage),
            Record::Halted { batch, reason } => {
                let mut found = self.batch("halted", batch)?.clone();
                found.halted = Some(reason.clone());
                Ok(vec![Part::Batch(batch.clone(), found)])
            }
            Record::Paused { by, reason } => {
                let mut general = self.state.general.clone();
                general.paused = Some((by.clone(), reason.clone()));
                Ok(vec![Part::General(general)])
            }
            Record::Resumed { batch: Some(batch), .. } => {
                let mut found = self.batch("resumed", batch)?.clone();
                if found.halted.take().is_none() {
                    return Err(self.illegal("resumed", batch, "is not halted"));
                }
                found.failures = 0;
                Ok(vec![Part::Batch(batch.clone(), found)])
            }
            Record::Resumed { batch: None, .. } => {
                let mut general = self.state.general.clone();
                if general.paused.take().is_none() {
                    return Err(self.illegal("resumed", "the engine", "is not paused"));
                }
                Ok(vec![Part::General(general)])
            }
            Record::Throttled { limit, .. } => {
                let mut general = self.state.general.clone();
                general.throttle = *limit;
                Ok(vec![Part::General(general)])
            }
            Record::Aborted { wave, .. } => self.aborted(wave),
            Record::RolledBack { order, batch, subjects, to, round, kept } => {
                self.rolled_back(order, batch.as_ref(), subjects, (*to, *round), kept)
            }
            Record::Decision { decision, signed } => self.decision(DecisionId::alone(self.seq), decision, (signed, None)),
            Record::Decisions { decisions, signed } => {
                if decisions.is_empty() {
                    return Err(self.illegal("decisions", "the list", "is empty"));
                }
                let mut parts = Vec::with_capacity(decisions.len());
                for (item, decided) in (1..).zip(decisions) {
                    let id = DecisionId { record: self.seq, item };
                    parts.extend(self.decision(id, &decided.decision, (signed, decided.reason.as_deref()))?);
                }
                Ok(parts)
            }
            Record::SubjectAliased { from, to } => {
                let circular =
                    if from == to { self.state.resolve_alias(from) == from } else { self.state.resolve_alias(to) == from };
                if circular {
                    return Err(self.illegal("subject-aliased", from, "would become an alias of itself"));
                }
                Ok(vec![Part::Alias(from.clone(), to.clone())])
            }
            Record::Forgotten { wave, .. } => {
                let mut found = self.wave("forgotten", wave)?.clone();
                if found.status == WaveStatus::Running {
                    return Err(self.illegal("forgotten", wave, "is still running"));
                }
                found.forgotten = Some(self.at);
                Ok(vec![Part::Wave(wave.clone(), found)])
            }
            Record::WaveEnded { wave } => self.wave_ended(wave),
            Record::HandoverWritten { file, subjects, .. } => self.handed_over(file, subjects),
            Record::HandoverStarted { subject, issued, hook } => {
                const KIND: &str = "handover-started";
                let found = self.subject(KIND, subject)?;
                let begun = handover::begun(self.state, (subject, found.clone()), (*issued, hook), self.at);
                let begun = begun.map_err(|reason| self.illegal(KIND, subject, reason))?;
                Ok(vec![Part::Subject(subject.clone(), begun)])
            }
            Record::HandoverEnded { subject, issued, delivered, message, .. } => {
                const KIND: &str = "handover-ended";
                let found = self.subject(KIND, subject)?;
                let ended = handover::ended(found.clone(), *issued, (*delivered, message), self.at);
                let ended = ended.map_err(|reason| self.illegal(KIND, subject, reason))?;
                Ok(vec![Part::Subject(subject.clone(), ended)])
            }
            Record::OrderEnded { order, .. } => self.order_ended(order),
            Record::Repaired { .. } => {
                let general = super::state::General { repaired: Some(self.at), ..self.state.general.clone() };
                Ok(vec![Part::General(general)])
            }
            Record::ClockAccepted { .. } | Record::SegmentSealed { .. } | Record::SegmentOpened { .. } => Ok(Vec::new()),
        }
    }

    fn decision(&self, id: DecisionId, decision: &Decision, (signed, reason): (&Signed, Option<&str>)) -> Parts {
        if let Decision::Withdraw { decision } = decision
            && self.state.decision(*decision).is_none_or(|d| matches!(d.decision, Decision::Withdraw { .. }))
        {
            return Err(self.illegal("decision", decision, "is no decision, or was taken back already"));
        }
        let decision = DecisionState {
            decision: decision.clone(),
            by: signed.approver.clone(),
            reason: reason.unwrap_or(&signed.statement.reason).to_owned(),
            at: self.at,
        };
        Ok(vec![Part::Decision(id, decision)])
    }

    fn new_order(&self, kind: &'static str, id: &crate::PlanId, order: OrderState) -> Parts {
        if self.state.orders.contains_key(id) {
            return Err(self.illegal(kind, id, "is recorded already"));
        }
        Ok(vec![Part::Order(id.clone(), order)])
    }

    fn order(&self, kind: &'static str, id: &crate::PlanId) -> Result<&OrderState, Illegal> {
        self.state.orders.get(id).ok_or_else(|| self.illegal(kind, id, "is not a recorded order"))
    }

    fn wave(&self, kind: &'static str, id: &WaveId) -> Result<&WaveState, Illegal> {
        self.state.waves.get(id).ok_or_else(|| self.illegal(kind, id, "has not started"))
    }

    fn batch(&self, kind: &'static str, id: &BatchId) -> Result<&BatchState, Illegal> {
        self.state.batches.get(id).ok_or_else(|| self.illegal(kind, id, "is in no started wave"))
    }

    fn subject(&self, kind: &'static str, id: &SubjectId) -> Result<&SubjectState, Illegal> {
        self.state.subjects.get(id).ok_or_else(|| self.illegal(kind, id, "is in no wave"))
    }

    fn wave_started(&self, wave: &WaveId, digest: crate::digest::Digest, claims: &[WaveClaim], tolerance: u32) -> Parts {
        const KIND: &str = "wave-started";
        if self.state.waves.contains_key(wave) {
            return Err(self.illegal(KIND, wave, "has started already"));
        }
        let order = self.order(KIND, &wave.plan)?;
        if !order.executable {
            return Err(self.illegal(KIND, wave, "belongs to a plan that cannot be run"));
        }
        if !order.waves.iter().any(|w| w.name == wave.wave && w.digest == digest) {
            return Err(self.illegal(KIND, wave, "is not a wave of its plan with this digest"));
        }
        let mut parts = Vec::new();
        let mut batches = Vec::new();
        for claim in claims {
            let id = BatchId::new(wave.clone(), claim.batch.as_str());
            let mut stages: Vec<Stage> = claim.subjects.iter().flat_map(|s| s.stages.iter().copied()).collect();
            stages.sort();
            stages.dedup();
            for subject in &claim.subjects {
                parts.extend(self.claim(&id, subject)?);
            }
            let batch = BatchState {
                canary: claim.canary,
                subjects: claim.subjects.iter().map(|s| s.id.clone()).collect(),
                stages,
                current: None,
                current_since: None,
                ended: None,
                ended_at: None,
                round: Round::FIRST,
                round_since: 0,
                open: 0,
                failures: 0,
                failure_tolerance: tolerance,
                halted: None,
                irreversible: false,
                disabled_at: None,
            };
            batches.push(id.clone());
            parts.push(Part::Batch(id, batch));
        }
        let state = WaveState { digest, status: WaveStatus::Running, batches, started_at: self.at, forgotten: None };
        parts.push(Part::Wave(wave.clone(), state));
        Ok(parts)
    }

    /// A subject is claimed by at most one unfinished wave, under whichever of its ids; parked and unstarted ones pass to the new claim.
    fn claim(&self, batch: &BatchId, claimed: &super::record::ClaimedSubject) -> Parts {
        let mut parts = Vec::new();
        let mut superseded = Vec::new();
        let mut ids = self.state.identities(&claimed.id);
        if !ids.contains(&&claimed.id) {
            ids.push(&claimed.id);
        }
        for id in ids {
            let Some(before) = self.state.subjects.get(id) else { continue };
            if *id == claimed.id {
                superseded.extend(before.superseded.iter().cloned());
            }
            if before.claimed {
                if before.parked.is_none() && !self.state.is_unstarted(id) {
                    return Err(self.illegal("wave-started", &claimed.id, format!("is in the hands of batch {}", before.batch)));
                }
                superseded.push(before.batch.clone());
                if *id != claimed.id {
                    parts.push(Part::Subject(id.clone(), SubjectState { claimed: false, ..before.clone() }));
                }
            }
            if self.state.cells_of(id).any(|(_, cell)| cell.status == CellStatus::Open) {
                return Err(self.illegal("wave-started", &claimed.id, "has an operation whose outcome is not known"));
            }
        }
        let subject = SubjectState {
            batch: batch.clone(),
            claimed: true,
            track: claimed.track,
            entity: claimed.entity.clone(),
            stages: claimed.stages.clone(),
            ended: None,
            parked: None,
            catching_up: false,
            round: Round::FIRST,
            round_since: 0,
            superseded,
            delivery: self.state.subjects.get(&claimed.id).and_then(|s| s.delivery.clone()),
        };
        parts.push(Part::Subject(claimed.id.clone(), subject));
        Ok(parts)
    }

    fn stage_started(&self, id: &BatchId, stage: Stage, round: Round) -> Parts {
        const KIND: &str = "stage-started";
        let mut batch = self.batch(KIND, id)?.clone();
        if self.wave(KIND, &id.wave)?.status != WaveStatus::Running {
            return Err(self.illegal(KIND, id, "belongs to a wave that does not run"));
        }
        if let Some(reason) = &batch.halted {
            return Err(self.illegal(KIND, id, format!("is halted: {reason}")));
        }
        if batch.round != round {
            return Err(self.illegal(KIND, id, format!("is in round {}, not {round}", batch.round)));
        }
        if batch.next_stage() != Some(stage) {
            return Err(self.illegal(KIND, id, format!("cannot begin {stage} now")));
        }
        batch.current = Some(stage);
        batch.current_since = Some(self.at);
        Ok(vec![Part::Batch(id.clone(), batch)])
    }

    fn stage_ended(&self, id: &BatchId, stage: Stage, round: Round) -> Parts {
        const KIND: &str = "stage-ended";
        let mut batch = self.batch(KIND, id)?.clone();
        if batch.current != Some(stage) || batch.round != round {
            return Err(self.illegal(KIND, id, format!("is not in {stage} of round {round}")));
        }
        let mut parts = Vec::new();
        for subject in batch.subjects.iter() {
            let Some(found) = self.state.subjects.get(subject) else { continue };
            if found.batch == *id && found.parked.is_none() && !found.catching_up {
                let mut cells = self.state.cells_of(subject);
                // What a rollback in part has left open of a later stage is looked at when that stage comes.
                let is_open = |op: &OpId, c: &CellState| c.status == CellStatus::Open && c.stage <= stage && op.batch == *id;
                if let Some((op, _)) = cells.find(|(op, c)| is_open(op, c)) {
                    let words = format!("cannot end {stage}: operation {op} of {subject} has no outcome");
                    return Err(self.illegal(KIND, id, words));
                }
                parts.push(Part::Subject(subject.clone(), SubjectState { ended: Some(stage), ..found.clone() }));
            }
        }
        batch.current = None;
        batch.current_since = None;
        batch.ended = Some(stage);
        batch.ended_at = Some(self.at);
        if stage == Stage::Disable {
            batch.disabled_at = Some(self.at);
        }
        parts.push(Part::Batch(id.clone(), batch));
        Ok(parts)
    }

    fn caught_up(&self, id: &SubjectId, stage: Stage) -> Parts {
        const KIND: &str = "caught-up";
        let mut subject = self.subject(KIND, id)?.clone();
        if !subject.catching_up || subject.next_stage() != Some(stage) {
            return Err(self.illegal(KIND, id, format!("is not catching up with {stage}")));
        }
        let batch = self.batch(KIND, &subject.batch)?;
        if batch.ended.is_none_or(|ended| stage > ended) {
            return Err(self.illegal(KIND, id, format!("would overtake its batch at {stage}")));
        }
        subject.ended = Some(stage);
        let next = subject.next_stage();
        subject.catching_up = next.is_some_and(|next| batch.ended.is_some_and(|ended| next <= ended));
        if !subject.catching_up {
            subject.ended = batch.ended;
        }
        Ok(vec![Part::Subject(id.clone(), subject)])
    }

    fn handed_over(&self, file: &str, subjects: &[SubjectId]) -> Parts {
        let hand = |id: &SubjectId| {
            let subject = self.subject("handover-written", id)?.clone();
            Ok(Part::Subject(id.clone(), handover::written(self.state, (id, subject), self.at, file)))
        };
        subjects.iter().map(hand).collect()
    }

    /// Ends an order about one-time credentials; rollbacks and resolutions have ends of their own.
    fn order_ended(&self, id: &crate::PlanId) -> Parts {
        const KIND: &str = "order-ended";
        let mut order = self.order(KIND, id)?.clone();
        if !matches!(order.kind, OrderKind::Reissue { .. } | OrderKind::Expire { .. }) {
            return Err(self.illegal(KIND, id, "is no order about one-time credentials"));
        }
        if order.status == OrderStatus::Done {
            return Err(self.illegal(KIND, id, "is done already"));
        }
        // A rollback has looked at what was open then, so the cells are asked, not the count.
        if super::next::has_open_cells(self.state, id, &order) {
            return Err(self.illegal(KIND, id, "has operations whose outcome is not known"));
        }
        order.status = OrderStatus::Done;
        Ok(vec![Part::Order(id.clone(), order)])
    }

    fn observed(&self, observed: &Observed) -> Vec<Part> {
        if let Some((gate, scope)) = gate_of(observed) {
            return vec![Part::Gate(gate, scope.clone(), observed.clone())];
        }
        match &observed.what {
            Observation::Capabilities { side, capabilities } => {
                let mut general = self.state.general.clone();
                general.capabilities.insert(*side, capabilities.clone());
                vec![Part::General(general)]
            }
            Observation::Proof { subject, .. } => vec![Part::Proof(subject.clone(), observed.clone())],
            Observation::Gate { .. } => Vec::new(),
        }
    }

    /// The batch whose subjects may be worked on now; `None` for an operation of an order beside plans.
    fn permitted(
        &self,
        kind: &'static str,
        op: &OpId,
        stage: Stage,
        subjects: &[SubjectId],
    ) -> Result<Option<&BatchState>, Illegal> {
        let Some(batch) = self.state.batches.get(&op.batch) else {
            // Operations of orders other than plans: the order itself must be recorded and not done.
            let order = self.order(kind, &op.batch.wave.plan)?;
            if order.status == OrderStatus::Done || matches!(order.kind, OrderKind::Plan | OrderKind::RetireTool) {
                return Err(self.illegal(kind, op, "belongs to no started wave and to no open order"));
            }
            return Ok(None);
        };
        if self.wave(kind, &op.batch.wave)?.status != WaveStatus::Running {
            return Err(self.illegal(kind, op, "belongs to a wave that does not run"));
        }
        for id in subjects {
            let subject = self.subject(kind, id)?;
            if subject.batch != op.batch {
                return Err(self.illegal(kind, op, format!("is for subject {id}, which batch {} has now", subject.batch)));
            }
            if subject.parked.is_some() {
                return Err(self.illegal(kind, op, format!("is for subject {id}, which is parked")));
            }
            let here = if subject.catching_up { subject.next_stage() == Some(stage) } else { batch.current == Some(stage) };
            if !here && !self.was_deferred(op, stage, (id, subject)) {
                return Err(self.illegal(kind, op, format!("is for subject {id}, which is not in {stage}")));
            }
        }
        if subjects.is_empty() && batch.current != Some(stage) {
            return Err(self.illegal(kind, op, format!("needs its batch to be in {stage}")));
        }
        Ok(Some(batch))
    }

    /// Whether the operation was put off in a stage that the subject has ended meanwhile.
    fn was_deferred(&self, op: &OpId, stage: Stage, (id, subject): (&SubjectId, &SubjectState)) -> bool {
        let cell = self.state.cell(op, Some(id));
        let deferred = |c: &CellState| c.status == CellStatus::Ended(OutcomeKind::Deferred) && !c.undone && c.stage == stage;
        subject.ended.is_some_and(|ended| ended >= stage) && cell.is_some_and(deferred)
    }

    /// Counts intents without outcome where the operation belongs: in its batch, or in its order.
    fn count_open(&self, op: &OpId, batch: Option<&BatchState>, count: Count) -> Option<Part> {
        let Count { open, irreversible, failures } = count;
        let add = |n: u32| u32::try_from(i64::from(n).saturating_add(open)).unwrap_or(0);
        if let Some(batch) = batch {
            let mut batch = batch.clone();
            batch.open = add(batch.open);
            batch.irreversible |= irreversible;
            batch.failures = batch.failures.saturating_add(failures);
            return Some(Part::Batch(op.batch.clone(), batch));
        }
        let id = &op.batch.wave.plan;
        self.state.orders.get(id).map(|order| {
            let mut order = order.clone();
            order.open = add(order.open);
            order.status = OrderStatus::Running;
            Part::Order(id.clone(), order)
        })
    }

    fn started(&self, started: &Started) -> Parts {
        const KIND: &str = "started";
        let batch = self.permitted(KIND, &started.op, started.stage, &started.subjects)?;
        let round = batch.map_or(Round::FIRST, |batch| batch.round);
        let keys = cell_keys(&started.op, &started.subjects);
        let mut parts = Vec::with_capacity(keys.len() + 1);
        let mut again = false;
        for key in keys {
            let before = self.state.cells.get(&key);
            match before.map(|c| (c.status, c.undone)) {
                Some((CellStatus::Ended(kind), false)) if kind.is_done() => {
                    return Err(self.illegal(KIND, &started.op, "is done for this subject"));
                }
                _ => {}
            }
            again |= before.is_some_and(|c| c.status == CellStatus::Open);
            let cell = CellState {
                status: CellStatus::Open,
                stage: started.stage,
                round,
                started: Some(self.seq),
                attempts: started.attempt,
                applied: before.is_some_and(|c| c.applied && !c.undone),
                image: None,
                created: before.and_then(|c| c.created.clone()),
                undone: false,
                drift: None,
                unattributed: false,
                forced: before.is_some_and(|c| c.forced),
                message: String::new(),
            };
            parts.push(Part::Cell(key, cell));
        }
        let count = Count { open: if again { 0 } else { 1 }, irreversible: started.stage.is_irreversible(), failures: 0 };
        parts.extend(self.count_open(&started.op, batch, count));
        Ok(parts)
    }

    fn outcome(&self, outcome: &Outcome) -> Parts {
        const KIND: &str = "outcome";
        let mut parts = Vec::with_capacity(outcome.cells.len() + 1);
        let mut failures = 0;
        let mut unknown = false;
        let batch = self.state.batches.get(&outcome.op.batch);
        let round = batch.map_or(Round::FIRST, |batch| batch.round);
        // The lost end of the ledger may have held the intent of anything that was planned before.
        let repaired = self.state.general.repaired;
        let may_be_lost = repaired
            .is_some_and(|at| self.state.orders.get(&outcome.op.wave().plan).is_some_and(|order| order.recorded_at <= at));
        for CellOutcome { subject, kind } in &outcome.cells {
            let key = CellKey { subject: subject.clone(), op: outcome.op.clone() };
            let before = self.state.cells.get(&key);
            match outcome.started {
                Some(started) => {
                    let open = before.is_some_and(|c| c.status == CellStatus::Open && c.started == Some(started));
                    if !open {
                        return Err(self.illegal(KIND, &outcome.op, format!("has no open intent {started} for this subject")));
                    }
                }
                None => {
                    if before.is_some_and(|c| c.status == CellStatus::Open) {
                        return Err(self.illegal(KIND, &outcome.op, "has an open intent, which must be ended by its number"));
                    }
                    let subjects: Vec<SubjectId> = subject.iter().cloned().collect();
                    self.permitted(KIND, &outcome.op, outcome.stage, &subjects)?;
                }
            }
            if *kind == OutcomeKind::Deferred && outcome.started.is_some() {
                return Err(self.illegal(KIND, &outcome.op, "was begun and cannot be deferred any more"));
            }
            if matches!(kind, OutcomeKind::Refused | OutcomeKind::Conflict) {
                failures += 1;
            }
            unknown |= *kind == OutcomeKind::Unknown;
            let ours = before.is_some_and(|c| c.applied && !c.undone) || kind.is_applied();
            let cell = CellState {
                status: if *kind == OutcomeKind::Unknown { CellStatus::Open } else { CellStatus::Ended(*kind) },
                stage: outcome.stage,
                round,
                started: before.and_then(|c| c.started),
                attempts: before.map_or(0, |c| c.attempts),
                applied: ours,
                image: outcome.image.as_ref().map(|_| self.seq).or_else(|| before.and_then(|c| c.image)),
                created: outcome.stable_id.clone().or_else(|| before.and_then(|c| c.created.clone())),
                undone: false,
                drift: None,
                unattributed: *kind == OutcomeKind::Already && may_be_lost,
                forced: false,
                message: outcome.message.clone(),
            };
            parts.push(Part::Cell(key, cell));
        }
        let open = if outcome.started.is_some() && !unknown { -1 } else { 0 };
        parts.extend(self.count_open(&outcome.op, batch, Count { open, irreversible: false, failures }));
        Ok(parts)
    }

    fn resolved(&self, op: &OpId, subject: Option<&SubjectId>, (verb, order): (&str, Option<&crate::PlanId>)) -> Parts {
        const KIND: &str = "resolved";
        let key = CellKey { subject: subject.cloned(), op: op.clone() };
        let cell = self.state.cells.get(&key).filter(|cell| cell.awaits_decision());
        let mut cell = cell.cloned().ok_or_else(|| self.illegal(KIND, op, "is not in conflict"))?;
        let drifted = cell.drift.take().is_some();
        let mut parts = Vec::new();
        match (verb, order) {
            ("keep-theirs" | "skip", None) => cell.status = CellStatus::Ended(OutcomeKind::Skipped),
            ("force", Some(id)) => {
                let mut order = self.order(KIND, id)?.clone();
                let concerned = matches!(&order.kind, OrderKind::Resolution { op: forced } if forced == op)
                    && order.status != OrderStatus::Done
                    && order.concerns.iter().any(|(_, subjects)| subject.is_none_or(|s| subjects.contains(s)));
                if !concerned {
                    return Err(self.illegal(KIND, op, format!("is not what order {id} forces")));
                }
                for (_, subjects) in &mut order.concerns {
                    subjects.retain(|s| Some(s) != subject);
                }
                order.concerns.retain(|(_, subjects)| subject.is_some() && !subjects.is_empty());
                order.status = if order.concerns.is_empty() { OrderStatus::Done } else { OrderStatus::Running };
                parts.push(Part::Order(id.clone(), order));
                // What had drifted is in place again; there is nothing to do anew.
                cell.forced |= !drifted;
            }
            _ => return Err(self.illegal(KIND, op, format!("cannot be decided by '{verb}'"))),
        }
        parts.push(Part::Cell(key, cell));
        Ok(parts)
    }

    fn drift(&self, (op, subject): (&OpId, Option<&SubjectId>), stage: Stage, (seen, over): (&str, bool)) -> Parts {
        const KIND: &str = "drift";
        let key = CellKey { subject: subject.cloned(), op: op.clone() };
        let cell = self.state.cells.get(&key).filter(|cell| cell.is_in_place() && cell.stage == stage);
        let mut cell = cell.cloned().ok_or_else(|| self.illegal(KIND, op, format!("has no effect of {stage} in place")))?;
        match (cell.drift.is_some(), over) {
            (true, false) => return Err(self.illegal(KIND, op, "is known to hold no longer")),
            (false, true) => return Err(self.illegal(KIND, op, "is not known to have gone")),
            (false, false) => cell.drift = Some(seen.to_owned()),
            (true, true) => cell.drift = None,
        }
        Ok(vec![Part::Cell(key, cell)])
    }

    fn reopened(&self, id: &SubjectId, stage: Stage) -> Parts {
        const KIND: &str = "reopened";
        let mut subject = self.subject(KIND, id)?.clone();
        let finished = match &subject.parked {
            None => subject.is_finished(),
            // More of it is gone than was seen before.
            Some(parked) => parked.reason == ParkReason::Reopened && stage < parked.stage,
        };
        if !finished {
            return Err(self.illegal(KIND, id, "is not finished"));
        }
        let mut parts = Vec::new();
        for (op, cell) in self.state.cells_of(id).filter(|(_, cell)| cell.drift.is_some()) {
            let key = CellKey { subject: Some(id.clone()), op: op.clone() };
            parts.push(Part::Cell(key, CellState { applied: false, ..cell.clone() }));
        }
        let details = "an effect of ours is gone; a new plan takes it".to_owned();
        subject.ended = stage.previous();
        subject.parked = Some(Parked { reason: ParkReason::Reopened, stage, details, at: self.at });
        parts.push(Part::Subject(id.clone(), subject));
        Ok(parts)
    }

    fn aborted(&self, id: &WaveId) -> Parts {
        let mut wave = self.wave("aborted", id)?.clone();
        let mut parts = Vec::new();
        for batch_id in &wave.batches {
            let batch = self.batch("aborted", batch_id)?;
            for subject in batch.subjects.iter() {
                let Some(found) = self.state.subjects.get(subject).filter(|s| s.batch == *batch_id) else { continue };
                let mut found = found.clone();
                if !found.is_finished() && found.parked.is_none() {
                    let stage = found.next_stage().unwrap_or(Stage::Attest);
                    let details = "the wave was aborted".to_owned();
                    found.parked = Some(Parked { reason: ParkReason::Aborted, stage, details, at: self.at });
                }
                found.claimed = false;
                found.catching_up = false;
                parts.push(Part::Subject(subject.clone(), found));
            }
        }
        wave.status = WaveStatus::Aborted;
        parts.push(Part::Wave(id.clone(), wave));
        Ok(parts)
    }

    fn wave_ended(&self, id: &WaveId) -> Parts {
        const KIND: &str = "wave-ended";
        let mut wave = self.wave(KIND, id)?.clone();
        if wave.status != WaveStatus::Running {
            return Err(self.illegal(KIND, id, "does not run"));
        }
        let mut parts = Vec::new();
        for batch_id in &wave.batches {
            let batch = self.batch(KIND, batch_id)?;
            for subject in batch.subjects.iter() {
                let Some(found) = self.state.subjects.get(subject).filter(|s| s.batch == *batch_id) else { continue };
                if found.parked.is_none() && !found.is_finished() {
                    return Err(self.illegal(KIND, id, format!("has subject {subject} with a stage left")));
                }
                parts.push(Part::Subject(subject.clone(), SubjectState { claimed: false, ..found.clone() }));
            }
        }
        wave.status = WaveStatus::Ended;
        parts.push(Part::Wave(id.clone(), wave));
        Ok(parts)
    }

    fn rolled_back(
        &self,
        order_id: &crate::PlanId,
        batch_id: Option<&BatchId>,
        subjects: &[SubjectId],
        (to, round): (Stage, Round),
        kept: &[(OpId, SubjectId)],
    ) -> Parts {
        const KIND: &str = "rolled-back";
        let mut order = self.order(KIND, order_id)?.clone();
        if order.status == OrderStatus::Done {
            return Err(self.illegal(KIND, order_id, "is done already"));
        }
        let mut parts = Vec::new();
        let goes_on = match batch_id {
            Some(id) => self.wave(KIND, &id.wave)?.status != WaveStatus::Aborted,
            None => false,
        };
        let back =
            |ended: Option<Stage>, stages: &[Stage]| ended.and_then(|e| if e < to { Some(e) } else { ended_before(stages, to) });
        let batch_ended = match batch_id {
            Some(id) => self.batch(KIND, id).map(|batch| back(batch.ended, &batch.stages))?,
            None => None,
        };
        for id in subjects {
            let mut subject = self.subject(KIND, id)?.clone();
            // The end of its wave may have freed it; there are stages to do again.
            subject.claimed |= goes_on && Some(&subject.batch) == batch_id;
            for (op, cell) in self.state.cells_of(id) {
                let stays = kept.iter().any(|(kept, of)| kept == op && of == id);
                if cell.stage >= to && op.batch.wave.plan != *order_id && !stays {
                    parts.push(undone(Some(id), op, cell));
                }
            }
            subject.ended = back(subject.ended, &subject.stages);
            subject.round = round;
            subject.round_since = self.seq;
            // Whoever was behind what the batch goes back to has still to catch up with it.
            let behind = subject.next_stage().is_some_and(|next| batch_ended.is_some_and(|ended| next <= ended));
            subject.catching_up = behind && subject.parked.is_none();
            // Whom a conflict has parked already stays parked for that.
            if batch_id.is_none() && subject.parked.is_none() {
                let details = format!("rolled back to before {to}");
                subject.parked = Some(Parked { reason: ParkReason::RolledBack, stage: to, details, at: self.at });
            }
            parts.push(Part::Subject(id.clone(), subject));
        }
        if let Some(id) = batch_id {
            let mut batch = self.batch(KIND, id)?.clone();
            if round <= batch.round {
                return Err(self.illegal(KIND, id, format!("is in round {} already", batch.round)));
            }
            for (op, cell) in self.state.cells.of(&None).filter(|(op, _)| op.batch == *id) {
                if cell.stage >= to {
                    parts.push(undone(None, op, cell));
                }
            }
            batch.ended = batch_ended;
            batch.current = None;
            batch.current_since = None;
            batch.open = 0;
            batch.round = round;
            batch.round_since = self.seq;
            batch.halted = Some(format!("rolled back to before {to}"));
            parts.push(Part::Batch(id.clone(), batch));
            // A wave that had ended is open again: its batch has stages to do.
            let mut wave = self.wave(KIND, &id.wave)?.clone();
            if wave.status == WaveStatus::Ended {
                wave.status = WaveStatus::Running;
                parts.push(Part::Wave(id.wave.clone(), wave));
            }
        }
        // The order is done when everything that it concerns has been rolled back.
        match batch_id {
            Some(id) => order.concerns.retain(|(concerned, _)| concerned != id),
            // Of a subject that could not be rolled back whole, the order's own end is recorded with its batch.
            None if !kept.is_empty() => return Ok(parts),
            None => order.concerns.clear(),
        }
        order.status = if order.concerns.is_empty() { OrderStatus::Done } else { OrderStatus::Running };
        parts.push(Part::Order(order_id.clone(), order));
        Ok(parts)
    }
}

fn ended_before(stages: &[Stage], to: Stage) -> Option<Stage> {
    stages.iter().copied().filter(|stage| *stage < to).max()
}

fn undone(subject: Option<&SubjectId>, op: &OpId, cell: &CellState) -> Part {
    let key = CellKey { subject: subject.cloned(), op: op.clone() };
    // Whether it ever took effect no longer matters: the undoing has looked.
    let status = if cell.status == CellStatus::Open { CellStatus::Ended(OutcomeKind::Unknown) } else { cell.status };
    Part::Cell(key, CellState { status, undone: true, applied: false, drift: None, ..cell.clone() })
}

fn cell_keys(op: &OpId, subjects: &[SubjectId]) -> Vec<CellKey> {
    if subjects.is_empty() {
        return vec![CellKey { subject: None, op: op.clone() }];
    }
    subjects.iter().map(|s| CellKey { subject: Some(s.clone()), op: op.clone() }).collect()
}
