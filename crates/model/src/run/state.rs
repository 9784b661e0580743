//! The fold of the ledger: where every wave, batch, subject and cell stands.
//!
//! The state is a set of parts, each under a key of its own, so that a record's change can be stored part by part.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::aliases::Aliases;
use super::cells::Cells;
use super::decision::{Decision, DecisionId};
use super::delivery::Delivery;
use super::gate::{GateKind, GateScope, Observation, Observed};
use super::record::{AuditCounts, Compared, EntityCounts, OutcomeKind, ParkReason};
use super::subjects::Subjects;
use crate::approval::Signed;
use crate::digest::Digest;
use crate::operation::{Stage, Track};
use crate::plan::{OrderKind, PlanForecast, WaveRef};
use crate::policy::Capabilities;
use crate::{BatchId, EntityId, OpId, PlanId, Round, Side, StableId, StateId, SubjectId, WaveId};

/// A cell: one subject's share of an operation; no subject for an operation that serves none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellKey {
    /// The subject.
    pub subject: Option<SubjectId>,
    /// The operation.
    pub op: OpId,
}

/// Where a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellStatus {
    /// An intent without outcome: to be observed.
    Open,
    /// Ended.
    Ended(OutcomeKind),
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellState {
    /// Where it stands.
    pub status: CellStatus,
    /// Its stage.
    pub stage: Stage,
    /// The round in which it was worked on last.
    pub round: Round,
    /// Sequence number of its last `Started`; undo takes the before-image from there.
    pub started: Option<u64>,
    /// Number of attempts.
    pub attempts: u32,
    /// An attempt ended `succeeded` or `observed`, and that was not undone since: the effect is ours.
    pub applied: bool,
    /// Sequence number of the `Outcome` that holds the image of a deleted entry.
    pub image: Option<u64>,
    /// Stable id of the entry that it created.
    pub created: Option<StableId>,
    /// It was undone; it may be done again in a later round.
    pub undone: bool,
    /// What was seen when it drifted, until somebody decides on it or puts it right.
    pub drift: Option<String>,
    /// It was found as desired after the ledger had lost its end: whether that was ours, nobody knows any more.
    pub unattributed: bool,
    /// Two people decided that it overwrites what it finds.
    pub forced: bool,
    /// The server's words of the last outcome.
    pub message: String,
}

impl CellState {
    /// The effect is in place as far as the records tell, by us or by somebody before us.
    pub fn is_in_place(&self) -> bool {
        let there =
            matches!(self.status, CellStatus::Ended(OutcomeKind::Already | OutcomeKind::Succeeded | OutcomeKind::Observed));
        there && !self.undone
    }

    /// It is in conflict or was refused, or its effect is gone: a person has to decide, and has not.
    pub fn awaits_decision(&self) -> bool {
        let failed = matches!(self.status, CellStatus::Ended(OutcomeKind::Conflict | OutcomeKind::Refused));
        failed || self.drift.is_some()
    }
}

/// Why and where a subject is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Why.
    pub reason: ParkReason,
    /// The stage that it was in or about to begin.
    pub stage: Stage,
    /// For people.
    pub details: String,
    /// Since when.
    pub at: Timestamp,
}

/// One subject that some wave has, or had, in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectState {
    /// The batch that it is in, or was in last.
    pub batch: BatchId,
    /// A wave has it in hand.
    pub claimed: bool,
    /// Its track.
    pub track: Track,
    /// Its entity.
    pub entity: EntityId,
    /// The stages that apply in this wave.
    pub stages: Vec<Stage>,
    /// The last stage that it has ended in this wave.
    pub ended: Option<Stage>,
    /// It left its batch.
    pub parked: Option<Parked>,
    /// It is being taken up again and has not reached its batch yet.
    pub catching_up: bool,
    /// Its round.
    pub round: Round,
    /// Record since which it is in this round: an approval of the round that was given before does not cover it. 0 in round 1.
    #[serde(default)]
    pub round_since: u64,
    /// A later wave took it over from this one.
    pub superseded: Vec<BatchId>,
    /// How the hand-over of its last one-time credential stands; `None`: none was tried.
    pub delivery: Option<Delivery>,
}

