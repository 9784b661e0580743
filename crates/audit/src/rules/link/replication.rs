//! `link.replication`: a database that pulls from a foreign server.

use untether_model::finding::{Evidence, Severity};

use super::super::{ConfigCase, Draft, RuleDoc};
use crate::links::Syncrepl;
use crate::source::texts;

/// The rule.
pub const REPLICATION: RuleDoc = RuleDoc {
    id: "link.replication",
    raised: "olcSyncrepl from a server that is not the store's own, or of the other store's suffix.",
    severity: "Critical if any credential attribute travels (attrs includes one or is absent, and exattrs does not take out every one), else medium. Low in a disabled database.",
    rationale: "What is changed there changes here: passwords, locks, deletions. A severed account comes back with the next refresh.",
    remedy: "Remove olcSyncrepl (and olcUpdateRef), revoke the bind credential at the provider, and delete the replica's data or make them the store's own.",
    answers: &["NIST SP 800-53r5 AC-20", "NIST SP 800-53r5 SC-7", "Regulator: complete separation, sync included"],
};

/// Judges one configuration entry.
pub fn check(case: &ConfigCase<'_>) -> Option<Draft> {
    let servers = &case.context.servers;
    let values = texts(case.entry, "olcsyncrepl");
    let mut evidence = Evidence::new();
    let mut worst: Option<Severity> = None;
    for sync in values.map(Syncrepl::parse) {
        let foreign: Vec<&String> = sync.providers.iter().filter(|url| servers.is_foreign(case.side, url)).collect();
        let others = sync.search_base.as_ref().filter(|base| case.other_suffix().is_some_and(|suffix| base.is_within(suffix)));
        if foreign.is_empty() && others.is_none() {
            continue;
        }
        foreign.iter().for_each(|url| evidence.add("provider", servers.describe(url)));
        if let Some(base) = others {
            evidence.add("search-base-of-the-other-store", base.to_string());
        }
        sync.credentials.iter().for_each(|attr| evidence.add("credential-attribute-that-travels", *attr));
        if sync.stored_credential {
            let identity = sync.bind_dn.as_deref().unwrap_or("an identity");
            evidence.add("stored-bind-credential", format!("of {identity}"));
        }
        let severity = if sync.credentials.is_empty() { Severity::Medium } else { Severity::Critical };
        worst = worst.max(Some(severity));
    }
    for values in evidence.facts.values_mut() {
        values.sort();
        values.dedup();
    }
    let worst = worst?;
    if case.disabled {
        evidence.add("disabled", "true");
    }
    Some(Draft::new(&REPLICATION, if case.disabled { Severity::Low } else { worst }, evidence))
}
