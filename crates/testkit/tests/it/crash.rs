//! Every boundary of the operation protocol, in every stage, for every kind of operation: killed there, resumed, killed again while
//! resuming, and compared with the run that nobody interrupted. The same for rollbacks.

#![expect(clippy::print_stdout, reason = "the figures of the matrix, with --nocapture")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use untether_cutover::{Carried, Rollback};
use untether_directory::Failure;
use untether_directory::dump::{Difference, Ignored, compare};
use untether_directory::twin::{Fault, Identity, WriteAttempt};
use untether_ledger::storage::{Crash, Fault as DiskFault};
use untether_model::operation::Stage;
use untether_model::plan::{HandoverScope, OrderKind, RollbackScope};
use untether_model::run::{CellKey, CellStatus, RunState};
use untether_model::schema::Schema;
use untether_model::{BatchId, Entry, OpId, PlanId, Round, Side, WaveId};
use untether_planner::RollbackRequest;
use untether_testkit::twins::expect::{NOT_FORETOLD, foretellable};
use untether_testkit::twins::{Boundary, Driven, Point, Session, Trouble, World};

use crate::twins::{approved, block_on, lines};

/// What is run, killed and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A wave, from nothing through its last stage.
    Forward(&'static str),
    /// The rollback of a finished wave to before its first stage, entries of ours deleted.
    Back(&'static str),
    /// One-time credentials issued again after enrolment, handed over in a file or by a hook.
    Issue {
        /// By a hook that may be given the same credential twice.
        hook: bool,
    },
    /// Unused ones made unusable.
    Expire,
}

impl Act {
    /// It is about one-time credentials alone.
    fn is_handover(self) -> bool {
        matches!(self, Self::Issue { .. } | Self::Expire)
    }

    /// Writes that it has at least.
    fn least_writes(self) -> u64 {
        if self.is_handover() { 3 } else { 11 }
    }
}

/// How a world stands in the end, without what nobody can foretell.
#[derive(PartialEq)]
struct Settled {
    dumps: [Vec<Entry>; 2],
    /// Each cell: done or not, ours or not, undone or not, has made its entry or not: what a rollback goes by.
    cells: BTreeMap<CellKey, [bool; 4]>,
    /// Each subject: last stage, parked, round.
    subjects: BTreeMap<String, (Option<Stage>, bool, Round)>,
    secrets: BTreeSet<String>,
}

fn settled(session: &Session) -> Settled {
    let world = session.world();
    let dumps = world.dumps();
    let state: &RunState = &session.state;
    let done = |status: CellStatus| matches!(status, CellStatus::Ended(kind) if kind.is_done());
    let people = world.estate.people.iter();
    let has_secret = |uid: &str, subject| {
        let dn = world.estate.own.child("ou", "people").child("uid", uid);
        let entry = world.independent.dump().into_iter().find(|e| e.dn == dn);
        // What people were handed opens what is stored.
        world.handed.secrets(&subject).iter().any(|secret| entry.as_ref().is_none_or(|e| opens(e, secret)))
    };
    Settled {
        dumps: [foretellable(&world.estate, &dumps[0], Side::Shared), foretellable(&world.estate, &dumps[1], Side::Independent)],
        cells: state
            .cells()
            .iter()
            .map(|(k, c)| (comparable(state, &k), [done(c.status), c.applied, c.undone, c.created.is_some()]))
            .collect(),
        subjects: state.subjects().iter().map(|(k, s)| (k.to_string(), (s.ended, s.parked.is_some(), s.round))).collect(),
        secrets: people.filter(|p| has_secret(&p.uid, p.subject())).map(|p| p.uid.clone()).collect(),
    }
}

/// The same in every run: an order about one-time credentials is named by what salts went into it.
fn comparable(state: &RunState, key: &CellKey) -> CellKey {
    let kind = state.orders().get(&key.op.batch.wave.plan).map(|order| &order.kind);
    if !matches!(kind, Some(OrderKind::Reissue { .. } | OrderKind::Expire { .. })) {
        return key.clone();
    }
    let wave = WaveId::new(PlanId::new("order"), key.op.batch.wave.wave.as_str());
    CellKey { subject: key.subject.clone(), op: OpId::new(BatchId::new(wave, key.op.batch.batch.as_str()), key.op.n) }
}

/// Whether a secret opens an entry's `{SSHA}` password.
fn opens(entry: &Entry, secret: &str) -> bool {
    use sha1::Digest as _;
    entry.texts("userPassword").any(|text| {
        let Some(bytes) = text.strip_prefix("{SSHA}").and_then(|t| data_encoding::BASE64.decode(t.as_bytes()).ok()) else {
            return false;
        };
        let (digest, salt) = bytes.split_at(20);
        sha1::Sha1::new().chain_update(secret).chain_update(salt).finalize().as_slice() == digest
    })
}

/// What an interrupted run left otherwise than the uninterrupted one.
fn unlike(found: &Settled, wanted: &Settled) -> String {
    let mut words = String::new();
    let ignored = Ignored::nothing().everywhere(NOT_FORETOLD);
    for (found, wanted) in found.dumps.iter().zip(&wanted.dumps) {
        words += &lines(&compare(wanted, found, &Schema::standard(), &ignored));
    }
    let ids: Vec<Difference> = compare(
        &wanted.dumps[0],
        &found.dumps[0],
        &Schema::standard(),
        &Ignored::nothing().everywhere(NOT_FORETOLD.into_iter().filter(|a| !["entryUUID", "pwdEndTime"].contains(a))),
    );
    words += &lines(&ids);
    let keys: BTreeSet<&CellKey> = found.cells.keys().chain(wanted.cells.keys()).collect();
    for key in keys {
        if found.cells.get(key) != wanted.cells.get(key) {
            words += &format!("  cell {key:?}: {:?}, not {:?}\n", found.cells.get(key), wanted.cells.get(key));
        }
    }
    if found.subjects != wanted.subjects {
        words += &format!("  subjects {:?}, not {:?}\n", found.subjects, wanted.subjects);
    }
    if found.secrets != wanted.secrets {
        words += &format!("  secrets that open: {:?}, not {:?}\n", found.secrets, wanted.secrets);
    }
    words
}

/// What can be made again from nothing: the session before the act, and what the act is about.
struct Stand {
    session: Session,
    act: Act,
    wave: WaveId,
}

impl Stand {
    async fn new(act: Act) -> Self {
        let (mut session, waves) = approved();
        let wave = match act {
            Act::Forward(name) => waves[name].clone(),
            Act::Back(name) => {
                let Driven::Ended(_) = session.drive(&waves[name], None).await.unwrap() else { panic!("nothing was armed") };
                let order = session.rollback(&RollbackRequest {
                    scope: RollbackScope::Wave(waves[name].clone()),
                    to: Stage::Provision,
                    delete_provisioned: true,
                    enable_inactive: true,
                });
                session.order(&order.unwrap()).unwrap()
            }
            Act::Issue { .. } | Act::Expire => {
                let enrolled = session.drive(&waves["move"], Some(Stage::Enroll)).await.unwrap();
                assert!(matches!(enrolled, Driven::Ended(ends) if ends.ended.complete), "nobody is enrolled");
                if act == (Act::Issue { hook: true }) {
                    session.world().handed.use_hook(true);
                }
                let scope = HandoverScope { wave: Some(waves["move"].clone()), ..HandoverScope::default() };
                let kind = match act {
                    Act::Expire => OrderKind::Expire { scope, older_than: None },
                    _ => OrderKind::Reissue { scope, reset: false },
                };
                let order = session.handover(&kind).unwrap();
                session.order_handover(&order).unwrap()
            }
        };
        Self { session, act, wave }
    }

    fn world(&self) -> World {
        self.session.world().clone()
    }

    /// Goes on until it ends or is killed.
    async fn go(&mut self) -> Result<Driven<()>, Trouble> {
        match self.act {
            Act::Forward(_) => match self.session.drive(&self.wave, None).await? {
                Driven::Killed => Ok(Driven::Killed),
                Driven::Ended(ends) if ends.ended.complete && ends.ended.parked.is_empty() => Ok(Driven::Ended(())),
                Driven::Ended(ends) => Err(Trouble::new(format!("it did not come to its end: {:?}", ends.ended))),
            },
            Act::Back(_) => match self.session.roll_back(&self.wave).await? {
                Driven::Killed => Ok(Driven::Killed),
                Driven::Ended(Rollback::Done { conflicts, .. }) if conflicts.is_empty() => Ok(Driven::Ended(())),
                // Killed between its last record and its answer.
                Driven::Ended(Rollback::Refused(why)) if why.contains("done") => Ok(Driven::Ended(())),
                Driven::Ended(other) => Err(Trouble::new(format!("it did not come to its end: {other:?}"))),
            },
            Act::Issue { .. } | Act::Expire => match self.session.carry_out(&self.wave).await? {
                Driven::Killed => Ok(Driven::Killed),
                Driven::Ended(Carried::Done { left_out, undelivered, .. }) if left_out.is_empty() && undelivered.is_empty() => {
                    Ok(Driven::Ended(()))
                }
                Driven::Ended(Carried::Refused(why)) if why.contains("carried out already") => Ok(Driven::Ended(())),
                Driven::Ended(other) => Err(Trouble::new(format!("it did not come to its end: {other:?}"))),
            },
        }
    }

    /// Another process takes over.
    fn reopen(&mut self, world: &World) -> Result<(), Trouble> {
        self.session = Session::open(world)?;
        Ok(())
    }
}

/// The uninterrupted act, and the boundaries that it passes.
async fn uninterrupted(act: Act) -> (Settled, Vec<Point>) {
    let mut stand = Stand::new(act).await;
    stand.world().breaker.arm(None);
    assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())), "{act:?}");
    (settled(&stand.session), stand.world().breaker.seen())
}

