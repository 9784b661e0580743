//! LDAP messages (RFC 4511, section 4.1.1) as bytes: cut out of a stream, taken apart, put together.
//!
//! Reads answers only, and only as far as they are the same for each operation: envelope, result, controls. Everything borrows from
//! the receive buffer; nothing recurses or panics. What an entry is, `decode` knows.

use std::borrow::Cow;
use std::fmt;

use ldap3::LdapResult;
use ldap3::controls::{Control, RawControl};

use crate::ber::{BOOLEAN, ENUMERATED, Element, Head, INTEGER, OCTET_STRING, SEQUENCE, element, number, put, take, unsigned};

/// Tags of the operations (RFC 4511, section 4.2 and following).
pub(crate) mod op {
    pub(crate) const UNBIND: u8 = 0x42;
    pub(crate) const DELETE: u8 = 0x4a;
    pub(crate) const MODIFY: u8 = 0x66;
    pub(crate) const MODIFIED: u8 = 0x67;
    pub(crate) const ADD: u8 = 0x68;
    pub(crate) const ADDED: u8 = 0x69;
    pub(crate) const ABANDON: u8 = 0x50;
    pub(crate) const SEARCH: u8 = 0x63;
    pub(crate) const ENTRY: u8 = 0x64;
    pub(crate) const SEARCH_DONE: u8 = 0x65;
    pub(crate) const DELETED: u8 = 0x6b;
    pub(crate) const REFERENCE: u8 = 0x73;
    pub(crate) const EXTENDED: u8 = 0x77;
    pub(crate) const EXTENDED_DONE: u8 = 0x78;
    pub(crate) const INTERMEDIATE: u8 = 0x79;
}

const CONTROLS: u8 = 0xa0;
const REFERRALS: u8 = 0xa3;
const SASL_CREDENTIALS: u8 = 0x87;
const EXTENDED_NAME: u8 = 0x8a;
const EXTENDED_VALUE: u8 = 0x8b;

/// What the server sent is not what the protocol allows there, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) Cow<'static, str>);

impl Malformed {
    pub(crate) const fn because(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long the message at the start of `buffer` is; `None` if it has not arrived yet. A message that says that it is longer than
/// `limit` is refused before it arrives.
pub(crate) fn length(buffer: &[u8], limit: usize) -> Result<Option<usize>, Malformed> {
    if buffer.first().is_some_and(|tag| *tag != SEQUENCE) {
        return Err(Malformed::because("the server sent something that is no LDAP message"));
    }
    let head = Head::read(buffer).map_err(|what| Malformed(format!("the server sent a message with {what}").into()))?;
    let Some(head) = head else { return Ok(None) };
    let length = head.octets + head.content;
    if length > limit {
        let why = format!("the server announced a message of {length} bytes; at most {limit} are taken (largest_entry_mib)");
        return Err(Malformed(why.into()));
    }
    Ok((length <= buffer.len()).then_some(length))
}

/// How long the message at the start of `buffer` says that it is, where it says so already.
pub(crate) fn announced(buffer: &[u8]) -> Option<usize> {
    let head = Head::read(buffer).ok().flatten()?;
    head.octets.checked_add(head.content)
}

/// Whole messages that stand one after the other.
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let whole = match length(self.rest, usize::MAX) {
            Ok(whole) => whole?,
            Err(malformed) => return Some(Err(malformed)),
        };
        let (message, rest) = self.rest.split_at(whole);
        self.rest = rest;
        Some(Message::read(message))
    }
}

/// The envelope of a message and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) id: i32,
    /// The tag of its operation.
    pub(crate) op: u8,
    pub(crate) content: &'a [u8],
    controls: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes a whole message apart.
    #[inline]
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let bad = || Malformed::because("the server sent a malformed message");
        let mut rest = Element::only(message).filter(|outer| outer.tag == SEQUENCE).ok_or_else(bad)?.content;
        let id = take(&mut rest, INTEGER).and_then(number).and_then(|id| i32::try_from(id).ok()).ok_or_else(bad)?;
        let (operation, mut rest) = Element::read(rest).ok_or_else(bad)?;
        let controls = if rest.is_empty() { rest } else { take(&mut rest, CONTROLS).ok_or_else(bad)? };
        // Active Directory puts the name of its notice of disconnection behind the operation; that message has the id 0.
        if !rest.is_empty() && id != 0 {
            return Err(bad());
        }
        Ok(Self { id, op: operation.tag, content: operation.content, controls })
    }

    /// Its controls.
    pub(crate) fn controls(&self) -> Result<Vec<Control>, Malformed> {
        let mut rest = self.controls;
        let mut controls = Vec::new();
        while !rest.is_empty() {
            controls.push(control(&mut rest).ok_or(Malformed::because("the server sent a malformed control"))?);
        }
        Ok(controls)
    }

    /// The result that it carries (RFC 4511, section 4.1.9), with its controls; every answer that ends an operation is one.
    pub(crate) fn result(&self) -> Result<LdapResult, Malformed> {
        let mut result = result(self.content).ok_or(Malformed::because("the server sent a malformed result"))?;
        result.ctrls = self.controls()?;
        Ok(result)
    }
}

