//! Events: what displays and `--json` show while work goes on.
//!
//! A step event leaves only after its record is durable and must arrive; progress events may be dropped.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::operation::Stage;
use crate::run::Record;
use crate::{BatchId, Side};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A record became durable.
    Step {
        /// Its sequence number.
        seq: u64,
        /// When it was written.
        at: Timestamp,
        /// The record.
        record: Box<Record>,
    },
    /// The ledger's second witness was written; whoever keeps this line can tell later that nothing was cut off before it.
    Witness {
        /// The last record that it covers.
        seq: u64,
        /// Hash of that record's frame.
        hash: String,
    },
    /// How fast a store is being written to, and why at that speed.
    Rate {
        /// The store.
        store: Side,
        /// Writes that were answered, a second, over the last few seconds.
        per_second: f64,
        /// Operations in flight.
        in_flight: u32,
        /// How many may be in flight now.
        limit: u32,
        /// Writes that were answered since the run began.
        ended: u64,
        /// Why the limit is what it is: `starting`, `trying more`, `steady`, `little to do`, `latency rose`, `server busy`,
        /// `throttled`, `configured`.
        reason: String,
    },
    /// A batch waits, for this.
    Waiting {
        /// The batch.
        batch: BatchId,
        /// The stage that it waits before or in.
        stage: Stage,
        /// For what, and until when.
        reason: String,
    },
    /// Entries read by an audit.
    Collected {
        /// The store, or `None` for the roster.
        store: Option<Side>,
        /// The base that is being read.
        base: String,
        /// Entries so far.
        entries: u64,
    },
}
