//! What goes wrong between us and a server: each gets the right meaning, within its bound, with a word on what to do.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use untether_directory::{Failure, Outcome, Probe as _, Read as _, Search, Secret, Write as _, WriteOptions};
use untether_ldap::{Client, SearchLimit, Settings};
use untether_model::change::Change;
use untether_testkit::lab::{Authority, CertificateKind, Flavour, Role, Server};

use crate::client::subtree;
use crate::world::*;

/// What connecting with these settings fails with.
async fn refused(settings: Settings) -> (Failure, String) {
    let error = Client::new(settings).unwrap().connect().await.unwrap_err();
    (error.failure, error.to_string())
}

#[track_caller]
fn assert_says(found: &(Failure, String), failure: Failure, words: &[&str]) {
    assert_eq!(found.0, failure, "{}", found.1);
    for word in words {
        assert!(found.1.contains(word), "'{word}' is missing in: {}", found.1);
    }
}

#[tokio::test]
async fn tls_failures_are_explained() {
    let server = server(Flavour::Shared);
    let directory = tempfile::tempdir().unwrap();
    let foreign = Authority::create("Another CA", &directory.path().join("ca.pem")).unwrap();

    let mut wrong = settings(server, Role::Reader);
    wrong.tls.ca_files = vec![foreign.ca_file().to_owned()];
    assert_says(&refused(wrong.clone()).await, Failure::Unreachable, &["authority that is not trusted", "ca_files"]);
    // The same by StartTLS, and nothing is sent in the clear instead.
    wrong.url = server.ldap_url().to_owned();
    wrong.tls.starttls = true;
    assert_says(&refused(wrong).await, Failure::Unreachable, &["authority that is not trusted"]);

    let mut named = settings(server, Role::Reader);
    named.tls.server_name = Some("ldap.somewhere.example".to_owned());
    assert_says(&refused(named).await, Failure::Unreachable, &["not for 'ldap.somewhere.example'", "server_name"]);

    let mut plain = settings(server, Role::Reader);
    plain.url = server.ldap_url().replace("ldap://", "ldaps://");
    assert_says(&refused(plain).await, Failure::Unreachable, &["starttls"]);

    let mut missing = settings(server, Role::Reader);
    missing.tls.ca_files = vec![directory.path().join("none.pem")];
    let error = Client::new(missing).err().unwrap();
    assert_eq!(error.failure, Failure::Invalid);
    assert!(error.to_string().contains("none.pem"), "{error}");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "not a certificate").unwrap();
    let mut hollow = settings(server, Role::Reader);
    hollow.tls.ca_files = vec![empty];
    assert!(Client::new(hollow).err().unwrap().to_string().contains("no certificate"));
}

#[tokio::test]
async fn expired_and_misnamed_certificates_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::create("CA", &directory.path().join("ca.pem")).unwrap());
    for (kind, words) in [
        (CertificateKind::Expired, ["has expired", "clock"]),
        (CertificateKind::WrongName, ["not for '127.0.0.1'", "server_name"]),
    ] {
        let server = Server::builder(Flavour::Independent).authority(&authority).certificate(kind).start().unwrap();
        assert_says(&refused(settings(&server, Role::Reader)).await, Failure::Unreachable, &words);
    }
}

#[tokio::test]
async fn credentials_are_told_from_everything_else() {
    let server = server(Flavour::Shared);
    let reader = dn(&server.dn(Role::Reader));
    let wrong = refused(settings_as(server, &reader, "battery-staple")).await;
    assert_says(&wrong, Failure::Credentials, &["invalid credentials", "result code 49", "untether-reader"]);
    assert!(!wrong.1.contains("battery"), "{}", wrong.1);
    let unknown = dn("cn=nobody").child("ou", "nowhere");
    assert_says(&refused(settings_as(server, &unknown, "x")).await, Failure::Credentials, &["49"]);

    // An empty password would be an anonymous bind: it cannot even be made, and a probe refuses it.
    assert!(Secret::new("").is_err());
    let client = client(server, Role::Reader);
    assert_eq!(client.bind(&reader, b"").await.unwrap_err().failure, Failure::Invalid);
    assert_eq!(client.bind(&reader, b"\xff").await.unwrap_err().failure, Failure::Invalid);
    assert_eq!(client.bind(&reader, b"wrong").await.unwrap().code, 49);
}

