//! Areas of copies: access logs, changelogs, tombstones, backups. Counts and names leave here, never a value.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::dn::DnKey;
use untether_model::policy::{CopyArea, CopyKind};
use untether_model::snapshot::CopyRecord;
use untether_model::{AttrName, Dn, Entry, StableId};

use super::convert::stable_id;
use super::credential::Credentials;

/// The extended operation that sets a password (RFC 3062); its request holds the password in clear text.
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";

/// What to ask of an area of this kind.
pub(super) fn wanted(kind: CopyKind) -> &'static [&'static str] {
    match kind {
        CopyKind::AccessLog => &["objectClass", "reqDN", "reqType", "reqMod", "reqOld", "reqEntryUUID", "reqData"],
        CopyKind::Changelog => &["objectClass", "targetDN", "targetUniqueId", "changes", "deletedEntryAttrs"],
        CopyKind::Tombstone | CopyKind::Backup => &["*", "+"],
    }
}

/// Gathers the records of one area by the entry that they are about, so that a log of any length costs no more memory than the
/// entries that it names.
pub(super) struct Gatherer<'a> {
    area: &'a CopyArea,
    credentials: &'a Credentials,
    about: BTreeMap<DnKey, Gathered>,
}

struct Gathered {
    dn: Dn,
    stable_id: Option<StableId>,
    records: u64,
    with_credentials: u64,
    attrs: BTreeSet<AttrName>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(area: &'a CopyArea, credentials: &'a Credentials) -> Self {
        Self { area, credentials, about: BTreeMap::new() }
    }

    /// Takes a record.
    pub(super) fn take(&mut self, entry: &Entry) {
        // The area's own entry is no record.
        if entry.dn.key() == self.area.base.key() {
            return;
        }
        let (about, id, attrs) = match self.area.kind {
            CopyKind::AccessLog => {
                (entry.text("reqDN").and_then(parsed), entry.text("reqEntryUUID").map(lower), self.logged(entry))
            }
            CopyKind::Changelog => {
                (entry.text("targetDN").and_then(parsed), entry.text("targetUniqueId").map(lower), self.changed(entry))
            }
            CopyKind::Tombstone | CopyKind::Backup => (Some(entry.dn.clone()), stable_id(&entry.attrs), self.held(entry)),
        };
        // A record that names no entry (an unbind, a context entry) is a copy of nothing; credentials in it still count.
        let about = match about {
            Some(about) => about,
            None if attrs.is_empty() => return,
            None => entry.dn.clone(),
        };
        let gathered = self.about.entry(about.key().clone()).or_insert_with(|| Gathered {
            dn: about,
            stable_id: None,
            records: 0,
            with_credentials: 0,
            attrs: BTreeSet::new(),
        });
        gathered.records += 1;
        gathered.with_credentials += u64::from(!attrs.is_empty());
        gathered.attrs.extend(attrs);
        if id.is_some() {
            gathered.stable_id = id;
        }
    }

    /// What was gathered, by name.
    pub(super) fn finish(self) -> impl Iterator<Item = CopyRecord> {
        let (area, kind) = (self.area.base.clone(), self.area.kind);
        self.about.into_values().map(move |gathered| CopyRecord {
            area: area.clone(),
            kind,
            about: gathered.dn,
            stable_id: gathered.stable_id,
            records: gathered.records,
            with_credentials: gathered.with_credentials,
            credential_attrs: gathered.attrs.into_iter().collect(),
        })
    }

    fn credential(&self, name: &str) -> Option<AttrName> {
        let attr = AttrName::new(name.trim());
        self.credentials.kind(&attr).is_some().then_some(attr)
    }

    /// Credential attributes with values in `reqMod` (`attr:+ value`, `attr:= value`, `attr:- value`), `reqOld` (`attr: value`)
    /// and in the request of a password change (slapo-accesslog(5)).
    fn logged(&self, entry: &Entry) -> BTreeSet<AttrName> {
        let mut found = BTreeSet::new();
        for value in entry.values("reqMod").iter().chain(entry.values("reqOld")) {
            // The value may be binary; name and operator are not.
            let bytes = value.as_bytes();
            let Some(colon) = bytes.iter().position(|b| *b == b':') else { continue };
            let (name, rest) = bytes.split_at(colon);
            let Some(attr) = std::str::from_utf8(name).ok().and_then(|name| self.credential(name)) else { continue };
            let rest = rest.get(1..).unwrap_or_default();
            let operand = match rest {
                [b'+' | b'-' | b'=' | b'#' | b':', operand @ ..] => operand,
                operand => operand,
            };
            if !operand.trim_ascii().is_empty() {
                found.insert(attr);
            }
        }
        let password_modify = entry.text("reqType").is_some_and(|kind| kind.contains(PASSWORD_MODIFY));
        if password_modify && entry.values("reqData").iter().any(|v| !v.as_bytes().is_empty()) {
            found.insert(AttrName::new("reqData"));
        }
        found
    }

