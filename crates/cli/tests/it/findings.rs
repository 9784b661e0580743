//! `untether findings`, `subject`: what an audit found, told in every form, and without the state's lock.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{World, text};

#[test]
fn findings_are_listed_filtered_counted_and_explained() {
    let world = World::new(60);
    let none = world.run(&["findings"]).expect(2);
    assert!(none.stderr.contains("nothing has been audited") && none.stderr.contains("untether audit"), "{}", none.stderr);
    world.run(&["audit"]).expect(0);

    let all = world.run(&["--json", "findings"]).expect(0).rows();
    assert!(all.len() > 10, "{}", all.len());
    for row in &all {
        for key in ["id", "rule", "severity", "store", "remedy"] {
            assert!(!text(row, key).is_empty(), "{row}");
        }
        assert!(row["evidence"].is_object() && row["planned"] == false && row["waived_until"].is_null(), "{row}");
    }
    let ids: Vec<&str> = all.iter().map(|row| text(row, "id")).collect();
    let places: Vec<_> = all.iter().map(|row| (text(row, "rule"), text(row, "store"))).collect();
    assert!(places.is_sorted(), "by rule and store: {places:?}");
    let again = world.run(&["--json", "findings"]).expect(0).rows();
    assert_eq!(again, all, "the same order each time");
    world.run(&["audit"]).expect(0);
    let next: Vec<Value> = world.run(&["--json", "findings"]).expect(0).rows();
    assert_eq!(next.iter().map(|row| text(row, "id")).collect::<Vec<_>>(), ids, "ids are stable between audits");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "one finding was listed twice");

    filters(&world, &all);
    forms(&world, &all);
    explanations(&world);
}

fn filters(world: &World, all: &[Value]) {
    let listed = |arguments: &[&str]| -> Vec<String> {
        let command: Vec<&str> = ["--json", "findings"].into_iter().chain(arguments.iter().copied()).collect();
        world.run(&command).expect(0).rows().iter().map(|row| text(row, "id").to_owned()).collect()
    };
    let wanted = |keep: &dyn Fn(&Value) -> bool| -> Vec<String> {
        all.iter().filter(|row| keep(row)).map(|row| text(row, "id").to_owned()).collect()
    };
    assert_eq!(listed(&["--rule", "residual"]), wanted(&|r| text(r, "rule").starts_with("residual.")));
    assert_eq!(listed(&["--rule", "residual.departed"]), wanted(&|r| r["rule"] == "residual.departed"));
    assert_eq!(listed(&["--severity", "high"]), wanted(&|r| ["high", "critical"].contains(&text(r, "severity"))));
    assert_eq!(listed(&["--store", "independent"]), wanted(&|r| r["store"] == "independent"));
    let with_entity = all.iter().find(|r| r["entity"].is_string()).unwrap();
    assert_eq!(listed(&["--entity", text(with_entity, "entity")]), wanted(&|r| r["entity"] == with_entity["entity"]));
    let with_subject = all.iter().find(|r| r["subject"].is_string()).unwrap();
    assert_eq!(listed(&["--subject", text(with_subject, "subject")]), wanted(&|r| r["subject"] == with_subject["subject"]));

    let refused = world.run(&["findings", "--rule", "residual.departd"]).expect(2);
    assert!(refused.stderr.contains("residual.departed"), "{}", refused.stderr);
    world.run(&["findings", "--severity", "grave"]).expect(2);
    world.run(&["findings", "--store", "both"]).expect(2);
}

fn forms(world: &World, all: &[Value]) {
    let csv = world.run(&["findings", "--format", "csv"]).expect(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
    assert_eq!(rows.len(), all.len());
    for field in rows.iter().flatten() {
        assert!(!field.starts_with(['=', '+', '-', '@']), "a spreadsheet takes {field:?} for a formula");
    }
    let table = world.run(&["findings"]).expect(0).stdout;
    let critical = all.iter().filter(|r| r["severity"] == "critical").count();
    let last = table.lines().last().unwrap();
    assert!(last.starts_with(&format!("{} open", all.len())) && last.contains(&format!("{critical} critical")), "{last}");

    assert!(critical > 0, "the generated data has people who left and can still log in");
    world.run(&["findings", "--fail-on", "critical"]).expect(3);
    world.run(&["findings", "--fail-on", "critical", "--rule", "coverage"]).expect(0);
}

fn explanations(world: &World) {
    let one = world.run(&["findings", "--explain", "residual.departed"]).expect(0).stdout;
    for heading in ["Raised when:", "Severity:", "Why:", "What to do:", "Answers:"] {
        assert!(one.contains(heading), "{one}");
    }
    let every = world.run(&["--json", "findings", "--explain", "all"]).expect(0).rows();
    assert!(every.iter().any(|r| r["rule"] == "link.replication") && every.len() > 20);
    world.run(&["findings", "--explain", "link.trust"]).expect(2);
}

#[test]
fn a_subject_is_found_by_every_name_and_a_person_decides_on_it() {
    let world = World::new(200);
    world.run(&["audit"]).expect(0);
    let orphan = world.run(&["--json", "findings", "--rule", "residual.orphan", "--store", "shared"]).expect(0).rows();
    let orphan = orphan.first().expect("the generated data has orphans");
    let (id, dn) = (text(orphan, "subject"), text(orphan, "dn"));

    let shown = world.run(&["--json", "subject", "show", id]).expect(0).rows().remove(0);
    assert_eq!(shown["schema"], "untether.subject.show/1");
    assert_eq!(text(&shown, "id"), id);
    assert!(shown["findings"].as_array().unwrap().iter().any(|f| f["id"] == orphan["id"]));
    let account = &shown["subject"]["accounts"][0];
    assert!(account["state"]["paths"].is_array(), "{account}");
    let by_dn = world.run(&["--json", "subject", "show", &dn.to_uppercase()]).expect(0).rows().remove(0);
    assert_eq!(by_dn["id"], shown["id"]);
    let plain = world.run(&["subject", "show", id]).expect(0).stdout;
    assert!(plain.contains("residual.orphan") && plain.contains("in no wave yet"), "{plain}");
    let unknown = world.run(&["subject", "show", "nobody-has-this-login"]).expect(2);
    assert!(unknown.stderr.contains("no subject is known"), "{}", unknown.stderr);

    let [as_flag, name, key_flag, key] = world.signer(0);
    let decide = |track: &str, until: &str, reason: &str| {
        let words =
            ["subject", "decide", id, "--track", track, "--until", until, "--reason", reason, &as_flag, &name, &key_flag, &key];
        world.run(&words)
    };
    decide("migrate", "2999-12-31", "why not").expect(2);
    decide("retire", "2999-12-31", " ").expect(2);
    decide("retire", "2000-01-01", "too late").expect(2);
    decide("retire", "2999-12-31", "nobody claims it").expect(0);
    let shown = world.run(&["subject", "show", id]).expect(0).stdout;
    assert!(shown.contains(&format!("decided by {name}: retire until 2999-12-31 — nobody claims it")), "{shown}");
}
