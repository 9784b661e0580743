//! Orders about one-time credentials.

use std::collections::BTreeMap;

use untether_model::operation::{Action, Desired, Expects, Stage, UndoClass};
use untether_model::plan::{HandoverScope, OrderKind, WaveLine};
use untether_model::policy::CredentialPolicy;
use untether_model::run::Record;
use untether_model::{BatchId, StableId, Value};
use untether_planner::{HandoverInputs, HandoverOrder, Holder, Level, PlanError, handover};

use crate::plan::record;
use crate::rollback::{Run, done, movers};
use crate::world::*;

fn enrolled() -> Run {
    let mut world = movers();
    world.person("g", Some(untether_model::roster::Presence::Active));
    Run::through(world, "move", Stage::Enroll, done)
}

fn holder(run: &Run, uid: &str, used: bool) -> Holder {
    Holder {
        subject: id(uid),
        batch: BatchId::new(run.wave.clone(), "b01"),
        dn: own(uid),
        stable_id: StableId::new(format!("made-{uid}")),
        password: vec![format!("mark-{uid}")],
        lock: used.then(|| Value::from("20261101000000Z")),
        end: None,
        used,
        credential: CredentialPolicy::default(),
    }
}

fn reissue() -> OrderKind {
    OrderKind::Reissue { scope: HandoverScope::default(), reset: false }
}

fn expire() -> OrderKind {
    OrderKind::Expire { scope: HandoverScope::default(), older_than: None }
}

fn order(run: &Run, kind: &OrderKind, holders: &[Holder]) -> Result<HandoverOrder, PlanError> {
    handover(&HandoverInputs {
        kind,
        holders,
        operations: &run.ledger,
        progress: &run.world.progress,
        stores: &run.stores,
        now: NOW.parse().unwrap(),
    })
}

#[test]
fn another_credential_takes_the_place_of_the_one_that_was_looked_at() {
    let run = enrolled();
    let order = order(&run, &reissue(), &[holder(&run, "h", true), holder(&run, "g", false)]).unwrap();
    assert!(order.lint.iter().all(|n| n.level < Level::Error), "{:?}", order.lint);
    let listed: Vec<_> = order.operations.iter().map(|o| (o.n, o.target.dn().clone(), o.stage)).collect();
    assert_eq!(listed, [(1, own("g"), Stage::Enroll), (2, own("h"), Stage::Enroll)]);
    let Action::Set { touches } = &order.operations[1].action else { panic!("a set") };
    let seen = touches.iter().map(|t| (t.attr.as_str(), t.expects.clone(), t.desired.clone())).collect::<Vec<_>>();
    let inline = |text: &str| vec![untether_model::operation::PlannedValue::Inline(Value::from(text))];
    assert_eq!(
        seen,
        [
            ("pwdAccountLockedTime", Expects::Values(inline("20261101000000Z")), Desired::Absent),
            ("pwdEndTime", Expects::Absent, Desired::Absent),
            ("pwdReset", Expects::Any, Desired::Values(inline("TRUE"))),
            ("userPassword", Expects::Marks(vec!["mark-h".into()]), Desired::OneTimeSecret),
        ]
    );
    assert_eq!(order.operations[0].secret, Some(CredentialPolicy::default().shape()));
    assert_eq!(order.concerns, [(BatchId::new(run.wave.clone(), "b01"), vec![id("g"), id("h")])]);
    let lines: Vec<WaveLine> =
        order.lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    let WaveLine::Batch(batch) = &lines[1] else { panic!("{:?}", lines[1]) };
    let stages: BTreeMap<_, _> = batch.subjects.iter().map(|s| (s.id.clone(), s.stages.clone())).collect();
    assert_eq!(stages, BTreeMap::from([(id("g"), vec![Stage::Enroll]), (id("h"), vec![Stage::Enroll])]), "it has one stage");
}

#[test]
fn two_people_approve_where_a_password_of_somebodys_own_is_overwritten() {
    let run = enrolled();
    for (kind, used, needed) in [(reissue(), true, 2), (reissue(), false, 1), (expire(), true, 1), (expire(), false, 1)] {
        let order = order(&run, &kind, &[holder(&run, "h", used)]).unwrap();
        assert_eq!(order.approvals_needed, needed, "{kind:?} {used}");
        let closes = matches!(kind, OrderKind::Expire { .. });
        assert_eq!(order.operations[0].secret.is_none(), closes);
        assert_eq!(order.operations[0].undo == UndoClass::Full, closes, "the store's rights were not recorded");
    }
    assert!(matches!(order(&run, &reissue(), &[]), Err(PlanError::Request(_))));
    assert!(matches!(order(&run, &OrderKind::Plan, &[holder(&run, "h", false)]), Err(PlanError::Request(_))));
}

#[test]
fn what_is_wanted_again_after_it_was_carried_out_is_another_order() {
    let mut run = enrolled();
    let holders = [holder(&run, "h", false)];
    let first = order(&run, &reissue(), &holders).unwrap();
    let again = |run: &Run, kind: &OrderKind| order(run, kind, &holders).unwrap().id;
    let closing = again(&run, &expire());
    let recorded = Record::OrderRecorded {
        order: first.id.clone(),
        digest: first.digest,
        order_kind: reissue(),
        wave: first.wave.clone(),
        approvals_needed: 1,
        concerns: first.concerns.clone(),
    };
    record(&mut run.world, 800, &recorded);
    assert_eq!(again(&run, &reissue()), first.id, "it waits to be carried out");
    record(&mut run.world, 801, &Record::OrderEnded { order: first.id.clone(), left_out: vec![] });
    assert_ne!(again(&run, &reissue()), first.id);
    assert_eq!(again(&run, &expire()), closing, "one of another kind is as it was");
}
