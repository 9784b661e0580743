//! The password policy overlay (draft-behera-ldap-password-policy) as OpenLDAP 2.5 carries it out: what a bind meets and leaves
//! behind, and what a password write does beside the password.
//!
//! Deliberately absent: ageing, grace logins, minimum lengths, and the hashing of clear text.

use jiff::{SignedDuration, Timestamp};
use untether_model::change::{ModKind, Modification};
use untether_model::time::{PERMANENT_LOCK, parse_generalized, to_generalized};
use untether_model::{AttrName, Dn, Value};

use super::config::{Identity, TwinConfig};
use super::password;
use super::refusal::{Refusal, code};
use super::tree::{Stored, Tree};

const PASSWORD: &str = "userPassword";
const LOCK: &str = "pwdAccountLockedTime";
const FAILURES: &str = "pwdFailureTime";
const HISTORY: &str = "pwdHistory";
const CHANGED: &str = "pwdChangedTime";
const RESET: &str = "pwdReset";
const LAST_SUCCESS: &str = "pwdLastSuccess";

/// What applies to an entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    /// The policy entry exists. Without it neither locks nor validity times count.
    pub(super) resolves: bool,
    lockout: bool,
    lockout_seconds: i64,
    max_failures: usize,
    failure_seconds: i64,
    history: usize,
    must_change: bool,
    checks_quality: bool,
    ages: bool,
}

impl Policy {
    /// The effective policy: the one that the entry names, else the default one.
    pub(super) fn of(entry: &Stored, tree: &Tree, config: &TwinConfig) -> Self {
        let named = entry.text("pwdPolicySubentry").map(|name| Dn::parse(name).ok());
        let name = match named {
            Some(name) => name,
            None => config.default_policy.clone(),
        };
        // An entry that is no policy is one without any of its attributes.
        let Some(policy) = name.and_then(|name| tree.get(&name)) else {
            return Self::default();
        };
        let truth = |attr: &str| policy.text(attr).is_some_and(|text| text.eq_ignore_ascii_case("TRUE"));
        let number = |attr: &str| policy.text(attr).and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
        let count = |attr: &str| usize::try_from(number(attr)).unwrap_or(usize::MAX);
        Self {
            resolves: true,
            lockout: truth("pwdLockout"),
            lockout_seconds: number("pwdLockoutDuration").into(),
            max_failures: count("pwdMaxFailure"),
            failure_seconds: number("pwdFailureCountInterval").into(),
            history: count("pwdInHistory"),
            must_change: truth("pwdMustChange"),
            checks_quality: number("pwdCheckQuality") >= 2,
            ages: number("pwdMaxAge") > 0 || number("pwdMinAge") > 0,
        }
    }

    /// Whether a bind is refused before its password is looked at.
    pub(super) fn refuses(&self, entry: &Stored, now: Timestamp) -> bool {
        let time = |attr: &str| entry.text(attr).and_then(parse_generalized);
        if !self.resolves {
            return false;
        }
        if time("pwdStartTime").is_some_and(|start| now < start) || time("pwdEndTime").is_some_and(|end| now > end) {
            return true;
        }
        let Some(lock) = entry.text(LOCK).filter(|_| self.lockout) else { return false };
        if lock == PERMANENT_LOCK {
            return true;
        }
        match parse_generalized(lock) {
            None => true,
            Some(since) if since > now => false,
            Some(_) => !self.lock_has_ended(entry, now),
        }
    }

    /// Whether a temporary lock has lasted as long as the policy says; the next bind takes it away.
    pub(super) fn lock_has_ended(&self, entry: &Stored, now: Timestamp) -> bool {
        let since = entry.text(LOCK).filter(|lock| self.lockout && *lock != PERMANENT_LOCK).and_then(parse_generalized);
        self.lockout_seconds > 0 && since.is_some_and(|since| since <= now && later(since, self.lockout_seconds) <= now)
    }

