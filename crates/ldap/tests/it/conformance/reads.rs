//! Compares, listed values and filters, by the rules that attributes compare by.

use std::sync::Arc;

use untether_directory::twin::{Identity, Twin, TwinConfig};
use untether_directory::{EntryStream, Read as _, Scope, Search, Write as _, WriteOptions};
use untether_model::change::Change;
use untether_testkit::lab::{Flavour, Role, Server};

use super::both::*;
use crate::world::*;

#[tokio::test]
async fn values_and_filters() {
    let mut both = Both::new(Flavour::Independent, "c-reads").await;
    both.add(Wr, "ou=unit", &[("objectClass", &["organizationalUnit"])]).await;
    both.person("a", &[("mail", &["Taro@X.example"]), ("title", &["Chief  Clerk"]), ("telephoneNumber", &["+81 3-1234"])]).await;
    both.person("b", &[("description", &["a)(b=*\\", "\u{5c71}\u{7530}"]), ("userPassword", &[HASH_A]), ("jpegPhoto", &["p"])])
        .await;
    let a = both.named("uid=a");
    both.person("c", &[("manager", &[&a]), ("employeeNumber", &["007"]), ("pwdAccountLockedTime", &[LOCK])]).await;
    for (relative, attr, value) in [
        ("uid=a", "mail", "taro@x.EXAMPLE"),
        ("uid=a", "mail", "jiro@x.example"),
        ("uid=a", "title", "chief clerk"),
        ("uid=a", "title", " CHIEF   clerk "),
        ("uid=a", "telephoneNumber", "+8131234"),
        ("uid=a", "description", "nothing"),
        ("uid=a", "uid", "A"),
        ("uid=b", "description", "\u{5c71}\u{7530}"),
        ("uid=b", "jpegPhoto", "p"),
        ("uid=c", "manager", &a.to_uppercase()),
        ("uid=c", "manager", &a.replace(",", " , ")),
        ("uid=c", "employeeNumber", "7"),
        ("uid=c", "objectClass", "INETORGPERSON"),
        ("uid=c", "pwdAccountLockedTime", LOCK),
        ("uid=nobody", "mail", "x"),
    ] {
        both.value(relative, attr, value).await;
    }
    let mut hits = 0;
    for filter in [
        "(objectClass=*)",
        "(objectClass=person)",
        "(objectClass=inetorgperson)",
        "(objectClass=top)",
        "(!(objectClass=person))",
        "(uid=A)",
        "(cn=*)",
        "(mail=TARO@x.example)",
        "(mail=taro*)",
        "(mail=*x.EX*)",
        "(title=chief clerk)",
        "(title=*clerk)",
        "(telephoneNumber=+8131234)",
        "(description=a\\29\\28b=\\2a\\5c)",
        "(description=\u{5c71}*)",
        "(jpegPhoto=*)",
        "(!(jpegPhoto=*))",
        "(unheardOf=*)",
        "(!(unheardOf=*))",
        "(unheardOf=x)",
        "(!(unheardOf=x))",
        "(|(unheardOf=x)(uid=a))",
        "(&(uid=*)(!(manager=*)))",
        "(employeeNumber>=006)",
        "(employeeNumber<=006)",
        "(pwdAccountLockedTime=000001010000Z)",
        "(pwdAccountLockedTime=*)",
        "(userPassword=*)",
        "(memberOf=*)",
        "(ou=unit)",
        "(sn;lang-ja=*)",
        "(&)",
        "(|)",
        "(entryDN=x)",
    ] {
        for scope in [Scope::Base, Scope::One, Scope::Subtree] {
            hits += both.search(scope, filter).await;
        }
    }
    let manager = format!("(manager={})", a.to_uppercase());
    hits += both.search(Scope::Subtree, &manager).await;
    assert!(hits > 40, "{hits} entries were found");
    both.done(100);
}

/// A limit of the server ends a search after what fits, pages together, and says so.
#[tokio::test]
async fn a_size_limit() {
    let server = Server::builder(Flavour::Shared).reader_size_limit(5).start().unwrap();
    let (reader, root) = (client(&server, Role::Reader), client(&server, Role::Root));
    let suffix = dn(Flavour::Shared.suffix());
    let mut config = TwinConfig::openldap(reader.side(), suffix.clone());
    config.schema = reader.schema().await.unwrap();
    config.size_limit = Some(5);
    let twin = Twin::new(config, Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
    let top = root.read(&suffix, &names(&["*", "+"])).await.unwrap().unwrap();
    twin.load([top]);
    let base = suffix.child("ou", "limits");
    for (at, attrs) in std::iter::once((base.clone(), attributes(&[("objectClass", &["organizationalUnit"])])))
        .chain((0..6).map(|n| (base.child("ou", format!("u{n}")), attributes(&[("objectClass", &["organizationalUnit"])]))))
    {
        let change = Change::Add { dn: at, attrs };
        root.apply(&change, &WriteOptions::default()).await.unwrap();
        twin.handle(Identity::Root).apply(&change, &WriteOptions::default()).await.unwrap();
    }
    let mut ended = Vec::new();
    for (scope, page_size) in [Scope::Base, Scope::One, Scope::Subtree].into_iter().flat_map(|s| [1, 2, 5, 50].map(|p| (s, p))) {
        let search = Search {
            base: base.clone(),
            scope,
            filter: "(objectClass=*)".to_owned(),
            attrs: names(&["1.1"]),
            page_size: Some(page_size),
            manage_dsa_it: true,
        };
        let real = listed(reader.search(search.clone()).await.unwrap()).await;
        let of_twin = listed(twin.handle(Identity::Reader).search(search).await.unwrap()).await;
        assert_eq!(of_twin, real, "{scope:?} by {page_size}");
        ended.push(real.1);
    }
    assert!(ended.contains(&Some(4)) && ended.contains(&None), "{ended:?}");
}

/// How many entries came, and the code with which it ended.
async fn listed(mut stream: Box<dyn EntryStream>) -> (usize, Option<u32>) {
    let mut count = 0;
    loop {
        match stream.next_page().await {
            Ok(Some(page)) => count += page.entries.len(),
            Ok(None) => return (count, None),
            Err(error) => return (count, error.code),
        }
    }
}
