//! The people of a small organization and the two directories that hold them, with what is to become of each one.
//!
//! The labels are written from what is planted here, not from what the planner makes of it.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use untether_model::dn::DnKey;
use untether_model::operation::{HashScheme, Track};
use untether_model::policy::{
    Admission, AuditPolicy, CredentialPart, Entity, GroupMap, Hold, Keep, MappingPart, PlanPolicy, Span, StoreAudit,
    ThresholdsPart, WavePolicy,
};
use untether_model::roster::Presence;
use untether_model::{AttrMap, AttrName, Dn, EntityId, Entry, Side, SubjectId, Value};

use super::error::Trouble;

/// How a person's password is stored in the shared store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Password {
    /// A salted hash.
    Hash,
    /// `{SASL}`: another server is asked.
    PassThrough,
    /// Clear text.
    Clear,
    /// None.
    Absent,
}

/// One person with the accounts that they have.
#[derive(Clone, Debug)]
pub struct Person {
    /// Login in both stores.
    pub uid: String,
    /// What is to become of them; `None`: they are never touched (protected).
    pub track: Option<Track>,
    /// What the roster says; `None`: it has no row for them.
    pub presence: Option<Presence>,
    /// Their password in the shared store.
    pub password: Password,
    /// Groups of the shared store, by number.
    pub groups: Vec<usize>,
    /// Who manages them, by number.
    pub manager: Option<usize>,
    /// A password policy that does not lock applies to them.
    pub lax: bool,
    /// They have a photo that is too large for a line of a plan.
    pub photo: bool,
    /// They have old passwords.
    pub history: bool,
}

impl Person {
    /// The subject that they are.
    pub fn subject(&self) -> SubjectId {
        SubjectId::new(format!("s-{}", self.uid))
    }

    /// They have an account in the independent directory before anything is done.
    pub fn has_own(&self) -> bool {
        self.track == Some(Track::Finish)
    }

    /// The wave that takes them.
    pub fn wave(&self) -> Option<&'static str> {
        match self.track? {
            Track::Retire | Track::Keep => Some("leave"),
            Track::Migrate | Track::Finish => Some("move"),
            Track::Hold => None,
        }
    }
}

/// How an estate is to be.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// People.
    pub people: usize,
    /// Groups of the shared store beside `staff`.
    pub groups: usize,
    /// Subjects in a canary batch.
    pub canary: u32,
    /// Subjects in the other batches.
    pub batch: u32,
    /// The undoing binds have the right `manage`.
    pub manage: bool,
}

/// People, policies and the entries of both directories.
#[derive(Clone, Debug)]
pub struct Estate {
    /// The people.
    pub people: Vec<Person>,
    /// Groups of the shared store; the first one is carried over.
    pub groups: Vec<String>,
    /// Suffix of the shared store.
    pub shared: Dn,
    /// Suffix of the independent directory.
    pub own: Dn,
    /// What the planner is told.
    pub policy: PlanPolicy,
    /// Entities and scope.
    pub audit: AuditPolicy,
    /// The undoing binds have the right `manage`.
    pub manage: bool,
    /// The stores return an entry with a write (RFC 4527).
    pub reads_entries: bool,
    /// Seed of the plan.
    pub seed: u64,
}

/// The waves of an estate's plan.
pub const WAVES: [(&str, [Track; 2]); 2] = [("leave", [Track::Retire, Track::Keep]), ("move", [Track::Migrate, Track::Finish])];

/// Soak time of an estate's waves, in seconds.
pub const SOAK_SECONDS: u64 = 3_600;

impl Estate {
    /// A dozen people that need every kind of operation in every stage.
    pub fn small() -> Result<Self, Trouble> {
        let person = |uid: &str, track, presence, password| Person {
            uid: uid.to_owned(),
            track,
            presence,
            password,
            groups: vec![0],
            manager: None,
            lax: false,
            photo: false,
            history: false,
        };
        use Password::{Absent, Clear, Hash, PassThrough};
        use Presence::{Active, ContractEnded, Departed, OnLeave};
        let mut people = vec![
            person("ret1", Some(Track::Retire), Some(Departed), Hash),
            person("ret2", Some(Track::Retire), Some(Departed), PassThrough),
            person("ret3", Some(Track::Retire), Some(ContractEnded), Clear),
            person("ret4", Some(Track::Retire), Some(Departed), Hash),
            person("keep1", Some(Track::Keep), Some(Departed), Hash),
            person("fin1", Some(Track::Finish), Some(Active), Hash),
            person("fin2", Some(Track::Finish), Some(OnLeave), PassThrough),
            person("mig1", Some(Track::Migrate), Some(Active), Hash),
            person("mig2", Some(Track::Migrate), Some(Active), PassThrough),
            person("mig3", Some(Track::Migrate), Some(OnLeave), Clear),
            person("hold1", Some(Track::Hold), Some(Active), Hash),
            person("root1", None, Some(Active), Hash),
            person("ret5", Some(Track::Retire), Some(Departed), Absent),
        ];
        for (who, manager) in [(6, 0), (7, 5), (8, 7), (9, 8), (10, 1), (4, 7)] {
            people[who].manager = Some(manager);
        }
        people[3].lax = true;
        people[0].history = true;
        people[7].photo = true;
        people[0].groups = vec![0, 1];
        people[1].groups = vec![0, 2];
        people[8].groups = vec![0, 1];
        people[4].groups = vec![0, 1];
        people[10].groups = vec![1];
        people[12].groups = vec![];
        let shape = Shape { people: people.len(), groups: 2, canary: 1, batch: 2, manage: true };
        Self::new(people, shape, 7)
    }

