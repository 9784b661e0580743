//! One server: address, TLS, binds, controls, clock, limits, bases.

use std::collections::BTreeSet;
use std::time::Duration;

use untether_directory::{Control, Failure, Read};
use untether_ldap::{Client, SearchLimit};
use untether_model::{AttrName, Side};

use crate::command::doctor::rows::Checks;
use crate::config::{BindConfig, Config};
use crate::error::CliError;
use crate::rights::Role;
use crate::state;
use crate::wiring::stores::client;

/// Clocks that differ by more than this (seconds) make lock times and logins mean something else than they say.
const CLOCK_TOLERANCE: u64 = 60;

/// How long the search limit is looked for: the whole store is counted through.
const LIMIT_BOUND: Duration = Duration::from_secs(120);

/// A client for each configured identity of a store.
pub struct Clients {
    /// Absent where the store is given as exports.
    pub read: Option<Client>,
    /// See [`crate::config::StoreConfig`], as for the others.
    pub write: Option<Client>,
    /// Undoes.
    pub undo: Option<Client>,
    /// Reads `cn=config`.
    pub config: Option<Client>,
    /// The probe account.
    pub probe: Option<Client>,
    /// The control account.
    pub control: Option<Client>,
}

impl Clients {
    /// Fetches the secrets; connects nothing.
    pub fn open(config: &Config, side: Side) -> Result<Self, CliError> {
        let store = config.store(side);
        let online = store.url.is_some();
        let open = |bind: &Option<BindConfig>, name: &str| {
            let bind = bind.as_ref().filter(|bind| online || bind.url.is_some());
            bind.map(|bind| client(config, side, bind, &format!("[{side}.{name}]"))).transpose()
        };
        Ok(Self {
            read: open(&store.read, "read")?.filter(|_| online),
            write: open(&store.write, "write")?,
            undo: open(&store.undo, "undo")?,
            config: open(&store.config, "config")?,
            probe: open(&store.probe, "probe")?,
            control: open(&store.control, "control")?,
        })
    }

    /// The client of a role.
    pub fn of(&self, role: Role) -> Option<&Client> {
        match role {
            Role::Read => self.read.as_ref(),
            Role::Write => self.write.as_ref(),
            Role::Undo => self.undo.as_ref(),
            Role::Config => self.config.as_ref(),
            Role::Probe => self.probe.as_ref(),
            Role::Control => self.control.as_ref(),
        }
    }
}

/// The exports of a store that is not asked.
pub fn exports(config: &Config, side: Side, checks: &mut Checks) {
    let store = config.store(side);
    for file in store.ldif.iter().chain(&store.config_ldif) {
        let check = format!("export {}", file.display());
        match std::fs::File::open(file) {
            Ok(_) => checks.ok(&check, "can be read"),
            Err(error) => {
                checks.fail(&check, format!("cannot be read: {error}"), "correct ldif or config_ldif, or the file's mode")
            }
        }
    }
}

/// Whether the server is there and is the right one; a refused bind proves that it is.
pub async fn connection(clients: &Clients, read: &Client, checks: &mut Checks) -> bool {
    let mut answer = read.connect().await;
    if answer.as_ref().is_err_and(|e| e.failure == Failure::Unknown) {
        // The server may be slow with this one identity.
        if let Some(other) = &clients.control {
            answer = other.connect().await;
        }
    }
    match answer {
        Err(error) if error.failure != Failure::Credentials => {
            checks.error("connection", error);
            false
        }
        _ => {
            checks.ok("connection", "address, certificate chain and name are in order");
            true
        }
    }
}

/// Binds as everybody; returns who was let in.
pub async fn binds(config: &Config, side: Side, clients: &Clients, checks: &mut Checks) -> BTreeSet<Role> {
    let mut able = BTreeSet::new();
    for role in Role::ALL {
        let check = format!("{role} bind");
        let Some(client) = clients.of(role) else {
            checks.skipped(&check, format!("[{side}.{role}] is not configured: {}", without(role)));
            continue;
        };
        match client.connect().await {
            Ok(()) => {
                able.insert(role);
                let who = match role.bind(config, side).and_then(|bind| bind.dn.as_ref()) {
                    Some(dn) => format!("let in as {dn}"),
                    None => "let in by SASL EXTERNAL".to_owned(),
                };
                checks.ok(&check, who);
            }
            Err(mut error) => {
                if error.failure == Failure::Credentials && error.hint.is_none() {
                    error = error.with_hint(format!("check dn and password of [{side}.{role}]; the account may be locked"));
                }
                checks.error(&check, error);
            }
        }
    }
    able
}

/// What is not done where a role has no identity.
fn without(role: Role) -> &'static str {
    match role {
        Role::Read => "nothing can be read",
        Role::Write => "the store can be audited and planned for, not changed",
        Role::Undo => "what only the right 'manage' may write (pwdHistory and the like) cannot be undone",
        Role::Config => "links in cn=config are not found, and plans need audit.protected.explicit",
        Role::Probe => "that the store refuses is not proved by a login",
        Role::Control => "that the store lets others in is not proved by a login",
    }
}

