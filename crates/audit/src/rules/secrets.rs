//! Equal credential values in both stores, found by their marks in two passes without keeping all of them.
//!
//! The first pass keeps four bytes a value of the shared store and, of the independent directory, only values whose four bytes were
//! seen; the second pass compares in full.

use serde::{Deserialize, Serialize};
use untether_model::snapshot::{CredentialKind, CredentialMark};

use crate::correlate::{RowIx, hash_text};

/// Whether equal values of this kind give each other away. Public keys and certificates are no secrets, and a pass-through value is
/// not a credential but says where one is checked.
fn counts(mark: &CredentialMark) -> bool {
    !mark.pass_through && !matches!(mark.kind, CredentialKind::SshKey | CredentialKind::Certificate)
}

fn mark_hash(mark: &CredentialMark) -> u64 {
    hash_text(&mark.normalized)
}

fn shortened(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default()
}

/// A value of the independent directory that may stand in the shared store too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    hash: u64,
    subject: u32,
    row: RowIx,
    current: bool,
    salted: bool,
}

/// Accounts of other subjects that are named; beyond that there is a count.
const NAMED_STRANGERS: usize = 20;

/// Where the same value stands in the independent directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretMatch {
    /// The account there.
    pub row: RowIx,
    /// It is another subject's.
    pub stranger: bool,
    /// Neither of the two values stands in a history only.
    pub current: bool,
}

/// All matches of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMatches {
    /// Its subject's own accounts, and the first of other subjects.
    pub matches: Vec<SecretMatch>,
    /// How many values of other subjects' accounts equal one of its own.
    pub strangers: u64,
}

/// The values that may be equal.
#[derive(Clone, Debug, Default)]
pub struct SecretIndex {
    seen: Vec<u32>,
    candidates: Vec<Candidate>,
}

impl SecretIndex {
    /// First pass, shared store.
    pub fn shared(&mut self, marks: &[CredentialMark]) {
        self.seen.extend(marks.iter().filter(|m| counts(m)).map(|m| shortened(mark_hash(m))));
    }

    /// Between the stores.
    pub fn end_shared(&mut self) {
        self.seen.sort_unstable();
        self.seen.dedup();
    }

    /// First pass, independent directory.
    pub fn independent(&mut self, row: RowIx, marks: &[CredentialMark]) {
        for mark in marks.iter().filter(|m| counts(m)) {
            let hash = mark_hash(mark);
            if self.seen.binary_search(&shortened(hash)).is_ok() {
                let current = mark.kind != CredentialKind::History;
                self.candidates.push(Candidate { hash, subject: u32::MAX, row, current, salted: mark.salted });
            }
        }
    }

    /// Between the passes, when the accounts' subjects are known.
    pub fn seal(&mut self, subject_of: impl Fn(RowIx) -> u32) {
        self.seen = Vec::new();
        self.candidates.iter_mut().for_each(|c| c.subject = subject_of(c.row));
        self.candidates.sort_unstable();
        self.candidates.dedup();
    }

    /// Second pass, shared store: where else the values of an account of this subject stand. Equal unsalted values of other subjects
    /// may coincide and are left out.
    pub fn matches(&self, marks: &[CredentialMark], subject: u32) -> SecretMatches {
        let mut found = SecretMatches::default();
        for mark in marks.iter().filter(|m| counts(m)) {
            let hash = mark_hash(mark);
            let bounds = |from: (u64, u32), to: (u64, u32)| {
                let at = |limit| self.candidates.partition_point(|c| (c.hash, c.subject) < limit);
                self.candidates.get(at(from)..at(to)).unwrap_or_default()
            };
            let current = mark.kind != CredentialKind::History;
            for own in bounds((hash, subject), (hash, subject.saturating_add(1))) {
                found.add(own, false, current);
            }
            if !mark.salted {
                continue;
            }
            let before = bounds((hash, 0), (hash, subject));
            let after = bounds((hash, subject.saturating_add(1)), (hash.saturating_add(1), 0));
            for stranger in before.iter().chain(after).filter(|c| c.hash == hash && c.salted) {
                found.strangers += 1;
                if found.matches.iter().filter(|m| m.stranger).count() < NAMED_STRANGERS {
                    found.add(stranger, true, current);
                }
                if found.strangers > MOST_STRANGERS {
                    break;
                }
            }
        }
        found.matches.sort_unstable();
        found
    }
}

/// A template's password on everybody would otherwise be compared with everybody.
const MOST_STRANGERS: u64 = 10_000;

impl SecretMatches {
    fn add(&mut self, candidate: &Candidate, stranger: bool, current: bool) {
        let current = current && candidate.current;
        match self.matches.iter_mut().find(|m| m.row == candidate.row) {
            Some(known) => known.current |= current,
            None => self.matches.push(SecretMatch { row: candidate.row, stranger, current }),
        }
    }
}
