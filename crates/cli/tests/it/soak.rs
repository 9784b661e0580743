//! Kill -9 of the program and of either server, at seeded times of forward runs and rollbacks (`scripts/soak --kills N`).
//!
//! After each kill the state is sound and the same command goes on. At the end of each forward run both stores are as after an
//! uninterrupted one, and after each rollback as before it, compared by full dumps. The same where the power of the state's disk
//! goes out (`scripts/power-cut --trials N`): then the ledger must hold every record that was told before.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use untether_ledger::{Disk, Reader, StateDir};

use crate::cycle::Cycles;
use crate::disk::LoopDisk;
use crate::support::World;

/// Kills where nobody says how many (`UNTETHER_SOAK_KILLS`).
const KILLS: u64 = 20;
/// Power cuts where nobody says how many (`UNTETHER_POWER_CUT_TRIALS`).
const POWER_CUTS: u64 = 3;
/// Kills of one state and its stores; then new ones begin. `state check` after each kill reads the whole ledger, so that a state that
/// lived on would make the time grow with the square of the kills.
const A_STATE: u64 = 50;
/// Kills in one command before it may end.
const A_COMMAND: u64 = 4;
/// A kill strikes within so many lines of progress.
const WITHIN: u64 = 90;

/// Whom a kill strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Program,
    Shared,
    Independent,
    /// The power of the disk that the state is on.
    Power,
}

/// Seeded numbers (SplitMix64): the same seed strikes at the same lines.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

struct Killer {
    numbers: Numbers,
    /// Strikes that the present state has still to bear.
    left: u64,
    struck: BTreeMap<(Victim, &'static str), u64>,
    /// Where the state's disk loses power: nothing else strikes then.
    disk: Option<LoopDisk>,
    /// Files that nobody had synced and that were gone after a power cut: without them the cuts would prove nothing.
    unsynced_lost: u64,
    /// Records that were told before a power cut.
    told: u64,
}

impl Killer {
    fn seeded(seed: u64, disk: Option<LoopDisk>) -> Self {
        Self { numbers: Numbers(seed), left: 0, struck: BTreeMap::new(), disk, unsynced_lost: 0, told: 0 }
    }

    /// Runs waves of a new state and rolls them back, uninterrupted first, then struck so often.
    fn soak(&mut self, world: World, strikes: u64) {
        let mut cycles = Cycles::new(world);
        self.left = strikes;
        while self.left > 0 {
            cycles.disturbed(&mut |world, phase, words| self.strike(world, phase, words));
        }
    }

    /// Tells what struck.
    fn tell(&self, told: &str) {
        let mut out = std::io::stderr();
        for ((victim, phase), count) in &self.struck {
            writeln!(out, "{count:>6}  of {victim:?} in a {phase}").unwrap();
        }
        writeln!(out, "{told}").unwrap();
    }

    /// Kills as long as the command does not end before.
    fn strike(&mut self, world: &mut World, phase: &'static str, words: &[&str]) {
        for _ in 0..A_COMMAND {
            if self.left == 0 || !self.kill(world, phase, words) {
                return;
            }
        }
    }

    /// Kills somebody within a command. `false`: it ended before.
    fn kill(&mut self, world: &mut World, phase: &'static str, words: &[&str]) -> bool {
        let victim = match self.numbers.below(4) {
            _ if self.disk.is_some() => Victim::Power,
            0 => Victim::Shared,
            1 => Victim::Independent,
            _ => Victim::Program,
        };
        let line = self.numbers.below(WITHIN);
        let mut child = world.spawn(&[&["--json"], words].concat());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut came: Vec<String> = lines.by_ref().take(usize::try_from(line).unwrap() + 1).map(Result::unwrap).collect();
        if u64::try_from(came.len()).unwrap() <= line {
            child.wait().unwrap();
            return false;
        }
        let cut = self.disk.as_ref().map(|disk| {
            stop(&child);
            std::fs::write(disk.directory().join("unsynced"), [7; 5000]).unwrap();
            disk.copy()
        });
        match victim {
            Victim::Program | Victim::Power => child.kill().unwrap(),
            Victim::Shared => world.pair.shared.kill(),
            Victim::Independent => world.pair.independent.kill(),
        }
        // What was still in the pipe had been told too.
        came.extend(lines.map_while(Result::ok));
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        match victim {
            Victim::Program | Victim::Power => {}
            // Either it needed the store no more, or it says that the store is gone: nothing else.
            Victim::Shared | Victim::Independent => assert!(matches!(ended.status.code(), Some(0 | 1 | 4)), "{ended:?}"),
        }
        match victim {
            Victim::Program => {}
            Victim::Power => self.come_back(world, &cut.unwrap(), &came),
            Victim::Shared => world.pair.shared.start().unwrap(),
            Victim::Independent => world.pair.independent.start().unwrap(),
        }
        world.run(&["state", "check"]).expect(0);
        *self.struck.entry((victim, phase)).or_default() += 1;
        self.left -= 1;
        true
    }

