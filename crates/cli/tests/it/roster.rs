//! Rosters as real life hands them over: several files in several forms, odd, broken and old ones, through the program.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::personnel::Roster;
use crate::story::clock;
use crate::support::World;

/// The configured line of the generated roster, and its section of how it is read.
const ONE_FILE: &str = "files = [\"data/roster.csv\"]\n";

/// The generated roster: its header and the fields of its rows.
fn generated(world: &World) -> (Vec<String>, Vec<Vec<String>>) {
    let roster = Roster::of(world);
    (roster.header().to_vec(), roster.rows)
}

fn column(header: &[String], name: &str) -> usize {
    header.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"))
}

/// What `roster check` says to programs, and its exit code.
fn checked(world: &World) -> (Value, Option<i32>) {
    let ran = world.run(&["--json", "roster", "check"]);
    let code = ran.code;
    (ran.rows().remove(0), code)
}

fn kinds(check: &Value) -> Vec<&str> {
    check["problems"].as_array().unwrap().iter().map(|problem| problem["kind"].as_str().unwrap()).collect()
}

/// The ids of the findings of the last audit.
fn finding_ids(world: &World) -> Vec<String> {
    let rows = world.run(&["--json", "findings"]).expect(0).rows();
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Each entity's department keeps its people in a form of its own: the same people, the same findings.
#[test]
fn one_file_an_entity_in_four_forms_says_the_same_as_one_file_for_all() {
    let world = World::new(200);
    world.run(&["audit"]).expect(0);
    let (before, (plain, _)) = (finding_ids(&world), checked(&world));
    let (header, rows) = generated(&world);
    let at = |name: &str| column(&header, name);
    let of = |entity: &str| rows.iter().filter(|row| row[at("entity")] == entity).cloned().collect::<Vec<_>>();

    // Our own people: CSV in Shift_JIS with Japanese headers and words, as far as Shift_JIS can say their names.
    let (own, mut elsewhere): (Vec<_>, Vec<_>) =
        of("own").into_iter().partition(|row| !encoding_rs::SHIFT_JIS.encode(&row.join(",")).2);
    let japanese = |row: &Vec<String>| {
        let mut row = row.clone();
        row[at("status")] = match row[at("status")].as_str() {
            "active" => "在籍",
            "leave" => "休職",
            "seconded" => "出向",
            other => {
                if other == "departed" {
                    "退職"
                } else {
                    other
                }
            }
        }
        .to_owned();
        row.join(",")
    };
    let text: Vec<String> =
        std::iter::once(header.join(",").replace("employee_number", "社員番号")).chain(own.iter().map(japanese)).collect();
    world.write("own.csv", encoding_rs::SHIFT_JIS.encode(&(text.join("\r\n") + "\r\n")).0);

    // Overseas, and whoever could not be written above: JSON Lines with dates of the day first.
    elsewhere.extend(of("overseas"));
    let day_first = |date: &str| match date.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => format!("{day}.{month}.{year}"),
        _ => date.to_owned(),
    };
    let dates = [at("start_date"), at("last_day"), at("contract_end")];
    let objects: Vec<String> = elsewhere
        .iter()
        .map(|row| {
            let fields = header.iter().zip(row).enumerate().map(|(n, (name, field))| {
                let field = if dates.contains(&n) { day_first(field) } else { field.clone() };
                (name.clone(), if field.is_empty() { Value::Null } else { Value::from(field) })
            });
            Value::Object(fields.collect()).to_string()
        })
        .collect();
    world.write("overseas.jsonl", objects.join("\n") + "\n");

    // Contractors: "Unicode text" of Excel, the entity and the kind of employment given by the file.
    let contractors = of("contractor");
    let dropped = [at("entity"), at("employment")];
    assert!(contractors.iter().all(|row| row[at("employment")] == "contractor"), "every one of them has a contract");
    let tabbed = |row: &Vec<String>| {
        let kept = row.iter().enumerate().filter(|(n, _)| !dropped.contains(n));
        kept.map(|(_, field)| field.as_str()).collect::<Vec<_>>().join("\t")
    };
    let lines: Vec<String> = std::iter::once(&header).chain(&contractors).map(tabbed).collect();
    let units = (lines.join("\r\n") + "\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    world.write("contractors.txt", [&[0xff, 0xfe][..], &units].concat());

    // Everybody else: UTF-8 with a byte order mark and dates of the imperial calendar.
    let era = |date: &str| match date.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] if date >= "2019-05-01" => {
            format!(
                "令和{}年{}月{}日",
                year.parse::<i32>().unwrap() - 2018,
                month.trim_start_matches('0'),
                day.trim_start_matches('0')
            )
        }
        _ => date.replace('-', "/"),
    };
    let rest: Vec<String> = rows
        .iter()
        .filter(|row| !["own", "overseas", "contractor"].contains(&row[at("entity")].as_str()))
        .map(|row| {
            row.iter().enumerate().map(|(n, f)| if dates.contains(&n) { era(f) } else { f.clone() }).collect::<Vec<_>>().join(",")
        })
        .collect();
    world.write("rest.csv", format!("\u{feff}{}\n{}\n", header.join(","), rest.join("\n")));

    world.configure(ONE_FILE, "");
    world.configure(
        "[roster.read]\n",
        "[[roster.files]]\npath = \"own.csv\"\ncolumns = { number = \"社員番号\" }\n\
         status = { active = [\"在籍\"], leave = [\"休職\"], seconded = [\"出向\"], departed = [\"退職\"] }\n\
         [[roster.files]]\npath = \"overseas.jsonl\"\ndates = \"dmy\"\n\
         [[roster.files]]\npath = \"contractors.txt\"\ndelimiter = \"\\t\"\n\
         constants = { entity = \"contractor\", employment = \"contractor\" }\n\
         [[roster.files]]\npath = \"rest.csv\"\n\
         [roster.read]\n",
    );
    let (several, code) = checked(&world);
    assert_eq!(code, Some(0), "{several}");
    assert_eq!((&several["rows"], &several["people"]), (&plain["rows"], &plain["people"]));
    let encodings: Vec<&str> = several["files"].as_array().unwrap().iter().map(|f| f["encoding"].as_str().unwrap()).collect();
    assert_eq!(encodings, ["Shift_JIS", "UTF-8", "UTF-16LE", "UTF-8 with byte order mark"]);
    let active = |check: &Value| -> u64 {
        check["files"].as_array().unwrap().iter().map(|f| f["people"]["active"].as_u64().unwrap()).sum()
    };
    assert_eq!(active(&several), active(&plain));
    // People who moved between entities are in the files of both.
    assert!(kinds(&several).contains(&"several-files"), "{several}");
    world.run(&["audit"]).expect(0);
    assert_eq!(finding_ids(&world), before, "the same people, the same findings");
    world.run(&["doctor"]).expect(0);
}

