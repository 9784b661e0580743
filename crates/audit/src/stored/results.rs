//! Writing findings and subjects, and counting them on the way.

use std::collections::BTreeMap;

use untether_ledger::state_dir::Area;
use untether_ledger::{JsonLinesWriter, RecordWriter, SealedWriter};
use untether_model::digest::Digest;
use untether_model::finding::{Finding, Severity};
use untether_model::matching::MatchCase;
use untether_model::run::{AuditCounts, Compared};
use untether_model::snapshot::{Subject, SubjectKind};

use super::register::Register;
use super::{AuditFiles, Earlier, SealedScratch};
use crate::collect::StoreFailure;
use crate::rules::Sink;
use crate::spill::Sorter;

/// Bytes of findings that are held in memory before they are sorted into a file.
const SORTED_IN_MEMORY: usize = 16 << 20;

/// Takes findings in any order and subjects in theirs.
pub struct Results<'s, 'a> {
    findings: Sorter<'s, SealedScratch<'a>>,
    finding_file: JsonLinesWriter<Finding, SealedWriter>,
    register: Option<Register<'s, 'a>>,
    subjects: RecordWriter<Subject, SealedWriter>,
    cases: RecordWriter<MatchCase, SealedWriter>,
    counted: BTreeMap<(String, Option<String>, String), AuditCounts>,
    severities: BTreeMap<Severity, u64>,
    people: BTreeMap<(String, String), u64>,
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
            counted: BTreeMap::new(),
            severities: BTreeMap::new(),
            people: BTreeMap::new(),
        })
    }

    /// Sorts the findings and makes the files durable.
    pub fn finish(self, files: &AuditFiles<'_>) -> Result<ResultsWritten, StoreFailure> {
        let mut file = self.finding_file;
        for record in self.findings.finish()? {
            let (_, payload) = record?;
            let finding: Finding = serde_json::from_slice(&payload).map_err(StoreFailure::reading)?;
            file.push(&finding).map_err(StoreFailure::writing)?;
        }
        let finding_count = file.records();
        let subject_count = self.subjects.records();
        Ok(ResultsWritten {
            findings: file.into_inner().finish().map_err(StoreFailure::writing)?.digest,
            finding_count,
            subjects: self.subjects.into_inner().finish().map_err(StoreFailure::writing)?.digest,
            subject_count,
            cases: self.cases.into_inner().finish().map_err(StoreFailure::writing)?.digest,
            counts: self.counted.into_values().collect(),
            severities: self.severities,
            people: self.people.into_iter().map(|((entity, presence), count)| (entity, presence, count)).collect(),
            compared: self.register.map(|register| register.finish(files)).transpose()?,
        })
    }
}

impl Sink for Results<'_, '_> {
    type Error = StoreFailure;

    fn finding(&mut self, finding: Finding) -> Result<(), StoreFailure> {
        let entity = finding.entity.as_ref().map(|id| id.as_str().to_owned());
        let store = finding.store.as_str();
        let counts = self.counted.entry((finding.rule.clone(), entity, store.to_owned())).or_insert_with(|| AuditCounts {
            rule: finding.rule.clone(),
            entity: finding.entity.clone(),
            store: store.to_owned(),
            findings: 0,
            severe: 0,
        });
        counts.findings += 1;
        counts.severe += u64::from(finding.severity >= Severity::High);
        *self.severities.entry(finding.severity).or_default() += 1;
        if let Some(register) = &mut self.register {
            register.take(&finding)?;
        }
        let name = finding.dn.as_ref().map_or("", |dn| dn.key().as_str());
        let key = format!("{}\0{store}\0{name}\0{}", finding.rule, finding.id);
        let payload = serde_json::to_vec(&finding).map_err(StoreFailure::writing)?;
        self.findings.push(key.as_bytes(), &payload)
    }

    fn subject(&mut self, subject: Subject) -> Result<(), StoreFailure> {
        let entity = subject.entity.as_ref().map_or("unassigned", |id| id.as_str()).to_owned();
        *self.people.entry((entity, presence(&subject).to_owned())).or_default() += 1;
        self.subjects.push(&subject).map_err(StoreFailure::writing)
    }

    fn case(&mut self, case: MatchCase) -> Result<(), StoreFailure> {
        self.cases.push(&case).map_err(StoreFailure::writing)
    }
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
