//! Is there a way in? The state of an account over all of its authentication paths.
//!
//! Pure: audit judges what it collected with it, cutover judges what it reads back after a disable. The rules are those that were
//! observed on OpenLDAP 2.5 with its password policy overlay (draft-behera-ldap-password-policy): a lock is obeyed only where the
//! effective policy resolves and has `pwdLockout TRUE`; validity times only where it resolves; SASL mechanisms that read a clear-text
//! password obey neither. Deliberately not judged: an expired password (whoever holds it can have it reset), and what another
//! server answers on behalf of this one (that is unknown).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::snapshot::{AccountState, AuthPath, CredentialKind, CredentialMark, PathState, SnapshotEntry};
use crate::time::{PERMANENT_LOCK, generalized};
use crate::value::Value;
use crate::{AttrMap, Entry};

/// Schemes whose value is not a secret but names where the password is checked.
const PASS_THROUGH: [&str; 4] = ["SASL", "KERBEROS", "RADIUS", "UNIX"];

/// Mechanisms that let in whoever knows a password which the store holds in clear text.
const PASSWORD_MECHANISMS: [&str; 5] = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM"];

/// What can be told of a password value without giving it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordShape {
    /// Storage scheme in upper case without braces; `None` for clear text without one.
    pub scheme: Option<String>,
    /// The value is clear text: no scheme, or `{CLEARTEXT}`.
    pub clear: bool,
    /// The password is checked elsewhere (`{SASL}`, `{KERBEROS}`, `{RADIUS}`, `{UNIX}`).
    pub pass_through: bool,
    /// For pass-through values: the realm behind the last `@`.
    pub realm: Option<String>,
}

impl PasswordShape {
    /// Looks at a value of `userPassword` (RFC 2307, section 5.3: `{scheme}value`, the scheme without case).
    pub fn of(value: &[u8]) -> Self {
        let clear = Self { scheme: None, clear: true, pass_through: false, realm: None };
        let [b'{', rest @ ..] = value else { return clear };
        let Some(end) = rest.iter().position(|b| *b == b'}') else { return clear };
        let (name, secret) = (&rest[..end], &rest[end + 1..]);
        let plausible =
            !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.'));
        let Some(scheme) = plausible.then(|| String::from_utf8_lossy(name).to_ascii_uppercase()) else { return clear };
        let pass_through = PASS_THROUGH.contains(&scheme.as_str());
        let realm = pass_through
            .then(|| std::str::from_utf8(secret).ok())
            .flatten()
            .and_then(|text| text.rsplit_once('@'))
            .map(|(_, realm)| realm.trim().to_owned())
            .filter(|realm| !realm.is_empty());
        Self { clear: scheme == "CLEARTEXT", scheme: Some(scheme), pass_through, realm }
    }
}

impl From<&CredentialMark> for PasswordShape {
    fn from(mark: &CredentialMark) -> Self {
        Self { scheme: mark.scheme.clone(), clear: mark.clear, pass_through: mark.pass_through, realm: mark.realm.clone() }
    }
}

/// `pwdAccountLockedTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// `000001010000Z`: locked for good.
    Permanent,
    /// Locked since this time; ends after the policy's lockout duration.
    Since(Timestamp),
    /// A value that is no point in time.
    Unreadable,
}

/// A validity time of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// This point in time.
    At(Timestamp),
    /// A value that is no point in time.
    Unreadable,
}

/// Overlays over the account's database that send binds to another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteBind {
    /// None.
    #[default]
    None,
    /// `remoteauth`: binds of entries without a password are answered elsewhere. No stored password does not mean no way in.
    WithoutPassword,
    /// `pbind`: every simple bind is answered elsewhere.
    Every,
}

/// What an entry says about its ways in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFacts {
    /// Its password values.
    pub passwords: Vec<PasswordShape>,
    /// It holds an X.509 certificate.
    pub certificate: bool,
    /// It holds a Kerberos key.
    pub kerberos_key: bool,
    /// `pwdAccountLockedTime`.
    pub lock: Option<Lock>,
    /// `pwdStartTime`.
    pub starts: Option<Validity>,
    /// `pwdEndTime`.
    pub ends: Option<Validity>,
    /// Whether binds are answered by another server.
    pub remote: RemoteBind,
}

