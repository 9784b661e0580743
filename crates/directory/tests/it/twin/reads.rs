//! Reading: attributes, pages, limits, identifiers, values.

use untether_directory::twin::Identity::Reader;
use untether_directory::{Failure, Page, Read, Scope, Search};
use untether_model::StableId;

use super::*;

fn search(base: Dn, scope: Scope, filter: &str) -> Search {
    Search { base, scope, filter: filter.into(), attrs: vec!["1.1".into()], page_size: Some(2), manage_dsa_it: true }
}

fn pages(world: &World, search: Search) -> Result<Vec<Page>, DirectoryError> {
    block_on(async {
        let mut stream = world.handle(Reader).search(search).await?;
        let mut pages = Vec::new();
        while let Some(page) = stream.next_page().await? {
            pages.push(page);
        }
        Ok(pages)
    })
}

fn names(pages: &[Page]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.entries).map(|entry| entry.dn.to_string()).collect()
}

#[test]
fn searches_go_as_far_as_they_are_told_page_by_page() {
    let world = World::new();
    for uid in ["a", "b", "c", "d", "e"] {
        world.person(uid, &[]);
    }
    let people = pages(&world, search(dn("ou=people"), Scope::Subtree, "(objectClass=person)")).unwrap();
    assert_eq!(people.iter().map(|page| page.entries.len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert!(people.iter().all(|page| page.entries.iter().all(|entry| entry.attrs.is_empty())));
    assert_eq!(names(&pages(&world, search(dn("ou=people"), Scope::Base, "(objectClass=*)")).unwrap()).len(), 1);
    assert_eq!(names(&pages(&world, search(dn(""), Scope::One, "(ou=*)")).unwrap()).len(), 3);
    assert!(pages(&world, search(dn(""), Scope::Subtree, "(uid=none)")).unwrap().is_empty());
    let missing = pages(&world, search(dn("ou=none"), Scope::Subtree, "(uid=*)")).unwrap_err();
    assert_eq!((missing.failure, missing.code), (Failure::NoSuchObject, Some(32)));
    let bad = pages(&world, search(dn(""), Scope::Subtree, "uid=a")).unwrap_err();
    assert_eq!(bad.failure, Failure::Invalid);
}

#[test]
fn a_size_limit_ends_a_paged_search_with_an_error() {
    let world = World::with(|config| config.size_limit = Some(3));
    for uid in ["a", "b", "c", "d"] {
        world.person(uid, &[]);
    }
    let mut stream = block_on(world.handle(Reader).search(search(dn(""), Scope::Subtree, "(uid=*)"))).unwrap();
    let mut seen = 0;
    let error = loop {
        match block_on(stream.next_page()) {
            Ok(Some(page)) => seen += page.entries.len(),
            Ok(None) => panic!("a truncated search must not look complete"),
            Err(error) => break error,
        }
    };
    assert_eq!((seen, error.failure, error.code), (3, Failure::Busy, Some(4)));
    assert_eq!(names(&pages(&world, search(dn(""), Scope::Subtree, "(uid<=c)")).unwrap()).len(), 3);
}

#[test]
fn attributes_are_returned_as_asked() {
    let world = World::new();
    world.person("a", &[("cn;lang-ja", &["山田"]), ("userPassword", &[HASH_A])]);
    let read = |attrs: &[&str]| {
        let attrs: Vec<AttrName> = attrs.iter().map(AttrName::new).collect();
        block_on(world.handle(Reader).read(&dn("uid=a,ou=people"), &attrs)).unwrap().unwrap()
    };
    let user = read(&[]);
    assert!(user.has("userPassword") && user.has("cn;lang-ja") && !user.has("entryUUID"));
    let operational = read(&["+"]);
    assert!(operational.has("entryUUID") && operational.has("entryDN") && !operational.has("cn"));
    let named = read(&["CN", "entryCSN"]);
    assert_eq!(named.attrs.keys().map(AttrName::as_str).collect::<Vec<_>>(), ["cn", "cn;lang-ja", "entryCSN"]);
    assert!(read(&["1.1"]).attrs.is_empty());
    assert!(block_on(world.handle(Reader).read(&dn("uid=none"), &[])).unwrap().is_none());
}

#[test]
fn an_entry_is_found_by_its_stable_id_wherever_it_is() {
    let world = World::new();
    world.person("a", &[]);
    let id = StableId::new(world.text("uid=a,ou=people", "entryUUID").unwrap());
    let find = |base: &str, id: &StableId| block_on(world.handle(Reader).find(&dn(base), id, &[])).unwrap();
    assert_eq!(find("", &id).unwrap().dn, dn("uid=a,ou=people"));
    assert!(find("ou=groups", &id).is_none());
    assert!(find("", &StableId::new("nonsense")).is_none());
    world.delete(Identity::Root, "uid=a,ou=people").unwrap();
    assert!(find("", &id).is_none());
}

#[test]
fn values_are_asked_for_one_by_one() {
    let world = World::new();
    world.person("a", &[("mail", &["a@x", "b@x"]), ("jpegPhoto", &["p"])]);
    let a = dn("uid=a,ou=people");
    let handle = world.handle(Reader);
    let compare = |attr: &str, value: &str| block_on(handle.compare(&a, &attr.into(), &value.into()));
    assert_eq!(compare("mail", "A@X").unwrap(), Some(true));
    assert_eq!(compare("mail", "c@x").unwrap(), Some(false));
    assert_eq!(compare("title", "c").unwrap(), None);
    assert_eq!(compare("jpegPhoto", "p").unwrap_err().code, Some(18));
    let present = block_on(handle.present(&a, &"mail".into(), &["B@X".into(), "c@x".into()])).unwrap();
    assert_eq!(present, [Value::from("B@X")]);
    let missing = block_on(handle.present(&dn("uid=none"), &"mail".into(), &["c@x".into()])).unwrap_err();
    assert_eq!(missing.failure, Failure::NoSuchObject);
}

#[test]
fn referral_objects_are_entries_only_for_those_who_ask() {
    let world = World::new();
    world
        .twin
        .load([entry("ou=away", &[("objectClass", &["referral"]), ("ou", &["away"]), ("ref", &["ldap://far.example/dc=y"])])]);
    let mut asked = search(dn(""), Scope::One, "(objectClass=*)");
    assert!(names(&pages(&world, asked.clone()).unwrap()).contains(&dn("ou=away").to_string()));
    asked.manage_dsa_it = false;
    let found = pages(&world, asked).unwrap();
    assert!(!names(&found).contains(&dn("ou=away").to_string()));
    assert_eq!(found.iter().flat_map(|page| &page.references).collect::<Vec<_>>(), ["ldap://far.example/dc=y"]);
}
