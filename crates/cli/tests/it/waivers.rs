//! Findings that may stand for a while, and decisions on tracks: signed, counted, listed before they end, back when they have ended.

use jiff::{SignedDuration, ToSpan as _};
use serde_json::Value;

use crate::bad_input::append_at;
use crate::story::clock;
use crate::support::{Ran, World, text};

impl World {
    /// Runs a command that an approver signs.
    fn signs(&self, words: &[&str]) -> Ran {
        let signer = self.signer(0);
        self.run(&[words, &signer.each_ref().map(String::as_str)].concat())
    }

    fn finding(&self, id: &str) -> Value {
        let rows = self.run(&["--json", "findings"]).expect(0).rows();
        rows.into_iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no finding {id}"))
    }
}

/// The day so many days from now, in the time zone of the generated people; far from midnight for a test that takes seconds.
fn day(from_now: i64) -> String {
    let tokyo = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
    tokyo.to_datetime(clock()).date().checked_add(from_now.days()).unwrap().to_string()
}

#[test]
fn a_waiver_is_signed_counted_as_waived_listed_before_its_end_and_over_after_it() {
    let world = World::new(60);
    world.run(&["audit"]).expect(0);
    let all = world.run(&["--json", "findings", "--severity", "critical", "--entity", "own"]).expect(0).rows();
    let (id, rule) = (text(&all[0], "id"), text(&all[0], "rule"));
    let until = day(5);
    let waive = |more: &[&str]| world.signs(&[&["findings", "waive", id][..], more].concat());

    let bad: [(&[&str], &str); 5] = [
        (&["--reason", "the vendor needs it"], "--until"),
        (&["--until", &until], "reason"),
        (&["--until", &until, "--reason", "  "], "reason"),
        (&["--until", "2000-01-01", "--reason", "x"], "over already"),
        (&["--until", &until, "--reason", "x", "--rule", "link"], "no finding"),
    ];
    for (more, words) in bad {
        let said = waive(more).expect(2).stderr;
        assert!(said.contains(words), "{more:?}: {said}");
    }
    for (words, said) in [
        (vec!["findings", "waive", id, "--until", &until, "--reason", "x"], "who approves"),
        (vec!["findings", "waive", id, "--until", &until, "--reason", "x", "--as", "nobody"], "no configured approver"),
        (vec!["findings", "waive", id, "--until", &until, "--reason", "x", "--as", "approver-a"], "no key"),
        (vec!["findings", "waive", "--until", &until, "--reason", "x"], "which findings"),
        (vec!["findings", "waive", "no-such-id", "--until", &until, "--reason", "x"], "no finding"),
    ] {
        let refused = world.run(&words).expect(2).stderr;
        assert!(refused.contains(said), "{words:?}: {refused}");
    }
    // Another person's key does not make it theirs.
    let [as_flag, _, key_flag, key] = world.signer(1);
    let forged = ["findings", "waive", id, "--until", &until, "--reason", "x", &as_flag, "approver-a", &key_flag, &key];
    assert!(world.run(&forged).expect(2).stderr.contains("not by the configured key"));
    assert!(world.finding(id)["waiver"].is_null(), "nothing of that was recorded");

    let critical = all.len();
    waive(&["--until", &until, "--reason", "the vendor needs it until the cutover"]).expect(0);
    let row = world.finding(id);
    assert_eq!((text(&row, "waived_until"), text(&row["waiver"], "state")), (until.as_str(), "in-force"));
    assert_eq!((text(&row["waiver"], "by"), row["waiver"]["days_left"].as_i64()), ("approver-a", Some(5)));
    let one = ["findings", "--rule", rule, "--severity", "critical", "--entity", "own"];
    let totals = |ran: Ran| ran.stdout.lines().last().unwrap().to_owned();
    let of_rule = all.iter().filter(|row| row["rule"] == rule).count();
    assert!(totals(world.run(&one)).ends_with("1 waived"), "{}", totals(world.run(&one)));
    assert!(totals(world.run(&one)).starts_with(&format!("{} open", of_rule - 1)));
    // Within seven days of its end it is listed, there and by `status`.
    let expiring = world.run(&["findings", "--expiring"]).expect(0).stdout;
    assert!(expiring.contains(id) && expiring.contains(&format!("waived until {until}, 5 days left")), "{expiring}");
    let status = world.run(&["status"]).expect(0).prose();
    assert!(
        status.contains("1 waived") && status.contains(&format!("{id}: waived by approver-a until {until}, 5 days left")),
        "{status}"
    );
    let report = |world: &World| world.run(&["--json", "report"]).expect(0).rows().remove(0)["findings"].clone();
    let before = report(&world);
    assert_eq!(
        (before["waived"].as_u64(), before["solved"].as_u64(), before["ending"].as_array().unwrap().len()),
        (Some(1), Some(0), 1)
    );
    let audited = world.run(&["audit"]).expect(0).stdout;
    assert!(audited.contains("open findings") && audited.contains("; 1 waived"), "{audited}");
    assert_eq!(report(&world)["waived"], 1, "a later audit sees it as waived too");
    assert_eq!(report(&world)["open"], before["open"]);

    // Nobody but this finding would fail the check.
    let others: Vec<&str> = all.iter().filter(|row| row["id"] != id).map(|row| text(row, "id")).collect();
    if !others.is_empty() {
        world.signs(&[&["findings", "waive"], &others[..], &["--until", &day(40), "--reason", "looked into"]].concat()).expect(0);
    }
    let check = ["findings", "--fail-on", "critical", "--entity", "own"];
    world.run(&check).expect(0);
    assert_eq!(report(&world)["waived"], critical as u64);

    // The day after its last one it is over: open again, told so, and counted.
    append_at(&world, clock() + SignedDuration::from_hours(24 * 6 + 1));
    world.run(&check).expect(3);
    let row = world.finding(id);
    assert!(row["waived_until"].is_null() && row["waiver"]["state"] == "expired", "{row}");
    assert!(world.run(&["findings", "--expiring"]).expect(0).stdout.contains("which is over"));
    let status = world.run(&["status"]).expect(0).prose();
    assert!(status.contains("it is open again"), "{status}");
    let after = report(&world);
    assert_eq!((after["waived"].as_u64(), after["solved"].as_u64()), (Some(critical as u64 - 1), Some(0)));
    let japanese = world.run(&["report", "--lang", "ja"]).expect(0).stdout;
    assert!(japanese.contains("期限切れ") && japanese.contains(&format!("許容中 {}件", critical - 1)), "{japanese}");
}

