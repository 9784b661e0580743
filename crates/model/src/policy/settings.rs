//! What each level of the plan's policy may say, and what comes of it: a wave's word counts before its entity's, an entity's before
//! the default's.
//!
//! Some settings concern a wave as a whole ([`Pace`]), others each subject by its entity ([`Terms`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::credential::{CredentialPart, CredentialPolicy};
use super::mapping::{Mapping, MappingPart};
use super::span::Span;
use super::thresholds::{Thresholds, ThresholdsPart};
use crate::snapshot::SubjectKind;
use crate::{AttrName, Dn};

/// Declares a level of the policy: its own keys, and those that every level may give. Serde's `flatten` would refuse unknown keys
/// without the line and the suggestion that a listed key gets.
macro_rules! level {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// Subjects in a batch.
            pub batch_size: Option<u32>,
            /// Subjects in the first batch, the canary.
            pub canary_size: Option<u32>,
            /// How long the others wait after the canary has ended a stage.
            pub canary_wait: Option<$crate::policy::Span>,
            /// Share of the canary's subjects, in percent, that must be unparked for the others to go on.
            pub canary_share_percent: Option<f64>,
            /// How long silence must be proved before anything is scrubbed.
            pub soak: Option<$crate::policy::Span>,
            /// Refusals and conflicts that a batch tolerates; one more halts it.
            pub failure_tolerance: Option<u32>,
            /// How long a subject may wait at a gate before it is parked.
            pub hold_bound: Option<$crate::policy::Span>,
            /// Limits that are checked before the first write of a wave.
            pub thresholds: Option<$crate::policy::ThresholdsPart>,
            /// User attributes that may remain on a scrubbed record; `cn` covers `cn;lang-ja`.
            pub retention: Option<Vec<$crate::AttrName>>,
            /// RFC 4515 filter over the independent entry: an acceptable factor is enrolled.
            pub mfa_filter: Option<String>,
            /// A login in the independent directory counts as proof of the own account for so many days (tracks without switch).
            pub own_account_login_days: Option<u32>,
            /// How new credentials are made.
            pub credential: Option<$crate::policy::CredentialPart>,
            /// What admits to relying systems; said at no level: `switch` does not apply.
            pub admission: Option<$crate::policy::Admission>,
            /// How accounts are made.
            pub mapping: Option<$crate::policy::MappingPart>,
            /// Subjects that need not pass gate `mfa`.
            pub mfa_exempt: Option<Vec<$crate::policy::MfaExemption>>,
        }

        impl $name {
            /// What this level says, apart from its own keys.
            pub fn said(&self) -> $crate::policy::Settings {
                $crate::policy::Settings {
                    batch_size: self.batch_size,
                    canary_size: self.canary_size,
                    canary_wait: self.canary_wait,
                    canary_share_percent: self.canary_share_percent,
                    soak: self.soak,
                    failure_tolerance: self.failure_tolerance,
                    hold_bound: self.hold_bound,
                    thresholds: self.thresholds.clone(),
                    retention: self.retention.clone(),
                    mfa_filter: self.mfa_filter.clone(),
                    own_account_login_days: self.own_account_login_days,
                    credential: self.credential.clone(),
                    admission: self.admission.clone(),
                    mapping: self.mapping.clone(),
                    mfa_exempt: self.mfa_exempt.clone(),
                }
            }
        }
    };
}
pub(super) use level;

level! {
    /// What may be said at every level; what a level leaves out, the one below says.
    #[derive(Default)]
    pub struct Settings {}
}

/// What relying systems filter on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Admission {
    /// Membership of a group in the independent directory.
    Group {
        /// The group.
        dn: Dn,
    },
    /// A value of an attribute of the account.
    Attribute {
        /// The attribute.
        name: AttrName,
        /// The value that admits.
        value: String,
    },
    /// Nothing, although a level below names something: `switch` does not apply.
    None,
}

/// Subjects that need not pass gate `mfa`: part of the plan that people sign, and recorded when the gate would have been asked. For the
/// other gates a person answers when they wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MfaExemption {
    /// Kinds of subjects that need not pass it; empty: all.
    #[serde(default)]
    pub kinds: Vec<SubjectKind>,
    /// Why.
    pub reason: String,
}

fn merged<T>(here: Option<T>, below: Option<T>, over: impl FnOnce(T, T) -> T) -> Option<T> {
    match (here, below) {
        (Some(here), Some(below)) => Some(over(here, below)),
        (here, below) => here.or(below),
    }
}

/// Days for which a login proves the own account, where no level says.
const LOGIN_DAYS: u32 = 30;

