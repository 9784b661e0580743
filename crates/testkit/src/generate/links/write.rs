//! Writes planted configuration as change records and as an export.

use super::super::Error;
use super::super::entry::{Record, Stamp};
use super::super::groups::uuid_of;
use super::super::output::Output;
use super::super::truth::Label;
use super::super::world::{Store, World};
use super::planted::{ConfigEntry, Planted};
use super::{access_log, base, planted};
use std::path::Path;

/// DNs that planted configuration and the access log name; absent in small worlds.
pub(in super::super) struct Names {
    /// Somebody present in the shared store.
    pub present: Option<String>,
    /// A leaver in the shared store.
    pub departed: Option<String>,
    /// A leaver in the shared store whose DN has an escaped comma.
    pub departed_with_comma: Option<String>,
    /// A leaver in the independent directory.
    pub departed_here: Option<String>,
}

const MODULES: [&str; 9] =
    ["back_ldap", "back_meta", "back_relay", "back_null", "back_sock", "remoteauth", "translucent", "pcache", "rwm"];

/// Files that exist only where links are asked for.
pub(in super::super) const FILES: [&str; 5] = [
    "shared-config.ldif",
    "shared-config-export.ldif",
    "independent-config.ldif",
    "independent-config-export.ldif",
    "shared-accesslog.ldif",
];

/// Writes configuration and access log; returns the labels.
pub(in super::super) fn write(world: &World, directory: &Path, names: &Names) -> Result<Vec<Label>, Error> {
    let mut labels = Vec::new();
    for (store, planted, changes, export) in [
        (Store::Shared, planted::shared(names), "shared-config.ldif", "shared-config-export.ldif"),
        (Store::Independent, planted::independent(names), "independent-config.ldif", "independent-config-export.ldif"),
    ] {
        write_changes(directory, changes, &planted)?;
        write_export(world, directory, export, store, &planted)?;
        labels.extend(planted.labels);
    }
    labels.extend(access_log::write(world, directory, names)?);
    Ok(labels)
}

/// Change records for `ldapmodify`, one after the other; each is accepted by slapd 2.5.
fn write_changes(directory: &Path, name: &'static str, planted: &Planted) -> Result<(), Error> {
    let mut out = Output::create(directory, name, 0o644)?;
    out.text("dn: cn=module,cn=config\nchangetype: add\nobjectClass: olcModuleList\ncn: module\n")?;
    out.text("olcModulePath: /usr/lib/ldap\n")?;
    for module in MODULES {
        out.text(&format!("olcModuleLoad: {module}\n"))?;
    }
    out.text("\ndn: cn=config\nchangetype: modify\n")?;
    for (attribute, value) in &planted.global {
        out.text(&format!("add: {attribute}\n{attribute}: {value}\n-\n"))?;
    }
    out.text("\n")?;
    for entry in &planted.entries {
        out.text(&format!("dn: {}\nchangetype: add\n{}\n\n", entry.dn, entry.lines.join("\n")))?;
    }
    out.finish().map(|_| ())
}

/// Content records, as `slapcat -n0` shows them.
fn write_export(world: &World, directory: &Path, name: &'static str, store: Store, planted: &Planted) -> Result<(), Error> {
    let mut out = Output::create(directory, name, 0o644)?;
    let mut modules = vec!["objectClass: olcModuleList".to_owned(), "cn: module{1}".to_owned()];
    modules.push("olcModulePath: /usr/lib/ldap".to_owned());
    modules.extend(MODULES.iter().enumerate().map(|(number, module)| format!("olcModuleLoad: {{{number}}}{module}")));
    let modules = ConfigEntry { dn: "cn=module{1},cn=config".to_owned(), lines: modules };
    let base = base::entries(store, &planted.global);
    let with_modules = base.iter().take(2).chain([&modules]).chain(base.iter().skip(2));
    for entry in with_modules.chain(&planted.entries) {
        let mut record = Record::new();
        for line in &entry.lines {
            if let Some((attribute, value)) = line.split_once(": ") {
                record.put(attribute, value);
            }
        }
        let structural = entry.lines.iter().rev().find_map(|line| line.strip_prefix("objectClass: ")).unwrap_or("olcGlobal");
        let uuid = uuid_of(world, &format!("{}@{}", entry.dn, store.name()));
        record.put_system(
            world,
            &Stamp {
                store,
                structural,
                uuid: &uuid,
                created_seconds: 1_000 * 86_400,
                modified_seconds: 1_000 * 86_400,
                sequence: out.entries,
            },
        )?;
        record.write(&mut out, &entry.dn)?;
    }
    out.finish().map(|_| ())
}
