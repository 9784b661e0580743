//! Active people who have not moved yet.

use super::super::Error;
use super::super::account::{Access, Account, Club, Kind};
use super::super::person::{Fate, Person};
use super::super::secret::Scheme;
use super::super::situation::Active;
use super::super::world::{Entity, OWN_REALM, SHARED_REALM, World};

/// `０１２…` for `012…`.
fn full_width(digits: &str) -> String {
    digits
        .chars()
        .map(|character| match character.to_digit(10) {
            Some(digit) => char::from_u32(0xFF10 + digit).unwrap_or(character),
            None => character,
        })
        .collect()
}

/// Rows and accounts of an active person.
pub(super) fn play(world: &World, person: &mut Person, situation: Active) -> Result<(), Error> {
    let mut account = person.shared(world);
    let further = rows(world, person, &mut account, situation)?;
    state(person, &mut account, situation);
    let other = other_account(world, person, &mut account, situation);
    person.accounts.extend(further.then_some(account));
    person.accounts.extend(other);
    Ok(())
}

/// Writes the rows, sets the keys of the account accordingly; false where there is no account.
fn rows(world: &World, person: &mut Person, account: &mut Account, situation: Active) -> Result<bool, Error> {
    let entity = person.entity;
    let mut row = person.row(world)?;
    match situation {
        Active::OnLeave => {
            row.status = "leave";
            person.fate = Fate::OnLeave;
        }
        Active::Seconded => row.status = "seconded",
        Active::SecondedWithTwoRows => {
            let mut there = row.clone();
            row.status = "seconded";
            there.entity = Entity::Domestic;
            there.number = Entity::Domestic.number(person.index);
            there.start = Some(world.day(entity, -90)?);
            person.rows.push(row);
            person.entity = Entity::Domestic;
            "ou=domestic,ou=accounts".clone_into(&mut account.parent);
            account.entity = Some(Entity::Domestic.id());
            row = there;
        }
        Active::NotYetStarted | Active::NotYetStartedWithoutAccount => {
            row.start = Some(world.day(entity, 20)?);
            person.fate = Fate::NotStarted;
            account.created = 5;
            account.used = None;
            account.changed = None;
        }
        Active::LastDayToday(_) => {
            row.status = "departed";
            row.last_day = Some(world.today(entity));
        }
        Active::LastDayTomorrow => {
            row.status = "departed";
            row.last_day = Some(world.day(entity, 1)?);
        }
        Active::StartedAgain => {
            row.status = "departed";
            row.last_day = Some(world.day(entity, -400)?);
            row.start = Some(world.day(entity, -30)?);
        }
        Active::RegularWithContractOver => row.contract_end = Some(world.day(entity, -60)?),
        Active::ContractEndsToday(_) => {
            row.employment = "contractor";
            row.contract_end = Some(world.today(entity));
        }
        Active::Rehired | Active::RehiredElsewhere | Active::RehiredWithNewAccount => {
            let mut before = row.clone();
            before.status = "departed";
            before.start = Some(world.day(entity, -3_000)?);
            before.last_day = Some(world.day(entity, -700)?);
            row.previous.clone_from(&before.number);
            row.start = Some(world.day(entity, -100)?);
            if situation == Active::RehiredElsewhere {
                row.entity = Entity::Domestic;
                row.number = Entity::Domestic.number(person.index);
                person.entity = Entity::Domestic;
                account.wrong_entity = true;
            } else {
                row.number = format!("R{:06}", person.index);
            }
            person.rows.push(before);
        }
        Active::RehiredInOneRow => {
            row.previous.clone_from(&row.number);
            row.number = format!("R{:06}", person.index);
            row.start = Some(world.day(entity, -100)?);
        }
        Active::InternationalMail => {
            row.mail = format!("{}@例え.example", person.uid);
            row.login = String::new();
            account.mail = Some(format!("{}@XN--R8JZ45G.example", person.uid));
            account.number = None;
        }
        Active::NoNumber => account.number = None,
        Active::NoMail => account.mail = None,
        Active::LoginOnly => {
            account.number = None;
            account.mail = None;
        }
        Active::FullWidthNumber => account.number = Some(full_width(&person.number)),
        Active::UnpaddedNumber => account.number = Some(person.number.trim_start_matches('0').to_owned()),
        Active::BlankInNumber => {
            let (head, tail) = person.number.split_at(2);
            account.number = Some(format!("{head} {tail}"));
        }
        Active::OtherCase => {
            account.number = Some(person.number.to_lowercase());
            account.mail = Some(person.mail.to_uppercase());
        }
        Active::WrongSubtree => {
            "ou=domestic,ou=accounts".clone_into(&mut account.parent);
            account.entity = None;
            account.wrong_entity = true;
        }
        Active::WrongAttribute => {
            account.entity = Some(Entity::Overseas.id());
            account.wrong_entity = true;
        }
        _ => {}
    }
    person.rows.push(row);
    Ok(situation != Active::NotYetStartedWithoutAccount)
}

