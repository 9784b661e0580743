//! An access log as the overlay `accesslog` leaves it: writes with old and new password values.

use super::super::Error;
use super::super::entry::{Record, Stamp};
use super::super::groups::uuid_of;
use super::super::output::Output;
use super::super::secret::{Scheme, Secret};
use super::super::truth::Label;
use super::super::world::{Store, World};
use super::Names;
use std::path::Path;

const SUFFIX: &str = "cn=accesslog";

/// One logged operation.
struct Logged<'a> {
    class: &'static str,
    kind: &'static str,
    target: &'a str,
    changes: Vec<String>,
    old: Vec<String>,
}

/// Writes `shared-accesslog.ldif`; returns the label of the area.
pub(super) fn write(world: &World, directory: &Path, names: &Names) -> Result<Option<Label>, Error> {
    let mut out = Output::create(directory, "shared-accesslog.ldif", 0o644)?;
    let mut root = Record::new();
    root.put("objectClass", "auditContainer");
    root.put("cn", "accesslog");
    put_system(world, &mut root, SUFFIX, "auditContainer", 0)?;
    root.write(&mut out, SUFFIX)?;

    let value = |key: u64| Secret { scheme: Scheme::Ssha, key: world.options.seed ^ key, login: String::new() }.value();
    let gone = "uid=erased.long.ago,ou=own,ou=accounts,dc=shared,dc=example";
    let mut logged = vec![Logged {
        class: "auditDelete",
        kind: "delete",
        target: gone,
        changes: Vec::new(),
        old: vec!["uid: erased.long.ago".to_owned(), format!("userPassword: {}", value(0xACC1))],
    }];
    if let Some(target) = &names.departed {
        logged.push(Logged {
            class: "auditModify",
            kind: "modify",
            target,
            changes: vec![format!("userPassword:= {}", value(0xACC2))],
            old: vec![format!("userPassword: {}", value(0xACC3))],
        });
    }
    if let Some(target) = &names.present {
        logged.push(Logged {
            class: "auditModify",
            kind: "modify",
            target,
            changes: vec!["telephoneNumber:= +81 3 5550 0000".to_owned()],
            old: vec!["telephoneNumber: +81 3 5550 0001".to_owned()],
        });
    }
    for (number, operation) in (0_i64..).zip(logged) {
        let start = world.time(-86_400 * 30 + number)?.replace('Z', ".000001Z");
        let end = start.replace(".000001Z", ".000002Z");
        let dn = format!("reqStart={start},{SUFFIX}");
        let mut record = Record::new();
        record.put("objectClass", operation.class);
        record.put("reqStart", &start);
        record.put("reqEnd", &end);
        record.put("reqType", operation.kind);
        record.put("reqSession", (1_000 + number).to_string());
        record.put("reqAuthzID", "cn=root,dc=shared,dc=example");
        record.put("reqDN", operation.target);
        record.put("reqResult", "0");
        for change in &operation.changes {
            record.put("reqMod", change);
        }
        for old in &operation.old {
            record.put("reqOld", old);
        }
        put_system(world, &mut record, &dn, operation.class, 30)?;
        record.write(&mut out, &dn)?;
    }
    out.finish()?;
    Ok(Some(Label {
        rule: "residual.copy",
        severity: "high",
        store: Store::Shared.name(),
        dn: Some(SUFFIX.to_owned()),
        entity: None,
        person_id: None,
        note: "shared-accesslog.ldif holds passwords and records of accounts that are gone",
        about: None,
    }))
}

fn put_system(world: &World, record: &mut Record, dn: &str, structural: &str, days: i64) -> Result<(), Error> {
    let uuid = uuid_of(world, dn);
    record.put_system(
        world,
        &Stamp {
            store: Store::Shared,
            structural,
            uuid: &uuid,
            created_seconds: days * 86_400,
            modified_seconds: days * 86_400,
            sequence: 0,
        },
    )
}