/// A closed port: nothing was sent, also for a write, and it is told at once.
#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut settings = settings(server(Flavour::Shared), Role::Writer);
    settings.url = format!("ldaps://127.0.0.1:{port}");
    assert_says(&refused(settings.clone()).await, Failure::Unreachable, &["127.0.0.1", "check the URL"]);
    let client = Client::new(settings).unwrap();
    let write = client.apply(&Change::Delete { dn: dn("uid=a,dc=x") }, &WriteOptions::default()).await;
    assert_eq!(said(&write), "Unreachable");
    assert_eq!(said(&client.read(&dn("uid=a,dc=x"), &[]).await), "Unreachable");
}

#[tokio::test]
async fn a_base_that_does_not_exist_is_named() {
    let server = server(Flavour::Shared);
    let reader = client(server, Role::Reader);
    let base = dn(server.suffix()).child("ou", "nowhere");
    let error = reader.search(subtree(&base)).await.unwrap().next_page().await.unwrap_err();
    assert_eq!((error.failure, error.code), (Failure::NoSuchObject, Some(32)));
    assert!(error.to_string().contains("ou=nowhere") && error.to_string().contains("check the base"), "{error}");
    // Outside every suffix.
    let error = reader.search(subtree(&dn("dc=elsewhere"))).await.unwrap().next_page().await.unwrap_err();
    assert_eq!(error.failure, Failure::NoSuchObject);
    assert!(reader.read(&base, &[]).await.unwrap().is_none());
}

#[tokio::test]
async fn filters_that_cannot_be_sent_are_refused() {
    let server = server(Flavour::Shared);
    let reader = client(server, Role::Reader);
    let deep = format!("{}(cn=a){}", "(!".repeat(100_000), ")".repeat(100_000));
    for filter in ["", "(cn=a", "(cn=\\zz)", "((cn=a))", deep.as_str()] {
        let search = Search { filter: filter.to_owned(), ..subtree(&dn(server.suffix())) };
        assert_eq!(reader.search(search).await.err().unwrap().failure, Failure::Invalid);
    }
}

/// The server's limit in the middle of the pages: what came before is handed over, then the search is busy (4), never complete.
#[tokio::test]
async fn a_size_limit_within_the_pages_is_no_end() {
    let server = Server::builder(Flavour::Independent).reader_size_limit(10).start().unwrap();
    let case_base = dn(server.suffix());
    let root = client(&server, Role::Root);
    for n in 0..20 {
        let uid = format!("p{n}");
        let attrs = attributes(&[("objectClass", &["inetOrgPerson"]), ("uid", &[&uid]), ("cn", &[&uid]), ("sn", &[&uid])]);
        root.apply(&Change::Add { dn: case_base.child("uid", uid.as_str()), attrs }, &WriteOptions::default()).await.unwrap();
    }
    let reader = client(&server, Role::Reader);
    assert_eq!(reader.search_limit().await.unwrap(), SearchLimit::After { entries: 10, code: 4 });
    let mut stream = reader.search(Search { page_size: Some(4), ..subtree(&case_base) }).await.unwrap();
    let mut entries = 0;
    let error = loop {
        match stream.next_page().await {
            Ok(Some(page)) => entries += page.entries.len(),
            Ok(None) => panic!("the search calls itself complete after {entries} entries"),
            Err(error) => break error,
        }
    };
    assert!(entries <= 10, "{entries}");
    assert_eq!(error.failure, Failure::Busy, "{error}");
    assert!(error.to_string().contains("olcLimits"), "{error}");
    // It stays an error.
    assert_eq!(stream.next_page().await.unwrap_err().failure, Failure::Busy);
    // Unpaged too.
    let mut whole = reader.search(Search { page_size: None, ..subtree(&case_base) }).await.unwrap();
    let mut last = whole.next_page().await;
    while let Ok(Some(_)) = last {
        last = whole.next_page().await;
    }
    assert_eq!(last.unwrap_err().code, Some(4));
}

