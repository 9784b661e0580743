//! SIGKILL while records are appended: no acknowledged record is lost, and the state is taken up again.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use untether_ledger::{Disk, StateDir, StateLock, SystemClock};

use crate::support::{RealWorld, how, note, parts, runtime};

const STATE: &str = "UNTETHER_TEST_STATE";
const ROUND: &str = "UNTETHER_TEST_ROUND";

/// Not a test by itself: the process that [`no_acknowledged_record_is_lost`] starts and kills. Appends from several tasks and says
/// each acknowledged key on standard output.
#[test]
fn process_to_be_killed() {
    let (Ok(root), Ok(round)) = (std::env::var(STATE), std::env::var(ROUND)) else { return };
    let state = StateDir::open(Disk::real(), root).unwrap();
    let mut opened = untether_journal::Opened::open(how(state, Arc::new(SystemClock::new()), 50_000)).unwrap();
    opened.replay(|frame, _| crate::support::fold(frame)).unwrap();
    let journal = Arc::new(opened.start().unwrap());
    runtime().block_on(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let (journal, round) = (Arc::clone(&journal), round.clone());
            tasks.spawn(async move {
                for n in 0.. {
                    let key = format!("{round}.{task}.{n}");
                    journal.append(vec![note(&key, "x")]).await.unwrap();
                    writeln!(std::io::stdout(), "acknowledged {key}").unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
}

#[test]
fn no_acknowledged_record_is_lost() {
    let world = RealWorld::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::process_to_be_killed", "--nocapture"])
            .env(STATE, &world.root)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let key = |line: String| line.strip_prefix("acknowledged ").map(str::to_owned);
        let before = acknowledged.len();
        while acknowledged.len() < before + 100 + round * 37 {
            acknowledged.extend(key(lines.next().unwrap()));
        }
        if round == 0 {
            // Meanwhile everybody else is told who has it.
            let state = StateDir::open(Disk::real(), &world.root).unwrap();
            assert_eq!(StateLock::holder(&state).unwrap().unwrap().pid, Some(child.id()));
            let error = world.open().unwrap_err();
            assert!(error.is_state());
            assert!(error.to_string().starts_with(&format!("the state is in use by process {} since 20", child.id())), "{error}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(key));

        let (journal, report, _) = world.start();
        assert_eq!(report.rebuilt, None, "a kill does not cost the database");
        runtime().block_on(async {
            let there = parts(&journal).await;
            let lost: Vec<&String> = acknowledged.iter().filter(|key| !there.contains_key(*key)).collect();
            assert!(lost.is_empty(), "round {round}: {lost:?}");
            journal.close().await.unwrap();
        });
        let check = untether_ledger::check(&Disk::real(), &world.path("ledger"), |_| {}).unwrap();
        assert!(check.is_sound(), "{:?}", check.problems);
    }
    let check = untether_ledger::check(&Disk::real(), &world.path("ledger"), |_| {}).unwrap();
    assert!(check.segments.len() > 2, "the kills went over several segments");
}
