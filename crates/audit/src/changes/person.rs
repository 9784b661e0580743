//! People and services: what differs.

use serde::{Deserialize, Serialize};
use untether_model::EntityId;
use untether_model::roster::Presence;
use untether_model::snapshot::{Subject, SubjectKind};

use super::reach::Reach;
use super::rows::{Field, Kind, PersonChange, Why};

/// Whom an account of a subject belonged to before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Former {
    /// The subject's id then.
    pub(super) subject: String,
    /// What the roster said.
    pub(super) presence: Option<Presence>,
    /// The entity then.
    pub(super) entity: Option<EntityId>,
}

fn kind(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Person => "person",
        SubjectKind::Service => "service",
        SubjectKind::Mailbox => "mailbox",
        SubjectKind::Test => "test",
        SubjectKind::Tool => "tool",
    }
}

fn standing(found: Option<Presence>) -> Option<String> {
    found.map(|p| p.as_str().to_owned())
}

fn entity(found: Option<&EntityId>) -> Option<String> {
    found.map(ToString::to_string)
}

/// Somebody as the later audit has them, or the earlier one where they are gone.
pub(super) fn row(subject: &Subject, change: Kind, why: Option<Why>) -> PersonChange {
    PersonChange {
        change,
        subject: subject.id.to_string(),
        was: None,
        name: subject.name.clone(),
        kind: subject.kind,
        entity: subject.entity.clone(),
        standing: standing(subject.standing.as_ref().map(|s| s.presence)),
        accounts: u64::try_from(subject.accounts.len()).unwrap_or(u64::MAX),
        changed: Vec::new(),
        why,
    }
}

/// Why all accounts of somebody may be missing in the audit that lacks them.
pub(super) fn lacks(subject: &Subject, lacking: &Reach, other: &Reach) -> Option<Why> {
    let whys: Option<Vec<Why>> = subject.accounts.iter().map(|a| lacking.lacks(a.side, &a.dn, other)).collect();
    whys?.into_iter().min()
}

/// Somebody whose accounts belonged to another subject before.
pub(super) fn continued(subject: &Subject, former: &Former) -> PersonChange {
    let is = subject.standing.as_ref().map(|s| s.presence);
    let changed = [
        Field::of("standing", &former.presence, &is, |p| standing(*p)),
        Field::of("entity", &former.entity, &subject.entity, |e| entity(e.as_ref())),
    ];
    PersonChange {
        was: Some(former.subject.clone()),
        changed: changed.into_iter().flatten().collect(),
        ..row(subject, Kind::OtherId, None)
    }
}

/// What is another way with somebody; nothing where all is as before.
pub(super) fn changed(before: &Subject, after: &Subject) -> Option<PersonChange> {
    let standing_of = |s: &Subject| s.standing.as_ref().map(|s| s.presence);
    let last_day = |s: &Subject| s.standing.as_ref().and_then(|s| s.last_day);
    let list = |list: &Vec<String>| (!list.is_empty()).then(|| list.join(", "));
    let flag = |flag: &bool| Some(flag.to_string());
    let fields = [
        Field::of("standing", &standing_of(before), &standing_of(after), |p| standing(*p)),
        Field::of("last-day", &last_day(before), &last_day(after), |day| day.map(|d| d.to_string())),
        Field::of("entity", &before.entity, &after.entity, |e| entity(e.as_ref())),
        Field::of("kind", &before.kind, &after.kind, |k| Some(kind(*k).to_owned())),
        Field::of("undecided", &before.undecided, &after.undecided, list),
        Field::of("protected", &before.protected, &after.protected, flag),
        Field::of("owned", &before.owned, &after.owned, |o| o.map(|o| o.to_string())),
        Field::of("status-finding", &before.status_rule, &after.status_rule, Clone::clone),
    ];
    let changed: Vec<Field> = fields.into_iter().flatten().collect();
    (!changed.is_empty()).then(|| PersonChange { changed, ..row(after, Kind::Changed, None) })
}
