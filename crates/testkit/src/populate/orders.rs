//! Plans and other orders: their operations, their sealed files, their records.

use std::collections::BTreeMap;
use std::io::Write as _;

use jiff::{SignedDuration, Timestamp};
use untether_ledger::keys::KeySort;
use untether_ledger::{Area, Key, SealedWriter, Shelf};
use untether_model::approval::{Signed, Statement, Subject};
use untether_model::digest::Digest;
use untether_model::operation::{
    Action, Actor, Check, Desired, Direction, Expects, Operation, Phase, Stage, Target, Touch, UndoClass,
};
use untether_model::plan::{
    EntityForecast, GateWhen, OrderKind, PLAN_VERSION, PlanForecast, PlanHeader, PlannedBatch, PlannedGate, PlannedStore,
    PlannedSubject, WaveForecast, WaveHeader, WaveLine, WaveRef,
};
use untether_model::policy::{CredentialPolicy, Selector, Span, Thresholds};
use untether_model::run::{GateKind, Record};
use untether_model::snapshot::{StoreIdentity, SubjectKind};
use untether_model::{AttrName, Dn, EntityId, PlanId, Round, Side, StableId, SubjectId, Value, WaveId};

use super::book::Book;
use super::people::{Person, Population, WAVES, WaveFacts};
use crate::twins::Trouble;

/// Seconds of soak.
pub(super) const SOAK_SECONDS: u64 = 14 * 86_400;
/// Writes a second that forecasts assume.
const RATE: u64 = 50;

/// What an operation of a batch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// An entry of one person of the batch, by place.
    Person(usize),
    /// A group's memberships of the whole batch.
    Members(Direction),
    /// The proof of one person.
    Proof(usize),
}

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub n: u32,
    pub stage: Stage,
    pub phase: Phase,
    pub deed: Deed,
}

/// The operations of a batch, in the plan's order.
pub(super) fn shapes(people: &[&Person]) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for stage in Stage::ALL {
        let here: Vec<usize> = people.iter().enumerate().filter(|(_, p)| p.track.has(stage)).map(|(place, _)| place).collect();
        if here.is_empty() {
            continue;
        }
        let each = |phase, deed: fn(usize) -> Deed| here.iter().map(move |place| (phase, deed(*place)));
        let members = |direction| std::iter::once((Phase::MEMBERSHIPS, Deed::Members(direction)));
        let deeds: Vec<(Phase, Deed)> = match stage {
            Stage::Provision => each(Phase::ENTRIES, Deed::Person).chain(members(Direction::Present)).collect(),
            Stage::Enroll | Stage::Disable => each(Phase::ENTRIES, Deed::Person).collect(),
            Stage::Switch => members(Direction::Present).collect(),
            Stage::Soak => Vec::new(),
            Stage::Scrub => each(Phase::ENTRIES, Deed::Person).chain(each(Phase::HISTORY, Deed::Person)).collect(),
            Stage::Remove => members(Direction::Absent).chain(each(Phase::REMOVALS, Deed::Person)).collect(),
            Stage::Attest => each(Phase::PROOF, Deed::Proof).collect(),
        };
        for (phase, deed) in deeds {
            let n = u32::try_from(shapes.len() + 1).unwrap_or(u32::MAX);
            shapes.push(Shape { n, stage, phase, deed });
        }
    }
    shapes
}

/// A batch of a recorded wave.
pub(super) struct Batch<'a> {
    pub name: String,
    pub people: Vec<&'a Person>,
    pub shapes: Vec<Shape>,
}

/// A recorded wave.
pub(super) struct Wave<'a> {
    pub id: WaveId,
    pub digest: Digest,
    pub plan_digest: Digest,
    pub key: Key,
    pub batches: Vec<Batch<'a>>,
}

pub(super) fn stable_id(person: &Person, side: Side) -> StableId {
    let digest = Digest::of(format!("{side}{}", person.number).as_bytes()).to_hex();
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default().to_owned();
    StableId::new(format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32)))
}

pub(super) fn account(person: &Person, side: Side) -> Result<Dn, Trouble> {
    Ok(Dn::parse(&format!("uid=u{:07},ou=people,dc={side}", person.number))?)
}

fn group(side: Side) -> Result<Dn, Trouble> {
    Ok(Dn::parse(&format!("cn=staff,ou=groups,dc={side}"))?)
}

/// The store in which a stage writes.
pub(super) fn side(stage: Stage) -> Side {
    if stage < Stage::Disable { Side::Independent } else { Side::Shared }
}

