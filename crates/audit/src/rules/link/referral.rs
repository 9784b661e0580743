//! `link.referral`: clients and writes that are sent to a foreign server.

use untether_model::Side;
use untether_model::finding::{Evidence, Severity};
use untether_model::snapshot::SnapshotEntry;

use super::super::{ConfigCase, Context, Draft, RuleDoc};
use crate::links::uris;
use crate::source::texts;

/// The rule.
pub const REFERRAL: RuleDoc = RuleDoc {
    id: "link.referral",
    raised: "olcUpdateRef or olcReferral to a server that is not the store's own. Referral entries that lead outside are coverage.skipped: what is behind them was not read.",
    severity: "Low: it sends clients elsewhere, but only those that follow it.",
    rationale: "Clients that follow it bind at the other server with the credential that they hold; password changes and lockouts go there.",
    remedy: "Remove the referral or point it at the store's own server.",
    answers: &["NIST SP 800-53r5 AC-20", "NIST SP 800-53r5 SC-7"],
};

/// Judges one configuration entry.
pub fn check(case: &ConfigCase<'_>) -> Option<Draft> {
    let servers = &case.context.servers;
    let mut evidence = Evidence::new();
    for (attr, folded) in [("olcUpdateRef", "olcupdateref"), ("olcReferral", "olcreferral")] {
        for url in texts(case.entry, folded).flat_map(uris).filter(|url| servers.is_foreign(case.side, url)) {
            evidence.add(attr, servers.describe(&url));
        }
    }
    if evidence.facts.is_empty() {
        return None;
    }
    let forwards = case.configuration.overlays().iter().any(|overlay| {
        overlay.kind == "ppolicy"
            && overlay.database == case.entry.dn
            && case
                .configuration
                .entry(&overlay.dn)
                .is_some_and(|entry| texts(entry, "olcppolicyforwardupdates").any(|v| v.eq_ignore_ascii_case("TRUE")))
    });
    evidence.add("lockouts-are-forwarded", forwards.to_string());
    if case.disabled {
        evidence.add("disabled", "true");
    }
    Some(Draft::new(&REFERRAL, Severity::Low, evidence))
}

/// Where a referral entry leads, if that is outside.
pub fn leads_outside(context: &Context<'_>, side: Side, entry: &SnapshotEntry) -> Option<String> {
    let foreign = texts(entry, "ref").flat_map(uris).find(|url| context.servers.is_foreign(side, url))?;
    Some(format!("{} refers to {}, which was not read", entry.dn, context.servers.describe(&foreign)))
}
