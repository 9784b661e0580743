//! A month between two stores: four audits, three waves, decisions that people sign, exceptions that end, joiners and leavers, a
//! credential that nobody collects. Servers and program live by a calendar, so that weeks pass.
//!
//! `UNTETHER_MONTH_PAGES` names a directory that keeps the reports of the last day, to be looked at.

use std::io::Write as _;
use std::path::PathBuf;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::correlate::{dn_of, with_candidate};
use crate::personnel::Roster;
use crate::story::entries;
use crate::support::{Ran, World, text};

/// The month's world, and what the people in it do.
struct Month {
    world: World,
}

impl Month {
    /// So many days pass; HR exports the roster anew, with these changes.
    fn pass(&mut self, days: u32, changed: impl FnOnce(&mut Roster)) {
        let calendar = self.world.calendar.as_mut().unwrap();
        calendar.pass(days);
        let now = calendar.now();
        for server in [&mut self.world.pair.shared, &mut self.world.pair.independent] {
            server.stop().unwrap();
            server.set_environment(calendar.environment());
            server.start().unwrap();
        }
        let mut roster = Roster::of(&self.world);
        changed(&mut roster);
        roster.write();
        std::fs::File::options().write(true).open(roster.path()).unwrap().set_modified(now).unwrap();
    }

    /// The day so many days from now.
    fn day(&self, from_now: i64) -> String {
        self.today().checked_add(from_now.days()).unwrap().to_string()
    }

    fn now(&self) -> jiff::Timestamp {
        self.world.calendar.as_ref().unwrap().now().try_into().unwrap()
    }

    fn today(&self) -> Date {
        TimeZone::get("Asia/Tokyo").unwrap().to_datetime(self.now()).date()
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.world.run(words)
    }

    /// Runs a command that an approver signs.
    fn signs(&self, words: &[&str]) -> Ran {
        let signer = self.world.signer(0);
        self.run(&[words, &signer.each_ref().map(String::as_str)].concat())
    }

    fn rows(&self, words: &[&str]) -> Vec<Value> {
        self.run(&[&["--json"], words].concat()).expect(0).rows()
    }

    fn audits(&self) -> Value {
        self.rows(&["audit"]).remove(0)
    }

    fn findings(&self, more: &[&str]) -> Vec<Value> {
        self.rows(&[&["findings"], more].concat())
    }

    /// Login and DN of an active contractor with one account in the shared store, about whom nothing is odd.
    fn contractor(&self) -> (String, String) {
        let roster = Roster::of(&self.world);
        let [id, login, entity, status, last_day] =
            ["person_id", "login", "entity", "status", "last_day"].map(|name| roster.column(name));
        let odd: Vec<(String, String)> = self.world.findings();
        let entries = entries(&self.world.pair.shared);
        let dn_of = |row: &Vec<String>| {
            let mut of = entries.iter().filter(|entry| entry.text("uid") == Some(&row[login]));
            let dn = of.next()?.dn.to_string();
            let is_plain = of.next().is_none() && odd.iter().all(|(_, other)| *other != dn);
            let once = roster.rows.iter().filter(|other| other[id] == row[id]).count() == 1;
            (is_plain && once).then(|| (row[login].clone(), dn))
        };
        let active =
            roster.rows.iter().filter(|row| row[entity] == "contractor" && row[status] == "active" && row[last_day].is_empty());
        active.filter_map(dn_of).next().unwrap()
    }

