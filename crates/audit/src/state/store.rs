//! Effective password policies and mechanisms of one store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use untether_model::Dn;
use untether_model::auth::{AccountFacts, EffectivePolicy, PolicyValues, SaslOffer, judge};
use untether_model::policy::{DefaultPolicy, StoreAudit};
use untether_model::snapshot::{AccountState, SnapshotEntry};

use crate::links::{Configuration, Database};
use crate::source::values;

/// What decides on the state of a store's accounts.
pub struct StoreState<'a> {
    policies: BTreeMap<Dn, PolicyValues>,
    exists: &'a dyn Fn(&Dn) -> Option<bool>,
    configuration: Option<&'a Configuration>,
    default: Option<&'a DefaultPolicy>,
    offer: SaslOffer,
}

/// What a store's state is worked out from.
pub struct StateInputs<'a> {
    /// The password policies that were read, by name.
    pub policies: BTreeMap<Dn, PolicyValues>,
    /// Whether an entry exists; `None` where nobody looked.
    pub exists: &'a dyn Fn(&Dn) -> Option<bool>,
    /// The server's configuration; `None` where it was not read.
    pub configuration: Option<&'a Configuration>,
    /// What is configured for the store.
    pub store: &'a StoreAudit,
    /// The SASL mechanisms that the server offers; `None` where it could not be asked.
    pub mechanisms: Option<Vec<String>>,
}

impl<'a> StoreState<'a> {
    /// Ready to judge.
    pub fn new(inputs: StateInputs<'a>) -> Self {
        Self {
            policies: inputs.policies,
            exists: inputs.exists,
            configuration: inputs.configuration,
            default: inputs.store.default_policy.as_ref(),
            offer: SaslOffer { mechanisms: inputs.mechanisms.or_else(|| inputs.store.sasl_mechanisms.clone()) },
        }
    }

    /// Whether the SASL path can be judged at all.
    pub fn knows_mechanisms(&self) -> bool {
        self.offer.mechanisms.is_some()
    }

    /// Judges one account.
    pub fn judge(&self, entry: &SnapshotEntry, now: Timestamp) -> AccountState {
        let remote = self.database_of(&entry.dn).map(|d| d.remote).unwrap_or_default();
        let facts = AccountFacts::from_snapshot(entry).with_remote(remote);
        judge(&facts, &self.effective(entry), &self.offer, now)
    }

    /// A database that the configuration does not show is configured elsewhere (`slapd.conf`).
    fn database_of(&self, dn: &Dn) -> Option<&'a Database> {
        self.configuration.and_then(|c| c.database_of(dn))
    }

    /// The password policy that applies to an entry.
    pub fn effective(&self, entry: &SnapshotEntry) -> EffectivePolicy {
        let configured = self.database_of(&entry.dn).map(|d| &d.default_policy);
        if configured == Some(&None) {
            return EffectivePolicy::Unresolved { why: "no password policy overlay stands over its database".to_owned() };
        }
        if let Some(value) = values(entry, "pwdpolicysubentry").first() {
            let named = value.as_str().and_then(|text| Dn::parse(text).ok());
            return match named {
                Some(dn) => self.named(&dn),
                None => EffectivePolicy::Unresolved { why: "pwdPolicySubentry is not a name".to_owned() },
            };
        }
        match (configured, self.default) {
            (Some(Some(Some(dn))), _) => self.named(dn),
            (Some(_), _) => EffectivePolicy::Unresolved { why: "the store has no default password policy".to_owned() },
            (None, Some(default)) => self.told(default),
            (None, None) => EffectivePolicy::Unknown {
                why: "the store's default password policy is not known (set default_policy)".to_owned(),
            },
        }
    }

    fn named(&self, dn: &Dn) -> EffectivePolicy {
        if let Some(values) = self.policies.get(dn) {
            return EffectivePolicy::Resolved(*values);
        }
        if (self.exists)(dn) == Some(false) {
            return EffectivePolicy::Unresolved { why: format!("its password policy {dn} does not exist") };
        }
        EffectivePolicy::Unknown { why: format!("its password policy {dn} was not read") }
    }

    /// The default policy as the configuration tells it; the entry that it names counts where it was read.
    fn told(&self, default: &DefaultPolicy) -> EffectivePolicy {
        if let Some(values) = default.entry.as_ref().and_then(|dn| self.policies.get(dn)) {
            return EffectivePolicy::Resolved(*values);
        }
        match default.lockout {
            Some(lockout) => EffectivePolicy::Resolved(PolicyValues {
                lockout,
                lockout_duration_secs: default.lockout_duration_secs.unwrap_or(0),
                must_change: default.must_change.unwrap_or(false),
            }),
            None => match &default.entry {
                Some(dn) => self.named(dn),
                None => EffectivePolicy::Unknown { why: "default_policy says neither an entry nor whether it locks".to_owned() },
            },
        }
    }
}
