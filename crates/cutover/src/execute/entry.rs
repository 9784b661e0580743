//! Operations on one entry as a whole: create, set, delete, create again.

use untether_directory::{Condition, WriteOptions};
use untether_model::change::Change;
use untether_model::operation::{Action, Actor, Desired, Expects, Operation, Stage, Touch};
use untether_model::plan::OrderKind;
use untether_model::run::{CellStand, OutcomeKind, RunState, Started};
use untether_model::schema::Schema;
use untether_model::{AttrMap, AttrName, Entry, Side, Value, Values};

use super::{After, Ahead, Ending, Executor, Server, Task, Tries, Turn};
use crate::act::{self, Aim, Seen};
use crate::error::CutoverError;
use crate::image::{BEFORE, DELETED, DESIRED, Image};
use crate::ports::Refusal;
use crate::secret;

/// Tries under a condition on the entry's version. An entry to which others write all the time (each login and each failed one makes a
/// new version) must be closed nevertheless: the tries after these are under the touched attributes alone.
const VERSIONED_TRIES: u32 = super::TRIES / 2;

/// What is to be true of the entry, made concrete.
enum Goal {
    /// It exists with these attributes.
    Exists(AttrMap),
    /// Its touched attributes are so.
    Has(Vec<Aim>),
    /// It is gone.
    Gone,
}

/// Where the observed entry stands to the goal.
enum Position {
    Reached,
    /// A first attempt may go ahead, or the before-image of the intent still holds.
    Open,
    Elsewhere(String),
}

/// How sending a change ended.
enum Sent {
    /// It reads back as desired.
    Written(Seen),
    /// The outcome is settled otherwise.
    Settled(Ending),
    /// Observe again, then decide again.
    Again,
}

impl From<After> for Sent {
    fn from(after: After) -> Self {
        match after {
            After::Settled(ending) => Self::Settled(ending),
            After::Again => Self::Again,
        }
    }
}

impl Executor {
    pub(super) async fn run_entry(
        &self,
        task: &Task<'_>,
        mut ahead: Option<Ahead>,
        turn: &mut Turn<'_>,
    ) -> Result<(), CutoverError> {
        let subject = task.subjects.first();
        let (mut started, mut attempts) = match self.stand(task, subject) {
            CellStand::Done(_) => return Ok(()),
            CellStand::Fresh | CellStand::Failed(_) => (None, self.tries_of(task)),
            CellStand::Observe { started, attempts } => (Some(started), attempts),
        };
        let server = self.server(task).await?;
        let schema = &server.schema;
        let attrs = self.attrs_to_read(task);
        // After a crash the intent tells what was desired; a new secret is made only for a new intent.
        let mut intent: Option<(Image, Image)> = match started {
            Some(seq) => Some((self.image(task, seq, BEFORE)?, self.image(task, seq, DESIRED)?)),
            None => None,
        };
        let secret = self.make_secret(task, intent.as_ref().map(|(_, desired)| desired))?;
        let mut tries = Tries::default();
        loop {
            let first = tries.count == 0 && started.is_none();
            let (seen, looked_ahead) = match (ahead.take().filter(|_| first), &task.op.action) {
                // The condition on its version is what lets a write go by a look that is older.
                (Some(Ahead::There(seen)), Action::Set { .. }) if seen.change_marker.is_some() => (Some(seen), true),
                (Some(Ahead::Absent), Action::Create { .. }) => (None, true),
                (_, Action::Create { .. }) if first => (self.glance(task, &attrs).await?, false),
                _ => (self.observe(task, &attrs).await?, false),
            };
            let goal = self.goal(
                (task, schema),
                seen.as_ref(),
                intent.as_ref().map(|(_, desired)| desired),
                secret.as_ref().map(|(_, hash)| hash),
            )?;
            let result = match self.position(schema, task, seen.as_ref(), &goal, intent.as_ref().map(|(before, _)| before)) {
                Position::Reached | Position::Elsewhere(_) if looked_ahead => continue,
                Position::Reached => {
                    let kind = if started.is_some() { OutcomeKind::Observed } else { OutcomeKind::Already };
                    // An id in an outcome says that the operation has made the entry.
                    let makes = matches!(goal, Goal::Exists(_));
                    let id = seen.as_ref().filter(|_| makes).and_then(|s| s.stable_id.clone());
                    Some(self.proved(task, seen.as_ref(), Ending::new(kind, "as desired").with_id(id)).await?)
                }
                Position::Elsewhere(words) => Some(Ending::new(OutcomeKind::Conflict, words)),
                Position::Open => None,
            };
            if started.is_none() && !self.is_worked_on(task, subject) {
                return Ok(());
            }
            if let Some(result) = result {
                return self.record_outcome(task, started, &task.subjects, result).await;
            }
            tries.count += 1;
            let before = self.before(task, seen.as_ref(), &goal);
            // One intent covers tries until its before-image no longer holds; then a new one is journalled.
            let covered = intent.as_ref().is_some_and(|(held, _)| held.attrs == before.attrs);
            if started.is_none() || !covered {
                if !self.is_worked_on(task, subject) {
                    return Ok(());
                }
                attempts += 1;
                let desired = self.desired(task, &goal, secret.as_ref().map(|(plain, _)| plain.as_str()));
                started = Some(self.start(task, seen.as_ref(), &goal, (&before, &desired), attempts).await?);
                intent = Some((before, desired));
            }
            match self.send(task, &server, (seen.as_ref(), &goal), &mut tries).await? {
                Sent::Written(seen) => {
                    turn.end();
                    let result = Ending::new(OutcomeKind::Succeeded, "read back as desired");
                    let result = self.proved(task, Some(&seen), result).await?;
                    return self.record_outcome(task, started, &task.subjects, result).await;
                }
                Sent::Settled(result) => return self.record_outcome(task, started, &task.subjects, result).await,
                Sent::Again if tries.count > 3 * super::TRIES => {
                    let result = Ending::new(OutcomeKind::Conflict, "the entry kept changing while it was being written");
                    return self.record_outcome(task, started, &task.subjects, result).await;
                }
                Sent::Again => {}
            }
        }
    }

