//! Which servers are whose: the hosts that LDAP URLs name, compared with the stores' own lists.

use std::collections::BTreeSet;

use untether_model::Side;
use untether_model::policy::AuditPolicy;

/// The stores' own servers and realms, compared without case.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    shared: Known,
    independent: Known,
}

#[derive(Clone, Debug, Default)]
struct Known {
    servers: BTreeSet<String>,
    realms: BTreeSet<String>,
}

impl Servers {
    /// What is configured.
    pub fn of(policy: &AuditPolicy) -> Self {
        let known = |side| {
            let store = policy.store(side);
            Known {
                servers: store.own_servers.iter().filter_map(|text| host(text)).collect(),
                realms: store.own_realms.iter().map(|realm| realm.trim().to_lowercase()).collect(),
            }
        };
        Self { shared: known(Side::Shared), independent: known(Side::Independent) }
    }

    fn known(&self, side: Side) -> &Known {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// Whether a URL, seen in the configuration of `side`, leads to a server that is not that store's own. A URL without a host
    /// (`ldap:///`, `ldapi://`) stays on the machine.
    pub fn is_foreign(&self, side: Side, url: &str) -> bool {
        host(url).is_some_and(|host| !self.known(side).servers.contains(&host))
    }

    /// Whose server a URL names: a store's, or nobody's that is known.
    pub fn owner(&self, url: &str) -> Option<Side> {
        let host = host(url)?;
        Side::ALL.into_iter().find(|side| self.known(*side).servers.contains(&host))
    }

    /// What to call a server in evidence.
    pub fn describe(&self, url: &str) -> String {
        match self.owner(url) {
            Some(side) => format!("{url} (a server of the {side} store)"),
            None => format!("{url} (in neither store's list of servers)"),
        }
    }

    /// Whether a realm is not the store's own.
    pub fn is_foreign_realm(&self, side: Side, realm: &str) -> bool {
        !self.known(side).realms.contains(&realm.trim().to_lowercase())
    }

    /// Realms of the other store, in lower case.
    pub fn realms_of(&self, side: Side) -> impl Iterator<Item = &str> {
        self.known(side).realms.iter().map(String::as_str)
    }

    /// Realms and servers of the other side that occur in a text as whole words, and what looks like a realm there (`=realm,cn=…,cn=auth`
    /// patterns are the caller's business).
    pub fn names_within(&self, side: Side, text: &str) -> Vec<String> {
        let text = text.to_lowercase().replace('\\', "");
        let known = self.known(side);
        known.realms.iter().chain(&known.servers).filter(|name| has_word(&text, name)).cloned().collect()
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '-' && c != '.');
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default());
            boundary(before.chars().next_back()) && boundary(after.chars().next())
        })
}

/// The host of a URL, a `host:port` or a host, in lower case and without a final dot; `None` where there is none.
pub fn host(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"');
    let (scheme, rest) = text.split_once("://").unwrap_or(("ldap", text));
    if scheme.eq_ignore_ascii_case("ldapi") {
        return None;
    }
    let authority = rest.split(['/', '?', ',']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None if authority.matches(':').count() > 1 => authority,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_lowercase();
    (!host.is_empty()).then_some(host)
}

/// The URLs of a list such as `olcDbURI` has: separated by blanks or commas, in quotes or not. A comma inside a DN part stays.
pub fn uris(text: &str) -> Vec<String> {
    let text = super::words::without_order(text).replace('"', " ");
    let mut found: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        for piece in word.split(',') {
            match found.last_mut() {
                // The rest of a DN that the comma cut off.
                Some(last) if !piece.contains("://") && last.contains("://") && word.contains("://") => {
                    last.push(',');
                    last.push_str(piece);
                }
                _ if piece.is_empty() => {}
                _ => found.push(piece.to_owned()),
            }
        }
    }
    for url in &mut found {
        url.truncate(url.trim_end_matches(',').len());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use untether_model::policy::StoreAudit;

    #[test]
    fn hosts_are_found_in_every_form_of_url() {
        assert_eq!(host("LDAPS://Ldap.Own.Example.:636/dc=x").as_deref(), Some("ldap.own.example"));
        assert_eq!(host("ldap://[::1]:389").as_deref(), Some("::1"));
        assert_eq!(host("10.0.0.1:389").as_deref(), Some("10.0.0.1"));
        assert_eq!(host("ldapi://%2fvar%2frun"), None);
        assert_eq!(host("ldap:///dc=x"), None);
    }

    #[test]
    fn lists_of_urls_are_split_but_not_their_names() {
        assert_eq!(uris("\"ldap://a/ou=x,dc=y ldap://b\""), ["ldap://a/ou=x,dc=y", "ldap://b"]);
        assert_eq!(uris("{0}ldap://a,ldaps://b:636"), ["ldap://a", "ldaps://b:636"]);
        assert_eq!(uris("ldap://a/, ldap://b/"), ["ldap://a/", "ldap://b/"]);
    }

    #[test]
    fn a_server_in_neither_list_is_foreign_and_so_is_the_other_stores() {
        let mut policy = AuditPolicy::new(StoreAudit::new("dc=a".parse().unwrap()), StoreAudit::new("dc=b".parse().unwrap()));
        policy.shared.own_servers = vec!["ldaps://ldap.shared.example".into()];
        policy.independent.own_servers = vec!["LDAP.own.example".into()];
        policy.shared.own_realms = vec!["Shared.Example".into()];
        let servers = Servers::of(&policy);
        assert!(!servers.is_foreign(Side::Shared, "ldap://ldap.shared.example:389/"));
        assert!(servers.is_foreign(Side::Independent, "ldap://ldap.shared.example"));
        assert!(servers.is_foreign(Side::Shared, "ldap://else.example"));
        assert!(!servers.is_foreign(Side::Shared, "ldap:///"));
        assert_eq!(servers.owner("ldap://ldap.own.example/"), Some(Side::Independent));
        assert!(!servers.is_foreign_realm(Side::Shared, "SHARED.EXAMPLE"));
        assert_eq!(servers.names_within(Side::Shared, r"uid=([^,]+),cn=shared\.example,cn=gssapi,cn=auth"), ["shared.example"]);
        assert!(servers.names_within(Side::Shared, "cn=notshared.example").is_empty());
    }
}
