//! Networks that break and servers that lie, through a proxy in front of a real server: each operation ends within its bound and with
//! the right meaning, a write whose reply was lost is unknown and never failed, and the client goes on when the fault is lifted.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use untether_directory::{DirectoryError, Failure, Outcome, Read as _, Search, Write as _, WriteOptions, Written};
use untether_ldap::{Client, Settings};
use untether_model::Dn;
use untether_model::change::Change;
use untether_testkit::lab::{Flavour, Role, Server};
use untether_testkit::proxy::{After, Fault, Hostile, Proxy, Sender};

use crate::world::*;

/// Each operation's bound here.
const BOUND: Duration = Duration::from_secs(2);
/// Nothing may take this long, however loaded the machine is.
const HANGS: Duration = Duration::from_secs(60);

async fn ends<T>(operation: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, operation).await.unwrap_or_else(|_| panic!("it does not end within its bound"))
}

/// A way to the server through a proxy of one's own.
fn through(server: &Server, url: &str) -> (Proxy, Settings) {
    let (proxy, url) = Proxy::before(url).unwrap();
    let mut settings = Settings { url, allow_plain_loopback: true, ..settings(server, Role::Writer) };
    settings.timeouts.connect = BOUND;
    settings.timeouts.operation = BOUND;
    settings.limits.connections = 1;
    (proxy, settings)
}

/// The same by TLS, which hostile bytes do not get through.
fn protected(server: &Server) -> (Proxy, Client) {
    let (proxy, settings) = through(server, server.ldaps_url());
    (proxy, Client::new(settings).unwrap())
}

fn plain(server: &Server) -> (Proxy, Client) {
    let (proxy, settings) = through(server, server.ldap_url());
    (proxy, Client::new(settings).unwrap())
}

async fn titled(client: &Client, dn: &Dn, title: &str) -> Outcome<Written> {
    let change = Change::Modify { dn: dn.clone(), mods: vec![replace("title", &[title])] };
    ends(client.apply(&change, &WriteOptions::default())).await
}

async fn title(client: &Client, dn: &Dn) -> Option<String> {
    let entry = ends(client.read(dn, &names(&["title"]))).await.unwrap().unwrap();
    entry.text("title").map(str::to_owned)
}

fn everything_in(case: &Case<'_>, page_size: u32) -> Search {
    Search { base: case.base.clone(), attrs: Vec::new(), page_size: Some(page_size), ..crate::client::subtree(&case.base) }
}

/// The names that a search finds.
async fn found(client: &Client, search: &Search) -> Outcome<Vec<Dn>> {
    let mut found = Vec::new();
    let mut pages = ends(client.search(search.clone())).await?;
    while let Some(page) = ends(pages.next_page()).await? {
        found.extend(page.entries.into_iter().map(|entry| entry.dn));
    }
    Ok(found)
}

#[track_caller]
fn assert_unknown(error: &DirectoryError, words: &str) {
    assert_eq!(error.failure, Failure::Unknown, "{error}");
    assert!(error.to_string().contains(words), "'{words}' is missing in: {error}");
}

fn hostile(what: Hostile) -> Fault {
    Fault::Hostile { what, after_answers: 0 }
}

/// What is said of hostile bytes in place of the answer to a write.
fn words(what: Hostile) -> &'static str {
    match what {
        Hostile::Corrupt => "a malformed message",
        Hostile::Endless => "no answer within 2 s",
        Hostile::Bomb => "nested too deep",
        Hostile::WrongId => "a request that was not sent",
        Hostile::Indefinite => "an indefinite length",
        Hostile::Huge => "announced a message of",
        Hostile::Lying => "leads out of what it is in",
    }
}

