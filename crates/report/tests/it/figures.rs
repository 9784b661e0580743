//! Figures and the records that they rest on.

use untether_model::operation::Stage;
use untether_model::run::{Decision, DecisionId, Record};
use untether_model::{EntityId, PlanId, SubjectId};
use untether_report::{Gap, MilestoneState, Remaining, Standing};

use crate::ledger::{Ledger, accounts, at, audit, audit_of, batch, counts, forecast, midway, plan, signed, waive};

#[test]
fn without_an_audit_nothing_is_said_to_be_left_or_gone() {
    let report = Ledger::new().report();
    assert!(report.last_audit.is_none());
    assert!(report.entities.iter().all(|e| e.residual.is_none() && e.subjects.is_none() && e.accounts.is_none()));
    assert_eq!(report.gaps[0], Gap::NoAudit);
    assert!(report.entities.iter().all(|e| e.outlook.standing == Standing::Unknown || e.outlook.standing == Standing::Overdue));
}

#[test]
fn figures_name_the_records_that_they_rest_on() {
    let report = midway().report();
    let own = &report.entities[0];
    let residual = own.residual.as_ref().unwrap();
    assert_eq!((residual.records.found, residual.records.found_record), (3, 2));
    assert_eq!((residual.records.left, residual.records.left_record), (1, 8));
    assert_eq!(residual.credentials.left, 0);
    assert_eq!((report.links[0].found, report.links[0].gone(), report.links[0].left), (2, Some(1), 1));
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
    assert_eq!((report.totals.subjects, report.totals.parked, report.totals.disabled), (3, 1, 2));
}

#[test]
fn figures_are_those_of_the_fold() {
    let ledger = midway();
    let report = ledger.report();
    let subjects = ledger.state.subjects();
    let of = |entity: &str| subjects.values().filter(|s| s.entity.as_str() == entity).count() as u64;
    for entity in &report.entities {
        let counted: u64 = entity.tracks.iter().map(|t| t.subjects).sum();
        assert_eq!(counted, of(entity.id.as_str()), "{}", entity.id);
        for track in &entity.tracks {
            let standing: u64 = track.stages.iter().map(|s| s.subjects).sum();
            assert_eq!(standing + track.finished + track.parked, track.subjects, "everybody stands somewhere, and once");
        }
    }
    assert_eq!(report.batches.iter().map(|b| b.subjects).sum::<u64>(), subjects.len() as u64);
    assert_eq!(report.waves[0].parked, subjects.values().filter(|s| s.parked.is_some()).count() as u64);
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
    let counts = vec![counts("residual.departed", Some("own"), 30)];
    let (executable, complete, active_people, entities) = (false, false, 10, None);
    ledger.write(
        "2026-04-02T00:00:00Z",
        Record::AuditRecorded {
            snapshot,
            findings,
            taken_at,
            as_of,
            executable,
            in_scope,
            active_people,
            active_by_entity: std::collections::BTreeMap::new(),
            complete,
            subjects,
            counts,
            compared: None,
            entities,
        },
    );
    let report = ledger.report();
    assert_eq!(report.last_audit.unwrap().record, 8);
    assert_eq!(report.entities[0].residual.as_ref().unwrap().records.left, 1);
    assert_eq!(report.audits.last().unwrap().judged, as_of, "it is listed, with the day that it judged");
}

#[test]
fn an_incomplete_audit_makes_nothing_look_solved() {
    let mut ledger = midway();
    let cut = vec![counts("coverage.truncated", None, 1), counts("residual.departed", Some("own"), 0)];
    ledger.write("2026-04-02T00:00:00Z", audit("2026-04-02T00:00:00Z", cut.clone()));
    let report = ledger.report();
    assert!(report.gaps.contains(&Gap::IncompleteAudit { record: 9, instead: 8 }), "{:?}", report.gaps);
    assert_eq!(report.last_audit.unwrap().record, 8, "figures are those of the last complete one");
    assert_eq!(report.entities[0].residual.as_ref().unwrap().records.left, 1);
    assert!(!report.audits.last().unwrap().audit.complete);

    let mut ledger = Ledger::new();
    ledger.write(
        "2026-04-01T00:00:00Z",
        audit("2026-04-01T00:00:00Z", vec![counts("coverage.truncated", None, 1), counts("link.proxy", None, 3)]),
    );
    ledger.write("2026-04-02T00:00:00Z", audit("2026-04-02T00:00:00Z", cut));
    let report = ledger.report();
    assert_eq!(report.gaps[0], Gap::NoCompleteAudit { record: 3 });
    assert_eq!((report.links[0].left, report.links[0].gone()), (0, None), "zero in an incomplete audit is not gone");
}

