//! One-time credentials on real servers: listed, handed over, issued again, expired, printed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value as Json;
use untether_testkit::lab::Role;

use crate::personnel::Roster;
use crate::story::Handed;
use crate::support::World;

/// Runs the wave `migrate` until its canary waits for factors; tells the wave, and who was handed what.
fn enrolled(world: &World) -> (String, Vec<Handed>) {
    let plan = world.planned();
    let wave = format!("{plan}/migrate");
    world.approve(&wave, "soak", 1);
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("gate mfa"), "{}", ran.said());
    let handed = world.handed_over(&format!("{wave}/b01"));
    (wave, handed)
}

/// What became of each person's credential, by account; superseded ones left out.
fn states(world: &World, code: i32) -> BTreeMap<String, String> {
    let rows = world.run(&["--json", "handover", "list"]).expect(code).rows();
    let text = |row: &Json, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let all = rows.iter().map(|row| (text(row, "account"), text(row, "state")));
    all.filter(|(_, state)| state != "superseded").collect()
}

#[track_caller]
fn is(world: &World, handed: &Handed, state: &str) {
    let all = states(world, 0);
    assert_eq!(all.get(&handed.account).map(String::as_str), Some(state), "{}: {all:?}", handed.account);
}

/// Whether an account of the independent directory lets somebody in with this password.
fn lets_in(world: &World, account: &str, password: &str) -> bool {
    let server = &world.pair.independent;
    let path = world.directory().join("tried");
    std::fs::write(&path, password).unwrap();
    let output = std::process::Command::new("ldapwhoami")
        .env("LDAPTLS_CACERT", server.ca_file())
        .args(["-x", "-H", server.ldaps_url(), "-D", account, "-y"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success()
}

/// Shows an order, has it approved by so many, and carries it out; tells its id and what it said.
#[track_caller]
fn carried_out(world: &World, words: &[&str], people: u64) -> (String, Json) {
    let shown = world.run(&[&["--json", "handover"], words].concat()).expect(0).rows().remove(0);
    assert_eq!(shown["approvals_needed"], people, "{shown}");
    let order = shown["order"].as_str().unwrap().to_owned();
    let execute = [&["--json", "handover"], words, &["--execute"]].concat();
    let refused = world.run(&execute).expect(4);
    assert!(refused.said().contains(&format!("needs the approval of {people} people")), "{}", refused.said());
    world.approve(&order, "enroll", usize::try_from(people).unwrap());
    let ran = world.to_the_end(&execute);
    let ended = ran.rows().into_iter().find(|row| row["executed"] == true).unwrap_or(Json::Null);
    // A kill may have come when everything was done: then the same words concern nobody, or make another order, which nobody has
    // approved.
    let late = world.kills.is_some() && ended.is_null() && matches!(ran.code, Some(0 | 4));
    assert!(late || ran.code == Some(0) && ended["order"] == order.as_str(), "{}", ran.said());
    (order, ended)
}

fn login(handed: &Handed) -> &str {
    handed.account.split(',').next().unwrap().split_once('=').unwrap().1
}

/// The roster says from now on that this person has left; gives what it said before.
fn leaves(world: &World, login: &str) -> Vec<u8> {
    let mut roster = Roster::of(world);
    let before = std::fs::read(roster.path()).unwrap();
    roster.set(roster.with_login(login), &[("status", "departed"), ("last_day", "2020-03-31")]);
    roster.write();
    before
}

#[test]
fn credentials_are_listed_issued_again_and_expired() {
    the_story(&World::new(120));
}

/// The same with the program killed in each of the orders, with operations in flight.
#[test]
fn the_same_with_kills() {
    let mut world = World::new(120);
    world.kills = Some(std::cell::RefCell::default());
    // One after the other, so that a kill leaves something to do.
    world.run(&["throttle", "1"]).expect(0);
    the_story(&world);
    let killed = world.kills.take().unwrap().into_inner();
    assert!(["handover issue", "handover expire", "enroll"].iter().all(|what| killed.contains(*what)), "{killed:?}");
}

fn the_story(world: &World) {
    let before = world.dumps();
    let (wave, canary) = enrolled(world);
    let batch = format!("{wave}/b01");
    let [used, opened, lost, slow, gone, left, idle, ..] = canary.as_slice() else { panic!("{} people", canary.len()) };

    // What became of each is seen from the directory.
    assert!(states(world, 0).values().all(|state| state == "unused"));
    world.collects(used);
    assert!(lets_in(world, &opened.account, &opened.secret));
    is(world, used, "used");
    is(world, opened, "opened");
    is(world, lost, "unused");
    reports(world, &batch, used);

    // Issued again: the first one no longer works, and the account must still be changed at first use.
    let refused = world.run(&["handover", "issue", "--subject", login(used)]).expect(0);
    assert!(refused.said().contains("has set a password of their own; --reset"), "{}", refused.said());
    let (order, _) = carried_out(world, &["issue", "--subject", login(lost)], 1);
    let again = world.handed_over(&format!("{order}/handover/b01"));
    assert_eq!(again.iter().map(|h| &h.account).collect::<Vec<_>>(), [&lost.account]);
    assert!(!lets_in(world, &lost.account, &lost.secret), "the first one still works");
    let entry = world.dumps();
    let entry = entry.independent(&lost.account).unwrap();
    assert_eq!(
        (entry.text("pwdReset"), entry.has("pwdAccountLockedTime"), entry.has("pwdEndTime")),
        (Some("TRUE"), false, false)
    );
    is(world, lost, "unused");
    let rows = world.run(&["--json", "handover", "list", "--subject", &lost.account]).expect(0).rows();
    let told: Vec<&str> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(told, ["superseded", "unused"]);
    let again_refused = world.run(&["handover", "issue", "--subject", login(lost), "--execute"]).expect(4);
    assert!(again_refused.said().contains("needs the approval of 1 people"), "an approval counts once: {}", again_refused.said());

    // Whoever uses theirs between approval and execution keeps what they chose.
    let words = ["issue", "--subject", login(slow), "--subject", login(opened)];
    let shown = world.run(&[&["--json", "handover"], &words[..]].concat()).expect(0).rows().remove(0);
    world.approve(shown["order"].as_str().unwrap(), "enroll", 1);
    world.collects(slow);
    let ran = world.run(&[&["--json", "handover"], &words[..], &["--execute"]].concat()).expect(5);
    let ended = ran.rows().into_iter().find(|row| row["executed"] == true).unwrap();
    assert_eq!(ended["left_out"][0]["outcome"], "conflict", "{ended}");
    assert!(ended["left_out"][0]["reason"].as_str().unwrap().contains("userPassword"), "{ended}");
    assert_eq!(ended["done"].as_array().unwrap().len(), 1);
    is(world, slow, "used");
    assert!(!lets_in(world, &opened.account, &opened.secret));

    // A person who has left gets nothing, neither when the order is made nor when it is carried out.
    let roster = leaves(world, login(left));
    let refused = world.run(&["handover", "issue", "--subject", login(left)]).expect(0);
    assert!(refused.said().contains("the roster says that the person has left"), "{}", refused.said());
    std::fs::write(world.data().join("roster.csv"), &roster).unwrap();
    let shown = world.run(&["--json", "handover", "issue", "--subject", login(left)]).expect(0).rows().remove(0);
    world.approve(shown["order"].as_str().unwrap(), "enroll", 1);
    leaves(world, login(left));
    let ran = world.run(&["--json", "handover", "issue", "--subject", login(left), "--execute"]).expect(0);
    let ended = ran.rows().into_iter().find(|row| row["executed"] == true).unwrap();
    assert_eq!(ended["left_out"][0]["outcome"], "skipped", "{ended}");
    assert!(lets_in(world, &left.account, &left.secret), "what was handed over before is as it was");
    std::fs::write(world.data().join("roster.csv"), &roster).unwrap();

    // A password reset needs to be asked for, and two people.
    let (order, _) = carried_out(world, &["issue", "--subject", login(used), "--reset"], 2);
    let reset = world.handed_over(&format!("{order}/handover/b01")).remove(0);
    assert!(
        lets_in(world, &reset.account, &reset.secret)
            && !lets_in(world, &used.account, &format!("own password of {}", used.account))
    );

    expires(world, (&batch, idle, gone));

    // A rollback takes everything back, whatever was issued on the way.
    world.rolled_back(&["--wave", &wave, "--to", "provision", "--delete-provisioned"], 2);
    assert_eq!(before.differences(&world.dumps(), &[]), [""; 0]);
    assert!(states(world, 0).is_empty());
}

fn reports(world: &World, batch: &str, used: &Handed) {
    let text = world.run(&["handover", "report", "--batch", batch]).expect(0).stdout;
    assert!(text.contains("10 people: 8 unused, 1 opened, 1 used") && text.contains("9 have not used theirs yet"), "{text}");
    let csv_text = world.run(&["handover", "report", "--format", "csv"]).expect(0).stdout;
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(csv_text.as_bytes()).records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9);
    assert!(rows.iter().all(|row| row.get(3) != Some(used.account.as_str()) && !row.get(5).unwrap().is_empty()), "{csv_text}");
    let only = world.run(&["--json", "handover", "list", "--status", "used", "--entity", "own"]).expect(0).rows();
    assert_eq!(only.len(), 1);
    assert_eq!(only[0]["account"], used.account.as_str());
    let refused = world.run(&["handover", "list", "--subject", "nobody"]).expect(2);
    assert!(refused.said().contains("nobody called 'nobody'"), "{}", refused.said());
}

/// Unused ones are closed and opened again; nobody who uses theirs is touched.
fn expires(world: &World, (batch, idle, gone): (&str, &Handed, &Handed)) {
    let younger = world.run(&["handover", "expire", "--batch", batch, "--older-than", "1d"]).expect(0);
    assert!(younger.said().contains("Nobody's one-time credential is concerned"), "{}", younger.said());
    world.run(&["handover", "expire"]).expect(2);
    assert!(lets_in(world, &idle.account, &idle.secret));
    let used: Vec<String> =
        states(world, 0).into_iter().filter(|(_, state)| state == "used").map(|(account, _)| account).collect();
    let open = world.dumps();
    let (_, ended) = carried_out(world, &["expire", "--batch", batch], 1);
    let closed = world.dumps();
    for account in &used {
        let was = open.independent(account).unwrap();
        assert_eq!(was.values("pwdEndTime"), closed.independent(account).unwrap().values("pwdEndTime"), "{account}");
    }
    assert!(ended.is_null() || ended["done"].as_array().unwrap().len() == 10 - used.len(), "{ended}");
    for handed in [idle, gone] {
        is(world, handed, "expired");
        assert!(!lets_in(world, &handed.account, &handed.secret));
        let entry = closed.independent(&handed.account).unwrap();
        assert_eq!(entry.text("pwdAccountLockedTime"), Some("000001010000Z"));
        assert!(entry.has("pwdEndTime"));
    }
    // The run waits for them, and says why.
    world.enrolls_factor([idle.account.as_str()]);
    let held = world.run(&["handover", "deliver"]).expect(0);
    assert!(held.said().contains("everybody whose credential counts has got it"), "{}", held.said());
    let (order, _) = carried_out(world, &["issue", "--subject", login(idle)], 1);
    let again = world.handed_over(&format!("{order}/handover/b01")).remove(0);
    is(world, idle, "unused");
    assert!(lets_in(world, &again.account, &again.secret) && !lets_in(world, &idle.account, &idle.secret));
}

#[test]
fn a_directory_that_does_not_answer_makes_nobody_look_idle() {
    let mut stopped = World::new(60);
    enrolled(&stopped);
    stopped.pair.independent.stop().unwrap();
    let ran = stopped.run(&["--json", "handover", "list"]).expect(1);
    let rows = ran.rows();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["state"] == "unknown"), "{rows:?}");
    assert!(ran.stderr.contains("what became of the credentials is not known"), "{}", ran.stderr);
    let report = stopped.run(&["handover", "report"]).expect(1);
    assert!(report.stdout.contains("unknown") && !report.stdout.contains("everybody"), "{}", report.stdout);
    stopped.run(&["handover", "issue", "--entity", "own"]).expect(0);
    stopped.pair.independent.start().unwrap();
    // What the reading identity may not see is not unused either.
    deny_passwords(&stopped);
    let rows = stopped.run(&["--json", "handover", "list"]).expect(0).rows();
    assert!(rows.iter().all(|row| row["state"] == "unknown"), "{rows:?}");
}

