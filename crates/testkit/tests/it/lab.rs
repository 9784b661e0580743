//! Life of the servers and rights of the identities.

use std::process::Output;
use std::sync::LazyLock;
use untether_testkit::generate::{Options, generate};
use untether_testkit::lab::{Authority, CertificateKind, Flavour, Pair, Role, Server, StoreDescription};

/// One pair for all tests that only look, or that write below a subtree of their own.
static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::start().unwrap());

/// Everything that a program said.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn stores() -> [&'static Server; 2] {
    [&PAIR.shared, &PAIR.independent]
}

/// An ordinary account with a known password, loaded over the wire.
fn account(server: &Server, name: &str) -> String {
    let dn = format!("uid={name},ou=services,{}", server.suffix());
    server
        .add(&format!(
            "dn: {dn}\nobjectClass: inetOrgPerson\nobjectClass: labAccount\nuid: {name}\n\
             cn: {name}\nsn: {name}\nlabEntity: own\nuserPassword: secret-{name}\n"
        ))
        .unwrap();
    dn
}

/// LDAP result code of a simple bind (the exit code of ldapwhoami).
fn bind(server: &Server, dn: &str, password: &str) -> Option<i32> {
    let mut command = server.description().anonymous("ldapwhoami").unwrap();
    let output = command.args(["-D", dn, "-w", password]).output().unwrap();
    output.status.code()
}

#[test]
fn reader_sees_hashes_and_operational_attributes_and_writes_nothing() {
    for server in stores() {
        let dn = account(server, "read");
        let found = server.search(Role::Reader, &["-b", &dn, "-s", "base", "*", "+"]).unwrap();
        let shown = text(&found);
        for attribute in ["userPassword::", "entryUUID:", "entryCSN:", "creatorsName:"] {
            assert!(shown.contains(attribute), "{attribute} in {shown}");
        }
        let change = format!("dn: {dn}\nchangetype: modify\nreplace: sn\nsn: other\n");
        let refused = server.modify(Role::Reader, &[], &change).unwrap();
        assert_eq!(refused.status.code(), Some(50), "{}", text(&refused));
    }
}

#[test]
fn reader_reads_the_password_history() {
    let server = &PAIR.independent;
    let dn = account(server, "history");
    let change = format!("dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: second-one\n");
    let changed = server.modify(Role::Undo, &[], &change).unwrap();
    assert!(changed.status.success(), "{}", text(&changed));
    let found = server.search(Role::Reader, &["-b", &dn, "-s", "base", "pwdHistory"]).unwrap();
    assert!(text(&found).contains("pwdHistory:"), "{}", text(&found));
}

#[test]
fn reader_has_no_size_limit_and_others_do() {
    let mut entries = String::new();
    for number in 0..600 {
        entries.push_str(&format!("dn: cn=n{number},ou=groups,dc=own,dc=example\nobjectClass: organizationalRole\n\n"));
    }
    let server = Server::builder(Flavour::Independent).entries(entries).reader_size_limit(100).start().unwrap();
    let base = ["-b", "ou=groups,dc=own,dc=example", "1.1"];
    let limited = server.search(Role::Reader, &base).unwrap();
    assert_eq!(limited.status.code(), Some(4));
    let paged = server.search(Role::Reader, &["-E", "pr=50/noprompt", "-b", "ou=groups,dc=own,dc=example", "1.1"]).unwrap();
    assert_eq!(paged.status.code(), Some(4), "paging is no way around it");
    let complete = server.search(Role::Writer, &base).unwrap();
    assert!(complete.status.success());
    assert_eq!(text(&complete).matches("dn: cn=n").count(), 600);
}

