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

/// An entity must have lost this many people before its loss counts as an outage: of a handful some may leave on one day.
const FEWEST_LOST: u64 = 20;

/// An entity of at least this many people that has nobody any more is an outage whatever their number.
const FEWEST_GONE: u64 = 5;

/// Name of the people without an entity among the counts by entity.
pub const UNASSIGNED: &str = "unassigned";

/// People whom the roster calls active or on leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivePeople {
    /// All of them.
    pub total: u64,
    /// By the entity of the row that describes them ([`UNASSIGNED`] for none); empty where an older audit did not count so.
    pub by_entity: BTreeMap<String, u64>,
}

impl ActivePeople {
    /// Counts them.
    pub fn of(roster: &Roster, zones: &Zones, when: When) -> Self {
        let mut counted = Self::default();
        for person in roster.people() {
            let Some(judged) = roster.judge(person, zones, when).filter(|j| j.standing.presence.is_active()) else { continue };
            let entity = roster.row(judged.row).and_then(|row| row.entity()).map_or(UNASSIGNED, |id| id.as_str());
            counted.total += 1;
            match counted.by_entity.get_mut(entity) {
                Some(count) => *count += 1,
                None => drop(counted.by_entity.insert(entity.to_owned(), 1)),
            }
        }
        counted
    }
}

/// What an audit is compared with: the sizes of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// When they were counted.
    pub taken_at: Timestamp,
    /// People whom the roster called active or on leave.
    pub active: ActivePeople,
    /// Accounts in scope by store, those taken off that were removed by ourselves.
    pub accounts: BTreeMap<Side, u64>,
}

/// Fewer than there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The entity; `None`: the roster as a whole.
    pub entity: Option<String>,
    /// It counts as an outage: an audit is incomplete, a run stops. Otherwise a person should look.
    pub is_outage: bool,
    /// What shrank, in words.
    pub words: String,
}

/// Whether more than this part is missing.
pub(crate) fn is_less(before: u64, now: u64, most_percent: u32) -> bool {
    let kept = u128::from(100_u32.saturating_sub(most_percent));
    u128::from(now) * 100 < u128::from(before) * kept
}

fn words(what: &str, before: u64, taken_at: Timestamp, now: u64, most_percent: u32) -> String {
    format!(
        "{now} {what}, {before} in the audit of {taken_at:.0}: more than {most_percent} % fewer; if that is right, raise \
         audit.max_shrink_percent"
    )
}

/// Where the people of a roster have become fewer by more than this part.
pub fn people(before: &ActivePeople, taken_at: Timestamp, now: &ActivePeople, most_percent: u32) -> Vec<Shrunk> {
    let total = is_less(before.total, now.total, most_percent).then(|| Shrunk {
        entity: None,
        is_outage: true,
        words: words("active people", before.total, taken_at, now.total, most_percent),
    });
    let of_entity = before.by_entity.iter().filter_map(|(entity, was)| {
        let is = now.by_entity.get(entity).copied().unwrap_or(0);
        is_less(*was, is, most_percent).then(|| Shrunk {
            is_outage: was.saturating_sub(is) >= FEWEST_LOST || (is == 0 && *was >= FEWEST_GONE),
            words: words(&format!("active people of {entity}"), *was, taken_at, is, most_percent),
            entity: Some(entity.clone()),
        })
    });
    total.into_iter().chain(of_entity).collect()
}

/// What has shrunk by more than the policy allows.
pub(crate) fn gaps(before: &Sizes, active: &ActivePeople, accounts: &BTreeMap<Side, u64>, most_percent: u32) -> Vec<Gap> {
    let gap = |place: Place, reason: String| Gap { kind: GapKind::Truncated, place, dn: None, rules: Vec::new(), reason };
    let people = people(&before.active, before.taken_at, active, most_percent).into_iter().filter(|shrunk| shrunk.is_outage);
    let of_store = |(side, now): (&Side, &u64)| {
        let was = before.accounts.get(side).copied().unwrap_or(0);
        is_less(was, *now, most_percent)
            .then(|| gap(Place::from(*side), words("accounts in scope", was, before.taken_at, *now, most_percent)))
    };
    people.map(|shrunk| gap(Place::Roster, shrunk.words)).chain(accounts.iter().filter_map(of_store)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(total: u64, by_entity: &[(&str, u64)]) -> ActivePeople {
        ActivePeople { total, by_entity: by_entity.iter().map(|(entity, n)| ((*entity).to_owned(), *n)).collect() }
    }

    fn places(total: u64, shared: u64) -> Vec<Place> {
        let before = Sizes {
            taken_at: Timestamp::UNIX_EPOCH,
            active: active(1_000, &[]),
            accounts: BTreeMap::from([(Side::Shared, 500), (Side::Independent, 0)]),
        };
        let now = BTreeMap::from([(Side::Shared, shared), (Side::Independent, 3)]);
        gaps(&before, &active(total, &[]), &now, 20).into_iter().map(|gap| gap.place).collect()
    }

    #[test]
    fn only_what_lost_more_than_its_part_is_told() {
        assert_eq!(places(800, 400), []);
        assert_eq!(places(5_000, 500), []);
        assert_eq!(places(799, 400), [Place::Roster]);
        assert_eq!(places(0, 399), [Place::Roster, Place::Shared]);
    }

    #[test]
    fn an_entity_whose_file_broke_off_is_an_outage_though_the_whole_lost_little() {
        let before = active(5_000, &[("own", 4_600), ("firm", 100), ("small", 12), ("tiny", 4)]);
        let told = |now: ActivePeople| -> Vec<(Option<String>, bool)> {
            people(&before, Timestamp::UNIX_EPOCH, &now, 20).into_iter().map(|s| (s.entity, s.is_outage)).collect()
        };
        let firm = |is_outage| (Some("firm".to_owned()), is_outage);
        assert_eq!(told(active(4_979, &[("own", 4_600), ("firm", 79), ("small", 12), ("tiny", 4)])), [firm(true)]);
        assert_eq!(
            told(active(4_990, &[("own", 4_600), ("firm", 90), ("small", 9), ("tiny", 4)])),
            [(Some("small".to_owned()), false)]
        );
        let gone = [(Some("small".to_owned()), true), (Some("tiny".to_owned()), false)];
        assert_eq!(told(active(4_980, &[("own", 4_600), ("firm", 100)])), gone);
    }
}