impl AccountFacts {
    /// The facts of an entry as the server holds it.
    pub fn from_entry(entry: &Entry) -> Self {
        let mut facts = Self::from_times(&entry.attrs);
        for (attr, values) in &entry.attrs {
            match attr.base() {
                "userpassword" => facts.passwords.extend(values.iter().map(|v| PasswordShape::of(v.as_bytes()))),
                "usercertificate" => facts.certificate |= !values.is_empty(),
                "krbprincipalkey" | "krb5key" => facts.kerberos_key |= !values.is_empty(),
                _ => {}
            }
        }
        facts
    }

    /// The facts of an entry as a snapshot keeps it.
    pub fn from_snapshot(entry: &SnapshotEntry) -> Self {
        let mut facts = Self::from_times(&entry.attrs);
        for mark in &entry.credentials {
            match mark.kind {
                // What else holds passwords (a POSIX or Samba attribute) is not what slapd compares.
                CredentialKind::Password if mark.attr.is("userpassword") => facts.passwords.push(mark.into()),
                CredentialKind::Certificate => facts.certificate = true,
                CredentialKind::KerberosKey => facts.kerberos_key = true,
                CredentialKind::Password
                | CredentialKind::History
                | CredentialKind::NtHash
                | CredentialKind::SshKey
                | CredentialKind::Pkcs12
                | CredentialKind::CachedRemote => {}
            }
        }
        facts
    }

    fn from_times(attrs: &AttrMap) -> Self {
        let first = |name: &str| first_value(attrs, name);
        let validity = |name| first(name).map(|v| generalized(v).map_or(Validity::Unreadable, Validity::At));
        Self {
            lock: first("pwdaccountlockedtime").map(read_lock),
            starts: validity("pwdstarttime"),
            ends: validity("pwdendtime"),
            ..Self::default()
        }
    }

    /// With the overlays over its database.
    #[must_use]
    pub fn with_remote(mut self, remote: RemoteBind) -> Self {
        self.remote = remote;
        self
    }
}

/// The first value of an attribute, by its name in lower case.
fn first_value<'a>(attrs: &'a AttrMap, folded: &str) -> Option<&'a Value> {
    attrs.iter().find(|(name, _)| name.folded() == folded).and_then(|(_, values)| values.first())
}

fn read_lock(value: &Value) -> Lock {
    match value.as_str() {
        Some(PERMANENT_LOCK) => Lock::Permanent,
        _ => generalized(value).map_or(Lock::Unreadable, Lock::Since),
    }
}

/// The password policy that applies to an entry: `pwdPolicySubentry`, else the store's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectivePolicy {
    /// It was read.
    Resolved(PolicyValues),
    /// Nothing resolves: no default, or a name that leads to no policy. Locks and validity times are ignored.
    Unresolved {
        /// What does not resolve, in words.
        why: String,
    },
    /// It could not be told.
    Unknown {
        /// Why, in words.
        why: String,
    },
}

/// The values of a password policy that decide on locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyValues {
    /// `pwdLockout`: locks are obeyed.
    pub lockout: bool,
    /// `pwdLockoutDuration` in seconds; 0: a lock does not end by itself.
    pub lockout_duration_secs: u64,
    /// `pwdMustChange`: a password that somebody else set must be changed first.
    pub must_change: bool,
}

impl PolicyValues {
    /// The values of a `pwdPolicy` entry; what is absent has its default (`FALSE`, 0).
    pub fn from_attrs(attrs: &AttrMap) -> Self {
        let text = |name: &str| first_value(attrs, name).and_then(Value::as_str).unwrap_or_default();
        let flag = |name| text(name).trim().eq_ignore_ascii_case("TRUE");
        Self {
            lockout: flag("pwdlockout"),
            // A value that is no number is none: the lock then has no end, which is what slapd makes of it.
            lockout_duration_secs: text("pwdlockoutduration").trim().parse().unwrap_or(0),
            must_change: flag("pwdmustchange"),
        }
    }
}

/// The SASL mechanisms that the server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaslOffer {
    /// Names as the root DSE lists them; `None` where nobody could be asked (an export): the path is then not judged at all.
    pub mechanisms: Option<Vec<String>>,
}

impl SaslOffer {
    /// A server that offers these.
    pub fn of<S: Into<String>>(mechanisms: impl IntoIterator<Item = S>) -> Self {
        Self { mechanisms: Some(mechanisms.into_iter().map(Into::into).collect()) }
    }

    /// Nobody could be asked.
    pub fn unknown() -> Self {
        Self { mechanisms: None }
    }

