//! An audit from beginning to end: collect both stores, correlate and judge, write snapshot and findings.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use untether_ledger::state_dir::Area;
use untether_model::digest::Digest;
use untether_model::finding::{Place, Severity};
use untether_model::policy::AuditPolicy;
use untether_model::roster::{Roster, When, Zones};
use untether_model::run::{AuditCounts, Compared, EntityCounts};
use untether_model::schema::Schema;
use untether_model::snapshot::{SnapshotHeader, StoreRead, StoreSource};
use untether_model::{FindingId, Side};

use crate::collect::{CollectError, CollectProgress, Collected, Gap, GapKind, StoreFailure, StoreInput, collect};
use crate::correlate::Decisions;
use crate::roster::FileRead;
use crate::rules::{Inputs, StoreInputs, assess};
use crate::shrinkage::{self, ActivePeople, Sizes};
use crate::stored::{AuditFiles, CollectedFile, Earlier, Results, SealedScratch, relayed};

/// Version of the snapshot's format.
const VERSION: u32 = 1;

/// What an audit is made from.
#[derive(Clone, Copy)]
pub struct AuditInputs<'a> {
    /// What is configured.
    pub policy: &'a AuditPolicy,
    /// The roster.
    pub roster: &'a Roster,
    /// Its files.
    pub roster_files: &'a [FileRead],
    /// The shared store.
    pub shared: StoreInput<'a>,
    /// The independent directory.
    pub independent: StoreInput<'a>,
    /// What people decided.
    pub decisions: &'a Decisions,
    /// The audit's recorded time.
    pub now: Timestamp,
    /// The day as of which the roster is judged, if not now. Such an audit makes no executable plan.
    pub as_of: Option<Date>,
    /// The sizes of the last complete audit; `None` where there was none.
    pub before: Option<&'a Sizes>,
    /// The register of findings of the audit before; `None` where there is none.
    pub register: Option<&'a Digest>,
    /// Findings that people have waived.
    pub waived: &'a BTreeSet<FindingId>,
    /// Is told how collecting goes on.
    pub progress: &'a dyn CollectProgress,
}

/// What an audit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditOutcome {
    /// Digest of the snapshot's header, which names the snapshot.
    pub snapshot: Digest,
    /// The header.
    pub header: SnapshotHeader,
    /// Digest of the findings' file.
    pub findings: Digest,
    /// Number of findings.
    pub finding_count: u64,
    /// Findings by rule, entity and store.
    pub counts: Vec<AuditCounts>,
    /// Findings by severity.
    pub severities: BTreeMap<Severity, u64>,
    /// Accounts in scope by store.
    pub in_scope: BTreeMap<Side, u64>,
    /// People whom the roster calls active or on leave.
    pub active: ActivePeople,
    /// Subjects by entity (`unassigned` for none) and by what the roster says.
    pub subjects: Vec<(String, String, u64)>,
    /// Against the audits before; `None`: it judged another day.
    pub compared: Option<Compared>,
    /// Accounts in both stores by entity.
    pub entities: Vec<EntityCounts>,
    /// What was not seen.
    pub gaps: Vec<Gap>,
}

impl AuditOutcome {
    /// Nothing that could hold entries is missing, and the roster was judged as of now.
    pub fn is_complete(&self) -> bool {
        is_complete(self.header.as_of, &self.gaps)
    }
}

fn is_complete(as_of: Option<Date>, gaps: &[Gap]) -> bool {
    as_of.is_none() && !gaps.iter().any(|gap| gap.kind.concerns_entries())
}