    /// An estate of this shape, from a seed.
    pub fn random(shape: Shape, seed: u64) -> Result<Self, Trouble> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let people: Vec<Person> = (0..shape.people).map(|n| random_person(&mut rng, n, shape)).collect();
        Self::new(people, shape, seed)
    }

    fn new(people: Vec<Person>, shape: Shape, seed: u64) -> Result<Self, Trouble> {
        let (shared, own) = (Dn::parse("dc=shared")?, Dn::parse("dc=own")?);
        let groups: Vec<String> =
            std::iter::once("staff".to_owned()).chain((1..=shape.groups).map(|n| format!("team{n}"))).collect();
        let policy = policy(&shared, &own, shape)?;
        let mut audit = AuditPolicy::new(StoreAudit::new(shared.clone()), StoreAudit::new(own.clone()));
        let entity = Entity {
            name: "Own".into(),
            name_ja: None,
            time_zone: "Asia/Tokyo".into(),
            deadline: None,
            shared_subtrees: vec![],
            independent_subtrees: vec![],
        };
        audit.entities.insert("own".into(), entity);
        Ok(Self { people, groups, shared, own, policy, audit, manage: shape.manage, reads_entries: true, seed })
    }

    /// The entity of everybody.
    pub fn entity() -> EntityId {
        EntityId::new("own")
    }

    /// A person's account in the shared store.
    pub fn shared_dn(&self, person: &Person) -> Dn {
        self.shared.child("ou", "people").child("uid", person.uid.as_str())
    }

    /// A person's account in the independent directory.
    pub fn own_dn(&self, person: &Person) -> Dn {
        self.own.child("ou", "people").child("uid", person.uid.as_str())
    }

    /// A group of the shared store.
    pub fn group_dn(&self, number: usize) -> Dn {
        let name = self.groups.get(number).map_or("none", String::as_str);
        self.shared.child("ou", "groups").child("cn", name)
    }

    /// The group of the independent directory that takes over `staff`.
    pub fn own_staff(&self) -> Dn {
        self.own.child("ou", "groups").child("cn", "staff")
    }

    /// The group of the independent directory that admits.
    pub fn admitted(&self) -> Dn {
        self.own.child("ou", "groups").child("cn", "admitted")
    }

    /// The placeholder of a store's groups.
    pub fn placeholder(&self, side: Side) -> Dn {
        self.suffix(side).child("ou", "system").child("cn", "placeholder")
    }

    /// The suffix of a store.
    pub fn suffix(&self, side: Side) -> &Dn {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.own,
        }
    }

    /// Names that are never touched.
    pub fn protected(&self) -> Vec<Dn> {
        self.people.iter().filter(|p| p.track.is_none()).map(|p| self.shared_dn(p)).collect()
    }

    /// The person who is this subject.
    pub fn person(&self, subject: &SubjectId) -> Option<&Person> {
        self.people.iter().find(|p| p.subject() == *subject)
    }

    /// The entries with which a store begins.
    pub fn entries(&self, side: Side) -> Vec<Entry> {
        let suffix = self.suffix(side).clone();
        let mut out =
            vec![made(suffix.clone(), &[("objectClass", "domain"), ("dc", if side == Side::Shared { "shared" } else { "own" })])];
        for ou in ["people", "groups", "policies", "system"] {
            out.push(made(suffix.child("ou", ou), &[("objectClass", "organizationalUnit"), ("ou", ou)]));
        }
        let policies = suffix.child("ou", "policies");
        for (name, lockout) in [("default", "TRUE"), ("lax", "FALSE"), ("locking", "TRUE")] {
            let attrs = [
                ("objectClass", "device"),
                ("objectClass", "pwdPolicy"),
                ("cn", name),
                ("pwdAttribute", "userPassword"),
                ("pwdLockout", lockout),
                ("pwdMustChange", "TRUE"),
                ("pwdInHistory", "3"),
            ];
            out.push(made(policies.child("cn", name), &attrs));
        }
        out.push(made(self.placeholder(side), &[("objectClass", "device"), ("cn", "placeholder")]));
        match side {
            Side::Shared => self.shared_entries(&mut out),
            Side::Independent => self.own_entries(&mut out),
        }
        out
    }

    fn shared_entries(&self, out: &mut Vec<Entry>) {
        for person in &self.people {
            out.push(self.shared_account(person));
        }
        for (number, name) in self.groups.iter().enumerate() {
            let members: Vec<&Person> = self.people.iter().filter(|p| p.groups.contains(&number)).collect();
            if members.is_empty() {
                continue;
            }
            let mut group = made(self.group_dn(number), &[("objectClass", "groupOfNames"), ("cn", name)]);
            let values: untether_model::Values = members.iter().map(|p| Value::from(self.shared_dn(p).as_str())).collect();
            group.attrs.insert(AttrName::new("member"), values);
            out.push(group);
        }
        let mut groups: BTreeMap<DnKey, Vec<Value>> = self
            .people
            .iter()
            .map(|p| {
                (self.shared_dn(p).key().clone(), p.groups.iter().map(|g| Value::from(self.group_dn(*g).as_str())).collect())
            })
            .collect();
        // A load does not compute `memberOf`, so it is in the data, as an export has it.
        for entry in out {
            if let Some(held) = groups.remove(entry.dn.key()).filter(|held| !held.is_empty()) {
                entry.attrs.insert(AttrName::new("memberOf"), held);
            }
        }
    }

    fn shared_account(&self, person: &Person) -> Entry {
        let uid = person.uid.as_str();
        let mail = format!("{uid}@shared.example");
        let mut entry = made(
            self.shared_dn(person),
            &[
                ("objectClass", "inetOrgPerson"),
                ("uid", uid),
                ("cn", uid),
                ("sn", uid),
                ("mail", &mail),
                ("telephoneNumber", "+81 3 0000 0001"),
                ("telephoneNumber", "+81 3 0000 0002"),
                ("pwdChangedTime", "20240401090000Z"),
            ],
        );
        let kind = match person.track {
            Some(Track::Keep) => "keep",
            Some(Track::Hold) => "hold",
            _ => "staff",
        };
        push(&mut entry, "employeeType", kind);
        match person.password {
            Password::Hash => push(&mut entry, "userPassword", &format!("{{SSHA}}hash-of-{uid}")),
            Password::PassThrough => push(&mut entry, "userPassword", &format!("{{SASL}}{uid}@AFFILIATE")),
            Password::Clear => push(&mut entry, "userPassword", &format!("clear-{uid}")),
            Password::Absent => {}
        }
        if person.lax {
            push(&mut entry, "pwdPolicySubentry", self.shared.child("ou", "policies").child("cn", "lax").as_str());
        }
        if person.photo {
            entry.attrs.insert(AttrName::new("jpegPhoto"), vec![Value::new(vec![0xff; 3_000])]);
        }
        if person.history {
            push(&mut entry, "pwdHistory", "20230101000000Z#1.3.6.1.4.1.1466.115.121.1.40#15#{SSHA}old-hash-1");
        }
        if let Some(manager) = person.manager.and_then(|n| self.people.get(n)) {
            push(&mut entry, "manager", self.shared_dn(manager).as_str());
        }
        entry
    }

    fn own_entries(&self, out: &mut Vec<Entry>) {
        let mut admitted = made(self.admitted(), &[("objectClass", "groupOfNames"), ("cn", "admitted")]);
        push(&mut admitted, "member", self.placeholder(Side::Independent).as_str());
        out.push(admitted);
        for person in self.people.iter().filter(|p| p.has_own()) {
            let uid = person.uid.as_str();
            let hash = format!("{{SSHA}}own-{uid}");
            let attrs = [
                ("objectClass", "inetOrgPerson"),
                ("uid", uid),
                ("cn", uid),
                ("sn", uid),
                ("labFactor", "totp"),
                ("userPassword", &hash),
                ("pwdLastSuccess", "20261119010000Z"),
            ];
            out.push(made(self.own_dn(person), &attrs));
        }
    }
}

