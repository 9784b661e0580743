//! Changes as they are told, one by one and in numbers.

use std::collections::BTreeMap;

use serde::Serialize;
use untether_model::finding::{Place, Severity};
use untether_model::snapshot::SubjectKind;
use untether_model::{EntityId, Side};

/// What became of somebody or something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was not there before.
    Appeared,
    /// It is not there any more.
    Vanished,
    /// It is there, and another way.
    Changed,
    /// A person whose accounts belonged to another subject id before: a new anchor, or a match that was decided otherwise.
    OtherId,
    /// A finding that is there as before.
    Still,
}

impl Kind {
    /// The name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Vanished => "vanished",
            Self::Changed => "changed",
            Self::OtherId => "other-id",
            Self::Still => "still",
        }
    }
}

/// Why something may have appeared or vanished without any change in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The other audit was not told to read there.
    OutOfScope,
    /// The other audit did not read it to its end.
    NotReadWhole,
    /// The filter of its base is another one.
    OtherFilter,
    /// The rule could not run in the other audit, or in part.
    RuleSkipped,
}

impl Why {
    /// The name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfScope => "out-of-scope",
            Self::NotReadWhole => "not-read-whole",
            Self::OtherFilter => "other-filter",
            Self::RuleSkipped => "rule-skipped",
        }
    }

    /// In words: what happened in the audit that lacks it.
    pub fn words(self) -> &'static str {
        match self {
            Self::OutOfScope => "out of what that audit read",
            Self::NotReadWhole => "that audit did not read its base to the end",
            Self::OtherFilter => "its base was read with another filter",
            Self::RuleSkipped => "the rule could not run in that audit",
        }
    }
}

/// One property that is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Which.
    pub what: String,
    /// As it was.
    pub before: Option<String>,
    /// As it is.
    pub after: Option<String>,
}

impl Field {
    /// The property, if it is another one.
    pub(super) fn of<T: PartialEq>(what: &str, before: &T, after: &T, words: impl Fn(&T) -> Option<String>) -> Option<Self> {
        (before != after).then(|| Self { what: what.to_owned(), before: words(before), after: words(after) })
    }
}

/// A person or service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonChange {
    /// What became of it.
    pub change: Kind,
    /// Its id.
    pub subject: String,
    /// The id under which its accounts were known before.
    pub was: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// What it is.
    pub kind: SubjectKind,
    /// Its entity, now or last.
    pub entity: Option<EntityId>,
    /// What the roster says, now or last; `None`: no row.
    pub standing: Option<String>,
    /// Accounts that it has or had.
    pub accounts: u64,
    /// What is another way.
    pub changed: Vec<Field>,
    /// Why it may have appeared or vanished without any change in the world.
    pub why: Option<Why>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountChange {
    /// What became of it.
    pub change: Kind,
    /// The store.
    pub store: Side,
    /// Its name, now or last.
    pub dn: String,
    /// Its stable id.
    pub stable_id: Option<String>,
    /// Its subject, now or last.
    pub subject: Option<String>,
    /// Its state, now or last: `open`, `refused`, `unknown`.
    pub state: Option<String>,
    /// What is another way. Of a credential only that it is another one.
    pub changed: Vec<Field>,
    /// Why it may have appeared or vanished without any change in the world.
    pub why: Option<Why>,
}

/// A group, by counts of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupChange {
    /// What became of it.
    pub change: Kind,
    /// The store.
    pub store: Side,
    /// Its name, now or last.
    pub dn: String,
    /// Its name before, if it was moved.
    pub was: Option<String>,
    /// Members that it has or had.
    pub members: u64,
    /// Members that came.
    pub added: u64,
    /// Members that went.
    pub removed: u64,
    /// Why it may have appeared or vanished without any change in the world.
    pub why: Option<Why>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingChange {
    /// `appeared`: new; `vanished`: gone; `changed`: another severity or name; `still`: as before.
    pub change: Kind,
    /// Its id, equal in both audits.
    pub id: String,
    /// The rule.
    pub rule: String,
    /// Its severity, now or last.
    pub severity: Severity,
    /// Its severity before, if it is another one.
    pub severity_before: Option<Severity>,
    /// Where it was seen.
    pub store: Place,
    /// The entry, now or last.
    pub dn: Option<String>,
    /// The subject, now or last.
    pub subject: Option<String>,
    /// The entity, now or last.
    pub entity: Option<EntityId>,
    /// Why it may be new or gone without any change in the world.
    pub why: Option<Why>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "row", rename_all = "kebab-case")]
pub enum Change {
    /// A person or service.
    Person(PersonChange),
    /// An account.
    Account(AccountChange),
    /// A group.
    Group(GroupChange),
    /// A finding.
    Finding(FindingChange),
}

/// All changes in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// People by what became of them.
    pub people: BTreeMap<Kind, u64>,
    /// Of those who changed, by what is another way.
    pub people_changed: BTreeMap<String, u64>,
    /// Accounts by what became of them, store by store.
    pub accounts: BTreeMap<Side, BTreeMap<Kind, u64>>,
    /// Of those that changed, by what is another way.
    pub accounts_changed: BTreeMap<String, u64>,
    /// Groups by what became of them.
    pub groups: BTreeMap<Kind, u64>,
    /// Members that came to groups which are in both audits.
    pub members_added: u64,
    /// Members that went from them.
    pub members_removed: u64,
    /// Findings by what became of them.
    pub findings: BTreeMap<Kind, BTreeMap<Severity, u64>>,
    /// What appeared or vanished although nothing may have changed in the world.
    pub explained: BTreeMap<Why, u64>,
}

impl Totals {
    /// Counts a change.
    pub(super) fn count(&mut self, change: &Change) {
        let fields = |counts: &mut BTreeMap<String, u64>, changed: &[Field]| {
            for field in changed {
                // One credential or another, one path or another: counted together.
                let what = field.what.split(' ').next().unwrap_or_default();
                *counts.entry(what.to_owned()).or_default() += 1;
            }
        };
        let why = match change {
            Change::Person(person) => {
                *self.people.entry(person.change).or_default() += 1;
                if person.change == Kind::Changed {
                    fields(&mut self.people_changed, &person.changed);
                }
                person.why
            }
            Change::Account(account) => {
                *self.accounts.entry(account.store).or_default().entry(account.change).or_default() += 1;
                fields(&mut self.accounts_changed, &account.changed);
                account.why
            }
            Change::Group(group) => {
                *self.groups.entry(group.change).or_default() += 1;
                if group.change == Kind::Changed {
                    self.members_added += group.added;
                    self.members_removed += group.removed;
                }
                group.why
            }
            Change::Finding(finding) => {
                *self.findings.entry(finding.change).or_default().entry(finding.severity).or_default() += 1;
                finding.why
            }
        };
        if let Some(why) = why {
            *self.explained.entry(why).or_default() += 1;
        }
    }
}
