//! Which entries exist, by their names.

use untether_model::Dn;

use super::names::{Existing, Names};

/// The names that were seen, and the bases below which every name was seen.
#[derive(Clone, Debug, Default)]
pub struct Existence {
    /// What is being read.
    names: Names,
    /// What was read.
    existing: Existing,
    complete: Vec<Dn>,
}

impl Existence {
    /// Whether an entry exists; `None` where nobody looked, or not completely.
    pub fn exists(&self, dn: &Dn) -> Option<bool> {
        if self.existing.contains(dn.key()) || self.names.exists(dn.key()) {
            return Some(true);
        }
        self.complete.iter().any(|base| dn.is_within(base)).then_some(false)
    }

    /// How many names were seen.
    pub fn len(&self) -> u64 {
        self.names.existing() + u64::try_from(self.existing.len()).unwrap_or(u64::MAX)
    }

    /// Whether no name was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bases below which every name was seen.
    pub fn complete_bases(&self) -> &[Dn] {
        &self.complete
    }

    /// The names, to be added to.
    pub(super) fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Nothing more is read: what was needed for that goes.
    pub(super) fn seal(&mut self) {
        self.existing = Existing::of(&std::mem::take(&mut self.names));
    }

    pub(super) fn complete(&mut self, base: Dn) {
        self.complete.push(base);
    }

    /// Takes back that everything below the base was seen, and with it below bases within it.
    pub(super) fn doubt(&mut self, base: &Dn) {
        self.complete.retain(|seen| !seen.is_within(base) && !base.is_within(seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_for_is_not_absent() {
        let dn = |text| Dn::parse(text).unwrap();
        let mut existence = Existence::default();
        existence.names().sight(dn("uid=A,ou=people,dc=x").key()).exists();
        existence.names().sight(dn("uid=c,ou=people,dc=x").key());
        existence.complete(dn("ou=people,dc=x"));
        let is_known = |existence: &Existence| {
            assert_eq!(existence.exists(&dn("UID=a, OU=People,dc=x")), Some(true));
            assert_eq!(existence.exists(&dn("uid=b,ou=people,dc=x")), Some(false));
            assert_eq!(existence.exists(&dn("uid=c,ou=people,dc=x")), Some(false), "named, but nobody said that it exists");
            assert_eq!(existence.exists(&dn("uid=b,ou=partner,dc=x")), None);
            assert_eq!(existence.len(), 1);
        };
        is_known(&existence);
        existence.seal();
        is_known(&existence);
    }
}
