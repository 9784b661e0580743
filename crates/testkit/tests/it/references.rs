//! References whose two ends are in different batches, which work at the same time.

use std::sync::atomic::{AtomicU32, Ordering};

use untether_directory::Failure;
use untether_directory::twin::{Fault, WriteAttempt};
use untether_model::change::Change;
use untether_model::operation::{Action, Operation, Stage};
use untether_model::plan::Wave;
use untether_model::run::{OutcomeKind, Record};
use untether_model::{BatchId, Dn, Entry, Round, Side, SubjectId, WaveId};
use untether_testkit::twins::{Driven, Estate, Session, Shape, World};

use crate::twins::block_on;

/// A reference between two batches: the operation that carries it over, and the one of the other batch that creates its other end.
struct Across {
    reference: Operation,
    maker: Operation,
}

impl Across {
    fn find(wave: &Wave) -> Vec<Self> {
        let references = wave.operations().iter().filter(|op| op.is_reference());
        references
            .flat_map(|op| {
                let Action::Ensure { values, .. } = &op.action else { panic!("{op:?}") };
                let named = values.iter().map(|value| Dn::parse(value.as_str().unwrap()).unwrap());
                let ends: Vec<Dn> = named.chain([op.target.dn().clone()]).collect();
                let makers = ends.into_iter().filter_map(|dn| wave.maker_of(op.store, &dn).cloned());
                makers.map(|maker| Self { reference: op.clone(), maker }).collect::<Vec<_>>()
            })
            .filter(|across| across.reference.batch != across.maker.batch)
            .collect()
    }

    fn served(&self) -> SubjectId {
        self.reference.subjects[0].clone()
    }

    fn other(&self) -> SubjectId {
        self.maker.subjects[0].clone()
    }

    /// Whether it is in the directory.
    fn is_in_place(&self, world: &World) -> bool {
        let Action::Ensure { attr, values, .. } = &self.reference.action else { return false };
        let holder = self.reference.target.dn();
        world.entry(Side::Independent, holder).is_some_and(|e: Entry| e.values(attr.as_str()).contains(&values[0]))
    }
}

/// A world with a wave that moves people in batches of two, one of whom serves a reference to somebody of an earlier batch.
fn moving() -> (Session, WaveId, Wave, Vec<Across>) {
    let shape = Shape { people: 60, groups: 1, canary: 1, batch: 2, manage: true };
    let world = World::new(Estate::random(shape, 3).unwrap()).unwrap();
    let mut session = Session::open(&world).unwrap();
    let plan = session.plan().unwrap();
    let id = WaveId::new(plan, "move");
    session.approve(&id, (Round::FIRST, Stage::Switch), 1).unwrap();
    let (_, wave) = world.wave(&id).unwrap();
    let across = Across::find(&wave);
    assert!(across.len() > 3, "the seed gives references between batches");
    (session, id, wave, across)
}

async fn provision(session: &mut Session, wave: &WaveId) -> untether_cutover::Ended {
    match session.drive(wave, Some(Stage::Provision)).await.unwrap() {
        Driven::Ended(ends) => ends.ended,
        Driven::Killed => panic!("nothing was armed"),
    }
}

/// Adds of this entry end so, as often as this.
fn fail_adds(world: &World, dn: &Dn, failure: Failure, times: u32) {
    let (dn, left) = (dn.clone(), AtomicU32::new(times));
    world.independent.set_faults(move |attempt: &WriteAttempt<'_>| {
        let adds = matches!(attempt.changes, [Change::Add { dn: added, .. }] if *added == dn);
        let fails = adds && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        if fails { Fault::Fail(failure) } else { Fault::Proceed }
    });
}

fn outcome(session: &Session, wave: &WaveId, across: &Across) -> Option<OutcomeKind> {
    let id = untether_model::OpId::new(BatchId::new(wave.clone(), across.reference.batch.as_str()), across.reference.n);
    let cell = session.state.cell(&id, Some(&across.served()))?;
    match cell.status {
        untether_model::run::CellStatus::Ended(kind) => Some(kind),
        untether_model::run::CellStatus::Open => None,
    }
}

#[test]
fn a_reference_waits_until_the_other_batch_has_created_its_end() {
    block_on(async {
        for which in 0..4 {
            let (mut session, id, _, across) = moving();
            // The server is busy for a while with just that one.
            fail_adds(session.world(), across[which].maker.target.dn(), Failure::Busy, 5);
            let ended = provision(&mut session, &id).await;
            assert!(ended.parked.is_empty() && ended.conflicts == 0, "{which}: {ended:?}");
            for across in &across {
                assert_eq!(outcome(&session, &id, across), Some(OutcomeKind::Succeeded));
                assert!(across.is_in_place(session.world()));
            }
        }
    });
}

#[test]
fn whoever_a_failed_entry_is_referred_to_by_goes_on_and_the_reference_follows_later() {
    block_on(async {
        let (mut session, id, _, across) = moving();
        let across = &across[0];
        fail_adds(session.world(), across.maker.target.dn(), Failure::Refused, 1);
        let ended = provision(&mut session, &id).await;
        assert_eq!(ended.parked.values().sum::<u64>(), 1, "only the one whose entry was refused: {ended:?}");
        let other = session.state.subjects().get(&across.other()).unwrap().clone();
        assert!(other.parked.is_some() && session.state.subjects().get(&across.served()).unwrap().parked.is_none());
        assert_eq!(outcome(&session, &id, across), Some(OutcomeKind::Deferred));
        assert!(!across.is_in_place(session.world()));

        // The others go on, and looking again changes nothing and records nothing about it.
        let Driven::Ended(_) = session.drive(&id, Some(Stage::Switch)).await.unwrap() else { panic!("nothing was armed") };
        assert_eq!(outcome(&session, &id, across), Some(OutcomeKind::Deferred));

        let (subject, batch) = (across.other(), other.batch);
        session.record(&Record::Unparked { subject, batch, by: "op".into(), reason: "the cause is gone".into() }).unwrap();
        let Driven::Ended(ends) = session.drive(&id, Some(Stage::Switch)).await.unwrap() else { panic!("nothing was armed") };
        assert!(ends.ended.parked.is_empty(), "{:?}", ends.ended);
        assert_eq!(outcome(&session, &id, across), Some(OutcomeKind::Succeeded));
        assert!(across.is_in_place(session.world()));
        assert_eq!(session.folded().unwrap(), session.state);
    });
}
