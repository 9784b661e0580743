//! From effects to the operations that take them back: changes of one entry are merged into one, each attribute with the image of
//! the earliest change that is taken back.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::operation::{Action, Actor, Desired, Direction, Expects, PlannedValue, Target, Touch, UndoClass};
use untether_model::time::PERMANENT_LOCK;
use untether_model::{AttrName, Dn, OpId, Side, StableId, SubjectId, Value};

use super::timeline::{Effect, Timeline};
use super::{NotRestored, RollbackInputs};
use crate::attributes::{LOCK_ATTRS, USER_OWNED};
use crate::undo;

/// One undoing operation without its place.
pub(super) struct Undoing {
    pub what: What,
    pub store: Side,
    pub actor: Actor,
    pub target: Target,
    pub subjects: Vec<SubjectId>,
    pub action: Action,
    pub undo: UndoClass,
    pub undoes: Vec<(OpId, SubjectId)>,
    pub reason: String,
}

/// What kind of undoing it is: decides on its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Recreate,
    RestoreLinks,
    /// The placeholder of a group that has members again.
    RemovePlaceholder,
    RestoreAccount,
    RevokeAdmission,
    UndoEnroll,
    RemoveLinks,
    LockCreated,
    DeleteCreated,
}

/// The operations, and what they leave out.
#[derive(Default)]
pub(super) struct Composed {
    pub undoings: Vec<Undoing>,
    pub left_disabled: BTreeSet<SubjectId>,
    pub lost: BTreeSet<NotRestored>,
    /// Somebody whom the roster calls departed or ended is enabled.
    pub enables_inactive: bool,
    pub deletes: bool,
}

/// One entry, over all changes of it that are taken back.
struct Merged {
    store: Side,
    dn: Dn,
    stable_id: Option<StableId>,
    subject: SubjectId,
    /// By attribute: the earliest intent that touched it, and what the latest left behind.
    touched: BTreeMap<AttrName, (u64, Expects)>,
    deleted: Option<u64>,
    created: bool,
    admission_only: bool,
    undoes: Vec<(OpId, SubjectId)>,
}

pub(super) fn compose(inputs: &RollbackInputs<'_>, timeline: &Timeline) -> Composed {
    let mut composed = Composed::default();
    let mut entries: BTreeMap<(Side, Dn, SubjectId), Merged> = BTreeMap::new();
    // Oldest first, so that the first image of an attribute is the earliest.
    for effect in &timeline.effects {
        match &effect.operation.action {
            Action::Set { .. } | Action::Create { .. } | Action::Delete | Action::Recreate { .. } => merge(effect, &mut entries),
            Action::Ensure { .. } => reverse(effect, &mut composed),
            Action::Deliver { .. } | Action::Attest { .. } => {}
        }
    }
    for (_, merged) in entries {
        undo_entry(inputs, merged, &mut composed);
    }
    composed
}

fn merge(effect: &Effect, entries: &mut BTreeMap<(Side, Dn, SubjectId), Merged>) {
    let operation = &effect.operation;
    for (subject, seq) in &effect.cells {
        let key = (operation.store, operation.target.dn().clone(), subject.clone());
        let merged = entries.entry(key).or_insert_with(|| Merged {
            store: operation.store,
            dn: operation.target.dn().clone(),
            stable_id: None,
            subject: subject.clone(),
            touched: BTreeMap::new(),
            deleted: None,
            created: false,
            admission_only: true,
            undoes: Vec::new(),
        });
        merged.stable_id = merged.stable_id.take().or_else(|| effect.stable_id());
        merged.undoes.push((effect.id.clone(), subject.clone()));
        match &operation.action {
            Action::Create { .. } => merged.created = true,
            Action::Delete => merged.deleted = Some(*seq),
            Action::Set { touches } => {
                merged.admission_only &= operation.stage == untether_model::operation::Stage::Switch;
                touch_all(merged, effect, touches, *seq);
            }
            _ => {}
        }
    }
}

