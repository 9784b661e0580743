//! An audit of generated or hand-labelled data, read offline, and what its labels expect.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use untether_audit::collect::{Export, Silent, StoreInput};
use untether_audit::correlate::Decisions;
use untether_audit::roster::read_roster;
use untether_audit::run::{AuditInputs, AuditOutcome, run};
use untether_audit::stored::{AuditFiles, StoredAudit};
use untether_directory::Read;
use untether_directory::offline::LdifStore;
use untether_ledger::{Disk, KeyStore, MemoryStorage, StateDir};
use untether_model::finding::Finding;
use untether_model::policy::{
    AccountPattern, AuditPolicy, CopyArea, CopyKind, DefaultPolicy, Entity, RosterPolicy, ScopeBase, StoreAudit,
};
use untether_model::roster::Roster;
use untether_model::snapshot::{StoreSource, Subject};
use untether_model::{Dn, EntityId, Side};

use super::server::dn;

/// The moment for which the labels hold.
pub const NOW: &str = "2026-11-20T00:00:00Z";

/// One expected finding.
#[derive(Clone, Debug, Deserialize)]
pub struct Label {
    pub rule: String,
    pub severity: String,
    pub store: String,
    pub dn: Option<String>,
    /// The rule that could not run, for `coverage.skipped`.
    #[serde(default)]
    pub about: Option<String>,
    pub entity: Option<String>,
    pub person_id: Option<String>,
    pub note: String,
}

/// Files of an export that are there.
fn files(directory: &Path, names: &[String]) -> Vec<std::path::PathBuf> {
    names.iter().map(|name| directory.join(name)).filter(|path| path.exists()).collect()
}

fn store(side: Side, directory: &Path, names: &[String]) -> Option<LdifStore> {
    let files = files(directory, names);
    (!files.is_empty()).then(|| LdifStore::open(side, &files).unwrap())
}

/// The configuration that the labels assume (see the documentation of `untether_testkit::generate`).
pub fn policy(canaries: bool) -> AuditPolicy {
    let store = |suffix: &str, people: &str, server: &str, realm: &str| {
        let below = |ou: &str| dn(&format!("{ou},{suffix}"));
        let mut store = StoreAudit::new(dn(suffix));
        store.accounts = vec![
            ScopeBase { base: below(people), filter: "(objectClass=inetOrgPerson)".into() },
            ScopeBase { base: below("ou=services"), filter: "(uid=*)".into() },
        ];
        store.others = vec![ScopeBase::all(below("ou=groups"))];
        store.canary = canaries.then(|| below("uid=canary,ou=canaries"));
        store.own_servers = vec![server.into()];
        store.own_realms = vec![realm.into()];
        store.default_policy = Some(DefaultPolicy { entry: Some(below("cn=default,ou=policies")), ..DefaultPolicy::default() });
        store.sasl_mechanisms = Some(vec![]);
        store.attributes.entity = Some("labEntity".into());
        store.attributes.owner = vec!["labOwner".into()];
        store
    };
    let mut shared = store("dc=shared,dc=example", "ou=accounts", "ldap.shared.example", "SHARED.EXAMPLE");
    shared.copies = vec![CopyArea { base: dn("cn=accesslog"), kind: CopyKind::AccessLog }];
    let mut independent = store("dc=own,dc=example", "ou=people", "ldap.own.example", "OWN.EXAMPLE");
    independent.attributes.link = Some("labSourceId".into());
    let mut policy = AuditPolicy::new(shared, independent);
    for (id, unit, zone) in [
        ("own", "own", "Asia/Tokyo"),
        ("domestic", "domestic", "Asia/Tokyo"),
        ("overseas", "overseas", "Europe/Berlin"),
        ("contractor", "contractors", "Asia/Tokyo"),
    ] {
        let entity = Entity {
            name: id.into(),
            name_ja: None,
            time_zone: zone.into(),
            deadline: None,
            shared_subtrees: vec![dn(&format!("ou={unit},ou=accounts,dc=shared,dc=example"))],
            independent_subtrees: vec![],
        };
        policy.entities.insert(EntityId::new(id), entity);
    }
    let logins = |pattern: &str| AccountPattern { logins: vec![pattern.into()], ..AccountPattern::default() };
    let both = |name: &str| ["dc=shared,dc=example", "dc=own,dc=example"].map(|suffix| dn(&format!("{name},{suffix}")));
    policy.services = AccountPattern { logins: vec!["svc-*".into()], subtrees: both("ou=services").to_vec(), classes: vec![] };
    policy.protected.subtrees = both("ou=system").into_iter().chain(both("ou=canaries")).collect();
    policy.mailboxes = logins("mbx-*");
    policy.tests = logins("test-*");
    policy.secondary = logins("adm-*");
    policy.protected.groups = vec![dn("cn=directory-admins,ou=groups,dc=shared,dc=example")];
    policy.privileged_groups =
        ["cn=admins,ou=groups,dc=shared,dc=example", "cn=vpn-admins,ou=groups,dc=shared,dc=example"].map(dn).to_vec();
    policy.mfa_filter = Some("(|(labFactor=webauthn)(labFactor=totp))".into());
    policy.retention =
        Some(["uid", "cn", "sn", "employeeNumber", "mail", "objectClass"].map(untether_model::AttrName::from).to_vec());
    policy
}