fn operation(batch: &Batch<'_>, shape: &Shape) -> Result<Operation, Trouble> {
    let store = side(shape.stage);
    let one = |place: usize| batch.people.get(place).copied().ok_or_else(|| Trouble::new("a batch has no such person"));
    let (target, subjects, action): (Target, Vec<SubjectId>, Action) = match shape.deed {
        Deed::Person(place) | Deed::Proof(place) => {
            let person = one(place)?;
            let dn = account(person, store)?;
            let target = if shape.stage == Stage::Provision {
                Target::New { dn }
            } else {
                Target::Existing { dn, stable_id: stable_id(person, store) }
            };
            (target, vec![person.id.clone()], action(person, shape))
        }
        Deed::Members(direction) => {
            let people: Vec<&&Person> = batch.people.iter().filter(|p| p.track.has(shape.stage)).collect();
            let values: Result<Vec<Value>, Trouble> =
                people.iter().map(|p| Ok(Value::from(account(p, store)?.as_str()))).collect();
            let action = Action::Ensure {
                attr: AttrName::new("member"),
                direction,
                values: values?,
                create: None,
                placeholder: None,
                delete_when_empty: false,
            };
            (Target::New { dn: group(store)? }, people.iter().map(|p| p.id.clone()).collect(), action)
        }
    };
    Ok(Operation {
        batch: batch.name.clone(),
        n: shape.n,
        stage: shape.stage,
        phase: shape.phase,
        store,
        actor: if shape.phase == Phase::HISTORY { Actor::Undo } else { Actor::Writer },
        target,
        subjects,
        action,
        secret: (shape.stage == Stage::Enroll).then(|| CredentialPolicy::default().shape()),
        undo: UndoClass::Full,
        undoes: Vec::new(),
        protected_group: false,
        reason: "as planned".to_owned(),
    })
}

fn action(person: &Person, shape: &Shape) -> Action {
    let touch = |attr: &str, desired| Touch { attr: AttrName::new(attr), expects: Expects::Any, desired };
    match shape.stage {
        Stage::Provision => Action::Create {
            attrs: vec![(
                AttrName::new("uid"),
                vec![untether_model::operation::PlannedValue::Inline(Value::from(format!("u{:07}", person.number).as_str()))],
            )],
        },
        Stage::Enroll => Action::Set { touches: vec![touch("userPassword", Desired::OneTimeSecret)] },
        Stage::Remove => Action::Delete,
        Stage::Attest => Action::Attest { checks: vec![Check::Absent, Check::Evidence] },
        Stage::Switch | Stage::Disable | Stage::Soak | Stage::Scrub => {
            let attrs: &[&str] = match (shape.stage, shape.phase) {
                (Stage::Scrub, Phase::HISTORY) => &["pwdHistory"],
                (Stage::Scrub, _) => &["userPassword", "telephoneNumber", "title"],
                _ => &["pwdAccountLockedTime", "pwdEndTime"],
            };
            Action::Set { touches: attrs.iter().map(|attr| touch(attr, Desired::Absent)).collect() }
        }
    }
}

/// A statement that nobody has signed.
pub(super) fn signed(book: &Book, by: &str, subject: Subject, (reason, until): (&str, Timestamp)) -> Signed {
    Signed {
        statement: Statement { state: book.id(), subject, reason: reason.to_owned(), not_after: until },
        approver: by.to_owned(),
        key: format!("SHA256:{by}"),
        signature: "no signature: a made-up state".to_owned(),
    }
}

