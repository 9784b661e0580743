//! A case: one undecided account and whom it may belong to, with the facts by which people are told apart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::digest::Digest;
use crate::snapshot::{MatchKey, PathState};
use crate::{CaseId, Dn, EntityId, FindingId, Side, SubjectId};

/// A fact by which people are told apart, beside their names. The order is that of display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Employee number.
    Number,
    /// Employee number before a transfer or a rehire.
    PreviousNumber,
    /// Mail addresses.
    Mail,
    /// Logins.
    Login,
    /// Entity.
    Entity,
    /// Department.
    Department,
    /// What the roster says of the person.
    Status,
    /// First day.
    Start,
    /// Last day, of the employment or the contract.
    LastDay,
    /// When the account was created.
    Created,
    /// When the account was used last.
    LastUse,
    /// Whether the account lets somebody in.
    State,
}

impl Fact {
    /// All facts, in the order of display.
    pub const ALL: [Self; 12] = [
        Self::Number,
        Self::PreviousNumber,
        Self::Mail,
        Self::Login,
        Self::Entity,
        Self::Department,
        Self::Status,
        Self::Start,
        Self::LastDay,
        Self::Created,
        Self::LastUse,
        Self::State,
    ];

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::PreviousNumber => "previous",
            Self::Mail => "mail",
            Self::Login => "login",
            Self::Entity => "entity",
            Self::Department => "department",
            Self::Status => "status",
            Self::Start => "start",
            Self::LastDay => "last day",
            Self::Created => "created",
            Self::LastUse => "last use",
            Self::State => "state",
        }
    }

    /// It moves by itself, with every login: what a person decided on is the same without it.
    pub fn is_volatile(self) -> bool {
        matches!(self, Self::LastUse | Self::State)
    }
}

/// Whom a card is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A person of the roster.
    Person {
        /// How people find the row: person id, or entity and number.
        reference: String,
    },
    /// An account.
    Account {
        /// The store.
        side: Side,
        /// Its name.
        dn: Dn,
    },
}

/// What is known of an account or a person, for telling people apart. Never a secret value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Whom it is about.
    pub who: Who,
    /// Its anchor: what a decision names.
    pub anchor: String,
    /// The subject that it belonged to when it was seen; `None` for a person without any account.
    pub subject: Option<SubjectId>,
    /// Its names, as they are written.
    pub names: Vec<Name>,
    /// Everything else.
    pub facts: BTreeMap<Fact, Vec<String>>,
}

impl Card {
    /// A card without any fact.
    pub fn new(who: Who, anchor: String) -> Self {
        Self { who, anchor, subject: None, names: Vec::new(), facts: BTreeMap::new() }
    }

    /// With one more value of a fact.
    pub fn add(&mut self, fact: Fact, value: impl Into<String>) {
        self.facts.entry(fact).or_default().push(value.into());
    }

    /// The values of a fact.
    pub fn values(&self, fact: Fact) -> &[String] {
        self.facts.get(&fact).map_or(&[], Vec::as_slice)
    }

    /// In one line: the DN of an account, how the roster calls a person.
    pub fn title(&self) -> String {
        match &self.who {
            Who::Person { reference } => reference.clone(),
            Who::Account { side, dn } => format!("{side}: {dn}"),
        }
    }
}

/// An account that a candidate has already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its anchor.
    pub anchor: String,
    /// The store.
    pub side: Side,
    /// Its name.
    pub dn: Dn,
    /// Whether it lets somebody in.
    pub state: PathState,
    /// When it was used last.
    pub last_use: Option<Timestamp>,
}

/// Whom the account may belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// What is known of it.
    pub card: Card,
    /// The keys of the account that lead to it.
    pub by: Vec<MatchKey>,
    /// The accounts that it has already.
    pub accounts: Vec<Held>,
}

/// An undecided account with its candidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchCase {
    /// Stable between audits.
    pub id: CaseId,
    /// `correlation.ambiguous` or `correlation.conflicting`.
    pub rule: String,
    /// The finding.
    pub finding: FindingId,
    /// The entity that the account says.
    pub entity: Option<EntityId>,
    /// The account.
    pub account: Card,
    /// Whom it may belong to; those that the strongest keys lead to first.
    pub candidates: Vec<Candidate>,
    /// Other accounts that claim the same candidate by their link.
    pub rivals: Vec<(Side, Dn)>,
    /// Candidates and rivals that are not listed because there are too many.
    pub more: u32,
}

impl MatchCase {
    /// Digest of what a person decides on: everything but what moves with every login.
    pub fn shown(&self) -> Digest {
        let mut still = self.clone();
        let cards = std::iter::once(&mut still.account).chain(still.candidates.iter_mut().map(|c| &mut c.card));
        for card in cards {
            card.facts.retain(|fact, _| !fact.is_volatile());
        }
        for held in still.candidates.iter_mut().flat_map(|c| &mut c.accounts) {
            (held.last_use, held.state) = (None, PathState::Unknown);
        }
        // `serde_json::Value` keeps object keys sorted.
        Digest::of(serde_json::to_value(&still).unwrap_or_default().to_string().as_bytes())
    }

    /// The candidate with this anchor.
    pub fn candidate(&self, anchor: &str) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.card.anchor == anchor)
    }
}
