//! The client itself: ways in, paging, many writes at once, and what it tells of a server.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use untether_directory::{Control, Failure, Page, Read as _, Scope, Search, Write as _, WriteOptions};
use untether_ldap::{Bind, Client, SearchLimit, Settings};
use untether_model::change::Change;
use untether_model::schema::Equality;
use untether_model::{Dn, Entry, StableId};
use untether_testkit::lab::{Flavour, Role, Server};

use crate::world::*;

pub fn subtree(base: &Dn) -> Search {
    Search {
        base: base.clone(),
        scope: Scope::Subtree,
        filter: "(objectClass=*)".to_owned(),
        attrs: names(&["cn"]),
        page_size: Some(7),
        manage_dsa_it: false,
    }
}

async fn pages(client: &Client, search: Search) -> Vec<Page> {
    let mut stream = client.search(search).await.unwrap();
    let mut pages = Vec::new();
    while let Some(page) = stream.next_page().await.unwrap() {
        pages.push(page);
    }
    pages
}

fn entries(pages: Vec<Page>) -> Vec<Entry> {
    pages.into_iter().flat_map(|page| page.entries).collect()
}

/// LDAPS, StartTLS, plain on loopback where that is allowed, and LDAPI by the identity of the process.
#[tokio::test]
async fn each_way_in_works() {
    let server = server(Flavour::Shared);
    let name = format!("dn:{}", server.dn(Role::Reader));
    assert_eq!(client(server, Role::Reader).who_am_i().await.unwrap(), name);

    let mut upgraded = settings(server, Role::Reader);
    upgraded.url = server.ldap_url().to_owned();
    upgraded.tls.starttls = true;
    assert_eq!(Client::new(upgraded).unwrap().who_am_i().await.unwrap(), name);

    let mut named = settings(server, Role::Reader);
    named.tls.server_name = Some("ldap.shared.example".to_owned());
    assert_eq!(Client::new(named).unwrap().who_am_i().await.unwrap(), name);

    let mut plain = settings(server, Role::Reader);
    plain.url = server.ldap_url().to_owned();
    plain.allow_plain_loopback = true;
    assert_eq!(Client::new(plain).unwrap().who_am_i().await.unwrap(), name);

    let local = Settings { url: server.ldapi_url().to_owned(), bind: Bind::External, ..settings(server, Role::Reader) };
    let local = Client::new(local).unwrap();
    assert!(local.who_am_i().await.unwrap().ends_with("cn=peercred,cn=external,cn=auth"));
    let config = local.read(&dn("cn=config"), &names(&["olcTLSVerifyClient"])).await.unwrap().unwrap();
    assert_eq!(config.text("olcTLSVerifyClient"), Some("never"));
}

#[tokio::test]
async fn the_server_tells_what_it_can_do() {
    let server = server(Flavour::Shared);
    let reader = client(server, Role::Reader);
    let features = reader.features().await.unwrap();
    for control in [
        Control::ASSERTION,
        Control::PRE_READ,
        Control::POST_READ,
        Control::MATCHED_VALUES,
        Control::PAGED_RESULTS,
        Control::ACCOUNT_USABILITY,
        Control::PASSWORD_POLICY,
    ] {
        assert!(features.has_control(control), "{control}");
    }
    // Neither is listed; both work (see the cases of no-op and relax).
    assert!(!features.has_control(Control::NO_OP) && !features.has_control(Control::RELAX));
    // Listed by the server and left out here (see the cases of transactions).
    assert!(!features.has_transactions());
    assert!(features.naming_contexts.contains(&dn(server.suffix())));
    assert_eq!(features.vendor.as_deref(), Some("OpenLDAProotDSE"));

    let schema = reader.schema().await.unwrap();
    assert_eq!(schema.equality(&"member".into()), Equality::DistinguishedName);
    assert_eq!(schema.equality(&"jpegPhoto".into()), Equality::None);
    assert_eq!(schema.equality(&"labOwner".into()), Equality::DistinguishedName);
    assert!(schema.get(&"entryUUID".into()).unwrap().read_only);
}

