//! Collecting: everything once, nothing secret, and anything short of complete is said.

use std::sync::Mutex;

use untether_audit::collect::{CollectEvent, CollectProgress, Collected, Export, GapKind, Part, Silent, StoreInput, collect};
use untether_directory::Read;
use untether_directory::offline::LdifStore;
use untether_model::policy::{AuditPolicy, CopyArea, CopyKind, ScopeBase, StoreAudit};
use untether_model::snapshot::{EntryRole, StoreSource};
use untether_model::{Entry, Side};

use crate::support::server::{Fault, Server, dn, entry};
use crate::support::sink::{Digests, Kept};

const NOW: &str = "2026-11-20T00:00:00Z";

fn policy() -> AuditPolicy {
    let mut shared = StoreAudit::new(dn("dc=x"));
    shared.accounts = vec![ScopeBase { base: dn("ou=people,dc=x"), filter: "(objectClass=inetOrgPerson)".into() }];
    shared.canary = Some(dn("uid=canary,ou=canaries,dc=x"));
    let mut policy = AuditPolicy::new(shared, StoreAudit::new(dn("dc=y")));
    policy.page_size = 2;
    policy
}

fn entries() -> Vec<Entry> {
    let person = |uid: &str| {
        let name = format!("uid={uid},ou=people,dc=x");
        entry(&name, &[("objectClass", "inetOrgPerson"), ("uid", uid), ("userPassword", "{SSHA}topsecret"), ("entryUUID", uid)])
    };
    let mut all = vec![
        entry("dc=x", &[("objectClass", "domain"), ("entryUUID", "base")]),
        entry("ou=people,dc=x", &[("objectClass", "organizationalUnit")]),
        entry("ou=canaries,dc=x", &[("objectClass", "organizationalUnit")]),
        entry("uid=canary,ou=canaries,dc=x", &[("objectClass", "inetOrgPerson"), ("uid", "canary")]),
    ];
    all.extend(["a", "b", "c", "d", "e"].map(person));
    all.push(entry("cn=printer,ou=people,dc=x", &[("objectClass", "device")]));
    all.push(entry("cn=staff,dc=x", &[("objectClass", "groupOfNames"), ("member", "uid=a,ou=people,dc=x")]));
    all.push(entry("cn=alias,ou=people,dc=x", &[("objectClass", "alias"), ("aliasedObjectName", "uid=a,ou=people,dc=x")]));
    all
}

async fn collected(policy: &AuditPolicy, server: &Server) -> (Collected, Kept) {
    let source = StoreSource::Ldap("ldap://x".into());
    let input = StoreInput { read: server, config: None, copies: None, source: &source, export: None };
    let mut kept = Kept::default();
    let out = collect(policy, input, &Digests, &Silent, &mut kept, NOW.parse().unwrap()).await.unwrap();
    (out, kept)
}

fn gaps(out: &Collected) -> Vec<(GapKind, String)> {
    let entries = out.gaps.iter().filter(|g| g.kind.concerns_entries());
    entries.map(|g| (g.kind, format!("{}: {}", g.dn.as_ref().map_or("-", |d| d.as_str()), g.reason))).collect()
}

/// The reason of the only gap, which is of this kind.
#[track_caller]
fn only(kind: GapKind, gaps: &[(GapKind, String)]) -> String {
    let [(found, reason)] = gaps else { panic!("{gaps:?}") };
    assert_eq!(*found, kind, "{reason}");
    reason.clone()
}

