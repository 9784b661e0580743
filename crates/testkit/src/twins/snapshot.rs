//! What an audit would have seen of two twins, as the planner reads it.
//!
//! Deliberately not the audit's own code: it only has to be right for the entries that an [`super::Estate`] makes.

use untether_directory::filter::Filter;
use untether_ledger::Marks;
use untether_model::auth::{AccountFacts, EffectivePolicy, PasswordShape, PolicyValues, SaslOffer, judge};
use untether_model::digest::Digest;
use untether_model::roster::{Presence, Standing};
use untether_model::schema::Schema;
use untether_model::snapshot::{
    Account, BaseRead, CredentialKind, CredentialMark, EntryRole, SnapshotEntry, SnapshotHeader, StoreIdentity, StoreRead,
    StoreSource, Subject, SubjectKind,
};
use untether_model::{AttrName, Dn, Entry, Side, StableId};
use untether_planner::{Matches, Source, Stream};

use super::error::Trouble;
use super::estate::{Estate, Person};
use super::world::World;

/// Entries and subjects as of one moment.
pub(super) struct Snapshot {
    pub header: SnapshotHeader,
    subjects: Vec<Subject>,
    shared: Vec<SnapshotEntry>,
    independent: Vec<SnapshotEntry>,
}

impl Source for Snapshot {
    fn subjects(&self) -> Stream<'_, Subject> {
        Box::new(self.subjects.iter().cloned().map(Ok))
    }

    fn entries(&self, side: Side) -> Stream<'_, SnapshotEntry> {
        let entries = if side == Side::Shared { &self.shared } else { &self.independent };
        Box::new(entries.iter().cloned().map(Ok))
    }
}

/// Evaluates filters over entries of a snapshot.
pub(super) struct Filters(pub Schema);

impl Matches for Filters {
    fn matches(&self, filter: &str, entry: &SnapshotEntry) -> Result<bool, String> {
        let filter = Filter::parse(filter).map_err(|e| e.to_string())?;
        Ok(filter.matches(&Entry { dn: entry.dn.clone(), attrs: entry.attrs.clone() }, &self.0))
    }
}

/// Looks at both twins.
pub(super) fn take(world: &World) -> Result<Snapshot, Trouble> {
    let estate = &world.estate;
    let dumps = Side::ALL.map(|side| world.twin(side).dump());
    let [shared, independent] = &dumps;
    let now = world.clock.now();
    let presences = world.roster.presences();
    let people = estate.people.iter();
    let subjects: Vec<Subject> =
        people.map(|person| subject(world, person, presences.get(&person.uid).copied(), (shared, independent))).collect();
    let stored = |side: Side, entries: &[Entry]| -> Result<StoreRead, Trouble> {
        let suffix = estate.suffix(side).clone();
        let base = entries.iter().find(|e| e.dn == suffix).ok_or_else(|| Trouble::new("the twin has no base entry"))?;
        let count = entries.len() as u64;
        Ok(StoreRead {
            identity: StoreIdentity { suffix: suffix.clone(), stable_id: base.text("entryUUID").map(StableId::new) },
            source: StoreSource::Ldap("ldap://twin".into()),
            bases: vec![BaseRead { base: suffix, entries: count, complete: true, shortfall: None }],
            entries: count,
            file: Digest::of(b"twin"),
            config_read: true,
            schema: None,
        })
    };
    let header = SnapshotHeader {
        version: 1,
        taken_at: now,
        as_of: None,
        shared: stored(Side::Shared, shared)?,
        independent: stored(Side::Independent, independent)?,
        roster: Digest::of(b"roster"),
        roster_rows: subjects.len() as u64,
        roster_files: vec![],
        settings: None,
        program: String::new(),
        subjects: Digest::of(b"subjects"),
        subject_count: subjects.len() as u64,
        cases: None,
        executable: true,
        not_executable: vec![],
    };
    let kept = |side: Side, entries: &[Entry]| entries.iter().map(|e| kept(estate, side, e, &world.marks)).collect();
    Ok(Snapshot { header, subjects, shared: kept(Side::Shared, shared), independent: kept(Side::Independent, independent) })
}

fn kept(estate: &Estate, side: Side, entry: &Entry, marks: &Marks) -> SnapshotEntry {
    let accounts = estate.suffix(side).child("ou", "people");
    let role = if entry.dn.parent().as_ref() == Some(&accounts) { EntryRole::Account } else { EntryRole::Other };
    let mut attrs = entry.attrs.clone();
    let mut credentials = Vec::new();
    for (name, kind) in [("userPassword", CredentialKind::Password), ("pwdHistory", CredentialKind::History)] {
        let values = attrs.remove(&AttrName::new(name)).unwrap_or_default();
        credentials.extend(values.iter().map(|value| {
            let shape = PasswordShape::of(value.as_bytes());
            let exact = marks.value(name, value.as_bytes());
            CredentialMark {
                attr: name.into(),
                kind,
                salted: shape.scheme.as_deref() == Some("SSHA"),
                scheme: shape.scheme,
                clear: shape.clear,
                realm: shape.realm,
                pass_through: shape.pass_through,
                normalized: exact.clone(),
                exact,
            }
        }));
    }
    SnapshotEntry {
        role,
        dn: entry.dn.clone(),
        stable_id: entry.text("entryUUID").map(StableId::new),
        change_marker: entry.text("entryCSN").map(str::to_owned),
        attrs,
        credentials,
    }
}

fn account(world: &World, side: Side, entry: &Entry, entries: &[Entry]) -> Account {
    let default = world.twin(side).config().default_policy.clone();
    let named = entry.text("pwdPolicySubentry").map_or(default, |name| Dn::parse(name).ok());
    let policy = entries.iter().find(|e| Some(&e.dn) == named.as_ref());
    let policy = match policy {
        Some(policy) => EffectivePolicy::Resolved(PolicyValues::from_attrs(&policy.attrs)),
        None => EffectivePolicy::Unresolved { why: "no policy".into() },
    };
    let offer = SaslOffer::of(world.twin(side).config().sasl_mechanisms.clone());
    Account {
        side,
        dn: entry.dn.clone(),
        stable_id: entry.text("entryUUID").map(StableId::new),
        primary: true,
        secondary: false,
        matched_by: None,
        state: judge(&AccountFacts::from_entry(entry), &policy, &offer, world.clock.now()),
        last_use: None,
        factor: None,
    }
}

fn subject(world: &World, person: &Person, presence: Option<Presence>, (shared, independent): (&[Entry], &[Entry])) -> Subject {
    let mut accounts = Vec::new();
    for (side, dn, entries) in
        [(Side::Shared, world.estate.shared_dn(person), shared), (Side::Independent, world.estate.own_dn(person), independent)]
    {
        accounts.extend(entries.iter().find(|e| e.dn == dn).map(|e| account(world, side, e, entries)));
    }
    Subject {
        id: person.subject(),
        anchor: person.uid.clone(),
        kind: SubjectKind::Person,
        entity: Some(Estate::entity()),
        standing: presence.map(|presence| Standing { presence, last_day: None, disagrees: false }),
        roster_ref: presence.map(|_| person.uid.clone()),
        name: None,
        accounts,
        undecided: vec![],
        protected: person.track.is_none(),
        owned: None,
        owners: vec![],
        status_rule: None,
    }
}
