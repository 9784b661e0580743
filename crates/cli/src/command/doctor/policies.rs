//! Password policies that decide whether a lock locks, and whether logins are recorded.

use untether_directory::{Read, Scope, Search};
use untether_ldap::Client;
use untether_model::{AttrName, Dn, Entry, Side};

use crate::command::doctor::rows::Checks;
use crate::command::doctor::server::Clients;
use crate::config::Config;

/// Password policies, and the record of logins on the independent side.
pub async fn check(config: &Config, side: Side, clients: &Clients, checks: &mut Checks) {
    let Some(read) = &clients.read else { return };
    let told = match &clients.config {
        Some(reader) => match Told::read(reader, &config.audit.store(side).suffix).await {
            Ok(told) => told,
            Err(why) => {
                let why = format!("{why}; without it stops: audit, plan");
                checks.unknown("cn=config", why, "let the config identity read cn=config (`untether doctor --acl`)");
                None
            }
        },
        None => None,
    };
    let configured = config.audit.store(side).default_policy.as_ref().and_then(|policy| policy.entry.clone());
    let default = told.as_ref().and_then(|t| t.default_policy.clone()).or(configured);
    let locking = config.plan.as_ref().and_then(|plan| plan.locking_policy.as_ref()).filter(|_| side == Side::Shared);
    default_policy(side, read, default, locking.is_some(), checks).await;
    if let Some(dn) = locking {
        locking_policy(read, dn, checks).await;
    }
    if side == Side::Independent {
        last_bind(told.as_ref(), checks);
    }
}

/// What `cn=config` says of the database that holds the suffix.
struct Told {
    default_policy: Option<Dn>,
    last_bind: bool,
}

impl Told {
    async fn read(reader: &Client, suffix: &Dn) -> Result<Option<Self>, String> {
        let base = Dn::parse("cn=config").map_err(|e| e.to_string())?;
        let search = Search {
            base,
            scope: Scope::Subtree,
            filter: "(|(objectClass=olcDatabaseConfig)(objectClass=olcPPolicyConfig))".to_owned(),
            attrs: ["olcSuffix", "olcLastBind", "olcPPolicyDefault"].map(AttrName::new).to_vec(),
            page_size: None,
            manage_dsa_it: true,
        };
        let mut stream = Read::search(reader, search).await.map_err(|e| e.to_string())?;
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(page) = stream.next_page().await.map_err(|e| e.to_string())? {
            entries.extend(page.entries);
        }
        let holds = |entry: &&Entry| entry.texts("olcSuffix").any(|text| Dn::parse(text).is_ok_and(|dn| dn == *suffix));
        let Some(database) = entries.iter().find(holds) else {
            return Err(format!("no database with the suffix '{suffix}' is shown in cn=config"));
        };
        let policy = entries.iter().filter(|entry| entry.dn.is_within(&database.dn)).find_map(|e| e.text("olcPPolicyDefault"));
        Ok(Some(Self {
            default_policy: policy.and_then(|text| Dn::parse(text).ok()),
            last_bind: is_true(database, "olcLastBind"),
        }))
    }
}

fn is_true(entry: &Entry, name: &str) -> bool {
    entry.text(name).is_some_and(|text| text.eq_ignore_ascii_case("TRUE"))
}

async fn policy(read: &Client, dn: &Dn, check: &str, checks: &mut Checks) -> Option<Entry> {
    match Read::read(read, dn, &["pwdLockout", "pwdMustChange", "objectClass"].map(AttrName::new)).await {
        Ok(Some(entry)) => Some(entry),
        Ok(None) => {
            let fix =
                "create the policy, or let the reader read it: accounts that point at a policy that is not there are not locked";
            checks.fail(check, format!("{dn} does not exist, or the reader may not see it"), fix);
            None
        }
        Err(error) => {
            checks.error(check, error);
            None
        }
    }
}

async fn default_policy(side: Side, read: &Client, dn: Option<Dn>, has_locking: bool, checks: &mut Checks) {
    let check = "default policy";
    let Some(dn) = dn else {
        let fix = format!("configure [{side}.config], or set audit.{side}.default_policy.entry");
        return checks.unknown(check, "which password policy applies by default is not known", fix);
    };
    let Some(entry) = policy(read, &dn, check, checks).await else { return };
    if is_true(&entry, "pwdLockout") {
        checks.ok(check, format!("{dn} obeys locks (pwdLockout TRUE)"));
    } else if has_locking {
        checks.ok(check, format!("{dn} does not obey locks; accounts are pointed at plan.locking_policy"));
    } else {
        checks.fail(
            check,
            format!("{dn} does not obey locks (pwdLockout is not TRUE)"),
            "set pwdLockout TRUE, or configure plan.locking_policy",
        );
    }
}

async fn locking_policy(read: &Client, dn: &Dn, checks: &mut Checks) {
    let check = "locking policy";
    let Some(entry) = policy(read, dn, check, checks).await else { return };
    let lacking: Vec<&str> = ["pwdLockout", "pwdMustChange"].into_iter().filter(|name| !is_true(&entry, name)).collect();
    if lacking.is_empty() {
        checks.ok(check, format!("{dn} has pwdLockout and pwdMustChange TRUE"));
    } else {
        checks.fail(
            check,
            format!("{dn} lacks {} TRUE", lacking.join(" and ")),
            format!("set {} to TRUE in {dn}", lacking.join(" and ")),
        );
    }
}

fn last_bind(told: Option<&Told>, checks: &mut Checks) {
    let check = "last bind";
    match told {
        None => checks.unknown(
            check,
            "whether logins are recorded is not known; gate own-account needs it",
            "configure [independent.config] with the right to read cn=config",
        ),
        Some(told) if told.last_bind => checks.ok(check, "logins are recorded (olcLastBind TRUE): gate own-account can pass"),
        Some(_) => checks.fail(
            check,
            "logins are not recorded, so gate own-account never passes",
            "set olcLastBind: TRUE on the database entry of the independent directory",
        ),
    }
}
