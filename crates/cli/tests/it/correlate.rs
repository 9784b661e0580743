//! Undecided matches, decided by people: listed side by side, confirmed, denied, split, merged, taken back; and reviewed as a file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::support::{Ran, World, text};

fn list<'a>(row: &'a Value, key: &str) -> &'a [Value] {
    row[key].as_array().unwrap_or_else(|| panic!("no {key} in {row}"))
}

/// The values of a fact on a card.
fn fact<'a>(card: &'a Value, fact: &str) -> Vec<&'a str> {
    card["facts"][fact].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

impl World {
    fn cases(&self) -> Vec<Value> {
        self.run(&["--json", "correlate"]).expect(0).rows()
    }

    fn decides(&self, words: &[&str]) -> Ran {
        let signer = self.signer(0);
        self.run(&[&["correlate"], words, &["--reason", "looked into"], &signer.each_ref().map(String::as_str)].concat())
    }

    /// Number of the record of the last decision.
    fn last_decision(&self) -> String {
        let rows = self.run(&["--json", "correlate", "--decided"]).expect(0).rows();
        text(rows.last().unwrap(), "id").to_owned()
    }

    /// The subject that has an account: its id, its accounts, and the ids that it had before.
    fn subject_of(&self, dn: &str) -> Value {
        self.run(&["--json", "subject", "show", dn]).expect(0).rows().remove(0)
    }

    fn audits(&self) {
        self.run(&["audit"]).expect(0);
    }
}

pub fn dn_of(case: &Value) -> &str {
    text(&case["account"]["who"]["account"], "dn")
}

fn accounts(subject: &Value) -> BTreeSet<&str> {
    list(&subject["subject"], "accounts").iter().map(|a| text(a, "dn")).collect()
}

/// A case of an account in the shared store whose candidates are two people of the roster: its position, that of the candidate with this
/// status.
pub fn with_candidate<'a>(cases: &'a [Value], rule: &str, status: &str) -> (&'a Value, usize) {
    let of = |case: &'a Value| {
        let candidates = list(case, "candidates");
        let is_plain = case["rule"] == rule
            && case["entity"] == "own"
            && candidates.len() == 2
            && case["account"]["who"]["account"]["side"] == "shared";
        let at = candidates.iter().position(|c| fact(&c["card"], "status") == [status])?;
        is_plain.then_some((case, at))
    };
    cases.iter().find_map(of).unwrap_or_else(|| panic!("no {rule} with a candidate who is {status}"))
}