#[tokio::test]
async fn every_entry_is_collected_once_in_its_role_and_without_its_secrets() {
    let server = Server::new(Side::Shared, entries());
    let mut policy = policy();
    // An overlapping base must not hand anything on twice.
    policy.shared.accounts.push(ScopeBase { base: dn("dc=x"), filter: "(uid=a)".into() });
    let (out, kept) = collected(&policy, &server).await;
    assert_eq!(gaps(&out), []);
    let people: Vec<String> = ["a", "b", "c", "d", "e"].map(|uid| format!("uid={uid},ou=people,dc=x")).to_vec();
    assert_eq!(kept.names(EntryRole::Account), people);
    let others = ["dc=x", "ou=people,dc=x", "ou=canaries,dc=x", "cn=staff,dc=x", "cn=alias,ou=people,dc=x"];
    assert_eq!(kept.names(EntryRole::Other), others, "what names others, and what others stand below");
    assert_eq!((out.accounts, out.entries), (5, 10));
    assert_eq!(out.identity.stable_id.as_ref().unwrap().as_str(), "base");
    assert!(out.credentials_visible);
    assert!(!serde_json::to_string(&kept.entries).unwrap().contains("topsecret"));
    assert_eq!(server.largest_page(), 2, "memory is bounded by a page");
    assert!(out.bases.iter().all(|b| b.complete && b.shortfall.is_none()));
}

#[tokio::test]
async fn existence_is_known_below_the_suffix_and_nowhere_else() {
    let (out, _) = collected(&policy(), &Server::new(Side::Shared, entries())).await;
    assert_eq!(out.existence.exists(&dn("CN=Printer,ou=people,dc=x")), Some(true), "outside the filter, but there");
    assert_eq!(out.existence.exists(&dn("uid=gone,ou=people,dc=x")), Some(false));
    assert_eq!(out.existence.exists(&dn("uid=a,dc=elsewhere")), None);
}

#[tokio::test]
async fn a_search_that_ends_early_is_truncated_and_what_came_is_kept() {
    for code in [3, 4, 11] {
        let server = Server::new(Side::Shared, entries()).failing("ou=people,dc=x", Fault::EndsWith { code, after: 3 });
        let (out, kept) = collected(&policy(), &server).await;
        assert_eq!(kept.names(EntryRole::Account).len(), 3, "a partial audit is still an audit");
        let reason = only(GapKind::Truncated, &gaps(&out));
        assert!(reason.contains("ou=people,dc=x") && reason.contains(&format!("result code {code}")), "{reason}");
        assert!(out.bases.iter().any(|b| b.base == dn("ou=people,dc=x") && !b.complete && b.entries == 3));
    }
}

#[tokio::test]
async fn a_base_that_is_refused_or_not_there_is_denied_and_never_empty() {
    let refused = Server::new(Side::Shared, entries()).failing("ou=people,dc=x", Fault::EndsWith { code: 50, after: 0 });
    let (out, _) = collected(&policy(), &refused).await;
    assert_eq!(gaps(&out)[0].0, GapKind::Denied);
    let hidden = Server::new(Side::Shared, entries()).hiding("ou=people,dc=x");
    let (out, _) = collected(&policy(), &hidden).await;
    let reason = only(GapKind::Denied, &gaps(&out));
    assert!(reason.contains("does not exist, or the reading identity has no right"), "{reason}");
    let elsewhere = Server::new(Side::Shared, entries()).failing("ou=people,dc=x", Fault::EndsWith { code: 10, after: 0 });
    let (out, _) = collected(&policy(), &elsewhere).await;
    assert!(gaps(&out)[0].1.contains("another server holds it"));
}

#[tokio::test]
async fn a_server_that_is_lost_in_the_middle_stops_the_audit() {
    let server = Server::new(Side::Shared, entries()).failing("ou=people,dc=x", Fault::Lost { after: 3 });
    let source = StoreSource::Ldap("ldap://x".into());
    let input = StoreInput { read: &server, config: None, copies: None, source: &source, export: None };
    let mut kept = Kept::default();
    let error = collect(&policy(), input, &Digests, &Silent, &mut kept, NOW.parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("ou=people,dc=x"), "{error}");
}

#[tokio::test]
async fn an_entry_that_comes_twice_makes_the_read_incomplete_and_is_kept_once() {
    let server = Server::new(Side::Shared, entries()).failing("ou=people,dc=x", Fault::Repeats);
    let (out, kept) = collected(&policy(), &server).await;
    assert_eq!(kept.names(EntryRole::Account).len(), 5);
    let reason = only(GapKind::Truncated, &gaps(&out));
    assert!(reason.contains("came twice"), "{reason}");
}