    /// Why the entry is no longer as the plan expects, if it is not. Only looks.
    pub(crate) async fn moved(&self, task: &Task<'_>) -> Result<Option<String>, CutoverError> {
        let Action::Set { touches } = &task.op.action else { return Ok(None) };
        let server = self.server(task).await?;
        let Some(seen) = self.observe(task, &self.attrs_to_read(task)).await? else {
            return Ok(Some("the entry is gone".to_owned()));
        };
        // A secret is made only when one is set; here only what the plan expects matters.
        let aims = self.aims(task, touches, &seen, Some(&Value::default()))?;
        Ok(act::unexpected(&server.schema, &self.ports.marks, &seen, &aims).map(|attr| format!("{attr} is another")))
    }

    pub(super) fn attrs_to_read(&self, task: &Task<'_>) -> Vec<AttrName> {
        match &task.op.action {
            Action::Set { touches } => {
                let touched = touches.iter().map(|t| t.attr.clone());
                Self::projection(touched.chain(act::companions(touches.iter().map(|t| &t.attr))))
            }
            _ => act::EVERYTHING.to_vec(),
        }
    }

    /// A one-time secret with its hash, where the operation needs one and no intent holds one.
    fn make_secret(
        &self,
        task: &Task<'_>,
        desired: Option<&Image>,
    ) -> Result<Option<(zeroize::Zeroizing<String>, Value)>, CutoverError> {
        let Action::Set { touches } = &task.op.action else { return Ok(None) };
        let wanted = touches.iter().find(|t| t.desired == Desired::OneTimeSecret);
        let Some(Touch { attr, .. }) = wanted else { return Ok(None) };
        if let Some(Image { attrs, secret: Some(plain), .. }) = desired
            && let Some(hash) = attrs.get(attr).and_then(|values| values.first())
        {
            return Ok(Some((zeroize::Zeroizing::new(plain.clone()), hash.clone())));
        }
        let shape = task.op.secret.ok_or_else(|| self.plan_error(task, "it does not say how the one-time secret is made"))?;
        let made = secret::generate(shape.length).and_then(|plain| Ok((secret::hash(shape.scheme, &plain)?, plain)));
        made.map(|(hash, plain)| Some((plain, hash))).map_err(|e| self.plan_error(task, e.to_string()))
    }

