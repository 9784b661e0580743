//! Labels: which findings the planted situations call for.
//!
//! Everything is derived from what was planted ([`Person`], [`Account`]) by the text of the
//! audit's rules as read in the module documentation of `generate`; no store is read back.

use super::account::{Account, Club, Kind, Owner, Twin, Undecided};
use super::person::{Fate, Person};
use super::secret::Scheme;
use super::world::{OWN_REALM, SHARED_REALM, Store};
use serde::Serialize;

/// Days without use after which an open account is dormant.
const DORMANT_DAYS: i64 = 180;

/// One expected finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Label {
    pub rule: &'static str,
    pub severity: &'static str,
    pub store: &'static str,
    /// As stored; none for a finding about a whole store.
    pub dn: Option<String>,
    pub entity: Option<&'static str>,
    pub person_id: Option<String>,
    pub note: &'static str,
    /// The rule that could not run, of a `coverage.skipped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<&'static str>,
}

/// The status rule that an account falls under.
pub(super) fn status(person: &Person, account: &Account) -> Option<&'static str> {
    if account.undecided.is_some() {
        return None;
    }
    match person.fate {
        Fate::Departed => Some("residual.departed"),
        Fate::ContractOver => Some("residual.contract-ended"),
        Fate::Present | Fate::OnLeave => {
            (account.store == Store::Shared && person.has_moved()).then_some("residual.already-separated")
        }
        Fate::NotStarted => None,
        Fate::Unlisted => {
            let answered_for = account.owner == Some(Owner::Present);
            let judged = matches!(account.kind, Kind::Person | Kind::Secondary | Kind::Mailbox | Kind::Test);
            (judged && !answered_for && !account.protected).then_some("residual.orphan")
        }
    }
}

/// Labels of one account; `dangling` tells for which reference the target is a residual or
/// missing.
pub(super) fn labels(person: &Person, account: &Account, refers_to_residual: bool) -> Vec<Label> {
    let mut found = Found { labels: Vec::new(), person, account };
    let status = status(person, account);
    let open = account.is_open();
    if let Some(rule) = status {
        found.add(rule, status_severity(rule, account), state_note(account));
        residue(&mut found);
    } else if is_dormant(person, account) {
        found.add("residual.dormant", "low", "not used for longer than 180 days");
    }
    match account.undecided {
        Some(Undecided::Ambiguous) => found.add("correlation.ambiguous", "medium", "the strongest key has several candidates"),
        Some(Undecided::Conflicting) => found.add("correlation.conflicting", "medium", "two keys lead to different subjects"),
        None => {}
    }
    if account.wrong_entity {
        found.add("correlation.entity", "low", "subtree or attribute against the roster");
    }
    if account.spare {
        found.add("residual.duplicate", "medium", "not the primary account of its subject");
    }
    if account.secret.is_some() && account.access.is_ineffective() {
        found.add("residual.lock-ineffective", "critical", "locked, and yet it lets in");
    }
    if refers_to_residual {
        found.add("residual.reference", "low", "names a residual account or none");
    }
    if account.kind == Kind::Service && account.owner != Some(Owner::Present) {
        found.add("access.service-account", if open { "high" } else { "medium" }, "no owner, or one who is gone");
    }
    let privileged = account.clubs.iter().any(|club| matches!(club, Club::Admins | Club::VpnAdmins | Club::OwnAdmins));
    if privileged {
        let severity = if status.is_some() { "critical" } else { "medium" };
        found.add("access.privileged", severity, "effective member of a privileged group");
    }
    if lacks_factor(person, account) {
        found.add("access.mfa-missing", if privileged { "high" } else { "medium" }, "no acceptable factor");
    }
    if let Some(severity) = pass_through(account) {
        found.add("link.pass-through", severity, "the password is checked elsewhere");
    }
    match account.twin {
        Some(Twin::Current) => found.add("link.shared-secret", "critical", "the same value in both stores"),
        Some(Twin::History) => found.add("link.shared-secret", "medium", "the same value, once in a history"),
        None => {}
    }
    if account.mapped {
        found.add("link.mapping", "medium", "authzTo names an identity of the other store");
    }
    found.labels
}

