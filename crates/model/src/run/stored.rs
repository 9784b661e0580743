//! Records as the ledger stores them: a kind, and a body in JSON.
//!
//! A ledger has millions of them, and whoever looks reads them all. So nothing is built in between: no tree of values, and for a
//! fold not what it does not look at.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, IgnoredAny, IntoDeserializer as _, MapAccess};
use serde_json::de::StrRead;

use super::record::{CellOutcome, Outcome, Record, Sealed, Started};
use crate::operation::Stage;
use crate::{OpId, Side, StableId, SubjectId};

impl Record {
    /// The kind and the body as stored.
    pub fn to_parts(&self) -> Result<(String, String), serde_json::Error> {
        match serde_json::to_value(self)? {
            serde_json::Value::Object(mut object) => {
                let kind = object.get("kind").and_then(|k| k.as_str()).unwrap_or_default().to_owned();
                let body = object.remove("body").unwrap_or_else(|| serde_json::Value::Object(serde_json::Map::new()));
                Ok((kind, body.to_string()))
            }
            _ => Err(serde::ser::Error::custom("a record is an object")),
        }
    }

    /// Reads a record back from its kind and body.
    ///
    /// # Errors
    /// The kind is not known, or the body is not that of its kind.
    pub fn from_parts(kind: &str, body: &str) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(body);
        let record = Self::deserialize(MapAccessDeserializer::new(Stored { kind, body: &mut reader, next: Some(Key::Kind) }))?;
        reader.end()?;
        Ok(record)
    }

    /// Reads a record back for [`super::apply`] and other folds. What none of them looks at is left empty: the entry, the sealed
    /// parts and the marks of an intent. An image of a deleted entry says only that it is there.
    ///
    /// # Errors
    /// As [`Record::from_parts`].
    pub fn for_fold(kind: &str, body: &str) -> Result<Self, serde_json::Error> {
        match kind {
            "started" => serde_json::from_str(body).map(|LeanIntent { started }| Self::Started { started: started.into() }),
            "outcome" => serde_json::from_str(body).map(|LeanEnd { outcome }| Self::Outcome { outcome: outcome.into() }),
            _ => Self::from_parts(kind, body),
        }
    }
}

#[derive(Deserialize)]
struct LeanIntent {
    started: LeanStarted,
}

#[derive(Deserialize)]
struct LeanEnd {
    outcome: LeanOutcome,
}

/// What a fold sees of a [`Started`].
#[derive(Deserialize)]
struct LeanStarted {
    op: OpId,
    stage: Stage,
    subjects: Vec<SubjectId>,
    attempt: u32,
    store: Side,
}

impl From<LeanStarted> for Started {
    fn from(LeanStarted { op, stage, subjects, attempt, store }: LeanStarted) -> Self {
        let (before, desired) = (Sealed(String::new()), Sealed(String::new()));
        Self {
            op,
            stage,
            subjects,
            attempt,
            store,
            stable_id: None,
            change_marker: None,
            before,
            desired,
            marks: BTreeMap::new(),
        }
    }
}

/// What a fold sees of an [`Outcome`].
#[derive(Deserialize)]
struct LeanOutcome {
    op: OpId,
    stage: Stage,
    started: Option<u64>,
    cells: Vec<CellOutcome>,
    code: Option<u32>,
    message: String,
    stable_id: Option<StableId>,
    image: Option<IgnoredAny>,
}

impl From<LeanOutcome> for Outcome {
    fn from(LeanOutcome { op, stage, started, cells, code, message, stable_id, image }: LeanOutcome) -> Self {
        let image = image.map(|_| Sealed(String::new()));
        Self { op, stage, started, cells, code, message, stable_id, image }
    }
}

/// A record as it is stored, read as the map of kind and body that it was written from.
struct Stored<'a, 'de> {
    kind: &'de str,
    body: &'a mut serde_json::Deserializer<StrRead<'de>>,
    next: Option<Key>,
}

/// The keys of that map, in order.
#[derive(Clone, Copy)]
enum Key {
    Kind,
    Body,
}

