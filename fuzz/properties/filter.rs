//! Any text as a search filter: what is accepted is written back equal, in ASCII, and can be judged on any entry.

use untether_directory::filter::{Filter, Truth, escape};
use untether_model::schema::Schema;
use untether_model::{Dn, Entry, Value};

/// Checks bytes as a value within a filter, and text as a filter.
pub fn check(data: &[u8]) {
    let value = Value::new(data);
    let text = format!("(cn={})", escape(&value));
    assert_eq!(Filter::parse(&text).unwrap_or_else(|error| panic!("{error}")), Filter::Equal("cn".into(), value));

    let Some(filter) = std::str::from_utf8(data).ok().and_then(|text| Filter::parse(text).ok()) else { return };
    let written = filter.to_string();
    assert!(written.is_ascii(), "{written}");
    let back = Filter::parse(&written).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back, filter, "written as {written}");

    let (entry, schema) = (entry(), Schema::standard());
    let says = filter.evaluate(&entry, &schema);
    let denied = Filter::Not(Box::new(filter.clone())).evaluate(&entry, &schema);
    let opposite = match says {
        Truth::True => Truth::False,
        Truth::False => Truth::True,
        Truth::Undefined => Truth::Undefined,
    };
    assert_eq!(denied, opposite, "{written}");
    assert_eq!(Filter::And(vec![filter.clone(), filter.clone()]).evaluate(&entry, &schema), says, "{written}");
    assert_eq!(Filter::Or(vec![filter.clone(), filter.clone()]).evaluate(&entry, &schema), says, "{written}");
    assert_eq!(filter.matches(&entry, &schema), says == Truth::True);
}

fn entry() -> Entry {
    let mut entry = Entry::new(Dn::root().child("dc", "x").child("uid", "taro"));
    for (name, value) in [
        ("objectClass", "inetOrgPerson"),
        ("cn", "Taro  Yamada (Sales)"),
        ("cn;lang-ja", "山田 太郎"),
        ("uid", "taro"),
        ("uidNumber", "1007"),
        ("member", "uid=A, dc=x"),
        ("jpegPhoto", "photo"),
        ("telephoneNumber", "+81 3-1234"),
        ("pwdChangedTime", "20261120093000Z"),
        ("siteOwn", "Value"),
    ] {
        entry.attrs.insert(name.into(), vec![value.into()]);
    }
    entry
}
