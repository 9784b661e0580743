//! Whether what an operation brought about is still so, judged from an entry as somebody sees it now.
//!
//! Pure, and the same for a look before a stage and for an audit's snapshot. Knows no records: whoever asks leaves out what our own
//! later operations and rollbacks took back.

use jiff::Timestamp;

use crate::auth::PasswordShape;
use crate::operation::{Action, Desired, Direction, Operation, PlannedValue, Stage, Touch};
use crate::schema::{Equality, Schema};
use crate::snapshot::SnapshotEntry;
use crate::{AttrMap, AttrName, Entry, Side, SubjectId, Value};

/// An entry without the values of its credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    attrs: AttrMap,
    credentials: Vec<Credential>,
}

/// What is told of a credential value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Credential {
    attr: AttrName,
    /// HMAC of the exact bytes under the state key.
    mark: String,
    /// It lets in on other paths than those that a lock closes: clear text, or checked elsewhere.
    elsewhere: bool,
}

impl Seen {
    /// An entry as the server holds it; `mark` makes the keyed mark of a value.
    pub fn live(entry: &Entry, mark: impl Fn(&AttrName, &Value) -> String) -> Self {
        let mut seen = Self { attrs: entry.attrs.clone(), credentials: Vec::new() };
        let passwords = AttrName::new("userPassword");
        for value in seen.attrs.remove(&passwords).unwrap_or_default() {
            let shape = PasswordShape::of(value.as_bytes());
            let elsewhere = shape.clear || shape.pass_through;
            seen.credentials.push(Credential { attr: passwords.clone(), mark: mark(&passwords, &value), elsewhere });
        }
        seen
    }

    /// An attribute of an entry, of which these values are there.
    pub fn of_values(attr: &AttrName, values: Vec<Value>) -> Self {
        Self { attrs: AttrMap::from([(attr.clone(), values)]), credentials: Vec::new() }
    }

    fn values(&self, attr: &AttrName) -> &[Value] {
        self.attrs.values_of(attr)
    }

    fn has(&self, attr: &AttrName) -> bool {
        !self.values(attr).is_empty() || self.credentials.iter().any(|c| c.attr == *attr)
    }
}

impl From<&SnapshotEntry> for Seen {
    fn from(entry: &SnapshotEntry) -> Self {
        let credentials = entry.credentials.iter().map(|held| Credential {
            attr: held.attr.clone(),
            mark: held.exact.clone(),
            elsewhere: held.clear || held.pass_through,
        });
        Self { attrs: entry.attrs.clone(), credentials: credentials.collect() }
    }
}

/// Whether the effect must hold for a subject that has `next` before it (`None`: every stage has ended).
///
/// What is taken away in the shared store stays away. The independent directory belongs to its own administrators as soon as the old
/// login is gone: until then the entry that we made must be there, and its admission.
pub fn must_hold(operation: &Operation, next: Option<Stage>) -> bool {
    let writes = matches!(operation.action, Action::Set { .. } | Action::Ensure { .. });
    match operation.store {
        Side::Shared => {
            let takes = matches!(operation.stage, Stage::Disable | Stage::Scrub | Stage::Remove);
            takes && (writes || operation.action == Action::Delete)
        }
        Side::Independent => {
            let makes = matches!(operation.action, Action::Create { .. });
            next.is_some_and(|next| next <= Stage::Disable) && (makes || writes && operation.stage == Stage::Switch)
        }
    }
}

/// What of the effect is gone for a subject, in words without values; `None`: nothing, as far as the entry tells. `seen` is the
/// operation's entry, `None` where there is none.
pub fn lost(
    operation: &Operation,
    subject: Option<&SubjectId>,
    seen: Option<&Seen>,
    (schema, now): (&Schema, Timestamp),
) -> Option<String> {
    match (&operation.action, seen) {
        (Action::Set { touches }, Some(seen)) => {
            touches.iter().find_map(|touch| moved(touch, operation.stage, seen, (schema, now)))
        }
        // A record that is gone lets nobody in and keeps nothing; an account of ours that is gone admits nobody.
        (Action::Set { .. }, None) => (operation.store == Side::Independent).then(|| "the entry is gone".to_owned()),
        (Action::Ensure { attr, direction, values, .. }, seen) => {
            let value = match subject {
                Some(id) => operation.subjects.iter().zip(values).find(|(of, _)| *of == id).map(|(_, value)| value),
                None => values.first(),
            }?;
            let there = seen.is_some_and(|seen| schema.contains(attr, seen.values(attr), value));
            match direction {
                Direction::Present => (!there).then(|| format!("{attr} no longer names it")),
                Direction::Absent => there.then(|| format!("{attr} names it again")),
            }
        }
        (Action::Create { .. }, None) => Some("the entry is gone".to_owned()),
        (Action::Delete, Some(_)) => Some("the record is there again".to_owned()),
        (Action::Create { .. }, Some(_)) | (Action::Delete, None) => None,
        (Action::Recreate { .. } | Action::Deliver { .. } | Action::Attest { .. }, _) => None,
    }
}

fn moved(touch: &Touch, stage: Stage, seen: &Seen, (schema, now): (&Schema, Timestamp)) -> Option<String> {
    let attr = &touch.attr;
    match &touch.desired {
        // What names others comes and goes with those others: a rollback of one of them puts it back.
        Desired::Absent if schema.equality(attr) == Equality::DistinguishedName => None,
        Desired::Absent => seen.has(attr).then(|| format!("{attr} is there again")),
        Desired::Values(_) if stage == Stage::Disable && attr.is("pwdendtime") => {
            // Any end that has passed refuses.
            let ended = seen.values(attr).iter().filter_map(crate::time::generalized).any(|end| end <= now);
            (!ended).then(|| format!("{attr} is gone or has not come yet"))
        }
        // The classes of a scrubbed record let nobody in and say nothing of a person.
        Desired::Values(_) if attr.is("objectclass") => None,
        Desired::Values(values) => {
            let inline = |value: &PlannedValue| match value {
                PlannedValue::Inline(value) => Some(value.clone()),
                PlannedValue::Blob(_) => None,
            };
            let wanted: Vec<Value> = values.iter().map(inline).collect::<Option<_>>()?;
            let found = seen.values(attr);
            let same = schema.same_values(attr, found, &wanted);
            (!same).then(|| if found.is_empty() { format!("{attr} is gone") } else { format!("{attr} is another") })
        }
        Desired::WithoutMarks(marks) => {
            let back = |held: &&Credential| held.attr == *attr && (held.elsewhere || marks.contains(&held.mark));
            let found = seen.credentials.iter().any(|held| back(&held));
            found.then(|| format!("{attr} holds a value again that lets in past the lock"))
        }
        // Whoever holds a one-time credential changes it; before-images belong to undoing.
        Desired::OneTimeSecret | Desired::BeforeImage { .. } | Desired::AsExpected => None,
    }
}
