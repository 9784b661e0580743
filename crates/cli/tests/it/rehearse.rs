//! A rehearsal tells before what the run then does, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use untether_ledger::{Disk, Reader, StateDir};
use untether_model::run::Record;
use untether_testkit::lab::{Flavour, Role};

use crate::support::World;

/// Cells by stage and outcome.
type Cells = BTreeMap<String, BTreeMap<String, u64>>;

/// What the ledger says that a wave did.
fn carried_out(world: &World, wave: &str) -> Cells {
    let dir = StateDir::open(Disk::real(), world.state()).unwrap();
    let mut reader = Reader::open(dir.disk(), &dir.ledger()).unwrap();
    let mut last: BTreeMap<_, _> = BTreeMap::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        if frame.is_seam() {
            continue;
        }
        if let Record::Outcome { outcome } = Record::from_parts(&frame.kind, frame.body()).unwrap()
            && outcome.op.wave().to_string() == wave
        {
            for cell in outcome.cells {
                last.insert((outcome.op.clone(), cell.subject), (outcome.stage, cell.kind));
            }
        }
    }
    let mut cells = Cells::new();
    for (stage, kind) in last.into_values() {
        *cells.entry(stage.as_str().to_owned()).or_default().entry(in_place(kind.as_str())).or_default() += 1;
    }
    cells
}

/// Where two batches take the same value away, which of them is first depends on when people accept a gate: the other one finds it
/// `already` gone, or, where both were about to write, learns of it by looking again (`observed`).
fn in_place(kind: &str) -> String {
    if matches!(kind, "already" | "observed") { "succeeded".to_owned() } else { kind.to_owned() }
}

fn foretold(rehearsal: &Json, wave: &str) -> Cells {
    let told = wave_of(rehearsal, wave);
    let stages = told["stages"].as_object().unwrap();
    let mut cells = Cells::new();
    for (stage, count) in stages {
        for (kind, n) in count["cells"].as_object().unwrap() {
            *cells.entry(stage.clone()).or_default().entry(in_place(kind)).or_default() += n.as_u64().unwrap();
        }
    }
    cells
}

fn wave_of<'a>(rehearsal: &'a Json, wave: &str) -> &'a Json {
    rehearsal["waves"].as_array().unwrap().iter().find(|w| w["wave"] == wave).unwrap()
}

/// Entries of a store as the rehearsal leaves them: created, changed, removed.
fn changes(rehearsal: &Json, store: &str) -> [u64; 3] {
    let found = rehearsal["changes"].as_array().unwrap().iter().find(|c| c["store"] == store).unwrap();
    ["created", "changed", "removed"].map(|what| found[what].as_u64().unwrap())
}

fn wave_names(rehearsal: &Json) -> Vec<&str> {
    rehearsal["waves"].as_array().unwrap().iter().map(|w| w["wave"].as_str().unwrap()).collect()
}