/// The server has applied the write; what came back in its place is no answer, and says nothing of it.
#[tokio::test]
async fn hostile_bytes_in_place_of_a_write_s_answer() {
    let case = Case::new(Flavour::Independent, "hostile-writes").await;
    let cases = Hostile::ALL.into_iter().enumerate().map(|(n, (name, what))| {
        let case = &case;
        async move {
            let dn = case.account(&format!("w{n}"), &[]).await;
            let (proxy, client) = plain(case.server);
            titled(&client, &dn, "before").await.unwrap();
            proxy.set(hostile(what));
            let error = titled(&client, &dn, name).await.unwrap_err();
            assert_unknown(&error, words(what));
            assert_unknown(&error, "observe the entry");
            if what != Hostile::Endless {
                assert_unknown(&error, &format!("what answers at {} does not keep to LDAP", proxy.address()));
            }
            assert_eq!(proxy.struck(), 1);
            assert_eq!(title(&case.reader, &dn).await.as_deref(), Some(name), "it was applied");
            proxy.lift();
            titled(&client, &dn, "after").await.unwrap();
            assert_eq!(title(&client, &dn).await.as_deref(), Some("after"));
        }
    });
    join_all(cases).await;
}

/// Nothing that a server makes up is taken for an entry, for the absence of one, or for the end of a search.
#[tokio::test]
async fn hostile_bytes_in_place_of_what_is_read() {
    let case = Case::new(Flavour::Independent, "hostile-reads").await;
    let dn = case.account("r", &[]).await;
    let cases = Hostile::ALL.into_iter().map(|(name, what)| {
        let (case, dn) = (&case, &dn);
        async move {
            let (proxy, client) = plain(case.server);
            let search = everything_in(case, 7);
            // Connections of both kinds stand before it strikes.
            assert!(ends(client.read(dn, &[])).await.unwrap().is_some());
            assert!(ends(client.compare(dn, &"cn".into(), &"r".into())).await.unwrap().unwrap());
            assert_eq!(found(&client, &search).await.unwrap().len(), 2);
            proxy.set(hostile(what));
            let read = ends(client.read(dn, &[])).await;
            assert_unknown(&read.unwrap_err(), "");
            assert_unknown(&found(&client, &search).await.unwrap_err(), "");
            assert!(proxy.struck() >= 2, "{name}");
            proxy.lift();
            assert!(ends(client.compare(dn, &"cn".into(), &"r".into())).await.unwrap().unwrap());
            assert!(ends(client.read(dn, &[])).await.unwrap().is_some());
            assert_eq!(found(&client, &search).await.unwrap().len(), 2);
        }
    });
    join_all(cases).await;
}

#[tokio::test]
async fn hostile_bytes_in_place_of_a_bind_s_answer() {
    let server = server(Flavour::Independent);
    let cases = Hostile::ALL.into_iter().map(|(name, what)| async move {
        let (proxy, client) = plain(server);
        proxy.set(hostile(what));
        let error = ends(client.connect()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unreachable, "{name}: {error}");
        proxy.lift();
        ends(client.connect()).await.unwrap();
    });
    join_all(cases).await;
}

const fn after(bytes: u64, sender: Sender) -> After {
    After { bytes, sender }
}

/// By TLS: the reply is lost in the network, whichever way; or the request is. Neither is ever told as failed or done.
#[tokio::test]
async fn a_write_is_unknown_when_the_network_breaks() {
    let case = Case::new(Flavour::Independent, "lost-writes").await;
    let reply = after(1, Sender::Server);
    let request = after(20, Sender::Client);
    let faults = [
        (Fault::Cut(reply), true),
        (Fault::Reset(reply), true),
        (Fault::Stall(reply), true),
        (Fault::HalfOpen(reply), true),
        (Fault::Cut(request), false),
        (Fault::Reset(request), false),
        (Fault::HalfOpen(request), false),
    ];
    let cases = faults.into_iter().enumerate().map(|(n, (fault, arrives))| {
        let case = &case;
        async move {
            let dn = case.account(&format!("w{n}"), &[]).await;
            let (proxy, client) = protected(case.server);
            titled(&client, &dn, "before").await.unwrap();
            proxy.set(fault);
            let error = titled(&client, &dn, "lost").await.unwrap_err();
            assert_unknown(&error, "observe the entry");
            assert_eq!(proxy.struck(), 1, "{fault}");
            let held = title(&case.reader, &dn).await;
            assert_eq!(held.as_deref(), Some(if arrives { "lost" } else { "before" }), "{fault}");
            proxy.lift();
            titled(&client, &dn, "after").await.unwrap();
            assert_eq!(title(&client, &dn).await.as_deref(), Some("after"), "{fault}");
        }
    });
    join_all(cases).await;
}

