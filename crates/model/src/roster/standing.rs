//! What the roster says of a person.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What the roster says of a person at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Active, on leave or seconded: an account is justified.
    Active,
    /// Active but on leave: as active, except that dormancy is expected.
    OnLeave,
    /// All rows start in the future.
    NotYetStarted,
    /// Employment ended.
    Departed,
    /// The contractor's contract ended.
    ContractEnded,
}

impl Presence {
    /// The name in lower case: `active`, `on-leave`, `not-yet-started`, `departed`, `contract-ended`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::OnLeave => "on-leave",
            Self::NotYetStarted => "not-yet-started",
            Self::Departed => "departed",
            Self::ContractEnded => "contract-ended",
        }
    }

    /// Active or on leave.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::OnLeave)
    }

    /// Departed or contract ended.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Departed | Self::ContractEnded)
    }
}

/// The judgement with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The judgement.
    pub presence: Presence,
    /// The last valid day, where a date decided.
    pub last_day: Option<Date>,
    /// Word and date disagree; the date won.
    pub disagrees: bool,
}
