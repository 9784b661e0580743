//! Writes a planted account as a directory entry with its operational attributes.

use super::Error;
use super::account::{Access, Account, Kind};
use super::ldif;
use super::output::Output;
use super::person::Person;
use super::world::{Entity, FIRMS, Purpose, Store, World};
use data_encoding::BASE64;
use std::io::{self, Write};

/// Bytes of the photo of a big entry: about 200 KB of LDIF.
const BIG_PHOTO_BYTES: usize = 150_000;

const DAY: i64 = 86_400;

/// A self-signed certificate (Ed25519, subject `CN=lab`); public material, its key is nowhere.
const CERTIFICATE: &str = "MIIBMjCB5aADAgECAhQhpTN994dUROQfoQDqgaqy7iFkATAFBgMrZXAwDjEMMAoGA1UEAwwDbGFiMCAXDTI2MTEyMzIzMTAwN1oYDzIxMjYxMDMwMjMxMDA3WjAOMQwwCgYDVQQDDANsYWIwKjAFBgMrZXADIQBW4t3ZLYv123fNvmQiuWVCVPBryHHcYtJKJlR67pV22aNTMFEwHQYDVR0OBBYEFL6hfyfJBUtAdVJehL5V/iqQLCuLMB8GA1UdIwQYMBaAFL6hfyfJBUtAdVJehL5V/iqQLCuLMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA6yrLHyzNZNHnCO1gbRNHwC8sPd9VLRyiwI5l7U9qmxTzmHI1gOOX/n3VLPkUkwIHGJDFxrplEsJmSob9iwIMAw==";

/// What an entry has beside what the account itself says.
#[derive(Default)]
pub(super) struct Surroundings {
    /// DNs that `manager` and other references hold, in order.
    pub references: Vec<(&'static str, String)>,
    /// DN of the owner.
    pub owners: Vec<String>,
    /// Groups that hold the entry, as the memberof overlay would list them.
    pub member_of: Vec<String>,
    /// Number that makes the entryCSN unique.
    pub sequence: u64,
}

/// Writes the entry of an account.
pub(super) fn write(
    out: &mut Output,
    world: &World,
    person: &Person,
    account: &Account,
    around: &Surroundings,
) -> Result<(), Error> {
    let mut record = Record::new();
    user_attributes(&mut record, world, person, account, around);
    operational_attributes(&mut record, world, account, around, u64::from(person.index))?;
    record.write(out, &account.dn())
}

/// Attributes of one entry in the order in which they are written.
pub(super) struct Record {
    lines: Vec<(String, Vec<u8>)>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self { lines: Vec::new() }
    }

    pub(super) fn put(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.lines.push((name.to_owned(), value.as_ref().to_vec()));
    }

    /// What each entry has: creation, modification, entryUUID and entryCSN.
    pub(super) fn put_system(&mut self, world: &World, stamp: &Stamp<'_>) -> Result<(), Error> {
        let created = world.time(-stamp.created_seconds)?;
        let modified = world.time(-stamp.modified_seconds)?;
        self.put("structuralObjectClass", stamp.structural);
        self.put("entryUUID", stamp.uuid);
        self.put("creatorsName", format!("cn=root,{}", stamp.store.suffix()));
        self.put("createTimestamp", &created);
        let csn = modified.trim_end_matches('Z');
        self.put("entryCSN", format!("{csn}.000000Z#{:06x}#000#000000", stamp.sequence & 0xFF_FFFF));
        self.put("modifiersName", format!("cn=root,{}", stamp.store.suffix()));
        self.put("modifyTimestamp", &modified);
        Ok(())
    }

    /// Writes the entry and counts it.
    pub(super) fn write(&self, out: &mut Output, dn: &str) -> Result<(), Error> {
        out.entries += 1;
        out.write(|out| self.write_lines(out, dn))
    }

    fn write_lines(&self, out: &mut dyn Write, dn: &str) -> io::Result<()> {
        ldif::attribute(out, "dn", dn.as_bytes())?;
        for (name, value) in &self.lines {
            ldif::attribute(out, name, value)?;
        }
        out.write_all(b"\n")
    }
}

