//! Ids that another id took the place of, and what is asked about them: which one a subject has now, and which ones it had.

use std::collections::{BTreeMap, BTreeSet};

use crate::SubjectId;

/// Which id took the place of which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aliases {
    /// The id that took an id's place; the id itself where it is there again.
    next: BTreeMap<SubjectId, SubjectId>,
    /// The same the other way round, so that nobody's earlier ids are searched for among everybody's.
    before: BTreeMap<SubjectId, BTreeSet<SubjectId>>,
}

impl Aliases {
    /// From now on `to` stands for `from`.
    pub(super) fn put(&mut self, from: SubjectId, to: SubjectId) {
        if let Some(last) = self.next.insert(from.clone(), to.clone())
            && let Some(before) = self.before.get_mut(&last)
        {
            before.remove(&from);
            if before.is_empty() {
                self.before.remove(&last);
            }
        }
        if from != to {
            self.before.entry(to).or_default().insert(from);
        }
    }

    /// As they were recorded.
    pub(super) fn all(&self) -> &BTreeMap<SubjectId, SubjectId> {
        &self.next
    }

    /// The id that took this id's place, followed to the end; the id itself where none did.
    pub(super) fn resolve<'a>(&'a self, id: &'a SubjectId) -> &'a SubjectId {
        let mut at = id;
        for _ in 0..self.next.len() {
            match self.next.get(at).filter(|next| *next != at) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// Ids that this one took the place of, directly or through others; sorted.
    pub(super) fn earlier<'a>(&'a self, now: &SubjectId) -> BTreeSet<&'a SubjectId> {
        let mut found = BTreeSet::new();
        let mut left: Vec<&SubjectId> = self.before.get(now).into_iter().flatten().collect();
        while let Some(id) = left.pop() {
            if id != now && found.insert(id) {
                left.extend(self.before.get(id).into_iter().flatten());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> SubjectId {
        SubjectId::new(format!("s{n}"))
    }

    #[test]
    fn an_id_that_is_there_again_is_nobodys_earlier_one() {
        let mut aliases = Aliases::default();
        aliases.put(id(1), id(2));
        aliases.put(id(2), id(3));
        assert_eq!((aliases.resolve(&id(1)), aliases.earlier(&id(3))), (&id(3), BTreeSet::from([&id(1), &id(2)])));
        aliases.put(id(2), id(2));
        assert_eq!((aliases.resolve(&id(1)), aliases.earlier(&id(3))), (&id(2), BTreeSet::new()));
        assert_eq!(aliases.earlier(&id(2)), BTreeSet::from([&id(1)]));
    }

    proptest! {
        /// An id leads forward only, as the ledger has it: no id comes to stand for itself through others.
        #[test]
        fn an_ids_earlier_ones_are_those_that_lead_to_it(links in prop::collection::vec((0u8..12, 0u8..12), 0..40)) {
            let mut aliases = Aliases::default();
            for (a, b) in links {
                aliases.put(id(a.min(b)), id(a.max(b)));
            }
            for now in (0..12).map(id).filter(|now| aliases.resolve(now) == now) {
                let leading: BTreeSet<&SubjectId> =
                    aliases.all().keys().filter(|earlier| **earlier != now && aliases.resolve(earlier) == &now).collect();
                prop_assert_eq!(aliases.earlier(&now), leading);
            }
        }
    }
}