/// What `manifest.json` says beyond the fixed configuration.
pub fn with_manifest(mut policy: AuditPolicy, directory: &Path) -> AuditPolicy {
    let text = std::fs::read_to_string(directory.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names = |side: &str, key: &str| -> Vec<Dn> {
        manifest["stores"][side][key].as_array().unwrap().iter().map(|v| dn(v.as_str().unwrap())).collect()
    };
    let both = |key: &str| -> Vec<Dn> { [names("shared", key), names("independent", key)].concat() };
    policy.privileged_groups = both("privileged_groups");
    policy.protected.groups = both("admin_groups");
    policy.protected.dns = both("protected");
    policy
}

/// An audit with everything that it wrote.
pub struct Audited {
    pub outcome: AuditOutcome,
    pub findings: Vec<Finding>,
    pub subjects: Vec<Subject>,
}

/// Audits a data directory offline.
pub async fn audit(directory: &Path, policy: &AuditPolicy) -> Audited {
    audit_as_of(directory, policy, None).await
}

/// Audits a data directory offline, the roster judged as of a day.
pub async fn audit_as_of(directory: &Path, policy: &AuditPolicy, as_of: Option<jiff::civil::Date>) -> Audited {
    let names = |side: Side, parts: &[&str]| -> Vec<String> { parts.iter().map(|p| format!("{side}{p}.ldif")).collect() };
    let open = |side: Side, parts: &[&str]| store(side, directory, &names(side, parts));
    let main = Side::ALL.map(|side| open(side, &["", "-canary"]).unwrap());
    // The fixture's configuration is an export; of the generated files of that name, which hold change records, there is one beside.
    let config = Side::ALL.map(|side| open(side, &["-config-export"]).or_else(|| fixture_config(side, directory)));
    let copies = Side::ALL.map(|side| open(side, &["-accesslog"]));
    let roster: Roster =
        read_roster(&RosterPolicy::default(), &policy.entities, std::fs::File::open(directory.join("roster.csv")).unwrap())
            .unwrap();
    let exports = [0, 1].map(|i: usize| Export { truncated: main[i].truncation(), written_at: None, references: vec![] });
    let source = StoreSource::Ldif(vec!["export".into()]);
    let input = |i: usize| StoreInput {
        read: &main[i],
        config: config[i].as_ref().map(|s| s as &dyn Read),
        copies: copies[i].as_ref().map(|s| s as &dyn Read),
        source: &source,
        export: Some(&exports[i]),
    };
    let state = StateDir::create(Disk::new(MemoryStorage::new()), "/state").unwrap();
    let keys = KeyStore::create(&state).unwrap();
    let files = AuditFiles::begin(&state, &keys, None).unwrap();
    let inputs = AuditInputs {
        policy,
        roster: &roster,
        roster_written_at: None,
        roster_max_age_hours: 24,
        shared: input(0),
        independent: input(1),
        decisions: &Decisions::default(),
        now: NOW.parse::<Timestamp>().unwrap(),
        as_of,
        progress: &Silent,
    };
    let outcome = run(inputs, &files).await.unwrap();
    let stored = StoredAudit::open(&state, &keys, &outcome.snapshot).unwrap();
    let subjects = stored.subjects().unwrap().collect::<Result<_, _>>().unwrap();
    let findings = StoredAudit::findings(&state, &keys, &outcome.findings).unwrap().collect::<Result<_, _>>().unwrap();
    Audited { outcome, findings, subjects }
}

fn fixture_config(side: Side, directory: &Path) -> Option<LdifStore> {
    let is_generated = directory.join("manifest.json").exists();
    (!is_generated).then(|| store(side, directory, &[format!("{side}-config.ldif")])).flatten()
}

/// The labels of a data directory.
pub fn labels(directory: &Path) -> Vec<Label> {
    let text = std::fs::read_to_string(directory.join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What makes a finding the labelled one: rule, severity, store, entry (or the rule that could not run), entity.
type Fact = (String, String, String, String, Option<String>);

fn of_label(label: &Label) -> Fact {
    let place = match (&label.dn, &label.about) {
        (Some(name), _) => format!("{:?}", dn(name).key()),
        (None, about) => about.clone().unwrap_or_default(),
    };
    (label.rule.clone(), label.severity.clone(), label.store.clone(), place, label.entity.clone())
}

fn of_finding(finding: &Finding) -> Fact {
    let about = || finding.evidence.facts.get("rule").and_then(|r| r.first()).cloned().unwrap_or_default();
    let place = finding.dn.as_ref().map_or_else(about, |name| format!("{:?}", name.key()));
    let entity = finding.entity.as_ref().map(|e| e.as_str().to_owned());
    (finding.rule.clone(), finding.severity.as_str().to_owned(), finding.store.as_str().to_owned(), place, entity)
}

/// Compares findings with labels and tells every difference, with what is known of it.
pub fn compare(findings: &[Finding], labels: &[Label]) -> Result<(), String> {
    let mut open: BTreeMap<Fact, Vec<&Label>> = BTreeMap::new();
    for label in labels {
        open.entry(of_label(label)).or_default().push(label);
    }
    let mut extra = Vec::new();
    for finding in findings {
        let fact = of_finding(finding);
        if open.get_mut(&fact).and_then(Vec::pop).is_none() {
            extra.push((fact, finding));
        }
    }
    let missing: Vec<(&Fact, &Label)> = open.iter().flat_map(|(fact, labels)| labels.iter().map(move |l| (fact, *l))).collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let mut out = format!("{} missing, {} extra of {} labels\n", missing.len(), extra.len(), labels.len());
    for (fact, label) in missing.iter().take(60) {
        out.push_str(&format!("MISSING {fact:?} person {:?}: {}\n", label.person_id, label.note));
    }
    for (fact, finding) in extra.iter().take(60) {
        out.push_str(&format!("EXTRA   {fact:?} {:?}\n", finding.evidence.facts));
    }
    let mut by_rule: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    missing.iter().for_each(|(fact, _)| by_rule.entry(&fact.0).or_default().0 += 1);
    extra.iter().for_each(|(fact, _)| by_rule.entry(&fact.0).or_default().1 += 1);
    out.push_str(&format!("(missing, extra) by rule: {by_rule:?}\n"));
    Err(out)
}