/// Where an entry's system attributes come from.
pub(super) struct Stamp<'a> {
    pub store: Store,
    pub structural: &'a str,
    pub uuid: &'a str,
    pub created_seconds: i64,
    pub modified_seconds: i64,
    pub sequence: u64,
}

fn user_attributes(record: &mut Record, world: &World, person: &Person, account: &Account, around: &Surroundings) {
    let application = account.kind == Kind::Service && account.parent == "ou=services";
    if application {
        record.put("objectClass", "account");
        if account.secret.is_some() {
            record.put("objectClass", "simpleSecurityObject");
        }
    } else {
        record.put("objectClass", "inetOrgPerson");
    }
    if !account.lean {
        record.put("objectClass", "labAccount");
    }
    if account.posix {
        record.put("objectClass", "posixAccount");
    }
    record.put("uid", &account.uid);
    if !application {
        names(record, person, account);
    }
    if let Some(number) = &account.number {
        record.put("employeeNumber", number);
    }
    if let Some(mail) = &account.mail {
        record.put("mail", mail);
    }
    if !account.lean && !application {
        extras(record, world, person, account);
    }
    for (name, target) in &around.references {
        record.put(name, target);
    }
    if let Some(entity) = account.entity {
        record.put("labEntity", entity);
    }
    for owner in &around.owners {
        record.put("labOwner", owner);
    }
    for factor in account.factors {
        record.put("labFactor", factor);
    }
    if let Some(link) = &account.link {
        record.put("labSourceId", link);
    }
    if account.certificate {
        let der = BASE64.decode(CERTIFICATE.as_bytes()).unwrap_or_default();
        record.put("userCertificate;binary", der);
    }
    if account.pkcs12 {
        let mut bytes = [0; 96];
        world.dice(Purpose::Photo, u64::from(person.index)).fill(&mut bytes);
        record.put("userPKCS12", bytes);
    }
    if let Some(secret) = &account.secret {
        record.put("userPassword", secret.value());
    }
}

fn names(record: &mut Record, person: &Person, account: &Account) {
    record.put("cn", account.common_name());
    let own_name = matches!(account.kind, Kind::Person | Kind::Secondary);
    if account.style == super::account::Style::WithUnit {
        record.put("ou", "Sales");
    }
    record.put("sn", account.family());
    if !own_name || !person.name.japanese {
        return;
    }
    record.put("cn;lang-ja", &person.name.written);
    record.put("sn;lang-ja", person.name.written_family);
    if account.phonetic && !account.lean {
        record.put("cn;lang-ja;phonetic", &person.name.kana);
    }
    if !account.lean {
        record.put("givenName;lang-ja", person.name.written_given);
    }
}

/// What no retention list names.
fn extras(record: &mut Record, world: &World, person: &Person, account: &Account) {
    let index = person.index;
    record.put("givenName", if account.kind == Kind::Person { person.name.given } else { "-" });
    record.put("displayName", if account.kind == Kind::Person { &person.name.written } else { &account.cn });
    record.put("telephoneNumber", format!("+81 3 5550 {:04}", index % 10_000));
    record.put("departmentNumber", department(index));
    if person.entity == Entity::Contractor {
        record.put("o", FIRMS[index as usize % FIRMS.len()].0);
    }
    if account.posix {
        record.put("uidNumber", (20_000 + index).to_string());
        record.put("gidNumber", "20000");
        record.put("homeDirectory", format!("/home/{}", account.uid));
    }
    if account.photo || account.big {
        let length = if account.big && world.options.big_entry { BIG_PHOTO_BYTES } else { 300 + index as usize % 500 };
        record.put("jpegPhoto", photo(world, u64::from(index), length));
    }
}

/// Department of a person, in the roster and in the entry.
pub(super) fn department(index: u32) -> String {
    format!("{:03}", index / 50 % 400)
}

