//! Limits of a wave, and how they are put together from what several levels of the policy say.

use serde::{Deserialize, Serialize};

/// Limits that are checked before the first write of a wave. A count that is absent does not limit; the percentages are of the
/// accounts in scope of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Entries changed in a store by one wave.
    pub max_changed: Option<u64>,
    /// The same in percent of the accounts in scope.
    pub max_changed_percent: f64,
    /// Accounts disabled by one wave.
    pub max_disabled: Option<u64>,
    /// The same in percent.
    pub max_disabled_percent: f64,
    /// Entries removed by one wave.
    pub max_removed: Option<u64>,
    /// The same in percent.
    pub max_removed_percent: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_changed: None,
            max_changed_percent: 50.0,
            max_disabled: None,
            max_disabled_percent: 25.0,
            max_removed: None,
            max_removed_percent: 25.0,
        }
    }
}

/// What one level says of the thresholds, key by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdsPart {
    /// [`Thresholds::max_changed`].
    pub max_changed: Option<u64>,
    /// [`Thresholds::max_changed_percent`].
    pub max_changed_percent: Option<f64>,
    /// [`Thresholds::max_disabled`].
    pub max_disabled: Option<u64>,
    /// [`Thresholds::max_disabled_percent`].
    pub max_disabled_percent: Option<f64>,
    /// [`Thresholds::max_removed`].
    pub max_removed: Option<u64>,
    /// [`Thresholds::max_removed_percent`].
    pub max_removed_percent: Option<f64>,
}

impl ThresholdsPart {
    /// What is said here, and below where this level is silent.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            max_changed: self.max_changed.or(below.max_changed),
            max_changed_percent: self.max_changed_percent.or(below.max_changed_percent),
            max_disabled: self.max_disabled.or(below.max_disabled),
            max_disabled_percent: self.max_disabled_percent.or(below.max_disabled_percent),
            max_removed: self.max_removed.or(below.max_removed),
            max_removed_percent: self.max_removed_percent.or(below.max_removed_percent),
        }
    }

    /// The whole; the usual limits where no level says.
    pub fn complete(self) -> Thresholds {
        let usual = Thresholds::default();
        Thresholds {
            max_changed: self.max_changed,
            max_changed_percent: self.max_changed_percent.unwrap_or(usual.max_changed_percent),
            max_disabled: self.max_disabled,
            max_disabled_percent: self.max_disabled_percent.unwrap_or(usual.max_disabled_percent),
            max_removed: self.max_removed,
            max_removed_percent: self.max_removed_percent.unwrap_or(usual.max_removed_percent),
        }
    }
}