/// Days from now.
pub(super) fn in_days(book: &Book, days: i64) -> Timestamp {
    book.now().checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

/// Two people approve a wave in a round.
pub(super) fn approve(
    book: &mut Book,
    wave: &Wave<'_>,
    (round, through): (Round, Stage),
    people: &[&str],
) -> Result<(), Trouble> {
    for by in people {
        let subject = Subject::Order { digest: wave.plan_digest, wave: wave.id.wave.to_string(), round, through };
        let signed = signed(book, by, subject, ("対象者の一覧を確認した", in_days(book, 200)));
        book.record(&Record::Approved { signed })?;
        book.pass(90_000);
    }
    Ok(())
}

fn seal_file(
    book: &Book,
    key: Option<&(untether_ledger::KeyId, Key)>,
    write: impl FnOnce(&mut SealedWriter) -> Result<(), Trouble>,
) -> Result<Digest, Trouble> {
    let own;
    let (id, key) = match key {
        Some(pair) => pair,
        None => {
            own = book.keys.new_key(KeySort::Snapshot, None).map_err(Trouble::new)?;
            &own
        }
    };
    let mut writer = SealedWriter::create(&book.dir, &Shelf::of(Area::Plans), id, key).map_err(Trouble::new)?;
    write(&mut writer)?;
    Ok(writer.finish().map_err(Trouble::new)?.digest)
}

fn wave_header(facts_name: &str, after: &[&str]) -> WaveHeader {
    let gate = |gate, stage, when| PlannedGate { gate, stage, when };
    WaveHeader {
        name: facts_name.to_owned(),
        canary_wait: Span::from_seconds(86_400),
        canary_share_percent: 90.0,
        moved_percent: 5.0,
        soak: Span::from_seconds(SOAK_SECONDS),
        failure_tolerance: 5,
        hold_bound: Span::from_seconds(7 * 86_400),
        thresholds: Thresholds::default(),
        in_scope: BTreeMap::new(),
        gates: vec![
            gate(GateKind::Mfa, Stage::Enroll, GateWhen::After),
            gate(GateKind::OwnAccount, Stage::Disable, GateWhen::Before),
            gate(GateKind::Silence, Stage::Soak, GateWhen::After),
        ],
        selector: Selector::default(),
        terms: BTreeMap::new(),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        deadline: None,
    }
}

fn planned_subject(person: &Person) -> Result<PlannedSubject, Trouble> {
    Ok(PlannedSubject {
        id: person.id.clone(),
        track: person.track,
        kind: SubjectKind::Person,
        entity: EntityId::new(person.entity),
        roster_ref: Some(person.number.to_string()),
        shared_dn: Some(account(person, Side::Shared)?),
        shared_id: Some(stable_id(person, Side::Shared)),
        independent_dn: Some(account(person, Side::Independent)?),
        stages: person.stages(),
    })
}

fn put_line(writer: &mut SealedWriter, line: &WaveLine) -> Result<(), Trouble> {
    let mut bytes = serde_json::to_vec(line).map_err(Trouble::new)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).map_err(Trouble::new)
}

/// Writes a wave's file. Gives what refers to it, and its key.
fn wave_file(book: &Book, facts: &WaveFacts, batches: &[Batch<'_>]) -> Result<(WaveRef, Key), Trouble> {
    let pair = book.keys.new_key(KeySort::Wave, None).map_err(Trouble::new)?;
    let (mut subjects, mut operations) = (0, 0);
    let digest = seal_file(book, Some(&pair), |writer| {
        put_line(writer, &WaveLine::Wave(Box::new(wave_header(facts.name, &[]))))?;
        for (n, batch) in batches.iter().enumerate() {
            let people: Result<Vec<PlannedSubject>, Trouble> = batch.people.iter().map(|p| planned_subject(p)).collect();
            let planned = PlannedBatch { name: batch.name.clone(), canary: n == 0, subjects: people? };
            subjects += planned.subjects.len() as u64;
            put_line(writer, &WaveLine::Batch(planned))?;
        }
        for batch in batches {
            for shape in &batch.shapes {
                put_line(writer, &WaveLine::Operation(Box::new(operation(batch, shape)?)))?;
                operations += 1;
            }
        }
        Ok(())
    })?;
    let name = facts.name.to_owned();
    Ok((WaveRef { name, digest, blobs: Vec::new(), subjects, operations, batches: batches.len() as u64 }, pair.1))
}

fn stores() -> Result<BTreeMap<Side, PlannedStore>, Trouble> {
    let store = |side: Side| -> Result<PlannedStore, Trouble> {
        let identity =
            StoreIdentity { suffix: Dn::parse(&format!("dc={side}"))?, stable_id: Some(StableId::new(format!("base-{side}"))) };
        Ok(PlannedStore { identity, protected: Vec::new() })
    };
    Ok(BTreeMap::from([(Side::Shared, store(Side::Shared)?), (Side::Independent, store(Side::Independent)?)]))
}

/// The head of an order with these waves.
pub(super) fn header(book: &Book, kind: OrderKind, parent: Option<PlanId>, waves: Vec<WaveRef>) -> Result<PlanHeader, Trouble> {
    Ok(PlanHeader {
        version: PLAN_VERSION,
        kind,
        now: book.now(),
        seed: 0,
        parent,
        snapshot: None,
        findings: None,
        policy: None,
        progress: Digest::of(book.head().to_string().as_bytes()),
        decisions: Digest::of(b""),
        stores: stores()?,
        waves,
        executable: true,
        not_executable: Vec::new(),
    })
}

/// Seals a header: its digest is the order's.
pub(super) fn header_file(book: &Book, header: &PlanHeader) -> Result<Digest, Trouble> {
    let bytes = serde_json::to_vec(header).map_err(Trouble::new)?;
    seal_file(book, None, |writer| writer.write_all(&bytes).map_err(Trouble::new))
}

/// Makes one of the two plans and records it; its waves by name.
pub(super) fn plan<'a>(
    book: &mut Book,
    population: &'a Population,
    number: usize,
    parent: Option<PlanId>,
) -> Result<BTreeMap<&'static str, Wave<'a>>, Trouble> {
    let mut made = Vec::new();
    for facts in WAVES.iter().filter(|wave| wave.plan == number) {
        let batches: Vec<Batch<'_>> =
            population.batches(facts).into_iter().map(|(name, people)| Batch { name, shapes: shapes(&people), people }).collect();
        let (reference, key) = wave_file(book, facts, &batches)?;
        made.push((facts, reference, key, batches));
    }
    let references: Vec<WaveRef> = made.iter().map(|(_, reference, _, _)| reference.clone()).collect();
    let header = header(book, OrderKind::Plan, parent.clone(), references.clone())?;
    let digest = header_file(book, &header)?;
    let id = PlanId::of(&digest);
    let forecast = forecast(book, population, &made.iter().map(|(f, r, _, b)| (*f, r, b.as_slice())).collect::<Vec<_>>())?;
    book.record(&Record::PlanRecorded {
        plan: id.clone(),
        digest,
        parent,
        snapshot: None,
        waves: references,
        report: None,
        executable: true,
        forecast: Some(forecast),
    })?;
    let wave = |(facts, reference, key, batches): (&'static WaveFacts, WaveRef, Key, Vec<Batch<'a>>)| {
        let wave = WaveId::new(id.clone(), facts.name);
        (facts.name, Wave { id: wave, digest: reference.digest, plan_digest: digest, key, batches })
    };
    Ok(made.into_iter().map(wave).collect())
}

