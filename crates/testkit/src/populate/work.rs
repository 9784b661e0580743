//! What a run leaves in the ledger while it works through a stage of a batch.

use std::collections::BTreeMap;

use untether_cutover::image::{BEFORE, DELETED, DESIRED, Image};
use untether_model::approval::Subject;
use untether_model::digest::Digest;
use untether_model::operation::{Direction, Stage};
use untether_model::run::{
    CellOutcome, GateKind, GateScope, Mark, Observation, Observed, Outcome, OutcomeKind, ParkReason, Record, Sealed, Started,
    Verdict, WaveClaim,
};
use untether_model::{AttrMap, AttrName, BatchId, OpId, Round, Side, SubjectId, Value};

use super::book::Book;
use super::orders::{Batch, Deed, Shape, Wave, account, approve, in_days, side, signed, stable_id};
use super::people::Person;
use crate::twins::Trouble;

/// Milliseconds between two records of operations.
const STEP_MS: i64 = 3;

/// Of so many people one meets a refusal.
const REFUSED_OF: u32 = 701;

/// Operations in flight when the process is killed.
const IN_FLIGHT: usize = 3;

/// What happens beside the plan while a stage is worked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    /// Nothing.
    None,
    /// The process is killed after so many operations: the last ones have no outcome, and the stage does not end.
    Killed(usize),
    /// Somebody halts the batch, and it is resumed.
    Halted,
}

/// The wave begins and claims its people.
pub(super) fn begin(book: &mut Book, wave: &Wave<'_>) -> Result<(), Trouble> {
    let claims = wave.batches.iter().enumerate();
    let claims = claims.map(|(n, batch)| WaveClaim {
        batch: batch.name.clone(),
        canary: n == 0,
        subjects: batch.people.iter().map(|p| p.claimed()).collect(),
    });
    let record =
        Record::WaveStarted { wave: wave.id.clone(), digest: wave.digest, claims: claims.collect(), failure_tolerance: 5 };
    book.record(&record).map(drop)
}

/// One batch goes through a stage.
pub(super) fn stage(
    book: &mut Book,
    wave: &Wave<'_>,
    batch: &Batch<'_>,
    stage: Stage,
    incident: Incident,
) -> Result<(), Trouble> {
    let id = BatchId::new(wave.id.clone(), batch.name.as_str());
    let round = book.state().batches().get(&id).map_or(Round::FIRST, |b| b.round);
    let shapes: Vec<&Shape> = batch.shapes.iter().filter(|s| s.stage == stage).collect();
    if stage == Stage::Disable {
        for person in working(book, &id, batch, stage) {
            gate(book, GateKind::OwnAccount, person, Verdict::Pass)?;
        }
    }
    book.record(&Record::StageStarted { batch: id.clone(), stage, round, operations: shapes.len() as u64 })?;
    for (done, shape) in shapes.iter().enumerate() {
        let left = match incident {
            Incident::Killed(after) => (after + IN_FLIGHT).saturating_sub(done),
            Incident::None | Incident::Halted => usize::MAX,
        };
        if left == 0 {
            return Ok(());
        }
        operation(book, wave, batch, (shape, left <= IN_FLIGHT))?;
    }
    if incident == Incident::Halted {
        let reason = "6 refusals or conflicts, more than the batch tolerates".to_owned();
        book.record(&Record::Halted { batch: id.clone(), reason })?;
        book.pass(5 * 3_600_000);
        again(book, wave, batch, "権限を戻した")?;
    }
    match stage {
        Stage::Enroll => {
            let people: Vec<SubjectId> = working(book, &id, batch, stage).iter().map(|p| p.id.clone()).collect();
            let digest = Digest::of(id.to_string().as_bytes());
            let file = format!("{}_{}_{}.age", wave.id.plan, wave.id.wave, batch.name);
            book.record(&Record::HandoverWritten { batch: id.clone(), file, digest, subjects: people })?;
            for person in working(book, &id, batch, stage) {
                gate(book, GateKind::Mfa, person, Verdict::Hold)?;
            }
            for person in working(book, &id, batch, stage) {
                gate(book, GateKind::Mfa, person, Verdict::Pass)?;
            }
        }
        Stage::Soak => {
            let scope = GateScope::Batch(id.clone());
            let covered = book.state().accepted().values().any(|a| a.scope == GateScope::Wave(wave.id.clone()));
            if !covered {
                let shown = Digest::of(b"shown");
                let subject = Subject::Object { kind: "gate".to_owned(), object: format!("silence {scope}"), shown };
                let signed = signed(book, "佐藤 花子", subject, ("ログを確認し、利用がないことを確かめた", in_days(book, 120)));
                book.record(&Record::GateAccepted { gate: GateKind::Silence, scope: GateScope::Wave(wave.id.clone()), signed })?;
            }
        }
        _ => {}
    }
    book.record(&Record::StageEnded { batch: id, stage, round }).map(drop)
}

