//! Writing findings and subjects, and counting them on the way.

use std::collections::BTreeMap;

use untether_ledger::state_dir::Area;
use untether_ledger::{JsonLinesWriter, RecordWriter, SealedWriter};
use untether_model::EntityId;
use untether_model::digest::Digest;
use untether_model::finding::{Finding, Place, Severity};
use untether_model::matching::MatchCase;
use untether_model::run::{AuditCounts, Compared};
use untether_model::snapshot::{Subject, SubjectKind};

use super::register::Register;
use super::{AuditFiles, Earlier, SealedScratch};
use crate::collect::StoreFailure;
use crate::rules::Sink;
use crate::spill::Sorter;

/// Bytes of findings that are held in memory before they are sorted into a file.
const SORTED_IN_MEMORY: usize = 8 << 20;

/// Takes findings in any order and subjects in theirs.
pub struct Results<'s, 'a> {
    findings: Sorter<'s, SealedScratch<'a>>,
    finding_file: JsonLinesWriter<Finding, SealedWriter>,
    register: Option<Register<'s, 'a>>,
    subjects: RecordWriter<Subject, SealedWriter>,
    cases: RecordWriter<MatchCase, SealedWriter>,
    counted: Counted,
    severities: BTreeMap<Severity, u64>,
    people: BTreeMap<(Option<EntityId>, &'static str), u64>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsWritten {
    /// Digest of the findings' file.
    pub findings: Digest,
    /// Number of findings.
    pub finding_count: u64,
    /// Digest of the subjects' file.
    pub subjects: Digest,
    /// Number of subjects.
    pub subject_count: u64,
    /// Digest of the file of undecided matches.
    pub cases: Digest,
    /// Findings by rule, entity and store.
    pub counts: Vec<AuditCounts>,
    /// Findings by severity.
    pub severities: BTreeMap<Severity, u64>,
    /// Subjects by entity (`unassigned` for none) and by what the roster says (what they are, for those it does not list).
    pub people: Vec<(String, String, u64)>,
    /// Against the audits before; `None` where nothing was to be compared.
    pub compared: Option<Compared>,
}

impl<'s, 'a> Results<'s, 'a> {
    /// Begins both files, and the register where there is something to compare with.
    pub fn begin(
        files: &AuditFiles<'_>,
        scratch: &'s mut SealedScratch<'a>,
        compare: Option<(Earlier<'s>, &'s mut SealedScratch<'a>)>,
    ) -> Result<Self, StoreFailure> {
        Ok(Self {
            findings: Sorter::new(scratch, SORTED_IN_MEMORY),
            register: compare.map(|(earlier, scratch)| Register::new(earlier, scratch)),
            finding_file: JsonLinesWriter::new(files.create(Area::Findings)?),
            subjects: RecordWriter::new(files.create(Area::Snapshots)?),
            cases: RecordWriter::new(files.create(Area::Snapshots)?),
            counted: Counted::default(),
            severities: BTreeMap::new(),
            people: BTreeMap::new(),
        })
    }

    /// Sorts the findings and makes the files durable. The register is written at the same time.
    pub fn finish(self, files: &AuditFiles<'_>) -> Result<ResultsWritten, StoreFailure> {
        let Self { findings, finding_file, register, subjects, cases, counted, severities, people } = self;
        let subject_count = subjects.records();
        std::thread::scope(|scope| {
            let compare = |register: Register<'s, 'a>| {
                std::thread::Builder::new().name("register".to_owned()).spawn_scoped(scope, || register.finish(files))
            };
            let register = register.map(compare).transpose().map_err(StoreFailure::writing)?;
            let (findings, finding_count) = sorted(findings, finding_file)?;
            Ok(ResultsWritten {
                findings,
                finding_count,
                subjects: subjects.into_inner().finish().map_err(StoreFailure::writing)?.digest,
                subject_count,
                cases: cases.into_inner().finish().map_err(StoreFailure::writing)?.digest,
                counts: counted.into_counts(),
                severities,
                people: named(people),
                compared: register.map(|register| register.join().unwrap_or_else(|_| Err(ended_early()))).transpose()?,
            })
        })
    }
}

/// Writes findings in their order. They are JSON already.
fn sorted(
    findings: Sorter<'_, SealedScratch<'_>>,
    mut file: JsonLinesWriter<Finding, SealedWriter>,
) -> Result<(Digest, u64), StoreFailure> {
    for finding in findings.finish()? {
        file.push_written(finding?.payload()).map_err(StoreFailure::writing)?;
    }
    let count = file.records();
    Ok((file.into_inner().finish().map_err(StoreFailure::writing)?.digest, count))
}

fn ended_early() -> StoreFailure {
    StoreFailure::writing("the thread that writes the register ended early")
}

impl Sink for Results<'_, '_> {
    type Error = StoreFailure;

