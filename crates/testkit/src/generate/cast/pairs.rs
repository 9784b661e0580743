//! Pairs of people whose accounts cannot be told apart, or only seem so.

use super::super::Error;
use super::super::account::{Access, Account, Style, Twin, Undecided};
use super::super::person::{Fate, Person};
use super::super::secret::{Scheme, Secret};
use super::super::situation::{Half, Pair};
use super::super::world::{Entity, World};

/// Rows and accounts of one half of a pair.
pub(super) fn play(world: &World, person: &mut Person, pair: Pair, half: Half) -> Result<(), Error> {
    let first = match half {
        Half::First => person.index,
        Half::Second => person.index - 1,
    };
    let mut row = person.row(world)?;
    let mut account = person.shared(world);
    let mut further: Vec<Account> = Vec::new();
    let mut has_account = true;
    match (pair, half) {
        (Pair::SameNumber, _) => {
            row.number = Entity::Own.number(first);
            account.number = Some(row.number.clone());
            account.undecided = Some(Undecided::Ambiguous);
        }
        (Pair::NumberInTwoEntities, Half::First) => {
            let mut stray = person.another(world, &account, 1, "stray.");
            "ou=accounts".clone_into(&mut stray.parent);
            stray.entity = None;
            stray.undecided = Some(Undecided::Ambiguous);
            further.push(stray);
        }
        (Pair::NumberInTwoEntities, Half::Second) => {
            // Personnel abroad writes the same number without leading zeros.
            row.number = Entity::Own.number(first).trim_start_matches('0').to_owned();
            account.number = Some(row.number.clone());
        }
        (Pair::SharedMail, _) => {
            row.mail = format!("team-{first}@corp.example");
            account.mail = None;
            if half == Half::First {
                let mut stray = person.another(world, &account, 1, "stray.");
                stray.number = None;
                stray.mail = Some(row.mail.clone());
                stray.undecided = Some(Undecided::Ambiguous);
                further.push(stray);
            }
        }
        (Pair::OneLinkTwice, Half::First) => {
            person.accounts.push(account.clone());
            let mut one = person.independent(world);
            one.access = Access::Locked;
            one.factors = &[];
            one.clubs = Vec::new();
            one.undecided = Some(Undecided::Ambiguous);
            let other = person.another(world, &one, 1, "x.");
            person.accounts.clear();
            further.extend([one, other]);
        }
        (Pair::SwappedMail | Pair::UndecidedLockIneffective, _) => {
            let other = match half {
                Half::First => first + 1,
                Half::Second => first,
            };
            row.mail = swapped_mail(person.index);
            account.mail = Some(swapped_mail(other));
            account.undecided = Some(Undecided::Conflicting);
            if pair == Pair::UndecidedLockIneffective && half == Half::First {
                account.access = Access::NolockLocked;
            }
        }
        (Pair::NewcomersMail, Half::First) => {
            leave(world, person, &mut row)?;
            row.mail = String::new();
            account.mail = Some(swapped_mail(first));
            account.undecided = Some(Undecided::Conflicting);
        }
        (Pair::NewcomersMail, Half::Second) => {
            row.mail = swapped_mail(first);
            account.mail = Some(row.mail.clone());
        }
        (Pair::NewcomersLogin, Half::First) => {
            leave(world, person, &mut row)?;
            row.login = String::new();
            account.uid = reused_login(first);
            account.undecided = Some(Undecided::Conflicting);
        }
        (Pair::NewcomersLogin, Half::Second) => {
            row.login = reused_login(first);
            has_account = false;
        }
        (Pair::LinkAgainstNumber, Half::First) => {
            person.accounts.push(account.clone());
            let mut own = person.independent(world);
            own.access = Access::Locked;
            own.factors = &[];
            own.clubs = Vec::new();
            own.number = Some(Entity::Own.number(first + 1));
            own.mail = None;
            own.uid = format!("x.{}", own.uid);
            own.undecided = Some(Undecided::Conflicting);
            person.accounts.clear();
            further.push(own);
        }
        (Pair::SaltedTwin, Half::First) => {
            account.secret = Some(twin_secret(world, Scheme::Ssha, first));
            account.history = Vec::new();
            account.twin = Some(Twin::Current);
        }
        (Pair::SaltedTwin | Pair::UnsaltedTwin, Half::Second) => {
            person.accounts.push(account.clone());
            let mut own = person.independent(world);
            let scheme = if pair == Pair::SaltedTwin { Scheme::Ssha } else { Scheme::Sha };
            own.secret = Some(twin_secret(world, scheme, first));
            person.accounts.clear();
            further.push(own);
        }
        (Pair::UnsaltedTwin, Half::First) => account.secret = Some(twin_secret(world, Scheme::Sha, first)),
        (Pair::OneLinkTwice | Pair::LinkAgainstNumber, Half::Second) => account.style = Style::Uid,
    }
    person.rows.push(row);
    person.accounts.extend(has_account.then_some(account));
    person.accounts.extend(further);
    Ok(())
}

fn swapped_mail(index: u32) -> String {
    format!("desk-{index}@corp.example")
}

fn reused_login(first: u32) -> String {
    format!("handy.{first}")
}

/// The same for both halves.
fn twin_secret(world: &World, scheme: Scheme, first: u32) -> Secret {
    let key = world.options.seed ^ (u64::from(first) << 20) ^ 0x7711;
    Secret { scheme, key, login: String::new() }
}

fn leave(world: &World, person: &mut Person, row: &mut super::super::person::Row) -> Result<(), Error> {
    person.fate = Fate::Departed;
    row.status = "departed";
    row.last_day = Some(world.day(person.entity, -200)?);
    row.start = Some(world.day(person.entity, -3_000)?);
    Ok(())
}
