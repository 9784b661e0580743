//! Reading one audit: its accounts into the order of their stable ids, its findings without their evidence.

use std::collections::BTreeSet;
use std::iter::Peekable;

use untether_model::Side;
use untether_model::digest::Digest;
use untether_model::finding::Evidence;

use super::SORT_BYTES;
use super::account::{AccountPart, EntryPart, Part, Whole, key};
use super::compare::ChangeError;
use crate::collect::StoreFailure;
use crate::rules::coverage::SKIPPED;
use crate::spill::{Sorted, Sorter};
use crate::stored::{ScratchError, StoredAudit, TemporaryScratch};

/// All accounts and groups of an audit, to be put into their order.
pub(super) fn accounts<'s>(
    audit: &StoredAudit<'_>,
    unchanged: &[Side],
    scratch: &'s mut TemporaryScratch,
) -> Result<Sorter<'s, TemporaryScratch>, ChangeError> {
    let mut sorter = Sorter::new(scratch, SORT_BYTES);
    let mut push = |key: &[u8], part: &Part| -> Result<(), ChangeError> {
        let payload = postcard::to_stdvec(part).map_err(ChangeError::Record)?;
        Ok(sorter.push(key, &payload)?)
    };
    for subject in audit.subjects()? {
        let subject = subject?;
        for account in &subject.accounts {
            let key = key(account.side, account.stable_id.as_ref().map(|id| id.as_str()), &account.dn);
            push(&key, &Part::Account(AccountPart::of(&subject, account)))?;
            if unchanged.contains(&account.side) {
                push(&key, &Part::Entry(EntryPart::named(&account.dn)))?;
            }
        }
    }
    // Entries that are byte for byte those of the other audit differ in nothing: their names are enough.
    for side in Side::ALL.into_iter().filter(|side| !unchanged.contains(side)) {
        for entry in audit.entries(side)? {
            let entry = entry?;
            if let Some(part) = EntryPart::of(&entry) {
                push(&key(side, entry.stable_id.as_ref().map(|id| id.as_str()), &entry.dn), &Part::Entry(part))?;
            }
        }
    }
    Ok(sorter)
}

/// Sorted parts, put together key by key.
pub(super) struct Wholes<'s> {
    parts: Peekable<Sorted<'s, ScratchError>>,
}

impl<'s> Wholes<'s> {
    pub(super) fn new(parts: Sorted<'s, ScratchError>) -> Self {
        Self { parts: parts.peekable() }
    }
}

impl Iterator for Wholes<'_> {
    type Item = Result<(Vec<u8>, Whole), ChangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let take = |whole: &mut Whole, payload: &[u8]| {
            postcard::from_bytes(payload).map(|part| whole.take(part)).map_err(ChangeError::Record)
        };
        let first = match self.parts.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error.into())),
        };
        let mut whole = Whole::default();
        if let Err(error) = take(&mut whole, first.payload()) {
            return Some(Err(error));
        }
        while let Some(next) = self.parts.next_if(|next| next.as_ref().is_ok_and(|next| next.key() == first.key())) {
            if let Err(error) = next.map_err(ChangeError::from).and_then(|next| take(&mut whole, next.payload())) {
                return Some(Err(error));
            }
        }
        Some(Ok((first.key().to_vec(), whole)))
    }
}

/// Which rules could not run, by store. Findings are sorted by rule, so this ends long before their end.
pub(super) fn skipped(audit: &StoredAudit<'_>, digest: &Digest) -> Result<BTreeSet<(String, String)>, StoreFailure> {
    #[derive(serde::Deserialize)]
    struct Skipped {
        rule: String,
        store: String,
        evidence: Evidence,
    }
    let mut skipped = BTreeSet::new();
    for finding in audit.findings_as::<Skipped>(digest)? {
        let finding = finding?;
        if finding.rule.as_str() > SKIPPED.id {
            break;
        }
        if finding.rule == SKIPPED.id {
            let rules = finding.evidence.facts.get("rule").into_iter().flatten();
            skipped.extend(rules.map(|rule| (finding.store.clone(), rule.clone())));
        }
    }
    Ok(skipped)
}
