//! What changed between two audits and between two plans, on real servers with changes that are known.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use untether_model::Entry;

use crate::personnel::Roster;
use crate::story::{entries, modify};
use crate::support::World;

/// Somebody of our own company with one account, whom the roster calls active and no finding is about.
struct Somebody {
    /// Number of the row in the roster, from 0.
    row: usize,
    name: String,
    dn: String,
    uid: String,
}

/// People to whom something is going to happen: so far nothing is odd about them, and all they have is one account in a team.
fn unremarkable(world: &World, entries: &[Entry]) -> Vec<Somebody> {
    let roster = Roster::of(world);
    let [id, login, name, entity, status, employment, last_day] =
        ["person_id", "login", "name", "entity", "status", "employment", "last_day"].map(|n| roster.column(n));
    let found: BTreeSet<String> = world.findings().into_iter().map(|(_, dn)| dn).collect();
    let dumped = world.pair.shared.dump().unwrap();
    let plain = |row: &&(usize, &Vec<String>)| {
        let row = row.1;
        let once = roster.rows.iter().filter(|other| other[id] == row[id]).count() == 1;
        once && row[entity] == "own" && row[status] == "active" && row[employment] == "regular" && row[last_day].is_empty()
    };
    let somebody = |(row, fields): (usize, &Vec<String>)| {
        let mut of = entries.iter().filter(|e| e.text("uid") == Some(&fields[login]));
        let entry = of.next()?;
        let dn = entry.dn.to_string();
        let named = dumped.matches(&dn).count();
        let unlinked =
            of.next().is_none() && !found.contains(&dn) && dn.starts_with("uid=") && entry.values("memberOf").len() == 1;
        // Its own name, its team's member, and nothing else.
        (unlinked && named == 2).then(|| Somebody { row, name: fields[name].clone(), uid: fields[login].clone(), dn })
    };
    roster.rows.iter().enumerate().filter(|row| plain(&row)).filter_map(somebody).collect()
}

/// Rows of a comparison that are not about findings, with what the test compares of them.
fn told(rows: &[Value]) -> BTreeSet<String> {
    let whats = |row: &Value| -> String {
        let changed = row["changed"].as_array().into_iter().flatten();
        changed.map(|field| field["what"].as_str().unwrap()).collect::<Vec<_>>().join("+")
    };
    rows.iter()
        .filter(|row| matches!(row["row"].as_str(), Some("person" | "account" | "group")))
        .map(|row| {
            let name = row["name"].as_str().or(row["dn"].as_str()).unwrap_or_default();
            let members = if row["row"] == "group" { format!("+{} -{}", row["added"], row["removed"]) } else { String::new() };
            format!("{} {} {name} {}{members}", row["row"].as_str().unwrap(), row["change"].as_str().unwrap(), whats(row))
        })
        .collect()
}

