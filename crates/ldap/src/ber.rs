//! The few lines of BER (X.690) that LDAP needs (RFC 4511, section 5.1): definite lengths, low tag numbers, no recursion.
//!
//! Deliberately knows no LDAP messages. Reading never panics and never looks beyond the slice it was given.

/// Universal tags of the structures below.
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// The bit of a tag that says that elements are inside.
const CONSTRUCTED: u8 = 0x20;
/// The bits of a tag that hold its number; all of them set: the number follows in further octets.
const NUMBER: u8 = 0x1f;

/// Elements nested deeper than this are refused. An answer of LDAP needs six levels (message, entry, list, attribute, values,
/// value), and a control's value is a string whatever it holds; what nests deeper was made to exhaust a recursive reader.
pub(crate) const DEEPEST: usize = 16;

/// The head of an element: its tag octet, how long the head is, and how long the content that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) tag: u8,
    pub(crate) octets: usize,
    pub(crate) content: usize,
}

impl Head {
    /// The head at the start of `bytes`; `None` if more bytes are needed to tell.
    ///
    /// # Errors
    /// What LDAP does not allow, in words.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let [tag, rest @ ..] = bytes else { return Ok(None) };
        if tag & NUMBER == NUMBER {
            return Err("a tag of several octets");
        }
        let [first, rest @ ..] = rest else { return Ok(None) };
        if *first < 0x80 {
            return Ok(Some(Self { tag: *tag, octets: 2, content: usize::from(*first) }));
        }
        let count = usize::from(*first & 0x7f);
        match count {
            0 => Err("an indefinite length"),
            1..=4 => {
                let Some(length) = rest.get(..count) else { return Ok(None) };
                let content = length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
                Ok(Some(Self { tag: *tag, octets: 2 + count, content }))
            }
            _ => Err("a length of more than four octets"),
        }
    }
}

/// One element: its tag octet and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
}

impl<'a> Element<'a> {
    /// The element at the start of `bytes`, and what follows it; `None` if the bytes are not one.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let head = Head::read(bytes).ok().flatten()?;
        let (content, rest) = bytes.get(head.octets..)?.split_at_checked(head.content)?;
        Some((Self { tag: head.tag, content }, rest))
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

/// Takes the next element off `rest` if it has this tag.
#[inline]
pub(crate) fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (element, after) = Element::read(rest).filter(|(element, _)| element.tag == tag)?;
    *rest = after;
    Some(element.content)
}

/// The content of an INTEGER or ENUMERATED that is not negative, of at most four octets.
pub(crate) fn number(content: &[u8]) -> Option<u32> {
    match content {
        [first, ..] if content.len() <= 4 && *first < 0x80 => {
            Some(content.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet)))
        }
        _ => None,
    }
}

/// Checks that `bytes` are whole elements all the way down: lengths that are definite and end within their parent, and no more
/// than [`DEEPEST`] levels.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn check_nesting(bytes: &[u8]) -> Result<(), &'static str> {
    // Where the elements that are open end, outermost first.
    let mut ends = [0; DEEPEST];
    let mut open = 0;
    let mut at = 0;
    loop {
        let end = match open {
            0 => bytes.len(),
            _ => ends[open - 1],
        };
        if at == end {
            if open == 0 {
                return Ok(());
            }
            open -= 1;
            continue;
        }
        let inside = bytes.get(at..end).unwrap_or_default();
        let head = Head::read(inside)?.ok_or("an element that is cut off")?;
        let length = head.octets + head.content;
        if length > inside.len() {
            return Err("a length that leads out of what it is in");
        }
        if head.tag & CONSTRUCTED == 0 {
            at += length;
        } else if open == DEEPEST {
            return Err("elements nested too deep");
        } else {
            ends[open] = at + length;
            open += 1;
            at += head.octets;
        }
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
        assert!(Element::read(&[0x1f, 0x01, 0x00]).is_none());
    }

    #[test]
    fn nesting_is_checked_without_recursion() {
        let mut bytes = element(OCTET_STRING, b"abc");
        for _ in 0..DEEPEST {
            bytes = element(SEQUENCE, &bytes);
        }
        assert_eq!(check_nesting(&bytes), Ok(()));
        assert_eq!(check_nesting(&bytes.repeat(3)), Ok(()));
        for end in 1..bytes.len() {
            assert!(check_nesting(&bytes[..end]).is_err());
        }
        bytes = element(SEQUENCE, &bytes);
        assert_eq!(check_nesting(&bytes), Err("elements nested too deep"));
        let bomb: Vec<u8> = [SEQUENCE, 0x84, 0x7f, 0xff, 0xff, 0xff].repeat(100_000);
        assert!(check_nesting(&bomb).is_err());
        // An inner length that leads out of its parent, into what follows.
        let lying = [element(SEQUENCE, &[OCTET_STRING, 5, b'a']), element(OCTET_STRING, b"abcdef")].concat();
        assert_eq!(check_nesting(&lying), Err("a length that leads out of what it is in"));
        assert_eq!(check_nesting(&[SEQUENCE, 0x80, 0, 0]), Err("an indefinite length"));
    }

    #[test]
    fn integers_stay_positive() {
        assert_eq!(
            (number(&unsigned(0)), number(&unsigned(128)), number(&unsigned(i32::MAX.unsigned_abs()))),
            (Some(0), Some(128), Some(0x7fff_ffff))
        );
        assert_eq!((number(&[]), number(&[0x80]), number(&[0, 0, 0, 0, 1])), (None, None, None));
        assert_eq!(unsigned(0), [0]);
        assert_eq!(unsigned(127), [127]);
        assert_eq!(unsigned(128), [0, 128]);
        assert_eq!(unsigned(1000), [3, 232]);
    }
}