    fn goal(
        &self,
        (task, schema): (&Task<'_>, &Schema),
        seen: Option<&Seen>,
        intent: Option<&Image>,
        secret: Option<&Value>,
    ) -> Result<Goal, CutoverError> {
        match (&task.op.action, intent) {
            (Action::Create { .. } | Action::Recreate { .. }, Some(desired)) => Ok(Goal::Exists(desired.attrs.clone())),
            (Action::Create { attrs }, None) => {
                let mut map = AttrMap::new();
                for (attr, values) in attrs {
                    let values = values.iter().map(|v| self.value(task, v)).collect::<Result<Values, _>>()?;
                    map.insert(attr.clone(), values);
                }
                Ok(Goal::Exists(map))
            }
            (Action::Recreate { deleted, overlay }, None) => {
                let mut map = self.deleted_image(task, *deleted)?.attrs;
                for (attr, seq) in overlay {
                    let values = self.image(task, *seq, BEFORE)?.attrs.get(attr).cloned().unwrap_or_default();
                    map.insert(attr.clone(), values);
                }
                // With mere write rights what only the server may write is left to it (result 19).
                let settable =
                    |attr: &AttrName| task.op.actor == Actor::Undo || schema.get(attr).is_none_or(|kind| !kind.read_only);
                map.retain(|attr, values| !values.is_empty() && !act::is_computed(attr) && settable(attr));
                Ok(Goal::Exists(map))
            }
            (Action::Set { .. }, Some(desired)) => Ok(Goal::Has(Self::aims_of_intent(&desired.attrs))),
            (Action::Set { touches }, None) => match seen {
                Some(seen) => Ok(Goal::Has(self.aims(task, touches, seen, secret)?)),
                None => Ok(Goal::Has(Vec::new())),
            },
            _ => Ok(Goal::Gone),
        }
    }

    fn position(&self, schema: &Schema, task: &Task<'_>, seen: Option<&Seen>, goal: &Goal, before: Option<&Image>) -> Position {
        match (goal, seen) {
            (Goal::Gone, None) => Position::Reached,
            (Goal::Gone, Some(_)) => Position::Open,
            (Goal::Exists(_), None) => Position::Open,
            (Goal::Exists(attrs), Some(seen)) => {
                let differs = attrs.iter().find(|(attr, values)| {
                    let touchable = !is_server_owned(attr);
                    touchable && !act::same(schema, attr, seen.values(attr), values)
                });
                match differs {
                    None => Position::Reached,
                    Some((attr, _)) => Position::Elsewhere(format!("an entry with this name exists and its {attr} is another")),
                }
            }
            (Goal::Has(_), None) => Position::Elsewhere("the entry is gone".to_owned()),
            (Goal::Has(aims), Some(seen)) => {
                if act::is_reached(schema, seen, aims) {
                    return Position::Reached;
                }
                if let Some(before) = before {
                    // Attributes of which the plan expects anything may move between two tries; the others are as before or as desired.
                    let moved = aims.iter().find(|aim| {
                        let held = before.attrs.values_of(&aim.attr);
                        !Self::may_move(task, &aim.attr)
                            && !act::same(schema, &aim.attr, seen.values(&aim.attr), held)
                            && !act::same(schema, &aim.attr, seen.values(&aim.attr), &aim.desired)
                    });
                    return match moved {
                        None => Position::Open,
                        Some(aim) => Position::Elsewhere(format!("{} was changed by somebody else", aim.attr)),
                    };
                }
                match act::unexpected(schema, &self.ports.marks, seen, aims) {
                    None => Position::Open,
                    Some(attr) => Position::Elsewhere(format!("{attr} has moved since the plan")),
                }
            }
        }
    }

    /// Whether an attribute may move while the operation is at work: nothing is expected of it, or our own write of a password
    /// takes it away (the lock).
    fn may_move(task: &Task<'_>, attr: &AttrName) -> bool {
        let Action::Set { touches } = &task.op.action else { return false };
        let credential = touches.iter().any(|t| t.attr.is("userpassword"));
        touches.iter().any(|t| t.attr == *attr && t.expects == Expects::Any) || credential && attr.is("pwdaccountlockedtime")
    }

    fn before(&self, task: &Task<'_>, seen: Option<&Seen>, goal: &Goal) -> Image {
        let dn = seen.map_or_else(|| Self::new_dn(task), |s| s.dn.clone());
        let attrs = match (goal, seen) {
            (Goal::Has(aims), Some(seen)) => act::before_image(seen, aims),
            (Goal::Gone, Some(seen)) => seen.entry.attrs.clone(),
            _ => AttrMap::new(),
        };
        Image { dn, attrs, secret: None }
    }

    fn desired(&self, task: &Task<'_>, goal: &Goal, secret: Option<&str>) -> Image {
        let attrs = match goal {
            Goal::Exists(attrs) => attrs.clone(),
            Goal::Has(aims) => aims.iter().map(|aim| (aim.attr.clone(), aim.desired.clone().into())).collect(),
            Goal::Gone => AttrMap::new(),
        };
        Image { dn: Self::new_dn(task), attrs, secret: secret.map(str::to_owned) }
    }

    async fn start(
        &self,
        task: &Task<'_>,
        seen: Option<&Seen>,
        goal: &Goal,
        (before, desired): (&Image, &Image),
        attempt: u32,
    ) -> Result<u64, CutoverError> {
        let key = self.key(task)?;
        let sealed = |image: &Image, purpose: &str| {
            image.seal(&key, purpose, &task.id).map_err(|source| CutoverError::Sealed { op: task.id.clone(), source })
        };
        let marks = match (goal, seen) {
            (Goal::Has(aims), Some(seen)) => act::marks_of(&self.ports.marks, seen, aims),
            _ => Default::default(),
        };
        self.record_started(Started {
            op: task.id.clone(),
            stage: task.op.stage,
            subjects: task.subjects.clone(),
            attempt,
            store: task.op.store,
            stable_id: seen.and_then(|s| s.stable_id.clone()),
            change_marker: seen.and_then(|s| s.change_marker.clone()),
            before: sealed(before, BEFORE)?,
            desired: sealed(desired, DESIRED)?,
            marks,
        })
        .await
    }

    /// Sends the change under its condition and reads it back.
    async fn send(
        &self,
        task: &Task<'_>,
        server: &Server,
        (seen, goal): (Option<&Seen>, &Goal),
        tries: &mut Tries,
    ) -> Result<Sent, CutoverError> {
        let writer = self.writer(task)?;
        let schema = &server.schema;
        let relax = task.op.actor == Actor::Undo;
        let read_entry = server.reads_entries;
        let (change, options) = match (goal, seen) {
            (Goal::Exists(attrs), _) => {
                let change = Change::Add { dn: Self::new_dn(task), attrs: attrs.clone() };
                let post_read = if read_entry { Self::projection(attrs.keys().cloned()) } else { Vec::new() };
                (change, WriteOptions { post_read, relax, ..WriteOptions::default() })
            }
            (Goal::Has(aims), Some(seen)) => {
                let touched: Vec<AttrName> = aims.iter().map(|a| a.attr.clone()).collect();
                let condition = Some(act::condition(schema, seen, &touched, tries.count <= VERSIONED_TRIES));
                let post_read = if read_entry { Self::projection(touched) } else { Vec::new() };
                (act::modify(schema, seen, aims), WriteOptions { condition, post_read, relax, ..WriteOptions::default() })
            }
            (Goal::Gone, Some(seen)) => {
                let condition =
                    Condition { stable_id: seen.stable_id.clone(), attrs: Vec::new(), change_marker: seen.change_marker.clone() };
                let pre_read = if read_entry { act::EVERYTHING.to_vec() } else { Vec::new() };
                let options = WriteOptions { condition: Some(condition), pre_read, relax, ..WriteOptions::default() };
                (Change::Delete { dn: seen.dn.clone() }, options)
            }
            (Goal::Has(_) | Goal::Gone, None) => return Ok(Sent::Again),
        };
        if !server.asserts {
            return Err(
                self.plan_error(task, "the server has no assertion control, which this version needs for conditional writes")
            );
        }
        let written = match self.send_change(task, writer, &change, &options).await {
            Ok(written) => written,
            Err(error) => return Ok(self.after_failure(task, error, tries).await?.into()),
        };
        match goal {
            Goal::Gone => {
                let image = match &written.before {
                    Some(entry) => {
                        let image = Image { dn: entry.dn.clone(), attrs: whole(entry, seen), secret: None };
                        let sealed = image.seal(&self.key(task)?, DELETED, &task.id);
                        Some(sealed.map_err(|source| CutoverError::Sealed { op: task.id.clone(), source })?)
                    }
                    None => None,
                };
                match self.observe(task, &Self::projection([])).await? {
                    None => Ok(Sent::Settled(Ending { image, ..Ending::new(OutcomeKind::Succeeded, "absent") })),
                    Some(_) => Ok(Sent::Again),
                }
            }
            Goal::Exists(attrs) => {
                let differs = |seen: &Seen| {
                    let another = |(attr, values): &(&AttrName, &Values)| {
                        !is_server_owned(attr) && !act::same(schema, attr, seen.values(attr), values)
                    };
                    attrs.iter().find(another).map(|(attr, _)| attr)
                };
                // The writing identity may not see all that it has made: only what the reading one sees is another value.
                let returned = written.after.map(Seen::of).filter(|seen| differs(seen).is_none());
                let seen = match returned {
                    Some(seen) => Some(seen),
                    None => self.observe(task, act::EVERYTHING.as_slice()).await?,
                };
                let Some(seen) = seen else { return Ok(Sent::Again) };
                let id = seen.stable_id.clone();
                Ok(Sent::Settled(match differs(&seen) {
                    None => Ending::new(OutcomeKind::Succeeded, "created").with_id(id),
                    Some(attr) => {
                        Ending::new(OutcomeKind::Conflict, format!("created, but {attr} reads back as another value")).with_id(id)
                    }
                }))
            }
            Goal::Has(aims) => {
                let seen = match written.after {
                    Some(entry) => Some(Seen::of(entry)),
                    None => self.observe(task, &Self::projection(aims.iter().map(|a| a.attr.clone()))).await?,
                };
                Ok(match seen.filter(|found| act::is_reached(schema, found, aims)) {
                    Some(seen) => Sent::Written(seen),
                    None => Sent::Again,
                })
            }
        }
    }

    fn tries_of(&self, task: &Task<'_>) -> u32 {
        self.recorder.look(|state| state.cell(&task.id, task.subjects.first()).map_or(0, |cell| cell.attempts))
    }

    /// Closed is what the store says, not what we wrote: after the lock is read back, the store must refuse the account.
    async fn proved(&self, task: &Task<'_>, seen: Option<&Seen>, result: Ending) -> Result<Ending, CutoverError> {
        let expires = || {
            let plan = &task.id.wave().plan;
            let order = |state: &RunState| state.orders().get(plan).is_some_and(|o| matches!(o.kind, OrderKind::Expire { .. }));
            locks(task.op) && self.recorder.look(order)
        };
        let Some(seen) = seen.filter(|_| disables(task.op) || expires()) else { return Ok(result) };
        Ok(match self.answered(task, self.refuses_together(task.op.store, &seen.dn).await)? {
            Refusal::Refused(how) => Ending { message: format!("locked; refused by the store ({how})"), ..result },
            Refusal::LetIn(how) => {
                Ending { kind: OutcomeKind::Refused, message: format!("locked, but the store would let it in ({how})"), ..result }
            }
            Refusal::Unknown(why) => Ending {
                kind: OutcomeKind::Refused,
                message: format!("locked, but it cannot be told whether the store refuses it ({why})"),
                ..result
            },
        })
    }
}

/// Whether an operation closes an account of the shared store.
pub(crate) fn disables(op: &Operation) -> bool {
    locks(op) && op.stage == Stage::Disable && op.store == Side::Shared
}

fn locks(op: &Operation) -> bool {
    matches!(&op.action, Action::Set { touches } if touches.iter().any(is_lock))
}

fn is_lock(touch: &Touch) -> bool {
    touch.attr.is("pwdaccountlockedtime")
        && touch.desired != Desired::Absent
        && !matches!(touch.desired, Desired::BeforeImage { .. })
}

/// What an entry was when it was deleted: what the server returned with the deletion and, of what the writing identity may not see, what
/// the reading one saw.
fn whole(deleted: &Entry, seen: Option<&Seen>) -> AttrMap {
    let mut attrs = deleted.attrs.clone();
    // The deletion was conditional on the change marker: nothing but what the server keeps itself can have gone in between.
    if let Some(seen) = seen.filter(|seen| seen.change_marker.is_some()) {
        for (attr, values) in seen.entry.attrs.iter().filter(|(attr, _)| !is_server_owned(attr)) {
            attrs.entry(attr.clone()).or_insert_with(|| values.clone());
        }
    }
    attrs
}

/// Attributes that the server writes on its own when an entry is created, locked or bound to: not part of equality after an add.
fn is_server_owned(attr: &AttrName) -> bool {
    act::is_computed(attr)
        || [&act::STABLE_ID, &act::CHANGE_MARKER].iter().any(|name| attr.is(name.folded()))
        || matches!(
            attr.base(),
            "createtimestamp" | "modifytimestamp" | "creatorsname" | "modifiersname" | "pwdchangedtime" | "pwdfailuretime"
        )
}

#[cfg(test)]
mod tests {
    use untether_model::Dn;
    use untether_model::operation::{Phase, PlannedValue, Target, UndoClass};
    use untether_model::time::PERMANENT_LOCK;