/// Kills at each of these boundaries after each other, then lets it come to its end. Tells where it was killed.
async fn killed(act: Act, kills: &[u64], database: usize) -> Result<(Vec<Point>, Settled), String> {
    let mut stand = Stand::new(act).await;
    let mut world = stand.world();
    let early = world.database.snapshot();
    let mut fired = Vec::new();
    for kill in kills {
        world.breaker.arm(Some(*kill));
        match stand.go().await.map_err(|e| format!("before the kill: {e}"))? {
            Driven::Killed => {}
            // A resume may have fewer boundaries than are asked for.
            Driven::Ended(()) => {
                world.breaker.arm(None);
                break;
            }
        }
        fired.extend(world.breaker.fired());
        // What the database lost is made again from the ledger.
        match database % 3 {
            0 => {}
            1 => world.database.clear(),
            _ => world.database = early.snapshot(),
        }
        stand.reopen(&world).map_err(|e| format!("reopening: {e}"))?;
    }
    match stand.go().await.map_err(|e| format!("after the kill: {e}"))? {
        Driven::Ended(()) => {}
        Driven::Killed => return Err("it was killed although nothing was armed".to_owned()),
    }
    if stand.session.folded().map_err(|e| e.to_string())? != stand.session.state {
        return Err("the state is not the fold of the ledger".to_owned());
    }
    if let Some(key) = world.handed.given().into_iter().find(|(_, given)| given.secrets.len() != 1).map(|(key, _)| key) {
        return Err(format!("the hook got several secrets under the key {key}"));
    }
    Ok((fired, settled(&stand.session)))
}

