//! The first pass: from both stores to the compact index, with everything that is known before any rule runs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use untether_model::auth::PolicyValues;
use untether_model::snapshot::{AccountState, CredentialKind, EntryRole, PathState, SnapshotEntry};
use untether_model::{Dn, EntityId, Side};

use super::context::Sides;
use super::identities::Identities;
use super::residual::attribute::beyond_retention;
use super::secrets::SecretIndex;
use super::{Context, Inputs, Skips};
use crate::activity;
use crate::correlate::{
    AccountKeys, Candidate, Flags, Index, IndexBuilder, KeyReader, People, Row, RowIx, Subjects, account_anchor, is_dynamic,
};
use crate::links::Configuration;
use crate::source::{Source, texts};
use crate::state::{StateInputs, StoreState};

/// The servers' configurations, where they were read.
pub(super) fn configurations<S: Source>(source: &S, inputs: &Inputs<'_>) -> Result<Sides<Option<Configuration>>, S::Error> {
    let read = |side| -> Result<Option<Configuration>, S::Error> {
        if !inputs.store(side).config_read {
            return Ok(None);
        }
        let entries: Vec<SnapshotEntry> = source.entries(side, &[EntryRole::Config])?.collect::<Result<_, _>>()?;
        Ok(Some(Configuration::of(entries)))
    };
    Ok(Sides { shared: read(Side::Shared)?, independent: read(Side::Independent)? })
}

/// The password policies of a store, by name. Dynamic groups are met on the way.
pub(super) fn policies<S: Source>(source: &S, side: Side, skips: &mut Skips) -> Result<BTreeMap<Dn, PolicyValues>, S::Error> {
    let mut policies = BTreeMap::new();
    for entry in source.entries(side, &[EntryRole::Other])? {
        let entry = entry?;
        if texts(&entry, "objectclass").any(|c| c.eq_ignore_ascii_case("pwdPolicy")) {
            policies.insert(entry.dn.clone(), PolicyValues::from_attrs(&entry.attrs));
        }
        if is_dynamic(&entry) {
            let reason = format!("{} is a dynamic group: its members are computed and were not seen", entry.dn);
            skips.add(side, super::residual::membership::MEMBERSHIP.id, reason);
        }
    }
    Ok(policies)
}

/// What the first pass works with.
pub(super) struct Survey<'a> {
    pub inputs: &'a Inputs<'a>,
    pub people: &'a People<'a>,
    pub identities: &'a Identities<'a>,
    pub states: &'a Sides<StoreState<'a>>,
    pub readers: &'a Sides<KeyReader<'a>>,
}

/// What the first pass found.
pub(super) struct Surveyed {
    pub index: Index,
    pub secrets: SecretIndex,
}

impl<'a> Survey<'a> {
    /// Reads all accounts of both stores once.
    pub(super) fn run<S: Source>(&self, source: &S, skips: &mut Skips) -> Result<Surveyed, S::Error> {
        let (_, numbers) = Context::number_entities(self.inputs.policy);
        let mut builder = IndexBuilder::new(self.people, self.inputs.decisions);
        let mut secrets = SecretIndex::default();
        for side in Side::ALL {
            let mut seen = Seen::default();
            for entry in source.entries(side, &[EntryRole::Account])? {
                let entry = entry?;
                let (candidate, owners) = self.candidate(side, &entry, &numbers, &mut seen);
                let place = builder.account(candidate, &owners);
                match side {
                    Side::Shared => secrets.shared(&entry.credentials),
                    Side::Independent => secrets.independent(place, &entry.credentials),
                }
            }
            if side == Side::Shared {
                builder.end_shared();
                secrets.end_shared();
            }
            self.report(side, &seen, skips);
        }
        Ok(Surveyed { index: builder.finish(), secrets })
    }

