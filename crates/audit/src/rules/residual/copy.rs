//! `residual.copy`: logs, changelogs, tombstones and backup areas that keep what was erased.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::finding::{Evidence, Finding, Severity};
use untether_model::policy::CopyKind;
use untether_model::snapshot::CopyRecord;
use untether_model::{Dn, Side};

use super::super::cases::{Spot, finding};
use super::super::context::Named;
use super::super::{Context, Draft, RuleDoc};

/// The rule.
pub const COPY: RuleDoc = RuleDoc {
    id: "residual.copy",
    raised: "An access log, changelog, tombstone or configured backup area that holds credential material, or records of accounts that have a status finding or no longer exist: one finding for each area, with counts.",
    severity: "High: what is erased from the entries can be read here.",
    rationale: "OpenLDAP's access log keeps password values and histories of scrubbed and deleted entries; a scrub writes the hashes there itself.",
    remedy: "Purge the area's records (olcAccessLogPurge, or delete them as the log's root identity) after the scrub, and stop logging old values of credential attributes.",
    answers: &["NIST SP 800-53r5 AU-9", "NIST SP 800-53r5 MP-6", "NIST SP 800-53r5 IA-5"],
};

/// Counts of one area.
#[derive(Clone, Debug, Default)]
struct Counts {
    records: u64,
    with_credentials: u64,
    residual: u64,
    gone: u64,
    attrs: BTreeSet<String>,
}

/// Gathers the areas of one store.
pub struct Areas<'a> {
    context: &'a Context<'a>,
    side: Side,
    areas: BTreeMap<Dn, Counts>,
}

impl<'a> Areas<'a> {
    /// None seen yet.
    pub fn new(context: &'a Context<'a>, side: Side) -> Self {
        Self { context, side, areas: BTreeMap::new() }
    }

    /// Takes what an area holds about one entry.
    pub fn take(&mut self, copy: &CopyRecord) {
        let was_account = self.was_account(&copy.about);
        let counts = self.areas.entry(copy.area.clone()).or_default();
        counts.records += copy.records;
        counts.with_credentials += copy.with_credentials;
        counts.attrs.extend(copy.credential_attrs.iter().map(ToString::to_string));
        // In a backup area the copy itself is the entry: which account it was is not told by its name.
        if matches!(copy.kind, CopyKind::Tombstone | CopyKind::Backup) {
            return;
        }
        match self.context.named(self.side, &copy.about) {
            Named::Account(_, Some(_)) => counts.residual += copy.records,
            Named::Nothing if was_account => counts.gone += copy.records,
            Named::Account(_, None) | Named::Nothing | Named::Elsewhere => {}
        }
    }

    fn was_account(&self, dn: &Dn) -> bool {
        self.context.policy().store(self.side).accounts.iter().any(|scope| dn.is_within(&scope.base) && *dn != scope.base)
    }

    /// One finding for each area that holds what it should not.
    pub fn findings(self) -> impl Iterator<Item = Finding> {
        let side = self.side;
        self.areas.into_iter().filter(|(_, c)| c.with_credentials + c.residual + c.gone > 0).map(move |(area, counts)| {
            let mut evidence = Evidence::new()
                .with("records", counts.records.to_string())
                .with("records-with-credentials", counts.with_credentials.to_string())
                .with("records-of-accounts-with-status-finding", counts.residual.to_string())
                .with("records-of-accounts-that-no-longer-exist", counts.gone.to_string());
            counts.attrs.into_iter().for_each(|attr| evidence.add("credential-attribute", attr));
            let draft = Draft::new(&COPY, Severity::High, evidence);
            finding(draft, Spot { side, dn: &area, stable_id: None, subject: None, entity: None, protected: false })
        })
    }
}