#[test]
fn every_gap_is_named() {
    let mut ledger = midway();
    ledger.write("2026-04-02T00:00:00Z", Record::Repaired { lost_from: 99, by: "hanako".into(), reason: "an old copy".into() });
    let report = ledger.report_at(at("2026-05-01T00:00:00Z"));
    let has = |wanted: fn(&Gap) -> bool| report.gaps.iter().any(wanted);
    assert!(has(|g| matches!(g, Gap::NotCounted { record: 8 })));
    assert!(has(|g| matches!(g, Gap::LostRecords { record: 9, lost_from: 99 })));
    assert!(has(|g| matches!(g, Gap::NoForecast)));
    assert!(has(|g| matches!(g, Gap::Old { days: 29 })));

    let mut ledger = Ledger::new();
    let Record::AuditRecorded { snapshot, findings, taken_at, executable, in_scope, active_people, complete, .. } =
        audit("2026-01-10T00:00:00Z", Vec::new())
    else {
        panic!("an audit")
    };
    ledger.write(
        "2026-01-10T00:00:00Z",
        Record::AuditRecorded {
            snapshot,
            findings,
            taken_at,
            as_of: None,
            executable,
            in_scope,
            active_people,
            active_by_entity: std::collections::BTreeMap::new(),
            complete,
            subjects: vec![("unassigned".into(), "active".into(), 4), ("unassigned".into(), "tool".into(), 2)],
            counts: vec![counts("coverage.skipped", None, 2), counts("correlation.ambiguous", Some("own"), 5)],
            compared: None,
            entities: Some(vec![accounts("own", (9, 9, 9), 9)]),
        },
    );
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[]))));
    let gaps = ledger.report().gaps;
    assert_eq!(
        gaps,
        [
            Gap::RulesSkipped { record: 2, findings: 2 },
            Gap::Undecided { accounts: 5, record: 2 },
            Gap::Unassigned { subjects: 4, record: 2 },
        ]
    );
}

#[test]
fn exceptions_come_by_expiry_and_what_ends_soon_is_marked() {
    let mut ledger = midway();
    ledger.accept("2026-04-02T00:00:00Z", "logs were read", "2026-04-20T00:00:00Z");
    ledger.decide("2026-04-02T00:00:00Z", waive("1", "2026-04-05"), "moved next week");
    ledger.decide("2026-04-02T00:00:00Z", waive("2", "2026-04-01"), "was to be gone");
    let keep = Decision::Track {
        subject: SubjectId::new("s-1"),
        track: untether_model::operation::Track::Keep,
        entity: Some(EntityId::new("own")),
        until: "2027-04-01".parse().unwrap(),
    };
    ledger.decide("2026-04-02T00:00:00Z", keep, "in court");
    let withdrawn = ledger.decide("2026-04-02T00:00:00Z", waive("3", "2026-04-03"), "a mistake");
    ledger.decide("2026-04-02T00:00:00Z", Decision::Withdraw { decision: DecisionId::alone(withdrawn) }, "a mistake");
    let found: Vec<(String, Remaining, Option<u64>)> =
        ledger.report().exceptions.into_iter().map(|e| (e.until.to_string(), e.remaining, e.record)).collect();
    assert_eq!(
        found,
        [
            ("2026-04-01".to_owned(), Remaining::Expired, Some(11)),
            ("2026-04-05".to_owned(), Remaining::Week, Some(10)),
            ("2026-04-20".to_owned(), Remaining::Month, Some(9)),
            ("2027-04-01".to_owned(), Remaining::Long, Some(12)),
        ]
    );
}

#[test]
fn an_exception_ends_by_the_clock_and_not_by_the_last_record() {
    let mut ledger = midway();
    ledger.accept("2026-04-02T00:00:00Z", "logs were read", "2026-04-20T00:00:00Z");
    assert_eq!(ledger.report_at(at("2026-06-01T00:00:00Z")).exceptions[0].remaining, Remaining::Expired);
}

#[test]
fn what_happened_to_a_batch_is_told_with_its_records() {
    let mut ledger = midway();
    ledger.write("2026-04-02T00:00:00Z", Record::Halted { batch: batch("b01"), reason: "too much".into() });
    ledger
        .write("2026-04-03T00:00:00Z", Record::Resumed { batch: Some(batch("b01")), by: "jiro".into(), reason: "fixed".into() });
    let report = ledger.report();
    let told: Vec<u64> = report.batches[0].history.iter().map(|e| e.cite.record).collect();
    assert_eq!(told, [5, 6, 9, 10]);
    assert!(report.batches[0].is_notable() && !report.batches[1].is_notable());
}

#[test]
fn approvals_name_the_person_the_order_and_whether_they_were_taken_back() {
    let mut ledger = midway();
    let approval =
        ledger.write("2026-04-02T00:00:00Z", Record::Approved { signed: signed("hanako", "read it", "2026-05-01T00:00:00Z") });
    ledger.write("2026-04-03T00:00:00Z", Record::Revoked { approval, by: "hanako".into(), reason: "not yet".into() });
    ledger.write("2026-04-03T00:00:00Z", Record::Rehearsed { plan: PlanId::new("0123456789"), refused: 1, operations: 84 });
    let report = ledger.report();
    assert_eq!((report.approvals[0].by.as_str(), report.approvals[0].record), ("hanako", 9));
    assert_eq!(report.approvals[0].revoked.as_ref().unwrap().cite.record, 10);
    assert_eq!((report.rehearsals[0].refused, report.rehearsals[0].cite.record), (1, 11));
}

#[test]
fn accounts_are_all_accounts_and_not_only_those_with_a_finding() {
    let mut ledger = midway();
    let entities = vec![accounts("own", (38, 30, 31), 28), accounts("sub", (25, 25, 25), 25)];
    ledger.write("2026-04-02T00:00:00Z", audit_of("2026-04-02T00:00:00Z", Vec::new(), Some(entities)));
    let report = ledger.report();
    let own = report.entities[0].accounts.unwrap();
    assert_eq!((own.shared.accounts, own.shared.open, own.shared.credentials, own.unmoved, own.record), (38, 30, 31, 28, 9));
    assert_eq!(report.audits.last().unwrap().accounts.unwrap().accounts, 63);
    assert!(report.audits[0].accounts.is_none(), "what was not counted is not none");
}