/// The touched attributes, and those that the server changes with a credential where their image was journalled too.
fn touch_all(merged: &mut Merged, effect: &Effect, touches: &[Touch], seq: u64) {
    for touch in touches {
        let after = match &touch.desired {
            _ if USER_OWNED.contains(&touch.attr.base()) => Expects::Any,
            Desired::Absent => Expects::Absent,
            Desired::Values(values) if values.iter().all(|v| matches!(v, PlannedValue::Inline(_))) => {
                Expects::Values(values.clone())
            }
            // Values that only the journal knows: by their mark.
            _ => {
                let mark = effect.intents.get(&seq).and_then(|s| s.marks.get(&touch.attr)).and_then(|m| m.after.clone());
                mark.map_or(Expects::Absent, |mark| Expects::Marks(vec![mark]))
            }
        };
        let entry = merged.touched.entry(touch.attr.clone()).or_insert((seq, Expects::Any));
        entry.1 = after;
    }
    let credential = touches.iter().any(|t| t.attr.is("userpassword"));
    let marks = effect.intents.get(&seq).map(|s| &s.marks);
    for attr in marks.into_iter().flat_map(|m| m.keys()).filter(|_| credential) {
        if USER_OWNED.contains(&attr.base()) {
            merged.touched.entry(attr.clone()).or_insert((seq, Expects::Any));
        }
    }
}

/// What only the right `manage` can set.
fn needs_manage(attr: &AttrName) -> bool {
    matches!(attr.base(), "pwdhistory" | "pwdchangedtime" | "pwdfailuretime" | "pwdgraceusetime")
}

/// What nobody can set.
fn is_unsettable(attr: &AttrName) -> bool {
    matches!(attr.base(), "pwdlastsuccess" | "authtimestamp")
}

fn undo_entry(inputs: &RollbackInputs<'_>, mut merged: Merged, composed: &mut Composed) {
    let manage = inputs.capabilities.get(&merged.store).is_some_and(|c| c.manage);
    merged.touched.retain(|attr, _| !is_unsettable(attr) && (manage || !needs_manage(attr)));
    let shared = merged.store == Side::Shared;
    if shared && inputs.ended.contains(&merged.subject) {
        let locks = |attr: &AttrName| LOCK_ATTRS.contains(&attr.base());
        if inputs.request.enable_inactive {
            composed.enables_inactive |= merged.touched.keys().any(locks);
        } else if merged.touched.keys().any(locks) || merged.deleted.is_some() {
            // A password is not written to an account that must stay locked: it would lift the lock.
            merged.touched.retain(|attr, _| !locks(attr) && !needs_manage(attr));
            composed.left_disabled.insert(merged.subject.clone());
        }
    }
    if merged.created && inputs.request.delete_provisioned {
        return delete_created(inputs, merged, composed);
    }
    if let Some(deleted) = merged.deleted {
        return recreate(inputs, merged, deleted, composed);
    }
    restore(inputs, merged, manage, composed);
}

fn existing(merged: &Merged) -> Target {
    match &merged.stable_id {
        Some(id) => Target::Existing { dn: merged.dn.clone(), stable_id: id.clone() },
        None => Target::New { dn: merged.dn.clone() },
    }
}

fn delete_created(inputs: &RollbackInputs<'_>, merged: Merged, composed: &mut Composed) {
    composed.deletes = true;
    if let Some((op, subject)) = merged.undoes.first() {
        composed.lost.insert(NotRestored {
            subject: subject.clone(),
            op: op.clone(),
            dn: merged.dn.clone(),
            lost: "factors and passwords that were enrolled on the entry go with it".to_owned(),
        });
    }
    composed.undoings.push(Undoing {
        what: What::DeleteCreated,
        store: merged.store,
        actor: Actor::Writer,
        target: existing(&merged),
        subjects: vec![merged.subject],
        action: Action::Delete,
        undo: undo::deletion(inputs.capabilities.get(&merged.store)),
        undoes: merged.undoes,
        reason: "the entry was made by untether".to_owned(),
    });
}

fn recreate(inputs: &RollbackInputs<'_>, merged: Merged, deleted: u64, composed: &mut Composed) {
    let manage = inputs.capabilities.get(&merged.store).is_some_and(|c| c.manage);
    let overlay = merged.touched.into_iter().map(|(attr, (seq, _))| (attr, seq)).collect();
    composed.undoings.push(Undoing {
        what: What::Recreate,
        store: merged.store,
        actor: if manage { Actor::Undo } else { Actor::Writer },
        target: Target::New { dn: merged.dn },
        subjects: vec![merged.subject],
        action: Action::Recreate { deleted, overlay },
        undo: UndoClass::Full,
        undoes: merged.undoes,
        reason: "the record comes back as it was".to_owned(),
    });
}