async fn filled(server: &Server, entries: usize) {
    let root = client(server, Role::Root);
    let adds = (0..entries).map(|n| {
        let uid = format!("p{n}");
        let attrs = attributes(&[("objectClass", &["inetOrgPerson"]), ("uid", &[&uid]), ("cn", &[&uid]), ("sn", &[&uid])]);
        let change = Change::Add { dn: dn(server.suffix()).child("uid", uid.as_str()), attrs };
        let root = root.clone();
        async move { root.apply(&change, &WriteOptions::default()).await.unwrap() }
    });
    futures::future::join_all(adds).await;
}

/// The server is killed in the middle of a search: the search ends with "unknown", never as complete; when the server is back,
/// the same client goes on.
#[tokio::test]
async fn a_server_that_dies_within_a_search() {
    let mut server = Server::builder(Flavour::Independent).start().unwrap();
    filled(&server, 300).await;
    let reader = client(&server, Role::Reader);
    let base = dn(server.suffix());
    let mut stream = reader.search(Search { page_size: Some(20), ..subtree(&base) }).await.unwrap();
    assert_eq!(stream.next_page().await.unwrap().unwrap().entries.len(), 20);
    server.kill();
    let mut entries = 20;
    let error = loop {
        match stream.next_page().await {
            Ok(Some(page)) => entries += page.entries.len(),
            Ok(None) => panic!("the search calls itself complete after {entries} entries"),
            Err(error) => break error,
        }
    };
    // The page that was under way at most.
    assert!(entries <= 40, "{entries}");
    assert!(matches!(error.failure, Failure::Unknown | Failure::Unreachable), "{error}");
    assert_eq!(said(&reader.read(&base, &[]).await), "Unreachable");
    server.start().unwrap();
    assert!(reader.read(&base, &[]).await.unwrap().is_some());
    let mut stream = reader.search(subtree(&base)).await.unwrap();
    let mut entries = 0;
    while let Some(page) = stream.next_page().await.unwrap() {
        entries += page.entries.len();
    }
    assert!(entries > 300, "{entries}");
}

/// The server is killed under a stream of writes. Each is told as applied, as unknown, or as never sent; what is told as
/// applied is there afterwards, and what was never sent is not.
#[tokio::test]
async fn a_server_that_dies_under_writes() {
    let mut server = Server::builder(Flavour::Independent).durable().start().unwrap();
    let writer = client(&server, Role::Writer);
    let base = dn(server.suffix());
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let mut tasks = Vec::new();
    for n in 0..400 {
        let uid = format!("k{n}");
        let name = base.child("uid", uid.as_str());
        let attrs = attributes(&[("objectClass", &["inetOrgPerson"]), ("uid", &[&uid]), ("cn", &[&uid]), ("sn", &[&uid])]);
        let (writer, tell) = (writer.clone(), tell.clone());
        tasks.push(tokio::spawn(async move {
            let written = writer.apply(&Change::Add { dn: name.clone(), attrs }, &WriteOptions::default()).await;
            if written.is_ok() {
                let _ = tell.try_send(());
            }
            (name, written.map(|_| ()))
        }));
    }
    told.recv().await.unwrap();
    server.kill();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    server.start().unwrap();
    let count = |wanted: fn(&Outcome<()>) -> bool| outcomes.iter().filter(|(_, o)| wanted(o)).count();
    assert!(count(|o| o.is_ok()) > 0);
    assert!(count(|o| o.is_err()) > 0, "all writes were through before the server died");
    for (name, outcome) in outcomes {
        let there = writer.read(&name, &names(&["cn"])).await.unwrap().is_some();
        match outcome {
            Ok(()) => assert!(there, "{name} was told as written"),
            Err(error) => match error.failure {
                Failure::Unknown => {}
                Failure::Unreachable => assert!(!there, "{name} was told as never sent"),
                _ => panic!("{error}"),
            },
        }
    }
}