    /// The machine is up again, with what had reached its disk: every record that was told is there.
    fn come_back(&mut self, world: &World, copy: &std::path::Path, told: &[String]) {
        let Some(disk) = &self.disk else { return };
        disk.come_back(copy);
        let unsynced = disk.directory().join("unsynced");
        self.unsynced_lost += u64::from(std::fs::read(&unsynced).map_or(0, |bytes| bytes.len()) < 5000);
        let _ = std::fs::remove_file(unsynced);
        let dir = StateDir::open(Disk::real(), world.state()).unwrap();
        let mut reader = Reader::open(dir.disk(), &dir.ledger()).unwrap();
        let mut there = BTreeMap::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            there.insert(frame.seq(), frame.kind.clone());
        }
        for line in told {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if let (Some(seq), Some(kind)) = (event["seq"].as_u64(), event["record"]["kind"].as_str()) {
                self.told += 1;
                assert_eq!(there.get(&seq).map(|kind| kind.as_str()), Some(kind), "record {seq} was told and is lost");
            }
        }
    }
}

/// Stops a process, and comes back when it stands still.
fn stop(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::STOP).unwrap();
    let status = format!("/proc/{}/stat", child.id());
    // The state is the first field after the name in parentheses: T when it is stopped, Z when it had ended before.
    let stands = || {
        std::fs::read_to_string(&status)
            .map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['T', 'Z'])))
    };
    while !stands() {
        std::thread::yield_now();
    }
}

/// Seeds and counts that a script sets.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn killed_at_any_time_it_ends_as_one_application_and_goes_back_as_it_was() {
    let (kills, seed) = (number("UNTETHER_SOAK_KILLS", KILLS), number("UNTETHER_SOAK_SEED", 1));
    let mut killer = Killer::seeded(seed, None);
    let mut states = 0;
    for begun in (0..kills).step_by(usize::try_from(A_STATE).unwrap()) {
        killer.soak(World::new(80), A_STATE.min(kills - begun));
        states += 1;
    }
    killer.tell(&format!("{kills:>6}  kills of {states} states, seed {seed}"));
    if kills >= KILLS {
        for victim in [Victim::Program, Victim::Shared, Victim::Independent] {
            assert!(killer.struck.keys().any(|(struck, _)| *struck == victim), "{victim:?} was never killed");
        }
    }
}

#[test]
fn when_the_power_goes_out_no_record_that_was_told_is_lost() {
    let (trials, seed) = (number("UNTETHER_POWER_CUT_TRIALS", POWER_CUTS), number("UNTETHER_POWER_CUT_SEED", 1));
    let world = World::new(80);
    let disk = match LoopDisk::mount(&world) {
        Ok(disk) => disk,
        Err(why) => {
            writeln!(std::io::stderr(), "SKIPPED when_the_power_goes_out…: it needs root and loop devices: {why}").unwrap();
            return;
        }
    };
    let mut killer = Killer::seeded(seed, Some(disk));
    killer.soak(world, trials);
    let (told, unsynced) = (killer.told, killer.unsynced_lost);
    killer
        .tell(&format!("{trials:>6}  power cuts, seed {seed}: {told} told records, none lost; {unsynced} unsynced files, lost"));
    assert!(told > trials, "{told} records were told before {trials} cuts");
    assert!(unsynced > 0, "nothing was ever lost: the cuts are none");
}
