//! Gates: pure functions over recorded observations. `unknown` never passes; `accepted` is never counted as `pass`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RunState;
use crate::policy::Capabilities;
use crate::{BatchId, Side, SubjectId, WaveId};

/// A condition before or after a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// An acceptable factor is enrolled (subject).
    Mfa,
    /// The own account in the independent directory is proved to work (subject).
    OwnAccount,
    /// Nobody authenticates in the shared store any more (batch).
    Silence,
}

impl GateKind {
    /// All gates.
    pub const ALL: [Self; 3] = [Self::Mfa, Self::OwnAccount, Self::Silence];

    /// `mfa`, `own-account` or `silence`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::OwnAccount => "own-account",
            Self::Silence => "silence",
        }
    }

    /// Reads [`GateKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.as_str() == text)
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a gate's observation is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateScope {
    /// A whole wave.
    Wave(WaveId),
    /// A batch.
    Batch(BatchId),
    /// One subject.
    Subject(SubjectId),
}

impl fmt::Display for GateScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wave(id) => write!(f, "wave {id}"),
            Self::Batch(id) => write!(f, "batch {id}"),
            Self::Subject(id) => write!(f, "subject {id}"),
        }
    }
}

/// What was observed of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The condition was seen to hold.
    Pass,
    /// It was seen not to hold yet.
    Hold,
    /// It could not be told.
    Unknown,
    /// The plan that people signed leaves the gate out for this subject.
    Exempt,
}

/// What was looked at, by whom, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// What was seen.
    pub what: Observation,
    /// Who observed: `ldap-filter`, `last-login`, `probe`, …
    pub source: String,
    /// What was covered and what was not, in words.
    pub coverage: String,
    /// Begin of the time that the observation speaks of.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Until when it may be relied on; `None`: until a newer one.
    pub expires: Option<Timestamp>,
}

/// The kinds of observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    /// A gate's condition.
    Gate {
        /// The gate.
        gate: GateKind,
        /// About whom.
        scope: GateScope,
        /// What was seen.
        verdict: Verdict,
        /// Why, in words.
        why: String,
    },
    /// What a store can do with our binds.
    Capabilities {
        /// The store.
        side: Side,
        /// What it can do.
        capabilities: Capabilities,
    },
    /// A proof about a subject at attest, and what is still missing for it.
    Proof {
        /// The subject.
        subject: SubjectId,
        /// What was proved.
        proved: Vec<String>,
        /// What is missing (`partial` if anything is).
        missing: Vec<String>,
    },
}

/// Which gate of whom, asked when.
#[derive(Clone, Debug)]
pub struct GateQuestion<'a> {
    /// The gate.
    pub gate: GateKind,
    /// The wave that the subject or batch is in.
    pub wave: &'a WaveId,
    /// The batch.
    pub batch: &'a BatchId,
    /// The subject; `None` for a gate of the whole batch.
    pub subject: Option<&'a SubjectId>,
    /// The time.
    pub now: Timestamp,
}

/// The state of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateState {
    /// Seen to hold.
    Pass,
    /// Seen not to hold yet.
    Hold(String),
    /// Not told.
    Unknown(String),
    /// Left out by the plan that people signed, for this reason.
    Exempt(String),
    /// A person answers for going on.
    Accepted {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// Until when.
        until: Timestamp,
    },
}

impl GateState {
    /// Whether the gate lets through: seen to hold, left out by the plan, or accepted by signature.
    pub fn lets_through(&self) -> bool {
        matches!(self, Self::Pass | Self::Exempt(_) | Self::Accepted { .. })
    }
}

/// Judges a gate from what is recorded: the newest observation that covers the subject or batch and has not expired, else
/// `unknown`; where that does not pass, an acceptance that covers it.
pub fn judge_gate(state: &RunState, question: &GateQuestion<'_>) -> GateState {
    let mut scopes = Vec::with_capacity(3);
    if let Some(subject) = question.subject {
        scopes.push(GateScope::Subject(subject.clone()));
    }
    scopes.push(GateScope::Batch(question.batch.clone()));
    scopes.push(GateScope::Wave(question.wave.clone()));
    let seen = scopes
        .iter()
        .filter_map(|scope| state.gate_observation(question.gate, scope))
        .filter(|o| o.expires.is_none_or(|expires| question.now < expires))
        .max_by_key(|o| o.to);
    let judged = match seen.map(|o| &o.what) {
        Some(Observation::Gate { verdict: Verdict::Pass, .. }) => return GateState::Pass,
        Some(Observation::Gate { verdict: Verdict::Exempt, why, .. }) => return GateState::Exempt(why.clone()),
        Some(Observation::Gate { verdict: Verdict::Hold, why, .. }) => GateState::Hold(why.clone()),
        Some(Observation::Gate { verdict: Verdict::Unknown, why, .. }) => GateState::Unknown(why.clone()),
        _ => GateState::Unknown("nothing has been observed yet".to_owned()),
    };
    let accepted = scopes
        .iter()
        .find_map(|scope| state.acceptances(question.gate, scope).find(|signed| question.now <= signed.statement.not_after));
    match accepted {
        Some(signed) => GateState::Accepted {
            by: signed.approver.clone(),
            why: signed.statement.reason.clone(),
            until: signed.statement.not_after,
        },
        None => judged,
    }
}
