//! What audits would have counted at a moment of the story.

use std::collections::BTreeMap;

use untether_ledger::keys::KeySort;
use untether_ledger::{Area, JsonLinesWriter, RecordWriter, SealedWriter, Shelf};
use untether_model::digest::Digest;
use untether_model::finding::Finding;
use untether_model::operation::{Stage, Track};
use untether_model::run::{AccountCounts, AuditCounts, EntityCounts, Record};
use untether_model::snapshot::{SnapshotEntry, SnapshotHeader, StoreIdentity, StoreRead, StoreSource, Subject};
use untether_model::{Dn, EntityId, Side};

use super::book::Book;
use super::people::{ENTITIES, Person, Population};
use crate::twins::Trouble;

/// How complete an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything was read.
    Whole,
    /// A read ended early: half of what is there was seen.
    Cut,
}

/// Counts by rule and entity.
#[derive(Default)]
struct Tally(BTreeMap<(&'static str, Option<&'static str>, &'static str), (u64, u64)>);

impl Tally {
    fn add(&mut self, rule: &'static str, entity: Option<&'static str>, store: &'static str, (findings, severe): (u64, u64)) {
        let counts = self.0.entry((rule, entity, store)).or_default();
        counts.0 += findings;
        counts.1 += severe;
    }
}

/// How far a person is: the last stage that they have ended, if any.
fn ended(book: &Book, person: &Person) -> Option<Stage> {
    book.state().subjects().get(&person.id).and_then(|s| s.ended)
}

/// An audit of this moment.
pub(super) fn audit(book: &mut Book, population: &Population, sight: Sight) -> Result<(), Trouble> {
    let mut tally = Tally::default();
    let mut entities: BTreeMap<&str, EntityCounts> = BTreeMap::new();
    let mut subjects: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let (mut in_shared, mut in_own, mut active) = (0, 0, 0);
    for person in &population.people {
        let at = ended(book, person);
        let is_past = |stage| at.is_some_and(|at| at >= stage);
        let gone = is_past(Stage::Remove);
        let leaver = matches!(person.track, Track::Retire | Track::Keep);
        active += u64::from(!leaver);
        let presence = match (person.track, person.entity) {
            (Track::Retire, "contractor") => "contract-ended",
            (Track::Retire | Track::Keep, _) => "departed",
            _ => "active",
        };
        *subjects.entry((person.entity, presence)).or_default() += 1;
        let counts = entities
            .entry(person.entity)
            .or_insert_with(|| EntityCounts { entity: Some(EntityId::new(person.entity)), ..EntityCounts::default() });
        let own = person.track == Track::Finish || person.track == Track::Migrate && is_past(Stage::Enroll);
        if own {
            in_own += 1;
            add(&mut counts.independent, (true, true));
        }
        if gone || sight == Sight::Cut && person.number.is_multiple_of(2) {
            continue;
        }
        in_shared += 1;
        let (open, secret) = (!is_past(Stage::Disable), !is_past(Stage::Scrub));
        add(&mut counts.shared, (open, secret));
        counts.unmoved += u64::from(!leaver && !own);
        found(&mut tally, person, (open, secret, own));
    }
    let orphans = estate(book, &mut tally, sight);
    let shared = AccountCounts { accounts: orphans, open: orphans / 2, credentials: orphans, protected: 0 };
    entities.insert("", EntityCounts { shared, ..EntityCounts::default() });
    let (snapshot, findings) = files(book)?;
    let record = Record::AuditRecorded {
        snapshot,
        findings,
        taken_at: book.now(),
        as_of: None,
        executable: sight == Sight::Whole,
        in_scope: BTreeMap::from([(Side::Shared, in_shared), (Side::Independent, in_own)]),
        active_people: active,
        active_by_entity: BTreeMap::new(),
        complete: sight == Sight::Whole,
        subjects: subjects.into_iter().map(|((entity, presence), n)| (entity.to_owned(), presence.to_owned(), n)).collect(),
        counts: tally
            .0
            .into_iter()
            .map(|((rule, entity, store), (findings, severe))| AuditCounts {
                rule: rule.to_owned(),
                entity: entity.map(EntityId::new),
                store: store.to_owned(),
                findings,
                severe,
            })
            .collect(),
        compared: None,
        entities: Some(entities.into_values().collect()),
    };
    book.pass(60_000);
    book.record(&record).map(drop)
}

fn add(counts: &mut AccountCounts, (open, secret): (bool, bool)) {
    counts.accounts += 1;
    counts.open += u64::from(open);
    counts.credentials += u64::from(secret);
}

/// What is found on an account of the shared store.
fn found(tally: &mut Tally, person: &Person, (open, secret, own): (bool, bool, bool)) {
    let entity = Some(person.entity);
    let status = match (person.track, person.entity) {
        (Track::Retire, "contractor") => Some("residual.contract-ended"),
        (Track::Retire | Track::Keep, _) => Some("residual.departed"),
        (Track::Finish | Track::Migrate, _) if own => Some("residual.already-separated"),
        _ => None,
    };
    if person.number.is_multiple_of(50) && open {
        tally.add("link.pass-through", entity, "shared", (1, 1));
    }
    if own && open && person.number.is_multiple_of(9) {
        tally.add("link.shared-secret", entity, "shared", (1, 1));
    }
    let Some(rule) = status else { return };
    tally.add(rule, entity, "shared", (1, u64::from(open || person.track == Track::Retire)));
    if secret {
        tally.add("residual.credential", entity, "shared", (1, 1));
        tally.add("residual.attribute", entity, "shared", (1, 0));
    }
}

/// What is found beside people. Gives the number of accounts that nobody owns.
fn estate(book: &Book, tally: &mut Tally, sight: Sight) -> u64 {
    let waves = book.state().waves().len() as u64;
    let orphans = 40_u64.saturating_sub(6 * waves);
    tally.add("link.replication", None, "shared", (3_u64.saturating_sub(waves / 2), 3_u64.saturating_sub(waves / 2)));
    tally.add("link.proxy", None, "shared", (u64::from(waves < 3), u64::from(waves < 3)));
    tally.add("residual.orphan", None, "shared", (orphans, orphans / 2));
    tally.add("residual.copy", None, "shared", (1, 1));
    tally.add("access.service-account", Some("own"), "shared", (14, 6));
    tally.add("coverage.skipped", None, "shared", (2, 0));
    for entity in ENTITIES {
        tally.add("residual.dormant", Some(entity.id), "shared", (9, 0));
    }
    if sight == Sight::Cut {
        tally.add("coverage.truncated", None, "shared", (1, 1));
    }
    orphans
}

/// Empty files of a snapshot and its findings, so that commands find what the record names.
fn files(book: &Book) -> Result<(Digest, Digest), Trouble> {
    let (id, key) = book.keys.new_key(KeySort::Snapshot, None).map_err(Trouble::new)?;
    let create = |area| SealedWriter::create(&book.dir, &Shelf::of(area), &id, &key).map_err(Trouble::new);
    let published = |writer: SealedWriter| writer.finish().map(|p| p.digest).map_err(Trouble::new);
    let entries = published(RecordWriter::<SnapshotEntry, _>::new(create(Area::Snapshots)?).into_inner())?;
    let subjects = published(RecordWriter::<Subject, _>::new(create(Area::Snapshots)?).into_inner())?;
    let findings = published(JsonLinesWriter::<Finding, _>::new(create(Area::Findings)?).into_inner())?;
    let store = |side: Side| -> Result<StoreRead, Trouble> {
        Ok(StoreRead {
            identity: StoreIdentity { suffix: Dn::parse(&format!("dc={side}"))?, stable_id: None },
            source: StoreSource::Ldap(format!("ldaps://{side}.invalid")),
            bases: Vec::new(),
            entries: 0,
            file: entries,
            config_read: true,
            schema: None,
        })
    };
    let header = SnapshotHeader {
        version: 1,
        taken_at: book.now(),
        as_of: None,
        shared: store(Side::Shared)?,
        independent: store(Side::Independent)?,
        roster: Digest::of(b""),
        roster_rows: 0,
        roster_files: Vec::new(),
        settings: None,
        program: String::new(),
        subjects,
        subject_count: 0,
        cases: None,
        executable: true,
        not_executable: Vec::new(),
    };
    let mut writer = create(Area::Snapshots)?;
    let bytes = serde_json::to_vec(&header).map_err(Trouble::new)?;
    std::io::Write::write_all(&mut writer, &bytes).map_err(Trouble::new)?;
    Ok((published(writer)?, findings))
}
