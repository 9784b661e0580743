//! Findings are open, waived or solved, and exceptions end.

use untether_model::EntityId;
use untether_model::FindingId;
use untether_model::digest::Digest;
use untether_model::finding::{Place, Severity};
use untether_model::run::{Compared, Decision, ExceptionState, Record, SolvedCounts, Waive};
use untether_report::{Lang, Remaining, html, markdown, tables};

use crate::ledger::{Ledger, at, audit, counts};

/// An audit that compares itself with those before it.
fn compared(ledger: &mut Ledger, when: &str, found: u64, gone: u64, waived: &[(&str, Severity)]) -> u64 {
    let mut record = audit(when, vec![counts("residual.departed", Some("own"), found)]);
    let Record::AuditRecorded { compared, .. } = &mut record else { panic!("an audit") };
    let solved = SolvedCounts {
        rule: "residual.departed".into(),
        entity: Some(EntityId::new("own")),
        store: "shared".into(),
        findings: gone,
    };
    let waived = waived.iter().map(|(id, severity)| (FindingId::new(*id), *severity)).collect();
    *compared = Some(Compared { register: Digest::of(b"register"), solved: vec![solved], waived });
    ledger.write(when, record)
}

fn waive(ledger: &mut Ledger, when: &str, id: &str, until: &str) -> u64 {
    let decision = Decision::Waive(Waive {
        finding: FindingId::new(id),
        rule: "residual.departed".into(),
        store: Place::Shared,
        entity: Some(EntityId::new("own")),
        severity: Severity::High,
        until: until.parse().unwrap(),
    });
    ledger.decide(when, decision, "vendor | <b>")
}

#[test]
fn findings_are_open_waived_or_solved_and_never_two_of_these() {
    let mut ledger = Ledger::new();
    compared(&mut ledger, "2026-03-01T00:00:00Z", 5, 0, &[]);
    let waived = waive(&mut ledger, "2026-03-02T00:00:00Z", "f1", "2026-03-31");
    let stand = |ledger: &Ledger| {
        let found = ledger.report().findings.unwrap();
        (found.open, found.waived, found.solved)
    };
    // Until an audit says otherwise the finding is as it was waived.
    assert_eq!(stand(&ledger), (4, 1, 0));
    let second = compared(&mut ledger, "2026-03-20T00:00:00Z", 3, 2, &[("f1", Severity::High)]);
    assert_eq!(stand(&ledger), (2, 1, 2));
    let report = ledger.report();
    let found = report.findings.as_ref().unwrap();
    assert_eq!((found.record, found.solved_record), (second, Some(second)));
    assert!(found.ending.is_empty(), "eleven days are left");
    // In Tokyo the 24th has begun: seven days are left.
    let report = ledger.report_at(at("2026-03-23T15:00:00Z"));
    let [ending] = report.findings.as_ref().unwrap().ending.as_slice() else { panic!("{report:?}") };
    assert_eq!((ending.decision.record, ending.state), (waived, ExceptionState::InForce));
    for (lang, words) in [
        (Lang::Ja, "検出事項：未対応 2件、許容中 1件（記録番号 4）、解消済み 2件（記録番号 4）。"),
        (Lang::En, "Findings: 2 open, 1 waived (record 4), 2 solved (record 4)."),
    ] {
        let text = markdown(&report, lang);
        assert!(text.contains(words), "{text}");
        assert!(text.contains(r"vendor \| \<b\>"), "{text}");
        assert!(html(&report, lang).contains(words), "the page says the same");
    }
    let by_rule = tables(&report, Lang::En).into_iter().find(|t| t.name == "rules").unwrap();
    assert_eq!(by_rule.rows.len(), 1);
    // The day after the last one it is open again; a finding that has become graver is, before that.
    let found = ledger.report_at(at("2026-03-31T15:00:00Z")).findings.unwrap();
    assert_eq!((found.open, found.waived, found.solved), (3, 0, 2));
    waive(&mut ledger, "2026-04-01T00:00:00Z", "f1", "2026-12-31");
    assert_eq!(stand(&ledger), (2, 1, 2));
    compared(&mut ledger, "2026-04-02T00:00:00Z", 3, 2, &[("f1", Severity::Critical)]);
    assert_eq!(stand(&ledger), (3, 0, 2));
    let report = ledger.report();
    assert_eq!(report.findings.unwrap().ending[0].state, ExceptionState::Outgrown);
    assert_eq!(report.exceptions.iter().map(|e| e.remaining).collect::<Vec<_>>(), [Remaining::Outgrown]);
    // What an audit does not see any more is solved by that, waived no longer, and no exception.
    compared(&mut ledger, "2026-04-03T00:00:00Z", 2, 3, &[]);
    assert_eq!(stand(&ledger), (2, 0, 3));
    assert!(ledger.report().exceptions.is_empty());
}
