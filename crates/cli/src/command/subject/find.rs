//! Finding a subject by whatever somebody knows of it.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::neutral::terminal as safe;
use untether_model::run::RunState;
use untether_model::snapshot::{EntryRole, Subject};
use untether_model::{Dn, Side, SubjectId, keys};
use untether_planner::Source;

use crate::command::plan::{last_snapshot, stored_audit};
use crate::config::Config;
use crate::error::CliError;
use crate::state::Looked;
use crate::wiring::planning::SnapshotFiles;

/// A subject that was asked for; the last audit may not know it any more, and no wave may have had it in hand.
pub struct Found {
    /// Its id.
    pub id: SubjectId,
    /// What the last audit knows of it.
    pub subject: Option<Subject>,
}

/// Finds a subject by id, DN, roster reference, employee number or login.
pub fn find(config: &Config, looked: &Looked, text: &str) -> Result<Found, CliError> {
    let state = &looked.state;
    let id = state.resolve_alias(&SubjectId::new(text)).clone();
    let mut found: BTreeMap<SubjectId, Subject> = BTreeMap::new();
    if let Some((snapshot, _)) = last_snapshot(state) {
        let stored = stored_audit(&looked.dir, &looked.keys, &snapshot)?;
        let files = SnapshotFiles(&stored);
        let dn = Dn::parse(text).ok();
        let number = keys::number(text);
        collect(state, &files, &mut found, |subject| {
            *state.resolve_alias(&subject.id) == id
                || subject.anchor == text
                || subject.accounts.iter().any(|a| dn.as_ref().is_some_and(|dn| a.dn.key() == dn.key()))
                || subject.roster_ref.as_deref().is_some_and(|r| r == text || (number.is_some() && keys::number(r) == number))
        })?;
        if found.is_empty() {
            let named = named(config, &files, text)?;
            collect(state, &files, &mut found, |subject| {
                subject.accounts.iter().any(|a| named.contains(&(a.side, a.dn.key().as_str().to_owned())))
            })?;
        }
    }
    if found.len() > 1 {
        let ids: Vec<String> = found
            .values()
            .map(|s| match (&s.name, &s.entity) {
                (Some(name), Some(entity)) => format!("{} ({}, {entity})", s.id, safe(name)),
                (Some(name), None) => format!("{} ({})", s.id, safe(name)),
                (None, _) => s.id.to_string(),
            })
            .collect();
        return Err(
            CliError::usage(format!("'{text}' is several subjects")).hint(format!("give one of the ids: {}", ids.join(", ")))
        );
    }
    match found.into_iter().next() {
        Some((id, subject)) => Ok(Found { id, subject: Some(subject) }),
        None if state.progress_of(&id).is_some() => Ok(Found { id, subject: None }),
        None => Err(CliError::usage(format!("no subject is known by '{text}'")).hint(
            "give a subject's id, the DN of an account, a login or an employee number; `untether audit` reads the stores anew",
        )),
    }
}

fn collect(
    state: &RunState,
    files: &SnapshotFiles<'_>,
    found: &mut BTreeMap<SubjectId, Subject>,
    wanted: impl Fn(&Subject) -> bool,
) -> Result<(), CliError> {
    for subject in files.subjects() {
        let subject = subject.map_err(|e| CliError::state(format!("the snapshot's subjects cannot be read: {e}")))?;
        if wanted(&subject) {
            found.insert(state.resolve_alias(&subject.id).clone(), subject);
        }
    }
    Ok(())
}

/// Accounts whose login or employee number this is.
fn named(config: &Config, files: &SnapshotFiles<'_>, text: &str) -> Result<BTreeSet<(Side, String)>, CliError> {
    let (login, number) = (keys::login(text), keys::number(text));
    let mut found = BTreeSet::new();
    for side in Side::ALL {
        let attributes = &config.audit.store(side).attributes;
        for entry in files.entries(side) {
            let entry = entry.map_err(|e| CliError::state(format!("the snapshot's entries cannot be read: {e}")))?;
            if entry.role != EntryRole::Account {
                continue;
            }
            let has = |attr: &str, matches: &dyn Fn(&str) -> bool| {
                entry.attrs.iter().any(|(name, values)| name.is(attr) && values.iter().filter_map(|v| v.as_str()).any(matches))
            };
            let by_login = has(attributes.login.as_str(), &|v| login.is_some() && keys::login(v) == login);
            let by_number = attributes
                .number
                .as_ref()
                .is_some_and(|attr| has(attr.as_str(), &|v| number.is_some() && keys::number(v) == number));
            if by_login || by_number {
                found.insert((side, entry.dn.key().as_str().to_owned()));
            }
        }
    }
    Ok(found)
}
