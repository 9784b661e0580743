//! Entries, references and answers as the server sent them, taken apart without a panic.
//!
//! `ldap3` parses the message; its own `SearchEntry` splits values into text and binary ones (losing their order) and panics on
//! what is no entry, so the parsed structure is read here instead. Deliberately knows no connection.

use ldap3::asn1::{PL, StructureTag};
use untether_model::{AttrMap, AttrName, Dn, Entry, Value};

use crate::ber::{Element, OCTET_STRING};

/// What the server sent is not what the protocol allows there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

fn malformed(what: &str) -> Malformed {
    Malformed(format!("the server sent a malformed {what}"))
}

fn children(tag: StructureTag, what: &str) -> Result<Vec<StructureTag>, Malformed> {
    match tag.payload {
        PL::C(children) => Ok(children),
        PL::P(_) => Err(malformed(what)),
    }
}

fn octets(tag: StructureTag, what: &str) -> Result<Vec<u8>, Malformed> {
    match tag.payload {
        PL::P(bytes) => Ok(bytes),
        PL::C(_) => Err(malformed(what)),
    }
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, Malformed> {
    String::from_utf8(bytes).map_err(|_| malformed(what))
}

fn name(spelled: &str) -> Result<Dn, Malformed> {
    Dn::parse(spelled).map_err(|error| Malformed(format!("the server sent an entry whose name cannot be read: {error}")))
}

/// `SearchResultEntry` (RFC 4511, section 4.5.2).
pub(crate) fn entry(tag: StructureTag) -> Result<Entry, Malformed> {
    let mut parts = children(tag, "entry")?.into_iter();
    let (Some(dn), Some(list)) = (parts.next(), parts.next()) else { return Err(malformed("entry")) };
    let mut entry = Entry::new(name(&text(octets(dn, "entry name")?, "entry name")?)?);
    for attribute in children(list, "attribute list")? {
        let mut parts = children(attribute, "attribute")?.into_iter();
        let (Some(kind), Some(values)) = (parts.next(), parts.next()) else { return Err(malformed("attribute")) };
        let kind = AttrName::new(text(octets(kind, "attribute name")?, "attribute name")?);
        let values = children(values, "value set")?;
        let values: Vec<Value> = values.into_iter().map(|v| octets(v, "value").map(Value::new)).collect::<Result<_, _>>()?;
        insert(&mut entry.attrs, kind, values);
    }
    Ok(entry)
}

/// `SearchResultReference`: URLs of where else to look.
pub(crate) fn references(tag: StructureTag) -> Result<Vec<String>, Malformed> {
    children(tag, "reference")?.into_iter().map(|url| text(octets(url, "reference")?, "reference")).collect()
}

/// The entry in the value of a pre-read or post-read response control (RFC 4527).
pub(crate) fn read_entry(value: &[u8]) -> Result<Entry, Malformed> {
    const SEARCH_RESULT_ENTRY: u8 = 0x64;
    let bad = || malformed("pre-read or post-read answer");
    let entry = Element::only(value).filter(|e| e.tag == SEARCH_RESULT_ENTRY).ok_or_else(bad)?;
    let parts = entry.children().ok_or_else(bad)?;
    let [dn, list] = parts[..] else { return Err(bad()) };
    let mut entry = Entry::new(name(std::str::from_utf8(dn.content).map_err(|_| bad())?)?);
    for attribute in list.children().ok_or_else(bad)? {
        let parts = attribute.children().ok_or_else(bad)?;
        let [kind, values] = parts[..] else { return Err(bad()) };
        let kind = AttrName::new(std::str::from_utf8(kind.content).map_err(|_| bad())?);
        let values = values.children().ok_or_else(bad)?;
        insert(&mut entry.attrs, kind, values.into_iter().map(|v| Value::new(v.content)).collect());
    }
    Ok(entry)
}

/// An attribute may come in two parts (one per spelling that was asked for); no values means that only its type was sent.
fn insert(attrs: &mut AttrMap, kind: AttrName, values: Vec<Value>) {
    let held = attrs.entry(kind).or_default();
    for value in values {
        if held.is_empty() || !held.contains(&value) {
            held.push(value);
        }
    }
}

/// The cookie in a paged-results response control (RFC 2696); empty after the last page.
pub(crate) fn paged_cookie(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let bad = || malformed("paged-results answer");
    let parts = Element::only(value).and_then(Element::children).ok_or_else(bad)?;
    match parts[..] {
        [_, cookie] if cookie.tag == OCTET_STRING => Ok(cookie.content.to_vec()),
        _ => Err(bad()),
    }
}

/// What an account-usability response control says: `[0]` seconds before expiration (available) or `[1]` the reasons why not.
pub(crate) fn usable(value: &[u8]) -> Option<bool> {
    match Element::only(value)?.tag & !0x20 {
        0x80 => Some(true),
        0x81 => Some(false),
        _ => None,
    }
}

/// Whether a password-policy response control carries the error `accountLocked` (draft-behera, section 6.2).
pub(crate) fn says_locked(value: &[u8]) -> bool {
    const ERROR: u8 = 0x81;
    const ACCOUNT_LOCKED: [u8; 1] = [1];
    Element::only(value)
        .and_then(Element::children)
        .is_some_and(|parts| parts.iter().any(|p| p.tag == ERROR && p.content == ACCOUNT_LOCKED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::{SEQUENCE, element};

    #[test]
    fn a_read_entry_answer_gives_all_values_in_order() {
        let set =
            element(0x31, &[element(OCTET_STRING, b"b"), element(OCTET_STRING, b"\xff"), element(OCTET_STRING, b"a")].concat());
        let attribute = element(SEQUENCE, &[element(OCTET_STRING, b"cn"), set].concat());
        let list = element(SEQUENCE, &attribute);
        let value = element(0x64, &[element(OCTET_STRING, b"uid=a,dc=x"), list].concat());
        let entry = read_entry(&value).unwrap();
        assert_eq!(entry.values("CN"), [Value::from("b"), Value::new(&b"\xff"[..]), Value::from("a")]);
        for end in 0..value.len() {
            assert!(read_entry(&value[..end]).is_err());
        }
    }

    #[test]
    fn usability_and_lock_answers_are_told_apart() {
        assert_eq!(usable(&[0x80, 1, 0]), Some(true));
        assert_eq!(usable(&[0xa1, 3, 0x80, 1, 0xff]), Some(false));
        assert_eq!(usable(&[]), None);
        assert!(says_locked(&[0x30, 3, 0x81, 1, 1]));
        assert!(!says_locked(&[0x30, 3, 0x81, 1, 2]));
        assert!(!says_locked(&[0x30, 0]));
    }
}
