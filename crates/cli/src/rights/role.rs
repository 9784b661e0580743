//! The identities that the program has in a store.

use std::fmt;

use untether_model::Side;

use crate::config::{BindConfig, Config};

/// The identities of a store, by what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads for audit and run.
    Read,
    /// Changes accounts and groups.
    Write,
    /// Restores what only `manage` may write.
    Undo,
    /// Reads `cn=config`.
    Config,
    /// An account that proves that the store refuses.
    Probe,
    /// An account that proves that the store lets others in.
    Control,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Undo, Self::Config, Self::Probe, Self::Control];

    /// The name of its section in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Undo => "undo",
            Self::Config => "config",
            Self::Probe => "probe",
            Self::Control => "control",
        }
    }

    /// The identity that does it in a store, where one is configured.
    pub fn bind(self, config: &Config, side: Side) -> Option<&BindConfig> {
        let store = config.store(side);
        match self {
            Self::Read => store.read.as_ref(),
            Self::Write => store.write.as_ref(),
            Self::Undo => store.undo.as_ref(),
            Self::Config => store.config.as_ref(),
            Self::Probe => store.probe.as_ref(),
            Self::Control => store.control.as_ref(),
        }
    }

    /// Whether one identity is configured for both.
    pub fn is_also(self, other: Self, config: &Config, side: Side) -> bool {
        let (own, others) = (self.bind(config, side), other.bind(config, side));
        own.zip(others).is_some_and(|(own, others)| own.dn == others.dn)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