#[tokio::test]
async fn a_read_that_lacks_the_canary_is_incomplete_and_proves_no_absence() {
    let server = Server::new(Side::Shared, entries()).hiding("ou=canaries,dc=x");
    let (out, _) = collected(&policy(), &server).await;
    let reason = only(GapKind::Truncated, &gaps(&out));
    assert!(reason.contains("canary entry 'uid=canary,ou=canaries,dc=x' was not seen"), "{reason}");
    assert_eq!(out.existence.exists(&dn("uid=gone,ou=people,dc=x")), None, "nothing is called dangling on such a read");
}

#[tokio::test]
async fn the_count_of_the_server_or_of_the_owner_must_be_reached() {
    let with_count = |count: &str| {
        let mut all = entries();
        all.push(entry("cn=Databases,cn=Monitor", &[("objectClass", "monitorContainer")]));
        let database = &[("objectClass", "olmMDBDatabase"), ("namingContexts", "DC=x"), ("olmMDBEntries", count)];
        all.push(entry("cn=Database 1,cn=Databases,cn=Monitor", database));
        Server::new(Side::Shared, all)
    };
    let present = entries().len().to_string();
    assert_eq!(gaps(&collected(&policy(), &with_count(&present)).await.0), []);
    let (out, _) = collected(&policy(), &with_count("100")).await;
    let reason = only(GapKind::Denied, &gaps(&out));
    assert!(reason.contains("the server counts 100"), "{reason}");
    let mut stated = policy();
    stated.shared.stated_count = Some(1000);
    let (out, _) = collected(&stated, &with_count(&present)).await;
    let reason = only(GapKind::Truncated, &gaps(&out));
    assert!(reason.contains("its owner counts 1000"), "{reason}");
    stated.shared.stated_count = Some(10);
    assert_eq!(gaps(&collected(&stated, &with_count("100")).await.0), [], "the owner's word stands for the server's");
}

#[tokio::test]
async fn where_only_our_bases_may_be_seen_their_names_are_read_instead() {
    // The suffix answers "no right"; our own subtree is readable.
    let server = Server::new(Side::Shared, entries()).failing("dc=x", Fault::EndsWith { code: 50, after: 0 });
    let mut policy = policy();
    policy.shared.canary = Some(dn("uid=a,ou=people,dc=x"));
    let (out, _) = collected(&policy, &server).await;
    assert_eq!(out.existence.exists(&dn("uid=gone,ou=people,dc=x")), Some(false));
    assert_eq!(out.existence.exists(&dn("cn=staff,dc=x")), None);
    assert_eq!(gaps(&out), [], "none of our accounts is missing");
    let skipped = out.gaps.iter().find(|g| g.rules.iter().any(|r| r == "residual.membership")).unwrap();
    assert_eq!((skipped.kind, &skipped.dn), (GapKind::Skipped, &Some(dn("dc=x"))));
}

#[tokio::test]
async fn what_lies_on_another_server_was_not_read() {
    let server = Server::new(Side::Shared, entries()).failing("ou=people,dc=x", Fault::Refers("ldap://other/ou=people,dc=x"));
    let (out, _) = collected(&policy(), &server).await;
    let skipped: Vec<&str> = out.gaps.iter().filter(|g| g.kind == GapKind::Skipped).map(|g| g.reason.as_str()).collect();
    assert!(skipped.iter().any(|r| r.contains("ldap://other/ou=people,dc=x")), "{skipped:?}");
    assert_eq!(gaps(&out), [], "no entry of ours is missing by that");
}

