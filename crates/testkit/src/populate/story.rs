//! What happened, in order: audits every other week, two plans, five waves, and what goes wrong in half a year.

use jiff::{SignedDuration, Timestamp};
use untether_model::approval::Subject;
use untether_model::digest::Digest;
use untether_model::finding::{Place, Severity};
use untether_model::operation::{Stage, Track};
use untether_model::plan::{OrderKind, RollbackScope, WaveRef};
use untether_model::run::{CellOutcome, Decision, GateKind, GateScope, Outcome, OutcomeKind, Record, Sealed, Started, Waive};
use untether_model::{BatchId, EntityId, FindingId, OpId, PlanId, Round, WaveId};

use super::audits::{Sight, audit};
use super::book::Book;
use super::orders::{Wave, approve, header, header_file, in_days, plan, side, signed};
use super::people::Population;
use super::work::{Incident, again, begin, retry, stage, stages};
use crate::twins::Trouble;

const APPROVERS: [&str; 2] = ["佐藤 花子", "田中 一郎"];

/// Tells it all, up to this moment.
pub(super) fn tell(book: &mut Book, population: &Population, end: Timestamp) -> Result<(), Trouble> {
    audit(book, population, Sight::Whole)?;
    book.pass(2 * 86_400_000);
    let waves = plan(book, population, 0, None)?;
    rehearse(book, waves.values().next())?;
    decide(book, population)?;
    if let Some(wave) = waves.get("retire") {
        whole(book, wave, 1)?;
    }
    audit(book, population, Sight::Whole)?;
    if let Some(wave) = waves.get("finish") {
        whole(book, wave, 1)?;
    }
    audit(book, population, Sight::Cut)?;
    let mut first = None;
    if let Some(wave) = waves.get("migrate-own") {
        own(book, wave, population)?;
        first = Some(wave.id.plan.clone());
    }
    audit(book, population, Sight::Whole)?;
    let waves = plan(book, population, 1, first)?;
    rehearse(book, waves.values().next())?;
    if let Some(wave) = waves.get("migrate-overseas") {
        halfway(book, wave)?;
    }
    audit(book, population, Sight::Whole)?;
    if let Some(wave) = waves.get("migrate-domestic") {
        killed(book, wave)?;
    }
    let before = end.checked_sub(SignedDuration::from_hours(30)).map_err(Trouble::new)?;
    book.pass_until(before);
    audit(book, population, Sight::Whole)?;
    if book.now() > end {
        return Err(Trouble::new("the story takes longer than its days"));
    }
    Ok(())
}

fn rehearse(book: &mut Book, wave: Option<&Wave<'_>>) -> Result<(), Trouble> {
    let Some(wave) = wave else { return Ok(()) };
    let plan = wave.id.plan.clone();
    let operations = book.state().orders().get(&plan).map_or(0, |o| o.waves.iter().map(|w| w.operations).sum());
    book.record(&Record::Rehearsed { plan, refused: 3, operations })?;
    book.pass(3_600_000);
    Ok(())
}

/// Exceptions that somebody answers for.
fn decide(book: &mut Book, population: &Population) -> Result<(), Trouble> {
    let day = |book: &Book, days| jiff::tz::TimeZone::UTC.to_datetime(in_days(book, days)).date();
    for (n, days) in [190, 215, 230, 400].into_iter().enumerate() {
        let finding = FindingId::derive("residual.orphan", "shared", &n.to_string(), "");
        let subject = Subject::Object { kind: "finding".to_owned(), object: finding.to_string(), shown: Digest::of(b"shown") };
        let signed = signed(book, APPROVERS[0], subject, ("所属部門が棚卸し中のため", in_days(book, 400)));
        let until = day(book, days);
        let decision = Decision::Waive(Waive {
            finding,
            rule: "residual.orphan".to_owned(),
            store: Place::Shared,
            entity: None,
            severity: Severity::Medium,
            until,
        });
        book.record(&Record::Decision { decision, signed })?;
    }
    for person in population.people.iter().filter(|p| p.track == Track::Keep).take(3) {
        let object = person.id.to_string();
        let subject = Subject::Object { kind: "track".to_owned(), object, shown: Digest::of(b"shown") };
        let signed = signed(book, APPROVERS[1], subject, ("係争中のため記録を保存", in_days(book, 400)));
        let until = day(book, 214);
        book.record(&Record::Decision {
            decision: Decision::Track {
                subject: person.id.clone(),
                track: Track::Keep,
                entity: Some(EntityId::new(person.entity)),
                until,
            },
            signed,
        })?;
    }
    Ok(())
}

