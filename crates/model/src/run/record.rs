//! The records of the ledger. Each kind's body is stored as JSON under the kind's name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decision::{Decided, Decision};
use super::gate::{GateKind, GateScope, Observed};
use crate::approval::Signed;
use crate::digest::Digest;
use crate::finding::Severity;
use crate::operation::{Stage, Track};
use crate::plan::{OrderKind, PlanForecast, WaveRef};
use crate::roster::Presence;
use crate::{AttrName, BatchId, EntityId, FindingId, OpId, PlanId, Round, Side, StableId, StateId, SubjectId, WaveId};

/// Something sealed with a key of the state directory: base64, opaque here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} characters)", self.0.len())
    }
}

/// HMACs of an attribute's value set before and after, under the state key; `None` for absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Before the operation.
    pub before: Option<String>,
    /// As desired.
    pub after: Option<String>,
}

/// An intent: durable before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The operation.
    pub op: OpId,
    /// Its stage.
    pub stage: Stage,
    /// The subjects whose cells this attempt covers; empty for an operation that serves none.
    pub subjects: Vec<SubjectId>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The store.
    pub store: Side,
    /// The entry's stable id; `None` where it does not exist yet.
    pub stable_id: Option<StableId>,
    /// The change marker that was observed.
    pub change_marker: Option<String>,
    /// Before-image: the touched attributes (or the whole entry, for a deletion), sealed.
    pub before: Sealed,
    /// Desired state, one-time secret included, sealed.
    pub desired: Sealed,
    /// HMACs of each touched attribute before and after.
    pub marks: BTreeMap<AttrName, Mark>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// It was as desired before we did anything.
    Already,
    /// Done and read back.
    Succeeded,
    /// Found done after a crash or an unknown outcome.
    Observed,
    /// The server will not do it.
    Refused,
    /// Not known whether it was applied: observed before anything else touches the entry.
    Unknown,
    /// The world is in neither the expected nor the desired state.
    Conflict,
    /// Left out by decision.
    Skipped,
    /// Left out until the entry at its other end is there: a reference to somebody whom a failure keeps from being moved. It is
    /// taken up when that entry comes, whatever stage its own subject is in by then.
    Deferred,
    /// Not applicable to the subject (its stage has nothing to do).
    NotApplicable,
}

impl OutcomeKind {
    /// The effect is in place, by us or by somebody before us.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Already | Self::Succeeded | Self::Observed | Self::Skipped | Self::NotApplicable)
    }

    /// The effect is ours: undoing concerns it.
    pub fn is_applied(self) -> bool {
        matches!(self, Self::Succeeded | Self::Observed)
    }

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Already => "already",
            Self::Succeeded => "succeeded",
            Self::Observed => "observed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Conflict => "conflict",
            Self::Skipped => "skipped",
            Self::Deferred => "deferred",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// How one cell of an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellOutcome {
    /// The subject; `None` for an operation that serves none.
    pub subject: Option<SubjectId>,
    /// How it ended.
    pub kind: OutcomeKind,
}

/// The outcome of an attempt, or of a look that made an attempt needless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The operation.
    pub op: OpId,
    /// Its stage.
    pub stage: Stage,
    /// Sequence number of the `Started` that it ends; `None` where nothing was sent.
    pub started: Option<u64>,
    /// Each cell.
    pub cells: Vec<CellOutcome>,
    /// The server's result code.
    pub code: Option<u32>,
    /// The server's words, or what was found.
    pub message: String,
    /// Stable id of an entry that was created.
    pub stable_id: Option<StableId>,
    /// The entry that was deleted, as the server returned it, sealed.
    pub image: Option<Sealed>,
}

/// Why a subject left its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParkReason {
    /// An operation was refused.
    Failed,
    /// Waited at a gate past its bound.
    Held,
    /// An operation is in conflict.
    Conflict,
    /// The roster says otherwise than the plan.
    Roster,
    /// The wave was aborted.
    Aborted,
    /// Rolled back alone.
    RolledBack,
    /// An effect of ours is gone.
    Reopened,
}

impl ParkReason {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Conflict => "conflict",
            Self::Roster => "roster",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled-back",
            Self::Reopened => "reopened",
        }
    }
}

/// The subjects of one batch that a wave claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveClaim {
    /// The batch's name.
    pub batch: String,
    /// The first of its wave.
    pub canary: bool,
    /// Subject, track, entity and the stages that apply.
    pub subjects: Vec<ClaimedSubject>,
}

