//! `untether report`: every form, in both languages, to standard output and to files; figures equal the findings'.

use std::collections::BTreeSet;
use std::process::Command;

use untether_testkit::populate::{Options, populate};

use crate::story::clock;
use crate::support::World;

fn files(directory: &std::path::Path) -> BTreeSet<String> {
    std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_report_is_written_in_both_languages_and_names_its_records() {
    let world = World::new(60);
    let before = world.run(&["report", "--lang", "ja"]).expect(0).stdout;
    assert!(before.contains("監査を実施していません"), "{before}");
    world.run(&["audit"]).expect(0);

    let report = world.run(&["--json", "report"]).expect(0).rows().remove(0);
    assert_eq!(report["schema"], "untether.report/1");
    let listed = world.run(&["--json", "findings", "--rule", "residual.credential", "--store", "shared"]).expect(0).rows();
    let entities = report["entities"].as_array().unwrap();
    let credentials: u64 = entities.iter().filter_map(|e| e["residual"]["credentials"]["left"].as_u64()).sum();
    assert_eq!(credentials, listed.len() as u64, "the report counts what the findings list");
    let record = report["last_audit"]["record"].as_u64().unwrap();
    assert!(entities.iter().all(|e| e["residual"]["records"]["left_record"] == record));
    let departed = entities.iter().flat_map(|e| e["residual"]["rules"].as_array().unwrap());
    assert!(departed.into_iter().any(|r| r["rule"] == "residual.departed" && r["left"].as_u64() > Some(0)));
    // All accounts are counted, not only those with a finding.
    let audited = world.run(&["--json", "audit"]).expect(0).rows().remove(0);
    let report = world.run(&["--json", "report"]).expect(0).rows().remove(0);
    let in_shared = report["audits"][1]["accounts"]["accounts"].as_u64().unwrap();
    let in_scope = audited["in_scope"]["shared"].as_u64().unwrap();
    assert!(in_shared > 0 && in_shared <= in_scope && in_scope - in_shared <= 1, "all but the canary: {in_shared} of {in_scope}");

    let record = report["last_audit"]["record"].as_u64().unwrap();
    let japanese = world.run(&["report", "--lang", "ja"]).expect(0).stdout;
    assert!(japanese.contains(&format!("の監査（記録番号 {record}）によります")), "{japanese}");
    let english = world.run(&["report"]).expect(0).stdout;
    assert!(english.contains(&format!("(record {record})")), "{english}");
    let csv = world.run(&["report", "--format", "csv"]).expect(0).stdout;
    assert!(csv.starts_with('\u{feff}'), "{csv}");
    assert_eq!(csv.lines().count(), report["entities"].as_array().unwrap().len() + 1, "{csv}");
    let published = world.run(&["report", "--format", "published", "--lang", "ja"]).expect(0).stdout;
    assert!(published.contains("■ 施策ごとの進捗") && !published.contains("月末完了】"), "{published}");
    world.run(&["report", "--format", "table"]).expect(2);
}

#[test]
fn a_page_is_written_with_its_tables_beside_it_and_nothing_else_is_touched() {
    let world = World::new(40);
    world.run(&["audit"]).expect(0);
    world.run(&["plan"]).expect(0);
    let out = world.directory().join("reports/2027-01");
    let arguments = ["report", "--format", "html", "--lang", "ja", "--out", "reports/2027-01"];
    let said = world.run(&arguments).expect(0).stdout;
    let first = files(&out);
    assert_eq!(said.lines().count(), first.len(), "{said}");
    assert!(
        first.contains("report.ja.html") && first.contains("entities.ja.csv") && first.contains("exceptions.ja.csv"),
        "{first:?}"
    );
    let page = std::fs::read_to_string(out.join("report.ja.html")).unwrap();
    assert!(page.contains("業務委託先") && page.contains("lang=\"ja\""), "{page}");
    for name in page.split("<code>").skip(1).filter_map(|p| p.split('<').next()).filter(|n| n.ends_with(".csv")) {
        assert!(first.contains(name), "the page names a file that is not there: {name}");
    }

    std::fs::write(out.join("mine.txt"), "mine").unwrap();
    let json = world.run(&[&["--json"][..], &arguments[..]].concat()).expect(0).rows().remove(0);
    assert_eq!(json["schema"], "untether.report.files/1");
    assert_eq!(json["files"].as_array().unwrap().len(), first.len());
    world.run(&["report", "--format", "published", "--lang", "en", "--out", "reports/2027-01"]).expect(0);
    let more: BTreeSet<String> = files(&out).difference(&first).cloned().collect();
    assert_eq!(more, BTreeSet::from(["mine.txt".to_owned(), "published.en.txt".to_owned()]));

    // What the plan foresaw is in the ledger, so a forecast stands in the report of a plan that nobody has run.
    let report = world.run(&["--json", "report"]).expect(0).rows().remove(0);
    let planned: u64 = report["entities"].as_array().unwrap().iter().filter_map(|e| e["outlook"]["planned"].as_u64()).sum();
    let waves = report["planned"].as_array().unwrap();
    assert_eq!(planned, waves.iter().filter_map(|w| w["subjects"].as_u64()).sum::<u64>());
    assert!(report["gaps"].as_array().unwrap().iter().all(|gap| gap["gap"] != "no-forecast"), "{}", report["gaps"]);
}

#[test]
fn a_report_that_cannot_be_written_says_where() {
    let world = World::new(40);
    world.write("taken", "a file where a directory should be");
    let ran = world.run(&["report", "--format", "html", "--out", "taken"]).expect(1);
    assert!(ran.stderr.contains("'taken' cannot be written"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(world.directory().join("taken")).unwrap(), "a file where a directory should be");
}

/// What commands are measured on can be read by them.
#[test]
fn a_state_that_was_made_to_measure_commands_on_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made");
    populate(&Options { subjects: 300, batch: 20, now: clock() }, &made).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_untether"));
        let output = command.arg("--config").arg(made.join("untether.toml")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["status"]).contains("retire"));
    assert!(run(&["report", "--format", "html", "--lang", "ja"]).contains("国内子会社"));
}
