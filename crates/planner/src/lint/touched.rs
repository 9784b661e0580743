//! How many entries of each store a wave touches, and how: each is counted once, however many operations are about it.

use std::collections::{BTreeMap, HashMap};

use untether_model::operation::{Action, Operation, Stage, Target};
use untether_model::{Dn, Side};

/// What happens to an entry.
#[derive(Clone, Copy)]
pub(super) enum Touch {
    /// Anything at all.
    Changed,
    /// It lets nobody in any more.
    Disabled,
    /// It goes.
    Removed,
}

/// The entries so far.
#[derive(Default)]
pub(super) struct Touched {
    /// By comparable name, with a bit for each [`Touch`].
    entries: BTreeMap<Side, HashMap<Box<str>, u8>>,
    counts: BTreeMap<Side, [u64; 3]>,
}

impl Touched {
    /// How many entries of a store this happens to.
    pub(super) fn count(&self, side: Side, touch: Touch) -> u64 {
        self.counts.get(&side).and_then(|counts| counts.get(touch as usize)).copied().unwrap_or(0)
    }

    /// Counts what an operation does to its entry.
    pub(super) fn add(&mut self, operation: &Operation) {
        let dn = operation.target.dn();
        if matches!(operation.action, Action::Attest { .. } | Action::Deliver { .. }) {
            return;
        }
        // What a wave itself creates was not there to be changed.
        if matches!(operation.target, Target::Existing { .. }) {
            self.mark(operation.store, dn, Touch::Changed);
        }
        if operation.store == Side::Shared {
            match operation.action {
                Action::Delete => self.mark(operation.store, dn, Touch::Removed),
                _ if operation.stage == Stage::Disable => self.mark(operation.store, dn, Touch::Disabled),
                _ => {}
            }
        }
    }

    fn mark(&mut self, side: Side, dn: &Dn, touch: Touch) {
        let entries = self.entries.entry(side).or_default();
        let bit = 1 << touch as u8;
        let known = match entries.get_mut(dn.key().as_str()) {
            Some(bits) => std::mem::replace(bits, *bits | bit) & bit != 0,
            None => entries.insert(dn.key().as_str().into(), bit).is_some(),
        };
        if !known && let Some(count) = self.counts.entry(side).or_default().get_mut(touch as usize) {
            *count += 1;
        }
    }
}