    /// What a refused password leaves on the entry; false if nothing, as under a policy that counts no failures.
    pub(super) fn record_failure(&self, entry: &mut Stored, now: Timestamp) -> bool {
        if self.max_failures == 0 {
            return false;
        }
        let mut failures: Vec<String> = entry.values(FAILURES).filter_map(Value::as_str).map(str::to_owned).collect();
        if self.failure_seconds > 0 {
            failures.retain(|text| parse_generalized(text).is_none_or(|at| later(at, self.failure_seconds) > now));
        }
        // Times must differ to be different values; slapd counts microseconds up too.
        let mut at = now;
        while failures.contains(&micros(at)) {
            at = at.checked_add(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN);
        }
        failures.push(micros(at));
        let surplus = failures.len().saturating_sub(self.max_failures);
        failures.drain(..surplus);
        if self.lockout && failures.len() >= self.max_failures {
            entry.set(LOCK, to_generalized(now));
        }
        entry.attrs.insert(AttrName::new(FAILURES), super::values::Values::Few(failures.into_iter().map(Value::from).collect()));
        true
    }

    /// What a successful bind leaves on the entry; false if nothing.
    pub(super) fn record_success(&self, entry: &mut Stored, now: Timestamp, last_bind: bool) -> bool {
        let mut changed = false;
        if self.resolves && entry.has(FAILURES) {
            entry.clear(FAILURES);
            changed = true;
        }
        if last_bind && entry.text(LAST_SUCCESS) != Some(&to_generalized(now)) {
            entry.set(LAST_SUCCESS, to_generalized(now));
            changed = true;
        }
        changed
    }

    /// What the policy says to an entry that is added with a password.
    pub(super) fn on_add(&self, entry: &mut Stored, by: Identity, now: Timestamp) -> Result<(), Refusal> {
        if !entry.has(PASSWORD) {
            return Ok(());
        }
        if entry.values(PASSWORD).nth(1).is_some() {
            return Err(one_value());
        }
        if let Some(value) = entry.values(PASSWORD).next() {
            self.check_quality(value, by)?;
        }
        if self.ages && !entry.has(CHANGED) {
            entry.set(CHANGED, to_generalized(now));
        }
        Ok(())
    }

    fn check_quality(&self, value: &Value, by: Identity) -> Result<(), Refusal> {
        if self.checks_quality && !by.manages() && password::clear_text(value).is_none() {
            return Err(Refusal::new(code::CONSTRAINT, "Password fails quality checking policy"));
        }
        Ok(())
    }
}

/// One modify, as the policy sees it.
pub(super) struct PasswordWrite<'a> {
    pub(super) policy: &'a Policy,
    pub(super) by: Identity,
    pub(super) now: Timestamp,
    /// The entry as it was.
    pub(super) before: &'a Stored,
    pub(super) mods: &'a [Modification],
}