/// All batches go through these stages, a day of waiting after each canary.
pub(super) fn stages(book: &mut Book, wave: &Wave<'_>, which: &[Stage], days: i64) -> Result<(), Trouble> {
    for what in which {
        let step = days * 86_400_000 / i64::try_from(wave.batches.len().max(1)).unwrap_or(1);
        for (n, batch) in wave.batches.iter().enumerate() {
            let applies = batch.people.iter().any(|p| p.track.has(*what));
            if applies {
                stage(book, wave, batch, *what, Incident::None)?;
                book.pass(if n == 0 { 86_400_000 } else { step });
            }
        }
        if *what == Stage::Disable {
            // Soak begins with each batch's own disable; what is waited for here is its end.
            book.pass(14 * 86_400_000);
        }
    }
    Ok(())
}

/// The people of a batch who stand where it stands and to whom the stage applies.
fn working<'a>(book: &Book, id: &BatchId, batch: &Batch<'a>, stage: Stage) -> Vec<&'a Person> {
    batch.people.iter().filter(|p| works(book, id, p, stage)).copied().collect()
}

fn works(book: &Book, id: &BatchId, person: &Person, stage: Stage) -> bool {
    let found = book.state().subjects().get(&person.id);
    person.track.has(stage)
        && found.is_some_and(|s| s.batch == *id && s.parked.is_none() && (!s.catching_up || s.next_stage() == Some(stage)))
}

fn gate(book: &mut Book, gate: GateKind, person: &Person, verdict: Verdict) -> Result<(), Trouble> {
    let (at, scope) = (book.now(), GateScope::Subject(person.id.clone()));
    let why = if verdict == Verdict::Pass { "seen" } else { "no acceptable factor is enrolled yet" };
    let observed = Observed {
        what: Observation::Gate { gate, scope, verdict, why: why.to_owned() },
        source: "ldap-filter".to_owned(),
        coverage: "the person's entry in the independent directory".to_owned(),
        from: at,
        to: at,
        expires: None,
    };
    book.record(&Record::Observed { observed }).map(drop)
}

fn image(person: &Person, at: Side, attrs: &[(&str, &str)]) -> Result<Image, Trouble> {
    let mut map = AttrMap::new();
    for (name, value) in attrs {
        map.insert(AttrName::new(name), vec![Value::from(*value)]);
    }
    Ok(Image { dn: account(person, at)?, attrs: map, secret: None })
}

