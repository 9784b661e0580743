//! A person as planted: roster rows, accounts, and what became of the person.

use super::account::{Access, Account, Kind, Style};
use super::names::{self, Name};
use super::secret::{Scheme, Secret};
use super::situation::{Situation, place};
use super::world::{BLOCK, Dice, Entity, Purpose, Store, World};
use super::{Error, cast};
use jiff::civil::Date;

/// What the roster's rows say, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Present,
    OnLeave,
    NotStarted,
    Departed,
    ContractOver,
    /// No roster row.
    Unlisted,
}

/// One row of the roster.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub number: String,
    pub previous: String,
    pub mail: String,
    pub login: String,
    pub entity: Entity,
    pub status: &'static str,
    pub employment: &'static str,
    pub start: Option<Date>,
    pub last_day: Option<Date>,
    pub contract_end: Option<Date>,
}

/// One person (or one account that is nobody's) with everything that is planted for it.
pub(super) struct Person {
    pub index: u32,
    pub situation: Situation,
    pub entity: Entity,
    pub fate: Fate,
    pub name: Name,
    pub uid: String,
    pub mail: String,
    pub number: String,
    pub rows: Vec<Row>,
    pub accounts: Vec<Account>,
    pub dice: Dice,
}

impl Person {
    /// Makes the person with this index; the same index gives the same person.
    pub(super) fn make(world: &World, index: u32) -> Result<Self, Error> {
        let mut dice = world.dice(Purpose::Person, u64::from(index));
        let situation = super::situation::situation(index, world.options.people, &mut dice);
        let entity = cast::entity(situation, &mut dice);
        let name = names::pick(dice.number(), entity == Entity::Overseas);
        let uid = format!("{}.{}.{index}", name.family.to_lowercase(), name.given.to_lowercase());
        let mail = format!("{}.{}{index}@{}", name.given.to_lowercase(), name.family.to_lowercase(), entity.domain(index));
        let mut person = Self {
            index,
            situation,
            entity,
            fate: Fate::Present,
            number: entity.number(index),
            name,
            uid,
            mail,
            rows: Vec::new(),
            accounts: Vec::new(),
            dice,
        };
        cast::play(world, &mut person)?;
        Ok(person)
    }

    /// Nobody: bearer of accounts that are not a person's, with draws of its own.
    pub(super) fn nobody(world: &World, index: u32) -> Self {
        let mut dice = world.dice(Purpose::Service, u64::from(index));
        Self {
            index,
            situation: Situation::Rowless(super::situation::Rowless::OrphanWithoutPassword),
            entity: Entity::Own,
            fate: Fate::Unlisted,
            name: names::pick(dice.number(), false),
            uid: String::new(),
            mail: String::new(),
            number: String::new(),
            rows: Vec::new(),
            accounts: Vec::new(),
            dice,
        }
    }

    /// An open account of the kind that services have: no keys, no entity.
    pub(super) fn service(&mut self, world: &World, store: Store, uid: &str) -> Account {
        uid.clone_into(&mut self.uid);
        let mut account = self.bare(store, super::groups::uuid_of(world, &format!("{uid}@{}", store.suffix())));
        account.kind = Kind::Service;
        "ou=services".clone_into(&mut account.parent);
        account.cn = format!("Service {uid}");
        account.number = None;
        account.mail = None;
        account.entity = None;
        account.created = 900;
        account.secret = Some(self.secret(Scheme::Ssha));
        account
    }

    /// Id of the person in the roster.
    pub(super) fn person_id(&self) -> Option<String> {
        (!self.rows.is_empty()).then(|| format!("P{:07}", self.index + 1))
    }

    /// First account in a store.
    pub(super) fn account(&self, store: Store) -> Option<&Account> {
        self.accounts.iter().find(|account| account.store == store)
    }

    /// Whether the person has an enabled, decided account in the independent directory.
    pub(super) fn has_moved(&self) -> bool {
        self.accounts
            .iter()
            .any(|account| account.store == Store::Independent && account.undecided.is_none() && account.is_open())
    }

    /// A roster row of somebody who is there.
    pub(super) fn row(&mut self, world: &World) -> Result<Row, Error> {
        let contractor = self.entity == Entity::Contractor;
        let contract_end = if contractor { Some(world.day(self.entity, 40 + self.dice.below(400) as i64)?) } else { None };
        Ok(Row {
            number: self.number.clone(),
            previous: String::new(),
            mail: self.mail.clone(),
            login: self.uid.clone(),
            entity: self.entity,
            status: "active",
            employment: if contractor { "contractor" } else { "regular" },
            start: Some(world.day(self.entity, -200 - self.dice.below(5_000) as i64)?),
            last_day: None,
            contract_end,
        })
    }

