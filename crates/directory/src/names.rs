//! Attribute descriptions as they arrive, each made and checked once.

use std::collections::HashMap;

use untether_model::AttrName;

/// Attribute descriptions that were seen. An export and an answer of a server hold the same few dozen in each entry, mostly in the same
/// order, so each is looked for first where it followed last time.
#[derive(Debug, Default)]
pub struct AttrNames {
    seen: HashMap<Box<[u8]>, usize>,
    names: Vec<Known>,
    last: usize,
}

#[derive(Debug)]
struct Known {
    name: AttrName,
    /// What came after it the last time.
    follower: usize,
}

impl AttrNames {
    /// More than any real schema has; a source of ever new names must not fill the memory.
    const MOST: usize = 4096;

    /// The name that is written so; `None` if that is no attribute description (RFC 4512, section 2.5).
    pub fn get(&mut self, written: &[u8]) -> Option<AttrName> {
        let expected = self.names.get(self.last).map(|last| last.follower);
        if let Some(at) = expected
            && let Some(known) = self.names.get(at).filter(|known| known.name.as_str().as_bytes() == written)
        {
            self.last = at;
            return Some(known.name.clone());
        }
        let at = match self.seen.get(written) {
            Some(at) => *at,
            None => self.learn(written)?,
        };
        if let Some(last) = self.names.get_mut(self.last) {
            last.follower = at;
        }
        self.last = at;
        self.names.get(at).map(|known| known.name.clone())
    }

    fn learn(&mut self, written: &[u8]) -> Option<usize> {
        let name = std::str::from_utf8(written).ok().filter(|text| is_description(text)).map(AttrName::new)?;
        if self.names.len() >= Self::MOST {
            *self = Self::default();
        }
        let at = self.names.len();
        self.names.push(Known { name, follower: 0 });
        self.seen.insert(written.into(), at);
        Some(at)
    }
}

/// Whether this is an attribute description. `_` is taken because old servers allow it, `=` because ranged attributes
/// (`member;range=0-1499`) have it.
pub(crate) fn is_description(text: &str) -> bool {
    let mut parts = text.split(';');
    let kind = parts.next().unwrap_or_default();
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    kind.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && kind.bytes().all(|b| word(b) || b == b'.')
        && parts.all(|option| !option.is_empty() && option.bytes().all(|b| word(b) || matches!(b, b'=' | b'*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_told_from_other_text() {
        let mut names = AttrNames::default();
        for written in ["cn", "CN", "cn;lang-ja;phonetic", "2.5.4.3", "member;range=0-*", "old_name"] {
            assert_eq!(names.get(written.as_bytes()).unwrap().as_str(), written);
        }
        for written in [&b""[..], b"-a", b"a b", b"cn;", b"\xff", b"cn\x1b[0m", "名".as_bytes()] {
            assert_eq!(names.get(written), None);
        }
    }

    #[test]
    fn each_name_is_found_whatever_came_before() {
        let mut names = AttrNames::default();
        for step in 0..1000_usize {
            let written = ["cn", "sn", "CN", "uid", "mail"][step * step % 7 % 5];
            assert_eq!(names.get(written.as_bytes()).unwrap().as_str(), written, "step {step}");
        }
        assert_eq!(names.names.len(), 4);
    }

    #[test]
    fn ever_new_names_do_not_fill_the_memory() {
        let mut names = AttrNames::default();
        for number in 0..3 * AttrNames::MOST {
            names.get(format!("a{number}").as_bytes()).unwrap();
        }
        assert!(names.seen.len() <= AttrNames::MOST && names.names.len() <= AttrNames::MOST);
    }
}
