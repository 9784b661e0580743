//! Adds, modifies, deletes: schema, naming, values, conditions, rights, no-op, read-entry, relaxed rules.

use untether_directory::{Condition, WriteOptions};
use untether_model::change::Change;
use untether_testkit::lab::Flavour;

use super::both::*;
use crate::world::*;

const PERSON: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("cn", &["A"]), ("sn", &["B"])];

fn with<'a>(more: &[(&'a str, &'a [&'a str])]) -> Vec<(&'a str, &'a [&'a str])> {
    let mut all: Vec<(&str, &[&str])> = PERSON.to_vec();
    for (attr, values) in more {
        all.retain(|(known, _)| known != attr);
        all.push((*attr, *values));
    }
    all
}

#[tokio::test]
async fn adds() {
    let mut both = Both::new(Flavour::Independent, "c-adds").await;
    for who in [Reader, Wr, Mgr, Root] {
        let relative = format!("uid=by-{}", format!("{who:?}").to_lowercase());
        both.add(who, &relative, PERSON).await;
    }
    both.add(Wr, "uid=BY-WR", PERSON).await;
    both.add(Wr, "uid=b,ou=nowhere", PERSON).await;
    both.add(Wr, "uid=under,uid=by-wr", PERSON).await;
    let wrong: &[&[(&str, &[&str])]] = &[
        &[("sn", &[])],
        &[("employeeNumber", &["1", "2"])],
        &[("mail", &["a@x", "A@x"])],
        &[("mail", &["\u{5c71}@x"])],
        &[("manager", &["nobody"])],
        &[("manager", &["cn=not there,dc=x"])],
        &[("title", &[""])],
        &[("title", &[" "])],
        &[("telephoneNumber", &["+81 3-1234"])],
        &[("telephoneNumber", &["\u{ff11}"])],
        &[("employeeNumber", &["1"]), ("employeeType", &["a", "b"])],
        &[("unheardOf", &["x"])],
        &[("uidNumber", &["7"])],
        &[("objectClass", &["inetOrgPerson", "unheardOf"])],
        &[("objectClass", &["top"])],
        &[("objectClass", &["person"])],
        &[("objectClass", &["person"]), ("mail", &["a@x"])],
        &[("objectClass", &["inetOrgPerson", "device"])],
        &[("objectClass", &["inetOrgPerson", "posixAccount"])],
        &[
            ("objectClass", &["inetOrgPerson", "posixAccount"]),
            ("uidNumber", &["x"]),
            ("gidNumber", &["1"]),
            ("homeDirectory", &["/h"]),
        ],
        &[
            ("objectClass", &["inetOrgPerson", "posixAccount"]),
            ("uidNumber", &["7"]),
            ("gidNumber", &["1"]),
            ("homeDirectory", &["/h"]),
        ],
        &[
            ("objectClass", &["inetOrgPerson", "posixAccount"]),
            ("uidNumber", &["007"]),
            ("gidNumber", &["-1"]),
            ("homeDirectory", &["/h"]),
        ],
        &[("objectClass", &["inetOrgPerson", "extensibleObject"]), ("uidNumber", &["7"])],
        &[("objectClass", &["posixAccount"]), ("uidNumber", &["7"]), ("gidNumber", &["1"]), ("homeDirectory", &["/h"])],
        &[("entryUUID", &["1f6cdb1c-0000-4000-8000-000000000001"])],
        &[("createTimestamp", &["20200101000000Z"])],
        &[("pwdAccountLockedTime", &[LOCK])],
        &[("pwdReset", &["TRUE"])],
        &[("pwdReset", &["yes"])],
        &[("pwdEndTime", &["yesterday"])],
        &[("jpegPhoto", &["one", "two"])],
        &[("cn;lang-ja", &["\u{5c71}\u{7530}"])],
        &[("description;lang-ja", &["x"]), ("description", &["y"])],
        &[("uid", &["another"])],
        &[("uid", &["w-uid", "another"])],
        &[("labelledURI", &["x"])],
        &[("labeledURI", &["x"])],
    ];
    for (i, more) in wrong.iter().enumerate() {
        let attrs: Vec<_> = with(more).into_iter().filter(|(_, values)| !values.is_empty()).collect();
        both.add(Wr, &format!("uid=w{i}"), &attrs).await;
    }
    both.add(Wr, "cn=A+sn=B", &[("objectClass", &["inetOrgPerson"]), ("cn", &["other"]), ("sn", &["other"])]).await;
    both.add(Wr, "sn=b+cn=a", PERSON).await;
    both.add(Wr, "cn=comma\\, quote\\\" \\#", PERSON).await;
    both.add(Wr, "cn=\\ blank\\ ", PERSON).await;
    both.add(Wr, "uidNumber=7", PERSON).await;
    both.add(Wr, "unheardOf=7", PERSON).await;
    both.add(Wr, "cn=g", &[("objectClass", &["groupOfNames"])]).await;
    both.add(Wr, "cn=g", &[("objectClass", &["groupOfNames"]), ("member", &["uid=x,dc=y"])]).await;
    both.add(Wr, "ou=unit", &[("objectClass", &["organizationalUnit"])]).await;
    both.add(Wr, "ou=unit", &[("objectClass", &["organizationalUnit"]), ("seeAlso", &["dc=example"])]).await;
    both.add(Wr, "uid=in,ou=unit", PERSON).await;
    both.delete(Wr, "ou=unit").await;
    both.delete(Reader, "uid=in,ou=unit").await;
    both.delete(Wr, "uid=in,ou=unit").await;
    both.delete(Wr, "ou=UNIT").await;
    both.delete(Wr, "ou=unit").await;
    both.done(60);
}

#[tokio::test]
async fn modifies() {
    let mut both = Both::new(Flavour::Independent, "c-modifies").await;
    both.person(
        "a",
        &[("mail", &["a@x", "b@x"]), ("jpegPhoto", &["p"]), ("employeeNumber", &["1"]), ("telephoneNumber", &["+1 2-3"])],
    )
    .await;
    let manager = both.named("uid=a");
    let cases = [
        vec![add("mail", &["A@X"])],
        vec![add("mail", &["c@x", "C@X"])],
        vec![add("mail", &["c@x"])],
        vec![delete("mail", &["nobody@x"])],
        vec![delete("mail", &["B@X"])],
        vec![delete("mail", &["a@x", "c@x"]), add("mail", &["a@x"])],
        vec![add("telephoneNumber", &["+123"])],
        vec![delete("telephoneNumber", &["+1-23"])],
        vec![delete("title", &[])],
        vec![replace("title", &[])],
        vec![replace("title", &["  Chief   Clerk "])],
        vec![add("title", &["chief clerk"])],
        vec![delete("title", &["CHIEF  CLERK"])],
        vec![add("title", &["t"]), delete("title", &["t"])],
        vec![delete("title", &["t"]), add("title", &["t"])],
        vec![add("title", &["t"]), add("title", &["T"])],
        vec![add("title", &["t"]), replace("title", &["u"])],
        vec![delete("jpegPhoto", &["p"])],
        vec![add("jpegPhoto", &["q"])],
        vec![replace("jpegPhoto", &["q", "r"])],
        vec![delete("jpegPhoto", &[])],
        vec![add("jpegPhoto", &["s"])],
        vec![add("employeeNumber", &["2"])],
        vec![replace("employeeNumber", &["2", "3"])],
        vec![delete("employeeNumber", &["1"]), add("employeeNumber", &["2"])],
        vec![delete("uid", &[])],
        vec![delete("uid", &["a"])],
        vec![replace("uid", &["b"])],
        vec![add("uid", &["b"])],
        vec![replace("uid", &["A"])],
        vec![delete("sn", &[])],
        vec![replace("sn", &[])],
        vec![delete("objectClass", &[])],
        vec![replace("objectClass", &["person"])],
        vec![replace("objectClass", &["device"])],
        vec![add("objectClass", &["device"])],
        vec![add("objectClass", &["posixAccount"])],
        vec![
            add("objectClass", &["posixAccount"]),
            add("uidNumber", &["1"]),
            add("gidNumber", &["1"]),
            add("homeDirectory", &["/home/a"]),
        ],
        vec![delete("objectClass", &["posixAccount"])],
        vec![add("objectClass", &["POSIXACCOUNT"])],
        vec![
            delete("objectClass", &["PosixAccount"]),
            delete("uidNumber", &[]),
            delete("gidNumber", &[]),
            delete("homeDirectory", &[]),
        ],
        vec![add("objectClass", &["unheardOf"])],
        vec![add("unheardOf", &["x"])],
        vec![delete("unheardOf", &[])],
        vec![add("uidNumber", &["1"])],
        vec![replace("modifyTimestamp", &["20200101000000Z"])],
        vec![replace("entryUUID", &["1f6cdb1c-0000-4000-8000-000000000001"])],
        vec![add("memberOf", &[manager.as_str()])],
        vec![replace("manager", &["nonsense"])],
        vec![replace("manager", &[manager.to_uppercase().as_str()])],
        vec![delete("manager", &[manager.as_str()])],
        vec![replace("sn", &["z"]), delete("mail", &["nobody@x"])],
        vec![add("cn;lang-ja", &["\u{5c71}\u{7530}", "\u{592a}\u{90ce}"])],
        vec![delete("cn;lang-ja", &["\u{592a}\u{90ce}"])],
        vec![add("description", &["\u{ff21}\u{ff22}"])],
        vec![add("description", &["ab"])],
        vec![delete("cn", &[])],
        vec![replace("cn", &["x", "y"])],
        vec![replace("mail", &[])],
    ];
    for mods in &cases {
        both.modify(Wr, "uid=a", mods).await;
    }
    for mods in &cases[..10] {
        both.modify(Reader, "uid=a", mods).await;
        both.modify(Wr, "uid=nobody", mods).await;
    }
    both.modify(Wr, "UID=A", &[replace("sn", &["by another spelling"])]).await;
    both.done(75);
}

#[tokio::test]
async fn conditions_and_controls() {
    let mut both = Both::new(Flavour::Shared, "c-conditions").await;
    both.person("a", &[("mail", &["a@x", "b@x"]), ("jpegPhoto", &["p"]), ("description", &["a)(b=*\\ \u{5c71}"])]).await;
    let change = |text: &str| Change::Modify { dn: both.at("uid=a"), mods: vec![replace("title", &[text])] };
    let (one, two) = (change("t"), change("u"));
    let gone = Change::Delete { dn: both.at("uid=a") };
    let of = |attr: &str, list: &[&str]| Condition { attrs: vec![(attr.into(), values(list))], ..Condition::default() };
    for (attr, list) in [
        ("mail", &["A@X"][..]),
        ("mail", &["a@x", "b@x"]),
        ("mail", &["a@x", "c@x"]),
        ("mail", &[]),
        ("title", &[]),
        ("title", &["T"]),
        ("description", &["a)(b=*\\ \u{5c71}"]),
        ("jpegPhoto", &[]),
        ("pwdAccountLockedTime", &[]),
        ("unheardOf", &[]),
        ("unheardOf", &["x"]),
    ] {
        both.write_if(Wr, &one, |_| of(attr, list)).await;
    }
    both.write_if(Wr, &two, |known| Condition { stable_id: Some(known.id.clone()), ..Condition::default() }).await;
    both.write_if(Wr, &one, |known| Condition { change_marker: Some(known.marker.clone()), ..Condition::default() }).await;
    let other = || Some("7d0a1a52-0000-1041-8000-000000000000".into());
    both.write_if(Wr, &two, |_| Condition { stable_id: other(), ..Condition::default() }).await;
    both.write_if(Wr, &gone, |_| Condition { stable_id: other(), ..Condition::default() }).await;
    both.write_if(Reader, &gone, |_| Condition { stable_id: other(), ..Condition::default() }).await;

    let reads = WriteOptions { pre_read: names(&["title", "+"]), post_read: names(&["*"]), ..WriteOptions::default() };
    both.write(Wr, &two, &reads).await;
    both.add_with(Wr, "uid=r", PERSON, &reads).await;
    for (who, relative, mods) in [
        (Wr, "uid=a", vec![replace("title", &["n"])]),
        (Wr, "uid=a", vec![delete("sn", &[])]),
        (Wr, "uid=a", vec![delete("mail", &["nobody@x"])]),
        (Wr, "uid=a", vec![add("unheardOf", &["n"])]),
        (Reader, "uid=a", vec![replace("title", &["n"])]),
        (Wr, "uid=nobody", vec![replace("title", &["n"])]),
    ] {
        both.modify_with(who, relative, &mods, &no_op()).await;
    }
    for who in [Reader, Wr, Mgr] {
        both.add_with(who, "uid=n", PERSON, &no_op()).await;
        both.add_with(who, "uid=a", PERSON, &no_op()).await;
        both.add_with(who, "uid=n", &[("objectClass", &["inetOrgPerson"])], &no_op()).await;
        both.write(who, &gone, &no_op()).await;
    }
    let reads = WriteOptions { pre_read: names(&["*", "+"]), ..WriteOptions::default() };
    both.write(Wr, &gone, &reads).await;
    both.write_if(Wr, &gone, |known| Condition { stable_id: Some(known.id.clone()), ..Condition::default() }).await;
    both.done(35);
}

/// Conditions on what locks, opens and hides an account, and on attributes that cannot be compared.
#[tokio::test]
async fn conditions_on_locks_and_hashes() {
    let mut both = Both::new(Flavour::Shared, "c-lock-conditions").await;
    both.person("a", &[("userPassword", &[HASH_A]), ("facsimileTelephoneNumber", &["+1 2"])]).await;
    let of = |attr: &str, list: &[&str]| Condition { attrs: vec![(attr.into(), values(list))], ..Condition::default() };
    let name = both.at("uid=a");
    let change = |mods: &[untether_model::change::Modification]| Change::Modify { dn: name.clone(), mods: mods.to_vec() };
    let (locked, unlocked) = (change(&lock()), change(&[delete("pwdAccountLockedTime", &[])]));
    for (attempt, attr, list) in [
        (&locked, "userPassword", &[HASH_B][..]),
        (&locked, "userPassword", &[HASH_A]),
        (&locked, "pwdAccountLockedTime", &[]),
        (&unlocked, "pwdAccountLockedTime", &["20200101000000Z"]),
        (&unlocked, "pwdAccountLockedTime", &[LOCK]),
        (&unlocked, "pwdAccountLockedTime", &[LOCK]),
        (&change(&[replace("userPassword", &[HASH_B])]), "userPassword", &[HASH_A]),
        (&change(&[replace("userPassword", &[HASH_A])]), "userPassword", &[A]),
        (&change(&[replace("title", &["t"])]), "facsimileTelephoneNumber", &[]),
    ] {
        for who in [Reader, Wr] {
            both.write_if(who, attempt, |_| of(attr, list)).await;
        }
    }
    both.usability("uid=a").await;
    both.bind("uid=a", B).await;
    for mods in [
        vec![delete("facsimileTelephoneNumber", &["+1 2"])],
        vec![add("facsimileTelephoneNumber", &["+1 2"])],
        vec![add("facsimileTelephoneNumber", &["+1 3"])],
        vec![replace("facsimileTelephoneNumber", &["+1 4", "+1 5"])],
        vec![delete("facsimileTelephoneNumber", &[])],
    ] {
        both.modify(Wr, "uid=a", &mods).await;
    }
    both.value("uid=a", "facsimileTelephoneNumber", "+1 2").await;
    both.value("uid=a", "userPassword", HASH_B).await;
    both.done(25);
}

/// Names whose RDN has several values, or the same one twice.
#[tokio::test]
async fn names_of_several_values() {
    let mut both = Both::new(Flavour::Independent, "c-rdns").await;
    both.add(Wr, "cn=A+sn=B", PERSON).await;
    both.add(Wr, "sn=b+cn=a", PERSON).await;
    both.add(Wr, "cn=A+cn=A", PERSON).await;
    both.add(Wr, "cn=A+cn=C", PERSON).await;
    both.add(Wr, "cn=", PERSON).await;
    for mods in [
        vec![delete("sn", &["B"])],
        vec![replace("sn", &["C"])],
        vec![add("sn", &["C"])],
        vec![replace("sn", &["B"])],
        vec![replace("cn", &["A", "D"])],
        vec![delete("cn", &["a"])],
    ] {
        both.modify(Wr, "sn=B+cn=a", &mods).await;
    }
    both.delete(Wr, "sn=b + cn=A").await;
    both.done(12);
}

/// What relaxed rules let whom set.
#[tokio::test]
async fn relaxed_rules() {
    let mut both = Both::new(Flavour::Independent, "c-relax").await;
    let relaxed = relaxed();
    let settable: &[(&str, &str)] = &[
        ("entryUUID", "1f6cdb1c-0000-4000-8000-00000000000"),
        ("createTimestamp", "20200101000000Z"),
        ("creatorsName", "cn=somebody,dc=x"),
        ("modifyTimestamp", "20200101000000Z"),
        ("modifiersName", "cn=somebody,dc=x"),
        ("pwdChangedTime", "20200101000000Z"),
        ("pwdHistory", "20200101000000Z#1.3.6.1.4.1.1466.115.121.1.40#1#x"),
        ("pwdFailureTime", "20200101000000.000001Z"),
        ("pwdGraceUseTime", "20200101000000Z"),
        ("pwdLastSuccess", "20200101000000Z"),
        ("memberOf", "cn=g,dc=x"),
        ("entryCSN", "20200101000000.000000Z#000000#000#000000"),
        ("structuralObjectClass", "inetOrgPerson"),
        ("pwdAccountLockedTime", LOCK),
        ("pwdReset", "TRUE"),
        ("pwdEndTime", PAST),
    ];
    for (i, (attr, value)) in settable.iter().enumerate() {
        let value = if *attr == "entryUUID" { format!("{value}1") } else { (*value).to_owned() };
        let list = [value.as_str()];
        let attrs = with(&[("userPassword", &[HASH_A]), (attr, &list)]);
        for who in [Wr, Mgr, Root] {
            let relative = format!("uid=r{i}{}", format!("{who:?}").to_lowercase());
            both.add(who, &relative, &attrs).await;
            both.add_with(who, &relative, &attrs, &relaxed).await;
            both.delete(Root, &relative).await;
        }
    }
    both.person("m", &[("userPassword", &[HASH_A])]).await;
    for (attr, value) in settable {
        let value = if *attr == "entryUUID" { format!("{value}2") } else { (*value).to_owned() };
        for who in [Wr, Mgr, Root] {
            both.modify_with(who, "uid=m", &[replace(attr, &[&value])], &relaxed).await;
        }
        both.modify(Mgr, "uid=m", &[replace(attr, &[&value])]).await;
    }
    both.modify_with(Mgr, "uid=m", &[delete("pwdHistory", &[])], &relaxed).await;
    both.modify_with(Wr, "uid=m", &[replace("title", &["t"])], &relaxed).await;
    both.modify_with(Wr, "uid=m", &lock(), &relaxed).await;
    both.done(150);
}