/// A subject as a wave claims it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedSubject {
    /// The subject.
    pub id: SubjectId,
    /// Its track.
    pub track: Track,
    /// Its entity.
    pub entity: EntityId,
    /// The stages in which there is something to do or to wait for.
    pub stages: Vec<Stage>,
}

/// Counts of an audit's findings: each reported figure cites one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCounts {
    /// The rule.
    pub rule: String,
    /// The entity; `None` where none applies.
    pub entity: Option<EntityId>,
    /// `shared`, `independent`, `roster`, `system`.
    pub store: String,
    /// Findings.
    pub findings: u64,
    /// Of these, critical or high.
    pub severe: u64,
}

/// Accounts in one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCounts {
    /// In scope, without the tool's own.
    pub accounts: u64,
    /// Of these, let in on some path, or it could not be told that they are not.
    pub open: u64,
    /// Of these, with credential material.
    pub credentials: u64,
    /// Of these, of protected identities: no wave takes them.
    pub protected: u64,
}

/// What an audit saw of one entity: everybody, not only those with a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityCounts {
    /// The entity; `None`: of no entity.
    pub entity: Option<EntityId>,
    /// In the shared store.
    pub shared: AccountCounts,
    /// In the independent directory.
    pub independent: AccountCounts,
    /// People who are there (active, on leave) and have an account in the shared store, but none that lets them in in the
    /// independent directory.
    pub unmoved: u64,
}

/// Findings that are gone: earlier audits had them, the last complete one has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolvedCounts {
    /// The rule.
    pub rule: String,
    /// The entity; `None` where none applied.
    pub entity: Option<EntityId>,
    /// `shared`, `independent`, `roster`, `system`.
    pub store: String,
    /// Findings.
    pub findings: u64,
}

/// What an audit says of the findings of the audits before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Digest of the register: every finding that any audit so far has seen, and whether it is gone.
    pub register: Digest,
    /// Findings that are gone. A finding that nobody looked for (entries or its rule are missing from the audit) is not.
    pub solved: Vec<SolvedCounts>,
    /// Of the findings that people have waived, those that are there, and how grave they are.
    pub waived: Vec<(FindingId, Severity)>,
}