/// The boundaries of an act, by class.
fn classes(points: &[Point]) -> BTreeMap<Point, Vec<u64>> {
    let mut out: BTreeMap<Point, Vec<u64>> = BTreeMap::new();
    for (at, point) in points.iter().enumerate() {
        out.entry(point.clone()).or_default().push(at as u64);
    }
    out
}

/// Kills at every boundary of the act (at reads: at the first and the last of a class), then twice for each class.
fn matrix(act: Act) {
    block_on(async {
        let (wanted, points) = uninterrupted(act).await;
        let classes = classes(&points);
        let mut once: Vec<u64> = Vec::new();
        for (point, at) in &classes {
            match point.boundary {
                Boundary::BeforeRead => once.extend(at.first().into_iter().chain(at.last())),
                _ => once.extend(at),
            }
        }
        once.sort_unstable();
        once.dedup();
        let mut bad = Vec::new();
        let mut hit: BTreeSet<Point> = BTreeSet::new();
        let mut runs = 0;
        for at in &once {
            runs += 1;
            match killed(act, &[*at], *at as usize).await {
                Err(why) => bad.push(format!("{}: {why}\n", points[*at as usize])),
                Ok((fired, found)) => {
                    assert_eq!(fired, [points[*at as usize].clone()], "boundary {at} did not fire");
                    hit.extend(fired);
                    let words = unlike(&found, &wanted);
                    if !words.is_empty() {
                        bad.push(format!("{}:\n{words}", points[*at as usize]));
                    }
                }
            }
        }
        let mut twice = 0;
        for (number, (point, at)) in classes.iter().enumerate() {
            for second in [0, 1, 2, 4, 7, 12] {
                runs += 1;
                let first = at[number % at.len()];
                match killed(act, &[first, second], number).await {
                    Err(why) => bad.push(format!("{point}, then boundary {second} of the resume: {why}\n")),
                    Ok((fired, found)) => {
                        twice += usize::from(fired.len() == 2);
                        let words = unlike(&found, &wanted);
                        if !words.is_empty() {
                            bad.push(format!("{point}, then {:?}:\n{words}", fired.get(1)));
                        }
                    }
                }
            }
        }
        println!("{act:?}: {} boundaries of {} classes, {runs} runs, {twice} killed twice", points.len(), classes.len());
        assert!(bad.is_empty(), "{} of {runs}:\n{}", bad.len(), bad.iter().take(12).map(String::as_str).collect::<String>());
        assert_eq!(hit.len(), classes.len(), "a class of boundaries never fired");
        assert!(twice > classes.len() * 3, "hardly any resume was killed: {twice}");
        assert_complete(act, &hit);
    });
}

