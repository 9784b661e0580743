//! Judging a person at a point in time. Dates are last valid days in the entity's time zone, and the date beats the word.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{self, TimeZone};

use super::{PersonIx, Presence, Roster, RowIx, RowView, Standing, Status};
use crate::EntityId;
use crate::policy::Entity;
use crate::time::local_day;

/// The point in time that a roster is judged at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This moment; which day it is depends on the time zone.
    At(Timestamp),
    /// This day, everywhere (`audit --as-of`).
    On(Date),
}

impl When {
    /// The calendar day in this time zone.
    pub fn day(self, zone: &TimeZone) -> Date {
        match self {
            Self::At(now) => local_day(zone, now),
            Self::On(day) => day,
        }
    }
}

/// The time zone of each entity.
#[derive(Clone, Debug)]
pub struct Zones {
    zones: BTreeMap<EntityId, TimeZone>,
    elsewhere: TimeZone,
}

impl Zones {
    /// The zones of these entities.
    pub fn of(entities: &BTreeMap<EntityId, Entity>) -> Self {
        let zones = entities.iter().filter_map(|(id, entity)| Some((id.clone(), entity.zone()?))).collect();
        Self { zones, elsewhere: TimeZone::fixed(tz::offset(-12)) }
    }

    /// The zone of this entity. Without one a day ends only when it has ended everywhere.
    pub fn zone(&self, entity: Option<&EntityId>) -> &TimeZone {
        entity.and_then(|id| self.zones.get(id)).unwrap_or(&self.elsewhere)
    }
}

/// A person's standing and the row that it rests on: that row also describes the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The standing.
    pub standing: Standing,
    /// The row that decided.
    pub row: RowIx,
}

/// One row on one day.
enum State {
    Valid { last_day: Option<Date>, disagrees: bool },
    Future,
    Ended { presence: Presence, last_day: Option<Date>, disagrees: bool },
}

fn state(row: &RowView<'_>, today: Date) -> State {
    let start = row.start();
    if start.is_some_and(|start| start > today) {
        return State::Future;
    }
    // Who starts after a last day came back: that day belongs to an earlier stay.
    let is_over = |day: Date| day < today && start.is_none_or(|start| start <= day);
    let came_back = |day: Date| start.is_some_and(|start| start > day);
    let (last_day, disagrees) = match (row.status(), row.last_day()) {
        (Status::Departed, None) => return State::Ended { presence: Presence::Departed, last_day: None, disagrees: false },
        (status, Some(day)) if is_over(day) => {
            let disagrees = status != Status::Departed;
            return State::Ended { presence: Presence::Departed, last_day: Some(day), disagrees };
        }
        (Status::Departed, Some(day)) => ((!came_back(day)).then_some(day), true),
        _ => (None, false),
    };
    if row.contractor()
        && let Some(day) = row.contract_end()
        && is_over(day)
    {
        return State::Ended { presence: Presence::ContractEnded, last_day: Some(day), disagrees };
    }
    State::Valid { last_day, disagrees }
}

impl Roster {
    /// What the roster says of this person. `None` only for a person of another roster.
    ///
    /// Active if any row is valid; of the valid rows the one with the latest start describes the person. With none valid, the row
    /// that ended last decides (an end without a date counts as the latest). A person all of whose rows start in the future has not
    /// started yet.
    pub fn judge(&self, person: PersonIx, zones: &Zones, when: When) -> Option<Judgement> {
        let mut valid: Option<(Option<Date>, RowIx, Judgement)> = None;
        let mut ended: Option<(Date, RowIx, Judgement)> = None;
        let mut future: Option<(Option<Date>, RowIx, Judgement)> = None;
        for row in self.rows_of(person) {
            let judged =
                |presence, last_day, disagrees| Judgement { standing: Standing { presence, last_day, disagrees }, row: row.ix() };
            match state(&row, when.day(zones.zone(row.entity()))) {
                State::Valid { last_day, disagrees } => {
                    let presence = if row.status() == Status::Leave { Presence::OnLeave } else { Presence::Active };
                    let rank = (row.start(), row.ix());
                    if valid.as_ref().is_none_or(|(start, at, _)| rank > (*start, *at)) {
                        valid = Some((rank.0, rank.1, judged(presence, last_day, disagrees)));
                    }
                }
                State::Ended { presence, last_day, disagrees } => {
                    let rank = (last_day.unwrap_or(Date::MAX), row.ix());
                    if ended.as_ref().is_none_or(|(day, at, _)| rank > (*day, *at)) {
                        ended = Some((rank.0, rank.1, judged(presence, last_day, disagrees)));
                    }
                }
                State::Future => {
                    let rank = (row.start(), row.ix());
                    if future.as_ref().is_none_or(|(start, at, _)| rank < (*start, *at)) {
                        future = Some((rank.0, rank.1, judged(Presence::NotYetStarted, None, false)));
                    }
                }
            }
        }
        valid.map(|v| v.2).or(ended.map(|e| e.2)).or(future.map(|f| f.2))
    }
}
