//! Entries that do not depend on people: containers, policies, small groups, aliases, referrals,
//! and the other company's own people.

use super::Error;
use super::entry::{Record, Stamp};
use super::groups::{Group, uuid_of};
use super::names;
use super::output::Output;
use super::secret::{Scheme, Secret};
use super::truth::Label;
use super::world::{Entity, Purpose, Store, World};

/// Suffix entry, organizational units and policies: what everything else stands below.
pub(super) fn write_base(world: &World, out: &mut Output, store: Store) -> Result<(), Error> {
    let suffix = store.suffix();
    let dc = suffix.split(['=', ',']).nth(1).unwrap_or_default();
    let mut record = Record::new();
    record.put("objectClass", "dcObject");
    record.put("objectClass", "organization");
    record.put("dc", dc);
    record.put("o", dc);
    finish(world, out, store, record, suffix, "organization")?;
    let units: &[&str] = match store {
        Store::Shared => &[
            "ou=accounts",
            "ou=own,ou=accounts",
            "ou=domestic,ou=accounts",
            "ou=overseas,ou=accounts",
            "ou=contractors,ou=accounts",
            "ou=services",
            "ou=groups",
            "ou=aliases,ou=groups",
            "ou=policies",
            "ou=partner",
        ],
        Store::Independent => &["ou=people", "ou=services", "ou=groups", "ou=policies"],
    };
    for unit in units {
        let mut record = Record::new();
        record.put("objectClass", "organizationalUnit");
        record.put("ou", unit.split(['=', ',']).nth(1).unwrap_or_default());
        finish(world, out, store, record, &format!("{unit},{suffix}"), "organizationalUnit")?;
    }
    let policies: &[(&str, &[(&str, &str)])] = match store {
        Store::Shared => &[
            ("default", &[("pwdLockout", "TRUE"), ("pwdLockoutDuration", "900"), ("pwdMaxFailure", "10"), ("pwdInHistory", "5")]),
            ("nolock", &[("pwdLockout", "FALSE")]),
            ("locking", &[("pwdLockout", "TRUE"), ("pwdMustChange", "TRUE")]),
        ],
        Store::Independent => {
            &[("default", &[("pwdLockout", "TRUE"), ("pwdMustChange", "TRUE"), ("pwdCheckQuality", "0"), ("pwdInHistory", "5")])]
        }
    };
    for (name, lines) in policies {
        let mut record = Record::new();
        record.put("objectClass", "device");
        record.put("objectClass", "pwdPolicy");
        record.put("cn", name);
        record.put("pwdAttribute", "userPassword");
        for (attribute, value) in *lines {
            record.put(attribute, value);
        }
        finish(world, out, store, record, &format!("cn={name},ou=policies,{suffix}"), "device")?;
    }
    Ok(())
}

/// People to whom fixed entries refer; absent in worlds of a handful of people.
pub(super) struct Cited {
    pub present: Option<String>,
    pub departed: Option<String>,
}

/// Groups, aliases, referrals and a device of the shared store; returns the labels.
pub(super) fn write_shared(world: &World, out: &mut Output, cited: &Cited) -> Result<Vec<Label>, Error> {
    let suffix = Store::Shared.suffix();
    let mut labels = Vec::new();
    let group = |name: &str| Group::named(world, Store::Shared, format!("cn={name},ou=groups,{suffix}"));

    // A cycle of two groups, and a group that is its own member.
    for (name, member) in [("loop-a", "loop-b"), ("loop-b", "loop-a"), ("mirror-hall", "mirror-hall")] {
        let mut group = group(name);
        group.members = vec![format!("cn={member},ou=groups,{suffix}")];
        group.member_of.clone_from(&group.members);
        labels.extend(group.write(out)?);
    }
    // Local users of a host, who have no entry.
    let mut local = group("unix-local");
    local.class = "posixGroup";
    local.attribute = "memberUid";
    local.members = vec!["root".to_owned(), "daemon".to_owned()];
    local.further = vec![("gidNumber", "20001".to_owned())];
    labels.extend(local.write(out)?);

    for (name, attribute, target, residual) in [
        ("project-owned", "owner", &cited.departed, true),
        ("project-seen", "seeAlso", &cited.departed, true),
        ("project-fine", "owner", &cited.present, false),
    ] {
        let Some(target) = target else { continue };
        let mut group = group(name);
        group.further = vec![(attribute, target.clone())];
        let dn = group.dn.clone();
        labels.extend(group.write(out)?);
        if residual {
            labels.push(reference(dn));
        }
    }
    let nowhere = format!("uid=nobody.here,ou=domestic,ou=accounts,{suffix}");
    for (name, target, residual) in [
        ("alias-1", cited.departed.as_ref(), true),
        ("alias-2", Some(&nowhere), true),
        ("alias-3", cited.present.as_ref(), false),
    ] {
        let Some(target) = target else { continue };
        let dn = format!("uid={name},ou=aliases,ou=groups,{suffix}");
        let mut record = Record::new();
        record.put("objectClass", "alias");
        record.put("objectClass", "extensibleObject");
        record.put("uid", name);
        record.put("aliasedObjectName", target);
        finish(world, out, Store::Shared, record, &dn, "alias")?;
        if residual {
            labels.push(reference(dn));
        }
    }
    labels.extend(write_referrals(world, out)?);

    // Among the accounts, and none.
    let mut printer = Record::new();
    printer.put("objectClass", "device");
    printer.put("cn", "printer-1");
    printer.put("serialNumber", "0815");
    finish(world, out, Store::Shared, printer, &format!("cn=printer-1,ou=own,ou=accounts,{suffix}"), "device")?;
    Ok(labels)
}

