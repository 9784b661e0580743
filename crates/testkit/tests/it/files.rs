//! Real files, a real sled and the journal's own thread: one kill a boundary, a database that is deleted, emptied and corrupted.

use std::fs;
use std::path::Path;

use untether_testkit::twins::{Boundary, Driven, Estate, Session, World};

use crate::act::{Act, ISSUE_BY_HOOK, LEAVE, LEAVE_BACK, MOVE, Settled, Stand, settled, uninterrupted, unlike};
use crate::twins::{approved_in, block_on};

/// The act in a state directory of its own.
async fn on_files(act: Act, root: &Path) -> Stand {
    let world = World::on_files(Estate::small().unwrap(), &root.join("state")).unwrap();
    Stand::of(act, approved_in(&world)).await
}

/// Killed at this boundary; then `between` happens to the state directory, another process takes over and comes to the end.
async fn killed(act: Act, kill: u64, wanted: &Settled, between: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let mut stand = on_files(act, dir.path()).await;
    let world = stand.world();
    world.breaker.arm(Some(kill));
    assert!(matches!(stand.go().await.unwrap(), Driven::Killed), "{act}: boundary {kill} was not reached");
    let point = world.breaker.fired().unwrap();
    // The process is gone, and its files are as it left them.
    let Stand { session, act, wave } = stand;
    drop(session);
    between(&dir.path().join("state"));
    let mut stand = Stand { session: Session::open(&world).unwrap(), act, wave };
    assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())), "{act}: after {point}");
    assert_eq!(stand.session.folded().unwrap(), stand.session.state);
    let words = unlike(&settled(&stand.session), wanted);
    assert!(words.is_empty(), "{act}: {point}:\n{words}");
}

#[test]
fn each_boundary_is_killed_once_with_real_files() {
    block_on(async {
        for act in [MOVE, LEAVE_BACK, ISSUE_BY_HOOK] {
            let (wanted, points, _) = uninterrupted(act).await;
            for boundary in [
                Boundary::BeforeRecord,
                Boundary::AfterRecord,
                Boundary::BeforeWrite,
                Boundary::AfterWrite,
                Boundary::BeforeRead,
                Boundary::BeforeHandover,
                Boundary::AfterHandover,
            ] {
                let met: Vec<usize> =
                    points.iter().enumerate().filter(|(_, p)| p.boundary == boundary).map(|(at, _)| at).collect();
                let Some(at) = met.get(met.len() / 2) else {
                    assert!(act != MOVE, "{boundary:?} is not met");
                    continue;
                };
                killed(act, *at as u64, &wanted, |_| {}).await;
            }
        }
    });
}

#[test]
fn a_database_that_is_deleted_emptied_or_corrupted_between_two_processes_is_made_again() {
    block_on(async {
        let (wanted, points, _) = uninterrupted(LEAVE).await;
        let middle = points.len() as u64 / 2;
        killed(LEAVE, middle, &wanted, |state| fs::remove_dir_all(state.join("sled")).unwrap()).await;
        killed(LEAVE, middle, &wanted, |state| fs::write(state.join("sled/db"), b"").unwrap()).await;
        killed(LEAVE, middle, &wanted, |state| fs::write(state.join("sled/conf"), b"nothing that sled knows").unwrap()).await;
        for part in 0..4 {
            killed(LEAVE, middle, &wanted, |state| {
                let path = state.join("sled/db");
                let mut bytes = fs::read(&path).unwrap();
                let from = bytes.len() * part / 4;
                bytes.iter_mut().skip(from).take(2_000).for_each(|byte| *byte ^= 0x5a);
                fs::write(&path, bytes).unwrap();
            })
            .await;
        }
    });
}
