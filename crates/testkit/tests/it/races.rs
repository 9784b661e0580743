//! What others write between the plan and our look at an entry, between our look and our write, and between our write and the
//! question whether it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::FutureExt as _;
use untether_cutover::{Rollback, act};
use untether_directory::twin::{Fault, Faults, Identity, ReadAttempt, ReadFault, Twin, WriteAttempt};
use untether_directory::{Write as _, WriteOptions};
use untether_model::change::{Change, Modification};
use untether_model::operation::{Action, Stage};
use untether_model::plan::RollbackScope;
use untether_model::run::{CellState, CellStatus, OutcomeKind, Record};
use untether_model::{Dn, Entry, Round, Side, SubjectId, WaveId};
use untether_planner::RollbackRequest;
use untether_testkit::twins::{Driven, Estate, Session, World};

use crate::twins::{approved, approved_in, block_on};

/// Somebody who may do everything writes.
fn writes(twin: &Twin, change: &Change) {
    let options = WriteOptions { relax: true, ..WriteOptions::default() };
    twin.handle(Identity::Root).apply(change, &options).now_or_never().unwrap().unwrap();
}

/// Just before our first write to this entry reaches the shared store, somebody else writes.
fn somebody_is_faster(session: &Session, dn: &Dn, theirs: Vec<Change>) {
    let (twin, dn, struck) = (session.world().shared.clone(), dn.clone(), AtomicBool::new(false));
    session.world().shared.set_faults(move |attempt: &WriteAttempt<'_>| {
        let ours = attempt.identity != Identity::Root && attempt.changes.iter().any(|change| *change.dn() == dn);
        if ours && !struck.swap(true, Ordering::Relaxed) {
            theirs.iter().for_each(|change| writes(&twin, change));
        }
        Fault::Proceed
    });
}

fn somebody(session: &Session, uid: &str) -> (SubjectId, Dn) {
    let estate = &session.world().estate;
    let person = estate.people.iter().find(|person| person.uid == uid).unwrap();
    (person.subject(), estate.shared_dn(person))
}

fn own_dn(session: &Session, uid: &str) -> Dn {
    let estate = &session.world().estate;
    estate.own_dn(estate.people.iter().find(|person| person.uid == uid).unwrap())
}

fn kinds(session: &Session, wave: &WaveId, subject: &SubjectId, stage: Stage) -> Vec<CellStatus> {
    let cells = session.state.cells_of(subject).filter(|(op, cell)| op.batch.wave == *wave && cell.stage == stage);
    cells.map(|(_, cell)| cell.status).collect()
}

/// How the one operation on an entry that locks it, or creates it, stands.
fn cell_of(session: &Session, subject: &SubjectId, which: impl Fn(&Action) -> bool) -> CellState {
    let mut found =
        session.state.cells_of(subject).filter(|(op, _)| session.world().operation(op).is_some_and(|op| which(&op.action)));
    found.next().unwrap().1.clone()
}

fn locks(action: &Action) -> bool {
    matches!(action, Action::Set { touches } if touches.iter().any(|touch| touch.attr.is("pwdaccountlockedtime")))
}

fn creates(action: &Action) -> bool {
    matches!(action, Action::Create { .. })
}

fn replace(dn: &Dn, attr: &str, value: &str) -> Change {
    Change::Modify { dn: dn.clone(), mods: vec![Modification::replace(attr.into(), vec![value.into()])] }
}