fn control(rest: &mut &[u8]) -> Option<Control> {
    let mut parts = take(rest, SEQUENCE)?;
    let ctype = text(take(&mut parts, OCTET_STRING)?)?;
    let critical = take(&mut parts, BOOLEAN);
    let val = take(&mut parts, OCTET_STRING).map(<[u8]>::to_vec);
    let crit = match critical {
        Some([octet]) => *octet != 0,
        Some(_) => return None,
        None => false,
    };
    parts.is_empty().then_some(Control(None, RawControl { ctype, crit, val }))
}

fn text(octets: &[u8]) -> Option<String> {
    std::str::from_utf8(octets).ok().map(str::to_owned)
}

fn result(content: &[u8]) -> Option<LdapResult> {
    let mut rest = content;
    let rc = number(take(&mut rest, ENUMERATED)?)?;
    let matched = text(take(&mut rest, OCTET_STRING)?)?;
    let said = text(take(&mut rest, OCTET_STRING)?)?;
    let mut refs = Vec::new();
    while !rest.is_empty() {
        let (part, after) = Element::read(rest)?;
        rest = after;
        match part.tag {
            REFERRALS => {
                let mut urls = part.content;
                while !urls.is_empty() {
                    refs.push(text(take(&mut urls, OCTET_STRING)?)?);
                }
            }
            SASL_CREDENTIALS | EXTENDED_VALUE => {}
            EXTENDED_NAME => std::str::from_utf8(part.content).map(|_| ()).ok()?,
            // Later versions of the protocol may add parts (RFC 4511, section 4), with other tags of this class.
            other if other & 0xc0 == 0x80 && !matches!(other & 0x1f, 3 | 7 | 10 | 11) => {}
            _ => return None,
        }
    }
    Some(LdapResult { rc, matched, text: said, refs, ctrls: Vec::new() })
}

