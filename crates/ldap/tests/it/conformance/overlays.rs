//! memberof and refint: what a write does to other entries.

use untether_testkit::lab::Flavour;

use super::both::*;
use crate::world::*;

#[tokio::test]
async fn memberships_and_references() {
    for flavour in [Flavour::Shared, Flavour::Independent] {
        let mut both = Both::new(flavour, "c-overlays").await;
        for uid in ["a", "b", "c"] {
            both.person(uid, &[]).await;
        }
        let (a, b, c) = (both.named("uid=a"), both.named("uid=b"), both.named("uid=c"));
        let ghost = both.named("uid=ghost");
        let group = |members: &[&str]| -> Vec<(String, Vec<String>)> {
            let members = members.iter().map(|m| (*m).to_owned()).collect();
            vec![("objectClass".to_owned(), vec!["groupOfNames".to_owned()]), ("member".to_owned(), members)]
        };
        let make = async |both: &mut Both, relative: &str, members: &[&str]| {
            let attrs = group(members);
            let lists: Vec<(&str, Vec<&str>)> =
                attrs.iter().map(|(n, v)| (n.as_str(), v.iter().map(String::as_str).collect())).collect();
            let attrs: Vec<(&str, &[&str])> = lists.iter().map(|(n, v)| (*n, v.as_slice())).collect();
            both.add(Wr, relative, &attrs).await;
        };
        make(&mut both, "cn=g", &[&a, &b]).await;
        make(&mut both, "cn=h", &[&a]).await;
        make(&mut both, "cn=ghosts", &[&ghost]).await;
        both.modify(Wr, "cn=g", &[add("member", &[&c])]).await;
        both.modify(Wr, "cn=g", &[add("member", &[&c.to_uppercase()])]).await;
        both.modify(Wr, "cn=g", &[delete("member", &[&b])]).await;
        both.modify(Wr, "cn=g", &[delete("member", &[&b])]).await;
        both.modify(Wr, "cn=g", &[replace("member", &[&b, &ghost])]).await;
        both.modify(Wr, "cn=g", &[delete("member", &[&b, &ghost])]).await;
        both.modify(Wr, "cn=g", &[delete("member", &[])]).await;
        both.modify(Wr, "cn=g", &[add("member", &[&a, &c])]).await;
        both.modify(Wr, "uid=b", &[replace("manager", &[&a]), replace("secretary", &[&c]), replace("seeAlso", &[&a, &b, &c])])
            .await;
        both.modify(Wr, "uid=c", &[replace("manager", &[&a])]).await;
        // An entry that goes and comes again.
        both.delete(Wr, "uid=a").await;
        both.person("a", &[]).await;
        both.modify(Wr, "cn=h", &[add("member", &[&a])]).await;
        both.modify(Wr, "cn=h", &[delete("member", &[&a]), add("member", &[&a])]).await;
        both.modify(Wr, "cn=g", &[add("member", &[&a])]).await;
        both.delete(Wr, "uid=c").await;
        // A group that goes, one that is a member of another, a unique group.
        both.delete(Wr, "cn=g").await;
        let h = both.named("cn=h");
        make(&mut both, "cn=outer", &[&h, &b]).await;
        both.delete(Wr, "cn=h").await;
        both.delete(Wr, "cn=outer").await;
        let unique: &[(&str, &[&str])] = &[("objectClass", &["groupOfUniqueNames"]), ("uniqueMember", &[&b])];
        both.add(Wr, "cn=unique", unique).await;
        both.modify(Wr, "cn=unique", &[add("uniqueMember", &[&a])]).await;
        both.delete(Wr, "uid=b").await;
        // The group comes before its member.
        make(&mut both, "cn=early", &[&b]).await;
        both.person("b", &[]).await;
        both.modify(Wr, "cn=early", &[replace("member", &[&b])]).await;
        both.modify(Wr, "cn=early", &[replace("member", &[&b, &a])]).await;
        both.modify(Wr, "cn=early", &[replace("description", &["nothing of members"])]).await;
        both.modify_with(Wr, "cn=early", &[delete("member", &[&a])], &no_op()).await;
        both.modify(Wr, "cn=early", &[add("uniqueMember", &[&a])]).await;
        both.done(30);
    }
}
