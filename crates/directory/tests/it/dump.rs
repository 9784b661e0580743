//! "As before".

use untether_directory::dump::{Difference, Ignored, compare};
use untether_model::schema::Schema;
use untether_model::{Dn, Entry, Value};

fn entry(dn: &str, attrs: &[(&str, &[&str])]) -> Entry {
    let attrs = attrs.iter().map(|(name, values)| ((*name).into(), values.iter().map(|v| Value::from(*v)).collect()));
    Entry { dn: Dn::parse(dn).unwrap(), attrs: attrs.collect() }
}

fn said(before: &[Entry], after: &[Entry], ignored: &Ignored) -> Vec<String> {
    compare(before, after, &Schema::standard(), ignored).iter().map(Difference::to_string).collect()
}

#[test]
fn spelling_and_order_are_no_difference() {
    let before = [
        entry("uid=a,dc=x", &[("cn", &["A  b", "c"]), ("member", &["uid=z, dc=x"]), ("userPassword", &["{SSHA}x"])]),
        entry("dc=x", &[("dc", &["x"])]),
    ];
    let after = [
        entry("DC=X", &[("DC", &["X"])]),
        entry("UID=A, DC=X", &[("CN", &["C", "a B"]), ("member", &["UID=Z,dc=x"]), ("userPassword", &["{SSHA}x"])]),
    ];
    assert_eq!(said(&before, &after, &Ignored::nothing()), [""; 0]);
}

#[test]
fn each_difference_is_named_and_no_credential_is_shown() {
    let before = [entry("uid=a,dc=x", &[("title", &["old"]), ("userPassword", &["{SSHA}x"])]), entry("uid=gone,dc=x", &[])];
    let after = [
        entry("uid=a,dc=x", &[("title", &["new\n"]), ("userPassword", &["{SSHA}X"]), ("mail", &["m"])]),
        entry("uid=new,dc=x", &[]),
        entry("uid=new,dc=x", &[]),
    ];
    assert_eq!(
        said(&before, &after, &Ignored::nothing()),
        [
            "'uid=new,dc=x' is in the dump more than once",
            "'uid=a,dc=x' mail: +'m'",
            "'uid=a,dc=x' title: -'old' +'new\\n'",
            "'uid=a,dc=x' userPassword: -(7 bytes) +(7 bytes)",
            "'uid=gone,dc=x' is missing",
            "'uid=new,dc=x' was not there before",
        ]
    );
}

#[test]
fn what_a_write_changes_is_ignored_only_where_one_was_due() {
    let dns = ["uid=touched,dc=x", "uid=rewritten,dc=x", "uid=bystander,dc=x"];
    let dump = |stamp: &str| -> Vec<Entry> {
        let attrs: &[(&str, &[&str])] = &[("entryCSN", &[stamp]), ("modifyTimestamp", &[stamp]), ("pwdLastSuccess", &[stamp])];
        let mut dump: Vec<Entry> = dns.iter().map(|dn| entry(dn, attrs)).collect();
        dump.push(entry("dc=x", &[("contextCSN", &[stamp])]));
        dump
    };
    let [touched, rewritten, _] = dns.map(|dn| Dn::parse(dn).unwrap());
    let ignored = Ignored::openldap(&Dn::parse("dc=x").unwrap(), [&touched], [&rewritten]);
    let left = compare(&dump("1"), &dump("2"), &Schema::standard(), &ignored);
    let left: Vec<(String, String)> = left
        .into_iter()
        .map(|difference| match difference {
            Difference::Attribute { dn, attr, .. } => (dn.to_string(), attr.to_string()),
            other => panic!("{other}"),
        })
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        left,
        [
            pair(dns[2], "entryCSN"),
            pair(dns[2], "modifyTimestamp"),
            pair(dns[2], "pwdLastSuccess"),
            pair(dns[0], "pwdLastSuccess"),
        ]
    );
    let all = Ignored::nothing().everywhere(["entryCSN", "modifyTimestamp", "pwdLastSuccess", "contextCSN"]);
    assert_eq!(said(&dump("1"), &dump("2"), &all), [""; 0]);
}