/// Sets the state of the account: locks, times, secrets, memberships.
fn state(person: &mut Person, account: &mut Account, situation: Active) {
    let mut pass_through = |scheme| {
        account.secret = Some(person.secret(scheme));
        account.history = Vec::new();
    };
    match situation {
        Active::OwnPassThrough => pass_through(Scheme::Sasl(SHARED_REALM)),
        Active::OwnPassThroughOtherCase => pass_through(Scheme::SaslMixedCase(SHARED_REALM)),
        Active::ForeignPassThrough => pass_through(Scheme::Sasl(OWN_REALM)),
        Active::BarePassThrough => pass_through(Scheme::SaslBare),
        Active::Kerberos => pass_through(Scheme::Kerberos("LEGACY.PARTNER.EXAMPLE")),
        Active::Radius => pass_through(Scheme::Radius),
        Active::UnixPassThrough => pass_through(Scheme::Unix),
        Active::Cleartext => account.secret = Some(person.secret(Scheme::Cleartext)),
        Active::NoPassword => {
            account.secret = None;
            account.history = Vec::new();
        }
        Active::With(access) => account.access = access,
        Active::OnLeave | Active::LongUnused => {
            account.created = 1_200;
            account.used = Some(200 + i64::from(person.index % 300));
            account.changed = Some(600);
        }
        Active::NeverUsed => {
            account.created = 400;
            account.used = None;
            account.changed = None;
        }
        Active::NewAndUnused => {
            account.created = 30;
            account.used = None;
            account.changed = None;
        }
        Active::UnusedWithRecentPassword => {
            account.created = 900;
            account.used = Some(400);
            account.changed = Some(20);
        }
        Active::Privileged => account.clubs = vec![Club::Admins],
        Active::Unix => {
            account.posix = true;
            account.clubs = vec![Club::Unix];
        }
        Active::OtherCaseMember => account.clubs = vec![Club::OtherCase],
        Active::Styled(style) => account.style = style,
        Active::Big => {
            account.photo = true;
            account.big = true;
        }
        Active::Refers(attribute, target) => {
            account.references.retain(|(name, _)| *name != attribute);
            account.references.push((attribute, target));
        }
        _ => {}
    }
}

/// The second account of those who have two.
fn other_account(world: &World, person: &mut Person, account: &mut Account, situation: Active) -> Option<Account> {
    match situation {
        Active::TwoAccounts => {
            account.used = Some(3);
            let mut other = person.another(world, account, 1, "old.");
            other.used = Some(60);
            other.spare = true;
            Some(other)
        }
        Active::TwoAccountsOneLocked => {
            account.used = Some(30);
            let mut other = person.another(world, account, 1, "old.");
            // Used later than the primary one; being open comes first.
            other.used = Some(2);
            other.access = Access::Locked;
            other.spare = true;
            Some(other)
        }
        Active::RehiredWithNewAccount => {
            let mut other = person.another(world, account, 1, "new.");
            other.number = Some(format!("R{:06}", person.index));
            other.created = 95;
            other.changed = Some(90);
            other.used = Some(2);
            account.access = Access::LockedAndEnded;
            account.spare = true;
            Some(other)
        }
        Active::Secondary | Active::SecondaryPrivileged | Active::SecondaryProtected => {
            let mut other = person.another(world, account, 1, "adm-");
            other.kind = Kind::Secondary;
            match situation {
                Active::SecondaryPrivileged => other.clubs = vec![Club::VpnAdmins],
                Active::SecondaryProtected => {
                    other.clubs = vec![Club::DirectoryAdmins];
                    other.protected = true;
                    other.used = Some(400);
                    other.changed = Some(500);
                }
                _ => {}
            }
            Some(other)
        }
        _ => None,
    }
}
