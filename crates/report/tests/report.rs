//! Reports of journals that were made record by record: the figures, the records that they name, and the text.
#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::digest::Digest;
use untether_model::finding::{Place, Severity};
use untether_model::operation::{Stage, Track};
use untether_model::plan::WaveRef;
use untether_model::policy::{Entity, PlanPolicy};
use untether_model::run::{
    AuditCounts, ClaimedSubject, Compared, Decision, ExceptionState, GateKind, GateScope, ParkReason, Record, RunState,
    SolvedCounts, Waive, WaveClaim, apply,
};
use untether_model::{BatchId, EntityId, FindingId, PlanId, Round, StateId, SubjectId, WaveId};
use untether_report::{History, Inputs, Lang, MilestoneState, ProgressReport, compute, entity_csv, markdown};

struct Ledger {
    state: RunState,
    history: History,
    seq: u64,
}

impl Ledger {
    fn new() -> Self {
        let mut ledger = Self { state: RunState::new(), history: History::new(), seq: 0 };
        ledger.write("2026-01-05T00:00:00Z", Record::StateCreated { state: StateId::new("s"), version: 1 });
        ledger
    }

    fn write(&mut self, at: &str, record: Record) -> u64 {
        let at: Timestamp = at.parse().unwrap();
        self.seq += 1;
        let change = apply(&self.state, self.seq, at, &record).unwrap();
        self.state.commit(change);
        self.history.take(self.seq, at, &record);
        self.seq
    }

    fn report(&self, policy: Option<&PlanPolicy>) -> ProgressReport {
        compute(&Inputs { state: &self.state, history: &self.history, entities: &entities(), policy })
    }
}

fn entities() -> BTreeMap<EntityId, Entity> {
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

fn counts(rule: &str, entity: Option<&str>, findings: u64) -> AuditCounts {
    AuditCounts { rule: rule.to_owned(), entity: entity.map(EntityId::new), store: "shared".to_owned(), findings, severe: 0 }
}

fn audit(taken_at: &str, counts: Vec<AuditCounts>) -> Record {
    Record::AuditRecorded {
        snapshot: Digest::of(b"snapshot"),
        findings: Digest::of(b"findings"),
        taken_at: taken_at.parse().unwrap(),
        as_of: None,
        executable: true,
        in_scope: BTreeMap::new(),
        active_people: 40,
        active_by_entity: BTreeMap::new(),
        complete: true,
        subjects: vec![("own".to_owned(), "active".to_owned(), 40), ("own".to_owned(), "departed".to_owned(), 3)],
        counts,
        compared: None,
        entities: None,
    }
}

fn wave() -> WaveId {
    WaveId::new(PlanId::new("0123456789"), "leavers")
}

fn batch(name: &str) -> BatchId {
    BatchId::new(wave(), name)
}

fn plan() -> Record {
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
        forecast: None,
    }
}

fn policy() -> PlanPolicy {
    serde_json::from_value(serde_json::json!({
        "waves": [
            { "name": "leavers", "tracks": ["retire"] },
            { "name": "people", "entities": ["sub"], "tracks": ["migrate"] },
        ],
    }))
    .unwrap()
}

fn claims() -> Vec<WaveClaim> {
    let subject = |id: &str, entity: &str| ClaimedSubject {
        id: SubjectId::new(id),
        track: Track::Retire,
        entity: EntityId::new(entity),
        stages: vec![Stage::Disable, Stage::Remove],
    };
    let claim = |name: &str, canary, subjects| WaveClaim { batch: name.to_owned(), canary, subjects };
    vec![claim("b01", true, vec![subject("s-1", "own"), subject("s-2", "own")]), claim("b02", false, vec![subject("s-3", "sub")])]
}

fn stage(ledger: &mut Ledger, at: &str, name: &str, stage: Stage) -> u64 {
    let id = batch(name);
    ledger.write(at, Record::StageStarted { batch: id.clone(), stage, round: Round::FIRST, operations: 2 });
    ledger.write(at, Record::StageEnded { batch: id, stage, round: Round::FIRST })
}