    /// The reports say what happened, in both languages, and count what the last audit counted.
    fn reports(&self, audit: &Value, waived: &str) {
        let report = self.rows(&["report"]).remove(0);
        let findings = &report["findings"];
        assert_eq!((&findings["waived"], &findings["solved"]), (&audit["waived"], &audit["solved"]), "{findings}");
        let ending = findings["ending"].as_array().unwrap();
        assert!(ending.iter().any(|end| end["state"] == "expired" && end.to_string().contains(waived)), "{ending:?}");
        let kept = std::env::var_os("UNTETHER_MONTH_PAGES").map(PathBuf::from);
        let pages = kept.unwrap_or_else(|| self.world.directory().join("pages"));
        for lang in ["ja", "en"] {
            let out = pages.display().to_string();
            self.run(&["report", "--format", "html", "--lang", lang, "--out", &out]).expect(0);
            let published = self.run(&["report", "--format", "published", "--lang", lang]).expect(0).stdout;
            assert!(!published.is_empty());
        }
        let page = |lang: &str| std::fs::read_to_string(pages.join(format!("report.{lang}.html"))).unwrap();
        for (lang, words) in [("ja", "許容"), ("en", "waive")] {
            let page = page(lang);
            assert!(page.contains(words) && page.contains("<svg") && !page.contains("<script"), "{lang}");
        }
    }
}

