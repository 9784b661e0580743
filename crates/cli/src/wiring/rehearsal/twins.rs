//! Twins of both stores as a snapshot shows them: entries with placeholders for credentials, the store's own schema, and the
//! overlays that its `cn=config` names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use untether_audit::stored::StoredAudit;
use untether_directory::twin::{SettableClock, Twin, TwinConfig};
use untether_ledger::Marks;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Desired, Expects, Operation};
use untether_model::schema::Schema;
use untether_model::snapshot::{CredentialKind, CredentialMark, EntryRole, SnapshotEntry, StoreRead};
use untether_model::{AttrName, Dn, Entry, Side, Value};

use crate::config::Config;
use crate::error::{CliError, chain};

/// Overlays that a twin imitates, and those that refuse and change nothing.
const IMITATED: [&str; 6] = ["ppolicy", "memberof", "refint", "accesslog", "auditlog", "syncprov"];

/// Entries that are loaded at once.
const CHUNK: usize = 1_000;

/// Stands in for each credential value that a snapshot does not keep; equal where the credential is equal.
#[derive(Default)]
pub struct Placeholders {
    by_mark: BTreeMap<(String, String), Value>,
    all: BTreeSet<Value>,
}

impl Placeholders {
    /// The placeholder of a credential: of its scheme and its realm, so that paths into the account are judged as they are.
    fn of(&mut self, mark: &CredentialMark) -> Value {
        let exact = &mark.exact;
        let realm = mark.realm.as_ref().map(|realm| format!("@{realm}")).unwrap_or_default();
        let text = match &mark.scheme {
            Some(scheme) => format!("{{{scheme}}}rehearsal-{exact}{realm}"),
            None => format!("rehearsal-{exact}"),
        };
        let text = match mark.kind {
            // time#syntax#length#password (draft-behera-ldap-password-policy, section 5.3.5)
            CredentialKind::History => format!("20000101000000Z#1.3.6.1.4.1.1466.115.121.1.40#{}#{text}", text.len()),
            _ => text,
        };
        let value = Value::from(text.as_str());
        self.by_mark.insert((mark.attr.base().to_owned(), exact.clone()), value.clone());
        self.all.insert(value.clone());
        value
    }

    /// Whether a value is one of them.
    pub fn has(&self, value: &Value) -> bool {
        self.all.contains(value)
    }

    /// The operation with the marks of placeholders where it expects those of credentials.
    pub fn translate(&self, marks: &Marks, op: &mut Operation) {
        let Action::Set { touches } = &mut op.action else { return };
        for touch in touches {
            let attr = touch.attr.clone();
            let translate = |list: &mut Vec<String>| {
                for mark in list {
                    if let Some(value) = self.by_mark.get(&(attr.base().to_owned(), mark.clone())) {
                        *mark = marks.value(attr.as_str(), value.as_bytes());
                    }
                }
            };
            if let Expects::Marks(list) = &mut touch.expects {
                translate(list);
            }
            if let Desired::WithoutMarks(list) = &mut touch.desired {
                translate(list);
            }
        }
    }
}

/// Both twins.
pub struct Twins {
    /// The shared store.
    pub shared: Twin,
    /// The independent directory.
    pub independent: Twin,
    /// What stands in for credentials.
    pub placeholders: Placeholders,
    /// What was assumed where the snapshot does not tell.
    pub assumptions: Vec<String>,
}

impl Twins {
    /// Fills them from a snapshot.
    pub fn fill(config: &Config, stored: &StoredAudit<'_>, clock: &SettableClock) -> Result<Self, CliError> {
        let mut placeholders = Placeholders::default();
        let mut assumptions = Vec::new();
        let header = stored.header();
        let mut twin = |side, read| fill(config, stored, (side, read), clock, &mut placeholders, &mut assumptions);
        let shared = twin(Side::Shared, &header.shared)?;
        let independent = twin(Side::Independent, &header.independent)?;
        Ok(Self { shared, independent, placeholders, assumptions })
    }

    /// One of them.
    pub fn get(&self, side: Side) -> &Twin {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }
}

