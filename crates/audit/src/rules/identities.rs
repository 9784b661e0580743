//! What an account is by name, pattern and filter: service, mailbox, test, secondary, protected, canary, kept.

use std::collections::BTreeSet;

use untether_directory::filter::{Filter, FilterError};
use untether_model::policy::AuditPolicy;
use untether_model::schema::Schema;
use untether_model::snapshot::SnapshotEntry;
use untether_model::{Dn, Side};

use super::context::Sides;
use crate::correlate::{Flags, KeyReader};
use crate::source::texts;

/// A filter of the configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the filter {text} of {key} cannot be read; write it as RFC 4515 says")]
pub struct BadFilter {
    /// The key of the configuration.
    pub key: &'static str,
    /// The filter.
    pub text: String,
    /// What is wrong with it.
    #[source]
    pub source: FilterError,
}

fn parse(key: &'static str, text: &str) -> Result<Filter, BadFilter> {
    Filter::parse(text).map_err(|source| BadFilter { key, text: text.to_owned(), source })
}

/// Recognizes identities.
pub struct Identities<'a> {
    policy: &'a AuditPolicy,
    protected_filters: Sides<Vec<Filter>>,
    factor: Option<Filter>,
    /// Protected because the servers' configurations name them.
    named: BTreeSet<Dn>,
}

impl<'a> Identities<'a> {
    /// From what is configured and the names that the servers' configurations mention.
    pub fn new(policy: &'a AuditPolicy, named: BTreeSet<Dn>) -> Result<Self, BadFilter> {
        let filters = |side| -> Result<Vec<Filter>, BadFilter> {
            policy.protected.filters(side).iter().map(|text| parse("protected", text)).collect()
        };
        Ok(Self {
            policy,
            protected_filters: Sides { shared: filters(Side::Shared)?, independent: filters(Side::Independent)? },
            factor: policy.mfa_filter.as_deref().map(|text| parse("mfa_filter", text)).transpose()?,
            named,
        })
    }

    /// Whether a name is protected, whatever the entry holds.
    pub fn is_protected_name(&self, dn: &Dn) -> bool {
        self.named.contains(dn) || self.policy.protected.names(dn)
    }

    /// The marks that the account's name and attributes alone decide.
    pub fn marks(&self, side: Side, entry: &SnapshotEntry, reader: &KeyReader<'_>, schema: &Schema) -> Flags {
        let mut flags = Flags::default();
        let policy = self.policy;
        let logins: Vec<&str> = reader.logins(entry).collect();
        let classes: Vec<&str> = texts(entry, "objectclass").collect();
        let is = |pattern: &untether_model::policy::AccountPattern| {
            pattern.matches(&entry.dn, logins.iter().copied(), classes.iter().copied())
        };
        // An account is one of these; what is declared a service is nothing else.
        if is(&policy.services) {
            flags.set(Flags::SERVICE, true);
        } else if is(&policy.mailboxes) {
            flags.set(Flags::MAILBOX, true);
        } else if is(&policy.tests) {
            flags.set(Flags::TEST, true);
        } else if is(&policy.secondary) {
            flags.set(Flags::SECONDARY, true);
        }
        flags.set(Flags::KEEP, side == Side::Shared && policy.keep.iter().any(|rule| is(&rule.accounts)));
        flags.set(Flags::CANARY, policy.store(side).canary.as_ref() == Some(&entry.dn));
        let by_name = self.is_protected_name(&entry.dn);
        let matches = |filter: &Filter| filter.matches_attrs(&entry.attrs, schema);
        let by_filter = self.protected_filters.get(side).iter().any(matches);
        let factor = side == Side::Independent && self.factor.as_ref().is_some_and(matches);
        flags.set(Flags::PROTECTED, by_name || by_filter);
        flags.set(Flags::FACTOR, factor);
        flags.set(Flags::INDEPENDENT, side == Side::Independent);
        flags
    }
}
