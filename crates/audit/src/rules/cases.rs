//! What a rule looks at: one account, one subject, names in one entry, one configuration entry.

use untether_model::finding::{Finding, Place};
use untether_model::roster::Presence;
use untether_model::snapshot::{AccountState, SnapshotEntry, Subject};
use untether_model::{Dn, EntityId, FindingId, Side, StableId, SubjectId};

use super::pieces::Piece;
use super::{Context, Draft};
use crate::correlate::{Flags, Row, RowIx};
use crate::links::Configuration;

/// One account with its entry.
pub struct AccountCase<'a> {
    /// What all rules share.
    pub context: &'a Context<'a>,
    /// The store.
    pub side: Side,
    /// The entry.
    pub entry: &'a SnapshotEntry,
    /// Its place in the index.
    pub place: RowIx,
    /// What the index keeps of it.
    pub row: Row,
    /// Its state.
    pub state: &'a AccountState,
    /// The subject.
    pub subject: Option<SubjectId>,
    /// The subject's entity.
    pub entity: Option<EntityId>,
}

impl AccountCase<'_> {
    /// How the person stands to whom the account was matched; `None` for undecided accounts and those without a roster row.
    pub fn presence(&self) -> Option<Presence> {
        if self.row.is_undecided() { None } else { self.context.people.presence(self.row.subject) }
    }

    /// Whether a mark is set.
    pub fn is(&self, flag: Flags) -> bool {
        self.row.flags.has(flag)
    }

    /// The finding that a draft becomes on this account.
    pub fn finding(&self, draft: Draft) -> Finding {
        finding(
            draft,
            Spot {
                side: self.side,
                dn: &self.entry.dn,
                stable_id: self.entry.stable_id.as_ref(),
                subject: self.subject.clone(),
                entity: self.entity.clone(),
                protected: self.is(Flags::PROTECTED),
            },
        )
    }
}

/// A person or service with all of its accounts.
pub struct SubjectCase<'a> {
    /// What all rules share.
    pub context: &'a Context<'a>,
    /// The subject.
    pub subject: &'a Subject,
    /// Its accounts with what the index keeps of them, in the order of [`Subject::accounts`].
    pub pieces: &'a [(Piece, Row)],
}

impl SubjectCase<'_> {
    /// The finding that a draft becomes on one of the accounts.
    pub fn finding(&self, piece: &Piece, row: &Row, draft: Draft) -> Finding {
        finding(
            draft,
            Spot {
                side: piece.account.side,
                dn: &piece.account.dn,
                stable_id: piece.account.stable_id.as_ref(),
                subject: Some(self.subject.id.clone()),
                entity: self.subject.entity.clone(),
                protected: row.flags.has(Flags::PROTECTED),
            },
        )
    }
}

/// An entry that may name others.
pub struct NameCase<'a> {
    /// What all rules share.
    pub context: &'a Context<'a>,
    /// The store.
    pub side: Side,
    /// The entry.
    pub entry: &'a SnapshotEntry,
    /// A protected identity.
    pub protected: bool,
    /// The subject, where the entry is an account.
    pub subject: Option<SubjectId>,
    /// The subject's entity.
    pub entity: Option<EntityId>,
}

impl NameCase<'_> {
    /// The finding that a draft becomes on this entry.
    pub fn finding(&self, draft: Draft) -> Finding {
        finding(
            draft,
            Spot {
                side: self.side,
                dn: &self.entry.dn,
                stable_id: self.entry.stable_id.as_ref(),
                subject: self.subject.clone(),
                entity: self.entity.clone(),
                protected: self.protected,
            },
        )
    }
}

/// One entry of `cn=config`.
pub struct ConfigCase<'a> {
    /// What all rules share.
    pub context: &'a Context<'a>,
    /// The store whose server it is.
    pub side: Side,
    /// The whole configuration.
    pub configuration: &'a Configuration,
    /// The entry.
    pub entry: &'a SnapshotEntry,
    /// It, or an entry above it, is switched off (`olcDisabled: TRUE`).
    pub disabled: bool,
}

impl ConfigCase<'_> {
    /// The finding that a draft becomes on this entry.
    pub fn finding(&self, draft: Draft) -> Finding {
        finding(
            draft,
            Spot {
                side: self.side,
                dn: &self.entry.dn,
                stable_id: self.entry.stable_id.as_ref(),
                subject: None,
                entity: None,
                protected: false,
            },
        )
    }

    /// The other store's suffix, unless both stores have the same one.
    pub fn other_suffix(&self) -> Option<&Dn> {
        let policy = self.context.policy();
        let (own, other) = (&policy.store(self.side).suffix, &policy.store(self.side.other()).suffix);
        (own != other).then_some(other)
    }
}

/// Where a finding is raised.
pub(super) struct Spot<'a> {
    pub side: Side,
    pub dn: &'a Dn,
    pub stable_id: Option<&'a StableId>,
    pub subject: Option<SubjectId>,
    pub entity: Option<EntityId>,
    pub protected: bool,
}

pub(super) fn finding(draft: Draft, spot: Spot<'_>) -> Finding {
    let place = Place::from(spot.side);
    let entry = spot.stable_id.map_or_else(|| spot.dn.key().as_str(), StableId::as_str);
    Finding {
        id: FindingId::derive(draft.rule.id, place.as_str(), entry, ""),
        rule: draft.rule.id.to_owned(),
        severity: draft.severity,
        store: place,
        dn: Some(spot.dn.clone()),
        stable_id: spot.stable_id.cloned(),
        subject: spot.subject,
        entity: spot.entity,
        protected: spot.protected,
        evidence: draft.evidence,
        remedy: draft.rule.remedy.to_owned(),
    }
}
