//! What must be in both directories when people have ended a stage: written down from what the stages promise, for people and not
//! for operations, and without a look at any plan.

use std::collections::{BTreeMap, BTreeSet};

use untether_directory::dump::{Difference, Ignored, compare};
use untether_model::operation::{Stage, Track};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side, Value};

use super::estate::{Estate, Password, Person};

/// Attributes that say when and by whom, or that depend on a secret: not foretold.
pub const NOT_FORETOLD: [&str; 13] = [
    "entryCSN",
    "modifyTimestamp",
    "modifiersName",
    "createTimestamp",
    "creatorsName",
    "entryUUID",
    "structuralObjectClass",
    "contextCSN",
    "pwdChangedTime",
    "pwdLastSuccess",
    "pwdFailureTime",
    "pwdEndTime",
    "labSourceId",
];

/// How far each person came, by login.
pub type Progress = BTreeMap<String, Stage>;

struct Expectation<'a> {
    estate: &'a Estate,
    progress: &'a Progress,
}

impl Expectation<'_> {
    fn reached(&self, person: &Person, stage: Stage) -> bool {
        let has = person.track.is_some_and(|track| track.has(stage));
        has && self.progress.get(&person.uid).is_some_and(|ended| *ended >= stage)
    }

    fn gone(&self, dn: &Dn) -> bool {
        self.estate.people.iter().any(|p| self.estate.shared_dn(p) == *dn && self.reached(p, Stage::Remove))
    }

    fn shared(&self) -> Vec<Entry> {
        let mut out = Vec::new();
        for mut entry in self.estate.entries(Side::Shared) {
            if self.gone(&entry.dn) {
                continue;
            }
            if let Some(person) = self.estate.people.iter().find(|p| self.estate.shared_dn(p) == entry.dn) {
                self.account(person, &mut entry);
            }
            let placeholder = self.estate.placeholder(Side::Shared);
            for name in ["member", "manager"] {
                let attr = AttrName::new(name);
                let Some(values) = entry.attrs.get_mut(&attr) else { continue };
                values.retain(|v| v.as_str().and_then(|text| Dn::parse(text).ok()).is_none_or(|dn| !self.gone(&dn)));
                if values.is_empty() && name == "member" {
                    values.push(Value::from(placeholder.as_str()));
                } else if values.is_empty() {
                    entry.attrs.remove(&attr);
                }
            }
            out.push(entry);
        }
        member_of(&mut out);
        out
    }

    fn account(&self, person: &Person, entry: &mut Entry) {
        if self.reached(person, Stage::Disable) {
            set(entry, "pwdAccountLockedTime", "000001010000Z");
            if person.lax {
                set(entry, "pwdPolicySubentry", self.estate.shared.child("ou", "policies").child("cn", "locking").as_str());
            }
            if matches!(person.password, Password::PassThrough | Password::Clear) {
                entry.attrs.remove(&AttrName::new("userPassword"));
            }
        }
        if self.reached(person, Stage::Scrub) {
            const STAY: [&str; 8] =
                ["uid", "cn", "sn", "objectclass", "pwdaccountlockedtime", "pwdpolicysubentry", "memberof", "pwdendtime"];
            let history = AttrName::new("pwdHistory");
            let keeps_history = !self.estate.manage;
            entry.attrs.retain(|attr, _| STAY.contains(&attr.base()) || keeps_history && *attr == history);
        }
    }

    fn independent(&self) -> Vec<Entry> {
        let estate = self.estate;
        let mut out = estate.entries(Side::Independent);
        let migrating = || estate.people.iter().filter(|p| p.track == Some(Track::Migrate) && self.reached(p, Stage::Provision));
        for person in migrating() {
            let uid = person.uid.as_str();
            let mail = format!("{uid}@own.example");
            let mut entry = super::estate::made(
                estate.own_dn(person),
                &[
                    ("objectClass", "inetOrgPerson"),
                    ("uid", uid),
                    ("cn", uid),
                    ("sn", uid),
                    ("mail", &mail),
                    ("telephoneNumber", "+81 3 0000 0001"),
                    ("telephoneNumber", "+81 3 0000 0002"),
                    ("description", "made by the departure"),
                ],
            );
            if person.photo {
                entry.attrs.insert(AttrName::new("jpegPhoto"), vec![Value::new(vec![0xff; 3_000])]);
            }
            let manager = person.manager.and_then(|n| estate.people.get(n));
            if let Some(manager) = manager.filter(|m| m.has_own() || migrating().any(|p| p.uid == m.uid)) {
                set(&mut entry, "manager", estate.own_dn(manager).as_str());
            }
            if self.reached(person, Stage::Enroll) {
                set(&mut entry, "pwdReset", "TRUE");
                set(&mut entry, "labFactor", "totp");
            } else {
                set(&mut entry, "pwdAccountLockedTime", "000001010000Z");
            }
            out.push(entry);
        }
        let staff: Vec<&Person> = migrating().filter(|p| p.groups.contains(&0)).collect();
        if !staff.is_empty() {
            let mut group = super::estate::made(estate.own_staff(), &[("objectClass", "groupOfNames"), ("cn", "staff")]);
            let values: untether_model::Values = staff.iter().map(|p| Value::from(estate.own_dn(p).as_str())).collect();
            group.attrs.insert(AttrName::new("member"), values);
            out.push(group);
        }
        let admitted = estate.admitted();
        for entry in out.iter_mut().filter(|e| e.dn == admitted) {
            let values = entry.attrs.entry(AttrName::new("member")).or_default();
            values.extend(migrating().filter(|p| self.reached(p, Stage::Switch)).map(|p| Value::from(estate.own_dn(p).as_str())));
        }
        member_of(&mut out);
        out
    }
}

