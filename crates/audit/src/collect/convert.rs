//! From an entry as a server holds it to an entry as a snapshot keeps it: no credential value passes.

use untether_model::snapshot::{CredentialKind, CredentialMark, EntryRole, SnapshotEntry};
use untether_model::{AttrMap, AttrName, Entry, StableId, Value, Values};

use super::credential::{Credentials, Marker};

/// Attributes that hold an entry's immutable id, in the order in which servers are told apart.
const STABLE_IDS: [&str; 4] = ["entryuuid", "nsuniqueid", "ipauniqueid", "objectguid"];

/// Makes snapshot entries.
pub struct Converter<'a> {
    credentials: &'a Credentials,
    marker: &'a dyn Marker,
}

impl<'a> Converter<'a> {
    /// With these credential attributes and this maker of marks.
    pub fn new(credentials: &'a Credentials, marker: &'a dyn Marker) -> Self {
        Self { credentials, marker }
    }

    /// An entry of a store.
    pub fn entry(&self, role: EntryRole, entry: Entry) -> SnapshotEntry {
        let Entry { dn, mut attrs } = entry;
        let mut credentials: Vec<CredentialMark> = Vec::new();
        attrs.retain(|attr, values| {
            if let Some(kind) = self.credentials.kind(attr) {
                credentials.extend(values.iter().map(|v| self.credentials.mark(self.marker, attr, kind, v)));
                return false;
            }
            if role == EntryRole::Config {
                *values = self.redacted(attr, std::mem::take(values), &mut credentials);
            }
            true
        });
        // The server returns values in no order; a snapshot has one.
        credentials.sort();
        SnapshotEntry { role, dn, stable_id: stable_id(&attrs), change_marker: change_marker(&attrs), attrs, credentials }
    }

    /// Values of an attribute of `cn=config`, with the secrets in them replaced and noted.
    fn redacted(&self, attr: &AttrName, values: Values, credentials: &mut Vec<CredentialMark>) -> Values {
        let mut note = |secret: &str| {
            let mark = self.credentials.mark(self.marker, attr, CredentialKind::Password, &Value::from(secret));
            credentials.push(mark);
        };
        let redact = |value: Value| match value.as_str() {
            Some(text) if is_secret(attr) => {
                note(without_order(text));
                Value::from(REDACTED)
            }
            Some(text) => match redact_parameters(text, &mut note) {
                Some(redacted) => Value::from(redacted),
                None => value,
            },
            None => value,
        };
        values.into_iter().map(redact).collect()
    }
}

/// The immutable id that the server gave an entry.
pub fn stable_id(attrs: &AttrMap) -> Option<StableId> {
    STABLE_IDS.iter().find_map(|name| {
        let value = attrs.get(*name)?.first()?;
        let text = match value.as_str() {
            Some(text) if *name != "objectguid" => text.to_ascii_lowercase(),
            _ => data_encoding::HEXLOWER.encode(value.as_bytes()),
        };
        Some(StableId::new(text))
    })
}

fn change_marker(attrs: &AttrMap) -> Option<String> {
    let values = ["entrycsn", "usnchanged", "modifytimestamp"].into_iter().find_map(|name| attrs.get(name))?;
    values.first()?.as_str().map(str::to_owned)
}

const REDACTED: &str = "(redacted)";

/// Whether every value of this configuration attribute is a secret as a whole.
fn is_secret(attr: &AttrName) -> bool {
    let base = attr.base();
    base.starts_with("olc") && ["pw", "passwd", "password", "secret", "dbpass"].iter().any(|end| base.ends_with(end))
}

/// A value without the `{n}` by which `cn=config` orders values.
fn without_order(text: &str) -> &str {
    text.strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .filter(|(order, _)| !order.is_empty() && order.bytes().all(|b| b.is_ascii_digit()))
        .map_or(text, |(_, rest)| rest)
}

/// Replaces the values of `credentials=`, `bindpw=` and the like in a list of parameters (slapd-config(5), `olcSyncrepl`,
/// `olcDbIDAssertBind`). `None` where there are none.
fn redact_parameters(text: &str, note: &mut impl FnMut(&str)) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((before, after)) = next_parameter(rest) {
        let (secret, behind) = parameter_value(after);
        note(secret);
        out.push_str(before);
        out.push_str(REDACTED);
        rest = behind;
        found = true;
    }
    out.push_str(rest);
    found.then_some(out)
}

