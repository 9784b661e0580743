//! Two small stores and a roster, written as text, and what the rules say about them.

use std::collections::BTreeSet;
use std::convert::Infallible;

use jiff::Timestamp;
use untether_audit::collect::{AreaRead, Converter, Credentials, Gap, Marker};
use untether_audit::correlate::Decisions;
use untether_audit::rules::{Inputs, Sink, StoreInputs, assess};
use untether_audit::source::MemorySource;
use untether_audit::spill::MemoryScratch;
use untether_model::finding::Finding;
use untether_model::matching::MatchCase;
use untether_model::policy::{
    AccountPattern, AuditPolicy, CredentialAttributes, DefaultPolicy, Entity, RosterPolicy, ScopeBase, StoreAudit,
};
use untether_model::roster::{Roster, RosterFile, RosterReader, When};
use untether_model::run::{DecisionId, Match, MatchVerb};
use untether_model::schema::Schema;
use untether_model::snapshot::{CopyRecord, EntryRole, SnapshotEntry, Subject};
use untether_model::{AttrName, Dn, EntityId, Entry, Side, Value};

pub const NOW: &str = "2026-11-20T00:00:00Z";

/// Equal values have equal marks: enough for tests.
struct Plain;

impl Marker for Plain {
    fn mark(&self, name: &str, value: &[u8]) -> String {
        format!("{name}/{}", String::from_utf8_lossy(value))
    }
}

/// Lines `name: value`; the first is the DN.
pub fn entry(text: &str) -> Entry {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let mut entry = Entry::new(lines.next().unwrap().parse().unwrap());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        entry.attrs.entry(AttrName::new(name)).or_default().push(Value::from(value));
    }
    entry
}

pub struct World {
    pub policy: AuditPolicy,
    pub roster: Vec<String>,
    pub shared: Vec<SnapshotEntry>,
    pub independent: Vec<SnapshotEntry>,
    pub copies: Vec<(Side, CopyRecord)>,
    pub areas: Vec<AreaRead>,
    pub mechanisms: Option<Vec<String>>,
    pub config_read: bool,
    pub decisions: Decisions,
    pub gaps: Vec<Gap>,
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    pub subjects: Vec<Subject>,
    pub cases: Vec<MatchCase>,
}

impl Sink for Verdict {
    type Error = Infallible;

    fn finding(&mut self, finding: Finding) -> Result<(), Infallible> {
        self.findings.push(finding);
        Ok(())
    }

    fn subject(&mut self, subject: Subject) -> Result<(), Infallible> {
        self.subjects.push(subject);
        Ok(())
    }

    fn case(&mut self, case: MatchCase) -> Result<(), Infallible> {
        self.cases.push(case);
        Ok(())
    }
}

impl Verdict {
    /// `rule severity store entry` of the rules that begin with one of these prefixes, sorted. The entry is the value of its RDN; a
    /// finding without one shows the rule that it is about.
    pub fn of(&self, prefixes: &[&str]) -> Vec<String> {
        let mut out: Vec<String> = self
            .findings
            .iter()
            .filter(|f| prefixes.iter().any(|p| f.rule.starts_with(p)))
            .map(|f| {
                let entry = match &f.dn {
                    Some(dn) => dn.rdn().unwrap().0[0].value.to_lossy(),
                    None => f.evidence.facts["rule"].join(","),
                };
                format!("{} {} {} {entry}", f.rule, f.severity, f.store)
            })
            .collect();
        out.sort();
        out
    }

    pub fn finding(&self, rule: &str) -> &Finding {
        self.findings.iter().find(|f| f.rule == rule).unwrap_or_else(|| panic!("{rule} in {:?}", self.of(&[""])))
    }
}

impl World {
    /// Two stores with a locking default policy, five people in the roster (active, departed, ended, on leave, future) and no
    /// account.
    pub fn new() -> Self {
        let store = |suffix: &str, server: &str, realm: &str| {
            let below = |ou: &str| -> Dn { format!("{ou},{suffix}").parse().unwrap() };
            let mut store = StoreAudit::new(suffix.parse().unwrap());
            store.accounts = vec![ScopeBase::all(below("ou=people"))];
            store.others = vec![ScopeBase::all(below("ou=groups"))];
            store.own_servers = vec![server.into()];
            store.own_realms = vec![realm.into()];
            store.canary = Some(below("uid=canary,ou=people"));
            store.sasl_mechanisms = Some(vec![]);
            store.default_policy = Some(DefaultPolicy { lockout: Some(true), ..DefaultPolicy::default() });
            store
        };
        let mut independent = store("dc=own", "ldap.own", "OWN");
        independent.attributes.link = Some("sourceId".into());
        let mut policy = AuditPolicy::new(store("dc=shared", "ldap.shared", "SHARED"), independent);
        for (id, subtree) in [("hq", "ou=hq,ou=people,dc=shared"), ("sub", "ou=sub,ou=people,dc=shared")] {
            let entity = Entity {
                name: id.into(),
                name_ja: None,
                time_zone: "Asia/Tokyo".into(),
                deadline: None,
                shared_subtrees: vec![subtree.parse().unwrap()],
                independent_subtrees: vec![],
            };
            policy.entities.insert(EntityId::new(id), entity);
        }
        let logins = |pattern: &str| AccountPattern { logins: vec![pattern.into()], ..AccountPattern::default() };
        policy.services = logins("svc-*");
        policy.mailboxes = logins("mbx-*");
        policy.tests = logins("test-*");
        policy.secondary = logins("adm-*");
        policy.protected.dns = vec!["uid=glass,ou=people,dc=shared".parse().unwrap()];
        policy.protected.groups = vec!["cn=guards,ou=groups,dc=shared".parse().unwrap()];
        policy.retention = Some(["uid", "cn", "employeeNumber"].map(AttrName::from).to_vec());
        policy.mfa_filter = Some("(factor=key)".into());
        let roster = [
            "p1,1,act@x,act,hq,active,regular,2020-01-01,,",
            "p2,2,gone@x,gone,hq,departed,regular,2020-01-01,2026-06-30,",
            "p3,3,ended@x,ended,hq,active,contractor,2020-01-01,,2026-06-30",
            "p4,4,leave@x,leave,hq,leave,regular,2020-01-01,,",
            "p5,5,soon@x,soon,hq,active,regular,2027-01-01,,",
        ];
        Self {
            policy,
            roster: roster.map(str::to_owned).to_vec(),
            shared: Vec::new(),
            independent: Vec::new(),
            copies: Vec::new(),
            areas: Vec::new(),
            mechanisms: None,
            config_read: false,
            decisions: Decisions::default(),
            gaps: Vec::new(),
        }
    }