impl<'de> MapAccess<'de> for Stored<'_, 'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        let name = match self.next {
            Some(Key::Kind) => "kind",
            Some(Key::Body) => "body",
            None => return Ok(None),
        };
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        match self.next.take() {
            Some(Key::Kind) => {
                self.next = Some(Key::Body);
                seed.deserialize(self.kind.into_deserializer())
            }
            Some(Key::Body) | None => seed.deserialize(&mut *self.body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::run::{Mark, OutcomeKind, RunState, apply};
    use crate::{AttrName, BatchId, EntityId, PlanId, StateId, WaveId};

    fn op() -> OpId {
        OpId::new(BatchId::new(WaveId::new(PlanId::new("0123456789"), "leavers"), "b01"), 1)
    }

    fn records() -> Vec<Record> {
        let subject = SubjectId::new("s-1");
        let claim = crate::run::WaveClaim {
            batch: "b01".into(),
            canary: true,
            subjects: vec![crate::run::ClaimedSubject {
                id: subject.clone(),
                track: crate::operation::Track::Retire,
                entity: EntityId::new("own"),
                stages: vec![Stage::Remove],
            }],
        };
        let reference = crate::plan::WaveRef {
            name: "leavers".into(),
            digest: Digest::of(b"w"),
            blobs: vec![],
            subjects: 1,
            operations: 1,
            batches: 1,
        };
        let mark = Mark { before: Some("a".into()), after: None };
        vec![
            Record::StateCreated { state: StateId::new("s"), version: 1 },
            Record::PlanRecorded {
                plan: PlanId::new("0123456789"),
                digest: Digest::of(b"p"),
                parent: None,
                snapshot: None,
                waves: vec![reference],
                report: None,
                executable: true,
                forecast: None,
            },
            Record::WaveStarted { wave: op().batch.wave, digest: Digest::of(b"w"), claims: vec![claim], failure_tolerance: 0 },
            Record::StageStarted { batch: op().batch, stage: Stage::Remove, round: crate::Round::FIRST, operations: 1 },
            Record::Started {
                started: Started {
                    op: op(),
                    stage: Stage::Remove,
                    subjects: vec![subject.clone()],
                    attempt: 1,
                    store: Side::Shared,
                    stable_id: Some(StableId::new("uuid")),
                    change_marker: Some("csn".into()),
                    before: Sealed("before \"quoted\"".into()),
                    desired: Sealed("desired".into()),
                    marks: BTreeMap::from([(AttrName::new("uid"), mark)]),
                },
            },
            Record::Outcome {
                outcome: Outcome {
                    op: op(),
                    stage: Stage::Remove,
                    started: Some(5),
                    cells: vec![CellOutcome { subject: Some(subject), kind: OutcomeKind::Succeeded }],
                    code: None,
                    message: "山田 gone".into(),
                    stable_id: None,
                    image: Some(Sealed("image".into())),
                },
            },
        ]
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        for record in records() {
            let (kind, body) = record.to_parts().unwrap();
            assert_eq!(Record::from_parts(&kind, &body).unwrap(), record);
        }
    }

    #[test]
    fn a_fold_comes_to_the_same_state_from_what_is_read_for_it() {
        let (mut whole, mut lean) = (RunState::new(), RunState::new());
        for (seq, record) in (1..).zip(records()) {
            let (kind, body) = record.to_parts().unwrap();
            let read = Record::for_fold(&kind, &body).unwrap();
            let at = jiff::Timestamp::UNIX_EPOCH;
            let change = apply(&whole, seq, at, &record).unwrap();
            whole.commit(change);
            let change = apply(&lean, seq, at, &read).unwrap();
            lean.commit(change);
        }
        assert_eq!(whole, lean);
        assert!(whole.cells().iter().all(|(_, cell)| cell.image == Some(6)));
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for (kind, body) in [
            ("started", "{}"),
            ("started", "[]"),
            ("outcome", r#"{"outcome":{"op":"a/b/c"}}"#),
            ("no-such-kind", "{}"),
            ("paused", r#"{"by":"a","reason":"b"} x"#),
            ("paused", r#"{"by":"a""#),
            ("paused", ""),
        ] {
            assert!(Record::from_parts(kind, body).is_err(), "{kind} {body}");
            assert!(Record::for_fold(kind, body).is_err(), "{kind} {body}");
        }
    }
}
