//! Groups and who is in them: teams (a pure function of the index), clubs (collected), and one
//! huge group.

use super::Error;
use super::account::{Account, Club, Kind};
use super::entry::{Record, Stamp};
use super::output::Output;
use super::person::Person;
use super::truth::{Label, status};
use super::world::{BLOCK, Purpose, Store, World};
use std::collections::BTreeMap;

/// People whose accounts make up one team.
pub(super) const TEAM: u32 = 50;

/// A member of a group as collected.
pub(super) struct Member {
    pub dn: String,
    pub uid: String,
    /// The account has a status finding, or there is no such entry.
    pub residual: bool,
}

/// Whether leavers were left in the team's group.
fn is_untidy(team: u32) -> bool {
    team.is_multiple_of(3)
}

fn team_dn(team: u32) -> String {
    format!("cn=team-{team:05},ou=groups,{}", Store::Shared.suffix())
}

fn division_dn(block: u32) -> String {
    format!("cn=division-{block:03},ou=groups,{}", Store::Shared.suffix())
}

/// DN of the huge group.
pub(super) fn everyone_dn() -> String {
    format!("cn=everyone,ou=groups,{}", Store::Shared.suffix())
}

/// DN of a club's group.
pub(super) fn club_dn(club: Club) -> String {
    let (name, store) = match club {
        Club::Admins => ("admins", Store::Shared),
        Club::VpnAdmins => ("vpn-admins", Store::Shared),
        Club::DirectoryAdmins => ("directory-admins", Store::Shared),
        Club::Unique => ("unique-readers", Store::Shared),
        Club::Role => ("duty-officers", Store::Shared),
        Club::Unix => ("unix-users", Store::Shared),
        Club::OtherCase => ("mixed-case", Store::Shared),
        Club::Admitted => ("admitted", Store::Independent),
        Club::OwnAdmins => ("admins", Store::Independent),
    };
    format!("cn={name},ou=groups,{}", store.suffix())
}

/// The member of the team's group that a person's account is, if any.
pub(super) fn team_member(person: &Person) -> Option<Member> {
    let account = person.account(Store::Shared).filter(|account| account.kind == Kind::Person)?;
    let residual = status(person, account).is_some();
    if residual && !is_untidy(person.index / TEAM) {
        return None;
    }
    let mut dn = account.dn();
    if person.index.is_multiple_of(17) {
        // Attribute types and the suffix compare without case.
        dn = dn.replace("uid=", "UID=").replace(",dc=shared,dc=example", ",DC=Shared,DC=Example");
    }
    Some(Member { dn, uid: account.uid.clone(), residual })
}

/// Groups that the memberof overlay would write into the account's entry.
pub(super) fn member_of(world: &World, person: &Person, account: &Account) -> Vec<String> {
    let mut groups = Vec::new();
    let is_first = person.account(account.store).is_some_and(|first| first.uuid == account.uuid);
    if account.store == Store::Shared && is_first {
        if team_member(person).is_some() {
            groups.push(team_dn(person.index / TEAM));
        }
        if world.options.big_group.is_some_and(|size| person.index < size) {
            groups.push(everyone_dn());
        }
    }
    for club in &account.clubs {
        // The overlay follows groupOfNames only.
        if !matches!(club, Club::Unique | Club::Role | Club::Unix) {
            groups.push(club_dn(*club));
        }
    }
    groups
}

/// A group about to be written.
pub(super) struct Group<'a> {
    pub store: Store,
    pub dn: String,
    pub class: &'static str,
    pub attribute: &'static str,
    pub members: Vec<String>,
    pub member_of: Vec<String>,
    pub further: Vec<(&'static str, String)>,
    pub residual: bool,
    pub privileged: bool,
    pub note: &'static str,
    pub world: &'a World,
}

impl<'a> Group<'a> {
    /// A groupOfNames without members.
    pub(super) fn named(world: &'a World, store: Store, dn: String) -> Self {
        Self {
            store,
            dn,
            class: "groupOfNames",
            attribute: "member",
            members: Vec::new(),
            member_of: Vec::new(),
            further: Vec::new(),
            residual: false,
            privileged: false,
            note: "names a residual account, or none",
            world,
        }
    }

    /// Writes the entry; returns the label that it calls for.
    pub(super) fn write(mut self, out: &mut Output) -> Result<Option<Label>, Error> {
        if self.members.is_empty() && matches!(self.attribute, "member" | "uniqueMember") {
            self.members.push(format!("cn=placeholder,ou=system,{}", self.store.suffix()));
        }
        let mut record = Record::new();
        record.put("objectClass", self.class);
        let cn = self.dn.split([',', '=']).nth(1).unwrap_or_default();
        record.put("cn", cn);
        for (name, value) in &self.further {
            record.put(name, value);
        }
        for member in &self.members {
            record.put(self.attribute, member);
        }
        for group in &self.member_of {
            record.put("memberOf", group);
        }
        let uuid = uuid_of(self.world, &self.dn);
        record.put_system(
            self.world,
            &Stamp {
                store: self.store,
                structural: self.class,
                uuid: &uuid,
                created_seconds: 2_000 * 86_400,
                modified_seconds: 30 * 86_400,
                sequence: out.entries,
            },
        )?;
        record.write(out, &self.dn)?;
        Ok(self.residual.then(|| Label {
            rule: "residual.membership",
            severity: if self.privileged { "high" } else { "medium" },
            store: self.store.name(),
            dn: Some(self.dn.clone()),
            entity: None,
            person_id: None,
            note: self.note,
            about: None,
        }))
    }
}

