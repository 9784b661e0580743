//! People who are in the independent directory, or on the way.

use super::super::Error;
use super::super::account::{Access, Account, Club, Kind, Target, Twin};
use super::super::person::{Fate, Person};
use super::super::secret::{Scheme, Secret};
use super::super::situation::{Moved, place};
use super::super::world::{Entity, OWN_REALM, SHARED_REALM, World};
use super::make_lean;

/// Rows and accounts of somebody who is (nearly) in the independent directory.
pub(super) fn play(world: &World, person: &mut Person, situation: Moved) -> Result<(), Error> {
    let mut row = person.row(world)?;
    if situation == Moved::OnLeave {
        row.status = "leave";
        person.fate = Fate::OnLeave;
    }
    person.rows.push(row);
    let shared = person.shared(world);
    let only_independent = matches!(situation, Moved::OnlyIndependent | Moved::OnlyIndependentUnused);
    if !only_independent {
        person.accounts.push(shared);
    }
    let own = person.independent(world);
    person.accounts.push(own);
    let at = person.accounts.len() - 1;
    if only_independent {
        if situation == Moved::OnlyIndependentUnused {
            let own = &mut person.accounts[at];
            own.created = 300;
            own.used = Some(250);
            own.changed = Some(290);
        }
        return Ok(());
    }
    old_account(person, situation);
    new_account(person, situation);
    twins(person, situation);
    further(world, person, situation);
    Ok(())
}

/// State of the account in the shared store, which is the first.
fn old_account(person: &mut Person, situation: Moved) {
    let old = &mut person.accounts[0];
    match situation {
        Moved::With(access) => old.access = access,
        Moved::NoPassword => {
            old.secret = None;
            old.history = Vec::new();
        }
        Moved::Scrubbed => {
            old.access = Access::LockedAndEnded;
            old.secret = None;
            old.history = Vec::new();
            make_lean(old);
        }
        Moved::RetainedOnly => make_lean(old),
        Moved::Privileged => old.clubs = vec![Club::Admins],
        Moved::Styled(style) => old.style = style,
        _ => {}
    }
}

/// State of the account in the independent directory, which is the second.
fn new_account(person: &mut Person, situation: Moved) {
    let pass_through = match situation {
        Moved::OwnPassThrough => Some(person.secret(Scheme::Sasl(OWN_REALM))),
        Moved::ForeignPassThrough => Some(person.secret(Scheme::Sasl(SHARED_REALM))),
        _ => None,
    };
    let new = &mut person.accounts[1];
    if pass_through.is_some() {
        new.secret = pass_through;
    }
    match situation {
        Moved::ByNumber => new.link = None,
        Moved::ByMail => {
            new.link = None;
            new.number = None;
        }
        Moved::ByLogin => {
            new.link = None;
            new.number = None;
            new.mail = None;
        }
        Moved::MustChange => {
            new.must_change = true;
            new.used = None;
            new.clubs = Vec::new();
        }
        Moved::NotEnabled(access) => {
            new.access = access;
            new.used = None;
            new.must_change = access == Access::Locked;
            new.factors = &[];
            new.clubs = Vec::new();
        }
        Moved::NotEnabledWithoutPassword => {
            new.secret = None;
            new.used = None;
            new.changed = None;
            new.factors = &[];
            new.clubs = Vec::new();
        }
        Moved::LockIneffective => new.access = Access::DanglingLocked,
        Moved::NoFactor => new.factors = &[],
        Moved::WeakFactor => new.factors = &["sms"],
        Moved::PrivilegedNoFactor => {
            new.factors = &[];
            new.clubs.push(Club::OwnAdmins);
        }
        Moved::Privileged => new.clubs.push(Club::OwnAdmins),
        Moved::WrongEntity => {
            new.entity = Some(Entity::Domestic.id());
            new.wrong_entity = true;
        }
        Moved::ReportsToDeparted => new.references = vec![("manager", Target::Place(place::DEPARTED))],
        Moved::Mapped => new.mapped = true,
        _ => {}
    }
}

/// Equal secrets in both stores.
fn twins(person: &mut Person, situation: Moved) {
    let (scheme, twin) = match situation {
        Moved::SameHash => (Scheme::Ssha512, Twin::Current),
        Moved::SameClearText => (Scheme::Plain, Twin::Current),
        Moved::ClearTextInHistory => (Scheme::Plain, Twin::History),
        Moved::SameUnsaltedHash => (Scheme::Sha, Twin::Current),
        Moved::HashInHistory | Moved::HistoryInHash => (Scheme::Ssha, Twin::History),
        _ => return,
    };
    let secret = person.secret(scheme);
    let [old, new] = person.accounts.as_mut_slice() else { return };
    old.twin = Some(twin);
    old.history = Vec::new();
    match situation {
        Moved::HashInHistory => {
            new.history = vec![secret.clone()];
            old.secret = Some(secret);
        }
        Moved::HistoryInHash => {
            old.history = vec![secret.clone()];
            new.secret = Some(secret);
        }
        Moved::ClearTextInHistory => {
            // The scheme is a spelling: the value is the same.
            new.history = vec![Secret { scheme: Scheme::Cleartext, ..secret.clone() }];
            old.secret = Some(secret);
        }
        _ => {
            new.secret = Some(secret.clone());
            old.secret = Some(secret);
        }
    }
}

/// Second accounts.
fn further(world: &World, person: &mut Person, situation: Moved) {
    let old = person.accounts[0].clone();
    let new = person.accounts[1].clone();
    match situation {
        Moved::TwiceIndependent => {
            person.accounts[1].used = Some(1);
            let mut second = person.another(world, &new, 1, "x.");
            second.link = None;
            second.created = 100;
            second.used = Some(40);
            second.changed = Some(90);
            second.spare = true;
            person.accounts.push(second);
        }
        Moved::TwiceShared => {
            person.accounts[0].used = Some(3);
            let mut second = person.another(world, &old, 1, "old.");
            second.used = Some(90);
            second.spare = true;
            person.accounts.push(second);
        }
        Moved::WithSecondary => {
            let mut there = person.another(world, &old, 1, "adm-");
            there.kind = Kind::Secondary;
            let mut here = secondary(person.another(world, &new, 1, "adm-"));
            here.link = Some(there.uuid.clone());
            person.accounts.push(there);
            person.accounts.push(here);
        }
        _ => {}
    }
}

fn secondary(mut account: Account) -> Account {
    account.kind = Kind::Secondary;
    account
}