#[test]
fn writer_writes_accounts_but_neither_manages_nor_touches_tools_and_policies() {
    for server in stores() {
        let dn = account(server, "write");
        let suffix = server.suffix();
        let lock = format!(
            "dn: {dn}\nchangetype: modify\nreplace: pwdAccountLockedTime\n\
             pwdAccountLockedTime: 000001010000Z\n"
        );
        let locked = server.modify(Role::Writer, &[], &lock).unwrap();
        assert!(locked.status.success(), "{}", text(&locked));
        assert_eq!(bind(server, &dn, "secret-write"), Some(49));

        let stamp = format!(
            "dn: {dn}\nchangetype: modify\nreplace: pwdChangedTime\n\
             pwdChangedTime: 20200101000000Z\n"
        );
        let relaxed = server.modify(Role::Writer, &["-e", "relax"], &stamp).unwrap();
        assert!(!relaxed.status.success(), "write is not manage");
        let managed = server.modify(Role::Undo, &["-e", "relax"], &stamp).unwrap();
        assert!(managed.status.success(), "{}", text(&managed));

        for protected in [Role::Reader.dn(suffix), format!("cn=default,ou=policies,{suffix}")] {
            let change = format!("dn: {protected}\nchangetype: modify\nadd: description\ndescription: x\n");
            let refused = server.modify(Role::Writer, &[], &change).unwrap();
            assert_eq!(refused.status.code(), Some(50), "{}", text(&refused));
        }
    }
}

#[test]
fn undo_restores_an_entry_with_its_uuid() {
    let server = &PAIR.shared;
    let suffix = server.suffix();
    let entry = format!(
        "dn: uid=again,ou=services,{suffix}\nchangetype: add\nobjectClass: inetOrgPerson\n\
         uid: again\ncn: again\nsn: again\nentryUUID: 11111111-2222-4333-8444-555555555555\n"
    );
    let refused = server.modify(Role::Writer, &["-e", "relax"], &entry).unwrap();
    assert_eq!(refused.status.code(), Some(50), "{}", text(&refused));
    let restored = server.modify(Role::Undo, &["-e", "relax"], &entry).unwrap();
    assert!(restored.status.success(), "{}", text(&restored));
}

#[test]
fn config_reader_reads_the_configuration_and_nothing_of_the_store() {
    for server in stores() {
        let config = server.search(Role::Config, &["-b", "cn=config", "(olcSuffix=*)", "olcSuffix"]).unwrap();
        assert!(text(&config).contains(server.suffix()), "{}", text(&config));
        let change = "dn: cn=config\nchangetype: modify\nreplace: olcSizeLimit\nolcSizeLimit: 9\n";
        let refused = server.modify(Role::Config, &[], change).unwrap();
        assert_eq!(refused.status.code(), Some(50), "{}", text(&refused));
        let canary = &server.description().canary_dn;
        let store = server.search(Role::Config, &["-b", canary, "-s", "base"]).unwrap();
        assert_eq!(store.status.code(), Some(32), "{}", text(&store));
        let others = server.search(Role::Reader, &["-b", "cn=config", "-s", "base"]).unwrap();
        assert_eq!(others.status.code(), Some(32), "{}", text(&others));
    }
}

#[test]
fn external_on_the_socket_manages_the_configuration() {
    let server = Server::builder(Flavour::Independent).start().unwrap();
    let ldif = server.directory().join("change.ldif");
    std::fs::write(&ldif, "dn: cn=config\nchangetype: modify\nreplace: olcSizeLimit\nolcSizeLimit: 77\n").unwrap();
    let output = std::process::Command::new("ldapmodify")
        .args(["-Q", "-Y", "EXTERNAL", "-H", server.ldapi_url(), "-f"])
        .arg(&ldif)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let read = server.search(Role::Config, &["-b", "cn=config", "-s", "base", "olcSizeLimit"]).unwrap();
    assert!(text(&read).contains("olcSizeLimit: 77"));
}

#[test]
fn anonymous_reads_the_root_dse_only() {
    for server in stores() {
        let mut command = server.description().anonymous("ldapsearch").unwrap();
        let output = command.args(["-LLL", "-b", server.suffix()]).output().unwrap();
        assert_eq!(output.status.code(), Some(32), "{}", text(&output));
        let mut command = server.description().anonymous("ldapsearch").unwrap();
        let output = command.args(["-LLL", "-s", "base", "-b", "", "+"]).output().unwrap();
        let shown = text(&output);
        assert!(shown.contains("supportedLDAPVersion: 3"), "{shown}");
    }
}

