//! Whether what was read has shrunk against the last complete audit: an outage upstream must never look like "everyone left".
//!
//! A half-written export of the personnel department, or a directory restored from an old copy, is whole by every sign of its own.
//! Only what was there before gives it away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::Side;
use untether_model::finding::Place;
use untether_model::roster::{Roster, When, Zones};

use crate::collect::{Gap, GapKind};

/// What an audit is compared with: the sizes of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// When they were counted.
    pub taken_at: Timestamp,
    /// People whom the roster called active or on leave.
    pub active_people: u64,
    /// Accounts in scope by store, those taken off that were removed by ourselves.
    pub accounts: BTreeMap<Side, u64>,
}

/// People whom the roster calls active or on leave.
pub fn active_people(roster: &Roster, zones: &Zones, when: When) -> u64 {
    let active = |person: &_| roster.judge(*person, zones, when).is_some_and(|judged| judged.standing.presence.is_active());
    u64::try_from(roster.people().filter(active).count()).unwrap_or(u64::MAX)
}

/// Why `now` is too few against `before`, in words; `None` where at most this part of them is missing.
pub fn shrunk(what: &str, before: u64, taken_at: Timestamp, now: u64, most_percent: u32) -> Option<String> {
    let kept = u128::from(100_u32.saturating_sub(most_percent));
    (u128::from(now) * 100 < u128::from(before) * kept).then(|| {
        format!(
            "{now} {what}, {before} in the audit of {taken_at:.0}: more than {most_percent} % fewer; if that is right, raise \
             audit.max_shrink_percent"
        )
    })
}

/// What has shrunk by more than the policy allows.
pub(crate) fn gaps(before: &Sizes, active: u64, accounts: &BTreeMap<Side, u64>, most_percent: u32) -> Vec<Gap> {
    let gap = |place: Place, reason: String| Gap { kind: GapKind::Truncated, place, dn: None, rules: Vec::new(), reason };
    let people = shrunk("active people", before.active_people, before.taken_at, active, most_percent);
    let of_store = |(side, now): (&Side, &u64)| {
        let before_here = before.accounts.get(side).copied().unwrap_or(0);
        let reason = shrunk("accounts in scope", before_here, before.taken_at, *now, most_percent)?;
        Some(gap(Place::from(*side), reason))
    };
    people.map(|reason| gap(Place::Roster, reason)).into_iter().chain(accounts.iter().filter_map(of_store)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(active: u64, shared: u64) -> Vec<Place> {
        let before = Sizes {
            taken_at: Timestamp::UNIX_EPOCH,
            active_people: 1_000,
            accounts: BTreeMap::from([(Side::Shared, 500), (Side::Independent, 0)]),
        };
        let now = BTreeMap::from([(Side::Shared, shared), (Side::Independent, 3)]);
        gaps(&before, active, &now, 20).into_iter().map(|gap| gap.place).collect()
    }

    #[test]
    fn only_what_lost_more_than_its_part_is_told() {
        assert_eq!(places(800, 400), []);
        assert_eq!(places(5_000, 500), []);
        assert_eq!(places(799, 400), [Place::Roster]);
        assert_eq!(places(0, 399), [Place::Roster, Place::Shared]);
    }
}
