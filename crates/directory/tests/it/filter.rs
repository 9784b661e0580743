//! Filters and what they mean on an entry.

use proptest::prelude::*;
use untether_directory::filter::{Filter, Substrings, Truth, escape};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Value};

fn entry() -> Entry {
    let mut entry = Entry::new(Dn::parse("uid=taro,ou=people,dc=x").unwrap());
    for (name, values) in [
        ("objectClass", vec!["inetOrgPerson"]),
        ("cn", vec!["Taro  Yamada (Sales)"]),
        ("cn;lang-ja", vec!["山田 太郎"]),
        ("uid", vec!["taro"]),
        ("uidNumber", vec!["1007"]),
        ("member", vec!["uid=A, dc=x"]),
        ("jpegPhoto", vec!["photo"]),
        ("memberUid", vec!["Taro"]),
        ("pwdChangedTime", vec!["20261120093000Z"]),
        ("siteOwn", vec!["Value"]),
    ] {
        entry.attrs.insert(name.into(), values.into_iter().map(Value::from).collect::<untether_model::Values>());
    }
    entry
}

fn says(filter: &str) -> Truth {
    Filter::parse(filter).unwrap().evaluate(&entry(), &Schema::standard())
}

#[test]
fn values_match_by_the_attributes_rule() {
    for filter in [
        "(cn=taro yamada \\28sales\\29)",
        "(cn=山田 太郎)",
        "(cn;lang-ja=*)",
        "(objectClass=person)",
        "(uidNumber>=200)",
        "(uidNumber<=1007)",
        "(member=UID=a,DC=x)",
        "(pwdChangedTime=20261120093000.0Z)",
        "(pwdChangedTime<=20261201000000Z)",
        "(siteOwn=Value)",
        "(cn=TARO*yama*\\29)",
        "(cn=taro *)",
        "(uid~=TARO)",
        "(&(uid=taro)(!(uid=jiro))(|(uid=x)(uid=t*)))",
        "(&)",
        " ( & (uid=taro) (cn=*) ) ",
    ] {
        assert_eq!(says(filter), Truth::True, "{filter}");
    }
    for filter in [
        "(memberUid=taro)",
        "(siteOwn=value)",
        "(cn;lang-ja=taro*)",
        "(mail=*)",
        "(cn=taroyama*)",
        "(|)",
        "(uid=*aro*aro)",
        "(!(cn=*))",
    ] {
        assert_eq!(says(filter), Truth::False, "{filter}");
    }
}

#[test]
fn what_cannot_be_matched_is_undefined_and_so_is_its_negation() {
    for filter in ["(jpegPhoto=photo)", "(!(jpegPhoto=photo))", "(member=nonsense)", "(member=uid*)", "(pwdChangedTime>=soon)"] {
        assert_eq!(says(filter), Truth::Undefined, "{filter}");
    }
    assert_eq!(says("(jpegPhoto=*)"), Truth::True);
    assert_eq!(says("(|(jpegPhoto=photo)(uid=taro))"), Truth::True);
    assert_eq!(says("(&(jpegPhoto=photo)(uid=jiro))"), Truth::False);
    assert_eq!(says("(&(jpegPhoto=photo)(uid=taro))"), Truth::Undefined);
}

#[test]
fn what_is_no_filter_is_refused_with_the_place() {
    for (text, at) in [
        ("uid=a", 0),
        ("(uid=a", 6),
        ("(uid=a))", 7),
        ("(=a)", 1),
        ("(uid)", 4),
        ("(uid=\\zz)", 5),
        ("(uid=a(b)", 6),
        ("(uid>=a*)", 8),
        ("(!)", 2),
        ("(uid:caseExactMatch:=a)", 4),
        ("(:dn:2.4.6.8:=a)", 1),
        ("", 0),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().at, at, "{text}");
    }
    assert!(Filter::parse("(uid:dn:=a)").unwrap_err().to_string().contains("extensible"));
    assert!(Filter::parse(&("(!".repeat(100_000) + "(a=b)" + &")".repeat(100_000))).is_err());
}

#[test]
fn escaping_keeps_a_value_from_being_syntax() {
    let value = Value::from("a*)(uid=\\\0é");
    assert_eq!(escape(&value), "a\\2a\\29\\28uid=\\5c\\00\\c3\\a9");
    assert_eq!(Filter::parse(&format!("(cn={})", escape(&value))).unwrap(), Filter::Equal("cn".into(), value));
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let attr = "[a-z][a-z0-9]{0,6}(;lang-[a-z]{2})?".prop_map(AttrName::new).boxed();
    let value = proptest::collection::vec(any::<u8>(), 1..12).prop_map(Value::new).boxed();
    let pieces = (
        proptest::option::of(value.clone()),
        proptest::collection::vec(value.clone(), 0..3),
        proptest::option::of(value.clone()),
    )
        .prop_filter("a presence", |(initial, any, last)| initial.is_some() || last.is_some() || !any.is_empty())
        .prop_map(|(initial, any, last)| Substrings { initial, any, last });
    let leaf = prop_oneof![
        attr.clone().prop_map(Filter::Present),
        (attr.clone(), value.clone()).prop_map(|(a, v)| Filter::Equal(a, v)),
        (attr.clone(), value.clone()).prop_map(|(a, v)| Filter::GreaterOrEqual(a, v)),
        (attr.clone(), value).prop_map(|(a, v)| Filter::LessOrEqual(a, v)),
        (attr, pieces).prop_map(|(a, p)| Filter::Substrings(a, p)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    })
}

proptest! {
    #[test]
    fn a_written_filter_reads_back(filter in any_filter()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
    }

    #[test]
    fn no_text_makes_the_parser_or_the_evaluation_panic(text in "[()&|!=<>~:*\\\\a-z0-9 é]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            filter.evaluate(&entry(), &Schema::standard());
        }
    }

    #[test]
    fn no_filter_makes_the_evaluation_panic(filter in any_filter()) {
        filter.evaluate(&entry(), &Schema::standard());
    }
}
