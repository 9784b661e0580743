//! Plans and the other orders: digested lists of operations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::dn::DnKey;
use crate::operation::{Action, Operation, Stage, Track};
use crate::policy::{Selector, Span, Terms, Thresholds};
use crate::run::GateKind;
use crate::snapshot::{StoreIdentity, SubjectKind};
use crate::{BatchId, Dn, EntityId, OpId, PlanId, Side, SubjectId, WaveId};

/// Version of the plan format that this code writes. Version 1 did not say how each entity's subjects are treated: such a plan can be
/// shown, and what was done by it can be taken back, but it cannot be run.
pub const PLAN_VERSION: u32 = 2;

/// What an order is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// Forward waves.
    Plan,
    /// The wave of the tool's own accounts.
    RetireTool,
    /// Undoing.
    Rollback {
        /// What is undone.
        scope: RollbackScope,
        /// The state before this stage is restored.
        to: Stage,
        /// Entries that untether made are deleted, not only locked (two approvals).
        delete_provisioned: bool,
        /// Accounts of people whom the roster calls departed or ended are enabled anyway (two approvals).
        enable_inactive: bool,
    },
    /// Overwriting a conflict.
    Resolution {
        /// The operation in conflict.
        op: OpId,
    },
    /// One-time credentials issued again; the ones before no longer work.
    Reissue {
        /// Whose.
        scope: HandoverScope,
        /// People who have set a password of their own get a one-time one again (two approvals).
        reset: bool,
    },
    /// One-time credentials that nobody has used are made unusable.
    Expire {
        /// Whose.
        scope: HandoverScope,
        /// Only those that were issued longer ago than this.
        older_than: Option<Span>,
    },
}

/// Whose one-time credentials are meant: everybody's whom all of these take in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverScope {
    /// Those whom this wave has or had in hand last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<WaveId>,
    /// Those whom this batch has or had in hand last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// Those of this entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityId>,
    /// These only; empty: whoever the rest takes in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectId>,
}

impl HandoverScope {
    /// Whether a subject that this batch has in hand, of this entity, is meant.
    pub fn takes(&self, subject: &SubjectId, batch: &BatchId, entity: &EntityId) -> bool {
        self.wave.as_ref().is_none_or(|wave| *wave == batch.wave)
            && self.batch.as_ref().is_none_or(|wanted| wanted == batch)
            && self.entity.as_ref().is_none_or(|wanted| wanted == entity)
            && (self.subjects.is_empty() || self.subjects.contains(subject))
    }
}

/// What a rollback takes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackScope {
    /// The subjects that the batch holds now.
    Batch(BatchId),
    /// All batches of a wave.
    Wave(WaveId),
    /// One subject.
    Subject(SubjectId),
}

/// A wave file, as the header refers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveRef {
    /// Its name.
    pub name: String,
    /// Digest over the exact bytes of its file.
    pub digest: Digest,
    /// Its blobs.
    pub blobs: Vec<Digest>,
    /// Subjects in it.
    pub subjects: u64,
    /// Operations in it.
    pub operations: u64,
    /// Batches in it.
    pub batches: u64,
}

/// How long a wave takes at least: operations at the assumed rate, soak and canary waits; people at gates are not foreseen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveForecast {
    /// The wave.
    pub wave: String,
    /// Subjects in it.
    pub subjects: u64,
    /// The same by entity.
    #[serde(default)]
    pub entities: BTreeMap<EntityId, u64>,
    /// Operations in it.
    pub operations: u64,
    /// Seconds of writing at the assumed rate.
    pub writing_seconds: u64,
    /// Seconds of waiting for canaries.
    pub canary_seconds: u64,
    /// Seconds of soak.
    pub soak_seconds: u64,
    /// Earliest end, if it starts as soon as the plan allows.
    pub earliest_end: Timestamp,
    /// Its deadline.
    pub deadline: Option<Date>,
    /// The earliest end lies behind the deadline.
    pub late: bool,
}

/// When an entity is through at the earliest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityForecast {
    /// The entity.
    pub entity: EntityId,
    /// Its subjects in this plan.
    pub planned: u64,
    /// Its subjects with an account in the shared store that are not in this plan and not finished.
    pub waiting: u64,
    /// Of these, how many for which reason of the planner's (`claimed`: an earlier wave has them in hand).
    #[serde(default)]
    pub reasons: BTreeMap<String, u64>,
    /// Earliest end of the last wave that has one of them.
    pub earliest_end: Option<Timestamp>,
    /// Its deadline.
    pub deadline: Option<Date>,
    /// The earliest end lies behind the deadline.
    pub late: bool,
}