#[test]
fn undecided_matches_are_listed_side_by_side_and_a_confirmed_one_is_planned() {
    let world = World::new(200);
    assert!(world.run(&["correlate"]).expect(2).stderr.contains("untether audit"));
    world.audits();
    let cases = world.cases();
    let findings = world
        .run(&["--json", "findings", "--rule", "correlation.ambiguous", "--rule", "correlation.conflicting"])
        .expect(0)
        .rows();
    let ids = |rows: &[Value], key: &str| rows.iter().map(|r| text(r, key).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&cases, "finding"), ids(&findings, "id"), "a case for each undecided account, and no other");
    assert!(cases.len() >= 10, "{}", cases.len());
    for case in &cases {
        assert!(!list(case, "candidates").is_empty(), "{case}");
        for candidate in list(case, "candidates") {
            assert!(!list(candidate, "by").is_empty() && candidate["compared"]["lines"].is_array(), "{candidate}");
        }
    }
    world.audits();
    let again: BTreeMap<String, String> =
        world.cases().iter().map(|c| (text(c, "case").to_owned(), text(c, "shown").to_owned())).collect();
    assert_eq!(
        again,
        cases.iter().map(|c| (text(c, "case").to_owned(), text(c, "shown").to_owned())).collect(),
        "stable between audits"
    );

    let table = world.run(&["correlate"]).expect(0).stdout;
    for line in table.lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
    }
    assert!(table.contains("CANDIDATE 2") && table.contains("= the same, ! differs"), "{table}");

    // The account carries the number of somebody who left and the mail of a newcomer: somebody knows whose it is.
    let (case, leaver) = with_candidate(&cases, "correlation.conflicting", "departed");
    let (id, dn) = (text(case, "case"), dn_of(case));
    let one = world.run(&["correlate", "--case", dn]).expect(0).stdout;
    assert!(one.contains(id) && one.matches("\ncase ").count() == 0, "{one}");
    let n = (leaver + 1).to_string();
    for (words, said) in [
        (vec!["confirm", id, "--with", "7"], "no subject is known"),
        (vec!["confirm", "m-nosuchcase", "--with", "1"], "no undecided match"),
        (vec!["confirm", id, "--with", dn], "always itself"),
    ] {
        let refused = world.decides(&words).expect(2).stderr;
        assert!(refused.contains(said), "{words:?}: {refused}");
    }
    let unsigned = world.run(&["correlate", "confirm", id, "--with", &n, "--reason", "x", "--as", "approver-a"]).expect(2).stderr;
    assert!(unsigned.contains("no key to sign with"), "{unsigned}");
    let silent = world.run(&["correlate", "confirm", id, "--with", &n]).expect(2).stderr;
    assert!(silent.contains("a decision needs a reason"), "{silent}");

    let plan_before = world.planned();
    assert!(world.planned_people("retire").iter().all(|p| p.dn != dn));
    let signed = world.decides(&["confirm", id, "--with", &n]).expect(0).stdout;
    assert!(signed.contains("CANDIDATE 1") && signed.contains("untether audit"), "what was signed is shown: {signed}");
    let listed = world.run(&["correlate", "--case", id]).expect(0).stdout;
    assert!(listed.contains("decided since: confirm by approver-a"), "{listed}");
    let again = world.decides(&["confirm", id, "--with", &n]).expect(2).stderr;
    assert!(again.contains("says that already"), "{again}");

    world.audits();
    assert!(world.cases().iter().all(|c| c["case"] != id), "it is decided");
    let departed = world.run(&["--json", "findings", "--rule", "residual.departed"]).expect(0).rows();
    assert!(departed.iter().any(|row| row["dn"] == dn && row["evidence"]["facts"]["matched-by"][0] == "a person's decision"));
    let plan = world.run(&["--json", "plan"]).expect(0).rows()[0]["plan"].as_str().unwrap().to_owned();
    assert_ne!(plan, plan_before);
    assert!(world.planned_people("retire").iter().any(|p| p.dn == dn), "the leaver's account is retired now");

    let decided = world.run(&["correlate", "--decided"]).expect(0).stdout;
    assert!(decided.contains("confirm by approver-a") && decided.contains(dn), "{decided}");
    let record = world.last_decision();
    world.decides(&["withdraw", &record]).expect(0);
    assert!(world.decides(&["withdraw", &record]).expect(2).stderr.contains("in force"));
    world.audits();
    assert_eq!(world.cases().len(), cases.len(), "the rules say again what they said");
    world.run(&["plan"]).expect(0);
    assert!(world.planned_people("retire").iter().all(|p| p.dn != dn));
    world.run(&["state", "check"]).expect(0);
    world.run(&["state", "rebuild"]).expect(0);
}

#[test]
fn who_is_denied_is_no_candidate_any_more_and_a_contradiction_names_the_earlier_decision() {
    let world = World::new(200);
    world.audits();
    let cases = world.cases();
    let (case, leaver) = with_candidate(&cases, "correlation.conflicting", "departed");
    let (id, dn) = (text(case, "case"), dn_of(case));
    let (n, other) = ((leaver + 1).to_string(), (2 - leaver).to_string());
    world.decides(&["deny", id, "--with", &n]).expect(0);
    let record = world.last_decision();
    let refused = world.decides(&["confirm", id, "--with", &n]).expect(2).stderr;
    assert!(
        refused.contains(&format!("decision {record}")) && refused.contains(&format!("correlate withdraw {record}")),
        "{refused}"
    );
    world.audits();
    assert!(world.cases().iter().all(|c| c["case"] != id), "the other candidate is left, and the rules decide");
    let owner = world.subject_of(dn);
    assert_eq!(owner["subject"]["roster_ref"], case["candidates"][1 - leaver]["card"]["who"]["person"]["reference"]);

    // Denied of both it is nobody's: an orphan, on whom a person decides.
    world.decides(&["deny", dn, "--with", text(&owner, "id")]).expect(0);
    world.audits();
    let orphans = world.run(&["--json", "findings", "--rule", "residual.orphan"]).expect(0).rows();
    assert!(orphans.iter().any(|row| row["dn"] == dn), "{other}");
    let both: Vec<String> =
        world.run(&["--json", "correlate", "--decided"]).expect(0).rows().iter().map(|r| text(r, "id").to_owned()).collect();
    world.decides(&["withdraw", &both[0], &both[1]]).expect(0);
    world.audits();
    assert!(world.cases().iter().any(|c| c["case"] == id));
}

