//! The account-usability control: who is told what about which account. Each line is the answer to reader, WR, MGR:
//! `A` available, `U` unavailable, `?` no answer.

use untether_directory::{Read as _, Usability};
use untether_testkit::lab::{Flavour, Role, Server};

use crate::world::*;

/// There is an answer for accounts that have a password and whose policy exists. No password or a policy that is gone: no answer
/// to anybody, which is unknown and not "available". A pass-through value counts as a password, a reset as available.
#[tokio::test]
async fn usability_is_told_to_those_who_may_read_the_password() {
    let case = Case::new(Flavour::Shared, "usability").await;
    let mut facts = Facts::default();
    let (nolock, dangling) = (case.policy("nolock"), case.policy("gone"));
    let password: (&str, &[&str]) = ("userPassword", &[HASH_A]);
    let locked: (&str, &[&str]) = ("pwdAccountLockedTime", &[LOCK]);
    let ended: (&str, &[&str]) = ("pwdEndTime", &[PAST]);
    let by_nolock: (&str, &[&str]) = ("pwdPolicySubentry", &[&nolock]);
    let by_none: (&str, &[&str]) = ("pwdPolicySubentry", &[&dangling]);
    type Attrs<'a> = Vec<(&'a str, &'a [&'a str])>;
    let accounts: [(&str, Attrs<'_>, &str); 12] = [
        ("open", vec![password], "AAA"),
        ("locked", vec![password, locked], "UUU"),
        ("ended", vec![password, ended], "UUU"),
        ("locked-ended", vec![password, locked, ended], "UUU"),
        ("reset", vec![password, ("pwdReset", &["TRUE"])], "AAA"),
        ("no-password", vec![], "???"),
        ("no-password-locked", vec![locked], "???"),
        ("sasl", vec![("userPassword", &[SASL])], "AAA"),
        ("nolock-locked", vec![password, locked, by_nolock], "AAA"),
        ("nolock-ended", vec![password, ended, by_nolock], "UUU"),
        ("dangling-locked", vec![password, locked, by_none], "???"),
        ("dangling-ended", vec![password, ended, by_none], "???"),
    ];
    for (uid, attrs, expected) in accounts {
        let dn = case.account(uid, &attrs).await;
        facts.check(uid, case.usability(&dn).await, expected);
    }
    facts.done();
}

/// An identity that may not read `userPassword` is told nothing.
#[tokio::test]
async fn usability_needs_the_right_to_the_password() {
    let server = Server::builder(Flavour::Shared).withhold(Role::Reader, "userPassword").start().unwrap();
    let case = Case::on(&server, "withheld").await;
    let dn = case.account("a", &[("userPassword", &[HASH_A]), ("pwdAccountLockedTime", &[LOCK])]).await;
    assert_eq!(case.usability(&dn).await, "?UU");
}

/// What is not known is unknown: an entry that does not exist is an error, and an ordinary account is told nothing of others.
#[tokio::test]
async fn usability_is_never_guessed() {
    let case = Case::new(Flavour::Shared, "usability-unknown").await;
    let gone = case.name("gone");
    assert_eq!(said(&case.wr.usability(&gone).await), "32 NoSuchObject");
    let dn = case.account("a", &[("userPassword", &[HASH_A])]).await;
    let control = client(case.server, Role::Control);
    let told = control.usability(&dn).await;
    assert!(!matches!(told, Ok(Usability::Available | Usability::Unavailable)), "{told:?}");
}
