//! An export treated as a store.

use std::path::PathBuf;

use tempfile::TempDir;
use untether_directory::ldif::LdifProblem;
use untether_directory::offline::{ExportError, LdifStore};
use untether_directory::{DirectoryError, Failure, Page, Read, Scope, Search, Usability};
use untether_model::{AttrName, Dn, Side, StableId, Value};

const PEOPLE: &str = "dn: dc=x\nobjectClass: domain\ndc: x\n\n\
    dn: ou=people,dc=x\nobjectClass: organizationalUnit\nou: people\n\n\
    dn: uid=a,ou=people,dc=x\nobjectClass: inetOrgPerson\nuid: a\ncn;lang-ja:: 5bGx55Sw\nuserPassword: {SSHA}x\n\
    entryUUID: 0c8f7a52-1111-4000-8000-000000000001\nmodifyTimestamp: 20261120093000Z\n\n\
    dn: uid=b,ou=people,dc=x\nobjectClass: inetOrgPerson\nuid: b\nmail: b@x\n\n";
const GROUPS: &str = "dn: cn=g,ou=groups,dc=x\nobjectClass: groupOfNames\ncn: g\nmember: uid=a,ou=people,dc=x\n\n\
    # refldap://far.example/dc=y\n\n\
    dn: ou=away,dc=x\nobjectClass: referral\nref: ldap://away.example/dc=x\n\n";

struct Files {
    folder: TempDir,
    paths: Vec<PathBuf>,
}

fn files(texts: &[&str]) -> Files {
    let folder = TempDir::new().unwrap();
    let paths = texts.iter().enumerate().map(|(i, text)| {
        let path = folder.path().join(format!("{i}.ldif"));
        std::fs::write(&path, text).unwrap();
        path
    });
    Files { paths: paths.collect(), folder }
}

