//! Which status rule each account falls under: known before any finding is raised, because groups and references ask for it.

use untether_model::Side;
use untether_model::roster::Presence;

use super::index::OwnerClaim;
use super::{Flags, Index, People, Row, RowIx, Subjects};

/// The status rules, which exclude each other on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusRule {
    /// The person has departed.
    Departed,
    /// The contract has ended.
    ContractEnded,
    /// The active person has an enabled account in the independent directory.
    AlreadySeparated,
    /// Nobody answers for it.
    Orphan,
}

impl StatusRule {
    /// The rule's id.
    pub fn id(self) -> &'static str {
        match self {
            Self::Departed => "residual.departed",
            Self::ContractEnded => "residual.contract-ended",
            Self::AlreadySeparated => "residual.already-separated",
            Self::Orphan => "residual.orphan",
        }
    }
}

/// How an owner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// Exists and has not departed.
    Present,
    /// Has departed, or the contract has ended.
    Gone,
    /// No such entry was seen.
    NotSeen,
}

impl Index {
    /// How an account that is named as an owner stands.
    pub fn owner_account_state(&self, people: &People<'_>, owner: RowIx) -> OwnerState {
        let person = self.row(owner).filter(|row| !row.is_undecided()).and_then(|row| people.presence(row.subject));
        match person.is_some_and(Presence::has_ended) {
            true => OwnerState::Gone,
            false => OwnerState::Present,
        }
    }

    fn owner_state(&self, people: &People<'_>, claim: &OwnerClaim) -> OwnerState {
        match self.resolve_hash(self.side_of(claim.owned), claim.name) {
            // An account does not answer for itself.
            Some(row) if row == claim.owned => OwnerState::NotSeen,
            Some(row) => self.owner_account_state(people, row),
            None if claim.exists => OwnerState::Present,
            None => OwnerState::NotSeen,
        }
    }

    /// Marks owners, status rules and duplicates; call after the subjects' main accounts and all identities' marks are set.
    pub fn mark_status(&mut self, people: &People<'_>, subjects: &Subjects) {
        let owners = std::mem::take(&mut self.owners);
        for claim in &owners {
            let present = self.owner_state(people, claim) == OwnerState::Present;
            if let Some(row) = self.row_mut(claim.owned) {
                row.flags.set(Flags::HAS_OWNER, true);
                if present {
                    row.flags.set(Flags::OWNED, true);
                }
            }
        }
        let groups: Vec<Vec<RowIx>> = subjects.groups(self).filter(|g| g.len() > 1).map(<[RowIx]>::to_vec).collect();
        let mut separated = vec![];
        for group in &groups {
            let moved = group.iter().any(|place| {
                self.side_of(*place) == Side::Independent
                    && self.row(*place).is_some_and(|row| row.flags.has(Flags::OPEN) && !row.is_undecided())
            });
            if moved {
                separated.extend(group.iter().copied().filter(|place| self.side_of(*place) == Side::Shared));
            }
            self.mark_duplicates(people, group);
        }
        separated.sort_unstable();
        for place in 0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX) {
            let has_moved = separated.binary_search(&place).is_ok();
            let status = self.row(place).and_then(|row| status_of(row, people.presence(row.subject), has_moved));
            if let Some(row) = self.row_mut(place) {
                row.status = status;
            }
        }
    }

    fn mark_duplicates(&mut self, people: &People<'_>, group: &[RowIx]) {
        for side in Side::ALL {
            let counted: Vec<RowIx> = group
                .iter()
                .copied()
                .filter(|place| self.side_of(*place) == side)
                .filter(|place| {
                    self.row(*place).is_some_and(|row| {
                        !row.flags.has_any(Flags::SECONDARY | Flags::SERVICE)
                            && people.presence(row.subject).is_some_and(Presence::is_active)
                    })
                })
                .collect();
            if counted.len() < 2 {
                continue;
            }
            for place in counted {
                if let Some(row) = self.row_mut(place) {
                    row.flags.set(Flags::DUPLICATE, !row.flags.has(Flags::PRIMARY));
                }
            }
        }
    }
}

fn status_of(row: &Row, presence: Option<Presence>, has_moved: bool) -> Option<StatusRule> {
    if row.is_undecided() {
        return None;
    }
    match presence {
        Some(Presence::Departed) => Some(StatusRule::Departed),
        Some(Presence::ContractEnded) => Some(StatusRule::ContractEnded),
        Some(Presence::Active | Presence::OnLeave) => {
            (has_moved && !row.flags.has(Flags::INDEPENDENT)).then_some(StatusRule::AlreadySeparated)
        }
        Some(Presence::NotYetStarted) => None,
        None => {
            let excused = row.flags.has_any(Flags::PROTECTED | Flags::CANARY | Flags::SERVICE | Flags::OWNED);
            (!excused).then_some(StatusRule::Orphan)
        }
    }
}
