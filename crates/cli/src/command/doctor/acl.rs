//! `doctor --acl`: the access rules of OpenLDAP that each configured identity needs, with the configured names.

use std::collections::BTreeSet;

use untether_model::{Dn, Side};

use crate::config::{BindConfig, Config};
use crate::output::Output;

/// Prints them; with `--json` one line a rule.
pub fn print(config: &Config, output: &Output) {
    for side in Side::ALL {
        let store = config.store(side);
        let Some(url) = &store.url else {
            output.say(format!("# The {side} store is read from exports; it needs no access rules.\n"));
            continue;
        };
        output.say(format!(
            "# {side} store, {url}\n# Put these before the rules that are there (olcAccess: {{0}}…), each on the database that it names.\n\
             # `by * break` leaves everybody else to the rules that follow."
        ));
        for role in roles(config, side) {
            output.say(format!("\n# {}: {}", role.name, role.purpose));
            for (database, rule) in &role.rules {
                output.say(format!("# on the database of {database}:\n{rule}"));
                output.row(&serde_json::json!({
                    "schema": "untether.doctor-acl/1", "store": side.as_str(), "role": role.name, "database": database, "rule": rule,
                }));
            }
        }
        output.say("");
    }
}

/// What one identity needs.
struct Role {
    name: &'static str,
    purpose: &'static str,
    /// Suffix of the database, and the line.
    rules: Vec<(String, String)>,
}

fn roles(config: &Config, side: Side) -> Vec<Role> {
    let store = config.store(side);
    let suffix = &config.audit.store(side).suffix;
    let mut roles = Vec::new();
    let mut role = |bind: &Option<BindConfig>, name, purpose, rules: &dyn Fn(&str) -> Vec<(String, String)>| {
        if let Some(bind) = bind {
            roles.push(Role { name, purpose, rules: rules(&by(bind)) });
        }
    };
    role(&store.read, "reader", "reads everything in scope, passwords and operational attributes included", &|by| {
        reader(config, side, by)
    });
    role(&store.write, "writer", "changes accounts and groups, but no protected identity", &|by| writer(config, side, by));
    role(&store.undo, "undo", "restores what only 'manage' may write; guard its password", &|by| {
        vec![access(suffix, &format!("dn.subtree=\"{suffix}\""), by, "manage"), unlimited(suffix, by)]
    });
    role(&store.config, "config", "reads the server's configuration, and its clock and counts", &|by| {
        ["cn=config", "cn=Monitor"].map(|base| (base.to_owned(), rule("*", by, "read"))).to_vec()
    });
    for (bind, name, purpose) in [
        (&store.probe, "probe", "an account like any other, which is disabled with a wave"),
        (&store.control, "control", "an account like any other, which goes on working"),
    ] {
        role(bind, name, purpose, &|by| {
            let dn = by.strip_prefix("dn.exact=").unwrap_or(by);
            vec![(suffix.to_string(), format!("olcAccess: to dn.exact={dn} attrs=userPassword by anonymous auth by * break"))]
        });
    }
    roles
}

/// How an access rule names an identity.
fn by(bind: &BindConfig) -> String {
    match &bind.dn {
        Some(dn) => format!("dn.exact=\"{dn}\""),
        None => format!(
            "dn.exact=\"gidNumber={}+uidNumber={},cn=peercred,cn=external,cn=auth\"",
            rustix::process::getgid().as_raw(),
            rustix::process::getuid().as_raw()
        ),
    }
}

fn rule(what: &str, by: &str, right: &str) -> String {
    format!("olcAccess: to {what} by {by} {right} by * break")
}

fn access(database: &Dn, what: &str, by: &str, right: &str) -> (String, String) {
    (database.to_string(), rule(what, by, right))
}

fn unlimited(database: &Dn, by: &str) -> (String, String) {
    (database.to_string(), format!("olcLimits: {by} size=unlimited time=unlimited"))
}

fn reader(config: &Config, side: Side, by: &str) -> Vec<(String, String)> {
    let audit = config.audit.store(side);
    let mut rules =
        vec![access(&audit.suffix, &format!("dn.subtree=\"{}\"", audit.suffix), by, "read"), unlimited(&audit.suffix, by)];
    for copy in &audit.copies {
        let database = if copy.base.is_within(&audit.suffix) { &audit.suffix } else { &copy.base };
        rules.push(access(database, &format!("dn.subtree=\"{}\"", copy.base), by, "read"));
        if database != &audit.suffix {
            rules.push(unlimited(database, by));
        }
    }
    rules.push(("cn=Monitor".to_owned(), rule("*", by, "read")));
    rules
}

fn writer(config: &Config, side: Side, by: &str) -> Vec<(String, String)> {
    let audit = config.audit.store(side);
    let suffix = &audit.suffix;
    let protected = &config.audit.protected;
    let mut rules = Vec::new();
    // The first rule that names an entry decides, so what is protected comes first.
    for dn in protected.dns.iter().filter(|dn| dn.is_within(suffix)) {
        rules.push(access(suffix, &format!("dn.exact=\"{dn}\""), by, "read"));
    }
    let canary = audit.canary.as_ref();
    for base in protected.subtrees.iter().filter(|dn| dn.is_within(suffix)) {
        // doctor asks by no-op for the right to write the canary, and a run disables the probe account with a wave.
        let exempt = canary.into_iter().chain(config.store(side).probe.as_ref().and_then(|bind| bind.dn.as_ref()));
        for dn in exempt.filter(|dn| dn.is_within(base)) {
            rules.push(access(suffix, &format!("dn.exact=\"{dn}\""), by, "write"));
        }
        rules.push(access(suffix, &format!("dn.subtree=\"{base}\""), by, "read"));
    }
    let mut migrations = config.migrations();
    migrations.retain(|_| side == Side::Independent);
    let mut seen = BTreeSet::new();
    let bases =
        audit.accounts.iter().chain(&audit.others).map(|scope| &scope.base).chain(migrations.iter().map(|(m, _)| &m.base));
    for base in bases.filter(|base| seen.insert(base.key())) {
        rules.push(access(suffix, &format!("dn.subtree=\"{base}\""), by, "write"));
    }
    rules.push(access(suffix, &format!("dn.subtree=\"{suffix}\""), by, "read"));
    rules.push(unlimited(suffix, by));
    rules
}