#[test]
fn a_value_that_moved_since_our_look_is_a_conflict_and_stays() {
    block_on(async {
        // With a password to take away, and without.
        for uid in ["ret1", "ret2"] {
            let (mut session, waves) = approved();
            let leave = &waves["leave"];
            let (who, dn) = somebody(&session, uid);
            somebody_is_faster(&session, &dn, vec![replace(&dn, "pwdEndTime", "20350101000000Z")]);
            assert!(matches!(session.drive(leave, Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
            let found = kinds(&session, leave, &who, Stage::Disable);
            assert!(found.contains(&CellStatus::Ended(OutcomeKind::Conflict)), "{uid}: {found:?}");
            let entry = session.world().entry(Side::Shared, &dn).unwrap();
            assert_eq!(entry.values("pwdEndTime"), ["20350101000000Z".into()], "{uid}");
        }
    });
}

#[test]
fn what_was_seen_ahead_of_a_turn_decides_nothing_but_that_a_write_is_tried() {
    block_on(async {
        // What is desired of the entry is touched, or something else, by which it has another version.
        let cases = [("pwdEndTime", "20350101000000Z", OutcomeKind::Conflict), ("description", "theirs", OutcomeKind::Succeeded)];
        for (attr, value, expected) in cases {
            let (mut session, waves) = approved();
            let leave = &waves["leave"];
            let leavers = ["ret1", "ret2"].map(|uid| somebody(&session, uid));
            // Just before our first write to one of them somebody else writes to the other one, at which we have looked by then.
            let (twin, two, struck) = (session.world().shared.clone(), leavers.clone(), Arc::new(AtomicU32::new(2)));
            let other = Arc::clone(&struck);
            session.world().shared.set_faults(move |attempt: &WriteAttempt<'_>| {
                let ours = |dn: &Dn| attempt.identity != Identity::Root && attempt.changes.iter().any(|change| change.dn() == dn);
                if let Some(at) = two.iter().position(|(_, dn)| ours(dn)).filter(|_| other.load(Ordering::Relaxed) == 2) {
                    let next = 1 - at;
                    other.store(u32::try_from(next).unwrap(), Ordering::Relaxed);
                    writes(&twin, &replace(&two[next].1, attr, value));
                }
                Fault::Proceed
            });
            assert!(matches!(session.drive(leave, Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
            let (who, dn) = &leavers[usize::try_from(struck.load(Ordering::Relaxed)).unwrap()];
            let cell = cell_of(&session, who, locks);
            assert_eq!(cell.status, CellStatus::Ended(expected), "{attr}: {}", cell.message);
            let entry = session.world().entry(Side::Shared, dn).unwrap();
            assert_eq!(entry.has("pwdAccountLockedTime"), expected == OutcomeKind::Succeeded);
            assert_eq!(entry.values(attr), [value.into()]);
        }
    });
}

#[test]
fn an_undoing_that_somebody_was_faster_than_has_undone_nothing() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (ret1, dn) = somebody(&session, "ret1");
        assert!(matches!(session.drive(leave, Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
        let scope = RollbackScope::Wave(leave.clone());
        let request = RollbackRequest { scope, to: Stage::Disable, delete_provisioned: false, enable_inactive: true };
        let order = session.rollback(&request).unwrap();
        let id = session.order(&order).unwrap();
        somebody_is_faster(&session, &dn, vec![replace(&dn, "pwdEndTime", "20350101000000Z")]);
        match session.roll_back(&id).await.unwrap() {
            Driven::Ended(Rollback::Done { conflicts, .. }) => {
                assert!(conflicts.iter().any(|(who, _)| *who == ret1), "{conflicts:?}")
            }
            other => panic!("{other:?}"),
        }
        assert!(session.world().entry(Side::Shared, &dn).unwrap().has("pwdAccountLockedTime"));
        assert!(cell_of(&session, &ret1, locks).is_in_place(), "its disabling is left for the next rollback");
        assert_eq!(session.state.subjects().get(&ret1).unwrap().round, Round::FIRST);
    });
}

#[test]
fn another_entry_that_has_the_name_since_our_look_is_not_deleted() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (ret1, dn) = somebody(&session, "ret1");
        assert!(matches!(session.drive(leave, Some(Stage::Scrub)).await.unwrap(), Driven::Ended(_)));
        let ours = session.world().entry(Side::Shared, &dn).unwrap();
        let attrs = ["objectClass", "uid", "cn", "sn"].map(|attr| (attr.into(), ours.values(attr).to_vec().into()));
        let another = Change::Add { dn: dn.clone(), attrs: attrs.into_iter().collect() };
        somebody_is_faster(&session, &dn, vec![Change::Delete { dn: dn.clone() }, another]);
        assert!(matches!(session.drive(leave, Some(Stage::Remove)).await.unwrap(), Driven::Ended(_)));
        let theirs = session.world().entry(Side::Shared, &dn).expect("the new entry of that name");
        assert_ne!(theirs.values("entryUUID"), ours.values("entryUUID"));
        let found = kinds(&session, leave, &ret1, Stage::Remove);
        assert!(!found.is_empty() && found.iter().all(|status| *status != CellStatus::Open), "{found:?}");
    });
}

/// Another time in that attribute before each of the first writes to this entry; how many there were.
fn somebody_keeps_writing(session: &Session, dn: &Dn, attr: &'static str, most: u32) -> Arc<AtomicU32> {
    let (twin, dn, counted) = (session.world().shared.clone(), dn.clone(), Arc::new(AtomicU32::new(0)));
    let count = counted.clone();
    session.world().shared.set_faults(move |attempt: &WriteAttempt<'_>| {
        if attempt.identity != Identity::Root && attempt.changes.iter().any(|change| *change.dn() == dn) {
            let number = count.fetch_add(1, Ordering::Relaxed);
            if number < most {
                writes(&twin, &replace(&dn, attr, &format!("203501010000{number:02}Z")));
            }
        }
        Fault::Proceed
    });
    counted
}

#[test]
fn an_entry_that_keeps_changing_is_a_conflict_in_the_end() {
    block_on(async {
        let (mut session, waves) = approved();
        let (ret1, dn) = somebody(&session, "ret1");
        let tried = somebody_keeps_writing(&session, &dn, "pwdAccountLockedTime", 50);
        assert!(matches!(session.drive(&waves["leave"], Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
        let cell = cell_of(&session, &ret1, locks);
        assert_eq!(cell.status, CellStatus::Ended(OutcomeKind::Conflict), "{}", cell.message);
        assert!(cell.message.contains("kept changing"), "{}", cell.message);
        let tried = tried.load(Ordering::Relaxed);
        assert_eq!(cell.attempts, tried, "each of them was journalled with what was there before it");
        session.world().shared.set_faults(|_: &WriteAttempt<'_>| Fault::Proceed);
        let batch = session.state.subjects().get(&ret1).unwrap().batch.clone();
        let again = Record::Unparked { subject: ret1.clone(), batch, by: "alice".into(), reason: "it is quiet now".into() };
        session.record(&again).unwrap();
        assert!(matches!(session.drive(&waves["leave"], Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
        let cell = cell_of(&session, &ret1, locks);
        assert_eq!((cell.status, cell.attempts), (CellStatus::Ended(OutcomeKind::Succeeded), tried + 1), "{}", cell.message);
    });
}

#[test]
fn a_wave_whose_entries_have_moved_since_the_plan_is_not_begun() {
    block_on(async {
        for gone in [false, true] {
            let mut estate = Estate::small().unwrap();
            estate.policy.moved_percent = 50.0;
            let (mut session, waves) = approved_in(&World::new(estate).unwrap());
            let leave = &waves["leave"];
            for uid in ["ret1", "ret2", "ret3", "ret4", "ret5"] {
                let (_, dn) = somebody(&session, uid);
                let theirs = if gone { Change::Delete { dn } } else { replace(&dn, "pwdEndTime", "20350101000000Z") };
                writes(&session.world().shared, &theirs);
            }
            let before = session.world().dumps();
            let Driven::Ended(ended) = session.run_once(leave, None).await.unwrap() else { panic!("nothing was armed") };
            let words = format!("{:?}", ended.standstills);
            let why = if gone { "(the entry is gone)" } else { "(pwdEndTime is another)" };
            assert!(words.contains("have moved since the plan") && words.contains(why), "{words}");
            assert!(!session.state.waves().contains_key(leave), "{words}");
            assert_eq!(session.world().dumps(), before);
        }
    });
}

#[test]
fn what_somebody_else_has_done_in_part_as_we_would_is_no_conflict() {
    block_on(async {
        let end = {
            let (mut session, waves) = approved();
            let (_, dn) = somebody(&session, "ret1");
            assert!(matches!(session.drive(&waves["leave"], Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
            session.world().entry(Side::Shared, &dn).unwrap().texts("pwdEndTime").next().unwrap().to_owned()
        };
        let (mut session, waves) = approved();
        let (ret1, dn) = somebody(&session, "ret1");
        writes(&session.world().shared, &replace(&dn, "pwdEndTime", &end));
        assert!(matches!(session.drive(&waves["leave"], Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
        let cell = cell_of(&session, &ret1, locks);
        assert_eq!(cell.status, CellStatus::Ended(OutcomeKind::Succeeded), "{}", cell.message);
    });
}

/// An account of the independent directory as we create it, in a world where nobody else was there.
async fn made(uid: &str) -> Entry {
    let (mut session, waves) = approved();
    assert!(matches!(session.drive(&waves["move"], Some(Stage::Provision)).await.unwrap(), Driven::Ended(_)));
    session.world().entry(Side::Independent, &own_dn(&session, uid)).unwrap()
}

/// Somebody else has made it before us, with this surname where one is given; how our operation ends.
async fn creates_after(made: &Entry, uid: &str, surname: Option<&str>) -> (CellState, Entry) {
    let (mut session, waves) = approved();
    let server_owned = ["entryuuid", "createtimestamp", "modifytimestamp", "creatorsname", "modifiersname"];
    let settable = made.attrs.iter().filter(|(attr, _)| !act::is_computed(attr) && !server_owned.iter().any(|own| attr.is(own)));
    let mut add =
        Change::Add { dn: made.dn.clone(), attrs: settable.map(|(attr, values)| (attr.clone(), values.clone())).collect() };
    if let (Some(surname), Change::Add { attrs, .. }) = (surname, &mut add) {
        attrs.insert("sn".into(), vec![surname.into()]);
    }
    writes(&session.world().independent, &add);
    let theirs = session.world().entry(Side::Independent, &made.dn).unwrap();
    assert!(matches!(session.drive(&waves["move"], Some(Stage::Provision)).await.unwrap(), Driven::Ended(_)));
    assert_eq!(session.world().entry(Side::Independent, &made.dn).unwrap().values("sn"), theirs.values("sn"));
    let (subject, _) = somebody(&session, uid);
    (cell_of(&session, &subject, creates), theirs)
}

#[test]
fn what_somebody_else_has_made_just_as_we_would_is_not_ours() {
    block_on(async {
        let ours = made("mig1").await;
        let (cell, _) = creates_after(&ours, "mig1", None).await;
        assert_eq!((cell.status, cell.applied), (CellStatus::Ended(OutcomeKind::Already), false), "{}", cell.message);
    });
}

#[test]
fn another_entry_that_has_the_name_already_is_a_conflict_and_stays() {
    block_on(async {
        let ours = made("mig1").await;
        let (cell, _) = creates_after(&ours, "mig1", Some("Another")).await;
        assert_eq!((cell.status, cell.applied), (CellStatus::Ended(OutcomeKind::Conflict), false), "{}", cell.message);
        assert!(cell.message.contains("its sn is another"), "{}", cell.message);
    });
}

/// Somebody writes to an entry as soon as it is there, before anybody of ours reads it.
struct BeforeItIsRead {
    twin: Twin,
    dn: Dn,
    theirs: Change,
    struck: AtomicBool,
}

impl Faults for BeforeItIsRead {
    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<ReadFault> {
        let there = || self.twin.dump().iter().any(|entry| entry.dn == self.dn);
        if read.identity != Identity::Root && *read.dn == self.dn && there() && !self.struck.swap(true, Ordering::Relaxed) {
            writes(&self.twin, &self.theirs);
        }
        None
    }
}

#[test]
fn what_we_have_made_and_reads_back_as_another_value_is_a_conflict() {
    block_on(async {
        // What comes back with the write is what we have made; without that somebody may have been there before our look.
        for (reads_entries, ends) in [(true, OutcomeKind::Succeeded), (false, OutcomeKind::Conflict)] {
            let world = World::new(Estate { reads_entries, ..Estate::small().unwrap() }).unwrap();
            let (mut session, waves) = approved_in(&world);
            let (who, dn) = (somebody(&session, "mig1").0, own_dn(&session, "mig1"));
            let (twin, theirs) = (world.independent.clone(), replace(&dn, "sn", "Another"));
            world.independent.set_faults(BeforeItIsRead { twin, dn, theirs, struck: AtomicBool::new(false) });
            assert!(matches!(session.drive(&waves["move"], Some(Stage::Provision)).await.unwrap(), Driven::Ended(_)));
            let cell = cell_of(&session, &who, creates);
            assert_eq!(cell.status, CellStatus::Ended(ends), "{}", cell.message);
            assert_eq!(cell.message.contains("sn reads back as another value"), !reads_entries, "{}", cell.message);
        }
    });
}

/// Somebody takes back each lock of this entry before anybody of ours reads it.
struct TakesBack {
    twin: Twin,
    dn: Dn,
    ours: Arc<AtomicU32>,
}

impl Faults for TakesBack {
    fn on_write(&self, write: &WriteAttempt<'_>) -> Fault {
        let ours = write.identity != Identity::Root && write.changes.iter().any(|change| *change.dn() == self.dn);
        self.ours.fetch_add(u32::from(ours), Ordering::Relaxed);
        Fault::Proceed
    }

    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<ReadFault> {
        let locked = || self.twin.dump().iter().any(|entry| entry.dn == self.dn && entry.has("pwdAccountLockedTime"));
        if read.identity != Identity::Root && locked() {
            let unlock = vec![Modification::delete("pwdAccountLockedTime".into(), Vec::new())];
            writes(&self.twin, &Change::Modify { dn: self.dn.clone(), mods: unlock });
        }
        None
    }
}

#[test]
fn a_write_that_is_confirmed_and_never_there_is_a_conflict_in_the_end() {
    block_on(async {
        // Where the entry comes back with the write, that was it; the end of the account's validity keeps it closed.
        for (reads_entries, ends, words, writes) in
            [(true, OutcomeKind::Succeeded, "refused by the store", 1), (false, OutcomeKind::Conflict, "kept changing", 19)]
        {
            let world = World::new(Estate { reads_entries, ..Estate::small().unwrap() }).unwrap();
            let (mut session, waves) = approved_in(&world);
            let (who, dn) = somebody(&session, "ret4");
            let ours = Arc::new(AtomicU32::new(0));
            world.shared.set_faults(TakesBack { twin: world.shared.clone(), dn, ours: ours.clone() });
            assert!(matches!(session.drive(&waves["leave"], Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
            let cell = cell_of(&session, &who, locks);
            assert_eq!(cell.status, CellStatus::Ended(ends), "{}", cell.message);
            assert!(cell.message.contains(words), "{}", cell.message);
            assert_eq!(ours.load(Ordering::Relaxed), 1 + writes, "beside the one that takes the password away");
        }
    });
}

#[test]
fn what_lands_after_the_next_try_was_refused_is_ours_and_goes_back() {
    block_on(async {
        for on_group in [false, true] {
            let (mut session, waves) = approved();
            let leave = &waves["leave"];
            let (_, account) = somebody(&session, "ret1");
            let group = session.world().estate.group_dn(0);
            let (dn, last) = if on_group { (group, Stage::Remove) } else { (account, Stage::Disable) };
            let before = session.world().entry(Side::Shared, &dn).unwrap();
            let (at, written) = (dn.clone(), AtomicU32::new(0));
            session.world().shared.set_faults(move |attempt: &WriteAttempt<'_>| {
                if attempt.identity == Identity::Root || !attempt.changes.iter().any(|change| *change.dn() == at) {
                    return Fault::Proceed;
                }
                match written.fetch_add(1, Ordering::Relaxed) {
                    0 => Fault::ApplyLater,
                    // Unwilling to perform.
                    1 => Fault::Refuse(53),
                    _ => Fault::Proceed,
                }
            });
            let stopped = session.drive(leave, Some(last)).await.unwrap_err().to_string();
            assert!(stopped.contains("may still take effect"), "{stopped}");
            assert!(session.world().shared.land_late_writes().iter().all(Result::is_ok));
            assert!(matches!(session.drive(leave, Some(last)).await.unwrap(), Driven::Ended(_)));
            let people = ["ret1", "ret2", "ret3", "ret4", "ret5", "keep1"].map(|uid| somebody(&session, uid).0);
            let statuses: Vec<CellStatus> = people.iter().flat_map(|who| kinds(&session, leave, who, last)).collect();
            assert!(statuses.contains(&CellStatus::Ended(OutcomeKind::Observed)), "{statuses:?}");
            let scope = RollbackScope::Wave(leave.clone());
            let request = RollbackRequest { scope, to: Stage::Disable, delete_provisioned: false, enable_inactive: true };
            let order = session.rollback(&request).unwrap();
            let id = session.order(&order).unwrap();
            let rolled_back = session.roll_back(&id).await.unwrap();
            assert!(matches!(rolled_back, Driven::Ended(Rollback::Done { .. })), "{rolled_back:?}");
            let now = session.world().entry(Side::Shared, &dn).unwrap();
            let values = |entry: &Entry, attr: &str| {
                let mut values = entry.values(attr).to_vec();
                values.sort();
                values
            };
            for attr in ["member", "pwdAccountLockedTime", "pwdEndTime"] {
                assert_eq!(values(&now, attr), values(&before, attr), "{attr} of {dn}");
            }
        }
    });
}

/// Somebody writes when the store is asked whether it refuses this entry's account, before it answers.
struct BeforeTheAnswer {
    twin: Twin,
    dn: Dn,
    theirs: Vec<Change>,
    struck: AtomicBool,
}

impl Faults for BeforeTheAnswer {
    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<ReadFault> {
        let asked = read.operation == "usability" && *read.dn == self.dn && read.identity != Identity::Root;
        if asked && !self.struck.swap(true, Ordering::Relaxed) {
            self.theirs.iter().for_each(|change| writes(&self.twin, change));
        }
        None
    }
}

/// How the lock of this account ends where somebody writes this after it was read back.
async fn locked_and_then(uid: &str, theirs: impl Fn(&Dn) -> Vec<Change>) -> CellState {
    let (mut session, waves) = approved();
    let (who, dn) = somebody(&session, uid);
    let (twin, theirs) = (session.world().shared.clone(), theirs(&dn));
    session.world().shared.set_faults(BeforeTheAnswer { twin, dn, theirs, struck: AtomicBool::new(false) });
    assert!(matches!(session.drive(&waves["leave"], Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
    cell_of(&session, &who, locks)
}

#[test]
fn an_account_is_closed_when_the_store_refuses_it_and_not_when_it_is_locked() {
    block_on(async {
        let closed = locked_and_then("ret1", |_| Vec::new()).await;
        assert_eq!(closed.status, CellStatus::Ended(OutcomeKind::Succeeded), "{}", closed.message);
        assert!(closed.message.contains("refused by the store"), "{}", closed.message);
        let opens = |dn: &Dn| {
            let unlock = Modification::delete("pwdAccountLockedTime".into(), Vec::new());
            vec![Change::Modify { dn: dn.clone(), mods: vec![unlock] }, replace(dn, "pwdEndTime", "20350101000000Z")]
        };
        let opened = locked_and_then("ret1", opens).await;
        assert_eq!(opened.status, CellStatus::Ended(OutcomeKind::Refused), "{}", opened.message);
        assert!(opened.message.contains("would let it in"), "{}", opened.message);
        let without_policy = |dn: &Dn| vec![replace(dn, "pwdPolicySubentry", "cn=nowhere,dc=shared")];
        let unknown = locked_and_then("ret1", without_policy).await;
        assert_eq!(unknown.status, CellStatus::Ended(OutcomeKind::Refused), "{}", unknown.message);
        assert!(unknown.message.contains("cannot be told"), "{}", unknown.message);
    });
}
