//! `link.proxy`: databases and overlays that answer from a foreign server.

use untether_model::finding::{Evidence, Severity};

use super::super::{ConfigCase, Draft, RuleDoc};
use crate::links::{Configuration, key_values, uris, without_order};
use crate::source::texts;

/// The rule.
pub const PROXY: RuleDoc = RuleDoc {
    id: "link.proxy",
    raised: "An ldap, meta or asyncmeta database, a chain or translucent overlay, or a relay to one of these, towards a server that is not the store's own. Raised on the configuration entry that names the server. sock, perl and sql databases answer from code that nobody sees here: they are coverage.skipped.",
    severity: "High; low where it is disabled: it can be opened again.",
    rationale: "Searches and binds are answered by the other company's server; cached and stored binds go on working after the network is cut.",
    remedy: "Remove the database or overlay, revoke its stored credential at the other server, and delete its cache.",
    answers: &["NIST SP 800-53r5 AC-20", "NIST SP 800-53r5 SC-7", "Regulator: which relation ends, and by when"],
};

/// Backends and overlays whose answers nobody sees in the configuration.
const OPAQUE: [&str; 3] = ["sock", "perl", "sql"];

/// The kind of a database or overlay that answers from code which is not in the configuration.
pub fn opaque(case: &ConfigCase<'_>) -> Option<String> {
    let mut kinds = texts(case.entry, "olcdatabase").chain(texts(case.entry, "olcoverlay"));
    let kind = kinds.find_map(|v| OPAQUE.into_iter().find(|o| without_order(v).trim().eq_ignore_ascii_case(o)))?;
    Some(format!("{} is a {kind} backend: it answers from code that was not looked at", case.entry.dn))
}

/// Judges one configuration entry.
pub fn check(case: &ConfigCase<'_>) -> Option<Draft> {
    let is_bind_overlay = texts(case.entry, "objectclass").any(|c| c.eq_ignore_ascii_case("olcPBindConfig"));
    if is_bind_overlay {
        return None;
    }
    let servers = &case.context.servers;
    let own: Vec<String> = texts(case.entry, "olcdburi").flat_map(uris).collect();
    let mut evidence = Evidence::new();
    for url in Configuration::foreign(servers, case.side, &own) {
        evidence.add("server", servers.describe(&url));
    }
    if evidence.facts.is_empty() {
        relayed(case, &mut evidence);
    }
    if evidence.facts.is_empty() {
        return None;
    }
    stored_binds(case, &mut evidence);
    if case.disabled {
        evidence.add("disabled", "true");
    }
    Some(Draft::new(&PROXY, if case.disabled { Severity::Low } else { Severity::High }, evidence))
}

/// Follows a relay to the proxy behind it; a relay of a relay too.
fn relayed(case: &ConfigCase<'_>, evidence: &mut Evidence) {
    let mut entry = case.entry;
    // More steps than there are databases would go in a circle.
    for _ in 0..case.configuration.databases().len() {
        let Some(target) = case.configuration.relay_target(entry) else { return };
        let foreign = Configuration::foreign(&case.context.servers, case.side, &case.configuration.proxied_servers(&target.dn));
        if matches!(target.kind.as_str(), "ldap" | "meta" | "asyncmeta") && !foreign.is_empty() {
            evidence.add("relays-to", target.dn.to_string());
            foreign.iter().for_each(|url| evidence.add("server", case.context.servers.describe(url)));
            return;
        }
        match case.configuration.entry(&target.dn) {
            Some(next) => entry = next,
            None => return,
        }
    }
}

/// Whether binds are stored here or cached by an overlay over the same database.
fn stored_binds(case: &ConfigCase<'_>, evidence: &mut Evidence) {
    for attr in ["olcdbidassertbind", "olcdbaclbind", "olcdbpseudorootbind"] {
        for values in texts(case.entry, attr).map(key_values).filter(|v| v.contains_key("credentials")) {
            let identity = values.get("binddn").or_else(|| values.get("authcid")).map_or("an identity", String::as_str);
            evidence.add("stored-bind-credential", format!("of {identity}"));
        }
    }
    if texts(case.entry, "olcdbaclpasswd").chain(texts(case.entry, "olcdbidassertpasswd")).next().is_some() {
        evidence.add("stored-bind-credential", "of the proxy's own identity");
    }
    let caches = case.configuration.overlays().iter().filter(|o| o.kind == "pcache" && case.entry.dn.is_within(&o.database));
    for cache in caches {
        let binds = case.configuration.entry(&cache.dn).is_some_and(|e| texts(e, "olcpcachebind").next().is_some());
        evidence.add("cached", if binds { "entries and bind credentials (pcache)" } else { "entries (pcache)" });
    }
}
