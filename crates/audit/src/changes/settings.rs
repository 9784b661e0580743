//! What two audits were told differently. Such a difference is no change of the world, and is said before any change is.

use serde::Serialize;
use serde_json::Value;
use untether_model::Side;
use untether_model::policy::setting_changes;
use untether_model::snapshot::{SnapshotHeader, StoreRead, StoreSource};

/// What a difference touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affects {
    /// It is another store: nothing of it can be compared.
    Store,
    /// Which entries are read: accounts appear and vanish by it.
    Scope,
    /// The roster: people, standings and entities.
    Roster,
    /// Who is matched to what, and what is an account of whom.
    Matching,
    /// How findings are judged.
    Judgement,
}

impl Affects {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Store => "another store",
            Self::Scope => "other entries are read",
            Self::Roster => "the roster is read otherwise",
            Self::Matching => "accounts are recognized and matched otherwise",
            Self::Judgement => "findings are judged otherwise",
        }
    }
}

/// One thing that was another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// What it touches.
    pub affects: Affects,
    /// Which setting, or what of the store.
    pub what: String,
    /// As it was.
    pub before: Option<String>,
    /// As it is.
    pub after: Option<String>,
}

/// Everything that was another, the gravest first.
pub(super) fn differences(before: &SnapshotHeader, after: &SnapshotHeader) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |affects: Affects, what: &str, before: Option<String>, after: Option<String>| {
        if before != after {
            found.push(Difference { affects, what: what.to_owned(), before, after });
        }
    };
    for side in Side::ALL {
        let (was, is) = (store(before, side), store(after, side));
        let base = |read: &StoreRead| {
            let id = read.identity.stable_id.as_ref().map_or_else(|| "no stable id".to_owned(), ToString::to_string);
            Some(format!("{} ({id})", read.identity.suffix))
        };
        add(Affects::Store, &format!("the {side} store"), base(was), base(is));
        add(Affects::Scope, &format!("where the {side} store was read from"), Some(source(was)), Some(source(is)));
    }
    let day = |header: &SnapshotHeader| header.as_of.map(|day| format!("as of {day}"));
    add(Affects::Roster, "the day as of which the roster was judged", day(before), day(after));
    let program = |header: &SnapshotHeader| (!header.program.is_empty()).then(|| header.program.clone());
    add(Affects::Judgement, "the program's version", program(before), program(after));
    match (&before.settings, &after.settings) {
        (Some(was), Some(is)) => found.extend(setting_changes(was, is).into_iter().map(|change| Difference {
            affects: affects(&change.setting.split('.').collect::<Vec<_>>()),
            what: change.setting,
            before: change.before,
            after: change.after,
        })),
        (None, None) => {}
        (was, is) => {
            let told = |settings: &Option<Value>| settings.is_some().then(|| "recorded".to_owned());
            let (before, after) = (told(was), told(is));
            found.push(Difference { affects: Affects::Scope, what: "the configuration".to_owned(), before, after });
        }
    }
    found.sort();
    found
}

fn store(header: &SnapshotHeader, side: Side) -> &StoreRead {
    match side {
        Side::Shared => &header.shared,
        Side::Independent => &header.independent,
    }
}

fn source(read: &StoreRead) -> String {
    match &read.source {
        StoreSource::Ldap(url) => url.clone(),
        StoreSource::Ldif(files) => files.join(", "),
    }
}

fn affects(path: &[&str]) -> Affects {
    match path {
        ["roster", ..] => Affects::Roster,
        ["audit", "shared" | "independent", "suffix" | "accounts" | "others" | "copies" | "canary", ..] => Affects::Scope,
        ["audit", "shared" | "independent", "attributes", ..] => Affects::Matching,
        ["audit", "entities" | "services" | "mailboxes" | "tests" | "secondary" | "protected", ..] => Affects::Matching,
        _ => Affects::Judgement,
    }
}
