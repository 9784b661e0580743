//! Sequences that nobody thought of, from seeds: a difference names its seed in the entry's name. `CONFORMANCE_SEEDS=N` tries more.

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use untether_directory::WriteOptions;
use untether_model::change::{Change, Modification};
use untether_testkit::lab::Flavour;

use super::both::*;
use crate::world::*;

const PEOPLE: [&str; 3] = ["uid=a", "UID=B", "uid=c"];
const GROUPS: [&str; 2] = ["cn=g", "cn=h"];

fn any<'a>(rng: &mut ChaCha8Rng, of: &[&'a str]) -> &'a str {
    of.choose(rng).unwrap()
}

/// Names of people in any case, and one that never exists.
fn name(both: &Both, rng: &mut ChaCha8Rng) -> String {
    both.named(any(rng, &["uid=a", "uid=A", "uid=b", "uid=c", "uid=ghost"]))
}

fn kind(rng: &mut ChaCha8Rng, attr: &str, list: &[&str]) -> Modification {
    match rng.random_range(0..4) {
        0 => add(attr, list),
        1 => delete(attr, list),
        2 => delete(attr, &[]),
        _ => replace(attr, list),
    }
}

fn of_person(both: &Both, rng: &mut ChaCha8Rng) -> Modification {
    match rng.random_range(0..14) {
        0 => {
            let value = any(rng, &["x", "X ", "y"]);
            kind(rng, "title", &[value])
        }
        1 => {
            let list = [any(rng, &["a@x", "A@X", "b@x"]), any(rng, &["c@x", "b@x"])];
            let count = rng.random_range(1..3);
            kind(rng, "mail", &list[..count])
        }
        2 => {
            let value = name(both, rng);
            kind(rng, "manager", &[&value])
        }
        3 => kind(rng, "jpegPhoto", &["p"]),
        4 => kind(rng, "sn", &["s"]),
        5 => kind(rng, "pwdAccountLockedTime", &[LOCK]),
        6 => kind(rng, "pwdEndTime", &[PAST]),
        7 => kind(rng, "pwdReset", &["TRUE"]),
        8 | 9 => {
            let value = any(rng, &[HASH_A, HASH_B, SASL]);
            kind(rng, "userPassword", &[value])
        }
        10 => kind(rng, "objectClass", &["posixAccount"]),
        11 => kind(rng, "uidNumber", &["1"]),
        12 => kind(rng, "employeeNumber", &["1"]),
        _ => kind(rng, "uid", &["other"]),
    }
}

#[tokio::test]
async fn random_sequences() {
    let mut steps = 0;
    let mut wrong = Vec::new();
    let seeds = std::env::var("CONFORMANCE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let flavour = if seed % 2 == 0 { Flavour::Shared } else { Flavour::Independent };
        let mut both = Both::new(flavour, &format!("c-random-{seed}")).await;
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        // Without history: two equal values in one second are refused, and which second it is nobody decides.
        let policy: &[(&str, &[&str])] = &[
            ("objectClass", &["device", "pwdPolicy"]),
            ("pwdAttribute", &["userPassword"]),
            ("pwdLockout", &["TRUE"]),
            ("pwdMustChange", &["TRUE"]),
        ];
        both.add(Root, "cn=policy", policy).await;
        let policy = both.named("cn=policy");
        for _ in 0..60 {
            steps += 1;
            let who = *[Reader, Wr, Wr, Wr, Mgr, Mgr, Root].choose(rng).unwrap();
            let options = WriteOptions { no_op: rng.random_bool(0.1), ..WriteOptions::default() };
            match rng.random_range(0..10) {
                0 | 1 => {
                    let person: &[(&str, &[&str])] =
                        &[("objectClass", &["inetOrgPerson"]), ("cn", &["x"]), ("sn", &["y"]), ("pwdPolicySubentry", &[&policy])];
                    both.add_with(who, any(rng, &PEOPLE), person, &options).await;
                }
                2 => {
                    let member = name(&both, rng);
                    let group: &[(&str, &[&str])] = &[("objectClass", &["groupOfNames"]), ("member", &[&member])];
                    both.add_with(who, any(rng, &GROUPS), group, &options).await;
                }
                3 | 4 => {
                    let (one, two) = (name(&both, rng), name(&both, rng));
                    let list = [one.as_str(), two.as_str()];
                    let count = rng.random_range(1..3);
                    let change = kind(rng, "member", &list[..count]);
                    both.modify_with(who, any(rng, &GROUPS), &[change], &options).await;
                }
                5 => {
                    let relative = any(rng, &[&PEOPLE[..], &GROUPS[..]].concat());
                    both.write(who, &Change::Delete { dn: both.at(relative) }, &options).await;
                }
                6 => {
                    both.bind(any(rng, &PEOPLE), any(rng, &[A, B, "wrong"])).await;
                }
                7 => both.usability(any(rng, &PEOPLE)).await,
                _ => {
                    let mods: Vec<Modification> = (0..rng.random_range(1..4)).map(|_| of_person(&both, rng)).collect();
                    both.modify_with(who, any(rng, &PEOPLE), &mods, &options).await;
                }
            }
        }
        wrong.extend(both.differences(50));
    }
    assert_eq!(steps, seeds * 60);
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}
