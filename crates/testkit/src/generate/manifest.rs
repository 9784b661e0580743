//! `manifest.json` and `truth-summary.json`: what was generated, and the configuration of the
//! audit that the labels assume.

use super::account::Club;
use super::groups::club_dn;
use super::output::Output;
use super::world::{Entity, OWN_REALM, SHARED_REALM, Store, World};
use super::{Error, Summary, fixed, services};
use serde_json::{Value, json};
use std::path::Path;

/// Writes both files.
pub(super) fn write(world: &World, directory: &Path, summary: &Summary) -> Result<(), Error> {
    let options = &world.options;
    let break_glass = |store: Store| -> Vec<String> {
        services::break_glass_dns().into_iter().filter(|(at, _)| *at == store).map(|(_, dn)| dn).collect()
    };
    let entities: Vec<Value> = [Entity::Own, Entity::Domestic, Entity::Overseas, Entity::Contractor]
        .into_iter()
        .map(|entity| json!({"id": entity.id(), "unit": entity.unit(), "time_zone": entity.zone()}))
        .collect();
    let manifest = json!({
        "seed": options.seed,
        "people": options.people,
        "now": options.now.to_string(),
        "big_group": options.big_group,
        "big_entry": options.big_entry,
        "links": options.links,
        "roster_rows": summary.roster_rows,
        "entities": entities,
        "stores": {
            "shared": {
                "suffix": Store::Shared.suffix(),
                "entries": summary.shared_entries,
                "canary": fixed::canary_dn(Store::Shared),
                "bases": ["ou=accounts,dc=shared,dc=example", "ou=services,dc=shared,dc=example", "ou=groups,dc=shared,dc=example"],
                "default_policy": "cn=default,ou=policies,dc=shared,dc=example",
                "own_realms": [SHARED_REALM],
                "own_servers": ["ldap.shared.example"],
                "privileged_groups": [club_dn(Club::Admins), club_dn(Club::VpnAdmins)],
                "admin_groups": [club_dn(Club::DirectoryAdmins)],
                "protected": break_glass(Store::Shared),
            },
            "independent": {
                "suffix": Store::Independent.suffix(),
                "entries": summary.independent_entries,
                "canary": fixed::canary_dn(Store::Independent),
                "bases": ["ou=people,dc=own,dc=example", "ou=services,dc=own,dc=example", "ou=groups,dc=own,dc=example"],
                "default_policy": "cn=default,ou=policies,dc=own,dc=example",
                "own_realms": [OWN_REALM],
                "own_servers": ["ldap.own.example"],
                "privileged_groups": [club_dn(Club::OwnAdmins)],
                "admin_groups": [],
                "protected": break_glass(Store::Independent),
            },
        },
        "sasl_mechanisms": [],
        "retained": ["uid", "cn", "sn", "employeeNumber", "mail", "objectClass"],
        "dormant_days": 180,
        "factor_filter": "(|(labFactor=webauthn)(labFactor=totp))",
    });
    put(directory, "manifest.json", &manifest)?;
    put(directory, "truth-summary.json", &json!(summary.findings))
}

fn put(directory: &Path, name: &'static str, value: &Value) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|source| Error::Json { file: name, source })?;
    let mut file = Output::create(directory, name, 0o644)?;
    file.text(&text)?;
    file.text("\n")?;
    file.finish().map(|_| ())
}