fn restore(inputs: &RollbackInputs<'_>, merged: Merged, manage: bool, composed: &mut Composed) {
    let target = existing(&merged);
    let credential = merged.touched.keys().any(|attr| attr.is("userpassword") || needs_manage(attr));
    let mut touches: Vec<Touch> = merged
        .touched
        .into_iter()
        .map(|(attr, (started, expects))| Touch { attr, expects, desired: Desired::BeforeImage { started } })
        .collect();
    if merged.created {
        let lock = Desired::Values(vec![PlannedValue::Inline(Value::from(PERMANENT_LOCK))]);
        touches.retain(|t| !t.attr.is("pwdaccountlockedtime"));
        touches.push(Touch { attr: AttrName::new("pwdAccountLockedTime"), expects: Expects::Any, desired: lock });
        touches.sort_by(|a, b| a.attr.cmp(&b.attr));
    }
    if touches.is_empty() {
        return;
    }
    let (what, reason) = match merged.store {
        Side::Shared => (What::RestoreAccount, "the shared account is as it was"),
        Side::Independent if merged.created => (What::LockCreated, "the entry stays, locked"),
        Side::Independent if merged.admission_only => (What::RevokeAdmission, "the new account is no longer admitted"),
        Side::Independent => (What::UndoEnroll, "the new account is closed again"),
    };
    composed.undoings.push(Undoing {
        what,
        store: merged.store,
        actor: if credential && manage { Actor::Undo } else { Actor::Writer },
        target,
        subjects: vec![merged.subject],
        action: Action::Set { touches },
        undo: if credential { undo::credential(inputs.capabilities.get(&merged.store)) } else { UndoClass::Full },
        undoes: merged.undoes,
        reason: reason.to_owned(),
    });
}

/// A membership or reference the other way round, with the values of the cells that are taken back only.
fn reverse(effect: &Effect, composed: &mut Composed) {
    let operation = &effect.operation;
    let Action::Ensure { attr, direction, values, placeholder, delete_when_empty, .. } = &operation.action else { return };
    let pairs: Vec<(&SubjectId, &Value)> =
        operation.subjects.iter().zip(values).filter(|(subject, _)| effect.cells.contains_key(*subject)).collect();
    let Some((first, _)) = pairs.first() else { return };
    let back = match direction {
        Direction::Present => Direction::Absent,
        Direction::Absent => Direction::Present,
    };
    let target = match effect.stable_id() {
        Some(stable_id) => Target::Existing { dn: operation.target.dn().clone(), stable_id },
        None => Target::New { dn: operation.target.dn().clone() },
    };
    let what = match (back, operation.stage) {
        (Direction::Present, _) => What::RestoreLinks,
        (Direction::Absent, untether_model::operation::Stage::Switch) => What::RevokeAdmission,
        (Direction::Absent, _) => What::RemoveLinks,
    };
    let ensure = |direction, values, delete_when_empty| Action::Ensure {
        attr: attr.clone(),
        direction,
        values,
        create: None,
        placeholder: None,
        delete_when_empty,
    };
    let undoing = |what, subjects, action, undoes, reason: &str| Undoing {
        what,
        store: operation.store,
        actor: Actor::Writer,
        target: target.clone(),
        subjects,
        action,
        undo: UndoClass::Full,
        undoes,
        reason: reason.to_owned(),
    };
    let subjects: Vec<SubjectId> = pairs.iter().map(|(id, _)| (*id).clone()).collect();
    let undoes = subjects.iter().map(|id| (effect.id.clone(), id.clone())).collect();
    let reason = match back {
        Direction::Present => format!("{attr} names its people again"),
        Direction::Absent => format!("{attr} no longer names them"),
    };
    let placeholder_for = (*first).clone();
    let values = pairs.iter().map(|(_, value)| (*value).clone()).collect();
    let empty = *delete_when_empty && back == Direction::Absent;
    composed.undoings.push(undoing(what, subjects, ensure(back, values, empty), undoes, &reason));
    // The plan states a placeholder only where the group had none: with members again, it goes.
    if let (Some(placeholder), Direction::Present) = (placeholder, back) {
        let action = ensure(Direction::Absent, vec![placeholder.clone()], false);
        let reason = "the placeholder leaves the group that has members again";
        composed.undoings.push(undoing(What::RemovePlaceholder, vec![placeholder_for], action, Vec::new(), reason));
    }
}