    fn offered(&self, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
        self.mechanisms.iter().flatten().map(String::as_str).filter(|m| wanted(&m.to_ascii_uppercase())).collect()
    }
}

/// What the password policy overlay answers to a bind with the right credential.
struct Gate {
    state: PathState,
    why: String,
    locked: bool,
    ended: bool,
}

/// Judges an account over all of its paths.
///
/// The paths are `simple-bind`, `pass-through`, `remote`, `sasl` and `certificate`; one that cannot apply is left out, except
/// `simple-bind`. An account without any path is refused.
pub fn judge(facts: &AccountFacts, policy: &EffectivePolicy, offer: &SaslOffer, now: Timestamp) -> AccountState {
    let gate = gate(facts, policy, now);
    let mut paths = Vec::new();
    let mut path = |name: &str, state: PathState, why: String| paths.push(AuthPath { path: name.to_owned(), state, why });

    let stored = facts.passwords.iter().filter(|p| !p.pass_through).count();
    match stored {
        0 => path("simple-bind", PathState::Refused, "no password is stored".to_owned()),
        _ => path("simple-bind", gate.state, gate.why.clone()),
    }
    let through: Vec<&str> = facts.passwords.iter().filter(|p| p.pass_through).filter_map(|p| p.scheme.as_deref()).collect();
    if !through.is_empty() {
        path("pass-through", gate.state, format!("{{{}}}: {}", through.join("}, {"), gate.why));
    }
    let remote = match facts.remote {
        RemoteBind::None => None,
        RemoteBind::Every => Some("the overlay pbind sends simple binds to another server"),
        RemoteBind::WithoutPassword if facts.passwords.is_empty() => {
            Some("no password is stored, so the overlay remoteauth asks another server")
        }
        RemoteBind::WithoutPassword => None,
    };
    if let Some(why) = remote {
        // Which overlay sees the bind first depends on their order, and the other server may keep a state of its own.
        path("remote", PathState::Unknown, why.to_owned());
    }
    let by_password = offer.offered(|m| PASSWORD_MECHANISMS.contains(&m) || m.starts_with("SCRAM-"));
    if facts.passwords.iter().any(|p| p.clear) && offer.mechanisms.is_some() {
        match by_password.is_empty() {
            true => path("sasl", PathState::Refused, "no mechanism on offer reads the clear-text password".to_owned()),
            false => {
                path("sasl", PathState::Open, format!("clear-text password with {}, which obey no lock", by_password.join(", ")))
            }
        }
    }
    let kerberos = offer.offered(|m| m == "GSSAPI" || m.starts_with("GS2-"));
    if facts.kerberos_key && !kerberos.is_empty() {
        path(
            "kerberos",
            PathState::Unknown,
            format!("Kerberos key with {}: the key distribution centre decides", kerberos.join(", ")),
        );
    }
    if facts.certificate && !offer.offered(|m| m == "EXTERNAL").is_empty() {
        path("certificate", PathState::Unknown, "certificate with EXTERNAL: the mapping of names decides".to_owned());
    }
    let policy_effective = match policy {
        EffectivePolicy::Resolved(values) => Some(values.lockout),
        EffectivePolicy::Unresolved { .. } => Some(false),
        EffectivePolicy::Unknown { .. } => None,
    };
    AccountState { paths, locked: gate.locked, ended: gate.ended, policy_effective }
}

fn gate(facts: &AccountFacts, policy: &EffectivePolicy, now: Timestamp) -> Gate {
    let permanent = facts.lock == Some(Lock::Permanent);
    let ended = matches!(facts.ends, Some(Validity::At(end)) if end <= now);
    let values = match policy {
        EffectivePolicy::Resolved(values) => values,
        EffectivePolicy::Unresolved { why } => {
            let restricted = facts.lock.is_some() || facts.starts.is_some() || facts.ends.is_some();
            let why = match restricted {
                true => format!("a password is let in: {why}, so locks and validity times are ignored"),
                false => "a password is let in".to_owned(),
            };
            return Gate { state: PathState::Open, why, locked: permanent, ended };
        }
        EffectivePolicy::Unknown { why } => {
            let restricted = facts.lock.is_some() || facts.starts.is_some() || facts.ends.is_some();
            let (state, why) = match restricted {
                true => (PathState::Unknown, format!("whether locks and validity times are obeyed is not known: {why}")),
                false => (PathState::Open, "a password is let in".to_owned()),
            };
            return Gate { state, why, locked: permanent, ended };
        }
    };
    let endless = matches!(facts.lock, Some(Lock::Since(at)) if at <= now && values.lockout_duration_secs == 0);
    let locked = permanent || endless;
    let (state, why) = if matches!(facts.starts, Some(Validity::At(start)) if start > now) {
        (PathState::Refused, "pwdStartTime is in the future".to_owned())
    } else if ended {
        (PathState::Refused, "pwdEndTime is in the past".to_owned())
    } else if values.lockout && locked {
        (PathState::Refused, if permanent { "locked for good" } else { "locked, and its policy sets no end" }.to_owned())
    } else if matches!(facts.starts, Some(Validity::Unreadable)) || matches!(facts.ends, Some(Validity::Unreadable)) {
        (PathState::Unknown, "pwdStartTime or pwdEndTime is not a point in time".to_owned())
    } else if values.lockout && facts.lock == Some(Lock::Unreadable) {
        (PathState::Unknown, "pwdAccountLockedTime is not a point in time".to_owned())
    } else {
        (PathState::Open, open_reason(facts, values, locked, now))
    };
    Gate { state, why, locked, ended }
}

