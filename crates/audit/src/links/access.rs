//! Names in access rules (`olcAccess`, slapd.access(5)).

use std::collections::BTreeSet;

use untether_model::Dn;

use super::words::{without_order, words};

/// Styles behind which a DN stands as it is; `regex` and `set` hold patterns.
const EXACT_STYLES: [&str; 11] =
    ["", "exact", "base", "baseobject", "one", "onelevel", "sub", "subtree", "children", "self", "expand"];

/// One name that an access rule gives rights to or takes them from.
struct Mention {
    dn: Dn,
    is_group: bool,
    /// It says what the rule applies to, not to whom.
    is_target: bool,
    level: Option<String>,
}

/// The DNs that a rule mentions. Those between quotes keep their single backslashes, so they are read as they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AccessDns {
    /// What it applies to.
    pub targets: BTreeSet<Dn>,
    /// To whom.
    pub subjects: BTreeSet<Dn>,
}

/// All DNs that a rule mentions.
pub fn dns_in_access(rule: &str) -> AccessDns {
    let mut found = AccessDns::default();
    for mention in mentions(rule) {
        let place = if mention.is_target { &mut found.targets } else { &mut found.subjects };
        place.insert(mention.dn);
    }
    found
}

/// The identities to which a rule gives the right to write or more (groups left out: who is in one is not said here).
pub fn identities_in_access(rule: &str) -> Vec<Dn> {
    let writes = |level: &str| {
        let level = level.strip_prefix("self").unwrap_or(level);
        match level.strip_prefix(['=', '+']) {
            Some(privileges) => privileges.contains(['w', 'a', 'z', 'm']),
            None => ["write", "add", "delete", "manage"].contains(&level),
        }
    };
    mentions(rule).into_iter().filter(|m| !m.is_group && m.level.as_deref().is_some_and(writes)).map(|m| m.dn).collect()
}

fn mentions(rule: &str) -> Vec<Mention> {
    let raw = raw_words(without_order(rule));
    let mut found: Vec<Mention> = Vec::new();
    let mut after_by: Option<usize> = None;
    for word in &raw {
        if word.eq_ignore_ascii_case("by") {
            after_by = Some(found.len());
            continue;
        }
        let (left, value) = word.split_once('=').unwrap_or((word, ""));
        if left.is_empty() || left == "self" || !word.contains('=') || word.starts_with(['+', '-']) {
            // The level behind the `who` of this clause; `stop`, `continue` and `break` come later and change nothing.
            if let Some(from) = after_by {
                for mention in found.iter_mut().skip(from).filter(|m| m.level.is_none()) {
                    mention.level = Some(word.to_ascii_lowercase());
                }
            }
            continue;
        }
        let left = left.to_ascii_lowercase();
        let (what, style) = left.split_once('.').unwrap_or((left.as_str(), ""));
        let style = style.split(',').next().unwrap_or_default();
        let kind = what.split('/').next().unwrap_or_default();
        if !matches!(kind, "dn" | "group" | "realdn") || !EXACT_STYLES.contains(&style) {
            continue;
        }
        if let Ok(dn) = Dn::parse(value)
            && !dn.is_root()
        {
            found.push(Mention { dn, is_group: kind == "group", is_target: after_by.is_none(), level: None });
        }
    }
    found
}

/// Words with quotes taken off and backslashes kept: a DN's escapes are its own.
fn raw_words(text: &str) -> Vec<String> {
    if !text.contains('"') {
        return words(&text.replace('\\', r"\\"));
    }
    let mut out = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        text.parse().unwrap()
    }

    #[test]
    fn names_on_both_sides_of_a_rule_are_found() {
        let rule = r#"{2}to dn.subtree="ou=people,dc=x" attrs=userPassword by dn.exact="uid=a,ou=people,dc=x" write by group.exact="cn=g,dc=x" read by dn.regex="^uid=.*" read by * none"#;
        let found = dns_in_access(rule);
        assert_eq!(found.targets, BTreeSet::from([dn("ou=people,dc=x")]));
        assert_eq!(found.subjects, BTreeSet::from([dn("cn=g,dc=x"), dn("uid=a,ou=people,dc=x")]));
        assert_eq!(identities_in_access(rule), [dn("uid=a,ou=people,dc=x")]);
    }

    #[test]
    fn a_name_between_quotes_keeps_its_backslashes() {
        let rule = r#"to * by dn="cn=Sato\2C Hanako,dc=x" manage by dn.base="cn=a\"b,dc=x" =w by group/groupOfNames/member="cn=h,dc=x" write"#;
        let subjects = BTreeSet::from([dn(r#"cn=a\"b,dc=x"#), dn("cn=h,dc=x"), dn(r"cn=Sato\, Hanako,dc=x")]);
        assert_eq!(dns_in_access(rule), AccessDns { targets: BTreeSet::new(), subjects });
        assert_eq!(identities_in_access(rule), [dn(r"cn=Sato\, Hanako,dc=x"), dn(r#"cn=a\"b,dc=x"#)]);
        assert_eq!(dns_in_access("to dn.base=\"\" by * read"), AccessDns::default());
    }
}