/// Replaces the field of one row of the generated roster.
fn set(world: &World, number: usize, name: &str, field: &str) {
    let mut roster = Roster::of(world);
    roster.set(number, &[(name, field)]);
    roster.write();
}

#[test]
fn a_check_tells_what_is_odd_with_lines_and_what_to_do_and_refuses_only_what_would_be_refused() {
    let world = World::new(60);
    let (clean, code) = checked(&world);
    assert_eq!(code, Some(0), "{clean}");
    assert!(clean["not_compared"].as_str().unwrap().contains("nothing has been audited"), "{clean}");
    world.run(&["audit"]).expect(0);
    let (compared, _) = checked(&world);
    assert_eq!(compared["not_compared"], Value::Null);
    assert!(!kinds(&compared).contains(&"unseen-mail-domain"), "every generated domain is in the stores: {compared}");

    let (header, rows) = generated(&world);
    let full_width: String =
        rows[3][column(&header, "employee_number")].chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect();
    set(&world, 3, "employee_number", &full_width);
    set(&world, 4, "mail", "somebody@tyop.example");
    set(&world, 5, "last_day", "9999-12-31");
    set(&world, 6, "name", "<script>alert(1)</script> =HYPERLINK(\u{1b}[31m)");
    set(&world, 7, "name", "\u{202e}rebmun");
    let text = world.run(&["roster", "check"]).expect(0);
    for words in [
        "full-width",
        &format!("'{full_width}' (line 5)"),
        "unseen-mail-domain",
        "'tyop.example' in 1 row (line 6)",
        "sentinel-date",
        "invisible-character",
        "→ ",
        "(exit 0)",
    ] {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }
    assert!(!text.said().contains('\u{1b}'), "what would steer the terminal is shown as what it is");
    let (odd, _) = checked(&world);
    let problem = |kind: &str| odd["problems"].as_array().unwrap().iter().find(|p| p["kind"] == kind).cloned().unwrap();
    assert_eq!(problem("full-width")["severity"], "odd");
    assert_eq!(problem("full-width")["seen"][0], serde_json::json!({ "line": 5, "value": full_width }));
    world.run(&["audit"]).expect(0);

    // The same again with what nobody can read: both are told, and the exit code is that of whoever would use it.
    set(&world, 8, "status", "on sabbatical");
    set(&world, 9, "last_day", "2027-02-30");
    set(&world, 10, "last_day", "1900-01-01");
    let ran = world.run(&["roster", "check"]).expect(2);
    for words in
        ["REFUSED", "'on sabbatical' in 1 row (line 10)", "'2027-02-30' (line 11)", "'1900-01-01' (line 12)", "full-width"]
    {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("roster.csv") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    let refused = world.run(&["audit"]).expect(2).stderr;
    assert!(refused.contains("on sabbatical") && refused.contains("2027-02-30") && refused.contains("roster check"), "{refused}");
    let (json, code) = checked(&world);
    assert_eq!((code, &json["refused"]), (Some(2), &Value::Bool(true)));
}

#[test]
fn a_drop_in_numbers_of_one_entity_is_an_outage_for_check_audit_and_run() {
    let world = World::new(400);
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "disable", 1);
    let (header, rows) = generated(&world);
    let entity = column(&header, "entity");
    let overseas = rows.iter().filter(|row| row[entity] == "overseas").count();
    assert!(overseas > 30, "{overseas}");
    // The file of one entity broke off; the whole lost a few percent.
    let mut kept = 0;
    let lines: Vec<String> = std::iter::once(&header)
        .chain(rows.iter().filter(|row| {
            kept += usize::from(row[entity] == "overseas");
            row[entity] != "overseas" || kept <= 5
        }))
        .map(|row| row.join(","))
        .collect();
    world.write("data/roster.csv", lines.join("\n") + "\n");
    let ran = world.run(&["roster", "check"]).expect(2);
    assert!(ran.stdout.contains("active people of overseas") && ran.stdout.contains("max_shrink_percent"), "{}", ran.stdout);
    let refused = world.run(&["run", "--wave", "retire", "--execute"]).expect(2).stderr;
    assert!(refused.contains("the roster has shrunk") && refused.contains("overseas"), "{refused}");
    world.run(&["audit"]).expect(0);
    let told = world.run(&["--json", "findings", "--rule", "coverage.truncated"]).expect(0).rows();
    assert!(told.iter().any(|row| row["store"] == "roster" && row["evidence"].to_string().contains("overseas")), "{told:?}");
    assert_eq!(world.run(&["--json", "plan"]).expect(0).rows()[0]["executable"], false);
}

