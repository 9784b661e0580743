//! Entries that a store has beside the generated data: tool identities, canaries and, where no
//! data is given, the suffix with its organizational units and policies.
//!
//! Pure text; the password hashes are handed in.

use super::identities::Credentials;
use super::{Flavour, Role};
use std::fmt::Write;

/// Writes to a string cannot fail; this keeps the call sites free of an impossible error.
macro_rules! put {
    ($text:expr, $($argument:tt)*) => {
        let _ = writeln!($text, $($argument)*);
    };
}

/// Suffix, organizational units, policies and the groups that a test may count on, for a store
/// without generated data.
pub(super) fn empty_store(flavour: Flavour) -> String {
    let suffix = flavour.suffix();
    let name = suffix.split_once('=').and_then(|(_, rest)| rest.split_once(',')).map_or(suffix, |(name, _)| name);
    let mut text = String::new();
    put!(text, "dn: {suffix}\nobjectClass: dcObject\nobjectClass: organization\ndc: {name}\no: {name}\n");
    let units: &[&str] = match flavour {
        Flavour::Shared => &[
            "ou=accounts",
            "ou=own,ou=accounts",
            "ou=domestic,ou=accounts",
            "ou=overseas,ou=accounts",
            "ou=contractors,ou=accounts",
            "ou=services",
            "ou=groups",
            "ou=policies",
            "ou=partner",
        ],
        Flavour::Independent => &["ou=people", "ou=services", "ou=groups", "ou=policies"],
    };
    for unit in units {
        put!(text, "dn: {unit},{suffix}\nobjectClass: organizationalUnit\n");
    }
    match flavour {
        Flavour::Shared => {
            policy(&mut text, suffix, "default", &["pwdLockout: TRUE", "pwdInHistory: 5"]);
            policy(&mut text, suffix, "nolock", &["pwdLockout: FALSE"]);
            policy(&mut text, suffix, "locking", &["pwdLockout: TRUE", "pwdMustChange: TRUE"]);
        }
        Flavour::Independent => {
            policy(
                &mut text,
                suffix,
                "default",
                &["pwdLockout: TRUE", "pwdMustChange: TRUE", "pwdCheckQuality: 0", "pwdInHistory: 5"],
            );
            put!(
                text,
                "dn: cn=admitted,ou=groups,{suffix}\nobjectClass: groupOfNames\n\
                 member: cn=placeholder,ou=system,{suffix}\n"
            );
        }
    }
    text
}

fn policy(text: &mut String, suffix: &str, name: &str, lines: &[&str]) {
    put!(
        text,
        "dn: cn={name},ou=policies,{suffix}\nobjectClass: device\nobjectClass: pwdPolicy\n\
         pwdAttribute: userPassword\n{}\n",
        lines.join("\n")
    );
}

/// `ou=system` with the tool identities and the placeholder, `ou=canaries` with the probe, the
/// control and the canary.
pub(super) fn tool_entries(flavour: Flavour, credentials: &Credentials) -> String {
    let suffix = flavour.suffix();
    let mut text = String::new();
    for unit in ["system", "canaries"] {
        put!(text, "dn: ou={unit},{suffix}\nobjectClass: organizationalUnit\n");
    }
    for (role, hash) in &credentials.hashes {
        let dn = role.dn(suffix);
        match role {
            Role::Reader | Role::Writer | Role::Undo | Role::Config => {
                put!(
                    text,
                    "dn: {dn}\nobjectClass: organizationalRole\n\
                     objectClass: simpleSecurityObject\nuserPassword: {hash}\n"
                );
            }
            Role::Probe | Role::Control => {
                person(&mut text, &dn, role.name(), Some(hash));
            }
            // The root DN has its password in the configuration and no entry.
            Role::Root => {}
        }
    }
    // A groupOfNames must have a member; this one stands in where nobody else is left.
    put!(text, "dn: cn=placeholder,ou=system,{suffix}\nobjectClass: organizationalRole\n");
    person(&mut text, &format!("uid=canary,ou=canaries,{suffix}"), "canary", None);
    text
}

fn person(text: &mut String, dn: &str, name: &str, hash: Option<&String>) {
    put!(
        text,
        "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n\
         mail: {name}@canaries.example"
    );
    if let Some(hash) = hash {
        put!(text, "userPassword: {hash}");
    }
    text.push('\n');
}
