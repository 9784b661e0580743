//! Transactions (RFC 5805) on slapd, each case on a server of its own: a transaction that fails can harm the server.

use untether_directory::{Failure, Read as _, Write as _, WriteOptions};
use untether_ldap::Client;
use untether_model::change::Change;
use untether_testkit::lab::{Flavour, Role, Server};

use crate::world::*;

/// A client that carries out transactions although the server is slapd.
fn daring(server: &Server) -> Client {
    let mut settings = settings(server, Role::Writer);
    settings.transactions = true;
    Client::new(settings).unwrap()
}

/// Without the explicit setting slapd's transactions are neither offered nor sent.
#[tokio::test]
async fn transactions_of_slapd_are_not_offered() {
    let case = Case::new(Flavour::Shared, "not-offered").await;
    assert!(!case.wr.features().await.unwrap().has_transactions());
    let dn = case.account("a", &[]).await;
    let refused = case.wr.transaction(&[(dn, lock().to_vec())], &WriteOptions::default()).await.unwrap_err();
    assert_eq!(refused.failure, Failure::Invalid);
    assert!(refused.to_string().contains("two changes"), "{refused}");
}

/// A transaction [password; lock] keeps the lock, under a condition on the state before.
#[tokio::test]
async fn a_transaction_that_ends_with_the_lock_keeps_it() {
    let server = Server::builder(Flavour::Shared).start().unwrap();
    let case = Case::on(&server, "lock").await;
    let mut facts = Facts::default();
    let daring = daring(&server);
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    facts.check("lock", case.modify(&case.wr, &dn, &lock()).await, "0");
    let id = case.id(&dn).await;
    let options = given(&id, &[("userPassword", &[HASH_A])]);
    let parts = [(dn.clone(), vec![replace("userPassword", &[HASH_B])]), (dn.clone(), lock().to_vec())];
    facts.check("transaction", said(&daring.transaction(&parts, &options).await), "0");
    facts.check("state", case.state(&dn).await, "password B, lock forever, end past, history A");
    facts.check("the condition is false now", said(&daring.transaction(&parts, &options).await), "122 ConditionFailed");
    facts.check("state", case.state(&dn).await, "password B, lock forever, end past, history A");
    facts.done();
}

/// Where its attributes were in use before, a transaction that fails is rolled back whole, and the error is about the change that
/// failed. Sixteen in a row, eight at a time: the end of each comes late enough for the server.
#[tokio::test]
async fn a_transaction_applies_all_or_nothing() {
    let server = Server::builder(Flavour::Shared).start().unwrap();
    let case = Case::on(&server, "rollback").await;
    let daring = daring(&server);
    let dn = case.account("a", &[("title", &["before"])]).await;
    let gone = case.name("gone");
    let title = |dn: &untether_model::Dn, text: &str| (dn.clone(), vec![replace("title", &[text])]);
    let error = daring.transaction(&[title(&dn, "t"), title(&gone, "t")], &WriteOptions::default()).await.unwrap_err();
    assert_eq!((error.failure, error.code), (Failure::NoSuchObject, Some(32)));
    assert_eq!(error.dn, Some(gone));
    assert_eq!(case.entry(&dn, &["title"]).await.text("title"), Some("before"));

    let mut accounts = Vec::new();
    for n in 0..8 {
        accounts.push(case.account(&format!("n{n}"), &[]).await);
    }
    for text in ["t", "u"] {
        let parts = accounts.iter().map(|dn| [title(dn, "x"), title(dn, text)]);
        let parts: Vec<_> = parts.collect();
        let options = WriteOptions::default();
        let sent = parts.iter().map(|parts| daring.transaction(parts, &options));
        for outcome in futures::future::join_all(sent).await {
            outcome.unwrap();
        }
        for dn in &accounts {
            assert_eq!(case.entry(dn, &["title"]).await.text("title"), Some(text));
        }
    }
}

/// Why they are not offered: back-mdb numbers an attribute when an entry first uses it. If that happens in a transaction which is
/// then rolled back, the number is forgotten in the database and remembered by the server. Later writes of that attribute are
/// answered with 0, and the entry cannot be read any more or, once the number was given to another attribute, is read wrongly;
/// after a restart too.
#[tokio::test]
async fn a_transaction_that_fails_can_destroy_entries() {
    let mut server = Server::builder(Flavour::Shared).start().unwrap();
    let (dn, gone);
    {
        let case = Case::on(&server, "destroyed").await;
        dn = case.account("a", &[]).await;
        gone = case.name("gone");
        let title = |dn: &untether_model::Dn| (dn.clone(), vec![replace("title", &["t"])]);
        let failed = daring(&server).transaction(&[title(&dn), title(&gone)], &WriteOptions::default()).await;
        assert_eq!(said(&failed), "32 NoSuchObject");
        assert_eq!(case.modify(&case.wr, &dn, &[replace("title", &["t"])]).await, "0");
        assert!(broken(&case.reader, &dn).await);
    }
    server.restart().unwrap();
    assert!(broken(&client(&server, Role::Reader), &dn).await);
}

/// The same happens after an add by critical no-op: so no attribute is named to a server by a no-op that none of its entries has yet.
#[tokio::test]
async fn a_no_op_with_an_attribute_that_no_entry_has_can_destroy_entries() {
    let mut server = Server::builder(Flavour::Shared).start().unwrap();
    let dn;
    {
        let case = Case::on(&server, "no-op").await;
        dn = case.account("a", &[]).await;
        let person = attributes(&[("objectClass", &["inetOrgPerson"]), ("cn", &["b"]), ("sn", &["b"]), ("title", &["t"])]);
        let tried = Change::Add { dn: case.name("b"), attrs: person };
        assert_eq!(said(&case.wr.apply(&tried, &no_op()).await), "0");
        assert_eq!(case.modify(&case.wr, &dn, &[replace("title", &["t"])]).await, "0");
        assert!(broken(&case.reader, &dn).await);
    }
    server.restart().unwrap();
    assert!(broken(&client(&server, Role::Reader), &dn).await);
}

/// Removals that are tried by no-op harm nothing.
#[tokio::test]
async fn a_no_op_that_removes_harms_nothing() {
    let server = Server::builder(Flavour::Shared).start().unwrap();
    let case = Case::on(&server, "removals").await;
    let dn = case.account("a", &[]).await;
    assert_eq!(case.modify_with(&case.wr, &dn, &[replace("title", &[])], &no_op()).await, "0");
    assert_eq!(case.modify(&case.wr, &dn, &[replace("title", &["t"])]).await, "0");
    assert!(!broken(&case.reader, &dn).await);
}

/// Whether the entry, to which `title` was written with result 0, is read without it or not at all.
async fn broken(reader: &Client, dn: &untether_model::Dn) -> bool {
    !matches!(reader.read(dn, &names(&["title"])).await, Ok(Some(entry)) if entry.text("title") == Some("t"))
}