fn operation(book: &mut Book, wave: &Wave<'_>, batch: &Batch<'_>, (shape, killed): (&Shape, bool)) -> Result<(), Trouble> {
    let id = BatchId::new(wave.id.clone(), batch.name.as_str());
    let op = OpId::new(id.clone(), shape.n);
    let worked: Vec<&Person> = match shape.deed {
        Deed::Members(_) => working(book, &id, batch, shape.stage),
        Deed::Person(place) | Deed::Proof(place) => {
            batch.people.get(place).filter(|p| works(book, &id, p, shape.stage)).copied().into_iter().collect()
        }
    };
    let Some(person) = worked.first().copied() else { return Ok(()) };
    let subjects: Vec<SubjectId> = worked.iter().map(|p| p.id.clone()).collect();
    let ending = |kind, message: &str| Ending {
        op: op.clone(),
        stage: shape.stage,
        started: None,
        kind,
        message: message.to_owned(),
        image: None,
    };
    if let Deed::Proof(_) = shape.deed {
        prove(book, person)?;
        let words = "partial: not included in a signed evidence log";
        return end(book, &subjects, ending(OutcomeKind::Succeeded, words));
    }
    let (started, image) = intent(book, wave, (&op, shape), &worked)?;
    let started = Some(started);
    book.pass(STEP_MS);
    if killed {
        return Ok(());
    }
    let first = book.state().cell(&op, Some(&person.id)).is_none_or(|cell| cell.started == started && cell.attempts == 1);
    if shape.stage == Stage::Disable && first && person.number % REFUSED_OF == REFUSED_OF / 2 {
        let words = "50 insufficient access";
        end(book, &subjects, Ending { started, ..ending(OutcomeKind::Refused, words) })?;
        let record = Record::Parked {
            subject: person.id.clone(),
            batch: id,
            reason: ParkReason::Failed,
            stage: shape.stage,
            details: format!("operation {op}: {words}"),
            presence: None,
        };
        return book.record(&record).map(drop);
    }
    end(book, &subjects, Ending { started, image, ..ending(OutcomeKind::Succeeded, "") })
}

/// Attributes with their values.
type Attrs = &'static [(&'static str, &'static str)];

/// What an operation of this kind finds and leaves.
fn values(shape: &Shape) -> (Attrs, Attrs) {
    match (shape.deed, shape.stage) {
        (Deed::Members(Direction::Present), _) => (&[], &[("member", "uid=somebody")]),
        (Deed::Members(Direction::Absent), _) => (&[("member", "uid=somebody")], &[]),
        (_, Stage::Provision) => (
            &[],
            &[
                ("uid", "u"),
                ("cn", "山田 太郎"),
                ("sn", "山田"),
                ("mail", "yamada@own.example"),
                ("objectClass", "inetOrgPerson"),
            ],
        ),
        (_, Stage::Enroll) => (
            &[],
            &[
                ("userPassword", "{ARGON2}$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g"),
                ("pwdReset", "TRUE"),
            ],
        ),
        (_, Stage::Scrub) => (
            &[
                ("userPassword", "{SSHA}0123456789abcdef0123456789abcdef"),
                ("telephoneNumber", "+81 3 0000 0000"),
                ("title", "部長"),
            ],
            &[],
        ),
        (_, Stage::Remove) => {
            (&[("uid", "u"), ("cn", "山田 太郎"), ("objectClass", "inetOrgPerson"), ("pwdEndTime", "20270101000000Z")], &[])
        }
        _ => (&[("pwdEndTime", "")], &[("pwdAccountLockedTime", "000001010000Z"), ("pwdEndTime", "20270101000000Z")]),
    }
}

/// Records an intent: its number, and the image of what a deletion takes away.
fn intent(
    book: &mut Book,
    wave: &Wave<'_>,
    (op, shape): (&OpId, &Shape),
    worked: &[&Person],
) -> Result<(u64, Option<Sealed>), Trouble> {
    let Some(person) = worked.first() else { return Err(Trouble::new("an intent needs somebody")) };
    let store = side(shape.stage);
    let (before, desired) = values(shape);
    let seal = |attrs: &[(&str, &str)], purpose| image(person, store, attrs)?.seal(&wave.key, purpose, op).map_err(Trouble::new);
    let names: Vec<&str> = before.iter().chain(desired).map(|(name, _)| *name).collect();
    let mark = |of: &[(&str, &str)], name: &str| {
        of.iter().find(|(n, _)| *n == name).map(|(_, value)| book.marks.set(name, [value.as_bytes()]))
    };
    let marks: BTreeMap<AttrName, Mark> = match shape.deed {
        Deed::Members(_) => BTreeMap::new(),
        _ => names
            .iter()
            .map(|name| (AttrName::new(name), Mark { before: mark(before, name), after: mark(desired, name) }))
            .collect(),
    };
    let attempt = book.state().cell(op, Some(&person.id)).map_or(0, |cell| cell.attempts) + 1;
    let exists = shape.stage != Stage::Provision;
    let started = Started {
        op: op.clone(),
        stage: shape.stage,
        subjects: worked.iter().map(|p| p.id.clone()).collect(),
        attempt,
        store,
        stable_id: exists.then(|| stable_id(person, store)),
        change_marker: exists.then(|| "20261120000000.000000Z#000000#001#000000".to_owned()),
        before: seal(before, BEFORE)?,
        desired: seal(desired, DESIRED)?,
        marks,
    };
    let deleted = (shape.stage == Stage::Remove).then(|| seal(before, DELETED)).transpose()?;
    Ok((book.record(&Record::Started { started })?, deleted))
}

