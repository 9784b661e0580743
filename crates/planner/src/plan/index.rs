//! Which candidate has which account of the shared store, by name.
//!
//! Names are told apart by hash first and then by the candidates themselves, so that no name is held twice.

use std::hash::{BuildHasher as _, RandomState};

use untether_model::{Dn, Value, hashed};

use super::candidate::{Candidate, SharedAccount};

/// Which account of which candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AccountRef {
    pub candidate: u32,
    pub account: u16,
}

impl AccountRef {
    pub(super) fn of(self, candidates: &[Candidate]) -> Option<&SharedAccount> {
        candidates.get(self.candidate as usize)?.accounts.get(usize::from(self.account))
    }
}

/// Accounts of the shared store. It is asked together with the candidates that it was made of.
pub(super) struct Index {
    hashes: RandomState,
    by_key: Vec<(u64, AccountRef)>,
    by_spelling: Vec<(u64, AccountRef)>,
}

impl Index {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let hashes = RandomState::new();
        let accounts = || {
            candidates.iter().zip(0_u32..).flat_map(|(of, candidate)| {
                of.accounts.iter().zip(0_u16..).map(move |(found, account)| (found, AccountRef { candidate, account }))
            })
        };
        let sorted = |name: fn(&Dn) -> &str| {
            let mut all: Vec<_> = accounts().map(|(found, account)| (hashes.hash_one(name(&found.dn)), account)).collect();
            all.sort_unstable();
            all
        };
        let (by_key, by_spelling) = (sorted(key), sorted(Dn::as_str));
        Self { hashes, by_key, by_spelling }
    }

    pub(super) fn by_key(&self, candidates: &[Candidate], wanted: &str) -> Option<AccountRef> {
        self.find(&self.by_key, candidates, (wanted, key))
    }

    /// The account that a DN value names. Most values are spelled as the entry is, so the value is taken apart only if not.
    pub(super) fn by_value(&self, candidates: &[Candidate], value: &Value) -> Option<AccountRef> {
        let text = value.as_str()?;
        if let Some(found) = self.find(&self.by_spelling, candidates, (text, Dn::as_str)) {
            return Some(found);
        }
        self.by_key(candidates, Dn::parse(text).ok()?.key().as_str())
    }

    /// The last of those with this name.
    fn find(
        &self,
        sorted: &[(u64, AccountRef)],
        candidates: &[Candidate],
        (wanted, name): (&str, fn(&Dn) -> &str),
    ) -> Option<AccountRef> {
        let hash = self.hashes.hash_one(wanted);
        let from = sorted.get(hashed::first_at(sorted, hash, |(hash, _)| *hash)..)?;
        let same = from.iter().take_while(|(found, _)| *found == hash).map(|(_, account)| *account);
        same.filter(|account| account.of(candidates).is_some_and(|found| name(&found.dn) == wanted)).last()
    }
}

fn key(dn: &Dn) -> &str {
    dn.key().as_str()
}