/// Why an audit failed. An incomplete audit does not fail.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A store could not be read at all.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The snapshot or the findings could not be written.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// The rules could not run.
    #[error("judging what was collected failed")]
    Assess(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs an audit and writes its files. Nothing refers to them until the caller records the outcome.
///
/// # Errors
/// [`AuditError`]; what is merely missing is a finding.
pub async fn run(inputs: AuditInputs<'_>, files: &AuditFiles<'_>) -> Result<AuditOutcome, AuditError> {
    let marks = files.marks();
    let (mut shared_file, mut independent_file) = (files.entries()?, files.entries()?);
    let (policy, progress, now) = (inputs.policy, inputs.progress, inputs.now);
    let (shared, independent) = tokio::try_join!(
        collect(policy, inputs.shared, &marks, progress, &mut shared_file, now),
        collect(policy, inputs.independent, &marks, progress, &mut independent_file, now),
    )?;
    let (shared_file, independent_file) = (shared_file.finish()?, independent_file.finish()?);

    let mut gaps: Vec<Gap> = shared.gaps.iter().chain(&independent.gaps).cloned().collect();
    gaps.extend(stale_roster(inputs.roster_files, now));
    let in_scope = BTreeMap::from([(Side::Shared, shared.accounts), (Side::Independent, independent.accounts)]);
    let when = inputs.as_of.map_or(When::At(now), When::On);
    let active = ActivePeople::of(inputs.roster, &Zones::of(&policy.entities), when);
    // On another day other people are active, and nothing is planned from such an audit.
    if let Some(before) = inputs.before.filter(|_| inputs.as_of.is_none()) {
        gaps.extend(shrinkage::gaps(before, &active, &in_scope, policy.max_shrink_percent));
    }
    gaps.sort();
    gaps.dedup();

    let mut header = SnapshotHeader {
        version: VERSION,
        taken_at: inputs.now,
        as_of: inputs.as_of,
        shared: store_read(&shared, inputs.shared.source, &shared_file, files.put_schema(&shared.schema)?),
        independent: store_read(
            &independent,
            inputs.independent.source,
            &independent_file,
            files.put_schema(&independent.schema)?,
        ),
        roster: inputs.roster.digest(),
        roster_rows: u64::try_from(inputs.roster.row_count()).unwrap_or(u64::MAX),
        roster_files: inputs.roster_files.iter().map(FileRead::to_header).collect(),
        settings: Some(settings(&inputs)?),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        subjects: Digest::of(&[]),
        subject_count: 0,
        cases: None,
        executable: false,
        not_executable: not_executable(&inputs, &gaps),
    };
    header.executable = header.not_executable.is_empty();

    let (written, entities) = {
        let source = files.source(shared_file, independent_file);
        let mut sorted = SealedScratch::new(files);
        let mut scratch = SealedScratch::new(files);
        let mut registered = SealedScratch::new(files);
        let compare = inputs.as_of.is_none().then(|| {
            let complete = is_complete(inputs.as_of, &gaps);
            (Earlier { register: inputs.register, waived: inputs.waived, complete }, &mut registered)
        });
        let mut results = Results::begin(files, &mut sorted, compare)?;
        let (shared_exists, independent_exists) =
            (|dn: &_| shared.existence.exists(dn), |dn: &_| independent.existence.exists(dn));
        let rule_inputs = Inputs {
            policy,
            roster: inputs.roster,
            when,
            now,
            decisions: inputs.decisions,
            shared: store_inputs(&shared, &shared_exists),
            independent: store_inputs(&independent, &independent_exists),
            gaps: &gaps,
        };
        let assessed = relayed(&mut results, |relay| assess(&rule_inputs, &source, &mut scratch, relay))?;
        let assessed = assessed.map_err(|error| AuditError::Assess(Box::new(error)))?;
        (results.finish(files)?, assessed.entities.into_values().collect())
    };
    header.subjects = written.subjects;
    header.subject_count = written.subject_count;
    header.cases = Some(written.cases);
    Ok(AuditOutcome {
        snapshot: files.put_header(&header)?,
        header,
        findings: written.findings,
        finding_count: written.finding_count,
        counts: written.counts,
        severities: written.severities,
        in_scope,
        active,
        subjects: written.people,
        compared: written.compared,
        entities,
        gaps,
    })
}

/// Files of the roster that are too old, or whose age cannot be told.
fn stale_roster(files: &[FileRead], now: Timestamp) -> impl Iterator<Item = Gap> {
    files.iter().filter_map(move |file| {
        let problem = file.age_problem(now)?;
        let reason = format!("the roster file '{}': {problem}", file.name);
        Some(Gap { kind: GapKind::Stale, place: Place::Roster, dn: None, rules: Vec::new(), reason })
    })
}

/// What was configured, as the snapshot records it.
fn settings(inputs: &AuditInputs<'_>) -> Result<serde_json::Value, StoreFailure> {
    let roster: BTreeMap<&str, _> = inputs.roster_files.iter().map(|file| (file.name.as_str(), &file.policy)).collect();
    let audit = serde_json::to_value(inputs.policy).map_err(StoreFailure::writing)?;
    let roster = serde_json::to_value(roster).map_err(StoreFailure::writing)?;
    Ok(serde_json::json!({ "audit": audit, "roster": roster }))
}

fn store_read(collected: &Collected, source: &StoreSource, file: &CollectedFile, schema: Option<Digest>) -> StoreRead {
    StoreRead {
        identity: collected.identity.clone(),
        source: source.clone(),
        bases: collected.bases.clone(),
        entries: file.entries(),
        file: file.digest(),
        config_read: collected.config_read,
        schema,
    }
}

fn store_inputs<'a>(collected: &'a Collected, exists: &'a dyn Fn(&untether_model::Dn) -> Option<bool>) -> StoreInputs<'a> {
    StoreInputs {
        exists,
        schema: &collected.schema,
        mechanisms: collected.features.as_ref().map(|features| features.sasl_mechanisms.as_slice()),
        config_read: collected.config_read,
        areas: &collected.areas,
    }
}

fn not_executable(inputs: &AuditInputs<'_>, gaps: &[Gap]) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(day) = inputs.as_of {
        reasons.push(format!("the roster was judged as of {day}, not as of now"));
    }
    for (side, source) in [(Side::Shared, inputs.shared.source), (Side::Independent, inputs.independent.source)] {
        if matches!(source, StoreSource::Ldif(_)) {
            reasons.push(format!("the {side} store was read from an export, not from its server"));
        }
    }
    let missing = gaps.iter().filter(|gap| gap.kind.concerns_entries());
    reasons.extend(missing.map(|gap| {
        let at = gap.dn.as_ref().map_or_else(String::new, |dn| format!(" at '{dn}'"));
        format!("{} ({}{at}): {}", gap.kind.rule(), gap.place, gap.reason)
    }));
    reasons
}

impl AuditFiles<'_> {
    /// Writes a server's own schema; the standard one, which stands in where none was read, is not written.
    fn put_schema(&self, schema: &Schema) -> Result<Option<Digest>, StoreFailure> {
        if !schema.knows_classes() {
            return Ok(None);
        }
        let mut file = self.create(Area::Snapshots)?;
        let bytes = serde_json::to_vec(schema).map_err(StoreFailure::writing)?;
        file.write_all(&bytes).map_err(StoreFailure::writing)?;
        Ok(Some(file.finish().map_err(StoreFailure::writing)?.digest))
    }

    /// Writes a snapshot's header.
    fn put_header(&self, header: &SnapshotHeader) -> Result<Digest, StoreFailure> {
        let mut file = self.create(Area::Snapshots)?;
        let bytes = serde_json::to_vec(header).map_err(StoreFailure::writing)?;
        file.write_all(&bytes).map_err(StoreFailure::writing)?;
        Ok(file.finish().map_err(StoreFailure::writing)?.digest)
    }
}
