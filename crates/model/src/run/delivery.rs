//! How a one-time credential's hand-over to its person stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// The hook was started, and what it did is not recorded: after a crash nobody knows whether it arrived.
    Begun,
    /// It is in a hand-over file, or the hook said that it was delivered.
    Delivered,
    /// The hook said that it was not delivered, or did not end in time.
    Failed,
}

/// The hand-over of one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The intent whose credential it is.
    pub issued: u64,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// When it was tried first.
    pub since: Timestamp,
    /// When it came to stand so.
    pub at: Timestamp,
    /// The hand-over file, or the hook.
    pub way: String,
    /// What the hook said; empty where it said nothing.
    pub message: String,
}
