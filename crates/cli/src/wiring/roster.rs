//! The roster, read again at the start of stages.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use untether_audit::roster::read_roster;
use untether_audit::shrinkage::{Sizes, active_people, shrunk};
use untether_cutover::{PersonNow, Roster, RosterNow};
use untether_model::Side;
use untether_model::operation::Stage;
use untether_model::roster::{PersonIx, Roster as Table, When, Zones};
use untether_model::run::RunState;

use crate::config::Config;
use crate::error::{CliError, chain};
use crate::wiring::decisions::in_force;

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

/// The sizes of the last complete audit. Whoever was removed by us since the beginning may be missing from the shared store: some may
/// have been gone before that audit already, which makes the comparison milder, never wrong.
pub fn last_sizes(state: &RunState) -> Option<Sizes> {
    let audit = state.audits().values().rfind(|audit| audit.complete)?;
    let mut accounts = audit.in_scope.clone();
    if let Some(shared) = accounts.get_mut(&Side::Shared) {
        let removed = state.subjects().values().filter(|subject| subject.ended >= Some(Stage::Remove)).count();
        *shared = shared.saturating_sub(u64::try_from(removed).unwrap_or(u64::MAX));
    }
    Some(Sizes { taken_at: audit.taken_at, active_people: audit.active_people, accounts })
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
    /// People whom somebody said to be one person.
    merged: Vec<Vec<String>>,
    before: Option<Sizes>,
    zones: Zones,
    held: Mutex<Option<Held>>,
}

impl LiveRoster {
    /// Reads nothing yet. What it will read is refused if it has shrunk too far against the last complete audit.
    pub fn new(config: Config, state: &RunState) -> Self {
        let zones = Zones::of(&config.audit.entities);
        // Whether a track still counts is of no interest here, so neither is the day.
        let merged = in_force(state, &config.audit.entities, Timestamp::UNIX_EPOCH).0.merged_people();
        Self { config, merged, before: last_sizes(state), zones, held: Mutex::new(None) }
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
            let table = table.with_merged(&self.merged);
            if let Some(before) = &self.before {
                let active = active_people(&table, &self.zones, When::At(now));
                let most = self.config.audit.max_shrink_percent;
                if let Some(why) = shrunk("active people", before.active_people, before.taken_at, active, most) {
                    return Err(format!("the roster has shrunk: {why}"));
                }
            }
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