#[test]
fn a_month_of_decisions_waves_and_changes() {
    let Some(world) = World::in_time(200) else {
        writeln!(std::io::stderr(), "SKIPPED a_month_of_decisions…: libfaketime is not installed (package faketime)").unwrap();
        return;
    };
    let mut month = Month { world };

    // Monday. The first audit; people decide what the rules cannot.
    month.audits();
    let cases = month.rows(&["correlate"]);
    let (case, leaver) = with_candidate(&cases, "correlation.conflicting", "departed");
    let (matched, n) = (dn_of(case).to_owned(), (leaver + 1).to_string());
    month.signs(&["correlate", "confirm", text(case, "case"), "--with", &n, "--reason", "HR knows who it was"]).expect(0);
    let links = month.findings(&["--rule", "link", "--store", "shared"]);
    let waived = text(links.first().expect("a link"), "id").to_owned();
    let until = month.day(10);
    month.signs(&["findings", "waive", &waived, "--until", &until, "--reason", "the vendor changes it next week"]).expect(0);
    let orphans = month.findings(&["--rule", "residual.orphan", "--store", "shared", "--entity", "own"]);
    let (orphan, orphan_dn) = (text(&orphans[0], "subject").to_owned(), text(&orphans[0], "dn").to_owned());
    month
        .signs(&["subject", "decide", &orphan, "--track", "retire", "--until", &month.day(20), "--reason", "nobody's"])
        .expect(0);

    // The day after: the decisions count, and the first two waves begin.
    month.pass(1, |_| {});
    let second = month.audits();
    assert_eq!(second["waived"], 1, "{second}");
    let plan = month.rows(&["plan"]).remove(0)["plan"].as_str().unwrap().to_owned();
    let people = month.world.planned_people("retire");
    for dn in [&matched, &orphan_dn] {
        assert!(people.iter().any(|p| p.dn == *dn), "a person decided that {dn} goes");
    }
    let retire = format!("{plan}/retire");
    month.world.approve(&retire, "attest", 2);
    month.world.accept("silence", &["--wave", &retire]);
    month.world.go("retire", &[]).expect(0);
    let dumps = month.world.dumps();
    assert!(dumps.shared(&matched).is_none() && dumps.shared(&orphan_dn).is_none());

    let migrate = format!("{plan}/migrate");
    month.world.approve(&migrate, "soak", 1);
    month.world.go("migrate", &[]).expect(4);
    let canary = month.world.handed_over(&format!("{migrate}/b01"));
    let (idle, rest) = canary.split_first().unwrap();
    for person in rest {
        month.world.collects(person);
    }
    month.world.enrolls_factor(rest.iter().map(|p| p.account.as_str()));
    let ran = month.world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("1 × gate mfa"), "{}", ran.said());

    // Six days later: somebody joined, a contractor left, and one of the first has never collected the credential.
    let leaver = month.contractor();
    let last_day = month.day(3);
    month.pass(6, |roster| {
        let row = roster.with_login(&leaver.0);
        let newcomer = roster.rows[row].clone();
        roster.set(row, &[("status", "departed"), ("last_day", &last_day)]);
        roster.rows.push(newcomer);
        let fields = [
            ("person_id", "P9999901"),
            ("employee_number", "9999901"),
            ("name", "新田 めぐみ"),
            ("entity", "own"),
            ("login", "new.comer"),
            ("mail", "new.comer@corp.example"),
            ("start_date", &last_day),
        ];
        roster.set(roster.rows.len() - 1, &fields);
    });
    month
        .world
        .pair
        .shared
        .add(
            "dn: uid=new.comer,ou=own,ou=accounts,dc=shared,dc=example\nobjectClass: inetOrgPerson\nobjectClass: labAccount\n\
             uid: new.comer\ncn: Megumi Nitta\nsn: Nitta\nemployeeNumber: 9999901\nmail: new.comer@corp.example\nlabEntity: own\n\
             userPassword: first\n",
        )
        .unwrap();
    month.audits();
    let expiring = month.run(&["findings", "--expiring"]).expect(0).stdout;
    assert!(expiring.contains(&waived) && expiring.contains("3 days left"), "{expiring}");
    let changes = month.rows(&["snapshot", "diff"]);
    let people: Vec<&Value> = changes.iter().filter(|row| row["row"] == "person").collect();
    let told = |change: &str| people.iter().filter(|row| row["change"] == change).map(|row| row.to_string()).collect::<Vec<_>>();
    assert!(told("changed").iter().any(|row| row.contains("departed")), "{:?}", told("changed"));
    assert!(told("appeared").iter().any(|row| row.contains("新田 めぐみ")), "{:?}", told("appeared"));
    let unused = month.rows(&["handover", "list", "--status", "unused"]);
    assert_eq!(unused.iter().map(|row| text(row, "account")).collect::<Vec<_>>(), [idle.account.as_str()]);
    let issued: jiff::Timestamp = text(&unused[0], "issued").parse().unwrap();
    assert_eq!(month.now().duration_since(issued).as_hours(), 6 * 24, "{unused:?}");
    let batch = format!("{migrate}/b01");
    let shown = month.rows(&["handover", "expire", "--batch", &batch]).remove(0);
    month.world.approve(text(&shown, "order"), "enroll", 1);
    month.run(&["handover", "expire", "--batch", &batch, "--execute"]).expect(0);
    assert_eq!(month.rows(&["handover", "list", "--status", "expired"]).len(), 1);
    // The others go on without that one.
    let ran = month.world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("1 × gate mfa"), "{}", ran.said());

    // The third wave: whoever left since the first plan.
    let again = month.rows(&["plan"]).remove(0)["plan"].as_str().unwrap().to_owned();
    let moved = month.rows(&["plan", "diff"]);
    assert!(moved.iter().any(|row| row.to_string().contains(&leaver.1)), "{moved:?}");
    let people = month.world.planned_people("retire");
    assert!(people.iter().any(|p| p.dn == leaver.1), "{} is retired now: {people:?}", leaver.1);
    let retire = format!("{again}/retire");
    month.world.approve(&retire, "attest", 2);
    month.world.accept("silence", &["--wave", &retire]);
    month.world.go("retire", &[]).expect(0);
    assert!(month.world.dumps().shared(&leaver.1).is_none());

    // The end of the month: what was accepted for a while counts again.
    month.pass(20, |_| {});
    let fourth = month.audits();
    assert_eq!(fourth["waived"], 0, "{fourth}");
    assert!(fourth["solved"].as_u64() > second["solved"].as_u64(), "{fourth}");
    let status = month.run(&["status"]).expect(0).stdout;
    assert!(status.contains("it is open again"), "{status}");
    assert!(month.findings(&[]).iter().any(|row| row["id"] == waived.as_str() && row["waived_until"].is_null()));
    month.reports(&fourth, &waived);
    month.run(&["state", "check"]).expect(0);
    month.run(&["state", "rebuild"]).expect(0);
}