/// entryUUID of an entry that is known by its DN alone.
pub(super) fn uuid_of(world: &World, dn: &str) -> String {
    use sha1::{Digest, Sha1};
    let digest = Sha1::digest(dn.as_bytes());
    let index = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    world.uuid(Purpose::Service, index)
}

/// Teams whose people are all written, and the clubs so far.
#[derive(Default)]
pub(super) struct Collected {
    team: Vec<Member>,
    clubs: BTreeMap<Club, Vec<Member>>,
}

impl Collected {
    /// Takes a person's memberships down.
    pub(super) fn add(&mut self, person: &Person) {
        self.team.extend(team_member(person));
        self.add_clubs(person);
    }

    /// Takes memberships down except that of a team.
    pub(super) fn add_clubs(&mut self, person: &Person) {
        for account in &person.accounts {
            for club in &account.clubs {
                self.join(
                    *club,
                    Member { dn: account.dn(), uid: account.uid.clone(), residual: status(person, account).is_some() },
                );
            }
        }
    }

    /// Takes one membership of a club down.
    pub(super) fn join(&mut self, club: Club, member: Member) {
        self.clubs.entry(club).or_default().push(member);
    }

    /// Writes the group of the team to which the person with index `last` belongs.
    pub(super) fn write_team(&mut self, world: &World, out: &mut Output, last: u32) -> Result<Option<Label>, Error> {
        let team = last / TEAM;
        let suffix = Store::Shared.suffix();
        let mut group = Group::named(world, Store::Shared, team_dn(team));
        group.residual = self.team.iter().any(|member| member.residual);
        group.members = self.team.drain(..).map(|member| member.dn).collect();
        match team % 6 {
            // Deleted long ago, still listed.
            3 => {
                group.members.push(format!("uid=ghost.{team},ou=own,ou=accounts,{suffix}"));
                group.residual = true;
            }
            // Not inside anything that is read.
            5 => group.members.push(format!("uid=guest.{team},ou=partner,{suffix}")),
            _ => {}
        }
        group.member_of = vec![division_dn(last / BLOCK)];
        group.write(out)
    }

    /// Writes the division of a block: a group of the block's teams.
    pub(super) fn write_division(world: &World, out: &mut Output, last: u32) -> Result<(), Error> {
        let block = last / BLOCK;
        let mut group = Group::named(world, Store::Shared, division_dn(block));
        group.members = (block * BLOCK / TEAM..=last / TEAM).map(team_dn).collect();
        group.write(out).map(|_| ())
    }

    /// Writes the groups of all clubs of a store; returns the labels that they call for.
    pub(super) fn write_clubs(&self, world: &World, out: &mut Output, store: Store) -> Result<Vec<Label>, Error> {
        let mut labels = Vec::new();
        let all = [
            Club::Admins,
            Club::VpnAdmins,
            Club::DirectoryAdmins,
            Club::Unique,
            Club::Role,
            Club::Unix,
            Club::OtherCase,
            Club::Admitted,
            Club::OwnAdmins,
        ];
        for club in all.into_iter().filter(|club| club_dn(*club).ends_with(store.suffix())) {
            labels.extend(self.club(world, club, store).write(out)?);
        }
        Ok(labels)
    }

    fn club<'a>(&self, world: &'a World, club: Club, store: Store) -> Group<'a> {
        let members = self.clubs.get(&club).map_or(&[][..], Vec::as_slice);
        let mut group = Group::named(world, store, club_dn(club));
        group.residual = members.iter().any(|member| member.residual);
        group.privileged = matches!(club, Club::Admins | Club::VpnAdmins | Club::OwnAdmins);
        group.members = members.iter().map(|member| member.dn.clone()).collect();
        match club {
            Club::Admins | Club::VpnAdmins => {
                let other = if club == Club::Admins { Club::VpnAdmins } else { Club::Admins };
                group.members.push(club_dn(other));
                group.member_of = vec![club_dn(other)];
            }
            Club::Unique => {
                group.class = "groupOfUniqueNames";
                group.attribute = "uniqueMember";
            }
            Club::Role => {
                group.class = "organizationalRole";
                group.attribute = "roleOccupant";
            }
            Club::Unix => {
                group.class = "posixGroup";
                group.attribute = "memberUid";
                group.members = members.iter().map(|member| member.uid.clone()).collect();
                group.further = vec![("gidNumber", "20000".to_owned())];
            }
            Club::OtherCase => group.members = group.members.iter().map(|dn| dn.to_uppercase()).collect(),
            Club::DirectoryAdmins | Club::Admitted | Club::OwnAdmins => {}
        }
        if club == Club::Admitted {
            group.members.insert(0, format!("cn=placeholder,ou=system,{}", store.suffix()));
        }
        group
    }
}
