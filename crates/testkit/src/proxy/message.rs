//! Where an LDAP message begins and ends, and what kind of request it is: the few lines of BER (X.690) for that.

/// What every message begins with (RFC 4511, section 4.1.1).
pub(super) const SEQUENCE: u8 = 0x30;

/// Requests to modify, add, delete and rename an entry (RFC 4511, sections 4.6 to 4.9).
const WRITES: [u8; 4] = [0x66, 0x68, 0x4a, 0x6c];

/// How long the head of an element is, and its content; `None` if that has not arrived.
pub(super) fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.get(1)?;
    if first < 0x80 {
        return Some((2, usize::from(first)));
    }
    let octets = usize::from(first & 0x7f);
    let length = bytes.get(2..2 + octets)?.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    Some((2 + octets, length))
}

/// The length of the whole element at the start, if all of it is there.
pub(super) fn whole(bytes: &[u8]) -> Option<usize> {
    let (head, content) = head(bytes)?;
    let length = head.saturating_add(content);
    (length <= bytes.len()).then_some(length)
}

/// Whether a whole message asks for a write.
pub(super) fn is_write(message: &[u8]) -> bool {
    let content = head(message).and_then(|(outer, _)| message.get(outer..)).unwrap_or_default();
    let operation = whole(content).and_then(|id| content.get(id));
    operation.is_some_and(|tag| WRITES.contains(tag))
}
