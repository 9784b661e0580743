//! The disk below the ledger is struck at each of its operations while a wave, a rollback or an order about credentials is under way.

#![expect(clippy::print_stdout, reason = "the figures, with --nocapture")]

use std::io::ErrorKind;

use untether_ledger::storage::{Crash, Fault};
use untether_testkit::twins::{Driven, Trouble};

use crate::act::{Act, EXPIRE, ISSUE, ISSUE_BY_HOOK, LEAVE, LEAVE_BACK, MOVE, MOVE_BACK, Settled, Stand, settled, unlike};
use crate::twins::block_on;

/// What strikes, and what is left of what was not synced where the process dies of it.
pub type Strike = (Fault, Option<Crash>);

/// Strikes at this operation of the disk while the act is under way; then another process goes on to the end. Tells what is otherwise
/// than it should be.
pub async fn struck(act: Act, operation: u64, (fault, left): Strike, wanted: &Settled) -> Result<String, String> {
    let mut stand = Stand::new(act).await;
    let world = stand.world();
    world.storage.fault_at(operation, fault);
    let stopped = stand.go().await;
    let what = format!("{act}: operation {operation}, {fault:?}, {left:?}");
    assert!(world.storage.fault_fired(), "{what}: not reached");
    let Err(trouble) = stopped else { panic!("{what}: not noticed") };
    assert!(matches!(trouble, Trouble::Cutover(_) | Trouble::Other(_) | Trouble::Journal(_)), "{what}: {trouble:?}");
    let said = format!("{trouble:?} {trouble}");
    assert!(left.is_some() || said.contains("cannot ") && said.contains("/state/"), "{what}: {said}");
    if let Some(left) = left {
        world.storage.crash(left);
    }
    stand.reopen(&world).map_err(|error| error.to_string())?;
    match stand.go().await.map_err(|error| error.to_string())? {
        Driven::Ended(()) => Ok(unlike(&settled(&stand.session), wanted)),
        Driven::Killed => Err("it was killed although nothing was armed".to_owned()),
    }
}

/// The power goes out at this operation; what was not synced is lost, in part or whole.
pub fn power_cut(number: usize) -> Strike {
    let left = [Crash::Process, Crash::Power, Crash::PowerKeeping(number % 61)];
    (Fault::Dies, left.get(number % left.len()).copied())
}

/// Strikes at each operation, or at each so-manieth. Tells how often.
fn each_operation(act: Act, stride: usize, strikes: impl Fn(usize) -> Vec<Strike>) -> usize {
    block_on(async {
        let mut stand = Stand::new(act).await;
        let begin = stand.world().storage.operations();
        assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())));
        let end = stand.world().storage.operations();
        let wanted = settled(&stand.session);
        let mut bad = Vec::new();
        let mut count = 0;
        for (number, operation) in (begin..end).enumerate().step_by(stride) {
            for strike in strikes(number) {
                count += 1;
                match struck(act, operation, strike, &wanted).await {
                    Ok(words) if words.is_empty() => {}
                    Ok(words) | Err(words) => bad.push(format!("operation {operation}, {strike:?}:\n{words}\n")),
                }
            }
        }
        assert!(
            bad.is_empty(),
            "{act}: {} of {count}:\n{}",
            bad.len(),
            bad.iter().take(8).map(String::as_str).collect::<String>()
        );
        count
    })
}

#[test]
fn power_is_cut_while_records_become_durable() {
    let acts = [(LEAVE, 1), (MOVE, 3), (LEAVE_BACK, 1), (MOVE_BACK, 1), (ISSUE, 1), (ISSUE_BY_HOOK, 1), (EXPIRE, 1)];
    for (act, stride) in acts {
        let cuts = each_operation(act, stride, |number| vec![power_cut(number)]);
        println!("{act}: {cuts} power cuts");
        assert!(cuts as u64 > 3 * act.least_writes(), "{act}: {cuts}");
    }
}

/// Each write of the ledger's disk fails once, as on a full, a read-only or a broken one: the run stops with the cause, and goes on
/// when the disk is well again.
#[test]
fn a_disk_that_fails_at_any_write_stops_the_run_and_it_goes_on() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other];
    let acts = [(LEAVE, 1), (MOVE, 3), (LEAVE_BACK, 2), (MOVE_BACK, 2), (ISSUE, 2), (ISSUE_BY_HOOK, 2), (EXPIRE, 2)];
    for (act, stride) in acts {
        let failed = each_operation(act, stride, |_| kinds.map(|kind| (Fault::Error(kind), None)).into());
        println!("{act}: {failed} failing writes");
        assert!(failed as u64 > 4 * act.least_writes(), "{act}: {failed}");
    }
}
