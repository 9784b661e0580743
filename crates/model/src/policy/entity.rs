//! Entities: who leaves, by when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{Dn, EntityId};

/// One entity: own company, a domestic or overseas subsidiary, a contractor firm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Name in English reports.
    pub name: String,
    /// Name in Japanese reports; the English one where absent.
    #[serde(default)]
    pub name_ja: Option<String>,
    /// IANA time zone in which roster dates and the deadline are meant, for instance `Asia/Tokyo`.
    pub time_zone: String,
    /// Last day by which the entity must be separated.
    #[serde(default)]
    pub deadline: Option<Date>,
    /// Subtrees of the shared store whose accounts belong to this entity where nothing stronger says otherwise.
    #[serde(default)]
    pub shared_subtrees: Vec<Dn>,
    /// The same in the independent directory.
    #[serde(default)]
    pub independent_subtrees: Vec<Dn>,
}

impl Entity {
    /// The time zone; `None` if the name is not in the time zone database (the configuration refuses such a name).
    pub fn zone(&self) -> Option<TimeZone> {
        TimeZone::get(&self.time_zone).ok()
    }
}

/// The calendar day that counts for whatever belongs to this entity: in its time zone, and in UTC for what belongs to none.
pub fn today(entities: &BTreeMap<EntityId, Entity>, id: Option<&EntityId>, now: Timestamp) -> Date {
    let zone = id.and_then(|id| entities.get(id)).and_then(Entity::zone);
    crate::time::local_day(&zone.unwrap_or(TimeZone::UTC), now)
}