/// Every stage and kind of operation that the act has must have been killed at every boundary of its protocol.
fn assert_complete(act: Act, hit: &BTreeSet<Point>) {
    use Stage::{Attest, Disable, Enroll, Provision, Remove, Scrub, Switch};
    let ends: &[(Stage, &str)] = &[(Disable, "set"), (Scrub, "set"), (Remove, "ensure"), (Remove, "delete")];
    let begins: &[(Stage, &str)] = &[(Provision, "create"), (Provision, "ensure"), (Enroll, "set"), (Switch, "ensure")];
    let back: &[(Stage, &str)] = &[(Provision, "recreate"), (Provision, "ensure")];
    let wanted: Vec<(Stage, &str)> = match act {
        Act::Forward("leave") => ends.to_vec(),
        Act::Forward(_) => [begins, ends].concat(),
        Act::Issue { .. } | Act::Expire => vec![(Enroll, "set")],
        Act::Back("leave") => [back, &[(Provision, "set")]].concat(),
        Act::Back(_) => [back, &[(Provision, "delete")]].concat(),
    };
    let undoing = matches!(act, Act::Back(_));
    let has = |boundary, stage, what: &str| {
        let point = Point { boundary, undoing, stage: Some(stage), what: what.to_owned() };
        assert!(hit.contains(&point), "{act:?}: never killed at {point}");
    };
    for (stage, kind) in wanted {
        for boundary in [Boundary::BeforeRecord, Boundary::AfterRecord] {
            has(boundary, stage, &format!("started {kind}"));
            has(boundary, stage, &format!("outcome {kind}"));
        }
        has(Boundary::BeforeWrite, stage, &format!("effect {kind}"));
        has(Boundary::AfterWrite, stage, &format!("effect {kind}"));
    }
    if act.is_handover() {
        let plain = |boundary, what: &str| {
            let point = Point { boundary, undoing: false, stage: None, what: what.to_owned() };
            assert!(hit.contains(&point), "{act:?}: never killed at {point}");
        };
        let ways: &[&str] = match act {
            Act::Issue { hook: true } => &["handover-started", "handover-ended", "order-ended"],
            Act::Issue { hook: false } => &["handover-written", "order-ended"],
            _ => &["order-ended"],
        };
        for way in ways {
            plain(Boundary::BeforeRecord, way);
            plain(Boundary::AfterRecord, way);
        }
        if act != Act::Expire {
            plain(Boundary::BeforeHandover, "hand-over");
            plain(Boundary::AfterHandover, "hand-over");
        }
    } else if !undoing {
        has(Boundary::BeforeRecord, Attest, "outcome attest");
        has(Boundary::AfterRecord, Attest, "outcome attest");
    }
}

#[test]
fn a_leaving_wave_survives_a_kill_at_every_boundary() {
    matrix(Act::Forward("leave"));
}