fn fill(
    config: &Config,
    stored: &StoredAudit<'_>,
    (side, read): (Side, &StoreRead),
    clock: &SettableClock,
    placeholders: &mut Placeholders,
    assumptions: &mut Vec<String>,
) -> Result<Twin, CliError> {
    let failed = |e: &dyn std::error::Error| CliError::state(format!("the snapshot cannot be read: {}", chain(e)));
    let suffix = read.identity.suffix.clone();
    let schema = stored.schema(side).map_err(|e| failed(&e))?;
    if schema.is_none() {
        assumptions.push(format!(
            "the {side} store's own schema is not in the snapshot: values are compared by the standard schemas, and what object classes \
             forbid is not seen"
        ));
    }
    let mut settings = TwinConfig::openldap(side, suffix.clone());
    settings.schema = Arc::new(schema.unwrap_or_else(Schema::standard));
    let configuration = stored
        .entries(side)
        .map_err(|e| failed(&e))?
        .filter(|entry| !matches!(entry, Ok(e) if e.role != EntryRole::Config))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| failed(&e))?;
    match configure(&mut settings, &configuration) {
        Some(others) if others.is_empty() => {}
        Some(others) => assumptions.push(format!(
            "the {side} store has overlays that a twin does not imitate ({}): what they refuse is told by --against-servers only",
            others.join(", ")
        )),
        None => {
            if let Some(named) = config.audit.store(side).default_policy.as_ref().and_then(|policy| policy.entry.clone()) {
                settings.default_policy = Some(named);
            }
            let refint = if settings.references.is_empty() { "without refint" } else { "with refint" };
            assumptions.push(format!(
                "the {side} store's cn=config is not in the snapshot: it is taken for an OpenLDAP with ppolicy and memberof, {refint}"
            ));
        }
    }
    let twin = Twin::new(settings, clock.as_clock());
    let mut known: BTreeSet<DnKey> = BTreeSet::new();
    let mut above: BTreeMap<DnKey, Dn> = BTreeMap::new();
    let mut chunk = Vec::with_capacity(CHUNK);
    for entry in stored.entries(side).map_err(|e| failed(&e))? {
        let entry = entry.map_err(|e| failed(&e))?;
        if !matches!(entry.role, EntryRole::Account | EntryRole::Other) || !entry.dn.is_within(&suffix) {
            continue;
        }
        known.insert(entry.dn.key().clone());
        let mut at = entry.dn.parent();
        while let Some(dn) = at.filter(|dn| dn.is_within(&suffix) && !above.contains_key(dn.key())) {
            at = dn.parent();
            above.insert(dn.key().clone(), dn);
        }
        chunk.push(whole(entry, placeholders));
        if chunk.len() == CHUNK {
            twin.load(chunk.drain(..));
        }
    }
    twin.load(chunk);
    above.insert(suffix.key().clone(), suffix.clone());
    // What the audit did not keep exists all the same: something stands below it.
    twin.load(above.into_iter().filter(|(key, _)| !known.contains(key)).map(|(_, dn)| {
        let id = read.identity.stable_id.as_ref().filter(|_| dn == suffix);
        container(dn, id.map(|id| id.as_str()))
    }));
    Ok(twin)
}

/// An entry with its credentials.
fn whole(entry: SnapshotEntry, placeholders: &mut Placeholders) -> Entry {
    let mut attrs = entry.attrs;
    for mark in &entry.credentials {
        attrs.entry(mark.attr.clone()).or_default().push(placeholders.of(mark));
    }
    Entry { dn: entry.dn, attrs }
}

/// An entry of which only the name is known.
fn container(dn: Dn, id: Option<&str>) -> Entry {
    let mut entry = Entry::new(dn);
    entry.attrs.insert(AttrName::new("objectClass"), vec!["organizationalUnit".into(), "extensibleObject".into()]);
    for ava in entry.dn.rdn().map(|rdn| rdn.0).unwrap_or_default() {
        entry.attrs.insert(ava.attr, vec![ava.value]);
    }
    if let Some(id) = id {
        entry.attrs.insert(AttrName::new("entryUUID"), vec![id.into()]);
    }
    entry
}

/// Takes over what `cn=config` says of the database with the twin's suffix (slapd-config(5), slapo-ppolicy(5), slapo-memberof(5),
/// slapo-refint(5)), and names the overlays that a twin does not imitate; `None`: it says nothing of that database.
fn configure(settings: &mut TwinConfig, entries: &[SnapshotEntry]) -> Option<Vec<String>> {
    let texts = |entry: &SnapshotEntry, attr: &str| -> Vec<String> {
        let values = entry.attrs.get(&AttrName::new(attr)).into_iter().flatten();
        values.filter_map(|value| value.as_str().map(without_order)).map(str::to_owned).collect()
    };
    let is = |entry: &SnapshotEntry, attr: &str| texts(entry, attr).iter().any(|text| text.eq_ignore_ascii_case("TRUE"));
    let ours = |entry: &&SnapshotEntry| {
        texts(entry, "olcSuffix").iter().any(|text| Dn::parse(text).is_ok_and(|dn| dn == settings.suffix))
    };
    let database = entries.iter().find(ours)?;
    let overlays: Vec<(&SnapshotEntry, String)> = entries
        .iter()
        .filter(|entry| entry.dn != database.dn && entry.dn.is_within(&database.dn))
        .filter_map(|entry| Some((entry, texts(entry, "olcOverlay").first()?.to_ascii_lowercase())))
        .collect();
    let overlay = |kind: &str| overlays.iter().find(|(_, found)| found == kind).map(|(entry, _)| *entry);
    settings.last_bind = is(database, "olcLastBind");
    settings.member_of = overlay("memberof").is_some();
    settings.references =
        overlay("refint").map(|entry| texts(entry, "olcRefintAttribute")).unwrap_or_default().iter().map(AttrName::new).collect();
    let policy = overlay("ppolicy");
    settings.default_policy =
        policy.and_then(|entry| texts(entry, "olcPPolicyDefault").first().and_then(|dn| Dn::parse(dn).ok()));
    settings.tells_lockout = policy.is_some_and(|entry| is(entry, "olcPPolicyUseLockout"));
    let kinds: BTreeSet<String> = overlays.into_iter().map(|(_, kind)| kind).collect();
    Some(kinds.into_iter().filter(|kind| !IMITATED.contains(&kind.as_str())).collect())
}

/// A value without the `{n}` by which `cn=config` orders values.
fn without_order(text: &str) -> &str {
    text.strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .filter(|(n, _)| n.parse::<i64>().is_ok())
        .map_or(text, |(_, rest)| rest)
}
