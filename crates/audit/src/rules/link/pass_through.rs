//! `link.pass-through`: passwords that are checked elsewhere.

use untether_model::finding::{Evidence, Severity};

use super::super::{AccountCase, ConfigCase, Draft, RuleDoc};
use crate::links::uris;
use crate::source::texts;

/// The rule.
pub const PASS_THROUGH: RuleDoc = RuleDoc {
    id: "link.pass-through",
    raised: "A userPassword value of scheme SASL, KERBEROS, RADIUS or UNIX whose realm is not the store's own or that has none; or a pbind or remoteauth overlay towards a foreign server (or towards a list in a file, which was not read).",
    severity: "High; a UNIX value alone medium; a disabled overlay low.",
    rationale: "Whoever runs the other server can log in as these people, and sees their passwords. With remoteauth an account without any password can authenticate.",
    remedy: "Give the accounts credentials of this store and replace the values; remove the overlay and its stored credential.",
    answers: &["NIST SP 800-53r5 IA-5", "NIST SP 800-53r5 AC-20", "Regulator: technical separation, authentication included"],
};

/// Judges one account.
pub fn check(case: &AccountCase<'_>) -> Option<Draft> {
    let mut found: Option<(Severity, Evidence)> = None;
    for mark in case.entry.credentials.iter().filter(|mark| mark.pass_through && mark.attr.is("userpassword")) {
        let scheme = mark.scheme.as_deref().unwrap_or_default();
        let foreign = match &mark.realm {
            Some(realm) => case.context.servers.is_foreign_realm(case.side, realm),
            None => true,
        };
        if !foreign {
            continue;
        }
        let severity = if scheme == "UNIX" { Severity::Medium } else { Severity::High };
        let realm = mark.realm.as_deref().map_or_else(|| "no realm".to_owned(), |realm| format!("realm {realm}"));
        let (worst, evidence) = found.get_or_insert_with(|| (severity, Evidence::new()));
        *worst = severity.max(*worst);
        evidence.add("value", format!("{{{scheme}}} with {realm}"));
    }
    found.map(|(severity, evidence)| Draft::new(&PASS_THROUGH, severity, evidence))
}

/// Judges one overlay.
pub fn check_overlay(case: &ConfigCase<'_>) -> Option<Draft> {
    let texts = |folded: &str| -> Vec<&str> { texts(case.entry, folded).collect() };
    let is_class = |class: &str| texts("objectclass").iter().any(|c| c.eq_ignore_ascii_case(class));
    let mut evidence = Evidence::new();
    let servers = &case.context.servers;
    if is_class("olcPBindConfig") {
        for url in texts("olcdburi").into_iter().flat_map(uris).filter(|url| servers.is_foreign(case.side, url)) {
            evidence.add("every-bind-goes-to", servers.describe(&url));
        }
    } else if is_class("olcRemoteAuthCfg") {
        for mapping in texts("olcremoteauthmapping") {
            // `domain host`, `domain URL` or `domain file:///list` (slapo-remoteauth(5)).
            let target = mapping.split_whitespace().next_back().unwrap_or_default().trim_matches('"');
            if target.to_ascii_lowercase().starts_with("file:") {
                evidence.add("file-not-read", target);
            } else if servers.is_foreign(case.side, target) {
                evidence.add("binds-without-password-go-to", servers.describe(target));
            }
        }
        let stores = texts("olcremoteauthstore").iter().any(|v| v.eq_ignore_ascii_case("TRUE"));
        if stores && !evidence.facts.is_empty() {
            evidence.add("remote-password-is-stored-here", "true");
        }
    }
    if evidence.facts.is_empty() {
        return None;
    }
    let severity = if case.disabled { Severity::Low } else { Severity::High };
    if case.disabled {
        evidence.add("disabled", "true");
    }
    Some(Draft::new(&PASS_THROUGH, severity, evidence))
}
