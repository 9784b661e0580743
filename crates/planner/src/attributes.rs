//! What the planner knows of attributes and object classes beyond a store's schema.
//!
//! The tables are from RFC 4512, 4519, 2798, 2307 and the password policy draft; a caller that has read the object classes of a
//! store hands their required attributes in.

use std::collections::BTreeMap;

use untether_model::schema::Schema;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{AttrName, Value};

/// Attributes that list members of a group.
pub(crate) const GROUP_ATTRS: [&str; 4] = ["member", "uniquemember", "memberuid", "roleoccupant"];

/// Attributes that refer to one other entry.
pub(crate) const REFERENCE_ATTRS: [&str; 4] = ["manager", "secretary", "owner", "seealso"];

/// Attributes that users and servers change on their own: an undo never calls a change of them a conflict.
pub(crate) const USER_OWNED: [&str; 9] = [
    "userpassword",
    "pwdreset",
    "pwdaccountlockedtime",
    "pwdchangedtime",
    "pwdhistory",
    "pwdfailuretime",
    "pwdlastsuccess",
    "pwdgraceusetime",
    "authtimestamp",
];

/// Attributes that decide whether an account lets anybody in.
pub(crate) const LOCK_ATTRS: [&str; 5] = ["pwdaccountlockedtime", "pwdendtime", "pwdpolicysubentry", "userpassword", "pwdreset"];

const OPERATIONAL: [&str; 24] = [
    "entrydn",
    "subschemasubentry",
    "hassubordinates",
    "numsubordinates",
    "contextcsn",
    "authtimestamp",
    "pwdlastsuccess",
    "pwdchangedtime",
    "pwdfailuretime",
    "pwdgraceusetime",
    "pwdhistory",
    "pwdaccountlockedtime",
    "pwdstarttime",
    "pwdendtime",
    "pwdreset",
    "pwdpolicysubentry",
    "memberof",
    "entryuuid",
    "entrycsn",
    "createtimestamp",
    "creatorsname",
    "modifytimestamp",
    "modifiersname",
    "structuralobjectclass",
];

/// Whether the server keeps the attribute, not the user. Without a schema the standard operational attributes are known.
pub(crate) fn is_operational(schema: Option<&Schema>, attr: &AttrName) -> bool {
    OPERATIONAL.contains(&attr.base()) || schema.and_then(|s| s.get(attr)).is_some_and(|a| a.operational || a.read_only)
}

/// Attributes that object classes require, by class in lower case.
const REQUIRED: [(&str, &[&str]); 17] = [
    ("person", &["sn", "cn"]),
    ("organizationalperson", &["sn", "cn"]),
    ("inetorgperson", &["sn", "cn"]),
    ("residentialperson", &["sn", "cn", "l"]),
    ("account", &["uid"]),
    ("posixaccount", &["cn", "uid", "uidnumber", "gidnumber", "homedirectory"]),
    ("shadowaccount", &["uid"]),
    ("uidobject", &["uid"]),
    ("organizationalrole", &["cn"]),
    ("applicationprocess", &["cn"]),
    ("device", &["cn"]),
    ("sambasamaccount", &["uid", "sambasid"]),
    ("krbprincipal", &["krbprincipalname"]),
    ("groupofnames", &["cn", "member"]),
    ("groupofuniquenames", &["cn", "uniquemember"]),
    ("posixgroup", &["cn", "gidnumber"]),
    ("inetlocalmailrecipient", &[]),
];

/// Auxiliary classes that say nothing but that the entry holds a credential: they go with it.
pub(crate) const CREDENTIAL_CLASSES: [(&str, &str); 3] = [
    ("simplesecurityobject", "userpassword"),
    ("strongauthenticationuser", "usercertificate"),
    ("ldappublickey", "sshpublickey"),
];

/// The class that requires this attribute on this entry, if one does.
pub(crate) fn required_by(classes: &[Value], attr: &AttrName, told: &BTreeMap<String, Vec<AttrName>>) -> Option<String> {
    classes.iter().filter_map(Value::as_str).find_map(|class| {
        let folded = class.to_ascii_lowercase();
        if CREDENTIAL_CLASSES.iter().any(|(name, _)| *name == folded) {
            return None;
        }
        let required = match told.get(&folded) {
            Some(attrs) => attrs.iter().any(|a| a.base() == attr.base()),
            None => REQUIRED.iter().any(|(name, attrs)| *name == folded && attrs.contains(&attr.base())),
        };
        required.then(|| class.to_owned())
    })
}

/// Attributes that an entry of these classes must have.
pub(crate) fn required_of(classes: &[String], told: &BTreeMap<String, Vec<AttrName>>) -> Vec<AttrName> {
    let mut all = Vec::new();
    for class in classes {
        let folded = class.to_ascii_lowercase();
        match told.get(&folded) {
            Some(attrs) => all.extend(attrs.iter().cloned()),
            None => {
                let found = REQUIRED.iter().find(|(name, _)| *name == folded);
                all.extend(found.into_iter().flat_map(|(_, attrs)| attrs.iter().map(AttrName::new)));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The values of exactly this attribute, whose name is given in lower case; empty where it is absent.
pub(crate) fn values<'a>(entry: &'a SnapshotEntry, name: &str) -> &'a [Value] {
    entry.attrs.values_of(name)
}
