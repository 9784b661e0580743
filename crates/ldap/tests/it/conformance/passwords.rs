//! Password policy: locks, validity times, resets, history, failures, and what a bind meets and leaves behind.

use untether_testkit::lab::{Flavour, Server};

use super::both::*;
use crate::world::*;

/// Every state that an account may be in, met by every write of a password or lock, by everybody who may write.
#[tokio::test]
async fn writes_of_passwords_and_locks() {
    for flavour in [Flavour::Shared, Flavour::Independent] {
        let mut both = Both::new(flavour, "c-passwords").await;
        let states: [(&str, Attrs<'_>); 6] = [
            ("none", &[]),
            ("open", &[("userPassword", &[HASH_A])]),
            ("locked", &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCK])]),
            ("disabled", &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST])]),
            ("reset", &[("userPassword", &[HASH_A]), ("pwdReset", &["TRUE"]), ("pwdAccountLockedTime", &[LOCK])]),
            ("through", &[("userPassword", &[SASL]), ("pwdAccountLockedTime", &[LOCK])]),
        ];
        let writes = [
            vec![replace("userPassword", &[HASH_B])],
            vec![replace("userPassword", &[HASH_A, HASH_B])],
            vec![delete("userPassword", &[])],
            vec![delete("userPassword", &[HASH_A])],
            vec![replace("userPassword", &[])],
            vec![delete("userPassword", &[HASH_A]), add("userPassword", &[HASH_B])],
            vec![delete("userPassword", &[A]), add("userPassword", &[HASH_B])],
            vec![replace("userPassword", &[HASH_B]), replace("pwdAccountLockedTime", &[LOCK])],
            vec![replace("pwdAccountLockedTime", &[LOCK]), replace("userPassword", &[HASH_B])],
            vec![delete("pwdAccountLockedTime", &[]), replace("userPassword", &[HASH_B])],
            vec![replace("userPassword", &[HASH_B]), replace("pwdReset", &["TRUE"]), replace("pwdAccountLockedTime", &[])],
            vec![replace("userPassword", &[HASH_B]), delete("pwdReset", &[])],
            vec![replace("pwdAccountLockedTime", &[LOCK]), replace("pwdEndTime", &[PAST])],
            vec![delete("pwdAccountLockedTime", &[])],
            vec![delete("userPassword", &[]), replace("pwdAccountLockedTime", &[LOCK]), replace("pwdEndTime", &[PAST])],
            vec![replace("userPassword", &["clear text"])],
        ];
        let mut number = 0;
        for (state, attrs) in &states {
            for mods in &writes {
                for who in [Wr, Mgr, Root] {
                    number += 1;
                    let uid = format!("{state}{number}");
                    both.person(&uid, attrs).await;
                    let relative = format!("uid={uid}");
                    both.modify(who, &relative, mods).await;
                    both.delete(Root, &relative).await;
                }
            }
        }
        both.done(700);
    }
}

