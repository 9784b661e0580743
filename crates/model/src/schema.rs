//! A store's schema as far as comparing and checking entries needs it: which matching rule and syntax each attribute has, how it
//! normalizes, and what object classes demand and allow.
//!
//! Filled from the server's subschema (`attributeTypes` and `objectClasses`, RFC 4512 section 4.1) or, for an export without one,
//! from [`Schema::standard`], which describes no object classes. Deliberately knows neither content rules, structure rules nor name
//! forms.

mod class;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

pub use class::{ClassKind, ObjectClass};

use crate::{AttrName, Dn, Value};

/// How two values of an attribute are compared for equality (RFC 4517, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equality {
    /// Text without case, blanks collapsed.
    CaseIgnore,
    /// Text with case, blanks collapsed.
    CaseExact,
    /// Digits; blanks mean nothing.
    Numeric,
    /// Telephone numbers: blanks and hyphens mean nothing.
    Telephone,
    /// Distinguished names, also with an optional UID (`uniqueMember`).
    DistinguishedName,
    /// Text without case that is compared as it is (OIDs, booleans, UUIDs).
    Token,
    /// Bytes.
    Octets,
    /// Points in time.
    Time,
    /// The attribute has no equality rule: it can be neither asserted nor deleted by value (openldap: results 122 and 18).
    None,
}

/// What is known of one attribute type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttrType {
    /// Equality rule, own or inherited.
    pub equality: Equality,
    /// At most one value.
    pub single: bool,
    /// `NO-USER-MODIFICATION`.
    pub read_only: bool,
    /// Usage other than `userApplications`.
    pub operational: bool,
    /// The name in the schema's spelling.
    pub name: String,
    /// Number of the syntax (RFC 4517, section 3.3), own or inherited, without its length; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syntax: Option<String>,
    /// Whether it has an ordering rule, own or inherited; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
}

/// The attribute types and object classes of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    types: BTreeMap<String, AttrType>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    classes: BTreeMap<String, ObjectClass>,
}

impl Schema {
    /// The attributes of the standard schemas (RFC 4519, RFC 2798, RFC 2307, ppolicy) that untether touches, for stores that
    /// give no subschema.
    pub fn standard() -> Self {
        let mut schema = Self::default();
        for (names, equality) in STANDARD {
            for name in names.split(' ') {
                let single = SINGLE.contains(&name);
                let operational = OPERATIONAL.contains(&name);
                let read_only = READ_ONLY.contains(&name);
                schema.insert(
                    AttrType {
                        equality: *equality,
                        single,
                        read_only,
                        operational,
                        name: name.to_owned(),
                        syntax: None,
                        ordered: None,
                    },
                    &[name],
                );
            }
        }
        schema
    }

