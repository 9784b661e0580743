//! Looks ahead: the entries of operations that are soon to be worked on are looked at together, before their turn.
//!
//! A store answers one question about many entries at little more than the price of one about one. What was seen ahead is somewhat older
//! than what an operation would see by itself, so it never decides anything but that a write is tried, under a condition on what was seen;
//! whatever else it would mean (it is done already, somebody else has changed it) is looked at again.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tokio::sync::OnceCell;
use untether_model::dn::DnKey;
use untether_model::operation::{Action, Operation};
use untether_model::run::CellStand;
use untether_model::{AttrName, Dn, Side, StableId, SubjectId};

use super::gather::TOGETHER;
use super::{Executor, Task, members};
use crate::act::Seen;

/// What was seen of an operation's entry before its turn.
pub(crate) enum Ahead {
    /// It has this version.
    There(Seen),
    /// No entry has the name under which one is to be created.
    Absent,
}

/// How an entry is asked for.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Id,
    Name,
}

/// Entries of one store that are asked for together: which operations they are for, and what names them.
#[derive(Default)]
struct Asked {
    operations: Vec<u32>,
    ids: Vec<StableId>,
    names: Vec<Dn>,
}

/// Operations of one phase in the order in which they are worked on, some of them looked at together when the first of these is due.
pub(crate) struct AheadOf<'a, T> {
    executor: &'a Executor,
    ops: &'a [&'a Operation],
    /// Entries on which several of them work: what is seen before the first one has its turn is not what the next one finds.
    worked_on_twice: HashSet<(Side, &'a DnKey)>,
    /// What of an operation is to be worked on; `None`: nothing.
    task: T,
    seen: Vec<OnceCell<Mutex<BTreeMap<u32, Ahead>>>>,
}

impl<'a, T: Fn(&'a Operation) -> Option<Task<'a>>> AheadOf<'a, T> {
    pub(crate) fn new(executor: &'a Executor, ops: &'a [&'a Operation], task: T) -> Self {
        let seen = ops.chunks(TOGETHER).map(|_| OnceCell::new()).collect();
        let (mut once, mut worked_on_twice) = (HashSet::with_capacity(ops.len()), HashSet::new());
        for op in ops {
            let entry = (op.store, op.target.dn().key());
            if !once.insert(entry) {
                worked_on_twice.insert(entry);
            }
        }
        Self { executor, ops, worked_on_twice, task, seen }
    }

    /// What was seen of the entry of the operation at this place in their order; `None`: it is to be looked at in its turn. Tells it once.
    pub(crate) async fn seen(&self, at: usize) -> Option<Ahead> {
        let cell = self.seen.get(at / TOGETHER)?;
        let seen = cell.get_or_init(|| async { Mutex::new(self.look(at / TOGETHER * TOGETHER).await) }).await;
        let op = self.ops.get(at)?;
        seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&op.n)
    }

    async fn look(&self, from: usize) -> BTreeMap<u32, Ahead> {
        let mut questions: BTreeMap<(Side, By, Vec<AttrName>), Asked> = BTreeMap::new();
        let alone = |op: &&&Operation| !self.worked_on_twice.contains(&(op.store, op.target.dn().key()));
        for op in self.ops.iter().skip(from).take(TOGETHER).filter(alone) {
            let Some(task) = (self.task)(op) else { continue };
            let Some((id, attrs)) = self.executor.looks_ahead(&task) else { continue };
            let by = if id.is_some() { By::Id } else { By::Name };
            let asked = questions.entry((op.store, by, attrs)).or_default();
            asked.operations.push(op.n);
            match id {
                Some(id) => asked.ids.push(id),
                None => asked.names.push(op.target.dn().clone()),
            }
        }
        let mut seen = BTreeMap::new();
        // One entry by itself is looked at in its turn, no later and for the same price.
        for ((side, by, attrs), asked) in questions.into_iter().filter(|(_, asked)| asked.operations.len() > 1) {
            let store = self.executor.ports.stores.get(side);
            let found = match by {
                By::Id => store.reader().find_all(store.suffix(), &asked.ids, &attrs).await,
                By::Name => store.reader().read_all(&asked.names, &attrs).await,
            };
            // What keeps the store from answering now is met again, and told, by whoever looks in their turn.
            for (n, entry) in asked.operations.into_iter().zip(found.into_iter().flatten()) {
                let ahead = match entry.map(Seen::of) {
                    Some(entry) => Ahead::There(entry),
                    None if by == By::Name => Ahead::Absent,
                    None => continue,
                };
                seen.insert(n, ahead);
            }
        }
        seen
    }
}

impl Executor {
    /// How the entry of an operation is looked at ahead, by its stable id or (without one) by name, and what of it; `None`: not at all.
    fn looks_ahead(&self, task: &Task<'_>) -> Option<(Option<StableId>, Vec<AttrName>)> {
        let fresh = |subject: Option<&SubjectId>| matches!(self.stand(task, subject), CellStand::Fresh | CellStand::Failed(_));
        let open = match task.subjects.as_slice() {
            [] => fresh(None),
            subjects => subjects.iter().all(|subject| fresh(Some(subject))),
        };
        if !open {
            return None;
        }
        match &task.op.action {
            Action::Create { .. } => Some((None, self.attrs_to_read(task))),
            Action::Set { .. } => Some((Some(self.wanted_id(task)?), self.attrs_to_read(task))),
            Action::Ensure { attr, .. } => Some((Some(self.wanted_id(task)?), members::looked_at(attr)?)),
            Action::Delete | Action::Recreate { .. } | Action::Attest { .. } | Action::Deliver { .. } => None,
        }
    }
}
