//! Object classes of the standard schemas (RFC 4512, 4519, 2798, 2307, 4524, ppolicy): what an entry of them must have, and what
//! stands above them. Deliberately knows neither what a class allows nor any class of a site's own.

/// How a class is used (RFC 4512, section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Abstract,
    Structural,
    Auxiliary,
}

/// One object class.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) above: Option<&'static str>,
    /// Mandatory attributes, those of the classes above left out.
    pub(crate) must: &'static [&'static str],
}

const fn class(name: &'static str, kind: Kind, above: &'static str, must: &'static [&'static str]) -> Class {
    Class { name, kind, above: Some(above), must }
}

use Kind::{Abstract, Auxiliary, Structural};

const CLASSES: &[Class] = &[
    Class { name: "top", kind: Abstract, above: None, must: &["objectClass"] },
    class("person", Structural, "top", &["sn", "cn"]),
    class("organizationalPerson", Structural, "person", &[]),
    class("inetOrgPerson", Structural, "organizationalPerson", &[]),
    class("account", Structural, "top", &["uid"]),
    class("device", Structural, "top", &["cn"]),
    class("organizationalRole", Structural, "top", &["cn"]),
    class("applicationProcess", Structural, "top", &["cn"]),
    class("groupOfNames", Structural, "top", &["member", "cn"]),
    class("groupOfUniqueNames", Structural, "top", &["uniqueMember", "cn"]),
    class("posixGroup", Structural, "top", &["cn", "gidNumber"]),
    class("organization", Structural, "top", &["o"]),
    class("organizationalUnit", Structural, "top", &["ou"]),
    class("domain", Structural, "top", &["dc"]),
    class("country", Structural, "top", &["c"]),
    class("locality", Structural, "top", &[]),
    class("alias", Structural, "top", &["aliasedObjectName"]),
    class("referral", Structural, "top", &["ref"]),
    class("posixAccount", Auxiliary, "top", &["cn", "uid", "uidNumber", "gidNumber", "homeDirectory"]),
    class("shadowAccount", Auxiliary, "top", &["uid"]),
    class("simpleSecurityObject", Auxiliary, "top", &["userPassword"]),
    class("dcObject", Auxiliary, "top", &["dc"]),
    class("uidObject", Auxiliary, "top", &["uid"]),
    class("pwdPolicy", Auxiliary, "top", &["pwdAttribute"]),
    class("pwdPolicyChecker", Auxiliary, "top", &[]),
    class("extensibleObject", Auxiliary, "top", &[]),
    class("labeledURIObject", Auxiliary, "top", &[]),
];

/// The class of this name, compared without case.
pub(crate) fn find(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name.eq_ignore_ascii_case(name))
}

/// Whether `name` is `wanted` or stands below it.
pub(crate) fn is_within(name: &str, wanted: &str) -> bool {
    let mut at = Some(name);
    while let Some(name) = at {
        if name.eq_ignore_ascii_case(wanted) {
            return true;
        }
        at = find(name).and_then(|class| class.above);
    }
    false
}
