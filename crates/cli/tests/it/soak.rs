//! Kill -9 of the program and of either server, at seeded times of forward runs and rollbacks (`scripts/soak --kills N`).
//!
//! After each kill the state is sound and the same command goes on. At the end of each forward run both stores are as after an
//! uninterrupted one, and after each rollback as before it, compared by full dumps.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};

use untether_model::Dn;

use crate::story::Dumps;
use crate::support::World;

/// Kills where nobody says how many (`UNTETHER_SOAK_KILLS`).
const KILLS: u64 = 20;
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

struct Soak {
    world: World,
    numbers: Numbers,
    left: u64,
    struck: BTreeMap<(Victim, &'static str), u64>,
    /// Batches that wait for a person since their rollback.
    rolled_back: Vec<String>,
}

impl Soak {
    /// Runs a command until it ends with this code, killing meanwhile.
    fn through(&mut self, phase: &'static str, words: &[&str], code: i32) {
        for _ in 0..A_COMMAND {
            if self.left == 0 || !self.kill(phase, words) {
                break;
            }
        }
        let ran = self.world.run(words).expect(code);
        assert!(!ran.stdout.contains("conflict"), "{phase}: {}", ran.said());
    }

    /// Kills somebody within a command. `false`: it ended before.
    fn kill(&mut self, phase: &'static str, words: &[&str]) -> bool {
        let victim = match self.numbers.below(4) {
            0 => Victim::Shared,
            1 => Victim::Independent,
            _ => Victim::Program,
        };
        let line = self.numbers.below(WITHIN);
        let mut child = self.world.spawn(&[&["--json"], words].concat());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let came = lines.by_ref().take(usize::try_from(line).unwrap() + 1).count();
        if u64::try_from(came).unwrap() <= line {
            child.wait().unwrap();
            return false;
        }
        match victim {
            Victim::Program => child.kill().unwrap(),
            Victim::Shared => self.world.pair.shared.kill(),
            Victim::Independent => self.world.pair.independent.kill(),
        }
        lines.for_each(drop);
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        match victim {
            Victim::Program => {}
            // Either it needed the store no more, or it says that the store is gone: nothing else.
            Victim::Shared | Victim::Independent => assert!(matches!(ended.status.code(), Some(0 | 1 | 4)), "{ended:?}"),
        }
        match victim {
            Victim::Program => {}
            Victim::Shared => self.world.pair.shared.start().unwrap(),
            Victim::Independent => self.world.pair.independent.start().unwrap(),
        }
        self.world.run(&["state", "check"]).expect(0);
        *self.struck.entry((victim, phase)).or_default() += 1;
        self.left -= 1;
        true
    }

    /// One wave forward and back; gives the dumps after each.
    fn cycle(&mut self, wave: &str, (forward, back): (&'static str, &'static str)) -> (Dumps, Dumps) {
        let name = wave.rsplit('/').next().unwrap_or(wave).to_owned();
        self.world.approve(wave, "soak", 1);
        // A batch that was rolled back goes on only when a person says so.
        let (mine, others): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.rolled_back).into_iter().partition(|batch| batch.starts_with(wave));
        self.rolled_back = others;
        for batch in mine {
            self.world.run(&["resume", "--batch", &batch, "--reason", "again"]).expect(0);
        }
        self.through(forward, &["run", "--wave", &name, "--execute"], 4);
        let there = self.world.dumps();
        let flags: &[&str] = match back {
            "rollback of a retire wave" => &["--to", "disable", "--enable-inactive"],
            _ => &["--to", "provision", "--delete-provisioned"],
        };
        let what = [&["rollback", "--wave", wave], flags].concat();
        let shown = self.world.run(&[&["--json"], &what[..]].concat()).expect(0);
        let row = shown.rows().remove(0);
        self.world.approve(row["order"].as_str().unwrap(), "provision", 2);
        self.through(back, &[&what[..], &["--execute"]].concat(), 0);
        let batches = row["concerns"].as_array().unwrap().iter().map(|concerned| concerned[0].as_str().unwrap().to_owned());
        self.rolled_back.extend(batches);
        (there, self.world.dumps())
    }
}

#[test]
fn killed_at_any_time_it_ends_as_one_application_and_goes_back_as_it_was() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (kills, seed) = (number("UNTETHER_SOAK_KILLS", KILLS), number("UNTETHER_SOAK_SEED", 1));
    let world = World::new(80);
    let plan = world.planned();
    let waves = ["retire", "migrate"].map(|wave| format!("{plan}/{wave}"));
    let phases = [("retire wave", "rollback of a retire wave"), ("migrate wave", "rollback of a migrate wave")];
    let mut soak = Soak { world, numbers: Numbers(seed), left: 0, struck: BTreeMap::new(), rolled_back: Vec::new() };
    // Uninterrupted, twice: a clear-text password comes back hashed from the first time, and is then no longer severed.
    let mut models = Vec::new();
    for _ in 0..2 {
        models = waves.iter().zip(phases).map(|(wave, phase)| soak.cycle(wave, phase)).collect::<Vec<(Dumps, Dumps)>>();
    }
    soak.left = kills;
    while soak.left > 0 {
        for ((wave, phase), (there, back)) in waves.iter().zip(phases).zip(&models) {
            let (now_there, now_back) = soak.cycle(wave, phase);
            let rewritten = |from: &Dumps, to: &Dumps| -> Vec<Dn> { from.changed(to, "pwdLastSuccess") };
            // What is made anew has another id, other times and another one-time credential.
            let of_new = |difference: &String| {
                let ours = [" entryUUID:", " createTimestamp:", " pwdChangedTime:", " userPassword:"];
                let dn = difference.strip_prefix('\'').and_then(|rest| Some(rest.split_once("' ")?.0));
                dn.is_some_and(|dn| back.independent(dn).is_none() && dn.ends_with(",dc=own,dc=example"))
                    && ours.iter().any(|attr| difference.contains(attr))
            };
            let mut told = there.differences(&now_there, &rewritten(there, &now_there));
            told.retain(|difference| !of_new(difference));
            assert_eq!(told, [""; 0], "{} forward", phase.0);
            assert_eq!(back.differences(&now_back, &rewritten(back, &now_back)), [""; 0], "{}", phase.1);
        }
    }
    let mut out = std::io::stderr();
    writeln!(out, "{kills:>6}  kills, seed {seed}").unwrap();
    for ((victim, phase), count) in &soak.struck {
        writeln!(out, "{count:>6}  of {victim:?} in a {phase}").unwrap();
    }
    if kills >= KILLS {
        for victim in [Victim::Program, Victim::Shared, Victim::Independent] {
            assert!(soak.struck.keys().any(|(struck, _)| *struck == victim), "{victim:?} was never killed");
        }
    }
}
