//! A rollback restores: what was written for its people from the stage on, to which it goes back, is as it was before.
//!
//! Compared attribute by attribute with what the entries held before our first write. Left out is what the contract leaves out:
//! entries that others have touched, what the server alone writes, the locks of people who have left, and what a conflict kept.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::auth::PasswordShape;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Operation, Stage};
use untether_model::run::Started;
use untether_model::schema::{Equality, Schema};
use untether_model::{AttrName, Dn, Entry, OpId, Side, SubjectId, Value};

use crate::twins::World;

/// What the server keeps, or nobody may set without the right to.
const SERVER: [&str; 16] = [
    "entrycsn",
    "entryuuid",
    "modifytimestamp",
    "modifiersname",
    "createtimestamp",
    "creatorsname",
    "structuralobjectclass",
    "memberof",
    "pwdhistory",
    "pwdchangedtime",
    "pwdfailuretime",
    "pwdgraceusetime",
    "pwdlastsuccess",
    "pwdreset",
    "contextcsn",
    "entrydn",
];

/// What decides whether an account lets anybody in.
const LOCKS: [&str; 4] = ["pwdaccountlockedtime", "pwdendtime", "pwdpolicysubentry", "userpassword"];

/// One operation of ours that was begun.
struct Wrote {
    stage: Stage,
    op: OpId,
    dn: Dn,
    /// Of an operation on listed values: the attribute and the subject's value.
    listed: Option<(AttrName, Value)>,
    attrs: BTreeSet<AttrName>,
    before: Option<Entry>,
    /// Whether it takes the whole entry away.
    deletes: bool,
}

/// Everything that was begun, by subject and entry, in order.
#[derive(Default)]
pub(super) struct Restored(BTreeMap<(SubjectId, Side, DnKey), Vec<Wrote>>);

/// What a comparison found.
#[derive(Default)]
pub(super) struct Found {
    pub compared: u64,
    pub wrong: Vec<String>,
}

impl Restored {
    /// A forward operation begins. Its effect may come at once, late, or never.
    pub fn started(&mut self, world: &World, op: &Operation, started: &Started) {
        let dn = op.target.dn();
        let before = world.entry(op.store, dn);
        let attrs: BTreeSet<AttrName> = match &op.action {
            Action::Set { touches } => touches.iter().map(|touch| touch.attr.clone()).collect(),
            Action::Delete => before.iter().flat_map(|entry| entry.attrs.keys().cloned()).collect(),
            _ => BTreeSet::new(),
        };
        for subject in &started.subjects {
            let listed = match &op.action {
                Action::Ensure { attr, values, .. } => {
                    let own = op.subjects.iter().zip(values).find(|(of, _)| *of == subject);
                    own.map(|(_, value)| (attr.clone(), value.clone()))
                }
                _ => None,
            };
            let wrote = Wrote {
                stage: started.stage,
                op: started.op.clone(),
                dn: dn.clone(),
                listed,
                attrs: attrs.clone(),
                before: before.clone(),
                deletes: matches!(op.action, Action::Delete),
            };
            self.0.entry((subject.clone(), op.store, dn.key().clone())).or_default().push(wrote);
        }
    }

    /// A subject was rolled back to before `to`; `keeps`: what an operation did stays, for a later rollback to take back; `excused`:
    /// whether an entry is not compared.
    pub fn taken_back(
        &mut self,
        world: &World,
        subject: &SubjectId,
        (to, stays_closed, conflict): (Stage, bool, bool),
        keeps: impl Fn(&OpId) -> bool,
        excused: impl Fn(Side, &DnKey) -> bool,
    ) -> Found {
        let mut found = Found::default();
        // Whoever has left meanwhile took along the values of the entry.
        let gone = |side: Side, wrote: &Wrote| wrote.deletes && world.entry(side, &wrote.dn).is_none();
        let others = self.0.iter().filter(|((of, ..), _)| of != subject);
        let left: BTreeSet<(Side, DnKey)> = others
            .filter(|((_, side, _), wrote)| wrote.iter().any(|w| gone(*side, w)))
            .map(|((_, side, key), _)| (*side, key.clone()))
            .collect();
        for ((_, side, key), wrote) in self.0.iter_mut().filter(|((of, ..), _)| of == subject) {
            let all = std::mem::take(wrote);
            let kept = all.iter().any(|w| w.stage >= to && keeps(&w.op));
            let (mut back, stay): (Vec<Wrote>, Vec<Wrote>) = all.into_iter().partition(|w| w.stage >= to && !keeps(&w.op));
            *wrote = stay;
            let with_its_entry = || back.iter().all(|w| w.listed.is_some()) && left.contains(&(*side, key.clone()));
            if back.is_empty() || kept || conflict || excused(*side, key) || with_its_entry() {
                continue;
            }
            found.compared += 1;
            found.wrong.extend(
                differs(world, *side, &mut back, stays_closed)
                    .map(|what| format!("{subject} was rolled back to before {to}, and in the {side} store {what}")),
            );
        }
        found
    }
}

/// What of an entry is not as it was before the first of these operations.
fn differs(world: &World, side: Side, back: &mut Vec<Wrote>, stays_closed: bool) -> Option<String> {
    let attrs: BTreeSet<AttrName> = back.iter().flat_map(|wrote| wrote.attrs.iter().cloned()).collect();
    let Wrote { dn, listed, before, .. } = back.swap_remove(0);
    let now = world.entry(side, &dn);
    let schema = Schema::standard();
    if let Some((attr, value)) = listed {
        let holds =
            |entry: &Option<Entry>| entry.as_ref().is_some_and(|e| schema.contains(&attr, e.attrs.values_of(&attr), &value));
        return (holds(&before) != holds(&now)).then(|| format!("{attr} of {dn} does not name it as before"));
    }
    let (before, now) = match (before, now) {
        (None, Some(now)) if !now.has("pwdAccountLockedTime") => return Some(format!("{dn}, which we made, is open")),
        (None, _) => return None,
        (Some(_), None) => return Some(format!("{dn} is gone")),
        (Some(before), Some(now)) => (before, now),
    };
    let values = |entry: &Entry, attr: &AttrName| entry.attrs.get(attr).cloned().unwrap_or_default();
    let compared = attrs.iter().filter(|attr| {
        let names_others = schema.equality(attr) == Equality::DistinguishedName;
        let is_lock = stays_closed && LOCKS.contains(&attr.base());
        !(SERVER.contains(&attr.base()) || names_others || is_lock)
    });
    let mut moved = compared.filter(|attr| {
        let (was, is) = (values(&before, attr), values(&now, attr));
        // A server stores clear text as it likes.
        let clear = attr.is("userpassword") && was.iter().any(|v| PasswordShape::of(v.as_bytes()).clear);
        if clear { was.len() != is.len() } else { !schema.same_values(attr, &was, &is) }
    });
    moved.next().map(|attr| format!("{attr} of {dn} is not as before: {:?}, not {:?}", values(&now, attr), values(&before, attr)))
}