/// Bytes that begin and end as a JFIF image does.
fn photo(world: &World, index: u64, length: usize) -> Vec<u8> {
    const HEAD: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";
    let mut bytes = vec![0; length];
    world.dice(Purpose::Photo, index).fill(&mut bytes);
    let mut image = HEAD.to_vec();
    image.append(&mut bytes);
    image.extend_from_slice(b"\xFF\xD9");
    image
}

fn operational_attributes(
    record: &mut Record,
    world: &World,
    account: &Account,
    around: &Surroundings,
    index: u64,
) -> Result<(), Error> {
    // Not all at the same second of the day.
    let jitter = (index * 37 % 40_000) as i64;
    let ago = |days: i64| days * DAY + jitter;
    let suffix = account.store.suffix();
    if let Some(days) = account.changed.filter(|_| account.secret.is_some()) {
        record.put("pwdChangedTime", world.time(-ago(days))?);
    }
    if let Some(days) = account.used.filter(|_| account.secret.is_some()) {
        record.put("pwdLastSuccess", world.time(-ago(days))?);
    }
    for (number, secret) in account.history.iter().enumerate() {
        let value = secret.value();
        let at = world.time(-ago(500 + number as i64))?;
        record.put("pwdHistory", format!("{at}#1.3.6.1.4.1.1466.115.121.1.40#{}#{value}", value.len()));
    }
    if account.must_change {
        record.put("pwdReset", "TRUE");
    }
    policy_state(record, world, account.access, suffix)?;
    if account.mapped {
        record.put("authzTo", format!("dn.exact:uid=batch,ou=services,{}", account.store.other().suffix()));
    }
    for group in &around.member_of {
        record.put("memberOf", group);
    }
    let structural = if account.kind == Kind::Service && account.parent == "ou=services" { "account" } else { "inetOrgPerson" };
    record.put_system(
        world,
        &Stamp {
            store: account.store,
            structural,
            uuid: &account.uuid,
            created_seconds: ago(account.created),
            modified_seconds: ago(account.created.min(account.used.unwrap_or(account.created))),
            sequence: around.sequence,
        },
    )
}

/// Password policy attributes, as the overlay leaves them.
fn policy_state(record: &mut Record, world: &World, access: Access, suffix: &str) -> Result<(), Error> {
    const PERMANENT: &str = "000001010000Z";
    let policy = |name: &str| format!("cn={name},ou=policies,{suffix}");
    match access {
        Access::Open => {}
        Access::ExpiredLock => {
            record.put("pwdFailureTime", world.time(-2 * DAY - 20)?);
            record.put("pwdAccountLockedTime", world.time(-2 * DAY)?);
        }
        Access::RunningLock => record.put("pwdAccountLockedTime", world.time(-60)?),
        Access::FutureLock => record.put("pwdAccountLockedTime", world.time(30 * DAY)?),
        Access::FutureEnd => record.put("pwdEndTime", world.time(60 * DAY)?),
        Access::NolockLocked | Access::NolockEnded => {
            record.put("pwdPolicySubentry", policy("nolock"));
            record.put("pwdAccountLockedTime", PERMANENT);
            if access == Access::NolockEnded {
                record.put("pwdEndTime", world.time(-30 * DAY)?);
            }
        }
        Access::DanglingLocked => {
            record.put("pwdPolicySubentry", policy("withdrawn"));
            record.put("pwdAccountLockedTime", PERMANENT);
        }
        Access::DanglingEnded => {
            record.put("pwdPolicySubentry", policy("withdrawn"));
            record.put("pwdEndTime", world.time(-30 * DAY)?);
        }
        Access::Locked => record.put("pwdAccountLockedTime", PERMANENT),
        Access::LockedAndEnded => {
            record.put("pwdAccountLockedTime", PERMANENT);
            record.put("pwdEndTime", world.time(-20 * DAY)?);
        }
        Access::LockedWithoutEnd => {
            record.put("pwdPolicySubentry", policy("locking"));
            record.put("pwdAccountLockedTime", world.time(-150 * DAY)?);
        }
        Access::Ended => record.put("pwdEndTime", world.time(-30 * DAY)?),
        Access::NotBegun => record.put("pwdStartTime", world.time(30 * DAY)?),
    }
    Ok(())
}