/// A request: the operation (an element already) in its envelope.
pub(crate) fn request(id: i32, operation: &[u8], controls: &[RawControl]) -> Vec<u8> {
    let mut content = element(INTEGER, &unsigned(id.unsigned_abs()));
    content.extend_from_slice(operation);
    if !controls.is_empty() {
        let mut list = Vec::new();
        for control in controls {
            let mut parts = element(OCTET_STRING, control.ctype.as_bytes());
            if control.crit {
                put(&mut parts, BOOLEAN, &[0xff]);
            }
            if let Some(value) = &control.val {
                put(&mut parts, OCTET_STRING, value);
            }
            put(&mut list, SEQUENCE, &parts);
        }
        put(&mut content, CONTROLS, &list);
    }
    element(SEQUENCE, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &[u8], operation: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[&element(INTEGER, id)[..], operation].concat())
    }

    /// A result with a referral, a control, and a part that nobody knows.
    fn full() -> Vec<u8> {
        let url = element(OCTET_STRING, b"ldap://other.example");
        let parts = [
            element(ENUMERATED, &[10]),
            element(OCTET_STRING, b"dc=x"),
            element(OCTET_STRING, "別".as_bytes()),
            element(REFERRALS, &url),
            element(0xac, &element(SEQUENCE, b"")),
        ];
        let control = [element(OCTET_STRING, b"1.2.3"), element(BOOLEAN, &[0xff]), element(OCTET_STRING, b"v")].concat();
        let controls = element(CONTROLS, &element(SEQUENCE, &control));
        answer(&[7], &[element(op::SEARCH_DONE, &parts.concat()), controls].concat())
    }

    #[test]
    fn results_are_taken_apart() {
        let bytes = full();
        assert_eq!(length(&bytes, 1000), Ok(Some(bytes.len())));
        let message = Message::read(&bytes).unwrap();
        assert_eq!((message.id, message.op), (7, op::SEARCH_DONE));
        let result = message.result().unwrap();
        assert_eq!((result.rc, result.matched.as_str(), result.text.as_str()), (10, "dc=x", "別"));
        assert_eq!(result.refs, ["ldap://other.example"]);
        let Control(_, control) = &result.ctrls[0];
        assert_eq!((control.ctype.as_str(), control.crit, control.val.as_deref()), ("1.2.3", true, Some(&b"v"[..])));
    }

    #[test]
    fn cut_off_or_changed_at_any_byte_nothing_panics() {
        let bytes = full();
        for end in 0..bytes.len() {
            assert_eq!(length(&bytes[..end], 1000), Ok(None));
            assert!(Message::read(&bytes[..end]).is_err());
        }
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                if let (Ok(Some(length)), true) = (length(&changed, 1000), value != bytes[at]) {
                    let _ = Message::read(&changed[..length]).and_then(|message| message.result());
                }
            }
        }
    }

    #[test]
    fn what_is_no_message_is_refused_before_it_arrives() {
        assert!(length(b"HTTP/1.1 400 Bad Request", 1000).unwrap_err().0.contains("no LDAP message"));
        assert!(length(&[SEQUENCE, 0x80], 1000).unwrap_err().0.contains("indefinite"));
        assert!(length(&[SEQUENCE, 0x84, 0x7f, 0xff, 0xff, 0xff], 1000).unwrap_err().0.contains("at most 1000"));
        assert!(length(&[SEQUENCE, 0x85], 1000).is_err());
        for id in [&[][..], &[0xff], &[0x7f, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Message::read(&answer(id, &element(op::SEARCH_DONE, b""))).is_err());
        }
        let twice = [element(op::SEARCH_DONE, b""), element(op::SEARCH_DONE, b"")].concat();
        assert!(Message::read(&answer(&[1], &twice)).is_err());
        assert!(Message::read(&answer(&[1], b"")).is_err());
    }

    /// What ldap3 would panic on.
    #[test]
    fn results_and_controls_with_the_wrong_parts_are_refused() {
        let fine = [element(ENUMERATED, &[0]), element(OCTET_STRING, b""), element(OCTET_STRING, b"")];
        let with = |more: &[u8]| [fine.concat(), more.to_vec()].concat();
        assert!(result(&fine.concat()).is_some());
        for more in [
            element(0x03, b"x"),
            element(REFERRALS, &element(INTEGER, &[1])),
            element(0x83, b"x"),
            element(0xaa, b""),
            element(EXTENDED_NAME, b"\xff"),
            element(SEQUENCE, b""),
        ] {
            assert!(result(&with(&more)).is_none(), "{more:x?}");
        }
        for wrong in [
            [element(INTEGER, &[0]), element(OCTET_STRING, b""), element(OCTET_STRING, b"")],
            [element(ENUMERATED, &[]), element(OCTET_STRING, b""), element(OCTET_STRING, b"")],
            [element(ENUMERATED, &[0]), element(OCTET_STRING, b"\xff"), element(OCTET_STRING, b"")],
            [element(ENUMERATED, &[0]), element(OCTET_STRING, b""), element(SEQUENCE, b"")],
        ] {
            assert!(result(&wrong.concat()).is_none(), "{wrong:x?}");
        }
        for parts in [
            Vec::new(),
            element(OCTET_STRING, b"\xff"),
            [element(OCTET_STRING, b"1.2"), element(BOOLEAN, b"")].concat(),
            [element(OCTET_STRING, b"1.2"), element(INTEGER, &[1])].concat(),
            [element(OCTET_STRING, b"1.2"), element(OCTET_STRING, b""), element(OCTET_STRING, b"")].concat(),
        ] {
            assert!(control(&mut &element(SEQUENCE, &parts)[..]).is_none(), "{parts:x?}");
        }
    }

    #[test]
    fn a_request_is_as_the_protocol_writes_it() {
        let control = RawControl { ctype: "1.2".to_owned(), crit: true, val: Some(b"v".to_vec()) };
        let bytes = request(1, &element(op::EXTENDED, b"x"), &[control]);
        assert_eq!(bytes, *b"\x30\x15\x02\x01\x01\x77\x01x\xa0\x0d\x30\x0b\x04\x031.2\x01\x01\xff\x04\x01v".as_slice());
        assert_eq!(request(1, &element(op::UNBIND, b""), &[]), [0x30, 5, 2, 1, 1, 0x42, 0]);
    }
}