/// What a plan's waves need at least, as it was when the plan was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanForecast {
    /// Each wave.
    pub waves: Vec<WaveForecast>,
    /// Each configured entity.
    pub entities: Vec<EntityForecast>,
}

/// What a plan says of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStore {
    /// Which store it must be.
    pub identity: StoreIdentity,
    /// Protected identities: never a target of an operation that changes their existence, credential, state or memberships.
    pub protected: Vec<Dn>,
}

/// The head of a plan. The plan's digest is the SHA-256 of the exact bytes of its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHeader {
    /// Format version.
    pub version: u32,
    /// What it is for.
    pub kind: OrderKind,
    /// The snapshot's recorded time.
    pub now: Timestamp,
    /// Seed of everything that is chosen at random.
    pub seed: u64,
    /// The plan before.
    pub parent: Option<PlanId>,
    /// The snapshot.
    pub snapshot: Option<Digest>,
    /// Its findings.
    pub findings: Option<Digest>,
    /// The policy.
    pub policy: Option<Digest>,
    /// The progress that was taken into account.
    pub progress: Digest,
    /// Decisions of people that were taken into account.
    pub decisions: Digest,
    /// The stores.
    pub stores: BTreeMap<Side, PlannedStore>,
    /// The waves, in order.
    pub waves: Vec<WaveRef>,
    /// It can be run. A plan from an export, from another day or from an incomplete snapshot can be rehearsed only.
    pub executable: bool,
    /// Why not, where it cannot.
    pub not_executable: Vec<String>,
}

/// The first line of a wave file: how the wave runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaveHeader {
    /// Its name.
    pub name: String,
    /// How long the other batches wait after the canary.
    pub canary_wait: Span,
    /// Share of the canary's subjects that must be unparked, in percent.
    pub canary_share_percent: f64,
    /// Share of the touched entries, in percent, that may have moved since the snapshot.
    pub moved_percent: f64,
    /// How long silence must be proved.
    pub soak: Span,
    /// Refusals and conflicts that a batch tolerates.
    pub failure_tolerance: u32,
    /// How long a subject may wait at a gate.
    pub hold_bound: Span,
    /// Limits, checked before the first write.
    pub thresholds: Thresholds,
    /// Accounts in scope of each store when the plan was made: what the percentages are of.
    pub in_scope: BTreeMap<Side, u64>,
    /// Gates and the stage that each one guards.
    pub gates: Vec<PlannedGate>,
    /// Whom it was told to take.
    #[serde(default)]
    pub selector: Selector,
    /// How the subjects of each entity are treated.
    #[serde(default)]
    pub terms: BTreeMap<EntityId, Terms>,
    /// Waves that must end first.
    pub after: Vec<String>,
    /// Last day by which it must be through.
    pub deadline: Option<Date>,
}

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateWhen {
    /// Before a subject begins the stage.
    Before,
    /// Before the stage counts as ended.
    After,
}

/// A gate of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGate {
    /// Which gate.
    pub gate: GateKind,
    /// The stage that it guards.
    pub stage: Stage,
    /// Before or after that stage.
    pub when: GateWhen,
}

/// A subject of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSubject {
    /// The subject.
    pub id: SubjectId,
    /// What is to become of it.
    pub track: Track,
    /// What it is.
    pub kind: SubjectKind,
    /// Its entity.
    pub entity: EntityId,
    /// How the roster names it, for the check at each stage start; `None`: no roster row (orphans, services).
    pub roster_ref: Option<String>,
    /// Where its main account in the shared store was.
    pub shared_dn: Option<Dn>,
    /// Stable id of that account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_id: Option<crate::StableId>,
    /// Where its account in the independent directory is or will be.
    pub independent_dn: Option<Dn>,
    /// Stages in which there is something to do or to wait for.
    pub stages: Vec<Stage>,
}

/// A batch: the unit of rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBatch {
    /// Its name within the wave.
    pub name: String,
    /// The first of its wave.
    pub canary: bool,
    /// Its subjects.
    pub subjects: Vec<PlannedSubject>,
}

/// One line of a wave file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaveLine {
    /// The first line.
    Wave(Box<WaveHeader>),
    /// A batch; all batches come before the operations.
    Batch(PlannedBatch),
    /// An operation.
    Operation(Box<Operation>),
}

/// A wave in memory, as the engine runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Its id.
    pub id: WaveId,
    /// How it runs.
    pub header: WaveHeader,
    /// Its batches, the canary first.
    pub batches: Vec<PlannedBatch>,
    /// Its operations, as they stand in the file: by batch and number.
    operations: Vec<Operation>,
    /// Where the operations of a batch and stage stand.
    index: BTreeMap<String, BTreeMap<Stage, Vec<usize>>>,
    /// Which operation creates an entry.
    makers: BTreeMap<(Side, DnKey), usize>,
}

