//! What the planner is told: waves, mapping, retention, gates, thresholds.
//!
//! Most of it may be said by default, for an entity and for a wave; [`super::settings`] has what comes of that, [`super::check`] what
//! must not be said.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::settings::level;
use super::{AuditPolicy, CredentialPolicy, Mapping, Pace, RetentionList, Settings, Span, Terms};
use crate::operation::Track;
use crate::snapshot::SubjectKind;
use crate::{AttrName, Dn, EntityId, Side};

level! {
    /// How one wave is chosen and run.
    #[derive(Default)]
    pub struct WavePolicy {
        /// Its name: letters, digits, `-` and `_`.
        pub name: String,
        /// Entities whose subjects it takes; empty: all.
        #[serde(default)]
        pub entities: Vec<EntityId>,
        /// Tracks that it takes.
        pub tracks: Vec<Track>,
        /// Kinds of subjects that it takes; empty: persons.
        #[serde(default)]
        pub kinds: Vec<SubjectKind>,
        /// RFC 4515 filter over the shared entry: it takes those that match.
        pub filter: Option<String>,
        /// File that lists whom it takes, as the configuration names it; whoever reads the configuration puts its lines into
        /// [`WavePolicy::people`].
        pub people_file: Option<String>,
        /// Whom it takes: employee numbers or logins, one each; asked only where there is a [`WavePolicy::people_file`].
        #[serde(skip_deserializing)]
        pub people: Vec<String>,
        /// At most so many subjects; the rest waits for a later plan.
        pub limit: Option<u64>,
        /// Last day by which this wave must be through; the entities' deadline where absent.
        pub deadline: Option<Date>,
        /// Waves of the same plan that must end before this one starts.
        #[serde(default)]
        pub after: Vec<String>,
    }
}

impl WavePolicy {
    /// A wave of these tracks that leaves the rest to the levels below.
    pub fn new(name: impl Into<String>, tracks: &[Track]) -> Self {
        Self { name: name.into(), tracks: tracks.to_vec(), ..Self::default() }
    }

    /// Whom it takes.
    pub fn selector(&self) -> Selector {
        Selector {
            tracks: self.tracks.clone(),
            kinds: if self.kinds.is_empty() { vec![SubjectKind::Person] } else { self.kinds.clone() },
            entities: self.entities.clone(),
            filter: self.filter.clone(),
            people_file: self.people_file.clone(),
            limit: self.limit,
        }
    }
}

/// Whom a wave was told to take, for those who read its plan: its batches name whom that came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Tracks.
    pub tracks: Vec<Track>,
    /// Kinds of subjects.
    pub kinds: Vec<SubjectKind>,
    /// Entities; empty: all.
    pub entities: Vec<EntityId>,
    /// RFC 4515 filter over the shared entry.
    pub filter: Option<String>,
    /// The file that listed people.
    pub people_file: Option<String>,
    /// At most so many subjects.
    pub limit: Option<u64>,
}

/// A record that must stay, by retention or law: the login goes, the record stays until the expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Entities it applies to; empty: all.
    #[serde(default)]
    pub entities: Vec<EntityId>,
    /// RFC 4515 filter over the shared entry.
    pub filter: String,
    /// Why the record must stay.
    pub reason: String,
    /// Last day of it.
    pub until: Date,
}

/// A subject that is not planned, or must still log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Entities it applies to; empty: all.
    #[serde(default)]
    pub entities: Vec<EntityId>,
    /// RFC 4515 filter over the shared entry.
    pub filter: String,
    /// Why.
    pub reason: String,
    /// Last day of it.
    pub until: Date,
}

level! {
    /// Everything that the planner is told. [`PlanPolicy::new`] has the usual bounds; the `Default` lets nothing move or age.
    #[derive(Default)]
    pub struct PlanPolicy {
        /// The waves, in the order in which they are meant to run.
        pub waves: Vec<WavePolicy>,
        /// What is said of single entities, over what is said here and below what a wave says.
        #[serde(default)]
        pub entities: BTreeMap<EntityId, Settings>,
        /// The password policy entry (shared store) that an account is pointed at where its own does not lock.
        #[serde(default)]
        pub locking_policy: Option<Dn>,
        /// The placeholder that takes the place of the last member of a group in the shared store; absent: the cell is held.
        #[serde(default)]
        pub group_placeholder: Option<Dn>,
        /// Records that must stay.
        #[serde(default)]
        pub keep: Vec<Keep>,
        /// Subjects that wait.
        #[serde(default)]
        pub hold: Vec<Hold>,
        /// A plan is refused when more than this share (percent) of the entries that it touches has moved since its snapshot.
        #[serde(default = "default_moved_percent")]
        pub moved_percent: f64,
        /// A plan is refused when its snapshot is older than this.
        #[serde(default = "default_snapshot_age")]
        pub snapshot_max_age: Span,
        /// Writes a second that each target is assumed to take, for the forecast.
        #[serde(default = "default_rate")]
        pub forecast_writes_per_second: f64,
    }
}

fn default_moved_percent() -> f64 {
    5.0
}