fn store(files: &Files) -> LdifStore {
    LdifStore::open(Side::Shared, &files.paths).unwrap()
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

fn search(base: &str, scope: Scope, filter: &str) -> Search {
    Search { base: dn(base), scope, filter: filter.into(), attrs: vec![], page_size: Some(2), manage_dsa_it: true }
}

async fn pages(store: &LdifStore, search: Search) -> (Vec<Page>, Result<(), DirectoryError>) {
    let mut pages = Vec::new();
    let mut stream = match store.search(search).await {
        Ok(stream) => stream,
        Err(error) => return (pages, Err(error)),
    };
    loop {
        match stream.next_page().await {
            Ok(Some(page)) => pages.push(page),
            Ok(None) => return (pages, Ok(())),
            Err(error) => return (pages, Err(error)),
        }
    }
}

async fn names(store: &LdifStore, asked: Search) -> Vec<String> {
    let (pages, end) = pages(store, asked).await;
    end.unwrap();
    pages.iter().flat_map(|page| &page.entries).map(|entry| entry.dn.to_string()).collect()
}

#[tokio::test]
async fn searches_run_over_all_files_in_pages() {
    let files = files(&[PEOPLE, GROUPS]);
    let store = store(&files);
    let (all, end) = pages(&store, search("dc=x", Scope::Subtree, "(objectClass=*)")).await;
    end.unwrap();
    assert_eq!(all.iter().map(|page| page.entries.len()).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(all.iter().flat_map(|page| &page.references).collect::<Vec<_>>(), ["ldap://far.example/dc=y"]);
    assert_eq!(names(&store, search("OU=People, DC=X", Scope::One, "(objectClass=person)")).await.len(), 2);
    assert_eq!(names(&store, search("ou=people,dc=x", Scope::Subtree, "(mail=*)")).await, ["uid=b,ou=people,dc=x"]);
    assert_eq!(names(&store, search("cn=g,ou=groups,dc=x", Scope::Base, "(member=UID=a,ou=people,dc=x)")).await.len(), 1);
    let mut named = search("dc=x", Scope::Subtree, "(objectClass=*)");
    named.attrs = vec!["1.1".into()];
    let (found, _) = pages(&store, named).await;
    let found: Vec<_> = found.iter().flat_map(|page| &page.entries).collect();
    assert!(found.len() == 6 && found.iter().all(|entry| entry.attrs.is_empty()), "names alone");
    let mut following = search("dc=x", Scope::One, "(objectClass=*)");
    following.manage_dsa_it = false;
    let (found, _) = pages(&store, following).await;
    let references: Vec<&String> = found.iter().flat_map(|page| &page.references).collect();
    assert_eq!(references, ["ldap://far.example/dc=y", "ldap://away.example/dc=x"]);
}

#[tokio::test]
async fn what_is_not_in_the_export_is_not_taken_for_empty() {
    let files = files(&[PEOPLE]);
    let store = store(&files);
    let (_, end) = pages(&store, search("ou=elsewhere,dc=x", Scope::Subtree, "(objectClass=*)")).await;
    assert_eq!(end.unwrap_err().failure, Failure::NoSuchObject);
    let (_, end) = pages(&store, search("dc=x", Scope::Subtree, "(uid:dn:=a)")).await;
    assert_eq!(end.unwrap_err().failure, Failure::Invalid);
    // An export of a part has no entry for what stands above it.
    let part = PEOPLE.split_once("\n\n").unwrap().1;
    let files = self::files(&[part]);
    assert_eq!(names(&self::store(&files), search("dc=x", Scope::Subtree, "(uid=*)")).await.len(), 2);
}

#[tokio::test]
async fn entries_and_values_are_found_by_scanning() {
    let files = files(&[PEOPLE, GROUPS]);
    let store = store(&files);
    let a = dn("uid=a,ou=people,dc=x");
    let read = store.read(&a, &["cn".into(), "modifyTimestamp".into()]).await.unwrap().unwrap();
    assert_eq!(read.attrs.keys().map(AttrName::as_str).collect::<Vec<_>>(), ["cn;lang-ja", "modifyTimestamp"]);
    assert!(!store.read(&a, &[]).await.unwrap().unwrap().has("entryUUID"), "operational only when asked for");
    assert!(store.read(&dn("uid=c,dc=x"), &[]).await.unwrap().is_none());
    let id = StableId::new("0C8F7A52-1111-4000-8000-000000000001");
    assert_eq!(store.find(&dn("dc=x"), &id, &[]).await.unwrap().unwrap().dn, a);
    assert!(store.find(&dn("dc=x"), &StableId::new("none"), &[]).await.unwrap().is_none());
    let group = dn("cn=g,ou=groups,dc=x");
    let member = AttrName::new("member");
    assert_eq!(store.compare(&group, &member, &"UID=A,ou=people,dc=x".into()).await.unwrap(), Some(true));
    assert_eq!(store.compare(&group, &"title".into(), &"x".into()).await.unwrap(), None);
    let present = store.present(&group, &member, &["uid=b,dc=x".into(), "uid=a,ou=people,dc=x".into()]).await.unwrap();
    assert_eq!(present, [Value::from("uid=a,ou=people,dc=x")]);
    assert_eq!(store.usability(&a).await.unwrap(), Usability::Unknown);
    assert_eq!(store.features().await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_truncated_export_ends_as_a_truncated_search_does() {
    let cut =
        format!("{PEOPLE}# search result\nsearch: 2\nresult: 4 Size limit exceeded\n\n# numResponses: 5\n# numEntries: 4\n");
    let files = files(&[&cut, GROUPS]);
    let store = store(&files);
    assert!(store.truncation().unwrap().contains("result 4"));
    assert_eq!(store.files()[0].trailer.entries_read, 4);
    assert_eq!((store.files()[1].reference_count, store.files()[1].references.len()), (1, 1));
    assert!(store.files()[0].written_at.is_some());
    let (found, end) = pages(&store, search("dc=x", Scope::Subtree, "(objectClass=*)")).await;
    assert_eq!(found.iter().map(|page| page.entries.len()).sum::<usize>(), 6, "what is there is read");
    let error = end.unwrap_err();
    assert_eq!((error.failure, error.code), (Failure::Busy, Some(4)));
    // Found is found; not found in half an export is not absent.
    assert!(store.read(&dn("uid=a,ou=people,dc=x"), &[]).await.unwrap().is_some());
    assert_eq!(store.read(&dn("uid=z,ou=people,dc=x"), &[]).await.unwrap_err().failure, Failure::Busy);
}

#[tokio::test]
async fn a_file_that_is_no_export_is_refused_by_name_and_line() {
    let files = files(&[PEOPLE, "dn: dc=x\nbroken\n"]);
    let error = LdifStore::open(Side::Shared, &files.paths).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("1.ldif") && text.contains("line 2"), "{text}");
    assert!(matches!(error, ExportError::Malformed { source, .. } if matches!(source.problem, LdifProblem::NoColon)));
    let nowhere = [files.folder.path().join("none.ldif")];
    assert!(matches!(LdifStore::open(Side::Shared, &nowhere).unwrap_err(), ExportError::Io { .. }));
    let folder = [files.folder.path().to_owned()];
    assert!(matches!(LdifStore::open(Side::Shared, &folder).unwrap_err(), ExportError::Io { .. }));

    // Damaged after it was opened: the search says so.
    let store = store(&self::files(&[PEOPLE]));
    drop(files);
    let (_, end) = pages(&store, search("dc=x", Scope::Subtree, "(uid=*)")).await;
    assert_eq!(end.unwrap_err().failure, Failure::Unreachable, "the file is gone");
}