#[test]
fn what_was_changed_between_two_audits_is_told_exactly() {
    let world = World::new(200);
    world.run(&["audit"]).expect(0);
    let none = world.run(&["snapshot", "diff"]).expect(2).stderr;
    assert!(none.contains("only one audit"), "{none}");

    // Nothing changed: nothing is told, though every login moved a marker.
    world.run(&["audit"]).expect(0);
    let same = world.run(&["--json", "snapshot", "diff"]).expect(0).rows();
    assert_eq!(same.len(), 2, "{same:?}");
    assert_eq!((&same[0]["comparable"], &same[0]["jumps"]), (&json!(true), &json!([])));
    assert_eq!(same[1]["row"], "totals");

    let before = entries(&world.pair.shared);
    let people = unremarkable(&world, &before);
    let [moved, locked, rekeyed, leaves, transfers, removed, ..] = people.as_slice() else {
        panic!("six people to whom nothing has happened yet: {}", people.len())
    };
    let server = &world.pair.shared;
    let new_uid = format!("{}.married", moved.uid);
    modify(server, &format!("dn: {}\nchangetype: modrdn\nnewrdn: uid={new_uid}\ndeleteoldrdn: 1\n", moved.dn));
    let forever = "replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n";
    modify(server, &format!("dn: {}\nchangetype: modify\n{forever}", locked.dn));
    modify(server, &format!("dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: another one\n", rekeyed.dn));
    modify(server, &format!("dn: {}\nchangetype: delete\n", removed.dn));
    let newcomer = "uid=new.comer,ou=own,ou=accounts,dc=shared,dc=example";
    server
        .add(&format!(
            "dn: {newcomer}\nobjectClass: inetOrgPerson\nobjectClass: labAccount\nuid: new.comer\ncn: =cmd|' /C calc'!A0\nsn: Comer\n\
             employeeNumber: 0099999\nmail: new.comer@corp.example\nlabEntity: own\nuserPassword: first\n"
        ))
        .unwrap();
    let mut roster = Roster::of(&world);
    roster.set(leaves.row, &[("last_day", "2026-01-31")]);
    roster.set(transfers.row, &[("entity", "domestic")]);
    roster.rows.push(vec![String::new(); roster.header().len()]);
    let newcomer_row = [
        ("person_id", "P9999999"),
        ("employee_number", "0099999"),
        ("name", "=HYPERLINK(http://evil.example) <b>\u{202e}"),
        ("mail", "new.comer@corp.example"),
        ("login", "new.comer"),
        ("entity", "own"),
        ("status", "active"),
        ("employment", "regular"),
    ];
    roster.set(roster.rows.len() - 1, &newcomer_row);
    roster.write();
    // This store follows neither renamed nor removed members: its groups change only where somebody changes them.
    let team = before.iter().find(|e| e.dn.to_string() == rekeyed.dn).unwrap().text("memberOf").unwrap();
    modify(server, &format!("dn: {team}\nchangetype: modify\ndelete: member\nmember: {}\n", rekeyed.dn));
    modify(server, &format!("dn: {team}\nchangetype: modify\nadd: member\nmember: {newcomer}\nmember: cn=a,dc=b\n"));
    world.run(&["audit"]).expect(0);

    let rows = world.run(&["--json", "snapshot", "diff"]).expect(0).rows();
    assert_eq!(rows[0]["schema"], "untether.snapshot-diff/1");
    assert_eq!((&rows[0]["comparable"], &rows[0]["jumps"]), (&json!(true), &json!([])), "{}", rows[0]);
    let expected = BTreeSet::from([
        format!("account changed uid={new_uid},ou=own,ou=accounts,dc=shared,dc=example dn"),
        format!("account changed {} state+path simple-bind+locked", locked.dn),
        // The number alone leads to them now: the subtree says another entity than the roster.
        format!("account changed {} matched-by", transfers.dn),
        format!("account vanished {} ", removed.dn),
        format!("account appeared {newcomer} "),
        format!("person vanished {} ", removed.name),
        "person appeared =HYPERLINK(http://evil.example) <b>\u{202e} ".to_owned(),
        format!("person changed {} standing+last-day+status-finding", leaves.name),
        format!("person changed {} entity", transfers.name),
        format!("group changed {team} +2 -1"),
    ]);
    let told_rows = told(&rows);
    let password = format!("account changed {} credential ", rekeyed.dn);
    let (credentials, others): (BTreeSet<_>, BTreeSet<_>) = told_rows.into_iter().partition(|row| row.starts_with(&password));
    assert_eq!(others, expected);
    assert!(credentials.len() == 1 && credentials.iter().all(|row| row.contains("userPassword")), "{credentials:?}");
    let text = serde_json::to_string(&rows).unwrap();
    assert!(!text.contains("another one") && text.contains("another value"), "of a credential only that it is another");

    // Findings: the leaver's, and nobody's whom nothing happened to.
    let findings: Vec<&Value> = rows.iter().filter(|row| row["row"] == "finding").collect();
    let new = |rule: &str, dn: &str| {
        findings.iter().any(|f| f["change"] == "appeared" && f["rule"] == rule && f["dn"] == dn && f["why"].is_null())
    };
    assert!(new("residual.departed", &leaves.dn) && new("residual.credential", &leaves.dn), "{findings:?}");
    assert!(new("correlation.entity", &transfers.dn), "{findings:?}");
    let about = [moved, locked, rekeyed, leaves, transfers, removed].map(|p| p.dn.as_str());
    let touched = |dn: &str| about.contains(&dn) || dn == newcomer || dn.contains(&new_uid) || dn.starts_with("cn=");
    assert!(findings.iter().all(|f| touched(f["dn"].as_str().unwrap())), "{findings:?}");
    let totals = &rows.last().unwrap()["totals"];
    assert_eq!(totals["people"], json!({ "appeared": 1, "vanished": 1, "changed": 2 }));
    let still: u64 = totals["findings"]["still"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert!(still > 100, "{totals}");

    // The tree stays in a terminal, the table in a spreadsheet.
    let tree = world.run(&["snapshot", "diff", "previous", "last"]).expect(0).stdout;
    for words in
        ["people", "├─ appeared: 1", "standing: active → departed", "path simple-bind: open → refused", "memberships changed"]
    {
        assert!(tree.contains(words), "{words}: {tree}");
    }
    let csv = world.run(&["snapshot", "diff", "--format", "csv"]).expect(0).stdout;
    let line = csv.lines().find(|line| line.starts_with("person,appeared")).unwrap();
    assert!(line.contains("'=HYPERLINK"), "{line}");
    let json = world.run(&["--json", "snapshot", "diff"]).expect(0).stdout;
    for (form, said) in [(&tree, "<b>(U+202E)"), (&csv, "<b>(U+202E)"), (&json, "<b>\\u202e")] {
        assert!(form.contains(said) && !form.contains('\u{202e}'), "what turns the direction is shown as what it is: {form}");
    }
    assert_eq!(csv.lines().next().unwrap(), "row,change,name,store,id,subject,entity,severity,changed,why");
    // By number, by day, by the beginning of a digest; backwards is said.
    let list = world.run(&["--json", "snapshot", "list"]).expect(0).rows();
    assert_eq!(list.len(), 3);
    assert!(list.iter().all(|row| row["files"] == "there" && row["complete"] == true), "{list:?}");
    let number = |n: usize| list[n]["record"].to_string();
    let digest = &list[1]["snapshot"].as_str().unwrap()[..12];
    let by_name = world.run(&["--json", "snapshot", "diff", digest, &number(2)]).expect(0);
    assert_eq!(by_name.rows().len(), rows.len());
    let backwards = world.run(&["--json", "snapshot", "diff", "last", &number(1)]).expect(0);
    assert!(backwards.stderr.contains("the later one"), "{}", backwards.stderr);
    assert_eq!(backwards.rows().last().unwrap()["totals"]["people"], json!({ "appeared": 1, "vanished": 1, "changed": 2 }));
    let today = list[2]["taken_at"].as_str().unwrap()[..10].to_owned();
    assert_eq!(
        world.run(&["--json", "snapshot", "diff", &number(0), &today]).expect(0).rows()[0]["after"]["record"],
        list[2]["record"]
    );
    for nobody in ["nobody", "0", "1999-01-01", "last"] {
        world.run(&["snapshot", "diff", nobody, "last"]).expect(2);
    }

    // An audit whose files are gone is listed as such, and cannot be compared.
    let mut shared = fs::read_dir(world.state().join("snapshots")).unwrap().map(|file| file.unwrap().path());
    let gone = shared.find(|path| path.ends_with(list[0]["snapshot"].as_str().unwrap())).unwrap();
    fs::remove_file(gone).unwrap();
    assert_eq!(world.run(&["--json", "snapshot", "list"]).expect(0).rows()[0]["files"], "gone");
    let said = world.run(&["snapshot", "diff", &number(0), "last"]).expect(4).stderr;
    assert!(said.contains("not there"), "{said}");
}

#[test]
fn jumps_and_other_configurations_are_said_before_anybody_is_called_gone() {
    let world = World::new(300);
    world.run(&["audit"]).expect(0);
    let original = fs::read_to_string(&world.config).unwrap();

    // A base less, another threshold, another retention: nobody has left by that.
    world.configure("  { base = \"ou=services,dc=shared,dc=example\", filter = \"(uid=*)\" },\n", "");
    world.configure("dormant_days = 180", "dormant_days = 90");
    world.run(&["audit"]).expect(0);
    let rows = world.run(&["--json", "snapshot", "diff"]).expect(0).rows();
    assert_eq!(rows[0]["comparable"], false);
    let differs: Vec<&str> = rows[0]["not_comparable"].as_array().unwrap().iter().map(|d| d["what"].as_str().unwrap()).collect();
    assert_eq!(differs, ["audit.shared.accounts", "audit.dormant_days"]);
    let jumps = |head: &Value| -> Vec<(String, String)> {
        let jumps = head["jumps"].as_array().unwrap().iter();
        jumps.map(|j| (j["jump"].as_str().unwrap().to_owned(), j["about"].as_str().unwrap().to_owned())).collect()
    };
    let base = ("base-missing".to_owned(), "ou=services,dc=shared,dc=example".to_owned());
    assert!(jumps(&rows[0]).contains(&base), "{:?}", jumps(&rows[0]));
    let vanished: Vec<&Value> = rows.iter().filter(|r| r["row"] == "account" && r["change"] == "vanished").collect();
    assert!(!vanished.is_empty() && vanished.iter().all(|r| r["why"] == "out-of-scope"), "{vanished:?}");
    let gone =
        rows.iter().filter(|r| r["row"] == "finding" && r["change"] == "vanished" && r["dn"].to_string().contains("ou=services"));
    assert!(gone.clone().count() > 0 && gone.clone().all(|r| r["why"] == "out-of-scope"), "{:?}", gone.collect::<Vec<_>>());
    let tree = world.run(&["snapshot", "diff"]).expect(0).stdout;
    let place = |words: &str| tree.find(words).unwrap_or_else(|| panic!("{words}: {tree}"));
    assert!(place("NOT COMPARABLE") < place("SUSPICIOUS") && place("SUSPICIOUS") < place("people"), "{tree}");
    assert!(tree.contains("audit.dormant_days: 180 → 90"), "{tree}");
    let csv = world.run(&["snapshot", "diff", "--format", "csv"]).expect(0).stdout;
    assert!(csv.lines().nth(1).unwrap().starts_with("not-comparable,"), "{csv}");

    // Back as it was; now one entity's people are gone from the roster, and cn=config cannot be read.
    fs::write(&world.config, &original).unwrap();
    world.run(&["audit"]).expect(0);
    let mut roster = Roster::of(&world);
    let entity = roster.column("entity");
    roster.rows.retain(|row| row[entity] != "contractor");
    roster.write();
    let text = fs::read_to_string(&world.config).unwrap();
    let section = text.split("\n\n").find(|part| part.starts_with("[shared.config]")).unwrap().to_owned();
    world.configure(&section, "");
    world.run(&["audit"]).expect(0);
    let rows = world.run(&["--json", "snapshot", "diff"]).expect(0).rows();
    let told = jumps(&rows[0]);
    for jump in [("entity-vanished", "contractor"), ("config-unread", "shared"), ("audit-incomplete", "audit")] {
        assert!(told.contains(&(jump.0.to_owned(), jump.1.to_owned())), "{jump:?}: {told:?}");
    }
    // Whoever has lost the roster row is another, not gone: the accounts are still there.
    assert!(rows.iter().all(|r| !(r["row"] == "account" && r["change"] == "vanished")), "nobody removed an account");
    assert!(rows.iter().all(|r| !(r["row"] == "person" && r["change"] == "vanished")), "and nobody has vanished");
    let others: Vec<&Value> = rows.iter().filter(|r| r["row"] == "person" && r["change"] == "other-id").collect();
    assert!(others.len() > 10 && others.iter().all(|r| r["was"].is_string()), "{}", others.len());
    let tree = world.run(&["snapshot", "diff"]).expect(0).stdout;
    let first = tree.find("the roster has nobody of contractor any more").unwrap();
    assert!(first < tree.find("\npeople\n").unwrap(), "{tree}");
}

#[test]
fn a_plan_is_compared_with_the_one_before_while_waves_are_running() {
    let world = World::new(300);
    let first = world.planned();
    let none = world.run(&["plan", "diff"]).expect(2).stderr;
    assert!(none.contains("only one plan"), "{none}");
    world.approve(&format!("{first}/retire"), "soak", 1);
    world.go("retire", &[]).expect(4);
    let claimed: BTreeSet<String> = world.planned_people("retire").into_iter().map(|p| p.subject).collect();

    // Meanwhile: somebody leaves, an account loses its number and everything that names its person, a wave soaks longer.
    let mut roster = Roster::of(&world);
    let migrating = world.run(&["--json", "plan", "show", "--wave", "migrate"]).expect(0).rows().remove(0);
    let lines = migrating["wave"].as_array().unwrap();
    let subjects: Vec<&Value> =
        lines.iter().filter_map(|l| l.get("batch")).flat_map(|b| b["subjects"].as_array().unwrap()).collect();
    let leaver = subjects[0];
    let reference = leaver["roster_ref"].as_str().unwrap();
    let (id, last_day) = (roster.column("person_id"), roster.column("last_day"));
    for row in roster.rows.iter_mut().filter(|row| row[id] == reference) {
        row[last_day] = "2026-01-31".to_owned();
    }
    let held = subjects[1];
    roster.write();
    world.configure("name = \"finish\"\n", "name = \"finish\"\nlimit = 1\n");
    let subject = held["id"].as_str().unwrap();
    let mut words =
        vec!["subject", "decide", subject, "--track", "hold", "--until", "2030-01-01", "--reason", "runs the transition"];
    let signer = world.signer(0);
    words.extend(signer.iter().map(String::as_str));
    world.run(&words).expect(0);
    let second = world.planned();

    let rows = world.run(&["--json", "plan", "diff"]).expect(0).rows();
    let head = &rows[0];
    assert_eq!(
        (&head["schema"], &head["before"]["plan"], &head["after"]["plan"]),
        (&json!("untether.plan-diff/1"), &json!(first), &json!(second))
    );
    let because: Vec<&str> = head["because"].as_array().unwrap().iter().map(|g| g.as_str().unwrap()).collect();
    for ground in ["audit", "policy", "progress", "decisions"] {
        assert!(because.contains(&ground), "{because:?}");
    }
    let settings: Vec<&str> = head["policy"].as_array().unwrap().iter().map(|c| c["setting"].as_str().unwrap()).collect();
    assert_eq!(settings, ["plan.waves.finish.limit"]);
    assert_eq!(head["decisions"][0]["reason"], "runs the transition");
    let of =
        |id: &Value| rows.iter().find(|row| row["row"] == "subject" && row["subject"] == *id).unwrap_or_else(|| panic!("{id}"));
    // Everybody whom the wave has is in hand, and not called blocked.
    for id in &claimed {
        let row = of(&json!(id));
        assert!(matches!(row["change"].as_str(), Some("in-hand" | "finished")), "{row}");
        assert_eq!(row["before"]["wave"], "retire");
    }
    let row = of(&held["id"]);
    assert_eq!((row["change"].as_str(), row["after"]["reason"].as_str()), (Some("newly-blocked"), Some("decided-hold")));
    let row = of(&leaver["id"]);
    assert_eq!(
        (row["change"].as_str(), row["before"]["wave"].as_str(), row["after"]["wave"].as_str()),
        (Some("other-wave"), Some("migrate"), Some("retire"))
    );
    assert_eq!(row["after"]["track"], "retire");
    let limited = rows.iter().filter(|row| row["after"]["reason"] == "wave-limit" && row["before"]["wave"] == "finish").count();
    assert!(limited > 0, "the wave that takes one only");
    let wave = |name: &str| head["waves"].as_array().unwrap().iter().find(|w| w["wave"] == name).cloned().unwrap();
    assert_eq!(wave("finish")["after"]["subjects"], 1);
    let disable = &head["operations"]["disable"];
    // Whom a wave has in hand the second plan leaves to it; the leaver's account is disabled by either.
    assert!(disable["removed"].as_u64() > disable["added"].as_u64() && disable["kept"].as_u64() > Some(0), "{disable}");

    let tree = world.run(&["plan", "diff", &first[..6], "last", "--all"]).expect(0).stdout;
    for words in [
        "because of:",
        "untether snapshot diff",
        "plan.waves.finish.limit: nothing → 1",
        "newly blocked: ",
        "decided-hold",
        "in the hands of a wave now",
    ] {
        assert!(tree.contains(words), "{words}: {tree}");
    }
    let csv = world.run(&["plan", "diff", "--format", "csv"]).expect(0).stdout;
    assert!(
        csv.lines().any(|line| line.starts_with("subject,other-wave") && line.contains("migrate/b") && line.contains("retire/b")),
        "{csv}"
    );
    for nobody in ["0000000000", "", "last"] {
        world.run(&["plan", "diff", nobody]).expect(2);
    }
    world.run(&["state", "check"]).expect(0);
}
