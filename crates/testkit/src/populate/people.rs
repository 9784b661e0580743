//! Who there is, what is to become of them, and which wave takes them.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use untether_model::operation::{Stage, Track};
use untether_model::run::ClaimedSubject;
use untether_model::{EntityId, SubjectId};

use super::Options;

/// One entity.
pub(super) struct EntityFacts {
    pub id: &'static str,
    pub name: &'static str,
    pub name_ja: &'static str,
    pub zone: &'static str,
    /// Its share of the people, of 20.
    share: u32,
    /// Months after the story's end in which its deadline falls.
    months: i32,
}

impl EntityFacts {
    /// The last day of a month after the story's end.
    pub fn deadline(&self, now: Timestamp) -> Date {
        let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
        today.saturating_add(self.months.months()).last_of_month()
    }
}

pub(super) const ENTITIES: [EntityFacts; 4] = [
    EntityFacts { id: "own", name: "Own company", name_ja: "自社", zone: "Asia/Tokyo", share: 9, months: 2 },
    EntityFacts {
        id: "domestic", name: "Domestic subsidiaries", name_ja: "国内子会社", zone: "Asia/Tokyo", share: 5, months: 5
    },
    EntityFacts {
        id: "overseas",
        name: "Overseas subsidiaries",
        name_ja: "海外子会社",
        zone: "Europe/Berlin",
        share: 4,
        months: 0,
    },
    EntityFacts { id: "contractor", name: "Contractors", name_ja: "業務委託先", zone: "Asia/Tokyo", share: 2, months: 3 },
];

/// One wave of the story.
pub(super) struct WaveFacts {
    pub name: &'static str,
    pub tracks: &'static [Track],
    pub entities: &'static [&'static str],
    /// Which of the two plans it is in.
    pub plan: usize,
}

pub(super) const WAVES: [WaveFacts; 6] = [
    WaveFacts {
        name: "retire",
        tracks: &[Track::Retire, Track::Keep],
        entities: &["own", "domestic", "overseas", "contractor"],
        plan: 0,
    },
    WaveFacts { name: "finish", tracks: &[Track::Finish], entities: &["own", "domestic"], plan: 0 },
    WaveFacts { name: "migrate-own", tracks: &[Track::Migrate], entities: &["own"], plan: 0 },
    WaveFacts { name: "migrate-domestic", tracks: &[Track::Migrate], entities: &["domestic"], plan: 1 },
    WaveFacts { name: "migrate-overseas", tracks: &[Track::Migrate], entities: &["overseas"], plan: 1 },
    WaveFacts { name: "migrate-contractor", tracks: &[Track::Migrate], entities: &["contractor"], plan: 1 },
];

/// One person.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub id: SubjectId,
    pub entity: &'static str,
    pub track: Track,
    /// Employee number, which is also the login.
    pub number: u32,
}

impl Person {
    pub fn stages(&self) -> Vec<Stage> {
        Stage::ALL.into_iter().filter(|stage| self.track.has(*stage)).collect()
    }

    pub fn claimed(&self) -> ClaimedSubject {
        ClaimedSubject { id: self.id.clone(), track: self.track, entity: EntityId::new(self.entity), stages: self.stages() }
    }
}

/// Everybody.
pub(super) struct Population {
    pub people: Vec<Person>,
    batch: usize,
    now: Timestamp,
}

impl Population {
    pub fn new(options: &Options) -> Self {
        let people = (0..options.subjects).map(person).collect();
        Self { people, batch: options.batch.max(2) as usize, now: options.now }
    }

    /// The batches of a wave: a small canary first.
    pub fn batches(&self, wave: &WaveFacts) -> Vec<(String, Vec<&Person>)> {
        let of_wave = |p: &&Person| wave.tracks.contains(&p.track) && wave.entities.contains(&p.entity);
        let people: Vec<&Person> = self.people.iter().filter(of_wave).collect();
        let (canary, others) = people.split_at((self.batch / 10).clamp(1, people.len().max(1)).min(people.len()));
        let name = |n: usize| format!("b{n:02}");
        let batches = std::iter::once(canary).chain(others.chunks(self.batch));
        batches.filter(|b| !b.is_empty()).enumerate().map(|(n, b)| (name(n + 1), b.to_vec())).collect()
    }

    pub fn deadline(&self, id: &str) -> Option<Date> {
        ENTITIES.iter().find(|e| e.id == id).map(|e| e.deadline(self.now))
    }
}

fn person(number: u32) -> Person {
    let mut place = number % 20;
    let facts = ENTITIES.iter().find(|entity| {
        let here = place < entity.share;
        place = place.saturating_sub(entity.share);
        here
    });
    let entity = facts.map_or("own", |facts| facts.id);
    // Spread over the batches and the same each time.
    let draw = number.wrapping_mul(2_654_435_761) >> 16;
    let track = match (entity, draw % 100) {
        ("contractor", 0..40) => Track::Retire,
        (_, 0..12) => Track::Retire,
        (_, 12) => Track::Keep,
        ("own" | "domestic", 13..17) => Track::Finish,
        _ => Track::Migrate,
    };
    Person { id: SubjectId::from_anchor(&format!("roster/{entity}/{number}")), entity, track, number }
}
