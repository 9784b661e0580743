//! What the rules are given and where their results go.

use jiff::Timestamp;
use untether_model::finding::Finding;
use untether_model::matching::MatchCase;
use untether_model::policy::AuditPolicy;
use untether_model::roster::{Roster, When};
use untether_model::schema::Schema;
use untether_model::snapshot::Subject;
use untether_model::{Dn, Side};

use crate::collect::{AreaRead, Gap};
use crate::correlate::Decisions;

/// What is known of one store beside its entries.
#[derive(Clone, Copy)]
pub struct StoreInputs<'a> {
    /// Whether an entry exists; `None` where nobody looked, or not completely.
    pub exists: &'a dyn Fn(&Dn) -> Option<bool>,
    /// The schema.
    pub schema: &'a Schema,
    /// The SASL mechanisms that the server offers; `None` for an export.
    pub mechanisms: Option<&'a [String]>,
    /// `cn=config` was read.
    pub config_read: bool,
    /// The areas of copies that were read.
    pub areas: &'a [AreaRead],
}

/// Everything that the rules are given, beside the stores' entries.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// What is configured.
    pub policy: &'a AuditPolicy,
    /// The roster.
    pub roster: &'a Roster,
    /// When the roster is judged.
    pub when: When,
    /// The audit's recorded time.
    pub now: Timestamp,
    /// What people decided.
    pub decisions: &'a Decisions,
    /// The shared store.
    pub shared: StoreInputs<'a>,
    /// The independent directory.
    pub independent: StoreInputs<'a>,
    /// What was not seen.
    pub gaps: &'a [Gap],
}

impl<'a> Inputs<'a> {
    /// What is known of one store.
    pub fn store(&self, side: Side) -> &StoreInputs<'a> {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }
}

/// Takes findings, in an order that depends on the snapshot alone, subjects, sorted by id, and undecided matches, in the order of the
/// accounts.
pub trait Sink {
    /// Why something could not be taken.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A finding.
    fn finding(&mut self, finding: Finding) -> Result<(), Self::Error>;

    /// A subject.
    fn subject(&mut self, subject: Subject) -> Result<(), Self::Error>;

    /// An undecided match.
    fn case(&mut self, case: MatchCase) -> Result<(), Self::Error>;
}
