//! `untether audit`: what it finds in real stores and in their exports, and what it says of input that is not whole.

use std::collections::BTreeSet;

use serde_json::Value;
use untether_testkit::generate::Options;
use untether_testkit::lab::{Role, Server};
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

/// Finding ids of the last audit by rule, those of `coverage` apart: (all others, `coverage`).
fn ids(world: &World) -> (BTreeSet<String>, BTreeSet<String>) {
    let rows = world.run(&["--json", "findings"]).expect(0).rows();
    let (coverage, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row["rule"].as_str().unwrap().starts_with("coverage."));
    let ids = |rows: Vec<&Value>| rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    (ids(others), ids(coverage))
}

/// The reasons of the findings of one rule.
fn reasons(world: &World, rule: &str) -> Vec<String> {
    world.run(&["--json", "findings", "--rule", rule]).expect(0).rows().iter().map(|row| row["evidence"].to_string()).collect()
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

/// What `ldapsearch` shows the reader of a subtree, with these options before the filter.
fn searched(server: &Server, base: &str, options: &[&str]) -> String {
    let mut command = server.description().client("ldapsearch", Role::Reader).unwrap();
    let output = command.args(["-b", base, "-MM"]).args(options).args(["(objectClass=*)", "*", "+"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn exports_say_the_same_as_their_servers() {
    let options = Options { seed: 8, people: 200, links: true, now: clock(), ..Options::default() };
    let mut world = World::generated(&options, |pair| pair);
    world.run(&["init"]).expect(0);
    world.run(&["audit"]).expect(0);
    let (live, skipped_live) = ids(&world);
    assert!(live.len() > 200, "{}", live.len());

    let (shared, independent) = (&world.pair.shared, &world.pair.independent);
    for server in [shared, independent] {
        let name = server.flavour().name();
        world.write(&format!("{name}-slapcat.ldif"), server.dump().unwrap());
        world.write(&format!("{name}-config.ldif"), server.slapcat("cn=config").unwrap());
        world.write(&format!("{name}-plain.ldif"), searched(server, server.suffix(), &[]));
        world.write(&format!("{name}-bare.ldif"), searched(server, server.suffix(), &["-LLL"]));
    }
    world.write("log-slapcat.ldif", shared.slapcat("cn=accesslog").unwrap());
    world.write("log-plain.ldif", searched(shared, "cn=accesslog", &[]));
    world.write("log-bare.ldif", searched(shared, "cn=accesslog", &["-LLL"]));
    world.pair.shared.stop().unwrap();
    world.pair.independent.stop().unwrap();
    for form in ["slapcat", "plain", "bare"] {
        let lines =
            |side: &str, log: &str| format!("ldif = [\"{side}-{form}.ldif\"{log}]\nconfig_ldif = [\"{side}-config.ldif\"]");
        world.offline(&lines("shared", &format!(", \"log-{form}.ldif\"")), &lines("independent", ""));
        let audit = world.run(&["--json", "audit"]).expect(0).rows().remove(0);
        assert_eq!(audit["executable"], false);
        let (offline, skipped) = ids(&world);
        let (missing, extra): (Vec<_>, Vec<_>) = (live.difference(&offline).collect(), offline.difference(&live).collect());
        assert!(missing.is_empty() && extra.is_empty(), "{form}: missing {missing:?}, extra {extra:?}");
        assert!(skipped_live.is_subset(&skipped), "{form}");
        world.run(&["plan"]).expect(0);
        let plan = world.run(&["plan", "show"]).expect(0).stdout;
        assert!(plan.contains("cannot be run, only rehearsed: the shared store was read from an export"), "{plan}");
        let refused = world.run(&["run", "--wave", "retire", "--execute"]).expect(2);
        assert!(refused.stderr.contains("export"), "{}", refused.stderr);
    }
}

#[test]
fn an_export_that_is_not_whole_is_refused_with_its_line_or_counts_as_truncated() {
    let mut world = World::new(60);
    world.run(&["audit"]).expect(0);
    let before = world.run(&["--json", "findings"]).expect(0).rows();
    let shared = world.pair.shared.dump().unwrap();
    world.write("independent.ldif", world.pair.independent.dump().unwrap());
    let searched = searched(&world.pair.shared, world.pair.shared.suffix(), &[]);
    world.pair.shared.stop().unwrap();
    world.pair.independent.stop().unwrap();
    world.offline("ldif = [\"shared.ldif\"]", "ldif = [\"independent.ldif\"]");

    let frames = |world: &World| world.run(&["--json", "state", "check"]).expect(0).rows()[0]["ledger"]["frames"].clone();
    let written = frames(&world);
    let lines = shared.lines().count();
    let dn = "dn: uid=x,ou=own,ou=accounts,dc=shared,dc=example";
    let refusals = [
        (format!("{shared}{dn}\nobjectClass: device\nthis is no line\n\n"), lines + 3, "expected"),
        (format!("{shared}{dn}\ncn:: ####\n\n"), lines + 2, "base64"),
        (format!("{shared}{dn}\njpegPhoto:< file:///etc/passwd\n\n"), lines + 2, "URL"),
        (format!("{shared}{dn}\nchangetype: add\ncn: x\n\n"), lines + 2, "change"),
        (format!("{shared}dn: uid=x,,dc=example\ncn: x\n\n"), lines + 1, "uid=x,,dc=example"),
        (format!("{shared}{dn}\ncn: cut of"), lines + 2, "ends in the middle"),
    ];
    for (text, line, words) in refusals {
        world.write("shared.ldif", text);
        let said = world.run(&["audit"]).expect(2).stderr;
        let place = [format!("line {line}"), format!(":{line}")];
        assert!(said.contains("shared.ldif") && place.iter().any(|p| said.contains(p)), "line {line}: {said}");
        assert!(said.to_lowercase().contains(&words.to_lowercase()), "{words}: {said}");
    }
    std::fs::remove_file(world.directory().join("shared.ldif")).unwrap();
    let said = world.run(&["audit"]).expect(2).stderr;
    assert!(said.contains("shared.ldif") && said.contains("No such file"), "{said}");
    assert_eq!(frames(&world), written, "a refused export is not recorded");
    assert_eq!(world.run(&["--json", "findings"]).expect(0).rows(), before);

    // Exports that are well formed and not whole.
    let result = searched.rfind("# search result").unwrap();
    let canary = searched.find("dn: uid=canary,").unwrap();
    let after = canary + searched[canary..].find("\n\n").unwrap() + 2;
    let stated = searched.find("# numEntries: ").unwrap();
    let truncated = [
        (searched.replace("result: 0 Success", "result: 4 Size limit exceeded"), "result 4"),
        (format!("{}{}", &searched[..canary], &searched[after..result]), "canary"),
        (format!("{}# numEntries: 100000\n", &searched[..stated]), "100000"),
    ];
    for (text, words) in truncated {
        world.write("shared.ldif", text);
        world.run(&["audit"]).expect(0);
        let reasons = reasons(&world, "coverage.truncated");
        assert!(reasons.iter().any(|reason| reason.contains(words)), "{words}: {reasons:?}");
        let shown = world.run(&["--json", "findings", "--rule", "coverage.truncated"]).expect(0).rows();
        assert!(shown.iter().all(|row| row["severity"] == "high" || row["severity"] == "critical"), "{shown:?}");
    }
}