#[test]
fn a_bulk_waiver_is_one_signature_over_the_list_and_is_taken_back_as_one() {
    let world = World::new(60);
    world.run(&["audit"]).expect(0);
    let chosen = world.run(&["--json", "findings", "--rule", "residual.departed", "--store", "shared"]).expect(0).rows();
    assert!(chosen.len() > 3);
    let filters = ["--rule", "residual.departed", "--store", "shared"];
    let ran = world
        .signs(&[&["findings", "waive"][..], &filters, &["--until", &day(30), "--reason", "in the first wave"]].concat())
        .expect(0);
    for row in &chosen {
        assert!(ran.stdout.contains(text(row, "id")), "the list that is signed is shown");
    }
    let said: Value = {
        // The statement's digest is that of the list in the record: anybody can check it.
        let check = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
        assert_eq!(check["ledger"]["kinds"]["decisions"], 1);
        let ledger = std::fs::read(world.state().join("ledger/00000001.log")).unwrap();
        let text = String::from_utf8_lossy(&ledger);
        let at = text.find("\"kind\":\"decisions\"").unwrap();
        let body = text[at..].split_once("\"body\":").unwrap().1;
        serde_json::Deserializer::from_str(body).into_iter::<Value>().next().unwrap().unwrap()
    };
    let digest = untether_model::digest::Digest::of(said["decisions"].to_string().as_bytes());
    assert_eq!(said["signed"]["statement"]["subject"]["object"]["shown"], digest.to_hex());
    assert_eq!(said["decisions"].as_array().unwrap().len(), chosen.len());

    let waived = |world: &World| {
        world.run(&["--json", "findings"]).expect(0).rows().iter().filter(|r| !r["waived_until"].is_null()).count()
    };
    assert_eq!(waived(&world), chosen.len());
    let first = text(&chosen[0], "id");
    world.signs(&["findings", "waive", first, "--withdraw", "--reason", "it is not"]).expect(0);
    assert_eq!(waived(&world), chosen.len() - 1);
    world.signs(&["findings", "waive", first, "--withdraw", "--reason", "again"]).expect(2);
    world.signs(&[&["findings", "waive", "--withdraw", "--reason", "all of them"][..], &filters].concat()).expect(0);
    assert_eq!(waived(&world), 0);
    world.run(&["state", "check"]).expect(0);
}

#[test]
fn a_statement_for_a_waiver_is_signed_on_another_machine_and_refused_for_another_list() {
    let world = World::new(60);
    world.run(&["audit"]).expect(0);
    let command = |severity: &str, more: &[&str]| {
        let until = day(30);
        let words = [
            "findings",
            "waive",
            "--rule",
            "residual",
            "--severity",
            severity,
            "--until",
            &until,
            "--reason",
            "x",
            "--as",
            "approver-a",
        ];
        world.run(&[&words[..], more].concat())
    };
    let written = command("critical", &["--statement", "waive.json"]).expect(0).stdout;
    assert!(written.contains("ssh-keygen -Y sign"), "{written}");
    let key = &world.signer(0)[3];
    let signed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "untether", "-f", key, "waive.json"])
        .current_dir(world.directory())
        .status();
    assert!(signed.unwrap().success());
    let handed = ["--statement", "waive.json", "--signature", "waive.json.sig"];
    let other = command("high", &handed).expect(2).stderr;
    assert!(other.contains("is about something else than this command"), "{other}");
    command("critical", &handed).expect(0);
    assert!(
        world
            .run(&["findings", "--rule", "residual", "--severity", "critical"])
            .expect(0)
            .stdout
            .lines()
            .last()
            .unwrap()
            .starts_with("0 open")
    );
}