/// A request that is held back and goes on after the bound has passed lands late or not at all, and never on the next one's account.
#[tokio::test]
async fn a_write_that_is_held_back_is_unknown_and_does_not_return() {
    let case = Case::new(Flavour::Independent, "held-writes").await;
    let dn = case.account("h", &[]).await;
    let (proxy, client) = protected(case.server);
    titled(&client, &dn, "before").await.unwrap();
    proxy.set(Fault::Stall(after(20, Sender::Client)));
    assert_unknown(&titled(&client, &dn, "held").await.unwrap_err(), "no answer within 2 s");
    proxy.lift();
    titled(&client, &dn, "after").await.unwrap();
    assert_eq!(title(&client, &dn).await.as_deref(), Some("after"));
}

/// By TLS, at different places: a search that is broken off is an error, and what came before is neither repeated nor made up.
#[tokio::test]
async fn a_search_that_breaks_off_is_never_complete() {
    let case = Case::new(Flavour::Independent, "broken-searches").await;
    let mut all = BTreeSet::from([case.base.clone()]);
    for n in 0..60 {
        all.insert(case.account(&format!("s{n}"), &[("description", &["x".repeat(200).as_str()])]).await);
    }
    let search = everything_in(&case, 20);
    let mut faults = vec![Fault::Trickle(500)];
    for bytes in [1, 5_000, 16_000] {
        let point = after(bytes, Sender::Server);
        faults.extend([Fault::Cut(point), Fault::Reset(point), Fault::Stall(point), Fault::HalfOpen(point)]);
    }
    let cases = faults.into_iter().map(|fault| {
        let (case, all, search) = (&case, &all, &search);
        async move {
            let (proxy, client) = protected(case.server);
            assert_eq!(found(&client, search).await.unwrap().len(), all.len());
            proxy.set(fault);
            let mut pages = ends(client.search(search.clone())).await.unwrap();
            let mut came = Vec::new();
            let error = loop {
                match ends(pages.next_page()).await {
                    Ok(Some(page)) => came.extend(page.entries.into_iter().map(|entry| entry.dn)),
                    Ok(None) => panic!("{fault}: complete after {} entries", came.len()),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error.failure, Failure::Unknown | Failure::Unreachable), "{fault}: {error}");
            let distinct: BTreeSet<Dn> = came.iter().cloned().collect();
            assert!(distinct.len() == came.len() && distinct.is_subset(all), "{fault}");
            assert!(proxy.struck() > 0, "{fault}");
            proxy.lift();
            assert_eq!(found(&client, search).await.unwrap().into_iter().collect::<BTreeSet<_>>(), *all, "{fault}");
        }
    });
    join_all(cases).await;
}

/// A delay each way costs time and nothing else.
#[tokio::test]
async fn a_slow_way_is_no_fault() {
    let case = Case::new(Flavour::Independent, "slow").await;
    let dn = case.account("d", &[]).await;
    let (proxy, client) = protected(case.server);
    proxy.delay(Duration::from_millis(50));
    let titles: Vec<String> = (0..64).map(|n| n.to_string()).collect();
    for written in join_all(titles.iter().map(|title| titled(&client, &dn, title))).await {
        written.unwrap();
    }
    assert_eq!(proxy.struck(), 0);
}