    use super::*;

    fn entry(attrs: &[(&str, &str)]) -> Entry {
        let mut entry = Entry::new(Dn::parse("uid=a,dc=x").unwrap());
        for (name, value) in attrs {
            entry.attrs.insert(AttrName::new(name), [Value::from(*value)].into_iter().collect::<Values>());
        }
        entry
    }

    #[test]
    fn a_deleted_entry_is_what_the_server_returned_and_what_only_the_reading_identity_could_see() {
        let returned = entry(&[("cn", "a"), ("mail", "as deleted")]);
        let mut looked =
            vec![("cn", "a"), ("mail", "as seen"), ("userPassword", "{SSHA}a"), ("pwdFailureTime", "20260101000000.1Z")];
        looked.extend([("memberOf", "cn=g,dc=x"), ("entryUUID", "u"), ("modifyTimestamp", "20260101000000Z")]);
        let marked = [looked.as_slice(), &[("entryCSN", "c")]].concat();
        let names = |attrs: &AttrMap| attrs.iter().map(|(attr, _)| attr.folded().to_owned()).collect::<Vec<_>>();
        let last = whole(&returned, Some(&Seen::of(entry(&marked))));
        assert_eq!(names(&last), ["cn", "mail", "userpassword"]);
        assert_eq!(last.values_of(&AttrName::new("mail")), ["as deleted".into()]);
        // Without a change marker in the condition the entry may have changed between the look and the deletion.
        assert_eq!(names(&whole(&returned, Some(&Seen::of(entry(&looked))))), ["cn", "mail"]);
        assert_eq!(names(&whole(&returned, None)), ["cn", "mail"]);
    }