#[tokio::test]
async fn hidden_passwords_are_not_absent_passwords() {
    let mut all = entries();
    for e in &mut all {
        e.attrs.remove(&untether_model::AttrName::new("userPassword"));
    }
    let (out, _) = collected(&policy(), &Server::new(Side::Shared, all.clone())).await;
    assert!(!out.credentials_visible);
    let gap = out.gaps.iter().find(|g| g.rules.iter().any(|r| r == "residual.credential")).unwrap();
    assert_eq!(gap.kind, GapKind::Skipped);
    // A canary whose password can be seen proves the right to see passwords: then there are none.
    all[3].attrs.insert("userPassword".into(), vec!["{SSHA}x".into()]);
    let (out, _) = collected(&policy(), &Server::new(Side::Shared, all)).await;
    assert!(out.credentials_visible && !out.gaps.iter().any(|g| g.rules.iter().any(|r| r == "residual.credential")));
}

#[tokio::test]
async fn cn_config_is_read_apart_and_said_where_it_is_not() {
    let config = Server::new(
        Side::Shared,
        vec![
            entry("cn=config", &[("objectClass", "olcGlobal")]),
            entry("olcDatabase={1}mdb,cn=config", &[("olcSyncrepl", "rid=1 provider=ldap://a credentials=topsecret")]),
        ],
    );
    let server = Server::new(Side::Shared, entries());
    let source = StoreSource::Ldap("ldap://x".into());
    let read = async |config: Option<&dyn Read>| {
        let input = StoreInput { read: &server, config, copies: None, source: &source, export: None };
        let mut kept = Kept::default();
        let out = collect(&policy(), input, &Digests, &Silent, &mut kept, NOW.parse().unwrap()).await.unwrap();
        (out, kept)
    };
    let (out, kept) = read(Some(&config)).await;
    assert!(out.config_read);
    assert_eq!(kept.names(EntryRole::Config), ["cn=config", "olcDatabase={1}mdb,cn=config"]);
    assert!(!serde_json::to_string(&kept.entries).unwrap().contains("topsecret"));
    let gone = Server::new(Side::Shared, vec![]);
    for unreadable in [None, Some(&gone as &dyn Read)] {
        let (out, _) = read(unreadable).await;
        assert!(!out.config_read);
        let gap = out.gaps.iter().find(|g| g.rules.iter().any(|r| r == "link.replication")).unwrap();
        assert_eq!(gap.kind, GapKind::Skipped);
    }
}

#[tokio::test]
async fn areas_of_copies_are_counted_and_are_no_accounts() {
    let mut all = entries();
    all.push(entry("cn=log", &[("objectClass", "auditContainer")]));
    all.push(entry(
        "reqStart=1,cn=log",
        &[("objectClass", "auditModify"), ("reqDN", "uid=a,ou=people,dc=x"), ("reqMod", "userPassword:= topsecret")],
    ));
    all.push(entry("ou=backup,ou=people,dc=x", &[("objectClass", "organizationalUnit")]));
    all.push(entry("uid=a,ou=backup,ou=people,dc=x", &[("objectClass", "inetOrgPerson"), ("userPassword", "topsecret")]));
    let mut policy = policy();
    let area = |base, kind| CopyArea { base: dn(base), kind };
    policy.shared.copies = vec![
        area("cn=log", CopyKind::AccessLog),
        area("ou=backup,ou=people,dc=x", CopyKind::Backup),
        area("cn=gone", CopyKind::AccessLog),
    ];
    let (out, kept) = collected(&policy, &Server::new(Side::Shared, all)).await;
    assert_eq!(out.accounts, 5);
    let counted: Vec<(&str, &str, u64, u64)> =
        kept.copies.iter().map(|c| (c.area.as_str(), c.about.as_str(), c.records, c.with_credentials)).collect();
    assert_eq!(
        counted,
        [("cn=log", "uid=a,ou=people,dc=x", 1, 1), ("ou=backup,ou=people,dc=x", "uid=a,ou=backup,ou=people,dc=x", 1, 1)]
    );
    assert_eq!(out.areas.iter().map(|a| a.complete).collect::<Vec<_>>(), [true, true, false]);
    let unread = out.gaps.iter().find(|g| g.dn == Some(dn("cn=gone"))).unwrap();
    assert_eq!((unread.kind, unread.rules.as_slice()), (GapKind::Skipped, ["residual.copy".to_owned()].as_slice()));
}