impl Settings {
    /// What is said here, and below where this level is silent: tables key by key, lists as a whole.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            batch_size: self.batch_size.or(below.batch_size),
            canary_size: self.canary_size.or(below.canary_size),
            canary_wait: self.canary_wait.or(below.canary_wait),
            canary_share_percent: self.canary_share_percent.or(below.canary_share_percent),
            soak: self.soak.or(below.soak),
            failure_tolerance: self.failure_tolerance.or(below.failure_tolerance),
            hold_bound: self.hold_bound.or(below.hold_bound),
            thresholds: merged(self.thresholds, below.thresholds, ThresholdsPart::over),
            retention: self.retention.or(below.retention),
            mfa_filter: self.mfa_filter.or(below.mfa_filter),
            own_account_login_days: self.own_account_login_days.or(below.own_account_login_days),
            credential: merged(self.credential, below.credential, CredentialPart::over),
            admission: self.admission.or(below.admission),
            mapping: merged(self.mapping, below.mapping, MappingPart::over),
            mfa_exempt: self.mfa_exempt.or(below.mfa_exempt),
        }
    }

    /// How a wave with these settings runs.
    pub fn pace(&self) -> Pace {
        Pace {
            batch_size: self.batch_size.unwrap_or(100),
            canary_size: self.canary_size.unwrap_or(10),
            canary_wait: self.canary_wait.unwrap_or_default(),
            canary_share_percent: self.canary_share_percent.unwrap_or(90.0),
            soak: self.soak.unwrap_or(Span::from_seconds(14 * 86_400)),
            failure_tolerance: self.failure_tolerance.unwrap_or(0),
            hold_bound: self.hold_bound.unwrap_or(Span::from_seconds(7 * 86_400)),
            thresholds: self.thresholds.clone().unwrap_or_default().complete(),
        }
    }

    /// How a subject with these settings is treated. A mapping that lacks something is none; [`super::PlanPolicy::check`] says what
    /// it lacks.
    pub fn terms(self) -> Terms {
        Terms {
            mapping: self.mapping.and_then(|part| part.complete().ok()),
            credential: self.credential.unwrap_or_default().complete(),
            admission: self.admission.filter(|admission| *admission != Admission::None),
            retention: self.retention.unwrap_or_default(),
            retained_against: BTreeMap::new(),
            mfa_filter: self.mfa_filter,
            own_account_login_days: self.own_account_login_days.unwrap_or(LOGIN_DAYS),
            mfa_exempt: self.mfa_exempt.unwrap_or_default(),
        }
    }
}

/// A retention list that a more particular one may overrule, the most particular first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionList {
    /// `retention` of `[plan.entities.ID]`.
    Entity,
    /// `retention` of `[plan]`.
    Plan,
    /// `retention` of `[audit]`.
    Audit,
}

impl RetentionList {
    /// As the configuration names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "the list of [plan.entities]",
            Self::Plan => "the list of [plan]",
            Self::Audit => "the list of [audit]",
        }
    }
}

/// How a wave as a whole runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Subjects in a batch.
    pub batch_size: u32,
    /// Subjects in the canary.
    pub canary_size: u32,
    /// How long the others wait after the canary has ended a stage.
    pub canary_wait: Span,
    /// Share of the canary's subjects, in percent, that must be unparked for the others to go on.
    pub canary_share_percent: f64,
    /// How long silence must be proved before anything is scrubbed.
    pub soak: Span,
    /// Refusals and conflicts that a batch tolerates.
    pub failure_tolerance: u32,
    /// How long a subject may wait at a gate before it is parked.
    pub hold_bound: Span,
    /// Limits, checked before the first write.
    pub thresholds: Thresholds,
}

impl Pace {
    /// Its keys, as the configuration names them, with their values in words.
    fn words(&self) -> [(&'static str, String); 13] {
        let count = |most: Option<u64>| most.map_or_else(|| "none".to_owned(), |most| most.to_string());
        let limits = &self.thresholds;
        [
            ("batch_size", self.batch_size.to_string()),
            ("canary_size", self.canary_size.to_string()),
            ("canary_wait", self.canary_wait.to_string()),
            ("canary_share_percent", self.canary_share_percent.to_string()),
            ("soak", self.soak.to_string()),
            ("failure_tolerance", self.failure_tolerance.to_string()),
            ("hold_bound", self.hold_bound.to_string()),
            ("thresholds.max_changed", count(limits.max_changed)),
            ("thresholds.max_changed_percent", limits.max_changed_percent.to_string()),
            ("thresholds.max_disabled", count(limits.max_disabled)),
            ("thresholds.max_disabled_percent", limits.max_disabled_percent.to_string()),
            ("thresholds.max_removed", count(limits.max_removed)),
            ("thresholds.max_removed_percent", limits.max_removed_percent.to_string()),
        ]
    }

    /// The first key in which two waves would run differently, with both values.
    pub(super) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let pairs = self.words().into_iter().zip(other.words());
        pairs.map(|((key, here), (_, there))| (key, here, there)).find(|(_, here, there)| here != there)
    }
}

/// How a subject is treated, by its entity and wave. It stands in the plan, so that nothing is left to decide when the wave runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How its account is made.
    pub mapping: Option<Mapping>,
    /// How its new credential is made.
    pub credential: CredentialPolicy,
    /// What admits it to relying systems; `None`: `switch` does not apply.
    pub admission: Option<Admission>,
    /// User attributes that may remain on its scrubbed record.
    pub retention: Vec<AttrName>,
    /// Those of them that a list below the one that counts lacks, by that list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retained_against: BTreeMap<RetentionList, Vec<AttrName>>,
    /// RFC 4515 filter of gate `mfa`; `None`: the gate is unknown.
    pub mfa_filter: Option<String>,
    /// Days for which a login proves its own account, on tracks without switch.
    pub own_account_login_days: u32,
    /// Who need not pass gate `mfa`.
    pub mfa_exempt: Vec<MfaExemption>,
}

impl Terms {
    /// Why a subject of this kind need not pass gate `mfa`; `None`: it must.
    pub fn exempt_from_mfa(&self, kind: SubjectKind) -> Option<&str> {
        let covers = |exemption: &&MfaExemption| exemption.kinds.is_empty() || exemption.kinds.contains(&kind);
        self.mfa_exempt.iter().find(covers).map(|exemption| exemption.reason.as_str())
    }

    /// Whether the retention list lets an attribute, or its subtype by option, stay on a scrubbed record.
    pub fn retains(&self, attr: &AttrName) -> bool {
        self.retention.iter().any(|name| attr.is_covered_by(name))
    }
}