fn deny_passwords(world: &World) {
    let server = &world.pair.independent;
    server.rule_first(&format!("to attrs=userPassword by dn.base=\"{}\" none by * break", server.dn(Role::Reader))).unwrap();
}

/// A hook that keeps what it gets in a directory, and does as a file beside it says.
fn with_hook(world: &World, repeatable: bool) -> PathBuf {
    let kept = world.directory().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let script = world.directory().join("deliver");
    let text = format!(
        "#!/bin/sh\nkept='{}'\nsecret=$(cat)\n\
         case $UNTETHER_LOGIN in $(cat \"$kept/refused\" 2>/dev/null)) echo \"no such mailbox for $secret\" >&2; exit 7;; esac\n\
         printf '%s %s\\n' \"$UNTETHER_ACCOUNT\" \"$secret\" >>\"$kept/got-$UNTETHER_LOGIN\"\n\
         printf '%s\\n' \"$UNTETHER_KEY\" >>\"$kept/keys\"\n\
         if [ -p \"$kept/slow-$UNTETHER_LOGIN\" ]; then echo here >\"$kept/slow-$UNTETHER_LOGIN\"; cat \"$kept/end\"; fi\n",
        kept.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(
        "[handover]\n",
        &format!("[handover]\nhook = [{:?}]\nrepeatable = {repeatable}\n", script.display().to_string()),
    );
    kept
}

fn got(kept: &Path, login: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(kept.join(format!("got-{login}"))).unwrap_or_default();
    text.lines().map(|line| line.rsplit_once(' ').unwrap()).map(|(a, s)| (a.to_owned(), s.to_owned())).collect()
}

#[test]
fn a_hook_that_fails_for_one_person_stops_nobody_else_and_repeats_nothing() {
    let world = World::new(120);
    let kept = with_hook(&world, false);
    let plan = world.planned();
    let wave = format!("{plan}/migrate");
    let people: Vec<String> = planned_logins(&world, &wave);
    let unlucky = people[2].clone();
    std::fs::write(kept.join("refused"), &unlucky).unwrap();
    world.approve(&wave, "soak", 1);
    let ran = world.go("migrate", &[]).expect(4);
    let said = ran.said();
    assert!(
        said.contains("1 × hand-over: '") && said.contains("exit status: 7") && said.contains("no such mailbox for"),
        "{said}"
    );
    assert!(said.contains("10 × gate mfa"), "{said}");
    for login in people.iter().filter(|login| **login != unlucky) {
        let [(account, secret)] = got(&kept, login).try_into().unwrap_or_else(|all| panic!("{login}: {all:?}"));
        assert!(lets_in(&world, &account, &secret));
        assert!(!said.contains(&secret), "the hook's words repeat a secret");
    }
    let list = world.run(&["--json", "handover", "list", "--status", "undelivered"]).expect(0).rows();
    assert_eq!(list.len(), 1);
    assert!(list[0]["details"].as_str().unwrap().contains("no such mailbox for (the credential)"), "{}", list[0]);
    assert!(!world.state().join("handover").read_dir().unwrap().any(|_| true), "a hook needs no file");

    // What nobody got proves no login.
    let account = list[0]["account"].as_str().unwrap().to_owned();
    world.enrolls_factor(accounts(&world).iter().map(String::as_str));
    let ran = world.go("migrate", &[]).expect(4);
    assert!(ran.said().contains("1 × hand-over"), "{}", ran.said());
    assert_eq!(std::fs::read_to_string(kept.join("keys")).unwrap().lines().count(), 9, "nobody got theirs twice");

    // Mended: the next run delivers to whoever was left, and to nobody else.
    std::fs::remove_file(kept.join("refused")).unwrap();
    let ran = world.run(&["handover", "deliver", "--execute"]).expect(0);
    assert!(ran.stdout.contains("1 one-time credentials were handed over"), "{}", ran.stdout);
    let keys = std::fs::read_to_string(kept.join("keys")).unwrap();
    let unique: std::collections::BTreeSet<&str> = keys.lines().collect();
    assert_eq!((keys.lines().count(), unique.len()), (10, 10));
    let [(got_account, secret)] = got(&kept, &unlucky).try_into().unwrap();
    assert_eq!(got_account, account);
    assert!(lets_in(&world, &account, &secret));
}

/// Killed while the hook has a secret: a person decides, or it is sent again with the same key.
#[test]
fn an_interrupted_delivery_is_asked_about_unless_it_may_be_repeated() {
    for repeatable in [false, true] {
        let world = World::new(120);
        let kept = with_hook(&world, repeatable);
        let plan = world.planned();
        let wave = format!("{plan}/migrate");
        let slow = planned_logins(&world, &wave).remove(0);
        let (fifo, end) = (kept.join(format!("slow-{slow}")), kept.join("end"));
        assert!(std::process::Command::new("mkfifo").args([&fifo, &end]).status().unwrap().success());
        world.approve(&wave, "soak", 1);
        let mut child = world.spawn(&["run", "--wave", "migrate", "--execute"]);
        // It has the secret now.
        let mut said = String::new();
        std::fs::File::open(&fifo).unwrap().read_to_string(&mut said).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(&fifo).unwrap();
        // What was left behind ends.
        drop(std::fs::OpenOptions::new().write(true).open(&end).unwrap());
        let ran = world.go("migrate", &[]).expect(4);
        let sent = got(&kept, &slow);
        if repeatable {
            assert!(!ran.said().contains("hand-over"), "{}", ran.said());
            assert!(sent.len() == 2 && sent[0] == sent[1], "{sent:?}");
            continue;
        }
        assert!(ran.said().contains("nobody can see whether it arrived"), "{}", ran.said());
        assert_eq!(sent.len(), 1);
        let list = world.run(&["--json", "handover", "list", "--status", "undelivered"]).expect(0).rows();
        assert!(list.iter().any(|row| row["login"] == slow.as_str()), "{list:?}");
        world.run(&["handover", "deliver", "--subject", &slow, "--arrived"]).expect(2);
        // Others may have been in the hook's hands at that moment too.
        for row in &list {
            assert!(row["details"].as_str().unwrap().contains("interrupted"), "{row}");
            let login = row["login"].as_str().unwrap();
            world.run(&["handover", "deliver", "--subject", login, "--arrived", "--reason", "asked by telephone"]).expect(0);
        }
        let ran = world.go("migrate", &[]).expect(4);
        assert!(!ran.said().contains("hand-over"), "{}", ran.said());
        assert_eq!(got(&kept, &slow).len(), 1);
    }
}

/// Logins of the people in the canary of a wave of the last plan.
fn planned_logins(world: &World, wave: &str) -> Vec<String> {
    let name = wave.rsplit('/').next().unwrap();
    let row = world.run(&["--json", "plan", "show", "--wave", name]).expect(0).rows().remove(0);
    let lines = row["wave"].as_array().unwrap();
    let canary = lines.iter().filter_map(|line| line.get("batch")).find(|batch| batch["canary"] == true).unwrap();
    let dn = |subject: &Json| subject["independent_dn"].as_str().unwrap().to_owned();
    let people: Vec<String> = canary["subjects"].as_array().unwrap().iter().map(dn).collect();
    people.iter().map(|dn| dn.split(',').next().unwrap().split_once('=').unwrap().1.to_owned()).collect()
}

fn accounts(world: &World) -> Vec<String> {
    states(world, 0).into_keys().collect()
}

fn decrypted(identity: &Path, file: &[u8]) -> Result<String, age::DecryptError> {
    let identity: age::x25519::Identity = std::fs::read_to_string(identity).unwrap().trim().parse().unwrap();
    let mut text = String::new();
    let mut reader = age::Decryptor::new(file)?.decrypt(std::iter::once(&identity as &dyn age::Identity))?;
    reader.read_to_string(&mut text).unwrap();
    Ok(text)
}

#[test]
fn sheets_are_printed_for_the_desk_of_each_entity_and_never_in_the_clear() {
    use age::secrecy::ExposeSecret as _;
    let world = World::new(120);
    let desk = age::x25519::Identity::generate();
    world.write("desk-key", desk.to_string().expose_secret());
    world.write("ja.txt", "社内ヘルプデスク 内線1234\n<b>受付は平日のみ</b>");
    let text = std::fs::read_to_string(&world.config).unwrap();
    let more = format!(
        "valid = \"14d\"\n[handover.entities.own]\nrecipients = [\"{}\"]\n[handover.sheet]\nlogin_url = \"https://login.own.example/\"\n\
         [handover.sheet.instructions]\nja = \"ja.txt\"\n",
        desk.to_public()
    );
    std::fs::write(&world.config, format!("{text}\n{more}")).unwrap();
    let plan = world.planned();
    let wave = format!("{plan}/migrate");
    world.approve(&wave, "soak", 1);
    world.go("migrate", &[]).expect(4);

    // The entity's own desk opens its people's file, and nobody else does.
    let stem = format!("{}_b01_own", wave.replace('/', "_"));
    let file = std::fs::read(world.state().join("handover").join(format!("{stem}.age"))).unwrap();
    let lines = decrypted(&world.directory().join("desk-key"), &file).unwrap();
    assert!(decrypted(&world.handover_identity(), &file).is_err());
    let people: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(people.len(), 10);
    assert!(people.iter().all(|p| p["name"] != p["login"]), "names are told: {lines}");

    let ran = world.run(&["handover", "print", "--lang", "ja"]).expect(0);
    let file = std::fs::read(world.state().join("handover").join(format!("{stem}.sheets.ja.html.age"))).unwrap();
    let html = decrypted(&world.directory().join("desk-key"), &file).unwrap();
    assert_eq!(html.matches("class=\"sheet\"").count(), 10);
    for person in &people {
        let (secret, name) = (person["secret"].as_str().unwrap(), person["name"].as_str().unwrap());
        assert!(html.replace("<u>", "").replace("</u>", "").contains(secret), "{name}");
        assert!(html.contains(&format!("{name}</bdi> 様")), "{name}");
        assert!(!ran.said().contains(secret));
    }
    assert!(
        html.contains("&lt;b&gt;受付は平日のみ&lt;/b&gt;")
            && html.contains("https://login.own.example/")
            && html.contains("有効期限")
    );

    // Into a new file of the person's choice, encrypted too; nothing is overwritten.
    let out = world.directory().join("sheets.age");
    world.run(&["handover", "print", "--output", out.to_str().unwrap()]).expect(0);
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        decrypted(&world.directory().join("desk-key"), &std::fs::read(&out).unwrap()).unwrap().contains("Your one-time password")
    );
    world.run(&["handover", "print", "--output", out.to_str().unwrap()]).expect(1);
    let piped = world.command(&["handover", "print", "--output", "-"]).output().unwrap();
    assert!(piped.status.success() && piped.stdout.starts_with(b"age-encryption.org/v1"));
    refuses_a_terminal(&world);

    // Whoever has used theirs needs no sheet.
    let handed =
        Handed { account: people[0]["account"].as_str().unwrap().into(), secret: people[0]["secret"].as_str().unwrap().into() };
    world.collects(&handed);
    let ran = world.run(&["handover", "print", "--subject", login(&handed)]).expect(2);
    assert!(ran.stderr.contains("no sheet for"), "{}", ran.stderr);
}