    fn candidate<'e>(
        &self,
        side: Side,
        entry: &'e SnapshotEntry,
        numbers: &BTreeMap<EntityId, u16>,
        seen: &mut Seen,
    ) -> (Candidate<'e>, Vec<(Dn, bool)>) {
        let reader = self.readers.get(side);
        let store = self.inputs.store(side);
        let mut flags = self.identities.marks(side, entry, reader, store.schema);
        let state = self.states.get(side).judge(entry, self.inputs.now);
        flags.set(Flags::OPEN, state.counts_as_open());
        flags.set(Flags::LOCKED, state.locked || state.ended);
        flags.set(Flags::CREDENTIAL, !entry.credentials.is_empty());
        let retention = self.inputs.policy.retention.as_deref();
        let beyond =
            side == Side::Shared && retention.is_none_or(|kept| beyond_retention(entry, kept, store.schema).next().is_some());
        flags.set(Flags::BEYOND_RETENTION, beyond);
        let keys = reader.keys(entry);
        let entity = said_entity(&keys).and_then(|entity| numbers.get(entity).copied()).unwrap_or(Row::NOWHERE);
        let (last_use, has_login_time) = activity::last_use(entry);
        seen.accounts += 1;
        seen.login_times |= has_login_time;
        seen.take_state(entry, &state);
        let row = Row {
            flags,
            subject: Row::UNMATCHED,
            last_use: seconds(last_use),
            created: seconds(activity::created(entry)),
            entity,
            matched_by: None,
            status: None,
        };
        let owners = reader
            .owners(entry)
            .filter_map(|text| Dn::parse(text).ok())
            .map(|dn| {
                let exists = [side, side.other()].into_iter().find_map(|s| (self.inputs.store(s).exists)(&dn));
                (dn, exists == Some(true))
            })
            .collect();
        let anchor = account_anchor(side, entry);
        (Candidate { side, dn: &entry.dn, keys, row, anchor }, owners)
    }

    fn report(&self, side: Side, seen: &Seen, skips: &mut Skips) {
        if seen.accounts > 0 && !seen.login_times {
            let reason = "no account has a last-login time (on OpenLDAP: olcLastBind is off, or the time may not be read)";
            skips.add(side, super::residual::dormant::DORMANT.id, reason);
        }
        if !self.states.get(side).knows_mechanisms() && seen.recoverable {
            let reason = "accounts have clear-text passwords or Kerberos keys, and which SASL mechanisms are on offer is not known (set sasl_mechanisms)";
            skips.add(side, super::residual::lock::LOCK_INEFFECTIVE.id, reason);
        }
        for why in &seen.unknown_locks {
            skips.add(side, super::residual::lock::LOCK_INEFFECTIVE.id, format!("whether locks hold is not known: {why}"));
        }
    }
}

/// Seconds since 1970; 0: not told.
fn seconds(at: Option<Timestamp>) -> u32 {
    at.and_then(|t| u32::try_from(t.as_second()).ok()).unwrap_or(0)
}

/// Engine order: configured subtree, else attribute.
fn said_entity(keys: &AccountKeys) -> Option<&EntityId> {
    keys.subtree_entity.as_ref().or(keys.attribute_entity.as_ref())
}

/// Reasons that are named one by one; beyond that they are all alike.
const NAMED_REASONS: usize = 5;

/// What a whole store showed or lacked.
#[derive(Default)]
struct Seen {
    accounts: u64,
    login_times: bool,
    recoverable: bool,
    unknown_locks: BTreeSet<String>,
}

impl Seen {
    fn take_state(&mut self, entry: &SnapshotEntry, state: &AccountState) {
        self.recoverable |= entry.credentials.iter().any(|mark| {
            (mark.clear && mark.kind == CredentialKind::Password && mark.attr.is("userpassword"))
                || mark.kind == CredentialKind::KerberosKey
        });
        let undecidable = (state.locked || state.ended) && state.overall() == PathState::Unknown;
        if undecidable && self.unknown_locks.len() < NAMED_REASONS {
            let why = state.paths.iter().filter(|p| p.state == PathState::Unknown).map(|p| p.why.clone());
            self.unknown_locks.extend(why);
        }
    }
}

/// The comparable names of accounts between which only the name decides.
pub(super) fn tied_names<S: Source>(source: &S, index: &Index, subjects: &Subjects) -> Result<BTreeMap<RowIx, String>, S::Error> {
    let tied = subjects.ties(index);
    let mut names = BTreeMap::new();
    for side in Side::ALL {
        if !tied.iter().any(|place| index.side_of(*place) == side) {
            continue;
        }
        let places = index.first_row(side)..;
        for (place, dn) in places.zip(source.account_names(side)?) {
            let dn = dn?;
            if tied.contains(&place) {
                names.insert(place, dn.key().as_str().to_owned());
            }
        }
    }
    Ok(names)
}

/// Store states need the policies first.
pub(super) fn states<'a>(
    inputs: &'a Inputs<'a>,
    configurations: &'a Sides<Option<Configuration>>,
    policies: Sides<BTreeMap<Dn, PolicyValues>>,
) -> Sides<StoreState<'a>> {
    let of = |side: Side, policies| {
        let store = inputs.store(side);
        StoreState::new(StateInputs {
            policies,
            exists: store.exists,
            configuration: configurations.get(side).as_ref(),
            store: inputs.policy.store(side),
            mechanisms: store.mechanisms.map(<[String]>::to_vec),
        })
    };
    Sides { shared: of(Side::Shared, policies.shared), independent: of(Side::Independent, policies.independent) }
}
