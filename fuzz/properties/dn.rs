//! Any text as a distinguished name: what is accepted is written back equal, and names are equal exactly if their parts are.

use std::collections::BTreeSet;

use untether_model::dn::Rdn;
use untether_model::{Dn, Value};

/// One part of a name as the rule says that names compare, stated again: type without case, value without case and surplus blanks.
type Part = (String, Result<String, Vec<u8>>);

/// Checks bytes as a value within a name, and lines of text as names.
pub fn check(data: &[u8]) {
    let below = Dn::root().child("dc", "x").child("cn", Value::new(data));
    let back = Dn::parse(below.as_str()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back.rdn().and_then(|rdn| rdn.value("cn").cloned()), Some(Value::new(data)), "{below}");
    assert_eq!(back, below);

    let Ok(text) = std::str::from_utf8(data) else { return };
    let names: Vec<Dn> = text.split('\n').take(4).filter_map(|line| Dn::parse(line).ok()).collect();
    names.iter().for_each(check_name);
    for (left, right) in names.iter().zip(names.iter().skip(1)) {
        assert_eq!(left == right, parts(left) == parts(right), "'{left}' and '{right}'");
        assert_eq!(left.cmp(right).is_eq(), left == right);
        let below = parts(left).starts_with(&parts(right));
        assert_eq!(left.is_within(right), below, "'{left}' within '{right}'");
    }
}

fn check_name(name: &Dn) {
    let rdns = name.rdns();
    let written = Dn::from_rdns(&rdns);
    let back = Dn::parse(written.as_str()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back.rdns(), rdns, "'{name}' is written as '{written}'");
    assert_eq!(back.key(), name.key(), "'{name}' is written as '{written}'");
    assert_eq!(name.key().depth(), rdns.len(), "'{name}'");
    assert_eq!(name.is_root(), rdns.is_empty());
    match name.parent() {
        None => assert!(name.is_root()),
        Some(above) => {
            assert!(name.is_within(&above) && !above.is_within(name), "'{name}' below '{above}'");
            assert!(above < *name, "an entry comes after the one above it");
        }
    }
}

/// The parts from the root down.
fn parts(name: &Dn) -> Vec<BTreeSet<Part>> {
    name.rdns()
        .iter()
        .rev()
        .map(|Rdn(avas)| avas.iter().map(|ava| (long_names(ava.attr.folded()), folded(&ava.value))).collect())
        .collect()
}

/// Types that servers write in several ways (RFC 4519, section 2).
fn long_names(folded: &str) -> String {
    const NAMES: [(&str, &[&str]); 9] = [
        ("cn", &["commonname", "2.5.4.3"]),
        ("sn", &["surname", "2.5.4.4"]),
        ("c", &["countryname", "2.5.4.6"]),
        ("l", &["localityname", "2.5.4.7"]),
        ("st", &["stateorprovincename", "2.5.4.8"]),
        ("o", &["organizationname", "2.5.4.10"]),
        ("ou", &["organizationalunitname", "2.5.4.11"]),
        ("uid", &["userid", "0.9.2342.19200300.100.1.1"]),
        ("dc", &["domaincomponent", "0.9.2342.19200300.100.1.25"]),
    ];
    NAMES.iter().find(|(_, others)| others.contains(&folded)).map_or(folded, |(short, _)| short).to_owned()
}

fn folded(value: &Value) -> Result<String, Vec<u8>> {
    let text = value.as_str().ok_or_else(|| value.as_bytes().to_vec())?;
    Ok(text.to_lowercase().split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}