    /// Credential attributes with values in the LDIF text of a changelog record.
    fn changed(&self, entry: &Entry) -> BTreeSet<AttrName> {
        let texts = entry.values("changes").iter().chain(entry.values("deletedEntryAttrs"));
        let mut found = BTreeSet::new();
        for text in texts {
            for line in text.to_lossy().lines() {
                let Some((name, value)) = line.split_once(':') else { continue };
                if !value.trim_matches(|c: char| c == ':' || c.is_whitespace()).is_empty() {
                    found.extend(self.credential(name));
                }
            }
        }
        found
    }

    fn held(&self, entry: &Entry) -> BTreeSet<AttrName> {
        let held = entry.attrs.iter().filter(|(attr, values)| !values.is_empty() && self.credentials.kind(attr).is_some());
        held.map(|(attr, _)| attr.clone()).collect()
    }
}

fn parsed(text: &str) -> Option<Dn> {
    Dn::parse(text).ok().filter(|dn| !dn.is_root())
}

fn lower(text: &str) -> StableId {
    StableId::new(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use untether_model::Value;
    use untether_model::policy::CredentialAttributes;

    use super::*;

    fn gather(kind: CopyKind, records: &[&[(&str, &str)]]) -> Vec<CopyRecord> {
        let area = CopyArea { base: Dn::parse("cn=log").unwrap(), kind };
        let credentials = Credentials::new(&CredentialAttributes::default());
        let mut gatherer = Gatherer::new(&area, &credentials);
        for (n, record) in records.iter().enumerate() {
            let mut entry = Entry::new(Dn::parse(&format!("reqStart={n},cn=log")).unwrap());
            for (name, value) in *record {
                entry.attrs.entry(AttrName::new(name)).or_default().push(Value::from(*value));
            }
            gatherer.take(&entry);
        }
        gatherer.finish().collect()
    }

    #[test]
    fn access_log_records_are_counted_by_entry_and_their_values_stay_behind() {
        let copies = gather(
            CopyKind::AccessLog,
            &[
                &[("reqDN", "uid=a,dc=x"), ("reqMod", "userPassword:= {SSHA}topsecret"), ("reqMod", "cn:= A")],
                &[("reqDN", "UID=a,dc=x"), ("reqOld", "pwdHistory: 2026#1#2#topsecret"), ("reqEntryUUID", "ABC")],
                &[("reqDN", "uid=a,dc=x"), ("reqMod", "userPassword:-")],
                &[("reqDN", "uid=b,dc=x"), ("reqMod", "mail:+ b@x")],
                &[("reqType", "unbind")],
            ],
        );
        assert_eq!(copies.len(), 2);
        assert_eq!((copies[0].records, copies[0].with_credentials), (3, 2));
        let names: Vec<&str> = copies[0].credential_attrs.iter().map(AttrName::as_str).collect();
        assert_eq!(names, ["pwdHistory", "userPassword"]);
        assert_eq!(copies[0].stable_id.as_ref().unwrap().as_str(), "abc");
        assert_eq!((copies[1].records, copies[1].with_credentials), (1, 0));
        assert!(!serde_json::to_string(&copies).unwrap().contains("topsecret"));
    }

    #[test]
    fn changelogs_and_backups_are_looked_into_too() {
        let log = gather(
            CopyKind::Changelog,
            &[&[("targetDN", "uid=a,dc=x"), ("changes", "replace: userPassword\nuserPassword: topsecret\n-\n")]],
        );
        assert_eq!(log[0].with_credentials, 1);
        let backup = gather(CopyKind::Backup, &[&[("uid", "a"), ("sambaNTPassword", "00")], &[("uid", "b")]]);
        assert_eq!(backup.iter().map(|c| c.with_credentials).collect::<Vec<_>>(), [1, 0]);
    }
}
