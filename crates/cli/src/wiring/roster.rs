//! The roster, read again at the start of stages.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use untether_audit::roster::read_roster;
use untether_cutover::{PersonNow, Roster, RosterNow};
use untether_model::roster::{PersonIx, Roster as Table, When, Zones};

use crate::config::Config;
use crate::error::{CliError, chain};

/// Reads the configured roster file; a second file is refused until several are supported.
pub fn read(config: &Config) -> Result<(Table, Option<Timestamp>), CliError> {
    let [path] = config.roster.files.as_slice() else {
        return Err(CliError::usage("roster.files must name exactly one CSV file"));
    };
    let refused = |why: String| CliError::usage(format!("the roster '{}' is refused: {why}", path.display()));
    let file = File::open(path).map_err(|e| refused(e.to_string()))?;
    let modified = file.metadata().and_then(|m| m.modified()).ok().and_then(|at| Timestamp::try_from(at).ok());
    let table = read_roster(&config.roster.read, &config.audit.entities, file).map_err(|e| refused(chain(&e)))?;
    Ok((table, modified))
}

struct Held {
    table: Table,
    people: BTreeMap<String, PersonIx>,
    at: Timestamp,
    modified: Option<Timestamp>,
}

/// The roster as a run sees it.
pub struct LiveRoster {
    config: Config,
    zones: Zones,
    held: Mutex<Option<Held>>,
}

impl LiveRoster {
    /// Reads nothing yet.
    pub fn new(config: Config) -> Self {
        let zones = Zones::of(&config.audit.entities);
        Self { config, zones, held: Mutex::new(None) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Roster for LiveRoster {
    async fn refresh(&self, now: Timestamp) -> Result<RosterNow, String> {
        let max_age = i64::try_from(self.config.run.roster_max_age_minutes).unwrap_or(i64::MAX).saturating_mul(60);
        let mut held = self.lock();
        let young = held.as_ref().is_some_and(|h| now.duration_since(h.at).as_secs() <= max_age);
        if !young {
            let (table, modified) = read(&self.config).map_err(|e| e.message)?;
            let mut people = BTreeMap::new();
            for person in table.people() {
                for row in table.rows_of(person) {
                    people.insert(row.reference(), person);
                }
            }
            *held = Some(Held { table, people, at: now, modified });
        }
        match held.as_ref() {
            Some(h) => Ok(RosterNow {
                digest: h.table.digest(),
                rows: u64::try_from(h.table.row_count()).unwrap_or(u64::MAX),
                modified: h.modified,
                fresh: !young,
            }),
            None => Err("nothing was read".to_owned()),
        }
    }

    fn person(&self, reference: &str, now: Timestamp) -> PersonNow {
        let held = self.lock();
        let judged = held.as_ref().and_then(|h| {
            let person = h.people.get(reference)?;
            h.table.judge(*person, &self.zones, When::At(now))
        });
        PersonNow { presence: judged.map(|j| j.standing.presence) }
    }
}
