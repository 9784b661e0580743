//! The fixed frame of a generated world: stores, entities, clock value, and reproducible draws.
//!
//! Every draw is a pure function of (seed, purpose, index), so that any person can be made again
//! at any time and nothing has to be kept in memory.

use super::{Error, Options};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Suffix of the shared store.
pub(super) const SHARED_SUFFIX: &str = "dc=shared,dc=example";
/// Suffix of the independent directory.
pub(super) const OWN_SUFFIX: &str = "dc=own,dc=example";
/// Realm of the shared store.
pub(super) const SHARED_REALM: &str = "SHARED.EXAMPLE";
/// Realm of the independent directory.
pub(super) const OWN_REALM: &str = "OWN.EXAMPLE";
/// People in a block: the script of situations is repeated in each.
pub(super) const BLOCK: u32 = 1_000;

/// One of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Store {
    Shared,
    Independent,
}

impl Store {
    /// Name in labels and file names.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Independent => "independent",
        }
    }

    /// Suffix of the store's database.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Shared => SHARED_SUFFIX,
            Self::Independent => OWN_SUFFIX,
        }
    }

    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Shared => Self::Independent,
            Self::Independent => Self::Shared,
        }
    }
}

/// An organization that employs people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entity {
    Own,
    Domestic,
    Overseas,
    Contractor,
}

impl Entity {
    /// Id in the roster and in `labEntity`.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Domestic => "domestic",
            Self::Overseas => "overseas",
            Self::Contractor => "contractor",
        }
    }

    /// Organizational unit below `ou=accounts` of the shared store.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Domestic => "domestic",
            Self::Overseas => "overseas",
            Self::Contractor => "contractors",
        }
    }

    /// IANA time zone in which the entity's days begin and end.
    pub(super) const fn zone(self) -> &'static str {
        match self {
            Self::Own | Self::Domestic | Self::Contractor => "Asia/Tokyo",
            Self::Overseas => "Europe/Berlin",
        }
    }

    /// Employee number of the person with this index, as personnel writes it.
    pub(super) fn number(self, index: u32) -> String {
        match self {
            Self::Own => format!("{:07}", 10_000 + index),
            Self::Domestic => format!("D{:06}", 1_000 + index),
            Self::Overseas => format!("{}", 50_000_000 + index),
            Self::Contractor => format!("C-{:06}", 1_000 + index),
        }
    }

    /// Mail domain of the person with this index; contractor firms have one each.
    pub(super) fn domain(self, index: u32) -> String {
        match self {
            Self::Own => "corp.example".to_owned(),
            Self::Domestic => "domestic.example".to_owned(),
            Self::Overseas => "overseas.example".to_owned(),
            Self::Contractor => format!("firm-{}.example", FIRMS[index as usize % FIRMS.len()].1),
        }
    }
}

/// Contractor firms: name and short name.
pub(super) const FIRMS: [(&str, &str); 5] = [
    ("株式会社アルファ開発", "alpha"),
    ("Beta Systems K.K.", "beta"),
    ("ガンマ運用サービス", "gamma"),
    ("Delta Consulting GmbH", "delta"),
    ("合同会社イプシロン", "epsilon"),
];

/// What a draw is for; draws for different purposes do not influence each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Person = 1,
    SharedUuid = 2,
    OwnUuid = 3,
    Photo = 4,
    Service = 5,
    Partner = 6,
}

/// Options, clock value and time zones.
pub(super) struct World {
    pub options: Options,
    tokyo: Date,
    berlin: Date,
}

impl World {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let day = |zone: &'static str| {
            let found = TimeZone::get(zone).map_err(|source| Error::Zone { zone, source })?;
            Ok(found.to_datetime(options.now).date())
        };
        Ok(Self { options: options.clone(), tokyo: day("Asia/Tokyo")?, berlin: day("Europe/Berlin")? })
    }

    /// The calendar day that it is at `now` where the entity is.
    pub(super) fn today(&self, entity: Entity) -> Date {
        match entity {
            Entity::Overseas => self.berlin,
            Entity::Own | Entity::Domestic | Entity::Contractor => self.tokyo,
        }
    }

    /// The day `days` after (before, where negative) the entity's today.
    pub(super) fn day(&self, entity: Entity, days: i64) -> Result<Date, Error> {
        self.today(entity).checked_add(days.days()).map_err(|source| Error::Time { what: "a roster date", source })
    }

    /// Generalized time (RFC 4517) `seconds` after `now`.
    pub(super) fn time(&self, seconds: i64) -> Result<String, Error> {
        let at = self
            .options
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .map_err(|source| Error::Time { what: "a directory time", source })?;
        Ok(at.strftime("%Y%m%d%H%M%SZ").to_string())
    }

    /// Random draws for one purpose and index.
    pub(super) fn dice(&self, purpose: Purpose, index: u64) -> Dice {
        let seed = self.options.seed ^ (purpose as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(index);
        Dice(generator)
    }

    /// entryUUID of the entry that `purpose` and `index` stand for.
    pub(super) fn uuid(&self, purpose: Purpose, index: u64) -> String {
        let mut bytes = [0_u8; 16];
        self.dice(purpose, index).fill(&mut bytes);
        // Version 4, variant of RFC 9562.
        bytes[6] = (bytes[6] & 0x0F) | 0x40;
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// A reproducible source of random numbers.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Any number.
    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound` (which is not zero); the bias is far below what anybody could see.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// Random bytes.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