impl SubjectState {
    /// The next stage that has something to do or to wait for; `None`: nothing is left.
    pub fn next_stage(&self) -> Option<Stage> {
        self.stages.iter().copied().find(|stage| self.ended.is_none_or(|ended| *stage > ended))
    }

    /// Every stage that applies has ended.
    pub fn is_finished(&self) -> bool {
        self.next_stage().is_none()
    }
}

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchState {
    /// The first of its wave.
    pub canary: bool,
    /// Its subjects. They never change, and each record about one of them makes a new state of its batch.
    pub subjects: Arc<[SubjectId]>,
    /// The stages that apply to any of them, in order.
    pub stages: Vec<Stage>,
    /// The stage that it is in.
    pub current: Option<Stage>,
    /// Since when.
    pub current_since: Option<Timestamp>,
    /// The last stage that it has ended.
    pub ended: Option<Stage>,
    /// Since when.
    pub ended_at: Option<Timestamp>,
    /// Its round.
    pub round: Round,
    /// Record since which it is in this round: an approval of the round that was given before does not cover it. 0 in round 1.
    #[serde(default)]
    pub round_since: u64,
    /// Intents without outcome, for display.
    pub open: u32,
    /// Refusals and conflicts since the last resume.
    pub failures: u32,
    /// How many are tolerated.
    pub failure_tolerance: u32,
    /// It is halted, for this reason.
    pub halted: Option<String>,
    /// The point of no return was passed: an irreversible operation was started.
    pub irreversible: bool,
    /// When its disable stage ended: the soak counts from here.
    pub disabled_at: Option<Timestamp>,
}

impl BatchState {
    /// The next stage that it would begin; `None` while it is in one, or when nothing is left.
    pub fn next_stage(&self) -> Option<Stage> {
        if self.current.is_some() {
            return None;
        }
        self.stages.iter().copied().find(|stage| self.ended.is_none_or(|ended| *stage > ended))
    }

    /// It is in no stage and none is left.
    pub fn is_finished(&self) -> bool {
        self.current.is_none() && self.next_stage().is_none()
    }
}

/// How a wave stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaveStatus {
    /// It has its subjects in hand.
    Running,
    /// Nothing is left for its unparked subjects.
    Ended,
    /// It was given up.
    Aborted,
}

/// One started wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveState {
    /// Digest of its file.
    pub digest: Digest,
    /// How it stands.
    pub status: WaveStatus,
    /// Its batches, the canary first.
    pub batches: Vec<BatchId>,
    /// When it started.
    pub started_at: Timestamp,
    /// Its key was destroyed.
    pub forgotten: Option<Timestamp>,
}

/// How an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStatus {
    /// Recorded; for a plan its waves tell more.
    Recorded,
    /// An order other than a plan: its first operation was started.
    Running,
    /// An order other than a plan: carried out.
    Done,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// Digest of its header: what is approved.
    pub digest: Digest,
    /// What it is for.
    pub kind: OrderKind,
    /// Its waves.
    pub waves: Vec<WaveRef>,
    /// It can be run.
    pub executable: bool,
    /// How it stands.
    pub status: OrderStatus,
    /// People that must approve it (orders other than plans; for plans the stage decides).
    pub approvals_needed: u8,
    /// What it concerns (orders other than plans).
    pub concerns: Vec<(BatchId, Vec<SubjectId>)>,
    /// Intents without outcome (orders other than plans).
    pub open: u32,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// By which record.
    #[serde(default)]
    pub record: u64,
    /// The planning report's file.
    pub report: Option<Digest>,
    /// Operations that the last rehearsal saw refused, of how many; `None`: not rehearsed.
    pub rehearsed: Option<(u64, u64)>,
    /// When its waves can be through (plans).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<PlanForecast>,
}

/// One approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The statement with its signature.
    pub signed: Signed,
    /// It was taken back.
    pub revoked: bool,
}

/// One acceptance of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The gate.
    pub gate: GateKind,
    /// About whom.
    pub scope: GateScope,
    /// The statement with its signature.
    pub signed: Signed,
}