/// Sets the time at which a file was last written.
fn written(path: &Path, ago: Duration) {
    let now = SystemTime::try_from(clock()).unwrap();
    File::options().append(true).open(path).unwrap().set_modified(now - ago).unwrap();
}

#[test]
fn a_file_that_grew_too_old_stops_what_depends_on_it_and_a_new_export_lets_it_go_on() {
    let world = World::new(120);
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "soak", 1);
    // Two files: the contractors' is fetched every week, and nobody fetched it.
    let (header, rows) = generated(&world);
    let entity = column(&header, "entity");
    for (name, of_contractors) in [("contractors.csv", true), ("others.csv", false)] {
        let kept = rows.iter().filter(|row| (row[entity] == "contractor") == of_contractors);
        let lines: Vec<String> = std::iter::once(&header).chain(kept).map(|row| row.join(",")).collect();
        world.write(name, lines.join("\n") + "\n");
    }
    world.configure(ONE_FILE, "files = [\"others.csv\", { path = \"contractors.csv\", max_age_hours = 168 }]\n");
    let contractors = world.directory().join("contractors.csv");
    written(&contractors, Duration::from_secs(200 * 3600));
    let dumps = world.dumps();
    let stopped = world.run(&["run", "--wave", "retire", "--execute"]).expect(4).stderr;
    for words in ["contractors.csv", "200 hours old", "168", "nothing was enabled or disabled"] {
        assert!(stopped.contains(words), "{words}: {stopped}");
    }
    assert!(!stopped.contains("others.csv"), "only what is too old is named: {stopped}");
    assert_eq!(dumps.differences(&world.dumps(), &[]), Vec::<String>::new());
    let check = world.run(&["roster", "check"]).expect(0).stdout;
    assert!(check.contains("stale") && check.contains("200 hours"), "{check}");
    assert!(world.run(&["doctor"]).expect(1).stdout.contains("contractors.csv"));
    let rehearsed = world.run(&["rehearse"]).expect(0).said();
    assert!(rehearsed.contains("contractors.csv"), "a rehearsal goes on, and says so: {rehearsed}");

    world.run(&["audit"]).expect(0);
    let stale = world.run(&["--json", "findings", "--rule", "coverage.stale"]).expect(0).rows();
    assert!(stale.iter().any(|row| row["evidence"].to_string().contains("contractors.csv")), "{stale:?}");
    assert_eq!(world.run(&["--json", "plan"]).expect(0).rows()[0]["executable"], false);
    // A file from the future is no younger.
    File::options()
        .append(true)
        .open(&contractors)
        .unwrap()
        .set_modified(SystemTime::try_from(clock()).unwrap() + Duration::from_secs(7200))
        .unwrap();
    let stopped = world.run(&["run", "--plan", &plan, "--wave", "retire", "--execute"]).expect(4).stderr;
    assert!(stopped.contains("in the future"), "{stopped}");

    written(&contractors, Duration::from_secs(60));
    let ran = world.run(&["run", "--plan", &plan, "--wave", "retire", "--execute"]).expect(4);
    assert!(ran.stdout.contains("gate silence"), "it goes on until somebody must answer: {}", ran.said());
}

