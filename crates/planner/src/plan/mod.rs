//! Forward plans. The order of the steps in [`plan`] is the order in which everything is decided.

mod bind;
mod book;
mod candidate;
mod facts;
mod forecast;
mod gather;
mod header;
mod index;
mod links;
mod mapping;
mod shared_ops;
mod stages;
mod survey;
mod waves;
mod write;

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::digest::Digest;
use untether_model::plan::{OrderKind, PlanHeader};
use untether_model::policy::{AuditPolicy, CapabilityMap, PlanPolicy};
use untether_model::run::RunState;
use untether_model::schema::Schema;
use untether_model::snapshot::SnapshotHeader;
use untether_model::{AttrName, Dn, PlanId, Side};

use crate::lint::LintNote;
use crate::piece::{AtOnce, Relay};
use crate::report::PlanningReport;
use crate::source::{Matches, PlanError, Sink, Source};

/// Everything that a plan is made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Plan, or the wave of the tool's own accounts.
    pub kind: &'a OrderKind,
    /// The snapshot's head.
    pub snapshot: &'a SnapshotHeader,
    /// The snapshot's digest.
    pub snapshot_digest: Digest,
    /// The findings' digest.
    pub findings_digest: Option<Digest>,
    /// The snapshot's contents.
    pub source: &'a dyn Source,
    /// Evaluates the filters of waves, keep and hold.
    pub filters: &'a dyn Matches,
    /// Waves, mapping, retention.
    pub policy: &'a PlanPolicy,
    /// Entities, owner attributes, protected identities as configured.
    pub audit: &'a AuditPolicy,
    /// What the stores can do with the writing and undoing binds; a store read from an export has no entry.
    pub capabilities: &'a CapabilityMap,
    /// What has happened so far, decisions of people included.
    pub progress: &'a RunState,
    /// Protected identities by store, resolved (groups expanded).
    pub protected: &'a BTreeMap<Side, Vec<Dn>>,
    /// The stores' schemas; a store that is missing has the standard one.
    pub schemas: &'a BTreeMap<Side, Schema>,
    /// Attributes that object classes require, by class in lower case; classes that are missing have the standard ones.
    pub classes: &'a BTreeMap<String, Vec<AttrName>>,
    /// The plan before.
    pub parent: Option<&'a PlanId>,
    /// The snapshot's recorded time.
    pub now: Timestamp,
    /// Seed of what is chosen at random.
    pub seed: u64,
}

/// A plan that was made.
#[derive(Debug)]
#[must_use = "a plan that is not recorded cannot be approved"]
pub struct Planned {
    /// Its id.
    pub id: PlanId,
    /// Its digest: SHA-256 of `bytes`.
    pub digest: Digest,
    /// Its head.
    pub header: PlanHeader,
    /// The exact bytes of the head's JSON.
    pub bytes: Vec<u8>,
    /// The exact bytes of the policy, whose digest the head holds: a pair of plan and audit.
    pub policy: Vec<u8>,
    /// The planning report's figures; its lines went to the sink.
    pub report: PlanningReport,
    /// Notes of the linter, the worst first.
    pub lint: Vec<LintNote>,
}

/// Makes a plan. Wave files, blobs and report lines go to the sink; the same inputs and seed give the same bytes.
pub fn plan(inputs: &Inputs<'_>, sink: &mut dyn Sink) -> Result<Planned, PlanError> {
    plan_by(AtOnce, inputs, sink)
}

/// The same plan, whose waves `relay` brings to the sink.
pub fn plan_by(relay: impl Relay, inputs: &Inputs<'_>, sink: &mut dyn Sink) -> Result<Planned, PlanError> {
    let mut book = book::Book::new(inputs)?;
    let (mut candidates, elsewhere) = candidate::collect(inputs)?;
    let index = index::Index::new(&candidates);
    let mut survey = survey::survey(inputs, &mut book, &mut candidates, &index)?;
    waves::limit(inputs, &mut candidates);
    let heights = waves::children(&mut candidates, &survey);
    let mut links = links::links(&book, &candidates, std::mem::take(&mut survey.gathered));
    let notes = std::mem::take(&mut links.notes);
    without_groups(&mut candidates, &links);
    let batches = waves::batches(&book, &mut candidates, &links, (&heights, inputs.seed));
    let draft = header::draft(inputs)?;
    let parts = write::Parts {
        book: &book,
        candidates: &candidates,
        index: &index,
        references: &book.references(inputs),
        survey: &survey,
        links: &links,
        waves: &batches,
        header: &draft,
    };
    let mut written = write::write(inputs, parts, (&mut *sink, relay))?;
    written.notes.extend(notes);
    let report = forecast::report(inputs, (&candidates, elsewhere), &mut written, sink)?;
    header::finish(inputs, draft, written, report)
}

/// A departed member of protected groups who is in none has nothing to be taken out of.
fn without_groups(candidates: &mut [candidate::Candidate], links: &links::Links) {
    for (number, candidate) in candidates.iter_mut().enumerate().filter(|(_, c)| c.groups_only) {
        let named = u32::try_from(number).is_ok_and(|n| links.removals_of(n).next().is_some());
        if !named {
            candidate.drop_for(crate::report::Reason::Protected, "a protected identity: never touched");
            candidate.wave = None;
        }
    }
}
