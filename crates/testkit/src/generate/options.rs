//! What the caller asks for, what it gets back, and what can go wrong.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What to generate. The same options give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Seed of everything that is drawn at random.
    pub seed: u64,
    /// Number of people; each has one to three roster rows or is an orphan. From 200 people on
    /// every situation is planted at least once, from 2,000 on at least twice.
    pub people: u32,
    /// The moment for which the ground truth holds.
    pub now: Timestamp,
    /// Size of one huge group in the shared store, in members; members beyond the people dangle.
    pub big_group: Option<u32>,
    /// Whether each block of 1,000 people has one entry of about 200 KB.
    pub big_entry: bool,
    /// Whether links in `cn=config` and an access log with copies are planted
    /// (`*-config.ldif`, `*-config-export.ldif`, `shared-accesslog.ldif`).
    pub links: bool,
}

impl Default for Options {
    /// Seed 1, 2,000 people, 2026-11-20T00:00:00Z, the entry of 200 KB, no huge group, no links.
    fn default() -> Self {
        Self {
            seed: 1,
            people: 2_000,
            now: Timestamp::constant(1_795_132_800, 0),
            big_group: None,
            big_entry: true,
            links: false,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Entries of `shared.ldif`.
    pub shared_entries: u64,
    /// Entries of `independent.ldif`.
    pub independent_entries: u64,
    /// Rows of `roster.csv`, the header not counted.
    pub roster_rows: u64,
    /// Labels of `truth.jsonl` by rule.
    pub findings: BTreeMap<String, u64>,
}

/// Failure of the generator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the data directory could not be made or written.
    #[error("cannot write {}; check that the directory may be written and has space", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The time zone data of the system lacks a zone that the entities use.
    #[error("time zone {zone} is unknown; install the package tzdata")]
    Zone {
        /// IANA name of the zone.
        zone: &'static str,
        /// Cause.
        #[source]
        source: jiff::Error,
    },
    /// A time or date beyond what can be represented.
    #[error("{what} is outside the range of dates; give a moment between the years 1970 and 9000")]
    Time {
        /// What was being computed.
        what: &'static str,
        /// Cause.
        #[source]
        source: jiff::Error,
    },
    /// A record could not be written as JSON.
    #[error("cannot write a record of {file} as JSON")]
    Json {
        /// Name of the file in the data directory.
        file: &'static str,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
}