/// What the planner would say of the waves' ends.
fn forecast(
    book: &Book,
    population: &Population,
    waves: &[(&WaveFacts, &WaveRef, &[Batch<'_>])],
) -> Result<PlanForecast, Trouble> {
    let mut forecast = PlanForecast::default();
    let mut ends: BTreeMap<EntityId, Timestamp> = BTreeMap::new();
    let mut planned: BTreeMap<EntityId, u64> = BTreeMap::new();
    for (facts, reference, batches) in waves {
        let mut entities: BTreeMap<EntityId, u64> = BTreeMap::new();
        for person in batches.iter().flat_map(|b| &b.people) {
            *entities.entry(EntityId::new(person.entity)).or_default() += 1;
        }
        let (writing_seconds, canary_seconds) = (reference.operations / RATE, 7 * 86_400);
        let total = i64::try_from(writing_seconds + canary_seconds + SOAK_SECONDS).unwrap_or(i64::MAX);
        let earliest_end = book.now().checked_add(SignedDuration::from_secs(total)).map_err(Trouble::new)?;
        for (entity, n) in &entities {
            *planned.entry(entity.clone()).or_default() += n;
            let end = ends.entry(entity.clone()).or_insert(earliest_end);
            *end = (*end).max(earliest_end);
        }
        forecast.waves.push(WaveForecast {
            wave: facts.name.to_owned(),
            subjects: reference.subjects,
            entities,
            operations: reference.operations,
            writing_seconds,
            canary_seconds,
            soak_seconds: SOAK_SECONDS,
            earliest_end,
            deadline: None,
            late: false,
        });
    }
    for facts in super::people::ENTITIES {
        let entity = EntityId::new(facts.id);
        let of_entity = population.people.iter().filter(|p| p.entity == facts.id).count() as u64;
        let here = planned.get(&entity).copied().unwrap_or(0);
        let started = book.state().subjects().values().filter(|s| s.entity == entity);
        let (finished, claimed) = started.fold((0, 0), |(finished, claimed), s| match s.is_finished() {
            true => (finished + 1, claimed),
            false => (finished, claimed + 1),
        });
        let rest = of_entity.saturating_sub(here + finished + claimed);
        let reasons: BTreeMap<String, u64> = [("claimed", claimed), ("no-wave", rest)]
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| (reason.to_owned(), n))
            .collect();
        forecast.entities.push(EntityForecast {
            planned: here,
            waiting: reasons.values().sum(),
            reasons,
            earliest_end: ends.get(&entity).copied(),
            deadline: population.deadline(facts.id),
            late: false,
            entity,
        });
    }
    Ok(forecast)
}