#[test]
fn a_moving_wave_survives_a_kill_at_every_boundary() {
    matrix(Act::Forward("move"));
}

#[test]
fn the_rollback_of_a_leaving_wave_survives_a_kill_at_every_boundary() {
    matrix(Act::Back("leave"));
}

#[test]
fn the_rollback_of_a_moving_wave_survives_a_kill_at_every_boundary() {
    matrix(Act::Back("move"));
}

#[test]
fn credentials_that_are_issued_again_survive_a_kill_at_every_boundary() {
    matrix(Act::Issue { hook: false });
    matrix(Act::Issue { hook: true });
}

#[test]
fn credentials_that_expire_survive_a_kill_at_every_boundary() {
    matrix(Act::Expire);
}

/// What strikes the ledger's disk at one of its operations, and what is left of what was not synced where the process dies of it.
type Strike = (DiskFault, Option<Crash>);

/// Strikes at each operation of the disk while the act is under way; then another process goes on, and the end is compared. Tells how
/// often it struck.
fn struck_disk(act: Act, stride: usize, strikes: impl Fn(usize) -> Vec<Strike>) -> usize {
    block_on(async {
        let mut stand = Stand::new(act).await;
        let begin = stand.world().storage.operations();
        assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())));
        let end = stand.world().storage.operations();
        let wanted = settled(&stand.session);
        let mut bad = Vec::new();
        let mut struck = 0;
        for (number, operation) in (begin..end).enumerate().step_by(stride) {
            for (fault, left) in strikes(number) {
                let mut stand = Stand::new(act).await;
                let world = stand.world();
                world.storage.fault_at(operation, fault);
                let stopped = stand.go().await;
                let what = format!("operation {operation}, {fault:?}, {left:?}");
                assert!(world.storage.fault_fired(), "{what}: not reached");
                let Err(trouble) = stopped else { panic!("{what}: not noticed") };
                assert!(matches!(trouble, Trouble::Cutover(_) | Trouble::Other(_) | Trouble::Journal(_)), "{what}: {trouble:?}");
                let said = format!("{trouble:?} {trouble}");
                assert!(left.is_some() || said.contains("cannot ") && said.contains("/state/"), "{what}: {said}");
                struck += 1;
                if let Some(left) = left {
                    world.storage.crash(left);
                }
                let ended = match stand.reopen(&world) {
                    Ok(()) => stand.go().await,
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(Driven::Ended(())) => {
                        let words = unlike(&settled(&stand.session), &wanted);
                        if !words.is_empty() {
                            bad.push(format!("{what}:\n{words}"));
                        }
                    }
                    other => bad.push(format!("{what}: {other:?}\n")),
                }
            }
        }
        assert!(bad.is_empty(), "{} of {struck}:\n{}", bad.len(), bad.iter().take(8).map(String::as_str).collect::<String>());
        struck
    })
}

/// The ledger's disk dies at each of its operations, and with it the process; what was not synced is lost, in part or whole.
#[test]
fn power_is_cut_while_records_become_durable() {
    let acts = [
        (Act::Forward("leave"), 1),
        (Act::Forward("move"), 3),
        (Act::Back("leave"), 1),
        (Act::Back("move"), 1),
        (Act::Issue { hook: false }, 1),
        (Act::Issue { hook: true }, 1),
        (Act::Expire, 1),
    ];
    for (act, stride) in acts {
        let cuts = struck_disk(act, stride, |number| {
            vec![(DiskFault::Dies, Some([Crash::Process, Crash::Power, Crash::PowerKeeping(number % 61)][number % 3]))]
        });
        println!("{act:?}: {cuts} power cuts");
        assert!(cuts as u64 > 3 * act.least_writes(), "{act:?}: {cuts}");
    }
}

/// Each write of the ledger's disk fails once, as on a full, a read-only or a broken one: the run stops with the cause, and goes on
/// when the disk is well again.
#[test]
fn a_disk_that_fails_at_any_write_stops_the_run_and_it_goes_on() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other];
    let acts = [
        (Act::Forward("leave"), 1),
        (Act::Forward("move"), 3),
        (Act::Back("leave"), 2),
        (Act::Back("move"), 2),
        (Act::Issue { hook: false }, 2),
        (Act::Issue { hook: true }, 2),
        (Act::Expire, 2),
    ];
    for (act, stride) in acts {
        let failed = struck_disk(act, stride, |_| kinds.map(|kind| (DiskFault::Error(kind), None)).into());
        println!("{act:?}: {failed} failing writes");
        assert!(failed as u64 > 4 * act.least_writes(), "{act:?}: {failed}");
    }
}

