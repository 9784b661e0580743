//! The register of findings: every finding that any audit of this state has seen, and whether it is gone.
//!
//! Each audit writes it anew, sorted by id, from the one before and from what it has found itself; so what is solved is known exactly,
//! however often something came and went, and two audits are never held in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use untether_ledger::state_dir::Area;
use untether_ledger::{RawRecords, RecordWriter, SealedReader, Shelf};
use untether_model::digest::Digest;
use untether_model::finding::{Finding, Place, Severity};
use untether_model::run::{Compared, SolvedCounts};
use untether_model::{EntityId, FindingId};

use super::{AuditFiles, SealedScratch};
use crate::collect::StoreFailure;
use crate::rules::coverage::SKIPPED;
use crate::spill::Sorter;

/// Bytes of findings that are held in memory before they are sorted into a file.
const SORTED_IN_MEMORY: usize = 8 << 20;

/// What an audit compares itself with.
#[derive(Clone, Copy)]
pub struct Earlier<'a> {
    /// The register of the audit before; `None` where there is none, or it is gone.
    pub register: Option<&'a Digest>,
    /// Findings that people have waived.
    pub waived: &'a BTreeSet<FindingId>,
    /// Nothing that could hold entries was missing: what is not there is gone.
    pub complete: bool,
}

/// A finding that some audit has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    id: FindingId,
    rule: String,
    store: Place,
    entity: Option<EntityId>,
    gone: bool,
}

/// The same of a finding that is here, as it is written: field by field as [`Known`].
#[derive(Serialize)]
struct Here<'a> {
    id: &'a FindingId,
    rule: &'a str,
    store: Place,
    entity: Option<&'a EntityId>,
    gone: bool,
}

/// The register of the audit before. Of what is still here only the id is looked at: that is nearly all of it.
struct Before {
    records: Option<RawRecords<SealedReader>>,
    /// The next record; empty at the end.
    next: Vec<u8>,
}

impl Before {
    fn open(files: &AuditFiles<'_>, register: Option<&Digest>) -> Result<Self, StoreFailure> {
        let open = |digest| SealedReader::open(files.state, files.keys, &Shelf::of(Area::Findings), digest);
        let file = register.map(open).transpose().map_err(StoreFailure::reading)?;
        let mut before = Self { records: file.map(RawRecords::new), next: Vec::new() };
        before.advance()?;
        Ok(before)
    }

    fn advance(&mut self) -> Result<(), StoreFailure> {
        self.next.clear();
        if let Some(records) = &mut self.records {
            self.next.extend_from_slice(records.next_record().map_err(StoreFailure::reading)?.unwrap_or_default());
        }
        Ok(())
    }

    /// The id of the next one; `None` at the end.
    fn id(&self) -> Result<Option<&str>, StoreFailure> {
        if self.next.is_empty() {
            return Ok(None);
        }
        let (id, _) = postcard::take_from_bytes(&self.next).map_err(StoreFailure::reading)?;
        Ok(Some(id))
    }

    /// The next one.
    fn take(&mut self) -> Result<Known, StoreFailure> {
        let known = postcard::from_bytes(&self.next).map_err(StoreFailure::reading)?;
        self.advance()?;
        Ok(known)
    }
}

/// Collects what one audit finds.
pub(super) struct Register<'s, 'a> {
    earlier: Earlier<'s>,
    found: Sorter<'s, SealedScratch<'a>>,
    waived: Vec<(FindingId, Severity)>,
    /// Rules that could not run, wholly or in part.
    skipped: BTreeSet<(String, Place)>,
}

impl<'s, 'a> Register<'s, 'a> {
    pub(super) fn new(earlier: Earlier<'s>, scratch: &'s mut SealedScratch<'a>) -> Self {
        let found = Sorter::new(scratch, SORTED_IN_MEMORY);
        Self { earlier, found, waived: Vec::new(), skipped: BTreeSet::new() }
    }

    pub(super) fn take(&mut self, finding: &Finding) -> Result<(), StoreFailure> {
        if self.earlier.waived.contains(&finding.id) {
            self.waived.push((finding.id.clone(), finding.severity));
        }
        if finding.rule == SKIPPED.id {
            let rules = finding.evidence.facts.get("rule").into_iter().flatten();
            self.skipped.extend(rules.map(|rule| (rule.clone(), finding.store)));
        }
        let here =
            Here { id: &finding.id, rule: &finding.rule, store: finding.store, entity: finding.entity.as_ref(), gone: false };
        let payload = postcard::to_stdvec(&here).map_err(StoreFailure::writing)?;
        self.found.push(finding.id.as_str().as_bytes(), &payload)
    }

