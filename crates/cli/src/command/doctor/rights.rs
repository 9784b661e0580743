//! Rights: what the reader may see of known entries, and what the writing and undoing identities may change, asked by no-op.

use std::collections::{BTreeMap, BTreeSet};

use untether_directory::{Read, Write, WriteOptions};
use untether_ldap::Client;
use untether_model::change::{Change, Modification};
use untether_model::{AttrName, Dn, Entry, Side, Value};

use crate::command::doctor::rows::Checks;
use crate::command::doctor::server::Clients;
use crate::config::Config;

const NO_SUCH_CONTROL: u32 = 12;
const UNDEFINED_ATTRIBUTE: u32 = 17;
const INVALID_SYNTAX: u32 = 21;
const INSUFFICIENT_ACCESS: u32 = 50;

/// What judging an account takes, whatever is configured.
const NEEDED: [&str; 14] = [
    "objectClass",
    "entryUUID",
    "entryCSN",
    "createTimestamp",
    "modifyTimestamp",
    "userPassword",
    "pwdHistory",
    "pwdChangedTime",
    "pwdAccountLockedTime",
    "pwdStartTime",
    "pwdEndTime",
    "pwdReset",
    "pwdPolicySubentry",
    "pwdLastSuccess",
];

/// Attributes by which an account is locked, scrubbed or pointed at another policy.
const WRITTEN: [&str; 4] = ["userPassword", "pwdAccountLockedTime", "pwdReset", "pwdPolicySubentry"];

const FIX: &str = "give the identity its rights: `untether doctor --acl` prints the rules";

/// Reads the canary (and the probe account, which has a password) and asks, for each attribute that is not shown, whether it is
/// absent or denied: a compare of a denied attribute is refused, one of an absent attribute is not.
pub async fn reading(config: &Config, side: Side, read: &Client, checks: &mut Checks) {
    let Some(canary) = &config.audit.store(side).canary else { return };
    let asked = needed(config, side);
    let seen = match Read::read(read, canary, &asked).await {
        Ok(Some(entry)) => entry,
        // The check of the canary itself has told it.
        Ok(None) => return,
        Err(error) => return checks.error("read right", error),
    };
    let mut denied: BTreeSet<String> = BTreeSet::new();
    let mut undefined = Vec::new();
    let mut unanswered = Vec::new();
    for attr in asked.iter().filter(|attr| !seen.has(attr.as_str())) {
        match hidden(read, canary, attr).await {
            Hidden::Absent => {}
            Hidden::Denied => drop(denied.insert(attr.to_string())),
            Hidden::Undefined => undefined.push(attr.to_string()),
            Hidden::Unknown(why) => unanswered.push(format!("{attr} ({why})")),
        }
    }
    // The probe account has a password: that it is not shown is certain to be a missing right.
    if let Some(probe) = config.store(side).probe.as_ref().and_then(|bind| bind.dn.as_ref())
        && let Ok(Some(entry)) = Read::read(read, probe, &[AttrName::new("userPassword"), AttrName::new("objectClass")]).await
        && !has_value(&entry, "userPassword")
    {
        denied.insert("userPassword".to_owned());
    }
    let list = |names: &[String]| names.join(", ");
    let denied: Vec<String> = denied.into_iter().collect();
    if !denied.is_empty() {
        checks.fail("read right", format!("denied to the reader: {}; the rest is shown or absent", list(&denied)), FIX);
    } else if !unanswered.is_empty() {
        checks.unknown("read right", format!("whether these are absent or denied is not known: {}", list(&unanswered)), FIX);
    } else {
        checks.ok("read right", format!("{} attributes of the canary are shown or absent, none is denied", asked.len()));
    }
    if !undefined.is_empty() {
        let (configured, other): (Vec<String>, Vec<String>) =
            undefined.into_iter().partition(|name| !NEEDED.contains(&name.as_str()));
        if !configured.is_empty() {
            checks.fail(
                "schema",
                format!("configured, but not in the server's schema: {}", list(&configured)),
                format!("correct the names in [audit.{side}.attributes] and [plan]"),
            );
        }
        if !other.is_empty() {
            checks.skipped("schema", format!("not in the server's schema, so not judged: {}", list(&other)));
        }
    }
}

fn has_value(entry: &Entry, name: &str) -> bool {
    !entry.values(name).is_empty()
}

fn needed(config: &Config, side: Side) -> Vec<AttrName> {
    let attributes = &config.audit.store(side).attributes;
    let single = [&attributes.entity, &attributes.number, &attributes.link];
    let mut all: BTreeMap<String, AttrName> = BTreeMap::new();
    let configured = single
        .into_iter()
        .flatten()
        .chain(&attributes.mail)
        .chain(&attributes.owner)
        .chain([&attributes.login, &attributes.name])
        .cloned()
        .chain(NEEDED.map(AttrName::new));
    let migrations = config.migrations();
    let copied = migrations.iter().flat_map(|(m, _)| match side {
        Side::Shared => m.copy.iter().chain(&m.references).cloned().collect::<Vec<_>>(),
        Side::Independent => m.copy.iter().chain(m.link_attribute.as_ref()).cloned().collect(),
    });
    for attr in configured.chain(copied) {
        all.insert(attr.as_str().to_ascii_lowercase(), attr);
    }
    all.into_values().collect()
}

