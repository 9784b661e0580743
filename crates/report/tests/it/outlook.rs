//! Forecasts: what they rest on, and when there is none.

use untether_model::operation::Stage;
use untether_model::run::{ParkReason, WaveClaim};
use untether_report::{Basis, MeasureKind, MeasureState, Missing, Outlook, Standing};

use crate::ledger::{Ledger, accounts, at, audit, audit_of, batch, begin, claimed, claims, forecast, park, plan, policy};

fn outlook(ledger: &Ledger, now: &str) -> Outlook {
    ledger.report_at(at(now)).entities[0].outlook.clone()
}

/// Ten subjects of the own company in two batches; the first batch was disabled on 1 February.
fn paced() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    ledger.write("2026-01-10T00:00:00Z", audit("2026-01-10T00:00:00Z", Vec::new()));
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 0), ("sub", 0)]))));
    let people = |from: usize| (from..from + 5).map(|n| claimed(&format!("s-{n}"), "own")).collect();
    let claim = |name: &str, canary, subjects| WaveClaim { batch: name.to_owned(), canary, subjects };
    ledger.write("2026-01-12T00:00:00Z", begin(vec![claim("b01", true, people(0)), claim("b02", false, people(5))]));
    ledger.stage("2026-02-01T00:00:00Z", &batch("b01"), Stage::Disable);
    ledger
}

#[test]
fn the_pace_of_the_last_weeks_leads_to_a_day() {
    let outlook = outlook(&paced(), "2026-02-11T00:00:00Z");
    // Five in the ten days since disabling began; five to go, and fourteen days of soak: 11 February + 10 + 14.
    let day = "2026-03-07".parse().unwrap();
    assert!(outlook.basis.contains(&Basis::Pace { disabled: 5, days: 10, left: 5, day }), "{:?}", outlook.basis);
    assert_eq!((outlook.standing, outlook.day, outlook.slack_days), (Standing::OnTime, Some(day), Some(24)));
}

#[test]
fn it_is_late_before_the_deadline_slips() {
    let outlook = outlook(&paced(), "2026-02-28T00:00:00Z");
    // Five in 27 days: the others take another 27, and the soak: 28 February + 27 + 14.
    assert_eq!(outlook.day, Some("2026-04-10".parse().unwrap()));
    assert_eq!((outlook.standing, outlook.slack_days), (Standing::Late, Some(-10)));
}

#[test]
fn without_a_pace_nothing_is_on_time() {
    let outlook = outlook(&paced(), "2026-03-05T00:00:00Z");
    assert!(outlook.missing.contains(&Missing::NoPace { subjects: 5, days: 28 }), "{:?}", outlook.missing);
    assert_eq!(outlook.standing, Standing::Unknown);
}

#[test]
fn whoever_is_parked_or_in_no_plan_makes_it_unknown() {
    let mut ledger = paced();
    ledger.write("2026-02-02T00:00:00Z", park("s-1", ParkReason::Failed));
    let parked = outlook(&ledger, "2026-02-11T00:00:00Z");
    assert_eq!(parked.missing, [Missing::Parked { subjects: 1 }]);
    assert_eq!(parked.standing, Standing::Unknown);
    assert!(parked.day.is_some(), "what is scheduled has a day all the same");

    let mut ledger = Ledger::new();
    ledger.write("2026-01-10T00:00:00Z", audit("2026-01-10T00:00:00Z", Vec::new()));
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 7), ("sub", 0)]))));
    ledger.write("2026-01-12T00:00:00Z", begin(claims()));
    let unplanned = outlook(&ledger, "2026-01-12T00:00:00Z");
    let found = unplanned.missing.iter().find(|m| matches!(m, Missing::Unplanned { subjects: 7, record: 3, .. }));
    assert!(found.is_some(), "{:?}", unplanned.missing);
}

#[test]
fn a_wave_that_has_not_started_ends_when_its_plan_says_at_the_earliest() {
    let mut ledger = Ledger::new();
    ledger.write("2026-01-10T00:00:00Z", audit("2026-01-10T00:00:00Z", Vec::new()));
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 0), ("sub", 0)]))));
    let early = ledger.report_at(at("2026-01-11T00:00:00Z")).entities[1].outlook.clone();
    assert_eq!(early.basis, [Basis::Plan { record: 3, day: "2026-02-01".parse().unwrap() }]);
    assert_eq!((early.standing, early.planned), (Standing::OnTime, 26));
    // It has not begun: what it needs counts from today.
    let later = ledger.report_at(at("2026-09-20T00:00:00Z")).entities[1].outlook.clone();
    assert_eq!(later.day, Some("2026-10-05".parse().unwrap()));
    assert_eq!(later.standing, Standing::Late);
}