impl PasswordWrite<'_> {
    fn on(&self, attr: &'static str) -> impl Iterator<Item = &Modification> {
        self.mods.iter().filter(move |m| m.attr.as_str().eq_ignore_ascii_case(attr))
    }

    fn touches(&self, attr: &'static str) -> bool {
        self.on(attr).next().is_some()
    }

    fn deletes(&self, attr: &'static str) -> bool {
        self.on(attr).any(|m| m.kind == ModKind::Delete)
    }

    /// The value that is added or put in the place of the old one.
    fn new_value(&self) -> Option<&Value> {
        self.on(PASSWORD).filter(|m| m.kind != ModKind::Delete).find_map(|m| m.values.first())
    }

    /// The modifications as they are carried out: whoever gives the old password in clear text, with a new one, means its value.
    pub(super) fn meant(&self) -> Vec<Modification> {
        let changes = self.new_value().is_some() && !self.by.manages();
        let stored =
            |given: &Value| self.before.values(PASSWORD).find(|stored| password::opens(stored, given.as_bytes())).cloned();
        let mut mods = self.mods.to_vec();
        for m in
            mods.iter_mut().filter(|m| changes && m.kind == ModKind::Delete && m.attr.as_str().eq_ignore_ascii_case(PASSWORD))
        {
            for value in &mut m.values {
                if let Some(stored) = stored(value) {
                    *value = stored;
                }
            }
        }
        mods
    }

    /// Refuses the write before anything is changed.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let come = self.on(PASSWORD).filter(|m| m.kind != ModKind::Delete && !m.values.is_empty());
        if come.map(|m| m.values.len()).sum::<usize>() > 1 {
            return Err(one_value());
        }
        let Some(new) = self.new_value().filter(|_| !self.by.manages()) else { return Ok(()) };
        let old = self.on(PASSWORD).filter(|m| m.kind == ModKind::Delete).find_map(|m| m.values.first());
        if let Some(old) = old
            && self.before.has(PASSWORD)
            && !self.before.values(PASSWORD).any(|stored| password::opens(stored, old.as_bytes()))
        {
            return Err(Refusal::new(code::UNWILLING, "Must supply correct old password to change to new one"));
        }
        self.policy.check_quality(new, self.by)?;
        if let Some(clear) = password::clear_text(new).filter(|_| self.policy.history > 0) {
            if self.before.values(PASSWORD).any(|stored| password::opens(stored, clear)) {
                return Err(Refusal::new(code::CONSTRAINT, "Password is not being changed from existing value"));
            }
            if self.before.values(HISTORY).filter_map(remembered).any(|stored| password::opens(&stored, clear)) {
                return Err(Refusal::new(code::CONSTRAINT, "Password is in history of old passwords"));
            }
        }
        Ok(())
    }

    /// What the overlay appends to the modifications, applied to the entry after them.
    pub(super) fn finish(&self, entry: &mut Stored) -> Result<(), Refusal> {
        let writes = self.touches(PASSWORD) && (self.by.manages() || self.new_value().is_some());
        if !writes {
            // Whoever deletes the lock (a replace with nothing is not seen as that) forgives the failures.
            if self.deletes(LOCK) && !self.touches(FAILURES) {
                entry.clear(FAILURES);
            }
            return Ok(());
        }
        if !self.touches(CHANGED) {
            // The last modification of the password decides.
            if self.on(PASSWORD).last().is_some_and(|m| m.kind == ModKind::Delete) {
                entry.clear(CHANGED);
            } else {
                entry.set(CHANGED, to_generalized(self.now));
            }
        }
        if self.before.has(LOCK) && !self.deletes(LOCK) {
            append_delete(entry, LOCK)?;
        }
        for attr in [FAILURES, "pwdGraceUseTime"] {
            if self.before.has(attr) && !self.touches(attr) {
                entry.clear(attr);
            }
        }
        entry.clear(LAST_SUCCESS);
        // What the modify itself says of it stays; only a delete is not seen as that.
        if self.on(RESET).all(|m| m.kind == ModKind::Delete) {
            if self.by.manages() && self.policy.must_change {
                entry.set(RESET, "TRUE");
            } else if self.before.has(RESET) {
                append_delete(entry, RESET)?;
            }
        }
        if !self.touches(HISTORY) {
            self.remember(entry)?;
        }
        Ok(())
    }

    /// Moves the old password into the history.
    fn remember(&self, entry: &mut Stored) -> Result<(), Refusal> {
        if self.policy.history == 0 {
            entry.clear(HISTORY);
            return Ok(());
        }
        let Some(old) = self.before.values(PASSWORD).next() else { return Ok(()) };
        // Octet string (RFC 4517, section 3.3.25).
        let mut value =
            format!("{}#1.3.6.1.4.1.1466.115.121.1.40#{}#", to_generalized(self.now), old.as_bytes().len()).into_bytes();
        value.extend_from_slice(old.as_bytes());
        let value = Value::new(value);
        let mut history: Vec<Value> = entry.values(HISTORY).cloned().collect();
        if history.contains(&value) {
            return Err(Refusal::new(code::VALUE_EXISTS, format!("modify/add: {HISTORY}: value #0 already exists")));
        }
        history.push(value);
        let surplus = history.len().saturating_sub(self.policy.history);
        history.drain(..surplus);
        entry.attrs.insert(AttrName::new(HISTORY), super::values::Values::Few(history));
        Ok(())
    }
}

/// The overlay's own delete, which fails as any other does where the modify has taken the attribute away already.
fn append_delete(entry: &mut Stored, attr: &str) -> Result<(), Refusal> {
    if !entry.has(attr) {
        return Err(Refusal::new(code::NO_SUCH_ATTRIBUTE, format!("modify/delete: {attr}: no such attribute")));
    }
    entry.clear(attr);
    Ok(())
}

/// The password in a history value: `time#syntax#length#password`.
fn remembered(value: &Value) -> Option<Value> {
    value.as_bytes().splitn(4, |b| *b == b'#').nth(3).map(Value::new)
}

fn one_value() -> Refusal {
    Refusal::new(code::CONSTRAINT, "Password policy only allows one password value")
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

fn micros(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%S.%6fZ").to_string()
}
