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

/// The generated roster, rewritten line by line: `None` drops a line. The first is the header.
fn rewrite(world: &World, roster: &str, mut line: impl FnMut(usize, &str) -> Option<String>) {
    let lines: Vec<String> = roster.lines().enumerate().filter_map(|(n, text)| line(n, text)).collect();
    world.write("data/roster.csv", format!("{}\n", lines.join("\n")));
}

#[test]
fn the_roster_is_read_in_every_encoding_and_refused_with_its_lines() {
    let world = World::new(60);
    let path = world.data().join("roster.csv");
    let original = std::fs::read(&path).unwrap();
    let text = String::from_utf8(original.clone()).unwrap();
    // What Shift_JIS cannot say is not in an export from Excel.
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(text.strip_prefix('\u{feff}').unwrap_or(&text));
    let roster = encoding_rs::SHIFT_JIS.decode(&bytes).0.into_owned();
    let digest = |world: &World| world.run(&["--json", "roster", "check"]).expect(0).rows()[0]["digest"].clone();
    world.write("data/roster.csv", &roster);
    let plain = digest(&world);
    let (shift_jis, _, unmapped) = encoding_rs::SHIFT_JIS.encode(&roster);
    assert!(!unmapped && shift_jis.as_ref() != roster.as_bytes(), "the roster has Japanese names");
    let forms = [format!("\u{feff}{roster}").into_bytes(), shift_jis.into_owned(), roster.replace('\n', "\r\n").into_bytes()];
    for form in forms {
        world.write("data/roster.csv", form);
        assert_eq!(digest(&world), plain, "the same people in every form");
    }
    world.run(&["audit"]).expect(0);
    let before = ids(&world);

    let header = roster.lines().next().unwrap();
    let status = header.split(',').position(|column| column == "status").unwrap();
    let refusals: [(&str, &[&str]); 5] = [
        ("word", &["line 3", "on sabbatical"]),
        ("column", &["status"]),
        ("ragged", &["line 4"]),
        ("empty", &["no rows"]),
        ("cut", &["line"]),
    ];
    for (what, words) in refusals {
        match what {
            "word" => rewrite(&world, &roster, |n, line| {
                let mut fields: Vec<&str> = line.split(',').collect();
                if n == 2 {
                    fields[status] = "on sabbatical";
                }
                Some(fields.join(","))
            }),
            "column" => {
                rewrite(&world, &roster, |n, line| Some(if n == 0 { line.replace("status", "state") } else { line.to_owned() }))
            }
            "ragged" => rewrite(&world, &roster, |n, line| Some(if n == 3 { format!("{line},more") } else { line.to_owned() })),
            "empty" => rewrite(&world, &roster, |n, line| (n == 0).then(|| line.to_owned())),
            _ => world.write("data/roster.csv", &roster.as_bytes()[..roster.rfind(',').unwrap()]),
        }
        for command in [&["audit"][..], &["roster", "check"]] {
            let said = world.run(command).expect(2).stderr;
            assert!(said.contains("roster.csv") && words.iter().all(|word| said.contains(word)), "{what}: {said}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let said = world.run(&["audit"]).expect(2).stderr;
    assert!(said.contains("roster.csv") && said.contains("No such file"), "{said}");
    world.write("data/roster.csv", original);
    assert_eq!(ids(&world), before, "what was refused left the last audit as it was");
}

#[test]
fn a_roster_that_lost_many_people_is_an_outage_and_nobody_has_left() {
    let world = World::new(200);
    world.planned();
    let roster = std::fs::read_to_string(world.data().join("roster.csv")).unwrap();
    // An export that broke off after a whole line: every sign of its own says that it is complete.
    let rows = roster.lines().count();
    let broken_off = |n: usize, line: &str| (n < rows / 2).then(|| line.to_owned());
    rewrite(&world, &roster, broken_off);

    world.run(&["audit"]).expect(0);
    let told = reasons(&world, "coverage.truncated");
    assert!(told.iter().any(|reason| reason.contains("active people") && reason.contains("max_shrink_percent")), "{told:?}");
    let planned = world.run(&["--json", "plan"]).expect(0);
    assert_eq!(planned.rows()[0]["executable"], false);
    // Again: what is compared is the last complete audit, not the last one.
    world.run(&["audit"]).expect(0);
    assert!(!reasons(&world, "coverage.truncated").is_empty());

    rewrite(&world, &roster, |_, line| Some(line.to_owned()));
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "disable", 1);
    rewrite(&world, &roster, broken_off);
    let dumps = world.dumps();
    let refused = world.run(&["run", "--wave", "retire", "--execute"]).expect(2).stderr;
    assert!(refused.contains("the roster has shrunk") && refused.contains("nothing was enabled or disabled"), "{refused}");
    assert_eq!(dumps.differences(&world.dumps(), &[]), Vec::<String>::new());

    // A person says that it is right.
    world.configure("max_shrink_percent = 20", "max_shrink_percent = 100");
    world.run(&["audit"]).expect(0);
    assert_eq!(reasons(&world, "coverage.truncated"), Vec::<String>::new());
}

#[test]
fn the_roster_judged_as_of_a_later_day_shows_what_will_be_left_and_plans_nothing() {
    let world = World::new(120);
    world.run(&["audit"]).expect(0);
    let left = |world: &World| reasons(world, "residual.departed").len() + reasons(world, "residual.contract-ended").len();
    let now = left(&world);
    let audit = world.run(&["--json", "audit", "--as-of", "2030-01-01"]).expect(0).rows().remove(0);
    assert_eq!((audit["as_of"].as_str(), &audit["executable"]), (Some("2030-01-01"), &Value::Bool(false)));
    assert!(left(&world) > now, "{now}");
    let planned = world.run(&["--json", "plan"]).expect(0);
    assert_eq!(planned.rows()[0]["executable"], false);
    let plan = world.run(&["plan", "show"]).expect(0).stdout;
    assert!(plan.contains("as of 2030-01-01"), "{plan}");
    let refused = world.run(&["run", "--wave", "retire", "--execute"]).expect(4).said();
    assert!(refused.contains("as of 2030-01-01"), "{refused}");
    world.run(&["audit", "--as-of", "2030-13-01"]).expect(2);
    // The next audit is judged as of now again.
    world.run(&["audit"]).expect(0);
    assert_eq!(left(&world), now);
}