/// One decision of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionState {
    /// What.
    pub decision: Decision,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// One recorded audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditState {
    /// The snapshot.
    pub snapshot: Digest,
    /// Its findings.
    pub findings: Digest,
    /// Its recorded time.
    pub taken_at: Timestamp,
    /// An executable plan can be made from it.
    pub executable: bool,
    /// Accounts in scope by store.
    pub in_scope: BTreeMap<Side, u64>,
    /// People whom the roster called active or on leave.
    pub active_people: u64,
    /// The same by entity (`unassigned` for none); empty where an older version audited.
    #[serde(default)]
    pub active_by_entity: BTreeMap<String, u64>,
    /// Nothing that could hold entries was missing, and it judged as of its own time.
    pub complete: bool,
    /// Subjects by entity and presence.
    pub subjects: Vec<(String, String, u64)>,
    /// Counts of findings.
    pub counts: Vec<AuditCounts>,
    /// Against the audits before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Accounts by entity; `None`: not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<Vec<EntityCounts>>,
}

/// What is true of the whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct General {
    /// Identity of the state directory.
    pub state: Option<StateId>,
    /// Nothing new is started: who, why.
    pub paused: Option<(String, String)>,
    /// Upper limit of operations in flight.
    pub throttle: Option<u32>,
    /// When the roster was read last, and the digest of its rows.
    pub roster: Option<(Timestamp, Digest)>,
    /// What the stores can do with our binds.
    pub capabilities: BTreeMap<Side, Capabilities>,
    /// When a person last accepted that the ledger had lost its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Timestamp>,
}

/// Key of a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKey {
    /// What is true of the whole state.
    General,
    /// An order.
    Order(PlanId),
    /// An approval, by the sequence number of its record.
    Approval(u64),
    /// A wave.
    Wave(WaveId),
    /// A batch.
    Batch(BatchId),
    /// A subject.
    Subject(SubjectId),
    /// A cell.
    Cell(CellKey),
    /// The newest observation of a gate.
    Gate(GateKind, GateScope),
    /// An acceptance, by the sequence number of its record.
    Acceptance(u64),
    /// A decision.
    Decision(DecisionId),
    /// An audit, by the sequence number of its record.
    Audit(u64),
    /// The proof of a subject.
    Proof(SubjectId),
    /// A subject id that another took the place of.
    Alias(SubjectId),
}

/// A part with its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What is true of the whole state.
    General(General),
    /// An order.
    Order(PlanId, OrderState),
    /// An approval.
    Approval(u64, Approval),
    /// A wave.
    Wave(WaveId, WaveState),
    /// A batch.
    Batch(BatchId, BatchState),
    /// A subject.
    Subject(SubjectId, SubjectState),
    /// A cell.
    Cell(CellKey, CellState),
    /// The newest observation of a gate.
    Gate(GateKind, GateScope, Observed),
    /// An acceptance.
    Acceptance(u64, Acceptance),
    /// A decision.
    Decision(DecisionId, DecisionState),
    /// An audit.
    Audit(u64, AuditState),
    /// The proof of a subject.
    Proof(SubjectId, Observed),
    /// A subject id that another took the place of.
    Alias(SubjectId, SubjectId),
}

impl Part {
    /// Its key.
    pub fn key(&self) -> PartKey {
        match self {
            Self::General(_) => PartKey::General,
            Self::Order(id, _) => PartKey::Order(id.clone()),
            Self::Approval(seq, _) => PartKey::Approval(*seq),
            Self::Wave(id, _) => PartKey::Wave(id.clone()),
            Self::Batch(id, _) => PartKey::Batch(id.clone()),
            Self::Subject(id, _) => PartKey::Subject(id.clone()),
            Self::Cell(key, _) => PartKey::Cell(key.clone()),
            Self::Gate(gate, scope, _) => PartKey::Gate(*gate, scope.clone()),
            Self::Acceptance(seq, _) => PartKey::Acceptance(*seq),
            Self::Decision(id, _) => PartKey::Decision(*id),
            Self::Audit(seq, _) => PartKey::Audit(*seq),
            Self::Proof(id, _) => PartKey::Proof(id.clone()),
            Self::Alias(from, _) => PartKey::Alias(from.clone()),
        }
    }
}

