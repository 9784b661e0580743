//! The roster, read again at the start of stages.

use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use untether_audit::roster::{FileRead, RosterRead, RosterSource, read_roster};
use untether_audit::shrinkage::{self, ActivePeople, Sizes};
use untether_cutover::{PersonNow, Roster, RosterNow, RosterTrouble};
use untether_model::Side;
use untether_model::operation::Stage;
use untether_model::roster::{When, Zones};
use untether_model::run::RunState;

use crate::config::Config;
use crate::error::CliError;
use crate::wiring::decisions::in_force;

/// Reads the configured files as one roster.
pub fn read(config: &Config) -> Result<RosterRead, CliError> {
    let files = config.roster.files();
    let sources: Vec<RosterSource<'_>> = files.iter().map(|file| file.source()).collect();
    read_roster(&sources, &config.audit.entities).map_err(|e| {
        let remedy = e.remedy();
        let hint = if remedy.is_empty() { String::new() } else { format!("{remedy}; ") };
        CliError::usage(format!("the roster is refused: {e}")).hint(format!("{hint}`untether roster check` tells more"))
    })
}

/// When the oldest file was written.
pub fn oldest(files: &[FileRead]) -> Option<Timestamp> {
    files.iter().filter_map(|file| file.written_at).min()
}

/// Files that are too old, in words.
pub fn too_old(files: &[FileRead], now: Timestamp) -> Option<String> {
    let told: Vec<String> =
        files.iter().filter_map(|file| file.age_problem(now)).map(|problem| format!("'{}': {problem}", problem.file)).collect();
    (!told.is_empty()).then(|| told.join("; "))
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
    let active = ActivePeople { total: audit.active_people, by_entity: audit.active_by_entity.clone() };
    Some(Sizes { taken_at: audit.taken_at, active, accounts })
}

struct Held {
    read: RosterRead,
    at: Timestamp,
}

/// The roster as a run sees it.
pub struct LiveRoster {
    config: Config,
    /// People whom somebody said to be one person.
    merged: Vec<Vec<String>>,
    before: Option<Sizes>,
    zones: Zones,
    judges_age: bool,
    held: Mutex<Option<Held>>,
}

impl LiveRoster {
    /// Reads nothing yet. What it will read is refused if it has shrunk too far against the last complete audit.
    pub fn new(config: Config, state: &RunState) -> Self {
        let zones = Zones::of(&config.audit.entities);
        // Whether a track still counts is of no interest here, so neither is the day.
        let merged = in_force(state, &config.audit.entities, Timestamp::UNIX_EPOCH).0.merged_people();
        Self { config, merged, before: last_sizes(state), zones, judges_age: true, held: Mutex::new(None) }
    }

    /// The same for a rehearsal, whose clock runs ahead of the files: their age counts for nothing.
    pub fn ageless(config: Config, state: &RunState) -> Self {
        Self { judges_age: false, ..Self::new(config, state) }
    }

    fn too_old(&self, files: &[FileRead], now: Timestamp) -> Option<String> {
        too_old(files, now).filter(|_| self.judges_age)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read(&self, now: Timestamp) -> Result<Held, RosterTrouble> {
        let mut read = read(&self.config).map_err(|e| RosterTrouble::Refused(e.message))?;
        read.roster = read.roster.with_merged(&self.merged);
        if let Some(before) = &self.before {
            let active = ActivePeople::of(&read.roster, &self.zones, When::At(now));
            let shrunk = shrinkage::people(&before.active, before.taken_at, &active, self.config.audit.max_shrink_percent);
            if let Some(outage) = shrunk.into_iter().find(|shrunk| shrunk.is_outage) {
                return Err(RosterTrouble::Refused(format!("the roster has shrunk: {}", outage.words)));
            }
        }
        Ok(Held { read, at: now })
    }
}

#[async_trait]
impl Roster for LiveRoster {
    async fn refresh(&self, now: Timestamp) -> Result<RosterNow, RosterTrouble> {
        let max_age = i64::try_from(self.config.run.roster_max_age_minutes).unwrap_or(i64::MAX).saturating_mul(60);
        let mut held = self.lock();
        // A file that grew too old in our hands may have been written anew.
        let is_young = |h: &Held| now.duration_since(h.at).as_secs() <= max_age && self.too_old(&h.read.files, now).is_none();
        let fresh = !held.as_ref().is_some_and(is_young);
        if fresh {
            *held = Some(self.read(now)?);
        }
        let Some(Held { read, .. }) = held.as_ref() else {
            return Err(RosterTrouble::Refused("nothing was read".to_owned()));
        };
        match self.too_old(&read.files, now) {
            Some(why) => Err(RosterTrouble::Stale(why)),
            None => Ok(RosterNow {
                digest: read.roster.digest(),
                rows: u64::try_from(read.roster.row_count()).unwrap_or(u64::MAX),
                modified: oldest(&read.files),
                fresh,
            }),
        }
    }

    fn person(&self, reference: &str, now: Timestamp) -> PersonNow {
        let held = self.lock();
        let judged = held.as_ref().and_then(|h| {
            let roster = &h.read.roster;
            roster.judge(roster.by_reference(reference)?, &self.zones, When::At(now))
        });
        PersonNow { presence: judged.map(|j| j.standing.presence) }
    }
}
