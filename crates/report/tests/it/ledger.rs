//! Ledgers in memory: every record passes the one match of legal transitions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::digest::Digest;
use untether_model::finding::{Place, Severity};
use untether_model::operation::{Stage, Track};
use untether_model::plan::{EntityForecast, PlanForecast, WaveForecast, WaveRef};
use untether_model::policy::{Entity, PlanPolicy};
use untether_model::run::{
    AccountCounts, AuditCounts, ClaimedSubject, Decision, EntityCounts, GateKind, GateScope, ParkReason, Record, RunState, Waive,
    WaveClaim, apply,
};
use untether_model::{BatchId, EntityId, FindingId, PlanId, Round, StateId, SubjectId, WaveId};
use untether_report::{History, Inputs, ProgressReport, compute};

pub struct Ledger {
    pub state: RunState,
    pub history: History,
    pub seq: u64,
    pub entities: BTreeMap<EntityId, Entity>,
    pub policy: Option<PlanPolicy>,
    at: Timestamp,
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Ledger {
    pub fn new() -> Self {
        let at = at("2026-01-05T00:00:00Z");
        let (state, history) = (RunState::new(), History::new());
        let mut ledger = Self { state, history, seq: 0, entities: entities(), policy: None, at };
        ledger.write("2026-01-05T00:00:00Z", Record::StateCreated { state: StateId::new("s"), version: 1 });
        ledger
    }

    pub fn write(&mut self, when: &str, record: Record) -> u64 {
        self.at = at(when);
        self.seq += 1;
        let change = apply(&self.state, self.seq, self.at, &record).unwrap();
        self.state.commit(change);
        self.history.take(self.seq, self.at, &record);
        self.seq
    }

    /// The report as of the last record.
    pub fn report(&self) -> ProgressReport {
        self.report_at(self.at)
    }

    pub fn report_at(&self, now: Timestamp) -> ProgressReport {
        compute(&Inputs {
            state: &self.state,
            history: &self.history,
            head: Some(Digest::of(b"head").to_hex()),
            entities: &self.entities,
            policy: self.policy.as_ref(),
            now,
        })
    }

    /// A batch goes through a stage; the number of the record that ends it.
    pub fn stage(&mut self, when: &str, batch: &BatchId, stage: Stage) -> u64 {
        self.write(when, Record::StageStarted { batch: batch.clone(), stage, round: Round::FIRST, operations: 2 });
        self.write(when, Record::StageEnded { batch: batch.clone(), stage, round: Round::FIRST })
    }

    pub fn accept(&mut self, when: &str, reason: &str, until: &str) -> u64 {
        let signed = signed("hanako", reason, until);
        self.write(when, Record::GateAccepted { gate: GateKind::Silence, scope: GateScope::Wave(wave("leavers")), signed })
    }

    pub fn decide(&mut self, when: &str, decision: Decision, reason: &str) -> u64 {
        self.write(when, Record::Decision { decision, signed: signed("jiro", reason, "2027-01-01T00:00:00Z") })
    }
}

pub fn signed(by: &str, reason: &str, until: &str) -> Signed {
    let statement = Statement {
        state: StateId::new("s"),
        subject: Subject::Object { kind: "gate".into(), object: "silence".into(), shown: Digest::of(b"") },
        reason: reason.into(),
        not_after: at(until),
    };
    Signed { statement, approver: by.into(), key: "SHA256:key".into(), signature: String::new() }
}

pub fn entities() -> BTreeMap<EntityId, Entity> {
    let entity = |name: &str, ja: &str, deadline: &str| Entity {
        name: name.to_owned(),
        name_ja: Some(ja.to_owned()),
        time_zone: "Asia/Tokyo".to_owned(),
        deadline: Some(deadline.parse().unwrap()),
        shared_subtrees: Vec::new(),
        independent_subtrees: Vec::new(),
    };
    BTreeMap::from([
        (EntityId::new("own"), entity("Own Company", "自社株式会社", "2026-03-31")),
        (EntityId::new("sub"), entity("Subsidiary", "国内子会社", "2026-09-30")),
    ])
}

pub fn counts(rule: &str, entity: Option<&str>, findings: u64) -> AuditCounts {
    AuditCounts { rule: rule.to_owned(), entity: entity.map(EntityId::new), store: "shared".to_owned(), findings, severe: 0 }
}

/// Accounts of an entity in the shared store: all, open, with credentials.
pub fn accounts(entity: &str, (accounts, open, credentials): (u64, u64, u64), unmoved: u64) -> EntityCounts {
    EntityCounts {
        entity: Some(EntityId::new(entity)),
        shared: AccountCounts { accounts, open, credentials, protected: 0 },
        independent: AccountCounts::default(),
        unmoved,
    }
}

pub fn audit(taken_at: &str, counts: Vec<AuditCounts>) -> Record {
    audit_of(taken_at, counts, None)
}

pub fn audit_of(taken_at: &str, counts: Vec<AuditCounts>, entities: Option<Vec<EntityCounts>>) -> Record {
    Record::AuditRecorded {
        snapshot: Digest::of(b"snapshot"),
        findings: Digest::of(b"findings"),
        taken_at: at(taken_at),
        as_of: None,
        executable: true,
        in_scope: BTreeMap::new(),
        active_people: 40,
        active_by_entity: BTreeMap::new(),
        complete: !counts.iter().any(|c| c.rule == "coverage.truncated"),
        subjects: vec![("own".to_owned(), "active".to_owned(), 40), ("own".to_owned(), "departed".to_owned(), 3)],
        counts,
        compared: None,
        entities,
    }
}

pub fn wave(name: &str) -> WaveId {
    WaveId::new(PlanId::new("0123456789"), name)
}

pub fn batch(name: &str) -> BatchId {
    BatchId::new(wave("leavers"), name)
}

/// A plan of the waves `leavers` (three subjects) and `people` (25 of the subsidiary).
pub fn plan(forecast: Option<PlanForecast>) -> Record {
    let wave = |name: &str, subjects| WaveRef {
        name: name.to_owned(),
        digest: Digest::of(name.as_bytes()),
        blobs: Vec::new(),
        subjects,
        operations: subjects * 3,
        batches: 1,
    };
    Record::PlanRecorded {
        plan: PlanId::new("0123456789"),
        digest: Digest::of(b"plan"),
        parent: None,
        snapshot: None,
        waves: vec![wave("leavers", 3), wave("people", 25)],
        report: None,
        executable: true,
        forecast,
    }
}

/// What the planner foresaw: fourteen days of soak, and so many subjects of each entity in no plan.
pub fn forecast(unplanned: &[(&str, u64)]) -> PlanForecast {
    let wave = |name: &str, entities: &[(&str, u64)]| WaveForecast {
        wave: name.to_owned(),
        subjects: entities.iter().map(|(_, n)| n).sum(),
        entities: entities.iter().map(|(id, n)| (EntityId::new(*id), *n)).collect(),
        operations: 10,
        writing_seconds: 60,
        canary_seconds: 86_400,
        soak_seconds: 14 * 86_400,
        earliest_end: at("2026-02-01T00:00:00Z"),
        deadline: None,
        late: false,
    };
    let entity = |(id, n): &(&str, u64)| EntityForecast {
        entity: EntityId::new(*id),
        planned: 0,
        waiting: *n,
        reasons: if *n > 0 { BTreeMap::from([("orphan".to_owned(), *n)]) } else { BTreeMap::new() },
        earliest_end: None,
        deadline: None,
        late: false,
    };
    PlanForecast {
        waves: vec![wave("leavers", &[("own", 2), ("sub", 1)]), wave("people", &[("sub", 25)])],
        entities: unplanned.iter().map(entity).collect(),
    }
}

pub fn policy() -> PlanPolicy {
    serde_json::from_value(serde_json::json!({
        "waves": [
            { "name": "leavers", "tracks": ["retire"] },
            { "name": "people", "entities": ["sub"], "tracks": ["migrate"] },
        ],
    }))
    .unwrap()
}

pub fn claimed(id: &str, entity: &str) -> ClaimedSubject {
    ClaimedSubject {
        id: SubjectId::new(id),
        track: Track::Retire,
        entity: EntityId::new(entity),
        stages: vec![Stage::Disable, Stage::Remove],
    }
}

pub fn begin(claims: Vec<WaveClaim>) -> Record {
    Record::WaveStarted { wave: wave("leavers"), digest: Digest::of(b"leavers"), claims, failure_tolerance: 0 }
}

pub fn claims() -> Vec<WaveClaim> {
    let claim = |name: &str, canary, subjects| WaveClaim { batch: name.to_owned(), canary, subjects };
    vec![claim("b01", true, vec![claimed("s-1", "own"), claimed("s-2", "own")]), claim("b02", false, vec![claimed("s-3", "sub")])]
}

pub fn park(subject: &str, reason: ParkReason) -> Record {
    Record::Parked {
        subject: SubjectId::new(subject),
        batch: batch("b01"),
        reason,
        stage: Stage::Remove,
        details: String::new(),
        presence: None,
    }
}

pub fn waive(number: &str, until: &str) -> Decision {
    Decision::Waive(Waive {
        finding: FindingId::derive("residual.orphan", "shared", number, ""),
        rule: "residual.orphan".into(),
        store: Place::Shared,
        entity: Some(EntityId::new("own")),
        severity: Severity::High,
        until: until.parse().unwrap(),
    })
}

/// Two audits, a plan of two waves, the first of them under way, and one subject parked.
pub fn midway() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    let first = vec![
        counts("residual.departed", Some("own"), 3),
        counts("residual.credential", Some("own"), 3),
        counts("link.replication", None, 2),
    ];
    ledger.write("2026-01-10T00:00:00Z", audit("2026-01-10T00:00:00Z", first));
    ledger.write("2026-01-11T00:00:00Z", plan(None));
    ledger.write("2026-01-12T00:00:00Z", begin(claims()));
    // 00:30 of 31 March in Tokyo.
    ledger.stage("2026-03-30T15:30:00Z", &batch("b01"), Stage::Disable);
    ledger.write("2026-03-31T00:00:00Z", park("s-2", ParkReason::Held));
    let second = vec![
        counts("residual.departed", Some("own"), 1),
        counts("residual.credential", Some("own"), 0),
        counts("link.replication", None, 1),
    ];
    ledger.write("2026-04-01T00:00:00Z", audit("2026-04-01T00:00:00Z", second));
    ledger
}