impl PartKey {
    /// What the stored keys of parts begin with that are not about single subjects, before a slash; [`PartKey::General`] is stored
    /// under `g` alone.
    pub const COMMON: &[u8] = b"oawbctxdul";

    /// The key as stored: a letter for the kind, then the id.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::General => "g".to_owned(),
            Self::Order(id) => format!("o/{id}"),
            Self::Approval(seq) => format!("a/{seq:020}"),
            Self::Wave(id) => format!("w/{id}"),
            Self::Batch(id) => format!("b/{id}"),
            Self::Subject(id) => format!("s/{id}"),
            Self::Cell(CellKey { subject, op }) => {
                format!("c/{}/{op}", subject.as_ref().map_or("-", SubjectId::as_str))
            }
            Self::Gate(gate, scope) => format!("t/{gate}/{scope}"),
            Self::Acceptance(seq) => format!("x/{seq:020}"),
            Self::Decision(DecisionId { record, item: 0 }) => format!("d/{record:020}"),
            Self::Decision(DecisionId { record, item }) => format!("d/{record:020}.{item:010}"),
            Self::Audit(seq) => format!("u/{seq:020}"),
            Self::Proof(id) => format!("p/{id}"),
            Self::Alias(id) => format!("l/{id}"),
        }
        .into_bytes()
    }
}

/// What a record changes: the parts as they are afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a change that is neither stored nor committed is lost"]
pub struct Change {
    /// Parts that are new or changed. No part is ever removed: finished work stays visible.
    pub parts: Vec<Part>,
}

/// The fold of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunState {
    pub(super) general: General,
    pub(super) orders: BTreeMap<PlanId, OrderState>,
    pub(super) approvals: BTreeMap<u64, Approval>,
    pub(super) waves: BTreeMap<WaveId, WaveState>,
    pub(super) batches: BTreeMap<BatchId, BatchState>,
    pub(super) subjects: Subjects,
    pub(super) cells: Cells,
    pub(super) gates: BTreeMap<(GateKind, GateScope), Observed>,
    pub(super) accepted: BTreeMap<u64, Acceptance>,
    pub(super) decisions: BTreeMap<DecisionId, DecisionState>,
    /// Decisions that were taken back.
    withdrawn: BTreeSet<DecisionId>,
    pub(super) audits: BTreeMap<u64, AuditState>,
    pub(super) proofs: BTreeMap<SubjectId, Observed>,
    pub(super) aliases: Aliases,
}

impl RunState {
    /// A state in which nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a change in.
    pub fn commit(&mut self, change: Change) {
        for part in change.parts {
            self.put(part);
        }
    }

    /// Takes a stored part in.
    pub fn put(&mut self, part: Part) {
        match part {
            Part::General(general) => self.general = general,
            Part::Order(id, order) => drop(self.orders.insert(id, order)),
            Part::Approval(seq, approval) => drop(self.approvals.insert(seq, approval)),
            Part::Wave(id, wave) => drop(self.waves.insert(id, wave)),
            Part::Batch(id, batch) => drop(self.batches.insert(id, batch)),
            Part::Subject(id, subject) => self.subjects.insert(id, subject),
            Part::Cell(key, cell) => self.cells.insert(key, cell),
            Part::Gate(gate, scope, observed) => drop(self.gates.insert((gate, scope), observed)),
            Part::Acceptance(seq, acceptance) => drop(self.accepted.insert(seq, acceptance)),
            Part::Decision(id, decision) => {
                if let Decision::Withdraw { decision } = decision.decision {
                    self.withdrawn.insert(decision);
                }
                self.decisions.insert(id, decision);
            }
            Part::Audit(seq, audit) => drop(self.audits.insert(seq, audit)),
            Part::Proof(id, observed) => drop(self.proofs.insert(id, observed)),
            Part::Alias(from, to) => self.aliases.put(from, to),
        }
    }