enum Hidden {
    Absent,
    Denied,
    Undefined,
    Unknown(String),
}

/// Why an attribute of an entry is not shown. Values of several syntaxes are tried: a value that the syntax refuses (21) is
/// refused before rights are looked at.
async fn hidden(read: &Client, entry: &Dn, attr: &AttrName) -> Hidden {
    let tried = ["x", "19700101000000Z", entry.as_str(), "TRUE", "00000000-0000-4000-8000-000000000000", "1"];
    let mut why = String::new();
    for value in tried {
        match Read::compare(read, entry, attr, &Value::from(value)).await {
            Ok(None) => return Hidden::Absent,
            // It is there and can be compared with, but is not shown.
            Ok(Some(_)) => return Hidden::Denied,
            Err(error) => match error.code {
                Some(INSUFFICIENT_ACCESS) => return Hidden::Denied,
                Some(UNDEFINED_ATTRIBUTE) => return Hidden::Undefined,
                Some(INVALID_SYNTAX) => why = error.message,
                // No equality rule: such an attribute cannot be asked about; photos and the like decide nothing.
                Some(18) => return Hidden::Absent,
                _ => return Hidden::Unknown(error.message),
            },
        }
    }
    Hidden::Unknown(why)
}

/// Asks by critical no-op what the writing and undoing identities may change. Only removals of attributes that the canary does not
/// have are asked for, so that a server that ignored the control would change nothing either.
pub async fn writing(config: &Config, side: Side, clients: &Clients, able: &BTreeSet<&'static str>, checks: &mut Checks) {
    let Some(canary) = &config.audit.store(side).canary else { return };
    if let Some(write) = clients.write.as_ref().filter(|_| able.contains("write")) {
        let asked: Vec<(&str, Answer)> = {
            let mut asked = Vec::new();
            for attr in WRITTEN {
                asked.push((attr, ask(write, canary, attr, false).await));
            }
            asked
        };
        tell("write right", &asked, "write", checks);
    }
    if let Some(undo) = clients.undo.as_ref().filter(|_| able.contains("undo")) {
        // Only "manage" with the relax control may touch these (result 50, or 19 without relax).
        let asked = [("pwdHistory", ask(undo, canary, "pwdHistory", true).await)];
        tell("undo right", &asked, "manage", checks);
    }
}

enum Answer {
    Allowed,
    Denied,
    Undefined,
    NoControl,
    Other(String),
}

async fn ask(client: &Client, entry: &Dn, attr: &str, relax: bool) -> Answer {
    let change = Change::Modify { dn: entry.clone(), mods: vec![Modification::replace(AttrName::new(attr), Vec::new())] };
    let options = WriteOptions { no_op: true, relax, ..WriteOptions::default() };
    match Write::apply(client, &change, &options).await {
        Ok(_) => Answer::Allowed,
        Err(error) => match error.code {
            Some(INSUFFICIENT_ACCESS) => Answer::Denied,
            Some(UNDEFINED_ATTRIBUTE) => Answer::Undefined,
            Some(NO_SUCH_CONTROL) => Answer::NoControl,
            _ => Answer::Other(error.to_string()),
        },
    }
}

fn tell(check: &str, asked: &[(&str, Answer)], right: &str, checks: &mut Checks) {
    let of =
        |wanted: fn(&Answer) -> bool| -> Vec<&str> { asked.iter().filter(|(_, a)| wanted(a)).map(|(name, _)| *name).collect() };
    let denied = of(|a| matches!(a, Answer::Denied));
    let missing = of(|a| matches!(a, Answer::Undefined));
    let other = asked.iter().find_map(|(name, answer)| match answer {
        Answer::Other(why) => Some(format!("{name}: {why}")),
        _ => None,
    });
    if asked.iter().any(|(_, a)| matches!(a, Answer::NoControl)) {
        let details = "the server has no no-op control, so the right cannot be asked without changing something";
        return checks.unknown(check, details, "compare the server's rules with `untether doctor --acl`");
    }
    if !denied.is_empty() {
        return checks.fail(check, format!("not allowed on the canary: {}", denied.join(", ")), FIX);
    }
    if !missing.is_empty() {
        return checks.fail(
            check,
            format!("not in the server's schema: {}", missing.join(", ")),
            "load the password policy overlay (ppolicy)",
        );
    }
    match other {
        Some(why) => checks.unknown(check, why, "see the server's log"),
        None => checks.ok(check, format!("'{right}' on the canary, by no-op: {}", of(|_| true).join(", "))),
    }
}