/// Two audits, a plan of two waves, the first of them under way.
fn midway() -> Ledger {
    let mut ledger = Ledger::new();
    let first = vec![
        counts("residual.departed", Some("own"), 3),
        counts("residual.credential", Some("own"), 3),
        counts("link.replication", None, 2),
    ];
    ledger.write("2026-01-10T00:00:00Z", audit("2026-01-10T00:00:00Z", first));
    ledger.write("2026-01-11T00:00:00Z", plan());
    ledger.write(
        "2026-01-12T00:00:00Z",
        Record::WaveStarted { wave: wave(), digest: Digest::of(b"leavers"), claims: claims(), failure_tolerance: 0 },
    );
    // 00:30 of 31 March in Tokyo.
    stage(&mut ledger, "2026-03-30T15:30:00Z", "b01", Stage::Disable);
    ledger.write(
        "2026-03-31T00:00:00Z",
        Record::Parked {
            subject: SubjectId::new("s-2"),
            batch: batch("b01"),
            reason: ParkReason::Held,
            stage: Stage::Remove,
            details: String::new(),
            presence: None,
        },
    );
    let second = vec![
        counts("residual.departed", Some("own"), 1),
        counts("residual.credential", Some("own"), 0),
        counts("link.replication", None, 1),
    ];
    ledger.write("2026-04-01T00:00:00Z", audit("2026-04-01T00:00:00Z", second));
    ledger
}

#[test]
fn without_an_audit_nothing_is_said_to_be_left_or_gone() {
    let report = Ledger::new().report(None);
    assert!(report.last_audit.is_none());
    assert!(report.entities.iter().all(|e| e.residual.is_none() && e.subjects.is_none()));
    let text = markdown(&report, Lang::Ja);
    assert!(text.contains("監査は未実施です。残存件数は不明であり、残存なしを意味しません。"), "{text}");
    assert!(!text.contains("0件"), "{text}");
    let csv = entity_csv(&report, Lang::En).unwrap();
    assert!(csv.lines().nth(1).unwrap().ends_with("0,0,,,,,1"), "{csv}");
}

#[test]
fn figures_name_the_records_that_they_rest_on() {
    let ledger = midway();
    let report = ledger.report(Some(&policy()));
    let own = &report.entities[0];
    let residual = own.residual.as_ref().unwrap();
    assert_eq!((residual.records.found, residual.records.found_record), (3, 2));
    assert_eq!((residual.records.left, residual.records.left_record), (1, 8));
    assert_eq!(residual.credentials.left, 0);
    assert_eq!((report.links[0].found, report.links[0].gone(), report.links[0].left), (2, 1, 1));
    let disable = own.milestones.iter().find(|m| m.stage == Stage::Disable).unwrap();
    assert_eq!(disable.state, MilestoneState::Done { on: Some("2026-03-31".parse().unwrap()), record: Some(6) });
    let remove = own.milestones.iter().find(|m| m.stage == Stage::Remove).unwrap();
    assert_eq!((remove.subjects, remove.done, remove.parked), (2, 0, 1));
    assert_eq!(remove.state, MilestoneState::Planned { by: Some("2026-03-31".parse().unwrap()), overdue: true });
    assert!(own.overdue);
    assert!(!report.entities[1].overdue);
    assert_eq!(report.planned.len(), 1);
    assert_eq!((report.planned[0].wave.as_str(), report.planned[0].record), ("people", Some(3)));
    assert_eq!(report.as_of.record, 8);
}

#[test]
fn an_audit_of_another_day_says_nothing_about_what_is_there() {
    let mut ledger = midway();
    let Record::AuditRecorded { snapshot, findings, taken_at, in_scope, subjects, .. } =
        audit("2026-04-02T00:00:00Z", Vec::new())
    else {
        panic!("an audit")
    };
    let as_of = Some("2026-09-30".parse().unwrap());
    ledger.write(
        "2026-04-02T00:00:00Z",
        Record::AuditRecorded {
            snapshot,
            findings,
            taken_at,
            as_of,
            executable: false,
            in_scope,
            active_people: 10,
            active_by_entity: BTreeMap::new(),
            complete: false,
            subjects,
            counts: vec![counts("residual.departed", Some("own"), 30)],
            compared: None,
            entities: None,
        },
    );
    let report = ledger.report(None);
    assert_eq!(report.last_audit.unwrap().record, 8);
    assert_eq!(report.entities[0].residual.as_ref().unwrap().records.left, 1);
}