/// A wave from its beginning to its end.
fn whole(book: &mut Book, wave: &Wave<'_>, days: i64) -> Result<(), Trouble> {
    approve(book, wave, (Round::FIRST, Stage::Soak), &APPROVERS[..1])?;
    begin(book, wave)?;
    stages(book, wave, &[Stage::Disable], days)?;
    for batch in &wave.batches {
        retry(book, wave, batch)?;
    }
    stages(book, wave, &[Stage::Soak], days)?;
    approve(book, wave, (Round::FIRST, Stage::Attest), &APPROVERS)?;
    stages(book, wave, &[Stage::Scrub, Stage::Remove, Stage::Attest], days)?;
    book.record(&Record::WaveEnded { wave: wave.id.clone() }).map(drop)
}

/// The large wave of our own people: a batch is halted, one is rolled back and goes again, the last ones are not through yet.
fn own(book: &mut Book, wave: &Wave<'_>, population: &Population) -> Result<(), Trouble> {
    approve(book, wave, (Round::FIRST, Stage::Soak), &APPROVERS[..1])?;
    begin(book, wave)?;
    stages(book, wave, &[Stage::Provision, Stage::Enroll], 9)?;
    audit(book, population, Sight::Whole)?;
    stages(book, wave, &[Stage::Switch], 9)?;
    audit(book, population, Sight::Whole)?;
    for (n, batch) in wave.batches.iter().enumerate() {
        let incident = if n == 2 { Incident::Halted } else { Incident::None };
        stage(book, wave, batch, Stage::Disable, incident)?;
        book.pass(9 * 86_400_000 / wave.batches.len().max(1) as i64);
    }
    if let Some(batch) = wave.batches.get(3) {
        roll_back(book, wave, batch)?;
        book.pass(86_400_000);
        again(book, wave, batch, "原因の設定を直した")?;
        stage(book, wave, batch, Stage::Disable, Incident::None)?;
    }
    drift(book, wave)?;
    accept_for_one(book, wave)?;
    book.pass(14 * 86_400_000);
    audit(book, population, Sight::Whole)?;
    stages(book, wave, &[Stage::Soak], 1)?;
    approve(book, wave, (Round::FIRST, Stage::Attest), &APPROVERS)?;
    stages(book, wave, &[Stage::Scrub], 6)?;
    audit(book, population, Sight::Whole)?;
    let through = wave.batches.len() * 3 / 4;
    for what in [Stage::Remove, Stage::Attest] {
        for batch in wave.batches.iter().take(through) {
            stage(book, wave, batch, what, Incident::None)?;
            book.pass(3 * 86_400_000 / through.max(1) as i64);
        }
    }
    Ok(())
}

/// Half of the batches have credentials, the others not yet.
fn halfway(book: &mut Book, wave: &Wave<'_>) -> Result<(), Trouble> {
    approve(book, wave, (Round::FIRST, Stage::Soak), &APPROVERS[..1])?;
    begin(book, wave)?;
    stages(book, wave, &[Stage::Provision], 4)?;
    for batch in wave.batches.iter().take(wave.batches.len().div_ceil(2)) {
        stage(book, wave, batch, Stage::Enroll, Incident::None)?;
    }
    Ok(())
}

/// A run that was killed in the middle of disabling.
fn killed(book: &mut Book, wave: &Wave<'_>) -> Result<(), Trouble> {
    approve(book, wave, (Round::FIRST, Stage::Soak), &APPROVERS[..1])?;
    begin(book, wave)?;
    stages(book, wave, &[Stage::Provision, Stage::Enroll, Stage::Switch], 3)?;
    let last = wave.batches.len() * 7 / 10;
    for (n, batch) in wave.batches.iter().enumerate().take(last + 1) {
        let incident = if n == last { Incident::Killed(batch.people.len() / 2) } else { Incident::None };
        stage(book, wave, batch, Stage::Disable, incident)?;
        book.pass(4 * 86_400_000 / (last + 1) as i64);
    }
    Ok(())
}