fn set(entry: &mut Entry, name: &str, value: &str) {
    entry.attrs.insert(AttrName::new(name), vec![Value::from(value)]);
}

/// `memberOf` as the overlay keeps it: on entries that exist, the groups that hold them.
fn member_of(entries: &mut [Entry]) {
    let mut held: BTreeMap<Dn, BTreeSet<String>> = BTreeMap::new();
    for group in entries.iter().filter(|e| e.is_class("groupOfNames")) {
        for member in group.texts("member").filter_map(|text| Dn::parse(text).ok()) {
            held.entry(member).or_default().insert(group.dn.as_str().to_owned());
        }
    }
    for entry in entries {
        entry.attrs.remove(&AttrName::new("memberOf"));
        if let Some(groups) = held.get(&entry.dn).filter(|_| !entry.is_class("device")) {
            entry.attrs.insert(
                AttrName::new("memberOf"),
                groups.iter().map(|g| Value::from(g.as_str())).collect::<untether_model::Values>(),
            );
        }
    }
}

/// What differs from what must be there; credentials that are made on the way only have to be there or not.
pub fn differences(estate: &Estate, progress: &Progress, [shared, independent]: &[Vec<Entry>; 2]) -> Vec<Difference> {
    let expectation = Expectation { estate, progress };
    let ignored = Ignored::nothing().everywhere(NOT_FORETOLD);
    let schema = Schema::standard();
    let mut found = compare(&expectation.shared(), &foretellable(estate, shared, Side::Shared), &schema, &ignored);
    let own = foretellable(estate, independent, Side::Independent);
    found.extend(compare(&expectation.independent(), &own, &schema, &ignored));
    found
}

/// A dump without what nobody can foretell: one-time credentials, and the `memberOf` of placeholders.
pub fn foretellable(estate: &Estate, dump: &[Entry], side: Side) -> Vec<Entry> {
    let mut out = dump.to_vec();
    for entry in &mut out {
        if *entry.dn.key() == *estate.placeholder(side).key() {
            entry.attrs.remove(&AttrName::new("memberOf"));
        }
        let made_by_us = side == Side::Independent && entry.has("labSourceId");
        if made_by_us {
            entry.attrs.remove(&AttrName::new("userPassword"));
            entry.attrs.remove(&AttrName::new("pwdHistory"));
        }
    }
    out
}
