//! What others write between our look at an entry and our write to it: our writes carry what was seen as their condition.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use untether_directory::twin::{Fault, Identity, WriteAttempt};
use untether_directory::{Write as _, WriteOptions};
use untether_model::change::{Change, Modification};
use untether_model::operation::Stage;
use untether_model::run::{CellStatus, OutcomeKind};
use untether_model::{Dn, Side, SubjectId, WaveId};
use untether_testkit::twins::{Driven, Session};

use crate::twins::{approved, block_on};

/// Just before our first write to this entry reaches the shared store, somebody else writes.
fn somebody_is_faster(session: &Session, dn: &Dn, theirs: Vec<Change>) {
    let (twin, dn, struck) = (session.world().shared.clone(), dn.clone(), AtomicBool::new(false));
    session.world().shared.set_faults(move |attempt: &WriteAttempt<'_>| {
        let ours = attempt.identity != Identity::Root && attempt.changes.iter().any(|change| *change.dn() == dn);
        if ours && !struck.swap(true, Ordering::Relaxed) {
            for change in &theirs {
                let options = WriteOptions { relax: true, ..WriteOptions::default() };
                twin.handle(Identity::Root).apply(change, &options).now_or_never().unwrap().unwrap();
            }
        }
        Fault::Proceed
    });
}

fn somebody(session: &Session, uid: &str) -> (SubjectId, Dn) {
    let estate = &session.world().estate;
    let person = estate.people.iter().find(|person| person.uid == uid).unwrap();
    (person.subject(), estate.shared_dn(person))
}

fn kinds(session: &Session, wave: &WaveId, subject: &SubjectId, stage: Stage) -> Vec<CellStatus> {
    let cells = session.state.cells_of(subject).filter(|(op, cell)| op.batch.wave == *wave && cell.stage == stage);
    cells.map(|(_, cell)| cell.status).collect()
}

#[test]
fn a_value_that_moved_since_our_look_is_a_conflict_and_stays() {
    block_on(async {
        let (mut session, waves) = approved();
        let leave = &waves["leave"];
        let (ret1, dn) = somebody(&session, "ret1");
        let mods = vec![Modification::replace("pwdEndTime".into(), vec!["20350101000000Z".into()])];
        somebody_is_faster(&session, &dn, vec![Change::Modify { dn: dn.clone(), mods }]);
        assert!(matches!(session.drive(leave, Some(Stage::Disable)).await.unwrap(), Driven::Ended(_)));
        let found = kinds(&session, leave, &ret1, Stage::Disable);
        assert!(found.contains(&CellStatus::Ended(OutcomeKind::Conflict)), "{found:?}");
        assert_eq!(session.world().entry(Side::Shared, &dn).unwrap().values("pwdEndTime"), ["20350101000000Z".into()]);
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
