//! What is said before any single change: why two audits may not be comparable, and what is suspicious about their numbers.
//!
//! Pure: from the records of both audits and the heads of their snapshots.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use untether_model::run::AuditState;
use untether_model::snapshot::{SnapshotHeader, StoreRead};
use untether_model::{Dn, Side};

use super::settings::{Difference, differences};
use crate::shrinkage::{ActivePeople, is_less, people};

/// Findings of a rule that must have been there for their disappearance to be suspicious by itself: one or two are solved in a day.
const FEWEST_FINDINGS: u64 = 3;

/// One recorded audit with the head of its snapshot.
#[derive(Clone, Copy, Debug)]
pub struct AuditPoint<'a> {
    /// Number of its record.
    pub record: u64,
    /// What the ledger says of it.
    pub state: &'a AuditState,
    /// The head of its snapshot.
    pub header: &'a SnapshotHeader,
}

/// What kind of jump it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JumpKind {
    /// The later audit says of itself that entries may be missing.
    AuditIncomplete,
    /// A base that was read before was not read, or not to its end.
    BaseMissing,
    /// `cn=config` was read before and is not now.
    ConfigUnread,
    /// A roster file that was read before is not read now.
    RosterFileMissing,
    /// An entity that had people has none.
    EntityVanished,
    /// An entity lost more people than the threshold.
    EntityShrunk,
    /// The roster lost more people than the threshold.
    RosterShrunk,
    /// A store lost more accounts than the threshold.
    StoreShrunk,
    /// A rule that had findings has none.
    RuleGone,
}

impl JumpKind {
    /// The name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuditIncomplete => "audit-incomplete",
            Self::BaseMissing => "base-missing",
            Self::ConfigUnread => "config-unread",
            Self::RosterFileMissing => "roster-file-missing",
            Self::EntityVanished => "entity-vanished",
            Self::EntityShrunk => "entity-shrunk",
            Self::RosterShrunk => "roster-shrunk",
            Self::StoreShrunk => "store-shrunk",
            Self::RuleGone => "rule-gone",
        }
    }
}

/// Something suspicious.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Jump {
    /// What kind.
    pub jump: JumpKind,
    /// What it is about: an entity, a store, a base, a rule.
    pub about: String,
    /// The number before, where it is about numbers.
    pub before: Option<u64>,
    /// The number now.
    pub after: Option<u64>,
    /// In words.
    pub words: String,
}

/// What is said first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// What the audits were told differently.
    pub not_comparable: Vec<Difference>,
    /// What is suspicious.
    pub jumps: Vec<Jump>,
}

/// Looks at the numbers and heads of two audits. `skipped` are the rules that could not run in the later one, by store.
pub fn outlook(
    before: &AuditPoint<'_>,
    after: &AuditPoint<'_>,
    skipped: &BTreeSet<(String, String)>,
    most_percent: u32,
) -> Outlook {
    let mut jumps = Vec::new();
    coverage(before, after, &mut jumps);
    rosters(before, after, most_percent, &mut jumps);
    stores(before, after, most_percent, &mut jumps);
    rules(before, after, skipped, &mut jumps);
    jumps.sort();
    Outlook { not_comparable: differences(before.header, after.header), jumps }
}

fn coverage(before: &AuditPoint<'_>, after: &AuditPoint<'_>, jumps: &mut Vec<Jump>) {
    let mut jump =
        |jump: JumpKind, about: String, words: String| jumps.push(Jump { jump, about, before: None, after: None, words });
    if before.state.complete && !after.state.complete {
        let why = after.header.not_executable.join("; ");
        let words = format!("the later audit is not complete, so that what is missing may be there: {why}");
        jump(JumpKind::AuditIncomplete, "audit".to_owned(), words);
    }
    let stores = [
        (Side::Shared, &before.header.shared, &after.header.shared),
        (Side::Independent, &before.header.independent, &after.header.independent),
    ];
    for (side, was, is) in stores {
        let complete = |read: &StoreRead| -> BTreeMap<Dn, (bool, u64)> {
            let mut bases: BTreeMap<Dn, (bool, u64)> = BTreeMap::new();
            for base in &read.bases {
                let entry = bases.entry(base.base.clone()).or_insert((true, 0));
                *entry = (entry.0 && base.complete, entry.1 + base.entries);
            }
            bases
        };
        let now = complete(is);
        for (base, (_, entries)) in complete(was).into_iter().filter(|(_, (whole, entries))| *whole && *entries > 0) {
            match now.get(&base) {
                None => jump(
                    JumpKind::BaseMissing,
                    base.to_string(),
                    format!("{base} of the {side} store had {entries} entries and was not read any more"),
                ),
                Some((false, read)) => jump(
                    JumpKind::BaseMissing,
                    base.to_string(),
                    format!("{base} of the {side} store had {entries} entries and was not read to its end ({read} entries)"),
                ),
                Some((true, _)) => {}
            }
        }
        if was.config_read && !is.config_read {
            let words = format!("cn=config of the {side} store was read before and is not now: links and policies are not seen");
            jump(JumpKind::ConfigUnread, side.to_string(), words);
        }
    }
    let now: BTreeSet<&str> = after.header.roster_files.iter().map(|file| file.name.as_str()).collect();
    // A snapshot that names no files was written by a version that did not record them.
    let gone = before.header.roster_files.iter().filter(|file| !now.is_empty() && !now.contains(file.name.as_str()));
    for file in gone {
        let words = format!("the roster file '{}' with {} records is not read any more", file.name, file.records);
        jump(JumpKind::RosterFileMissing, file.name.clone(), words);
    }
}

