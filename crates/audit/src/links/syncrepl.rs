//! One `olcSyncrepl` directive (slapd-config(5), "syncrepl"): where from, and whether credentials travel.

use untether_model::Dn;

use super::words::{KeyValues, key_values};

/// Attributes whose arrival is a credential's arrival.
const CREDENTIALS: [&str; 9] = [
    "userpassword",
    "pwdhistory",
    "krbprincipalkey",
    "krb5key",
    "sambantpassword",
    "sambalmpassword",
    "sambapasswordhistory",
    "sshpublickey",
    "userpkcs12",
];

/// A consumer's agreement with its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syncrepl {
    /// Replica id.
    pub rid: String,
    /// The provider's URLs.
    pub providers: Vec<String>,
    /// What is copied.
    pub search_base: Option<Dn>,
    /// A bind credential is stored in the directive.
    pub stored_credential: bool,
    /// The identity that it binds as.
    pub bind_dn: Option<String>,
    /// Credential attributes that travel.
    pub credentials: Vec<&'static str>,
}

impl Syncrepl {
    /// Reads a directive.
    pub fn parse(text: &str) -> Self {
        let keys = key_values(text);
        let get = |name: &str| keys.get(name).filter(|v| !v.is_empty());
        Self {
            rid: get("rid").cloned().unwrap_or_default(),
            providers: get("provider").map(|p| super::servers::uris(p)).unwrap_or_default(),
            search_base: get("searchbase").and_then(|b| Dn::parse(b).ok()),
            stored_credential: keys.contains_key("credentials"),
            bind_dn: get("binddn").or_else(|| get("authcid")).cloned(),
            credentials: travelling(&keys),
        }
    }
}

/// `attrs` limits what travels (all user and operational attributes where it is absent), `exattrs` takes out of that. `attrsonly`
/// carries no values.
fn travelling(keys: &KeyValues) -> Vec<&'static str> {
    if keys.contains_key("attrsonly") && !keys.get("attrsonly").is_some_and(|v| v.eq_ignore_ascii_case("no")) {
        return Vec::new();
    }
    let list = |name: &str| -> Vec<String> {
        let text = keys.get(name).map(String::as_str).unwrap_or_default();
        text.split([',', ' ']).map(|a| a.trim().to_ascii_lowercase()).filter(|a| !a.is_empty()).collect()
    };
    let (included, excluded) = (list("attrs"), list("exattrs"));
    let named = |list: &[String], name: &str| list.iter().any(|a| a == name || a.split(';').next() == Some(name));
    let all_of = |marker: &str| included.iter().any(|a| a == marker);
    CREDENTIALS
        .into_iter()
        .filter(|name| {
            let operational = *name == "pwdhistory";
            // `@class` brings the attributes of an object class: those of people have passwords.
            included.is_empty()
                || named(&included, name)
                || all_of(if operational { "+" } else { "*" })
                || (!operational && included.iter().any(|a| a.starts_with('@')))
        })
        .filter(|name| !named(&excluded, name) && !excluded.iter().any(|a| a == if *name == "pwdhistory" { "+" } else { "*" }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travels(rest: &str) -> bool {
        !Syncrepl::parse(&format!("rid=1 provider=ldap://p {rest}")).credentials.is_empty()
    }

    #[test]
    fn credentials_travel_unless_they_are_left_out() {
        assert!(travels(""));
        assert!(travels("attrs=\"*,+\""));
        assert!(travels("attrs=cn,userPassword"));
        assert!(!travels("attrs=\"cn,sn,mail\""));
        assert!(travels("exattrs=userPassword"), "history and keys still travel");
        assert!(!travels(
            "attrs=* exattrs=userPassword,krbPrincipalKey,krb5Key,sambaNTPassword,sambaLMPassword,sambaPasswordHistory,sshPublicKey,userPKCS12"
        ));
        assert!(!travels("attrsonly"));
    }

    #[test]
    fn provider_base_and_stored_credential_are_read() {
        let sync = Syncrepl::parse(
            r#"{0}rid=007 provider="ldaps://p.example:636" searchbase="dc=a,dc=b" binddn="cn=r,dc=a" credentials=*** type=refreshOnly"#,
        );
        assert_eq!((sync.rid.as_str(), sync.providers.as_slice()), ("007", &["ldaps://p.example:636".to_owned()][..]));
        assert_eq!(sync.search_base, Some("dc=a,dc=b".parse().unwrap()));
        assert!(sync.stored_credential);
        assert_eq!(sync.bind_dn.as_deref(), Some("cn=r,dc=a"));
    }
}
