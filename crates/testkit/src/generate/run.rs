//! Writes the whole data directory, person by person.

use super::account::{Account, Club, Owner, Style, Target};
use super::entry::{self, Surroundings};
use super::fixed::{self, Cited};
use super::groups::{self, Collected, Member, TEAM};
use super::output::Output;
use super::person::Person;
use super::situation::{Left, Situation, place};
use super::truth::{self, Label, status};
use super::world::{BLOCK, Entity, Store, World};
use super::{Error, Options, Summary, links, manifest, output, roster, services};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the data directory; what is in it already is replaced.
///
/// # Errors
/// [`Error`]: the directory cannot be written, or `now` is at the end of time.
pub fn generate(options: &Options, out: &Path) -> Result<Summary, Error> {
    std::fs::create_dir_all(out).map_err(|source| Error::Write { path: out.to_owned(), source })?;
    let world = World::new(options)?;
    let mut writer = Writer {
        world: &world,
        shared: Output::create(out, "shared.ldif", 0o644)?,
        independent: Output::create(out, "independent.ldif", 0o644)?,
        roster: Output::create(out, "roster.csv", 0o644)?,
        truth: Output::create(out, "truth.jsonl", 0o644)?,
        passwords: Output::create(out, "passwords.jsonl", 0o600)?,
        findings: BTreeMap::new(),
        collected: Collected::default(),
        anchors: Vec::new(),
    };
    let names = writer.write()?;
    // The laboratory takes what it finds: nothing of an earlier run may stay.
    for name in links::FILES {
        output::remove(out, name)?;
    }
    if options.links {
        let labels = links::write(&world, out, &names)?;
        writer.label(labels)?;
    }
    let Writer { shared, independent, roster, truth, passwords, findings, .. } = writer;
    truth.finish()?;
    passwords.finish()?;
    let summary = Summary {
        shared_entries: shared.finish()?,
        independent_entries: independent.finish()?,
        roster_rows: roster.finish()?,
        findings,
    };
    for (store, name) in [(Store::Shared, "shared-canary.ldif"), (Store::Independent, "independent-canary.ldif")] {
        let mut file = Output::create(out, name, 0o644)?;
        fixed::write_canaries(&world, &mut file, store)?;
        file.finish()?;
    }
    manifest::write(&world, out, &summary)?;
    Ok(summary)
}

struct Writer<'a> {
    world: &'a World,
    shared: Output,
    independent: Output,
    roster: Output,
    truth: Output,
    passwords: Output,
    findings: BTreeMap<String, u64>,
    collected: Collected,
    /// The people of the current block to whom others refer, by place.
    anchors: Vec<Person>,
}

#[derive(Serialize)]
struct Password<'a> {
    store: &'static str,
    dn: &'a str,
    uid: &'a str,
    password: &'a str,
}