fn default_snapshot_age() -> Span {
    Span::from_seconds(24 * 3_600)
}

fn default_rate() -> f64 {
    200.0
}

impl PlanPolicy {
    /// These waves, and nothing else said.
    pub fn new(waves: Vec<WavePolicy>) -> Self {
        Self {
            waves,
            moved_percent: default_moved_percent(),
            snapshot_max_age: default_snapshot_age(),
            forecast_writes_per_second: default_rate(),
            ..Self::default()
        }
    }

    /// What holds for an entity in a wave: the wave's word, else the entity's, else the default's; for the retention list and the
    /// filter of the factor, else the audit's.
    pub fn settings(&self, audit: &AuditPolicy, wave: &WavePolicy, entity: &EntityId) -> Settings {
        let audited =
            Settings { retention: audit.retention.clone(), mfa_filter: audit.mfa_filter.clone(), ..Settings::default() };
        self.said_of(wave, entity).over(audited)
    }

    fn said_of(&self, wave: &WavePolicy, entity: &EntityId) -> Settings {
        wave.said().over(self.entities.get(entity).cloned().unwrap_or_default().over(self.said()))
    }

    /// How a subject of this entity is treated in this wave.
    pub fn terms(&self, audit: &AuditPolicy, wave: &WavePolicy, entity: &EntityId) -> Terms {
        let mut terms = self.settings(audit, wave, entity).terms();
        let of_entity = self.entities.get(entity).and_then(|settings| settings.retention.as_deref());
        let lists = [
            (RetentionList::Entity, of_entity),
            (RetentionList::Plan, self.retention.as_deref()),
            (RetentionList::Audit, audit.retention.as_deref()),
        ];
        for (list, attrs) in lists.into_iter().filter_map(|(list, attrs)| Some((list, attrs?))) {
            let erased = |attr: &&AttrName| !attr.is("objectclass") && !attrs.iter().any(|name| attr.is_covered_by(name));
            let erased: Vec<AttrName> = terms.retention.iter().filter(erased).cloned().collect();
            if !erased.is_empty() {
                terms.retained_against.insert(list, erased);
            }
        }
        terms
    }

    /// How new credentials are made for people of this entity whom a wave of this name has or had in hand.
    pub fn credential(&self, audit: &AuditPolicy, wave: &str, entity: &EntityId) -> CredentialPolicy {
        let of_no_wave = WavePolicy::default();
        let wave = self.waves.iter().find(|policy| policy.name == wave).unwrap_or(&of_no_wave);
        self.terms(audit, wave, entity).credential
    }

    /// How a wave runs for an entity.
    pub fn pace_of(&self, wave: &WavePolicy, entity: &EntityId) -> Pace {
        self.said_of(wave, entity).pace()
    }

    /// How a wave runs. Where it takes several entities, [`PlanPolicy::check`] makes sure that they agree.
    pub fn pace(&self, audit: &AuditPolicy, wave: &WavePolicy) -> Pace {
        match Self::entities_of(audit, wave).next() {
            Some(entity) => self.pace_of(wave, entity),
            None => wave.said().over(self.said()).pace(),
        }
    }

    /// The entities that a wave takes.
    pub fn entities_of<'a>(audit: &'a AuditPolicy, wave: &'a WavePolicy) -> impl Iterator<Item = &'a EntityId> {
        audit.entities.keys().filter(|id| wave.entities.is_empty() || wave.entities.contains(id))
    }

    /// The mappings by which waves make accounts, with the terms that they are part of: each once.
    pub fn migrations(&self, audit: &AuditPolicy) -> Vec<(Mapping, Terms)> {
        let mut found: Vec<(Mapping, Terms)> = Vec::new();
        for (_, _, terms) in self.all_terms(audit).filter(|(wave, ..)| wave.tracks.contains(&Track::Migrate)) {
            if let Some(mapping) = terms.mapping.clone()
                && found.iter().all(|(_, known)| *known != terms)
            {
                found.push((mapping, terms));
            }
        }
        found
    }

    /// How each entity is treated in each wave that takes it, in that order.
    pub fn all_terms<'a>(&'a self, audit: &'a AuditPolicy) -> impl Iterator<Item = (&'a WavePolicy, &'a EntityId, Terms)> {
        self.waves.iter().flat_map(move |wave| {
            Self::entities_of(audit, wave).map(move |entity| (wave, entity, self.terms(audit, wave, entity)))
        })
    }
}

/// What `plan` found a store able to do, with the writing and undoing binds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Assertion control (RFC 4528).
    pub assertion: bool,
    /// Pre-read and post-read controls (RFC 4527).
    pub read_entry: bool,
    /// Transactions (RFC 5805).
    pub transactions: bool,
    /// Critical no-op works.
    pub no_op: bool,
    /// Account usability control.
    pub usability: bool,
    /// The undoing bind has the right `manage` (relax works with it).
    pub manage: bool,
}

/// Capabilities by store; a store that is missing was read from an export: its plan can be rehearsed, not run.
pub type CapabilityMap = BTreeMap<Side, Capabilities>;