const ACTS: [Act; 6] =
    [Act::Forward("leave"), Act::Forward("move"), Act::Back("leave"), Act::Back("move"), Act::Issue { hook: false }, Act::Expire];

/// Every write of the act meets this fault once; then it comes to its end and is compared.
fn each_write(fault: Fault, lands: bool) {
    block_on(async {
        for act in ACTS {
            let (wanted, points) = uninterrupted(act).await;
            let writes = points.iter().filter(|p| p.boundary == Boundary::BeforeWrite).count() as u64;
            let mut bad = Vec::new();
            for write in 0..writes {
                let mut stand = Stand::new(act).await;
                let mut world = stand.world();
                let attempts = Arc::new(AtomicU64::new(0));
                for side in Side::ALL {
                    let attempts = attempts.clone();
                    world.twin(side).set_faults(move |attempt: &WriteAttempt<'_>| {
                        // What people do to their own accounts is not the engine's.
                        let this = attempt.identity != Identity::Root && attempts.fetch_add(1, Ordering::Relaxed) == write;
                        if this { fault } else { Fault::Proceed }
                    });
                }
                if lands {
                    // It lands while the engine looks what became of it: after so many questions as the write's number says.
                    let (twins, countdown) = ([world.shared.clone(), world.independent.clone()], AtomicU64::new(0));
                    let attempts = attempts.clone();
                    world.set_pauses(move || {
                        if attempts.load(Ordering::Relaxed) > write && countdown.fetch_add(1, Ordering::Relaxed) == write % 4 {
                            twins.iter().for_each(|twin| drop(twin.land_late_writes()));
                        }
                        0
                    });
                    stand.reopen(&world).unwrap();
                }
                let ended = stand.go().await;
                assert!(attempts.load(Ordering::Relaxed) > write, "write {write} was never tried");
                Side::ALL.iter().for_each(|side| drop(world.twin(*side).land_late_writes()));
                match ended {
                    Ok(Driven::Ended(())) => {
                        let words = unlike(&settled(&stand.session), &wanted);
                        if !words.is_empty() {
                            bad.push(format!("write {write}:\n{words}"));
                        }
                    }
                    other => bad.push(format!("write {write}: {other:?}\n")),
                }
            }
            println!("{act:?}: {writes} writes met {fault:?}");
            assert!(writes >= act.least_writes(), "{act:?}: {writes}");
            assert!(
                bad.is_empty(),
                "{act:?} {} of {writes}:\n{}",
                bad.len(),
                bad.iter().take(8).map(String::as_str).collect::<String>()
            );
        }
    });
}

#[test]
fn every_reply_is_lost_once() {
    each_write(Fault::LoseReply, false);
}

#[test]
fn every_request_is_lost_once() {
    each_write(Fault::Fail(Failure::Unknown), false);
}

#[test]
fn every_store_is_busy_once_at_every_write() {
    each_write(Fault::Fail(Failure::Busy), false);
}

#[test]
fn every_write_lands_late_once() {
    each_write(Fault::ApplyLater, true);
}

/// Each action and each undo is carried out, and carried out again under the same condition.
#[test]
fn every_action_and_every_undo_is_executed_twice() {
    block_on(async {
        for act in ACTS {
            let (wanted, _) = uninterrupted(act).await;
            let mut stand = Stand::new(act).await;
            let world = stand.world();
            world.repeat_writes(true);
            stand.reopen(&world).unwrap();
            let before = world.shared.write_attempts() + world.independent.write_attempts();
            assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())), "{act:?}");
            let attempts = world.shared.write_attempts() + world.independent.write_attempts() - before;
            assert!(attempts >= 2 * act.least_writes(), "{act:?}: {attempts}");
            let words = unlike(&settled(&stand.session), &wanted);
            assert!(words.is_empty(), "{act:?}:\n{words}");
        }
    });
}