/// What lets somebody in, and what a bind leaves on the entry.
#[tokio::test]
async fn binds() {
    for flavour in [Flavour::Shared, Flavour::Independent] {
        let mut both = Both::new(flavour, "c-binds").await;
        let mut policies = vec![String::new()];
        let made: [(&str, Attrs<'_>); 5] = [
            ("nolock", &[("pwdLockout", &["FALSE"])]),
            ("silent", &[]),
            ("three", &[("pwdLockout", &["TRUE"]), ("pwdMaxFailure", &["3"]), ("pwdLockoutDuration", &["0"])]),
            ("short", &[("pwdLockout", &["TRUE"]), ("pwdLockoutDuration", &["1000"])]),
            ("must", &[("pwdLockout", &["TRUE"]), ("pwdMustChange", &["TRUE"])]),
        ];
        for (name, more) in made {
            let attrs: &[(&str, &[&str])] = &[("objectClass", &["device", "pwdPolicy"]), ("pwdAttribute", &["userPassword"])];
            both.add(Root, &format!("cn={name}"), &[attrs, more].concat()).await;
            policies.push(both.named(&format!("cn={name}")));
        }
        policies.push(both.named("cn=dangling"));
        policies.push(both.named(""));
        let states: [&[(&str, &[&str])]; 10] = [
            &[],
            &[("pwdAccountLockedTime", &[LOCK])],
            &[("pwdAccountLockedTime", &[PAST])],
            &[("pwdAccountLockedTime", &[FUTURE])],
            &[("pwdEndTime", &[PAST])],
            &[("pwdEndTime", &[FUTURE])],
            &[("pwdStartTime", &[FUTURE])],
            &[("pwdStartTime", &[PAST])],
            &[("pwdReset", &["TRUE"])],
            &[("pwdAccountLockedTime", &[LOCK]), ("pwdEndTime", &[PAST]), ("pwdReset", &["TRUE"])],
        ];
        for (p, policy) in policies.iter().enumerate() {
            for (s, state) in states.iter().enumerate() {
                let named = [policy.as_str()];
                let mut attrs: Vec<(&str, &[&str])> = vec![("userPassword", &[HASH_A])];
                if !policy.is_empty() {
                    attrs.push(("pwdPolicySubentry", &named));
                }
                attrs.extend_from_slice(state);
                let uid = format!("p{p}s{s}");
                both.person(&uid, &attrs).await;
                let relative = format!("uid={uid}");
                both.usability(&relative).await;
                both.bind(&relative, "wrong").await;
                both.bind(&relative, A).await;
            }
        }
        for password in [None, Some(SASL), Some("clear")] {
            let uid = format!("w{}", password.map_or(0, str::len));
            let list: Vec<&str> = password.into_iter().collect();
            let attrs: Vec<(&str, &[&str])> = if list.is_empty() { vec![] } else { vec![("userPassword", &list)] };
            both.person(&uid, &attrs).await;
            both.usability(&format!("uid={uid}")).await;
            both.bind(&format!("uid={uid}"), "clear").await;
        }
        both.bind("uid=nobody", A).await;
        both.bind("cn=three", A).await;
        // Failures are counted, and the third locks.
        let three = both.named("cn=three");
        both.person("counted", &[("userPassword", &[HASH_A]), ("pwdPolicySubentry", &[&three])]).await;
        for secret in ["wrong", "wrong", A, "wrong", "wrong", "wrong", A, "wrong"] {
            both.bind("uid=counted", secret).await;
        }
        both.usability("uid=counted").await;
        // A lock that has lasted its time.
        let short = both.named("cn=short");
        let ended: &[(&str, &[&str])] =
            &[("userPassword", &[HASH_A]), ("pwdPolicySubentry", &[&short]), ("pwdAccountLockedTime", &[PAST])];
        for (uid, secret) in [("ended-right", A), ("ended-wrong", "wrong")] {
            both.person(uid, ended).await;
            both.bind(&format!("uid={uid}"), secret).await;
            both.bind(&format!("uid={uid}"), secret).await;
        }
        both.modify(Wr, "uid=counted", &[delete("pwdAccountLockedTime", &[])]).await;
        both.bind("uid=counted", A).await;
        both.done(200);
    }
}

/// History, quality, and the order of disabling, scrubbing and opening as the stages write them.
#[tokio::test]
async fn what_the_stages_write() {
    let server = Server::builder(Flavour::Shared).start().unwrap();
    let mut both = Both::on(&server, Flavour::Shared, "c-stages").await;
    both.person("s", &[("userPassword", &[HASH_A]), ("mail", &["s@x"])]).await;
    both.bind("uid=s", A).await;
    both.modify(Wr, "uid=s", &lock()).await;
    both.bind("uid=s", A).await;
    both.usability("uid=s").await;
    both.modify(Wr, "uid=s", &[delete("userPassword", &[HASH_A]), delete("mail", &[])]).await;
    both.modify(Wr, "uid=s", &[delete("userPassword", &[])]).await;
    both.modify_with(Mgr, "uid=s", &[delete("pwdHistory", &[])], &relaxed()).await;
    both.modify_with(Mgr, "uid=s", &[replace("pwdHistory", &[])], &relaxed()).await;
    both.modify_with(Mgr, "uid=s", &[add("userPassword", &[HASH_A])], &relaxed()).await;
    both.modify_with(Mgr, "uid=s", &lock(), &relaxed()).await;
    let restored = [
        replace("userPassword", &[HASH_B]),
        replace("pwdHistory", &["20200101000000Z#1.3.6.1.4.1.1466.115.121.1.40#1#x"]),
        replace("pwdChangedTime", &[PAST]),
    ];
    both.modify_with(Mgr, "uid=s", &restored, &relaxed()).await;
    both.modify(Wr, "uid=s", &[replace("userPassword", &[HASH_A])]).await;
    both.modify(Wr, "uid=s", &[replace("userPassword", &["alpha-secret"])]).await;
    both.modify(Wr, "uid=s", &[replace("userPassword", &["beta-secret"])]).await;
    both.transaction(Wr, &[("uid=s", vec![replace("userPassword", &["gamma-secret"])]), ("uid=s", lock().to_vec())]).await;
    both.usability("uid=s").await;

    let strict: &[(&str, &[&str])] = &[
        ("objectClass", &["device", "pwdPolicy"]),
        ("pwdAttribute", &["userPassword"]),
        ("pwdCheckQuality", &["2"]),
        ("pwdLockout", &["TRUE"]),
    ];
    both.add(Root, "cn=strict", strict).await;
    let strict = both.named("cn=strict");
    for who in [Wr, Mgr, Root] {
        let relative = format!("uid=q{}", format!("{who:?}").to_lowercase());
        let person: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("cn", &["q"]), ("sn", &["q"])];
        let hashed: &[(&str, &[&str])] = &[("userPassword", &[HASH_A]), ("pwdPolicySubentry", &[&strict])];
        both.add(who, &relative, &[person, hashed].concat()).await;
        both.add(Root, &relative, &[person, hashed].concat()).await;
        both.modify(who, &relative, &[replace("userPassword", &[HASH_B])]).await;
        both.modify(who, &relative, &[replace("userPassword", &["in clear"])]).await;
    }
    both.done(25);
}