#[derive(Default)]
struct Told(Mutex<Vec<(Part, u64, bool)>>);

impl CollectProgress for Told {
    fn event(&self, event: CollectEvent<'_>) {
        if let CollectEvent::Ended { part, entries, complete, .. } = event {
            self.0.lock().unwrap().push((part, entries, complete));
        }
    }
}

#[tokio::test]
async fn a_display_is_told_what_is_read() {
    let server = Server::new(Side::Shared, entries());
    let source = StoreSource::Ldap("ldap://x".into());
    let input = StoreInput { read: &server, config: None, copies: None, source: &source, export: None };
    let told = Told::default();
    collect(&policy(), input, &Digests, &told, &mut Kept::default(), NOW.parse().unwrap()).await.unwrap();
    let all = u64::try_from(entries().len()).unwrap();
    assert_eq!(told.0.into_inner().unwrap(), [(Part::Accounts, 5, true), (Part::References, 5, true), (Part::Names, all, true)]);
}

fn ldif(entries: &[Entry]) -> String {
    let mut out = String::new();
    for e in entries {
        out.push_str(&format!("dn: {}\n", e.dn));
        for (attr, values) in &e.attrs {
            for value in values {
                out.push_str(&format!("{attr}: {}\n", value.to_lossy()));
            }
        }
        out.push('\n');
    }
    out
}

async fn offline(text: &str, policy: &AuditPolicy) -> Collected {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("export.ldif");
    std::fs::write(&path, text).unwrap();
    let store = LdifStore::open(Side::Shared, &[path]).unwrap();
    let export = Export { truncated: store.truncation(), written_at: Some(NOW.parse().unwrap()), references: vec![] };
    let source = StoreSource::Ldif(vec!["export.ldif".into()]);
    let input = StoreInput { read: &store, config: None, copies: None, source: &source, export: Some(&export) };
    let later = "2026-11-22T01:00:00Z".parse().unwrap();
    collect(policy, input, &Digests, &Silent, &mut Kept::default(), later).await.unwrap()
}

#[tokio::test]
async fn an_export_is_collected_like_a_server() {
    let out = offline(&ldif(&entries()), &policy()).await;
    assert_eq!(gaps(&out), []);
    assert_eq!((out.accounts, out.features.is_some()), (5, false));
    assert_eq!(out.existence.exists(&dn("uid=gone,ou=people,dc=x")), Some(false));
}

#[tokio::test]
async fn an_export_that_says_it_is_truncated_is() {
    let text = format!("{}# search result\nsearch: 2\nresult: 4 Size limit exceeded\n", ldif(&entries()));
    let out = offline(&text, &policy()).await;
    assert!(!gaps(&out).is_empty() && gaps(&out).iter().all(|(kind, _)| *kind == GapKind::Truncated));
    assert_eq!(out.existence.exists(&dn("uid=gone,ou=people,dc=x")), None);
    let mut stated = policy();
    stated.shared.stated_count = Some(500);
    let out = offline(&ldif(&entries()), &stated).await;
    assert_eq!(gaps(&out).len(), 1, "the stated count");
    let without_canary: Vec<Entry> = entries().into_iter().filter(|e| !e.dn.is_within(&dn("ou=canaries,dc=x"))).collect();
    let out = offline(&ldif(&without_canary), &policy()).await;
    assert!(gaps(&out)[0].1.contains("canary"));
}

#[tokio::test]
async fn an_old_export_is_stale_where_its_age_is_judged() {
    let mut policy = policy();
    assert_eq!(gaps(&offline(&ldif(&entries()), &policy).await), []);
    policy.shared.max_age_hours = Some(48);
    let reason = only(GapKind::Stale, &gaps(&offline(&ldif(&entries()), &policy).await));
    assert!(reason.contains("49 hours old, at most 48"), "{reason}");
}