/// Splits behind the `=` of the next secret parameter.
fn next_parameter(text: &str) -> Option<(&str, &str)> {
    let lower = text.to_ascii_lowercase();
    let ends = ["credentials=", "bindpw=", "secret=", "passwd=", "password="].into_iter().flat_map(|name| {
        let lower = &lower;
        lower.match_indices(name).filter_map(move |(at, _)| {
            // A parameter begins the value or follows a blank, a quote or the order in braces.
            let begins = lower.get(..at)?.chars().next_back().is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '}' | ','));
            begins.then_some(at + name.len())
        })
    });
    ends.min().and_then(|end| text.split_at_checked(end))
}

/// The value of a parameter and what follows: quoted with backslash escapes, or up to the next blank.
fn parameter_value(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (quoted.get(..at).unwrap_or_default(), quoted.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (quoted, "")
}

#[cfg(test)]
mod tests {
    use untether_model::Dn;
    use untether_model::policy::CredentialAttributes;

    use super::*;

    struct Length;

    impl Marker for Length {
        fn mark(&self, _: &str, value: &[u8]) -> String {
            value.len().to_string()
        }
    }

    fn convert(role: EntryRole, attrs: &[(&str, &str)]) -> SnapshotEntry {
        let mut entry = Entry::new(Dn::parse("cn=x").unwrap());
        for (name, value) in attrs {
            entry.attrs.entry(AttrName::new(name)).or_default().push(Value::from(*value));
        }
        Converter::new(&Credentials::new(&CredentialAttributes::default()), &Length).entry(role, entry)
    }

    #[test]
    fn credential_values_leave_marks_only() {
        let entry = convert(
            EntryRole::Account,
            &[("uid", "taro"), ("userPassword", "{SSHA}topsecret"), ("entryUUID", "ABC-1"), ("entryCSN", "2026#0")],
        );
        assert!(!serde_json::to_string(&entry).unwrap().contains("topsecret"));
        assert_eq!(entry.credentials.len(), 1);
        assert_eq!(entry.stable_id.unwrap().as_str(), "abc-1");
        assert_eq!(entry.change_marker.as_deref(), Some("2026#0"));
        assert_eq!(entry.attrs.len(), 3);
    }

    #[test]
    fn bind_credentials_of_cn_config_are_redacted_and_noted() {
        let value = r#"{0}rid=001 provider=ldaps://a.example binddn="cn=sync,dc=a" credentials="to\"p secret" searchbase="dc=a""#;
        let entry = convert(EntryRole::Config, &[("olcSyncrepl", value), ("olcRootPW", "rootsecret"), ("olcSuffix", "dc=a")]);
        let text = serde_json::to_string(&entry).unwrap();
        assert!(!text.contains("secret\"") && !text.contains("to\\") && !text.contains("rootsecret"), "{text}");
        let kept = entry.attrs[&AttrName::new("olcSyncrepl")][0].as_str().unwrap().to_owned();
        assert_eq!(
            kept,
            r#"{0}rid=001 provider=ldaps://a.example binddn="cn=sync,dc=a" credentials=(redacted) searchbase="dc=a""#
        );
        assert_eq!(entry.credentials.len(), 2);
        let plain = convert(EntryRole::Config, &[("olcDbIDAssertBind", "bindmethod=simple Credentials=open mode=self")]);
        assert_eq!(
            plain.attrs[&AttrName::new("olcDbIDAssertBind")][0].as_str().unwrap(),
            "bindmethod=simple Credentials=(redacted) mode=self"
        );
        assert_eq!(plain.credentials[0].exact, "4");
        let whole = convert(EntryRole::Config, &[("olcDbACLPasswd", "{0}abc"), ("olcPasswordHash", "{SSHA}")]);
        assert_eq!(whole.attrs[&AttrName::new("olcDbACLPasswd")][0].as_str(), Some("(redacted)"));
        assert_eq!(whole.attrs[&AttrName::new("olcPasswordHash")][0].as_str(), Some("{SSHA}"));
    }
}