impl Writer<'_> {
    /// Writes stores, roster and labels; returns the DNs that links refer to.
    fn write(&mut self) -> Result<links::Names, Error> {
        let world = self.world;
        let people = world.options.people;
        fixed::write_base(world, &mut self.shared, Store::Shared)?;
        fixed::write_base(world, &mut self.independent, Store::Independent)?;
        roster::write_header(&mut self.roster)?;
        let mut cited = Cited { present: None, departed: None };
        let mut names = links::Names { present: None, departed: None, departed_with_comma: None, departed_here: None };
        for index in 0..people {
            if index % BLOCK == 0 {
                self.begin_block(index)?;
                if index == 0 {
                    cited = self.cite();
                    names.present.clone_from(&cited.present);
                    names.departed.clone_from(&cited.departed);
                    names.departed_here = self.anchor(place::DEPARTED, Store::Independent).map(|(dn, _)| dn);
                }
            }
            let person = Person::make(world, index)?;
            if names.departed_with_comma.is_none() && person.situation == Situation::Left(Left::Styled(Style::Comma)) {
                names.departed_with_comma = person.account(Store::Shared).map(Account::dn);
            }
            self.person(&person)?;
            let last = index + 1 == people;
            if last || (index + 1) % TEAM == 0 {
                let label = self.collected.write_team(world, &mut self.shared, index)?;
                self.label(label)?;
            }
            if last || (index + 1) % BLOCK == 0 {
                Collected::write_division(world, &mut self.shared, index)?;
                self.services(services::block_of(index))?;
            }
        }
        self.break_glass()?;
        if people > 0 {
            fixed::write_partner(world, &mut self.shared)?;
            let uid = fixed::partner_uid(0);
            let dn = format!("uid={uid},ou=partner,{}", Store::Shared.suffix());
            self.collected.join(Club::VpnAdmins, Member { dn, uid, residual: false });
        }
        let labels = self.collected.write_clubs(world, &mut self.shared, Store::Shared)?;
        self.label(labels)?;
        let labels = self.collected.write_clubs(world, &mut self.independent, Store::Independent)?;
        self.label(labels)?;
        let labels = fixed::write_shared(world, &mut self.shared, &cited)?;
        self.label(labels)?;
        self.big_group()?;
        Ok(names)
    }

    fn begin_block(&mut self, first: u32) -> Result<(), Error> {
        let end = self.world.options.people.min(first + place::ENDED + 1);
        self.anchors = (first..end).map(|index| Person::make(self.world, index)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn cite(&self) -> Cited {
        let dn = |place: u32| self.anchor(place, Store::Shared).map(|(dn, _)| dn);
        Cited { present: dn(place::PRESENT), departed: dn(place::DEPARTED) }
    }

    /// DN of the first account of the person at a place, and whether it has a status finding.
    fn anchor(&self, place: u32, store: Store) -> Option<(String, bool)> {
        let person = self.anchors.get(place as usize)?;
        let account = person.account(store)?;
        Some((account.dn(), status(person, account).is_some()))
    }

    /// DN that a target stands for, and whether naming it calls for a finding.
    fn resolve(&self, target: Target, store: Store, index: u32) -> Option<(String, bool)> {
        let suffix = store.suffix();
        match target {
            Target::Place(place) => self.anchor(place, store),
            Target::PlaceOtherCase(place) => self.anchor(place, store).map(|(dn, residual)| (dn.to_uppercase(), residual)),
            Target::Missing => {
                let parent = match store {
                    Store::Shared => "ou=own,ou=accounts",
                    Store::Independent => "ou=people",
                };
                Some((format!("uid=missing.{index},{parent},{suffix}"), true))
            }
            Target::Outside => Some((format!("uid=missing.{index},ou=partner,{suffix}"), false)),
        }
    }

    fn person(&mut self, person: &Person) -> Result<(), Error> {
        roster::write(&mut self.roster, person)?;
        for account in &person.accounts {
            let owner = match account.owner {
                None | Some(Owner::Nobody) => None,
                Some(Owner::Present) => Some(Target::Place(match account.store {
                    Store::Shared => place::PRESENT + person.index % place::PRESENT_COUNT,
                    Store::Independent => place::MOVED,
                })),
                Some(Owner::Departed) => Some(Target::Place(place::DEPARTED)),
                Some(Owner::Missing) => Some(Target::Missing),
            };
            self.account(person, account, owner.as_slice())?;
        }
        self.collected.add(person);
        Ok(())
    }

    fn account(&mut self, person: &Person, account: &Account, owners: &[Target]) -> Result<(), Error> {
        let mut around = Surroundings { member_of: groups::member_of(self.world, person, account), ..Surroundings::default() };
        let mut refers_to_residual = false;
        for (attribute, target) in &account.references {
            if let Some((dn, residual)) = self.resolve(*target, account.store, person.index) {
                around.references.push((*attribute, dn));
                refers_to_residual |= residual;
            }
        }
        for target in owners {
            around.owners.extend(self.resolve(*target, account.store, person.index).map(|(dn, _)| dn));
        }
        let out = match account.store {
            Store::Shared => &mut self.shared,
            Store::Independent => &mut self.independent,
        };
        around.sequence = out.entries;
        entry::write(out, self.world, person, account, &around)?;
        if let Some(password) = account.secret.as_ref().and_then(super::secret::Secret::clear) {
            let store = account.store.name();
            self.passwords.json(&Password { store, dn: &account.dn(), uid: &account.uid, password: &password })?;
        }
        self.label(truth::labels(person, account, refers_to_residual))
    }

    fn services(&mut self, block: u32) -> Result<(), Error> {
        // Owners are at the first places; a world without them has no services.
        if self.anchors.len() <= (place::PRESENT + 1) as usize {
            return Ok(());
        }
        let mut bearer = Person::nobody(self.world, services::bearer_index(block));
        for service in services::of_block(self.world, &mut bearer, block) {
            self.account(&bearer, &service.account, &service.owners)?;
        }
        Ok(())
    }

    fn break_glass(&mut self) -> Result<(), Error> {
        let mut bearer = Person::nobody(self.world, services::bearer_index(BLOCK * BLOCK));
        bearer.accounts = services::break_glass(self.world, &mut bearer);
        for account in bearer.accounts.clone() {
            self.account(&bearer, &account, &[])?;
        }
        self.collected.add_clubs(&bearer);
        Ok(())
    }

    fn big_group(&mut self) -> Result<(), Error> {
        let Some(size) = self.world.options.big_group else { return Ok(()) };
        let world = self.world;
        let mut members = Vec::new();
        let mut residual = false;
        for index in 0..size {
            if index < world.options.people {
                let person = Person::make(world, index)?;
                if let Some(account) = person.account(Store::Shared) {
                    residual |= status(&person, account).is_some();
                    members.push(account.dn());
                }
            } else {
                residual = true;
                let unit = Entity::Own.unit();
                members.push(format!("uid=former.{index},ou={unit},ou=accounts,{}", Store::Shared.suffix()));
            }
        }
        let mut group = groups::Group::named(world, Store::Shared, groups::everyone_dn());
        group.members = members;
        group.residual = residual;
        let label = group.write(&mut self.shared)?;
        self.label(label)
    }

    fn label(&mut self, labels: impl IntoIterator<Item = Label>) -> Result<(), Error> {
        for label in labels {
            *self.findings.entry(label.rule.to_owned()).or_default() += 1;
            self.truth.json(&label)?;
        }
        Ok(())
    }
}
