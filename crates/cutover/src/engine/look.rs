//! The look before a stage: whether what was done for the people of a batch still holds.
//!
//! Only looks, and records what it saw; what that means is said by [`untether_model::run::Look`].

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use untether_model::dn::DnKey;
use untether_model::effect::{Seen, lost, must_hold};
use untether_model::operation::{Action, Operation, Stage, Target};
use untether_model::plan::{PlannedSubject, Wave};
use untether_model::run::{Gone, Look, is_looked_after};
use untether_model::{AttrName, Dn, OpId, Side, StableId, SubjectId, Value};

use super::Engine;
use crate::act::Seen as Observed;
use crate::error::CutoverError;
use crate::execute::{Executor, disables};
use crate::ports::Refusal;

/// Looks in flight in a store at a time; the store is asked for several of them together.
pub(super) const LOOKS: usize = 256;

/// Values of one attribute that are asked for at a time.
const VALUES: usize = 1_000;

/// Cells of one operation.
struct Watched<'a> {
    id: OpId,
    op: &'a Operation,
    subjects: Vec<SubjectId>,
}

/// One entry with all that must hold of it.
struct Place<'a> {
    side: Side,
    dn: &'a Dn,
    stable_id: Option<StableId>,
    attrs: BTreeSet<AttrName>,
    watched: Vec<Watched<'a>>,
}

impl Engine {
    /// Looks at what was done for these subjects of a batch that has `next` before it, and records what no longer holds.
    pub(super) async fn look_after(
        &self,
        wave: &Wave,
        batch: &str,
        next: Stage,
        subjects: &[&PlannedSubject],
    ) -> Result<(), CutoverError> {
        let wanted: BTreeSet<&SubjectId> = subjects.iter().map(|subject| &subject.id).collect();
        let mut places: BTreeMap<(Side, &DnKey), Place<'_>> = BTreeMap::new();
        let mut lists = Vec::new();
        for op in wave.operations_in(batch).filter(|op| must_hold(op, Some(next))) {
            let id = wave.op_id(op);
            let subjects: Vec<SubjectId> = self.recorder.look(|state| {
                let here = op.subjects.iter().filter(|s| wanted.contains(s));
                here.filter(|s| is_looked_after(state, &id, Some(s))).cloned().collect()
            });
            if subjects.is_empty() {
                continue;
            }
            let watched = Watched { id, op, subjects };
            if matches!(op.action, Action::Ensure { .. }) {
                lists.push(watched);
                continue;
            }
            let dn = op.target.dn();
            let place = places.entry((op.store, dn.key())).or_insert_with(|| Place {
                side: op.store,
                dn,
                stable_id: None,
                attrs: BTreeSet::new(),
                watched: Vec::new(),
            });
            place.stable_id = place.stable_id.take().or_else(|| self.known_id(&watched));
            if let Action::Set { touches } = &op.action {
                place.attrs.extend(touches.iter().map(|touch| touch.attr.clone()));
            }
            place.watched.push(watched);
        }
        let entries = places.values().map(|place| self.look_at(place));
        let lists = lists.iter().map(|list| self.look_at_values(list));
        let mut look = Look::default();
        let mut looks = futures::stream::iter(entries).buffer_unordered(LOOKS);
        while let Some(found) = looks.next().await {
            take(&mut look, found?);
        }
        let mut looks = futures::stream::iter(lists).buffer_unordered(LOOKS);
        while let Some(found) = looks.next().await {
            take(&mut look, found?);
        }
        for record in self.recorder.look(|state| look.records(state)) {
            self.recorder.record(record).await?;
        }
        Ok(())
    }

    /// The stable id of the entry, as the operation names it or as it was when the operation made it.
    fn known_id(&self, watched: &Watched<'_>) -> Option<StableId> {
        if let Target::Existing { stable_id, .. } = &watched.op.target {
            return Some(stable_id.clone());
        }
        self.recorder.look(|state| {
            let mut cells = watched.subjects.iter().filter_map(|subject| state.cell(&watched.id, Some(subject)));
            cells.find_map(|cell| cell.created.clone())
        })
    }

    async fn look_at(&self, place: &Place<'_>) -> Result<Look, CutoverError> {
        let store = self.ports.stores.get(place.side);
        let attrs = Executor::projection(place.attrs.iter().cloned());
        // By its stable id it is found wherever it is. One that is not found so is looked for more closely.
        let mut found = match &place.stable_id {
            Some(id) => self.executor.find_together(place.side, id, &attrs).await?.map(Observed::of),
            None => None,
        };
        if found.is_none() {
            found = crate::execute::find(store, place.dn, place.stable_id.as_ref(), &attrs).await?;
        }
        if found.is_none() && place.stable_id.is_some() {
            // Whatever has its name now lets people in under that name.
            found = store.reader().read(place.dn, &attrs).await?.map(Observed::of);
        }
        let schema = store.reader().schema().await?;
        let now = self.ports.time.now();
        let marks = &self.ports.marks;
        let seen =
            found.as_ref().map(|found| Seen::live(&found.entry, |attr, value| marks.value(attr.as_str(), value.as_bytes())));
        let mut look = Look::default();
        for watched in &place.watched {
            let mut words = lost(watched.op, watched.subjects.first(), seen.as_ref(), (&schema, now));
            // What was written is there, and still the policy may let it in.
            if let (None, true, Some(found)) = (&words, disables(watched.op), &found)
                && let Refusal::LetIn(how) = self.executor.refuses_together(place.side, &found.dn).await?
            {
                words = Some(format!("the store would let it in ({how})"));
            }
            for subject in &watched.subjects {
                note(&mut look, watched, subject, words.clone());
            }
        }
        Ok(look)
    }

    /// Values of a group or of references, of which only those are asked for that matter.
    async fn look_at_values(&self, watched: &Watched<'_>) -> Result<Look, CutoverError> {
        let Action::Ensure { attr, values, .. } = &watched.op.action else { return Ok(Look::default()) };
        let store = self.ports.stores.get(watched.op.store);
        let all = watched.op.subjects.iter().zip(values);
        let wanted: Vec<Value> = all.filter(|(id, _)| watched.subjects.contains(id)).map(|(_, value)| value.clone()).collect();
        let stable_id = self.known_id(watched);
        let found = crate::execute::find(store, watched.op.target.dn(), stable_id.as_ref(), &Executor::projection([])).await?;
        let mut present = Vec::new();
        if let Some(found) = &found {
            for chunk in wanted.chunks(VALUES) {
                present.extend(store.reader().present(&found.dn, attr, chunk).await?);
            }
        }
        let schema = store.reader().schema().await?;
        let seen = Seen::of_values(attr, present);
        let mut look = Look::default();
        for subject in &watched.subjects {
            let words = lost(watched.op, Some(subject), Some(&seen), (&schema, self.ports.time.now()));
            note(&mut look, watched, subject, words);
        }
        Ok(look)
    }
}

fn note(look: &mut Look, watched: &Watched<'_>, subject: &SubjectId, words: Option<String>) {
    let (op, subject) = (watched.id.clone(), Some(subject.clone()));
    match words {
        Some(seen) => look.gone.push(Gone { subject, op, seen }),
        None => look.holds.push((op, subject)),
    }
}

fn take(all: &mut Look, some: Look) {
    all.gone.extend(some.gone);
    all.holds.extend(some.holds);
}
