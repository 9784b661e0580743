//! Any export as a store: a whole audit of it ends, twice in the same way, and tells no stored password.
//!
//! Reaches what reads values: credentials, times, access logs, `cn=config`, groups, references.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use untether_audit::collect::{Silent, StoreInput};
use untether_audit::correlate::Decisions;
use untether_audit::roster::{RosterSource, read_roster_bytes};
use untether_audit::run::{AuditInputs, AuditOutcome, run};
use untether_audit::stored::{AuditFiles, StoredAudit};
use untether_directory::ldif::{LdifReader, Record};
use untether_directory::twin::{Identity, Twin, TwinConfig, TwinHandle};
use untether_ledger::{Disk, KeyStore, MemoryStorage, StateDir};
use untether_model::policy::{AccountPattern, AuditPolicy, CopyArea, CopyKind, Entity, RosterPolicy, ScopeBase, StoreAudit};
use untether_model::snapshot::StoreSource;
use untether_model::{Dn, EntityId, Entry, Side};

const ROSTER: &[u8] = b"employee_number,name,mail,login,entity,status,last_day\n\
    1,A,a@x.example,a,own,active,\n2,B,b@x.example,b,own,departed,2026-01-31\n3,C,c@x.example,c,own,active,\n";

const INDEPENDENT: &[u8] = b"dn: dc=i\nobjectClass: domain\ndc: i\n\ndn: ou=people,dc=i\nobjectClass: organizationalUnit\nou: people\n\n\
    dn: uid=a,ou=people,dc=i\nobjectClass: inetOrgPerson\nuid: a\ncn: A\nsn: A\nemployeeNumber: 1\nuserPassword: {SSHA}topsecret\n\n";

/// Stands in stored credentials; nothing that is shown may hold it.
const SECRET: &str = "topsecret";

/// Audits bytes as the export of the shared store.
pub fn check(data: &[u8]) {
    let (Ok(shared), Ok(independent)) = (entries(data), entries(INDEPENDENT)) else { return };
    let [shared, independent] =
        [(Side::Shared, "dc=s", shared), (Side::Independent, "dc=i", independent)].map(|(side, suffix, entries)| {
            let mut config = TwinConfig::openldap(side, dn(suffix));
            // The twin only serves what was read.
            config.member_of = false;
            config.references = Vec::new();
            let twin = Twin::new(config, Arc::new(now));
            twin.load(entries);
            twin.handle(Identity::Reader)
        });
    let first = futures::executor::block_on(audit(&shared, &independent));
    let second = futures::executor::block_on(audit(&shared, &independent));
    assert_eq!(first, second, "two audits of one world are equal");
}

fn entries(data: &[u8]) -> Result<Vec<Entry>, ()> {
    let mut entries = Vec::new();
    for record in LdifReader::new(data) {
        if let Record::Entry { entry, .. } = record.map_err(|_| ())? {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap_or_default()
}

fn policy() -> AuditPolicy {
    let store = |suffix: &str| {
        let mut store = StoreAudit::new(dn(suffix));
        store.accounts =
            vec![ScopeBase { base: dn(&format!("ou=people,{suffix}")), filter: "(objectClass=inetOrgPerson)".into() }];
        store.others = vec![ScopeBase::all(dn(&format!("ou=groups,{suffix}")))];
        store
    };
    let mut shared = store("dc=s");
    shared.copies = vec![CopyArea { base: dn("cn=accesslog"), kind: CopyKind::AccessLog }];
    let mut policy = AuditPolicy::new(shared, store("dc=i"));
    policy.services = AccountPattern { logins: vec!["svc-*".into()], ..AccountPattern::default() };
    policy.privileged_groups = vec![dn("cn=admins,ou=groups,dc=s")];
    policy.mfa_filter = Some("(labFactor=*)".into());
    policy.retention = Some(["uid", "cn", "sn"].map(untether_model::AttrName::from).to_vec());
    policy.entities = entities();
    policy
}

fn entities() -> BTreeMap<EntityId, Entity> {
    let entity = Entity {
        name: "own".into(),
        name_ja: None,
        time_zone: "Asia/Tokyo".into(),
        deadline: None,
        shared_subtrees: Vec::new(),
        independent_subtrees: Vec::new(),
    };
    BTreeMap::from([(EntityId::new("own"), entity)])
}

/// Everything that an audit says, or why it could not be made.
async fn audit(shared: &TwinHandle, independent: &TwinHandle) -> Result<Vec<String>, String> {
    let policy = policy();
    let read = RosterPolicy::default();
    let source = RosterSource { name: "roster", path: Path::new("roster"), policy: &read };
    let roster = read_roster_bytes(&source, &policy.entities, ROSTER).unwrap_or_else(|error| panic!("{error}"));
    let source = StoreSource::Ldif(vec!["export".into()]);
    let input = |read| StoreInput { read, config: Some(read as _), copies: Some(read as _), source: &source, export: None };
    let state = StateDir::create(Disk::new(MemoryStorage::new()), "/state").unwrap_or_else(|error| panic!("{error}"));
    let keys = KeyStore::create(&state).unwrap_or_else(|error| panic!("{error}"));
    let files = AuditFiles::begin(&state, &keys, None).unwrap_or_else(|error| panic!("{error}"));
    let inputs = AuditInputs {
        policy: &policy,
        roster: &roster.roster,
        roster_files: &[],
        shared: input(shared),
        independent: input(independent),
        decisions: &Decisions::default(),
        now: now(),
        as_of: None,
        before: None,
        register: None,
        waived: &BTreeSet::new(),
        progress: &Silent,
    };
    let outcome: AuditOutcome = run(inputs, &files).await.map_err(|error| error.to_string())?;
    let findings = StoredAudit::findings(&state, &keys, &outcome.findings).unwrap_or_else(|error| panic!("{error}"));
    let shown: Vec<String> = findings
        .map(|finding| serde_json::to_string(&finding.unwrap_or_else(|error| panic!("{error}"))).unwrap_or_default())
        .collect();
    assert!(!shown.iter().any(|line| line.contains(SECRET)), "a finding tells a password");
    Ok(shown)
}
