//! Rights as OpenLDAP writes them down: values of `olcAccess` and `olcLimits` (slapd-config(5), slapd.access(5)).
//!
//! Every rule ends in `by * break`, so that it changes nothing for anybody else; that form also tells our rules from others.

use untether_model::Dn;

use super::grant::{Attrs, Extent, Grant, Level, Place};
use crate::config::BindConfig;

/// How a rule names an identity.
pub fn identity(bind: &BindConfig) -> String {
    match &bind.dn {
        Some(dn) => format!("dn.exact={}", quoted_dn(dn)),
        // slapd's name of whoever connects through the local socket (SASL EXTERNAL).
        None => format!(
            "dn.exact=\"gidNumber={}+uidNumber={},cn=peercred,cn=external,cn=auth\"",
            rustix::process::getgid().as_raw(),
            rustix::process::getuid().as_raw()
        ),
    }
}

/// The rule of a grant for this identity, without its index.
pub fn text(grant: &Grant, who: &str) -> String {
    let place = place(&grant.place);
    let attrs = match &grant.attrs {
        Attrs::All => String::new(),
        Attrs::These(names) => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!(" attrs={}", names.join(","))
        }
    };
    match grant.level {
        Level::Login => format!("to {place}{attrs} by anonymous auth by * break"),
        level => format!("to {place}{attrs} by {who} {} by * break", level.as_str()),
    }
}

/// The limit that lets an identity read everything.
pub fn limit(who: &str) -> String {
    format!("{who} size=unlimited time=unlimited")
}

/// Whether a rule that a server has, without its index, is one of those that [`text`] makes for these identities.
pub fn is_ours<'a>(rule: &str, mut who: impl Iterator<Item = &'a str>) -> bool {
    let Some(head) = rule.trim().strip_suffix(" by * break").filter(|head| head.starts_with("to ")) else { return false };
    let clauses = head.matches(" by ").count();
    clauses == 1
        && who.any(|who| {
            let granted = [Level::None, Level::Read, Level::Write, Level::Manage];
            let named = granted.iter().any(|level| head.ends_with(&format!(" by {who} {}", level.as_str())));
            let login = head == format!("to {who} attrs=userPassword by anonymous auth");
            named || login
        })
}

fn place(place: &Place) -> String {
    let dn = match place.extent {
        Extent::Everything => return "*".to_owned(),
        Extent::Exact => format!("dn.exact={}", quoted_dn(&place.dn)),
        Extent::Subtree => format!("dn.subtree={}", quoted_dn(&place.dn)),
    };
    match &place.filter {
        // A quotation mark in a filter's value may be written as its code (RFC 4515).
        Some(filter) => format!("{dn} filter=\"{}\"", filter.replace('"', "\\22")),
        None => dn,
    }
}

/// Between quotation marks slapd leaves backslashes alone, so only the marks themselves need their code (RFC 4514).
fn quoted_dn(dn: &Dn) -> String {
    format!("\"{}\"", dn.as_str().replace("\\\"", "\\22").replace('"', "\\22"))
}

#[cfg(test)]
mod tests {
    use super::super::grant::Database;
    use super::super::role::Role;
    use super::*;

    fn grant(dn: &str, filter: Option<&str>, attrs: Attrs, level: Level) -> Grant {
        let place = Place::below(&Dn::parse(dn).unwrap()).matching(filter);
        Grant { role: Role::Write, database: Database::Main, place, attrs, level, stops: vec![] }
    }

    const WHO: &str = "dn.exact=\"cn=w,dc=x\"";

    #[test]
    fn a_rule_lets_everybody_else_through_to_the_rules_that_follow() {
        let all = grant("ou=people,dc=x", Some("(cn=a\"b)"), Attrs::All, Level::Read);
        assert_eq!(
            text(&all, WHO),
            "to dn.subtree=\"ou=people,dc=x\" filter=\"(cn=a\\22b)\" by dn.exact=\"cn=w,dc=x\" read by * break"
        );
        let some = grant("cn=a\\,b\\\"c,dc=x", None, Attrs::of(["entry", "userPassword"]), Level::Manage);
        assert_eq!(
            text(&some, WHO),
            "to dn.subtree=\"cn=a\\,b\\22c,dc=x\" attrs=entry,userPassword by dn.exact=\"cn=w,dc=x\" manage by * break"
        );
    }

    #[test]
    fn our_rules_are_told_from_those_of_others() {
        let ours = text(&grant("dc=x", None, Attrs::of(["sn"]), Level::Write), WHO);
        assert!(is_ours(&ours, [WHO].into_iter()));
        let login = format!("to {WHO} attrs=userPassword by anonymous auth by * break");
        assert!(is_ours(&login, [WHO].into_iter()));
        for other in [
            "to * by * read",
            "to * by dn.exact=\"cn=w,dc=x\" write by * none",
            "to * by dn.exact=\"cn=other,dc=x\" write by * break",
            "to * by self read by dn.exact=\"cn=w,dc=x\" write by * break",
            "to attrs=userPassword by anonymous auth by * break",
        ] {
            assert!(!is_ours(other, [WHO].into_iter()), "{other}");
        }
    }
}
