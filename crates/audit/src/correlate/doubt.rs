//! Whom an undecided account may belong to, as far as its keys tell.

use untether_model::snapshot::MatchKey;

use super::RowIx;

/// Candidates that are kept of each kind; the others are counted. Whoever has more has a key that says nothing.
const KEPT: usize = 20;

/// Candidates of one account, and the keys that lead to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// People of the roster, by their number.
    pub people: Vec<(u32, MatchKey)>,
    /// Accounts.
    pub accounts: Vec<(RowIx, MatchKey)>,
    /// Accounts that claim the same candidate.
    pub rivals: Vec<RowIx>,
    /// How many more there are.
    pub more: u32,
}

impl Doubt {
    /// A person is a candidate.
    pub fn person(&mut self, person: u32, key: MatchKey) {
        keep(&mut self.people, (person, key), &mut self.more);
    }

    /// An account is a candidate.
    pub fn account(&mut self, row: RowIx, key: MatchKey) {
        keep(&mut self.accounts, (row, key), &mut self.more);
    }

    /// An account claims the same candidate.
    pub fn rival(&mut self, row: RowIx) {
        keep(&mut self.rivals, row, &mut self.more);
    }
}

fn keep<T: PartialEq>(list: &mut Vec<T>, item: T, more: &mut u32) {
    if list.contains(&item) {
        return;
    }
    if list.len() < KEPT {
        list.push(item);
    } else {
        *more = more.saturating_add(1);
    }
}
