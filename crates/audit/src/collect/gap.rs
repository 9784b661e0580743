//! What was not seen, and why: the input of the `coverage.*` rules.

use untether_directory::{DirectoryError, Failure};
use untether_model::Dn;
use untether_model::finding::Place;

/// What a gap means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// Reading ended before the end (`coverage.truncated`).
    Truncated,
    /// Entries are hidden from us (`coverage.denied`).
    Denied,
    /// What was read is old (`coverage.stale`).
    Stale,
    /// Rules could not run on it (`coverage.skipped`); no entry of ours is missing.
    Skipped,
}

impl GapKind {
    /// Whether entries may be missing, so that no executable plan can be made.
    pub fn concerns_entries(self) -> bool {
        self != Self::Skipped
    }

    /// The rule that reports it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Truncated => "coverage.truncated",
            Self::Denied => "coverage.denied",
            Self::Stale => "coverage.stale",
            Self::Skipped => "coverage.skipped",
        }
    }
}

/// One gap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// What it means.
    pub kind: GapKind,
    /// Where.
    pub place: Place,
    /// The base, area or entry; `None` for the store or the roster as a whole.
    pub dn: Option<Dn>,
    /// For [`GapKind::Skipped`]: the rules that could not run there.
    pub rules: Vec<String>,
    /// Why, in words.
    pub reason: String,
}

/// How a read that failed is to be taken.
pub(super) enum Failed {
    /// Something is missing; the audit goes on.
    Gap(GapKind, String),
    /// The store cannot be read.
    Fatal(DirectoryError),
}

/// LDAP result codes (RFC 4511, appendix A) that tell what is missing.
mod code {
    pub(super) const REFERRAL: u32 = 10;
    pub(super) const INSUFFICIENT_ACCESS: u32 = 50;
}

/// Tells what is missing from what must stop the audit: a server that is gone, a bind that is refused, a filter that is wrong.
pub(super) fn classify(error: DirectoryError) -> Failed {
    match (error.failure, error.code) {
        (Failure::NoSuchObject, _) => Failed::Gap(
            GapKind::Denied,
            format!("the base does not exist, or the reading identity has no right to see it ({})", error.message),
        ),
        (Failure::Refused, Some(code::INSUFFICIENT_ACCESS)) => {
            Failed::Gap(GapKind::Denied, format!("the server refuses to show it: {} (result code 50)", error.message))
        }
        (Failure::Refused, Some(code::REFERRAL)) => {
            Failed::Gap(GapKind::Denied, format!("another server holds it: {} (result code 10)", error.message))
        }
        (Failure::Busy | Failure::Refused, code) => {
            let code = code.map_or_else(String::new, |c| format!(" (result code {c})"));
            Failed::Gap(GapKind::Truncated, format!("the server ended the search early: {}{code}", error.message))
        }
        (Failure::Unknown | Failure::Unreachable | Failure::Credentials | Failure::Invalid | Failure::ConditionFailed, _) => {
            Failed::Fatal(error)
        }
    }
}
