//! The few lines of BER (X.690) that control values need: definite lengths, low tag numbers, no recursion.
//!
//! Deliberately knows no LDAP messages; those are ldap3's. Reading never panics and never looks beyond the slice it was given.

/// Universal and context tags of the structures below.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;

/// One element: its tag octet and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
}

impl<'a> Element<'a> {
    /// The element at the start of `bytes`, and what follows it; `None` if the bytes are not one.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&tag, rest) = bytes.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let octets = usize::from(first & 0x7f);
            if octets == 0 || octets > 4 {
                return None;
            }
            let (length, after) = rest.split_at_checked(octets)?;
            rest = after;
            length.iter().try_fold(0_usize, |sum, &b| sum.checked_mul(256)?.checked_add(usize::from(b)))?
        };
        let (content, rest) = rest.split_at_checked(length)?;
        Some((Self { tag, content }, rest))
    }

    /// The single element that `bytes` hold.
    pub(crate) fn only(bytes: &'a [u8]) -> Option<Self> {
        Self::read(bytes).filter(|(_, rest)| rest.is_empty()).map(|(element, _)| element)
    }

    /// The elements inside a constructed one; `None` if they are malformed.
    pub(crate) fn children(self) -> Option<Vec<Element<'a>>> {
        let mut rest = self.content;
        let mut children = Vec::new();
        while !rest.is_empty() {
            let (child, after) = Self::read(rest)?;
            children.push(child);
            rest = after;
        }
        Some(children)
    }
}

/// Appends one element.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.extend(u8::try_from(length));
    } else {
        let octets = length.to_be_bytes();
        let octets: Vec<u8> = octets.into_iter().skip_while(|b| *b == 0).collect();
        out.extend(u8::try_from(octets.len()).map(|count| 0x80 | count));
        out.extend(octets);
    }
    out.extend_from_slice(content);
}

/// One element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    put(&mut out, tag, content);
    out
}

/// The content of a non-negative INTEGER.
pub(crate) fn unsigned(number: u32) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let mut content: Vec<u8> = octets.into_iter().skip_while(|b| *b == 0).collect();
    if content.first().is_none_or(|b| *b >= 0x80) {
        content.insert(0, 0);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_read_back_at_every_length() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let bytes = element(OCTET_STRING, &content);
            assert_eq!(Element::only(&bytes).unwrap().content, content);
        }
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_is_refused() {
        let bytes = element(SEQUENCE, &element(OCTET_STRING, b"abc"));
        for end in 0..bytes.len() {
            assert!(Element::only(&bytes[..end]).is_none());
        }
        assert!(Element::read(&[0x04, 0x80]).is_none());
        assert!(Element::read(&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(Element::read(&[0x04, 0x88, 0, 0, 0, 0, 0, 0, 0, 1, 5]).is_none());
    }

    #[test]
    fn integers_stay_positive() {
        assert_eq!(unsigned(0), [0]);
        assert_eq!(unsigned(127), [127]);
        assert_eq!(unsigned(128), [0, 128]);
        assert_eq!(unsigned(1000), [3, 232]);
    }
}
