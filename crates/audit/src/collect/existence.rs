//! Which entries exist: 16 bytes each, whatever their names.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use untether_model::digest::Digest;
use untether_model::{Dn, dn::DnKey};

/// The names that were seen, and the bases below which every name was seen.
#[derive(Clone, Debug, Default)]
pub struct Existence {
    names: Names,
    complete: Vec<Dn>,
}

impl Existence {
    /// Whether an entry exists; `None` where nobody looked, or not completely.
    pub fn exists(&self, dn: &Dn) -> Option<bool> {
        if self.names.contains(dn.key()) {
            return Some(true);
        }
        self.complete.iter().any(|base| dn.is_within(base)).then_some(false)
    }

    /// How many names were seen.
    pub fn len(&self) -> u64 {
        u64::try_from(self.names.0.len()).unwrap_or(u64::MAX)
    }

    /// Whether no name was seen.
    pub fn is_empty(&self) -> bool {
        self.names.0.is_empty()
    }

    /// The bases below which every name was seen.
    pub fn complete_bases(&self) -> &[Dn] {
        &self.complete
    }

    pub(super) fn add(&mut self, dn: &Dn) {
        self.names.insert(dn.key());
    }

    pub(super) fn complete(&mut self, base: Dn) {
        self.complete.push(base);
    }

    /// Takes back that everything below the base was seen, and with it below bases within it.
    pub(super) fn doubt(&mut self, base: &Dn) {
        self.complete.retain(|seen| !seen.is_within(base) && !base.is_within(seen));
    }
}

/// A set of names by the first 16 bytes of their SHA-256: nobody can make two names collide.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashSet<u128, BuildHasherDefault<Taken>>);

impl Names {
    /// Takes a name; `false` if it was there already.
    pub(super) fn insert(&mut self, key: &DnKey) -> bool {
        self.0.insert(shortened(key))
    }

    pub(super) fn contains(&self, key: &DnKey) -> bool {
        self.0.contains(&shortened(key))
    }
}

fn shortened(key: &DnKey) -> u128 {
    let digest = Digest::of(key.as_str().as_bytes());
    digest.as_bytes().iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// The keys are digests already: any eight bytes of them are a hash.
#[derive(Clone, Copy, Debug, Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let part = chunk.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
            self.0 = self.0.rotate_left(5) ^ part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_for_is_not_absent() {
        let dn = |text| Dn::parse(text).unwrap();
        let mut existence = Existence::default();
        existence.add(&dn("uid=A,ou=people,dc=x"));
        existence.complete(dn("ou=people,dc=x"));
        assert_eq!(existence.exists(&dn("UID=a, OU=People,dc=x")), Some(true));
        assert_eq!(existence.exists(&dn("uid=b,ou=people,dc=x")), Some(false));
        assert_eq!(existence.exists(&dn("uid=b,ou=partner,dc=x")), None);
    }
}