fn open_reason(facts: &AccountFacts, values: &PolicyValues, locked: bool, now: Timestamp) -> String {
    let Some(lock) = facts.lock else { return "a password is let in".to_owned() };
    if !values.lockout {
        return match locked {
            true => "a password is let in: the lock is on, and its policy has pwdLockout FALSE".to_owned(),
            false => "a password is let in: its policy has pwdLockout FALSE".to_owned(),
        };
    }
    let Lock::Since(since) = lock else { return "a password is let in".to_owned() };
    let duration = SignedDuration::from_secs(i64::try_from(values.lockout_duration_secs).unwrap_or(i64::MAX));
    match since.checked_add(duration) {
        _ if since > now => "a password is let in: the lock time is in the future".to_owned(),
        Ok(end) if end <= now => "a password is let in: the temporary lock has expired".to_owned(),
        Ok(end) => format!("a password is let in again from {end}: the lock is temporary"),
        Err(_) => "a password is let in again some day: the lock is temporary".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttrName;

    const LOCKING: EffectivePolicy =
        EffectivePolicy::Resolved(PolicyValues { lockout: true, lockout_duration_secs: 600, must_change: false });
    const ENDLESS: EffectivePolicy =
        EffectivePolicy::Resolved(PolicyValues { lockout: true, lockout_duration_secs: 0, must_change: false });
    const IGNORING: EffectivePolicy =
        EffectivePolicy::Resolved(PolicyValues { lockout: false, lockout_duration_secs: 0, must_change: false });

    fn now() -> Timestamp {
        "2026-11-20T00:00:00Z".parse().unwrap()
    }

    fn dangling() -> EffectivePolicy {
        EffectivePolicy::Unresolved { why: "cn=gone does not exist".to_owned() }
    }

    fn unknown() -> EffectivePolicy {
        EffectivePolicy::Unknown { why: "an export does not hold it".to_owned() }
    }

    fn entry(lines: &[(&str, &str)]) -> AccountFacts {
        let mut entry = Entry::new("uid=a,dc=x".parse().unwrap());
        for (name, value) in lines {
            entry.attrs.entry(AttrName::new(name)).or_default().push(Value::from(*value));
        }
        AccountFacts::from_entry(&entry)
    }

    fn state(lines: &[(&str, &str)], policy: &EffectivePolicy) -> PathState {
        judge(&entry(lines), policy, &SaslOffer::of(["EXTERNAL", "SCRAM-SHA-256"]), now()).overall()
    }

    const HASH: (&str, &str) = ("userPassword", "{SSHA}abc");
    const LOCKED: (&str, &str) = ("pwdAccountLockedTime", "000001010000Z");
    const PAST_END: (&str, &str) = ("pwdEndTime", "20261101000000Z");

    #[test]
    fn a_lock_counts_only_where_the_policy_resolves_and_locks() {
        assert_eq!(state(&[HASH], &LOCKING), PathState::Open);
        assert_eq!(state(&[HASH, LOCKED], &LOCKING), PathState::Refused);
        assert_eq!(state(&[HASH, LOCKED], &IGNORING), PathState::Open);
        assert_eq!(state(&[HASH, LOCKED], &dangling()), PathState::Open);
        assert_eq!(state(&[HASH, LOCKED], &unknown()), PathState::Unknown);
        assert_eq!(state(&[HASH], &unknown()), PathState::Open);
        assert_eq!(state(&[], &LOCKING), PathState::Refused);
    }

    #[test]
    fn validity_times_count_whatever_pwd_lockout_says_but_not_without_a_policy() {
        assert_eq!(state(&[HASH, PAST_END], &IGNORING), PathState::Refused);
        assert_eq!(state(&[HASH, PAST_END], &dangling()), PathState::Open);
        assert_eq!(state(&[HASH, ("pwdStartTime", "20270101000000Z")], &IGNORING), PathState::Refused);
        assert_eq!(state(&[HASH, ("pwdEndTime", "20270101000000Z")], &LOCKING), PathState::Open);
        assert_eq!(state(&[HASH, ("pwdEndTime", "soon")], &LOCKING), PathState::Unknown);
    }

    #[test]
    fn temporary_expired_and_future_locks_are_no_locks() {
        let past = ("pwdAccountLockedTime", "20261119235500Z");
        let judged = |line, policy: &EffectivePolicy| {
            let judged = judge(&entry(&[HASH, line]), policy, &SaslOffer::unknown(), now());
            (judged.overall(), judged.locked)
        };
        assert_eq!(judged(past, &LOCKING), (PathState::Open, false));
        assert_eq!(judged(past, &ENDLESS), (PathState::Refused, true));
        assert_eq!(judged(past, &IGNORING), (PathState::Open, true));
        assert_eq!(judged(("pwdAccountLockedTime", "20261120000500Z"), &ENDLESS), (PathState::Open, false));
        assert_eq!(judged(("pwdAccountLockedTime", "20250101000000Z"), &LOCKING), (PathState::Open, false));
    }

    #[test]
    fn a_clear_text_password_stays_usable_by_sasl_on_a_locked_account() {
        assert_eq!(state(&[("userPassword", "secret"), LOCKED, PAST_END], &LOCKING), PathState::Open);
        assert_eq!(state(&[("userPassword", "{cleartext}secret"), LOCKED], &LOCKING), PathState::Open);
        let facts = entry(&[("userPassword", "secret"), LOCKED]);
        assert_eq!(judge(&facts, &LOCKING, &SaslOffer::of(["EXTERNAL"]), now()).overall(), PathState::Refused);
        assert_eq!(judge(&facts, &LOCKING, &SaslOffer::unknown(), now()).overall(), PathState::Refused);
    }

    #[test]
    fn values_that_pass_the_password_on_are_a_path_of_their_own() {
        let judged = judge(&entry(&[("userPassword", "{SASL}a@X")]), &LOCKING, &SaslOffer::unknown(), now());
        assert_eq!(
            judged.paths.iter().map(|p| (p.path.as_str(), p.state)).collect::<Vec<_>>(),
            [("simple-bind", PathState::Refused), ("pass-through", PathState::Open)]
        );
        assert_eq!(state(&[("userPassword", "{SASL}a@X"), LOCKED], &LOCKING), PathState::Refused);
    }

    #[test]
    fn no_stored_password_is_no_proof_where_another_server_is_asked() {
        let without = AccountFacts::default().with_remote(RemoteBind::WithoutPassword);
        assert_eq!(judge(&without, &LOCKING, &SaslOffer::unknown(), now()).overall(), PathState::Unknown);
        let with = entry(&[HASH, LOCKED]).with_remote(RemoteBind::WithoutPassword);
        assert_eq!(judge(&with, &LOCKING, &SaslOffer::unknown(), now()).overall(), PathState::Refused);
        let proxied = entry(&[HASH, LOCKED]).with_remote(RemoteBind::Every);
        assert_eq!(judge(&proxied, &LOCKING, &SaslOffer::unknown(), now()).overall(), PathState::Unknown);
    }

    #[test]
    fn password_values_are_told_apart_by_their_scheme() {
        let shape = |text: &str| PasswordShape::of(text.as_bytes());
        assert_eq!(shape("{sasl}taro@corp@REALM").realm.as_deref(), Some("REALM"));
        assert!(shape("{SASL}taro").pass_through && shape("{SASL}taro").realm.is_none());
        assert_eq!(shape("{SSHA}x@y").realm, None);
        assert_eq!(shape("{ssha}x").scheme.as_deref(), Some("SSHA"));
        assert!(shape("{not a scheme}x").clear);
        assert!(shape("{open").clear && shape("").clear);
        assert!(shape("{CLEARTEXT}x").clear);
    }
}