/// A server that accepts and never answers: every operation ends within its bound.
#[tokio::test]
async fn a_silent_server_holds_nobody_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut settings = settings(server(Flavour::Shared), Role::Writer);
    settings.timeouts.connect = Duration::from_millis(300);
    settings.timeouts.operation = Duration::from_secs(5);
    let began = Instant::now();
    settings.url = format!("ldaps://127.0.0.1:{port}");
    assert_says(&refused(settings.clone()).await, Failure::Unreachable, &["TLS handshake", "no answer within 0.3 s"]);
    settings.url = format!("ldap://127.0.0.1:{port}");
    settings.allow_plain_loopback = true;
    assert_says(&refused(settings.clone()).await, Failure::Unreachable, &["bind", "no answer within 0.3 s"]);
    settings.tls.starttls = true;
    assert_says(&refused(settings.clone()).await, Failure::Unreachable, &["no answer within 0.3 s"]);
    // Fifty callers share the attempt of the one connection they wait for, instead of one timeout each.
    settings.tls.starttls = false;
    let client = Client::new(settings).unwrap();
    let name = dn("uid=a,dc=x");
    let reads = (0..50).map(|_| client.read(&name, &[]));
    for read in futures::future::join_all(reads).await {
        assert_eq!(said(&read), "Unreachable");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(listener);
}

/// Suspends the server and waits until all of its threads stand still: a signal takes its time to reach each of them.
fn freeze(server: &Server) {
    server.suspend();
    let pid = std::fs::read_to_string(server.directory().join("slapd.pid")).unwrap();
    let stands = |stat: std::io::Result<String>| stat.is_ok_and(|stat| stat.rsplit(')').next().unwrap().trim().starts_with('T'));
    loop {
        let mut threads = std::fs::read_dir(format!("/proc/{}/task", pid.trim())).unwrap();
        if threads.all(|thread| stands(std::fs::read_to_string(thread.unwrap().path().join("stat")))) {
            return;
        }
        std::thread::yield_now();
    }
}

/// A server that stops answering under a write: unknown within the bound, and the late effect may still land; a write after
/// that goes over a new connection.
#[tokio::test]
async fn a_write_without_an_answer_is_unknown() {
    let server = Server::builder(Flavour::Independent).start().unwrap();
    let mut settings = settings(&server, Role::Writer);
    settings.timeouts.operation = Duration::from_secs(1);
    settings.timeouts.connect = Duration::from_secs(1);
    let writer = Client::new(settings).unwrap();
    let base = dn(server.suffix());
    let name = base.child("ou", "late");
    let unit =
        Change::Add { dn: name.clone(), attrs: attributes(&[("objectClass", &["organizationalUnit"]), ("ou", &["late"])]) };
    let change = |text: &str| Change::Modify { dn: name.clone(), mods: vec![replace("description", &[text])] };
    writer.apply(&unit, &WriteOptions::default()).await.unwrap();
    writer.read(&name, &[]).await.unwrap().unwrap();
    freeze(&server);
    let silent = writer.apply(&change("late"), &WriteOptions::default()).await.unwrap_err();
    assert_eq!(silent.failure, Failure::Unknown);
    assert!(silent.to_string().contains("outcome unknown") && silent.to_string().contains("observe"), "{silent}");
    // The connection is gone, so the next write has to connect anew: nothing of it was sent.
    assert_eq!(said(&writer.apply(&change("later"), &WriteOptions::default()).await), "Unreachable");
    // A read has a connection of its own, and ends in time as well.
    assert_eq!(said(&writer.read(&name, &[]).await), "Unknown");
    server.resume();
    writer.apply(&change("last"), &WriteOptions::default()).await.unwrap();
    assert_eq!(writer.read(&name, &names(&["description"])).await.unwrap().unwrap().text("description"), Some("last"));
}

/// A write whose caller goes away while it is under way does not keep its connection.
#[tokio::test]
async fn a_write_that_is_given_up_closes_its_connection() {
    let server = Server::builder(Flavour::Independent).start().unwrap();
    let mut one = settings(&server, Role::Writer);
    one.limits.connections = 1;
    let writer = Client::new(one).unwrap();
    let base = dn(server.suffix());
    let change = |text: &str| Change::Modify { dn: base.clone(), mods: vec![replace("description", &[text])] };
    writer.apply(&change("first"), &WriteOptions::default()).await.unwrap();
    freeze(&server);
    let given_up =
        tokio::time::timeout(Duration::from_millis(200), writer.apply(&change("second"), &WriteOptions::default())).await;
    assert!(given_up.is_err());
    server.resume();
    writer.apply(&change("third"), &WriteOptions::default()).await.unwrap();
    let reader = client(&server, Role::Reader);
    assert_eq!(reader.read(&base, &names(&["description"])).await.unwrap().unwrap().text("description"), Some("third"));
}
