//! An audit of generated or hand-labelled data, read offline, and what its labels expect.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use untether_audit::collect::{Export, Silent, StoreInput};
use untether_audit::correlate::Decisions;
use untether_audit::roster::{RosterSource, read_roster};
use untether_audit::run::{AuditError, AuditInputs, AuditOutcome, run};
use untether_audit::stored::{AuditFiles, StoredAudit};
use untether_directory::Read;
use untether_directory::offline::LdifStore;
use untether_ledger::{Disk, KeyStore, MemoryStorage, StateDir};
use untether_model::finding::Finding;
use untether_model::policy::{
    AccountPattern, AuditPolicy, CopyArea, CopyKind, DefaultPolicy, Entity, RosterPolicy, ScopeBase, StoreAudit,
};
use untether_model::snapshot::{StoreSource, Subject};
use untether_model::{Dn, EntityId, Side};
use untether_testkit::truth::Found;

use super::server::dn;

/// The moment for which the labels hold.
pub const NOW: &str = "2026-11-20T00:00:00Z";

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
    let state = StateDir::create(Disk::new(MemoryStorage::new()), "/state").unwrap();
    let keys = KeyStore::create(&state).unwrap();
    audit_into((&state, &keys), directory, policy, as_of).await.unwrap()
}

/// Audits a data directory offline into a state directory.
pub async fn audit_into(
    (state, keys): (&StateDir, &KeyStore),
    directory: &Path,
    policy: &AuditPolicy,
    as_of: Option<jiff::civil::Date>,
) -> Result<Audited, AuditError> {
    let names = |side: Side, parts: &[&str]| -> Vec<String> { parts.iter().map(|p| format!("{side}{p}.ldif")).collect() };
    let open = |side: Side, parts: &[&str]| store(side, directory, &names(side, parts));
    let main = Side::ALL.map(|side| open(side, &["", "-canary"]).unwrap());
    // The fixture's configuration is an export; of the generated files of that name, which hold change records, there is one beside.
    let config = Side::ALL.map(|side| open(side, &["-config-export"]).or_else(|| fixture_config(side, directory)));
    let copies = Side::ALL.map(|side| open(side, &["-accesslog"]));
    let (path, read) = (directory.join("roster.csv"), RosterPolicy::default());
    let roster = read_roster(&[RosterSource { name: "roster.csv", path: &path, policy: &read }], &policy.entities).unwrap();
    let exports = [0, 1].map(|i: usize| Export { truncated: main[i].truncation(), written_at: None, references: vec![] });
    let source = StoreSource::Ldif(vec!["export".into()]);
    let input = |i: usize| StoreInput {
        read: &main[i],
        config: config[i].as_ref().map(|s| s as &dyn Read),
        copies: copies[i].as_ref().map(|s| s as &dyn Read),
        source: &source,
        export: Some(&exports[i]),
    };
    let files = AuditFiles::begin(state, keys, None)?;
    let inputs = AuditInputs {
        policy,
        roster: &roster.roster,
        roster_files: &[],
        shared: input(0),
        independent: input(1),
        decisions: &Decisions::default(),
        now: NOW.parse::<Timestamp>().unwrap(),
        as_of,
        before: None,
        register: None,
        waived: &BTreeSet::new(),
        progress: &Silent,
    };
    let outcome = run(inputs, &files).await?;
    let stored = StoredAudit::open(state, keys, &outcome.snapshot).unwrap();
    let subjects = stored.subjects().unwrap().collect::<Result<_, _>>().unwrap();
    let findings = StoredAudit::findings(state, keys, &outcome.findings).unwrap().collect::<Result<_, _>>().unwrap();
    Ok(Audited { outcome, findings, subjects })
}

fn fixture_config(side: Side, directory: &Path) -> Option<LdifStore> {
    let is_generated = directory.join("manifest.json").exists();
    (!is_generated).then(|| store(side, directory, &[format!("{side}-config.ldif")])).flatten()
}

/// The findings as the ground truth compares them.
pub fn found(findings: &[Finding]) -> Vec<Found> {
    let of = |finding: &Finding| Found {
        rule: finding.rule.clone(),
        severity: finding.severity.as_str().to_owned(),
        store: finding.store.as_str().to_owned(),
        dn: finding.dn.as_ref().map(ToString::to_string),
        about: finding.evidence.facts.get("rule").and_then(|r| r.first()).cloned(),
        entity: finding.entity.as_ref().map(|e| e.as_str().to_owned()),
        evidence: format!("{:?}", finding.evidence.facts),
    };
    findings.iter().map(of).collect()
}