    /// The schema that a subschema entry's `attributeTypes` describe; descriptions that cannot be read are skipped.
    pub fn from_descriptions<'a>(descriptions: impl IntoIterator<Item = &'a str>) -> Self {
        let mut parsed: Vec<Description> = descriptions.into_iter().filter_map(Description::parse).collect();
        let mut schema = Self::default();
        // A supertype may be described after its subtype; each pass settles one level of inheritance.
        while !parsed.is_empty() {
            let before = parsed.len();
            parsed.retain(|description| !schema.take(description, false));
            if parsed.len() == before {
                for description in &parsed {
                    schema.take(description, true);
                }
                break;
            }
        }
        schema
    }

    fn take(&mut self, description: &Description, without_parent: bool) -> bool {
        let parent = match &description.parent {
            None => None,
            Some(name) => match self.types.get(&name.to_ascii_lowercase()) {
                Some(parent) => Some(parent.clone()),
                None if without_parent => None,
                None => return false,
            },
        };
        let inherited = parent.as_ref().map_or(Equality::None, |p| p.equality);
        let equality = description.equality.as_deref().map_or(inherited, equality_of_rule);
        let Some(first) = description.names.first() else { return true };
        let attr = AttrType {
            equality,
            single: description.single,
            read_only: description.read_only,
            operational: description.operational,
            name: first.clone(),
            ordered: Some(description.ordered || parent.as_ref().is_some_and(|p| p.ordered == Some(true))),
            syntax: description.syntax.clone().or_else(|| parent.and_then(|p| p.syntax)),
        };
        let names: Vec<&str> = description.names.iter().map(String::as_str).chain([description.oid.as_str()]).collect();
        self.insert(attr, &names);
        true
    }

    /// The same with the object classes that a subschema entry's `objectClasses` describe; descriptions that cannot be read are
    /// skipped.
    #[must_use]
    pub fn with_classes<'a>(mut self, descriptions: impl IntoIterator<Item = &'a str>) -> Self {
        for (class, names) in descriptions.into_iter().filter_map(ObjectClass::parse) {
            for name in names {
                self.classes.insert(name.to_ascii_lowercase(), class.clone());
            }
        }
        self
    }

    /// The object class of this name, compared without case.
    pub fn class(&self, name: &str) -> Option<&ObjectClass> {
        self.classes.get(&name.to_ascii_lowercase())
    }

    /// Whether a class is `wanted` or stands below it.
    pub fn is_class_within(&self, name: &str, wanted: &str) -> bool {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let Some(class) = self.class(name) else {
                if name.eq_ignore_ascii_case(wanted) {
                    return true;
                }
                continue;
            };
            if self.class(wanted) == Some(class) {
                return true;
            }
            if seen.insert(&class.name) {
                open.extend(class.above.iter().map(String::as_str));
            }
        }
        false
    }

    /// Whether nothing is known of this attribute although the store's own schema is: the server does not know it either.
    pub fn is_undefined(&self, attr: &AttrName) -> bool {
        self.knows_classes() && self.get(attr).is_none()
    }

    /// Whether object classes were read: without them nothing can be said of what an entry must and may have.
    pub fn knows_classes(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The name that stands for an attribute type under all of its names, in lower case; options are left out.
    pub fn canonical<'n>(&'n self, attr: &'n str) -> std::borrow::Cow<'n, str> {
        let base = attr.split(';').next().unwrap_or(attr).to_ascii_lowercase();
        match self.types.get(&base) {
            Some(found) => found.name.to_ascii_lowercase().into(),
            None => base.into(),
        }
    }

    /// Registers an attribute type under all of its names.
    pub fn insert(&mut self, attr: AttrType, names: &[&str]) {
        for name in names {
            self.types.insert(name.to_ascii_lowercase(), attr.clone());
        }
    }

    /// What is known of the attribute, options ignored.
    pub fn get(&self, attr: &AttrName) -> Option<&AttrType> {
        self.types.get(attr.base())
    }

    /// The equality rule; an attribute that the schema does not know compares as bytes.
    pub fn equality(&self, attr: &AttrName) -> Equality {
        self.get(attr).map_or(Equality::Octets, |a| a.equality)
    }

    /// Whether the schema is empty: nothing was read.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The comparable form of a value: equal if and only if the attribute's equality rule calls the values equal.
    pub fn normalize(&self, attr: &AttrName, value: &Value) -> Vec<u8> {
        normalize(self.equality(attr), value)
    }

    /// Whether two sets of values are equal as sets.
    pub fn same_values(&self, attr: &AttrName, left: &[Value], right: &[Value]) -> bool {
        // What was read back is mostly what was written, byte for byte.
        if left == right {
            return true;
        }
        let set = |values: &[Value]| {
            let mut set: Vec<Vec<u8>> = values.iter().map(|v| self.normalize(attr, v)).collect();
            set.sort();
            set.dedup();
            set
        };
        set(left) == set(right)
    }

    /// Whether `values` holds `value`.
    pub fn contains(&self, attr: &AttrName, values: &[Value], value: &Value) -> bool {
        if values.contains(value) {
            return true;
        }
        let wanted = self.normalize(attr, value);
        values.iter().any(|v| self.normalize(attr, v) == wanted)
    }
}

/// The comparable form under one rule.
pub fn normalize(equality: Equality, value: &Value) -> Vec<u8> {
    let Some(text) = value.as_str() else { return value.as_bytes().to_vec() };
    match equality {
        // ASCII is in its normal form.
        Equality::CaseIgnore if text.is_ascii() => collapse(&text.to_ascii_lowercase()).into_bytes(),
        Equality::CaseExact if text.is_ascii() => collapse(text).into_bytes(),
        // Case is folded before characters are put in order (RFC 4518, section 2), and after they are taken apart.
        Equality::CaseIgnore => collapse(&text.nfkc().collect::<String>().to_lowercase().nfkc().collect::<String>()).into_bytes(),
        Equality::CaseExact => collapse(&text.nfkc().collect::<String>()).into_bytes(),
        Equality::Numeric => text.chars().filter(|c| *c != ' ').collect::<String>().into_bytes(),
        Equality::Telephone => text.chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>().to_lowercase().into_bytes(),
        Equality::DistinguishedName => match Dn::parse(text) {
            Ok(dn) => dn.key().as_str().as_bytes().to_vec(),
            Err(_) => value.as_bytes().to_vec(),
        },
        Equality::Token => text.to_ascii_lowercase().into_bytes(),
        Equality::Time => match crate::time::parse_generalized(text) {
            Some(at) => at.to_string().into_bytes(),
            None => value.as_bytes().to_vec(),
        },
        Equality::Octets | Equality::None => value.as_bytes().to_vec(),
    }
}