/// An entry with these attributes.
pub(super) fn made(dn: Dn, attrs: &[(&str, &str)]) -> Entry {
    let mut entry = Entry::new(dn);
    for (name, value) in attrs {
        push(&mut entry, name, value);
    }
    entry
}

fn push(entry: &mut Entry, name: &str, value: &str) {
    entry.attrs.entry(AttrName::new(name)).or_default().push(Value::from(value));
}

fn random_person(rng: &mut ChaCha8Rng, number: usize, shape: Shape) -> Person {
    let (track, presence) = match rng.random_range(0..20) {
        0..6 => (Some(Track::Retire), Some(if rng.random_bool(0.5) { Presence::Departed } else { Presence::ContractEnded })),
        6..8 => (Some(Track::Keep), Some(Presence::Departed)),
        8..11 => (Some(Track::Finish), Some(Presence::Active)),
        11..18 => (Some(Track::Migrate), Some(if rng.random_bool(0.8) { Presence::Active } else { Presence::OnLeave })),
        18 => (Some(Track::Hold), Some(Presence::Active)),
        _ => (None, Some(Presence::Active)),
    };
    let password = match rng.random_range(0..10) {
        0..5 => Password::Hash,
        5..8 => Password::PassThrough,
        8 => Password::Clear,
        _ => Password::Absent,
    };
    let manager = rng.random_bool(0.6).then(|| rng.random_range(0..shape.people)).filter(|m| *m != number);
    Person {
        uid: format!("u{number:02}"),
        track,
        presence,
        password,
        groups: (0..=shape.groups).filter(|_| rng.random_bool(0.4)).collect(),
        manager,
        lax: rng.random_bool(0.15),
        photo: rng.random_bool(0.2),
        history: rng.random_bool(0.2),
    }
}