/// Why lines are no wave: the head does not come first, or comes twice, or is missing.
#[derive(Debug, thiserror::Error)]
#[error("the file of wave {0} does not begin with its head")]
pub struct NoHead(WaveId);

/// Why a wave cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadWave<E> {
    /// A line could not be read.
    #[error(transparent)]
    Line(E),
    /// The lines are no wave.
    #[error(transparent)]
    NoHead(#[from] NoHead),
}

/// A wave that is being put together from the lines of its file.
#[derive(Debug)]
pub struct WaveDraft {
    id: WaveId,
    wave: Option<Wave>,
}

impl WaveDraft {
    /// Nothing yet of this wave.
    pub fn new(id: WaveId) -> Self {
        Self { id, wave: None }
    }

    /// The next line.
    ///
    /// # Errors
    /// It may not stand there.
    pub fn add(&mut self, line: WaveLine) -> Result<(), NoHead> {
        match (line, &mut self.wave) {
            (WaveLine::Wave(header), slot @ None) => *slot = Some(Wave::new(self.id.clone(), *header)),
            (WaveLine::Batch(batch), Some(wave)) => wave.batches.push(batch),
            (WaveLine::Operation(op), Some(wave)) => wave.push(*op),
            _ => return Err(NoHead(self.id.clone())),
        }
        Ok(())
    }

    /// The wave of all lines.
    ///
    /// # Errors
    /// There was none.
    pub fn finish(self) -> Result<Wave, NoHead> {
        self.wave.ok_or(NoHead(self.id))
    }
}

impl Wave {
    /// Puts a wave together from the lines of its file.
    pub fn from_lines<E>(id: &WaveId, lines: impl IntoIterator<Item = Result<WaveLine, E>>) -> Result<Self, BadWave<E>> {
        let mut draft = WaveDraft::new(id.clone());
        for line in lines {
            draft.add(line.map_err(BadWave::Line)?)?;
        }
        Ok(draft.finish()?)
    }

    fn new(id: WaveId, header: WaveHeader) -> Self {
        Self { id, header, batches: Vec::new(), operations: Vec::new(), index: BTreeMap::new(), makers: BTreeMap::new() }
    }

    fn push(&mut self, operation: Operation) {
        if matches!(operation.action, Action::Create { .. }) {
            self.makers.insert((operation.store, operation.target.dn().key().clone()), self.operations.len());
        }
        if !self.index.contains_key(&operation.batch) {
            self.index.insert(operation.batch.clone(), BTreeMap::new());
        }
        if let Some(stages) = self.index.get_mut(&operation.batch) {
            stages.entry(operation.stage).or_default().push(self.operations.len());
        }
        self.operations.push(operation);
    }

    /// The same wave with every operation changed.
    #[must_use]
    pub fn map_operations(self, mut change: impl FnMut(&mut Operation)) -> Self {
        let Self { id, header, batches, operations, .. } = self;
        let mut wave = Self { batches, ..Self::new(id, header) };
        for mut operation in operations {
            change(&mut operation);
            wave.push(operation);
        }
        wave
    }

    /// Its operations, as they stand in the file.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations of one stage of a batch, by number.
    pub fn operations_of<'a>(&'a self, batch: &str, stage: Stage) -> impl Iterator<Item = &'a Operation> + use<'a> {
        let places = self.index.get(batch).and_then(|stages| stages.get(&stage)).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.operations.get(*place))
    }

    /// The operations of a batch, stage by stage.
    pub fn operations_in<'a>(&'a self, batch: &str) -> impl Iterator<Item = &'a Operation> + use<'a> {
        let places = self.index.get(batch).into_iter().flat_map(BTreeMap::values).flatten();
        places.filter_map(|place| self.operations.get(*place))
    }

    /// One operation.
    pub fn operation(&self, batch: &str, n: u32) -> Option<&Operation> {
        self.operations_in(batch).find(|op| op.n == n)
    }

    /// The operation that creates the entry with this name.
    pub fn maker_of(&self, store: Side, dn: &Dn) -> Option<&Operation> {
        self.operations.get(*self.makers.get(&(store, dn.key().clone()))?)
    }

    /// The id of one of its batches.
    pub fn batch_id(&self, name: &str) -> BatchId {
        BatchId::new(self.id.clone(), name)
    }

    /// The id of one of its operations.
    pub fn op_id(&self, operation: &Operation) -> OpId {
        OpId::new(self.batch_id(&operation.batch), operation.n)
    }

    /// One of its batches.
    pub fn batch(&self, name: &str) -> Option<&PlannedBatch> {
        self.batches.iter().find(|b| b.name == name)
    }
}
