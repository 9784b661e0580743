//! A small world: subjects, entries, policy, and a sink that keeps everything.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::digest::Digest;
use untether_model::operation::{Action, Operation, Stage, Track};
use untether_model::plan::{OrderKind, PlannedBatch, WaveHeader, WaveLine};
use untether_model::policy::{
    Admission, AuditPolicy, Capabilities, CapabilityMap, Entity, GroupMap, MappingPart, PlanPolicy, StoreAudit, ThresholdsPart,
    WavePolicy,
};
use untether_model::roster::{Presence, Standing};
use untether_model::run::RunState;
use untether_model::schema::Schema;
use untether_model::snapshot::{
    Account, AccountState, BaseRead, CredentialKind, CredentialMark, EntryRole, SnapshotEntry, SnapshotHeader, StoreIdentity,
    StoreRead, StoreSource, Subject, SubjectKind,
};
use untether_model::{AttrMap, AttrName, Dn, EntityId, Side, StableId, SubjectId, Value, Values};
use untether_planner::{Inputs, Matches, PlanError, Planned, ReportLine, Sink, Source, Stream, plan};

pub const NOW: &str = "2026-11-20T00:00:00Z";

pub fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

pub fn shared(uid: &str) -> Dn {
    dn(&format!("uid={uid},ou=own,dc=shared"))
}

pub fn own(uid: &str) -> Dn {
    dn(&format!("uid={uid},ou=people,dc=own"))
}

pub fn id(uid: &str) -> SubjectId {
    SubjectId::new(format!("s-{uid}"))
}

pub fn entry(name: &str, role: EntryRole, attrs: &[(&str, &[&str])]) -> SnapshotEntry {
    SnapshotEntry {
        role,
        dn: dn(name),
        stable_id: Some(StableId::new(format!("uuid-{name}"))),
        change_marker: None,
        attrs: attrs.iter().map(|(n, v)| (AttrName::new(n), v.iter().map(|v| Value::from(*v)).collect())).collect(),
        credentials: Vec::new(),
    }
}

pub fn mark(attr: &str, kind: CredentialKind, scheme: Option<&str>, exact: &str) -> CredentialMark {
    CredentialMark {
        attr: AttrName::new(attr),
        kind,
        scheme: scheme.map(str::to_owned),
        clear: scheme.is_none(),
        salted: false,
        realm: None,
        pass_through: scheme == Some("SASL"),
        normalized: format!("n-{exact}"),
        exact: exact.to_owned(),
    }
}

#[derive(Clone)]
pub struct World {
    pub subjects: Vec<Subject>,
    pub shared: Vec<SnapshotEntry>,
    pub independent: Vec<SnapshotEntry>,
    pub policy: PlanPolicy,
    pub audit: AuditPolicy,
    pub capabilities: CapabilityMap,
    pub protected: BTreeMap<Side, Vec<Dn>>,
    pub progress: RunState,
    pub schemas: BTreeMap<Side, Schema>,
    /// Attributes that object classes require, as a store told them.
    pub classes: BTreeMap<String, Vec<AttrName>>,
    pub config_read: bool,
    pub seed: u64,
}

impl Source for World {
    fn subjects(&self) -> Stream<'_, Subject> {
        Box::new(self.subjects.iter().cloned().map(Ok))
    }

    fn entries(&self, side: Side) -> Stream<'_, SnapshotEntry> {
        let entries = if side == Side::Shared { &self.shared } else { &self.independent };
        Box::new(entries.iter().cloned().map(Ok))
    }
}

/// Understands `(attr=value)`.
pub struct Simple;

impl Matches for Simple {
    fn matches(&self, filter: &str, entry: &SnapshotEntry) -> Result<bool, String> {
        let inner = filter.strip_prefix('(').and_then(|f| f.strip_suffix(')')).ok_or("no parentheses")?;
        let (attr, value) = inner.split_once('=').ok_or("no '='")?;
        Ok(entry.attrs.get(&AttrName::new(attr)).is_some_and(|values| values.contains(&Value::from(value))))
    }
}