    /// An ordinary open account in the shared store.
    pub(super) fn shared(&mut self, world: &World) -> Account {
        let created = 400 + self.dice.below(2_500) as i64;
        let mut account = self.bare(Store::Shared, world.uuid(Purpose::SharedUuid, u64::from(self.index) * 4));
        account.parent = format!("ou={},ou=accounts", self.entity.unit());
        account.created = created;
        account.used = Some(self.dice.below(120) as i64);
        account.changed = Some(90 + self.dice.below(300) as i64);
        let draw = self.dice.below(100);
        account.photo = draw < 10;
        account.posix = self.entity == Entity::Own && (10..20).contains(&draw);
        account.phonetic = self.name.japanese && draw.is_multiple_of(4);
        let scheme = match self.dice.below(10) {
            0..=3 => Scheme::Ssha,
            4..=6 => Scheme::Ssha512,
            7 => Scheme::Crypt,
            8 => Scheme::Argon2,
            _ => Scheme::Sha,
        };
        account.secret = Some(self.secret(scheme));
        if self.dice.below(4) == 0 {
            account.history = vec![self.secret(Scheme::Ssha)];
        }
        if self.index % BLOCK > place::ENDED {
            account.references = vec![("manager", cast::superior(&mut self.dice))];
        }
        account
    }

    /// An ordinary enabled account in the independent directory, linked to the first account in
    /// the shared store where there is one.
    pub(super) fn independent(&mut self, world: &World) -> Account {
        let link = self.account(Store::Shared).map(|shared| shared.uuid.clone());
        let created = 2 + self.dice.below(58) as i64;
        let mut account = self.bare(Store::Independent, world.uuid(Purpose::OwnUuid, u64::from(self.index) * 4));
        "ou=people".clone_into(&mut account.parent);
        account.link = link;
        account.created = created;
        account.used = Some(self.dice.below(created as u64) as i64);
        account.changed = Some(created - 1);
        account.factors = if self.dice.below(3) == 0 { &["totp", "sms"] } else { &["webauthn"] };
        let scheme = if self.dice.below(2) == 0 { Scheme::Ssha } else { Scheme::Ssha512 };
        account.secret = Some(self.secret(scheme));
        account.clubs = vec![super::account::Club::Admitted];
        if self.index % BLOCK > place::ENDED {
            account.references = vec![("manager", super::account::Target::Place(place::MOVED))];
        }
        account
    }

    /// A further account in the same store, with a login and an entryUUID of its own.
    pub(super) fn another(&mut self, world: &World, of: &Account, ordinal: u64, prefix: &str) -> Account {
        let purpose = match of.store {
            Store::Shared => Purpose::SharedUuid,
            Store::Independent => Purpose::OwnUuid,
        };
        let mut account = of.clone();
        account.uuid = world.uuid(purpose, u64::from(self.index) * 4 + ordinal);
        account.uid = format!("{prefix}{}", self.uid);
        account.mail = None;
        account.photo = false;
        account.posix = false;
        account.secret = Some(self.secret(Scheme::Ssha));
        account.history = Vec::new();
        account.clubs = Vec::new();
        account
    }

    /// A secret that no other account has.
    pub(super) fn secret(&mut self, scheme: Scheme) -> Secret {
        Secret { scheme, key: self.dice.number(), login: self.uid.clone() }
    }

    fn bare(&self, store: Store, uuid: String) -> Account {
        Account {
            store,
            kind: Kind::Person,
            parent: String::new(),
            style: Style::Uid,
            uuid,
            uid: self.uid.clone(),
            cn: if self.name.japanese { format!("{} {}", self.name.given, self.name.family) } else { self.name.written.clone() },
            number: Some(self.number.clone()),
            mail: Some(self.mail.clone()),
            entity: Some(self.entity.id()),
            link: None,
            factors: &[],
            access: Access::Open,
            secret: None,
            history: Vec::new(),
            certificate: false,
            pkcs12: false,
            must_change: false,
            lean: false,
            big: false,
            photo: false,
            posix: false,
            phonetic: false,
            created: 0,
            used: None,
            changed: None,
            owner: None,
            references: Vec::new(),
            clubs: Vec::new(),
            mapped: false,
            protected: false,
            undecided: None,
            wrong_entity: false,
            spare: false,
            twin: None,
        }
    }
}
