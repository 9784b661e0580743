//! `link.mapping`: identities of one side that act as identities of the other.

use untether_model::Dn;
use untether_model::finding::{Evidence, Severity};

use super::super::{ConfigCase, Draft, NameCase, RuleDoc};
use crate::links::words;
use crate::source::texts;

/// The rule.
pub const MAPPING: RuleDoc = RuleDoc {
    id: "link.mapping",
    raised: "olcAuthzRegexp, olcSaslRealm or olcSaslHost of a foreign realm, or authzTo and authzFrom between the sides.",
    severity: "Medium; in a disabled configuration entry low.",
    rationale: "A ticket or certificate of the other side becomes a name of this one, with all of its rights.",
    remedy: "Remove the mapping; where people still need it, replace it by one of the store's own realm.",
    answers: &["NIST SP 800-53r5 IA-8", "NIST SP 800-53r5 AC-20"],
};

/// Judges `authzTo` and `authzFrom` of an entry.
pub fn check(case: &NameCase<'_>) -> Option<Draft> {
    let policy = case.context.policy();
    let other = &policy.store(case.side.other()).suffix;
    if *other == policy.store(case.side).suffix {
        return None;
    }
    let mut evidence = Evidence::new();
    for (attr, folded) in [("authzTo", "authzto"), ("authzFrom", "authzfrom")] {
        for rule in texts(case.entry, folded) {
            let realm = case.context.servers.names_within(case.side.other(), rule).into_iter().next();
            if realm.is_some() || names_suffix(rule, other) {
                evidence.add(attr, rule);
            }
        }
    }
    (!evidence.facts.is_empty()).then(|| Draft::new(&MAPPING, Severity::Medium, evidence))
}

/// Whether an authorization rule (`dn[.style]:…`, a URL, `u:…`, slapd.conf(5) "authz-policy") names something below a suffix.
fn names_suffix(rule: &str, suffix: &Dn) -> bool {
    let lower = rule.trim().to_lowercase();
    if lower.starts_with("dn")
        && let Some((_, name)) = rule.split_once(':')
        && let Ok(dn) = Dn::parse(name.trim())
    {
        return dn.is_within(suffix);
    }
    // URLs and patterns: the suffix stands in them as text.
    let compact = |text: &str| text.to_lowercase().replace([' ', '\\'], "");
    compact(rule).contains(&compact(suffix.as_str()))
}

/// Judges one configuration entry.
pub fn check_config(case: &ConfigCase<'_>) -> Option<Draft> {
    let servers = &case.context.servers;
    let side = case.side;
    let mut evidence = Evidence::new();
    for mapping in texts(case.entry, "olcauthzregexp") {
        let parts = words::words(&mapping.replace('\\', r"\\"));
        let (pattern, replacement) = (parts.first().map_or("", String::as_str), parts.get(1).map_or("", String::as_str));
        if let Some(realm) = foreign_realm(case, pattern) {
            evidence.add("olcAuthzRegexp", format!("realm {realm}: {mapping}"));
        } else if replacement.contains("://") && servers.is_foreign(side, replacement) {
            evidence.add("olcAuthzRegexp", format!("searches {}: {mapping}", servers.describe(replacement)));
        }
    }
    for realm in texts(case.entry, "olcsaslrealm").filter(|realm| servers.is_foreign_realm(side, realm)) {
        evidence.add("olcSaslRealm", realm);
    }
    for host in texts(case.entry, "olcsaslhost").filter(|host| servers.is_foreign(side, host)) {
        evidence.add("olcSaslHost", servers.describe(host));
    }
    if evidence.facts.is_empty() {
        return None;
    }
    if case.disabled {
        evidence.add("disabled", "true");
    }
    Some(Draft::new(&MAPPING, if case.disabled { Severity::Low } else { Severity::Medium }, evidence))
}

/// The foreign realm that a pattern names: what stands before the mechanism in `uid=…,cn=REALM,cn=MECHANISM,cn=auth`, or a realm or
/// server of the other side anywhere in it. A wildcard names no realm.
fn foreign_realm(case: &ConfigCase<'_>, pattern: &str) -> Option<String> {
    let plain = pattern.replace('\\', "");
    let parts: Vec<&str> = plain.trim_matches(['^', '$', '"']).split(',').map(str::trim).collect();
    let literal = match parts.as_slice() {
        [_, .., realm, _, auth] if auth.eq_ignore_ascii_case("cn=auth") => realm.split_once('=').map(|(_, value)| value),
        _ => None,
    };
    let is_literal = |realm: &str| !realm.is_empty() && !realm.contains(['(', ')', '[', ']', '*', '+', '?', '^', '|', '$']);
    let named = literal.filter(|realm| is_literal(realm) && case.context.servers.is_foreign_realm(case.side, realm));
    // `uid=…,cn=MECHANISM,cn=auth` has no realm: its first part is the user's.
    let named = named.filter(|_| parts.len() >= 4).map(str::to_owned);
    named.or_else(|| case.context.servers.names_within(case.side.other(), pattern).into_iter().next())
}