#[test]
fn accounts_are_split_off_and_subjects_merged_and_each_id_keeps_its_history() {
    let world = World::new(200);
    world.audits();
    let of_rule =
        |rule: &str| world.run(&["--json", "findings", "--rule", rule, "--store", "shared", "--entity", "own"]).expect(0).rows();

    // Two accounts of one person, one of which is somebody else's.
    let duplicate = of_rule("residual.duplicate").remove(0);
    let dn = text(&duplicate, "dn");
    let before = world.subject_of(dn);
    assert!(accounts(&before).len() >= 2);
    world.decides(&["split", dn]).expect(0);
    world.audits();
    let alone = world.subject_of(dn);
    assert_ne!(alone["id"], before["id"]);
    assert_eq!(accounts(&alone), BTreeSet::from([dn]));
    let rest = world.subject_of(text(&before, "id"));
    assert_eq!(rest["id"], before["id"], "the others keep the id");
    assert!(!accounts(&rest).contains(dn));
    assert!(world.decides(&["split", dn]).expect(2).stderr.contains("nothing to split"));
    // Merging them again contradicts it, by name.
    let refused = world.decides(&["merge", text(&alone, "id"), text(&rest, "id")]).expect(2).stderr;
    assert!(refused.contains(&format!("correlate withdraw {}", world.last_decision())), "{refused}");

    // An orphan on whom somebody decided turns out to be a leaver's second account.
    let orphan = of_rule("residual.orphan").into_iter().find(|row| row["dn"] != dn).unwrap();
    let leaver = of_rule("residual.departed").remove(0);
    let (orphan_id, orphan_dn) = (text(&orphan, "subject"), text(&orphan, "dn"));
    let signer = world.signer(0);
    let hold = ["subject", "decide", orphan_id, "--track", "hold", "--until", "2099-12-31", "--reason", "asked around"];
    world.run(&[&hold[..], &signer.each_ref().map(String::as_str)].concat()).expect(0);
    world.decides(&["merge", text(&leaver, "subject"), orphan_id]).expect(0);
    world.audits();
    let merged = world.subject_of(orphan_dn);
    assert_eq!(merged["id"], leaver["subject"]);
    assert!(accounts(&merged).contains(orphan_dn) && accounts(&merged).contains(text(&leaver, "dn")));
    assert_eq!(list(&merged, "earlier_ids"), [orphan["subject"].clone()]);
    let by_old_id = world.run(&["subject", "show", orphan_id]).expect(0).stdout;
    assert!(by_old_id.contains("hold until 2099-12-31") && by_old_id.contains("asked around"), "{by_old_id}");
    assert!(by_old_id.contains(&format!("{orphan_id} is {}", text(&merged, "id"))), "{by_old_id}");
    world.run(&["plan"]).expect(0);
    assert!(
        world.planned_people("retire").iter().all(|p| p.subject != text(&merged, "id")),
        "held, as was decided on the orphan"
    );

    world.decides(&["withdraw", &world.last_decision()]).expect(0);
    world.audits();
    let again = world.subject_of(orphan_dn);
    assert_eq!((&again["id"], list(&again, "earlier_ids").len()), (&orphan["subject"], 0));
    world.run(&["plan"]).expect(0);
    assert!(world.planned_people("retire").iter().any(|p| p.subject == text(&leaver, "subject")));
    world.run(&["state", "check"]).expect(0);
}