/// Not even encrypted: `script` gives it a terminal.
fn refuses_a_terminal(world: &World) {
    let program = env!("CARGO_BIN_EXE_untether");
    let line = format!("{program} --config '{}' handover print --output -", world.config.display());
    let output = std::process::Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("not written to a terminal") && !said.contains("age-encryption.org"), "{said}");
}

#[test]
fn recipients_that_are_none_are_refused_before_anything_starts() {
    let world = World::new(5);
    let original = std::fs::read_to_string(&world.config).unwrap();
    let refused = |from: &str, to: &str, words: &[&str]| {
        std::fs::write(&world.config, original.replace(from, to)).unwrap();
        let ran = world.run(&["status"]).expect(2);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("QQQQ"), "{}", ran.stderr);
    };
    let line = original.lines().find(|line| line.starts_with("recipients = ")).unwrap();
    refused(line, "recipients = [\"age1nonsense\"]", &["handover.recipients", "age1nonsense", "age-keygen"]);
    refused(line, "recipients = [\"ssh-ed25519 AAAAC3Nz\"]", &["SSH key", "age-keygen"]);
    let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
    refused(line, &format!("recipients = [\"{secret}\"]"), &["secret age identity", "no longer a secret"]);
    let with = |section: &str| format!("{line}\n[handover.{section}]\nrecipients = []");
    refused(line, &with("entities.own"), &["handover.entities.own", "nobody could open"]);
    let good = line.trim_start_matches("recipients = ");
    refused(
        line,
        &format!("{line}\n[handover.entities.domestik]\nrecipients = {good}"),
        &["domestik", "did you mean `domestic`?"],
    );
    refused(
        line,
        &format!("{line}\n[handover.waves.nobody]\nrecipients = {good}"),
        &["handover.waves.nobody", "there are: retire"],
    );
    refused(line, &format!("{line}\nhook = []"), &["handover.hook"]);
    refused(line, &format!("{line}\nrecipient = []"), &["did you mean `recipients`?"]);
}