#[test]
fn an_audit_that_could_not_read_everything_gives_lower_bounds() {
    let mut ledger = midway();
    ledger.write("2026-04-02T00:00:00Z", audit("2026-04-02T00:00:00Z", vec![counts("coverage.truncated", None, 1)]));
    let report = ledger.report(None);
    assert!(!report.last_audit.unwrap().complete);
    assert!(markdown(&report, Lang::Ja).contains("件数は下限です"));
    assert!(markdown(&report, Lang::En).contains("lower bounds"));
}

#[test]
fn the_japanese_report_reads_as_companies_publish_it() {
    let text = markdown(&midway().report(Some(&policy())), Lang::Ja);
    for line in [
        "# 共有認証基盤からの分離に関する進捗報告",
        "2026年4月1日 09:00現在（Asia/Tokyo、台帳の記録番号 8 まで）。",
        "### 自社株式会社",
        "分離期限：2026年3月末【期限超過】",
        "- 退職者等の廃止：共有ストアのアカウント無効化（leavers、2件、記録番号 6）【2026年3月末完了】",
        "- 退職者等の廃止：共有ストアからのレコード削除（leavers、2件、うち一時保留 1件）【2026年3月末期限、超過】",
        "| 退職者等の廃止 | 2 | 0 | 1 | 共有ストアのアカウント無効化まで 1件 |",
        "- 共有ストアに残るアカウント：1件（記録番号 8。最多時 3件、記録番号 2）",
        "検出 2件のうち 1件を切断、残り 1件。",
        "- 国内子会社：移行（people、25件、計画の記録番号 3）【2026年9月末予定】",
    ] {
        assert!(text.lines().any(|l| l == line), "missing: {line}\n{text}");
    }
}

#[test]
fn the_english_report_says_the_same() {
    let text = markdown(&midway().report(Some(&policy())), Lang::En);
    for line in [
        "As of 2026-04-01 09:00 (Asia/Tokyo), record 8 of the ledger.",
        "Deadline: 2026-03-31 [overdue]",
        "- retirement of leavers: accounts in the shared store disabled (leavers, 2 subjects, record 6) [completed 2026-03-31]",
        "- retirement of leavers: records removed from the shared store (leavers, 2 subjects, 1 parked) [was due by 2026-03-31]",
        "- Records left in the shared store: 1 (record 8; 3 at most, record 2)",
        "Found 2, cut 1, left 1.",
        "- Subsidiary: migration (people, 25 subjects, plan of record 3) [planned by 2026-09-30]",
    ] {
        assert!(text.lines().any(|l| l == line), "missing: {line}\n{text}");
    }
}

#[test]
fn an_accepted_gate_is_told_apart_and_its_reason_cannot_break_the_page() {
    let mut ledger = midway();
    let statement = Statement {
        state: StateId::new("s"),
        subject: Subject::Object { kind: "gate".into(), object: "silence".into(), shown: Digest::of(b"") },
        reason: "logs come\n# later | <b>".into(),
        not_after: "2026-12-31T00:00:00Z".parse().unwrap(),
    };
    let signed = Signed { statement, approver: "hanako".into(), key: String::new(), signature: String::new() };
    let seq = ledger
        .write("2026-04-03T00:00:00Z", Record::GateAccepted { gate: GateKind::Silence, scope: GateScope::Wave(wave()), signed });
    let text = markdown(&ledger.report(None), Lang::En);
    let line = text.lines().find(|l| l.contains("hanako")).unwrap();
    assert!(line.contains(r"because: logs come # later \| \<b\>"), "{line}");
    assert!(line.ends_with(&format!("(record {seq})")), "{line}");
}

fn signed(reason: &str) -> Signed {
    let statement = Statement {
        state: StateId::new("s"),
        subject: Subject::Object { kind: "finding".into(), object: "f".into(), shown: Digest::of(b"") },
        reason: reason.into(),
        not_after: "2026-12-31T00:00:00Z".parse().unwrap(),
    };
    Signed { statement, approver: "hanako".into(), key: String::new(), signature: String::new() }
}

