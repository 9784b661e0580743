//! What is read: by the audit, by a run before and after each change, and of the server's own configuration.

use std::collections::BTreeSet;

use untether_audit::collect::Credentials;
use untether_model::policy::{CopyArea, CopyKind, ScopeBase};
use untether_model::{AttrName, Dn, Side};

use super::grant::{Attrs, Database, Extent, Grant, Level, Place};
use super::role::Role;
use crate::config::Config;

/// Attributes that name other entries, and by which such entries are found.
pub(super) const MEMBERS: [&str; 4] = ["member", "uniqueMember", "memberUid", "roleOccupant"];

/// Attributes that refer to one other entry.
pub(super) const REFERENCES: [&str; 4] = ["manager", "secretary", "owner", "seeAlso"];

/// What is looked at of entries that are not our accounts: that they are there, whom they name, how a password policy locks.
const LINKING: [&str; 8] =
    ["entry", "objectClass", "entryUUID", "entryCSN", "memberURL", "ref", "aliasedObjectName", "pwdLockout"];

/// Further attributes of a password policy.
const POLICY: [&str; 2] = ["pwdLockoutDuration", "pwdMustChange"];

/// What a scope takes in, unless it is everything.
pub(super) fn filter_of(scope: &ScopeBase) -> Option<&str> {
    (!scope.is_everything()).then_some(scope.filter.as_str())
}

/// Attributes that refer to somebody, with the configured ones.
pub(super) fn references(config: &Config, side: Side) -> Vec<AttrName> {
    let mut all: Vec<AttrName> = REFERENCES.map(AttrName::new).to_vec();
    all.extend(config.audit.store(side).attributes.owner.iter().cloned());
    all.extend(config.migrations().into_iter().flat_map(|(mapping, _)| mapping.references));
    let mut seen = BTreeSet::new();
    all.retain(|attr| seen.insert(attr.clone()));
    all
}

/// The attributes that a filter asks about (RFC 4515); slapd wants the right to search by each of them.
pub fn asked_by(filter: &str) -> impl Iterator<Item = &str> {
    filter.split(['(', ')', '&', '|', '!']).filter_map(|item| {
        let end = item.find(['=', '~', '<', '>', ':'])?;
        item.get(..end).map(str::trim).filter(|name| !name.is_empty())
    })
}

/// The reader's, of one store.
pub(super) fn reader(config: &Config, side: Side) -> Vec<Grant> {
    let audit = config.audit.store(side);
    let grant = |database, place, attrs, stops| Grant { role: Role::Read, database, place, attrs, level: Level::Read, stops };
    let mut grants = Vec::new();
    for scope in &audit.accounts {
        let place = Place::below(&scope.base).matching(filter_of(scope));
        grants.push(grant(Database::Main, place, Attrs::All, vec!["audit", "every stage"]));
    }
    // Whatever names people is rehearsed and restored as a whole; what lets somebody in is no part of that.
    let whole = [ScopeBase::all(audit.suffix.clone())];
    let naming = if audit.others.is_empty() { whole.as_slice() } else { audit.others.as_slice() };
    let credentials = Credentials::new(&config.audit.credentials);
    for scope in naming {
        let place = Place::below(&scope.base).matching(filter_of(scope));
        let (database, attrs) = (Database::Main, Attrs::of(credentials.names()));
        grants.push(Grant { role: Role::Read, database, place: place.clone(), attrs, level: Level::None, stops: Vec::new() });
        grants.push(grant(Database::Main, place, Attrs::All, vec!["audit", "rehearse", "remove"]));
    }
    let named = references(config, side);
    let asked = audit.accounts.iter().chain(&audit.others).flat_map(|scope| asked_by(&scope.filter));
    let fixed = LINKING.into_iter().chain(POLICY).chain(MEMBERS);
    let linking = Attrs::of(fixed.chain(named.iter().map(AttrName::as_str)).chain(asked));
    grants.push(grant(Database::Main, Place::below(&audit.suffix), linking, vec!["audit", "remove"]));
    for area in &audit.copies {
        let inside = area.base.is_within(&audit.suffix);
        let database = if inside { Database::Main } else { Database::Copies(area.base.clone()) };
        grants.push(grant(database, Place::below(&area.base), copied(area), vec!["audit"]));
    }
    for (dn, attrs) in [
        ("cn=Databases,cn=Monitor", ["entry", "objectClass", "namingContexts", "olmMDBEntries"].as_slice()),
        ("cn=Current,cn=Time,cn=Monitor", ["entry", "objectClass", "monitorTimestamp"].as_slice()),
    ] {
        if let Ok(dn) = Dn::parse(dn) {
            let stops = vec!["the count of the audit", "the clock check of doctor"];
            grants.push(grant(Database::Monitor, Place::below(&dn), Attrs::of(attrs), stops));
        }
    }
    grants
}

/// What is read of an area of copies.
fn copied(area: &CopyArea) -> Attrs {
    match area.kind {
        CopyKind::AccessLog => {
            Attrs::of(["entry", "objectClass", "entryUUID", "reqDN", "reqType", "reqMod", "reqOld", "reqEntryUUID", "reqData"])
        }
        CopyKind::Changelog => Attrs::of(["entry", "objectClass", "targetDN", "targetUniqueId", "changes", "deletedEntryAttrs"]),
        CopyKind::Tombstone | CopyKind::Backup => Attrs::All,
    }
}

/// Whoever reads `cn=config`: links, protected identities, policies. Not the password of its administrator.
pub(super) fn configuration() -> Vec<Grant> {
    let Ok(dn) = Dn::parse("cn=config") else { return Vec::new() };
    let place = Place { dn, extent: Extent::Everything, filter: None };
    let grant = |attrs, level| Grant {
        role: Role::Config,
        database: Database::Config,
        place: place.clone(),
        attrs,
        level,
        stops: vec!["audit", "plan"],
    };
    vec![grant(Attrs::of(["olcRootPW"]), Level::None), grant(Attrs::All, Level::Read)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_of_a_filter_are_found() {
        let asked: Vec<&str> =
            asked_by("(&(objectClass=inetOrgPerson)(!(employeeType=x))(|(cn~=a)(o>=b)(uid:caseExactMatch:=c)))").collect();
        assert_eq!(asked, ["objectClass", "employeeType", "cn", "o", "uid"]);
    }
}
