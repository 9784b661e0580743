//! Whatever is written in whatever order, some things always hold.

use std::collections::BTreeSet;

use proptest::prelude::*;
use untether_directory::WriteOptions;
use untether_directory::twin::Identity;
use untether_model::change::Change;

use super::*;

fn person() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(|uid| format!("uid={uid},ou=people"))
}

fn group() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["g", "h"]).prop_map(|cn| format!("cn={cn},ou=groups"))
}

fn on_person() -> impl Strategy<Value = Vec<Modification>> {
    let one = prop_oneof![
        prop::sample::select(vec!["x", "y"]).prop_map(|v| replace("title", &[v])),
        prop::sample::select(vec!["x", "X", "y"]).prop_map(|v| add("mail", &[v])),
        prop::sample::select(vec!["x", "y"]).prop_map(|v| delete("mail", &[v])),
        prop::sample::select(vec![HASH_A, HASH_B, "clear"]).prop_map(|v| replace("userPassword", &[v])),
        Just(delete("userPassword", &[])),
        Just(replace("pwdAccountLockedTime", &[LOCKED])),
        Just(delete("pwdAccountLockedTime", &[])),
        Just(delete("sn", &[])),
        person().prop_map(|relative| replace("manager", &[dn(&relative).as_str()])),
    ];
    prop::collection::vec(one, 1..4)
}

fn change() -> impl Strategy<Value = Change> {
    let new_person = person().prop_map(|relative| Change::Add {
        dn: dn(&relative),
        attrs: attrs(&[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["y"])]),
    });
    let new_group = (group(), person()).prop_map(|(relative, member)| Change::Add {
        dn: dn(&relative),
        attrs: attrs(&[("objectClass", &["groupOfNames"]), ("member", &[dn(&member).as_str()])]),
    });
    let kinds = prop::sample::select(vec![ModKind::Add, ModKind::Delete, ModKind::Replace]);
    let members = (group(), kinds, prop::collection::btree_set(person(), 1..3)).prop_map(|(relative, kind, people)| {
        let names: Vec<String> = people.iter().map(|p| dn(p).to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Change::Modify { dn: dn(&relative), mods: vec![modification(kind, "member", &names)] }
    });
    prop_oneof![
        new_person,
        new_group,
        members,
        (person(), on_person()).prop_map(|(relative, mods)| Change::Modify { dn: dn(&relative), mods }),
        prop_oneof![person(), group()].prop_map(|relative| Change::Delete { dn: dn(&relative) }),
    ]
}

fn identity() -> impl Strategy<Value = Identity> {
    prop::sample::select(vec![Identity::Reader, Identity::Writer, Identity::Manager, Identity::Root])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_refused_write_and_a_no_op_change_nothing_and_agree(writes in prop::collection::vec((identity(), change()), 1..30)) {
        let world = World::new();
        for (who, change) in writes {
            world.pass(1);
            let before = world.twin.dump();
            let trial = world.apply(who, &change, &WriteOptions { no_op: true, ..WriteOptions::default() });
            prop_assert_eq!(&world.twin.dump(), &before);
            let written = world.apply(who, &change, &WriteOptions::default());
            prop_assert_eq!(trial.map(|_| ()).map_err(|e| e.code), written.as_ref().map(|_| ()).map_err(|e| e.code));
            let after = world.twin.dump();
            prop_assert_eq!(written.is_err(), after == before);

            // memberOf never names a group that does not hold the entry, and no reference names an entry that is gone, but for a
            // group's only member.
            let names: BTreeSet<&Dn> = after.iter().map(|entry| &entry.dn).collect();
            for entry in &after {
                for group in entry.texts("memberOf") {
                    let group = after.iter().find(|e| e.dn == Dn::parse(group).unwrap()).unwrap();
                    prop_assert!(group.texts("member").any(|member| Dn::parse(member).unwrap() == entry.dn));
                }
            }
            if let Change::Delete { dn } = &change && written.is_ok() {
                prop_assert!(!names.contains(dn));
                for entry in &after {
                    let refers = |attr: &str| entry.texts(attr).any(|name| Dn::parse(name).unwrap() == *dn);
                    prop_assert!(!refers("manager"));
                    prop_assert!(!refers("member") || entry.values("member").len() == 1);
                }
            }
        }
    }
}
