//! Thresholds hold: no wave changes, disables or removes more entries than its policy lets it.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::change::Change;
use untether_model::dn::DnKey;
use untether_model::operation::{Operation, Stage};
use untether_model::policy::Thresholds;
use untether_model::{Side, WaveId};

#[derive(Default)]
struct Counted {
    thresholds: Thresholds,
    changed: BTreeMap<Side, BTreeSet<DnKey>>,
    disabled: BTreeMap<Side, BTreeSet<DnKey>>,
    removed: BTreeMap<Side, BTreeSet<DnKey>>,
}

/// What each wave has really done.
#[derive(Default)]
pub(super) struct Limits(BTreeMap<WaveId, Counted>);

impl Limits {
    pub fn wave(&mut self, wave: &WaveId, thresholds: &Thresholds) {
        self.0.insert(wave.clone(), Counted { thresholds: thresholds.clone(), ..Counted::default() });
    }

    /// A change of ours was carried out for this operation; `existed`: the entry was there before.
    pub fn written(&mut self, wave: &WaveId, op: &Operation, (side, change, existed): (Side, &Change, bool)) -> Vec<String> {
        let Some(counted) = self.0.get_mut(wave) else { return Vec::new() };
        let key = change.dn().key();
        let mut wrong = Vec::new();
        let mut count = |set: &mut BTreeMap<Side, BTreeSet<DnKey>>, max: Option<u64>, what: &str| {
            let entries = set.entry(side).or_default();
            entries.insert(key.clone());
            if max.is_some_and(|max| entries.len() as u64 > max) {
                wrong.push(format!("{wave} has {what} {} entries of the {side} store, more than it may", entries.len()));
            }
        };
        if existed {
            count(&mut counted.changed, counted.thresholds.max_changed, "changed");
        }
        if op.stage == Stage::Disable {
            count(&mut counted.disabled, counted.thresholds.max_disabled, "disabled");
        }
        if matches!(change, Change::Delete { .. }) {
            count(&mut counted.removed, counted.thresholds.max_removed, "removed");
        }
        wrong
    }
}