#[derive(Default)]
pub struct Kept {
    pub lines: BTreeMap<String, Vec<u8>>,
    pub blobs: BTreeMap<(String, Digest), Vec<u8>>,
    pub report: Vec<ReportLine>,
}

impl Sink for Kept {
    fn wave_line(&mut self, wave: &str, line: &[u8]) -> Result<(), String> {
        self.lines.entry(wave.to_owned()).or_default().extend_from_slice(line);
        Ok(())
    }

    fn blob(&mut self, wave: &str, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        self.blobs.insert((wave.to_owned(), *digest), bytes.to_vec());
        Ok(())
    }

    fn report(&mut self, line: &ReportLine) -> Result<(), String> {
        self.report.push(line.clone());
        Ok(())
    }
}

impl Kept {
    pub fn wave(&self, name: &str) -> Vec<WaveLine> {
        let text = self.lines.get(name).cloned().unwrap_or_default();
        text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
    }

    pub fn header(&self, name: &str) -> WaveHeader {
        *self.wave(name).into_iter().find_map(|l| if let WaveLine::Wave(h) = l { Some(h) } else { None }).unwrap()
    }

    pub fn batches(&self, name: &str) -> Vec<PlannedBatch> {
        self.wave(name).into_iter().filter_map(|l| if let WaveLine::Batch(b) = l { Some(b) } else { None }).collect()
    }

    pub fn operations(&self, name: &str) -> Vec<Operation> {
        self.wave(name).into_iter().filter_map(|l| if let WaveLine::Operation(o) = l { Some(*o) } else { None }).collect()
    }

    pub fn of(&self, wave: &str, uid: &str, stage: Stage) -> Vec<Operation> {
        self.operations(wave).into_iter().filter(|o| o.subjects.contains(&id(uid)) && o.stage == stage).collect()
    }
}

fn store(suffix: &str, config_read: bool) -> StoreRead {
    StoreRead {
        identity: StoreIdentity { suffix: dn(suffix), stable_id: Some(StableId::new(suffix)) },
        source: StoreSource::Ldap("ldap://x".into()),
        bases: vec![BaseRead { base: dn(suffix), entries: 1, complete: true, shortfall: None }],
        entries: 1,
        file: Digest::of(b"x"),
        config_read,
        schema: None,
    }
}

pub fn wave(name: &str, tracks: &[Track]) -> WavePolicy {
    serde_json::from_value(serde_json::json!({ "name": name, "tracks": tracks, "canary_size": 2, "batch_size": 3 })).unwrap()
}

