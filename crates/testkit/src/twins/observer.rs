//! Somebody who looks on: sees each record when it is durable, and each write of the engine before and after.

use jiff::Timestamp;
use untether_model::change::Change;
use untether_model::run::Record;
use untether_model::{AttrName, Dn, Entry, Side};

/// Looks on, and changes nothing.
pub trait Observer: Send + Sync {
    /// A record is durable.
    fn recorded(&self, seq: u64, at: Timestamp, record: &Record) {
        let _ = (seq, at, record);
    }

    /// The engine's change reaches a store, whose entry was so, and is so afterwards.
    fn written(&self, side: Side, change: &Change, before: Option<&Entry>, after: Option<&Entry>) {
        let _ = (side, change, before, after);
    }

    /// The engine has read these attributes of an entry that it asked for by this name.
    fn looked(&self, side: Side, dn: &Dn, attrs: &[AttrName]) {
        let _ = (side, dn, attrs);
    }

    /// The engine's change is about to reach a store.
    fn sending(&self, side: Side, change: &Change) {
        let _ = (side, change);
    }
}

/// Nobody looks on.
pub(super) struct Nobody;

impl Observer for Nobody {}