#[test]
fn a_measure_is_complete_only_when_a_later_complete_audit_found_none_left() {
    let mut ledger = Ledger::new();
    ledger.policy = Some(policy());
    let there = vec![accounts("own", (2, 2, 2), 0), accounts("sub", (1, 1, 1), 0)];
    ledger.write("2026-01-10T00:00:00Z", audit_of("2026-01-10T00:00:00Z", Vec::new(), Some(there)));
    ledger.write("2026-01-11T00:00:00Z", plan(Some(forecast(&[("own", 0), ("sub", 0)]))));
    ledger.write("2026-01-12T00:00:00Z", begin(claims()));
    let state = |ledger: &Ledger, kind| {
        let measures = ledger.report().measures;
        measures.into_iter().find(|m| m.kind == kind && m.entity.as_ref().is_some_and(|e| e.as_str() == "own")).unwrap()
    };
    let is_complete = |ledger: &Ledger, kind| matches!(state(ledger, kind).state, MeasureState::Complete { .. });

    let disabled = ledger.stage("2026-02-01T00:00:00Z", &batch("b01"), Stage::Disable);
    assert!(!is_complete(&ledger, MeasureKind::Disable), "no audit has looked since");
    assert!(matches!(state(&ledger, MeasureKind::Disable).state, MeasureState::Planned { worked: true, .. }));

    // An audit that still finds one open, then one that could not read everything, then a complete one.
    let open = vec![accounts("own", (2, 1, 2), 0), accounts("sub", (1, 1, 1), 0)];
    ledger.write("2026-02-02T00:00:00Z", audit_of("2026-02-02T00:00:00Z", Vec::new(), Some(open)));
    assert!(!is_complete(&ledger, MeasureKind::Disable));
    assert_eq!(state(&ledger, MeasureKind::Disable).left, Some(1));
    let shut = || Some(vec![accounts("own", (2, 0, 2), 0), accounts("sub", (1, 1, 1), 0)]);
    let cut = vec![crate::ledger::counts("coverage.truncated", None, 1)];
    ledger.write("2026-02-03T00:00:00Z", audit_of("2026-02-03T00:00:00Z", cut, shut()));
    assert!(!is_complete(&ledger, MeasureKind::Disable), "an incomplete audit proves nothing");
    let audit = ledger.write("2026-02-04T00:00:00Z", audit_of("2026-02-04T00:00:00Z", Vec::new(), shut()));
    let on = "2026-02-01".parse().unwrap();
    assert_eq!(state(&ledger, MeasureKind::Disable).state, MeasureState::Complete { on, record: disabled, audit });
    assert!(!is_complete(&ledger, MeasureKind::Remove), "records are still there");
    assert_eq!(ledger.report().entities[0].outlook.standing, Standing::OnTime);
    let later = ledger.report_at(at("2026-03-20T00:00:00Z")).entities[0].outlook.clone();
    assert!(later.missing.contains(&Missing::Stalled { subjects: 2, days: 28 }), "{:?}", later.missing);
    assert_eq!(later.standing, Standing::Unknown, "nobody knows when somebody approves the removal");

    ledger.stage("2026-02-20T00:00:00Z", &batch("b01"), Stage::Remove);
    let gone = Some(vec![accounts("sub", (1, 1, 1), 0)]);
    ledger.write("2026-02-21T00:00:00Z", audit_of("2026-02-21T00:00:00Z", Vec::new(), gone));
    assert!(is_complete(&ledger, MeasureKind::Remove));
    let outlook = ledger.report().entities[0].outlook.clone();
    assert_eq!((outlook.standing, outlook.day, outlook.missing), (Standing::Done, None, Vec::new()));
}

#[test]
fn links_are_cut_when_a_complete_audit_finds_none_any_more() {
    let mut ledger = Ledger::new();
    let links = |n| vec![crate::ledger::counts("link.replication", None, n)];
    ledger.write("2026-01-10T00:00:00Z", audit("2026-01-10T00:00:00Z", links(2)));
    let state = |ledger: &Ledger| {
        let measures = ledger.report().measures;
        measures.into_iter().find(|m| m.kind == MeasureKind::Links && m.entity.is_none()).unwrap()
    };
    assert!(matches!(state(&ledger).state, MeasureState::Planned { deadline: None, forecast: None, .. }));
    let first = ledger.write("2026-02-10T00:00:00Z", audit("2026-02-10T00:00:00Z", links(0)));
    let last = ledger.write("2026-03-10T00:00:00Z", audit("2026-03-10T00:00:00Z", links(0)));
    let on = "2026-02-10".parse().unwrap();
    assert_eq!(state(&ledger).state, MeasureState::Complete { on, record: first, audit: last });
    assert_eq!((state(&ledger).subjects, state(&ledger).done), (2, 2));
}