    /// Writes the new register and says what is gone.
    pub(super) fn finish(self, files: &AuditFiles<'_>) -> Result<Compared, StoreFailure> {
        let Self { earlier, found, mut waived, skipped } = self;
        let is_gone = |known: &Known| {
            // What nobody looked for is neither there nor gone: it stays as it was.
            let looked = earlier.complete && !skipped.contains(&(known.rule.clone(), known.store));
            known.gone || looked
        };
        let mut before = Before::open(files, earlier.register)?;
        let mut file = RecordWriter::new(files.create(Area::Findings)?);
        let mut solved: BTreeMap<(String, Option<EntityId>, Place), u64> = BTreeMap::new();
        let mut put = |file: &mut RecordWriter<Known, _>, known: Known| {
            let known = Known { gone: is_gone(&known), ..known };
            if known.gone {
                *solved.entry((known.rule.clone(), known.entity.clone(), known.store)).or_default() += 1;
            }
            file.push(&known).map_err(StoreFailure::writing)
        };
        for record in found.finish()? {
            let now = record?;
            while before.id()?.is_some_and(|id| id.as_bytes() < now.key()) {
                put(&mut file, before.take()?)?;
            }
            // The same finding, as it is now.
            if before.id()?.is_some_and(|id| id.as_bytes() == now.key()) {
                before.advance()?;
            }
            file.push_written(now.payload()).map_err(StoreFailure::writing)?;
        }
        while before.id()?.is_some() {
            put(&mut file, before.take()?)?;
        }
        waived.sort();
        let solved = solved.into_iter().map(|((rule, entity, store), findings)| SolvedCounts {
            rule,
            entity,
            store: store.as_str().to_owned(),
            findings,
        });
        Ok(Compared {
            solved: solved.collect(),
            register: file.into_inner().finish().map_err(StoreFailure::writing)?.digest,
            waived,
        })
    }
}

#[cfg(test)]
mod tests {
    use untether_ledger::{Disk, KeyStore, MemoryStorage, StateDir};
    use untether_model::finding::Evidence;

    use super::*;

    fn finding(rule: &str, entry: &str) -> Finding {
        Finding {
            id: FindingId::derive(rule, "shared", entry, ""),
            rule: rule.to_owned(),
            severity: Severity::Medium,
            store: Place::Shared,
            dn: None,
            stable_id: None,
            subject: None,
            entity: Some(EntityId::new("own")),
            protected: false,
            evidence: Evidence::new(),
            remedy: String::new(),
        }
    }

    /// Audits one after the other; each compares itself with the register of the one before.
    struct Audits {
        state: StateDir,
        keys: KeyStore,
        register: Option<Digest>,
        waived: BTreeSet<FindingId>,
    }

    impl Audits {
        fn new() -> Self {
            let state = StateDir::create(Disk::new(MemoryStorage::new()), "/state").unwrap();
            let keys = KeyStore::create(&state).unwrap();
            Self { state, keys, register: None, waived: BTreeSet::new() }
        }

        fn next(&mut self, complete: bool, found: &[Finding]) -> Compared {
            let files = AuditFiles::begin(&self.state, &self.keys, None).unwrap();
            let mut scratch = SealedScratch::new(&files);
            let earlier = Earlier { register: self.register.as_ref(), waived: &self.waived, complete };
            let mut register = Register::new(earlier, &mut scratch);
            found.iter().for_each(|f| register.take(f).unwrap());
            let compared = register.finish(&files).unwrap();
            self.register = Some(compared.register);
            compared
        }

        fn solved(&mut self, complete: bool, found: &[Finding]) -> u64 {
            self.next(complete, found).solved.iter().map(|s| s.findings).sum()
        }
    }

    #[test]
    fn what_a_complete_audit_no_longer_has_is_solved_until_it_is_back() {
        let (a, b, c) = (finding("residual.orphan", "a"), finding("residual.orphan", "b"), finding("residual.dormant", "c"));
        let mut audits = Audits::new();
        assert_eq!(audits.solved(true, &[a.clone(), b.clone(), c.clone()]), 0);
        assert_eq!(audits.solved(true, &[b.clone(), c.clone()]), 1);
        assert_eq!(audits.solved(true, std::slice::from_ref(&b)), 2);
        assert_eq!(audits.solved(true, &[a.clone(), b.clone()]), 1, "what is back is solved no longer");
        let last = audits.next(true, &[]);
        let of = |rule: &str| last.solved.iter().find(|s| s.rule == rule).map(|s| (s.findings, s.store.as_str()));
        assert_eq!((of("residual.orphan"), of("residual.dormant")), (Some((2, "shared")), Some((1, "shared"))));
    }

    #[test]
    fn what_nobody_looked_for_is_not_solved() {
        let (a, b) = (finding("residual.orphan", "a"), finding("link.proxy", "b"));
        let mut audits = Audits::new();
        audits.next(true, &[a.clone(), b.clone()]);
        assert_eq!(audits.solved(false, &[]), 0, "entries may be missing");
        let mut skipped = finding(SKIPPED.id, "");
        skipped.evidence.add("rule", "link.proxy");
        assert_eq!(audits.solved(true, &[skipped.clone()]), 1, "the rule could not run");
        assert_eq!(audits.solved(true, &[]), 3, "now it could, and so is the coverage");
    }

    #[test]
    fn waived_findings_are_told_with_how_grave_they_are() {
        let (a, b) = (finding("residual.orphan", "a"), finding("residual.orphan", "b"));
        let mut audits = Audits::new();
        audits.waived = BTreeSet::from([a.id.clone(), FindingId::new("gone")]);
        let critical = Finding { severity: Severity::Critical, ..a.clone() };
        assert_eq!(audits.next(true, &[critical, b]).waived, [(a.id, Severity::Critical)]);
    }
}