/// The disabling of a batch is taken back.
fn roll_back(book: &mut Book, wave: &Wave<'_>, batch: &super::orders::Batch<'_>) -> Result<(), Trouble> {
    let id = BatchId::new(wave.id.clone(), batch.name.as_str());
    let reference = WaveRef {
        name: "rollback".to_owned(),
        digest: Digest::of(b"no operations in a file"),
        blobs: Vec::new(),
        subjects: 0,
        operations: 0,
        batches: 1,
    };
    let to = Stage::Disable;
    let scope = RollbackScope::Batch(id.clone());
    let kind = OrderKind::Rollback { scope, to, delete_provisioned: false, enable_inactive: false };
    let digest = header_file(book, &header(book, kind.clone(), None, vec![reference.clone()])?)?;
    let order = PlanId::of(&digest);
    let subjects: Vec<_> = batch.people.iter().map(|p| p.id.clone()).collect();
    let concerns = vec![(id.clone(), subjects.clone())];
    book.record(&Record::OrderRecorded {
        order: order.clone(),
        digest,
        order_kind: kind,
        wave: reference,
        approvals_needed: 1,
        concerns,
    })?;
    let subject = Subject::Order { digest, wave: "rollback".to_owned(), round: Round::FIRST, through: Stage::Attest };
    let signed = signed(book, "鈴木 次郎", subject, ("利用者が業務システムに入れない", in_days(book, 7)));
    book.record(&Record::Approved { signed })?;
    let own = BatchId::new(WaveId::new(order.clone(), "rollback"), batch.name.as_str());
    for (n, person) in (1..).zip(&batch.people) {
        let op = OpId::new(own.clone(), n);
        let started = Started {
            op: op.clone(),
            stage: to,
            subjects: vec![person.id.clone()],
            attempt: 1,
            store: side(to),
            stable_id: None,
            change_marker: None,
            before: Sealed(String::new()),
            desired: Sealed(String::new()),
            marks: Default::default(),
        };
        let started = Some(book.record(&Record::Started { started })?);
        let cells = vec![CellOutcome { subject: Some(person.id.clone()), kind: OutcomeKind::Succeeded }];
        let (code, message, stable_id, image) = (None, String::new(), None, None);
        book.record(&Record::Outcome { outcome: Outcome { op, stage: to, started, cells, code, message, stable_id, image } })?;
        book.pass(3);
    }
    let round = Round::FIRST.next();
    book.record(&Record::RolledBack { order, batch: Some(id), subjects, to, round, kept: Vec::new() }).map(drop)
}

/// Somebody's password reset takes a lock away; it is seen, decided on, and the batch goes on.
fn drift(book: &mut Book, wave: &Wave<'_>) -> Result<(), Trouble> {
    let Some(batch) = wave.batches.get(1) else { return Ok(()) };
    let id = BatchId::new(wave.id.clone(), batch.name.as_str());
    let is_ours = |n: u32, subject| {
        let cell = book.state().cell(&OpId::new(id.clone(), n), Some(subject));
        cell.is_some_and(|cell| cell.stage == Stage::Disable && cell.applied)
    };
    let found = batch.shapes.iter().find_map(|shape| batch.people.iter().find(|p| is_ours(shape.n, &p.id)).map(|p| (shape.n, p)));
    let Some((n, person)) = found else { return Ok(()) };
    let (op, subject) = (OpId::new(id.clone(), n), Some(person.id.clone()));
    let seen = "the lock is gone: a password was set on 2026-11-02".to_owned();
    let stage = Stage::Disable;
    book.record(&Record::Drift { op: op.clone(), subject: subject.clone(), stage, seen, over: false })?;
    book.record(&Record::Halted { batch: id, reason: "an effect of ours no longer holds".to_owned() })?;
    let (verb, by, reason) = ("keep-theirs".to_owned(), APPROVERS[0].to_owned(), "本人に確認し、再度ロックした".to_owned());
    book.record(&Record::Resolved { op, subject, verb, order: None, by, reason })?;
    again(book, wave, batch, "原因を確認した")
}

/// One person's gate is accepted, and an approval taken back.
fn accept_for_one(book: &mut Book, wave: &Wave<'_>) -> Result<(), Trouble> {
    let Some(person) = wave.batches.last().and_then(|b| b.people.last()) else { return Ok(()) };
    let scope = GateScope::Subject(person.id.clone());
    let subject =
        Subject::Object { kind: "gate".to_owned(), object: format!("own-account {scope}"), shown: Digest::of(b"shown") };
    let signed = signed(book, APPROVERS[1], subject, ("長期出張中のため", in_days(book, 60)));
    book.record(&Record::GateAccepted { gate: GateKind::OwnAccount, scope, signed })?;
    let approval = book.state().approvals().keys().next().copied();
    let Some(approval) = approval else { return Ok(()) };
    book.record(&Record::Revoked {
        approval, by: APPROVERS[0].to_owned(), reason: "対象の段階は終わっている".to_owned()
    })
    .map(drop)
}