    #[test]
    fn the_store_is_asked_about_accounts_of_the_shared_store_that_are_disabled() {
        let closes = Desired::Values(vec![PlannedValue::Inline(Value::from(PERMANENT_LOCK))]);
        let operation = |attr: &str, desired: &Desired, stage, store| Operation {
            batch: "b01".into(),
            n: 1,
            stage,
            phase: Phase::ENTRIES,
            store,
            actor: Actor::Writer,
            target: Target::New { dn: Dn::parse("uid=a,dc=x").unwrap() },
            subjects: Vec::new(),
            action: Action::Set { touches: vec![Touch { attr: attr.into(), expects: Expects::Any, desired: desired.clone() }] },
            secret: None,
            undo: UndoClass::Full,
            undoes: Vec::new(),
            protected_group: false,
            reason: String::new(),
        };
        let image = Desired::BeforeImage { started: 1 };
        let cases = [
            ("pwdAccountLockedTime", &closes, Stage::Disable, Side::Shared, true),
            ("pwdAccountLockedTime", &closes, Stage::Disable, Side::Independent, false),
            ("pwdAccountLockedTime", &closes, Stage::Scrub, Side::Shared, false),
            ("pwdAccountLockedTime", &Desired::Absent, Stage::Disable, Side::Shared, false),
            ("pwdAccountLockedTime", &image, Stage::Disable, Side::Shared, false),
            ("pwdEndTime", &closes, Stage::Disable, Side::Shared, false),
        ];
        for (attr, desired, stage, store, asked) in cases {
            assert_eq!(disables(&operation(attr, desired, stage, store)), asked, "{attr} {desired:?} {stage} {store}");
        }
    }
}