fn active(state: &AuditState) -> ActivePeople {
    ActivePeople { total: state.active_people, by_entity: state.active_by_entity.clone() }
}

fn rosters(before: &AuditPoint<'_>, after: &AuditPoint<'_>, most_percent: u32, jumps: &mut Vec<Jump>) {
    let (was, is) = (active(before.state), active(after.state));
    // An older audit did not count by entity.
    let counted = if is.by_entity.is_empty() { ActivePeople { by_entity: BTreeMap::new(), ..was.clone() } } else { was.clone() };
    for shrunk in people(&counted, before.state.taken_at, &is, most_percent) {
        let (kind, about, numbers) = match &shrunk.entity {
            None => (JumpKind::RosterShrunk, "roster".to_owned(), (was.total, is.total)),
            Some(entity) => {
                let numbers = (was.by_entity.get(entity).copied().unwrap_or(0), is.by_entity.get(entity).copied().unwrap_or(0));
                let kind = if numbers.1 == 0 { JumpKind::EntityVanished } else { JumpKind::EntityShrunk };
                (kind, entity.clone(), numbers)
            }
        };
        let words = match (kind, &shrunk.entity) {
            (JumpKind::EntityVanished, Some(entity)) => {
                format!("the roster has nobody of {entity} any more: {} were active or on leave", numbers.0)
            }
            (_, Some(entity)) => format!("the roster has {} active people of {entity}, {} before", numbers.1, numbers.0),
            (_, None) => format!("the roster has {} active people, {} before", numbers.1, numbers.0),
        };
        jumps.push(Jump { jump: kind, about, before: Some(numbers.0), after: Some(numbers.1), words });
    }
}

fn stores(before: &AuditPoint<'_>, after: &AuditPoint<'_>, most_percent: u32, jumps: &mut Vec<Jump>) {
    for (side, was) in &before.state.in_scope {
        let is = after.state.in_scope.get(side).copied().unwrap_or(0);
        if is_less(*was, is, most_percent) {
            let words = format!("the {side} store has {is} accounts in scope, {was} before");
            let (before, after) = (Some(*was), Some(is));
            jumps.push(Jump { jump: JumpKind::StoreShrunk, about: side.to_string(), before, after, words });
        }
    }
}

fn rules(before: &AuditPoint<'_>, after: &AuditPoint<'_>, skipped: &BTreeSet<(String, String)>, jumps: &mut Vec<Jump>) {
    let count = |state: &AuditState| {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for of in state.counts.iter().filter(|of| !of.rule.starts_with("coverage.")) {
            *counts.entry((of.store.clone(), of.rule.clone())).or_default() += of.findings;
        }
        counts
    };
    let now = count(after.state);
    for ((store, rule), was) in count(before.state).into_iter().filter(|(key, _)| now.get(key).is_none_or(|n| *n == 0)) {
        let unrun = skipped.contains(&(store.clone(), rule.clone()));
        if was < FEWEST_FINDINGS && !unrun {
            continue;
        }
        let plural = if was == 1 { "finding" } else { "findings" };
        let words = match unrun {
            true => format!("{rule} had {was} {plural} in the {store} store and could not run there: they are not solved"),
            false => format!("all {was} {plural} of {rule} in the {store} store are gone"),
        };
        jumps.push(Jump { jump: JumpKind::RuleGone, about: format!("{store} {rule}"), before: Some(was), after: Some(0), words });
    }
}