impl World {
    pub fn new() -> Self {
        let mut audit = AuditPolicy::new(StoreAudit::new(dn("dc=shared")), StoreAudit::new(dn("dc=own")));
        let entity = Entity {
            name: "Own".into(),
            name_ja: None,
            time_zone: "Asia/Tokyo".into(),
            deadline: Some("2027-03-31".parse().unwrap()),
            shared_subtrees: vec![],
            independent_subtrees: vec![],
        };
        audit.entities.insert("own".into(), entity);
        let mapping = MappingPart {
            base: Some(dn("ou=people,dc=own")),
            object_classes: Some(vec!["inetOrgPerson".into(), "labAccount".into()]),
            copy: Some(["cn", "sn", "uid", "mail", "jpegPhoto", "manager"].map(AttrName::new).to_vec()),
            templates: BTreeMap::from([("displayName".into(), "{cn} ({entity})".to_owned())]),
            constants: AttrMap::from([("description".into(), vec!["made".into()])]),
            link_attribute: Some("labSourceId".into()),
            references: Some(vec!["manager".into()]),
            groups: Some(vec![GroupMap {
                shared: dn("cn=staff,ou=groups,dc=shared"),
                independent: dn("cn=staff,ou=groups,dc=own"),
                create: true,
            }]),
            ..MappingPart::default()
        };
        let mut world = Self {
            subjects: Vec::new(),
            shared: Vec::new(),
            independent: Vec::new(),
            policy: PlanPolicy {
                mapping: Some(mapping),
                admission: Some(Admission::Group { dn: dn("cn=admitted,ou=groups,dc=own") }),
                retention: Some(["uid", "cn", "sn", "objectClass"].map(AttrName::new).to_vec()),
                mfa_filter: Some("(labFactor=totp)".into()),
                group_placeholder: Some(dn("cn=placeholder,ou=system,dc=shared")),
                ..PlanPolicy::new(vec![
                    wave("leave", &[Track::Retire, Track::Keep]),
                    wave("move", &[Track::Migrate, Track::Finish]),
                ])
            },
            audit,
            capabilities: CapabilityMap::from([
                (Side::Shared, Capabilities { assertion: true, manage: true, ..Default::default() }),
                (Side::Independent, Capabilities { assertion: true, manage: true, ..Default::default() }),
            ]),
            protected: BTreeMap::new(),
            progress: RunState::new(),
            schemas: BTreeMap::from([(Side::Shared, Schema::standard())]),
            classes: BTreeMap::new(),
            config_read: true,
            seed: 7,
        };
        world.independent.push(entry(
            "cn=admitted,ou=groups,dc=own",
            EntryRole::Other,
            &[("objectClass", &["groupOfNames"]), ("member", &["cn=placeholder,ou=system,dc=own"])],
        ));
        // Percentages of a handful of accounts say nothing.
        world.policy.thresholds = Some(ThresholdsPart {
            max_changed_percent: Some(1_000.0),
            max_disabled_percent: Some(1_000.0),
            max_removed_percent: Some(1_000.0),
            ..ThresholdsPart::default()
        });
        world
    }

    /// A person with an account in the shared store.
    pub fn person(&mut self, uid: &str, presence: Option<Presence>) -> &mut Subject {
        self.person_at(uid, presence, &shared(uid))
    }

    pub fn person_at(&mut self, uid: &str, presence: Option<Presence>, at: &Dn) -> &mut Subject {
        let mail = format!("{uid}@shared.example");
        let mut made = entry(
            at.as_str(),
            EntryRole::Account,
            &[
                ("objectClass", &["inetOrgPerson"]),
                ("uid", &[uid]),
                ("cn", &[uid]),
                ("sn", &[uid]),
                ("mail", &[&mail]),
                ("telephoneNumber", &["1", "2"]),
                ("entryUUID", &["u"]),
                ("pwdChangedTime", &["20200101000000Z"]),
            ],
        );
        made.credentials.push(mark("userPassword", CredentialKind::Password, Some("SSHA"), &format!("hash-{uid}")));
        let account = Account {
            side: Side::Shared,
            dn: at.clone(),
            stable_id: made.stable_id.clone(),
            primary: true,
            secondary: false,
            matched_by: None,
            state: AccountState { paths: vec![], locked: false, ended: false, policy_effective: Some(true) },
            last_use: None,
            factor: None,
        };
        self.shared.push(made);
        self.subjects.push(Subject {
            id: id(uid),
            anchor: uid.to_owned(),
            kind: SubjectKind::Person,
            entity: Some(EntityId::new("own")),
            standing: presence.map(|presence| Standing { presence, last_day: None, disagrees: false }),
            roster_ref: presence.map(|_| uid.to_owned()),
            name: None,
            accounts: vec![account],
            undecided: vec![],
            protected: false,
            owned: None,
            owners: vec![],
            status_rule: None,
        });
        self.subjects.last_mut().unwrap()
    }

    pub fn entry_of(&mut self, uid: &str) -> &mut SnapshotEntry {
        self.shared.iter_mut().find(|e| e.dn == shared(uid)).unwrap()
    }

    pub fn set(&mut self, uid: &str, attr: &str, values: &[&str]) {
        let values: Values = values.iter().map(|v| Value::from(*v)).collect();
        self.entry_of(uid).attrs.insert(AttrName::new(attr), values);
    }

