//! Facts that several rules show.

use jiff::Timestamp;
use untether_model::finding::Evidence;
use untether_model::snapshot::{AccountState, CredentialKind, CredentialMark, PathState};

/// Adds the account's state: `state`, and each path that is not refused with the reason.
pub(super) fn add_state(evidence: &mut Evidence, state: &AccountState) {
    let word = |s: PathState| match s {
        PathState::Open => "open",
        PathState::Unknown => "unknown",
        PathState::Refused => "refused",
    };
    evidence.add("state", word(state.overall()));
    for path in &state.paths {
        if path.state != PathState::Refused || state.overall() == PathState::Refused {
            evidence.add("path", format!("{}: {} ({})", path.path, word(path.state), path.why));
        }
    }
    if state.locked {
        evidence.add("locked", "true");
    }
    if state.ended {
        evidence.add("validity-ended", "true");
    }
}

/// Adds a point in time, or `never`.
pub(super) fn add_last_use(evidence: &mut Evidence, seconds: u32) {
    evidence.add("last-use", at(seconds).map_or_else(|| "never".to_owned(), |t| t.to_string()));
}

/// The point in time of seconds since 1970; `None` for 0, which stands for "not told".
pub(super) fn at(seconds: u32) -> Option<Timestamp> {
    (seconds != 0).then(|| Timestamp::from_second(i64::from(seconds)).ok()).flatten()
}

/// What a credential value is, without giving it away.
pub(super) fn describe(mark: &CredentialMark) -> String {
    let kind = match mark.kind {
        CredentialKind::Password => "password",
        CredentialKind::History => "password history",
        CredentialKind::KerberosKey => "Kerberos key",
        CredentialKind::NtHash => "NT or LM hash",
        CredentialKind::SshKey => "SSH key",
        CredentialKind::Certificate => "certificate",
        CredentialKind::Pkcs12 => "PKCS#12 container",
        CredentialKind::CachedRemote => "cached remote password",
    };
    match (&mark.scheme, mark.clear) {
        (Some(scheme), _) => format!("{}: {kind} {{{scheme}}}", mark.attr),
        (None, true) => format!("{}: {kind} in clear text", mark.attr),
        (None, false) => format!("{}: {kind}", mark.attr),
    }
}