struct Found<'a> {
    labels: Vec<Label>,
    person: &'a Person,
    account: &'a Account,
}

impl Found<'_> {
    fn add(&mut self, rule: &'static str, severity: &'static str, note: &'static str) {
        let entity = match (self.person.fate, self.account.undecided) {
            // Nobody knows whose it is: the account speaks for itself.
            (Fate::Unlisted, _) | (_, Some(_)) => self.account.stated_entity(),
            _ => Some(self.person.entity.id()),
        };
        self.labels.push(Label {
            rule,
            severity,
            store: self.account.store.name(),
            dn: Some(self.account.dn()),
            entity,
            person_id: self.person.person_id(),
            note,
            about: None,
        });
    }
}

fn status_severity(rule: &str, account: &Account) -> &'static str {
    let open = account.is_open();
    match (rule, account.store) {
        ("residual.departed" | "residual.contract-ended", Store::Shared) => {
            if open {
                "critical"
            } else {
                "high"
            }
        }
        ("residual.departed" | "residual.contract-ended", Store::Independent) => {
            if open {
                "high"
            } else {
                "low"
            }
        }
        ("residual.already-separated", _) if is_scrubbed(account) => "low",
        _ if open => "high",
        _ => "medium",
    }
}

fn state_note(account: &Account) -> &'static str {
    if account.protected {
        "protected"
    } else if account.is_open() {
        "open"
    } else {
        "refused"
    }
}

/// Locked, and nothing left but what the retention list names.
fn is_scrubbed(account: &Account) -> bool {
    !account.access.lets_in() && account.lean && !holds_credential(account)
}

fn holds_credential(account: &Account) -> bool {
    account.secret.is_some() || !account.history.is_empty() || account.certificate || account.pkcs12
}

/// What a shared account with a status finding still holds.
fn residue(found: &mut Found<'_>) {
    let account = found.account;
    if account.store != Store::Shared {
        return;
    }
    if holds_credential(account) {
        let severity = if account.is_open() { "high" } else { "medium" };
        found.add("residual.credential", severity, "password, history or certificate");
    }
    if !account.lean {
        found.add("residual.attribute", "low", "attributes beyond the retention list");
    }
}

fn is_dormant(person: &Person, account: &Account) -> bool {
    let somebodys = matches!(account.kind, Kind::Person | Kind::Secondary);
    if person.fate != Fate::Present || !somebodys || account.protected || account.undecided.is_some() || !account.is_open() {
        return false;
    }
    let last_use = match (account.used, account.changed) {
        (Some(used), Some(changed)) => Some(used.min(changed)),
        (used, changed) => used.or(changed),
    };
    last_use.unwrap_or(account.created) > DORMANT_DAYS
}

fn lacks_factor(person: &Person, account: &Account) -> bool {
    let somebodys = matches!(account.kind, Kind::Person | Kind::Secondary) && person.fate != Fate::Unlisted;
    let acceptable = account.factors.iter().any(|factor| matches!(*factor, "webauthn" | "totp"));
    account.store == Store::Independent
        && somebodys
        && account.undecided.is_none()
        && !account.protected
        && account.is_open()
        && !acceptable
}

fn pass_through(account: &Account) -> Option<&'static str> {
    let own_realm = match account.store {
        Store::Shared => SHARED_REALM,
        Store::Independent => OWN_REALM,
    };
    match account.secret.as_ref()?.scheme {
        Scheme::Sasl(realm) | Scheme::SaslMixedCase(realm) | Scheme::Kerberos(realm) => (realm != own_realm).then_some("high"),
        Scheme::SaslBare | Scheme::Radius => Some("high"),
        Scheme::Unix => Some("medium"),
        Scheme::Ssha | Scheme::Ssha512 | Scheme::Sha | Scheme::Crypt | Scheme::Argon2 | Scheme::Plain | Scheme::Cleartext => None,
    }
}
