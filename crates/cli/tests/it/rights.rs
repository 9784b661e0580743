//! The rights that `doctor --acl` asks for: every other test of this program runs with exactly these. Here: each of them is missed,
//! they follow the configuration, and nobody else's change.

use serde_json::Value;
use untether_testkit::lab::{Role, Server};

use crate::support::{Ran, World};

/// The rules, one a row, of one store.
fn asked(world: &World, store: &str) -> Vec<Value> {
    let ran = world.run(&["--json", "doctor", "--acl", "--store", store]).expect(0);
    ran.rows().into_iter().filter(|row| row["attribute"] == "olcAccess").collect()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// The values of `olcAccess` of the main database.
fn rules(server: &Server) -> Vec<String> {
    values(server, "olcAccess")
}

/// The values of an attribute of the main database that are in an order.
fn values(server: &Server, attr: &str) -> Vec<String> {
    let entry = "olcDatabase={1}mdb,cn=config";
    let mut command = std::process::Command::new("ldapsearch");
    command.args([
        "-Q",
        "-Y",
        "EXTERNAL",
        "-H",
        server.ldapi_url(),
        "-LLL",
        "-o",
        "ldif-wrap=no",
        "-b",
        entry,
        "-s",
        "base",
        attr,
    ]);
    let found = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let head = format!("{attr}: ");
    let value = |line: &str| line.strip_prefix(&head).and_then(|value| value.split_once('}')).map(|(_, value)| value.to_owned());
    found.lines().filter_map(value).collect()
}

#[test]
fn each_right_that_is_missing_is_named_with_what_stops_without_it() {
    let world = World::new(60);
    for (server, store) in [(&world.pair.shared, "shared"), (&world.pair.independent, "independent")] {
        let rows = asked(&world, store);
        assert!(rows.iter().all(|row| row["present"] == true), "{rows:?}");
        let main = |row: &&Value| text(row, "database").starts_with("olcDatabase={1}mdb,");
        let dump = server.dump().unwrap();
        let mut missed = 0;
        for row in rows.iter().filter(main).filter(|row| row["stops"].as_array().is_some_and(|stops| !stops.is_empty())) {
            let rule = text(row, "value");
            let (place, who) = rule.split_once(" by ").unwrap();
            let (who, level) = who.strip_suffix(" by * break").unwrap().rsplit_once(' ').unwrap();
            // Whoever may not log in is told of by the check of the bind. What the writing identities see comes with their writes.
            if level == "auth" || (level == "read" && row["role"] != "read") {
                continue;
            }
            // A group that is made with its first members can be asked about when it is there.
            let one = place.strip_prefix("to dn.exact=\"").and_then(|rest| rest.split('"').next());
            if one.is_some_and(|dn| !dump.contains(&format!("dn: {dn}\n"))) {
                continue;
            }
            server.rule_first(&format!("{place} by {who} none by * break")).unwrap();
            let ran = world.run(&["--json", "doctor", "--store", store]);
            assert_eq!(ran.code, Some(1), "without {rule}: {}", ran.stdout);
            names_what_stops(&ran, row);
            server.drop_first_rule().unwrap();
            missed += 1;
        }
        assert!(missed > 8, "only {missed} rights of the {store} store were taken away");
        world.run(&["doctor", "--store", store]).expect(0);
    }
}

#[track_caller]
fn names_what_stops(ran: &Ran, asked: &Value) {
    let role = text(asked, "role");
    let stops: Vec<&str> = asked["stops"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let told = |row: &Value| {
        let of_role = text(row, "check") == format!("{role} right");
        let verdict = row["result"] == "FAIL" || row["result"] == "unknown";
        verdict
            && of_role
            && stops.iter().all(|stop| text(row, "details").contains(stop))
            && text(row, "fix").contains("olcAccess: to ")
    };
    let rows = ran.rows();
    let not_ok: Vec<&Value> = rows.iter().filter(|row| row["result"] != "ok").collect();
    assert!(rows.iter().any(told), "without {} nothing says that {stops:?} stops: {not_ok:#?}", asked["value"]);
}

#[test]
fn the_rules_follow_the_configuration_and_leave_those_of_others_alone() {
    let world = World::new(5);
    let server = &world.pair.shared;
    let others =
        "to dn.exact=\"ou=groups,dc=shared,dc=example\" by dn.exact=\"cn=untether-writer,ou=system,dc=shared,dc=example\" read";
    let before = rules(server);
    let end: Vec<String> = before[before.len() - 2..].to_vec();
    // One more rule of somebody else's, between ours and theirs, which names one of our identities.
    let value = format!("{{{}}}{others}", before.len() - 2);
    server
        .configure(&format!("dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\nadd: olcAccess\nolcAccess: {value}\n"))
        .unwrap();
    let writes = |server: &Server| rules(server).iter().filter(|rule| rule.contains(" write by * break")).count();
    assert!(writes(server) > 0);

    let original = std::fs::read_to_string(&world.config).unwrap();
    let (start, rest) = original.split_once("[plan]\n").unwrap();
    let (_, people) = rest.split_once("[[approvers]]").unwrap();
    std::fs::write(&world.config, format!("{start}[[approvers]]{people}")).unwrap();
    world.ask_for_rights(&[server.description()]);
    assert_eq!(writes(server), 0, "who only audits writes nothing");
    let now = rules(server);
    assert_eq!(now[now.len() - 3..], [vec![others.to_owned()], end.clone()].concat());

    std::fs::write(&world.config, &original).unwrap();
    world.ask_for_rights(&[server.description()]);
    let back = rules(server);
    assert_eq!(back, [&before[..before.len() - 2], &[others.to_owned()], &end[..]].concat());
    let again = world.run(&["doctor", "--acl", "--store", "shared"]).expect(0).stdout;
    assert!(!again.contains("changetype"), "where nothing is missing, nothing is changed: {again}");
}

#[test]
fn a_limit_of_others_stays_behind_ours_and_does_not_cut_the_reader_off() {
    let world = World::without_rights(&crate::support::of(60), |pair| pair);
    let server = &world.pair.shared;
    server.only_limit("users", 10).unwrap();
    world.ask_for_rights(&[server.description(), world.pair.independent.description()]);
    let limits = values(server, "olcLimits");
    assert!(limits.len() == 2 && limits[1] == "users size=10 size.prtotal=10", "{limits:?}");
    world.run(&["init"]).expect(0);
    world.run(&["doctor", "--store", "shared"]).expect(0);
}

#[test]
fn what_the_writing_identity_may_not_see_is_no_conflict_and_comes_back_with_a_rollback() {
    let world = World::new(80);
    for (server, attr) in [(&world.pair.shared, "employeeNumber"), (&world.pair.independent, "cn")] {
        server.rule_first(&format!("to attrs={attr} by dn.exact=\"{}\" none by * break", server.dn(Role::Writer))).unwrap();
    }
    let plan = world.planned();
    let before = world.dumps();
    let (made, removed) = (format!("{plan}/migrate"), format!("{plan}/retire"));
    world.approve(&made, "soak", 1);
    world.go("migrate", &["--through", "provision"]).expect(0);
    world.rolled_back(&["--wave", &made, "--to", "provision", "--delete-provisioned"], 2);

    world.approve(&removed, "soak", 1);
    world.go("retire", &[]).expect(4);
    world.accept("silence", &["--wave", &removed]);
    world.approve(&removed, "attest", 2);
    world.go("retire", &[]).expect(0);
    let gone = before.lost(&world.dumps());
    assert!(!gone.is_empty());
    world.rolled_back(&["--wave", &removed, "--to", "disable", "--enable-inactive"], 2);
    let after = world.dumps();
    let differences = before.differences(&after, &gone);
    assert!(differences.iter().all(|d| d.contains(" userPassword:")), "{differences:?}");
    for dn in &gone {
        let (was, is) = (before.shared(dn.as_str()).unwrap(), after.shared(dn.as_str()).unwrap());
        assert_eq!(was.values("employeeNumber"), is.values("employeeNumber"), "{dn}");
    }
}

#[test]
fn a_database_without_rules_goes_on_letting_everybody_read() {
    let world = World::without_rights(&crate::support::of(5), |pair| pair);
    let server = &world.pair.shared;
    for database in ["{1}mdb", "{-1}frontend"] {
        server.configure(&format!("dn: olcDatabase={database},cn=config\nchangetype: modify\ndelete: olcAccess\n")).unwrap();
    }
    let read = || {
        let mut command = server.description().anonymous("ldapsearch").unwrap();
        let found = command.args(["-b", &server.description().canary_dn, "-s", "base", "-LLL", "1.1"]).output().unwrap();
        String::from_utf8(found.stdout).unwrap()
    };
    assert!(read().starts_with("dn: "), "{}", read());
    world.ask_for_rights(&[server.description()]);
    assert!(read().starts_with("dn: "), "{}", read());
}

#[test]
fn whoever_administers_the_server_is_not_shut_out_by_rules_for_the_local_socket() {
    let world = World::without_rights(&crate::support::of(5), |pair| pair);
    let server = &world.pair.shared;
    let named = format!("dn = \"{}\"\npassword = {{ file = ", server.dn(Role::Config));
    let text = std::fs::read_to_string(&world.config).unwrap();
    let (before, rest) = text.split_once(&named).unwrap();
    let (_, after) = rest.split_once("}\n").unwrap();
    std::fs::write(&world.config, format!("{before}url = \"{}\"\nexternal = true\n{after}", server.ldapi_url())).unwrap();
    world.ask_for_rights(&[server.description()]);
    let said = world.run(&["doctor", "--acl", "--store", "shared"]).expect(0).stdout;
    assert!(said.contains("administers this database"), "{said}");
    // Still the administrator.
    server.configure("dn: cn=config\nchangetype: modify\nreplace: olcSizeLimit\nolcSizeLimit: 400\n").unwrap();
}