/// An audit that compares itself with those before it.
fn compared(ledger: &mut Ledger, at: &str, found: u64, solved: u64, waived: &[(&str, Severity)]) -> u64 {
    let Record::AuditRecorded { snapshot, findings, taken_at, in_scope, subjects, counts, .. } =
        audit(at, vec![counts("residual.departed", Some("own"), found)])
    else {
        panic!("an audit")
    };
    let solved = SolvedCounts {
        rule: "residual.departed".into(),
        entity: Some(EntityId::new("own")),
        store: "shared".into(),
        findings: solved,
    };
    let waived = waived.iter().map(|(id, severity)| (FindingId::new(*id), *severity)).collect();
    let compared = Compared { register: Digest::of(b"register"), solved: vec![solved], waived };
    let record = Record::AuditRecorded {
        snapshot,
        findings,
        taken_at,
        as_of: None,
        executable: true,
        in_scope,
        active_people: 40,
        active_by_entity: BTreeMap::new(),
        complete: true,
        subjects,
        counts,
        compared: Some(compared),
        entities: None,
    };
    ledger.write(at, record)
}

fn waive(ledger: &mut Ledger, at: &str, id: &str, until: &str) -> u64 {
    let decision = Decision::Waive(Waive {
        finding: FindingId::new(id),
        rule: "residual.departed".into(),
        store: Place::Shared,
        entity: Some(EntityId::new("own")),
        severity: Severity::High,
        until: until.parse().unwrap(),
    });
    ledger.write(at, Record::Decision { decision, signed: signed("vendor | <b>") })
}

#[test]
fn findings_are_open_waived_or_solved_and_never_two_of_these() {
    let mut ledger = Ledger::new();
    compared(&mut ledger, "2026-03-01T00:00:00Z", 5, 0, &[]);
    let waived = waive(&mut ledger, "2026-03-02T00:00:00Z", "f1", "2026-03-31");
    let stand = |ledger: &Ledger| {
        let found = ledger.report(None).findings.unwrap();
        (found.open, found.waived, found.solved)
    };
    // Until an audit says otherwise the finding is as it was waived.
    assert_eq!(stand(&ledger), (4, 1, 0));
    let second = compared(&mut ledger, "2026-03-20T00:00:00Z", 3, 2, &[("f1", Severity::High)]);
    assert_eq!(stand(&ledger), (2, 1, 2));
    let report = ledger.report(None);
    let found = report.findings.as_ref().unwrap();
    assert_eq!((found.record, found.solved_record), (second, Some(second)));
    assert!(found.ending.is_empty(), "eleven days are left");
    // In Tokyo the 24th has begun: seven days are left.
    ledger.write("2026-03-23T15:00:00Z", Record::Throttled { limit: None, by: "x".into() });
    let report = ledger.report(None);
    let [ending] = report.findings.as_ref().unwrap().ending.as_slice() else { panic!("{report:?}") };
    assert_eq!((ending.decision.record, ending.state), (waived, ExceptionState::InForce));
    for (lang, words) in [
        (Lang::Ja, "検出事項：未対応 2件、許容中 1件（記録番号 4）、解消済み 2件（記録番号 4）。"),
        (Lang::En, "Findings: 2 open, 1 waived (record 4), 2 solved (record 4)."),
    ] {
        let text = markdown(&report, lang);
        assert!(text.contains(words), "{text}");
        assert!(text.contains(r"vendor \| \<b\>"), "{text}");
    }
    // The day after the last one it is open again; a finding that has become graver is, before that.
    ledger.write("2026-03-31T15:00:00Z", Record::Throttled { limit: None, by: "x".into() });
    assert_eq!(stand(&ledger), (3, 0, 2));
    waive(&mut ledger, "2026-04-01T00:00:00Z", "f1", "2026-12-31");
    assert_eq!(stand(&ledger), (2, 1, 2));
    compared(&mut ledger, "2026-04-02T00:00:00Z", 3, 2, &[("f1", Severity::Critical)]);
    assert_eq!(stand(&ledger), (3, 0, 2));
    assert_eq!(ledger.report(None).findings.unwrap().ending[0].state, ExceptionState::Outgrown);
    // What an audit does not see any more is solved by that, and waived no longer.
    compared(&mut ledger, "2026-04-03T00:00:00Z", 2, 3, &[]);
    assert_eq!(stand(&ledger), (2, 0, 3));
}