#[test]
fn broken_files_are_refused_with_file_line_cause_and_next_step_and_nothing_is_recorded() {
    let world = World::new(60);
    world.run(&["audit"]).expect(0);
    let frames = |world: &World| world.run(&["--json", "state", "check"]).expect(0).rows()[0]["ledger"]["frames"].clone();
    let written = frames(&world);
    let good = fs::read_to_string(world.data().join("roster.csv")).unwrap();
    let lines = good.lines().count();
    let mixed = [good.as_bytes(), &encoding_rs::SHIFT_JIS.encode("x,1,,山田 太郎,,,,,own,active,,,,,\n").0].concat();
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        ("a quote that does not end", format!("{good}p,1,,\"A").into_bytes(), &["does not end", &format!("line {}", lines + 1)]),
        ("ragged rows", format!("{good}a,b\nc\n").into_bytes(), &["other numbers", &format!("'1' (line {})", lines + 2)]),
        ("mixed encodings", mixed, &["mixes encodings", &format!("line {}", lines + 1)]),
        ("an empty file", Vec::new(), &["no rows", "everyone left"]),
        ("a workbook", b"PK\x03\x04 and so on".to_vec(), &["workbook", "CSV"]),
        ("another separator", good.replace(',', ";").into_bytes(), &["semicolons", "delimiter"]),
    ];
    for (what, content, words) in cases {
        world.write("data/roster.csv", content);
        for command in [&["audit"][..], &["roster", "check"]] {
            let said = world.run(command).expect(2).stderr;
            assert!(said.contains("roster.csv") && said.contains("hint: "), "{what}: {said}");
            assert!(words.iter().all(|word| said.contains(word)), "{what}: {said}");
        }
    }
    fs::remove_file(world.data().join("roster.csv")).unwrap();
    fs::create_dir(world.data().join("roster.csv")).unwrap();
    let said = world.run(&["audit"]).expect(2).stderr;
    assert!(said.contains("roster.csv") && said.contains("a directory"), "{said}");
    fs::remove_dir(world.data().join("roster.csv")).unwrap();

    // A line that is no JSON, among good ones.
    let object = |n: usize| format!("{{\"employee_number\": {n}, \"entity\": \"own\", \"status\": \"active\"}}\n");
    world.write("data/roster.jsonl", format!("{}{}{{\"employee_number\": 3, \"sta\n{}", object(1), object(2), object(4)));
    world.configure("data/roster.csv", "data/roster.jsonl");
    let said = world.run(&["audit"]).expect(2).stderr;
    assert!(said.contains("roster.jsonl") && said.contains("line 3"), "{said}");

    // Somebody writes the file while it is read.
    let path = world.data().join("roster.jsonl");
    world.write("data/roster.jsonl", (0..100_000).map(object).collect::<String>());
    let mut file = File::options().append(true).open(&path).unwrap();
    let mut child = world.command(&["roster", "check"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        file.write_all(object(7).as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("written to while it was read") && said.contains("hint: "), "{said}");
    assert_eq!(frames(&world), written, "nothing that was refused is recorded");
}

#[test]
fn keys_of_the_roster_that_nobody_knows_are_refused_with_a_suggestion() {
    let world = World::new(20);
    let original = fs::read_to_string(&world.config).unwrap();
    let refusals = [
        ("[roster.read]\n", "[roster.read]\nencodng = \"utf-8\"\n", "encoding"),
        ("[roster.read]\n", "[roster.read.columns]\nnumbr = \"x\"\n[roster.read]\n", "number"),
        (ONE_FILE, "files = [{ path = \"a.csv\", colums = {} }]\n", "columns"),
        (ONE_FILE, "files = [{ path = \"a.csv\", constants = { entty = \"own\" } }]\n", "entity"),
    ];
    for (from, to, suggestion) in refusals {
        world.configure(from, to);
        let said = world.run(&["roster", "check"]).expect(2).stderr;
        assert!(said.contains("unknown field") && said.contains(&format!("did you mean `{suggestion}`?")), "{to}: {said}");
        fs::write(&world.config, &original).unwrap();
    }
    world.configure(ONE_FILE, "files = [\"data/roster.csv\", { path = \"data/roster.csv\" }]\n");
    assert!(world.run(&["roster", "check"]).expect(2).stderr.contains("twice"));
    fs::write(&world.config, &original).unwrap();
    world.configure(ONE_FILE, "files = [{ path = \"data/roster.csv\", constants = { entity = \"elsewhere\" } }]\n");
    let said = world.run(&["roster", "check"]).expect(2).stderr;
    assert!(said.contains("constant 'elsewhere'"), "{said}");
}