/// One record of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Record {
    /// The first record.
    StateCreated {
        /// Identity of the state directory.
        state: StateId,
        /// Version of the format.
        version: u32,
    },
    /// An audit ended.
    AuditRecorded {
        /// The snapshot.
        snapshot: Digest,
        /// Its findings.
        findings: Digest,
        /// Its recorded time.
        taken_at: Timestamp,
        /// The day as of which it judged, if another.
        as_of: Option<jiff::civil::Date>,
        /// An executable plan can be made from it.
        executable: bool,
        /// Accounts in scope by store.
        in_scope: BTreeMap<Side, u64>,
        /// People whom the roster called active or on leave.
        active_people: u64,
        /// The same by entity (`unassigned` for none).
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        active_by_entity: BTreeMap<String, u64>,
        /// Nothing that could hold entries was missing, and it judged as of its own time.
        complete: bool,
        /// Subjects by entity (`unassigned` for none) and presence.
        subjects: Vec<(String, String, u64)>,
        /// Counts.
        counts: Vec<AuditCounts>,
        /// Against the audits before; `None`: it judged another day and compares nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compared: Option<Compared>,
        /// Accounts by entity; `None`: a version wrote this that did not count them, which is not the same as none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entities: Option<Vec<EntityCounts>>,
    },
    /// A plan was made.
    PlanRecorded {
        /// Its id.
        plan: PlanId,
        /// Digest of its header.
        digest: Digest,
        /// The plan before.
        parent: Option<PlanId>,
        /// The audit's snapshot.
        snapshot: Option<Digest>,
        /// Its waves.
        waves: Vec<WaveRef>,
        /// The planning report's file: who is not planned, and why.
        report: Option<Digest>,
        /// It can be run.
        executable: bool,
        /// When its waves can be through; `None`: a version wrote this that did not keep it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forecast: Option<PlanForecast>,
    },
    /// Another order was made: a rollback, a forced resolution, a credential issued again.
    OrderRecorded {
        /// Its id.
        order: PlanId,
        /// Digest of its header.
        digest: Digest,
        /// What it is for.
        order_kind: OrderKind,
        /// Its only wave.
        wave: WaveRef,
        /// People that must approve it.
        approvals_needed: u8,
        /// The batches and subjects that it concerns, by batch.
        concerns: Vec<(BatchId, Vec<SubjectId>)>,
    },
    /// A plan was rehearsed.
    Rehearsed {
        /// The plan.
        plan: PlanId,
        /// Operations that the rehearsal saw refused.
        refused: u64,
        /// Operations in all.
        operations: u64,
    },
    /// A statement was signed.
    Approved {
        /// The statement with its signature.
        signed: Signed,
    },
    /// An approval was taken back: nothing new starts under it.
    Revoked {
        /// Sequence number of the approval's record.
        approval: u64,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A wave began and claims its subjects.
    WaveStarted {
        /// The wave.
        wave: WaveId,
        /// Digest of its file.
        digest: Digest,
        /// Its subjects.
        claims: Vec<WaveClaim>,
        /// Refusals and conflicts that a batch tolerates.
        failure_tolerance: u32,
    },
    /// Claims were given up.
    Released {
        /// The wave.
        wave: WaveId,
        /// The subjects.
        subjects: Vec<SubjectId>,
        /// Why.
        reason: String,
    },
    /// The roster was read again.
    RosterRead {
        /// Digest of its rows.
        digest: Digest,
        /// Rows.
        rows: u64,
        /// When the file was last written, as its file system says.
        modified: Option<Timestamp>,
    },
    /// A batch began a stage.
    StageStarted {
        /// The batch.
        batch: BatchId,
        /// The stage.
        stage: Stage,
        /// The round.
        round: Round,
        /// Operations that the stage has for the batch.
        operations: u64,
    },
    /// A batch ended a stage.
    StageEnded {
        /// The batch.
        batch: BatchId,
        /// The stage.
        stage: Stage,
        /// The round.
        round: Round,
    },
    /// A subject caught up with a stage of its batch, alone.
    CaughtUp {
        /// The subject.
        subject: SubjectId,
        /// Its batch.
        batch: BatchId,
        /// The stage that it ended.
        stage: Stage,
    },
    /// Something was observed.
    Observed {
        /// What.
        observed: Observed,
    },
    /// A person answers for passing a gate.
    GateAccepted {
        /// The gate.
        gate: GateKind,
        /// About whom.
        scope: GateScope,
        /// The statement with its signature.
        signed: Signed,
    },
    /// An intent.
    Started {
        /// The intent.
        started: Started,
    },
    /// How an attempt ended.
    Outcome {
        /// The outcome.
        outcome: Outcome,
    },
    /// A subject left its batch.
    Parked {
        /// The subject.
        subject: SubjectId,
        /// Its batch.
        batch: BatchId,
        /// Why.
        reason: ParkReason,
        /// The stage that it was in or about to begin.
        stage: Stage,
        /// Details for people.
        details: String,
        /// What the roster says, where it is the reason.
        presence: Option<Presence>,
    },
    /// A parked subject is taken up again.
    Unparked {
        /// The subject.
        subject: SubjectId,
        /// Its batch.
        batch: BatchId,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person decided on a conflict.
    Resolved {
        /// The operation.
        op: OpId,
        /// The subject.
        subject: Option<SubjectId>,
        /// `keep-theirs`, `skip`, `retry` or `force`.
        verb: String,
        /// The order that was carried out (`force`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<PlanId>,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// An effect of ours no longer holds, or holds again.
    Drift {
        /// The operation.
        op: OpId,
        /// The subject.
        subject: Option<SubjectId>,
        /// The operation's stage.
        stage: Stage,
        /// What was seen.
        seen: String,
        /// It was gone, and somebody else has put it right.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over: bool,
    },
    /// A finished subject is unfinished again. What had drifted is not ours to undo any more; a new plan looks anew.
    Reopened {
        /// The subject.
        subject: SubjectId,
        /// The earliest stage whose effect is gone.
        stage: Stage,
    },
    /// A batch stopped by its failure policy, a drift or a rollback.
    Halted {
        /// The batch.
        batch: BatchId,
        /// Why.
        reason: String,
    },
    /// The engine is to start nothing new.
    Paused {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Ends a pause, or lifts the halt of a batch.
    Resumed {
        /// The batch whose halt is lifted; `None` ends the pause.
        batch: Option<BatchId>,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// An upper limit of operations in flight was set.
    Throttled {
        /// The limit; `None` lifts it.
        limit: Option<u32>,
        /// By whom.
        by: String,
    },
    /// A wave was given up.
    Aborted {
        /// The wave.
        wave: WaveId,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// A rollback ended.
    RolledBack {
        /// The order.
        order: PlanId,
        /// The batch; `None` for a subject alone.
        batch: Option<BatchId>,
        /// The subjects that were rolled back.
        subjects: Vec<SubjectId>,
        /// The state before this stage was restored.
        to: Stage,
        /// The round in which they are now.
        round: Round,
        /// What was not undone and is still in place: what a subject has left whose rollback met a conflict, and the disabling of
        /// people whom the roster called departed. The rest of what the subjects had from that stage on is undone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kept: Vec<(OpId, SubjectId)>,
    },
    /// A hand-over file was written or made again.
    HandoverWritten {
        /// The batch whose operations set the credentials; that of an order where they were issued again.
        batch: BatchId,
        /// File name below `handover/`.
        file: String,
        /// Digest of the encrypted file.
        digest: Digest,
        /// The subjects in it.
        subjects: Vec<SubjectId>,
    },
    /// The hook is about to get one person's one-time credential.
    HandoverStarted {
        /// The subject.
        subject: SubjectId,
        /// The intent whose credential it is.
        issued: u64,
        /// The hook's program.
        hook: String,
    },
    /// What became of a hand-over through the hook.
    HandoverEnded {
        /// The subject.
        subject: SubjectId,
        /// The intent whose credential it is.
        issued: u64,
        /// It was delivered.
        delivered: bool,
        /// What the hook said, or why somebody says that it arrived.
        message: String,
        /// The person who said so, where the hook could not be asked any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// An order about one-time credentials was carried out.
    OrderEnded {
        /// The order.
        order: PlanId,
        /// The subjects for whom nothing was done, and why: refused, in conflict, or gone according to the roster.
        left_out: Vec<(SubjectId, String)>,
    },
    /// A person decided.
    Decision {
        /// What.
        decision: Decision,
        /// The statement with its signature.
        signed: Signed,
    },
    /// A person decided several things under one signature: all of them, or none.
    Decisions {
        /// What; the statement's `shown` is [`super::list_digest`] of it.
        decisions: Vec<Decided>,
        /// The statement with its signature.
        signed: Signed,
    },
    /// A subject has another id now; what was recorded under the earlier one is found under the later one.
    SubjectAliased {
        /// The id that the last audit does not know any more.
        from: SubjectId,
        /// The id that has its accounts; the same one where the subject has its own id again.
        to: SubjectId,
    },
    /// A wave's key was destroyed.
    Forgotten {
        /// The wave.
        wave: WaveId,
        /// Id of the key.
        key: String,
        /// Who approved.
        approved_by: Vec<String>,
    },
    /// The ledger lost its tail, and a person accepted it.
    Repaired {
        /// The last sequence number that is known to have existed.
        lost_from: u64,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person accepted the clock.
    ClockAccepted {
        /// The wall time that was accepted.
        wall: Timestamp,
        /// Why.
        reason: String,
    },
    /// No unparked subject of the wave has a stage left.
    WaveEnded {
        /// The wave.
        wave: WaveId,
    },
    /// Last record of a closed segment.
    SegmentSealed {
        /// Bytes before this frame.
        length: u64,
        /// Hash of the frame before.
        last: Digest,
    },
    /// First record of the next segment.
    SegmentOpened {
        /// Bytes of the closed segment.
        length: u64,
        /// Hash of its last frame.
        last: Digest,
    },
}

/// The kinds that this version understands.
const KINDS: &[&str] = &[
    "state-created",
    "audit-recorded",
    "plan-recorded",
    "order-recorded",
    "rehearsed",
    "approved",
    "revoked",
    "wave-started",
    "released",
    "roster-read",
    "stage-started",
    "stage-ended",
    "caught-up",
    "observed",
    "gate-accepted",
    "started",
    "outcome",
    "parked",
    "unparked",
    "resolved",
    "drift",
    "reopened",
    "halted",
    "paused",
    "resumed",
    "throttled",
    "aborted",
    "rolled-back",
    "handover-written",
    "handover-started",
    "handover-ended",
    "order-ended",
    "decision",
    "decisions",
    "subject-aliased",
    "forgotten",
    "repaired",
    "clock-accepted",
    "wave-ended",
    "segment-sealed",
    "segment-opened",
];

impl Record {
    /// Whether this version understands a kind.
    pub fn knows(kind: &str) -> bool {
        KINDS.contains(&kind)
    }
}