fn prove(book: &mut Book, person: &Person) -> Result<(), Trouble> {
    let at = book.now();
    let observed = Observed {
        what: Observation::Proof {
            subject: person.id.clone(),
            proved: vec!["absent by name and by stable id".to_owned()],
            missing: vec!["not included in a signed evidence log".to_owned()],
        },
        source: "attest".to_owned(),
        coverage: "the shared store, by name and by stable id below its suffix".to_owned(),
        from: at,
        to: at,
        expires: None,
    };
    book.record(&Record::Observed { observed }).map(drop)
}

/// How an operation ends, for all of its cells.
struct Ending {
    op: OpId,
    stage: Stage,
    started: Option<u64>,
    kind: OutcomeKind,
    message: String,
    image: Option<Sealed>,
}

fn end(book: &mut Book, subjects: &[SubjectId], ending: Ending) -> Result<(), Trouble> {
    let Ending { op, stage, started, kind, message, image } = ending;
    let cells = subjects.iter().map(|s| CellOutcome { subject: Some(s.clone()), kind }).collect();
    let code = (kind == OutcomeKind::Refused).then_some(50);
    let outcome = Outcome { op, stage, started, cells, code, message, stable_id: None, image };
    book.record(&Record::Outcome { outcome })?;
    book.pass(STEP_MS);
    Ok(())
}

/// Whoever was refused is taken up again and catches up.
pub(super) fn retry(book: &mut Book, wave: &Wave<'_>, batch: &Batch<'_>) -> Result<(), Trouble> {
    let id = BatchId::new(wave.id.clone(), batch.name.as_str());
    for (place, person) in batch.people.iter().enumerate() {
        let parked = book.state().subjects().get(&person.id).filter(|s| s.batch == id).and_then(|s| s.parked.clone());
        let Some(parked) = parked else { continue };
        let (subject, by, reason) = (person.id.clone(), "鈴木 次郎".to_owned(), "権限を戻した".to_owned());
        book.record(&Record::Unparked { subject: subject.clone(), batch: id.clone(), by, reason })?;
        for shape in batch.shapes.iter().filter(|s| s.stage == parked.stage && s.deed == Deed::Person(place)) {
            operation(book, wave, batch, (shape, false))?;
        }
        book.record(&Record::CaughtUp { subject, batch: id.clone(), stage: parked.stage })?;
    }
    Ok(())
}

/// The next round of a batch is approved, and its halt lifted.
pub(super) fn again(book: &mut Book, wave: &Wave<'_>, batch: &Batch<'_>, reason: &str) -> Result<(), Trouble> {
    let id = BatchId::new(wave.id.clone(), batch.name.as_str());
    let round = book.state().batches().get(&id).map_or(Round::FIRST, |b| b.round);
    if round != Round::FIRST {
        approve(book, wave, (round, Stage::Attest), &["佐藤 花子", "田中 一郎"])?;
    }
    let record = Record::Resumed { batch: Some(id), by: "鈴木 次郎".to_owned(), reason: reason.to_owned() };
    book.record(&record).map(drop)
}
