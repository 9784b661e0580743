//! Leavers, and contractors whose contract is over.

use super::super::Error;
use super::super::account::{Access, Account, Club, Kind};
use super::super::person::{Fate, Person};
use super::super::secret::Scheme;
use super::super::situation::Left;
use super::super::world::{Entity, OWN_REALM, SHARED_REALM, World};
use super::make_lean;

/// Rows and accounts of somebody who is gone.
pub(super) fn play(world: &World, person: &mut Person, situation: Left) -> Result<(), Error> {
    let mut account = person.shared(world);
    account.used = Some(5 + person.dice.below(900) as i64);
    account.created = account.created.max(1_500);
    rows(world, person, &mut account, situation)?;
    state(person, &mut account, situation);
    let other = match situation {
        Left::WithSecondary => {
            let mut other = person.another(world, &account, 1, "adm-");
            other.kind = Kind::Secondary;
            Some(other)
        }
        Left::TwoAccounts => Some(person.another(world, &account, 1, "old.")),
        _ => None,
    };
    person.accounts.push(account);
    person.accounts.extend(other);
    if matches!(situation, Left::BothOpen | Left::BothLocked) {
        let mut own = person.independent(world);
        if situation == Left::BothLocked {
            own.access = Access::LockedAndEnded;
            own.clubs = Vec::new();
        }
        person.accounts.push(own);
    }
    Ok(())
}

/// Writes the rows and sets the keys of the account accordingly.
fn rows(world: &World, person: &mut Person, account: &mut Account, situation: Left) -> Result<(), Error> {
    let entity = person.entity;
    let ago = -3 - person.dice.below(900) as i64;
    let mut row = person.row(world)?;
    person.fate = Fate::Departed;
    row.status = "departed";
    row.start = Some(world.day(entity, -3_000)?);
    row.last_day = Some(world.day(entity, ago)?);
    match situation {
        Left::NoDate => row.last_day = None,
        Left::ActiveWordPastDate => row.status = "active",
        Left::Yesterday(_) => row.last_day = Some(world.day(entity, -1)?),
        Left::ContractOver(_) | Left::ContractYesterday(_) | Left::ContractAtOwn => {
            person.fate = Fate::ContractOver;
            row.status = "active";
            row.employment = "contractor";
            row.last_day = None;
            let ended = if matches!(situation, Left::ContractYesterday(_)) { -1 } else { ago };
            row.contract_end = Some(world.day(entity, ended)?);
        }
        Left::ContractAndDeparted => row.contract_end = Some(world.day(entity, ago)?),
        Left::RehiredThenGone => {
            let mut before = row.clone();
            before.entity = Entity::Contractor;
            before.number = Entity::Contractor.number(person.index);
            before.employment = "contractor";
            before.status = "active";
            before.start = Some(world.day(entity, -4_500)?);
            before.last_day = None;
            before.contract_end = Some(world.day(entity, -3_200)?);
            row.previous.clone_from(&before.number);
            person.rows.push(before);
        }
        Left::DepartedThenContractOver => {
            let mut before = row.clone();
            before.entity = Entity::Own;
            before.number = Entity::Own.number(person.index);
            before.employment = "regular";
            before.start = Some(world.day(entity, -5_000)?);
            before.last_day = Some(world.day(entity, -3_500)?);
            before.contract_end = None;
            row.previous.clone_from(&before.number);
            person.rows.push(before);
            person.fate = Fate::ContractOver;
            row.status = "active";
            row.last_day = None;
            row.contract_end = Some(world.day(entity, ago)?);
        }
        Left::NoNumber => account.number = None,
        Left::LoginOnly => {
            account.number = None;
            account.mail = None;
        }
        Left::OtherCase => {
            account.number = Some(person.number.to_lowercase());
            account.mail = Some(person.mail.to_uppercase());
        }
        Left::WrongAttribute => {
            account.entity = Some(Entity::Overseas.id());
            account.wrong_entity = true;
        }
        _ => {}
    }
    person.rows.push(row);
    Ok(())
}

/// Sets the state of the account.
fn state(person: &mut Person, account: &mut Account, situation: Left) {
    match situation {
        Left::With(access) | Left::ContractOver(access) => account.access = access,
        Left::NoPassword => {
            account.secret = None;
            account.history = Vec::new();
        }
        Left::HistoryOnly => {
            account.history = account.secret.take().into_iter().collect();
        }
        Left::Cleartext => account.secret = Some(person.secret(Scheme::Plain)),
        Left::OwnPassThrough => account.secret = Some(person.secret(Scheme::Sasl(SHARED_REALM))),
        Left::ForeignPassThrough => account.secret = Some(person.secret(Scheme::Sasl(OWN_REALM))),
        Left::Certificate => account.certificate = true,
        Left::Pkcs12 => account.pkcs12 = true,
        Left::Lean => make_lean(account),
        Left::LeanWithoutPassword => {
            make_lean(account);
            account.secret = None;
            account.history = Vec::new();
        }
        Left::Styled(style) => {
            account.style = style;
            if matches!(style, super::super::account::Style::WithUnit | super::super::account::Style::Multiple) {
                // What the RDN holds is nothing that could be scrubbed.
                make_lean(account);
            }
        }
        Left::Privileged => account.clubs = vec![Club::VpnAdmins],
        Left::DirectoryAdmin => {
            account.clubs = vec![Club::DirectoryAdmins];
            account.protected = true;
        }
        Left::Unique => account.clubs = vec![Club::Unique],
        Left::Role => account.clubs = vec![Club::Role],
        Left::Unix => {
            account.posix = true;
            account.clubs = vec![Club::Unix];
        }
        Left::OtherCaseMember => account.clubs = vec![Club::OtherCase],
        _ => {}
    }
}