/// Controls, and what each is needed for.
pub async fn features(read: &Client, checks: &mut Checks) {
    let features = match Read::features(read).await {
        Ok(features) => features,
        Err(error) => return checks.error("controls", error),
    };
    let mut told = |name: &str, has: bool, required: bool, purpose: &str| {
        let check = format!("control {name}");
        match (has, required) {
            (true, _) => checks.ok(&check, format!("offered: {purpose}")),
            (false, true) => checks.fail(
                &check,
                format!("not offered: {purpose}"),
                "let everybody read the root DSE, or use a server that has it",
            ),
            (false, false) => checks.skipped(&check, format!("not offered or not used, done without: {purpose}")),
        }
    };
    let control = |oid: &str| features.has_control(oid);
    told("paged results", control(Control::PAGED_RESULTS), true, "a whole store is read in bounded memory");
    told("assertion", control(Control::ASSERTION), true, "a change is made only to an entry that is as the plan saw it");
    let read_entry = control(Control::PRE_READ) && control(Control::POST_READ);
    told("pre-read and post-read", read_entry, false, "the image for undoing comes with the change itself");
    told(
        "matched values",
        control(Control::MATCHED_VALUES),
        false,
        "members of huge groups are looked up without reading the group",
    );
    told(
        "account usability",
        control(Control::ACCOUNT_USABILITY),
        false,
        "the server says that an account is refused, without any password",
    );
    told("transactions", features.has_transactions(), false, "a password is replaced without a moment of being unlocked");
}

/// The server's clock against ours.
pub async fn clock(read: &Client, config_reader: Option<&Client>, checks: &mut Checks) {
    let mut answer = read.server_time().await;
    if matches!(answer, Ok(None))
        && let Some(other) = config_reader
    {
        answer = other.server_time().await;
    }
    let fix = "synchronize both clocks (chrony, systemd-timesyncd)";
    match answer {
        Ok(Some(there)) => {
            let skew = state::clock().wall().duration_since(there).as_secs();
            let told = format!("differs by {skew} s ({CLOCK_TOLERANCE} s are tolerated)");
            if skew.unsigned_abs() <= CLOCK_TOLERANCE { checks.ok("clock", told) } else { checks.fail("clock", told, fix) }
        }
        Ok(None) => checks.unknown(
            "clock",
            "the server's clock cannot be read (cn=Current,cn=Time,cn=Monitor)",
            "load the monitor database at start and let the reader or the config identity read cn=Monitor",
        ),
        Err(error) => checks.error("clock", error),
    }
}

/// Whether the reader gets everything that it asks for.
pub async fn limit(read: &Client, checks: &mut Checks) {
    let fix = "olcLimits: dn.exact=\"…reader…\" size=unlimited time=unlimited (see `untether doctor --acl`)";
    match tokio::time::timeout(LIMIT_BOUND, read.search_limit()).await {
        Ok(Ok(SearchLimit::None { entries })) => checks.ok("search limit", format!("the reader gets all {entries} entries")),
        Ok(Ok(SearchLimit::After { entries, code })) => checks.fail(
            "search limit",
            format!("the server stops the reader after {entries} entries (result code {code}), so an audit would be incomplete"),
            fix,
        ),
        Ok(Err(error)) => checks.error("search limit", error),
        Err(_) => {
            checks.unknown("search limit", format!("the store was not read to its end within {} s", LIMIT_BOUND.as_secs()), fix)
        }
    }
}

/// Every configured base, and the canary.
pub async fn bases(config: &Config, side: Side, read: &Client, checks: &mut Checks) {
    let audit = config.audit.store(side);
    let none = [AttrName::new("1.1")];
    let scopes = audit.accounts.iter().chain(&audit.others).map(|scope| &scope.base);
    let migrations = config.migrations();
    let mapped = migrations.iter().map(|(mapping, _)| &mapping.base).filter(|_| side == Side::Independent);
    let mut seen = BTreeSet::new();
    for base in scopes.chain(audit.copies.iter().map(|copy| &copy.base)).chain(mapped) {
        if !seen.insert(base.key()) {
            continue;
        }
        let check = format!("base {base}");
        match Read::read(read, base, &none).await {
            Ok(Some(_)) => checks.ok(&check, "can be read"),
            Ok(None) => checks.fail(
                &check,
                "does not exist, or the reader may not see it",
                "correct the base in [audit] or [plan.mapping], or give the reader its rights (`untether doctor --acl`)",
            ),
            Err(error) => checks.error(&check, error),
        }
    }
    let Some(canary) = &audit.canary else {
        return checks.unknown(
            "canary",
            "no known entry is configured, so an incomplete read may go unseen",
            format!("set audit.{side}.canary to an entry that certainly exists"),
        );
    };
    match Read::read(read, canary, &none).await {
        Ok(Some(_)) => checks.ok("canary", format!("{canary} is there")),
        Ok(None) => checks.fail(
            "canary",
            format!("{canary} does not exist, or the reader may not see it"),
            format!("create it, or correct audit.{side}.canary"),
        ),
        Err(error) => checks.error("canary", error),
    }
}
