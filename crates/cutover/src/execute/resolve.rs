//! From a plan's words to concrete values: blobs, before-images, one-time secrets, entries that earlier operations created.

use untether_directory::Outcome;
use untether_model::operation::{Desired, PlannedValue, Target, Touch};
use untether_model::{AttrMap, AttrName, Dn, OpId, StableId, Value};

use super::{Executor, Task};
use crate::act::{Aim, CHANGE_MARKER, Expectation, STABLE_ID, Seen, expectation};
use crate::error::CutoverError;
use crate::image::{BEFORE, DELETED, DESIRED, Image};
use crate::ports::Store;

impl Executor {
    pub(super) fn plan_error(&self, task: &Task<'_>, reason: impl Into<String>) -> CutoverError {
        CutoverError::Plan { op: task.id.clone(), reason: reason.into() }
    }

    pub(super) fn value(&self, task: &Task<'_>, planned: &PlannedValue) -> Result<Value, CutoverError> {
        match planned {
            PlannedValue::Inline(value) => Ok(value.clone()),
            PlannedValue::Blob(digest) => {
                (self.ports.blobs)(task.id.wave(), digest).map(Value::new).map_err(|e| self.plan_error(task, e))
            }
        }
    }

    /// The attributes to read so that every touched one is seen, with the stable id and the change marker.
    pub(crate) fn projection(touched: impl IntoIterator<Item = AttrName>) -> Vec<AttrName> {
        let mut attrs: Vec<AttrName> = touched.into_iter().collect();
        attrs.extend([STABLE_ID.clone(), CHANGE_MARKER.clone()]);
        attrs
    }

    /// The stable id that the target must have; `None` for an entry that does not exist yet.
    pub(super) fn wanted_id(&self, task: &Task<'_>) -> Option<StableId> {
        match &task.op.target {
            Target::Existing { stable_id, .. } => Some(stable_id.clone()),
            Target::New { .. } => None,
            Target::CreatedBy { n, .. } => {
                let op = OpId::new(task.id.batch.clone(), *n);
                self.recorder.look(|state| {
                    let subjects = task.op.subjects.iter().map(Some).chain([None]);
                    subjects.filter_map(|subject| state.cell(&op, subject)).find_map(|cell| cell.created.clone())
                })
            }
        }
    }

    /// Observes the target: by name, and by its stable id where somebody moved it. `None`: it does not exist.
    pub(super) async fn observe(&self, task: &Task<'_>, attrs: &[AttrName]) -> Result<Option<Seen>, CutoverError> {
        let wanted = self.wanted_id(task);
        // By its stable id it is found wherever it is. One that is not found so is looked for more closely.
        if let Some(id) = &wanted
            && let Some(entry) = self.answered(task, self.find_together(task.op.store, id, attrs).await)?
        {
            return Ok(Some(Seen::of(entry)));
        }
        let found = find(self.store(task), task.op.target.dn(), wanted.as_ref(), attrs).await;
        self.answered(task, found)
    }

    /// Observes an entry that is to be created, for the first time: whether it is there already. One that is and was not seen so
    /// refuses the add, and is observed closely then.
    pub(super) async fn glance(&self, task: &Task<'_>, attrs: &[AttrName]) -> Result<Option<Seen>, CutoverError> {
        let found = self.read_together(task.op.store, task.op.target.dn(), attrs).await;
        Ok(self.answered(task, found)?.map(Seen::of))
    }

    /// Opens what was sealed with an intent.
    pub(super) fn image(&self, task: &Task<'_>, started: u64, purpose: &str) -> Result<Image, CutoverError> {
        let intent = self.ports.ledger.started(started).map_err(CutoverError::File)?;
        let key = self.ports.keys.key(intent.op.wave());
        let key = key.map_err(|reason| CutoverError::Key { wave: intent.op.wave().clone(), reason })?;
        let sealed = if purpose == DESIRED { &intent.desired } else { &intent.before };
        Image::unseal(&key, purpose, &intent.op, sealed).map_err(|source| CutoverError::Sealed { op: task.id.clone(), source })
    }