#[test]
fn what_is_rehearsed_is_what_happens() {
    let world = World::new(120);
    let plan = world.planned();
    assert!(world.run(&["plan", "show"]).expect(0).stdout.contains("has not been rehearsed"));
    let before = world.dumps();
    let one = world.run(&["--json", "rehearse", "--wave", "retire"]).expect(0);
    assert_eq!(wave_names(&one.rows()[0]), ["retire"]);
    assert!(world.run(&["plan", "show"]).expect(0).stdout.contains("has not been rehearsed"), "one wave is not the plan");

    let ran = world.run(&["--json", "rehearse", "--against-servers", "--rate", "50"]).expect(0);
    let rehearsal = &ran.rows()[0];
    assert_eq!(rehearsal["schema"], "untether.rehearse/1");
    assert_eq!(wave_names(rehearsal), ["retire", "finish", "migrate"]);
    assert_eq!(rehearsal["refused"], 0, "{}", ran.stdout);
    assert_eq!(before.differences(&world.dumps(), &[]), Vec::<String>::new(), "a rehearsal changes nothing");
    for server in ["shared", "independent"] {
        let asked = &rehearsal["servers"][server];
        assert!(asked["asked"].as_u64().unwrap() > 20, "{asked}");
        assert_eq!(asked["refused"], serde_json::json!([]));
    }
    // Each gate that was only assumed is named, with why; soak times pass on the rehearsal's own clock.
    let gate = |wave: &str, gate: &str| wave_of(rehearsal, wave)["gates"][gate]["assumed"].as_u64();
    assert_eq!(gate("retire", "silence"), Some(2), "one a batch");
    assert!(gate("migrate", "mfa").unwrap() > 10);
    assert_eq!(gate("migrate", "own-account"), Some(0), "an unused one-time credential proves it");
    assert!(rehearsal["seconds"].as_u64().unwrap() > 3 * 14 * 86_400);
    let slow = world.run(&["--json", "rehearse", "--rate", "0.01"]).expect(0);
    assert!(slow.rows()[0]["seconds"].as_u64() > rehearsal["seconds"].as_u64());
    assert!(!ran.stdout.contains("{SSHA}") && !ran.stdout.contains("rehearsal-"), "no credential, and no placeholder of one");

    let shown = world.run(&["plan", "show"]).expect(0).stdout;
    assert!(shown.contains("was rehearsed: none of its"), "{shown}");
    let signer = world.signer(0);
    let mut words = vec!["plan", "approve", "--wave", "retire", "--through", "attest", "--reason", "reviewed"];
    words.extend(signer.iter().map(String::as_str));
    assert!(world.run(&words).expect(0).stderr.contains("was rehearsed: none of its"));

    // The same wave for real.
    let wave = format!("{plan}/retire");
    world.approve(&wave, "attest", 2);
    world.accept("silence", &["--wave", &wave]);
    world.go("retire", &[]).expect(0);
    assert_eq!(foretold(rehearsal, "retire"), carried_out(&world, &wave));
    let removed = one.rows()[0]["changes"].as_array().unwrap().iter().find(|c| c["store"] == "shared").unwrap().clone();
    let after = world.dumps();
    for entry in removed["entries"].as_array().unwrap() {
        let there = after.shared(entry["dn"].as_str().unwrap()).is_some();
        assert_eq!(there, entry["what"] != "removed", "{entry}");
    }
    assert!(changes(&one.rows()[0], "shared")[2] > 20);
}