/// Each entry once, in pages of the asked size, names with everything that DNs can hold; and an entry is found by its stable
/// id wherever it is.
#[tokio::test]
async fn paged_searches_are_complete_and_each_entry_comes_once() {
    let case = Case::new(Flavour::Shared, "paging").await;
    let odd = ["a, b", "a\"b", "#a", " a ", "a+b", "\u{5c71}\u{7530}", "a\\b", "a=b", "a<b>;c"];
    let mut expected = BTreeSet::from([case.base.clone()]);
    for uid in odd {
        let dn = case.account(uid, &[]).await;
        assert!(expected.insert(dn));
    }
    for n in 0..30 {
        expected.insert(case.account(&format!("n{n}"), &[]).await);
    }
    let found = pages(&case.reader, subtree(&case.base)).await;
    assert_eq!(found.iter().map(|p| p.entries.len()).max(), Some(7));
    let found: Vec<Dn> = entries(found).into_iter().map(|e| e.dn).collect();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);

    // An exact multiple of the page, one page, no paging, nothing found.
    for (page_size, filter, count) in
        [(Some(10), "(uid=n*)", 30), (Some(100), "(uid=n*)", 30), (None, "(uid=n*)", 30), (Some(10), "(uid=nobody)", 0)]
    {
        let search = Search { page_size, filter: filter.to_owned(), ..subtree(&case.base) };
        assert_eq!(entries(pages(&case.reader, search).await).len(), count, "{page_size:?} {filter}");
    }

    let dn = case.name("a, b");
    let id = case.id(&dn).await;
    let suffix = crate::world::dn(case.server.suffix());
    assert_eq!(case.reader.find(&suffix, &id, &names(&["cn"])).await.unwrap().unwrap().dn, dn);
    let nobody = StableId::new("7d0a1a52-0000-1041-8000-000000000000");
    assert!(case.reader.find(&suffix, &nobody, &[]).await.unwrap().is_none());
    assert!(case.reader.find(&suffix, &StableId::new("*)(uid=*"), &[]).await.unwrap().is_none());
}

/// Continuation references are told, not followed and not taken for entries; with ManageDsaIT the referral is an entry, and so
/// it is when read by its name.
#[tokio::test]
async fn references_are_told() {
    let case = Case::new(Flavour::Shared, "references").await;
    let referral = case.base.child("cn", "elsewhere");
    let url = "ldap://other.example/dc=other,dc=example";
    let attrs: &[(&str, &[&str])] =
        &[("objectClass", &["referral", "extensibleObject"]), ("cn", &["elsewhere"]), ("ref", &[url])];
    case.add_as(&case.root, &referral, attrs, &WriteOptions::default()).await.unwrap();
    let found = pages(&case.reader, subtree(&case.base)).await;
    let references: Vec<String> = found.iter().flat_map(|p| p.references.clone()).collect();
    assert_eq!(references.len(), 1);
    assert!(references[0].starts_with(url), "{references:?}");
    assert_eq!(entries(found).len(), 1);
    let managed = pages(&case.reader, Search { manage_dsa_it: true, ..subtree(&case.base) }).await;
    assert_eq!(entries(managed).len(), 2);
    assert_eq!(case.reader.read(&referral, &names(&["ref"])).await.unwrap().unwrap().text("ref"), Some(url));

    // A search below it ends with result 10: refused, and it says where.
    let below = case.reader.search(subtree(&referral.child("cn", "x"))).await.unwrap().next_page().await.unwrap_err();
    assert_eq!((below.failure, below.code), (Failure::Refused, Some(10)));
    assert!(below.to_string().contains("ldap://other.example"), "{below}");
}