fn wave(name: &str, tracks: &[Track], shape: Shape) -> WavePolicy {
    WavePolicy {
        batch_size: Some(shape.batch),
        canary_size: Some(shape.canary),
        canary_wait: Some(Span::from_seconds(60)),
        canary_share_percent: Some(1.0),
        soak: Some(Span::from_seconds(SOAK_SECONDS)),
        failure_tolerance: Some(100),
        // Percentages of a handful of accounts say nothing.
        thresholds: Some(ThresholdsPart {
            max_changed_percent: Some(1_000.0),
            max_disabled_percent: Some(1_000.0),
            max_removed_percent: Some(1_000.0),
            ..ThresholdsPart::default()
        }),
        ..WavePolicy::new(name, tracks)
    }
}

fn policy(shared: &Dn, own: &Dn, shape: Shape) -> Result<PlanPolicy, Trouble> {
    let until = jiff::civil::Date::constant(2030, 1, 1);
    let names = |names: &[&str]| names.iter().map(AttrName::new).collect::<Vec<_>>();
    let mut constants = AttrMap::new();
    constants.insert(AttrName::new("description"), vec![Value::from("made by the departure")]);
    let groups = |suffix: &Dn| suffix.child("ou", "groups");
    Ok(PlanPolicy {
        mapping: Some(MappingPart {
            base: Some(own.child("ou", "people")),
            object_classes: Some(vec!["inetOrgPerson".into()]),
            copy: Some(names(&["cn", "sn", "uid", "jpegPhoto", "telephoneNumber"])),
            templates: BTreeMap::from([(AttrName::new("mail"), "{uid}@own.example".to_owned())]),
            constants,
            link_attribute: Some(AttrName::new("labSourceId")),
            references: Some(names(&["manager"])),
            groups: Some(vec![GroupMap {
                shared: groups(shared).child("cn", "staff"),
                independent: groups(own).child("cn", "staff"),
                create: true,
            }]),
            ..MappingPart::default()
        }),
        credential: Some(CredentialPart { scheme: Some(HashScheme::Ssha), ..CredentialPart::default() }),
        admission: Some(Admission::Group { dn: groups(own).child("cn", "admitted") }),
        retention: Some(names(&["uid", "cn", "sn", "objectClass"])),
        mfa_filter: Some("(labFactor=totp)".into()),
        locking_policy: Some(shared.child("ou", "policies").child("cn", "locking")),
        group_placeholder: Some(shared.child("ou", "system").child("cn", "placeholder")),
        keep: vec![Keep { entities: vec![], filter: "(employeeType=keep)".into(), reason: "retention".into(), until }],
        hold: vec![Hold { entities: vec![], filter: "(employeeType=hold)".into(), reason: "still needed".into(), until }],
        moved_percent: 100.0,
        ..PlanPolicy::new(WAVES.iter().map(|(name, tracks)| wave(name, tracks, shape)).collect())
    })
}
