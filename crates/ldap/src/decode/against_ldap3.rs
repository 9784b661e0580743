//! The decoder beside ldap3's parser, entry by entry: the same content where both read one, never more than ldap3 sees, and no panic on
//! anything.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::asn1::parse_tag;
use ldap3::{ResultEntry, SearchEntry};
use proptest::prelude::*;
use untether_directory::AttrNames;
use untether_model::{Dn, Value};

use super::entry;
use crate::ber::{OCTET_STRING, SEQUENCE, SET, element};
use crate::hostile::{by_ldap3, decoded};
use crate::message::{Messages, length, op};

type Attributes = Vec<(String, Vec<Vec<u8>>)>;

/// `SearchResultEntry` as a server encodes it.
fn encoded(dn: &[u8], attributes: &Attributes) -> Vec<u8> {
    let list: Vec<u8> = attributes
        .iter()
        .flat_map(|(name, values)| {
            let values: Vec<u8> = values.iter().flat_map(|value| element(OCTET_STRING, value)).collect();
            element(SEQUENCE, &[element(OCTET_STRING, name.as_bytes()), element(SET, &values)].concat())
        })
        .collect();
    element(op::ENTRY, &[element(OCTET_STRING, dn), element(SEQUENCE, &list)].concat())
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let name = prop_oneof![
        Just("cn".to_owned()),
        Just("CN".to_owned()),
        Just("userPassword".to_owned()),
        Just("jpegPhoto;binary".to_owned()),
        Just("member;range=0-1".to_owned()),
        "[a-zA-Z][a-zA-Z0-9-]{0,8}(;[a-z]{1,4})?",
    ];
    let value = prop_oneof![
        "[a-z ]{0,12}".prop_map(String::into_bytes),
        "\\PC{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    prop::collection::vec((name, prop::collection::vec(value, 0..4)), 0..8)
}

fn dn() -> impl Strategy<Value = String> {
    prop_oneof![
        "uid=[a-zA-Z0-9.]{1,10},ou=[a-z]{1,8},dc=x",
        "\\PC{1,8}".prop_map(|name| Dn::parse("dc=x").unwrap().child("cn", name.as_str()).to_string()),
        Just("cn=a\\2cb+uid=\\E5\\B1\\B1,dc=x".to_owned()),
    ]
}

proptest! {
    #[test]
    fn both_read_the_same_of_what_servers_send(dn in dn(), attributes in attributes()) {
        let bytes = encoded(dn.as_bytes(), &attributes);
        let ours = decoded(&bytes);
        prop_assert!(ours.is_some());
        prop_assert_eq!(&ours, &by_ldap3(&bytes));

        // And its own entries, which lose the order of values where one of them is no text, and whose names differ by case.
        let ours = ours.unwrap();
        let (_, tree) = parse_tag(&bytes).unwrap();
        let theirs = SearchEntry::construct(ResultEntry::new(tree));
        prop_assert_eq!(ours.dn.as_str(), theirs.dn.as_str());
        let mut sets: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (name, values) in theirs.attrs {
            sets.entry(name.to_lowercase()).or_default().extend(values.into_iter().map(String::into_bytes));
        }
        for (name, values) in theirs.bin_attrs {
            sets.entry(name.to_lowercase()).or_default().extend(values);
        }
        // An attribute that comes twice in one spelling replaces itself there, so ours may hold more.
        for (name, values) in sets {
            let held: BTreeSet<Vec<u8>> = ours.values(&name).iter().map(|value| value.as_bytes().to_vec()).collect();
            prop_assert!(held.is_superset(&values), "{}", name);
        }
    }

    /// Cut off at each byte, or with any byte replaced: an error, or what ldap3 reads too.
    #[test]
    fn changed_bytes_are_refused_or_read_alike(dn in dn(), attributes in attributes(), by in any::<u8>()) {
        let bytes = encoded(dn.as_bytes(), &attributes);
        for end in 0..bytes.len() {
            prop_assert_eq!(decoded(&bytes[..end]), None);
        }
        for at in 0..bytes.len().min(400) {
            let mut changed = bytes.clone();
            changed[at] = by;
            if let Some(ours) = decoded(&changed) {
                prop_assert_eq!(Some(ours), by_ldap3(&changed), "byte {} is {}", at, by);
            }
        }
    }

    /// Bytes that nobody meant as an entry.
    #[test]
    fn any_bytes_at_all_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = entry(&bytes, &mut AttrNames::default());
        let _ = decoded(&bytes);
        let _ = length(&bytes, 1 << 20);
        for message in Messages::of(&bytes) {
            let Ok(message) = message else { break };
            let _ = (message.result(), message.controls());
        }
    }
}

/// Lengths that lie, counts without end, nesting without end, lengths that are not told: an error each, at once.
#[test]
fn what_was_made_to_break_a_reader_is_refused() {
    let name = element(OCTET_STRING, b"dc=x");
    let refused = |inside: &[u8]| assert_eq!(decoded(&element(op::ENTRY, inside)), None, "{inside:x?}");
    let attribute = |set: &[u8]| element(SEQUENCE, &element(SEQUENCE, &[&element(OCTET_STRING, b"cn")[..], set].concat()));
    // The set, or a value in it, leads out of what it is in.
    refused(&[name.clone(), attribute(&[SET, 0x84, 0x7f, 0xff, 0xff, 0xff])].concat());
    refused(&[name.clone(), attribute(&element(SET, &[OCTET_STRING, 0x7f, b'a']))].concat());
    refused(&[name.clone(), attribute(&[SET, 0x80, OCTET_STRING, 1, b'a', 0, 0])].concat());
    refused(&[name.clone(), attribute(&[SET, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])].concat());
    // Constructed where a value must be, as deep as one likes.
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested = element(SEQUENCE, &nested);
    }
    refused(&nested);
    refused(&[name.clone(), nested.clone()].concat());
    refused(&[name.clone(), attribute(&element(SET, &nested))].concat());
    // Something behind the list, and behind the values of an attribute.
    refused(&[name.clone(), element(SEQUENCE, b""), element(SEQUENCE, b"")].concat());
    refused(&[name.clone(), attribute(&[element(SET, b""), element(SET, b"")].concat())].concat());
    // Names that are none.
    refused(&[element(OCTET_STRING, b"no name"), element(SEQUENCE, b"")].concat());
    refused(&[element(OCTET_STRING, b"\xff"), element(SEQUENCE, b"")].concat());

    // A million empty values, a million parts of one attribute, as many attributes: read, in time that is about linear.
    const MANY: usize = 1_000_000;
    let many = attribute(&element(SET, &element(OCTET_STRING, b"").repeat(MANY)));
    assert_eq!(decoded(&element(op::ENTRY, &[name.clone(), many].concat())).unwrap().values("cn").len(), MANY);
    let part = element(SEQUENCE, &[element(OCTET_STRING, b"cn"), element(SET, &element(OCTET_STRING, b"a"))].concat());
    let many = element(SEQUENCE, &part.repeat(MANY));
    assert_eq!(decoded(&element(op::ENTRY, &[name.clone(), many].concat())).unwrap().values("cn"), [Value::from("a")]);
    let parts: Attributes = (0..MANY).map(|number| (format!("a{number}"), Vec::new())).collect();
    assert_eq!(decoded(&encoded(b"dc=x", &parts)).unwrap().attrs.len(), MANY);
}