#[test]
fn what_is_gone_is_solved_and_a_waived_finding_never_counts_as_that() {
    let world = World::new(60);
    let first = world.run(&["--json", "audit"]).expect(0).rows().remove(0);
    assert_eq!((first["solved"].as_u64(), first["waived"].as_u64()), (Some(0), Some(0)));
    let orphans = world.run(&["--json", "findings", "--rule", "residual.departed", "--store", "shared"]).expect(0).rows();
    let (one, other) = (&orphans[0], &orphans[1]);
    for row in [one, other] {
        world.signs(&["findings", "waive", text(row, "id"), "--until", &day(30), "--reason", "soon"]).expect(0);
    }
    // Somebody deletes the account by hand: everything that was found on it is solved.
    let dn = text(one, "dn");
    let on_it = world.run(&["--json", "findings"]).expect(0).rows().iter().filter(|r| r["dn"] == dn).count();
    let encoded = data_encoding::BASE64.encode(dn.as_bytes());
    crate::story::modify(&world.pair.shared, &format!("dn:: {encoded}\nchangetype: delete\n"));
    let second = world.run(&["--json", "audit"]).expect(0).rows().remove(0);
    assert!(second["solved"].as_u64().unwrap() >= on_it as u64, "{second}");
    assert_eq!(second["waived"], 1, "what is gone is waived no longer: {second}");
    let third = world.run(&["--json", "audit"]).expect(0).rows().remove(0);
    assert_eq!(third["solved"], second["solved"], "it stays solved, once");
    let report = world.run(&["--json", "report"]).expect(0).rows().remove(0);
    assert_eq!((&report["findings"]["solved"], &report["findings"]["waived"]), (&second["solved"], &second["waived"]));
    assert_eq!(report["findings"]["solved_record"], third["record"]);
    assert!(world.run(&["status"]).expect(0).prose().contains(&format!("{} solved so far", second["solved"])));
    world.run(&["state", "check"]).expect(0);
}

#[test]
fn a_decision_on_a_track_ends_is_listed_before_and_can_be_taken_back() {
    let world = World::new(200);
    world.run(&["audit"]).expect(0);
    let orphans =
        world.run(&["--json", "findings", "--rule", "residual.orphan", "--store", "shared", "--entity", "own"]).expect(0).rows();
    let (id, dn) = (text(&orphans[0], "subject"), text(&orphans[0], "dn"));
    for (words, said) in [
        (vec!["subject", "decide", id, "--until", "2099-01-01", "--reason", "x"], "which track"),
        (vec!["subject", "decide", id, "--track", "retire", "--reason", "x"], "needs an end"),
        (vec!["subject", "decide", id, "--track", "retire", "--until", "2099-01-01"], "reason"),
        (vec!["subject", "decide", id, "--withdraw", "--reason", "x"], "nobody decided"),
    ] {
        assert!(world.signs(&words).expect(2).stderr.contains(said), "{words:?}");
    }
    world.signs(&["subject", "decide", id, "--track", "retire", "--until", &day(3), "--reason", "nobody claims it"]).expect(0);
    let expiring = world.run(&["findings", "--expiring"]).expect(0).stdout;
    assert!(expiring.contains(id) && expiring.contains("decided: retire until"), "{expiring}");
    let status = world.run(&["status"]).expect(0).prose();
    assert!(status.contains(&format!("subject {id}: retire decided by approver-a")), "{status}");
    world.planned();
    assert!(world.planned_people("retire").iter().any(|p| p.dn == dn));

    world.signs(&["subject", "decide", id, "--withdraw", "--reason", "somebody claims it after all"]).expect(0);
    assert!(!world.run(&["status"]).expect(0).stdout.contains(id));
    world.planned();
    assert!(world.planned_people("retire").iter().all(|p| p.dn != dn));
    let shown = world.run(&["subject", "show", id]).expect(0).stdout;
    assert!(
        shown.contains("nobody claims it") && shown.contains("somebody claims it after all"),
        "the timeline keeps both: {shown}"
    );
    assert!(!shown.contains("\ndecided by"), "{shown}");
}

/// A plan knows only what was decided before it was made.
#[test]
fn a_plan_is_refused_for_people_on_whom_somebody_decided_afterwards() {
    let world = World::new(80);
    let plan = world.planned();
    world.approve(&format!("{plan}/retire"), "soak", 1);
    let person = world.planned_people("retire").remove(0);
    world
        .signs(&["subject", "decide", &person.subject, "--track", "hold", "--until", "2099-12-31", "--reason", "needed in court"])
        .expect(0);
    let before = world.dumps();
    let refused = world.go("retire", &[]).expect(4).said();
    assert!(refused.contains(&person.subject) && refused.contains("audit and plan again"), "{refused}");
    assert_eq!(before.differences(&world.dumps(), &[]), [""; 0]);
    let again = world.planned();
    assert!(world.planned_people("retire").iter().all(|p| p.dn != person.dn));
    world.approve(&format!("{again}/retire"), "soak", 1);
    assert!(!world.go("retire", &[]).expect(4).said().contains("have decided"));
}