    pub fn row(mut self, row: &str) -> Self {
        self.roster.push(row.to_owned());
        self
    }

    pub fn put(mut self, side: Side, role: EntryRole, text: &str) -> Self {
        let credentials = Credentials::new(&CredentialAttributes::default());
        let entry = Converter::new(&credentials, &Plain).entry(role, entry(text));
        match side {
            Side::Shared => self.shared.push(entry),
            Side::Independent => self.independent.push(entry),
        }
        self
    }

    /// An open account used yesterday, in the shared store; `more` adds lines.
    pub fn shared(self, uid: &str, number: &str, more: &str) -> Self {
        self.account(Side::Shared, "ou=people,dc=shared", uid, number, &format!("userPassword: {{SSHA}}{uid}\n{more}"))
    }

    /// The same in the independent directory.
    pub fn independent(self, uid: &str, number: &str, more: &str) -> Self {
        let more = format!("userPassword: {{SSHA}}{uid}.own\nfactor: key\n{more}");
        self.account(Side::Independent, "ou=people,dc=own", uid, number, &more)
    }

    /// An account with these lines and nothing that lets it in.
    pub fn account(self, side: Side, parent: &str, uid: &str, number: &str, lines: &str) -> Self {
        let number = if number.is_empty() { String::new() } else { format!("employeeNumber: {number}") };
        let used = if lines.contains("pwdLastSuccess") { "" } else { "pwdLastSuccess: 20261119000000Z" };
        let text = format!(
            "uid={uid},{parent}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\n{number}\n\
             entryUUID: {side}-{uid}\ncreateTimestamp: 20200101000000Z\n{used}\n{lines}"
        );
        self.put(side, EntryRole::Account, &text)
    }

    pub fn group(self, side: Side, text: &str) -> Self {
        self.put(side, EntryRole::Other, text)
    }

    pub fn config(mut self, side: Side, text: &str) -> Self {
        self.config_read = true;
        self.put(side, EntryRole::Config, text)
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn roster(&self) -> Roster {
        let header = [
            "person_id",
            "employee_number",
            "mail",
            "login",
            "entity",
            "status",
            "employment",
            "start_date",
            "last_day",
            "contract_end",
        ];
        let file = RosterFile { name: "roster.csv", policy: &RosterPolicy::default(), entities: &self.policy.entities };
        let mut reader = RosterReader::new();
        assert!(reader.begin(&file, &header).unwrap());
        for (line, row) in (2..).zip(&self.roster) {
            reader.record(line, &row.split(',').collect::<Vec<_>>()).unwrap();
        }
        reader.finish().unwrap().with_merged(&self.decisions.merged_people())
    }

    /// Somebody says this of accounts and people, by their anchors.
    pub fn says(mut self, verb: MatchVerb, these: &[&str], others: &[&str]) -> Self {
        let list = |anchors: &[&str]| anchors.iter().map(|a| (*a).to_owned()).collect();
        let decided = Match { verb, these: list(these), others: list(others), subjects: Vec::new() };
        self.decisions.decide(DecisionId::alone(1), &decided).unwrap();
        self
    }

    pub fn judge(&self) -> Verdict {
        let now: Timestamp = NOW.parse().unwrap();
        let names: BTreeSet<&Dn> = self.shared.iter().chain(&self.independent).map(|e| &e.dn).collect();
        let exists = |suffix: &'static str| {
            let names = &names;
            move |dn: &Dn| dn.is_within(&suffix.parse().unwrap()).then(|| names.contains(dn))
        };
        let (shared_exists, independent_exists) = (exists("dc=shared"), exists("dc=own"));
        let schema = Schema::standard();
        let roster = self.roster();
        let store = |exists| StoreInputs {
            exists,
            schema: &schema,
            mechanisms: self.mechanisms.as_deref(),
            config_read: self.config_read,
            areas: &self.areas,
        };
        let inputs = Inputs {
            policy: &self.policy,
            roster: &roster,
            when: When::At(now),
            now,
            decisions: &self.decisions,
            shared: store(&shared_exists),
            independent: store(&independent_exists),
            gaps: &self.gaps,
        };
        let source = MemorySource::new(self.shared.clone(), self.independent.clone()).with_copies(self.copies.clone());
        let mut verdict = Verdict::default();
        assess(&inputs, &source, &mut MemoryScratch::default(), &mut verdict).unwrap();
        verdict
    }

    /// [`Verdict::of`] of the verdict.
    pub fn of(&self, prefixes: &[&str]) -> Vec<String> {
        self.judge().of(prefixes)
    }
}

/// Compares with a list of lines.
#[track_caller]
pub fn expect(found: &[String], expected: &[&str]) {
    assert_eq!(found, expected);
}