    fn finding(&mut self, finding: Finding) -> Result<(), StoreFailure> {
        self.counted.take(&finding);
        *self.severities.entry(finding.severity).or_default() += 1;
        if let Some(register) = &mut self.register {
            register.take(&finding)?;
        }
        let name = finding.dn.as_ref().map_or("", |dn| dn.key().as_str());
        let key = [&finding.rule, finding.store.as_str(), name, finding.id.as_str()].join("\0");
        let payload = serde_json::to_vec(&finding).map_err(StoreFailure::writing)?;
        self.findings.push(key.as_bytes(), &payload)
    }

    fn subject(&mut self, subject: Subject) -> Result<(), StoreFailure> {
        *self.people.entry((subject.entity.clone(), presence(&subject))).or_default() += 1;
        self.subjects.push(&subject).map_err(StoreFailure::writing)
    }

    fn case(&mut self, case: MatchCase) -> Result<(), StoreFailure> {
        self.cases.push(&case).map_err(StoreFailure::writing)
    }
}

/// Findings by rule.
#[derive(Default)]
struct Counted(BTreeMap<String, OfRule>);

/// Findings by entity and store: all of them, and those that are severe.
type OfRule = BTreeMap<(Option<EntityId>, Place), (u64, u64)>;

impl Counted {
    fn take(&mut self, finding: &Finding) {
        let key = (finding.entity.clone(), finding.store);
        // Findings are many and rules are few.
        let of_rule = match self.0.get_mut(&finding.rule) {
            Some(of_rule) => of_rule,
            None => self.0.entry(finding.rule.clone()).or_default(),
        };
        let (findings, severe) = of_rule.entry(key).or_default();
        *findings += 1;
        *severe += u64::from(finding.severity >= Severity::High);
    }

    /// In the order of rules, entities and the stores' names.
    fn into_counts(self) -> Vec<AuditCounts> {
        let of_rule = |(rule, counted): (String, BTreeMap<_, _>)| {
            counted.into_iter().map(move |((entity, store), (findings, severe)): ((_, Place), _)| AuditCounts {
                rule: rule.clone(),
                entity,
                store: store.as_str().to_owned(),
                findings,
                severe,
            })
        };
        let mut counts: Vec<AuditCounts> = self.0.into_iter().flat_map(of_rule).collect();
        counts.sort_by(|a, b| (&a.rule, &a.entity, &a.store).cmp(&(&b.rule, &b.entity, &b.store)));
        counts
    }
}

/// Subjects by the name of their entity, in order.
fn named(counted: BTreeMap<(Option<EntityId>, &'static str), u64>) -> Vec<(String, String, u64)> {
    let mut named: BTreeMap<(String, String), u64> = BTreeMap::new();
    for ((entity, presence), count) in counted {
        let entity = entity.as_ref().map_or("unassigned", EntityId::as_str).to_owned();
        *named.entry((entity, presence.to_owned())).or_default() += count;
    }
    named.into_iter().map(|((entity, presence), count)| (entity, presence, count)).collect()
}

fn presence(subject: &Subject) -> &'static str {
    match (subject.standing.as_ref(), subject.kind) {
        (Some(standing), _) => standing.presence.as_str(),
        (None, SubjectKind::Person) => "unlisted",
        (None, SubjectKind::Service) => "service",
        (None, SubjectKind::Mailbox) => "mailbox",
        (None, SubjectKind::Test) => "test",
        (None, SubjectKind::Tool) => "tool",
    }
}