/// Hundreds of writes at once over two connections with sixteen places each: all are answered, each with its own answer.
#[tokio::test]
async fn many_writes_share_few_connections() {
    let case = Case::new(Flavour::Independent, "pipelining").await;
    let dns: Vec<Dn> = (0..200).map(|n| case.name(&format!("w{n}"))).collect();
    let adds = dns.iter().enumerate().map(|(n, dn)| {
        let uid = format!("w{n}");
        let attrs = attributes(&[("objectClass", &["inetOrgPerson"]), ("uid", &[&uid]), ("cn", &[&uid]), ("sn", &[&uid])]);
        let change = Change::Add { dn: dn.clone(), attrs };
        let options = WriteOptions { post_read: names(&["cn"]), ..WriteOptions::default() };
        let client = case.wr.clone();
        async move { client.apply(&change, &options).await }
    });
    for (n, written) in join_all(adds).await.into_iter().enumerate() {
        assert_eq!(written.unwrap().after.unwrap().text("cn"), Some(format!("w{n}").as_str()));
    }
    let title = [replace("title", &["t"])];
    let mixed = dns.iter().enumerate().map(|(n, dn)| {
        let dn = if n % 10 == 0 { case.name(&format!("gone{n}")) } else { dn.clone() };
        let (case, title) = (&case, &title);
        async move { case.modify(&case.wr, &dn, title).await }
    });
    for (n, said) in join_all(mixed).await.into_iter().enumerate() {
        assert_eq!(said, if n % 10 == 0 { "32 NoSuchObject" } else { "0" });
    }
}

/// Searches have connections of their own: a search that is not read on does not hold up writes, and more searches than there
/// are connections wait for one, within the bound.
#[tokio::test]
async fn searches_do_not_hold_up_writes() {
    let case = Case::new(Flavour::Independent, "separate").await;
    let dn = case.account("a", &[]).await;
    let mut settings = settings(case.server, Role::Undo);
    settings.timeouts.operation = Duration::from_secs(2);
    let client = Client::new(settings).unwrap();
    let all = subtree(&crate::world::dn(case.server.suffix()));
    let mut first = client.search(all.clone()).await.unwrap();
    let second = client.search(all.clone()).await.unwrap();
    first.next_page().await.unwrap().unwrap();
    assert_eq!(case.modify(&client, &dn, &[replace("title", &["t"])]).await, "0");
    let third = client.search(all.clone()).await;
    assert_eq!(third.err().unwrap().failure, Failure::Busy);
    drop(second);
    assert!(client.search(all).await.is_ok());
}

/// The server's clock, its own count of entries, how far a search gets. What an identity may not see is not known, never zero.
#[tokio::test]
async fn what_doctor_shows() {
    let server = Server::builder(Flavour::Shared).start().unwrap();
    let reader = client(&server, Role::Reader);
    let time = reader.server_time().await.unwrap().unwrap();
    assert!(time.as_second() > 1_700_000_000);
    let entries = server.dump().unwrap().lines().filter(|line| line.starts_with("dn:")).count() as u64;
    assert_eq!(reader.entry_count().await.unwrap(), Some(entries));
    assert_eq!(reader.search_limit().await.unwrap(), SearchLimit::None { entries });
    let writer = client(&server, Role::Writer);
    assert_eq!(writer.server_time().await.unwrap(), None);
    assert_eq!(writer.entry_count().await.unwrap(), None);
}

/// A client outlives a restart of its server: reads and writes go on over new connections.
#[tokio::test]
async fn a_client_outlives_a_restart() {
    let mut server = Server::builder(Flavour::Independent).start().unwrap();
    let writer = client(&server, Role::Writer);
    let base = dn(server.suffix());
    let change = |text: &str| Change::Modify { dn: base.clone(), mods: vec![replace("description", &[text])] };
    for text in ["first", "second", "third"] {
        // A write into a connection that the server has just closed is unknown, never failed or done: it is observed, and only
        // then done again.
        if let Err(error) = writer.apply(&change(text), &WriteOptions::default()).await {
            assert_eq!(error.failure, Failure::Unknown, "{error}");
            assert_ne!(writer.read(&base, &names(&["description"])).await.unwrap().unwrap().text("description"), Some(text));
            writer.apply(&change(text), &WriteOptions::default()).await.unwrap();
        }
        assert_eq!(writer.read(&base, &names(&["description"])).await.unwrap().unwrap().text("description"), Some(text));
        assert!(!entries(pages(&writer, subtree(&base)).await).is_empty());
        server.restart().unwrap();
    }
}