#[test]
fn probe_and_control_log_in_and_write_only_their_own_password() {
    for server in stores() {
        for role in [Role::Probe, Role::Control] {
            let dn = server.dn(role);
            let password = server.password(role).unwrap();
            assert_eq!(bind(server, &dn, &password), Some(0));
            let other = &server.description().canary_dn;
            let seen = server.search(role, &["-b", other, "-s", "base"]).unwrap();
            assert_eq!(seen.status.code(), Some(32), "{}", text(&seen));
        }
    }
    let dn = account(&PAIR.shared, "self");
    let mut command = PAIR.shared.description().anonymous("ldappasswd").unwrap();
    let output = command.args(["-D", &dn, "-w", "secret-self", "-a", "secret-self", "-s", "changed-self"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(bind(&PAIR.shared, &dn, "changed-self"), Some(0));
}

#[test]
fn withheld_attributes_look_absent() {
    let server = Server::builder(Flavour::Shared).withhold(Role::Reader, "userPassword,employeeNumber").start().unwrap();
    let probe = server.dn(Role::Probe);
    let found = server.search(Role::Reader, &["-b", &probe, "-s", "base", "*"]).unwrap();
    let shown = text(&found);
    assert!(shown.contains("uid: probe") && !shown.contains("userPassword"), "{shown}");
}

#[test]
fn a_login_is_recorded_unless_told_otherwise() {
    let silent = Server::builder(Flavour::Shared).without_last_bind().start().unwrap();
    for (server, recorded) in [(&PAIR.shared, true), (&PAIR.independent, true), (&silent, false)] {
        let dn = account(server, "login");
        assert_eq!(bind(server, &dn, "secret-login"), Some(0));
        let found = server.search(Role::Reader, &["-b", &dn, "-s", "base", "pwdLastSuccess"]).unwrap();
        assert_eq!(text(&found).contains("pwdLastSuccess:"), recorded);
    }
}

#[test]
fn a_false_assertion_stops_a_write() {
    for server in stores() {
        let dn = account(server, "assert");
        let change = format!("dn: {dn}\nchangetype: modify\nreplace: sn\nsn: new\n");
        let stale = server.modify(Role::Writer, &["-e", "!assert=(sn=somebody)"], &change).unwrap();
        assert_eq!(stale.status.code(), Some(122), "{}", text(&stale));
        let fresh = server.modify(Role::Writer, &["-e", "!assert=(sn=assert)"], &change).unwrap();
        assert!(fresh.status.success(), "{}", text(&fresh));
    }
}

#[test]
fn the_shared_store_logs_writes_with_old_values_and_undo_can_purge_them() {
    let server = &PAIR.shared;
    let dn = account(server, "logged");
    let change = format!("dn: {dn}\nchangetype: modify\nreplace: sn\nsn: new\n");
    assert!(server.modify(Role::Writer, &[], &change).unwrap().status.success());
    let filter = format!("(&(objectClass=auditModify)(reqDN={dn}))");
    let search = || {
        let found = server.search(Role::Reader, &["-b", "cn=accesslog", &filter, "reqOld"]).unwrap();
        text(&found)
    };
    let shown = search();
    assert!(shown.contains("reqOld: sn: logged"), "{shown}");
    let record = shown.lines().find_map(|line| line.strip_prefix("dn: ")).unwrap();
    let purge = format!("dn: {record}\nchangetype: delete\n");
    let purged = server.modify(Role::Undo, &[], &purge).unwrap();
    assert!(purged.status.success(), "{}", text(&purged));
    assert_eq!(search(), "");
}

#[test]
fn member_of_is_kept_and_referential_integrity_only_in_the_independent_store() {
    for server in stores() {
        let dn = account(server, "member");
        let group = format!("cn=of,ou=groups,{}", server.suffix());
        let placeholder = format!("cn=placeholder,ou=system,{}", server.suffix());
        server.add(&format!("dn: {group}\nobjectClass: groupOfNames\nmember: {dn}\nmember: {placeholder}\n")).unwrap();
        let found = server.search(Role::Reader, &["-b", &dn, "-s", "base", "memberOf"]).unwrap();
        assert!(text(&found).contains(&format!("memberOf: {group}")));
        let gone = server.modify(Role::Writer, &[], &format!("dn: {dn}\nchangetype: delete\n")).unwrap();
        assert!(gone.status.success(), "{}", text(&gone));
        if server.flavour() == Flavour::Shared {
            let group = server.search(Role::Reader, &["-b", &group, "member"]).unwrap();
            assert!(text(&group).contains(&dn), "the reference stays");
        }
    }
}

#[test]
fn start_tls_works_and_the_name_is_checked() {
    let server = &PAIR.shared;
    let whoami = |url: &str, ca: &std::path::Path, arguments: &[&str]| {
        std::process::Command::new("ldapwhoami")
            .env("LDAPTLS_CACERT", ca)
            .args(["-x", "-H", url])
            .args(arguments)
            .output()
            .unwrap()
    };
    assert!(whoami(server.ldap_url(), server.ca_file(), &["-ZZ"]).status.success());
    assert!(whoami(server.ldaps_url(), server.ca_file(), &[]).status.success());

    let foreign_file = server.directory().join("foreign.pem");
    Authority::create("Foreign CA", &foreign_file).unwrap();
    assert!(!whoami(server.ldaps_url(), &foreign_file, &[]).status.success());

    for kind in [CertificateKind::Expired, CertificateKind::WrongName] {
        let bad = Server::builder(Flavour::Shared).certificate(kind).start().unwrap();
        let refused = whoami(bad.ldaps_url(), bad.ca_file(), &[]);
        assert!(!refused.status.success(), "{kind:?}: {}", text(&refused));
    }
}

#[test]
fn stop_kill_and_start_keep_ports_and_data() {
    let mut server = Server::builder(Flavour::Shared).durable().start().unwrap();
    let dn = account(&server, "kept");
    let url = server.ldaps_url().to_owned();
    let present = |server: &Server| {
        let found = server.search(Role::Reader, &["-b", &dn, "-s", "base", "1.1"]).unwrap();
        found.status.code()
    };
    server.kill();
    assert!(!server.is_running());
    assert_ne!(present(&server), Some(0));
    server.start().unwrap();
    assert_eq!(present(&server), Some(0));
    server.stop().unwrap();
    assert!(!server.is_running());
    server.restart().unwrap();
    assert_eq!(present(&server), Some(0));
    assert_eq!(server.ldaps_url(), url);
}

#[test]
fn a_dropped_server_leaves_neither_process_nor_directory() {
    let server = Server::builder(Flavour::Independent).start().unwrap();
    let mark = server.description().process.unwrap();
    let directory = server.directory().to_owned();
    assert!(mark.is_alive());
    drop(server);
    assert!(!mark.is_alive());
    assert!(!directory.exists());
}

#[test]
fn a_server_dies_with_its_owner() {
    // The same test, run again as a process of its own, is the owner that gets killed.
    const OWNER: &str = "UNTETHER_TEST_OWNER_TELLS_IN";
    if let Some(path) = std::env::var_os(OWNER) {
        let server = Server::builder(Flavour::Independent).start().unwrap();
        let partial = std::path::Path::new(&path).with_extension("new");
        std::fs::write(&partial, serde_json::to_vec(server.description()).unwrap()).unwrap();
        std::fs::rename(partial, path).unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
        unreachable!("the owner is killed while it waits");
    }
    let place = tempfile::tempdir().unwrap();
    let told = place.path().join("description");
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lab::a_server_dies_with_its_owner", "--nocapture"])
        .env(OWNER, &told)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !told.exists() {
        assert!(owner.try_wait().unwrap().is_none(), "the owner ended by itself");
        std::thread::yield_now();
    }
    let description: StoreDescription = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    let mark = description.process.unwrap();
    assert!(mark.is_alive());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let begin = std::time::Instant::now();
    while mark.is_alive() || description.directory.exists() {
        assert!(begin.elapsed().as_secs() < 30, "server or directory left behind");
        std::thread::yield_now();
    }
}

#[test]
fn generated_data_with_links_are_loaded_whole() {
    let data = tempfile::tempdir().unwrap();
    let options = Options { people: 200, links: true, ..Options::default() };
    let summary = generate(&options, data.path()).unwrap();
    let pair = Pair::builder().data(data.path()).start().unwrap();
    for (server, generated) in [(&pair.shared, summary.shared_entries), (&pair.independent, summary.independent_entries)] {
        let found = server.search(Role::Reader, &["-M", "-b", server.suffix(), "1.1"]).unwrap();
        assert!(found.status.success(), "{}", text(&found));
        let tools = 10;
        assert_eq!(text(&found).matches("dn:").count() as u64, generated + tools);
    }
    let config = pair.shared.search(Role::Config, &["-b", "cn=config", "(olcDbURI=*)", "1.1"]).unwrap();
    assert!(text(&config).contains("dn:"), "{}", text(&config));
    let log = pair.shared.search(Role::Reader, &["-b", "cn=accesslog", "(reqType=*)", "1.1"]).unwrap();
    assert!(text(&log).contains("reqStart="), "{}", text(&log));
}

#[test]
fn the_rules_of_the_documentation_are_those_in_force() {
    for server in stores() {
        let config =
            server.search(Role::Config, &["-b", "cn=config", &format!("(olcSuffix={})", server.suffix()), "olcAccess"]).unwrap();
        for (index, rule) in server.flavour().access_rules().iter().enumerate() {
            assert!(text(&config).contains(&format!("olcAccess: {{{index}}}{rule}\n")), "{rule} in {}", text(&config));
        }
    }
}

#[test]
fn a_suspended_server_goes_on_after_resume() {
    let server = Server::builder(Flavour::Independent).start().unwrap();
    let canary = server.description().canary_dn.clone();
    server.suspend();
    let mut waiting = server
        .client("ldapsearch", Role::Reader)
        .unwrap()
        .args(["-LLL", "-b", &canary, "-s", "base", "1.1"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(waiting.try_wait().unwrap().is_none());
    server.resume();
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn injected_configuration_is_in_force() {
    let flavour = Flavour::Shared;
    let server = Server::builder(flavour)
        .module("back_ldap")
        .module("remoteauth")
        .global_attribute("olcReferral: ldap://other.example")
        .database_attribute(
            "olcSyncrepl: rid=001 provider=ldaps://127.0.0.1:9 searchbase=\"dc=shared,dc=example\" \
             type=refreshOnly bindmethod=simple binddn=\"cn=sync\" credentials=x",
        )
        .database_attribute("olcUpdateRef: ldaps://127.0.0.1:9")
        .config_entry(format!(
            "dn: olcOverlay={{{0}}}remoteauth,olcDatabase={{1}}mdb,cn=config\n\
             objectClass: olcOverlayConfig\nobjectClass: olcRemoteAuthCfg\n\
             olcOverlay: {{{0}}}remoteauth\nolcRemoteAuthDNAttribute: seeAlso\n\
             olcRemoteAuthDomainAttribute: associatedName\n\
             olcRemoteAuthMapping: other ldap://127.0.0.1:9\n\
             olcRemoteAuthTLS: starttls=no\n",
            flavour.next_overlay()
        ))
        .config_entry(format!(
            "dn: olcDatabase={{{0}}}ldap,cn=config\nobjectClass: olcDatabaseConfig\n\
             objectClass: olcLDAPConfig\nolcDatabase: {{{0}}}ldap\n\
             olcSuffix: dc=elsewhere,dc=example\nolcDbURI: ldap://127.0.0.1:9\n",
            flavour.next_database()
        ))
        .start()
        .unwrap();
    let config = server.search(Role::Config, &["-b", "cn=config"]).unwrap();
    let shown = text(&config);
    for line in ["olcSyncrepl:", "olcUpdateRef:", "olcReferral:", "olcRemoteAuthMapping:", "olcDbURI:"] {
        assert!(shown.contains(line), "{line}");
    }
}

#[test]
fn refused_data_are_named() {
    let error = Server::builder(Flavour::Shared)
        .entries("dn: uid=x,ou=nowhere,dc=shared,dc=example\nobjectClass: account\nuid: x\n")
        .start()
        .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("slapadd") && message.contains("ou=nowhere"), "{message}");
}

#[test]
fn passwords_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    for server in stores() {
        for identity in server.description().identities.values() {
            let mode = std::fs::metadata(&identity.password_file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
