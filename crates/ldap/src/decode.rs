//! Entries, references and answers as the server sent them, decoded straight from the bytes that arrived.
//!
//! One decoder for searches of any size and for pre-read and post-read answers. Nothing recurses or panics, whatever the bytes;
//! an intermediate tree is not built. Deliberately knows no connection.

use ldap3::controls::Control;
use untether_directory::{AttrNames, Usability};
use untether_model::{AttrMap, Dn, Entry, Value, Values};

use crate::ber::{Element, OCTET_STRING, SEQUENCE, SET, take};
use crate::controls;
use crate::message::{Malformed, op};

#[cfg(test)]
mod against_ldap3;

const BAD_ENTRY: Malformed = Malformed::because("the server sent a malformed entry");

/// `SearchResultEntry` (RFC 4511, section 4.5.2): what is inside it.
pub(crate) fn entry(content: &[u8], names: &mut AttrNames) -> Result<Entry, Malformed> {
    let mut rest = content;
    let name = take(&mut rest, OCTET_STRING).and_then(|name| std::str::from_utf8(name).ok()).ok_or(BAD_ENTRY)?;
    let mut list = take(&mut rest, SEQUENCE).filter(|_| rest.is_empty()).ok_or(BAD_ENTRY)?;
    let dn = Dn::parse(name)
        .map_err(|error| Malformed(format!("the server sent an entry whose name cannot be read: {error}").into()))?;
    let mut parts = Vec::with_capacity(count(list));
    while !list.is_empty() {
        let mut attribute = take(&mut list, SEQUENCE).ok_or(BAD_ENTRY)?;
        let kind = take(&mut attribute, OCTET_STRING).ok_or(BAD_ENTRY)?;
        let set = take(&mut attribute, SET).filter(|_| attribute.is_empty()).ok_or(BAD_ENTRY)?;
        let kind = names
            .get(kind)
            .ok_or_else(|| Malformed(format!("the server sent an attribute named '{}'", kind.escape_ascii()).into()))?;
        parts.push((kind, values(set)?));
    }
    // An attribute may come in two parts, one per spelling that was asked for; no values means that only its type was sent.
    Ok(Entry { dn, attrs: AttrMap::from_parts(parts) })
}

fn values(mut set: &[u8]) -> Result<Values, Malformed> {
    let mut values = Values::with_capacity(count(set));
    while !set.is_empty() {
        values.push(Value::new(take(&mut set, OCTET_STRING).ok_or(BAD_ENTRY)?));
    }
    Ok(values)
}

/// How many elements there are, to reserve memory for: no more than is a small fraction of the longest message, whatever the bytes say.
fn count(elements: &[u8]) -> usize {
    const MOST: usize = 10_000;
    let mut rest = elements;
    let mut count = 0;
    while let Some((_, after)) = Element::read(rest).filter(|_| count < MOST) {
        rest = after;
        count += 1;
    }
    count
}

/// `SearchResultReference`: URLs of where else to look.
pub(crate) fn references(content: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut rest = content;
    let mut urls = Vec::new();
    while !rest.is_empty() {
        let url = take(&mut rest, OCTET_STRING).and_then(|url| std::str::from_utf8(url).ok());
        urls.push(url.ok_or(Malformed::because("the server sent a malformed reference"))?.to_owned());
    }
    Ok(urls)
}

/// The entry in the value of a pre-read or post-read response control (RFC 4527).
pub(crate) fn read_entry(value: &[u8]) -> Result<Entry, Malformed> {
    let bad = Malformed::because("the server sent a malformed pre-read or post-read answer");
    let found = Element::only(value).filter(|found| found.tag == op::ENTRY).ok_or(bad)?;
    entry(found.content, &mut AttrNames::default())
}

/// The cookie in a paged-results response control (RFC 2696); empty after the last page.
pub(crate) fn paged_cookie(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    const BAD: Malformed = Malformed::because("the server sent a malformed paged-results answer");
    let parts = Element::only(value).and_then(Element::children).ok_or(BAD)?;
    match parts[..] {
        [_, cookie] if cookie.tag == OCTET_STRING => Ok(cookie.content.to_vec()),
        _ => Err(BAD),
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

/// What an entry's answering controls say of its account.
pub(crate) fn usability(answers: &[Control]) -> Option<Usability> {
    let says = controls::answer(answers, untether_directory::Control::ACCOUNT_USABILITY).and_then(usable)?;
    Some(if says { Usability::Available } else { Usability::Unavailable })
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