fn collapse(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn equality_of_rule(rule: &str) -> Equality {
    match rule.to_ascii_lowercase().as_str() {
        "caseignorematch" | "caseignoreia5match" | "caseignorelistmatch" | "2.5.13.2" => Equality::CaseIgnore,
        "caseexactmatch" | "caseexactia5match" | "2.5.13.5" => Equality::CaseExact,
        "numericstringmatch" => Equality::Numeric,
        "telephonenumbermatch" => Equality::Telephone,
        "distinguishednamematch" | "uniquemembermatch" | "2.5.13.1" => Equality::DistinguishedName,
        "generalizedtimematch" | "utctimematch" => Equality::Time,
        "octetstringmatch" | "bitstringmatch" | "certificateexactmatch" => Equality::Octets,
        _ => Equality::Token,
    }
}

/// One `attributeTypes` value, taken apart.
struct Description {
    oid: String,
    names: Vec<String>,
    parent: Option<String>,
    equality: Option<String>,
    syntax: Option<String>,
    ordered: bool,
    single: bool,
    read_only: bool,
    operational: bool,
}

impl Description {
    fn parse(text: &str) -> Option<Self> {
        let mut words = tokens(text).into_iter().peekable();
        if words.next()? != "(" {
            return None;
        }
        let mut description = Self {
            oid: words.next()?,
            names: Vec::new(),
            parent: None,
            equality: None,
            syntax: None,
            ordered: false,
            single: false,
            read_only: false,
            operational: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "NAME" => match words.next()?.as_str() {
                    "(" => {
                        for name in words.by_ref() {
                            if name == ")" {
                                break;
                            }
                            description.names.push(name);
                        }
                    }
                    name => description.names.push(name.to_owned()),
                },
                "SUP" => description.parent = words.next(),
                "EQUALITY" => description.equality = words.next(),
                "SYNTAX" => {
                    let syntax = words.next()?;
                    description.syntax = Some(syntax.split('{').next().unwrap_or_default().to_owned());
                }
                "ORDERING" => description.ordered = words.next().is_some(),
                "DESC" | "SUBSTR" => {
                    words.next();
                }
                "SINGLE-VALUE" => description.single = true,
                "NO-USER-MODIFICATION" => description.read_only = true,
                "USAGE" => description.operational = words.next()? != "userApplications",
                _ => {}
            }
        }
        if description.names.is_empty() {
            description.names.push(description.oid.clone());
        }
        Some(description)
    }
}

/// Words, parentheses and quoted strings of a schema description.
fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\n' => {
                chars.next();
            }
            '(' | ')' => {
                out.push(c.to_string());
                chars.next();
            }
            '\'' => {
                chars.next();
                out.push(chars.by_ref().take_while(|c| *c != '\'').collect());
            }
            _ => {
                let mut word = String::new();
                while let Some(&c) = chars.peek() {
                    if matches!(c, ' ' | '\t' | '\n' | '(' | ')') {
                        break;
                    }
                    word.push(c);
                    chars.next();
                }
                out.push(word);
            }
        }
    }
    out
}

const STANDARD: &[(&str, Equality)] = &[
    (
        "cn sn givenName displayName mail uid ou o dc l st street title description employeeNumber employeeType departmentNumber \
         preferredLanguage carLicense initials gecos businessCategory postalCode postalAddress mailLocalAddress",
        Equality::CaseIgnore,
    ),
    ("homeDirectory loginShell memberUid automountInformation", Equality::CaseExact),
    ("telephoneNumber mobile homePhone pager", Equality::Telephone),
    (
        "member uniqueMember manager secretary owner seeAlso roleOccupant aliasedObjectName memberOf pwdPolicySubentry \
         creatorsName modifiersName reqDN",
        Equality::DistinguishedName,
    ),
    ("objectClass structuralObjectClass uidNumber gidNumber entryUUID entryCSN pwdReset", Equality::Token),
    (
        "createTimestamp modifyTimestamp pwdAccountLockedTime pwdEndTime pwdStartTime pwdChangedTime pwdLastSuccess \
         pwdFailureTime pwdGraceUseTime",
        Equality::Time,
    ),
    ("userPassword pwdHistory userCertificate", Equality::Octets),
    ("jpegPhoto photo audio facsimileTelephoneNumber userPKCS12 userSMIMECertificate", Equality::None),
];