/// Whoever a wave has in hand is not decided on; what it has done is found under the id that the accounts have later.
#[test]
fn open_work_is_not_torn_apart_and_what_was_done_is_found_under_the_later_id() {
    let world = World::new(200);
    world.audits();
    let orphan = {
        let rows = world
            .run(&["--json", "findings", "--rule", "residual.orphan", "--store", "shared", "--entity", "own"])
            .expect(0)
            .rows();
        rows.into_iter().next().unwrap()
    };
    let (id, dn) = (text(&orphan, "subject"), text(&orphan, "dn"));
    let signer = world.signer(0);
    let retire = ["subject", "decide", id, "--track", "retire", "--until", "2099-12-31", "--reason", "nobody claims it"];
    world.run(&[&retire[..], &signer.each_ref().map(String::as_str)].concat()).expect(0);
    let plan = world.planned();
    let leaver = world.planned_people("retire").into_iter().find(|p| p.subject != id).unwrap();
    world.approve(&format!("{plan}/retire"), "disable", 1);
    world.go("retire", &[]).expect(4);
    for words in
        [vec!["merge", &leaver.subject, id], vec!["confirm", dn, "--with", &leaver.subject], vec!["split", leaver.dn.as_str()]]
    {
        let refused = world.decides(&words).expect(2).stderr;
        assert!(refused.contains("in the hands of batch") && refused.contains("abort"), "{words:?}: {refused}");
    }

    world.run(&["abort", "--wave", &format!("{plan}/retire"), "--reason", "the match was wrong", "--execute"]).expect(0);
    world.decides(&["merge", &leaver.subject, id]).expect(0);
    // Until the next audit nobody plans on the old match.
    world.run(&["plan"]).expect(0);
    let left_out = world.run(&["plan", "show", "--not-planned"]).expect(0).stdout;
    assert!(
        left_out.contains("newer than the audit") && world.planned_people("retire").iter().all(|p| p.subject != leaver.subject),
        "{left_out}"
    );
    world.audits();
    let merged = world.subject_of(dn);
    assert_eq!(text(&merged, "id"), leaver.subject);
    let done: BTreeSet<&str> = list(&merged, "cells").iter().filter(|c| c["applied"] == true).map(|c| text(c, "op")).collect();
    assert!(done.len() >= 2, "the disabling of both accounts is in one history: {merged}");
    let timeline: Vec<&str> = list(&merged, "timeline").iter().map(|h| text(h, "what")).collect();
    for words in ["retire until", "claimed by wave", "succeeded", "merge", &format!("{id} is {}", leaver.subject)] {
        assert!(timeline.iter().any(|what| what.contains(words)), "{words}: {timeline:?}");
    }
    // What was done under the earlier id can be undone under it.
    let shown = world.run(&["--json", "rollback", "--subject", id]).expect(0).rows().remove(0);
    assert!(shown["order"].is_string(), "{shown}");
}

/// The rows of a CSV file, to be edited.
struct Sheet {
    rows: Vec<Vec<String>>,
}

impl Sheet {
    fn read(world: &World, name: &str) -> Self {
        let bytes = std::fs::read(world.directory().join(name)).unwrap();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").expect("Excel needs the mark");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        Self { rows: reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect() }
    }

    fn column(&self, name: &str) -> usize {
        self.rows[0].iter().position(|h| h == name).unwrap()
    }

    /// The row of a candidate of a case; 0 is the account itself.
    fn row(&self, case: &str, n: usize) -> usize {
        let (of, row) = (self.column("case"), self.column("row"));
        let named = if n == 0 { "account".to_owned() } else { format!("candidate {n}") };
        self.rows.iter().position(|r| r[of] == case && r[row] == named).unwrap()
    }

    fn set(&mut self, row: usize, column: &str, value: &str) {
        let column = self.column(column);
        self.rows[row][column] = value.to_owned();
    }