fn write_referrals(world: &World, out: &mut Output) -> Result<Option<Label>, Error> {
    let suffix = Store::Shared.suffix();
    for (dn, target) in [
        (format!("ou=branch,ou=own,ou=accounts,{suffix}"), "ldap://ldap.partner.example/ou=branch,dc=partner,dc=example"),
        (format!("ou=replica,ou=groups,{suffix}"), "ldap://ldap.shared.example/ou=groups,dc=shared,dc=example"),
    ] {
        let mut record = Record::new();
        record.put("objectClass", "referral");
        record.put("objectClass", "extensibleObject");
        record.put("ou", dn.split(['=', ',']).nth(1).unwrap_or_default());
        record.put("ref", target);
        finish(world, out, Store::Shared, record, &dn, "referral")?;
    }
    Ok(Some(Label {
        rule: "coverage.skipped",
        severity: "low",
        store: Store::Shared.name(),
        dn: None,
        entity: None,
        person_id: None,
        note: "a referral entry leads outside",
        about: Some("link.referral"),
    }))
}

/// The other company's own people, who are nobody's business here: some carry our numbers and
/// addresses.
pub(super) fn write_partner(world: &World, out: &mut Output) -> Result<(), Error> {
    let suffix = Store::Shared.suffix();
    for index in 0..world.options.people.div_ceil(20) {
        let mut dice = world.dice(Purpose::Partner, u64::from(index));
        let name = names::pick(dice.number(), index % 2 == 0);
        let uid = partner_uid(index);
        let dn = format!("uid={uid},ou=partner,{suffix}");
        let mut record = Record::new();
        record.put("objectClass", "inetOrgPerson");
        record.put("uid", &uid);
        record.put("cn", format!("{} {}", name.given, name.family));
        record.put("sn", name.family);
        // Their numbering meets ours.
        record.put("employeeNumber", if index % 3 == 0 { Entity::Own.number(index) } else { format!("90{index:06}") });
        record.put("mail", format!("{uid}@partner.example"));
        let secret = Secret { scheme: Scheme::Ssha, key: dice.number(), login: String::new() };
        record.put("userPassword", secret.value());
        if index % 5 == 0 {
            record.put("manager", format!("uid=gone.{index},ou=own,ou=accounts,{suffix}"));
        }
        if index == 0 {
            record.put("memberOf", super::groups::club_dn(super::account::Club::VpnAdmins));
        }
        finish(world, out, Store::Shared, record, &dn, "inetOrgPerson")?;
    }
    Ok(())
}

/// Login of one of the other company's people.
pub(super) fn partner_uid(index: u32) -> String {
    format!("partner.{index}")
}

/// What the laboratory adds to a store and an export from it would hold: `ou=system` and
/// `ou=canaries` with placeholder and canary.
pub(super) fn write_canaries(world: &World, out: &mut Output, store: Store) -> Result<(), Error> {
    let suffix = store.suffix();
    for unit in ["system", "canaries"] {
        let mut record = Record::new();
        record.put("objectClass", "organizationalUnit");
        record.put("ou", unit);
        finish(world, out, store, record, &format!("ou={unit},{suffix}"), "organizationalUnit")?;
    }
    let mut placeholder = Record::new();
    placeholder.put("objectClass", "organizationalRole");
    placeholder.put("cn", "placeholder");
    finish(world, out, store, placeholder, &format!("cn=placeholder,ou=system,{suffix}"), "organizationalRole")?;
    let mut canary = Record::new();
    canary.put("objectClass", "inetOrgPerson");
    for (name, value) in [("uid", "canary"), ("cn", "canary"), ("sn", "canary"), ("mail", "canary@canaries.example")] {
        canary.put(name, value);
    }
    finish(world, out, store, canary, &canary_dn(store), "inetOrgPerson")
}

/// DN of the entry that every complete read of a store finds.
pub(super) fn canary_dn(store: Store) -> String {
    format!("uid=canary,ou=canaries,{}", store.suffix())
}

fn reference(dn: String) -> Label {
    Label {
        rule: "residual.reference",
        severity: "low",
        store: Store::Shared.name(),
        dn: Some(dn),
        entity: None,
        person_id: None,
        note: "names a residual account or none",
        about: None,
    }
}

fn finish(world: &World, out: &mut Output, store: Store, mut record: Record, dn: &str, structural: &str) -> Result<(), Error> {
    let uuid = uuid_of(world, dn);
    record.put_system(
        world,
        &Stamp {
            store,
            structural,
            uuid: &uuid,
            created_seconds: 3_000 * 86_400,
            modified_seconds: 3_000 * 86_400,
            sequence: out.entries,
        },
    )?;
    record.write(out, dn)
}
