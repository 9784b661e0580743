//! Each kind of fault between the program and a store, in the middle of waves and rollbacks: the command stops with exit code 1 or
//! goes on, within its bounds of time and memory, and nothing is lost; when the fault is lifted, the same command goes on, and in the
//! end both stores are as after undisturbed ones.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Child;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use untether_testkit::lab::Server;
use untether_testkit::proxy::{After, Fault, Hostile, Proxy, Sender};

use crate::cycle::Cycles;
use crate::support::World;

/// Bytes that the program may allocate, its threads' stacks included.
const MEMORY: u64 = 256 << 20;
/// Operations a second while faults strike, so that there are operations left to strike.
const THROTTLE: &str = "8";

struct Breaker {
    faults: Vec<Fault>,
    shared: Proxy,
    independent: Proxy,
    /// How often each fault struck in each phase.
    struck: BTreeMap<(String, &'static str), u64>,
}

impl Breaker {
    /// Stands between the program and both stores from now on, under these schemes.
    fn between(world: &World, url: impl Fn(&Server) -> String, faults: Vec<Fault>) -> Self {
        let [shared, independent] = [&world.pair.shared, &world.pair.independent].map(|server| {
            let (proxy, through) = Proxy::before(&url(server)).unwrap();
            world.configure(&format!("url = \"{}\"", server.ldaps_url()), &format!("url = \"{through}\""));
            proxy
        });
        Self { faults, shared, independent, struck: BTreeMap::new() }
    }

    /// Each fault once within the command, at the store that the phase changes.
    fn strike(&mut self, world: &World, phase: &'static str, words: &[&str]) {
        let proxy = if phase.contains("migrate") { &self.independent } else { &self.shared };
        world.run(&["throttle", THROTTLE]).expect(0);
        for fault in &self.faults {
            let before = proxy.struck();
            let mut child = world.spawn(&[&["--json"], words].concat());
            limit_memory(&child);
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            if !lines.any(|line| line.unwrap().contains("\"outcome\"")) {
                // Faults that let a part through may bring the command to its end; the phase is over then.
                child.wait().unwrap();
                break;
            }
            proxy.set(*fault);
            lines.for_each(drop);
            let ended = child.wait_with_output().unwrap();
            proxy.lift();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(matches!(ended.status.code(), Some(0 | 1 | 4)), "{fault} in a {phase}: {}\n{said}", ended.status);
            assert!(!said.contains("panicked"), "{fault} in a {phase}: {said}");
            world.run(&["state", "check"]).expect(0);
            *self.struck.entry((fault.to_string(), phase)).or_default() += proxy.struck() - before;
        }
        world.run(&["throttle", "off"]).expect(0);
    }

    /// Every fault struck, each of the first so many in that many phases: the shorter ones may end before its turn comes.
    fn assert_struck(&self, (everywhere, phases): (usize, usize)) {
        for (at, fault) in self.faults.iter().enumerate() {
            let of_it = self.struck.iter().filter(|((name, _), count)| *name == fault.to_string() && **count > 0).count();
            let least = if at < everywhere { phases } else { 1 };
            assert!(of_it >= least, "{fault} struck in {of_it} phases: {:?}", self.struck);
        }
    }
}

fn limit_memory(child: &Child) {
    let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    prlimit(Some(Pid::from_child(child)), Resource::Data, limit).unwrap();
}

fn world() -> World {
    let world = World::new(80);
    // What is silent is waited for no longer.
    for side in ["shared", "independent"] {
        world.configure(&format!("[{side}]\n"), &format!("[{side}]\nconnect_seconds = 2\noperation_seconds = 2\n"));
    }
    world
}

#[test]
fn the_network_breaks_in_the_middle_of_waves_and_rollbacks() {
    let mut cycles = Cycles::new(world());
    let after = |bytes, sender| After { bytes, sender };
    let faults = vec![
        // A reply that is lost after its effect, in each way; a request that is lost before it.
        Fault::Cut(after(1, Sender::Server)),
        Fault::Stall(after(1, Sender::Server)),
        Fault::HalfOpen(after(1, Sender::Server)),
        Fault::Cut(after(20, Sender::Client)),
        Fault::Trickle(3_000),
        // New connections come to stand and break later: with each of them the command gets on, and may reach its end.
        Fault::Reset(after(3_000, Sender::Server)),
    ];
    let at_once = faults.len() - 2;
    let mut breaker = Breaker::between(&cycles.world, |server| server.ldaps_url().to_owned(), faults);
    cycles.disturbed(&mut |world, phase, words| breaker.strike(world, phase, words));
    breaker.assert_struck((at_once, 2));
}

#[test]
fn a_store_lies_in_the_middle_of_waves() {
    let world = world();
    for side in ["shared", "independent"] {
        world.configure(&format!("[{side}]\n"), &format!("[{side}]\nallow_plain_loopback = true\n"));
    }
    let mut cycles = Cycles::new(world);
    let faults = Hostile::ALL.map(|(_, what)| Fault::Hostile { what, after_answers: 0 }).to_vec();
    let mut breaker = Breaker::between(&cycles.world, |server| server.ldap_url().to_owned(), faults);
    cycles.disturbed(&mut |world, phase, words| {
        if !phase.contains("rollback") {
            breaker.strike(world, phase, words);
        }
    });
    breaker.assert_struck((Hostile::ALL.len() - 3, 2));
}