    /// The last image of a deleted entry: what the server returned with the deletion, else what was read before it.
    pub(super) fn deleted_image(&self, task: &Task<'_>, deleted: u64) -> Result<Image, CutoverError> {
        let intent = self.ports.ledger.started(deleted).map_err(CutoverError::File)?;
        let outcome = self.recorder.look(|state| {
            let subjects = intent.subjects.iter().map(Some).chain([None]);
            subjects.filter_map(|subject| state.cell(&intent.op, subject)).find_map(|cell| cell.image)
        });
        if let Some(seq) = outcome
            && let Some(sealed) = self.ports.ledger.image(seq).map_err(CutoverError::File)?
        {
            let wave = intent.op.wave();
            let key = self.ports.keys.key(wave).map_err(|reason| CutoverError::Key { wave: wave.clone(), reason })?;
            return Image::unseal(&key, DELETED, &intent.op, &sealed)
                .map_err(|source| CutoverError::Sealed { op: task.id.clone(), source });
        }
        self.image(task, deleted, BEFORE)
    }

    /// Concrete aims of a `Set`, given what is seen; a one-time secret comes from `secret`.
    pub(super) fn aims(
        &self,
        task: &Task<'_>,
        touches: &[Touch],
        seen: &Seen,
        secret: Option<&Value>,
    ) -> Result<Vec<Aim>, CutoverError> {
        touches
            .iter()
            .map(|touch| {
                let expects = expectation(&touch.expects, |v| self.value(task, v).map_err(|e| e.to_string()))
                    .map_err(|e| self.plan_error(task, e))?;
                let desired = match &touch.desired {
                    Desired::Absent => Vec::new(),
                    Desired::Values(values) => values.iter().map(|v| self.value(task, v)).collect::<Result<_, _>>()?,
                    Desired::WithoutMarks(marks) => seen
                        .values(&touch.attr)
                        .iter()
                        .filter(|v| !marks.contains(&self.ports.marks.value(touch.attr.as_str(), v.as_bytes())))
                        .cloned()
                        .collect(),
                    Desired::OneTimeSecret => match secret {
                        Some(hash) => vec![hash.clone()],
                        None => return Err(self.plan_error(task, "a one-time secret is needed and none was made")),
                    },
                    Desired::AsExpected => seen.values(&touch.attr).to_vec(),
                    Desired::BeforeImage { started } => {
                        let image = self.image(task, *started, BEFORE)?;
                        image.attrs.values_of(&touch.attr).to_vec()
                    }
                };
                Ok(Aim { attr: touch.attr.clone(), expects, desired, kept: touch.desired == Desired::AsExpected })
            })
            .collect()
    }

    /// Aims of an intent that was journalled: what it desired then, whatever would be computed now.
    pub(super) fn aims_of_intent(desired: &AttrMap) -> Vec<Aim> {
        desired
            .iter()
            .map(|(attr, values)| Aim { attr: attr.clone(), expects: Expectation::Any, desired: values.to_vec(), kept: false })
            .collect()
    }

    /// The name under which the target is to be created.
    pub(super) fn new_dn(task: &Task<'_>) -> Dn {
        task.op.target.dn().clone()
    }
}

/// An entry by its name, and by its stable id where it is known and somebody moved the entry.
pub(crate) async fn find(store: &dyn Store, dn: &Dn, wanted: Option<&StableId>, attrs: &[AttrName]) -> Outcome<Option<Seen>> {
    let found = store.reader().read(dn, attrs).await?.map(Seen::of);
    match (found, wanted) {
        (Some(seen), Some(wanted)) if same_id(seen.stable_id.as_ref(), wanted) => Ok(Some(seen)),
        (_, Some(wanted)) => Ok(store.reader().find(store.suffix(), wanted, attrs).await?.map(Seen::of)),
        (found, None) => Ok(found),
    }
}

/// Stable ids compare without case (UUIDs).
pub(super) fn same_id(found: Option<&StableId>, wanted: &StableId) -> bool {
    found.is_some_and(|found| found.as_str().eq_ignore_ascii_case(wanted.as_str()))
}