#[test]
fn what_the_target_refuses_is_foretold() {
    let world = World::new(120);
    // No class of the new entries has this attribute; another entry that the reader sees has it.
    let domain = "dn: cn=domain,ou=groups,dc=own,dc=example\nobjectClass: groupOfNames\nobjectClass: dcObject\ncn: domain\ndc: 7\n\
                  member: cn=domain,ou=groups,dc=own,dc=example\n";
    world.pair.independent.add(domain).unwrap();
    world.configure("link_attribute = \"labSourceId\"", "link_attribute = \"labSourceId\"\nconstants = { dc = [\"7\"] }");
    let plan = world.planned();
    let ran = world.run(&["--json", "rehearse", "--against-servers"]).expect(4);
    let rehearsal = &ran.rows()[0];
    let refused = wave_of(rehearsal, "migrate")["refused"].as_array().unwrap();
    assert!(refused.len() > 5 && rehearsal["refused"].as_u64() == Some(refused.len() as u64), "{refused:?}");
    for refusal in refused {
        assert_eq!((&refusal["code"], &refusal["stage"]), (&Json::from(65), &Json::from("provision")), "{refusal}");
        assert!(refusal["message"].as_str().unwrap().contains("'dc' not allowed"), "{refusal}");
        assert!(refusal["dn"].as_str().unwrap().ends_with("ou=people,dc=own,dc=example"));
    }
    assert!(!wave_of(rehearsal, "migrate")["halts"].as_array().unwrap().is_empty());
    assert_eq!(wave_of(rehearsal, "retire")["refused"], serde_json::json!([]), "the other waves do not suffer");
    let by_server = rehearsal["servers"]["independent"]["refused"].as_array().unwrap();
    let names = |list: &[Json]| list.iter().map(|r| r["dn"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(names(by_server), names(refused), "the server says the same");
    let people = world.run(&["rehearse"]).expect(4).stdout;
    assert!(people.contains("would halt") && people.contains("'dc'"), "{people}");
    assert!(world.run(&["plan", "show"]).expect(0).stdout.contains(&format!("{} of its", refused.len())));

    // And so it comes.
    world.approve(&format!("{plan}/migrate"), "provision", 1);
    world.go("migrate", &["--through", "provision"]).expect(4);
    let real = carried_out(&world, &format!("{plan}/migrate"));
    assert!(real["provision"]["refused"] > 0 && real["provision"].len() == 1, "{real:?}");
}

/// Names and codes of what is refused.
fn refusals(list: &Json) -> BTreeSet<(String, u64)> {
    let of = |r: &Json| (r["dn"].as_str().unwrap().to_owned(), r["code"].as_u64().unwrap());
    list.as_array().unwrap().iter().map(of).collect()
}

/// What a run of the wave `migrate` through `provision` is refused.
fn met(world: &World, plan: &str) -> BTreeSet<(String, u64)> {
    world.approve(&format!("{plan}/migrate"), "provision", 1);
    let ran = world.run(&["--json", "run", "--wave", "migrate", "--execute", "--through", "provision"]);
    let shown = world.run(&["--json", "plan", "show", "--wave", "migrate"]).expect(0).rows().remove(0);
    let operations = shown["wave"].as_array().unwrap().iter().filter_map(|line| line.get("operation"));
    let name =
        |op: &Json| (format!("{plan}/migrate/{}/{}", op["batch"].as_str().unwrap(), op["n"]), op["target"]["new"]["dn"].clone());
    let targets: BTreeMap<String, Json> = operations.map(name).collect();
    let mut met = BTreeSet::new();
    for row in ran.rows() {
        let outcome = &row["record"]["body"]["outcome"];
        if outcome["cells"].to_string().contains("\"refused\"") {
            let dn = &targets[outcome["op"].as_str().unwrap()];
            met.insert((dn.as_str().unwrap().to_owned(), outcome["code"].as_u64().unwrap()));
        }
    }
    assert!(!met.is_empty(), "{}", ran.stderr);
    met
}

/// Values that the schema does not let in: twin, server and run refuse the same entries with the same code.
#[test]
fn values_that_the_schema_refuses_are_foretold_by_twin_and_server() {
    let world = World::new(400);
    // A Japanese name is no part of a mail address (IA5).
    world.configure("\"displayName\", \"mail\", \"employeeNumber\"", "\"displayName\", \"employeeNumber\"");
    world.configure("references = [\"manager\"]", "templates = { mail = \"{displayName}@own.example\" }");
    world.configure("failure_tolerance = 5", "failure_tolerance = 1000\ncanary_share_percent = 0.0");
    let plan = world.planned();
    let ran = world.run(&["--json", "rehearse", "--wave", "migrate", "--against-servers"]).expect(4);
    let rehearsal = &ran.rows()[0];
    let by_twin = refusals(&wave_of(rehearsal, "migrate")["refused"]);
    assert!(by_twin.len() > 50 && by_twin.iter().all(|(_, code)| *code == 21), "{by_twin:?}");
    assert_eq!(refusals(&rehearsal["servers"]["independent"]["refused"]), by_twin);
    assert_eq!(met(&world, &plan), by_twin);
}

/// Rights and overlays, of which a twin knows nothing: that is said, the server tells what it would refuse, and the run meets the same.
#[test]
fn what_only_the_server_refuses_is_told_by_the_server() {
    let world = World::bent(400, |pair| {
        pair.independent(|server| {
            let overlay =
                format!("olcOverlay={{{}}}constraint,olcDatabase={{1}}mdb,cn=config", Flavour::Independent.next_overlay());
            server.module("constraint").database_attribute("olcAddContentAcl: TRUE").config_entry(format!(
                "dn: {overlay}\nobjectClass: olcOverlayConfig\nobjectClass: olcConstraintConfig\nolcOverlay: constraint\n\
                     olcConstraintAttribute: uid regex ^[a-k]\n"
            ))
        })
    });
    let writer = world.pair.independent.dn(Role::Writer);
    let rule = format!("to attrs=telephoneNumber val.regex=\"[13579]$\" by dn.exact=\"{writer}\" none by * break");
    world.pair.independent.rule_first(&rule).unwrap();
    world.configure("failure_tolerance = 5", "failure_tolerance = 1000\ncanary_share_percent = 0.0");
    let plan = world.planned();
    let ran = world.run(&["--json", "rehearse", "--wave", "migrate", "--against-servers"]).expect(4);
    let rehearsal = &ran.rows()[0];
    let assumed = rehearsal["assumptions"].to_string();
    assert!(assumed.contains("the independent store has overlays that a twin does not imitate (constraint)"), "{assumed}");
    assert_eq!(wave_of(rehearsal, "migrate")["refused"], serde_json::json!([]));
    let by_server = refusals(&rehearsal["servers"]["independent"]["refused"]);
    let codes: BTreeSet<u64> = by_server.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, BTreeSet::from([19, 50]), "{by_server:?}");
    assert_eq!(met(&world, &plan), by_server);
}

/// What an interruption and a rollback would do is rehearsed too: cut again and again the plan ends alike, and a batch goes back.
#[test]
fn power_cuts_and_a_rollback_are_rehearsed() {
    let world = World::new(120);
    world.planned();
    let before = world.dumps();
    let words = ["--json", "rehearse", "--wave", "migrate", "--through", "soak", "--cut-every", "7", "--report", "en"];
    let ran = world.run(&[&words[..], &["--roll-back", "migrate/b01", "--to", "provision"]].concat()).expect(0);
    let rehearsal = &ran.rows()[0];
    let cuts = &rehearsal["cuts"];
    assert!(cuts["cuts"].as_u64().unwrap() > 10 && cuts["under_way"].as_u64().unwrap() > 10, "{cuts}");
    assert_eq!((&cuts["same_end"], &cuts["differences"]), (&Json::from(true), &serde_json::json!([])));
    let back = &rehearsal["rolled_back"][0];
    assert!(back["subjects"].as_u64().unwrap() >= 5, "{back}");
    assert_eq!(back["conflicts"], serde_json::json!([]));
    for other in back["not_as_before"].as_array().unwrap() {
        // Who was made stays, locked; whose password was written lacks what nobody can set.
        let kept =
            other["entry"]["what"] == "created" || other["entry"]["attrs"].as_object().unwrap().keys().eq(["pwdLastSuccess"]);
        assert!(kept, "{other}");
    }
    assert!(!rehearsal["report"]["batches"].as_array().unwrap().is_empty(), "{}", rehearsal["report"]);
    assert_eq!(before.differences(&world.dumps(), &[]), Vec::<String>::new());

    let people =
        world.run(&["rehearse", "--wave", "migrate", "--through", "soak", "--report", "ja", "--cut-every", "20"]).expect(0);
    for words in ["予行演習の結果です", "both stores end as without any cut", "comes through soak"] {
        assert!(people.stdout.contains(words), "{words} in {}", people.stdout);
    }
    assert!(people.stderr.contains("power cut 1: "), "{}", people.stderr);
    assert!(world.run(&["report"]).expect(0).stdout.find("予行演習").is_none(), "the real report knows nothing of it");
    for (words, said) in [
        (&["rehearse", "--roll-back", "b01"][..], "a batch is WAVE/BATCH"),
        (&["rehearse", "--roll-back", "migrate/b99"], "wave migrate has: b01"),
        (&["rehearse", "--through", "soak"], "--wave"),
        (&["rehearse", "--cut-every", "0"], "--cut-every"),
    ] {
        let ran = world.run(words).expect(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn exports_without_any_server_are_rehearsed() {
    let mut world = World::new(120);
    world.offline("ldif = [\"shared.ldif\"]", "ldif = [\"independent.ldif\"]");
    for server in [&world.pair.shared, &world.pair.independent] {
        world.write(&format!("{}.ldif", server.flavour().name()), server.dump().unwrap());
    }
    world.pair.shared.stop().unwrap();
    world.pair.independent.stop().unwrap();
    world.planned();
    let ran = world.run(&["--json", "rehearse", "--against-servers"]).expect(0);
    let rehearsal = &ran.rows()[0];
    assert_eq!(rehearsal["executable"], false);
    assert_eq!(wave_names(rehearsal), ["retire", "finish", "migrate"]);
    assert!(rehearsal["operations"].as_u64().unwrap() > 300);
    assert_eq!(rehearsal["servers"], serde_json::json!({}));
    let assumed = rehearsal["assumptions"].to_string();
    for words in ["schema is not in the snapshot", "cn=config is not in the snapshot", "was not asked: there is no server"] {
        assert!(assumed.contains(words), "{words} in {assumed}");
    }
    assert!(world.run(&["plan", "show"]).expect(0).stdout.contains("was rehearsed"));
}