    fn text(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        self.rows.iter().for_each(|row| writer.write_record(row).unwrap());
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    fn write(&self, world: &World, name: &str) {
        world.write(name, self.text());
    }
}

#[test]
fn a_reviewed_file_is_shown_checked_and_recorded_whole_or_not_at_all() {
    let world = World::new(200);
    world.audits();
    let cases = world.cases();
    world.run(&["correlate", "export", "review.csv"]).expect(0);
    assert!(world.run(&["correlate", "export", "review.csv"]).expect(2).stderr.contains("somebody's review"));
    let sheet = Sheet::read(&world, "review.csv");
    let candidates: usize = cases.iter().map(|c| list(c, "candidates").len()).sum();
    assert_eq!(sheet.rows.len(), 1 + cases.len() + candidates);
    for field in sheet.rows.iter().flatten() {
        assert!(!field.starts_with(['=', '+', '-', '@']), "a spreadsheet takes {field:?} for a formula");
    }
    let nothing = world.run(&["correlate", "import", "review.csv"]).expect(0).stdout;
    assert!(
        nothing.contains("0 decisions") && nothing.contains(&format!("{} of the {} cases", cases.len(), cases.len())),
        "{nothing}"
    );

    let (case, leaver) = with_candidate(&cases, "correlation.conflicting", "departed");
    let id = text(case, "case");
    let other = cases.iter().find(|c| c["case"] != id && list(c, "candidates").len() == 2).unwrap();
    let reviewed = || {
        let mut edited = Sheet { rows: sheet.rows.clone() };
        let row = edited.row(id, leaver + 1);
        edited.set(row, "decision", " Confirm ");
        edited.set(row, "reason", "asked the manager");
        let row = edited.row(text(other, "case"), 1);
        edited.set(row, "decision", "deny");
        edited
    };
    let import = |name: &str, more: &[&str]| world.run(&[&["correlate", "import", name], more].concat());
    let written = || world.run(&["--json", "state", "check"]).expect(0).rows()[0]["ledger"]["frames"].clone();
    let frames = written();

    // Each way to spoil it is refused with its line, and nothing is recorded.
    let spoiled = |name: &str, spoil: &dyn Fn(&mut Sheet), words: &[&str]| {
        let mut edited = reviewed();
        spoil(&mut edited);
        edited.write(&world, name);
        let signer = world.signer(0);
        let signed = [&["correlate", "import", name, "--reason", "x"], &signer.each_ref().map(String::as_str)[..]].concat();
        let refused = world.run(&signed).expect(2).stderr;
        assert!(refused.contains("nothing was recorded") && words.iter().all(|w| refused.contains(w)), "{name}: {refused}");
    };
    let at = reviewed().row(id, leaver + 1);
    let line = format!("line {}", at + 1);
    spoiled("mail.csv", &|s| s.set(at, "mail", "somebody@else.example"), &[&line, "column 'mail'", "somebody@else.example"]);
    spoiled("who.csv", &|s| s.set(at, "who", "own/999999"), &[&line, "column 'who'"]);
    spoiled("word.csv", &|s| s.set(at, "decision", "yes"), &[&line, "neither confirm nor deny"]);
    spoiled("seen.csv", &|s| s.set(at, "seen", "seen-x"), &[&line, "'seen' was edited"]);
    spoiled("reason-only.csv", &|s| s.set(at, "decision", ""), &[&line, "reason and no decision"]);
    spoiled(
        "account.csv",
        &|s| {
            let row = s.row(id, 0);
            s.set(row, "decision", "confirm")
        },
        &["takes no decision"],
    );
    spoiled(
        "twice.csv",
        &|s| {
            let row = s.row(id, 2 - leaver);
            s.set(row, "decision", "confirm")
        },
        &["second candidate"],
    );
    spoiled(
        "repeated.csv",
        &|s| {
            let row = s.rows[at].clone();
            s.rows.push(row)
        },
        &["repeats line"],
    );
    spoiled(
        "added.csv",
        &|s| {
            let mut row = s.rows[at].clone();
            row[2] = "m-invented".into();
            s.rows.push(row)
        },
        &["no undecided match 'm-invented'"],
    );
    spoiled(
        "column.csv",
        &|s| {
            let c = s.column("seen");
            s.rows.iter_mut().for_each(|r| drop(r.remove(c)))
        },
        &["no column 'seen'"],
    );
    // Only one column sorted: everything is beside somebody else.
    spoiled(
        "scrambled.csv",
        &|s| {
            let c = s.column("mail");
            let mut mails: Vec<String> = s.rows[1..].iter().map(|r| r[c].clone()).collect();
            mails.reverse();
            s.rows[1..].iter_mut().zip(mails).for_each(|(r, m)| r[c] = m);
        },
        &["column 'mail'"],
    );
    let mut no_reason = reviewed();
    no_reason.set(at, "reason", "");
    no_reason.write(&world, "no-reason.csv");
    assert!(import("no-reason.csv", &[]).expect(2).stderr.contains("has no reason"));
    world.write("noise.csv", [0xff, 0xff, b'\n', 0x81]);
    assert!(import("noise.csv", &[]).expect(2).stderr.contains("neither UTF-8 nor Shift_JIS"));
    world.write("book.csv", b"PK\x03\x04 and so on");
    assert!(import("book.csv", &[]).expect(2).stderr.contains("workbook"));
    let japanese = format!("{},結衣\n", reviewed().text());
    world.write("mixed.csv", [japanese.as_bytes(), &encoding_rs::SHIFT_JIS.encode("石川 結衣\n").0].concat());
    assert!(import("mixed.csv", &[]).expect(2).stderr.contains("mixes encodings"));
    assert_eq!(written(), frames, "nothing was recorded");

    // Lines left out are undecided, the order does not matter, Excel drops zeros and turns dates, and Japanese ones save as Shift_JIS.
    let mut kept = reviewed();
    let wanted = [kept.row(text(other, "case"), 1), at, 0];
    kept.rows = wanted.map(|n| kept.rows[n].clone()).into_iter().rev().collect();
    let number = kept.column("number");
    let dates = ["start", "created"].map(|c| kept.column(c));
    for row in &mut kept.rows[1..] {
        row[number] = row[number].trim_start_matches('0').to_owned();
        dates.iter().for_each(|c| row[*c] = row[*c].replace('-', "/"));
    }
    let content = kept.text();
    let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(&content);
    world.write("reviewed.csv", &shift_jis);
    let shown = import("reviewed.csv", &["--reason", "reviewed with HR"]).expect(0).stdout;
    assert!(shown.contains("asked the manager") && shown.contains("reviewed with HR"), "{shown}");
    assert!(shown.contains("2 decisions: 1 confirm, 1 deny") && shown.contains("Nothing was recorded"), "{shown}");
    let unicode_text = format!("\u{feff}{content}");
    world.write("unicode.csv", unicode_text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    assert_eq!(import("unicode.csv", &["--reason", "reviewed with HR"]).expect(0).stdout, shown);
    assert_eq!(written(), frames, "shown is not recorded");

    let signer = world.signer(0);
    let sign = [&["--reason", "reviewed with HR"], &signer.each_ref().map(String::as_str)[..]].concat();
    let done = import("reviewed.csv", &[&["--older"], &sign[..]].concat()).expect(0).stdout;
    assert!(done.contains("approver-a decided all of it"), "{done}");
    let kinds = world.run(&["--json", "state", "check"]).expect(0).rows()[0]["ledger"]["kinds"].clone();
    assert_eq!(kinds["decisions"], 1, "one record, so that no crash leaves half of it: {kinds}");
    let decided = world.run(&["--json", "correlate", "--decided"]).expect(0).rows();
    let reasons: Vec<&str> = decided.iter().map(|d| text(&d["decision"], "reason")).collect();
    assert_eq!(reasons, ["asked the manager", "reviewed with HR"]);
    // Handed in again it says nothing new.
    let repeated = import("reviewed.csv", &sign).expect(0).stdout;
    assert!(repeated.contains("0 decisions") && repeated.contains("2 said already"), "{repeated}");

    world.audits();
    let left = world.cases();
    assert!(left.iter().all(|c| c["case"] != id));
    let stale = import("reviewed.csv", &sign).expect(2).stderr;
    assert!(stale.contains("no undecided match") && stale.contains(id), "{stale}");
    let first = text(&decided[0], "id");
    assert!(first.contains('.'), "{first}");
    world.decides(&["withdraw", first]).expect(0);
    world.audits();
    assert!(world.cases().iter().any(|c| c["case"] == id));
}

#[test]
fn rows_of_an_older_audit_are_taken_only_where_nothing_has_moved_and_somebody_says_so() {
    let world = World::new(200);
    world.audits();
    let cases = world.cases();
    world.run(&["correlate", "export", "review.csv"]).expect(0);
    let mut sheet = Sheet::read(&world, "review.csv");
    let (moved, leaver) = with_candidate(&cases, "correlation.conflicting", "departed");
    let still = cases.iter().find(|c| c["case"] != moved["case"] && list(c, "candidates").len() == 2).unwrap();
    for (case, n) in [(moved, leaver + 1), (still, 1)] {
        let row = sheet.row(text(case, "case"), n);
        sheet.set(row, "decision", "confirm");
        sheet.set(row, "reason", "asked");
    }
    sheet.write(&world, "both.csv");
    let encoded = data_encoding::BASE64.encode(dn_of(moved).as_bytes());
    crate::story::modify(
        &world.pair.shared,
        &format!("dn:: {encoded}\nchangetype: modify\nadd: mail\nmail: another@corp.example\n"),
    );
    world.audits();
    let stale = world.run(&["correlate", "import", "both.csv"]).expect(2).stderr;
    assert!(stale.contains(&format!("facts of case {} have changed", text(moved, "case"))), "{stale}");
    assert!(
        stale.contains(&format!("facts of case {} are still the same", text(still, "case"))) && stale.contains("--older"),
        "{stale}"
    );
    let older = world.run(&["correlate", "import", "both.csv", "--older"]).expect(2).stderr;
    assert!(older.contains(text(moved, "case")) && !older.contains(text(still, "case")), "{older}");
    let row = sheet.row(text(moved, "case"), leaver + 1);
    sheet.set(row, "decision", "");
    sheet.set(row, "reason", "");
    sheet.write(&world, "one.csv");
    let taken = world.run(&["correlate", "import", "one.csv", "--older"]).expect(0).stdout;
    assert!(taken.contains("1 decisions: 1 confirm"), "{taken}");
}

/// What a directory holds is shown, and is never markup, a formula, or an order to the terminal.
#[test]
fn values_that_are_markup_formulas_or_turn_the_direction_are_neutralized_everywhere() {
    let world = World::new(200);
    world.audits();
    let (case, _) = {
        let cases = world.cases();
        let (c, n) = with_candidate(&cases, "correlation.conflicting", "departed");
        (c.clone(), n)
    };
    let evil = "=HYPERLINK(\"http://x\")<script>alert(1)</script>\u{202e}txt";
    let encoded = data_encoding::BASE64.encode(dn_of(&case).as_bytes());
    let value = data_encoding::BASE64.encode(evil.as_bytes());
    let mail = data_encoding::BASE64.encode("+1@x.example".as_bytes());
    let ldif = format!(
        "dn:: {encoded}\nchangetype: modify\nreplace: displayName\ndisplayName:: {value}\n-\nadd: mail\nmail:: {mail}\n-\nreplace: cn;lang-ja\ncn;lang-ja:: {value}\n"
    );
    crate::story::modify(&world.pair.shared, &ldif);
    world.audits();
    let id = text(&case, "case");
    let turns = |text: &str| text.contains('\u{202e}') || text.contains('\u{1b}');
    for words in [
        vec!["correlate"],
        vec!["--json", "correlate"],
        vec!["findings", "--format", "csv"],
        vec!["--json", "findings"],
        vec!["subject", "show", dn_of(&case)],
    ] {
        let said = world.run(&words).expect(0).stdout;
        assert!(!turns(&said), "{words:?}");
        assert!(!said.is_empty());
    }
    let shown = world.run(&["correlate", "--case", id]).expect(0).stdout;
    assert!(shown.contains("(U+202E)"), "it is said what stands there: {shown}");
    let exact = world.run(&["--json", "correlate", "--case", id]).expect(0).rows().remove(0);
    assert!(list(&exact["account"], "names").iter().any(|n| n["value"] == evil), "JSON keeps the value: {exact}");
    world.run(&["correlate", "export", "evil.csv"]).expect(0);
    let sheet = Sheet::read(&world, "evil.csv");
    for field in sheet.rows.iter().flatten() {
        assert!(!field.starts_with(['=', '+', '-', '@']) && !turns(field), "{field:?}");
    }
    // It goes round all the same.
    let mut sheet = sheet;
    let row = sheet.row(id, 1);
    sheet.set(row, "decision", "deny");
    sheet.set(row, "reason", "=1+1");
    sheet.write(&world, "evil-reviewed.csv");
    let read = world.run(&["correlate", "import", "evil-reviewed.csv"]).expect(0).stdout;
    assert!(read.contains("1 decisions") && !turns(&read), "{read}");
}
