//! From what each key leads to, to a decision or the reason why there is none.

use untether_model::snapshot::MatchKey;

/// Why an account is left undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// The strongest key that matches has several candidates.
    Ambiguous,
    /// Two keys lead to different subjects.
    Conflicting,
}

/// What an account's keys come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// No key matches anybody.
    Nobody,
    /// All keys that match lead to this one; the strongest of them decided.
    Decided(T, MatchKey),
    /// They do not.
    Undecided(Undecided),
}

/// Weighs what the keys lead to, the strongest first. Several leads of one key (mail addresses) are that key together.
pub fn weigh<T: Copy + Ord>(leads: &[(MatchKey, Vec<T>)]) -> Outcome<T> {
    let Some((strongest, _)) = leads.first() else { return Outcome::Nobody };
    let strong: Vec<&Vec<T>> = leads.iter().filter(|(key, _)| key == strongest).map(|(_, found)| found).collect();
    let mut common: Vec<T> = strong.first().map(|first| (*first).clone()).unwrap_or_default();
    common.sort_unstable();
    common.dedup();
    let mut all = common.clone();
    for found in strong.iter().skip(1) {
        common.retain(|candidate| found.contains(candidate));
        all.extend(found.iter().copied());
    }
    all.sort_unstable();
    all.dedup();
    let chosen = match (all.as_slice(), common.as_slice()) {
        ([], _) => return Outcome::Nobody,
        ([only], _) | (_, [only]) => *only,
        (_, []) => return Outcome::Undecided(Undecided::Conflicting),
        _ => return Outcome::Undecided(Undecided::Ambiguous),
    };
    let contradicts = leads.iter().any(|(key, found)| key != strongest && !found.is_empty() && !found.contains(&chosen));
    match contradicts {
        true => Outcome::Undecided(Undecided::Conflicting),
        false => Outcome::Decided(chosen, *strongest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MatchKey::{EntityNumber, Link, Login, Mail};

    #[test]
    fn the_strongest_key_decides_unless_another_contradicts_it() {
        assert_eq!(weigh::<u32>(&[]), Outcome::Nobody);
        assert_eq!(weigh(&[(EntityNumber, vec![1]), (Mail, vec![1, 2])]), Outcome::Decided(1, EntityNumber));
        assert_eq!(weigh(&[(EntityNumber, vec![1, 2]), (Mail, vec![1])]), Outcome::Undecided(Undecided::Ambiguous));
        assert_eq!(weigh(&[(EntityNumber, vec![1]), (Mail, vec![2])]), Outcome::Undecided(Undecided::Conflicting));
        assert_eq!(weigh(&[(Link, vec![3]), (EntityNumber, vec![4, 5])]), Outcome::Undecided(Undecided::Conflicting));
        assert_eq!(weigh(&[(Mail, vec![1]), (Mail, vec![2]), (Login, vec![1])]), Outcome::Undecided(Undecided::Conflicting));
        assert_eq!(weigh(&[(Mail, vec![1]), (Mail, vec![1, 2])]), Outcome::Decided(1, Mail));
    }
}