    /// What is true of the whole state.
    pub fn general(&self) -> &General {
        &self.general
    }

    /// All orders.
    pub fn orders(&self) -> &BTreeMap<PlanId, OrderState> {
        &self.orders
    }

    /// All approvals, by the sequence number of their record.
    pub fn approvals(&self) -> &BTreeMap<u64, Approval> {
        &self.approvals
    }

    /// All started waves.
    pub fn waves(&self) -> &BTreeMap<WaveId, WaveState> {
        &self.waves
    }

    /// All batches of started waves.
    pub fn batches(&self) -> &BTreeMap<BatchId, BatchState> {
        &self.batches
    }

    /// All subjects that a wave has or had in hand.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// All cells.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// One cell.
    pub fn cell(&self, op: &OpId, subject: Option<&SubjectId>) -> Option<&CellState> {
        self.cells.find(op, &subject.cloned())
    }

    /// A subject's cells in all waves and orders: its timeline, in the order of operation ids.
    pub fn cells_of<'a>(&'a self, subject: &SubjectId) -> impl Iterator<Item = (&'a OpId, &'a CellState)> + use<'a> {
        self.cells.of(&Some(subject.clone()))
    }

    /// Whether its wave has begun nothing with a subject yet, or has undone all of it: another wave may take it then.
    pub fn is_unstarted(&self, subject: &SubjectId) -> bool {
        let Some(found) = self.subjects.get(subject) else { return true };
        let batch = self.batches.get(&found.batch);
        found.ended.is_none()
            && batch.is_none_or(|b| b.current.is_none() && b.ended.is_none())
            && self.cells_of(subject).all(|(op, cell)| op.batch != found.batch || cell.undone)
    }

    /// The newest observation of a gate about exactly this scope.
    pub fn gate_observation(&self, gate: GateKind, scope: &GateScope) -> Option<&Observed> {
        self.gates.get(&(gate, scope.clone()))
    }

    /// All gate observations.
    pub fn gates(&self) -> &BTreeMap<(GateKind, GateScope), Observed> {
        &self.gates
    }

    /// Acceptances of a gate about exactly this scope.
    pub fn acceptances<'a>(&'a self, gate: GateKind, scope: &'a GateScope) -> impl Iterator<Item = &'a Signed> {
        self.accepted.values().filter(move |a| a.gate == gate && a.scope == *scope).map(|a| &a.signed)
    }

    /// All acceptances.
    pub fn accepted(&self) -> &BTreeMap<u64, Acceptance> {
        &self.accepted
    }

    /// Decisions that were not taken back, in order.
    pub fn decisions(&self) -> impl Iterator<Item = (DecisionId, &DecisionState)> {
        let counts =
            |id: &DecisionId, d: &DecisionState| !self.withdrawn.contains(id) && !matches!(d.decision, Decision::Withdraw { .. });
        self.all_decisions().filter(move |(id, d)| counts(id, d))
    }

    /// All decisions in order: those that were taken back, and the taking back too.
    pub fn all_decisions(&self) -> impl Iterator<Item = (DecisionId, &DecisionState)> {
        self.decisions.iter().map(|(id, d)| (*id, d))
    }

    /// One decision, unless it was taken back.
    pub fn decision(&self, id: DecisionId) -> Option<&DecisionState> {
        self.decisions.get(&id).filter(|_| !self.withdrawn.contains(&id))
    }

    /// The subjects on whose accounts or track (`wanted`) people have decided after a record, or have taken a decision back: under every
    /// id of theirs, with the last such decision.
    pub fn decided_after(&self, record: u64, wanted: fn(&Decision) -> bool) -> BTreeMap<&SubjectId, DecisionId> {
        let mut found = BTreeMap::new();
        let since = (Bound::Excluded(DecisionId { record, item: u32::MAX }), Bound::Unbounded);
        for (id, decided) in self.decisions.range(since) {
            let about = match &decided.decision {
                Decision::Withdraw { decision } => self.decisions.get(decision).map(|d| &d.decision),
                decision => Some(decision),
            };
            for subject in about.filter(|d| wanted(d)).map(Decision::subjects).unwrap_or_default() {
                found.extend(self.identities(subject).into_iter().map(|known| (known, *id)));
            }
        }
        found
    }

    /// All audits, oldest first.
    pub fn audits(&self) -> &BTreeMap<u64, AuditState> {
        &self.audits
    }

    /// Proofs by subject.
    pub fn proofs(&self) -> &BTreeMap<SubjectId, Observed> {
        &self.proofs
    }

    /// The id that took this id's place, followed to the end; the id itself where none did.
    pub fn resolve_alias<'a>(&'a self, id: &'a SubjectId) -> &'a SubjectId {
        self.aliases.resolve(id)
    }

    /// All ids under which something may be recorded of a subject: the one that it has now first, then earlier ones.
    pub fn identities<'a>(&'a self, id: &'a SubjectId) -> Vec<&'a SubjectId> {
        let now = self.resolve_alias(id);
        let mut found = vec![now];
        found.extend(self.aliases.earlier(now));
        found
    }

    /// What waves have or had in hand of a subject, under any of its ids: the one that a wave has now before others, then the one that
    /// its present id names.
    pub fn progress_of<'a>(&'a self, id: &'a SubjectId) -> Option<(&'a SubjectId, &'a SubjectState)> {
        let known = self.identities(id).into_iter().filter_map(|id| self.subjects.get_key_value(id));
        let mut known: Vec<_> = known.collect();
        // A stable sort: among those that no wave has, the present id stays first.
        known.sort_by_key(|(_, state)| !state.claimed);
        known.into_iter().next()
    }

    /// Earlier ids by the ids that took their place.
    pub fn earlier_ids(&self) -> BTreeMap<&SubjectId, Vec<&SubjectId>> {
        let mut found: BTreeMap<&SubjectId, Vec<&SubjectId>> = BTreeMap::new();
        for earlier in self.aliases.all().keys() {
            let now = self.resolve_alias(earlier);
            if now != earlier {
                found.entry(now).or_default().push(earlier);
            }
        }
        found
    }

    /// Whether the ledger has ever said of an id that another one took its place.
    pub fn aliases(&self) -> &BTreeMap<SubjectId, SubjectId> {
        self.aliases.all()
    }

    /// The parts of a whole state, for comparing and for rebuilding.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::General(self.general.clone())];
        parts.extend(self.orders.iter().map(|(k, v)| Part::Order(k.clone(), v.clone())));
        parts.extend(self.approvals.iter().map(|(k, v)| Part::Approval(*k, v.clone())));
        parts.extend(self.waves.iter().map(|(k, v)| Part::Wave(k.clone(), v.clone())));
        parts.extend(self.batches.iter().map(|(k, v)| Part::Batch(k.clone(), v.clone())));
        parts.extend(self.subjects.iter().map(|(k, v)| Part::Subject(k.clone(), v.clone())));
        parts.extend(self.cells.iter().map(|(key, cell)| Part::Cell(key, cell.clone())));
        parts.extend(self.gates.iter().map(|((g, s), v)| Part::Gate(*g, s.clone(), v.clone())));
        parts.extend(self.accepted.iter().map(|(k, v)| Part::Acceptance(*k, v.clone())));
        parts.extend(self.decisions.iter().map(|(k, v)| Part::Decision(*k, v.clone())));
        parts.extend(self.audits.iter().map(|(k, v)| Part::Audit(*k, v.clone())));
        parts.extend(self.proofs.iter().map(|(k, v)| Part::Proof(k.clone(), v.clone())));
        parts.extend(self.aliases.all().iter().map(|(k, v)| Part::Alias(k.clone(), v.clone())));
        parts
    }
}

/// Whether an observation is of the kind that the state keeps by gate and scope.
pub(super) fn gate_of(observed: &Observed) -> Option<(GateKind, &GateScope)> {
    match &observed.what {
        Observation::Gate { gate, scope, .. } => Some((*gate, scope)),
        Observation::Capabilities { .. } | Observation::Proof { .. } => None,
    }
}
