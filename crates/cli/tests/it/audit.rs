//! `untether audit`: what it finds in real stores and in their exports, and what it says of input that is not whole.

use serde_json::Value;
use untether_testkit::generate::Options;
use untether_testkit::truth::{Found, differences, labels};

use crate::story::clock;
use crate::support::World;

/// The findings of the last audit as the ground truth compares them.
fn found(world: &World) -> Vec<Found> {
    let text = |row: &Value, key: &str| row[key].as_str().map(str::to_owned);
    let of = |row: &Value| Found {
        rule: text(row, "rule").unwrap(),
        severity: text(row, "severity").unwrap(),
        store: text(row, "store").unwrap(),
        dn: text(row, "dn"),
        about: row["evidence"]["facts"]["rule"][0].as_str().map(str::to_owned),
        entity: text(row, "entity"),
        evidence: row["evidence"].to_string(),
    };
    world.run(&["--json", "findings"]).expect(0).rows().iter().map(of).collect()
}

#[test]
fn on_real_servers_every_labelled_case_is_found_and_nothing_else() {
    for (seed, people, links) in [(5, 200, false), (6, 300, true)] {
        // The labels hold for a moment, and the program audits now.
        let options = Options { seed, people, links, now: clock(), ..Options::default() };
        let world = World::generated(&options, |pair| pair);
        world.run(&["init"]).expect(0);
        world.run(&["audit"]).expect(0);
        if let Some(difference) = differences(&found(&world), &labels(&world.data()).unwrap()) {
            panic!("seed {seed}, {people} people: {difference}");
        }
    }
}