    /// Another account in the shared store beside the first.
    pub fn second(&mut self, uid: &str, at: &Dn) -> &mut SnapshotEntry {
        self.shared.push(entry(at.as_str(), EntryRole::Account, &[("objectClass", &["account"]), ("uid", &[uid])]));
        let subject = self.subjects.iter_mut().find(|s| s.id == id(uid)).unwrap();
        let (dn, stable_id) = (at.clone(), Some(StableId::new(format!("uuid-{at}"))));
        subject.accounts.push(Account { dn, stable_id, primary: false, secondary: true, ..subject.accounts[0].clone() });
        self.shared.last_mut().unwrap()
    }

    /// An account in the independent directory beside the shared one.
    pub fn also_own(&mut self, uid: &str) {
        let made = entry(own(uid).as_str(), EntryRole::Account, &[("uid", &[uid])]);
        let subject = self.subjects.iter_mut().find(|s| s.id == id(uid)).unwrap();
        let account = Account {
            side: Side::Independent,
            dn: made.dn.clone(),
            stable_id: made.stable_id.clone(),
            ..subject.accounts[0].clone()
        };
        subject.accounts.push(account);
        self.independent.push(made);
    }

    pub fn group(&mut self, cn: &str, attr: &str, values: &[&str]) {
        let made = entry(
            &format!("cn={cn},ou=groups,dc=shared"),
            EntryRole::Other,
            &[("objectClass", &["groupOfNames"]), ("cn", &[cn]), (attr, values)],
        );
        self.shared.push(made);
    }

    pub fn plan(&self) -> (Planned, Kept) {
        self.try_plan().unwrap()
    }

    pub fn try_plan(&self) -> Result<(Planned, Kept), PlanError> {
        let mut kept = Kept::default();
        let planned = self.plan_into(&mut kept)?;
        Ok((planned, kept))
    }

    pub fn plan_into(&self, sink: &mut dyn Sink) -> Result<Planned, PlanError> {
        let snapshot = SnapshotHeader {
            version: 1,
            taken_at: NOW.parse().unwrap(),
            as_of: None,
            shared: store("dc=shared", self.config_read),
            independent: store("dc=own", self.config_read),
            roster: Digest::of(b"r"),
            roster_rows: 1,
            roster_files: vec![],
            settings: None,
            program: String::new(),
            subjects: Digest::of(b"s"),
            subject_count: 1,
            cases: None,
            executable: true,
            not_executable: vec![],
        };
        let inputs = Inputs {
            kind: &OrderKind::Plan,
            snapshot: &snapshot,
            snapshot_digest: Digest::of(b"snapshot"),
            findings_digest: None,
            source: self,
            filters: &Simple,
            policy: &self.policy,
            audit: &self.audit,
            capabilities: &self.capabilities,
            progress: &self.progress,
            protected: &self.protected,
            schemas: &self.schemas,
            classes: &self.classes,
            parent: None,
            now: NOW.parse().unwrap(),
            seed: self.seed,
        };
        plan(&inputs, sink)
    }

    /// The reason why a subject is not planned; `None` if it is.
    pub fn reason(&self, uid: &str) -> Option<&'static str> {
        let (_, kept) = self.plan();
        kept.report.iter().find_map(|line| match line {
            ReportLine::NotPlanned(n) if n.subject == id(uid) => Some(n.reason.as_str()),
            _ => None,
        })
    }
}

pub fn set_touches(operation: &Operation) -> Vec<String> {
    match &operation.action {
        Action::Set { touches } => touches.iter().map(|t| t.attr.to_string()).collect(),
        other => panic!("no set: {other:?}"),
    }
}

pub fn ensured(operation: &Operation) -> BTreeSet<String> {
    match &operation.action {
        Action::Ensure { values, .. } => values.iter().map(Value::to_lossy).collect(),
        other => panic!("no ensure: {other:?}"),
    }
}