const SINGLE: &[&str] = &[
    "displayName",
    "employeeNumber",
    "preferredLanguage",
    "uidNumber",
    "gidNumber",
    "homeDirectory",
    "loginShell",
    "gecos",
    "dc",
    "aliasedObjectName",
    "entryUUID",
    "entryCSN",
    "createTimestamp",
    "modifyTimestamp",
    "creatorsName",
    "modifiersName",
    "pwdAccountLockedTime",
    "pwdEndTime",
    "pwdStartTime",
    "pwdChangedTime",
    "pwdLastSuccess",
    "pwdReset",
    "pwdPolicySubentry",
    "structuralObjectClass",
];

const OPERATIONAL: &[&str] = &[
    "memberOf",
    "entryUUID",
    "entryCSN",
    "createTimestamp",
    "modifyTimestamp",
    "creatorsName",
    "modifiersName",
    "pwdAccountLockedTime",
    "pwdEndTime",
    "pwdStartTime",
    "pwdChangedTime",
    "pwdLastSuccess",
    "pwdReset",
    "pwdPolicySubentry",
    "pwdFailureTime",
    "pwdGraceUseTime",
    "pwdHistory",
    "structuralObjectClass",
];

const READ_ONLY: &[&str] = &[
    "entryUUID",
    "entryCSN",
    "createTimestamp",
    "modifyTimestamp",
    "creatorsName",
    "modifiersName",
    "pwdChangedTime",
    "pwdLastSuccess",
    "pwdFailureTime",
    "pwdGraceUseTime",
    "pwdHistory",
    "structuralObjectClass",
    "memberOf",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_inherited_and_read_in_any_order() {
        let schema = Schema::from_descriptions([
            "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'RFC4519: (a) name' SUP name )",
            "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
            "( 0.9.2342.19200300.100.1.60 NAME 'jpegPhoto' SYNTAX 1.3.6.1.4.1.1466.115.121.1.28 )",
            "( 1.3.6.1.1.16.4 NAME 'entryUUID' EQUALITY UUIDMatch SYNTAX 1.3.6.1.1.16.1 SINGLE-VALUE NO-USER-MODIFICATION USAGE directoryOperation )",
        ]);
        assert_eq!(schema.equality(&"commonName".into()), Equality::CaseIgnore);
        assert_eq!(schema.equality(&"jpegPhoto".into()), Equality::None);
        let uuid = schema.get(&"ENTRYUUID".into()).unwrap();
        assert!(uuid.single && uuid.read_only && uuid.operational);
    }

    #[test]
    fn object_classes_are_found_by_every_name() {
        let schema =
            Schema::from_descriptions(["( 2.5.4.3 NAME ( 'cn' 'commonName' ) EQUALITY caseIgnoreMatch )"]).with_classes([
                "( 2.5.6.0 NAME 'top' DESC 'a (b) c' ABSTRACT MUST objectClass )",
                "( 2.5.6.9 NAME ( 'groupOfNames' 'gon' ) SUP top STRUCTURAL MUST ( member $ cn ) MAY ( owner $ description ) )",
                "( 9.9 NAME 'extra' SUP ( top $ gon ) AUXILIARY )",
                "not a description",
            ]);
        let group = schema.class("GON").unwrap();
        assert_eq!((group.name.as_str(), group.kind), ("groupOfNames", ClassKind::Structural));
        assert_eq!((group.must.as_slice(), group.may.len()), (&["member".to_owned(), "cn".to_owned()][..], 2));
        assert_eq!(schema.class("2.5.6.9"), Some(group));
        assert_eq!(schema.class("extra").unwrap().above, ["top", "gon"]);
        assert!(schema.is_class_within("EXTRA", "groupofnames") && !schema.is_class_within("top", "extra"));
        assert_eq!(schema.canonical("CommonName;lang-ja"), "cn");
        assert!(schema.knows_classes() && !Schema::standard().knows_classes());
    }

    #[test]
    fn values_compare_by_the_attributes_rule() {
        let schema = Schema::standard();
        let same = |attr: &str, a: &str, b: &str| schema.same_values(&attr.into(), &[a.into()], &[b.into()]);
        assert!(same("cn;lang-ja", "Ｙａｍａｄａ  太郎", "yamada 太郎"));
        assert!(same("cn", "\u{130}\u{316}", "i\u{316}\u{307}"));
        assert!(same("member", "uid=A, dc=x", "UID=a,dc=x"));
        assert!(!same("userPassword", "{SSHA}a", "{ssha}a"));
        assert!(same("pwdEndTime", "20260101000000Z", "20260101000000.0Z"));
        assert!(!same("memberUid", "A", "a"));
        assert!(schema.same_values(&"cn".into(), &["a".into(), "b".into()], &["B".into(), "A".into(), "a".into()]));
    }
}
